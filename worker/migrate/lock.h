// One run at a time on a database: a session advisory lock (PostgreSQL 13.3.5), taken only by polling with no transaction open in between,
// because a blocking waiter deadlocks with CREATE INDEX CONCURRENTLY. It is freed when the session ends, however that comes about.
#pragma once
#include "migrate/run.h"

// The two-number form, which shares no key with tools that use one number. 1885435756 is "pawl" in ASCII; the database is part of an
// advisory lock's identity by itself. The ledger's schema is not: two ledgers in one database wait for each other.
#define LOCK_KEYS "1885435756, 1"
// True in SQL when this session holds the lock, or its transaction does: the proof that goes into every write to the ledger.
#define LOCK_IS_OURS                                                                                                   \
    "EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = 1885435756 AND objid = 1"       \
    " AND objsubid = 2 AND granted AND mode = 'ExclusiveLock' AND pid = pg_catalog.pg_backend_pid())"

// The same for the fast way: cheap, because it looks at our own lock alone and not at everybody's. A session of ours holds the lock twice;
// one is given back and taken again, which a session that has lost it cannot do. A file that gave one back itself leaves the lock free
// for the moment between the two, and when somebody comes first in that moment, this is false.
#define LOCK_IS_KEPT                                                                                                   \
    "(SELECT CASE WHEN pg_catalog.pg_advisory_unlock(" LOCK_KEYS ") THEN pg_catalog.pg_try_advisory_lock(" LOCK_KEYS   \
    ") ELSE false END)"

// Behind a pooler that hands out transactions a session lock would belong to whoever comes next: there, each transaction takes the
// same lock for itself. This command fails with division by zero when somebody else has it.
#define LOCK_FOR_TRANSACTION                                                                                           \
    "SELECT 1 / CASE WHEN pg_catalog.pg_try_advisory_xact_lock(" LOCK_KEYS ") THEN 1 ELSE 0 END"

// Polls up to `request->lock_wait_ms`, telling the observer who holds the lock. Errors: ERROR_LOCK_HELD naming the
// holder, ERROR_SHUTTING_DOWN, `ret_pooled`: there is a pooler in between (the server calls itself something else
// than libpq was told), nothing was taken, and the request does not say that it pools sessions.
bool lock_acquire(struct postgres *postgres, const struct run_request *request, const struct run_observer *observer,
                  struct run_control *control, bool *ret_pooled, struct error *err);
// Who holds it, as text.
bool lock_holder(struct postgres *postgres, char *holder, size_t size, struct error *err);
// Queues one command. Frees the lock, and whatever advisory locks the files left in the session.
bool lock_send_release(struct postgres *postgres, struct error *err);
// Is it still ours? False also when the connection is gone.
bool lock_held(struct postgres *postgres);
// Who is in the way of a statement on `relation` (NULL: anywhere): sessions that hold a lock there, the oldest first, as text.
bool lock_blockers(struct postgres *postgres, const char *relation, char *blockers, size_t size, struct error *err);
