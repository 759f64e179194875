// Bytes on their way: each piece leaves when its time has come, and later pieces do not wait for earlier ones to be read. That is what
// a long wire does, as opposed to a slow one: latency without a loss of throughput.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct piece;
struct queue {
    struct piece *first, *last;
    size_t bytes;
};
uint64_t queue_now_us(void); // monotonic
void queue_add(struct queue *queue, const unsigned char *data, size_t length, uint64_t due_us);
bool queue_empty(const struct queue *queue);
uint64_t queue_due_us(const struct queue *queue); // of the first piece; UINT64_MAX when there is none
// Writes what is due at `now_us` and what the socket takes. False: the other side is gone.
bool queue_write(struct queue *queue, int fd, uint64_t now_us);
void queue_clear(struct queue *queue);
