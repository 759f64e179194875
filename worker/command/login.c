// The login of each connection. See login.h.
#include "command/login.h"
#include "google/secret.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNT_SUFFIX ".gserviceaccount.com"

struct login {
    struct login_settings settings; // `url` apart
    struct secret given;            // what the setting says
    pthread_mutex_t mutex;          // guards what follows; held while Secret Manager is asked, so that it is asked once
    struct secret fetched;          // what the secret said; `value` NULL: not asked yet
};

bool login_needs_credentials(const char *url, bool iam) {
    return iam || (url && secret_is_reference(url));
}

bool login_new(const struct login_settings *settings, struct login **ret_login, struct error *err) {
    if (secret_is_reference(settings->url) && !secret_check(settings->url, settings->secret_endpoint, err))
        return false;
    struct login *login = memory_alloc(sizeof(*login));
    login->settings = *settings;
    login->settings.url = NULL;
    secret_set(&login->given, settings->url);
    login->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    *ret_login = login;
    return true;
}

void login_free(struct login *login) {
    if (!login)
        return;
    secret_done(&login->given);
    secret_done(&login->fetched);
    (void)pthread_mutex_destroy(&login->mutex);
    free(login);
}

// The secret is kept until the server refuses what it says: then its password was changed, and the newer version knows.
static bool take_url(struct login *login, bool refused, struct secret *ret_url, struct error *err) {
    if (!secret_is_reference(login->given.value)) {
        secret_set(ret_url, login->given.value);
        return true;
    }
    struct secret fresh;
    (void)pthread_mutex_lock(&login->mutex);
    bool known = login->fetched.value && !refused;
    if (!known &&
        secret_fetch(login->given.value, login->settings.secret_endpoint, login->settings.credentials, &fresh, err)) {
        secret_done(&login->fetched);
        login->fetched = fresh;
        known = true;
    }
    if (known)
        secret_set(ret_url, login->fetched.value);
    (void)pthread_mutex_unlock(&login->mutex);
    return known;
}

// PostgreSQL's name for a service account is its e-mail address without the ending that all of them share.
static bool take_user(const struct login *login, const char *url, char *user, size_t size, struct error *err) {
    cleanup_arena struct arena *arena = arena_new();
    const char *email = NULL;
    if (postgres_names_user(url))
        return true;
    if (!credentials_email(login->settings.credentials, arena, &email, err))
        return error_wrap(err, "which user of the database to log in as (name it in DATABASE_URL)");
    struct view name = view_of(email);
    size_t suffix = strlen(ACCOUNT_SUFFIX);
    if (name.length > suffix && strcmp(email + name.length - suffix, ACCOUNT_SUFFIX) == 0)
        name.length -= suffix;
    text_copy(user, size, name);
    return true;
}

static bool fetch(void *context, bool refused, struct run_login *ret_login, struct error *err) {
    struct login *login = context;
    struct run_login result = {.tls = login->settings.iam};
    bool done = take_url(login, refused, &result.url, err);
    if (done && login->settings.iam)
        done = take_user(login, result.url.value, result.user, sizeof(result.user), err) &&
               (credentials_access_token(login->settings.credentials, SCOPE_SQL_LOGIN, &result.password, err) ||
                error_wrap(err, "no access token to log in to the database with"));
    if (!done) {
        run_login_done(&result);
        return false;
    }
    *ret_login = result;
    return true;
}

struct run_database *login_database(struct login *login) {
    struct run_login_source source = {.fetch = fetch,
                                      .context = login,
                                      .renewable = secret_is_reference(login->given.value),
                                      .schema = login->settings.schema,
                                      .role = login->settings.role};
    return run_database_new_login(&source);
}
