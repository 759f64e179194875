// One connection's life: reading a request, waiting while it is at work, writing the answer, and again. Everything here happens
// on the loop. A connection is freed in one place only, on the way out of an entry point; inside, it is only marked as closed.
#include "base/arena.h"
#include "base/clock.h"
#include "net/server_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS 1000 // for the client to read its last answer before we close
#define DRAIN_MS 2000  // for a request to become complete once we drain
#define GRACE_MS 100   // before a request counts as slow
#define STUCK_MS 1000  // before an answer counts as not being read
#define LINGER_READS 8 // in one go, so that a flood cannot hold the loop

enum stage {
    FRESH,  // no byte has come yet
    IDLE,   // between two requests
    HEAD,   // a request's head has begun
    BODY,   // it was admitted; its body is awaited
    WORK,   // the exchange is on an errand
    WRITE,  // the answer does not fit into the socket yet
    LINGER, // all is said; what still comes is thrown away, so that no reset overtakes the answer
    CLOSED, // to be freed on the way out
};

static bool is_receiving(const struct server_connection *connection) {
    return connection->stage <= BODY;
}

static bool is_waiting(const struct server_connection *connection) {
    return connection->stage <= IDLE;
}

static void close_later(struct server_connection *connection) {
    connection->stage = CLOSED;
}

static void enter(struct server_connection *connection, enum stage stage, unsigned interest, unsigned deadline_ms) {
    connection->stage = stage;
    connection->since = clock_ms();
    if (connection->server->draining && is_receiving(connection) && deadline_ms > DRAIN_MS)
        deadline_ms = DRAIN_MS;
    if (!server_watch_for(connection->watch, interest) || !server_watch_deadline(connection->watch, deadline_ms))
        close_later(connection);
}

void server_connection_close(struct server_connection *connection) {
    struct server *server = connection->server;
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    server_watch_free(connection->watch);
    close(connection->fd);
    server_exchange_free(connection->exchange);
    text_done(&connection->out);
    free(connection);
    server->connection_count--;
    server_closed_connection(server);
}

// The way out of every entry point.
static void settle(struct server_connection *connection) {
    if (connection->stage == CLOSED)
        server_connection_close(connection);
}

// ---- writing ---------------------------------------------------------------------------------------------------------
static void proceed(struct server_connection *connection);

static void finish_answer(struct server_connection *connection) {
    text_done(&connection->out);
    if (connection->closing || connection->server->draining) {
        (void)shutdown(connection->fd, SHUT_WR); // fails when the client has gone, which the next read says too
        enter(connection, LINGER, SERVER_READ, LINGER_MS);
        return;
    }
    enter(connection, IDLE, SERVER_READ, connection->server->limits.idle_ms);
    proceed(connection);
}

// What does not go out at once goes out as the client reads, within one deadline for the whole answer.
static void write_answer(struct server_connection *connection) {
    while (connection->sent < connection->out.length) {
        ssize_t sent = send(connection->fd, connection->out.data + connection->sent,
                            connection->out.length - connection->sent, MSG_NOSIGNAL);
        if (sent > 0)
            connection->sent += (size_t)sent;
        else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (connection->stage != WRITE)
                enter(connection, WRITE, SERVER_WRITE, connection->server->limits.write_ms);
            return;
        } else if (sent == 0 || errno != EINTR) {
            close_later(connection);
            return;
        }
    }
    finish_answer(connection);
}

// Ends the exchange, if there is one.
static void start_answer(struct server_connection *connection, struct server_answer *answer, const char *allow,
                         bool close) {
    struct server_exchange *exchange = connection->exchange;
    struct server_answer_form form = {
        .allow = allow,
        .head_only = exchange && view_is(exchange->request.method, "HEAD"),
        .close = close || connection->server->draining || !exchange || !exchange->request.keep_alive,
    };
    connection->out = server_answer_text(answer, &form);
    connection->sent = 0;
    connection->closing = form.close;
    text_done(&answer->body);
    server_exchange_free(exchange);
    connection->exchange = NULL;
    write_answer(connection);
}

static void refuse(struct server_connection *connection, const struct error *err, const char *allow) {
    struct server_answer answer;
    server_answer_error(err, &answer);
    start_answer(connection, &answer, allow, true);
}

// ---- reading ---------------------------------------------------------------------------------------------------------
static void send_out(struct server_connection *connection, enum server_errand errand) {
    enter(connection, WORK, SERVER_HANGUP, 0);
    if (connection->stage == WORK)
        server_exchange_send_out(connection->exchange, errand);
}

// RFC 9110 section 10.1.1. These few bytes always find room unless the client has stopped reading earlier answers.
static void invite_body(struct server_connection *connection) {
    static const char invitation[] = "HTTP/1.1 100 Continue\r\n\r\n";
    ssize_t length = sizeof invitation - 1;
    if (send(connection->fd, invitation, (size_t)length, MSG_NOSIGNAL) != length)
        close_later(connection);
}

static void begin_body(struct server_connection *connection) {
    enter(connection, BODY, SERVER_READ, connection->server->limits.body_ms);
    bool bytes_came = connection->start < connection->end;
    if (connection->stage == BODY && connection->exchange->request.expects_continue && !bytes_came)
        invite_body(connection);
}

static void on_head(struct server_connection *connection) {
    struct server_exchange *exchange = connection->exchange;
    struct error err = {0};
    cleanup_text struct text allow = TEXT(256);
    exchange->route = server_exchange_route(exchange, &allow, &err);
    if (!exchange->route)
        refuse(connection, &err, text_string(&allow));
    else if (exchange->route->admit && !exchange->route->quick)
        send_out(connection, SERVER_ADMIT);
    else
        begin_body(connection);
}

// Feeds what was read until more must come or the request is at work. What is left over then waits in `ahead`.
static void proceed(struct server_connection *connection) {
    while (is_receiving(connection)) {
        if (!connection->exchange) {
            if (connection->start == connection->end)
                return;
            connection->exchange = server_exchange_new(connection->server, connection);
            enter(connection, HEAD, SERVER_READ, connection->server->limits.head_ms);
            continue;
        }
        struct view bytes = {connection->ahead + connection->start, connection->end - connection->start};
        struct error err = {0};
        size_t used = 0;
        enum server_step step = server_request_feed(&connection->exchange->request, bytes, &used, &err);
        connection->start += used;
        if (step == SERVER_MORE)
            return;
        if (step == SERVER_HEAD)
            on_head(connection);
        else if (step == SERVER_DONE)
            send_out(connection, SERVER_HANDLE);
        else
            refuse(connection, &err, NULL);
    }
}

static void on_end(struct server_connection *connection) {
    if (is_waiting(connection)) {
        close_later(connection);
        return;
    }
    struct error err = {0};
    error_set(&err, ERROR_HTTP_MALFORMED, "the request ends in the middle");
    refuse(connection, &err, NULL);
}

static void on_readable(struct server_connection *connection) {
    ssize_t length = recv(connection->fd, connection->ahead, sizeof connection->ahead, 0);
    if (length > 0) {
        connection->start = 0;
        connection->end = (size_t)length;
        proceed(connection);
    } else if (length == 0)
        on_end(connection);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        close_later(connection);
}

static void throw_away(struct server_connection *connection) {
    for (int i = 0; i < LINGER_READS; i++) {
        ssize_t length = recv(connection->fd, connection->ahead, sizeof connection->ahead, 0);
        if (length > 0 || (length < 0 && errno == EINTR))
            continue;
        if (length == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            close_later(connection);
        return;
    }
}

// ---- entry points ----------------------------------------------------------------------------------------------------
// Close with a reset, so that the kernel does not keep unread answers either.
static void cut(struct server_connection *connection) {
    struct linger none = {.l_onoff = 1};
    (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close_later(connection);
}

static void on_late(struct server_connection *connection) {
    struct error err = {0};
    switch (connection->stage) {
    case HEAD:
    case BODY:
        if (connection->server->draining)
            error_set(&err, ERROR_SHUTTING_DOWN, "the worker is shutting down");
        else
            error_set(&err, ERROR_HTTP_TIMEOUT, "the request's %s did not arrive in time",
                      connection->stage == HEAD ? "head" : "body");
        refuse(connection, &err, NULL);
        return;
    case WRITE:
        cut(connection);
        return;
    default:
        close_later(connection);
    }
}

static void on_event(void *context, unsigned what) {
    struct server_connection *connection = context;
    if (what == SERVER_LATE)
        on_late(connection);
    else if (what == SERVER_HANGUP) {
        atomic_store(&connection->exchange->client_gone, true);
        (void)server_watch_for(connection->watch, 0); // it is edge-triggered: at worst it is said twice
    } else if (what == SERVER_WRITE)
        write_answer(connection);
    else if (connection->stage == LINGER)
        throw_away(connection);
    else
        on_readable(connection);
    settle(connection);
}

void server_connection_open(struct server *server, int fd) {
    struct server_connection *connection = memory_alloc(sizeof *connection);
    connection->server = server;
    connection->fd = fd;
    connection->next = server->connections;
    connection->link = &server->connections;
    if (connection->next)
        connection->next->link = &connection->next;
    server->connections = connection;
    server->connection_count++;
    connection->watch = server_watch_new(server->loop, fd, on_event, connection);
    if (connection->watch)
        enter(connection, FRESH, SERVER_READ, server->limits.head_ms);
    else
        close_later(connection);
    settle(connection);
}

void server_connection_resume(struct server_exchange *exchange) {
    struct server_connection *connection = exchange->connection;
    if (exchange->errand == SERVER_ADMIT && exchange->admitted) {
        text_done(&exchange->answer.body);
        begin_body(connection);
        proceed(connection);
    } else {
        struct server_answer answer = exchange->answer;
        exchange->answer = (struct server_answer){0};
        start_answer(connection, &answer, NULL, exchange->errand == SERVER_ADMIT);
    }
    settle(connection);
}

void server_connection_drain(struct server_connection *connection) {
    if (is_waiting(connection))
        close_later(connection);
    else if (is_receiving(connection) && !server_watch_deadline(connection->watch, DRAIN_MS))
        close_later(connection);
    settle(connection);
}

// Bytes that have come and that we have not read yet are our slowness, not the client's: the processor is taken away from us
// between requests, and then much happens at once.
static bool has_unread(const struct server_connection *connection) {
    char byte;
    return recv(connection->fd, &byte, 1, MSG_PEEK) > 0;
}

unsigned server_connection_rank(const struct server_connection *connection, uint64_t now) {
    uint64_t age = now - connection->since;
    switch (connection->stage) {
    case LINGER:
        return 1;
    case IDLE:
        return !has_unread(connection) ? 2 : 0;
    case FRESH:
    case HEAD:
    case BODY:
        return age >= GRACE_MS && !has_unread(connection) ? 3 : 0;
    case WRITE:
        return age >= STUCK_MS ? 4 : 0;
    default:
        return 0;
    }
}

void server_connection_give_way(struct server_connection *connection) {
    if (connection->stage == HEAD || connection->stage == BODY) {
        struct error err = {0};
        error_set(&err, ERROR_HTTP_TIMEOUT, "all connections are taken, and this request was the slowest to arrive");
        struct server_answer answer;
        server_answer_error(&err, &answer);
        cleanup_text struct text out = server_answer_text(&answer, &(struct server_answer_form){.close = true});
        text_done(&answer.body);
        // If it does not get through, the client learns the same from the closed connection.
        (void)!send(connection->fd, out.data, out.length, MSG_NOSIGNAL);
    }
    server_connection_close(connection);
}
