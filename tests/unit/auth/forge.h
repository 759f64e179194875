// What an issuer makes, and what an attacker makes: RSA keys, key sets and tokens. For tests only; beside worker/auth/signature.c
// the one place that sees OpenSSL.
#pragma once
#include "auth/signature.h"

struct forge; // an RSA key pair

struct forge *forge_new(unsigned bits); // exponent 65537; ends the test when OpenSSL fails
void forge_free(struct forge *forge);
struct key *forge_key(const struct forge *forge); // its public half, as the worker sees it

// The members n and e of a JWK, base64url.
void forge_modulus(const struct forge *forge, struct text *out);
void forge_exponent(const struct forge *forge, struct text *out);
// {"kty":"RSA","use":"sig","alg":"RS256","kid":KID,"n":...,"e":...}
void forge_jwk(const struct forge *forge, const char *kid, struct text *out);

enum forge_way { FORGE_RS256, FORGE_RS512, FORGE_PS256 };
// The raw signature of `message`.
void forge_sign(const struct forge *forge, enum forge_way way, struct view message, struct text *out);
// A compact serialisation; header and claims are any bytes.
void forge_token(const struct forge *forge, enum forge_way way, struct view header, struct view claims,
                 struct text *out);
// The same with HMAC-SHA-256 over `secret`.
void forge_hmac_token(struct view secret, struct view header, struct view claims, struct text *out);
// The public key as an attacker would feed it to an HMAC.
void forge_public_pem(const struct forge *forge, struct text *out);
void forge_public_der(const struct forge *forge, struct text *out);
// The private key as a service account's key file holds it (PKCS #8), or locked with a passphrase.
void forge_private_pem(const struct forge *forge, bool locked, struct text *out);
