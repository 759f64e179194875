// See server_lines.h. One small state machine for the request line (RFC 9112 section 3) and one for field lines (section 5).
#include "net/server_lines.h"
#include <string.h>

enum {
    FIRST,       // nothing seen yet
    FIRST_LF,    // after the CR of an empty line before the request line
    METHOD,      // up to a space
    TARGET,      // up to a space
    VERSION,     // up to and with the line's CR LF
    FIELD_START, // a name, or the CR of the empty line
    NAME,        // up to the colon
    VALUE,       // up to the CR
    VALUE_LF,    // after that CR
    END_LF,      // after the CR of the empty line
};

void server_lines_begin_head(struct server_lines *lines) {
    *lines = (struct server_lines){.state = FIRST};
}

void server_lines_begin_trailers(struct server_lines *lines) {
    *lines = (struct server_lines){.state = FIELD_START};
}

static bool refuse(struct error *err, const char *what) {
    return error_set(err, ERROR_HTTP_MALFORMED, "%s", what);
}

// RFC 9110 section 5.6.2.
static bool is_token(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool take_version(struct server_lines *lines, unsigned char c, struct error *err) {
    static const char form[] = "HTTP/0.0\r\n"; // 0 stands for a digit
    char want = form[lines->length++];
    if (want == '0') {
        if (c < '0' || c > '9')
            return refuse(err, "the request line's version is malformed");
        lines->version = lines->version * 10 + (c - '0');
    } else if (c != (unsigned char)want)
        return refuse(err, "the request line does not end as HTTP/1.1 and CR LF");
    if (c != '\n')
        return true;
    if (lines->version != 11)
        return error_set(err, ERROR_HTTP_VERSION, "the request is HTTP/%u.%u, not HTTP/1.1", lines->version / 10,
                         lines->version % 10);
    lines->state = FIELD_START;
    return true;
}

static bool take_request_line(struct server_lines *lines, unsigned char c, struct error *err) {
    switch (lines->state) {
    case FIRST_LF:
        lines->state = FIRST;
        return c == '\n' || refuse(err, "a CR stands without LF");
    case FIRST:
        if (c == '\r' && !lines->forgiven) { // section 2.2: some clients end a body with a stray CR LF
            lines->forgiven = true;
            lines->state = FIRST_LF;
            return true;
        }
        lines->state = METHOD;
        __attribute__((fallthrough));
    case METHOD:
        if (c == ' ' && lines->length > 0) {
            lines->state = TARGET;
            lines->length = 0;
            return true;
        }
        lines->length++;
        return (c >= 'A' && c <= 'Z') || c == '-' || refuse(err, "the method is not a word in capitals");
    case TARGET:
        if (c == ' ' && lines->length > 0) {
            lines->state = VERSION;
            lines->length = 0;
            return true;
        }
        lines->length++;
        if (c == '\r' || c == '\n')
            return refuse(err, "the request line has no version");
        return (c > ' ' && c < 0x7f && c != '#') ||
               refuse(err, "the request target holds a byte that may not be there");
    default:
        return take_version(lines, c, err);
    }
}

static bool take_field(struct server_lines *lines, unsigned char c, struct error *err) {
    switch (lines->state) {
    case FIELD_START:
        if (c == '\r') {
            lines->state = END_LF;
            return true;
        }
        if (c == ' ' || c == '\t')
            return refuse(err, "a header line begins with white space (obsolete line folding)");
        if (!is_token(c))
            return refuse(err, "a header name holds a byte that may not be there");
        if (++lines->fields > SERVER_FIELDS_MAX)
            return error_set(err, ERROR_HTTP_HEAD_TOO_LARGE, "more than %d header fields", SERVER_FIELDS_MAX);
        lines->state = NAME;
        return true;
    case NAME:
        if (c == ':') {
            lines->state = VALUE;
            return true;
        }
        if (c == ' ' || c == '\t')
            return refuse(err, "white space in a header name or before its colon");
        return is_token(c) || refuse(err, "a header name holds a byte that may not be there");
    case VALUE:
        if (c == '\r') {
            lines->state = VALUE_LF;
            return true;
        }
        if (c == '\n')
            return refuse(err, "an LF stands without CR");
        return c == '\t' || (c >= ' ' && c != 0x7f) || refuse(err, "a header value holds a control byte");
    case VALUE_LF:
        lines->state = FIELD_START;
        return c == '\n' || refuse(err, "a CR stands without LF");
    default:
        return c == '\n' || refuse(err, "a CR stands without LF");
    }
}

enum server_step server_lines_take(struct server_lines *lines, unsigned char c, struct error *err) {
    bool end = lines->state == END_LF;
    bool good = lines->state < FIELD_START ? take_request_line(lines, c, err) : take_field(lines, c, err);
    return !good ? SERVER_REFUSED : end ? SERVER_DONE : SERVER_MORE;
}
