// What lives as long as `pawl serve`: configuration checked once, the issuer's keys, the database, the HTTP server and the way down.
#pragma once
#include "auth/keys.h"
#include "auth/proof.h"
#include "auth/token.h"
#include "base/log.h"
#include "command/metrics.h"
#include "command/outbox.h"
#include "command/site.h"
#include "migrate/run.h"
#include "net/server.h"
#include "options.h"
#include "push/release.h"
#include <pthread.h>

// Whoever waits keeps a thread of the pool. One run is at work; what is left answers bad tokens, /ready and the rest at once.
enum { POOL_THREADS = 32, WAITING_PUSHES_MAX = 16, WAITING_READERS_MAX = 4 };

// How far the way down has come: what waits for Google looks there, also while the parts are made.
struct service_end {
    atomic_bool stop;    // nothing begins any more, and no login or key is waited for
    atomic_bool cancel;  // the grace is over
    atomic_bool abandon; // so is the time for what leaves: dead letters and result events
};

struct service {
    const struct options *options;
    struct service_end *end;
    struct token_policy callers, readers; // who may push, who may ask
    struct release release;               // of these files
    struct keys *keys;
    struct proof_policy proof; // who may publish
    struct keys *proof_keys;   // GitHub's; NULL: no proof is demanded
    struct cloud cloud;        // for the logins; empty when none needs it
    struct targets targets;
    struct site *sites; // one of each target, in the same order
    struct outbox outbox;
    struct metrics metrics;
    atomic_bool token_seen; // a push token has been verified, and the log says so
    atomic_uint waiters;    // of those who ask for a run
    struct server *server;
    pthread_t threads[2 + TARGETS_MAX]; // of service_warm
    size_t thread_count;
    pthread_mutex_t ready_mutex; // guards what the last look at /ready found
    uint64_t ready_looked_ms;    // monotonic; 0 = never
    struct error ready_error;
    bool ready_looking; // somebody does at this moment
};

// Checks the configuration (every missing setting is named at once) and makes the parts; nothing is fetched or connected yet.
// `end` outlives it. Errors: ERROR_CONFIGURATION, and what a name or file that only Google knows brings, ERROR_SHUTTING_DOWN among them.
bool service_open(const struct options *options, struct service_end *end, struct arena *arena,
                  struct service *ret_service, struct error *err);
void service_close(struct service *service);
// Fetches the keys and connects to the databases, each on a thread of its own, while the server already listens. Failures are logged
// and are not final: the first delivery tries again. The threads end with gate_close.
void service_warm(struct service *service);
void service_stop(struct service *service); // no new run
// And the statements in flight are cancelled. What is being published meanwhile may take until the second time.
void service_cancel(struct service *service);
// NULL: there is no target of this name.
struct site *service_site(const struct service *service, const char *target);
// GET /ready: keys are cached, the files can be read, the databases answer. Says which of them is not so.
void service_ready(void *context, struct server_exchange *exchange);
