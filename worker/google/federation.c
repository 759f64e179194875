// Subject token and exchange. See federation.h.
#include "google/federation.h"
#include "base/arena.h"
#include "base/clock.h"
#include "google/grant.h"
#include "google/smallfile.h"
#include <stdlib.h>
#include <string.h>

#define FETCHED "cannot get the token of the place where this runs"
#define EXCHANGED "cannot exchange that token at Google's security token service"
enum { FORM_MAX = 65536, SUBJECT_MAX = 65536 };

struct federation {
    struct caller *caller;
    char *audience, *subject_type, *token_url;
    char *url, *path;                // of the subject token: one of them
    char *headers[CALL_HEADERS_MAX]; // for `url`; secrets
    size_t header_count;
    char *field; // of the JSON that holds the subject token; NULL: it is the text itself
};

static void close_federation(void *self) {
    struct federation *federation = self;
    free(federation->audience);
    free(federation->subject_type);
    free(federation->token_url);
    free(federation->url);
    free(federation->path);
    for (size_t i = 0; i < federation->header_count; i++) {
        memory_wipe(federation->headers[i], strlen(federation->headers[i]));
        free(federation->headers[i]);
    }
    free(federation->field);
    free(federation);
}

// ---- the token of the place where we run -------------------------------------------------------------------------------

static bool fetch_text(const struct federation *federation, struct text *out, struct error *err) {
    const char *headers[CALL_HEADERS_MAX + 1] = {NULL};
    for (size_t i = 0; i < federation->header_count; i++)
        headers[i] = federation->headers[i];
    struct call call = {.what = FETCHED, .url = federation->url, .headers = headers};
    struct client_answer answer;
    grant_limits(&call);
    if (!call_send(federation->caller, &call, &answer, err))
        return false;
    text_append_view(out, (struct view){text_string(&answer.body), answer.body.length});
    memory_wipe(answer.body.data, answer.body.length);
    client_answer_done(&answer);
    return true;
}

static bool read_subject(const struct federation *federation, struct secret *ret_subject, struct error *err) {
    cleanup_text struct text raw = TEXT(SUBJECT_MAX);
    cleanup_json struct json *json = NULL;
    bool fine = federation->url ? fetch_text(federation, &raw, err) : smallfile_read(federation->path, &raw, err);
    if (!fine)
        return federation->url ? false : error_wrap(err, FETCHED);
    struct view subject = view_trim((struct view){text_string(&raw), raw.length});
    struct error ignored = {0};
    if (federation->field &&
        (!json_parse(subject, &json, &ignored) || !json_string(json_get(json, federation->field), &subject)))
        subject.length = 0;
    fine = bearer_is_valid(subject);
    if (fine) {
        cleanup_free char *copy = memory_alloc(subject.length + 1);
        memcpy(copy, subject.data, subject.length);
        secret_set(ret_subject, copy);
        memory_wipe(copy, subject.length);
    }
    memory_wipe(raw.data, raw.length);
    return fine || error_set(err, ERROR_CREDENTIALS_REFUSED, FETCHED ": what is there is no token%s%s",
                             federation->field ? " in the member " : "", federation->field ? federation->field : "");
}

// ---- exchange ----------------------------------------------------------------------------------------

static bool exchange(const struct federation *federation, const char *scope, struct bearer *ret_bearer,
                     struct error *err) {
    cleanup_text struct text form = TEXT(FORM_MAX);
    cleanup_secret struct secret subject = {0};
    cleanup_json struct json *answer = NULL;
    if (!read_subject(federation, &subject, err))
        return false;
    grant_field(&form, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    grant_field(&form, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
    grant_field(&form, "audience", federation->audience);
    grant_field(&form, "scope", scope);
    grant_field(&form, "subject_token_type", federation->subject_type);
    grant_field(&form, "subject_token", subject.value);
    int64_t now = clock_unix();
    bool done = grant_ask(federation->caller, EXCHANGED, federation->token_url, &form, &answer, err) &&
                (bearer_read_access(answer, now, ret_bearer, err) || error_wrap(err, EXCHANGED));
    memory_wipe(form.data, form.length);
    return done;
}

static bool make_access(void *self, const char *scope, struct bearer *ret_bearer, struct error *err) {
    return exchange(self, scope, ret_bearer, err);
}

static bool make_identity(void *self, const char *audience, struct bearer *ret_bearer, struct error *err) {
    (void)self, (void)audience, (void)ret_bearer;
    return error_set(err, ERROR_CREDENTIALS_MISSING,
                     "workload identity federation makes no ID token without a service account; name one "
                     "(service_account of google-github-actions/auth), or give PAWL_ID_TOKEN");
}

// ---- the file ----------------------------------------------------------------------------------------------------------

static bool take_headers(struct federation *federation, const struct json *headers, struct error *err) {
    for (const struct json *header = json_first(headers); header; header = json_next(header)) {
        struct view value;
        cleanup_text struct text line = TEXT(16384);
        if (federation->header_count == CALL_HEADERS_MAX || !json_string(header, &value) ||
            memchr(value.data, '\r', value.length) || memchr(value.data, '\n', value.length) ||
            strpbrk(json_name(header), "\r\n:"))
            return error_set(err, ERROR_CONFIGURATION,
                             "the credentials file's credential_source.headers are not usable");
        text_printf(&line, "%s: %s", json_name(header), value.data);
        federation->headers[federation->header_count++] = memory_string(text_string(&line));
        memory_wipe(line.data, line.length);
    }
    return true;
}

static bool take_source(struct federation *federation, const struct json *source, struct error *err) {
    const struct json *format = json_get(source, "format");
    struct view type = VIEW("text");
    if (json_get(source, "url") && !grant_url(source, "url", NULL, &federation->url, err))
        return false;
    if (!federation->url && !grant_member(source, "file", NULL, &federation->path, err))
        return error_set(err, ERROR_CONFIGURATION,
                         "the credentials file's credential_source is neither a url nor a file");
    if (!take_headers(federation, json_get(source, "headers"), err))
        return false;
    if (format && !json_string(json_get(format, "type"), &type))
        return error_set(err, ERROR_CONFIGURATION, "the credentials file's credential_source.format has no type");
    if (view_is(type, "json"))
        return grant_member(format, "subject_token_field_name", NULL, &federation->field, err);
    return view_is(type, "text") ||
           error_set(err, ERROR_CONFIGURATION,
                     "the credentials file's credential_source.format is neither text nor json");
}

bool federation_open(struct caller *caller, const struct json *file, struct bearer_source *ret_source,
                     struct error *err) {
    struct federation *federation = memory_alloc(sizeof(*federation));
    federation->caller = caller;
    if (!grant_member(file, "audience", NULL, &federation->audience, err) ||
        !grant_member(file, "subject_token_type", NULL, &federation->subject_type, err) ||
        !grant_url(file, "token_url", "https://sts.googleapis.com/v1/token", &federation->token_url, err) ||
        !take_source(federation, json_get(file, "credential_source"), err)) {
        close_federation(federation);
        return false;
    }
    *ret_source = (struct bearer_source){federation, make_access, make_identity, close_federation};
    return true;
}
