// Views of bytes, growing text and secrets. What the bytes mean (JSON, base64, time) is left to the other rooms.
#include "base/text.h"

#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- views ---------------------------------------------------------------------------------------------------------

struct view view_of(const char *string) {
    return string ? (struct view){string, strlen(string)} : (struct view){"", 0};
}

bool view_equal(struct view a, struct view b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool view_is(struct view a, const char *string) {
    return view_equal(a, view_of(string));
}

bool view_starts(struct view a, const char *prefix) {
    size_t length = strlen(prefix);
    return a.length >= length && view_equal((struct view){a.data, length}, view_of(prefix));
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct view view_trim(struct view a) {
    while (a.length > 0 && is_space(a.data[0]))
        a = (struct view){a.data + 1, a.length - 1};
    while (a.length > 0 && is_space(a.data[a.length - 1]))
        a.length--;
    return a;
}

// ---- growing text --------------------------------------------------------------------------------------------------

// Room for `more` bytes and a NUL; false (and full for ever) when that goes past the maximum.
static bool make_room(struct text *text, size_t more) {
    if (text->full || more > text->max - text->length) {
        text->full = true;
        return false;
    }
    size_t need = text->length + more + 1;
    if (need <= text->capacity)
        return true;
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    if (capacity > text->max + 1)
        capacity = text->max + 1;
    text->data = memory_grow(text->data, capacity);
    text->capacity = capacity;
    return true;
}

void text_append_view(struct text *text, struct view view) {
    if (!make_room(text, view.length))
        return;
    if (view.length > 0)
        memcpy(text->data + text->length, view.data, view.length);
    text->length += view.length;
    text->data[text->length] = '\0';
}

void text_append(struct text *text, const char *string) {
    text_append_view(text, view_of(string));
}

void text_append_char(struct text *text, char c) {
    text_append_view(text, (struct view){&c, 1});
}

void text_printf(struct text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        text->full = true; // not even the C library could print it
    } else if (make_room(text, (size_t)length)) {
        (void)vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

const char *text_string(const struct text *text) {
    return text->data ? text->data : "";
}

void text_cut(struct text *text, size_t length) {
    if (length < text->length) {
        text->length = length;
        text->data[length] = '\0';
    }
    text->full = false;
}

void text_clear(struct text *text) {
    text_cut(text, 0);
}

void text_done(struct text *text) {
    free(text->data);
    *text = TEXT(text->max);
}

// ---- secrets -------------------------------------------------------------------------------------------------------

void secret_set(struct secret *secret, const char *value) {
    char *copy = value ? memory_string(value) : NULL; // first: `value` may be the old one
    secret_done(secret);
    secret->value = copy;
}

void secret_done(struct secret *secret) {
    if (secret->value)
        memory_wipe(secret->value, strlen(secret->value));
    free(secret->value);
    secret->value = NULL;
}

// ---- characters ----------------------------------------------------------------------------------------------------

size_t text_utf8(struct view view, uint32_t *ret_character) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)view.data;
    if (view.length == 0)
        return 0;
    if (bytes[0] < 0x80) {
        *ret_character = bytes[0];
        return 1;
    }
    size_t length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || length > view.length)
        return 0;
    uint32_t character = bytes[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (bytes[i] & 0x3f);
    }
    if (character < least[length] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
        return 0;
    *ret_character = character;
    return length;
}

// How many bytes at the start are ASCII, as far as eight at a time tell.
static size_t ascii_run(struct view view) {
    size_t at = 0;
    for (uint64_t word; view.length - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, view.data + at, sizeof(word));
        if (word & 0x8080808080808080)
            break;
    }
    return at;
}

bool text_is_utf8(struct view view) {
    uint32_t character;
    for (size_t at = 0, step; at < view.length; at += step) {
        at += ascii_run((struct view){view.data + at, view.length - at});
        if (at == view.length)
            break;
        step = text_utf8((struct view){view.data + at, view.length - at}, &character);
        if (step == 0)
            return false;
    }
    return true;
}

bool text_is_control(uint32_t character) {
    return character < 0x20 || (character >= 0x7f && character < 0xa0);
}

// Ends a line, or turns the direction of what stands around it: a reader would see something else than what is there.
static bool misleads(uint32_t character) {
    return (character >= 0x2028 && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069);
}

void text_copy(char *destination, size_t size, struct view source) {
    size_t out = 0;
    if (size == 0)
        return;
    for (size_t at = 0; at < source.length;) {
        uint32_t character = '?';
        size_t step = text_utf8((struct view){source.data + at, source.length - at}, &character);
        const char *from = source.data + at;
        size_t width = step;
        if (step == 0 || text_is_control(character) || misleads(character)) {
            from = step == 0 ? "?" : " ";
            width = 1;
        }
        if (width > size - 1 - out)
            break;
        memmove(destination + out, from, width); // the source may be the destination
        out += width;
        at += step ? step : 1;
    }
    destination[out] = '\0';
}

// ---- numbers -------------------------------------------------------------------------------------------------------

bool text_to_u64(struct view view, uint64_t max, uint64_t *ret_number) {
    uint64_t number = 0;
    if (view.length == 0)
        return false;
    for (size_t i = 0; i < view.length; i++) {
        if (view.data[i] < '0' || view.data[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(view.data[i] - '0'), &number) || number > max)
            return false;
    }
    *ret_number = number;
    return true;
}

bool text_to_ms(struct view view, uint64_t max_ms, uint64_t *ret_ms) {
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}};
    size_t digits = 0;
    while (digits < view.length && view.data[digits] >= '0' && view.data[digits] <= '9')
        digits++;
    struct view unit = {view.data + digits, view.length - digits};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint64_t number;
        if (!view_is(unit, units[i].name))
            continue;
        if (!text_to_u64((struct view){view.data, digits}, max_ms / units[i].ms, &number))
            return false;
        *ret_ms = number * units[i].ms;
        return true;
    }
    return false;
}
