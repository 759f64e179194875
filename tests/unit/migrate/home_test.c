// Which names the ledger's schema and the target's role may have.
#include "migrate/home.h"

// cmocka.h needs these three before it.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIXTY_THREE "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff_63"

typedef bool checker(const char *name, struct error *err);

static void must_take(checker *check, const char *name) {
    struct error err = {0};
    if (!check(name, &err))
        fail_msg("%s: %s", name, err.message);
}

static void must_refuse(checker *check, const char *name, const char *why) {
    struct error err = {0};
    if (check(name, &err))
        fail_msg("'%s' was taken", name);
    assert_int_equal(err.code, ERROR_CONFIGURATION);
    if (!strstr(err.message, why))
        fail_msg("'%s': \"%s\" does not say \"%s\"", name, err.message, why);
}

static void a_schema_has_a_plain_name(void **state) {
    (void)state;
    static const char *const names[] = {"pawl", "ledger_two", "_", "a1", "pgledger", "user", "select", SIXTY_THREE};
    for (size_t i = 0; i < COUNT(names); i++)
        must_take(home_check_schema, names[i]);
}

static void what_would_need_quoting_is_no_schemas_name(void **state) {
    (void)state;
    static const char *const names[] = {"",    "Pawl", "1a",        "a-b",  "a b",  "a.b",       "a\"b",         "a'b",
                                        "a;b", "a$b",  "{ledger}",  "a\nb", "a\\b", "a/*b",      "\xc3\xa4",     " a",
                                        "a ",  "a,b",  "a\"; DROP", "(a)",  "$1",   "\"$user\"", SIXTY_THREE "4"};
    for (size_t i = 0; i < COUNT(names); i++)
        must_refuse(home_check_schema, names[i], "must be 1 to 63 of a-z, 0-9 and _");
}

static void a_schema_that_is_somebody_elses_is_refused(void **state) {
    (void)state;
    must_refuse(home_check_schema, "pg_", "must not begin with pg_");
    must_refuse(home_check_schema, "pg_catalog", "must not begin with pg_");
    must_refuse(home_check_schema, "pg_toast", "must not begin with pg_");
    must_refuse(home_check_schema, "information_schema", "must not be information_schema");
    must_refuse(home_check_schema, "public", "must not be public");
}

static void a_role_may_have_any_name_that_a_role_can_have(void **state) {
    (void)state;
    static const char *const names[] = {"owner", "Shop's \"owner\"", "a\\b", "a b", "-c", "caf\xc3\xa9", "$1",
                                        "NONE",  SIXTY_THREE};
    for (size_t i = 0; i < COUNT(names); i++)
        must_take(home_check_role, names[i]);
}

static void what_no_role_is_called_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"", "a\nb", "a\tb", "a\x01", "a\x7f", SIXTY_THREE "4"};
    for (size_t i = 0; i < COUNT(names); i++)
        must_refuse(home_check_role, names[i], "must be the name of a role");
    must_refuse(home_check_role, "none", "must not be none");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_has_a_plain_name),
        cmocka_unit_test(what_would_need_quoting_is_no_schemas_name),
        cmocka_unit_test(a_schema_that_is_somebody_elses_is_refused),
        cmocka_unit_test(a_role_may_have_any_name_that_a_role_can_have),
        cmocka_unit_test(what_no_role_is_called_is_refused),
    };
    return cmocka_run_group_tests_name("home", tests, NULL, NULL);
}
