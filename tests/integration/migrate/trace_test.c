// What files leave in the session: it must reach neither the next file nor the next try, and later steps of the same file must find it.
#include "world.h"

static void names_of_one_file_do_not_reach_the_next(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql",
               "CREATE TABLE a (x int);\nPREPARE p AS SELECT 1;\nLISTEN l;\n"
               "DECLARE c CURSOR WITH HOLD FOR SELECT 1;");
    world_file(world, "2_b.sql", "PREPARE p AS SELECT 2;\nDECLARE c CURSOR WITH HOLD FOR SELECT 2;");
    world_file(world, "3_c.sql", "CREATE TABLE c AS SELECT count(*) AS n FROM pg_prepared_statements WHERE from_sql;");
    world_file(world, "4_d.sql", "DO $$BEGIN EXECUTE 'PREPARE p AS SELECT 3'; END$$;");
    world_file(world, "5_e.sql", "PREPARE p AS SELECT 4;");
    world_must_run(world, "r1");
    assert_string_equal(world_ask(world, "SELECT n FROM c"), "0");
    world_file(world, "6_f.sql", "CREATE TABLE f AS SELECT pg_listening_channels();");
    world_must_run(world, "r2"); // on the same connection
    assert_string_equal(world_ask(world, "SELECT count(*) FROM f"), "0");
    world_is_quiet(world);
}

struct blocker {
    struct world *world;
    struct postgres *holder;
};

static void release(void *context, const struct run_event *event) {
    struct blocker *blocker = context;
    world_hear(blocker->world, event);
    if (event->kind == RUN_RETRYING && postgres_in_transaction(blocker->holder))
        database_run(blocker->holder, "ROLLBACK");
}

// Runs while somebody holds table `a`, until the first try has failed.
static bool run_against_lock(struct world *world, const char *run) {
    cleanup_postgres struct postgres *holder = database_connect(world->database.url);
    database_run(holder, "BEGIN");
    database_run(holder, "LOCK TABLE a");
    struct blocker blocker = {world, holder};
    struct run_observer observer = {.event = release, .context = &blocker};
    struct migration_set set = {0};
    world->err = (struct error){0};
    world->request.id = run;
    return directory_read(world->folder, world->arena, &set, &world->err) &&
           run_execute(world->connections, &set, &world->request, &observer, world->control, world->arena,
                       &world->report, &world->err);
}

#define must_run_against_lock(world, run)                                                                              \
    do {                                                                                                               \
        if (!run_against_lock((world), (run)))                                                                         \
            fail_msg("%s: %s", error_name((world)->err.code), (world)->err.message);                                   \
        assert_non_null(strstr(text_string(&(world)->events), "retrying"));                                            \
    } while (0)

static void names_of_one_try_do_not_reach_the_next(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE a (x int)");
    world_file(world, "1_a.sql", "PREPARE p AS SELECT 1;\nALTER TABLE a ADD y int;");
    must_run_against_lock(world, "r1");
    world_is_quiet(world);
}

static void dropping_all_prepared_statements_does_not_stop_the_next_try(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE a (x int)");
    world_file(world, "1_a.sql", "CREATE TABLE b (x int);");
    world_file(world, "2_b.sql", "DEALLOCATE ALL;\nALTER TABLE a ADD y int;\nDEALLOCATE ALL;");
    world_file(world, "3_c.sql", "CREATE TABLE c (x int);");
    must_run_against_lock(world, "r1");
    assert_int_equal(world->report.count, 3);
    world_is_quiet(world);
}

static void a_function_may_drop_all_prepared_statements(void **state) {
    struct world *world = *state;
    world_file(
        world, "1_a.sql",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END$$;");
    world_file(world, "2_b.sql", "SELECT f();");
    world_file(world, "3_c.sql",
               "CREATE TABLE a (x int);\nSELECT f();\nCREATE INDEX CONCURRENTLY i ON a (x);\nSELECT f();");
    world_must_run(world, "r1");
    assert_int_equal(world->report.count, 3);
    world_is_quiet(world);
}

static void a_temporary_table_lasts_as_long_as_its_file(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql",
               "CREATE TABLE a (x int);\nCREATE TEMP TABLE t AS SELECT 7 AS x;\n"
               "CREATE INDEX CONCURRENTLY i ON a (x);\nINSERT INTO a SELECT x FROM t;\nVACUUM a;\n");
    world_file(world, "2_b.sql", "CREATE TEMP TABLE t AS SELECT 8 AS x;");
    world_must_run(world, "r1");
    assert_string_equal(world_ask(world, "SELECT x FROM a"), "7");
    world_is_quiet(world);
}

static void a_temporary_table_is_still_there_at_the_next_try(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE a (x int)");
    world_file(world, "1_a.sql",
               "CREATE TEMP TABLE t AS SELECT 7 AS x;\nCREATE TABLE b (x int);\n"
               "CREATE INDEX CONCURRENTLY i ON b (x);\nINSERT INTO a SELECT x FROM t;\n");
    must_run_against_lock(world, "r1");
    assert_string_equal(world_ask(world, "SELECT x FROM a"), "7");
    world_is_quiet(world);
}

static void a_file_that_needs_a_lost_temporary_table_is_refused_clearly(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql",
               "CREATE TABLE a (x int);\nCREATE TEMP TABLE t AS SELECT 7 AS x;\n"
               "CREATE INDEX CONCURRENTLY i ON a (x);\nINSERT INTO a SELECT x / 0 FROM t;\n");
    assert_false(world_run(world, "r1"));
    assert_string_equal(world->err.sqlstate, "22012");
    world_file(world, "1_a.sql",
               "CREATE TABLE a (x int);\nCREATE TEMP TABLE t AS SELECT 7 AS x;\n"
               "CREATE INDEX CONCURRENTLY i ON a (x);\nINSERT INTO a SELECT x FROM t;\n");
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_int_equal(world->err.line, 4);
    assert_non_null(strstr(world->err.message, "temporary table t"));
    assert_non_null(strstr(world->err.hint, "first 3 statements"));
    world_file(world, "1_a.sql",
               "CREATE TABLE a (x int);\nCREATE TEMP TABLE t AS SELECT 7 AS x;\n"
               "CREATE INDEX CONCURRENTLY i ON a (x);\nCREATE TEMP TABLE t AS SELECT 9 AS x;\n"
               "INSERT INTO a SELECT x FROM t;\n");
    world_must_run(world, "r3");
    assert_string_equal(world_ask(world, "SELECT x FROM a"), "9");
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(names_of_one_file_do_not_reach_the_next),
        TEST(names_of_one_try_do_not_reach_the_next),
        TEST(dropping_all_prepared_statements_does_not_stop_the_next_try),
        TEST(a_function_may_drop_all_prepared_statements),
        TEST(a_temporary_table_lasts_as_long_as_its_file),
        TEST(a_temporary_table_is_still_there_at_the_next_try),
        TEST(a_file_that_needs_a_lost_temporary_table_is_refused_clearly),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
