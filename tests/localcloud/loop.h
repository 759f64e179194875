// The one thread of localcloud: an event loop (libevent) with timers. Everything else runs inside its callbacks, so
// nothing needs a lock.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;
struct timer;
typedef void timer_fires(void *context);

struct loop *loop_new(void);      // NULL: the system gives no event queue
void loop_run(struct loop *loop); // until SIGTERM or SIGINT
void loop_free(struct loop *loop);
struct event_base *loop_base(struct loop *loop);

struct timer *timer_new(struct loop *loop, timer_fires *fires, void *context);
void timer_set(struct timer *timer, uint64_t ms); // once, `ms` from now; replaces what was set
void timer_clear(struct timer *timer);
void timer_free(struct timer *timer); // NULL is fine
