// Secret Manager: the name, the checksum, and that what is secret stays out of errors.
#include "google/secret.h"

#include "stub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME "projects/p1/secrets/database-url/versions/latest"
// "postgresql://u:S3CR3T@h/d" and its CRC-32C, reckoned bit by bit elsewhere.
#define DATA "cG9zdGdyZXNxbDovL3U6UzNDUjNUQGgvZA=="
#define CHECKSUM "1950026238"
#define PAYLOAD(data, crc)                                                                                             \
    "{\"name\":\"projects/1/secrets/s/versions/7\",\"payload\":{\"data\":\"" data "\",\"dataCrc32c\":" crc "}}"

struct world {
    struct stub *stub;
    struct credentials *credentials;
    struct secret secret;
    struct error err;
};

static int set_up(void **state) {
    struct world *world = memory_alloc(sizeof(*world));
    struct credentials_settings who = {.access_token = "ya29.T0K3N"};
    world->stub = stub_new();
    assert_true(credentials_new(&who, &world->credentials, &world->err));
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    secret_done(&world->secret);
    credentials_free(world->credentials);
    stub_free(world->stub);
    free(world);
    return 0;
}

static bool fetch(struct world *world, const char *reference) {
    return secret_fetch(reference, stub_url(world->stub), world->credentials, &world->secret, &world->err);
}

static void a_secret_is_fetched_and_checked(void **state) {
    struct world *world = *state;
    stub_answer(world->stub, 200, "", PAYLOAD(DATA, "\"" CHECKSUM "\""));
    assert_true(fetch(world, "secret:" NAME));
    assert_string_equal(world->secret.value, "postgresql://u:S3CR3T@h/d");
    assert_string_equal(stub_seen(world->stub, 0)->line, "GET /v1/" NAME ":access HTTP/1.1");
    assert_non_null(strstr(stub_seen(world->stub, 0)->head.data, "\r\nAuthorization: Bearer ya29.T0K3N\r\n"));
}

static void a_newline_that_an_editor_left_is_taken_off(void **state) {
    struct world *world = *state;
    stub_answer(world->stub, 200, "", PAYLOAD("YQo=", "\"163439259\"")); // "a\n"
    assert_true(fetch(world, "secret:" NAME));
    assert_string_equal(world->secret.value, "a");
}

static void a_damaged_secret_is_not_used(void **state) {
    struct world *world = *state;
    static const char *const bodies[] = {
        PAYLOAD(DATA, "\"1\""),
        PAYLOAD(DATA, "\"-1\""),
        PAYLOAD(DATA, "\"\""),
        PAYLOAD(DATA, "null"),
        PAYLOAD("cG9zdGdyZXNxbDovL3U6UzNDUjNUQGgvZA", "\"" CHECKSUM "\""),
        PAYLOAD("cG9zdGdyZXNxbDovL3U6UzNDUjNUQGgvZQ==", "\"" CHECKSUM "\""),
        "{\"payload\":{\"data\":\"" DATA "\"}}",
        "{\"payload\":{\"dataCrc32c\":\"0\"}}",
        "{}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        stub_forget(world->stub);
        stub_answer(world->stub, 200, "", bodies[i]);
        assert_false(fetch(world, "secret:" NAME));
        assert_int_equal(world->err.code, ERROR_SECRET_UNAVAILABLE);
        assert_null(strstr(world->err.message, "S3CR3T"));
        assert_null(strstr(world->err.message, DATA));
    }
}

static void a_secret_that_is_no_text_is_refused(void **state) {
    struct world *world = *state;
    static const char *const bodies[] = {
        PAYLOAD("", "\"0\""), PAYLOAD("Cg==", "\"966753129\""), // "\n"
        PAYLOAD("YQBi", "\"1677306204\""),                      // "a\0b"
        PAYLOAD("/w==", "\"4278190080\""),                      // 0xff
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        stub_forget(world->stub);
        stub_answer(world->stub, 200, "", bodies[i]);
        assert_false(fetch(world, "secret:" NAME));
        assert_int_equal(world->err.code, ERROR_SECRET_REFUSED);
    }
}

static void a_refusal_names_the_secret_and_the_reason(void **state) {
    struct world *world = *state;
    stub_answer(world->stub, 403, "",
                "{\"error\":{\"code\":403,\"message\":\"Permission denied\",\"status\":\"PERMISSION_DENIED\"}}");
    assert_false(fetch(world, "secret:" NAME));
    assert_int_equal(world->err.code, ERROR_SECRET_REFUSED);
    assert_string_equal(world->err.message,
                        "cannot read secret:" NAME ": HTTP 403 PERMISSION_DENIED: Permission denied");
}

static void a_name_in_another_form_is_refused_before_anybody_is_asked(void **state) {
    struct world *world = *state;
    static const char *const names[] = {
        "secret:",
        "secret:projects/p",
        "secret:projects/p/secrets/s",
        "secret:projects/p/secrets/s/versions/",
        "secret:projects/p/secrets/s/versions/1/",
        "secret:projects/p/secrets/s/versions/1/x/y",
        "secret:projects/../secrets/s/versions/1",
        "secret:projects/p/secrets/s%2f/versions/1",
        "secret:projects/p/secrets/s?x/versions/1",
        "secret:projects/p/secrets/s/versions/1#",
        "secret:projects//secrets/s/versions/1",
        "secret:projects/p/locations/secrets/s/versions/1",
        "secret:/projects/p/secrets/s/versions/1",
        "secret:Projects/p/secrets/s/versions/1",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_false(fetch(world, names[i]));
        assert_int_equal(world->err.code, ERROR_CONFIGURATION);
    }
    assert_int_equal(stub_count(world->stub), 0);
}

static void a_regional_secret_keeps_its_location(void **state) {
    struct world *world = *state;
    stub_answer(world->stub, 200, "", PAYLOAD(DATA, CHECKSUM)); // a bare number is taken too
    assert_true(fetch(world, "secret:projects/p/locations/europe-west1/secrets/s/versions/3"));
    assert_string_equal(stub_seen(world->stub, 0)->line,
                        "GET /v1/projects/p/locations/europe-west1/secrets/s/versions/3:access HTTP/1.1");
}

static void a_value_is_a_reference_only_with_the_prefix(void **state) {
    (void)state;
    assert_true(secret_is_reference("secret:projects/p/secrets/s/versions/1"));
    assert_false(secret_is_reference("postgresql://secret:x@h/d"));
    assert_false(secret_is_reference(""));
    assert_false(secret_is_reference(NULL));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_secret_is_fetched_and_checked),
        CASE(a_newline_that_an_editor_left_is_taken_off),
        CASE(a_damaged_secret_is_not_used),
        CASE(a_secret_that_is_no_text_is_refused),
        CASE(a_refusal_names_the_secret_and_the_reason),
        CASE(a_name_in_another_form_is_refused_before_anybody_is_asked),
        CASE(a_regional_secret_keeps_its_location),
        CASE(a_value_is_a_reference_only_with_the_prefix),
    };
    return cmocka_run_group_tests_name("google/secret", tests, NULL, NULL);
}
