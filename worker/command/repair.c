// `pawl repair`: tells the ledger what only a human can know. What each repair may touch is migrate/repair.c's business.
#include "migrate/repair.h"
#include "base/json.h"
#include "command/command.h"
#include "command/report.h"
#include "command/shell.h"
#include <stdio.h>
#include <string.h>

static bool choose(const struct options *options, enum repair_action *ret_action, struct error *err) {
    const struct {
        bool wanted;
        enum repair_action action;
    } choices[] = {{options->done, REPAIR_DONE},
                   {options->again, REPAIR_AGAIN},
                   {options->accept, REPAIR_ACCEPT},
                   {options->forget, REPAIR_FORGET}};
    size_t chosen = 0;
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
        if (choices[i].wanted) {
            *ret_action = choices[i].action;
            chosen++;
        }
    return chosen == 1 || error_set(err, ERROR_USAGE, "say one of --done, --again, --accept and --forget");
}

static void print_done(const struct options *options, enum repair_action action, const char *file) {
    static const char *const words[] = {
        [REPAIR_DONE] = "counts as done",
        [REPAIR_AGAIN] = "will be sent again",
        [REPAIR_ACCEPT] = "is accepted as it is now",
        [REPAIR_FORGET] = "is forgotten",
    };
    if (options->json) {
        cleanup_text struct text out = TEXT(4096);
        struct json_writer writer = JSON_WRITER(&out);
        json_begin_object(&writer, NULL);
        json_put_string(&writer, "status", "repaired");
        json_put_string(&writer, "file", file);
        json_put_string(&writer, "what", words[action]);
        json_end_object(&writer);
        (void)printf("%s\n", text_string(&out));
        return;
    }
    struct terminal terminal = terminal_open(stdout, options->color);
    bool about_statement = action == REPAIR_DONE || action == REPAIR_AGAIN;
    terminal_print(&terminal, TONE_BOLD, "%s%s %s", about_statement ? "the statement of " : "", file, words[action]);
}

int command_repair(const struct options *options, struct arena *arena) {
    struct error err = {0};
    struct shell_database database;
    struct run_request run = {.lock_wait_ms = (unsigned)options->lock_wait,
                              .session_pooler = strcmp(options->pooler, "session") == 0};
    struct repair_request request = {.file = options->operands[0], .run = &run};
    if (!choose(options, &request.action, &err) || !shell_open(options, arena, &database, &err))
        return report_failure(options, &err);
    const char *file = NULL;
    shell_identify(&run, arena);
    bool done = repair_execute(database.site.database, &database.set, &request, NULL, NULL, arena, &file, &err);
    shell_close(&database);
    if (!done)
        return report_failure(options, &err);
    print_done(options, request.action, file);
    return 0;
}
