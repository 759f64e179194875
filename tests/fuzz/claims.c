// Fuzzes what token_verify makes of the claims, with the signature check stubbed out (this program brings its own, so that the
// linker does not take the real one from the archive; else no mutation would get past it). A second reading of the rules below
// must come to the same verdict on every input, acceptance and refusal alike.
#include "auth/signature.h"
#include "auth/token.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define NOW 1700000000
#define SKEW 60

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

// ---- the second reading ----------------------------------------------------------------------------------------------

static const char *const names[] = {"iss", "aud", "email", "email_verified", "sub", "exp", "iat", "nbf"};

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
    return exp > NOW - SKEW && iat <= NOW + SKEW && nbf <= NOW + SKEW && exp > iat && exp - iat <= 3600 + SKEW;
}

static bool is_acceptable(struct view text) {
    cleanup_json struct json *claims = NULL;
    struct error err = {0};
    struct view subject;
    bool verified = false;
    return json_parse(text, &claims, &err) && json_type(claims) == JSON_OBJECT && !has_twins(claims) &&
           (equals(claims, "iss", "https://accounts.google.com") || equals(claims, "iss", "accounts.google.com")) &&
           (equals(claims, "aud", "https://pawl.example/push") || equals(claims, "aud", "a")) &&
           equals(claims, "email", "push@shop.iam.gserviceaccount.com") &&
           json_boolean(json_get(claims, "email_verified"), &verified) && verified &&
           json_string(json_get(claims, "sub"), &subject) && subject.length > 0 && subject.length < 256 &&
           is_in_time(claims);
}

// ----------------------------------------------------------------------------------------------------------------------

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const audiences[] = {"https://pawl.example/push", "a", NULL};
    static const char *const callers[] = {"push@shop.iam.gserviceaccount.com", NULL};
    const struct token_policy policy = {.audiences = audiences, .callers = callers, .skew_s = SKEW};
    const struct token_keys keys = {.find = find, .release = release};
    struct view text = {(const char *)data, size};
    struct token_claims claims;
    struct error err = {0};
    if (size == 0 || size > 5000) // an empty segment and a token above 8 KiB are not about claims
        return 0;
    cleanup_text struct text authorization = TEXT(TOKEN_MAX + 16);
    text_append(&authorization, "Bearer ");
    base64url_encode(VIEW("{\"alg\":\"RS256\",\"kid\":\"k1\"}"), &authorization);
    text_append_char(&authorization, '.');
    base64url_encode(text, &authorization);
    text_append(&authorization, ".AA");
    bool accepted =
        token_verify((struct view){authorization.data, authorization.length}, &policy, &keys, NOW, &claims, &err);
    expect(accepted == is_acceptable(text));
    expect(accepted || text_is_utf8(view_of(err.message)));
    return 0;
}
