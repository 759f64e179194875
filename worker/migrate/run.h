// One run: from a set of files to a database that has them, under the lock, with its ledger. What commands call.
#pragma once
#include "net/postgres.h"
#include "source/directory.h"
#include <stdatomic.h>

struct run_request {                                   // strings are borrowed
    const char *id;                                    // run id: the Pub/Sub message id or a random one
    const char *target, *release, *reason, *publisher; // NULL = unknown
    const char *to;                                    // NULL = newest
    int64_t delivery_attempt;                          // 0 = unknown
    bool plan_only;                                    // touch nothing, report
    unsigned lock_wait_ms;                             // how long to poll for the lock; 0 = one try
    unsigned lock_timeout_ms;                          // for transactional statements; default 200
};
struct run_item {
    const char *version, *name, *file;
    bool repeatable;
    size_t statements;
    uint64_t ms;
    const char *state;
};
struct run_report {         // lives in the arena given
    const char *state;      // "applied", "nothing_pending", "superseded", "planned"
    struct run_item *items; // applied now, or (plan_only) pending, in order
    size_t count;
    size_t applied_before; // rows in the ledger before
    const char *version;   // newest applied version after; NULL = none
    uint64_t ms, round_trips;
};
enum run_event_kind { RUN_WAITING, RUN_LOCKED, RUN_STARTED, RUN_PROGRESS, RUN_APPLIED };
struct run_event {
    enum run_event_kind kind;
    const struct migration *migration;
    size_t done, total;
    const char *holder;
    uint64_t ms;
};
struct run_observer {
    void (*event)(void *context, const struct run_event *event);
    void *context;
};
// `stop`: becomes true when the process must end; checked between migrations and while waiting -> ERROR_SHUTTING_DOWN. `connection` (may be NULL) is
// where the open connection is published so that another thread can postgres_cancel it; set to NULL before it closes, under `lock`... see run_control.
struct run_control;
struct run_control *run_control_new(void);
void run_control_free(struct run_control *control);
void run_control_stop(struct run_control *control);   // no new migration, stop waiting; thread-safe
void run_control_cancel(struct run_control *control); // and cancel the statement in flight; thread-safe
bool run_execute(const char *database_url, const struct migration_set *set, const struct run_request *request,
                 const struct run_observer *observer, struct run_control *control, struct arena *arena,
                 struct run_report *ret_report, struct error *err);
// For `pawl status`: every file and every ledger row, merged. States: applied, pending, changed, missing, partial, out_of_order.
struct status_item {
    const char *version, *name, *file, *state, *applied_at, *run;
    bool repeatable;
};
bool run_status(const char *database_url, const struct migration_set *set, struct arena *arena,
                struct status_item **ret_items, size_t *ret_count, struct error *err);
