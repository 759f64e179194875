// The two judgements by words alone, where there is no tree.
#include "script/words.h"
#include "script/splitter.h"
#include <string.h>
#include <strings.h>

static bool is_word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80) != 0;
}

// Behind the comment or quoted text that begins at `at`; `at` itself when none does.
static const char *skip_opaque(const char *at) {
    if (at[0] == '-' && at[1] == '-')
        return at + strcspn(at, "\r\n");
    if (at[0] == '/' && at[1] == '*') {
        const char *end = strstr(at + 2, "*/");
        return end ? end + 2 : at + strlen(at);
    }
    if (*at != '\'' && *at != '"')
        return at;
    const char *end = strchr(at + 1, *at);
    return end ? end + 1 : at + strlen(at);
}

bool words_commit(const char *body) {
    static const char *const before[] = {"begin", "then", "else", "loop"};
    bool at_start = true;
    for (const char *at = body; *at != '\0';) {
        const char *end = skip_opaque(at);
        if (end > at) {
            at_start &= *at == '-' || *at == '/';
            at = end;
            continue;
        }
        while (is_word_char(*end))
            end++;
        size_t length = (size_t)(end - at);
        if (length == 0) {
            if (strchr(" \t\r\n\f\v", *at) == NULL)
                at_start = *at == ';' || *at == '>';
            at++;
            continue;
        }
        const char *after = end + strspn(end, " \t\r\n\f\v");
        bool ends = *after == ';' || strncasecmp(after, "and ", 4) == 0 || strncasecmp(after, "work", 4) == 0;
        if (at_start && ends &&
            ((length == 6 && strncasecmp(at, "commit", 6) == 0) ||
             (length == 8 && strncasecmp(at, "rollback", 8) == 0)))
            return true;
        at_start = false;
        for (size_t i = 0; i < sizeof before / sizeof *before; i++)
            at_start |= length == strlen(before[i]) && strncasecmp(at, before[i], length) == 0;
        at = end;
    }
    return false;
}

bool words_hold(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; length > 0 && (at = strstr(at, word)) != NULL; at++)
        if (at > list && at[-1] == ' ' && at[length] == ' ')
            return true;
    return false;
}

// The first words of a statement in lower case, with one space before and behind each; comments and punctuation are left out.
static void first_words(struct view text, char *words, size_t size) {
    size_t length = 0;
    words[length++] = ' ';
    for (size_t i = 0; i < text.length && length + 2 < size; i++) {
        char c = text.data[i];
        const char *rest = text.data + i;
        size_t left = text.length - i;
        if (left >= 2 && c == '-' && rest[1] == '-') {
            const char *end = memchr(rest, '\n', left);
            i = end ? (size_t)(end - text.data) : text.length;
        } else if (left >= 2 && c == '/' && rest[1] == '*') {
            const char *end = memmem(rest, left, "*/", 2);
            i = end ? (size_t)(end - text.data) + 1 : text.length;
        } else if (is_word_char(c)) {
            words[length++] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
            if (left == 1 || !is_word_char(rest[1]))
                words[length++] = ' ';
        }
    }
    words[length] = '\0';
}

// Behind `prefix`, or NULL when the words do not begin so.
static const char *behind(const char *words, const char *prefix) {
    size_t length = strlen(prefix);
    return strncmp(words, prefix, length) == 0 ? words + length : NULL;
}

bool words_foreign_encoding(struct view text) {
    static const char *const settings[] = {
        " set client_encoding to ",         " set client_encoding ",         " set names ",
        " set session client_encoding to ", " set session client_encoding ", " set local client_encoding to ",
        " set local client_encoding "};
    static const char *const ours[] = {"utf8 ", "utf 8 ", "unicode ", "default ", ""};
    char words[128];
    const char *value = NULL;
    first_words(text, words, sizeof words);
    for (size_t i = 0; i < sizeof settings / sizeof *settings && !value; i++)
        value = behind(words, settings[i]);
    for (size_t i = 0; i < sizeof ours / sizeof *ours && value; i++)
        if (strcmp(value, ours[i]) == 0)
            return false;
    return value != NULL;
}

static bool begins_with_one_of(const char *words, const char *const *patterns) {
    for (; *patterns != NULL; patterns++)
        if (strncmp(words, *patterns, strlen(*patterns)) == 0)
            return true;
    return false;
}

bool words_guess(const char *file, struct statement *statement, struct error *err) {
    static const char *const alone[] = {" vacuum ",
                                        " reindex database ",
                                        " reindex schema ",
                                        " reindex system ",
                                        " create index concurrently ",
                                        " create unique index concurrently ",
                                        " drop index concurrently ",
                                        " create database ",
                                        " drop database ",
                                        " create tablespace ",
                                        " drop tablespace ",
                                        " alter system ",
                                        " create subscription ",
                                        " drop subscription ",
                                        " repack ",
                                        NULL};
    static const char *const control[] = {" begin ", " start transaction ",   " commit ", " end ", " rollback ",
                                          " abort ", " prepare transaction ", NULL};
    char words[128];
    first_words(statement->text, words, sizeof words);
    if (begins_with_one_of(words, control))
        return script_refuse(err, file, statement->line,
                             "PostgreSQL's parser cannot read this transaction control statement");
    bool reindexes = strncmp(words, " reindex ", 9) == 0 && strstr(words, " concurrently ") != NULL;
    if (reindexes || begins_with_one_of(words, alone))
        statement->kind = STATEMENT_NON_TRANSACTIONAL;
    return true;
}
