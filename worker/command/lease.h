// All messages of a pull subscription, held for a while: pulled until none is left, each once, and kept from coming back as long as they
// are held. Whoever dies with them held loses nothing: they come back within LEASE_S.
#pragma once
#include "google/pubsub.h"

#define LEASE_S 60
#define LEASE_MESSAGES_MAX 10000
#define LEASE_BYTES_MAX (128 << 20)

struct leased {
    struct pubsub_pulled pulled;
    bool settled; // acknowledged or given back
};
struct lease {
    struct pubsub *pubsub;
    const char *subscription;
    struct arena *arena;
    struct leased *items;
    size_t count, capacity, bytes;
    uint64_t extended_ms; // monotonic
    bool cut;             // there was more than the limits let in
};

// Fills `lease`, whose first three members are set, the rest zero. What was pulled before a failure is given back. Errors: pubsub_pull()'s.
bool lease_take(struct lease *lease, struct error *err);
// To be called often enough while the messages are held: extends what is not settled when half of its time is over.
bool lease_keep(struct lease *lease, struct error *err);
bool lease_acknowledge(struct lease *lease, struct leased *item, struct error *err);
// Gives back whatever is not settled. A failure costs nothing but time.
bool lease_give_back(struct lease *lease, struct error *err);
