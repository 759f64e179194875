// Every hazard fires on what it is about and is silent on the safe form; what the file creates is not in use; and an allowance is used or
// reported.
#include "script/action.h"
#include "script/hazard.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static struct findings lint(struct arena *arena, const char *sql) {
    struct script *script = arena_alloc(arena, sizeof *script);
    struct error err = {0};
    struct findings findings;
    if (!script_parse("f.sql", view_of(sql), arena, script, &err))
        fail_msg("%s\n was refused: %s", sql, err.message);
    hazard_lint(script, arena, &findings);
    return findings;
}

static const struct finding *found(const struct findings *findings, enum hazard hazard) {
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].hazard == hazard)
            return &findings->items[i];
    return NULL;
}

#define X63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static const struct row {
    const char *hazard, *fires, *silent;
} ROWS[] = {
    {"index-blocks-writes", "CREATE INDEX i ON t (a)", "CREATE INDEX CONCURRENTLY i ON t (a)"},
    {"drop-index-blocks", "DROP INDEX i", "DROP INDEX CONCURRENTLY i"},
    {"reindex-blocks", "REINDEX INDEX i", "REINDEX INDEX CONCURRENTLY i"},
    {"reindex-blocks", "REINDEX TABLE t", "REINDEX TABLE CONCURRENTLY t"},
    {"reindex-blocks", "REINDEX SCHEMA s", "REINDEX SCHEMA CONCURRENTLY s"},
    {"detach-blocks", "ALTER TABLE p DETACH PARTITION q", "ALTER TABLE p DETACH PARTITION q CONCURRENTLY"},
    {"attach-scans", "ALTER TABLE p ATTACH PARTITION q DEFAULT",
     "CREATE TABLE q (a int); ALTER TABLE p ATTACH PARTITION q DEFAULT"},
    {"foreign-key-verifies", "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u",
     "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u NOT VALID"},
    {"foreign-key-verifies", "ALTER TABLE t ADD a bigint DEFAULT 1 REFERENCES u",
     "ALTER TABLE t ADD a bigint REFERENCES u"},
    {"check-verifies", "ALTER TABLE t ADD CHECK (a > 0)", "ALTER TABLE t ADD CHECK (a > 0) NOT VALID"},
    {"check-verifies", "ALTER TABLE t ADD a bigint CHECK (a > 0)", "ALTER TABLE t ADD a bigint"},
    {"verify-under-lock", "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT c",
     "ALTER TABLE t VALIDATE CONSTRAINT c"},
    {"verify-under-lock",
     "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT c",
     "BEGIN; ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID; COMMIT; ALTER TABLE t VALIDATE CONSTRAINT c"},
    {"unique-builds", "ALTER TABLE t ADD UNIQUE (a)", "ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX i"},
    {"primary-key-builds", "ALTER TABLE t ADD PRIMARY KEY (a)",
     "ALTER TABLE t ADD CONSTRAINT c PRIMARY KEY USING INDEX i"},
    {"primary-key-scans", "ALTER TABLE t ADD CONSTRAINT c PRIMARY KEY USING INDEX i",
     "ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX i"},
    {"exclusion-builds", "ALTER TABLE t ADD EXCLUDE (a WITH =)",
     "CREATE TABLE t (a bigint); ALTER TABLE t ADD EXCLUDE (a WITH =)"},
    {"set-not-null-scans", "ALTER TABLE t ALTER a SET NOT NULL",
     "ALTER TABLE t ALTER a SET NOT NULL, DROP CONSTRAINT c"},
    {"set-not-null-scans", "ALTER TABLE t ALTER a SET NOT NULL; ALTER TABLE u DROP CONSTRAINT c",
     "ALTER TABLE t VALIDATE CONSTRAINT c; ALTER TABLE t ALTER a SET NOT NULL"},
    {"type-rewrites", "ALTER TABLE t ALTER a TYPE bigint",
     "CREATE TABLE t (a bigint); ALTER TABLE t ALTER a TYPE text"},
    {"default-rewrites", "ALTER TABLE t ADD a uuid DEFAULT gen_random_uuid()",
     "ALTER TABLE t ADD a timestamptz DEFAULT now()"},
    {"default-rewrites", "ALTER TABLE t ADD a bigint DEFAULT my.function(1)",
     "ALTER TABLE t ADD a jsonb DEFAULT '{}'::jsonb"},
    {"default-rewrites", "ALTER TABLE t ADD a timestamptz DEFAULT now() + random() * '1 day'::interval",
     "ALTER TABLE t ADD a timestamptz DEFAULT CURRENT_TIMESTAMP"},
    {"generated-rewrites", "ALTER TABLE t ADD a bigserial", "ALTER TABLE t ADD a bigint"},
    {"generated-rewrites", "ALTER TABLE t ADD a bigint GENERATED ALWAYS AS IDENTITY",
     "CREATE TABLE t (a bigint GENERATED ALWAYS AS IDENTITY)"},
    {"generated-rewrites", "ALTER TABLE t ADD a bigint GENERATED ALWAYS AS (b + 1) STORED",
     "ALTER TABLE t ADD a bigint DEFAULT 1"},
    {"rewrites-table", "VACUUM FULL t", "VACUUM t"},
    {"batch-unlimited", "-- pawl: batch\nDELETE FROM t WHERE a < 7",
     "-- pawl: batch\nDELETE FROM t WHERE id IN (SELECT id FROM t WHERE a < 7 LIMIT 1000)"},
    {"batch-unlimited", "-- pawl: batch\nINSERT INTO t SELECT * FROM u WHERE a NOT IN (SELECT a FROM t)",
     "-- pawl: batch\nINSERT INTO t SELECT * FROM u WHERE a NOT IN (SELECT a FROM t) FETCH FIRST 9 ROWS ONLY"},
    {"batch-unlimited", "-- pawl: batch\nDELETE FROM t", "DELETE FROM t WHERE a < 7"},
    {"rewrites-table", "ALTER TABLE t SET LOGGED", "ALTER TABLE t SET (fillfactor = 70)"},
    {"rewrites-table", "CLUSTER t USING i", "ALTER TABLE t CLUSTER ON i"},
    {"refresh-blocks-reads", "REFRESH MATERIALIZED VIEW m", "REFRESH MATERIALIZED VIEW CONCURRENTLY m"},
    {"work-under-lock", "ALTER TABLE t ADD a bigint; UPDATE t SET a = 1 WHERE b",
     "UPDATE t SET a = 1 WHERE b; ALTER TABLE t ADD a bigint"},
    {"work-under-lock", "DROP TABLE t; CREATE INDEX i ON u (a)",
     "DROP TABLE t; CREATE TABLE u (a bigint); CREATE INDEX i ON u (a)"},
    {"work-under-lock", "ALTER TABLE t ADD a bigint; SELECT f(a) FROM t",
     "ALTER TABLE t ADD a bigint; INSERT INTO u VALUES (1); SELECT set_config('a.b', '1', true)"},
    {"work-under-lock", "ALTER TABLE t ADD a bigint; INSERT INTO u SELECT 1 FROM t",
     "BEGIN; ALTER TABLE t ADD a bigint; COMMIT; UPDATE t SET a = 1 WHERE b"},
    {"locks-by-hand", "LOCK TABLE t", "LOCK TABLE t IN ROW EXCLUSIVE MODE"},
    {"changes-every-row", "UPDATE t SET a = 1", "UPDATE t SET a = 1 WHERE a IS NULL"},
    {"changes-every-row", "DELETE FROM t", "DELETE FROM t USING u WHERE t.a = u.a"},
    {"several-alters", "ALTER TABLE t ADD a bigint; ALTER TABLE t ADD b bigint",
     "ALTER TABLE t ADD a bigint, ADD b bigint; ALTER TABLE u ADD a bigint"},
    {"required-column", "ALTER TABLE t ADD a bigint NOT NULL", "ALTER TABLE t ADD a bigint NOT NULL DEFAULT 1"},
    {"drop-column", "ALTER TABLE t DROP a", "ALTER TABLE t ALTER a DROP DEFAULT"},
    {"drop-table", "DROP TABLE IF EXISTS t", "CREATE TABLE t (a bigint); DROP TABLE t"},
    {"rename-column", "ALTER TABLE t RENAME a TO b", "ALTER TABLE t RENAME CONSTRAINT a TO b"},
    {"rename-table", "ALTER TABLE t RENAME TO u", "ALTER INDEX t RENAME TO u"},
    {"rename-table", "ALTER TABLE t SET SCHEMA s", "ALTER TABLE t OWNER TO s"},
    {"rename-schema", "ALTER SCHEMA a RENAME TO b", "ALTER SCHEMA a OWNER TO b"},
    {"drop-not-null", "ALTER TABLE t ALTER a DROP NOT NULL", "ALTER TABLE t ALTER a DROP IDENTITY"},
    {"drop-schema", "DROP SCHEMA s", "CREATE SCHEMA s"},
    {"drop-database", "DROP DATABASE d", "CREATE DATABASE d"},
    {"drop-cascade", "DROP VIEW v CASCADE", "DROP VIEW v RESTRICT"},
    {"drop-cascade", "DROP TABLE t CASCADE", "DROP TABLE t"},
    {"truncates", "TRUNCATE t", "CREATE TABLE t (a bigint); TRUNCATE t"},
    {"truncate-cascade", "TRUNCATE t CASCADE", "TRUNCATE t"},
    {"switches-triggers", "ALTER TABLE t DISABLE TRIGGER USER", "ALTER TABLE t ENABLE ROW LEVEL SECURITY"},
    {"json-column", "CREATE TABLE t (a json)", "CREATE TABLE t (a jsonb)"},
    {"char-column", "ALTER TABLE t ADD a char(3)", "ALTER TABLE t ADD a text"},
    {"varchar-limit", "CREATE TABLE t (a varchar(3))", "CREATE TABLE t (a varchar)"},
    {"timestamp-column", "CREATE TABLE t (a timestamp)", "CREATE TABLE t (a timestamptz)"},
    {"narrow-integer", "CREATE TABLE t (a int)", "CREATE TABLE t (a bigint)"},
    {"narrow-integer", "CREATE TABLE t (a serial)", "CREATE TABLE t (a bigserial)"},
    {"serial-column", "CREATE TABLE t (a bigserial)", "CREATE TABLE t (a bigint GENERATED ALWAYS AS IDENTITY)"},
    {"enum-type", "CREATE TYPE m AS ENUM ('a')", "CREATE TYPE m AS (a bigint)"},
    {"enum-value-unordered", "ALTER TYPE m ADD VALUE 'b'", "ALTER TYPE m ADD VALUE 'b' AFTER 'a'"},
    {"domain-constraint", "CREATE DOMAIN d AS text CHECK (VALUE <> '')", "CREATE DOMAIN d AS text"},
    {"domain-verifies", "ALTER DOMAIN d ADD CHECK (VALUE <> '')", "ALTER DOMAIN d ADD CHECK (VALUE <> '') NOT VALID"},
    {"wide-index", "CREATE INDEX CONCURRENTLY i ON t (a, b, c, d)",
     "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a, b, c, d)"},
    {"long-name", "CREATE TABLE " X63 "l (a bigint)", "CREATE TABLE " X63 "." X63 " (a bigint)"},
    {"long-name", "SELECT 1 AS \"" X63 "\u00e9\"", "SELECT '" X63 "l', \"" X63 "\""},
    {"nameless-index", "CREATE INDEX CONCURRENTLY ON t (a)", "CREATE INDEX CONCURRENTLY i ON t (a)"},
    {"not-analysed", "SELECT a IS JSON FROM t", "SELECT a FROM t"},
    {"allows-nothing", "-- pawl: allow drop-table it is empty\nALTER TABLE t DROP a",
     "-- pawl: allow drop-column nobody reads it\nALTER TABLE t DROP a"},
};

static void each_hazard_fires_on_what_it_is_about(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        cleanup_arena struct arena *arena = arena_new();
        enum hazard hazard;
        assert_true(hazard_find(view_of(ROWS[i].hazard), &hazard));
        struct findings findings = lint(arena, ROWS[i].fires);
        if (found(&findings, hazard) == NULL)
            fail_msg("%s is silent on %s", ROWS[i].hazard, ROWS[i].fires);
    }
}

static void each_hazard_is_silent_on_the_safe_form(void **state) {
    (void)state;
    for (size_t i = 0; i < LENGTH(ROWS); i++) {
        cleanup_arena struct arena *arena = arena_new();
        enum hazard hazard;
        assert_true(hazard_find(view_of(ROWS[i].hazard), &hazard));
        struct findings findings = lint(arena, ROWS[i].silent);
        if (found(&findings, hazard) != NULL)
            fail_msg("%s fires on %s", ROWS[i].hazard, ROWS[i].silent);
    }
}

static void no_hazard_is_without_a_test_a_reason_and_a_way_out(void **state) {
    (void)state;
    for (size_t h = 0; h < HAZARD_COUNT; h++) {
        const struct hazard_row *row = hazard_row((enum hazard)h);
        bool tested = false;
        for (size_t i = 0; i < LENGTH(ROWS); i++)
            tested |= strcmp(ROWS[i].hazard, row->name) == 0;
        if (!tested || row->why[0] == '\0' || row->instead[0] == '\0' || row->sources[0] == '\0')
            fail_msg("%s", row->name);
        for (size_t other = 0; other < h; other++)
            assert_string_not_equal(row->name, hazard_row((enum hazard)other)->name);
    }
}

static void what_the_file_creates_is_not_in_use(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    static const char *const after[] = {
        "CREATE INDEX ON app.t (a)",
        "CREATE INDEX ON t (a)",
        "ALTER TABLE app.t ADD b bigint NOT NULL",
        "ALTER TABLE t ALTER a TYPE text",
        "ALTER TABLE t ADD UNIQUE (a)",
        "UPDATE t SET a = 1",
        "ALTER TABLE t DROP a",
    };
    for (size_t i = 0; i < LENGTH(after); i++) {
        struct findings findings = lint(arena, arena_printf(arena, "CREATE TABLE app.t (a bigint); %s", after[i]));
        if (findings.count > 0)
            fail_msg("%s: %s", after[i], hazard_row(findings.items[0].hazard)->name);
        findings =
            lint(arena, arena_printf(arena, "CREATE TABLE app.u (a bigint); CREATE TABLE at (a bigint); %s", after[i]));
        assert_int_not_equal(findings.count, 0);
        findings = lint(arena, arena_printf(arena, "%s; CREATE TABLE app.t (a bigint)", after[i]));
        assert_int_not_equal(findings.count, 0);
    }
}

static void a_finding_says_where_and_on_what(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct findings findings = lint(arena, "SELECT 1;\n\nALTER TABLE app.t\n  ADD a \"char\", ADD b json;\n");
    assert_int_equal(findings.count, 1);
    assert_int_equal(findings.items[0].line, 3);
    assert_string_equal(findings.items[0].subject, "app.t.b");
    assert_null(findings.items[0].waiver);
}

static void an_allowance_waives_its_hazard_for_its_statement_only(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct findings findings =
        lint(arena, "-- pawl: allow drop-table it never had rows\n-- pawl: allow drop-cascade only our view\n"
                    "DROP TABLE t CASCADE;\nDROP TABLE u;");
    assert_int_equal(findings.count, 3);
    assert_true(view_is(found(&findings, HAZARD_DROP_TABLE)->waiver->reason, "it never had rows"));
    assert_true(view_is(found(&findings, HAZARD_DROP_CASCADE)->waiver->reason, "only our view"));
    assert_int_equal(findings.items[2].hazard, HAZARD_DROP_TABLE);
    assert_null(findings.items[2].waiver);
}

static void an_allowance_that_waives_nothing_is_reported_at_its_line(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    struct findings findings = lint(arena, "SELECT 1;\n-- pawl: allow drop-table it never had rows\nSELECT 2;");
    assert_int_equal(findings.count, 1);
    assert_int_equal(findings.items[0].hazard, HAZARD_ALLOWS_NOTHING);
    assert_int_equal(findings.items[0].line, 2);
    assert_string_equal(findings.items[0].subject, "drop-table");
}

static void an_unknown_hazard_is_not_found(void **state) {
    (void)state;
    enum hazard hazard = HAZARD_DROP_TABLE;
    assert_false(hazard_find(VIEW("drop-tables"), &hazard));
    assert_false(hazard_find(VIEW(""), &hazard));
    assert_int_equal(hazard, HAZARD_DROP_TABLE);
}

static void lock_modes_know_whom_they_keep_out(void **state) {
    (void)state;
    assert_string_equal(lock_mode_name(MODE_SHARE_UPDATE_EXCLUSIVE), "SHARE UPDATE EXCLUSIVE");
    assert_false(lock_blocks_writes(MODE_SHARE_UPDATE_EXCLUSIVE));
    assert_true(lock_blocks_writes(MODE_SHARE));
    assert_false(lock_blocks_reads(MODE_EXCLUSIVE));
    assert_true(lock_blocks_reads(MODE_ACCESS_EXCLUSIVE));
    assert_string_equal(action_work_name(WORK_REWRITE), "rewrite");
    assert_string_equal(action_words(ACTION_ADD_COLUMN), "adds a column");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hazard_fires_on_what_it_is_about),
        cmocka_unit_test(each_hazard_is_silent_on_the_safe_form),
        cmocka_unit_test(no_hazard_is_without_a_test_a_reason_and_a_way_out),
        cmocka_unit_test(what_the_file_creates_is_not_in_use),
        cmocka_unit_test(a_finding_says_where_and_on_what),
        cmocka_unit_test(an_allowance_waives_its_hazard_for_its_statement_only),
        cmocka_unit_test(an_allowance_that_waives_nothing_is_reported_at_its_line),
        cmocka_unit_test(an_unknown_hazard_is_not_found),
        cmocka_unit_test(lock_modes_know_whom_they_keep_out),
    };
    return cmocka_run_group_tests_name("script/hazard", tests, NULL, NULL);
}
