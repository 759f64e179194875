// Stopping a run from another thread: which connections are in use, and has somebody asked to stop. `control` may be NULL everywhere.
#pragma once
#include "migrate/run.h"

struct control_entry { // one connection in use; lives on the stack of its run
    struct postgres *postgres;
    struct control_entry *next;
};
bool control_stopped(const struct run_control *control);
const atomic_bool *control_flag(const struct run_control *control); // for postgres_open
// From enter to leave, run_control_cancel reaches this connection.
void control_enter(struct run_control *control, struct control_entry *entry);
void control_leave(struct run_control *control, struct control_entry *entry);
// Sleeps, but not past a stop.
void control_sleep(const struct run_control *control, uint64_t ms);
// A growing, jittered pause: the n-th is about first * 2^n, never above `cap`.
uint64_t control_pause(unsigned n, uint64_t first, uint64_t cap);
