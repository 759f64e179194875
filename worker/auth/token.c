// Judges a bearer token, cheapest question first: the field's form, the header, the claims, then key and signature, and last who
// the caller is: so that 403 is said only about a token that is genuine. Where keys come from is left to keys.c, the
// cryptography to signature.c, logging to the commands. No message holds a part of the token but the readable, cut values
// of iss, aud and email.
#include "auth/token.h"

#include "auth/signature.h"
#include "base/base64.h"
#include "base/json.h"

#include <string.h>
#include <strings.h>

#define KID_MAX 256
#define LIFETIME_MAX_S 3600 // what Google gives; the skew comes on top
#define SKEW_MAX_S 300

static const char *const google_issuers[] = {"https://accounts.google.com", "accounts.google.com", NULL};

// RFC 7515 §3.1, still encoded.
struct segments {
    struct view header, claims, signature;
    struct view signed_part; // header "." claims: what the signature is about
};

// The claims as they came, checked for type and size only; views point into the JSON.
struct claims {
    struct view issuer, audience, email, subject;
    double issued_at, expires_at, not_before;
    bool email_verified;
};

// ---- the field and its segments --------------------------------------------------------------------------------------

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

static bool is_token_char(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

static bool split(struct view token, struct segments *ret_segments, struct error *err) {
    size_t dots[2] = {0}, count = 0;
    if (token.length > TOKEN_MAX)
        return error_set(err, ERROR_TOKEN_MALFORMED, "the token has %zu bytes, more than %d", token.length, TOKEN_MAX);
    for (size_t i = 0; i < token.length; i++) {
        if (!is_token_char(token.data[i]))
            return error_set(err, ERROR_TOKEN_MALFORMED,
                             "byte %zu of the token is not a letter, digit, '_', '-' or '.'", i + 1);
        if (token.data[i] == '.' && count++ < 2)
            dots[count - 1] = i;
    }
    if (count != 2)
        return error_set(err, ERROR_TOKEN_MALFORMED, "the token has %zu segments, not 3", count + 1);
    struct segments segments = {
        .header = {token.data, dots[0]},
        .claims = {token.data + dots[0] + 1, dots[1] - dots[0] - 1},
        .signature = {token.data + dots[1] + 1, token.length - dots[1] - 1},
        .signed_part = {token.data, dots[1]},
    };
    if (segments.header.length == 0 || segments.claims.length == 0 || segments.signature.length == 0)
        return error_set(err, ERROR_TOKEN_MALFORMED, "a segment of the token is empty");
    *ret_segments = segments;
    return true;
}

// Cloud Run takes the signature off tokens that it has checked itself. That is no proof to us: anybody can write this word.
static bool check_not_removed(struct view signature, struct error *err) {
    if (!view_is(signature, "SIGNATURE_REMOVED_BY_GOOGLE"))
        return true;
    return error_set(err, ERROR_TOKEN_SIGNATURE_REMOVED,
                     "the platform removed the token's signature: push with a service account's token in Authorization "
                     "(not X-Serverless-Authorization, not a user's token from gcloud)");
}

// ---- JSON out of a segment -------------------------------------------------------------------------------------------

static bool parse_segment(struct view segment, const char *what, struct json **ret_json, struct error *err) {
    char decoded[TOKEN_MAX];
    size_t length = 0;
    cleanup_json struct json *json = NULL;
    if (base64_decoded_max(segment.length) > sizeof decoded || !base64url_decode(segment, decoded, &length))
        return error_set(err, ERROR_TOKEN_MALFORMED, "the token's %s is not base64url", what);
    if (!json_parse((struct view){decoded, length}, &json, err)) {
        err->code = ERROR_TOKEN_MALFORMED;
        return error_wrap(err, "the token's %s", what);
    }
    if (json_type(json) != JSON_OBJECT)
        return error_set(err, ERROR_TOKEN_MALFORMED, "the token's %s is not a JSON object", what);
    *ret_json = json;
    json = NULL;
    return true;
}

// "AUD" beside "aud" is not a duplicate, but some parser upstream may have taken it for ours.
static bool check_no_twins(const struct json *object, const char *const *names, enum error_code code,
                           struct error *err) {
    for (const struct json *member = json_first(object); member != NULL; member = json_next(member))
        for (size_t i = 0; names[i] != NULL; i++)
            if (strcasecmp(json_name(member), names[i]) == 0 && strcmp(json_name(member), names[i]) != 0)
                return error_set(err, code, "the token has a member that differs from \"%s\" only in case", names[i]);
    return true;
}

// ---- the header ------------------------------------------------------------------------------------------------------

static bool check_type(const struct json *typ, struct error *err) {
    struct view type;
    if (typ == NULL)
        return true;
    // RFC 8725 §3.11: an access token, a logout token and the like are not for us.
    if (!json_string(typ, &type) || type.length != 3 || strncasecmp(type.data, "JWT", 3) != 0)
        return error_set(err, ERROR_TOKEN_MALFORMED, "the token's typ is not JWT");
    return true;
}

// `ret_kid` points into `header`. Members that bring a key along (jwk, jku, x5u, x5c) are never looked at.
static bool check_header(const struct json *header, struct view *ret_kid, struct error *err) {
    static const char *const names[] = {"alg", "kid", "typ", "crit", "b64", "enc", NULL};
    static const char *const refused[] = {"crit", "b64", "enc", NULL};
    struct view algorithm, kid;
    // RFC 8725 §3.1: one algorithm, compared whole; no table, no family, no default.
    if (!json_string(json_get(header, "alg"), &algorithm) || !view_is(algorithm, "RS256"))
        return error_set(err, ERROR_TOKEN_ALGORITHM, "the token's alg is not exactly \"RS256\"");
    if (!check_no_twins(header, names, ERROR_TOKEN_MALFORMED, err))
        return false;
    for (size_t i = 0; refused[i] != NULL; i++)
        if (json_get(header, refused[i]) != NULL)
            return error_set(err, ERROR_TOKEN_MALFORMED, "the token's header has \"%s\", which is not supported",
                             refused[i]);
    if (!check_type(json_get(header, "typ"), err))
        return false;
    if (!json_string(json_get(header, "kid"), &kid) || kid.length == 0 || kid.length > KID_MAX)
        return error_set(err, ERROR_TOKEN_MALFORMED, "the token's kid is not a string of 1 to %d bytes", KID_MAX);
    *ret_kid = kid;
    return true;
}

// ---- the claims ------------------------------------------------------------------------------------------------------

// A string of 1 to `size` - 1 bytes.
static bool take_string(const struct json *claims, const char *name, size_t size, struct view *ret_value,
                        struct error *err) {
    struct view value;
    if (!json_string(json_get(claims, name), &value) || value.length == 0 || value.length >= size)
        return error_set(err, ERROR_TOKEN_CLAIMS, "the token's %s is not a string of 1 to %zu bytes", name, size - 1);
    *ret_value = value;
    return true;
}

// NumericDate (RFC 7519 §2): it may have a fraction; json_number() has refused what is not finite or 2^53 and beyond.
static bool take_date(const struct json *claims, const char *name, double *ret_date, struct error *err) {
    double date = 0;
    if (!json_number(json_get(claims, name), &date) || date < 0)
        return error_set(err, ERROR_TOKEN_CLAIMS, "the token's %s is not a number of seconds since 1970", name);
    *ret_date = date;
    return true;
}

static bool take_claims(const struct json *json, struct claims *ret_claims, struct error *err) {
    static const char *const names[] = {"iss", "aud", "email", "email_verified", "sub", "exp", "iat", "nbf", NULL};
    struct token_claims *sizes = NULL; // for sizeof only
    struct claims claims = {0};
    if (!check_no_twins(json, names, ERROR_TOKEN_CLAIMS, err) ||
        !take_string(json, "iss", sizeof sizes->issuer, &claims.issuer, err) ||
        !take_string(json, "aud", sizeof sizes->audience, &claims.audience, err) ||
        !take_string(json, "email", sizeof sizes->email, &claims.email, err) ||
        !take_string(json, "sub", sizeof sizes->subject, &claims.subject, err) ||
        !take_date(json, "exp", &claims.expires_at, err) || !take_date(json, "iat", &claims.issued_at, err))
        return false;
    if (json_get(json, "nbf") != NULL && !take_date(json, "nbf", &claims.not_before, err))
        return false;
    // Only JSON true is true: "true", 1 and {} are what a careless issuer or an attacker writes.
    claims.email_verified =
        json_boolean(json_get(json, "email_verified"), &claims.email_verified) && claims.email_verified;
    *ret_claims = claims;
    return true;
}

static bool check_times(const struct claims *claims, unsigned skew_s, int64_t now_s, struct error *err) {
    double now = (double)now_s, skew = skew_s < SKEW_MAX_S ? skew_s : SKEW_MAX_S;
    double lifetime = claims->expires_at - claims->issued_at;
    if (lifetime <= 0)
        return error_set(err, ERROR_TOKEN_CLAIMS, "the token expires before it is issued");
    if (now >= claims->expires_at + skew)
        return error_set(err, ERROR_TOKEN_EXPIRED, "the token expired %.0f s ago", now - claims->expires_at);
    if (claims->issued_at > now + skew)
        return error_set(err, ERROR_TOKEN_NOT_YET_VALID, "the token is dated %.0f s in the future (iat)",
                         claims->issued_at - now);
    if (claims->not_before > now + skew)
        return error_set(err, ERROR_TOKEN_NOT_YET_VALID, "the token becomes valid in %.0f s (nbf)",
                         claims->not_before - now);
    // Never "iat too old": Pub/Sub's tokens are up to an hour old.
    if (lifetime > LIFETIME_MAX_S + skew)
        return error_set(err, ERROR_TOKEN_NOT_YET_VALID, "the token lives %.0f s, longer than an hour", lifetime);
    return true;
}

static bool is_listed(struct view value, const char *const *list) {
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        if (view_is(value, list[i]))
            return true;
    return false;
}

// A claim's value for an operator to read: cut, and without a byte that could mislead a terminal or a log.
struct shown {
    char text[128];
};

static struct shown show(struct view value) {
    struct shown shown;
    size_t room = sizeof shown.text - 4, length = value.length < room ? value.length : room;
    for (size_t i = 0; i < length; i++) {
        char c = value.data[i];
        shown.text[i] = c > ' ' && c < 127 && c != '"' && c != '\\' ? c : '?';
    }
    memcpy(shown.text + length, length < value.length ? "..." : "", length < value.length ? 4 : 1);
    return shown;
}

static bool check_issuer(struct view issuer, const char *const *issuers, struct error *err) {
    if (is_listed(issuer, issuers ? issuers : google_issuers))
        return true;
    return error_set(err, ERROR_TOKEN_ISSUER, "the token was issued by \"%s\"", show(issuer).text);
}

static bool check_audience(struct view audience, const char *const *audiences, struct error *err) {
    if (is_listed(audience, audiences))
        return true;
    const char *expected = audiences != NULL && audiences[0] != NULL ? audiences[0] : "";
    return error_set(err, ERROR_TOKEN_AUDIENCE, "the token is for audience \"%s\" and this worker expects \"%s\"%s",
                     show(audience).text, show(view_of(expected)).text,
                     expected[0] != '\0' && audiences[1] != NULL ? " (or another on its list)" : "");
}

static bool check_caller(const struct claims *claims, const char *const *callers, struct error *err) {
    if (!claims->email_verified)
        return error_set(err, ERROR_CALLER_UNVERIFIED, "the token's email_verified is not true");
    if (is_listed(claims->email, callers))
        return true;
    return error_set(err, ERROR_CALLER_NOT_ALLOWED, "\"%s\" is not on the list of callers", show(claims->email).text);
}

// ---- the signature ---------------------------------------------------------------------------------------------------

static bool check_signature(const struct segments *segments, struct view kid, const struct token_keys *keys,
                            struct error *err) {
    char decoded[TOKEN_MAX];
    size_t length = 0;
    const struct key *key = NULL;
    if (base64_decoded_max(segments->signature.length) > sizeof decoded ||
        !base64url_decode(segments->signature, decoded, &length))
        return error_set(err, ERROR_TOKEN_MALFORMED, "the token's signature is not base64url");
    if (!keys->find(keys->context, kid, &key, err))
        return false;
    bool holds = signature_verify(key, segments->signed_part, (struct view){decoded, length}, err);
    keys->release(keys->context, key);
    return holds;
}

// ---- all together ----------------------------------------------------------------------------------------------------

static void fill(const struct claims *claims, struct token_claims *ret_claims) {
    text_copy(ret_claims->email, sizeof ret_claims->email, claims->email);
    text_copy(ret_claims->subject, sizeof ret_claims->subject, claims->subject);
    text_copy(ret_claims->issuer, sizeof ret_claims->issuer, claims->issuer);
    text_copy(ret_claims->audience, sizeof ret_claims->audience, claims->audience);
    ret_claims->issued_at = (int64_t)claims->issued_at;
    ret_claims->expires_at = (int64_t)claims->expires_at;
}

bool token_verify(struct view authorization, const struct token_policy *policy, const struct token_keys *keys,
                  int64_t now, struct token_claims *ret_claims, struct error *err) {
    struct view token = {0}, kid = {0};
    struct segments segments = {0};
    struct claims claims = {0};
    cleanup_json struct json *header = NULL, *payload = NULL;
    if (!take_bearer(authorization, &token, err) || !split(token, &segments, err) ||
        !check_not_removed(segments.signature, err))
        return false;
    if (!parse_segment(segments.header, "header", &header, err) || !check_header(header, &kid, err))
        return false;
    if (!parse_segment(segments.claims, "claims", &payload, err) || !take_claims(payload, &claims, err))
        return false;
    if (!check_issuer(claims.issuer, policy->issuers, err) ||
        !check_audience(claims.audience, policy->audiences, err) || !check_times(&claims, policy->skew_s, now, err))
        return false;
    if (!check_signature(&segments, kid, keys, err) || !check_caller(&claims, policy->callers, err))
        return false;
    fill(&claims, ret_claims);
    return true;
}
