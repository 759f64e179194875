// Commands under way: what was sent, in order, until its answer is there. A window bounds how far ahead we go; whoever sends
// takes answers when it is full. What an answer means is left to `landed`.
#pragma once
#include "net/postgres.h"

enum flight_kind {
    FLIGHT_HOUSEKEEPING, // settings, reset, cleaning: nobody waits for what it says
    FLIGHT_LOCK,         // the transaction has taken the lock for itself
    FLIGHT_OPEN,         // the ledger row is there
    FLIGHT_STATEMENT,    // of a migration file
    FLIGHT_CLOSE,        // the ledger row is complete
    FLIGHT_COMMIT,
    FLIGHT_SYNC,
};
struct flight {
    enum flight_kind kind;
    size_t item;      // of the plan
    size_t statement; // STATEMENT: 1-based; COMMIT: how many of the file are done with it
    size_t bytes;     // for the window
};
enum { FLIGHTS_MAX = 1024, FLIGHTS_ROOM = 8, FLIGHT_BYTES_MAX = 1 << 20 };

struct stream {
    struct postgres *postgres;
    // Called for each command that succeeded, in order; `rows` only for CLOSE and COMMIT, else NULL.
    bool (*landed)(void *context, const struct flight *flight, const struct postgres_rows *rows, struct error *err);
    void *context;
    // what follows starts as zero
    struct flight flights[FLIGHTS_MAX]; // a ring
    size_t first, count, bytes;
    bool failed, broken; // a command was refused; the connection is gone
    struct flight failure;
};
// Takes answers until there is room for FLIGHTS_ROOM more commands. Call it before sending; then say what was sent.
bool stream_room(struct stream *stream, struct error *err);
void stream_sent(struct stream *stream, struct flight flight);
// Ends the group and takes all answers: nothing is under way afterwards.
bool stream_drain(struct stream *stream, struct error *err);
// After a failure: takes what is still under way and rolls back what is open. False: the connection is of no more use.
bool stream_settle(struct stream *stream);
