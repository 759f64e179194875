// Finds the command that the first argument names, reads its options and runs it. The one table of commands is here; what they do is
// in command/.
#include "base/arena.h"
#include "base/version.h"
#include "command/command.h"
#include "command/report.h"
#include "options.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command {
    const char *name;
    unsigned bit;
    int (*run)(const struct options *options, struct arena *arena);
    const char *operands, *summary, *text;
    size_t operands_least, operands_most;
} commands[] = {
    {"serve", COMMAND_SERVE, command_serve, "", "answer Pub/Sub pushes: verify, migrate, report",
     "Listens for Pub/Sub push messages, verifies their signed OIDC token and brings the database to its newest\n"
     "migration. Ends on SIGTERM: no new run starts, the one at work may finish within --grace.",
     0, 0},
    {"migrate", COMMAND_MIGRATE, command_migrate, "", "bring the database to its newest migration",
     "Applies what is pending, in order, under the lock; waits for a run that is already at work.", 0, 0},
    {"plan", COMMAND_PLAN, command_plan, "", "show what `migrate` would do; touches nothing",
     "Compares the files with the ledger and lists what is pending, without taking the lock or changing anything.", 0,
     0},
    {"status", COMMAND_STATUS, command_status, "", "show what is applied and what is pending",
     "Lists every migration of the ledger and of the folder with its state.", 0, 0},
    {"adopt", COMMAND_ADOPT, command_adopt, "", "begin with a database that has its schema already",
     "Records every versioned file up to --baseline as applied, as it is now, and runs nothing. What the ledger has\n"
     "already must agree. Repeatable files are left to the next `migrate`, which applies them.",
     0, 0},
    {"rollback", COMMAND_ROLLBACK, command_rollback, "", "take back the newest migrations by their down files",
     "Runs VERSION_name.down.sql of the newest --steps versions (1 when left out), or of all above --to, newest "
     "first:\n"
     "each in one transaction with the end of its row in the ledger. Needs --allow-rollback.",
     0, 0},
    {"lint", COMMAND_LINT, command_lint, " [FILE...]", "find what can hurt a database that is in use",
     "Reads the files, or the whole folder, without a database, and names each hazard with the safe way.\n"
     "`-- pawl: allow HAZARD reason` before a statement says that it is meant. Exit code 1 from --level on.",
     0, SIZE_MAX},
    {"repair", COMMAND_REPAIR, command_repair, " FILE", "tell the ledger what only a human can know",
     "Takes the lock and mends the row of FILE (or of a version): --done or --again answer the question that a "
     "statement\n"
     "which was cut off leaves, --accept takes a changed file as it is now, --forget drops a file that is gone.",
     1, 1},
    {"new", COMMAND_NEW, command_new, " NAME", "make the next migration file",
     "Creates the next file in the folder: numbered like its neighbours, or by the time when they are.", 1, 1},
    {"publish", COMMAND_PUBLISH, command_publish, "", "send a request to the worker; with --wait follow it to its end",
     "Publishes one message and prints its id. With --wait the worker at --url is asked until the run has ended or "
     "the\n"
     "time is over; then the exit code says what came of it. Appends to $GITHUB_STEP_SUMMARY when that is set.",
     0, 0},
    {"replay", COMMAND_REPLAY, command_replay, "",
     "show what is parked in a dead-letter subscription, and send it back",
     "Lists the parked messages; those chosen are published to --topic again and only then acknowledged, the others "
     "are\n"
     "given back. May be interrupted and run again at any point: what applied already is not applied twice. With\n"
     "--drop the chosen are acknowledged and not published.",
     0, 0},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print(FILE *stream, const struct text *text) {
    (void)fputs(text_string(text), stream); // to a closed terminal: nothing to be done
}

static int print_overview(FILE *stream, int code) {
    cleanup_text struct text out = TEXT(8192);
    text_append(&out, "pawl brings a PostgreSQL database to its newest migration: under a lock, exactly once, whatever "
                      "happens.\n\nusage: pawl COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        text_printf(&out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    text_append(&out,
                "  help       this text; `help COMMAND`, `help options`, `help errors`, `help hazards`, `help CODE`,\n"
                "             `help HAZARD`, `help --FLAG` or `help VARIABLE` for more\n"
                "  version    the version of this binary\n\n"
                "exit codes: 0 done, 1 failed, 2 wrong usage, 3 try again later\n");
    print(stream, &out);
    return code;
}

static int print_command(const struct command *command) {
    cleanup_text struct text out = TEXT(16384);
    text_printf(&out, "usage: pawl %s [OPTION...]%s\n\n%s\n\n", command->name, command->operands, command->text);
    options_help(command->bit, &out);
    text_append(&out, "\nexit codes: 0 done, 1 failed, 2 wrong usage, 3 try again later\n");
    print(stdout, &out);
    return 0;
}

static int print_help(const char *topic) {
    if (!topic)
        return print_overview(stdout, 0);
    cleanup_text struct text out = TEXT(65536);
    const struct command *command = find_command(topic);
    enum hazard hazard;
    if (command)
        return print_command(command);
    if (strcmp(topic, "options") == 0) {
        options_table(&out);
    } else if (strcmp(topic, "errors") == 0) {
        report_error_table(&out);
    } else if (strcmp(topic, "hazards") == 0) {
        report_hazard_table(&out);
    } else if (error_by_name(topic) < ERROR_COUNT) {
        report_error_help(error_by_name(topic), &out);
    } else if (hazard_find(view_of(topic), &hazard)) {
        report_hazard_help(hazard, &out);
    } else if (!options_topic(topic, &out)) {
        (void)fprintf(stderr, "pawl: there is no help on '%s'; `pawl help` says on what there is\n", topic);
        return 2;
    }
    print(stdout, &out);
    return 0;
}

static bool wants_json(char *const arguments[]) {
    for (size_t i = 0; arguments[i] && strcmp(arguments[i], "--") != 0; i++)
        if (strcmp(arguments[i], "--json") == 0)
            return true;
    return false;
}

static int run_command(const struct command *command, char *const arguments[]) {
    cleanup_arena struct arena *arena = arena_new();
    struct options options;
    struct error err = {0};
    bool fine = options_read(command->bit, arguments, arena, &options, &err);
    if (fine && options.help)
        return print_command(command);
    if (fine && (options.operand_count < command->operands_least || options.operand_count > command->operands_most))
        fine = error_set(&err, ERROR_USAGE, "%s takes %s%s, not %zu", command->name,
                         command->operands_most == 0 ? "no argument" : "one argument (quote it):", command->operands,
                         options.operand_count);
    if (fine)
        return command->run(&options, arena);
    return report_failure(&(struct options){.json = wants_json(arguments), .color = "auto"}, &err);
}

// Where one of the three is closed, the next socket would take its number, and what we print would go to the database. An image that holds
// nothing but this binary may lack /dev/null: it is opened only where there is something to fill.
static bool hold_standard_files(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

// What was promised on standard output must have got there: a full disk or a closed pipe is a failure.
static int finish(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    (void)fputs("pawl: cannot write to standard output\n", stderr);
    return code == 0 ? 1 : code;
}

static int dispatch(int argc, char *argv[]) {
    if (argc < 2)
        return print_overview(stderr, 2);
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return print_help(argv[2]);
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0)
        return printf("pawl %s\n", version_text) < 0;
    const struct command *command = find_command(name);
    if (!command) {
        (void)fprintf(stderr, "pawl: there is no command '%s'\n\n", name);
        return print_overview(stderr, 2);
    }
    return run_command(command, argv + 2);
}

int main(int argc, char *argv[]) {
    return hold_standard_files() ? finish(dispatch(argc, argv)) : 1;
}
