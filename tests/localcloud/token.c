// Makes compact JWS (RFC 7515). The keys and their arithmetic are in keys.c.
#include "token.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIFETIME_S 3600
#define TOKEN_BYTES (64 * 1024) // forged ones may be far too long
#define CACHE 64

struct cached {
    char *email, *audience, *token;
    char kid[41];
    int64_t expires_at;
};

struct tokens {
    struct keys *keys;
    const char *project;
    struct cached cache[CACHE];
    size_t oldest;
};

struct tokens *tokens_new(struct keys *keys, const char *project) {
    struct tokens *tokens = memory_alloc(sizeof *tokens);
    tokens->keys = keys;
    tokens->project = project;
    return tokens;
}

static void cached_done(struct cached *cached) {
    free(cached->email);
    free(cached->audience);
    free(cached->token);
    *cached = (struct cached){0};
}

void tokens_free(struct tokens *tokens) {
    if (!tokens)
        return;
    for (size_t i = 0; i < CACHE; i++)
        cached_done(&tokens->cache[i]);
    free(tokens);
}

// 21 digits that stand for a service account's unique id, always the same for one e-mail address.
static void subject_of(const char *email, char ret_subject[static 22]) {
    char hex[65];
    hash_hex(view_of(email), hex);
    ret_subject[0] = '1';
    for (size_t i = 1; i < 21; i++)
        ret_subject[i] = (char)('0' + hex[i] % 10);
    ret_subject[21] = '\0';
}

static void write_header(struct json_writer *writer, const char *kid) {
    json_put_string(writer, "alg", "RS256");
    json_put_string(writer, "kid", kid);
    json_put_string(writer, "typ", "JWT");
}

static void write_claims(struct json_writer *writer, const char *email, const char *audience, int64_t now) {
    char subject[22];
    subject_of(email, subject);
    json_put_string(writer, "aud", audience);
    json_put_string(writer, "azp", subject);
    json_put_string(writer, "email", email);
    json_put_boolean(writer, "email_verified", true);
    json_put_integer(writer, "exp", now + LIFETIME_S);
    json_put_integer(writer, "iat", now);
    json_put_string(writer, "iss", "https://accounts.google.com");
    json_put_string(writer, "sub", subject);
}

void tokens_mint(struct tokens *tokens, const char *email, const char *audience, struct text *out) {
    struct text header cleanup_text = TEXT(1024), claims cleanup_text = TEXT(8192), token cleanup_text = TEXT(16384);
    struct json_writer writer = JSON_WRITER(&header);
    json_begin_object(&writer, NULL);
    write_header(&writer, keys_kid(tokens->keys, KEY_CURRENT));
    json_end_object(&writer);
    writer = JSON_WRITER(&claims);
    json_begin_object(&writer, NULL);
    write_claims(&writer, email, audience, clock_unix());
    json_end_object(&writer);
    base64url_encode((struct view){text_string(&header), header.length}, &token);
    text_append_char(&token, '.');
    base64url_encode((struct view){text_string(&claims), claims.length}, &token);
    text_append(out, text_string(&token));
    text_append_char(out, '.');
    if (!keys_sign(tokens->keys, KEY_CURRENT, (struct view){text_string(&token), token.length}, out))
        abort();
}

static struct cached *find_cached(struct tokens *tokens, const char *email, const char *audience) {
    for (size_t i = 0; i < CACHE; i++) {
        struct cached *cached = &tokens->cache[i];
        if (cached->token && strcmp(cached->email, email) == 0 && strcmp(cached->audience, audience) == 0)
            return cached;
    }
    return NULL;
}

const char *tokens_push(struct tokens *tokens, const char *email, const char *audience) {
    struct cached *cached = find_cached(tokens, email, audience);
    // A token is shared almost to its end ("may be up to an hour old"), unless its key has been retired.
    if (cached && cached->expires_at - clock_unix() > 30 && keys_published(tokens->keys, cached->kid))
        return cached->token;
    if (!cached) {
        cached = &tokens->cache[tokens->oldest];
        tokens->oldest = (tokens->oldest + 1) % CACHE;
    }
    struct text token = TEXT(TOKEN_BYTES);
    char *email_copy = memory_string(email), *audience_copy = memory_string(audience);
    tokens_mint(tokens, email, audience, &token);
    cached_done(cached);
    *cached = (struct cached){.email = email_copy, .audience = audience_copy, .expires_at = clock_unix() + LIFETIME_S};
    cached->token = memory_string(text_string(&token));
    text_copy(cached->kid, sizeof cached->kid, view_of(keys_kid(tokens->keys, KEY_CURRENT)));
    text_done(&token);
    return cached->token;
}

// ---- forging ------------------------------------------------------------------------------------------------

static void write_value(struct json_writer *writer, const char *name, const struct json *value) {
    struct view string;
    int64_t integer;
    double number;
    bool boolean;
    if (json_string(value, &string)) {
        json_put_view(writer, name, string);
    } else if (json_integer(value, -(INT64_C(1) << 53) + 1, (INT64_C(1) << 53) - 1, &integer)) {
        json_put_integer(writer, name, integer);
    } else if (json_number(value, &number)) {
        char text[64];
        int length = snprintf(text, sizeof text, "%.17g", number);
        json_put_raw(writer, name, length > 0 && (size_t)length < sizeof text ? text : "0");
    } else if (json_boolean(value, &boolean)) {
        json_put_boolean(writer, name, boolean);
    } else if (json_type(value) == JSON_NULL) {
        json_put_raw(writer, name, "null");
    } else {
        bool array = json_type(value) == JSON_ARRAY;
        (array ? json_begin_array : json_begin_object)(writer, name);
        for (const struct json *item = json_first(value); item; item = json_next(item))
            write_value(writer, array ? NULL : json_name(item), item);
        (array ? json_end_array : json_end_object)(writer);
    }
}

// `usual` with the members of `wish` over it. A null member takes the usual one away.
static bool write_merged(const struct text *usual, const struct json *wish, struct text *out) {
    struct json *tree cleanup_json = NULL;
    struct error err = {0};
    if (!json_parse((struct view){text_string(usual), usual->length}, &tree, &err))
        return false;
    struct json_writer writer = JSON_WRITER(out);
    json_begin_object(&writer, NULL);
    for (const struct json *member = json_first(tree); member; member = json_next(member))
        if (!json_get(wish, json_name(member)))
            write_value(&writer, json_name(member), member);
    for (const struct json *member = json_first(wish); member; member = json_next(member))
        if (json_type(member) != JSON_NULL)
            write_value(&writer, json_name(member), member);
    json_end_object(&writer);
    return !out->full;
}

static bool find_key(const struct json *wish, enum key_name *ret_name, const char **ret_algorithm) {
    static const struct {
        const char *name;
        enum key_name key;
        const char *algorithm;
    } known[] = {
        {"current", KEY_CURRENT, "RS256"}, {"previous", KEY_PREVIOUS, "RS256"},    {"next", KEY_NEXT, "RS256"},
        {"rogue", KEY_ROGUE, "RS256"},     {"hs256-public", KEY_CURRENT, "HS256"}, {"none", KEY_CURRENT, "none"},
    };
    struct view name = VIEW("current");
    if (json_get(wish, "key") && !json_string(json_get(wish, "key"), &name))
        return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (view_is(name, known[i].name)) {
            *ret_name = known[i].key;
            *ret_algorithm = known[i].algorithm;
            return true;
        }
    }
    return false;
}

// header.claims in base64url, made from the usual ones and the test's wishes.
static bool write_input(struct tokens *tokens, const struct json *wish, enum key_name key, const char *algorithm,
                        struct text *out) {
    struct text usual cleanup_text = TEXT(4096), merged cleanup_text = TEXT(TOKEN_BYTES),
                      email cleanup_text = TEXT(256);
    struct json_writer writer = JSON_WRITER(&usual);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "alg", algorithm);
    json_put_string(&writer, "kid", keys_kid(tokens->keys, key));
    json_put_string(&writer, "typ", "JWT");
    json_end_object(&writer);
    if (!write_merged(&usual, json_get(wish, "header"), &merged))
        return false;
    base64url_encode((struct view){text_string(&merged), merged.length}, out);
    text_append_char(out, '.');
    text_clear(&usual);
    text_clear(&merged);
    text_printf(&email, "push@%s.iam.gserviceaccount.com", tokens->project);
    writer = JSON_WRITER(&usual);
    json_begin_object(&writer, NULL);
    write_claims(&writer, text_string(&email), "https://pawl.example", clock_unix());
    json_end_object(&writer);
    if (!write_merged(&usual, json_get(wish, "claims"), &merged))
        return false;
    base64url_encode((struct view){text_string(&merged), merged.length}, out);
    return !out->full;
}

bool tokens_forge(struct tokens *tokens, const struct json *wish, struct text *out, struct refusal *refusal) {
    struct text input cleanup_text = TEXT(TOKEN_BYTES);
    enum key_name key;
    const char *algorithm;
    struct view raw;
    if (!find_key(wish, &key, &algorithm))
        return refuse(refusal, INVALID_ARGUMENT, "key is current, previous, next, rogue, hs256-public or none.");
    if (json_string(json_get(wish, "signing_input"), &raw))
        text_append_view(&input, raw);
    else if (!write_input(tokens, wish, key, algorithm, &input))
        return refuse(refusal, INVALID_ARGUMENT, "header or claims are too long or not objects.");
    struct view bytes = {text_string(&input), input.length};
    text_append_view(out, bytes);
    text_append_char(out, '.');
    if (json_string(json_get(wish, "signature"), &raw))
        text_append_view(out, raw);
    else if (strcmp(algorithm, "HS256") == 0)
        return keys_sign_hs256(view_of(keys_pem(tokens->keys, KEY_CURRENT)), bytes, out) ||
               refuse(refusal, UNAVAILABLE, "Cannot sign.");
    else if (strcmp(algorithm, "none") != 0)
        return keys_sign(tokens->keys, key, bytes, out) || refuse(refusal, UNAVAILABLE, "Cannot sign.");
    return true;
}
