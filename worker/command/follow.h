// Follows a run from outside: asks the worker (`GET /runs/ID?wait=SECONDS`, with an ID token) until the run has ended or the time is over.
#pragma once
#include "command/outcome.h"
#include "google/credentials.h"

struct follow {
    const char *url; // of the worker, without a path
    const char *audience;
    const char *message_id;
    struct credentials *credentials;
    uint64_t wait_ms;
    struct terminal *terminal; // where progress is shown; NULL: nowhere
};
// Whether it could start at all: the URL is usable and there is an ID token. For use before anything is published.
// Errors: ERROR_USAGE, and what credentials_id_token() says.
bool follow_check(const struct follow *follow, struct error *err);
// True when the run has ended; `ret_body` is the worker's JSON as it came, `ret_outcome` what it says. On failure `ret_outcome`
// is what was known last (its state is "" when nothing was). Errors: ERROR_RUN_UNFINISHED when the time is over,
// ERROR_WORKER_UNAVAILABLE when the worker did not answer to the last, ERROR_WORKER_REFUSED, and what credentials_id_token() says.
bool follow_run(const struct follow *follow, struct arena *arena, struct outcome *ret_outcome, struct text *ret_body,
                struct error *err);
