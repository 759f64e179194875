// `pawl status`: every migration of the folder and of the ledger, with its state. Exit code 0 whatever the states are.
#include "command/command.h"
#include "command/report.h"
#include "command/shell.h"
#include "command/terminal.h"
#include <string.h>

static void print_json(const char *target, const struct status_item *items, size_t count) {
    cleanup_text struct text out = TEXT(64 << 20);
    struct json_writer writer = JSON_WRITER(&out);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "target", target);
    json_begin_array(&writer, "migrations");
    for (size_t i = 0; i < count; i++)
        report_status_item(&writer, &items[i]);
    json_end_array(&writer);
    json_end_object(&writer);
    (void)printf("%s\n", text_string(&out));
}

static enum tone tone_of(const char *state) {
    if (strcmp(state, "applied") == 0)
        return TONE_GOOD;
    return strcmp(state, "pending") == 0 ? TONE_WARN : TONE_BAD;
}

static int width_of(const struct status_item *items, size_t count) {
    size_t width = 4;
    for (size_t i = 0; i < count; i++)
        width = strlen(items[i].file) > width ? strlen(items[i].file) : width;
    return width < 80 ? (int)width : 80;
}

// "6 applied, 1 pending", and what is neither only where there is any.
static void print_totals(struct terminal *terminal, const struct status_item *items, size_t count) {
    static const char *const states[] = {"applied", "pending", "partial", "changed", "missing", "out_of_order"};
    cleanup_text struct text out = TEXT(512);
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        size_t number = 0;
        for (size_t j = 0; j < count; j++)
            number += strcmp(items[j].state, states[i]) == 0;
        if (i < 2 || number > 0)
            text_printf(&out, "%s%zu %s", i ? ", " : "", number, states[i]);
    }
    terminal_print(terminal, TONE_BOLD, "%s", text_string(&out));
}

static void print_table(const struct options *options, const struct status_item *items, size_t count) {
    struct terminal terminal = terminal_open(stdout, options->color);
    int width = width_of(items, count);
    if (count > 0)
        terminal_print(&terminal, TONE_BOLD, "%-12s %-*s applied at", "state", width, "file");
    for (size_t i = 0; i < count; i++) {
        const char *file = items[i].file;
        if (items[i].applied_at)
            terminal_print(&terminal, tone_of(items[i].state), "%-12s %-*s %s", items[i].state, width, file,
                           items[i].applied_at);
        else
            terminal_print(&terminal, tone_of(items[i].state), "%-12s %s", items[i].state, file);
    }
    print_totals(&terminal, items, count);
}

int command_status(const struct options *options, struct arena *arena) {
    struct error err = {0};
    struct shell_database database;
    if (!shell_open(options, arena, &database, &err))
        return report_failure(options, &err);
    struct status_item *items = NULL;
    size_t count = 0;
    bool done = run_status(database.site.database, &database.set, NULL, arena, &items, &count, &err);
    shell_close(&database);
    if (!done)
        return report_failure(options, &err);
    if (options->json)
        print_json(database.site.target->name, items, count);
    else
        print_table(options, items, count);
    return 0;
}
