// SHA-256 against vectors made by another implementation (coreutils sha256sum).
#include "base/hash.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect(struct view bytes, const char *hex) {
    char got[65];
    hash_hex(bytes, got);
    assert_string_equal(got, hex);
}

static void the_vectors_of_fips_180_hold(void **state) {
    (void)state;
    expect(VIEW(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(VIEW("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(VIEW("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// Lengths at which the padding takes one block more, or exactly fits.
static void every_length_around_a_block_is_padded_right(void **state) {
    (void)state;
    static const struct {
        size_t length;
        const char *hex;
    } cases[] = {
        {1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
        {54, "a3f01b6939256127582ac8ae9fb47a382a244680806a3f613a118851c1ca1d47"},
        {55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
        {57, "f13b2d724659eb3bf47f2dd6af1accc87b81f09f59f2b75e5c0bed6589dfe8c6"},
        {63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
        {64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
        {65, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0"},
        {119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb"},
        {120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c"},
        {127, "c57e9278af78fa3cab38667bef4ce29d783787a2f731d4e12200270f0c32320a"},
        {128, "6836cf13bac400e9105071cd6af47084dfacad4e5e302c94bfed24e013afb73e"},
        {1048576, "9bc1b2a288b26af7257a36277ae3816a7d4f16e89c1e7e77d0a5c48bad62b360"},
    };
    cleanup_free char *a = memory_alloc(1 << 20);
    memset(a, 'a', 1 << 20);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect((struct view){a, cases[i].length}, cases[i].hex);
}

static void the_pieces_do_not_matter(void **state) {
    (void)state;
    char text[300], whole[65], pieces[65];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    hash_hex((struct view){text, sizeof(text)}, whole);
    for (size_t step = 1; step < sizeof(text); step++) {
        struct hash hash;
        hash_begin(&hash);
        for (size_t at = 0; at < sizeof(text); at += step)
            hash_add(&hash, (struct view){text + at, sizeof(text) - at < step ? sizeof(text) - at : step});
        hash_end(&hash, pieces);
        assert_string_equal(pieces, whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_fips_180_hold),
        cmocka_unit_test(every_length_around_a_block_is_padded_right),
        cmocka_unit_test(the_pieces_do_not_matter),
    };
    return cmocka_run_group_tests_name("base/hash", tests, NULL, NULL);
}
