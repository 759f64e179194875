// A statement that runs outside a transaction: the ledger says that it is under way before it is, and that it is done only when it is
// seen to be. What a former attempt left is settled first.
#pragma once
#include "migrate/sender.h"

// Sends statement `n` (0-based) of the item and waits for it. Errors: ERROR_MIGRATION_CUT_OFF when only a human can tell what became of a
// former attempt; what the server says.
bool alone_apply(struct sender *sender, size_t index, size_t n, struct error *err);
// Settles what was cut off when the file does not say it again: it was edited, or begins again from its top. Waits for it.
// Errors: ERROR_MIGRATION_CUT_OFF.
bool alone_clear(struct sender *sender, size_t index, struct error *err);
// After it was refused with `error` and the session is clean again: removes what is left of it, or leaves word for the next
// run. True: nothing is left, and it may be sent again.
bool alone_refused(struct sender *sender, size_t index, const struct error *error);
