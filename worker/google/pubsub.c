// Pub/Sub's REST methods. See pubsub.h.
#include "google/pubsub.h"
#include "base/base64.h"
#include "base/clock.h"
#include "google/call.h"
#include "net/url.h"
#include <stdlib.h>
#include <string.h>

enum {
    TIMEOUT_MS = 15000,
    BUDGET_MS = 30000, // of everything but a publish
    ID_LEAST = 3,
    ID_MOST = 255,
    BODY_MAX = 16 << 20, // 10 MB in base64, with attributes
    PULL_MAX = 32 << 20,
};

struct pubsub {
    struct caller *caller;
    struct credentials *credentials; // NULL: no token
    bool emulator;
    char base[512]; // without a slash at the end
};

// ---- where it is -------------------------------------------------------------------------------------------------------

static bool set_base(struct pubsub *pubsub, const struct pubsub_settings *settings, struct error *err) {
    cleanup_text struct text base = TEXT(sizeof(pubsub->base) - 1);
    pubsub->emulator = settings->emulator && *settings->emulator;
    if (pubsub->emulator)
        text_printf(&base, "http://%s", settings->emulator);
    else
        text_append(&base, settings->endpoint && *settings->endpoint ? settings->endpoint : PUBSUB_URL);
    while (base.length > 0 && base.data[base.length - 1] == '/')
        text_cut(&base, base.length - 1);
    if (base.full || strpbrk(text_string(&base), "?#@\\ ") || (pubsub->emulator && strchr(settings->emulator, '/')))
        return error_set(err, ERROR_CONFIGURATION, "%s",
                         pubsub->emulator ? "PUBSUB_EMULATOR_HOST must be HOST:PORT"
                                          : "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB must be a URL like " PUBSUB_URL
                                            "/");
    if (!pubsub->emulator && !client_check_url(text_string(&base), true, err))
        return error_wrap(err, "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB");
    text_copy(pubsub->base, sizeof(pubsub->base), view_of(text_string(&base)));
    return true;
}

bool pubsub_new(const struct pubsub_settings *settings, struct credentials *credentials, struct pubsub **ret_pubsub,
                struct error *err) {
    struct pubsub *pubsub = memory_alloc(sizeof(*pubsub));
    if (!set_base(pubsub, settings, err) || !caller_new(settings->stop, &pubsub->caller, err)) {
        pubsub_free(pubsub);
        return false;
    }
    pubsub->credentials = pubsub->emulator ? NULL : credentials; // a real token is no business of an emulator
    *ret_pubsub = pubsub;
    return true;
}

void pubsub_free(struct pubsub *pubsub) {
    if (!pubsub)
        return;
    caller_free(pubsub->caller);
    free(pubsub);
}

// ---- names -------------------------------------------------------------------------------------------------------------

static bool is_made_of(struct view text, const char *signs) {
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        bool fine =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(signs, c));
        if (!fine)
            return false;
    }
    return text.length > 0;
}

// "Must start with a letter, contain only letters, numbers, dashes, underscores, periods, tildes, plus or percent signs", not "goog".
static bool is_id(struct view id) {
    return id.length >= ID_LEAST && id.length <= ID_MOST && is_made_of(id, "-_.~+%") &&
           is_made_of((struct view){id.data, 1}, "") && !(id.data[0] >= '0' && id.data[0] <= '9') &&
           !view_starts(id, "goog");
}

static bool is_full_name(struct view name, const char *kind) {
    static const struct view head = {"projects/", 9};
    const char *slash =
        name.length > head.length ? memchr(name.data + head.length, '/', name.length - head.length) : NULL;
    if (!view_starts(name, head.data) || !slash)
        return false;
    struct view project = {name.data + head.length, (size_t)(slash - name.data) - head.length};
    struct view rest = {slash + 1, name.length - (size_t)(slash + 1 - name.data)};
    size_t length = strlen(kind);
    return is_made_of(project, "-.:") && project.data[0] != '.' && view_starts(rest, kind) && rest.length > length &&
           rest.data[length] == '/' && is_id((struct view){rest.data + length + 1, rest.length - length - 1});
}

bool pubsub_name(const char *kind, const char *name, const char *project, struct arena *arena, const char **ret_name,
                 struct error *err) {
    const char *full = name;
    if (!strchr(name, '/')) {
        if (!project || !*project)
            return error_set(err, ERROR_CONFIGURATION,
                             "whose is '%.64s'? Give projects/PROJECT/%s/%.64s, or the project", name, kind, name);
        full = arena_printf(arena, "projects/%s/%s/%s", project, kind, name);
    }
    if (!is_full_name(view_of(full), kind))
        return error_set(err, ERROR_CONFIGURATION, "'%.128s' is no name like projects/PROJECT/%s/NAME", full, kind);
    *ret_name = arena_string(arena, full);
    return true;
}

// ---- calls -------------------------------------------------------------------------------------------------------------

struct order { // one call of a method of a topic or subscription
    const char *what, *name, *method;
    const struct text *body;
    unsigned budget_ms;
    size_t answer_max;
};

static void append_path(struct text *url, const char *name) {
    for (const char *c = name; *c; c++) {
        if (*c == '/' || *c == ':') // both may stand in a path as they are
            text_append_char(url, *c);
        else
            url_append(url, (struct view){c, 1});
    }
}

static bool ask(struct pubsub *pubsub, const struct order *order, struct json **ret_answer, struct error *err) {
    cleanup_text struct text url = TEXT(4096), what = TEXT(512);
    cleanup_secret struct secret token = {0};
    text_printf(&url, "%s/v1/", pubsub->base);
    append_path(&url, order->name);
    text_printf(&url, ":%s", order->method);
    text_printf(&what, "%s %s", order->what, order->name);
    if (order->body->full || url.full)
        return error_set(err, ERROR_PUBSUB_REFUSED, "%s: larger than Pub/Sub takes", text_string(&what));
    if (pubsub->credentials && !credentials_access_token(pubsub->credentials, SCOPE_PUBSUB, &token, err))
        return error_wrap(err, "%s", text_string(&what));
    struct call call = {
        .what = text_string(&what),
        .url = text_string(&url),
        .token = token.value,
        .body = {text_string(order->body), order->body->length},
        .answer_max = order->answer_max,
        .timeout_ms = TIMEOUT_MS,
        .budget_ms = order->budget_ms,
        .emulator = pubsub->emulator,
        .unavailable = ERROR_PUBSUB_UNAVAILABLE,
        .refused = ERROR_PUBSUB_REFUSED,
    };
    return call_json(pubsub->caller, &call, ret_answer, err);
}

// ---- publish -----------------------------------------------------------------------------------------------------------

static void write_message(const struct pubsub_message *message, struct text *body) {
    cleanup_text struct text data = TEXT(BODY_MAX);
    struct json_writer writer = JSON_WRITER(body);
    base64_encode(message->data, &data);
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "messages");
    json_begin_object(&writer, NULL);
    json_put_view(&writer, "data", (struct view){text_string(&data), data.length});
    json_begin_object(&writer, "attributes");
    for (size_t i = 0; i < message->attribute_count; i++)
        json_put_string(&writer, message->attributes[i].key, message->attributes[i].value);
    json_end_object(&writer);
    if (message->ordering_key && *message->ordering_key)
        json_put_string(&writer, "orderingKey", message->ordering_key);
    json_end_object(&writer);
    json_end_array(&writer);
    json_end_object(&writer);
    body->full = body->full || data.full;
}

bool pubsub_publish(struct pubsub *pubsub, const char *topic, const struct pubsub_message *message, unsigned budget_ms,
                    struct arena *arena, const char **ret_id, struct error *err) {
    cleanup_text struct text body = TEXT(BODY_MAX);
    cleanup_json struct json *answer = NULL;
    struct view id;
    write_message(message, &body);
    struct order order = {"cannot publish to", topic, "publish", &body, budget_ms, 0};
    if (!ask(pubsub, &order, &answer, err))
        return false;
    const struct json *ids = json_get(answer, "messageIds");
    if (!json_string(json_first(ids), &id) || id.length == 0)
        return error_set(err, ERROR_PUBSUB_UNAVAILABLE, "cannot publish to %s: the answer names no message id", topic);
    *ret_id = arena_copy(arena, id.data, id.length);
    return true;
}

// ---- pull --------------------------------------------------------------------------------------------------------------

static bool read_data(const struct json *json, struct arena *arena, struct view *ret_data) {
    struct view encoded = VIEW("");
    if (json && !json_string(json, &encoded))
        return false;
    char *decoded = arena_alloc(arena, base64_decoded_max(encoded.length) + 1);
    size_t length = 0;
    if (!base64_decode(encoded, decoded, &length))
        return false;
    *ret_data = (struct view){decoded, length};
    return true;
}

static bool read_attributes(const struct json *json, struct arena *arena, struct pubsub_message *message) {
    size_t count = 0;
    for (const struct json *member = json_first(json); member; member = json_next(member))
        count++;
    struct pubsub_attribute *attributes = arena_array(arena, count + 1, sizeof(*attributes));
    for (const struct json *member = json_first(json); member; member = json_next(member)) {
        struct view value;
        if (!json_string(member, &value))
            return false;
        attributes[message->attribute_count++] = (struct pubsub_attribute){arena_string(arena, json_name(member)),
                                                                           arena_copy(arena, value.data, value.length)};
    }
    message->attributes = attributes;
    return true;
}

static bool read_pulled(const struct json *json, struct arena *arena, struct pubsub_pulled *ret_pulled) {
    const struct json *message = json_get(json, "message");
    struct pubsub_pulled pulled = {0};
    struct view ack_id, id, published, key = VIEW("");
    (void)json_string(json_get(message, "orderingKey"), &key);
    if (!json_string(json_get(json, "ackId"), &ack_id) || !json_string(json_get(message, "messageId"), &id) ||
        !json_string(json_get(message, "publishTime"), &published) ||
        !clock_parse(published.data, &pulled.published_ms) ||
        !read_data(json_get(message, "data"), arena, &pulled.message.data) ||
        !read_attributes(json_get(message, "attributes"), arena, &pulled.message))
        return false;
    pulled.ack_id = arena_copy(arena, ack_id.data, ack_id.length);
    pulled.id = arena_copy(arena, id.data, id.length);
    pulled.message.ordering_key = arena_copy(arena, key.data, key.length);
    *ret_pulled = pulled;
    return true;
}

bool pubsub_pull(struct pubsub *pubsub, const char *subscription, unsigned most, struct arena *arena,
                 struct pubsub_pulled **ret_messages, size_t *ret_count, struct error *err) {
    cleanup_text struct text body = TEXT(256);
    cleanup_json struct json *answer = NULL;
    struct json_writer writer = JSON_WRITER(&body);
    json_begin_object(&writer, NULL);
    json_put_integer(&writer, "maxMessages", most < PUBSUB_PULL_MAX ? most : PUBSUB_PULL_MAX);
    json_put_boolean(&writer, "returnImmediately",
                     true); // else an empty subscription holds the call for a minute and more
    json_end_object(&writer);
    struct order order = {"cannot pull from", subscription, "pull", &body, BUDGET_MS, PULL_MAX};
    if (!ask(pubsub, &order, &answer, err))
        return false;
    size_t count = 0, filled = 0;
    const struct json *received = json_get(answer, "receivedMessages");
    for (const struct json *item = json_first(received); item; item = json_next(item))
        count++;
    struct pubsub_pulled *messages = arena_array(arena, count + 1, sizeof(*messages));
    for (const struct json *item = json_first(received); item; item = json_next(item))
        if (!read_pulled(item, arena, &messages[filled++]))
            return error_set(err, ERROR_PUBSUB_UNAVAILABLE,
                             "cannot pull from %s: the answer holds something else than messages", subscription);
    *ret_messages = messages;
    *ret_count = count;
    return true;
}

// ---- leases ------------------------------------------------------------------------------------------------------------

static bool settle(struct pubsub *pubsub, struct order *order, const char *const *ack_ids, size_t count, int seconds,
                   struct error *err) {
    cleanup_text struct text body = TEXT(BODY_MAX);
    cleanup_json struct json *answer = NULL;
    struct json_writer writer = JSON_WRITER(&body);
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "ackIds");
    for (size_t i = 0; i < count; i++)
        json_put_string(&writer, NULL, ack_ids[i]);
    json_end_array(&writer);
    if (seconds >= 0)
        json_put_integer(&writer, "ackDeadlineSeconds", seconds);
    json_end_object(&writer);
    order->body = &body;
    return count == 0 || ask(pubsub, order, &answer, err);
}

bool pubsub_acknowledge(struct pubsub *pubsub, const char *subscription, const char *const *ack_ids, size_t count,
                        struct error *err) {
    struct order order = {"cannot acknowledge at", subscription, "acknowledge", NULL, BUDGET_MS, 0};
    return settle(pubsub, &order, ack_ids, count, -1, err);
}

bool pubsub_extend(struct pubsub *pubsub, const char *subscription, const char *const *ack_ids, size_t count,
                   unsigned seconds, struct error *err) {
    struct order order = {"cannot extend the deadline at", subscription, "modifyAckDeadline", NULL, BUDGET_MS, 0};
    return settle(pubsub, &order, ack_ids, count, (int)seconds, err);
}
