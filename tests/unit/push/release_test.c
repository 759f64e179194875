// Which deploy's messages these files may serve.
#include "push/release.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct release here = {.name = "b2", .built_ms = 1000};

static void the_same_release_is_served(void **state) {
    (void)state;
    struct error err = {0};
    bool older = true;
    assert_true(release_check("b2", 5000, &here, &older, &err));
    assert_false(older);
}

static void a_message_without_a_release_is_served(void **state) {
    (void)state;
    struct error err = {0};
    bool older = true;
    assert_true(release_check(NULL, 5000, &here, &older, &err));
    assert_false(older);
}

static void a_message_that_outran_the_roll_out_waits(void **state) {
    (void)state;
    struct error err = {0};
    bool older = false;
    assert_false(release_check("c3", 1001, &here, &older, &err));
    assert_int_equal(err.code, ERROR_RELEASE_NOT_HERE);
    assert_non_null(strstr(err.message, "'c3'"));
    assert_non_null(strstr(err.message, "'b2'"));
    assert_false(older);
}

static void an_older_deploys_message_is_served_and_said_so(void **state) {
    (void)state;
    struct error err = {0};
    bool older = false;
    assert_true(release_check("a1", 1000, &here, &older, &err));
    assert_true(older);
}

static void without_a_build_time_nothing_waits(void **state) {
    (void)state;
    struct error err = {0};
    struct release unknown = {.name = "b2"};
    bool older = false;
    assert_true(release_check("c3", 5000, &unknown, &older, &err));
    assert_true(older);
}

static void without_a_release_of_our_own_nothing_waits(void **state) {
    (void)state;
    struct error err = {0};
    struct release unknown = {.built_ms = 1000};
    bool older = true;
    assert_true(release_check("c3", 5000, &unknown, &older, &err));
    assert_false(older);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_release_is_served),
        cmocka_unit_test(a_message_without_a_release_is_served),
        cmocka_unit_test(a_message_that_outran_the_roll_out_waits),
        cmocka_unit_test(an_older_deploys_message_is_served_and_said_so),
        cmocka_unit_test(without_a_build_time_nothing_waits),
        cmocka_unit_test(without_a_release_of_our_own_nothing_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
