// What a session of ours looks like, whatever role, database and files say.
#include "world.h"

static void set_for_database(const struct world *world, const char *setting) {
    char command[256];
    snprintf(command, sizeof(command),
             "DO $$BEGIN EXECUTE format('ALTER DATABASE %%I SET %s', current_database()); END$$", setting);
    database_do(&world->database, command);
}

static void a_time_limit_for_the_applications_queries_does_not_end_a_migration(void **state) {
    struct world *world = *state;
    set_for_database(world, "statement_timeout = 150");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nSELECT pg_sleep(0.4);");
    world_file(world, "2_b.sql", "CREATE INDEX CONCURRENTLY i ON a (x);\nSELECT pg_sleep(0.4);");
    world_must_run(world, "r1");
    world_file(world, "3_c.sql", "SET statement_timeout = '100ms';\nSELECT pg_sleep(5);");
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(world->err.sqlstate, "57014");
    assert_non_null(strstr(world->err.hint, "SET statement_timeout = 0"));
    world_is_quiet(world);
}

struct reader {
    struct world *world;
    struct postgres *postgres;
};

static void leave_late(void *context, const struct run_event *event) {
    struct reader *reader = context;
    world_hear(reader->world, event);
    if (event->kind == RUN_RETRYING && postgres_in_transaction(reader->postgres)) {
        clock_sleep_ms(400);
        database_run(reader->postgres, "COMMIT");
    }
}

static void a_time_limit_for_idle_sessions_does_not_take_the_lock_away(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE a (x int)");
    cleanup_postgres struct postgres *postgres = database_connect(world->database.url);
    database_run(postgres, "BEGIN");
    database_run(postgres, "SELECT * FROM a");
    set_for_database(world, "idle_session_timeout = 150");
    world_file(world, "1_a.sql", "ALTER TABLE a ADD y int;");
    struct migration_set set = {0};
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    struct reader reader = {world, postgres};
    struct run_observer observer = {.event = leave_late, .context = &reader};
    assert_true(run_execute(world->connections, &set, &world->request, &observer, world->control, world->arena,
                            &world->report, &world->err));
    assert_non_null(strstr(text_string(&world->events), "retrying"));
    assert_string_equal(world_ask(world, "SELECT attempts FROM pawl.runs"), "1"); // on one connection
    world_is_quiet(world);
}

// The tests' role is named pawl, and so is the ledger's schema: "$user" would mean that.
static void a_role_named_pawl_makes_nothing_in_the_ledgers_schema(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_b.sql", "RESET search_path;\nCREATE TABLE b (x int);");
    world_file(world, "3_c.sql",
               "SET search_path TO DEFAULT;\nCREATE TABLE c (x int);\nRESET ALL;\nCREATE TABLE d (x int);");
    world_file(world, "4_d.sql",
               "RESET search_path;\nCREATE TABLE e (x int);\nCREATE INDEX CONCURRENTLY i ON e (x);\n"
               "CREATE TABLE f (x int);");
    world_must_run(world, "r1");
    assert_string_equal(world_ask(world, "SELECT string_agg(relname, ' ' ORDER BY 1) FROM pg_class WHERE relkind = 'r'"
                                         " AND relnamespace = 'public'::regnamespace"),
                        "a b c d e f");
    world_is_quiet(world);
}

static void quotes_and_letters_mean_what_the_files_mean(void **state) {
    struct world *world = *state;
    set_for_database(world, "standard_conforming_strings = off");
    set_for_database(world, "client_encoding = ''LATIN1''");
    world_file(world, "1_a.sql", "CREATE TABLE a AS SELECT '\\'::text || 'ä' AS x;");
    world_must_run(world, "r1");
    assert_string_equal(world_ask(world, "SELECT encode(convert_to(x, 'UTF8'), 'hex') FROM a"), "5cc3a4");
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_time_limit_for_the_applications_queries_does_not_end_a_migration),
        TEST(a_time_limit_for_idle_sessions_does_not_take_the_lock_away),
        TEST(a_role_named_pawl_makes_nothing_in_the_ledgers_schema),
        TEST(quotes_and_letters_mean_what_the_files_mean),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
