// See server_request.h. The only file that sees http_parser.
#include "net/server_request.h"
#include <http_parser.h>
#include <string.h>
#include <strings.h>

enum { HEAD, NO_BODY, LENGTH_BODY, CHUNKED_BODY };

void server_request_begin(struct server_request *request, size_t body_max) {
    *request = (struct server_request){.stage = HEAD, .head = TEXT(SERVER_HEAD_MAX), .body = TEXT(body_max)};
    server_lines_begin_head(&request->lines);
}

void server_request_done(struct server_request *request) {
    text_done(&request->head);
    text_done(&request->body);
}

static bool refuse(struct error *err, const char *what) {
    return error_set(err, ERROR_HTTP_MALFORMED, "%s", what);
}

// ---- fields ----------------------------------------------------------------------------------------------------------
static bool is_named(const struct server_field *field, const char *name) {
    return field->name.length == strlen(name) && strncasecmp(field->name.data, name, field->name.length) == 0;
}

struct view server_request_field(const struct server_request *request, const char *name) {
    for (unsigned i = 0; i < request->field_count; i++)
        if (is_named(&request->fields[i], name))
            return request->fields[i].value;
    return (struct view){0};
}

unsigned server_request_field_count(const struct server_request *request, const char *name) {
    unsigned count = 0;
    for (unsigned i = 0; i < request->field_count; i++)
        count += is_named(&request->fields[i], name);
    return count;
}

static bool is_word(struct view value, const char *word) {
    return value.length == strlen(word) && strncasecmp(value.data, word, value.length) == 0;
}

// ---- http_parser takes the head apart --------------------------------------------------------------------------------
struct parts {
    struct server_request *request;
    struct view target;
};

static int on_url(http_parser *parser, const char *at, size_t length) {
    struct parts *parts = parser->data;
    parts->target = (struct view){at, length};
    return 0;
}

// The head lies in one piece, so that each name and each value comes in one call.
static int on_field(http_parser *parser, const char *at, size_t length) {
    struct parts *parts = parser->data;
    struct server_request *request = parts->request;
    if (request->field_count == SERVER_FIELDS_MAX)
        return 1;
    request->fields[request->field_count++] = (struct server_field){{at, length}, {at + length, 0}};
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t length) {
    struct parts *parts = parser->data;
    struct server_request *request = parts->request;
    if (request->field_count == 0)
        return 1;
    request->fields[request->field_count - 1].value = view_trim((struct view){at, length});
    return 0;
}

static int on_head(http_parser *parser) {
    struct parts *parts = parser->data;
    parts->request->keep_alive = http_should_keep_alive(parser) != 0;
    return 0;
}

// Path and query of the target; the authority of an absolute form is ignored, as Host is (RFC 9112 section 3.2).
static bool split_target(struct server_request *request, struct view target, struct error *err) {
    struct http_parser_url url;
    http_parser_url_init(&url);
    if (http_parser_parse_url(target.data, target.length, 0, &url) != 0)
        return refuse(err, "the request target is not a path or an http URL");
    bool absolute = (url.field_set & (1 << UF_SCHEMA)) != 0;
    if (absolute) {
        struct view scheme = {target.data + url.field_data[UF_SCHEMA].off, url.field_data[UF_SCHEMA].len};
        if (!is_word(scheme, "http") && !is_word(scheme, "https"))
            return refuse(err, "the request target is not a path or an http URL");
    } else if (target.data[0] != '/')
        return refuse(err, "the request target is not a path or an http URL");
    request->path = VIEW("/");
    if (url.field_set & (1 << UF_PATH))
        request->path = (struct view){target.data + url.field_data[UF_PATH].off, url.field_data[UF_PATH].len};
    if (url.field_set & (1 << UF_QUERY))
        request->query = (struct view){target.data + url.field_data[UF_QUERY].off, url.field_data[UF_QUERY].len};
    return true;
}

static bool parse_head(struct server_request *request, struct error *err) {
    struct parts parts = {.request = request};
    http_parser parser;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &parts;
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_header_field = on_field;
    settings.on_header_value = on_value;
    settings.on_headers_complete = on_head;
    size_t parsed = http_parser_execute(&parser, &settings, request->head.data, request->head.length);
    enum http_errno failure = HTTP_PARSER_ERRNO(&parser);
    if (failure != HPE_OK)
        return refuse(err, http_errno_description(failure));
    if (parsed != request->head.length || request->field_count != request->lines.fields || parts.target.length == 0)
        return refuse(err, "the request head can be read in two ways");
    request->method = view_of(http_method_str((enum http_method)parser.method));
    return split_target(request, parts.target, err);
}

// ---- rules -----------------------------------------------------------------------------------------------------------
// RFC 9112 section 3.2, RFC 3986 section 3.2.
static bool check_host(const struct server_request *request, struct error *err) {
    unsigned count = server_request_field_count(request, "Host");
    if (count != 1)
        return refuse(err, count ? "more than one Host" : "no Host");
    struct view host = server_request_field(request, "Host");
    if (host.length == 0)
        return refuse(err, "Host is empty");
    for (size_t i = 0; i < host.length; i++) {
        unsigned char c = (unsigned char)host.data[i];
        if (c <= ' ' || c >= 0x7f || strchr("/?#@\\\"<>^`{|}", c))
            return refuse(err, "Host is not a host and a port");
    }
    return true;
}

static bool check_authorization(const struct server_request *request, struct error *err) {
    for (unsigned i = 0; i < request->field_count; i++) {
        struct view value = request->fields[i].value;
        if (!is_named(&request->fields[i], "Authorization"))
            continue;
        for (size_t k = 0; k < value.length; k++)
            if ((unsigned char)value.data[k] >= 0x7f)
                return refuse(err, "Authorization holds a byte above 127");
    }
    return true;
}

static bool check_encoding(const struct server_request *request, struct error *err) {
    for (unsigned i = 0; i < request->field_count; i++)
        if (is_named(&request->fields[i], "Content-Encoding") && !is_word(request->fields[i].value, "identity"))
            return error_set(err, ERROR_HTTP_ENCODING, "the body has a Content-Encoding");
    return true;
}

// How the body ends: RFC 9112 section 6.3, and nothing that two readers could understand differently.
static bool check_framing(struct server_request *request, struct error *err) {
    unsigned lengths = server_request_field_count(request, "Content-Length");
    unsigned codings = server_request_field_count(request, "Transfer-Encoding");
    request->stage = NO_BODY;
    if (lengths + codings > 1)
        return refuse(err, lengths && codings ? "Content-Length together with Transfer-Encoding"
                           : lengths          ? "more than one Content-Length"
                                              : "more than one Transfer-Encoding");
    if (codings == 1) {
        struct view coding = server_request_field(request, "Transfer-Encoding");
        if (coding.length == 0)
            return refuse(err, "Transfer-Encoding is empty");
        if (!is_word(coding, "chunked"))
            return error_set(err, ERROR_HTTP_CODING, "Transfer-Encoding is not chunked alone");
        server_chunk_begin(&request->chunk);
        request->stage = CHUNKED_BODY;
    }
    if (lengths == 1) {
        if (!text_to_u64(server_request_field(request, "Content-Length"), UINT64_MAX, &request->length))
            return refuse(err, "Content-Length is not a number");
        if (request->length > request->body.max)
            return error_set(err, ERROR_HTTP_BODY_TOO_LARGE, "the body is larger than %zu bytes", request->body.max);
        request->stage = request->length > 0 ? LENGTH_BODY : NO_BODY;
    }
    request->expects_continue =
        request->stage != NO_BODY && is_word(server_request_field(request, "Expect"), "100-continue");
    return true;
}

static bool finish_head(struct server_request *request, struct error *err) {
    return parse_head(request, err) && check_host(request, err) && check_authorization(request, err) &&
           check_framing(request, err) && check_encoding(request, err);
}

// ---- feeding ---------------------------------------------------------------------------------------------------------
static enum server_step feed_head(struct server_request *request, struct view bytes, size_t *ret_used,
                                  struct error *err) {
    enum server_step step = SERVER_MORE;
    size_t used = 0;
    size_t room = request->head.max - request->head.length;
    while (used < bytes.length && step == SERVER_MORE) {
        if (used == room) {
            error_set(err, ERROR_HTTP_HEAD_TOO_LARGE, "the request head is larger than %d bytes", SERVER_HEAD_MAX);
            return SERVER_REFUSED;
        }
        step = server_lines_take(&request->lines, (unsigned char)bytes.data[used++], err);
    }
    text_append_view(&request->head, (struct view){bytes.data, used});
    *ret_used = used;
    if (step == SERVER_DONE)
        return finish_head(request, err) ? SERVER_HEAD : SERVER_REFUSED;
    return step;
}

static enum server_step feed_length(struct server_request *request, struct view bytes, size_t *ret_used) {
    size_t length = request->length < bytes.length ? (size_t)request->length : bytes.length;
    text_append_view(&request->body, (struct view){bytes.data, length});
    request->length -= length;
    *ret_used = length;
    return request->length == 0 ? SERVER_DONE : SERVER_MORE;
}

enum server_step server_request_feed(struct server_request *request, struct view bytes, size_t *ret_used,
                                     struct error *err) {
    enum server_step step = SERVER_DONE;
    size_t used = 0;
    switch (request->stage) {
    case HEAD:
        step = feed_head(request, bytes, &used, err);
        break;
    case LENGTH_BODY:
        step = feed_length(request, bytes, &used);
        break;
    case CHUNKED_BODY:
        step = server_chunk_feed(&request->chunk, bytes, &request->body, &used, err);
        break;
    default:
        break;
    }
    *ret_used = used;
    return step;
}
