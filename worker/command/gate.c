// A mutex with a deadline and a name on the door. See gate.h.
#include "command/gate.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed; // on the monotonic clock
    bool taken, closed;
    char holder[128];
    uint64_t since_ms;
};

struct gate *gate_new(void) {
    struct gate *gate = memory_alloc(sizeof(*gate));
    pthread_condattr_t monotonic;
    bool fine = pthread_mutex_init(&gate->mutex, NULL) == 0 && pthread_condattr_init(&monotonic) == 0 &&
                pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&gate->changed, &monotonic) == 0;
    if (!fine)
        abort(); // glibc's initialisers fail only on arguments that are not these
    (void)pthread_condattr_destroy(&monotonic);
    return gate;
}

void gate_free(struct gate *gate) {
    (void)pthread_cond_destroy(&gate->changed);
    (void)pthread_mutex_destroy(&gate->mutex);
    free(gate);
}

static struct timespec after(uint64_t ms) {
    uint64_t end = clock_ms() + ms;
    return (struct timespec){.tv_sec = (time_t)(end / 1000), .tv_nsec = (long)(end % 1000) * 1000000};
}

bool gate_enter(struct gate *gate, const char *name, uint64_t ms, struct error *err) {
    struct timespec limit = after(ms);
    (void)pthread_mutex_lock(&gate->mutex);
    int waited = 0;
    while (gate->taken && !gate->closed && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&gate->changed, &gate->mutex, &limit);
    bool entered = !gate->taken && !gate->closed;
    if (entered) {
        gate->taken = true;
        gate->since_ms = clock_ms();
        text_copy(gate->holder, sizeof(gate->holder), view_of(name));
    } else if (gate->closed) {
        error_set(err, ERROR_SHUTTING_DOWN, "the worker is shutting down and starts no run");
    } else {
        error_set(err, ERROR_LOCK_HELD, "run %s is at work in this worker since %llu s", gate->holder,
                  (unsigned long long)((clock_ms() - gate->since_ms) / 1000));
    }
    (void)pthread_mutex_unlock(&gate->mutex);
    return entered;
}

void gate_leave(struct gate *gate) {
    (void)pthread_mutex_lock(&gate->mutex);
    gate->taken = false;
    (void)pthread_cond_broadcast(&gate->changed); // gate_wait_closed waits on it too
    (void)pthread_mutex_unlock(&gate->mutex);
}

void gate_close(struct gate *gate) {
    (void)pthread_mutex_lock(&gate->mutex);
    gate->closed = true;
    (void)pthread_cond_broadcast(&gate->changed);
    (void)pthread_mutex_unlock(&gate->mutex);
}

bool gate_wait_closed(struct gate *gate, uint64_t ms) {
    struct timespec limit = after(ms);
    (void)pthread_mutex_lock(&gate->mutex);
    int waited = 0;
    while (!gate->closed && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&gate->changed, &gate->mutex, &limit);
    bool closed = gate->closed;
    (void)pthread_mutex_unlock(&gate->mutex);
    return closed;
}
