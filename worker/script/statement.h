// SQL text cut into statements and classified. Our splitter (splitter.h, psql's rules) alone decides what is sent; PostgreSQL's own
// parser (libpg_query, grammar of 15) then reads each statement, confirms that it is exactly one, and says what it is. What it cannot
// read (newer syntax, very long or very deeply commented statements) is sent all the same and marked `analysed = false`: the server has
// the last word. Pure. Only statement.c sees libpg_query.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

struct action;
struct allowance;

enum statement_kind {
    STATEMENT_ORDINARY,          // runs in a transaction
    STATEMENT_NON_TRANSACTIONAL, // PostgreSQL refuses it in a transaction block (PreventInTransactionBlock)
    STATEMENT_COPY_IN,           // COPY ... FROM STDIN; its data follows. Runs in a transaction
    STATEMENT_BEGIN,             // BEGIN, START TRANSACTION: the file's own transaction; never sent, see `step`
    STATEMENT_COMMIT,            // COMMIT, END of that transaction; never sent
};

// What a statement is about, for those who need more than the tag: a step that was cut off is settled by it.
enum statement_operation {
    OPERATION_OTHER,
    OPERATION_CREATE_INDEX,     // relation: the table; objects: the index, none when PostgreSQL is to choose the name
    OPERATION_DROP_INDEX,       // objects: the indexes
    OPERATION_REINDEX_INDEX,    // objects: the index
    OPERATION_REINDEX_TABLE,    // relation: the table
    OPERATION_REINDEX_SCHEMA,   // objects: the schema
    OPERATION_REINDEX_DATABASE, // objects: the database (DATABASE and SYSTEM)
    OPERATION_DETACH_PARTITION, // relation: the parent; objects: the partition
    OPERATION_VACUUM,           // objects: the tables, none = all
    OPERATION_CLUSTER,          // relation: the table, NULL = all
    OPERATION_ALTER_SYSTEM,     // objects: the setting, none = RESET ALL
    OPERATION_CREATE_DATABASE,  // objects: the name; so for all below that have one
    OPERATION_DROP_DATABASE,
    OPERATION_MOVE_DATABASE, // ALTER DATABASE ... SET TABLESPACE
    OPERATION_CREATE_TABLESPACE,
    OPERATION_DROP_TABLESPACE,
    OPERATION_CREATE_SUBSCRIPTION,
    OPERATION_ALTER_SUBSCRIPTION,
    OPERATION_DROP_SUBSCRIPTION,
    OPERATION_FINISH_PREPARED, // COMMIT PREPARED, ROLLBACK PREPARED
    OPERATION_DISCARD,
    OPERATION_DO,          // non-transactional when its body commits
    OPERATION_CALL,        // ordinary; when the procedure commits, the server says 2D000 and nothing has happened
    OPERATION_SET,         // SET, RESET: what a resumed file must hear again
    OPERATION_CHANGE_ROWS, // INSERT, UPDATE, DELETE, MERGE: what a batch may repeat
};

// "-- pawl: batch pause=100ms max_lag=10s" before a statement: it is repeated until it touches no row.
struct batch {
    uint64_t pause_ms;   // between two rounds
    uint64_t max_lag_ms; // a round waits while a standby is further behind than this; 0 = standbys are nobody's concern
    unsigned line;
};

struct statement {
    enum statement_kind kind;
    enum statement_operation operation;
    struct view text;     // what is sent: without the semicolon, surrounding white space and comments before and after
    struct view data;     // COPY's data lines without the "\." line; empty otherwise
    unsigned line;        // 1-based, of the first byte of text
    unsigned step;        // 1-based, see struct script; 0 = transaction control, not sent
    const char *tag;      // "CREATE INDEX CONCURRENTLY", "VACUUM"...; NULL when not analysed
    const char *relation; // quoted where needed and qualified as written: fit for to_regclass and for SQL; NULL = none
    const char **objects; // see operation; quoted in the same way
    size_t object_count;  //
    bool unique;          // CREATE UNIQUE INDEX
    bool conditional;     // IF EXISTS, IF NOT EXISTS
    bool concurrently;    // ... CONCURRENTLY
    bool long_name;       // holds a name of more than 63 bytes, which PostgreSQL cuts
    bool analysed;        //
    const char *hash;     // first 16 hex of SHA-256 over text and data
    const struct action *actions; // what it does to which relation: action.h; none when not analysed
    size_t action_count;
    const struct allowance *allowances; // "-- pawl: allow" lines before it: hazard.h
    size_t allowance_count;
    const struct batch *batch; // NULL: sent once
    const char *endless;       // why a batch of it ends never, or too early; NULL = neither is known
    bool limited;              // there is a LIMIT somewhere in it
};

// A file is a sequence of steps. A step is one transaction, or one non-transactional statement:
//   - a file's own BEGIN ... COMMIT is a step; its BEGIN and COMMIT belong to none and are not sent: the engine opens and closes the
//     transaction, with the ledger row in it;
//   - a NON_TRANSACTIONAL statement is a step, and so is a batch, which is as many transactions as it takes;
//   - a run of other statements between these is a step; under "-- pawl: no-transaction" each of them is one.
// A file of one transactional step (nearly all) goes the fast way: `transactional`.
struct script {
    struct statement *items;
    size_t count;
    unsigned steps;           // 0 for a file without statements
    bool transactional;       // at most one step, and that is one transaction
    bool analysed;            // every statement was
    bool no_transaction;      // "-- pawl: no-transaction"
    uint64_t lock_timeout_ms; // "-- pawl: lock_timeout=5s"; 0 = not given
};
// `file` names the errors; `text` is normalised (no BOM, \n ends) and valid UTF-8 without NUL; the script's views point into it.
// Errors: ERROR_SOURCE_INVALID with file and line: unfinished quote, dollar quote, comment or COPY data; psql meta-command other than
// \restrict and \unrestrict; a COMMIT without BEGIN, a BEGIN without COMMIT, with options or nested, ROLLBACK or PREPARE TRANSACTION, a
// non-transactional statement or a batch inside BEGIN ... COMMIT; a directive that is unknown, inside a statement, or (allow, batch) before
// none; a batch of what changes no rows, cannot be read, or is known not to end.
bool script_parse(const char *file, struct view text, struct arena *arena, struct script *ret_script,
                  struct error *err);
// 1-based line of the 1-based CHARACTER position that the server reports (PG_DIAG_STATEMENT_POSITION) within `statement`.
unsigned statement_line_at(const struct statement *statement, unsigned position);
// Exposed for script.c: fills all but step, hash and allowances of `count` statements of which text, line and data are known, and
// `analysed`, which must be true where the parser is to be asked. Long scripts are read on a thread with a 64 MiB stack.
bool statements_classify(const char *file, struct statement *items, size_t count, struct arena *arena,
                         struct error *err);
