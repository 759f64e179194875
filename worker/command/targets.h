// Which databases there are, what holds for each, and which of them a message may mean. Pure: where the file comes from, and what is
// opened then, is left to site.c.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

enum { TARGETS_MAX = 16 };

struct target {
    const char *name;                 // 1 to 63 of a-z, 0-9, _ and -
    char *database;                   // a connection string, or "secret:..."
    bool database_iam;                // see command/login.h
    const char *migrations;           // the folder
    const char *schema;               // of the ledger; with the role, see migrate/home.h
    const char *role;                 // NULL: that of the login
    const char *const *subscriptions; // full names, NULL-terminated: only their messages; NULL: everybody's
    const char *const *callers; // e-mail addresses, NULL-terminated: only what they push; NULL: whoever may push at all
    const char *const *readers; // the same for those who ask
    bool out_of_order;          // messages may ask for versions below the newest applied one
    bool rollback;              // messages may ask for a rollback
    uint64_t lock_wait_ms, lock_timeout_ms;
};
struct targets { // in the arena given
    struct target *items;
    size_t count; // at least 1
};
// {"targets":[{"name":...,"database":...,...}]}. What a target does not say is taken from `defaults`. Errors: ERROR_CONFIGURATION with the
// target and the member, and never with what a connection string says.
bool targets_read(struct view json, const struct target *defaults, struct arena *arena, struct targets *ret_targets,
                  struct error *err);
// Whoever a target binds has to be let in at all, by `callers` and `readers` (NULL-terminated; NULL: nobody).
// Errors: ERROR_CONFIGURATION with the target, the member and the address.
bool targets_check_bound(const struct targets *targets, const char *const *callers, const char *const *readers,
                         struct error *err);
// Wipes the connection strings, once they are somewhere else.
void targets_forget(struct targets *targets);

const struct target *targets_find(const struct targets *targets, const char *name); // NULL: there is none
// The target that a message means which came through `subscription` and names `wanted`, or none (NULL): then the one that the
// subscription is bound to, or the only one there is. A target with subscriptions takes their messages only, and a subscription
// that some target has reaches no target that does not have it. The same holds for callers, whose push token says who they are: the name of
// the subscription is only what the body says.
// Errors: ERROR_TARGET_UNKNOWN, ERROR_TARGET_FORBIDDEN.
struct target_question {
    const char *wanted, *subscription, *caller;
};
bool targets_choose(const struct targets *targets, const struct target_question *question,
                    const struct target **ret_target, struct error *err);
// The first target that what comes so may address: where a refusal is kept that belongs to none. NULL: there is none.
const struct target *targets_any(const struct targets *targets, const char *subscription, const char *caller);
// Whether a reader may ask about a target. One that some target lists may ask about no target that does not list it.
bool targets_may_read(const struct targets *targets, const struct target *target, const char *reader);
