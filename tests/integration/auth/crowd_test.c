// The cache of the issuer's keys with many threads asking at once: who fetches, who waits, and who must not.
#include "issuer.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct asker {
    struct issuer *issuer;
    const char *kid;
    enum error_code code;
    pthread_t thread;
};

static void *ask_in_thread(void *context) {
    struct asker *asker = context;
    asker->code = issuer_ask(asker->issuer, asker->kid);
    (void)atomic_fetch_add(&asker->issuer->answered, 1);
    return NULL;
}

static void start(struct asker *askers, size_t count, struct issuer *issuer, const char *kid) {
    for (size_t i = 0; i < count; i++) {
        askers[i] = (struct asker){.issuer = issuer, .kid = kid};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_in_thread, &askers[i]), 0);
    }
}

static size_t join(struct asker *askers, size_t count, enum error_code expected) {
    size_t matching = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
        matching += askers[i].code == expected;
    }
    return matching;
}

static void sixteen_first_tokens_share_one_fetch(void **state) {
    struct issuer *issuer = *state;
    struct asker askers[16];
    issuer_publish(issuer, &issuer->old_set, "");
    origin_hold(issuer->origin);
    start(askers, COUNT(askers), issuer, "old");
    origin_wait(issuer->origin, 1);
    origin_let_go(issuer->origin);
    assert_int_equal(join(askers, COUNT(askers), ERROR_NONE), COUNT(askers));
    issuer_expect_fetches(issuer, 1);
}

static void sixteen_first_tokens_share_one_failure(void **state) {
    struct issuer *issuer = *state;
    struct asker askers[16];
    issuer_go_away(issuer);
    origin_hold(issuer->origin);
    start(askers, COUNT(askers), issuer, "old");
    origin_wait(issuer->origin, 1);
    origin_let_go(issuer->origin);
    assert_int_equal(join(askers, COUNT(askers), ERROR_KEYS_UNAVAILABLE), COUNT(askers));
    issuer_expect_fetches(issuer, 1);
}

static void a_cached_kid_does_not_wait_for_a_fetch(void **state) {
    struct issuer *issuer = *state;
    struct asker unknown, refresher;
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=3600\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    origin_hold(issuer->origin);
    start(&unknown, 1, issuer, "random");
    origin_wait(issuer->origin, 2);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE); // would hang for ever if it waited: the server is held
    origin_let_go(issuer->origin);
    assert_int_equal(join(&unknown, 1, ERROR_TOKEN_KEY_UNKNOWN), 1);
    // The same while the set is being refreshed: one fetches, the others go on with the old keys.
    issuer_pass_s(issuer, 3600);
    origin_hold(issuer->origin);
    start(&refresher, 1, issuer, "old");
    origin_wait(issuer->origin, 3);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    origin_let_go(issuer->origin);
    assert_int_equal(join(&refresher, 1, ERROR_NONE), 1);
    issuer_expect_fetches(issuer, 3);
}

static void forged_kids_cannot_tie_up_all_threads(void **state) {
    struct issuer *issuer = *state;
    struct asker first, askers[16];
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=3600\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    origin_hold(issuer->origin);
    start(&first, 1, issuer, "random");
    origin_wait(issuer->origin, 2);
    start(askers, COUNT(askers), issuer, "random");
    while (atomic_load(&issuer->answered) < 12) // ends only when twelve do not wait for the server, which is held
        clock_sleep_ms(1);
    origin_let_go(issuer->origin);
    size_t refused = 0, unknown = 0;
    for (size_t i = 0; i < COUNT(askers); i++) {
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
        refused += askers[i].code == ERROR_KEYS_UNAVAILABLE;
        unknown += askers[i].code == ERROR_TOKEN_KEY_UNKNOWN;
    }
    assert_int_equal(refused, 12);
    assert_int_equal(unknown, 4);
    assert_int_equal(join(&first, 1, ERROR_TOKEN_KEY_UNKNOWN), 1);
    issuer_expect_fetches(issuer, 2);
}

static void tokens_and_rotations_at_the_same_time_are_safe(void **state) {
    struct issuer *issuer = *state;
    struct asker askers[8];
    issuer_publish(issuer, &issuer->both, "Cache-Control: max-age=60\r\n");
    for (size_t round = 0; round < 20; round++) {
        start(askers, COUNT(askers), issuer, round % 2 ? "old" : "new");
        assert_int_equal(join(askers, COUNT(askers), ERROR_NONE), COUNT(askers));
        issuer_pass_s(issuer, 60);
    }
    issuer_expect_fetches(issuer, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ISSUER_TEST(sixteen_first_tokens_share_one_fetch),
        ISSUER_TEST(sixteen_first_tokens_share_one_failure),
        ISSUER_TEST(a_cached_kid_does_not_wait_for_a_fetch),
        ISSUER_TEST(forged_kids_cannot_tie_up_all_threads),
        ISSUER_TEST(tokens_and_rotations_at_the_same_time_are_safe),
    };
    return cmocka_run_group_tests_name("crowd", tests, issuer_set_up_group, issuer_tear_down_group);
}
