// A signed token: RFC 7515 compact serialisation, RS256 only. Form and header come first and the signature last, so that whoever reads
// a token judges its claims in between, before that costs a key. Pure but for the two function pointers.
#pragma once
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#define TOKEN_MAX 8192 // bytes

struct key; // auth/signature.h

// Looks a key up by its kid. On failure sets ERROR_TOKEN_KEY_UNKNOWN or ERROR_KEYS_UNAVAILABLE. The reference is given back.
typedef bool token_find_key(void *context, struct view kid, const struct key **ret_key, struct error *err);
typedef void token_release_key(void *context, const struct key *key);
struct token_keys {
    void *context;
    token_find_key *find;
    token_release_key *release;
};

struct jws { // nothing of it is to be believed before jws_verify
    struct json *header, *claims;
    struct view kid;         // points into `header`
    struct view signed_part; // header "." claims, still encoded: what the signature is about
    struct view signature;   // still encoded
};

// `token` must outlive the result. Errors: ERROR_TOKEN_MALFORMED, _ALGORITHM, _SIGNATURE_REMOVED.
bool jws_read(struct view token, struct jws *ret_jws, struct error *err);
// Errors: ERROR_TOKEN_MALFORMED, _SIGNATURE and those of the key's look-up.
bool jws_verify(const struct jws *jws, const struct token_keys *keys, struct error *err);
void jws_done(struct jws *jws); // a zeroed one is fine
#define cleanup_jws __attribute__((cleanup(jws_done)))
