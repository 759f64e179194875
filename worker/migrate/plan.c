// The comparison of files and ledger, and the rules about it. Pure.
#include "migrate/plan.h"

#include <stdlib.h>
#include <string.h>

// Identity and order of a migration: versioned by number, then repeatable by name.
static int identity_compare(enum migration_kind kind_a, const char *a, enum migration_kind kind_b, const char *b) {
    if (kind_a != kind_b)
        return kind_a == MIGRATION_VERSIONED ? -1 : 1;
    return kind_a == MIGRATION_VERSIONED ? version_compare(a, b) : strcmp(a, b);
}

static int row_order(const void *a, const void *b) {
    const struct ledger_row *left = *(const struct ledger_row *const *)a, *right = *(const struct ledger_row *const *)b;
    return identity_compare(left->kind, left->version, right->kind, right->version);
}

static const struct ledger_row **sorted_rows(const struct ledger *ledger, struct arena *arena) {
    const struct ledger_row **rows = arena_array(arena, ledger->count + 1, sizeof(struct ledger_row *));
    for (size_t i = 0; i < ledger->count; i++)
        rows[i] = &ledger->rows[i];
    if (ledger->count > 1)
        qsort(rows, ledger->count, sizeof(struct ledger_row *), row_order);
    return rows;
}

static const char *newest_applied(const struct ledger *ledger, const struct ledger_row **rows) {
    const char *newest = NULL;
    for (size_t i = 0; i < ledger->count && rows[i]->kind == MIGRATION_VERSIONED; i++)
        if (rows[i]->state == LEDGER_APPLIED)
            newest = rows[i]->version;
    return newest;
}

static const char *newest_file(const struct migration_set *set) {
    const char *newest = NULL;
    for (size_t i = 0; i < set->count && set->items[i].kind == MIGRATION_VERSIONED; i++)
        newest = set->items[i].version;
    return newest;
}

static bool newer(const char *a, const char *b) {
    return a && (!b || version_compare(a, b) > 0);
}

static const char *state_of(const struct migration *migration, const struct ledger_row *row, const char *newest_row,
                            const char *newest_migration) {
    bool repeatable = (migration ? migration->kind : row->kind) == MIGRATION_REPEATABLE;
    if (!migration && row->state == LEDGER_PARTIAL)
        return "partial";
    if (!migration) // a repeatable file that is gone, or what a newer release brought, is no reason to stop
        return repeatable || newer(row->version, newest_migration) ? "applied" : "missing";
    if (!row)
        return repeatable || newer(migration->version, newest_row) ? "pending" : "out_of_order";
    if (row->state == LEDGER_PARTIAL)
        return "partial";
    if (strcmp(row->checksum, migration->checksum) != 0)
        return repeatable ? "pending" : "changed";
    return "applied";
}

void plan_compare(const struct migration_set *set, const struct ledger *ledger, struct arena *arena,
                  struct plan_status **ret_items, size_t *ret_count) {
    const struct ledger_row **rows = sorted_rows(ledger, arena);
    const char *newest_row = newest_applied(ledger, rows), *newest_migration = newest_file(set);
    struct plan_status *items = arena_array(arena, set->count + ledger->count + 1, sizeof(*items));
    size_t count = 0;
    for (size_t i = 0, j = 0; i < set->count || j < ledger->count;) {
        const struct migration *migration = i < set->count ? &set->items[i] : NULL;
        const struct ledger_row *row = j < ledger->count ? rows[j] : NULL;
        int order = !row         ? -1
                    : !migration ? 1
                                 : identity_compare(migration->kind, migration->version, row->kind, row->version);
        struct plan_status *item = &items[count++];
        item->migration = order <= 0 ? migration : NULL;
        item->row = order >= 0 ? row : NULL;
        item->state = state_of(item->migration, item->row, newest_row, newest_migration);
        i += order <= 0;
        j += order >= 0;
    }
    *ret_items = items;
    *ret_count = count;
}

static void begun_and_gone(const struct ledger_row *row, struct error *err) {
    error_set(err, ERROR_MIGRATION_MISSING, "%s is applied in part (%zu of %zu statements), and its file is gone",
              row->file, row->done, row->statements);
    cleanup_text struct text hint = TEXT(sizeof(err->hint) - 1);
    text_printf(&hint, "Restore %s, or deploy the release that has it: the next run finishes it from statement %zu on.",
                row->file, row->done + 1);
    text_copy(err->hint, sizeof(err->hint), view_of(text_string(&hint)));
}

static bool wrong(const struct plan_status *item, const char *newest_row, struct error *err) {
    if (!strcmp(item->state, "changed"))
        error_set(err, ERROR_MIGRATION_CHANGED, "%s was changed after it was applied%s%s", item->migration->file,
                  item->row->run ? " by run " : "", item->row->run ? item->row->run : "");
    else if (!strcmp(item->state, "missing"))
        error_set(err, ERROR_MIGRATION_MISSING, "version %s (%s) is applied, but its file is gone", item->row->version,
                  item->row->file);
    else if (!strcmp(item->state, "partial")) // with its file it would be pending
        begun_and_gone(item->row, err);
    else if (!strcmp(item->state, "out_of_order"))
        error_set(err, ERROR_MIGRATION_OUT_OF_ORDER, "%s was never applied, but the newer version %s is",
                  item->migration->file, newest_row);
    else
        return false;
    text_copy(err->file, sizeof(err->file), view_of(item->migration ? item->migration->file : item->row->file));
    return true;
}

static bool knows(const struct plan_status *items, size_t count, const char *to) {
    for (size_t i = 0; i < count; i++) {
        const struct plan_status *item = &items[i];
        if ((item->migration ? item->migration->kind : item->row->kind) == MIGRATION_VERSIONED &&
            version_compare(item->migration ? item->migration->version : item->row->version, to) == 0)
            return true;
    }
    return false;
}

bool plan_make(const struct migration_set *set, const struct ledger *ledger, const struct plan_options *options,
               struct arena *arena, struct plan *ret_plan, struct error *err) {
    struct plan_status *items = NULL;
    size_t count = 0;
    plan_compare(set, ledger, arena, &items, &count);
    if (options->to && !knows(items, count, options->to))
        return error_set(err, ERROR_VERSION_UNKNOWN, "there is no version %s", options->to);
    const char *newest_row = newest_applied(ledger, sorted_rows(ledger, arena));
    bool superseded = newer(newest_row, newest_file(set)), behind = false;
    struct plan plan = {.items = arena_array(arena, count + 1, sizeof(*plan.items)), .newest = newest_row};
    for (size_t i = 0; i < count; i++) {
        const struct plan_status *item = &items[i];
        bool repeatable = (item->migration ? item->migration->kind : item->row->kind) == MIGRATION_REPEATABLE;
        bool beyond =
            options->to && !repeatable && item->migration && version_compare(item->migration->version, options->to) > 0;
        plan.applied += item->row && item->row->state == LEDGER_APPLIED;
        bool pending = item->migration && (!strcmp(item->state, "pending") || !strcmp(item->state, "partial") ||
                                           (options->out_of_order && !strcmp(item->state, "out_of_order")));
        if (pending && (beyond || (repeatable && (behind || superseded))))
            behind = true;
        else if (pending)
            plan.items[plan.count++] = (struct plan_item){item->migration, item->row};
        else if (!beyond && wrong(item, newest_row, err))
            return false;
    }
    plan.superseded = superseded && plan.count == 0;
    plan.complete = !superseded && !behind;
    *ret_plan = plan;
    return true;
}

// ---- and back ----------------------------------------------------------------------------------------------------------

const char *plan_floor(const struct ledger *ledger, size_t steps, struct arena *arena) {
    const struct ledger_row **rows = sorted_rows(ledger, arena);
    size_t versioned = 0;
    while (versioned < ledger->count && rows[versioned]->kind == MIGRATION_VERSIONED)
        versioned++;
    return steps < versioned ? rows[versioned - steps - 1]->version : NULL;
}

static bool has_way_back(const struct plan_status *item, struct error *err) {
    const struct migration *migration = item->migration;
    if (!strcmp(item->state, "changed") || !strcmp(item->state, "missing"))
        return !wrong(item, NULL, err);
    if (item->row->state == LEDGER_PARTIAL)
        error_set(err, ERROR_ROLLBACK_IMPOSSIBLE, "%s is applied in part: let a run finish it first", item->row->file);
    else if (!migration)
        error_set(err, ERROR_ROLLBACK_IMPOSSIBLE, "version %s (%s) is applied, and its files are not here",
                  item->row->version, item->row->file);
    else if (!migration->down)
        error_set(err, ERROR_ROLLBACK_IMPOSSIBLE, "%s has no down file", migration->file);
    else
        return true;
    text_copy(err->file, sizeof(err->file), view_of(migration ? migration->file : item->row->file));
    return false;
}

bool plan_back(const struct migration_set *set, const struct ledger *ledger, const char *floor, struct arena *arena,
               struct plan *ret_plan, struct error *err) {
    struct plan_status *items = NULL;
    size_t count = 0;
    plan_compare(set, ledger, arena, &items, &count);
    if (floor && strcmp(floor, "0") != 0 && !knows(items, count, floor))
        return error_set(err, ERROR_VERSION_UNKNOWN, "there is no version %s", floor);
    struct plan plan = {.items = arena_array(arena, count + 1, sizeof(*plan.items)), .back = true};
    for (size_t i = count; i > 0; i--) {
        const struct plan_status *item = &items[i - 1];
        const struct ledger_row *row = item->row;
        plan.applied += row && row->state == LEDGER_APPLIED;
        if (!row || row->kind != MIGRATION_VERSIONED)
            continue;
        if (floor && version_compare(row->version, floor) <= 0)
            plan.newest = plan.newest || row->state != LEDGER_APPLIED ? plan.newest : row->version;
        else if (has_way_back(item, err))
            plan.items[plan.count++] = (struct plan_item){item->migration, row};
        else
            return false;
    }
    *ret_plan = plan;
    return true;
}
