// A recursive-descent reader that evaluates while it reads; a filter is short and read again for each message.
#include "filter.h"
#include "base/text.h"
#include <ctype.h>
#include <string.h>

#define FILTER_MAX 256
#define NAME_MAX_BYTES 257

struct reader {
    const char *at;
    const struct message *message; // NULL: only the syntax is asked for
    bool broken;
};

static bool read_or(struct reader *reader);

static void skip_space(struct reader *reader) {
    while (isspace((unsigned char)*reader->at))
        reader->at++;
}

static bool take(struct reader *reader, const char *token) {
    skip_space(reader);
    size_t length = strlen(token);
    if (strncmp(reader->at, token, length) != 0)
        return false;
    // "NOTE" is not "NOT" followed by "E"
    if (isalpha((unsigned char)token[length - 1]) &&
        (isalnum((unsigned char)reader->at[length]) || reader->at[length] == '_'))
        return false;
    reader->at += length;
    return true;
}

static void need(struct reader *reader, bool condition) {
    if (!condition)
        reader->broken = true;
}

static void read_quoted(struct reader *reader, struct text *out) {
    skip_space(reader);
    need(reader, *reader->at == '"');
    if (reader->broken)
        return;
    for (reader->at++; *reader->at && *reader->at != '"'; reader->at++) {
        if (*reader->at == '\\' && reader->at[1])
            reader->at++;
        text_append_char(out, *reader->at);
    }
    need(reader, *reader->at == '"');
    if (!reader->broken)
        reader->at++;
}

static void read_name(struct reader *reader, struct text *out) {
    skip_space(reader);
    if (*reader->at == '"') {
        read_quoted(reader, out);
        return;
    }
    while (isalnum((unsigned char)*reader->at) || *reader->at == '_' || *reader->at == '-')
        text_append_char(out, *reader->at++);
    need(reader, out->length > 0);
}

static const char *value_of(const struct reader *reader, const struct text *name) {
    return reader->message ? message_attribute(reader->message, text_string(name)) : NULL;
}

static bool read_prefix(struct reader *reader) {
    struct text name cleanup_text = TEXT(NAME_MAX_BYTES), wanted cleanup_text = TEXT(NAME_MAX_BYTES);
    need(reader, take(reader, "(") && take(reader, "attributes") && take(reader, "."));
    read_name(reader, &name);
    need(reader, take(reader, ","));
    read_quoted(reader, &wanted);
    need(reader, take(reader, ")"));
    const char *value = value_of(reader, &name);
    return value && strncmp(value, text_string(&wanted), wanted.length) == 0;
}

static bool read_comparison(struct reader *reader) {
    struct text name cleanup_text = TEXT(NAME_MAX_BYTES), wanted cleanup_text = TEXT(NAME_MAX_BYTES);
    if (take(reader, ":")) {
        read_name(reader, &name);
        return value_of(reader, &name) != NULL;
    }
    need(reader, take(reader, "."));
    read_name(reader, &name);
    bool differs = take(reader, "!=");
    need(reader, differs || take(reader, "="));
    read_quoted(reader, &wanted);
    const char *value = value_of(reader, &name);
    bool equal = value && strcmp(value, text_string(&wanted)) == 0;
    return differs ? !equal : equal;
}

static bool read_term(struct reader *reader) {
    if (reader->broken)
        return false;
    if (take(reader, "NOT") || take(reader, "-"))
        return !read_term(reader);
    if (take(reader, "(")) {
        bool inner = read_or(reader);
        need(reader, take(reader, ")"));
        return inner;
    }
    if (take(reader, "hasPrefix"))
        return read_prefix(reader);
    need(reader, take(reader, "attributes"));
    return !reader->broken && read_comparison(reader);
}

static bool read_and(struct reader *reader) {
    bool all = read_term(reader);
    while (!reader->broken && take(reader, "AND"))
        all = read_term(reader) && all;
    return all;
}

static bool read_or(struct reader *reader) {
    bool any = read_and(reader);
    while (!reader->broken && take(reader, "OR"))
        any = read_and(reader) || any;
    return any;
}

static bool is_empty(const char *filter) {
    return view_trim(view_of(filter)).length == 0;
}

bool filter_valid(const char *filter) {
    struct reader reader = {.at = filter};
    if (is_empty(filter))
        return true;
    if (strlen(filter) > FILTER_MAX)
        return false;
    (void)read_or(&reader); // only whether it can be read
    skip_space(&reader);
    return !reader.broken && !*reader.at;
}

bool filter_matches(const char *filter, const struct message *message) {
    struct reader reader = {.at = filter, .message = message};
    return is_empty(filter) || read_or(&reader);
}
