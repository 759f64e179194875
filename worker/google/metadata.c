// Asks the metadata server. See metadata.h.
#include "google/metadata.h"
#include "base/clock.h"
#include "net/url.h"
#include <stdlib.h>
#include <string.h>

#define ROOT "/computeMetadata/v1/"
enum { TIMEOUT_MS = 3000, TRIES = 5, TRIES_ELSEWHERE = 2, BUDGET_MS = 20000, ANSWER_MAX = 65536, URL_MAX = 8192 };

struct metadata {
    struct caller *caller;
    char host[256];
    bool expected, seen; // seen: it has answered before
};

bool metadata_new(struct caller *caller, const char *host, bool expected, struct metadata **ret_metadata,
                  struct error *err) {
    struct view name = view_of(host && *host ? host : METADATA_HOST);
    cleanup_text struct text url = TEXT(512);
    text_printf(&url, "http://%s" ROOT, name.data);
    if (name.length >= sizeof((*ret_metadata)->host) || strpbrk(name.data, "/?#@\\ ") ||
        !client_check_url(text_string(&url), true, err))
        return error_set(err, ERROR_CONFIGURATION,
                         "GCE_METADATA_HOST must be the metadata server, or a loopback address: HOST or HOST:PORT");
    struct metadata *metadata = memory_alloc(sizeof(*metadata));
    metadata->caller = caller;
    metadata->expected = expected;
    text_copy(metadata->host, sizeof(metadata->host), name);
    *ret_metadata = metadata;
    return true;
}

void metadata_free(struct metadata *metadata) {
    free(metadata);
}

// Anything may sit at that address on a foreign network; the field in the answer tells that it is the one that was meant.
static bool check_flavor(const struct client_answer *answer, struct error *err) {
    if (strcmp(answer->wanted, "Google") == 0)
        return true;
    return error_set(err, ERROR_CREDENTIALS_MISSING, "what answers at the metadata server's address is something else");
}

static bool fetch(struct metadata *metadata, const char *path, struct client_answer *ret_answer, struct error *err) {
    static const char *const headers[] = {"Metadata-Flavor: Google", NULL};
    bool expected = metadata->expected || metadata->seen;
    cleanup_text struct text url = TEXT(URL_MAX);
    text_printf(&url, "http://%s" ROOT "%s", metadata->host, path);
    struct call call = {
        .what = "cannot ask the metadata server",
        .url = text_string(&url),
        .headers = headers,
        .wanted_field = "Metadata-Flavor",
        .answer_max = ANSWER_MAX,
        .timeout_ms = TIMEOUT_MS,
        .budget_ms = BUDGET_MS,
        .tries = expected ? TRIES : TRIES_ELSEWHERE,
        .unavailable = expected ? ERROR_CREDENTIALS_UNAVAILABLE : ERROR_CREDENTIALS_MISSING,
        .refused = ERROR_CREDENTIALS_REFUSED,
    };
    struct client_answer answer;
    if (url.full)
        return error_set(err, ERROR_CREDENTIALS_REFUSED, "the scope or audience is too long");
    if (!call_send(metadata->caller, &call, &answer, err))
        return false;
    if (!check_flavor(&answer, err)) {
        client_answer_done(&answer);
        return false;
    }
    metadata->seen = true;
    *ret_answer = answer;
    return true;
}

static struct view body_of(const struct client_answer *answer) {
    return view_trim((struct view){text_string(&answer->body), answer->body.length});
}

bool metadata_access_token(struct metadata *metadata, const char *scope, struct bearer *ret_bearer, struct error *err) {
    cleanup_text struct text path = TEXT(URL_MAX);
    cleanup_json struct json *json = NULL;
    struct client_answer answer;
    text_append(&path, "instance/service-accounts/default/token?scopes=");
    for (const char *c = scope; *c; c++)
        url_append(&path, *c == ' ' ? VIEW(",") : (struct view){c, 1}); // here a list has commas
    int64_t now = clock_unix(); // before the answer: rather too early than too late
    if (!fetch(metadata, text_string(&path), &answer, err))
        return false;
    bool done = json_parse(body_of(&answer), &json, err) && bearer_read_access(json, now, ret_bearer, err);
    memory_wipe(answer.body.data, answer.body.length);
    client_answer_done(&answer);
    if (done)
        return true;
    err->code = ERROR_CREDENTIALS_UNAVAILABLE;
    return error_wrap(err, "the metadata server");
}

bool metadata_id_token(struct metadata *metadata, const char *audience, struct bearer *ret_bearer, struct error *err) {
    cleanup_text struct text path = TEXT(URL_MAX);
    struct client_answer answer;
    text_append(&path, "instance/service-accounts/default/identity?format=full&audience=");
    url_append(&path, view_of(audience));
    if (!fetch(metadata, text_string(&path), &answer, err))
        return false;
    bool done = bearer_read_identity(body_of(&answer), ret_bearer, err);
    memory_wipe(answer.body.data, answer.body.length);
    client_answer_done(&answer);
    return done || error_wrap(err, "the metadata server");
}

static bool fetch_word(struct metadata *metadata, const char *path, struct arena *arena, const char **ret_word,
                       struct error *err) {
    struct client_answer answer;
    if (!fetch(metadata, path, &answer, err))
        return false;
    struct view word = body_of(&answer);
    bool fine = word.length > 0 && word.length < 256 && text_is_utf8(word) && !memchr(word.data, '\n', word.length);
    if (fine)
        *ret_word = arena_copy(arena, word.data, word.length);
    client_answer_done(&answer);
    return fine ||
           error_set(err, ERROR_CREDENTIALS_UNAVAILABLE, "the metadata server's answer for %s is not one word", path);
}

bool metadata_project(struct metadata *metadata, struct arena *arena, const char **ret_project, struct error *err) {
    return fetch_word(metadata, "project/project-id", arena, ret_project, err);
}

bool metadata_email(struct metadata *metadata, struct arena *arena, const char **ret_email, struct error *err) {
    return fetch_word(metadata, "instance/service-accounts/default/email", arena, ret_email, err);
}
