// The registry of topics and subscriptions, and the door through which every request comes.
#include "cloud.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "fault.h"
#include "filter.h"
#include <stdlib.h>
#include <string.h>

void cloud_init(struct cloud *cloud) {
    // Production ids are long numbers; starting from the clock keeps them unlike from one start to the next.
    cloud->message_ids = (uint64_t)clock_unix_ms() * 1000;
    cloud->max_age_s = 20000;
    cloud->age_s = 0;
}

static void topic_free(struct topic *topic) {
    free(topic->name);
    free(topic->labels);
    free(topic->retention);
    free(topic);
}

void cloud_done(struct cloud *cloud) {
    relay_done(cloud);
    secrets_done(cloud);
    for (struct subscription *next; cloud->subscriptions; cloud->subscriptions = next) {
        next = cloud->subscriptions->next;
        subscription_free(cloud->subscriptions);
    }
    for (struct topic *next; cloud->topics; cloud->topics = next) {
        next = cloud->topics->next;
        topic_free(cloud->topics);
    }
    faults_clear(&cloud->faults);
}

struct topic *cloud_find_topic(const struct cloud *cloud, const char *name) {
    struct topic *topic = cloud->topics;
    while (topic && strcmp(topic->name, name) != 0)
        topic = topic->next;
    return topic;
}

struct subscription *cloud_find_subscription(const struct cloud *cloud, const char *name) {
    struct subscription *subscription = cloud->subscriptions;
    while (subscription && strcmp(subscription->name, name) != 0)
        subscription = subscription->next;
    return subscription;
}

void cloud_publish(struct cloud *cloud, const struct topic *topic, struct message *message) {
    message_stamp(message, ++cloud->message_ids, clock_unix_ms());
    for (struct subscription *s = cloud->subscriptions; s; s = s->next)
        if (s->topic == topic &&
            filter_matches(s->config.filter, message)) // what the filter keeps out counts as acknowledged
            subscription_add(s, message);
}

void cloud_remove_topic(struct cloud *cloud, struct topic *topic) {
    struct topic **place = &cloud->topics;
    while (*place != topic)
        place = &(*place)->next;
    *place = topic->next;
    for (struct subscription *s = cloud->subscriptions; s; s = s->next)
        if (s->topic == topic)
            s->topic = NULL;
    topic_free(topic);
}

// ---- the door -----------------------------------------------------------------------------------------------

static void dispatch(void *context, struct exchange *exchange) {
    static bool (*const rooms[])(struct cloud * cloud, struct exchange * exchange) = {
        certificates_handle, secrets_handle, pubsub_handle, metadata_handle, control_handle, relay_handle};
    struct cloud *cloud = context;
    if (strcmp(exchange->path, "/") == 0 && strcmp(exchange->method, "GET") == 0) {
        exchange_answer(exchange, 200, "text/plain", VIEW("Ok\n"));
        return;
    }
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        if (rooms[i](cloud, exchange))
            return;
    struct refusal refusal;
    refuse(&refusal, NOT_FOUND, "There is nothing at %.200s.", exchange->path);
    exchange_refuse(exchange, &refusal);
}

static void fail(void *context, struct exchange *exchange) {
    const struct fault *fault = exchange->note;
    struct view body =
        VIEW("{\"error\":{\"code\":503,\"message\":\"A test asked for this fault.\",\"status\":\"UNAVAILABLE\"}}");
    (void)context;
    exchange_answer(exchange, fault->status, "application/json; charset=UTF-8",
                    fault->body ? view_of(fault->body) : body);
}

void cloud_handle(void *context, struct exchange *exchange) {
    struct cloud *cloud = context;
    log_event(LOG_DEBUG, NULL, "%s %s", exchange->method, exchange->path);
    const struct fault *fault = fault_take(&cloud->faults, exchange->path, exchange->arena);
    exchange->note = fault;
    http_handle *next = fault && fault->status ? fail : dispatch;
    if (fault && fault->delay_ms)
        exchange_later(exchange, fault->delay_ms, next, cloud);
    else
        next(cloud, exchange);
}
