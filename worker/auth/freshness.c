// Reads Cache-Control as a list of directives, not as text to search in: `x-max-age=9` and `private="max-age=9"` are not max-age.
// s-maxage is for shared caches and so not ours. What to do with the number is left to keys.c.
#include "auth/freshness.h"

#include <string.h>
#include <strings.h>

// name [ "=" ( token / quoted-string ) ]. A quoted value counts as empty: no directive of ours has one.
struct directive {
    struct view name, value;
};

static bool is_token_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

static void skip(struct view *rest, size_t count) {
    rest->data += count;
    rest->length -= count;
}

// Blanks and the empty list elements that RFC 9110 §5.6.1 allows.
static void skip_separators(struct view *rest) {
    while (rest->length > 0 && (is_space(rest->data[0]) || rest->data[0] == ','))
        skip(rest, 1);
}

static struct view take_token(struct view *rest) {
    size_t length = 0;
    while (length < rest->length && is_token_char(rest->data[length]))
        length++;
    struct view token = {rest->data, length};
    skip(rest, length);
    return token;
}

// Past the closing quote; false when there is none.
static bool skip_quoted(struct view *rest) {
    skip(rest, 1);
    while (rest->length > 0 && rest->data[0] != '"')
        skip(rest, rest->data[0] == '\\' && rest->length > 1 ? 2 : 1);
    if (rest->length == 0)
        return false;
    skip(rest, 1);
    return true;
}

// False when the text is no list of directives.
static bool take_directive(struct view *rest, struct directive *ret_directive) {
    struct directive directive = {.name = take_token(rest)};
    if (directive.name.length == 0)
        return false;
    if (rest->length > 0 && rest->data[0] == '=') {
        skip(rest, 1);
        if (rest->length == 0 || rest->data[0] != '"')
            directive.value = take_token(rest);
        else if (!skip_quoted(rest))
            return false;
    }
    while (rest->length > 0 && is_space(rest->data[0]))
        skip(rest, 1);
    if (rest->length > 0 && rest->data[0] != ',')
        return false;
    *ret_directive = directive;
    return true;
}

static bool named(const struct directive *directive, struct view name) {
    return directive->name.length == name.length && strncasecmp(directive->name.data, name.data, name.length) == 0;
}

// delta-seconds (RFC 9111 §1.2.2): digits only, and a number too large for us means "very long".
static bool parse_seconds(struct view text, uint64_t *ret_seconds) {
    uint64_t seconds = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        if (seconds <= UINT32_MAX)
            seconds = seconds * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (text.length == 0)
        return false;
    *ret_seconds = seconds <= UINT32_MAX ? seconds : UINT32_MAX;
    return true;
}

// Before Age is subtracted. Of two max-age the smaller holds.
static uint64_t lifetime(struct view cache_control) {
    uint64_t shortest = UINT64_MAX;
    for (skip_separators(&cache_control); cache_control.length > 0; skip_separators(&cache_control)) {
        struct directive directive;
        uint64_t seconds = 0;
        if (!take_directive(&cache_control, &directive))
            return 0;
        if (named(&directive, VIEW("no-store")) || named(&directive, VIEW("no-cache")))
            return 0;
        if (!named(&directive, VIEW("max-age")))
            continue;
        if (!parse_seconds(directive.value, &seconds))
            return 0;
        if (seconds < shortest)
            shortest = seconds;
    }
    return shortest == UINT64_MAX ? FRESHNESS_DEFAULT_S : shortest;
}

unsigned freshness_seconds(struct view cache_control, struct view age) {
    uint64_t seconds = lifetime(cache_control), spent = 0;
    age = view_trim(age);
    if (age.length > 0 && !parse_seconds(age, &spent))
        return FRESHNESS_MIN_S;
    seconds = seconds > spent ? seconds - spent : 0;
    if (seconds < FRESHNESS_MIN_S)
        return FRESHNESS_MIN_S;
    return seconds > FRESHNESS_MAX_S ? FRESHNESS_MAX_S : (unsigned)seconds;
}
