// What is told of a long statement, in words.
#include "migrate/watch.h"

// cmocka.h needs these three before it.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on

static void expect(struct watch_sight sight, const char *words) {
    cleanup_text struct text out = TEXT(4096);
    watch_words(&sight, &out);
    assert_string_equal(text_string(&out), words);
}

static void a_statement_of_which_nothing_is_known_has_at_least_a_time(void **state) {
    (void)state;
    expect((struct watch_sight){.ms = 3999}, "runs for 3 s");
}

static void progress_is_told_in_its_unit_and_in_percent(void **state) {
    (void)state;
    expect((struct watch_sight){.ms = 12000, .doing = "scanning heap", .unit = "blocks", .done = 1024, .total = 8192},
           "runs for 12 s, scanning heap, 1024 of 8192 blocks (12 %)");
    expect((struct watch_sight){.doing = "a", .unit = "rows", .done = UINT64_MAX - 1, .total = UINT64_MAX},
           "runs for 0 s, a, 18446744073709551614 of 18446744073709551615 rows (100 %)");
}

static void progress_without_an_end_has_no_percent(void **state) {
    (void)state;
    expect((struct watch_sight){.ms = 5000, .doing = "copying", .unit = "rows", .done = 7},
           "runs for 5 s, copying, 7 rows");
    expect((struct watch_sight){.ms = 5000, .doing = "copying", .unit = "rows"}, "runs for 5 s, copying");
}

static void more_done_than_there_is_makes_no_nonsense(void **state) {
    (void)state;
    expect((struct watch_sight){.doing = "a", .unit = "blocks", .done = 9, .total = 8}, "runs for 0 s, a, 9 blocks");
}

static void blockers_and_waiters_are_told(void **state) {
    (void)state;
    expect((struct watch_sight){.ms = 4000, .blockers = "pid 7 psql", .waiting = 1, .wait = "Lock relation"},
           "runs for 4 s; in the way: pid 7 psql; 1 session waits behind it");
    expect((struct watch_sight){.ms = 4000, .waiting = 12}, "runs for 4 s; 12 sessions wait behind it");
}

static void what_the_server_waits_for_is_told_when_nothing_better_is_known(void **state) {
    (void)state;
    expect((struct watch_sight){.ms = 4000, .wait = "Timeout PgSleep"}, "runs for 4 s, waits for Timeout PgSleep");
    expect((struct watch_sight){.ms = 4000, .wait = "IO DataFileRead", .doing = "scanning heap"},
           "runs for 4 s, scanning heap");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_of_which_nothing_is_known_has_at_least_a_time),
        cmocka_unit_test(progress_is_told_in_its_unit_and_in_percent),
        cmocka_unit_test(progress_without_an_end_has_no_percent),
        cmocka_unit_test(more_done_than_there_is_makes_no_nonsense),
        cmocka_unit_test(blockers_and_waiters_are_told),
        cmocka_unit_test(what_the_server_waits_for_is_told_when_nothing_better_is_known),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
