// `pawl serve`: the corridor. A push goes through the rooms in the order of the floor plan, and what comes out at the end is one
// answer, one log line and one run row:
//
//     HTTP -> token -> envelope -> request -> source -> lock -> ledger -> plan -> apply -> ledger -> report -> HTTP status
//
// push/ and migrate/ do not know each other; they meet here.
#include "base/clock.h"
#include "base/version.h"
#include "command/admission.h"
#include "command/asking.h"
#include "command/command.h"
#include "command/publisher.h"
#include "command/report.h"
#include "command/service.h"
#include "command/shutdown.h"
#include "migrate/history.h"
#include "push/envelope.h"
#include "push/release.h"
#include "push/request.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MAX = 4 << 20 };

struct delivery { // one push on its way
    struct arena *arena;
    const struct token_claims *claims;
    struct envelope envelope;
    struct request request;
    struct site *site; // of the target; NULL: none that this subscription may mean
    bool older;        // the message belongs to an older release than these files
    struct migration_set set;
    struct run_request run;
    bool began; // the engine keeps the run's row from here on
    struct run_report report;
    struct log_context log;
    uint64_t wait_told_ms;      // see report_wait_due
    struct report_pace watched; // of log lines
};

// ---- token: before any byte of the body --------------------------------------------------------------------------------

static bool admit_push(void *context, struct server_exchange *exchange, struct server_answer *ret_answer) {
    struct service *service = context;
    if (!admission_verify(service, &service->callers, exchange, ret_answer))
        return false;
    admission_note_first(service, exchange);
    return true;
}

// ---- envelope, request, source -----------------------------------------------------------------------------------------

// Where a dead letter or a replay comes from, as its attributes say; NULL for a message of its own.
static const char *origin_of(const struct delivery *delivery) {
    const struct envelope *envelope = &delivery->envelope;
    const char *replay_of = envelope_attribute(envelope, "pawl_replay_of");
    if (!envelope->dead_letter && !replay_of)
        return NULL;
    char published[32];
    clock_format(envelope->published_ms, published);
    cleanup_text struct text out = TEXT(8192);
    struct json_writer writer = JSON_WRITER(&out);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "published_at", published);
    if (replay_of)
        json_put_string(&writer, "replay_of", replay_of);
    if (envelope->source_subscription)
        json_put_string(&writer, "subscription", envelope->source_subscription);
    if (envelope->source_deliveries)
        json_put_integer(&writer, "deliveries", envelope->source_deliveries);
    json_end_object(&writer);
    return arena_string(delivery->arena, text_string(&out));
}

// What is known of the run so far: after the envelope who asks, after the request for what.
static void describe_run(const struct service *service, struct delivery *delivery) {
    const struct request *request = &delivery->request;
    const struct target *target = delivery->site ? delivery->site->target : NULL;
    delivery->run = (struct run_request){
        .id = delivery->envelope.message_id,
        .target = request->target ? request->target : (target ? target->name : NULL),
        .release = request->release,
        .reason = request->reason,
        .publisher = delivery->claims->email,
        .worker = version_text,
        .origin = origin_of(delivery),
        .to = request->to,
        .delivery_attempt = delivery->envelope.delivery_attempt,
        .plan_only = request->action == REQUEST_PLAN,
        .out_of_order = request->out_of_order,
        .allow_out_of_order = target && target->out_of_order,
        .rollback = request->action == REQUEST_ROLLBACK,
        .steps = request->steps,
        .allow_rollback = target && target->rollback,
        .session_pooler = strcmp(service->options->pooler, "session") == 0,
        .lock_wait_ms = target ? (unsigned)target->lock_wait_ms : 0,
        .lock_timeout_ms = target ? (unsigned)target->lock_timeout_ms : 0,
    };
    delivery->log.message_id = delivery->envelope.message_id;
    delivery->log.subscription = delivery->envelope.subscription;
    delivery->log.run = delivery->envelope.message_id;
    delivery->log.target = delivery->run.target;
}

static bool choose_target(const struct service *service, struct delivery *delivery, struct error *err) {
    const struct target *target = NULL;
    const struct target_question question = {.wanted = delivery->request.target,
                                             .subscription = delivery->envelope.subscription,
                                             .caller = delivery->claims->email};
    if (!targets_choose(&service->targets, &question, &target, err))
        return false;
    delivery->site = service_site(service, target->name);
    describe_run(service, delivery);
    return true;
}

static bool read_envelope(const struct service *service, struct view body, struct delivery *delivery,
                          struct error *err) {
    if (!envelope_read(body, delivery->arena, &delivery->envelope, err))
        return false;
    struct error none = {0}; // until the request is read, the target that it would mean without a name
    if (!choose_target(service, delivery, &none))
        describe_run(service, delivery);
    return true;
}

static bool prove_publisher(struct service *service, struct delivery *delivery, struct error *err) {
    struct publisher publisher = {.name = delivery->claims->email};
    if (!publisher_prove(service, delivery->site, &delivery->envelope, &delivery->request, delivery->arena, &publisher,
                         err))
        return false;
    delivery->run.publisher = publisher.name;
    delivery->run.proof = publisher.proof;
    return true;
}

static bool read_request(struct service *service, struct delivery *delivery, struct error *err) {
    if (!request_read(&delivery->envelope, delivery->arena, &delivery->request, err))
        return false;
    describe_run(service, delivery);
    delivery->log.release = delivery->request.release;
    delivery->log.delivery_attempt = delivery->envelope.delivery_attempt;
    struct error choice = {0};
    bool chosen = choose_target(service, delivery, &choice);
    if (delivery->site && !prove_publisher(service, delivery, err)) // first: the rest is for those who may publish
        return false;
    if (!chosen) {
        *err = choice;
        return false;
    }
    return release_check(delivery->request.release, delivery->envelope.published_ms, &service->release,
                         &delivery->older, err);
}

static bool read_source(struct delivery *delivery, struct error *err) {
    if (!directory_read(delivery->site->target->migrations, delivery->arena, &delivery->set, err))
        return false;
    const char *reviewed = delivery->request.digest;
    if (reviewed && strcmp(reviewed, delivery->set.digest) != 0)
        return error_set(err, ERROR_DIGEST_MISMATCH, "the files here have the digest %s, the message asks for %s",
                         delivery->set.digest, reviewed);
    return true;
}

// ---- lock, ledger, plan, apply -----------------------------------------------------------------------------------------

static void log_watched(struct delivery *delivery, const struct run_event *event, const char *file) {
    const struct log_field fields[] = {LOG_STRING("file", file), LOG_NUMBER("ms", (int64_t)event->ms),
                                       LOG_NUMBER("done", (int64_t)event->work_done),
                                       LOG_NUMBER("total", (int64_t)event->work_total)};
    size_t known = event->work_total > 0 ? 4 : event->work_done > 0 ? 3 : 2;
    if (report_watch_due(event->ms, &delivery->watched))
        log_fields(LOG_NOTICE, &delivery->log, fields, known, "%s%s%s", file, *file ? " " : "", event->text);
}

static void log_run_event(void *context, const struct run_event *event) {
    struct delivery *delivery = context;
    const char *file = event->migration ? event->migration->file : "";
    const struct log_field fields[] = {LOG_STRING("file", file), LOG_NUMBER("ms", (int64_t)event->ms),
                                       LOG_NUMBER("rows", (int64_t)event->work_done)};
    switch (event->kind) {
    case RUN_WAITING:
        if (event->holder && report_wait_due(event->ms, &delivery->wait_told_ms))
            log_event(LOG_NOTICE, &delivery->log, "waiting: %s", event->holder);
        break;
    case RUN_APPLIED:
    case RUN_ROLLED_BACK:
        log_fields(LOG_INFO, &delivery->log, fields, 2, "%s %s", event->kind == RUN_APPLIED ? "applied" : "rolled back",
                   file);
        break;
    case RUN_RETRYING:
        log_fields(LOG_NOTICE, &delivery->log, fields, 2, "%s is tried again: %s", file,
                   event->holder ? event->holder : "");
        break;
    case RUN_WATCHED:
        log_watched(delivery, event, file);
        break;
    case RUN_PROGRESS:
        if (event->text)
            log_watched(delivery, event, file);
        break;
    case RUN_BATCHED:
        log_fields(LOG_INFO, &delivery->log, fields, 3, "%s: %s", file, event->text);
        break;
    case RUN_LOCKED:
    case RUN_STARTED:
        break;
    }
}

// What the run is to do, for deliveries that ask for the same. A rollback is each one's own.
static char *ask_of(const struct delivery *delivery) {
    const struct run_request *run = &delivery->run;
    if (run->rollback)
        return arena_printf(delivery->arena, "rollback %s", run->id);
    return arena_printf(delivery->arena, "%s %s %s%s", delivery->set.digest, run->plan_only ? "plan" : "migrate",
                        run->to ? run->to : "newest", run->out_of_order ? " out of order" : "");
}

static bool run_migrations(struct service *service, struct delivery *delivery, struct error *err) {
    uint64_t start = clock_ms(), wait = delivery->run.lock_wait_ms;
    bool waited = false;
    struct site *site = delivery->site;
    bool entered = gate_enter(site->gate, delivery->run.id, ask_of(delivery), wait, &waited, err);
    if (waited)
        metrics_waited(&service->metrics);
    if (!entered)
        return false;
    uint64_t spent = clock_ms() - start;
    delivery->run.lock_wait_ms = (unsigned)(spent < wait ? wait - spent : 0);
    struct run_observer observer = {.event = log_run_event, .context = delivery};
    delivery->began = !delivery->run.plan_only; // a plan leaves no row of its own
    bool done = run_execute(site->database, &delivery->set, &delivery->run, &observer, site->control, delivery->arena,
                            &delivery->report, err);
    delivery->began &= done || err->code != ERROR_NOT_PERMITTED; // refused before it had a row
    gate_leave(site->gate, done ? NULL : err);
    return done;
}

static bool deliver(struct service *service, struct view body, struct delivery *delivery, struct error *err) {
    return read_envelope(service, body, delivery, err) && read_request(service, delivery, err) &&
           read_source(delivery, err) && run_migrations(service, delivery, err);
}

// ---- report ------------------------------------------------------------------------------------------------------------

static void report_done(const struct service *service, const struct delivery *delivery, struct server_answer *answer) {
    cleanup_text struct text summary = TEXT(512);
    report_summary(&delivery->report, &summary);
    const char *counted = report_counted(delivery->report.state);
    const struct log_field fields[] = {
        LOG_STRING("status", delivery->report.state),     LOG_NUMBER(counted, (int64_t)delivery->report.count),
        LOG_STRING("version", delivery->report.version),  LOG_NUMBER("ms", (int64_t)delivery->report.ms),
        LOG_STRING("publisher", delivery->run.publisher),
    };
    log_fields(LOG_INFO, &delivery->log, fields, sizeof(fields) / sizeof(fields[0]), "%s%s%s", text_string(&summary),
               delivery->older ? "; the message's release is older, served by release " : "",
               delivery->older ? service->options->release : "");
    answer->status = 200;
    answer->body = TEXT(ANSWER_MAX);
    report_json(&delivery->run, &delivery->report, delivery->older ? service->options->release : NULL, &answer->body);
}

// The target that a request means, else the first that it could have meant: never one that it may not address.
static struct site *refusal_site(const struct service *service, const struct delivery *delivery) {
    if (delivery->site || !delivery->run.id)
        return delivery->site;
    const struct target *target =
        targets_any(&service->targets, delivery->envelope.subscription, delivery->claims->email);
    return target ? service_site(service, target->name) : NULL;
}

// A request that will never become a run is recorded as one that failed: whoever follows it hears why.
static void record_refusal(const struct service *service, const struct delivery *delivery,
                           const struct error *refusal) {
    struct error err = {0};
    struct site *site = refusal_site(service, delivery);
    if (site && delivery->run.id && !delivery->began &&
        !history_refuse(site->database, &delivery->run, refusal, site->control, &err))
        log_failure(LOG_WARNING, &delivery->log, &err);
}

// So is a plan as one that was made.
static void record_plan(const struct delivery *delivery) {
    struct error err = {0};
    struct site *site = delivery->site;
    if (delivery->run.plan_only &&
        !history_planned(site->database, &delivery->run, delivery->report.count, site->control, &err))
        log_failure(LOG_WARNING, &delivery->log, &err);
}

// The message goes to the dead-letter topic, where a human finds it with what went wrong, and never again against the database. What comes
// from there as it is (somebody pushes the dead letters at us) is not put there once more: that would go round and round without a pause.
static const char *park(struct service *service, const struct delivery *delivery, const struct error *failure) {
    struct error err = {0};
    const char *id = NULL;
    if (!delivery->run.id || !service->outbox.dead_letters)
        return NULL;
    if (envelope_attribute(&delivery->envelope, "pawl_error")) {
        log_event(LOG_WARNING, &delivery->log,
                  "a dead letter that was pushed here fails again and stays where it is; "
                  "`pawl replay` sends dead letters back");
        return NULL;
    }
    if (!outbox_park(&service->outbox, &delivery->envelope, &delivery->run, failure, delivery->arena, &id, &err)) {
        log_failure(LOG_ERROR, &delivery->log, &err);
        return NULL;
    }
    const struct log_field fields[] = {LOG_STRING("deadLetter", id)};
    log_fields(LOG_NOTICE, &delivery->log, fields, 1, "parked as message %s of %s", id, service->outbox.dead_letters);
    return id;
}

static void report_failed(struct service *service, const struct delivery *delivery, const struct error *err,
                          struct server_answer *answer) {
    bool permanent = error_class(err->code) == CLASS_PERMANENT;
    log_failure(permanent ? LOG_ERROR : LOG_WARNING, &delivery->log, err);
    server_answer_error(err, answer); // status and Retry-After
    text_clear(&answer->body);
    answer->body.max = ANSWER_MAX;
    const char *parked = NULL;
    if (permanent) {
        record_refusal(service, delivery, err);
        parked = park(service, delivery, err);
    }
    if (parked)
        answer->status = 200; // acknowledged: it lies there now
    report_error_json(delivery->run.id ? &delivery->run : NULL, err, parked, &answer->body);
}

// After a run, and after a failure that ends the message's way; what will be delivered again is not told yet.
static void tell_result(struct service *service, const struct delivery *delivery, const struct error *failure,
                        const struct server_answer *answer) {
    bool done = failure->code == ERROR_NONE;
    if (!delivery->run.id || !service->outbox.results || (!done && error_class(failure->code) != CLASS_PERMANENT))
        return;
    struct error err = {0};
    struct view body = {text_string(&answer->body), answer->body.length};
    if (!outbox_tell(&service->outbox, &delivery->run, done ? delivery->report.state : "failed", body, delivery->arena,
                     &err))
        log_failure(LOG_WARNING, &delivery->log, &err);
}

static void handle_push(void *context, struct server_exchange *exchange) {
    struct service *service = context;
    cleanup_arena struct arena *arena = arena_new();
    struct delivery delivery = {
        .arena = arena, .claims = server_note(exchange), .log = admission_trace(service, exchange)};
    struct server_answer answer = {0};
    struct error err = {0};
    if (deliver(service, server_body(exchange), &delivery, &err)) {
        metrics_done(&service->metrics, delivery.report.state, delivery.report.count, delivery.report.ms);
        record_plan(&delivery);
        report_done(service, &delivery, &answer);
    } else {
        metrics_failed(&service->metrics, err.code);
        report_failed(service, &delivery, &err, &answer);
    }
    tell_result(service, &delivery, &err, &answer);
    server_answer(exchange, &answer);
}

// ---- the other paths, and the way down ---------------------------------------------------------------------------------

static void handle_health(void *context, struct server_exchange *exchange) {
    (void)context;
    struct server_answer answer = {.status = 200, .body = TEXT(64)};
    text_append(&answer.body, "{\"status\":\"ok\"}");
    server_answer(exchange, &answer);
}

static const struct server_route routes[] = {
    {.method = "POST", .path = "/", .admit = admit_push, .handle = handle_push},
    {.method = "GET", .path = "/health", .handle = handle_health, .quick = true},
    {.method = "GET", .path = "/ready", .handle = service_ready},
    {.method = "GET", .path = "/runs/*", .admit = asking_admit, .handle = asking_run},
    {.method = "GET", .path = "/targets/*", .admit = asking_admit, .handle = asking_target},
    {.method = "GET", .path = "/metrics", .admit = asking_admit, .handle = asking_metrics},
};

static void stop_service(void *context) {
    struct service *service = context;
    log_event(LOG_NOTICE, NULL, "told to end: no new run starts, the one at work may go on for %llu s",
              (unsigned long long)(service->options->grace / 1000));
    service_stop(service);
    server_drain(service->server);
}

static void cancel_service(void *context) {
    struct service *service = context;
    log_event(LOG_WARNING, NULL, "the grace is over: the statement in flight is cancelled");
    service_cancel(service);
}

static void log_targets(const struct service *service) {
    cleanup_text struct text names = TEXT(4096);
    for (size_t i = 0; i < service->targets.count; i++)
        text_printf(&names, "%s%s", i ? ", " : "", service->targets.items[i].name);
    if (service->options->targets)
        log_event(LOG_INFO, NULL, "targets: %s", text_string(&names));
}

static bool listen_and_serve(struct service *service, struct error *err) {
    const struct options *options = service->options;
    struct server_limits limits = server_limits_default;
    limits.body = (size_t)options->body_limit;
    limits.connections = (unsigned)options->connections;
    limits.threads = POOL_THREADS + (unsigned)service->targets.count - 1; // each may have a run at work
    if (!server_new(options->address, (uint16_t)options->port, &limits, routes, sizeof(routes) / sizeof(routes[0]),
                    service, &service->server, err))
        return false;
    struct shutdown *shutdown = NULL;
    struct shutdown_steps steps = {
        .context = service, .stop = stop_service, .cancel = cancel_service, .grace_ms = options->grace};
    if (!shutdown_watch(&steps, &shutdown, err))
        return false;
    cleanup_text struct text settings = TEXT(8192);
    options_describe(COMMAND_SERVE, options, &settings);
    const struct log_field fields[] = {LOG_NUMBER("port", server_port(service->server))};
    log_event(LOG_INFO, NULL, "settings: %s", text_string(&settings));
    log_fields(LOG_INFO, NULL, fields, 1, "listening on %s port %u, version %s", options->address,
               server_port(service->server), version_text);
    log_targets(service);
    service_warm(service);
    bool done = server_run(service->server, err);
    (void)shutdown_end(shutdown);
    return done;
}

static void abandon_start(void *context) {
    struct service_end *end = context;
    atomic_store(&end->stop, true);
    atomic_store(&end->abandon, true);
}

// Whoever is told to end before the parts are made ends at once: Google may be asked for some of them, and be silent.
static bool open_watched(const struct options *options, struct service_end *end, struct arena *arena,
                         struct service *ret_service, bool *ret_told, struct error *err) {
    struct shutdown *shutdown = NULL;
    struct shutdown_steps steps = {.context = end, .stop = abandon_start, .cancel = abandon_start, .grace_ms = 1000};
    if (!shutdown_watch(&steps, &shutdown, err))
        return false;
    bool open = service_open(options, end, arena, ret_service, err);
    *ret_told = shutdown_end(shutdown) != 0;
    return open;
}

int command_serve(const struct options *options, struct arena *arena) {
    static const char *const formats[] = {[LOG_AUTO] = "auto", [LOG_JSON] = "json", [LOG_TEXT] = "text"};
    static const char *const levels[] = {"debug", "info", "notice", "warning", "error"};
    enum log_format format = LOG_AUTO;
    enum log_severity level = LOG_DEBUG;
    while (strcmp(formats[format], options->log_format) != 0)
        format++;
    while (strcmp(levels[level], options->log_level) != 0)
        level++;
    log_start(format, level, STDERR_FILENO);
    shutdown_block();
    struct error err = {0};
    struct service service;
    struct service_end end = {0};
    bool told = false, open = open_watched(options, &end, arena, &service, &told, &err);
    if (told && (open || err.code == ERROR_SHUTTING_DOWN)) {
        log_event(LOG_NOTICE, NULL, "told to end, before it listened");
        if (open)
            service_close(&service);
        return 0;
    }
    if (!open) {
        log_failure(LOG_CRITICAL, NULL, &err);
        return error_exit_code(err.code);
    }
    bool done = listen_and_serve(&service, &err);
    if (done)
        log_event(LOG_NOTICE, NULL, "ended: every delivery was answered");
    else
        log_failure(LOG_CRITICAL, NULL, &err);
    service_close(&service);
    return done ? 0 : error_exit_code(err.code);
}
