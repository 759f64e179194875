// Memory that is freed together. The address sanitizer watches for what is not freed.
#include "base/arena.h"

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void memory_comes_zeroed_aligned_and_apart(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    for (size_t size = 0; size < 40000; size = size * 2 + 1) {
        unsigned char *first = arena_alloc(arena, size), *second = arena_alloc(arena, size);
        assert_non_null(first);
        assert_int_equal((uintptr_t)first % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(first[i], 0);
        memset(first, 0xaa, size);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(second[i], 0);
        memset(second, 0xbb, size);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(first[i], 0xaa);
    }
}

static void a_big_piece_leaves_room_for_small_ones(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    char *before = arena_alloc(arena, 16);
    memset(arena_alloc(arena, 1 << 20), 1, 1 << 20);
    char *after = arena_alloc(arena, 16);
    assert_ptr_equal(after, before + 16);
}

static void copies_end_with_a_nul_and_may_hold_one(void **state) {
    (void)state;
    cleanup_arena struct arena *arena = arena_new();
    assert_memory_equal(arena_copy(arena, "a\0b", 3), "a\0b", 4);
    assert_string_equal(arena_copy(arena, NULL, 0), "");
    assert_string_equal(arena_string(arena, "text"), "text");
    assert_null(arena_string(arena, NULL));
    assert_string_equal(arena_printf(arena, "%s-%05d", "x", 42), "x-00042");
    assert_string_equal(arena_printf(arena, "%s", ""), "");
}

static void an_empty_arena_and_none_can_be_freed(void **state) {
    (void)state;
    arena_free(NULL);
    arena_free(arena_new());
}

// Runs `body` in a child and expects it to end by abort(), quietly.
static void expect_the_end(void (*body)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        body();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void overflow(void) {
    arena_array(arena_new(), SIZE_MAX / 2, 3);
}

static void too_much(void) {
    arena_alloc(arena_new(), SIZE_MAX - 8);
}

static void a_size_that_cannot_be_ends_the_process(void **state) {
    (void)state;
    expect_the_end(overflow);
    expect_the_end(too_much);
}

static void malloc_and_friends_never_return_null(void **state) {
    (void)state;
    cleanup_free char *empty = memory_alloc(0);
    assert_non_null(empty);
    cleanup_free char *grown = memory_grow(NULL, 4);
    memcpy(grown, "abc", 4);
    grown = memory_grow(grown, 4000);
    assert_string_equal(grown, "abc");
    cleanup_free char *copy = memory_string("copy");
    assert_string_equal(copy, "copy");
    memory_wipe(copy, 4);
    assert_memory_equal(copy, "\0\0\0\0", 5);
    memory_wipe(NULL, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_comes_zeroed_aligned_and_apart),
        cmocka_unit_test(a_big_piece_leaves_room_for_small_ones),
        cmocka_unit_test(copies_end_with_a_nul_and_may_hold_one),
        cmocka_unit_test(an_empty_arena_and_none_can_be_freed),
        cmocka_unit_test(a_size_that_cannot_be_ends_the_process),
        cmocka_unit_test(malloc_and_friends_never_return_null),
    };
    return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
