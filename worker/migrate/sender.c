// What is sent for a migration, piece by piece, and what becomes of an item that got on. In which order is left to apply.c and alone.c.
#include "migrate/sender.h"

#include "migrate/home.h"
#include "migrate/lock.h"
#include "migrate/session.h"
#include "migrate/trace.h"

#include <string.h>
#include <strings.h>

void sender_tell(const struct sender *sender, enum run_event_kind kind, size_t index, const char *holder) {
    const struct run_observer *observer = sender->order->observer;
    const struct item *item = &sender->items[index];
    if (observer)
        observer->event(observer->context, &(struct run_event){.kind = kind,
                                                               .migration = item->migration,
                                                               .done = sender->applied->count - sender->applied_before,
                                                               .total = sender->order->plan->count,
                                                               .statement = item->done,
                                                               .statements = item->count,
                                                               .holder = holder,
                                                               .ms = item->ms});
}

void sender_committed(struct sender *sender, size_t index, size_t done) {
    struct item *item = &sender->items[index];
    item->done = done;
    item->tries = 0;
    if (done < item->count) {
        sender_tell(sender, RUN_PROGRESS, index, NULL);
        return;
    }
    bool back = sender->order->plan->back;
    applied_add(sender->applied, &(struct run_item){.version = item->migration->version,
                                                    .name = item->migration->name,
                                                    .file = item->migration->file,
                                                    .repeatable = item->migration->kind == MIGRATION_REPEATABLE,
                                                    .statements = item->count,
                                                    .ms = item->ms,
                                                    .state = back ? "rolled_back" : "applied"});
    sender_tell(sender, back ? RUN_ROLLED_BACK : RUN_APPLIED, index, NULL);
    item_unload(item);
}

static void note(struct sender *sender, enum flight_kind kind, size_t index, size_t count) {
    for (size_t i = 0; i < count; i++)
        stream_sent(&sender->stream, (struct flight){.kind = kind, .item = index});
}

bool sender_settings(struct sender *sender, size_t index, size_t alone, struct error *err) {
    const struct item *item = &sender->items[index];
    char name[SESSION_NAME_MAX + 1];
    cleanup_text struct text file = TEXT(512);
    text_append(&file, item->file);
    if (alone)
        text_printf(&file, ":%zu/%zu", alone, item->count);
    session_name(name, sender->order->run, index + 1, sender->order->plan->count, text_string(&file));
    uint64_t lock_timeout_ms =
        item->script.lock_timeout_ms ? item->script.lock_timeout_ms : sender->order->lock_timeout_ms;
    bool patient = alone ? item->statements[alone - 1]->concurrently : item->cut.statement > 0;
    struct session session = {.name = name,
                              .lock_timeout_ms = patient ? 0 : lock_timeout_ms,
                              .span = sender->order->pooled ? SESSION_TRANSACTION : SESSION_WHOLE};
    if (!stream_room(&sender->stream, err) || !session_send_settings(sender->postgres, &session, err))
        return false;
    note(sender, FLIGHT_HOUSEKEEPING, index, SESSION_SETTINGS);
    return true;
}

bool sender_changing(struct sender *sender, size_t index, struct error *err) {
    size_t count = 1;
    if (!stream_room(&sender->stream, err) || !home_send_role(sender->postgres, &count, err) ||
        !record_send_changing(sender->postgres, err))
        return false;
    note(sender, FLIGHT_HOUSEKEEPING, index, count);
    return true;
}

bool sender_reset(struct sender *sender, size_t index, struct error *err) {
    if (!stream_room(&sender->stream, err) || !session_send_reset(sender->postgres, sender->order->pooled, err))
        return false;
    note(sender, FLIGHT_HOUSEKEEPING, index, SESSION_RESET);
    return true;
}

bool sender_clean(struct sender *sender, size_t index, struct error *err) {
    if (!stream_room(&sender->stream, err) || !session_send_clean(sender->postgres, err) ||
        !postgres_flush(sender->postgres, err))
        return false;
    note(sender, FLIGHT_HOUSEKEEPING, index, SESSION_CLEAN);
    return true;
}

bool sender_scrub(struct sender *sender, size_t index, struct error *err) {
    if (!stream_room(&sender->stream, err) || !session_send_scrub(sender->postgres, err))
        return false;
    note(sender, FLIGHT_HOUSEKEEPING, index, SESSION_SCRUB);
    if (!stream_drain(&sender->stream, err))
        return false;
    postgres_forget_prepared(sender->postgres);
    return true;
}

bool sender_plain(struct sender *sender, enum flight_kind kind, size_t index, size_t statement, const char *sql,
                  struct error *err) {
    if (!stream_room(&sender->stream, err) || !postgres_send(sender->postgres, sql, NULL, 0, err))
        return false;
    stream_sent(&sender->stream,
                (struct flight){.kind = kind, .item = index, .statement = statement, .bytes = strlen(sql)});
    return true;
}

struct record sender_record(const struct sender *sender, size_t index) {
    const struct item *item = &sender->items[index];
    return (struct record){item->migration, sender->order->run, item->count, sender->order->pooled};
}

bool sender_open(struct sender *sender, size_t index, size_t done, const struct record_flight *flight,
                 struct error *err) {
    struct record record = sender_record(sender, index);
    if (!stream_room(&sender->stream, err))
        return false;
    bool queued = sender->order->plan->back       ? record_send_back(sender->postgres, &record, err)
                  : sender->items[index].stepwise ? record_send_step(sender->postgres, &record, done, flight, err)
                                                  : record_send_open(sender->postgres, &record, err);
    if (queued)
        note(sender, FLIGHT_OPEN, index, 1);
    return queued;
}

bool sender_begin(struct sender *sender, size_t index, size_t from, size_t alone, struct error *err) {
    const char *begin = sender->items[index].rounds.sure ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE"
                                                         : "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
    if (!sender_plain(sender, FLIGHT_HOUSEKEEPING, index, 0, begin, err) || !sender_settings(sender, index, alone, err))
        return false;
    if (sender->order->pooled && !sender_plain(sender, FLIGHT_LOCK, index, 0, LOCK_FOR_TRANSACTION, err))
        return false;
    return sender_open(sender, index, from, &(struct record_flight){0}, err) &&
           sender_session(sender, index, from, err);
}

bool sender_close(struct sender *sender, size_t index, size_t from, size_t end, struct error *err) {
    const struct item *item = &sender->items[index];
    struct record record = sender_record(sender, index);
    if (!stream_room(&sender->stream, err))
        return false;
    bool queued = false;
    if (sender->order->plan->back) {
        queued = record_send_gone(sender->postgres, &record, err);
    } else if (item->stepwise) {
        cleanup_text struct text hashes = TEXT(SIZE_MAX / 2);
        for (size_t i = from; i < end; i++)
            text_printf(&hashes, "%s%s", i > from ? "," : "{", item->statements[i]->hash);
        text_append(&hashes, end > from ? "}" : "{}");
        queued = record_send_stepped(sender->postgres, &record, end, sender->alone, text_string(&hashes), err);
    } else {
        queued = record_send_close(sender->postgres, &record, err);
    }
    if (queued)
        note(sender, FLIGHT_CLOSE, index, 1);
    return queued;
}

bool sender_failed(struct sender *sender, size_t index, size_t n) {
    sender->stream.failed = true;
    sender->stream.broken = !postgres_alive(sender->postgres);
    sender->stream.failure = (struct flight){.kind = FLIGHT_STATEMENT, .item = index, .statement = n + 1};
    return false;
}

// COPY with its data cannot go through a pipeline: what is under way is waited for first.
static bool copy(struct sender *sender, size_t index, size_t n, struct error *err) {
    const struct statement *statement = sender->items[index].statements[n];
    if (!stream_drain(&sender->stream, err))
        return false;
    if (postgres_copy(sender->postgres, statement->text, statement->data, err))
        return true;
    return sender_failed(sender, index, n);
}

static bool sender_path(struct sender *sender, size_t index, bool back, struct error *err) {
    if (!session_send_path(sender->postgres, sender->order->pooled, back, err))
        return false;
    note(sender, FLIGHT_HOUSEKEEPING, index, SESSION_PATH);
    return true;
}

bool sender_statement(struct sender *sender, size_t index, size_t n, struct error *err) {
    const struct statement *statement = sender->items[index].statements[n];
    if (statement->kind == STATEMENT_COPY_IN ||
        (statement->text.length > 4 && !strncasecmp(statement->text.data, "COPY", 4)))
        return copy(sender, index, n, err);
    enum trace_session trace = trace_session(statement);
    text_clear(&sender->sql);
    text_append_view(&sender->sql, statement->text);
    return sender_plain(sender, FLIGHT_STATEMENT, index, n + 1, text_string(&sender->sql), err) &&
           (trace == TRACE_NOTHING || sender_path(sender, index, trace == TRACE_ROLE_LEFT, err));
}

bool sender_session(struct sender *sender, size_t index, size_t from, struct error *err) {
    for (size_t i = 0; i < from; i++)
        if (item_sets_session(sender->items[index].statements[i]) && !sender_statement(sender, index, i, err))
            return false;
    return true;
}
