// Push bodies as Pub/Sub, Eventarc and the emulator send them, and everything that is none.
#include "push/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SUBSCRIPTION "\"subscription\":\"projects/p/subscriptions/s\""
#define IDENTITY "\"messageId\":\"1\",\"publishTime\":\"2026-11-22T14:46:37.254Z\""
// A good body around some more members of the message.
#define BODY(members) "{\"message\":{" IDENTITY members "}," SUBSCRIPTION "}"

static struct arena *arena;

static struct envelope must_read(const char *body) {
    struct envelope envelope = {0};
    struct error err = {0};
    if (!envelope_read(view_of(body), arena, &envelope, &err))
        fail_msg("%s: %s", body, err.message);
    return envelope;
}

static void must_refuse(const char *body, const char *message) {
    struct envelope envelope = {.delivery_attempt = 77};
    struct error err = {0};
    if (envelope_read(view_of(body), arena, &envelope, &err))
        fail_msg("%s was taken", body);
    assert_int_equal(envelope.delivery_attempt, 77);
    assert_int_equal(err.code, ERROR_ENVELOPE_MALFORMED);
    if (!strstr(err.message, message))
        fail_msg("%s: \"%s\" does not say \"%s\"", body, err.message, message);
}

static void the_largest_documented_body_is_read(void **state) {
    (void)state;
    struct envelope envelope =
        must_read("{\"deliveryAttempt\": 5,\n \"message\": {\"attributes\": {\"key\":\"value\"}, "
                  "\"data\":\"SGVsbG8gQ2xvdWQgUHViL1N1YiE=\","
                  " \"messageId\":\"2070443601311540\", \"message_id\":\"2070443601311540\", \"orderingKey\":\"main\","
                  " \"publishTime\":\"2021-02-26T19:13:55.749Z\", \"publish_time\":\"2021-02-26T19:13:55.749Z\"},\n"
                  " \"subscription\":\"projects/myproject/subscriptions/mysubscription\"}\n");
    assert_string_equal(envelope.message_id, "2070443601311540");
    assert_true(envelope.published_ms == 1614366835749);
    assert_string_equal(envelope.subscription, "projects/myproject/subscriptions/mysubscription");
    assert_string_equal(envelope.ordering_key, "main");
    assert_true(view_is(envelope.data, "Hello Cloud Pub/Sub!"));
    assert_int_equal(envelope.delivery_attempt, 5);
    assert_int_equal(envelope.attribute_count, 1);
    assert_string_equal(envelope_attribute(&envelope, "key"), "value");
    assert_null(envelope_attribute(&envelope, "Key"));
    assert_false(envelope.dead_letter);
}

static void the_emulators_escaped_slashes_are_read(void **state) {
    (void)state;
    struct envelope envelope = must_read(
        "{\"subscription\":\"projects\\/p1\\/subscriptions\\/"
        "oidc\",\"message\":{\"publishTime\":\"2026-11-22T14:46:37.254Z\","
        "\"data\":\"eyJoZWxsbyI6IndvcmxkIn0=\",\"publish_time\":\"2026-11-22T14:46:37.254Z\",\"messageId\":\"1\","
        "\"attributes\":{\"env\":\"prod\",\"k\":\"v\"},\"message_id\":\"1\"}}");
    assert_string_equal(envelope.subscription, "projects/p1/subscriptions/oidc");
    assert_true(view_is(envelope.data, "{\"hello\":\"world\"}"));
    assert_string_equal(envelope.attributes[0].name, "env");
    assert_string_equal(envelope.attributes[1].name, "k");
}

static void what_is_optional_may_be_absent(void **state) {
    (void)state;
    struct envelope envelope = must_read(BODY(""));
    assert_int_equal(envelope.data.length, 0);
    assert_int_equal(envelope.attribute_count, 0);
    assert_int_equal(envelope.delivery_attempt, 0);
    assert_null(envelope.ordering_key);
    assert_null(envelope_attribute(&envelope, "any"));
    envelope = must_read(BODY(",\"data\":\"\",\"attributes\":{},\"orderingKey\":\"\""));
    assert_int_equal(envelope.data.length, 0);
    assert_int_equal(envelope.attribute_count, 0);
    assert_null(envelope.ordering_key);
}

static void either_spelling_of_a_twin_will_do(void **state) {
    (void)state;
    struct envelope envelope =
        must_read("{\"message\":{\"message_id\":\"7\",\"publish_time\":\"2026-11-22T14:46:37Z\"}," SUBSCRIPTION "}");
    assert_string_equal(envelope.message_id, "7");
    assert_true(envelope.published_ms == 1795358797000);
    must_refuse(BODY(",\"message_id\":\"2\""), "message.messageId says one thing");
    must_refuse(BODY(",\"message_id\":\"\""), "message.messageId says one thing");
    must_refuse(BODY(",\"publish_time\":\"2026-11-22T14:46:37.255Z\""), "message.publishTime says one thing");
}

static void members_of_tomorrow_are_tolerated(void **state) {
    (void)state;
    must_read("{\"new\":[1,{}],\"message\":{" IDENTITY
              ",\"new\":null,\"Data\":5,\"delivery_attempt\":\"x\"}," SUBSCRIPTION "}");
}

static void data_may_hold_any_byte(void **state) {
    (void)state;
    struct envelope envelope = must_read(BODY(",\"data\":\"AP8K\""));
    assert_true(view_equal(envelope.data, VIEW("\0\xff\n")));
}

static void a_dead_letter_keeps_its_first_time(void **state) {
    (void)state;
    struct envelope envelope =
        must_read(BODY(",\"attributes\":{\"target\":\"main\",\"CloudPubSubDeadLetterSourceDeliveryCount\":\"5\","
                       "\"CloudPubSubDeadLetterSourceSubscription\":\"deploys\","
                       "\"CloudPubSubDeadLetterSourceSubscriptionProject\":\"shop\","
                       "\"CloudPubSubDeadLetterSourceTopicPublishTime\":\"2022-08-12T15:56:29.732+00:00\"}"));
    assert_true(envelope.dead_letter);
    assert_true(envelope.published_ms == 1660319789732);
    assert_int_equal(envelope.source_deliveries, 5);
    assert_string_equal(envelope.source_subscription, "projects/shop/subscriptions/deploys");
    assert_int_equal(envelope.attribute_count, 5);
}

static void the_first_of_several_times_counts(void **state) {
    (void)state;
    static const struct {
        const char *attributes;
        int64_t published_ms;
    } cases[] = {
        {"\"pawl_published\":\"2022-08-12T15:56:29.732Z\"", 1660319789732},
        {"\"pawl_published\":\"2022-08-12T15:56:29.732Z\","
         "\"CloudPubSubDeadLetterSourceTopicPublishTime\":\"2023-01-01T00:00:00Z\"",
         1660319789732},
        {"\"pawl_published\":\"2023-01-01T00:00:00Z\","
         "\"CloudPubSubDeadLetterSourceTopicPublishTime\":\"2022-08-12T15:56:29.732Z\"",
         1660319789732},
        {"\"pawl_published\":\"2100-01-01T00:00:00Z\"", 1795358797254},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[1024];
        (void)snprintf(body, sizeof(body), BODY(",\"attributes\":{%s}"), cases[i].attributes);
        assert_int_equal(must_read(body).published_ms, cases[i].published_ms);
    }
    must_refuse(BODY(",\"attributes\":{\"pawl_published\":\"yesterday\"}"), "pawl_published is not a time");
    must_refuse(BODY(",\"attributes\":{\"pawl_published\":\"\"}"), "pawl_published is not a time");
}

static void what_a_dead_letter_only_tells_may_be_unreadable(void **state) {
    (void)state;
    struct envelope envelope = must_read(BODY(",\"attributes\":{\"CloudPubSubDeadLetterSourceDeliveryCount\":\"many\","
                                              "\"CloudPubSubDeadLetterSourceSubscription\":\"a/b\","
                                              "\"CloudPubSubDeadLetterSourceSubscriptionProject\":\"shop\"}"));
    assert_true(envelope.dead_letter);
    assert_int_equal(envelope.source_deliveries, 0);
    assert_null(envelope.source_subscription);
    assert_true(envelope.published_ms == 1795358797254);
    must_refuse(BODY(",\"attributes\":{\"pawl_published\":\"yesterday\"}"), "pawl_published is not a time");
    must_refuse(BODY(",\"attributes\":{\"CloudPubSubDeadLetterSourceTopicPublishTime\":\"yesterday\"}"),
                "CloudPubSubDeadLetterSourceTopicPublishTime is not a time");
}

static void what_is_no_envelope_is_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "",
        " ",
        "null",
        "[]",
        "\"message\"",
        "1",
        "{",
        "hello",
        "<html>",
        "target=main",
        "{\"message\":{},}",
        "{\"message\":{\"a\":1,\"a\":2}}",
        "{\"message\":\"\\u0000\"}",
        "{} {}",
    };
    for (size_t i = 0; i < COUNT(bodies); i++)
        must_refuse(bodies[i], "body");
    struct envelope envelope;
    struct error err = {0};
    assert_false(envelope_read(VIEW(BODY("") "\0"), arena, &envelope, &err));
    assert_false(envelope_read((struct view){0}, arena, &envelope, &err));
    must_refuse("{\"target\":\"main\"}", "message is missing"); // an unwrapped push
}

static void every_member_is_held_to_its_shape(void **state) {
    (void)state;
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"{" SUBSCRIPTION "}", "message is missing"},
        {"{\"Message\":{" IDENTITY "}," SUBSCRIPTION "}", "message is missing"},
        {"{\"message\":null," SUBSCRIPTION "}", "message is not an object"},
        {"{\"message\":[]," SUBSCRIPTION "}", "message is not an object"},
        {"{\"message\":\"x\"," SUBSCRIPTION "}", "message is not an object"},
        {"{\"message\":{\"publishTime\":\"2026-11-22T14:46:37Z\"}," SUBSCRIPTION "}", "message.messageId is missing"},
        {"{\"message\":{\"messageid\":\"1\",\"publishTime\":\"2026-11-22T14:46:37Z\"}," SUBSCRIPTION "}",
         "message.messageId is missing"},
        {"{\"message\":{\"messageId\":1,\"publishTime\":\"2026-11-22T14:46:37Z\"}," SUBSCRIPTION "}",
         "message.messageId is not a text"},
        {"{\"message\":{\"messageId\":null,\"message_id\":\"1\",\"publishTime\":\"2026-11-22T14:46:37Z\"}," SUBSCRIPTION
         "}",
         "message.messageId is not a text"},
        {"{\"message\":{\"messageId\":\"\",\"publishTime\":\"2026-11-22T14:46:37Z\"}," SUBSCRIPTION "}",
         "message.messageId is not 1 to 255"},
        {"{\"message\":{\"messageId\":\"a b\",\"publishTime\":\"2026-11-22T14:46:37Z\"}," SUBSCRIPTION "}",
         "message.messageId is not 1 to 255"},
        {"{\"message\":{\"messageId\":\"a\\n\",\"publishTime\":\"2026-11-22T14:46:37Z\"}," SUBSCRIPTION "}",
         "message.messageId is not 1 to 255"},
        {"{\"message\":{\"messageId\":\"\xc3\xa9\",\"publishTime\":\"2026-11-22T14:46:37Z\"}," SUBSCRIPTION "}",
         "message.messageId is not 1 to 255"},
        {"{\"message\":{\"messageId\":\"1\"}," SUBSCRIPTION "}", "message.publishTime is missing"},
        {"{\"message\":{\"messageId\":\"1\",\"publishTime\":1795358797}," SUBSCRIPTION "}",
         "message.publishTime is not a text"},
        {"{\"message\":{\"messageId\":\"1\",\"publishTime\":\"\"}," SUBSCRIPTION "}",
         "message.publishTime is not a time"},
        {"{\"message\":{\"messageId\":\"1\",\"publishTime\":\"2026-11-22\"}," SUBSCRIPTION "}",
         "message.publishTime is not a time"},
        {"{\"message\":{\"messageId\":\"1\",\"publishTime\":\"2026-11-22T14:46:37+01:00\"}," SUBSCRIPTION "}",
         "message.publishTime is not a time"},
        {BODY(",\"data\":null"), "message.data is not a text"},
        {BODY(",\"data\":{}"), "message.data is not a text"},
        {BODY(",\"data\":\"{}\""), "message.data is not base64"},
        {BODY(",\"data\":\"Zg\""), "message.data is not base64"},
        {BODY(",\"data\":\"Zh==\""), "message.data is not base64"},
        {BODY(",\"data\":\"Zg==\\n\""), "message.data is not base64"},
        {BODY(",\"data\":\"_-8=\""), "message.data is not base64"},
        {BODY(",\"attributes\":null"), "message.attributes is not an object"},
        {BODY(",\"attributes\":[]"), "message.attributes is not an object"},
        {BODY(",\"attributes\":\"a=b\""), "message.attributes is not an object"},
        {BODY(",\"attributes\":{\"to\":5}"), "message.attributes: to is not a text"},
        {BODY(",\"attributes\":{\"a\":\"b\",\"to\":null}"), "message.attributes: to is not a text"},
        {BODY(",\"orderingKey\":5"), "message.orderingKey is not a text"},
        {"{\"message\":{" IDENTITY "}}", "subscription is missing"},
        {"{\"message\":{" IDENTITY "," SUBSCRIPTION "}}", "subscription is missing"},
        {"{\"message\":{" IDENTITY "},\"subscription\":7}", "subscription is not a text"},
        {"{\"deliveryAttempt\":\"5\",\"message\":{" IDENTITY "}," SUBSCRIPTION "}", "deliveryAttempt is not a count"},
        {"{\"deliveryAttempt\":-1,\"message\":{" IDENTITY "}," SUBSCRIPTION "}", "deliveryAttempt is not a count"},
        {"{\"deliveryAttempt\":1.5,\"message\":{" IDENTITY "}," SUBSCRIPTION "}", "deliveryAttempt is not a count"},
        {"{\"deliveryAttempt\":1e300,\"message\":{" IDENTITY "}," SUBSCRIPTION "}", "deliveryAttempt is not a count"},
        {"{\"deliveryAttempt\":null,\"message\":{" IDENTITY "}," SUBSCRIPTION "}", "deliveryAttempt is not a count"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        must_refuse(cases[i].body, cases[i].message);
}

static void a_subscription_has_one_shape(void **state) {
    (void)state;
    static const char *const good[] = {"projects/p/subscriptions/s",
                                       "projects/example.com:shop/subscriptions/A.b_c~d+e%7E-9"};
    static const char *const bad[] = {
        "",
        "s",
        "projects/p/topics/s",
        "projects/p/subscriptions/",
        "projects//subscriptions/s",
        "projects/p/subscriptions",
        "projects/p/subscriptions/s/x",
        "projects/p/subscriptions/s/",
        "/projects/p/subscriptions/s",
        "projects/a/b/subscriptions/s",
        "projects/p/subscriptions/s s",
        "projects/p/subscriptions/\xc3\xa9",
        "projects/p/subscriptions/s\\n",
        "Projects/p/subscriptions/s",
        "projects/p/subscriptions/s?x=1",
        "projects/p/Subscriptions/s",
        "projects/p",
        "projects/",
    };
    char body[512];
    for (size_t i = 0; i < COUNT(good); i++) {
        (void)snprintf(body, sizeof(body), "{\"message\":{" IDENTITY "},\"subscription\":\"%s\"}", good[i]);
        assert_string_equal(must_read(body).subscription, good[i]);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        (void)snprintf(body, sizeof(body), "{\"message\":{" IDENTITY "},\"subscription\":\"%s\"}", bad[i]);
        must_refuse(body, "subscription is not projects/PROJECT/subscriptions/SUBSCRIPTION");
    }
}

static void a_name_from_outside_is_shown_cut_and_harmless(void **state) {
    (void)state;
    cleanup_text struct text body = TEXT(1000);
    text_append(&body, "{\"message\":{" IDENTITY ",\"attributes\":{\"\\u001b[2J\\n");
    for (int i = 0; i < 100; i++)
        text_append(&body, "a");
    text_append(&body, "\":5}}," SUBSCRIPTION "}");
    must_refuse(text_string(&body),
                "message.attributes:  [2J aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa is not a text");
}

static int make_arena(void **state) {
    (void)state;
    arena = arena_new();
    return 0;
}

static int free_arena(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_documented_body_is_read),
        cmocka_unit_test(the_emulators_escaped_slashes_are_read),
        cmocka_unit_test(what_is_optional_may_be_absent),
        cmocka_unit_test(either_spelling_of_a_twin_will_do),
        cmocka_unit_test(members_of_tomorrow_are_tolerated),
        cmocka_unit_test(data_may_hold_any_byte),
        cmocka_unit_test(a_dead_letter_keeps_its_first_time),
        cmocka_unit_test(the_first_of_several_times_counts),
        cmocka_unit_test(what_a_dead_letter_only_tells_may_be_unreadable),
        cmocka_unit_test(what_is_no_envelope_is_refused),
        cmocka_unit_test(every_member_is_held_to_its_shape),
        cmocka_unit_test(a_subscription_has_one_shape),
        cmocka_unit_test(a_name_from_outside_is_shown_cut_and_harmless),
    };
    return cmocka_run_group_tests_name("push/envelope", tests, make_arena, free_arena);
}
