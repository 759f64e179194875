// After and instead of statements that cannot be rolled back.
#include "migrate/recover.h"

#include <string.h>

bool recover_leaves_traces(const struct statement *statement) {
    return statement->concurrently || statement->operation == OPERATION_DO || statement->operation == OPERATION_OTHER;
}

bool recover_cut_off(const struct item *item, struct error *err) {
    const struct ledger_row *row = item->row;
    if (!row || row->state != LEDGER_PARTIAL || row->in_flight == 0 || row->in_flight <= item->done)
        return true;
    const struct statement *statement = item->statements[row->in_flight - 1];
    const char *file = item->migration->file;
    error_set(err, ERROR_MIGRATION_CUT_OFF,
              "%s, line %u: statement %zu of %zu (%s%s%s) was cut off in run %s; look whether it took effect", file,
              statement->line, row->in_flight, item->count, statement->tag ? statement->tag : "a statement",
              statement->relation ? " on " : "", statement->relation ? statement->relation : "", row->run);
    text_copy(err->file, sizeof(err->file), view_of(file));
    err->line = statement->line;
    err->statement = (unsigned)row->in_flight;
    err->statements = (unsigned)item->count;
    text_copy(err->hint, sizeof(err->hint),
              VIEW("When it did not, undo what is left of it (an INVALID index: DROP INDEX CONCURRENTLY) and UPDATE "
                   "pawl.migrations SET in_flight = NULL for this version; then run again."));
    return false;
}

// $1: the table as written, $2: the index, NULL for any of the table.
static const char invalid_sql[] = "SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_index i JOIN "
                                  "pg_catalog.pg_class c ON c.oid = i.indexrelid"
                                  " WHERE i.indrelid = pg_catalog.to_regclass($1) AND NOT i.indisvalid"
                                  " AND ($2::text IS NULL OR pg_catalog.quote_ident(c.relname) = $2) LIMIT 1";

bool recover_verify(struct postgres *postgres, const struct statement *statement, struct error *err) {
    if (statement->operation != OPERATION_CREATE_INDEX || !statement->concurrently)
        return true;
    const char *values[] = {statement->relation, statement->object_count > 0 ? statement->objects[0] : NULL};
    cleanup_rows struct postgres_rows *rows = NULL;
    if (!postgres_query(postgres, invalid_sql, values, 2, &rows, err))
        return error_wrap(err, "cannot look at the index");
    if (postgres_row_count(rows) == 0)
        return true;
    error_set(err, ERROR_MIGRATION_FAILED, "the index %s is INVALID", postgres_value(rows, 0, 0));
    text_copy(err->hint, sizeof(err->hint),
              VIEW("It was left by an earlier failure, and IF NOT EXISTS keeps it. DROP INDEX CONCURRENTLY, then run "
                   "again."));
    return false;
}
