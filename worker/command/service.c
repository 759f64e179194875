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
    if (!options->database_url)
        name_missing(&missing, "DATABASE_URL", "the database to migrate");
    if (missing.length)
        return error_set(err, ERROR_CONFIGURATION, "not set: %s", text_string(&missing));
    if (access(options->migrations, R_OK | X_OK) != 0)
        return error_set(err, ERROR_CONFIGURATION, "PAWL_MIGRATIONS: cannot read the folder %s: %s",
                         options->migrations, strerror(errno));
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
    return keys_new(options->proof_jwks_url, KEYS_COOLDOWN_MS, &service->proof_keys, err) ||
           error_wrap(err, "PAWL_PROOF_JWKS_URL");
}

// What needs Google's credentials, and the credentials only where something does.
static bool open_google(struct service *service, struct arena *arena, struct error *err) {
    const struct options *options = service->options;
    bool needed = outbox_is_wanted(options) || login_needs_credentials(options->database_url, options->database_iam);
    if (needed && !cloud_open(options, &service->cloud, err))
        return false;
    struct login_settings who = {
        .url = options->database_url,
        .iam = options->database_iam,
        .secret_endpoint = options->secret_endpoint,
        .credentials = service->cloud.credentials,
    };
    return outbox_open(options, &service->cloud, arena, &service->outbox, err) &&
           (login_new(&who, &service->login, err) || error_wrap(err, "DATABASE_URL"));
}

bool service_open(const struct options *options, struct arena *arena, struct service *ret_service, struct error *err) {
    struct service service = {
        .options = options,
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
    if (!keys_new(options->jwks_url, KEYS_COOLDOWN_MS, &service.keys, err))
        return error_wrap(err, "PAWL_JWKS_URL");
    if (!open_proof(options, &service, err) || !open_google(&service, arena, err)) {
        login_free(service.login);
        cloud_close(&service.cloud);
        keys_free(service.keys);
        keys_free(service.proof_keys);
        return false;
    }
    service.database = login_database(service.login);
    service.control = run_control_new();
    service.gate = gate_new(WAITING_PUSHES_MAX);
    (void)error_set(&service.ready_error, ERROR_DATABASE_UNAVAILABLE, "nobody has looked yet");
    service.ready_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    *ret_service = service;
    return true;
}

void service_close(struct service *service) {
    for (size_t i = 0; i < service->thread_count; i++)
        (void)pthread_join(service->threads[i], NULL);
    server_free(service->server);
    gate_free(service->gate);
    run_database_free(service->database);
    login_free(service->login);
    run_control_free(service->control);
    keys_free(service->keys);
    keys_free(service->proof_keys);
    cloud_close(&service->cloud);
    (void)pthread_mutex_destroy(&service->ready_mutex);
}

// ---- warm, and kept tidy ---------------------------------------------------------------------------------------------------

static void *warm(struct keys *keys) {
    struct error err = {0};
    if (!keys_warm(keys, &err))
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
    struct service *service = argument;
    struct error err = {0};
    if (!run_database_warm(service->database, service->control, &err) && err.code != ERROR_SHUTTING_DOWN)
        log_failure(LOG_WARNING, NULL, &err);
    while (!gate_wait_closed(service->gate, TIDY_MS))
        run_database_tidy(service->database);
    return NULL;
}

void service_warm(struct service *service) {
    void *(*const work[])(void *) = {warm_keys, keep_database, service->proof_keys ? warm_proof_keys : NULL};
    for (size_t i = 0; i < sizeof(work) / sizeof(work[0]) && work[i]; i++) {
        int failure = pthread_create(&service->threads[service->thread_count], NULL, work[i], service);
        if (failure == 0)
            service->thread_count++;
        else
            log_event(LOG_WARNING, NULL, "cannot start a thread to warm up: %s", strerror(failure));
    }
}

// ---- ready -----------------------------------------------------------------------------------------------------------------

static bool look(struct service *service, struct error *err) {
    cleanup_arena struct arena *arena = arena_new();
    struct migration_set set;
    return keys_warm(service->keys, err) && directory_read(service->options->migrations, arena, &set, err) &&
           run_database_warm(service->database, service->control, err);
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
