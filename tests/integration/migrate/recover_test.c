#include "world.h"

#include "migrate/repair.h"

// What a crash leaves: the ledger says that statement `n` of 2_n.sql is under way, and the session is gone. `leave` is what the
// statement had done by then.
static void crash(struct world *world, const char *file_text, const char *in_flight, int n, const char *leave) {
    world_file(world, "2_n.sql", file_text);
    struct migration_set set = {0};
    struct script script = {0};
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    const struct migration *migration = &set.items[1];
    assert_true(migration_load(&set, migration, world->arena, &script, &world->err));
    const char *hashes = "{}";
    for (int i = 0; i < n - 1; i++)
        hashes = i ? arena_printf(world->arena, "%.*s,%s}", (int)strlen(hashes) - 1, hashes, script.items[i].hash)
                   : arena_printf(world->arena, "{%s}", script.items[i].hash);
    struct script old = {0};
    assert_true(script_parse("old", view_of(in_flight), world->arena, &old, &world->err));
    char number[16], before[16], statements[24];
    snprintf(number, sizeof(number), "%d", n);
    snprintf(before, sizeof(before), "%d", n - 1);
    snprintf(statements, sizeof(statements), "%zu", script.count);
    const char *values[] = {migration->checksum, statements, before, hashes, number, old.items[0].hash, in_flight};
    cleanup_postgres struct postgres *postgres = database_connect(world->database.url);
    database_run(postgres, "SET search_path = public");
    struct error err = {0};
    if (!postgres_execute(
            postgres,
            "INSERT INTO pawl.migrations (kind, version, name, file, checksum, state, statements, done, hashes,"
            " in_flight, in_flight_hash, in_flight_text, in_flight_before, run) SELECT 'versioned', '2', 'n',"
            " '2_n.sql', $1, 'partial', $2::int, $3::int, $4::text[], $5::int, $6, $7, coalesce((SELECT"
            " array_agg(relname::text) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid ="
            " to_regclass('t')), '{}'), 'dead'",
            values, 7, &err))
        fail_msg("%s", err.message);
    database_run(postgres, "UPDATE pawl.state SET digest = NULL");
    if (leave && !postgres_execute(postgres, leave, NULL, 0, &err) && strcmp(err.sqlstate, "57014") != 0 &&
        strcmp(err.sqlstate, "23505") != 0)
        fail_msg("%s: %s", leave, err.message);
}

static int begin(void **state) {
    world_begin(state);
    struct world *world = *state;
    world_file(world, "1_t.sql",
               "CREATE TABLE t (x int, y int); INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;");
    world_must_run(world, "first");
    return 0;
}

static const char invalidate[] = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ti'::regclass";

static void leave_invalid(struct world *world, const char *create) {
    cleanup_postgres struct postgres *postgres = database_connect(world->database.url);
    database_run(postgres, "SET search_path = public");
    database_run(postgres, create);
    database_run(postgres, invalidate);
}

static const char *indexes(struct world *world) {
    return world_ask(
        world, "SELECT string_agg(c.relname || CASE WHEN indisvalid THEN '' ELSE '!' END, ' ' ORDER BY relname) FROM"
               " pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'public.t'::regclass");
}

static const char *ledger(struct world *world) {
    return world_ask(world, "SELECT state || done || coalesce(in_flight, 0) FROM pawl.migrations WHERE version = '2'");
}

static void an_invalid_index_is_dropped_and_built_again(void **state) {
    struct world *world = *state;
    static const char create[] = "CREATE INDEX CONCURRENTLY ti ON t (x)";
    crash(world, create, create, 1, NULL);
    leave_invalid(world, create);
    world_must_run(world, "r");
    assert_string_equal(indexes(world), "ti");
    assert_string_equal(ledger(world), "applied10");
    world_is_quiet(world);
}

static void a_valid_index_counts_as_done(void **state) {
    struct world *world = *state;
    static const char create[] = "CREATE INDEX CONCURRENTLY ti ON t (x)";
    crash(world, create, create, 1, create);
    const char *before = world_ask(world, "SELECT 'public.ti'::regclass::oid");
    world_must_run(world, "r");
    assert_string_equal(world_ask(world, "SELECT 'public.ti'::regclass::oid"), before);
    assert_string_equal(ledger(world), "applied10");
    world_is_quiet(world);
}

static void if_not_exists_does_not_keep_an_invalid_index(void **state) {
    struct world *world = *state;
    static const char create[] = "CREATE INDEX CONCURRENTLY IF NOT EXISTS ti ON t (x)";
    crash(world, create, create, 1, NULL);
    leave_invalid(world, create);
    world_must_run(world, "r");
    assert_string_equal(indexes(world), "ti");
    world_is_quiet(world);
}

static void if_not_exists_is_not_fooled_by_somebody_elses_invalid_index(void **state) {
    struct world *world = *state;
    leave_invalid(world, "CREATE INDEX ti ON t (x)");
    world_file(world, "2_n.sql", "CREATE INDEX CONCURRENTLY IF NOT EXISTS ti ON t (x);");
    world_must_run(world, "r");
    assert_string_equal(indexes(world), "ti");
    world_is_quiet(world);
}

static void an_index_without_a_name_is_found_by_what_was_not_there_before(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE INDEX other ON public.t (y)");
    static const char create[] = "CREATE INDEX CONCURRENTLY ON t (x)";
    crash(world, create, create, 1, create);
    database_do(&world->database,
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.t_x_idx'::regclass");
    world_must_run(world, "r");
    assert_string_equal(indexes(world), "other t_x_idx");
    world_is_quiet(world);
    assert_string_equal(ledger(world), "applied10");
}

static void names_are_found_where_the_database_quotes_them_all(void **state) {
    struct world *world = *state;
    char sql[128];
    snprintf(sql, sizeof(sql), "ALTER DATABASE %s SET quote_all_identifiers = on", world->database.name);
    database_do(&world->database, sql);
    static const char create[] = "CREATE INDEX CONCURRENTLY ti ON t (x)";
    crash(world, create, create, 1, NULL);
    leave_invalid(world, "CREATE INDEX ti ON t (x)");
    world_must_run(world, "r1");
    assert_string_equal(indexes(world), "ti");
    world_is_quiet(world);
}

static void an_index_that_somebody_else_built_meanwhile_is_left_alone(void **state) {
    struct world *world = *state;
    static const char create[] = "CREATE INDEX CONCURRENTLY ON t (x)";
    crash(world, create, create, 1, NULL);
    leave_invalid(world, "CREATE INDEX ti ON t (x)");
    database_do(&world->database, "CREATE INDEX theirs ON public.t (y)");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CUT_OFF);
    assert_string_equal(indexes(world), "theirs ti!");
    world_file(world, "2_n.sql", "CREATE INDEX CONCURRENTLY tj ON t (y)"); // mended
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CUT_OFF);
    assert_string_equal(indexes(world), "theirs ti!");
    database_do(&world->database, "DROP INDEX public.theirs");
    world_must_run(world, "r3");
    assert_string_equal(indexes(world), "tj");
    world_is_quiet(world);
}

static void a_statement_that_was_mended_meanwhile_replaces_what_the_old_one_left(void **state) {
    struct world *world = *state;
    crash(world, "CREATE INDEX CONCURRENTLY tj ON t (y)", "CREATE UNIQUE INDEX CONCURRENTLY ti ON t (x)", 1, NULL);
    leave_invalid(world, "CREATE UNIQUE INDEX ti ON t (x)");
    world_must_run(world, "r");
    assert_string_equal(indexes(world), "tj");
    world_is_quiet(world);
}

static void a_mended_statement_that_needs_no_special_care_replaces_it_too(void **state) {
    struct world *world = *state;
    crash(world, "CREATE INDEX ti ON t (x)", "CREATE INDEX CONCURRENTLY ti ON t (x)", 1, NULL);
    leave_invalid(world, "CREATE INDEX ti ON t (x)");
    world_must_run(world, "r");
    assert_string_equal(indexes(world), "ti");
    assert_string_equal(ledger(world), "applied10");
    world_is_quiet(world);
}

// The build, the second statement of a repeatable file, was cut off; then the file was edited.
static void leave_repeatable(struct world *world, const char *edited) {
    static const char old[] = "SET search_path = s;\nCREATE UNIQUE INDEX CONCURRENTLY ui ON u (x);\n";
    database_do(&world->database, "CREATE SCHEMA s");
    database_do(&world->database, "CREATE TABLE s.u (x int)");
    world_file(world, "repeat_n.sql", old);
    world_must_run(world, "r1");
    database_do(&world->database, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 's.ui'::regclass");
    database_do(&world->database,
                "UPDATE pawl.migrations SET state = 'partial', done = 1, hashes = hashes[1:1], in_flight = 2,"
                " in_flight_hash = hashes[2], in_flight_text = 'CREATE UNIQUE INDEX CONCURRENTLY ui ON u (x)',"
                " in_flight_before = '{}', finished_at = NULL WHERE name = 'n'");
    world_file(world, "repeat_n.sql", edited);
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', state, in_flight) FROM pawl.migrations WHERE name ="
                                         " 'n'"),
                        "applied");
    world_is_quiet(world);
}

static void an_edited_repeatable_file_first_clears_away_what_its_former_text_left(void **state) {
    struct world *world = *state;
    leave_repeatable(world, "SET search_path = s;\nCREATE INDEX CONCURRENTLY IF NOT EXISTS uj ON u (x);\n");
    assert_string_equal(world_ask(world, "SELECT string_agg(indexrelid::regclass::text, ' ') FROM pg_index WHERE"
                                         " indrelid = 's.u'::regclass"),
                        "s.uj");
}

static void so_does_one_that_is_a_single_transaction_or_nothing_now(void **state) {
    struct world *world = *state;
    leave_repeatable(world, "SET search_path = s;");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pg_index WHERE indrelid = 's.u'::regclass"), "0");
}

static void a_unique_build_that_fails_for_duplicates_leaves_nothing_behind(void **state) {
    struct world *world = *state;
    database_do(&world->database, "INSERT INTO public.t VALUES (1, 1)");
    world_file(world, "2_n.sql", "CREATE UNIQUE INDEX CONCURRENTLY ti ON t (x);");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(world->err.sqlstate, "23505");
    assert_string_equal(indexes(world), "");
    assert_string_equal(ledger(world), "partial00");
    world_is_quiet(world);
    database_do(&world->database, "DELETE FROM public.t WHERE x = 1");
    world_must_run(world, "r2");
    assert_string_equal(indexes(world), "ti");
}

static void an_index_that_is_there_already_is_refused_and_left_alone(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE INDEX ti ON public.t (y)");
    world_file(world, "2_n.sql", "CREATE INDEX CONCURRENTLY ti ON t (x);");
    for (int i = 0; i < 2; i++) {
        assert_false(world_run(world, "r1"));
        assert_string_equal(world->err.sqlstate, "42P07");
        assert_string_equal(ledger(world), "partial00");
    }
    assert_string_equal(indexes(world), "ti");
}

static void a_table_written_with_its_schema_is_no_other_case(void **state) {
    struct world *world = *state;
    static const char create[] = "CREATE INDEX CONCURRENTLY ti ON public.t (x)";
    crash(world, create, create, 1, NULL);
    leave_invalid(world, create);
    world_must_run(world, "r");
    assert_string_equal(indexes(world), "ti");
    database_do(&world->database, invalidate);
    world_file(world, "3_n.sql", "CREATE INDEX CONCURRENTLY IF NOT EXISTS ti ON \"public\".t (x);");
    world_must_run(world, "r2");
    assert_string_equal(indexes(world), "ti");
    world_is_quiet(world);
}

static void names_mean_what_the_files_search_path_says(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE SCHEMA s CREATE TABLE t (x int)");
    static const char create[] = "CREATE INDEX CONCURRENTLY ti ON t (x)";
    crash(world, "SET search_path = s; CREATE INDEX CONCURRENTLY ti ON t (x)", create, 2, NULL);
    leave_invalid(world, create); // of another table, in public: not ours
    database_do(&world->database, "CREATE INDEX ti ON s.t (x)");
    database_do(&world->database, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 's.ti'::regclass");
    world_must_run(world, "r");
    assert_string_equal(world_ask(world,
                                  "SELECT string_agg(indisvalid::text, ' ' ORDER BY indexrelid) FROM pg_index WHERE"
                                  " indexrelid IN ('public.ti'::regclass, 's.ti'::regclass)"),
                        "false true");
}

static void a_child_of_a_partitioned_table_is_settled_like_any_table(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE public.p (x int) PARTITION BY RANGE (x)");
    database_do(&world->database, "CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES FROM (0) TO (10)");
    static const char create[] = "CREATE INDEX CONCURRENTLY ti ON p1 (x)";
    crash(world, create, create, 1, NULL);
    leave_invalid(world, create);
    world_must_run(world, "r");
    assert_string_equal(world_ask(world, "SELECT indisvalid FROM pg_index WHERE indrelid = 'public.p1'::regclass"),
                        "t");
    world_is_quiet(world);
}

static void what_a_reindex_left_is_dropped_and_it_runs_again(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE INDEX ti ON public.t (x)");
    static const char *const reindexes[] = {"REINDEX INDEX CONCURRENTLY ti", "REINDEX TABLE CONCURRENTLY t",
                                            "REINDEX SCHEMA CONCURRENTLY public"};
    for (int i = 0; i < 3; i++) {
        database_do(&world->database, "CREATE INDEX ti_ccnew ON public.t (x)");
        database_do(&world->database, "CREATE INDEX ti_ccold1 ON public.t (x)");
        database_do(&world->database, "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN"
                                      " ('public.ti_ccnew'::regclass, 'public.ti_ccold1'::regclass)");
        database_do(&world->database, "DELETE FROM pawl.migrations WHERE version = '2'");
        crash(world, reindexes[i], reindexes[i], 1, NULL);
        world_must_run(world, "r");
        assert_string_equal(indexes(world), "ti");
        assert_string_equal(ledger(world), "applied10");
        world_is_quiet(world);
    }
}

static void dropping_an_index_is_done_or_done_again(void **state) {
    struct world *world = *state;
    static const char drop[] = "DROP INDEX CONCURRENTLY ti";
    crash(world, drop, drop, 1, NULL); // it is gone
    world_must_run(world, "r1");
    assert_string_equal(ledger(world), "applied10");
    database_do(&world->database, "DELETE FROM pawl.migrations WHERE version = '2'");
    crash(world, drop, drop, 1, NULL);
    leave_invalid(world, "CREATE INDEX ti ON t (x)"); // it is still there, half dropped
    world_must_run(world, "r2");
    assert_string_equal(indexes(world), "");
    world_is_quiet(world);
}

static void detaching_a_partition_is_finished(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE public.p (x int) PARTITION BY RANGE (x)");
    static const char detach[] = "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY";
    for (int i = 0; i < 3; i++) {
        database_do(&world->database, "DROP TABLE IF EXISTS public.p1");
        database_do(&world->database, i == 0
                                          ? "CREATE TABLE public.p1 (x int)"
                                          : "CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES FROM (0) TO (10)");
        database_do(&world->database, "DELETE FROM pawl.migrations WHERE version = '2'");
        crash(world, detach, detach, 1, NULL);
        if (i == 2)
            database_do(&world->database, "UPDATE pg_inherits SET inhdetachpending = true");
        world_must_run(world, "r");
        assert_string_equal(world_ask(world, "SELECT count(*) FROM pg_inherits"), "0");
        assert_string_equal(world_ask(world, "SELECT to_regclass('public.p1') IS NOT NULL"), "t");
        assert_string_equal(ledger(world), "applied10");
    }
}

static void vacuum_and_settings_are_simply_repeated(void **state) {
    struct world *world = *state;
    static const char *const harmless[] = {"VACUUM t", "ALTER SYSTEM RESET log_min_messages", "REINDEX SCHEMA public"};
    for (int i = 0; i < 3; i++) {
        database_do(&world->database, "DELETE FROM pawl.migrations WHERE version = '2'");
        crash(world, harmless[i], harmless[i], 1, NULL);
        world_must_run(world, "r");
        assert_string_equal(ledger(world), "applied10");
    }
}

static void a_database_is_created_or_dropped_once(void **state) {
    struct world *world = *state;
    const char *create = arena_printf(world->arena, "CREATE DATABASE %s_x", world->database.name);
    const char *drop = arena_printf(world->arena, "DROP DATABASE %s_x", world->database.name);
    const char *const rounds[][2] = {{create, NULL}, {create, NULL}, {drop, NULL}, {drop, NULL}};
    for (int i = 0; i < 4; i++) { // not yet, already, not yet, already
        database_do(&world->database, "DELETE FROM pawl.migrations WHERE version = '2'");
        crash(world, rounds[i][0], rounds[i][0], 1, NULL);
        world_must_run(world, "r");
        assert_string_equal(ledger(world), "applied10");
        assert_string_equal(
            world_ask(world, "SELECT count(*) FROM pg_database WHERE datname = current_database() || '_x'"),
            i < 2 ? "1" : "0");
    }
}

static void anything_else_is_a_question_for_a_human(void **state) {
    struct world *world = *state;
    static const char block[] =
        "DO $$BEGIN INSERT INTO t VALUES (1000); COMMIT; INSERT INTO t VALUES (1001); COMMIT; END$$";
    crash(world, block, block, 1, NULL);
    for (int i = 0; i < 2; i++) {
        assert_false(world_run(world, "r"));
        assert_int_equal(world->err.code, ERROR_MIGRATION_CUT_OFF);
        assert_int_equal(world->err.statement, 1);
        assert_non_null(strstr(world->err.hint, "pawl repair --done 2_n.sql"));
        assert_string_equal(ledger(world), "partial01");
    }
    assert_string_equal(world_ask(world, "SELECT count(*) FROM public.t WHERE x >= 1000"), "0");
    world_is_quiet(world);
}

static bool mend(struct world *world, enum repair_action action, const char *file) {
    struct migration_set set = {0};
    const char *mended = NULL;
    world->err = (struct error){0};
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    struct run_request run = world->request;
    run.id = "mend";
    struct repair_request request = {.action = action, .file = file, .run = &run};
    return repair_execute(world->connections, &set, &request, NULL, world->control, world->arena, &mended, &world->err);
}

static void a_human_answers_the_question(void **state) {
    struct world *world = *state;
    static const char block[] = "DO $$BEGIN INSERT INTO t VALUES (1000); COMMIT; END$$";
    for (int i = 0; i < 2; i++) {
        database_do(&world->database, "DELETE FROM pawl.migrations WHERE version = '2'");
        crash(world, block, block, 1, NULL);
        assert_false(world_run(world, "r"));
        if (!mend(world, i ? REPAIR_AGAIN : REPAIR_DONE, i ? "2" : "2_n.sql"))
            fail_msg("%s", world->err.message);
        assert_false(mend(world, REPAIR_DONE, "2"));
        assert_int_equal(world->err.code, ERROR_USAGE);
        world_must_run(world, "r");
        assert_string_equal(ledger(world), "applied10");
        assert_int_equal(atoi(world_ask(world, "SELECT count(*) FROM public.t WHERE x = 1000")), i);
    }
    world_is_quiet(world);
}

static void a_changed_file_is_accepted_and_a_removed_one_forgotten(void **state) {
    struct world *world = *state;
    world_file(world, "2_n.sql", "CREATE TABLE n (x int);");
    world_file(world, "3_m.sql", "CREATE TABLE m (x int);");
    world_must_run(world, "r1");
    assert_false(mend(world, REPAIR_ACCEPT, "2_n.sql")); // it is not changed
    world_file(world, "2_n.sql", "CREATE TABLE n (x int); -- a remark");
    assert_false(world_run(world, "r2"));
    assert_true(mend(world, REPAIR_ACCEPT, "2_n.sql"));
    world_must_run(world, "r3");
    assert_false(mend(world, REPAIR_FORGET, "2_n.sql")); // it is still there
    world_remove(world, "2_n.sql");
    assert_false(world_run(world, "r4"));
    assert_true(mend(world, REPAIR_FORGET, "2_n.sql"));
    assert_string_equal(world_ask(world, "SELECT state || ': ' || reason FROM pawl.runs WHERE id = 'mend'"),
                        "repaired: repair --accept 2_n.sql");
    world_must_run(world, "r5");
    world_is_quiet(world);
}

static void a_block_that_commits_runs_outside_a_transaction(void **state) {
    struct world *world = *state;
    world_file(world, "2_n.sql",
               "DO $$BEGIN INSERT INTO t VALUES (1000, 1); COMMIT; INSERT INTO t VALUES (1001, 1); END$$;");
    world_must_run(world, "r");
    assert_string_equal(ledger(world), "applied10");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM public.t WHERE x >= 1000"), "2");
}

static void *cancel_soon(void *context) {
    clock_sleep_ms(400);
    run_control_cancel(context);
    return NULL;
}

static void a_cancelled_build_is_finished_by_the_next_delivery(void **state) {
    struct world *world = *state;
    world_file(world, "2_n.sql", "CREATE INDEX CONCURRENTLY ti ON t (x);");
    cleanup_postgres struct postgres *old =
        database_connect(world->database.url); // an old transaction holds the build up
    database_run(old, "BEGIN");
    database_run(old, "INSERT INTO public.t VALUES (7, 7)");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, world->control), 0);
    assert_false(world_run(world, "r1"));
    pthread_join(thread, NULL);
    assert_int_equal(world->err.code, ERROR_SHUTTING_DOWN);
    assert_string_equal(indexes(world), "ti!");
    assert_string_equal(ledger(world), "partial01");
    database_run(old, "COMMIT");
    run_control_free(world->control);
    world->control = run_control_new();
    world_must_run(world, "r2");
    assert_string_equal(indexes(world), "ti");
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_invalid_index_is_dropped_and_built_again),
        TEST(a_valid_index_counts_as_done),
        TEST(if_not_exists_does_not_keep_an_invalid_index),
        TEST(a_table_written_with_its_schema_is_no_other_case),
        TEST(if_not_exists_is_not_fooled_by_somebody_elses_invalid_index),
        TEST(an_index_without_a_name_is_found_by_what_was_not_there_before),
        TEST(names_are_found_where_the_database_quotes_them_all),
        TEST(an_index_that_somebody_else_built_meanwhile_is_left_alone),
        TEST(a_statement_that_was_mended_meanwhile_replaces_what_the_old_one_left),
        TEST(a_mended_statement_that_needs_no_special_care_replaces_it_too),
        TEST(an_edited_repeatable_file_first_clears_away_what_its_former_text_left),
        TEST(so_does_one_that_is_a_single_transaction_or_nothing_now),
        TEST(a_unique_build_that_fails_for_duplicates_leaves_nothing_behind),
        TEST(an_index_that_is_there_already_is_refused_and_left_alone),
        TEST(names_mean_what_the_files_search_path_says),
        TEST(a_child_of_a_partitioned_table_is_settled_like_any_table),
        TEST(what_a_reindex_left_is_dropped_and_it_runs_again),
        TEST(dropping_an_index_is_done_or_done_again),
        TEST(detaching_a_partition_is_finished),
        TEST(vacuum_and_settings_are_simply_repeated),
        TEST(a_database_is_created_or_dropped_once),
        TEST(anything_else_is_a_question_for_a_human),
        TEST(a_human_answers_the_question),
        TEST(a_changed_file_is_accepted_and_a_removed_one_forgotten),
        TEST(a_block_that_commits_runs_outside_a_transaction),
        TEST(a_cancelled_build_is_finished_by_the_next_delivery),
    };
    return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}
