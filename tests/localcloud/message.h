// One published message: immutable, shared by the subscriptions that hold it. Limits and shapes are Pub/Sub's
// (https://cloud.google.com/pubsub/quotas).
#pragma once
#include "base/json.h"
#include "refusal.h"

struct attribute {
    const char *key, *value;
};
struct message {
    unsigned references;
    struct arena *arena; // owns all that follows
    const char *id;
    const char *data;         // base64, standard alphabet with padding; "" = none
    size_t data_length;       // decoded
    const char *ordering_key; // "" = none
    struct attribute *attributes;
    size_t attribute_count;
    int64_t published_ms; // Unix
    size_t bytes;         // what counts against the limits
};

// Reads a PubsubMessage as :publish takes it. The id and time are the topic's to give. One reference is the caller's.
bool message_read(const struct json *json, struct message **ret_message, struct refusal *refusal);
// The dead-letter copy: the same data and key, the four attributes of its origin added.
struct message *message_copy_dead(const struct message *message, const char *project, const char *subscription,
                                  unsigned attempts);
void message_stamp(struct message *message, uint64_t id, int64_t now_ms);
struct message *message_hold(struct message *message);
void message_release(struct message *message);
const char *message_attribute(const struct message *message, const char *key); // NULL when absent
// As :pull gives it.
void message_write(const struct message *message, struct json_writer *writer, const char *name);
// The wrapped push body. `attempt` 0: the subscription has no dead-letter policy, so none is said.
void message_write_push(const struct message *message, const char *subscription, unsigned attempt, struct text *out);
