// Procedures and blocks that commit: the server refuses them in a transaction, and only then is it known that they do.
#include "world.h"

#include "migrate/repair.h"

static const char *numbers(struct world *world) {
    return world_ask(world, "SELECT string_agg(x::text, ' ' ORDER BY n) FROM public.a");
}

static const char *ledger(struct world *world) {
    return world_ask(world, "SELECT concat_ws(' ', state, done, cardinality(hashes), in_flight) FROM pawl.migrations"
                            " WHERE name = 'c'");
}

// p(x) commits one row and adds another one; q() commits nothing.
static int begin(void **state) {
    world_begin(state);
    struct world *world = *state;
    world_file(world, "1_a.sql",
               "CREATE TABLE a (n serial, x int);\n"
               "CREATE PROCEDURE p(x int) LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.a (x) VALUES (x); COMMIT;"
               " INSERT INTO public.a (x) VALUES (x + 1); END$$;\n"
               "CREATE PROCEDURE q() LANGUAGE sql AS 'INSERT INTO public.a (x) VALUES (7)';\n");
    world_must_run(world, "first");
    return 0;
}

static void a_procedure_that_commits_goes_outside_by_itself(void **state) {
    struct world *world = *state;
    world_file(world, "2_c.sql",
               "INSERT INTO a (x) VALUES (1);\nCALL p(10);\nINSERT INTO a (x) VALUES (2);\nCALL q();\n"
               "CALL p(20);\nINSERT INTO a (x) VALUES (3);\n");
    world_file(world, "3_b.sql", "CREATE TABLE b (x int);");
    world_must_run(world, "r");
    assert_string_equal(numbers(world), "1 10 11 2 7 20 21 3");
    assert_string_equal(ledger(world), "applied 6 6");
    assert_string_equal(world_ask(world, "SELECT string_agg(state, ' ') FROM pawl.migrations"),
                        "applied applied applied");
    assert_int_equal(world->report.count, 2);
    world_must_run(world, "again");
    assert_int_equal(world->report.round_trips, 1);
    world_is_quiet(world);
}

static void a_block_whose_text_does_not_show_its_commit_goes_outside_too(void **state) {
    struct world *world = *state;
    world_file(world, "2_c.sql", "DO $$BEGIN CALL public.p(10); END$$;");
    world_must_run(world, "r");
    assert_string_equal(numbers(world), "10 11");
    assert_string_equal(ledger(world), "applied 1 1");
    world_is_quiet(world);
}

// The statement does not show whether its table has partitions.
static void a_rebuild_of_a_partitioned_table_goes_outside_by_itself(void **state) {
    struct world *world = *state;
    world_file(world, "2_c.sql",
               "CREATE TABLE parts (x int) PARTITION BY RANGE (x);\n"
               "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (9);\nCREATE INDEX i ON parts (x);\n"
               "REINDEX TABLE parts;\nINSERT INTO a (x) VALUES (1);\nREINDEX INDEX i;\nREINDEX TABLE part;\n"
               "INSERT INTO a (x) VALUES (2);\n");
    world_must_run(world, "r1");
    assert_string_equal(numbers(world), "1 2");
    assert_string_equal(ledger(world), "applied 8 8");
    world_file(world, "3_d.sql", "REINDEX TABLE parts;");
    world_must_run(world, "r2");
    world_file(world, "4_e.sql", "INSERT INTO a (x) VALUES (3);\nBEGIN;\nREINDEX TABLE parts;\nCOMMIT;\n");
    assert_false(world_run(world, "r3"));
    assert_string_equal(world->err.sqlstate, "25001");
    assert_int_equal(world->err.line, 3);
    world_is_quiet(world);
}

static void a_repeatable_file_may_call_one_whenever_it_changes(void **state) {
    struct world *world = *state;
    world_file(world, "repeat_c.sql", "INSERT INTO a (x) VALUES (1);\nCALL p(10);\n");
    world_must_run(world, "r1");
    world_file(world, "repeat_c.sql", "CALL p(20);\nINSERT INTO a (x) VALUES (2);\n");
    world_must_run(world, "r2");
    assert_string_equal(numbers(world), "1 10 11 20 21 2");
    assert_string_equal(ledger(world), "applied 2 2");
    world_is_quiet(world);
}

static void a_later_failure_keeps_what_was_done_and_goes_on_when_mended(void **state) {
    struct world *world = *state;
    world_file(world, "2_c.sql",
               "INSERT INTO a (x) VALUES (1);\nCALL p(10);\nINSERT INTO a (x) VALUES (2);\nSELECT 1/0;\n");
    assert_false(world_run(world, "r1"));
    assert_string_equal(world->err.sqlstate, "22012");
    assert_int_equal(world->err.line, 4);
    assert_string_equal(ledger(world), "partial 2 2");
    assert_string_equal(numbers(world), "1 10 11");
    world_file(world, "2_c.sql", "INSERT INTO a (x) VALUES (1);\nCALL p(10);\nINSERT INTO a (x) VALUES (3);\n");
    world_must_run(world, "r2");
    assert_string_equal(numbers(world), "1 10 11 3");
    assert_string_equal(ledger(world), "applied 3 3");
    world_is_quiet(world);
}

static void whoever_finds_the_file_before_that_statement_comes_to_the_same_steps(void **state) {
    struct world *world = *state;
    world_file(world, "2_c.sql", "INSERT INTO a (x) VALUES (1);\nCALL p(10);\nINSERT INTO a (x) VALUES (2);\n");
    world_must_run(world, "r1");
    database_do(&world->database, "DELETE FROM public.a WHERE x <> 1");
    database_do(&world->database, "UPDATE pawl.migrations SET state = 'partial', done = 1, hashes = hashes[1:1],"
                                  " finished_at = NULL WHERE name = 'c'");
    world_must_run(world, "r2");
    assert_string_equal(numbers(world), "1 10 11 2");
    assert_string_equal(ledger(world), "applied 3 3");
    world_is_quiet(world);
}

static bool answer(struct world *world, enum repair_action action) {
    struct migration_set set = {0};
    const char *mended = NULL;
    struct repair_request request = {.action = action, .file = "2", .run = &world->request};
    world->err = (struct error){0};
    return directory_read(world->folder, world->arena, &set, &world->err) &&
           repair_execute(world->connections, &set, &request, NULL, world->control, world->arena, &mended, &world->err);
}

// Its session dies between its commits: what is after them cannot be told from outside.
static void one_that_is_cut_off_is_not_called_again_unasked(void **state) {
    static const char file[] = "INSERT INTO a (x) VALUES (1);\nCALL d();\nINSERT INTO a (x) VALUES (2);\n";
    struct world *world = *state;
    database_do(&world->database, "CREATE PROCEDURE public.d() LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.a (x)"
                                  " VALUES (10); COMMIT; PERFORM pg_terminate_backend(pg_backend_pid()); END$$");
    world_file(world, "2_c.sql", file);
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CUT_OFF);
    assert_non_null(strstr(world->err.message, "statement 2 of 3 (CALL) was cut off"));
    assert_string_equal(ledger(world), "partial 1 1 2");
    database_do(&world->database, "CREATE OR REPLACE PROCEDURE public.d() LANGUAGE sql AS 'SELECT 1'");
    assert_false(world_run(world, "r2")); // now it would run in a transaction
    assert_int_equal(world->err.code, ERROR_MIGRATION_CUT_OFF);
    world_file(world, "2_c.sql", "INSERT INTO a (x) VALUES (1);\nINSERT INTO a (x) VALUES (2);\n");
    assert_false(world_run(world, "r3")); // nor does editing it away answer the question
    assert_int_equal(world->err.code, ERROR_MIGRATION_CUT_OFF);
    assert_non_null(strstr(world->err.message, "statement 2 of 2 (changed since) was cut off")); // not the INSERT
    assert_string_equal(ledger(world), "partial 1 1 2");
    assert_string_equal(numbers(world), "1 10");
    world_file(world, "2_c.sql", file);
    if (!answer(world, REPAIR_AGAIN))
        fail_msg("%s", world->err.message);
    world_must_run(world, "r4");
    assert_string_equal(numbers(world), "1 10 2");
    assert_string_equal(ledger(world), "applied 3 3");
    world_is_quiet(world);
}

static void inside_the_files_own_transaction_it_is_refused(void **state) {
    struct world *world = *state;
    world_file(world, "2_c.sql", "BEGIN;\nINSERT INTO a (x) VALUES (1);\nCALL p(10);\nCOMMIT;\n");
    assert_false(world_run(world, "r"));
    assert_string_equal(world->err.sqlstate, "2D000");
    assert_int_equal(world->err.line, 3);
    assert_non_null(strstr(world->err.hint, "outside BEGIN ... COMMIT"));
    assert_string_equal(world_ask(world, "SELECT count(*) FROM a"), "0");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.migrations"), "1");
    world_is_quiet(world);
}

static void after_the_files_own_transaction_it_goes_outside(void **state) {
    struct world *world = *state;
    world_file(world, "2_c.sql", "BEGIN;\nINSERT INTO a (x) VALUES (1);\nCOMMIT;\nCALL p(10);\n");
    world_must_run(world, "r");
    assert_string_equal(numbers(world), "1 10 11");
    assert_string_equal(ledger(world), "applied 2 2");
    world_is_quiet(world);
}

static void what_was_set_before_it_holds_for_it_and_after_it(void **state) {
    struct world *world = *state;
    world_file(world, "2_c.sql",
               "CREATE SCHEMA s;\nCREATE TABLE s.t (x int);\nSET search_path = s;\n"
               "CREATE PROCEDURE c() LANGUAGE plpgsql AS $$BEGIN INSERT INTO t VALUES (1); COMMIT;"
               " END$$;\nCALL c();\nINSERT INTO t VALUES (2);\n");
    world_must_run(world, "r");
    assert_string_equal(world_ask(world, "SELECT string_agg(x::text, ' ' ORDER BY x) FROM s.t"), "1 2");
    world_is_quiet(world);
}

static void a_rollback_stays_one_transaction(void **state) {
    struct world *world = *state;
    world_file(world, "2_c.sql", "SELECT 1;");
    world_file(world, "2_c.down.sql", "CALL p(10);");
    world_must_run(world, "up");
    world->request.rollback = world->request.allow_rollback = true;
    world->request.steps = 1;
    assert_false(world_run(world, "down"));
    assert_string_equal(world->err.sqlstate, "2D000");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM a"), "0");
    assert_string_equal(ledger(world), "applied 1 0");
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_procedure_that_commits_goes_outside_by_itself),
        TEST(a_block_whose_text_does_not_show_its_commit_goes_outside_too),
        TEST(a_rebuild_of_a_partitioned_table_goes_outside_by_itself),
        TEST(a_repeatable_file_may_call_one_whenever_it_changes),
        TEST(a_later_failure_keeps_what_was_done_and_goes_on_when_mended),
        TEST(whoever_finds_the_file_before_that_statement_comes_to_the_same_steps),
        TEST(one_that_is_cut_off_is_not_called_again_unasked),
        TEST(inside_the_files_own_transaction_it_is_refused),
        TEST(after_the_files_own_transaction_it_goes_outside),
        TEST(what_was_set_before_it_holds_for_it_and_after_it),
        TEST(a_rollback_stays_one_transaction),
    };
    return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
