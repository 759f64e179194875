// One run at a time, a name on the door, and a failure that is shared by those who asked for the same.
#include "base/clock.h"
#include "command/gate.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { CROWD = 2 };

struct visitor {
    struct gate *gate;
    const char *name, *ask;
    uint64_t ms;
    pthread_t thread;
    bool entered, waited;
    atomic_bool started;
    struct error err;
};

static void *visit(void *argument) {
    struct visitor *visitor = argument;
    atomic_store(&visitor->started, true);
    visitor->entered =
        gate_enter(visitor->gate, visitor->name, visitor->ask, visitor->ms, &visitor->waited, &visitor->err);
    return NULL;
}

static void start(struct visitor *visitor) {
    assert_int_equal(pthread_create(&visitor->thread, NULL, visit, visitor), 0);
    while (!atomic_load(&visitor->started))
        clock_sleep_ms(1);
    clock_sleep_ms(50); // it has no more to do than to wait
}

static void the_first_one_enters_without_waiting(void **state) {
    (void)state;
    struct gate *gate = gate_new(CROWD, false);
    struct error err = {0};
    bool waited = true;
    assert_true(gate_enter(gate, "a", "x", 0, &waited, &err));
    assert_false(waited);
    gate_leave(gate, NULL);
    gate_free(gate);
}

static void whoever_waits_too_long_hears_who_is_inside(void **state) {
    (void)state;
    struct gate *gate = gate_new(CROWD, false);
    struct error err = {0};
    bool waited = false;
    assert_true(gate_enter(gate, "run-a", "x", 0, &waited, &err));
    assert_false(gate_enter(gate, "run-b", "x", 30, &waited, &err));
    assert_true(waited);
    assert_int_equal(err.code, ERROR_LOCK_HELD);
    assert_non_null(strstr(err.message, "run-a"));
    gate_leave(gate, NULL);
    gate_free(gate);
}

static void whoever_waits_enters_after_a_run_that_went_well(void **state) {
    (void)state;
    struct gate *gate = gate_new(CROWD, false);
    struct error err = {0};
    bool waited = false;
    assert_true(gate_enter(gate, "a", "x", 0, &waited, &err));
    struct visitor visitor = {.gate = gate, .name = "b", .ask = "x", .ms = 10000};
    start(&visitor);
    gate_leave(gate, NULL);
    assert_int_equal(pthread_join(visitor.thread, NULL), 0);
    assert_true(visitor.entered);
    gate_leave(gate, NULL);
    gate_free(gate);
}

static void failed_run_with(enum error_code code, const char *ask, struct visitor *visitor) {
    struct gate *gate = gate_new(CROWD, false);
    struct error err = {0}, failure = {0};
    bool waited = false;
    assert_true(gate_enter(gate, "run-a", "x", 0, &waited, &err));
    *visitor = (struct visitor){.gate = gate, .name = "b", .ask = ask, .ms = 10000};
    start(visitor);
    error_set(&failure, code, "it broke");
    gate_leave(gate, &failure);
    assert_int_equal(pthread_join(visitor->thread, NULL), 0);
    gate_free(gate);
}

static void a_permanent_failure_is_shared_by_those_who_asked_for_the_same(void **state) {
    (void)state;
    struct visitor visitor;
    failed_run_with(ERROR_MIGRATION_FAILED, "x", &visitor);
    assert_false(visitor.entered);
    assert_int_equal(visitor.err.code, ERROR_MIGRATION_FAILED);
    assert_non_null(strstr(visitor.err.message, "run-a"));
    assert_non_null(strstr(visitor.err.message, "it broke"));
}

static void a_permanent_failure_is_not_shared_by_those_who_asked_for_something_else(void **state) {
    (void)state;
    struct visitor visitor;
    failed_run_with(ERROR_MIGRATION_FAILED, "y", &visitor);
    assert_true(visitor.entered);
}

static void a_failure_that_may_pass_is_not_shared(void **state) {
    (void)state;
    struct visitor visitor;
    failed_run_with(ERROR_DATABASE_UNAVAILABLE, "x", &visitor);
    assert_true(visitor.entered);
}

static void a_crowd_at_the_gate_grows_no_further(void **state) {
    (void)state;
    struct gate *gate = gate_new(CROWD, false);
    struct error err = {0};
    bool waited = false;
    assert_true(gate_enter(gate, "run-a", "x", 0, &waited, &err));
    struct visitor crowd[CROWD];
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = (struct visitor){.gate = gate, .name = "b", .ask = "x", .ms = 10000};
        start(&crowd[i]);
    }
    uint64_t before = clock_ms();
    assert_false(gate_enter(gate, "run-c", "x", 60000, &waited, &err));
    assert_true(clock_ms() - before < 30000);
    assert_true(waited);
    assert_int_equal(err.code, ERROR_LOCK_HELD);
    assert_non_null(strstr(err.message, "run-a"));
    gate_close(gate);
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_join(crowd[i].thread, NULL), 0);
    gate_leave(gate, NULL);
    gate_free(gate);
}

static void nobody_enters_a_closed_gate(void **state) {
    (void)state;
    struct gate *gate = gate_new(CROWD, false);
    struct error err = {0};
    bool waited = false;
    assert_true(gate_enter(gate, "a", "x", 0, &waited, &err));
    struct visitor visitor = {.gate = gate, .name = "b", .ask = "x", .ms = 10000};
    start(&visitor);
    assert_false(gate_wait_closed(gate, 1));
    gate_close(gate);
    assert_int_equal(pthread_join(visitor.thread, NULL), 0);
    assert_false(visitor.entered);
    assert_int_equal(visitor.err.code, ERROR_SHUTTING_DOWN);
    gate_leave(gate, NULL);
    assert_false(gate_enter(gate, "c", "x", 0, &waited, &err));
    assert_true(gate_wait_closed(gate, 1));
    gate_free(gate);
}

static bool try_again(struct gate *gate, const char *name, const char *ask, struct error *err) {
    bool waited = false;
    bool entered = gate_enter(gate, name, ask, 0, &waited, err);
    if (entered)
        gate_leave(gate, NULL);
    return entered;
}

static void run_and_fail(struct gate *gate, const char *name, enum error_code code) {
    struct error err = {0}, failure = {0};
    bool waited = false;
    error_set(&failure, code, "that is why");
    assert_true(gate_enter(gate, name, "x", 0, &waited, &err));
    gate_leave(gate, &failure);
}

static void what_failed_for_good_does_not_enter_again_where_failures_are_final(void **state) {
    (void)state;
    struct gate *gate = gate_new(CROWD, true);
    struct error err = {0};
    run_and_fail(gate, "a", ERROR_MIGRATION_FAILED);
    assert_false(try_again(gate, "a", "x", &err));
    assert_int_equal(err.code, ERROR_MIGRATION_FAILED);
    assert_string_equal(err.message, "that is why");
    assert_true(try_again(gate, "a", "other files", &err));
    assert_true(try_again(gate, "b", "x", &err));
    run_and_fail(gate, "b", ERROR_LOCK_HELD);
    assert_true(try_again(gate, "b", "x", &err));
    assert_false(try_again(gate, "a", "x", &err));
    gate_free(gate);
}

static void where_failures_are_not_final_it_does(void **state) {
    (void)state;
    struct gate *gate = gate_new(CROWD, false);
    struct error err = {0};
    run_and_fail(gate, "a", ERROR_MIGRATION_FAILED);
    assert_true(try_again(gate, "a", "x", &err));
    gate_free(gate);
}

static void the_oldest_failure_is_forgotten_first(void **state) {
    (void)state;
    struct gate *gate = gate_new(CROWD, true);
    struct error err = {0};
    char name[16];
    for (int i = 0; i <= GATE_FAILURES; i++) {
        (void)snprintf(name, sizeof(name), "run-%d", i);
        run_and_fail(gate, name, ERROR_MIGRATION_FAILED);
    }
    assert_false(try_again(gate, "run-1", "x", &err));
    assert_true(try_again(gate, "run-0", "x", &err));
    gate_free(gate);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_one_enters_without_waiting),
        cmocka_unit_test(whoever_waits_too_long_hears_who_is_inside),
        cmocka_unit_test(whoever_waits_enters_after_a_run_that_went_well),
        cmocka_unit_test(a_permanent_failure_is_shared_by_those_who_asked_for_the_same),
        cmocka_unit_test(a_permanent_failure_is_not_shared_by_those_who_asked_for_something_else),
        cmocka_unit_test(a_failure_that_may_pass_is_not_shared),
        cmocka_unit_test(a_crowd_at_the_gate_grows_no_further),
        cmocka_unit_test(nobody_enters_a_closed_gate),
        cmocka_unit_test(what_failed_for_good_does_not_enter_again_where_failures_are_final),
        cmocka_unit_test(where_failures_are_not_final_it_does),
        cmocka_unit_test(the_oldest_failure_is_forgotten_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
