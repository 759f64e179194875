// A doubly linked list per subscription. When to retry and when to give up is subscription.c's decision.
#include "queue.h"
#include "base/arena.h"
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 50000
#define BYTES_MAX (256 * 1024 * 1024)

// An ordering key in use. `scan` is the last walk that met it.
struct lane {
    char *key;
    size_t entries;
    uint64_t scan;
    struct lane *next;
};

static struct lane **lane_place(struct queue *queue, const char *key) {
    unsigned char hash = 0;
    for (const char *c = key; *c; c++)
        hash = (unsigned char)(hash * 31 + *c);
    struct lane **place = &queue->lanes[hash];
    while (*place && strcmp((*place)->key, key) != 0)
        place = &(*place)->next;
    return place;
}

static struct lane *lane_enter(struct queue *queue, const char *key) {
    if (!*key)
        return NULL;
    struct lane **place = lane_place(queue, key);
    if (!*place) {
        *place = memory_alloc(sizeof **place);
        (*place)->key = memory_string(key);
    }
    (*place)->entries++;
    return *place;
}

static void lane_leave(struct queue *queue, struct lane *lane) {
    if (!lane || --lane->entries)
        return;
    struct lane **place = lane_place(queue, lane->key);
    *place = lane->next;
    free(lane->key);
    free(lane);
}

static void entry_free(struct queue *queue, struct entry *entry) {
    queue->bytes -= entry->message->bytes;
    lane_leave(queue, entry->lane);
    message_release(entry->message);
    free(entry);
}

static void unlink_entry(struct entry **first, struct entry **last, struct entry *entry) {
    *(entry->previous ? &entry->previous->next : first) = entry->next;
    *(entry->next ? &entry->next->previous : last) = entry->previous;
    entry->next = entry->previous = NULL;
}

// Message ids grow, and their digits with them.
static bool published_before(const struct message *a, const struct message *b) {
    size_t length_a = strlen(a->id), length_b = strlen(b->id);
    return length_a != length_b ? length_a < length_b : strcmp(a->id, b->id) < 0;
}

// From the end: new messages belong there, and a seek brings back a few.
static void link_in_order(struct entry **first, struct entry **last, struct entry *entry) {
    struct entry *after = *last;
    while (after && published_before(entry->message, after->message))
        after = after->previous;
    entry->previous = after;
    entry->next = after ? after->next : *first;
    *(entry->previous ? &entry->previous->next : first) = entry;
    *(entry->next ? &entry->next->previous : last) = entry;
}

static void drop_retained(struct queue *queue, struct entry *entry) {
    unlink_entry(&queue->retained_first, &queue->retained_last, entry);
    queue->retained--;
    entry_free(queue, entry);
}

void queue_done(struct queue *queue) {
    while (queue->first)
        queue_acknowledge(queue, queue->first, false);
    while (queue->retained_first)
        drop_retained(queue, queue->retained_first);
}

bool queue_has_room(const struct queue *queue, size_t count, size_t bytes) {
    return queue->count + count <= COUNT_MAX && queue->bytes + bytes <= BYTES_MAX;
}

void queue_add(struct queue *queue, struct message *message, uint64_t now) {
    struct entry *entry = memory_alloc(sizeof *entry);
    entry->message = message_hold(message);
    entry->due_ms = now;
    entry->lane = lane_enter(queue, message->ordering_key);
    link_in_order(&queue->first, &queue->last, entry);
    queue->count++;
    queue->bytes += message->bytes;
}

struct queue_scan queue_scan(struct queue *queue, enum queue_order order, uint64_t now) {
    queue->scans++;
    return (struct queue_scan){
        .queue = queue, .at = queue->first, .now = now, .soonest_ms = QUEUE_NEVER, .order = order};
}

struct entry *queue_scan_next(struct queue_scan *scan) {
    while (scan->at) {
        struct entry *entry = scan->at;
        scan->at = entry->next;
        bool blocked = scan->order != QUEUE_UNORDERED && entry->lane && entry->lane->scan == scan->queue->scans;
        bool given = !blocked && entry->state == ENTRY_WAITING && entry->due_ms <= scan->now;
        if (entry->lane && !(given && scan->order == QUEUE_TOGETHER))
            entry->lane->scan = scan->queue->scans;
        if (given)
            return entry;
        if (!blocked && entry->state == ENTRY_WAITING && entry->due_ms < scan->soonest_ms)
            scan->soonest_ms = entry->due_ms;
    }
    return NULL;
}

void queue_lease(struct queue *queue, struct entry *entry, enum entry_state state, uint64_t now, uint64_t until_ms) {
    entry->state = state;
    entry->attempts++;
    entry->leased_ms = now;
    entry->lease_until_ms = until_ms;
    entry->lease = ++queue->leases;
}

struct entry *queue_find_lease(const struct queue *queue, uint64_t lease) {
    for (struct entry *entry = queue->first; entry; entry = entry->next)
        if (entry->state != ENTRY_WAITING && entry->lease == lease)
            return entry;
    return NULL;
}

struct entry *queue_expired(const struct queue *queue, uint64_t now) {
    for (struct entry *entry = queue->first; entry; entry = entry->next)
        if (entry->state == ENTRY_PULLED && entry->lease_until_ms <= now)
            return entry;
    return NULL;
}

uint64_t queue_next_expiry(const struct queue *queue) {
    uint64_t soonest = QUEUE_NEVER;
    for (const struct entry *entry = queue->first; entry; entry = entry->next)
        if (entry->state == ENTRY_PULLED && entry->lease_until_ms < soonest)
            soonest = entry->lease_until_ms;
    return soonest;
}

void queue_acknowledge(struct queue *queue, struct entry *entry, bool retain) {
    unlink_entry(&queue->first, &queue->last, entry);
    queue->count--;
    if (!retain) {
        entry_free(queue, entry);
        return;
    }
    entry->state = ENTRY_WAITING;
    link_in_order(&queue->retained_first, &queue->retained_last, entry);
    if (++queue->retained > COUNT_MAX)
        drop_retained(queue, queue->retained_first);
}

void queue_return(struct entry *entry, uint64_t due_ms) {
    entry->state = ENTRY_WAITING;
    entry->due_ms = due_ms;
}

void queue_seek(struct queue *queue, int64_t unix_ms, bool retain, uint64_t now) {
    for (struct entry *entry = queue->first, *next; entry; entry = next) {
        next = entry->next;
        // A push in flight is left to end: its answer decides.
        if (entry->message->published_ms < unix_ms && entry->state != ENTRY_PUSHED)
            queue_acknowledge(queue, entry, retain);
    }
    for (struct entry *entry = queue->retained_first, *next; entry; entry = next) {
        next = entry->next;
        if (entry->message->published_ms < unix_ms)
            continue;
        unlink_entry(&queue->retained_first, &queue->retained_last, entry);
        queue->retained--;
        entry->attempts = 0;
        entry->due_ms = now;
        link_in_order(&queue->first, &queue->last, entry);
        queue->count++;
    }
}
