// A chunked body (RFC 9112 section 7.1), strictly: http_parser as Debian builds it does not even look at the CR LF after a chunk.
// Extensions and trailers are checked, counted and dropped. Pure.
#pragma once
#include "net/server_lines.h"

struct server_chunk {
    unsigned state;
    unsigned digits; // of the chunk's size
    uint64_t size;   // of the chunk; then what is still to come
    size_t overhead; // bytes of extensions and trailers so far
    struct server_lines trailers;
};

void server_chunk_begin(struct server_chunk *chunk);
// Appends data to `body`, whose max is the limit. MORE, DONE after the trailers, or REFUSED with ERROR_HTTP_MALFORMED,
// ERROR_HTTP_BODY_TOO_LARGE (known from the size line, before the data) or ERROR_HTTP_HEAD_TOO_LARGE.
enum server_step server_chunk_feed(struct server_chunk *chunk, struct view bytes, struct text *body, size_t *ret_used,
                                   struct error *err);
