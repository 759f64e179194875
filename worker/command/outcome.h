// What a worker says about a run (`GET /runs/ID`), read and shown: as a table on the terminal, as Markdown for a pipeline's summary.
#pragma once
#include "base/arena.h"
#include "base/json.h"
#include "command/terminal.h"

struct outcome_item {
    const char *version; // "" for a repeatable file
    const char *file;
    int64_t statements, ms;
};
struct outcome {       // strings are "" when the worker did not say
    const char *state; // waiting, running, retry; applied, nothing_pending, superseded, planned, ...; failed
    const char *run, *target, *release, *served_by, *version;
    const char *error, *message, *file, *sqlstate, *detail, *hint, *remedy; // of a failure
    const char *progress;                                                   // "2/5 0002_index.sql" of what runs
    const char *watched;                                                    // how far its statement is
    const char *holder;                                                     // whom it waits for
    int64_t line, statement, statements, pending, ms;
    const struct outcome_item *items;
    size_t count;
};

extern const struct outcome outcome_unknown; // nothing was said yet: every string is ""

// Errors: ERROR_WORKER_UNAVAILABLE when the object has no state.
bool outcome_read(const struct json *json, struct arena *arena, struct outcome *ret_outcome, struct error *err);
bool outcome_is_final(const struct outcome *outcome);
bool outcome_is_failure(const struct outcome *outcome);
// One line: "applied 3 migrations in 42 ms; the database is at version 7".
void outcome_summary(const struct outcome *outcome, struct text *out);
void outcome_print(const struct outcome *outcome, struct terminal *terminal);
// `note`: why it has not come to its end; "" when it has. Everything that is not ours is escaped.
void outcome_markdown(const struct outcome *outcome, const char *message_id, const char *note, struct text *out);
