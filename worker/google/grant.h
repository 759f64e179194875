// What the sources of tokens with a credentials file share: reading the file's members, and asking an OAuth token endpoint
// (RFC 6749 section 3.2) with a form.
#pragma once
#include "google/bearer.h"
#include "google/call.h"

#define GRANT_SCOPE_ALL "https://www.googleapis.com/auth/cloud-platform"
#define GRANT_URL_GOOGLE "https://oauth2.googleapis.com/token"

// The member `name` as a string of its own (free it, wiped by memory_wipe when it is secret). `fallback` stands in when it is
// absent; NULL: it must be there. Errors: ERROR_CONFIGURATION naming the member, never what it holds.
bool grant_member(const struct json *file, const char *name, const char *fallback, char **ret_string,
                  struct error *err);
// The same, for an address that a secret will be sent to: https, or http to loopback and the metadata server.
bool grant_url(const struct json *file, const char *name, const char *fallback, char **ret_url, struct error *err);

// Appends `&name=value`, encoded.
void grant_field(struct text *form, const char *name, const char *value);
// POSTs the form and reads the JSON answer. `what` says in messages who is asked. Errors: ERROR_CREDENTIALS_UNAVAILABLE, _REFUSED.
bool grant_ask(struct caller *caller, const char *what, const char *url, const struct text *form,
               struct json **ret_answer, struct error *err);
// Makes `call` ask for a token: its limits and the names of its failures.
void grant_limits(struct call *call);
