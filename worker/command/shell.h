// What `migrate`, `plan` and `adopt` share: one run from a shell, shown on the terminal as it goes, ended by Ctrl-C or SIGTERM without leaving
// anything half done.
#pragma once
#include "command/cloud.h"
#include "command/login.h"
#include "options.h"
#include "source/directory.h"
#include <stdint.h>

struct shell_run {
    bool plan_only, out_of_order, session_pooler;
    uint64_t lock_wait_ms, lock_timeout_ms;
    const char *to, *reason, *release; // NULL = not said
    const char *baseline;              // adopt up to here, and run nothing; NULL = migrate
};
// Returns the exit code.
int shell_execute(const struct options *options, const struct shell_run *wanted, struct arena *arena);
// What every command about a database begins with: DATABASE_URL must be set, and the files are read. An empty folder is said on stderr: it
// may well be the wrong one. Errors: ERROR_CONFIGURATION and those of source/directory.h.
bool shell_begin(const struct options *options, struct arena *arena, struct migration_set *ret_set, struct error *err);
// The database that the options name, and who logs in there. Asks nobody yet. Errors: ERROR_CONFIGURATION.
struct shell_database {
    struct cloud cloud; // empty when nothing needs it
    struct login *login;
    struct run_database *database;
};
bool shell_open(const struct options *options, struct shell_database *ret_database, struct error *err);
void shell_close(struct shell_database *database);
