#include "migrate/forecast.h"
#include "migrate/history.h"

#include "world.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

// The real PgBouncer in front of the test's server, in the mode given. It refuses to run as root, as the server does.
struct pooler {
    char folder[64];
    const char *login,
        *ignored; // who it is at the server, NULL: pawl; start-up parameters that it drops, NULL: one that nobody gives
    pid_t pid;
};

static void become_postgres(void) {
    const struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;
    if (user && (setgroups(0, NULL) || setgid(user->pw_gid) || setuid(user->pw_uid)))
        _exit(126);
}

static void pooler_start(struct pooler *pooler, const char *mode) {
    snprintf(pooler->folder, sizeof(pooler->folder), "/tmp/pawl-pooler.XXXXXX");
    assert_non_null(mkdtemp(pooler->folder));
    assert_int_equal(chmod(pooler->folder, 0777), 0);
    char path[100];
    snprintf(path, sizeof(path), "%s/pooler.ini", pooler->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "[databases]\n* = host=%s user=%s\n[pgbouncer]\nunix_socket_dir = %s\nlisten_addr =\nlisten_port = "
            "6432\nauth_type "
            "= any\n"
            "pool_mode = %s\ndefault_pool_size = 3\nlogfile = %s/log\nignore_startup_parameters = %s\n",
            getenv("PGHOST"), pooler->login ? pooler->login : "pawl", pooler->folder, mode, pooler->folder,
            pooler->ignored ? pooler->ignored : "extra_float_digits");
    // auth_type any needs no password file; every client is the user named here.
    assert_int_equal(fclose(file), 0);
    pooler->pid = fork();
    assert_true(pooler->pid >= 0);
    if (pooler->pid == 0) {
        become_postgres();
        prctl(PR_SET_PDEATHSIG, SIGKILL); // it must not outlive a test that fails
        execlp("pgbouncer", "pgbouncer", "-q", path, (char *)NULL);
        execl("/usr/sbin/pgbouncer", "pgbouncer", "-q", path, (char *)NULL);
        _exit(127);
    }
    snprintf(path, sizeof(path), "%s/.s.PGSQL.6432", pooler->folder);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int refused = -1;
    for (int i = 0; i < 500 && refused != 0; i++) { // the file is there a little before anybody listens
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        refused = connect(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (refused != 0)
            clock_sleep_ms(20);
    }
    assert_int_equal(refused, 0);
}

static void pooler_stop(struct pooler *pooler) {
    char command[128];
    kill(pooler->pid, SIGKILL);
    waitpid(pooler->pid, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf %s", pooler->folder);
    assert_int_equal(system(command), 0);
}

struct pooled { // the first member makes it a world to the helpers
    struct world world;
    struct pooler pooler;
};

static void connect_through(struct world *world, const struct pooler *pooler) {
    char url[256];
    snprintf(url, sizeof(url), "postgresql://pawl@/%s?host=%s&port=6432", world->database.name, pooler->folder);
    run_database_free(world->connections);
    world->connections = run_database_new(url);
}

static void migrations_go_through_a_transaction_pooler_one_locked_transaction_each(void **state) {
    struct world *world = *state;
    struct pooler pooler = {0};
    pooler_start(&pooler, "transaction");
    connect_through(world, &pooler);
    world_file(world, "1_a.sql", "CREATE TABLE a (x int); SET search_path = nowhere;");
    world_file(world, "2_b.sql", "CREATE TABLE b (x int);\nCOPY b FROM stdin;\n1\n2\n\\.\n");
    world_file(world, "repeat_v.sql", "CREATE OR REPLACE VIEW v AS SELECT * FROM b;");
    world_must_run(world, "r1");
    assert_int_equal(world->report.count, 3);
    world_must_run(world, "r2");
    assert_string_equal(world->report.state, "nothing_pending");
    assert_int_equal(world->report.round_trips, 1);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM public.v"), "2");
    world_is_quiet(world);
    pooler_stop(&pooler);
}

static void nothing_of_ours_stays_in_the_poolers_sessions(void **state) {
    struct world *world = *state;
    struct pooler pooler = {0};
    pooler_start(&pooler, "transaction");
    connect_through(world, &pooler);
    world_file(world, "1_a.sql", "SET statement_timeout = '77s'; CREATE TABLE a (x int);");
    world_must_run(world, "r1");
    world_file(world, "2_b.sql", "SET statement_timeout = '88s'; SELECT 1/0;");
    assert_false(world_run(world, "r2"));
    char url[256];
    snprintf(url, sizeof(url), "postgresql://pawl@/%s?host=%s&port=6432", world->database.name, pooler.folder);
    struct database through = world->database;
    snprintf(through.url, sizeof(through.url), "%s", url);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(database_ask(&through, world->arena,
                                         "SELECT concat_ws(' ', current_setting('lock_timeout'),"
                                         " current_setting('statement_timeout'))"),
                            "0 0");
        assert_string_equal(database_ask(&through, world->arena, "SELECT count(*) FROM pg_prepared_statements"), "0");
    }
    world_is_quiet(world);
    pooler_stop(&pooler);
}

static void nobody_watches_through_a_pooler(void **state) {
    struct world *world = *state;
    static const char *const modes[] = {"transaction", "session"};
    world->request.watch_after_ms = 100;
    for (int i = 0; i < 2; i++) {
        struct pooler pooler = {0};
        pooler_start(&pooler, modes[i]);
        connect_through(world, &pooler);
        world->request.session_pooler = i == 1;
        world_file(world, i == 0 ? "1_a.sql" : "2_b.sql", "SELECT pg_sleep(0.7);");
        world_must_run(world, modes[i]);
        pooler_stop(&pooler);
    }
    assert_null(strstr(text_string(&world->events), "watched"));
}

static void what_needs_a_session_is_refused_by_name_before_anything_runs(void **state) {
    struct world *world = *state;
    struct pooler pooler = {0};
    pooler_start(&pooler, "transaction");
    connect_through(world, &pooler);
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_i.sql", "SELECT 1;\nCREATE INDEX CONCURRENTLY ai ON a (x);");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_DATABASE_POOLER);
    assert_string_equal(world->err.file, "2_i.sql");
    assert_int_equal(world->err.line, 2);
    assert_int_equal(world->err.statement, 2);
    assert_int_equal(world->err.statements, 2);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.migrations"), "0");
    world_file(world, "2_i.sql", "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';\nCALL p();\n");
    assert_false(world_run(world, "r2")); // of which one hears only when it is called
    assert_int_equal(world->err.code, ERROR_DATABASE_POOLER);
    assert_string_equal(world->err.file, "2_i.sql");
    assert_int_equal(world->err.statement, 2);
    assert_string_equal(world_ask(world, "SELECT string_agg(version, ' ') FROM pawl.migrations"), "1");
    world_is_quiet(world);
    pooler_stop(&pooler);
}

static void a_pooler_that_pools_sessions_is_no_obstacle_when_declared(void **state) {
    struct world *world = *state;
    struct pooler pooler = {0};
    pooler_start(&pooler, "session");
    connect_through(world, &pooler);
    world->request.session_pooler = true;
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    world_file(world, "2_i.sql", "CREATE INDEX CONCURRENTLY ai ON a (x);");
    world_must_run(world, "r1");
    assert_int_equal(world->report.count, 2);
    world_is_quiet(world);
    pooler_stop(&pooler);
}

#define OWNER "Pool's \"owner\" \\ x"
#define OWNER_QUOTED "\"Pool's \"\"owner\"\" \\ x\""

// A login that may do nothing but assume the role, and the database is the role's.
static void create_owner(const struct world *world) {
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE " OWNER_QUOTED "; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_pooled LOGIN NOINHERIT; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_visitor LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
    database_do(&world->database, "GRANT " OWNER_QUOTED " TO pawl_pooled");
    database_do(&world->database,
                arena_printf(world->arena, "ALTER DATABASE %s OWNER TO " OWNER_QUOTED, world->database.name));
}

static void connect_as_owner(struct world *world, const struct pooler *pooler, const char *role) {
    const char *url =
        arena_printf(world->arena, "postgresql://pawl@/%s?host=%s&port=6432", world->database.name, pooler->folder);
    world_move(world, url, "ledger_two", role);
}

static const char *owners(struct world *world) {
    return world_ask(world,
                     "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ', ') FROM pg_class WHERE relnamespace"
                     " IN ('public'::regnamespace, 'ledger_two'::regnamespace)");
}

// One that refuses start-up parameters, and one that drops them without a word.
static void a_role_is_assumed_through_a_transaction_pooler(void **state) {
    struct world *world = *state;
    create_owner(world);
    for (int i = 0; i < 2; i++) {
        struct pooler pooler = {.login = "pawl_pooled", .ignored = i ? "options" : NULL};
        pooler_start(&pooler, "transaction");
        connect_as_owner(world, &pooler, OWNER);
        database_do(&world->database,
                    "DROP TABLE IF EXISTS public.a, public.b, public.c, public.d, public.e, public.g CASCADE");
        database_do(&world->database, "DROP SCHEMA IF EXISTS ledger_two CASCADE");
        world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nRESET ROLE;\nCREATE TABLE b (x int);");
        world_file(world, "2_c.sql",
                   "SET SESSION AUTHORIZATION DEFAULT;\nCREATE TABLE c (x int);\nRESET ALL;\n"
                   "CREATE TABLE d (x int);");
        world_file(world, "3_e.sql", "CREATE TABLE e (x int);\nSET ROLE NONE;");
        world_file(world, "4_f.sql",
                   "INSERT INTO a SELECT generate_series(1, 50);\nRESET ROLE;\n-- pawl: batch pause=10ms\n"
                   "DELETE FROM a WHERE x IN (SELECT x FROM a LIMIT 20);\nCREATE TABLE g (x int);");
        world_file(world, "repeat_v.sql", "CREATE OR REPLACE VIEW v AS SELECT * FROM a;");
        world->request.plan_only = true;
        world_must_run(world, "plan");
        assert_int_equal(world->report.count, 5);
        world->request.plan_only = false;
        world_must_run(world, "r1");
        assert_int_equal(world->report.count, 5);
        assert_string_equal(owners(world), OWNER);
        world_must_run(world, "r2");
        assert_string_equal(world->report.state, "nothing_pending");
        assert_int_equal(world->report.round_trips, 1);
        world_file(world, "5_h.sql", "SELECT 1/0;");
        assert_false(world_run(world, "r3"));
        struct history_run run = {0};
        bool found = false;
        assert_true(history_find(world->connections, "r3", world->control, world->arena, &run, &found, &world->err));
        assert_string_equal(run.state, "failed");
        struct error refusal = {.code = ERROR_SOURCE_INVALID, .message = "no"};
        assert_true(history_refuse(world->connections, &world->request, &refusal, world->control, &world->err));
        world->request.plan_only = true;
        world_must_run(world, "plan");
        assert_int_equal(world->report.applied_before, 5);
        world->request.plan_only = false;
        world_remove(world, "5_h.sql");
        world_is_quiet(world);
        pooler_stop(&pooler);
    }
}

struct holder {
    struct world *world;
    struct postgres *postgres;
};

static void let_go(void *context, const struct run_event *event) {
    struct holder *holder = context;
    world_hear(holder->world, event);
    if (event->kind == RUN_RETRYING && postgres_in_transaction(holder->postgres))
        database_run(holder->postgres, "ROLLBACK");
}

// The login may not even look into the schema.
static void what_is_asked_about_tables_is_asked_as_the_role(void **state) {
    struct world *world = *state;
    struct pooler pooler = {.login = "pawl_pooled"};
    struct migration_set set = {0};
    create_owner(world);
    pooler_start(&pooler, "transaction");
    connect_as_owner(world, &pooler, OWNER);
    world_file(world, "1_a.sql", "CREATE SCHEMA shop;\nCREATE TABLE shop.t (x int);");
    world_must_run(world, "r1");
    world_file(world, "2_b.sql", "ALTER TABLE shop.t ADD y int;");
    world->request.plan_only = true;
    world_must_run(world, "plan");
    world->request.plan_only = false;
    assert_int_equal(world->report.items[0].forecast->statements[0].effects[0].relation->presence, FORECAST_PRESENT);
    cleanup_postgres struct postgres *postgres = database_connect(world->database.url);
    database_run(postgres, "BEGIN");
    database_run(postgres, "LOCK TABLE shop.t");
    struct holder holder = {world, postgres};
    struct run_observer observer = {.event = let_go, .context = &holder};
    world->request.id = "r2";
    assert_true(directory_read(world->folder, world->arena, &set, &world->err));
    if (!run_execute(world->connections, &set, &world->request, &observer, world->control, world->arena, &world->report,
                     &world->err))
        fail_msg("%s", world->err.message);
    assert_non_null(strstr(text_string(&world->events), "waited too long for table shop.t, in the way: pid "));
    world_is_quiet(world);
    pooler_stop(&pooler);
}

// A session of the server goes on to whoever comes next as it was.
static void the_role_does_not_stay_in_the_poolers_sessions(void **state) {
    struct world *world = *state;
    struct pooler pooler = {.login = "pawl_pooled"};
    create_owner(world);
    pooler_start(&pooler, "transaction");
    connect_as_owner(world, &pooler, OWNER);
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);\nRESET ROLE;");
    world_must_run(world, "r1");
    struct database through = world->database;
    snprintf(through.url, sizeof(through.url), "%s", world->url);
    for (int i = 0; i < 4; i++)
        assert_string_equal(database_ask(&through, world->arena, "SELECT current_user"), "pawl_pooled");
    pooler_stop(&pooler);
}

struct asker {
    struct run_database *database;
    pthread_barrier_t *start;
    bool done;
    struct error err;
};

static void *ask_for_a_run(void *context) {
    struct asker *asker = context;
    cleanup_arena struct arena *arena = arena_new();
    struct history_run run = {0};
    bool found = false;
    pthread_barrier_wait(asker->start);
    asker->done = history_find(asker->database, "r", NULL, arena, &run, &found, &asker->err);
    return NULL;
}

static void connections_that_are_refused_at_once_all_try_without_the_role(void **state) {
    struct world *world = *state;
    struct pooler pooler = {.login = "pawl_pooled"};
    struct asker askers[8] = {0};
    pthread_t threads[8];
    pthread_barrier_t start;
    create_owner(world);
    pooler_start(&pooler, "transaction");
    connect_as_owner(world, &pooler, OWNER);
    assert_int_equal(pthread_barrier_init(&start, NULL, 8), 0);
    for (int i = 0; i < 8; i++) {
        askers[i].database = world->connections;
        askers[i].start = &start;
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_a_run, &askers[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 8; i++)
        if (!askers[i].done)
            fail_msg("%s: %s", error_name(askers[i].err.code), askers[i].err.message);
    pthread_barrier_destroy(&start);
    pooler_stop(&pooler);
}

static void a_role_is_assumed_through_a_session_pooler(void **state) {
    struct world *world = *state;
    struct pooler pooler = {.login = "pawl_pooled"};
    create_owner(world);
    pooler_start(&pooler, "session");
    connect_as_owner(world, &pooler, OWNER);
    world->request.session_pooler = true;
    world_file(world, "1_a.sql",
               "CREATE TABLE a (x int);\nCREATE INDEX CONCURRENTLY ai ON a (x);\nRESET ROLE;\n"
               "CREATE TABLE b (x int);\nVACUUM b;\nCREATE TABLE c (x int);");
    world_must_run(world, "r1");
    assert_string_equal(owners(world), OWNER);
    world_is_quiet(world);
    pooler_stop(&pooler);
}

static void a_role_that_may_not_be_assumed_is_told_through_a_pooler_too(void **state) {
    struct world *world = *state;
    struct pooler pooler = {.login = "pawl_visitor"};
    create_owner(world);
    pooler_start(&pooler, "transaction");
    world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
    static const struct {
        const char *role, *sqlstate, *hint;
    } cases[] = {{OWNER, "42501", "GRANT " OWNER_QUOTED " TO "}, {"no such role", "22023", "Create that role"}};
    for (int i = 0; i < 4; i++) {
        connect_as_owner(world, &pooler, cases[i % 2].role);
        world->request.plan_only = i >= 2;
        assert_false(world_run(world, "r1"));
        assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
        assert_string_equal(world->err.sqlstate, cases[i % 2].sqlstate);
        assert_non_null(strstr(world->err.message, "the target's role cannot be assumed"));
        assert_int_equal(strncmp(world->err.hint, cases[i % 2].hint, strlen(cases[i % 2].hint)), 0);
    }
    world_is_quiet(world);
    pooler_stop(&pooler);
}

struct racer {
    struct world *world;
    const char *url;
    char id[32];
    bool done;
    struct error err;
};

static void *race(void *context) {
    struct racer *racer = context;
    cleanup_arena struct arena *arena = arena_new();
    struct migration_set set = {0};
    struct run_report report = {0};
    struct run_request request = {.id = racer->id, .lock_wait_ms = 60000};
    struct run_database *own = run_database_new(racer->url);
    racer->done = directory_read(racer->world->folder, arena, &set, &racer->err) &&
                  run_execute(own, &set, &request, NULL, NULL, arena, &report, &racer->err);
    run_database_free(own);
    return NULL;
}

// Six at once; from `past` on they go past the pooler.
static void race_all(struct world *world, const struct pooler *pooler, int past) {
    char url[256];
    snprintf(url, sizeof(url), "postgresql://pawl@/%s?host=%s&port=6432", world->database.name, pooler->folder);
    struct racer racers[6] = {0};
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) {
        racers[i].world = world;
        racers[i].url = i < past ? url : world->database.url;
        snprintf(racers[i].id, sizeof(racers[i].id), "racer-%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 6; i++)
        if (!racers[i].done)
            fail_msg("%d: %s: %s", i, error_name(racers[i].err.code), racers[i].err.message);
}

static void many_at_once_through_the_pooler_and_past_it_apply_each_file_once(void **state) {
    struct world *world = *state;
    struct pooler pooler = {0};
    pooler_start(&pooler, "transaction");
    database_do(&world->database, "CREATE TABLE public.counts (i int)");
    for (int i = 1; i <= 20; i++) {
        char name[32], text[100];
        snprintf(name, sizeof(name), "%d_t.sql", i);
        snprintf(text, sizeof(text), "CREATE TABLE t%d (x int); INSERT INTO counts VALUES (%d);", i, i);
        world_file(world, name, text);
    }
    race_all(world, &pooler, 4);
    assert_string_equal(world_ask(world, "SELECT count(*) || ' ' || count(DISTINCT i) FROM public.counts"), "20 20");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.migrations WHERE state = 'applied'"), "20");
    world_is_quiet(world);
    pooler_stop(&pooler);
}

static void a_batch_holds_nothing_between_its_rounds(void **state) {
    struct world *world = *state;
    struct pooler pooler = {0};
    pooler_start(&pooler, "transaction");
    connect_through(world, &pooler);
    world_file(world, "1_t.sql", "CREATE TABLE t AS SELECT n AS id, 0 AS n FROM generate_series(1, 1000) n;");
    world_file(world, "2_b.sql",
               "-- pawl: batch pause=10ms max_lag=10s\nUPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t"
               " WHERE n = 0 LIMIT 100);\nINSERT INTO t VALUES (0, 1);\n");
    world_must_run(world, "r1");
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', count(*), sum(n), count(DISTINCT xmin::text)) FROM t"),
                        "1001 1001 11");
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', state, done) FROM pawl.migrations WHERE version = '2'"),
                        "applied 2");
    assert_non_null(strstr(text_string(&world->events), "batched 2_b.sql1000 rows in 10 rounds\n"));
    world_is_quiet(world);
    pooler_stop(&pooler);
}

static void several_at_once_share_a_batch_and_touch_each_row_once(void **state) {
    struct world *world = *state;
    struct pooler pooler = {0};
    pooler_start(&pooler, "transaction");
    world_file(world, "1_t.sql", "CREATE TABLE t AS SELECT n AS id, 0 AS n FROM generate_series(1, 1000) n;");
    world_file(world, "2_b.sql",
               "-- pawl: batch pause=5ms\nUPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t WHERE n = 0"
               " LIMIT 20);\nINSERT INTO t VALUES (0, 1);\n");
    race_all(world, &pooler, 6);
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', count(*), min(n), max(n)) FROM t"), "1001 1 1");
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', state, done) FROM pawl.migrations WHERE version = '2'"),
                        "applied 2");
    world_is_quiet(world);
    pooler_stop(&pooler);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(migrations_go_through_a_transaction_pooler_one_locked_transaction_each),
        TEST(nothing_of_ours_stays_in_the_poolers_sessions),
        TEST(nobody_watches_through_a_pooler),
        TEST(what_needs_a_session_is_refused_by_name_before_anything_runs),
        TEST(a_pooler_that_pools_sessions_is_no_obstacle_when_declared),
        TEST(a_role_is_assumed_through_a_transaction_pooler),
        TEST(what_is_asked_about_tables_is_asked_as_the_role),
        TEST(the_role_does_not_stay_in_the_poolers_sessions),
        TEST(connections_that_are_refused_at_once_all_try_without_the_role),
        TEST(a_role_is_assumed_through_a_session_pooler),
        TEST(a_role_that_may_not_be_assumed_is_told_through_a_pooler_too),
        TEST(many_at_once_through_the_pooler_and_past_it_apply_each_file_once),
        TEST(a_batch_holds_nothing_between_its_rounds),
        TEST(several_at_once_share_a_batch_and_touch_each_row_once),
    };
    return cmocka_run_group_tests_name("pooler", tests, NULL, NULL);
}
