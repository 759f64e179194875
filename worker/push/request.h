// What a message asks for (design, "What a message may say"): from its data, a JSON object, or from its attributes. Pure.
// Whether the target exists, the release is here and the version is known is left to the corridor and the engine.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "push/envelope.h"

#define REQUEST_PROOF_MAX 8192 // bytes

enum request_action { REQUEST_MIGRATE, REQUEST_PLAN, REQUEST_ROLLBACK };

// Everything lives in the arena; NULL = not said. Strings are UTF-8 without control characters.
struct request {
    const char *target;  // [a-z0-9_-], 1 to 63
    const char *release; // 1 to 200 bytes
    const char *to;      // digits, at most 64, without leading zeros ("0" stays)
    const char *digest;  // SHA-256 of the migration set that was reviewed: 64 lower-case hexadecimal digits
    const char *reason;  // 1 to 500 bytes; an empty one counts as not said
    const char *proof;   // a signed token, as it came: secret until it has expired
    enum request_action action;
    unsigned steps;    // of a rollback: 1 to 1000, or 0 when `to` says where it ends; otherwise 0
    bool out_of_order; //
    // SHA-256, hexadecimal, of all that is said but the proof: a JSON object of strings with its keys in the order of bytes, without white
    // space, each value in its canonical spelling (`to` without leading zeros), with no other escapes than \" and \\. An empty message
    // is `{}`. A proof is made for one request by carrying this.
    char fingerprint[65];
};

// Errors: ERROR_REQUEST_UNSUPPORTED for a key or an action that a later version brings, ERROR_REQUEST_MALFORMED for an unknown key, a
// value that does not fit its key, a key that says one thing in data and another in the attributes, and data that is not a JSON
// object. Both name the key; neither shows a value.
bool request_read(const struct envelope *envelope, struct arena *arena, struct request *ret_request, struct error *err);
