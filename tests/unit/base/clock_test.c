// Time as Google writes it, and the clocks.
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void times_are_read_as_google_writes_them(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-02-26T19:13:55.749Z", 1772133235749},
        {"2021-02-26T19:13:55Z", 1614366835000},
        {"2021-02-26T19:13:55.7Z", 1614366835700},
        {"2021-02-26T19:13:55.749999999Z", 1614366835749},
        {"2000-02-29T23:59:59.999Z", 951868799999},
        {"2022-08-12T15:56:29.732+00:00", 1660319789732},
        {"1969-12-31T23:59:59.999Z", -1},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
        {"0001-01-01T00:00:00Z", -62135596800000},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = 77;
        assert_true(clock_parse(cases[i].text, &ms));
        assert_true(ms == cases[i].ms);
    }
}

static void anything_else_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "now",
        "1614366835",
        "2021-02-26",
        "2021-02-26T19:13:55",
        "2021-02-26T19:13:55+01:00",
        "2021-02-26T19:13:55+00:01",
        "2021-02-26T19:13:55-00:00",
        "2021-02-26T19:13:55+0000",
        "2021-02-26T19:13:55+00:00Z",
        "2021-02-26T19:13:55Z+00:00",
        "2021-02-26t19:13:55z",
        "2021-02-26 19:13:55Z",
        " 2021-02-26T19:13:55Z",
        "2021-02-26T19:13:55Z ",
        "2021-02-26T19:13:55.Z",
        "2021-02-26T19:13:55.1234567890Z",
        "2021-02-26T19:13:55,7Z",
        "2021-02-26T19:13:55.7.8Z",
        "2021-2-26T19:13:55Z",
        "21-02-26T19:13:55Z",
        "12021-02-26T19:13:55Z",
        "-021-02-26T19:13:55Z",
        "2021-00-26T19:13:55Z",
        "2021-13-26T19:13:55Z",
        "2021-02-00T19:13:55Z",
        "2021-02-29T19:13:55Z",
        "1900-02-29T19:13:55Z",
        "2021-04-31T19:13:55Z",
        "2021-02-26T24:00:00Z",
        "2021-02-26T19:60:55Z",
        "2021-02-26T19:13:60Z",
        "2021-02-26T19:13Z",
        "0000-01-01T00:00:00Z",
    };
    int64_t ms = 77;
    assert_false(clock_parse(NULL, &ms));
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (clock_parse(bad[i], &ms))
            fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_int_equal(ms, 77);
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    static const int64_t times[] = {0, 1, -1, 999, 1772133235749, 951868799999, -62135596800000, 253402300799999};
    char text[32];
    for (size_t i = 0; i < COUNT(times); i++) {
        int64_t ms = 77;
        clock_format(times[i], text);
        assert_int_equal(strlen(text), 24);
        assert_true(clock_parse(text, &ms));
        assert_true(ms == times[i]);
    }
    clock_format(1772133235749, text);
    assert_string_equal(text, "2026-02-26T19:13:55.749Z");
}

static void times_outside_the_calendar_stay_inside_the_room(void **state) {
    (void)state;
    char text[32];
    clock_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_format(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void sleeping_moves_the_monotonic_clock(void **state) {
    (void)state;
    uint64_t before = clock_ms();
    clock_sleep_ms(0);
    clock_sleep_ms(15);
    assert_true(clock_ms() >= before + 15);
    assert_true(clock_unix() > 1700000000);
    assert_true(clock_unix_ms() / 1000 >= clock_unix() - 1);
}

static void chance_stays_below_its_bound_and_reaches_all_of_it(void **state) {
    (void)state;
    unsigned seen[5] = {0};
    for (size_t i = 0; i < 1000; i++) {
        uint32_t random = clock_random(COUNT(seen));
        assert_true(random < COUNT(seen));
        seen[random]++;
    }
    for (size_t i = 0; i < COUNT(seen); i++)
        assert_true(seen[i] > 0); // fails by chance once in 10^96
    assert_int_equal(clock_random(0), 0);
    assert_int_equal(clock_random(1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_as_google_writes_them),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(times_outside_the_calendar_stay_inside_the_room),
        cmocka_unit_test(sleeping_moves_the_monotonic_clock),
        cmocka_unit_test(chance_stays_below_its_bound_and_reaches_all_of_it),
    };
    return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
