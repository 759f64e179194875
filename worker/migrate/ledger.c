// Reading the ledger, and the record of a run. The rows of migrations are written by record.c, the tables made by layout.c.
#include "migrate/ledger.h"

#include "migrate/home.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char rows_sql[] =
    "SELECT kind, version, name, file, checksum, state, statements, done, coalesce(in_flight, 0),"
    " pg_catalog.array_to_string(hashes, ' '), run,"
    " pg_catalog.to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    " in_flight_hash, in_flight_text, in_flight_before FROM {ledger}.migrations";

static size_t number_of(const char *value) {
    uint64_t number = 0;
    return value && text_to_u64(view_of(value), SIZE_MAX, &number) ? (size_t)number : 0;
}

static void split_hashes(const char *joined, struct arena *arena, struct ledger_row *row) {
    size_t count = *joined != '\0';
    for (const char *p = joined; *p; p++)
        count += *p == ' ';
    const char **hashes = arena_array(arena, count + 1, sizeof(*hashes));
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(joined, " ");
        hashes[i] = arena_copy(arena, joined, length);
        joined += length + (joined[length] == ' ');
    }
    row->hashes = hashes;
    row->hash_count = count;
}

bool ledger_read(struct postgres *postgres, struct arena *arena, struct ledger *ret_ledger, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    if (!home_query(postgres, rows_sql, NULL, 0, &rows, err))
        return error_wrap(err, "cannot read the ledger");
    struct ledger ledger = {.count = postgres_row_count(rows)};
    ledger.rows = arena_array(arena, ledger.count + 1, sizeof(*ledger.rows));
    for (size_t i = 0; i < ledger.count; i++) {
        struct ledger_row *row = &ledger.rows[i];
        row->kind = strcmp(postgres_value(rows, i, 0), "versioned") ? MIGRATION_REPEATABLE : MIGRATION_VERSIONED;
        row->version = arena_string(arena, postgres_value(rows, i, 1));
        row->name = arena_string(arena, postgres_value(rows, i, 2));
        row->file = arena_string(arena, postgres_value(rows, i, 3));
        row->checksum = arena_string(arena, postgres_value(rows, i, 4));
        row->state = strcmp(postgres_value(rows, i, 5), "applied") ? LEDGER_PARTIAL : LEDGER_APPLIED;
        row->statements = number_of(postgres_value(rows, i, 6));
        row->done = number_of(postgres_value(rows, i, 7));
        row->in_flight = number_of(postgres_value(rows, i, 8));
        split_hashes(postgres_value(rows, i, 9), arena, row);
        row->run = arena_string(arena, postgres_value(rows, i, 10));
        row->applied_at = arena_string(arena, postgres_value(rows, i, 11));
        row->in_flight_hash = arena_string(arena, postgres_value(rows, i, 12));
        row->in_flight_text = arena_string(arena, postgres_value(rows, i, 13));
        row->in_flight_before = arena_string(arena, postgres_value(rows, i, 14));
    }
    *ret_ledger = ledger;
    return true;
}

// A run that is told again (a duplicate, a replay) counts an attempt. What it once achieved stays on record until it achieves
// or breaks something else: a duplicate that finds nothing to do erases nothing.
#define TEXT_OF(x) #x
#define NUMBER_TEXT(x) TEXT_OF(x)
// clang-format off
static const char arrival_sql[] =
    "WITH state AS (SELECT coalesce(digest = $1, false) AS complete, newest, applied FROM {ledger}.state"
    " WHERE ledger = " NUMBER_TEXT(LEDGER_VERSION) "),"
    " run AS (INSERT INTO {ledger}.runs AS r (id, target, release, \"to\", reason, publisher, delivery_attempt, worker, proof,"
    "  origin, state, finished_at)"
    " SELECT $2, $3, $4, $5, $6, $7, $8::bigint, $9, $10::jsonb, $11::jsonb,"
    "  CASE WHEN complete THEN 'nothing_pending' ELSE 'running' END, CASE WHEN complete THEN pg_catalog.now() END FROM state"
    " ON CONFLICT (id) DO UPDATE SET attempts = r.attempts + 1, delivery_attempt = EXCLUDED.delivery_attempt,"
    "  worker = EXCLUDED.worker, release = EXCLUDED.release, proof = coalesce(EXCLUDED.proof, r.proof),"
    "  publisher = CASE WHEN EXCLUDED.proof IS NULL THEN r.publisher ELSE EXCLUDED.publisher END,"
    "  state = CASE WHEN r.state IN ('applied', 'rolled_back') THEN r.state ELSE EXCLUDED.state END,"
    "  finished_at = CASE WHEN r.state IN ('applied', 'rolled_back') THEN r.finished_at ELSE EXCLUDED.finished_at END,"
    "  pending = CASE WHEN r.state = 'applied' THEN r.pending ELSE 0 END,"
    "  error = NULL, message = NULL, file = NULL, line = NULL, statement = NULL, sqlstate = NULL, detail = NULL,"
    "  hint = NULL, progress = NULL)"
    " SELECT complete, newest, applied FROM state";
// clang-format on

bool ledger_send_arrival(struct postgres *postgres, const struct run_request *request, const char *digest,
                         struct error *err) {
    char attempt[24];
    snprintf(attempt, sizeof(attempt), "%" PRId64, request->delivery_attempt);
    const char *values[] = {
        digest,          request->id,     request->target,    request->release,
        request->to,     request->reason, request->publisher, request->delivery_attempt ? attempt : NULL,
        request->worker, request->proof,  request->origin};
    return home_send(postgres, arrival_sql, values, sizeof(values) / sizeof(values[0]), err);
}

bool ledger_arrived(const struct postgres_rows *rows, struct arena *arena, struct ledger_arrival *ret_arrival) {
    if (postgres_row_count(rows) != 1)
        return false;
    ret_arrival->complete = *postgres_value(rows, 0, 0) == 't';
    ret_arrival->newest = arena_string(arena, postgres_value(rows, 0, 1));
    ret_arrival->applied = number_of(postgres_value(rows, 0, 2));
    return true;
}

static const char departure_sql[] =
    "WITH state AS (UPDATE {ledger}.state SET digest = $12, newest = $13, applied = $14::bigint"
    " WHERE $12::text IS NOT NULL)"
    " UPDATE {ledger}.runs SET state = $2, applied = $3::bigint, pending = $4::bigint, error = $5, message = $6, file "
    "= $7,"
    " line = $8::integer, statement = $9::integer, sqlstate = $10, detail = $11, hint = $15, progress = NULL,"
    " finished_at = pg_catalog.clock_timestamp()"
    " WHERE id = $1 AND NOT (state = 'applied' AND $2 IN ('nothing_pending', 'superseded'))"
    " AND state <> 'rolled_back'";

static const char *or_null(const char *text) {
    return text && *text ? text : NULL;
}

bool ledger_send_departure(struct postgres *postgres, const char *run, const struct ledger_departure *departure,
                           struct error *err) {
    const struct error none = {0}, *error = departure->error ? departure->error : &none;
    char applied[24], pending[24], line[24], statement[24], total[24];
    snprintf(applied, sizeof(applied), "%zu", departure->applied);
    snprintf(pending, sizeof(pending), "%zu", departure->pending);
    snprintf(line, sizeof(line), "%u", error->line);
    snprintf(statement, sizeof(statement), "%u", error->statement);
    snprintf(total, sizeof(total), "%zu", departure->total);
    const char *values[] = {run,
                            departure->state,
                            applied,
                            pending,
                            error->code ? error_name(error->code) : NULL,
                            or_null(error->message),
                            or_null(error->file),
                            error->line ? line : NULL,
                            error->statement ? statement : NULL,
                            or_null(error->sqlstate),
                            or_null(error->detail),
                            departure->digest,
                            departure->newest,
                            total,
                            or_null(error->hint)};
    return home_send(postgres, departure_sql, values, sizeof(values) / sizeof(values[0]), err);
}

void ledger_forbidden(const struct postgres *postgres, struct error *err) {
    const char *schema = home_schema(postgres), *role = home_role(postgres);
    cleanup_text struct text hint = TEXT(sizeof(err->hint) - 1);
    text_printf(&hint,
                "GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO it",
                schema, role ? role : "the worker's role", schema);
    err->code = ERROR_DATABASE_REFUSED;
    text_copy(err->hint, sizeof(err->hint), view_of(text_string(&hint)));
}
