// SQL text cut into statements and classified by PostgreSQL's own parser (libpg_query), one statement at a time; newer syntax than
// its grammar is cut by our splitter, which follows psql's rules, and marked `analysed = false`. Only statement.c sees libpg_query.
// Pure. A lock-down per thread: parsing runs on a thread with a 64 MiB stack when a statement is deep or long.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

enum statement_kind {
    STATEMENT_ORDINARY,          // runs in a transaction
    STATEMENT_NON_TRANSACTIONAL, // PostgreSQL refuses it in a transaction block
    STATEMENT_COPY_IN,           // COPY ... FROM STDIN; its data follows
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK, // transaction control (also START, END, ABORT, PREPARE TRANSACTION)
};
struct statement {
    enum statement_kind kind;
    struct view text;     // without the semicolon, surrounding white space and leading comments
    struct view data;     // COPY's data lines without the "\." line; empty otherwise
    unsigned line;        // 1-based, of the first byte of text
    const char *tag;      // "CREATE INDEX CONCURRENTLY", "VACUUM"...; NULL when not analysed
    const char *relation; // schema-qualified as written, or NULL
    const char *hash;     // first 16 hex of SHA-256 over text and data
    bool analysed;
};
struct script {
    struct statement *items;
    size_t count;
    bool transactional; // no NON_TRANSACTIONAL statement and no "-- pawl: no-transaction" directive
    bool analysed;      // every statement was
};
// `file` names the error. `text` is normalised (no BOM, \n ends) and valid UTF-8 without NUL. Errors: ERROR_SOURCE_INVALID with line:
// unfinished quote, dollar quote, comment or COPY data; psql meta-command other than \restrict/\unrestrict; ... A file with its own
// BEGIN...COMMIT is refused with a clear text for now.
bool script_parse(const char *file, struct view text, struct arena *arena, struct script *ret_script,
                  struct error *err);
// 1-based line of the 1-based CHARACTER position that the server reports (PG_DIAG_STATEMENT_POSITION) within `statement`.
unsigned statement_line_at(const struct statement *statement, unsigned position);
