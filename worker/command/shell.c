// One run from a shell. See shell.h.
#include "command/shell.h"
#include "base/clock.h"
#include "base/version.h"
#include "command/preview.h"
#include "command/report.h"
#include "command/shutdown.h"
#include "command/terminal.h"
#include "migrate/adopt.h"
#include <pwd.h>
#include <string.h>
#include <unistd.h>

struct shell {
    struct terminal terminal; // stderr: what goes on
    struct arena *arena;
    const struct migration **sent; // in the order in which they were sent to the server
    size_t sent_count, applied;    // the one at work is sent[applied]
    uint64_t wait_told_ms;         // see report_wait_due
    struct report_pace watched;    // of lines, where there is no bar
};

// Without --target (the option's default) a file of one target leaves no question.
static bool choose(const struct options *options, const struct targets *targets, const struct target **ret_target,
                   struct error *err) {
    *ret_target = targets_find(targets, options->target);
    if (!*ret_target && targets->count == 1 && strcmp(options->target, "default") == 0)
        *ret_target = targets->items;
    if (*ret_target)
        return true;
    cleanup_text struct text names = TEXT(1024);
    for (size_t i = 0; i < targets->count; i++)
        text_printf(&names, "%s%s", i ? ", " : "", targets->items[i].name);
    return error_set(err, ERROR_TARGET_UNKNOWN, "there is no target '%s' (--target) among: %s", options->target,
                     text_string(&names));
}

static bool open_site(const struct options *options, struct arena *arena, struct shell_database *database,
                      struct error *err) {
    const struct target *target = NULL;
    return site_targets(options, 0, &database->cloud, arena, &database->targets, err) &&
           choose(options, &database->targets, &target, err) &&
           site_open(options, target, 1, &database->cloud, &database->site, err) &&
           directory_read(target->migrations, arena, &database->set, err);
}

bool shell_open(const struct options *options, struct arena *arena, struct shell_database *database,
                struct error *err) {
    *database = (struct shell_database){.cloud.stop = &database->stop};
    if (!options->database_url && !options->targets)
        return error_set(err, ERROR_CONFIGURATION,
                         "DATABASE_URL is not set: the database to migrate, postgresql://user@host/name, say");
    bool done = open_site(options, arena, database, err);
    targets_forget(&database->targets);
    if (!done) {
        shell_close(database);
        return false;
    }
    if (database->set.count == 0) {
        struct terminal terminal = terminal_open(stderr, options->color);
        terminal_print(&terminal, TONE_WARN, "the folder %s holds no migrations", database->site.target->migrations);
    }
    return true;
}

void shell_close(struct shell_database *database) {
    site_close(&database->site);
    cloud_close(&database->cloud);
}

// On a terminal one line that lives; elsewhere the first time, and then ever more rarely.
static void show_waiting(struct shell *shell, const struct run_event *event) {
    if (!event->holder)
        return;
    if (shell->terminal.live) {
        terminal_draw(&shell->terminal, TONE_WARN, "waiting: %s", event->holder);
    } else if (report_wait_due(event->ms, &shell->wait_told_ms)) {
        terminal_print(&shell->terminal, TONE_WARN, "waiting: %s", event->holder);
    }
}

// What is sent ahead waits at the server; the bar names the one at work.
static void show_progress(struct shell *shell, const struct run_event *event) {
    if (shell->applied < shell->sent_count)
        terminal_progress(&shell->terminal, shell->applied, event->total, shell->sent[shell->applied]->file);
}

// The bar is the statement's own as long as it runs. Whoever has no bar hears of it ever more rarely.
static void show_watched(struct shell *shell, const struct run_event *event, const char *file) {
    cleanup_text struct text label = TEXT(2048);
    if (event->work_total > 0)
        text_printf(&label, "%u %% ", (unsigned)((double)event->work_done * 100 / (double)event->work_total));
    text_printf(&label, "%s%s%s", file, *file ? " " : "", event->text);
    if (shell->terminal.live && event->work_total > 0)
        terminal_progress(&shell->terminal, event->work_done, event->work_total, text_string(&label));
    else if (shell->terminal.live)
        terminal_draw(&shell->terminal, TONE_WARN, "%s", text_string(&label));
    else if (report_watch_due(event->ms, &shell->watched))
        terminal_print(&shell->terminal, TONE_PLAIN, "%s%s%s", file, *file ? " " : "", event->text);
}

static void note_sent(struct shell *shell, const struct run_event *event) {
    if (!shell->sent)
        shell->sent = arena_array(shell->arena, event->total, sizeof(*shell->sent));
    for (size_t i = shell->applied; i < shell->sent_count; i++)
        if (shell->sent[i] == event->migration)
            return; // sent again
    if (shell->sent_count < event->total)
        shell->sent[shell->sent_count++] = event->migration;
}

static void show_event(void *context, const struct run_event *event) {
    struct shell *shell = context;
    const char *file = event->migration ? event->migration->file : "";
    switch (event->kind) {
    case RUN_WAITING:
        show_waiting(shell, event);
        break;
    case RUN_STARTED:
        note_sent(shell, event);
        show_progress(shell, event);
        break;
    case RUN_PROGRESS:
        if (event->text)
            show_watched(shell, event, file);
        else
            show_progress(shell, event);
        break;
    case RUN_BATCHED:
        terminal_print(&shell->terminal, TONE_PLAIN, "%s: %s", file, event->text);
        break;
    case RUN_APPLIED:
    case RUN_ROLLED_BACK:
        shell->applied++;
        terminal_print(&shell->terminal, TONE_GOOD, "%s %s (%s)",
                       event->kind == RUN_APPLIED ? "applied" : "rolled back", file, report_time(event->ms).text);
        show_progress(shell, event);
        break;
    case RUN_RETRYING:
        terminal_print(&shell->terminal, TONE_WARN, "%s is tried again: %s", file, event->holder ? event->holder : "");
        break;
    case RUN_WATCHED:
        show_watched(shell, event, file);
        break;
    case RUN_LOCKED:
        break;
    }
}

// "shell-20261124-225310-8f3a2c": tells runs apart for people; uniqueness needs no more than that.
static char *run_id(struct arena *arena) {
    char now[32];
    clock_format(clock_unix_ms(), now); // 2026-02-26T19:13:55.749Z
    return arena_printf(arena, "shell-%.4s%.2s%.2s-%.2s%.2s%.2s-%06x", now, now + 5, now + 8, now + 11, now + 14,
                        now + 17, (unsigned)clock_random(1 << 24));
}

static char *who(struct arena *arena) {
    char host[128] = "", buffer[1024];
    struct passwd entry, *found = NULL;
    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    (void)getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found);
    return arena_printf(arena, "%s@%s", found ? found->pw_name : "unknown", host);
}

static void print_report(const struct options *options, const struct run_request *request,
                         const struct run_report *report) {
    cleanup_text struct text out = TEXT(16 << 20);
    if (options->json) {
        report_json(request, report, NULL, &out);
        (void)printf("%s\n", text_string(&out));
        return;
    }
    struct terminal terminal = terminal_open(stdout, options->color);
    for (size_t i = 0; i < report->count; i++) { // what was applied was told as it went
        if (request->plan_only)
            preview_text(&report->items[i], &terminal);
        else if (strcmp(report->items[i].state, "adopted") == 0)
            terminal_print(&terminal, TONE_PLAIN, "%s %s", report->items[i].state, report->items[i].file);
    }
    report_summary(report, &out);
    terminal_print(&terminal, TONE_BOLD, "%s", text_string(&out));
}

static void stop_run(void *context) {
    struct shell_database *database = context;
    atomic_store(&database->stop, true);
    run_control_stop(database->site.control);
}

static void cancel_run(void *context) {
    struct shell_database *database = context;
    run_control_cancel(database->site.control);
}

static bool execute(const struct options *options, const struct shell_run *wanted, struct run_request *request,
                    struct arena *arena, struct run_report *ret_report, struct error *err) {
    struct shell_database database;
    if (!shell_open(options, arena, &database, err))
        return false;
    const struct site *site = &database.site;
    request->target = site->target->name;
    request->lock_timeout_ms = (unsigned)site->target->lock_timeout_ms;
    shutdown_block();
    struct shutdown *shutdown = NULL;
    struct shutdown_steps steps = {.context = &database, .stop = stop_run, .cancel = cancel_run};
    bool done = shutdown_watch(&steps, &shutdown, err);
    if (done) {
        struct shell shell = {.terminal = terminal_open(stderr, options->color), .arena = arena};
        struct run_observer observer = {.event = show_event, .context = &shell};
        done = wanted->baseline ? adopt_execute(site->database, &database.set, wanted->baseline, request, &observer,
                                                site->control, arena, ret_report, err)
                                : run_execute(site->database, &database.set, request, &observer, site->control, arena,
                                              ret_report, err);
        terminal_clear(&shell.terminal);
        (void)shutdown_end(shutdown);
    }
    shell_close(&database);
    return done;
}

void shell_identify(struct run_request *request, struct arena *arena) {
    request->id = run_id(arena);
    request->publisher = who(arena);
    request->worker = version_text;
}

int shell_execute(const struct options *options, const struct shell_run *wanted, struct arena *arena) {
    struct run_request request = {
        .release = wanted->release,
        .reason = wanted->reason,
        .to = wanted->to,
        .plan_only = wanted->plan_only,
        .out_of_order = wanted->out_of_order,
        .allow_out_of_order = true, // whoever has the database's password
        .rollback = wanted->rollback,
        .steps = wanted->steps,
        .allow_rollback = options->allow_rollback,
        .lock_wait_ms = (unsigned)wanted->lock_wait_ms,
        .session_pooler = wanted->session_pooler,
    };
    struct run_report report;
    struct error err = {0};
    shell_identify(&request, arena);
    if (!execute(options, wanted, &request, arena, &report, &err))
        return report_failure(options, &err);
    print_report(options, &request, &report);
    return 0;
}
