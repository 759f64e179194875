// The request parser alone: what it accepts, what it refuses, and that neither depends on how the bytes are split.
#include "net/server_request.h"
#include "refused_requests.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BODY_MAX (1 << 20)

// Feeds at most `piece` bytes at a time; what is not used up is fed again, as the server does. The last step is returned.
static enum server_step feed(struct server_request *request, struct view bytes, size_t piece, size_t *ret_used,
                             struct error *err) {
    enum server_step step = SERVER_MORE;
    size_t at = 0;
    do {
        size_t length = bytes.length - at < piece ? bytes.length - at : piece;
        size_t used = 0;
        step = server_request_feed(request, (struct view){bytes.data + at, length}, &used, err);
        at += used;
    } while (step == SERVER_HEAD || (step == SERVER_MORE && at < bytes.length));
    *ret_used = at;
    return step;
}

static void accept(struct server_request *request, struct view bytes, size_t expect_used) {
    struct error err = {0};
    size_t used = 0;
    server_request_begin(request, BODY_MAX);
    enum server_step step = feed(request, bytes, 1, &used, &err);
    if (step == SERVER_REFUSED)
        fail_msg("refused: %s", err.message);
    assert_int_equal(step, SERVER_DONE);
    assert_int_equal(used, expect_used);
    assert_int_equal(err.code, ERROR_NONE);
}

static void assert_view(struct view view, const char *expected) {
    if (!view_is(view, expected))
        fail_msg("\"%.*s\" is not \"%s\"", (int)view.length, view.data, expected);
}

static void each_malformed_request_is_refused_however_it_is_split(void **state) {
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 7, 1 << 20};
    for (size_t i = 0; i < REFUSED_REQUESTS; i++)
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            const struct refused_request *refused = &refused_requests[i];
            struct server_request request;
            struct error err = {0};
            size_t used = 0;
            server_request_begin(&request, BODY_MAX);
            enum server_step step =
                feed(&request, (struct view){refused->bytes, refused->length}, pieces[p], &used, &err);
            if (step != SERVER_REFUSED || error_http_status(err.code) != refused->status)
                fail_msg("%s: step %d, %d %s", refused->what, (int)step, error_http_status(err.code), err.message);
            server_request_done(&request);
        }
}

static void a_plain_request_is_taken_apart(void **state) {
    (void)state;
    struct server_request request;
    static const char text[] =
        "GET /runs/7?wait=5&x HTTP/1.1\r\nHost: a:8080\r\nX-Empty:\r\nx-two:  one \t\r\nX-Two: two\r\n\r\nGET";
    accept(&request, VIEW(text), sizeof text - 1 - 3);
    assert_view(request.method, "GET");
    assert_view(request.path, "/runs/7");
    assert_view(request.query, "wait=5&x");
    assert_view(server_request_field(&request, "host"), "a:8080");
    assert_non_null(server_request_field(&request, "X-Empty").data);
    assert_int_equal(server_request_field(&request, "X-Empty").length, 0);
    assert_view(server_request_field(&request, "X-TWO"), "one");
    assert_int_equal(server_request_field_count(&request, "x-two"), 2);
    assert_null(server_request_field(&request, "X-Tw").data);
    assert_true(request.keep_alive);
    assert_false(request.expects_continue);
    assert_int_equal(request.body.length, 0);
    server_request_done(&request);
}

static void a_body_ends_at_its_length(void **state) {
    (void)state;
    struct server_request request;
    static const char text[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 05 \r\n\r\nhelloGET";
    accept(&request, VIEW(text), sizeof text - 1 - 3);
    assert_string_equal(text_string(&request.body), "hello");
    server_request_done(&request);
}

static void a_chunked_body_is_joined_and_its_extensions_and_trailers_dropped(void **state) {
    (void)state;
    struct server_request request;
    static const char text[] =
        "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n"
        "3;a=b;c=\"d e\"\r\nhel\r\n02 ;x\r\nlo\r\n0;last\r\nHost: evil\r\nAuthorization: x\r\n\r\nGET";
    accept(&request, VIEW(text), sizeof text - 1 - 3);
    assert_string_equal(text_string(&request.body), "hello");
    assert_int_equal(server_request_field_count(&request, "Host"), 1);
    assert_int_equal(server_request_field_count(&request, "Authorization"), 0);
    server_request_done(&request);
}

static void the_authority_of_an_absolute_target_is_ignored(void **state) {
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } cases[] = {{"http://evil/health?x", "/health", "x"},
                 {"HTTPS://evil:1/health", "/health", ""},
                 {"http://evil", "/", ""},
                 {"http://evil?x", "/", "x"},
                 {"//evil/health", "//evil/health", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server_request request;
        struct text bytes = TEXT(256);
        text_printf(&bytes, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].target);
        accept(&request, (struct view){bytes.data, bytes.length}, bytes.length);
        assert_view(request.path, cases[i].path);
        assert_view(request.query, cases[i].query);
        server_request_done(&request);
        text_done(&bytes);
    }
}

static void an_upgrade_is_ignored(void **state) {
    (void)state;
    struct server_request request;
    static const char text[] = "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                               "HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n\r\nhello";
    accept(&request, VIEW(text), sizeof text - 1);
    assert_string_equal(text_string(&request.body), "hello");
    server_request_done(&request);
}

static void one_empty_line_before_the_request_is_forgiven(void **state) {
    (void)state;
    struct server_request request;
    static const char text[] = "\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    accept(&request, VIEW(text), sizeof text - 1);
    assert_view(request.method, "GET");
    assert_false(request.keep_alive);
    server_request_done(&request);
}

static void bytes_above_127_are_accepted_in_an_ordinary_value(void **state) {
    (void)state;
    struct server_request request;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX-Name: J\xc3\xbcrgen\r\n\r\n";
    accept(&request, VIEW(text), sizeof text - 1);
    assert_view(server_request_field(&request, "X-Name"), "J\xc3\xbcrgen");
    server_request_done(&request);
}

static void only_a_request_with_a_body_expects_to_continue(void **state) {
    (void)state;
    struct server_request request;
    static const char with[] = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx";
    accept(&request, VIEW(with), sizeof with - 1);
    assert_true(request.expects_continue);
    server_request_done(&request);
    static const char without[] = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n";
    accept(&request, VIEW(without), sizeof without - 1);
    assert_false(request.expects_continue);
    server_request_done(&request);
}

// A head of exactly `length` bytes, the body not counted.
static void fill_head(struct text *head, size_t length) {
    text_append(head, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while (head->length < length - 4)
        text_append_char(head, 'x');
    text_append(head, "\r\n\r\n");
}

static void a_head_may_have_16_kib_and_not_one_byte_more(void **state) {
    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        cleanup_text struct text head = TEXT(20000);
        fill_head(&head, SERVER_HEAD_MAX + extra);
        struct server_request request;
        struct error err = {0};
        size_t used = 0;
        server_request_begin(&request, BODY_MAX);
        enum server_step step = feed(&request, (struct view){head.data, head.length}, 4096, &used, &err);
        assert_int_equal(step, extra ? SERVER_REFUSED : SERVER_DONE);
        assert_int_equal(err.code, extra ? ERROR_HTTP_HEAD_TOO_LARGE : ERROR_NONE);
        server_request_done(&request);
    }
}

static void a_head_may_have_100_fields_and_not_one_more(void **state) {
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        cleanup_text struct text head = TEXT(20000);
        text_append(&head, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (unsigned i = 1; i < SERVER_FIELDS_MAX + extra; i++)
            text_printf(&head, "X-%u: y\r\n", i);
        text_append(&head, "\r\n");
        struct server_request request;
        struct error err = {0};
        size_t used = 0;
        server_request_begin(&request, BODY_MAX);
        enum server_step step = feed(&request, (struct view){head.data, head.length}, 4096, &used, &err);
        assert_int_equal(step, extra ? SERVER_REFUSED : SERVER_DONE);
        assert_int_equal(err.code, extra ? ERROR_HTTP_HEAD_TOO_LARGE : ERROR_NONE);
        server_request_done(&request);
    }
}

static void endless_extensions_and_trailers_are_refused(void **state) {
    (void)state;
    static const char *const beginnings[] = {"1;", "0\r\nX: "};
    for (size_t i = 0; i < 2; i++) {
        cleanup_text struct text bytes = TEXT(40000);
        text_append(&bytes, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        text_append(&bytes, beginnings[i]);
        while (!bytes.full)
            text_append_char(&bytes, 'x');
        struct server_request request;
        struct error err = {0};
        size_t used = 0;
        server_request_begin(&request, BODY_MAX);
        assert_int_equal(feed(&request, (struct view){bytes.data, bytes.length}, 4096, &used, &err), SERVER_REFUSED);
        assert_int_equal(err.code, ERROR_HTTP_HEAD_TOO_LARGE);
        server_request_done(&request);
    }
}

static void a_body_of_exactly_the_limit_is_accepted(void **state) {
    (void)state;
    static const char *const heads[] = {"Content-Length: 5\r\n\r\nhello",
                                        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"};
    for (size_t i = 0; i < 2; i++)
        for (size_t limit = 4; limit < 6; limit++) {
            cleanup_text struct text bytes = TEXT(256);
            text_printf(&bytes, "POST / HTTP/1.1\r\nHost: a\r\n%s", heads[i]);
            struct server_request request;
            struct error err = {0};
            size_t used = 0;
            server_request_begin(&request, limit);
            enum server_step step = feed(&request, (struct view){bytes.data, bytes.length}, 9, &used, &err);
            assert_int_equal(step, limit < 5 ? SERVER_REFUSED : SERVER_DONE);
            assert_int_equal(err.code, limit < 5 ? ERROR_HTTP_BODY_TOO_LARGE : ERROR_NONE);
            server_request_done(&request);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_malformed_request_is_refused_however_it_is_split),
        cmocka_unit_test(a_plain_request_is_taken_apart),
        cmocka_unit_test(a_body_ends_at_its_length),
        cmocka_unit_test(a_chunked_body_is_joined_and_its_extensions_and_trailers_dropped),
        cmocka_unit_test(the_authority_of_an_absolute_target_is_ignored),
        cmocka_unit_test(an_upgrade_is_ignored),
        cmocka_unit_test(one_empty_line_before_the_request_is_forgiven),
        cmocka_unit_test(bytes_above_127_are_accepted_in_an_ordinary_value),
        cmocka_unit_test(only_a_request_with_a_body_expects_to_continue),
        cmocka_unit_test(a_head_may_have_16_kib_and_not_one_byte_more),
        cmocka_unit_test(a_head_may_have_100_fields_and_not_one_more),
        cmocka_unit_test(endless_extensions_and_trailers_are_refused),
        cmocka_unit_test(a_body_of_exactly_the_limit_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
