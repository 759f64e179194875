#include "world.h"

#include <stdatomic.h>

// Ends the backend of the run, `count` times, each time after a pause.
struct killer {
    const struct database *database;
    unsigned pause_ms, count;
    atomic_bool done;
};

static void *kill_backends(void *context) {
    struct killer *killer = context;
    cleanup_postgres struct postgres *postgres = database_connect(killer->database->url);
    for (unsigned i = 0; i < killer->count && !atomic_load(&killer->done); i++) {
        clock_sleep_ms(killer->pause_ms);
        database_run(postgres,
                     "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                     " AND application_name LIKE 'pawl%'");
    }
    return NULL;
}

static void write_files(const struct world *world, int count) {
    for (int i = 1; i <= count; i++) {
        char name[32], text[200];
        snprintf(name, sizeof(name), "%d_t.sql", i);
        snprintf(text, sizeof(text),
                 "CREATE TABLE t%d (x int);\nINSERT INTO counts VALUES (%d);\nSELECT pg_sleep(0.002);", i, i);
        world_file(world, name, text);
    }
}

static void every_migration_takes_effect_once_however_often_the_connection_breaks(void **state) {
    struct world *world = *state;
    enum { FILES = 60 };
    database_do(&world->database, "CREATE TABLE counts (i int)");
    write_files(world, FILES);
    for (unsigned pause = 1, round = 0; round < 12; round++, pause += 6) {
        struct killer killer = {.database = &world->database, .pause_ms = pause, .count = 2};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, kill_backends, &killer), 0);
        bool done = world_run(world, "m"); // the same message, delivered again
        atomic_store(&killer.done, true);
        pthread_join(thread, NULL);
        if (!done && error_class(world->err.code) != CLASS_RETRY)
            fail_msg("%s: %s", error_name(world->err.code), world->err.message);
    }
    world_must_run(world, "m");
    assert_string_equal(world_ask(world, "SELECT count(*) || ' ' || count(DISTINCT i) FROM counts"), "60 60");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.migrations WHERE state = 'applied'"), "60");
    world_is_quiet(world);
}

static void a_run_goes_on_by_itself_on_a_new_connection(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_b.sql",
               "CREATE TABLE IF NOT EXISTS b (x int); SELECT pg_terminate_backend(pg_backend_pid()) WHERE"
               " (SELECT last_value FROM nth) < 3 AND nextval('nth') < 3;");
    database_do(&world->database, "CREATE SEQUENCE nth");
    database_do(&world->database, "SELECT nextval('nth')");
    world_must_run(world, NULL);
    assert_int_equal(world->report.count, 2);
    assert_string_equal(world->report.state, "applied");
    assert_int_equal(world->report.applied_before, 0);
    assert_string_equal(world_ask(world, "SELECT applied || state FROM pawl.runs"), "2applied");
    world_is_quiet(world);
}

static void a_warm_connection_that_died_meanwhile_is_replaced(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    assert_true(run_database_warm(world->connections, world->control, &world->err));
    database_do(&world->database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                                  "current_database() AND application_name = 'pawl'");
    world_must_run(world, "r1");
    database_do(&world->database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                                  "current_database() AND application_name LIKE 'pawl%'");
    world_must_run(world, "r2");
    assert_string_equal(world->report.state, "nothing_pending");
}

static void *cancel_soon(void *context) {
    clock_sleep_ms(300);
    run_control_cancel(context);
    return NULL;
}

static void a_cancel_rolls_back_the_statement_in_flight(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int); SELECT pg_sleep(60);");
    world_file(world, "3_c.sql", "CREATE TABLE c (x int);");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, world->control), 0);
    assert_false(world_run(world, NULL));
    pthread_join(thread, NULL);
    assert_int_equal(world->err.code, ERROR_SHUTTING_DOWN);
    assert_string_equal(world->err.file, "2_b.sql");
    assert_string_equal(world_ask(world, "SELECT concat(to_regclass('a'), to_regclass('b'), to_regclass('c'))"), "a");
    assert_string_equal(world_ask(world, "SELECT state || error FROM pawl.runs"), "failedSHUTTING_DOWN");
    world_is_quiet(world);
}

static void stop_now(void *context, const struct run_event *event) {
    if (event->kind == RUN_LOCKED)
        run_control_stop(context);
}

static void a_stop_begins_no_further_migration(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    struct migration_set set = {0};
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    struct run_observer observer = {.event = stop_now, .context = world->control};
    assert_false(run_execute(world->connections, &set, &world->request, &observer, world->control, world->arena,
                             &world->report, &world->err));
    assert_int_equal(world->err.code, ERROR_SHUTTING_DOWN);
    assert_string_equal(world_ask(world, "SELECT concat(to_regclass('a'))"), "");
    world_is_quiet(world);
}

static void a_file_that_drops_our_prepared_statements_is_survived(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int); DEALLOCATE ALL;");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int); DISCARD PLANS;");
    world_file(world, "3_c.sql", "CREATE TABLE c (x int);");
    world_must_run(world, NULL);
    assert_int_equal(world->report.count, 3);
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_migration_takes_effect_once_however_often_the_connection_breaks),
        TEST(a_run_goes_on_by_itself_on_a_new_connection),
        TEST(a_warm_connection_that_died_meanwhile_is_replaced),
        TEST(a_cancel_rolls_back_the_statement_in_flight),
        TEST(a_stop_begins_no_further_migration),
        TEST(a_file_that_drops_our_prepared_statements_is_survived),
    };
    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
