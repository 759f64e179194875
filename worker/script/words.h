// What words alone tell, where PostgreSQL's parser does not help: inside a PL/pgSQL body, and in a statement that it cannot read.
// Heuristics both; what they miss the server refuses. And what a list of words is. Pure.
#pragma once
#include "script/statement.h"

// Whether a PL/pgSQL body holds COMMIT or ROLLBACK as a statement of its own: the word at the start of a statement (after ";", BEGIN, THEN,
// ELSE, LOOP or a label) and followed by ";" or AND. Words inside EXECUTE's strings and in procedures that are called are not seen; then
// the server says 2D000 (invalid_transaction_termination).
bool words_commit(const char *body);
// For what the parser could not read, by its first words: sets kind to NON_TRANSACTIONAL or leaves it; false and ERROR_SOURCE_INVALID for
// transaction control, which must not go unnoticed.
bool words_guess(const char *file, struct statement *statement, struct error *err);
// Whether the statement sets a client encoding other than UTF-8: what follows in the file is UTF-8 and would be misread.
bool words_foreign_encoding(struct view text);
// Whether `word` is one of `list`: words with a space before and behind each.
bool words_hold(const char *list, const char *word);
