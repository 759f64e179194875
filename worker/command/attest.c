// Asks for a proof of who publishes. See attest.h.
#include "command/attest.h"
#include "auth/proof.h"
#include "google/grant.h"
#include "net/url.h"
#include "push/request.h"
#include <string.h>

enum { URL_MAX = 4096 };
#define WHAT "GitHub makes no proof of who publishes"

// As the worker will read it; so a request that it would refuse is refused here.
static bool read_fingerprint(const struct pubsub_message *message, struct arena *arena, const char **ret_fingerprint,
                             struct error *err) {
    struct envelope_attribute *attributes = arena_array(arena, message->attribute_count + 1, sizeof(*attributes));
    struct envelope envelope = {
        .data = message->data, .attributes = attributes, .attribute_count = message->attribute_count};
    struct request request;
    for (size_t i = 0; i < message->attribute_count; i++)
        attributes[i] = (struct envelope_attribute){message->attributes[i].key, message->attributes[i].value};
    if (!request_read(&envelope, arena, &request, err)) {
        err->code = ERROR_USAGE;
        return false;
    }
    *ret_fingerprint = arena_string(arena, request.fingerprint);
    return true;
}

static bool ask(const struct options *options, const struct cloud *cloud, const char *fingerprint, struct arena *arena,
                const char **ret_token, struct error *err) {
    cleanup_text struct text url = TEXT(URL_MAX);
    cleanup_text struct text audience = TEXT(128);
    cleanup_json struct json *answer = NULL;
    struct view token;
    text_printf(&audience, PROOF_AUDIENCE "%s", fingerprint);
    text_printf(&url, "%s%caudience=", options->actions_url, strchr(options->actions_url, '?') ? '&' : '?');
    url_append(&url, view_of(text_string(&audience)));
    if (url.full || !client_check_url(text_string(&url), true, err))
        return error_set(err, ERROR_USAGE, "ACTIONS_ID_TOKEN_REQUEST_URL is no address that a token may be sent to");
    struct call call = {.what = WHAT, .url = text_string(&url), .token = options->actions_token};
    grant_limits(&call);
    if (!call_json(credentials_caller(cloud->credentials), &call, &answer, err))
        return false;
    if (!json_string(json_get(answer, "value"), &token) || !bearer_is_valid(token) || token.length > REQUEST_PROOF_MAX)
        return error_set(err, ERROR_CREDENTIALS_REFUSED, WHAT ": its answer holds no token");
    *ret_token = arena_copy(arena, token.data, token.length);
    return true;
}

bool attest(const struct options *options, const struct cloud *cloud, const struct pubsub_message *message,
            struct arena *arena, const char **ret_token, struct error *err) {
    const char *fingerprint;
    bool always = strcmp(options->proof, "always") == 0, possible = options->actions_url && options->actions_token;
    if (always && !possible)
        return error_set(err, ERROR_USAGE,
                         "--proof=always: only a job of GitHub Actions with the permission id-token: write can prove "
                         "who publishes");
    if (!possible || strcmp(options->proof, "never") == 0) {
        *ret_token = NULL;
        return true;
    }
    return read_fingerprint(message, arena, &fingerprint, err) &&
           ask(options, cloud, fingerprint, arena, ret_token, err);
}
