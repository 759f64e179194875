// `pawl migrate`: brings the database to its newest migration from a shell.
#include "command/command.h"
#include "command/shell.h"
#include <string.h>

int command_migrate(const struct options *options, struct arena *arena) {
    struct shell_run wanted = {
        .session_pooler = strcmp(options->pooler, "session") == 0,
        .lock_wait_ms = options->lock_wait,
        .to = options->to,
        .out_of_order = options->out_of_order,
        .reason = options->reason,
        .release = options->release,
    };
    return shell_execute(options, &wanted, arena);
}
