// Fuzzes base64_decode, base64url_decode and both encoders. Beyond "no crash": what is accepted has one spelling (encoding it again
// gives the same text), any bytes survive a round trip, and a slow reference decoder of another build agrees about every text.
#include "base/base64.h"
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition) {
    if (!condition)
        abort();
}

// Bit by bit, straight from RFC 4648.
static bool reference(struct view text, bool url, struct text *out) {
    const char *alphabet = url ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                               : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t digits = text.length;
    if (!url) {
        if (text.length % 4 != 0)
            return false;
        while (digits > 0 && text.length - digits < 2 && text.data[digits - 1] == '=')
            digits--;
    }
    if (digits % 4 == 1)
        return false;
    unsigned char byte = 0;
    for (size_t bit = 0; bit < digits * 6; bit++) {
        char c = text.data[bit / 6];
        const char *found = c ? strchr(alphabet, c) : NULL;
        if (!found)
            return false;
        byte = (unsigned char)(byte << 1 | ((size_t)(found - alphabet) >> (5 - bit % 6) & 1));
        if (bit % 8 == 7) {
            text_append_char(out, (char)byte);
            byte = 0;
        }
    }
    return byte == 0; // the spare bits
}

static void decode_and_compare(struct view text, bool url) {
    cleanup_text struct text expected = TEXT(text.length + 4), again = TEXT(2 * text.length + 8);
    cleanup_free char *room = memory_alloc(base64_decoded_max(text.length));
    size_t length = 0;
    bool accepted = url ? base64url_decode(text, room, &length) : base64_decode(text, room, &length);
    expect(accepted == reference(text, url, &expected));
    if (!accepted)
        return;
    struct view bytes = {room, length};
    expect(length <= base64_decoded_max(text.length));
    expect(view_equal(bytes, (struct view){text_string(&expected), expected.length}));
    if (url)
        base64url_encode(bytes, &again);
    else
        base64_encode(bytes, &again);
    expect(view_equal((struct view){text_string(&again), again.length}, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view input = {(const char *)data, size};
    decode_and_compare(input, false);
    decode_and_compare(input, true);
    cleanup_text struct text standard = TEXT(2 * size + 8), url = TEXT(2 * size + 8);
    cleanup_free char *room = memory_alloc(base64_decoded_max(2 * size + 8));
    size_t length = 0;
    base64_encode(input, &standard);
    expect(base64_decode((struct view){text_string(&standard), standard.length}, room, &length));
    expect(view_equal((struct view){room, length}, input));
    base64url_encode(input, &url);
    expect(base64url_decode((struct view){text_string(&url), url.length}, room, &length));
    expect(view_equal((struct view){room, length}, input));
    return 0;
}
