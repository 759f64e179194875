// Tokens by workload identity federation (`"type": "external_account"`): a token of the place where we run (GitHub Actions, say), from a
// URL or a file, is exchanged at Google's security token service (RFC 8693). No long-lived key anywhere. Where the file asks for it, the
// result impersonates a service account (impersonation.h). https://google.aip.dev/auth/4117
#pragma once
#include "google/bearer.h"
#include "google/call.h"

// `file`: the parsed file; it is not needed afterwards. `caller` is borrowed. Sources other than url and file (AWS, executables) are
// refused. Errors: ERROR_CONFIGURATION.
bool federation_open(struct caller *caller, const struct json *file, struct bearer_source *ret_source,
                     struct error *err);
