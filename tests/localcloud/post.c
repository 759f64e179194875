// Outgoing requests through evhttp's client: one connection per push, so that a hang-up concerns nobody else.
#include "post.h"
#include "base/arena.h"
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (1024 * 1024)

struct post {
    struct evhttp_connection *connection;
    struct timer *deadline, *over;
    post_ends *ends;
    void *context;
    struct post_result result;
    struct text body;
    char *content_type;
};

static void post_free(struct post *post) {
    timer_free(post->deadline);
    timer_free(post->over);
    if (post->connection)
        evhttp_connection_free(post->connection);
    text_done(&post->body);
    free(post->content_type);
    free(post);
}

// A connection must not be freed inside its own callback, so the end is always a turn of the loop later.
static void on_over(void *context) {
    struct post *post = context;
    post->result.body = (struct view){text_string(&post->body), post->body.length};
    post->result.content_type = post->content_type;
    post->ends(post->context, &post->result);
    post_free(post);
}

static void on_deadline(void *context) {
    struct post *post = context;
    post->result = (struct post_result){.outcome = POST_EXPIRED};
    evhttp_connection_free(post->connection);
    post->connection = NULL;
    on_over(post);
}

static void on_answer(struct evhttp_request *request, void *context) {
    struct post *post = context;
    post->result = (struct post_result){.outcome = POST_BROKEN};
    if (request && evhttp_request_get_response_code(request) != 0) {
        struct evbuffer *body = evhttp_request_get_input_buffer(request);
        size_t length = evbuffer_get_length(body);
        const char *type = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");
        post->result.outcome = POST_ANSWERED;
        post->result.status = evhttp_request_get_response_code(request);
        if (length)
            text_append_view(&post->body, (struct view){(const char *)evbuffer_pullup(body, -1), length});
        post->content_type = type ? memory_string(type) : NULL;
    }
    timer_clear(post->deadline);
    timer_set(post->over, 0);
}

static bool is_loopback(const char *host) {
    return host && (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 || strcmp(host, "::1") == 0 ||
                    (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host)));
}

bool post_endpoint_valid(const char *url) {
    struct evhttp_uri *uri = evhttp_uri_parse(url);
    bool valid = uri && evhttp_uri_get_scheme(uri) && strcmp(evhttp_uri_get_scheme(uri), "http") == 0 &&
                 !evhttp_uri_get_userinfo(uri) && !evhttp_uri_get_fragment(uri) &&
                 is_loopback(evhttp_uri_get_host(uri));
    if (uri)
        evhttp_uri_free(uri);
    return valid;
}

// "localhost" and "[::1]" in the form that needs no name server.
static const char *numeric_host(const char *host) {
    if (strcmp(host, "localhost") == 0)
        return "127.0.0.1";
    return strcmp(host, "[::1]") == 0 ? "::1" : host;
}

static struct evhttp_request *request_new(struct post *post, const struct evhttp_uri *uri,
                                          const struct post_header *headers, size_t count, struct view body) {
    struct evhttp_request *request = evhttp_request_new(on_answer, post);
    struct text host cleanup_text = TEXT(1024);
    int port = evhttp_uri_get_port(uri);
    if (!request)
        abort();
    text_append(&host, evhttp_uri_get_host(uri));
    if (port > 0)
        text_printf(&host, ":%d", port);
    struct evkeyvalq *out = evhttp_request_get_output_headers(request);
    evhttp_add_header(out, "Host", text_string(&host));
    evhttp_add_header(out, "Connection", "close");
    for (size_t i = 0; i < count; i++) // evhttp refuses a value with a line break, and so does not send it
        evhttp_add_header(out, headers[i].name, headers[i].value);
    if (evbuffer_add(evhttp_request_get_output_buffer(request), body.data, body.length))
        abort();
    return request;
}

struct post *post_start(struct loop *loop, const char *url, const struct post_header *headers, size_t count,
                        struct view body, uint64_t deadline_ms, post_ends *ends, void *context) {
    struct post *post = memory_alloc(sizeof *post);
    struct evhttp_uri *uri = evhttp_uri_parse(url);
    if (!uri || !evhttp_uri_get_host(uri))
        abort(); // post_endpoint_valid() was not asked
    post->ends = ends;
    post->context = context;
    post->body = TEXT(ANSWER_MAX);
    post->result.outcome = POST_BROKEN;
    post->deadline = timer_new(loop, on_deadline, post);
    post->over = timer_new(loop, on_over, post);
    int port = evhttp_uri_get_port(uri);
    post->connection = evhttp_connection_base_new(loop_base(loop), NULL, numeric_host(evhttp_uri_get_host(uri)),
                                                  (unsigned short)(port > 0 ? port : 80));
    if (!post->connection)
        abort();
    evhttp_connection_set_timeout(post->connection, (int)(deadline_ms / 1000) + 60); // the deadline is ours
    evhttp_connection_set_max_body_size(post->connection, ANSWER_MAX);
    struct evhttp_request *request = request_new(post, uri, headers, count, body);
    struct text target cleanup_text = TEXT(8192);
    const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
    text_append(&target, path && *path ? path : "/");
    if (query)
        text_printf(&target, "?%s", query);
    timer_set(post->deadline, deadline_ms);
    if (evhttp_make_request(post->connection, request, EVHTTP_REQ_POST, text_string(&target)))
        timer_set(post->over, 0);
    evhttp_uri_free(uri);
    return post;
}

void post_cut(struct post *post) {
    post_free(post);
}
