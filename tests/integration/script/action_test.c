// The lock table and the list of what refuses a transaction block, held to the real server: every statement here is run, and pg_locks and
// the server's refusals must say what action.def and kind.c say.
#include "../database.h"
#include "script/action.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const char *const WORLD[] = {
    "CREATE TABLE u (id bigint PRIMARY KEY, a int)",
    "CREATE TABLE t (id bigint PRIMARY KEY, a int, b text, c int NOT NULL, e int GENERATED ALWAYS AS (c) STORED)",
    "CREATE TABLE s (id bigint)",
    "CREATE INDEX t_a ON t (a)",
    "CREATE UNIQUE INDEX t_u ON t (c)",
    "CREATE UNIQUE INDEX s_id ON s (id)",
    "CREATE TABLE p (id int) PARTITION BY RANGE (id)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE p2 (id int)",
    "CREATE VIEW v AS SELECT 1 AS one",
    "CREATE MATERIALIZED VIEW m AS SELECT 1 AS one",
    "CREATE UNIQUE INDEX m_one ON m (one)",
    "CREATE SEQUENCE q",
    "CREATE TYPE mood AS ENUM ('x')",
    "CREATE DOMAIN d AS int",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE POLICY y ON t USING (true)",
    "CREATE RULE r AS ON UPDATE TO s DO INSTEAD NOTHING",
    "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID",
    "CREATE SCHEMA other",
    "CREATE TABLE i (LIKE u)",
    "ALTER TABLE i INHERIT u",
};

struct world {
    struct database database;
    struct postgres *session, *observer;
};

static int set_up(void **state) {
    struct world *world = memory_alloc(sizeof *world);
    *state = world;
    database_create(&world->database);
    world->session = database_connect(world->database.url);
    world->observer = database_connect(world->database.url);
    for (size_t i = 0; i < LENGTH(WORLD); i++)
        database_run(world->session, WORLD[i]);
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    postgres_close(world->session);
    postgres_close(world->observer);
    database_drop(&world->database);
    free(world);
    return 0;
}

static struct statement parse(struct arena *arena, const char *sql) {
    struct script script = {0};
    struct error err = {0};
    if (!script_parse("f.sql", view_of(sql), arena, &script, &err))
        fail_msg("%s: %s", sql, err.message);
    assert_int_equal(script.count, 1);
    assert_true(script.analysed);
    return script.items[0];
}

// The strongest lock that `session` holds, or waits for, on each relation of the schema public that was there before.
static const char LOCKS[] =
    "SELECT c.relname, max(array_position(ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', "
    "'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], "
    "l.mode)) "
    "FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = $1::int AND l.granted = $2::bool AND "
    "c.relnamespace = 'public'::regnamespace GROUP BY 1";

static enum lock_mode locked(struct world *world, const char *relation, bool granted) {
    cleanup_rows struct postgres_rows *rows = NULL;
    struct error err = {0};
    char pid[16];
    snprintf(pid, sizeof pid, "%d", postgres_backend_pid(world->session));
    if (!postgres_query(world->observer, LOCKS, (const char *const[]){pid, granted ? "t" : "f"}, 2, &rows, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < postgres_row_count(rows); i++)
        if (strcmp(postgres_value(rows, i, 0), relation) == 0)
            return (enum lock_mode)(postgres_value(rows, i, 1)[0] - '0');
    return MODE_NONE;
}

static enum lock_mode expected(const struct statement *statement, const char *relation) {
    enum lock_mode mode = MODE_NONE;
    for (size_t i = 0; i < statement->action_count; i++) {
        const struct action *action = &statement->actions[i];
        if (action->relation != NULL && strcmp(action->relation, relation) == 0 && action->mode > mode)
            mode = action->mode;
    }
    return mode;
}

// Each statement with the relations to look at; what stands there must be locked exactly as the actions say.
static void locks_in_a_transaction_are_as_the_table_says(void **state) {
    struct world *world = *state;
    static const struct {
        const char *sql;
        const char *relations[3];
    } rows[] = {
        {"INSERT INTO s VALUES (1)", {"s"}},
        {"UPDATE t SET a = 1", {"t"}},
        {"DELETE FROM t WHERE a = 1", {"t"}},
        {"TRUNCATE s, p", {"s", "p"}},
        {"LOCK TABLE s IN SHARE ROW EXCLUSIVE MODE", {"s"}},
        {"LOCK TABLE s", {"s"}},
        {"CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30)", {"p"}},
        {"CREATE TABLE h () INHERITS (u)", {"u"}},
        {"CREATE TABLE h (a bigint REFERENCES u)", {"u"}},
        {"DROP TABLE s", {"s"}},
        {"ALTER TABLE s RENAME TO w", {"s"}},
        {"ALTER TABLE s SET SCHEMA other", {"s"}},
        {"ALTER TABLE s OWNER TO pawl", {"s"}},
        {"ALTER TABLE s ENABLE ROW LEVEL SECURITY", {"s"}},
        {"ALTER TABLE s REPLICA IDENTITY FULL", {"s"}},
        {"ALTER TABLE s SET (fillfactor = 70)", {"s"}},
        {"ALTER TABLE t CLUSTER ON t_a", {"t"}},
        {"ALTER TABLE s SET UNLOGGED", {"s"}},
        {"ALTER TABLE i NO INHERIT u", {"i"}},
        {"ALTER TABLE s ENABLE RULE r", {"s"}},
        {"COMMENT ON TABLE s IS 'x'", {"s"}},
        {"COMMENT ON COLUMN s.id IS 'x'", {"s"}},
        {"COMMENT ON INDEX t_a IS 'x'", {"t_a"}},
        {"ANALYZE s", {"s"}},
        {"CREATE STATISTICS st ON a, b FROM t", {"t"}},
        {"ALTER TABLE s ADD COLUMN n int", {"s"}},
        {"ALTER TABLE s ADD COLUMN n float DEFAULT random()", {"s"}},
        {"ALTER TABLE s ADD COLUMN n bigint REFERENCES u", {"s", "u"}},
        {"ALTER TABLE t DROP COLUMN b", {"t"}},
        {"ALTER TABLE t RENAME b TO bb", {"t"}},
        {"ALTER TABLE t ALTER a TYPE bigint", {"t"}},
        {"ALTER TABLE t ALTER a SET NOT NULL", {"t"}},
        {"ALTER TABLE t ALTER c DROP NOT NULL", {"t"}},
        {"ALTER TABLE t ALTER a SET DEFAULT 1", {"t"}},
        {"ALTER TABLE t ALTER b SET STORAGE MAIN", {"t"}},
        {"ALTER TABLE t ALTER c ADD GENERATED ALWAYS AS IDENTITY", {"t"}},
        {"ALTER TABLE t ALTER e DROP EXPRESSION", {"t"}},
        {"ALTER TABLE t ALTER a SET STATISTICS 7", {"t"}},
        {"ALTER TABLE t ALTER a SET (n_distinct = 7)", {"t"}},
        {"ALTER TABLE t ADD CHECK (a > 1)", {"t"}},
        {"ALTER TABLE t ADD CHECK (a > 1) NOT VALID", {"t"}},
        {"ALTER TABLE s ADD FOREIGN KEY (id) REFERENCES u", {"s", "u"}},
        {"ALTER TABLE s ADD FOREIGN KEY (id) REFERENCES u NOT VALID", {"s", "u"}},
        {"ALTER TABLE t ADD UNIQUE (a)", {"t"}},
        {"ALTER TABLE s ADD PRIMARY KEY (id)", {"s"}},
        {"ALTER TABLE t ADD CONSTRAINT n UNIQUE USING INDEX t_u", {"t"}},
        {"ALTER TABLE s ADD CONSTRAINT n PRIMARY KEY USING INDEX s_id", {"s"}},
        {"ALTER TABLE p2 ADD EXCLUDE (id WITH =)", {"p2"}},
        {"ALTER TABLE t VALIDATE CONSTRAINT k", {"t"}},
        {"ALTER TABLE t DROP CONSTRAINT k", {"t"}},
        {"ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)", {"p", "p2"}},
        {"ALTER TABLE p DETACH PARTITION p1", {"p", "p1"}},
        {"CREATE INDEX n ON t (b)", {"t"}},
        {"DROP INDEX t_a", {"t_a"}},
        {"REINDEX TABLE t", {"t"}},
        {"REINDEX INDEX t_a", {"t_a"}},
        {"ALTER INDEX t_a RENAME TO t_b", {"t_a"}},
        {"ALTER INDEX t_a SET (fillfactor = 70)", {"t_a"}},
        {"ALTER INDEX t_a SET TABLESPACE pg_default", {"t_a"}},
        {"CLUSTER t USING t_a", {"t"}},
        {"CREATE TRIGGER n BEFORE INSERT ON s FOR EACH ROW EXECUTE FUNCTION f()", {"s"}},
        {"ALTER TABLE t DISABLE TRIGGER g", {"t"}},
        {"ALTER TABLE t ENABLE TRIGGER ALL", {"t"}},
        {"DROP TRIGGER g ON t", {"t"}},
        {"CREATE POLICY n ON s USING (true)", {"s"}},
        {"ALTER POLICY y ON t USING (false)", {"t"}},
        {"DROP POLICY y ON t", {"t"}},
        {"CREATE RULE n AS ON DELETE TO s DO INSTEAD NOTHING", {"s"}},
        {"DROP RULE r ON s", {"s"}},
        {"CREATE OR REPLACE VIEW v AS SELECT 1 AS one, 2 AS two", {"v"}},
        {"ALTER VIEW v ALTER one SET DEFAULT 1", {"v"}},
        {"DROP VIEW v", {"v"}},
        {"REFRESH MATERIALIZED VIEW m", {"m"}},
        {"REFRESH MATERIALIZED VIEW CONCURRENTLY m", {"m"}},
        {"ALTER SEQUENCE q INCREMENT 2", {"q"}},
        {"DROP SEQUENCE q", {"q"}},
        {"GRANT SELECT ON s TO public", {"s"}},
        {"ALTER TYPE mood ADD VALUE 'y'", {"t"}},
    };
    cleanup_arena struct arena *arena = arena_new();
    size_t wrong = 0;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct statement statement = parse(arena, rows[i].sql);
        database_run(world->session, "BEGIN");
        database_run(world->session, rows[i].sql);
        for (size_t r = 0; r < LENGTH(rows[i].relations) && rows[i].relations[r] != NULL; r++) {
            const char *name = rows[i].relations[r];
            enum lock_mode found = locked(world, name, true), want = expected(&statement, name);
            if (found != want) {
                print_message("%s: %s is locked %s, not %s\n", rows[i].sql, name, lock_mode_name(found),
                              lock_mode_name(want));
                wrong++;
            }
        }
        database_run(world->session, "ROLLBACK");
    }
    assert_int_equal(wrong, 0);
}

// What cannot be in a transaction is stopped at its first lock, by a lock that somebody else holds, and the lock that it waits for is read.
static void locks_outside_transactions_are_as_the_table_says(void **state) {
    struct world *world = *state;
    static const struct {
        const char *sql, *table;
    } rows[] = {
        {"CREATE INDEX CONCURRENTLY n ON t (b)", "t"},
        {"DROP INDEX CONCURRENTLY t_a", "t"},
        {"REINDEX TABLE CONCURRENTLY t", "t"},
        {"REINDEX INDEX CONCURRENTLY t_a", "t"},
        {"ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY", "p"},
        {"VACUUM t", "t"},
        {"VACUUM (FULL) t", "t"},
    };
    cleanup_arena struct arena *arena = arena_new();
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct statement statement = parse(arena, rows[i].sql);
        cleanup_postgres struct postgres *blocker = database_connect(world->database.url);
        database_run(blocker, "BEGIN");
        database_run(blocker, arena_printf(arena, "LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE", rows[i].table));
        struct error err = {0};
        assert_true(postgres_send(world->session, rows[i].sql, NULL, 0, &err));
        assert_true(postgres_sync(world->session, &err));
        assert_true(postgres_flush(world->session, &err));
        enum lock_mode found = MODE_NONE;
        for (int tries = 0; found == MODE_NONE && tries < 2000; tries++) {
            found = locked(world, rows[i].table, false);
            clock_sleep_ms(5);
        }
        if (found != statement.actions[0].mode)
            fail_msg("%s waits for %s", rows[i].sql, lock_mode_name(found));
        postgres_cancel(world->session);
        while (postgres_receive(world->session, NULL, &err) != POSTGRES_SYNCED)
            continue;
        postgres_uncancel(world->session);
    }
}

// Whether the server refuses it in a transaction block (25001), and nothing else decides; most of these fail for other reasons outside.
static void the_server_refuses_in_a_transaction_what_we_call_non_transactional(void **state) {
    struct world *world = *state;
    static const char *const statements[] = {
        "CREATE INDEX CONCURRENTLY n ON t (b)",
        "CREATE INDEX n ON t (b)",
        "DROP INDEX CONCURRENTLY t_a",
        "DROP INDEX t_a",
        "REINDEX INDEX CONCURRENTLY t_a",
        "REINDEX (CONCURRENTLY off) INDEX t_a",
        "REINDEX SCHEMA other",
        "REINDEX TABLE CONCURRENTLY t",
        "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
        "ALTER TABLE p DETACH PARTITION p1",
        "VACUUM",
        "VACUUM (FULL) s",
        "ANALYZE s",
        "CLUSTER",
        "CLUSTER t USING t_a",
        "ALTER SYSTEM SET work_mem = '5MB'",
        "ALTER SYSTEM RESET ALL",
        "CREATE DATABASE pawl_never",
        "DROP DATABASE IF EXISTS pawl_never",
        "CREATE TABLESPACE pawl_never LOCATION '/nowhere'",
        "DROP TABLESPACE IF EXISTS pawl_never",
        "CREATE SUBSCRIPTION n CONNECTION 'host=/nowhere' PUBLICATION p",
        "CREATE SUBSCRIPTION n CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false)",
        "DISCARD TEMP",
        "COMMIT PREPARED 'never'",
        "ROLLBACK PREPARED 'never'",
        "ALTER TYPE mood ADD VALUE 'z'",
        "CHECKPOINT",
        "LISTEN x",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
    };
    cleanup_arena struct arena *arena = arena_new();
    for (size_t i = 0; i < LENGTH(statements); i++) {
        struct statement statement = parse(arena, statements[i]);
        struct error err = {0};
        database_run(world->session, "BEGIN");
        bool done = postgres_execute(world->session, statements[i], NULL, 0, &err);
        bool refused = !done && strcmp(err.sqlstate, "25001") == 0;
        if (refused != (statement.kind == STATEMENT_NON_TRANSACTIONAL))
            fail_msg("%s: the server says \"%s\"", statements[i], done ? "done" : err.message);
        database_run(world->session, "ROLLBACK");
    }
}

// The server's line ends where ours do: a position in characters, in a statement that does not begin on the first line.
static void the_servers_position_leads_to_the_line(void **state) {
    struct world *world = *state;
    cleanup_arena struct arena *arena = arena_new();
    struct script script;
    struct error err = {0};
    assert_true(script_parse("f.sql", view_of("\n\nSELECT '\u00e9\u00e8\u00fc',\n '\U0001F418' ||\n nothing"), arena,
                             &script, &err));
    const char *sql = arena_copy(arena, script.items[0].text.data, script.items[0].text.length);
    assert_false(postgres_execute(world->session, sql, NULL, 0, &err));
    assert_int_equal(statement_line_at(&script.items[0], postgres_position(world->session)), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks_in_a_transaction_are_as_the_table_says),
        cmocka_unit_test(locks_outside_transactions_are_as_the_table_says),
        cmocka_unit_test(the_server_refuses_in_a_transaction_what_we_call_non_transactional),
        cmocka_unit_test(the_servers_position_leads_to_the_line),
    };
    return cmocka_run_group_tests_name("script/action", tests, set_up, tear_down);
}
