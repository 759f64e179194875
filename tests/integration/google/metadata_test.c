// The metadata server: what is asked, what is believed, what is tried again.
#include "google/metadata.h"

#include "base/clock.h"
#include "stub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#define FLAVOR "Metadata-Flavor: Google\r\n"
#define TOKEN "{\"access_token\":\"ya29.abc\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"
// {"alg":"RS256"}.{"exp":4102444800}.sig
#define JWT "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln"

struct world {
    struct stub *stub;
    struct caller *caller;
    struct metadata *metadata;
    struct arena *arena;
    struct error err;
};

static int set_up(void **state) {
    struct world *world = memory_alloc(sizeof(*world));
    world->stub = stub_new();
    world->arena = arena_new();
    assert_true(caller_new(NULL, &world->caller, &world->err));
    assert_true(metadata_new(world->caller, stub_host(world->stub), true, &world->metadata, &world->err));
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    metadata_free(world->metadata);
    caller_free(world->caller);
    stub_free(world->stub);
    arena_free(world->arena);
    memory_cleanup(&world);
    return 0;
}

struct brake {
    struct stub *stub;
    atomic_bool stop;
};

static void *pull_brake(void *argument) {
    struct brake *brake = argument;
    while (stub_count(brake->stub) == 0)
        clock_sleep_ms(1);
    atomic_store(&brake->stop, true);
    return NULL;
}

static void an_access_token_is_asked_for_with_the_scope_and_the_flavor(void **state) {
    struct world *world = *state;
    struct bearer bearer;
    stub_answer(world->stub, 200, FLAVOR, TOKEN);
    assert_true(metadata_access_token(world->metadata, "https://a/b https://c", &bearer, &world->err));
    assert_string_equal(bearer.value.value, "ya29.abc");
    assert_string_equal(stub_seen(world->stub, 0)->line, "GET /computeMetadata/v1/instance/service-accounts/default/"
                                                         "token?scopes=https%3A%2F%2Fa%2Fb%2Chttps%3A%2F%2Fc HTTP/1.1");
    assert_non_null(strstr(stub_seen(world->stub, 0)->head.data, "\r\nMetadata-Flavor: Google\r\n"));
    bearer_done(&bearer);
}

static void an_id_token_is_asked_for_with_its_audience_and_the_email_in_it(void **state) {
    struct world *world = *state;
    struct bearer bearer;
    stub_answer(world->stub, 200, FLAVOR, JWT "\n");
    assert_true(metadata_id_token(world->metadata, "https://pawl.example/?a=b&c", &bearer, &world->err));
    assert_string_equal(bearer.value.value, JWT);
    assert_int_equal(bearer.expires, 4102444800);
    assert_string_equal(stub_seen(world->stub, 0)->line,
                        "GET /computeMetadata/v1/instance/service-accounts/default/"
                        "identity?format=full&audience=https%3A%2F%2Fpawl.example%2F%3Fa%3Db%26c HTTP/1.1");
    bearer_done(&bearer);
}

static void project_and_email_are_one_word(void **state) {
    struct world *world = *state;
    const char *word = NULL;
    stub_answer(world->stub, 200, FLAVOR, "my-project");
    assert_true(metadata_project(world->metadata, world->arena, &word, &world->err));
    assert_string_equal(word, "my-project");
    stub_forget(world->stub);
    stub_answer(world->stub, 200, FLAVOR, "a@b.iam.gserviceaccount.com\n");
    assert_true(metadata_email(world->metadata, world->arena, &word, &world->err));
    assert_string_equal(word, "a@b.iam.gserviceaccount.com");
    stub_forget(world->stub);
    stub_answer(world->stub, 200, FLAVOR, "<html>\nhello</html>");
    assert_false(metadata_project(world->metadata, world->arena, &word, &world->err));
}

static void an_answer_without_the_flavor_is_not_believed(void **state) {
    struct world *world = *state;
    struct bearer bearer;
    stub_answer(world->stub, 200, "", TOKEN);
    assert_false(metadata_access_token(world->metadata, "s", &bearer, &world->err));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_MISSING);
    stub_forget(world->stub);
    stub_answer(world->stub, 200, "Metadata-Flavor: google\r\n", TOKEN);
    assert_false(metadata_access_token(world->metadata, "s", &bearer, &world->err));
}

static void trouble_that_passes_is_tried_again(void **state) {
    struct world *world = *state;
    struct bearer bearer;
    stub_answer(world->stub, 503, FLAVOR, "");
    stub_answer(world->stub, 429, FLAVOR, "");
    stub_answer(world->stub, 0, "", "");
    stub_answer(world->stub, 200, FLAVOR, TOKEN);
    assert_true(metadata_access_token(world->metadata, "s", &bearer, &world->err));
    assert_int_equal(stub_count(world->stub), 4);
    bearer_done(&bearer);
}

static void five_tries_are_enough(void **state) {
    struct world *world = *state;
    struct bearer bearer;
    stub_answer(world->stub, 500, FLAVOR, "");
    assert_false(metadata_access_token(world->metadata, "s", &bearer, &world->err));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_UNAVAILABLE);
    assert_int_equal(stub_count(world->stub), 5);
}

static void a_plain_no_is_not_tried_again(void **state) {
    struct world *world = *state;
    struct bearer bearer;
    stub_answer(world->stub, 404, FLAVOR, "no service account");
    assert_false(metadata_access_token(world->metadata, "s", &bearer, &world->err));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_REFUSED);
    assert_int_equal(stub_count(world->stub), 1);
}

static void an_answer_that_is_no_token_is_refused_without_repeating_it(void **state) {
    struct world *world = *state;
    static const char *const bodies[] = {
        "",
        "ya29.abc",
        "{}",
        "{\"access_token\":\"ya29.abc\"}",
        "{\"access_token\":\"\",\"expires_in\":1}",
        "{\"access_token\":\"ya29.abc\",\"expires_in\":\"3599\"}",
        "{\"access_token\":\"ya29.abc\",\"expires_in\":-1}",
        "{\"access_token\":\"ya29.abc\\r\\nX-Evil: 1\",\"expires_in\":1}",
        "{\"access_token\":\"ya29.abc\\u0000\",\"expires_in\":1}",
        "{\"access_token\":\"ya29.abc\",\"access_token\":\"other\",\"expires_in\":1}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct bearer bearer;
        stub_forget(world->stub);
        stub_answer(world->stub, 200, FLAVOR, bodies[i]);
        assert_false(metadata_access_token(world->metadata, "s", &bearer, &world->err));
        assert_int_equal(world->err.code, ERROR_CREDENTIALS_UNAVAILABLE);
        assert_null(strstr(world->err.message, "ya29"));
    }
}

static void an_id_token_without_an_expiry_is_refused(void **state) {
    struct world *world = *state;
    static const char *const bodies[] = {"", "abc", "a.b", "a.b.c", "..", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct bearer bearer;
        stub_forget(world->stub);
        stub_answer(world->stub, 200, FLAVOR, bodies[i]);
        assert_false(metadata_id_token(world->metadata, "a", &bearer, &world->err));
        assert_int_equal(world->err.code, ERROR_CREDENTIALS_UNAVAILABLE);
    }
}

static void elsewhere_silence_means_that_there_are_no_credentials(void **state) {
    struct world *world = *state;
    struct metadata *elsewhere;
    struct bearer bearer;
    assert_true(metadata_new(world->caller, stub_host(world->stub), false, &elsewhere, &world->err));
    stub_answer(world->stub, 0, "", "");
    assert_false(metadata_access_token(elsewhere, "s", &bearer, &world->err));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_MISSING);
    assert_int_equal(stub_count(world->stub), 2);
    metadata_free(elsewhere);
}

static void a_host_that_is_not_local_is_refused(void **state) {
    struct world *world = *state;
    static const char *const hosts[] = {
        "example.com", "example.com:80", "127.0.0.1/x", "127.0.0.1@example.com", "a b", "?"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct metadata *metadata;
        assert_false(metadata_new(world->caller, hosts[i], true, &metadata, &world->err));
        assert_int_equal(world->err.code, ERROR_CONFIGURATION);
    }
}

static void a_stop_ends_the_tries(void **state) {
    struct world *world = *state;
    struct brake brake = {.stub = world->stub};
    struct caller *caller;
    struct metadata *metadata;
    struct bearer bearer;
    pthread_t thread;
    assert_true(caller_new(&brake.stop, &caller, &world->err));
    assert_true(metadata_new(caller, stub_host(world->stub), true, &metadata, &world->err));
    stub_answer(world->stub, 503, FLAVOR, "");
    assert_int_equal(pthread_create(&thread, NULL, pull_brake, &brake), 0);
    assert_false(metadata_access_token(metadata, "scope", &bearer, &world->err));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(world->err.code, ERROR_SHUTTING_DOWN);
    assert_int_equal(stub_count(world->stub), 1);
    metadata_free(metadata);
    caller_free(caller);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_access_token_is_asked_for_with_the_scope_and_the_flavor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_id_token_is_asked_for_with_its_audience_and_the_email_in_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(project_and_email_are_one_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_without_the_flavor_is_not_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trouble_that_passes_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(five_tries_are_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plain_no_is_not_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_that_is_no_token_is_refused_without_repeating_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_id_token_without_an_expiry_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elsewhere_silence_means_that_there_are_no_credentials, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_host_that_is_not_local_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_ends_the_tries, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("google/metadata", tests, NULL, NULL);
}
