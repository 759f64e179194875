// Reads tokens from what their makers answer. See bearer.h. No token, and no part of one, is ever in an error.
#include "google/bearer.h"
#include "base/arena.h"
#include "base/base64.h"
#include <string.h>

enum { LIFETIME_MAX_S = 12 * 3600 + 60 }; // twelve hours is what an organisation may allow

bool bearer_is_valid(struct view token) {
    for (size_t i = 0; i < token.length; i++) {
        char c = token.data[i];
        bool fine =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~+/=", c));
        if (!fine)
            return false;
    }
    return token.length > 0 && token.length <= BEARER_MAX;
}

static bool keep(struct view token, int64_t expires, struct bearer *ret_bearer, struct error *err) {
    if (!bearer_is_valid(token))
        return error_set(err, ERROR_CREDENTIALS_UNAVAILABLE, "the answer holds something else than a token");
    cleanup_free char *copy = memory_alloc(token.length + 1);
    memcpy(copy, token.data, token.length);
    ret_bearer->value = (struct secret){0};
    secret_set(&ret_bearer->value, copy);
    ret_bearer->expires = expires;
    memory_wipe(copy, token.length);
    return true;
}

bool bearer_read_access(const struct json *answer, int64_t now, struct bearer *ret_bearer, struct error *err) {
    struct view token;
    int64_t lifetime;
    if (!json_string(json_get(answer, "access_token"), &token) ||
        !json_integer(json_get(answer, "expires_in"), 0, LIFETIME_MAX_S, &lifetime))
        return error_set(err, ERROR_CREDENTIALS_UNAVAILABLE, "the answer has no access_token with its expires_in");
    return keep(token, now + lifetime, ret_bearer, err);
}

// The `exp` of the second of three parts.
static bool read_expiry(struct view token, int64_t *ret_expires) {
    const char *first = memchr(token.data, '.', token.length);
    size_t rest = first ? token.length - (size_t)(first + 1 - token.data) : 0;
    const char *second = rest ? memchr(first + 1, '.', rest) : NULL;
    if (!second)
        return false;
    struct view part = {first + 1, (size_t)(second - first - 1)};
    cleanup_free char *claims = memory_alloc(base64_decoded_max(part.length) + 1);
    cleanup_json struct json *json = NULL;
    struct error ignored = {0};
    size_t length;
    double expires;
    if (!base64url_decode(part, claims, &length) || !json_parse((struct view){claims, length}, &json, &ignored) ||
        !json_number(json_get(json, "exp"), &expires) || expires < 0)
        return false;
    *ret_expires = (int64_t)expires;
    return true;
}

bool bearer_read_identity(struct view token, struct bearer *ret_bearer, struct error *err) {
    int64_t expires;
    if (token.length > BEARER_MAX || !read_expiry(token, &expires))
        return error_set(err, ERROR_CREDENTIALS_UNAVAILABLE, "the answer holds something else than an ID token");
    return keep(token, expires, ret_bearer, err);
}
