// The splitter: a lexer for what psql looks at when it cuts a script (src/fe_utils/psqlscan.l and PostgreSQL's scan.l, which agree).
// One difference from psql: CASE, BEGIN and END are not taken for block words where a name must stand (after "." and AS), and a body
// begins only at BEGIN ATOMIC. Directives are found here because only the lexer knows what is a comment; script.c gives them meaning.
#include "script/splitter.h"
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define NAME_LENGTH_MAX 63 // NAMEDATALEN - 1
#define WORDS 6            // the leading words that are remembered of a statement

// What is known of the statement that is being read.
struct scan {
    const char *first, *last; // its tokens' extent so far; NULL = no token yet
    unsigned line;
    unsigned comments;
    size_t parentheses, blocks; // open ones; blocks: BEGIN ATOMIC and CASE within
    struct view words[WORDS];
    size_t word_count;
    struct view word; // the token before, when it was a word; else empty
    bool after_dot;   // the token before was "."
    bool after_end;   // the token before was ";" inside a body
    unsigned froms;   // COPY's FROMs so far
    bool copy_in;     // STDIN stands behind the first
    bool escapes, long_name;
};

bool script_refuse(struct error *err, const char *file, unsigned line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error_set_va(err, ERROR_SOURCE_INVALID, format, arguments);
    va_end(arguments);
    text_copy(err->file, sizeof err->file, view_of(file));
    err->line = line;
    return error_wrap(err, "%s: line %u", file, line);
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool word_is(struct view word, const char *name) {
    return word.length == strlen(name) && strncasecmp(word.data, name, word.length) == 0;
}

struct splitter splitter_of(const char *file, struct view text) {
    const char *start = text.length > 0 ? text.data : "";
    return (struct splitter){.file = file, .at = start, .end = start + text.length, .line = 1};
}

static bool looking_at(const struct splitter *splitter, const char *string) {
    size_t length = strlen(string);
    return (size_t)(splitter->end - splitter->at) >= length && memcmp(splitter->at, string, length) == 0;
}

static void advance_to(struct splitter *splitter, const char *to) {
    for (const char *at = splitter->at; (at = memchr(at, '\n', (size_t)(to - at))) != NULL; at++)
        splitter->line++;
    splitter->at = to;
}

static const char *line_end(const struct splitter *splitter) {
    const char *end = memchr(splitter->at, '\n', (size_t)(splitter->end - splitter->at));
    return end ? end : splitter->end;
}

// A "--" comment ends at either kind of line end, as in scan.l.
static const char *comment_end(const char *at, const char *end) {
    while (at < end && *at != '\n' && *at != '\r')
        at++;
    return at;
}

// E'a' <line end> 'b' is one string, and its second part still knows backslashes. True: `at` was moved behind the second quote.
static bool string_goes_on(const char **at, const char *end) {
    bool new_line = false;
    const char *next = *at;
    for (;;) {
        if (next < end && is_space(*next))
            new_line |= *next == '\n' || *next == '\r', next++;
        else if (end - next >= 2 && memcmp(next, "--", 2) == 0)
            next = comment_end(next, end);
        else
            break;
    }
    if (!new_line || next == end || *next != '\'')
        return false;
    *at = next + 1;
    return true;
}

// Reads from an opening quote to behind the closing one. A doubled quote is read as the end of one string and the start of another.
static bool skip_quoted(struct splitter *splitter, char quote, bool escapes, bool *ret_backslash, struct error *err) {
    const char *at = splitter->at + 1;
    bool backslash = false;
    while (at < splitter->end) {
        if (*at == '\\') {
            backslash = true;
            at += escapes && splitter->end - at > 1 ? 2 : 1;
        } else if (*at++ == quote) {
            bool doubled = at < splitter->end && *at == quote;
            if (doubled) {
                at++;
            } else if (!escapes || !string_goes_on(&at, splitter->end)) {
                advance_to(splitter, at);
                *ret_backslash = backslash;
                return true;
            }
        }
    }
    return script_refuse(err, splitter->file, splitter->line, "the %s that begins here is never closed",
                         quote == '"' ? "quoted name" : "string");
}

// `at` is at a "$". Sets `ret_length` to the length of the opening $tag$; false when it opens nothing.
static bool dollar_quote(const struct splitter *splitter, size_t *ret_length) {
    const char *at = splitter->at + 1;
    if (at < splitter->end && is_word_start(*at))
        while (at < splitter->end && (is_word_start(*at) || is_digit(*at)))
            at++;
    if (at == splitter->end || *at != '$')
        return false;
    *ret_length = (size_t)(at + 1 - splitter->at);
    return true;
}

static bool skip_dollar_quoted(struct splitter *splitter, size_t tag, struct error *err) {
    const char *open = splitter->at;
    for (const char *at = open + tag; (at = memchr(at, '$', (size_t)(splitter->end - at))) != NULL; at++) {
        if ((size_t)(splitter->end - at) >= tag && memcmp(at, open, tag) == 0) {
            advance_to(splitter, at + tag);
            return true;
        }
    }
    return script_refuse(err, splitter->file, splitter->line, "the %.*s that opens here is never closed",
                         (int)(tag < 64 ? tag : 64), open);
}

// Block comments nest (SQL:1999 5.2); a counter does what a stack would.
static bool skip_block_comment(struct splitter *splitter, unsigned *comments, struct error *err) {
    size_t depth = 0;
    for (const char *at = splitter->at; splitter->end - at >= 2;) {
        if (at[0] == '/' && at[1] == '*') {
            depth++, (*comments)++;
            at += 2;
        } else if (at[0] == '*' && at[1] == '/') {
            at += 2;
            if (--depth == 0) {
                advance_to(splitter, at);
                return true;
            }
        } else {
            at++;
        }
    }
    return script_refuse(err, splitter->file, splitter->line, "the comment that begins here is never closed");
}

// A "-- pawl: ..." comment between statements is a piece; one inside a statement would be overlooked by its writer, so it is refused.
static bool read_line_comment(struct splitter *splitter, const struct scan *scan, struct piece *piece,
                              struct error *err) {
    const char *end = comment_end(splitter->at, splitter->end);
    struct view comment = view_trim((struct view){splitter->at + 2, (size_t)(end - splitter->at) - 2});
    if (comment.length >= 5 && strncasecmp(comment.data, "pawl:", 5) == 0) {
        if (scan->first != NULL)
            return script_refuse(err, splitter->file, splitter->line,
                                 "a \"-- pawl:\" directive inside a statement; put it before the statement");
        struct view text = view_trim((struct view){comment.data + 5, comment.length - 5});
        *piece = (struct piece){.kind = PIECE_DIRECTIVE, .text = text, .line = splitter->line};
    }
    advance_to(splitter, end);
    return true;
}

// pg_dump guards its output with \restrict KEY ... \unrestrict KEY lines; every other backslash outside quotes is psql's business.
static bool skip_restrict(struct splitter *splitter, const struct scan *scan, struct error *err) {
    const char *end = splitter->at + 1;
    while (end < splitter->end && is_word_start(*end))
        end++;
    if (end == splitter->at + 1 && end < splitter->end && (unsigned char)*end > ' ')
        end++; // \; \! \?
    struct view name = {splitter->at + 1, (size_t)(end - splitter->at) - 1};
    if (scan->first == NULL && (view_is(name, "restrict") || view_is(name, "unrestrict"))) {
        splitter->at = line_end(splitter);
        return true;
    }
    return script_refuse(err, splitter->file, splitter->line,
                         "\\%.*s is a command of psql, not SQL; only \\restrict and \\unrestrict lines are skipped",
                         (int)(name.length < 64 ? name.length : 64), name.data);
}

// BEGIN ATOMIC ...; END holds statements of its own, and CASE ... END within. The body's own END follows a semicolon.
static void count_blocks(struct scan *scan, struct view word) {
    if (scan->after_dot || word_is(scan->word, "as"))
        return; // a name
    bool replace = scan->word_count > 2 && word_is(scan->words[1], "or") && word_is(scan->words[2], "replace");
    size_t object = replace ? 3 : 1;
    if (scan->word_count <= object || !word_is(scan->words[0], "create") ||
        (!word_is(scan->words[object], "function") && !word_is(scan->words[object], "procedure")))
        return;
    if (scan->blocks == 0)
        scan->blocks = scan->parentheses == 0 && word_is(scan->word, "begin") && word_is(word, "atomic");
    else if (word_is(word, "case"))
        scan->blocks++;
    else if (word_is(word, "end") && (scan->blocks > 1 || scan->after_end || word_is(scan->word, "atomic")))
        scan->blocks--;
}

// COPY ... FROM STDIN: the word behind the first FROM that stands outside parentheses.
static void find_stdin(struct scan *scan, struct view word) {
    if (scan->parentheses > 0 || scan->word_count == 0 || !word_is(scan->words[0], "copy"))
        return;
    if (word_is(word, "from"))
        scan->froms++;
    else if (scan->froms == 1 && word_is(scan->word, "from") && word_is(word, "stdin"))
        scan->copy_in = true;
}

static void read_word(struct splitter *splitter, struct scan *scan) {
    const char *start = splitter->at;
    while (splitter->at < splitter->end &&
           (is_word_start(*splitter->at) || is_digit(*splitter->at) || *splitter->at == '$'))
        splitter->at++;
    struct view word = {start, (size_t)(splitter->at - start)};
    scan->long_name |= word.length > NAME_LENGTH_MAX;
    count_blocks(scan, word);
    find_stdin(scan, word);
    if (scan->word_count < WORDS)
        scan->words[scan->word_count++] = word;
    scan->word = word;
}

// One token that is no white space, comment, ";" at the end, or backslash.
static bool read_token(struct splitter *splitter, struct scan *scan, struct error *err) {
    char c = *splitter->at;
    size_t tag;
    bool backslash = false;
    bool escape_string = (c == 'e' || c == 'E') && splitter->end - splitter->at > 1 && splitter->at[1] == '\'';
    if (is_word_start(c) && !escape_string) {
        read_word(splitter, scan);
        scan->after_dot = scan->after_end = false;
        return true;
    }
    scan->word = (struct view){0};
    scan->after_dot = c == '.';
    scan->after_end = c == ';';
    if (escape_string) {
        splitter->at++;
        return skip_quoted(splitter, '\'', true, &backslash, err);
    }
    if (c == '\'') {
        bool done = skip_quoted(splitter, c, splitter->escapes, &backslash, err);
        scan->escapes |= backslash && splitter->escapes;
        return done;
    }
    if (c == '"') {
        const char *start = splitter->at;
        bool done = skip_quoted(splitter, c, false, &backslash, err);
        scan->long_name |= splitter->at - start > NAME_LENGTH_MAX + 2;
        return done;
    }
    if (c == '$' && dollar_quote(splitter, &tag))
        return skip_dollar_quoted(splitter, tag, err);
    if (c == '(')
        scan->parentheses++;
    else if (c == ')' && scan->parentheses > 0)
        scan->parentheses--;
    splitter->at++;
    return true;
}

// Finds the line "\." that ends COPY's data, which begin on the line after the statement's semicolon.
static bool read_copy_data(struct splitter *splitter, struct piece *piece, struct error *err) {
    while (splitter->at < splitter->end && *splitter->at != '\n') {
        if (looking_at(splitter, "--"))
            splitter->at = line_end(splitter);
        else if (is_space(*splitter->at))
            splitter->at++;
        else
            return script_refuse(
                err, splitter->file, splitter->line,
                "the data of COPY ... FROM stdin begin on the line after its semicolon; move this text");
    }
    if (splitter->at < splitter->end)
        advance_to(splitter, splitter->at + 1);
    const char *start = splitter->at;
    while (splitter->at < splitter->end) {
        const char *end = line_end(splitter);
        if (end - splitter->at == 2 && memcmp(splitter->at, "\\.", 2) == 0) {
            piece->data = (struct view){start, (size_t)(splitter->at - start)};
            splitter->at = end;
            return true;
        }
        splitter->line += end < splitter->end;
        splitter->at = end < splitter->end ? end + 1 : end;
    }
    return script_refuse(err, splitter->file, piece->line,
                         "the data of this COPY ... FROM stdin do not end with a line \\.");
}

// SET standard_conforming_strings = off changes what a backslash means from the next statement on (runtime-config-compatible).
static void follow_settings(struct splitter *splitter, const struct scan *scan) {
    size_t name = 1;
    if (scan->word_count > 1 && (word_is(scan->words[1], "session") || word_is(scan->words[1], "local")))
        name = 2;
    if (scan->word_count <= name || !word_is(scan->words[name], "standard_conforming_strings"))
        return;
    const char *value = scan->words[name].data + scan->words[name].length;
    struct view rest = view_trim((struct view){value, (size_t)(scan->last - value)});
    if (view_starts(rest, "="))
        rest = view_trim((struct view){rest.data + 1, rest.length - 1});
    else if (rest.length > 2 && strncasecmp(rest.data, "to", 2) == 0)
        rest = view_trim((struct view){rest.data + 2, rest.length - 2});
    if (rest.length > 2 && rest.data[0] == '\'')
        rest = (struct view){rest.data + 1, rest.length - 2};
    splitter->escapes = word_is(scan->words[0], "set") &&
                        (word_is(rest, "off") || word_is(rest, "false") || word_is(rest, "no") || word_is(rest, "0"));
}

static bool finish(struct splitter *splitter, const struct scan *scan, struct piece *piece, struct error *err) {
    *piece = (struct piece){.kind = PIECE_STATEMENT,
                            .text = {scan->first, (size_t)(scan->last - scan->first)},
                            .line = scan->line,
                            .copy_in = scan->copy_in,
                            .escapes = scan->escapes,
                            .long_name = scan->long_name,
                            .comments = scan->comments};
    follow_settings(splitter, scan);
    return !scan->copy_in || read_copy_data(splitter, piece, err);
}

// From here to behind the next semicolon, directive, or the end of the text.
static bool read_piece(struct splitter *splitter, struct piece *piece, struct error *err) {
    struct scan scan = {0};
    unsigned comments = 0;
    while (splitter->at < splitter->end) {
        char c = *splitter->at;
        if (is_space(c)) {
            splitter->line += c == '\n';
            splitter->at++;
        } else if (looking_at(splitter, "--")) {
            if (!read_line_comment(splitter, &scan, piece, err))
                return false;
            if (piece->kind == PIECE_DIRECTIVE)
                return true;
        } else if (looking_at(splitter, "/*")) {
            if (!skip_block_comment(splitter, &comments, err))
                return false;
        } else if (c == '\\') {
            if (!skip_restrict(splitter, &scan, err))
                return false;
        } else if (c == ';' && scan.parentheses == 0 && scan.blocks == 0) {
            splitter->at++;
            if (scan.first != NULL)
                return finish(splitter, &scan, piece, err);
        } else {
            if (scan.first == NULL) {
                scan.first = splitter->at;
                scan.line = splitter->line;
                comments = 0;
            }
            if (!read_token(splitter, &scan, err))
                return false;
            scan.last = splitter->at;
            scan.comments = comments; // those behind the last token are not part of the text
        }
    }
    return scan.first == NULL || finish(splitter, &scan, piece, err);
}

// No-break and other spaces of Unicode, which editors leave behind and PostgreSQL takes for names; also a BOM in the middle.
static bool is_blank(struct view text) {
    static const char *const spaces[] = {"\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004",
                                         "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a", "\u200b",
                                         "\u2028", "\u2029", "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff"};
    while (text.length > 0) {
        size_t length = is_space(text.data[0]);
        for (size_t i = 0; length == 0 && i < sizeof spaces / sizeof *spaces; i++)
            if (view_starts(text, spaces[i]))
                length = strlen(spaces[i]);
        if (length == 0)
            return false;
        text = (struct view){text.data + length, text.length - length};
    }
    return true;
}

bool splitter_next(struct splitter *splitter, struct piece *ret_piece, struct error *err) {
    struct piece piece;
    do {
        piece = (struct piece){.kind = PIECE_END};
        if (!read_piece(splitter, &piece, err))
            return false;
    } while (piece.kind == PIECE_STATEMENT && is_blank(piece.text));
    *ret_piece = piece;
    return true;
}
