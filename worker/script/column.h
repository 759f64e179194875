// What a column's definition says of its values: FACT_NOT_NULL to FACT_LIMITED of action.h. Since PostgreSQL 11 a default that is the same
// for all rows is stored once; any other has the table written anew. Which functions are volatile only the server knows: all are
// taken for it but a list of common ones that are not. Pure.
#pragma once
#include "script/action.h"

// `column` is a ColumnDef's body, `type` its type's name as tree_type_name gives it.
unsigned column_facts(struct node column, const char *type, struct arena *arena);
