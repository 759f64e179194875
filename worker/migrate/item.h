// A pending migration with its statements: read from its file when it is needed, and where it goes on if it was begun before.
#pragma once
#include "migrate/plan.h"

struct cut {          // a statement that was sent outside a transaction and has no known end; zero: none
    size_t statement; // 1-based
    const char *hash, *text, *before; // see struct ledger_row
    bool former;                      // of another text of a repeatable file, which begins again from its top
};
struct rounds {           // of a batch that is at work; zero: none
    uint64_t count, rows; // rounds that are committed and touched rows; how many rows
    uint64_t sent;        // rows of the round whose COMMIT is under way
    bool sure;            // the last one touched none, and the next is to prove that none is left
    bool ending;          // the COMMIT under way is that of the round that proved it
    uint64_t began_ms;    // clock_ms() of its first round,
    uint64_t told_ms;     // of its last event,
    uint64_t noted_ms;    // and of its last word in the run's row; 0 = none
};
struct item {
    const struct migration *migration;
    const struct ledger_row *row; // NULL: the ledger knows nothing of it
    const char *file;             // that is read: the migration's, or its down file
    // while loaded
    struct arena *arena;
    struct script script;
    const struct statement **statements; // those that are sent, in order (a file's own BEGIN and COMMIT are not)
    // for good
    size_t count;   // statements that are sent
    size_t done;    // of these, committed
    size_t alone;   // 1-based, the first undone statement that is sent outside a transaction; 0 = none
    size_t names;   // 1-based, the first statement whose names outlive it: see trace.h; 0 = none
    size_t outside; // 1-based, a statement that the server refused in a transaction: item_may_go_outside; 0 = none
    bool stepwise;  // takes several transactions, each recorded by itself
    struct cut cut;
    struct rounds rounds;
    unsigned tries; // since it last got on
    uint64_t ms;    // that it took on the server
};
// One item for each of the plan's, each read and checked once: a file that cannot be cut into statements, or whose finished part was
// changed, and a down file that is no single transaction, is refused before anything is sent. A small set stays
// loaded. Errors: those of migration_load, ERROR_MIGRATION_CHANGED, ERROR_ROLLBACK_IMPOSSIBLE.
bool items_load(const struct migration_set *set, const struct plan *plan, struct arena *arena, struct item **ret_items,
                struct error *err);
void items_free(struct item *items, size_t count);
bool item_load(struct item *item, const struct migration_set *set, struct error *err); // does nothing when it is loaded
void item_unload(struct item *item);
// The end (exclusive) of the step to which statement `from` (0-based) belongs.
size_t item_step_end(const struct item *item, size_t from);
// A statement that later steps of its file rely on, and that has to be said again when a step begins with a clean session.
bool item_sets_session(const struct statement *statement);
// Is statement `n` (0-based) sent outside a transaction? So is one that was cut off there: it may have happened in part.
bool item_is_alone(const struct item *item, size_t n);
// The server refused statement `n` (0-based) in a transaction. Does that mean that it wants none, because it commits
// by itself, or its table is partitioned? Inside the file's own BEGIN ... COMMIT it stays.
bool item_may_go_outside(const struct item *item, size_t n, const char *sqlstate);
