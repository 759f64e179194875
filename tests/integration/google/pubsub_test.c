// Pub/Sub over REST: the bytes that are sent, the answers that are believed, the failures that are tried again.
#include "google/pubsub.h"

#include "base/clock.h"
#include "stub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOPIC "projects/p1/topics/migrate"
#define DEAD "projects/p1/subscriptions/dead"
#define PUBLISHED "{\"messageIds\":[\"42\"]}"
enum { BUDGET_MS = 20000 };

struct world {
    struct stub *stub;
    struct arena *arena;
    struct credentials *credentials;
    struct pubsub *pubsub;
    const char *id;
    struct error err;
};

static int set_up(void **state) {
    struct world *world = memory_alloc(sizeof(*world));
    struct credentials_settings who = {.access_token = "ya29.S3CR3T"};
    world->stub = stub_new();
    world->arena = arena_new();
    assert_true(credentials_new(&who, &world->credentials, &world->err));
    struct pubsub_settings where = {.endpoint = arena_printf(world->arena, "%s/", stub_url(world->stub))};
    assert_true(pubsub_new(&where, world->credentials, &world->pubsub, &world->err));
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    pubsub_free(world->pubsub);
    credentials_free(world->credentials);
    stub_free(world->stub);
    arena_free(world->arena);
    free(world);
    return 0;
}

static bool publish(struct world *world, unsigned budget_ms) {
    static const struct pubsub_attribute attributes[] = {{"env", "prod"}, {"quote", "a\"b"}};
    struct pubsub_message message = {
        .data = VIEW("{\"a\":1}"), .attributes = attributes, .attribute_count = 2, .ordering_key = "k1"};
    return pubsub_publish(world->pubsub, TOPIC, &message, budget_ms, world->arena, &world->id, &world->err);
}

static const char *body_of(struct world *world, size_t number) {
    return text_string(&stub_seen(world->stub, number)->body);
}

// ---- publish -----------------------------------------------------------------------------------------------------------

static void a_message_is_published_with_attributes_key_and_token(void **state) {
    struct world *world = *state;
    stub_answer(world->stub, 200, "", PUBLISHED);
    assert_true(publish(world, BUDGET_MS));
    assert_string_equal(world->id, "42");
    assert_string_equal(stub_seen(world->stub, 0)->line, "POST /v1/projects/p1/topics/migrate:publish HTTP/1.1");
    assert_non_null(strstr(stub_seen(world->stub, 0)->head.data, "\r\nAuthorization: Bearer ya29.S3CR3T\r\n"));
    assert_non_null(strstr(stub_seen(world->stub, 0)->head.data, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(body_of(world, 0), "{\"messages\":[{\"data\":\"eyJhIjoxfQ==\",\"attributes\":{\"env\":\"prod\","
                                           "\"quote\":\"a\\\"b\"},\"orderingKey\":\"k1\"}]}");
}

static void a_message_without_an_ordering_key_says_none(void **state) {
    struct world *world = *state;
    struct pubsub_message message = {.data = VIEW("x"), .ordering_key = ""};
    stub_answer(world->stub, 200, "", PUBLISHED);
    assert_true(pubsub_publish(world->pubsub, TOPIC, &message, BUDGET_MS, world->arena, &world->id, &world->err));
    assert_string_equal(body_of(world, 0), "{\"messages\":[{\"data\":\"eA==\",\"attributes\":{}}]}");
}

static void every_failure_that_passes_is_tried_again(void **state) {
    struct world *world = *state;
    static const int statuses[] = {429, 500, 502, 503, 504, 408, 0};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        stub_forget(world->stub);
        stub_answer(world->stub, statuses[i], "", "{}");
        stub_answer(world->stub, 200, "", PUBLISHED);
        assert_true(publish(world, BUDGET_MS));
        assert_int_equal(stub_count(world->stub), 2);
        assert_string_equal(body_of(world, 0), body_of(world, 1));
    }
}

static void a_failure_that_does_not_pass_ends_with_the_time(void **state) {
    struct world *world = *state;
    stub_answer(world->stub, 503, "",
                "{\"error\":{\"code\":503,\"message\":\"try later\",\"status\":\"UNAVAILABLE\"}}");
    uint64_t start = clock_ms();
    assert_false(publish(world, 1000));
    assert_true(clock_ms() - start < 1000 + 500); // no pause reaches past the end
    assert_int_equal(world->err.code, ERROR_PUBSUB_UNAVAILABLE);
    assert_true(stub_count(world->stub) >= 2);
    assert_non_null(strstr(world->err.message, "cannot publish to " TOPIC ": HTTP 503 UNAVAILABLE: try later"));
}

static void what_pubsub_refuses_is_not_tried_again(void **state) {
    struct world *world = *state;
    static const int statuses[] = {400, 401, 403, 404, 409, 413, 302};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        stub_forget(world->stub);
        stub_answer(world->stub, statuses[i], "Location: http://127.0.0.1:1/\r\n",
                    "{\"error\":{\"code\":404,\"message\":\"Resource not found "
                    "(resource=migrate).\",\"status\":\"NOT_FOUND\"}}");
        assert_false(publish(world, BUDGET_MS));
        assert_int_equal(world->err.code, ERROR_PUBSUB_REFUSED);
        assert_int_equal(stub_count(world->stub), 1);
        assert_non_null(strstr(world->err.message, "NOT_FOUND: Resource not found (resource=migrate)."));
        assert_null(strstr(world->err.message, "S3CR3T"));
    }
}

static void a_refusal_in_no_known_shape_is_not_repeated(void **state) {
    struct world *world = *state;
    stub_answer(world->stub, 404, "", "<html>\x1b[31mnot here</html>");
    assert_false(publish(world, BUDGET_MS));
    assert_string_equal(world->err.message, "cannot publish to " TOPIC ": HTTP 404");
}

static void an_answer_without_a_message_id_is_no_success(void **state) {
    struct world *world = *state;
    static const char *const bodies[] = {"",
                                         "[]",
                                         "{}",
                                         "{\"messageIds\":[]}",
                                         "{\"messageIds\":[1]}",
                                         "{\"messageIds\":[\"\"]}",
                                         "{\"messageIds\":[\"1\"]} x"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        stub_forget(world->stub);
        stub_answer(world->stub, 200, "", bodies[i]);
        assert_false(publish(world, BUDGET_MS));
        assert_int_equal(world->err.code, ERROR_PUBSUB_UNAVAILABLE);
    }
}

static void a_message_beyond_the_limit_is_refused_before_it_is_sent(void **state) {
    struct world *world = *state;
    size_t size = 13 << 20;
    cleanup_free char *data = memory_alloc(size);
    struct pubsub_message message = {.data = {data, size}};
    assert_false(pubsub_publish(world->pubsub, TOPIC, &message, BUDGET_MS, world->arena, &world->id, &world->err));
    assert_int_equal(world->err.code, ERROR_PUBSUB_REFUSED);
    assert_int_equal(stub_count(world->stub), 0);
}

// ---- pull and settle ---------------------------------------------------------------------------------------------------

static void messages_are_pulled_as_they_were_published(void **state) {
    struct world *world = *state;
    struct pubsub_pulled *messages;
    size_t count;
    stub_answer(world->stub, 200, "",
                "{\"receivedMessages\":[{\"ackId\":\"a1\",\"message\":{\"data\":\"AAEC\",\"attributes\":{\"k\":\"v\","
                "\"x\":\"y\"},"
                "\"messageId\":\"7\",\"publishTime\":\"2026-11-22T14:46:37.254Z\",\"orderingKey\":\"o\"}},"
                "{\"ackId\":\"a2\",\"deliveryAttempt\":3,\"message\":{\"messageId\":\"8\",\"publishTime\":\"2026-11-"
                "22T14:46:38Z\"}}]}");
    assert_true(pubsub_pull(world->pubsub, DEAD, 10, world->arena, &messages, &count, &world->err));
    assert_string_equal(stub_seen(world->stub, 0)->line, "POST /v1/projects/p1/subscriptions/dead:pull HTTP/1.1");
    assert_string_equal(body_of(world, 0), "{\"maxMessages\":10,\"returnImmediately\":true}");
    assert_int_equal(count, 2);
    assert_string_equal(messages[0].ack_id, "a1");
    assert_string_equal(messages[0].id, "7");
    assert_int_equal(messages[0].message.data.length, 3);
    assert_memory_equal(messages[0].message.data.data, "\0\1\2", 3);
    assert_int_equal(messages[0].message.attribute_count, 2);
    assert_string_equal(messages[0].message.attributes[1].key, "x");
    assert_string_equal(messages[0].message.attributes[1].value, "y");
    assert_string_equal(messages[0].message.ordering_key, "o");
    assert_int_equal(messages[0].published_ms, 1795358797254);
    assert_int_equal(messages[1].message.data.length, 0);
    assert_int_equal(messages[1].message.attribute_count, 0);
}

static void an_empty_subscription_gives_no_messages(void **state) {
    struct world *world = *state;
    struct pubsub_pulled *messages;
    size_t count = 9;
    stub_answer(world->stub, 200, "", "{}");
    assert_true(pubsub_pull(world->pubsub, DEAD, 1000, world->arena, &messages, &count, &world->err));
    assert_int_equal(count, 0);
    assert_string_equal(body_of(world, 0), "{\"maxMessages\":25,\"returnImmediately\":true}");
}

static void a_pulled_message_that_lacks_something_is_refused(void **state) {
    struct world *world = *state;
    static const char *const messages[] = {
        "{}",
        "{\"ackId\":\"a\"}",
        "{\"ackId\":\"a\",\"message\":{\"publishTime\":\"2026-11-22T14:46:37Z\"}}",
        "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\"}}",
        "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"publishTime\":\"yesterday\"}}",
        "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"publishTime\":\"2026-11-22T14:46:37Z\",\"data\":\"A\"}}",
        "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"publishTime\":\"2026-11-22T14:46:37Z\",\"attributes\":{"
        "\"a\":1}}}",
        "{\"message\":{\"messageId\":\"1\",\"publishTime\":\"2026-11-22T14:46:37Z\"}}",
    };
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        struct pubsub_pulled *pulled;
        size_t count;
        stub_forget(world->stub);
        stub_answer(world->stub, 200, "", arena_printf(world->arena, "{\"receivedMessages\":[%s]}", messages[i]));
        assert_false(pubsub_pull(world->pubsub, DEAD, 1, world->arena, &pulled, &count, &world->err));
        assert_int_equal(world->err.code, ERROR_PUBSUB_UNAVAILABLE);
    }
}

static void leases_are_acknowledged_extended_and_given_back(void **state) {
    struct world *world = *state;
    static const char *const ids[] = {"a1", "a2"};
    stub_answer(world->stub, 200, "", "{}");
    assert_true(pubsub_acknowledge(world->pubsub, DEAD, ids, 2, &world->err));
    assert_true(pubsub_extend(world->pubsub, DEAD, ids, 1, 60, &world->err));
    assert_true(pubsub_extend(world->pubsub, DEAD, ids, 1, 0, &world->err));
    assert_true(pubsub_acknowledge(world->pubsub, DEAD, ids, 0, &world->err)); // nothing to say
    assert_int_equal(stub_count(world->stub), 3);
    assert_string_equal(stub_seen(world->stub, 0)->line,
                        "POST /v1/projects/p1/subscriptions/dead:acknowledge HTTP/1.1");
    assert_string_equal(body_of(world, 0), "{\"ackIds\":[\"a1\",\"a2\"]}");
    assert_string_equal(stub_seen(world->stub, 1)->line,
                        "POST /v1/projects/p1/subscriptions/dead:modifyAckDeadline HTTP/1.1");
    assert_string_equal(body_of(world, 1), "{\"ackIds\":[\"a1\"],\"ackDeadlineSeconds\":60}");
    assert_string_equal(body_of(world, 2), "{\"ackIds\":[\"a1\"],\"ackDeadlineSeconds\":0}");
}

// ---- where -------------------------------------------------------------------------------------------------------------

static void an_emulator_gets_no_token(void **state) {
    struct world *world = *state;
    struct pubsub_settings settings = {.emulator = stub_host(world->stub), .endpoint = "https://ignored.example/"};
    cleanup_pubsub struct pubsub *emulator = NULL;
    struct pubsub_message message = {.data = VIEW("x")};
    assert_true(pubsub_new(&settings, world->credentials, &emulator, &world->err));
    stub_answer(world->stub, 200, "", PUBLISHED);
    assert_true(pubsub_publish(emulator, TOPIC, &message, BUDGET_MS, world->arena, &world->id, &world->err));
    assert_null(strstr(stub_seen(world->stub, 0)->head.data, "Authorization"));
}

static void an_endpoint_that_is_none_is_refused(void **state) {
    struct world *world = *state;
    static const struct pubsub_settings settings[] = {
        {.emulator = "127.0.0.1:1/path"}, {.emulator = "user@127.0.0.1:1"},       {.endpoint = "http://example.com/"},
        {.endpoint = "ftp://127.0.0.1/"}, {.endpoint = "https://a.example/?q=1"}, {.endpoint = "pubsub.googleapis.com"},
    };
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        struct pubsub *pubsub;
        assert_false(pubsub_new(&settings[i], world->credentials, &pubsub, &world->err));
        assert_int_equal(world->err.code, ERROR_CONFIGURATION);
    }
}

static void without_credentials_nothing_is_sent(void **state) {
    struct world *world = *state;
    struct credentials_settings nobody = {.metadata_host = "127.0.0.1:1"};
    struct credentials *credentials;
    struct pubsub *pubsub;
    struct pubsub_settings where = {.endpoint = stub_url(world->stub)};
    struct pubsub_message message = {.data = VIEW("x")};
    assert_true(credentials_new(&nobody, &credentials, &world->err));
    assert_true(pubsub_new(&where, credentials, &pubsub, &world->err));
    assert_false(pubsub_publish(pubsub, TOPIC, &message, BUDGET_MS, world->arena, &world->id, &world->err));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_MISSING);
    assert_int_equal(stub_count(world->stub), 0);
    pubsub_free(pubsub);
    credentials_free(credentials);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_message_is_published_with_attributes_key_and_token),
        CASE(a_message_without_an_ordering_key_says_none),
        CASE(every_failure_that_passes_is_tried_again),
        CASE(a_failure_that_does_not_pass_ends_with_the_time),
        CASE(what_pubsub_refuses_is_not_tried_again),
        CASE(a_refusal_in_no_known_shape_is_not_repeated),
        CASE(an_answer_without_a_message_id_is_no_success),
        CASE(a_message_beyond_the_limit_is_refused_before_it_is_sent),
        CASE(messages_are_pulled_as_they_were_published),
        CASE(an_empty_subscription_gives_no_messages),
        CASE(a_pulled_message_that_lacks_something_is_refused),
        CASE(leases_are_acknowledged_extended_and_given_back),
        CASE(an_emulator_gets_no_token),
        CASE(an_endpoint_that_is_none_is_refused),
        CASE(without_credentials_nothing_is_sent),
    };
    return cmocka_run_group_tests_name("google/pubsub", tests, NULL, NULL);
}
