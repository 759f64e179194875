// SIGTERM and SIGINT (Cloud Run container contract: SIGTERM, ten seconds, SIGKILL; the process may be PID 1 and then has no default
// handlers). The signals are blocked in every thread and waited for in one, so that what follows runs as ordinary code.
#pragma once
#include "base/error.h"
#include <stdint.h>

struct shutdown;
struct shutdown_steps {
    void *context;
    void (*stop)(void *context);   // at once: take no new work
    void (*cancel)(void *context); // when the grace is over: end what is in flight
    uint64_t grace_ms;
};
// Blocks the signals in the calling thread and in those that it starts: to be called before any of them. Also ignores SIGPIPE and lets
// the kernel reap children that a PID 1 inherits.
void shutdown_block(void);
// Starts the thread that waits. Errors: ERROR_INTERNAL.
bool shutdown_watch(const struct shutdown_steps *steps, struct shutdown **ret_shutdown, struct error *err);
// The work is over: ends the watching thread, without its steps when no signal has come. Returns the signal that came, or 0; one that
// comes later waits for the next shutdown_watch().
int shutdown_end(struct shutdown *shutdown);
