#include "migrate/history.h"
#include "world.h"

#include <sys/wait.h>

static const char take_lock[] = "SELECT pg_advisory_lock(1885435756, 1)";
static const char free_lock[] = "SELECT pg_advisory_unlock(1885435756, 1)";

static void a_held_lock_is_waited_for_and_its_holder_named(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world->request.lock_wait_ms = 100;
    cleanup_postgres struct postgres *holder = database_connect(world->database.url);
    database_run(holder, "SET application_name = 'pawl other 3/7 0003_big.sql'");
    database_run(holder, take_lock);
    uint64_t start = clock_ms();
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_LOCK_HELD);
    assert_true(clock_ms() - start >= 90); // both ends are rounded to milliseconds
    assert_non_null(strstr(world->err.message, "pawl other 3/7 0003_big.sql (pid "));
    assert_non_null(strstr(text_string(&world->events), "waiting pawl other 3/7"));
    database_run(holder, free_lock);
    world_must_run(world, NULL);
    world_is_quiet(world);
}

static void *stop_soon(void *context) {
    clock_sleep_ms(100);
    run_control_stop(context);
    return NULL;
}

static void a_stop_ends_the_waiting(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world->request.lock_wait_ms = 60000;
    cleanup_postgres struct postgres *holder = database_connect(world->database.url);
    database_run(holder, take_lock);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, world->control), 0);
    assert_false(world_run(world, NULL));
    pthread_join(thread, NULL);
    assert_int_equal(world->err.code, ERROR_SHUTTING_DOWN);
}

static void a_waiter_does_not_stand_in_the_way_of_a_concurrent_index(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world->request.lock_wait_ms = 1500;
    cleanup_postgres struct postgres *holder = database_connect(world->database.url);
    database_run(holder, take_lock);
    pid_t child = fork(); // a second run that polls while the index is built
    assert_true(child >= 0);
    if (child == 0) {
        struct error err = {0};
        struct migration_set set = {0};
        struct run_report report = {0};
        struct run_database *own = run_database_new(world->database.url);
        bool read = directory_read(world->folder, world->arena, &set, &err);
        _exit(read && !run_execute(own, &set, &world->request, NULL, NULL, world->arena, &report, &err) &&
                      err.code == ERROR_LOCK_HELD
                  ? 0
                  : 1);
    }
    clock_sleep_ms(100);
    database_run(holder, "CREATE INDEX CONCURRENTLY ti ON t (g)");
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    database_run(holder, free_lock);
    world_is_quiet(world);
}

static void a_file_that_frees_the_lock_is_rolled_back(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int); SELECT pg_advisory_unlock_all();");
    world_file(world, "3_c.sql", "CREATE TABLE c (x int);");
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_LOCK_LOST);
    assert_string_equal(world->err.file, "2_b.sql");
    assert_string_equal(world_ask(world, "SELECT string_agg(version, ' ') FROM pawl.migrations"), "1");
    assert_string_equal(world_ask(world, "SELECT concat(to_regclass('b'), to_regclass('c'))"), "");
    world_is_quiet(world);
}

// The lock is held twice. Who gives one back has not lost it; who gives back both has, though nobody else came in between.
static void a_file_that_gives_one_lock_back_keeps_it(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int); SELECT pg_advisory_unlock(1885435756, 1);");
    world_file(world, "2_b.sql",
               "CREATE TABLE b AS SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
               " AND pid = pg_backend_pid();");
    world_file(world, "3_c.sql", "SELECT pg_advisory_unlock(1885435756, 1), pg_advisory_unlock(1885435756, 1);");
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_LOCK_LOST);
    assert_string_equal(world->err.file, "3_c.sql");
    assert_string_equal(world_ask(world, "SELECT string_agg(version, ' ') FROM pawl.migrations"), "1 2");
    assert_string_equal(world_ask(world, "SELECT count FROM b"), "1");
    world_is_quiet(world);
}

static void a_lock_that_others_may_share_is_not_the_lock(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql",
               "CREATE TABLE a (x int);\nCREATE INDEX CONCURRENTLY ON a (x);\nCREATE TABLE b (x int);\n"
               "SELECT pg_advisory_unlock_all(), pg_advisory_lock_shared(1885435756, 1);");
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_LOCK_LOST);
    assert_string_equal(world_ask(world, "SELECT concat(state, done) FROM pawl.migrations"), "partial2");
    assert_string_equal(world_ask(world, "SELECT concat(to_regclass('b'))"), "");
    world_is_quiet(world);
}

// The splitter refuses transaction control that it sees; what it cannot see is caught by the ledger's own command.
static void a_file_that_tampers_with_its_row_is_rolled_back(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int); DELETE FROM pawl.migrations;");
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(world_ask(world, "SELECT concat(to_regclass('a'))"), "");
    world_is_quiet(world);
}

struct racer {
    struct world *world;
    char id[32];
    bool done;
    size_t applied;
    struct error err;
};

static void *race(void *context) {
    struct racer *racer = context;
    cleanup_arena struct arena *arena = arena_new();
    struct migration_set set = {0};
    struct run_report report = {0};
    struct run_request request = {.id = racer->id, .lock_wait_ms = 60000};
    struct run_database *own = run_database_new(racer->world->database.url);
    racer->done = directory_read(racer->world->folder, arena, &set, &racer->err) &&
                  run_execute(own, &set, &request, NULL, NULL, arena, &report, &racer->err);
    racer->applied = report.count;
    run_database_free(own);
    return NULL;
}

static void many_at_once_create_one_ledger_and_apply_each_file_once(void **state) {
    struct world *world = *state;
    enum { RACERS = 12, FILES = 20 };
    for (int i = 1; i <= FILES; i++) {
        char name[32], text[100];
        snprintf(name, sizeof(name), "%d_t.sql", i);
        snprintf(text, sizeof(text), "CREATE TABLE t%d (x int);", i);
        world_file(world, name, text);
    }
    struct racer racers[RACERS] = {0};
    pthread_t threads[RACERS];
    for (int i = 0; i < RACERS; i++) {
        racers[i].world = world;
        snprintf(racers[i].id, sizeof(racers[i].id), "racer-%d", i / 2); // each message is delivered twice
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    size_t applied = 0;
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < RACERS; i++) {
        if (!racers[i].done)
            fail_msg("%s: %s", error_name(racers[i].err.code), racers[i].err.message);
        applied += racers[i].applied;
    }
    assert_int_equal(applied, FILES);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.migrations"), "20");
    assert_string_equal(world_ask(world, "SELECT sum(attempts) FROM pawl.runs"), "12");
    assert_string_equal(world_ask(world, "SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM pawl.runs"),
                        "applied nothing_pending");
    world_is_quiet(world);
}

static void a_foreign_schema_named_pawl_is_left_alone(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE SCHEMA pawl");
    database_do(&world->database, "CREATE TABLE pawl.crawl (x int)");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_LEDGER_FOREIGN);
    world->request.plan_only = true;
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_LEDGER_FOREIGN);
    world_is_quiet(world);
}

static void an_empty_schema_made_by_an_administrator_is_used(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE SCHEMA pawl");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, NULL);
}

static void a_ledger_of_a_newer_pawl_is_left_alone(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "r1");
    database_do(&world->database, "UPDATE pawl.state SET ledger = 1000");
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_LEDGER_NEWER);
    world_is_quiet(world);
}

// What the first layout lacks is taken from a ledger of today.
static void turn_back_to_the_first_layout(struct world *world) {
    database_do(&world->database, "ALTER TABLE pawl.runs DROP COLUMN proof, DROP COLUMN origin, DROP COLUMN progress");
    database_do(&world->database, "UPDATE pawl.state SET ledger = 1");
}

static void a_ledger_of_an_older_pawl_is_upgraded(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "r1");
    turn_back_to_the_first_layout(world);
    world->request.proof = "{\"repository\":\"octo/shop\"}";
    world_must_run(world, "r2");
    assert_string_equal(world->report.state, "nothing_pending");
    assert_string_equal(world_ask(world, "SELECT ledger FROM pawl.state"), "3");
    assert_string_equal(world_ask(world, "SELECT string_agg(id || ' ' || state, ', ' ORDER BY id) FROM pawl.runs"),
                        "r1 applied, r2 nothing_pending");
    assert_string_equal(world_ask(world, "SELECT proof->>'repository' FROM pawl.runs WHERE id = 'r2'"), "octo/shop");
    world_is_quiet(world);
}

static void a_role_that_may_not_upgrade_is_told_who_may(void **state) {
    struct world *world = *state;
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_weak LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_must_run(world, "r1");
    turn_back_to_the_first_layout(world);
    database_do(&world->database, "GRANT USAGE ON SCHEMA pawl TO pawl_weak");
    database_do(&world->database, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pawl TO pawl_weak");
    char url[512];
    snprintf(url, sizeof(url), "postgresql://pawl_weak@/%s?host=%s", world->database.name, getenv("PGHOST"));
    run_database_free(world->connections);
    world->connections = run_database_new(url);
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
    assert_string_equal(world->err.hint, "let pawl, who owns the ledger, run pawl once");
    assert_string_equal(world_ask(world, "SELECT ledger FROM pawl.state"), "1");
}

static void a_proof_is_found_again_by_token_and_request(void **state) {
    struct world *world = *state;
    struct error err = {0};
    bool proved = true;
    assert_true(history_proved(world->connections, "t1", "q1", world->control, &proved, &err));
    assert_false(proved); // no ledger yet
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world->request.publisher = "github:octo/shop";
    world->request.proof = "{\"token_sha256\":\"t1\",\"request_sha256\":\"q1\"}";
    world_must_run(world, "r1");
    static const struct {
        const char *token, *request;
        bool proved;
    } cases[] = {{"t1", "q1", true}, {"t1", "q2", false}, {"t2", "q1", false}, {"", "", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(
            history_proved(world->connections, cases[i].token, cases[i].request, world->control, &proved, &err));
        assert_int_equal(proved, cases[i].proved);
    }
}

static void a_delivery_without_proof_takes_none_away(void **state) {
    struct world *world = *state;
    struct error err = {0}, refusal = {.code = ERROR_SOURCE_INVALID, .message = "no"};
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world->request.publisher = "push@shop.example";
    world_must_run(world, "r1");
    world->request.publisher = "github:octo/shop";
    world->request.proof = "{\"repository\":\"octo/shop\"}";
    world_must_run(world, "r1");
    world->request.publisher = "push@shop.example";
    world->request.proof = NULL;
    world_must_run(world, "r1");
    assert_true(history_refuse(world->connections, &world->request, &refusal, world->control, &err));
    assert_string_equal(world_ask(world, "SELECT publisher || ' ' || (proof->>'repository') FROM pawl.runs"),
                        "github:octo/shop octo/shop");
    world->request.id = "r2";
    assert_true(history_refuse(world->connections, &world->request, &refusal, world->control, &err));
    world->request.publisher = "github:octo/shop";
    world->request.proof = "{\"repository\":\"octo/shop\"}";
    assert_true(history_refuse(world->connections, &world->request, &refusal, world->control, &err));
    assert_string_equal(
        world_ask(world, "SELECT publisher || ' ' || (proof->>'repository') FROM pawl.runs WHERE id = 'r2'"),
        "github:octo/shop octo/shop");
}

static void a_role_without_privileges_is_told_which_grant_it_needs(void **state) {
    struct world *world = *state;
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_weak LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    char url[512];
    snprintf(url, sizeof(url), "postgresql://pawl_weak@/%s?host=%s", world->database.name, getenv("PGHOST"));
    run_database_free(world->connections);
    world->connections = run_database_new(url);
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
    assert_non_null(strstr(world->err.hint, "GRANT CREATE ON DATABASE test_"));
    database_do(&world->database, "CREATE SCHEMA pawl");
    database_do(&world->database, "CREATE TABLE pawl.state (ledger int)");
    database_do(&world->database, "INSERT INTO pawl.state VALUES (1)");
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
    assert_non_null(strstr(world->err.hint, "GRANT USAGE ON SCHEMA pawl TO pawl_weak"));
}

static void a_table_lock_is_waited_for_in_short_tries(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE t (x int)");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int); ALTER TABLE t ADD y int;");
    world->request.lock_timeout_ms = 20;
    cleanup_postgres struct postgres *reader = database_connect(world->database.url);
    database_run(reader, "SET application_name = 'reader'");
    database_run(reader, "BEGIN");
    database_run(reader, "SELECT * FROM t");
    assert_false(world_run(world, NULL));
    assert_int_equal(world->err.code, ERROR_LOCK_TIMEOUT);
    assert_int_equal(world->err.statement, 2);
    assert_non_null(
        strstr(text_string(&world->events), "retrying 1_a.sqlit waited too long for table t, in the way: pid "));
    assert_non_null(strstr(text_string(&world->events), " reader (idle in transaction"));
    assert_non_null(strstr(world->err.message, "reader"));
    database_run(reader, "COMMIT");
    world_must_run(world, NULL);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.migrations"), "1");
    world_is_quiet(world);
}

struct reader {
    const char *url;
    uint64_t worst_ms;
    atomic_bool done;
};

static void *read_on(void *context) {
    struct reader *reader = context;
    cleanup_postgres struct postgres *postgres = database_connect(reader->url);
    while (!atomic_load(&reader->done)) {
        uint64_t start = clock_ms();
        database_run(postgres, "SELECT count(*) FROM public.t");
        uint64_t ms = clock_ms() - start;
        reader->worst_ms = ms > reader->worst_ms ? ms : reader->worst_ms;
        clock_sleep_ms(5);
    }
    return NULL;
}

static void readers_wait_no_longer_than_lock_timeout_behind_a_blocked_alter(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE public.t (x int)");
    world_file(world, "1_a.sql", "ALTER TABLE t ADD y int;");
    world->request.lock_timeout_ms = 200;
    cleanup_postgres struct postgres *old = database_connect(world->database.url);
    database_run(old, "BEGIN");
    database_run(old, "SELECT * FROM public.t");
    struct reader reader = {.url = world->database.url};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
    bool done = world_run(world, NULL);
    atomic_store(&reader.done, true);
    pthread_join(thread, NULL);
    assert_false(done);
    assert_int_equal(world->err.code, ERROR_LOCK_TIMEOUT);
    assert_true(reader.worst_ms >= 50);   // it did stand behind the ALTER
    assert_true(reader.worst_ms <= 1500); // 200 ms and a busy machine
}

static void a_file_may_say_how_long_it_waits(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE public.t (x int)");
    world_file(world, "1_a.sql",
               "-- pawl: lock_timeout=12s\nCREATE TABLE said AS SELECT current_setting('lock_timeout') AS t;");
    world_file(world, "2_b.sql", "CREATE TABLE not_said AS SELECT current_setting('lock_timeout') AS t;");
    world->request.lock_timeout_ms = 300;
    world_must_run(world, NULL);
    assert_string_equal(world_ask(world, "SELECT said.t || ' ' || not_said.t FROM said, not_said"), "12s 300ms");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_held_lock_is_waited_for_and_its_holder_named),
        TEST(a_stop_ends_the_waiting),
        TEST(a_waiter_does_not_stand_in_the_way_of_a_concurrent_index),
        TEST(a_file_that_frees_the_lock_is_rolled_back),
        TEST(a_file_that_gives_one_lock_back_keeps_it),
        TEST(a_lock_that_others_may_share_is_not_the_lock),
        TEST(a_file_that_tampers_with_its_row_is_rolled_back),
        TEST(many_at_once_create_one_ledger_and_apply_each_file_once),
        TEST(a_foreign_schema_named_pawl_is_left_alone),
        TEST(an_empty_schema_made_by_an_administrator_is_used),
        TEST(a_ledger_of_a_newer_pawl_is_left_alone),
        TEST(a_ledger_of_an_older_pawl_is_upgraded),
        TEST(a_role_that_may_not_upgrade_is_told_who_may),
        TEST(a_proof_is_found_again_by_token_and_request),
        TEST(a_delivery_without_proof_takes_none_away),
        TEST(a_role_without_privileges_is_told_which_grant_it_needs),
        TEST(a_table_lock_is_waited_for_in_short_tries),
        TEST(readers_wait_no_longer_than_lock_timeout_behind_a_blocked_alter),
        TEST(a_file_may_say_how_long_it_waits),
    };
    return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
