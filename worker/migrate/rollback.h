// Down to where a rollback goes. How the down files are run is apply.c's business.
#pragma once
#include "migrate/ledger.h"

// What `request` (a rollback) is to take back; nothing when its run is on record as done. What `steps` means is settled once, in the run's
// row. Call it under the lock, after the arrival. Errors: those of plan_back, ERROR_LOCK_LOST.
bool rollback_plan(struct postgres *postgres, const struct migration_set *set, const struct run_request *request,
                   const struct ledger *ledger, struct arena *arena, struct plan *ret_plan, struct error *err);
