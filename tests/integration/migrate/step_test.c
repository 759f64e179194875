#include "world.h"

static void a_concurrent_index_is_built_and_recorded(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_i.sql", "CREATE INDEX CONCURRENTLY ai ON a (x);");
    world_file(world, "3_b.sql", "CREATE TABLE b (x int);");
    world_must_run(world, NULL);
    assert_int_equal(world->report.count, 3);
    assert_string_equal(world_ask(world, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ai'::regclass"), "t");
    assert_string_equal(world_ask(world, "SELECT string_agg(version || state || done || coalesce(in_flight, 0), ' '"
                                         " ORDER BY version) FROM pawl.migrations"),
                        "1applied10 2applied10 3applied10");
    world_must_run(world, "again");
    assert_int_equal(world->report.round_trips, 1);
    world_is_quiet(world);
}

static void a_mixed_file_goes_in_steps_with_its_settings(void **state) {
    struct world *world = *state;
    world_file(world, "1_m.sql",
               "CREATE SCHEMA s; SET search_path = s; CREATE TABLE a (x int); INSERT INTO a VALUES (1);\n"
               "CREATE INDEX CONCURRENTLY ai ON a (x);\n"
               "INSERT INTO a VALUES (2); INSERT INTO a VALUES (3);\n"
               "VACUUM a;\n");
    world_must_run(world, NULL);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM s.a"), "3");
    assert_string_equal(
        world_ask(world, "SELECT state || statements || done || cardinality(hashes) FROM pawl.migrations"),
        "applied888");
    assert_string_equal(
        text_string(&world->events),
        "locked \nstarted 1_m.sql\nprogress 1_m.sql\nprogress 1_m.sql\nprogress 1_m.sql\napplied 1_m.sql\n");
    world_is_quiet(world);
}

static void a_failed_step_keeps_the_steps_before_and_goes_on_when_mended(void **state) {
    struct world *world = *state;
    world_file(world, "1_m.sql",
               "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);\nVACUUM a;\nINSERT INTO a VALUES (2);\n"
               "INSERT INTO a VALUES ('no');\n");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.line, 5);
    assert_string_equal(world_ask(world, "SELECT state || done || cardinality(hashes) FROM pawl.migrations"),
                        "partial33");
    assert_string_equal(world_ask(world, "SELECT string_agg(x::text, ' ') FROM a"), "1");
    world_is_quiet(world);
    world_file(world, "1_m.sql",
               "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);\nVACUUM a;\nINSERT INTO a VALUES (20);\n");
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, "SELECT string_agg(x::text, ' ') FROM a"), "1 20");
    assert_string_equal(world_ask(world, "SELECT string_agg(state || done, ' ' ORDER BY version) FROM pawl.migrations"),
                        "applied4 applied1");
    world_must_run(world, "r3");
    assert_string_equal(world->report.state, "nothing_pending");
    world_is_quiet(world);
}

static void what_is_still_to_be_done_may_be_taken_out_of_the_file(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nCREATE INDEX CONCURRENTLY i ON a (x);\nSELECT nosuch;\n");
    assert_false(world_run(world, "r1"));
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nCREATE INDEX CONCURRENTLY i ON a (x);\n");
    world_must_run(world, "r2");
    assert_int_equal(world->report.count, 1);
    assert_string_equal(
        world_ask(world, "SELECT concat_ws(' ', state, done, statements, cardinality(hashes)) FROM pawl.migrations"),
        "applied 2 2 2");
    world_must_run(world, "r3");
    assert_string_equal(world->report.state, "nothing_pending");
    world_is_quiet(world);
}

static void a_statement_that_was_cut_off_may_not_be_taken_out(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nCREATE INDEX CONCURRENTLY i ON a (x);\nSELECT nosuch;\n");
    assert_false(world_run(world, "r1"));
    database_do(&world->database, "UPDATE pawl.migrations SET in_flight = done + 1");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nCREATE INDEX CONCURRENTLY i ON a (x);\n");
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CUT_OFF);
    assert_string_equal(world->err.file, "1_a.sql");
    assert_non_null(strstr(world->err.message, "statement 3"));
    world_is_quiet(world);
}

static void the_part_that_is_done_must_not_change(void **state) {
    struct world *world = *state;
    world_file(world, "1_m.sql", "CREATE TABLE a (x int);\nVACUUM a;\nSELECT 1/0;\n");
    assert_false(world_run(world, "r1"));
    world_file(world, "1_m.sql", "CREATE TABLE a (x bigint);\nVACUUM a;\nSELECT 1;\n");
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CHANGED);
    assert_non_null(
        strstr(world->err.hint, "put statement 1 back as it was; what is behind statement 2 may be changed"));
    assert_non_null(strstr(world->err.message, "statement 1 was changed"));
}

static void a_statement_that_leaves_nothing_behind_is_simply_repeated(void **state) {
    struct world *world = *state;
    world_file(world, "1_v.sql", "VACUUM a;");
    assert_false(world_run(world, "r1"));
    assert_string_equal(world->err.sqlstate, "42P01");
    assert_string_equal(world_ask(world, "SELECT coalesce(in_flight, 0) FROM pawl.migrations"), "0");
    database_do(&world->database, "CREATE TABLE public.a (x int)");
    world_must_run(world, "r2");
    world_is_quiet(world);
}

static void a_files_own_transactions_are_its_steps(void **state) {
    struct world *world = *state;
    world_file(world, "1_t.sql",
               "BEGIN;\nCREATE TABLE a (x int);\nCOMMIT;\nBEGIN;\nCREATE TABLE b (x int);\nSELECT 1/0;\nCOMMIT;\n");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.line, 6);
    assert_string_equal(world_ask(world, "SELECT concat(to_regclass('a'), to_regclass('b'))"), "a");
    world_file(world, "1_t.sql",
               "BEGIN;\nCREATE TABLE a (x int);\nCOMMIT;\nBEGIN;\nCREATE TABLE b (x int);\nCOMMIT;\n");
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, "SELECT concat(to_regclass('a'), to_regclass('b'))"), "ab");
    world_is_quiet(world);
}

static void a_procedure_that_commits_runs_alone_where_the_file_says_so(void **state) {
    struct world *world = *state;
    world_file(world, "1_p.sql",
               "CREATE TABLE a (x int);\nCREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN INSERT INTO a VALUES (1);"
               " COMMIT; INSERT INTO a VALUES (2); END$$;\n");
    world_file(world, "2_c.sql", "-- pawl: no-transaction\nCALL p();");
    world_must_run(world, "r");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM a"), "2");
    assert_null(strstr(text_string(&world->events), "retrying"));
    world_is_quiet(world);
}

static void whoever_waits_hears_at_which_statement_the_holder_is(void **state) {
    struct world *world = *state;
    world_file(world, "1_m.sql",
               "CREATE TABLE a AS SELECT 1 AS x, application_name AS name FROM pg_stat_activity WHERE pid = "
               "pg_backend_pid();\n"
               "DO $$BEGIN INSERT INTO a SELECT 2, application_name FROM pg_stat_activity WHERE pid = "
               "pg_backend_pid(); COMMIT; END$$;");
    world_must_run(world, "r1");
    assert_string_equal(world_ask(world, "SELECT string_agg(name, '; ' ORDER BY x) FROM a"),
                        "pawl r1 1/1 1_m.sql; pawl r1 1/1 1_m.sql:2/2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_concurrent_index_is_built_and_recorded),
        TEST(a_mixed_file_goes_in_steps_with_its_settings),
        TEST(a_failed_step_keeps_the_steps_before_and_goes_on_when_mended),
        TEST(what_is_still_to_be_done_may_be_taken_out_of_the_file),
        TEST(a_statement_that_was_cut_off_may_not_be_taken_out),
        TEST(the_part_that_is_done_must_not_change),
        TEST(a_statement_that_leaves_nothing_behind_is_simply_repeated),
        TEST(a_files_own_transactions_are_its_steps),
        TEST(a_procedure_that_commits_runs_alone_where_the_file_says_so),
        TEST(whoever_waits_hears_at_which_statement_the_holder_is),
    };
    return cmocka_run_group_tests_name("step", tests, NULL, NULL);
}
