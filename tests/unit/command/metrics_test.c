// Counters and their OpenMetrics text.
#include "command/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void says(struct metrics *metrics, const char *line) {
    struct text out cleanup_text = TEXT(65536);
    metrics_write(metrics, 3, &out);
    if (!strstr(text_string(&out), line))
        fail_msg("no '%s' in\n%s", line, text_string(&out));
}

static void outcomes_are_counted_by_name(void **state) {
    (void)state;
    struct metrics metrics = {0};
    metrics_done(&metrics, "applied", 4, 20);
    metrics_done(&metrics, "nothing_pending", 0, 1);
    metrics_done(&metrics, "nothing_pending", 0, 1);
    metrics_failed(&metrics, ERROR_TOKEN_EXPIRED);
    metrics_waited(&metrics);
    says(&metrics, "pawl_deliveries_total{outcome=\"applied\"} 1\n");
    says(&metrics, "pawl_deliveries_total{outcome=\"nothing_pending\"} 2\n");
    says(&metrics, "pawl_deliveries_total{outcome=\"TOKEN_EXPIRED\"} 1\n");
    says(&metrics, "pawl_migrations_applied_total 4\n");
    says(&metrics, "pawl_lock_waits_total 1\n");
    says(&metrics, "pawl_key_fetches_total 3\n");
}

static void durations_fall_into_buckets_that_add_up(void **state) {
    (void)state;
    struct metrics metrics = {0};
    metrics_done(&metrics, "applied", 1, 10);
    metrics_done(&metrics, "applied", 1, 11);
    metrics_done(&metrics, "applied", 1, 7200000);
    says(&metrics, "pawl_run_seconds_bucket{le=\"0.010\"} 1\n");
    says(&metrics, "pawl_run_seconds_bucket{le=\"0.050\"} 2\n");
    says(&metrics, "pawl_run_seconds_bucket{le=\"3600.000\"} 2\n");
    says(&metrics, "pawl_run_seconds_bucket{le=\"+Inf\"} 3\n");
    says(&metrics, "pawl_run_seconds_sum 7200.021\n");
}

static void a_plan_applies_nothing(void **state) {
    (void)state;
    struct metrics metrics = {0};
    metrics_done(&metrics, "planned", 5, 1);
    says(&metrics, "pawl_migrations_applied_total 0\n");
}

static void the_text_ends_as_the_format_demands(void **state) {
    (void)state;
    struct metrics metrics = {0};
    struct text out cleanup_text = TEXT(65536);
    metrics_write(&metrics, 0, &out);
    assert_string_equal(text_string(&out) + out.length - 6, "# EOF\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_are_counted_by_name),
        cmocka_unit_test(durations_fall_into_buckets_that_add_up),
        cmocka_unit_test(a_plan_applies_nothing),
        cmocka_unit_test(the_text_ends_as_the_format_demands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
