// Pub/Sub over REST: publish, pull, acknowledge, extend. https://cloud.google.com/pubsub/docs/reference/rest; limits and retries:
// at most 10 MB a message, 100 attributes, 256 bytes a key, 1,024 a value. A call that fails for the moment is tried again
// with growing, jittered pauses within the caller's time; a publish that is tried again may have happened twice.
// All of them: ERROR_PUBSUB_UNAVAILABLE, ERROR_PUBSUB_REFUSED, and what credentials_access_token() says.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "google/credentials.h"

#define PUBSUB_URL "https://pubsub.googleapis.com"
#define PUBSUB_VALUE_MAX 1024 // bytes of an attribute's value
#define PUBSUB_PULL_MAX 25    // messages that one pull asks for at most: their whole answer is held to 32 MiB

struct pubsub;               // thread-safe
struct pubsub_settings {     // borrowed for the time of the call; NULL = not set
    const char *emulator;    // PUBSUB_EMULATOR_HOST, HOST:PORT: plain http, and no credentials at all
    const char *endpoint;    // CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB: https, or http on loopback
    const atomic_bool *stop; // see google/call.h; outlives the rest
};
// `credentials` is borrowed; NULL: calls carry no token. Errors: ERROR_CONFIGURATION.
bool pubsub_new(const struct pubsub_settings *settings, struct credentials *credentials, struct pubsub **ret_pubsub,
                struct error *err);
void pubsub_free(struct pubsub *pubsub); // NULL is fine; nothing may be in flight
static inline void pubsub_cleanup(struct pubsub **pubsub) {
    pubsub_free(*pubsub);
}
#define cleanup_pubsub __attribute__((cleanup(pubsub_cleanup)))

// "projects/P/topics/T" stays; "T" becomes it when the project is given. `kind`: "topics" or "subscriptions". Pure.
// Errors: ERROR_CONFIGURATION.
bool pubsub_name(const char *kind, const char *name, const char *project, struct arena *arena, const char **ret_name,
                 struct error *err);

struct pubsub_attribute {
    const char *key, *value;
};
struct pubsub_message {
    struct view data; // bytes, not base64
    const struct pubsub_attribute *attributes;
    size_t attribute_count;
    const char *ordering_key; // NULL or "" = none
};
// `topic`: the full name. `budget_ms`: of all tries. The message's id is told once Pub/Sub has it.
bool pubsub_publish(struct pubsub *pubsub, const char *topic, const struct pubsub_message *message, unsigned budget_ms,
                    struct arena *arena, const char **ret_id, struct error *err);

struct pubsub_pulled {
    struct pubsub_message message;
    const char *id, *ack_id;
    int64_t published_ms; // Unix
};
// Up to `most` messages (PUBSUB_PULL_MAX at most) of those that are there now: it does not wait for any, and none does not mean that
// there are none. In the arena.
bool pubsub_pull(struct pubsub *pubsub, const char *subscription, unsigned most, struct arena *arena,
                 struct pubsub_pulled **ret_messages, size_t *ret_count, struct error *err);
// At most 1,000 ids at a time.
bool pubsub_acknowledge(struct pubsub *pubsub, const char *subscription, const char *const *ack_ids, size_t count,
                        struct error *err);
// The messages come back `seconds` from now (at most 600) unless they are acknowledged before; 0 gives them back at once.
bool pubsub_extend(struct pubsub *pubsub, const char *subscription, const char *const *ack_ids, size_t count,
                   unsigned seconds, struct error *err);
