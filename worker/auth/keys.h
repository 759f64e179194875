// The issuer's keys (RFC 7517), fetched from a JWKS URL and cached: max-age minus Age clamped to [60 s, 24 h] (5 min when absent),
// one fetch at a time, at most one forced refetch per cool-down for an unknown kid (the slot is taken before the fetch), old keys
// served while the server is away (up to 24 h), then ERROR_KEYS_UNAVAILABLE. Thread-safe; a cached kid never waits for a fetch.
#pragma once
#include "auth/token.h"

#define KEYS_URL_GOOGLE "https://www.googleapis.com/oauth2/v3/certs"
struct keys;
// `url`: https, or http on loopback (tests, localcloud). Starts no thread. Errors: ERROR_CONFIGURATION.
bool keys_new(const char *url, unsigned cooldown_ms, struct keys **ret_keys, struct error *err);
void keys_free(struct keys *keys);
// Fetches now if nothing is cached; for start-up in parallel with the database. Failure is not final.
bool keys_warm(struct keys *keys, struct error *err);
struct token_keys keys_as_token_keys(struct keys *keys);
bool keys_ready(const struct keys *keys); // something usable is cached
uint64_t keys_fetches(const struct keys *keys);
