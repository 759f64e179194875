// Percent-encoding. See url.h.
#include "net/url.h"

static bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void url_append(struct text *out, struct view value) {
    for (size_t i = 0; i < value.length; i++) {
        if (is_unreserved(value.data[i]))
            text_append_char(out, value.data[i]);
        else
            text_printf(out, "%%%02X", (unsigned)(unsigned char)value.data[i]);
    }
}
