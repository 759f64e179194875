// Tokens by a service account's key file (`"type": "service_account"`): a JWT signed with the key is exchanged for an access token or an
// ID token (RFC 7523). The last resort: a key is a long-lived secret, and the metadata server or federation need none.
#pragma once
#include "google/bearer.h"
#include "google/call.h"

// `file`: the parsed key file; it is not needed afterwards. `caller` is borrowed. Errors: ERROR_CONFIGURATION.
bool account_open(struct caller *caller, const struct json *file, struct bearer_source *ret_source, struct error *err);
