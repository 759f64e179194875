// Reads options.def's rows from flags and environment, and prints them as help and table. What the values mean is the commands' business.
#include "options.h"
#include <stdlib.h>
#include <string.h>

enum option_kind {
    KIND_TEXT,
    KIND_LIST,
    KIND_NUMBER,
    KIND_DURATION,
    KIND_CHOICE,
    KIND_SWITCH,
    KIND_SECRET,
    KIND_MANY,
    KIND_OPTIONAL,
};

struct option {
    enum option_kind kind;
    const char *flag, *variable, *fallback;
    unsigned commands;
    const char *argument, *help;
    size_t offset;
};

#define SERVE COMMAND_SERVE
#define MIGRATE COMMAND_MIGRATE
#define PLAN COMMAND_PLAN
#define STATUS COMMAND_STATUS
#define NEW COMMAND_NEW
#define PUBLISH COMMAND_PUBLISH
#define REPLAY COMMAND_REPLAY
#define LINT COMMAND_LINT
#define ADOPT COMMAND_ADOPT
#define REPAIR COMMAND_REPAIR
#define ROLLBACK COMMAND_ROLLBACK
#define DATABASE (MIGRATE | PLAN | STATUS | ADOPT | REPAIR | ROLLBACK)
static const struct option table[] = {
#define X(kind, name, flag, variable, fallback, commands, argument, help)                                              \
    {KIND_##kind, flag, variable, fallback, commands, argument, help, offsetof(struct options, name)},
#include "options.def"
#undef X
};
enum { ROWS = sizeof(table) / sizeof(table[0]), HELP_COLUMN = 28, HELP_WIDTH = 80 };

static const struct {
    unsigned command;
    const char *name;
} command_names[] = {
    {SERVE, "serve"}, {MIGRATE, "migrate"}, {PLAN, "plan"},         {STATUS, "status"},
    {NEW, "new"},     {LINT, "lint"},       {PUBLISH, "publish"},   {REPLAY, "replay"},
    {ADOPT, "adopt"}, {REPAIR, "repair"},   {ROLLBACK, "rollback"},
};

static const char *name_of(unsigned command) {
    for (size_t i = 0; i < sizeof(command_names) / sizeof(command_names[0]); i++)
        if (command_names[i].command == command)
            return command_names[i].name;
    return "";
}

static void *member(struct options *options, const struct option *row) {
    return (char *)options + row->offset;
}

static bool split_list(const char *value, struct arena *arena, const char *const **ret_list) {
    size_t count = 1;
    for (const char *c = value; *c; c++)
        count += *c == ',';
    const char **list = arena_array(arena, count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(value, ",");
        struct view item = view_trim((struct view){value, length});
        if (item.length == 0)
            return false;
        list[i] = arena_copy(arena, item.data, item.length);
        value += length + 1;
    }
    *ret_list = list;
    return true;
}

static const char *const *one_more(const char *const *list, const char *value, struct arena *arena) {
    size_t count = 0;
    while (list && list[count])
        count++;
    const char **longer = arena_array(arena, count + 2, sizeof(*longer));
    for (size_t i = 0; i < count; i++)
        longer[i] = list[i];
    longer[count] = value;
    return longer;
}

// "MIN..MAX", both read by the same reader as the value.
static bool in_range(enum option_kind kind, struct view text, const char *range, uint64_t *ret_number) {
    const char *dots = strstr(range, "..");
    uint64_t least = 0, most = 0, number = 0;
    struct view low = {range, (size_t)(dots - range)}, high = view_of(dots + 2);
    bool fine = kind == KIND_NUMBER ? text_to_u64(low, UINT64_MAX, &least) && text_to_u64(high, UINT64_MAX, &most) &&
                                          text_to_u64(text, most, &number)
                                    : text_to_ms(low, UINT64_MAX, &least) && text_to_ms(high, UINT64_MAX, &most) &&
                                          text_to_ms(text, most, &number);
    if (!fine || number < least)
        return false;
    *ret_number = number;
    return true;
}

static bool is_choice(const char *value, const char *words) {
    size_t length = strlen(value);
    for (const char *word = words; *word;) {
        size_t end = strcspn(word, "|");
        if (end == length && memcmp(word, value, length) == 0)
            return true;
        word += end + (word[end] == '|');
    }
    return false;
}

// What a value of the kind has to be; all but a list go on with the row's range or words.
static const char *wanted(enum option_kind kind) {
    switch (kind) {
    case KIND_LIST:
        return "a comma-separated list without empty entries";
    case KIND_NUMBER:
        return "a number within ";
    case KIND_DURATION:
    case KIND_OPTIONAL:
        return "a time (200ms, 5s, 10min) within ";
    case KIND_SWITCH:
        return "true or false";
    case KIND_CHOICE:
    case KIND_TEXT:
    case KIND_SECRET:
    case KIND_MANY:
        break;
    }
    return "one of ";
}

// `origin` is the flag or the variable, whichever the value came from.
static bool set_value(const struct option *row, const char *origin, const char *value, struct arena *arena,
                      struct options *options, enum error_code code, struct error *err) {
    bool fine = true;
    switch (row->kind) {
    case KIND_TEXT:
    case KIND_SECRET:
        *(const char **)member(options, row) = value;
        break;
    case KIND_LIST:
        fine = split_list(value, arena, (const char *const **)member(options, row));
        break;
    case KIND_MANY: {
        const char *const **list = member(options, row);
        *list = one_more(*list, value, arena);
        break;
    }
    case KIND_NUMBER:
    case KIND_DURATION:
    case KIND_OPTIONAL:
        fine = in_range(row->kind, view_of(value), row->argument, (uint64_t *)member(options, row));
        break;
    case KIND_CHOICE:
        fine = is_choice(value, row->argument);
        *(const char **)member(options, row) = value;
        break;
    case KIND_SWITCH: // "" is the flag alone
        fine = *value == '\0' || is_choice(value, "true|false");
        *(bool *)member(options, row) = strcmp(value, "false") != 0;
        break;
    }
    if (fine)
        return true;
    char shown[65];
    text_copy(shown, sizeof(shown), view_of(value));
    return error_set(err, code, "%s is '%s', but must be %s%s", origin, shown, wanted(row->kind),
                     row->argument && row->kind != KIND_LIST ? row->argument : "");
}

static bool set_defaults(unsigned command, struct arena *arena, struct options *options, struct error *err) {
    for (size_t i = 0; i < ROWS; i++) {
        const struct option *row = &table[i];
        if (!(row->commands & command))
            continue;
        if (row->fallback && row->kind != KIND_OPTIONAL &&
            !set_value(row, row->flag, row->fallback, arena, options, ERROR_INTERNAL, err))
            return false;
        const char *value = row->variable ? getenv(row->variable) : NULL;
        if (value && *value && !set_value(row, row->variable, value, arena, options, ERROR_CONFIGURATION, err))
            return false;
    }
    return true;
}

static const struct option *find_flag(unsigned command, struct view name) {
    for (size_t i = 0; i < ROWS; i++)
        if ((table[i].commands & command) && table[i].flag && view_is(name, table[i].flag))
            return &table[i];
    return NULL;
}

// Takes one flag, `--name value` or `--name=value`; returns how many arguments it used, 0 on failure.
static size_t take_flag(unsigned command, char *const arguments[], struct arena *arena, struct options *options,
                        struct error *err) {
    const char *argument = arguments[0];
    size_t length = strcspn(argument, "=");
    const struct option *row = find_flag(command, (struct view){argument, length});
    char shown[65];
    text_copy(shown, sizeof(shown), (struct view){argument, length});
    if (!row) {
        error_set(err, ERROR_USAGE, "%s has no option %s", name_of(command), shown);
        return 0;
    }
    const char *inline_value = argument[length] == '=' ? argument + length + 1 : NULL;
    if (row->kind == KIND_SWITCH) {
        if (inline_value) {
            error_set(err, ERROR_USAGE, "%s takes no value", shown);
            return 0;
        }
        return set_value(row, row->flag, "", arena, options, ERROR_USAGE, err) ? 1 : 0;
    }
    if (row->kind == KIND_OPTIONAL) {
        const char *value = inline_value ? inline_value : row->fallback;
        return set_value(row, row->flag, value, arena, options, ERROR_USAGE, err) ? 1 : 0;
    }
    const char *value = inline_value ? inline_value : arguments[1];
    if (!value || (!inline_value && value[0] == '-' && value[1] == '-')) {
        error_set(err, ERROR_USAGE, "%s needs a value: %s", shown, row->argument);
        return 0;
    }
    if (!set_value(row, row->flag, value, arena, options, ERROR_USAGE, err))
        return 0;
    return inline_value ? 1 : 2;
}

static size_t count_arguments(char *const arguments[]) {
    size_t count = 0;
    while (arguments[count])
        count++;
    return count;
}

bool options_read(unsigned command, char *const arguments[], struct arena *arena, struct options *ret_options,
                  struct error *err) {
    struct options options = {0};
    size_t count = count_arguments(arguments);
    for (size_t i = 0; i < count && strcmp(arguments[i], "--") != 0; i++)
        options.help |= strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0;
    const char **operands = arena_array(arena, count + 1, sizeof(*operands));
    options.operands = operands;
    if (!options.help) {
        if (!set_defaults(command, arena, &options, err))
            return false;
        bool flags = true;
        for (size_t i = 0; i < count;) {
            if (flags && strcmp(arguments[i], "--") == 0) {
                flags = false;
                i++;
            } else if (flags && arguments[i][0] == '-' && arguments[i][1]) {
                size_t used = take_flag(command, arguments + i, arena, &options, err);
                if (!used)
                    return false;
                i += used;
            } else {
                operands[options.operand_count++] = arguments[i++];
            }
        }
    }
    *ret_options = options;
    return true;
}

static void flag_column(const struct option *row, struct text *out) {
    if (row->flag)
        text_append(out, row->flag);
    if (row->flag && row->argument)
        text_printf(out, row->kind == KIND_OPTIONAL ? "[=%s]" : " %s", row->argument);
}

// Words from column HELP_COLUMN on, in lines of at most HELP_WIDTH; the first line stands behind `out` as it is.
static void append_wrapped(struct text *out, size_t column, const char *words) {
    while (*words) {
        size_t length = strcspn(words, " ");
        if (column > HELP_COLUMN && column + 1 + length > HELP_WIDTH) {
            text_printf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            text_append_char(out, ' ');
            column++;
        }
        text_append_view(out, (struct view){words, length});
        column += length;
        words += length + strspn(words + length, " ");
    }
    text_append(out, "\n");
}

static void append_help(struct text *out, const char *left, const char *words) {
    text_printf(out, "  %-*s", HELP_COLUMN - 2, left);
    if (strlen(left) + 3 > HELP_COLUMN)
        text_printf(out, "\n%*s", HELP_COLUMN, "");
    append_wrapped(out, HELP_COLUMN, words);
}

static void append_row(struct text *out, const struct option *row) {
    cleanup_text struct text left = TEXT(128), words = TEXT(1024);
    if (row->flag)
        flag_column(row, &left);
    else
        text_printf(&left, "%s=%s", row->variable, row->argument);
    text_append(&words, row->help);
    if (row->fallback)
        text_printf(&words, " (default: %s)", row->fallback);
    if (row->flag && row->variable)
        text_printf(&words, " [%s]", row->variable);
    append_help(out, text_string(&left), text_string(&words));
}

// First what is said anew each time, then what an environment may have settled.
void options_help(unsigned command, struct text *out) {
    for (int settled = 0; settled <= 1; settled++)
        for (size_t i = 0; i < ROWS; i++)
            if ((table[i].commands & command) && (table[i].variable != NULL) == settled)
                append_row(out, &table[i]);
    append_help(out, "-h, --help", "this text");
}

static void append_commands(struct text *out, const struct option *row) {
    const char *comma = "";
    for (size_t i = 0; i < sizeof(command_names) / sizeof(command_names[0]); i++)
        if (row->commands & command_names[i].command) {
            text_printf(out, "%s%s", comma, command_names[i].name);
            comma = ", ";
        }
}

// One name may be a row for each of two commands.
bool options_topic(const char *name, struct text *out) {
    bool found = false;
    for (size_t i = 0; i < ROWS; i++) {
        const struct option *row = &table[i];
        if (!(row->flag && strcmp(row->flag, name) == 0) && !(row->variable && strcmp(row->variable, name) == 0))
            continue;
        text_append(out, "pawl ");
        append_commands(out, row);
        text_append(out, "\n");
        append_row(out, row);
        found = true;
    }
    return found;
}

// A `|` inside a Markdown table's cell ends the cell.
static void append_cell(struct text *out, const char *string) {
    for (; *string; string++) {
        if (*string == '|')
            text_append(out, "\\");
        text_append_char(out, *string);
    }
}

void options_table(struct text *out) {
    text_append(out, "| variable | flag | default | commands | meaning |\n| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < ROWS; i++) {
        const struct option *row = &table[i];
        text_printf(out, "| %s%s%s | ", row->variable ? "`" : "", row->variable ? row->variable : "",
                    row->variable ? "`" : "");
        struct text flag = TEXT(128);
        flag_column(row, &flag);
        if (row->flag) {
            text_append(out, "`");
            append_cell(out, text_string(&flag));
            text_append(out, "`");
        }
        text_done(&flag);
        text_printf(out, " | %s | ", row->fallback ? row->fallback : "");
        append_commands(out, row);
        text_append(out, " | ");
        append_cell(out, row->help);
        text_append(out, " |\n");
    }
}

static void describe_value(const struct option *row, const struct options *options, struct text *out) {
    const void *value = (const char *)options + row->offset;
    switch (row->kind) {
    case KIND_SECRET:
        text_append(out, "***");
        break;
    case KIND_TEXT:
    case KIND_CHOICE:
        text_append(out, *(const char *const *)value);
        break;
    case KIND_LIST:
    case KIND_MANY:
        for (const char *const *item = *(const char *const *const *)value; *item; item++)
            text_printf(out, "%s%s", item == *(const char *const *const *)value ? "" : ",", *item);
        break;
    case KIND_NUMBER:
        text_printf(out, "%llu", (unsigned long long)*(const uint64_t *)value);
        break;
    case KIND_DURATION:
    case KIND_OPTIONAL:
        text_printf(out, "%llums", (unsigned long long)*(const uint64_t *)value);
        break;
    case KIND_SWITCH:
        text_append(out, "true");
        break;
    }
}

static bool is_set(const struct option *row, const struct options *options) {
    const void *value = (const char *)options + row->offset;
    switch (row->kind) {
    case KIND_NUMBER:
    case KIND_DURATION:
        return true;
    case KIND_OPTIONAL:
        return *(const uint64_t *)value > 0;
    case KIND_SWITCH:
        return *(const bool *)value;
    default:
        return *(const void *const *)value != NULL;
    }
}

void options_describe(unsigned command, const struct options *options, struct text *out) {
    for (size_t i = 0; i < ROWS; i++) {
        const struct option *row = &table[i];
        if (!(row->commands & command) || !is_set(row, options))
            continue;
        text_printf(out, "%s%s=", out->length ? " " : "", row->flag ? row->flag + 2 : row->variable);
        describe_value(row, options, out);
    }
}
