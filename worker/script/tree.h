// PostgreSQL's parse tree as libpg_query prints it (JSON), read in place: a node is a place in that text, a look-up skips over what it
// does not want, nothing is built and depth costs nothing. Its input comes from libpg_query only, so it checks nothing: base/json
// is for what comes from outside. Fields that hold zero, false or nothing are not printed, and so absent here. Pure.
#pragma once
#include "base/arena.h"
#include "base/text.h"

struct node {
    const char *at; // NULL = absent; every function takes an absent node and finds nothing in it
};
struct node tree_of(const char *json); // NUL-terminated; outlives the nodes
struct node tree_get(struct node object, const char *name);
struct node tree_first(struct node array); // elements in order; absent at the end
struct node tree_next(struct node element);
// A node of the tree is an object with one member, {"IndexStmt": {...}}: its name and its body.
struct view tree_type(struct node node);
struct node tree_body(struct node node);
struct node tree_as(struct node node, const char *type); // the body when the node is of this type, else absent

// The first node of this type inside `node`, at any depth, or behind `after` when that is given.
struct node tree_find(struct node node, const char *type, struct node after);

bool tree_true(struct node node);
bool tree_is(struct node string, const char *value);
bool tree_ends(struct node string, const char *suffix);
const char *tree_string(struct node string, struct arena *arena); // NULL when absent

// Names, quoted where SQL needs it and joined by dots; NULL when absent.
const char *tree_identifier(const char *name, struct arena *arena);
const char *tree_range(struct node range_var, struct arena *arena);           // RangeVar's body
const char *tree_name(struct node strings, struct arena *arena, size_t less); // list of String, without the last `less`
const char *tree_object(struct node node, struct arena *arena); // List, String, TypeName, ObjectWithArgs or RangeVar
const char *tree_type_name(struct node type_name, struct arena *arena); // TypeName's body, without pg_catalog: "int4"
