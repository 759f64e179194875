// The door that pushes and questions come in by. See admission.h.
#include "command/admission.h"
#include "base/clock.h"
#include <stdlib.h>

static bool verify(const struct service *service, const struct token_policy *policy,
                   const struct server_exchange *exchange, struct token_claims *ret_claims, struct error *err) {
    unsigned count = server_header_count(exchange, "authorization");
    if (count == 0)
        return error_set(err, ERROR_TOKEN_MISSING, "the request has no Authorization field");
    if (count > 1)
        return error_set(err, ERROR_TOKEN_MALFORMED, "the request has %u Authorization fields", count);
    struct token_keys keys = keys_as_token_keys(service->keys);
    return token_verify(server_header(exchange, "authorization"), policy, &keys, clock_unix(), ret_claims, err);
}

struct log_context admission_trace(const struct service *service, const struct server_exchange *exchange) {
    struct log_context log = {.project = service->options->project};
    log_trace(&log, server_header(exchange, "x-cloud-trace-context"), server_header(exchange, "traceparent"));
    return log;
}

// A stranger learns which rule refused the request. What this worker expects instead is for the log: no need to tell whoever asks.
static void refuse(const struct error *err, struct server_answer *ret_answer) {
    struct error told = {.code = err->code};
    text_copy(told.message, sizeof(told.message), view_of(error_meaning(err->code)));
    server_answer_error(&told, ret_answer);
}

void admission_note_first(struct service *service, const struct server_exchange *exchange) {
    if (atomic_exchange(&service->token_seen, true))
        return;
    struct log_context log = admission_trace(service, exchange);
    const struct log_field fields[] = {LOG_STRING("revision", getenv("K_REVISION"))};
    log_fields(LOG_INFO, &log, fields, 1, "a push token was verified with its signature intact");
}

bool admission_verify(struct service *service, const struct token_policy *policy, struct server_exchange *exchange,
                      struct server_answer *ret_answer) {
    struct error err = {0};
    struct token_claims *claims = memory_alloc(sizeof(*claims));
    if (verify(service, policy, exchange, claims, &err)) {
        server_set_note(exchange, claims); // freed with the exchange
        return true;
    }
    free(claims);
    struct log_context log = admission_trace(service, exchange);
    log_failure(LOG_WARNING, &log, &err);
    metrics_failed(&service->metrics, err.code);
    refuse(&err, ret_answer);
    return false;
}
