// A delivery may come twice, and "two steps back" said twice must not be four: the row of the run keeps the version that is to be left.
#include "migrate/rollback.h"

#include "migrate/home.h"
#include "migrate/lock.h"

#include <string.h>

#define NOTHING "nothing" // is to be left

// $2: where a replay comes from; what its first message has settled holds for it.
static const char settled_sql[] =
    "SELECT pg_catalog.bool_or(state = 'rolled_back'), coalesce(max(\"to\") FILTER (WHERE id = $1), max(\"to\"))"
    " FROM {ledger}.runs WHERE id IN ($1, $2::jsonb->>'replay_of') HAVING pg_catalog.count(*) > 0";
static const char settle_sql[] =
    "WITH run AS (UPDATE {ledger}.runs SET \"to\" = $2 WHERE id = $1 AND " LOCK_IS_OURS " RETURNING 1) SELECT FROM run";

// `*ret_floor` NULL: nothing is to be left.
static bool settle(struct postgres *postgres, const struct run_request *request, const struct ledger *ledger,
                   struct arena *arena, bool *ret_done, const char **ret_floor, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL, *written = NULL;
    const char *ids[] = {request->id, request->origin};
    if (!home_query(postgres, settled_sql, ids, 2, &rows, err))
        return error_wrap(err, "cannot look how far to go back");
    bool known = postgres_row_count(rows) == 1;
    *ret_done = known && *postgres_value(rows, 0, 0) == 't';
    const char *floor = known ? arena_string(arena, postgres_value(rows, 0, 1)) : NULL;
    if (!floor) {
        floor = plan_floor(ledger, request->steps, arena);
        const char *values[] = {request->id, floor ? floor : NOTHING};
        if (!home_query(postgres, settle_sql, values, 2, &written, err))
            return error_wrap(err, "cannot record how far to go back");
        if (postgres_row_count(written) != 1)
            return error_set(err, ERROR_LOCK_LOST, "the session no longer holds the lock; nothing was rolled back");
    }
    *ret_floor = floor && !strcmp(floor, NOTHING) ? NULL : floor;
    return true;
}

bool rollback_plan(struct postgres *postgres, const struct migration_set *set, const struct run_request *request,
                   const struct ledger *ledger, struct arena *arena, struct plan *ret_plan, struct error *err) {
    bool done = false;
    const char *floor = NULL;
    if (!settle(postgres, request, ledger, arena, &done, &floor, err))
        return false;
    if (!done)
        return plan_back(set, ledger, floor, arena, ret_plan, err);
    struct plan plan = {.back = true};
    plan.newest = plan_floor(ledger, 0, arena);
    *ret_plan = plan;
    return true;
}
