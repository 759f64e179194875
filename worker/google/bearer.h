// A bearer token with the time that it runs out, and where such tokens come from: every source (metadata server, key file,
// federation) fills the same two functions.
#pragma once
#include "base/json.h"

#define BEARER_MAX 12288 // bytes; Google's are 1 to 2 KiB, federated ones longer

struct bearer {
    struct secret value;
    int64_t expires; // Unix seconds
};
static inline void bearer_done(struct bearer *bearer) {
    secret_done(&bearer->value);
}

struct bearer_source {
    void *self;
    // A fresh token each time; `scope` is one URL, or several with spaces between. Not thread-safe.
    bool (*access)(void *self, const char *scope, struct bearer *ret_bearer, struct error *err);
    bool (*identity)(void *self, const char *audience, struct bearer *ret_bearer, struct error *err);
    void (*free)(void *self);
};

// {"access_token":...,"expires_in":SECONDS} (RFC 6749 section 5.1), received at `now`. Errors: ERROR_CREDENTIALS_UNAVAILABLE.
bool bearer_read_access(const struct json *answer, int64_t now, struct bearer *ret_bearer, struct error *err);
// A JWT whose `exp` is read, not verified: it is the receiver's business to verify it. Errors: ERROR_CREDENTIALS_UNAVAILABLE.
bool bearer_read_identity(struct view token, struct bearer *ret_bearer, struct error *err);
// What a token may consist of (RFC 6750 section 2.1), so that it cannot break out of a header.
bool bearer_is_valid(struct view token);
