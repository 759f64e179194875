// What a plan says of the sizes of real relations.
#include "migrate/forecast.h"

#include "world.h"

static const struct forecast_relation *planned(struct world *world, const char *sql) {
    world_file(world, "1_a.sql", sql);
    world->request.plan_only = true;
    world_must_run(world, NULL);
    assert_int_equal(world->report.count, 1);
    const struct forecast *forecast = world->report.items[0].forecast;
    assert_true(forecast->count > 0 && forecast->statements[0].effect_count > 0);
    return forecast->statements[0].effects[0].relation;
}

static void a_table_counts_with_its_indexes_and_toast(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE \"We \"\"are\"\" table\" (id int PRIMARY KEY, long text)");
    database_do(&world->database,
                "INSERT INTO \"We \"\"are\"\" table\" SELECT n, (SELECT string_agg(md5((n * i)::text), '')"
                " FROM generate_series(1, 300) i) FROM generate_series(1, 50) n");
    database_do(&world->database, "VACUUM ANALYZE \"We \"\"are\"\" table\"");
    const struct forecast_relation *relation = planned(world, "ALTER TABLE \"We \"\"are\"\" table\" ADD COLUMN x int;");
    assert_int_equal(relation->presence, FORECAST_PRESENT);
    assert_int_equal(relation->rows, 50);
    assert_string_equal(
        arena_printf(world->arena, "%lld", (long long)relation->bytes),
        world_ask(world, "SELECT sum(relpages) * 8192 FROM pg_class WHERE oid = '\"We \"\"are\"\" table\"'::regclass"
                         " OR relname LIKE '%pkey' OR relname ~ ('^pg_toast_' || '\"We \"\"are\"\" "
                         "table\"'::regclass::oid || '(_index)?$')"));
    assert_true(relation->bytes > 50 * 8000);
}

static void a_partitioned_table_is_the_sum_of_its_partitions(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE p (x int) PARTITION BY RANGE (x)");
    database_do(&world->database, "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000)");
    database_do(&world->database,
                "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (9000) PARTITION BY RANGE (x)");
    database_do(&world->database, "CREATE TABLE p3 PARTITION OF p2 FOR VALUES FROM (1000) TO (9000)");
    database_do(&world->database, "INSERT INTO p SELECT generate_series(0, 4999)");
    database_do(&world->database, "VACUUM ANALYZE p");
    const struct forecast_relation *relation = planned(world, "ALTER TABLE p ADD COLUMN y int;");
    assert_int_equal(relation->rows, 5000);
    assert_true(relation->bytes > 0);
}

static void an_index_and_a_view_are_there_too(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE t (x int)");
    database_do(&world->database, "CREATE VIEW v AS SELECT 1 AS one");
    database_do(&world->database, "INSERT INTO t SELECT generate_series(1, 1000)");
    database_do(&world->database, "CREATE INDEX t_x ON t (x)");
    assert_int_equal(planned(world, "DROP INDEX t_x;")->rows, 1000);
    const struct forecast_relation *view = planned(world, "DROP VIEW v;");
    assert_int_equal(view->presence, FORECAST_PRESENT);
    assert_int_equal(view->bytes, -1);
}

static void what_is_absent_and_what_was_never_analysed_have_no_numbers(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE TABLE t (x int) WITH (autovacuum_enabled = false)");
    assert_int_equal(planned(world, "DROP TABLE nosuch;")->presence, FORECAST_ABSENT);
    assert_int_equal(planned(world, "DROP TABLE nosuch.t;")->presence, FORECAST_ABSENT);
    const struct forecast_relation *relation = planned(world, "DROP TABLE t;");
    assert_int_equal(relation->presence, FORECAST_PRESENT);
    assert_int_equal(relation->bytes, -1);
    assert_int_equal(relation->rows, -1);
}

static void sizes_that_the_server_keeps_to_itself_stop_no_plan(void **state) {
    struct world *world = *state;
    database_do(&world->database,
                "DO $$BEGIN CREATE ROLE pawl_outsider LOGIN; EXCEPTION WHEN duplicate_object THEN END$$");
    database_do(&world->database, "CREATE SCHEMA closed");
    database_do(&world->database, "CREATE TABLE closed.t (x int)");
    run_database_free(world->connections);
    const char *url =
        arena_printf(world->arena, "postgresql://pawl_outsider@/%s?host=%s", world->database.name, getenv("PGHOST"));
    world->connections = run_database_new(url);
    assert_int_equal(planned(world, "DROP TABLE closed.t;")->presence, FORECAST_UNKNOWN);
    assert_int_equal(world->report.items[0].forecast->statements[0].hazard_count, 1); // still told
}

static void a_plan_goes_on_where_a_file_was_left(void **state) {
    struct world *world = *state;
    world_file(
        world, "1_a.sql",
        "CREATE TABLE t (x int);\nINSERT INTO t VALUES (1), (1);\nCREATE UNIQUE INDEX CONCURRENTLY t_x ON t (x);");
    assert_false(world_run(world, NULL));
    world->request.plan_only = true;
    world_must_run(world, "plan");
    assert_int_equal(world->report.items[0].statements, 1);
    assert_int_equal(world->report.items[0].forecast->statements[0].line, 3);
    assert_true(world->report.items[0].forecast->resumed);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pawl.runs"), "1"); // the plan is none
}

#define PROMISE(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        PROMISE(a_table_counts_with_its_indexes_and_toast),
        PROMISE(a_partitioned_table_is_the_sum_of_its_partitions),
        PROMISE(an_index_and_a_view_are_there_too),
        PROMISE(what_is_absent_and_what_was_never_analysed_have_no_numbers),
        PROMISE(sizes_that_the_server_keeps_to_itself_stop_no_plan),
        PROMISE(a_plan_goes_on_where_a_file_was_left),
    };
    return cmocka_run_group_tests_name("forecast", tests, NULL, NULL);
}
