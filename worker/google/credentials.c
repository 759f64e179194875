// Chooses the source and keeps its tokens. See credentials.h.
#include "google/credentials.h"
#include "base/clock.h"
#include "google/account.h"
#include "google/federation.h"
#include "google/grant.h"
#include "google/impersonation.h"
#include "google/metadata.h"
#include "google/smallfile.h"
#include "google/user.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define IMPERSONATION "service_account_impersonation_url"

// 3 min 45 s: the metadata server makes a new token 4 minutes before the old one's end, not earlier.
enum { FILE_MAX = 65536, EARLY_S = 225, KEPT_MAX = 16 };

struct kept {
    bool identity;
    char *name; // scope or audience
    struct bearer bearer;
};

struct credentials {
    struct secret access_token, id_token; // given by hand
    struct caller *caller;
    struct bearer_source source; // of the file; `self` NULL: the metadata server
    char *project, *email;       // of the file; may be NULL
    struct metadata *metadata;
    pthread_mutex_t fetching; // one fetch at a time; taken before `mutex`
    pthread_mutex_t mutex;    // guards what follows; never held while anybody is asked
    struct kept kept[KEPT_MAX];
    size_t count, oldest;
};

// ---- opening -----------------------------------------------------------------------------------------------------------

static bool open_plain(struct caller *caller, const struct json *file, struct bearer_source *ret_source,
                       struct error *err) {
    static const struct {
        const char *type;
        bool (*open)(struct caller *caller, const struct json *file, struct bearer_source *ret_source,
                     struct error *err);
    } types[] = {
        {"service_account", account_open},
        {"external_account", federation_open},
        {"authorized_user", user_open},
    };
    struct view type = {0};
    (void)json_string(json_get(file, "type"), &type);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (view_is(type, types[i].type))
            return types[i].open(caller, file, ret_source, err);
    return error_set(
        err, ERROR_CONFIGURATION,
        "its type is none of service_account, external_account, authorized_user and impersonated_service_account");
}

// "https://.../serviceAccounts/EMAIL:generateAccessToken"; NULL when it is not so.
static char *account_of(const char *url) {
    static const char before[] = "/serviceAccounts/", after[] = ":generateAccessToken";
    const char *start = strstr(url, before), *end = strstr(url, after);
    if (!start || !end || end <= start + strlen(before))
        return NULL;
    struct text email cleanup_text = TEXT(1024);
    start += strlen(before);
    text_append_view(&email, (struct view){start, (size_t)(end - start)});
    return memory_string(text_string(&email));
}

// A file of type impersonated_service_account holds another one inside; a federated one may name an account too.
static bool open_source(struct credentials *credentials, const struct json *file, struct error *err) {
    struct view type = {0}, project, email;
    struct bearer_source plain;
    (void)json_string(json_get(file, "type"), &type);
    if (json_string(json_get(file, "project_id"), &project))
        credentials->project = memory_string(project.data);
    bool wrapped = view_is(type, "impersonated_service_account");
    cleanup_free char *url = NULL;
    if ((wrapped || json_get(file, IMPERSONATION)) && !grant_url(file, IMPERSONATION, NULL, &url, err))
        return false;
    if (!open_plain(credentials->caller, wrapped ? json_get(file, "source_credentials") : file, &plain, err))
        return false;
    if (url)
        credentials->email = account_of(url);
    else if (json_string(json_get(file, "client_email"), &email))
        credentials->email = memory_string(email.data);
    if (url)
        return impersonation_open(credentials->caller, url, plain, &credentials->source, err);
    credentials->source = plain;
    return true;
}

static bool open_file(struct credentials *credentials, const char *path, struct error *err) {
    cleanup_text struct text raw = TEXT(FILE_MAX);
    cleanup_json struct json *file = NULL;
    if (!smallfile_read(path, &raw, err))
        return error_wrap(err, "GOOGLE_APPLICATION_CREDENTIALS");
    bool parsed = json_parse((struct view){text_string(&raw), raw.length}, &file, err);
    memory_wipe(raw.data, raw.length);
    if (parsed && open_source(credentials, file, err))
        return true;
    err->code = ERROR_CONFIGURATION;
    return error_wrap(err, "GOOGLE_APPLICATION_CREDENTIALS: %s", path);
}

static bool take_given(struct secret *secret, const char *value, const char *name, struct error *err) {
    if (!value || !*value)
        return true;
    if (!bearer_is_valid(view_of(value)))
        return error_set(err, ERROR_CONFIGURATION, "%s is not a token", name);
    secret_set(secret, value);
    return true;
}

bool credentials_new(const struct credentials_settings *settings, struct credentials **ret_credentials,
                     struct error *err) {
    struct credentials *credentials = memory_alloc(sizeof(*credentials));
    if (pthread_mutex_init(&credentials->fetching, NULL) != 0 || pthread_mutex_init(&credentials->mutex, NULL) != 0)
        abort(); // only for want of memory
    bool file = settings->file && *settings->file;
    if (!take_given(&credentials->access_token, settings->access_token, "PAWL_ACCESS_TOKEN", err) ||
        !take_given(&credentials->id_token, settings->id_token, "PAWL_ID_TOKEN", err) ||
        !caller_new(settings->stop, &credentials->caller, err) ||
        (file && !open_file(credentials, settings->file, err)) ||
        !metadata_new(credentials->caller, settings->metadata_host, settings->in_cloud, &credentials->metadata, err)) {
        credentials_free(credentials);
        return false;
    }
    *ret_credentials = credentials;
    return true;
}

void credentials_free(struct credentials *credentials) {
    if (!credentials)
        return;
    for (size_t i = 0; i < credentials->count; i++) {
        free(credentials->kept[i].name);
        bearer_done(&credentials->kept[i].bearer);
    }
    if (credentials->source.self)
        credentials->source.free(credentials->source.self);
    metadata_free(credentials->metadata);
    caller_free(credentials->caller);
    free(credentials->project);
    free(credentials->email);
    secret_done(&credentials->access_token);
    secret_done(&credentials->id_token);
    (void)pthread_mutex_destroy(&credentials->mutex);
    (void)pthread_mutex_destroy(&credentials->fetching);
    free(credentials);
}

// ---- what is kept ------------------------------------------------------------------------------------------------------

static struct kept *find_kept(struct credentials *credentials, bool identity, const char *name) {
    for (size_t i = 0; i < credentials->count; i++)
        if (credentials->kept[i].identity == identity && strcmp(credentials->kept[i].name, name) == 0)
            return &credentials->kept[i];
    return NULL;
}

// True when there is one that stays good for `early` seconds more.
static bool look_up(struct credentials *credentials, bool identity, const char *name, int64_t early,
                    struct secret *ret_token) {
    pthread_mutex_lock(&credentials->mutex);
    const struct kept *kept = find_kept(credentials, identity, name);
    bool good = kept && kept->bearer.expires - early > clock_unix();
    if (good)
        secret_set(ret_token, kept->bearer.value.value);
    pthread_mutex_unlock(&credentials->mutex);
    return good;
}

// Takes the bearer over.
static void keep(struct credentials *credentials, bool identity, const char *name, struct bearer bearer) {
    pthread_mutex_lock(&credentials->mutex);
    struct kept *kept = find_kept(credentials, identity, name);
    if (!kept && credentials->count < KEPT_MAX) {
        kept = &credentials->kept[credentials->count++];
        kept->name = memory_string(name);
    } else if (!kept) { // more scopes and audiences than anybody has: the oldest gives way
        kept = &credentials->kept[credentials->oldest];
        credentials->oldest = (credentials->oldest + 1) % KEPT_MAX;
        free(kept->name);
        kept->name = memory_string(name);
    }
    kept->identity = identity;
    bearer_done(&kept->bearer);
    kept->bearer = bearer;
    pthread_mutex_unlock(&credentials->mutex);
}

static bool fetch(struct credentials *credentials, bool identity, const char *name, struct bearer *ret_bearer,
                  struct error *err) {
    const struct bearer_source *source = &credentials->source;
    if (source->self)
        return identity ? source->identity(source->self, name, ret_bearer, err)
                        : source->access(source->self, name, ret_bearer, err);
    bool done = identity ? metadata_id_token(credentials->metadata, name, ret_bearer, err)
                         : metadata_access_token(credentials->metadata, name, ret_bearer, err);
    if (!done && err->code == ERROR_CREDENTIALS_MISSING)
        return error_wrap(err, "neither %s nor GOOGLE_APPLICATION_CREDENTIALS is set, and this is not Google Cloud",
                          identity ? "PAWL_ID_TOKEN" : "PAWL_ACCESS_TOKEN");
    return done;
}

static bool get_token(struct credentials *credentials, bool identity, const char *name, struct secret *ret_token,
                      struct error *err) {
    struct secret token = {0};
    struct bearer bearer;
    bool done = look_up(credentials, identity, name, EARLY_S, &token);
    if (!done) {
        pthread_mutex_lock(&credentials->fetching);
        done = look_up(credentials, identity, name, EARLY_S, &token); // somebody else may just have fetched it
        if (!done && fetch(credentials, identity, name, &bearer, err)) {
            secret_set(&token, bearer.value.value);
            keep(credentials, identity, name, bearer);
            done = true;
        }
        pthread_mutex_unlock(&credentials->fetching);
    }
    done = done || look_up(credentials, identity, name, 0, &token); // old, and better than none
    if (done)
        *ret_token = token;
    return done;
}

static bool copy_given(const struct secret *given, struct secret *ret_token) {
    *ret_token = (struct secret){0};
    secret_set(ret_token, given->value);
    return true;
}

bool credentials_access_token(struct credentials *credentials, const char *scope, struct secret *ret_token,
                              struct error *err) {
    if (credentials->access_token.value)
        return copy_given(&credentials->access_token, ret_token);
    return get_token(credentials, false, scope, ret_token, err);
}

bool credentials_id_token(struct credentials *credentials, const char *audience, struct secret *ret_token,
                          struct error *err) {
    if (credentials->id_token.value)
        return copy_given(&credentials->id_token, ret_token);
    return get_token(credentials, true, audience, ret_token, err);
}

bool credentials_project(struct credentials *credentials, struct arena *arena, const char **ret_project,
                         struct error *err) {
    if (credentials->project) {
        *ret_project = arena_string(arena, credentials->project);
        return true;
    }
    if (credentials->source.self) // federation and a person's login belong to no project
        return error_set(err, ERROR_CREDENTIALS_MISSING, "the credentials do not say which project is meant");
    pthread_mutex_lock(&credentials->fetching); // the metadata room is not thread-safe
    bool done = metadata_project(credentials->metadata, arena, ret_project, err);
    pthread_mutex_unlock(&credentials->fetching);
    return done;
}

bool credentials_email(struct credentials *credentials, struct arena *arena, const char **ret_email,
                       struct error *err) {
    bool given = credentials->access_token.value != NULL;
    if (!given && credentials->email) {
        *ret_email = arena_string(arena, credentials->email);
        return true;
    }
    if (given || credentials->source.self)
        return error_set(err, ERROR_CREDENTIALS_MISSING,
                         "the credentials do not say which service account they are of");
    pthread_mutex_lock(&credentials->fetching); // the metadata room is not thread-safe
    bool done = metadata_email(credentials->metadata, arena, ret_email, err);
    pthread_mutex_unlock(&credentials->fetching);
    return done;
}

struct caller *credentials_caller(struct credentials *credentials) {
    return credentials->caller;
}
