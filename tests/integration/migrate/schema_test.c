// A ledger in a schema of another name: everything follows, and two of them in one database know nothing of each other.
#include "migrate/adopt.h"
#include "migrate/history.h"
#include "migrate/repair.h"

#include "world.h"

static const char *schemas(struct world *world) {
    return world_ask(world, "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace"
                            " WHERE nspname NOT LIKE 'pg_%' AND nspname NOT IN ('public', 'information_schema')");
}

static const char *rows(struct world *world, const char *schema) {
    return world_ask(world, arena_printf(world->arena,
                                         "SELECT string_agg(file || ' ' || state, ', ' ORDER BY file)"
                                         " FROM %s.migrations",
                                         schema));
}

static void three_files(const struct world *world) {
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);\nCREATE INDEX CONCURRENTLY bi ON b (x);\nANALYZE b;");
    world_file(world, "repeat_v.sql", "CREATE OR REPLACE VIEW v AS SELECT * FROM a;");
}

static void everything_of_the_ledger_is_in_the_schema_named(void **state) {
    struct world *world = *state;
    world_move(world, NULL, "ledger_two", NULL);
    three_files(world);
    world_must_run(world, "r1");
    assert_int_equal(world->report.count, 3);
    assert_string_equal(schemas(world), "ledger_two");
    assert_string_equal(rows(world, "ledger_two"), "1_a.sql applied, 2_b.sql applied, repeat_v.sql applied");
    assert_string_equal(world_ask(world,
                                  "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind ="
                                  " 'r' AND relnamespace = 'ledger_two'::regnamespace"),
                        "migrations runs state");
    world_must_run(world, "r2");
    assert_string_equal(world->report.state, "nothing_pending");
    assert_int_equal(world->report.round_trips, 1);
    world_file(world, "repeat_v.sql", "CREATE OR REPLACE VIEW v AS SELECT x FROM a;");
    world_must_run(world, "r3");
    assert_int_equal(world->report.count, 1);
    assert_string_equal(
        world_ask(world, "SELECT string_agg(id || ' ' || state, ', ' ORDER BY id) FROM ledger_two.runs"),
        "r1 applied, r2 nothing_pending, r3 applied");
    world_is_quiet(world);
}

// The trigger has the schema's name in it.
static void a_row_that_is_changed_by_hand_clears_the_digest(void **state) {
    struct world *world = *state;
    world_move(world, NULL, "ledger_two", NULL);
    three_files(world);
    world_must_run(world, "r1");
    assert_string_equal(world_ask(world, "SELECT digest IS NOT NULL FROM ledger_two.state"), "t");
    database_do(&world->database, "DELETE FROM ledger_two.migrations WHERE version = '1'");
    assert_string_equal(world_ask(world, "SELECT digest IS NULL FROM ledger_two.state"), "t");
    database_do(&world->database, "DROP TABLE a CASCADE");
    world->request.out_of_order = world->request.allow_out_of_order = true;
    world_must_run(world, "r2");
    assert_int_equal(world->report.count, 1);
}

static void an_index_that_fails_half_way_is_built_by_the_next_run(void **state) {
    struct world *world = *state;
    world_move(world, NULL, "ledger_two", NULL);
    world_file(world, "1_a.sql",
               "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1), (1);\n"
               "CREATE UNIQUE INDEX CONCURRENTLY ai ON a (x);\nCREATE TABLE b (x int);");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(world_ask(world, "SELECT state || ' ' || done FROM ledger_two.migrations"), "partial 2");
    world_is_quiet(world);
    // and as a killed run leaves it: announced, and the index INVALID
    database_do(&world->database, "DELETE FROM a WHERE ctid = '(0,1)'");
    database_do(&world->database, "CREATE UNIQUE INDEX ai ON a (x)");
    database_do(&world->database, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ai'::regclass");
    database_do(&world->database, "UPDATE ledger_two.migrations SET in_flight = 3");
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, "SELECT state || ' ' || done FROM ledger_two.migrations"), "applied 4");
    assert_string_equal(world_ask(world, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ai'::regclass"), "t");
    assert_string_equal(schemas(world), "ledger_two");
    world_is_quiet(world);
}

static void a_rollback_an_adoption_and_repairs_are_written_there(void **state) {
    struct world *world = *state;
    struct migration_set set = {0};
    const char *file = NULL;
    world_move(world, NULL, "ledger_two", NULL);
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);");
    world_file(world, "2_b.down.sql", "DROP TABLE b;");
    database_do(&world->database, "CREATE TABLE public.a (x int)");
    world->request.id = "adoption";
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    assert_true(adopt_execute(world->connections, &set, "1", &world->request, NULL, world->control, world->arena,
                              &world->report, &world->err));
    world_must_run(world, "up");
    assert_string_equal(rows(world, "ledger_two"), "1_a.sql applied, 2_b.sql applied");

    world->request.rollback = world->request.allow_rollback = true;
    world->request.steps = 1;
    world_must_run(world, "down");
    world->request.rollback = false;
    assert_string_equal(rows(world, "ledger_two"), "1_a.sql applied");

    world_file(world, "1_a.sql", "CREATE TABLE a (x int); -- changed");
    assert_false(world_run(world, "changed"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CHANGED);
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    world->request.id = "repair";
    struct repair_request repair = {.action = REPAIR_ACCEPT, .file = "1_a.sql", .run = &world->request};
    assert_true(
        repair_execute(world->connections, &set, &repair, NULL, world->control, world->arena, &file, &world->err));
    world_must_run(world, "again");
    assert_string_equal(
        world_ask(world, "SELECT string_agg(id || ' ' || state, ', ' ORDER BY started_at) FROM ledger_two.runs"),
        "adoption adopted, up applied, down rolled_back, changed failed, repair repaired, again applied");
    assert_string_equal(schemas(world), "ledger_two");
    world_is_quiet(world);
}

static void who_asks_afterwards_is_answered_from_there(void **state) {
    struct world *world = *state;
    struct history_run run = {0};
    struct status_item *items = NULL;
    struct migration_set set = {0};
    size_t count = 0;
    bool found = true;
    world_move(world, NULL, "ledger_two", NULL);
    assert_true(history_find(world->connections, "r1", world->control, world->arena, &run, &found, &world->err));
    assert_false(found);
    three_files(world);
    world_must_run(world, "r1");
    assert_true(history_find(world->connections, "r1", world->control, world->arena, &run, &found, &world->err));
    assert_true(found);
    assert_string_equal(run.state, "applied");
    assert_non_null(strstr(run.migrations, "2_b.sql"));
    world->request.id = "refused";
    struct error refusal = {.code = ERROR_SOURCE_INVALID, .message = "no"};
    assert_true(history_refuse(world->connections, &world->request, &refusal, world->control, &world->err));
    assert_true(history_find(world->connections, "refused", world->control, world->arena, &run, &found, &world->err));
    assert_string_equal(run.error, "SOURCE_INVALID");
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    assert_true(run_status(world->connections, &set, world->control, world->arena, &items, &count, &world->err));
    assert_int_equal(count, 3);
    assert_string_equal(items[0].state, "applied");
    assert_string_equal(schemas(world), "ledger_two");
}

struct look {
    const struct world *world;
    const char *seen;
};

static void *look_at_progress(void *context) {
    struct look *look = context;
    look->seen = "";
    for (int i = 0; i < 100 && !strstr(look->seen, "runs for"); i++) {
        clock_sleep_ms(50);
        if (*world_ask(look->world, "SELECT to_regclass('ledger_two.runs')"))
            look->seen = world_ask(look->world, "SELECT progress FROM ledger_two.runs");
    }
    return NULL;
}

static void what_the_watcher_sees_is_written_there(void **state) {
    struct world *world = *state;
    struct look look = {.world = world};
    pthread_t thread;
    world_move(world, NULL, "ledger_two", NULL);
    world->request.watch_after_ms = 200;
    world_file(world, "1_a.sql", "SELECT pg_sleep(2);");
    cleanup_arena struct arena *own = arena_new();
    struct world other = *world;
    other.arena = own;
    look.world = &other;
    assert_int_equal(pthread_create(&thread, NULL, look_at_progress, &look), 0);
    world_must_run(world, "r1");
    pthread_join(thread, NULL);
    assert_non_null(strstr(look.seen, "runs for"));
    assert_non_null(strstr(text_string(&world->events), "watched 1_a.sql"));
    assert_string_equal(world_ask(world, "SELECT count(*) FROM ledger_two.runs WHERE progress IS NOT NULL"), "0");
}

// ---- two of them -------------------------------------------------------------------------------------------------------

static void two_ledgers_in_one_database_do_not_mix(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "first");
    world_move(world, NULL, "ledger_two", NULL);
    world_remove(world, "1_a.sql");
    world_file(world, "1_b.sql", "CREATE TABLE b (x int);");
    world_file(world, "repeat_a.sql", "CREATE OR REPLACE VIEW v AS SELECT 1 AS x;");
    world_must_run(world, "second");
    assert_string_equal(schemas(world), "ledger_two pawl");
    assert_string_equal(rows(world, "pawl"), "1_a.sql applied");
    assert_string_equal(rows(world, "ledger_two"), "1_b.sql applied, repeat_a.sql applied");
    assert_string_equal(world_ask(world, "SELECT string_agg(id, ' ') FROM pawl.runs"), "first");
    assert_string_equal(world_ask(world, "SELECT string_agg(id, ' ') FROM ledger_two.runs"), "second");
    database_do(&world->database, "DELETE FROM ledger_two.migrations");
    assert_string_equal(world_ask(world, "SELECT digest IS NOT NULL FROM pawl.state"), "t");
    world_is_quiet(world);
}

static void a_schema_that_was_renamed_in_the_settings_applies_nothing_once_more(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE IF NOT EXISTS a (x int);");
    world_file(world, "2_b.sql", "INSERT INTO a VALUES (1);");
    world_must_run(world, "r1");
    world_file(world, "3_c.sql", "INSERT INTO a VALUES (3);");
    world_move(world, NULL, "ledger_two", NULL);
    for (int i = 0; i < 2; i++) {
        world->request.plan_only = i == 1;
        assert_false(world_run(world, "r2"));
        assert_int_equal(world->err.code, ERROR_LEDGER_ELSEWHERE);
        assert_non_null(strstr(world->err.message, "the one in schema pawl has 2 of these files applied"));
        assert_non_null(strstr(world->err.hint, "Name schema pawl,"));
    }
    assert_string_equal(schemas(world), "pawl");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM a"), "1");
    world->request.plan_only = false;
    world_move(world, NULL, NULL, NULL);
    world_must_run(world, "r3");
    assert_string_equal(rows(world, "pawl"), "1_a.sql applied, 2_b.sql applied, 3_c.sql applied");
    world_is_quiet(world);
}

static void a_second_ledger_of_the_same_files_has_to_be_meant(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "SELECT 1;");
    world_must_run(world, "r1");
    world_move(world, NULL, "ledger_two", NULL);
    database_do(&world->database, "CREATE SCHEMA ledger_two");
    world_must_run(world, "r2");
    assert_string_equal(rows(world, "ledger_two"), "1_a.sql applied");
    // What belongs to somebody else is none of our business.
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_tenant LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    database_do(&world->database,
                arena_printf(world->arena, "GRANT CREATE ON DATABASE %s TO pawl_tenant", world->database.name));
    const char *url = arena_printf(world->arena, "postgresql://pawl_tenant@%s", strchr(world->database.url, '@') + 1);
    world_move(world, url, "ledger_three", NULL);
    world_must_run(world, "r3");
    assert_string_equal(rows(world, "ledger_three"), "1_a.sql applied");
    world_is_quiet(world);
}

enum { FILES = 12 };
struct worker {
    struct world world; // the first member makes it a world to the helpers
    char schema[16], id[16];
    bool done;
    pthread_t thread;
};

static void *work(void *context) {
    struct worker *worker = context;
    worker->done = world_run(&worker->world, worker->id);
    return NULL;
}

static void begin_worker(const struct world *world, struct worker *worker, int number, const char *first) {
    worker->world = *world;
    worker->world.arena = arena_new();
    worker->world.connections = NULL;
    worker->world.events = TEXT(1 << 20);
    snprintf(worker->schema, sizeof(worker->schema), "ledger_%d", number);
    snprintf(worker->id, sizeof(worker->id), "run-%d", number);
    snprintf(worker->world.folder, sizeof(worker->world.folder), "/tmp/pawl-files.XXXXXX");
    assert_non_null(mkdtemp(worker->world.folder));
    for (int i = 1; i <= FILES; i++) {
        char name[32], text[160];
        snprintf(name, sizeof(name), "%d_t.sql", i);
        snprintf(text, sizeof(text), "%s CREATE TABLE t%d_%d (x int);", i == 1 ? first : "", number, i);
        world_file(&worker->world, name, text);
    }
    world_move(&worker->world, NULL, worker->schema, NULL);
    assert_int_equal(pthread_create(&worker->thread, NULL, work, worker), 0);
}

static void end_worker(struct worker *worker) {
    char command[128];
    run_database_free(worker->world.connections);
    snprintf(command, sizeof(command), "rm -rf %s", worker->world.folder);
    assert_int_equal(system(command), 0);
    text_done(&worker->world.events);
    arena_free(worker->world.arena);
}

static void two_at_once_wait_for_each_other_and_write_to_their_own(void **state) {
    struct world *world = *state;
    struct worker workers[2] = {0};
    begin_worker(world, &workers[0], 1, "SELECT pg_sleep(1.5);");
    world_await_sleep(world, "run-1");
    begin_worker(world, &workers[1], 2, "");
    for (int i = 0; i < 2; i++) {
        pthread_join(workers[i].thread, NULL);
        if (!workers[i].done)
            fail_msg("%s", workers[i].world.err.message);
    }
    assert_non_null(strstr(text_string(&workers[1].world.events), "waiting pawl run-1"));
    for (int i = 1; i <= 2; i++) {
        const char *sql = arena_printf(world->arena,
                                       "SELECT count(*) || ' ' || string_agg(DISTINCT run, ' ') || ' ' ||"
                                       " (SELECT string_agg(id, ' ') FROM ledger_%d.runs) FROM ledger_%d.migrations",
                                       i, i);
        assert_string_equal(world_ask(world, sql), arena_printf(world->arena, "%d run-%d run-%d", FILES, i, i));
        end_worker(&workers[i - 1]);
    }
    world_is_quiet(world);
}

// ---- names -------------------------------------------------------------------------------------------------------------

static void a_name_that_is_a_word_of_sql_is_quoted(void **state) {
    struct world *world = *state;
    world_move(world, NULL, "user", NULL);
    three_files(world);
    world_must_run(world, "r1");
    assert_string_equal(rows(world, "\"user\""), "1_a.sql applied, 2_b.sql applied, repeat_v.sql applied");
    world_must_run(world, "r2");
    assert_string_equal(world->report.state, "nothing_pending");
}

static void a_schema_that_is_no_ledger_is_left_alone_by_its_name(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE SCHEMA shop");
    database_do(&world->database, "CREATE TABLE shop.orders (x int)");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_move(world, NULL, "shop", NULL);
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_LEDGER_FOREIGN);
    assert_string_equal(world->err.message, "there is a schema shop that is not a ledger of this tool");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pg_class WHERE relnamespace = 'shop'::regnamespace"),
                        "1");
    world_is_quiet(world);
}

static void the_grants_that_are_advised_name_the_schema(void **state) {
    struct world *world = *state;
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_plain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    world_file(world, "1_a.sql", "SELECT 1;");
    const char *url = arena_printf(world->arena, "postgresql://pawl_plain@%s", strchr(world->database.url, '@') + 1);
    world_move(world, url, "ledger_two", NULL);
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
    assert_non_null(strstr(world->err.hint, "CREATE SCHEMA ledger_two AUTHORIZATION pawl_plain"));
    database_do(&world->database, "CREATE SCHEMA ledger_two");
    assert_false(world_run(world, "r1"));
    assert_string_equal(world->err.hint, "ALTER SCHEMA ledger_two OWNER TO pawl_plain");
    world_move(world, NULL, "ledger_two", NULL);
    world_must_run(world, "r2");
    world_move(world, url, "ledger_two", NULL);
    assert_false(world_run(world, "r3"));
    assert_non_null(strstr(world->err.message, "schema ledger_two"));
    assert_non_null(strstr(world->err.hint, "GRANT USAGE ON SCHEMA ledger_two TO pawl_plain;"));
    database_do(&world->database, "DELETE FROM ledger_two.state");
    world_move(world, NULL, "ledger_two", NULL);
    assert_false(world_run(world, "r4"));
    assert_non_null(strstr(world->err.hint, "INSERT INTO ledger_two.state"));
    world_is_quiet(world);
}

static void a_role_of_the_schemas_name_makes_nothing_in_it(void **state) {
    struct world *world = *state;
    database_do(&world->database, "DO $$BEGIN CREATE ROLE ledger_two LOGIN SUPERUSER; EXCEPTION WHEN duplicate_object"
                                  " THEN NULL; END$$");
    const char *url = arena_printf(world->arena, "postgresql://ledger_two@%s", strchr(world->database.url, '@') + 1);
    world_move(world, url, "ledger_two", NULL);
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nRESET search_path;\nCREATE TABLE b (x int);");
    world_must_run(world, "r1");
    world_move(world, NULL, "ledger_two", NULL); // of another role, which a file leaves
    world_file(world, "2_c.sql", "SET ROLE ledger_two;\nCREATE TABLE c (x int);\nRESET ROLE;\nCREATE TABLE d (x int);");
    world_file(world, "3_e.sql",
               "SET SESSION AUTHORIZATION ledger_two;\nCREATE TABLE e (x int);\nVACUUM e;\n"
               "CREATE TABLE f (x int);");
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, "SELECT string_agg(relname, ' ' ORDER BY 1) FROM pg_class WHERE relkind = 'r'"
                                         " AND relnamespace = 'public'::regnamespace"),
                        "a b c d e f");
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(everything_of_the_ledger_is_in_the_schema_named),
        TEST(a_row_that_is_changed_by_hand_clears_the_digest),
        TEST(an_index_that_fails_half_way_is_built_by_the_next_run),
        TEST(a_rollback_an_adoption_and_repairs_are_written_there),
        TEST(who_asks_afterwards_is_answered_from_there),
        TEST(what_the_watcher_sees_is_written_there),
        TEST(a_schema_that_was_renamed_in_the_settings_applies_nothing_once_more),
        TEST(a_second_ledger_of_the_same_files_has_to_be_meant),
        TEST(two_ledgers_in_one_database_do_not_mix),
        TEST(two_at_once_wait_for_each_other_and_write_to_their_own),
        TEST(a_name_that_is_a_word_of_sql_is_quoted),
        TEST(a_schema_that_is_no_ledger_is_left_alone_by_its_name),
        TEST(the_grants_that_are_advised_name_the_schema),
        TEST(a_role_of_the_schemas_name_makes_nothing_in_it),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
