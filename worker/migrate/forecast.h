// What each pending statement will do to the target: which relations it locks and how, what takes time there, how large they are, and
// which hazards it holds. From the files and from the server's statistics (pg_class: as of the last VACUUM or ANALYZE): nothing is touched,
// and no relation is locked, not even for a moment. Names are looked up as a new session resolves them, whatever the files set.
#pragma once
#include "migrate/item.h"
#include "migrate/run.h"
#include "script/action.h"
#include "script/hazard.h"

// At most so much is told of one plan; the rest is counted. An answer stays under a megabyte or two, whatever is pending.
enum {
    FORECAST_STATEMENTS_MAX = 1000,
    FORECAST_FILE_MAX = 100, // statements of one file
    FORECAST_EFFECTS_MAX = 2000,
    FORECAST_HAZARDS_MAX = 500,
    FORECAST_NAME_MAX = 200, // bytes of a relation's name; longer ones are told without their size
};

enum forecast_presence { FORECAST_UNKNOWN, FORECAST_ABSENT, FORECAST_PRESENT };
struct forecast_relation {
    const char *name;
    enum forecast_presence presence; // in the target, now; UNKNOWN when it could not be asked
    int64_t bytes, rows;             // with its indexes, TOAST and partitions; -1: never analysed
};
struct forecast_effect {
    enum action_kind kind;
    enum lock_mode mode; // of no concern to anybody while the relation is absent
    enum action_work work;
    const struct forecast_relation *relation; // NULL: the statement does not say
};
struct forecast_hazard {
    enum hazard hazard;
    unsigned line;
    const char *subject; // NULL = none
};
struct forecast_statement {
    unsigned line;
    const char *tag;           // "ALTER TABLE"; NULL: not analysed
    bool alone;                // outside a transaction
    const struct batch *batch; // NULL: sent once
    struct forecast_effect *effects;
    size_t effect_count;
    struct forecast_hazard *hazards; // of what is in the target already, without those that somebody allowed
    size_t hazard_count;
};
struct forecast { // of one pending migration
    struct forecast_statement *statements;
    size_t count;                              // listed
    size_t total;                              // that would run
    size_t effects_left_out, hazards_left_out; // of the statements listed
    bool resumed;                              // the first statements of the file are done already
};

// Sets `forecast` and `statements` of each of the `items`, which are those of the plan. Sizes are left out where the server refuses
// to tell them. Errors: those of migration_load; ERROR_MIGRATION_CHANGED; the connection broke.
bool forecast_make(struct postgres *postgres, const struct migration_set *set, const struct plan *plan,
                   struct arena *arena, struct run_item *items, struct error *err);

// ---- its pure half, for tests ------------------------------------------------------------------------------------------
struct forecaster {
    struct arena *arena;
    struct forecast_relation **relations; // each name once
    size_t relation_count, relation_capacity;
    size_t statements, effects, hazards; // told so far
};
// What the loaded item will do, with relations that nobody has looked up yet.
void forecast_item(struct forecaster *forecaster, const struct item *item, struct forecast *ret_forecast);
// Once the relations were looked up: forgets the hazards of what is absent, where nobody can be hurt yet.
void forecast_settle(const struct forecaster *forecaster, struct forecast *forecast);
