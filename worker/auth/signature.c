// RS256 through OpenSSL 3, which no other file includes. What the bytes mean (tokens, key sets) is left to token.c and jwks.c.
#include "auth/signature.h"

#include "base/arena.h"
#include "base/base64.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdlib.h>

struct key {
    atomic_uint references;
    size_t modulus_bytes;
    EVP_PKEY *rsa;
};

// 4096 bits in base64url, and room for a few leading zeros that sloppy encoders put in front.
#define NUMBER_BYTES_MAX (KEY_BITS_MAX / 8 + 4)

// An unsigned big-endian number without its leading zeros.
struct number {
    unsigned char bytes[NUMBER_BYTES_MAX];
    size_t length;
};

static bool number_decode(struct view text, struct number *ret_number) {
    char decoded[NUMBER_BYTES_MAX + 4];
    size_t length = 0;
    if (base64_decoded_max(text.length) > sizeof decoded || !base64url_decode(text, decoded, &length))
        return false;
    size_t zeros = 0;
    while (zeros < length && decoded[zeros] == 0)
        zeros++;
    if (length - zeros > NUMBER_BYTES_MAX)
        return false;
    ret_number->length = length - zeros;
    for (size_t i = 0; i < ret_number->length; i++)
        ret_number->bytes[i] = (unsigned char)decoded[zeros + i];
    return true;
}

static size_t number_bits(const struct number *number) {
    if (number->length == 0)
        return 0;
    size_t bits = (number->length - 1) * 8;
    for (unsigned top = number->bytes[0]; top != 0; top >>= 1)
        bits++;
    return bits;
}

static bool number_is_odd(const struct number *number) {
    return number->length > 0 && (number->bytes[number->length - 1] & 1) == 1;
}

static bool check_modulus(const struct number *modulus, struct error *err) {
    size_t bits = number_bits(modulus);
    if (bits < KEY_BITS_MIN || bits > KEY_BITS_MAX)
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key has %zu bits, not %d to %d", bits, KEY_BITS_MIN,
                         KEY_BITS_MAX);
    if (!number_is_odd(modulus))
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key's modulus is even");
    return true;
}

static bool check_exponent(const struct number *exponent, struct error *err) {
    uint64_t value = 0;
    bool fits = number_bits(exponent) < 64;
    for (size_t i = 0; fits && i < exponent->length; i++)
        value = value << 8 | exponent->bytes[i];
    if (!fits || value < KEY_EXPONENT_MIN || value >= KEY_EXPONENT_END || value % 2 == 0)
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key's exponent is not an odd number from 65537 to 2^33");
    return true;
}

// NULL when OpenSSL cannot build it.
static EVP_PKEY *build(const struct number *modulus, const struct number *exponent) {
    EVP_PKEY *rsa = NULL;
    BIGNUM *n = BN_bin2bn(modulus->bytes, (int)modulus->length, NULL);
    BIGNUM *e = BN_bin2bn(exponent->bytes, (int)exponent->length, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (n != NULL && e != NULL && builder != NULL && context != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
        (parameters = OSSL_PARAM_BLD_to_param(builder)) != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &rsa, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        rsa = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    BN_free(e);
    BN_free(n);
    ERR_clear_error();
    return rsa;
}

bool key_new(struct view modulus, struct view exponent, struct key **ret_key, struct error *err) {
    struct number n, e;
    if (!number_decode(modulus, &n))
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key's modulus is not base64url of at most %d bits",
                         KEY_BITS_MAX);
    if (!number_decode(exponent, &e))
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the key's exponent is not base64url");
    if (!check_modulus(&n, err) || !check_exponent(&e, err))
        return false;
    EVP_PKEY *rsa = build(&n, &e);
    if (rsa == NULL)
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "OpenSSL refuses the key");
    struct key *key = memory_alloc(sizeof *key);
    atomic_init(&key->references, 1);
    key->modulus_bytes = n.length;
    key->rsa = rsa;
    *ret_key = key;
    return true;
}

// The count is no part of what a key says, so that holders of a const key may take and give back references.
static atomic_uint *references_of(const struct key *key) {
    return &((struct key *)key)->references;
}

const struct key *key_keep(const struct key *key) {
    atomic_fetch_add_explicit(references_of(key), 1, memory_order_relaxed);
    return key;
}

void key_release(const struct key *key) {
    // Release what this thread did with the key, and acquire what the others did, before it goes.
    if (key == NULL || atomic_fetch_sub_explicit(references_of(key), 1, memory_order_acq_rel) != 1)
        return;
    EVP_PKEY_free(key->rsa);
    free((struct key *)key);
}

bool key_equal(const struct key *a, const struct key *b) {
    bool equal = EVP_PKEY_eq(a->rsa, b->rsa) == 1;
    ERR_clear_error();
    return equal;
}

bool signature_verify(const struct key *key, struct view message, struct view signature, struct error *err) {
    // RFC 8017 §8.2.2 step 1, before any library sees the bytes.
    if (signature.length != key->modulus_bytes)
        return error_set(err, ERROR_TOKEN_SIGNATURE, "the token's signature has %zu bytes, its key makes %zu",
                         signature.length, key->modulus_bytes);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    // Only 1 is success: 0 and negative values are different kinds of no.
    bool holds = context != NULL && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->rsa) == 1 &&
                 EVP_DigestVerify(context, (const unsigned char *)signature.data, signature.length,
                                  (const unsigned char *)message.data, message.length) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error(); // a failed verification leaves an entry in this thread's queue
    if (!holds)
        return error_set(err, ERROR_TOKEN_SIGNATURE, "the token's signature was not made by the key that it names");
    return true;
}

// ---- signing ---------------------------------------------------------------------------------------------------------

struct signer {
    EVP_PKEY *rsa;
};

// OpenSSL would ask the terminal for the passphrase of an encrypted key.
static int refuse_passphrase(char *buffer, int size, int writing, void *context) {
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static EVP_PKEY *read_private(struct view pem) {
    if (pem.length > INT32_MAX)
        return NULL;
    BIO *memory = BIO_new_mem_buf(pem.data, (int)pem.length);
    EVP_PKEY *rsa = memory != NULL ? PEM_read_bio_PrivateKey(memory, NULL, refuse_passphrase, NULL) : NULL;
    BIO_free(memory);
    ERR_clear_error();
    return rsa;
}

bool signer_new(struct view pem, struct signer **ret_signer, struct error *err) {
    EVP_PKEY *rsa = read_private(pem);
    if (rsa == NULL)
        return error_set(err, ERROR_CONFIGURATION, "the private key is not an unencrypted key in PEM form");
    int bits = EVP_PKEY_get_bits(rsa);
    if (EVP_PKEY_is_a(rsa, "RSA") != 1 || bits < KEY_BITS_MIN || bits > KEY_BITS_MAX) {
        EVP_PKEY_free(rsa);
        return error_set(err, ERROR_CONFIGURATION, "the private key is not an RSA key of %d to %d bits", KEY_BITS_MIN,
                         KEY_BITS_MAX);
    }
    struct signer *signer = memory_alloc(sizeof *signer);
    signer->rsa = rsa;
    *ret_signer = signer;
    return true;
}

void signer_free(struct signer *signer) {
    if (signer == NULL)
        return;
    EVP_PKEY_free(signer->rsa);
    free(signer);
}

bool signer_sign(const struct signer *signer, struct view message, struct text *signature, struct error *err) {
    unsigned char bytes[KEY_BITS_MAX / 8];
    size_t length = sizeof bytes;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool made = context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, signer->rsa) == 1 &&
                EVP_DigestSign(context, bytes, &length, (const unsigned char *)message.data, message.length) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    if (!made)
        return error_set(err, ERROR_INTERNAL, "OpenSSL cannot sign with the private key");
    text_append_view(signature, (struct view){(const char *)bytes, length});
    return true;
}
