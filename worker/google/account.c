// The JWT bearer grant. See account.h. https://developers.google.com/identity/protocols/oauth2/service-account
#include "google/account.h"
#include "auth/signature.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/clock.h"
#include "google/grant.h"
#include <stdlib.h>
#include <string.h>

#define GRANT_TYPE "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define ASKED "cannot exchange the service account's key for a token"
enum { ASSERTION_S = 3600, ASSERTION_MAX = 16384 };

struct account {
    struct caller *caller;
    char *email, *key_id, *token_url;
    struct signer *signer;
};

static void close_account(void *self) {
    struct account *account = self;
    free(account->email);
    free(account->key_id);
    free(account->token_url);
    signer_free(account->signer);
    free(account);
}

static void append_part(struct text *jwt, const struct text *json) {
    base64url_encode((struct view){text_string(json), json->length}, jwt);
}

// `claim` is "scope" or "target_audience".
static bool sign_assertion(const struct account *account, const char *claim, const char *value, struct text *jwt,
                           struct error *err) {
    cleanup_text struct text head = TEXT(1024), claims = TEXT(8192), signature = TEXT(1024);
    struct json_writer writer = JSON_WRITER(&head);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "alg", "RS256");
    json_put_string(&writer, "typ", "JWT");
    json_put_string(&writer, "kid", account->key_id);
    json_end_object(&writer);
    int64_t now = clock_unix();
    writer = JSON_WRITER(&claims);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "iss", account->email);
    json_put_string(&writer, "aud", account->token_url);
    json_put_integer(&writer, "iat", now);
    json_put_integer(&writer, "exp", now + ASSERTION_S);
    json_put_string(&writer, claim, value);
    json_end_object(&writer);
    append_part(jwt, &head);
    text_append(jwt, ".");
    append_part(jwt, &claims);
    if (head.full || claims.full)
        return error_set(err, ERROR_CREDENTIALS_REFUSED, ASKED ": the %s is too long", claim);
    if (!signer_sign(account->signer, (struct view){text_string(jwt), jwt->length}, &signature, err))
        return error_wrap(err, ASKED);
    text_append(jwt, ".");
    append_part(jwt, &signature);
    return true;
}

static bool exchange(const struct account *account, const char *claim, const char *value, struct json **ret_answer,
                     struct error *err) {
    cleanup_text struct text jwt = TEXT(ASSERTION_MAX), form = TEXT(2 * ASSERTION_MAX);
    if (!sign_assertion(account, claim, value, &jwt, err))
        return false;
    grant_field(&form, "grant_type", GRANT_TYPE);
    grant_field(&form, "assertion", text_string(&jwt));
    return grant_ask(account->caller, ASKED, account->token_url, &form, ret_answer, err);
}

static bool make_access(void *self, const char *scope, struct bearer *ret_bearer, struct error *err) {
    cleanup_json struct json *answer = NULL;
    int64_t now = clock_unix();
    if (!exchange(self, "scope", scope, &answer, err))
        return false;
    return bearer_read_access(answer, now, ret_bearer, err) || error_wrap(err, ASKED);
}

static bool make_identity(void *self, const char *audience, struct bearer *ret_bearer, struct error *err) {
    cleanup_json struct json *answer = NULL;
    struct view token = {0};
    if (!exchange(self, "target_audience", audience, &answer, err))
        return false;
    if (!json_string(json_get(answer, "id_token"), &token))
        return error_set(err, ERROR_CREDENTIALS_UNAVAILABLE, ASKED ": the answer has no id_token");
    return bearer_read_identity(token, ret_bearer, err) || error_wrap(err, ASKED);
}

bool account_open(struct caller *caller, const struct json *file, struct bearer_source *ret_source, struct error *err) {
    struct account *account = memory_alloc(sizeof(*account));
    char *key = NULL;
    account->caller = caller;
    bool fine = grant_member(file, "client_email", NULL, &account->email, err) &&
                grant_member(file, "private_key_id", NULL, &account->key_id, err) &&
                grant_url(file, "token_uri", GRANT_URL_GOOGLE, &account->token_url, err) &&
                grant_member(file, "private_key", NULL, &key, err);
    if (fine && !signer_new(view_of(key), &account->signer, err))
        fine = error_wrap(err, "the credentials file's private_key");
    if (key)
        memory_wipe(key, strlen(key));
    free(key);
    if (!fine) {
        close_account(account);
        return false;
    }
    *ret_source = (struct bearer_source){account, make_access, make_identity, close_account};
    return true;
}
