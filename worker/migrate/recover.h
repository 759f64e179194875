// Statements that run outside a transaction: what to look at before and after them, and what to make of one that was cut off or
// failed half-way. The session must resolve names as the file does (its SET statements were said). Nothing else may be building:
// we hold the lock, so the session that was cut off has ended.
#pragma once
#include "base/arena.h"
#include "net/postgres.h"
#include "script/statement.h"

// May something be left of it when the server refused it with this SQLSTATE? Otherwise it is as if it had never been sent.
bool recover_leaves_traces(const struct statement *statement, const char *sqlstate);
// May its text be kept in the ledger, so that it can be settled even when the file was edited meanwhile? (No secrets in it.)
bool recover_keeps_text(const struct statement *statement);

// Before it is sent. An INVALID index that IF NOT EXISTS would keep is dropped. `ret_before`: see struct record_flight; in the arena.
bool recover_prepare(struct postgres *postgres, const struct statement *statement, struct arena *arena,
                     const char **ret_before, struct error *err);
// After it succeeded: an index that was built must be valid, whatever the server said. Errors: ERROR_MIGRATION_FAILED.
bool recover_verify(struct postgres *postgres, const struct statement *statement, const char *before,
                    struct error *err);

enum recover_verdict {
    RECOVER_AGAIN,   // nothing is left of it: send it again
    RECOVER_DONE,    // it is in effect
    RECOVER_UNKNOWN, // only a human can tell
};
// After it was cut off: finishes or removes what is left. `same`: the file still says the same statement; when it does not, an index
// that the old one has finished is dropped too.
bool recover_settle(struct postgres *postgres, const struct statement *statement, const char *before, bool same,
                    enum recover_verdict *ret_verdict, struct error *err);
