// The way of one run: connect, say that we are here (and be done when nothing is pending: one round trip), take the lock, read the
// ledger, plan, apply, leave word. When the connection breaks on the way, the same way is walked again on a new one: the lock is
// free only once the old session has ended, and then the ledger says what of it took effect.
#include "migrate/run.h"

#include "base/clock.h"
#include "migrate/apply.h"
#include "migrate/control.h"
#include "migrate/database.h"
#include "migrate/forecast.h"
#include "migrate/home.h"
#include "migrate/ledger.h"
#include "migrate/lock.h"
#include "migrate/rollback.h"
#include "migrate/session.h"

#include <pthread.h>
#include <string.h>

enum {
    LOCK_TIMEOUT_MS = 200,
    RECONNECTS = 3,
    RECONNECT_FIRST_MS = 200,
    RECONNECT_CAP_MS = 2000,
    POOLED_FIRST_MS = 20,
    POOLED_CAP_MS = 500,
};

struct run {
    struct run_database *database;
    const struct migration_set *set;
    const struct run_request *request;
    const struct run_observer *observer;
    struct run_control *control;
    struct arena *arena;
    struct postgres *postgres;
    uint64_t lock_timeout_ms, started, round_trips;
    bool pooled;            // by something that hands out transactions, not sessions
    bool begun;             // the ledger was read once: `before` is known
    size_t before;          // applied rows at that time
    struct applied applied; // since then
    struct plan pending;    // the last plan
    size_t planned;         // applied before it and pending in it
    struct run_report report;
};

// ---- small exchanges ---------------------------------------------------------------------------------------------------

static bool send_settings(struct run *run, enum session_span span, struct error *err) {
    char name[SESSION_NAME_MAX + 1];
    session_name(name, run->request->id, 0, 0, NULL);
    struct session session = {.name = name, .lock_timeout_ms = run->lock_timeout_ms, .span = span};
    return session_send_settings(run->postgres, &session, err);
}

// Settings and arrival, one transaction and one round trip: the settings end with it unless the session is ours.
// `ret_known` false: there is no ledger of our version to arrive at; `err` may say more.
static bool arrive(struct run *run, const char *digest, bool *ret_known, struct ledger_arrival *ret_arrival,
                   struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    enum session_span span = run->pooled                    ? SESSION_TRANSACTION
                             : run->request->session_pooler ? SESSION_WHOLE
                                                            : SESSION_IF_OURS;
    if (!send_settings(run, span, err) || !ledger_send_arrival(run->postgres, run->request, digest, err) ||
        !postgres_sync(run->postgres, err))
        return false;
    struct error late = {0};
    enum postgres_answer settings = postgres_receive(run->postgres, NULL, err);
    if (settings == POSTGRES_BROKEN)
        return false;
    bool done = postgres_take_all(run->postgres, 1, &rows, settings == POSTGRES_DONE ? err : &late) &&
                settings == POSTGRES_DONE;
    if (settings == POSTGRES_REFUSED && home_refused(run->postgres, err))
        return false;
    if (!done && (!*err->sqlstate || err->code == ERROR_DATABASE_UNAVAILABLE))
        return false; // a connection that breaks only after the refusal is found out by the next command
    *ret_known = done && ledger_arrived(rows, run->arena, ret_arrival);
    return true;
}

// An arrival that failed has taken its settings with it.
static bool settle_in(struct run *run, struct error *err) {
    return send_settings(run, SESSION_WHOLE, err) && postgres_sync(run->postgres, err) &&
           postgres_take_all(run->postgres, SESSION_SETTINGS, NULL, err);
}

// The record of the run and the end of the lock, best effort after a failure.
static bool depart(struct run *run, const struct ledger_departure *departure, struct error *err) {
    size_t count = 1;
    return home_send_role(run->postgres, &count, err) &&
           ledger_send_departure(run->postgres, run->request->id, departure, err) &&
           postgres_sync(run->postgres, err) && lock_send_release(run->postgres, err) &&
           postgres_sync(run->postgres, err) && postgres_take_all(run->postgres, count, NULL, err) &&
           postgres_take_all(run->postgres, 1, NULL, err);
}

// ---- the report --------------------------------------------------------------------------------------------------------

static void report_complete(struct run *run, const struct ledger_arrival *arrival) {
    run->report.state = "nothing_pending";
    run->report.applied_before = arrival->applied;
    run->report.version = arrival->newest;
}

static void report_plan(struct run *run, const struct plan *plan) {
    run->report.state = "planned";
    run->report.applied_before = plan->applied;
    run->report.version = plan->newest;
    run->report.items = arena_array(run->arena, plan->count + 1, sizeof(struct run_item));
    run->report.count = plan->count;
    for (size_t i = 0; i < plan->count; i++) {
        const struct migration *migration = plan->items[i].migration;
        run->report.items[i] = (struct run_item){.version = migration->version,
                                                 .name = migration->name,
                                                 .file = migration->file,
                                                 .repeatable = migration->kind == MIGRATION_REPEATABLE,
                                                 .state = "pending"};
    }
}

static const char *newest_of(const struct plan *plan) {
    const char *newest = plan->newest;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->items[i].migration->kind == MIGRATION_VERSIONED &&
            (!newest || version_compare(plan->items[i].migration->version, newest) > 0))
            newest = plan->items[i].migration->version;
    return newest;
}

static size_t total_after(const struct plan *plan) {
    size_t total = plan->applied;
    for (size_t i = 0; i < plan->count; i++)
        total += !plan->items[i].row || plan->items[i].row->state != LEDGER_APPLIED;
    return total;
}

// ---- the way -----------------------------------------------------------------------------------------------------------

// What a broken connection left unanswered: the ledger says which of it this run has committed after all.
static bool is_settled(const struct run *run, const struct ledger *ledger, const struct migration *migration) {
    for (size_t i = 0; i < ledger->count; i++) {
        const struct ledger_row *row = &ledger->rows[i];
        if (row->kind == migration->kind && !strcmp(row->version, migration->version))
            return !run->pending.back && row->state == LEDGER_APPLIED && !strcmp(row->checksum, migration->checksum) &&
                   !strcmp(row->run, run->request->id);
    }
    return run->pending.back;
}

static size_t statements_of(const struct ledger *ledger, const struct migration *migration) {
    size_t statements = 0;
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->rows[i].kind == migration->kind && !strcmp(ledger->rows[i].version, migration->version))
            statements = ledger->rows[i].statements;
    return statements;
}

static void settle_lost(struct run *run, const struct ledger *ledger) {
    for (size_t i = 0; i < run->pending.count; i++) {
        const struct migration *migration = run->pending.items[i].migration;
        bool told = false;
        for (size_t j = 0; j < run->applied.count; j++)
            told = told || !strcmp(run->applied.items[j].file, migration->file);
        if (!told && is_settled(run, ledger, migration))
            applied_add(&run->applied, &(struct run_item){.version = migration->version,
                                                          .name = migration->name,
                                                          .file = migration->file,
                                                          .repeatable = migration->kind == MIGRATION_REPEATABLE,
                                                          .statements = statements_of(ledger, migration),
                                                          .state = run->pending.back ? "rolled_back" : "applied"});
    }
}

static struct plan_options options_of(const struct run_request *request) {
    return (struct plan_options){.to = request->to, .out_of_order = request->out_of_order};
}

static bool choose_items(struct run *run, const struct ledger *ledger, struct plan *ret_plan, struct error *err) {
    struct plan_options options = options_of(run->request);
    if (run->request->rollback)
        return rollback_plan(run->postgres, run->set, run->request, ledger, run->arena, ret_plan, err);
    return plan_make(run->set, ledger, &options, run->arena, ret_plan, err);
}

static bool make_plan(struct run *run, struct plan *ret_plan, struct error *err) {
    struct ledger ledger = {0};
    if (!ledger_read(run->postgres, run->arena, &ledger, err) || !choose_items(run, &ledger, ret_plan, err))
        return false;
    if (!run->begun) {
        run->begun = true;
        run->before = ret_plan->applied;
    } else {
        settle_lost(run, &ledger);
    }
    run->pending = *ret_plan;
    run->planned = run->applied.count + ret_plan->count;
    return true;
}

// What a second connection could see through a pooler may be anybody's.
static bool apply_watched(struct run *run, struct apply_order *order, struct error *err) {
    struct watch_order watching = {.database = run->database,
                                   .postgres = run->postgres,
                                   .plan = order->plan,
                                   .run = order->run,
                                   .after_ms = run->request->watch_after_ms,
                                   .observer = run->observer};
    bool pooled = run->pooled || run->request->session_pooler;
    order->watch = pooled ? NULL : watch_begin(&watching);
    bool done = apply(run->postgres, order, run->arena, &run->applied, err);
    watch_end(order->watch);
    return done;
}

static bool run_plan(struct run *run, const struct plan *plan, struct error *err) {
    if (run->observer)
        run->observer->event(run->observer->context, &(struct run_event){.kind = RUN_LOCKED, .total = plan->count});
    struct apply_order order = {.set = run->set,
                                .plan = plan,
                                .run = run->request->id,
                                .lock_timeout_ms = run->lock_timeout_ms,
                                .pooled = run->pooled,
                                .observer = run->observer,
                                .control = run->control};
    if (plan->count > 0 && !apply_watched(run, &order, err))
        return false;
    const char *state = plan->back               ? "rolled_back"
                        : run->applied.count > 0 ? "applied"
                        : plan->superseded       ? "superseded"
                                                 : "nothing_pending";
    struct ledger_departure departure = {.state = state,
                                         .applied = run->applied.count,
                                         .digest = plan->complete ? run->set->digest : NULL,
                                         .newest = newest_of(plan),
                                         .total = total_after(plan)};
    if (!depart(run, &departure, err))
        return error_wrap(err, "cannot record the run");
    run->report = (struct run_report){.state = state,
                                      .items = run->applied.items,
                                      .count = run->applied.count,
                                      .applied_before = run->before,
                                      .version = plan->back ? plan->newest : departure.newest};
    return true;
}

static bool run_errand(struct run *run, struct error *err) {
    const struct run_errand *errand = run->request->errand;
    struct run_report report = {.state = errand->state};
    if (!errand->work(errand->context, run->postgres, run->set, run->arena, &report, err))
        return false;
    if (!depart(run, &(struct ledger_departure){.state = errand->state, .applied = report.count}, err))
        return error_wrap(err, "cannot record the run");
    run->report = report;
    return true;
}

static void record_failure(struct run *run, const struct error *error) {
    struct error ignored = {0};
    struct ledger_departure departure = {
        .state = "failed", .applied = run->applied.count, .pending = run->planned - run->applied.count, .error = error};
    if (!depart(run, &departure, &ignored) && postgres_in_transaction(run->postgres))
        postgres_cancel(run->postgres); // the caller closes it
}

// Under the lock from here on, or each transaction by itself.
static bool run_locked(struct run *run, bool *arrived, struct error *err) {
    struct ledger_arrival arrival = {0};
    struct plan plan = {0};
    bool new = !*arrived && !run->request->errand; // perhaps; who adopts wants another ledger
    if ((new && !ledger_check_others(run->postgres, run->set, err)) ||
        !ledger_prepare(run->postgres, run->pooled, *arrived, err))
        return false;
    if (!*arrived && !arrive(run, NULL, arrived, &arrival, err))
        return false;
    if (!*arrived)
        return error_wrap(err, "cannot record the run");
    if (run->pooled && (run->request->errand || run->request->rollback))
        return error_set(err, ERROR_DATABASE_POOLER, "this needs a session, and a pooler sits in between");
    if (run->request->errand)
        return run_errand(run, err);
    return make_plan(run, &plan, err) && run_plan(run, &plan, err);
}

// Without a lock that lasts, another run may take a turn between two of our transactions: then the ledger is read and the
// plan made again. `LOCK_LOST` is a migration that the other one applied, `LOCK_HELD` one that it is at.
static bool run_pooled(struct run *run, bool arrived, struct error *err) {
    uint64_t start = clock_ms();
    postgres_may_prepare(run->postgres, false);
    for (unsigned n = 0; !run_locked(run, &arrived, err); n++) {
        bool turn = err->code == ERROR_LOCK_HELD || err->code == ERROR_LOCK_LOST;
        if (!turn || clock_ms() - start > run->request->lock_wait_ms || control_stopped(run->control) ||
            !postgres_alive(run->postgres))
            return false;
        if (run->observer && err->code == ERROR_LOCK_HELD)
            run->observer->event(
                run->observer->context,
                &(struct run_event){.kind = RUN_WAITING, .holder = err->message, .ms = clock_ms() - start});
        control_sleep(run->control, control_pause(n, POOLED_FIRST_MS, POOLED_CAP_MS));
        *err = (struct error){0};
    }
    return true;
}

static bool run_in_turn(struct run *run, bool arrived, struct error *err) {
    if (!lock_acquire(run->postgres, run->request, run->observer, run->control, &run->pooled, err))
        return false;
    if (run->pooled)
        return run_pooled(run, arrived, err);
    return (arrived || settle_in(run, err)) && run_locked(run, &arrived, err);
}

static bool only_plan(struct run *run, struct error *err) {
    struct plan plan = {0};
    struct ledger ledger = {0};
    struct plan_options options = options_of(run->request);
    bool exists = false;
    if (!ledger_look(run->postgres, &exists, err) ||
        !(exists ? ledger_read(run->postgres, run->arena, &ledger, err)
                 : ledger_check_others(run->postgres, run->set, err)) ||
        !plan_make(run->set, &ledger, &options, run->arena, &plan, err))
        return false;
    report_plan(run, &plan);
    return forecast_make(run->postgres, run->set, &plan, run->arena, run->report.items, err);
}

static bool knows_version(const struct migration_set *set, const char *to) {
    for (size_t i = 0; i < set->count && to; i++)
        if (set->items[i].kind == MIGRATION_VERSIONED && version_compare(set->items[i].version, to) == 0)
            return true;
    return !to;
}

static bool run_connected(struct run *run, struct error *err) {
    if (run->request->plan_only)
        return only_plan(run, err);
    bool known = false;
    struct ledger_arrival arrival = {0};
    // Without a digest the arrival finds nothing complete: a version that is not among the files is for the plan to judge.
    bool simple =
        !run->begun && !run->request->errand && !run->request->rollback && knows_version(run->set, run->request->to);
    if (!arrive(run, simple ? run->set->digest : NULL, &known, &arrival, err))
        return false;
    if (known && arrival.complete) {
        report_complete(run, &arrival);
        return true;
    }
    *err = (struct error){0};
    bool done = run_in_turn(run, known, err);
    if (!done && postgres_alive(run->postgres)) {
        postgres_uncancel(run->postgres);
        record_failure(run, err);
    }
    return done;
}

// Errors of the ledger's own commands are no migration's fault.
static void judge(const struct postgres *postgres, struct error *err) {
    if (err->code != ERROR_MIGRATION_FAILED || *err->file)
        return;
    bool read_only = !strcmp(err->sqlstate, "25006"), forbidden = !strcmp(err->sqlstate, "42501");
    if (forbidden && !*err->hint)
        ledger_forbidden(postgres, err);
    err->code = read_only ? ERROR_DATABASE_UNAVAILABLE : forbidden ? ERROR_DATABASE_REFUSED : ERROR_INTERNAL;
    if (read_only)
        error_wrap(err, "the database is read-only (a standby, or default_transaction_read_only is on)");
}

static bool run_once(struct run_database *database, struct run *run, bool *ret_lost, struct error *err) {
    bool warm = false;
    *ret_lost = false;
    if (!database_take(database, run->control, &run->postgres, &warm, err))
        return false;
    uint64_t trips = postgres_round_trips(run->postgres);
    struct control_entry entry = {.postgres = run->postgres};
    control_enter(run->control, &entry);
    bool done = run_connected(run, err);
    control_leave(run->control, &entry);
    run->round_trips += postgres_round_trips(run->postgres) - trips;
    *ret_lost = !done && !postgres_alive(run->postgres);
    judge(run->postgres, err);
    if (done) // the files' settings, locks and tables are gone already
        database_put(database, run->postgres);
    else
        postgres_close(run->postgres);
    run->postgres = NULL;
    return done;
}

static bool permitted(const struct run_request *request, struct error *err) {
    if (request->out_of_order && !request->allow_out_of_order)
        return error_set(err, ERROR_NOT_PERMITTED, "this target does not permit out_of_order (PAWL_OUT_OF_ORDER)");
    return !request->rollback || request->allow_rollback ||
           error_set(err, ERROR_NOT_PERMITTED, "this target does not permit a rollback (PAWL_ROLLBACK)");
}

// The connection broke again and again, perhaps because a file ends its own session: whoever asks must not find a run under way.
static void leave_word(struct run_database *database, struct run *run, const struct error *error) {
    struct error ignored = {0};
    bool warm = false;
    if (run->request->plan_only || !database_take(database, run->control, &run->postgres, &warm, &ignored))
        return;
    record_failure(run, error);
    postgres_close(run->postgres);
    run->postgres = NULL;
}

// The caller's observer, called by one thread at a time.
struct herald {
    const struct run_observer *observer;
    pthread_mutex_t lock;
};

static void herald_event(void *context, const struct run_event *event) {
    struct herald *herald = context;
    pthread_mutex_lock(&herald->lock);
    herald->observer->event(herald->observer->context, event);
    pthread_mutex_unlock(&herald->lock);
}

bool run_execute(struct run_database *database, const struct migration_set *set, const struct run_request *request,
                 const struct run_observer *observer, struct run_control *control, struct arena *arena,
                 struct run_report *ret_report, struct error *err) {
    struct herald herald = {.observer = observer, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct run_observer one_at_a_time = {.event = herald_event, .context = &herald};
    struct run run = {.database = database,
                      .set = set,
                      .request = request,
                      .observer = observer ? &one_at_a_time : NULL,
                      .control = control,
                      .arena = arena,
                      .applied = {.arena = arena},
                      .started = clock_ms(),
                      .lock_timeout_ms = request->lock_timeout_ms ? request->lock_timeout_ms : LOCK_TIMEOUT_MS};
    if (!permitted(request, err))
        return false;
    for (unsigned n = 0;; n++) {
        bool lost = false;
        if (run_once(database, &run, &lost, err))
            break;
        bool again = lost && n < RECONNECTS && err->code == ERROR_DATABASE_UNAVAILABLE && !control_stopped(control);
        if (lost && !again)
            leave_word(database, &run, err);
        if (!again)
            return false;
        control_sleep(control, control_pause(n, RECONNECT_FIRST_MS, RECONNECT_CAP_MS));
        *err = (struct error){0};
    }
    run.report.ms = clock_ms() - run.started;
    run.report.round_trips = run.round_trips;
    run.report.digest = arena_string(arena, set->digest);
    *ret_report = run.report;
    return true;
}
