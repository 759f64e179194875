// What `migrate` and `plan` share: one run from a shell, shown on the terminal as it goes, ended by Ctrl-C or SIGTERM without leaving
// anything half done.
#pragma once
#include "options.h"
#include <stdint.h>

struct shell_run {
    bool plan_only;
    uint64_t lock_wait_ms, lock_timeout_ms;
    const char *to, *reason, *release; // NULL = not said
};
// Returns the exit code.
int shell_execute(const struct options *options, const struct shell_run *wanted, struct arena *arena);
// DATABASE_URL must be set. Errors: ERROR_CONFIGURATION.
bool shell_need_database(const struct options *options, struct error *err);
