// Batches on the real server: a transaction for each round, each row once, whatever comes in between.
#include "world.h"

#include <signal.h>
#include <sys/wait.h>

// A thousand rows; whoever changes some leaves word of the transaction, its session and how many there were.
#define TABLE                                                                                                          \
    "CREATE TABLE t (id int PRIMARY KEY, done bool NOT NULL DEFAULT false, n int NOT NULL DEFAULT 0);\n"               \
    "INSERT INTO t SELECT generate_series(1, 1000);\n"                                                                 \
    "CREATE TABLE log (tx bigint, pid int, rows bigint);\n"                                                            \
    "CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log"                                \
    " SELECT txid_current(), pg_backend_pid(), count(*) FROM changed; RETURN NULL; END$$;\n"                           \
    "CREATE TRIGGER log AFTER UPDATE ON t REFERENCING NEW TABLE AS changed FOR EACH STATEMENT"                         \
    " EXECUTE FUNCTION log();\n"
#define ROUND                                                                                                          \
    "UPDATE t SET done = true, n = n + 1 WHERE ctid = ANY (ARRAY (SELECT ctid FROM t WHERE NOT done LIMIT 100));\n"
#define LOG "SELECT concat_ws(' ', count(*), count(DISTINCT tx), count(DISTINCT pid), sum(rows)) FROM log"
#define EACH_ONCE "SELECT concat_ws(' ', count(*), min(n), max(n)) FROM t WHERE done"
#define STATE                                                                                                          \
    "SELECT concat_ws(' ', state, done, statements, cardinality(hashes)) FROM pawl.migrations WHERE version = '2'"

static bool heard(const struct world *world, const char *words) {
    return strstr(text_string(&world->events), words) != NULL;
}

static void with_table(struct world *world) {
    world_file(world, "1_t.sql", TABLE);
    world_must_run(world, "r1");
}

// Does something once the database shows what it waits for.
struct onlooker {
    const struct world *world;
    const char *until; // a condition in SQL
    void (*act)(const struct world *world);
    pthread_t thread;
    bool met;
};

static void *look_until(void *context) {
    struct onlooker *onlooker = context;
    cleanup_arena struct arena *arena = arena_new();
    for (int i = 0; i < 1000 && !onlooker->met; i++) {
        clock_sleep_ms(10);
        onlooker->met = *database_ask(&onlooker->world->database, arena, onlooker->until) == 't';
    }
    if (onlooker->met && onlooker->act)
        onlooker->act(onlooker->world);
    return NULL;
}

static void look(struct onlooker *onlooker) {
    assert_int_equal(pthread_create(&onlooker->thread, NULL, look_until, onlooker), 0);
}

static void look_no_more(struct onlooker *onlooker) {
    assert_int_equal(pthread_join(onlooker->thread, NULL), 0);
    assert_true(onlooker->met);
}

static void stop_it(const struct world *world) {
    run_control_stop(world->control);
}

static void terminate_it(const struct world *world) {
    database_do(&world->database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                                  " current_database() AND application_name LIKE 'pawl r%'");
}

static void each_round_is_a_transaction_until_one_touches_no_row(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql", "-- pawl: batch\n" ROUND);
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, LOG), "12 12 1 1000");
    assert_string_equal(world_ask(world, EACH_ONCE), "1000 1 1");
    assert_string_equal(world_ask(world, "SELECT count(DISTINCT xmin::text) FROM t"), "10");
    assert_string_equal(world_ask(world, STATE), "applied 1 1 1");
    assert_true(heard(world, "batched 2_b.sql1000 rows in 10 rounds\napplied 2_b.sql\n"));
    assert_true(world->report.round_trips < 28); // not two for each round
    world_must_run(world, "r3");
    assert_string_equal(world->report.state, "nothing_pending");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.runs WHERE progress IS NOT NULL"), "0");
    world_is_quiet(world);
}

static void the_statements_around_a_batch_keep_their_own_transactions(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql",
               "SET search_path = public;\nCREATE TABLE around (tx bigint DEFAULT txid_current());\n"
               "INSERT INTO around DEFAULT VALUES;\n-- pawl: batch\n" ROUND
               "INSERT INTO around DEFAULT VALUES;\nINSERT INTO around DEFAULT VALUES;\n-- pawl: batch\nDELETE FROM t "
               "WHERE id > 990;\n");
    world_file(world, "3_c.sql", "INSERT INTO around DEFAULT VALUES;");
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, "SELECT string_agg(n::text, ' ' ORDER BY tx) FROM (SELECT tx, count(*) AS n"
                                         " FROM around GROUP BY tx) x"),
                        "1 2 1");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM log WHERE tx IN (SELECT tx FROM around)"), "0");
    assert_string_equal(world_ask(world, LOG), "12 12 1 1000");
    assert_string_equal(world_ask(world, STATE), "applied 7 7 7");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM t"), "990");
    world_is_quiet(world);
}

static void a_batch_that_is_stopped_goes_on_where_it_was(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql", "-- pawl: batch pause=150ms\n" ROUND);
    struct onlooker onlooker = {.world = world, .until = "SELECT count(*) >= 3 FROM log", .act = stop_it};
    look(&onlooker);
    assert_false(world_run(world, "r2"));
    look_no_more(&onlooker);
    assert_int_equal(world->err.code, ERROR_SHUTTING_DOWN);
    assert_non_null(strstr(world->err.message, "2_b.sql: shutting down after "));
    assert_string_equal(world_ask(world, STATE), "partial 0 1 0");
    int done = atoi(world_ask(world, "SELECT count(*) FROM t WHERE done"));
    assert_in_range(done, 300, 900);
    assert_int_equal(done % 100, 0);
    world_is_quiet(world);
    run_control_free(world->control);
    world->control = run_control_new();
    world_must_run(world, "r3");
    assert_string_equal(world_ask(world, EACH_ONCE), "1000 1 1");
    assert_string_equal(world_ask(world, LOG), "12 12 2 1000");
    assert_string_equal(world_ask(world, STATE), "applied 1 1 1");
    world_is_quiet(world);
}

static void a_session_that_is_ended_costs_the_round_at_most(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql", "SELECT 1;\n-- pawl: batch pause=150ms\n" ROUND);
    struct onlooker onlooker = {.world = world, .until = "SELECT count(*) >= 3 FROM log", .act = terminate_it};
    look(&onlooker);
    world_must_run(world, "r2");
    look_no_more(&onlooker);
    assert_string_equal(world_ask(world, LOG), "12 12 2 1000");
    assert_string_equal(world_ask(world, EACH_ONCE), "1000 1 1");
    assert_string_equal(world_ask(world, STATE), "applied 2 2 2");
    world_is_quiet(world);
}

static void whatever_changes_rows_can_be_repeated(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(
        world, "2_b.sql",
        "CREATE TABLE copy (id int, tx bigint DEFAULT txid_current());\nCREATE TABLE merged (LIKE copy INCLUDING "
        "ALL);\n"
        "-- pawl: batch\nINSERT INTO copy SELECT id FROM t WHERE NOT EXISTS (SELECT FROM copy c WHERE c.id = t.id)"
        " ORDER BY id LIMIT 300;\n"
        "-- pawl: batch\nMERGE INTO merged m USING (SELECT id FROM t WHERE id NOT IN (SELECT id FROM merged) LIMIT "
        "400) s"
        " ON m.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id);\n"
        "-- pawl: batch\nWITH gone AS (DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY id LIMIT 250) RETURNING id)"
        " INSERT INTO copy SELECT -id FROM gone RETURNING *;\n");
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', count(*), count(DISTINCT id), count(DISTINCT tx)) FROM"
                                         " copy WHERE id > 0"),
                        "1000 1000 4");
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', count(*), count(DISTINCT id), count(DISTINCT tx)) FROM"
                                         " copy WHERE id < 0"),
                        "1000 1000 4");
    assert_string_equal(
        world_ask(world, "SELECT concat_ws(' ', count(*), count(DISTINCT id), count(DISTINCT tx)) FROM merged"),
        "1000 1000 3");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM t"), "0");
    assert_true(heard(world, "batched 2_b.sql1000 rows in 4 rounds\n"));
    assert_true(heard(world, "batched 2_b.sql1000 rows in 3 rounds\n"));
    world_is_quiet(world);
}

static struct postgres *holder;

static void let_go(const struct world *world) {
    (void)world;
    clock_sleep_ms(400); // longer than lock_timeout
    database_run(holder, "ROLLBACK");
}

static void a_round_that_waits_too_long_for_a_row_is_tried_again(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql", "-- pawl: batch\n" ROUND);
    holder = database_connect(world->database.url);
    database_run(holder, "BEGIN");
    database_run(holder, "SELECT FROM t WHERE id = 550 FOR UPDATE");
    struct onlooker onlooker = {.world = world, .until = "SELECT count(*) = 5 FROM log", .act = let_go};
    look(&onlooker);
    world_must_run(world, "r2");
    look_no_more(&onlooker);
    postgres_close(holder);
    assert_true(heard(world, "retrying 2_b.sqlit waited too long for table t"));
    assert_string_equal(world_ask(world, LOG), "12 12 1 1000");
    assert_string_equal(world_ask(world, EACH_ONCE), "1000 1 1");
    assert_true(heard(world, "batched 2_b.sql1000 rows in 10 rounds\n")); // those before the failure too
    world_is_quiet(world);
}

static void a_round_that_fails_keeps_those_before_and_goes_on_when_mended(void **state) {
    struct world *world = *state;
    with_table(world);
    database_do(&world->database, "ALTER TABLE t ADD CHECK (id <> 550 OR n < 2)");
    database_do(&world->database, "UPDATE t SET n = 1 WHERE id = 550");
    world_file(world, "2_b.sql", "SELECT 1;\n-- pawl: batch\n" ROUND);
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(world->err.sqlstate, "23514");
    assert_int_equal(world->err.line, 3);
    assert_int_equal(world->err.statement, 2);
    assert_non_null(strstr(world->err.hint, "rounds are committed and stay; the next run goes on after them."));
    assert_string_equal(world_ask(world, STATE), "partial 1 2 1");
    int before = atoi(world_ask(world, "SELECT count(*) FROM t WHERE done"));
    assert_in_range(before, 500, 900);
    world_is_quiet(world);
    world_file(world, "2_b.sql",
               "SELECT 1;\n-- pawl: batch\nUPDATE t SET done = true, n = 1 WHERE ctid = ANY (ARRAY (SELECT ctid FROM t"
               " WHERE NOT done LIMIT 50));\n");
    world_must_run(world, "r3");
    assert_string_equal(world_ask(world, EACH_ONCE), "1000 1 1");
    assert_string_equal(world_ask(world, STATE), "applied 2 2 2");
    world_is_quiet(world);
}

static void a_round_that_fails_at_its_commit_is_not_counted(void **state) {
    struct world *world = *state;
    with_table(world);
    database_do(&world->database, "CREATE TABLE public.parents (id int PRIMARY KEY)");
    database_do(&world->database, "INSERT INTO public.parents SELECT generate_series(1, 1000)");
    database_do(&world->database, "DELETE FROM public.parents WHERE id = 350");
    world_file(world, "2_b.sql",
               "CREATE TABLE kids (id int REFERENCES parents DEFERRABLE INITIALLY DEFERRED);\n-- pawl: batch\n"
               "INSERT INTO kids SELECT id FROM t WHERE id > coalesce((SELECT max(id) FROM kids), 0) ORDER BY id LIMIT "
               "100;\n");
    assert_false(world_run(world, "r2"));
    assert_string_equal(world->err.sqlstate, "23503");
    assert_non_null(strstr(world->err.message, "2_b.sql, at its COMMIT"));
    assert_non_null(strstr(world->err.hint, "300 rows in 3 rounds are committed and stay"));
    assert_string_equal(world_ask(world, "SELECT count(*) FROM kids"), "300");
    assert_string_equal(world_ask(world, STATE), "partial 1 2 1");
    database_do(&world->database, "INSERT INTO public.parents VALUES (350)");
    world_must_run(world, "r3");
    assert_true(heard(world, "batched 2_b.sql700 rows in 7 rounds\n"));
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', count(*), count(DISTINCT id)) FROM kids"), "1000 1000");
    world_is_quiet(world);
}

// A sequence does not go back with the transaction that fails.
static void each_round_has_all_its_tries(void **state) {
    struct world *world = *state;
    with_table(world);
    database_do(&world->database, "CREATE SEQUENCE public.attempts");
    database_do(&world->database, "CREATE FUNCTION public.hinder() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
                                  " IF nextval('attempts') % 2 = 1 THEN RAISE SQLSTATE '40001'; END IF;"
                                  " RETURN NULL; END$$");
    database_do(&world->database, "CREATE TRIGGER hinder BEFORE UPDATE ON t EXECUTE FUNCTION public.hinder()");
    world_file(world, "2_b.sql", "-- pawl: batch\n" ROUND);
    world_must_run(world, "r2"); // with more conflicts than one round may meet
    assert_string_equal(world_ask(world, "SELECT last_value FROM public.attempts"), "24");
    assert_string_equal(world_ask(world, LOG), "12 12 1 1000");
    assert_string_equal(world_ask(world, EACH_ONCE), "1000 1 1");
    world_is_quiet(world);
}

static void a_repeatable_file_may_hold_a_batch_and_every_round_knows_its_settings(void **state) {
    struct world *world = *state;
    world_file(world, "1_t.sql",
               "CREATE SCHEMA s;\nCREATE TABLE s.t AS SELECT n AS id, 0 AS n FROM generate_series(1, 30) n;");
    world_file(world, "repeat_b.sql",
               "SET search_path = s;\nCREATE TEMP TABLE few AS SELECT 10 AS rows;\n-- pawl: batch\n"
               "UPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t WHERE n < 1 LIMIT (SELECT rows FROM few));\n");
    world_must_run(world, "r1");
    assert_true(heard(world, "batched repeat_b.sql30 rows in 3 rounds\n"));
    world_file(world, "repeat_b.sql",
               "SET search_path = s;\n-- pawl: batch\n"
               "UPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t WHERE n < 2 LIMIT 15);\n");
    world_must_run(world, "r2");
    assert_true(heard(world, "batched repeat_b.sql30 rows in 2 rounds\n"));
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', count(*), min(n), max(n)) FROM s.t"), "30 2 2");
    assert_string_equal(world_ask(world, "SELECT concat_ws(' ', state, done, statements) FROM pawl.migrations"
                                         " WHERE kind = 'repeatable'"),
                        "applied 2 2");
    world_is_quiet(world);
}

static void progress_is_told_and_kept_in_rows(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql", "-- pawl: batch pause=300ms\n" ROUND);
    struct onlooker onlooker = {
        .world = world, .until = "SELECT progress ~ '^[0-9]+ rows in [0-9]+ rounds$' FROM pawl.runs WHERE id = 'r2'"};
    look(&onlooker);
    world_must_run(world, "r2");
    look_no_more(&onlooker);
    assert_true(heard(world, "progress 2_b.sql"));
    assert_true(heard(world, "00 rows in "));
    assert_true(strtoul(world_ask(world, "SELECT ms FROM pawl.migrations WHERE version = '2'"), NULL, 10) >= 3000);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.runs WHERE progress IS NOT NULL"), "0");
    world_is_quiet(world);
}

static void a_pause_holds_no_transaction_and_keeps_the_lock(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql", "-- pawl: batch pause=1s\nDELETE FROM t WHERE id < 10;\n");
    struct onlooker onlooker = {.world = world,
                                .until = "SELECT count(*) = 1 FROM pg_stat_activity a JOIN pg_locks l USING (pid)"
                                         " WHERE a.datname = current_database() AND l.locktype = 'advisory'"
                                         " AND a.state = 'idle' AND a.xact_start IS NULL"
                                         " AND a.application_name = 'pawl r2 1/1 2_b.sql:1/1'"};
    look(&onlooker);
    world_must_run(world, "r2");
    look_no_more(&onlooker);
    world_is_quiet(world);
}

static void delete_slowly(const struct world *world) {
    cleanup_postgres struct postgres *postgres = database_connect(world->database.url);
    database_run(postgres, "BEGIN");
    database_run(postgres, "DELETE FROM t WHERE id <= 300");
    database_run(postgres, "SELECT pg_sleep(0.5)");
    database_run(postgres, "COMMIT");
}

static void a_round_whose_rows_somebody_else_deletes_is_not_the_last(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql",
               "SELECT pg_sleep(0.3);\n-- pawl: lock_timeout=20s\n-- pawl: batch\nUPDATE t SET done = true, n = n + 1"
               " WHERE id IN (SELECT id FROM t WHERE NOT done ORDER BY id LIMIT 100);\n");
    struct onlooker onlooker = {.world = world,
                                .until = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
                                         " AND datname = current_database() AND state = 'active'",
                                .act = delete_slowly};
    look(&onlooker);
    world_must_run(world, "r2");
    look_no_more(&onlooker);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM log WHERE rows = 0"),
                        "3"); // that one, and the two at the end
    assert_string_equal(world_ask(world, EACH_ONCE), "700 1 1");
    assert_true(heard(world, "batched 2_b.sql700 rows in 7 rounds\n"));
}

static void rows_that_the_server_does_not_count_do_not_end_a_batch_in_silence(void **state) {
    struct world *world = *state;
    world_file(world, "1_t.sql",
               "CREATE TABLE src AS SELECT generate_series(1, 1000) AS id;\nCREATE TABLE old (id int PRIMARY KEY);\n"
               "INSERT INTO old SELECT generate_series(1, 950);\nCREATE TABLE old_1 () INHERITS (old);\n"
               "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO old_1 SELECT NEW.*;"
               " RETURN NULL; END$$;\n");
    world_must_run(world, "r1");
    world_file(world, "2_b.sql",
               "-- pawl: batch\nWITH gone AS (DELETE FROM src WHERE id IN (SELECT id FROM src ORDER BY id LIMIT 100)"
               " RETURNING *) INSERT INTO old SELECT * FROM gone ON CONFLICT DO NOTHING;");
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_MIGRATION_FAILED);
    assert_int_equal(world->err.line, 2);
    assert_non_null(strstr(world->err.message, "touches no row, and changed 100: its end cannot be told"));
    assert_non_null(strstr(world->err.hint, "Let the outermost statement change the rows that it looks for"));
    assert_string_equal(world_ask(world, "SELECT count(*) FROM src"), "900"); // what it changed unproved is rolled back
    world_is_quiet(world);
    world_file(world, "2_b.sql",
               "-- pawl: batch\nWITH moved AS (INSERT INTO old SELECT id FROM src ORDER BY id LIMIT 100"
               " ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id RETURNING id)"
               " DELETE FROM src WHERE id IN (SELECT id FROM moved);");
    world_file(world, "3_c.sql",
               "CREATE TRIGGER away BEFORE INSERT ON old FOR EACH ROW EXECUTE FUNCTION away();\n-- pawl: batch\n"
               "INSERT INTO old SELECT g FROM generate_series(1001, 1500) g WHERE g NOT IN (SELECT id FROM old)"
               " LIMIT 100;");
    assert_false(world_run(world, "r3"));
    assert_string_equal(world_ask(world, "SELECT count(*) FROM src"), "0");
    assert_string_equal(world_ask(world, STATE), "applied 1 1 1");
    assert_string_equal(world->err.file, "3_c.sql");
    assert_non_null(strstr(world->err.message, "touches no row, and changed 100"));
    world_is_quiet(world);
}

// The log's trigger does, wherever the statement that reaches its table stands.
static void a_trigger_that_writes_for_no_row_is_no_reason_to_doubt(void **state) {
    struct world *world = *state;
    with_table(world);
    database_do(&world->database, "CREATE TABLE public.other (id int)");
    world_file(world, "2_b.sql",
               "CREATE VIEW v AS SELECT * FROM t WHERE id <= 500;\n-- pawl: batch\nUPDATE v SET done = true, n = n + 1"
               " WHERE id IN (SELECT id FROM v WHERE NOT done LIMIT 100);\n-- pawl: batch\n"
               "WITH u AS (UPDATE t SET done = true, n = n + 1 WHERE id IN (SELECT id FROM t WHERE NOT done LIMIT 100)"
               " RETURNING id) INSERT INTO other SELECT id FROM u;\n");
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, EACH_ONCE), "1000 1 1");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM log WHERE rows = 0"), "4");
    assert_string_equal(world_ask(world, "SELECT count(*) FROM other"), "500");
    world_is_quiet(world);
}

static void a_batch_does_not_take_back(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql", "-- pawl: batch\n" ROUND);
    world_file(world, "2_b.down.sql", "-- pawl: batch\nUPDATE t SET done = false WHERE done;");
    world_must_run(world, "r2");
    world->request.rollback = world->request.allow_rollback = true;
    world->request.steps = 1;
    assert_false(world_run(world, "back"));
    assert_int_equal(world->err.code, ERROR_ROLLBACK_IMPOSSIBLE);
    assert_string_equal(world->err.file, "2_b.down.sql");
    assert_string_equal(world_ask(world, EACH_ONCE), "1000 1 1");
}

// ---- standbys ----------------------------------------------------------------------------------------------------------

static void without_standbys_there_is_nothing_to_wait_for(void **state) {
    struct world *world = *state;
    with_table(world);
    world_file(world, "2_b.sql", "-- pawl: batch max_lag=1ms\n" ROUND);
    world_must_run(world, "r2");
    assert_string_equal(world_ask(world, LOG), "12 12 1 1000");
    assert_false(heard(world, "waits for standby"));
}

// What streams the server's log into a folder, as an archive does.
static pid_t receive_log(const struct world *world) {
    char program[256];
    snprintf(program, sizeof(program), "%s/pg_receivewal", getenv("PG_BIN"));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(program, program, "-n", "-D", world->folder, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500; i++, clock_sleep_ms(20))
        if (*world_ask(world, "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'") == 't')
            return pid;
    fail_msg("nothing receives the log");
    return pid;
}

static void whoever_may_not_see_standbys_is_told_what_helps(void **state) {
    struct world *world = *state;
    char sql[512], url[512];
    snprintf(sql, sizeof(sql), "CREATE ROLE u_%s LOGIN", world->database.name);
    database_do(&world->database, sql);
    snprintf(sql, sizeof(sql), "GRANT ALL ON DATABASE %s TO u_%s", world->database.name, world->database.name);
    database_do(&world->database, sql);
    snprintf(sql, sizeof(sql), "GRANT ALL ON SCHEMA public TO u_%s", world->database.name);
    database_do(&world->database, sql);
    snprintf(url, sizeof(url), "postgresql://u_%s@/%s?host=%s", world->database.name, world->database.name,
             getenv("PGHOST"));
    run_database_free(world->connections);
    world->connections = run_database_new(url);
    with_table(world);
    pid_t receiver = receive_log(world);
    world_file(world, "2_b.sql", "SELECT 1;\n-- pawl: batch max_lag=1ms\n" ROUND);
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
    assert_int_equal(world->err.line, 3);
    assert_non_null(strstr(world->err.message, "2_b.sql, line 3: max_lag needs to see how far standbys are behind"));
    assert_non_null(strstr(world->err.hint, "GRANT pg_monitor TO the worker's role"));
    assert_string_equal(world_ask(world, LOG), "0 0 0");
    snprintf(sql, sizeof(sql), "GRANT pg_monitor TO u_%s", world->database.name);
    database_do(&world->database, sql);
    world_must_run(world, "r3"); // and what only receives is no standby
    assert_string_equal(world_ask(world, EACH_ONCE), "1000 1 1");
    kill(receiver, SIGKILL);
    assert_int_equal(waitpid(receiver, NULL, 0), receiver);
    snprintf(sql, sizeof(sql), "DROP OWNED BY u_%s CASCADE", world->database.name);
    database_do(&world->database, sql);
    snprintf(sql, sizeof(sql), "DROP ROLE u_%s", world->database.name);
    database_do(&world->database, sql);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_round_is_a_transaction_until_one_touches_no_row),
        TEST(the_statements_around_a_batch_keep_their_own_transactions),
        TEST(a_batch_that_is_stopped_goes_on_where_it_was),
        TEST(a_session_that_is_ended_costs_the_round_at_most),
        TEST(whatever_changes_rows_can_be_repeated),
        TEST(a_round_that_waits_too_long_for_a_row_is_tried_again),
        TEST(a_round_that_fails_keeps_those_before_and_goes_on_when_mended),
        TEST(a_round_that_fails_at_its_commit_is_not_counted),
        TEST(each_round_has_all_its_tries),
        TEST(a_repeatable_file_may_hold_a_batch_and_every_round_knows_its_settings),
        TEST(progress_is_told_and_kept_in_rows),
        TEST(a_pause_holds_no_transaction_and_keeps_the_lock),
        TEST(a_round_whose_rows_somebody_else_deletes_is_not_the_last),
        TEST(rows_that_the_server_does_not_count_do_not_end_a_batch_in_silence),
        TEST(a_trigger_that_writes_for_no_row_is_no_reason_to_doubt),
        TEST(a_batch_does_not_take_back),
        TEST(without_standbys_there_is_nothing_to_wait_for),
        TEST(whoever_may_not_see_standbys_is_told_what_helps),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
