// `pawl status`: every migration of the folder and of the ledger, with its state. Exit code 0 whatever the states are.
#include "command/command.h"
#include "command/report.h"
#include "command/shell.h"
#include "command/terminal.h"
#include <string.h>

static void print_json(const struct options *options, const struct status_item *items, size_t count) {
    cleanup_text struct text out = TEXT(64 << 20);
    struct json_writer writer = JSON_WRITER(&out);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "target", options->target);
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
    for (size_t i = 0; i < count; i++) {
        const char *name = items[i].file ? items[i].file : items[i].name;
        width = strlen(name) > width ? strlen(name) : width;
    }
    return width < 80 ? (int)width : 80;
}

static void print_table(const struct options *options, const struct status_item *items, size_t count) {
    struct terminal terminal = terminal_open(stdout, options->color);
    int width = width_of(items, count);
    size_t applied = 0, pending = 0;
    terminal_print(&terminal, TONE_BOLD, "%-12s %-*s %s", "state", width, "file", "applied at");
    for (size_t i = 0; i < count; i++) {
        applied += items[i].applied_at != NULL;
        pending += strcmp(items[i].state, "pending") == 0;
        terminal_print(&terminal, tone_of(items[i].state), "%-12s %-*s %s", items[i].state, width,
                       items[i].file ? items[i].file : items[i].name, items[i].applied_at ? items[i].applied_at : "");
    }
    terminal_print(&terminal, TONE_BOLD, "%zu applied, %zu pending", applied, pending);
}

int command_status(const struct options *options, struct arena *arena) {
    struct error err = {0};
    struct migration_set set;
    if (!shell_need_database(options, &err) || !directory_read(options->migrations, arena, &set, &err))
        return report_failure(options, &err);
    struct run_database *database = run_database_new(options->database_url);
    struct status_item *items = NULL;
    size_t count = 0;
    bool done = run_status(database, &set, NULL, arena, &items, &count, &err);
    run_database_free(database);
    if (!done)
        return report_failure(options, &err);
    if (options->json)
        print_json(options, items, count);
    else
        print_table(options, items, count);
    return 0;
}
