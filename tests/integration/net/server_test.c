// The HTTP server as its clients see it: raw bytes on real sockets, against a server on a thread of its own.
#include "../../unit/net/refused_requests.h"
#include "base/arena.h"
#include "base/clock.h"
#include "net/server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 5000 // for what must come; far more than it takes
#define BIG (16 << 20)

// ---- the server under test -------------------------------------------------------------------------------------------
struct fixture {
    struct server *server;
    pthread_t thread;
    bool running;
    atomic_uint handled, admitted;
    atomic_bool gate;                       // handlers of /gate wait for it
    _Atomic(struct server_exchange *) kept; // by /keep
    pthread_t loop;
};

static void answer_text(struct server_exchange *exchange, const char *body) {
    struct server_answer answer = {.status = 200, .content_type = "text/plain", .body = TEXT(1 << 20)};
    text_append(&answer.body, body);
    server_answer(exchange, &answer);
}

static bool admit_good(void *context, struct server_exchange *exchange, struct server_answer *ret_answer) {
    struct fixture *fixture = context;
    atomic_fetch_add(&fixture->admitted, 1);
    if (view_is(server_header(exchange, "Authorization"), "Bearer good"))
        return true;
    struct error err = {0};
    error_set(&err, ERROR_TOKEN_MISSING, "no token");
    server_answer_error(&err, ret_answer);
    return false;
}

static void echo(void *context, struct server_exchange *exchange) {
    struct fixture *fixture = context;
    atomic_fetch_add(&fixture->handled, 1);
    struct server_answer answer = {.status = 200, .content_type = "text/plain", .body = TEXT(2 << 20)};
    text_append_view(&answer.body, server_body(exchange));
    server_answer(exchange, &answer);
}

static void health(void *context, struct server_exchange *exchange) {
    struct fixture *fixture = context;
    atomic_fetch_add(&fixture->handled, 1);
    answer_text(exchange, pthread_equal(pthread_self(), fixture->loop) ? "healthy" : "on the wrong thread");
}

static void show(void *context, struct server_exchange *exchange) {
    (void)context;
    struct server_answer answer = {.status = 200, .content_type = "text/plain", .body = TEXT(4096)};
    const struct view views[] = {server_method(exchange), server_path(exchange), server_query(exchange),
                                 server_header(exchange, "x-name")};
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        text_append_view(&answer.body, views[i]);
        text_append_char(&answer.body, '|');
    }
    server_answer(exchange, &answer);
}

static void gate(void *context, struct server_exchange *exchange) {
    struct fixture *fixture = context;
    atomic_fetch_add(&fixture->handled, 1);
    while (!atomic_load(&fixture->gate))
        clock_sleep_ms(1);
    answer_text(exchange, "through");
}

static void keep(void *context, struct server_exchange *exchange) {
    struct fixture *fixture = context;
    atomic_store(&fixture->kept, exchange);
}

static void big(void *context, struct server_exchange *exchange) {
    (void)context;
    struct server_answer answer = {.status = 200, .content_type = "text/plain", .body = TEXT(BIG)};
    cleanup_free char *bytes = memory_alloc(BIG);
    memset(bytes, 'x', BIG);
    text_append_view(&answer.body, (struct view){bytes, BIG});
    server_answer(exchange, &answer);
}

static void stall(void *context, struct server_exchange *exchange) {
    struct fixture *fixture = context;
    atomic_fetch_add(&fixture->handled, 1);
    clock_sleep_ms(400); // on the loop: what no handler should do
    answer_text(exchange, "stalled");
}

static void signals(void *context, struct server_exchange *exchange) {
    (void)context;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    answer_text(exchange, sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGINT) ? "blocked" : "open");
}

static void busy(void *context, struct server_exchange *exchange) {
    (void)context;
    struct error err = {0};
    error_set(&err, ERROR_LOCK_HELD, "the lock is \"held\"");
    struct server_answer answer;
    server_answer_error(&err, &answer);
    server_answer(exchange, &answer);
}

static const struct server_route routes[] = {
    {.method = "POST", .path = "/", .admit = admit_good, .handle = echo},
    {.method = "POST", .path = "/open", .handle = echo},
    {.method = "GET", .path = "/health", .handle = health, .quick = true},
    {.method = "GET", .path = "/show", .handle = show},
    {.method = "DELETE", .path = "/show", .handle = show},
    {.method = "GET", .path = "/gate", .handle = gate},
    {.method = "GET", .path = "/keep", .handle = keep},
    {.method = "GET", .path = "/big", .handle = big},
    {.method = "GET", .path = "/stall", .handle = stall, .quick = true},
    {.method = "GET", .path = "/signals", .handle = signals},
    {.method = "GET", .path = "/busy", .handle = busy},
};

static void *run(void *context) {
    struct fixture *fixture = context;
    fixture->loop = pthread_self();
    struct error err = {0};
    return server_run(fixture->server, &err) ? NULL : fixture;
}

static struct fixture *start_with(const struct server_limits *limits) {
    struct fixture *fixture = memory_alloc(sizeof *fixture);
    struct error err = {0};
    if (!server_new("127.0.0.1", 0, limits, routes, sizeof routes / sizeof routes[0], fixture, &fixture->server, &err))
        fail_msg("%s", err.message);
    assert_int_equal(pthread_create(&fixture->thread, NULL, run, fixture), 0);
    fixture->running = true;
    return fixture;
}

static struct fixture *start(void) {
    return start_with(&server_limits_default);
}

static void join(struct fixture *fixture) {
    void *failed = NULL;
    pthread_join(fixture->thread, &failed);
    fixture->running = false;
    assert_null(failed);
}

static void stop(struct fixture *fixture) {
    if (fixture->running) {
        server_drain(fixture->server);
        join(fixture);
    }
    server_free(fixture->server);
    free(fixture);
}

// ---- the client ------------------------------------------------------------------------------------------------------
static int dial(const struct fixture *fixture) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval wait = {.tv_sec = WAIT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    struct sockaddr_in there = {.sin_family = AF_INET,
                                .sin_port = htons(server_port(fixture->server)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&there, sizeof there) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

// False when the peer does not take them.
static bool say_bytes(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

static bool say(int fd, const char *text) {
    return say_bytes(fd, text, strlen(text));
}

struct heard {
    int status;      // 0 when the connection ended before an answer
    char head[2048]; //
    char body[2048]; // cut
    size_t length;   // of the whole body
    bool closed;     // "Connection: close"
};

static bool hear_head(int fd, struct heard *heard) {
    size_t length = 0;
    while (length + 1 < sizeof heard->head) {
        if (recv(fd, heard->head + length, 1, 0) != 1)
            return false;
        heard->head[++length] = '\0';
        if (length >= 4 && strcmp(heard->head + length - 4, "\r\n\r\n") == 0)
            return true;
    }
    return false;
}

static const char *field(const struct heard *heard, const char *line) {
    return strcasestr(heard->head, line);
}

// One answer, whole; `head_only` for HEAD.
static struct heard hear_answer(int fd, bool head_only) {
    struct heard heard = {0};
    if (!hear_head(fd, &heard))
        return (struct heard){0};
    assert_memory_equal(heard.head, "HTTP/1.1 ", 9);
    uint64_t status = 0, length = 0;
    assert_true(text_to_u64((struct view){heard.head + 9, 3}, 999, &status));
    heard.status = (int)status;
    heard.closed = field(&heard, "\r\nConnection: close\r\n") != NULL;
    if (status == 100)
        return heard;
    assert_non_null(field(&heard, "\r\nCache-Control: no-store\r\n"));
    assert_null(field(&heard, "\r\nServer:"));
    const char *at = field(&heard, "\r\nContent-Length: ");
    assert_non_null(at);
    at += strlen("\r\nContent-Length: ");
    assert_true(text_to_u64((struct view){at, strcspn(at, "\r")}, UINT64_MAX, &length));
    for (heard.length = 0; !head_only && heard.length < length; heard.length++) {
        char c;
        if (recv(fd, &c, 1, 0) != 1)
            fail_msg("the answer's body is cut off");
        if (heard.length + 1 < sizeof heard.body)
            heard.body[heard.length] = c;
    }
    return heard;
}

static struct heard hear(int fd) {
    return hear_answer(fd, false);
}

// True when the server ends the connection within the time; nothing more may come before.
static bool ends(int fd) {
    char c;
    ssize_t length = recv(fd, &c, 1, 0);
    return length == 0 || (length < 0 && errno == ECONNRESET);
}

static struct heard ask(const struct fixture *fixture, const char *text) {
    int fd = dial(fixture);
    assert_true(fd >= 0);
    assert_true(say(fd, text));
    struct heard heard = hear(fd);
    close(fd);
    return heard;
}

#define GET_HEALTH "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"

static void assert_healthy(const struct fixture *fixture) {
    struct heard heard = ask(fixture, GET_HEALTH);
    assert_int_equal(heard.status, 200);
    assert_string_equal(heard.body, "healthy");
}

static bool eventually(atomic_uint *counter, unsigned value) {
    for (int i = 0; i < WAIT_MS && atomic_load(counter) != value; i++)
        clock_sleep_ms(1);
    return atomic_load(counter) == value;
}

static struct server_exchange *kept(struct fixture *fixture) {
    for (int i = 0; i < WAIT_MS && !atomic_load(&fixture->kept); i++)
        clock_sleep_ms(1);
    struct server_exchange *exchange = atomic_exchange(&fixture->kept, NULL);
    assert_non_null(exchange);
    return exchange;
}

// ---- refusals --------------------------------------------------------------------------------------------------------
static void each_malformed_request_is_refused_and_the_connection_closed(void **state) {
    (void)state;
    struct fixture *fixture = start();
    for (size_t i = 0; i < REFUSED_REQUESTS; i++) {
        const struct refused_request *refused = &refused_requests[i];
        int fd = dial(fixture);
        say_bytes(fd, refused->bytes, refused->length);
        struct heard heard = hear(fd);
        if (heard.status != refused->status)
            fail_msg("%s: %d instead of %d", refused->what, heard.status, refused->status);
        assert_true(heard.closed);
        assert_memory_equal(heard.body, "{\"error\":\"HTTP_", 15);
        assert_true(ends(fd));
        close(fd);
    }
    assert_int_equal(atomic_load(&fixture->handled), 0);
    assert_healthy(fixture);
    stop(fixture);
}

static void a_large_head_is_refused(void **state) {
    (void)state;
    struct fixture *fixture = start();
    cleanup_text struct text long_field = TEXT(20000), long_line = TEXT(20000), many = TEXT(20000);
    text_append(&long_field, "GET /health HTTP/1.1\r\nHost: a\r\nX: ");
    text_append(&long_line, "GET /");
    for (int i = 0; i < 17000; i++) {
        text_append_char(&long_field, 'x');
        text_append_char(&long_line, 'x');
    }
    text_append(&many, "GET /health HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 100; i++)
        text_append(&many, "X: y\r\n");
    const struct text *heads[] = {&long_field, &long_line, &many};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct heard heard = ask(fixture, heads[i]->data);
        assert_int_equal(heard.status, 431);
        assert_true(heard.closed);
    }
    stop(fixture);
}

static void a_body_above_the_limit_is_refused_before_it_is_read(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n");
    struct heard heard = hear(fd);
    assert_int_equal(heard.status, 413);
    assert_non_null(strstr(heard.body, "HTTP_BODY_TOO_LARGE"));
    close(fd);
    fd = dial(fixture);
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n");
    assert_int_equal(hear(fd).status, 413);
    close(fd);
    assert_int_equal(atomic_load(&fixture->handled), 0);
    stop(fixture);
}

static void the_answer_to_a_refused_upload_arrives_although_the_client_goes_on_sending(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
    static char body[900000];
    memset(body, 'x', sizeof body);
    say_bytes(fd, body, sizeof body);
    struct heard heard = hear(fd);
    assert_int_equal(heard.status, 401);
    assert_true(heard.closed);
    assert_true(ends(fd));
    close(fd);
    stop(fixture);
}

static void an_unknown_path_and_a_wrong_method_are_told_apart(void **state) {
    (void)state;
    struct fixture *fixture = start();
    struct heard heard = ask(fixture, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(heard.status, 404);
    assert_non_null(field(&heard, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(heard.body, "{\"error\":\"HTTP_NOT_FOUND\",\"message\":\"there is nothing at this path\"}");
    heard = ask(fixture, "GET /show/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(heard.status, 404);
    heard = ask(fixture, "GET /%73how HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(heard.status, 404);
    heard = ask(fixture, "POST /show HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
    assert_int_equal(heard.status, 405);
    assert_non_null(field(&heard, "\r\nAllow: GET, HEAD, DELETE\r\n"));
    assert_non_null(strstr(heard.body, "HTTP_METHOD"));
    heard = ask(fixture, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(heard.status, 405);
    assert_non_null(field(&heard, "\r\nAllow: POST\r\n"));
    int fd = dial(fixture);
    say(fd, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(hear_answer(fd, true).status, 405);
    assert_true(ends(fd));
    close(fd);
    stop(fixture);
}

static void a_request_that_ends_in_the_middle_is_refused(void **state) {
    (void)state;
    struct fixture *fixture = start();
    static const char *const parts[] = {
        "GET /health HTT", "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
        "POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int fd = dial(fixture);
        say(fd, parts[i]);
        shutdown(fd, SHUT_WR);
        assert_int_equal(hear(fd).status, 400);
        close(fd);
    }
    assert_int_equal(atomic_load(&fixture->handled), 0);
    stop(fixture);
}

// ---- admission -------------------------------------------------------------------------------------------------------
static void a_refused_request_is_answered_before_its_body_comes(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bad\r\nContent-Length: 5\r\n\r\n");
    struct heard heard = hear(fd);
    assert_int_equal(heard.status, 401);
    assert_non_null(field(&heard, "\r\nWWW-Authenticate: Bearer\r\n"));
    assert_string_equal(heard.body, "{\"error\":\"TOKEN_MISSING\",\"message\":\"no token\"}");
    assert_true(heard.closed);
    assert_true(ends(fd));
    close(fd);
    assert_int_equal(atomic_load(&fixture->handled), 0);
    stop(fixture);
}

static void a_malformed_body_is_not_looked_at_before_admission(void **state) {
    (void)state;
    struct fixture *fixture = start();
    assert_int_equal(ask(fixture, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense").status,
                     401);
    assert_int_equal(ask(fixture, "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\nnonsense")
                         .status,
                     400);
    stop(fixture);
}

static void continue_is_said_only_after_admission(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(hear(fd).status, 401);
    close(fd);
    fd = dial(fixture);
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n");
    assert_int_equal(hear(fd).status, 413);
    close(fd);
    fd = dial(fixture);
    say(fd, "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nExpect: 100-continue\r\nContent-Length: "
            "5\r\n\r\n");
    assert_int_equal(hear(fd).status, 100);
    assert_int_equal(atomic_load(&fixture->admitted), 2);
    say(fd, "hello");
    struct heard heard = hear(fd);
    assert_int_equal(heard.status, 200);
    assert_string_equal(heard.body, "hello");
    close(fd);
    // The body is there already: nothing needs to be said.
    heard = ask(fixture, "POST /open HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(heard.status, 200);
    stop(fixture);
}

// ---- answers ---------------------------------------------------------------------------------------------------------
static void a_request_is_shown_to_its_handler(void **state) {
    (void)state;
    struct fixture *fixture = start();
    struct heard heard = ask(fixture, "GET /show?a=b&c HTTP/1.1\r\nHost: a\r\nX-NAME:  v \r\n\r\n");
    assert_string_equal(heard.body, "GET|/show|a=b&c|v|");
    assert_non_null(field(&heard, "\r\nContent-Type: text/plain\r\n"));
    heard = ask(fixture, "DELETE http://elsewhere/show HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(heard.body, "DELETE|/show|||");
    heard = ask(fixture, "GET /signals HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(heard.body, "blocked");
    stop(fixture);
}

static void a_body_arrives_whole_by_length_and_by_chunks(void **state) {
    (void)state;
    struct fixture *fixture = start();
    assert_string_equal(ask(fixture, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").body, "hello");
    assert_string_equal(ask(fixture, "POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                     "2;a=\"b\"\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: y\r\n\r\n")
                            .body,
                        "hello");
    cleanup_text struct text whole = TEXT(2 << 20);
    text_append(&whole, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    for (int i = 0; i < 1 << 20; i++)
        text_append_char(&whole, (char)('a' + i % 26));
    struct heard heard = ask(fixture, whole.data);
    assert_int_equal(heard.status, 200);
    assert_int_equal(heard.length, 1 << 20);
    stop(fixture);
}

static void head_is_answered_as_get_without_a_body(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    say(fd, "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n" GET_HEALTH);
    struct heard heard = hear_answer(fd, true);
    assert_int_equal(heard.status, 200);
    assert_non_null(field(&heard, "\r\nContent-Length: 7\r\n"));
    assert_string_equal(hear(fd).body, "healthy");
    close(fd);
    stop(fixture);
}

static void a_retryable_failure_says_when_to_come_again(void **state) {
    (void)state;
    struct fixture *fixture = start();
    struct heard heard = ask(fixture, "GET /busy HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(heard.status, 503);
    assert_non_null(field(&heard, "\r\nRetry-After: 5\r\n"));
    assert_string_equal(heard.body, "{\"error\":\"LOCK_HELD\",\"message\":\"the lock is \\\"held\\\"\"}");
    assert_false(heard.closed);
    stop(fixture);
}

static void a_connection_is_kept_until_the_client_asks_to_close_it(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    for (int i = 0; i < 20; i++) {
        say(fd,
            "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n"); // with the stray CR LF of old clients
        struct heard heard = hear(fd);
        assert_int_equal(heard.status, 200);
        assert_false(heard.closed);
    }
    say(fd, "GET /health HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n");
    struct heard heard = hear(fd);
    assert_int_equal(heard.status, 200);
    assert_true(heard.closed);
    assert_true(ends(fd));
    close(fd);
    stop(fixture);
}

static void an_h2c_upgrade_is_ignored(void **state) {
    (void)state;
    struct fixture *fixture = start();
    struct heard heard = ask(fixture, "GET /health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                                      "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
    assert_int_equal(heard.status, 200);
    assert_null(field(&heard, "\r\nUpgrade:"));
    stop(fixture);
}

static void pipelined_requests_are_answered_in_order_one_at_a_time(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    say(fd, "GET /gate HTTP/1.1\r\nHost: a\r\n\r\n"
            "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
            "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo" GET_HEALTH
            "get / HTTP/1.1\r\n\r\n" GET_HEALTH);
    assert_true(eventually(&fixture->handled, 1));
    clock_sleep_ms(20);
    assert_int_equal(atomic_load(&fixture->handled), 1);
    atomic_store(&fixture->gate, true);
    assert_string_equal(hear(fd).body, "through");
    assert_string_equal(hear(fd).body, "one");
    assert_string_equal(hear(fd).body, "two");
    assert_string_equal(hear(fd).body, "healthy");
    assert_int_equal(hear(fd).status, 400);
    assert_true(ends(fd));
    close(fd);
    assert_int_equal(atomic_load(&fixture->handled), 4);
    stop(fixture);
}

static void a_request_in_many_pieces_is_answered_once(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    static const char text[] =
        "POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        say_bytes(fd, text + i, 1);
        if (i % 16 == 0)
            clock_sleep_ms(1);
    }
    assert_string_equal(hear(fd).body, "hello");
    close(fd);
    assert_int_equal(atomic_load(&fixture->handled), 1);
    stop(fixture);
}

// ---- time ------------------------------------------------------------------------------------------------------------
static const struct server_limits hasty = {
    .body = 1 << 20, .connections = 256, .head_ms = 300, .body_ms = 300, .idle_ms = 300, .write_ms = 300, .threads = 4};

// One byte every 50 ms, until the server says something. Returns what it says.
static struct heard drip(int fd, const char *bytes) {
    for (; *bytes; bytes++) {
        char c;
        if (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || !say_bytes(fd, bytes, 1))
            break;
        clock_sleep_ms(50);
    }
    return hear(fd);
}

static void a_dripping_head_and_a_dripping_body_are_cut_by_the_whole_deadline(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&hasty);
    int fd = dial(fixture);
    struct heard heard = drip(fd, "GET /health HTTP/1.1\r\nHost: a\r\nX-Long: abcdefghijklmnopqrstuvwxyz\r\n\r\n");
    assert_int_equal(heard.status, 408);
    assert_non_null(strstr(heard.body, "HTTP_TIMEOUT"));
    assert_true(ends(fd));
    close(fd);
    fd = dial(fixture);
    say(fd, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n");
    assert_int_equal(drip(fd, "0123456789012345678901234567890123456789").status, 408);
    close(fd);
    fd = dial(fixture);
    say(fd, "POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(drip(fd, "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").status, 408);
    close(fd);
    assert_int_equal(atomic_load(&fixture->handled), 0);
    stop(fixture);
}

static void a_silent_connection_is_closed_without_a_word(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&hasty);
    int fd = dial(fixture);
    assert_true(ends(fd));
    close(fd);
    fd = dial(fixture);
    say(fd, GET_HEALTH);
    assert_int_equal(hear(fd).status, 200);
    assert_true(ends(fd));
    close(fd);
    stop(fixture);
}

static void a_long_request_is_not_cut_by_any_deadline(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&hasty);
    int fd = dial(fixture);
    say(fd, "GET /gate HTTP/1.1\r\nHost: a\r\n\r\n" GET_HEALTH);
    clock_sleep_ms(700);
    atomic_store(&fixture->gate, true);
    assert_string_equal(hear(fd).body, "through");
    assert_string_equal(hear(fd).body, "healthy");
    close(fd);
    stop(fixture);
}

static void a_client_that_does_not_read_its_answer_is_cut(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&hasty);
    int fd = dial(fixture);
    say(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    struct pollfd reset = {.fd = fd}; // nothing but an error is awaited
    assert_int_equal(poll(&reset, 1, WAIT_MS), 1);
    struct heard heard = {0};
    assert_true(hear_head(fd, &heard));
    size_t came = 0;
    static char bytes[1 << 16];
    ssize_t length;
    while ((length = recv(fd, bytes, sizeof bytes, 0)) > 0)
        came += (size_t)length;
    assert_true(came < BIG);
    close(fd);
    assert_healthy(fixture);
    stop(fixture);
}

// Requests without end whose answers nobody reads: the server holds one answer and stops reading, so that the rest stays with
// the sender, and then it cuts.
static void a_client_that_sends_without_reading_is_stopped_and_cut(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&hasty);
    int fd = dial(fixture);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    static const char request[] = GET_HEALTH;
    size_t sent = 0;
    uint64_t until = clock_ms() + 2 * WAIT_MS;
    while (clock_ms() < until) {
        ssize_t length = send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
        if (length > 0)
            sent += (size_t)length;
        else if (errno != EAGAIN && errno != EWOULDBLOCK)
            break; // cut
        else
            clock_sleep_ms(1);
    }
    assert_true(clock_ms() < until);
    assert_true(sent / (sizeof request - 1) > atomic_load(&fixture->handled) + 1000);
    close(fd);
    assert_healthy(fixture);
    stop(fixture);
}

// ---- room ------------------------------------------------------------------------------------------------------------
#define PLACES 8

static const struct server_limits narrow = {.body = 1 << 20,
                                            .connections = PLACES,
                                            .head_ms = 60000,
                                            .body_ms = 60000,
                                            .idle_ms = 60000,
                                            .write_ms = 60000,
                                            .threads = PLACES};

static void slow_clients_never_keep_a_good_one_out(void **state) {
    (void)state;
    static const char *const starts[] = {"", "GET /hea",
                                         "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\nabc"};
    for (size_t k = 0; k < sizeof starts / sizeof starts[0]; k++) {
        struct fixture *fixture = start_with(&narrow);
        int slow[4 * PLACES];
        for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
            slow[i] = dial(fixture);
            say(slow[i], starts[k]);
        }
        uint64_t began = clock_ms();
        for (int i = 0; i < 5; i++)
            assert_healthy(fixture);
        assert_true(clock_ms() - began < 4000); // far below the 60 s that the slow ones may take
        for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++)
            close(slow[i]);
        stop(fixture);
    }
}

static void the_slowest_request_gives_way_and_is_told_so(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&narrow);
    int slow[PLACES];
    for (size_t i = 0; i < PLACES; i++) {
        slow[i] = dial(fixture);
        say(slow[i], "GET /health HT");
        clock_sleep_ms(5);
    }
    clock_sleep_ms(150);
    assert_healthy(fixture);
    struct heard heard = hear(slow[0]);
    assert_int_equal(heard.status, 408);
    assert_true(ends(slow[0]));
    say(slow[PLACES - 1], "TP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(hear(slow[PLACES - 1]).status, 200);
    for (size_t i = 0; i < PLACES; i++)
        close(slow[i]);
    stop(fixture);
}

static void an_idle_connection_gives_way_before_a_slow_one(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&narrow);
    int slow[PLACES - 1];
    for (size_t i = 0; i < PLACES - 1; i++) {
        slow[i] = dial(fixture);
        say(slow[i], "GET /health HT");
    }
    int idle = dial(fixture);
    say(idle, GET_HEALTH);
    assert_int_equal(hear(idle).status, 200);
    clock_sleep_ms(150);
    assert_healthy(fixture);
    assert_true(ends(idle));
    close(idle);
    for (size_t i = 0; i < PLACES - 1; i++) {
        say(slow[i], "TP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(hear(slow[i]).status, 200);
        close(slow[i]);
    }
    stop(fixture);
}

static void a_request_at_work_never_gives_way(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&narrow);
    int working[PLACES];
    for (size_t i = 0; i < PLACES; i++) {
        working[i] = dial(fixture);
        say(working[i], "GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    assert_true(eventually(&fixture->handled, PLACES));
    int waiting = dial(fixture); // in the backlog
    say(waiting, GET_HEALTH);
    clock_sleep_ms(200);
    char c;
    assert_int_equal(recv(waiting, &c, 1, MSG_PEEK | MSG_DONTWAIT), -1);
    atomic_store(&fixture->gate, true);
    for (size_t i = 0; i < PLACES; i++) {
        assert_string_equal(hear(working[i]).body, "through");
        close(working[i]);
    }
    assert_string_equal(hear(waiting).body, "healthy");
    close(waiting);
    stop(fixture);
}

static void a_burst_of_good_requests_is_answered_to_the_last(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&narrow);
    int fds[10 * PLACES];
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        fds[i] = dial(fixture);
        say(fds[i], "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    }
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        assert_string_equal(hear(fds[i]).body, "hi");
        close(fds[i]);
    }
    stop(fixture);
}

// The processor is taken away from a worker between requests; when it comes back, everything has happened at once.
static void requests_that_came_while_the_loop_stood_still_are_not_taken_for_slow(void **state) {
    (void)state;
    struct fixture *fixture = start_with(&narrow);
    int fds[PLACES + 1];
    for (size_t i = 0; i < PLACES; i++)
        fds[i] = dial(fixture);
    say(fds[0], "GET /stall HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(eventually(&fixture->handled, 1));
    for (size_t i = PLACES; i > 0; i--) { // the newcomer knocks first
        if (i == PLACES)
            fds[i] = dial(fixture);
        say(fds[i], GET_HEALTH);
    }
    for (size_t i = 1; i <= PLACES; i++)
        assert_string_equal(hear(fds[i]).body, "healthy");
    for (size_t i = 0; i <= PLACES; i++)
        close(fds[i]);
    stop(fixture);
}

static void running_out_of_descriptors_does_not_spin_and_passes(void **state) {
    (void)state;
    struct fixture *fixture = start();
    assert_healthy(fixture);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)fds[0]; // no number is left below
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct sockaddr_in there = {.sin_family = AF_INET,
                                .sin_port = htons(server_port(fixture->server)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_sec = WAIT_MS / 1000};
    setsockopt(fds[2], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    assert_int_equal(connect(fds[2], (struct sockaddr *)&there, sizeof there), 0);
    say(fds[2], GET_HEALTH);
    struct rusage start_usage, end_usage;
    getrusage(RUSAGE_SELF, &start_usage);
    clock_sleep_ms(500);
    getrusage(RUSAGE_SELF, &end_usage);
    char c;
    ssize_t early = recv(fds[2], &c, 1, MSG_PEEK | MSG_DONTWAIT);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(early, -1);
    long spent = (end_usage.ru_utime.tv_sec - start_usage.ru_utime.tv_sec) * 1000 +
                 (end_usage.ru_utime.tv_usec - start_usage.ru_utime.tv_usec) / 1000 +
                 (end_usage.ru_stime.tv_sec - start_usage.ru_stime.tv_sec) * 1000 +
                 (end_usage.ru_stime.tv_usec - start_usage.ru_stime.tv_usec) / 1000;
    assert_true(spent < 250); // of 500 ms; a spinning loop takes nearly all
    assert_string_equal(hear(fds[2]).body, "healthy");
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    stop(fixture);
}

// ---- the client goes -------------------------------------------------------------------------------------------------
static void a_client_that_goes_is_noticed_while_its_request_is_at_work(void **state) {
    (void)state;
    enum { CLOSE, HALF, RESET };
    for (int how = CLOSE; how <= RESET; how++) {
        struct fixture *fixture = start();
        int fd = dial(fixture);
        say(fd, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n" GET_HEALTH); // unread bytes do not hide it
        struct server_exchange *exchange = kept(fixture);
        clock_sleep_ms(30);
        assert_false(server_client_gone(exchange));
        struct linger none = {.l_onoff = 1};
        if (how == RESET)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        if (how == HALF)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        for (int i = 0; i < WAIT_MS && !server_client_gone(exchange); i++)
            clock_sleep_ms(1);
        assert_true(server_client_gone(exchange));
        assert_true(view_is(server_path(exchange), "/keep")); // still valid
        answer_text(exchange, "late");
        if (how == HALF) {
            assert_string_equal(hear(fd).body, "late");
            close(fd);
        }
        assert_healthy(fixture);
        stop(fixture);
    }
}

// A write to a reset connection raises SIGPIPE unless the server prevents it, and that would end this program.
static void a_client_that_goes_in_the_middle_of_its_answer_harms_nobody(void **state) {
    (void)state;
    struct fixture *fixture = start();
    for (int i = 0; i < 4; i++) {
        int fd = dial(fixture);
        say(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        struct heard heard = {0};
        assert_true(hear_head(fd, &heard));
        close(fd);
        assert_healthy(fixture);
    }
    stop(fixture);
}

static void an_answer_may_come_later_from_another_thread(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    say(fd, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    struct server_exchange *exchange = kept(fixture);
    server_set_note(exchange, memory_string("freed with the exchange"));
    assert_string_equal(server_note(exchange), "freed with the exchange");
    assert_healthy(fixture);
    answer_text(exchange, "later");
    assert_string_equal(hear(fd).body, "later");
    close(fd);
    stop(fixture);
}

static void busy_handlers_do_not_hold_up_the_quick_ones(void **state) {
    (void)state;
    struct server_limits limits = server_limits_default;
    limits.threads = 2;
    struct fixture *fixture = start_with(&limits);
    int fds[6];
    for (int i = 0; i < 6; i++) {
        fds[i] = dial(fixture);
        say(fds[i], "GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    assert_true(eventually(&fixture->handled, 2));
    clock_sleep_ms(30);
    assert_int_equal(atomic_load(&fixture->handled), 2); // the others wait for a thread
    assert_healthy(fixture);
    atomic_store(&fixture->gate, true);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(hear(fds[i]).body, "through");
        close(fds[i]);
    }
    stop(fixture);
}

// ---- draining --------------------------------------------------------------------------------------------------------
static void draining_answers_what_is_in_flight_and_refuses_newcomers(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int idle = dial(fixture), silent = dial(fixture), working = dial(fixture);
    say(idle, GET_HEALTH);
    assert_int_equal(hear(idle).status, 200);
    say(working, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n" GET_HEALTH);
    struct server_exchange *exchange = kept(fixture);
    server_drain(fixture->server);
    server_drain(fixture->server);
    assert_true(ends(idle));
    assert_true(ends(silent));
    assert_int_equal(dial(fixture), -1);
    answer_text(exchange, "last");
    struct heard heard = hear(working);
    assert_string_equal(heard.body, "last");
    assert_true(heard.closed);
    assert_true(ends(working)); // the pipelined one behind it is not begun any more
    close(idle);
    close(silent);
    close(working);
    join(fixture);
    server_drain(fixture->server);
    stop(fixture);
}

static void an_answer_in_flight_when_draining_begins_is_the_last(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int fd = dial(fixture);
    say(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    struct heard heard = {0};
    assert_true(hear_head(fd, &heard));
    server_drain(fixture->server);
    for (int i = 0; i < WAIT_MS; i++) { // until the drain has begun
        int other = dial(fixture);
        if (other < 0)
            break;
        close(other);
        clock_sleep_ms(1);
    }
    say(fd, GET_HEALTH);
    static char bytes[1 << 16];
    size_t came = 0;
    ssize_t length;
    while ((length = recv(fd, bytes, sizeof bytes, 0)) > 0)
        came += (size_t)length;
    assert_int_equal(came, BIG);
    close(fd);
    join(fixture);
    stop(fixture);
}

static void draining_gives_an_incomplete_request_a_short_while(void **state) {
    (void)state;
    struct fixture *fixture = start();
    int quick = dial(fixture), slow = dial(fixture);
    say(quick, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    say(slow, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    clock_sleep_ms(50);
    server_drain(fixture->server);
    clock_sleep_ms(50);
    say(quick, "lo");
    struct heard heard = hear(quick);
    assert_string_equal(heard.body, "hello");
    assert_true(heard.closed);
    close(quick);
    heard = hear(slow);
    assert_int_equal(heard.status, 503);
    assert_non_null(strstr(heard.body, "SHUTTING_DOWN"));
    close(slow);
    join(fixture);
    stop(fixture);
}

static void a_server_drained_before_it_runs_returns_at_once(void **state) {
    (void)state;
    struct fixture fixture = {0};
    struct error err = {0};
    assert_true(server_new("127.0.0.1", 0, &server_limits_default, routes, 1, &fixture, &fixture.server, &err));
    server_drain(fixture.server);
    assert_true(server_run(fixture.server, &err));
    server_free(fixture.server);
}

static void a_server_that_never_runs_is_freed_cleanly(void **state) {
    (void)state;
    struct server *server = NULL;
    struct error err = {0};
    assert_true(server_new("::1", 0, &server_limits_default, routes, 1, NULL, &server, &err) ||
                server_new("127.0.0.1", 0, &server_limits_default, routes, 1, NULL, &server, &err));
    assert_true(server_port(server) > 0);
    server_free(server);
    server_free(NULL);
}

static void an_address_that_cannot_be_listened_on_is_named(void **state) {
    (void)state;
    struct fixture *fixture = start();
    struct server *server = NULL;
    struct error err = {0};
    assert_false(
        server_new("127.0.0.1", server_port(fixture->server), &server_limits_default, routes, 1, NULL, &server, &err));
    assert_int_equal(err.code, ERROR_CONFIGURATION);
    assert_non_null(strstr(err.message, "127.0.0.1"));
    assert_false(server_new("not an address", 0, &server_limits_default, routes, 1, NULL, &server, &err));
    assert_int_equal(err.code, ERROR_CONFIGURATION);
    assert_non_null(strstr(err.message, "not an address"));
    struct server_limits none = server_limits_default;
    none.threads = 0;
    assert_false(server_new("127.0.0.1", 0, &none, routes, 1, NULL, &server, &err));
    assert_null(server);
    stop(fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_malformed_request_is_refused_and_the_connection_closed),
        cmocka_unit_test(a_large_head_is_refused),
        cmocka_unit_test(a_body_above_the_limit_is_refused_before_it_is_read),
        cmocka_unit_test(the_answer_to_a_refused_upload_arrives_although_the_client_goes_on_sending),
        cmocka_unit_test(an_unknown_path_and_a_wrong_method_are_told_apart),
        cmocka_unit_test(a_request_that_ends_in_the_middle_is_refused),
        cmocka_unit_test(a_refused_request_is_answered_before_its_body_comes),
        cmocka_unit_test(a_malformed_body_is_not_looked_at_before_admission),
        cmocka_unit_test(continue_is_said_only_after_admission),
        cmocka_unit_test(a_request_is_shown_to_its_handler),
        cmocka_unit_test(a_body_arrives_whole_by_length_and_by_chunks),
        cmocka_unit_test(head_is_answered_as_get_without_a_body),
        cmocka_unit_test(a_retryable_failure_says_when_to_come_again),
        cmocka_unit_test(a_connection_is_kept_until_the_client_asks_to_close_it),
        cmocka_unit_test(an_h2c_upgrade_is_ignored),
        cmocka_unit_test(pipelined_requests_are_answered_in_order_one_at_a_time),
        cmocka_unit_test(a_request_in_many_pieces_is_answered_once),
        cmocka_unit_test(a_dripping_head_and_a_dripping_body_are_cut_by_the_whole_deadline),
        cmocka_unit_test(a_silent_connection_is_closed_without_a_word),
        cmocka_unit_test(a_long_request_is_not_cut_by_any_deadline),
        cmocka_unit_test(a_client_that_does_not_read_its_answer_is_cut),
        cmocka_unit_test(a_client_that_sends_without_reading_is_stopped_and_cut),
        cmocka_unit_test(slow_clients_never_keep_a_good_one_out),
        cmocka_unit_test(the_slowest_request_gives_way_and_is_told_so),
        cmocka_unit_test(an_idle_connection_gives_way_before_a_slow_one),
        cmocka_unit_test(a_request_at_work_never_gives_way),
        cmocka_unit_test(a_burst_of_good_requests_is_answered_to_the_last),
        cmocka_unit_test(requests_that_came_while_the_loop_stood_still_are_not_taken_for_slow),
        cmocka_unit_test(running_out_of_descriptors_does_not_spin_and_passes),
        cmocka_unit_test(a_client_that_goes_is_noticed_while_its_request_is_at_work),
        cmocka_unit_test(a_client_that_goes_in_the_middle_of_its_answer_harms_nobody),
        cmocka_unit_test(an_answer_may_come_later_from_another_thread),
        cmocka_unit_test(busy_handlers_do_not_hold_up_the_quick_ones),
        cmocka_unit_test(draining_answers_what_is_in_flight_and_refuses_newcomers),
        cmocka_unit_test(an_answer_in_flight_when_draining_begins_is_the_last),
        cmocka_unit_test(draining_gives_an_incomplete_request_a_short_while),
        cmocka_unit_test(a_server_drained_before_it_runs_returns_at_once),
        cmocka_unit_test(a_server_that_never_runs_is_freed_cleanly),
        cmocka_unit_test(an_address_that_cannot_be_listened_on_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
