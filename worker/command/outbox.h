// What leaves the service as messages of its own: the dead letter of a delivery that has failed for good, and the
// event that tells how a run ended. Both are optional, each to a topic of its own.
#pragma once
#include "command/cloud.h"
#include "migrate/run.h"
#include "push/envelope.h"

struct outbox {
    struct cloud cloud; // its own: what it sends may outlast what else asks Google; empty when nothing is configured
    const char *dead_letters, *results; // full names of the topics; NULL = not configured
};
// Asks nobody yet, unless a topic's name needs a project that only the credentials know. The strings live in the arena.
// `stop`: see google/call.h. Errors: ERROR_CONFIGURATION, ERROR_SHUTTING_DOWN.
bool outbox_open(const struct options *options, const atomic_bool *stop, struct arena *arena, struct outbox *ret_outbox,
                 struct error *err);
void outbox_close(struct outbox *outbox); // one that was never opened (all zero) is fine

// Publishes the message again, data and attributes kept, to the dead-letter topic, with what went wrong as attributes `pawl_...` (each cut
// to the 1,024 bytes that Pub/Sub allows). Only when this is done may the delivery be acknowledged.
// Errors: those of google/pubsub.h.
bool outbox_park(const struct outbox *outbox, const struct envelope *envelope, const struct run_request *run,
                 const struct error *failure, struct arena *arena, const char **ret_id, struct error *err);
// Publishes `body`, the JSON that was answered, to the result topic, with `status`, `run`, `target` and `release` as attributes.
bool outbox_tell(const struct outbox *outbox, const struct run_request *run, const char *status, struct view body,
                 struct arena *arena, struct error *err);
