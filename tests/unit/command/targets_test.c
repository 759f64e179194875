// What a targets file may say and what it may not; which target a message means, and which it may not touch.
#include "command/targets.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DEV "projects/shop/subscriptions/dev"
#define PROD "projects/shop/subscriptions/prod"
#define ANYBODY "push@shop.iam.gserviceaccount.com"
#define DEV_PUSH "push@shop-dev.iam.gserviceaccount.com"
#define OPS "projects/shop/subscriptions/ops"
#define TARGET(more) "{\"targets\":[{\"name\":\"a\",\"database\":\"host=h password=S3CR3T\"" more "}]}"

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_new();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static bool read(const char *json, struct targets *ret_targets, struct error *err) {
    const struct target defaults = {
        .name = "default", .migrations = "migrations", .schema = "pawl", .lock_wait_ms = 8000, .lock_timeout_ms = 200};
    return targets_read(view_of(json), &defaults, arena, ret_targets, err);
}

static struct targets must_read(const char *json) {
    struct targets targets = {0};
    struct error err = {0};
    if (!read(json, &targets, &err))
        fail_msg("%s: %s", json, err.message);
    return targets;
}

static void must_refuse(const char *json, const char *message) {
    struct targets targets = {.count = 77};
    struct error err = {0};
    if (read(json, &targets, &err))
        fail_msg("%s was taken", json);
    assert_int_equal(targets.count, 77);
    assert_int_equal(err.code, ERROR_CONFIGURATION);
    if (!strstr(err.message, message) || strstr(err.message, "S3CR3T"))
        fail_msg("%s: \"%s\" does not say \"%s\", or says too much", json, err.message, message);
}

// ---- the file ----------------------------------------------------------------------------------------------------------

static void a_target_has_what_it_says(void **state) {
    (void)state;
    struct targets targets = must_read(
        "{\"targets\":[{\"name\":\"orders-db_2\",\"database\":\"secret:projects/p/secrets/s/versions/1\","
        "\"database_iam\":true,\"out_of_order\":true,\"rollback\":true,\"migrations\":\"/m\",\"subscriptions\":[\"" DEV
        "\",\"" OPS "\"],"
        "\"schema\":\"ledger_two\",\"role\":\"Shop's \\\"owner\\\" \\\\ caf\\u00e9\","
        "\"lock_wait\":\"570s\",\"lock_timeout\":\"1s\"}]}");
    assert_int_equal(targets.count, 1);
    const struct target *target = &targets.items[0];
    assert_string_equal(target->name, "orders-db_2");
    assert_string_equal(target->database, "secret:projects/p/secrets/s/versions/1");
    assert_true(target->database_iam);
    assert_true(target->out_of_order);
    assert_true(target->rollback);
    assert_string_equal(target->migrations, "/m");
    assert_string_equal(target->schema, "ledger_two");
    assert_string_equal(target->role, "Shop's \"owner\" \\ caf\xc3\xa9");
    assert_string_equal(target->subscriptions[0], DEV);
    assert_string_equal(target->subscriptions[1], OPS);
    assert_null(target->subscriptions[2]);
    assert_int_equal(target->lock_wait_ms, 570000);
    assert_int_equal(target->lock_timeout_ms, 1000);
}

static void what_a_target_does_not_say_is_the_options_business(void **state) {
    (void)state;
    struct targets targets = must_read(TARGET(""));
    const struct target *target = &targets.items[0];
    assert_string_equal(target->name, "a");
    assert_string_equal(target->migrations, "migrations");
    assert_string_equal(target->schema, "pawl");
    assert_null(target->role);
    assert_false(target->database_iam);
    assert_false(target->out_of_order);
    assert_false(target->rollback);
    assert_null(target->subscriptions);
    assert_int_equal(target->lock_wait_ms, 8000);
    assert_int_equal(target->lock_timeout_ms, 200);
}

static void what_is_no_list_of_targets_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "JSON"},
        {"[]", "with a list of targets"},
        {"{}", "with a list of targets"},
        {"{\"targets\":{}}", "with a list of targets"},
        {"{\"targets\":null}", "with a list of targets"},
        {"{\"targets\":[]}", "there are no targets"},
        {"{\"targets\":[1]}", "target number 1: must be an object"},
        {"{\"targets\":[{\"name\":\"a\",\"database\":\"d\"}],\"Targets\":[]}", "'Targets' beside targets"},
        {"{\"targets\":[{\"name\":\"a\",\"database\":\"d\"}],\"version\":1}", "'version' beside targets"},
        {"{\"targets\":[],\"targets\":[]}", "two members of one name"},
        {TARGET("") "x", "JSON"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        must_refuse(cases[i].json, cases[i].message);
}

static void a_member_that_is_wrong_is_named(void **state) {
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {TARGET(",\"lock_timout\":\"1s\""), "a member 'lock_timout', which is none"},
        {TARGET(",\"Database\":\"x\""), "a member 'Database', which is none"},
        {TARGET(",\"database\":\"x\""), "two members of one name"},
        {TARGET(",\"database_iam\":\"true\""), "target 'a': database_iam: must be true or false"},
        {TARGET(",\"database_iam\":null"), "database_iam: must be true or false"},
        {TARGET(",\"out_of_order\":1"), "out_of_order: must be true or false"},
        {TARGET(",\"rollback\":\"true\""), "rollback: must be true or false"},
        {TARGET(",\"migrations\":\"\""), "migrations: must be a folder"},
        {TARGET(",\"migrations\":[\"m\"]"), "migrations: must be a folder"},
        {TARGET(",\"schema\":\"\""), "schema: must be 1 to 63 of a-z"},
        {TARGET(",\"schema\":\"Ledger\""), "schema: must be 1 to 63 of a-z"},
        {TARGET(",\"schema\":\"pg_ledger\""), "schema: must not begin with pg_"},
        {TARGET(",\"schema\":\"public\""), "schema: must not be public"},
        {TARGET(",\"schema\":null"), "schema: must be a text"},
        {TARGET(",\"schema\":\"a\",\"schema\":\"b\""), "two members of one name"},
        {TARGET(",\"Schema\":\"a\""), "a member 'Schema', which is none"},
        {TARGET(",\"role\":\"\""), "role: must be the name of a role"},
        {TARGET(",\"role\":\"a\\nb\""), "role: must be the name of a role"},
        {TARGET(",\"role\":\"none\""), "role: must not be none"},
        {TARGET(",\"role\":7"), "role: must be a text"},
        {TARGET(",\"role\":\"a\",\"role\":\"a\""), "two members of one name"},
        {TARGET(",\"lock_wait\":30"), "lock_wait: must be a time"},
        {TARGET(",\"lock_wait\":\"3601s\""), "lock_wait: must be a time"},
        {TARGET(",\"lock_wait\":\"soon\""), "lock_wait: must be a time"},
        {TARGET(",\"lock_timeout\":\"0s\""), "lock_timeout: must be a time"},
        {TARGET(",\"lock_timeout\":\"61min\""), "lock_timeout: must be a time"},
        {"{\"targets\":[{\"database\":\"S3CR3T\"}]}", "target number 1: has no name"},
        {"{\"targets\":[{\"name\":\"a\"}]}", "target 'a': has no database"},
        {"{\"targets\":[{\"name\":\"a\",\"database\":\"\"}]}", "database: must be a connection string"},
        {"{\"targets\":[{\"name\":\"a\",\"database\":{\"S3CR3T\":1}}]}", "database: must be a connection string"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        must_refuse(cases[i].json, cases[i].message);
}

static void a_name_is_one_that_a_message_can_say(void **state) {
    (void)state;
    static const char *const names[] = {"",
                                        "Production",
                                        "a b",
                                        "a.b",
                                        "a/b",
                                        "\\u00e4",
                                        "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg"};
    for (size_t i = 0; i < COUNT(names); i++)
        must_refuse(arena_printf(arena, "{\"targets\":[{\"name\":\"%s\",\"database\":\"d\"}]}", names[i]),
                    "name: must be 1 to 63");
    must_refuse("{\"targets\":[{\"name\":7,\"database\":\"d\"}]}", "name: must be 1 to 63");
}

static void a_subscription_has_its_full_name(void **state) {
    (void)state;
    static const struct {
        const char *list, *message;
    } cases[] = {
        {"\"" DEV "\"", "must be a list of subscriptions"},
        {"{}", "must be a list of subscriptions"},
        {"[7]", "must be a list of subscriptions"},
        {"[]", "must be left out, or name one at least"},
        {"[\"dev\"]", "dev"},
        {"[\"projects/p/topics/t\"]", "projects/p/topics/t"},
        {"[\"projects/p/subscriptions/\"]", "projects/p/subscriptions/"},
        {"[\"" DEV "\",\"" DEV "\"]", DEV " twice"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        must_refuse(arena_printf(arena, "{\"targets\":[{\"name\":\"a\",\"database\":\"d\",\"subscriptions\":%s}]}",
                                 cases[i].list),
                    cases[i].message);
}

static void two_targets_differ_in_name_and_database(void **state) {
    (void)state;
    must_refuse("{\"targets\":[{\"name\":\"a\",\"database\":\"1\"},{\"name\":\"a\",\"database\":\"2\"}]}",
                "another target 'a'");
    must_refuse("{\"targets\":[{\"name\":\"a\",\"database\":\"1\"},{\"name\":\"b\",\"database\":\"1\"}]}",
                "target 'b': it has the same database and schema as 'a'");
}

static void two_targets_of_one_database_differ_in_the_schema(void **state) {
    (void)state;
#define TWO(first, second)                                                                                             \
    "{\"targets\":[{\"name\":\"a\",\"database\":\"1\"" first "},{\"name\":\"b\",\"database\":\"1\"" second "}]}"
    assert_int_equal(must_read(TWO("", ",\"schema\":\"other\"")).count, 2);
    assert_int_equal(must_read(TWO(",\"schema\":\"x\"", ",\"schema\":\"y\"")).count, 2);
    must_refuse(TWO(",\"schema\":\"pawl\"", ""), "target 'b': it has the same database and schema as 'a'");
    must_refuse(TWO(",\"schema\":\"x\",\"role\":\"r\"", ",\"schema\":\"x\",\"role\":\"s\""),
                "target 'b': it has the same database and schema as 'a'");
}

static void targets_are_counted(void **state) {
    (void)state;
    cleanup_text struct text many = TEXT(4096);
    text_append(&many, "{\"targets\":[");
    for (int i = 0; i < TARGETS_MAX; i++)
        text_printf(&many, "%s{\"name\":\"t%d\",\"database\":\"d%d\"}", i ? "," : "", i, i);
    assert_int_equal(must_read(arena_printf(arena, "%s]}", text_string(&many))).count, TARGETS_MAX);
    must_refuse(arena_printf(arena, "%s,{\"name\":\"x\",\"database\":\"x\"}]}", text_string(&many)), "more than 16");
}

static void a_connection_string_is_forgotten(void **state) {
    (void)state;
    struct targets targets = must_read(TARGET(""));
    targets_forget(&targets);
    assert_string_equal(targets.items[0].database, "");
}

// ---- choosing ----------------------------------------------------------------------------------------------------------

static const char *const dev_list[] = {DEV, OPS, NULL}, *const prod_list[] = {PROD, OPS, NULL};
static struct target both_items[] = {{.name = "development", .subscriptions = dev_list},
                                     {.name = "production", .subscriptions = prod_list}};
static struct target half_items[] = {{.name = "development", .subscriptions = dev_list}, {.name = "production"}};
static struct target free_items[] = {{.name = "development"}, {.name = "production"}};
static const struct targets both = {both_items, 2}, half = {half_items, 2}, unbound = {free_items, 2},
                            one = {free_items, 1}, one_bound = {both_items, 1};

static void must_choose(const struct targets *targets, const char *wanted, const char *subscription, const char *name) {
    const struct target *target = NULL;
    struct error err = {0};
    if (!targets_choose(targets, &(struct target_question){wanted, subscription, ANYBODY}, &target, &err))
        fail_msg("%s", err.message);
    assert_string_equal(target->name, name);
}

static void must_not_choose(const struct targets *targets, const char *wanted, const char *subscription,
                            enum error_code code, const char *message) {
    const struct target *target = NULL;
    struct error err = {0};
    if (targets_choose(targets, &(struct target_question){wanted, subscription, ANYBODY}, &target, &err))
        fail_msg("%s reached %s", subscription, target->name);
    assert_null(target);
    if (err.code != code || !strstr(err.message, message))
        fail_msg("%s \"%s\" does not say \"%s\"", error_name(err.code), err.message, message);
}

static void a_message_that_names_its_target_reaches_it(void **state) {
    (void)state;
    must_choose(&one, "development", DEV, "development");
    must_choose(&unbound, "production", DEV, "production");
    must_choose(&both, "production", PROD, "production");
    must_choose(&both, "production", OPS, "production");
    must_choose(&half, "production", PROD, "production");
}

static void a_name_may_be_left_out_where_one_target_can_be_meant(void **state) {
    (void)state;
    must_choose(&one, NULL, DEV, "development");
    must_choose(&one_bound, NULL, DEV, "development");
    must_choose(&both, NULL, DEV, "development");
    must_choose(&both, NULL, PROD, "production");
    must_choose(&half, NULL, DEV, "development");
}

static void a_message_that_may_mean_several_is_refused(void **state) {
    (void)state;
    must_not_choose(&unbound, NULL, DEV, ERROR_TARGET_UNKNOWN, "names no target, and there are 2");
    must_not_choose(&both, NULL, OPS, ERROR_TARGET_UNKNOWN, "names no target, and there are 2");
    must_not_choose(&both, NULL, "projects/x/subscriptions/x", ERROR_TARGET_UNKNOWN, "names no target");
    must_not_choose(&half, NULL, PROD, ERROR_TARGET_UNKNOWN, "names no target");
}

static void a_target_that_is_not_there_is_refused(void **state) {
    (void)state;
    must_not_choose(&one, "staging", DEV, ERROR_TARGET_UNKNOWN, "'staging' here, only 'development'");
    must_not_choose(&both, "staging", DEV, ERROR_TARGET_UNKNOWN, "'staging'");
    must_not_choose(&both, "Production", PROD, ERROR_TARGET_UNKNOWN, "'Production'");
    must_not_choose(&both, "", PROD, ERROR_TARGET_UNKNOWN, "''");
}

static void development_does_not_touch_production(void **state) {
    (void)state;
    must_not_choose(&both, "production", DEV, ERROR_TARGET_FORBIDDEN, DEV " may not address the target 'production'");
    must_not_choose(&both, "development", PROD, ERROR_TARGET_FORBIDDEN, "'development'");
    must_not_choose(&both, "production", "projects/x/subscriptions/dev", ERROR_TARGET_FORBIDDEN, "'production'");
    must_not_choose(&both, "production", PROD "2", ERROR_TARGET_FORBIDDEN, "'production'");
    must_not_choose(&both, "production", "", ERROR_TARGET_FORBIDDEN, "'production'");
    must_not_choose(&one_bound, NULL, PROD, ERROR_TARGET_FORBIDDEN, "'development'");
}

static void not_even_where_production_forgot_its_list(void **state) {
    (void)state;
    must_not_choose(&half, "production", DEV, ERROR_TARGET_FORBIDDEN, DEV " may not address the target 'production'");
}

// The body says which subscription pushes; who pushes is in the token.
static void a_caller_of_development_reaches_production_by_no_name_of_a_subscription(void **state) {
    (void)state;
    static const char *const dev_callers[] = {DEV_PUSH, NULL}, *const prod_callers[] = {ANYBODY, NULL};
    struct target items[] = {{.name = "development", .subscriptions = dev_list, .callers = dev_callers},
                             {.name = "production", .subscriptions = prod_list, .callers = prod_callers}};
    struct target forgot[] = {items[0], {.name = "production", .subscriptions = prod_list}};
    const struct targets bound = {items, 2}, half_bound = {forgot, 2};
    const struct target_question fine[] = {{"production", PROD, ANYBODY}, {NULL, PROD, ANYBODY}, {NULL, DEV, DEV_PUSH}};
    const struct target_question forged[] = {{"production", PROD, DEV_PUSH},
                                             {"production", OPS, DEV_PUSH},
                                             {NULL, PROD, DEV_PUSH},
                                             {NULL, DEV, ANYBODY},
                                             {"production", PROD, "Push@shop.iam.gserviceaccount.com"}};
    for (size_t i = 0; i < COUNT(fine); i++) {
        const struct target *target = NULL;
        struct error err = {0};
        if (!targets_choose(&bound, &fine[i], &target, &err))
            fail_msg("%zu: %s", i, err.message);
        assert_string_equal(target->name, i < 2 ? "production" : "development");
    }
    for (size_t i = 0; i < COUNT(forged); i++) {
        const struct target *target = NULL;
        struct error err = {0};
        assert_false(targets_choose(&bound, &forged[i], &target, &err));
        assert_int_equal(err.code, ERROR_TARGET_FORBIDDEN);
        assert_non_null(strstr(err.message, " may not push to the target "));
        assert_null(target);
    }
    const struct target *target = NULL;
    struct error err = {0};
    assert_false(targets_choose(&half_bound, &forged[0], &target, &err)); // where production forgot its list
    assert_int_equal(err.code, ERROR_TARGET_FORBIDDEN);
    assert_string_equal(targets_any(&bound, PROD, ANYBODY)->name, "production");
    assert_string_equal(targets_any(&bound, DEV, DEV_PUSH)->name, "development");
    for (size_t i = 0; i < 4; i++)
        if (i != 1) // the operators' subscription has development, too
            assert_null(targets_any(&bound, forged[i].subscription, forged[i].caller));
}

static void a_reader_of_development_sees_nothing_of_production(void **state) {
    (void)state;
    static const char *const dev_readers[] = {DEV_PUSH, NULL}, *const prod_readers[] = {ANYBODY, NULL};
    struct target items[] = {{.readers = dev_readers}, {.readers = prod_readers}, {.name = "free"}};
    const struct targets targets = {items, 3};
    assert_true(targets_may_read(&targets, &items[0], DEV_PUSH));
    assert_true(targets_may_read(&targets, &items[1], ANYBODY));
    assert_true(targets_may_read(&targets, &items[2], "else@shop.iam.gserviceaccount.com"));
    assert_false(targets_may_read(&targets, &items[1], DEV_PUSH));
    assert_false(targets_may_read(&targets, &items[0], ANYBODY));
    assert_false(targets_may_read(&targets, &items[2], DEV_PUSH));
    assert_false(targets_may_read(&targets, &items[1], "else@shop.iam.gserviceaccount.com"));
    assert_true(targets_may_read(&unbound, &free_items[1], DEV_PUSH));
}

static void whoever_a_target_binds_has_to_be_let_in_at_all(void **state) {
    (void)state;
    static const char *const pair[] = {ANYBODY, DEV_PUSH, NULL}, *const single[] = {ANYBODY, NULL};
    struct target items[] = {{.name = "free"}, {.name = "bound", .callers = pair, .readers = single}};
    const struct targets targets = {items, 2};
    struct error err = {0};
    assert_true(targets_check_bound(&targets, pair, single, &err));
    assert_true(targets_check_bound(&unbound, single, NULL, &err));
    assert_false(targets_check_bound(&targets, single, single, &err));
    assert_int_equal(err.code, ERROR_CONFIGURATION);
    assert_non_null(strstr(err.message, "target 'bound': callers: " DEV_PUSH " is not in PAWL_CALLERS"));
    assert_false(targets_check_bound(&targets, pair, NULL, &err));
    assert_non_null(strstr(err.message, "target 'bound': readers: " ANYBODY " is not in PAWL_READERS"));
}

static void a_caller_is_an_address(void **state) {
    (void)state;
    struct targets targets = must_read(TARGET(",\"callers\":[\"" ANYBODY "\",\"" DEV_PUSH "\"]"));
    assert_string_equal(targets.items[0].callers[1], DEV_PUSH);
    assert_null(targets.items[0].callers[2]);
    assert_string_equal(must_read(TARGET(",\"readers\":[\"" DEV_PUSH "\"]")).items[0].readers[0], DEV_PUSH);
    must_refuse(TARGET(",\"readers\":[\"x\"]"), "readers: must be e-mail addresses");
    must_refuse(TARGET(",\"callers\":[]"), "callers: must be left out");
    must_refuse(TARGET(",\"callers\":\"a@b\""), "callers: must be a list");
    must_refuse(TARGET(",\"callers\":[\"a@b\",\"a@b\"]"), "callers: has a@b twice");
    must_refuse(TARGET(",\"callers\":[\"push\"]"), "callers: must be e-mail addresses");
    must_refuse(TARGET(",\"callers\":[\"a@b c\"]"), "callers: must be e-mail addresses");
    must_refuse(TARGET(",\"callers\":[\"@b\"]"), "callers: must be e-mail addresses");
    must_refuse(TARGET(",\"callers\":[\"a@\"]"), "callers: must be e-mail addresses");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_target_has_what_it_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_target_does_not_say_is_the_options_business, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_list_of_targets_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_member_that_is_wrong_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_one_that_a_message_can_say, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_subscription_has_its_full_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_targets_differ_in_name_and_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_targets_of_one_database_differ_in_the_schema, set_up, tear_down),
        cmocka_unit_test_setup_teardown(targets_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_string_is_forgotten, set_up, tear_down),
        cmocka_unit_test(a_message_that_names_its_target_reaches_it),
        cmocka_unit_test(a_name_may_be_left_out_where_one_target_can_be_meant),
        cmocka_unit_test(a_message_that_may_mean_several_is_refused),
        cmocka_unit_test(a_target_that_is_not_there_is_refused),
        cmocka_unit_test(development_does_not_touch_production),
        cmocka_unit_test(not_even_where_production_forgot_its_list),
        cmocka_unit_test(a_caller_of_development_reaches_production_by_no_name_of_a_subscription),
        cmocka_unit_test(a_reader_of_development_sees_nothing_of_production),
        cmocka_unit_test_setup_teardown(whoever_a_target_binds_has_to_be_let_in_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_caller_is_an_address, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
