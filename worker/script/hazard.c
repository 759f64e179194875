// The lint. Most hazards are one action on a relation that was there before: RULES. The rest look at what else the step or the file does.
#include "script/hazard.h"
#include "script/action.h"
#include <string.h>

static const struct hazard_row HAZARDS[HAZARD_COUNT] = {
#define X(symbol, name, level, why, instead, sources) {name, HAZARD_##level, why, instead, sources},
#include "script/hazard.def"
#undef X
};

enum scope { ANYWHERE, IN_USE }; // IN_USE: not on what the file itself has created

static const struct rule {
    enum hazard hazard;
    enum action_kind action;
    enum scope scope;
    unsigned facts, without; // all of these, none of those
} RULES[] = {
    {HAZARD_INDEX_BLOCKS_WRITES, ACTION_CREATE_INDEX, IN_USE, 0, 0},
    {HAZARD_DROP_INDEX_BLOCKS, ACTION_DROP_INDEX, ANYWHERE, 0, 0},
    {HAZARD_REINDEX_BLOCKS, ACTION_REINDEX_TABLE, IN_USE, 0, 0},
    {HAZARD_REINDEX_BLOCKS, ACTION_REINDEX_INDEX, ANYWHERE, 0, 0},
    {HAZARD_REINDEX_BLOCKS, ACTION_REINDEX_MANY, ANYWHERE, 0, 0},
    {HAZARD_DETACH_BLOCKS, ACTION_DETACH_PARTITION, IN_USE, 0, 0},
    {HAZARD_ATTACH_SCANS, ACTION_BECOME_PARTITION, IN_USE, 0, 0},
    {HAZARD_FOREIGN_KEY_VERIFIES, ACTION_ADD_FOREIGN_KEY, IN_USE, 0, 0},
    {HAZARD_CHECK_VERIFIES, ACTION_ADD_CHECK, IN_USE, 0, 0},
    {HAZARD_UNIQUE_BUILDS, ACTION_ADD_UNIQUE, IN_USE, 0, 0},
    {HAZARD_PRIMARY_KEY_BUILDS, ACTION_ADD_PRIMARY_KEY, IN_USE, 0, 0},
    {HAZARD_PRIMARY_KEY_SCANS, ACTION_ADD_PRIMARY_KEY_FROM_INDEX, IN_USE, 0, 0},
    {HAZARD_EXCLUSION_BUILDS, ACTION_ADD_EXCLUSION, IN_USE, 0, 0},
    {HAZARD_TYPE_REWRITES, ACTION_CHANGE_TYPE, IN_USE, 0, 0},
    {HAZARD_DEFAULT_REWRITES, ACTION_ADD_COLUMN_COMPUTED, IN_USE, FACT_VOLATILE, 0},
    {HAZARD_GENERATED_REWRITES, ACTION_ADD_COLUMN_COMPUTED, IN_USE, 0, FACT_VOLATILE},
    {HAZARD_REWRITES_TABLE, ACTION_REWRITE_TABLE, IN_USE, 0, 0},
    {HAZARD_REFRESH_BLOCKS_READS, ACTION_REFRESH, IN_USE, 0, 0},
    {HAZARD_CHANGES_EVERY_ROW, ACTION_WRITE_ALL, IN_USE, 0, 0},
    {HAZARD_REQUIRED_COLUMN, ACTION_ADD_COLUMN, IN_USE, FACT_NOT_NULL, FACT_DEFAULT},
    {HAZARD_DROP_COLUMN, ACTION_DROP_COLUMN, IN_USE, 0, 0},
    {HAZARD_DROP_TABLE, ACTION_DROP_TABLE, IN_USE, 0, 0},
    {HAZARD_RENAME_COLUMN, ACTION_RENAME_COLUMN, IN_USE, 0, 0},
    {HAZARD_RENAME_TABLE, ACTION_RENAME_TABLE, IN_USE, 0, 0},
    {HAZARD_RENAME_TABLE, ACTION_MOVE_TABLE, IN_USE, 0, 0},
    {HAZARD_RENAME_SCHEMA, ACTION_RENAME_SCHEMA, ANYWHERE, 0, 0},
    {HAZARD_DROP_NOT_NULL, ACTION_DROP_NOT_NULL, IN_USE, 0, 0},
    {HAZARD_DROP_SCHEMA, ACTION_DROP_SCHEMA, ANYWHERE, 0, 0},
    {HAZARD_DROP_DATABASE, ACTION_DROP_DATABASE, ANYWHERE, 0, 0},
    {HAZARD_DROP_CASCADE, ACTION_DROP_TABLE, ANYWHERE, FACT_CASCADE, 0},
    {HAZARD_DROP_CASCADE, ACTION_DROP_VIEW, ANYWHERE, FACT_CASCADE, 0},
    {HAZARD_DROP_CASCADE, ACTION_DROP_SCHEMA, ANYWHERE, FACT_CASCADE, 0},
    {HAZARD_DROP_CASCADE, ACTION_DROP_SEQUENCE, ANYWHERE, FACT_CASCADE, 0},
    {HAZARD_TRUNCATES, ACTION_TRUNCATE, IN_USE, 0, FACT_CASCADE},
    {HAZARD_TRUNCATE_CASCADE, ACTION_TRUNCATE, ANYWHERE, FACT_CASCADE, 0},
    {HAZARD_SWITCHES_TRIGGERS, ACTION_SWITCH_TRIGGER, IN_USE, 0, 0},
    {HAZARD_ENUM_TYPE, ACTION_CREATE_ENUM, ANYWHERE, 0, 0},
    {HAZARD_ENUM_VALUE_UNORDERED, ACTION_ADD_ENUM_VALUE, ANYWHERE, 0, FACT_ORDERED},
    {HAZARD_DOMAIN_CONSTRAINT, ACTION_CREATE_DOMAIN, ANYWHERE, FACT_CHECKED, 0},
    {HAZARD_DOMAIN_VERIFIES, ACTION_ADD_DOMAIN_CONSTRAINT, ANYWHERE, 0, 0},
    {HAZARD_WIDE_INDEX, ACTION_CREATE_INDEX, ANYWHERE, FACT_WIDE, 0},
    {HAZARD_WIDE_INDEX, ACTION_CREATE_INDEX_CONCURRENTLY, ANYWHERE, FACT_WIDE, 0},
    {HAZARD_NAMELESS_INDEX, ACTION_CREATE_INDEX_CONCURRENTLY, ANYWHERE, FACT_NAMELESS, 0},
};

// What is said of columns, wherever they are defined.
static const struct {
    enum hazard hazard;
    const char *type;
    unsigned facts;
} TYPES[] = {
    {HAZARD_JSON_COLUMN, "json", 0},
    {HAZARD_CHAR_COLUMN, "bpchar", 0},
    {HAZARD_VARCHAR_LIMIT, "varchar", FACT_LIMITED},
    {HAZARD_TIMESTAMP_COLUMN, "timestamp", 0},
    {HAZARD_NARROW_INTEGER, "int4", 0},
    {HAZARD_NARROW_INTEGER, "int2", 0},
    {HAZARD_NARROW_INTEGER, "serial", 0},
    {HAZARD_NARROW_INTEGER, "serial4", 0},
    {HAZARD_NARROW_INTEGER, "smallserial", 0},
    {HAZARD_NARROW_INTEGER, "serial2", 0},
};

struct lint {
    const struct script *script;
    struct arena *arena;
    struct finding *items;
    size_t count, capacity;
    const char **created; // tables that the file has created so far
    size_t created_count, created_capacity;
    const struct statement *start; // of the step
    const struct action *held;     // in the step: keeps everybody out of a table in use until the step ends
};

const struct hazard_row *hazard_row(enum hazard hazard) {
    return &HAZARDS[hazard];
}

const char *hazard_level_name(enum hazard_level level) {
    static const char *const names[] = {"advice", "warning", "danger"};
    return names[level];
}

bool hazard_find(struct view name, enum hazard *ret_hazard) {
    for (size_t i = 0; i < HAZARD_COUNT; i++) {
        if (view_is(name, HAZARDS[i].name)) {
            *ret_hazard = (enum hazard)i;
            return true;
        }
    }
    return false;
}

// ---- findings --------------------------------------------------------------------------------------------------------

static void add(struct lint *lint, struct finding finding) {
    if (lint->count == lint->capacity) {
        size_t capacity = lint->capacity ? 2 * lint->capacity : 8;
        struct finding *items = arena_array(lint->arena, capacity, sizeof *items);
        if (lint->count > 0)
            memcpy(items, lint->items, lint->count * sizeof *items);
        lint->items = items;
        lint->capacity = capacity;
    }
    lint->items[lint->count++] = finding;
}

static void find(struct lint *lint, enum hazard hazard, const struct statement *statement,
                 const struct action *action) {
    struct finding finding = {.hazard = hazard, .statement = statement, .line = statement->line};
    if (action != NULL) {
        finding.subject = action->relation ? action->relation : action->name;
        if (action->relation != NULL && action->type != NULL)
            finding.subject = arena_printf(lint->arena, "%s.%s", action->relation, action->name);
    }
    for (size_t i = 0; i < statement->allowance_count; i++)
        if (statement->allowances[i].hazard == hazard)
            finding.waiver = &statement->allowances[i];
    add(lint, finding);
}

// ---- what is in use --------------------------------------------------------------------------------------------------

// One name may be qualified where the other is not; they are then taken for one.
static bool same_relation(const char *a, const char *b) {
    if (a == NULL || b == NULL)
        return false;
    size_t length_a = strlen(a), length_b = strlen(b);
    if (length_a < length_b)
        return same_relation(b, a);
    const char *end = a + (length_a - length_b);
    return strcmp(end, b) == 0 && (end == a || (end[-1] == '.' && strchr(b, '.') == NULL));
}

static bool in_use(const struct lint *lint, const char *relation) {
    for (size_t i = 0; i < lint->created_count; i++)
        if (same_relation(lint->created[i], relation))
            return false;
    return true;
}

static void remember_created(struct lint *lint, const char *relation) {
    if (lint->created_count == lint->created_capacity) {
        size_t capacity = lint->created_capacity ? 2 * lint->created_capacity : 8;
        const char **created = arena_array(lint->arena, capacity, sizeof *created);
        if (lint->created_count > 0)
            memcpy(created, lint->created, lint->created_count * sizeof *created);
        lint->created = created;
        lint->created_capacity = capacity;
    }
    lint->created[lint->created_count++] = relation;
}

// What the statements behind this one find.
static void remember(struct lint *lint, const struct statement *statement) {
    for (size_t i = 0; i < statement->action_count; i++) {
        const struct action *action = &statement->actions[i];
        if (lock_blocks_reads(action->mode) && in_use(lint, action->relation))
            lint->held = action;
    }
    for (size_t i = 0; i < statement->action_count; i++)
        if (statement->actions[i].kind == ACTION_CREATE_TABLE && statement->actions[i].relation != NULL)
            remember_created(lint, statement->actions[i].relation);
}

// ---- rules that look around ------------------------------------------------------------------------------------------

// Whether the statements from `from` up to `to` do this to the relation.
static bool acted(const struct statement *from, const struct statement *to, enum action_kind kind,
                  const char *relation) {
    for (; from < to; from++)
        for (size_t i = 0; i < from->action_count; i++)
            if (from->actions[i].kind == kind && same_relation(from->actions[i].relation, relation))
                return true;
    return false;
}

// The proven way to NOT NULL has verified a check constraint before, and drops it afterwards.
static bool proves_not_null(const struct lint *lint, const struct statement *statement, const char *relation) {
    const struct statement *end = lint->script->items + lint->script->count;
    return acted(lint->script->items, statement, ACTION_VERIFY_CONSTRAINT, relation) ||
           acted(statement, end, ACTION_DROP_CONSTRAINT, relation);
}

static bool takes_long(const struct lint *lint, const struct statement *statement) {
    if (statement->operation == OPERATION_DO || statement->operation == OPERATION_CALL)
        return true;
    for (size_t i = 0; i < statement->action_count; i++) {
        const struct action *action = &statement->actions[i];
        bool many = (action->kind == ACTION_WRITE && !(action->facts & FACT_FEW)) || action->kind == ACTION_READ;
        if ((action->work != WORK_NONE || many) && in_use(lint, action->relation))
            return true;
    }
    return statement->kind == STATEMENT_COPY_IN;
}

static void lint_surroundings(struct lint *lint, const struct statement *statement) {
    const struct action *first = statement->action_count > 0 ? &statement->actions[0] : NULL;
    if (statement->kind != STATEMENT_NON_TRANSACTIONAL && lint->held != NULL && takes_long(lint, statement))
        find(lint, HAZARD_WORK_UNDER_LOCK, statement, lint->held);
    bool alters = first != NULL && statement->tag != NULL && strcmp(statement->tag, "ALTER TABLE") == 0;
    alters = alters && first->relation != NULL && in_use(lint, first->relation);
    for (const struct statement *before = lint->start; alters && before < statement; before++) {
        if (before->tag != NULL && strcmp(before->tag, "ALTER TABLE") == 0 &&
            same_relation(before->relation, statement->relation)) {
            find(lint, HAZARD_SEVERAL_ALTERS, statement, first);
            break;
        }
    }
}

// ---- rules that look at one action -----------------------------------------------------------------------------------

static void lint_column(struct lint *lint, const struct statement *statement, const struct action *action) {
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (strcmp(action->type, TYPES[i].type) == 0 && (action->facts & TYPES[i].facts) == TYPES[i].facts)
            find(lint, TYPES[i].hazard, statement, action);
    if (action->facts & FACT_SERIAL)
        find(lint, HAZARD_SERIAL_COLUMN, statement, action);
}

static void lint_action(struct lint *lint, const struct statement *statement, const struct action *action) {
    bool live = in_use(lint, action->relation);
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        const struct rule *rule = &RULES[i];
        if (rule->action == action->kind && (rule->scope == ANYWHERE || live) &&
            (action->facts & rule->facts) == rule->facts && (action->facts & rule->without) == 0)
            find(lint, rule->hazard, statement, action);
    }
    if (action->kind == ACTION_SET_NOT_NULL && live && !proves_not_null(lint, statement, action->relation))
        find(lint, HAZARD_SET_NOT_NULL_SCANS, statement, action);
    if (action->kind == ACTION_LOCK_TABLE && live && lock_blocks_writes(action->mode))
        find(lint, HAZARD_LOCKS_BY_HAND, statement, action);
    if (action->kind == ACTION_VERIFY_CONSTRAINT && live &&
        (acted(lint->start, statement + 1, ACTION_ADD_CHECK_UNVERIFIED, action->relation) ||
         acted(lint->start, statement + 1, ACTION_ADD_FOREIGN_KEY_UNVERIFIED, action->relation)))
        find(lint, HAZARD_VERIFY_UNDER_LOCK, statement, action);
    if (action->type != NULL)
        lint_column(lint, statement, action);
}

static void lint_statement(struct lint *lint, const struct statement *statement) {
    size_t before = lint->count;
    for (size_t i = 0; i < statement->action_count; i++)
        lint_action(lint, statement, &statement->actions[i]);
    lint_surroundings(lint, statement);
    if (statement->batch != NULL && !statement->limited)
        find(lint, HAZARD_BATCH_UNLIMITED, statement, statement->action_count > 0 ? &statement->actions[0] : NULL);
    if (statement->long_name)
        find(lint, HAZARD_LONG_NAME, statement, NULL);
    if (!statement->analysed)
        find(lint, HAZARD_NOT_ANALYSED, statement, NULL);
    for (size_t i = 0; i < statement->allowance_count; i++) {
        const struct allowance *allowance = &statement->allowances[i];
        bool used = false;
        for (size_t f = before; f < lint->count; f++)
            used |= lint->items[f].waiver == allowance;
        if (!used)
            add(lint, (struct finding){.hazard = HAZARD_ALLOWS_NOTHING,
                                       .statement = statement,
                                       .line = allowance->line,
                                       .subject = HAZARDS[allowance->hazard].name});
    }
}

void hazard_lint(const struct script *script, struct arena *arena, struct findings *ret_findings) {
    struct lint lint = {.script = script, .arena = arena};
    for (size_t i = 0; i < script->count; i++) {
        const struct statement *statement = &script->items[i];
        if (i == 0 || statement->step != lint.start->step) {
            lint.start = statement;
            lint.held = NULL;
        }
        lint_statement(&lint, statement);
        remember(&lint, statement);
    }
    *ret_findings = (struct findings){lint.items, lint.count};
}
