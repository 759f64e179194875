// What a session of ours looks like: its name, its time limits, and how it gets back to that after a file has had its way with it.
// All of it is plain SQL that travels in the same pipeline as the work, because poolers refuse the start-up parameter `options`.
#pragma once
#include "net/postgres.h"

#define SESSION_NAME_MAX 63 // bytes of application_name that the server keeps
enum session_span {         // how long the settings last
    SESSION_WHOLE,
    SESSION_TRANSACTION, // behind a pooler, which hands each transaction to another session
    SESSION_IF_OURS, // while we do not know whether there is one: the server compares the backend that libpq was told of with its own
};
struct session {
    const char *name;         // application_name
    uint64_t lock_timeout_ms; // 0: none
    enum session_span span;
};
// Each queues a fixed number of commands; as many answers are to be received.
enum { SESSION_SETTINGS = 1, SESSION_RESET = 4, SESSION_PATH = 1, SESSION_CLEAN = 1, SESSION_SCRUB = 4 };
bool session_send_settings(struct postgres *postgres, const struct session *session, struct error *err);
// Role and settings back to those of the target (home.h) and the connection: before the ledger is written. Works inside a transaction, and
// undone with it.
bool session_send_reset(struct postgres *postgres, bool local, struct error *err); // local: behind a pooler
// After a file has changed its role or set its search_path back: for a role that is named like the ledger's schema "$user" is not to mean
// that. `back`: it has left the target's role, which is assumed again.
bool session_send_path(struct postgres *postgres, bool local, bool back, struct error *err);
// What a file left behind in the session: temporary tables. Outside a transaction.
bool session_send_clean(struct postgres *postgres, struct error *err);
// The same and more: cursors, prepared statements (ours too: see postgres_forget_prepared), channels listened to.
bool session_send_scrub(struct postgres *postgres, struct error *err);
// "pawl RUN i/n FILE", shortened to what the server keeps.
void session_name(char name[static SESSION_NAME_MAX + 1], const char *run, size_t number, size_t total,
                  const char *file);
