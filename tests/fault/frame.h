// Where one message of the PostgreSQL protocol ends and the next begins (PostgreSQL 15, sections 55.2 and 55.7). Messages are a type
// byte, a length that counts itself, and the body; the client's first has no type, and the server answers to a request for encryption
// with one bare byte. What the messages say is nobody's business here.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_event {
    FRAME_BEGINS, // the next byte is the first of a message; none was taken yet
    FRAME_ENDS,   // the last byte of the message was taken
    FRAME_MORE,   // all bytes were taken, the message goes on
};
struct frame {
    bool typed; // the next message has a type byte: always true for the server, after the start-up message for a client
    bool bare;  // the next message is one byte (the server's, after a request for encryption)
    bool inside;   // of a message
    char type;     // of the message that began last; '^' for a start-up message, '*' for a bare byte
    uint32_t code; // of a start-up message: protocol version or request code
    size_t have;   // bytes of the header (and, for a start-up message, its code) that are in `header`
    uint64_t left; // bytes of the body still to come
    unsigned char header[8];
};
// Looks at `length` > 0 bytes; `ret_taken` says how many of them belong to the event.
enum frame_event frame_step(struct frame *frame, const unsigned char *data, size_t length, size_t *ret_taken);
// The start-up message that has just ended asks for encryption: the server will answer with a bare byte, and another one follows.
bool frame_asks_encryption(const struct frame *frame);
