// The pretended Google: its topics and subscriptions, its keys and tokens, and the rooms that answer HTTP.
#pragma once
#include "http.h"
#include "subscription.h"
#include "token.h"

struct topic {
    char *name;      // projects/P/topics/T
    char *labels;    // a JSON object, or ""
    char *retention; // a duration, or ""
    struct topic *next;
};
struct cloud {
    struct loop *loop;
    struct keys *keys;
    struct tokens *tokens;
    const char *project;
    const char *relay_url; // NULL: no relay
    struct topic *topics;
    struct subscription *subscriptions;
    struct fault *faults;
    struct relayed *relayed;
    struct version *versions; // of secrets
    unsigned secret_accesses;
    uint64_t message_ids;
    unsigned key_fetches, max_age_s, age_s;
};

void cloud_init(struct cloud *cloud);
void cloud_done(struct cloud *cloud);                        // cuts what is in flight
void cloud_handle(void *context, struct exchange *exchange); // every request comes through here

struct topic *cloud_find_topic(const struct cloud *cloud, const char *name);
struct subscription *cloud_find_subscription(const struct cloud *cloud, const char *name);
// Stamps the message and hands it to the topic's subscriptions.
void cloud_publish(struct cloud *cloud, const struct topic *topic, struct message *message);
void cloud_remove_topic(struct cloud *cloud, struct topic *topic);

// The rooms. Each answers the paths it knows, returning true, and leaves the others alone, returning false.
bool certificates_handle(struct cloud *cloud, struct exchange *exchange); // /oauth2/v3/certs
bool secrets_handle(struct cloud *cloud, struct exchange *exchange);      // /v1/...:access
bool pubsub_handle(struct cloud *cloud, struct exchange *exchange);       // /v1/
bool metadata_handle(struct cloud *cloud, struct exchange *exchange);     // /computeMetadata/
bool control_handle(struct cloud *cloud, struct exchange *exchange);      // /localcloud/
bool relay_handle(struct cloud *cloud, struct exchange *exchange);        // /relay
bool secrets_add(struct cloud *cloud, const struct json *body, struct refusal *refusal);
void secrets_done(struct cloud *cloud);
void relay_done(struct cloud *cloud);
