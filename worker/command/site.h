// A target that is at work: its connections, its gate, and how its runs are ended.
#pragma once
#include "command/cloud.h"
#include "command/gate.h"
#include "command/login.h"
#include "command/targets.h"

// The targets of PAWL_TARGETS, or else the one of DATABASE_URL; `lock_wait_ms` is for those that say nothing else. Opens `cloud` when
// the file is a secret. Errors: ERROR_CONFIGURATION, and those of secret_fetch().
bool site_targets(const struct options *options, uint64_t lock_wait_ms, struct cloud *cloud, struct arena *arena,
                  struct targets *ret_targets, struct error *err);

struct site {
    const struct target *target;
    struct login *login;
    struct run_database *database;
    struct run_control *control;
    struct gate *gate;
};
// Asks nobody yet. Opens `cloud` when the login needs it; both, and the target, outlive the site. `crowd`: see gate.h.
// Errors: ERROR_CONFIGURATION.
bool site_open(const struct options *options, const struct target *target, unsigned crowd, struct cloud *cloud,
               struct site *ret_site, struct error *err);
void site_close(struct site *site); // one that was never opened (all zero) is fine
