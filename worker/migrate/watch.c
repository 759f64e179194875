// The watching thread, what it asks and how it tells. Its clock is the run's answers: as long as they come, it sleeps.
#include "migrate/watch.h"

#include "base/clock.h"
#include "migrate/database.h"
#include "migrate/home.h"
#include "migrate/ledger.h"
#include "migrate/session.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    AFTER_MS = 3000,
    EVERY_MS = 2000,  // between two looks
    RETRY_MS = 15000, // after a connection that failed
    TEXT_MAX = 1000,
};

struct watch {
    struct watch_order order;
    struct postgres_place place;
    char pid[16], name[SESSION_NAME_MAX + 1]; // of the run's session
    uint64_t after_ms;
    _Atomic uint64_t landed_ms;
    atomic_bool over;
    int bell; // eventfd: it is over
    pthread_t thread;
    pthread_mutex_t lock; // for the connection, which belongs to the thread but may be abandoned from outside
    struct postgres *postgres;
    bool noted; // the run's row says something
};

// ---- what is asked -----------------------------------------------------------------------------------------------------

// $1: the backend of the run; $2: how its session's name begins, lest a balancer has brought us to another server. Not more than a few
// waiters are looked at: each look at who blocks whom stops the server's lock manager for a moment. Of a query only what comes before its
// first literal is shown: there are no secrets in front of it.
#define US                                                                                                             \
    "WITH us AS (SELECT pid, application_name, query_start, wait_event_type, wait_event,"                              \
    "  pg_catalog.pg_blocking_pids(pid) AS blockers FROM pg_catalog.pg_stat_activity WHERE pid = $1::integer"          \
    "  AND datname = pg_catalog.current_database() AND state = 'active'"                                               \
    "  AND pg_catalog.starts_with(application_name, $2)), doing (pid, what, unit, done, total) AS ("
#define US_CREATE_INDEX                                                                                                \
    "SELECT pid, phase, CASE WHEN phase LIKE 'waiting%' THEN 'transactions' WHEN phase LIKE '%tuples%' THEN 'rows'"    \
    "  ELSE 'blocks' END,"                                                                                             \
    "  CASE WHEN phase LIKE 'waiting%' THEN lockers_done WHEN phase LIKE '%tuples%' THEN tuples_done"                  \
    "  ELSE blocks_done END,"                                                                                          \
    "  CASE WHEN phase LIKE 'waiting%' THEN lockers_total WHEN phase LIKE '%tuples%' THEN tuples_total"                \
    "  ELSE blocks_total END FROM pg_catalog.pg_stat_progress_create_index UNION ALL "
#define US_CLUSTER                                                                                                     \
    "SELECT pid, phase, 'blocks', heap_blks_scanned, heap_blks_total"                                                  \
    "  FROM pg_catalog.pg_stat_progress_cluster UNION ALL "
#define US_ANALYZE                                                                                                     \
    "SELECT pid, phase, 'blocks', sample_blks_scanned, sample_blks_total"                                              \
    "  FROM pg_catalog.pg_stat_progress_analyze UNION ALL "
#define US_COPY                                                                                                        \
    "SELECT pid, 'copying', CASE WHEN bytes_total > 0 THEN 'bytes' ELSE 'rows' END,"                                   \
    "  CASE WHEN bytes_total > 0 THEN bytes_processed ELSE tuples_processed END, bytes_total"                          \
    "  FROM pg_catalog.pg_stat_progress_copy UNION ALL "
#define US_VACUUM                                                                                                      \
    "SELECT pid, phase, 'blocks', heap_blks_scanned, heap_blks_total FROM pg_catalog.pg_stat_progress_vacuum)"
#define US_SEEN                                                                                                        \
    " SELECT (pg_catalog.regexp_match(us.application_name, '^pawl [^ ]+ ([0-9]+)/'))[1],"                              \
    "  greatest(0, extract(epoch FROM pg_catalog.clock_timestamp() - us.query_start) * 1000)::bigint,"                 \
    "  doing.what, doing.unit, doing.done, doing.total, us.wait_event_type || ' ' || us.wait_event,"                   \
    "  (SELECT pg_catalog.string_agg(told, '; ') FROM (SELECT 'pid ' || a.pid"                                         \
    "    || coalesce(' ' || nullif(a.application_name, ''), '') || coalesce(' (' || a.state || ')', '')"               \
    "    || coalesce(', transaction open for '"                                                                        \
    "     || extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::bigint || ' s', '')"                     \
    "    || coalesce(': ' || nullif(pg_catalog.left(pg_catalog.btrim(pg_catalog.regexp_replace("                       \
    "     pg_catalog.substring(a.query, '^[^''$]*'), '\\s+', ' ', 'g')), 80), ''), '') AS told"                        \
    "    FROM pg_catalog.pg_stat_activity a WHERE a.pid = ANY (us.blockers) ORDER BY a.xact_start LIMIT 3) blocking)," \
    "  (SELECT count(*) FROM (SELECT DISTINCT w.pid FROM pg_catalog.pg_locks w JOIN pg_catalog.pg_locks o"             \
    "    ON o.pid = us.pid AND w.pid <> us.pid AND w.locktype = o.locktype AND w.database = o.database"                \
    "    AND w.relation = o.relation WHERE w.locktype = 'relation' AND NOT w.granted LIMIT 50) behind"                 \
    "   WHERE us.pid = ANY (pg_catalog.pg_blocking_pids(behind.pid)))"                                                 \
    " FROM us LEFT JOIN doing ON doing.pid = us.pid"
// The progress of ANALYZE can be seen since PostgreSQL 13, that of COPY since 14.
static const char look_sql[] = US US_CREATE_INDEX US_CLUSTER US_ANALYZE US_COPY US_VACUUM US_SEEN;
static const char look_sql_13[] = US US_CREATE_INDEX US_CLUSTER US_ANALYZE US_VACUUM US_SEEN;
static const char look_sql_12[] = US US_CREATE_INDEX US_CLUSTER US_VACUUM US_SEEN;

// Nothing that we do there may last: the run must find its row free.
static const char settings_sql[] = "SELECT pg_catalog.set_config('application_name', $1, false),"
                                   " pg_catalog.set_config('statement_timeout', '2s', false),"
                                   " pg_catalog.set_config('lock_timeout', '100ms', false),"
                                   " pg_catalog.set_config('synchronous_commit', 'off', false),"
                                   " pg_catalog.set_config('default_transaction_read_only', 'off', false),"
                                   " pg_catalog.set_config('default_transaction_isolation', 'read committed', false)";

// ---- words -------------------------------------------------------------------------------------------------------------

void watch_words(const struct watch_sight *sight, struct text *out) {
    text_printf(out, "runs for %" PRIu64 " s", sight->ms / 1000);
    if (sight->doing)
        text_printf(out, ", %s", sight->doing);
    else if (!sight->blockers && sight->wait)
        text_printf(out, ", waits for %s", sight->wait);
    if (sight->total > 0 && sight->done <= sight->total)
        text_printf(out, ", %" PRIu64 " of %" PRIu64 " %s (%u %%)", sight->done, sight->total, sight->unit,
                    (unsigned)((double)sight->done * 100 / (double)sight->total));
    else if (sight->done > 0)
        text_printf(out, ", %" PRIu64 " %s", sight->done, sight->unit);
    if (sight->blockers)
        text_printf(out, "; in the way: %s", sight->blockers);
    if (sight->waiting > 0)
        text_printf(out, "; %" PRIu64 " session%s behind it", sight->waiting,
                    sight->waiting == 1 ? " waits" : "s wait");
}

// ---- looking and telling -----------------------------------------------------------------------------------------------

static uint64_t number_of(const struct postgres_rows *rows, size_t column) {
    uint64_t number = 0;
    const char *value = postgres_value(rows, 0, column);
    return value && text_to_u64(view_of(value), INT64_MAX, &number) ? number : 0;
}

static void note(struct watch *watch, const char *text) {
    struct error ignored = {0};
    const char *values[] = {watch->order.run, text};
    cleanup_rows struct postgres_rows *rows = NULL;
    watch->noted = home_query(watch->postgres, LEDGER_PROGRESS, values, 2, &rows, &ignored) && text;
}

static void tell(struct watch *watch, const struct postgres_rows *rows, const struct watch_sight *sight) {
    const struct plan *plan = watch->order.plan;
    uint64_t number = number_of(rows, 0); // 1-based, as the session calls itself; 0 when a file gave it another name
    char safe[TEXT_MAX];
    cleanup_text struct text words = TEXT(4 * TEXT_MAX);
    watch_words(sight, &words);
    text_copy(safe, sizeof(safe), view_of(text_string(&words)));
    struct run_event event = {
        .kind = RUN_WATCHED,
        .migration = number > 0 && number <= plan->count ? plan->items[number - 1].migration : NULL,
        .done = number > 0 ? (size_t)number - 1 : 0,
        .total = plan->count,
        .ms = sight->ms,
        .text = safe,
        .work_done = sight->done,
        .work_total = sight->done <= sight->total ? sight->total : 0,
    };
    if (watch->order.observer && !atomic_load(&watch->over))
        watch->order.observer->event(watch->order.observer->context, &event);
    note(watch, safe);
}

// False: the connection is of no more use.
static bool look(struct watch *watch) {
    cleanup_rows struct postgres_rows *rows = NULL;
    struct error ignored = {0};
    int version = postgres_server_version(watch->postgres);
    const char *sql = version >= 140000 ? look_sql : version >= 130000 ? look_sql_13 : look_sql_12;
    const char *values[] = {watch->pid, watch->name};
    if (!home_query_login(watch->postgres, sql, values, 2, &rows, &ignored))
        return false;
    struct watch_sight sight = {0};
    if (postgres_row_count(rows) > 0)
        sight = (struct watch_sight){.ms = number_of(rows, 1),
                                     .doing = postgres_value(rows, 0, 2),
                                     .unit = postgres_value(rows, 0, 3),
                                     .done = number_of(rows, 4),
                                     .total = number_of(rows, 5),
                                     .wait = postgres_value(rows, 0, 6),
                                     .blockers = postgres_value(rows, 0, 7),
                                     .waiting = number_of(rows, 8)};
    if (sight.ms >= watch->after_ms)
        tell(watch, rows, &sight);
    return true;
}

// ---- the thread --------------------------------------------------------------------------------------------------------

// True: the pause is over, and the run is not.
static bool rest(const struct watch *watch, uint64_t ms) {
    struct pollfd bell = {.fd = watch->bell, .events = POLLIN};
    (void)poll(&bell, 1, (int)ms);
    return !atomic_load(&watch->over);
}

static void leave(struct watch *watch) {
    pthread_mutex_lock(&watch->lock);
    struct postgres *postgres = watch->postgres;
    watch->postgres = NULL;
    pthread_mutex_unlock(&watch->lock);
    postgres_close(postgres);
}

static bool come(struct watch *watch) {
    struct error ignored = {0};
    struct postgres *postgres = NULL;
    if (!database_second(watch->order.database, &watch->place, &watch->over, &postgres, &ignored))
        return false;
    pthread_mutex_lock(&watch->lock);
    watch->postgres = postgres;
    pthread_mutex_unlock(&watch->lock);
    if (atomic_load(&watch->over)) // and nobody has abandoned it
        return false;
    char name[SESSION_NAME_MAX + 1];
    cleanup_text struct text text = TEXT(1024);
    text_printf(&text, "pawl-watch %s", watch->order.run);
    text_copy(name, sizeof(name), view_of(text_string(&text)));
    const char *values[] = {name};
    return postgres_execute(postgres, settings_sql, values, 1, &ignored);
}

static void *work(void *context) {
    struct watch *watch = context;
    uint64_t pause = watch->after_ms;
    while (rest(watch, pause)) {
        uint64_t quiet = clock_ms() - atomic_load(&watch->landed_ms);
        pause = watch->after_ms < EVERY_MS ? watch->after_ms : EVERY_MS;
        if (quiet < watch->after_ms) {
            if (watch->postgres && watch->noted)
                note(watch, NULL);
            pause = watch->after_ms - quiet;
        } else if ((!watch->postgres && !come(watch)) || !look(watch)) {
            leave(watch);
            pause = RETRY_MS;
        }
    }
    leave(watch);
    return NULL;
}

// ---- from outside ------------------------------------------------------------------------------------------------------

struct watch *watch_begin(const struct watch_order *order) {
    cleanup_text struct text name = TEXT(1024);
    struct watch *watch = memory_alloc(sizeof(*watch));
    watch->order = *order;
    watch->after_ms = order->after_ms ? order->after_ms : AFTER_MS;
    postgres_place(order->postgres, &watch->place);
    (void)snprintf(watch->pid, sizeof(watch->pid), "%d", postgres_backend_pid(order->postgres));
    text_printf(&name, "pawl %s", order->run);
    text_copy(watch->name, sizeof(watch->name), view_of(text_string(&name)));
    atomic_store(&watch->landed_ms, clock_ms());
    pthread_mutex_init(&watch->lock, NULL);
    watch->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->bell >= 0 && pthread_create(&watch->thread, NULL, work, watch) == 0)
        return watch;
    if (watch->bell >= 0)
        close(watch->bell);
    pthread_mutex_destroy(&watch->lock);
    memory_cleanup(&watch);
    return NULL;
}

void watch_landed(struct watch *watch) {
    if (watch)
        atomic_store(&watch->landed_ms, clock_ms());
}

void watch_end(struct watch *watch) {
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    atomic_store(&watch->over, true);
    if (watch->postgres)
        postgres_abandon(watch->postgres);
    pthread_mutex_unlock(&watch->lock);
    uint64_t one = 1;
    ssize_t rung = write(watch->bell, &one, sizeof(one)); // fails only when it is ringing already
    (void)rung;
    (void)pthread_join(watch->thread, NULL);
    close(watch->bell);
    pthread_mutex_destroy(&watch->lock);
    memory_cleanup(&watch);
}
