// Statements to effects, and one query for all sizes.
#include "migrate/forecast.h"

#include "base/json.h"
#include "migrate/home.h"

#include <string.h>

// ---- what the statements do --------------------------------------------------------------------------------------------

static struct forecast_relation *intern(struct forecaster *forecaster, const char *name) {
    for (size_t i = forecaster->relation_count; i > 0; i--)
        if (!strcmp(forecaster->relations[i - 1]->name, name))
            return forecaster->relations[i - 1];
    if (forecaster->relation_count == forecaster->relation_capacity) {
        size_t capacity = forecaster->relation_capacity ? 2 * forecaster->relation_capacity : 16;
        struct forecast_relation **relations =
            arena_array(forecaster->arena, capacity, sizeof(struct forecast_relation *));
        if (forecaster->relation_count > 0)
            memcpy(relations, forecaster->relations, forecaster->relation_count * sizeof(struct forecast_relation *));
        forecaster->relations = relations;
        forecaster->relation_capacity = capacity;
    }
    struct forecast_relation *relation = arena_alloc(forecaster->arena, sizeof(*relation));
    *relation = (struct forecast_relation){.name = arena_string(forecaster->arena, name), .bytes = -1, .rows = -1};
    return forecaster->relations[forecaster->relation_count++] = relation;
}

static const struct batch *copy_of(const struct batch *batch, struct arena *arena) {
    struct batch *copy = batch ? arena_alloc(arena, sizeof(*copy)) : NULL;
    if (copy)
        *copy = *batch;
    return copy;
}

static void tell_effects(struct forecaster *forecaster, const struct statement *statement,
                         struct forecast_statement *told, struct forecast *forecast) {
    told->effects = arena_array(forecaster->arena, statement->action_count + 1, sizeof(*told->effects));
    for (size_t i = 0; i < statement->action_count; i++) {
        const struct action *action = &statement->actions[i];
        if (action->kind == ACTION_DEFINE_COLUMN)
            continue; // goes without saying with a new table
        if (forecaster->effects >= FORECAST_EFFECTS_MAX) {
            forecast->effects_left_out++;
            continue;
        }
        forecaster->effects++;
        bool named = action->relation && strlen(action->relation) <= FORECAST_NAME_MAX;
        told->effects[told->effect_count++] =
            (struct forecast_effect){.kind = action->kind,
                                     .mode = action->mode,
                                     .work = action->work,
                                     .relation = named ? intern(forecaster, action->relation) : NULL};
    }
}

static void tell_hazards(struct forecaster *forecaster, const struct findings *findings,
                         const struct statement *statement, struct forecast_statement *told,
                         struct forecast *forecast) {
    size_t first = 0, count = 0;
    while (first < findings->count && findings->items[first].statement != statement)
        first++;
    while (first + count < findings->count && findings->items[first + count].statement == statement)
        count++;
    told->hazards = arena_array(forecaster->arena, count + 1, sizeof(*told->hazards));
    for (size_t i = first; i < first + count; i++) {
        const struct finding *finding = &findings->items[i];
        if (finding->waiver)
            continue;
        if (forecaster->hazards >= FORECAST_HAZARDS_MAX) {
            forecast->hazards_left_out++;
            continue;
        }
        forecaster->hazards++;
        char subject[2 * FORECAST_NAME_MAX];
        text_copy(subject, sizeof(subject), view_of(finding->subject));
        told->hazards[told->hazard_count++] =
            (struct forecast_hazard){.hazard = finding->hazard,
                                     .line = finding->line,
                                     .subject = *subject ? arena_string(forecaster->arena, subject) : NULL};
    }
}

void forecast_item(struct forecaster *forecaster, const struct item *item, struct forecast *ret_forecast) {
    struct forecast forecast = {.total = item->count - item->done, .resumed = item->done > 0};
    struct findings findings = {0};
    cleanup_arena struct arena *scratch = arena_new();
    size_t room = FORECAST_STATEMENTS_MAX - forecaster->statements;
    forecast.count = forecast.total < FORECAST_FILE_MAX ? forecast.total : FORECAST_FILE_MAX;
    forecast.count = forecast.count < room ? forecast.count : room;
    forecast.statements = arena_array(forecaster->arena, forecast.count + 1, sizeof(*forecast.statements));
    if (forecast.count > 0)
        hazard_lint(&item->script, scratch, &findings);
    for (size_t i = 0; i < forecast.count; i++) {
        const struct statement *statement = item->statements[item->done + i];
        struct forecast_statement *told = &forecast.statements[i];
        *told = (struct forecast_statement){.line = statement->line,
                                            .tag = arena_string(forecaster->arena, statement->tag),
                                            .alone = item_is_alone(item, item->done + i),
                                            .batch = copy_of(statement->batch, forecaster->arena)};
        tell_effects(forecaster, statement, told, &forecast);
        tell_hazards(forecaster, &findings, statement, told, &forecast);
    }
    forecaster->statements += forecast.count;
    *ret_forecast = forecast;
}

// A hazard's subject is a relation, or a relation and its column.
static bool is_absent(const struct forecaster *forecaster, const char *subject) {
    for (size_t i = 0; i < forecaster->relation_count && subject; i++) {
        const struct forecast_relation *relation = forecaster->relations[i];
        size_t length = strlen(relation->name);
        if (relation->presence == FORECAST_ABSENT && !strncmp(subject, relation->name, length) &&
            (subject[length] == '\0' || subject[length] == '.'))
            return true;
    }
    return false;
}

void forecast_settle(const struct forecaster *forecaster, struct forecast *forecast) {
    for (size_t i = 0; i < forecast->count; i++) {
        struct forecast_statement *statement = &forecast->statements[i];
        size_t kept = 0;
        for (size_t n = 0; n < statement->hazard_count; n++)
            if (!is_absent(forecaster, statement->hazards[n].subject))
                statement->hazards[kept++] = statement->hazards[n];
        statement->hazard_count = kept;
    }
}

// ---- how large it is ---------------------------------------------------------------------------------------------------

// Only the catalog is read: pg_total_relation_size would queue behind whoever holds the relation. What has leaves (partitions, heirs) is
// the sum of them; a relation that was never analysed has -1 tuples (since PostgreSQL 14).
static const char sizes_sql[] =
    "WITH RECURSIVE asked AS MATERIALIZED (SELECT n, pg_catalog.to_regclass(name)::oid AS oid"
    "  FROM pg_catalog.jsonb_array_elements_text($1::jsonb) WITH ORDINALITY AS u (name, n)),"
    " family (n, oid) AS (SELECT n, oid FROM asked WHERE oid IS NOT NULL UNION"
    "  SELECT f.n, i.inhrelid FROM family f JOIN pg_catalog.pg_inherits i ON i.inhparent = f.oid),"
    " sized AS (SELECT f.n, c.reltuples, c.relpages::bigint"
    "  + coalesce((SELECT sum(i.relpages) FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid"
    "    WHERE x.indrelid = c.oid), 0)"
    "  + coalesce((SELECT t.relpages + coalesce(sum(i.relpages), 0) FROM pg_catalog.pg_class t"
    "    LEFT JOIN pg_catalog.pg_index x ON x.indrelid = t.oid LEFT JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid"
    "    WHERE t.oid = c.reltoastrelid GROUP BY t.relpages), 0) AS pages"
    "  FROM family f JOIN pg_catalog.pg_class c ON c.oid = f.oid WHERE c.relkind IN ('r', 'm', 'i'))"
    " SELECT n, CASE WHEN bool_or(reltuples >= 0) THEN"
    "  (sum(pages) * pg_catalog.current_setting('block_size')::bigint)::bigint END,"
    "  (sum(reltuples) FILTER (WHERE reltuples >= 0))::bigint"
    " FROM (SELECT a.n, s.reltuples, s.pages FROM asked a LEFT JOIN sized s ON s.n = a.n WHERE a.oid IS NOT NULL) found"
    " GROUP BY n";

static int64_t number_of(const struct postgres_rows *rows, size_t row, size_t column) {
    uint64_t number = 0;
    const char *value = postgres_value(rows, row, column);
    return value && text_to_u64(view_of(value), INT64_MAX, &number) ? (int64_t)number : -1;
}

static bool look_up(struct postgres *postgres, const struct forecaster *forecaster, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    cleanup_text struct text names = TEXT(FORECAST_EFFECTS_MAX * (size_t)(6 * FORECAST_NAME_MAX + 4));
    struct json_writer writer = JSON_WRITER(&names);
    json_begin_array(&writer, NULL);
    for (size_t i = 0; i < forecaster->relation_count; i++)
        json_put_string(&writer, NULL, forecaster->relations[i]->name);
    json_end_array(&writer);
    const char *values[] = {text_string(&names)};
    if (forecaster->relation_count == 0)
        return true;
    if (!home_query(postgres, sizes_sql, values, 1, &rows, err))
        return false;
    for (size_t i = 0; i < forecaster->relation_count; i++)
        forecaster->relations[i]->presence = FORECAST_ABSENT;
    for (size_t row = 0; row < postgres_row_count(rows); row++) {
        int64_t n = number_of(rows, row, 0);
        if (n < 1 || (uint64_t)n > forecaster->relation_count)
            return error_set(err, ERROR_INTERNAL, "an answer about a relation that was not asked for");
        struct forecast_relation *relation = forecaster->relations[n - 1];
        relation->presence = FORECAST_PRESENT;
        relation->bytes = number_of(rows, row, 1);
        relation->rows = number_of(rows, row, 2);
    }
    return true;
}

// ---- the whole ---------------------------------------------------------------------------------------------------------

bool forecast_make(struct postgres *postgres, const struct migration_set *set, const struct plan *plan,
                   struct arena *arena, struct run_item *items, struct error *err) {
    struct forecaster forecaster = {.arena = arena};
    struct forecast *forecasts = arena_array(arena, plan->count + 1, sizeof(*forecasts));
    struct item *loaded = NULL;
    if (!items_load(set, plan, arena, &loaded, err))
        return false;
    bool done = true;
    for (size_t i = 0; i < plan->count && done; i++) {
        done = item_load(&loaded[i], set, err);
        if (done)
            forecast_item(&forecaster, &loaded[i], &forecasts[i]);
        item_unload(&loaded[i]);
    }
    items_free(loaded, plan->count);
    struct error refused = {0};
    if (done && !look_up(postgres, &forecaster, &refused) && !*refused.sqlstate) {
        *err = refused;
        done = false;
    }
    for (size_t i = 0; i < plan->count && done; i++) {
        forecast_settle(&forecaster, &forecasts[i]);
        items[i].forecast = &forecasts[i];
        items[i].statements = forecasts[i].total;
    }
    return done;
}
