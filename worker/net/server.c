// See server.h. This file owns the door: listening, taking connections in, making room when all places are taken, the post from
// other threads, and draining. A connection's life is server_connection.c.
#include "base/arena.h"
#include "base/clock.h"
#include "net/server_internal.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 512
#define ACCEPTS 64 // in one go, so that a flood of newcomers cannot hold the loop
#define SHUT_MS 50 // how long the door stays shut when there is no room and nobody gives way

const struct server_limits server_limits_default = {
    .body = 1 << 20,
    .connections = 256,
    .head_ms = 10000,
    .body_ms = 20000,
    .idle_ms = 15000,
    .write_ms = 10000,
    .threads = 16,
};

// ---- the door --------------------------------------------------------------------------------------------------------
static void shut_door(struct server *server) {
    server->door_shut = server_watch_for(server->door, 0) && server_watch_deadline(server->door, SHUT_MS);
}

static void open_door(struct server *server) {
    server->door_shut = !server_watch_deadline(server->door, 0) || !server_watch_for(server->door, SERVER_READ);
    if (server->door_shut)
        (void)server_watch_deadline(server->door, SHUT_MS);
}

// The one that gives way most readily; among equals, the one that has been at it longest.
static bool make_room(struct server *server) {
    struct server_connection *chosen = NULL;
    unsigned best = 0;
    uint64_t now = clock_ms();
    for (struct server_connection *each = server->connections; each; each = each->next) {
        unsigned rank = server_connection_rank(each, now);
        if (rank == 0)
            continue;
        if (!chosen || rank < best || (rank == best && each->since <= chosen->since)) {
            chosen = each;
            best = rank;
        }
    }
    if (chosen)
        server_connection_give_way(chosen);
    return chosen != NULL;
}

static bool accept_one(struct server *server) {
    int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // only speed is lost without it
        server_connection_open(server, fd);
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return false;
    // Out of descriptors or memory: the newcomer waits in the backlog, and the loop must not spin on it.
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        if (!make_room(server))
            shut_door(server);
        return false;
    }
    return true; // ECONNABORTED and the network errors of accept(2) concern that one newcomer
}

static void on_door(void *context, unsigned what) {
    struct server *server = context;
    if (what == SERVER_LATE) {
        open_door(server);
        return;
    }
    for (int i = 0; i < ACCEPTS; i++) {
        if (server->connection_count >= server->limits.connections) {
            if (i > 0)
                return; // perhaps nobody else is waiting; if so, the loop comes back at once
            if (!make_room(server)) {
                shut_door(server);
                return;
            }
        }
        if (!accept_one(server))
            return;
    }
}

void server_closed_connection(struct server *server) {
    if (server->draining && server->connection_count == 0)
        server_loop_stop(server->loop);
    else if (server->door_shut && !server->draining)
        open_door(server);
}

// ---- the post --------------------------------------------------------------------------------------------------------
// Under the mutex, so that server_free, which comes after the last answer, cannot overtake it.
static void ring(struct server *server) {
    uint64_t one = 1;
    (void)!write(server->bell, &one, sizeof one); // fails only when it is ringing already
}

void server_post(struct server_exchange *exchange) {
    struct server *server = exchange->server;
    pthread_mutex_lock(&server->mutex);
    exchange->next = NULL;
    *server->post_end = exchange;
    server->post_end = &exchange->next;
    ring(server);
    pthread_mutex_unlock(&server->mutex);
}

void server_drain(struct server *server) {
    pthread_mutex_lock(&server->mutex);
    server->drain_asked = true;
    ring(server);
    pthread_mutex_unlock(&server->mutex);
}

static void start_draining(struct server *server) {
    server->draining = true;
    server_watch_free(server->door);
    server->door = NULL;
    close(server->listener);
    server->listener = -1;
    for (struct server_connection *each = server->connections, *next; each; each = next) {
        next = each->next;
        server_connection_drain(each);
    }
    if (server->connection_count == 0)
        server_loop_stop(server->loop);
}

static void on_bell(void *context, unsigned what) {
    (void)what;
    struct server *server = context;
    uint64_t rings;
    (void)!read(server->bell, &rings, sizeof rings);
    pthread_mutex_lock(&server->mutex);
    struct server_exchange *exchange = server->post;
    server->post = NULL;
    server->post_end = &server->post;
    bool drain = server->drain_asked && !server->draining;
    pthread_mutex_unlock(&server->mutex);
    if (drain)
        start_draining(server);
    for (struct server_exchange *next; exchange; exchange = next) {
        next = exchange->next;
        server_connection_resume(exchange);
    }
}

// ---- birth and death -------------------------------------------------------------------------------------------------
static bool fail(struct error *err, const char *address, uint16_t port, const char *why) {
    return error_set(err, ERROR_CONFIGURATION, "cannot listen on %s port %u: %s", address, (unsigned)port, why);
}

static int listen_at(const struct addrinfo *place) {
    int fd = socket(place->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, place->ai_addr, place->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int reason = errno;
    if (fd >= 0)
        close(fd);
    errno = reason;
    return -1;
}

static bool open_listener(struct server *server, const char *address, uint16_t port, struct error *err) {
    char service[8];
    (void)snprintf(service, sizeof service, "%u", (unsigned)port); // five digits at most
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *place = NULL;
    int failure = getaddrinfo(address, service, &hints, &place);
    if (failure != 0)
        return fail(err, address, port, gai_strerror(failure));
    server->listener = listen_at(place);
    int reason = errno;
    freeaddrinfo(place);
    if (server->listener < 0)
        return fail(err, address, port, strerror(reason));
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    if (getsockname(server->listener, (struct sockaddr *)&bound, &length) != 0)
        return fail(err, address, port, strerror(errno));
    server->port = bound.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&bound)->sin6_port)
                                               : ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return true;
}

static bool open_loop(struct server *server, struct error *err) {
    server->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->loop = server_loop_new();
    if (server->bell < 0 || !server->loop)
        return error_set(err, ERROR_CONFIGURATION, "cannot make an event loop: %s", strerror(errno));
    server->door = server_watch_new(server->loop, server->listener, on_door, server);
    server->bell_watch = server_watch_new(server->loop, server->bell, on_bell, server);
    if (!server->door || !server_watch_for(server->door, SERVER_READ) || !server->bell_watch ||
        !server_watch_for(server->bell_watch, SERVER_READ))
        return error_set(err, ERROR_CONFIGURATION, "cannot watch the listening socket: %s", strerror(errno));
    return true;
}

bool server_new(const char *address, uint16_t port, const struct server_limits *limits,
                const struct server_route *routes, size_t route_count, void *context, struct server **ret_server,
                struct error *err) {
    if (limits->connections == 0 || limits->threads == 0 || limits->head_ms == 0 || limits->body_ms == 0 ||
        limits->idle_ms == 0 || limits->write_ms == 0)
        return error_set(err, ERROR_CONFIGURATION, "a limit of the HTTP server is zero");
    struct server *server = memory_alloc(sizeof *server);
    *server = (struct server){
        .limits = *limits,
        .routes = routes,
        .route_count = route_count,
        .context = context,
        .listener = -1,
        .bell = -1,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
    };
    server->post_end = &server->post;
    if (!open_listener(server, address, port, err) || !open_loop(server, err) ||
        !server_pool_new(limits->threads, &server->pool, err)) {
        server_free(server);
        return false;
    }
    *ret_server = server;
    return true;
}

uint16_t server_port(const struct server *server) {
    return server->port;
}

bool server_run(struct server *server, struct error *err) {
    return server_loop_run(server->loop) ||
           error_set(err, ERROR_INTERNAL, "the event loop failed: %s", strerror(errno));
}

void server_free(struct server *server) {
    if (!server)
        return;
    server_pool_free(server->pool); // a handler may still be on its way out after its answer
    server->draining = true;        // nothing is accepted any more
    for (struct server_connection *each = server->connections, *next; each; each = next) {
        next = each->next;
        server_connection_close(each);
    }
    server_watch_free(server->door);
    server_watch_free(server->bell_watch);
    server_loop_free(server->loop);
    if (server->listener >= 0)
        close(server->listener);
    if (server->bell >= 0)
        close(server->bell);
    // Whoever posted last has let go of the mutex once we have held it.
    pthread_mutex_lock(&server->mutex);
    pthread_mutex_unlock(&server->mutex);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}
