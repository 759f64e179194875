// A database that had its schema before it had a ledger: what is in effect already is recorded, and not run.
#pragma once
#include "migrate/run.h"

// Records every versioned file up to `baseline` as applied, as it is now, under the lock. What the ledger has already must agree.
// `ret_report`: state "adopted", items are those recorded now. `request` says who asks; its errand is ours. Repeatable files are left
// to the next run, which applies them. Errors: ERROR_VERSION_UNKNOWN; ERROR_MIGRATION_CHANGED, _MISSING and _CUT_OFF, when the ledger says
// otherwise; those of run_execute.
bool adopt_execute(struct run_database *database, const struct migration_set *set, const char *baseline,
                   struct run_request *request, const struct run_observer *observer, struct run_control *control,
                   struct arena *arena, struct run_report *ret_report, struct error *err);
