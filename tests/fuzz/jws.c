// Fuzzes token_verify, whole, with one fixed key whose private half was thrown away after it signed one token. So acceptance means
// that it is that token: RS256 signatures are unique, and whatever else gets in is a forgery.
#include "auth/signature.h"
#include "auth/token.h"
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1700000000)

static const char modulus[] =
    "l4o9aS8czuQltPKIt1Tb8NzoJf_UTpW4_9bB72kRNrj4Hanz4wKJ8onLujPSylxh8i_XoT0ynq9ZqYVTLQhWJ3iCF36WvjhFgKiT"
    "oIo14OMzrbEFSxHPtK60V9rtsUV--J0bqUlhts5aujs9ccY_AS--Y5ylPip3zyFJMf6ePefToAzXkqTxct5sGPJccdS21P_IhmwQ"
    "-inMXlfyPqVhS5dUfPwv74sYYDAv2tlprDGZMDlTMkd1vo9mi8_FURZ63oFThI7gS04GktTHuw2yaPE-g1otGe9sbrCPE9m-Jvj_"
    "7MLgQ8-7oII3V0ZhiRx-lje4ikILT8DCzdf3S_QCpw";
static const char genuine[] =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.eyJhdWQiOiJodHRwczovL3Bhd2wuZXhhbXBsZS9wdXNoIiwi"
    "YXpwIjoiMTEzNzc0MjY0NDYzMDM4MzIxOTY0IiwiZW1haWwiOiJwdXNoQHNob3AuaWFtLmdzZXJ2aWNlYWNjb3VudC5jb20iLCJl"
    "bWFpbF92ZXJpZmllZCI6dHJ1ZSwiZXhwIjoxNzAwMDAzMDAwLCJpYXQiOjE2OTk5OTk0MDAsImlzcyI6Imh0dHBzOi8vYWNjb3Vu"
    "dHMuZ29vZ2xlLmNvbSIsInN1YiI6IjExMzc3NDI2NDQ2MzAzODMyMTk2NCJ9.a_gBIMEBQcF2BrObWPzJzKW7d_urACvptVPM8iI"
    "1G8b_nnKk3U4oDOQ6Q8PTJCxny4vnPBw9RRHFepmHfcmtqgc-UMI9wNnh9brOwLCGk0_lclB70nQpJG6vEbWVwBoCyHXexftV0zS"
    "V7oUBm8gWgtokVaB2y2LuR_loYhM2JRtgHKc3tm5tHWYLc4nIVbKSWIfpwP_OKlVMXFsN-GeGJWyPtpgfdrqv1d5nmUCn1JZThHq"
    "c9LZQLPgGlGk4AawZ0it3GHp7Ao_OstGC6XV3XemmO2TB4Ev3VMv-lyGNyAHUw43eAOFpRvzf3fjBqJ0ogTnzS0geTxGpkPOxH9Z"
    "KBw";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition) {
    if (!condition)
        abort();
}

struct lender {
    struct key *key;
    int lent;
};

static bool find(void *context, struct view kid, const struct key **ret_key, struct error *err) {
    struct lender *lender = context;
    expect(kid.length >= 1 && kid.length <= 256);
    if (!view_is(kid, "k1"))
        return error_set(err, ERROR_TOKEN_KEY_UNKNOWN, "no such key");
    lender->lent++;
    *ret_key = lender->key;
    return true;
}

static void release(void *context, const struct key *key) {
    struct lender *lender = context;
    expect(key == lender->key);
    lender->lent--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const audiences[] = {"https://pawl.example/push", NULL};
    static const char *const callers[] = {"push@shop.iam.gserviceaccount.com", NULL};
    const struct token_policy policy = {.audiences = audiences, .callers = callers, .skew_s = 60};
    struct lender lender = {0};
    const struct token_keys keys = {.context = &lender, .find = find, .release = release};
    struct token_claims claims = {0}, untouched = {0};
    struct error err = {0};
    // A copy of exactly the size, so that the address sanitizer sees a look past the end.
    cleanup_free char *exact = memory_alloc(size);
    if (size > 0)
        memcpy(exact, data, size);
    expect(key_new(view_of(modulus), VIEW("AQAB"), &lender.key, &err));
    bool accepted = token_verify((struct view){exact, size}, &policy, &keys, NOW, &claims, &err);
    key_release(lender.key);
    expect(lender.lent == 0);
    if (accepted) {
        expect(size == strlen("Bearer ") + strlen(genuine));
        expect(memcmp(exact + strlen("Bearer "), genuine, strlen(genuine)) == 0);
        expect(strcmp(claims.email, callers[0]) == 0 && strcmp(claims.audience, audiences[0]) == 0);
        return 0;
    }
    expect(memcmp(&claims, &untouched, sizeof claims) == 0);
    expect(error_class(err.code) == CLASS_REFUSED && err.message[0] != '\0' && text_is_utf8(view_of(err.message)));
    return 0;
}
