// What RFC 8259 allows and what it does not, after the manner of JSONTestSuite; the getters; the writer.
#include "base/json.h"

#include "base/arena.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DEEP_32 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
#define UP_32 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"

// Parses a copy of exactly that length, so that the address sanitizer sees any look past the end.
static bool parse(struct view text, struct json **ret_json, struct error *err) {
    cleanup_free char *exact = memory_alloc(text.length);
    memcpy(exact, text.data, text.length);
    return json_parse((struct view){exact, text.length}, ret_json, err);
}

static struct json *must_parse(const char *text) {
    struct json *json = NULL;
    struct error err = {0};
    if (!parse(view_of(text), &json, &err))
        fail_msg("%s: %s", text, err.message);
    return json;
}

static void must_fail(struct view text) {
    struct json *json = NULL;
    struct error err = {0};
    if (parse(text, &json, &err))
        fail_msg("\"%.*s\" was taken", (int)text.length, text.data);
    assert_null(json);
    assert_int_equal(err.code, ERROR_REQUEST_MALFORMED);
    assert_true(view_starts(view_of(err.message), "JSON: "));
}

// ---- the grammar ---------------------------------------------------------------------------------------------------

static void well_formed_texts_are_read(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        " [ ] ",
        "\t\r\n{\n}\n",
        "null",
        "-0",
        "\"\"",
        "[null,true,false,0,\"\"]",
        "[[],[[]],{},[1,2],[ 1 , 2 ],[{\"a\":1},{\"a\":1}]]",
        "[0,-1,123,1.5,-0.5,1e1,1E1,1e+1,1e-1,0e1,0e+1,1.5e3,20e1,1e999999999999,-1e-999999999999]",
        // longer than cJSON reads
        "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]",
        "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "{\"a\":1,\"A\":2,\"\":0,\"b\" : {\"a\":{\"a\":[]}} , \"c\":3 }",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"\\\\u0000\",\"[1,2\"]",
        "[\"\\u0001\",\"\\u00e9\",\"\\uABCD\",\"\\uabcd\",\"\\ud83d\\ude00\",\"\\uD834\\uDD1E\",\"\\uFFFF\"]",
        "[\"\x7f\",\"\xc3\xa9\",\"\xe2\x82\xac\",\"\xf0\x9f\x98\x80\",\"\xe2\x80\xa8\"]",
        DEEP_32 UP_32,
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        json_free(must_parse(texts[i]));
}

static const char *const malformed[] = {
    // nothing, or too much
    "",
    " ",
    "\n",
    "1 1",
    "{}{}",
    "[]]",
    "{}}",
    "[] x",
    "[1]//",
    "{}#",
    "{}/**/",
    "true false",
    "\"a\"\"b\"",
    "\xef\xbb\xbf{}",
    // cut off
    "[",
    "{",
    "\"",
    "[1",
    "[1,",
    "[\"a\"",
    "[\"a",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "[[]",
    "-",
    "1.",
    "1e",
    "1e+",
    "\"\\",
    "\"\\u",
    "\"\\u12",
    "\"\\u1234",
    "\"\\ud800\\",
    "\"\\ud800\\u",
    "\"\\ud800\\ude0",
    // commas and colons
    "[,]",
    "[,1]",
    "[1,]",
    "[1,,2]",
    "[1 2]",
    "[1:2]",
    "{,}",
    "{,\"a\":1}",
    "{\"a\":1,}",
    "{\"a\":1,,\"b\":2}",
    "{\"a\"}",
    "{\"a\",1}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{\"a\":1 \"b\":2}",
    "{:1}",
    "{\"a\":}",
    // names
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{[]:1}",
    "{\"a\":1,b:2}",
    // brackets that do not match
    "]",
    "}",
    "[}",
    "{]",
    "[1}",
    "{\"a\":1]",
    "[{]}",
    // words
    "nul",
    "nulL",
    "NULL",
    "True",
    "TRUE",
    "fals",
    "nan",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "truth",
    "nullx",
    "[tru]",
    // numbers
    "01",
    "-01",
    "00",
    "+1",
    ".5",
    "-.5",
    "1.e1",
    "1..2",
    "1.2.3",
    "1e1.5",
    "1ee1",
    "1e+-1",
    "0x10",
    "1_000",
    "1,5",
    "--1",
    "- 1",
    "1a",
    "\xef\xbc\x91",
    "1e 1",
    "0.e1",
    "[-]",
    "[1.]",
    "[2.e3]",
    "[-2.]",
    "[1e+]",
    "[0e]",
    "[1eE2]",
    // strings
    "'a'",
    "\"\\x41\"",
    "\"\\a\"",
    "\"\\'\"",
    "\"\\0\"",
    "\"\\U0041\"",
    "\"\\u{41}\"",
    "\"\\u00g0\"",
    "\"\\u 041\"",
    "\"\\u+041\"",
    "\"\\\xc3\xa9\"",
    "\"\\\n\"",
    "\"a\nb\"",
    "\"a\tb\"",
    "\"a\rb\"",
    "\"\x01\"",
    "\"\x1f\"",
    "\"a\\\"",
    // white space that JSON does not know
    "\f[]",
    "[\v]",
    "\xc2\xa0[]",
    "\xe2\x81\xa0[]",
    "[]\b",
};

static void malformed_texts_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(malformed); i++)
        must_fail(view_of(malformed[i]));
}

static void what_is_not_unicode_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "\"\x80\"",           "\"\xc0\x80\"",       "\"\xc3\"",
        "\"\xe2\x82\"",       "\"\xed\xa0\x80\"",   "\"\xf4\x90\x80\x80\"",
        "\"\xff\"",           "{\"\xff\":1}",       "\xff",
        "[\xc3\xa9]",         "\"\\ud800\"",        "\"\\udc00\"",
        "\"\\ud800x\"",       "\"\\ud800\\n\"",     "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"", "\"\\ude00\\ud83d\"", "{\"\\udfff\":1}",
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        must_fail(view_of(texts[i]));
}

// The trick behind each: a C string ends at the NUL, so that what is checked is not what was signed.
static void a_nul_is_refused_wherever_it_stands(void **state) {
    (void)state;
    must_fail(VIEW("\"ours\\u0000evil\""));
    must_fail(VIEW("{\"aud\\u0000x\":1}"));
    must_fail(VIEW("\"ours\0evil\""));
    must_fail(VIEW("{\"aud\0x\":1}"));
    must_fail(VIEW("{\"a\":1}\0"));
    must_fail(VIEW("{\"a\":1}\0{\"a\":2}"));
    must_fail(VIEW("\0{}"));
    must_fail(VIEW("[1,\0 2]"));
    must_fail(VIEW("1\0"));
    must_fail(VIEW("\"a\\\0\""));
}

static void two_members_of_one_name_are_refused_at_any_depth(void **state) {
    (void)state;
    must_fail(VIEW("{\"aud\":1,\"aud\":1}"));
    must_fail(VIEW("{\"aud\":1,\"b\":2,\"aud\":null}"));
    must_fail(VIEW("{\"\":1,\"\":2}"));
    must_fail(VIEW("[[{\"a\":{\"b\":1,\"c\":[],\"b\":2}}]]"));
    must_fail(VIEW("{\"aud\":1,\"\\u0061ud\":2}")); // the same name, spelt differently
    must_fail(VIEW("{\"a/\":1,\"a\\/\":2}"));
    must_fail(VIEW("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}"));
}

static void depth_is_bounded(void **state) {
    (void)state;
    must_fail(VIEW("[" DEEP_32 UP_32 "]"));
    must_fail(VIEW(DEEP_32 "{}" UP_32));
    cleanup_free char *open = memory_alloc(1 << 20);
    memset(open, '[', 1 << 20);
    must_fail((struct view){open, 1 << 20});
    // Depth counts what is open, not what was opened.
    cleanup_text struct text wide = TEXT(4096);
    text_append(&wide, "[");
    for (int i = 0; i < 1000; i++)
        text_append(&wide, "[],");
    text_append(&wide, "0]");
    json_free(must_parse(text_string(&wide)));
}

static void a_hundred_thousand_members_cost_no_square(void **state) {
    (void)state;
    cleanup_text struct text text = TEXT(4 << 20);
    text_append(&text, "{");
    for (int i = 0; i < 100000; i++)
        text_printf(&text, "\"m%d\":%d,", i, i);
    text_append(&text, "\"last\":0}");
    cleanup_json struct json *json = must_parse(text_string(&text));
    int64_t number;
    assert_true(json_integer(json_get(json, "m99999"), 0, 100000, &number));
    assert_int_equal(number, 99999);
}

static void an_error_says_where_but_not_what(void **state) {
    (void)state;
    struct json *json = NULL;
    struct error err = {0};
    assert_false(parse(VIEW("{\"password\": hunter2}"), &json, &err));
    assert_string_equal(err.message, "JSON: a value was expected at byte 13");
    assert_false(parse(VIEW("{\n\"password\":\n\nhunter2}"), &json, &err));
    assert_string_equal(err.message, "JSON: a value was expected at byte 15, in line 4");
    assert_false(parse(VIEW("{\n"), &json, &err)); // the end is a place, too
    assert_string_equal(err.message, "JSON: a string was expected at byte 2, in line 2");
    assert_null(json);
}

// ---- getters -------------------------------------------------------------------------------------------------------

static void members_are_found_by_exact_case_and_in_order(void **state) {
    (void)state;
    cleanup_json struct json *json = must_parse("{\"b\":1,\"B\":2,\"a\":[3,\"x\",null]}");
    assert_int_equal(json_type(json), JSON_OBJECT);
    int64_t number;
    assert_true(json_integer(json_get(json, "B"), 0, 9, &number));
    assert_int_equal(number, 2);
    assert_null(json_get(json, "A"));
    assert_null(json_get(json, ""));
    assert_null(json_get(json_get(json, "a"), "x"));
    assert_null(json_get(NULL, "x"));
    const struct json *member = json_first(json);
    assert_string_equal(json_name(member), "b");
    member = json_next(member);
    assert_string_equal(json_name(member), "B");
    member = json_next(member);
    assert_string_equal(json_name(member), "a");
    assert_null(json_next(member));
    const struct json *element = json_first(member);
    assert_int_equal(json_type(element), JSON_NUMBER);
    element = json_next(element);
    assert_int_equal(json_type(element), JSON_STRING);
    assert_int_equal(json_type(json_next(element)), JSON_NULL);
    assert_null(json_first(element));
    assert_null(json_first(NULL));
}

static void strings_are_decoded(void **state) {
    (void)state;
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"\"\"", ""},
        {"\"projects\\/p\"", "projects/p"},
        {"\"\\\"\\\\\\b\\f\\n\\r\\t\"", "\"\\\b\f\n\r\t"},
        {"\"\\u00e9\\u20AC\\ud83d\\ude00\\u0001\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x01"},
        {"\"\xe2\x80\xa8\x7f\"", "\xe2\x80\xa8\x7f"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct view value;
        cleanup_json struct json *json = must_parse(cases[i].text);
        assert_true(json_string(json, &value));
        assert_true(view_is(value, cases[i].value));
    }
}

static void whole_numbers_are_exact(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"0.0", 0},
        {"0e5", 0},
        {"0e-5", 0},
        {"7", 7},
        {"-7", -7},
        {"10", 10},
        {"100200", 100200},
        {"1.0", 1},
        {"1e3", 1000},
        {"1000e-3", 1},
        {"1.5e1", 15},
        {"-1.25E2", -125},
        {"0.001e3", 1},
        {"0.00100e+3", 1},
        {"0e99999999999999999999", 0},
        {"9007199254740991", 9007199254740991},
        {"-9007199254740991", -9007199254740991},
        {"9007199254740991.000", 9007199254740991},
    };
    static const char *const bad[] = {
        "0.5",
        "1.5",
        "-0.1",
        "1e-1",
        "15e-1",
        "1.00000000000000000000000000000001",
        "9007199254740991.4",
        "9007199254740992",
        "-9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551617",
        "1e16",
        "1e19",
        "1e999999999999",
        "1e-999999999999",
        "123456789012345678901234567890",
        "1000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    };
    int64_t number;
    for (size_t i = 0; i < COUNT(cases); i++) {
        cleanup_json struct json *json = must_parse(cases[i].text);
        assert_true(json_integer(json, INT64_MIN, INT64_MAX, &number));
        assert_true(number == cases[i].value);
    }
    number = 77;
    for (size_t i = 0; i < COUNT(bad); i++) {
        cleanup_json struct json *json = must_parse(bad[i]);
        if (json_integer(json, INT64_MIN, INT64_MAX, &number))
            fail_msg("%s was taken", bad[i]);
    }
    assert_int_equal(number, 77);
}

static void every_number_keeps_its_own_place(void **state) {
    (void)state;
    cleanup_json struct json *json = must_parse("[1,{\"a\":[2.50,{\"b\":3}],\"4\":\"5\"},[[6]],-7]");
    int64_t number;
    double real;
    const struct json *second = json_next(json_first(json));
    assert_true(json_number(json_first(json_get(second, "a")), &real) && real == 2.5);
    assert_true(json_integer(json_get(json_next(json_first(json_get(second, "a"))), "b"), 3, 3, &number));
    assert_true(json_integer(json_first(json_first(json_next(second))), 6, 6, &number));
    assert_true(json_integer(json_next(json_next(second)), -7, -7, &number));
}

static void a_getter_takes_its_own_type_and_range_only(void **state) {
    (void)state;
    cleanup_json struct json *json =
        must_parse("{\"s\":\"5\",\"n\":5,\"b\":true,\"z\":null,\"a\":[5],\"o\":{\"n\":5}}");
    static const char *const names[] = {"s", "n", "b", "z", "a", "o", "absent"};
    unsigned strings = 0, integers = 0, numbers = 0, booleans = 0;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct view string;
        int64_t integer;
        double number;
        bool boolean;
        const struct json *member = json_get(json, names[i]);
        strings += json_string(member, &string);
        integers += json_integer(member, INT64_MIN, INT64_MAX, &integer);
        numbers += json_number(member, &number);
        booleans += json_boolean(member, &boolean);
    }
    assert_int_equal(strings, 1);
    assert_int_equal(integers, 1);
    assert_int_equal(numbers, 1);
    assert_int_equal(booleans, 1);
    int64_t integer = 77;
    assert_false(json_integer(json_get(json, "n"), 6, 9, &integer));
    assert_false(json_integer(json_get(json, "n"), 0, 4, &integer));
    assert_int_equal(integer, 77);
    assert_true(json_integer(json_get(json, "n"), 5, 5, &integer));
}

static void real_numbers_do_not_depend_on_the_locale(void **state) {
    (void)state;
    double number = 0;
    // Any locale with a decimal comma will do; where none is installed this is the plain case.
    bool comma = setlocale(LC_NUMERIC, "de_DE.UTF-8") || setlocale(LC_NUMERIC, "fr_FR.UTF-8");
    cleanup_json struct json *json = must_parse("[1.25,-0.5e-1,1e16,1e999,9007199254740992]");
    const struct json *element = json_first(json);
    assert_true(json_number(element, &number) && number == 1.25);
    element = json_next(element);
    assert_true(json_number(element, &number) && number == -0.05);
    for (element = json_next(element); element; element = json_next(element))
        assert_false(json_number(element, &number));
    if (comma)
        setlocale(LC_NUMERIC, "C");
}

// ---- writer --------------------------------------------------------------------------------------------------------

static void what_is_written_is_well_formed(void **state) {
    (void)state;
    cleanup_text struct text text = TEXT(1000);
    struct json_writer writer = JSON_WRITER(&text);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "s", "a");
    json_put_string(&writer, "z", NULL);
    json_begin_array(&writer, "list");
    json_put_integer(&writer, NULL, INT64_MIN);
    json_put_boolean(&writer, NULL, true);
    json_begin_object(&writer, NULL);
    json_end_object(&writer);
    json_begin_array(&writer, NULL);
    json_end_array(&writer);
    json_put_raw(&writer, NULL, "{\"x\":1}");
    json_end_array(&writer);
    json_put_view(&writer, "na\"me", VIEW("a\0b"));
    json_put_boolean(&writer, "f", false);
    json_end_object(&writer);
    assert_string_equal(text_string(&text),
                        "{\"s\":\"a\",\"z\":null,\"list\":[-9223372036854775808,true,{},[],{\"x\":1}],"
                        "\"na\\\"me\":\"a\\u0000b\",\"f\":false}");
}

static void every_dangerous_character_is_escaped(void **state) {
    (void)state;
    static const struct {
        const char *value, *written;
    } cases[] = {
        {"", "\"\""},
        {"\"\\/", "\"\\\"\\\\/\""},
        {"\n\t\r\b\f\x01\x1b\x1f", "\"\\n\\t\\u000d\\u0008\\u000c\\u0001\\u001b\\u001f\""},
        {"\x7f\xc2\x9b", "\"\\u007f\\u009b\""},
        {"\xe2\x80\xa8\xe2\x80\xa9", "\"\\u2028\\u2029\""},
        {"\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"a\xff\xc3z\xed\xa0\x80", "\"a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cleanup_text struct text text = TEXT(200);
        json_put_string(&JSON_WRITER(&text), NULL, cases[i].value);
        assert_string_equal(text_string(&text), cases[i].written);
        json_free(must_parse(text_string(&text)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_texts_are_read),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(what_is_not_unicode_is_refused),
        cmocka_unit_test(a_nul_is_refused_wherever_it_stands),
        cmocka_unit_test(two_members_of_one_name_are_refused_at_any_depth),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_hundred_thousand_members_cost_no_square),
        cmocka_unit_test(an_error_says_where_but_not_what),
        cmocka_unit_test(members_are_found_by_exact_case_and_in_order),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(whole_numbers_are_exact),
        cmocka_unit_test(every_number_keeps_its_own_place),
        cmocka_unit_test(a_getter_takes_its_own_type_and_range_only),
        cmocka_unit_test(real_numbers_do_not_depend_on_the_locale),
        cmocka_unit_test(what_is_written_is_well_formed),
        cmocka_unit_test(every_dangerous_character_is_escaped),
    };
    return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
