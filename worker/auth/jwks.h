// A JSON Web Key Set (RFC 7517 §5) and what of it can verify RS256. Pure: where the text comes from is left to keys.c.
#pragma once
#include "auth/signature.h"

#define JWKS_KEYS_MAX 64
#define JWKS_KID_MAX 256 // bytes; a token's kid has the same limit
#define JWKS_DEPTH_MAX 16

struct jwks; // immutable

// A member that is no usable key (another type, use, operation or algorithm, too small, no kid, a private key) is passed over: an
// issuer may add kinds of keys that did not exist when this was written. Of keys that differ under one kid, none is taken.
// Errors: ERROR_KEYS_UNAVAILABLE when the text is no key set, has more than JWKS_KEYS_MAX members, or no usable one.
bool jwks_parse(struct view text, struct jwks **ret_jwks, struct error *err);
void jwks_free(struct jwks *jwks);
static inline void jwks_cleanup(struct jwks **jwks) {
    jwks_free(*jwks);
}
#define cleanup_jwks __attribute__((cleanup(jwks_cleanup)))
size_t jwks_count(const struct jwks *jwks); // usable keys
// The key whose kid is byte for byte `kid`, or NULL. Borrowed: key_keep() it to outlive the set.
const struct key *jwks_find(const struct jwks *jwks, struct view kid);
