// What a subscription was asked to be: its resource, read and written by one table of fields.
#pragma once
#include "base/json.h"
#include "refusal.h"

struct config {
    char *topic; // full name
    char *filter;
    char *labels;            // a JSON object
    char *push_endpoint;     // "" = pull
    char *push_account;      // "" = no token
    char *push_audience;     // "" = the endpoint
    char *dead_letter_topic; // full name, "" = none
    char *retention;         // as it was given: "604800s"
    char *expiration;
    unsigned attempts; // maxDeliveryAttempts
    unsigned deadline_s;
    unsigned backoff_min_ms, backoff_max_ms; // 0, 0: no retry policy
    bool retry_policy, expiration_policy, retain_acked, ordering, exactly_once, unwrapped, metadata_headers;
};

void config_init(struct config *config); // the API's defaults
void config_copy(struct config *config, const struct config *from);
void config_done(struct config *config);
// Reads a whole resource over the defaults, or, with `mask` (comma-separated), only those fields.
bool config_read(struct config *config, const struct json *resource, struct refusal *refusal);
bool config_patch(struct config *config, const struct json *resource, const char *mask, struct refusal *refusal);
bool config_read_push(struct config *config, const struct json *push, struct refusal *refusal);
// `topic`: what it is called now.
void config_write(const struct config *config, const char *topic, const char *name, struct json_writer *writer);
// "10s", "0.5s": a protobuf duration.
bool duration_read(const struct json *json, int64_t max_ms, int64_t *ret_ms);
// Null, false, 0, "", {} or []: a field that says nothing, as generated clients send them.
bool field_is_empty(const struct json *json);
// A JSON object of strings, written again; NULL when it is something else. The caller frees it.
char *labels_read(const struct json *json);
