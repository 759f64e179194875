// The push token: a signed token (jws.h) with the claims that Google writes (RFC 7519, RFC 8725, platform rules). Pure but for the
// two function pointers. The rules that refuse are in order of cost: form, header, claims, then the key and the signature. Who the
// caller is comes last, so that CALLER_... (403) is said of genuine tokens only. Messages are for the operator's log: they name what
// this worker expects, so a client that failed with 401 must not be shown them.
#pragma once
#include "auth/jws.h"

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
// `authorization` is the value of the one Authorization field ("Bearer xxx"; the caller has counted the fields). `now` in Unix seconds.
bool token_verify(struct view authorization, const struct token_policy *policy, const struct token_keys *keys,
                  int64_t now, struct token_claims *ret_claims, struct error *err);
