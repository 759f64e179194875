// Views of bytes, growing text that is born with its maximum, and the few string questions that everybody asks.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Borrowed bytes; not NUL-terminated, may hold NUL.
struct view {
    const char *data;
    size_t length;
};
#define VIEW(literal) ((struct view){(literal), sizeof(literal) - 1})
struct view view_of(const char *string); // NULL gives an empty view
bool view_equal(struct view a, struct view b);
bool view_is(struct view a, const char *string);
bool view_starts(struct view a, const char *prefix);
struct view view_trim(struct view a); // white space at both ends: space \t \r \n \f \v

// Growing text. `data` is always NUL-terminated once something was appended (and NULL before: text_string() gives ""). What would
// go past `max` bytes is left out as a whole with all that follows, and `full` is set: look once at the end.
struct text {
    char *data;
    size_t length, capacity, max;
    bool full;
};
#define TEXT(maximum) ((struct text){.max = (maximum)})
void text_append(struct text *text, const char *string);
void text_append_view(struct text *text, struct view view);
void text_append_char(struct text *text, char c);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *text_string(const struct text *text); // never NULL
void text_cut(struct text *text, size_t length);  // back to an earlier length, and no longer full
void text_clear(struct text *text);               // keeps the memory
void text_done(struct text *text);                // frees the content
#define cleanup_text __attribute__((cleanup(text_done)))

// A secret: wiped when done. It has no printing function; log a secret as "***".
struct secret {
    char *value;
};
void secret_set(struct secret *secret, const char *value);
void secret_done(struct secret *secret);
#define cleanup_secret __attribute__((cleanup(secret_done)))

bool text_is_utf8(struct view view); // RFC 3629: no surrogates, no overlong forms
// Length of the one valid UTF-8 sequence that `view` starts with, 0 when there is none.
size_t text_utf8(struct view view, uint32_t *ret_character);
bool text_is_control(uint32_t character); // C0, DEL, C1
// Decimal digits only, at most `max`; no sign, no space, no empty text.
bool text_to_u64(struct view view, uint64_t max, uint64_t *ret_number);
// "5s", "200ms", "10min", "2h"; a bare number is seconds. Milliseconds out.
bool text_to_ms(struct view view, uint64_t max_ms, uint64_t *ret_ms);
// Copies as much as fits without cutting a UTF-8 sequence; always terminates. Control characters, and those that end a line or turn the
// direction of the text, become spaces; a byte that is not UTF-8 a question mark. The source may be the destination.
void text_copy(char *destination, size_t size, struct view source);
