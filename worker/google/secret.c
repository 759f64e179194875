// Fetches one version of one secret. See secret.h. What it holds is in no error.
#include "google/secret.h"
#include "base/base64.h"
#include "base/checksum.h"
#include "google/call.h"
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 5000, BUDGET_MS = 20000, ANSWER_MAX = 2 * SECRET_VALUE_MAX, PART_MAX = 255 };

bool secret_is_reference(const char *value) {
    return view_starts(view_of(value), SECRET_PREFIX);
}

// ---- name --------------------------------------------------------------------------------------------------------------

// Takes `word` + "/" + a part off the front of `rest`; nothing changes when it is not there.
static bool take_part(struct view *rest, const char *word, struct view *ret_part) {
    size_t skip = strlen(word) + 1, length = 0;
    if (!view_starts(*rest, word) || rest->length <= skip || rest->data[skip - 1] != '/')
        return false;
    const char *part = rest->data + skip;
    while (skip + length < rest->length && part[length] != '/') {
        char c = part[length++];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.:", c);
        if (!fine || length > PART_MAX)
            return false;
    }
    size_t used = skip + length;
    if (length == 0 || view_starts((struct view){part, length}, "."))
        return false;
    used += used < rest->length; // the slash
    *ret_part = (struct view){part, length};
    *rest = (struct view){rest->data + used, rest->length - used};
    return true;
}

// Appends "https://HOST/v1/NAME:access".
static bool append_url(const char *reference, const char *endpoint, struct text *url, struct error *err) {
    struct view name = {reference + strlen(SECRET_PREFIX), strlen(reference) - strlen(SECRET_PREFIX)};
    struct view rest = name, part, location = {0};
    bool fine = take_part(&rest, "projects", &part);
    fine = fine && (take_part(&rest, "locations", &location) || true) && take_part(&rest, "secrets", &part) &&
           take_part(&rest, "versions", &part) && rest.length == 0 && name.data[name.length - 1] != '/';
    if (!fine)
        return error_set(err, ERROR_CONFIGURATION,
                         "a secret's name must be like " SECRET_PREFIX "projects/PROJECT/secrets/NAME/versions/latest");
    if (endpoint && *endpoint)
        text_append_view(url, (struct view){endpoint, strlen(endpoint) - (endpoint[strlen(endpoint) - 1] == '/')});
    else if (location.length > 0)
        text_printf(url, "https://secretmanager.%.*s.rep.googleapis.com", (int)location.length, location.data);
    else
        text_append(url, SECRET_URL);
    text_append(url, "/v1/");
    text_append_view(url, name);
    text_append(url, ":access");
    return client_check_url(text_string(url), true, err) || error_wrap(err, "Secret Manager's endpoint");
}

bool secret_check(const char *reference, const char *endpoint, struct error *err) {
    cleanup_text struct text url = TEXT(2048);
    return append_url(reference, endpoint, &url, err);
}

// ---- payload -----------------------------------------------------------------------------------------------------------

// An int64 as a string, as protobuf writes it in JSON; a number is taken too.
static bool read_checksum(const struct json *json, uint64_t *ret_checksum) {
    struct view text;
    int64_t number;
    if (json_string(json, &text))
        return text_to_u64(text, UINT32_MAX, ret_checksum);
    if (!json_integer(json, 0, UINT32_MAX, &number))
        return false;
    *ret_checksum = (uint64_t)number;
    return true;
}

static bool read_payload(const struct json *payload, char *value, size_t *ret_length, struct error *err) {
    struct view encoded;
    uint64_t checksum;
    size_t length;
    if (!json_string(json_get(payload, "data"), &encoded) || !read_checksum(json_get(payload, "dataCrc32c"), &checksum))
        return error_set(err, ERROR_SECRET_UNAVAILABLE, "the answer has no data with its dataCrc32c");
    if (base64_decoded_max(encoded.length) > SECRET_VALUE_MAX + 3 || !base64_decode(encoded, value, &length))
        return error_set(err, ERROR_SECRET_UNAVAILABLE, "the answer's data is not base64 of at most %d bytes",
                         SECRET_VALUE_MAX);
    if (checksum_crc32c((struct view){value, length}) != checksum)
        return error_set(err, ERROR_SECRET_UNAVAILABLE, "the secret arrived damaged: its CRC-32C is another");
    *ret_length = length;
    return true;
}

static bool keep(char *value, size_t length, struct secret *ret_secret, struct error *err) {
    struct view all = {value, length};
    while (all.length > 0 && strchr(" \t\r\n", all.data[all.length - 1]) && all.data[all.length - 1])
        all.length--;
    if (all.length == 0 || memchr(all.data, '\0', all.length) || !text_is_utf8(all))
        return error_set(err, ERROR_SECRET_REFUSED, "the secret is empty, or not text");
    value[all.length] = '\0';
    *ret_secret = (struct secret){0};
    secret_set(ret_secret, value);
    return true;
}

bool secret_fetch(const char *reference, const char *endpoint, struct credentials *credentials,
                  struct secret *ret_secret, struct error *err) {
    cleanup_text struct text url = TEXT(2048), what = TEXT(512);
    cleanup_secret struct secret token = {0};
    cleanup_json struct json *answer = NULL;
    if (!append_url(reference, endpoint, &url, err))
        return false;
    text_printf(&what, "cannot read %s", reference);
    if (!credentials_access_token(credentials, SCOPE_CLOUD_PLATFORM, &token, err))
        return error_wrap(err, "%s", text_string(&what));
    struct call call = {
        .what = text_string(&what),
        .url = text_string(&url),
        .token = token.value,
        .answer_max = ANSWER_MAX,
        .timeout_ms = TIMEOUT_MS,
        .budget_ms = BUDGET_MS,
        .unavailable = ERROR_SECRET_UNAVAILABLE,
        .refused = ERROR_SECRET_REFUSED,
    };
    if (!call_json(credentials_caller(credentials), &call, &answer, err))
        return false;
    char *value = memory_alloc(SECRET_VALUE_MAX + 4);
    size_t length = 0;
    bool done = read_payload(json_get(answer, "payload"), value, &length, err) && keep(value, length, ret_secret, err);
    memory_wipe(value, SECRET_VALUE_MAX + 4);
    free(value);
    return done || error_wrap(err, "%s", text_string(&what));
}
