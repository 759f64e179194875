// From the parse tree to actions.
#include "script/action.h"
#include "script/column.h"
#include <string.h>

static const struct {
    enum lock_mode mode;
    enum action_work work;
    const char *words;
} ACTIONS[ACTION_COUNT] = {
#define X(name, mode, work, words) {MODE_##mode, WORK_##work, words},
#include "script/action.def"
#undef X
};

struct reading {
    struct node body;
    struct arena *arena;
    const struct statement *statement;
    struct action *items;
    size_t count, capacity;
};

const char *action_words(enum action_kind kind) {
    return ACTIONS[kind].words;
}

const char *lock_mode_name(enum lock_mode mode) {
    static const char *const names[] = {
        "none",  "ACCESS SHARE",        "ROW SHARE", "ROW EXCLUSIVE",   "SHARE UPDATE EXCLUSIVE",
        "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"};
    return names[mode];
}

const char *action_work_name(enum action_work work) {
    static const char *const names[] = {"none", "scan", "index build", "rewrite"};
    return names[work];
}

static struct action *add(struct reading *reading, enum action_kind kind, const char *relation) {
    if (reading->count == reading->capacity) {
        size_t capacity = reading->capacity ? 2 * reading->capacity : 1;
        struct action *items = arena_array(reading->arena, capacity, sizeof *items);
        if (reading->count > 0)
            memcpy(items, reading->items, reading->count * sizeof *items);
        reading->items = items;
        reading->capacity = capacity;
    }
    struct action *action = &reading->items[reading->count++];
    *action =
        (struct action){.kind = kind, .mode = ACTIONS[kind].mode, .work = ACTIONS[kind].work, .relation = relation};
    if (reading->statement->conditional)
        action->facts |= FACT_CONDITIONAL;
    if (tree_is(tree_get(reading->body, "behavior"), "DROP_CASCADE"))
        action->facts |= FACT_CASCADE;
    return action;
}

static const char *string_of(struct reading *reading, struct node object, const char *field) {
    return tree_string(tree_get(object, field), reading->arena);
}

static const char *range_of(struct reading *reading, struct node object, const char *field) {
    return tree_range(tree_get(object, field), reading->arena);
}

// ---- columns and constraints -----------------------------------------------------------------------------------------

// A constraint on `relation`; `fresh` when the rows that it governs are only now being made, so that there is nothing to verify.
static void read_constraint(struct reading *reading, struct node constraint, const char *relation, bool fresh) {
    struct node kind = tree_get(constraint, "contype");
    bool unverified = tree_true(tree_get(constraint, "skip_validation"));
    const char *index = string_of(reading, constraint, "indexname");
    enum action_kind action = ACTION_COUNT;
    if (tree_is(kind, "CONSTR_CHECK"))
        action = unverified ? ACTION_ADD_CHECK_UNVERIFIED : ACTION_ADD_CHECK;
    else if (tree_is(kind, "CONSTR_FOREIGN"))
        action = unverified ? ACTION_ADD_FOREIGN_KEY_UNVERIFIED : ACTION_ADD_FOREIGN_KEY;
    else if (tree_is(kind, "CONSTR_UNIQUE"))
        action = index ? ACTION_ADD_UNIQUE_FROM_INDEX : ACTION_ADD_UNIQUE;
    else if (tree_is(kind, "CONSTR_PRIMARY"))
        action = index ? ACTION_ADD_PRIMARY_KEY_FROM_INDEX : ACTION_ADD_PRIMARY_KEY;
    else if (tree_is(kind, "CONSTR_EXCLUSION"))
        action = ACTION_ADD_EXCLUSION;
    if (action == ACTION_COUNT)
        return;
    if (!fresh)
        add(reading, action, relation)->name = string_of(reading, constraint, "conname");
    const char *referenced = range_of(reading, constraint, "pktable");
    if (referenced != NULL && (relation == NULL || strcmp(referenced, relation) != 0))
        add(reading, ACTION_BE_REFERENCED, referenced)->name = string_of(reading, constraint, "conname");
}

static void read_column(struct reading *reading, struct node column, enum action_kind kind, const char *relation) {
    const char *type = tree_type_name(tree_get(column, "typeName"), reading->arena);
    unsigned facts = column_facts(column, type, reading->arena);
    if (kind == ACTION_ADD_COLUMN && (facts & (FACT_VOLATILE | FACT_GENERATED | FACT_IDENTITY | FACT_SERIAL)))
        kind = ACTION_ADD_COLUMN_COMPUTED;
    struct action *action = add(reading, kind, relation);
    action->name = tree_identifier(string_of(reading, column, "colname"), reading->arena);
    action->type = type;
    action->facts |= facts;
    for (struct node item = tree_first(tree_get(column, "constraints")); item.at; item = tree_next(item)) {
        struct node constraint = tree_as(item, "Constraint");
        // A foreign key of a new column without default has nothing to verify, and PostgreSQL knows (transformAlterTableStmt).
        bool idle = tree_is(tree_get(constraint, "contype"), "CONSTR_FOREIGN") && !(facts & FACT_DEFAULT);
        size_t before = reading->count;
        read_constraint(reading, constraint, relation, kind == ACTION_DEFINE_COLUMN);
        if (idle && reading->count > before && reading->items[before].kind == ACTION_ADD_FOREIGN_KEY) {
            reading->items[before].kind = ACTION_ADD_FOREIGN_KEY_UNVERIFIED;
            reading->items[before].work = WORK_NONE;
        }
    }
}

// ---- statements ------------------------------------------------------------------------------------------------------

static void read_create_table(struct reading *reading) {
    const char *relation = reading->statement->relation;
    add(reading, ACTION_CREATE_TABLE, relation);
    struct node base = tree_get(reading->body, "base");
    struct node table = base.at ? base : reading->body;
    for (struct node item = tree_first(tree_get(table, "tableElts")); item.at; item = tree_next(item)) {
        struct node column = tree_as(item, "ColumnDef"), constraint = tree_as(item, "Constraint");
        if (column.at != NULL)
            read_column(reading, column, ACTION_DEFINE_COLUMN, relation);
        else if (constraint.at != NULL)
            read_constraint(reading, constraint, relation, true);
    }
    bool partition = tree_get(table, "partbound").at != NULL;
    for (struct node item = tree_first(tree_get(table, "inhRelations")); item.at; item = tree_next(item))
        add(reading, partition ? ACTION_CREATE_PARTITION : ACTION_CREATE_CHILD, tree_object(item, reading->arena));
}

static void read_partition(struct reading *reading, struct node command, enum action_kind parent,
                           enum action_kind child) {
    struct node partition = tree_as(tree_get(command, "def"), "PartitionCmd");
    const char *name = range_of(reading, partition, "name");
    bool concurrent = tree_true(tree_get(partition, "concurrent"));
    add(reading, concurrent ? ACTION_DETACH_PARTITION_CONCURRENTLY : parent, reading->statement->relation)->name = name;
    add(reading, child, name);
}

// AlterTableCmd's subtypes whose action has a name and nothing else to look at. "Trig" and "Rule" stand for all that end or begin so.
static const struct {
    const char *subtype;
    enum action_kind kind;
} SUBTYPES[] = {
    {"AT_DropColumn", ACTION_DROP_COLUMN},
    {"AT_SetNotNull", ACTION_SET_NOT_NULL},
    {"AT_DropNotNull", ACTION_DROP_NOT_NULL},
    {"AT_ColumnDefault", ACTION_SET_DEFAULT},
    {"AT_SetStatistics", ACTION_TUNE_COLUMN},
    {"AT_SetOptions", ACTION_TUNE_COLUMN},
    {"AT_ResetOptions", ACTION_TUNE_COLUMN},
    {"AT_ValidateConstraint", ACTION_VERIFY_CONSTRAINT},
    {"AT_DropConstraint", ACTION_DROP_CONSTRAINT},
    {"AT_AlterConstraint", ACTION_CHANGE_TABLE},
    {"AT_ClusterOn", ACTION_TUNE_TABLE},
    {"AT_DropCluster", ACTION_TUNE_TABLE},
    {"AT_SetRelOptions", ACTION_TUNE_TABLE},
    {"AT_ResetRelOptions", ACTION_TUNE_TABLE},
    {"AT_SetTableSpace", ACTION_REWRITE_TABLE},
    {"AT_SetLogged", ACTION_REWRITE_TABLE},
    {"AT_SetUnLogged", ACTION_REWRITE_TABLE},
    {"AT_SetAccessMethod", ACTION_REWRITE_TABLE},
    {"AT_AddInherit", ACTION_INHERIT},
    {"AT_DropInherit", ACTION_INHERIT},
    {"AT_SetStorage", ACTION_CHANGE_COLUMN},
    {"AT_SetCompression", ACTION_CHANGE_COLUMN},
    {"AT_AddIdentity", ACTION_CHANGE_COLUMN},
    {"AT_SetIdentity", ACTION_CHANGE_COLUMN},
    {"AT_DropIdentity", ACTION_CHANGE_COLUMN},
    {"AT_DropExpression", ACTION_CHANGE_COLUMN},
    {"AT_EnableTrig", ACTION_SWITCH_TRIGGER},
    {"AT_EnableAlwaysTrig", ACTION_SWITCH_TRIGGER},
    {"AT_EnableReplicaTrig", ACTION_SWITCH_TRIGGER},
    {"AT_DisableTrig", ACTION_SWITCH_TRIGGER},
    {"AT_EnableTrigAll", ACTION_SWITCH_TRIGGER},
    {"AT_DisableTrigAll", ACTION_SWITCH_TRIGGER},
    {"AT_EnableTrigUser", ACTION_SWITCH_TRIGGER},
    {"AT_DisableTrigUser", ACTION_SWITCH_TRIGGER},
};

static void read_command(struct reading *reading, struct node command) {
    const char *relation = reading->statement->relation;
    struct node subtype = tree_get(command, "subtype"), definition = tree_get(command, "def");
    if (tree_is(subtype, "AT_AddColumn")) {
        read_column(reading, tree_as(definition, "ColumnDef"), ACTION_ADD_COLUMN, relation);
    } else if (tree_is(subtype, "AT_AddConstraint")) {
        read_constraint(reading, tree_as(definition, "Constraint"), relation, false);
    } else if (tree_is(subtype, "AT_AlterColumnType")) {
        struct action *action = add(reading, ACTION_CHANGE_TYPE, relation);
        struct node type = tree_get(tree_as(definition, "ColumnDef"), "typeName");
        action->name = tree_identifier(string_of(reading, command, "name"), reading->arena);
        action->type = tree_type_name(type, reading->arena);
    } else if (tree_is(subtype, "AT_AttachPartition")) {
        read_partition(reading, command, ACTION_ATTACH_PARTITION, ACTION_BECOME_PARTITION);
    } else if (tree_is(subtype, "AT_DetachPartition")) {
        read_partition(reading, command, ACTION_DETACH_PARTITION, ACTION_LEAVE_PARTITION);
    } else if (tree_is(subtype, "AT_DetachPartitionFinalize")) {
        read_partition(reading, command, ACTION_DETACH_PARTITION_CONCURRENTLY, ACTION_LEAVE_PARTITION);
    } else {
        enum action_kind kind = ACTION_CHANGE_TABLE;
        for (size_t i = 0; i < sizeof SUBTYPES / sizeof *SUBTYPES; i++)
            if (tree_is(subtype, SUBTYPES[i].subtype))
                kind = SUBTYPES[i].kind;
        add(reading, kind, relation)->name = tree_identifier(string_of(reading, command, "name"), reading->arena);
    }
}

static void read_alter_table(struct reading *reading) {
    struct node type = tree_get(reading->body, "objtype");
    const char *relation = reading->statement->relation;
    if (tree_is(type, "OBJECT_TYPE"))
        return;
    struct node subtype = tree_get(tree_as(tree_first(tree_get(reading->body, "cmds")), "AlterTableCmd"), "subtype");
    bool tunes = tree_ends(subtype, "RelOptions") || tree_is(subtype, "AT_SetStatistics");
    if (tree_is(type, "OBJECT_INDEX"))
        add(reading, tunes ? ACTION_TUNE_TABLE : ACTION_CHANGE_INDEX, relation);
    else if (tree_is(type, "OBJECT_SEQUENCE"))
        add(reading, ACTION_CHANGE_TABLE, relation);
    else if (tree_is(type, "OBJECT_VIEW"))
        add(reading, ACTION_CHANGE_VIEW, relation);
    else
        for (struct node item = tree_first(tree_get(reading->body, "cmds")); item.at; item = tree_next(item))
            read_command(reading, tree_as(item, "AlterTableCmd"));
}

static void read_index(struct reading *reading) {
    const struct statement *statement = reading->statement;
    struct action *action = add(
        reading, statement->concurrently ? ACTION_CREATE_INDEX_CONCURRENTLY : ACTION_CREATE_INDEX, statement->relation);
    size_t columns = 0;
    for (struct node item = tree_first(tree_get(reading->body, "indexParams")); item.at; item = tree_next(item))
        columns++;
    action->name = statement->object_count > 0 ? statement->objects[0] : NULL;
    action->facts |= (action->name ? 0 : FACT_NAMELESS) | (!statement->unique && columns > 3 ? FACT_WIDE : 0);
}

static void read_drop(struct reading *reading) {
    static const struct {
        const char *type;
        enum action_kind kind;
    } types[] = {
        {"OBJECT_TABLE", ACTION_DROP_TABLE},   {"OBJECT_FOREIGN_TABLE", ACTION_DROP_TABLE},
        {"OBJECT_VIEW", ACTION_DROP_VIEW},     {"OBJECT_MATVIEW", ACTION_DROP_VIEW},
        {"OBJECT_INDEX", ACTION_DROP_INDEX},   {"OBJECT_SEQUENCE", ACTION_DROP_SEQUENCE},
        {"OBJECT_SCHEMA", ACTION_DROP_SCHEMA}, {"OBJECT_TRIGGER", ACTION_DROP_TRIGGER},
        {"OBJECT_RULE", ACTION_CHANGE_RULE},   {"OBJECT_POLICY", ACTION_CHANGE_POLICY},
    };
    const struct statement *statement = reading->statement;
    struct node type = tree_get(reading->body, "removeType");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!tree_is(type, types[i].type))
            continue;
        enum action_kind kind = types[i].kind;
        if (kind == ACTION_DROP_INDEX && statement->concurrently)
            kind = ACTION_DROP_INDEX_CONCURRENTLY;
        bool hangs = kind == ACTION_DROP_TRIGGER || kind == ACTION_CHANGE_RULE || kind == ACTION_CHANGE_POLICY;
        for (size_t o = 0; o < statement->object_count; o++) {
            struct action *action = add(reading, kind, hangs ? statement->relation : statement->objects[o]);
            action->name = statement->objects[o];
        }
    }
}

static void read_rename(struct reading *reading) {
    struct node type = tree_get(reading->body, "renameType");
    const char *relation = reading->statement->relation;
    enum action_kind kind = ACTION_COUNT;
    if (tree_is(type, "OBJECT_TABLE") || tree_is(type, "OBJECT_VIEW") || tree_is(type, "OBJECT_MATVIEW") ||
        tree_is(type, "OBJECT_FOREIGN_TABLE"))
        kind = ACTION_RENAME_TABLE;
    else if (tree_is(type, "OBJECT_COLUMN"))
        kind = ACTION_RENAME_COLUMN;
    else if (tree_is(type, "OBJECT_INDEX"))
        kind = ACTION_RENAME_INDEX;
    else if (tree_is(type, "OBJECT_SCHEMA"))
        kind = ACTION_RENAME_SCHEMA;
    else if (relation != NULL)
        kind = ACTION_CHANGE_TABLE; // a constraint, trigger, policy or rule on it, or a sequence
    if (kind != ACTION_COUNT)
        add(reading, kind, relation)->name =
            tree_identifier(string_of(reading, reading->body, "newname"), reading->arena);
}

static void read_move(struct reading *reading) {
    if (reading->statement->relation != NULL)
        add(reading, ACTION_MOVE_TABLE, reading->statement->relation)->name =
            string_of(reading, reading->body, "newschema");
}

static void read_write(struct reading *reading) {
    bool all = tree_get(reading->body, "whereClause").at == NULL && tree_get(reading->body, "fromClause").at == NULL &&
               tree_get(reading->body, "usingClause").at == NULL;
    add(reading, all ? ACTION_WRITE_ALL : ACTION_WRITE, reading->statement->relation);
}

static void read_insert(struct reading *reading) {
    struct node source = tree_as(tree_get(reading->body, "selectStmt"), "SelectStmt");
    struct action *action = add(reading, ACTION_WRITE, reading->statement->relation);
    if (source.at == NULL || tree_first(tree_get(source, "valuesLists")).at != NULL)
        action->facts |= FACT_FEW;
}

static void read_merge(struct reading *reading) {
    add(reading, ACTION_WRITE, reading->statement->relation);
}

static void read_copy(struct reading *reading) {
    bool from = tree_true(tree_get(reading->body, "is_from"));
    add(reading, from ? ACTION_WRITE : ACTION_READ, reading->statement->relation);
}

static void read_select(struct reading *reading) {
    if (tree_first(tree_get(reading->body, "fromClause")).at != NULL)
        add(reading, ACTION_READ, NULL);
}

static void read_each(struct reading *reading, enum action_kind kind) {
    for (struct node item = tree_first(tree_get(reading->body, "relations")); item.at; item = tree_next(item))
        add(reading, kind, tree_object(item, reading->arena));
}

static void read_truncate(struct reading *reading) {
    read_each(reading, ACTION_TRUNCATE);
}

static void read_lock(struct reading *reading) {
    size_t before = reading->count;
    read_each(reading, ACTION_LOCK_TABLE);
    const char *mode = tree_get(reading->body, "mode").at;
    for (size_t i = before; mode != NULL && i < reading->count; i++)
        if (*mode >= '1' && *mode <= '8') // lockdefs.h numbers the modes as we do
            reading->items[i].mode = (enum lock_mode)(*mode - '0');
}

static void read_create_as(struct reading *reading) {
    add(reading, ACTION_CREATE_TABLE, reading->statement->relation);
}

static void read_view(struct reading *reading) {
    bool replace = tree_true(tree_get(reading->body, "replace"));
    add(reading, replace ? ACTION_REPLACE_VIEW : ACTION_CREATE_VIEW, reading->statement->relation);
}

static void read_refresh(struct reading *reading) {
    bool concurrent = tree_true(tree_get(reading->body, "concurrent"));
    add(reading, concurrent ? ACTION_REFRESH_CONCURRENTLY : ACTION_REFRESH, reading->statement->relation);
}

static void read_reindex(struct reading *reading) {
    const struct statement *statement = reading->statement;
    const char *object = statement->object_count > 0 ? statement->objects[0] : NULL;
    if (statement->concurrently)
        add(reading, ACTION_REINDEX_CONCURRENTLY, statement->relation ? statement->relation : object);
    else if (statement->operation == OPERATION_REINDEX_INDEX)
        add(reading, ACTION_REINDEX_INDEX, object);
    else if (statement->operation == OPERATION_REINDEX_TABLE)
        add(reading, ACTION_REINDEX_TABLE, statement->relation);
    else
        add(reading, ACTION_REINDEX_MANY, NULL)->name = object;
}

static void read_vacuum(struct reading *reading) {
    const struct statement *statement = reading->statement;
    bool full = false;
    for (struct node item = tree_first(tree_get(reading->body, "options")); item.at; item = tree_next(item))
        full |= tree_is(tree_get(tree_as(item, "DefElem"), "defname"), "full");
    enum action_kind kind = statement->operation != OPERATION_VACUUM ? ACTION_GATHER_STATISTICS
                            : full                                   ? ACTION_REWRITE_TABLE
                                                                     : ACTION_VACUUM;
    for (size_t i = 0; i < statement->object_count; i++)
        add(reading, kind, statement->objects[i]);
    if (statement->object_count == 0)
        add(reading, kind, NULL);
}

static void read_domain(struct reading *reading) {
    struct action *action = add(reading, ACTION_CREATE_DOMAIN, NULL);
    action->name = reading->statement->object_count > 0 ? reading->statement->objects[0] : NULL;
    if (tree_first(tree_get(reading->body, "constraints")).at != NULL)
        action->facts |= FACT_CHECKED;
}

static void read_alter_domain(struct reading *reading) {
    struct node constraint = tree_as(tree_get(reading->body, "def"), "Constraint");
    if (constraint.at != NULL && !tree_true(tree_get(constraint, "skip_validation")))
        add(reading, ACTION_ADD_DOMAIN_CONSTRAINT, NULL)->name = reading->statement->objects[0];
}

static void read_enum_value(struct reading *reading) {
    if (tree_get(reading->body, "oldVal").at != NULL)
        return;
    struct action *action = add(reading, ACTION_ADD_ENUM_VALUE, NULL);
    action->name = string_of(reading, reading->body, "newVal");
    if (tree_get(reading->body, "newValNeighbor").at != NULL)
        action->facts |= FACT_ORDERED;
}

static void read_comment(struct reading *reading) {
    struct node type = tree_get(reading->body, "objtype");
    if (tree_ends(type, "_TABLE") || tree_is(type, "OBJECT_COLUMN") || tree_ends(type, "VIEW") ||
        tree_is(type, "OBJECT_INDEX"))
        add(reading, ACTION_COMMENT, reading->statement->relation);
}

// Nodes with a reader of their own, and those with one action on the statement's relation.
static const struct {
    const char *node;
    void (*read)(struct reading *reading);
    enum action_kind kind; // when there is no reader
} NODES[] = {
    {"SelectStmt", read_select, 0},
    {"InsertStmt", read_insert, 0},
    {"MergeStmt", read_merge, 0},
    {"UpdateStmt", read_write, 0},
    {"DeleteStmt", read_write, 0},
    {"CopyStmt", read_copy, 0},
    {"TruncateStmt", read_truncate, 0},
    {"LockStmt", read_lock, 0},
    {"CreateStmt", read_create_table, 0},
    {"CreateForeignTableStmt", read_create_table, 0},
    {"CreateTableAsStmt", read_create_as, 0},
    {"AlterTableStmt", read_alter_table, 0},
    {"RenameStmt", read_rename, 0},
    {"AlterObjectSchemaStmt", read_move, 0},
    {"IndexStmt", read_index, 0},
    {"DropStmt", read_drop, 0},
    {"ReindexStmt", read_reindex, 0},
    {"VacuumStmt", read_vacuum, 0},
    {"ClusterStmt", NULL, ACTION_REWRITE_TABLE},
    {"CommentStmt", read_comment, 0},
    {"ViewStmt", read_view, 0},
    {"RefreshMatViewStmt", read_refresh, 0},
    {"CreateTrigStmt", NULL, ACTION_CREATE_TRIGGER},
    {"CreatePolicyStmt", NULL, ACTION_CHANGE_POLICY},
    {"AlterPolicyStmt", NULL, ACTION_CHANGE_POLICY},
    {"RuleStmt", NULL, ACTION_CHANGE_RULE},
    {"CreateStatsStmt", NULL, ACTION_CREATE_STATISTICS},
    {"AlterSeqStmt", NULL, ACTION_CHANGE_SEQUENCE},
    {"CreateEnumStmt", NULL, ACTION_CREATE_ENUM},
    {"AlterEnumStmt", read_enum_value, 0},
    {"CreateDomainStmt", read_domain, 0},
    {"AlterDomainStmt", read_alter_domain, 0},
    {"DropdbStmt", NULL, ACTION_DROP_DATABASE},
};

void actions_of(struct node stmt, struct arena *arena, struct statement *statement) {
    struct reading reading = {.body = tree_body(stmt), .arena = arena, .statement = statement};
    struct view type = tree_type(stmt);
    for (size_t i = 0; i < sizeof NODES / sizeof *NODES; i++) {
        if (!view_is(type, NODES[i].node))
            continue;
        if (NODES[i].read != NULL)
            NODES[i].read(&reading);
        else
            add(&reading, NODES[i].kind, statement->relation);
    }
    statement->actions = reading.items;
    statement->action_count = reading.count;
}
