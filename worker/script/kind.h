// From a statement's parse tree to what statement.h says about it: kind, operation, tag, names. One table of the parse tree's nodes;
// which statements PostgreSQL refuses in a transaction block follows its callers of PreventInTransactionBlock (15 to 18). Pure.
#pragma once
#include "script/statement.h"
#include "script/tree.h"

// `stmt` is one element's "stmt" of the tree's list. Fills kind to concurrently; false and ERROR_SOURCE_INVALID for a transaction control
// statement that cannot be honoured.
bool kind_of(const char *file, struct node stmt, struct arena *arena, struct statement *statement, struct error *err);
