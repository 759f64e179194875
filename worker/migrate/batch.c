// Rounds, and what happens between them. A round costs one round trip: its end travels with the beginning of the next, unless there is
// something to wait for in between, when no transaction is open.
//
// A round that touches no row may only have met somebody who deleted those that it had found: it is no proof that none is left. The proof
// is one more round in REPEATABLE READ, where the same meeting is a conflict, and the round is tried again.
#include "migrate/batch.h"

#include "base/clock.h"
#include "migrate/control.h"
#include "migrate/home.h"
#include "migrate/ledger.h"

#include <inttypes.h>

enum {
    TELL_EVERY_MS = 500,
    NOTE_EVERY_MS = 2000, // in the run's row
    LAG_FIRST_MS = 100,   // between two looks at the standbys
    LAG_CAP_MS = 2000,
    WORDS_MAX = 300,
};

// ---- what is told ------------------------------------------------------------------------------------------------------

static void append_words(uint64_t rows, uint64_t rounds, struct text *out) {
    text_printf(out, "%" PRIu64 " row%s in %" PRIu64 " round%s", rows, rows == 1 ? "" : "s", rounds,
                rounds == 1 ? "" : "s");
}

void batch_words(const struct rounds *rounds, struct text *out) {
    append_words(rounds->rows, rounds->count, out);
}

static void tell(const struct sender *sender, enum run_event_kind kind, size_t index, const char *words) {
    const struct run_observer *observer = sender->order->observer;
    struct item *item = &sender->items[index];
    item->rounds.told_ms = clock_ms();
    if (observer)
        observer->event(observer->context, &(struct run_event){.kind = kind,
                                                               .migration = item->migration,
                                                               .done = sender->applied->count - sender->applied_before,
                                                               .total = sender->order->plan->count,
                                                               .statement = item->done,
                                                               .statements = item->count,
                                                               .ms = item->rounds.told_ms - item->rounds.began_ms,
                                                               .text = words,
                                                               .work_done = item->rounds.rows});
}

static void tell_rounds(const struct sender *sender, enum run_event_kind kind, size_t index) {
    cleanup_text struct text words = TEXT(WORDS_MAX);
    batch_words(&sender->items[index].rounds, &words);
    tell(sender, kind, index, text_string(&words));
}

bool batch_committed(struct sender *sender, size_t index) {
    struct item *item = &sender->items[index];
    struct rounds *rounds = &item->rounds;
    if (rounds->ending) {
        tell_rounds(sender, RUN_BATCHED, index);
        *rounds = (struct rounds){0};
        return false;
    }
    if (rounds->sent == 0 && !rounds->sure)
        return false;
    rounds->count += rounds->sent > 0;
    rounds->rows += rounds->sent;
    rounds->sent = 0;
    item->tries = 0;
    if (clock_ms() - rounds->told_ms >= TELL_EVERY_MS)
        tell_rounds(sender, RUN_PROGRESS, index);
    return true;
}

// ---- a round -----------------------------------------------------------------------------------------------------------

// True when the word that was left in the run's row is out of date.
static bool is_note_due(const struct rounds *rounds) {
    uint64_t last = rounds->noted_ms ? rounds->noted_ms : rounds->began_ms;
    return rounds->sure ? rounds->noted_ms > 0 : clock_ms() - last >= NOTE_EVERY_MS;
}

// What the run's row says becomes true with the round. It ends with the first round that touches no row: the second connection writes into
// the row too, which the last round would take for a conflict.
static bool send_note(struct sender *sender, size_t index, struct error *err) {
    struct rounds *rounds = &sender->items[index].rounds;
    cleanup_text struct text words = TEXT(WORDS_MAX);
    if (!is_note_due(rounds))
        return true;
    append_words(rounds->rows + rounds->sent, rounds->count + 1, &words);
    const char *values[] = {sender->order->run, rounds->sure ? NULL : text_string(&words)};
    if (!stream_room(&sender->stream, err) || !home_send(sender->postgres, LEDGER_PROGRESS, values, 2, err))
        return false;
    stream_sent(&sender->stream, (struct flight){.kind = FLIGHT_HOUSEKEEPING, .item = index});
    rounds->noted_ms = clock_ms();
    return true;
}

// How many rows the session has changed; the difference counts, because what earlier rounds changed may be in it. Always 0 once it has
// written to a table with a trigger for statements ($1: not counting the ledger's own): that may write for no row at all.
static const char changes_sql[] =
    "SELECT coalesce(pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_inserted(oid)"
    " + pg_catalog.pg_stat_get_xact_tuples_updated(oid) + pg_catalog.pg_stat_get_xact_tuples_deleted(oid)), 0)::bigint"
    " FROM pg_catalog.pg_class WHERE relkind = 'r' AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks"
    " JOIN pg_catalog.pg_trigger ON tgrelid = relation WHERE pid = pg_catalog.pg_backend_pid()"
    " AND mode = 'RowExclusiveLock' AND NOT tgisinternal AND tgtype & 1 = 0 AND relation IS DISTINCT FROM"
    " pg_catalog.to_regclass(pg_catalog.quote_ident($1) || '.migrations'))";

// Nothing is under way. A failure is about statement `n`.
static bool count_changes(struct sender *sender, size_t index, size_t n, uint64_t *ret_changes, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    const char *values[] = {home_schema(sender->postgres)};
    if (!postgres_query(sender->postgres, changes_sql, values, 1, &rows, err))
        return sender_failed(sender, index, n);
    if (!text_to_u64(view_of(postgres_value(rows, 0, 0)), INT64_MAX, ret_changes))
        *ret_changes = 0;
    return true;
}

// The server counts what the statement itself touches: nothing that a WITH changed, that a trigger put elsewhere, or a rule.
static bool fail_uncounted(struct sender *sender, size_t index, size_t n, uint64_t changes, struct error *err) {
    error_set(err, ERROR_MIGRATION_FAILED,
              "the batch says that it touches no row, and changed %" PRIu64 ": its end cannot be told", changes);
    text_copy(
        err->hint, sizeof(err->hint),
        VIEW("What a WITH changes, or a trigger or rule puts elsewhere, is not counted. Let the outermost statement "
             "change the rows that it looks for, and the WITH the others; or write into the table behind."));
    return sender_failed(sender, index, n);
}

static bool begin_round(struct sender *sender, size_t index, size_t n, struct error *err) {
    uint64_t before = 0, after = 0;
    bool sure = sender->items[index].rounds.sure;
    if ((sure && !stream_drain(&sender->stream, err)) || !sender_begin(sender, index, n, n + 1, err) ||
        (sure && (!stream_drain(&sender->stream, err) || !count_changes(sender, index, n, &before, err))) ||
        !sender_statement(sender, index, n, err) || !stream_drain(&sender->stream, err))
        return false;
    if (!sure || sender->touched > 0)
        return true;
    return count_changes(sender, index, n, &after, err) &&
           (after <= before || fail_uncounted(sender, index, n, after - before, err));
}

static bool end_round(struct sender *sender, size_t index, size_t n, struct error *err) {
    struct rounds *rounds = &sender->items[index].rounds;
    bool sure = rounds->sure;
    rounds->sent = sender->touched;
    rounds->ending = sender->touched == 0 && sure;
    rounds->sure = sender->touched == 0 && !sure;
    size_t done = rounds->ending ? n + 1 : n;
    return sender_reset(sender, index, err) && sender_close(sender, index, n, done, err) &&
           (sure || send_note(sender, index, err)) && sender_plain(sender, FLIGHT_COMMIT, index, done, "COMMIT", err);
}

// ---- between two -------------------------------------------------------------------------------------------------------

// The standby that is furthest behind; first whoever may not be seen. What receives without replaying (a backup, an archive) is no standby.
static const char standby_sql[] =
    "SELECT state IS NULL, coalesce(nullif(application_name, ''), host(client_addr), 'pid ' || pid),"
    " greatest(0, 1000 * extract(epoch FROM replay_lag))::bigint FROM pg_catalog.pg_stat_replication"
    " WHERE state IS NULL OR (replay_lsn IS NOT NULL AND state IN ('streaming', 'catchup'))"
    " ORDER BY 1 DESC, replay_lag DESC NULLS LAST LIMIT 1";

struct standby {
    bool hidden;
    char name[64];
    uint64_t lag_ms;
};

static bool slowest_standby(struct sender *sender, struct standby *ret_standby, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    struct standby standby = {0};
    if (!home_query_login(sender->postgres, standby_sql, NULL, 0, &rows, err))
        return false;
    if (postgres_row_count(rows) > 0) {
        const char *lag = postgres_value(rows, 0, 2);
        standby.hidden = *postgres_value(rows, 0, 0) == 't';
        text_copy(standby.name, sizeof(standby.name), view_of(postgres_value(rows, 0, 1)));
        if (lag && !text_to_u64(view_of(lag), INT64_MAX, &standby.lag_ms))
            standby.lag_ms = 0;
    }
    *ret_standby = standby;
    return true;
}

// Told to whoever listens, and to whoever asks the ledger.
static void tell_waiting(struct sender *sender, size_t index, const struct standby *standby) {
    struct rounds *rounds = &sender->items[index].rounds;
    cleanup_text struct text words = TEXT(2 * WORDS_MAX);
    text_printf(&words, "waits for standby %s, which is %" PRIu64 " s behind; ", standby->name, standby->lag_ms / 1000);
    batch_words(rounds, &words);
    if (clock_ms() - rounds->told_ms >= TELL_EVERY_MS)
        tell(sender, RUN_PROGRESS, index, text_string(&words));
    if (!is_note_due(rounds))
        return;
    const char *values[] = {sender->order->run, text_string(&words)};
    cleanup_rows struct postgres_rows *rows = NULL;
    struct error ignored = {0};
    if (home_query(sender->postgres, LEDGER_PROGRESS, values, 2, &rows, &ignored))
        rounds->noted_ms = clock_ms();
}

// Nothing is under way. A failure is about statement `n`.
static bool wait_for_standbys(struct sender *sender, size_t index, size_t n, struct error *err) {
    uint64_t max_lag_ms = sender->items[index].statements[n]->batch->max_lag_ms;
    for (unsigned look = 0; !control_stopped(sender->order->control); look++) {
        struct standby standby = {0};
        if (!slowest_standby(sender, &standby, err))
            return sender_failed(sender, index, n);
        if (standby.hidden) {
            error_set(err, ERROR_DATABASE_REFUSED,
                      "max_lag needs to see how far standbys are behind, and the worker's role may not");
            text_copy(err->hint, sizeof(err->hint), VIEW("GRANT pg_monitor TO the worker's role"));
            return sender_failed(sender, index, n);
        }
        if (standby.lag_ms <= max_lag_ms)
            return true;
        tell_waiting(sender, index, &standby);
        control_sleep(sender->order->control, control_pause(look, LAG_FIRST_MS, LAG_CAP_MS));
    }
    return true;
}

// The session is ours between two transactions too, under its name and without the time limits that would end it, unless there is a
// pooler.
static bool rest(struct sender *sender, size_t index, size_t n, struct error *err) {
    const struct batch *batch = sender->items[index].statements[n]->batch;
    if ((!sender->order->pooled && !sender_settings(sender, index, n + 1, err)) || !stream_drain(&sender->stream, err))
        return false;
    control_sleep(sender->order->control, batch->pause_ms);
    return batch->max_lag_ms == 0 || wait_for_standbys(sender, index, n, err);
}

static bool stop(struct sender *sender, size_t index, struct error *err) {
    struct item *item = &sender->items[index];
    cleanup_text struct text words = TEXT(WORDS_MAX);
    if (!stream_drain(&sender->stream, err))
        return false;
    batch_words(&item->rounds, &words);
    error_set(err, ERROR_SHUTTING_DOWN, "%s: shutting down after %s of its batch", item->file, text_string(&words));
    text_copy(err->file, sizeof(err->file), view_of(item->file));
    return false;
}

bool batch_apply(struct sender *sender, size_t index, size_t n, struct error *err) {
    struct item *item = &sender->items[index];
    struct rounds *rounds = &item->rounds;
    const struct batch *batch = item->statements[n]->batch;
    bool rests = sender->order->pooled || batch->pause_ms > 0 || batch->max_lag_ms > 0;
    if (rounds->ending && !stream_drain(&sender->stream, err)) // the batch before this one
        return false;
    rounds->sent = 0;
    rounds->ending = false;
    if (rounds->began_ms == 0)
        rounds->began_ms = rounds->told_ms = clock_ms();
    if (batch->max_lag_ms > 0 && (!stream_drain(&sender->stream, err) || !wait_for_standbys(sender, index, n, err)))
        return false;
    while (!rounds->ending) {
        if (control_stopped(sender->order->control))
            return stop(sender, index, err);
        if (!begin_round(sender, index, n, err) || !end_round(sender, index, n, err) ||
            (rests && !rounds->ending && !rounds->sure && !rest(sender, index, n, err)))
            return false;
    }
    if (n + 1 == item->count && !sender_clean(sender, index, err))
        return false;
    return !sender->order->pooled || stream_drain(&sender->stream, err);
}
