// Repairs of the ledger. Each is one command that says itself what it may touch, and proves the lock.
#include "migrate/repair.h"

#include "migrate/control.h"
#include "migrate/database.h"
#include "migrate/ledger.h"
#include "migrate/lock.h"

#include <string.h>

#define THIS_ONE " WHERE ($1 = file OR ($1 = version AND kind = 'versioned')) AND " LOCK_IS_OURS
// $1: file or version; $2: the checksum of the file as it is now, NULL when there is no such file.
static const struct {
    const char *sql, *nothing;
} actions[] = {
    [REPAIR_DONE] = {"UPDATE pawl.migrations SET done = in_flight, in_flight = NULL,"
                     " hashes = hashes || coalesce(in_flight_hash, ''),"
                     " state = CASE WHEN in_flight = statements THEN 'applied' ELSE 'partial' END,"
                     " finished_at = CASE WHEN in_flight = statements THEN pg_catalog.now() END" THIS_ONE
                     " AND in_flight IS NOT NULL AND ($2::text IS NULL OR true) RETURNING file",
                     "no statement of it was cut off"},
    [REPAIR_AGAIN] = {"UPDATE pawl.migrations SET in_flight = NULL" THIS_ONE
                      " AND in_flight IS NOT NULL AND ($2::text IS NULL OR true) RETURNING file",
                      "no statement of it was cut off"},
    [REPAIR_ACCEPT] = {"UPDATE pawl.migrations SET checksum = $2" THIS_ONE
                       " AND state = 'applied' AND checksum <> $2 RETURNING file",
                       "it is not applied, or not changed"},
    [REPAIR_FORGET] = {"DELETE FROM pawl.migrations" THIS_ONE " AND $2::text IS NULL RETURNING file",
                       "the ledger does not have it, or its file is still there"},
};

static const char *checksum_of(const struct migration_set *set, const char *file) {
    for (size_t i = 0; i < set->count; i++) {
        const struct migration *migration = &set->items[i];
        if (!strcmp(migration->file, file) ||
            (migration->kind == MIGRATION_VERSIONED && !strcmp(migration->version, file)))
            return migration->checksum;
    }
    return NULL;
}

static bool mend(struct postgres *postgres, const struct migration_set *set, const struct repair_request *request,
                 struct arena *arena, const char **ret_file, struct error *err) {
    const char *values[] = {request->file, checksum_of(set, request->file)};
    cleanup_rows struct postgres_rows *rows = NULL;
    if (!postgres_query(postgres, actions[request->action].sql, values, 2, &rows, err)) {
        if (err->code == ERROR_MIGRATION_FAILED)
            err->code = ERROR_INTERNAL;
        return error_wrap(err, "cannot mend the ledger");
    }
    if (postgres_row_count(rows) != 1)
        return error_set(err, ERROR_USAGE, "%s: %s", request->file, actions[request->action].nothing);
    *ret_file = arena_string(arena, postgres_value(rows, 0, 0));
    return true;
}

static bool release(struct postgres *postgres) {
    struct error ignored = {0};
    return lock_send_release(postgres, &ignored) && postgres_sync(postgres, &ignored) &&
           postgres_receive(postgres, NULL, &ignored) == POSTGRES_DONE &&
           postgres_receive(postgres, NULL, &ignored) == POSTGRES_SYNCED;
}

static bool repair(struct postgres *postgres, const struct migration_set *set, const struct repair_request *request,
                   const struct run_observer *observer, struct run_control *control, struct arena *arena,
                   const char **ret_file, struct error *err) {
    bool pooled = false;
    if (!lock_acquire(postgres, request->run, observer, control, &pooled, err))
        return false;
    if (pooled)
        return error_set(err, ERROR_DATABASE_POOLER, "repairs need a session, and a pooler sits in between");
    return ledger_prepare(postgres, false, err) && mend(postgres, set, request, arena, ret_file, err);
}

bool repair_execute(struct run_database *database, const struct migration_set *set,
                    const struct repair_request *request, const struct run_observer *observer,
                    struct run_control *control, struct arena *arena, const char **ret_file, struct error *err) {
    struct postgres *postgres = NULL;
    bool warm = false;
    if (!database_take(database, control, &postgres, &warm, err))
        return false;
    struct control_entry entry = {.postgres = postgres};
    control_enter(control, &entry);
    bool done = repair(postgres, set, request, observer, control, arena, ret_file, err);
    control_leave(control, &entry);
    if (postgres_alive(postgres) && release(postgres))
        database_put(database, postgres);
    else
        postgres_close(postgres); // and with it the lock
    return done;
}
