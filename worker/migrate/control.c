// The switch between the thread that runs and the one that wants it to end. What is cancelled, and how, is net/postgres's business.
#include "migrate/control.h"

#include "base/clock.h"

#include <pthread.h>

enum { SLEEP_SLICE_MS = 20 };

struct run_control {
    pthread_mutex_t lock; // for `entries` and `cancelled`
    struct control_entry *entries;
    bool cancelled;
    atomic_bool stop;
};

struct run_control *run_control_new(void) {
    struct run_control *control = memory_alloc(sizeof(*control));
    pthread_mutex_init(&control->lock, NULL);
    return control;
}

void run_control_free(struct run_control *control) {
    if (!control)
        return;
    pthread_mutex_destroy(&control->lock);
    memory_cleanup(&control);
}

void run_control_stop(struct run_control *control) {
    atomic_store(&control->stop, true);
}

void run_control_cancel(struct run_control *control) {
    run_control_stop(control);
    pthread_mutex_lock(&control->lock);
    control->cancelled = true;
    for (struct control_entry *entry = control->entries; entry; entry = entry->next)
        postgres_cancel(entry->postgres);
    pthread_mutex_unlock(&control->lock);
}

bool control_stopped(const struct run_control *control) {
    return control && atomic_load(&control->stop);
}

const atomic_bool *control_flag(const struct run_control *control) {
    return control ? &control->stop : NULL;
}

void control_enter(struct run_control *control, struct control_entry *entry) {
    if (!control)
        return;
    pthread_mutex_lock(&control->lock);
    entry->next = control->entries;
    control->entries = entry;
    if (control->cancelled)
        postgres_cancel(entry->postgres);
    pthread_mutex_unlock(&control->lock);
}

void control_leave(struct run_control *control, struct control_entry *entry) {
    if (!control)
        return;
    pthread_mutex_lock(&control->lock);
    for (struct control_entry **at = &control->entries; *at; at = &(*at)->next)
        if (*at == entry) {
            *at = entry->next;
            break;
        }
    pthread_mutex_unlock(&control->lock);
}

void control_sleep(const struct run_control *control, uint64_t ms) {
    uint64_t end = clock_ms() + ms;
    for (uint64_t now = clock_ms(); now < end && !control_stopped(control); now = clock_ms())
        clock_sleep_ms(end - now < SLEEP_SLICE_MS ? end - now : SLEEP_SLICE_MS);
}

uint64_t control_pause(unsigned n, uint64_t first, uint64_t cap) {
    uint64_t pause = n < 20 ? first << n : cap;
    if (pause > cap)
        pause = cap;
    return pause / 2 + clock_random((uint32_t)pause / 2 + 1); // half fixed, half by chance
}
