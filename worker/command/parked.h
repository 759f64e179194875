// One message in a dead-letter subscription: what it says about itself and why it lies there, and what goes back when it is replayed.
// It was parked by the worker (attributes `pawl_...`) or, when the attempts were used up, by Pub/Sub itself (attributes
// `CloudPubSubDeadLetterSource...`). Pure.
#pragma once
#include "google/pubsub.h"

struct parked { // strings are "" when nobody said
    const struct pubsub_pulled *pulled;
    const char *original_id; // of the message that failed, as far as it is known
    const char *target, *release;
    const char *error;    // the code, or "" when Pub/Sub parked it
    const char *reason;   // one line: place and message, or how often Pub/Sub has tried
    int64_t published_ms; // when it was first published, Unix
};
struct parked parked_read(const struct pubsub_pulled *pulled, struct arena *arena);
// By the id that it has here, or by that of the message that failed.
bool parked_has_id(const struct parked *parked, const char *id);
// The message as it was: without the attributes that parking added, and with two of ours, `pawl_replay_of` (the original's id) and
// `pawl_published` (when it was first published), which the worker goes by.
struct pubsub_message parked_revive(const struct parked *parked, struct arena *arena);
