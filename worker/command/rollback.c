// `pawl rollback`: takes back the newest migrations by their down files.
#include "command/command.h"
#include "command/report.h"
#include "command/shell.h"
#include <string.h>

int command_rollback(const struct options *options, struct arena *arena) {
    struct error err = {0};
    if (options->to && options->steps > 0) {
        error_set(&err, ERROR_USAGE, "say either --steps or --to");
        return report_failure(options, &err);
    }
    struct shell_run wanted = {
        .rollback = true,
        .session_pooler = strcmp(options->pooler, "session") == 0,
        .steps = options->steps ? (unsigned)options->steps : 1,
        .to = options->to,
        .lock_wait_ms = options->lock_wait,
        .reason = options->reason,
        .release = options->release,
    };
    return shell_execute(options, &wanted, arena);
}
