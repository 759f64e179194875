// Cache-Control and Age: what they say, and what only looks like it.
#include "auth/freshness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct freshness_case {
    const char *cache_control, *age;
    unsigned seconds;
};

static void expect_all(const struct freshness_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        unsigned seconds = freshness_seconds(view_of(cases[i].cache_control), view_of(cases[i].age));
        if (seconds != cases[i].seconds)
            fail_msg("\"%s\" with age \"%s\" gives %u s, not %u", cases[i].cache_control, cases[i].age, seconds,
                     cases[i].seconds);
    }
}
#define EXPECT_ALL(cases) expect_all((cases), sizeof(cases) / sizeof((cases)[0]))

static void max_age_is_found_among_other_directives(void **state) {
    (void)state;
    static const struct freshness_case cases[] = {
        {"max-age=3600", "", 3600},
        {"public, max-age=19302, must-revalidate, no-transform", "", 19302},
        {"MAX-AGE=3600", "", 3600},
        {"Public,Max-Age=3600", "", 3600},
        {"  max-age=3600  ", "", 3600},
        {"\tpublic\t,\tmax-age=3600\t", "", 3600},
        {",,max-age=3600,,", "", 3600},
        {"ext=\"a, b\", max-age=3600", "", 3600},
        {"ext=\"a\\\"b, max-age=99\", max-age=3600", "", 3600},
        {"max-age=0003600", "", 3600},
    };
    EXPECT_ALL(cases);
}

static void age_is_subtracted(void **state) {
    (void)state;
    static const struct freshness_case cases[] = {
        {"max-age=3600", "600", 3000},
        {"max-age=3600", "0", 3600},
        {"max-age=3600", " 600 ", 3000},
        {"max-age=3600", "3600", 60},
        {"max-age=3600", "99999", 60},
        {"max-age=3600", "99999999999999999999999", 60},
        {"", "100", 200},
        {"max-age=100000", "1000", 86400},
    };
    EXPECT_ALL(cases);
}

static void the_result_is_clamped(void **state) {
    (void)state;
    static const struct freshness_case cases[] = {
        {"max-age=0", "", 60},
        {"max-age=59", "", 60},
        {"max-age=61", "", 61},
        {"max-age=86399", "", 86399},
        {"max-age=86401", "", 86400},
        {"max-age=4294967296", "", 86400},
        {"max-age=18446744073709551616", "", 86400},
        {"max-age=99999999999999999999999999999999999999", "", 86400},
    };
    EXPECT_ALL(cases);
}

static void silence_means_five_minutes(void **state) {
    (void)state;
    static const struct freshness_case cases[] = {
        {"", "", 300},  {"public", "", 300}, {"must-revalidate, no-transform", "", 300},
        {",", "", 300}, {"   ", "", 300},
    };
    EXPECT_ALL(cases);
    assert_int_equal(freshness_seconds((struct view){0}, (struct view){0}), 300);
}

static void what_only_looks_like_max_age_is_not(void **state) {
    (void)state;
    static const struct freshness_case cases[] = {
        {"x-max-age=9999", "", 300},
        {"s-maxage=9999", "", 300},
        {"max-ages=9999", "", 300},
        {"max-age-x=9999", "", 300},
        {"private=\"max-age=9999\"", "", 300},
        {"ext=max-age", "", 300},
        {"xmax-age=9999, public", "", 300},
        {"stale-while-revalidate=9999", "", 300},
    };
    EXPECT_ALL(cases);
}

static void what_cannot_be_understood_is_stale(void **state) {
    (void)state;
    static const struct freshness_case cases[] = {
        {"max-age", "", 60},
        {"max-age=", "", 60},
        {"max-age=-1", "", 60},
        {"max-age=+3600", "", 60},
        {"max-age=36e2", "", 60},
        {"max-age=3600s", "", 60},
        {"max-age=1.5", "", 60},
        {"max-age=0x7fff", "", 60},
        {"max-age=\"3600\"", "", 60},
        {"max-age =3600", "", 60},
        {"max-age= 3600", "", 60},
        {"max-age=3600 x", "", 60},
        {"max-age:3600", "", 60},
        {"max-age=3600;x", "", 60},
        {"=3600", "", 60},
        {"private=\"max-age=9", "", 60},
        {"ext=\"\\", "", 60},
        {"max-age=3600,\"", "", 60},
        {"max-age=\xd9\xa3", "", 60},
        {"max-age=3600", "-1", 60},
        {"max-age=3600", "x", 60},
        {"max-age=3600", "1, 2", 60},
        {"max-age=3600", "1.5", 60},
    };
    EXPECT_ALL(cases);
}

static void a_server_that_forbids_keeping_gets_the_minimum(void **state) {
    (void)state;
    static const struct freshness_case cases[] = {
        {"no-store", "", 60},
        {"max-age=3600, no-store", "", 60},
        {"No-Cache", "", 60},
        {"no-cache=\"x\", max-age=3600", "", 60},
    };
    EXPECT_ALL(cases);
}

static void of_two_max_ages_the_smaller_holds(void **state) {
    (void)state;
    static const struct freshness_case cases[] = {
        {"max-age=3600, max-age=600", "", 600},
        {"max-age=600, max-age=3600", "", 600},
        {"max-age=600, max-age=x", "", 60},
    };
    EXPECT_ALL(cases);
}

static void a_nul_byte_ends_nothing(void **state) {
    (void)state;
    assert_int_equal(freshness_seconds(VIEW("max-age=3600\0, x"), VIEW("")), 60);
    assert_int_equal(freshness_seconds(VIEW("max-age=3600"), VIEW("1\0")), 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(max_age_is_found_among_other_directives),
        cmocka_unit_test(age_is_subtracted),
        cmocka_unit_test(the_result_is_clamped),
        cmocka_unit_test(silence_means_five_minutes),
        cmocka_unit_test(what_only_looks_like_max_age_is_not),
        cmocka_unit_test(what_cannot_be_understood_is_stale),
        cmocka_unit_test(a_server_that_forbids_keeping_gets_the_minimum),
        cmocka_unit_test(of_two_max_ages_the_smaller_holds),
        cmocka_unit_test(a_nul_byte_ends_nothing),
    };
    return cmocka_run_group_tests_name("freshness", tests, NULL, NULL);
}
