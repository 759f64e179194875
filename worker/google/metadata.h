// The metadata server of a Google Cloud machine: tokens of its service account, its e-mail address, the project. Tokens are not kept
// here but in credentials.c. https://cloud.google.com/compute/docs/metadata; the numbers are those of Google's own library.
#pragma once
#include "base/arena.h"
#include "google/bearer.h"
#include "google/call.h"

#define METADATA_HOST "metadata.google.internal"

struct metadata;
// `host`: HOST or HOST:PORT (GCE_METADATA_HOST); NULL = METADATA_HOST. `expected`: it has to be there (this is Cloud Run), so that
// silence is ERROR_CREDENTIALS_UNAVAILABLE; otherwise silence means that this is some other machine: ERROR_CREDENTIALS_MISSING.
// Errors: ERROR_CONFIGURATION.
bool metadata_new(struct caller *caller, const char *host, bool expected, struct metadata **ret_metadata,
                  struct error *err);
void metadata_free(struct metadata *metadata); // NULL is fine

// All of them: ERROR_CREDENTIALS_MISSING, _UNAVAILABLE, _REFUSED (no service account here, say).
bool metadata_access_token(struct metadata *metadata, const char *scope, struct bearer *ret_bearer, struct error *err);
bool metadata_id_token(struct metadata *metadata, const char *audience, struct bearer *ret_bearer, struct error *err);
bool metadata_project(struct metadata *metadata, struct arena *arena, const char **ret_project, struct error *err);
bool metadata_email(struct metadata *metadata, struct arena *arena, const char **ret_email, struct error *err);
