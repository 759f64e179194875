// Reads parked messages. See parked.h.
#include "command/parked.h"
#include "base/clock.h"
#include "base/json.h"
#include <string.h>

#define OURS "pawl_"
#define PLATFORM "CloudPubSubDeadLetterSource"
#define RESERVED "goog" // set by Pub/Sub, and refused by it when somebody else does
#define REPLAY_OF "pawl_replay_of"
#define PUBLISHED "pawl_published"

static const char *attribute(const struct pubsub_message *message, const char *key) {
    for (size_t i = 0; i < message->attribute_count; i++)
        if (strcmp(message->attributes[i].key, key) == 0)
            return message->attributes[i].value;
    return "";
}

static const char *first_said(const char *a, const char *b) {
    return *a ? a : b;
}

// A key of the request: from the attributes, else from the data, when that is a JSON object.
static const char *request_key(const struct pubsub_message *message, const char *key, struct arena *arena) {
    cleanup_json struct json *json = NULL;
    struct error ignored = {0};
    struct view value;
    const char *said = attribute(message, key);
    if (*said || !json_parse(message->data, &json, &ignored) || !json_string(json_get(json, key), &value))
        return said;
    return arena_copy(arena, value.data, value.length);
}

// By the worker: "0003_x.sql:4: relation "orders" does not exist". By Pub/Sub: "10 deliveries to pawl-push failed".
static const char *reason_of(const struct pubsub_message *message, struct arena *arena) {
    const char *text = attribute(message, "pawl_message"), *file = attribute(message, "pawl_file");
    const char *line = attribute(message, "pawl_line"), *count = attribute(message, PLATFORM "DeliveryCount");
    if (*file && *line && !strstr(text, file))
        return arena_printf(arena, "%s:%s: %s", file, line, text);
    if (*text)
        return text;
    if (*count)
        return arena_printf(arena, "%s deliveries to %s failed", count, attribute(message, PLATFORM "Subscription"));
    return attribute(message, PLATFORM "DeliveryErrorMessage");
}

struct parked parked_read(const struct pubsub_pulled *pulled, struct arena *arena) {
    const struct pubsub_message *message = &pulled->message;
    const char *published = first_said(attribute(message, PUBLISHED), attribute(message, PLATFORM "TopicPublishTime"));
    struct parked parked = {
        .pulled = pulled,
        .original_id = first_said(attribute(message, REPLAY_OF), attribute(message, "pawl_message_id")),
        .target = first_said(attribute(message, "pawl_target"), request_key(message, "target", arena)),
        .release = request_key(message, "release", arena),
        .error = attribute(message, "pawl_error"),
        .reason = reason_of(message, arena),
        .published_ms = pulled->published_ms,
    };
    (void)clock_parse(published, &parked.published_ms); // else it stays the time of the copy
    return parked;
}

bool parked_has_id(const struct parked *parked, const char *id) {
    return strcmp(parked->pulled->id, id) == 0 || (*parked->original_id && strcmp(parked->original_id, id) == 0);
}

static bool is_added(const char *key) {
    struct view name = view_of(key);
    return view_starts(name, OURS) || view_starts(name, PLATFORM) || view_starts(name, RESERVED);
}

struct pubsub_message parked_revive(const struct parked *parked, struct arena *arena) {
    struct pubsub_message message = parked->pulled->message;
    struct pubsub_attribute *attributes = arena_array(arena, message.attribute_count + 2, sizeof(*attributes));
    size_t count = 0;
    for (size_t i = 0; i < message.attribute_count; i++)
        if (!is_added(message.attributes[i].key))
            attributes[count++] = message.attributes[i];
    char *published = arena_alloc(arena, 32);
    clock_format(parked->published_ms, published);
    attributes[count++] = (struct pubsub_attribute){REPLAY_OF, first_said(parked->original_id, parked->pulled->id)};
    attributes[count++] = (struct pubsub_attribute){PUBLISHED, published};
    message.attributes = attributes;
    message.attribute_count = count;
    return message;
}
