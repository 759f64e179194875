// The HTTP/1.1 server: an event loop (libevent) with a strict parser (http_parser), and a small pool of threads for handlers.
// It refuses what is malformed or ambiguous, bounds every size and time, and never lets a slow client keep a good one out.
// This is the door; its family are the files server_*: only server_loop.c sees libevent, only server_request.c sees http_parser.
// Source: RFC 9110, RFC 9112; Cloud Run container contract.
#pragma once
#include "base/error.h"
#include "base/text.h"

struct server;
struct server_exchange; // one request on its way to one answer

struct server_limits {
    size_t body;          // bytes; default 1 MiB
    unsigned connections; // default 256; when full, the slowest incomplete request gives way
    unsigned head_ms;     // whole head, default 10 s
    unsigned body_ms;     // whole body, default 20 s
    unsigned idle_ms;     // keep-alive, default 15 s
    unsigned write_ms;    // a client that does not read its answer, default 10 s
    unsigned threads;     // of the pool, started when needed; default 16
};
extern const struct server_limits server_limits_default;

struct server_answer {
    int status;
    struct text body;         // moved into the server by server_answer(); JSON unless content_type says otherwise
    const char *content_type; // static string; NULL = application/json
    unsigned retry_after;     // seconds; 0 = no Retry-After field
};

// All routes but `quick` ones run on a pool thread (admit too); quick ones on the loop (they must not block). A GET route
// answers HEAD as well. What is not answered by `handle` is answered here, and the connection is closed after it.
struct server_route {
    const char *method; // exact
    const char *path;   // exact path without query; a trailing * stands for any rest that is not empty
    // Called when the head is complete and before any body byte is looked at. True: read the body, then call `handle`.
    // False: `ret_answer` is sent and the connection closed. NULL: nothing to admit. Not called for quick routes.
    bool (*admit)(void *context, struct server_exchange *exchange, struct server_answer *ret_answer);
    // Owns the exchange from here until it calls server_answer(), now or later, from any thread.
    void (*handle)(void *context, struct server_exchange *exchange);
    bool quick;
};

// Listens on `address`:`port` (port 0: any; server_port tells). `context` is handed to the callbacks. Errors: ERROR_CONFIGURATION.
bool server_new(const char *address, uint16_t port, const struct server_limits *limits,
                const struct server_route *routes, size_t route_count, void *context, struct server **ret_server,
                struct error *err);
uint16_t server_port(const struct server *server);
bool server_run(struct server *server, struct error *err); // returns after server_drain() and the last answer
// Stop accepting at once, close idle connections, answer what is in flight with Connection: close, then server_run returns.
// A request that is not complete 2 s later is answered with ERROR_SHUTTING_DOWN. Async-signal-unsafe; callable from any thread,
// before server_run too, and again.
void server_drain(struct server *server);
void server_free(struct server *server); // NULL is fine; not while server_run runs

// The request. Views live as long as the exchange. Header names match without case; NULL data = absent.
struct view server_method(const struct server_exchange *exchange);
struct view server_path(const struct server_exchange *exchange);
struct view server_query(const struct server_exchange *exchange);
struct view server_header(const struct server_exchange *exchange, const char *name);
unsigned server_header_count(const struct server_exchange *exchange, const char *name);
struct view server_body(const struct server_exchange *exchange);
// The peer has closed, half-closed or reset the connection while the exchange was at work. Thread-safe.
bool server_client_gone(const struct server_exchange *exchange);
// A slot for the handler, kept from admit to handle; freed with free() when the exchange ends.
void server_set_note(struct server_exchange *exchange, void *note);
void *server_note(const struct server_exchange *exchange);
// Exactly once per exchange; it ends the exchange. Takes over answer->body.
void server_answer(struct server_exchange *exchange, struct server_answer *answer);
// `{"error":CODE,"message":...}` with the code's status and, for the retry class, Retry-After.
void server_answer_error(const struct error *err, struct server_answer *ret_answer);
