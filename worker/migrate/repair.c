// Repairs of the ledger. Each is one command that says itself what it may touch, and proves the lock. How it gets there is run.c's
// business, as for every run.
#include "migrate/repair.h"

#include "migrate/home.h"
#include "migrate/ledger.h"
#include "migrate/lock.h"

#include <string.h>

#define THIS_ONE " WHERE ($1 = file OR ($1 = version AND kind = 'versioned')) AND " LOCK_IS_OURS
// $1: file or version; $2: the checksum of the file as it is now, NULL when there is no such file.
static const struct {
    const char *sql, *nothing;
} actions[] = {
    [REPAIR_DONE] = {"UPDATE {ledger}.migrations SET done = in_flight, in_flight = NULL,"
                     " hashes = hashes || coalesce(in_flight_hash, ''),"
                     " state = CASE WHEN in_flight = statements THEN 'applied' ELSE 'partial' END,"
                     " finished_at = CASE WHEN in_flight = statements THEN pg_catalog.now() END" THIS_ONE
                     " AND in_flight IS NOT NULL AND ($2::text IS NULL OR true) RETURNING file",
                     "no statement of it was cut off"},
    [REPAIR_AGAIN] = {"UPDATE {ledger}.migrations SET in_flight = NULL" THIS_ONE
                      " AND in_flight IS NOT NULL AND ($2::text IS NULL OR true) RETURNING file",
                      "no statement of it was cut off"},
    [REPAIR_ACCEPT] = {"UPDATE {ledger}.migrations SET checksum = $2" THIS_ONE
                       " AND state = 'applied' AND checksum <> $2 RETURNING file",
                       "it is not applied, or not changed"},
    [REPAIR_FORGET] = {"DELETE FROM {ledger}.migrations" THIS_ONE " AND $2::text IS NULL RETURNING file",
                       "the ledger does not have it, or its file is still there"},
};

static const char *const words[] = {
    [REPAIR_DONE] = "done", [REPAIR_AGAIN] = "again", [REPAIR_ACCEPT] = "accept", [REPAIR_FORGET] = "forget"};

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
    if (!home_query(postgres, actions[request->action].sql, values, 2, &rows, err))
        return error_wrap(err, "cannot mend the ledger");
    if (postgres_row_count(rows) != 1)
        return error_set(err, ERROR_USAGE, "%s: %s", request->file, actions[request->action].nothing);
    *ret_file = arena_string(arena, postgres_value(rows, 0, 0));
    return true;
}

struct mending {
    const struct repair_request *request;
    const char *file;
};

static bool work(void *context, struct postgres *postgres, const struct migration_set *set, struct arena *arena,
                 struct run_report *report, struct error *err) {
    struct mending *mending = context;
    (void)report; // nothing was applied
    return mend(postgres, set, mending->request, arena, &mending->file, err);
}

bool repair_execute(struct run_database *database, const struct migration_set *set,
                    const struct repair_request *request, const struct run_observer *observer,
                    struct run_control *control, struct arena *arena, const char **ret_file, struct error *err) {
    struct mending mending = {.request = request};
    struct run_errand errand = {.state = "repaired", .work = work, .context = &mending};
    struct run_request run = *request->run;
    struct run_report report;
    run.errand = &errand;
    if (!run.reason)
        run.reason = arena_printf(arena, "repair --%s %s", words[request->action], request->file);
    if (!run_execute(database, set, &run, observer, control, arena, &report, err))
        return false;
    *ret_file = mending.file;
    return true;
}
