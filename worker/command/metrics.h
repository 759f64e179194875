// What `GET /metrics` tells: counters since the process started, in OpenMetrics text (OpenMetrics 1.0). Thread-safe; reading stops nobody.
#pragma once
#include "base/error.h"
#include "base/text.h"
#include <stdatomic.h>
#include <stdint.h>

enum { METRICS_BUCKETS = 10, METRICS_STATES = 6 };

struct metrics {
    atomic_uint_fast64_t
        states[METRICS_STATES];               // deliveries that ended well, by the report's state; the last is "other"
    atomic_uint_fast64_t errors[ERROR_COUNT]; // deliveries that ended with an error, refused tokens among them
    atomic_uint_fast64_t applied;             // migrations
    atomic_uint_fast64_t lock_waits;          // deliveries that found another run at work
    atomic_uint_fast64_t run_ms, runs[METRICS_BUCKETS + 1]; // durations; the last bucket has no upper bound
};

void metrics_done(struct metrics *metrics, const char *state, size_t applied, uint64_t ms);
void metrics_failed(struct metrics *metrics, enum error_code code);
void metrics_waited(struct metrics *metrics);
// `key_fetches`: requests to the issuer's key server so far (keys_fetches).
void metrics_write(struct metrics *metrics, uint64_t key_fetches, struct text *out);
