// Tokens of a service account for whoever may impersonate it (roles/iam.serviceAccountTokenCreator): another source's access token is
// exchanged at the IAM Credentials API. https://cloud.google.com/iam/docs/reference/credentials/rest
#pragma once
#include "google/bearer.h"
#include "google/call.h"

// `url`: of generateAccessToken for the account. `inner` is taken over, also on failure; `caller` is borrowed. Errors: ERROR_CONFIGURATION.
bool impersonation_open(struct caller *caller, const char *url, struct bearer_source inner,
                        struct bearer_source *ret_source, struct error *err);
