// The error table and the words around a message.
#include "base/error.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void setting_an_error_returns_false_and_replaces_all(void **state) {
    (void)state;
    struct error err = {.line = 7, .file = "a.sql", .sqlstate = "42P01", .detail = "old"};
    assert_false(error_set(&err, ERROR_LOCK_HELD, "held by %d", 42));
    assert_int_equal(err.code, ERROR_LOCK_HELD);
    assert_string_equal(err.message, "held by 42");
    assert_int_equal(err.line, 0);
    assert_string_equal(err.file, "");
    assert_string_equal(err.sqlstate, "");
    assert_string_equal(err.detail, "");
}

static void context_reads_outside_in_and_keeps_the_rest(void **state) {
    (void)state;
    struct error err = {0};
    error_set(&err, ERROR_MIGRATION_FAILED, "relation \"orders\" does not exist");
    err.line = 4;
    assert_false(error_wrap(&err, "line %d", 4));
    assert_false(error_wrap(&err, "cannot apply %s", "0003_index.sql"));
    assert_string_equal(err.message, "cannot apply 0003_index.sql: line 4: relation \"orders\" does not exist");
    assert_int_equal(err.code, ERROR_MIGRATION_FAILED);
    assert_int_equal(err.line, 4);
}

static void a_message_may_be_set_from_itself(void **state) {
    (void)state;
    struct error err = {0};
    error_set(&err, ERROR_REQUEST_MALFORMED, "JSON: nested too deeply");
    error_set(&err, ERROR_ENVELOPE_MALFORMED, "%s", err.message);
    assert_int_equal(err.code, ERROR_ENVELOPE_MALFORMED);
    assert_string_equal(err.message, "JSON: nested too deeply");
    error_wrap(&err, "%s", err.message);
    assert_string_equal(err.message, "JSON: nested too deeply: JSON: nested too deeply");
}

static void a_message_is_one_line_of_utf8(void **state) {
    (void)state;
    struct error err = {0};
    error_set(&err, ERROR_INTERNAL, "a\nb\tc\x1b[31m\x7f%s", "\xff\xc3");
    assert_string_equal(err.message, "a b c [31m ??");
}

static void a_long_message_is_cut_between_characters(void **state) {
    (void)state;
    struct error err = {0};
    char euros[3 * 1000 + 1] = "";
    for (size_t i = 0; i < 1000; i++)
        memcpy(euros + 3 * i, "\xe2\x82\xac", 4);
    error_set(&err, ERROR_INTERNAL, "%s", euros);
    assert_int_equal(strlen(err.message), 1023);
    assert_true(text_is_utf8(view_of(err.message)));
    error_wrap(&err, "%s", euros); // the context alone fills it
    assert_int_equal(strlen(err.message), 1023);
    assert_true(text_is_utf8(view_of(err.message)));
    assert_null(strchr(err.message, '?'));
}

static void the_exit_code_follows_the_class(void **state) {
    (void)state;
    assert_int_equal(error_exit_code(ERROR_NONE), 0);
    assert_int_equal(error_exit_code(ERROR_MIGRATION_FAILED), 1);
    assert_int_equal(error_exit_code(ERROR_TOKEN_EXPIRED), 1);
    assert_int_equal(error_exit_code(ERROR_USAGE), 2);
    assert_int_equal(error_exit_code(ERROR_LOCK_HELD), 3);
}

static void only_success_is_acknowledged_and_every_row_is_complete(void **state) {
    (void)state;
    for (unsigned code = 0; code < ERROR_COUNT; code++) {
        int status = error_http_status(code);
        if (code == ERROR_NONE)
            assert_int_equal(status, 200);
        else
            assert_true(status >= 400 && status <= 505);
        if (error_class(code) == CLASS_RETRY)
            assert_int_equal(status, 503);
        if (error_class(code) == CLASS_REFUSED)
            assert_true(status != 500 && status != 503); // those mean that something was tried
        if (error_class(code) == CLASS_PERMANENT)
            assert_int_equal(status, 500);
        assert_true(strlen(error_name(code)) > 0);
        assert_true(strlen(error_meaning(code)) > 0);
        assert_true(strlen(error_remedy(code)) > 0);
    }
}

static void an_unknown_code_counts_as_our_mistake(void **state) {
    (void)state;
    assert_string_equal(error_name((enum error_code)ERROR_COUNT), "INTERNAL");
    assert_int_equal(error_http_status((enum error_code)100000), 500);
}

static void every_code_is_found_by_its_name(void **state) {
    (void)state;
    for (enum error_code code = ERROR_NONE + 1; code < ERROR_COUNT; code++)
        assert_int_equal(error_by_name(error_name(code)), code);
    assert_int_equal(error_by_name("NO_SUCH_CODE"), ERROR_COUNT);
    assert_int_equal(error_by_name(""), ERROR_COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_is_found_by_its_name),
        cmocka_unit_test(setting_an_error_returns_false_and_replaces_all),
        cmocka_unit_test(context_reads_outside_in_and_keeps_the_rest),
        cmocka_unit_test(a_message_may_be_set_from_itself),
        cmocka_unit_test(a_message_is_one_line_of_utf8),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(the_exit_code_follows_the_class),
        cmocka_unit_test(only_success_is_acknowledged_and_every_row_is_complete),
        cmocka_unit_test(an_unknown_code_counts_as_our_mistake),
    };
    return cmocka_run_group_tests_name("base/error", tests, NULL, NULL);
}
