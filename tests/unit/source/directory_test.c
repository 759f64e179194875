// A folder is read as a set: names, order, identities, encodings; and a file that changes under the set is noticed.
#include "base/hash.h"
#include "source/directory.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

struct fixture {
    struct arena *arena;
    char folder[64];
    struct migration_set set;
    struct error err;
};

static int set_up(void **state) {
    struct fixture *fixture = memory_alloc(sizeof *fixture);
    fixture->arena = arena_new();
    memcpy(fixture->folder, "/tmp/pawl-directory.XXXXXX", 27);
    *state = fixture;
    return mkdtemp(fixture->folder) == NULL;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    int failure = system(arena_printf(fixture->arena, "rm -rf %s", fixture->folder));
    arena_free(fixture->arena);
    free(fixture);
    return failure;
}

static const char *path_of(struct fixture *fixture, const char *file) {
    return arena_printf(fixture->arena, "%s/%s", fixture->folder, file);
}

static void write_bytes(struct fixture *fixture, const char *file, const char *data, size_t length) {
    int fd = open(path_of(fixture, file), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), length);
    close(fd);
}

static void write_file(struct fixture *fixture, const char *file, const char *text) {
    write_bytes(fixture, file, text, strlen(text));
}

static bool read_set(struct fixture *fixture) {
    fixture->err = (struct error){0};
    return directory_read(fixture->folder, fixture->arena, &fixture->set, &fixture->err);
}

static void must_read(struct fixture *fixture) {
    if (!read_set(fixture))
        fail_msg("%s", fixture->err.message);
}

static void must_refuse(struct fixture *fixture, const char *file, unsigned line, const char *message) {
    assert_false(read_set(fixture));
    assert_int_equal(fixture->err.code, ERROR_SOURCE_INVALID);
    assert_string_equal(fixture->err.file, file);
    assert_int_equal(fixture->err.line, line);
    if (strstr(fixture->err.message, message) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fixture->err.message, message);
}

static const char *order_of(struct fixture *fixture) {
    const char *all = "";
    for (size_t i = 0; i < fixture->set.count; i++)
        all = arena_printf(fixture->arena, "%s%s%s", all, *all ? " " : "", fixture->set.items[i].file);
    return all;
}

static void versions_sort_as_numbers_of_any_length(void **state) {
    struct fixture *fixture = *state;
    static const char *const files[] = {
        "10_b.sql",   "2_a.sql",      "0001_z.sql",  "20240102030405999999_c.sql", "99999999999999999999999_d.sql",
        "0_zero.sql", "repeat_b.sql", "repeat_a.sql"};
    for (size_t i = 0; i < LENGTH(files); i++)
        write_file(fixture, files[i], "SELECT 1");
    must_read(fixture);
    assert_string_equal(order_of(fixture), "0_zero.sql 0001_z.sql 2_a.sql 10_b.sql 20240102030405999999_c.sql "
                                           "99999999999999999999999_d.sql repeat_a.sql repeat_b.sql");
    assert_string_equal(fixture->set.items[0].version, "0");
    assert_string_equal(fixture->set.items[1].version, "1");
    assert_string_equal(fixture->set.items[1].name, "z");
    assert_int_equal(fixture->set.items[6].kind, MIGRATION_REPEATABLE);
    assert_string_equal(fixture->set.items[6].version, "a");
}

static void versions_compare_whatever_their_padding(void **state) {
    (void)state;
    assert_int_equal(version_compare("0", "000"), 0);
    assert_int_equal(version_compare("0007", "7"), 0);
    assert_int_equal(version_compare("9", "10"), -1);
    assert_int_equal(version_compare("18446744073709551616", "18446744073709551615"), 1);
    assert_int_equal(version_compare("1", "0"), 1);
}

static void other_files_are_ignored(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "README.md", "");
    write_file(fixture, ".0001_hidden.sql", "");
    write_file(fixture, "0001_a.sql.bak", "");
    write_file(fixture, "notes", "\xff\xfe");
    mkdir(path_of(fixture, "0002_folder"), 0755);
    must_read(fixture);
    assert_int_equal(fixture->set.count, 0);
    assert_int_equal(strlen(fixture->set.digest), 64);
}

static void a_name_that_is_no_migrations_is_refused(void **state) {
    struct fixture *fixture = *state;
    static const char *const names[] = {"init.sql",    "V1__a.sql",  "1.sql",       "1_.sql",     "1-a.sql",
                                        "_a.sql",      "0001_a.SQL", "repeat_.sql", "repeat.sql", "repeat_a.down.sql",
                                        "1_.down.sql", "-1_a.sql",   "1.5_a.sql",   "1_a\n.sql",  "1_a\xff.sql",
                                        " 1_a.sql"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        write_file(fixture, names[i], "SELECT 1");
        assert_false(read_set(fixture));
        assert_int_equal(fixture->err.code, ERROR_SOURCE_INVALID);
        assert_non_null(strstr(fixture->err.message, "is no migration's name"));
        unlink(path_of(fixture, names[i]));
    }
}

static void names_may_hold_spaces_dots_and_letters_of_any_script(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "1_add users.v2.sql", "");
    write_file(fixture, "2_\u00e9t\u00e9.sql", "");
    must_read(fixture);
    assert_string_equal(fixture->set.items[0].name, "add users.v2");
    assert_string_equal(fixture->set.items[1].name, "\u00e9t\u00e9");
}

static void two_files_with_one_version_are_refused_and_both_named(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "1_a.sql", "");
    write_file(fixture, "0001_b.sql", "");
    must_refuse(fixture, "1_a.sql", 0, "0001_b.sql and 1_a.sql have the same version 1");
}

static void a_down_file_is_kept_aside(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "1_a.sql", "");
    write_file(fixture, "0001_a.down.sql", "");
    write_file(fixture, "2_b.sql", "");
    must_read(fixture);
    assert_int_equal(fixture->set.count, 2);
    assert_string_equal(fixture->set.items[0].down, "0001_a.down.sql");
    assert_null(fixture->set.items[1].down);
}

static void a_down_file_without_its_migration_is_refused(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "1_a.sql", "");
    write_file(fixture, "1_b.down.sql", "");
    must_refuse(fixture, "1_b.down.sql", 0, "takes back a migration that is not there");
}

static void the_checksum_is_of_the_text_without_mark_and_carriage_returns(void **state) {
    struct fixture *fixture = *state;
    char expected[65];
    hash_hex(VIEW("SELECT 1;\n\rSELECT 2;\n"), expected);
    write_file(fixture, "1_plain.sql", "SELECT 1;\n\rSELECT 2;\n");
    write_file(fixture, "2_windows.sql", "\xef\xbb\xbfSELECT 1;\r\n\rSELECT 2;\r\n");
    must_read(fixture);
    assert_string_equal(fixture->set.items[0].checksum, expected);
    assert_string_equal(fixture->set.items[1].checksum, expected);
    assert_int_equal(fixture->set.items[1].size, 21);
}

// The reader's buffer holds 64 KiB: characters and line ends are made to straddle its end in every way.
static void the_end_of_the_buffer_splits_nothing(void **state) {
    struct fixture *fixture = *state;
    const size_t length = (3 << 16) + 7;
    cleanup_free char *bytes = memory_alloc(length), *text = memory_alloc(length);
    for (size_t shift = 0; shift < 6; shift++) {
        size_t at = 0, kept = 0;
        for (; at < shift; at++)
            bytes[at] = text[kept++] = ' ';
        while (at + 6 <= length) {
            memcpy(bytes + at, "\xf0\x9f\x90\x98\r\n", 6);
            memcpy(text + kept, "\xf0\x9f\x90\x98\n", 5);
            at += 6, kept += 5;
        }
        char expected[65];
        hash_hex((struct view){text, kept}, expected);
        write_bytes(fixture, "1_a.sql", bytes, at);
        must_read(fixture);
        assert_string_equal(fixture->set.items[0].checksum, expected);
    }
}

static void what_is_not_utf8_is_refused_with_a_guess_and_a_line(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        const char *bytes;
        size_t length;
        unsigned line;
        const char *message;
    } rows[] = {
        {"SELECT 1;\n-- caf\xe9\n", 17, 2, "1_a.sql: line 2: not UTF-8 (it looks like ISO 8859-1"},
        {"-- \x93quoted\x94\n", 12, 1, "Windows-1252"},
        {"SELECT 1\n\xe2\x82", 11, 2, "not UTF-8"},
        {"\xff\xfeS\0E\0", 6, 1, "UTF-16"},
        {"\xfe\xff\0S\0E", 6, 1, "UTF-16"},
        {"S\0E\0L\0", 6, 1, "UTF-16"},
        {"\0S\0E", 4, 1, "UTF-16"},
        {"SELECT 1;\n\nSELECT '\0';", 23, 3, "NUL byte"},
        {"\xed\xa0\x80", 3, 1, "not UTF-8"},
        {"\xc0\x80", 2, 1, "not UTF-8"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        write_bytes(fixture, "1_a.sql", rows[i].bytes, rows[i].length);
        must_refuse(fixture, "1_a.sql", rows[i].line, rows[i].message);
    }
}

static void special_files_are_refused(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "real", "SELECT 1");
    assert_int_equal(symlink("real", path_of(fixture, "1_a.sql")), 0);
    must_refuse(fixture, "1_a.sql", 0, "a symbolic link");
    unlink(path_of(fixture, "1_a.sql"));
    assert_int_equal(mkfifo(path_of(fixture, "1_a.sql"), 0644), 0);
    must_refuse(fixture, "1_a.sql", 0, "not a regular file");
    unlink(path_of(fixture, "1_a.sql"));
    assert_int_equal(mkdir(path_of(fixture, "1_a.sql"), 0755), 0);
    must_refuse(fixture, "1_a.sql", 0, "a folder");
}

static void a_file_beyond_the_limit_is_refused_unread(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "1_a.sql", "");
    assert_int_equal(truncate(path_of(fixture, "1_a.sql"), (off_t)DIRECTORY_FILE_MAX + 1), 0);
    must_refuse(fixture, "1_a.sql", 0, "larger than");
}

static void a_folder_that_is_not_there_is_named(void **state) {
    struct fixture *fixture = *state;
    struct migration_set set = {0};
    struct error err = {0};
    assert_false(directory_read(path_of(fixture, "none"), fixture->arena, &set, &err));
    assert_int_equal(err.code, ERROR_SOURCE_UNREADABLE);
    assert_non_null(strstr(err.message, "/none: No such file"));
    assert_null(set.items);
}

static void empty_files_and_comments_are_migrations_without_statements(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "1_a.sql", "");
    write_file(fixture, "2_b.sql", "\xef\xbb\xbf-- nothing\r\n");
    must_read(fixture);
    for (size_t i = 0; i < 2; i++) {
        struct script script = {.count = 7};
        struct error err = {0};
        assert_true(migration_load(&fixture->set, &fixture->set.items[i], fixture->arena, &script, &err));
        assert_int_equal(script.count, 0);
        assert_true(script.transactional);
    }
}

static void a_migration_loads_as_its_normalised_text(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "1_a.sql", "\xef\xbb\xbfSELECT\r\n1;\r\nSELECT 2");
    must_read(fixture);
    struct script script;
    struct error err = {0};
    assert_true(migration_load(&fixture->set, &fixture->set.items[0], fixture->arena, &script, &err));
    assert_int_equal(script.count, 2);
    assert_true(view_is(script.items[0].text, "SELECT\n1"));
    assert_int_equal(script.items[1].line, 3);
}

static void a_down_file_loads_as_its_normalised_text(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture, "1_a.sql", "SELECT 1");
    write_file(fixture, "1_a.down.sql", "SELECT\r\n2;");
    must_read(fixture);
    struct script script = {0};
    struct error err = {0};
    assert_true(migration_load_down(&fixture->set, &fixture->set.items[0], fixture->arena, &script, &err));
    assert_int_equal(script.count, 1);
    assert_true(view_is(script.items[0].text, "SELECT\n2"));
    write_file(fixture, "1_a.down.sql", "SELECT '");
    assert_false(migration_load_down(&fixture->set, &fixture->set.items[0], fixture->arena, &script, &err));
    assert_int_equal(err.code, ERROR_SOURCE_INVALID);
    assert_string_equal(err.file, "1_a.down.sql");
}

static void a_migration_that_changed_under_the_set_is_refused(void **state) {
    struct fixture *fixture = *state;
    static const char *const changes[] = {"SELECT 2", "SELECT 1; SELECT 2", "SELECT", ""};
    for (size_t i = 0; i < LENGTH(changes); i++) {
        write_file(fixture, "1_a.sql", "SELECT 1");
        must_read(fixture);
        write_file(fixture, "1_a.sql", changes[i]);
        struct script script = {.count = 7};
        struct error err = {0};
        assert_false(migration_load(&fixture->set, &fixture->set.items[0], fixture->arena, &script, &err));
        assert_int_equal(err.code, ERROR_SOURCE_UNREADABLE);
        assert_string_equal(err.file, "1_a.sql");
        assert_int_equal(script.count, 7);
    }
}

static void the_digest_covers_versions_and_texts(void **state) {
    struct fixture *fixture = *state;
    char first[65], expected[65];
    write_file(fixture, "1_a.sql", "SELECT 1");
    write_file(fixture, "repeat_v.sql", "SELECT 2");
    must_read(fixture);
    const struct migration *items = fixture->set.items;
    hash_hex(view_of(arena_printf(fixture->arena, "1 %s\nv %s\n", items[0].checksum, items[1].checksum)), expected);
    assert_string_equal(fixture->set.digest, expected);
    memcpy(first, expected, sizeof first);
    write_file(fixture, "repeat_v.sql", "SELECT 3");
    must_read(fixture);
    assert_string_not_equal(fixture->set.digest, first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(versions_sort_as_numbers_of_any_length),
        TEST(versions_compare_whatever_their_padding),
        TEST(other_files_are_ignored),
        TEST(a_name_that_is_no_migrations_is_refused),
        TEST(names_may_hold_spaces_dots_and_letters_of_any_script),
        TEST(two_files_with_one_version_are_refused_and_both_named),
        TEST(a_down_file_is_kept_aside),
        TEST(a_down_file_without_its_migration_is_refused),
        TEST(the_checksum_is_of_the_text_without_mark_and_carriage_returns),
        TEST(the_end_of_the_buffer_splits_nothing),
        TEST(what_is_not_utf8_is_refused_with_a_guess_and_a_line),
        TEST(special_files_are_refused),
        TEST(a_file_beyond_the_limit_is_refused_unread),
        TEST(a_folder_that_is_not_there_is_named),
        TEST(empty_files_and_comments_are_migrations_without_statements),
        TEST(a_migration_loads_as_its_normalised_text),
        TEST(a_down_file_loads_as_its_normalised_text),
        TEST(a_migration_that_changed_under_the_set_is_refused),
        TEST(the_digest_covers_versions_and_texts),
    };
    return cmocka_run_group_tests_name("source/directory", tests, NULL, NULL);
}
