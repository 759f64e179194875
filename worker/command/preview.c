// Forecasts for people and for programs.
#include "command/preview.h"

#include "command/report.h"
#include "migrate/forecast.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER = 24 };

// ---- words -------------------------------------------------------------------------------------------------------------

struct preview_number preview_bytes(int64_t bytes) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
    struct preview_number number;
    size_t unit = 0;
    int64_t tenths = bytes < INT64_MAX / 10 ? bytes * 10 : INT64_MAX;
    for (; tenths >= 10240 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        tenths /= 1024;
    if (unit == 0 || tenths >= 100)
        (void)snprintf(number.text, sizeof(number.text), "%" PRId64 " %s", tenths / 10, units[unit]);
    else
        (void)snprintf(number.text, sizeof(number.text), "%" PRId64 ".%" PRId64 " %s", tenths / 10, tenths % 10,
                       units[unit]);
    return number;
}

struct preview_number preview_count(int64_t count) {
    char digits[NUMBER];
    int length = snprintf(digits, sizeof(digits), "%" PRId64, count);
    struct preview_number number = {{0}};
    for (int i = 0, out = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            number.text[out++] = ',';
        number.text[out++] = digits[i];
    }
    return number;
}

static const char *blocks(enum lock_mode mode) {
    return lock_blocks_reads(mode) ? "reads and writes" : lock_blocks_writes(mode) ? "writes" : NULL;
}

static const char *work_words(enum action_work work) {
    switch (work) {
    case WORK_NONE:
        return "";
    case WORK_SCAN:
        return "; reads all of it meanwhile";
    case WORK_BUILD:
        return " for as long as that takes";
    case WORK_REWRITE:
        return "; writes all of it anew meanwhile";
    }
    return "";
}

// ---- text --------------------------------------------------------------------------------------------------------------

static void append_relation(const struct forecast_relation *relation, struct text *out) {
    text_append(out, relation->name);
    if (relation->presence == FORECAST_ABSENT)
        text_append(out, " (not in the database yet)");
    else if (relation->presence == FORECAST_UNKNOWN)
        text_append(out, " (size not known)");
    else if (relation->bytes >= 0 && relation->rows >= 0)
        text_printf(out, " (%s, about %s row%s)", preview_bytes(relation->bytes).text,
                    preview_count(relation->rows).text, relation->rows == 1 ? "" : "s");
}

static void print_effect(const struct forecast_effect *effect, struct terminal *terminal) {
    cleanup_text struct text line = TEXT(1024);
    const struct forecast_relation *relation = effect->relation;
    bool absent = relation && relation->presence == FORECAST_ABSENT, held = effect->mode != MODE_NONE && !absent;
    if (relation) {
        append_relation(relation, &line);
        text_append(&line, ": ");
    }
    text_append(&line, action_words(effect->kind));
    terminal_wrap(terminal, absent ? TONE_DIM : TONE_PLAIN, 4, 6, text_string(&line));
    if (!held)
        return;
    text_clear(&line);
    const char *blocked = blocks(effect->mode);
    text_printf(&line, "%s lock, blocks %s%s", lock_mode_name(effect->mode),
                blocked ? blocked : "neither reads nor writes", work_words(effect->work));
    enum tone tone = !blocked ? TONE_DIM : effect->work == WORK_NONE ? TONE_PLAIN : TONE_WARN;
    terminal_wrap(terminal, tone, 6, 8, text_string(&line));
}

static void print_hazard(const struct forecast_hazard *hazard, struct terminal *terminal) {
    const struct hazard_row *row = hazard_row(hazard->hazard);
    cleanup_text struct text line = TEXT(2048);
    text_printf(&line, "%s: %s: %s", hazard_level_name(row->level), row->name, row->why);
    terminal_wrap(terminal, report_hazard_tone(row->level), 4, 6, text_string(&line));
    text_clear(&line);
    text_printf(&line, "instead: %s", row->instead);
    terminal_wrap(terminal, TONE_PLAIN, 6, 8, text_string(&line));
}

static void append_batch(const struct batch *batch, struct text *out) {
    if (!batch)
        return;
    text_append(out, ", a batch: in rounds, until one touches no row");
    if (batch->pause_ms > 0)
        text_printf(out, "; pause %s", report_time(batch->pause_ms).text);
    if (batch->max_lag_ms > 0)
        text_printf(out, "; standbys at most %s behind", report_time(batch->max_lag_ms).text);
}

static void print_statement(const char *file, const struct forecast_statement *statement, struct terminal *terminal) {
    cleanup_text struct text line = TEXT(1024);
    text_printf(&line, "%s:%u: %s%s", file, statement->line, statement->tag ? statement->tag : "not analysed",
                statement->alone ? ", outside a transaction" : "");
    append_batch(statement->batch, &line);
    terminal_wrap(terminal, TONE_PLAIN, 2, 4, text_string(&line));
    for (size_t i = 0; i < statement->effect_count; i++)
        print_effect(&statement->effects[i], terminal);
    for (size_t i = 0; i < statement->hazard_count; i++)
        print_hazard(&statement->hazards[i], terminal);
}

static void print_left_out(size_t count, const char *what, struct terminal *terminal) {
    if (count > 0)
        terminal_print(terminal, TONE_DIM, "  not shown: %zu %s%s", count, what, count == 1 ? "" : "s");
}

void preview_text(const struct run_item *item, struct terminal *terminal) {
    const struct forecast *forecast = item->forecast;
    terminal_print(terminal, TONE_BOLD, "pending %s: %zu %sstatement%s", item->file, forecast->total,
                   forecast->resumed ? "more " : "", forecast->total == 1 ? "" : "s");
    for (size_t i = 0; i < forecast->count; i++)
        print_statement(item->file, &forecast->statements[i], terminal);
    print_left_out(forecast->total - forecast->count, "statement", terminal);
    print_left_out(forecast->effects_left_out, "effect", terminal);
    print_left_out(forecast->hazards_left_out, "hazard", terminal);
}

// ---- JSON --------------------------------------------------------------------------------------------------------------

static void put_number(struct json_writer *writer, const char *name, int64_t number) {
    if (number < 0)
        json_put_string(writer, name, NULL);
    else
        json_put_integer(writer, name, number);
}

static void put_effect(const struct forecast_effect *effect, struct json_writer *writer) {
    const struct forecast_relation *relation = effect->relation;
    json_begin_object(writer, NULL);
    json_put_string(writer, "does", action_words(effect->kind));
    json_put_string(writer, "relation", relation ? relation->name : NULL);
    json_put_string(writer, "lock", effect->mode == MODE_NONE ? NULL : lock_mode_name(effect->mode));
    json_put_string(writer, "blocks", blocks(effect->mode));
    json_put_string(writer, "work", effect->work == WORK_NONE ? NULL : action_work_name(effect->work));
    if (relation && relation->presence != FORECAST_UNKNOWN)
        json_put_boolean(writer, "exists", relation->presence == FORECAST_PRESENT);
    else
        json_put_string(writer, "exists", NULL);
    put_number(writer, "bytes", relation ? relation->bytes : -1);
    put_number(writer, "rows", relation ? relation->rows : -1);
    json_end_object(writer);
}

static void put_hazard(const struct forecast_hazard *hazard, struct json_writer *writer) {
    const struct hazard_row *row = hazard_row(hazard->hazard);
    json_begin_object(writer, NULL);
    json_put_string(writer, "hazard", row->name);
    json_put_string(writer, "level", hazard_level_name(row->level));
    json_put_integer(writer, "line", hazard->line);
    json_put_string(writer, "subject", hazard->subject);
    json_put_string(writer, "why", row->why);
    json_put_string(writer, "instead", row->instead);
    json_end_object(writer);
}

static void put_batch(const struct batch *batch, struct json_writer *writer) {
    if (!batch) {
        json_put_string(writer, "batch", NULL);
        return;
    }
    json_begin_object(writer, "batch");
    put_number(writer, "pause_ms", batch->pause_ms > 0 ? (int64_t)batch->pause_ms : -1);
    put_number(writer, "max_lag_ms", batch->max_lag_ms > 0 ? (int64_t)batch->max_lag_ms : -1);
    json_end_object(writer);
}

static void put_statement(const struct forecast_statement *statement, struct json_writer *writer) {
    json_begin_object(writer, NULL);
    json_put_integer(writer, "line", statement->line);
    json_put_string(writer, "tag", statement->tag);
    json_put_boolean(writer, "transaction", !statement->alone);
    put_batch(statement->batch, writer);
    json_begin_array(writer, "effects");
    for (size_t i = 0; i < statement->effect_count; i++)
        put_effect(&statement->effects[i], writer);
    json_end_array(writer);
    json_begin_array(writer, "hazards");
    for (size_t i = 0; i < statement->hazard_count; i++)
        put_hazard(&statement->hazards[i], writer);
    json_end_array(writer);
    json_end_object(writer);
}

void preview_json(const struct forecast *forecast, struct json_writer *writer) {
    size_t left_out = forecast->total - forecast->count;
    json_begin_array(writer, "plan");
    for (size_t i = 0; i < forecast->count; i++)
        put_statement(&forecast->statements[i], writer);
    json_end_array(writer);
    if (left_out + forecast->effects_left_out + forecast->hazards_left_out == 0)
        return;
    json_begin_object(writer, "left_out");
    json_put_integer(writer, "statements", (int64_t)left_out);
    json_put_integer(writer, "effects", (int64_t)forecast->effects_left_out);
    json_put_integer(writer, "hazards", (int64_t)forecast->hazards_left_out);
    json_end_object(writer);
}
