// Polling for the lock and naming its holder.
#include "migrate/lock.h"

#include "base/clock.h"
#include "migrate/control.h"
#include "migrate/home.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PAUSE_FIRST_MS = 20,
    PAUSE_CAP_MS = 1000,
    REPORT_MS = 1000, // how often the waiter hears who holds the lock
};

// $1: the backend as libpq was told; NULL: of no interest. Behind a pooler it is another, and then nothing is taken that we could not
// give back. Taken twice, for LOCK_IS_KEPT: who has it once always gets it again.
#define TRY "pg_catalog.pg_try_advisory_lock(" LOCK_KEYS ")"
static const char try_sql[] =
    "SELECT CASE WHEN pg_catalog.pg_backend_pid() = coalesce($1::integer, pg_catalog.pg_backend_pid()) THEN"
    " CASE WHEN " TRY " THEN " TRY " ELSE false END END";
// The holder's application_name says run, file and position. Other roles' sessions show no details to an ordinary role.
static const char holder_sql[] =
    "SELECT coalesce(nullif(a.application_name, ''), 'a session') || ' (pid ' || l.pid"
    " || coalesce(', ' || pg_catalog.host(a.client_addr), '')"
    " || coalesce(', ' || a.state || ' for ' || greatest(0, extract(epoch from pg_catalog.clock_timestamp() - "
    "  CASE WHEN a.state = 'active' THEN a.query_start ELSE a.state_change END))::bigint || ' s', '') || ')'"
    " FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.classid = 1885435756 AND l.objid = 1 AND l.objsubid = 2 AND l.granted"
    " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

enum trial { TRIAL_OURS, TRIAL_HELD, TRIAL_POOLED };

static bool try_once(struct postgres *postgres, bool session_pooler, enum trial *ret_trial, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    char told[16];
    snprintf(told, sizeof(told), "%d", postgres_backend_pid(postgres));
    const char *values[] = {session_pooler ? NULL : told};
    if (!postgres_query(postgres, try_sql, values, 1, &rows, err))
        return error_wrap(err, "cannot try the lock");
    const char *taken = postgres_value(rows, 0, 0);
    *ret_trial = !taken ? TRIAL_POOLED : *taken == 't' ? TRIAL_OURS : TRIAL_HELD;
    return true;
}

bool lock_holder(struct postgres *postgres, char *holder, size_t size, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    if (!home_query_login(postgres, holder_sql, NULL, 0, &rows, err))
        return error_wrap(err, "cannot look who holds the lock");
    bool known = postgres_row_count(rows) > 0 && postgres_value(rows, 0, 0);
    text_copy(holder, size, view_of(known ? postgres_value(rows, 0, 0) : "a session that has just ended"));
    return true;
}

bool lock_acquire(struct postgres *postgres, const struct run_request *request, const struct run_observer *observer,
                  struct run_control *control, bool *ret_pooled, struct error *err) {
    uint64_t start = clock_ms(), reported = 0, wait_ms = request->lock_wait_ms;
    char holder[256] = "";
    for (unsigned n = 0;; n++) {
        if (control_stopped(control))
            return error_set(err, ERROR_SHUTTING_DOWN, "shutting down while waiting for the lock");
        enum trial trial = TRIAL_HELD;
        if (!try_once(postgres, request->session_pooler, &trial, err))
            return false;
        *ret_pooled = trial == TRIAL_POOLED;
        if (trial != TRIAL_HELD)
            return true;
        uint64_t now = clock_ms(), waited = now - start;
        bool last = waited >= wait_ms;
        if ((last || !reported || now - reported >= REPORT_MS) && !lock_holder(postgres, holder, sizeof(holder), err))
            return false;
        if (last)
            return error_set(err, ERROR_LOCK_HELD, "the lock is held by %s; waited %" PRIu64 " ms", holder, waited);
        if (observer && (!reported || now - reported >= REPORT_MS)) {
            observer->event(observer->context,
                            &(struct run_event){.kind = RUN_WAITING, .holder = holder, .ms = waited});
            reported = now;
        }
        uint64_t pause = control_pause(n, PAUSE_FIRST_MS, PAUSE_CAP_MS);
        control_sleep(control, pause < wait_ms - waited ? pause : wait_ms - waited);
    }
}

static const char blockers_sql[] =
    "SELECT coalesce(pg_catalog.string_agg('pid ' || pid || coalesce(' ' || nullif(application_name, ''), '') ||"
    " coalesce(' (' || state || ', transaction open for ' || age || ' s)', ''), '; ' ORDER BY age DESC), 'nobody any "
    "more')"
    " FROM (SELECT a.pid, a.application_name, a.state,"
    "  extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::bigint AS age"
    "  FROM pg_catalog.pg_stat_activity a WHERE a.pid <> pg_catalog.pg_backend_pid() AND EXISTS (SELECT FROM"
    "  pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation'"
    "  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
    "  AND l.relation = coalesce(pg_catalog.to_regclass($1), l.relation)) ORDER BY age DESC LIMIT 3) blockers";

bool lock_blockers(struct postgres *postgres, const char *relation, char *blockers, size_t size, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    if (!home_query(postgres, blockers_sql, &relation, 1, &rows, err))
        return error_wrap(err, "cannot look who is in the way");
    text_copy(blockers, size, view_of(postgres_value(rows, 0, 0)));
    return true;
}

bool lock_send_release(struct postgres *postgres, struct error *err) {
    return postgres_send(postgres, "SELECT pg_catalog.pg_advisory_unlock_all()", NULL, 0, err);
}

bool lock_held(struct postgres *postgres) {
    cleanup_rows struct postgres_rows *rows = NULL;
    struct error ignored = {0};
    return postgres_query(postgres, "SELECT " LOCK_IS_OURS, NULL, 0, &rows, &ignored) &&
           *postgres_value(rows, 0, 0) == 't';
}
