// What the server's family shares: the server, its connections, and the exchange that wanders between the loop and the pool.
// server.c owns the door (listening, making room, draining), server_connection.c one connection's life, server_exchange.c
// what a handler sees and how an answer is written.
#pragma once
#include "net/server.h"
#include "net/server_loop.h"
#include "net/server_pool.h"
#include "net/server_request.h"
#include <pthread.h>
#include <stdatomic.h>

enum server_errand { SERVER_ADMIT, SERVER_HANDLE };

// Belongs to the loop until it is sent out on an errand, and again once it has been posted.
struct server_exchange {
    struct server_job job; // first: the pool hands it back
    struct server *server;
    struct server_connection *connection;
    const struct server_route *route;
    struct server_request request;
    enum server_errand errand;
    bool admitted;
    struct server_answer answer;
    void *note;
    atomic_bool client_gone;
    struct server_exchange *next; // in the post
};

struct server {
    struct server_limits limits;
    const struct server_route *routes;
    size_t route_count;
    void *context;
    struct server_loop *loop;
    struct server_pool *pool;

    int listener; // -1 once draining
    uint16_t port;
    struct server_watch *door; // of the listener
    bool door_shut;            // for a moment: no room, or no descriptors
    struct server_connection *connections;
    unsigned connection_count;
    bool draining;

    // From other threads to the loop: what is posted under the mutex, and a knock at the eventfd.
    pthread_mutex_t mutex;
    int bell;
    struct server_watch *bell_watch;
    struct server_exchange *post, **post_end;
    bool drain_asked;
};

// ---- server.c ----
void server_post(struct server_exchange *exchange);   // any thread: back to the loop
void server_closed_connection(struct server *server); // loop: there is room again

// ---- server_exchange.c ----
struct server_exchange *server_exchange_new(struct server *server, struct server_connection *connection);
void server_exchange_free(struct server_exchange *exchange); // NULL is fine
void server_exchange_send_out(struct server_exchange *exchange, enum server_errand errand);
// The route for the request; NULL with ERROR_HTTP_NOT_FOUND or ERROR_HTTP_METHOD, and then `allow` lists the path's methods.
const struct server_route *server_exchange_route(const struct server_exchange *exchange, struct text *allow,
                                                 struct error *err);
struct server_answer_form {
    const char *allow; // NULL or "" = no Allow field
    bool head_only;    // the answer to HEAD
    bool close;
};
struct text server_answer_text(const struct server_answer *answer, const struct server_answer_form *form);

// ---- server_connection.c: all on the loop ----
struct server_connection {
    struct server *server;
    struct server_connection *next, **link; // in server->connections
    int fd;
    struct server_watch *watch;
    unsigned stage;
    uint64_t since; // clock_ms() when the stage began
    struct server_exchange *exchange;
    struct text out; // the answer being written
    size_t sent;
    bool closing;      // after this answer
    size_t start, end; // of what was read and not yet fed
    char ahead[16384]; // the read-ahead: nothing more is read while a request is at work
};
void server_connection_open(struct server *server, int fd);
void server_connection_resume(struct server_exchange *exchange); // back from its errand
void server_connection_drain(struct server_connection *connection);
// How readily it gives its place to a newcomer: 0 never, 1 most readily.
unsigned server_connection_rank(const struct server_connection *connection, uint64_t now);
void server_connection_give_way(struct server_connection *connection);
void server_connection_close(struct server_connection *connection);
