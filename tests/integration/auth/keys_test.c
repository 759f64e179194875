// The cache of the issuer's keys against a key server that rotates, lies and goes away. Many at once: crowd_test.c.
#include "issuer.h"

#include "auth/signature.h"
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM (1024 * 1024)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// ---- fetching and keeping --------------------------------------------------------------------------------------------

static void the_first_token_fetches_and_the_next_do_not(void **state) {
    struct issuer *issuer = *state;
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: public, max-age=20000\r\n");
    assert_false(keys_ready(issuer->keys));
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    assert_true(keys_ready(issuer->keys));
    issuer_expect_fetches(issuer, 1);
}

static void warming_fetches_once(void **state) {
    struct issuer *issuer = *state;
    struct error err = {0};
    issuer_publish(issuer, &issuer->old_set, "");
    assert_true(keys_warm(issuer->keys, &err));
    assert_true(keys_warm(issuer->keys, &err));
    assert_true(keys_ready(issuer->keys));
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_expect_fetches(issuer, 1);
}

static void a_set_is_kept_for_max_age_minus_age(void **state) {
    struct issuer *issuer = *state;
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=3600\r\nAge: 600\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_pass_s(issuer, 2999);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_expect_fetches(issuer, 1);
    issuer_pass_s(issuer, 1);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_expect_fetches(issuer, 2);
}

static void a_set_without_cache_control_is_kept_for_five_minutes(void **state) {
    struct issuer *issuer = *state;
    issuer_publish(issuer, &issuer->old_set, "");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_pass_s(issuer, 299);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_expect_fetches(issuer, 1);
    issuer_pass_s(issuer, 1);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_expect_fetches(issuer, 2);
}

static void max_age_zero_does_not_mean_a_fetch_for_each_token(void **state) {
    struct issuer *issuer = *state;
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=0, no-store\r\n");
    for (size_t i = 0; i < 59; i++, issuer_pass_s(issuer, 1))
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_expect_fetches(issuer, 1);
}

static void a_rotated_key_is_fetched_at_once_and_the_withdrawn_one_is_unknown(void **state) {
    struct issuer *issuer = *state;
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_publish(issuer, &issuer->both, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(issuer_ask(issuer, "new"), ERROR_NONE);
    issuer_expect_fetches(issuer, 2);
    issuer_publish(issuer, &issuer->new_set, "");
    issuer_pass_s(issuer, 20000);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_TOKEN_KEY_UNKNOWN);
    assert_int_equal(issuer_ask(issuer, "new"), ERROR_NONE);
    issuer_expect_fetches(issuer, 3);
}

static void a_key_in_use_outlives_its_set(void **state) {
    struct issuer *issuer = *state;
    struct token_keys keys = keys_as_token_keys(issuer->keys);
    const struct key *key = NULL;
    struct error err = {0};
    cleanup_text struct text signature = TEXT(ROOM);
    issuer_publish(issuer, &issuer->old_set, "");
    assert_true(keys.find(keys.context, VIEW("old"), &key, &err));
    issuer_publish(issuer, &issuer->new_set, "");
    assert_int_equal(issuer_ask(issuer, "new"), ERROR_NONE);
    forge_sign(issuer->forge, FORGE_RS256, VIEW("message"), &signature);
    assert_true(signature_verify(key, VIEW("message"), (struct view){signature.data, signature.length}, &err));
    keys.release(keys.context, key);
}

// ---- unknown kids ----------------------------------------------------------------------------------------------------

static void random_kids_cost_one_fetch_per_cool_down(void **state) {
    struct issuer *issuer = *state;
    char kid[16] = "random-000";
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    for (size_t i = 0; i < 300; i++) {
        kid[7] = (char)('0' + i / 100);
        kid[8] = (char)('0' + i / 10 % 10);
        kid[9] = (char)('0' + i % 10);
        assert_int_equal(issuer_ask(issuer, kid), ERROR_TOKEN_KEY_UNKNOWN);
    }
    issuer_expect_fetches(issuer, 2);
    issuer_pass_s(issuer, ISSUER_COOLDOWN_S - 1);
    assert_int_equal(issuer_ask(issuer, "random"), ERROR_TOKEN_KEY_UNKNOWN);
    issuer_expect_fetches(issuer, 2);
    issuer_pass_s(issuer, 1);
    assert_int_equal(issuer_ask(issuer, "random"), ERROR_TOKEN_KEY_UNKNOWN);
    issuer_expect_fetches(issuer, 3);
}

static void random_kids_do_not_starve_the_refresh(void **state) {
    struct issuer *issuer = *state;
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=60\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_pass_s(issuer, 59);
    assert_int_equal(issuer_ask(issuer, "random"), ERROR_TOKEN_KEY_UNKNOWN); // spends the forced fetch
    issuer_pass_s(issuer, 60);
    issuer_publish(issuer, &issuer->new_set, "Cache-Control: max-age=60\r\n");
    assert_int_equal(issuer_ask(issuer, "new"), ERROR_NONE);
    issuer_expect_fetches(issuer, 3);
}

static void the_slot_stays_spent_when_the_forced_fetch_fails(void **state) {
    struct issuer *issuer = *state;
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_go_away(issuer);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(issuer_ask(issuer, "random"),
                         ERROR_KEYS_UNAVAILABLE); // not 401: nobody knows whether it is genuine
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_expect_fetches(issuer, 2);
}

static void tokens_before_the_first_key_cost_a_bounded_number_of_fetches(void **state) {
    struct issuer *issuer = *state;
    issuer_go_away(issuer);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_KEYS_UNAVAILABLE);
    issuer_expect_fetches(issuer, 1);
    static const unsigned pauses[] = {1, 2, 4, 8, 16, 30, 30}; // seconds, up to the cool-down
    for (size_t i = 0; i < COUNT(pauses); i++) {
        issuer_pass_s(issuer, pauses[i] - 1);
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_KEYS_UNAVAILABLE);
        issuer_expect_fetches(issuer, (unsigned)i + 1);
        issuer_pass_s(issuer, 1);
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_KEYS_UNAVAILABLE);
        issuer_expect_fetches(issuer, (unsigned)i + 2);
    }
    issuer_publish(issuer, &issuer->old_set, "");
    issuer_pass_s(issuer, 30);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
}

static void after_a_success_the_pauses_are_short_again(void **state) {
    struct issuer *issuer = *state;
    for (size_t i = 0; i < 5; i++, issuer_pass_s(issuer, 30))
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_KEYS_UNAVAILABLE);
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=60\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_go_away(issuer);
    issuer_pass_s(issuer, 60);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE); // served old, and the refresh failed
    issuer_expect_fetches(issuer, 7);
    issuer_pass_s(issuer, 1);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_expect_fetches(issuer, 8);
}

// ---- a server that lies or goes away ---------------------------------------------------------------------------------

static void only_a_good_answer_replaces_the_keys(void **state) {
    struct issuer *issuer = *state;
    cleanup_text struct text huge = TEXT(ROOM);
    struct view new_set = {issuer->new_set.data, issuer->new_set.length};
    text_append(&huge, issuer->new_set.data);
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
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=20000\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct error err = {0};
        origin_answer(issuer->origin, answers[i].status, answers[i].fields, answers[i].body);
        issuer_pass_s(issuer, ISSUER_COOLDOWN_S);
        assert_int_equal(issuer_ask_why(issuer, "new", &err), ERROR_KEYS_UNAVAILABLE);
        assert_true(view_starts(view_of(err.message), "cannot fetch the issuer's keys"));
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
        issuer_expect_fetches(issuer, (unsigned)i + 2);
    }
    issuer_publish(issuer, &issuer->both, "");
    issuer_pass_s(issuer, ISSUER_COOLDOWN_S);
    assert_int_equal(issuer_ask(issuer, "new"), ERROR_NONE);
}

static void a_half_sent_set_does_not_replace_the_keys(void **state) {
    struct issuer *issuer = *state;
    cleanup_text struct text cut = TEXT(ROOM);
    issuer_publish(issuer, &issuer->old_set, "");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    // The JSON is whole, the HTTP message is not.
    text_printf(&cut, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", issuer->new_set.length + 1,
                issuer->new_set.data);
    origin_answer_raw(issuer->origin, (struct view){cut.data, cut.length});
    assert_int_equal(issuer_ask(issuer, "new"), ERROR_KEYS_UNAVAILABLE);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
}

static void old_keys_are_served_for_24_hours_and_then_none(void **state) {
    struct issuer *issuer = *state;
    struct error err = {0};
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=3600\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_go_away(issuer);
    for (size_t hour = 1; hour < 24; hour++) {
        issuer_pass_s(issuer, 3600);
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
        assert_true(keys_ready(issuer->keys));
    }
    issuer_pass_s(issuer, 3599);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_pass_s(issuer, 1);
    assert_false(keys_ready(issuer->keys));
    assert_int_equal(issuer_ask_why(issuer, "old", &err), ERROR_KEYS_UNAVAILABLE);
    assert_int_equal(error_http_status(err.code), 503);
    assert_non_null(strstr(err.message, "cannot fetch the issuer's keys: 127.0.0.1: "));
    issuer_publish(issuer, &issuer->old_set, "");
    issuer_pass_s(issuer, ISSUER_COOLDOWN_S);
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
}

static void a_failing_refresh_is_not_tried_for_each_token(void **state) {
    struct issuer *issuer = *state;
    issuer_publish(issuer, &issuer->old_set, "Cache-Control: max-age=60\r\n");
    assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_go_away(issuer);
    issuer_pass_s(issuer, 60);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(issuer_ask(issuer, "old"), ERROR_NONE);
    issuer_expect_fetches(issuer, 2);
}

static void the_reason_of_a_failure_is_kept_until_it_is_over(void **state) {
    struct issuer *issuer = *state;
    struct error err = {0}, reason = {0};
    assert_false(keys_failure(issuer->keys, &reason));
    assert_int_equal(reason.code, ERROR_NONE);
    origin_answer(issuer->origin, "500 Oh", "", VIEW(""));
    assert_false(keys_warm(issuer->keys, &err));
    assert_int_equal(err.code, ERROR_KEYS_UNAVAILABLE);
    assert_string_equal(err.message, "cannot fetch the issuer's keys: the server answered 500, not 200");
    assert_true(keys_failure(issuer->keys, &reason));
    assert_string_equal(reason.message, "the server answered 500, not 200");
    issuer_publish(issuer, &issuer->old_set, "");
    issuer_pass_s(issuer, 1);
    assert_true(keys_warm(issuer->keys, &err));
    assert_false(keys_failure(issuer->keys, &reason));
}

// ---- settings --------------------------------------------------------------------------------------------------------

static void an_address_that_is_neither_https_nor_loopback_is_refused(void **state) {
    (void)state;
    static const char *const urls[] = {"http://www.googleapis.com/oauth2/v3/certs", "file:///etc/keys.json", "", "keys",
                                       "https://user:password@example.com/"};
    for (size_t i = 0; i < COUNT(urls); i++) {
        struct keys *keys = NULL;
        struct error err = {0};
        assert_false(keys_new(urls[i], ISSUER_COOLDOWN_S * 1000, &keys, &err));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        ISSUER_TEST(the_first_token_fetches_and_the_next_do_not),
        ISSUER_TEST(warming_fetches_once),
        ISSUER_TEST(a_set_is_kept_for_max_age_minus_age),
        ISSUER_TEST(a_set_without_cache_control_is_kept_for_five_minutes),
        ISSUER_TEST(max_age_zero_does_not_mean_a_fetch_for_each_token),
        ISSUER_TEST(a_rotated_key_is_fetched_at_once_and_the_withdrawn_one_is_unknown),
        ISSUER_TEST(a_key_in_use_outlives_its_set),
        ISSUER_TEST(random_kids_cost_one_fetch_per_cool_down),
        ISSUER_TEST(random_kids_do_not_starve_the_refresh),
        ISSUER_TEST(the_slot_stays_spent_when_the_forced_fetch_fails),
        ISSUER_TEST(tokens_before_the_first_key_cost_a_bounded_number_of_fetches),
        ISSUER_TEST(after_a_success_the_pauses_are_short_again),
        ISSUER_TEST(only_a_good_answer_replaces_the_keys),
        ISSUER_TEST(a_half_sent_set_does_not_replace_the_keys),
        ISSUER_TEST(old_keys_are_served_for_24_hours_and_then_none),
        ISSUER_TEST(a_failing_refresh_is_not_tried_for_each_token),
        ISSUER_TEST(the_reason_of_a_failure_is_kept_until_it_is_over),
        cmocka_unit_test(an_address_that_is_neither_https_nor_loopback_is_refused),
        cmocka_unit_test(google_s_address_is_fine),
    };
    return cmocka_run_group_tests_name("keys", tests, issuer_set_up_group, issuer_tear_down_group);
}
