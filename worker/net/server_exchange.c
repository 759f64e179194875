// See server_internal.h: what a handler sees of a request, the errands to the pool, and the text of an answer.
#include "base/arena.h"
#include "base/json.h"
#include "net/server_internal.h"
#include <stdlib.h>
#include <string.h>

#define RETRY_AFTER_S 5
#define HEAD_ROOM 1024  // for the head of an answer
#define ERROR_ROOM 8192 // for the body of a refusal: a message of 1 KiB, each byte escaped

// ---- errands ---------------------------------------------------------------------------------------------------------
struct server_exchange *server_exchange_new(struct server *server, struct server_connection *connection) {
    struct server_exchange *exchange = memory_alloc(sizeof *exchange);
    exchange->server = server;
    exchange->connection = connection;
    server_request_begin(&exchange->request, server->limits.body);
    return exchange;
}

void server_exchange_free(struct server_exchange *exchange) {
    if (!exchange)
        return;
    server_request_done(&exchange->request);
    text_done(&exchange->answer.body);
    free(exchange->note);
    free(exchange);
}

static void run_errand(struct server_job *job) {
    struct server_exchange *exchange = (struct server_exchange *)job;
    void *context = exchange->server->context;
    if (exchange->errand == SERVER_ADMIT) {
        exchange->admitted = exchange->route->admit(context, exchange, &exchange->answer);
        server_post(exchange);
    } else
        exchange->route->handle(context, exchange);
}

void server_exchange_send_out(struct server_exchange *exchange, enum server_errand errand) {
    exchange->errand = errand;
    exchange->job.run = run_errand;
    if (exchange->route->quick)
        run_errand(&exchange->job);
    else
        server_pool_add(exchange->server->pool, &exchange->job);
}

void server_answer(struct server_exchange *exchange, struct server_answer *answer) {
    exchange->answer = *answer;
    *answer = (struct server_answer){0};
    server_post(exchange);
}

// ---- routes ----------------------------------------------------------------------------------------------------------
static bool is_at(struct view path, const char *pattern) {
    size_t length = strlen(pattern);
    if (length == 0 || pattern[length - 1] != '*')
        return view_is(path, pattern);
    return path.length > length - 1 && memcmp(path.data, pattern, length - 1) == 0;
}

const struct server_route *server_exchange_route(const struct server_exchange *exchange, struct text *allow,
                                                 struct error *err) {
    const struct server_request *request = &exchange->request;
    const struct server *server = exchange->server;
    for (size_t i = 0; i < server->route_count; i++) {
        const struct server_route *route = &server->routes[i];
        if (!is_at(request->path, route->path))
            continue;
        bool get = strcmp(route->method, "GET") == 0;
        if (view_is(request->method, route->method) || (get && view_is(request->method, "HEAD")))
            return route;
        text_printf(allow, "%s%s%s", allow->length ? ", " : "", route->method, get ? ", HEAD" : "");
    }
    if (allow->length > 0)
        error_set(err, ERROR_HTTP_METHOD, "this path has no %.*s, only %s", (int)request->method.length,
                  request->method.data, text_string(allow));
    else
        error_set(err, ERROR_HTTP_NOT_FOUND, "there is nothing at this path");
    return NULL;
}

// ---- the request -----------------------------------------------------------------------------------------------------
struct view server_method(const struct server_exchange *exchange) {
    return exchange->request.method;
}
struct view server_path(const struct server_exchange *exchange) {
    return exchange->request.path;
}
struct view server_query(const struct server_exchange *exchange) {
    return exchange->request.query;
}
struct view server_header(const struct server_exchange *exchange, const char *name) {
    return server_request_field(&exchange->request, name);
}
unsigned server_header_count(const struct server_exchange *exchange, const char *name) {
    return server_request_field_count(&exchange->request, name);
}
struct view server_body(const struct server_exchange *exchange) {
    const struct text *body = &exchange->request.body;
    return (struct view){text_string(body), body->length};
}
bool server_client_gone(const struct server_exchange *exchange) {
    return atomic_load(&exchange->client_gone);
}
void server_set_note(struct server_exchange *exchange, void *note) {
    exchange->note = note;
}
void *server_note(const struct server_exchange *exchange) {
    return exchange->note;
}

// ---- the answer ------------------------------------------------------------------------------------------------------
void server_answer_error(const struct error *err, struct server_answer *ret_answer) {
    struct text body = TEXT(ERROR_ROOM);
    struct json_writer writer = JSON_WRITER(&body);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "error", error_name(err->code));
    json_put_string(&writer, "message", err->message);
    json_end_object(&writer);
    *ret_answer = (struct server_answer){
        .status = error_http_status(err->code),
        .body = body,
        .retry_after = error_class(err->code) == CLASS_RETRY ? RETRY_AFTER_S : 0,
    };
}

static const char *reason(int status) {
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return ""; // RFC 9112 section 4: may be empty
}

struct text server_answer_text(const struct server_answer *answer, const struct server_answer_form *form) {
    struct text out = TEXT(answer->body.length + HEAD_ROOM);
    text_printf(&out, "HTTP/1.1 %d %s\r\n", answer->status, reason(answer->status));
    text_printf(&out, "Content-Type: %s\r\n", answer->content_type ? answer->content_type : "application/json");
    text_printf(&out, "Content-Length: %zu\r\nCache-Control: no-store\r\n", answer->body.length);
    if (answer->retry_after > 0)
        text_printf(&out, "Retry-After: %u\r\n", answer->retry_after);
    if (answer->status == 401)
        text_append(&out, "WWW-Authenticate: Bearer\r\n");
    if (form->allow && form->allow[0])
        text_printf(&out, "Allow: %s\r\n", form->allow);
    if (form->close)
        text_append(&out, "Connection: close\r\n");
    text_append(&out, "\r\n");
    if (!form->head_only)
        text_append_view(&out, (struct view){text_string(&answer->body), answer->body.length});
    return out;
}
