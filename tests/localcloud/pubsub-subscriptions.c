// Subscriptions: the resource, pulling and acknowledging, seeking. Delivery itself is subscription.c's business.
#include "base/clock.h"
#include "pubsub.h"
#include <string.h>

#define SUBSCRIPTIONS_MAX 1000
#define PULL_MAX 1000

// ---- subscriptions ------------------------------------------------------------------------------------------

static bool write_subscription(struct call *call, const struct subscription *subscription) {
    struct json_writer writer = JSON_WRITER(&call->answer);
    config_write(&subscription->config, subscription->topic ? subscription->topic->name : "_deleted-topic_",
                 subscription->name, &writer);
    return true;
}

static bool check_dead_letter(struct call *call, const struct config *config) {
    const char *name = config->dead_letter_topic;
    if (!*name)
        return true;
    if (!name_valid(name, "topics"))
        return refuse(&call->refusal, INVALID_ARGUMENT, "Invalid dead letter topic (name=%.300s).", name);
    return cloud_find_topic(call->cloud, name) || call_not_found(call, name);
}

static bool subscription_create(struct call *call) {
    size_t count = 0;
    struct subscription **end = &call->cloud->subscriptions;
    for (; *end; end = &(*end)->next)
        count++;
    if (!call_check_id(call))
        return false;
    if (cloud_find_subscription(call->cloud, call->name))
        return refuse(&call->refusal, ALREADY_EXISTS, "Resource already exists in the project (resource=%.255s).",
                      call->id);
    if (count >= SUBSCRIPTIONS_MAX)
        return refuse(&call->refusal, RESOURCE_EXHAUSTED, "localcloud holds %d subscriptions at most.",
                      SUBSCRIPTIONS_MAX);
    struct config config;
    config_init(&config);
    const struct topic *topic = NULL;
    bool accepted = config_read(&config, call->body, &call->refusal);
    if (accepted && !name_valid(config.topic, "topics"))
        accepted = refuse(&call->refusal, INVALID_ARGUMENT, "Invalid [topics] name: (name=%.300s)", config.topic);
    if (accepted && !(topic = cloud_find_topic(call->cloud, config.topic)))
        accepted = call_not_found(call, config.topic);
    accepted = accepted && check_dead_letter(call, &config);
    if (accepted) {
        *end = subscription_new(call->cloud, call->name, topic, &config);
        write_subscription(call, *end);
    } else {
        config_done(&config);
    }
    return accepted;
}

static bool subscription_get(struct call *call) {
    const struct subscription *subscription = call_subscription(call);
    return subscription && write_subscription(call, subscription);
}

static bool subscription_delete(struct call *call) {
    struct subscription *subscription = call_subscription(call);
    if (!subscription)
        return false;
    struct subscription **place = &call->cloud->subscriptions;
    while (*place != subscription)
        place = &(*place)->next;
    *place = subscription->next;
    subscription_free(subscription);
    return call_answer_empty(call);
}

static bool subscription_list(struct call *call) {
    struct page page;
    if (!page_begin(call, &page))
        return false;
    struct json_writer writer = JSON_WRITER(&call->answer);
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "subscriptions");
    for (const struct subscription *s = call->cloud->subscriptions; s && !page.more; s = s->next)
        if (call_of_project(call, s->name) && page_takes(&page))
            config_write(&s->config, s->topic ? s->topic->name : "_deleted-topic_", s->name, &writer);
    json_end_array(&writer);
    page_end(&page, &writer);
    json_end_object(&writer);
    return true;
}

// Takes a changed copy, so that a refusal changes nothing.
static bool subscription_patch(struct call *call) {
    struct subscription *subscription = call_subscription(call);
    struct view mask = VIEW("");
    if (!subscription)
        return false;
    if (json_get(call->body, "updateMask") && !json_string(json_get(call->body, "updateMask"), &mask))
        return refuse(&call->refusal, INVALID_ARGUMENT, "Invalid value at 'update_mask'.");
    struct config changed;
    config_copy(&changed, &subscription->config);
    if (!config_patch(&changed, json_get(call->body, "subscription"), mask.data, &call->refusal) ||
        !check_dead_letter(call, &changed)) {
        config_done(&changed);
        return false;
    }
    subscription_set_config(subscription, &changed);
    return write_subscription(call, subscription);
}

static bool subscription_modify_push(struct call *call) {
    struct subscription *subscription = call_subscription(call);
    if (!subscription)
        return false;
    struct config changed;
    config_copy(&changed, &subscription->config);
    if (!config_read_push(&changed, json_get(call->body, "pushConfig"), &call->refusal)) {
        config_done(&changed);
        return false;
    }
    subscription_set_config(subscription, &changed);
    return call_answer_empty(call);
}

static bool subscription_pull_call(struct call *call) {
    struct subscription *subscription = call_subscription(call);
    int64_t most = 0;
    if (!subscription)
        return false;
    if (!json_integer(json_get(call->body, "maxMessages"), 1, INT32_MAX, &most))
        return refuse(&call->refusal, INVALID_ARGUMENT, "maxMessages must be a positive number.");
    if (*subscription->config.push_endpoint)
        return refuse(&call->refusal, FAILED_PRECONDITION, "This method is not supported for this subscription type.");
    struct json_writer writer = JSON_WRITER(&call->answer);
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "receivedMessages");
    subscription_pull(subscription, most < PULL_MAX ? (unsigned)most : PULL_MAX, &writer);
    json_end_array(&writer);
    json_end_object(&writer);
    return true;
}

// Calls `each` for every ack id; those of another subscription are refused.
static bool each_ack_id(struct call *call, bool (*each)(struct subscription *, struct view, unsigned),
                        unsigned seconds) {
    struct subscription *subscription = call_subscription(call);
    const struct json *ids = json_get(call->body, "ackIds");
    if (!subscription)
        return false;
    if (!ids || json_type(ids) != JSON_ARRAY || !json_first(ids))
        return refuse(&call->refusal, INVALID_ARGUMENT, "No ack ids specified.");
    for (const struct json *id = json_first(ids); id; id = json_next(id)) {
        struct view text;
        if (!json_string(id, &text) || !each(subscription, text, seconds))
            return refuse(&call->refusal, INVALID_ARGUMENT, "Some acknowledgement ids in the request were invalid.");
    }
    return call_answer_empty(call);
}

static bool acknowledge_one(struct subscription *subscription, struct view ack_id, unsigned seconds) {
    (void)seconds;
    return subscription_acknowledge(subscription, ack_id);
}

static bool subscription_acknowledge_call(struct call *call) {
    return each_ack_id(call, acknowledge_one, 0);
}

static bool subscription_modify_deadline(struct call *call) {
    int64_t seconds = 0;
    if (json_get(call->body, "ackDeadlineSeconds") &&
        !json_integer(json_get(call->body, "ackDeadlineSeconds"), 0, 600, &seconds))
        return refuse(&call->refusal, INVALID_ARGUMENT,
                      "Invalid ack deadline given: it must be between 0 and 600 seconds.");
    return each_ack_id(call, subscription_extend, (unsigned)seconds);
}

static bool subscription_seek_call(struct call *call) {
    struct subscription *subscription = call_subscription(call);
    struct view time;
    int64_t unix_ms;
    if (!subscription)
        return false;
    if (json_get(call->body, "snapshot"))
        return refuse(&call->refusal, UNIMPLEMENTED, "localcloud has no snapshots.");
    if (!json_string(json_get(call->body, "time"), &time) || !clock_parse(time.data, &unix_ms))
        return refuse(&call->refusal, INVALID_ARGUMENT, "Invalid value at 'time'.");
    subscription_seek(subscription, unix_ms);
    return call_answer_empty(call);
}

// ---- the table ----------------------------------------------------------------------------------------------

const struct verb subscription_verbs[] = {
    {"GET", false, "", "", subscription_list},
    {"PUT", true, "", "", subscription_create},
    {"GET", true, "", "", subscription_get},
    {"DELETE", true, "", "", subscription_delete},
    {"PATCH", true, "", "", subscription_patch},
    {"POST", true, "pull", "", subscription_pull_call},
    {"POST", true, "acknowledge", "", subscription_acknowledge_call},
    {"POST", true, "modifyAckDeadline", "", subscription_modify_deadline},
    {"POST", true, "modifyPushConfig", "", subscription_modify_push},
    {"POST", true, "seek", "", subscription_seek_call},
    {NULL, false, NULL, NULL, NULL},
};
