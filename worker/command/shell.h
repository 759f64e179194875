// What `migrate`, `plan`, `adopt` and `rollback` share: one run from a shell, shown on the terminal as it goes, ended by Ctrl-C or
// SIGTERM without leaving anything half done.
#pragma once
#include "command/site.h"
#include "options.h"
#include "source/directory.h"
#include <stdint.h>

struct shell_run {
    bool plan_only, out_of_order, rollback, session_pooler;
    unsigned steps; // of a rollback without `to`
    uint64_t lock_wait_ms;
    const char *to, *reason, *release; // NULL = not said
    const char *baseline;              // adopt up to here, and run nothing; NULL = migrate
};
// Fills in the run's id and who asks.
void shell_identify(struct run_request *request, struct arena *arena);
// Returns the exit code.
int shell_execute(const struct options *options, const struct shell_run *wanted, struct arena *arena);
// What every command about a database begins with: its target is chosen, its login is known (nobody is asked yet, but for a targets file
// that is a secret), and the files are read. An empty folder is said on stderr: it may well be the wrong one.
// Errors: ERROR_CONFIGURATION, ERROR_TARGET_UNKNOWN and those of source/directory.h.
struct shell_database {
    atomic_bool stop;   // set: whoever waits for Google ends
    struct cloud cloud; // empty when nothing needs it
    struct targets targets;
    struct site site;
    struct migration_set set;
};
bool shell_open(const struct options *options, struct arena *arena, struct shell_database *database, struct error *err);
void shell_close(struct shell_database *database);
