// What is recorded without being run. All rows come in one command, so that it is all or nothing.
#include "migrate/adopt.h"

#include "base/json.h"
#include "migrate/home.h"
#include "migrate/ledger.h"
#include "migrate/lock.h"

#include <string.h>

static const char adopt_sql[] =
    "WITH changed AS (UPDATE {ledger}.state SET digest = NULL WHERE digest IS NOT NULL)"
    " INSERT INTO {ledger}.migrations (kind, version, name, file, checksum, state, statements, done, run, finished_at)"
    " SELECT 'versioned', version, name, file, checksum, 'applied', 0, 0, $2, pg_catalog.clock_timestamp()"
    " FROM pg_catalog.json_to_recordset($1::json) AS f (version text, name text, file text, checksum text)"
    " WHERE " LOCK_IS_OURS " RETURNING version";

struct adoption {
    const char *baseline, *run;
};

// What the ledger has must be what the files say.
static bool agrees(const struct plan_status *item, struct error *err) {
    const struct ledger_row *row = item->row;
    if (!strcmp(item->state, "changed"))
        error_set(err, ERROR_MIGRATION_CHANGED, "the ledger has another text of %s already", item->migration->file);
    else if (!strcmp(item->state, "missing"))
        error_set(err, ERROR_MIGRATION_MISSING, "the ledger has version %s (%s) already, and there is no such file",
                  row->version, row->file);
    else if (row && row->state == LEDGER_PARTIAL)
        error_set(err, ERROR_MIGRATION_CUT_OFF, "%s is applied in part: let a run finish it first", row->file);
    else
        return true;
    text_copy(err->file, sizeof(err->file), view_of(item->migration ? item->migration->file : row->file));
    return false;
}

// The rows to come, as JSON and for the report.
static bool choose(const struct migration_set *set, const struct ledger *ledger, const char *baseline,
                   struct arena *arena, struct text *rows, struct run_report *report, struct error *err) {
    struct plan_status *items = NULL;
    size_t count = 0;
    bool known = false;
    struct json_writer writer = JSON_WRITER(rows);
    plan_compare(set, ledger, arena, &items, &count);
    report->items = arena_array(arena, count + 1, sizeof(*report->items));
    json_begin_array(&writer, NULL);
    for (size_t i = 0; i < count; i++) {
        const struct migration *migration = items[i].migration;
        if (!agrees(&items[i], err))
            return false;
        if (!migration || migration->kind != MIGRATION_VERSIONED || version_compare(migration->version, baseline) > 0)
            continue;
        if (version_compare(migration->version, baseline) == 0) {
            known = true;
            report->version = migration->version;
        }
        if (items[i].row)
            continue;
        json_begin_object(&writer, NULL);
        json_put_string(&writer, "version", migration->version);
        json_put_string(&writer, "name", migration->name);
        json_put_string(&writer, "file", migration->file);
        json_put_string(&writer, "checksum", migration->checksum);
        json_end_object(&writer);
        report->items[report->count++] = (struct run_item){
            .version = migration->version, .name = migration->name, .file = migration->file, .state = "adopted"};
    }
    json_end_array(&writer);
    return known || error_set(err, ERROR_VERSION_UNKNOWN, "there is no version %s among the files", baseline);
}

static bool adopt(void *context, struct postgres *postgres, const struct migration_set *set, struct arena *arena,
                  struct run_report *report, struct error *err) {
    const struct adoption *adoption = context;
    struct ledger ledger = {0};
    cleanup_text struct text json = TEXT(256 << 20);
    cleanup_rows struct postgres_rows *rows = NULL;
    if (!ledger_read(postgres, arena, &ledger, err) ||
        !choose(set, &ledger, adoption->baseline, arena, &json, report, err))
        return false;
    report->applied_before = ledger.count;
    for (size_t i = 0; i < ledger.count; i++)
        if (ledger.rows[i].kind == MIGRATION_VERSIONED && version_compare(ledger.rows[i].version, report->version) > 0)
            report->version = ledger.rows[i].version;
    const char *values[] = {text_string(&json), adoption->run};
    if (!home_query(postgres, adopt_sql, values, 2, &rows, err))
        return error_wrap(err, "cannot record the baseline");
    return postgres_row_count(rows) == report->count ||
           error_set(err, ERROR_LOCK_LOST, "the session no longer holds the lock; nothing was recorded");
}

bool adopt_execute(struct run_database *database, const struct migration_set *set, const char *baseline,
                   struct run_request *request, const struct run_observer *observer, struct run_control *control,
                   struct arena *arena, struct run_report *ret_report, struct error *err) {
    struct adoption adoption = {.baseline = baseline, .run = request->id};
    struct run_errand errand = {.state = "adopted", .work = adopt, .context = &adoption};
    request->errand = &errand;
    bool done = run_execute(database, set, request, observer, control, arena, ret_report, err);
    request->errand = NULL;
    return done;
}
