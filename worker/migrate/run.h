// One run: from a set of files to a database that has them, under the lock, with its ledger. What commands call.
// How it goes about it is the business of the other files in this room: database (connections), session (what a session looks like),
// ledger (tables), lock, plan (what is pending; pure), apply.
#pragma once
#include "net/postgres.h"
#include "source/directory.h"

// Stops runs from another thread. One control may serve several runs, one after the other or at once.
struct run_control;
struct run_control *run_control_new(void);
void run_control_free(struct run_control *control);
void run_control_stop(struct run_control *control);   // no new migration, stop waiting; thread-safe
void run_control_cancel(struct run_control *control); // and cancel the statement in flight; thread-safe

// A database and, between runs, one warm connection to it. Thread-safe. A connection that was idle for a minute is not used again
// and is closed by run_database_tidy, for serve to call now and then; an idle connection holds no lock and no transaction.
struct run_database;
struct run_database *run_database_new(const char *url); // copied, and wiped when freed

struct run_login { // what one connection is opened with
    struct secret url;
    struct secret password; // wins over the URL's; `value` NULL: the URL's
    char user[256];         // where the URL names none; "" = libpq's own choice
    bool tls;               // never without
};
void run_login_done(struct run_login *login);
// Asked before each connection, from any thread. `refused`: the server has just refused what was given before, for who asks or
// for its password; so asked only when `renewable`, and once.
struct run_login_source {
    bool (*fetch)(void *context, bool refused, struct run_login *ret_login, struct error *err);
    void *context; // outlives the database
    bool renewable;
    const char *schema, *role; // see home.h; checked, and copied; NULL: pawl, and none
};
struct run_database *run_database_new_login(const struct run_login_source *source);
void run_database_free(struct run_database *database);
// Connects now and keeps the connection for the first run: serve does so in a thread while it fetches the keys.
bool run_database_warm(struct run_database *database, struct run_control *control, struct error *err);
void run_database_tidy(struct run_database *database);

struct run_errand;
struct run_request {                                   // strings are borrowed
    const char *id;                                    // run id: the Pub/Sub message id or a random one
    const char *target, *release, *reason, *publisher; // NULL = unknown
    const char *origin;                                // of a dead letter or a replay: a JSON object; NULL = it is none
    const char *proof;                                 // who published, as verified: a JSON object; NULL = not proved
    const char *worker;                                // this program and its version, for the record; NULL = unknown
    const char *to;                                    // NULL = newest
    int64_t delivery_attempt;                          // 0 = unknown
    bool plan_only;                                    // touch nothing, take no lock, report
    bool out_of_order;                                 // apply versions below the newest applied one too ...
    bool allow_out_of_order;                           // ... which the target must permit
    bool rollback;                                     // take back what is above `to`, by the down files ...
    unsigned steps;                                    // ... or, without `to`, so many of the newest versions
    bool allow_rollback;                               // which the target must permit too
    unsigned lock_wait_ms;                             // how long to poll for the lock; 0 = one try
    unsigned lock_timeout_ms;                          // for transactional statements; 0 = 200
    unsigned watch_after_ms;                           // a statement that runs so long is watched; 0 = 3000
    bool session_pooler;                               // whatever sits in between pools sessions: locks hold through it
    const struct run_errand *errand;                   // NULL: migrate
};
struct forecast;
struct run_item {
    const char *version, *name, *file;
    bool repeatable;
    size_t statements;               // that took effect, or would
    uint64_t ms;                     // 0 while only planned
    const char *state;               // "applied", "pending", "rolled_back", an errand's
    const struct forecast *forecast; // what it would do (migrate/forecast.h); NULL unless planned
};
struct run_report {         // lives in the arena given
    const char *state;      // "applied", "nothing_pending", "superseded", "planned", "rolled_back", an errand's
    struct run_item *items; // applied or taken back now, or (plan_only) pending, in order
    size_t count;
    size_t applied_before; // rows in the ledger before
    const char *version;   // newest applied version after; NULL = none
    const char *digest;    // of the files
    uint64_t ms, round_trips;
};
// What is done to the ledger by hand, in place of migrating: under the lock, with its row in pawl.runs. It works on its own and needs a
// session: behind a pooler that hands out transactions it is refused.
struct run_errand {
    const char *state; // that the run ends with: "adopted", "repaired"
    // Fills items and count. One command that proves the lock is all or nothing. The failure is recorded by the run.
    bool (*work)(void *context, struct postgres *postgres, const struct migration_set *set, struct arena *arena,
                 struct run_report *report, struct error *err);
    void *context;
};
enum run_event_kind {
    RUN_WAITING,  // another run holds the lock: `holder`, for `ms` so far
    RUN_LOCKED,   // the lock is ours, `total` migrations are pending
    RUN_STARTED,  // `migration` was sent to the server
    RUN_PROGRESS, // `statement` of `statements` of `migration` is done (only where statements take effect one by one), or, with `text`: so
                  // far the batch that comes next has got, `work_done` rows after `ms`
    RUN_BATCHED,  // that batch has ended: as above
    RUN_RETRYING, // `migration` was rolled back and is tried again: `holder` says why, and who is in the way
    RUN_ROLLED_BACK, // `migration` is taken back by its down file; as RUN_APPLIED
    RUN_APPLIED,     // `migration` is committed; `done` of `total`, it took `ms`
    RUN_WATCHED, // a statement of `migration` runs for `ms` so far; `text` says more, `work_done` of `work_total` how far it is
};
struct run_event {
    enum run_event_kind kind;
    const struct migration *migration; // NULL while waiting
    size_t done, total;                // migrations of this run
    size_t statement, statements;
    const char *holder;
    uint64_t ms;
    const char *text;               // RUN_WATCHED: what it does, who is in its way, who waits for it; see RUN_PROGRESS
    uint64_t work_done, work_total; // RUN_WATCHED: blocks, rows or bytes; `work_total` 0: not known
};
// Called on the thread of run_execute, but for RUN_WATCHED, which comes from another; never twice at once, and not after run_execute has
// returned.
struct run_observer {
    void (*event)(void *context, const struct run_event *event);
    void *context;
};
// Brings the database to the newest file (or `to`), or back. A rollback is done once for an id: it settles first, in its row in
// pawl.runs, down to where it goes, so that no second delivery takes back more. `observer` and `control` may be
// NULL. Whatever happens, nothing is left locked or half recorded. A failure is recorded in the ledger too, as far
// as the database can be reached. Errors: NOT_PERMITTED, VERSION_UNKNOWN, those of postgres.h and directory.h,
// DATABASE_POOLER, LEDGER_NEWER, LEDGER_FOREIGN, LOCK_*, SHUTTING_DOWN, ROLLBACK_IMPOSSIBLE, MIGRATION_* (file,
// line, statement and SQLSTATE set where there are such).
bool run_execute(struct run_database *database, const struct migration_set *set, const struct run_request *request,
                 const struct run_observer *observer, struct run_control *control, struct arena *arena,
                 struct run_report *ret_report, struct error *err);
// For `pawl status`: every file and every ledger row, merged, in order; reads only.
struct status_item {
    const char *version, *name, *file; // as they are now; of what is only in the ledger, as they were
    const char *state;                 // "applied", "pending", "changed", "missing", "partial", "out_of_order"
    const char *applied_at, *run;      // NULL: not applied
    bool repeatable;
};
bool run_status(struct run_database *database, const struct migration_set *set, struct run_control *control,
                struct arena *arena, struct status_item **ret_items, size_t *ret_count, struct error *err);
