// A mutex with a deadline, a name on the door, and word of how the last one inside fared. See gate.h.
#include "command/gate.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct verdict { // a run that failed for good
    char name[128], ask[256];
    struct error failure;
};

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed; // on the monotonic clock
    bool taken, closed;
    unsigned waiting, crowd;
    char holder[128], ask[256]; // of the one inside
    uint64_t since_ms;
    uint64_t turn;                        // counts those who have left
    char last_holder[128], last_ask[256]; // of the one who left last, and how it fared
    struct error failure;
    bool once;
    size_t failures;                        // so many so far; the oldest give way
    struct verdict verdicts[GATE_FAILURES]; // only where failures are final
};

struct gate *gate_new(unsigned crowd, bool once) {
    struct gate *gate = memory_alloc(sizeof(*gate));
    gate->crowd = crowd;
    gate->once = once;
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

static void remember(struct gate *gate, const char *name, const char *ask, const struct error *failure) {
    if (!gate->once || error_class(failure->code) != CLASS_PERMANENT)
        return;
    struct verdict *verdict = &gate->verdicts[gate->failures++ % GATE_FAILURES];
    text_copy(verdict->name, sizeof(verdict->name), view_of(name));
    text_copy(verdict->ask, sizeof(verdict->ask), view_of(ask));
    verdict->failure = *failure;
}

static bool failed_before(const struct gate *gate, const char *name, const char *ask, struct error *err) {
    for (size_t i = 0; i < GATE_FAILURES && i < gate->failures; i++) {
        const struct verdict *verdict = &gate->verdicts[i];
        if (strcmp(verdict->name, name) == 0 && strcmp(verdict->ask, ask) == 0) {
            *err = verdict->failure;
            return true;
        }
    }
    return false;
}

static bool share_failure(struct gate *gate, const char *name, const char *ask, struct error *err) {
    remember(gate, name, ask, &gate->failure);
    *err = gate->failure;
    return error_wrap(err, "run %s, which asked for the same, failed while this one waited for it", gate->last_holder);
}

static bool take(struct gate *gate, const char *name, const char *ask) {
    gate->taken = true;
    gate->since_ms = clock_ms();
    text_copy(gate->holder, sizeof(gate->holder), view_of(name));
    text_copy(gate->ask, sizeof(gate->ask), view_of(ask));
    return true;
}

// With the mutex held.
static bool enter(struct gate *gate, const char *name, const char *ask, const struct timespec *limit,
                  struct error *err) {
    if (failed_before(gate, name, ask, err))
        return false;
    uint64_t turn = gate->turn;
    int waited = gate->waiting < gate->crowd ? 0 : ETIMEDOUT;
    while (gate->taken && !gate->closed && waited != ETIMEDOUT) {
        gate->waiting++;
        waited = pthread_cond_timedwait(&gate->changed, &gate->mutex, limit);
        gate->waiting--;
        bool left = gate->turn != turn;
        turn = gate->turn;
        if (left && error_class(gate->failure.code) == CLASS_PERMANENT && strcmp(gate->last_ask, ask) == 0)
            return share_failure(gate, name, ask, err);
    }
    if (gate->closed)
        return error_set(err, ERROR_SHUTTING_DOWN, "the worker is shutting down and starts no run");
    if (gate->taken)
        return error_set(err, ERROR_LOCK_HELD, "run %s is at work in this worker since %llu s", gate->holder,
                         (unsigned long long)((clock_ms() - gate->since_ms) / 1000));
    return take(gate, name, ask);
}

bool gate_enter(struct gate *gate, const char *name, const char *ask, uint64_t ms, bool *ret_waited,
                struct error *err) {
    struct timespec limit = after(ms);
    (void)pthread_mutex_lock(&gate->mutex);
    *ret_waited = gate->taken;
    bool entered = enter(gate, name, ask, &limit, err);
    (void)pthread_mutex_unlock(&gate->mutex);
    return entered;
}

void gate_leave(struct gate *gate, const struct error *failure) {
    (void)pthread_mutex_lock(&gate->mutex);
    gate->taken = false;
    gate->turn++;
    text_copy(gate->last_holder, sizeof(gate->last_holder), view_of(gate->holder));
    text_copy(gate->last_ask, sizeof(gate->last_ask), view_of(gate->ask));
    gate->failure = failure ? *failure : (struct error){0};
    remember(gate, gate->holder, gate->ask, &gate->failure);
    (void)pthread_cond_broadcast(&gate->changed); // each of those who wait may have to hear of the failure
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
