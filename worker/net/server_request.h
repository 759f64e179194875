// One HTTP/1.1 request, fed byte by byte as it comes: an incremental parser without socket, clock or memory of other requests,
// so that it can be fuzzed. Three readers in a row: server_lines lets only well-formed lines pass, http_parser takes the head
// apart, and the rules here refuse what is ambiguous (RFC 9112 section 6). The result does not depend on how bytes are split.
#pragma once
#include "net/server_chunk.h"

#define SERVER_HEAD_MAX 16384

struct server_field {
    struct view name, value; // without white space around the value
};

struct server_request {
    unsigned stage;
    struct server_lines lines;
    struct text head; // as it came; the views point into it
    struct server_field fields[SERVER_FIELDS_MAX];
    unsigned field_count;
    struct view method, path, query;
    bool keep_alive;
    bool expects_continue; // and a body is to come
    uint64_t length;       // of a body with Content-Length: what is still to come
    struct server_chunk chunk;
    struct text body;
};

// `body_max`: the largest body that is accepted.
void server_request_begin(struct server_request *request, size_t body_max);
void server_request_done(struct server_request *request);

// HEAD once, when the head is complete and acceptable; then, fed on, DONE when the body is (at once when there is none: feed an
// empty view); MORE when all bytes were used up. Bytes after `ret_used` belong to the next request. Errors: the ERROR_HTTP_ codes.
enum server_step server_request_feed(struct server_request *request, struct view bytes, size_t *ret_used,
                                     struct error *err);

// The first field of that name (without case), or NULL data; and how many there are.
struct view server_request_field(const struct server_request *request, const char *name);
unsigned server_request_field_count(const struct server_request *request, const char *name);
