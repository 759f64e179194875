// What a file's statements are, how they make steps, and what a file may not do; and that our splitter and PostgreSQL's parser agree.
#include "script/splitter.h"
#include "script/statement.h"
#include <pg_query.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static struct script must_parse(struct arena *arena, const char *sql) {
    struct script script = {0};
    struct error err = {0};
    if (!script_parse("f.sql", view_of(sql), arena, &script, &err))
        fail_msg("%s\n was refused: %s", sql, err.message);
    return script;
}

static void must_refuse(const char *sql, unsigned line, const char *message) {
    cleanup_arena struct arena *arena = arena_new();
    struct script script = {.count = 7};
    struct error err = {0};
    if (script_parse("f.sql", view_of(sql), arena, &script, &err))
        fail_msg("%s\n was accepted", sql);
    assert_int_equal(err.code, ERROR_SOURCE_INVALID);
    assert_string_equal(err.file, "f.sql");
    if (err.line != line || strstr(err.message, message) == NULL)
        fail_msg("%s\n gave line %u and \"%s\"", sql, err.line, err.message);
    assert_int_equal(script.count, 7);
}

// "KIND TAG relation(objects) flags", the statement's kind as one letter: O N C B E.
static const char *describe(struct arena *arena, const struct statement *statement) {
    const char *all = arena_printf(arena, "%c %s", "ONCBE"[statement->kind], statement -> tag ? statement -> tag : "?");
    if (statement->relation)
        all = arena_printf(arena, "%s %s", all, statement->relation);
    for (size_t i = 0; i < statement->object_count; i++)
        all = arena_printf(arena, "%s%s%s", all, i ? "," : " (", statement->objects[i]);
    return arena_printf(arena, "%s%s%s%s%s", all, statement->object_count ? ")" : "",
                        statement->unique ? " unique" : "", statement->concurrently ? " concurrently" : "",
                        statement->conditional ? " conditional" : "");
}

struct row {
    const char *sql;
    enum statement_operation operation;
    const char *description;
};

static void check_rows(const struct row *rows, size_t count) {
    cleanup_arena struct arena *arena = arena_new();
    for (size_t i = 0; i < count; i++) {
        struct script script = must_parse(arena, rows[i].sql);
        assert_int_equal(script.count, 1);
        assert_string_equal(describe(arena, &script.items[0]), rows[i].description);
        if (script.items[0].operation != rows[i].operation)
            fail_msg("%s: operation %d", rows[i].sql, script.items[0].operation);
    }
}

static void what_postgresql_refuses_in_a_transaction_is_recognised(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"CREATE INDEX CONCURRENTLY i ON app.t (id)", OPERATION_CREATE_INDEX,
         "N CREATE INDEX CONCURRENTLY app.t (app.i) concurrently"},
        {"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"I\" ON \"T\" (id)", OPERATION_CREATE_INDEX,
         "N CREATE INDEX CONCURRENTLY \"T\" (\"I\") unique concurrently conditional"},
        {"CREATE INDEX CONCURRENTLY ON ONLY t (id)", OPERATION_CREATE_INDEX,
         "N CREATE INDEX CONCURRENTLY t concurrently"},
        {"/* c */ create -- c\n index concurrently i on t (id)", OPERATION_CREATE_INDEX,
         "N CREATE INDEX CONCURRENTLY t (i) concurrently"},
        {"DROP INDEX CONCURRENTLY IF EXISTS app.i", OPERATION_DROP_INDEX,
         "N DROP INDEX CONCURRENTLY (app.i) concurrently conditional"},
        {"REINDEX INDEX CONCURRENTLY app.i", OPERATION_REINDEX_INDEX, "N REINDEX CONCURRENTLY (app.i) concurrently"},
        {"REINDEX (CONCURRENTLY TRUE) TABLE t", OPERATION_REINDEX_TABLE, "N REINDEX CONCURRENTLY t concurrently"},
        {"REINDEX SCHEMA app", OPERATION_REINDEX_SCHEMA, "N REINDEX (app)"},
        {"REINDEX DATABASE CONCURRENTLY d", OPERATION_REINDEX_DATABASE, "N REINDEX CONCURRENTLY (d) concurrently"},
        {"REINDEX SYSTEM d", OPERATION_REINDEX_DATABASE, "N REINDEX (d)"},
        {"ALTER TABLE app.p DETACH PARTITION app.p1 CONCURRENTLY", OPERATION_DETACH_PARTITION,
         "N ALTER TABLE app.p (app.p1) concurrently"},
        {"VACUUM", OPERATION_VACUUM, "N VACUUM"},
        {"VACUUM (FULL, ANALYZE) t, app.u", OPERATION_VACUUM, "N VACUUM t (t,app.u)"},
        {"CLUSTER", OPERATION_CLUSTER, "N CLUSTER"},
        {"ALTER SYSTEM SET work_mem = '1GB'", OPERATION_ALTER_SYSTEM, "N ALTER SYSTEM (work_mem)"},
        {"ALTER SYSTEM RESET ALL", OPERATION_ALTER_SYSTEM, "N ALTER SYSTEM"},
        {"CREATE DATABASE \"D\"", OPERATION_CREATE_DATABASE, "N CREATE DATABASE (\"D\")"},
        {"DROP DATABASE IF EXISTS d", OPERATION_DROP_DATABASE, "N DROP DATABASE (d) conditional"},
        {"ALTER DATABASE d SET TABLESPACE s", OPERATION_MOVE_DATABASE, "N ALTER DATABASE (d)"},
        {"CREATE TABLESPACE s LOCATION '/x'", OPERATION_CREATE_TABLESPACE, "N CREATE TABLESPACE (s)"},
        {"DROP TABLESPACE s", OPERATION_DROP_TABLESPACE, "N DROP TABLESPACE (s)"},
        {"CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", OPERATION_CREATE_SUBSCRIPTION,
         "N CREATE SUBSCRIPTION (s)"},
        {"CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false, create_slot)",
         OPERATION_CREATE_SUBSCRIPTION, "N CREATE SUBSCRIPTION (s)"},
        {"ALTER SUBSCRIPTION s REFRESH PUBLICATION", OPERATION_ALTER_SUBSCRIPTION, "N ALTER SUBSCRIPTION (s)"},
        {"ALTER SUBSCRIPTION s ADD PUBLICATION p", OPERATION_ALTER_SUBSCRIPTION, "N ALTER SUBSCRIPTION (s)"},
        {"DROP SUBSCRIPTION s", OPERATION_DROP_SUBSCRIPTION, "N DROP SUBSCRIPTION (s)"},
        {"COMMIT PREPARED 'x'", OPERATION_FINISH_PREPARED, "N COMMIT PREPARED"},
        {"ROLLBACK PREPARED 'x'", OPERATION_FINISH_PREPARED, "N ROLLBACK PREPARED"},
        {"DO $$ BEGIN PERFORM 1; COMMIT; END $$", OPERATION_DO, "N DO"},
    };
    check_rows(rows, LENGTH(rows));
}

static void their_transactional_forms_are_not_mistaken_for_them(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"CREATE INDEX i ON t (id)", OPERATION_CREATE_INDEX, "O CREATE INDEX t (i)"},
        {"DROP INDEX a, b.c", OPERATION_DROP_INDEX, "O DROP INDEX (a,b.c)"},
        {"REINDEX (CONCURRENTLY false) INDEX i", OPERATION_REINDEX_INDEX, "O REINDEX (i)"},
        {"REINDEX (CONCURRENTLY 0) TABLE t", OPERATION_REINDEX_TABLE, "O REINDEX t"},
        {"REINDEX (CONCURRENTLY off) TABLE t", OPERATION_REINDEX_TABLE, "O REINDEX t"},
        {"ALTER TABLE p DETACH PARTITION p1", OPERATION_DETACH_PARTITION, "O ALTER TABLE p (p1)"},
        {"ALTER TABLE p DETACH PARTITION p1 FINALIZE", OPERATION_OTHER, "O ALTER TABLE p"},
        {"ANALYZE t", OPERATION_OTHER, "O ANALYZE t (t)"},
        {"CLUSTER t USING i", OPERATION_CLUSTER, "O CLUSTER t"},
        {"ALTER DATABASE d SET work_mem = 1", OPERATION_OTHER, "O ALTER DATABASE (d)"},
        {"ALTER DATABASE d CONNECTION LIMIT 3", OPERATION_OTHER, "O ALTER DATABASE (d)"},
        {"CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot = off)", OPERATION_CREATE_SUBSCRIPTION,
         "O CREATE SUBSCRIPTION (s)"},
        {"CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = 'false')", OPERATION_CREATE_SUBSCRIPTION,
         "O CREATE SUBSCRIPTION (s)"},
        {"ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)", OPERATION_ALTER_SUBSCRIPTION,
         "O ALTER SUBSCRIPTION (s)"},
        {"DISCARD TEMP", OPERATION_DISCARD, "O DISCARD"},
        {"SELECT 'VACUUM'", OPERATION_OTHER, "O SELECT"},
        {"ALTER TYPE mood ADD VALUE IF NOT EXISTS 'meh'", OPERATION_OTHER, "O ALTER TYPE (mood)"},
        {"SAVEPOINT s", OPERATION_OTHER, "O SAVEPOINT"},
        {"ROLLBACK TO s", OPERATION_OTHER, "O ROLLBACK TO SAVEPOINT"},
        {"DO $$ BEGIN PERFORM 'COMMIT;'; -- COMMIT;\n END $$", OPERATION_DO, "O DO"},
        {"DO $$ BEGIN INSERT INTO commit VALUES (1); UPDATE t SET rollback = commit; END $$", OPERATION_DO, "O DO"},
        {"DO LANGUAGE plpython3u $$ plpy.commit(); commit; $$", OPERATION_DO, "O DO"},
    };
    check_rows(rows, LENGTH(rows));
}

static void a_do_block_that_commits_is_found_in_every_place(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "BEGIN COMMIT; END",
        "begin loop\n commit ; end loop; end",
        "BEGIN IF a THEN ROLLBACK; END IF; END",
        "BEGIN IF a THEN x(); ELSE COMMIT AND CHAIN; END IF; END",
        "BEGIN /* c */ COMMIT; END",
        "BEGIN x(); -- c\n COMMIT; END",
        "BEGIN <<l>> COMMIT; END",
    };
    cleanup_arena struct arena *arena = arena_new();
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        struct script script = must_parse(arena, arena_printf(arena, "DO $$ %s $$", bodies[i]));
        if (script.items[0].kind != STATEMENT_NON_TRANSACTIONAL)
            fail_msg("%s", bodies[i]);
    }
}

static void tags_and_relations_read_as_people_write_them(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"CREATE TABLE IF NOT EXISTS a.b (id int)", OPERATION_OTHER, "O CREATE TABLE a.b conditional"},
        {"CREATE TABLE \"select\".\"a\"\"b\" (id int)", OPERATION_OTHER, "O CREATE TABLE \"select\".\"a\"\"b\""},
        {"CREATE TABLE \"order\" AS SELECT 1", OPERATION_OTHER, "O CREATE TABLE AS \"order\""},
        {"CREATE MATERIALIZED VIEW m AS SELECT 1", OPERATION_OTHER, "O CREATE MATERIALIZED VIEW m"},
        {"CREATE OR REPLACE VIEW v AS SELECT 1", OPERATION_OTHER, "O CREATE VIEW v"},
        {"ALTER TABLE ONLY a.b ADD c int", OPERATION_OTHER, "O ALTER TABLE a.b"},
        {"ALTER INDEX i SET (fillfactor = 70)", OPERATION_OTHER, "O ALTER INDEX i"},
        {"ALTER TABLE a RENAME TO b", OPERATION_OTHER, "O ALTER TABLE a"},
        {"ALTER TABLE a SET SCHEMA b", OPERATION_OTHER, "O ALTER TABLE a"},
        {"DROP TABLE IF EXISTS a.b, c", OPERATION_OTHER, "O DROP TABLE a.b (a.b,c) conditional"},
        {"DROP MATERIALIZED VIEW m", OPERATION_OTHER, "O DROP MATERIALIZED VIEW m (m)"},
        {"DROP TRIGGER g ON a.b", OPERATION_OTHER, "O DROP TRIGGER a.b (a.b.g)"},
        {"DROP FUNCTION a.f(int)", OPERATION_OTHER, "O DROP FUNCTION (a.f)"},
        {"DROP TYPE a.b", OPERATION_OTHER, "O DROP TYPE (a.b)"},
        {"INSERT INTO a.b VALUES (1)", OPERATION_CHANGE_ROWS, "O INSERT a.b"},
        {"WITH x AS (DELETE FROM c RETURNING 1) UPDATE b SET a = 1", OPERATION_CHANGE_ROWS, "O UPDATE b"},
        {"TRUNCATE a.b, c", OPERATION_OTHER, "O TRUNCATE TABLE a.b"},
        {"COMMENT ON COLUMN a.b.c IS 'x'", OPERATION_OTHER, "O COMMENT a.b"},
        {"GRANT SELECT ON a.b TO c", OPERATION_OTHER, "O GRANT a.b"},
        {"REVOKE ALL ON a.b FROM c", OPERATION_OTHER, "O REVOKE a.b"},
        {"CREATE TRIGGER g BEFORE INSERT ON a.b EXECUTE FUNCTION f()", OPERATION_OTHER, "O CREATE TRIGGER a.b (g)"},
        {"CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC SELECT 1; END", OPERATION_OTHER, "O CREATE PROCEDURE (p)"},
        {"CREATE FUNCTION a.f() RETURNS int LANGUAGE sql AS 'SELECT 1;'", OPERATION_OTHER, "O CREATE FUNCTION (a.f)"},
        {"CREATE TYPE a.m AS ENUM ('x;')", OPERATION_OTHER, "O CREATE TYPE (a.m)"},
        {"CREATE AGGREGATE s(int) (sfunc = f, stype = int)", OPERATION_OTHER, "O CREATE AGGREGATE (s)"},
        {"SET search_path = a, b", OPERATION_SET, "O SET (search_path)"},
        {"RESET ALL", OPERATION_SET, "O RESET"},
        {"SET LOCAL lock_timeout = 1", OPERATION_OTHER, "O SET (lock_timeout)"},
        {"CALL a.p(1)", OPERATION_CALL, "O CALL (a.p)"},
        {"COPY a.b TO '/x'", OPERATION_OTHER, "O COPY a.b"},
        {"COPY a.b FROM '/x'", OPERATION_OTHER, "O COPY a.b"},
        {"COPY a.b FROM stdin;\n1\n\\.\n", OPERATION_OTHER, "C COPY a.b"},
    };
    check_rows(rows, LENGTH(rows));
}

static void syntax_newer_than_the_parser_is_sent_unread(void **state) {
    (void)state;
    static const char *const statements[] = {
        "SELECT x IS JSON FROM t",
        "SELECT 0x1F, 1_000",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE RETURNING 1",
        "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a) VIRTUAL)",
        "SELECT :var",
        "no SQL at all",
    };
    cleanup_arena struct arena *arena = arena_new();
    for (size_t i = 0; i < LENGTH(statements); i++) {
        struct script script = must_parse(arena, arena_printf(arena, "SELECT 1;\n%s;\nSELECT 2", statements[i]));
        assert_int_equal(script.count, 3);
        assert_false(script.analysed);
        assert_true(script.transactional);
        assert_true(script.items[0].analysed && script.items[2].analysed);
        assert_false(script.items[1].analysed);
        assert_null(script.items[1].tag);
        assert_true(view_is(script.items[1].text, statements[i]));
    }
}

static void what_cannot_be_read_is_judged_by_its_first_words(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    static const char *const alone[] = {
        "CREATE INDEX CONCURRENTLY i ON t ((a IS JSON))",
        "create /* c */ unique index -- c\n concurrently i on t (a) where b = 1_000",
        "REINDEX DATABASE",
        "REINDEX (NEW_OPTION, CONCURRENTLY) TABLE ONLY t",
        "REPACK t",
    };
    for (size_t i = 0; i < LENGTH(alone); i++) {
        struct script script = must_parse(arena, alone[i]);
        assert_false(script.analysed);
        assert_int_equal(script.items[0].kind, STATEMENT_NON_TRANSACTIONAL);
        assert_int_equal(script.items[0].operation, OPERATION_OTHER);
    }
    assert_int_equal(must_parse(arena, "CREATE INDEX i ON t ((a IS JSON))").items[0].kind, STATEMENT_ORDINARY);
    must_refuse("SELECT 1;\nCOMMIT NOW", 2, "cannot read this transaction control");
    must_refuse("BEGIN PLEASE", 1, "cannot read this transaction control");
}

static const char *steps_of(struct arena *arena, const struct script *script) {
    const char *all = "";
    for (size_t i = 0; i < script->count; i++)
        all = arena_printf(arena, "%s%u", all, script->items[i].step);
    return arena_printf(arena, "%s/%u%s", all, script->steps, script->transactional ? "t" : "");
}

static void a_file_is_cut_into_steps(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    static const struct {
        const char *sql, *steps; // the step of each statement, their number, "t" for transactional
    } rows[] = {
        {"", "/0t"},
        {"x1; x2", "11/1t"},
        {"VACUUM", "1/1"},
        {"SELECT 1; SELECT 2; VACUUM; SELECT 3; SELECT 4; VACUUM; VACUUM", "1123345/5"},
        {"BEGIN; SELECT 1; SELECT 2; COMMIT", "0110/1t"},
        {"START TRANSACTION; SELECT 1; END", "010/1t"},
        {"BEGIN WORK; COMMIT", "00/0t"},
        {"BEGIN; SELECT 1; COMMIT; BEGIN; SELECT 2; COMMIT", "010020/2"},
        {"SET a.b = 1; BEGIN; SELECT 1; COMMIT; SELECT 2; SELECT 3", "102033/3"},
        {"BEGIN; SELECT 1; COMMIT; CREATE INDEX CONCURRENTLY ON t (a)", "0102/2"},
        {"BEGIN; SAVEPOINT a; SELECT 1; ROLLBACK TO a; RELEASE a; COMMIT", "011110/1t"},
        {"-- pawl: no-transaction\nSELECT 1; SELECT 2", "12/2"},
        {"-- pawl: no-transaction\nSELECT 1", "1/1t"},
        {"-- pawl: no-transaction\nCALL p()", "1/1"},
        {"-- pawl: no-transaction\nBEGIN; SELECT 1; SELECT 2; COMMIT; SELECT 3; DO 'x'", "011023/3"},
        {"COPY t FROM stdin;\n\\.\nSELECT 1", "11/1t"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct script script = must_parse(arena, rows[i].sql);
        assert_string_equal(steps_of(arena, &script), rows[i].steps);
    }
}

static void transaction_control_that_cannot_be_honoured_is_refused(void **state) {
    (void)state;
    must_refuse("SELECT 1;\nCOMMIT", 2, "COMMIT without a BEGIN");
    must_refuse("BEGIN; COMMIT; END", 1, "COMMIT without a BEGIN");
    must_refuse("SELECT 1;\nBEGIN;\nSELECT 2", 2, "this BEGIN has no COMMIT");
    must_refuse("BEGIN;\nBEGIN; COMMIT", 2, "BEGIN inside");
    must_refuse("BEGIN;\nSELECT 1;\nROLLBACK", 3, "ROLLBACK would undo");
    must_refuse("ABORT", 1, "ROLLBACK would undo");
    must_refuse("ROLLBACK AND CHAIN", 1, "ROLLBACK would undo");
    must_refuse("BEGIN; COMMIT AND CHAIN", 1, "COMMIT AND CHAIN");
    must_refuse("BEGIN ISOLATION LEVEL SERIALIZABLE; COMMIT", 1, "BEGIN with transaction modes");
    must_refuse("BEGIN; PREPARE TRANSACTION 'x'", 1, "PREPARE TRANSACTION");
    must_refuse("SELECT 1;\nDISCARD ALL", 2, "give up the lock");
    must_refuse("SELECT 1;\nSET client_encoding = 'LATIN1'", 2, "client_encoding");
    must_refuse("set session client_encoding to 'SQL_ASCII'", 1, "client_encoding");
    must_refuse("SET LOCAL client_encoding TO latin1", 1, "client_encoding");
    must_refuse("SET NAMES 'WIN1252'", 1, "client_encoding");
    must_refuse("SET standard_conforming_strings = off;\ndiscard /* x */ all", 2, "give up the lock");
    must_refuse("BEGIN;\nVACUUM;\nCOMMIT", 2, "move it out of the block");
    must_refuse("BEGIN;\nDO $$ BEGIN COMMIT; END $$;\nCOMMIT", 2, "move it out of the block");
    must_refuse("-- pawl: no-transaction\nBEGIN;\nCALL p();\nCOMMIT", 3, "move it out of the block");
}

static void directives_are_read_and_unknown_ones_refused(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct script script = must_parse(arena, "SELECT 1; --pawl: LOCK_TIMEOUT = 5s\n-- pawl:no-transaction\n");
    assert_true(script.no_transaction);
    assert_int_equal(script.lock_timeout_ms, 5000);
    script = must_parse(arena, "SELECT 1");
    assert_false(script.no_transaction);
    assert_int_equal(script.lock_timeout_ms, 0);
    must_refuse("\n-- pawl: no-transactions", 2, "unknown directive \"-- pawl: no-transactions\"");
    must_refuse("-- pawl: no-transaction please", 1, "unknown directive");
    must_refuse("-- pawl:", 1, "unknown directive");
    must_refuse("-- pawl: lock_timeout", 1, "unknown directive");
    must_refuse("-- pawl: lock_timeout 5s", 1, "unknown directive");
    must_refuse("-- pawl: lock_timeout=", 1, "is no time");
    must_refuse("-- pawl: lock_timeout=0", 1, "is no time");
    must_refuse("-- pawl: lock_timeout=-5s", 1, "is no time");
    must_refuse("-- pawl: lock_timeout=25h", 1, "is no time");
    must_refuse("-- pawl: allow\nSELECT 1", 1, "unknown directive");
    must_refuse("-- pawl: allow anything why not\nSELECT 1", 1, "allow anything: there is no such hazard");
    must_refuse("-- pawl: allow drop-column\nSELECT 1", 1, "allow drop-column needs a reason");
    must_refuse("SELECT 1;\n-- pawl: allow drop-column nobody uses it\n", 2, "stands before no statement");
}

#define ROUND "UPDATE t SET a = 1 WHERE ctid = ANY (ARRAY (SELECT ctid FROM t WHERE a IS NULL LIMIT 100))"

static void a_batch_is_a_step_of_its_own_and_not_one_transaction(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct script script = must_parse(arena, "-- pawl: batch\n" ROUND);
    assert_int_equal(script.steps, 1);
    assert_false(script.transactional);
    assert_true(script.items[0].limited);
    assert_int_equal(script.items[0].operation, OPERATION_CHANGE_ROWS);
    assert_int_equal(script.items[0].kind, STATEMENT_ORDINARY);
    script =
        must_parse(arena, "CREATE TABLE t (a int);\nSELECT 1;\n-- pawl: batch\n" ROUND ";\nSELECT 2;\nSELECT 3;\n");
    const unsigned steps[] = {1, 1, 2, 3, 3};
    assert_int_equal(script.count, LENGTH(steps));
    for (size_t i = 0; i < script.count; i++) {
        assert_int_equal(script.items[i].step, steps[i]);
        assert_true((script.items[i].batch != NULL) == (i == 2));
    }
    assert_false(script.transactional);
    script = must_parse(arena, ROUND);
    assert_true(script.transactional);
    assert_null(script.items[0].batch);
}

static void a_batch_may_pause_and_wait_for_standbys(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct script script =
        must_parse(arena, "-- pawl: batch\n" ROUND ";\n-- PAWL: Batch\tPause=100ms  MAX_LAG=10s \n" ROUND
                          ";\n-- pawl: batch max_lag=2min\n" ROUND);
    const struct batch expected[] = {{0, 0, 1}, {100, 10000, 3}, {0, 120000, 5}};
    assert_int_equal(script.count, LENGTH(expected));
    for (size_t i = 0; i < script.count; i++) {
        const struct batch *batch = script.items[i].batch;
        assert_int_equal(batch->pause_ms, expected[i].pause_ms);
        assert_int_equal(batch->max_lag_ms, expected[i].max_lag_ms);
        assert_int_equal(batch->line, expected[i].line);
    }
}

static void what_may_be_a_batch_is_read_from_the_statement(void **state) {
    (void)state;
    static const char *const may[] = {
        "DELETE FROM t",
        "DELETE FROM t WHERE a < 7",
        "UPDATE t SET a = 1 FROM (SELECT 1 FROM u LIMIT 5) v",
        "INSERT INTO t SELECT * FROM u WHERE NOT EXISTS (SELECT FROM t WHERE t.a = u.a) LIMIT 5",
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "WITH d AS (DELETE FROM t WHERE a IN (SELECT a FROM t LIMIT 9) RETURNING *) INSERT INTO u SELECT * FROM d",
        "MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED THEN INSERT VALUES (u.a)",
        "DELETE FROM t WHERE a IN (SELECT a FROM t LIMIT 5 FOR UPDATE)",
    };
    for (size_t i = 0; i < LENGTH(may); i++) {
        cleanup_arena struct arena *arena = arena_new();
        struct script script = must_parse(arena, arena_printf(arena, "-- pawl: batch\n%s", may[i]));
        assert_non_null(script.items[0].batch);
    }
    static const struct {
        const char *sql, *why;
    } refused[] = {
        {"SELECT 1", "repeats an INSERT, UPDATE, DELETE or MERGE, and this is SELECT"},
        {"CALL p()", "and this is CALL"},
        {"TRUNCATE t", "and this is TRUNCATE"},
        {"CREATE INDEX CONCURRENTLY i ON t (a)", "and this is CREATE INDEX"},
        {"BEGIN; COMMIT", "and this is BEGIN"},
        {"COPY t FROM stdin;\n1\n\\.\n", "and this is COPY"},
        {"UPDATE t SET a = 1", "an UPDATE without WHERE touches every row in every round"},
        {"WITH x AS (SELECT 1) UPDATE t SET a = 1", "an UPDATE without WHERE"},
        {"INSERT INTO t VALUES (1)", "an INSERT of VALUES adds rows in every round"},
        {"INSERT INTO t DEFAULT VALUES", "an INSERT of VALUES adds rows in every round"},
        {"DELETE FROM t WHERE a IN (SELECT a FROM t LIMIT 5 FOR UPDATE SKIP LOCKED)",
         "SKIP LOCKED would end the batch"},
        {"FROBNICATE t", "the parser of this pawl cannot read"},
    };
    for (size_t i = 0; i < LENGTH(refused); i++) {
        cleanup_arena struct arena *arena = arena_new();
        must_refuse(arena_printf(arena, "SELECT 0;\n-- pawl: batch\n\n%s", refused[i].sql), 4, refused[i].why);
    }
}

static void a_batch_that_is_said_wrong_is_refused_by_name(void **state) {
    (void)state;
    must_refuse("-- pawl: batches\n" ROUND, 1, "known are no-transaction, lock_timeout=TIME, batch and allow");
    must_refuse("-- pawl: batch=5\n" ROUND, 1, "unknown directive");
    must_refuse("-- pawl: batch size=5\n" ROUND, 1,
                "batch: \"size=5\" is not known; known are pause=TIME and max_lag=TIME");
    must_refuse("-- pawl: batch pause\n" ROUND, 1, "\"pause\" is not known");
    must_refuse("-- pawl: batch pause =1s\n" ROUND, 1, "\"pause\" is not known");
    must_refuse("-- pawl: batch pauses=1s\n" ROUND, 1, "\"pauses=1s\" is not known");
    must_refuse("-- pawl: batch pause=1s max_lag=1s pause=2s\n" ROUND, 1, "batch: pause is given twice");
    must_refuse("-- pawl: batch max_lag=1s max_lag=1s\n" ROUND, 1, "batch: max_lag is given twice");
    must_refuse("-- pawl: batch pause=soon\n" ROUND, 1, "pause=soon is no time between 1ms and 24h");
    must_refuse("-- pawl: batch pause=\n" ROUND, 1, "pause= is no time");
    must_refuse("-- pawl: batch pause=0s\n" ROUND, 1, "pause=0s is no time");
    must_refuse("-- pawl: batch max_lag=25h\n" ROUND, 1, "max_lag=25h is no time");
    must_refuse("-- pawl: batch\n\n-- pawl: batch pause=1s\n" ROUND, 3,
                "a second \"-- pawl: batch\" for one statement; the first is in line 1");
    must_refuse(ROUND ";\n-- pawl: batch\n", 2, "stands before no statement");
    must_refuse("BEGIN;\n-- pawl: batch\n" ROUND ";\nCOMMIT", 3, "move it out of the block BEGIN ... COMMIT");
}

static void text_that_libpg_query_would_misread_is_refused(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct script script;
    struct error err = {0};
    assert_false(script_parse("f.sql", VIEW("SELECT 1\0; DROP TABLE t"), arena, &script, &err));
    assert_non_null(strstr(err.message, "NUL"));
    assert_false(script_parse("f.sql", VIEW("SELECT '\xff'"), arena, &script, &err));
    assert_non_null(strstr(err.message, "UTF-8"));
    assert_false(script_parse("f.sql", VIEW("\xef\xbb\xbfSELECT 1"), arena, &script, &err));
    assert_non_null(strstr(err.message, "byte order mark"));
}

// Strings with backslashes, standard_conforming_strings being off, are read differently by the parser, which knows only the default.
static void escapes_of_old_dumps_are_cut_right_and_not_analysed(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct script script =
        must_parse(arena, "SET standard_conforming_strings = off; SELECT '\\'; VACUUM; --'; SELECT 2");
    assert_int_equal(script.count, 3);
    assert_true(view_is(script.items[1].text, "SELECT '\\'; VACUUM; --'"));
    assert_false(script.items[1].analysed);
    assert_int_equal(script.items[1].kind, STATEMENT_ORDINARY);
}

static const char *repeat(struct arena *arena, const char *head, const char *part, size_t count, const char *tail) {
    size_t length = strlen(part), start = strlen(head);
    char *text = arena_alloc(arena, start + count * length + strlen(tail) + 1);
    memcpy(text, head, start);
    for (size_t i = 0; i < count; i++)
        memcpy(text + start + i * length, part, length);
    memcpy(text + start + count * length, tail, strlen(tail));
    return text;
}

static void deep_long_and_deeply_commented_statements_do_no_harm(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct script script = must_parse(arena, repeat(arena, "SELECT 1", "+1", 130000, ""));
    assert_true(script.analysed); // 260 kB, and 130,000 levels of tree
    script = must_parse(arena, repeat(arena, "SELECT 1", "+1", 1000000, ""));
    assert_false(script.analysed);
    script = must_parse(arena, repeat(arena, "SELECT 1", " UNION SELECT 1", 17000, ""));
    assert_true(script.analysed);
    script = must_parse(arena, repeat(arena, "SELECT ", "(", 100000, ""));
    assert_false(script.analysed);
    script = must_parse(arena, repeat(arena, "SELECT ", "/*", 50000, repeat(arena, "", "*/", 50000, "1")));
    assert_false(script.analysed);
    script = must_parse(arena, repeat(arena, "INSERT INTO t VALUES (1)", ",(1)", 500000, ";VACUUM"));
    assert_false(script.items[0].analysed);
    assert_true(script.items[1].analysed);
}

static void *parse_on_small_stack(void *context) {
    cleanup_arena struct arena *arena = arena_new();
    struct script script = must_parse(arena, context);
    return script.analysed ? context : NULL;
}

static void a_small_stack_is_enough_for_the_caller(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    const char *texts[] = {repeat(arena, "SELECT 1", "+1", 1000, ""), repeat(arena, "SELECT 1", "+1", 100000, "")};
    for (size_t i = 0; i < LENGTH(texts); i++) {
        pthread_attr_t attributes;
        pthread_t thread;
        void *result = NULL;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, (size_t)1 << 20);
        assert_int_equal(pthread_create(&thread, &attributes, parse_on_small_stack, (void *)(uintptr_t)texts[i]), 0);
        pthread_join(thread, &result);
        pthread_attr_destroy(&attributes);
        assert_ptr_equal(result, texts[i]);
    }
}

static void hashes_tell_statements_and_data_apart(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct script script =
        must_parse(arena, "SELECT 1; -- c\nSELECT 1;SELECT 2;COPY t FROM stdin;\n1\n\\.\nCOPY t FROM stdin;\n2\n\\.\n");
    assert_int_equal(strlen(script.items[0].hash), 16);
    assert_string_equal(script.items[0].hash, "e004ebd5b5532a4b"); // sha256sum
    assert_string_equal(script.items[0].hash, script.items[1].hash);
    assert_string_not_equal(script.items[0].hash, script.items[2].hash);
    assert_string_not_equal(script.items[3].hash, script.items[4].hash);
}

static void a_position_in_characters_becomes_a_line(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct script script = must_parse(arena, "\n\nSELECT '\u00e9\u00e8\u00fc',\n  x,\n  y");
    const struct statement *statement = &script.items[0];
    assert_int_equal(statement->line, 3);
    assert_int_equal(statement_line_at(statement, 1), 3);
    assert_int_equal(statement_line_at(statement, 14), 3);
    assert_int_equal(statement_line_at(statement, 17), 4); // the x: 16 characters and 19 bytes before it
    assert_int_equal(statement_line_at(statement, 22), 5);
    assert_int_equal(statement_line_at(statement, 9999), 5);
    assert_int_equal(statement_line_at(statement, 0), 3);
}

// On everything that the parser can read as a whole, both must find the same statements at the same places.
static void our_splitter_and_the_parser_agree(void **state) {
    (void)state;
    static const char *const scripts[] = {
        "SELECT 1; SELECT 'it''s; -- not /* ' ; SELECT \"a;b\" FROM t;;; SELECT E'\\';' ; SELECT $a$;$b$;$a$",
        "-- odd ' quote\nSELECT 1 /* ; /* ; */ ; */ + 2; /* tail ; */",
        "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO u VALUES (1); DELETE FROM v;); SELECT 1",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN (SELECT CASE 1 "
        "WHEN 1 THEN 2 END) "
        "END; SELECT 1 AS end; END; SELECT 1",
        "CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); DELETE FROM t; END; CALL p()",
        "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1;'; SELECT begin()",
        "BEGIN; SELECT 1; END; START TRANSACTION; COMMIT; DO $$ BEGIN NULL; END $$;",
        "SELECT E'a'\n'\\';', U&'\\0041;', B'01', X'ff', N'x;' ; SELECT 'a'\n';' ; SELECT U&\"d\\0061;\"",
        "SELECT 1 +-- c;\n 2; SELECT 1 */* ; */ 2; SELECT a$b$ FROM t; SELECT $1; SELECT 1.5e10, .5, 5.",
    };
    for (size_t i = 0; i < LENGTH(scripts); i++) {
        PgQuerySplitResult theirs = pg_query_split_with_parser(scripts[i]);
        if (theirs.error != NULL)
            fail_msg("%s: %s", scripts[i], theirs.error->message);
        struct splitter splitter = splitter_of("f.sql", view_of(scripts[i]));
        struct error err = {0};
        struct piece piece;
        for (int s = 0; s < theirs.n_stmts; s++) {
            assert_true(splitter_next(&splitter, &piece, &err));
            assert_int_equal(piece.kind, PIECE_STATEMENT);
            size_t start = (size_t)theirs.stmts[s]->stmt_location;
            size_t length = (size_t)theirs.stmts[s]->stmt_len;
            assert_true(piece.text.data >= scripts[i] + start);
            assert_true(length == 0 || piece.text.data + piece.text.length <= scripts[i] + start + length);
        }
        assert_true(splitter_next(&splitter, &piece, &err));
        assert_int_equal(piece.kind, PIECE_END);
        pg_query_free_split_result(theirs);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_postgresql_refuses_in_a_transaction_is_recognised),
        cmocka_unit_test(their_transactional_forms_are_not_mistaken_for_them),
        cmocka_unit_test(a_do_block_that_commits_is_found_in_every_place),
        cmocka_unit_test(tags_and_relations_read_as_people_write_them),
        cmocka_unit_test(syntax_newer_than_the_parser_is_sent_unread),
        cmocka_unit_test(what_cannot_be_read_is_judged_by_its_first_words),
        cmocka_unit_test(a_file_is_cut_into_steps),
        cmocka_unit_test(transaction_control_that_cannot_be_honoured_is_refused),
        cmocka_unit_test(directives_are_read_and_unknown_ones_refused),
        cmocka_unit_test(a_batch_is_a_step_of_its_own_and_not_one_transaction),
        cmocka_unit_test(a_batch_may_pause_and_wait_for_standbys),
        cmocka_unit_test(what_may_be_a_batch_is_read_from_the_statement),
        cmocka_unit_test(a_batch_that_is_said_wrong_is_refused_by_name),
        cmocka_unit_test(text_that_libpg_query_would_misread_is_refused),
        cmocka_unit_test(escapes_of_old_dumps_are_cut_right_and_not_analysed),
        cmocka_unit_test(deep_long_and_deeply_commented_statements_do_no_harm),
        cmocka_unit_test(a_small_stack_is_enough_for_the_caller),
        cmocka_unit_test(hashes_tell_statements_and_data_apart),
        cmocka_unit_test(a_position_in_characters_becomes_a_line),
        cmocka_unit_test(our_splitter_and_the_parser_agree),
    };
    return cmocka_run_group_tests_name("script/statement", tests, NULL, NULL);
}
