// What a statement does to which relation: which lock it takes there, what that lock keeps out, and whether it reads or rewrites the whole
// table meanwhile. One table (action.def), filled from the parse tree. For `pawl plan` and for the hazards; neither sees a tree.
// What cannot be seen in the statement's text is not here: the table of a dropped index, the tables behind a view or a cascade. Pure.
#pragma once
#include "script/statement.h"
#include "script/tree.h"

// PostgreSQL's table-level lock modes, weakest first (chapter 13.3.1). From SHARE on they keep writers out, the last one readers too.
enum lock_mode {
    MODE_NONE,
    MODE_ACCESS_SHARE,
    MODE_ROW_SHARE,
    MODE_ROW_EXCLUSIVE,
    MODE_SHARE_UPDATE_EXCLUSIVE,
    MODE_SHARE,
    MODE_SHARE_ROW_EXCLUSIVE,
    MODE_EXCLUSIVE,
    MODE_ACCESS_EXCLUSIVE,
};
// What takes time in proportion to the table while the lock is held.
enum action_work { WORK_NONE, WORK_SCAN, WORK_BUILD, WORK_REWRITE };

enum action_kind {
#define X(name, mode, work, words) ACTION_##name,
#include "script/action.def"
#undef X
    ACTION_COUNT
};

enum action_fact {
    FACT_NOT_NULL = 1,      // column: NOT NULL or PRIMARY KEY
    FACT_DEFAULT = 2,       // column: has a default
    FACT_VOLATILE = 4,      // column: the default is, or may be, another for each row
    FACT_GENERATED = 8,     // column: GENERATED ALWAYS AS (...) STORED
    FACT_IDENTITY = 16,     // column
    FACT_SERIAL = 32,       // column: serial, bigserial, smallserial
    FACT_LIMITED = 64,      // column: the type has a length
    FACT_CASCADE = 128,     // CASCADE
    FACT_CONDITIONAL = 256, // IF [NOT] EXISTS
    FACT_NAMELESS = 512,    // index: PostgreSQL is to choose the name
    FACT_WIDE = 1024,       // index: not unique, more than three columns
    FACT_ORDERED = 2048,    // enum value: BEFORE or AFTER
    FACT_CHECKED = 4096,    // domain: has a constraint
    FACT_FEW = 8192,        // rows: only those that the statement spells out
};

struct action {
    enum action_kind kind;
    enum lock_mode mode;
    enum action_work work;
    const char *relation; // quoted as in struct statement; NULL = not said
    const char *name;     // of the column, constraint, index, trigger ...; NULL = none
    const char *type;     // of the column, without pg_catalog and length: "int4", "varchar"
    unsigned facts;       // of enum action_fact
};

const char *action_words(enum action_kind kind);     // "adds a column"
const char *lock_mode_name(enum lock_mode mode);     // "ACCESS EXCLUSIVE"; "none"
const char *action_work_name(enum action_work work); // "none", "scan", "index build", "rewrite"
static inline bool lock_blocks_writes(enum lock_mode mode) {
    return mode >= MODE_SHARE;
}
static inline bool lock_blocks_reads(enum lock_mode mode) {
    return mode == MODE_ACCESS_EXCLUSIVE;
}

// Sets the statement's actions from its tree.
void actions_of(struct node stmt, struct arena *arena, struct statement *statement);
