// Asks, shows, asks again. See follow.h.
#include "command/follow.h"
#include "base/clock.h"
#include "net/client.h"
#include "net/url.h"
#include <string.h>

enum {
    POLL_S = 20,      // how long the worker may hold one question
    POLL_LIVE_S = 2,  // the same where somebody watches the progress line
    SPARE_MS = 15000, // for the way there and back, and for a cold start
    PAUSE_FIRST_MS = 500,
    PAUSE_MAX_MS = 5000,
    HEARTBEAT_MS = 60000,
    ANSWER_MAX = 8 << 20,
};

struct pursuit { // one follow_run() at work
    const struct follow *follow;
    struct client *client;
    struct arena *arena;
    uint64_t start, end, spoken, pause_ms;
    struct outcome outcome; // state "" until the worker knows the run
    struct text *body;
    struct error trouble; // of the last question, when it was not answered
    char shown[512];
};

// ---- what is shown -----------------------------------------------------------------------------------------------------

static void describe(const struct pursuit *pursuit, struct text *out) {
    const struct outcome *outcome = &pursuit->outcome;
    if (pursuit->trouble.code)
        text_printf(out, "asking again: %s", pursuit->trouble.message);
    else if (!*outcome->state)
        text_append(out, "not delivered yet");
    else
        text_append(out, outcome->state);
    if (!pursuit->trouble.code && *outcome->holder)
        text_printf(out, ": %s", outcome->holder);
    else if (!pursuit->trouble.code && *outcome->progress)
        text_printf(out, ": %s", outcome->progress);
    if (!pursuit->trouble.code && strcmp(outcome->state, "retry") == 0 && *outcome->message)
        text_printf(out, ": %s", outcome->message);
}

// Of the files while the worker tells ("2/5 0002_index.sql"), else of the time that may be waited.
static void draw(const struct pursuit *pursuit, uint64_t seconds) {
    const char *progress = pursuit->outcome.progress;
    size_t digits = strspn(progress, "0123456789"), more = progress[digits] == '/' ? digits + 1 : digits;
    size_t total_digits = strspn(progress + more, "0123456789");
    uint64_t at, total;
    cleanup_text struct text label = TEXT(2048);
    if (text_to_u64((struct view){progress, digits}, SIZE_MAX, &at) && at > 0 &&
        text_to_u64((struct view){progress + more, total_digits}, SIZE_MAX, &total)) {
        text_printf(&label, "%s, %llu s", progress + more + total_digits + (progress[more + total_digits] == ' '),
                    (unsigned long long)seconds);
        if (*pursuit->outcome.watched)
            text_printf(&label, "; %s", pursuit->outcome.watched);
        terminal_progress(pursuit->follow->terminal, at - 1, total, text_string(&label));
        return;
    }
    terminal_progress(pursuit->follow->terminal, seconds, pursuit->follow->wait_ms / 1000, "s");
}

// A line when something has changed, and once a minute; where somebody watches, a bar too.
static void show(struct pursuit *pursuit) {
    struct terminal *terminal = pursuit->follow->terminal;
    cleanup_text struct text line = TEXT(sizeof(pursuit->shown) - 1);
    uint64_t now = clock_ms(), seconds = (now - pursuit->start) / 1000;
    if (!terminal)
        return;
    describe(pursuit, &line);
    bool changed = strcmp(pursuit->shown, text_string(&line)) != 0;
    if (changed || (!terminal->live && now - pursuit->spoken >= HEARTBEAT_MS)) {
        terminal_print(terminal, pursuit->trouble.code ? TONE_WARN : TONE_DIM, "%4llu s  %s",
                       (unsigned long long)seconds, text_string(&line));
        text_copy(pursuit->shown, sizeof(pursuit->shown), view_of(text_string(&line)));
        pursuit->spoken = now;
    }
    draw(pursuit, seconds);
}

// ---- one question ------------------------------------------------------------------------------------------------------

enum answer { ANSWER_NEWS, ANSWER_UNKNOWN, ANSWER_TROUBLE, ANSWER_REFUSED };

static enum answer judge(const struct client_answer *answer, struct error *err) {
    if (answer->status == 200)
        return ANSWER_NEWS;
    if (answer->status == 404)
        return ANSWER_UNKNOWN; // the message has not come yet, or a new instance has not seen it
    bool passing = answer->status >= 500 || answer->status == 408 || answer->status == 429;
    error_set(err, passing ? ERROR_WORKER_UNAVAILABLE : ERROR_WORKER_REFUSED, "the worker answers HTTP %ld%s",
              answer->status,
              answer->status == 401   ? ": the ID token is not one that it takes"
              : answer->status == 403 ? ": the caller may not read, or may not invoke the service"
                                      : "");
    return passing ? ANSWER_TROUBLE : ANSWER_REFUSED;
}

static bool fetch(struct pursuit *pursuit, unsigned wait_s, struct client_answer *ret_answer, struct error *err) {
    const struct follow *follow = pursuit->follow;
    cleanup_text struct text url = TEXT(4096), authorization = TEXT(16384);
    cleanup_secret struct secret token = {0};
    size_t length = strlen(follow->url);
    if (!credentials_id_token(follow->credentials, follow->audience, &token, err))
        return false;
    text_append_view(&url, (struct view){follow->url, length - (follow->url[length - 1] == '/')});
    text_append(&url, "/runs/");
    url_append(&url, view_of(follow->message_id));
    text_printf(&url, "?wait=%u", wait_s);
    text_printf(&authorization, "Authorization: Bearer %s", token.value);
    const char *headers[] = {text_string(&authorization), NULL};
    struct client_request request = {
        .url = text_string(&url),
        .headers = headers,
        .body_max = ANSWER_MAX,
        .timeout_ms = wait_s * 1000 + SPARE_MS,
        .allow_http = true,
    };
    bool done = client_fetch(pursuit->client, &request, ret_answer, err);
    if (!done)
        err->code = ERROR_WORKER_UNAVAILABLE;
    memory_wipe(authorization.data, authorization.length);
    return done;
}

static enum answer read_news(struct pursuit *pursuit, struct view body, struct error *err) {
    cleanup_json struct json *json = NULL;
    if (!json_parse(body, &json, err) || !outcome_read(json, pursuit->arena, &pursuit->outcome, err)) {
        err->code = ERROR_WORKER_UNAVAILABLE;
        error_wrap(err, "the worker's answer");
        return ANSWER_TROUBLE;
    }
    text_clear(pursuit->body);
    text_append_view(pursuit->body, body);
    return ANSWER_NEWS;
}

static enum answer ask(struct pursuit *pursuit, unsigned wait_s, struct error *err) {
    struct client_answer answer;
    if (!fetch(pursuit, wait_s, &answer, err))
        return error_class(err->code) == CLASS_RETRY ? ANSWER_TROUBLE : ANSWER_REFUSED;
    enum answer verdict = judge(&answer, err);
    if (verdict == ANSWER_NEWS)
        verdict = read_news(pursuit, (struct view){text_string(&answer.body), answer.body.length}, err);
    client_answer_done(&answer);
    return verdict;
}

// ---- all of them -------------------------------------------------------------------------------------------------------

static bool give_up(struct pursuit *pursuit, struct error *err) {
    if (pursuit->trouble.code) {
        *err = pursuit->trouble;
        return false;
    }
    const char *state = *pursuit->outcome.state ? pursuit->outcome.state : "not delivered yet";
    return error_set(err, ERROR_RUN_UNFINISHED, "the run has not ended after %llu s: %s",
                     (unsigned long long)(pursuit->follow->wait_ms / 1000), state);
}

// Between two questions: not at all when the worker has held the last one, longer and longer while nothing changes.
static void rest(struct pursuit *pursuit, bool held, bool changed) {
    uint64_t now = clock_ms(), left = now < pursuit->end ? pursuit->end - now : 0;
    if (changed || held)
        pursuit->pause_ms = PAUSE_FIRST_MS;
    if (held)
        return;
    clock_sleep_ms(left < pursuit->pause_ms ? left : pursuit->pause_ms);
    pursuit->pause_ms = pursuit->pause_ms * 2 < PAUSE_MAX_MS ? pursuit->pause_ms * 2 : PAUSE_MAX_MS;
}

static bool pursue(struct pursuit *pursuit, struct error *err) {
    unsigned poll_s = pursuit->follow->terminal && pursuit->follow->terminal->live ? POLL_LIVE_S : POLL_S;
    for (uint64_t now; (now = clock_ms()) < pursuit->end;) {
        struct error trouble = {0};
        const char *before = pursuit->outcome.state;
        uint64_t left_s = (pursuit->end - now) / 1000;
        enum answer answer = ask(pursuit, (unsigned)(left_s < poll_s ? left_s : poll_s), &trouble);
        pursuit->trouble = answer == ANSWER_TROUBLE ? trouble : (struct error){0};
        if (answer == ANSWER_REFUSED) {
            *err = trouble;
            return false;
        }
        if (answer == ANSWER_NEWS && outcome_is_final(&pursuit->outcome))
            return true;
        show(pursuit);
        bool held = answer == ANSWER_NEWS && clock_ms() - now >= 1000;
        rest(pursuit, held, strcmp(before, pursuit->outcome.state) != 0);
    }
    return give_up(pursuit, err);
}

bool follow_check(const struct follow *follow, struct error *err) {
    cleanup_secret struct secret token = {0};
    if (!client_check_url(follow->url, true, err)) {
        err->code = ERROR_USAGE;
        return error_wrap(err, "--url");
    }
    if (strpbrk(follow->url, "?#"))
        return error_set(err, ERROR_USAGE, "--url is the worker's own URL, without a query");
    return credentials_id_token(follow->credentials, follow->audience, &token, err);
}

bool follow_run(const struct follow *follow, struct arena *arena, struct outcome *ret_outcome, struct text *ret_body,
                struct error *err) {
    cleanup_client struct client *client = NULL;
    if (!client_new(&client, err))
        return false;
    uint64_t now = clock_ms();
    struct pursuit pursuit = {
        .follow = follow,
        .client = client,
        .arena = arena,
        .start = now,
        .end = now + follow->wait_ms,
        .spoken = now,
        .pause_ms = PAUSE_FIRST_MS,
        .outcome = outcome_unknown,
        .body = ret_body,
    };
    bool done = pursue(&pursuit, err);
    if (follow->terminal)
        terminal_clear(follow->terminal);
    *ret_outcome = pursuit.outcome;
    return done;
}
