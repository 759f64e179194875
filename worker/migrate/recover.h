// Statements that run outside a transaction: what to look at after them, and what to do about one that was cut off.
#pragma once
#include "migrate/item.h"
#include "net/postgres.h"

// May something be left of it when the server refused it? Then the next run has to settle that; otherwise it is as if it had
// never been sent.
bool recover_leaves_traces(const struct statement *statement);
// The file was begun, and `row->in_flight` was sent and never answered. Errors: ERROR_MIGRATION_CUT_OFF with what to look at.
bool recover_cut_off(const struct item *item, struct error *err);
// An index that was built concurrently must be valid, whatever the server answered. Errors: ERROR_MIGRATION_FAILED.
bool recover_verify(struct postgres *postgres, const struct statement *statement, struct error *err);
