// The table of options as flags, variables, help and README.
#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const variables[] = {"DATABASE_URL",   "PAWL_MIGRATIONS", "PAWL_TARGET",     "PAWL_DATABASE_IAM",
                                        "PAWL_AUDIENCE",  "PAWL_CALLERS",    "PAWL_CLOCK_SKEW", "PORT",
                                        "PAWL_LOCK_WAIT", "PAWL_LOG_FORMAT"};

static int fresh(void **state) {
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        (void)unsetenv(variables[i]);
    *state = arena_new();
    return 0;
}

static int done(void **state) {
    arena_free(*state);
    return 0;
}

static bool read_words(void **state, unsigned command, const char *words, struct options *options, struct error *err) {
    char *arguments[16] = {NULL}, *copy = arena_string(*state, words), *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(copy, " ", &rest); word && count < 15; word = strtok_r(NULL, " ", &rest))
        arguments[count++] = word;
    return options_read(command, arguments, *state, options, err);
}

static void refuses(void **state, unsigned command, const char *words, enum error_code code, const char *names) {
    struct options options;
    struct error err = {0};
    assert_false(read_words(state, command, words, &options, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.message, names))
        fail_msg("'%s' does not name %s", err.message, names);
}

static void defaults_hold_when_nothing_is_said(void **state) {
    struct options options;
    struct error err = {0};
    assert_true(read_words(state, COMMAND_SERVE, "", &options, &err));
    assert_int_equal(options.port, 8080);
    assert_int_equal(options.clock_skew, 60000);
    assert_int_equal(options.serve_lock_wait, 8000);
    assert_string_equal(options.migrations, "migrations");
    assert_null(options.audiences);
    assert_null(options.database_url);
}

static void a_flag_wins_over_its_variable(void **state) {
    struct options options;
    struct error err = {0};
    assert_int_equal(setenv("PORT", "1234", 1), 0);
    assert_true(read_words(state, COMMAND_SERVE, "", &options, &err));
    assert_int_equal(options.port, 1234);
    assert_true(read_words(state, COMMAND_SERVE, "--port 4321", &options, &err));
    assert_int_equal(options.port, 4321);
    assert_true(read_words(state, COMMAND_SERVE, "--port=5", &options, &err));
    assert_int_equal(options.port, 5);
}

static void an_empty_variable_counts_as_unset(void **state) {
    struct options options;
    struct error err = {0};
    assert_int_equal(setenv("PORT", "", 1), 0);
    assert_true(read_words(state, COMMAND_SERVE, "", &options, &err));
    assert_int_equal(options.port, 8080);
}

static void lists_are_cut_at_commas_and_trimmed(void **state) {
    struct options options;
    struct error err = {0};
    assert_int_equal(setenv("PAWL_CALLERS", "a@x, b@x", 1), 0);
    assert_true(read_words(state, COMMAND_SERVE, "", &options, &err));
    assert_string_equal(options.callers[0], "a@x");
    assert_string_equal(options.callers[1], "b@x");
    assert_null(options.callers[2]);
}

static void operands_are_what_is_left(void **state) {
    struct options options;
    struct error err = {0};
    assert_true(read_words(state, COMMAND_NEW, "one --json two -- --json", &options, &err));
    assert_true(options.json);
    assert_int_equal(options.operand_count, 3);
    assert_string_equal(options.operands[2], "--json");
}

static void help_needs_nothing_else_to_be_right(void **state) {
    struct options options;
    struct error err = {0};
    assert_true(read_words(state, COMMAND_SERVE, "--nonsense --help", &options, &err));
    assert_true(options.help);
}

static void a_flag_of_many_adds_each_time(void **state) {
    struct options options;
    struct error err = {0};
    assert_true(read_words(state, COMMAND_PUBLISH, "--attribute a=1 --json --attribute=b=2,3", &options, &err));
    assert_string_equal(options.attributes[0], "a=1");
    assert_string_equal(options.attributes[1], "b=2,3");
    assert_null(options.attributes[2]);
    assert_true(read_words(state, COMMAND_PUBLISH, "", &options, &err));
    assert_null(options.attributes);
}

static void an_optional_duration_has_its_default_only_when_the_flag_is_there(void **state) {
    struct options options;
    struct error err = {0};
    assert_true(read_words(state, COMMAND_PUBLISH, "", &options, &err));
    assert_int_equal(options.wait, 0);
    assert_true(read_words(state, COMMAND_PUBLISH, "--wait --json", &options, &err));
    assert_int_equal(options.wait, 600000);
    assert_true(options.json);
    assert_true(read_words(state, COMMAND_PUBLISH, "--wait=90", &options, &err));
    assert_int_equal(options.wait, 90000);
    refuses(state, COMMAND_PUBLISH, "--wait=", ERROR_USAGE, "--wait");
    refuses(state, COMMAND_PUBLISH, "--wait=soon", ERROR_USAGE, "--wait");
    refuses(state, COMMAND_PUBLISH, "--wait=0", ERROR_USAGE, "--wait");
}

static void what_is_wrong_is_named(void **state) {
    refuses(state, COMMAND_SERVE, "--nonsense", ERROR_USAGE, "--nonsense");
    refuses(state, COMMAND_SERVE, "--port", ERROR_USAGE, "--port");
    refuses(state, COMMAND_SERVE, "--port --address", ERROR_USAGE, "--port");
    refuses(state, COMMAND_SERVE, "--port 65536", ERROR_USAGE, "--port");
    refuses(state, COMMAND_SERVE, "--port 80x", ERROR_USAGE, "--port");
    refuses(state, COMMAND_SERVE, "--port -1", ERROR_USAGE, "--port");
    refuses(state, COMMAND_SERVE, "--clock-skew 301s", ERROR_USAGE, "--clock-skew");
    refuses(state, COMMAND_SERVE, "--log-format xml", ERROR_USAGE, "auto|json|text");
    refuses(state, COMMAND_SERVE, "--log-format jso", ERROR_USAGE, "--log-format");
    refuses(state, COMMAND_SERVE, "--audience a,,b", ERROR_USAGE, "--audience");
    refuses(state, COMMAND_SERVE, "--json", ERROR_USAGE, "--json");
    refuses(state, COMMAND_STATUS, "--json=yes", ERROR_USAGE, "--json");
    refuses(state, COMMAND_STATUS, "--port 1", ERROR_USAGE, "--port");
    assert_int_equal(setenv("PAWL_CLOCK_SKEW", "soon", 1), 0);
    refuses(state, COMMAND_SERVE, "", ERROR_CONFIGURATION, "PAWL_CLOCK_SKEW");
}

static void a_switch_is_its_flag_or_a_variable_that_says_true(void **state) {
    struct options options;
    struct error err = {0};
    assert_true(read_words(state, COMMAND_SERVE, "--database-iam", &options, &err));
    assert_true(options.database_iam);
    assert_int_equal(setenv("PAWL_DATABASE_IAM", "false", 1), 0);
    assert_true(read_words(state, COMMAND_SERVE, "", &options, &err));
    assert_false(options.database_iam);
    assert_int_equal(setenv("PAWL_DATABASE_IAM", "true", 1), 0);
    assert_true(read_words(state, COMMAND_SERVE, "", &options, &err));
    assert_true(options.database_iam);
    static const char *const wrong[] = {"1", "yes", "TRUE", "true|false", "tru"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(setenv("PAWL_DATABASE_IAM", wrong[i], 1), 0);
        refuses(state, COMMAND_SERVE, "", ERROR_CONFIGURATION, "must be true or false");
    }
}

static void the_database_has_no_flag_and_is_never_shown(void **state) {
    struct options options;
    struct error err = {0};
    struct text out cleanup_text = TEXT(8192);
    assert_int_equal(setenv("DATABASE_URL", "postgresql://u:hunter2@h/d", 1), 0);
    refuses(state, COMMAND_MIGRATE, "--database-url x", ERROR_USAGE, "--database-url");
    assert_true(read_words(state, COMMAND_SERVE, "", &options, &err));
    assert_string_equal(options.database_url, "postgresql://u:hunter2@h/d");
    options_describe(COMMAND_SERVE, &options, &out);
    assert_non_null(strstr(text_string(&out), "DATABASE_URL=***"));
    assert_null(strstr(text_string(&out), "hunter2"));
}

static void help_and_table_hold_every_row(void **state) {
    (void)state;
    struct text help cleanup_text = TEXT(16384), table cleanup_text = TEXT(65536);
    options_help(COMMAND_SERVE, &help);
    options_table(&table);
    assert_false(help.full);
    assert_false(table.full);
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        assert_non_null(strstr(text_string(&help), variables[i]));
        assert_non_null(strstr(text_string(&table), variables[i]));
    }
    assert_non_null(strstr(text_string(&table), "auto\\|json\\|text"));
}

static void help_begins_with_what_only_a_flag_says(void **state) {
    (void)state;
    struct text help cleanup_text = TEXT(16384);
    options_help(COMMAND_REPLAY, &help);
    assert_non_null(strstr(text_string(&help), "  --drop "));
    assert_non_null(strstr(strstr(text_string(&help), "  --drop "), "  --topic "));
    assert_non_null(strstr(strstr(text_string(&help), "  --json "), "  --project "));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_hold_when_nothing_is_said, fresh, done),
        cmocka_unit_test_setup_teardown(a_flag_wins_over_its_variable, fresh, done),
        cmocka_unit_test_setup_teardown(an_empty_variable_counts_as_unset, fresh, done),
        cmocka_unit_test_setup_teardown(lists_are_cut_at_commas_and_trimmed, fresh, done),
        cmocka_unit_test_setup_teardown(operands_are_what_is_left, fresh, done),
        cmocka_unit_test_setup_teardown(help_needs_nothing_else_to_be_right, fresh, done),
        cmocka_unit_test_setup_teardown(a_flag_of_many_adds_each_time, fresh, done),
        cmocka_unit_test_setup_teardown(an_optional_duration_has_its_default_only_when_the_flag_is_there, fresh, done),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_named, fresh, done),
        cmocka_unit_test_setup_teardown(a_switch_is_its_flag_or_a_variable_that_says_true, fresh, done),
        cmocka_unit_test_setup_teardown(the_database_has_no_flag_and_is_never_shown, fresh, done),
        cmocka_unit_test_setup_teardown(help_and_table_hold_every_row, fresh, done),
        cmocka_unit_test_setup_teardown(help_begins_with_what_only_a_flag_says, fresh, done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
