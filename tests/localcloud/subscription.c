// Decides when an entry is delivered, retried or given up. Leaves the list to queue.c and the bytes of a push to
// push.c.
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "cloud.h"
#include "push.h"
#include <stdlib.h>
#include <string.h>

// Push back-off of the whole subscription and slow start, as documented for production.
#define PUSH_BACKOFF_MIN_MS 100
#define PUSH_BACKOFF_MAX_MS 60000
#define WINDOW_START 5
#define WINDOW_MAX 200
#define SLOW_MS 1000

struct delivery {
    struct subscription *subscription;
    struct entry *entry;
    struct post *post;
    int64_t started_unix_ms;
    struct delivery *next, **back;
};

static void on_timer(void *context) {
    subscription_wake(context);
}

struct subscription *subscription_new(struct cloud *cloud, const char *name, const struct topic *topic,
                                      struct config *config) {
    struct subscription *subscription = memory_alloc(sizeof *subscription);
    subscription->cloud = cloud;
    subscription->name = memory_string(name);
    subscription->topic = topic;
    subscription->config = *config;
    *config = (struct config){0};
    subscription->timer = timer_new(cloud->loop, on_timer, subscription);
    subscription->window = WINDOW_START;
    return subscription;
}

static void delivery_free(struct delivery *delivery) {
    *delivery->back = delivery->next;
    if (delivery->next)
        delivery->next->back = delivery->back;
    delivery->subscription->in_flight--;
    free(delivery);
}

void subscription_free(struct subscription *subscription) {
    while (subscription->deliveries) {
        post_cut(subscription->deliveries->post);
        delivery_free(subscription->deliveries);
    }
    timer_free(subscription->timer);
    queue_done(&subscription->queue);
    history_done(&subscription->history);
    config_done(&subscription->config);
    free(subscription->name);
    free(subscription);
}

void subscription_set_config(struct subscription *subscription, struct config *config) {
    config_done(&subscription->config);
    subscription->config = *config;
    *config = (struct config){0};
    subscription_wake(subscription);
}

// ---- the end of a delivery ----------------------------------------------------------------------------------

static bool retains(const struct subscription *subscription) {
    return subscription->config.retain_acked || (subscription->topic && *subscription->topic->retention);
}

static void acknowledge(struct subscription *subscription, struct entry *entry) {
    queue_acknowledge(&subscription->queue, entry, retains(subscription));
}

static uint64_t retry_delay(const struct config *config, unsigned attempts) {
    uint64_t delay = config->backoff_min_ms;
    for (unsigned i = 1; i < attempts && delay < config->backoff_max_ms; i++)
        delay *= 2;
    return delay < config->backoff_max_ms ? delay : config->backoff_max_ms;
}

// Publishes the dead-letter copy; without a dead-letter topic the message lives on, as in production.
static bool bury(struct subscription *subscription, struct entry *entry) {
    struct cloud *cloud = subscription->cloud;
    const struct topic *grave = cloud_find_topic(cloud, subscription->config.dead_letter_topic);
    if (!grave) {
        log_event(LOG_WARNING, NULL, "%s: dead-letter topic %s does not exist; message %s is kept", subscription->name,
                  subscription->config.dead_letter_topic, entry->message->id);
        return false;
    }
    struct text project cleanup_text = TEXT(256);
    const char *name = subscription->name + strlen("projects/");
    text_append_view(&project, (struct view){name, strcspn(name, "/")});
    struct message *copy =
        message_copy_dead(entry->message, text_string(&project), strrchr(subscription->name, '/') + 1, entry->attempts);
    cloud_publish(cloud, grave, copy);
    log_event(LOG_NOTICE, NULL, "%s: message %s went to %s as %s after %u attempts", subscription->name,
              entry->message->id, grave->name, copy->id, entry->attempts);
    message_release(copy);
    return true;
}

static void refuse_entry(struct subscription *subscription, struct entry *entry) {
    const struct config *config = &subscription->config;
    // Out of sight first: the dead-letter topic may be our own topic, and then publishing comes back to this queue.
    queue_return(entry, QUEUE_NEVER);
    if (*config->dead_letter_topic && entry->attempts >= config->attempts && bury(subscription, entry)) {
        acknowledge(subscription, entry);
        return;
    }
    queue_return(entry, clock_ms() + (config->retry_policy ? retry_delay(config, entry->attempts) : 0));
}

// ---- push ---------------------------------------------------------------------------------------------------

static bool acknowledges(int status) {
    return status == 102 || status == 200 || status == 201 || status == 202 || status == 204;
}

static void succeed(struct subscription *subscription, uint64_t latency_ms) {
    subscription->push_backoff_ms = 0;
    if (latency_ms <= SLOW_MS && subscription->window < WINDOW_MAX)
        subscription->window++;
}

// Refusals that arrive while the subscription is quiet belong to the same bad moment and count once.
static void back_off(struct subscription *subscription, uint64_t now) {
    if (now < subscription->quiet_until_ms)
        return;
    unsigned doubled = subscription->push_backoff_ms * 2;
    subscription->push_backoff_ms = doubled < PUSH_BACKOFF_MIN_MS   ? PUSH_BACKOFF_MIN_MS
                                    : doubled < PUSH_BACKOFF_MAX_MS ? doubled
                                                                    : PUSH_BACKOFF_MAX_MS;
    subscription->quiet_until_ms = now + subscription->push_backoff_ms;
    subscription->window = subscription->window > 1 ? subscription->window / 2 : 1;
}

static void on_answer(void *context, const struct post_result *result) {
    struct delivery *delivery = context;
    struct subscription *subscription = delivery->subscription;
    struct entry *entry = delivery->entry;
    uint64_t now = clock_ms(), latency = now - entry->leased_ms;
    bool acknowledged = result->outcome == POST_ANSWERED && acknowledges(result->status);
    struct history_record record = {
        .outcome = acknowledged                       ? "acknowledged"
                   : result->outcome == POST_ANSWERED ? "refused"
                   : result->outcome == POST_EXPIRED  ? "expired"
                                                      : "broken",
        .attempt = entry->attempts,
        .status = result->status,
        .at_ms = delivery->started_unix_ms,
        .latency_ms = (unsigned)latency,
    };
    text_copy(record.message_id, sizeof record.message_id, view_of(entry->message->id));
    history_add(&subscription->history, &record, result->body);
    log_event(LOG_INFO, NULL, "%s: message %s attempt %u: %s, status %d, %u ms", subscription->name, entry->message->id,
              record.attempt, record.outcome, record.status, record.latency_ms);
    delivery_free(delivery);
    if (acknowledged) {
        succeed(subscription, latency);
        acknowledge(subscription, entry);
    } else {
        back_off(subscription, now);
        refuse_entry(subscription, entry);
    }
    subscription_wake(subscription);
}

static void deliver(struct subscription *subscription, struct entry *entry, uint64_t now) {
    const struct config *config = &subscription->config;
    struct delivery *delivery = memory_alloc(sizeof *delivery);
    queue_lease(&subscription->queue, entry, ENTRY_PUSHED, now, QUEUE_NEVER);
    *delivery = (struct delivery){.subscription = subscription, .entry = entry, .started_unix_ms = clock_unix_ms()};
    delivery->next = subscription->deliveries;
    delivery->back = &subscription->deliveries;
    if (delivery->next)
        delivery->next->back = &delivery->next;
    subscription->deliveries = delivery;
    subscription->in_flight++;
    const char *audience = *config->push_audience ? config->push_audience : config->push_endpoint;
    struct push_order order = {
        .message = entry->message,
        .config = config,
        .subscription = subscription->name,
        .token =
            *config->push_account ? tokens_push(subscription->cloud->tokens, config->push_account, audience) : NULL,
        .attempt = *config->dead_letter_topic ? entry->attempts : 0,
    };
    delivery->post = push_start(subscription->cloud->loop, &order, on_answer, delivery);
}

// ---- waking -------------------------------------------------------------------------------------------------

static uint64_t push_what_is_due(struct subscription *subscription, uint64_t now) {
    if (!*subscription->config.push_endpoint || subscription->in_flight >= subscription->window)
        return QUEUE_NEVER; // an answer will wake us
    if (now < subscription->quiet_until_ms)
        return subscription->queue.first ? subscription->quiet_until_ms : QUEUE_NEVER;
    enum queue_order order = subscription->config.ordering ? QUEUE_ONE_BY_ONE : QUEUE_UNORDERED;
    struct queue_scan scan = queue_scan(&subscription->queue, order, now);
    struct entry *entry;
    while (subscription->in_flight < subscription->window && (entry = queue_scan_next(&scan)))
        deliver(subscription, entry, now);
    return scan.soonest_ms;
}

void subscription_wake(struct subscription *subscription) {
    uint64_t now = clock_ms();
    struct entry *expired;
    while ((expired = queue_expired(&subscription->queue, now)))
        refuse_entry(subscription, expired);
    uint64_t next = push_what_is_due(subscription, now), expiry = queue_next_expiry(&subscription->queue);
    next = expiry < next ? expiry : next;
    if (next == QUEUE_NEVER)
        timer_clear(subscription->timer);
    else
        timer_set(subscription->timer, next > now ? next - now : 0);
}

// ---- what the REST interface asks for -----------------------------------------------------------------------

void subscription_add(struct subscription *subscription, struct message *message) {
    queue_add(&subscription->queue, message, clock_ms());
    subscription_wake(subscription);
}

void subscription_pull(struct subscription *subscription, unsigned most, struct json_writer *writer) {
    uint64_t now = clock_ms();
    enum queue_order order = subscription->config.ordering ? QUEUE_TOGETHER : QUEUE_UNORDERED;
    struct queue_scan scan = queue_scan(&subscription->queue, order, now);
    struct entry *entry;
    for (unsigned i = 0; i < most && (entry = queue_scan_next(&scan)); i++) {
        struct text ack_id cleanup_text = TEXT(512);
        queue_lease(&subscription->queue, entry, ENTRY_PULLED, now,
                    now + subscription->config.deadline_s * UINT64_C(1000));
        text_printf(&ack_id, "%s:%llu", subscription->name, (unsigned long long)entry->lease);
        json_begin_object(writer, NULL);
        json_put_string(writer, "ackId", text_string(&ack_id));
        message_write(entry->message, writer, "message");
        if (*subscription->config.dead_letter_topic)
            json_put_integer(writer, "deliveryAttempt", entry->attempts);
        json_end_object(writer);
    }
    subscription_wake(subscription);
}

// The lease's number in an ack id; false when it is not one of ours.
static bool read_ack_id(const struct subscription *subscription, struct view ack_id, uint64_t *ret_lease) {
    size_t length = strlen(subscription->name);
    if (ack_id.length <= length + 1 || !view_starts(ack_id, subscription->name) || ack_id.data[length] != ':')
        return false;
    return text_to_u64((struct view){ack_id.data + length + 1, ack_id.length - length - 1}, UINT64_MAX, ret_lease);
}

bool subscription_acknowledge(struct subscription *subscription, struct view ack_id) {
    uint64_t lease;
    if (!read_ack_id(subscription, ack_id, &lease))
        return false;
    struct entry *entry = queue_find_lease(&subscription->queue, lease);
    if (entry && entry->state == ENTRY_PULLED)
        acknowledge(subscription, entry);
    subscription_wake(subscription);
    return true;
}

bool subscription_extend(struct subscription *subscription, struct view ack_id, unsigned seconds) {
    uint64_t lease;
    if (!read_ack_id(subscription, ack_id, &lease))
        return false;
    struct entry *entry = queue_find_lease(&subscription->queue, lease);
    if (entry && entry->state == ENTRY_PULLED) {
        if (seconds)
            entry->lease_until_ms = clock_ms() + seconds * UINT64_C(1000);
        else
            refuse_entry(subscription, entry);
    }
    subscription_wake(subscription);
    return true;
}

void subscription_seek(struct subscription *subscription, int64_t unix_ms) {
    queue_seek(&subscription->queue, unix_ms, retains(subscription), clock_ms());
    subscription_wake(subscription);
}

void subscription_write_in_flight(const struct subscription *subscription, struct json_writer *writer,
                                  const char *name) {
    uint64_t now = clock_ms();
    json_begin_array(writer, name);
    for (const struct delivery *delivery = subscription->deliveries; delivery; delivery = delivery->next) {
        json_begin_object(writer, NULL);
        json_put_string(writer, "messageId", delivery->entry->message->id);
        json_put_integer(writer, "attempt", delivery->entry->attempts);
        json_put_integer(writer, "sinceMs", (int64_t)(now - delivery->entry->leased_ms));
        json_end_object(writer);
    }
    json_end_array(writer);
}
