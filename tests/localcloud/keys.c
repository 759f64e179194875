// RSA-2048 keys, their JWKS form, and signatures, over OpenSSL 3. What is signed is token.c's business.
#include "keys.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/json.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define BITS 2048

struct pair {
    EVP_PKEY *key;
    char kid[41];
    char *pem;
};

struct keys {
    struct pair pairs[KEY_COUNT];
};

static void pair_done(struct pair *pair) {
    EVP_PKEY_free(pair->key);
    free(pair->pem);
    *pair = (struct pair){0};
}

static bool pair_make(struct pair *pair) {
    unsigned char random[20];
    BIO *memory = BIO_new(BIO_s_mem());
    pair->key = EVP_RSA_gen(BITS);
    bool made =
        memory && pair->key && RAND_bytes(random, sizeof random) == 1 && PEM_write_bio_PUBKEY(memory, pair->key);
    if (made) {
        char *data = NULL;
        long length = BIO_get_mem_data(memory, &data);
        pair->pem = memory_alloc((size_t)length + 1);
        memcpy(pair->pem, data, (size_t)length);
        for (size_t i = 0; i < sizeof random; i++) {
            pair->kid[2 * i] = "0123456789abcdef"[random[i] >> 4];
            pair->kid[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
        }
    }
    BIO_free(memory);
    return made;
}

struct keys *keys_new(void) {
    struct keys *keys = memory_alloc(sizeof *keys);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (!pair_make(&keys->pairs[i])) {
            keys_free(keys);
            return NULL;
        }
    }
    return keys;
}

void keys_free(struct keys *keys) {
    if (!keys)
        return;
    for (size_t i = 0; i < KEY_COUNT; i++)
        pair_done(&keys->pairs[i]);
    free(keys);
}

bool keys_rotate(struct keys *keys) {
    struct pair fresh = {0};
    if (!pair_make(&fresh)) {
        pair_done(&fresh);
        return false;
    }
    pair_done(&keys->pairs[KEY_PREVIOUS]);
    keys->pairs[KEY_PREVIOUS] = keys->pairs[KEY_CURRENT];
    keys->pairs[KEY_CURRENT] = keys->pairs[KEY_NEXT];
    keys->pairs[KEY_NEXT] = fresh;
    return true;
}

const char *keys_kid(const struct keys *keys, enum key_name name) {
    return keys->pairs[name == KEY_ROGUE ? KEY_CURRENT : name].kid;
}

bool keys_published(const struct keys *keys, const char *kid) {
    return strcmp(kid, keys->pairs[KEY_PREVIOUS].kid) == 0 || strcmp(kid, keys->pairs[KEY_CURRENT].kid) == 0;
}

const char *keys_pem(const struct keys *keys, enum key_name name) {
    return keys->pairs[name].pem;
}

static void put_number(struct json_writer *writer, const char *name, const EVP_PKEY *key, const char *parameter) {
    BIGNUM *number = NULL;
    unsigned char bytes[BITS / 8];
    struct text text cleanup_text = TEXT(1024);
    if (!EVP_PKEY_get_bn_param(key, parameter, &number))
        abort();
    int length = BN_bn2bin(number, bytes);
    base64url_encode((struct view){(const char *)bytes, (size_t)length}, &text);
    json_put_string(writer, name, text_string(&text));
    BN_free(number);
}

static void put_pair(struct json_writer *writer, const struct pair *pair) {
    json_begin_object(writer, NULL);
    json_put_string(writer, "kid", pair->kid);
    json_put_string(writer, "kty", "RSA");
    json_put_string(writer, "alg", "RS256");
    json_put_string(writer, "use", "sig");
    put_number(writer, "n", pair->key, OSSL_PKEY_PARAM_RSA_N);
    put_number(writer, "e", pair->key, OSSL_PKEY_PARAM_RSA_E);
    json_end_object(writer);
}

void keys_write_jwks(const struct keys *keys, struct text *out) {
    struct json_writer writer = JSON_WRITER(out);
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "keys");
    put_pair(&writer, &keys->pairs[KEY_CURRENT]);
    put_pair(&writer, &keys->pairs[KEY_PREVIOUS]);
    json_end_array(&writer);
    json_end_object(&writer);
}

bool keys_sign(const struct keys *keys, enum key_name name, struct view input, struct text *out) {
    unsigned char signature[BITS / 8];
    size_t length = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool signed_ = context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, keys->pairs[name].key) == 1 &&
                   EVP_DigestSign(context, signature, &length, (const unsigned char *)input.data, input.length) == 1;
    EVP_MD_CTX_free(context);
    if (signed_)
        base64url_encode((struct view){(const char *)signature, length}, out);
    return signed_;
}

bool keys_sign_hs256(struct view secret, struct view input, struct text *out) {
    unsigned char signature[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!HMAC(EVP_sha256(), secret.data, (int)secret.length, (const unsigned char *)input.data, input.length, signature,
              &length))
        return false;
    base64url_encode((struct view){(const char *)signature, length}, out);
    return true;
}
