// The settings of a session and the way back to them.
#include "migrate/session.h"

#include "migrate/home.h"

#include <stdio.h>

// An orphan (we were killed) dies in half a second, also in the middle of a statement, where the server can look (PostgreSQL 14 on
// Linux; elsewhere setting it is an error). Keepalives and the idle limit bound what that cannot see. A role that is named like the
// ledger's schema would find it first on its search_path ("$user") and put the files' tables there. Between two commits of a pipeline
// every command opens a transaction, and a BEGIN that comes after it cannot choose another isolation any more: so a role's or database's
// default_transaction_isolation is set aside. So are the time limits for statements, transactions and idle sessions, which are meant
// for the application: they would end a long build at every try, and take our lock away between two. And
// quote_all_identifiers, because names are compared as the parser quotes them. What a file sets itself counts.
#define ISOLATION(local) "pg_catalog.set_config('default_transaction_isolation', 'read committed', " local ")"
#define ROLE(role, local)                                                                                              \
    "CASE WHEN " role "::text IS NOT NULL THEN pg_catalog.set_config('role', " role ", " local ") END"
#define PATH(role, schema, local)                                                                                      \
    "CASE WHEN coalesce(" role "::text, current_user) = " schema                                                       \
    " THEN pg_catalog.set_config('search_path', pg_catalog.regexp_replace("                                            \
    "pg_catalog.current_setting('search_path'), '\"?[$]user\"?[[:space:]]*,?[[:space:]]*', ''), " local ") END"
// $3: the backend that makes the session ours; NULL: any does.
#define LOCAL "coalesce(pg_catalog.pg_backend_pid() <> $3::integer, false)"
#define WHO ROLE("$4", LOCAL) ", " PATH("$4", "$5", LOCAL) ", " ISOLATION(LOCAL)
#define COMMON                                                                                                         \
    "SELECT pg_catalog.set_config('application_name', $1, " LOCAL "),"                                                 \
    " pg_catalog.set_config('lock_timeout', $2, " LOCAL "),"                                                           \
    " pg_catalog.set_config('client_encoding', 'UTF8', " LOCAL "),"                                                    \
    " pg_catalog.set_config('standard_conforming_strings', 'on', " LOCAL "),"                                          \
    " pg_catalog.set_config('quote_all_identifiers', 'off', " LOCAL "),"                                               \
    " pg_catalog.set_config('statement_timeout', '0', " LOCAL "),"                                                     \
    " pg_catalog.set_config('idle_in_transaction_session_timeout', '60s', " LOCAL "),"                                 \
    " pg_catalog.set_config('tcp_keepalives_idle', '30', " LOCAL "),"                                                  \
    " pg_catalog.set_config('tcp_keepalives_interval', '10', " LOCAL "),"                                              \
    " pg_catalog.set_config('tcp_keepalives_count', '3', " LOCAL "), " WHO
#define SINCE_14                                                                                                       \
    ", pg_catalog.set_config('idle_session_timeout', '0', " LOCAL "),"                                                 \
    " CASE WHEN pg_catalog.version() LIKE '%linux%' THEN"                                                              \
    " pg_catalog.set_config('client_connection_check_interval', '500ms', " LOCAL ") END"
#define SINCE_17 ", pg_catalog.set_config('transaction_timeout', '0', " LOCAL ")"
static const char settings[] = COMMON, settings_14[] = COMMON SINCE_14, settings_17[] = COMMON SINCE_14 SINCE_17;

static bool send_all(struct postgres *postgres, const char *const *commands, size_t count, struct error *err) {
    for (size_t i = 0; i < count; i++)
        if (!postgres_send(postgres, commands[i], NULL, 0, err))
            return false;
    return true;
}

bool session_send_settings(struct postgres *postgres, const struct session *session, struct error *err) {
    char lock_timeout[32], told[16];
    snprintf(lock_timeout, sizeof(lock_timeout), "%llums", (unsigned long long)session->lock_timeout_ms);
    snprintf(told, sizeof(told), "%d", session->span == SESSION_IF_OURS ? postgres_backend_pid(postgres) : 0);
    const char *values[] = {session->name, lock_timeout, session->span == SESSION_WHOLE ? NULL : told,
                            home_role(postgres), home_schema(postgres)};
    int version = postgres_server_version(postgres);
    const char *sql = version >= 170000 ? settings_17 : version >= 140000 ? settings_14 : settings;
    if (session->span != SESSION_WHOLE) // it may not be our session: nothing is prepared in it
        return postgres_send(postgres, sql, values, 5, err);
    return postgres_send_often(postgres, sql, values, 5, err);
}

bool session_send_reset(struct postgres *postgres, bool local, struct error *err) {
    static const char *const commands[SESSION_RESET - 1] = {"RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL"};
    const char *values[] = {local ? "true" : "false", home_role(postgres)};
    return send_all(postgres, commands, SESSION_RESET - 1, err) &&
           postgres_send(postgres, "SELECT " ISOLATION("$1::boolean") ", " ROLE("$2", "$1::boolean"), values, 2, err);
}

bool session_send_path(struct postgres *postgres, bool local, bool back, struct error *err) {
    const char *values[] = {local ? "true" : "false", back ? home_role(postgres) : NULL, home_schema(postgres)};
    return postgres_send(postgres, "SELECT " ROLE("$2", "$1::boolean") ", " PATH("$2", "$3", "$1::boolean"), values, 3,
                         err);
}

bool session_send_clean(struct postgres *postgres, struct error *err) {
    static const char *const commands[SESSION_CLEAN] = {"DISCARD TEMP"};
    return send_all(postgres, commands, SESSION_CLEAN, err);
}

bool session_send_scrub(struct postgres *postgres, struct error *err) {
    static const char *const commands[SESSION_SCRUB] = {"CLOSE ALL", "UNLISTEN *", "DEALLOCATE ALL", "DISCARD TEMP"};
    return send_all(postgres, commands, SESSION_SCRUB, err);
}

void session_name(char name[static SESSION_NAME_MAX + 1], const char *run, size_t number, size_t total,
                  const char *file) {
    cleanup_text struct text text = TEXT(1024);
    text_printf(&text, "pawl %s", run);
    if (file)
        text_printf(&text, " %zu/%zu %s", number, total, file);
    text_copy(name, SESSION_NAME_MAX + 1, view_of(text_string(&text)));
}
