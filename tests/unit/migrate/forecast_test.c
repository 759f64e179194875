#include "migrate/forecast.h"

// cmocka.h needs these three before it.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

struct world {
    struct arena *arena;
    struct forecaster forecaster;
    struct forecast forecast;
};

static int begin(void **state) {
    struct world *world = memory_alloc(sizeof(*world));
    world->arena = arena_new();
    world->forecaster.arena = world->arena;
    *state = world;
    return 0;
}

static int end(void **state) {
    struct world *world = *state;
    arena_free(world->arena);
    memory_cleanup(state);
    return 0;
}

// The forecast of one file of which the first `done` statements are in effect already.
static void foresee(struct world *world, const char *sql, size_t done) {
    struct item item = {.done = done};
    struct error err = {0};
    if (!script_parse("1_a.sql", view_of(sql), world->arena, &item.script, &err))
        fail_msg("%s", err.message);
    item.statements = arena_array(world->arena, item.script.count + 1, sizeof(*item.statements));
    for (size_t i = 0; i < item.script.count; i++)
        if (item.script.items[i].step > 0)
            item.statements[item.count++] = &item.script.items[i];
    forecast_item(&world->forecaster, &item, &world->forecast);
}

static void every_relation_is_there(struct world *world, enum forecast_presence presence) {
    for (size_t i = 0; i < world->forecaster.relation_count; i++)
        world->forecaster.relations[i]->presence = presence;
    forecast_settle(&world->forecaster, &world->forecast);
}

static void a_statement_is_told_with_its_place_and_effects(void **state) {
    struct world *world = *state;
    foresee(world, "SELECT 1;\n\nALTER TABLE s.t ADD COLUMN a int, ALTER COLUMN b TYPE bigint;", 0);
    assert_int_equal(world->forecast.total, 2);
    assert_int_equal(world->forecast.count, 2);
    const struct forecast_statement *alter = &world->forecast.statements[1];
    assert_int_equal(alter->line, 3);
    assert_string_equal(alter->tag, "ALTER TABLE");
    assert_false(alter->alone);
    assert_int_equal(alter->effect_count, 2);
    assert_int_equal(alter->effects[1].kind, ACTION_CHANGE_TYPE);
    assert_int_equal(alter->effects[1].mode, MODE_ACCESS_EXCLUSIVE);
    assert_int_equal(alter->effects[1].work, WORK_REWRITE);
    assert_string_equal(alter->effects[1].relation->name, "s.t");
    assert_ptr_equal(alter->effects[0].relation, alter->effects[1].relation); // asked about once
    assert_int_equal(alter->effects[0].relation->presence, FORECAST_UNKNOWN);
    assert_int_equal(alter->effects[0].relation->bytes, -1);
}

static void the_columns_of_a_new_table_are_not_told_one_by_one(void **state) {
    struct world *world = *state;
    foresee(world, "CREATE TABLE t (a int, b int, c int REFERENCES other);", 0);
    const struct forecast_statement *create = &world->forecast.statements[0];
    assert_int_equal(create->effect_count, 2);
    assert_int_equal(create->effects[0].kind, ACTION_CREATE_TABLE);
    assert_int_equal(create->effects[1].kind, ACTION_BE_REFERENCED);
}

static void what_is_done_already_is_not_told(void **state) {
    struct world *world = *state;
    foresee(world, "CREATE INDEX CONCURRENTLY a ON t (a);\nCREATE INDEX CONCURRENTLY b ON t (b);", 1);
    assert_int_equal(world->forecast.total, 1);
    assert_true(world->forecast.resumed);
    assert_int_equal(world->forecast.statements[0].line, 2);
    assert_true(world->forecast.statements[0].alone);
}

static void transaction_control_is_no_statement_of_its_own(void **state) {
    struct world *world = *state;
    foresee(world, "BEGIN;\nDROP TABLE t;\nCOMMIT;", 0);
    assert_int_equal(world->forecast.total, 1);
    assert_int_equal(world->forecast.statements[0].line, 2);
}

static void hazards_are_told_of_what_is_there(void **state) {
    struct world *world = *state;
    foresee(world, "CREATE INDEX i ON t (a);", 0);
    every_relation_is_there(world, FORECAST_PRESENT);
    assert_int_equal(world->forecast.statements[0].hazard_count, 1);
    assert_int_equal(world->forecast.statements[0].hazards[0].hazard, HAZARD_INDEX_BLOCKS_WRITES);
    assert_string_equal(world->forecast.statements[0].hazards[0].subject, "t");
}

static void hazards_are_not_told_of_what_is_absent(void **state) {
    struct world *world = *state;
    foresee(world, "CREATE INDEX i ON t (a);\nALTER TABLE t ADD COLUMN b json;", 0);
    every_relation_is_there(world, FORECAST_ABSENT);
    assert_int_equal(world->forecast.statements[0].hazard_count, 0);
    assert_int_equal(world->forecast.statements[1].hazard_count, 0); // "t.b"
}

static void hazards_are_told_when_the_target_could_not_be_asked(void **state) {
    struct world *world = *state;
    foresee(world, "CREATE INDEX i ON t (a);", 0);
    every_relation_is_there(world, FORECAST_UNKNOWN);
    assert_int_equal(world->forecast.statements[0].hazard_count, 1);
}

static void what_somebody_allowed_is_not_told(void **state) {
    struct world *world = *state;
    foresee(world, "-- pawl: allow index-blocks-writes it is small\nCREATE INDEX i ON t (a);", 0);
    assert_int_equal(world->forecast.statements[0].hazard_count, 0);
}

static void a_long_file_is_told_in_part(void **state) {
    struct world *world = *state;
    cleanup_text struct text sql = TEXT(1 << 16);
    for (int i = 0; i < FORECAST_FILE_MAX + 7; i++)
        text_append(&sql, "DROP TABLE t;\n");
    foresee(world, text_string(&sql), 0);
    assert_int_equal(world->forecast.total, FORECAST_FILE_MAX + 7);
    assert_int_equal(world->forecast.count, FORECAST_FILE_MAX);
}

static void many_files_are_told_in_part(void **state) {
    struct world *world = *state;
    world->forecaster.statements = FORECAST_STATEMENTS_MAX - 1;
    foresee(world, "SELECT 1; SELECT 2;", 0);
    assert_int_equal(world->forecast.count, 1);
    foresee(world, "SELECT 3;", 0);
    assert_int_equal(world->forecast.count, 0);
    assert_int_equal(world->forecast.total, 1);
}

static void effects_and_hazards_are_counted_where_there_are_too_many(void **state) {
    struct world *world = *state;
    world->forecaster.effects = FORECAST_EFFECTS_MAX - 1;
    world->forecaster.hazards = FORECAST_HAZARDS_MAX;
    foresee(world, "ALTER TABLE t ALTER COLUMN a TYPE bigint, ADD COLUMN b text, ADD COLUMN c text;", 0);
    assert_int_equal(world->forecast.statements[0].effect_count, 1);
    assert_int_equal(world->forecast.effects_left_out, 2);
    assert_int_equal(world->forecast.statements[0].hazard_count, 0);
    assert_int_equal(world->forecast.hazards_left_out, 1);
}

static void what_cannot_be_analysed_is_told_as_such(void **state) {
    struct world *world = *state;
    foresee(world, "CREATE NONSENSE x;", 0);
    assert_null(world->forecast.statements[0].tag);
    assert_int_equal(world->forecast.statements[0].effect_count, 0);
    assert_int_equal(world->forecast.statements[0].hazards[0].hazard, HAZARD_NOT_ANALYSED);
}

static void an_empty_file_has_nothing_to_tell(void **state) {
    struct world *world = *state;
    foresee(world, "-- nothing\n", 0);
    assert_int_equal(world->forecast.total, 0);
}

#define PROMISE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        PROMISE(a_statement_is_told_with_its_place_and_effects),
        PROMISE(the_columns_of_a_new_table_are_not_told_one_by_one),
        PROMISE(what_is_done_already_is_not_told),
        PROMISE(transaction_control_is_no_statement_of_its_own),
        PROMISE(hazards_are_told_of_what_is_there),
        PROMISE(hazards_are_not_told_of_what_is_absent),
        PROMISE(hazards_are_told_when_the_target_could_not_be_asked),
        PROMISE(what_somebody_allowed_is_not_told),
        PROMISE(a_long_file_is_told_in_part),
        PROMISE(many_files_are_told_in_part),
        PROMISE(effects_and_hazards_are_counted_where_there_are_too_many),
        PROMISE(what_cannot_be_analysed_is_told_as_such),
        PROMISE(an_empty_file_has_nothing_to_tell),
    };
    return cmocka_run_group_tests_name("forecast", tests, NULL, NULL);
}
