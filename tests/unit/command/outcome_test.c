// What a worker says about a run: which states are an end, and that nothing of it breaks out of a table.
#include "command/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool read_text(const char *text, struct arena *arena, struct outcome *ret_outcome) {
    cleanup_json struct json *json = NULL;
    struct error err = {0};
    assert_true(json_parse(view_of(text), &json, &err));
    return outcome_read(json, arena, ret_outcome, &err);
}

static void expect(const char *text, bool final, bool failure, const char *summary) {
    cleanup_arena struct arena *arena = arena_new();
    cleanup_text struct text out = TEXT(4096);
    struct outcome outcome;
    assert_true(read_text(text, arena, &outcome));
    assert_int_equal(outcome_is_final(&outcome), final);
    assert_int_equal(outcome_is_failure(&outcome), failure);
    outcome_summary(&outcome, &out);
    assert_string_equal(text_string(&out), summary);
}

static void what_goes_on_is_no_end(void **state) {
    (void)state;
    expect("{\"state\":\"waiting\"}", false, false, "waiting");
    expect("{\"state\":\"running\",\"file\":\"a.sql\"}", false, false, "running");
    expect("{\"state\":\"retry\",\"error\":\"LOCK_HELD\",\"message\":\"held\"}", false, false, "retry");
}

static void each_good_end_has_its_words(void **state) {
    (void)state;
    expect("{\"state\":\"applied\",\"ms\":42,\"version\":\"7\",\"migrations\":[{\"file\":\"a.sql\"},{\"file\":\"b."
           "sql\"}]}",
           true, false, "applied 2 migrations in 42 ms; the database is at version 7");
    expect("{\"state\":\"applied\",\"migrations\":[{\"file\":\"a.sql\"}]}", true, false, "applied 1 migration");
    expect("{\"state\":\"nothing_pending\",\"version\":\"7\",\"served_by\":\"abc\"}", true, false,
           "nothing pending; the database is at version 7; served by release abc");
    expect("{\"state\":\"superseded\",\"version\":null}", true, false,
           "nothing pending: the database is ahead of these files");
    expect("{\"state\":\"planned\",\"migrations\":[]}", true, false, "0 migrations pending");
    expect("{\"state\":\"rolled_back\",\"version\":\"2\"}", true, false, "rolled back; the database is at version 2");
    expect("{\"state\":\"mended\"}", true, false, "mended"); // of a newer worker
}

static void what_the_worker_leaves_out_is_worked_out(void **state) {
    (void)state;
    expect("{\"state\":\"applied\",\"started_at\":\"2026-11-22T14:46:37.254Z\",\"finished_at\":\"2026-11-22T14:46:38."
           "300Z\",\"migrations\":["
           "{\"version\":\"1\",\"file\":\"a.sql\"},{\"version\":\"12\",\"file\":\"b.sql\"},{\"version\":null,\"file\":"
           "\"repeat_c.sql\"}]}",
           true, false, "applied 3 migrations in 1046 ms; the database is at version 12");
    expect("{\"state\":\"applied\",\"started_at\":\"soon\",\"finished_at\":\"2026-11-22T14:46:38.300Z\",\"migrations\":"
           "[]}",
           true, false, "applied 0 migrations");
    expect("{\"state\":\"planned\",\"pending\":4,\"migrations\":[]}", true, false, "4 migrations pending");
    cleanup_arena struct arena *arena = arena_new();
    struct outcome outcome;
    assert_true(read_text("{\"state\":\"failed\",\"error\":\"LOCK_LOST\",\"progress\":\"pawl 42 2/5 a b.sql\"}", arena,
                          &outcome));
    assert_string_equal(outcome.remedy, error_remedy(ERROR_LOCK_LOST));
    assert_string_equal(outcome.progress, "2/5 a b.sql");
    assert_true(
        read_text("{\"state\":\"failed\",\"error\":\"OF_A_NEWER_WORKER\",\"progress\":\"pawl \"}", arena, &outcome));
    assert_string_equal(outcome.remedy, "");
}

static void a_failure_is_one_whatever_it_is_called(void **state) {
    (void)state;
    expect("{\"state\":\"failed\",\"error\":\"MIGRATION_FAILED\",\"message\":\"no such table\"}", true, true,
           "failed: no such table");
    expect("{\"state\":\"failed\",\"error\":\"MIGRATION_FAILED\"}", true, true, "failed: MIGRATION_FAILED");
    expect("{\"state\":\"exploded\",\"error\":\"NEW\",\"message\":\"m\"}", true, true, "failed: m");
}

static void an_answer_without_a_state_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{}", "[]", "1", "{\"state\":\"\"}", "{\"state\":1}", "{\"status\":\"applied\"}"};
    cleanup_arena struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct outcome outcome;
        assert_false(read_text(texts[i], arena, &outcome));
    }
}

static void members_of_another_type_count_as_not_said(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct outcome outcome;
    assert_true(read_text(
        "{\"state\":\"failed\",\"line\":\"4\",\"statement\":-1,\"message\":7,\"migrations\":[1,{\"file\":2}]}", arena,
        &outcome));
    assert_int_equal(outcome.line, 0);
    assert_int_equal(outcome.statement, 0);
    assert_string_equal(outcome.message, "");
    assert_int_equal(outcome.count, 2);
    assert_string_equal(outcome.items[1].file, "");
}

static void a_failure_in_markdown_says_where_and_what_to_do(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    cleanup_text struct text out = TEXT(65536);
    struct outcome outcome;
    assert_true(read_text("{\"state\":\"failed\",\"target\":\"main\",\"error\":\"MIGRATION_FAILED\",\"message\":\"no "
                          "table\",\"file\":\"3.sql\","
                          "\"line\":4,\"statement\":2,\"statements\":5,\"sqlstate\":\"42P01\",\"remedy\":\"Mend it.\"}",
                          arena, &outcome));
    outcome_markdown(&outcome, "99", "", &out);
    assert_string_equal(text_string(&out),
                        "### pawl: failed: no table\n\n| | |\n| --- | --- |\n| target | main |\n| message | 99 |\n"
                        "| at | 3.sql, line 4, statement 2 of 5 |\n| code | MIGRATION\\_FAILED |\n"
                        "| SQLSTATE | 42P01 |\n| to do | Mend it. |\n\n");
}

static void nothing_breaks_out_of_the_markdown(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    cleanup_text struct text out = TEXT(65536);
    struct outcome outcome;
    assert_true(read_text(
        "{\"state\":\"applied\",\"target\":\"<img src=x>|`a`\",\"migrations\":[{\"file\":\"a|b\\n| [x](y) |.sql\"}]}",
        arena, &outcome));
    outcome_markdown(&outcome, "1 |\n# 2", "", &out);
    assert_non_null(strstr(text_string(&out), "| target | &lt;img src=x\\>\\|\\`a\\` |\n"));
    assert_non_null(strstr(text_string(&out), "| message | 1 \\| \\# 2 |\n"));
    assert_non_null(strstr(text_string(&out), "| a\\|b \\| \\[x\\]\\(y\\) \\|.sql | 0 | 0 |\n"));
}

static void a_run_that_did_not_end_is_noted(void **state) {
    (void)state;
    cleanup_text struct text out = TEXT(65536);
    outcome_markdown(&outcome_unknown, "1", "the run has not ended after 5 s", &out);
    assert_non_null(strstr(text_string(&out), "### pawl: the run has not ended after 5 s\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_on_is_no_end),
        cmocka_unit_test(each_good_end_has_its_words),
        cmocka_unit_test(what_the_worker_leaves_out_is_worked_out),
        cmocka_unit_test(a_failure_is_one_whatever_it_is_called),
        cmocka_unit_test(an_answer_without_a_state_is_refused),
        cmocka_unit_test(members_of_another_type_count_as_not_said),
        cmocka_unit_test(a_failure_in_markdown_says_where_and_what_to_do),
        cmocka_unit_test(nothing_breaks_out_of_the_markdown),
        cmocka_unit_test(a_run_that_did_not_end_is_noted),
    };
    return cmocka_run_group_tests_name("command/outcome", tests, NULL, NULL);
}
