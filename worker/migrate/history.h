// The rows of pawl.runs, for those who ask afterwards; and the rows of requests that were no run: refused before it, or only a plan.
#pragma once
#include "migrate/run.h"

struct history_run {   // lives in the arena given; NULL = not there
    const char *state; // "running", "applied", "nothing_pending", "superseded", "planned", "failed"
    const char *target, *release, *publisher, *attempts, *applied, *pending; // numbers as text
    const char *error, *message, *file, *line, *statement, *sqlstate, *detail, *hint;
    const char *started_at, *finished_at; // RFC 3339, UTC
    const char *origin;                   // JSON: where a dead letter or a replay comes from
    const char *migrations; // JSON: [{"version","name","file","statements","ms"}] that took effect by this run
    const char *progress;   // while running: "pawl RUN 3/7 0003_orders.sql", as the session calls itself
    const char *watched;    // while a statement takes long: what it does, how far it is, who is in its way
};
// `*ret_found` false: there is no such run, or no ledger yet. Errors: those of postgres.h.
bool history_find(struct run_database *database, const char *id, struct run_control *control, struct arena *arena,
                  struct history_run *ret_run, bool *ret_found, struct error *err);
// Whether a run is on record whose proof of who published was this token (by its SHA-256) for this request (by its fingerprint).
bool history_proved(struct run_database *database, const char *token, const char *request, struct run_control *control,
                    bool *ret_proved, struct error *err);
// Records that the request failed before any run began (a file that is not acceptable, say), so that whoever asks for it hears so.
// A run of the same id that was applied stays as it is; without a ledger nothing is recorded.
bool history_refuse(struct run_database *database, const struct run_request *request, const struct error *failure,
                    struct run_control *control, struct error *err);
// Records that a plan was made, and how many migrations it found pending, for whoever asks for it. The same rules.
bool history_planned(struct run_database *database, const struct run_request *request, size_t pending,
                     struct run_control *control, struct error *err);
