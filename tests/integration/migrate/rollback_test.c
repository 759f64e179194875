#include "world.h"

#include "base/clock.h"

static void three_files(struct world *world) {
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "1_a.down.sql", "DROP TABLE a;");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);");
    world_file(world, "2_b.down.sql", "-- back\nBEGIN;\nDROP TABLE b;\nCOMMIT;\n");
    world_file(world, "3_c.sql", "CREATE TABLE c (x int);");
    world_file(world, "3_c.down.sql", "DROP TABLE c;");
    world_must_run(world, "up");
}

static bool back(struct world *world, const char *run, unsigned steps, const char *to) {
    struct run_request before = world->request;
    world->request.rollback = world->request.allow_rollback = true;
    world->request.steps = steps;
    world->request.to = to;
    bool done = world_run(world, run);
    world->request = before;
    return done;
}

#define must_go_back(world, run, steps, to)                                                                            \
    do {                                                                                                               \
        if (!back((world), (run), (steps), (to)))                                                                      \
            fail_msg("%s: %s (%s)", error_name((world)->err.code), (world)->err.message, (world)->err.detail);         \
    } while (0)

static const char *there(struct world *world) {
    return world_ask(world,
                     "SELECT coalesce((SELECT string_agg(version, ' ' ORDER BY version) FROM pawl.migrations), '') ||"
                     " '|' || coalesce((SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE"
                     " relkind = 'r' AND relnamespace = 'public'::regnamespace), '')");
}

static const char *run_row(struct world *world, const char *run) {
    return world_ask(world, arena_printf(world->arena,
                                         "SELECT state || ' ' || applied || ' ' || coalesce(\"to\", '-') FROM pawl.runs"
                                         " WHERE id = '%s'",
                                         run));
}

static void steps_are_taken_back_newest_first(void **state) {
    struct world *world = *state;
    three_files(world);
    text_clear(&world->events);
    must_go_back(world, "r1", 2, NULL);
    assert_string_equal(world->report.state, "rolled_back");
    assert_int_equal(world->report.count, 2);
    assert_string_equal(world->report.items[0].file, "3_c.sql");
    assert_string_equal(world->report.version, "1");
    assert_string_equal(there(world), "1|a");
    assert_string_equal(run_row(world, "r1"), "rolled_back 2 1");
    assert_non_null(strstr(text_string(&world->events), "rolled back 3_c.sql\n"));
    world_must_run(world, "r2"); // and up again
    assert_string_equal(there(world), "1 2 3|a b c");
    world_is_quiet(world);
}

static void a_version_says_what_is_left(void **state) {
    struct world *world = *state;
    three_files(world);
    must_go_back(world, "r1", 0, "2");
    assert_string_equal(there(world), "1 2|a b");
    must_go_back(world, "r2", 0, "2"); // there already
    assert_int_equal(world->report.count, 0);
    must_go_back(world, "r3", 0, "0");
    assert_string_equal(there(world), "|");
    assert_null(world->report.version);
    world_is_quiet(world);
}

static void a_rollback_that_is_delivered_again_takes_back_nothing_more(void **state) {
    struct world *world = *state;
    three_files(world);
    must_go_back(world, "r1", 1, NULL);
    must_go_back(world, "r1", 1, NULL);
    assert_string_equal(there(world), "1 2|a b");
    world_must_run(world, "r2");
    must_go_back(world, "r1", 1, NULL); // late, after somebody went up again
    assert_string_equal(there(world), "1 2 3|a b c");
    assert_string_equal(run_row(world, "r1"), "rolled_back 1 2");
    must_go_back(world, "r3", 99, NULL);
    assert_string_equal(there(world), "|");
    assert_string_equal(run_row(world, "r3"), "rolled_back 3 nothing");
    world_is_quiet(world);
}

static void a_failure_rolls_its_own_migration_back_and_the_next_delivery_goes_on(void **state) {
    struct world *world = *state;
    three_files(world);
    world_file(world, "2_b.down.sql", "DROP TABLE b;\nDROP TABLE nosuch;\n");
    assert_false(back(world, "r1", 2, NULL));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(world->err.file, "2_b.down.sql");
    assert_int_equal(world->err.line, 2);
    assert_string_equal(there(world), "1 2|a b");
    assert_string_equal(run_row(world, "r1"), "failed 1 1");
    world_file(world, "2_b.down.sql", "DROP TABLE b;");
    world->request.origin = "{\"replay_of\":\"r1\"}";
    must_go_back(world, "r2", 2, NULL); // replayed: two in all, not two more
    assert_string_equal(there(world), "1|a");
    must_go_back(world, "r1", 2, NULL); // or simply delivered again
    assert_string_equal(there(world), "1|a");
    world_is_quiet(world);
}

static void what_has_no_way_back_is_refused_before_anything_is_touched(void **state) {
    struct world *world = *state;
    three_files(world);
    static const struct {
        const char *down, *message;
    } cases[] = {{NULL, "2_b.sql has no down file"},
                 {"DROP INDEX CONCURRENTLY i;", "2_b.down.sql is more than one transaction, or none"},
                 {"BEGIN; DROP TABLE b; COMMIT; SELECT 1;", "2_b.down.sql is more than one transaction, or none"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_remove(world, "2_b.down.sql");
        if (cases[i].down)
            world_file(world, "2_b.down.sql", cases[i].down);
        assert_false(back(world, "r1", 0, "1"));
        assert_int_equal(world->err.code, ERROR_ROLLBACK_IMPOSSIBLE);
        assert_non_null(strstr(world->err.message, cases[i].message));
        assert_string_equal(there(world), "1 2 3|a b c");
        world_file(world, "2_b.down.sql", "DROP TABLE b;");
    }
    world_file(world, "2_b.sql", "CREATE TABLE b (x bigint);");
    assert_false(back(world, "r2", 0, "1"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CHANGED);
    world_remove(world, "3_c.sql");
    world_remove(world, "3_c.down.sql");
    assert_false(back(world, "r3", 0, "2"));
    assert_int_equal(world->err.code, ERROR_ROLLBACK_IMPOSSIBLE); // a newer release's
    assert_false(back(world, "r4", 0, "17"));
    assert_int_equal(world->err.code, ERROR_VERSION_UNKNOWN);
    assert_string_equal(there(world), "1 2 3|a b c");
    world_is_quiet(world);
}

static void what_the_target_does_not_permit_is_refused(void **state) {
    struct world *world = *state;
    three_files(world);
    world->request.rollback = true;
    world->request.steps = 1;
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_NOT_PERMITTED);
    assert_string_equal(there(world), "1 2 3|a b c");
}

static void *end_soon(void *context) {
    clock_sleep_ms(300);
    database_run(context, "ROLLBACK");
    return NULL;
}

static void a_table_lock_is_waited_for_on_the_way_back_too(void **state) {
    struct world *world = *state;
    three_files(world);
    world->request.lock_timeout_ms = 20;
    cleanup_postgres struct postgres *reader = database_connect(world->database.url);
    database_run(reader, "BEGIN");
    database_run(reader, "SELECT * FROM public.c");
    text_clear(&world->events);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_soon, reader), 0);
    bool done = back(world, "r1", 1, NULL);
    pthread_join(thread, NULL);
    assert_true(done);
    assert_non_null(strstr(text_string(&world->events), "retrying 3_c.sql"));
    assert_string_equal(there(world), "1 2|a b");
}

static void a_connection_that_breaks_on_the_way_back_is_taken_up_again(void **state) {
    struct world *world = *state;
    three_files(world);
    database_do(&world->database, "CREATE SEQUENCE public.tries"); // what it counts outlives a rollback
    world_file(world, "2_b.down.sql",
               "SELECT pg_terminate_backend(pg_backend_pid()) WHERE nextval('tries') = 1;\nDROP TABLE b;");
    must_go_back(world, "r1", 2, NULL);
    assert_int_equal(world->report.count, 2);
    assert_string_equal(there(world), "1|a");
    assert_string_equal(run_row(world, "r1"), "rolled_back 2 1");
    assert_string_equal(world_ask(world, "SELECT last_value FROM tries"), "2");
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(steps_are_taken_back_newest_first),
        TEST(a_version_says_what_is_left),
        TEST(a_rollback_that_is_delivered_again_takes_back_nothing_more),
        TEST(a_failure_rolls_its_own_migration_back_and_the_next_delivery_goes_on),
        TEST(what_has_no_way_back_is_refused_before_anything_is_touched),
        TEST(what_the_target_does_not_permit_is_refused),
        TEST(a_table_lock_is_waited_for_on_the_way_back_too),
        TEST(a_connection_that_breaks_on_the_way_back_is_taken_up_again),
    };
    return cmocka_run_group_tests_name("rollback", tests, NULL, NULL);
}
