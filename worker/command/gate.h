// One run at a time in this process: deliveries wait here, where waiting costs nothing, and not each with a connection of its own
// at the database's lock. The lock remains the truth between processes.
#pragma once
#include "base/error.h"
#include <stdint.h>

struct gate;
struct gate *gate_new(void);
void gate_free(struct gate *gate);
// Waits up to `ms`; `name` says who is inside to those who wait. Errors: ERROR_LOCK_HELD naming the one inside and for how long it has
// been there, ERROR_SHUTTING_DOWN after gate_close.
bool gate_enter(struct gate *gate, const char *name, uint64_t ms, struct error *err);
void gate_leave(struct gate *gate);
// Nobody enters any more; those who wait are sent away.
void gate_close(struct gate *gate);
// Waits up to `ms` for gate_close; true when it was called.
bool gate_wait_closed(struct gate *gate, uint64_t ms);
