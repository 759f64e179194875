// Takes a token apart and checks its signature. Where keys come from is left to keys.c, the cryptography to signature.c, the claims to
// claims.c. No message holds a part of the token.
#include "auth/jws.h"

#include "auth/claims.h"
#include "auth/signature.h"
#include "base/base64.h"

#include <string.h>
#include <strings.h>

#define KID_MAX 256

// RFC 7515 §3.1, still encoded.
struct segments {
    struct view header, claims, signature;
    struct view signed_part;
};

// ---- the segments ------------------------------------------------------------------------------------------------------

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
    if (!claims_no_twins(header, names, ERROR_TOKEN_MALFORMED, err))
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

// ---- all together ------------------------------------------------------------------------------------------------------

bool jws_read(struct view token, struct jws *ret_jws, struct error *err) {
    struct segments segments = {0};
    cleanup_jws struct jws jws = {0};
    if (!split(token, &segments, err) || !check_not_removed(segments.signature, err) ||
        !parse_segment(segments.header, "header", &jws.header, err) || !check_header(jws.header, &jws.kid, err) ||
        !parse_segment(segments.claims, "claims", &jws.claims, err))
        return false;
    jws.signed_part = segments.signed_part;
    jws.signature = segments.signature;
    *ret_jws = jws;
    jws = (struct jws){0};
    return true;
}

bool jws_verify(const struct jws *jws, const struct token_keys *keys, struct error *err) {
    char decoded[TOKEN_MAX];
    size_t length = 0;
    const struct key *key = NULL;
    if (base64_decoded_max(jws->signature.length) > sizeof decoded ||
        !base64url_decode(jws->signature, decoded, &length))
        return error_set(err, ERROR_TOKEN_MALFORMED, "the token's signature is not base64url");
    if (!keys->find(keys->context, jws->kid, &key, err))
        return false;
    bool holds = signature_verify(key, jws->signed_part, (struct view){decoded, length}, err);
    keys->release(keys->context, key);
    return holds;
}

void jws_done(struct jws *jws) {
    json_free(jws->header);
    json_free(jws->claims);
}
