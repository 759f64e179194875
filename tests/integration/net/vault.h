// A TLS server on loopback inside the test that answers every request with "200 OK" and the body "inside". Its certificate says what
// the test wants it to say. The one test helper beside tests/unit/auth/forge.c that sees OpenSSL.
#pragma once
#include <stdint.h>

struct vault;

// A self-signed certificate for `name` (a DNS name or an IPv4 address), valid until so many seconds from now (negative: expired).
struct vault *vault_new(const char *name, long valid_s);
void vault_free(struct vault *vault);
uint16_t vault_port(const struct vault *vault);
// Puts the certificate into a folder as c_rehash would, so that the folder can be trusted.
void vault_trust(const struct vault *vault, const char *folder);
