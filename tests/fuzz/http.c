// Aims at server_request_feed, server_lines_take and server_chunk_feed: a connection's bytes become a sequence of requests, and the
// sequence must not depend on how the bytes were split. What is accepted must be unambiguous: whoever read it by other rules
// would see the same requests.
#include "net/server_request.h"
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 4096
#define STORY_MAX (1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition)
        abort();
}

static void check_view(const struct server_request *request, struct view view) {
    require(view.data >= request->head.data && view.data + view.length <= request->head.data + request->head.length);
    require(!memchr(view.data, '\r', view.length) && !memchr(view.data, '\n', view.length));
    require(!memchr(view.data, '\0', view.length));
}

static void check_head(const struct server_request *request) {
    require(request->head.length <= SERVER_HEAD_MAX);
    require(request->field_count >= 1 && request->field_count <= SERVER_FIELDS_MAX);
    require(server_request_field_count(request, "Host") == 1);
    require(server_request_field_count(request, "Content-Length") +
                server_request_field_count(request, "Transfer-Encoding") <=
            1);
    for (unsigned i = 0; i < request->field_count; i++) {
        check_view(request, request->fields[i].name);
        check_view(request, request->fields[i].value);
        require(request->fields[i].name.length > 0 &&
                !memchr(request->fields[i].name.data, ' ', request->fields[i].name.length));
    }
    require(request->path.length >= 1 && request->path.data[0] == '/');
    // No line ends but by CR LF.
    for (size_t i = 0; i < request->head.length; i++) {
        require(request->head.data[i] != '\n' || (i > 0 && request->head.data[i - 1] == '\r'));
        require(request->head.data[i] != '\r' || (i + 1 < request->head.length && request->head.data[i + 1] == '\n'));
    }
}

static void tell_head(const struct server_request *request, struct text *story) {
    const struct view views[] = {request->method, request->path, request->query};
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        text_append_view(story, views[i]);
        text_append_char(story, '|');
    }
    for (unsigned i = 0; i < request->field_count; i++) {
        text_append_view(story, request->fields[i].name);
        text_append_char(story, '=');
        text_append_view(story, request->fields[i].value);
        text_append_char(story, '|');
    }
    text_printf(story, "%d%d\n", request->keep_alive, request->expects_continue);
}

// The connection's story, the bytes coming in pieces of 1 to `piece_max` bytes; 0 = all at once.
static void tell(struct view bytes, size_t piece_max, struct text *story) {
    struct server_request request;
    server_request_begin(&request, BODY_MAX);
    enum server_step step = SERVER_MORE;
    uint32_t random = (uint32_t)bytes.length;
    size_t at = 0, end = 0;
    while (step != SERVER_REFUSED && (at < bytes.length || step != SERVER_MORE)) {
        if (at == end && end < bytes.length) {
            random = random * 1664525u + 1013904223u;
            size_t piece = piece_max == 0 ? bytes.length : 1 + (random >> 16) % piece_max;
            end += piece < bytes.length - end ? piece : bytes.length - end;
        }
        struct error err = {0};
        size_t used = 0;
        step = server_request_feed(&request, (struct view){bytes.data + at, end - at}, &used, &err);
        require(used <= end - at);
        require(step != SERVER_MORE || used == end - at);
        at += used;
        if (step == SERVER_HEAD) {
            check_head(&request);
            tell_head(&request, story);
        } else if (step == SERVER_REFUSED) {
            require(err.code != ERROR_NONE);
            text_printf(story, "refused %s %s\n", error_name(err.code), err.message);
        } else if (step == SERVER_DONE) {
            require(request.body.length <= BODY_MAX && !request.body.full);
            text_append_view(story, (struct view){text_string(&request.body), request.body.length});
            text_printf(story, "\ndone at %zu\n", at);
            server_request_done(&request);
            server_request_begin(&request, BODY_MAX);
            step = SERVER_MORE;
        }
    }
    server_request_done(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t piece_max[] = {1, 7, 300};
    struct view bytes = {(const char *)data, size};
    cleanup_text struct text whole = TEXT(STORY_MAX);
    tell(bytes, 0, &whole);
    for (size_t i = 0; i < sizeof piece_max / sizeof piece_max[0]; i++) {
        cleanup_text struct text split = TEXT(STORY_MAX);
        tell(bytes, piece_max[i], &split);
        require(view_equal((struct view){text_string(&whole), whole.length},
                           (struct view){text_string(&split), split.length}));
    }
    return 0;
}
