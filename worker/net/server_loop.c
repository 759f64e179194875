// See server_loop.h. libevent's static archive knows no threads here, and needs none.
#include "net/server_loop.h"
#include "base/arena.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <stdlib.h>

struct server_loop {
    struct event_base *base;
};

struct server_watch {
    struct server_loop *loop;
    int fd;
    unsigned interest;
    server_watch_callback *callback;
    void *context;
    struct event io, deadline;
};

struct server_loop *server_loop_new(void) {
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    struct event_base *base = NULL;
    if (event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) == 0 &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
        event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    if (!base)
        return NULL;
    struct server_loop *loop = memory_alloc(sizeof *loop);
    loop->base = base;
    return loop;
}

void server_loop_free(struct server_loop *loop) {
    if (!loop)
        return;
    event_base_free(loop->base);
    free(loop);
}

bool server_loop_run(struct server_loop *loop) {
    return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) >= 0;
}

void server_loop_stop(struct server_loop *loop) {
    event_base_loopbreak(loop->base);
}

static bool is_hung_up(int fd) {
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) == 1 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static void on_io(evutil_socket_t fd, short what, void *context) {
    struct server_watch *watch = context;
    if (watch->interest == SERVER_HANGUP) {
        if (is_hung_up(fd))
            watch->callback(watch->context, SERVER_HANGUP);
        return;
    }
    // An error makes the descriptor ready for both; whoever reads or writes will see it.
    bool readable = (what & EV_READ) && (watch->interest & SERVER_READ);
    watch->callback(watch->context, readable ? SERVER_READ : SERVER_WRITE);
}

static void on_deadline(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct server_watch *watch = context;
    watch->callback(watch->context, SERVER_LATE);
}

struct server_watch *server_watch_new(struct server_loop *loop, int fd, server_watch_callback *callback,
                                      void *context) {
    struct server_watch *watch = memory_alloc(sizeof *watch);
    *watch = (struct server_watch){.loop = loop, .fd = fd, .callback = callback, .context = context};
    if (event_assign(&watch->io, loop->base, fd, EV_READ, on_io, watch) != 0 ||
        evtimer_assign(&watch->deadline, loop->base, on_deadline, watch) != 0) {
        free(watch);
        return NULL;
    }
    return watch;
}

void server_watch_free(struct server_watch *watch) {
    if (!watch)
        return;
    event_del(&watch->io);
    event_del(&watch->deadline);
    free(watch);
}

bool server_watch_for(struct server_watch *watch, unsigned interest) {
    if (interest == watch->interest)
        return true;
    if (event_del(&watch->io) != 0)
        return false;
    watch->interest = interest;
    if (interest == 0)
        return true;
    // Edge-triggered for a hang-up: unread data or an error must wake the loop once, not for ever.
    short events =
        interest == SERVER_HANGUP
            ? EV_READ | EV_CLOSED | EV_ET | EV_PERSIST
            : (short)(EV_PERSIST | (interest & SERVER_READ ? EV_READ : 0) | (interest & SERVER_WRITE ? EV_WRITE : 0));
    return event_assign(&watch->io, watch->loop->base, watch->fd, events, on_io, watch) == 0 &&
           event_add(&watch->io, NULL) == 0;
}

bool server_watch_deadline(struct server_watch *watch, unsigned ms) {
    if (ms == 0)
        return event_del(&watch->deadline) == 0;
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    return event_add(&watch->deadline, &after) == 0;
}
