// The cache of the issuer's keys against a key server that rotates, lies, stalls and goes away. Time is the test's own.
#include "auth/keys.h"

#include "../../unit/auth/forge.h"
#include "../net/origin.h"
#include "auth/signature.h"
#include "base/arena.h"
#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM (1024 * 1024)
#define COOLDOWN 30000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct world {
    struct forge *forge;
    struct text old_set, new_set, both; // kid "old", kid "new", and both of them
    struct origin *origin;
    struct keys *keys;
    _Atomic uint64_t now;      // ms
    _Atomic unsigned answered; // askers that have their answer
};

static uint64_t now_ms(void *context) {
    struct world *world = context;
    return atomic_load(&world->now);
}

static void pass_s(struct world *world, uint64_t seconds) {
    (void)atomic_fetch_add(&world->now, seconds * 1000);
}

static int set_up_group(void **state) {
    struct world *world = memory_alloc(sizeof *world);
    cleanup_text struct text old = TEXT(ROOM), new = TEXT(ROOM);
    world->forge = forge_new(2048);
    world->old_set = world->new_set = world->both = TEXT(ROOM);
    forge_jwk(world->forge, "old", &old);
    forge_jwk(world->forge, "new", &new);
    text_printf(&world->old_set, "{\"keys\":[%s]}", old.data);
    text_printf(&world->new_set, "{\"keys\":[%s]}", new.data);
    text_printf(&world->both, "{\"keys\":[%s,%s]}", old.data, new.data);
    *state = world;
    return 0;
}

static int tear_down_group(void **state) {
    struct world *world = *state;
    forge_free(world->forge);
    text_done(&world->old_set);
    text_done(&world->new_set);
    text_done(&world->both);
    free(world);
    return 0;
}

static int set_up(void **state) {
    struct world *world = *state;
    struct error err = {0};
    world->origin = origin_new();
    atomic_store(&world->now, 1000000);
    atomic_store(&world->answered, 0);
    if (!keys_new(origin_url(world->origin), COOLDOWN, &world->keys, &err))
        fail_msg("%s", err.message);
    keys_set_clock(world->keys, (struct keys_clock){.now_ms = now_ms, .context = world});
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    keys_free(world->keys);
    origin_free(world->origin);
    return 0;
}

// ---- words for the tests ---------------------------------------------------------------------------------------------

static void publish(struct world *world, const struct text *set, const char *fields) {
    origin_answer(world->origin, "200 OK", fields, (struct view){set->data, set->length});
}

static void go_away(struct world *world) {
    origin_answer_raw(world->origin, VIEW(""));
}

static enum error_code ask_for(struct world *world, const char *kid, struct error *ret_err) {
    struct token_keys keys = keys_as_token_keys(world->keys);
    const struct key *key = NULL;
    struct error err = {0};
    if (keys.find(keys.context, view_of(kid), &key, &err)) {
        keys.release(keys.context, key);
        return ERROR_NONE;
    }
    if (ret_err != NULL)
        *ret_err = err;
    return err.code;
}

static enum error_code ask(struct world *world, const char *kid) {
    return ask_for(world, kid, NULL);
}

// Both counts of what was fetched must agree.
static void expect_fetches(struct world *world, unsigned fetches) {
    assert_int_equal(origin_requests(world->origin), fetches);
    assert_int_equal(keys_fetches(world->keys), fetches);
}

// ---- fetching and keeping --------------------------------------------------------------------------------------------

static void the_first_token_fetches_and_the_next_do_not(void **state) {
    struct world *world = *state;
    publish(world, &world->old_set, "Cache-Control: public, max-age=20000\r\n");
    assert_false(keys_ready(world->keys));
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(ask(world, "old"), ERROR_NONE);
    assert_true(keys_ready(world->keys));
    expect_fetches(world, 1);
}

static void warming_fetches_once(void **state) {
    struct world *world = *state;
    struct error err = {0};
    publish(world, &world->old_set, "");
    assert_true(keys_warm(world->keys, &err));
    assert_true(keys_warm(world->keys, &err));
    assert_true(keys_ready(world->keys));
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    expect_fetches(world, 1);
}

static void a_set_is_kept_for_max_age_minus_age(void **state) {
    struct world *world = *state;
    publish(world, &world->old_set, "Cache-Control: max-age=3600\r\nAge: 600\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    pass_s(world, 2999);
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    expect_fetches(world, 1);
    pass_s(world, 1);
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    expect_fetches(world, 2);
}

static void a_set_without_cache_control_is_kept_for_five_minutes(void **state) {
    struct world *world = *state;
    publish(world, &world->old_set, "");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    pass_s(world, 299);
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    expect_fetches(world, 1);
    pass_s(world, 1);
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    expect_fetches(world, 2);
}

static void max_age_zero_does_not_mean_a_fetch_for_each_token(void **state) {
    struct world *world = *state;
    publish(world, &world->old_set, "Cache-Control: max-age=0, no-store\r\n");
    for (size_t i = 0; i < 59; i++, pass_s(world, 1))
        assert_int_equal(ask(world, "old"), ERROR_NONE);
    expect_fetches(world, 1);
}

static void a_rotated_key_is_fetched_at_once_and_the_withdrawn_one_is_unknown(void **state) {
    struct world *world = *state;
    publish(world, &world->old_set, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    publish(world, &world->both, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(ask(world, "new"), ERROR_NONE);
    expect_fetches(world, 2);
    publish(world, &world->new_set, "");
    pass_s(world, 20000);
    assert_int_equal(ask(world, "old"), ERROR_TOKEN_KEY_UNKNOWN);
    assert_int_equal(ask(world, "new"), ERROR_NONE);
    expect_fetches(world, 3);
}

static void a_key_in_use_outlives_its_set(void **state) {
    struct world *world = *state;
    struct token_keys keys = keys_as_token_keys(world->keys);
    const struct key *key = NULL;
    struct error err = {0};
    cleanup_text struct text signature = TEXT(ROOM);
    publish(world, &world->old_set, "");
    assert_true(keys.find(keys.context, VIEW("old"), &key, &err));
    publish(world, &world->new_set, "");
    assert_int_equal(ask(world, "new"), ERROR_NONE);
    forge_sign(world->forge, FORGE_RS256, VIEW("message"), &signature);
    assert_true(signature_verify(key, VIEW("message"), (struct view){signature.data, signature.length}, &err));
    keys.release(keys.context, key);
}

// ---- unknown kids ----------------------------------------------------------------------------------------------------

static void random_kids_cost_one_fetch_per_cool_down(void **state) {
    struct world *world = *state;
    char kid[16] = "random-000";
    publish(world, &world->old_set, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    for (size_t i = 0; i < 300; i++) {
        kid[7] = (char)('0' + i / 100);
        kid[8] = (char)('0' + i / 10 % 10);
        kid[9] = (char)('0' + i % 10);
        assert_int_equal(ask(world, kid), ERROR_TOKEN_KEY_UNKNOWN);
    }
    expect_fetches(world, 2);
    pass_s(world, COOLDOWN / 1000 - 1);
    assert_int_equal(ask(world, "random"), ERROR_TOKEN_KEY_UNKNOWN);
    expect_fetches(world, 2);
    pass_s(world, 1);
    assert_int_equal(ask(world, "random"), ERROR_TOKEN_KEY_UNKNOWN);
    expect_fetches(world, 3);
}

static void random_kids_do_not_starve_the_refresh(void **state) {
    struct world *world = *state;
    publish(world, &world->old_set, "Cache-Control: max-age=60\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    pass_s(world, 59);
    assert_int_equal(ask(world, "random"), ERROR_TOKEN_KEY_UNKNOWN); // spends the forced fetch
    pass_s(world, 60);
    publish(world, &world->new_set, "Cache-Control: max-age=60\r\n");
    assert_int_equal(ask(world, "new"), ERROR_NONE);
    expect_fetches(world, 3);
}

static void the_slot_stays_spent_when_the_forced_fetch_fails(void **state) {
    struct world *world = *state;
    publish(world, &world->old_set, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    go_away(world);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(ask(world, "random"), ERROR_KEYS_UNAVAILABLE); // not 401: nobody knows whether it is genuine
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    expect_fetches(world, 2);
}

static void tokens_before_the_first_key_cost_a_bounded_number_of_fetches(void **state) {
    struct world *world = *state;
    go_away(world);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(ask(world, "old"), ERROR_KEYS_UNAVAILABLE);
    expect_fetches(world, 1);
    static const unsigned pauses[] = {1, 2, 4, 8, 16, 30, 30}; // seconds, up to the cool-down
    for (size_t i = 0; i < COUNT(pauses); i++) {
        pass_s(world, pauses[i] - 1);
        assert_int_equal(ask(world, "old"), ERROR_KEYS_UNAVAILABLE);
        expect_fetches(world, (unsigned)i + 1);
        pass_s(world, 1);
        assert_int_equal(ask(world, "old"), ERROR_KEYS_UNAVAILABLE);
        expect_fetches(world, (unsigned)i + 2);
    }
    publish(world, &world->old_set, "");
    pass_s(world, 30);
    assert_int_equal(ask(world, "old"), ERROR_NONE);
}

// ---- a server that lies or goes away ---------------------------------------------------------------------------------

static void only_a_good_answer_replaces_the_keys(void **state) {
    struct world *world = *state;
    cleanup_text struct text huge = TEXT(ROOM);
    struct view new_set = {world->new_set.data, world->new_set.length};
    text_append(&huge, world->new_set.data);
    while (huge.length <= 256 * 1024)
        text_append(&huge, "                                                                ");
    const struct {
        const char *status, *fields;
        struct view body;
    } answers[] = {
        {"500 Internal Server Error", "", new_set},
        {"404 Not Found", "", new_set},
        {"204 No Content", "", VIEW("")},
        {"206 Partial Content", "", new_set},
        {"304 Not Modified", "", VIEW("")},
        {"302 Found", "Location: /elsewhere\r\n", new_set},
        {"200 OK", "Content-Type: text/html\r\n", VIEW("<html><body>Sign in</body></html>")},
        {"200 OK", "", VIEW("")},
        {"200 OK", "", {new_set.data, new_set.length - 1}},
        {"200 OK", "", VIEW("{\"keys\":[]}")},
        {"200 OK", "", VIEW("{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"new\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}")},
        {"200 OK", "Content-Encoding: gzip\r\n", VIEW("\x1f\x8b\x08\0\0\0\0\0")},
        {"200 OK", "", {huge.data, huge.length}},
    };
    publish(world, &world->old_set, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct error err = {0};
        origin_answer(world->origin, answers[i].status, answers[i].fields, answers[i].body);
        pass_s(world, COOLDOWN / 1000);
        assert_int_equal(ask_for(world, "new", &err), ERROR_KEYS_UNAVAILABLE);
        assert_true(view_starts(view_of(err.message), "cannot fetch the issuer's keys"));
        assert_int_equal(ask(world, "old"), ERROR_NONE);
        expect_fetches(world, (unsigned)i + 2);
    }
    publish(world, &world->both, "");
    pass_s(world, COOLDOWN / 1000);
    assert_int_equal(ask(world, "new"), ERROR_NONE);
}

static void a_half_sent_set_does_not_replace_the_keys(void **state) {
    struct world *world = *state;
    cleanup_text struct text cut = TEXT(ROOM);
    publish(world, &world->old_set, "");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    // The JSON is whole, the HTTP message is not.
    text_printf(&cut, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", world->new_set.length + 1,
                world->new_set.data);
    origin_answer_raw(world->origin, (struct view){cut.data, cut.length});
    assert_int_equal(ask(world, "new"), ERROR_KEYS_UNAVAILABLE);
    assert_int_equal(ask(world, "old"), ERROR_NONE);
}

static void old_keys_are_served_for_24_hours_and_then_none(void **state) {
    struct world *world = *state;
    struct error err = {0};
    publish(world, &world->old_set, "Cache-Control: max-age=3600\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    go_away(world);
    for (size_t hour = 1; hour < 24; hour++) {
        pass_s(world, 3600);
        assert_int_equal(ask(world, "old"), ERROR_NONE);
        assert_true(keys_ready(world->keys));
    }
    pass_s(world, 3599);
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    pass_s(world, 1);
    assert_false(keys_ready(world->keys));
    assert_int_equal(ask_for(world, "old", &err), ERROR_KEYS_UNAVAILABLE);
    assert_int_equal(error_http_status(err.code), 503);
    assert_non_null(strstr(err.message, "cannot fetch the issuer's keys: 127.0.0.1: "));
    publish(world, &world->old_set, "");
    pass_s(world, COOLDOWN / 1000);
    assert_int_equal(ask(world, "old"), ERROR_NONE);
}

static void a_failing_refresh_is_not_tried_for_each_token(void **state) {
    struct world *world = *state;
    publish(world, &world->old_set, "Cache-Control: max-age=60\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    go_away(world);
    pass_s(world, 60);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(ask(world, "old"), ERROR_NONE);
    expect_fetches(world, 2);
}

static void the_reason_of_a_failure_is_kept_until_it_is_over(void **state) {
    struct world *world = *state;
    struct error err = {0}, reason = {0};
    assert_false(keys_failure(world->keys, &reason));
    assert_int_equal(reason.code, ERROR_NONE);
    origin_answer(world->origin, "500 Oh", "", VIEW(""));
    assert_false(keys_warm(world->keys, &err));
    assert_int_equal(err.code, ERROR_KEYS_UNAVAILABLE);
    assert_string_equal(err.message, "cannot fetch the issuer's keys: the server answered 500, not 200");
    assert_true(keys_failure(world->keys, &reason));
    assert_string_equal(reason.message, "the server answered 500, not 200");
    publish(world, &world->old_set, "");
    pass_s(world, 1);
    assert_true(keys_warm(world->keys, &err));
    assert_false(keys_failure(world->keys, &reason));
}

// ---- many at once ----------------------------------------------------------------------------------------------------

struct asker {
    struct world *world;
    const char *kid;
    enum error_code code;
    pthread_t thread;
};

static void *ask_in_thread(void *context) {
    struct asker *asker = context;
    asker->code = ask(asker->world, asker->kid);
    (void)atomic_fetch_add(&asker->world->answered, 1);
    return NULL;
}

static void start(struct asker *askers, size_t count, struct world *world, const char *kid) {
    for (size_t i = 0; i < count; i++) {
        askers[i] = (struct asker){.world = world, .kid = kid};
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
    struct world *world = *state;
    struct asker askers[16];
    publish(world, &world->old_set, "");
    origin_hold(world->origin);
    start(askers, COUNT(askers), world, "old");
    origin_wait(world->origin, 1);
    origin_let_go(world->origin);
    assert_int_equal(join(askers, COUNT(askers), ERROR_NONE), COUNT(askers));
    expect_fetches(world, 1);
}

static void sixteen_first_tokens_share_one_failure(void **state) {
    struct world *world = *state;
    struct asker askers[16];
    go_away(world);
    origin_hold(world->origin);
    start(askers, COUNT(askers), world, "old");
    origin_wait(world->origin, 1);
    origin_let_go(world->origin);
    assert_int_equal(join(askers, COUNT(askers), ERROR_KEYS_UNAVAILABLE), COUNT(askers));
    expect_fetches(world, 1);
}

static void a_cached_kid_does_not_wait_for_a_fetch(void **state) {
    struct world *world = *state;
    struct asker unknown, refresher;
    publish(world, &world->old_set, "Cache-Control: max-age=3600\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    origin_hold(world->origin);
    start(&unknown, 1, world, "random");
    origin_wait(world->origin, 2);
    assert_int_equal(ask(world, "old"), ERROR_NONE); // would hang for ever if it waited: the server is held
    origin_let_go(world->origin);
    assert_int_equal(join(&unknown, 1, ERROR_TOKEN_KEY_UNKNOWN), 1);
    // The same while the set is being refreshed: one fetches, the others go on with the old keys.
    pass_s(world, 3600);
    origin_hold(world->origin);
    start(&refresher, 1, world, "old");
    origin_wait(world->origin, 3);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(ask(world, "old"), ERROR_NONE);
    origin_let_go(world->origin);
    assert_int_equal(join(&refresher, 1, ERROR_NONE), 1);
    expect_fetches(world, 3);
}

static void forged_kids_cannot_tie_up_all_threads(void **state) {
    struct world *world = *state;
    struct asker first, askers[16];
    publish(world, &world->old_set, "Cache-Control: max-age=3600\r\n");
    assert_int_equal(ask(world, "old"), ERROR_NONE);
    origin_hold(world->origin);
    start(&first, 1, world, "random");
    origin_wait(world->origin, 2);
    start(askers, COUNT(askers), world, "random");
    while (atomic_load(&world->answered) < 12) // ends only when twelve do not wait for the server, which is held
        clock_sleep_ms(1);
    origin_let_go(world->origin);
    size_t refused = 0, unknown = 0;
    for (size_t i = 0; i < COUNT(askers); i++) {
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
        refused += askers[i].code == ERROR_KEYS_UNAVAILABLE;
        unknown += askers[i].code == ERROR_TOKEN_KEY_UNKNOWN;
    }
    assert_int_equal(refused, 12);
    assert_int_equal(unknown, 4);
    assert_int_equal(join(&first, 1, ERROR_TOKEN_KEY_UNKNOWN), 1);
    expect_fetches(world, 2);
}

static void tokens_and_rotations_at_the_same_time_are_safe(void **state) {
    struct world *world = *state;
    struct asker askers[8];
    publish(world, &world->both, "Cache-Control: max-age=60\r\n");
    for (size_t round = 0; round < 20; round++) {
        start(askers, COUNT(askers), world, round % 2 ? "old" : "new");
        assert_int_equal(join(askers, COUNT(askers), ERROR_NONE), COUNT(askers));
        pass_s(world, 60);
    }
    expect_fetches(world, 20);
}

// ---- settings --------------------------------------------------------------------------------------------------------

static void an_address_that_is_neither_https_nor_loopback_is_refused(void **state) {
    (void)state;
    static const char *const urls[] = {"http://www.googleapis.com/oauth2/v3/certs", "file:///etc/keys.json", "", "keys",
                                       "https://user:password@example.com/"};
    for (size_t i = 0; i < COUNT(urls); i++) {
        struct keys *keys = NULL;
        struct error err = {0};
        assert_false(keys_new(urls[i], COOLDOWN, &keys, &err));
        assert_null(keys);
        assert_int_equal(err.code, ERROR_CONFIGURATION);
        assert_true(view_starts(view_of(err.message), "the address of the issuer's keys: "));
        assert_null(strstr(err.message, "password@"));
    }
}

static void google_s_address_is_fine(void **state) {
    (void)state;
    struct keys *keys = NULL;
    struct error err = {0};
    assert_true(keys_new(KEYS_URL_GOOGLE, KEYS_COOLDOWN_MS, &keys, &err));
    assert_false(keys_ready(keys));
    assert_int_equal(keys_fetches(keys), 0);
    keys_free(keys);
    keys_free(NULL);
}

#define KEYS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        KEYS_TEST(the_first_token_fetches_and_the_next_do_not),
        KEYS_TEST(warming_fetches_once),
        KEYS_TEST(a_set_is_kept_for_max_age_minus_age),
        KEYS_TEST(a_set_without_cache_control_is_kept_for_five_minutes),
        KEYS_TEST(max_age_zero_does_not_mean_a_fetch_for_each_token),
        KEYS_TEST(a_rotated_key_is_fetched_at_once_and_the_withdrawn_one_is_unknown),
        KEYS_TEST(a_key_in_use_outlives_its_set),
        KEYS_TEST(random_kids_cost_one_fetch_per_cool_down),
        KEYS_TEST(random_kids_do_not_starve_the_refresh),
        KEYS_TEST(the_slot_stays_spent_when_the_forced_fetch_fails),
        KEYS_TEST(tokens_before_the_first_key_cost_a_bounded_number_of_fetches),
        KEYS_TEST(only_a_good_answer_replaces_the_keys),
        KEYS_TEST(a_half_sent_set_does_not_replace_the_keys),
        KEYS_TEST(old_keys_are_served_for_24_hours_and_then_none),
        KEYS_TEST(a_failing_refresh_is_not_tried_for_each_token),
        KEYS_TEST(the_reason_of_a_failure_is_kept_until_it_is_over),
        KEYS_TEST(sixteen_first_tokens_share_one_fetch),
        KEYS_TEST(sixteen_first_tokens_share_one_failure),
        KEYS_TEST(a_cached_kid_does_not_wait_for_a_fetch),
        KEYS_TEST(forged_kids_cannot_tie_up_all_threads),
        KEYS_TEST(tokens_and_rotations_at_the_same_time_are_safe),
        cmocka_unit_test(an_address_that_is_neither_https_nor_loopback_is_refused),
        cmocka_unit_test(google_s_address_is_fine),
    };
    return cmocka_run_group_tests_name("keys", tests, set_up_group, tear_down_group);
}
