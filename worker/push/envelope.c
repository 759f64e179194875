// Reads the push body member by member. Shapes only: nothing here knows what a request is.
#include "push/envelope.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"

#include <string.h>

enum { ID_MAX = 255, ATTEMPTS_MAX = 1000000000 };

// Fails naming the member; `name` may come from outside.
static bool refuse(struct error *err, const char *name, const char *problem) {
    char shown[65];
    text_copy(shown, sizeof(shown), view_of(name));
    return error_set(err, ERROR_ENVELOPE_MALFORMED, "%s %s", shown, problem);
}

// An absent member leaves `*ret_value` as it is.
static bool read_string(const struct json *object, const char *member, const char *shown, struct view *ret_value,
                        struct error *err) {
    const struct json *json = json_get(object, member);
    return !json || json_string(json, ret_value) || refuse(err, shown, "is not a text");
}

// A member that Pub/Sub writes under two names. Either will do; both must agree.
static bool read_twins(const struct json *message, const char *camel, const char *snake, const char *shown,
                       struct view *ret_value, struct error *err) {
    struct view first = {0}, second = {0};
    if (!read_string(message, camel, shown, &first, err) || !read_string(message, snake, shown, &second, err))
        return false;
    if (!first.data && !second.data)
        return refuse(err, shown, "is missing");
    if (first.data && second.data && !view_equal(first, second))
        return refuse(err, shown, "says one thing in camel case and another in snake case");
    *ret_value = first.data ? first : second;
    return true;
}

static bool is_printable(struct view text) {
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    }
    return text.length > 0 && text.length <= ID_MAX;
}

// Letters, digits and what else Google allows in the names of projects and subscriptions ("example.com:shop", "a+b%7e").
static bool is_resource_id(struct view text) {
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || !strchr("-_.~+%:", c)))
            return false;
    }
    return text.length > 0 && text.length <= ID_MAX;
}

// "projects/P/subscriptions/S"
static bool is_subscription(struct view text) {
    static const char first[] = "projects/", second[] = "/subscriptions/";
    if (!view_starts(text, first))
        return false;
    struct view rest = {text.data + strlen(first), text.length - strlen(first)};
    const char *slash = memchr(rest.data, '/', rest.length);
    if (!slash)
        return false;
    struct view project = {rest.data, (size_t)(slash - rest.data)};
    rest = (struct view){slash, rest.length - project.length};
    if (!view_starts(rest, second))
        return false;
    struct view subscription = {rest.data + strlen(second), rest.length - strlen(second)};
    return is_resource_id(project) && is_resource_id(subscription);
}

static const char *keep(struct arena *arena, struct view text) {
    return arena_copy(arena, text.data, text.length);
}

static bool read_identity(const struct json *message, struct arena *arena, struct envelope *envelope,
                          struct error *err) {
    struct view id, time, key = {0};
    if (!read_twins(message, "messageId", "message_id", "message.messageId", &id, err) ||
        !read_twins(message, "publishTime", "publish_time", "message.publishTime", &time, err) ||
        !read_string(message, "orderingKey", "message.orderingKey", &key, err))
        return false;
    if (!is_printable(id))
        return refuse(err, "message.messageId", "is not 1 to 255 printable characters");
    if (!clock_parse(time.data, &envelope->published_ms))
        return refuse(err, "message.publishTime", "is not a time (RFC 3339, UTC)");
    envelope->message_id = keep(arena, id);
    envelope->ordering_key = key.length > 0 ? keep(arena, key) : NULL;
    return true;
}

static bool read_data(const struct json *message, struct arena *arena, struct envelope *envelope, struct error *err) {
    struct view encoded = VIEW("");
    if (!read_string(message, "data", "message.data", &encoded, err))
        return false;
    char *data = arena_alloc(arena, base64_decoded_max(encoded.length));
    if (!base64_decode(encoded, data, &envelope->data.length))
        return refuse(err, "message.data", "is not base64");
    envelope->data.data = data;
    return true;
}

static bool read_attributes(const struct json *message, struct arena *arena, struct envelope *envelope,
                            struct error *err) {
    const struct json *object = json_get(message, "attributes");
    size_t count = 0;
    if (!object)
        return true;
    if (json_type(object) != JSON_OBJECT)
        return refuse(err, "message.attributes", "is not an object");
    for (const struct json *member = json_first(object); member; member = json_next(member))
        count++;
    struct envelope_attribute *attributes = arena_array(arena, count, sizeof(*attributes));
    for (const struct json *member = json_first(object); member; member = json_next(member)) {
        struct view value;
        if (!json_string(member, &value)) {
            refuse(err, json_name(member), "is not a text");
            return error_wrap(err, "message.attributes");
        }
        attributes[envelope->attribute_count++] =
            (struct envelope_attribute){arena_string(arena, json_name(member)), keep(arena, value)};
    }
    envelope->attributes = attributes;
    return true;
}

// A copy of a message has a time of its own, and in this attribute the original's. The earliest counts: copies are made of copies.
static bool read_first_time(const char *attribute, struct envelope *envelope, struct error *err) {
    const char *time = envelope_attribute(envelope, attribute);
    int64_t first_ms = INT64_MAX;
    if (time && !clock_parse(time, &first_ms))
        return refuse(err, attribute, "is not a time (RFC 3339, UTC)");
    if (first_ms < envelope->published_ms)
        envelope->published_ms = first_ms;
    return true;
}

// A dead-letter topic gets a new message with a new id and time; where it came from stands in four attributes, and what `pawl` parked
// or sent back has one of its own. The times decide something, so they are held to their shape; the others only inform, and what
// cannot be read counts as not said.
static bool read_dead_letter(struct arena *arena, struct envelope *envelope, struct error *err) {
    static const char time_name[] = "CloudPubSubDeadLetterSourceTopicPublishTime";
    const char *time = envelope_attribute(envelope, time_name);
    const char *count = envelope_attribute(envelope, "CloudPubSubDeadLetterSourceDeliveryCount");
    const char *subscription = envelope_attribute(envelope, "CloudPubSubDeadLetterSourceSubscription");
    const char *project = envelope_attribute(envelope, "CloudPubSubDeadLetterSourceSubscriptionProject");
    uint64_t deliveries = 0;
    if (!read_first_time(time_name, envelope, err) || !read_first_time("pawl_published", envelope, err))
        return false;
    envelope->dead_letter = time || count || subscription || project;
    if (text_to_u64(view_of(count), ATTEMPTS_MAX, &deliveries))
        envelope->source_deliveries = (int64_t)deliveries;
    if (is_resource_id(view_of(project)) && is_resource_id(view_of(subscription)))
        envelope->source_subscription = arena_printf(arena, "projects/%s/subscriptions/%s", project, subscription);
    return true;
}

static bool read_delivery(const struct json *root, struct arena *arena, struct envelope *envelope, struct error *err) {
    struct view subscription = {0};
    const struct json *attempt = json_get(root, "deliveryAttempt");
    if (!read_string(root, "subscription", "subscription", &subscription, err))
        return false;
    if (!subscription.data)
        return refuse(err, "subscription", "is missing");
    if (!is_subscription(subscription))
        return refuse(err, "subscription", "is not projects/PROJECT/subscriptions/SUBSCRIPTION");
    if (attempt && !json_integer(attempt, 0, ATTEMPTS_MAX, &envelope->delivery_attempt))
        return refuse(err, "deliveryAttempt", "is not a count");
    envelope->subscription = keep(arena, subscription);
    return true;
}

bool envelope_read(struct view body, struct arena *arena, struct envelope *ret_envelope, struct error *err) {
    struct envelope envelope = {0};
    cleanup_json struct json *root = NULL;
    if (!json_parse(body, &root, err)) {
        err->code = ERROR_ENVELOPE_MALFORMED;
        return error_wrap(err, "body");
    }
    if (json_type(root) != JSON_OBJECT)
        return refuse(err, "body", "is not a JSON object");
    const struct json *message = json_get(root, "message");
    if (!message)
        return refuse(err, "message", "is missing");
    if (json_type(message) != JSON_OBJECT)
        return refuse(err, "message", "is not an object");
    if (!read_delivery(root, arena, &envelope, err) || !read_identity(message, arena, &envelope, err) ||
        !read_data(message, arena, &envelope, err) || !read_attributes(message, arena, &envelope, err) ||
        !read_dead_letter(arena, &envelope, err))
        return false;
    *ret_envelope = envelope;
    return true;
}

const char *envelope_attribute(const struct envelope *envelope, const char *name) {
    for (size_t i = 0; i < envelope->attribute_count; i++) {
        if (strcmp(envelope->attributes[i].name, name) == 0)
            return envelope->attributes[i].value;
    }
    return NULL;
}
