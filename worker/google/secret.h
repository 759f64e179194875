// Secret Manager: the value behind "secret:projects/P/secrets/S/versions/V". The bytes are checked against the CRC-32C that comes with
// them. https://cloud.google.com/secret-manager/docs/reference/rest
#pragma once
#include "google/credentials.h"

#define SECRET_URL "https://secretmanager.googleapis.com"
#define SECRET_PREFIX "secret:"
#define SECRET_VALUE_MAX 65536 // bytes

// Does a setting's value name a secret instead of being one?
bool secret_is_reference(const char *value);
// Is the reference well-formed, and the endpoint one that is allowed? Asks nobody. Errors: ERROR_CONFIGURATION.
bool secret_check(const char *reference, const char *endpoint, struct error *err);
// The secret that `reference` ("secret:projects/P/secrets/S/versions/V", V a number, an alias or `latest`; regional ones with
// locations/L after the project) names, as text: white space at its end, which many tools leave, is taken off. `endpoint`:
// https, or http on loopback; NULL = SECRET_URL, or the region's. Errors: ERROR_CONFIGURATION when the name is malformed,
// ERROR_SECRET_UNAVAILABLE, ERROR_SECRET_REFUSED, and what credentials_access_token() says.
bool secret_fetch(const char *reference, const char *endpoint, struct credentials *credentials,
                  struct secret *ret_secret, struct error *err);
