// generateAccessToken and generateIdToken. See impersonation.h.
#include "google/impersonation.h"
#include "base/arena.h"
#include "base/clock.h"
#include "google/grant.h"
#include <stdlib.h>
#include <string.h>

#define ASKED "cannot impersonate the service account"
#define ACCESS_METHOD ":generateAccessToken"
#define IDENTITY_METHOD ":generateIdToken"
enum { BODY_MAX = 16384 };

struct impersonation {
    struct caller *caller;
    char *url;
    struct bearer_source inner;
};

static void close_impersonation(void *self) {
    struct impersonation *impersonation = self;
    impersonation->inner.free(impersonation->inner.self);
    free(impersonation->url);
    free(impersonation);
}

static bool ask(struct impersonation *impersonation, const char *url, const struct text *body, struct json **ret_answer,
                struct error *err) {
    const struct bearer_source *inner = &impersonation->inner;
    struct bearer bearer;
    if (body->full)
        return error_set(err, ERROR_CREDENTIALS_REFUSED, ASKED ": the scope or audience is too long");
    if (!inner->access(inner->self, GRANT_SCOPE_ALL, &bearer, err))
        return false;
    struct call call = {
        .what = ASKED,
        .url = url,
        .token = bearer.value.value,
        .body = {text_string(body), body->length},
    };
    grant_limits(&call);
    bool done = call_json(impersonation->caller, &call, ret_answer, err);
    bearer_done(&bearer);
    return done;
}

static bool read_access(const struct json *answer, struct bearer *ret_bearer, struct error *err) {
    struct view token, expires;
    int64_t expires_ms;
    if (!json_string(json_get(answer, "accessToken"), &token) || !bearer_is_valid(token) ||
        !json_string(json_get(answer, "expireTime"), &expires) || !clock_parse(expires.data, &expires_ms))
        return error_set(err, ERROR_CREDENTIALS_UNAVAILABLE,
                         ASKED ": the answer has no accessToken with its expireTime");
    ret_bearer->value = (struct secret){0};
    secret_set(&ret_bearer->value, token.data);
    ret_bearer->expires = expires_ms / 1000;
    return true;
}

static bool make_access(void *self, const char *scope, struct bearer *ret_bearer, struct error *err) {
    struct impersonation *impersonation = self;
    cleanup_text struct text body = TEXT(BODY_MAX);
    cleanup_json struct json *answer = NULL;
    struct json_writer writer = JSON_WRITER(&body);
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "scope");
    json_put_string(&writer, NULL, scope);
    json_end_array(&writer);
    json_put_string(&writer, "lifetime", "3600s");
    json_end_object(&writer);
    return ask(impersonation, impersonation->url, &body, &answer, err) && read_access(answer, ret_bearer, err);
}

static bool make_identity(void *self, const char *audience, struct bearer *ret_bearer, struct error *err) {
    struct impersonation *impersonation = self;
    cleanup_text struct text body = TEXT(BODY_MAX), url = TEXT(4096);
    cleanup_json struct json *answer = NULL;
    struct view token = {0};
    struct json_writer writer = JSON_WRITER(&body);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "audience", audience);
    json_put_boolean(&writer, "includeEmail", true); // without it the worker cannot tell who asks
    json_end_object(&writer);
    text_append_view(&url, (struct view){impersonation->url, strlen(impersonation->url) - strlen(ACCESS_METHOD)});
    text_append(&url, IDENTITY_METHOD);
    if (!ask(impersonation, text_string(&url), &body, &answer, err))
        return false;
    if (!json_string(json_get(answer, "token"), &token))
        return error_set(err, ERROR_CREDENTIALS_UNAVAILABLE, ASKED ": the answer has no token");
    return bearer_read_identity(token, ret_bearer, err) || error_wrap(err, ASKED);
}

bool impersonation_open(struct caller *caller, const char *url, struct bearer_source inner,
                        struct bearer_source *ret_source, struct error *err) {
    size_t length = strlen(url), tail = strlen(ACCESS_METHOD);
    if (length <= tail || strcmp(url + length - tail, ACCESS_METHOD) != 0) {
        inner.free(inner.self);
        return error_set(err, ERROR_CONFIGURATION,
                         "the credentials file's service_account_impersonation_url does not end in " ACCESS_METHOD);
    }
    struct impersonation *impersonation = memory_alloc(sizeof(*impersonation));
    *impersonation = (struct impersonation){caller, memory_string(url), inner};
    *ret_source = (struct bearer_source){impersonation, make_access, make_identity, close_impersonation};
    return true;
}
