// The lines of a request, byte by byte, before any parser reads them: Debian's http_parser is built without its strict mode and
// lets white space in names, folded lines, bare LF and more pass. What passes here is a request line and fields exactly as
// RFC 9112 writes them; what they mean is left to server_request. Pure.
#pragma once
#include "base/error.h"
#include "base/text.h"

#define SERVER_FIELDS_MAX 100

enum server_step {
    SERVER_MORE,    // all bytes were taken; more are needed
    SERVER_HEAD,    // the head is complete
    SERVER_DONE,    // the whole thing is complete
    SERVER_REFUSED, // err says why; nothing more may be fed
};

struct server_lines {
    unsigned state;
    unsigned length; // bytes of the current element of the request line
    unsigned fields; // field lines seen
    unsigned version;
    bool forgiven; // an empty line before the request line
};

void server_lines_begin_head(struct server_lines *lines);
void server_lines_begin_trailers(struct server_lines *lines); // after the last chunk: fields only
// MORE, DONE after the empty line, or REFUSED with ERROR_HTTP_MALFORMED, _VERSION or _HEAD_TOO_LARGE (too many fields).
enum server_step server_lines_take(struct server_lines *lines, unsigned char c, struct error *err);
