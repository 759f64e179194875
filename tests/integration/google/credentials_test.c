// Who we are: each source of tokens, what is kept and for how long, and that no secret gets into an error.
#include "google/credentials.h"

#include "../../unit/auth/forge.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "stub.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FLAVOR "Metadata-Flavor: Google\r\n"
#define ACCESS(token, seconds) "{\"access_token\":\"" token "\",\"expires_in\":" seconds ",\"token_type\":\"Bearer\"}"
// {"alg":"RS256"}.{"exp":4102444800}.sig
#define JWT "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln"

struct world {
    struct stub *stub;
    struct arena *arena;
    struct forge *forge;
    struct credentials *credentials;
    struct secret token;
    struct error err;
    char file[64], subject[64];
};

static void put_file(char path[static 64], const char *content) {
    memcpy(path, "/tmp/pawl-credentials.XXXXXX", sizeof("/tmp/pawl-credentials.XXXXXX"));
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(close(fd), 0);
}

static int set_up(void **state) {
    struct world *world = memory_alloc(sizeof(*world));
    world->stub = stub_new();
    world->arena = arena_new();
    world->forge = forge_new(2048);
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    credentials_free(world->credentials);
    secret_done(&world->token);
    stub_free(world->stub);
    arena_free(world->arena);
    forge_free(world->forge);
    if (world->file[0])
        (void)unlink(world->file);
    if (world->subject[0])
        (void)unlink(world->subject);
    free(world);
    return 0;
}

static void open_with(struct world *world, struct credentials_settings settings) {
    settings.metadata_host = stub_host(world->stub);
    assert_true(credentials_new(&settings, &world->credentials, &world->err));
}

static void open_file(struct world *world, const char *content) {
    put_file(world->file, content);
    open_with(world, (struct credentials_settings){.file = world->file});
}

static bool access_token(struct world *world) {
    secret_done(&world->token);
    return credentials_access_token(world->credentials, SCOPE_PUBSUB, &world->token, &world->err);
}

static bool id_token(struct world *world) {
    secret_done(&world->token);
    return credentials_id_token(world->credentials, "https://pawl.example", &world->token, &world->err);
}

static const char *body_of(struct world *world, size_t number) {
    return text_string(&stub_seen(world->stub, number)->body);
}

// ---- given by hand, and kept -------------------------------------------------------------------------------------------

static void a_token_given_by_hand_is_used_and_nobody_is_asked(void **state) {
    struct world *world = *state;
    open_with(world, (struct credentials_settings){.access_token = "ya29.hand", .id_token = "a.b.c"});
    assert_true(access_token(world));
    assert_string_equal(world->token.value, "ya29.hand");
    assert_true(id_token(world));
    assert_string_equal(world->token.value, "a.b.c");
    assert_int_equal(stub_count(world->stub), 0);
}

static void a_token_by_hand_that_would_break_a_header_is_refused(void **state) {
    struct world *world = *state;
    static const char *const tokens[] = {"a b", "a\r\nX: y", "\xc3\xa9", "a\x01"};
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        struct credentials_settings settings = {.access_token = tokens[i]};
        struct credentials *credentials;
        assert_false(credentials_new(&settings, &credentials, &world->err));
        assert_int_equal(world->err.code, ERROR_CONFIGURATION);
        assert_null(strstr(world->err.message, tokens[i]));
    }
}

static void a_token_is_kept_for_its_scope_until_it_is_nearly_over(void **state) {
    struct world *world = *state;
    open_with(world, (struct credentials_settings){.in_cloud = true});
    stub_answer(world->stub, 200, FLAVOR, ACCESS("one", "3600"));
    stub_answer(world->stub, 200, FLAVOR, ACCESS("two", "224")); // inside the last 3 min 45 s from the start
    stub_answer(world->stub, 200, FLAVOR, ACCESS("three", "3600"));
    assert_true(access_token(world));
    assert_true(access_token(world));
    assert_string_equal(world->token.value, "one");
    assert_int_equal(stub_count(world->stub), 1);
    struct secret other = {0};
    assert_true(credentials_access_token(world->credentials, SCOPE_SQL_LOGIN, &other, &world->err));
    assert_string_equal(other.value, "two");
    secret_done(&other);
    assert_true(credentials_access_token(world->credentials, SCOPE_SQL_LOGIN, &other, &world->err));
    assert_string_equal(other.value, "three");
    secret_done(&other);
    assert_int_equal(stub_count(world->stub), 3);
}

static void a_token_that_is_nearly_over_is_better_than_none(void **state) {
    struct world *world = *state;
    open_with(world, (struct credentials_settings){.in_cloud = true});
    stub_answer(world->stub, 200, FLAVOR, ACCESS("old", "200"));
    stub_answer(world->stub, 404, FLAVOR, "");
    assert_true(access_token(world));
    assert_true(access_token(world));
    assert_string_equal(world->token.value, "old");
    assert_int_equal(stub_count(world->stub), 2);
}

static void a_token_that_is_over_is_not_used(void **state) {
    struct world *world = *state;
    open_with(world, (struct credentials_settings){.in_cloud = true});
    stub_answer(world->stub, 200, FLAVOR, ACCESS("dead", "0"));
    stub_answer(world->stub, 404, FLAVOR, "");
    assert_true(access_token(world)); // just received
    assert_false(access_token(world));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_REFUSED);
}

static void more_audiences_than_are_kept_still_get_their_own_tokens(void **state) {
    struct world *world = *state;
    open_with(world, (struct credentials_settings){.in_cloud = true});
    stub_answer(world->stub, 200, FLAVOR, JWT);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20; i++) {
            struct secret token = {0};
            assert_true(credentials_id_token(world->credentials, arena_printf(world->arena, "https://a%d", i), &token,
                                             &world->err));
            secret_done(&token);
        }
    assert_int_equal(stub_count(world->stub), 40); // a ring of sixteen never has the next of twenty
}

struct thread_world {
    struct world *world;
    bool done;
};

static void *ask_in_a_thread(void *context) {
    struct thread_world *mine = context;
    struct secret token = {0};
    struct error err = {0};
    mine->done = credentials_access_token(mine->world->credentials, SCOPE_PUBSUB, &token, &err) &&
                 strcmp(token.value, "shared") == 0;
    secret_done(&token);
    return NULL;
}

static void threads_that_ask_together_share_one_fetch(void **state) {
    struct world *world = *state;
    pthread_t threads[8];
    struct thread_world worlds[8];
    open_with(world, (struct credentials_settings){.in_cloud = true});
    stub_answer(world->stub, 200, FLAVOR, ACCESS("shared", "3600"));
    for (size_t i = 0; i < 8; i++) {
        worlds[i] = (struct thread_world){world, false};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_in_a_thread, &worlds[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(worlds[i].done);
    }
    assert_int_equal(stub_count(world->stub), 1);
}

static void without_any_source_the_error_says_what_to_set(void **state) {
    struct world *world = *state;
    open_with(world, (struct credentials_settings){0});
    stub_answer(world->stub, 0, "", "");
    assert_false(access_token(world));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_MISSING);
    assert_non_null(strstr(world->err.message, "PAWL_ACCESS_TOKEN"));
    assert_non_null(strstr(world->err.message, "GOOGLE_APPLICATION_CREDENTIALS"));
    assert_false(id_token(world));
    assert_non_null(strstr(world->err.message, "PAWL_ID_TOKEN"));
}

// ---- a service account's key -------------------------------------------------------------------------------------------

static void put_key_file(struct world *world, bool locked, struct text *out) {
    cleanup_text struct text pem = TEXT(8192);
    forge_private_pem(world->forge, locked, &pem);
    struct json_writer writer = JSON_WRITER(out);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "type", "service_account");
    json_put_string(&writer, "project_id", "key-project");
    json_put_string(&writer, "private_key_id", "kid1");
    json_put_string(&writer, "private_key", text_string(&pem));
    json_put_string(&writer, "client_email", "publisher@p.iam.gserviceaccount.com");
    json_put_string(&writer, "token_uri", arena_printf(world->arena, "%s/token", stub_url(world->stub)));
    json_end_object(&writer);
}

static struct json *decode_part(struct view part) {
    char decoded[4096];
    size_t length;
    struct json *json = NULL;
    struct error err = {0};
    assert_true(base64_decoded_max(part.length) <= sizeof(decoded));
    assert_true(base64url_decode(part, decoded, &length));
    assert_true(json_parse((struct view){decoded, length}, &json, &err));
    return json;
}

static void expect_member(const struct json *object, const char *name, const char *value) {
    struct view found;
    assert_true(json_string(json_get(object, name), &found));
    assert_string_equal(found.data, value);
}

// The assertion in the form that was sent, its signature verified with the public half.
static void check_assertion(struct world *world, const char *form, const char *claim, const char *value) {
    const char *assertion = strstr(form, "&assertion=");
    assert_non_null(assertion);
    assertion += strlen("&assertion=");
    const char *first = strchr(assertion, '.'), *second = strchr(first + 1, '.');
    cleanup_json struct json *head = decode_part((struct view){assertion, (size_t)(first - assertion)});
    cleanup_json struct json *claims = decode_part((struct view){first + 1, (size_t)(second - first - 1)});
    expect_member(head, "alg", "RS256");
    expect_member(head, "kid", "kid1");
    expect_member(claims, "iss", "publisher@p.iam.gserviceaccount.com");
    expect_member(claims, "aud", arena_printf(world->arena, "%s/token", stub_url(world->stub)));
    expect_member(claims, claim, value);
    int64_t issued, expires;
    assert_true(json_integer(json_get(claims, "iat"), 0, INT64_MAX, &issued));
    assert_true(json_integer(json_get(claims, "exp"), 0, INT64_MAX, &expires));
    assert_int_equal(expires - issued, 3600);
    assert_true(clock_unix() - issued < 60);
    char signature[1024];
    size_t length;
    assert_true(base64url_decode(view_of(second + 1), signature, &length));
    struct key *key = forge_key(world->forge);
    assert_true(signature_verify(key, (struct view){assertion, (size_t)(second - assertion)},
                                 (struct view){signature, length}, &world->err));
    key_release(key);
}

static void a_key_file_signs_for_access_tokens_and_id_tokens(void **state) {
    struct world *world = *state;
    cleanup_text struct text file = TEXT(16384);
    put_key_file(world, false, &file);
    open_file(world, text_string(&file));
    stub_answer(world->stub, 200, "", ACCESS("by-key", "3599"));
    stub_answer(world->stub, 200, "", "{\"id_token\":\"" JWT "\"}");
    assert_true(access_token(world));
    assert_string_equal(world->token.value, "by-key");
    assert_true(id_token(world));
    assert_string_equal(world->token.value, JWT);
    assert_string_equal(stub_seen(world->stub, 0)->line, "POST /token HTTP/1.1");
    assert_non_null(
        strstr(stub_seen(world->stub, 0)->head.data, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
    assert_non_null(strstr(body_of(world, 0), "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&"));
    check_assertion(world, body_of(world, 0), "scope", SCOPE_PUBSUB);
    check_assertion(world, body_of(world, 1), "target_audience", "https://pawl.example");
    const char *project = NULL;
    assert_true(credentials_project(world->credentials, world->arena, &project, &world->err));
    assert_string_equal(project, "key-project");
    const char *email = NULL;
    assert_true(credentials_email(world->credentials, world->arena, &email, &world->err));
    assert_string_equal(email, "publisher@p.iam.gserviceaccount.com");
}

static void a_refused_grant_says_what_google_said(void **state) {
    struct world *world = *state;
    cleanup_text struct text file = TEXT(16384);
    put_key_file(world, false, &file);
    open_file(world, text_string(&file));
    stub_answer(world->stub, 400, "", "{\"error\":\"invalid_grant\",\"error_description\":\"Account not found\\nX\"}");
    assert_false(access_token(world));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_REFUSED);
    assert_non_null(strstr(world->err.message, "invalid_grant: Account not found X"));
    assert_int_equal(stub_count(world->stub), 1);
}

static void a_locked_key_is_refused_without_asking_for_its_passphrase(void **state) {
    struct world *world = *state;
    cleanup_text struct text file = TEXT(16384);
    put_key_file(world, true, &file);
    put_file(world->file, text_string(&file));
    struct credentials_settings settings = {.file = world->file};
    assert_false(credentials_new(&settings, &world->credentials, &world->err));
    assert_int_equal(world->err.code, ERROR_CONFIGURATION);
    world->credentials = NULL;
}

static void a_key_file_that_lacks_something_or_sends_secrets_elsewhere_is_refused(void **state) {
    struct world *world = *state;
    static const char *const files[] = {
        "",
        "[]",
        "{}",
        "not json",
        "{\"type\":\"service_account\"}",
        "{\"type\":\"gdch_service_account\"}",
        "{\"type\":\"impersonated_service_account\"}",
        "{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":\"https://x/"
        "y:generateAccessToken\"}",
        "{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":\"https://x/"
        "y:generateAccessToken\","
        "\"source_credentials\":{\"type\":\"impersonated_service_account\"}}",
        "{\"type\":\"service_account\",\"client_email\":\"a\",\"private_key_id\":\"k\",\"private_key\":\"S3CR3T\"}",
        "{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"S3CR3T\"}",
        "{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"S3CR3T\",\"refresh_token\":\"S3CR3T\","
        "\"token_uri\":\"http://example.com/S3CR3T\"}",
        "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\"}",
        "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\",\"credential_source\":"
        "{\"environment_id\":\"aws1\"}}",
        "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\",\"credential_source\":"
        "{\"executable\":{\"command\":\"x\"}}}",
        "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\",\"credential_source\":"
        "{\"url\":\"http://example.com/\"}}",
        "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\",\"credential_source\":"
        "{\"url\":\"https://example.com/\",\"headers\":{\"A\":\"S3CR3T\\r\\nB: c\"}}}",
        "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\",\"credential_source\":"
        "{\"file\":\"/x\"},\"service_account_impersonation_url\":\"https://iamcredentials.googleapis.com/v1/x:other\"}",
        "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\",\"token_url\":\"ftp://x\","
        "\"credential_source\":{\"file\":\"/x\"}}",
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        put_file(world->file, files[i]);
        struct credentials_settings settings = {.file = world->file};
        struct credentials *credentials;
        assert_false(credentials_new(&settings, &credentials, &world->err));
        assert_int_equal(world->err.code, ERROR_CONFIGURATION);
        assert_non_null(strstr(world->err.message, "GOOGLE_APPLICATION_CREDENTIALS"));
        assert_null(strstr(world->err.message, "S3CR3T"));
        assert_int_equal(unlink(world->file), 0);
    }
    world->file[0] = '\0';
    struct credentials_settings settings = {.file = "/nonexistent/credentials.json"};
    struct credentials *credentials;
    assert_false(credentials_new(&settings, &credentials, &world->err));
    assert_non_null(strstr(world->err.message, "No such file"));
}

// ---- workload identity federation --------------------------------------------------------------------------------------

static char *federation_file(struct world *world, const char *source, bool impersonation) {
    const char *url = stub_url(world->stub);
    const char *tail = impersonation
                           ? arena_printf(world->arena,
                                          ",\"service_account_impersonation_url\":\"%s/v1/projects/-/serviceAccounts/"
                                          "w@p.iam.gserviceaccount.com:generateAccessToken\"",
                                          url)
                           : "";
    return arena_printf(world->arena,
                        "{\"type\":\"external_account\",\"audience\":\"//iam.googleapis.com/projects/1/x\","
                        "\"subject_token_type\":\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"%s/v1/token\","
                        "\"credential_source\":%s%s}",
                        url, source, tail);
}

static void federation_exchanges_a_token_from_a_url_as_github_gives_it(void **state) {
    struct world *world = *state;
    open_file(world, federation_file(world,
                                     arena_printf(world->arena,
                                                  "{\"url\":\"%s/oidc?audience=a\",\"headers\":{\"Authorization\":"
                                                  "\"Bearer gh-request\"},\"format\":{\"type\":\"json\","
                                                  "\"subject_token_field_name\":\"value\"}}",
                                                  stub_url(world->stub)),
                                     false));
    stub_answer(world->stub, 200, "", "{\"value\":\"gh.jwt.x\"}");
    stub_answer(world->stub, 200, "", ACCESS("federated", "3600"));
    assert_true(access_token(world));
    assert_string_equal(world->token.value, "federated");
    assert_string_equal(stub_seen(world->stub, 0)->line, "GET /oidc?audience=a HTTP/1.1");
    assert_non_null(strstr(stub_seen(world->stub, 0)->head.data, "\r\nAuthorization: Bearer gh-request\r\n"));
    assert_string_equal(stub_seen(world->stub, 1)->line, "POST /v1/token HTTP/1.1");
    assert_string_equal(body_of(world, 1),
                        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
                        "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
                        "&audience=%2F%2Fiam.googleapis.com%2Fprojects%2F1%2Fx"
                        "&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fpubsub"
                        "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
                        "&subject_token=gh.jwt.x");
}

static void federation_reads_a_file_and_impersonates_for_access_and_id_tokens(void **state) {
    struct world *world = *state;
    put_file(world->subject, "k8s.jwt.y\n");
    open_file(world, federation_file(world, arena_printf(world->arena, "{\"file\":\"%s\"}", world->subject), true));
    stub_answer(world->stub, 200, "", ACCESS("federated", "3600"));
    stub_answer(world->stub, 200, "", "{\"accessToken\":\"as-worker\",\"expireTime\":\"2100-01-01T00:00:00Z\"}");
    stub_answer(world->stub, 200, "", ACCESS("federated", "3600"));
    stub_answer(world->stub, 200, "", "{\"token\":\"" JWT "\"}");
    assert_true(access_token(world));
    assert_string_equal(world->token.value, "as-worker");
    const char *email = NULL;
    assert_true(credentials_email(world->credentials, world->arena, &email, &world->err));
    assert_string_equal(email, "w@p.iam.gserviceaccount.com");
    assert_non_null(strstr(body_of(world, 0), "&subject_token=k8s.jwt.y"));
    assert_non_null(strstr(body_of(world, 0), "cloud-platform"));
    assert_non_null(strstr(stub_seen(world->stub, 1)->line, "w@p.iam.gserviceaccount.com:generateAccessToken"));
    assert_non_null(strstr(stub_seen(world->stub, 1)->head.data, "\r\nAuthorization: Bearer federated\r\n"));
    assert_string_equal(body_of(world, 1), "{\"scope\":[\"" SCOPE_PUBSUB "\"],\"lifetime\":\"3600s\"}");
    assert_true(id_token(world));
    assert_string_equal(world->token.value, JWT);
    assert_non_null(strstr(stub_seen(world->stub, 3)->line, "w@p.iam.gserviceaccount.com:generateIdToken"));
    assert_string_equal(body_of(world, 3), "{\"audience\":\"https://pawl.example\",\"includeEmail\":true}");
    assert_true(access_token(world));
    assert_int_equal(stub_count(world->stub), 4);
}

static void federation_without_a_service_account_makes_no_id_token_and_says_so(void **state) {
    struct world *world = *state;
    open_file(world, federation_file(world, "{\"file\":\"/nonexistent\"}", false));
    assert_false(id_token(world));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_MISSING);
    assert_non_null(strstr(world->err.message, "service account"));
    assert_false(access_token(world));
    assert_non_null(strstr(world->err.message, "/nonexistent"));
}

static void a_subject_token_that_is_none_is_refused_without_repeating_it(void **state) {
    struct world *world = *state;
    static const char *const bodies[] = {"", "{}", "{\"value\":1}", "{\"value\":\"S3CR3T x\"}", "S3CR3T"};
    open_file(world, federation_file(world,
                                     arena_printf(world->arena,
                                                  "{\"url\":\"%s/\",\"format\":{\"type\":\"json\","
                                                  "\"subject_token_field_name\":\"value\"}}",
                                                  stub_url(world->stub)),
                                     false));
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        stub_forget(world->stub);
        stub_answer(world->stub, 200, "", bodies[i]);
        assert_false(access_token(world));
        assert_int_equal(world->err.code, ERROR_CREDENTIALS_REFUSED);
        assert_null(strstr(world->err.message, "S3CR3T"));
    }
}

// ---- a person's login --------------------------------------------------------------------------------------------------

static void a_persons_login_is_refreshed_but_makes_no_id_token(void **state) {
    struct world *world = *state;
    open_file(world, arena_printf(world->arena,
                                  "{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":\"s&t\","
                                  "\"refresh_token\":\"1//r\",\"token_uri\":\"%s/token\"}",
                                  stub_url(world->stub)));
    stub_answer(world->stub, 200, "", ACCESS("person", "3599"));
    assert_true(access_token(world));
    assert_string_equal(world->token.value, "person");
    assert_string_equal(body_of(world, 0),
                        "grant_type=refresh_token&client_id=id&client_secret=s%26t&refresh_token=1%2F%2Fr");
    assert_false(id_token(world));
    assert_int_equal(world->err.code, ERROR_CREDENTIALS_MISSING);
    assert_non_null(strstr(world->err.message, "PAWL_ID_TOKEN"));
}

static void a_persons_login_that_impersonates_makes_id_tokens(void **state) {
    struct world *world = *state;
    const char *url = stub_url(world->stub);
    open_file(world,
              arena_printf(
                  world->arena,
                  "{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":"
                  "\"%s/v1/x/w@p:generateAccessToken\",\"source_credentials\":{\"type\":\"authorized_user\","
                  "\"client_id\":\"id\",\"client_secret\":\"s\",\"refresh_token\":\"r\",\"token_uri\":\"%s/token\"}}",
                  url, url));
    stub_answer(world->stub, 200, "", ACCESS("person", "3599"));
    stub_answer(world->stub, 200, "", "{\"token\":\"" JWT "\"}");
    assert_true(id_token(world));
    assert_string_equal(world->token.value, JWT);
    assert_string_equal(stub_seen(world->stub, 1)->line, "POST /v1/x/w@p:generateIdToken HTTP/1.1");
}

static void an_impersonation_that_answers_something_else_is_refused(void **state) {
    struct world *world = *state;
    static const char *const bodies[] = {
        "{}", "{\"accessToken\":\"a\"}", "{\"accessToken\":\"a b\",\"expireTime\":\"2100-01-01T00:00:00Z\"}",
        "{\"accessToken\":\"a\",\"expireTime\":\"soon\"}", "{\"accessToken\":\"a\",\"expireTime\":4102444800}"};
    put_file(world->subject, "k8s.jwt.y");
    open_file(world, federation_file(world, arena_printf(world->arena, "{\"file\":\"%s\"}", world->subject), true));
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        stub_forget(world->stub);
        stub_answer(world->stub, 200, "", ACCESS("federated", "3600"));
        stub_answer(world->stub, 200, "", bodies[i]);
        assert_false(access_token(world));
        assert_int_equal(world->err.code, ERROR_CREDENTIALS_UNAVAILABLE);
        assert_false(id_token(world));
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_token_given_by_hand_is_used_and_nobody_is_asked),
        CASE(a_token_by_hand_that_would_break_a_header_is_refused),
        CASE(a_token_is_kept_for_its_scope_until_it_is_nearly_over),
        CASE(a_token_that_is_nearly_over_is_better_than_none),
        CASE(a_token_that_is_over_is_not_used),
        CASE(more_audiences_than_are_kept_still_get_their_own_tokens),
        CASE(threads_that_ask_together_share_one_fetch),
        CASE(without_any_source_the_error_says_what_to_set),
        CASE(a_key_file_signs_for_access_tokens_and_id_tokens),
        CASE(a_refused_grant_says_what_google_said),
        CASE(a_locked_key_is_refused_without_asking_for_its_passphrase),
        CASE(a_key_file_that_lacks_something_or_sends_secrets_elsewhere_is_refused),
        CASE(federation_exchanges_a_token_from_a_url_as_github_gives_it),
        CASE(federation_reads_a_file_and_impersonates_for_access_and_id_tokens),
        CASE(federation_without_a_service_account_makes_no_id_token_and_says_so),
        CASE(a_subject_token_that_is_none_is_refused_without_repeating_it),
        CASE(a_persons_login_is_refreshed_but_makes_no_id_token),
        CASE(a_persons_login_that_impersonates_makes_id_tokens),
        CASE(an_impersonation_that_answers_something_else_is_refused),
    };
    return cmocka_run_group_tests_name("google/credentials", tests, NULL, NULL);
}
