// What statements leave in a session, told from their words.
#include "migrate/trace.h"

// cmocka.h needs these three before it.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on

static struct statement saying(const char *text) {
    return (struct statement){.text = view_of(text)};
}

static void what_outlives_its_transaction_is_seen(void **state) {
    (void)state;
    const char *yes[] = {"PREPARE p AS SELECT 1",
                         "prepare\tp(int) as select $1",
                         "DEALLOCATE ALL",
                         "DISCARD ALL",
                         "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                         "LISTEN x",
                         "DO $$BEGIN EXECUTE 'PREPARE p AS SELECT 1'; END$$",
                         "DO $$BEGIN EXECUTE 'listen x'; END$$"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(trace_names(&(struct statement){.text = view_of(yes[i])}));
    const char *no[] = {"SELECT 'PREPARE'",
                        "CREATE TABLE prepare (x int)",
                        "NOTIFY x",
                        "UNLISTEN x",
                        "",
                        "PREPARED",
                        "DO $$DECLARE n int; BEGIN n := 1; END$$",
                        "SET search_path = listen"};
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(trace_names(&(struct statement){.text = view_of(no[i])}));
}

static void who_a_file_becomes_is_seen(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum trace_session trace;
    } cases[] = {
        {"RESET ROLE", TRACE_ROLE_LEFT},
        {"reset role", TRACE_ROLE_LEFT},
        {"SET ROLE TO DEFAULT", TRACE_ROLE_LEFT},
        {"SET LOCAL role = default", TRACE_ROLE_LEFT},
        {"RESET SESSION AUTHORIZATION", TRACE_ROLE_LEFT},
        {"RESET session_authorization", TRACE_ROLE_LEFT},
        {"SET SESSION AUTHORIZATION DEFAULT", TRACE_ROLE_LEFT},
        {"SET LOCAL SESSION AUTHORIZATION DEFAULT", TRACE_ROLE_LEFT},
        {"set session\nsession authorization\tdefault", TRACE_ROLE_LEFT},
        {"SET ROLE NONE", TRACE_PATH},
        {"SET ROLE someone", TRACE_PATH},
        {"SET LOCAL ROLE 'someone'", TRACE_PATH},
        {"SET SESSION ROLE \"some one\"", TRACE_PATH},
        {"SET role = someone", TRACE_PATH},
        {"SET SESSION AUTHORIZATION 'someone'", TRACE_PATH},
        {"RESET ALL", TRACE_PATH},
        {"RESET search_path", TRACE_PATH},
        {"SET search_path TO DEFAULT", TRACE_PATH},
        {"SET SESSION search_path = DEFAULT", TRACE_PATH},
        {"SET search_path = role", TRACE_NOTHING},
        {"SET SESSION lock_timeout = 1", TRACE_NOTHING},
        {"DISCARD TEMP", TRACE_NOTHING},
        {"SELECT 'RESET ROLE'", TRACE_NOTHING},
        {"CREATE ROLE role", TRACE_NOTHING},
        {"ALTER ROLE x RESET ALL", TRACE_NOTHING},
        {"", TRACE_NOTHING},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct statement statement = saying(cases[i].text);
        if (trace_session(&statement) != cases[i].trace)
            fail_msg("%s", cases[i].text);
    }
}

static size_t lost(const char *const *texts, size_t count, size_t done, struct view *ret_table) {
    struct statement statements[8];
    const struct statement *pointers[8];
    for (size_t i = 0; i < count; i++) {
        statements[i] = saying(texts[i]);
        pointers[i] = &statements[i];
    }
    return trace_lost(pointers, done, count, ret_table);
}

static void a_temporary_table_that_is_needed_later_is_lost(void **state) {
    (void)state;
    const char *makers[] = {"CREATE TEMP TABLE work (x int)",
                            "create temporary table if not exists Work as select 1",
                            "CREATE LOCAL TEMP TABLE pg_temp.\"work\" (x int)",
                            "SELECT 1 AS x INTO TEMP TABLE work",
                            "WITH a AS (SELECT 1) SELECT * INTO TEMPORARY work FROM a",
                            "CREATE OR REPLACE TEMP VIEW work AS SELECT 1"};
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
        const char *texts[] = {makers[i], "VACUUM a", "SELECT 1", "INSERT INTO a SELECT x FROM WORK"};
        struct view table = {0};
        assert_int_equal(lost(texts, 4, 2, &table), 4);
        assert_int_equal(table.length, 4);
        assert_int_equal(lost(texts, 4, 0, &table), 0);
        assert_int_equal(lost(texts, 3, 2, &table), 0);
    }
}

static void a_table_that_was_dropped_is_made_again_or_lasts_is_not_lost(void **state) {
    (void)state;
    struct view table = {0};
    const char *dropped[] = {"CREATE TEMP TABLE w (x int)", "DROP TABLE w", "SELECT 1 FROM w"};
    assert_int_equal(lost(dropped, 3, 2, &table), 0);
    const char *again[] = {"CREATE TEMP TABLE w (x int)", "CREATE TEMP TABLE w (x int)", "SELECT 1 FROM w"};
    assert_int_equal(lost(again, 3, 1, &table), 0);
    const char *lasts[] = {"CREATE TABLE w (x int)", "CREATE TABLE temp (x int)", "SELECT 1 FROM w, temp"};
    assert_int_equal(lost(lasts, 3, 2, &table), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_outlives_its_transaction_is_seen),
        cmocka_unit_test(who_a_file_becomes_is_seen),
        cmocka_unit_test(a_temporary_table_that_is_needed_later_is_lost),
        cmocka_unit_test(a_table_that_was_dropped_is_made_again_or_lasts_is_not_lost),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
