// A subscription at work: pull leases, push deliveries with window and back-off, retries and dead letters,
// as production does it.
#pragma once
#include "config.h"
#include "history.h"
#include "loop.h"
#include "queue.h"

struct cloud;
struct topic;
struct subscription {
    struct cloud *cloud;
    char *name;                // projects/P/subscriptions/S
    const struct topic *topic; // NULL: deleted
    struct config config;
    struct queue queue;
    struct history history;
    struct timer *timer;
    struct delivery *deliveries; // pushes in flight
    unsigned in_flight, window;
    unsigned push_backoff_ms; // of the whole subscription; 0 = none
    uint64_t quiet_until_ms;  // no push before
    struct subscription *next;
};

// Takes over `config`.
struct subscription *subscription_new(struct cloud *cloud, const char *name, const struct topic *topic,
                                      struct config *config);
void subscription_free(struct subscription *subscription); // cuts its pushes
void subscription_wake(struct subscription *subscription); // something changed: deliver what can be delivered
void subscription_add(struct subscription *subscription, struct message *message);
void subscription_set_config(struct subscription *subscription, struct config *config); // takes it over
void subscription_pull(struct subscription *subscription, unsigned most, struct json_writer *writer);
// For an ack id: false when it is not one of this subscription's. One that is no longer valid is accepted without
// effect.
bool subscription_acknowledge(struct subscription *subscription, struct view ack_id);
bool subscription_extend(struct subscription *subscription, struct view ack_id, unsigned seconds); // 0 = nack
void subscription_seek(struct subscription *subscription, int64_t unix_ms);
void subscription_write_in_flight(const struct subscription *subscription, struct json_writer *writer,
                                  const char *name);
