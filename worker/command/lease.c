// Pulls and holds. See lease.h.
#include "command/lease.h"
#include "base/clock.h"
#include <string.h>

// A pull that finds nothing new does not prove that nothing is there: so many in a row are believed.
enum { EMPTY_PULLS = 3, EMPTY_PAUSE_MS = 150, CHUNK = 500 };

static struct leased *find(struct lease *lease, const char *id) {
    for (size_t i = 0; i < lease->count; i++)
        if (strcmp(lease->items[i].pulled.id, id) == 0)
            return &lease->items[i];
    return NULL;
}

// True when it is new. One that has come again replaces what we had of it: only its newest lease counts.
static bool add(struct lease *lease, const struct pubsub_pulled *pulled) {
    struct leased *known = find(lease, pulled->id);
    if (!known && lease->count == lease->capacity) {
        size_t capacity = lease->capacity ? 2 * lease->capacity : 64;
        struct leased *items = arena_array(lease->arena, capacity, sizeof(*items));
        if (lease->count > 0)
            memcpy(items, lease->items, lease->count * sizeof(*items));
        lease->items = items;
        lease->capacity = capacity;
    }
    bool new = !known;
    if (new)
        known = &lease->items[lease->count++];
    *known = (struct leased){.pulled = *pulled};
    lease->bytes += pulled->message.data.length;
    return new;
}

// Extends all that is not settled by `seconds`; 0 gives it back.
static bool extend_all(struct lease *lease, unsigned seconds, struct error *err) {
    const char *ids[CHUNK];
    size_t filled = 0;
    for (size_t i = 0; i < lease->count; i++) {
        if (!lease->items[i].settled)
            ids[filled++] = lease->items[i].pulled.ack_id;
        bool last = i + 1 == lease->count;
        if (filled == CHUNK || last) {
            if (!pubsub_extend(lease->pubsub, lease->subscription, ids, filled, seconds, err))
                return false;
            filled = 0;
        }
    }
    lease->extended_ms = clock_ms();
    return true;
}

bool lease_keep(struct lease *lease, struct error *err) {
    return clock_ms() - lease->extended_ms < LEASE_S * 1000 / 3 || extend_all(lease, LEASE_S, err);
}

bool lease_give_back(struct lease *lease, struct error *err) {
    if (!extend_all(lease, 0, err))
        return false;
    for (size_t i = 0; i < lease->count; i++)
        lease->items[i].settled = true;
    return true;
}

bool lease_acknowledge(struct lease *lease, struct leased *item, struct error *err) {
    if (!pubsub_acknowledge(lease->pubsub, lease->subscription, &item->pulled.ack_id, 1, err))
        return false;
    item->settled = true;
    return true;
}

static bool pull_once(struct lease *lease, size_t *ret_new, struct error *err) {
    struct pubsub_pulled *pulled;
    const char *ids[PUBSUB_PULL_MAX];
    size_t count, new = 0;
    if (!pubsub_pull(lease->pubsub, lease->subscription, PUBSUB_PULL_MAX, lease->arena, &pulled, &count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        new += add(lease, &pulled[i]);
    // The subscription's own deadline may be as short as ten seconds.
    for (size_t i = 0; i < count && i < PUBSUB_PULL_MAX; i++)
        ids[i] = pulled[i].ack_id;
    if (!pubsub_extend(lease->pubsub, lease->subscription, ids, count < PUBSUB_PULL_MAX ? count : PUBSUB_PULL_MAX,
                       LEASE_S, err))
        return false;
    *ret_new = new;
    return lease_keep(lease, err);
}

bool lease_take(struct lease *lease, struct error *err) {
    lease->extended_ms = clock_ms();
    for (unsigned empty = 0; empty < EMPTY_PULLS && !lease->cut;) {
        size_t new = 0;
        if (!pull_once(lease, &new, err)) {
            struct error ignored = {0}; // the first failure counts; what is not given back comes back by itself
            (void)lease_give_back(lease, &ignored);
            return false;
        }
        empty = new == 0 ? empty + 1 : 0;
        if (empty > 0 && empty < EMPTY_PULLS)
            clock_sleep_ms(EMPTY_PAUSE_MS);
        lease->cut = lease->count >= LEASE_MESSAGES_MAX || lease->bytes >= LEASE_BYTES_MAX;
    }
    return true;
}
