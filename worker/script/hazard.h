// What can hurt a database that is in use: one table of hazards (hazard.def), and a lint that finds them in a script by its statements'
// actions. What the file itself creates is not in use yet and is left alone. Pure; printing is command/lint.c's business.
#pragma once
#include "script/statement.h"

enum hazard_level { HAZARD_ADVICE, HAZARD_WARNING, HAZARD_DANGER };
enum hazard {
#define X(symbol, name, level, why, instead, sources) HAZARD_##symbol,
#include "script/hazard.def"
#undef X
    HAZARD_COUNT
};
struct hazard_row {
    const char *name; // "index-blocks-writes"
    enum hazard_level level;
    const char *why;     // one sentence
    const char *instead; // the safe way, in SQL where there is one
    const char *sources; // "squawk: ...; strong_migrations: ...; eugene: ..."
};
const struct hazard_row *hazard_row(enum hazard hazard);
const char *hazard_level_name(enum hazard_level level); // "advice", "warning", "danger"
bool hazard_find(struct view name, enum hazard *ret_hazard);

// A "-- pawl: allow NAME reason" before a statement.
struct allowance {
    enum hazard hazard;
    struct view reason;
    unsigned line;
};
struct finding {
    enum hazard hazard;
    const struct statement *statement;
    unsigned line;
    const char *subject;            // the relation, with ".column" where there is one; NULL = none
    const struct allowance *waiver; // not NULL: somebody allowed it
};
struct findings {
    struct finding *items; // in the order of the file
    size_t count;
};
// The findings live in `arena` and point into the script.
void hazard_lint(const struct script *script, struct arena *arena, struct findings *ret_findings);
