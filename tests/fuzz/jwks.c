// Fuzzes jwks_parse and, through it, key_new. A second reading of the rules must come to the same keys: as many, under the same kids.
#include "auth/jwks.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition) {
    if (!condition)
        abort();
}

// ---- the second reading ----------------------------------------------------------------------------------------------

static bool equals(const struct json *json, const char *expected) {
    struct view value;
    return json_string(json, &value) && value.length == strlen(expected) &&
           memcmp(value.data, expected, value.length) == 0;
}

// A number as its bytes without leading zeros; false when it is no base64url text.
static bool number(const struct json *json, struct text *out) {
    struct view value;
    size_t length = 0, zeros = 0;
    if (!json_string(json, &value))
        return false;
    cleanup_free char *bytes = memory_alloc(base64_decoded_max(value.length) + 1);
    if (!base64url_decode(value, bytes, &length))
        return false;
    while (zeros < length && bytes[zeros] == '\0')
        zeros++;
    text_append_view(out, (struct view){bytes + zeros, length - zeros});
    return true;
}

static bool numbers_are_sound(const struct text *n, const struct text *e) {
    uint64_t exponent = 0;
    if (n->length < 256 || n->length > 512 || (n->length == 256 && (n->data[0] & 0x80) == 0) ||
        (n->data[n->length - 1] & 1) == 0)
        return false;
    if (e->length > 5)
        return false;
    for (size_t i = 0; i < e->length; i++)
        exponent = exponent * 256 + (unsigned char)e->data[i];
    return exponent % 2 == 1 && exponent >= 65537 && exponent < 8589934592;
}

// kid, n and e of a usable key.
static bool usable(const struct json *jwk, struct view *ret_kid, struct text *n, struct text *e) {
    bool verify = json_get(jwk, "key_ops") == NULL;
    if (json_type(jwk) != JSON_OBJECT ||
        (json_get(jwk, "key_ops") != NULL && json_type(json_get(jwk, "key_ops")) != JSON_ARRAY))
        return false;
    for (const struct json *use = json_first(json_get(jwk, "key_ops")); use != NULL; use = json_next(use))
        verify = verify || equals(use, "verify");
    return verify && equals(json_get(jwk, "kty"), "RSA") &&
           (json_get(jwk, "use") == NULL || equals(json_get(jwk, "use"), "sig")) &&
           (json_get(jwk, "alg") == NULL || equals(json_get(jwk, "alg"), "RS256")) && json_get(jwk, "d") == NULL &&
           json_get(jwk, "k") == NULL && json_string(json_get(jwk, "kid"), ret_kid) && ret_kid->length > 0 &&
           ret_kid->length <= JWKS_KID_MAX && number(json_get(jwk, "n"), n) && number(json_get(jwk, "e"), e) &&
           numbers_are_sound(n, e);
}

static bool same(const struct text *a, const struct text *b) {
    return view_equal((struct view){text_string(a), a->length}, (struct view){text_string(b), b->length});
}

// Whether `jwk` is a usable key that no other usable one contradicts, and the first to say it.
static bool stands_for_its_kid(const struct json *members, const struct json *jwk, size_t room, struct view *ret_kid,
                               bool *ret_first) {
    cleanup_text struct text n = TEXT(room), e = TEXT(room);
    bool before = true, agreed = true;
    if (!usable(jwk, ret_kid, &n, &e))
        return false;
    *ret_first = true;
    for (const struct json *other = json_first(members); other != NULL; other = json_next(other)) {
        cleanup_text struct text other_n = TEXT(room), other_e = TEXT(room);
        struct view kid;
        before = before && other != jwk;
        if (other == jwk || !usable(other, &kid, &other_n, &other_e) || !view_equal(kid, *ret_kid))
            continue;
        agreed = agreed && same(&n, &other_n) && same(&e, &other_e);
        *ret_first = *ret_first && !before;
    }
    return agreed;
}

static size_t depth(const struct json *json) {
    size_t deepest = 0;
    for (const struct json *child = json_first(json); child != NULL; child = json_next(child)) {
        size_t below = depth(child);
        deepest = below > deepest ? below : deepest;
    }
    return deepest + 1;
}

static size_t count_members(const struct json *container) {
    size_t count = 0;
    for (const struct json *member = json_first(container); member != NULL; member = json_next(member))
        count++;
    return count;
}

// How many keys there should be; each is looked for in `jwks`, which may be NULL.
static size_t count_keys(const struct json *root, const struct jwks *jwks, size_t room) {
    const struct json *members = json_get(root, "keys");
    size_t count = 0;
    if (members == NULL || json_type(members) != JSON_ARRAY || depth(root) > JWKS_DEPTH_MAX ||
        count_members(members) > JWKS_KEYS_MAX)
        return 0;
    for (const struct json *jwk = json_first(members); jwk != NULL; jwk = json_next(jwk)) {
        struct view kid;
        bool first = false;
        if (!stands_for_its_kid(members, jwk, room, &kid, &first))
            continue;
        count += first;
        expect(jwks != NULL && jwks_find(jwks, kid) != NULL);
    }
    return count;
}

// ----------------------------------------------------------------------------------------------------------------------

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *exact = memory_alloc(size);
    cleanup_json struct json *root = NULL;
    cleanup_jwks struct jwks *jwks = NULL;
    struct error err = {0}, ignored = {0};
    if (size > 0)
        memcpy(exact, data, size);
    bool accepted = jwks_parse((struct view){exact, size}, &jwks, &err);
    bool parsed = json_parse((struct view){exact, size}, &root, &ignored);
    size_t keys = parsed ? count_keys(root, jwks, size + 8) : 0;
    expect(accepted == (keys > 0));
    expect(accepted ? jwks_count(jwks) == keys : jwks == NULL && err.code == ERROR_KEYS_UNAVAILABLE);
    return 0;
}
