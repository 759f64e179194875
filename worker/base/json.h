// JSON (RFC 8259) through cJSON, and strict where cJSON is not: exact end, no duplicate names, exact-case names, no NUL in any
// string or name (raw or \u0000), valid UTF-8 (lone surrogates refused), no raw control characters, bounded depth.
// Only json.c sees cJSON. Numbers keep their text's value exactly or are refused by the getter that asks.
#pragma once
#include "base/error.h"
#include "base/text.h"

struct json; // a value; the root owns all that is below it
enum json_type { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
#define JSON_DEPTH_MAX 32

// Errors: ERROR_REQUEST_MALFORMED with what and, but for twins, the byte offset (never the text); callers set the code that fits
// their place. Thread-safe.
bool json_parse(struct view text, struct json **ret_json, struct error *err);
void json_free(struct json *json);
static inline void json_cleanup(struct json **json) {
    json_free(*json);
}
#define cleanup_json __attribute__((cleanup(json_cleanup)))

enum json_type json_type(const struct json *json);
const struct json *json_get(const struct json *object, const char *name); // NULL when absent or not an object
const struct json *json_first(const struct json *container); // members or elements, in order; NULL at the end
const struct json *json_next(const struct json *json);
const char *json_name(const struct json *member);

// False when the value is absent (NULL) or of another type or range.
bool json_string(const struct json *json, struct view *ret_string); // points into the tree; NUL-terminated there
bool json_integer(const struct json *json, int64_t min, int64_t max, int64_t *ret_number); // whole numbers, |x| < 2^53
bool json_number(const struct json *json, double *ret_number);                             // finite, |x| < 2^53
bool json_boolean(const struct json *json, bool *ret_boolean);

// Writer: appends to a text. Commas are its business; every string is escaped (also U+2028/9 and DEL), invalid UTF-8 becomes U+FFFD.
// `name` is NULL inside arrays and for the root. A NULL string writes null.
struct json_writer {
    struct text *out;
    bool comma;
};
#define JSON_WRITER(text_pointer) ((struct json_writer){.out = (text_pointer)})
void json_begin_object(struct json_writer *writer, const char *name);
void json_end_object(struct json_writer *writer);
void json_begin_array(struct json_writer *writer, const char *name);
void json_end_array(struct json_writer *writer);
void json_put_string(struct json_writer *writer, const char *name, const char *value);
void json_put_view(struct json_writer *writer, const char *name, struct view value);
void json_put_integer(struct json_writer *writer, const char *name, int64_t value);
void json_put_boolean(struct json_writer *writer, const char *name, bool value);
void json_put_raw(struct json_writer *writer, const char *name, const char *json); // already JSON
