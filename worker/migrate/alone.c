// Statements outside a transaction, one at a time. How each kind is settled is recover.c's business.
#include "migrate/alone.h"

#include "migrate/recover.h"

#include <string.h>

// Back to the session in which the file's names mean what they mean in the file. `alone` as in sender_settings.
static bool enter(struct sender *sender, size_t index, size_t n, size_t alone, struct error *err) {
    return sender_settings(sender, index, alone, err) && sender_session(sender, index, n, err) &&
           stream_drain(&sender->stream, err);
}

// `statement`: what was cut off; NULL: it is not known, and the file says something else now.
static bool ask(const struct item *item, const struct statement *statement, struct error *err) {
    size_t n = item->cut.statement;
    const char *file = item->migration->file, *tag = !statement       ? "changed since"
                                                     : statement->tag ? statement->tag
                                                                      : "not analysed";
    unsigned line = n <= item->count ? item->statements[n - 1]->line : 0;
    if (line > 0)
        error_set(err, ERROR_MIGRATION_CUT_OFF,
                  "%s, line %u: statement %zu of %zu (%s) was cut off; did it take effect?", file, line, n, item->count,
                  tag);
    else
        error_set(err, ERROR_MIGRATION_CUT_OFF,
                  "%s: statement %zu of its former text (%s) was cut off; did it take effect?", file, n, tag);
    text_copy(err->file, sizeof(err->file), view_of(file));
    err->line = line;
    err->statement = (unsigned)n;
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
static bool settle(struct sender *sender, size_t index, bool *ret_done, struct error *err) {
    struct item *item = &sender->items[index];
    const struct cut *cut = &item->cut;
    const struct statement *statement =
        !cut->former && cut->statement <= item->count ? item->statements[cut->statement - 1] : NULL;
    bool same = statement && cut->hash && !strcmp(cut->hash, statement->hash);
    struct script old = {0};
    if (!same) {
        struct error unreadable = {0};
        if (!cut->text || !script_parse(item->migration->file, view_of(cut->text), item->arena, &old, &unreadable) ||
            old.count != 1)
            return ask(item, NULL, err);
        statement = &old.items[0];
    }
    enum recover_verdict verdict = RECOVER_UNKNOWN;
    if (!recover_settle(sender->postgres, statement, cut->before, same, &verdict, err))
        return error_wrap(err, "%s, statement %zu was cut off", item->migration->file, cut->statement);
    if (verdict == RECOVER_UNKNOWN)
        return ask(item, statement, err);
    *ret_done = verdict == RECOVER_DONE && same;
    return true;
}

bool alone_clear(struct sender *sender, size_t index, struct error *err) {
    struct item *item = &sender->items[index];
    size_t before = item->cut.statement - 1;
    bool done = false; // not this statement: the file does not say it again
    if (!stream_drain(&sender->stream, err) ||
        !enter(sender, index, before < item->count ? before : item->count, 0, err) ||
        !settle(sender, index, &done, err) || !sender_reset(sender, index, err) || !stream_drain(&sender->stream, err))
        return false;
    item->cut = (struct cut){0};
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
    item->cut =
        (struct cut){.statement = flight.statement, .hash = flight.hash, .text = flight.text, .before = flight.before};
    return true;
}

bool alone_apply(struct sender *sender, size_t index, size_t n, struct error *err) {
    struct item *item = &sender->items[index];
    const struct statement *statement = item->statements[n];
    const char *before = NULL;
    bool done = false;
    if (!stream_drain(&sender->stream, err) || !enter(sender, index, n, n + 1, err))
        return false;
    if (item->cut.statement == n + 1 && !settle(sender, index, &done, err))
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
    return enter(sender, index, n, n + 1, &ignored) && settle(sender, index, &done, &ignored) && !done;
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
