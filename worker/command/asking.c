// Answers for the readers. See asking.h.
#include "command/asking.h"
#include "base/clock.h"
#include "base/json.h"
#include "command/admission.h"
#include "command/report.h"
#include "migrate/history.h"
#include <string.h>

enum { ANSWER_MAX = 64 << 20, WAIT_MAX_S = 300, WAIT_POLL_MS = 500 };

bool asking_admit(void *context, struct server_exchange *exchange, struct server_answer *ret_answer) {
    struct service *service = context;
    return admission_verify(service, &service->readers, exchange, ret_answer);
}

// What others are not to see is not there for them.
static bool may_see(const struct service *service, const struct server_exchange *exchange,
                    const struct target *target) {
    const struct token_claims *claims = server_note(exchange);
    return targets_may_read(&service->targets, target, claims->email);
}

static void answer_failure(const struct service *service, struct server_exchange *exchange, const struct error *err) {
    struct log_context log = admission_trace(service, exchange);
    struct server_answer answer = {0};
    if (err->code != ERROR_HTTP_NOT_FOUND)
        log_failure(LOG_WARNING, &log, err);
    server_answer_error(err, &answer);
    server_answer(exchange, &answer);
}

// What stands behind the prefix of the path; empty when it is not a plain name.
static const char *rest_of_path(const struct server_exchange *exchange, const char *prefix, struct arena *arena) {
    struct view path = server_path(exchange);
    size_t start = strlen(prefix);
    for (size_t i = start; i < path.length; i++) {
        char c = path.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.", c);
        if (!plain || path.length - start > 200)
            return "";
    }
    return arena_copy(arena, path.data + start, path.length - start);
}

// ---- runs ----------------------------------------------------------------------------------------------------------------

// A run that failed for the moment is delivered again: it is not over.
static const char *state_of(const struct history_run *run) {
    enum error_code code = run->error ? error_by_name(run->error) : ERROR_COUNT;
    bool passing = code < ERROR_COUNT && error_class(code) == CLASS_RETRY;
    return passing && strcmp(run->state, "failed") == 0 ? "retry" : run->state;
}

static bool is_over(const struct history_run *run) {
    return strcmp(state_of(run), "running") != 0 && strcmp(state_of(run), "retry") != 0;
}

// A number or an object, as the database has written it.
static void put_json(struct json_writer *writer, const char *name, const char *json) {
    if (json)
        json_put_raw(writer, name, json);
}

static void put_string(struct json_writer *writer, const char *name, const char *string) {
    if (string)
        json_put_string(writer, name, string);
}

static void write_run(const char *id, const struct history_run *run, struct text *out) {
    struct json_writer writer = JSON_WRITER(out);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "run", id);
    json_put_string(&writer, "state", state_of(run));
    put_string(&writer, "target", run->target);
    put_string(&writer, "release", run->release);
    put_string(&writer, "publisher", run->publisher);
    put_json(&writer, "origin", run->origin);
    put_json(&writer, "attempts", run->attempts);
    put_json(&writer, "applied", run->applied);
    put_json(&writer, "pending", run->pending);
    put_string(&writer, "progress", run->progress);
    put_string(&writer, "watched", run->watched);
    put_string(&writer, "error", run->error);
    put_string(&writer, "message", run->message);
    put_string(&writer, "file", run->file);
    put_json(&writer, "line", run->line);
    put_json(&writer, "statement", run->statement);
    put_string(&writer, "sqlstate", run->sqlstate);
    put_string(&writer, "detail", run->detail);
    put_string(&writer, "hint", run->hint);
    if (run->error && error_by_name(run->error) < ERROR_COUNT)
        json_put_string(&writer, "remedy", error_remedy(error_by_name(run->error)));
    put_string(&writer, "started_at", run->started_at);
    put_string(&writer, "finished_at", run->finished_at);
    json_put_raw(&writer, "migrations", run->migrations ? run->migrations : "[]");
    json_end_object(&writer);
}

// "wait=30" among the query's parts; anything else does not wait.
static uint64_t wanted_wait_ms(struct view query) {
    while (query.length > 0) {
        const char *end = memchr(query.data, '&', query.length);
        size_t length = end ? (size_t)(end - query.data) : query.length;
        struct view part = {query.data, length};
        uint64_t seconds = 0;
        if (view_starts(part, "wait=") &&
            text_to_u64((struct view){part.data + 5, part.length - 5}, UINT32_MAX, &seconds))
            return (seconds < WAIT_MAX_S ? seconds : WAIT_MAX_S) * 1000;
        size_t used = length + (end != NULL);
        query = (struct view){query.data + used, query.length - used};
    }
    return 0;
}

// In all targets that the reader may see, for an id is all that the question has. One that cannot be asked matters
// only when no other knows the run.
static bool look_for(struct service *service, const struct server_exchange *exchange, const char *id,
                     struct arena *arena, struct history_run *ret_run, bool *ret_found, struct error *err) {
    struct error failure = {0};
    bool found = false;
    for (size_t i = 0; !found && i < service->targets.count; i++) {
        struct site *site = &service->sites[i];
        if (!may_see(service, exchange, site->target))
            continue;
        if (!history_find(site->database, id, site->control, arena, ret_run, &found, err))
            failure = *err;
    }
    *ret_found = found;
    if (found || failure.code == ERROR_NONE)
        return true;
    *err = failure;
    return false;
}

// Looks until the run is over, the time is, or the process has to end.
static bool look_until(struct service *service, const struct server_exchange *exchange, const char *id,
                       uint64_t wait_ms, struct arena *arena, struct history_run *ret_run, bool *ret_found,
                       struct error *err) {
    uint64_t end = clock_ms() + wait_ms;
    for (;;) {
        if (!look_for(service, exchange, id, arena, ret_run, ret_found, err))
            return false;
        uint64_t now = clock_ms();
        if ((*ret_found && is_over(ret_run)) || now >= end)
            return true;
        uint64_t pause = end - now < WAIT_POLL_MS ? end - now : WAIT_POLL_MS;
        if (gate_wait_closed(service->sites[0].gate, pause)) // all are closed together
            return true;
    }
}

void asking_run(void *context, struct server_exchange *exchange) {
    struct service *service = context;
    cleanup_arena struct arena *arena = arena_new();
    struct history_run run = {0};
    struct error err = {0};
    bool found = false;
    const char *id = rest_of_path(exchange, "/runs/", arena);
    uint64_t wait_ms = wanted_wait_ms(server_query(exchange));
    // Whoever waits keeps a thread of the pool: a few may, so that pushes always find one.
    bool patient = atomic_fetch_add(&service->waiters, 1) < WAITING_READERS_MAX;
    bool done = *id == '\0' || look_until(service, exchange, id, patient ? wait_ms : 0, arena, &run, &found, &err);
    atomic_fetch_sub(&service->waiters, 1);
    if (done && !found)
        done = error_set(&err, ERROR_HTTP_NOT_FOUND, "no run of this id is known");
    if (!done) {
        answer_failure(service, exchange, &err);
        return;
    }
    struct server_answer answer = {.status = 200, .body = TEXT(ANSWER_MAX)};
    write_run(id, &run, &answer.body);
    server_answer(exchange, &answer);
}

// ---- targets -------------------------------------------------------------------------------------------------------------

static void write_target(const char *name, const struct status_item *items, size_t count, struct text *out) {
    struct json_writer writer = JSON_WRITER(out);
    size_t applied = 0, pending = 0;
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "target", name);
    json_begin_array(&writer, "migrations");
    for (size_t i = 0; i < count; i++) {
        applied += items[i].applied_at != NULL;
        pending += strcmp(items[i].state, "pending") == 0;
        report_status_item(&writer, &items[i]);
    }
    json_end_array(&writer);
    json_put_integer(&writer, "applied", (int64_t)applied);
    json_put_integer(&writer, "pending", (int64_t)pending);
    json_end_object(&writer);
}

void asking_target(void *context, struct server_exchange *exchange) {
    struct service *service = context;
    cleanup_arena struct arena *arena = arena_new();
    struct migration_set set;
    struct status_item *items = NULL;
    size_t count = 0;
    struct error err = {0};
    const char *name = rest_of_path(exchange, "/targets/", arena);
    struct site *site = service_site(service, name);
    bool done = (site && may_see(service, exchange, site->target)) ||
                error_set(&err, ERROR_HTTP_NOT_FOUND, "there is no such target here");
    done = done && directory_read(site->target->migrations, arena, &set, &err) &&
           run_status(site->database, &set, site->control, arena, &items, &count, &err);
    if (!done) {
        answer_failure(service, exchange, &err);
        return;
    }
    struct server_answer answer = {.status = 200, .body = TEXT(ANSWER_MAX)};
    write_target(name, items, count, &answer.body);
    server_answer(exchange, &answer);
}

// ---- metrics -------------------------------------------------------------------------------------------------------------

void asking_metrics(void *context, struct server_exchange *exchange) {
    struct service *service = context;
    struct server_answer answer = {.status = 200,
                                   .body = TEXT(1 << 20),
                                   .content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"};
    metrics_write(&service->metrics, keys_fetches(service->keys), &answer.body);
    server_answer(exchange, &answer);
}
