// Statements outside a transaction, one at a time. How each kind is settled is recover.c's business.
#include "migrate/alone.h"

#include "migrate/recover.h"

#include <string.h>

// Back to the session in which the file's names mean what they mean in the file.
static bool enter(struct sender *sender, size_t index, size_t n, struct error *err) {
    return sender_settings(sender, index, n + 1, err) && sender_session(sender, index, n, err) &&
           stream_drain(&sender->stream, err);
}

static bool ask(const struct item *item, size_t n, struct error *err) {
    const struct statement *statement = item->statements[n];
    const char *file = item->migration->file;
    error_set(err, ERROR_MIGRATION_CUT_OFF, "%s, line %u: statement %zu of %zu (%s) was cut off; did it take effect?",
              file, statement->line, n + 1, item->count, statement->tag ? statement->tag : "not analysed");
    text_copy(err->file, sizeof(err->file), view_of(file));
    err->line = statement->line;
    err->statement = (unsigned)n + 1;
    err->statements = (unsigned)item->count;
    cleanup_text struct text hint = TEXT(sizeof(err->hint) - 1);
    text_printf(
        &hint,
        "When it did: pawl repair --done %s. When it did not, undo what is left of it and: pawl repair --again %s. "
        "Then deliver the message again.",
        file, file);
    text_copy(err->hint, sizeof(err->hint), view_of(text_string(&hint)));
    return false;
}

// What was cut off need not be what the file says now: the file may have been mended.
static bool settle(struct sender *sender, size_t index, size_t n, bool *ret_done, struct error *err) {
    struct item *item = &sender->items[index];
    const struct statement *statement = item->statements[n];
    bool same = item->cut.hash && !strcmp(item->cut.hash, statement->hash);
    struct script old = {0};
    if (!same) {
        struct error unreadable = {0};
        if (!item->cut.text ||
            !script_parse(item->migration->file, view_of(item->cut.text), item->arena, &old, &unreadable) ||
            old.count != 1)
            return ask(item, n, err);
        statement = &old.items[0];
    }
    enum recover_verdict verdict = RECOVER_UNKNOWN;
    if (!recover_settle(sender->postgres, statement, item->cut.before, same, &verdict, err))
        return error_wrap(err, "%s, statement %zu was cut off", item->migration->file, n + 1);
    if (verdict == RECOVER_UNKNOWN)
        return ask(item, n, err);
    *ret_done = verdict == RECOVER_DONE && same;
    return true;
}

// From here on a crash leaves word in the ledger of what was under way.
static bool announce(struct sender *sender, size_t index, size_t n, const char *before, struct error *err) {
    struct item *item = &sender->items[index];
    const struct statement *statement = item->statements[n];
    struct record_flight flight = {.statement = n + 1,
                                   .hash = statement->hash,
                                   .text = recover_keeps_text(statement)
                                               ? arena_copy(item->arena, statement->text.data, statement->text.length)
                                               : NULL,
                                   .before = before};
    if (!sender_reset(sender, index, err) || !sender_settings(sender, index, n + 1, err) ||
        !sender_open(sender, index, n, &flight, err) || !stream_drain(&sender->stream, err))
        return false;
    item->cut = (struct cut){flight.statement, flight.hash, flight.text, flight.before};
    return true;
}

bool alone_apply(struct sender *sender, size_t index, size_t n, struct error *err) {
    struct item *item = &sender->items[index];
    const struct statement *statement = item->statements[n];
    const char *before = NULL;
    bool done = false;
    if (!stream_drain(&sender->stream, err) || !enter(sender, index, n, err))
        return false;
    if (item->cut.statement == n + 1 && !settle(sender, index, n, &done, err))
        return false;
    if ((!done && !recover_prepare(sender->postgres, statement, item->arena, &before, err)) ||
        !announce(sender, index, n, before, err))
        return false;
    sender->alone = n + 1;
    if (!done) {
        if (!sender_session(sender, index, n, err) || !stream_drain(&sender->stream, err) ||
            !sender_statement(sender, index, n, err) || !stream_drain(&sender->stream, err))
            return false;
        if (!recover_verify(sender->postgres, statement, before, err))
            return sender_failed(sender, index, n);
    }
    if (!sender_reset(sender, index, err) || !sender_close(sender, index, n, n + 1, err) ||
        !stream_drain(&sender->stream, err))
        return false;
    if (n + 1 == item->count && (!sender_clean(sender, index, err) || !stream_drain(&sender->stream, err)))
        return false;
    sender->alone = 0;
    item->cut = (struct cut){0};
    sender_committed(sender, index, n + 1);
    return true;
}

static bool mop_up(struct sender *sender, size_t index, size_t n) {
    struct error ignored = {0};
    bool done = false;
    return enter(sender, index, n, &ignored) && settle(sender, index, n, &done, &ignored) && !done;
}

bool alone_refused(struct sender *sender, size_t index, const struct error *error) {
    struct item *item = &sender->items[index];
    size_t n = sender->alone - 1;
    sender->alone = 0;
    if (recover_leaves_traces(item->statements[n], error->sqlstate) &&
        (error->code == ERROR_SHUTTING_DOWN || !mop_up(sender, index, n)))
        return false;
    struct error ignored = {0};
    struct record record = sender_record(sender, index);
    if (!sender_reset(sender, index, &ignored) || !stream_drain(&sender->stream, &ignored) ||
        !record_send_undone(sender->postgres, &record, n + 1, &ignored))
        return false;
    stream_sent(&sender->stream, (struct flight){.kind = FLIGHT_HOUSEKEEPING, .item = index});
    item->cut = (struct cut){0};
    return stream_drain(&sender->stream, &ignored);
}
