// Counters and their OpenMetrics text. See metrics.h.
#include "command/metrics.h"
#include <string.h>

static const char *const state_names[METRICS_STATES] = {"applied", "nothing_pending", "superseded",
                                                        "planned", "rolled_back",     "other"};
static const uint64_t bucket_ms[METRICS_BUCKETS] = {10, 50, 100, 500, 1000, 5000, 30000, 120000, 600000, 3600000};

static unsigned long long read_counter(atomic_uint_fast64_t *counter) {
    return (unsigned long long)atomic_load_explicit(counter, memory_order_relaxed);
}

static void add(atomic_uint_fast64_t *counter, uint64_t amount) {
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

void metrics_done(struct metrics *metrics, const char *state, size_t applied, uint64_t ms) {
    size_t index = 0, bucket = 0;
    while (index < METRICS_STATES - 1 && strcmp(state_names[index], state) != 0)
        index++;
    while (bucket < METRICS_BUCKETS && ms > bucket_ms[bucket])
        bucket++;
    add(&metrics->states[index], 1);
    add(&metrics->runs[bucket], 1);
    add(&metrics->run_ms, ms);
    if (index == 0)
        add(&metrics->applied, applied);
}

void metrics_failed(struct metrics *metrics, enum error_code code) {
    add(&metrics->errors[code], 1);
}

void metrics_waited(struct metrics *metrics) {
    add(&metrics->lock_waits, 1);
}

static void family(struct text *out, const char *name, const char *type, const char *help) {
    text_printf(out, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void write_durations(struct metrics *metrics, struct text *out) {
    family(out, "pawl_run_seconds", "histogram", "How long runs took that ended well.");
    unsigned long long count = 0;
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        count += read_counter(&metrics->runs[i]);
        text_printf(out, "pawl_run_seconds_bucket{le=\"%llu.%03llu\"} %llu\n", (unsigned long long)bucket_ms[i] / 1000,
                    (unsigned long long)bucket_ms[i] % 1000, count);
    }
    count += read_counter(&metrics->runs[METRICS_BUCKETS]);
    unsigned long long sum = read_counter(&metrics->run_ms);
    text_printf(out, "pawl_run_seconds_bucket{le=\"+Inf\"} %llu\npawl_run_seconds_count %llu\n", count, count);
    text_printf(out, "pawl_run_seconds_sum %llu.%03llu\n", sum / 1000, sum % 1000);
}

void metrics_write(struct metrics *metrics, uint64_t key_fetches, struct text *out) {
    family(out, "pawl_deliveries", "counter", "Deliveries by outcome: the report's state, or the error's code.");
    for (size_t i = 0; i < METRICS_STATES - 1; i++)
        text_printf(out, "pawl_deliveries_total{outcome=\"%s\"} %llu\n", state_names[i],
                    read_counter(&metrics->states[i]));
    for (enum error_code code = ERROR_NONE + 1; code < ERROR_COUNT; code++) {
        unsigned long long count = read_counter(&metrics->errors[code]);
        if (count)
            text_printf(out, "pawl_deliveries_total{outcome=\"%s\"} %llu\n", error_name(code), count);
    }
    family(out, "pawl_migrations_applied", "counter", "Migrations applied by this process.");
    text_printf(out, "pawl_migrations_applied_total %llu\n", read_counter(&metrics->applied));
    family(out, "pawl_lock_waits", "counter", "Deliveries that found another run at work and waited.");
    text_printf(out, "pawl_lock_waits_total %llu\n", read_counter(&metrics->lock_waits));
    family(out, "pawl_key_fetches", "counter", "Requests to the issuer's key server.");
    text_printf(out, "pawl_key_fetches_total %llu\n", (unsigned long long)key_fetches);
    write_durations(metrics, out);
    text_append(out, "# EOF\n");
}
