// One run at a time in this process: deliveries wait here, where waiting costs nothing, and not each with a connection of its own
// at the database's lock. The lock remains the truth between processes.
//
// Deliveries that wait for a run which asks for the same share its failure: twenty messages for one broken file try it once, not
// twenty times. They do not share its success, for each has a run row of its own to leave, which costs one round trip.
#pragma once
#include "base/error.h"
#include <stdint.h>

// Where failures are final (`once`), a run that failed for good does not enter again while it asks for the same: it hears the same
// failure. So a delivery that could not be parked comes back to be parked, and not to run against production again. A process remembers
// the last GATE_FAILURES of them.
enum { GATE_FAILURES = 32 };
struct gate;
// `crowd`: as many may wait. Whoever waits keeps a thread, and those who come after that are sent away at once.
struct gate *gate_new(unsigned crowd, bool once);
void gate_free(struct gate *gate);
// Waits up to `ms`. `name` says who is inside to those who wait; `ask` says what it asks for (at most 255 bytes count).
// `*ret_waited` says whether somebody else was inside; set on failure too. Errors: ERROR_LOCK_HELD naming the one inside and for how
// long it has been there, ERROR_SHUTTING_DOWN after gate_close, and the permanent failure of the run that was waited for, or of this
// run when it was here before.
bool gate_enter(struct gate *gate, const char *name, const char *ask, uint64_t ms, bool *ret_waited, struct error *err);
// `failure`: how the run ended; NULL = well.
void gate_leave(struct gate *gate, const struct error *failure);
// Nobody enters any more; those who wait are sent away.
void gate_close(struct gate *gate);
// Waits up to `ms` for gate_close; true when it was called.
bool gate_wait_closed(struct gate *gate, uint64_t ms);
