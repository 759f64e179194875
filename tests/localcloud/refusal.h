// Why a request is refused, in Google's terms (google.rpc.Code and its HTTP status). What is refused is said once,
// where it is noticed.
#pragma once
#include "base/text.h"

enum refusal_status {
    INVALID_ARGUMENT,
    OUT_OF_RANGE,
    FAILED_PRECONDITION,
    NOT_FOUND,
    ALREADY_EXISTS,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    UNAVAILABLE,
    UNAUTHENTICATED,
};

struct refusal {
    enum refusal_status status;
    char message[512];
};

// Fills `refusal` and returns false.
bool refuse(struct refusal *refusal, enum refusal_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int refusal_http_status(enum refusal_status status);
// {"error":{"code":404,"message":"...","status":"NOT_FOUND"}}
void refusal_write(const struct refusal *refusal, struct text *out);
