// PostgreSQL through libpq. Only postgres.c and postgres_connect.c see libpq. A connection string is never logged
// and never part of an error. A connection belongs to one thread; only postgres_cancel may come from another. Calls
// block, but never for ever: connecting has a deadline, a silent network is noticed by keepalives and
// tcp_user_timeout, and a server that does not answer to a cancel is left.
//
// The connection stays in libpq's pipeline mode (PostgreSQL 15, section 34.5): commands are sent ahead without waiting, answers come in
// the same order. A command that fails makes the server skip all that follows until the next sync. What a session has to look
// like (time limits, names) is left to the caller: nothing is sent on its behalf.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include <stdatomic.h>

struct postgres;
struct postgres_place { // the one server, of all that a URL may name, that a connection has come to
    char host[256], address[64], port[16];
};
struct postgres_options {
    const char *url;              // DATABASE_URL: a URI or keyword/value string; what it says wins over our defaults
    const char *user;             // where the URL names none; NULL or "": libpq's own choice
    const char *password;         // wins over the URL's; NULL: the URL's
    bool tls;                     // only over TLS, whatever sslmode the URL has (a unix socket needs none)
    const char *application_name; // at most 63 bytes count
    const char
        *role;   // assumed from the start, so that RESET ROLE comes back to it; NULL: none. Poolers refuse it (08P01)
    void *owner; // whatever the caller wants to find again by postgres_owner; borrowed
    unsigned connect_timeout_s;         // 0: 10; `connect_timeout` in the URL wins
    const struct postgres_place *place; // this server, without asking the name service; NULL: as the URL says
    const atomic_bool *stop;            // becomes true: connecting ends with ERROR_SHUTTING_DOWN; may be NULL
};
// Errors: ERROR_DATABASE_UNAVAILABLE, ERROR_DATABASE_REFUSED (class 28, 3D000, 42501), ERROR_CONFIGURATION (unparsable, or a socket's
// path too long), ERROR_SHUTTING_DOWN.
bool postgres_open(const struct postgres_options *options, struct postgres **ret_postgres, struct error *err);
void postgres_close(struct postgres *postgres); // NULL is fine
static inline void postgres_cleanup(struct postgres **postgres) {
    postgres_close(*postgres);
}
#define cleanup_postgres __attribute__((cleanup(postgres_cleanup)))
// Does the URL name a user? False also when it is not understood: postgres_open says so.
bool postgres_names_user(const char *url);
int postgres_backend_pid(const struct postgres *postgres);    // as libpq was told; a pooler tells something else
int postgres_server_version(const struct postgres *postgres); // 150018
bool postgres_alive(struct postgres *postgres);               // looks at the socket too, without waiting
// How often the network's delay was felt since the connection is up: waits for something that was not yet under way during the last.
uint64_t postgres_round_trips(const struct postgres *postgres);
void postgres_place(const struct postgres *postgres, struct postgres_place *ret_place);
void *postgres_owner(const struct postgres *postgres);
// Is `err` the server's refusal to let this session assume `role`? Then it becomes ERROR_DATABASE_REFUSED, and the hint says which GRANT
// is missing. What postgres_open reports is judged already.
bool postgres_refuses_role(const struct postgres *postgres, const char *role, struct error *err);

// Thread-safe: asks the server to cancel the statement in flight, and whoever waits for it to insist. The wait ends with
// ERROR_SHUTTING_DOWN. postgres_uncancel forgets a cancel that came too late, so that the connection can be used to the end.
void postgres_cancel(struct postgres *postgres);
void postgres_uncancel(struct postgres *postgres);
// Thread-safe: whoever waits on the connection gives up at once, with ERROR_SHUTTING_DOWN, and the connection with it. The server is
// not asked for anything.
void postgres_abandon(struct postgres *postgres);

// ---- one command at a time; nothing may be in flight -----------------------------------------------------------------
struct postgres_rows; // text results
// Text parameters; a NULL value is SQL NULL. Errors: see postgres_receive.
bool postgres_query(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                    struct postgres_rows **ret_rows, struct error *err);
bool postgres_execute(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                      struct error *err);
// The second half of postgres_query: the answer to the one command before the last postgres_sync, and that sync.
bool postgres_take(struct postgres *postgres, struct postgres_rows **ret_rows, struct error *err);
// COPY ... FROM STDIN with its data, or COPY ... TO STDOUT, whose data is dropped. `sql` need not be NUL-terminated.
bool postgres_copy(struct postgres *postgres, struct view sql, struct view data, struct error *err);
void postgres_rows_free(struct postgres_rows *rows);
static inline void postgres_rows_cleanup(struct postgres_rows **rows) {
    postgres_rows_free(*rows);
}
#define cleanup_rows __attribute__((cleanup(postgres_rows_cleanup)))
size_t postgres_row_count(const struct postgres_rows *rows);
const char *postgres_value(const struct postgres_rows *rows, size_t row, size_t column); // NULL = SQL NULL
const char *postgres_tag(const struct postgres_rows *rows);                              // command tag

// ---- many commands ahead ---------------------------------------------------------------------------------------------
// Queues a command of one statement; never waits. What is queued leaves with the next flush or receive.
bool postgres_send(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                   struct error *err);
// The same for a command that is sent often: the server parses and plans it once per connection. `sql` is a constant that outlives the
// connection; at most 8 of them. SQLSTATE 26000 says that somebody dropped it (DEALLOCATE ALL): send again.
bool postgres_send_often(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                         struct error *err);
// Whether postgres_send_often may prepare, and use what it has prepared. It may at first. Not when a pooler hands each transaction to
// another server session, nor while somebody else drops prepared statements.
void postgres_may_prepare(struct postgres *postgres, bool may);
// The server has dropped what was prepared (DEALLOCATE ALL). Nothing may be in flight.
void postgres_forget_prepared(struct postgres *postgres);
// Queues the end of a group: a failure before it skips up to here, and what is not inside BEGIN is committed here.
bool postgres_sync(struct postgres *postgres, struct error *err);
// Queues a wish to have the answers so far handed out. Before it waits, receive sees to that itself; this is for early news.
bool postgres_flush(struct postgres *postgres, struct error *err);

enum postgres_answer {
    POSTGRES_DONE, // the command succeeded
    POSTGRES_REFUSED, // the server reported an error: `err` is set, all that follows is POSTGRES_SKIPPED until POSTGRES_SYNCED
    POSTGRES_SKIPPED, // not executed, after a failure
    POSTGRES_SYNCED,  // a postgres_sync was reached
    POSTGRES_BROKEN,  // the connection is gone: `err` is set, what is still in flight has an unknown fate
};
// The answer to the oldest command in flight. `ret_rows` NULL: rows are dropped one by one as they come. Errors:
//   53, a broken connection, and when they end it: class 08, 57P0x, 25P03    ERROR_DATABASE_UNAVAILABLE
//   28, 3D000 when they end the connection              ERROR_DATABASE_REFUSED
//   57014 after postgres_cancel                         ERROR_SHUTTING_DOWN
//   55P03                                               ERROR_LOCK_TIMEOUT
//   40001, 40P01                                        ERROR_LOCK_CONFLICT
//   anything else                                       ERROR_MIGRATION_FAILED
// with message, detail (PostgreSQL's DETAIL and CONTEXT), hint and SQLSTATE (PostgreSQL appendix A) filled in.
enum postgres_answer postgres_receive(struct postgres *postgres, struct postgres_rows **ret_rows, struct error *err);
// How many rows the command that was last answered touched or gave, as its command tag says.
uint64_t postgres_touched(const struct postgres *postgres);
// Takes `count` answers and the sync after them; the first refusal is kept, unless the connection breaks, which explains more.
// `ret_rows` (may be NULL) gets those of the first answer.
bool postgres_take_all(struct postgres *postgres, size_t count, struct postgres_rows **ret_rows, struct error *err);
// 1-based character position within the command that was last refused; 0 = unknown.
unsigned postgres_position(const struct postgres *postgres);
// After POSTGRES_SYNCED: is a transaction open?
bool postgres_in_transaction(const struct postgres *postgres);
