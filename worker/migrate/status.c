// `pawl status`: files and ledger side by side. Reads only.
#include "migrate/control.h"
#include "migrate/database.h"
#include "migrate/ledger.h"
#include "migrate/plan.h"
#include "migrate/run.h"

static bool read_ledger(struct postgres *postgres, struct arena *arena, struct ledger *ret_ledger, struct error *err) {
    bool exists = false;
    return ledger_look(postgres, &exists, err) && (!exists || ledger_read(postgres, arena, ret_ledger, err));
}

bool run_status(struct run_database *database, const struct migration_set *set, struct run_control *control,
                struct arena *arena, struct status_item **ret_items, size_t *ret_count, struct error *err) {
    struct postgres *postgres = NULL;
    bool warm = false;
    if (!database_take(database, control, &postgres, &warm, err))
        return false;
    struct control_entry entry = {.postgres = postgres};
    struct ledger ledger = {0};
    control_enter(control, &entry);
    bool done = read_ledger(postgres, arena, &ledger, err);
    control_leave(control, &entry);
    if (done)
        database_put(database, postgres);
    else
        postgres_close(postgres);
    if (!done)
        return false;
    struct plan_status *compared = NULL;
    size_t count = 0;
    plan_compare(set, &ledger, arena, &compared, &count);
    struct status_item *items = arena_array(arena, count + 1, sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        const struct migration *migration = compared[i].migration;
        const struct ledger_row *row = compared[i].row;
        items[i] = (struct status_item){
            .version = migration ? migration->version : row->version,
            .name = migration ? migration->name : row->name,
            .file = migration ? migration->file : row->file,
            .state = compared[i].state,
            .applied_at = row ? row->applied_at : NULL,
            .run = row ? row->run : NULL,
            .repeatable = (migration ? migration->kind : row->kind) == MIGRATION_REPEATABLE,
        };
    }
    *ret_items = items;
    *ret_count = count;
    return true;
}
