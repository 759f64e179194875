// The reader of libpg_query's JSON.
#include "script/tree.h"
#include "script/words.h"
#include <string.h>

// Words that cannot name a table without quotes: reserved, or reserved except as a function or type (PostgreSQL appendix C, 15 to 18).
static const char RESERVED[] =
    " all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation "
    "column concurrently constraint create cross current_catalog current_date current_role current_schema "
    "current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for "
    "foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral "
    "leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer "
    "overlaps placing primary references returning right select session_user similar some symmetric system_user "
    "table tablesample then to trailing true union unique user using variadic verbose when where window with ";

// Behind a string's closing quote; `at` is at the opening one.
static const char *string_end(const char *at) {
    for (at++; *at != '"' && *at != '\0'; at++)
        if (*at == '\\' && at[1] != '\0')
            at++;
    return *at == '"' ? at + 1 : at;
}

static const char *value_end(const char *at) {
    size_t depth = 0;
    do {
        if (*at == '"') {
            at = string_end(at);
        } else if (*at == '{' || *at == '[') {
            depth++, at++;
        } else if (*at == '}' || *at == ']') {
            depth--, at++;
        } else if (*at == '\0') {
            return at;
        } else {
            at++;
        }
    } while (depth > 0 || (*at != ',' && *at != '}' && *at != ']' && *at != '\0'));
    return at;
}

struct node tree_of(const char *json) {
    return (struct node){json};
}

// The member's value; `at` is at its name.
static const char *member_value(const char *at) {
    at = string_end(at);
    return *at == ':' ? at + 1 : at;
}

struct node tree_get(struct node object, const char *name) {
    if (object.at == NULL || *object.at != '{')
        return (struct node){NULL};
    size_t length = strlen(name);
    for (const char *at = object.at + 1; *at == '"'; at += *at == ',') {
        const char *value = member_value(at);
        if (strncmp(at + 1, name, length) == 0 && at[length + 1] == '"')
            return (struct node){value};
        at = value_end(value);
    }
    return (struct node){NULL};
}

struct node tree_first(struct node array) {
    bool some = array.at != NULL && *array.at == '[' && array.at[1] != ']';
    return (struct node){some ? array.at + 1 : NULL};
}

struct node tree_next(struct node element) {
    const char *end = element.at == NULL ? "" : value_end(element.at);
    return (struct node){*end == ',' ? end + 1 : NULL};
}

struct view tree_type(struct node node) {
    if (node.at == NULL || node.at[0] != '{' || node.at[1] != '"')
        return (struct view){0};
    const char *start = node.at + 2;
    return (struct view){start, (size_t)(string_end(node.at + 1) - start) - 1};
}

struct node tree_body(struct node node) {
    return (struct node){tree_type(node).length > 0 ? member_value(node.at + 1) : NULL};
}

struct node tree_as(struct node node, const char *type) {
    return view_is(tree_type(node), type) ? tree_body(node) : (struct node){NULL};
}

// A quote inside a string is escaped, so that {"Type": is found in no string.
struct node tree_find(struct node node, const char *type, struct node after) {
    if (node.at == NULL)
        return node;
    const char *end = value_end(node.at), *at = after.at ? after.at : node.at;
    size_t length = strlen(type);
    for (; (at = memmem(at, (size_t)(end - at), type, length)) != NULL; at += length)
        if (at - node.at >= 2 && at[-1] == '"' && at[-2] == '{' && at[length] == '"')
            return (struct node){member_value(at - 1)};
    return (struct node){NULL};
}

bool tree_true(struct node node) {
    return node.at != NULL && strncmp(node.at, "true", 4) == 0;
}

static struct view raw_string(struct node string) {
    if (string.at == NULL || *string.at != '"')
        return (struct view){0};
    return (struct view){string.at + 1, (size_t)(string_end(string.at) - string.at) - 2};
}

bool tree_is(struct node string, const char *value) {
    return string.at != NULL && *string.at == '"' && view_is(raw_string(string), value);
}

bool tree_ends(struct node string, const char *suffix) {
    struct view raw = raw_string(string);
    size_t length = strlen(suffix);
    return raw.length >= length && memcmp(raw.data + raw.length - length, suffix, length) == 0;
}

// libpg_query escapes the quote, the backslash and control characters (\n, \u0001); the rest is plain UTF-8.
static char unescape(const char **at) {
    static const char letters[] = "bfnrt", characters[] = "\b\f\n\r\t";
    char c = *(*at)++;
    if (c == 'u') {
        unsigned code = 0;
        for (size_t i = 0; i < 4 && **at != '\0'; i++, (*at)++)
            code = 16 * code + (unsigned)(**at <= '9' ? **at - '0' : (**at | 0x20) - 'a' + 10);
        return (char)code;
    }
    const char *letter = memchr(letters, c, sizeof letters - 1);
    return letter ? characters[letter - letters] : c;
}

const char *tree_string(struct node string, struct arena *arena) {
    struct view raw = raw_string(string);
    if (raw.data == NULL)
        return NULL;
    char *copy = arena_copy(arena, raw.data, raw.length), *to = copy;
    for (const char *at = raw.data; at < raw.data + raw.length;) {
        char c = *at++;
        *to++ = c == '\\' ? unescape(&at) : c;
    }
    *to = '\0';
    return copy;
}

static bool needs_quotes(const char *name) {
    if (*name == '\0' || (*name >= '0' && *name <= '9'))
        return true;
    for (const char *at = name; *at != '\0'; at++)
        if (!((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '_'))
            return true;
    return words_hold(RESERVED, name);
}

const char *tree_identifier(const char *name, struct arena *arena) {
    if (name == NULL || !needs_quotes(name))
        return name;
    char *quoted = arena_alloc(arena, 2 * strlen(name) + 3), *to = quoted;
    *to++ = '"';
    for (; *name != '\0'; name++) {
        if (*name == '"')
            *to++ = '"';
        *to++ = *name;
    }
    *to++ = '"';
    *to = '\0';
    return quoted;
}

static const char *join(const char *qualifier, const char *name, struct arena *arena) {
    name = tree_identifier(name, arena);
    return qualifier && name ? arena_printf(arena, "%s.%s", qualifier, name) : name;
}

const char *tree_range(struct node range_var, struct arena *arena) {
    const char *name = tree_identifier(tree_string(tree_get(range_var, "catalogname"), arena), arena);
    const char *schema = tree_string(tree_get(range_var, "schemaname"), arena);
    if (schema != NULL)
        name = join(name, schema, arena);
    return join(name, tree_string(tree_get(range_var, "relname"), arena), arena);
}

const char *tree_name(struct node strings, struct arena *arena, size_t less) {
    size_t count = 0;
    for (struct node string = tree_first(strings); string.at; string = tree_next(string))
        count++;
    const char *name = NULL;
    struct node string = tree_first(strings);
    for (size_t i = 0; i + less < count; i++, string = tree_next(string))
        name = join(name, tree_string(tree_get(tree_as(string, "String"), "sval"), arena), arena);
    return name;
}

const char *tree_object(struct node node, struct arena *arena) {
    struct node body = tree_body(node);
    struct view type = tree_type(node);
    if (view_is(type, "List"))
        return tree_name(tree_get(body, "items"), arena, 0);
    if (view_is(type, "String"))
        return tree_identifier(tree_string(tree_get(body, "sval"), arena), arena);
    if (view_is(type, "TypeName"))
        return tree_name(tree_get(body, "names"), arena, 0);
    if (view_is(type, "ObjectWithArgs"))
        return tree_name(tree_get(body, "objname"), arena, 0);
    if (view_is(type, "RangeVar"))
        return tree_range(body, arena);
    return NULL;
}

const char *tree_type_name(struct node type_name, struct arena *arena) {
    struct node names = tree_get(type_name, "names"), first = tree_first(names), second = tree_next(first);
    struct node schema = tree_get(tree_as(first, "String"), "sval");
    if (second.at != NULL && tree_is(schema, "pg_catalog"))
        return tree_string(tree_get(tree_as(second, "String"), "sval"), arena);
    return tree_name(names, arena, 0);
}
