// Pending migrations and their statements. When what is sent is left to apply.c.
#include "migrate/item.h"

#include "migrate/trace.h"

#include <string.h>
#include <strings.h>

// How much stays loaded. A loaded file takes an arena's block however small it is.
enum { KEEP_BYTES = 16 << 20, BLOCK_BYTES = 16 << 10 };

void item_unload(struct item *item) {
    arena_free(item->arena);
    item->arena = NULL;
}

bool item_load(struct item *item, const struct migration_set *set, struct error *err) {
    if (item->arena)
        return true;
    struct arena *arena = arena_new();
    bool back = item->file != item->migration->file;
    if (!(back ? migration_load_down : migration_load)(set, item->migration, arena, &item->script, err)) {
        arena_free(arena);
        return false;
    }
    item->arena = arena;
    item->statements = arena_array(arena, item->script.count + 1, sizeof(*item->statements));
    item->count = 0;
    for (size_t i = 0; i < item->script.count; i++)
        if (item->script.items[i].step > 0)
            item->statements[item->count++] = &item->script.items[i];
    return true;
}

// Its temporary tables went with the session of the run that was cut off.
static bool keeps_tables(const struct item *item, struct error *err) {
    struct view table = {0};
    size_t statement = trace_lost(item->statements, item->done, item->count, &table);
    if (statement == 0)
        return true;
    error_set(err, ERROR_MIGRATION_FAILED,
              "%s is applied up to statement %zu of %zu, and statement %zu needs the temporary table %.*s, which went "
              "with the session that made it",
              item->migration->file, item->done, item->count, statement, (int)table.length, table.data);
    text_copy(err->file, sizeof(err->file), view_of(item->migration->file));
    err->line = item->statements[statement - 1]->line;
    err->statement = (unsigned)statement;
    err->statements = (unsigned)item->count;
    cleanup_text struct text hint = TEXT(sizeof(err->hint) - 1);
    text_printf(&hint, "Leave the first %zu statements as they are, make and fill %.*s again after them, and deploy.",
                item->done, (int)table.length, table.data);
    text_copy(err->hint, sizeof(err->hint), view_of(text_string(&hint)));
    return false;
}

// The way back is one transaction with the end of the ledger's row.
static bool is_single(const struct item *item, struct error *err) {
    if (!item->stepwise)
        return true;
    error_set(err, ERROR_ROLLBACK_IMPOSSIBLE, "%s is more than one transaction, or none", item->file);
    text_copy(err->file, sizeof(err->file), view_of(item->file));
    return false;
}

// What is done of it must be what the file still says; what is not done may have been mended.
static bool resume(struct item *item, struct error *err) {
    const struct ledger_row *row = item->row;
    item->stepwise = !item->script.transactional;
    if (item->file != item->migration->file)
        return is_single(item, err);
    if (!row || row->state != LEDGER_PARTIAL)
        return true;
    bool former =
        item->migration->kind == MIGRATION_REPEATABLE && strcmp(row->checksum, item->migration->checksum) != 0;
    if (row->in_flight == row->done + 1 && (!former || row->in_flight_text))
        item->cut =
            (struct cut){row->in_flight, row->in_flight_hash, row->in_flight_text, row->in_flight_before, former};
    if (former) // from its beginning
        return true;
    item->stepwise = true;
    item->done = row->done;
    for (size_t i = 0; i < row->done; i++)
        if (i >= row->hash_count || i >= item->count || strcmp(row->hashes[i], item->statements[i]->hash) != 0) {
            error_set(err, ERROR_MIGRATION_CHANGED,
                      "%s is applied up to statement %zu of %zu, and statement %zu was changed since",
                      item->migration->file, row->done, row->statements, i + 1);
            text_copy(err->file, sizeof(err->file), view_of(item->migration->file));
            cleanup_text struct text hint = TEXT(sizeof(err->hint) - 1);
            text_printf(
                &hint,
                "What is applied in part cannot be accepted as it is now: put statement %zu back as it was; what "
                "is behind statement %zu may be changed.",
                i + 1, row->done);
            text_copy(err->hint, sizeof(err->hint), view_of(text_string(&hint)));
            return false;
        }
    return keeps_tables(item, err);
}

bool items_load(const struct migration_set *set, const struct plan *plan, struct arena *arena, struct item **ret_items,
                struct error *err) {
    struct item *items = arena_array(arena, plan->count + 1, sizeof(*items));
    uint64_t bytes = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct migration *migration = plan->items[i].migration;
        items[i] = (struct item){
            .migration = migration, .row = plan->items[i].row, .file = plan->back ? migration->down : migration->file};
        bytes += items[i].migration->size + BLOCK_BYTES;
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (!item_load(&items[i], set, err) || !resume(&items[i], err)) {
            items_free(items, plan->count);
            return false;
        }
        for (size_t n = items[i].count; n > items[i].done; n--) {
            if (item_is_alone(&items[i], n - 1))
                items[i].alone = n;
            if (trace_names(items[i].statements[n - 1]))
                items[i].names = n;
        }
        if (items[i].cut.statement > 0) // it has to be settled
            items[i].alone = items[i].cut.statement;
        if (bytes > KEEP_BYTES)
            item_unload(&items[i]);
    }
    *ret_items = items;
    return true;
}

void items_free(struct item *items, size_t count) {
    for (size_t i = 0; i < count; i++)
        item_unload(&items[i]);
}

size_t item_step_end(const struct item *item, size_t from) {
    size_t end = from + 1;
    while (end < item->count && item->statements[end]->step == item->statements[from]->step &&
           !item_is_alone(item, from) && !item_is_alone(item, end))
        end++;
    return end;
}

static bool mentions(struct view text, const char *word) {
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= text.length; i++)
        if (!strncasecmp(text.data + i, word, length))
            return true;
    return false;
}

bool item_sets_session(const struct statement *statement) {
    if (statement->operation == OPERATION_SET)
        return true;
    return statement->text.length < 1000 && statement->text.length > 6 && // pg_dump sets its search_path by a function
           !strncasecmp(statement->text.data, "SELECT", 6) && mentions(statement->text, "set_config(");
}

bool item_is_alone(const struct item *item, size_t n) {
    const struct statement *statement = item->statements[n];
    const struct cut *cut = &item->cut;
    return statement->kind == STATEMENT_NON_TRANSACTIONAL || item->outside == n + 1 ||
           (cut->statement == n + 1 && !cut->former && cut->hash && !strcmp(cut->hash, statement->hash));
}

bool item_may_go_outside(const struct item *item, size_t n, const char *sqlstate) {
    const struct statement *statement = item->statements[n];
    bool inside = false;
    for (const struct statement *other = item->script.items; other < statement; other++)
        inside = other->kind == STATEMENT_BEGIN || (inside && other->kind != STATEMENT_COMMIT);
    switch (statement->operation) {
    case OPERATION_CALL:
    case OPERATION_DO:
        return !inside && !strcmp(sqlstate, "2D000"); // invalid_transaction_termination
    case OPERATION_REINDEX_INDEX:
    case OPERATION_REINDEX_TABLE:
    case OPERATION_CLUSTER:
        return !inside && !strcmp(sqlstate, "25001"); // active_sql_transaction
    default:
        return false;
    }
}
