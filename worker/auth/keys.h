// The issuer's keys (RFC 7517), fetched from a JWKS URL and cached: max-age minus Age clamped to [60 s, 24 h] (5 min when absent),
// one fetch at a time, at most one forced refetch per cool-down for an unknown kid (the slot is taken before the fetch), old keys
// served while the server is away (until 24 h after they were fetched), then ERROR_KEYS_UNAVAILABLE (or
// ERROR_SHUTTING_DOWN). Thread-safe; a cached kid never waits for somebody else's fetch. Starts no thread: the one
// request that notices the expiry fetches.
#pragma once
#include "auth/jws.h"
#include <stdatomic.h>

#define KEYS_URL_GOOGLE "https://www.googleapis.com/oauth2/v3/certs"
#define KEYS_COOLDOWN_MS 30000

struct keys;
// `url`: https, or http on loopback (tests, localcloud). Errors: ERROR_CONFIGURATION.
bool keys_new(const char *url, unsigned cooldown_ms, struct keys **ret_keys, struct error *err);
// Before anything is asked: where a fetch looks whether it is to end early, as one that failed. Outlives the keys.
void keys_set_stop(struct keys *keys, const atomic_bool *stop);
void keys_free(struct keys *keys);
// Fetches now if nothing is cached; for start-up in parallel with the database. Failure is not final.
bool keys_warm(struct keys *keys, struct error *err);
struct token_keys keys_as_token_keys(struct keys *keys);
bool keys_ready(struct keys *keys); // something usable is cached
// Why the newest fetch failed, for /ready and the log; false when it did not fail.
bool keys_failure(struct keys *keys, struct error *ret_failure);
uint64_t keys_fetches(struct keys *keys); // requests made so far

// For tests: a clock in milliseconds that never goes back, in place of clock_ms(). Set it before anything else is called.
struct keys_clock {
    uint64_t (*now_ms)(void *context);
    void *context;
};
void keys_set_clock(struct keys *keys, struct keys_clock clock);
