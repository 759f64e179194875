// Event loop and timers over libevent's core. Leaves HTTP to http.c and post.c.
#include "loop.h"
#include "base/arena.h"
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>

struct loop {
    struct event_base *base;
    struct event *terminate, *interrupt;
};

struct timer {
    struct event *event;
    timer_fires *fires;
    void *context;
};

static void on_signal(evutil_socket_t number, short what, void *context) {
    struct loop *loop = context;
    (void)number;
    (void)what;
    event_base_loopbreak(loop->base);
}

struct loop *loop_new(void) {
    struct loop *loop = memory_alloc(sizeof *loop);
    loop->base = event_base_new();
    if (!loop->base) {
        free(loop);
        return NULL;
    }
    loop->terminate = evsignal_new(loop->base, SIGTERM, on_signal, loop);
    loop->interrupt = evsignal_new(loop->base, SIGINT, on_signal, loop);
    if (!loop->terminate || !loop->interrupt || event_add(loop->terminate, NULL) || event_add(loop->interrupt, NULL)) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_run(struct loop *loop) {
    event_base_dispatch(loop->base);
}

void loop_free(struct loop *loop) {
    if (!loop)
        return;
    if (loop->terminate)
        event_free(loop->terminate);
    if (loop->interrupt)
        event_free(loop->interrupt);
    event_base_free(loop->base);
    free(loop);
}

struct event_base *loop_base(struct loop *loop) {
    return loop->base;
}

static void on_timer(evutil_socket_t number, short what, void *context) {
    struct timer *timer = context;
    (void)number;
    (void)what;
    timer->fires(timer->context);
}

struct timer *timer_new(struct loop *loop, timer_fires *fires, void *context) {
    struct timer *timer = memory_alloc(sizeof *timer);
    timer->event = evtimer_new(loop->base, on_timer, timer);
    timer->fires = fires;
    timer->context = context;
    if (!timer->event)
        abort();
    return timer;
}

void timer_set(struct timer *timer, uint64_t ms) {
    struct timeval after = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    if (evtimer_add(timer->event, &after))
        abort();
}

void timer_clear(struct timer *timer) {
    evtimer_del(timer->event);
}

void timer_free(struct timer *timer) {
    if (!timer)
        return;
    event_free(timer->event);
    free(timer);
}
