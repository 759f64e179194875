// Key sets: one strange member must not take the others away, and nothing ambiguous may be used.
#include "auth/jwks.h"

#include "base/arena.h"
#include "forge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM (1024 * 1024)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct issuer {
    struct forge *first, *second, *small;
    struct text modulus; // of `first`
};

static int set_up(void **state) {
    struct issuer *issuer = memory_alloc(sizeof *issuer);
    issuer->first = forge_new(2048);
    issuer->second = forge_new(2048);
    issuer->small = forge_new(1024);
    issuer->modulus = TEXT(ROOM);
    forge_modulus(issuer->first, &issuer->modulus);
    *state = issuer;
    return 0;
}

static int tear_down(void **state) {
    struct issuer *issuer = *state;
    forge_free(issuer->first);
    forge_free(issuer->second);
    forge_free(issuer->small);
    text_done(&issuer->modulus);
    free(issuer);
    return 0;
}

// NULL when it is refused.
static struct jwks *parse(struct view text) {
    struct jwks *jwks = NULL;
    struct error err = {0};
    if (jwks_parse(text, &jwks, &err))
        return jwks;
    assert_null(jwks);
    assert_int_equal(err.code, ERROR_KEYS_UNAVAILABLE);
    assert_true(err.message[0] != '\0');
    return NULL;
}

// {"keys":[...]} around `members`.
static struct jwks *parse_members(const char *members) {
    cleanup_text struct text set = TEXT(ROOM);
    text_printf(&set, "{\"keys\":[%s]}", members);
    return parse((struct view){set.data, set.length});
}

static void assert_has(const struct jwks *jwks, const char *kid, const struct forge *forge) {
    struct key *expected = forge_key(forge);
    const struct key *found = jwks_find(jwks, view_of(kid));
    assert_non_null(found);
    assert_true(key_equal(found, expected));
    key_release(expected);
}

// ---- whole sets ------------------------------------------------------------------------------------------------------

static void the_keys_of_a_set_are_found_by_kid(void **state) {
    const struct issuer *issuer = *state;
    cleanup_text struct text members = TEXT(ROOM);
    forge_jwk(issuer->first, "k1", &members);
    text_append_char(&members, ',');
    forge_jwk(issuer->second, "k2", &members);
    cleanup_jwks struct jwks *jwks = parse_members(members.data);
    assert_non_null(jwks);
    assert_int_equal(jwks_count(jwks), 2);
    assert_has(jwks, "k1", issuer->first);
    assert_has(jwks, "k2", issuer->second);
}

static void a_kid_is_compared_by_every_byte(void **state) {
    const struct issuer *issuer = *state;
    cleanup_text struct text members = TEXT(ROOM);
    forge_jwk(issuer->first, "k1", &members);
    cleanup_jwks struct jwks *jwks = parse_members(members.data);
    assert_non_null(jwks);
    static const struct view others[] = {VIEW(""),    VIEW("k"),    VIEW("K1"),  VIEW("k1 "),
                                         VIEW("k11"), VIEW("k1\0"), VIEW("\0k1")};
    for (size_t i = 0; i < COUNT(others); i++)
        assert_null(jwks_find(jwks, others[i]));
}

static void what_is_no_key_set_is_refused(void **state) {
    const struct issuer *issuer = *state;
    static const char *const texts[] = {
        "",
        " ",
        "null",
        "[]",
        "{}",
        "\"keys\"",
        "{\"keys\":null}",
        "{\"keys\":{}}",
        "{\"keys\":\"x\"}",
        "{\"Keys\":[]}",
        "{\"keys\":[]}",
        "{\"keys\":[],\"keys\":[]}",
        "{\"keys\":[null]}",
        "<html><body>Sorry</body></html>",
        "not json",
        "{\"kid1\":\"-----BEGIN CERTIFICATE-----\"}",
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_null(parse(view_of(texts[i])));
    cleanup_text struct text set = TEXT(ROOM);
    text_append(&set, "{\"keys\":[");
    forge_jwk(issuer->first, "k1", &set);
    text_append(&set, "]}");
    for (size_t length = 0; length < set.length; length += 7) // cut anywhere
        assert_null(parse((struct view){set.data, length}));
    text_append(&set, "x");
    assert_null(parse((struct view){set.data, set.length}));
}

static void a_set_nested_deeper_than_16_is_refused(void **state) {
    const struct issuer *issuer = *state;
    for (size_t depth = 12; depth <= 14; depth++) {
        cleanup_text struct text members = TEXT(ROOM);
        forge_jwk(issuer->first, "k1", &members);
        text_append_char(&members, ','); // inside the object and the array already
        for (size_t i = 0; i < depth; i++)
            text_append_char(&members, '[');
        text_append_char(&members, '1');
        for (size_t i = 0; i < depth; i++)
            text_append_char(&members, ']');
        cleanup_jwks struct jwks *jwks = parse_members(members.data);
        assert_int_equal(jwks != NULL, depth <= 13);
    }
}

static void a_set_of_more_than_64_members_is_refused(void **state) {
    const struct issuer *issuer = *state;
    cleanup_text struct text members = TEXT(ROOM);
    forge_jwk(issuer->first, "k1", &members);
    for (size_t i = 1; i < 64; i++)
        text_append(&members, ",{}");
    struct jwks *full = parse_members(members.data);
    assert_non_null(full);
    jwks_free(full);
    text_append(&members, ",{}");
    assert_null(parse_members(members.data));
}

// ---- members ---------------------------------------------------------------------------------------------------------

// A member beside a good one: it is not taken, and the good one is.
static void assert_passed_over(const struct issuer *issuer, const char *member) {
    cleanup_text struct text members = TEXT(ROOM);
    text_append(&members, member);
    text_append_char(&members, ',');
    forge_jwk(issuer->second, "good", &members);
    cleanup_jwks struct jwks *jwks = parse_members(members.data);
    if (jwks == NULL || jwks_count(jwks) != 1)
        fail_msg("%s beside a good key gives %zu keys", member, jwks != NULL ? jwks_count(jwks) : 0);
    assert_has(jwks, "good", issuer->second);
    assert_null(parse_members(member));
}

static void strange_members_are_passed_over(void **state) {
    static const char *const members[] = {
        "null",
        "true",
        "1",
        "\"RSA\"",
        "[]",
        "[{\"kty\":\"RSA\"}]",
        "{}",
        "{\"kty\":\"RSA\"}",
        "{\"kty\":null}",
        "{\"kty\":[\"RSA\"]}",
        "{\"alg\":256}",
        "{\"kty\":\"ML-DSA\",\"kid\":\"k\",\"pub\":\"AA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"AA\"}",
        "{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":1,\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"kid\":\"k\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"\",\"e\":\"\"}",
        "{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"AA\",\"e\":\"AQAB\"}",
    };
    for (size_t i = 0; i < COUNT(members); i++)
        assert_passed_over(*state, members[i]);
}

static void keys_not_meant_for_rs256_are_passed_over(void **state) {
    const struct issuer *issuer = *state;
    static const char *const members[] = {
        "\"kty\":\"rsa\",\"kid\":\"k\"",
        "\"kty\":\"EC\",\"kid\":\"k\"",
        "\"kid\":\"k\"",
        "\"kty\":\"RSA\"",
        "\"kty\":\"RSA\",\"kid\":\"\"",
        "\"kty\":\"RSA\",\"kid\":1",
        "\"kty\":\"RSA\",\"kid\":null",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"use\":\"enc\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"use\":null",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"use\":\"SIG\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"use\":[\"sig\"]",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"alg\":\"RS512\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"alg\":\"PS256\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"alg\":\"HS256\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"alg\":\"none\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"alg\":256",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"alg\":\"rs256\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"key_ops\":[]",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"key_ops\":[\"sign\"]",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"key_ops\":\"verify\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"key_ops\":[1,null]",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"d\":\"AQAB\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"k\":\"AQAB\"",
    };
    for (size_t i = 0; i < COUNT(members); i++) {
        cleanup_text struct text member = TEXT(ROOM);
        text_printf(&member, "{%s,\"n\":\"%s\",\"e\":\"AQAB\"}", members[i], issuer->modulus.data);
        assert_passed_over(issuer, member.data);
    }
}

static void keys_that_leave_their_purpose_open_are_taken(void **state) {
    const struct issuer *issuer = *state;
    static const char *const members[] = {
        "\"kty\":\"RSA\",\"kid\":\"k\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"use\":\"sig\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"alg\":\"RS256\",\"x5t\":\"x\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"key_ops\":[\"encrypt\",\"verify\"]",
    };
    for (size_t i = 0; i < COUNT(members); i++) {
        cleanup_text struct text member = TEXT(ROOM);
        text_printf(&member, "{%s,\"n\":\"%s\",\"e\":\"AQAB\"}", members[i], issuer->modulus.data);
        cleanup_jwks struct jwks *jwks = parse_members(member.data);
        assert_non_null(jwks);
        assert_has(jwks, "k", issuer->first);
    }
}

static void weak_keys_are_passed_over(void **state) {
    const struct issuer *issuer = *state;
    cleanup_text struct text small = TEXT(ROOM), one = TEXT(ROOM), three = TEXT(ROOM);
    forge_jwk(issuer->small, "k", &small);
    assert_passed_over(issuer, small.data);
    text_printf(&one, "{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"%s\",\"e\":\"AQ\"}", issuer->modulus.data);
    assert_passed_over(issuer, one.data);
    text_printf(&three, "{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"%s\",\"e\":\"Aw\"}", issuer->modulus.data);
    assert_passed_over(issuer, three.data);
}

static void a_kid_longer_than_256_bytes_is_passed_over(void **state) {
    const struct issuer *issuer = *state;
    char kid[258];
    memset(kid, 'k', sizeof kid);
    kid[257] = '\0';
    cleanup_text struct text member = TEXT(ROOM), fits = TEXT(ROOM);
    forge_jwk(issuer->first, kid, &member);
    assert_passed_over(issuer, member.data);
    kid[256] = '\0';
    forge_jwk(issuer->first, kid, &fits);
    cleanup_jwks struct jwks *jwks = parse_members(fits.data);
    assert_non_null(jwks);
    assert_has(jwks, kid, issuer->first);
}

static void different_keys_under_one_kid_are_none_of_them_taken(void **state) {
    const struct issuer *issuer = *state;
    cleanup_text struct text twins = TEXT(ROOM), triplets = TEXT(ROOM);
    forge_jwk(issuer->first, "k", &twins);
    text_append_char(&twins, ',');
    forge_jwk(issuer->second, "k", &twins);
    assert_passed_over(issuer, twins.data);
    text_append(&triplets, twins.data); // and the third, equal to the first, does not bring it back
    text_append_char(&triplets, ',');
    forge_jwk(issuer->first, "k", &triplets);
    assert_passed_over(issuer, triplets.data);
}

static void the_same_key_twice_is_one_key(void **state) {
    const struct issuer *issuer = *state;
    cleanup_text struct text members = TEXT(ROOM);
    forge_jwk(issuer->first, "k", &members);
    text_append_char(&members, ',');
    forge_jwk(issuer->first, "k", &members);
    cleanup_jwks struct jwks *jwks = parse_members(members.data);
    assert_non_null(jwks);
    assert_int_equal(jwks_count(jwks), 1);
    assert_has(jwks, "k", issuer->first);
}

static void a_kid_may_hold_any_character_but_nul(void **state) {
    const struct issuer *issuer = *state;
    cleanup_text struct text members = TEXT(ROOM);
    forge_jwk(issuer->first, "../\n\t\"'\\%s\x7f\xc3\xa9", &members);
    cleanup_jwks struct jwks *jwks = parse_members(members.data);
    assert_non_null(jwks);
    assert_has(jwks, "../\n\t\"'\\%s\x7f\xc3\xa9", issuer->first);
    assert_null(jwks_find(jwks, VIEW("../  \"'\\%s \xc3\xa9")));
}

static void the_message_says_what_is_wrong_with_the_last_key(void **state) {
    const struct issuer *issuer = *state;
    cleanup_text struct text set = TEXT(ROOM);
    struct jwks *jwks = NULL;
    struct error err = {0};
    text_append(&set, "{\"keys\":[null,");
    forge_jwk(issuer->small, "k", &set);
    text_append(&set, "]}");
    assert_false(jwks_parse((struct view){set.data, set.length}, &jwks, &err));
    assert_string_equal(err.message,
                        "the key set has no usable key (of 2; the last refused one: the key has 1024 bits, not "
                        "2048 to 4096)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_keys_of_a_set_are_found_by_kid),
        cmocka_unit_test(a_kid_is_compared_by_every_byte),
        cmocka_unit_test(what_is_no_key_set_is_refused),
        cmocka_unit_test(a_set_nested_deeper_than_16_is_refused),
        cmocka_unit_test(a_set_of_more_than_64_members_is_refused),
        cmocka_unit_test(strange_members_are_passed_over),
        cmocka_unit_test(keys_not_meant_for_rs256_are_passed_over),
        cmocka_unit_test(keys_that_leave_their_purpose_open_are_taken),
        cmocka_unit_test(weak_keys_are_passed_over),
        cmocka_unit_test(a_kid_longer_than_256_bytes_is_passed_over),
        cmocka_unit_test(different_keys_under_one_kid_are_none_of_them_taken),
        cmocka_unit_test(the_same_key_twice_is_one_key),
        cmocka_unit_test(a_kid_may_hold_any_character_but_nul),
        cmocka_unit_test(the_message_says_what_is_wrong_with_the_last_key),
    };
    return cmocka_run_group_tests_name("jwks", tests, set_up, tear_down);
}
