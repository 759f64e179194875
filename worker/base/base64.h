// RFC 4648. Two decoders with one strictness: no white space, no foreign characters, no spare bits.
#pragma once
#include "base/text.h"

// Upper bound of the decoded size.
size_t base64_decoded_max(size_t length);
// Section 4 (standard alphabet, padding required). `destination` holds base64_decoded_max(text.length) bytes.
bool base64_decode(struct view text, char *destination, size_t *ret_length);
// Section 5 (URL alphabet) without padding, as RFC 7515 section 2 demands.
bool base64url_decode(struct view text, char *destination, size_t *ret_length);
void base64_encode(struct view bytes, struct text *out);    // with padding
void base64url_encode(struct view bytes, struct text *out); // without
