// RSA public keys and RS256 (RFC 7518 §3.3: RSASSA-PKCS1-v1_5 with SHA-256). OpenSSL stays behind this header, in signature.c.
// OpenSSL does not judge a key (e = 1, 512 bits and an even modulus all "work"), so key_new() does.
#pragma once
#include "base/error.h"
#include "base/text.h"

#define KEY_BITS_MIN 2048
#define KEY_BITS_MAX 4096
#define KEY_EXPONENT_MIN 65537 // smaller ones are legal RSA and a needless risk; no issuer of ours uses them
#define KEY_EXPONENT_END (UINT64_C(1) << 33) // as BoringSSL: a longer exponent only makes verification slow

struct key; // immutable, counted: shared by threads and by successive key sets

// `modulus` and `exponent` are big-endian numbers in base64url (RFC 7518 §6.3.1). The caller owns the one reference.
// Errors: ERROR_KEYS_UNAVAILABLE, saying what is wrong with the key.
bool key_new(struct view modulus, struct view exponent, struct key **ret_key, struct error *err);
const struct key *key_keep(const struct key *key); // one more reference; returns `key`
void key_release(const struct key *key);           // NULL is fine
static inline void key_cleanup(struct key **key) {
    key_release(*key);
}
#define cleanup_key __attribute__((cleanup(key_cleanup)))
bool key_equal(const struct key *a, const struct key *b);

// True when `signature` (raw bytes) is this key's RS256 signature of `message`. Thread-safe. Errors: ERROR_TOKEN_SIGNATURE.
bool signature_verify(const struct key *key, struct view message, struct view signature, struct error *err);

// A private key that signs.
struct signer; // immutable, usable by several threads

// `pem`: an unencrypted RSA key of KEY_BITS_MIN to KEY_BITS_MAX bits in PKCS #8 or PKCS #1. Errors: ERROR_CONFIGURATION, without
// a byte of the key.
bool signer_new(struct view pem, struct signer **ret_signer, struct error *err);
void signer_free(struct signer *signer); // NULL is fine
// Appends the RS256 signature of `message`, raw bytes. Errors: ERROR_INTERNAL.
bool signer_sign(const struct signer *signer, struct view message, struct text *signature, struct error *err);
