// The verbs of `pawl`. Each takes its options and answers with the process's exit code: 0 done, 1 failed, 2 usage, 3 retry later.
// A command logs or prints each failure once; nothing below it does.
#pragma once
#include "options.h"

int command_serve(const struct options *options, struct arena *arena);
int command_migrate(const struct options *options, struct arena *arena);
int command_plan(const struct options *options, struct arena *arena);
int command_status(const struct options *options, struct arena *arena);
int command_adopt(const struct options *options, struct arena *arena);
int command_rollback(const struct options *options, struct arena *arena);
int command_lint(const struct options *options, struct arena *arena);
int command_repair(const struct options *options, struct arena *arena);
int command_new(const struct options *options, struct arena *arena);
int command_publish(const struct options *options, struct arena *arena);
int command_replay(const struct options *options, struct arena *arena);
