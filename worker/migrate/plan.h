// Files against ledger: what is pending, and what is wrong. Pure: no connection, no clock.
#pragma once
#include "source/directory.h"

enum ledger_state { LEDGER_APPLIED, LEDGER_PARTIAL };
struct ledger_row { // one row of pawl.migrations
    enum migration_kind kind;
    const char *version, *name, *file, *checksum; // version: the name for a repeatable file, as in struct migration
    enum ledger_state state;
    size_t statements, done;   // of the file; equal when applied
    const char *const *hashes; // of the `done` statements of a file that takes more than one step
    size_t hash_count;
    // A statement that was sent outside a transaction and of which no end is recorded: 1-based, 0 = none; its hash; its text where it
    // is known to hold no secret; the names of its table's indexes before it, as an array literal.
    size_t in_flight;
    const char *in_flight_hash, *in_flight_text, *in_flight_before;
    const char *applied_at, *run;
};
struct ledger {
    struct ledger_row *rows; // any order
    size_t count;
};

struct plan_options {
    const char *to;    // NULL = newest
    bool out_of_order; // a version below the newest applied one that was never applied is pending too
};
struct plan_item {
    const struct migration *migration;
    const struct ledger_row
        *row; // what the ledger has of it: partial, or the former text of a repeatable file; NULL = nothing
};
struct plan {
    struct plan_item *items; // in the order in which they are to be applied
    size_t count;
    size_t applied;     // rows in the ledger that are applied
    const char *newest; // newest applied version; NULL = none
    bool superseded;    // nothing to do, because the ledger is ahead of all files
    bool complete;      // once `items` are applied, the ledger holds exactly these files
    bool back;          // the items are to be taken back by their down files; `newest` is what is left then
};
// Everything is pending in order of version; repeatable files come last, when no versioned file stays behind.
// Errors, with `file` set where there is one: ERROR_VERSION_UNKNOWN, ERROR_MIGRATION_CHANGED, ERROR_MIGRATION_MISSING,
// ERROR_MIGRATION_OUT_OF_ORDER.
bool plan_make(const struct migration_set *set, const struct ledger *ledger, const struct plan_options *options,
               struct arena *arena, struct plan *ret_plan, struct error *err);

// What a rollback takes back: every applied version above `floor` (NULL: all of them; "0" need not be a version), newest first.
// Repeatable files stay. Errors, with `file` set: ERROR_VERSION_UNKNOWN, ERROR_MIGRATION_CHANGED, ERROR_MIGRATION_MISSING,
// ERROR_ROLLBACK_IMPOSSIBLE (no down file, or applied in part).
bool plan_back(const struct migration_set *set, const struct ledger *ledger, const char *floor, struct arena *arena,
               struct plan *ret_plan, struct error *err);
// The version that is left when the newest `steps` applied ones are taken back; NULL = none.
const char *plan_floor(const struct ledger *ledger, size_t steps, struct arena *arena);

// The same comparison without judgement, for people: every file and every row, versioned by number, then repeatable by name.
struct plan_status {
    const struct migration *migration; // NULL: only in the ledger
    const struct ledger_row *row;      // NULL: only among the files
    const char *state;                 // see struct status_item
};
void plan_compare(const struct migration_set *set, const struct ledger *ledger, struct arena *arena,
                  struct plan_status **ret_items, size_t *ret_count);
