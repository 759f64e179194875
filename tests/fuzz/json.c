// Fuzzes json_parse, the getters and the writer. Beyond "no crash": what is accepted holds no NUL, no twins and no invalid UTF-8, is
// no deeper than promised, and written again by the writer it is accepted again, with the same value.
#include "base/json.h"
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition) {
    if (!condition)
        abort();
}

static void write_value(struct json_writer *writer, const char *name, const struct json *json, unsigned depth);

static void write_members(struct json_writer *writer, const struct json *container, unsigned depth) {
    expect(depth < JSON_DEPTH_MAX);
    for (const struct json *member = json_first(container); member; member = json_next(member))
        write_value(writer, json_type(container) == JSON_OBJECT ? json_name(member) : NULL, member, depth + 1);
}

// A number outside the getters' range becomes null: it has no value here.
static void write_number(struct json_writer *writer, const char *name, const struct json *json) {
    int64_t whole;
    double real;
    if (json_integer(json, INT64_MIN, INT64_MAX, &whole)) {
        expect(llabs((long long)whole) < INT64_C(1) << 53);
        expect(json_number(json, &real) && real == (double)whole);
        expect(!json_integer(json, whole + 1, INT64_MAX, &whole) && !json_integer(json, INT64_MIN, whole - 1, &whole));
        json_put_integer(writer, name, whole);
    } else if (json_number(json, &real)) {
        expect(real > -9007199254740992.0 && real < 9007199254740992.0);
        json_put_string(writer, name, "real");
    } else {
        json_put_string(writer, name, NULL);
    }
}

static void write_value(struct json_writer *writer, const char *name, const struct json *json, unsigned depth) {
    struct view string = {0};
    bool boolean = false;
    if (name)
        expect(text_is_utf8(view_of(name)));
    switch (json_type(json)) {
    case JSON_NULL:
        json_put_string(writer, name, NULL);
        break;
    case JSON_BOOLEAN:
        expect(json_boolean(json, &boolean));
        json_put_boolean(writer, name, boolean);
        break;
    case JSON_NUMBER:
        write_number(writer, name, json);
        break;
    case JSON_STRING:
        expect(json_string(json, &string));
        expect(text_is_utf8(string) && strlen(string.data) == string.length);
        json_put_view(writer, name, string);
        break;
    case JSON_ARRAY:
        json_begin_array(writer, name);
        write_members(writer, json, depth);
        json_end_array(writer);
        break;
    case JSON_OBJECT:
        json_begin_object(writer, name);
        write_members(writer, json, depth);
        json_end_object(writer);
        break;
    }
}

// json_get finds the first member of a name; that it finds each one means that there are no twins.
static void expect_no_twins(const struct json *json) {
    for (const struct json *member = json_first(json); member; member = json_next(member)) {
        if (json_type(json) == JSON_OBJECT)
            expect(json_get(json, json_name(member)) == member);
        expect_no_twins(member);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    // A copy of exactly the size, so that the address sanitizer sees a look past the end.
    cleanup_free char *exact = memory_alloc(size);
    if (size > 0)
        memcpy(exact, data, size);
    struct error err = {0};
    cleanup_json struct json *json = NULL, *again = NULL;
    if (!json_parse((struct view){exact, size}, &json, &err)) {
        expect(!json && err.code == ERROR_REQUEST_MALFORMED && err.message[0]);
        return 0;
    }
    expect(text_is_utf8((struct view){exact, size}) && !memchr(exact, '\0', size));
    expect_no_twins(json);
    cleanup_text struct text first = TEXT(8 * size + 64), second = TEXT(8 * size + 64);
    write_value(&JSON_WRITER(&first), NULL, json, 0);
    expect(!first.full);
    expect(json_parse((struct view){text_string(&first), first.length}, &again, &err));
    write_value(&JSON_WRITER(&second), NULL, again, 0);
    expect(strcmp(text_string(&first), text_string(&second)) == 0);
    return 0;
}
