// HTTP in: a loopback server (libevent's evhttp, on purpose not the worker's own server: a double that shares the
// worker's parser would share its mistakes). An exchange is one request until it is answered, now or later; every
// exchange is answered exactly once.
#pragma once
#include "base/arena.h"
#include "base/json.h"
#include "loop.h"
#include "refusal.h"

struct http;
struct exchange {
    const char *method; // "GET"
    const char *path;   // percent-decoded, without NUL
    struct view body;
    struct arena *arena; // lives as long as the exchange
    const void *note;    // the handler's own; arena memory
    struct exchange_inside *inside;
};
typedef void http_handle(void *context, struct exchange *exchange);

// Listens on 127.0.0.1:`port`; 0 picks one. NULL when the port is taken.
struct http *http_new(struct loop *loop, uint16_t port, http_handle *handle, void *context);
uint16_t http_port(const struct http *http);
void http_free(struct http *http); // answers 503 to whoever is still waiting

const char *exchange_query(const struct exchange *exchange, const char *name);  // NULL when absent
const char *exchange_header(const struct exchange *exchange, const char *name); // NULL when absent
// The body as a JSON object; an empty body is an empty object. The tree belongs to the exchange.
bool exchange_json(struct exchange *exchange, const struct json **ret_json, struct refusal *refusal);
// Holds the exchange and calls `later` after `ms`.
void exchange_later(struct exchange *exchange, uint64_t ms, http_handle *later, void *context);
void exchange_answer_header(struct exchange *exchange, const char *name, const char *value); // before the answer
void exchange_answer(struct exchange *exchange, int status, const char *content_type, struct view body);
void exchange_answer_json(struct exchange *exchange, struct text *body); // 200; empties `body`
void exchange_refuse(struct exchange *exchange, const struct refusal *refusal);
