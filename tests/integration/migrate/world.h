// A fresh database and a folder of migration files for one test of the engine.
#pragma once
#include "../database.h"
#include "migrate/run.h"

#include <pthread.h>

struct world {
    struct database database;
    char url[512]; // of world_move
    char folder[64];
    struct arena *arena;
    struct run_database *connections;
    struct run_control *control;
    struct run_request request;
    struct run_report report;
    struct error err;
    struct text events; // "started 1_a.sql\n" and so on
};

static inline int world_begin(void **state) {
    struct world *world = memory_alloc(sizeof(*world));
    world->arena = arena_new();
    database_create(&world->database);
    snprintf(world->folder, sizeof(world->folder), "/tmp/pawl-files.XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    world->connections = run_database_new(world->database.url);
    world->control = run_control_new();
    world->request = (struct run_request){.id = "run-1", .lock_wait_ms = 10000};
    world->events = TEXT(1 << 20);
    *state = world;
    return 0;
}

static inline int world_end(void **state) {
    struct world *world = *state;
    run_database_free(world->connections);
    run_control_free(world->control);
    database_drop(&world->database);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", world->folder);
    assert_int_equal(system(command), 0);
    text_done(&world->events);
    arena_free(world->arena);
    memory_cleanup(state);
    return 0;
}

static inline bool world_log_in(void *context, bool refused, struct run_login *ret_login, struct error *err) {
    const struct world *world = context;
    (void)refused, (void)err;
    *ret_login = (struct run_login){0};
    secret_set(&ret_login->url, world->url);
    return true;
}

// From now on through `url`, to the ledger in `schema`, as `role`; NULL: the database's, pawl and none.
static inline void world_move(struct world *world, const char *url, const char *schema, const char *role) {
    struct run_login_source source = {.fetch = world_log_in, .context = world, .schema = schema, .role = role};
    snprintf(world->url, sizeof(world->url), "%s", url ? url : world->database.url);
    run_database_free(world->connections);
    world->connections = run_database_new_login(&source);
}

static inline void world_file(const struct world *world, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", world->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, true);
    assert_int_equal(fclose(file), 0);
}

static inline void world_remove(const struct world *world, const char *name) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", world->folder, name);
    assert_int_equal(unlink(path), 0);
}

static inline void world_hear(void *context, const struct run_event *event) {
    struct world *world = context;
    static const char *const names[] = {"waiting",  "locked",      "started", "progress", "batched",
                                        "retrying", "rolled back", "applied", "watched"};
    text_printf(&world->events, "%s %s%s\n", names[event->kind], event->migration ? event->migration->file : "",
                event->holder ? event->holder
                : event->text ? event->text
                              : "");
}

// Reads the folder and runs, as `run` (NULL: as before).
static inline bool world_run(struct world *world, const char *run) {
    struct migration_set set = {0};
    world->err = (struct error){0};
    world->report = (struct run_report){0};
    if (run)
        world->request.id = run;
    if (!directory_read(world->folder, world->arena, &set, &world->err))
        return false;
    struct run_observer observer = {.event = world_hear, .context = world};
    return run_execute(world->connections, &set, &world->request, &observer, world->control, world->arena,
                       &world->report, &world->err);
}

#define world_must_run(world, run)                                                                                     \
    do {                                                                                                               \
        if (!world_run((world), (run)))                                                                                \
            fail_msg("%s: %s (%s)", error_name((world)->err.code), (world)->err.message, (world)->err.detail);         \
    } while (0)

static inline const char *world_ask(const struct world *world, const char *sql) {
    return database_ask(&world->database, world->arena, sql);
}

// Until the run is at a statement that says pg_sleep.
static inline void world_await_sleep(const struct world *world, const char *run) {
    const char *sql = arena_printf(world->arena,
                                   "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pawl %s %%'"
                                   " AND state = 'active' AND query LIKE '%%pg_sleep%%'",
                                   run);
    for (int i = 0; i < 1000 && *world_ask(world, sql) == '0'; i++)
        clock_sleep_ms(10);
    assert_string_equal(world_ask(world, sql), "1");
}

// A session that was closed after a failure ends in its own time.
static inline void world_awaits_none(const struct world *world, const char *sql) {
    for (int i = 0; i < 500 && *world_ask(world, sql) != '0'; i++)
        clock_sleep_ms(10);
    assert_string_equal(world_ask(world, sql), "0");
}

// No lock, no open transaction, no half-built index: what every test may say at its end.
static inline void world_is_quiet(const struct world *world) {
    world_awaits_none(world, "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                             " WHERE datname = current_database() AND locktype = 'advisory'");
    world_awaits_none(world, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                             " AND state LIKE 'idle in transaction%'");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0");
}
