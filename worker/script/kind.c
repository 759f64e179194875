// The table of statement kinds.
#include "script/kind.h"
#include "script/splitter.h"
#include "script/words.h"
#include <string.h>
#include <strings.h>

struct reading {
    const char *file;
    struct node body; // of the statement's node
    struct arena *arena;
    struct statement *statement;
    struct error *err;
};

static void set_tag(struct reading *reading, const char *verb, const char *object, const char *suffix) {
    reading->statement->tag = arena_printf(reading->arena, "%s %s%s", verb, object, suffix);
}

// "OBJECT_FOREIGN_TABLE" to "FOREIGN TABLE".
static const char *object_type(struct node type, struct arena *arena) {
    const char *string = tree_string(type, arena);
    if (string == NULL || strncmp(string, "OBJECT_", 7) != 0)
        return "OBJECT";
    if (strcmp(string, "OBJECT_MATVIEW") == 0)
        return "MATERIALIZED VIEW";
    if (strcmp(string, "OBJECT_TABCONSTRAINT") == 0 || strcmp(string, "OBJECT_DOMCONSTRAINT") == 0)
        return "CONSTRAINT";
    char *words = arena_string(arena, string + 7);
    for (char *at = words; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
    return words;
}

static void add_object(struct reading *reading, const char *name) {
    struct statement *statement = reading->statement;
    if (name == NULL)
        return;
    if ((statement->object_count & (statement->object_count + 1)) == 0) { // room for 1, 3, 7, 15, ...
        const char **grown = arena_array(reading->arena, 2 * statement->object_count + 1, sizeof *grown);
        if (statement->object_count > 0)
            memcpy(grown, statement->objects, statement->object_count * sizeof *grown);
        statement->objects = grown;
    }
    statement->objects[statement->object_count++] = name;
}

static void add_objects(struct reading *reading, struct node list) {
    for (struct node item = tree_first(list); item.at; item = tree_next(item))
        add_object(reading, tree_object(item, reading->arena));
}

static struct node option(struct node options, const char *name) {
    for (struct node item = tree_first(options); item.at; item = tree_next(item)) {
        struct node element = tree_as(item, "DefElem");
        if (tree_is(tree_get(element, "defname"), name))
            return element;
    }
    return (struct node){NULL};
}

// As defGetBoolean reads it: no value means true; 0, false and off mean false, whatever the case.
static bool option_true(struct node options, const char *name, bool otherwise, struct arena *arena) {
    struct node element = option(options, name), value = tree_get(element, "arg");
    if (element.at == NULL)
        return otherwise;
    if (tree_as(value, "Integer").at != NULL)
        return tree_get(tree_body(value), "ival").at != NULL;
    const char *word = tree_object(value, arena);
    return word == NULL || (strcasecmp(word, "false") != 0 && strcasecmp(word, "\"false\"") != 0 &&
                            strcasecmp(word, "off") != 0 && strcasecmp(word, "0") != 0);
}

static void refuse_transactions(struct reading *reading, bool when) {
    if (when)
        reading->statement->kind = STATEMENT_NON_TRANSACTIONAL;
}

static bool read_index(struct reading *reading) {
    struct statement *statement = reading->statement;
    struct node relation = tree_get(reading->body, "relation");
    statement->concurrently = tree_true(tree_get(reading->body, "concurrent"));
    statement->unique = tree_true(tree_get(reading->body, "unique"));
    const char *schema = tree_identifier(tree_string(tree_get(relation, "schemaname"), reading->arena), reading->arena);
    const char *name = tree_identifier(tree_string(tree_get(reading->body, "idxname"), reading->arena), reading->arena);
    if (name != NULL) // an index lives in its table's schema
        add_object(reading, schema ? arena_printf(reading->arena, "%s.%s", schema, name) : name);
    if (statement->concurrently)
        statement->tag = "CREATE INDEX CONCURRENTLY";
    refuse_transactions(reading, statement->concurrently);
    return true;
}

static bool read_drop(struct reading *reading) {
    struct statement *statement = reading->statement;
    struct node type = tree_get(reading->body, "removeType"), objects = tree_get(reading->body, "objects");
    statement->concurrently = tree_true(tree_get(reading->body, "concurrent"));
    set_tag(reading, "DROP", object_type(type, reading->arena), statement->concurrently ? " CONCURRENTLY" : "");
    add_objects(reading, objects);
    if (tree_is(type, "OBJECT_INDEX"))
        statement->operation = OPERATION_DROP_INDEX;
    else if (tree_is(type, "OBJECT_TRIGGER") || tree_is(type, "OBJECT_POLICY") || tree_is(type, "OBJECT_RULE"))
        statement->relation = tree_name(tree_get(tree_body(tree_first(objects)), "items"), reading->arena, 1);
    else if (tree_ends(type, "_TABLE") || tree_ends(type, "VIEW") || tree_is(type, "OBJECT_SEQUENCE"))
        statement->relation = statement->object_count > 0 ? statement->objects[0] : NULL;
    refuse_transactions(reading, statement->concurrently);
    return true;
}

static bool read_reindex(struct reading *reading) {
    struct statement *statement = reading->statement;
    struct node kind = tree_get(reading->body, "kind");
    statement->concurrently = option_true(tree_get(reading->body, "params"), "concurrently", false, reading->arena);
    const char *name = tree_identifier(tree_string(tree_get(reading->body, "name"), reading->arena), reading->arena);
    add_object(reading, name);
    bool many = true;
    if (tree_is(kind, "REINDEX_OBJECT_INDEX")) {
        statement->operation = OPERATION_REINDEX_INDEX;
        add_object(reading, statement->relation);
        statement->relation = NULL;
        many = false;
    } else if (tree_is(kind, "REINDEX_OBJECT_TABLE")) {
        statement->operation = OPERATION_REINDEX_TABLE;
        many = false;
    } else if (tree_is(kind, "REINDEX_OBJECT_SCHEMA")) {
        statement->operation = OPERATION_REINDEX_SCHEMA;
    } else {
        statement->operation = OPERATION_REINDEX_DATABASE;
    }
    if (statement->concurrently)
        statement->tag = "REINDEX CONCURRENTLY";
    refuse_transactions(reading, many || statement->concurrently);
    return true;
}

static bool read_alter_table(struct reading *reading) {
    set_tag(reading, "ALTER", object_type(tree_get(reading->body, "objtype"), reading->arena), "");
    struct node command = tree_as(tree_first(tree_get(reading->body, "cmds")), "AlterTableCmd");
    if (!tree_is(tree_get(command, "subtype"), "AT_DetachPartition"))
        return true;
    struct node partition = tree_as(tree_get(command, "def"), "PartitionCmd");
    reading->statement->operation = OPERATION_DETACH_PARTITION;
    reading->statement->concurrently = tree_true(tree_get(partition, "concurrent"));
    add_object(reading, tree_range(tree_get(partition, "name"), reading->arena));
    refuse_transactions(reading, reading->statement->concurrently);
    return true;
}

static bool read_vacuum(struct reading *reading) {
    bool vacuum = tree_true(tree_get(reading->body, "is_vacuumcmd"));
    struct node tables = tree_get(reading->body, "rels");
    for (struct node item = tree_first(tables); item.at; item = tree_next(item))
        add_object(reading, tree_range(tree_get(tree_as(item, "VacuumRelation"), "relation"), reading->arena));
    reading->statement->relation = reading->statement->object_count > 0 ? reading->statement->objects[0] : NULL;
    if (!vacuum) {
        reading->statement->tag = "ANALYZE";
        reading->statement->operation = OPERATION_OTHER;
    }
    refuse_transactions(reading, vacuum);
    return true;
}

static bool read_cluster(struct reading *reading) {
    refuse_transactions(reading, reading->statement->relation == NULL);
    return true;
}

static bool read_alter_system(struct reading *reading) {
    struct node setting = tree_get(tree_get(reading->body, "setstmt"), "name");
    add_object(reading, tree_string(setting, reading->arena));
    return true;
}

static bool read_alter_database(struct reading *reading) {
    bool moves = option(tree_get(reading->body, "options"), "tablespace").at != NULL;
    reading->statement->operation = moves ? OPERATION_MOVE_DATABASE : OPERATION_OTHER;
    refuse_transactions(reading, moves);
    return true;
}

// Making a replication slot is no transaction's business; without a connection none is made.
static bool read_create_subscription(struct reading *reading) {
    struct node options = tree_get(reading->body, "options");
    bool connect = option_true(options, "connect", true, reading->arena);
    refuse_transactions(reading, option_true(options, "create_slot", connect, reading->arena));
    return true;
}

static bool read_alter_subscription(struct reading *reading) {
    struct node kind = tree_get(reading->body, "kind");
    bool publications = tree_ends(kind, "_PUBLICATION");
    refuse_transactions(reading, tree_is(kind, "ALTER_SUBSCRIPTION_REFRESH") ||
                                     (publications && option_true(tree_get(reading->body, "options"), "refresh", true,
                                                                  reading->arena)));
    return true;
}

static bool read_discard(struct reading *reading) {
    bool all = tree_is(tree_get(reading->body, "target"), "DISCARD_ALL");
    reading->statement->tag = all ? "DISCARD ALL" : "DISCARD";
    refuse_transactions(reading, all);
    return true;
}

static bool read_do(struct reading *reading) {
    struct node arguments = tree_get(reading->body, "args");
    struct node language = tree_get(tree_as(tree_get(option(arguments, "language"), "arg"), "String"), "sval");
    struct node body = tree_get(tree_as(tree_get(option(arguments, "as"), "arg"), "String"), "sval");
    const char *text = tree_string(body, reading->arena);
    refuse_transactions(reading,
                        text != NULL && (language.at == NULL || tree_is(language, "plpgsql")) && words_commit(text));
    return true;
}

static bool read_call(struct reading *reading) {
    struct node name = tree_get(tree_get(reading->body, "funccall"), "funcname");
    add_object(reading, tree_name(name, reading->arena, 0));
    return true;
}

static bool read_set(struct reading *reading) {
    struct node kind = tree_get(reading->body, "kind");
    if (tree_is(kind, "VAR_RESET") || tree_is(kind, "VAR_RESET_ALL"))
        reading->statement->tag = "RESET";
    if (tree_true(tree_get(reading->body, "is_local")) || tree_is(kind, "VAR_SET_MULTI"))
        reading->statement->operation = OPERATION_OTHER; // ends with its transaction
    add_object(reading, tree_string(tree_get(reading->body, "name"), reading->arena));
    return true;
}

static bool read_copy(struct reading *reading) {
    bool from = tree_true(tree_get(reading->body, "is_from"));
    bool elsewhere = tree_get(reading->body, "filename").at != NULL;
    if (from && !elsewhere)
        reading->statement->kind = STATEMENT_COPY_IN;
    return true;
}

static bool refuse(struct reading *reading, const char *why) {
    return script_refuse(reading->err, reading->file, reading->statement->line, "%s", why);
}

static bool read_transaction(struct reading *reading) {
    static const struct {
        const char *kind, *tag;
        enum statement_kind means;
        const char *refusal;
    } table[] = {
        {"TRANS_STMT_BEGIN", "BEGIN", STATEMENT_BEGIN, NULL},
        {"TRANS_STMT_START", "START TRANSACTION", STATEMENT_BEGIN, NULL},
        {"TRANS_STMT_COMMIT", "COMMIT", STATEMENT_COMMIT, NULL},
        {"TRANS_STMT_ROLLBACK", "ROLLBACK", STATEMENT_ORDINARY,
         "ROLLBACK would undo the migration's own record; leave it out (ROLLBACK TO a savepoint is fine)"},
        {"TRANS_STMT_SAVEPOINT", "SAVEPOINT", STATEMENT_ORDINARY, NULL},
        {"TRANS_STMT_RELEASE", "RELEASE", STATEMENT_ORDINARY, NULL},
        {"TRANS_STMT_ROLLBACK_TO", "ROLLBACK TO SAVEPOINT", STATEMENT_ORDINARY, NULL},
        {"TRANS_STMT_PREPARE", "PREPARE TRANSACTION", STATEMENT_ORDINARY,
         "PREPARE TRANSACTION would take the migration's transaction away from the session; use COMMIT"},
        {"TRANS_STMT_COMMIT_PREPARED", "COMMIT PREPARED", STATEMENT_NON_TRANSACTIONAL, NULL},
        {"TRANS_STMT_ROLLBACK_PREPARED", "ROLLBACK PREPARED", STATEMENT_NON_TRANSACTIONAL, NULL},
    };
    struct node kind = tree_get(reading->body, "kind");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!tree_is(kind, table[i].kind))
            continue;
        if (table[i].refusal != NULL)
            return refuse(reading, table[i].refusal);
        if (tree_true(tree_get(reading->body, "chain")))
            return refuse(reading, "COMMIT AND CHAIN is not supported; end with COMMIT and begin again");
        if (tree_first(tree_get(reading->body, "options")).at != NULL)
            return refuse(
                reading,
                "BEGIN with transaction modes is not supported: the migration's record is written first in the "
                "same transaction; use plain BEGIN");
        reading->statement->tag = table[i].tag;
        reading->statement->kind = table[i].means;
        if (table[i].means == STATEMENT_NON_TRANSACTIONAL)
            reading->statement->operation = OPERATION_FINISH_PREPARED;
        return true;
    }
    return refuse(reading, "this transaction control statement is not known");
}

// The tag ends with the type of the object, which `field` names.
static bool read_typed(struct reading *reading, const char *verb, const char *field) {
    set_tag(reading, verb, object_type(tree_get(reading->body, field), reading->arena), "");
    return true;
}
static bool read_rename(struct reading *reading) {
    return read_typed(reading, "ALTER", "renameType");
}
static bool read_alter_object(struct reading *reading) {
    return read_typed(reading, "ALTER", "objectType");
}
static bool read_alter_routine(struct reading *reading) {
    return read_typed(reading, "ALTER", "objtype");
}
static bool read_define(struct reading *reading) {
    return read_typed(reading, "CREATE", "kind");
}
static bool read_create_as(struct reading *reading) {
    if (tree_is(tree_get(reading->body, "objtype"), "OBJECT_MATVIEW"))
        reading->statement->tag = "CREATE MATERIALIZED VIEW";
    return true;
}
static bool read_function(struct reading *reading) {
    if (tree_true(tree_get(reading->body, "is_procedure")))
        reading->statement->tag = "CREATE PROCEDURE";
    return true;
}
static bool read_grant(struct reading *reading) {
    if (!tree_true(tree_get(reading->body, "is_grant")))
        reading->statement->tag = "REVOKE";
    return true;
}
static bool read_comment(struct reading *reading) {
    struct node type = tree_get(reading->body, "objtype");
    struct node items = tree_get(tree_as(tree_get(reading->body, "object"), "List"), "items");
    if (tree_is(type, "OBJECT_COLUMN") || tree_is(type, "OBJECT_TRIGGER") || tree_is(type, "OBJECT_TABCONSTRAINT"))
        reading->statement->relation = tree_name(items, reading->arena, 1);
    else
        reading->statement->relation = tree_name(items, reading->arena, 0);
    return true;
}

// What a batch has to know. A DELETE of every row ends: the second round finds none.
static bool read_change(struct reading *reading) {
    struct statement *statement = reading->statement;
    struct node select = {NULL}, lock = {NULL};
    while ((select = tree_find(reading->body, "SelectStmt", select)).at != NULL)
        statement->limited |= tree_get(select, "limitCount").at != NULL;
    while ((lock = tree_find(reading->body, "LockingClause", lock)).at != NULL)
        if (tree_is(tree_get(lock, "waitPolicy"), "LockWaitSkip"))
            statement->endless =
                "SKIP LOCKED would end the batch at rows that somebody else has locked, and leave them as "
                "they are; leave it out: a round that waits too long is tried again";
    return true;
}
static bool read_update(struct reading *reading) {
    bool all = tree_get(reading->body, "whereClause").at == NULL && tree_get(reading->body, "fromClause").at == NULL;
    if (all)
        reading->statement->endless =
            "an UPDATE without WHERE touches every row in every round: a batch of it never ends";
    return read_change(reading);
}
static bool read_insert(struct reading *reading) {
    struct node source = tree_as(tree_get(reading->body, "selectStmt"), "SelectStmt");
    bool values = source.at == NULL || tree_first(tree_get(source, "valuesLists")).at != NULL;
    if (values && tree_get(reading->body, "onConflictClause").at == NULL)
        reading->statement->endless = "an INSERT of VALUES adds rows in every round: a batch of it never ends";
    return read_change(reading);
}

#define PLAIN STATEMENT_ORDINARY
#define ALONE STATEMENT_NON_TRANSACTIONAL
// The nodes of gram.y's `stmt`. `relation` names the field that holds the relation (a RangeVar, or a list whose first element is one, or
// a list of names), `object` the one that holds a name.
static const struct row {
    const char *node, *tag;
    enum statement_kind kind;
    enum statement_operation operation;
    const char *relation, *object;
    bool (*read)(struct reading *reading);
} ROWS[] = {
    {"SelectStmt", "SELECT", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"InsertStmt", "INSERT", PLAIN, OPERATION_CHANGE_ROWS, "relation", NULL, read_insert},
    {"UpdateStmt", "UPDATE", PLAIN, OPERATION_CHANGE_ROWS, "relation", NULL, read_update},
    {"DeleteStmt", "DELETE", PLAIN, OPERATION_CHANGE_ROWS, "relation", NULL, read_change},
    {"MergeStmt", "MERGE", PLAIN, OPERATION_CHANGE_ROWS, "relation", NULL, read_change},
    {"CopyStmt", "COPY", PLAIN, OPERATION_OTHER, "relation", NULL, read_copy},
    {"CreateStmt", "CREATE TABLE", PLAIN, OPERATION_OTHER, "relation", NULL, NULL},
    {"CreateTableAsStmt", "CREATE TABLE AS", PLAIN, OPERATION_OTHER, "into", NULL, read_create_as},
    {"AlterTableStmt", NULL, PLAIN, OPERATION_OTHER, "relation", NULL, read_alter_table},
    {"IndexStmt", "CREATE INDEX", PLAIN, OPERATION_CREATE_INDEX, "relation", NULL, read_index},
    {"DropStmt", NULL, PLAIN, OPERATION_OTHER, NULL, NULL, read_drop},
    {"CommentStmt", "COMMENT", PLAIN, OPERATION_OTHER, NULL, NULL, read_comment},
    {"CreateFunctionStmt", "CREATE FUNCTION", PLAIN, OPERATION_OTHER, NULL, "funcname", read_function},
    {"GrantStmt", "GRANT", PLAIN, OPERATION_OTHER, "objects", NULL, read_grant},
    {"VariableSetStmt", "SET", PLAIN, OPERATION_SET, NULL, NULL, read_set},
    {"TransactionStmt", NULL, PLAIN, OPERATION_OTHER, NULL, NULL, read_transaction},
    {"DoStmt", "DO", PLAIN, OPERATION_DO, NULL, NULL, read_do},
    {"CallStmt", "CALL", PLAIN, OPERATION_CALL, NULL, NULL, read_call},
    {"CreateTrigStmt", "CREATE TRIGGER", PLAIN, OPERATION_OTHER, "relation", "trigname", NULL},
    {"ViewStmt", "CREATE VIEW", PLAIN, OPERATION_OTHER, "view", NULL, NULL},
    {"CreateSeqStmt", "CREATE SEQUENCE", PLAIN, OPERATION_OTHER, "sequence", NULL, NULL},
    {"AlterSeqStmt", "ALTER SEQUENCE", PLAIN, OPERATION_OTHER, "sequence", NULL, NULL},
    {"CreateSchemaStmt", "CREATE SCHEMA", PLAIN, OPERATION_OTHER, NULL, "schemaname", NULL},
    {"CreateExtensionStmt", "CREATE EXTENSION", PLAIN, OPERATION_OTHER, NULL, "extname", NULL},
    {"CreateEnumStmt", "CREATE TYPE", PLAIN, OPERATION_OTHER, NULL, "typeName", NULL},
    {"CreateRangeStmt", "CREATE TYPE", PLAIN, OPERATION_OTHER, NULL, "typeName", NULL},
    {"CompositeTypeStmt", "CREATE TYPE", PLAIN, OPERATION_OTHER, "typevar", NULL, NULL},
    {"AlterEnumStmt", "ALTER TYPE", PLAIN, OPERATION_OTHER, NULL, "typeName", NULL},
    {"AlterTypeStmt", "ALTER TYPE", PLAIN, OPERATION_OTHER, NULL, "typeName", NULL},
    {"CreateDomainStmt", "CREATE DOMAIN", PLAIN, OPERATION_OTHER, NULL, "domainname", NULL},
    {"AlterDomainStmt", "ALTER DOMAIN", PLAIN, OPERATION_OTHER, NULL, "typeName", NULL},
    {"DefineStmt", NULL, PLAIN, OPERATION_OTHER, NULL, "defnames", read_define},
    {"RenameStmt", NULL, PLAIN, OPERATION_OTHER, "relation", NULL, read_rename},
    {"AlterObjectSchemaStmt", NULL, PLAIN, OPERATION_OTHER, "relation", NULL, read_alter_object},
    {"AlterObjectDependsStmt", NULL, PLAIN, OPERATION_OTHER, "relation", NULL, read_alter_object},
    {"AlterOwnerStmt", NULL, PLAIN, OPERATION_OTHER, "relation", NULL, read_alter_object},
    {"AlterFunctionStmt", NULL, PLAIN, OPERATION_OTHER, NULL, "func", read_alter_routine},
    {"TruncateStmt", "TRUNCATE TABLE", PLAIN, OPERATION_OTHER, "relations", NULL, NULL},
    {"LockStmt", "LOCK TABLE", PLAIN, OPERATION_OTHER, "relations", NULL, NULL},
    {"CreatePolicyStmt", "CREATE POLICY", PLAIN, OPERATION_OTHER, "table", "policy_name", NULL},
    {"AlterPolicyStmt", "ALTER POLICY", PLAIN, OPERATION_OTHER, "table", "policy_name", NULL},
    {"RuleStmt", "CREATE RULE", PLAIN, OPERATION_OTHER, "relation", "rulename", NULL},
    {"RefreshMatViewStmt", "REFRESH MATERIALIZED VIEW", PLAIN, OPERATION_OTHER, "relation", NULL, NULL},
    {"CreateStatsStmt", "CREATE STATISTICS", PLAIN, OPERATION_OTHER, "relations", "defnames", NULL},
    {"AlterStatsStmt", "ALTER STATISTICS", PLAIN, OPERATION_OTHER, NULL, "defnames", NULL},
    {"SecLabelStmt", "SECURITY LABEL", PLAIN, OPERATION_OTHER, NULL, NULL, read_comment},
    {"CreateForeignTableStmt", "CREATE FOREIGN TABLE", PLAIN, OPERATION_OTHER, "base", NULL, NULL},
    {"CreateRoleStmt", "CREATE ROLE", PLAIN, OPERATION_OTHER, NULL, "role", NULL},
    {"AlterRoleStmt", "ALTER ROLE", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"AlterRoleSetStmt", "ALTER ROLE", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"DropRoleStmt", "DROP ROLE", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"GrantRoleStmt", "GRANT ROLE", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"AlterDefaultPrivilegesStmt", "ALTER DEFAULT PRIVILEGES", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"DropOwnedStmt", "DROP OWNED", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"ReassignOwnedStmt", "REASSIGN OWNED", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"AlterExtensionStmt", "ALTER EXTENSION", PLAIN, OPERATION_OTHER, NULL, "extname", NULL},
    {"AlterExtensionContentsStmt", "ALTER EXTENSION", PLAIN, OPERATION_OTHER, NULL, "extname", NULL},
    {"CreateEventTrigStmt", "CREATE EVENT TRIGGER", PLAIN, OPERATION_OTHER, NULL, "trigname", NULL},
    {"AlterEventTrigStmt", "ALTER EVENT TRIGGER", PLAIN, OPERATION_OTHER, NULL, "trigname", NULL},
    {"CreatePublicationStmt", "CREATE PUBLICATION", PLAIN, OPERATION_OTHER, NULL, "pubname", NULL},
    {"AlterPublicationStmt", "ALTER PUBLICATION", PLAIN, OPERATION_OTHER, NULL, "pubname", NULL},
    {"CreateCastStmt", "CREATE CAST", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"CreateConversionStmt", "CREATE CONVERSION", PLAIN, OPERATION_OTHER, NULL, "conversion_name", NULL},
    {"CreateTransformStmt", "CREATE TRANSFORM", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"CreateAmStmt", "CREATE ACCESS METHOD", PLAIN, OPERATION_OTHER, NULL, "amname", NULL},
    {"CreatePLangStmt", "CREATE LANGUAGE", PLAIN, OPERATION_OTHER, NULL, "plname", NULL},
    {"CreateOpClassStmt", "CREATE OPERATOR CLASS", PLAIN, OPERATION_OTHER, NULL, "opclassname", NULL},
    {"CreateOpFamilyStmt", "CREATE OPERATOR FAMILY", PLAIN, OPERATION_OTHER, NULL, "opfamilyname", NULL},
    {"AlterOpFamilyStmt", "ALTER OPERATOR FAMILY", PLAIN, OPERATION_OTHER, NULL, "opfamilyname", NULL},
    {"AlterOperatorStmt", "ALTER OPERATOR", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"AlterCollationStmt", "ALTER COLLATION", PLAIN, OPERATION_OTHER, NULL, "collname", NULL},
    {"AlterTSDictionaryStmt", "ALTER TEXT SEARCH DICTIONARY", PLAIN, OPERATION_OTHER, NULL, "dictname", NULL},
    {"AlterTSConfigurationStmt", "ALTER TEXT SEARCH CONFIGURATION", PLAIN, OPERATION_OTHER, NULL, "cfgname", NULL},
    {"CreateFdwStmt", "CREATE FOREIGN DATA WRAPPER", PLAIN, OPERATION_OTHER, NULL, "fdwname", NULL},
    {"AlterFdwStmt", "ALTER FOREIGN DATA WRAPPER", PLAIN, OPERATION_OTHER, NULL, "fdwname", NULL},
    {"CreateForeignServerStmt", "CREATE SERVER", PLAIN, OPERATION_OTHER, NULL, "servername", NULL},
    {"AlterForeignServerStmt", "ALTER SERVER", PLAIN, OPERATION_OTHER, NULL, "servername", NULL},
    {"CreateUserMappingStmt", "CREATE USER MAPPING", PLAIN, OPERATION_OTHER, NULL, "servername", NULL},
    {"AlterUserMappingStmt", "ALTER USER MAPPING", PLAIN, OPERATION_OTHER, NULL, "servername", NULL},
    {"DropUserMappingStmt", "DROP USER MAPPING", PLAIN, OPERATION_OTHER, NULL, "servername", NULL},
    {"ImportForeignSchemaStmt", "IMPORT FOREIGN SCHEMA", PLAIN, OPERATION_OTHER, NULL, "remote_schema", NULL},
    {"AlterTableMoveAllStmt", "ALTER TABLE", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"AlterTableSpaceOptionsStmt", "ALTER TABLESPACE", PLAIN, OPERATION_OTHER, NULL, "tablespacename", NULL},
    {"AlterDatabaseSetStmt", "ALTER DATABASE", PLAIN, OPERATION_OTHER, NULL, "dbname", NULL},
    {"AlterDatabaseRefreshCollStmt", "ALTER DATABASE", PLAIN, OPERATION_OTHER, NULL, "dbname", NULL},
    {"VariableShowStmt", "SHOW", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"ConstraintsSetStmt", "SET CONSTRAINTS", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"ExplainStmt", "EXPLAIN", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"PrepareStmt", "PREPARE", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"ExecuteStmt", "EXECUTE", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"DeallocateStmt", "DEALLOCATE", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"DeclareCursorStmt", "DECLARE CURSOR", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"FetchStmt", "FETCH", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"ClosePortalStmt", "CLOSE CURSOR", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"NotifyStmt", "NOTIFY", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"ListenStmt", "LISTEN", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"UnlistenStmt", "UNLISTEN", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"LoadStmt", "LOAD", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"CheckPointStmt", "CHECKPOINT", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    {"ReturnStmt", "RETURN", PLAIN, OPERATION_OTHER, NULL, NULL, NULL},
    // what may refuse a transaction block
    {"ReindexStmt", "REINDEX", PLAIN, OPERATION_OTHER, "relation", NULL, read_reindex},
    {"VacuumStmt", "VACUUM", PLAIN, OPERATION_VACUUM, NULL, NULL, read_vacuum},
    {"ClusterStmt", "CLUSTER", PLAIN, OPERATION_CLUSTER, "relation", NULL, read_cluster},
    {"DiscardStmt", NULL, PLAIN, OPERATION_DISCARD, NULL, NULL, read_discard},
    {"AlterSystemStmt", "ALTER SYSTEM", ALONE, OPERATION_ALTER_SYSTEM, NULL, NULL, read_alter_system},
    {"CreatedbStmt", "CREATE DATABASE", ALONE, OPERATION_CREATE_DATABASE, NULL, "dbname", NULL},
    {"DropdbStmt", "DROP DATABASE", ALONE, OPERATION_DROP_DATABASE, NULL, "dbname", NULL},
    {"AlterDatabaseStmt", "ALTER DATABASE", PLAIN, OPERATION_OTHER, NULL, "dbname", read_alter_database},
    {"CreateTableSpaceStmt", "CREATE TABLESPACE", ALONE, OPERATION_CREATE_TABLESPACE, NULL, "tablespacename", NULL},
    {"DropTableSpaceStmt", "DROP TABLESPACE", ALONE, OPERATION_DROP_TABLESPACE, NULL, "tablespacename", NULL},
    {"CreateSubscriptionStmt", "CREATE SUBSCRIPTION", PLAIN, OPERATION_CREATE_SUBSCRIPTION, NULL, "subname",
     read_create_subscription},
    {"AlterSubscriptionStmt", "ALTER SUBSCRIPTION", PLAIN, OPERATION_ALTER_SUBSCRIPTION, NULL, "subname",
     read_alter_subscription},
    {"DropSubscriptionStmt", "DROP SUBSCRIPTION", ALONE, OPERATION_DROP_SUBSCRIPTION, NULL, "subname", NULL},
};

// A relation stands in the tree as a RangeVar's body, as a list of RangeVars, or inside a clause that has one.
static const char *relation_name(struct node field, struct arena *arena) {
    struct node first = tree_first(field);
    if (first.at != NULL)
        return tree_range(tree_as(first, "RangeVar"), arena);
    const char *name = tree_range(field, arena);
    if (name == NULL)
        name = tree_range(tree_get(field, "rel"), arena);
    return name != NULL ? name : tree_range(tree_get(field, "relation"), arena);
}

// A name stands in the tree as a string, as a list of strings, or as a function with arguments.
static const char *object_name(struct node field, struct arena *arena) {
    if (tree_first(field).at != NULL)
        return tree_name(field, arena, 0);
    const char *name = tree_identifier(tree_string(field, arena), arena);
    return name != NULL ? name : tree_name(tree_get(field, "objname"), arena, 0);
}

bool kind_of(const char *file, struct node stmt, struct arena *arena, struct statement *statement, struct error *err) {
    struct reading reading = {
        .file = file, .body = tree_body(stmt), .arena = arena, .statement = statement, .err = err};
    struct view type = tree_type(stmt);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        const struct row *row = &ROWS[i];
        if (!view_is(type, row->node))
            continue;
        statement->kind = row->kind;
        statement->operation = row->operation;
        statement->tag = row->tag;
        statement->conditional =
            tree_true(tree_get(reading.body, "if_not_exists")) || tree_true(tree_get(reading.body, "missing_ok"));
        if (row->relation != NULL)
            statement->relation = relation_name(tree_get(reading.body, row->relation), arena);
        if (row->object != NULL)
            add_object(&reading, object_name(tree_get(reading.body, row->object), arena));
        return row->read == NULL || row->read(&reading);
    }
    statement->tag = arena_copy(arena, type.data, type.length);
    return true;
}
