// Sends the pending migrations and keeps count of what is committed. The sending half reads like the life of a migration, from
// apply_item down; answers come back through `landed`, out of step with it. A failure leaves the sending half at once, and apply
// decides whether to try again. What a statement that was cut off left behind is settled by recover.c.
#include "migrate/apply.h"

#include "migrate/control.h"
#include "migrate/item.h"
#include "migrate/lock.h"
#include "migrate/record.h"
#include "migrate/recover.h"
#include "migrate/session.h"
#include "migrate/stream.h"

#include <string.h>
#include <strings.h>

enum {
    TRIES_MAX = 10, // of one migration that meets a lock, a deadlock or a serialization conflict
    PAUSE_FIRST_MS = 100,
    PAUSE_CAP_MS = 2000,
};

struct apply {
    struct postgres *postgres;
    const struct apply_order *order;
    struct stream stream;
    struct item *items; // one for each of the plan's
    struct text sql;    // a statement with its NUL
    struct applied *applied;
    size_t applied_before;
    size_t alone; // the 1-based statement that is under way outside a transaction; 0 = none
};

static void tell(const struct apply *apply, enum run_event_kind kind, size_t index, const char *holder) {
    const struct run_observer *observer = apply->order->observer;
    const struct item *item = &apply->items[index];
    if (observer)
        observer->event(observer->context, &(struct run_event){.kind = kind,
                                                               .migration = item->migration,
                                                               .done = apply->applied->count - apply->applied_before,
                                                               .total = apply->order->plan->count,
                                                               .statement = item->done,
                                                               .statements = item->count,
                                                               .holder = holder,
                                                               .ms = item->ms});
}

// ---- receiving ---------------------------------------------------------------------------------------------------------

static void committed(struct apply *apply, size_t index, size_t done) {
    struct item *item = &apply->items[index];
    item->done = done;
    item->tries = 0;
    if (done < item->count) {
        tell(apply, RUN_PROGRESS, index, NULL);
        return;
    }
    item->finished = true;
    apply->applied->items[apply->applied->count++] =
        (struct run_item){.version = item->migration->version,
                          .name = item->migration->name,
                          .file = item->migration->file,
                          .repeatable = item->migration->kind == MIGRATION_REPEATABLE,
                          .statements = item->count,
                          .ms = item->ms,
                          .state = "applied"};
    tell(apply, RUN_APPLIED, index, NULL);
    item_unload(item);
}

static bool landed(void *context, const struct flight *flight, const struct postgres_rows *rows, struct error *err) {
    struct apply *apply = context;
    if (flight->kind == FLIGHT_CLOSE) {
        const char *ms = postgres_row_count(rows) == 1 ? postgres_value(rows, 0, 1) : NULL;
        uint64_t number = 0;
        if (ms && text_to_u64(view_of(ms), INT64_MAX, &number))
            apply->items[flight->item].ms = number;
    } else if (flight->kind == FLIGHT_COMMIT) {
        if (strcmp(postgres_tag(rows), "COMMIT") != 0) {
            apply->stream.failed = true;
            apply->stream.failure = *flight;
            return error_set(err, ERROR_MIGRATION_FAILED, "the server answered %s to COMMIT", postgres_tag(rows));
        }
        committed(apply, flight->item, flight->statement);
    }
    return true;
}

// ---- sending -----------------------------------------------------------------------------------------------------------
// Each of these makes room, queues its commands and notes them as under way.

static void note(struct apply *apply, enum flight_kind kind, size_t index, size_t count) {
    for (size_t i = 0; i < count; i++)
        stream_sent(&apply->stream, (struct flight){.kind = kind, .item = index});
}

static bool send_settings(struct apply *apply, size_t index, bool patient, struct error *err) {
    const struct item *item = &apply->items[index];
    char name[SESSION_NAME_MAX + 1];
    session_name(name, apply->order->run, index + 1, apply->order->plan->count, item->migration->file);
    uint64_t lock_timeout_ms =
        item->script.lock_timeout_ms ? item->script.lock_timeout_ms : apply->order->lock_timeout_ms;
    struct session session = {.name = name, .lock_timeout_ms = patient ? 0 : lock_timeout_ms};
    if (!stream_room(&apply->stream, err) || !session_send_settings(apply->postgres, &session, err))
        return false;
    note(apply, FLIGHT_HOUSEKEEPING, index, SESSION_SETTINGS);
    return true;
}

static bool send_reset(struct apply *apply, size_t index, struct error *err) {
    if (!stream_room(&apply->stream, err) || !session_send_reset(apply->postgres, err))
        return false;
    note(apply, FLIGHT_HOUSEKEEPING, index, SESSION_RESET);
    return true;
}

static bool send_clean(struct apply *apply, size_t index, struct error *err) {
    if (!stream_room(&apply->stream, err) || !session_send_clean(apply->postgres, err) ||
        !postgres_flush(apply->postgres, err))
        return false;
    note(apply, FLIGHT_HOUSEKEEPING, index, SESSION_CLEAN);
    return true;
}

static bool send_plain(struct apply *apply, enum flight_kind kind, size_t index, size_t statement, const char *sql,
                       struct error *err) {
    if (!stream_room(&apply->stream, err) || !postgres_send(apply->postgres, sql, NULL, 0, err))
        return false;
    stream_sent(&apply->stream,
                (struct flight){.kind = kind, .item = index, .statement = statement, .bytes = strlen(sql)});
    return true;
}

static struct record record_of(const struct apply *apply, size_t index) {
    return (struct record){apply->items[index].migration, apply->order->run, apply->items[index].count};
}

static bool send_open(struct apply *apply, size_t index, size_t done, size_t in_flight, struct error *err) {
    struct record record = record_of(apply, index);
    if (!stream_room(&apply->stream, err))
        return false;
    if (!(apply->items[index].stepwise ? record_send_step(apply->postgres, &record, done, in_flight, err)
                                       : record_send_open(apply->postgres, &record, err)))
        return false;
    note(apply, FLIGHT_OPEN, index, 1);
    return true;
}

static bool send_close(struct apply *apply, size_t index, size_t from, size_t end, struct error *err) {
    const struct item *item = &apply->items[index];
    struct record record = record_of(apply, index);
    if (!stream_room(&apply->stream, err))
        return false;
    bool queued = false;
    if (item->stepwise) {
        cleanup_text struct text hashes = TEXT(SIZE_MAX / 2);
        for (size_t i = from; i < end; i++)
            text_printf(&hashes, "%s%s", i > from ? "," : "{", item->statements[i]->hash);
        text_append(&hashes, end > from ? "}" : "{}");
        queued = record_send_stepped(apply->postgres, &record, end, apply->alone, text_string(&hashes), err);
    } else {
        queued = record_send_close(apply->postgres, &record, err);
    }
    if (queued)
        note(apply, FLIGHT_CLOSE, index, 1);
    return queued;
}

// COPY with its data cannot go through a pipeline: what is under way is waited for first.
static bool copy(struct apply *apply, size_t index, size_t n, struct error *err) {
    const struct statement *statement = apply->items[index].statements[n];
    if (!stream_drain(&apply->stream, err))
        return false;
    if (postgres_copy(apply->postgres, statement->text, statement->data, err))
        return true;
    apply->stream.failed = true;
    apply->stream.broken = !postgres_alive(apply->postgres);
    apply->stream.failure = (struct flight){.kind = FLIGHT_STATEMENT, .item = index, .statement = n + 1};
    return false;
}

static bool send_statement(struct apply *apply, size_t index, size_t n, struct error *err) {
    const struct statement *statement = apply->items[index].statements[n];
    if (statement->kind == STATEMENT_COPY_IN ||
        (statement->text.length > 4 && !strncasecmp(statement->text.data, "COPY", 4)))
        return copy(apply, index, n, err);
    text_clear(&apply->sql);
    text_append_view(&apply->sql, statement->text);
    return send_plain(apply, FLIGHT_STATEMENT, index, n + 1, text_string(&apply->sql), err);
}

// A later step begins with a clean session: it hears again what the file had set before.
static bool send_session_of(struct apply *apply, size_t index, size_t from, struct error *err) {
    for (size_t i = 0; i < from; i++)
        if (item_sets_session(apply->items[index].statements[i]) && !send_statement(apply, index, i, err))
            return false;
    return true;
}

static bool apply_transaction(struct apply *apply, size_t index, size_t from, size_t end, struct error *err) {
    if (!send_settings(apply, index, false, err) ||
        !send_plain(apply, FLIGHT_HOUSEKEEPING, index, 0, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", err) ||
        !send_open(apply, index, from, 0, err) || !send_session_of(apply, index, from, err))
        return false;
    for (size_t i = from; i < end; i++)
        if (!send_statement(apply, index, i, err))
            return false;
    return send_reset(apply, index, err) && send_close(apply, index, from, end, err) &&
           send_plain(apply, FLIGHT_COMMIT, index, end, "COMMIT", err) && send_clean(apply, index, err);
}

// The ledger says that the statement is under way before it is, and that it is done only when it is seen to be.
static bool apply_alone(struct apply *apply, size_t index, size_t n, struct error *err) {
    const struct statement *statement = apply->items[index].statements[n];
    if (!stream_drain(&apply->stream, err) || !send_settings(apply, index, statement->concurrently, err) ||
        !send_open(apply, index, n, n + 1, err) || !stream_drain(&apply->stream, err) ||
        !send_session_of(apply, index, n, err) || !stream_drain(&apply->stream, err))
        return false;
    apply->alone = n + 1;
    if (!send_statement(apply, index, n, err) || !stream_drain(&apply->stream, err))
        return false;
    if (!recover_verify(apply->postgres, statement, err)) {
        apply->stream.failed = true;
        apply->stream.broken = !postgres_alive(apply->postgres);
        apply->stream.failure = (struct flight){.kind = FLIGHT_STATEMENT, .item = index, .statement = n + 1};
        return false;
    }
    if (!send_reset(apply, index, err) || !send_close(apply, index, n, n + 1, err) || !send_clean(apply, index, err) ||
        !stream_drain(&apply->stream, err))
        return false;
    apply->alone = 0;
    committed(apply, index, n + 1);
    return true;
}

static bool apply_item(struct apply *apply, size_t index, struct error *err) {
    struct item *item = &apply->items[index];
    if (control_stopped(apply->order->control))
        return stream_drain(&apply->stream, err) &&
               error_set(err, ERROR_SHUTTING_DOWN, "shutting down after %zu of %zu migrations",
                         apply->applied->count - apply->applied_before, apply->order->plan->count);
    if (!item_load(item, apply->order->set, err) || !recover_cut_off(item, err))
        return false;
    tell(apply, RUN_STARTED, index, NULL);
    if (item->count == 0)
        return apply_transaction(apply, index, 0, 0, err);
    for (size_t from = item->done, end = 0; from < item->count; from = end) {
        end = item_step_end(item, from);
        bool alone = item->statements[from]->kind == STATEMENT_NON_TRANSACTIONAL;
        if (!(alone ? apply_alone(apply, index, from, err) : apply_transaction(apply, index, from, end, err)))
            return false;
    }
    return true;
}

static bool apply_from(struct apply *apply, size_t first, struct error *err) {
    if (!stream_room(&apply->stream, err) || !record_send_changing(apply->postgres, err))
        return false;
    note(apply, FLIGHT_HOUSEKEEPING, first, 1);
    for (size_t i = first; i < apply->order->plan->count; i++)
        if (!apply_item(apply, i, err))
            return false;
    return stream_drain(&apply->stream, err);
}

// ---- failing -----------------------------------------------------------------------------------------------------------

static void place_error(const struct apply *apply, const struct flight *failure, struct error *err) {
    const struct item *item = &apply->items[failure->item];
    const char *file = item->migration->file;
    text_copy(err->file, sizeof(err->file), view_of(file));
    err->statements = (unsigned)item->count;
    if (failure->kind == FLIGHT_STATEMENT && item->arena) {
        const struct statement *statement = item->statements[failure->statement - 1];
        unsigned position = *err->sqlstate ? postgres_position(apply->postgres) : 0;
        err->statement = (unsigned)failure->statement;
        err->line = position ? statement_line_at(statement, position) : statement->line;
        error_wrap(err, "%s, line %u", file, err->line);
    } else {
        error_wrap(err, failure->kind == FLIGHT_COMMIT ? "%s, at its COMMIT" : "%s", file);
    }
}

// What the ledger's own commands refuse has a meaning of its own.
static void name_refusal(const struct apply *apply, const struct flight *failure, struct error *err) {
    const char *file = apply->items[failure->item].migration->file;
    if (failure->kind == FLIGHT_OPEN && !strcmp(err->sqlstate, "23505"))
        error_set(err, ERROR_LOCK_LOST, "%s: another run applied it at the same time", file);
    else if ((failure->kind != FLIGHT_OPEN && failure->kind != FLIGHT_CLOSE) ||
             strcmp(err->sqlstate, RECORD_REFUSED) != 0)
        return;
    else if (lock_held(apply->postgres))
        error_set(err, ERROR_MIGRATION_FAILED, "%s ended the transaction it runs in", file);
    else
        error_set(err, ERROR_LOCK_LOST, "%s: the session no longer holds the lock", file);
    text_copy(err->file, sizeof(err->file), view_of(file));
}

static bool clean_up(struct apply *apply, size_t index, struct error *err) {
    char name[SESSION_NAME_MAX + 1];
    session_name(name, apply->order->run, 0, 0, NULL);
    struct session session = {.name = name, .lock_timeout_ms = apply->order->lock_timeout_ms};
    if (!session_send_reset(apply->postgres, err) || !session_send_settings(apply->postgres, &session, err))
        return false;
    note(apply, FLIGHT_HOUSEKEEPING, index, SESSION_RESET + SESSION_SETTINGS);
    const struct item *item = &apply->items[index];
    if (apply->alone && item->arena && !recover_leaves_traces(item->statements[apply->alone - 1])) {
        struct record record = record_of(apply, index);
        if (!record_send_undone(apply->postgres, &record, apply->alone, err))
            return false;
        note(apply, FLIGHT_HOUSEKEEPING, index, 1);
    }
    return send_clean(apply, index, err) && stream_drain(&apply->stream, err);
}

static bool worth_another_try(const struct apply *apply, const struct flight *failure, const struct error *err) {
    if (err->code == ERROR_LOCK_TIMEOUT || err->code == ERROR_LOCK_CONFLICT)
        return !control_stopped(apply->order->control);
    return failure->kind != FLIGHT_STATEMENT && !strcmp(err->sqlstate, "26000"); // a file said DEALLOCATE ALL
}

// Rolled back and known to be so: waits a little and says who is in the way. False: tried often enough, and `err` says who.
static bool wait_for_turn(struct apply *apply, const struct flight *failure, struct error *err) {
    struct item *item = &apply->items[failure->item];
    const struct statement *statement =
        failure->kind == FLIGHT_STATEMENT && item->arena ? item->statements[failure->statement - 1] : NULL;
    char blockers[512] = "";
    struct error late = {0};
    if (!lock_blockers(apply->postgres, statement ? statement->relation : NULL, blockers, sizeof(blockers), &late))
        return false;
    if (++item->tries >= TRIES_MAX) {
        text_copy(err->detail, sizeof(err->detail), view_of(blockers));
        return error_wrap(err, "tried %u times, in the way: %s", item->tries, blockers);
    }
    tell(apply, RUN_RETRYING, failure->item, blockers);
    control_sleep(apply->order->control, control_pause(item->tries - 1, PAUSE_FIRST_MS, PAUSE_CAP_MS));
    return true;
}

// True: try again from `ret_next`. Otherwise `err` is complete.
static bool recovers(struct apply *apply, size_t *ret_next, struct error *err) {
    const struct flight failure = apply->stream.failure;
    const struct item *item = &apply->items[failure.item];
    bool placed = apply->stream.failed;
    if (placed)
        place_error(apply, &failure, err);
    if (!stream_settle(&apply->stream))
        return false;
    struct error late = {0};
    bool clean = clean_up(apply, failure.item, &late);
    bool traces = apply->alone && item->arena && recover_leaves_traces(item->statements[apply->alone - 1]);
    apply->alone = 0;
    if (!clean || !placed)
        return false;
    name_refusal(apply, &failure, err);
    if (traces || !worth_another_try(apply, &failure, err) || !wait_for_turn(apply, &failure, err))
        return false;
    *ret_next = failure.item;
    return true;
}

bool apply(struct postgres *postgres, const struct apply_order *order, struct arena *arena, struct applied *applied,
           struct error *err) {
    struct apply apply = {.postgres = postgres,
                          .order = order,
                          .applied = applied,
                          .applied_before = applied->count,
                          .sql = TEXT(2 * DIRECTORY_FILE_MAX)};
    apply.stream = (struct stream){.postgres = postgres, .landed = landed, .context = &apply};
    if (!items_load(order->set, order->plan, arena, &apply.items, err))
        return false;
    size_t next = 0;
    bool done = false;
    while (!(done = apply_from(&apply, next, err)) && recovers(&apply, &next, err))
        *err = (struct error){0};
    items_free(apply.items, order->plan->count);
    text_done(&apply.sql);
    return done;
}
