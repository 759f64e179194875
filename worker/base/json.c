// JSON in and out. cJSON builds the tree, but it is lenient and forgets: so the bytes are first held against RFC 8259 here, and
// numbers keep their own text. What members a place wants is left to the caller.
#include "base/json.h"

#include "base/arena.h"

#include <cjson/cJSON.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- scan: does the text obey RFC 8259, and the stricter rules of the header? ------------------------------------------

struct scan {
    struct view text;
    size_t at;
    unsigned depth;
    const char *problem;  // the first one, at `at`
    struct view *numbers; // in document order
    size_t count, capacity;
};

static bool fail(struct scan *scan, const char *problem) {
    scan->problem = problem;
    return false;
}

// The byte at the cursor; -1 at the end.
static int peek(const struct scan *scan) {
    return scan->at < scan->text.length ? (unsigned char)scan->text.data[scan->at] : -1;
}

static bool take(struct scan *scan, char c) {
    if (peek(scan) != c)
        return false;
    scan->at++;
    return true;
}

static void skip_space(struct scan *scan) {
    while (take(scan, ' ') || take(scan, '\t') || take(scan, '\n') || take(scan, '\r'))
        continue;
}

static bool scan_literal(struct scan *scan, const char *word) {
    struct view rest = {scan->text.data + scan->at, scan->text.length - scan->at};
    if (!view_starts(rest, word))
        return fail(scan, "a value was expected");
    scan->at += strlen(word);
    return true;
}

static bool scan_digits(struct scan *scan) {
    size_t start = scan->at;
    while (peek(scan) >= '0' && peek(scan) <= '9')
        scan->at++;
    return scan->at > start || fail(scan, "a digit was expected");
}

static bool scan_number(struct scan *scan) {
    size_t start = scan->at;
    take(scan, '-');
    if (!take(scan, '0') && !scan_digits(scan))
        return false;
    if (take(scan, '.') && !scan_digits(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '-'))
            take(scan, '+');
        if (!scan_digits(scan))
            return false;
    }
    if (scan->count == scan->capacity) {
        scan->capacity = scan->capacity ? 2 * scan->capacity : 16;
        scan->numbers = memory_grow(scan->numbers, scan->capacity * sizeof(scan->numbers[0]));
    }
    scan->numbers[scan->count++] = (struct view){scan->text.data + start, scan->at - start};
    return true;
}

// The four hex digits after \u.
static bool scan_hex(struct scan *scan, uint32_t *ret_unit) {
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++, scan->at++) {
        int c = peek(scan);
        if (c >= '0' && c <= '9')
            unit = unit << 4 | (uint32_t)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            unit = unit << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return fail(scan, "four hex digits were expected");
    }
    *ret_unit = unit;
    return true;
}

// After the backslash.
static bool scan_escape(struct scan *scan) {
    uint32_t unit, low;
    if (!take(scan, 'u')) {
        int c = peek(scan);
        if (c <= 0 || !strchr("\"\\/bfnrt", c))
            return fail(scan, "unknown escape");
        scan->at++;
        return true;
    }
    if (!scan_hex(scan, &unit))
        return false;
    if (unit == 0)
        return fail(scan, "NUL in a string");
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    if (unit > 0xdbff || !take(scan, '\\') || !take(scan, 'u'))
        return fail(scan, "lone surrogate");
    if (!scan_hex(scan, &low))
        return false;
    return (low >= 0xdc00 && low <= 0xdfff) || fail(scan, "lone surrogate");
}

static bool scan_string(struct scan *scan) {
    if (!take(scan, '"'))
        return fail(scan, "a string was expected");
    while (!take(scan, '"')) {
        uint32_t character;
        int c = peek(scan);
        if (c < 0)
            return fail(scan, "the string does not end");
        if (c < 0x20)
            return fail(scan, c == 0 ? "NUL in a string" : "raw control character in a string");
        if (take(scan, '\\')) {
            if (!scan_escape(scan))
                return false;
            continue;
        }
        size_t length = text_utf8((struct view){scan->text.data + scan->at, scan->text.length - scan->at}, &character);
        if (length == 0)
            return fail(scan, "invalid UTF-8");
        scan->at += length;
    }
    return true;
}

static bool scan_value(struct scan *scan);

// Members or elements, after the opening bracket.
static bool scan_container(struct scan *scan, char close) {
    if (++scan->depth > JSON_DEPTH_MAX)
        return fail(scan, "nested too deeply");
    skip_space(scan);
    if (!take(scan, close)) {
        do {
            if (close == '}') {
                skip_space(scan);
                if (!scan_string(scan))
                    return false;
                skip_space(scan);
                if (!take(scan, ':'))
                    return fail(scan, "a colon was expected");
            }
            if (!scan_value(scan))
                return false;
        } while (take(scan, ','));
        if (!take(scan, close))
            return fail(scan, close == '}' ? "a comma or } was expected" : "a comma or ] was expected");
    }
    scan->depth--;
    return true;
}

// A value with the white space around it. Recursion is bounded by JSON_DEPTH_MAX.
static bool scan_value(struct scan *scan) {
    bool good;
    skip_space(scan);
    int c = peek(scan);
    if (take(scan, '{'))
        good = scan_container(scan, '}');
    else if (take(scan, '['))
        good = scan_container(scan, ']');
    else if (c == '"')
        good = scan_string(scan);
    else if (c == '-' || (c >= '0' && c <= '9'))
        good = scan_number(scan);
    else
        good = scan_literal(scan, c == 't' ? "true" : c == 'f' ? "false" : "null");
    skip_space(scan);
    return good;
}

// ---- tree ----------------------------------------------------------------------------------------------------------

static const cJSON *node(const struct json *json) {
    return (const cJSON *)json;
}

static const struct json *wrap(const cJSON *item) {
    return (const struct json *)item;
}

// cJSON reads a number as a double, by the locale's rules, and 63 characters of it at most. So it is shown a 0 in its place, and
// the text itself is kept where a number has no other use for it: in valuestring, which cJSON_Delete frees. (cJSON also notes the
// place of its last error in a global, from any thread; nobody reads it.)
static cJSON *build(const struct scan *scan) {
    cleanup_free char *copy = memory_alloc(scan->text.length + 1);
    memcpy(copy, scan->text.data, scan->text.length);
    for (size_t i = 0; i < scan->count; i++) {
        char *number = copy + (scan->numbers[i].data - scan->text.data);
        memset(number, ' ', scan->numbers[i].length);
        *number = '0';
    }
    return cJSON_ParseWithLengthOpts(copy, scan->text.length, NULL, false);
}

// Memory that cJSON_Delete may free.
static char *node_string(const struct view *text) {
    char *string = cJSON_malloc(text->length + 1);
    if (!string)
        memory_exhausted();
    memcpy(string, text->data, text->length);
    string[text->length] = '\0';
    return string;
}

static void attach_numbers(cJSON *item, const struct view **next) {
    for (; item; item = item->next) {
        if (cJSON_IsNumber(item)) {
            item->valuestring = node_string(*next);
            (*next)++;
        }
        attach_numbers(item->child, next);
    }
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Sorted, so that an object of a hundred thousand members costs no more than its size.
static bool has_twins(const cJSON *object) {
    size_t count = (size_t)cJSON_GetArraySize(object), filled = 0;
    if (count < 2)
        return false;
    cleanup_free const char **names = memory_alloc(count * sizeof(names[0]));
    for (const cJSON *member = object->child; member; member = member->next)
        names[filled++] = member->string;
    qsort(names, count, sizeof(names[0]), compare_names);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0)
            return true;
    }
    return false;
}

static bool has_twins_anywhere(const cJSON *item) {
    for (; item; item = item->next) {
        if ((cJSON_IsObject(item) && has_twins(item)) || has_twins_anywhere(item->child))
            return true;
    }
    return false;
}

// A file that was typed has lines.
static bool refuse(const struct scan *scan, struct error *err) {
    size_t line = 1;
    for (size_t i = 0; i < scan->at; i++)
        line += scan->text.data[i] == '\n';
    if (line == 1)
        return error_set(err, ERROR_REQUEST_MALFORMED, "JSON: %s at byte %zu", scan->problem, scan->at);
    return error_set(err, ERROR_REQUEST_MALFORMED, "JSON: %s at byte %zu, in line %zu", scan->problem, scan->at, line);
}

bool json_parse(struct view text, struct json **ret_json, struct error *err) {
    struct scan scan = {.text = text};
    if (scan_value(&scan) && scan.at < text.length)
        fail(&scan, "text after the value");
    cleanup_free struct view *numbers = scan.numbers;
    if (scan.problem)
        return refuse(&scan, err);
    cJSON *root = build(&scan);
    if (!root) // well-formed it is, so cJSON can only have lacked memory
        memory_exhausted();
    if (has_twins_anywhere(root)) {
        cJSON_Delete(root);
        return error_set(err, ERROR_REQUEST_MALFORMED, "JSON: an object has two members of one name");
    }
    const struct view *next = numbers;
    attach_numbers(root, &next);
    *ret_json = (struct json *)root;
    return true;
}

void json_free(struct json *json) {
    cJSON_Delete((cJSON *)json);
}

enum json_type json_type(const struct json *json) {
    switch (node(json)->type & 0xff) {
    case cJSON_False:
    case cJSON_True:
        return JSON_BOOLEAN;
    case cJSON_Number:
        return JSON_NUMBER;
    case cJSON_String:
        return JSON_STRING;
    case cJSON_Array:
        return JSON_ARRAY;
    case cJSON_Object:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

const struct json *json_get(const struct json *object, const char *name) {
    return object && cJSON_IsObject(node(object)) ? wrap(cJSON_GetObjectItemCaseSensitive(node(object), name)) : NULL;
}

const struct json *json_first(const struct json *container) {
    return container ? wrap(node(container)->child) : NULL;
}

const struct json *json_next(const struct json *json) {
    return wrap(node(json)->next);
}

const char *json_name(const struct json *member) {
    return node(member)->string;
}

bool json_string(const struct json *json, struct view *ret_string) {
    if (!json || !cJSON_IsString(node(json)))
        return false;
    *ret_string = view_of(node(json)->valuestring);
    return true;
}

bool json_boolean(const struct json *json, bool *ret_boolean) {
    if (!json || !cJSON_IsBool(node(json)))
        return false;
    *ret_boolean = cJSON_IsTrue(node(json));
    return true;
}

// The decimal exponent after e or E, cut to a size that is absurd but safe to add to.
static int64_t read_exponent(const char *text) {
    int64_t exponent = 0;
    bool negative = *text == '-';
    for (text += *text == '-' || *text == '+'; *text; text++) {
        if (exponent < 1000000000)
            exponent = exponent * 10 + (*text - '0');
    }
    return negative ? -exponent : exponent;
}

// Reads the text's value digit by digit times a power of ten, so that 1e3 and 1000.0 are whole and nothing is rounded.
static bool read_whole(const char *text, int64_t *ret_number) {
    int64_t number = 0, zeros = 0, exponent = 0; // the value so far is number * 10^(zeros + exponent)
    bool negative = *text == '-', fraction = false;
    for (text += negative; *text && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.') {
            fraction = true;
            continue;
        }
        exponent -= fraction;
        zeros++;
        if (*text == '0')
            continue;
        for (; zeros > 0; zeros--) {
            if (__builtin_mul_overflow(number, 10, &number))
                return false;
        }
        if (__builtin_add_overflow(number, *text - '0', &number))
            return false;
    }
    exponent += zeros + (*text ? read_exponent(text + 1) : 0);
    if (number != 0 && exponent < 0)
        return false;
    for (; number != 0 && exponent > 0; exponent--) {
        if (__builtin_mul_overflow(number, 10, &number))
            return false;
    }
    *ret_number = negative ? -number : number;
    return true;
}

static const int64_t beyond = INT64_C(1) << 53; // from here on a double skips whole numbers (RFC 8259, section 6)

bool json_integer(const struct json *json, int64_t min, int64_t max, int64_t *ret_number) {
    int64_t number;
    if (!json || !cJSON_IsNumber(node(json)) || !read_whole(node(json)->valuestring, &number))
        return false;
    if (number <= -beyond || number >= beyond || number < min || number > max)
        return false;
    *ret_number = number;
    return true;
}

bool json_number(const struct json *json, double *ret_number) {
    if (!json || !cJSON_IsNumber(node(json)))
        return false;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain)
        return false;
    double number = strtod_l(node(json)->valuestring, NULL, plain);
    freelocale(plain);
    if (!(fabs(number) < (double)beyond))
        return false;
    *ret_number = number;
    return true;
}

// ---- writer --------------------------------------------------------------------------------------------------------

static void put_escaped(struct text *out, struct view value) {
    text_append_char(out, '"');
    for (size_t at = 0, length; at < value.length; at += length) {
        uint32_t character;
        length = text_utf8((struct view){value.data + at, value.length - at}, &character);
        if (length == 0) {
            text_append(out, "\xef\xbf\xbd"); // U+FFFD
            length = 1;
        } else if (character == '"' || character == '\\') {
            text_append_char(out, '\\');
            text_append_char(out, (char)character);
        } else if (character == '\n' || character == '\t') {
            text_append(out, character == '\n' ? "\\n" : "\\t");
        } else if (text_is_control(character) || character == 0x2028 || character == 0x2029) {
            text_printf(out, "\\u%04x", (unsigned)character);
        } else {
            text_append_view(out, (struct view){value.data + at, length});
        }
    }
    text_append_char(out, '"');
}

// The comma before, and the name.
static void begin(struct json_writer *writer, const char *name) {
    if (writer->comma)
        text_append_char(writer->out, ',');
    writer->comma = true;
    if (name) {
        put_escaped(writer->out, view_of(name));
        text_append_char(writer->out, ':');
    }
}

static void open(struct json_writer *writer, const char *name, char bracket) {
    begin(writer, name);
    text_append_char(writer->out, bracket);
    writer->comma = false;
}

static void close(struct json_writer *writer, char bracket) {
    text_append_char(writer->out, bracket);
    writer->comma = true;
}

void json_begin_object(struct json_writer *writer, const char *name) {
    open(writer, name, '{');
}

void json_end_object(struct json_writer *writer) {
    close(writer, '}');
}

void json_begin_array(struct json_writer *writer, const char *name) {
    open(writer, name, '[');
}

void json_end_array(struct json_writer *writer) {
    close(writer, ']');
}

void json_put_view(struct json_writer *writer, const char *name, struct view value) {
    begin(writer, name);
    put_escaped(writer->out, value);
}

void json_put_string(struct json_writer *writer, const char *name, const char *value) {
    if (value)
        json_put_view(writer, name, view_of(value));
    else
        json_put_raw(writer, name, "null");
}

void json_put_integer(struct json_writer *writer, const char *name, int64_t value) {
    begin(writer, name);
    text_printf(writer->out, "%lld", (long long)value);
}

void json_put_boolean(struct json_writer *writer, const char *name, bool value) {
    json_put_raw(writer, name, value ? "true" : "false");
}

void json_put_raw(struct json_writer *writer, const char *name, const char *json) {
    begin(writer, name);
    text_append(writer->out, json);
}
