// The order in which pending migrations are sent, and what becomes of a failure. The sending half reads like the life of a migration,
// from apply_item down; answers come back through `landed`, out of step with it. A failure leaves the sending half at once, and
// apply decides whether to try again. The pieces are sender.c's business, statements outside a transaction alone.c's,
// those that are repeated batch.c's.
#include "migrate/apply.h"

#include "migrate/alone.h"
#include "migrate/batch.h"
#include "migrate/control.h"
#include "migrate/home.h"
#include "migrate/ledger.h"
#include "migrate/lock.h"
#include "migrate/sender.h"
#include "migrate/session.h"

#include <string.h>

enum {
    TRIES_MAX = 10, // of one migration that meets a lock, a deadlock or a serialization conflict
    PAUSE_FIRST_MS = 100,
    PAUSE_CAP_MS = 2000,
};

// ---- receiving ---------------------------------------------------------------------------------------------------------

static bool landed(void *context, const struct flight *flight, const struct postgres_rows *rows, struct error *err) {
    struct sender *sender = context;
    watch_landed(sender->order->watch);
    if (flight->kind == FLIGHT_CLOSE) {
        const char *ms = postgres_row_count(rows) == 1 ? postgres_value(rows, 0, 1) : NULL;
        uint64_t number = 0;
        if (ms && text_to_u64(view_of(ms), INT64_MAX, &number))
            sender->items[flight->item].ms = number;
    } else if (flight->kind == FLIGHT_COMMIT) {
        if (strcmp(postgres_tag(rows), "COMMIT") != 0) {
            sender->stream.failed = true;
            sender->stream.failure = *flight;
            return error_set(err, ERROR_MIGRATION_FAILED, "the server answered %s to COMMIT", postgres_tag(rows));
        }
        if (!batch_committed(sender, flight->item))
            sender_committed(sender, flight->item, flight->statement);
    } else if (flight->kind == FLIGHT_STATEMENT) {
        sender->touched = postgres_touched(sender->postgres);
    }
    return true;
}

// ---- sending -----------------------------------------------------------------------------------------------------------

static bool apply_transaction(struct sender *sender, size_t index, size_t from, size_t end, struct error *err) {
    if (!sender_begin(sender, index, from, 0, err))
        return false;
    for (size_t i = from; i < end; i++)
        if (!sender_statement(sender, index, i, err))
            return false;
    if (!sender_reset(sender, index, err) || !sender_close(sender, index, from, end, err) ||
        !sender_plain(sender, FLIGHT_COMMIT, index, end, "COMMIT", err) ||
        (end == sender->items[index].count && !sender_clean(sender, index, err)))
        return false;
    return !sender->order->pooled || stream_drain(&sender->stream, err); // so that BEGIN really begins, see session.c
}

static bool apply_item(struct sender *sender, size_t index, struct error *err) {
    struct item *item = &sender->items[index];
    if (control_stopped(sender->order->control))
        return stream_drain(&sender->stream, err) &&
               error_set(err, ERROR_SHUTTING_DOWN, "shutting down after %zu of %zu migrations",
                         sender->applied->count - sender->applied_before, sender->order->plan->count);
    if (!item_load(item, sender->order->set, err))
        return false;
    if (item->cut.statement > item->count && !item->cut.former) {
        error_set(err, ERROR_MIGRATION_CUT_OFF,
                  "%s: statement %zu was cut off, and the file has it no more: put it back until it is settled",
                  item->file, item->cut.statement);
        text_copy(err->file, sizeof(err->file), view_of(item->file));
        return false;
    }
    sender_tell(sender, RUN_STARTED, index, NULL);
    if (item->cut.statement > 0 && (item->cut.former || !item_is_alone(item, item->done)) &&
        !alone_clear(sender, index, err))
        return false;
    if (item->done >= item->count) // nothing in it, or what was still to be done was taken out of it
        return apply_transaction(sender, index, item->count, item->count, err);
    for (size_t from = item->done, end = 0; from < item->count; from = end) {
        end = item_step_end(item, from);
        if (!(item_is_alone(item, from)       ? alone_apply(sender, index, from, err)
              : item->statements[from]->batch ? batch_apply(sender, index, from, err)
                                              : apply_transaction(sender, index, from, end, err)))
            return false;
    }
    return true;
}

// What the file does to names may hit our own prepared statements too.
static bool apply_with_names(struct sender *sender, size_t index, struct error *err) {
    postgres_may_prepare(sender->postgres, false);
    if (!apply_item(sender, index, err) || !sender_scrub(sender, index, err))
        return false;
    postgres_may_prepare(sender->postgres, true);
    return true;
}

static bool apply_from(struct sender *sender, size_t first, struct error *err) {
    if (!sender_changing(sender, first, err) || (sender->order->pooled && !stream_drain(&sender->stream, err)))
        return false;
    for (size_t i = first; i < sender->order->plan->count; i++)
        if (!(sender->items[i].names ? apply_with_names(sender, i, err) : apply_item(sender, i, err)))
            return false;
    return stream_drain(&sender->stream, err);
}

// ---- failing -----------------------------------------------------------------------------------------------------------

static void add_hints(const struct item *item, struct error *err) {
    cleanup_text struct text hint = TEXT(2 * sizeof(err->hint));
    text_append(&hint, err->hint);
    if (err->code == ERROR_MIGRATION_FAILED && !strcmp(err->sqlstate, "57014"))
        text_printf(&hint,
                    "%sA statement_timeout of the file or of a function ended it (SET statement_timeout = 0 in the"
                    " file lifts it), or somebody did (pg_cancel_backend).",
                    hint.length > 0 ? " " : "");
    if (!strcmp(err->sqlstate, "2D000"))
        text_printf(
            &hint,
            "%sOnly a CALL or DO of its own may commit, outside BEGIN ... COMMIT and outside blocks with EXCEPTION.",
            hint.length > 0 ? " " : "");
    if (!strcmp(err->sqlstate, "25001") && err->statement > 0 && !item_is_alone(item, err->statement - 1))
        text_printf(&hint,
                    "%sIn a file of its own with \"-- pawl: no-transaction\" in it, a CALL or a DO runs outside a "
                    "transaction: DO $$BEGIN PERFORM f(); END$$ for a function.",
                    hint.length > 0 ? " " : "");
    if (item->stepwise && item->done > 0)
        text_printf(&hint, "%s%zu of %zu statements are done and stay; the next run goes on after them.",
                    hint.length > 0 ? " " : "", item->done, item->count);
    if (item->rounds.count > 0) {
        text_append(&hint, hint.length > 0 ? " " : "");
        batch_words(&item->rounds, &hint);
        text_append(&hint, " are committed and stay; the next run goes on after them.");
    }
    text_copy(err->hint, sizeof(err->hint), view_of(text_string(&hint)));
}

static void place_error(const struct sender *sender, const struct flight *failure, struct error *err) {
    const struct item *item = &sender->items[failure->item];
    const char *file = item->file;
    text_copy(err->file, sizeof(err->file), view_of(file));
    err->statements = (unsigned)item->count;
    if (failure->kind == FLIGHT_STATEMENT && item->arena) {
        const struct statement *statement = item->statements[failure->statement - 1];
        unsigned position = *err->sqlstate ? postgres_position(sender->postgres) : 0;
        err->statement = (unsigned)failure->statement;
        err->line = position ? statement_line_at(statement, position) : statement->line;
        error_wrap(err, "%s, line %u", file, err->line);
    } else {
        error_wrap(err, failure->kind == FLIGHT_COMMIT ? "%s, at its COMMIT" : "%s", file);
    }
    add_hints(item, err);
}

static void name_refusal_of_ledger(const struct postgres *postgres, const struct flight *failure, const char *file,
                                   struct error *err) {
    if (failure->kind == FLIGHT_CLOSE && !strcmp(err->sqlstate, "25006"))
        error_set(err, ERROR_MIGRATION_FAILED, "%s makes its transaction read-only: the ledger cannot record it", file);
    else if (!strcmp(err->sqlstate, "42501"))
        err->code = ERROR_DATABASE_REFUSED;
    if (err->code == ERROR_DATABASE_REFUSED && !home_refused(postgres, err))
        ledger_forbidden(postgres, err);
}

// What the ledger's own commands refuse has a meaning of its own.
static void name_refusal(const struct sender *sender, const struct flight *failure, struct error *err) {
    const char *file = sender->items[failure->item].file;
    char holder[256] = "a session that has just ended";
    struct error ignored = {0};
    if (failure->kind == FLIGHT_LOCK && !strcmp(err->sqlstate, RECORD_REFUSED) &&
        lock_holder(sender->postgres, holder, sizeof(holder), &ignored))
        error_set(err, ERROR_LOCK_HELD, "the lock is held by %s", holder);
    else if (failure->kind == FLIGHT_OPEN && !strcmp(err->sqlstate, "23505"))
        error_set(err, ERROR_LOCK_LOST, "%s: another run applied it at the same time", file);
    else if (failure->kind == FLIGHT_OPEN && sender->order->pooled && !strcmp(err->sqlstate, RECORD_REFUSED))
        error_set(err, ERROR_LOCK_LOST, "%s: another run went on with it in the meantime", file);
    else if (failure->kind != FLIGHT_STATEMENT && failure->kind != FLIGHT_COMMIT &&
             strcmp(err->sqlstate, RECORD_REFUSED) != 0)
        name_refusal_of_ledger(sender->postgres, failure, file, err);
    else if ((failure->kind != FLIGHT_OPEN && failure->kind != FLIGHT_CLOSE) ||
             strcmp(err->sqlstate, RECORD_REFUSED) != 0)
        return;
    else if (sender->order->pooled || lock_held(sender->postgres))
        error_set(err, ERROR_MIGRATION_FAILED, "%s ended the transaction it runs in", file);
    else
        error_set(err, ERROR_LOCK_LOST, "%s: the session no longer holds the lock", file);
    text_copy(err->file, sizeof(err->file), view_of(file));
}

static bool clean_up(struct sender *sender, size_t index, struct error *err) {
    if (sender->order->pooled) // the rollback has undone what was set, and what comes next may be another session
        return true;
    char name[SESSION_NAME_MAX + 1];
    session_name(name, sender->order->run, 0, 0, NULL);
    struct session session = {.name = name, .lock_timeout_ms = sender->order->lock_timeout_ms};
    bool begun = sender->items[index].done > 0; // what its first steps made is needed by the others
    postgres_may_prepare(sender->postgres, !begun);
    if (!begun && !sender_scrub(sender, index, err))
        return false;
    if (!sender_reset(sender, index, err) || !session_send_settings(sender->postgres, &session, err))
        return false;
    for (size_t i = 0; i < SESSION_SETTINGS; i++)
        stream_sent(&sender->stream, (struct flight){.kind = FLIGHT_HOUSEKEEPING, .item = index});
    if (!stream_drain(&sender->stream, err))
        return false;
    postgres_may_prepare(sender->postgres, true);
    return true;
}

static bool worth_another_try(const struct sender *sender, const struct flight *failure, const struct error *err) {
    if (err->code == ERROR_LOCK_TIMEOUT || err->code == ERROR_LOCK_CONFLICT)
        return !control_stopped(sender->order->control);
    return failure->kind != FLIGHT_STATEMENT && !strcmp(err->sqlstate, "26000"); // a file said DEALLOCATE ALL
}

// Rolled back and known to be so: waits a little and says who is in the way. False: tried often enough, and `err` says who.
static bool wait_for_turn(struct sender *sender, const struct flight *failure, struct error *err) {
    struct item *item = &sender->items[failure->item];
    const struct statement *statement =
        failure->kind == FLIGHT_STATEMENT && item->arena ? item->statements[failure->statement - 1] : NULL;
    const char *relation = statement ? statement->relation : NULL;
    char blockers[512] = "";
    struct error late = {0};
    bool waited = err->code == ERROR_LOCK_TIMEOUT;
    if (waited && !lock_blockers(sender->postgres, relation, blockers, sizeof(blockers), &late))
        return false;
    if (++item->tries >= TRIES_MAX) {
        if (waited)
            text_copy(err->detail, sizeof(err->detail), view_of(blockers));
        return error_wrap(err, waited ? "tried %u times, in the way: %s" : "tried %u times", item->tries, blockers);
    }
    cleanup_text struct text reason = TEXT(1024);
    if (waited)
        text_printf(&reason, "it waited too long for %s%s, in the way: %s", relation ? "table " : "a lock",
                    relation ? relation : "", blockers);
    else
        text_append(&reason, err->code == ERROR_LOCK_CONFLICT ? err->message : "prepared statements were dropped");
    sender_tell(sender, RUN_RETRYING, failure->item, text_string(&reason));
    control_sleep(sender->order->control, control_pause(item->tries - 1, PAUSE_FIRST_MS, PAUSE_CAP_MS));
    return true;
}

// A pooler gives us transactions, not sessions.
static bool needs_no_session(const struct item *items, size_t count, struct error *err) {
    for (size_t i = 0; i < count; i++)
        if (items[i].alone || items[i].names) {
            const char *file = items[i].file;
            size_t statement = items[i].alone ? items[i].alone : items[i].names;
            error_set(err, ERROR_DATABASE_POOLER, "%s needs a session (statement %zu %s), and a pooler sits in between",
                      file, statement, items[i].alone ? "cannot run in a transaction" : "outlives its transaction");
            text_copy(err->file, sizeof(err->file), view_of(file));
            if (items[i].arena) {
                err->line = items[i].statements[statement - 1]->line;
                err->statement = (unsigned)statement;
                err->statements = (unsigned)items[i].count;
            }
            return false;
        }
    return true;
}

// What commits by itself is refused in a transaction, and nothing of it has happened: it goes outside. That needs no record of its own: a
// later run that finds only what is before it done is refused in the same way, and one that finds it under way knows.
static bool goes_outside(struct sender *sender, const struct flight *failure, const struct error *err) {
    struct item *item = &sender->items[failure->item];
    if (failure->kind != FLIGHT_STATEMENT || sender->order->plan->back ||
        !item_may_go_outside(item, failure->statement - 1, err->sqlstate))
        return false;
    item->outside = item->alone = failure->statement;
    item->stepwise = true;
    return true;
}

// True: try again from `ret_next`. Otherwise `err` is complete.
static bool recovers(struct sender *sender, size_t *ret_next, struct error *err) {
    const struct flight failure = sender->stream.failure;
    bool placed = sender->stream.failed;
    if (placed)
        place_error(sender, &failure, err);
    struct error late = {0};
    if (!stream_settle(&sender->stream) || !clean_up(sender, failure.item, &late))
        return false;
    bool outside = sender->alone > 0, clean = !outside || alone_refused(sender, failure.item, err);
    if (!clean && (!stream_settle(&sender->stream) || !clean_up(sender, failure.item, &late)))
        return false;
    if (!placed)
        return false;
    name_refusal(sender, &failure, err);
    *ret_next = failure.item;
    if (!outside && goes_outside(sender, &failure, err)) {
        sender_tell(sender, RUN_RETRYING, failure.item, "it commits by itself, and goes outside a transaction");
        return !sender->order->pooled || needs_no_session(sender->items, sender->order->plan->count, err);
    }
    if (!clean || !worth_another_try(sender, &failure, err) || !wait_for_turn(sender, &failure, err))
        return false;
    return true;
}

void applied_add(struct applied *applied, const struct run_item *item) {
    if (applied->count == applied->room) {
        applied->room = applied->room ? 2 * applied->room : 16;
        struct run_item *items = arena_array(applied->arena, applied->room, sizeof(*items));
        if (applied->count > 0)
            memcpy(items, applied->items, applied->count * sizeof(*items));
        applied->items = items;
    }
    applied->items[applied->count++] = *item;
}

bool apply(struct postgres *postgres, const struct apply_order *order, struct arena *arena, struct applied *applied,
           struct error *err) {
    struct sender sender = {.postgres = postgres,
                            .order = order,
                            .applied = applied,
                            .applied_before = applied->count,
                            .sql = TEXT(2 * DIRECTORY_FILE_MAX)};
    sender.stream = (struct stream){.postgres = postgres, .landed = landed, .context = &sender};
    if (!items_load(order->set, order->plan, arena, &sender.items, err))
        return false;
    size_t next = 0;
    bool done = false, fit = !order->pooled || needs_no_session(sender.items, order->plan->count, err);
    while (fit && !(done = apply_from(&sender, next, err)) && recovers(&sender, &next, err))
        *err = (struct error){0};
    items_free(sender.items, order->plan->count);
    text_done(&sender.sql);
    return done;
}
