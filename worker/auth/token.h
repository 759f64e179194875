// The push token: RFC 7515 compact serialisation, RS256 only, then the claims (RFC 7519, RFC 8725, platform rules). Pure but for
// the two function pointers. The rules that refuse are in order of cost: form, header, claims, then the key and the signature. Who the
// caller is comes last, so that CALLER_... (403) is said of genuine tokens only. Messages are for the operator's log: they name what
// this worker expects, so a client that failed with 401 must not be shown them.
#pragma once
#include "base/error.h"
#include "base/text.h"

#define TOKEN_MAX 8192

struct key; // auth/signature.h
struct token_policy {
    const char *const *audiences; // NULL-terminated lists, compared exactly
    const char *const *issuers;   // NULL: the two Google forms
    const char *const *callers;   // exact e-mail addresses
    unsigned skew_s;              // 0..300, default 60
};
struct token_claims { // filled only after everything held; NUL-terminated
    char email[256], subject[256], issuer[128], audience[512];
    int64_t issued_at, expires_at; // Unix seconds
};
// Looks a key up by its kid. On failure sets ERROR_TOKEN_KEY_UNKNOWN or ERROR_KEYS_UNAVAILABLE. The reference is given back.
typedef bool token_find_key(void *context, struct view kid, const struct key **ret_key, struct error *err);
typedef void token_release_key(void *context, const struct key *key);
struct token_keys {
    void *context;
    token_find_key *find;
    token_release_key *release;
};
// `authorization` is the value of the one Authorization field ("Bearer xxx"; the caller has counted the fields). `now` in Unix seconds.
bool token_verify(struct view authorization, const struct token_policy *policy, const struct token_keys *keys,
                  int64_t now, struct token_claims *ret_claims, struct error *err);
