// See server_chunk.h.
#include "net/server_chunk.h"

#define OVERHEAD_MAX 16384 // extensions and trailers of one body together
#define DIGITS_MAX 16

enum {
    SIZE,       // digits
    SIZE_SPACE, // white space before an extension
    EXTENSION,  // up to the CR
    SIZE_LF,    // after the size line's CR
    DATA,       // as many bytes as the size says
    DATA_CR,    // the CR after them
    DATA_LF,    // and the LF
    TRAILERS,   // fields up to an empty line
};

void server_chunk_begin(struct server_chunk *chunk) {
    *chunk = (struct server_chunk){.state = SIZE};
}

static bool refuse(struct error *err, const char *what) {
    return error_set(err, ERROR_HTTP_MALFORMED, "%s", what);
}

static int hex_value(unsigned char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool take_digit(struct server_chunk *chunk, int digit, const struct text *body, struct error *err) {
    if (++chunk->digits > DIGITS_MAX)
        return refuse(err, "a chunk size has too many digits");
    chunk->size = chunk->size * 16 + (unsigned)digit;
    return chunk->size <= body->max - body->length ||
           error_set(err, ERROR_HTTP_BODY_TOO_LARGE, "the body is larger than %zu bytes", body->max);
}

static bool count_overhead(struct server_chunk *chunk, struct error *err) {
    return ++chunk->overhead <= OVERHEAD_MAX ||
           error_set(err, ERROR_HTTP_HEAD_TOO_LARGE, "chunk extensions and trailers are larger than %d bytes",
                     OVERHEAD_MAX);
}

// The size line: digits, then perhaps white space and an extension.
static bool take_size(struct server_chunk *chunk, unsigned char c, const struct text *body, struct error *err) {
    int digit = chunk->state == SIZE ? hex_value(c) : -1;
    if (digit >= 0)
        return take_digit(chunk, digit, body, err);
    if (chunk->digits == 0)
        return refuse(err, "a chunk has no size");
    if (c == '\r' && chunk->state != SIZE_SPACE) {
        chunk->state = SIZE_LF;
        return true;
    }
    if (c == ';' && chunk->state != EXTENSION)
        chunk->state = EXTENSION;
    else if ((c == ' ' || c == '\t') && chunk->state != EXTENSION)
        chunk->state = SIZE_SPACE;
    else if (chunk->state != EXTENSION)
        return refuse(err, "a chunk size is not a hexadecimal number");
    else if (c != '\t' && (c < ' ' || c >= 0x7f))
        return refuse(err, "a chunk extension holds a byte that may not be there");
    return count_overhead(chunk, err);
}

// Everything but data and trailers.
static bool take_frame(struct server_chunk *chunk, unsigned char c, const struct text *body, struct error *err) {
    switch (chunk->state) {
    case SIZE_LF:
        if (chunk->size == 0)
            server_lines_begin_trailers(&chunk->trailers);
        chunk->state = chunk->size == 0 ? TRAILERS : DATA;
        return c == '\n' || refuse(err, "a chunk's size line does not end with CR LF");
    case DATA_CR:
        chunk->state = DATA_LF;
        return c == '\r' || refuse(err, "a chunk's data do not end with CR LF");
    case DATA_LF:
        chunk->state = SIZE;
        chunk->digits = 0;
        return c == '\n' || refuse(err, "a chunk's data do not end with CR LF");
    default:
        return take_size(chunk, c, body, err);
    }
}

static size_t take_data(struct server_chunk *chunk, struct view bytes, struct text *body) {
    size_t length = chunk->size < bytes.length ? (size_t)chunk->size : bytes.length;
    text_append_view(body, (struct view){bytes.data, length});
    chunk->size -= length;
    if (chunk->size == 0)
        chunk->state = DATA_CR;
    return length;
}

enum server_step server_chunk_feed(struct server_chunk *chunk, struct view bytes, struct text *body, size_t *ret_used,
                                   struct error *err) {
    enum server_step step = SERVER_MORE;
    size_t used = 0;
    while (used < bytes.length && step == SERVER_MORE) {
        unsigned char c = (unsigned char)bytes.data[used];
        if (chunk->state == DATA) {
            used += take_data(chunk, (struct view){bytes.data + used, bytes.length - used}, body);
            continue;
        }
        used++;
        if (chunk->state == TRAILERS)
            step = count_overhead(chunk, err) ? server_lines_take(&chunk->trailers, c, err) : SERVER_REFUSED;
        else if (!take_frame(chunk, c, body, err))
            step = SERVER_REFUSED;
    }
    *ret_used = used;
    return step;
}
