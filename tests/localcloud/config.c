// Reads, checks and writes subscription resources. Whether the topics exist is pubsub.c's question.
#include "config.h"
#include "base/arena.h"
#include "filter.h"
#include "post.h"
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX (16 * 1024)
#define DAY_MS INT64_C(86400000)

static void replace(char **string, const char *value) {
    char *fresh = memory_string(value);
    free(*string);
    *string = fresh;
}

// Every string of a config, so that copying and freeing cannot forget one.
static void each_string(struct config *config, char **strings[static 9]) {
    char **const all[] = {&config->topic,
                          &config->filter,
                          &config->labels,
                          &config->push_endpoint,
                          &config->push_account,
                          &config->push_audience,
                          &config->dead_letter_topic,
                          &config->retention,
                          &config->expiration};
    memcpy(strings, all, sizeof all);
}

void config_init(struct config *config) {
    *config = (struct config){.deadline_s = 10, .expiration_policy = true};
    char **strings[9];
    each_string(config, strings);
    for (size_t i = 0; i < 9; i++)
        *strings[i] = memory_string("");
    replace(&config->retention, "604800s");
    replace(&config->expiration, "2678400s");
}

void config_copy(struct config *config, const struct config *from) {
    *config = *from;
    char **strings[9];
    each_string(config, strings);
    for (size_t i = 0; i < 9; i++)
        *strings[i] = memory_string(*strings[i]);
}

void config_done(struct config *config) {
    char **strings[9];
    each_string(config, strings);
    for (size_t i = 0; i < 9; i++) {
        free(*strings[i]);
        *strings[i] = NULL;
    }
}

bool duration_read(const struct json *json, int64_t max_ms, int64_t *ret_ms) {
    struct view text;
    uint64_t seconds, fraction = 0;
    if (!json_string(json, &text) || text.length < 2 || text.data[text.length - 1] != 's')
        return false;
    text.length--;
    const char *point = memchr(text.data, '.', text.length);
    if (point) {
        struct view digits = {point + 1, text.length - (size_t)(point + 1 - text.data)};
        if (digits.length < 1 || digits.length > 9 || !text_to_u64(digits, 999999999, &fraction))
            return false;
        for (size_t i = digits.length; i < 9; i++)
            fraction *= 10;
        text.length = (size_t)(point - text.data);
    }
    if (!text_to_u64(text, (uint64_t)max_ms / 1000, &seconds))
        return false;
    int64_t ms = (int64_t)seconds * 1000 + (int64_t)(fraction / 1000000);
    if (ms > max_ms)
        return false;
    *ret_ms = ms;
    return true;
}

char *labels_read(const struct json *json) {
    struct text out = TEXT(LABELS_MAX);
    struct json_writer writer = JSON_WRITER(&out);
    bool valid = json_type(json) == JSON_OBJECT;
    json_begin_object(&writer, NULL);
    for (const struct json *member = valid ? json_first(json) : NULL; member && valid; member = json_next(member)) {
        struct view value;
        valid = json_string(member, &value);
        if (valid)
            json_put_view(&writer, json_name(member), value);
    }
    json_end_object(&writer);
    char *labels = valid && !out.full ? memory_string(text_string(&out)) : NULL;
    text_done(&out);
    return labels;
}

// ---- one reader per field; json NULL means "back to the default" --------------------------------------------

static bool wrong_type(const char *field, struct refusal *refusal) {
    return refuse(refusal, INVALID_ARGUMENT, "Invalid value at 'subscription.%s'.", field);
}

static bool read_string(char **string, const struct json *json, const char *field, struct refusal *refusal) {
    struct view value;
    if (!json) {
        replace(string, "");
        return true;
    }
    if (!json_string(json, &value))
        return wrong_type(field, refusal);
    replace(string, value.data);
    return true;
}

static bool read_flag(bool *flag, const struct json *json, const char *field, struct refusal *refusal) {
    if (!json) {
        *flag = false;
        return true;
    }
    return json_boolean(json, flag) || wrong_type(field, refusal);
}

static bool read_whole(const struct json *json, int64_t min, int64_t max, int64_t *ret_number) {
    struct view text;
    uint64_t number;
    if (json_integer(json, min, max, ret_number))
        return true;
    if (!json_string(json, &text) || !text_to_u64(text, (uint64_t)max, &number) || (int64_t)number < min)
        return false;
    *ret_number = (int64_t)number;
    return true;
}

// Members of an object must be among `known`, so that a misspelt field is refused as Google refuses it.
static bool known_members(const struct json *object, const char *field, const char *const *known,
                          struct refusal *refusal) {
    if (json_type(object) != JSON_OBJECT)
        return wrong_type(field, refusal);
    for (const struct json *member = json_first(object); member; member = json_next(member)) {
        const char *const *name = known;
        while (*name && strcmp(*name, json_name(member)) != 0)
            name++;
        if (!*name)
            return refuse(
                refusal, INVALID_ARGUMENT,
                "Invalid JSON payload received. Unknown name \"%.64s\" at 'subscription.%s': Cannot find field.",
                json_name(member), field);
    }
    return true;
}

static bool read_topic(struct config *config, const struct json *json, struct refusal *refusal) {
    return read_string(&config->topic, json, "topic", refusal);
}

static bool read_filter(struct config *config, const struct json *json, struct refusal *refusal) {
    if (!read_string(&config->filter, json, "filter", refusal))
        return false;
    return filter_valid(config->filter) ||
           refuse(refusal, INVALID_ARGUMENT, "Invalid filter syntax (filter=%.256s).", config->filter);
}

static bool read_labels(struct config *config, const struct json *json, struct refusal *refusal) {
    char *labels = json ? labels_read(json) : memory_string("");
    if (!labels)
        return wrong_type("labels", refusal);
    free(config->labels);
    config->labels = labels;
    return true;
}

static bool read_deadline(struct config *config, const struct json *json, struct refusal *refusal) {
    int64_t seconds = 0;
    if (json && !read_whole(json, 0, 600, &seconds))
        return refuse(refusal, INVALID_ARGUMENT,
                      "Invalid ack deadline given (deadline must be between 10 and 600 seconds).");
    if (seconds != 0 && seconds < 10)
        return refuse(refusal, INVALID_ARGUMENT,
                      "Invalid ack deadline given (ack_deadline=%d): it must be between 10 and 600 seconds.",
                      (int)seconds);
    config->deadline_s = seconds ? (unsigned)seconds : 10;
    return true;
}

static bool read_retention(struct config *config, const struct json *json, struct refusal *refusal) {
    int64_t ms;
    struct view text = VIEW("604800s");
    if (json && (!duration_read(json, 31 * DAY_MS, &ms) || ms < 600000 || !json_string(json, &text)))
        return refuse(refusal, INVALID_ARGUMENT, "Invalid message retention duration: 10 minutes to 31 days.");
    replace(&config->retention, text.data);
    return true;
}

static bool read_expiration(struct config *config, const struct json *json, struct refusal *refusal) {
    static const char *const known[] = {"ttl", NULL};
    struct view ttl = VIEW("");
    int64_t ms;
    config->expiration_policy = true;
    if (!json) {
        replace(&config->expiration, "2678400s");
        return true;
    }
    if (!known_members(json, "expirationPolicy", known, refusal))
        return false;
    if (json_get(json, "ttl") &&
        (!json_string(json_get(json, "ttl"), &ttl) ||
         (ttl.length && (!duration_read(json_get(json, "ttl"), 365 * DAY_MS, &ms) || ms < DAY_MS))))
        return refuse(refusal, INVALID_ARGUMENT, "Invalid expiration policy: at least one day.");
    replace(&config->expiration, ttl.data);
    return true;
}

static bool read_retain(struct config *config, const struct json *json, struct refusal *refusal) {
    return read_flag(&config->retain_acked, json, "retainAckedMessages", refusal);
}

static bool read_ordering(struct config *config, const struct json *json, struct refusal *refusal) {
    return read_flag(&config->ordering, json, "enableMessageOrdering", refusal);
}

static bool read_exactly_once(struct config *config, const struct json *json, struct refusal *refusal) {
    return read_flag(&config->exactly_once, json, "enableExactlyOnceDelivery", refusal);
}

static bool read_dead_letter(struct config *config, const struct json *json, struct refusal *refusal) {
    static const char *const known[] = {"deadLetterTopic", "maxDeliveryAttempts", NULL};
    int64_t attempts = 0;
    replace(&config->dead_letter_topic, "");
    config->attempts = 0;
    if (!json || (json_type(json) == JSON_OBJECT && !json_first(json)))
        return true;
    if (!known_members(json, "deadLetterPolicy", known, refusal) ||
        !read_string(&config->dead_letter_topic, json_get(json, "deadLetterTopic"), "deadLetterPolicy.deadLetterTopic",
                     refusal))
        return false;
    if (json_get(json, "maxDeliveryAttempts") &&
        !read_whole(json_get(json, "maxDeliveryAttempts"), 0, INT32_MAX, &attempts))
        return wrong_type("deadLetterPolicy.maxDeliveryAttempts", refusal);
    if (attempts != 0 && (attempts < 5 || attempts > 100))
        return refuse(refusal, OUT_OF_RANGE, "Invalid max delivery attempts (%lld): it must be between 5 and 100.",
                      (long long)attempts);
    config->attempts = attempts ? (unsigned)attempts : 5;
    return true;
}

static bool read_retry(struct config *config, const struct json *json, struct refusal *refusal) {
    static const char *const known[] = {"minimumBackoff", "maximumBackoff", NULL};
    int64_t minimum = 10000, maximum = 600000;
    config->retry_policy = false;
    config->backoff_min_ms = config->backoff_max_ms = 0;
    if (!json)
        return true;
    if (!known_members(json, "retryPolicy", known, refusal))
        return false;
    if ((json_get(json, "minimumBackoff") && !duration_read(json_get(json, "minimumBackoff"), 600000, &minimum)) ||
        (json_get(json, "maximumBackoff") && !duration_read(json_get(json, "maximumBackoff"), 600000, &maximum)) ||
        minimum > maximum)
        return refuse(refusal, INVALID_ARGUMENT,
                      "Invalid retry policy: 0 s <= minimumBackoff <= maximumBackoff <= 600 s.");
    config->retry_policy = true;
    config->backoff_min_ms = (unsigned)minimum;
    config->backoff_max_ms = (unsigned)maximum;
    return true;
}

static bool read_oidc(struct config *config, const struct json *json, struct refusal *refusal) {
    static const char *const known[] = {"serviceAccountEmail", "audience", NULL};
    replace(&config->push_account, "");
    replace(&config->push_audience, "");
    if (!json)
        return true;
    if (!known_members(json, "pushConfig.oidcToken", known, refusal) ||
        !read_string(&config->push_account, json_get(json, "serviceAccountEmail"),
                     "pushConfig.oidcToken.serviceAccountEmail", refusal) ||
        !read_string(&config->push_audience, json_get(json, "audience"), "pushConfig.oidcToken.audience", refusal))
        return false;
    return strchr(config->push_account, '@') ||
           refuse(refusal, INVALID_ARGUMENT, "Invalid service account email (email=%.128s).", config->push_account);
}

bool config_read_push(struct config *config, const struct json *json, struct refusal *refusal) {
    static const char *const known[] = {"pushEndpoint", "attributes", "oidcToken", "noWrapper", "pubsubWrapper", NULL};
    static const char *const unwrapped[] = {"writeMetadata", NULL};
    replace(&config->push_endpoint, "");
    config->unwrapped = config->metadata_headers = false;
    if (!json)
        return read_oidc(config, NULL, refusal);
    const struct json *bare = json_get(json, "noWrapper");
    if (!known_members(json, "pushConfig", known, refusal) ||
        !read_string(&config->push_endpoint, json_get(json, "pushEndpoint"), "pushConfig.pushEndpoint", refusal) ||
        !read_oidc(config, json_get(json, "oidcToken"), refusal))
        return false;
    if (bare && (!known_members(bare, "pushConfig.noWrapper", unwrapped, refusal) ||
                 !read_flag(&config->metadata_headers, json_get(bare, "writeMetadata"),
                            "pushConfig.noWrapper.writeMetadata", refusal)))
        return false;
    config->unwrapped = bare != NULL;
    return !*config->push_endpoint || post_endpoint_valid(config->push_endpoint) ||
           refuse(refusal, INVALID_ARGUMENT,
                  "Invalid push endpoint given (endpoint=%.256s): localcloud pushes to http on loopback only.",
                  config->push_endpoint);
}

// ---- the table ----------------------------------------------------------------------------------------------

bool field_is_empty(const struct json *json) {
    struct view string;
    bool boolean;
    int64_t number;
    return !json || json_type(json) == JSON_NULL || (json_string(json, &string) && !string.length) ||
           (json_boolean(json, &boolean) && !boolean) || json_integer(json, 0, 0, &number) ||
           ((json_type(json) == JSON_OBJECT || json_type(json) == JSON_ARRAY) && !json_first(json));
}

static bool read_foreign(struct config *config, const struct json *json, struct refusal *refusal) {
    (void)config;
    return field_is_empty(json) ||
           refuse(refusal, UNIMPLEMENTED, "localcloud has no subscriptions with %.64s.", json_name(json));
}

static bool read_nothing(struct config *config, const struct json *json, struct refusal *refusal) {
    (void)config;
    (void)json;
    (void)refusal;
    return true; // the path says the name, the service says the state
}

static const struct {
    const char *name;
    bool (*read)(struct config *config, const struct json *json, struct refusal *refusal);
    bool fixed; // cannot be changed after creation
} fields[] = {
    {"name", read_nothing, true},
    {"state", read_nothing, true},
    {"topic", read_topic, true},
    {"filter", read_filter, true},
    {"enableMessageOrdering", read_ordering, true},
    {"labels", read_labels, false},
    {"pushConfig", config_read_push, false},
    {"ackDeadlineSeconds", read_deadline, false},
    {"messageRetentionDuration", read_retention, false},
    {"expirationPolicy", read_expiration, false},
    {"retainAckedMessages", read_retain, false},
    {"enableExactlyOnceDelivery", read_exactly_once, false},
    {"deadLetterPolicy", read_dead_letter, false},
    {"retryPolicy", read_retry, false},
    {"bigqueryConfig", read_foreign, true},
    {"cloudStorageConfig", read_foreign, true},
    {"messageTransforms", read_foreign, true},
    {"tags", read_foreign, true},
    {"detached", read_foreign, true},
    {"topicMessageRetentionDuration", read_nothing, true},
};
#define FIELDS (sizeof fields / sizeof *fields)

static size_t find_field(struct view name) {
    size_t i = 0;
    while (i < FIELDS && !view_is(name, fields[i].name))
        i++;
    return i;
}

static bool check_whole(const struct config *config, struct refusal *refusal) {
    if (config->exactly_once && *config->push_endpoint)
        return refuse(refusal, INVALID_ARGUMENT, "Exactly-once delivery is not supported for push subscriptions.");
    return true;
}

static const struct json *not_null(const struct json *json) {
    return json && json_type(json) != JSON_NULL ? json : NULL;
}

bool config_read(struct config *config, const struct json *resource, struct refusal *refusal) {
    for (const struct json *member = json_first(resource); member; member = json_next(member)) {
        size_t i = find_field(view_of(json_name(member)));
        if (i == FIELDS)
            return refuse(refusal, INVALID_ARGUMENT,
                          "Invalid JSON payload received. Unknown name \"%.64s\": Cannot find field.",
                          json_name(member));
        if (not_null(member) && !fields[i].read(config, member, refusal))
            return false;
    }
    return check_whole(config, refusal);
}

bool config_patch(struct config *config, const struct json *resource, const char *mask, struct refusal *refusal) {
    if (!*mask)
        return refuse(
            refusal, INVALID_ARGUMENT,
            "The update_mask in the UpdateSubscriptionRequest must be set, and must contain a non-empty paths list.");
    for (const char *at = mask; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        struct view name = {at, strcspn(at, ",")};
        size_t i = find_field(name);
        if (i == FIELDS)
            return refuse(refusal, INVALID_ARGUMENT,
                          "Invalid update_mask provided in the UpdateSubscriptionRequest: '%.*s' is not a known "
                          "Subscription field.",
                          (int)name.length, name.data);
        if (fields[i].fixed)
            return refuse(
                refusal, INVALID_ARGUMENT,
                "Invalid update_mask provided in the UpdateSubscriptionRequest: the '%s' field cannot be changed.",
                fields[i].name);
        if (!fields[i].read(config, not_null(json_get(resource, fields[i].name)), refusal))
            return false;
    }
    return check_whole(config, refusal);
}

// ---- writing ------------------------------------------------------------------------------------------------

static void put_duration(struct json_writer *writer, const char *name, unsigned ms) {
    struct text text cleanup_text = TEXT(32);
    text_printf(&text, ms % 1000 ? "%u.%03us" : "%us", ms / 1000, ms % 1000);
    json_put_string(writer, name, text_string(&text));
}

static void write_push(const struct config *config, struct json_writer *writer) {
    json_begin_object(writer, "pushConfig");
    if (*config->push_endpoint)
        json_put_string(writer, "pushEndpoint", config->push_endpoint);
    if (*config->push_account) {
        json_begin_object(writer, "oidcToken");
        json_put_string(writer, "serviceAccountEmail", config->push_account);
        if (*config->push_audience)
            json_put_string(writer, "audience", config->push_audience);
        json_end_object(writer);
    }
    if (config->unwrapped) {
        json_begin_object(writer, "noWrapper");
        if (config->metadata_headers)
            json_put_boolean(writer, "writeMetadata", true);
        json_end_object(writer);
    }
    json_end_object(writer);
}

static void write_policies(const struct config *config, struct json_writer *writer) {
    json_begin_object(writer, "expirationPolicy");
    if (*config->expiration)
        json_put_string(writer, "ttl", config->expiration);
    json_end_object(writer);
    if (*config->dead_letter_topic) {
        json_begin_object(writer, "deadLetterPolicy");
        json_put_string(writer, "deadLetterTopic", config->dead_letter_topic);
        json_put_integer(writer, "maxDeliveryAttempts", config->attempts);
        json_end_object(writer);
    }
    if (config->retry_policy) {
        json_begin_object(writer, "retryPolicy");
        put_duration(writer, "minimumBackoff", config->backoff_min_ms);
        put_duration(writer, "maximumBackoff", config->backoff_max_ms);
        json_end_object(writer);
    }
}

void config_write(const struct config *config, const char *topic, const char *name, struct json_writer *writer) {
    json_begin_object(writer, NULL);
    json_put_string(writer, "name", name);
    json_put_string(writer, "topic", topic);
    write_push(config, writer);
    json_put_integer(writer, "ackDeadlineSeconds", config->deadline_s);
    json_put_string(writer, "messageRetentionDuration", config->retention);
    if (*config->labels)
        json_put_raw(writer, "labels", config->labels);
    write_policies(config, writer);
    if (config->retain_acked)
        json_put_boolean(writer, "retainAckedMessages", true);
    if (config->ordering)
        json_put_boolean(writer, "enableMessageOrdering", true);
    if (config->exactly_once)
        json_put_boolean(writer, "enableExactlyOnceDelivery", true);
    if (*config->filter)
        json_put_string(writer, "filter", config->filter);
    json_put_string(writer, "state", "ACTIVE");
    json_end_object(writer);
}
