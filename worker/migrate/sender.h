// The pending migrations on their way to the server: what apply.c (transactions) and alone.c (statements outside one) share. Every
// sender_ function that sends makes room first and notes what it sent as under way.
#pragma once
#include "migrate/apply.h"
#include "migrate/item.h"
#include "migrate/record.h"
#include "migrate/stream.h"

struct sender {
    struct postgres *postgres;
    const struct apply_order *order;
    struct stream stream;
    struct item *items; // one for each of the plan's
    struct text sql;    // a statement with its NUL
    struct applied *applied;
    size_t applied_before;
    size_t alone;     // the 1-based statement that is under way outside a transaction; 0 = none
    uint64_t touched; // rows, by the statement that was last answered
};

// `alone`: the 1-based statement that is to be sent outside a transaction or in rounds, 0 = none. What is built
// concurrently has no lock_timeout, nor has the settling of what was cut off.
bool sender_settings(struct sender *sender, size_t index, size_t alone, struct error *err);
bool sender_changing(struct sender *sender, size_t index, struct error *err); // see record_send_changing
bool sender_reset(struct sender *sender, size_t index, struct error *err);
bool sender_clean(struct sender *sender, size_t index, struct error *err);
// More thorough, and waits for everything that is under way.
bool sender_scrub(struct sender *sender, size_t index, struct error *err);
bool sender_plain(struct sender *sender, enum flight_kind kind, size_t index, size_t statement, const char *sql,
                  struct error *err);
// BEGIN, and all that comes before the first statement of a transaction: statement `from` (0-based), of a step. `alone` as above.
bool sender_begin(struct sender *sender, size_t index, size_t from, size_t alone, struct error *err);
bool sender_open(struct sender *sender, size_t index, size_t done, const struct record_flight *flight,
                 struct error *err);
bool sender_close(struct sender *sender, size_t index, size_t from, size_t end, struct error *err);
bool sender_statement(struct sender *sender, size_t index, size_t n, struct error *err); // n: 0-based
// A later step begins with a clean session: it hears again what the file had set before statement `from`.
bool sender_session(struct sender *sender, size_t index, size_t from, struct error *err);
// A failure that was found by looking, not by an answer: it is about statement `n` (0-based).
bool sender_failed(struct sender *sender, size_t index, size_t n);

struct record sender_record(const struct sender *sender, size_t index);
void sender_committed(struct sender *sender, size_t index, size_t done); // so many statements of the item are for good
void sender_tell(const struct sender *sender, enum run_event_kind kind, size_t index, const char *holder);
