// Both alphabets of RFC 4648, and everything that a lenient decoder lets through.
#include "base/base64.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *bytes, *standard, *url;
} vectors[] = {
    // RFC 4648, section 10
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    // where the alphabets differ
    {"\xfb\xff\xfe", "+//+", "-__-"},
    {"\xff\xef", "/+8=", "_-8"},
};

static void the_vectors_of_rfc_4648_hold_both_ways(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        char room[16];
        size_t length = 99;
        cleanup_text struct text standard = TEXT(16), url = TEXT(16);
        base64_encode(view_of(vectors[i].bytes), &standard);
        base64url_encode(view_of(vectors[i].bytes), &url);
        assert_string_equal(text_string(&standard), vectors[i].standard);
        assert_string_equal(text_string(&url), vectors[i].url);
        assert_true(base64_decode(view_of(vectors[i].standard), room, &length));
        assert_true(view_is((struct view){room, length}, vectors[i].bytes));
        assert_true(base64url_decode(view_of(vectors[i].url), room, &length));
        assert_true(view_is((struct view){room, length}, vectors[i].bytes));
    }
}

static void every_byte_survives_and_the_bound_holds(void **state) {
    (void)state;
    char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 37 + 11);
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        cleanup_text struct text standard = TEXT(400), url = TEXT(400);
        size_t length = 0;
        base64_encode((struct view){bytes, size}, &standard);
        base64url_encode((struct view){bytes, size}, &url);
        assert_true(base64_decoded_max(url.length) >= size);
        assert_true(base64_decoded_max(url.length) <= size + 2);
        // Rooms of exactly the size promised: the address sanitizer watches.
        cleanup_free char *first = memory_alloc(base64_decoded_max(standard.length));
        assert_true(base64_decode((struct view){text_string(&standard), standard.length}, first, &length));
        assert_true(view_equal((struct view){first, length}, (struct view){bytes, size}));
        cleanup_free char *second = memory_alloc(base64_decoded_max(url.length));
        assert_true(base64url_decode((struct view){text_string(&url), url.length}, second, &length));
        assert_true(view_equal((struct view){second, length}, (struct view){bytes, size}));
    }
}

static void refuse(bool (*decode)(struct view, char *, size_t *), struct view text) {
    char room[64];
    size_t length = 99;
    if (decode(text, room, &length))
        fail_msg("\"%.*s\" was taken", (int)text.length, text.data);
    assert_int_equal(length, 99);
}

static void the_standard_decoder_takes_one_spelling_only(void **state) {
    (void)state;
    static const char *const bad[] = {
        "Zg",    "Zg=",      "Zg===",  "Zg====", "Z",        "Z===",     "A===",     "AAAAA===", "AAAA====",
        "=",     "==",       "===",    "====",   "=Zg=",     "Zg=a",     "Zg==Zg==", "Zm8=Zg",   "Zm8=Zm8=",
        " Zg==", "Zg== ",    "Zg==\n", "Zm\n9v", "Zm9v\n",   "Zm 9",     "Zm\t9",    "Zh==",     "Zv==",
        "Zm9=",  "Zm8\xc3=", "-__-",   "_-8=",   "Zm9v-w==", "Zm9v*A==", "Zm9v.",    "Zm9v,A==", "\xc3\xa9Zg",
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        refuse(base64_decode, view_of(bad[i]));
    refuse(base64_decode, VIEW("Zm9\0"));
    refuse(base64_decode, VIEW("\0\0\0\0"));
}

static void the_url_decoder_takes_one_spelling_only(void **state) {
    (void)state;
    static const char *const bad[] = {
        "Zg==", "A",    "AAAAA",    "Zm8=", "Zg=", "=",   "Z",      "Zm9vY",   "+//+", "/+8",   " Zg",    "Zg ",
        "Z g",  "Zg\n", "Zm\r\n9v", "Zh",   "Zv",  "Zm9", "Zm9vYh", "Zm8\xc3", "\xff", "Zm9v.", "Zm9v~A", "Zm%3D",
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        refuse(base64url_decode, view_of(bad[i]));
    refuse(base64url_decode, VIEW("Zm\0v"));
}

// Of all 256 bytes, exactly the 64 of the alphabet are digits.
static void no_foreign_character_is_a_digit(void **state) {
    (void)state;
    unsigned standard = 0, url = 0;
    for (unsigned c = 0; c < 256; c++) {
        char text[4] = {'A', 'A', 'A', (char)c}, room[8];
        size_t length;
        standard += base64_decode((struct view){text, 4}, room, &length) && length == 3;
        url += base64url_decode((struct view){text, 4}, room, &length);
    }
    assert_int_equal(standard, 64);
    assert_int_equal(url, 64);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4648_hold_both_ways),
        cmocka_unit_test(every_byte_survives_and_the_bound_holds),
        cmocka_unit_test(the_standard_decoder_takes_one_spelling_only),
        cmocka_unit_test(the_url_decoder_takes_one_spelling_only),
        cmocka_unit_test(no_foreign_character_is_a_digit),
    };
    return cmocka_run_group_tests_name("base/base64", tests, NULL, NULL);
}
