// Sends, reads Google's error shapes, and waits between tries. See call.h.
#include "google/call.h"
#include "base/arena.h"
#include "base/clock.h"
#include <pthread.h>
#include <stdlib.h>

enum {
    IDLE_MAX = 4,
    PAUSE_FIRST_MS = 200,
    PAUSE_MAX_MS = 8000,
    TIMEOUT_MS = 10000,
    TRY_LEAST_MS = 1000,
    STOP_CHECK_MS = 50, // how often a pause looks at `stop`
    SAYING_MAX = 512
};

// ---- connections -------------------------------------------------------------------------------------------------------

struct caller {
    const atomic_bool *stop;
    pthread_mutex_t mutex;
    struct client *idle[IDLE_MAX];
    size_t count;
};

bool caller_new(const atomic_bool *stop, struct caller **ret_caller, struct error *err) {
    struct client *first;
    if (!client_new(&first, err))
        return false;
    struct caller *caller = memory_alloc(sizeof(*caller));
    if (pthread_mutex_init(&caller->mutex, NULL) != 0)
        abort(); // only for want of memory
    caller->stop = stop;
    caller->idle[caller->count++] = first;
    *ret_caller = caller;
    return true;
}

void caller_free(struct caller *caller) {
    if (!caller)
        return;
    while (caller->count > 0)
        client_free(caller->idle[--caller->count]);
    (void)pthread_mutex_destroy(&caller->mutex);
    free(caller);
}

static bool borrow(struct caller *caller, struct client **ret_client, struct error *err) {
    struct client *client = NULL;
    pthread_mutex_lock(&caller->mutex);
    if (caller->count > 0)
        client = caller->idle[--caller->count];
    pthread_mutex_unlock(&caller->mutex);
    if (!client && !client_new(&client, err))
        return false;
    *ret_client = client;
    return true;
}

static void give_back(struct caller *caller, struct client *client) {
    pthread_mutex_lock(&caller->mutex);
    if (caller->count < IDLE_MAX) {
        caller->idle[caller->count++] = client;
        client = NULL;
    }
    pthread_mutex_unlock(&caller->mutex);
    client_free(client);
}

// ---- what Google says when it refuses ----------------------------------------------------------------------------------

static void append_member(const struct json *object, const char *name, const char *before, struct text *out) {
    struct view value;
    if (json_string(json_get(object, name), &value)) {
        text_append(out, before);
        text_append_view(out, value);
    }
}

// {"error":{"code":404,"message":"...","status":"NOT_FOUND"}}, or OAuth's {"error":"invalid_grant","error_description":"..."}
// (RFC 6749 section 5.2). What is neither (a proxy's page, say) is not repeated.
static void append_saying(struct view body, struct text *out) {
    cleanup_json struct json *answer = NULL;
    struct error ignored = {0};
    if (!json_parse(body, &answer, &ignored))
        return;
    const struct json *error = json_get(answer, "error");
    const struct json *object = json_type(answer) == JSON_OBJECT && error ? error : answer;
    if (json_type(object) == JSON_OBJECT) {
        append_member(object, "status", " ", out);
        append_member(object, "message", ": ", out);
    } else {
        append_member(answer, "error", " ", out);
        append_member(answer, "error_description", ": ", out);
    }
}

static bool set_refusal(const struct call *call, const struct client_answer *answer, enum error_code code,
                        struct error *err) {
    cleanup_text struct text saying = TEXT(16384);
    char shown[SAYING_MAX];
    append_saying((struct view){text_string(&answer->body), answer->body.length}, &saying);
    text_copy(shown, sizeof(shown), (struct view){text_string(&saying), saying.length});
    return error_set(err, code, "%s: HTTP %ld%s", call->what, answer->status, shown);
}

// ---- one try -----------------------------------------------------------------------------------------------------------

enum outcome { OUTCOME_DONE, OUTCOME_AGAIN, OUTCOME_REFUSED };

static bool is_passing(long status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static enum outcome judge(const struct call *call, const struct client_answer *answer, struct error *err) {
    if (answer->status >= 200 && answer->status < 300)
        return OUTCOME_DONE;
    bool passing = is_passing(answer->status);
    set_refusal(call, answer, passing ? call->unavailable : call->refused, err);
    return passing ? OUTCOME_AGAIN : OUTCOME_REFUSED;
}

static enum outcome try_once(struct client *client, const struct call *call, const struct client_request *request,
                             struct client_answer *ret_answer, struct error *err) {
    struct client_answer answer;
    if (!client_fetch(client, request, &answer, err)) {
        bool stopped = err->code == ERROR_SHUTTING_DOWN;
        err->code = stopped ? ERROR_SHUTTING_DOWN : call->unavailable;
        error_wrap(err, "%s", call->what);
        return stopped ? OUTCOME_REFUSED : OUTCOME_AGAIN;
    }
    enum outcome outcome = judge(call, &answer, err);
    if (outcome == OUTCOME_DONE)
        *ret_answer = answer;
    else
        client_answer_done(&answer);
    return outcome;
}

// ---- all tries ---------------------------------------------------------------------------------------------------------

// Half of it is chance, so that many who failed together do not come back together.
static uint64_t pause_before(unsigned next_try) {
    uint64_t pause = PAUSE_FIRST_MS;
    for (unsigned i = 1; i < next_try && pause < PAUSE_MAX_MS; i++)
        pause *= 2;
    pause = pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
    return pause / 2 + clock_random((uint32_t)(pause / 2) + 1);
}

// Not past a stop: the next try says so.
static void sleep_through(uint64_t ms, const atomic_bool *stop) {
    uint64_t end = clock_ms() + ms;
    for (uint64_t now = clock_ms(); now < end && !(stop && atomic_load(stop)); now = clock_ms())
        clock_sleep_ms(end - now < STOP_CHECK_MS ? end - now : STOP_CHECK_MS);
}

static unsigned time_for(const struct call *call, uint64_t end) {
    uint64_t now = clock_ms(), left = now < end ? end - now : 0,
             most = call->timeout_ms ? call->timeout_ms : TIMEOUT_MS;
    left = left < TRY_LEAST_MS ? TRY_LEAST_MS : left;
    return (unsigned)(call->budget_ms > 0 && left < most ? left : most);
}

static bool send_within(struct client *client, const struct call *call, struct client_request *request,
                        struct client_answer *ret_answer, struct error *err) {
    uint64_t end = clock_ms() + call->budget_ms;
    for (unsigned tries = 1;; tries++) {
        request->timeout_ms = time_for(call, end);
        enum outcome outcome = try_once(client, call, request, ret_answer, err);
        if (outcome != OUTCOME_AGAIN)
            return outcome == OUTCOME_DONE;
        uint64_t pause = pause_before(tries);
        if (tries == call->tries || clock_ms() + pause > end)
            return false;
        sleep_through(pause, request->stop);
    }
}

bool call_send(struct caller *caller, const struct call *call, struct client_answer *ret_answer, struct error *err) {
    cleanup_text struct text authorization = TEXT(16384), type = TEXT(256);
    const char *headers[CALL_HEADERS_MAX + 3];
    size_t count = 0;
    if (call->token) {
        text_printf(&authorization, "Authorization: Bearer %s", call->token);
        headers[count++] = text_string(&authorization);
    }
    if (call->body.data) {
        text_printf(&type, "Content-Type: %s", call->content_type ? call->content_type : "application/json");
        headers[count++] = text_string(&type);
    }
    for (size_t i = 0; i < CALL_HEADERS_MAX && call->headers && call->headers[i]; i++)
        headers[count++] = call->headers[i];
    headers[count] = NULL;
    struct client_request request = {
        .method = call->body.data ? "POST" : "GET",
        .url = call->url,
        .headers = headers,
        .body = call->body,
        .body_max = call->answer_max,
        .wanted_field = call->wanted_field,
        .allow_http = true,
        .allow_emulator = call->emulator && !call->token,
        .stop = caller->stop,
    };
    struct client *client;
    if (authorization.full)
        return error_set(err, call->refused, "%s: the token is longer than 16 KiB", call->what);
    if (!borrow(caller, &client, err))
        return false;
    bool done = send_within(client, call, &request, ret_answer, err);
    give_back(caller, client);
    memory_wipe(authorization.data, authorization.capacity);
    return done;
}

bool call_json(struct caller *caller, const struct call *call, struct json **ret_json, struct error *err) {
    struct client_answer answer;
    if (!call_send(caller, call, &answer, err))
        return false;
    struct json *json = NULL;
    bool fine = json_parse((struct view){text_string(&answer.body), answer.body.length}, &json, err);
    client_answer_done(&answer);
    if (!fine) {
        err->code = call->unavailable;
        return error_wrap(err, "%s: the answer", call->what);
    }
    if (json_type(json) != JSON_OBJECT) {
        json_free(json);
        return error_set(err, call->unavailable, "%s: the answer is not a JSON object", call->what);
    }
    *ret_json = json;
    return true;
}
