// Reads and judges what the claims of every issuer have in common. See claims.h.
#include "auth/claims.h"

#include "base/json.h"

#include <string.h>
#include <strings.h>

#define LIFETIME_MAX_S 3600 // what Google gives, and more than GitHub does; the skew comes on top
#define SKEW_MAX_S 300

// ---- reading -----------------------------------------------------------------------------------------------------------

bool claims_no_twins(const struct json *object, const char *const *names, enum error_code code, struct error *err) {
    for (const struct json *member = json_first(object); member != NULL; member = json_next(member))
        for (size_t i = 0; names[i] != NULL; i++)
            if (strcasecmp(json_name(member), names[i]) == 0 && strcmp(json_name(member), names[i]) != 0)
                return error_set(err, code, "the token has a member that differs from \"%s\" only in case", names[i]);
    return true;
}

bool claims_string(const struct json *claims, const char *name, size_t size, struct view *ret_value,
                   struct error *err) {
    struct view value;
    if (!json_string(json_get(claims, name), &value) || value.length == 0 || value.length >= size)
        return error_set(err, ERROR_TOKEN_CLAIMS, "the token's %s is not a string of 1 to %zu bytes", name, size - 1);
    *ret_value = value;
    return true;
}

// NumericDate (RFC 7519 §2): it may have a fraction; json_number() has refused what is not finite or 2^53 and beyond.
static bool take_date(const struct json *claims, const char *name, double *ret_date, struct error *err) {
    double date = 0;
    if (!json_number(json_get(claims, name), &date) || date < 0)
        return error_set(err, ERROR_TOKEN_CLAIMS, "the token's %s is not a number of seconds since 1970", name);
    *ret_date = date;
    return true;
}

bool claims_times(const struct json *claims, struct claims_times *ret_times, struct error *err) {
    struct claims_times times = {0};
    if (!take_date(claims, "exp", &times.expires_at, err) || !take_date(claims, "iat", &times.issued_at, err))
        return false;
    if (json_get(claims, "nbf") != NULL && !take_date(claims, "nbf", &times.not_before, err))
        return false;
    *ret_times = times;
    return true;
}

// ---- judging -----------------------------------------------------------------------------------------------------------

bool claims_check_times(const struct claims_times *times, unsigned skew_s, int64_t now_s, struct error *err) {
    double now = (double)now_s, skew = skew_s < SKEW_MAX_S ? skew_s : SKEW_MAX_S;
    double lifetime = times->expires_at - times->issued_at;
    if (lifetime <= 0)
        return error_set(err, ERROR_TOKEN_CLAIMS, "the token expires before it is issued");
    if (now >= times->expires_at + skew)
        return error_set(err, ERROR_TOKEN_EXPIRED, "the token expired %.0f s ago", now - times->expires_at);
    if (times->issued_at > now + skew)
        return error_set(err, ERROR_TOKEN_NOT_YET_VALID, "the token is dated %.0f s in the future (iat)",
                         times->issued_at - now);
    if (times->not_before > now + skew)
        return error_set(err, ERROR_TOKEN_NOT_YET_VALID, "the token becomes valid in %.0f s (nbf)",
                         times->not_before - now);
    // Never "iat too old": Pub/Sub's tokens are up to an hour old.
    if (lifetime > LIFETIME_MAX_S + skew)
        return error_set(err, ERROR_TOKEN_NOT_YET_VALID, "the token lives %.0f s, longer than an hour", lifetime);
    return true;
}

bool claims_is_listed(struct view value, const char *const *list) {
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        if (view_is(value, list[i]))
            return true;
    return false;
}

struct claims_shown claims_show(struct view value) {
    struct claims_shown shown;
    size_t room = sizeof shown.text - 4, length = value.length < room ? value.length : room;
    for (size_t i = 0; i < length; i++) {
        char c = value.data[i];
        shown.text[i] = c > ' ' && c < 127 && c != '"' && c != '\\' ? c : '?';
    }
    memcpy(shown.text + length, length < value.length ? "..." : "", length < value.length ? 4 : 1);
    return shown;
}

bool claims_check_issuer(struct view issuer, const char *const *issuers, struct error *err) {
    if (claims_is_listed(issuer, issuers))
        return true;
    return error_set(err, ERROR_TOKEN_ISSUER, "the token was issued by \"%s\"", claims_show(issuer).text);
}

bool claims_check_audience(struct view audience, const char *const *audiences, struct error *err) {
    if (claims_is_listed(audience, audiences))
        return true;
    const char *expected = audiences != NULL && audiences[0] != NULL ? audiences[0] : "";
    return error_set(err, ERROR_TOKEN_AUDIENCE, "the token is for audience \"%s\" and this worker expects \"%s\"%s",
                     claims_show(audience).text, claims_show(view_of(expected)).text,
                     expected[0] != '\0' && audiences[1] != NULL ? " (or another on its list)" : "");
}
