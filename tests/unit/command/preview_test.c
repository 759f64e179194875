// Planned migrations as JSON and text: the numbers. What the whole looks like is held by tests/e2e/plan.t.
#include "command/preview.h"

#include "migrate/forecast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void sizes_are_written_for_people(void **state) {
    (void)state;
    assert_string_equal(preview_bytes(0).text, "0 bytes");
    assert_string_equal(preview_bytes(1023).text, "1023 bytes");
    assert_string_equal(preview_bytes(1024).text, "1.0 kB");
    assert_string_equal(preview_bytes(8192).text, "8.0 kB");
    assert_string_equal(preview_bytes(122880).text, "120 kB");
    assert_string_equal(preview_bytes((int64_t)3 << 29).text, "1.5 GB");
    assert_string_equal(preview_bytes((int64_t)1 << 50).text, "1.0 PB");
    assert_non_null(strstr(preview_bytes(INT64_MAX).text, " PB"));
}

static void counts_are_written_in_groups_of_three(void **state) {
    (void)state;
    assert_string_equal(preview_count(0).text, "0");
    assert_string_equal(preview_count(999).text, "999");
    assert_string_equal(preview_count(1000).text, "1,000");
    assert_string_equal(preview_count(12345678).text, "12,345,678");
    assert_string_equal(preview_count(INT64_MAX).text, "9,223,372,036,854,775,807");
}

static void expect(const struct forecast *forecast, const char *json) {
    cleanup_text struct text out = TEXT(1 << 16);
    struct json_writer writer = JSON_WRITER(&out);
    json_begin_object(&writer, NULL);
    preview_json(forecast, &writer);
    json_end_object(&writer);
    assert_string_equal(text_string(&out), json);
}

static void nothing_to_run_is_an_empty_list(void **state) {
    (void)state;
    expect(&(struct forecast){0}, "{\"plan\":[]}");
}

static void what_is_left_out_is_counted(void **state) {
    (void)state;
    expect(&(struct forecast){.total = 3, .effects_left_out = 2, .hazards_left_out = 1},
           "{\"plan\":[],\"left_out\":{\"statements\":3,\"effects\":2,\"hazards\":1}}");
}

static void what_is_not_known_is_null(void **state) {
    (void)state;
    struct forecast_relation relation = {.name = "\"a\"", .bytes = -1, .rows = -1};
    struct forecast_effect effects[] = {
        {.kind = ACTION_CREATE_INDEX, .mode = MODE_SHARE, .work = WORK_BUILD, .relation = &relation},
        {.kind = ACTION_CREATE_ENUM}};
    struct forecast_statement statement = {.line = 4, .alone = true, .effects = effects, .effect_count = 2};
    expect(&(struct forecast){.statements = &statement, .count = 1, .total = 1},
           "{\"plan\":[{\"line\":4,\"tag\":null,\"transaction\":false,\"batch\":null,\"effects\":["
           "{\"does\":\"builds an "
           "index\",\"relation\":\"\\\"a\\\"\",\"lock\":\"SHARE\",\"blocks\":\"writes\",\"work\":\"index build\","
           "\"exists\":null,\"bytes\":null,\"rows\":null},"
           "{\"does\":\"creates an enum\",\"relation\":null,\"lock\":null,\"blocks\":null,\"work\":null,"
           "\"exists\":null,\"bytes\":null,\"rows\":null}],\"hazards\":[]}]}");
}

static void a_batch_is_told_with_its_members(void **state) {
    (void)state;
    const struct batch batches[] = {{.pause_ms = 100, .max_lag_ms = 10000}, {0}};
    const struct forecast_statement statements[] = {{.line = 1, .tag = "UPDATE", .batch = &batches[0]},
                                                    {.line = 2, .tag = "DELETE", .batch = &batches[1]}};
    expect(&(struct forecast){.statements = (struct forecast_statement *)statements, .count = 2, .total = 2},
           "{\"plan\":[{\"line\":1,\"tag\":\"UPDATE\",\"transaction\":true,\"batch\":{\"pause_ms\":100,\"max_lag_ms\":"
           "10000},"
           "\"effects\":[],\"hazards\":[]},"
           "{\"line\":2,\"tag\":\"DELETE\",\"transaction\":true,\"batch\":{\"pause_ms\":null,\"max_lag_ms\":null},"
           "\"effects\":[],\"hazards\":[]}]}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_written_for_people),    cmocka_unit_test(counts_are_written_in_groups_of_three),
        cmocka_unit_test(nothing_to_run_is_an_empty_list), cmocka_unit_test(what_is_left_out_is_counted),
        cmocka_unit_test(what_is_not_known_is_null),       cmocka_unit_test(a_batch_is_told_with_its_members),
    };
    return cmocka_run_group_tests_name("preview", tests, NULL, NULL);
}
