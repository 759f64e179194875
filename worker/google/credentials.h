// Who we are at Google: "an access token for this scope", "an ID token for this audience", whatever the tokens come from. In this order:
// a token given by hand; a credentials file (a service account's key, workload identity federation, a person's login);
// the metadata server. Tokens are kept until 3 min 45 s before they run out, and while a new one cannot be had, to their end.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include <stdatomic.h>

#define SCOPE_CLOUD_PLATFORM "https://www.googleapis.com/auth/cloud-platform"
#define SCOPE_PUBSUB "https://www.googleapis.com/auth/pubsub"
#define SCOPE_SQL_LOGIN "https://www.googleapis.com/auth/sqlservice.login"

struct credentials_settings {            // borrowed for the time of the call; NULL = not set
    const char *access_token, *id_token; // PAWL_ACCESS_TOKEN, PAWL_ID_TOKEN
    const char *file;                    // GOOGLE_APPLICATION_CREDENTIALS
    const char *metadata_host;           // GCE_METADATA_HOST
    const atomic_bool *stop;             // see google/call.h; outlives the credentials
    bool in_cloud; // the metadata server has to be there (K_SERVICE is set): its silence is a matter for later
};

struct credentials; // thread-safe: a token that is kept never waits for one that is fetched
// Reads the file, but asks nobody yet. Errors: ERROR_CONFIGURATION.
bool credentials_new(const struct credentials_settings *settings, struct credentials **ret_credentials,
                     struct error *err);
void credentials_free(struct credentials *credentials); // NULL is fine
static inline void credentials_cleanup(struct credentials **credentials) {
    credentials_free(*credentials);
}
#define cleanup_credentials __attribute__((cleanup(credentials_cleanup)))

// `ret_token` is the caller's to wipe. Errors: ERROR_CREDENTIALS_MISSING, _REFUSED, _UNAVAILABLE, ERROR_CONFIGURATION, ERROR_SHUTTING_DOWN.
bool credentials_access_token(struct credentials *credentials, const char *scope, struct secret *ret_token,
                              struct error *err);
bool credentials_id_token(struct credentials *credentials, const char *audience, struct secret *ret_token,
                          struct error *err);
// The project: the credentials file's, else the metadata server's. Errors: the same.
bool credentials_project(struct credentials *credentials, struct arena *arena, const char **ret_project,
                         struct error *err);
// The service account's e-mail address, from where the tokens come from. Errors: the same; a person's login, plain federation and a token
// that was given by hand do not say it: ERROR_CREDENTIALS_MISSING.
bool credentials_email(struct credentials *credentials, struct arena *arena, const char **ret_email, struct error *err);
// The connections that tokens are asked for on, for other Google calls that need no room of their own. Borrowed.
struct caller *credentials_caller(struct credentials *credentials);
