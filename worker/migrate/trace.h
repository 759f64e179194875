// What statements leave in the session when their transaction has ended: temporary tables, and names (prepared statements, cursors WITH
// HOLD, channels listened to). Pure; read from the words, because it matters for statements that no parser can read too.
#pragma once
#include "script/statement.h"

// Does it make or drop a name that outlives it? Files with such statements are followed by a thorough cleaning of the session. DO
// blocks count when they hold such a word; what a function does is not seen.
bool trace_names(const struct statement *statement);
enum trace_session {
    TRACE_NOTHING,
    TRACE_PATH, // it sets settings back (RESET, SET ... TO DEFAULT) or takes another role: "$user" may mean another schema
    TRACE_ROLE_LEFT, // it goes back to the role of the login (RESET ROLE, SET SESSION AUTHORIZATION DEFAULT and so on; not SET ROLE NONE)
};
enum trace_session trace_session(const struct statement *statement);
// The first statement after the `done` first ones that speaks of a temporary table which one of these made: in another session it
// means nothing, or another table of the same name. 1-based, 0 = none; `ret_table` is the table's name.
size_t trace_lost(const struct statement *const *statements, size_t done, size_t count, struct view *ret_table);
