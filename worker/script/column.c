// A column's definition read for what makes adding it cheap or dear.
#include "script/column.h"
#include "script/words.h"
#include <string.h>

// Functions of one value per statement or per arguments; all others are taken for volatile, which rewrites the table.
static const char STABLE[] =
    " now transaction_timestamp statement_timestamp timezone date_trunc to_timestamp make_date make_interval "
    "make_timestamptz jsonb_build_object jsonb_build_array json_build_object json_build_array to_jsonb lower upper "
    "md5 concat current_setting txid_current pg_current_xact_id array_fill decode encode int4range tstzrange ";

static bool is_stable(const char *function) {
    if (function != NULL && strncmp(function, "pg_catalog.", 11) == 0)
        function += 11;
    return function != NULL && words_hold(STABLE, function);
}

static bool is_volatile(struct node expression, struct arena *arena) {
    struct node call = {NULL};
    while ((call = tree_find(expression, "FuncCall", call)).at != NULL)
        if (!is_stable(tree_name(tree_get(call, "funcname"), arena, 0)))
            return true;
    return tree_find(expression, "NextValueExpr", call).at != NULL;
}

unsigned column_facts(struct node column, const char *type, struct arena *arena) {
    bool serial = type != NULL && words_hold(" serial bigserial smallserial serial4 serial8 serial2 ", type);
    unsigned facts = serial ? FACT_SERIAL | FACT_NOT_NULL : 0;
    if (tree_first(tree_get(tree_get(column, "typeName"), "typmods")).at != NULL)
        facts |= FACT_LIMITED;
    for (struct node item = tree_first(tree_get(column, "constraints")); item.at; item = tree_next(item)) {
        struct node constraint = tree_as(item, "Constraint"), kind = tree_get(constraint, "contype");
        if (tree_is(kind, "CONSTR_NOTNULL") || tree_is(kind, "CONSTR_PRIMARY"))
            facts |= FACT_NOT_NULL;
        else if (tree_is(kind, "CONSTR_GENERATED"))
            facts |= FACT_GENERATED;
        else if (tree_is(kind, "CONSTR_IDENTITY"))
            facts |= FACT_IDENTITY | FACT_NOT_NULL;
        else if (tree_is(kind, "CONSTR_DEFAULT"))
            facts |= FACT_DEFAULT | (is_volatile(tree_get(constraint, "raw_expr"), arena) ? FACT_VOLATILE : 0);
    }
    return facts;
}
