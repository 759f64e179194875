#include "world.h"

static void an_empty_database_gets_every_file_once_and_in_order(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);\n");
    world_file(world, "2_b.sql", "ALTER TABLE a ADD y int;");
    world_file(world, "10_c.sql", "UPDATE a SET y = x + 1;");
    world_file(world, "repeat_v.sql", "CREATE OR REPLACE VIEW v AS SELECT x + y AS z FROM a;");
    world_must_run(world, NULL);
    assert_string_equal(world->report.state, "applied");
    assert_int_equal(world->report.count, 4);
    assert_int_equal(world->report.applied_before, 0);
    assert_string_equal(world->report.version, "10");
    assert_string_equal(world->report.items[0].file, "1_a.sql");
    assert_int_equal(world->report.items[0].statements, 2);
    assert_string_equal(world_ask(world, "SELECT z FROM v"), "3");
    assert_string_equal(
        world_ask(world, "SELECT string_agg(version || state, ' ' ORDER BY started_at) FROM pawl.migrations"),
        "1applied 2applied 10applied vapplied");
    assert_string_equal(world_ask(world, "SELECT state || applied || attempts FROM pawl.runs"), "applied41");
    assert_string_equal(
        world_ask(world, "SELECT count(*) FROM pawl.migrations WHERE finished_at IS NULL OR ms IS NULL"), "0");
    world_is_quiet(world);
}

static void a_run_with_nothing_pending_is_one_round_trip(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "first");
    for (int i = 0; i < 3; i++) {
        world_must_run(world, "second");
        assert_string_equal(world->report.state, "nothing_pending");
        assert_int_equal(world->report.round_trips, 1);
        assert_string_equal(world->report.version, "1");
        assert_int_equal(world->report.applied_before, 1);
    }
    assert_string_equal(world_ask(world, "SELECT state || attempts FROM pawl.runs WHERE id = 'second'"),
                        "nothing_pending3");
    run_database_free(world->connections);
    world->connections = run_database_new(world->database.url);
    world_must_run(world, "third");
    assert_int_equal(world->report.round_trips, 1); // on a fresh connection too
    world_is_quiet(world);
}

// Arrival, lock, a glance at the ledger's layout, its rows, the file, the departure.
static void a_run_with_one_file_pending_is_six_round_trips(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "first");
    world_file(world, "2_b.sql",
               "CREATE TABLE b (x int); INSERT INTO b SELECT generate_series(1, 3); ALTER TABLE a ADD y int;");
    world_must_run(world, "second");
    assert_int_equal(world->report.count, 1);
    assert_int_equal(world->report.round_trips, 6);
    world_is_quiet(world);
}

static void a_duplicate_erases_nothing_of_the_run_that_applied(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "m");
    world_must_run(world, "m");
    assert_string_equal(world->report.state, "nothing_pending");
    assert_string_equal(world_ask(world, "SELECT state || applied || attempts FROM pawl.runs"), "applied12");
}

static void a_failed_run_that_comes_again_with_nothing_left_leaves_nothing_pending(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "SELECT nosuch;");
    assert_false(world_run(world, "m"));
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "another");
    world_must_run(world, "m");
    assert_string_equal(
        world_ask(world, "SELECT concat_ws(' ', state, error, applied, pending) FROM pawl.runs WHERE id = 'm'"),
        "nothing_pending 0 0");
}

static void a_failure_in_the_middle_keeps_what_is_before_and_leaves_what_is_after(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_b.sql",
               "CREATE TABLE b (x int);\n\n-- é\nINSERT INTO b\n  VALUES (nosuch);\nCREATE TABLE b2 (x int);");
    world_file(world, "3_c.sql", "CREATE TABLE c (x int);");
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(world->err.file, "2_b.sql");
    assert_int_equal(world->err.line, 5);
    assert_int_equal(world->err.statement, 2);
    assert_int_equal(world->err.statements, 3);
    assert_string_equal(world->err.sqlstate, "42703");
    assert_string_equal(world->err.message, "2_b.sql, line 5: column \"nosuch\" does not exist");
    assert_string_equal(world_ask(world, "SELECT string_agg(relname, ' ' ORDER BY 1) FROM pg_class WHERE relkind = 'r'"
                                         " AND relnamespace = 'public'::regnamespace"),
                        "a");
    assert_string_equal(world_ask(world, "SELECT string_agg(version, ' ') FROM pawl.migrations"), "1");
    assert_string_equal(
        world_ask(world, "SELECT concat_ws(' ', state, error, file, line, statement, sqlstate, applied, pending)"
                         " FROM pawl.runs"),
        "failed MIGRATION_FAILED 2_b.sql 5 2 42703 1 2");
    world_is_quiet(world);
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);"); // mended: the next run goes on
    world_must_run(world, "run-2");
    assert_int_equal(world->report.count, 2);
    world_is_quiet(world);
}

static void a_deferred_constraint_fails_its_own_migration(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int UNIQUE DEFERRABLE INITIALLY DEFERRED);");
    world_file(world, "2_b.sql", "INSERT INTO a VALUES (1), (1);");
    world_file(world, "3_c.sql", "INSERT INTO a VALUES (2);");
    assert_false(world_run(world, NULL));
    assert_string_equal(world->err.file, "2_b.sql");
    assert_string_equal(world->err.sqlstate, "23505");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM a"), "0");
    assert_string_equal(world_ask(world, "SELECT string_agg(version, ' ') FROM pawl.migrations"), "1");
    world_is_quiet(world);
}

static void a_file_reaches_neither_the_ledger_nor_the_next_file(void **state) {
    struct world *world = *state;
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_nobody; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    database_do(&world->database, "GRANT ALL ON SCHEMA public TO pawl_nobody");
    world_file(world, "1_a.sql",
               "CREATE SCHEMA other; SET search_path = other; CREATE TABLE a (x int);"
               "SET standard_conforming_strings = off; SELECT set_config('client_encoding', 'LATIN1', false);");
    world_file(world, "2_b.sql", "CREATE TEMP TABLE t (x int); SET ROLE pawl_nobody; CREATE TABLE b (x int);");
    world_file(world, "3_c.sql",
               "CREATE TEMP TABLE t (x int); CREATE TABLE c AS SELECT current_user::text AS who, '\\'::text AS s, "
               "'ä'::text AS u;");
    world_must_run(world, NULL);
    assert_string_equal(
        world_ask(world,
                  "SELECT string_agg(nspname || '.' || relname, ' ' ORDER BY relname) FROM pg_class c"
                  " JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND relname IN ('a', 'b', 'c')"),
        "other.a public.b public.c");
    assert_string_equal(world_ask(world, "SELECT who || s || u FROM c"), "pawl\\ä");
    world_is_quiet(world);
}

// In a pipeline a transaction begins with the command after the last COMMIT, before our BEGIN.
static void a_database_of_another_isolation_level_is_migrated_all_the_same(void **state) {
    struct world *world = *state;
    database_do(&world->database, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation ="
                                  " serializable', current_database()); END $$");
    world_file(world, "1_a.sql", "CREATE TABLE a (level text DEFAULT current_setting('transaction_isolation'));");
    world_file(world, "2_b.sql", "INSERT INTO a DEFAULT VALUES;");
    world_file(world, "3_c.sql", "CREATE INDEX CONCURRENTLY a_level ON a (level);\nINSERT INTO a DEFAULT VALUES;");
    world_must_run(world, "r1");
    world_file(world, "4_d.sql", "INSERT INTO a DEFAULT VALUES;");
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, "SELECT string_agg(DISTINCT level, ' ') || count(*) FROM a"),
                        "read committed3");
    world_is_quiet(world);
}

static void settings_go_also_when_the_file_fails(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE SCHEMA other;");
    world_must_run(world, "r1");
    world_file(world, "2_b.sql", "SET search_path = other; SELECT 1/0;");
    assert_false(world_run(world, "r2"));
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);");
    world_must_run(world, "r3");
    assert_string_equal(world_ask(world, "SELECT 'public.b'::regclass::text"), "b");
}

static void changed_missing_and_late_files_are_refused_before_anything_runs(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "3_c.sql", "CREATE TABLE c (x int);");
    world_must_run(world, "r1");
    world_file(world, "4_d.sql", "CREATE TABLE d (x int);");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);");
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_OUT_OF_ORDER);
    world_remove(world, "2_b.sql");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int, y int);");
    assert_false(world_run(world, "r3"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CHANGED);
    world_remove(world, "1_a.sql");
    assert_false(world_run(world, "r4"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_MISSING);
    assert_string_equal(world_ask(world, "SELECT to_regclass('d') IS NULL"), "t");
    assert_string_equal(world_ask(world, "SELECT string_agg(error, ' ' ORDER BY id) FROM pawl.runs"),
                        "MIGRATION_OUT_OF_ORDER MIGRATION_CHANGED MIGRATION_MISSING");
    world_is_quiet(world);
}

static void an_older_image_is_superseded(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);");
    world_must_run(world, "new");
    world_remove(world, "2_b.sql");
    for (int i = 0; i < 2; i++) {
        world_must_run(world, "old");
        assert_string_equal(world->report.state, "superseded");
        assert_string_equal(world->report.version, "2");
    }
    assert_string_equal(world_ask(world, "SELECT state FROM pawl.runs WHERE id = 'old'"), "superseded");
}

static void to_stops_at_a_version_and_an_unknown_one_is_refused(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);");
    world->request.to = "1";
    world_must_run(world, "r1");
    assert_int_equal(world->report.count, 1);
    world_must_run(world, "r2");
    assert_string_equal(world->report.state, "nothing_pending");
    world->request.to = "7";
    assert_false(world_run(world, "r3"));
    assert_int_equal(world->err.code, ERROR_VERSION_UNKNOWN);
    world->request.to = NULL;
    world_must_run(world, "r4");
    assert_int_equal(world->report.count, 1);
    world->request.to = "7"; // the digest matches now; the version is still unknown
    assert_false(world_run(world, "r5"));
    assert_int_equal(world->err.code, ERROR_VERSION_UNKNOWN);
}

static void a_plan_touches_nothing(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world->request.plan_only = true;
    world_must_run(world, NULL);
    assert_string_equal(world->report.state, "planned");
    assert_int_equal(world->report.count, 1);
    assert_string_equal(world->report.items[0].state, "pending");
    assert_string_equal(world_ask(world, "SELECT to_regnamespace('pawl') IS NULL"), "t");
}

static void a_repeatable_file_is_applied_again_when_it_changes(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "repeat_v.sql", "CREATE OR REPLACE VIEW v AS SELECT 1 AS n;");
    world_must_run(world, "r1");
    world_file(world, "repeat_v.sql", "CREATE OR REPLACE VIEW v AS SELECT 2 AS n;");
    world_must_run(world, "r2");
    assert_int_equal(world->report.count, 1);
    assert_string_equal(world_ask(world, "SELECT n FROM v"), "2");
    world_must_run(world, "r3");
    assert_int_equal(world->report.round_trips, 1);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.migrations"), "2");
}

static void a_row_that_was_deleted_by_hand_is_pending_again(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE IF NOT EXISTS a (x int);");
    world_must_run(world, "r1");
    database_do(&world->database, "DELETE FROM pawl.migrations");
    world_must_run(world, "r2");
    assert_string_equal(world->report.state, "applied");
    database_do(&world->database, "UPDATE pawl.migrations SET checksum = 'x'");
    assert_false(world_run(world, "r3"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CHANGED);
    database_do(&world->database, "TRUNCATE pawl.migrations");
    world_must_run(world, "r4");
    assert_string_equal(world->report.state, "applied");
}

static void copy_with_its_data_is_part_of_the_transaction(void **state) {
    struct world *world = *state;
    world_file(
        world, "1_a.sql",
        "CREATE TABLE a (x int, s text);\nCOPY a FROM stdin;\n1\tone;'\n2\t\\N\n\\.\nUPDATE a SET x = x * 10;\n");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);");
    world_file(world, "3_c.sql", "INSERT INTO a VALUES (5);\nCOPY a FROM stdin;\n7\tok\nno\tno\n\\.\n");
    world_file(world, "4_d.sql", "CREATE TABLE d (x int);");
    assert_false(world_run(world, NULL));
    assert_string_equal(world->err.file, "3_c.sql");
    assert_int_equal(world->err.line, 2);
    assert_string_equal(world->err.sqlstate, "22P02");
    assert_string_equal(world_ask(world, "SELECT string_agg(x || coalesce(s, '-'), ' ' ORDER BY x) FROM a"),
                        "10one;' 20-");
    assert_string_equal(world_ask(world, "SELECT string_agg(version, ' ' ORDER BY version) FROM pawl.migrations"),
                        "1 2");
    world_is_quiet(world);
}

static void many_files_go_ahead_in_few_round_trips(void **state) {
    struct world *world = *state;
    for (int i = 1; i <= 300; i++) {
        char name[32], text[200];
        snprintf(name, sizeof(name), "%d_t.sql", i);
        snprintf(text, sizeof(text), "CREATE TABLE t%d (x int); INSERT INTO t%d SELECT generate_series(1, 3);", i, i);
        world_file(world, name, text);
    }
    world_must_run(world, NULL);
    assert_int_equal(world->report.count, 300);
    assert_true(world->report.round_trips < 30);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.migrations WHERE state = 'applied'"), "300");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^t[0-9]+$'"),
                        "300");
    world_is_quiet(world);
}

static void statements_that_return_rows_need_no_memory(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "SELECT repeat('x', 1000) FROM generate_series(1, 20000);\nSELECT 1;");
    world_must_run(world, NULL);
    assert_int_equal(world->report.count, 1);
}

static void an_empty_file_is_recorded(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "-- nothing yet\n");
    world_must_run(world, NULL);
    assert_int_equal(world->report.count, 1);
    assert_string_equal(world_ask(world, "SELECT state || statements FROM pawl.migrations"), "applied0");
}

static void status_shows_files_and_ledger_side_by_side(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    struct migration_set set = {0};
    struct status_item *items = NULL;
    size_t count = 0;
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    assert_true(run_status(world->connections, &set, NULL, world->arena, &items, &count, &world->err));
    assert_int_equal(count, 1);
    assert_string_equal(items[0].state, "pending");
    world_must_run(world, NULL);
    assert_true(run_status(world->connections, &set, NULL, world->arena, &items, &count, &world->err));
    assert_string_equal(items[0].state, "applied");
    assert_string_equal(items[0].run, "run-1");
    assert_non_null(items[0].applied_at);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_empty_database_gets_every_file_once_and_in_order),
        TEST(a_run_with_nothing_pending_is_one_round_trip),
        TEST(a_run_with_one_file_pending_is_six_round_trips),
        TEST(a_duplicate_erases_nothing_of_the_run_that_applied),
        TEST(a_failed_run_that_comes_again_with_nothing_left_leaves_nothing_pending),
        TEST(a_failure_in_the_middle_keeps_what_is_before_and_leaves_what_is_after),
        TEST(a_deferred_constraint_fails_its_own_migration),
        TEST(a_file_reaches_neither_the_ledger_nor_the_next_file),
        TEST(a_database_of_another_isolation_level_is_migrated_all_the_same),
        TEST(settings_go_also_when_the_file_fails),
        TEST(changed_missing_and_late_files_are_refused_before_anything_runs),
        TEST(an_older_image_is_superseded),
        TEST(to_stops_at_a_version_and_an_unknown_one_is_refused),
        TEST(a_plan_touches_nothing),
        TEST(a_repeatable_file_is_applied_again_when_it_changes),
        TEST(a_row_that_was_deleted_by_hand_is_pending_again),
        TEST(copy_with_its_data_is_part_of_the_transaction),
        TEST(many_files_go_ahead_in_few_round_trips),
        TEST(statements_that_return_rows_need_no_memory),
        TEST(an_empty_file_is_recorded),
        TEST(status_shows_files_and_ledger_side_by_side),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
