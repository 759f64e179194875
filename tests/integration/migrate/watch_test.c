// Long statements and whoever is in their way, as the watcher sees them.
#include "migrate/watch.h"

#include "world.h"

#define WATCHERS                                                                                                       \
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pawl-watch "  \
    "%'"

struct blocker { // a session that holds something until it is told to let go, or somebody sees what it waits for
    struct world *world;
    const char *until; // a condition in SQL
    struct postgres *postgres;
    pthread_t thread;
    bool met;
};

// Looks until the condition is met (at most 20 s), then ends the transaction.
static void *hold_until(void *context) {
    struct blocker *blocker = context;
    cleanup_arena struct arena *arena = arena_new();
    for (int i = 0; i < 400 && !blocker->met; i++) {
        clock_sleep_ms(50);
        blocker->met = *database_ask(&blocker->world->database, arena, blocker->until) == 't';
    }
    database_run(blocker->postgres, "ROLLBACK");
    return NULL;
}

static void block(struct blocker *blocker, const char *sql) {
    blocker->postgres = database_connect(blocker->world->database.url);
    database_run(blocker->postgres, "SET application_name = 'someone'");
    database_run(blocker->postgres, "BEGIN");
    database_run(blocker->postgres, sql);
    assert_int_equal(pthread_create(&blocker->thread, NULL, hold_until, blocker), 0);
}

static void unblock(struct blocker *blocker) {
    assert_int_equal(pthread_join(blocker->thread, NULL), 0);
    postgres_close(blocker->postgres);
}

static bool heard(const struct world *world, const char *words) {
    return strstr(text_string(&world->events), words) != NULL;
}

// A session ends a moment after its connection.
static void no_watcher_is_left(const struct world *world) {
    for (int i = 0; i < 100 && strcmp(world_ask(world, WATCHERS), "0") != 0; i++)
        clock_sleep_ms(50);
    assert_string_equal(world_ask(world, WATCHERS), "0");
}

static void who_blocks_an_index_is_named(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 200;
    world_file(world, "1_t.sql", "CREATE TABLE t (x int, secret text);\nINSERT INTO t SELECT generate_series(1, 100);");
    world_must_run(world, "r1");
    world_file(world, "2_i.sql", "CREATE INDEX CONCURRENTLY t_x ON t (x);");
    struct blocker blocker = {.world = world,
                              .until = "SELECT count(*) > 0 FROM pawl.runs WHERE progress LIKE '%in the way: pid % "
                                       "someone (idle in transaction)%'"};
    block(&blocker, "UPDATE t SET x = x + 1, secret = 'hunter2'");
    world_must_run(world, "r2");
    unblock(&blocker);
    assert_true(blocker.met); // the run's row said so while it ran
    assert_true(heard(world, "watched 2_i.sqlruns for "));
    assert_true(heard(world, "waiting for writers"));
    assert_true(heard(world, "of 1 transactions (0 %)"));
    assert_true(heard(world, ": UPDATE t SET x = x + 1, secret ="));
    assert_false(heard(world, "hunter2"));
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.runs WHERE progress IS NOT NULL"), "0");
    no_watcher_is_left(world);
    world_is_quiet(world);
}

static void sessions_behind_a_long_statement_are_counted(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 200;
    world->request.lock_timeout_ms = 60000;
    world_file(world, "1_t.sql", "CREATE TABLE t (x int);");
    world_must_run(world, "r1");
    world_file(world, "2_a.sql", "ALTER TABLE t ADD COLUMN y int;");
    struct blocker blocker = {
        .world = world,
        .until = "SELECT count(*) > 0 FROM pawl.runs WHERE progress LIKE '%1 session waits behind it%'"};
    block(&blocker, "SELECT * FROM t");
    struct postgres *reader = database_connect(world->database.url);
    struct error err = {0};
    // The reader comes once the ALTER waits.
    assert_true(postgres_send(
                    reader,
                    "DO $$BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE relation = 't'::regclass AND NOT granted)"
                    " LOOP PERFORM pg_sleep(0.02); END LOOP; END$$",
                    NULL, 0, &err) &&
                postgres_send(reader, "SELECT * FROM t", NULL, 0, &err) && postgres_sync(reader, &err) &&
                postgres_flush(reader, &err));
    world_must_run(world, "r2");
    unblock(&blocker);
    assert_true(blocker.met);
    postgres_close(reader);
    world_is_quiet(world);
}

static void a_statement_without_progress_is_told_too(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 200;
    world_file(world, "1_a.sql", "SELECT 1;");
    world_file(world, "2_b.sql", "SELECT pg_sleep(1.5);");
    world_must_run(world, NULL);
    assert_true(heard(world, "watched 2_b.sqlruns for "));
    assert_true(heard(world, "waits for Timeout PgSleep"));
    assert_false(heard(world, "watched 1_a.sql"));
    world_is_quiet(world);
}

static void the_blocks_of_an_index_are_counted(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 50;
    // A slow function makes the build long enough to be looked at.
    world_file(world, "1_t.sql",
               "CREATE TABLE t (x int) WITH (fillfactor = 10);\nINSERT INTO t SELECT generate_series(1, 3000);\n"
               "CREATE FUNCTION slow(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
               " $$BEGIN IF x % 20 = 0 THEN PERFORM pg_sleep(0.01); END IF; RETURN x; END$$;\n");
    world_must_run(world, "r1");
    world_file(world, "2_i.sql", "CREATE INDEX t_x ON t (slow(x));");
    world_must_run(world, "r2");
    assert_true(heard(world, "building index: scanning table, "));
    assert_true(heard(world, " blocks ("));
}

static void copying_and_vacuuming_are_seen(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 50;
    world_file(world, "1_t.sql",
               "CREATE TABLE t (x int) WITH (fillfactor = 10);\nINSERT INTO t SELECT generate_series(1, 2000);\nDELETE "
               "FROM t WHERE x % 2 = 0;");
    world_must_run(world, "r1");
    world_file(world, "2_copy.sql", "COPY (SELECT pg_sleep(0.01) FROM generate_series(1, 60)) TO '/dev/null';");
    world_file(world, "3_vacuum.sql",
               "SET vacuum_cost_delay = '20ms';\nSET vacuum_cost_limit = 40;\nVACUUM (DISABLE_PAGE_SKIPPING) t;");
    world_file(world, "4_analyze.sql", "SET vacuum_cost_delay = '20ms';\nSET vacuum_cost_limit = 10;\nANALYZE t;");
    world_must_run(world, "r2");
    assert_true(heard(world, " s, copying, "));
    assert_true(heard(world, " s, scanning heap, "));
    assert_true(heard(world, " s, acquiring sample rows, "));
}

static void a_quick_run_has_no_watcher(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE seen (n bigint)");
    world_file(world, "1_a.sql", "SELECT pg_sleep(0.5);\nINSERT INTO seen " WATCHERS ";");
    world_must_run(world, NULL); // the ordinary 3 s
    assert_string_equal(world_ask(world, "SELECT n FROM seen"), "0");
    assert_false(heard(world, "watched"));
}

// Each is short, the run is long.
static void many_quick_statements_have_no_watcher(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 2000;
    database_do(&world->database, "CREATE TABLE seen (n bigint)");
    for (int i = 1; i <= 25; i++)
        world_file(world, arena_printf(world->arena, "%d_a.sql", i), "SELECT pg_sleep(0.1);");
    world_file(world, "26_b.sql", "INSERT INTO seen " WATCHERS ";");
    world_must_run(world, NULL);
    assert_string_equal(world_ask(world, "SELECT n FROM seen"), "0");
}

static void there_is_one_watcher_however_long_it_takes(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 100;
    database_do(&world->database, "CREATE TABLE seen (n bigint)");
    world_file(world, "1_a.sql", "SELECT pg_sleep(0.7);");
    world_file(world, "2_b.sql", "SELECT pg_sleep(0.7);");
    world_file(world, "3_c.sql", "INSERT INTO seen " WATCHERS ";");
    world_must_run(world, NULL);
    assert_string_equal(world_ask(world, "SELECT n FROM seen"), "1");
    assert_true(heard(world, "watched 1_a.sql") && heard(world, "watched 2_b.sql"));
}

static void a_watcher_that_cannot_connect_is_nobodys_error(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 100;
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_single LOGIN; EXCEPTION WHEN duplicate_object THEN END$$");
    database_do(&world->database, "ALTER ROLE pawl_single CONNECTION LIMIT 1");
    database_do(&world->database,
                arena_printf(world->arena, "GRANT ALL ON DATABASE %s TO pawl_single", world->database.name));
    run_database_free(world->connections);
    world->connections = run_database_new(
        arena_printf(world->arena, "postgresql://pawl_single@/%s?host=%s", world->database.name, getenv("PGHOST")));
    world_file(world, "1_a.sql", "SELECT pg_sleep(1);");
    uint64_t start = clock_ms();
    world_must_run(world, NULL);
    assert_string_equal(world->report.state, "applied");
    assert_true(clock_ms() - start < 14000); // the watcher would try again only after 15 s: nobody waited for it
    assert_false(heard(world, "watched"));
    world_is_quiet(world);
}

static void a_watcher_does_not_outlive_a_failure(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 100;
    world_file(world, "1_a.sql", "SELECT pg_sleep(0.7);\nSELECT 1/0;");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_true(heard(world, "watched 1_a.sql"));
    no_watcher_is_left(world);
    world_is_quiet(world);
}

static void a_watcher_whose_server_process_is_killed_does_no_harm(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 100;
    database_do(&world->database, "CREATE TABLE seen (killed bool)");
    world_file(world, "1_a.sql",
               "SELECT pg_sleep(0.7);\nINSERT INTO seen SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
               " WHERE datname = current_database() AND application_name LIKE 'pawl-watch %';\nSELECT pg_sleep(0.7);");
    world_must_run(world, NULL);
    assert_string_equal(world_ask(world, "SELECT killed FROM seen"), "t");
    world_is_quiet(world);
}

static void *cancel_when_watched(void *context) {
    const struct world *world = context;
    cleanup_arena struct arena *arena = arena_new();
    for (int i = 0; i < 400 && *database_ask(&world->database, arena, WATCHERS) == '0'; i++)
        clock_sleep_ms(50);
    run_control_cancel(world->control);
    return NULL;
}

static void a_run_that_is_cancelled_takes_its_watcher_along(void **state) {
    struct world *world = *state;
    world->request.watch_after_ms = 100;
    world_file(world, "1_a.sql", "SELECT pg_sleep(60);");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_watched, world), 0);
    assert_false(world_run(world, NULL));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(world->err.code, ERROR_SHUTTING_DOWN);
    no_watcher_is_left(world);
    world_is_quiet(world);
}

#define PROMISE(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        PROMISE(who_blocks_an_index_is_named),
        PROMISE(sessions_behind_a_long_statement_are_counted),
        PROMISE(a_statement_without_progress_is_told_too),
        PROMISE(the_blocks_of_an_index_are_counted),
        PROMISE(copying_and_vacuuming_are_seen),
        PROMISE(a_quick_run_has_no_watcher),
        PROMISE(many_quick_statements_have_no_watcher),
        PROMISE(there_is_one_watcher_however_long_it_takes),
        PROMISE(a_watcher_that_cannot_connect_is_nobodys_error),
        PROMISE(a_watcher_does_not_outlive_a_failure),
        PROMISE(a_watcher_whose_server_process_is_killed_does_no_harm),
        PROMISE(a_run_that_is_cancelled_takes_its_watcher_along),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
