// The ledger: a schema (`pawl`, where the target says nothing else; home.h) with `migrations` (what is in effect),
// `runs` (who asked, what came of it) and the one-row `state` (layout version; digest of the files when the ledger
// holds exactly these). Every name is qualified, so that no search_path matters.
//
// The digest is what makes a no-op cheap whatever the history. It may be absent, which costs a full read; it must never be
// wrong: whoever adds a migration clears it in the same transaction, and a trigger clears it when a row is changed or deleted,
// by whomever.
#pragma once
#include "migrate/plan.h"
#include "migrate/run.h"

// ---- layout ------------------------------------------------------------------------------------------------------------
#define LEDGER_VERSION 3
// "permission denied" of one of the ledger's commands becomes ERROR_DATABASE_REFUSED; the hint is the GRANT that is missing.
void ledger_forbidden(const struct postgres *postgres, struct error *err);
// Looks, creates and upgrades; call it under the lock. `pooled`: there is none that lasts, so it takes the lock for its transaction.
// `known`: an arrival has met a ledger of our version a moment ago, so a glance will do.
// Errors: ERROR_LEDGER_FOREIGN, ERROR_LEDGER_NEWER, ERROR_LOCK_HELD (only `pooled`), ERROR_DATABASE_REFUSED (the
// hint is the GRANT that helps).
bool ledger_prepare(struct postgres *postgres, bool pooled, bool known, struct error *err);
// The same look without touching anything. `ret_exists` false: there is no ledger yet.
bool ledger_look(struct postgres *postgres, bool *ret_exists, struct error *err);

// Where the schema does not exist: a ledger in another one that may be read, and that holds versioned migrations and
// none but those of `set`, is taken for the one that is meant, under a name that was changed
// (ERROR_LEDGER_ELSEWHERE; the hint says how to have two).
bool ledger_check_others(struct postgres *postgres, const struct migration_set *set, struct error *err);

// ---- rows --------------------------------------------------------------------------------------------------------------
bool ledger_read(struct postgres *postgres, struct arena *arena, struct ledger *ret_ledger, struct error *err);

// ---- runs --------------------------------------------------------------------------------------------------------------
// Queues one command: records that the run is here (again), and asks whether the ledger holds exactly the files of `digest`; then
// the run is recorded as done in the same breath. Its rows go to ledger_arrived. When there is no ledger of our version it fails or
// gives no row.
bool ledger_send_arrival(struct postgres *postgres, const struct run_request *request, const char *digest,
                         struct error *err);
struct ledger_arrival {
    bool complete;      // nothing is pending
    const char *newest; // only when complete
    size_t applied;     // only when complete
};
bool ledger_arrived(const struct postgres_rows *rows, struct arena *arena, struct ledger_arrival *ret_arrival);

// What the row of a run that is under way says of it: $1 the run, $2 the words, or NULL. For home_send, as the ledger's commands all are.
#define LEDGER_PROGRESS "UPDATE {ledger}.runs SET progress = $2 WHERE id = $1 AND state = 'running'"

struct ledger_departure {
    const char *state;         // "applied", "nothing_pending", "superseded", "failed"
    size_t applied, pending;   // in this run
    const struct error *error; // when failed
    const char *digest;        // NULL: the ledger does not hold exactly these files, or the run failed
    const char *newest;        // with digest
    size_t total;              // with digest: applied rows
};
// Queues one command.
bool ledger_send_departure(struct postgres *postgres, const char *run, const struct ledger_departure *departure,
                           struct error *err);
