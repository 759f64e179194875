// Cuts SQL text into statements by psql's rules (psqlscan.l), lazily and in linear time; returns views of the text and copies nothing.
// What is a statement here is what is sent to the server. It knows quotes of all kinds, comments, parentheses, BEGIN ATOMIC bodies and
// COPY data, and nothing else of SQL's grammar: what a statement means is statement.c's business. Pure.
#pragma once
#include "base/error.h"
#include "base/text.h"

enum piece_kind { PIECE_END, PIECE_STATEMENT, PIECE_DIRECTIVE };
struct piece {
    enum piece_kind kind;
    struct view
        text; // a statement from its first to its last token, without ";"; a directive: what follows "-- pawl:", trimmed
    struct view data; // the lines after COPY ... FROM STDIN, without the "\." line
    unsigned line;    // 1-based, of the first byte of text
    bool copy_in;
    bool escapes;      // a plain '...' holds a backslash while the file has turned standard_conforming_strings off
    unsigned comments; // block comments opened within text; many of them nested take PostgreSQL's lexer quadratic time
    bool long_name;    // a name in it is longer than the 63 bytes that PostgreSQL keeps
};
struct splitter {
    const char *file; // names the errors
    const char *at, *end;
    unsigned line;
    bool escapes; // standard_conforming_strings is off: '...' knows backslash escapes
};
// `text` is valid UTF-8 without NUL, with \n line ends, and outlives the splitter and its pieces.
struct splitter splitter_of(const char *file, struct view text);
// The next piece; PIECE_END when there is none. Statements without a token, and those of nothing but Unicode's spaces, are left out.
// Errors: ERROR_SOURCE_INVALID with file and line.
bool splitter_next(struct splitter *splitter, struct piece *ret_piece, struct error *err);
// Sets ERROR_SOURCE_INVALID, "FILE: line N: ..." and the fields file and line; returns false. For all of script/.
bool script_refuse(struct error *err, const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
