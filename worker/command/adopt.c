// `pawl adopt`: records the files up to a version as applied, for a database that had its schema before it had a ledger.
#include "command/command.h"
#include "command/report.h"
#include "command/shell.h"
#include <string.h>

int command_adopt(const struct options *options, struct arena *arena) {
    struct error err = {0};
    if (!options->baseline) {
        error_set(&err, ERROR_USAGE, "say with --baseline up to which version the database is already");
        return report_failure(options, &err);
    }
    struct shell_run wanted = {.baseline = options->baseline,
                               .session_pooler = strcmp(options->pooler, "session") == 0,
                               .lock_wait_ms = options->lock_wait,
                               .reason = options->reason};
    return shell_execute(options, &wanted, arena);
}
