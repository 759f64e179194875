// The way out over HTTP against a server that misbehaves in every way.
#include "net/client.h"

#include "base/arena.h"
#include "base/clock.h"
#include "origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#define ROOM (8 * 1024 * 1024)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct line {
    struct origin *origin;
    struct client *client;
};

static int set_up(void **state) {
    struct line *line = memory_alloc(sizeof *line);
    struct error err = {0};
    line->origin = origin_new();
    assert_true(client_new(&line->client, &err));
    *state = line;
    return 0;
}

static int tear_down(void **state) {
    struct line *line = *state;
    client_free(line->client);
    origin_free(line->origin);
    free(line);
    return 0;
}

static struct client_request request_to(const struct line *line) {
    return (struct client_request){.url = origin_url(line->origin), .allow_http = true, .timeout_ms = 3000};
}

// The answer is the caller's to finish.
static struct client_answer fetch(const struct line *line, const struct client_request *request) {
    struct client_answer answer = {0};
    struct error err = {0};
    if (!client_fetch(line->client, request, &answer, &err))
        fail_msg("%s", err.message);
    return answer;
}

// Fails with a reason that holds `words` and names the host.
static void expect_failure(const struct line *line, const struct client_request *request, const char *words) {
    struct client_answer answer, untouched;
    struct error err = {0};
    memset(&answer, 0x5a, sizeof answer);
    memcpy(&untouched, &answer, sizeof answer);
    assert_false(client_fetch(line->client, request, &answer, &err));
    assert_memory_equal(&answer, &untouched, sizeof answer);
    assert_int_equal(err.code, ERROR_KEYS_UNAVAILABLE);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

// ---- answers ---------------------------------------------------------------------------------------------------------

static void an_answer_arrives_with_its_fields(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    origin_answer(line->origin, "200 OK",
                  "cache-control: public\r\nCACHE-CONTROL:max-age=60\r\nAge:  7 \r\nContent-Type: text/x\r\n",
                  VIEW("body\0tail"));
    struct client_answer answer = fetch(line, &request);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.length, 9);
    assert_memory_equal(answer.body.data, "body\0tail", 9);
    assert_string_equal(answer.cache_control, "public, max-age=60");
    assert_string_equal(answer.age, "7");
    assert_string_equal(answer.content_type, "text/x");
    client_answer_done(&answer);
}

static void absent_fields_are_empty(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    origin_answer(line->origin, "200 OK", "X-Cache-Control: max-age=9\r\nAged: 7\r\n", VIEW(""));
    struct client_answer answer = fetch(line, &request);
    assert_string_equal(answer.cache_control, "");
    assert_string_equal(answer.age, "");
    assert_string_equal(answer.content_type, "");
    assert_int_equal(answer.body.length, 0);
    client_answer_done(&answer);
}

static void a_field_too_long_to_keep_is_left_out_and_never_cut(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    cleanup_text struct text fields = TEXT(ROOM);
    text_append(&fields, "Cache-Control: public\r\nCache-Control: max-age=9");
    for (size_t i = 0; i < 300; i++)
        text_append_char(&fields, '9');
    text_append(&fields, "\r\n");
    origin_answer(line->origin, "200 OK", fields.data, VIEW("x"));
    struct client_answer answer = fetch(line, &request);
    assert_string_equal(answer.cache_control, "");
    client_answer_done(&answer);
}

static void any_status_is_an_answer(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    static const struct {
        const char *line;
        long status;
    } cases[] = {{"204 No Content", 204},
                 {"304 Not Modified", 304},
                 {"404 Not Found", 404},
                 {"500 Oh", 500},
                 {"503 Later", 503}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        origin_answer(line->origin, cases[i].line, "", VIEW(""));
        struct client_answer answer = fetch(line, &request);
        assert_int_equal(answer.status, cases[i].status);
        client_answer_done(&answer);
    }
}

static void fields_of_an_interim_answer_do_not_count(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    origin_answer_raw(line->origin, VIEW("HTTP/1.1 103 Early Hints\r\nCache-Control: max-age=9\r\n\r\n"
                                         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"));
    struct client_answer answer = fetch(line, &request);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.cache_control, "");
    client_answer_done(&answer);
}

static void a_redirect_is_an_answer_and_not_followed(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    cleanup_text struct text fields = TEXT(ROOM);
    unsigned before = origin_requests(line->origin);
    text_printf(&fields, "Location: %s\r\n", origin_url(line->origin));
    origin_answer(line->origin, "302 Found", fields.data, VIEW("x"));
    struct client_answer answer = fetch(line, &request);
    assert_int_equal(answer.status, 302);
    assert_int_equal(origin_requests(line->origin), before + 1);
    client_answer_done(&answer);
}

static void an_encoded_answer_is_not_decoded(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    origin_answer(line->origin, "200 OK", "Content-Encoding: gzip\r\n", VIEW("\x1f\x8b\x08"));
    struct client_answer answer = fetch(line, &request);
    assert_int_equal(answer.body.length, 3);
    client_answer_done(&answer);
}

// ---- requests --------------------------------------------------------------------------------------------------------

static void a_get_asks_for_nothing_compressed(void **state) {
    const struct line *line = *state;
    static const char *const headers[] = {"Metadata-Flavor: Google", NULL};
    struct client_request request = request_to(line);
    cleanup_text struct text head = TEXT(ROOM);
    request.headers = headers;
    origin_answer(line->origin, "200 OK", "", VIEW(""));
    struct client_answer answer = fetch(line, &request);
    client_answer_done(&answer);
    origin_last_head(line->origin, &head);
    assert_true(view_starts(view_of(head.data), "GET /keys HTTP/1.1\r\n"));
    assert_non_null(strstr(head.data, "\r\nMetadata-Flavor: Google\r\n"));
    assert_null(strcasestr(head.data, "Accept-Encoding"));
    assert_null(strcasestr(head.data, "Authorization"));
}

static void a_post_sends_its_body_and_the_next_request_forgets_it(void **state) {
    const struct line *line = *state;
    static const char *const headers[] = {"Authorization: Bearer secret", NULL};
    struct client_request request = request_to(line);
    cleanup_text struct text head = TEXT(ROOM), next = TEXT(ROOM);
    origin_answer(line->origin, "200 OK", "", VIEW(""));
    request.method = "POST";
    request.headers = headers;
    request.body = VIEW("{}");
    struct client_answer answer = fetch(line, &request);
    client_answer_done(&answer);
    origin_last_head(line->origin, &head);
    assert_true(view_starts(view_of(head.data), "POST /keys HTTP/1.1\r\n"));
    assert_non_null(strstr(head.data, "\r\nContent-Length: 2\r\n"));
    request = request_to(line);
    answer = fetch(line, &request);
    client_answer_done(&answer);
    origin_last_head(line->origin, &next);
    assert_true(view_starts(view_of(next.data), "GET /keys HTTP/1.1\r\n"));
    assert_null(strstr(next.data, "secret"));
}

// ---- limits ----------------------------------------------------------------------------------------------------------

static void a_body_above_the_limit_ends_the_request(void **state) {
    const struct line *line = *state;
    struct client_request request = request_to(line);
    cleanup_text struct text body = TEXT(ROOM), endless = TEXT(ROOM);
    request.body_max = 1000;
    while (body.length < 1000)
        text_append_char(&body, 'x');
    origin_answer(line->origin, "200 OK", "", (struct view){body.data, 1000});
    struct client_answer answer = fetch(line, &request);
    assert_int_equal(answer.body.length, 1000);
    client_answer_done(&answer);
    text_append_char(&body, 'x');
    origin_answer(line->origin, "200 OK", "", (struct view){body.data, 1001});
    expect_failure(line, &request, "127.0.0.1: the answer is larger than 1000 bytes");
    text_append(&endless, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"); // no Content-Length to look at
    while (endless.length < 1024 * 1024)
        text_append(&endless, body.data);
    origin_answer_raw(line->origin, (struct view){endless.data, endless.length});
    expect_failure(line, &request, "127.0.0.1: the answer is larger than 1000 bytes");
}

static void a_head_above_16_kib_ends_the_request(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    cleanup_text struct text fields = TEXT(ROOM), one = TEXT(ROOM);
    for (size_t i = 0; i < 1000; i++)
        text_append(&fields, "X-Filler: 0123456789\r\n");
    origin_answer(line->origin, "200 OK", fields.data, VIEW("x"));
    expect_failure(line, &request, "127.0.0.1: the answer's head is larger than 16384 bytes");
    text_append(&one, "X-Filler: ");
    while (one.length < 20000)
        text_append_char(&one, 'x');
    text_append(&one, "\r\n");
    origin_answer(line->origin, "200 OK", one.data, VIEW("x"));
    expect_failure(line, &request, "127.0.0.1: the answer's head is larger than 16384 bytes");
}

static void a_dripping_answer_ends_at_the_total_time(void **state) {
    const struct line *line = *state;
    struct client_request request = request_to(line);
    static const char body[1000];
    request.timeout_ms = 300;
    origin_answer(line->origin, "200 OK", "", (struct view){body, sizeof body});
    origin_drip(line->origin, 100, 20); // never idle for long, and 20 s in all
    uint64_t start = clock_ms();
    expect_failure(line, &request, "timed out");
    assert_true(clock_ms() - start < 5000);
    origin_drip(line->origin, 0, 0);
}

static void a_server_that_says_nothing_ends_at_the_total_time(void **state) {
    const struct line *line = *state;
    struct client_request request = request_to(line);
    request.timeout_ms = 200;
    origin_hold(line->origin);
    expect_failure(line, &request, "timed out");
    origin_let_go(line->origin);
}

struct brake {
    struct origin *origin;
    unsigned requests; // that have to have arrived
    atomic_bool stop;
};

static void *pull_brake(void *argument) {
    struct brake *brake = argument;
    origin_wait(brake->origin, brake->requests);
    atomic_store(&brake->stop, true);
    return NULL;
}

static void a_stop_ends_it_long_before_the_total_time(void **state) {
    void *own = NULL; // the other server may still be busy with an answer that nobody waits for
    (void)state;
    assert_int_equal(set_up(&own), 0);
    const struct line *line = own;
    struct brake brake = {.origin = line->origin, .requests = 1};
    struct client_request request = request_to(line);
    struct client_answer answer;
    struct error err = {0};
    pthread_t thread;
    request.timeout_ms = 30000;
    request.stop = &brake.stop;
    origin_hold(line->origin);
    uint64_t start = clock_ms();
    assert_int_equal(pthread_create(&thread, NULL, pull_brake, &brake), 0);
    bool answered = client_fetch(line->client, &request, &answer, &err);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(answered);
    assert_int_equal(err.code, ERROR_SHUTTING_DOWN);
    assert_in_range(clock_ms() - start, 0, 10000);
    assert_false(client_fetch(line->client, &request, &answer, &err)); // and none begins after it
    assert_int_equal(err.code, ERROR_SHUTTING_DOWN);
    assert_int_equal(origin_requests(line->origin), 1);
    assert_int_equal(tear_down(&own), 0);
}

static void a_cut_answer_is_no_answer(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    static const struct view answers[] = {
        VIEW(""),
        VIEW("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nonly"),
        VIEW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n"),
        VIEW("SSH-2.0-OpenSSH_9.2\r\n"),
    };
    for (size_t i = 0; i < COUNT(answers); i++) {
        origin_answer_raw(line->origin, answers[i]);
        expect_failure(line, &request, "127.0.0.1: ");
    }
}

static void a_server_that_is_not_there_is_named(void **state) {
    const struct line *line = *state;
    struct origin *gone = origin_new();
    cleanup_free char *url = memory_string(origin_url(gone));
    origin_free(gone);
    const struct client_request request = {.url = url, .allow_http = true};
    expect_failure(line, &request, "127.0.0.1: ");
}

// ---- where it may go -------------------------------------------------------------------------------------------------

static bool may_go(const char *url, bool allow_http) {
    struct error err = {0};
    if (client_check_url(url, allow_http, &err))
        return true;
    assert_int_equal(err.code, ERROR_CONFIGURATION);
    assert_true(err.message[0] != '\0');
    return false;
}

static void https_goes_anywhere_and_http_to_loopback_only(void **state) {
    (void)state;
    static const char *const secure[] = {"https://www.googleapis.com/oauth2/v3/certs", "https://localhost:8443/",
                                         "HTTPS://example.com"};
    static const char *const local[] = {
        "http://127.0.0.1:8085/keys",
        "http://127.9.9.9/",
        "http://localhost/x",
        "http://LOCALHOST:1/",
        "http://[::1]:8085/",
        "http://169.254.169.254/",
        "http://metadata.google.internal/computeMetadata/v1/",
    };
    for (size_t i = 0; i < COUNT(secure); i++)
        assert_true(may_go(secure[i], true) && may_go(secure[i], false));
    for (size_t i = 0; i < COUNT(local); i++) {
        if (!may_go(local[i], true))
            fail_msg("%s was refused", local[i]);
        assert_false(may_go(local[i], false));
    }
}

static void other_addresses_are_refused(void **state) {
    (void)state;
    static const char *const urls[] = {
        "",
        " ",
        "example.com",
        "//example.com",
        "/etc/passwd",
        "http://example.com/",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "http://128.0.0.1/",
        "http://126.255.255.255/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://169.254.169.253/",
        "http://metadata.google.internal.example.com/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "dict://127.0.0.1/",
        "ldap://127.0.0.1/",
        "javascript:alert(1)",
        "https://",

        "https://user@example.com/",
        "https://user:password@example.com/",
        "http://user@127.0.0.1/",
        "https://example.com/#x",
        "http://127.0.0.1@example.com/",
        "http://example.com#@127.0.0.1/",
        "http://exa mple.com/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "http://\t127.0.0.1/",
        "http://[::1",
        "http://[::ffff:8.8.8.8]/",
    };
    for (size_t i = 0; i < COUNT(urls); i++)
        if (may_go(urls[i], true))
            fail_msg("%s was let through", urls[i]);
}

static void a_refused_address_is_never_asked(void **state) {
    const struct line *line = *state;
    unsigned before = origin_requests(line->origin);
    struct client_request request = request_to(line);
    request.allow_http = false;
    expect_failure(line, &request, "not https");
    assert_int_equal(origin_requests(line->origin), before);
}

static void a_proxy_is_not_used_for_loopback(void **state) {
    const struct line *line = *state;
    const struct client_request request = request_to(line);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
    assert_int_equal(setenv("all_proxy", "http://127.0.0.1:1/", 1), 0);
    origin_answer(line->origin, "200 OK", "", VIEW("x"));
    struct client_answer answer = fetch(line, &request);
    assert_int_equal(answer.status, 200);
    client_answer_done(&answer);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(unsetenv("all_proxy"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_arrives_with_its_fields),
        cmocka_unit_test(absent_fields_are_empty),
        cmocka_unit_test(a_field_too_long_to_keep_is_left_out_and_never_cut),
        cmocka_unit_test(any_status_is_an_answer),
        cmocka_unit_test(fields_of_an_interim_answer_do_not_count),
        cmocka_unit_test(a_redirect_is_an_answer_and_not_followed),
        cmocka_unit_test(an_encoded_answer_is_not_decoded),
        cmocka_unit_test(a_get_asks_for_nothing_compressed),
        cmocka_unit_test(a_post_sends_its_body_and_the_next_request_forgets_it),
        cmocka_unit_test(a_body_above_the_limit_ends_the_request),
        cmocka_unit_test(a_head_above_16_kib_ends_the_request),
        cmocka_unit_test(a_dripping_answer_ends_at_the_total_time),
        cmocka_unit_test(a_server_that_says_nothing_ends_at_the_total_time),
        cmocka_unit_test(a_stop_ends_it_long_before_the_total_time),
        cmocka_unit_test(a_cut_answer_is_no_answer),
        cmocka_unit_test(a_server_that_is_not_there_is_named),
        cmocka_unit_test(https_goes_anywhere_and_http_to_loopback_only),
        cmocka_unit_test(other_addresses_are_refused),
        cmocka_unit_test(a_refused_address_is_never_asked),
        cmocka_unit_test(a_proxy_is_not_used_for_loopback),
    };
    return cmocka_run_group_tests_name("client", tests, set_up, tear_down);
}
