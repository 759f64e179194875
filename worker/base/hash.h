// SHA-256 (FIPS 180-4), own and small: the pure rooms need it and must not drag in a foreign library.
#pragma once
#include "base/text.h"

struct hash {
    uint32_t state[8];
    uint64_t length;
    unsigned char block[64];
};
void hash_begin(struct hash *hash);
void hash_add(struct hash *hash, struct view bytes);
void hash_end(struct hash *hash, char ret_hex[static 65]); // lower-case hex and a NUL
void hash_hex(struct view bytes, char ret_hex[static 65]);
