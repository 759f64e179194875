// The members of a token's JSON that every issuer writes alike, and the rules about them: RFC 7519 §4.1, RFC 8725. Pure. What an
// issuer adds of its own is left to the room of that issuer's tokens (token.c, proof.c).
// Errors: ERROR_TOKEN_..., with messages for the operator's log; a claim's value appears there cut and harmless.
#pragma once
#include "base/error.h"
#include "base/text.h"

struct json; // base/json.h

// "AUD" beside "aud" is not a duplicate, but some parser upstream may have taken it for ours. `names` is NULL-terminated.
bool claims_no_twins(const struct json *object, const char *const *names, enum error_code code, struct error *err);
// A string of 1 to `size` - 1 bytes; points into the JSON.
bool claims_string(const struct json *claims, const char *name, size_t size, struct view *ret_value, struct error *err);

struct claims_times { // NumericDate: Unix seconds, perhaps with a fraction
    double issued_at, expires_at, not_before;
};
bool claims_times(const struct json *claims, struct claims_times *ret_times, struct error *err);
// `now_s` in Unix seconds; a skew above five minutes counts as five.
bool claims_check_times(const struct claims_times *times, unsigned skew_s, int64_t now_s, struct error *err);
bool claims_check_issuer(struct view issuer, const char *const *issuers, struct error *err);
bool claims_check_audience(struct view audience, const char *const *audiences, struct error *err);

// Whether the value is, byte for byte, a member of the NULL-terminated list; NULL has no members.
bool claims_is_listed(struct view value, const char *const *list);
// A claim's value for an operator to read: cut, and without a byte that could mislead a terminal or a log.
struct claims_shown {
    char text[128];
};
struct claims_shown claims_show(struct view value);
