// PostgreSQL through libpq. Only postgres.c sees libpq. Every query states the result it expects. A connection string is never
// logged and never part of an error. Blocking calls, bounded by a deadline and by `cancel`.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include <stdatomic.h>

struct postgres;
struct postgres_options {
    const char *url;              // DATABASE_URL: a URI or keyword/value string
    const char *application_name; // at most 63 bytes count
    unsigned connect_timeout_s;   // default 10
    unsigned lock_timeout_ms;     // session default, given as a start-up option so that RESET ALL returns to it
};
// Sets keepalives, tcp_user_timeout, client_encoding UTF8, standard_conforming_strings on, client_connection_check_interval (when the server has it),
// idle_in_transaction_session_timeout. Errors: ERROR_DATABASE_UNAVAILABLE, ERROR_DATABASE_REFUSED (class 28, 3D000), ERROR_CONFIGURATION (unparsable).
bool postgres_open(const struct postgres_options *options, struct postgres **ret_postgres, struct error *err);
void postgres_close(struct postgres *postgres); // NULL is fine
static inline void postgres_cleanup(struct postgres **postgres) {
    postgres_close(*postgres);
}
#define cleanup_postgres __attribute__((cleanup(postgres_cleanup)))
int postgres_backend_pid(const struct postgres *postgres);    // as libpq was told
int postgres_server_version(const struct postgres *postgres); // 150018
bool postgres_alive(const struct postgres *postgres);
uint64_t
postgres_round_trips(const struct postgres *postgres); // times we waited for the server since the connection is up
// Thread-safe: asks the server to cancel the statement in flight.
void postgres_cancel(struct postgres *postgres);

// Text parameters; a NULL value is SQL NULL.
struct postgres_rows; // text results
bool postgres_query(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                    struct postgres_rows **ret_rows, struct error *err);
bool postgres_execute(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                      struct error *err);
void postgres_rows_free(struct postgres_rows *rows);
static inline void postgres_rows_cleanup(struct postgres_rows **rows) {
    postgres_rows_free(*rows);
}
#define cleanup_rows __attribute__((cleanup(postgres_rows_cleanup)))
size_t postgres_row_count(const struct postgres_rows *rows);
const char *postgres_value(const struct postgres_rows *rows, size_t row, size_t column); // NULL = SQL NULL
const char *postgres_tag(const struct postgres_rows *rows);                              // command tag
