// Key pairs and signatures through OpenSSL, for tests. It checks nothing: the worker has to.
#include "forge.h"

#include "base/arena.h"
#include "base/base64.h"
#include "base/json.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM (64 * 1024)

struct forge {
    EVP_PKEY *pair;
};

static void must(bool done) {
    if (done)
        return;
    fputs("forge: OpenSSL failed\n", stderr);
    abort();
}

static struct view view(const struct text *text) {
    return (struct view){text_string(text), text->length};
}

struct forge *forge_new(unsigned bits) {
    struct forge *forge = memory_alloc(sizeof *forge);
    forge->pair = EVP_RSA_gen(bits);
    must(forge->pair != NULL);
    return forge;
}

void forge_free(struct forge *forge) {
    if (forge == NULL)
        return;
    EVP_PKEY_free(forge->pair);
    free(forge);
}

static void put_number(const struct forge *forge, const char *which, struct text *out) {
    BIGNUM *number = NULL;
    must(EVP_PKEY_get_bn_param(forge->pair, which, &number) == 1);
    cleanup_free unsigned char *bytes = memory_alloc((size_t)BN_num_bytes(number));
    int length = BN_bn2bin(number, bytes);
    base64url_encode((struct view){(const char *)bytes, (size_t)length}, out);
    BN_free(number);
}

void forge_modulus(const struct forge *forge, struct text *out) {
    put_number(forge, OSSL_PKEY_PARAM_RSA_N, out);
}

void forge_exponent(const struct forge *forge, struct text *out) {
    put_number(forge, OSSL_PKEY_PARAM_RSA_E, out);
}

struct key *forge_key(const struct forge *forge) {
    cleanup_text struct text modulus = TEXT(ROOM), exponent = TEXT(ROOM);
    struct key *key = NULL;
    struct error err = {0};
    forge_modulus(forge, &modulus);
    forge_exponent(forge, &exponent);
    must(key_new(view(&modulus), view(&exponent), &key, &err));
    return key;
}

void forge_jwk(const struct forge *forge, const char *kid, struct text *out) {
    cleanup_text struct text modulus = TEXT(ROOM), exponent = TEXT(ROOM);
    struct json_writer writer = JSON_WRITER(out);
    forge_modulus(forge, &modulus);
    forge_exponent(forge, &exponent);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "kty", "RSA");
    json_put_string(&writer, "use", "sig");
    json_put_string(&writer, "alg", "RS256");
    json_put_string(&writer, "kid", kid);
    json_put_string(&writer, "n", modulus.data);
    json_put_string(&writer, "e", exponent.data);
    json_end_object(&writer);
}

void forge_sign(const struct forge *forge, enum forge_way way, struct view message, struct text *out) {
    unsigned char signature[2048];
    size_t length = sizeof signature;
    const EVP_MD *digest = way == FORGE_RS512 ? EVP_sha512() : EVP_sha256();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    must(context != NULL && EVP_DigestSignInit(context, &options, digest, NULL, forge->pair) == 1);
    if (way == FORGE_PS256)
        must(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1);
    must(EVP_DigestSign(context, signature, &length, (const unsigned char *)message.data, message.length) == 1);
    EVP_MD_CTX_free(context);
    text_append_view(out, (struct view){(const char *)signature, length});
}

static void put_signed_part(struct view header, struct view claims, struct text *out) {
    base64url_encode(header, out);
    text_append_char(out, '.');
    base64url_encode(claims, out);
}

void forge_token(const struct forge *forge, enum forge_way way, struct view header, struct view claims,
                 struct text *out) {
    cleanup_text struct text signed_part = TEXT(ROOM), signature = TEXT(ROOM);
    put_signed_part(header, claims, &signed_part);
    forge_sign(forge, way, view(&signed_part), &signature);
    text_append_view(out, view(&signed_part));
    text_append_char(out, '.');
    base64url_encode(view(&signature), out);
}

void forge_hmac_token(struct view secret, struct view header, struct view claims, struct text *out) {
    cleanup_text struct text signed_part = TEXT(ROOM);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    put_signed_part(header, claims, &signed_part);
    must(HMAC(EVP_sha256(), secret.data, (int)secret.length, (const unsigned char *)signed_part.data,
              signed_part.length, mac, &length) != NULL);
    text_append_view(out, view(&signed_part));
    text_append_char(out, '.');
    base64url_encode((struct view){(const char *)mac, length}, out);
}

static void take_bio(BIO *bio, struct text *out) {
    char *data = NULL;
    long length = BIO_get_mem_data(bio, &data);
    must(length > 0);
    text_append_view(out, (struct view){data, (size_t)length});
    BIO_free(bio);
}

void forge_public_pem(const struct forge *forge, struct text *out) {
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio != NULL && PEM_write_bio_PUBKEY(bio, forge->pair) == 1);
    take_bio(bio, out);
}

void forge_public_der(const struct forge *forge, struct text *out) {
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio != NULL && i2d_PUBKEY_bio(bio, forge->pair) == 1);
    take_bio(bio, out);
}

void forge_private_pem(const struct forge *forge, bool locked, struct text *out) {
    static const unsigned char passphrase[] = "passphrase";
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, forge->pair, locked ? EVP_aes_256_cbc() : NULL,
                                                      locked ? (const char *)passphrase : NULL,
                                                      locked ? sizeof passphrase - 1 : 0, NULL, NULL) == 1);
    take_bio(bio, out);
}
