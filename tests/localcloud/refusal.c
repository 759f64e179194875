// Google's error shape: https://cloud.google.com/apis/design/errors.
#include "refusal.h"
#include "base/json.h"
#include <stdarg.h>
#include <stdio.h>

static const struct {
    int http;
    const char *name;
} statuses[] = {
    [INVALID_ARGUMENT] = {400, "INVALID_ARGUMENT"},
    [OUT_OF_RANGE] = {400, "OUT_OF_RANGE"},
    [FAILED_PRECONDITION] = {400, "FAILED_PRECONDITION"},
    [NOT_FOUND] = {404, "NOT_FOUND"},
    [ALREADY_EXISTS] = {409, "ALREADY_EXISTS"},
    [RESOURCE_EXHAUSTED] = {429, "RESOURCE_EXHAUSTED"},
    [UNIMPLEMENTED] = {501, "UNIMPLEMENTED"},
    [UNAVAILABLE] = {503, "UNAVAILABLE"},
    [UNAUTHENTICATED] = {401, "UNAUTHENTICATED"},
};

bool refuse(struct refusal *refusal, enum refusal_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(refusal->message, sizeof refusal->message, format, arguments);
    va_end(arguments);
    if (length < 0)
        refusal->message[0] = '\0';
    refusal->status = status;
    return false;
}

int refusal_http_status(enum refusal_status status) {
    return statuses[status].http;
}

void refusal_write(const struct refusal *refusal, struct text *out) {
    struct json_writer writer = JSON_WRITER(out);
    json_begin_object(&writer, NULL);
    json_begin_object(&writer, "error");
    json_put_integer(&writer, "code", statuses[refusal->status].http);
    json_put_string(&writer, "message", refusal->message);
    json_put_string(&writer, "status", statuses[refusal->status].name);
    json_end_object(&writer);
    json_end_object(&writer);
}
