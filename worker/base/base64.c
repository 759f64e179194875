// RFC 4648, both alphabets through one strict decoder. A text has exactly one spelling here, so a token has no twins.
#include "base/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64_decoded_max(size_t length) {
    return length / 4 * 3 + 2;
}

// The six bits of a character, -1 for a foreign one.
static int sextet(char c, const char *alphabet) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == alphabet[62] ? 62 : c == alphabet[63] ? 63 : -1;
}

// Text without padding. The destination is written as it goes; only the length is a result.
static bool decode(struct view text, const char *alphabet, char *destination, size_t *ret_length) {
    uint32_t bits = 0;
    unsigned held = 0;
    size_t length = 0;
    if (text.length % 4 == 1)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        int value = sextet(text.data[i], alphabet);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            destination[length++] = (char)(bits >> held & 0xff);
            bits &= (1u << held) - 1;
        }
    }
    if (bits != 0) // spare bits (section 3.5)
        return false;
    *ret_length = length;
    return true;
}

bool base64_decode(struct view text, char *destination, size_t *ret_length) {
    if (text.length % 4 != 0)
        return false;
    for (int pads = 0; pads < 2 && text.length > 0 && text.data[text.length - 1] == '='; pads++)
        text.length--;
    return decode(text, standard, destination, ret_length);
}

bool base64url_decode(struct view text, char *destination, size_t *ret_length) {
    return decode(text, url, destination, ret_length);
}

static void encode(struct view bytes, const char *alphabet, bool padded, struct text *out) {
    const unsigned char *data = (const unsigned char *)bytes.data;
    for (size_t at = 0; at < bytes.length; at += 3) {
        size_t count = bytes.length - at < 3 ? bytes.length - at : 3;
        uint32_t bits = (uint32_t)data[at] << 16;
        if (count > 1)
            bits |= (uint32_t)data[at + 1] << 8;
        if (count > 2)
            bits |= data[at + 2];
        char quantum[4] = "====";
        for (size_t i = 0; i <= count; i++)
            quantum[i] = alphabet[bits >> (18 - 6 * i) & 63];
        text_append_view(out, (struct view){quantum, padded ? 4 : count + 1});
    }
}

void base64_encode(struct view bytes, struct text *out) {
    encode(bytes, standard, true, out);
}

void base64url_encode(struct view bytes, struct text *out) {
    encode(bytes, url, false, out);
}
