// A list of pieces with their times. See queue.h.
#include "queue.h"

#include "base/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

struct piece {
    struct piece *next;
    uint64_t due_us;
    size_t start, length;
    unsigned char data[];
};

uint64_t queue_now_us(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void queue_add(struct queue *queue, const unsigned char *data, size_t length, uint64_t due_us) {
    if (length == 0)
        return;
    struct piece *piece = memory_alloc(sizeof(*piece) + length);
    piece->due_us = due_us;
    piece->length = length;
    memcpy(piece->data, data, length);
    if (queue->last)
        queue->last->next = piece;
    else
        queue->first = piece;
    queue->last = piece;
    queue->bytes += length;
}

bool queue_empty(const struct queue *queue) {
    return !queue->first;
}

uint64_t queue_due_us(const struct queue *queue) {
    return queue->first ? queue->first->due_us : UINT64_MAX;
}

static void drop_first(struct queue *queue) {
    struct piece *piece = queue->first;
    queue->first = piece->next;
    if (!queue->first)
        queue->last = NULL;
    queue->bytes -= piece->length - piece->start;
    free(piece);
}

bool queue_write(struct queue *queue, int fd, uint64_t now_us) {
    while (queue->first && queue->first->due_us <= now_us) {
        struct piece *piece = queue->first;
        ssize_t sent = send(fd, piece->data + piece->start, piece->length - piece->start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        piece->start += (size_t)sent;
        queue->bytes -= (size_t)sent;
        if (piece->start < piece->length)
            return true;
        drop_first(queue);
    }
    return true;
}

void queue_clear(struct queue *queue) {
    while (queue->first)
        drop_first(queue);
}
