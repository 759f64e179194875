// splitter_next: whatever the text, its pieces lie in it in order and say their lines; and where PostgreSQL's parser can read the whole
// text, both find the same statements at the same places.
#include "script/splitter.h"
#include "base/arena.h"
#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 4096
#define PARSED_MAX 8192 // bytes that the parser is asked to read as well

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "broken promise: %s\n", what);
        abort();
    }
}

struct found {
    struct piece statements[PIECES_MAX];
    size_t count;
    bool refused, copy, escapes;
};

static void check_piece(struct view text, const char *behind, const struct piece *piece) {
    unsigned line = 1;
    const char *start = piece->text.data, *end = start + piece->text.length;
    demand(start >= behind && end <= text.data + text.length, "pieces lie in the text, in order");
    for (const char *at = text.data; at < start; at++)
        line += *at == '\n';
    demand(line == piece->line, "a piece says its line");
    if (piece->kind == PIECE_STATEMENT)
        demand(piece->text.length > 0 && view_trim(piece->text).length == piece->text.length, "no space at the ends");
    if (piece->copy_in && piece->data.length > 0)
        demand(piece->data.data > end && piece->data.data[piece->data.length - 1] == '\n', "data are lines");
}

static void split(struct view text, struct found *found) {
    struct splitter splitter = splitter_of("fuzz.sql", text);
    const char *behind = text.data;
    for (;;) {
        struct piece piece = {.line = 4711};
        struct error err = {0};
        if (!splitter_next(&splitter, &piece, &err)) {
            demand(err.code == ERROR_SOURCE_INVALID && err.line > 0 && piece.line == 4711, "a refusal says its line");
            found->refused = true;
            return;
        }
        if (piece.kind == PIECE_END)
            return;
        if (piece.text.length > 0)
            check_piece(text, behind, &piece);
        behind = piece.data.data ? piece.data.data : piece.text.data;
        found->copy |= piece.copy_in;
        found->escapes |= piece.escapes;
        if (piece.kind == PIECE_STATEMENT && found->count < PIECES_MAX)
            found->statements[found->count++] = piece;
    }
}

// CASE and END as names without AS, in a BEGIN ATOMIC body, mislead psql and us alike.
static bool beyond_us(const char *text) {
    return strcasestr(text, "atomic") != NULL && strcasestr(text, "case") != NULL;
}

static void compare(const char *text, const struct found *found) {
    PgQuerySplitResult theirs = pg_query_split_with_parser(text);
    bool comparable = theirs.error == NULL && !found->copy && !found->escapes && !beyond_us(text);
    if (comparable && found->refused)
        demand(strcasestr(text, "pawl:") || strcasestr(text, "stdin") ||
                   strcasestr(text, "standard_conforming_strings"),
               "only the parser's language is refused");
    if (comparable && !found->refused) {
        demand((size_t)theirs.n_stmts == found->count, "as many statements as the parser finds");
        for (size_t i = 0; i < found->count; i++) {
            const char *start = text + theirs.stmts[i]->stmt_location;
            int length = theirs.stmts[i]->stmt_len;
            struct view ours = found->statements[i].text;
            demand(ours.data >= start && (length == 0 || ours.data + ours.length <= start + length),
                   "statements where the parser finds them");
        }
    }
    pg_query_free_split_result(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *copy = memory_alloc(size + 1);
    cleanup_free struct found *found = memory_alloc(sizeof *found);
    if (size > 0)
        memcpy(copy, data, size);
    split((struct view){copy, size}, found);
    if (size <= PARSED_MAX && memchr(copy, '\0', size) == NULL && text_is_utf8((struct view){copy, size}))
        compare(copy, found);
    return 0;
}
