// Reading statements for what they leave in a session.
#include "migrate/trace.h"

#include <string.h>
#include <strings.h>

static bool in_word(char c) {
    return strchr("()\t\r\n ;,.'\"=<>", c) == NULL; // also not NUL
}

// Takes the next word off `rest`; quotes, points and parentheses only separate. Empty at the end.
static struct view next_word(struct view *rest) {
    while (rest->length > 0 && !in_word(*rest->data))
        rest->data++, rest->length--;
    struct view word = {rest->data, 0};
    while (word.length < rest->length && in_word(word.data[word.length]))
        word.length++;
    rest->data += word.length;
    rest->length -= word.length;
    return word;
}

static bool is_word(struct view word, const char *name) {
    return word.length == strlen(name) && strncasecmp(word.data, name, word.length) == 0;
}

static bool is_one_of(struct view word, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (is_word(word, names[i]))
            return true;
    return false;
}

static bool speaks_of(struct view text, struct view name) {
    for (struct view word = next_word(&text); word.length > 0; word = next_word(&text))
        if (word.length == name.length && strncasecmp(word.data, name.data, name.length) == 0)
            return true;
    return false;
}

bool trace_names(const struct statement *statement) {
    static const char *const verbs[] = {"PREPARE", "DEALLOCATE", "DISCARD", "DECLARE", "LISTEN"};
    static const char *const hidden[] = {"PREPARE", "DEALLOCATE", "DISCARD", "HOLD",
                                         "LISTEN"}; // DECLARE is PL/pgSQL's too
    struct view rest = statement->text, word = next_word(&rest);
    if (!is_word(word, "DO"))
        return is_one_of(word, verbs, sizeof(verbs) / sizeof(verbs[0]));
    while (word.length > 0 && !is_one_of(word, hidden, sizeof(hidden) / sizeof(hidden[0])))
        word = next_word(&rest);
    return word.length > 0;
}

enum trace_session trace_session(const struct statement *statement) {
    struct view rest = statement->text, verb = next_word(&rest), word = next_word(&rest);
    if (!is_word(verb, "RESET") && !is_word(verb, "SET"))
        return TRACE_NOTHING;
    while (is_word(word, "SESSION") || is_word(word, "LOCAL"))
        word = next_word(&rest);
    bool back = is_word(verb, "RESET") || speaks_of(rest, view_of("DEFAULT"));
    bool role = is_word(word, "ROLE") || is_word(word, "AUTHORIZATION") || is_word(word, "session_authorization");
    if (role && back)
        return TRACE_ROLE_LEFT;
    return role || back ? TRACE_PATH : TRACE_NOTHING;
}

// CREATE [OR REPLACE] [LOCAL | GLOBAL] TEMP TABLE [IF NOT EXISTS] name, CREATE TEMP [RECURSIVE] VIEW name, SELECT
// ... INTO TEMP [TABLE] name.
static bool makes_temporary(const struct statement *statement, struct view *ret_table) {
    static const char *const between[] = {"OR", "REPLACE", "LOCAL", "GLOBAL"};
    static const char *const before_name[] = {"TABLE", "VIEW", "SEQUENCE", "RECURSIVE",
                                              "IF",    "NOT",  "EXISTS",   "pg_temp"};
    struct view rest = statement->text, word = next_word(&rest);
    if (is_word(word, "CREATE")) {
        do
            word = next_word(&rest);
        while (is_one_of(word, between, sizeof(between) / sizeof(between[0])));
    } else if (is_word(word, "SELECT") || is_word(word, "WITH")) {
        while (word.length > 0 && !is_word(word, "INTO"))
            word = next_word(&rest);
        word = next_word(&rest);
        if (is_word(word, "LOCAL") || is_word(word, "GLOBAL"))
            word = next_word(&rest);
    }
    if (!is_word(word, "TEMP") && !is_word(word, "TEMPORARY"))
        return false;
    do
        word = next_word(&rest);
    while (is_one_of(word, before_name, sizeof(before_name) / sizeof(before_name[0])));
    *ret_table = word;
    return word.length > 0;
}

static bool drops(const struct statement *statement, struct view table) {
    struct view rest = statement->text;
    return is_word(next_word(&rest), "DROP") && speaks_of(rest, table);
}

size_t trace_lost(const struct statement *const *statements, size_t done, size_t count, struct view *ret_table) {
    size_t first = 0;
    for (size_t i = 0; i < done; i++) {
        struct view table = {0}, again = {0};
        if (!makes_temporary(statements[i], &table))
            continue;
        bool here = true;
        for (size_t n = i + 1; n < count && here; n++) {
            bool remade = makes_temporary(statements[n], &again) && again.length == table.length &&
                          strncasecmp(again.data, table.data, table.length) == 0;
            here = !remade && !(n < done && drops(statements[n], table));
            if (here && n >= done && speaks_of(statements[n]->text, table)) {
                here = false;
                if (first == 0 || n + 1 < first) {
                    first = n + 1;
                    *ret_table = table;
                }
            }
        }
    }
    return first;
}
