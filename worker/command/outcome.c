// Reads and shows what a worker says about a run. See outcome.h.
#include "command/outcome.h"
#include "base/clock.h"
#include <string.h>

const struct outcome outcome_unknown = {
    .state = "",
    .run = "",
    .target = "",
    .release = "",
    .served_by = "",
    .version = "",
    .error = "",
    .message = "",
    .file = "",
    .sqlstate = "",
    .detail = "",
    .hint = "",
    .remedy = "",
    .progress = "",
    .watched = "",
    .holder = "",
};

// ---- reading -----------------------------------------------------------------------------------------------------------

static const char *text_of(const struct json *object, const char *name, struct arena *arena) {
    struct view value = {0};
    return json_string(json_get(object, name), &value) ? arena_copy(arena, value.data, value.length) : "";
}

static int64_t number_of(const struct json *object, const char *name) {
    int64_t number = 0;
    return json_integer(json_get(object, name), 0, INT64_MAX, &number) ? number : 0;
}

static void read_items(const struct json *migrations, struct arena *arena, struct outcome *outcome) {
    size_t count = 0;
    for (const struct json *item = json_first(migrations); item; item = json_next(item))
        count++;
    struct outcome_item *items = arena_array(arena, count + 1, sizeof(*items));
    for (const struct json *item = json_first(migrations); item; item = json_next(item))
        items[outcome->count++] = (struct outcome_item){text_of(item, "version", arena), text_of(item, "file", arena),
                                                        number_of(item, "statements"), number_of(item, "ms")};
    outcome->items = items;
}

// The worker says which code it is; what to do about it stands in our own table when it does not say that too.
static const char *remedy_of(const char *error) {
    enum error_code code = error_by_name(error);
    return code < ERROR_COUNT ? error_remedy(code) : "";
}

// What the worker left to be worked out from the rest.
static void complete(struct outcome *outcome, const struct json *json, struct arena *arena) {
    int64_t started, finished;
    if (outcome->ms == 0 && clock_parse(text_of(json, "started_at", arena), &started) &&
        clock_parse(text_of(json, "finished_at", arena), &finished) && finished > started)
        outcome->ms = finished - started;
    for (size_t i = 0; i < outcome->count && strcmp(outcome->state, "applied") == 0; i++)
        if (*outcome->items[i].version && !json_get(json, "version"))
            outcome->version = outcome->items[i].version; // they come in the order of their application
    if (!*outcome->remedy)
        outcome->remedy = remedy_of(outcome->error);
    // As the session is named in the database: "pawl RUN 2/5 FILE".
    const char *name = strncmp(outcome->progress, "pawl ", 5) == 0 ? strchr(outcome->progress + 5, ' ') : NULL;
    outcome->progress = name ? name + 1 : outcome->progress;
}

bool outcome_read(const struct json *json, struct arena *arena, struct outcome *ret_outcome, struct error *err) {
    struct outcome outcome = outcome_unknown;
    const struct {
        const char *name, **place;
    } texts[] = {
        {"state", &outcome.state},       {"run", &outcome.run},         {"target", &outcome.target},
        {"release", &outcome.release},   {"version", &outcome.version}, {"served_by", &outcome.served_by},
        {"error", &outcome.error},       {"message", &outcome.message}, {"file", &outcome.file},
        {"sqlstate", &outcome.sqlstate}, {"detail", &outcome.detail},   {"hint", &outcome.hint},
        {"remedy", &outcome.remedy},     {"holder", &outcome.holder},   {"progress", &outcome.progress},
        {"watched", &outcome.watched},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i].place = text_of(json, texts[i].name, arena);
    if (!*outcome.state)
        return error_set(err, ERROR_WORKER_UNAVAILABLE, "the worker's answer does not say how the run stands");
    outcome.line = number_of(json, "line");
    outcome.statement = number_of(json, "statement");
    outcome.statements = number_of(json, "statements");
    outcome.pending = number_of(json, "pending");
    outcome.ms = number_of(json, "ms");
    read_items(json_get(json, "migrations"), arena, &outcome);
    complete(&outcome, json, arena);
    *ret_outcome = outcome;
    return true;
}

// A state that a newer worker may know is an end: what goes on has one of these three names.
bool outcome_is_final(const struct outcome *outcome) {
    return strcmp(outcome->state, "waiting") != 0 && strcmp(outcome->state, "running") != 0 &&
           strcmp(outcome->state, "retry") != 0;
}

bool outcome_is_failure(const struct outcome *outcome) {
    return outcome_is_final(outcome) && (strcmp(outcome->state, "failed") == 0 || *outcome->error);
}

// ---- showing -----------------------------------------------------------------------------------------------------------

static void append_place(const struct outcome *outcome, struct text *out) {
    if (*outcome->file)
        text_append(out, outcome->file);
    if (*outcome->file && outcome->line > 0)
        text_printf(out, ", line %lld", (long long)outcome->line);
    if (*outcome->file && outcome->statement > 0)
        text_printf(out, ", statement %lld", (long long)outcome->statement);
    if (*outcome->file && outcome->statement > 0 && outcome->statements > 0)
        text_printf(out, " of %lld", (long long)outcome->statements);
}

static void append_count(struct text *out, const char *before, int64_t count, const char *after) {
    text_printf(out, "%s%lld migration%s%s", before, (long long)count, count == 1 ? "" : "s", after);
}

void outcome_summary(const struct outcome *outcome, struct text *out) {
    int64_t pending = outcome->pending > 0 ? outcome->pending : (int64_t)outcome->count;
    if (!outcome_is_final(outcome))
        text_append(out, outcome->state);
    else if (outcome_is_failure(outcome))
        text_printf(out, "failed: %s", *outcome->message ? outcome->message : outcome->error);
    else if (strcmp(outcome->state, "applied") == 0)
        append_count(out, "applied ", (int64_t)outcome->count, "");
    else if (strcmp(outcome->state, "rolled_back") == 0)
        text_append(out, "rolled back");
    else if (strcmp(outcome->state, "planned") == 0)
        append_count(out, "", pending, " pending");
    else if (strcmp(outcome->state, "nothing_pending") == 0)
        text_append(out, "nothing pending");
    else if (strcmp(outcome->state, "superseded") == 0)
        text_append(out, "nothing pending: the database is ahead of these files");
    else
        text_append(out, outcome->state);
    if (strcmp(outcome->state, "applied") == 0 && outcome->ms > 0)
        text_printf(out, " in %lld ms", (long long)outcome->ms);
    if (*outcome->version && !outcome_is_failure(outcome))
        text_printf(out, "; the database is at version %s", outcome->version);
    if (*outcome->served_by)
        text_printf(out, "; served by release %s", outcome->served_by);
}

static int width_of(const struct outcome *outcome) {
    size_t width = 4;
    for (size_t i = 0; i < outcome->count; i++)
        width = strlen(outcome->items[i].file) > width ? strlen(outcome->items[i].file) : width;
    return width < 80 ? (int)width : 80;
}

static void print_line(struct terminal *terminal, const char *label, const char *value) {
    if (*value)
        terminal_print(terminal, TONE_PLAIN, "  %-7s %s", label, value);
}

static void print_failure(const struct outcome *outcome, struct terminal *terminal) {
    cleanup_text struct text place = TEXT(1024);
    append_place(outcome, &place);
    print_line(terminal, "at:", text_string(&place));
    print_line(terminal, "code:", outcome->error);
    print_line(terminal, "state:", outcome->sqlstate);
    print_line(terminal, "detail:", outcome->detail);
    print_line(terminal, "hint:", outcome->hint);
    if (*outcome->remedy)
        terminal_print(terminal, TONE_BOLD, "  %-7s %s", "to do:", outcome->remedy);
}

void outcome_print(const struct outcome *outcome, struct terminal *terminal) {
    cleanup_text struct text summary = TEXT(4096);
    int width = width_of(outcome);
    outcome_summary(outcome, &summary);
    if (outcome->count > 0)
        terminal_print(terminal, TONE_BOLD, "%-*s %10s %8s", width, "file", "statements", "ms");
    for (size_t i = 0; i < outcome->count; i++)
        terminal_print(terminal, TONE_PLAIN, "%-*s %10lld %8lld", width, outcome->items[i].file,
                       (long long)outcome->items[i].statements, (long long)outcome->items[i].ms);
    bool failed = outcome_is_failure(outcome);
    terminal_print(terminal,
                   failed                      ? TONE_BAD
                   : outcome_is_final(outcome) ? TONE_GOOD
                                               : TONE_WARN,
                   "%s", text_string(&summary));
    if (failed)
        print_failure(outcome, terminal);
}

// ---- Markdown ----------------------------------------------------------------------------------------------------------

static void append_escaped(struct text *out, const char *value) {
    char plain[2048]; // control characters become spaces: no line of ours ends where we did not end it
    text_copy(plain, sizeof(plain), view_of(value));
    for (const char *c = plain; *c; c++) {
        if (*c == '<')
            text_append(out, "&lt;");
        else if (*c == '&')
            text_append(out, "&amp;");
        else if (strchr("\\`*_[]{}()#|>~!", *c))
            text_printf(out, "\\%c", *c);
        else
            text_append_char(out, *c);
    }
}

static void append_row(struct text *out, const char *label, const char *value) {
    if (!*value)
        return;
    text_printf(out, "| %s | ", label);
    append_escaped(out, value);
    text_append(out, " |\n");
}

void outcome_markdown(const struct outcome *outcome, const char *message_id, const char *note, struct text *out) {
    cleanup_text struct text summary = TEXT(4096), place = TEXT(1024);
    outcome_summary(outcome, &summary);
    append_place(outcome, &place);
    text_append(out, "### pawl: ");
    append_escaped(out, *note ? note : text_string(&summary));
    text_append(out, "\n\n| | |\n| --- | --- |\n");
    append_row(out, "target", outcome->target);
    append_row(out, "release", outcome->release);
    append_row(out, "message", message_id);
    append_row(out, "state", *note ? outcome->state : "");
    append_row(out, "at", text_string(&place));
    append_row(out, "code", outcome->error);
    append_row(out, "SQLSTATE", outcome->sqlstate);
    append_row(out, "detail", outcome->detail);
    append_row(out, "hint", outcome->hint);
    append_row(out, "to do", outcome->remedy);
    if (outcome->count > 0)
        text_append(out, "\n| file | statements | ms |\n| --- | ---: | ---: |\n");
    for (size_t i = 0; i < outcome->count; i++) {
        text_append(out, "| ");
        append_escaped(out, outcome->items[i].file);
        text_printf(out, " | %lld | %lld |\n", (long long)outcome->items[i].statements,
                    (long long)outcome->items[i].ms);
    }
    text_append(out, "\n");
}
