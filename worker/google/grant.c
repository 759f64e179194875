// Members of credentials files and forms for token endpoints. See grant.h.
#include "google/grant.h"
#include "base/arena.h"
#include "net/url.h"
#include <stdlib.h>

enum { TIMEOUT_MS = 10000, BUDGET_MS = 20000, TRIES = 4, ANSWER_MAX = 65536 };

bool grant_member(const struct json *file, const char *name, const char *fallback, char **ret_string,
                  struct error *err) {
    struct view value;
    const struct json *member = json_get(file, name);
    if (!member && fallback)
        value = view_of(fallback);
    else if (!json_string(member, &value) || value.length == 0)
        return error_set(err, ERROR_CONFIGURATION, "the credentials file has no usable %s", name);
    *ret_string = memory_string(value.data); // strict JSON: there is no NUL inside
    return true;
}

bool grant_url(const struct json *file, const char *name, const char *fallback, char **ret_url, struct error *err) {
    char *url;
    if (!grant_member(file, name, fallback, &url, err))
        return false;
    if (client_check_url(url, true, err)) {
        *ret_url = url;
        return true;
    }
    free(url);
    return error_wrap(err, "the credentials file's %s", name);
}

void grant_field(struct text *form, const char *name, const char *value) {
    text_printf(form, "%s%s=", form->length > 0 ? "&" : "", name);
    url_append(form, view_of(value));
}

void grant_limits(struct call *call) {
    call->answer_max = ANSWER_MAX;
    call->timeout_ms = TIMEOUT_MS;
    call->budget_ms = BUDGET_MS;
    call->tries = TRIES;
    call->unavailable = ERROR_CREDENTIALS_UNAVAILABLE;
    call->refused = ERROR_CREDENTIALS_REFUSED;
}

bool grant_ask(struct caller *caller, const char *what, const char *url, const struct text *form,
               struct json **ret_answer, struct error *err) {
    struct call call = {
        .what = what,
        .url = url,
        .content_type = "application/x-www-form-urlencoded",
        .body = {text_string(form), form->length},
    };
    grant_limits(&call);
    if (form->full)
        return error_set(err, ERROR_CREDENTIALS_REFUSED, "%s: the request is too long", what);
    return call_json(caller, &call, ret_answer, err);
}
