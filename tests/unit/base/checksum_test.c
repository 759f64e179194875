// CRC-32C against the vectors of RFC 3720 appendix B.4 and the usual check value.
#include "base/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void the_vectors_of_rfc_3720_hold(void **state) {
    (void)state;
    char bytes[32];
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(checksum_crc32c((struct view){bytes, sizeof(bytes)}), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(checksum_crc32c((struct view){bytes, sizeof(bytes)}), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (char)i;
    assert_int_equal(checksum_crc32c((struct view){bytes, sizeof(bytes)}), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        bytes[i] = (char)(31 - i);
    assert_int_equal(checksum_crc32c((struct view){bytes, sizeof(bytes)}), 0x113fdb5c);
}

static void the_check_value_and_the_empty_text_hold(void **state) {
    (void)state;
    assert_int_equal(checksum_crc32c(VIEW("123456789")), 0xe3069283);
    assert_int_equal(checksum_crc32c(VIEW("")), 0);
}

static void one_bit_changes_it(void **state) {
    (void)state;
    char text[] = "pawl";
    uint32_t before = checksum_crc32c(view_of(text));
    for (unsigned bit = 0; bit < 32; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        assert_int_not_equal(checksum_crc32c((struct view){text, 4}), before);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_3720_hold),
        cmocka_unit_test(the_check_value_and_the_empty_text_hold),
        cmocka_unit_test(one_bit_changes_it),
    };
    return cmocka_run_group_tests_name("base/checksum", tests, NULL, NULL);
}
