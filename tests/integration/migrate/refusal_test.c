// What the server refuses: what it is called, what is advised, and what is left behind.
#include "world.h"

static void a_lost_row_of_the_state_is_told_apart_from_a_foreign_schema(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "r1");
    database_do(&world->database, "DELETE FROM pawl.state");
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_LEDGER_FOREIGN);
    char *advice = strstr(world->err.hint, "INSERT INTO pawl.state");
    assert_non_null(advice);
    advice[strcspn(advice, ",")] = '\0'; // as advised
    database_do(&world->database, advice);
    world_must_run(world, "r3");
    assert_string_equal(world->report.state, "nothing_pending");
    assert_int_equal(world->report.applied_before, 1);
    world_is_quiet(world);
}

static void what_a_statement_raises_is_not_taken_for_our_connections_end(void **state) {
    struct world *world = *state;
    const char *files[] = {"DROP DATABASE nosuchdb;", "DO $$BEGIN RAISE 'x' USING ERRCODE = '57P01'; END$$;",
                           "DO $$BEGIN RAISE 'x' USING ERRCODE = '28000'; END$$;",
                           "CREATE SUBSCRIPTION s CONNECTION 'host=/nonexistent' PUBLICATION p;"};
    const char *states[] = {"3D000", "57P01", "28000", "08006"};
    for (size_t i = 0; i < 4; i++) {
        world_file(world, "1_a.sql", files[i]);
        assert_false(world_run(world, "r1"));
        assert_string_equal(world->err.sqlstate, states[i]);
        assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
        assert_string_equal(world->err.file, "1_a.sql");
    }
    world_is_quiet(world);
}

static void a_file_that_ends_its_own_session_is_recorded_as_failed(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nSELECT pg_terminate_backend(pg_backend_pid());");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_DATABASE_UNAVAILABLE);
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', state, error, file, sqlstate) FROM pawl.runs"),
                        "failed DATABASE_UNAVAILABLE 1_a.sql 57P01");
    world_is_quiet(world);
}

static void a_file_that_makes_its_transaction_read_only_is_told_so(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "SET TRANSACTION READ ONLY;");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(world->err.message, "1_a.sql makes its transaction read-only: the ledger cannot record it");
    world_is_quiet(world);
}

static void a_ledger_that_may_not_be_written_names_the_grant(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "r1");
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    database_do(&world->database, "GRANT USAGE ON SCHEMA pawl TO pawl_reader");
    database_do(&world->database, "GRANT SELECT ON ALL TABLES IN SCHEMA pawl TO pawl_reader");
    char url[512];
    snprintf(url, sizeof(url), "postgresql://pawl_reader@%s", strchr(world->database.url, '@') + 1);
    run_database_free(world->connections);
    world->connections = run_database_new(url);
    world_file(world, "2_b.sql", "SELECT 1;");
    for (size_t i = 0; i < 2; i++) {
        if (i == 1) {
            database_do(&world->database, "GRANT INSERT, UPDATE ON pawl.runs TO pawl_reader");
            database_do(&world->database, "GRANT UPDATE ON pawl.state TO pawl_reader");
        }
        assert_false(world_run(world, "r2"));
        assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
        assert_non_null(strstr(world->err.hint, "GRANT USAGE ON SCHEMA pawl"));
    }
    world_is_quiet(world);
}

static void a_failed_step_says_what_is_done_and_stays(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nVACUUM a;\nSELECT 1/0;\nSELECT 2;");
    assert_false(world_run(world, "r1"));
    assert_string_equal(world->err.hint, "2 of 4 statements are done and stay; the next run goes on after them.");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nVACUUM a;\n");
    world_must_run(world, "r2");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);\nSELECT 1/0;");
    assert_false(world_run(world, "r3"));
    assert_string_equal(world->err.hint, "");
    world_is_quiet(world);
}

static void a_url_that_cannot_work_is_a_wrong_setting(void **state) {
    struct world *world = *state;
    const char *urls[] = {"postgresql://pawl@/postgres?sslmode=nonsense", "postgresql://pawl@/postgres?port=abc",
                          "postgresql://pawl@/postgres?port=99999", "service=nosuchservice",
                          "host=a,b,c port=1,2 dbname=postgres"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        run_database_free(world->connections);
        world->connections = run_database_new(urls[i]);
        assert_false(world_run(world, "r1"));
        assert_int_equal(world->err.code, ERROR_CONFIGURATION);
    }
    run_database_free(world->connections);
    world->connections = run_database_new("postgresql://pawl@/postgres?host=/nonexistent");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_DATABASE_UNAVAILABLE);
}

static void what_is_refused_in_a_transaction_is_told_where_it_may_run(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql",
               "CREATE FUNCTION alone() RETURNS void LANGUAGE plpgsql AS $$BEGIN IF pg_current_xact_id_if_assigned() "
               "IS NOT NULL THEN"
               " RAISE 'not in a transaction' USING ERRCODE = 'active_sql_transaction'; END IF; END$$;");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);\nSELECT alone();\n");
    assert_false(world_run(world, NULL));
    assert_string_equal(world->err.sqlstate, "25001");
    assert_int_equal(world->err.line, 2);
    assert_non_null(
        strstr(world->err.hint, "In a file of its own with \"-- pawl: no-transaction\" in it, a CALL or a DO"));
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);\n");
    world_file(world, "3_c.sql", "-- pawl: no-transaction\nDO $$BEGIN PERFORM alone(); END$$;\n");
    world_must_run(world, NULL);
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_refused_in_a_transaction_is_told_where_it_may_run),
        TEST(a_lost_row_of_the_state_is_told_apart_from_a_foreign_schema),
        TEST(what_a_statement_raises_is_not_taken_for_our_connections_end),
        TEST(a_file_that_ends_its_own_session_is_recorded_as_failed),
        TEST(a_file_that_makes_its_transaction_read_only_is_told_so),
        TEST(a_ledger_that_may_not_be_written_names_the_grant),
        TEST(a_failed_step_says_what_is_done_and_stays),
        TEST(a_url_that_cannot_work_is_a_wrong_setting),
    };
    return cmocka_run_group_tests_name("refusal", tests, NULL, NULL);
}
