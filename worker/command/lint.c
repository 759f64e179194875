// `pawl lint [FILE...]`: what in these files can hurt a database that is in use. Needs no database. Without FILE it reads the whole folder.
// Finding the hazards is script/hazard's business; this prints them, for people, as JSON, or as GitHub's annotations.
#include "base/json.h"
#include "command/command.h"
#include "command/report.h"
#include "command/terminal.h"
#include "script/hazard.h"
#include "source/directory.h"
#include "source/file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 128 << 20, OUT_MAX = 64 << 20 };

struct lint {
    const struct options *options;
    struct terminal terminal;
    struct text json;
    struct json_writer writer;
    enum hazard_level least;      // that makes the exit code 1
    size_t files, found, failing; // findings, and those of at least that level; what was allowed is in neither
};

// ---- reading -------------------------------------------------------------------------------------------------------------

static bool read_script(int folder, const char *name, const char *shown, struct arena *arena, struct script *ret_script,
                        struct error *err) {
    struct file_facts facts;
    if (!file_read(folder, name, FILE_MAX, NULL, 0, &facts, err))
        return false;
    char *text = arena_alloc(arena, (size_t)facts.size + 1);
    if (!file_read(folder, name, FILE_MAX, text, (size_t)facts.size, &facts, err))
        return false;
    return script_parse(shown, (struct view){text, (size_t)facts.size}, arena, ret_script, err);
}

static bool open_script(const char *path, struct arena *arena, struct script *ret_script, struct error *err) {
    const char *slash = strrchr(path, '/');
    const char *folder = slash ? arena_copy(arena, path, (size_t)(slash - path) + 1) : ".";
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_SOURCE_UNREADABLE, "cannot open the folder %s: %s", folder, strerror(errno));
    bool done = read_script(fd, slash ? slash + 1 : path, path, arena, ret_script, err);
    (void)close(fd);
    return done;
}

// ---- printing ------------------------------------------------------------------------------------------------------------

static void print_text(struct lint *lint, const char *path, const struct finding *finding,
                       const struct hazard_row *row) {
    terminal_print(&lint->terminal, report_hazard_tone(row->level), "%s:%u: %s: %s%s%s%s", path, finding->line,
                   hazard_level_name(row->level), row->name, finding->subject ? ": " : "",
                   finding->subject ? finding->subject : "", finding->statement->batch ? ", in a batch" : "");
    terminal_print(&lint->terminal, TONE_PLAIN, "  %s", row->why);
    terminal_print(&lint->terminal, TONE_PLAIN, "  instead: %s", row->instead);
}

static void put_json(struct lint *lint, const char *path, const struct finding *finding, const struct hazard_row *row) {
    json_begin_object(&lint->writer, NULL);
    json_put_string(&lint->writer, "file", path);
    json_put_integer(&lint->writer, "line", finding->line);
    json_put_string(&lint->writer, "hazard", row->name);
    json_put_string(&lint->writer, "level", hazard_level_name(row->level));
    json_put_string(&lint->writer, "subject", finding->subject);
    json_put_string(&lint->writer, "why", row->why);
    json_put_string(&lint->writer, "instead", row->instead);
    json_put_boolean(&lint->writer, "batch", finding->statement->batch != NULL);
    json_put_boolean(&lint->writer, "allowed", finding->waiver != NULL);
    if (finding->waiver)
        json_put_view(&lint->writer, "reason", finding->waiver->reason);
    json_end_object(&lint->writer);
}

// GitHub's workflow commands: %, CR and LF are escaped in texts, and , and : in properties too.
static void append_escaped(struct text *out, const char *string, bool property) {
    for (; *string; string++) {
        bool special =
            *string == '%' || *string == '\r' || *string == '\n' || (property && (*string == ',' || *string == ':'));
        if (special)
            text_printf(out, "%%%02X", (unsigned char)*string);
        else
            text_append_char(out, *string);
    }
}

static void begin_annotation(const char *command, const char *path, unsigned line, const char *title,
                             struct text *out) {
    text_printf(out, "::%s file=", command);
    append_escaped(out, path, true);
    text_printf(out, ",line=%u,title=", line);
    append_escaped(out, title, true);
    text_append(out, "::");
}

static void print_annotation(const char *path, const struct finding *finding, const struct hazard_row *row) {
    static const char *const commands[] = {"notice", "warning", "error"};
    cleanup_text struct text line = TEXT(8192);
    begin_annotation(commands[row->level], path, finding->line, row->name, &line);
    append_escaped(&line, row->why, false);
    text_append(&line, "%0AInstead: ");
    append_escaped(&line, row->instead, false);
    (void)printf("%s\n", text_string(&line));
}

// A file that no run would take.
static void print_refusal(const struct error *err) {
    cleanup_text struct text line = TEXT(8192);
    begin_annotation("error", err->file, err->line ? err->line : 1, error_name(err->code), &line);
    append_escaped(&line, err->message, false);
    (void)printf("%s\n", text_string(&line));
}

static void show(struct lint *lint, const char *path, const struct finding *finding) {
    const struct hazard_row *row = hazard_row(finding->hazard);
    if (!finding->waiver) {
        lint->found++;
        lint->failing += row->level >= lint->least;
    }
    if (lint->options->json)
        put_json(lint, path, finding, row);
    else if (lint->options->github && !finding->waiver)
        print_annotation(path, finding, row);
    else if (!finding->waiver)
        print_text(lint, path, finding, row);
}

// ---- the way -------------------------------------------------------------------------------------------------------------

// One file in an arena of its own: memory does not grow with their number.
static bool lint_file(struct lint *lint, const char *path, struct error *err) {
    cleanup_arena struct arena *arena = arena_new();
    struct script script;
    struct findings findings = {0};
    if (!open_script(path, arena, &script, err))
        return false;
    hazard_lint(&script, arena, &findings);
    for (size_t i = 0; i < findings.count; i++)
        show(lint, path, &findings.items[i]);
    lint->files++;
    return true;
}

static bool lint_folder(struct lint *lint, struct arena *arena, struct error *err) {
    const char *folder = lint->options->migrations;
    struct migration_set set;
    if (!directory_read(folder, arena, &set, err))
        return false;
    for (size_t i = 0; i < set.count; i++)
        if (!lint_file(lint, arena_printf(arena, "%s/%s", folder, set.items[i].file), err))
            return false;
    return true;
}

static bool lint_all(struct lint *lint, struct arena *arena, struct error *err) {
    if (lint->options->operand_count == 0)
        return lint_folder(lint, arena, err);
    for (size_t i = 0; i < lint->options->operand_count; i++)
        if (!lint_file(lint, lint->options->operands[i], err))
            return false;
    return true;
}

static void conclude(struct lint *lint) {
    if (lint->options->json) {
        json_end_array(&lint->writer);
        json_put_integer(&lint->writer, "files", (int64_t)lint->files);
        json_put_integer(&lint->writer, "found", (int64_t)lint->found);
        json_end_object(&lint->writer);
        (void)printf("%s\n", text_string(&lint->json));
    } else if (!lint->options->github) {
        terminal_print(&lint->terminal, TONE_BOLD, "%zu file%s, %zu finding%s", lint->files,
                       lint->files == 1 ? "" : "s", lint->found, lint->found == 1 ? "" : "s");
    }
}

int command_lint(const struct options *options, struct arena *arena) {
    struct lint lint = {.options = options, .terminal = terminal_open(stdout, options->color), .json = TEXT(OUT_MAX)};
    struct error err = {0};
    while (strcmp(hazard_level_name(lint.least), options->level) != 0)
        lint.least++;
    lint.writer = JSON_WRITER(&lint.json);
    json_begin_object(&lint.writer, NULL);
    json_begin_array(&lint.writer, "findings");
    bool done = lint_all(&lint, arena, &err);
    if (done)
        conclude(&lint);
    text_done(&lint.json);
    if (!done && options->github && *err.file)
        print_refusal(&err);
    if (!done)
        return report_failure(options, &err);
    return lint.failing > 0;
}
