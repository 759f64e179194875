// Outcomes as JSON and text.
#include "command/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct run_item items[] = {
    {.version = "1", .name = "a", .file = "0001_a.sql", .statements = 2, .ms = 5, .state = "applied"},
    {.version = "totals",
     .name = "totals",
     .file = "repeat_totals.sql",
     .repeatable = true,
     .statements = 1,
     .state = "applied"},
};
static const struct run_request request = {.id = "77", .target = "default", .release = "abc"};

static void a_run_is_one_object(void **state) {
    (void)state;
    struct run_report report = {
        .state = "applied", .items = items, .count = 2, .version = "1", .ms = 9, .round_trips = 3};
    struct text out cleanup_text = TEXT(4096);
    report_json(&request, &report, "def", &out);
    assert_string_equal(
        text_string(&out),
        "{\"status\":\"applied\",\"run\":\"77\",\"target\":\"default\",\"release\":\"abc\",\"served_by\":\"def\","
        "\"applied\":2,\"version\":\"1\",\"migrations\":[{\"version\":\"1\",\"name\":\"a\",\"file\":\"0001_a.sql\","
        "\"statements\":2,\"ms\":5},{\"name\":\"totals\",\"file\":\"repeat_totals.sql\",\"statements\":1,\"ms\":0}],"
        "\"ms\":9,\"round_trips\":3}");
}

static void an_empty_database_has_no_version(void **state) {
    (void)state;
    struct run_report report = {.state = "planned"};
    struct text out cleanup_text = TEXT(4096);
    report_json(&request, &report, NULL, &out);
    assert_non_null(strstr(text_string(&out), "\"pending\":0,\"version\":null,\"migrations\":[]"));
    assert_null(strstr(text_string(&out), "served_by"));
}

static void what_does_not_fit_is_left_out_and_counted(void **state) {
    (void)state;
    static struct run_item many[100];
    for (size_t i = 0; i < 100; i++)
        many[i] = (struct run_item){.version = "1", .name = "a", .file = "0001_a.sql", .state = "applied"};
    struct run_report report = {.state = "applied", .items = many, .count = 100, .version = "1"};
    struct text out cleanup_text = TEXT(4096);
    report_json(&request, &report, NULL, &out);
    assert_false(out.full);
    struct json *json cleanup_json = NULL;
    struct error err = {0};
    int64_t left_out = 0, applied = 0;
    assert_true(json_parse((struct view){text_string(&out), out.length}, &json, &err));
    assert_true(json_integer(json_get(json, "left_out"), 1, 99, &left_out));
    assert_true(json_integer(json_get(json, "applied"), 100, 100, &applied));
    int64_t listed = 0;
    for (const struct json *item = json_first(json_get(json, "migrations")); item; item = json_next(item))
        listed++;
    assert_int_equal(listed + left_out, 100);
}

static void a_failure_says_where_and_what_to_do(void **state) {
    (void)state;
    struct error err = {0};
    error_set(&err, ERROR_MIGRATION_FAILED, "0002_b.sql: no such \"thing\"");
    text_copy(err.file, sizeof(err.file), VIEW("0002_b.sql"));
    text_copy(err.sqlstate, sizeof(err.sqlstate), VIEW("42703"));
    err.line = 4;
    err.statement = 2;
    err.statements = 3;
    struct text out cleanup_text = TEXT(8192);
    report_error_json(&request, &err, NULL, &out);
    assert_non_null(strstr(text_string(&out), "{\"status\":\"failed\",\"run\":\"77\""));
    assert_non_null(
        strstr(text_string(&out),
               "\"error\":\"MIGRATION_FAILED\",\"message\":\"0002_b.sql: no such \\\"thing\\\"\","
               "\"file\":\"0002_b.sql\",\"line\":4,\"statement\":2,\"statements\":3,\"sqlstate\":\"42703\""));
    assert_non_null(strstr(text_string(&out), "\"remedy\":"));
}

static void what_may_pass_is_called_retry(void **state) {
    (void)state;
    struct error err = {0};
    error_set(&err, ERROR_LOCK_HELD, "held");
    struct text out cleanup_text = TEXT(8192);
    report_error_json(NULL, &err, NULL, &out);
    assert_non_null(strstr(text_string(&out), "{\"status\":\"retry\",\"error\":\"LOCK_HELD\""));
    assert_null(strstr(text_string(&out), "\"line\""));
}

static void every_error_is_in_the_table(void **state) {
    (void)state;
    struct text out cleanup_text = TEXT(65536);
    report_error_table(&out);
    assert_false(out.full);
    for (enum error_code code = ERROR_NONE + 1; code < ERROR_COUNT; code++) {
        char cell[80];
        (void)snprintf(cell, sizeof(cell), "| `%s` |", error_name(code));
        assert_non_null(strstr(text_string(&out), cell));
    }
}

static void a_summary_counts(void **state) {
    (void)state;
    struct text out cleanup_text = TEXT(512);
    struct run_report report = {.state = "applied", .count = 1, .version = "7", .ms = 3};
    report_summary(&report, &out);
    assert_string_equal(text_string(&out), "applied 1 migration in 3 ms; the database is at version 7");
    text_clear(&out);
    report = (struct run_report){.state = "planned", .count = 2};
    report_summary(&report, &out);
    assert_string_equal(text_string(&out), "2 migrations pending");
    text_clear(&out);
    report = (struct run_report){.state = "planned", .version = "7"};
    report_summary(&report, &out);
    assert_string_equal(text_string(&out), "nothing pending; the database is at version 7");
}

static void a_time_is_told_in_the_unit_that_people_use(void **state) {
    (void)state;
    assert_string_equal(report_time(0).text, "0 ms");
    assert_string_equal(report_time(9999).text, "9999 ms");
    assert_string_equal(report_time(12449).text, "12.4 s");
    assert_string_equal(report_time(200000).text, "3 min 20 s");
}

static void waiting_is_told_ever_more_rarely(void **state) {
    (void)state;
    uint64_t told = 0;
    unsigned lines = 0;
    assert_true(report_wait_due(3, &told));
    for (uint64_t ms = 1000; ms <= 600000; ms += 1000)
        lines += report_wait_due(ms, &told);
    assert_int_equal(lines, 6); // after 10, 20, 40, 80, 160 and 320 s
}

static void each_long_statement_is_told_anew(void **state) {
    (void)state;
    struct report_pace pace = {0};
    assert_true(report_watch_due(3000, &pace));
    assert_false(report_watch_due(5000, &pace));
    assert_false(report_watch_due(9000, &pace));
    assert_true(report_watch_due(11000, &pace));
    assert_true(report_watch_due(3000, &pace)); // the next one
    assert_false(report_watch_due(5000, &pace));
}

static void a_code_is_explained(void **state) {
    (void)state;
    struct text out cleanup_text = TEXT(1024);
    report_error_help(ERROR_LOCK_HELD, &out);
    assert_non_null(strstr(text_string(&out), "LOCK_HELD: "));
    assert_non_null(strstr(text_string(&out), "class:  retry; HTTP 503, exit code 3"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_one_object),
        cmocka_unit_test(an_empty_database_has_no_version),
        cmocka_unit_test(what_does_not_fit_is_left_out_and_counted),
        cmocka_unit_test(a_failure_says_where_and_what_to_do),
        cmocka_unit_test(what_may_pass_is_called_retry),
        cmocka_unit_test(every_error_is_in_the_table),
        cmocka_unit_test(a_summary_counts),
        cmocka_unit_test(a_time_is_told_in_the_unit_that_people_use),
        cmocka_unit_test(waiting_is_told_ever_more_rarely),
        cmocka_unit_test(each_long_statement_is_told_anew),
        cmocka_unit_test(a_code_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
