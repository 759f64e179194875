// The refresh grant (RFC 6749 section 6). See user.h.
#include "google/user.h"
#include "base/arena.h"
#include "base/clock.h"
#include "google/grant.h"
#include <stdlib.h>

#define ASKED "cannot refresh the token of gcloud's application-default login"

struct user {
    struct caller *caller;
    char *client_id, *token_url;
    struct secret client_secret, refresh_token;
};

static void close_user(void *self) {
    struct user *user = self;
    free(user->client_id);
    free(user->token_url);
    secret_done(&user->client_secret);
    secret_done(&user->refresh_token);
    free(user);
}

static bool make_access(void *self, const char *scope, struct bearer *ret_bearer, struct error *err) {
    const struct user *user = self;
    cleanup_text struct text form = TEXT(16384);
    cleanup_json struct json *answer = NULL;
    (void)scope; // fixed when the person logged in
    grant_field(&form, "grant_type", "refresh_token");
    grant_field(&form, "client_id", user->client_id);
    grant_field(&form, "client_secret", user->client_secret.value);
    grant_field(&form, "refresh_token", user->refresh_token.value);
    int64_t now = clock_unix();
    bool done = grant_ask(user->caller, ASKED, user->token_url, &form, &answer, err) &&
                (bearer_read_access(answer, now, ret_bearer, err) || error_wrap(err, ASKED));
    memory_wipe(form.data, form.length);
    return done;
}

static bool make_identity(void *self, const char *audience, struct bearer *ret_bearer, struct error *err) {
    (void)self, (void)audience, (void)ret_bearer;
    return error_set(err, ERROR_CREDENTIALS_MISSING,
                     "a person's login cannot make an ID token for an audience; give PAWL_ID_TOKEN (gcloud auth "
                     "print-identity-token --impersonate-service-account=EMAIL --include-email --audiences=AUDIENCE)");
}

static bool take_secret(const struct json *file, const char *name, struct secret *ret_secret, struct error *err) {
    char *value;
    if (!grant_member(file, name, NULL, &value, err))
        return false;
    ret_secret->value = value;
    return true;
}

bool user_open(struct caller *caller, const struct json *file, struct bearer_source *ret_source, struct error *err) {
    struct user *user = memory_alloc(sizeof(*user));
    user->caller = caller;
    bool fine = grant_member(file, "client_id", NULL, &user->client_id, err) &&
                grant_url(file, "token_uri", GRANT_URL_GOOGLE, &user->token_url, err) &&
                take_secret(file, "client_secret", &user->client_secret, err) &&
                take_secret(file, "refresh_token", &user->refresh_token, err);
    if (!fine) {
        close_user(user);
        return false;
    }
    *ret_source = (struct bearer_source){user, make_access, make_identity, close_user};
    return true;
}
