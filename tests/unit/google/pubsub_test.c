// Names of topics and subscriptions.
#include "google/pubsub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *name_of(struct arena *arena, const char *kind, const char *name, const char *project) {
    struct error err = {0};
    const char *full = NULL;
    if (!pubsub_name(kind, name, project, arena, &full, &err))
        assert_int_equal(err.code, ERROR_CONFIGURATION);
    return full;
}

static void a_short_name_gets_its_project(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    assert_string_equal(name_of(arena, "topics", "migrate", "p1"), "projects/p1/topics/migrate");
    assert_string_equal(name_of(arena, "subscriptions", "dead-1", "example.com:p1"),
                        "projects/example.com:p1/subscriptions/dead-1");
}

static void a_full_name_stays(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    assert_string_equal(name_of(arena, "topics", "projects/a/topics/b-._~+%c", "p1"), "projects/a/topics/b-._~+%c");
    assert_string_equal(name_of(arena, "topics", "projects/a/topics/abc", NULL), "projects/a/topics/abc");
}

static void a_name_that_is_none_is_refused(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    char long_name[300];
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    const char *const names[] = {
        "",
        "ab",
        "1abc",
        "-abc",
        "goog-x",
        "a b c",
        "a/b",
        "abc?",
        "abc#",
        "abc:pull",
        "abc\n",
        "\xc3\xa9"
        "abc",
        long_name,
        "projects/a/subscriptions/abc",
        "projects/a/topics/",
        "projects//topics/abc",
        "/projects/a/topics/abc",
        "projects/a/topics/abc/def",
        "projects/a b/topics/abc",
        "projects/a/topicsabc",
        "projects/../topics/abc",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_null(name_of(arena, "topics", names[i], "p1"));
    assert_null(name_of(arena, "topics", "migrate", NULL));
    assert_null(name_of(arena, "topics", "migrate", ""));
    assert_null(name_of(arena, "topics", "migrate", "a/b"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_name_gets_its_project),
        cmocka_unit_test(a_full_name_stays),
        cmocka_unit_test(a_name_that_is_none_is_refused),
    };
    return cmocka_run_group_tests_name("google/pubsub (pure)", tests, NULL, NULL);
}
