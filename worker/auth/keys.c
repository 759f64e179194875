// The cache of the issuer's keys: when to fetch, who fetches and who waits. What a key set is, is left to jwks.c; how an answer
// travels, to client.c; how long it is fresh, to freshness.c.
//
// Two budgets bound the fetches, so that neither starves the other: a set that is absent or no longer fresh is asked for again with
// growing pauses while that fails; a kid that the set does not have forces a fetch once per cool-down. Both are spent before the
// fetch and stay spent when it fails.
#include "auth/keys.h"

#include "auth/freshness.h"
#include "auth/jwks.h"
#include "base/arena.h"
#include "base/clock.h"
#include "net/client.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define BODY_MAX (256 * 1024)
#define FETCH_MS 5000             // total, one fetch
#define WAIT_MS (FETCH_MS + 1000) // for somebody else's fetch
#define PAUSE_MS_FIRST 1000       // after a failure; doubled until it reaches the cool-down
#define TRUST_MS                                                                                                       \
    (UINT64_C(24) * 60 * 60 * 1000) // no key is trusted longer after the issuer was last seen to publish it
// With keys cached, an unknown kid is nearly always a forgery: only so many of them may tie up a thread in waiting for a fetch.
#define WAITERS_MAX 4

struct keys {
    char *url;
    uint64_t cooldown_ms;
    struct keys_clock clock;
    const atomic_bool *stop;
    struct client *client; // used by the one fetcher only, and made by the first: a start needs no libcurl

    pthread_mutex_t mutex; // guards what follows; never held during a fetch
    pthread_cond_t fetched;
    bool fetching;
    unsigned waiters;
    struct jwks *set; // NULL before the first success
    uint64_t fetched_at, fresh_until;
    uint64_t refresh_from, force_from; // the two budgets: not before these times
    unsigned failures;                 // refreshes that failed in a row
    uint64_t fetches;
    struct error failure; // of the newest fetch; code ERROR_NONE when it succeeded
};

static uint64_t real_now_ms(void *context) {
    (void)context;
    return clock_ms();
}

static uint64_t now_ms(const struct keys *keys) {
    return keys->clock.now_ms(keys->clock.context);
}

static void lock(struct keys *keys) {
    (void)pthread_mutex_lock(&keys->mutex); // fails only when misused
}

static void unlock(struct keys *keys) {
    (void)pthread_mutex_unlock(&keys->mutex);
}

// ---- life ------------------------------------------------------------------------------------------------------------

// Waiting is measured on the monotonic clock, as clock_ms() is.
static bool start_waiting_room(struct keys *keys) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool started = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&keys->fetched, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    if (!started)
        return false;
    if (pthread_mutex_init(&keys->mutex, NULL) == 0)
        return true;
    (void)pthread_cond_destroy(&keys->fetched);
    return false;
}

bool keys_new(const char *url, unsigned cooldown_ms, struct keys **ret_keys, struct error *err) {
    if (!client_check_url(url, true, err))
        return error_wrap(err, "the address of the issuer's keys");
    struct keys *keys = memory_alloc(sizeof *keys);
    if (!start_waiting_room(keys)) {
        free(keys);
        return error_set(err, ERROR_INTERNAL, "the system has no room for a lock");
    }
    keys->url = memory_string(url);
    keys->cooldown_ms = cooldown_ms;
    keys->clock.now_ms = real_now_ms;
    *ret_keys = keys;
    return true;
}

void keys_free(struct keys *keys) {
    if (keys == NULL)
        return;
    jwks_free(keys->set);
    client_free(keys->client);
    (void)pthread_cond_destroy(&keys->fetched);
    (void)pthread_mutex_destroy(&keys->mutex);
    free(keys->url);
    free(keys);
}

void keys_set_clock(struct keys *keys, struct keys_clock clock) {
    keys->clock = clock;
}

void keys_set_stop(struct keys *keys, const atomic_bool *stop) {
    keys->stop = stop;
}

// ---- one fetch -------------------------------------------------------------------------------------------------------

static bool download(struct keys *keys, struct jwks **ret_set, unsigned *ret_fresh_s, struct error *err) {
    const struct client_request request = {
        .url = keys->url, .body_max = BODY_MAX, .timeout_ms = FETCH_MS, .allow_http = true, .stop = keys->stop};
    struct client_answer answer;
    if (!keys->client && !client_new(&keys->client, err))
        return false;
    if (!client_fetch(keys->client, &request, &answer, err))
        return false;
    struct view body = {text_string(&answer.body), answer.body.length};
    bool parsed = answer.status == 200
                      ? jwks_parse(body, ret_set, err)
                      : error_set(err, ERROR_KEYS_UNAVAILABLE, "the server answered %ld, not 200", answer.status);
    if (parsed)
        *ret_fresh_s = freshness_seconds(view_of(answer.cache_control), view_of(answer.age));
    client_answer_done(&answer);
    return parsed;
}

// Called with the lock held, and gives it up while it fetches. A failure leaves the old keys where they are.
static void fetch(struct keys *keys) {
    struct jwks *set = NULL, *old = NULL;
    unsigned fresh_s = 0;
    struct error err = {0};
    keys->fetching = true;
    keys->fetches++;
    unlock(keys);
    bool done = download(keys, &set, &fresh_s, &err);
    lock(keys);
    keys->fetching = false;
    if (done) {
        old = keys->set;
        keys->set = set;
        keys->fetched_at = now_ms(keys);
        keys->fresh_until = keys->fetched_at + (uint64_t)fresh_s * 1000;
        keys->refresh_from = keys->fetched_at;
        keys->failures = 0;
    }
    keys->failure = err;
    (void)pthread_cond_broadcast(&keys->fetched);
    jwks_free(old); // keys that are still in use live on by their own count
}

// ---- when to fetch ---------------------------------------------------------------------------------------------------

static bool is_usable(const struct keys *keys, uint64_t now) {
    return keys->set != NULL && now - keys->fetched_at < TRUST_MS;
}

static const struct key *look_up(const struct keys *keys, struct view kid) {
    return is_usable(keys, now_ms(keys)) ? jwks_find(keys->set, kid) : NULL;
}

// 1 s, 2 s, 4 s ... up to the cool-down.
static uint64_t pause_ms(const struct keys *keys) {
    uint64_t pause = (uint64_t)PAUSE_MS_FIRST << (keys->failures < 16 ? keys->failures : 16);
    return pause < keys->cooldown_ms ? pause : keys->cooldown_ms;
}

static bool spend_refresh(struct keys *keys) {
    uint64_t now = now_ms(keys);
    if ((is_usable(keys, now) && now < keys->fresh_until) || now < keys->refresh_from)
        return false;
    keys->refresh_from = now + pause_ms(keys);
    keys->failures++;
    return true;
}

static bool spend_force(struct keys *keys) {
    uint64_t now = now_ms(keys);
    if (!is_usable(keys, now) || now < keys->force_from)
        return false;
    keys->force_from = now + keys->cooldown_ms;
    return true;
}

// Called with the lock held. Comes back when no fetch is in progress, after WAIT_MS, or at once when enough others wait.
static void wait_for_fetch(struct keys *keys) {
    if (is_usable(keys, now_ms(keys)) && keys->waiters >= WAITERS_MAX)
        return;
    uint64_t end = clock_ms() + WAIT_MS;
    struct timespec deadline = {.tv_sec = (time_t)(end / 1000), .tv_nsec = (long)(end % 1000) * 1000000};
    int result = 0;
    keys->waiters++;
    while (keys->fetching && result == 0)
        result = pthread_cond_timedwait(&keys->fetched, &keys->mutex, &deadline);
    keys->waiters--;
}

// Why a kid was not found: 401 only when the keys in hand are all that the issuer has.
static bool explain(const struct keys *keys, struct error *err) {
    if (keys->fetching)
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the issuer's keys are still being fetched");
    if (keys->failure.code != ERROR_NONE) {
        *err = keys->failure;
        if (err->code != ERROR_SHUTTING_DOWN)
            err->code = ERROR_KEYS_UNAVAILABLE;
        return error_wrap(err, "cannot fetch the issuer's keys");
    }
    if (!is_usable(keys, now_ms(keys)))
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "the issuer's keys are older than 24 h");
    return error_set(err, ERROR_TOKEN_KEY_UNKNOWN, "the token's kid is not among the issuer's %zu keys",
                     jwks_count(keys->set));
}

// ---- questions -------------------------------------------------------------------------------------------------------

static bool find(void *context, struct view kid, const struct key **ret_key, struct error *err) {
    struct keys *keys = context;
    lock(keys);
    const struct key *key = look_up(keys, kid);
    if (keys->fetching) {
        if (key == NULL)
            wait_for_fetch(keys);
    } else if (spend_refresh(keys) || (key == NULL && spend_force(keys))) {
        fetch(keys);
    }
    key = look_up(keys, kid); // in the new set, if there is one: a key that was withdrawn is unknown from now on
    if (key != NULL)
        *ret_key = key_keep(key);
    bool found = key != NULL || explain(keys, err);
    unlock(keys);
    return found;
}

static void release(void *context, const struct key *key) {
    (void)context;
    key_release(key);
}

struct token_keys keys_as_token_keys(struct keys *keys) {
    return (struct token_keys){.context = keys, .find = find, .release = release};
}

bool keys_warm(struct keys *keys, struct error *err) {
    lock(keys);
    if (!is_usable(keys, now_ms(keys))) {
        if (keys->fetching)
            wait_for_fetch(keys);
        else if (spend_refresh(keys))
            fetch(keys);
    }
    bool warm = is_usable(keys, now_ms(keys)) || explain(keys, err);
    unlock(keys);
    return warm;
}

bool keys_ready(struct keys *keys) {
    lock(keys);
    bool usable = is_usable(keys, now_ms(keys));
    unlock(keys);
    return usable;
}

bool keys_failure(struct keys *keys, struct error *ret_failure) {
    lock(keys);
    bool failed = keys->failure.code != ERROR_NONE;
    if (failed)
        *ret_failure = keys->failure;
    unlock(keys);
    return failed;
}

uint64_t keys_fetches(struct keys *keys) {
    lock(keys);
    uint64_t fetches = keys->fetches;
    unlock(keys);
    return fetches;
}
