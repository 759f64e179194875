// Reads a key set, one member at a time, with tolerance for what is strange and none for what is ambiguous.
#include "auth/jwks.h"

#include "base/arena.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    char *kid;
    const struct key *key; // NULL: several keys claimed this kid, so it names none
};

struct jwks {
    size_t count;
    struct entry entries[JWKS_KEYS_MAX];
};

static void entry_done(struct entry *entry) {
    free(entry->kid);
    key_release(entry->key);
}

static bool deeper_than(const struct json *json, unsigned depth) {
    if (depth == 0)
        return true;
    for (const struct json *child = json_first(json); child != NULL; child = json_next(child))
        if (deeper_than(child, depth - 1))
            return true;
    return false;
}

static bool is(const struct json *member, const char *expected) {
    struct view value;
    return json_string(member, &value) && view_is(value, expected);
}

static bool is_or_absent(const struct json *member, const char *expected) {
    return member == NULL || is(member, expected);
}

// RFC 7517 §4.3.
static bool may_verify(const struct json *key_ops) {
    if (key_ops == NULL)
        return true;
    if (json_type(key_ops) != JSON_ARRAY)
        return false;
    for (const struct json *operation = json_first(key_ops); operation != NULL; operation = json_next(operation))
        if (is(operation, "verify"))
            return true;
    return false;
}

// A key whose private half everybody can read proves nothing, whoever published it.
static bool is_private(const struct json *jwk) {
    return json_get(jwk, "d") != NULL || json_get(jwk, "k") != NULL;
}

static bool read_member(const struct json *jwk, struct view *ret_kid, struct key **ret_key, struct error *err) {
    struct view kid, modulus, exponent;
    if (!is(json_get(jwk, "kty"), "RSA"))
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key's type is not RSA");
    if (!is_or_absent(json_get(jwk, "use"), "sig") || !is_or_absent(json_get(jwk, "alg"), "RS256") ||
        !may_verify(json_get(jwk, "key_ops")))
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key is not meant for RS256 signatures");
    if (is_private(jwk))
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key's private part is published");
    if (!json_string(json_get(jwk, "kid"), &kid) || kid.length == 0 || kid.length > JWKS_KID_MAX)
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key has no kid of 1 to %d bytes", JWKS_KID_MAX);
    if (!json_string(json_get(jwk, "n"), &modulus) || !json_string(json_get(jwk, "e"), &exponent))
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key has no modulus or no exponent");
    if (!key_new(modulus, exponent, ret_key, err))
        return false;
    *ret_kid = kid;
    return true;
}

static struct entry *find_entry(struct jwks *jwks, struct view kid) {
    for (size_t i = 0; i < jwks->count; i++)
        if (view_is(kid, jwks->entries[i].kid))
            return &jwks->entries[i];
    return NULL;
}

// Takes over `key`.
static void add(struct jwks *jwks, struct view kid, struct key *key) {
    struct entry *twin = find_entry(jwks, kid);
    if (twin == NULL) {
        struct entry *entry = &jwks->entries[jwks->count++];
        entry->kid = memory_alloc(kid.length + 1);
        memcpy(entry->kid, kid.data, kid.length);
        entry->key = key;
        return;
    }
    if (twin->key != NULL && !key_equal(twin->key, key)) {
        key_release(twin->key);
        twin->key = NULL;
    }
    key_release(key);
}

static void drop_ambiguous(struct jwks *jwks) {
    size_t kept = 0;
    for (size_t i = 0; i < jwks->count; i++) {
        if (jwks->entries[i].key != NULL)
            jwks->entries[kept++] = jwks->entries[i];
        else
            entry_done(&jwks->entries[i]);
    }
    jwks->count = kept;
}

static bool read_members(struct jwks *jwks, const struct json *members, struct error *err) {
    struct error why = {0};
    size_t count = 0;
    for (const struct json *member = json_first(members); member != NULL; member = json_next(member)) {
        struct view kid = {0};
        struct key *key = NULL;
        if (++count > JWKS_KEYS_MAX)
            return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key set has more than %d keys", JWKS_KEYS_MAX);
        if (read_member(member, &kid, &key, &why))
            add(jwks, kid, key);
    }
    drop_ambiguous(jwks);
    if (jwks->count > 0)
        return true;
    if (why.code == ERROR_NONE)
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key set has no usable key (of %zu)", count);
    return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key set has no usable key (of %zu; the last refused one: %s)",
                     count, why.message);
}

bool jwks_parse(struct view text, struct jwks **ret_jwks, struct error *err) {
    cleanup_json struct json *root = NULL;
    if (!json_parse(text, &root, err)) {
        err->code = ERROR_KEYS_UNAVAILABLE;
        return error_wrap(err, "the key set");
    }
    const struct json *members = json_get(root, "keys");
    if (members == NULL || json_type(members) != JSON_ARRAY || deeper_than(root, JWKS_DEPTH_MAX))
        return error_set(err, ERROR_KEYS_UNAVAILABLE,
                         "the answer is not a key set (a JSON object with an array \"keys\")");
    cleanup_jwks struct jwks *jwks = memory_alloc(sizeof *jwks);
    if (!read_members(jwks, members, err))
        return false;
    *ret_jwks = jwks;
    jwks = NULL;
    return true;
}

void jwks_free(struct jwks *jwks) {
    if (jwks == NULL)
        return;
    for (size_t i = 0; i < jwks->count; i++)
        entry_done(&jwks->entries[i]);
    free(jwks);
}

size_t jwks_count(const struct jwks *jwks) {
    return jwks->count;
}

const struct key *jwks_find(const struct jwks *jwks, struct view kid) {
    for (size_t i = 0; i < jwks->count; i++)
        if (view_is(kid, jwks->entries[i].kid))
            return jwks->entries[i].key;
    return NULL;
}
