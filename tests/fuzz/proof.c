// Fuzzes what proof_verify makes of the claims, with the signature check stubbed out (this program brings its own, as claims.c does). A
// second reading of the rules below must come to the same verdict on every input, and what is kept for the ledger must be sound JSON.
#include "auth/proof.h"
#include "auth/signature.h"
#include "base/base64.h"

#include <stdlib.h>
#include <string.h>

#define PUBLISHED 1700000000
#define SKEW 60
#define FINGERPRINT "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition) {
    if (!condition)
        abort();
}

bool signature_verify(const struct key *key, struct view message, struct view signature, struct error *err) {
    (void)key, (void)message, (void)signature, (void)err;
    return true;
}

static bool find(void *context, struct view kid, const struct key **ret_key, struct error *err) {
    (void)context, (void)kid, (void)err;
    *ret_key = NULL;
    return true;
}

static void release(void *context, const struct key *key) {
    (void)context, (void)key;
}

// The key is always there, so nobody needs to remember.
static bool remember(void *context, const char *token_sha256, const char *fingerprint, bool *ret_known,
                     struct error *err) {
    (void)context, (void)token_sha256, (void)fingerprint, (void)ret_known, (void)err;
    abort();
}

// ---- the second reading ----------------------------------------------------------------------------------------------

static const char *const names[] = {"iss",         "aud", "exp", "iat", "nbf", "repository_id", "repository_owner_id",
                                    "environment", "ref"};

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool has_twins(const struct json *claims) {
    for (const struct json *member = json_first(claims); member != NULL; member = json_next(member)) {
        cleanup_free char *folded = memory_string(json_name(member));
        for (char *c = folded; *c != '\0'; c++)
            *c = lower(*c);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strcmp(folded, names[i]) == 0 && strcmp(json_name(member), names[i]) != 0)
                return true;
    }
    return false;
}

static bool equals(const struct json *claims, const char *name, const char *expected) {
    struct view value;
    return json_string(json_get(claims, name), &value) && value.length == strlen(expected) &&
           memcmp(value.data, expected, value.length) == 0;
}

static bool date(const struct json *claims, const char *name, double *ret_date) {
    return json_number(json_get(claims, name), ret_date) && *ret_date >= 0.0;
}

static bool is_in_time(const struct json *claims) {
    double exp, iat, nbf = 0;
    if (!date(claims, "exp", &exp) || !date(claims, "iat", &iat))
        return false;
    if (json_get(claims, "nbf") != NULL && !date(claims, "nbf", &nbf))
        return false;
    return exp > PUBLISHED - SKEW && iat <= PUBLISHED + SKEW && nbf <= PUBLISHED + SKEW && exp > iat &&
           exp - iat <= 3600 + SKEW;
}

static bool is_acceptable(struct view text) {
    cleanup_json struct json *claims = NULL;
    struct error err = {0};
    return json_parse(text, &claims, &err) && json_type(claims) == JSON_OBJECT && !has_twins(claims) &&
           equals(claims, "iss", "https://token.actions.githubusercontent.com") &&
           equals(claims, "aud", "pawl:" FINGERPRINT) &&
           (equals(claims, "repository_id", "11") || equals(claims, "repository_id", "4242")) &&
           equals(claims, "repository_owner_id", "99") && equals(claims, "environment", "production") &&
           equals(claims, "ref", "refs/heads/main") && is_in_time(claims);
}

// ----------------------------------------------------------------------------------------------------------------------

static void check_kept(const struct proof_claims *claims, struct arena *arena) {
    cleanup_text struct text out = TEXT(65536);
    cleanup_json struct json *json = NULL;
    struct error err = {0};
    struct view token;
    proof_write(claims, FINGERPRINT, &out);
    expect(json_parse((struct view){text_string(&out), out.length}, &json, &err));
    expect(json_string(json_get(json, "token_sha256"), &token) && token.length == 64);
    expect(text_is_utf8(view_of(proof_publisher(claims, arena))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const repositories[] = {"11", "4242", NULL}, *const owners[] = {"99", NULL};
    static const char *const environments[] = {"production", NULL}, *const refs[] = {"refs/heads/main", NULL};
    const struct proof_policy policy = {.repository_ids = repositories,
                                        .owner_ids = owners,
                                        .environments = environments,
                                        .refs = refs,
                                        .skew_s = SKEW};
    const struct token_keys keys = {.find = find, .release = release};
    const struct proof_memory memory = {.remember = remember};
    struct view text = {(const char *)data, size};
    struct proof_claims claims;
    struct error err = {0};
    if (size == 0 || size > 5000) // an empty segment and a token above 8 KiB are not about claims
        return 0;
    cleanup_arena struct arena *arena = arena_new();
    cleanup_text struct text token = TEXT(TOKEN_MAX + 16);
    base64url_encode(VIEW("{\"alg\":\"RS256\",\"kid\":\"k1\"}"), &token);
    text_append_char(&token, '.');
    base64url_encode(text, &token);
    text_append(&token, ".AA");
    const struct proof_question question = {
        .token = {token.data, token.length}, .fingerprint = FINGERPRINT, .published = PUBLISHED};
    bool accepted = proof_verify(&question, &policy, &keys, &memory, arena, &claims, &err);
    expect(accepted == is_acceptable(text));
    expect(accepted || text_is_utf8(view_of(err.message)));
    if (accepted)
        check_kept(&claims, arena);
    return 0;
}
