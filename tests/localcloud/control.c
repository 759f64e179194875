// What tests ask of localcloud and Google has not:
//   GET    /localcloud/keys                 kids, public PEM of the current key, how often the keys were fetched
//   POST   /localcloud/keys:rotate          the next key becomes current
//   POST   /localcloud/keys:cache           {"max_age": 300, "age": 0} for the keys' answer
//   POST   /localcloud/token                a forged token; every member may be left out:
//            {"key": "current|previous|next|rogue|hs256-public|none", "header": {...}, "claims": {...}}
//            members of header and claims replace the usual ones, null takes one away. Or, byte for byte,
//            {"signing_input": "...", "signature": "..."}; a signature that is not given is made with the key.
//   POST   /localcloud/faults               {"path": "/oauth2/", "status": 500, "delay_ms": 0, "times": 0, "body": "..."}
//   DELETE /localcloud/faults
//   POST   /localcloud/secrets              a new version of a secret: {"secret": "projects/P/secrets/S", "value": "..."}
//   GET    /localcloud/secrets              how often secrets were handed out
//   GET    /localcloud/deliveries?subscription=NAME[&message=ID]    pushes ended and in flight
#include "base/arena.h"
#include "cloud.h"
#include "fault.h"
#include <string.h>

#define ANSWER_MAX (64 * 1024 * 1024)

static bool keys_get(struct cloud *cloud, struct exchange *exchange, struct text *answer, struct refusal *refusal) {
    struct json_writer writer = JSON_WRITER(answer);
    (void)exchange;
    (void)refusal;
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "previous", keys_kid(cloud->keys, KEY_PREVIOUS));
    json_put_string(&writer, "current", keys_kid(cloud->keys, KEY_CURRENT));
    json_put_string(&writer, "next", keys_kid(cloud->keys, KEY_NEXT));
    json_put_string(&writer, "pem", keys_pem(cloud->keys, KEY_CURRENT));
    json_put_integer(&writer, "fetches", cloud->key_fetches);
    json_end_object(&writer);
    return true;
}

static bool keys_rotate_call(struct cloud *cloud, struct exchange *exchange, struct text *answer,
                             struct refusal *refusal) {
    if (!keys_rotate(cloud->keys))
        return refuse(refusal, UNAVAILABLE, "Cannot make a key.");
    return keys_get(cloud, exchange, answer, refusal);
}

static bool keys_cache(struct cloud *cloud, struct exchange *exchange, struct text *answer, struct refusal *refusal) {
    const struct json *body;
    int64_t max_age = 0, age = 0;
    if (!exchange_json(exchange, &body, refusal))
        return false;
    if (!json_integer(json_get(body, "max_age"), 0, INT32_MAX, &max_age) ||
        (json_get(body, "age") && !json_integer(json_get(body, "age"), 0, INT32_MAX, &age)))
        return refuse(refusal, INVALID_ARGUMENT, "max_age and age are seconds.");
    cloud->max_age_s = (unsigned)max_age;
    cloud->age_s = (unsigned)age;
    return keys_get(cloud, exchange, answer, refusal);
}

static bool token_forge(struct cloud *cloud, struct exchange *exchange, struct text *answer, struct refusal *refusal) {
    const struct json *body;
    struct text token cleanup_text = TEXT(256 * 1024);
    struct json_writer writer = JSON_WRITER(answer);
    if (!exchange_json(exchange, &body, refusal) || !tokens_forge(cloud->tokens, body, &token, refusal))
        return false;
    json_begin_object(&writer, NULL);
    json_put_view(&writer, "token", (struct view){text_string(&token), token.length});
    json_end_object(&writer);
    return true;
}

static bool faults_post(struct cloud *cloud, struct exchange *exchange, struct text *answer, struct refusal *refusal) {
    const struct json *body;
    if (!exchange_json(exchange, &body, refusal) || !fault_add(&cloud->faults, body, refusal))
        return false;
    text_append(answer, "{}");
    return true;
}

static bool faults_delete(struct cloud *cloud, struct exchange *exchange, struct text *answer,
                          struct refusal *refusal) {
    (void)exchange;
    (void)refusal;
    faults_clear(&cloud->faults);
    text_append(answer, "{}");
    return true;
}

static bool deliveries_get(struct cloud *cloud, struct exchange *exchange, struct text *answer,
                           struct refusal *refusal) {
    const char *name = exchange_query(exchange, "subscription");
    if (name && !strchr(name, '/'))
        name = arena_printf(exchange->arena, "projects/%s/subscriptions/%s", cloud->project, name);
    const struct subscription *subscription = name ? cloud_find_subscription(cloud, name) : NULL;
    if (!subscription)
        return refuse(refusal, NOT_FOUND, "There is no subscription %.255s.", name ? name : "named in the query");
    struct json_writer writer = JSON_WRITER(answer);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "subscription", subscription->name);
    json_put_integer(&writer, "unacknowledged", (int64_t)subscription->queue.count);
    json_put_integer(&writer, "window", subscription->window);
    json_put_integer(&writer, "pushBackoffMs", subscription->push_backoff_ms);
    subscription_write_in_flight(subscription, &writer, "inFlight");
    history_write(&subscription->history, exchange_query(exchange, "message"), &writer, "deliveries");
    json_end_object(&writer);
    return true;
}

static bool secrets_get(struct cloud *cloud, struct exchange *exchange, struct text *answer, struct refusal *refusal) {
    struct json_writer writer = JSON_WRITER(answer);
    (void)exchange;
    (void)refusal;
    json_begin_object(&writer, NULL);
    json_put_integer(&writer, "accesses", cloud->secret_accesses);
    json_end_object(&writer);
    return true;
}

static bool secrets_post(struct cloud *cloud, struct exchange *exchange, struct text *answer, struct refusal *refusal) {
    const struct json *body;
    return exchange_json(exchange, &body, refusal) && secrets_add(cloud, body, refusal) &&
           secrets_get(cloud, exchange, answer, refusal);
}

static const struct {
    const char *method, *path;
    bool (*handle)(struct cloud *cloud, struct exchange *exchange, struct text *answer, struct refusal *refusal);
} controls[] = {
    {"GET", "/localcloud/keys", keys_get},
    {"POST", "/localcloud/keys:rotate", keys_rotate_call},
    {"POST", "/localcloud/keys:cache", keys_cache},
    {"POST", "/localcloud/token", token_forge},
    {"POST", "/localcloud/faults", faults_post},
    {"DELETE", "/localcloud/faults", faults_delete},
    {"GET", "/localcloud/secrets", secrets_get},
    {"POST", "/localcloud/secrets", secrets_post},
    {"GET", "/localcloud/deliveries", deliveries_get},
};

bool control_handle(struct cloud *cloud, struct exchange *exchange) {
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        struct text answer = TEXT(ANSWER_MAX);
        struct refusal refusal;
        if (strcmp(exchange->method, controls[i].method) != 0 || strcmp(exchange->path, controls[i].path) != 0)
            continue;
        if (controls[i].handle(cloud, exchange, &answer, &refusal)) {
            exchange_answer_json(exchange, &answer);
        } else {
            text_done(&answer);
            exchange_refuse(exchange, &refusal);
        }
        return true;
    }
    return false;
}
