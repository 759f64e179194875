// Turns run reports and errors into JSON and text. See report.h.
#include "command/report.h"
#include "command/preview.h"
#include <string.h>

enum { WAIT_FIRST_MS = 5000 };

static void put_optional(struct json_writer *writer, const char *name, const char *value) {
    if (value && *value)
        json_put_string(writer, name, value);
}

static void put_request(struct json_writer *writer, const struct run_request *request) {
    if (!request)
        return;
    put_optional(writer, "run", request->id);
    put_optional(writer, "target", request->target);
    put_optional(writer, "release", request->release);
}

enum { ITEM_MAX = 1 << 20, TAIL_MAX = 1024 }; // bytes: of one migration; kept free for what follows the list

static void put_item(struct json_writer *writer, const struct run_item *item) {
    json_begin_object(writer, NULL);
    if (!item->repeatable)
        json_put_string(writer, "version", item->version);
    json_put_string(writer, "name", item->name);
    json_put_string(writer, "file", item->file);
    json_put_integer(writer, "statements", (int64_t)item->statements);
    json_put_integer(writer, "ms", (int64_t)item->ms);
    if (item->forecast)
        preview_json(item->forecast, writer);
    json_end_object(writer);
}

// As many as there is room for: what is left out is counted, and the object stays whole.
static void put_items(struct json_writer *writer, const struct run_report *report) {
    cleanup_text struct text item = TEXT(ITEM_MAX);
    size_t shown = 0;
    json_begin_array(writer, "migrations");
    for (; shown < report->count; shown++) {
        struct json_writer one = JSON_WRITER(&item);
        text_clear(&item);
        put_item(&one, &report->items[shown]);
        if (item.full || writer->out->length + item.length + TAIL_MAX > writer->out->max)
            break;
        json_put_raw(writer, NULL, text_string(&item));
    }
    json_end_array(writer);
    if (shown < report->count)
        json_put_integer(writer, "left_out", (int64_t)(report->count - shown));
}

const char *report_counted(const char *state) {
    bool own = strcmp(state, "adopted") == 0 || strcmp(state, "rolled_back") == 0;
    return strcmp(state, "planned") == 0 ? "pending" : own ? state : "applied";
}

void report_json(const struct run_request *request, const struct run_report *report, const char *served_by,
                 struct text *out) {
    struct json_writer writer = JSON_WRITER(out);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "status", report->state);
    put_request(&writer, request);
    put_optional(&writer, "served_by", served_by);
    json_put_integer(&writer, report_counted(report->state), (int64_t)report->count);
    json_put_string(&writer, "version", report->version);
    put_optional(&writer, "digest", report->digest);
    put_items(&writer, report);
    json_put_integer(&writer, "ms", (int64_t)report->ms);
    json_put_integer(&writer, "round_trips", (int64_t)report->round_trips);
    json_end_object(&writer);
}

void report_status_item(struct json_writer *writer, const struct status_item *item) {
    json_begin_object(writer, NULL);
    if (!item->repeatable)
        json_put_string(writer, "version", item->version);
    json_put_string(writer, "name", item->name);
    json_put_string(writer, "file", item->file);
    json_put_string(writer, "state", item->state);
    json_put_string(writer, "applied_at", item->applied_at);
    json_put_string(writer, "run", item->run);
    json_end_object(writer);
}

void report_error_json(const struct run_request *request, const struct error *err, const char *parked,
                       struct text *out) {
    struct json_writer writer = JSON_WRITER(out);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "status", error_class(err->code) == CLASS_RETRY ? "retry" : "failed");
    put_request(&writer, request);
    json_put_string(&writer, "error", error_name(err->code));
    json_put_string(&writer, "message", err->message);
    put_optional(&writer, "file", err->file);
    if (err->line)
        json_put_integer(&writer, "line", err->line);
    if (err->statement) {
        json_put_integer(&writer, "statement", err->statement);
        json_put_integer(&writer, "statements", err->statements);
    }
    put_optional(&writer, "sqlstate", err->sqlstate);
    put_optional(&writer, "detail", err->detail);
    put_optional(&writer, "hint", err->hint);
    json_put_string(&writer, "remedy", error_remedy(err->code));
    put_optional(&writer, "parked", parked);
    json_end_object(&writer);
}

void report_failure_text(struct terminal *terminal, const struct error *err) {
    terminal_print(terminal, TONE_BAD, "pawl: %s", err->message);
    if (err->file[0] && err->statement)
        terminal_print(terminal, TONE_PLAIN, "  at:     %s, line %u, statement %u of %u", err->file, err->line,
                       err->statement, err->statements);
    else if (err->file[0] && err->line)
        terminal_print(terminal, TONE_PLAIN, "  at:     %s, line %u", err->file, err->line);
    if (err->sqlstate[0])
        terminal_print(terminal, TONE_PLAIN, "  code:   %s (SQLSTATE %s)", error_name(err->code), err->sqlstate);
    else
        terminal_print(terminal, TONE_PLAIN, "  code:   %s", error_name(err->code));
    if (err->detail[0])
        terminal_print(terminal, TONE_PLAIN, "  detail: %s", err->detail);
    if (err->hint[0])
        terminal_print(terminal, TONE_PLAIN, "  hint:   %s", err->hint);
    terminal_print(terminal, TONE_BOLD, "  to do:  %s", error_remedy(err->code));
    if (error_class(err->code) == CLASS_RETRY)
        terminal_print(terminal, TONE_BOLD, "  then:   Run it again; it goes on where it stopped.");
}

int report_failure(const struct options *options, const struct error *err) {
    if (options->json) {
        cleanup_text struct text out = TEXT(16384);
        report_error_json(NULL, err, NULL, &out);
        (void)printf("%s\n", text_string(&out)); // a closed stdout must not hide the exit code
    } else {
        struct terminal terminal = terminal_open(stderr, options->color);
        report_failure_text(&terminal, err);
    }
    return error_exit_code(err->code);
}

static const char *class_name(enum error_class class) {
    switch (class) {
    case CLASS_DONE:
        return "done";
    case CLASS_USAGE:
        return "usage";
    case CLASS_REFUSED:
        return "refused";
    case CLASS_RETRY:
        return "retry";
    case CLASS_PERMANENT:
        return "permanent";
    }
    return "";
}

void report_error_table(struct text *out) {
    text_append(out, "| code | class | HTTP | exit | meaning | what to do |\n| --- | --- | --- | --- | --- | --- |\n");
    for (enum error_code code = ERROR_NONE + 1; code < ERROR_COUNT; code++)
        text_printf(out, "| `%s` | %s | %d | %d | %s | %s |\n", error_name(code), class_name(error_class(code)),
                    error_http_status(code), error_exit_code(code), error_meaning(code), error_remedy(code));
}

void report_error_help(enum error_code code, struct text *out) {
    text_printf(out, "%s: %s\n  to do:  %s\n  class:  %s; HTTP %d, exit code %d\n", error_name(code),
                error_meaning(code), error_remedy(code), class_name(error_class(code)), error_http_status(code),
                error_exit_code(code));
}

bool report_wait_due(uint64_t waited_ms, uint64_t *told_ms) {
    if (*told_ms != 0 && waited_ms < *told_ms * 2)
        return false;
    *told_ms = waited_ms > WAIT_FIRST_MS ? waited_ms : WAIT_FIRST_MS;
    return true;
}

bool report_watch_due(uint64_t ms, struct report_pace *pace) {
    if (ms < pace->last_ms)
        pace->told_ms = 0;
    pace->last_ms = ms;
    return report_wait_due(ms, &pace->told_ms);
}

struct report_time report_time(uint64_t ms) {
    struct report_time time;
    unsigned long long number = ms;
    if (number < 10000)
        (void)snprintf(time.text, sizeof(time.text), "%llu ms", number);
    else if (number < 120000)
        (void)snprintf(time.text, sizeof(time.text), "%llu.%llu s", number / 1000, number / 100 % 10);
    else
        (void)snprintf(time.text, sizeof(time.text), "%llu min %llu s", number / 60000, number / 1000 % 60);
    return time;
}

void report_summary(const struct run_report *report, struct text *out) {
    const char *plural = report->count == 1 ? "" : "s";
    if (strcmp(report->state, "applied") == 0)
        text_printf(out, "applied %zu migration%s in %s", report->count, plural, report_time(report->ms).text);
    else if (strcmp(report->state, "planned") == 0 && report->count > 0)
        text_printf(out, "%zu migration%s pending", report->count, plural);
    else if (strcmp(report->state, "adopted") == 0)
        text_printf(out, "adopted %zu migration%s, none was run", report->count, plural);
    else if (strcmp(report->state, "rolled_back") == 0 && report->count > 0)
        text_printf(out, "rolled back %zu migration%s in %s", report->count, plural, report_time(report->ms).text);
    else if (strcmp(report->state, "rolled_back") == 0)
        text_append(out, "nothing to roll back");
    else if (strcmp(report->state, "superseded") == 0)
        text_append(out, "nothing pending: the database is ahead of these files");
    else
        text_append(out, "nothing pending");
    if (report->version)
        text_printf(out, "; the database is at version %s", report->version);
}

enum tone report_hazard_tone(enum hazard_level level) {
    return level == HAZARD_ADVICE ? TONE_DIM : level == HAZARD_WARNING ? TONE_WARN : TONE_BAD;
}

void report_hazard_table(struct text *out) {
    text_append(out, "| hazard | level | why | the safe way | known elsewhere as |\n| --- | --- | --- | --- | --- |\n");
    for (enum hazard hazard = 0; hazard < HAZARD_COUNT; hazard++) {
        const struct hazard_row *row = hazard_row(hazard);
        text_printf(out, "| `%s` | %s | %s | %s | %s |\n", row->name, hazard_level_name(row->level), row->why,
                    row->instead, row->sources);
    }
}

void report_hazard_help(enum hazard hazard, struct text *out) {
    const struct hazard_row *row = hazard_row(hazard);
    text_printf(out, "%s (%s): %s\n  instead:  %s\n  meant:    -- pawl: allow %s REASON\n  known as: %s\n", row->name,
                hazard_level_name(row->level), row->why, row->instead, row->name, row->sources);
}
