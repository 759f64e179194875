// Who the worker is at a database: DATABASE_URL as it stands, or from Secret Manager, and Cloud SQL's IAM authentication on top of
// either. Decided anew for every connection; asks nobody before the first.
#pragma once
#include "google/credentials.h"
#include "migrate/run.h"

struct login; // thread-safe
struct login_settings {
    const char *url;                 // a connection string, or "secret:..."; copied
    bool iam;                        // an access token is the password
    const char *schema, *role;       // see struct run_login_source
    const char *secret_endpoint;     // NULL = Secret Manager's own; outlives the login
    struct credentials *credentials; // outlives the login; NULL where login_needs_credentials() says no
};
bool login_needs_credentials(const char *url, bool iam);
// Errors: ERROR_CONFIGURATION when the secret's name is malformed.
bool login_new(const struct login_settings *settings, struct login **ret_login, struct error *err);
void login_free(struct login *login); // NULL is fine
// Where the connections come from that this login opens; after it in the order of freeing.
struct run_database *login_database(struct login *login);
