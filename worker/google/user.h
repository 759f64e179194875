// Tokens of a person, from what `gcloud auth application-default login` leaves (`"type": "authorized_user"`): for a developer's machine.
#pragma once
#include "google/bearer.h"
#include "google/call.h"

// `file`: the parsed file; it is not needed afterwards. `caller` is borrowed. Errors: ERROR_CONFIGURATION.
bool user_open(struct caller *caller, const struct json *file, struct bearer_source *ret_source, struct error *err);
