// Parked messages: what they say about themselves, and what goes back.
#include "command/parked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PARKED_MS = 1795359000 }; // any time; seconds

static struct pubsub_pulled pulled(const char *data, const struct pubsub_attribute *attributes, size_t count) {
    return (struct pubsub_pulled){
        .message = {.data = view_of(data), .attributes = attributes, .attribute_count = count, .ordering_key = "k"},
        .id = "100",
        .ack_id = "ack",
        .published_ms = (int64_t)PARKED_MS * 1000,
    };
}

static const char *value_of(const struct pubsub_message *message, const char *key) {
    for (size_t i = 0; i < message->attribute_count; i++)
        if (strcmp(message->attributes[i].key, key) == 0)
            return message->attributes[i].value;
    return NULL;
}

static const struct pubsub_attribute by_worker[] = {
    {"env", "prod"},
    {"pawl_error", "MIGRATION_FAILED"},
    {"pawl_message", "relation \"orders\" does not exist"},
    {"pawl_file", "0003_x.sql"},
    {"pawl_line", "4"},
    {"pawl_statement", "2"},
    {"pawl_sqlstate", "42P01"},
    {"pawl_run", "7"},
    {"pawl_message_id", "7"},
    {"pawl_target", "main"},
    {"pawl_published", "2026-11-22T14:46:37.254Z"},
};
static const struct pubsub_attribute by_platform[] = {
    {"release", "abc"},
    {"googclient_schemaencoding", "JSON"},
    {"CloudPubSubDeadLetterSourceDeliveryCount", "5"},
    {"CloudPubSubDeadLetterSourceSubscription", "pawl-push"},
    {"CloudPubSubDeadLetterSourceSubscriptionProject", "p1"},
    {"CloudPubSubDeadLetterSourceTopicPublishTime", "2026-11-22T14:46:37Z"},
};

static void what_the_worker_parked_says_why(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct pubsub_pulled letter = pulled("{\"release\":\"4f2c1a9\"}", by_worker, 11);
    struct parked parked = parked_read(&letter, arena);
    assert_string_equal(parked.original_id, "7");
    assert_string_equal(parked.target, "main");
    assert_string_equal(parked.release, "4f2c1a9");
    assert_string_equal(parked.error, "MIGRATION_FAILED");
    assert_string_equal(parked.reason, "0003_x.sql:4: relation \"orders\" does not exist");
    assert_int_equal(parked.published_ms, 1795358797254);
}

static void what_pubsub_parked_says_how_often_it_tried(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct pubsub_pulled letter = pulled("{\"target\":\"shop\"}", by_platform, 6);
    struct parked parked = parked_read(&letter, arena);
    assert_string_equal(parked.original_id, "");
    assert_string_equal(parked.target, "shop");
    assert_string_equal(parked.release, "abc");
    assert_string_equal(parked.error, "");
    assert_string_equal(parked.reason, "5 deliveries to pawl-push failed");
    assert_int_equal(parked.published_ms, 1795358797000);
}

static void a_message_that_nobody_explained_is_shown_all_the_same(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    static const char *const datas[] = {
        "", "not json", "[1]", "{\"target\":1}", "{\"target\":\"a\",\"target\":\"b\"}", "\xff"};
    for (size_t i = 0; i < sizeof(datas) / sizeof(datas[0]); i++) {
        struct pubsub_pulled letter = pulled(datas[i], NULL, 0);
        struct parked parked = parked_read(&letter, arena);
        assert_string_equal(parked.target, "");
        assert_string_equal(parked.reason, "");
        assert_int_equal(parked.published_ms, (int64_t)PARKED_MS * 1000);
    }
    static const struct pubsub_attribute odd[] = {
        {"pawl_published", "yesterday"}, {"pawl_file", "a.sql"}, {"pawl_line", ""}};
    struct pubsub_pulled letter = pulled("", odd, 3);
    assert_int_equal(parked_read(&letter, arena).published_ms, (int64_t)PARKED_MS * 1000);
}

static void a_message_is_found_by_its_own_id_and_by_the_original_one(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct pubsub_pulled letter = pulled("", by_worker, 11), other = pulled("", by_platform, 6);
    struct parked parked = parked_read(&letter, arena), unknown = parked_read(&other, arena);
    assert_true(parked_has_id(&parked, "100"));
    assert_true(parked_has_id(&parked, "7"));
    assert_false(parked_has_id(&parked, "10"));
    assert_false(parked_has_id(&parked, ""));
    assert_false(parked_has_id(&unknown, ""));
}

static void what_goes_back_is_the_message_as_it_was_with_a_link_to_the_original(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct pubsub_pulled letter = pulled("{\"a\":1}", by_worker, 11);
    struct parked parked = parked_read(&letter, arena);
    struct pubsub_message message = parked_revive(&parked, arena);
    assert_true(view_is(message.data, "{\"a\":1}"));
    assert_string_equal(message.ordering_key, "k");
    assert_int_equal(message.attribute_count, 3);
    assert_string_equal(value_of(&message, "env"), "prod");
    assert_string_equal(value_of(&message, "pawl_replay_of"), "7");
    assert_string_equal(value_of(&message, "pawl_published"), "2026-11-22T14:46:37.254Z");
}

static void the_platforms_attributes_do_not_go_back(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct pubsub_pulled letter = pulled("", by_platform, 6);
    struct parked parked = parked_read(&letter, arena);
    struct pubsub_message message = parked_revive(&parked, arena);
    assert_int_equal(message.attribute_count, 3);
    assert_string_equal(value_of(&message, "release"), "abc");
    assert_string_equal(value_of(&message, "pawl_replay_of"), "100"); // all that is known
    assert_string_equal(value_of(&message, "pawl_published"), "2026-11-22T14:46:37.000Z");
}

static void a_replay_of_a_replay_still_names_the_first(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    static const struct pubsub_attribute again[] = {
        {"pawl_replay_of", "7"}, {"pawl_message_id", "55"}, {"pawl_published", "2026-11-22T14:46:37.254Z"}};
    struct pubsub_pulled letter = pulled("", again, 3);
    struct parked parked = parked_read(&letter, arena);
    struct pubsub_message message = parked_revive(&parked, arena);
    assert_int_equal(message.attribute_count, 2);
    assert_string_equal(value_of(&message, "pawl_replay_of"), "7");
    assert_string_equal(value_of(&message, "pawl_published"), "2026-11-22T14:46:37.254Z");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_worker_parked_says_why),
        cmocka_unit_test(what_pubsub_parked_says_how_often_it_tried),
        cmocka_unit_test(a_message_that_nobody_explained_is_shown_all_the_same),
        cmocka_unit_test(a_message_is_found_by_its_own_id_and_by_the_original_one),
        cmocka_unit_test(what_goes_back_is_the_message_as_it_was_with_a_link_to_the_original),
        cmocka_unit_test(the_platforms_attributes_do_not_go_back),
        cmocka_unit_test(a_replay_of_a_replay_still_names_the_first),
    };
    return cmocka_run_group_tests_name("command/parked", tests, NULL, NULL);
}
