#include "../database.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

static bool open_url(const char *url, struct error *err) {
    cleanup_postgres struct postgres *postgres = NULL;
    return postgres_open(&(struct postgres_options){.url = url, .connect_timeout_s = 1}, &postgres, err);
}

static struct postgres *connect_here(void) {
    return database_connect(getenv("DATABASE_URL"));
}

static void a_query_with_parameters_is_answered_in_one_round_trip(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    cleanup_rows struct postgres_rows *rows = NULL;
    struct error err = {0};
    const char *values[] = {"7", NULL};
    assert_true(postgres_query(postgres, "SELECT $1::int + 1, $2::text", values, 2, &rows, &err));
    assert_string_equal(postgres_value(rows, 0, 0), "8");
    assert_null(postgres_value(rows, 0, 1));
    assert_string_equal(postgres_tag(rows), "SELECT 1");
    assert_int_equal(postgres_round_trips(postgres), 1);
}

static void an_error_of_the_server_is_told_in_full(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    assert_false(postgres_execute(postgres, "SELECT 'é', nosuch", NULL, 0, &err));
    assert_int_equal(err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(err.sqlstate, "42703");
    assert_string_equal(err.message, "column \"nosuch\" does not exist");
    assert_int_equal(postgres_position(postgres), 13);
    assert_false(
        postgres_execute(postgres, "DO $$BEGIN RAISE 'no' USING DETAIL = 'why', HINT = 'do'; END$$", NULL, 0, &err));
    assert_string_equal(err.hint, "do");
    assert_non_null(strstr(err.detail, "why (PL/pgSQL function"));
    assert_true(postgres_execute(postgres, "SELECT 1", NULL, 0, &err)); // and the connection goes on
}

static void a_failure_skips_what_follows_until_the_sync(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    assert_true(postgres_send(postgres, "BEGIN", NULL, 0, &err));
    assert_true(postgres_send(postgres, "SELECT 1/0", NULL, 0, &err));
    assert_true(postgres_send(postgres, "COMMIT", NULL, 0, &err));
    assert_true(postgres_sync(postgres, &err));
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_DONE);
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_REFUSED);
    assert_string_equal(err.sqlstate, "22012");
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_SKIPPED);
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_SYNCED);
    assert_true(postgres_in_transaction(postgres));
    database_run(postgres, "ROLLBACK");
    assert_false(postgres_in_transaction(postgres));
}

// Both socket buffers fill up: 40 MB of statements one way, 40 MB of rows the other.
static void a_full_pipeline_does_not_block_itself(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    cleanup_text struct text sql = TEXT(1 << 20);
    text_append(&sql, "SELECT '");
    while (sql.length < 400000)
        text_append(&sql, "0123456789");
    text_append(&sql, "'");
    for (int i = 0; i < 100; i++)
        assert_true(postgres_send(postgres, text_string(&sql), NULL, 0, &err));
    for (int i = 0; i < 100; i++)
        assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_DONE);
    assert_true(postgres_sync(postgres, &err));
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_SYNCED);
}

static void copy_takes_its_data_and_reports_the_bad_line(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    database_run(postgres, "CREATE TEMP TABLE t (a int, b text)");
    cleanup_text struct text data = TEXT(1 << 24);
    for (int i = 0; i < 200000; i++)
        text_printf(&data, "%d\trow %d\n", i, i);
    struct view all = {data.data, data.length};
    assert_true(postgres_copy(postgres, VIEW("COPY t FROM stdin"), all, &err));
    cleanup_rows struct postgres_rows *rows = NULL;
    assert_true(postgres_query(postgres, "SELECT count(*) FROM t", NULL, 0, &rows, &err));
    assert_string_equal(postgres_value(rows, 0, 0), "200000");
    assert_true(postgres_copy(postgres, VIEW("COPY t TO stdout"), (struct view){0}, &err));
    assert_false(postgres_copy(postgres, VIEW("COPY t FROM stdin"), VIEW("1\tok\nx\tbad\n"), &err));
    assert_string_equal(err.sqlstate, "22P02");
    assert_non_null(strstr(err.detail, "COPY t, line 2"));
    assert_true(postgres_execute(postgres, "SELECT 1", NULL, 0, &err));
}

static void *cancel_soon(void *postgres) {
    clock_sleep_ms(50);
    postgres_cancel(postgres);
    return NULL;
}

static void a_cancel_from_another_thread_ends_the_statement(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, postgres), 0);
    bool done = postgres_execute(postgres, "SELECT pg_sleep(60)", NULL, 0, &err);
    pthread_join(thread, NULL);
    assert_false(done);
    assert_int_equal(err.code, ERROR_SHUTTING_DOWN);
    postgres_uncancel(postgres);
    assert_true(postgres_execute(postgres, "SELECT 1", NULL, 0, &err));
}

static void a_cancel_that_meets_no_statement_hits_the_next(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    postgres_cancel(postgres);
    assert_false(postgres_execute(postgres, "SELECT pg_sleep(60)", NULL, 0, &err));
    assert_int_equal(err.code, ERROR_SHUTTING_DOWN);
}

static void a_terminated_backend_is_unavailable(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    assert_false(
        postgres_execute(postgres, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)", NULL, 0, &err));
    assert_int_equal(err.code, ERROR_DATABASE_UNAVAILABLE);
    assert_false(postgres_execute(postgres, "SELECT 1", NULL, 0, &err));
    assert_int_equal(err.code, ERROR_DATABASE_UNAVAILABLE);
    assert_false(postgres_alive(postgres));
}

static void an_idle_connection_notices_that_it_was_ended(void **state) {
    (void)state;
    cleanup_postgres struct postgres *idle = connect_here(), *other = connect_here();
    assert_true(postgres_alive(idle));
    char sql[80];
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", postgres_backend_pid(idle));
    database_run(other, sql);
    for (int i = 0; i < 100 && postgres_alive(idle); i++)
        clock_sleep_ms(20);
    assert_false(postgres_alive(idle));
}

static void an_unknown_database_or_role_is_refused_for_good(void **state) {
    (void)state;
    char url[512];
    struct error err = {0};
    snprintf(url, sizeof(url), "postgresql://pawl@/no_such_database?host=%s", getenv("PGHOST"));
    assert_false(open_url(url, &err));
    assert_int_equal(err.code, ERROR_DATABASE_REFUSED);
    assert_string_equal(err.sqlstate, "3D000");
    assert_null(strstr(err.message, "LOCATION"));
    snprintf(url, sizeof(url), "host=%s user=no_such_role dbname=postgres", getenv("PGHOST"));
    assert_false(open_url(url, &err));
    assert_int_equal(err.code, ERROR_DATABASE_REFUSED);
}

static void a_server_that_is_not_there_is_unavailable(void **state) {
    (void)state;
    struct error err = {0};
    assert_false(open_url("postgresql://u:hunter2@127.0.0.1:1/db", &err));
    assert_int_equal(err.code, ERROR_DATABASE_UNAVAILABLE);
    assert_null(strstr(err.message, "hunter2"));
}

static void a_password_never_shows_in_an_error(void **state) {
    (void)state;
    static const char *const urls[] = {
        "postgresql://u:hun/ter2@127.0.0.1:1/db",   "postgresql://u:hun@ter2@127.0.0.1:1/db",
        "postgresql://u:hun?ter2@127.0.0.1:1/db",   "postgresql://u:%zzhunter2@127.0.0.1:1/db",
        "host=127.0.0.1 port=1 password=hun ter2x", "password='hunter2",
        "postgresql://u@/db?pass=hunter2",
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct error err = {0};
        assert_false(open_url(urls[i], &err));
        assert_true(err.code == ERROR_CONFIGURATION || err.code == ERROR_DATABASE_UNAVAILABLE);
        assert_null(strstr(err.message, "ter2"));
        assert_null(strstr(err.message, "hun"));
    }
}

// A listener that accepts and never speaks.
static void a_password_that_a_function_wrote_into_a_statement_never_shows_in_an_error(void **state) {
    (void)state;
    static const char *const statements[] = {
        "DO $$BEGIN EXECUTE format('ALTER ROLE nobody_%s PASSWORD %L', 'x', 'hunter''2'); END$$",
        "DO $$BEGIN EXECUTE 'CREATE USER MAPPING FOR pawl SERVER nowhere OPTIONS (Password ''hunter2'', user ''x'')'; "
        "END$$",
    };
    cleanup_postgres struct postgres *postgres = database_connect(getenv("DATABASE_URL"));
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        struct error err = {0};
        assert_false(postgres_execute(postgres, statements[i], NULL, 0, &err));
        assert_non_null(strstr(err.detail, i == 0 ? "SQL statement \"ALTER ROLE nobody_x PASSWORD '...''...'\""
                                                  : "OPTIONS (Password '...', user '...')"));
        assert_non_null(strstr(err.detail, "PL/pgSQL function inline_code_block line 1 at EXECUTE"));
        assert_null(strstr(err.detail, "hunter"));
        assert_null(strstr(err.message, "hunter"));
    }
    struct error err = {0};
    assert_false(
        postgres_execute(postgres, "DO $$BEGIN EXECUTE 'COMMENT ON ROLE nobody_x IS ''shown'''; END$$", NULL, 0, &err));
    assert_non_null(strstr(err.detail, "COMMENT ON ROLE nobody_x IS 'shown'"));
}

static void a_silent_server_is_left_at_the_deadline_or_when_stopped(void **state) {
    (void)state;
    char folder[] = "/tmp/pawl-silent.XXXXXX", url[256];
    assert_non_null(mkdtemp(folder));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    snprintf(url, sizeof(url), "postgresql://pawl@/db?host=%s", folder);
    struct error err = {0};
    uint64_t start = clock_ms();
    assert_false(open_url(url, &err));
    assert_int_equal(err.code, ERROR_DATABASE_UNAVAILABLE);
    assert_in_range(clock_ms() - start, 900, 8000);
    atomic_bool stop = true;
    struct postgres *postgres = NULL;
    assert_false(postgres_open(&(struct postgres_options){.url = url, .stop = &stop}, &postgres, &err));
    assert_int_equal(err.code, ERROR_SHUTTING_DOWN);
    close(listener);
    unlink(address.sun_path);
    rmdir(folder);
}

static void rows_that_a_command_touched_are_counted_whether_they_are_kept_or_not(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    const struct {
        const char *sql;
        uint64_t touched;
    } commands[] = {
        {"CREATE TEMP TABLE counted (x int)", 0},
        {"INSERT INTO counted SELECT generate_series(1, 70)", 70},
        {"UPDATE counted SET x = 1 WHERE x <= 40 RETURNING x", 40},
        {"DELETE FROM counted WHERE x = 0", 0},
        {"WITH gone AS (DELETE FROM counted WHERE x = 1 RETURNING x) INSERT INTO counted SELECT 9 FROM gone "
         "LIMIT 3 RETURNING *",
         3}};
    struct error err = {0};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        assert_true(postgres_execute(postgres, commands[i].sql, NULL, 0, &err));
        assert_int_equal(postgres_touched(postgres), commands[i].touched);
    }
}

static void a_deferred_constraint_is_heard_at_the_end(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    database_run(postgres, "CREATE TEMP TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    assert_false(postgres_execute(postgres, "INSERT INTO t VALUES (1), (1)", NULL, 0, &err));
    assert_string_equal(err.sqlstate, "23505");
    assert_true(postgres_execute(postgres, "SELECT 1", NULL, 0, &err));
}

static const char often_sql[] = "SELECT $1::int * 2", wrong_sql[] = "SELECT nosuch";

static void a_command_that_is_sent_often_has_one_answer_each_time(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    const char *values[] = {"21"};
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            assert_true(postgres_send_often(postgres, often_sql, values, 1, &err));
        assert_true(postgres_sync(postgres, &err));
        for (int i = 0; i < 5; i++) {
            cleanup_rows struct postgres_rows *rows = NULL;
            assert_int_equal(postgres_receive(postgres, &rows, &err), POSTGRES_DONE);
            assert_string_equal(postgres_value(rows, 0, 0), "42");
        }
        assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_SYNCED);
    }
    cleanup_rows struct postgres_rows *rows = NULL;
    assert_true(postgres_query(postgres, "SELECT count(*) FROM pg_prepared_statements", NULL, 0, &rows, &err));
    assert_string_equal(postgres_value(rows, 0, 0), "1");
}

static void preparing_that_fails_or_is_skipped_costs_no_answer(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    const char *values[] = {"21"};
    assert_true(postgres_send_often(postgres, wrong_sql, NULL, 0, &err));
    assert_true(postgres_send_often(postgres, often_sql, values, 1, &err));
    assert_true(postgres_sync(postgres, &err));
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_REFUSED);
    assert_string_equal(err.sqlstate, "42703");
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_SKIPPED);
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_SYNCED);
    assert_true(postgres_send_often(postgres, often_sql, values, 1, &err));
    assert_true(postgres_sync(postgres, &err));
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_DONE);
    assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_SYNCED);
}

static void a_prepared_command_that_was_dropped_can_be_sent_again(void **state) {
    (void)state;
    cleanup_postgres struct postgres *postgres = connect_here();
    struct error err = {0};
    const char *values[] = {"21"};
    for (int round = 0; round < 3; round++) {
        assert_true(postgres_send_often(postgres, often_sql, values, 1, &err));
        assert_true(postgres_sync(postgres, &err));
        assert_int_equal(postgres_receive(postgres, NULL, &err), round == 1 ? POSTGRES_REFUSED : POSTGRES_DONE);
        assert_int_equal(postgres_receive(postgres, NULL, &err), POSTGRES_SYNCED);
        if (round == 0)
            database_run(postgres, "DEALLOCATE ALL");
        else if (round == 1)
            assert_string_equal(err.sqlstate, "26000");
    }
}

static const char *ask_role(const char *url, const char *role, struct arena *arena) {
    cleanup_postgres struct postgres *postgres = NULL;
    cleanup_rows struct postgres_rows *rows = NULL;
    struct error err = {0};
    if (!postgres_open(&(struct postgres_options){.url = url, .role = role}, &postgres, &err))
        fail_msg("%s", err.message);
    database_run(postgres, "SET ROLE NONE");
    database_run(postgres, "RESET ROLE");
    assert_true(postgres_query(postgres,
                               "SELECT current_user || '|' || current_setting('work_mem') || '|' ||"
                               " current_setting('search_path')",
                               NULL, 0, &rows, &err));
    return arena_string(arena, postgres_value(rows, 0, 0));
}

static void a_role_is_what_the_session_goes_back_to_whatever_its_name(void **state) {
    (void)state;
    static const char *const names[] = {
        "plain",       "with space", "back\\slash", "quote'\"quote", "-c work_mem=1MB", "a\\ b\\\\",
        "caf\xc3\xa9", "x=y",        " x "};
    cleanup_arena struct arena *arena = arena_new();
    cleanup_postgres struct postgres *postgres = connect_here();
    const char *url = getenv("DATABASE_URL");
    const char *more = arena_printf(arena, "%s&options=-c%%20work_mem%%3D7MB%%20-c%%20search_path%%3Da,%%5C%%20b", url);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *values[] = {names[i]};
        cleanup_rows struct postgres_rows *rows = NULL;
        struct error err = {0};
        assert_true(postgres_query(postgres, "SELECT pg_catalog.quote_ident($1)", values, 1, &rows, &err));
        const char *quoted = postgres_value(rows, 0, 0);
        database_run(postgres, arena_printf(arena, "CREATE ROLE %s", quoted));
        assert_string_equal(ask_role(url, names[i], arena), arena_printf(arena, "%s|4MB|\"$user\", public", names[i]));
        assert_string_equal(ask_role(more, names[i], arena), arena_printf(arena, "%s|7MB|a, b", names[i]));
        assert_int_equal(setenv("PGOPTIONS", "-c work_mem=5MB", 1), 0);
        assert_string_equal(ask_role(url, names[i], arena), arena_printf(arena, "%s|5MB|\"$user\", public", names[i]));
        assert_int_equal(unsetenv("PGOPTIONS"), 0);
        database_run(postgres, arena_printf(arena, "DROP ROLE %s", quoted));
    }
}

static void a_role_that_is_refused_is_told_from_other_refusals(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    cleanup_postgres struct postgres *postgres = connect_here(), *none = NULL;
    const char *url = arena_printf(arena, "postgresql://some%%20login@/postgres?host=%s", getenv("PGHOST"));
    database_run(postgres, "CREATE ROLE \"some login\" LOGIN");
    database_run(postgres, "CREATE ROLE \"own\"\"er\"");
    struct postgres_options options = {.url = url, .role = "own\"er"};
    struct error err = {0};
    assert_false(postgres_open(&options, &none, &err));
    assert_int_equal(err.code, ERROR_DATABASE_REFUSED);
    assert_string_equal(err.sqlstate, "42501");
    assert_int_equal(strncmp(err.hint, "GRANT \"own\"\"er\" TO \"some login\";", 32), 0);
    database_run(postgres, "ALTER ROLE \"some login\" NOLOGIN");
    err = (struct error){0};
    assert_false(postgres_open(&options, &none, &err));
    assert_string_equal(err.sqlstate, "28000");
    assert_string_equal(err.hint, "");
    database_run(postgres, "DROP ROLE \"some login\"");
    database_run(postgres, "DROP ROLE \"own\"\"er\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_with_parameters_is_answered_in_one_round_trip),
        cmocka_unit_test(an_error_of_the_server_is_told_in_full),
        cmocka_unit_test(a_failure_skips_what_follows_until_the_sync),
        cmocka_unit_test(a_full_pipeline_does_not_block_itself),
        cmocka_unit_test(copy_takes_its_data_and_reports_the_bad_line),
        cmocka_unit_test(a_cancel_from_another_thread_ends_the_statement),
        cmocka_unit_test(a_cancel_that_meets_no_statement_hits_the_next),
        cmocka_unit_test(a_terminated_backend_is_unavailable),
        cmocka_unit_test(an_idle_connection_notices_that_it_was_ended),
        cmocka_unit_test(an_unknown_database_or_role_is_refused_for_good),
        cmocka_unit_test(a_server_that_is_not_there_is_unavailable),
        cmocka_unit_test(a_password_never_shows_in_an_error),
        cmocka_unit_test(a_password_that_a_function_wrote_into_a_statement_never_shows_in_an_error),
        cmocka_unit_test(a_silent_server_is_left_at_the_deadline_or_when_stopped),
        cmocka_unit_test(rows_that_a_command_touched_are_counted_whether_they_are_kept_or_not),
        cmocka_unit_test(a_deferred_constraint_is_heard_at_the_end),
        cmocka_unit_test(a_command_that_is_sent_often_has_one_answer_each_time),
        cmocka_unit_test(preparing_that_fails_or_is_skipped_costs_no_answer),
        cmocka_unit_test(a_prepared_command_that_was_dropped_can_be_sent_again),
        cmocka_unit_test(a_role_is_what_the_session_goes_back_to_whatever_its_name),
        cmocka_unit_test(a_role_that_is_refused_is_told_from_other_refusals),
    };
    return cmocka_run_group_tests_name("postgres", tests, NULL, NULL);
}
