// What a message may say, in data, in attributes and in both; and what it may not.
#include "base/hash.h"
#include "push/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct arena *arena;

// A message with this data and, when `name` is given, this one attribute.
static bool read(const char *data, const char *name, const char *value, struct request *ret_request,
                 struct error *err) {
    const struct envelope_attribute attribute = {name, value};
    const struct envelope envelope = {.data = view_of(data), .attributes = &attribute, .attribute_count = name ? 1 : 0};
    return request_read(&envelope, arena, ret_request, err);
}

static struct request must_read(const char *data, const char *name, const char *value) {
    struct request request = {0};
    struct error err = {0};
    if (!read(data, name, value, &request, &err))
        fail_msg("%s: %s", data, err.message);
    return request;
}

static void must_refuse(const char *data, const char *name, const char *value, enum error_code code,
                        const char *message) {
    struct request request = {.target = "untouched"};
    struct error err = {0};
    if (read(data, name, value, &request, &err))
        fail_msg("%s (%s=%s) was taken", data, name, value);
    assert_string_equal(request.target, "untouched");
    if (err.code != code || !strstr(err.message, message))
        fail_msg("%s (%s=%s): %s \"%s\" does not say \"%s\"", data, name, value, error_name(err.code), err.message,
                 message);
}

static void an_empty_message_means_migrate_all(void **state) {
    (void)state;
    static const char *const empty[] = {"", "{}", " { } "};
    for (size_t i = 0; i < COUNT(empty); i++) {
        struct request request = must_read(empty[i], NULL, NULL);
        assert_null(request.target);
        assert_null(request.release);
        assert_null(request.to);
        assert_null(request.reason);
        assert_int_equal(request.action, REQUEST_MIGRATE);
    }
}

static void every_key_is_read_from_data(void **state) {
    (void)state;
    struct request request =
        must_read("{\"target\":\"orders-db_2\",\"release\":\"3f2a9c1\",\"to\":\"20240101120000\",\"action\":\"plan\","
                  "\"reason\":\"d\xc3\xa9ploiement \xf0\x9f\x9a\x80\"}",
                  NULL, NULL);
    assert_string_equal(request.target, "orders-db_2");
    assert_string_equal(request.release, "3f2a9c1");
    assert_string_equal(request.to, "20240101120000");
    assert_string_equal(request.reason, "d\xc3\xa9ploiement \xf0\x9f\x9a\x80");
    assert_int_equal(request.action, REQUEST_PLAN);
}

static void every_key_is_read_from_attributes(void **state) {
    (void)state;
    const struct envelope_attribute attributes[] = {
        {"reason", "by hand"}, {"action", "plan"}, {"to", "0042"}, {"release", "v1.2"}, {"target", "main"}};
    const struct envelope envelope = {.attributes = attributes, .attribute_count = COUNT(attributes)};
    struct request request = {0};
    struct error err = {0};
    assert_true(request_read(&envelope, arena, &request, &err));
    assert_string_equal(request.target, "main");
    assert_string_equal(request.release, "v1.2");
    assert_string_equal(request.to, "42");
    assert_string_equal(request.reason, "by hand");
    assert_int_equal(request.action, REQUEST_PLAN);
}

static void both_forms_together_make_one_request(void **state) {
    (void)state;
    struct request request = must_read("{\"release\":\"3f2a9c1\"}", "target", "main");
    assert_string_equal(request.release, "3f2a9c1");
    assert_string_equal(request.target, "main");
    assert_string_equal(must_read("{\"target\":\"main\"}", "target", "main").target, "main");
    assert_int_equal(must_read("{\"action\":\"plan\"}", "action", "plan").action, REQUEST_PLAN);
    assert_string_equal(must_read("{\"to\":42}", "to", "0042").to, "42");
    assert_null(must_read("{\"reason\":\"\"}", "reason", "").reason);
}

static void a_key_that_says_two_things_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *data, *name, *value;
    } cases[] = {
        {"{\"target\":\"main\"}", "target", "other"},
        {"{\"release\":\"a\"}", "release", "b"},
        {"{\"to\":\"42\"}", "to", "43"},
        {"{\"to\":42}", "to", "420"},
        {"{\"action\":\"plan\"}", "action", "migrate"},
        {"{\"action\":\"migrate\"}", "action", "plan"},
        {"{\"reason\":\"a\"}", "reason", "a "},
        {"{\"reason\":\"a\"}", "reason", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char message[100];
        (void)snprintf(message, sizeof(message), "\"%s\" says one thing in data and another in the attributes",
                       cases[i].name);
        must_refuse(cases[i].data, cases[i].name, cases[i].value, ERROR_REQUEST_MALFORMED, message);
    }
}

static void a_version_may_be_a_number_where_it_is_exact(void **state) {
    (void)state;
    assert_string_equal(must_read("{\"to\":20240101120000}", NULL, NULL).to, "20240101120000");
    assert_string_equal(must_read("{\"to\":0}", NULL, NULL).to, "0");
    assert_string_equal(must_read("{\"to\":\"000\"}", NULL, NULL).to, "0");
    assert_string_equal(must_read("{\"to\":\"12345678901234567890\"}", NULL, NULL).to, "12345678901234567890");
    static const char *const bad[] = {"-1",  "1.5", "9007199254740993", "12345678901234567890", "1e400", "true", "null",
                                      "[1]", "{}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        char data[64];
        (void)snprintf(data, sizeof(data), "{\"to\":%s}", bad[i]);
        must_refuse(data, NULL, NULL, ERROR_REQUEST_MALFORMED,
                    "the key \"to\" is neither a text nor a whole number below 2^53");
    }
}

static void a_digest_is_sixty_four_lower_case_hexadecimal_digits(void **state) {
    (void)state;
    static const char good[] = "{\"digest\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}";
    assert_int_equal(strlen(must_read(good, NULL, NULL).digest), 64);
    static const char *const bad[] = {"", "abc", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeF",
                                      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
                                      "sha256:0123456789abcdef0123456789abcdef0123456789abcdef012345678"};
    for (size_t i = 0; i < COUNT(bad); i++)
        must_refuse("", "digest", bad[i], ERROR_REQUEST_MALFORMED, "64 hexadecimal digits");
}

static void keys_of_later_versions_are_named(void **state) {
    (void)state;
    static const char *const later[] = {"source"};
    for (size_t i = 0; i < COUNT(later); i++) {
        char data[64], message[64];
        (void)snprintf(data, sizeof(data), "{\"target\":\"main\",\"%s\":\"x\"}", later[i]);
        (void)snprintf(message, sizeof(message), "the key \"%s\" is not supported yet", later[i]);
        must_refuse(data, NULL, NULL, ERROR_REQUEST_UNSUPPORTED, message);
        (void)snprintf(data, sizeof(data), "{\"%s\":true}", later[i]);
        must_refuse(data, NULL, NULL, ERROR_REQUEST_UNSUPPORTED, message);
        (void)snprintf(message, sizeof(message), "the attribute \"%s\" is not supported yet", later[i]);
        must_refuse("", later[i], "", ERROR_REQUEST_UNSUPPORTED, message);
    }
}

static void unknown_keys_are_named(void **state) {
    (void)state;
    static const char *const unknown[] = {"Target", "targets",    "target ",     "",           "database", "dsn",
                                          "PGHOST", "LD_PRELOAD", "traceparent", "googclient", "CloudPub", "pawl"};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        char data[64], message[64];
        (void)snprintf(data, sizeof(data), "{\"%s\":\"x\"}", unknown[i]);
        (void)snprintf(message, sizeof(message), "the key \"%s\" is not known", unknown[i]);
        must_refuse(data, NULL, NULL, ERROR_REQUEST_MALFORMED, message);
        (void)snprintf(message, sizeof(message), "the attribute \"%s\" is not known", unknown[i]);
        must_refuse("", unknown[i], "x", ERROR_REQUEST_MALFORMED, message);
        must_refuse("{}", unknown[i], "x", ERROR_REQUEST_MALFORMED, message);
    }
}

static void attributes_of_the_platform_are_ignored(void **state) {
    (void)state;
    static const char *const names[] = {"googclient_schemaencoding",
                                        "googclient_traceparent",
                                        "googclient_deliveryattempt",
                                        "CloudPubSubDeadLetterSourceDeliveryCount",
                                        "CloudPubSubDeadLetterSourceDeliveryErrorMessage",
                                        "pawl_error"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_null(must_read("", names[i], "\n").target);
    must_refuse("{\"googclient_traceparent\":\"x\"}", NULL, NULL, ERROR_REQUEST_MALFORMED,
                "\"googclient_traceparent\" is not known");
}

static void data_is_a_json_object_or_empty(void **state) {
    (void)state;
    static const char *const bad[] = {" ",
                                      "migrate",
                                      "{",
                                      "{\"target\":\"main\"",
                                      "{\"target\":\"main\"}}",
                                      "{'target':'main'}",
                                      "target=main",
                                      "{\"target\":\"main\",\"target\":\"main\"}",
                                      "{\"target\":\"main\\u0000\"}",
                                      "{\"target\":\"\xff\"}",
                                      "\xef\xbb\xbf{}",
                                      "\xff\xfe{\x01}"};
    static const char *const other[] = {"null", "[]", "\"main\"", "42", "true", "[{\"target\":\"main\"}]"};
    for (size_t i = 0; i < COUNT(bad); i++)
        must_refuse(bad[i], NULL, NULL, ERROR_REQUEST_MALFORMED, "the message's data is not a JSON object: JSON: ");
    for (size_t i = 0; i < COUNT(other); i++)
        must_refuse(other[i], NULL, NULL, ERROR_REQUEST_MALFORMED, "the message's data is JSON, but not an object");
    struct request request;
    struct error err = {0};
    const struct envelope nul = {.data = VIEW("{}\0{\"action\":\"plan\"}")};
    assert_false(request_read(&nul, arena, &request, &err));
}

// Both as a value in data and as an attribute.
static void refuse_value(const char *key, const char *value, const char *shape) {
    char data[1200], message[128];
    (void)snprintf(data, sizeof(data), "{\"%s\":\"%s\"}", key, value);
    (void)snprintf(message, sizeof(message), "the key \"%s\" must be %s", key, shape);
    must_refuse(data, NULL, NULL, ERROR_REQUEST_MALFORMED, message);
    (void)snprintf(message, sizeof(message), "the attribute \"%s\" must be %s", key, shape);
    must_refuse("", key, value, ERROR_REQUEST_MALFORMED, message);
}

static void values_are_held_to_their_shape(void **state) {
    (void)state;
    static const char *const targets[] = {
        "",          "Main", "main ", " main", "ma in", "main.db", "main/..", "m\xc3\xa9in", "dbname=x host=evil",
        "main;drop", "*"};
    static const char *const versions[] = {"",   "latest", "-1",  "+1", "1.0",     "1 ",
                                           " 1", "0x10",   "1_0", "V1", "\xd9\xa1"};
    static const char *const actions[] = {"", "Migrate", "migrate ", "up", "down", "Rollback", "dry-run"};
    for (size_t i = 0; i < COUNT(targets); i++)
        refuse_value("target", targets[i], "1 to 63 of a-z");
    for (size_t i = 0; i < COUNT(versions); i++)
        refuse_value("to", versions[i], "a version: 1 to 64 digits");
    for (size_t i = 0; i < COUNT(actions); i++)
        refuse_value("action", actions[i], "migrate, plan or rollback");
    refuse_value("release", "", "1 to 200 bytes");
    refuse_value("release", "a\xc2\x9b", "1 to 200 bytes");
    refuse_value("reason", "a\x7f", "at most 500 bytes");
    must_refuse("{\"release\":\"a\\u001b[2J\"}", NULL, NULL, ERROR_REQUEST_MALFORMED, "the key \"release\" must be");
    must_refuse("{\"reason\":\"two\\nlines\"}", NULL, NULL, ERROR_REQUEST_MALFORMED, "the key \"reason\" must be");
    must_refuse("", "reason", "two\nlines", ERROR_REQUEST_MALFORMED, "the attribute \"reason\" must be");
}

static void a_rollback_says_how_far(void **state) {
    (void)state;
    struct request request = must_read("{\"action\":\"rollback\",\"steps\":2}", NULL, NULL);
    assert_int_equal(request.action, REQUEST_ROLLBACK);
    assert_int_equal(request.steps, 2);
    request = must_read("{\"action\":\"rollback\",\"steps\":\"100\"}", "steps", "0100");
    assert_int_equal(request.steps, 100);
    request = must_read("{\"to\":7}", "action", "rollback");
    assert_int_equal(request.action, REQUEST_ROLLBACK);
    assert_int_equal(request.steps, 0);
    assert_string_equal(request.to, "7");
    static const char *const bad[] = {"0", "1001", "12345"}, *const words[] = {"", "-1", "two", "1.5", " 1"};
    for (size_t i = 0; i < COUNT(bad); i++)
        refuse_value("steps", bad[i], "a number from 1 to 1000");
    for (size_t i = 0; i < COUNT(words); i++)
        refuse_value("steps", words[i], "a number from 1 to 1000");
    must_refuse("{\"action\":\"rollback\"}", NULL, NULL, ERROR_REQUEST_MALFORMED, "a rollback needs");
    must_refuse("{\"action\":\"rollback\",\"steps\":1,\"to\":3}", NULL, NULL, ERROR_REQUEST_MALFORMED,
                "without \"to\"");
    must_refuse("{\"steps\":1}", NULL, NULL, ERROR_REQUEST_MALFORMED, "goes with a rollback");
    must_refuse("{\"steps\":1,\"action\":\"plan\"}", NULL, NULL, ERROR_REQUEST_MALFORMED, "goes with a rollback");
    must_refuse("{\"steps\":true,\"action\":\"rollback\"}", NULL, NULL, ERROR_REQUEST_MALFORMED, "the key \"steps\"");
}

static void out_of_order_is_a_flag(void **state) {
    (void)state;
    assert_true(must_read("{\"out_of_order\":true}", NULL, NULL).out_of_order);
    assert_true(must_read("{\"out_of_order\":\"true\"}", "out_of_order", "true").out_of_order);
    assert_false(must_read("{\"out_of_order\":false}", NULL, NULL).out_of_order);
    assert_false(must_read("{}", NULL, NULL).out_of_order);
    static const char *const bad[] = {"", "1", "True", "yes", "true "};
    for (size_t i = 0; i < COUNT(bad); i++)
        refuse_value("out_of_order", bad[i], "true or false");
    must_refuse("{\"out_of_order\":1}", NULL, NULL, ERROR_REQUEST_MALFORMED, "is neither true nor false");
    must_refuse("{\"out_of_order\":true}", "out_of_order", "false", ERROR_REQUEST_MALFORMED, "says one thing in data");
    must_refuse("{\"action\":\"rollback\",\"steps\":1,\"out_of_order\":true}", NULL, NULL, ERROR_REQUEST_MALFORMED,
                "does not go with a rollback");
    assert_string_equal(must_read("{\"out_of_order\":true}", NULL, NULL).fingerprint,
                        must_read("", "out_of_order", "true").fingerprint);
}

static void lengths_are_bounded_to_the_byte(void **state) {
    (void)state;
    static const struct {
        const char *key, *shape;
        char fill;
        size_t max;
    } cases[] = {{"target", "1 to 63", 'a', 63},
                 {"release", "1 to 200", 'x', 200},
                 {"to", "a version", '9', 64},
                 {"reason", "at most 500", ' ', 500}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char value[600];
        memset(value, cases[i].fill, sizeof(value));
        value[cases[i].max] = '\0';
        must_read("", cases[i].key, value);
        value[cases[i].max] = cases[i].fill;
        value[cases[i].max + 1] = '\0';
        refuse_value(cases[i].key, value, cases[i].shape);
    }
}

static void values_of_another_type_are_refused(void **state) {
    (void)state;
    static const char *const keys[] = {"target", "release", "action", "reason"};
    static const char *const values[] = {"1", "true", "null", "[]", "{}", "[\"main\"]"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        for (size_t j = 0; j < COUNT(values); j++) {
            char data[64], message[64];
            (void)snprintf(data, sizeof(data), "{\"%s\":%s}", keys[i], values[j]);
            (void)snprintf(message, sizeof(message), "the key \"%s\" is not a text", keys[i]);
            must_refuse(data, NULL, NULL, ERROR_REQUEST_MALFORMED, message);
        }
    }
}

// ---- proof and fingerprint -----------------------------------------------------------------------------------------

static void a_proof_is_taken_from_data_only(void **state) {
    (void)state;
    assert_string_equal(must_read("{\"proof\":\"eyJ-_.eyJ0.AZaz09\"}", NULL, NULL).proof, "eyJ-_.eyJ0.AZaz09");
    assert_null(must_read("{}", NULL, NULL).proof);
    must_refuse("", "proof", "a.b.c", ERROR_REQUEST_MALFORMED, "the attribute \"proof\" may only be said in data");
    must_refuse("{\"proof\":\"a.b.c\"}", "proof", "a.b.c", ERROR_REQUEST_MALFORMED, "may only be said in data");
}

static void a_proof_that_is_no_token_is_refused_and_never_shown(void **state) {
    (void)state;
    static const char *const bad[] = {"\"\"",        "\"a b\"",          "\"a.b.c=\"", "\"a+b\"", "\"a/b\"",
                                      "\"\\u00e9\"", "\"Bearer a.b.c\"", "null",       "1",       "[]",
                                      "{}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        char data[64];
        struct request request;
        struct error err = {0};
        (void)snprintf(data, sizeof(data), "{\"proof\":%s}", bad[i]);
        assert_false(read(data, NULL, NULL, &request, &err));
        assert_int_equal(err.code, ERROR_REQUEST_MALFORMED);
        assert_non_null(strstr(err.message, "the key \"proof\""));
        assert_null(strstr(err.message, "a.b"));
    }
    char data[REQUEST_PROOF_MAX + 32], token[REQUEST_PROOF_MAX + 2];
    memset(token, 'a', sizeof(token));
    token[REQUEST_PROOF_MAX] = '\0';
    (void)snprintf(data, sizeof(data), "{\"proof\":\"%s\"}", token);
    assert_int_equal(strlen(must_read(data, NULL, NULL).proof), REQUEST_PROOF_MAX);
    token[REQUEST_PROOF_MAX] = 'a';
    token[REQUEST_PROOF_MAX + 1] = '\0';
    (void)snprintf(data, sizeof(data), "{\"proof\":\"%s\"}", token);
    must_refuse(data, NULL, NULL, ERROR_REQUEST_MALFORMED, "a signed token of at most 8192 bytes");
}

// The canonical texts, hashed by sha256sum.
static void fingerprints_are_known(void **state) {
    (void)state;
    static const struct {
        const char *data, *name, *value, *canonical;
    } cases[] = {
        {"", NULL, NULL, "{}"},
        {"{}", NULL, NULL, "{}"},
        {"{\"proof\":\"a.b.c\"}", NULL, NULL, "{}"},
        {" {\"target\" : \"main\", \"release\":\"3f2a9c1\" }", NULL, NULL,
         "{\"release\":\"3f2a9c1\",\"target\":\"main\"}"},
        {"{\"release\":\"3f2a9c1\"}", "target", "main", "{\"release\":\"3f2a9c1\",\"target\":\"main\"}"},
        {"{\"to\":42}", NULL, NULL, "{\"to\":\"42\"}"},
        {"", "to", "0042", "{\"to\":\"42\"}"},
        {"{\"to\":\"042\"}", "to", "42", "{\"to\":\"42\"}"},
        {"{\"action\":\"migrate\"}", NULL, NULL, "{\"action\":\"migrate\"}"},
        {"{\"reason\":\"\"}", NULL, NULL, "{\"reason\":\"\"}"},
        {"{\"reason\":\"a \\\"b\\\" \\\\ \\/ \\u00e9\"}", NULL, NULL, "{\"reason\":\"a \\\"b\\\" \\\\ / \xc3\xa9\"}"},
        {"{\"reason\":\"\\u2028\\ud83d\\ude80\"}", NULL, NULL, "{\"reason\":\"\xe2\x80\xa8\xf0\x9f\x9a\x80\"}"},
        {"{\"to\":\"7\",\"target\":\"t\",\"reason\":\"r\",\"release\":\"l\",\"action\":\"plan\"}", NULL, NULL,
         "{\"action\":\"plan\",\"reason\":\"r\",\"release\":\"l\",\"target\":\"t\",\"to\":\"7\"}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char expected[65];
        hash_hex(view_of(cases[i].canonical), expected);
        assert_string_equal(must_read(cases[i].data, cases[i].name, cases[i].value).fingerprint, expected);
    }
    assert_string_equal(must_read("", NULL, NULL).fingerprint,
                        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert_string_equal(must_read("{\"target\":\"main\",\"release\":\"3f2a9c1\"}", NULL, NULL).fingerprint,
                        "4f78893bfad10cc8d2e9dff0695ec1da81d4e9f7c128a5b5a6837541161194ad");
}

static void any_other_request_has_another_fingerprint(void **state) {
    (void)state;
    static const char *const requests[] = {
        "{}",
        "{\"target\":\"main\"}",
        "{\"release\":\"main\"}",
        "{\"target\":\"mai\"}",
        "{\"reason\":\"\"}",
        "{\"reason\":\" \"}",
        "{\"action\":\"migrate\"}",
        "{\"action\":\"plan\"}",
        "{\"to\":\"1\"}",
        "{\"to\":\"10\"}",
        "{\"release\":\"a\",\"target\":\"b\"}",
        "{\"release\":\"a\\\",\\\"target\\\":\\\"b\"}",
        "{\"reason\":\"\\\"\"}",
        "{\"reason\":\"\\\\\"}",
        "{\"reason\":\"\\\\\\\"\"}",
        "{\"reason\":\"\\\"\\\\\"}",
    };
    for (size_t i = 0; i < COUNT(requests); i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(must_read(requests[i], NULL, NULL).fingerprint,
                                    must_read(requests[j], NULL, NULL).fingerprint);
}

// What the platform and pawl add on the way of a dead letter does not loosen the proof from its request.
static void attributes_of_the_platform_are_no_part_of_the_fingerprint(void **state) {
    (void)state;
    assert_string_equal(must_read("{}", "pawl_error", "LOCK_HELD").fingerprint,
                        must_read("{}", NULL, NULL).fingerprint);
}

static void a_name_from_outside_is_shown_cut_and_harmless(void **state) {
    (void)state;
    char name[101] = "\x1b[2J\n";
    memset(name + 5, 'a', 95);
    must_refuse("", name, "x", ERROR_REQUEST_MALFORMED,
                "the attribute \" [2J aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" is not known");
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
        cmocka_unit_test(an_empty_message_means_migrate_all),
        cmocka_unit_test(every_key_is_read_from_data),
        cmocka_unit_test(every_key_is_read_from_attributes),
        cmocka_unit_test(both_forms_together_make_one_request),
        cmocka_unit_test(a_key_that_says_two_things_is_refused_by_name),
        cmocka_unit_test(a_version_may_be_a_number_where_it_is_exact),
        cmocka_unit_test(a_digest_is_sixty_four_lower_case_hexadecimal_digits),
        cmocka_unit_test(keys_of_later_versions_are_named),
        cmocka_unit_test(a_rollback_says_how_far),
        cmocka_unit_test(out_of_order_is_a_flag),
        cmocka_unit_test(unknown_keys_are_named),
        cmocka_unit_test(attributes_of_the_platform_are_ignored),
        cmocka_unit_test(data_is_a_json_object_or_empty),
        cmocka_unit_test(values_are_held_to_their_shape),
        cmocka_unit_test(lengths_are_bounded_to_the_byte),
        cmocka_unit_test(values_of_another_type_are_refused),
        cmocka_unit_test(a_proof_is_taken_from_data_only),
        cmocka_unit_test(a_proof_that_is_no_token_is_refused_and_never_shown),
        cmocka_unit_test(fingerprints_are_known),
        cmocka_unit_test(any_other_request_has_another_fingerprint),
        cmocka_unit_test(attributes_of_the_platform_are_no_part_of_the_fingerprint),
        cmocka_unit_test(a_name_from_outside_is_shown_cut_and_harmless),
    };
    return cmocka_run_group_tests_name("push/request", tests, make_arena, free_arena);
}
