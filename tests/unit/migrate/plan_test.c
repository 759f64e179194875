#include "migrate/plan.h"

// cmocka.h needs these three before it.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

// A small language for both sides: "1 2 3" are files, "1 2* 3! r:view" a ledger where * is another checksum and ! is partial.
struct world {
    struct arena *arena;
    struct migration_set set;
    struct ledger ledger;
    struct plan plan;
    struct error err;
    bool out_of_order;
};

static size_t words(struct arena *arena, const char *text, char ***ret_words) {
    char *copy = arena_string(arena, text), *rest = NULL;
    char **list = arena_array(arena, strlen(text) + 1, sizeof(*list));
    size_t count = 0;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        list[count++] = word;
    *ret_words = list;
    return count;
}

static bool mark(char *word, char what) {
    char *at = strchr(word, what);
    if (at)
        *at = '\0';
    return at != NULL;
}

static struct migration migration_of(struct arena *arena, char *word) {
    const char *checksum = mark(word, '*') ? "other" : "same";
    bool repeatable = !strncmp(word, "r:", 2);
    const char *version = repeatable ? word + 2 : word;
    return (struct migration){.kind = repeatable ? MIGRATION_REPEATABLE : MIGRATION_VERSIONED,
                              .version = version,
                              .name = version,
                              .checksum = checksum,
                              .file = arena_printf(arena, repeatable ? "repeat_%s.sql" : "%s_x.sql", version)};
}

static bool plan(struct world *world, const char *files, const char *applied, const char *to) {
    struct arena *arena = world->arena;
    char **list = NULL;
    world->set.count = words(arena, files, &list);
    world->set.items = arena_array(arena, world->set.count + 1, sizeof(*world->set.items));
    for (size_t i = 0; i < world->set.count; i++)
        world->set.items[i] = migration_of(arena, list[i]);
    world->ledger.count = words(arena, applied, &list);
    world->ledger.rows = arena_array(arena, world->ledger.count + 1, sizeof(*world->ledger.rows));
    for (size_t i = 0; i < world->ledger.count; i++) {
        bool partial = mark(list[i], '!');
        struct migration migration = migration_of(arena, list[i]);
        world->ledger.rows[i] = (struct ledger_row){.kind = migration.kind,
                                                    .version = migration.version,
                                                    .name = migration.name,
                                                    .file = migration.file,
                                                    .checksum = migration.checksum,
                                                    .state = partial ? LEDGER_PARTIAL : LEDGER_APPLIED};
    }
    world->err = (struct error){0};
    struct plan_options options = {.to = to, .out_of_order = world->out_of_order};
    return plan_make(&world->set, &world->ledger, &options, arena, &world->plan, &world->err);
}

static const char *pending(struct world *world) {
    cleanup_text struct text text = TEXT(1000);
    for (size_t i = 0; i < world->plan.count; i++)
        text_printf(&text, "%s%s", i ? " " : "", world->plan.items[i].migration->version);
    return arena_string(world->arena, text_string(&text));
}

static int begin(void **state) {
    struct world *world = memory_alloc(sizeof(*world));
    world->arena = arena_new();
    *state = world;
    return 0;
}

static int end(void **state) {
    struct world *world = *state;
    arena_free(world->arena);
    memory_cleanup(state);
    return 0;
}

static void an_empty_database_gets_everything_in_order(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "1 2 10 r:views", "", NULL));
    assert_string_equal(pending(world), "1 2 10 views");
    assert_true(world->plan.complete);
    assert_null(world->plan.newest);
}

static void only_what_is_missing_in_the_ledger_is_pending(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "1 2 3 4", "2 1", NULL));
    assert_string_equal(pending(world), "3 4");
    assert_string_equal(world->plan.newest, "2");
    assert_int_equal(world->plan.applied, 2);
}

static void nothing_is_pending_when_all_is_applied(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "1 2 r:v", "1 2 r:v", NULL));
    assert_int_equal(world->plan.count, 0);
    assert_true(world->plan.complete);
    assert_false(world->plan.superseded);
}

static void a_late_version_is_pending_only_where_that_is_said(void **state) {
    struct world *world = *state;
    assert_false(plan(world, "1 2 3 4", "1 3", NULL));
    world->out_of_order = true;
    assert_true(plan(world, "1 2 3 4", "1 3", NULL));
    assert_string_equal(pending(world), "2 4");
    assert_true(plan(world, "1 2 3 4", "1 3", "3"));
    assert_string_equal(pending(world), "2");
    assert_true(plan(world, "1 2", "1 3", NULL)); // an older image whose files the ledger is ahead of
    assert_string_equal(pending(world), "2");
    assert_false(world->plan.complete);
    assert_false(plan(world, "2 3", "1 3", NULL)); // it excuses nothing else
    assert_int_equal(world->err.code, ERROR_MIGRATION_MISSING);
}

// As plan, down to `floor`; every file but `without` (NULL: none) has a down file.
static bool back(struct world *world, const char *files, const char *applied, const char *floor, const char *without) {
    (void)plan(world, files, applied, NULL);
    for (size_t i = 0; i < world->set.count; i++)
        if (!without || strcmp(world->set.items[i].version, without) != 0)
            world->set.items[i].down = "x.down.sql";
    world->err = (struct error){0};
    return plan_back(&world->set, &world->ledger, floor, world->arena, &world->plan, &world->err);
}

static void a_rollback_takes_the_newest_first_and_leaves_the_rest(void **state) {
    struct world *world = *state;
    assert_true(back(world, "1 2 10 11 r:v", "1 2 10 r:v", "1", NULL));
    assert_string_equal(pending(world), "10 2");
    assert_true(world->plan.back);
    assert_false(world->plan.complete);
    assert_string_equal(world->plan.newest, "1");
    assert_true(back(world, "1 2", "1 2", NULL, NULL));
    assert_string_equal(pending(world), "2 1");
    assert_null(world->plan.newest);
    assert_true(back(world, "1 2", "1 2", "0", NULL));
    assert_string_equal(pending(world), "2 1");
    assert_true(back(world, "0 1", "0 1", "0", NULL));
    assert_string_equal(pending(world), "1");
    assert_true(back(world, "1 2", "1", "1", NULL));
    assert_int_equal(world->plan.count, 0);
}

static void steps_are_counted_in_what_is_applied(void **state) {
    struct world *world = *state;
    (void)plan(world, "1 2 9 10 11", "10 2 1 9 r:v", NULL);
    assert_string_equal(plan_floor(&world->ledger, 0, world->arena), "10");
    assert_string_equal(plan_floor(&world->ledger, 1, world->arena), "9");
    assert_string_equal(plan_floor(&world->ledger, 3, world->arena), "1");
    assert_null(plan_floor(&world->ledger, 4, world->arena));
    assert_null(plan_floor(&world->ledger, 1000, world->arena));
}

static void what_has_no_way_back_is_refused_by_name(void **state) {
    struct world *world = *state;
    assert_false(back(world, "1 2 3", "1 2 3", "1", "2"));
    assert_int_equal(world->err.code, ERROR_ROLLBACK_IMPOSSIBLE);
    assert_string_equal(world->err.file, "2_x.sql");
    assert_true(back(world, "1 2 3", "1 2 3", "2", "2")); // it is not touched
    assert_false(back(world, "1 2", "1 2 3", "1", NULL));
    assert_int_equal(world->err.code, ERROR_ROLLBACK_IMPOSSIBLE);
    assert_false(back(world, "1 2", "1 2!", "1", NULL));
    assert_int_equal(world->err.code, ERROR_ROLLBACK_IMPOSSIBLE);
    assert_false(back(world, "1 2", "1 2*", "1", NULL));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CHANGED);
    assert_false(back(world, "1 3", "1 2 3", "1", NULL));
    assert_int_equal(world->err.code, ERROR_MIGRATION_MISSING);
    assert_false(back(world, "1 2", "1 2", "7", NULL));
    assert_int_equal(world->err.code, ERROR_VERSION_UNKNOWN);
}

static void versions_are_compared_as_numbers(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "9 10 99999999999999999999 100000000000000000000", "10 9", NULL));
    assert_string_equal(pending(world), "99999999999999999999 100000000000000000000");
}

static void a_changed_file_is_refused_by_name(void **state) {
    struct world *world = *state;
    assert_false(plan(world, "1 2", "1 2*", NULL));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CHANGED);
    assert_string_equal(world->err.file, "2_x.sql");
}

static void a_missing_file_below_a_newer_one_is_refused(void **state) {
    struct world *world = *state;
    assert_false(plan(world, "1 3", "1 2", NULL));
    assert_int_equal(world->err.code, ERROR_MIGRATION_MISSING);
    assert_string_equal(world->err.file, "2_x.sql");
}

static void a_late_lower_version_is_refused(void **state) {
    struct world *world = *state;
    assert_false(plan(world, "1 2 3", "1 3", NULL));
    assert_int_equal(world->err.code, ERROR_MIGRATION_OUT_OF_ORDER);
    assert_string_equal(world->err.file, "2_x.sql");
}

static void an_older_set_of_files_is_superseded_and_downgrades_nothing(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "1 2 r:v", "1 2 3 r:v*", NULL));
    assert_true(world->plan.superseded);
    assert_int_equal(world->plan.count, 0);
    assert_false(world->plan.complete);
    assert_true(plan(world, "", "1", NULL));
    assert_true(world->plan.superseded);
}

static void an_older_set_that_was_changed_is_still_refused(void **state) {
    struct world *world = *state;
    assert_false(plan(world, "1 2", "1 2* 3", NULL));
    assert_int_equal(world->err.code, ERROR_MIGRATION_CHANGED);
}

static void to_stops_after_that_version(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "1 2 3 r:v", "1", "002"));
    assert_string_equal(pending(world), "2");
    assert_false(world->plan.complete);
    assert_true(plan(world, "1 2 3 r:v", "1", "3"));
    assert_string_equal(pending(world), "2 3 v");
    assert_true(world->plan.complete);
}

static void to_an_unknown_version_is_refused(void **state) {
    struct world *world = *state;
    assert_false(plan(world, "1 2 r:7", "1", "7"));
    assert_int_equal(world->err.code, ERROR_VERSION_UNKNOWN);
}

static void to_an_applied_version_is_done_already(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "1 2 3", "1 2", "1"));
    assert_int_equal(world->plan.count, 0);
    assert_false(world->plan.complete);
}

static void a_repeatable_file_is_pending_again_when_it_changes(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "1 r:a r:b", "1 r:a* r:b", NULL));
    assert_string_equal(pending(world), "a");
    assert_non_null(world->plan.items[0].row);
}

static void a_repeatable_file_that_is_gone_stops_nobody(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "1 2", "1 r:a", NULL));
    assert_string_equal(pending(world), "2");
}

static void a_partial_migration_is_pending_with_its_row(void **state) {
    struct world *world = *state;
    assert_true(plan(world, "1 2 3", "1 2*!", NULL));
    assert_string_equal(pending(world), "2 3");
    assert_non_null(world->plan.items[0].row);
    assert_null(world->plan.items[1].row);
    assert_string_equal(world->plan.newest, "1");
}

static void a_partial_migration_whose_file_is_gone_is_refused_with_what_to_do(void **state) {
    struct world *world = *state;
    const char *ledgers[] = {"1 2! 3", "1 2 3!", "1 2 r:v!"};
    const char *files[] = {"1 3", "1 2", "1 2"}, *gone[] = {"2_x.sql", "3_x.sql", "repeat_v.sql"};
    for (size_t i = 0; i < 3; i++) {
        assert_false(plan(world, files[i], ledgers[i], NULL));
        assert_int_equal(world->err.code, ERROR_MIGRATION_MISSING);
        assert_string_equal(world->err.file, gone[i]);
        assert_non_null(strstr(world->err.hint, gone[i]));
        assert_false(plan(world, files[i], ledgers[i], "1"));
    }
}

static void status_names_the_state_of_every_file_and_row(void **state) {
    struct world *world = *state;
    plan(world, "1 2 3 5 6 r:n", "1 2* 4 5 r:cut! r:gone", NULL);
    struct plan_status *items = NULL;
    size_t count = 0;
    plan_compare(&world->set, &world->ledger, world->arena, &items, &count);
    const char *expected[] = {"applied", "changed", "out_of_order", "missing", "applied",
                              "pending", "partial", "applied",      "pending"};
    assert_int_equal(count, 9);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(items[i].state, expected[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_database_gets_everything_in_order, begin, end),
        cmocka_unit_test_setup_teardown(only_what_is_missing_in_the_ledger_is_pending, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_pending_when_all_is_applied, begin, end),
        cmocka_unit_test_setup_teardown(a_late_version_is_pending_only_where_that_is_said, begin, end),
        cmocka_unit_test_setup_teardown(a_rollback_takes_the_newest_first_and_leaves_the_rest, begin, end),
        cmocka_unit_test_setup_teardown(steps_are_counted_in_what_is_applied, begin, end),
        cmocka_unit_test_setup_teardown(what_has_no_way_back_is_refused_by_name, begin, end),
        cmocka_unit_test_setup_teardown(versions_are_compared_as_numbers, begin, end),
        cmocka_unit_test_setup_teardown(a_changed_file_is_refused_by_name, begin, end),
        cmocka_unit_test_setup_teardown(a_missing_file_below_a_newer_one_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_late_lower_version_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(an_older_set_of_files_is_superseded_and_downgrades_nothing, begin, end),
        cmocka_unit_test_setup_teardown(an_older_set_that_was_changed_is_still_refused, begin, end),
        cmocka_unit_test_setup_teardown(to_stops_after_that_version, begin, end),
        cmocka_unit_test_setup_teardown(to_an_unknown_version_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(to_an_applied_version_is_done_already, begin, end),
        cmocka_unit_test_setup_teardown(a_repeatable_file_is_pending_again_when_it_changes, begin, end),
        cmocka_unit_test_setup_teardown(a_repeatable_file_that_is_gone_stops_nobody, begin, end),
        cmocka_unit_test_setup_teardown(a_partial_migration_is_pending_with_its_row, begin, end),
        cmocka_unit_test_setup_teardown(a_partial_migration_whose_file_is_gone_is_refused_with_what_to_do, begin, end),
        cmocka_unit_test_setup_teardown(status_names_the_state_of_every_file_and_row, begin, end),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
