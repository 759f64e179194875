// Looks up runs and records what was none: refusals and plans. How a run writes its own row is ledger.c's business.
#include "migrate/history.h"

#include "migrate/control.h"
#include "migrate/database.h"
#include "migrate/home.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UTC(column) "pg_catalog.to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

// clang-format off
static const char find_sql[] =
    "SELECT state, target, release, publisher, origin::text, attempts, applied, pending, error, message, file, line, statement,"
    " sqlstate, detail, hint, " UTC("started_at") ", " UTC("finished_at") ","
    " (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('version',"
    "   CASE kind WHEN 'versioned' THEN version END, 'name', name, 'file', m.file, 'statements', statements, 'ms', ms)"
    "   ORDER BY m.finished_at, m.file), '[]') FROM {ledger}.migrations m WHERE m.run = r.id AND m.state = 'applied'),"
    " (SELECT a.application_name FROM pg_catalog.pg_stat_activity a WHERE r.state = 'running'"
    "   AND a.datname = pg_catalog.current_database()"
    "   AND pg_catalog.starts_with(a.application_name, 'pawl ' || r.id || ' ') LIMIT 1),"
    " CASE state WHEN 'running' THEN progress END"
    " FROM {ledger}.runs r WHERE id = $1";

static const char proved_sql[] =
    "SELECT FROM {ledger}.runs WHERE proof->>'token_sha256' = $1 AND proof->>'request_sha256' = $2 LIMIT 1";

static const char note_sql[] =
    "INSERT INTO {ledger}.runs AS r (id, target, release, \"to\", reason, publisher, delivery_attempt, worker, proof, origin,"
    " state, pending, error, message, file, line, statement, sqlstate, detail, hint, finished_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7::bigint, $8, $9::jsonb, $10::jsonb,"
    " $11, $12::bigint, $13, $14, $15, $16::integer, $17::integer, $18, $19, $20, pg_catalog.now())"
    " ON CONFLICT (id) DO UPDATE SET attempts = r.attempts + 1, delivery_attempt = EXCLUDED.delivery_attempt,"
    " worker = EXCLUDED.worker, proof = coalesce(EXCLUDED.proof, r.proof),"
    " publisher = CASE WHEN EXCLUDED.proof IS NULL THEN r.publisher ELSE EXCLUDED.publisher END,"
    " state = EXCLUDED.state, pending = EXCLUDED.pending, error = EXCLUDED.error, message = EXCLUDED.message,"
    " file = EXCLUDED.file, line = EXCLUDED.line, statement = EXCLUDED.statement, sqlstate = EXCLUDED.sqlstate,"
    " detail = EXCLUDED.detail, hint = EXCLUDED.hint, finished_at = EXCLUDED.finished_at"
    " WHERE r.state NOT IN ('applied', 'rolled_back')";
// clang-format on

// Undefined table or schema: there is no ledger yet. Undefined column: there is one that the next run will upgrade first.
static bool is_no_ledger(const char *sqlstate) {
    return strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "3F000") == 0 || strcmp(sqlstate, "42703") == 0;
}

// One command on a connection of its own time. Without a ledger it gives no rows.
static bool ask(struct run_database *database, struct run_control *control, const char *sql, const char *const *values,
                size_t count, struct postgres_rows **ret_rows, struct error *err) {
    struct postgres *postgres = NULL;
    bool warm = false;
    if (!database_take(database, control, &postgres, &warm, err))
        return false;
    struct control_entry entry = {.postgres = postgres};
    control_enter(control, &entry);
    bool done = home_query(postgres, sql, values, count, ret_rows, err);
    control_leave(control, &entry);
    if (postgres_alive(postgres))
        database_put(database, postgres);
    else
        postgres_close(postgres);
    if (done)
        return true;
    if (is_no_ledger(err->sqlstate)) {
        *err = (struct error){0};
        *ret_rows = NULL;
        return true;
    }
    if (err->code == ERROR_MIGRATION_FAILED) // the ledger's own commands are no migration's fault
        err->code = ERROR_INTERNAL;
    return error_wrap(err, "cannot ask the ledger");
}

bool history_find(struct run_database *database, const char *id, struct run_control *control, struct arena *arena,
                  struct history_run *ret_run, bool *ret_found, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    const char *values[] = {id};
    if (!ask(database, control, find_sql, values, 1, &rows, err))
        return false;
    *ret_found = rows && postgres_row_count(rows) == 1;
    if (!*ret_found)
        return true;
    struct history_run run = {0};
    const char **const members[] = {
        &run.state,   &run.target, &run.release,    &run.publisher,   &run.origin,     &run.attempts,  &run.applied,
        &run.pending, &run.error,  &run.message,    &run.file,        &run.line,       &run.statement, &run.sqlstate,
        &run.detail,  &run.hint,   &run.started_at, &run.finished_at, &run.migrations, &run.progress,  &run.watched};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        *members[i] = arena_string(arena, postgres_value(rows, 0, i));
    *ret_run = run;
    return true;
}

bool history_proved(struct run_database *database, const char *token, const char *request, struct run_control *control,
                    bool *ret_proved, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    const char *values[] = {token, request};
    if (!ask(database, control, proved_sql, values, 2, &rows, err))
        return false;
    *ret_proved = rows && postgres_row_count(rows) == 1;
    return true;
}

static const char *said(const char *text) {
    return *text ? text : NULL;
}

// The row of a request that was no run.
static bool note(struct run_database *database, const struct run_request *request, const char *state, size_t pending,
                 const struct error *failure, struct run_control *control, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    char attempt[24], line[24], statement[24], left[24];
    (void)snprintf(attempt, sizeof(attempt), "%" PRId64, request->delivery_attempt);
    (void)snprintf(left, sizeof(left), "%zu", pending);
    (void)snprintf(line, sizeof(line), "%u", failure->line);
    (void)snprintf(statement, sizeof(statement), "%u", failure->statement);
    const char *values[] = {request->id,
                            request->target,
                            request->release,
                            request->to,
                            request->reason,
                            request->publisher,
                            request->delivery_attempt ? attempt : NULL,
                            request->worker,
                            request->proof,
                            request->origin,
                            state,
                            left,
                            failure->code ? error_name(failure->code) : NULL,
                            said(failure->message),
                            said(failure->file),
                            failure->line ? line : NULL,
                            failure->statement ? statement : NULL,
                            said(failure->sqlstate),
                            said(failure->detail),
                            said(failure->hint)};
    return ask(database, control, note_sql, values, sizeof(values) / sizeof(values[0]), &rows, err);
}

bool history_refuse(struct run_database *database, const struct run_request *request, const struct error *failure,
                    struct run_control *control, struct error *err) {
    return note(database, request, "failed", 0, failure, control, err);
}

bool history_planned(struct run_database *database, const struct run_request *request, size_t pending,
                     struct run_control *control, struct error *err) {
    return note(database, request, "planned", pending, &(struct error){0}, control, err);
}
