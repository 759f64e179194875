// Watching a run while one of its statements takes long: a second connection, opened only then, asks the server every few seconds how far
// the statement is (PostgreSQL 28.4), who is in its way and who waits behind it, and tells the observer and the run's row. The run knows
// nothing of it: whatever goes wrong here is nobody's error, and it ends as soon as the run does.
#pragma once
#include "migrate/plan.h"
#include "migrate/run.h"

struct watch;
struct watch_order { // borrowed until watch_end
    struct run_database *database;
    const struct postgres *postgres; // the run's connection; read only here, before watch_begin returns
    const struct plan *plan;
    const char *run;
    unsigned after_ms;                   // see struct run_request
    const struct run_observer *observer; // called from another thread; may be NULL
};
struct watch *watch_begin(const struct watch_order *order); // NULL: nobody watches, which is all right
void watch_landed(struct watch *watch);                     // an answer came: what was under way got on
void watch_end(struct watch *watch);                        // no event comes after it; NULL is fine

// ---- its pure half, for tests ------------------------------------------------------------------------------------------
struct watch_sight { // NULL or 0 = nothing to tell
    uint64_t ms;     // the statement runs
    const char *doing, *unit;
    uint64_t done, total;
    const char *wait; // what the server's process waits for, when nothing better is known
    const char *blockers;
    uint64_t waiting; // sessions behind it
};
// "runs for 12 s, building index: scanning table, 1024 of 8192 blocks (12 %); in the way: pid 7 psql (...); 3 sessions wait behind it"
void watch_words(const struct watch_sight *sight, struct text *out);
