// Keys that OpenSSL would take and we must not, and signatures at their edges.
#include "auth/signature.h"

#include "base/arena.h"
#include "base/base64.h"
#include "forge.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM (64 * 1024)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct pair {
    struct forge *forge;
    struct key *key;
    struct text modulus, exponent; // base64url
};

static int set_up(void **state) {
    struct pair *pair = memory_alloc(sizeof *pair);
    pair->forge = forge_new(2048);
    pair->key = forge_key(pair->forge);
    pair->modulus = pair->exponent = TEXT(ROOM);
    forge_modulus(pair->forge, &pair->modulus);
    forge_exponent(pair->forge, &pair->exponent);
    *state = pair;
    return 0;
}

static int tear_down(void **state) {
    struct pair *pair = *state;
    text_done(&pair->modulus);
    text_done(&pair->exponent);
    key_release(pair->key);
    forge_free(pair->forge);
    free(pair);
    return 0;
}

static struct view view(const struct text *text) {
    return (struct view){text_string(text), text->length};
}

static bool is_refused(struct view modulus, struct view exponent) {
    struct key *key = (struct key *)1;
    struct error err = {0};
    if (key_new(modulus, exponent, &key, &err)) {
        key_release(key);
        return false;
    }
    assert_ptr_equal(key, (struct key *)1);
    assert_int_equal(err.code, ERROR_KEYS_UNAVAILABLE);
    return true;
}

// A modulus of so many bits, all set but, when `even`, the last.
static bool bits_are_refused(size_t bits, bool even) {
    cleanup_text struct text bytes = TEXT(ROOM), modulus = TEXT(ROOM);
    if (bits % 8 != 0)
        text_append_char(&bytes, (char)((1 << bits % 8) - 1));
    for (size_t i = 0; i < bits / 8; i++)
        text_append_char(&bytes, (char)0xff);
    if (even)
        bytes.data[bytes.length - 1] = (char)0xfe;
    base64url_encode(view(&bytes), &modulus);
    return is_refused(view(&modulus), VIEW("AQAB"));
}

// ---- keys ------------------------------------------------------------------------------------------------------------

static void keys_of_2048_to_4096_bits_are_taken(void **state) {
    (void)state;
    static const size_t bits[] = {2048, 2049, 2056, 3072, 4095, 4096};
    for (size_t i = 0; i < COUNT(bits); i++)
        assert_false(bits_are_refused(bits[i], false));
}

static void other_sizes_are_refused(void **state) {
    (void)state;
    static const size_t bits[] = {1, 8, 512, 1024, 2040, 2047, 4097, 4104, 8192, 16384, 65536};
    for (size_t i = 0; i < COUNT(bits); i++)
        if (!bits_are_refused(bits[i], false))
            fail_msg("a modulus of %zu bits was taken", bits[i]);
}

static void leading_zeros_do_not_count_as_bits(void **state) {
    struct pair *pair = *state;
    cleanup_text struct text short_number = TEXT(ROOM), padded = TEXT(ROOM);
    for (size_t i = 0; i < 512; i++) // 1024 bits, written as 4096
        text_append_char(&short_number, i < 384 ? '\0' : (char)0xff);
    base64url_encode(view(&short_number), &padded);
    assert_true(is_refused(view(&padded), VIEW("AQAB")));
    // One zero in front of a good modulus, as some encoders write it, is the same key.
    char decoded[1024] = {0};
    size_t length = 0;
    assert_true(base64url_decode(view(&pair->modulus), decoded + 1, &length));
    text_clear(&padded);
    base64url_encode((struct view){decoded, length + 1}, &padded);
    struct key *key = NULL;
    struct error err = {0};
    assert_true(key_new(view(&padded), view(&pair->exponent), &key, &err));
    assert_true(key_equal(key, pair->key));
    cleanup_text struct text signature = TEXT(ROOM);
    forge_sign(pair->forge, FORGE_RS256, VIEW("message"), &signature);
    assert_true(signature_verify(key, VIEW("message"), view(&signature), &err));
    key_release(key);
}

static void an_even_modulus_is_refused(void **state) {
    (void)state;
    assert_true(bits_are_refused(2048, true));
}

static void a_modulus_that_is_no_base64url_is_refused(void **state) {
    struct pair *pair = *state;
    assert_true(is_refused(VIEW(""), VIEW("AQAB")));
    assert_true(is_refused(VIEW("AA"), VIEW("AQAB")));
    static const char *const tails[] = {"=", "==", " ", "\n", "+", "/", "!", "A"};
    for (size_t i = 0; i < COUNT(tails); i++) {
        cleanup_text struct text modulus = TEXT(ROOM);
        text_append(&modulus, pair->modulus.data);
        text_append(&modulus, tails[i]);
        // 342 characters for 256 bytes: one more ("A") is another number, and an even one.
        assert_true(is_refused(view(&modulus), VIEW("AQAB")));
    }
}

static void an_exponent_out_of_range_is_refused(void **state) {
    struct pair *pair = *state;
    static const unsigned char refused[][9] = {
        // length first
        {0},
        {1, 0},
        {1, 1},
        {1, 2},
        {1, 3},
        {1, 17},
        {2, 0xff, 0xff},
        {3, 1, 0, 0},
        {3, 1, 0, 2},
        {5, 2, 0, 0, 0, 1},
        {5, 0xff, 0xff, 0xff, 0xff, 0xff},
        {8, 1, 0, 0, 0, 0, 0, 0, 1},
        {8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    };
    for (size_t i = 0; i < COUNT(refused); i++) {
        cleanup_text struct text exponent = TEXT(ROOM);
        base64url_encode((struct view){(const char *)refused[i] + 1, refused[i][0]}, &exponent);
        if (!is_refused(view(&pair->modulus), view(&exponent)))
            fail_msg("exponent %zu was taken", i);
    }
    assert_true(is_refused(view(&pair->modulus), view(&pair->modulus))); // e as long as n
    assert_true(is_refused(view(&pair->modulus), VIEW("AQA=")));
}

static void an_exponent_in_range_is_taken(void **state) {
    struct pair *pair = *state;
    static const unsigned char taken[][6] = {
        {3, 1, 0, 1}, {4, 0, 1, 0, 1}, {3, 1, 0, 3}, {5, 1, 0xff, 0xff, 0xff, 0xff}};
    for (size_t i = 0; i < COUNT(taken); i++) {
        cleanup_text struct text exponent = TEXT(ROOM);
        base64url_encode((struct view){(const char *)taken[i] + 1, taken[i][0]}, &exponent);
        assert_false(is_refused(view(&pair->modulus), view(&exponent)));
    }
}

// ---- signatures ------------------------------------------------------------------------------------------------------

static enum error_code verdict(const struct key *key, struct view message, struct view signature) {
    struct error err = {0};
    bool holds = signature_verify(key, message, signature, &err);
    assert_int_equal(holds, err.code == ERROR_NONE);
    return err.code;
}

static void a_genuine_signature_verifies(void **state) {
    struct pair *pair = *state;
    static const struct view messages[] = {VIEW(""), VIEW("x"), VIEW("a.b"), VIEW("with\0nul")};
    for (size_t i = 0; i < COUNT(messages); i++) {
        cleanup_text struct text signature = TEXT(ROOM);
        forge_sign(pair->forge, FORGE_RS256, messages[i], &signature);
        assert_int_equal(verdict(pair->key, messages[i], view(&signature)), ERROR_NONE);
    }
}

static void every_single_bit_of_a_signature_counts(void **state) {
    struct pair *pair = *state;
    cleanup_text struct text signature = TEXT(ROOM);
    forge_sign(pair->forge, FORGE_RS256, VIEW("message"), &signature);
    for (size_t bit = 0; bit < signature.length * 8; bit++) {
        signature.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(verdict(pair->key, VIEW("message"), view(&signature)), ERROR_TOKEN_SIGNATURE);
        signature.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(verdict(pair->key, VIEW("message"), view(&signature)), ERROR_NONE);
}

static void a_signature_of_another_length_is_refused_unseen(void **state) {
    struct pair *pair = *state;
    cleanup_text struct text signature = TEXT(ROOM), longer = TEXT(ROOM);
    forge_sign(pair->forge, FORGE_RS256, VIEW("message"), &signature);
    text_append_char(&longer, '\0');
    text_append_view(&longer, view(&signature));
    assert_int_equal(verdict(pair->key, VIEW("message"), view(&longer)), ERROR_TOKEN_SIGNATURE);
    assert_int_equal(verdict(pair->key, VIEW("message"), (struct view){signature.data, 255}), ERROR_TOKEN_SIGNATURE);
    assert_int_equal(verdict(pair->key, VIEW("message"), VIEW("")), ERROR_TOKEN_SIGNATURE);
}

static void a_failed_verification_does_not_spoil_the_next(void **state) {
    struct pair *pair = *state;
    cleanup_text struct text signature = TEXT(ROOM);
    forge_sign(pair->forge, FORGE_RS256, VIEW("message"), &signature);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(verdict(pair->key, VIEW("other"), view(&signature)), ERROR_TOKEN_SIGNATURE);
        assert_int_equal(verdict(pair->key, VIEW("message"), view(&signature)), ERROR_NONE);
    }
}

// ---- counting --------------------------------------------------------------------------------------------------------

static void *verify_and_release(void *argument) {
    const struct key *key = argument;
    static const char zeros[256];
    bool refused = true;
    for (size_t i = 0; i < 20; i++) {
        const struct key *mine = key_keep(key);
        refused =
            refused && verdict(mine, VIEW("message"), (struct view){zeros, sizeof zeros}) == ERROR_TOKEN_SIGNATURE;
        key_release(mine);
    }
    key_release(key);
    return refused ? NULL : argument;
}

static void threads_share_a_key_and_the_last_one_frees_it(void **state) {
    struct pair *pair = *state;
    struct key *key = forge_key(pair->forge);
    pthread_t threads[8];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_and_release, (void *)key_keep(key)), 0);
    key_release(key); // the threads go on with theirs
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

static void releasing_nothing_is_fine(void **state) {
    (void)state;
    key_release(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_2048_to_4096_bits_are_taken),
        cmocka_unit_test(other_sizes_are_refused),
        cmocka_unit_test(leading_zeros_do_not_count_as_bits),
        cmocka_unit_test(an_even_modulus_is_refused),
        cmocka_unit_test(a_modulus_that_is_no_base64url_is_refused),
        cmocka_unit_test(an_exponent_out_of_range_is_refused),
        cmocka_unit_test(an_exponent_in_range_is_taken),
        cmocka_unit_test(a_genuine_signature_verifies),
        cmocka_unit_test(every_single_bit_of_a_signature_counts),
        cmocka_unit_test(a_signature_of_another_length_is_refused_unseen),
        cmocka_unit_test(a_failed_verification_does_not_spoil_the_next),
        cmocka_unit_test(threads_share_a_key_and_the_last_one_frees_it),
        cmocka_unit_test(releasing_nothing_is_fine),
    };
    return cmocka_run_group_tests_name("signature", tests, set_up, tear_down);
}
