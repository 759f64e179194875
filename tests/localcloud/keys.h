// The RSA keys that stand for Google's: two are published (previous, current), the next is known before its turn so
// that tests can meet an unknown kid that becomes known, and a rogue one is never published. Only keys.c sees OpenSSL.
#pragma once
#include "base/text.h"

enum key_name { KEY_PREVIOUS, KEY_CURRENT, KEY_NEXT, KEY_ROGUE, KEY_COUNT };
struct keys;

struct keys *keys_new(void); // NULL: OpenSSL cannot make keys
void keys_free(struct keys *keys);
bool keys_rotate(struct keys *keys); // next becomes current, current previous, previous is published no more
const char *keys_kid(const struct keys *keys, enum key_name name); // 40 hex; the rogue key claims the current one's
bool keys_published(const struct keys *keys, const char *kid);
void keys_write_jwks(const struct keys *keys,
                     struct text *out); // RFC 7517, as https://www.googleapis.com/oauth2/v3/certs
const char *keys_pem(const struct keys *keys, enum key_name name); // SubjectPublicKeyInfo
// Appends the base64url of the signature over `input`.
bool keys_sign(const struct keys *keys, enum key_name name, struct view input, struct text *out); // RS256
bool keys_sign_hs256(struct view secret, struct view input, struct text *out);
