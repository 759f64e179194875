// The one table of options (options.def) turned into values. Flag wins over environment variable, variable over default. An empty
// variable counts as unset. Everything lives in the arena given; secrets are not copied out of the environment.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

enum {
    COMMAND_SERVE = 1 << 0,
    COMMAND_MIGRATE = 1 << 1,
    COMMAND_PLAN = 1 << 2,
    COMMAND_STATUS = 1 << 3,
    COMMAND_NEW = 1 << 4,
    COMMAND_PUBLISH = 1 << 5,
    COMMAND_REPLAY = 1 << 6,
    COMMAND_LINT = 1 << 7,
    COMMAND_ADOPT = 1 << 9,
    COMMAND_REPAIR = 1 << 10,
    COMMAND_ROLLBACK = 1 << 11,
};

typedef const char *option_TEXT, *option_CHOICE, *option_SECRET;
typedef const char *const *option_LIST, *const *option_MANY;      // NULL-terminated; NULL when unset
typedef uint64_t option_NUMBER, option_DURATION, option_OPTIONAL; // durations in milliseconds; 0 when unset
typedef bool option_SWITCH;

struct options {
#define X(kind, name, ...) option_##kind name;
#include "options.def"
#undef X
    const char *const *operands; // what is left after the flags; NULL-terminated
    size_t operand_count;
    bool help; // --help or -h was given: nothing else was looked at
};

// `arguments` are those after the command's name, NULL-terminated. Errors: ERROR_USAGE naming the flag, ERROR_CONFIGURATION naming
// the variable.
bool options_read(unsigned command, char *const arguments[], struct arena *arena, struct options *ret_options,
                  struct error *err);
// The rows of one command, for --help.
void options_help(unsigned command, struct text *out);
// The rows of one flag (`--wait`) or variable (`PAWL_URL`), each with its commands; false when there is none.
bool options_topic(const char *name, struct text *out);
// All rows as a Markdown table, for README.md (`pawl help options`).
void options_table(struct text *out);
// "name=value" of every row of the command that is set to other than its default; secrets as ***. For the start-up log.
void options_describe(unsigned command, const struct options *options, struct text *out);
