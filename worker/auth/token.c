// Judges a bearer token, cheapest question first: the field's form, the header, the claims, then key and signature, and last who
// the caller is: so that 403 is said only about a token that is genuine. Form and signature are jws.c's business, what all issuers'
// claims have in common claims.c's; logging is left to the commands. No message holds a part of the token but the readable, cut values
// of iss, aud and email.
#include "auth/token.h"

#include "auth/claims.h"

#include <string.h>
#include <strings.h>

static const char *const google_issuers[] = {"https://accounts.google.com", "accounts.google.com", NULL};

// The claims as they came, checked for type and size only; views point into the JSON.
struct claims {
    struct view issuer, audience, email, subject;
    struct claims_times times;
    bool email_verified;
};

// RFC 6750 §2.1 and RFC 9110 §11.4: the scheme in any case, one space, the token.
static bool take_bearer(struct view authorization, struct view *ret_token, struct error *err) {
    struct view scheme = VIEW("Bearer");
    if (authorization.data == NULL || authorization.length == 0)
        return error_set(err, ERROR_TOKEN_MISSING, "the request has no Authorization field");
    if (authorization.length < scheme.length || strncasecmp(authorization.data, scheme.data, scheme.length) != 0)
        return error_set(err, ERROR_TOKEN_MISSING, "the Authorization field does not begin with \"Bearer \"");
    struct view rest = {authorization.data + scheme.length, authorization.length - scheme.length};
    if (rest.length == 0 || (rest.length == 1 && rest.data[0] == ' '))
        return error_set(err, ERROR_TOKEN_MISSING, "the Authorization field has no token after \"Bearer\"");
    if (rest.data[0] != ' ')
        return error_set(err, ERROR_TOKEN_MISSING, "the Authorization field does not begin with \"Bearer \"");
    *ret_token = (struct view){rest.data + 1, rest.length - 1};
    return true;
}

static bool take_claims(const struct json *json, struct claims *ret_claims, struct error *err) {
    static const char *const names[] = {"iss", "aud", "email", "email_verified", "sub", "exp", "iat", "nbf", NULL};
    struct token_claims *sizes = NULL; // for sizeof only
    struct claims claims = {0};
    if (!claims_no_twins(json, names, ERROR_TOKEN_CLAIMS, err) ||
        !claims_string(json, "iss", sizeof sizes->issuer, &claims.issuer, err) ||
        !claims_string(json, "aud", sizeof sizes->audience, &claims.audience, err) ||
        !claims_string(json, "email", sizeof sizes->email, &claims.email, err) ||
        !claims_string(json, "sub", sizeof sizes->subject, &claims.subject, err) ||
        !claims_times(json, &claims.times, err))
        return false;
    // Only JSON true is true: "true", 1 and {} are what a careless issuer or an attacker writes.
    claims.email_verified =
        json_boolean(json_get(json, "email_verified"), &claims.email_verified) && claims.email_verified;
    *ret_claims = claims;
    return true;
}

static bool check_caller(const struct claims *claims, const char *const *callers, struct error *err) {
    if (!claims->email_verified)
        return error_set(err, ERROR_CALLER_UNVERIFIED, "the token's email_verified is not true");
    if (claims_is_listed(claims->email, callers))
        return true;
    return error_set(err, ERROR_CALLER_NOT_ALLOWED, "\"%s\" is not on the list of callers",
                     claims_show(claims->email).text);
}

static void fill(const struct claims *claims, struct token_claims *ret_claims) {
    text_copy(ret_claims->email, sizeof ret_claims->email, claims->email);
    text_copy(ret_claims->subject, sizeof ret_claims->subject, claims->subject);
    text_copy(ret_claims->issuer, sizeof ret_claims->issuer, claims->issuer);
    text_copy(ret_claims->audience, sizeof ret_claims->audience, claims->audience);
    ret_claims->issued_at = (int64_t)claims->times.issued_at;
    ret_claims->expires_at = (int64_t)claims->times.expires_at;
}

bool token_verify(struct view authorization, const struct token_policy *policy, const struct token_keys *keys,
                  int64_t now, struct token_claims *ret_claims, struct error *err) {
    struct view token = {0};
    struct claims claims = {0};
    cleanup_jws struct jws jws = {0};
    if (!take_bearer(authorization, &token, err) || !jws_read(token, &jws, err) ||
        !take_claims(jws.claims, &claims, err))
        return false;
    if (!claims_check_issuer(claims.issuer, policy->issuers ? policy->issuers : google_issuers, err) ||
        !claims_check_audience(claims.audience, policy->audiences, err) ||
        !claims_check_times(&claims.times, policy->skew_s, now, err))
        return false;
    if (!jws_verify(&jws, keys, err) || !check_caller(&claims, policy->callers, err))
        return false;
    fill(&claims, ret_claims);
    return true;
}
