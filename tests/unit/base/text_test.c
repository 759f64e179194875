// Views, growing text, secrets, characters and numbers.
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void views_compare_by_length_and_bytes(void **state) {
    (void)state;
    assert_true(view_is(VIEW("aud"), "aud"));
    assert_false(view_is(VIEW("aud\0evil"), "aud"));
    assert_false(view_is(VIEW("au"), "aud"));
    assert_true(view_equal(view_of(NULL), VIEW("")));
    assert_true(view_equal((struct view){0}, VIEW("")));
    assert_false(view_equal(VIEW("a\0b"), VIEW("a\0c")));
    assert_true(view_starts(VIEW("projects/p"), "projects/"));
    assert_false(view_starts(VIEW("project"), "projects/"));
    assert_true(view_starts(VIEW(""), ""));
    assert_true(view_is(view_trim(VIEW(" \t\r\n\f\va b \n")), "a b"));
    assert_int_equal(view_trim(VIEW(" \n ")).length, 0);
    assert_true(view_equal(view_trim(VIEW("\0x\0")), VIEW("\0x\0")));
}

static void text_grows_and_always_ends_with_a_nul(void **state) {
    (void)state;
    cleanup_text struct text text = TEXT(100000);
    assert_string_equal(text_string(&text), "");
    for (size_t i = 0; i < 1000; i++) {
        text_append(&text, "abc");
        text_append_char(&text, '-');
        text_printf(&text, "%03zu", i);
        assert_int_equal(text.length, 7 * (i + 1));
        assert_int_equal(strlen(text_string(&text)), text.length);
    }
    assert_false(text.full);
    assert_true(view_starts(view_of(text.data), "abc-000abc-001"));
}

static void what_does_not_fit_is_left_out_whole_with_all_that_follows(void **state) {
    (void)state;
    cleanup_text struct text text = TEXT(8);
    text_append(&text, "12345678");
    assert_false(text.full);
    text_cut(&text, 5);
    text_append(&text, "6789");
    assert_true(text.full);
    assert_string_equal(text_string(&text), "12345");
    text_append(&text, "6");
    text_printf(&text, "%d", 7);
    assert_string_equal(text_string(&text), "12345");
    text_clear(&text);
    text_printf(&text, "%s", "123456789");
    assert_true(text.full);
    assert_string_equal(text_string(&text), "");
}

static void a_text_without_a_maximum_takes_nothing(void **state) {
    (void)state;
    cleanup_text struct text text = {0};
    text_append(&text, "a");
    assert_true(text.full);
    assert_string_equal(text_string(&text), "");
}

static void clearing_keeps_the_memory_and_forgets_the_rest(void **state) {
    (void)state;
    cleanup_text struct text text = TEXT(10);
    text_append(&text, "abc");
    char *data = text.data;
    text_clear(&text);
    assert_string_equal(text_string(&text), "");
    text_append(&text, "x");
    assert_ptr_equal(text.data, data);
    text_done(&text);
    assert_null(text.data);
    assert_int_equal(text.max, 10);
}

static void a_secret_may_be_set_again_even_from_itself(void **state) {
    (void)state;
    cleanup_secret struct secret secret = {0};
    secret_set(&secret, "first");
    secret_set(&secret, secret.value);
    assert_string_equal(secret.value, "first");
    secret_set(&secret, "second");
    assert_string_equal(secret.value, "second");
    secret_set(&secret, NULL);
    assert_null(secret.value);
    secret_done(&secret);
}

static void utf8_is_what_rfc_3629_says(void **state) {
    (void)state;
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",             // continuation alone
        "a\xbf",            //
        "\xc0\x80",         // overlong NUL
        "\xc1\xbf",         // overlong
        "\xc2",             // cut
        "\xc2 ",            //
        "\xe0\x9f\xbf",     // overlong
        "\xe2\x82",         // cut
        "\xe2\x28\xa1",     //
        "\xed\xa0\x80",     // U+D800
        "\xed\xbf\xbf",     // U+DFFF
        "\xf0\x8f\xbf\xbf", // overlong
        "\xf0\x90\x80",     // cut
        "\xf4\x90\x80\x80", // U+110000
        "\xf5\x80\x80\x80", //
        "\xfe",             //
        "\xff\xff\xff\xff", //
    };
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(text_is_utf8(view_of(good[i])));
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (text_is_utf8(view_of(bad[i])))
            fail_msg("bad[%zu] was taken", i);
    }
    assert_false(text_is_utf8((struct view){"\xe2\x82\xac", 2})); // the length counts, not the bytes after it
}

static void every_character_has_its_length_and_number(void **state) {
    (void)state;
    uint32_t character = 0;
    assert_int_equal(text_utf8(VIEW("A"), &character), 1);
    assert_int_equal(character, 'A');
    assert_int_equal(text_utf8(VIEW("\xe2\x82\xac."), &character), 3);
    assert_int_equal(character, 0x20ac);
    assert_int_equal(text_utf8(VIEW("\xf4\x8f\xbf\xbf"), &character), 4);
    assert_int_equal(character, 0x10ffff);
    assert_int_equal(text_utf8(VIEW(""), &character), 0);
    assert_int_equal(text_utf8(VIEW("\xff"), &character), 0);
    assert_int_equal(character, 0x10ffff);
}

static void numbers_are_digits_and_nothing_else(void **state) {
    (void)state;
    uint64_t number = 77;
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x10",
                                      "1.0",
                                      "1e3",
                                      "1\n",
                                      "1_0",
                                      "१",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(text_to_u64(view_of(bad[i]), UINT64_MAX, &number));
    assert_false(text_to_u64(VIEW("1\0"), UINT64_MAX, &number));
    assert_false(text_to_u64(VIEW("101"), 100, &number));
    assert_int_equal(number, 77);
    assert_true(text_to_u64(VIEW("100"), 100, &number));
    assert_int_equal(number, 100);
    assert_true(text_to_u64(VIEW("000"), 0, &number));
    assert_int_equal(number, 0);
    assert_true(text_to_u64(VIEW("18446744073709551615"), UINT64_MAX, &number));
    assert_true(number == UINT64_MAX);
}

static void durations_have_four_units_and_a_bound(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"5s", 5000}, {"200ms", 200}, {"10min", 600000}, {"2h", 7200000}, {"7", 7000}, {"0", 0}};
    static const char *const bad[] = {
        "", "s", "-1s", "1 s", "1m", "1d", "1S", "1.5s", "1ss", "3h", "18446744073709551615h"};
    uint64_t ms = 77;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(text_to_ms(view_of(bad[i]), 7200000, &ms));
    assert_int_equal(ms, 77);
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(text_to_ms(view_of(good[i].text), 7200000, &ms));
        assert_int_equal(ms, good[i].ms);
    }
}

static void a_copy_is_harmless_and_never_cuts_a_character(void **state) {
    (void)state;
    char room[8];
    text_copy(room, sizeof(room), VIEW("a\nb\0c\x7f"));
    assert_string_equal(room, "a b c ");
    text_copy(room, sizeof(room), VIEW("12345\xe2\x82\xac"));
    assert_string_equal(room, "12345");
    text_copy(room, sizeof(room), VIEW("1234\xe2\x82\xac"));
    assert_string_equal(room, "1234\xe2\x82\xac");
    text_copy(room, sizeof(room), VIEW("\xc2\x9b\xff\xc3"));
    assert_string_equal(room, " ??");
    char shown[32]; // what makes a line, or turns what a reader sees around; the marks that some scripts need stay
    text_copy(shown, sizeof(shown), VIEW("a\u202eb\u2028c\u2069d\u200f"));
    assert_string_equal(shown, "a b c d\u200f");
    text_copy(room, 1, VIEW("abc"));
    assert_string_equal(room, "");
    memcpy(room,
           "\xff"
           "a\nb",
           5);
    text_copy(room, sizeof(room), view_of(room));
    assert_string_equal(room, "?a b");
    room[0] = 'x';
    text_copy(room, 0, VIEW("abc"));
    assert_int_equal(room[0], 'x');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_compare_by_length_and_bytes),
        cmocka_unit_test(text_grows_and_always_ends_with_a_nul),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole_with_all_that_follows),
        cmocka_unit_test(a_text_without_a_maximum_takes_nothing),
        cmocka_unit_test(clearing_keeps_the_memory_and_forgets_the_rest),
        cmocka_unit_test(a_secret_may_be_set_again_even_from_itself),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(every_character_has_its_length_and_number),
        cmocka_unit_test(numbers_are_digits_and_nothing_else),
        cmocka_unit_test(durations_have_four_units_and_a_bound),
        cmocka_unit_test(a_copy_is_harmless_and_never_cuts_a_character),
    };
    return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
