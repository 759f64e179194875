// Counts bytes of messages. See frame.h.
#include "frame.h"

#include <string.h>

enum { REQUEST_SSL = 80877103, REQUEST_GSS = 80877104, STARTUP_MIN = 8 };

static uint32_t number_at(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static enum frame_event begin(struct frame *frame, const unsigned char *data) {
    frame->inside = true;
    frame->have = 0;
    frame->left = frame->bare;
    frame->type = frame->bare ? '*' : frame->typed ? (char)data[0] : '^';
    return FRAME_BEGINS;
}

// The header tells how long the body is. A length that cannot be is taken for the shortest: the peers will complain, not we.
static void read_header(struct frame *frame) {
    size_t size = frame->typed ? 5 : STARTUP_MIN;
    uint32_t length = number_at(frame->header + frame->typed);
    uint32_t counted = (uint32_t)size - frame->typed;
    frame->left = length > counted ? length - counted : 0;
    if (!frame->typed)
        frame->code = number_at(frame->header + 4);
}

static void end(struct frame *frame) {
    frame->inside = false;
    if (frame->bare)
        frame->bare = false;
    else if (frame->type == '^')
        frame->typed = !frame_asks_encryption(frame);
}

enum frame_event frame_step(struct frame *frame, const unsigned char *data, size_t length, size_t *ret_taken) {
    *ret_taken = 0;
    if (!frame->inside)
        return begin(frame, data);
    size_t size = frame->bare ? 0 : frame->typed ? 5 : STARTUP_MIN, taken = 0;
    if (frame->have < size) {
        taken = size - frame->have < length ? size - frame->have : length;
        memcpy(frame->header + frame->have, data, taken);
        frame->have += taken;
        if (frame->have == size)
            read_header(frame);
    }
    if (frame->have == size) {
        uint64_t body = length - taken < frame->left ? length - taken : frame->left;
        frame->left -= body;
        taken += (size_t)body;
    }
    *ret_taken = taken;
    if (frame->have < size || frame->left > 0)
        return FRAME_MORE;
    end(frame);
    return FRAME_ENDS;
}

bool frame_asks_encryption(const struct frame *frame) {
    return frame->type == '^' && (frame->code == REQUEST_SSL || frame->code == REQUEST_GSS);
}
