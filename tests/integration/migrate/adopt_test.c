#include "world.h"

#include "migrate/adopt.h"

static bool adopt(struct world *world, const char *run, const char *baseline) {
    struct migration_set set = {0};
    world->err = (struct error){0};
    world->report = (struct run_report){0};
    world->request.id = run;
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    return adopt_execute(world->connections, &set, baseline, &world->request, NULL, world->control, world->arena,
                         &world->report, &world->err);
}

static const char *rows(struct world *world) {
    return world_ask(world, "SELECT string_agg(version || ' ' || state || ' ' || run, ', ' ORDER BY version)"
                            " FROM pawl.migrations");
}

static void three_files(struct world *world) {
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "002_b.sql", "CREATE TABLE b (x int);");
    world_file(world, "3_c.sql", "CREATE TABLE c (x int);");
    world_file(world, "repeat_v.sql", "CREATE OR REPLACE VIEW v AS SELECT 1 AS x;");
}

static void what_is_there_is_recorded_and_not_run(void **state) {
    struct world *world = *state;
    three_files(world);
    database_do(&world->database, "CREATE TABLE public.a (x int)");
    database_do(&world->database, "CREATE TABLE public.b (x int)");
    assert_true(adopt(world, "r1", "0002"));
    assert_string_equal(world->report.state, "adopted");
    assert_int_equal(world->report.count, 2);
    assert_string_equal(world->report.version, "2");
    assert_string_equal(rows(world), "1 applied r1, 2 applied r1");
    assert_string_equal(world_ask(world, "SELECT state || ' ' || applied FROM pawl.runs"), "adopted 2");
    world_must_run(world, "r2"); // the rest, and what is repeated
    assert_int_equal(world->report.count, 2);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM c"), "0");
    world_must_run(world, "r3");
    assert_string_equal(world->report.state, "nothing_pending");
    world_is_quiet(world);
}

static void adopting_twice_records_once(void **state) {
    struct world *world = *state;
    three_files(world);
    assert_true(adopt(world, "r1", "1"));
    assert_true(adopt(world, "r2", "3"));
    assert_int_equal(world->report.count, 2);
    assert_true(adopt(world, "r3", "2"));
    assert_int_equal(world->report.count, 0);
    assert_string_equal(world->report.version, "3");
    assert_string_equal(rows(world), "1 applied r1, 2 applied r2, 3 applied r2");
    world_is_quiet(world);
}

static void a_version_that_is_no_file_is_refused(void **state) {
    struct world *world = *state;
    three_files(world);
    assert_false(adopt(world, "r1", "4"));
    assert_int_equal(world->err.code, ERROR_VERSION_UNKNOWN);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.migrations"), "0");
    assert_string_equal(world_ask(world, "SELECT state || ' ' || error FROM pawl.runs"), "failed VERSION_UNKNOWN");
    world_is_quiet(world);
}

static void a_ledger_that_says_otherwise_is_refused(void **state) {
    struct world *world = *state;
    three_files(world);
    assert_true(adopt(world, "r1", "1"));
    world_file(world, "1_a.sql", "CREATE TABLE a (x bigint);");
    assert_false(adopt(world, "r2", "3"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CHANGED);
    assert_string_equal(world->err.file, "1_a.sql");
    world_remove(world, "1_a.sql");
    assert_false(adopt(world, "r3", "3"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_MISSING);
    assert_string_equal(rows(world), "1 applied r1");
    world_is_quiet(world);
}

static void nothing_is_adopted_while_another_run_has_the_lock(void **state) {
    struct world *world = *state;
    three_files(world);
    world->request.lock_wait_ms = 0;
    cleanup_postgres struct postgres *other = database_connect(world->database.url);
    database_run(other, "SELECT pg_advisory_lock(1885435756, 1)");
    assert_false(adopt(world, "r1", "1"));
    assert_int_equal(world->err.code, ERROR_LOCK_HELD);
}

static void a_late_version_is_applied_only_where_that_is_said_and_permitted(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "4_d.sql", "CREATE TABLE d (x int);");
    world_must_run(world, "r1");
    world_file(world, "3_c.sql", "CREATE TABLE c AS SELECT x FROM b;");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);");
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_OUT_OF_ORDER);
    world->request.out_of_order = true;
    assert_false(world_run(world, "r3"));
    assert_int_equal(world->err.code, ERROR_NOT_PERMITTED);
    world->request.allow_out_of_order = true;
    world_must_run(world, "r4");
    assert_int_equal(world->report.count, 2);
    assert_string_equal(world->report.items[0].version, "2");
    assert_string_equal(world->report.version, "4");
    world->request.out_of_order = false;
    world_must_run(world, "r5");
    assert_string_equal(world->report.state, "nothing_pending");
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_is_recorded_and_not_run),
        TEST(adopting_twice_records_once),
        TEST(a_version_that_is_no_file_is_refused),
        TEST(a_ledger_that_says_otherwise_is_refused),
        TEST(nothing_is_adopted_while_another_run_has_the_lock),
        TEST(a_late_version_is_applied_only_where_that_is_said_and_permitted),
    };
    return cmocka_run_group_tests_name("adopt", tests, NULL, NULL);
}
