// What one subscription still has to deliver, in publish order, with leases and retries. Pure: time comes in, nothing
// is sent. `now` and all *_ms here are monotonic milliseconds.
#pragma once
#include "message.h"

enum entry_state { ENTRY_WAITING, ENTRY_PULLED, ENTRY_PUSHED };
struct entry {
    struct message *message;
    enum entry_state state;
    unsigned attempts;       // deliveries begun
    uint64_t due_ms;         // waiting: not before
    uint64_t lease_until_ms; // pulled: comes back then
    uint64_t leased_ms;      // when the delivery began
    uint64_t lease;          // its number; another one for each delivery
    struct lane *lane;       // of its ordering key; NULL = none
    struct entry *next, *previous;
};
struct queue {
    struct entry *first, *last;                   // not acknowledged
    struct entry *retained_first, *retained_last; // acknowledged, kept for :seek
    size_t count, retained, bytes;
    uint64_t leases, scans;
    struct lane *lanes[256];
};

void queue_done(struct queue *queue);
bool queue_has_room(const struct queue *queue, size_t count, size_t bytes);
void queue_add(struct queue *queue, struct message *message, uint64_t now); // takes a reference of its own

// Walks over what may be delivered now, first published first. In an ordered queue what is leased or waits for its
// retry blocks what follows with its key. What this walk gave blocks too when it goes out one by one, as pushes do; a
// pull takes several of a key together. `soonest_ms` ends as the time when something more becomes due.
enum queue_order { QUEUE_UNORDERED, QUEUE_ONE_BY_ONE, QUEUE_TOGETHER };
struct queue_scan {
    struct queue *queue;
    struct entry *at;
    uint64_t now, soonest_ms;
    enum queue_order order;
};
#define QUEUE_NEVER UINT64_MAX
struct queue_scan queue_scan(struct queue *queue, enum queue_order order, uint64_t now);
struct entry *queue_scan_next(struct queue_scan *scan);

void queue_lease(struct queue *queue, struct entry *entry, enum entry_state state, uint64_t now, uint64_t until_ms);
struct entry *queue_find_lease(const struct queue *queue, uint64_t lease); // NULL: settled or expired meanwhile
struct entry *queue_expired(const struct queue *queue, uint64_t now);      // a pulled entry whose lease is over
uint64_t queue_next_expiry(const struct queue *queue);
void queue_acknowledge(struct queue *queue, struct entry *entry, bool retain); // frees the entry unless it is retained
void queue_return(struct entry *entry, uint64_t due_ms);
// :seek: what was published before is acknowledged, what was published since is to be delivered again.
void queue_seek(struct queue *queue, int64_t unix_ms, bool retain, uint64_t now);
