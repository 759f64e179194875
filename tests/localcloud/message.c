// Reads, copies and writes messages. Leaves delivery to queue.c and push.c.
#include "message.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX (10 * 1000 * 1000)
#define ATTRIBUTES_MAX 100
#define KEY_MAX 256
#define VALUE_MAX 1024
#define ORDERING_KEY_MAX 1024
#define DEAD_ATTRIBUTES 4

static struct message *message_new(void) {
    struct arena *arena = arena_new();
    struct message *message = arena_alloc(arena, sizeof *message);
    *message = (struct message){.references = 1, .arena = arena, .id = "", .data = "", .ordering_key = ""};
    return message;
}

// The JSON form of bytes may use either base64 alphabet, padded or not (gcloud sends the URL alphabet); it is kept in
// the standard one.
static bool read_data(struct message *message, const struct json *json, struct refusal *refusal) {
    struct view text;
    if (!json || json_type(json) == JSON_NULL)
        return true;
    if (!json_string(json, &text))
        return refuse(refusal, INVALID_ARGUMENT, "Invalid value at 'messages[].data' (TYPE_BYTES).");
    while (text.length && text.data[text.length - 1] == '=')
        text.length--;
    char *data = arena_alloc(message->arena, text.length + 4);
    for (size_t i = 0; i < text.length; i++)
        data[i] = text.data[i] == '-' ? '+' : text.data[i] == '_' ? '/' : text.data[i];
    size_t length = text.length;
    while (length % 4)
        data[length++] = '=';
    char *decoded = memory_alloc(base64_decoded_max(length) + 1);
    bool valid = base64_decode((struct view){data, length}, decoded, &message->data_length);
    free(decoded);
    if (!valid)
        return refuse(refusal, INVALID_ARGUMENT,
                      "Invalid value at 'messages[].data' (TYPE_BYTES), Base64 decoding failed.");
    message->data = data;
    message->bytes += message->data_length;
    return true;
}

static bool read_attributes(struct message *message, const struct json *json, struct refusal *refusal) {
    if (!json || json_type(json) == JSON_NULL)
        return true;
    if (json_type(json) != JSON_OBJECT)
        return refuse(refusal, INVALID_ARGUMENT, "Invalid value at 'messages[].attributes'.");
    message->attributes = arena_array(message->arena, ATTRIBUTES_MAX + DEAD_ATTRIBUTES, sizeof *message->attributes);
    for (const struct json *member = json_first(json); member; member = json_next(member)) {
        struct view value;
        const char *key = json_name(member);
        if (!json_string(member, &value))
            return refuse(refusal, INVALID_ARGUMENT, "Invalid value at 'messages[].attributes[].value' (TYPE_STRING).");
        if (message->attribute_count == ATTRIBUTES_MAX)
            return refuse(refusal, INVALID_ARGUMENT, "The message has more than %d attributes.", ATTRIBUTES_MAX);
        if (!*key || strlen(key) > KEY_MAX)
            return refuse(refusal, INVALID_ARGUMENT, "An attribute key is empty or longer than %d bytes.", KEY_MAX);
        if (value.length > VALUE_MAX)
            return refuse(refusal, INVALID_ARGUMENT, "The value of attribute %.64s is longer than %d bytes.", key,
                          VALUE_MAX);
        message->attributes[message->attribute_count++] =
            (struct attribute){arena_string(message->arena, key), arena_copy(message->arena, value.data, value.length)};
        message->bytes += strlen(key) + value.length;
    }
    return true;
}

static bool read_ordering_key(struct message *message, const struct json *json, struct refusal *refusal) {
    struct view key;
    if (!json || json_type(json) == JSON_NULL)
        return true;
    if (!json_string(json, &key) || key.length > ORDERING_KEY_MAX)
        return refuse(refusal, INVALID_ARGUMENT, "An ordering key is a string of at most %d bytes.", ORDERING_KEY_MAX);
    message->ordering_key = arena_copy(message->arena, key.data, key.length);
    message->bytes += key.length;
    return true;
}

static bool check_names(const struct json *json, struct refusal *refusal) {
    static const char *const known[] = {"data", "attributes", "orderingKey", "messageId", "publishTime"};
    if (json_type(json) != JSON_OBJECT)
        return refuse(refusal, INVALID_ARGUMENT, "Invalid value at 'messages'.");
    for (const struct json *member = json_first(json); member; member = json_next(member)) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(json_name(member), known[i]) == 0;
        if (!found)
            return refuse(refusal, INVALID_ARGUMENT,
                          "Invalid JSON payload received. Unknown name \"%.64s\" at 'messages[]': Cannot find field.",
                          json_name(member));
    }
    return true;
}

bool message_read(const struct json *json, struct message **ret_message, struct refusal *refusal) {
    struct message *message = message_new();
    if (!check_names(json, refusal) || !read_data(message, json_get(json, "data"), refusal) ||
        !read_attributes(message, json_get(json, "attributes"), refusal) ||
        !read_ordering_key(message, json_get(json, "orderingKey"), refusal)) {
        message_release(message);
        return false;
    }
    if (!message->data_length && !message->attribute_count) {
        message_release(message);
        return refuse(refusal, INVALID_ARGUMENT,
                      "Some messages in the Publish request are empty. Each message must contain "
                      "either non-empty data, or at least one attribute.");
    }
    if (message->bytes > MESSAGE_MAX) {
        message_release(message);
        return refuse(refusal, INVALID_ARGUMENT, "The message is larger than %d bytes.", MESSAGE_MAX);
    }
    *ret_message = message;
    return true;
}

struct message *message_copy_dead(const struct message *message, const char *project, const char *subscription,
                                  unsigned attempts) {
    struct message *copy = message_new();
    struct arena *arena = copy->arena;
    char published[32];
    clock_format(message->published_ms, published);
    const struct attribute origin[DEAD_ATTRIBUTES] = {
        {"CloudPubSubDeadLetterSourceDeliveryCount", arena_printf(arena, "%u", attempts)},
        {"CloudPubSubDeadLetterSourceSubscription", arena_string(arena, subscription)},
        {"CloudPubSubDeadLetterSourceSubscriptionProject", arena_string(arena, project)},
        {"CloudPubSubDeadLetterSourceTopicPublishTime", arena_string(arena, published)},
    };
    copy->data = arena_string(arena, message->data);
    copy->data_length = message->data_length;
    copy->ordering_key = arena_string(arena, message->ordering_key);
    copy->attributes = arena_array(arena, message->attribute_count + DEAD_ATTRIBUTES, sizeof *copy->attributes);
    for (size_t i = 0; i < message->attribute_count; i++) {
        bool replaced = false; // a message that dies a second time says where it died last
        for (size_t j = 0; j < DEAD_ATTRIBUTES; j++)
            replaced = replaced || strcmp(message->attributes[i].key, origin[j].key) == 0;
        if (!replaced)
            copy->attributes[copy->attribute_count++] = (struct attribute){
                arena_string(arena, message->attributes[i].key), arena_string(arena, message->attributes[i].value)};
    }
    for (size_t j = 0; j < DEAD_ATTRIBUTES; j++)
        copy->attributes[copy->attribute_count++] = origin[j];
    copy->bytes = message->bytes;
    return copy;
}

void message_stamp(struct message *message, uint64_t id, int64_t now_ms) {
    message->id = arena_printf(message->arena, "%llu", (unsigned long long)id);
    message->published_ms = now_ms;
}

struct message *message_hold(struct message *message) {
    message->references++;
    return message;
}

void message_release(struct message *message) {
    if (--message->references == 0)
        arena_free(message->arena);
}

const char *message_attribute(const struct message *message, const char *key) {
    for (size_t i = 0; i < message->attribute_count; i++)
        if (strcmp(message->attributes[i].key, key) == 0)
            return message->attributes[i].value;
    return NULL;
}

static void write_content(const struct message *message, struct json_writer *writer) {
    if (message->attribute_count) {
        json_begin_object(writer, "attributes");
        for (size_t i = 0; i < message->attribute_count; i++)
            json_put_string(writer, message->attributes[i].key, message->attributes[i].value);
        json_end_object(writer);
    }
    if (message->data_length)
        json_put_string(writer, "data", message->data);
    json_put_string(writer, "messageId", message->id);
    if (*message->ordering_key)
        json_put_string(writer, "orderingKey", message->ordering_key);
}

void message_write(const struct message *message, struct json_writer *writer, const char *name) {
    char published[32];
    clock_format(message->published_ms, published);
    json_begin_object(writer, name);
    write_content(message, writer);
    json_put_string(writer, "publishTime", published);
    json_end_object(writer);
}

// A slash in JSON may be escaped, and real pushes do it; outside strings JSON has none.
static void append_escaping_slashes(struct text *out, const struct text *json) {
    const char *rest = text_string(json);
    for (const char *slash; (slash = strchr(rest, '/')); rest = slash + 1) {
        text_append_view(out, (struct view){rest, (size_t)(slash - rest)});
        text_append(out, "\\/");
    }
    text_append(out, rest);
}

void message_write_push(const struct message *message, const char *subscription, unsigned attempt, struct text *out) {
    struct text plain cleanup_text = TEXT(out->max);
    struct json_writer writer = JSON_WRITER(&plain);
    char published[32];
    clock_format(message->published_ms, published);
    json_begin_object(&writer, NULL);
    if (attempt)
        json_put_integer(&writer, "deliveryAttempt", attempt);
    json_begin_object(&writer, "message");
    write_content(message, &writer);
    json_put_string(&writer, "message_id", message->id);
    json_put_string(&writer, "publishTime", published);
    json_put_string(&writer, "publish_time", published);
    json_end_object(&writer);
    json_put_string(&writer, "subscription", subscription);
    json_end_object(&writer);
    append_escaping_slashes(out, &plain);
}
