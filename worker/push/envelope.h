// The wrapped body of a Pub/Sub push, as Pub/Sub (and Eventarc) send it: who published what and when. Pure.
// What the message asks for is left to request.h. Source: Cloud Pub/Sub, "Push subscriptions" and "Dead-letter topics".
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

struct envelope_attribute {
    const char *name, *value;
};

// Everything lives in the arena. Strings are UTF-8 and free of NUL, but attributes, data and ordering key hold whatever the publisher
// wrote: text_copy() them before they go into a message.
struct envelope {
    const char *message_id;   // of this copy (a dead letter's or a replay's is a new one); printable ASCII
    int64_t published_ms;     // Unix; when it was first published: a dead letter's or a replay's original time
    const char *subscription; // "projects/P/subscriptions/S"
    const char *ordering_key; // NULL = none
    struct view data;         // decoded; empty when there is none
    const struct envelope_attribute *attributes; // in the order sent, names unique
    size_t attribute_count;
    int64_t delivery_attempt; // from 1; 0 = unknown (a subscription without dead-letter policy does not count)
    // Set when this is the copy that a dead-letter topic got, from the attributes CloudPubSubDeadLetterSource*.
    bool dead_letter;
    const char *source_subscription; // where it failed, "projects/P/subscriptions/S"; NULL = not said
    int64_t source_deliveries;       // how often; 0 = not said
};

// Members that this does not know are tolerated, for the platform may add some; those it knows are held to their shape.
// Errors: ERROR_ENVELOPE_MALFORMED naming the member, never showing its value.
bool envelope_read(struct view body, struct arena *arena, struct envelope *ret_envelope, struct error *err);
// NULL when there is no such attribute.
const char *envelope_attribute(const struct envelope *envelope, const char *name);
