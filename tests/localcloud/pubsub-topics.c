// Topics and publishing.
#include "base/arena.h"
#include "base/log.h"
#include "pubsub.h"
#include <stdlib.h>
#include <string.h>

#define TOPICS_MAX 1000
#define PUBLISH_MAX 1000
#define PUBLISH_BYTES_MAX (10 * 1000 * 1000)

// ---- topics -------------------------------------------------------------------------------------------------

static void write_topic(const struct topic *topic, struct json_writer *writer) {
    json_begin_object(writer, NULL);
    json_put_string(writer, "name", topic->name);
    if (*topic->labels)
        json_put_raw(writer, "labels", topic->labels);
    if (*topic->retention)
        json_put_string(writer, "messageRetentionDuration", topic->retention);
    json_end_object(writer);
}

// Fields of a topic that localcloud has no use for; generated clients send them empty.
static bool is_foreign(const char *name) {
    static const char *const names[] = {"name",
                                        "state",
                                        "tags",
                                        "kmsKeyName",
                                        "messageStoragePolicy",
                                        "schemaSettings",
                                        "satisfiesPzs",
                                        "ingestionDataSourceSettings",
                                        "messageTransforms"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

// Labels and retention; the fields of a topic that localcloud has no use for are refused rather than forgotten.
static bool read_topic(struct call *call, const struct json *json, char **ret_labels, char **ret_retention) {
    char *labels cleanup_free = memory_string(""), *retention cleanup_free = memory_string("");
    struct view text;
    int64_t ms;
    for (const struct json *member = json_first(json); member; member = json_next(member)) {
        const char *name = json_name(member);
        if (strcmp(name, "labels") == 0) {
            free(labels);
            labels = labels_read(member);
            if (!labels)
                return refuse(&call->refusal, INVALID_ARGUMENT, "Invalid value at 'topic.labels'.");
        } else if (strcmp(name, "messageRetentionDuration") == 0) {
            if (!duration_read(member, INT64_C(31) * 86400000, &ms) || ms < 600000 || !json_string(member, &text))
                return refuse(&call->refusal, INVALID_ARGUMENT,
                              "Invalid message retention duration: 10 minutes to 31 days.");
            free(retention);
            retention = memory_string(text.data);
        } else if (!is_foreign(name)) {
            return refuse(&call->refusal, INVALID_ARGUMENT,
                          "Invalid JSON payload received. Unknown name \"%.64s\": Cannot find field.", name);
        } else if (strcmp(name, "name") != 0 && !field_is_empty(member)) {
            return refuse(&call->refusal, UNIMPLEMENTED, "localcloud has no topics with %.64s.", name);
        }
    }
    *ret_labels = labels;
    *ret_retention = retention;
    labels = retention = NULL;
    return true;
}

static bool topic_create(struct call *call) {
    size_t count = 0;
    for (const struct topic *topic = call->cloud->topics; topic; topic = topic->next)
        count++;
    if (!call_check_id(call))
        return false;
    if (cloud_find_topic(call->cloud, call->name))
        return refuse(&call->refusal, ALREADY_EXISTS, "Resource already exists in the project (resource=%.255s).",
                      call->id);
    if (count >= TOPICS_MAX)
        return refuse(&call->refusal, RESOURCE_EXHAUSTED, "localcloud holds %d topics at most.", TOPICS_MAX);
    char *labels = NULL, *retention = NULL;
    if (!read_topic(call, call->body, &labels, &retention))
        return false;
    struct topic *topic = memory_alloc(sizeof *topic);
    *topic = (struct topic){memory_string(call->name), labels, retention, NULL};
    struct topic **end = &call->cloud->topics;
    while (*end)
        end = &(*end)->next;
    *end = topic;
    struct json_writer writer = JSON_WRITER(&call->answer);
    write_topic(topic, &writer);
    return true;
}

static bool topic_get(struct call *call) {
    const struct topic *topic = call_topic(call);
    struct json_writer writer = JSON_WRITER(&call->answer);
    if (!topic)
        return false;
    write_topic(topic, &writer);
    return true;
}

static bool topic_delete(struct call *call) {
    struct topic *topic = call_topic(call);
    if (!topic)
        return false;
    cloud_remove_topic(call->cloud, topic);
    return call_answer_empty(call);
}

static bool topic_list(struct call *call) {
    struct page page;
    if (!page_begin(call, &page))
        return false;
    struct json_writer writer = JSON_WRITER(&call->answer);
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "topics");
    for (const struct topic *topic = call->cloud->topics; topic && !page.more; topic = topic->next)
        if (call_of_project(call, topic->name) && page_takes(&page))
            write_topic(topic, &writer);
    json_end_array(&writer);
    page_end(&page, &writer);
    json_end_object(&writer);
    return true;
}

static bool topic_subscriptions(struct call *call) {
    struct page page;
    const struct topic *topic = call_topic(call);
    if (!topic || !page_begin(call, &page))
        return false;
    struct json_writer writer = JSON_WRITER(&call->answer);
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "subscriptions");
    for (const struct subscription *s = call->cloud->subscriptions; s && !page.more; s = s->next)
        if (s->topic == topic && page_takes(&page))
            json_put_string(&writer, NULL, s->name);
    json_end_array(&writer);
    page_end(&page, &writer);
    json_end_object(&writer);
    return true;
}

// ---- publish ------------------------------------------------------------------------------------------------

static bool read_messages(struct call *call, struct message **messages, size_t *ret_count, size_t *ret_bytes) {
    const struct json *array = json_get(call->body, "messages");
    if (!array || json_type(array) != JSON_ARRAY || !json_first(array))
        return refuse(
            &call->refusal, INVALID_ARGUMENT,
            "The value for message_count is too small. You passed 0 in the request, but the minimum value is 1.");
    for (const struct json *item = json_first(array); item; item = json_next(item)) {
        if (*ret_count == PUBLISH_MAX)
            return refuse(&call->refusal, INVALID_ARGUMENT,
                          "The value for message_count is too large: the maximum value is %d.", PUBLISH_MAX);
        struct message *message;
        if (!message_read(item, &message, &call->refusal))
            return false;
        messages[(*ret_count)++] = message;
        *ret_bytes += message->bytes;
        if (strcmp(message->ordering_key, messages[0]->ordering_key) != 0)
            return refuse(&call->refusal, INVALID_ARGUMENT,
                          "In a single publish request, all messages must have no ordering key, or they must all have "
                          "the same ordering key.");
    }
    return *ret_bytes <= PUBLISH_BYTES_MAX ||
           refuse(&call->refusal, INVALID_ARGUMENT, "The value for request_size is too large: the maximum value is %d.",
                  PUBLISH_BYTES_MAX);
}

static bool topic_publish(struct call *call) {
    struct topic *topic = call_topic(call);
    if (!topic)
        return false;
    struct message **messages = arena_array(call->exchange->arena, PUBLISH_MAX, sizeof(struct message *));
    size_t count = 0, bytes = 0;
    bool accepted = read_messages(call, messages, &count, &bytes);
    for (const struct subscription *s = call->cloud->subscriptions; s && accepted; s = s->next)
        if (s->topic == topic && !queue_has_room(&s->queue, count, bytes))
            accepted = refuse(&call->refusal, RESOURCE_EXHAUSTED, "%.255s is full.", s->name);
    struct json_writer writer = JSON_WRITER(&call->answer);
    if (accepted) {
        json_begin_object(&writer, NULL);
        json_begin_array(&writer, "messageIds");
    }
    for (size_t i = 0; i < count; i++) {
        if (accepted) {
            cloud_publish(call->cloud, topic, messages[i]);
            json_put_string(&writer, NULL, messages[i]->id);
        }
        message_release(messages[i]);
    }
    if (accepted) {
        json_end_array(&writer);
        json_end_object(&writer);
        log_event(LOG_INFO, NULL, "%s: %zu published", topic->name, count);
    }
    return accepted;
}

// ---- the table ----------------------------------------------------------------------------------------------

const struct verb topic_verbs[] = {
    {"GET", false, "", "", topic_list},
    {"PUT", true, "", "", topic_create},
    {"GET", true, "", "", topic_get},
    {"DELETE", true, "", "", topic_delete},
    {"GET", true, "", "subscriptions", topic_subscriptions},
    {"POST", true, "publish", "", topic_publish},
    {NULL, false, NULL, NULL, NULL},
};
