// The splitter cuts where psql cuts, and refuses by name what only psql understands.
#include "base/arena.h"
#include "script/splitter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

// The pieces of `sql` as "LINE:text|LINE:text[data]", or "!message" for a refusal.
static const char *pieces(struct arena *arena, const char *sql) {
    struct splitter splitter = splitter_of("f.sql", view_of(sql));
    struct error err = {0};
    struct piece piece;
    const char *all = "";
    for (;;) {
        if (!splitter_next(&splitter, &piece, &err))
            return arena_printf(arena, "!%s", err.message);
        if (piece.kind == PIECE_END)
            return all;
        all = arena_printf(arena, "%s%s%u:%s%.*s", all, *all ? "|" : "", piece.line,
                           piece.kind == PIECE_DIRECTIVE ? "@" : "", (int)piece.text.length, piece.text.data);
        if (piece.copy_in)
            all = arena_printf(arena, "%s[%.*s]", all, (int)piece.data.length, piece.data.data);
    }
}

struct row {
    const char *sql, *pieces;
};

static void check_rows(const struct row *rows, size_t count) {
    cleanup_arena struct arena *arena = arena_new();
    for (size_t i = 0; i < count; i++)
        assert_string_equal(pieces(arena, rows[i].sql), rows[i].pieces);
}

static void check_refusals(const struct row *rows, size_t count) {
    cleanup_arena struct arena *arena = arena_new();
    for (size_t i = 0; i < count; i++) {
        const char *found = pieces(arena, rows[i].sql);
        if (found[0] != '!' || strstr(found, rows[i].pieces) == NULL)
            fail_msg("%s\n gave %s\n and not %s", rows[i].sql, found, rows[i].pieces);
    }
}

static void statements_end_at_semicolons(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", ""},
        {";;; ;\n;", ""},
        {"SELECT 1", "1:SELECT 1"},
        {"SELECT 1;", "1:SELECT 1"},
        {"SELECT 1;SELECT 2", "1:SELECT 1|1:SELECT 2"},
        {"\n\n  SELECT\n 1 ;\n\nSELECT 2;", "3:SELECT\n 1|6:SELECT 2"},
        {"SELECT 1 -- one\n;", "1:SELECT 1"},
        {"-- c\n/* d */ SELECT 1 /* e */ + 1 /* f */;", "2:SELECT 1 /* e */ + 1"},
        {"-- only a comment", ""},
        {"/* a */;-- b\n", ""},
        {"SELECT 'caf\u00e9'; SELECT 2", "1:SELECT 'caf\u00e9'|1:SELECT 2"},
    };
    check_rows(rows, LENGTH(rows));
}

static void quoted_semicolons_do_not_cut(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"SELECT ';';x", "1:SELECT ';'|1:x"},
        {"SELECT 'it''s;';x", "1:SELECT 'it''s;'|1:x"},
        {"SELECT \"a;\"\"b;\";x", "1:SELECT \"a;\"\"b;\"|1:x"},
        {"SELECT '\\';x", "1:SELECT '\\'|1:x"},
        {"SELECT E'\\';';x", "1:SELECT E'\\';'|1:x"},
        {"SELECT e'\\\\';x", "1:SELECT e'\\\\'|1:x"},
        {"SELECT E'a'\n'\\';';x", "1:SELECT E'a'\n'\\';'|2:x"},
        {"SELECT E'a' -- c\n -- d\n '\\';';x", "1:SELECT E'a' -- c\n -- d\n '\\';'|3:x"},
        {"SELECT E'a' '\\';x", "1:SELECT E'a' '\\'|1:x"},
        {"SELECT typee'\\';x", "1:SELECT typee'\\'|1:x"},
        {"SELECT U&'\\';x", "1:SELECT U&'\\'|1:x"},
        {"SELECT U&\"\\\";x", "1:SELECT U&\"\\\"|1:x"},
        {"SELECT N'\\';x", "1:SELECT N'\\'|1:x"},
        {"SELECT B'01', X'ff;';x", "1:SELECT B'01', X'ff;'|1:x"},
    };
    check_rows(rows, LENGTH(rows));
}

static void dollar_quotes_hide_everything(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"DO $$;'--/*$$;x", "1:DO $$;'--/*$$|1:x"},
        {"DO $a$ ; $b$ ; $$ ; $a$;x", "1:DO $a$ ; $b$ ; $$ ; $a$|1:x"},
        {"DO $a$ $b$a$;x", "1:DO $a$ $b$a$|1:x"},
        {"DO $$ $b$$;x", "1:DO $$ $b$$|1:x"},
        {"DO $\u00e9_1$;$\u00e9_1$;x", "1:DO $\u00e9_1$;$\u00e9_1$|1:x"},
        {"SELECT a$b$;x$b$", "1:SELECT a$b$|1:x$b$"}, // part of a name
        {"SELECT $1;x$2", "1:SELECT $1|1:x$2"},       // a parameter
        {"SELECT 1$$;$$;x", "1:SELECT 1$$;$$|1:x"},
        {"DO $$\n\n$$;\nx", "1:DO $$\n\n$$|4:x"},
    };
    check_rows(rows, LENGTH(rows));
}

static void comments_hide_everything_and_nest(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"SELECT 1 -- ; it's\n;x", "1:SELECT 1|2:x"},
        {"SELECT /* ; ' $$ */ 1;x", "1:SELECT /* ; ' $$ */ 1|1:x"},
        {"/* a /* b ; */ ; */ x;y", "1:x|1:y"},
        {"/*/ ; */ x", "1:x"},
        {"/***/ x; /**/ y", "1:x|1:y"},
        {"x -- a\r;y", "1:x|1:y"},
        {"SELECT 1 +-- a;\n2;x", "1:SELECT 1 +-- a;\n2|2:x"},
        {"SELECT 1 */* ; */ 2;x", "1:SELECT 1 */* ; */ 2|1:x"},
        {"/*\n\n*/ x", "3:x"},
    };
    check_rows(rows, LENGTH(rows));
}

static void parentheses_and_bodies_hold_statements(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2);x",
         "1:CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)|1:x"},
        {"SELECT 1); x", "1:SELECT 1)|1:x"},
        {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;x",
         "1:CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END|1:x"},
        {"create or replace procedure f() begin atomic select case when a then 1 end; select 2; end;x",
         "1:create or replace procedure f() begin atomic select case when a then 1 end; select 2; end|1:x"},
        {"CREATE FUNCTION f() BEGIN ATOMIC SELECT (CASE WHEN a THEN CASE b WHEN 1 THEN 2 END END); END;x",
         "1:CREATE FUNCTION f() BEGIN ATOMIC SELECT (CASE WHEN a THEN CASE b WHEN 1 THEN 2 END END); END|1:x"},
        {"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS end, t.case FROM t; END;x",
         "1:CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS end, t.case FROM t; END|1:x"},
        {"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 end; SELECT 2; END;x",
         "1:CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 end; SELECT 2; END|1:x"},
        {"CREATE FUNCTION f() BEGIN ATOMIC END;x", "1:CREATE FUNCTION f() BEGIN ATOMIC END|1:x"},
        {"CREATE FUNCTION f(begin atomic) AS 'x';y", "1:CREATE FUNCTION f(begin atomic) AS 'x'|1:y"},
        {"CREATE FUNCTION begin() RETURNS int AS 'x';y", "1:CREATE FUNCTION begin() RETURNS int AS 'x'|1:y"},
        {"BEGIN; SELECT 1; END; x", "1:BEGIN|1:SELECT 1|1:END|1:x"},
        {"SELECT CASE WHEN a THEN b END;x", "1:SELECT CASE WHEN a THEN b END|1:x"},
    };
    check_rows(rows, LENGTH(rows));
}

static void copy_takes_its_data(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"COPY t FROM stdin;\n1\t;'x\n\\N\n\\.\nSELECT 1;", "1:COPY t FROM stdin[1\t;'x\n\\N\n]|5:SELECT 1"},
        {"COPY t (a, b) FROM STDIN WITH (FORMAT csv); -- c;\n\"a\n\\.",
         "1:COPY t (a, b) FROM STDIN WITH (FORMAT csv)[\"a\n]"},
        {"copy t from /* c */ stdin\n;\n\\.\nx", "1:copy t from /* c */ stdin[]|4:x"},
        {"COPY t FROM stdin;\n\\.x\n \\.\n\\.\nx", "1:COPY t FROM stdin[\\.x\n \\.\n]|5:x"},
        {"COPY (SELECT 1 FROM stdin) TO '/x';x", "1:COPY (SELECT 1 FROM stdin) TO '/x'|1:x"},
        {"COPY t FROM 'f' WHERE a IS DISTINCT FROM stdin;x", "1:COPY t FROM 'f' WHERE a IS DISTINCT FROM stdin|1:x"},
        {"COPY t FROM \"stdin\";x", "1:COPY t FROM \"stdin\"|1:x"},
        {"SELECT copy FROM stdin;x", "1:SELECT copy FROM stdin|1:x"},
    };
    check_rows(rows, LENGTH(rows));
}

static void what_editors_and_pg_dump_leave_is_skipped(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"SELECT 1;\n\u00a0\n", "1:SELECT 1"},
        {"SELECT 1;\u00a0\u2003\ufeff", "1:SELECT 1"},
        {"SELECT\u00a01;", "1:SELECT\u00a01"},
        {"\\restrict abc'def\nSELECT 1;\n\\unrestrict abc'def\n", "2:SELECT 1"},
        {"  \\restrict k", ""},
    };
    check_rows(rows, LENGTH(rows));
}

static void standard_conforming_strings_is_followed(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"SET standard_conforming_strings = off; SELECT '\\';';x",
         "1:SET standard_conforming_strings = off|1:SELECT '\\';'|1:x"},
        {"SET SESSION standard_conforming_strings TO 'off'; SELECT '\\';';x",
         "1:SET SESSION standard_conforming_strings TO 'off'|1:SELECT '\\';'|1:x"},
        {"SET standard_conforming_strings = off; SET standard_conforming_strings = on; SELECT '\\';x",
         "1:SET standard_conforming_strings = off|1:SET standard_conforming_strings = on|1:SELECT '\\'|1:x"},
        {"SET standard_conforming_strings=off; RESET standard_conforming_strings; SELECT '\\';x",
         "1:SET standard_conforming_strings=off|1:RESET standard_conforming_strings|1:SELECT '\\'|1:x"},
    };
    check_rows(rows, LENGTH(rows));
}

static void directives_are_found_between_statements(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"-- pawl: no-transaction\nSELECT 1;\n--pawl:lock_timeout=5s  \nx",
         "1:@no-transaction|2:SELECT 1|3:@lock_timeout=5s|4:x"},
        {"SELECT 1; -- PAWL: batch", "1:SELECT 1|1:@batch"},
        {"/* pawl: batch */ -- a pawl: b\nx -- pawls\n", "2:x"},
        {"SELECT '-- pawl: batch'", "1:SELECT '-- pawl: batch'"},
    };
    check_rows(rows, LENGTH(rows));
}

static void a_psql_command_is_refused_by_name_and_line(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"SELECT 1;\n\\connect x\n", "f.sql: line 2: \\connect is a command of psql"},
        {"\\d", "line 1: \\d is"},
        {"\\i other.sql", "line 1: \\i is"},
        {"\\copy t FROM 'x'", "line 1: \\copy is"},
        {"\\!rm", "line 1: \\! is"},
        {"SELECT 1 \\; SELECT 2", "line 1: \\; is"},
        {"SELECT 1\n\\gexec", "line 2: \\gexec is"},
        {"SELECT 1\n\\restrict x\n;", "line 2: \\restrict is"},
        {"\\", "line 1: \\ is"},
        {"\\restricted x", "line 1: \\restricted is"},
    };
    check_refusals(rows, LENGTH(rows));
}

static void what_is_never_closed_is_refused_with_its_first_line(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"SELECT 1;\nSELECT 'a\n\n", "line 2: the string"},
        {"SELECT E'a\\'", "line 1: the string"},
        {"SELECT '\\", "line 1: the string"},
        {"SELECT E'\\", "line 1: the string"},
        {"SELECT \"a", "line 1: the quoted name"},
        {"\nDO $$ x $a$", "line 2: the $$ that"},
        {"DO $body$ x $bod$ $$", "line 1: the $body$ that"},
        {"\n/* /* */", "line 2: the comment"},
        {"/*", "line 1: the comment"},
        {"SELECT 1 /*/", "line 1: the comment"},
        {"\nCOPY t FROM stdin;\n1\n", "line 2: the data of this COPY"},
        {"COPY t FROM stdin", "line 1: the data of this COPY"},
        {"COPY t FROM stdin;", "line 1: the data of this COPY"},
        {"COPY t FROM stdin;\n\\. \n", "line 1: the data of this COPY"},
        {"COPY t FROM stdin; SELECT 1;\n\\.\n", "line 1: the data of COPY ... FROM stdin begin on the line after"},
    };
    check_refusals(rows, LENGTH(rows));
}

static void a_directive_inside_a_statement_is_refused(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"SELECT 1\n-- pawl: no-transaction\n;", "line 2: a \"-- pawl:\" directive inside"},
    };
    check_refusals(rows, LENGTH(rows));
}

// Two megabytes of nested comments, or of other hostile things, are a matter of a moment; quadratic work would take many minutes.
static void hostile_sizes_take_linear_time(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    size_t size = 2 << 20;
    static const char *const patterns[] = {"/*/", "'a'\n", "E'a'\n",   "$a$ ", "$a$b",
                                           "((",  "--\n",  "E'a'--\n", "\"",   "a.b"};
    for (size_t i = 0; i < LENGTH(patterns); i++) {
        char *text = arena_alloc(arena, size + 1);
        size_t length = strlen(patterns[i]);
        for (size_t at = 0; at + length <= size; at += length)
            memcpy(text + at, patterns[i], length);
        struct splitter splitter = splitter_of("f.sql", view_of(text));
        struct error err = {0};
        struct piece piece = {0};
        while (splitter_next(&splitter, &piece, &err) && piece.kind != PIECE_END)
            continue;
        assert_true(splitter.at >= splitter.end || err.code == ERROR_SOURCE_INVALID);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_end_at_semicolons),
        cmocka_unit_test(quoted_semicolons_do_not_cut),
        cmocka_unit_test(dollar_quotes_hide_everything),
        cmocka_unit_test(comments_hide_everything_and_nest),
        cmocka_unit_test(parentheses_and_bodies_hold_statements),
        cmocka_unit_test(copy_takes_its_data),
        cmocka_unit_test(what_editors_and_pg_dump_leave_is_skipped),
        cmocka_unit_test(standard_conforming_strings_is_followed),
        cmocka_unit_test(directives_are_found_between_statements),
        cmocka_unit_test(a_psql_command_is_refused_by_name_and_line),
        cmocka_unit_test(what_is_never_closed_is_refused_with_its_first_line),
        cmocka_unit_test(a_directive_inside_a_statement_is_refused),
        cmocka_unit_test(hostile_sizes_take_linear_time),
    };
    return cmocka_run_group_tests_name("script/splitter", tests, NULL, NULL);
}
