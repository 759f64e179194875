// Percent-encoding: nothing that means something in a URL or a form gets through as it is.
#include "net/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect(struct view value, const char *encoded) {
    cleanup_text struct text out = TEXT(4096);
    url_append(&out, value);
    assert_string_equal(text_string(&out), encoded);
}

static void unreserved_characters_stay(void **state) {
    (void)state;
    expect(VIEW("abcxyzABCXYZ0189-._~"), "abcxyzABCXYZ0189-._~");
    expect(VIEW(""), "");
}

static void everything_else_is_encoded_byte_by_byte(void **state) {
    (void)state;
    expect(VIEW("https://a/?b=c&d#e%20+ \r\n"), "https%3A%2F%2Fa%2F%3Fb%3Dc%26d%23e%2520%2B%20%0D%0A");
    expect(VIEW("\xc3\xa9\xff"), "%C3%A9%FF");
    expect(VIEW("a\0b"), "a%00b");
}

static void no_byte_that_is_left_means_anything(void **state) {
    (void)state;
    cleanup_text struct text out = TEXT(4096);
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        url_append(&out, (struct view){&byte, 1});
    }
    assert_int_equal(strspn(text_string(&out), "%abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"),
                     out.length);
    assert_int_equal(out.length, 66 + 3 * (256 - 66));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unreserved_characters_stay),
        cmocka_unit_test(everything_else_is_encoded_byte_by_byte),
        cmocka_unit_test(no_byte_that_is_left_means_anything),
    };
    return cmocka_run_group_tests_name("net/url", tests, NULL, NULL);
}
