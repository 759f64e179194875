// One thread that waits for the signals. See shutdown.h.
#include "command/shutdown.h"
#include "base/arena.h"
#include "base/clock.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct shutdown {
    struct shutdown_steps steps;
    pthread_t thread;
    sigset_t signals;
    atomic_int signal; // that came; 0 = none
    atomic_bool ended; // shutdown_end was called
};

enum { WAKE = SIGUSR1 }; // how shutdown_end gets the thread out of its waits

// Waits for one of the signals, at most `ms` (UINT64_MAX: for ever). Returns it, or 0 when the time is up.
static int wait_signal(const struct shutdown *shutdown, uint64_t ms) {
    uint64_t end = ms == UINT64_MAX ? UINT64_MAX : clock_ms() + ms;
    for (;;) {
        uint64_t now = clock_ms();
        uint64_t left = end == UINT64_MAX ? 3600000 : (now < end ? end - now : 0);
        struct timespec limit = {.tv_sec = (time_t)(left / 1000), .tv_nsec = (long)(left % 1000) * 1000000};
        int signal = sigtimedwait(&shutdown->signals, NULL, &limit);
        if (signal > 0)
            return signal;
        if (errno == EAGAIN && end != UINT64_MAX && clock_ms() >= end)
            return 0;
    }
}

static void *watch(void *argument) {
    struct shutdown *shutdown = argument;
    int signal = WAKE;
    while (signal == WAKE) { // anybody may send one: it ends the thread only when shutdown_end did
        signal = wait_signal(shutdown, UINT64_MAX);
        if (signal != WAKE) // also one that comes with the end: it is told to whoever ends it
            atomic_store(&shutdown->signal, signal);
        if (atomic_load(&shutdown->ended))
            return NULL;
    }
    shutdown->steps.stop(shutdown->steps.context);
    uint64_t end = clock_ms() + shutdown->steps.grace_ms;
    while (!atomic_load(&shutdown->ended)) { // a second SIGTERM changes nothing; an impatient Ctrl-C cancels at once
        uint64_t now = clock_ms();
        int again = now < end ? wait_signal(shutdown, end - now) : 0;
        if (again == 0 || again == SIGINT) {
            shutdown->steps.cancel(shutdown->steps.context);
            end = clock_ms() + 1000; // again every second: a statement may have started between stop and cancel
        }
    }
    return NULL;
}

static void own_signals(sigset_t *ret_signals) {
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, WAKE);
}

void shutdown_block(void) {
    sigset_t signals;
    own_signals(&signals);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0 || sigaction(SIGPIPE, &ignore, NULL) != 0 ||
        sigaction(SIGCHLD, &ignore, NULL) != 0)
        abort(); // they fail only on arguments that are not these
}

bool shutdown_watch(const struct shutdown_steps *steps, struct shutdown **ret_shutdown, struct error *err) {
    struct shutdown *shutdown = memory_alloc(sizeof(*shutdown));
    shutdown->steps = *steps;
    own_signals(&shutdown->signals);
    int failure = pthread_create(&shutdown->thread, NULL, watch, shutdown);
    if (failure != 0) {
        free(shutdown);
        return error_set(err, ERROR_INTERNAL, "cannot watch for signals: %s", strerror(failure));
    }
    *ret_shutdown = shutdown;
    return true;
}

int shutdown_end(struct shutdown *shutdown) {
    atomic_store(&shutdown->ended, true);
    (void)pthread_kill(shutdown->thread, WAKE);
    (void)pthread_join(shutdown->thread, NULL);
    int signal = atomic_load(&shutdown->signal);
    free(shutdown);
    return signal;
}
