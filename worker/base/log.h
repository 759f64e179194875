// One event, one line, written by one write(2): JSON in the cloud (Cloud Logging's field names), human-readable on a terminal.
// Commands log, libraries return errors. The mode is set once at start; that is the only state here (the plan names it).
// Every string is escaped; a field is cut at 256 bytes (message and error texts at 2,048), a line at 8 KiB.
#pragma once
#include "base/error.h"
#include "base/text.h"

enum log_severity { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERROR, LOG_CRITICAL };
enum log_format { LOG_AUTO, LOG_JSON, LOG_TEXT }; // AUTO: text when stderr is a terminal, else JSON

// What all lines of one request share. Borrowed strings; any may be NULL.
struct log_context {
    const char *project; // for logging.googleapis.com/trace
    char trace[33];      // 32 hex, "" = none
    char span[17];       // 16 hex
    bool sampled;
    const char *message_id;
    const char *subscription;
    const char *target;
    const char *run;
    const char *release;
    unsigned delivery_attempt; // 0 = not said
};

struct log_field {
    const char *name;
    const char *string; // NULL: the number is meant; an empty one is left out
    int64_t number;
};
static inline const char *log_text(const char *text) { // NULL counts as empty
    return text ? text : "";
}
#define LOG_STRING(field, text) ((struct log_field){.name = (field), .string = log_text(text)})
#define LOG_NUMBER(field, value) ((struct log_field){.name = (field), .number = (value)})

void log_start(enum log_format format, enum log_severity least, int fd);
// X-Cloud-Trace-Context (HEX32/DECIMAL;o=1) or traceparent (W3C: 00-HEX32-HEX16-FLAGS); malformed headers are ignored.
void log_trace(struct log_context *context, struct view cloud_trace, struct view traceparent);
void log_fields(enum log_severity severity, const struct log_context *context, const struct log_field *fields,
                size_t count, const char *format, ...) __attribute__((format(printf, 5, 6)));
#define log_event(severity, context, ...) log_fields((severity), (context), NULL, 0, __VA_ARGS__)
// Code, class, file, line, statement, SQLSTATE, detail, hint and remedy as fields.
void log_failure(enum log_severity severity, const struct log_context *context, const struct error *err);
