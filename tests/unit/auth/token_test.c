// The push token's form, header and signature: the few that are accepted, and all the ways in which others must not be.
// Its claims: claims_test.c.
#include "base/arena.h"
#include "base/base64.h"
#include "court.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void good_token(const struct court *court, struct text *out) {
    draft_sign(&(struct draft){0}, court->issuer, COURT_HEADER, out);
}

// ---- what is accepted ------------------------------------------------------------------------------------------------

static void a_good_token_yields_its_claims(void **state) {
    struct court *court = *state;
    court_expect(court_judge_draft(court, &(struct draft){0}), ERROR_NONE, "a good token");
    assert_string_equal(court->claims.email, COURT_CALLER);
    assert_string_equal(court->claims.subject, "113774264463038321964");
    assert_string_equal(court->claims.issuer, "https://accounts.google.com");
    assert_string_equal(court->claims.audience, COURT_AUDIENCE);
    assert_int_equal(court->claims.issued_at, 1699999400);
    assert_int_equal(court->claims.expires_at, 1700003000);
    assert_int_equal(court->found, 1);
}

static void harmless_headers_are_accepted(void **state) {
    static const char *const headers[] = {
        "{\"alg\":\"RS256\",\"kid\":\"k1\"}",
        "{\"kid\":\"k1\",\"typ\":\"jwt\",\"alg\":\"RS256\"}",
        " {\"alg\" : \"RS256\", \"kid\":\"k1\", \"typ\":\"JwT\", \"x\":1}\n",
        "{\"alg\":\"RS\\u003256\",\"kid\":\"\\u006b1\"}",
    };
    for (size_t i = 0; i < COUNT(headers); i++)
        court_expect(court_judge_header(*state, view_of(headers[i])), ERROR_NONE, headers[i]);
}

static void the_scheme_is_read_in_any_case(void **state) {
    static const char *const schemes[] = {"Bearer ", "bearer ", "BEARER ", "bEaReR "};
    for (size_t i = 0; i < COUNT(schemes); i++) {
        cleanup_text struct text authorization = TEXT(COURT_ROOM);
        good_token(*state, &authorization);
        memcpy(authorization.data, schemes[i], strlen(schemes[i]));
        court_expect(court_judge(*state, court_view(&authorization)), ERROR_NONE, schemes[i]);
    }
}

// ---- the field -------------------------------------------------------------------------------------------------------

static void a_request_without_a_bearer_token_is_refused(void **state) {
    static const char *const fields[] = {
        "",        "Bearer", "Bearer ",     "Basic dXNlcjpwYXNz", "Bearerx.y.z", "Bearer\tx.y.z",
        " Bearer", "x.y.z",  "Token x.y.z", "Beare x.y.z"};
    for (size_t i = 0; i < COUNT(fields); i++)
        court_expect(court_judge(*state, view_of(fields[i])), ERROR_TOKEN_MISSING, fields[i]);
    court_expect(court_judge(*state, (struct view){0}), ERROR_TOKEN_MISSING, "an absent field");
}

static void a_good_token_with_something_around_it_is_refused(void **state) {
    static const struct view before[] = {VIEW(" "), VIEW("\t"), VIEW("\""), VIEW("."), VIEW("Bearer "), VIEW("\0")};
    static const struct view after[] = {
        VIEW(" "),  VIEW("\n"),       VIEW("\r"), VIEW("\0"), VIEW("\0junk"), VIEW(", x"), VIEW("="),  VIEW("=="),
        VIEW("\""), VIEW("\xc3\xa9"), VIEW("+"),  VIEW("/"),  VIEW("%2e"),    VIEW("."),   VIEW(".x"), VIEW("\x7f"),
    };
    struct court *court = *state;
    cleanup_text struct text good = TEXT(COURT_ROOM);
    good_token(court, &good);
    for (size_t i = 0; i < COUNT(before) + COUNT(after); i++) {
        cleanup_text struct text authorization = TEXT(COURT_ROOM);
        text_append(&authorization, "Bearer ");
        if (i < COUNT(before))
            text_append_view(&authorization, before[i]);
        text_append(&authorization, good.data + strlen("Bearer "));
        if (i >= COUNT(before))
            text_append_view(&authorization, after[i - COUNT(before)]);
        court_expect(court_judge(court, court_view(&authorization)), ERROR_TOKEN_MALFORMED,
                     "something around the token");
        assert_int_equal(court->found, 0);
    }
}

static void anything_but_three_full_segments_is_refused(void **state) {
    static const char *const tokens[] = {
        "Bearer x",    "Bearer x.y",  "Bearer .",    "Bearer ..",   "Bearer x..",     "Bearer ..x",      "Bearer .x.",
        "Bearer x.y.", "Bearer .y.z", "Bearer x..z", "Bearer ....", "Bearer w.x.y.z", "Bearer v.w.x.y.z"};
    for (size_t i = 0; i < COUNT(tokens); i++)
        court_expect(court_judge(*state, view_of(tokens[i])), ERROR_TOKEN_MALFORMED, tokens[i]);
    struct court *court = *state;
    assert_string_equal(court->err.message, "the token has 5 segments, not 3");
}

static void a_token_above_8_kib_is_refused_however_good(void **state) {
    for (size_t size = 5000; size <= 6200; size += 1200) {
        cleanup_text struct text extra = TEXT(COURT_ROOM);
        text_append(&extra, "\"x\":\"");
        while (extra.length < size)
            text_append_char(&extra, '0');
        text_append_char(&extra, '"');
        court_expect(court_judge_draft(*state, &(struct draft){.extra = extra.data}),
                     size == 5000 ? ERROR_NONE : ERROR_TOKEN_MALFORMED, "a large token");
    }
}

static void a_removed_signature_is_named_before_anything_else(void **state) {
    struct court *court = *state;
    court_expect(court_judge(court, VIEW("Bearer x.y.SIGNATURE_REMOVED_BY_GOOGLE")), ERROR_TOKEN_SIGNATURE_REMOVED,
                 "x.y");
    cleanup_text struct text good = TEXT(COURT_ROOM), authorization = TEXT(COURT_ROOM);
    good_token(court, &good);
    *strrchr(good.data, '.') = '\0';
    text_printf(&authorization, "%s.SIGNATURE_REMOVED_BY_GOOGLE", good.data);
    court_expect(court_judge(court, court_view(&authorization)), ERROR_TOKEN_SIGNATURE_REMOVED, "a good token");
    assert_non_null(strstr(court->err.message, "X-Serverless-Authorization"));
    assert_int_equal(court->found, 0);
}

static void only_the_exact_marker_is_a_removed_signature(void **state) {
    static const char *const signatures[] = {"SIGNATURE_REMOVED_BY_GOOGLEx", "signature_removed_by_google",
                                             "SIGNATURE_REMOVED"};
    for (size_t i = 0; i < COUNT(signatures); i++) {
        cleanup_text struct text good = TEXT(COURT_ROOM), authorization = TEXT(COURT_ROOM);
        good_token(*state, &good);
        *strrchr(good.data, '.') = '\0';
        text_printf(&authorization, "%s.%s", good.data, signatures[i]);
        enum error_code code = court_judge(*state, court_view(&authorization));
        assert_true(code == ERROR_TOKEN_SIGNATURE || code == ERROR_TOKEN_MALFORMED);
    }
}

// ---- base64url and JSON ----------------------------------------------------------------------------------------------

// A good token with some of its segments replaced by other text.
static enum error_code judge_raw(struct court *court, const char *header, const char *claims, const char *signature) {
    cleanup_text struct text good = TEXT(COURT_ROOM), authorization = TEXT(COURT_ROOM);
    good_token(court, &good);
    char *token = good.data + strlen("Bearer "), *dot = strchr(token, '.'), *last = strrchr(token, '.');
    *dot = *last = '\0';
    text_printf(&authorization, "Bearer %s.%s.%s", header ? header : token, claims ? claims : dot + 1,
                signature ? signature : last + 1);
    return court_judge(court, court_view(&authorization));
}

static void base64url_with_spare_bits_or_a_lone_character_is_refused(void **state) {
    // "{}" is e30: e31 has a spare bit set, the others impossible lengths.
    static const char *const segments[] = {"e31", "e", "e30e0", "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn1"};
    for (size_t i = 0; i < COUNT(segments); i++) {
        court_expect(judge_raw(*state, segments[i], NULL, NULL), ERROR_TOKEN_MALFORMED, segments[i]);
        court_expect(judge_raw(*state, NULL, segments[i], NULL), ERROR_TOKEN_MALFORMED, segments[i]);
    }
    court_expect(judge_raw(*state, NULL, NULL, "e31"), ERROR_TOKEN_MALFORMED, "spare bits in the signature");
    court_expect(judge_raw(*state, NULL, NULL, "eeeee"), ERROR_TOKEN_MALFORMED, "a signature of impossible length");
}

static void json_that_is_no_plain_object_is_refused(void **state) {
    static const struct view cases[] = {
        VIEW("null"),
        VIEW("true"),
        VIEW("[]"),
        VIEW("\"x\""),
        VIEW("1"),
        VIEW("{"),
        VIEW("{}{}"),
        VIEW("{} x"),
        VIEW("{}\0"),
        VIEW("{},"),
        VIEW("\xef\xbb\xbf{}"),
        VIEW("{'a':1}"),
        VIEW("{\"a\":1,}"),
        VIEW("{\"a\"}"),
        VIEW("{\"a\":\"\xff\"}"),
        VIEW("{\"a\":\"\n\"}"),
        VIEW("{\"a\":NaN}"),
        VIEW("{\"a\":01}"),
        VIEW("/**/{}"),
        VIEW("{\"a\":\"\\ud800\"}"),
        VIEW("{\"a\":\"\\u0000\"}"),
        VIEW("{\"a\\u0000\":1}"),
        VIEW("{\"a\":1}\0{\"b\":1}"),
    };
    cleanup_text struct text good = TEXT(COURT_ROOM);
    draft_write(&(struct draft){0}, &good);
    for (size_t i = 0; i < COUNT(cases); i++) {
        court_expect(court_judge_bytes(*state, cases[i], court_view(&good)), ERROR_TOKEN_MALFORMED, cases[i].data);
        court_expect(court_judge_bytes(*state, VIEW(COURT_HEADER), cases[i]), ERROR_TOKEN_MALFORMED, cases[i].data);
    }
}

static void trailing_bytes_after_good_json_are_refused(void **state) {
    static const struct view tails[] = {VIEW("x"), VIEW("{}"), VIEW("\0"), VIEW(","), VIEW("}"), VIEW("\0{\"aud\":1}")};
    for (size_t i = 0; i < COUNT(tails); i++) {
        cleanup_text struct text header = TEXT(COURT_ROOM), claims = TEXT(COURT_ROOM), good = TEXT(COURT_ROOM);
        draft_write(&(struct draft){0}, &good);
        draft_write(&(struct draft){0}, &claims);
        text_append_view(&claims, tails[i]);
        text_append(&header, COURT_HEADER);
        text_append_view(&header, tails[i]);
        court_expect(court_judge_bytes(*state, court_view(&header), court_view(&good)), ERROR_TOKEN_MALFORMED,
                     "header");
        court_expect(court_judge_bytes(*state, VIEW(COURT_HEADER), court_view(&claims)), ERROR_TOKEN_MALFORMED,
                     "claims");
    }
}

// ---- the header ------------------------------------------------------------------------------------------------------

static void any_algorithm_but_rs256_is_refused(void **state) {
    static const char *const algorithms[] = {
        "\"none\"",   "\"None\"",   "\"NONE\"",    "\"nOnE\"",      "\" none\"", "\"none \"",    "\"none\\u0009\"",
        "\"\"",       "\"HS256\"",  "\"HS384\"",   "\"HS512\"",     "\"RS384\"", "\"RS512\"",    "\"PS256\"",
        "\"PS384\"",  "\"ES256\"",  "\"ES256K\"",  "\"EdDSA\"",     "\"rs256\"", "\"Rs256\"",    "\"RS256 \"",
        "\" RS256\"", "\"RS2567\"", "\"RS25\"",    "\"RS256\\n\"",  "\"dir\"",   "\"RSA-OAEP\"", "null",
        "true",       "256",        "[\"RS256\"]", "{\"RS256\":1}", "[]",        "\"RSA\"",
    };
    struct court *court = *state;
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        cleanup_text struct text header = TEXT(COURT_ROOM);
        text_printf(&header, "{\"alg\":%s,\"kid\":\"k1\",\"typ\":\"JWT\"}", algorithms[i]);
        court_expect(court_judge_header(court, court_view(&header)), ERROR_TOKEN_ALGORITHM, algorithms[i]);
        assert_int_equal(court->found, 0);
    }
    court_expect(court_judge_header(court, VIEW("{\"kid\":\"k1\"}")), ERROR_TOKEN_ALGORITHM, "alg absent");
    court_expect(court_judge_header(court, VIEW("{\"ALG\":\"RS256\",\"kid\":\"k1\"}")), ERROR_TOKEN_ALGORITHM,
                 "ALG alone");
    court_expect(court_judge_header(court, VIEW("{\"alg\":\"RS256\\u0000\",\"kid\":\"k1\"}")), ERROR_TOKEN_MALFORMED,
                 "NUL");
}

static void an_unsigned_token_is_refused(void **state) {
    static const char *const headers[] = {"eyJhbGciOiJub25lIn0", "eyJhbGciOiJOT05FIiwia2lkIjoiazEifQ"};
    for (size_t i = 0; i < COUNT(headers); i++) {
        court_expect(judge_raw(*state, headers[i], NULL, NULL), ERROR_TOKEN_ALGORITHM, "none with a signature");
        court_expect(judge_raw(*state, headers[i], NULL, ""), ERROR_TOKEN_MALFORMED, "none without a signature");
    }
}

static void an_hmac_over_the_public_key_is_refused(void **state) {
    struct court *court = *state;
    cleanup_text struct text pem = TEXT(COURT_ROOM), der = TEXT(COURT_ROOM), modulus = TEXT(COURT_ROOM),
                             claims = TEXT(COURT_ROOM);
    forge_public_pem(court->issuer, &pem);
    forge_public_der(court->issuer, &der);
    forge_modulus(court->issuer, &modulus);
    draft_write(&(struct draft){0}, &claims);
    const struct view secrets[] = {
        court_view(&pem), {pem.data, pem.length - 1}, court_view(&der), court_view(&modulus), VIEW("")};
    for (size_t i = 0; i < COUNT(secrets); i++) {
        cleanup_text struct text honest = TEXT(COURT_ROOM), lying = TEXT(COURT_ROOM);
        text_append(&honest, "Bearer ");
        forge_hmac_token(secrets[i], VIEW("{\"alg\":\"HS256\",\"kid\":\"k1\"}"), court_view(&claims), &honest);
        court_expect(court_judge(court, court_view(&honest)), ERROR_TOKEN_ALGORITHM, "HS256");
        text_append(&lying, "Bearer ");
        forge_hmac_token(secrets[i], VIEW(COURT_HEADER), court_view(&claims), &lying);
        court_expect(court_judge(court, court_view(&lying)), ERROR_TOKEN_SIGNATURE, "an HMAC that says RS256");
    }
}

static void judge_members(struct court *court, const char *const *members, size_t count, enum error_code expected) {
    for (size_t i = 0; i < count; i++) {
        cleanup_text struct text header = TEXT(COURT_ROOM);
        text_printf(&header, "{\"alg\":\"RS256\",%s}", members[i]);
        court_expect(court_judge_header(court, court_view(&header)), expected, members[i]);
    }
}

static void extensions_and_encryption_are_refused(void **state) {
    static const char *const members[] = {
        "\"kid\":\"k1\",\"crit\":[\"exp\"]",  "\"kid\":\"k1\",\"crit\":[]",
        "\"kid\":\"k1\",\"crit\":null",       "\"kid\":\"k1\",\"b64\":true",
        "\"kid\":\"k1\",\"b64\":false",       "\"kid\":\"k1\",\"enc\":null",
        "\"kid\":\"k1\",\"enc\":\"A128GCM\"", "\"kid\":\"k1\",\"crit\":[\"b64\"],\"b64\":false",
    };
    judge_members(*state, members, COUNT(members), ERROR_TOKEN_MALFORMED);
}

static void another_type_of_token_is_refused(void **state) {
    static const char *const members[] = {
        "\"kid\":\"k1\",\"typ\":\"at+jwt\"",     "\"kid\":\"k1\",\"typ\":\"secevent+jwt\"",
        "\"kid\":\"k1\",\"typ\":\"logout+jwt\"", "\"kid\":\"k1\",\"typ\":\"JWE\"",
        "\"kid\":\"k1\",\"typ\":\"JWT \"",       "\"kid\":\"k1\",\"typ\":\"\"",
        "\"kid\":\"k1\",\"typ\":null",           "\"kid\":\"k1\",\"typ\":1",
        "\"kid\":\"k1\",\"typ\":[\"JWT\"]",
    };
    judge_members(*state, members, COUNT(members), ERROR_TOKEN_MALFORMED);
}

static void doubled_header_members_are_refused(void **state) {
    static const char *const members[] = {
        "\"kid\":\"k1\",\"alg\":\"RS256\"", "\"kid\":\"k1\",\"kid\":\"k1\"", "\"kid\":\"k1\",\"ALG\":\"none\"",
        "\"kid\":\"k1\",\"Kid\":\"k2\"",    "\"kid\":\"k1\",\"Crit\":[]",    "\"kid\":\"k1\",\"\\u0061lg\":\"none\"",
    };
    judge_members(*state, members, COUNT(members), ERROR_TOKEN_MALFORMED);
}

static void a_kid_that_is_no_string_of_1_to_256_bytes_is_refused(void **state) {
    static const char *const members[] = {"\"kid\":\"\"", "\"kid\":null",         "\"kid\":1",
                                          "\"kid\":true", "\"kid\":[\"k1\"]",     "\"kid\":{\"k1\":1}",
                                          "\"x\":\"k1\"", "\"kid\":\"k1\\u0000\""};
    judge_members(*state, members, COUNT(members), ERROR_TOKEN_MALFORMED);
    for (size_t length = 256; length <= 257; length++) {
        cleanup_text struct text header = TEXT(COURT_ROOM);
        text_append(&header, "{\"alg\":\"RS256\",\"kid\":\"");
        for (size_t i = 0; i < length; i++)
            text_append_char(&header, 'k');
        text_append(&header, "\"}");
        court_expect(court_judge_header(*state, court_view(&header)),
                     length == 256 ? ERROR_TOKEN_KEY_UNKNOWN : ERROR_TOKEN_MALFORMED, "a long kid");
    }
}

static void a_kid_is_only_compared(void **state) {
    static const char *const members[] = {
        "\"kid\":\"k2\"",
        "\"kid\":\"K1\"",
        "\"kid\":\"k1 \"",
        "\"kid\":\" k1\"",
        "\"kid\":\"k\"",
        "\"kid\":\"k11\"",
        "\"kid\":\"../../../../dev/null\"",
        "\"kid\":\"/proc/self/environ\"",
        "\"kid\":\"k1' OR '1'='1\"",
        "\"kid\":\"%s%s%n\"",
        "\"kid\":\"http://attacker.example/k1\"",
        "\"kid\":\"k1|id\"",
        "\"kid\":\"*\"",
        "\"kid\":\"k?\"",
    };
    judge_members(*state, members, COUNT(members), ERROR_TOKEN_KEY_UNKNOWN);
}

static void a_key_that_the_token_brings_along_is_never_used(void **state) {
    struct court *court = *state;
    cleanup_text struct text jwk = TEXT(COURT_ROOM), carried = TEXT(COURT_ROOM), chain = TEXT(COURT_ROOM);
    forge_jwk(court->attacker, "k1", &jwk);
    text_printf(&carried, "{\"alg\":\"RS256\",\"kid\":\"k1\",\"jwk\":%s}", jwk.data);
    text_printf(&chain, "{\"alg\":\"RS256\",\"kid\":\"k1\",\"x5c\":[%s]}", jwk.data);
    const char *const headers[] = {
        carried.data,
        chain.data,
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"jku\":\"https://attacker.example/keys\"}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"x5u\":\"https://attacker.example/keys\"}",
    };
    for (size_t i = 0; i < COUNT(headers); i++) {
        cleanup_text struct text authorization = TEXT(COURT_ROOM);
        draft_sign(&(struct draft){0}, court->attacker, headers[i], &authorization);
        court_expect(court_judge(court, court_view(&authorization)), ERROR_TOKEN_SIGNATURE, headers[i]);
    }
}

// ---- the signature ---------------------------------------------------------------------------------------------------

static void a_token_signed_by_another_key_is_refused(void **state) {
    struct court *court = *state;
    cleanup_text struct text authorization = TEXT(COURT_ROOM);
    draft_sign(&(struct draft){0}, court->attacker, COURT_HEADER, &authorization);
    court_expect(court_judge(court, court_view(&authorization)), ERROR_TOKEN_SIGNATURE, "the attacker's key");
}

static void rs512_and_pss_signatures_that_say_rs256_are_refused(void **state) {
    struct court *court = *state;
    cleanup_text struct text claims = TEXT(COURT_ROOM);
    draft_write(&(struct draft){0}, &claims);
    for (enum forge_way way = FORGE_RS512; way <= FORGE_PS256; way++) {
        cleanup_text struct text authorization = TEXT(COURT_ROOM);
        text_append(&authorization, "Bearer ");
        forge_token(court->issuer, way, VIEW(COURT_HEADER), court_view(&claims), &authorization);
        court_expect(court_judge(court, court_view(&authorization)), ERROR_TOKEN_SIGNATURE, "another way of signing");
    }
}

static void a_signature_of_other_text_is_refused(void **state) {
    struct court *court = *state;
    cleanup_text struct text other = TEXT(COURT_ROOM), changed = TEXT(COURT_ROOM), encoded = TEXT(COURT_ROOM);
    draft_sign(&(struct draft){.sub = "\"1\""}, court->issuer, COURT_HEADER, &other);
    court_expect(judge_raw(court, NULL, NULL, strrchr(other.data, '.') + 1), ERROR_TOKEN_SIGNATURE, "another token's");
    draft_write(&(struct draft){.email = "\"other@shop.iam.gserviceaccount.com\""}, &changed);
    base64url_encode(court_view(&changed), &encoded);
    court_expect(judge_raw(court, NULL, encoded.data, NULL), ERROR_TOKEN_SIGNATURE, "changed claims");
}

static void a_cut_extended_or_empty_signature_is_refused(void **state) {
    static const size_t lengths[] = {1, 128, 254, 255, 257, 259};
    static const char zeros[256];
    struct court *court = *state;
    cleanup_text struct text good = TEXT(COURT_ROOM), signature = TEXT(COURT_ROOM), encoded = TEXT(COURT_ROOM);
    good_token(court, &good);
    const char *token = good.data + strlen("Bearer ");
    forge_sign(court->issuer, FORGE_RS256, (struct view){token, (size_t)(strrchr(token, '.') - token)}, &signature);
    assert_int_equal(signature.length, 256);
    text_append(&signature, "xxxx");
    for (size_t i = 0; i < COUNT(lengths); i++) {
        text_clear(&encoded);
        base64url_encode((struct view){signature.data, lengths[i]}, &encoded);
        court_expect(judge_raw(court, NULL, NULL, encoded.data), ERROR_TOKEN_SIGNATURE,
                     "a signature of another length");
    }
    text_clear(&encoded);
    base64url_encode((struct view){zeros, sizeof zeros}, &encoded);
    court_expect(judge_raw(court, NULL, NULL, encoded.data), ERROR_TOKEN_SIGNATURE, "zeros");
}

// ---- order -----------------------------------------------------------------------------------------------------------

static void only_a_genuine_token_is_told_that_its_caller_is_not_allowed(void **state) {
    struct court *court = *state;
    cleanup_text struct text authorization = TEXT(COURT_ROOM);
    draft_sign(&(struct draft){.email = "\"evil@attacker.example\""}, court->attacker, COURT_HEADER, &authorization);
    court_expect(court_judge(court, court_view(&authorization)), ERROR_TOKEN_SIGNATURE, "forged, and not allowed");
}

static bool find_nothing(void *context, struct view kid, const struct key **ret_key, struct error *err) {
    (void)context, (void)kid, (void)ret_key;
    return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key server is away");
}

static void release_nothing(void *context, const struct key *key) {
    (void)context, (void)key;
    fail_msg("a key was given back that was never taken");
}

static void a_key_server_that_is_away_is_no_verdict_on_the_token(void **state) {
    const struct token_keys keys = {.find = find_nothing, .release = release_nothing};
    cleanup_text struct text authorization = TEXT(COURT_ROOM);
    struct token_claims claims;
    struct error err = {0};
    good_token(*state, &authorization);
    assert_false(token_verify(court_view(&authorization), &court_policy, &keys, COURT_NOW, &claims, &err));
    court_expect(err.code, ERROR_KEYS_UNAVAILABLE, "no keys");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_yields_its_claims),
        cmocka_unit_test(harmless_headers_are_accepted),
        cmocka_unit_test(the_scheme_is_read_in_any_case),
        cmocka_unit_test(a_request_without_a_bearer_token_is_refused),
        cmocka_unit_test(a_good_token_with_something_around_it_is_refused),
        cmocka_unit_test(anything_but_three_full_segments_is_refused),
        cmocka_unit_test(a_token_above_8_kib_is_refused_however_good),
        cmocka_unit_test(a_removed_signature_is_named_before_anything_else),
        cmocka_unit_test(only_the_exact_marker_is_a_removed_signature),
        cmocka_unit_test(base64url_with_spare_bits_or_a_lone_character_is_refused),
        cmocka_unit_test(json_that_is_no_plain_object_is_refused),
        cmocka_unit_test(trailing_bytes_after_good_json_are_refused),
        cmocka_unit_test(any_algorithm_but_rs256_is_refused),
        cmocka_unit_test(an_unsigned_token_is_refused),
        cmocka_unit_test(an_hmac_over_the_public_key_is_refused),
        cmocka_unit_test(extensions_and_encryption_are_refused),
        cmocka_unit_test(another_type_of_token_is_refused),
        cmocka_unit_test(doubled_header_members_are_refused),
        cmocka_unit_test(a_kid_that_is_no_string_of_1_to_256_bytes_is_refused),
        cmocka_unit_test(a_kid_is_only_compared),
        cmocka_unit_test(a_key_that_the_token_brings_along_is_never_used),
        cmocka_unit_test(a_token_signed_by_another_key_is_refused),
        cmocka_unit_test(rs512_and_pss_signatures_that_say_rs256_are_refused),
        cmocka_unit_test(a_signature_of_other_text_is_refused),
        cmocka_unit_test(a_cut_extended_or_empty_signature_is_refused),
        cmocka_unit_test(only_a_genuine_token_is_told_that_its_caller_is_not_allowed),
        cmocka_unit_test(a_key_server_that_is_away_is_no_verdict_on_the_token),
    };
    return cmocka_run_group_tests_name("token", tests, court_set_up, court_tear_down);
}
