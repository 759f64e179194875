// Builds a push and posts it. When to push is subscription.c's decision.
#include "push.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/clock.h"

#define BODY_MAX (20 * 1024 * 1024)
#define HEADERS_MAX 128 // ours and 104 attributes

struct headers {
    struct arena *arena;
    struct post_header items[HEADERS_MAX];
    size_t count;
};

static void add(struct headers *headers, const char *name, const char *value) {
    if (headers->count < HEADERS_MAX)
        headers->items[headers->count++] = (struct post_header){name, value};
}

static void add_common(struct headers *headers, const char *token) {
    char trace[33];
    for (size_t i = 0; i < 32; i++)
        trace[i] = "0123456789abcdef"[clock_random(16)];
    trace[32] = '\0';
    add(headers, "Accept", "application/json");
    add(headers, "Accept-Encoding", "gzip,deflate,br");
    add(headers, "From", "noreply@google.com");
    add(headers, "User-Agent", "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)");
    add(headers, "X-Cloud-Trace-Context",
        arena_printf(headers->arena, "%s/%u", trace, 1 + clock_random(UINT32_MAX - 1)));
    if (token)
        add(headers, "Authorization", arena_printf(headers->arena, "Bearer %s", token));
}

static void add_metadata(struct headers *headers, const struct push_order *order) {
    const struct message *message = order->message;
    char *published = arena_alloc(headers->arena, 32);
    clock_format(message->published_ms, published);
    add(headers, "x-goog-pubsub-subscription-name", order->subscription);
    add(headers, "x-goog-pubsub-message-id", message->id);
    add(headers, "x-goog-pubsub-publish-time", published);
    if (*message->ordering_key)
        add(headers, "x-goog-pubsub-ordering-key", message->ordering_key);
    for (size_t i = 0; i < message->attribute_count; i++)
        add(headers, message->attributes[i].key, message->attributes[i].value);
}

struct post *push_start(struct loop *loop, const struct push_order *order, post_ends *ends, void *context) {
    struct arena *arena cleanup_arena = arena_new();
    struct headers headers = {.arena = arena};
    struct text body cleanup_text = TEXT(BODY_MAX);
    struct view bytes;
    add_common(&headers, order->token);
    if (order->config->unwrapped) {
        struct view data = view_of(order->message->data);
        char *decoded = arena_alloc(arena, base64_decoded_max(data.length) + 1);
        size_t length = 0;
        if (!base64_decode(data, decoded, &length)) // it was checked when it was published
            length = 0;
        bytes = (struct view){decoded, length};
        if (order->config->metadata_headers)
            add_metadata(&headers, order);
    } else {
        add(&headers, "Content-Type", "application/json");
        message_write_push(order->message, order->subscription, order->attempt, &body);
        bytes = (struct view){text_string(&body), body.length};
    }
    return post_start(loop, order->config->push_endpoint, headers.items, headers.count, bytes,
                      order->config->deadline_s * UINT64_C(1000), ends, context);
}
