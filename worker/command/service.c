// The parts of `pawl serve` that live as long as the process. See service.h.
#include "command/service.h"
#include "base/clock.h"
#include "base/json.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READY_FRESH_MS = 2000, TIDY_MS = 15000 };

static void name_missing(struct text *missing, const char *variable, const char *what) {
    text_printf(missing, "%s%s (%s)", missing->length ? ", " : "", variable, what);
}

// Everything that is missing is named at once: one deploy, not three.
static bool check_settings(const struct options *options, struct error *err) {
    cleanup_text struct text missing = TEXT(512);
    if (!options->audiences)
        name_missing(&missing, "PAWL_AUDIENCE", "the audience of the push subscription's token");
    if (!options->callers)
        name_missing(&missing, "PAWL_CALLERS", "the service account that pushes");
    if (!options->database_url && !options->targets)
        name_missing(&missing, "DATABASE_URL", "the database to migrate");
    if (missing.length)
        return error_set(err, ERROR_CONFIGURATION, "not set: %s", text_string(&missing));
    return true;
}

static bool check_ids(const char *variable, const char *const *ids, struct error *err) {
    uint64_t number;
    for (size_t i = 0; ids && ids[i]; i++)
        if (!text_to_u64(view_of(ids[i]), UINT64_MAX, &number))
            return error_set(err, ERROR_CONFIGURATION, "%s has '%.64s', but ids are numbers (github.repository_id)",
                             variable, ids[i]);
    return true;
}

// An id, of the repository or of its owner, is what makes a proof one: everybody has an environment called production.
static bool open_proof(const struct options *options, struct service *service, struct error *err) {
    if (!check_ids("PAWL_PROOF_REPOSITORY_ID", options->proof_repository_ids, err) ||
        !check_ids("PAWL_PROOF_OWNER_ID", options->proof_owner_ids, err))
        return false;
    service->proof = (struct proof_policy){.repository_ids = options->proof_repository_ids,
                                           .owner_ids = options->proof_owner_ids,
                                           .environments = options->proof_environments,
                                           .refs = options->proof_refs,
                                           .skew_s = (unsigned)(options->clock_skew / 1000)};
    if (!options->proof_repository_ids && !options->proof_owner_ids) {
        if (options->proof_environments || options->proof_refs)
            return error_set(err, ERROR_CONFIGURATION,
                             "PAWL_PROOF_ENVIRONMENT and PAWL_PROOF_REF need PAWL_PROOF_REPOSITORY_ID or "
                             "PAWL_PROOF_OWNER_ID");
        return true;
    }
    if (!keys_new(options->proof_jwks_url, KEYS_COOLDOWN_MS, &service->proof_keys, err))
        return error_wrap(err, "PAWL_PROOF_JWKS_URL");
    keys_set_stop(service->proof_keys, &service->end->stop);
    return true;
}

// The pushes of all targets together find room in the pool, and none finds none.
static unsigned crowd_of(size_t targets) {
    return targets < WAITING_PUSHES_MAX ? (unsigned)(WAITING_PUSHES_MAX / targets) : 1;
}

static bool open_site(struct service *service, const struct target *target, struct site *ret_site, struct error *err) {
    if (access(target->migrations, R_OK | X_OK) != 0)
        return error_set(err, ERROR_CONFIGURATION, "PAWL_%s: cannot read the folder %s: %s",
                         service->options->targets ? "TARGETS" : "MIGRATIONS", target->migrations, strerror(errno));
    return site_open(service->options, target, crowd_of(service->targets.count), &service->cloud, ret_site, err);
}

static bool open_sites(struct service *service, struct arena *arena, struct error *err) {
    const struct options *options = service->options;
    if (!site_targets(options, options->serve_lock_wait, &service->cloud, arena, &service->targets, err))
        return false;
    service->sites = arena_array(arena, service->targets.count, sizeof(*service->sites));
    bool done = targets_check_bound(&service->targets, options->callers, options->readers, err) ||
                error_wrap(err, "PAWL_TARGETS");
    for (size_t i = 0; done && i < service->targets.count; i++)
        done = open_site(service, &service->targets.items[i], &service->sites[i], err);
    targets_forget(&service->targets);
    return done;
}

static void close_sites(struct service *service) {
    for (size_t i = 0; i < service->targets.count; i++)
        site_close(&service->sites[i]);
}

static bool open_keys(const struct options *options, struct service *service, struct error *err) {
    if (!keys_new(options->jwks_url, KEYS_COOLDOWN_MS, &service->keys, err))
        return error_wrap(err, "PAWL_JWKS_URL");
    keys_set_stop(service->keys, &service->end->stop);
    return true;
}

bool service_open(const struct options *options, struct service_end *end, struct arena *arena,
                  struct service *ret_service, struct error *err) {
    struct service service = {
        .options = options,
        .end = end,
        .cloud.stop = &end->stop,
        .callers = {.audiences = options->audiences,
                    .callers = options->callers,
                    .skew_s = (unsigned)(options->clock_skew / 1000)},
        .release = {.name = options->release},
    };
    static const char *const nobody[] = {NULL};
    if (!check_settings(options, err))
        return false;
    service.readers = service.callers;
    service.readers.callers = options->readers ? options->readers : nobody;
    if (options->built && !clock_parse(options->built, &service.release.built_ms))
        return error_set(err, ERROR_CONFIGURATION, "PAWL_BUILT is '%s', but must be a time such as %s", options->built,
                         "2026-02-26T19:13:55Z");
    if (!open_keys(options, &service, err) || !open_proof(options, &service, err) ||
        !open_sites(&service, arena, err) || !outbox_open(options, &end->abandon, arena, &service.outbox, err)) {
        close_sites(&service);
        cloud_close(&service.cloud);
        keys_free(service.keys);
        keys_free(service.proof_keys);
        return false;
    }
    (void)error_set(&service.ready_error, ERROR_DATABASE_UNAVAILABLE, "nobody has looked yet");
    service.ready_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    *ret_service = service;
    return true;
}

void service_close(struct service *service) {
    for (size_t i = 0; i < service->thread_count; i++)
        (void)pthread_join(service->threads[i], NULL);
    server_free(service->server);
    close_sites(service);
    keys_free(service->keys);
    keys_free(service->proof_keys);
    outbox_close(&service->outbox);
    cloud_close(&service->cloud);
    (void)pthread_mutex_destroy(&service->ready_mutex);
}

// ---- warm, and kept tidy ---------------------------------------------------------------------------------------------------

static void *warm(struct keys *keys) {
    struct error err = {0};
    if (!keys_warm(keys, &err) && err.code != ERROR_SHUTTING_DOWN)
        log_failure(LOG_WARNING, NULL, &err);
    return NULL;
}

static void *warm_keys(void *argument) {
    return warm(((struct service *)argument)->keys);
}

static void *warm_proof_keys(void *argument) {
    return warm(((struct service *)argument)->proof_keys);
}

// Connects, then closes the idle connection when its minute is over, until the process ends.
static void *keep_database(void *argument) {
    struct site *site = argument;
    struct log_context log = {.target = site->target->name};
    struct error err = {0};
    if (!run_database_warm(site->database, site->control, &err) && err.code != ERROR_SHUTTING_DOWN)
        log_failure(LOG_WARNING, &log, &err);
    while (!gate_wait_closed(site->gate, TIDY_MS))
        run_database_tidy(site->database);
    return NULL;
}

static void start(struct service *service, void *(*work)(void *), void *argument) {
    int failure = pthread_create(&service->threads[service->thread_count], NULL, work, argument);
    if (failure == 0)
        service->thread_count++;
    else
        log_event(LOG_WARNING, NULL, "cannot start a thread to warm up: %s", strerror(failure));
}

void service_warm(struct service *service) {
    start(service, warm_keys, service);
    for (size_t i = 0; i < service->targets.count; i++)
        start(service, keep_database, &service->sites[i]);
    if (service->proof_keys)
        start(service, warm_proof_keys, service);
}

void service_stop(struct service *service) {
    atomic_store(&service->end->stop, true);
    for (size_t i = 0; i < service->targets.count; i++) {
        gate_close(service->sites[i].gate);
        run_control_stop(service->sites[i].control);
    }
}

void service_cancel(struct service *service) {
    if (atomic_exchange(&service->end->cancel, true))
        atomic_store(&service->end->abandon, true);
    for (size_t i = 0; i < service->targets.count; i++)
        run_control_cancel(service->sites[i].control);
}

struct site *service_site(const struct service *service, const char *target) {
    const struct target *found = targets_find(&service->targets, target);
    return found ? &service->sites[found - service->targets.items] : NULL;
}

// ---- ready -----------------------------------------------------------------------------------------------------------------

static bool look_at(const struct site *site, struct error *err) {
    cleanup_arena struct arena *arena = arena_new();
    struct migration_set set;
    return directory_read(site->target->migrations, arena, &set, err) &&
           run_database_warm(site->database, site->control, err);
}

static bool look(struct service *service, struct error *err) {
    if (!keys_warm(service->keys, err))
        return false;
    for (size_t i = 0; i < service->targets.count; i++)
        if (!look_at(&service->sites[i], err))
            return service->targets.count == 1 ? false : error_wrap(err, "target '%s'", service->targets.items[i].name);
    return true;
}

// Anybody may ask, so the answer is kept for a moment, and one alone looks while the others get the last answer: asking often costs
// neither the database nor the key server anything, and no thread of the pool waits for another.
static struct error readiness(struct service *service) {
    (void)pthread_mutex_lock(&service->ready_mutex);
    struct error err = service->ready_error;
    bool first = service->ready_looked_ms == 0;
    bool stale = first || clock_ms() - service->ready_looked_ms >= READY_FRESH_MS;
    bool looks = stale && !service->ready_looking;
    service->ready_looking = service->ready_looking || looks;
    (void)pthread_mutex_unlock(&service->ready_mutex);
    if (!looks)
        return err;
    struct error found = {0};
    if (!look(service, &found) && (first || found.code != err.code))
        log_failure(LOG_WARNING, NULL, &found);
    (void)pthread_mutex_lock(&service->ready_mutex);
    service->ready_error = found;
    service->ready_looked_ms = clock_ms();
    service->ready_looking = false;
    (void)pthread_mutex_unlock(&service->ready_mutex);
    return found;
}

void service_ready(void *context, struct server_exchange *exchange) {
    struct error err = readiness(context);
    struct server_answer answer = {.status = 200, .body = TEXT(4096)};
    struct json_writer writer = JSON_WRITER(&answer.body);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "status", err.code == ERROR_NONE ? "ready" : "not ready");
    if (err.code != ERROR_NONE) { // the code only: whoever asks is not known, and the log has the message
        json_put_string(&writer, "error", error_name(err.code));
        answer.status = 503;
        answer.retry_after = 5;
    }
    json_end_object(&writer);
    server_answer(exchange, &answer);
}
