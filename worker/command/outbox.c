// Dead letters and result events. See outbox.h.
#include "command/outbox.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>

enum {
    ATTRIBUTES_MAX = 100,
    OURS_MAX = 10, // that outbox_park adds
    PARK_MS = 10000,
    TELL_MS = 3000, // the event only informs: a topic that is away must not cost the answer its deadline
};

static bool name_topic(const struct outbox *outbox, const struct options *options, const char *option, const char *name,
                       struct arena *arena, const char **ret_topic, struct error *err) {
    return !name || cloud_name(&outbox->cloud, options, option, "topics", name, arena, ret_topic, err);
}

bool outbox_open(const struct options *options, const atomic_bool *stop, struct arena *arena, struct outbox *ret_outbox,
                 struct error *err) {
    struct outbox outbox = {.cloud.stop = stop};
    bool wanted = options->dead_letter_topic || options->result_topic;
    if (wanted && !cloud_open(options, &outbox.cloud, err))
        return false;
    if (!name_topic(&outbox, options, "--dead-letter-topic", options->dead_letter_topic, arena, &outbox.dead_letters,
                    err) ||
        !name_topic(&outbox, options, "--result-topic", options->result_topic, arena, &outbox.results, err)) {
        outbox_close(&outbox);
        return false;
    }
    *ret_outbox = outbox;
    return true;
}

void outbox_close(struct outbox *outbox) {
    cloud_close(&outbox->cloud);
}

struct attributes {
    struct pubsub_attribute items[ATTRIBUTES_MAX];
    size_t count;
};

// An empty value says nothing, and past the platform's hundred nothing more is said.
static void add(struct attributes *attributes, struct arena *arena, const char *key, const char *value) {
    if (!value || !*value || attributes->count == ATTRIBUTES_MAX)
        return;
    char *cut = arena_alloc(arena, PUBSUB_VALUE_MAX + 1);
    text_copy(cut, PUBSUB_VALUE_MAX + 1, view_of(value));
    attributes->items[attributes->count++] = (struct pubsub_attribute){.key = key, .value = cut};
}

static void add_number(struct attributes *attributes, struct arena *arena, const char *key, unsigned number) {
    if (number)
        add(attributes, arena, key, arena_printf(arena, "%u", number));
}

// What the publisher said stays, and which message a replay is of; what an earlier failure of the same message said is out of date.
// No request has so many attributes: of one that fills the hundred, what was wrong with it is worth more than the last of them.
static void keep_originals(struct attributes *attributes, const struct envelope *envelope, struct arena *arena) {
    add(attributes, arena, "pawl_replay_of", envelope_attribute(envelope, "pawl_replay_of"));
    for (size_t i = 0; i < envelope->attribute_count && attributes->count < ATTRIBUTES_MAX - OURS_MAX; i++) {
        const struct envelope_attribute *original = &envelope->attributes[i];
        struct view name = view_of(original->name);
        if (!view_starts(name, "pawl_") && !view_starts(name, "goog"))
            attributes->items[attributes->count++] =
                (struct pubsub_attribute){.key = original->name, .value = original->value};
    }
}

bool outbox_park(const struct outbox *outbox, const struct envelope *envelope, const struct run_request *run,
                 const struct error *failure, struct arena *arena, const char **ret_id, struct error *err) {
    struct attributes attributes = {0};
    char published[32];
    clock_format(envelope->published_ms, published);
    keep_originals(&attributes, envelope, arena);
    add(&attributes, arena, "pawl_error", error_name(failure->code));
    add(&attributes, arena, "pawl_message", failure->message);
    add(&attributes, arena, "pawl_message_id", envelope->message_id);
    add(&attributes, arena, "pawl_published", published);
    add(&attributes, arena, "pawl_run", run->id);
    add(&attributes, arena, "pawl_target", run->target);
    add(&attributes, arena, "pawl_file", failure->file);
    add_number(&attributes, arena, "pawl_line", failure->line);
    add_number(&attributes, arena, "pawl_statement", failure->statement);
    add(&attributes, arena, "pawl_sqlstate", failure->sqlstate);
    struct pubsub_message letter = {.data = envelope->data,
                                    .attributes = attributes.items,
                                    .attribute_count = attributes.count,
                                    .ordering_key = envelope->ordering_key};
    return pubsub_publish(outbox->cloud.pubsub, outbox->dead_letters, &letter, PARK_MS, arena, ret_id, err) ||
           error_wrap(err, "cannot park the message");
}

bool outbox_tell(const struct outbox *outbox, const struct run_request *run, const char *status, struct view body,
                 struct arena *arena, struct error *err) {
    struct attributes attributes = {0};
    const char *id = NULL;
    add(&attributes, arena, "status", status);
    add(&attributes, arena, "run", run->id);
    add(&attributes, arena, "target", run->target);
    add(&attributes, arena, "release", run->release);
    struct pubsub_message event = {.data = body, .attributes = attributes.items, .attribute_count = attributes.count};
    return pubsub_publish(outbox->cloud.pubsub, outbox->results, &event, TELL_MS, arena, &id, err) ||
           error_wrap(err, "cannot publish the result event");
}
