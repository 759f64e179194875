// The SQL of one migration's ledger row. When it is sent is apply.c's business.
#include "migrate/record.h"

#include "migrate/home.h"
#include "migrate/lock.h"

#include <stdio.h>

#define OPEN                                                                                                           \
    "INSERT INTO {ledger}.migrations"                                                                                  \
    " (kind, version, name, file, checksum, state, statements, done, run, transaction)"                                \
    " VALUES ($1, $2, $3, $4, $5, 'applied', $6::integer, $6::integer, $7, pg_catalog.txid_current())"
static const char open_versioned[] = OPEN;
static const char open_repeatable[] = OPEN
    " ON CONFLICT (kind, version) DO UPDATE SET name = EXCLUDED.name, file = EXCLUDED.file,"
    " checksum = EXCLUDED.checksum, state = EXCLUDED.state, statements = EXCLUDED.statements, done = EXCLUDED.done,"
    " hashes = EXCLUDED.hashes, in_flight = NULL, run = EXCLUDED.run, transaction = EXCLUDED.transaction,"
    " applied_by = EXCLUDED.applied_by, started_at = EXCLUDED.started_at, finished_at = NULL, ms = NULL";

// Columns that the digest trigger watches stay out of the fast way.
#define TIMES "ms = (1000 * extract(epoch from pg_catalog.clock_timestamp() - started_at))::bigint"
#define EXACTLY_ONE "RETURNING ms) SELECT 1 / pg_catalog.count(*), max(ms) FROM row"
#define CLOSE                                                                                                          \
    "WITH row AS (UPDATE {ledger}.migrations SET finished_at = pg_catalog.clock_timestamp(), " TIMES                   \
    " WHERE kind = $1 AND version = $2 AND run = $3 AND transaction = pg_catalog.txid_current() AND "
static const char close_sql[] = CLOSE LOCK_IS_KEPT " " EXACTLY_ONE;
static const char close_pooled[] = CLOSE LOCK_IS_OURS " " EXACTLY_ONE;

static const char back_sql[] =
    "WITH row AS (UPDATE {ledger}.migrations SET transaction = pg_catalog.txid_current()"
    " WHERE kind = $1 AND version = $2 AND checksum = $3 AND state = 'applied' AND " LOCK_IS_OURS " " EXACTLY_ONE;
static const char gone_sql[] =
    "WITH row AS (DELETE FROM {ledger}.migrations"
    " WHERE kind = $1 AND version = $2 AND transaction = pg_catalog.txid_current() AND " LOCK_IS_OURS
    " RETURNING (1000 * extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.now()))::bigint AS ms)"
    " SELECT 1 / pg_catalog.count(*), max(ms) FROM row";

static const char step_sql[] =
    "WITH row AS (INSERT INTO {ledger}.migrations AS m"
    " (kind, version, name, file, checksum, state, statements, done, in_flight, in_flight_hash, in_flight_text,"
    "  in_flight_before, run, transaction)"
    " SELECT $1, $2, $3, $4, $5, 'partial', $6::integer, $8::integer, nullif($9::integer, 0), $10, $11, $12::text[],"
    "  $7, pg_catalog.txid_current() WHERE " LOCK_IS_OURS
    " ON CONFLICT (kind, version) DO UPDATE SET name = EXCLUDED.name, file = EXCLUDED.file,"
    " checksum = EXCLUDED.checksum, state = EXCLUDED.state, statements = EXCLUDED.statements, done = EXCLUDED.done,"
    " in_flight = EXCLUDED.in_flight, in_flight_hash = EXCLUDED.in_flight_hash,"
    " in_flight_text = EXCLUDED.in_flight_text, in_flight_before = EXCLUDED.in_flight_before, run = EXCLUDED.run, "
    "transaction = EXCLUDED.transaction,"
    " applied_by = EXCLUDED.applied_by, finished_at = NULL,"
    " hashes = CASE WHEN EXCLUDED.done = 0 THEN '{}' ELSE m.hashes END,"
    // the time of a batch at the top of a file counts from its first round
    " started_at = CASE WHEN EXCLUDED.done > 0 OR (m.state = 'partial' AND m.done = 0 AND EXCLUDED.in_flight IS NULL"
    "  AND m.checksum = EXCLUDED.checksum) THEN m.started_at ELSE EXCLUDED.started_at END"
    " WHERE (m.state = 'partial' AND m.done = EXCLUDED.done) OR (m.kind = 'repeatable' AND EXCLUDED.done = 0)"
    " " EXACTLY_ONE;

static const char stepped_sql[] =
    "WITH row AS (UPDATE {ledger}.migrations SET done = $4::integer, hashes = hashes || $6::text[], in_flight = NULL,"
    " state = CASE WHEN statements = $4::integer THEN 'applied' ELSE 'partial' END,"
    " finished_at = CASE WHEN statements = $4::integer THEN pg_catalog.clock_timestamp() END, " TIMES
    " WHERE kind = $1 AND version = $2 AND run = $3"
    " AND (in_flight = $5::integer OR ($5::integer = 0 AND transaction = pg_catalog.txid_current())) AND " LOCK_IS_OURS
    " " EXACTLY_ONE;

static const char undone_sql[] =
    "UPDATE {ledger}.migrations SET in_flight = NULL WHERE kind = $1 AND version = $2 AND run = $3"
    " AND in_flight = $4::integer AND " LOCK_IS_OURS;

static const char *kind_of(const struct migration *migration) {
    return migration->kind == MIGRATION_VERSIONED ? "versioned" : "repeatable";
}

struct digits {
    char text[24];
};
static const char *digits_of(size_t number, struct digits *digits) {
    snprintf(digits->text, sizeof(digits->text), "%zu", number);
    return digits->text;
}

bool record_send_open(struct postgres *postgres, const struct record *record, struct error *err) {
    const struct migration *migration = record->migration;
    struct digits statements;
    const char *values[] = {kind_of(migration), migration->version,  migration->name,
                            migration->file,    migration->checksum, digits_of(record->statements, &statements),
                            record->run};
    bool versioned = migration->kind == MIGRATION_VERSIONED;
    return home_send_often(postgres, versioned ? open_versioned : open_repeatable, values, 7, err);
}

bool record_send_close(struct postgres *postgres, const struct record *record, struct error *err) {
    const char *values[] = {kind_of(record->migration), record->migration->version, record->run};
    return home_send_often(postgres, record->pooled ? close_pooled : close_sql, values, 3, err);
}

bool record_send_back(struct postgres *postgres, const struct record *record, struct error *err) {
    const struct migration *migration = record->migration;
    const char *values[] = {kind_of(migration), migration->version, migration->checksum};
    return home_send(postgres, back_sql, values, 3, err);
}

bool record_send_gone(struct postgres *postgres, const struct record *record, struct error *err) {
    const char *values[] = {kind_of(record->migration), record->migration->version};
    return home_send(postgres, gone_sql, values, 2, err);
}

bool record_send_step(struct postgres *postgres, const struct record *record, size_t done,
                      const struct record_flight *flight, struct error *err) {
    const struct migration *migration = record->migration;
    struct digits statements, before, flying;
    const char *values[] = {kind_of(migration),
                            migration->version,
                            migration->name,
                            migration->file,
                            migration->checksum,
                            digits_of(record->statements, &statements),
                            record->run,
                            digits_of(done, &before),
                            digits_of(flight->statement, &flying),
                            flight->hash,
                            flight->text,
                            flight->before};
    return home_send(postgres, step_sql, values, 12, err);
}

bool record_send_stepped(struct postgres *postgres, const struct record *record, size_t done, size_t in_flight,
                         const char *hashes, struct error *err) {
    struct digits after, flying;
    const char *values[] = {kind_of(record->migration), record->migration->version,    record->run,
                            digits_of(done, &after),    digits_of(in_flight, &flying), hashes};
    return home_send(postgres, stepped_sql, values, 6, err);
}

bool record_send_undone(struct postgres *postgres, const struct record *record, size_t in_flight, struct error *err) {
    struct digits flying;
    const char *values[] = {kind_of(record->migration), record->migration->version, record->run,
                            digits_of(in_flight, &flying)};
    return home_send(postgres, undone_sql, values, 4, err);
}

bool record_send_changing(struct postgres *postgres, struct error *err) {
    static const char changing_sql[] = "UPDATE {ledger}.state SET digest = NULL WHERE digest IS NOT NULL";
    return home_send(postgres, changing_sql, NULL, 0, err);
}
