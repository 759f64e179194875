// Applies what is pending, with the ledger row of each migration in the migration's own transaction. Transactional files go ahead in one
// pipeline across files; what PostgreSQL refuses in a transaction goes alone, recorded before and after. The lock is
// held by the caller, unless there is a pooler.
#pragma once
#include "migrate/plan.h"
#include "migrate/run.h"
#include "migrate/watch.h"

struct apply_order {
    const struct migration_set *set;
    const struct plan *plan;
    const char *run;
    uint64_t lock_timeout_ms;
    bool pooled; // each transaction takes the lock for itself, and what needs a session is refused
    const struct run_observer *observer; // may be NULL
    struct watch *watch;                 // hears of every answer; may be NULL
    struct run_control *control;         // may be NULL
};
struct applied {         // grows as migrations are committed, also when a later one fails
    struct arena *arena; // where the items live
    struct run_item *items;
    size_t count, room;
};
void applied_add(struct applied *applied, const struct run_item *item);
// Every pending file is read and cut into statements before the first is sent.
// On failure the session is back outside any transaction, with its own role and settings, if it is still alive.
bool apply(struct postgres *postgres, const struct apply_order *order, struct arena *arena, struct applied *applied,
           struct error *err);
