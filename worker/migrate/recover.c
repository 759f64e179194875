// Recovery by kind. Everything here can be cut off itself and be done again.
#include "migrate/recover.h"

#include <string.h>

bool recover_leaves_traces(const struct statement *statement, const char *sqlstate) {
    if (!strncmp(sqlstate, "42", 2)) // syntax, names, privileges: refused before anything was done
        return false;
    return statement->concurrently || statement->operation == OPERATION_DO || statement->operation == OPERATION_CALL ||
           statement->operation == OPERATION_OTHER;
}

bool recover_keeps_text(const struct statement *statement) {
    return statement->concurrently;
}

// ---- indexes -----------------------------------------------------------------------------------------------------------

// The indexes that a CREATE INDEX CONCURRENTLY made: $1 its table, $2 its name (with the schema where the table was written with one), or
// NULL and $3 the names that were there before. What a session is building at this moment is somebody else's: ours has ended.
#define MADE                                                                                                           \
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"                                   \
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE i.indrelid = pg_catalog.to_regclass($1)"          \
    " AND CASE WHEN $2::text IS NULL THEN c.relname <> ALL ($3::text[]) AND NOT EXISTS (SELECT FROM"                   \
    "  pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = c.oid) ELSE $2 IN ("                           \
    "pg_catalog.quote_ident(c.relname),"                                                                               \
    "  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)) END"
#define DROP_IT "'DROP INDEX CONCURRENTLY ' || c.oid::pg_catalog.regclass::text"
static const char made_sql[] = "SELECT " DROP_IT ", i.indisvalid" MADE " ORDER BY i.indisvalid";
static const char before_sql[] =
    "SELECT pg_catalog.array_agg(c.relname::text) FROM pg_catalog.pg_index i"
    " JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = pg_catalog.to_regclass($1)";

// What a REINDEX CONCURRENTLY left: the new index that was not finished, or the old one that was not dropped. $1: the index or table as
// written, NULL for all; $2: the schema, NULL for all. Tables have TOAST tables with an index each; whoever may not use their schema
// cannot drop what is left there, and the next REINDEX skips it.
static const char leftovers_sql[] =
    "SELECT " DROP_IT " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
    " JOIN pg_catalog.pg_class o ON i.indrelid IN (o.oid, o.reltoastrelid) AND o.relkind <> 't'"
    " WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'"
    " AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')"
    " AND ($1::text IS NULL OR o.oid = pg_catalog.to_regclass($1) OR o.oid = (SELECT x.indrelid FROM"
    "  pg_catalog.pg_index x WHERE x.indexrelid = pg_catalog.to_regclass($1))"
    "  OR o.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) WHERE relid IS NOT "
    "NULL))"
    " AND ($2::text IS NULL OR o.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE"
    "  pg_catalog.quote_ident(nspname) = $2))";

static bool drop_all(struct postgres *postgres, const struct postgres_rows *rows, bool valid_too, struct error *err) {
    for (size_t i = 0; i < postgres_row_count(rows); i++)
        if ((valid_too || *postgres_value(rows, i, 1) == 'f') &&
            !postgres_execute(postgres, postgres_value(rows, i, 0), NULL, 0, err))
            return error_wrap(err, "cannot drop what is left of an index (%s)", postgres_value(rows, i, 0));
    return true;
}

static bool made_by(struct postgres *postgres, const struct statement *statement, const char *before,
                    struct postgres_rows **ret_rows, struct error *err) {
    const char *values[] = {statement->relation, statement->object_count > 0 ? statement->objects[0] : NULL,
                            before ? before : "{}"};
    return postgres_query(postgres, made_sql, values, 3, ret_rows, err) ||
           error_wrap(err, "cannot look at the indexes");
}

static bool builds_index(const struct statement *statement) {
    return statement->operation == OPERATION_CREATE_INDEX && statement->concurrently;
}

bool recover_prepare(struct postgres *postgres, const struct statement *statement, struct arena *arena,
                     const char **ret_before, struct error *err) {
    *ret_before = NULL;
    if (!builds_index(statement))
        return true;
    cleanup_rows struct postgres_rows *trap = NULL, *rows = NULL;
    if (statement->conditional &&
        (!made_by(postgres, statement, NULL, &trap, err) || !drop_all(postgres, trap, false, err)))
        return false;
    if (!postgres_query(postgres, before_sql, &statement->relation, 1, &rows, err))
        return error_wrap(err, "cannot look at the indexes");
    const char *before = postgres_value(rows, 0, 0);
    *ret_before = arena_string(arena, before ? before : "{}");
    return true;
}

bool recover_verify(struct postgres *postgres, const struct statement *statement, const char *before,
                    struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    if (!builds_index(statement))
        return true;
    if (!made_by(postgres, statement, before, &rows, err))
        return false;
    for (size_t i = 0; i < postgres_row_count(rows); i++)
        if (*postgres_value(rows, i, 1) == 'f')
            return error_set(err, ERROR_MIGRATION_FAILED, "the index was built and is INVALID (%s)",
                             postgres_value(rows, i, 0));
    return true;
}

static bool settle_index(struct postgres *postgres, const struct statement *statement, const char *before, bool same,
                         enum recover_verdict *ret_verdict, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    if (!made_by(postgres, statement, before, &rows, err))
        return false;
    size_t count = postgres_row_count(rows), valid = 0;
    for (size_t i = 0; i < count; i++)
        valid += *postgres_value(rows, i, 1) == 't';
    // Without a name one of these may be somebody else's: the only one is ours when it was to be built, and that cannot be told when
    // it is to go.
    if (statement->object_count == 0 && valid > 0 && (!same || count > 1)) {
        *ret_verdict = RECOVER_UNKNOWN;
        return true;
    }
    if (!drop_all(postgres, rows, !same && !statement->conditional, err))
        return false;
    *ret_verdict = valid > 0 && same ? RECOVER_DONE : RECOVER_AGAIN;
    return true;
}

static bool settle_reindex(struct postgres *postgres, const struct statement *statement,
                           enum recover_verdict *ret_verdict, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    const char *object = statement->object_count > 0 ? statement->objects[0] : NULL;
    const char *values[] = {NULL, NULL};
    if (statement->operation == OPERATION_REINDEX_INDEX)
        values[0] = object;
    else if (statement->operation == OPERATION_REINDEX_TABLE)
        values[0] = statement->relation;
    else if (statement->operation == OPERATION_REINDEX_SCHEMA)
        values[1] = object;
    if (statement->concurrently &&
        (!postgres_query(postgres, leftovers_sql, values, 2, &rows, err) || !drop_all(postgres, rows, true, err)))
        return false;
    *ret_verdict = RECOVER_AGAIN;
    return true;
}

// ---- partitions --------------------------------------------------------------------------------------------------------

static const char detach_sql[] =
    "SELECT inhdetachpending, 'ALTER TABLE ' || inhparent::pg_catalog.regclass::text || ' DETACH PARTITION '"
    " || inhrelid::pg_catalog.regclass::text || ' FINALIZE' FROM pg_catalog.pg_inherits"
    " WHERE inhparent = pg_catalog.to_regclass($1) AND inhrelid = pg_catalog.to_regclass($2)";

static bool settle_detach(struct postgres *postgres, const struct statement *statement,
                          enum recover_verdict *ret_verdict, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    const char *values[] = {statement->relation, statement->object_count > 0 ? statement->objects[0] : NULL};
    if (!postgres_query(postgres, detach_sql, values, 2, &rows, err))
        return error_wrap(err, "cannot look at the partition");
    bool attached = postgres_row_count(rows) > 0, pending = attached && *postgres_value(rows, 0, 0) == 't';
    if (pending && !postgres_execute(postgres, postgres_value(rows, 0, 1), NULL, 0, err))
        return error_wrap(err, "cannot finish detaching the partition");
    *ret_verdict = attached && !pending ? RECOVER_AGAIN : RECOVER_DONE;
    return true;
}

// ---- everything else ---------------------------------------------------------------------------------------------------

// Statements that either took effect or did not, and how to tell: $1 is their object.
static const struct {
    enum statement_operation operation;
    const char *exists;
    bool creates;
} objects[] = {
    {OPERATION_DROP_INDEX, "SELECT pg_catalog.to_regclass($1) IS NOT NULL", false},
    {OPERATION_CREATE_DATABASE,
     "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE pg_catalog.quote_ident(datname) = $1)", true},
    {OPERATION_DROP_DATABASE,
     "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE pg_catalog.quote_ident(datname) = $1)", false},
    {OPERATION_CREATE_TABLESPACE,
     "SELECT EXISTS (SELECT FROM pg_catalog.pg_tablespace WHERE pg_catalog.quote_ident(spcname) = $1)", true},
    {OPERATION_DROP_TABLESPACE,
     "SELECT EXISTS (SELECT FROM pg_catalog.pg_tablespace WHERE pg_catalog.quote_ident(spcname) = $1)", false},
    {OPERATION_CREATE_SUBSCRIPTION,
     "SELECT EXISTS (SELECT FROM pg_catalog.pg_subscription WHERE pg_catalog.quote_ident(subname) = $1 AND subdbid ="
     " (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))",
     true},
    {OPERATION_DROP_SUBSCRIPTION,
     "SELECT EXISTS (SELECT FROM pg_catalog.pg_subscription WHERE pg_catalog.quote_ident(subname) = $1 AND subdbid ="
     " (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))",
     false},
};

static bool settle_object(struct postgres *postgres, const struct statement *statement, size_t row,
                          enum recover_verdict *ret_verdict, struct error *err) {
    bool exists = false;
    for (size_t i = 0; i < statement->object_count; i++) {
        cleanup_rows struct postgres_rows *rows = NULL;
        if (!postgres_query(postgres, objects[row].exists, &statement->objects[i], 1, &rows, err))
            return error_wrap(err, "cannot look at what was cut off");
        exists = exists || *postgres_value(rows, 0, 0) == 't';
    }
    *ret_verdict = exists == objects[row].creates ? RECOVER_DONE : RECOVER_AGAIN;
    return true;
}

bool recover_settle(struct postgres *postgres, const struct statement *statement, const char *before, bool same,
                    enum recover_verdict *ret_verdict, struct error *err) {
    switch (statement->operation) {
    case OPERATION_CREATE_INDEX:
        return settle_index(postgres, statement, before, same, ret_verdict, err);
    case OPERATION_REINDEX_INDEX:
    case OPERATION_REINDEX_TABLE:
    case OPERATION_REINDEX_SCHEMA:
    case OPERATION_REINDEX_DATABASE:
        return settle_reindex(postgres, statement, ret_verdict, err);
    case OPERATION_DETACH_PARTITION:
        return settle_detach(postgres, statement, ret_verdict, err);
    case OPERATION_VACUUM: // saying it twice does no harm
    case OPERATION_CLUSTER:
    case OPERATION_ALTER_SYSTEM:
    case OPERATION_MOVE_DATABASE:
    case OPERATION_ALTER_SUBSCRIPTION:
    case OPERATION_DISCARD:
    case OPERATION_SET:
        *ret_verdict = RECOVER_AGAIN;
        return true;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
        if (objects[i].operation == statement->operation && statement->object_count > 0)
            return settle_object(postgres, statement, i, ret_verdict, err);
    *ret_verdict = RECOVER_UNKNOWN;
    return true;
}
