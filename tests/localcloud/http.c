// The evhttp server. What paths mean is the business of the rooms that handle them.
#include "http.h"
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

// A publish request may have 10 MB, which is 13.4 MB in base64.
#define BODY_MAX (16 * 1024 * 1024)
#define HEAD_MAX (64 * 1024)
// Relayed pushes may be held for 600 s, and evhttp's read timeout counts while they are.
#define IDLE_S 3600

struct http {
    struct loop *loop;
    struct evhttp *server;
    uint16_t port;
    http_handle *handle;
    void *context;
    struct exchange_inside *open;
};

struct exchange_inside {
    struct exchange outside;
    struct http *http;
    struct evhttp_request *request;
    struct evkeyvalq query;
    struct json *json;
    struct timer *timer;
    http_handle *later;
    void *later_context;
    struct exchange_inside *next, **back;
};

static const struct {
    enum evhttp_cmd_type type;
    const char *name;
} methods[] = {
    {EVHTTP_REQ_GET, "GET"},     {EVHTTP_REQ_POST, "POST"},     {EVHTTP_REQ_PUT, "PUT"},
    {EVHTTP_REQ_PATCH, "PATCH"}, {EVHTTP_REQ_DELETE, "DELETE"}, {EVHTTP_REQ_HEAD, "HEAD"},
};

static const char *method_name(enum evhttp_cmd_type type) {
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].type == type)
            return methods[i].name;
    return "";
}

static void read_target(struct exchange_inside *inside) {
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(inside->request);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
    size_t length = 0;
    char *decoded = path ? evhttp_uridecode(path, 0, &length) : NULL;
    inside->outside.path = decoded && strlen(decoded) == length ? arena_string(inside->outside.arena, decoded) : "";
    free(decoded);
    // A query that evhttp cannot read is as good as none: nothing of ours is asked that way.
    if (!query || evhttp_parse_query_str(query, &inside->query))
        TAILQ_INIT(&inside->query);
}

static void on_request(struct evhttp_request *request, void *context) {
    struct http *http = context;
    struct exchange_inside *inside = memory_alloc(sizeof *inside);
    struct evbuffer *body = evhttp_request_get_input_buffer(request);
    size_t length = evbuffer_get_length(body);
    inside->http = http;
    inside->request = request;
    inside->outside = (struct exchange){
        .method = method_name(evhttp_request_get_command(request)),
        .arena = arena_new(),
        .body = {length ? (const char *)evbuffer_pullup(body, -1) : "", length},
        .inside = inside,
    };
    read_target(inside);
    inside->next = http->open;
    inside->back = &http->open;
    if (http->open)
        http->open->back = &inside->next;
    http->open = inside;
    http->handle(http->context, &inside->outside);
}

static void exchange_end(struct exchange_inside *inside) {
    *inside->back = inside->next;
    if (inside->next)
        inside->next->back = inside->back;
    timer_free(inside->timer);
    evhttp_clear_headers(&inside->query);
    json_free(inside->json);
    arena_free(inside->outside.arena);
    free(inside);
}

struct http *http_new(struct loop *loop, uint16_t port, http_handle *handle, void *context) {
    struct http *http = memory_alloc(sizeof *http);
    http->loop = loop;
    http->handle = handle;
    http->context = context;
    http->server = evhttp_new(loop_base(loop));
    struct evhttp_bound_socket *bound =
        http->server ? evhttp_bind_socket_with_handle(http->server, "127.0.0.1", port) : NULL;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &length)) {
        if (http->server)
            evhttp_free(http->server);
        free(http);
        return NULL;
    }
    http->port = ntohs(((const struct sockaddr_in *)&address)->sin_port);
    evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH |
                                                 EVHTTP_REQ_DELETE | EVHTTP_REQ_HEAD);
    evhttp_set_max_body_size(http->server, BODY_MAX);
    evhttp_set_max_headers_size(http->server, HEAD_MAX);
    evhttp_set_timeout(http->server, IDLE_S);
    evhttp_set_gencb(http->server, on_request, http);
    return http;
}

uint16_t http_port(const struct http *http) {
    return http->port;
}

void http_free(struct http *http) {
    if (!http)
        return;
    struct refusal refusal;
    refuse(&refusal, UNAVAILABLE, "localcloud is shutting down.");
    while (http->open)
        exchange_refuse(&http->open->outside, &refusal);
    evhttp_free(http->server);
    free(http);
}

const char *exchange_query(const struct exchange *exchange, const char *name) {
    return evhttp_find_header(&exchange->inside->query, name);
}

const char *exchange_header(const struct exchange *exchange, const char *name) {
    return evhttp_find_header(evhttp_request_get_input_headers(exchange->inside->request), name);
}

bool exchange_json(struct exchange *exchange, const struct json **ret_json, struct refusal *refusal) {
    struct error err = {0};
    struct view body = view_trim(exchange->body);
    const char *encoding = exchange_header(exchange, "Content-Encoding");
    if (encoding && strcmp(encoding, "identity") != 0)
        return refuse(refusal, INVALID_ARGUMENT, "Unsupported Content-Encoding (%s).", encoding);
    if (!json_parse(body.length ? body : VIEW("{}"), &exchange->inside->json, &err))
        return refuse(refusal, INVALID_ARGUMENT, "Invalid JSON payload received. %s", err.message);
    if (json_type(exchange->inside->json) != JSON_OBJECT)
        return refuse(refusal, INVALID_ARGUMENT, "Invalid JSON payload received. Root element must be a message.");
    *ret_json = exchange->inside->json;
    return true;
}

static void on_later(void *context) {
    struct exchange_inside *inside = context;
    inside->later(inside->later_context, &inside->outside);
}

void exchange_later(struct exchange *exchange, uint64_t ms, http_handle *later, void *context) {
    struct exchange_inside *inside = exchange->inside;
    inside->later = later;
    inside->later_context = context;
    if (!inside->timer)
        inside->timer = timer_new(inside->http->loop, on_later, inside);
    timer_set(inside->timer, ms);
}

void exchange_answer_header(struct exchange *exchange, const char *name, const char *value) {
    evhttp_add_header(evhttp_request_get_output_headers(exchange->inside->request), name, value);
}

void exchange_answer(struct exchange *exchange, int status, const char *content_type, struct view body) {
    struct evbuffer *out = evhttp_request_get_output_buffer(exchange->inside->request);
    exchange_answer_header(exchange, "Content-Type", content_type);
    if (evbuffer_add(out, body.data, body.length))
        abort();
    evhttp_send_reply(exchange->inside->request, status, NULL, NULL);
    exchange_end(exchange->inside);
}

void exchange_answer_json(struct exchange *exchange, struct text *body) {
    exchange_answer(exchange, 200, "application/json; charset=UTF-8", (struct view){text_string(body), body->length});
    text_done(body);
}

void exchange_refuse(struct exchange *exchange, const struct refusal *refusal) {
    struct text body cleanup_text = TEXT(4096);
    refusal_write(refusal, &body);
    exchange_answer(exchange, refusal_http_status(refusal->status), "application/json; charset=UTF-8",
                    (struct view){text_string(&body), body.length});
}
