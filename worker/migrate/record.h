// The rows of pawl.migrations as they are written while migrations are applied. Each function queues one command, and each command
// itself refuses (division by zero, SQLSTATE 22012) when this session no longer holds the lock, or when the transaction is not the one
// in which the row was opened: so the server skips all that follows, COMMIT included, without our having to look.
#pragma once
#include "migrate/plan.h"
#include "net/postgres.h"

#define RECORD_REFUSED "22012"

struct record {
    const struct migration *migration;
    const char *run;
    size_t statements; // of the file
    bool pooled;       // the lock is the transaction's, not the session's
};
// A file of one step. Open: first in its transaction; the row's key is the version, so a second run cannot get past it. Close:
// last before COMMIT; gives one row, the milliseconds since the transaction began.
bool record_send_open(struct postgres *postgres, const struct record *record, struct error *err);
bool record_send_close(struct postgres *postgres, const struct record *record, struct error *err);

// The way back of a file that is applied. Open: first in the transaction of its down file. Close: last, takes the row away; gives one row
// as above.
bool record_send_back(struct postgres *postgres, const struct record *record, struct error *err);
bool record_send_gone(struct postgres *postgres, const struct record *record, struct error *err);

// A statement that is about to be sent outside a transaction. All zero: the step is a transaction.
struct record_flight {
    size_t statement;   // 1-based
    const char *hash;   //
    const char *text;   // NULL: it may hold a secret
    const char *before; // names of its table's indexes, as an array literal; NULL: of no interest
};
// A file of several steps: from `done` statements, of which the ledger must know exactly that many, on to what follows.
bool record_send_step(struct postgres *postgres, const struct record *record, size_t done,
                      const struct record_flight *flight, struct error *err);
// ... and its end: `done` statements are done now; `hashes` are those of the new ones, "{a,b}". Gives one row, the milliseconds.
bool record_send_stepped(struct postgres *postgres, const struct record *record, size_t done, size_t in_flight,
                         const char *hashes, struct error *err);
// The statement in flight was refused as a whole and left nothing behind: it is as if it had not been sent.
bool record_send_undone(struct postgres *postgres, const struct record *record, size_t in_flight, struct error *err);
// Clears the digest: a migration is about to be added.
bool record_send_changing(struct postgres *postgres, struct error *err);
