// `pawl plan`: shows what `migrate` would do, and touches nothing.
#include "command/command.h"
#include "command/shell.h"

int command_plan(const struct options *options, struct arena *arena) {
    struct shell_run wanted = {
        .plan_only = true, .out_of_order = options->out_of_order, .to = options->to, .release = options->release};
    return shell_execute(options, &wanted, arena);
}
