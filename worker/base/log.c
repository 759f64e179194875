// One event, one line, one write. What is worth a line is left to the commands.
// Fields: Cloud Logging "structured logging" (special fields) and Error Reporting's ReportedErrorEvent.
#include "base/log.h"

#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIELD_MAX = 256, MESSAGE_MAX = 2048, LINE_MAX_BYTES = 8192, CLOSING = 32 };

static const struct {
    const char *name, *word, *colour;
} severities[] = {
    [LOG_DEBUG] = {"DEBUG", "debug", "\033[2m"},     [LOG_INFO] = {"INFO", "info", "\033[36m"},
    [LOG_NOTICE] = {"NOTICE", "notice", "\033[32m"}, [LOG_WARNING] = {"WARNING", "warning", "\033[33m"},
    [LOG_ERROR] = {"ERROR", "error", "\033[1;31m"},  [LOG_CRITICAL] = {"CRITICAL", "critical", "\033[1;31m"},
};

// Set once at start, read-only after: the one piece of global state in the worker.
static struct {
    bool json, colour;
    enum log_severity least;
    int fd;
    const char *service, *revision; // Cloud Run's names for us, borrowed from the environment
} mode = {.json = true, .least = LOG_INFO, .fd = STDERR_FILENO, .service = "pawl"};

void log_start(enum log_format format, enum log_severity least, int fd) {
    bool terminal = isatty(fd);
    const char *service = getenv("K_SERVICE");
    mode.json = format == LOG_JSON || (format == LOG_AUTO && !terminal);
    mode.colour = terminal && !getenv("NO_COLOR");
    mode.least = least;
    mode.fd = fd;
    mode.service = service ? service : "pawl";
    mode.revision = getenv("K_REVISION");
}

// ---- the trace ------------------------------------------------------------------------------------------------------

// Lower-case hex of exactly `count` digits, not all of them 0.
static bool copy_hex(struct view text, size_t count, char *destination) {
    bool zero = true;
    if (text.length != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        char c = text.data[i];
        if (c >= 'A' && c <= 'F')
            c = (char)(c - 'A' + 'a');
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero = zero && c == '0';
        destination[i] = c;
    }
    destination[count] = '\0';
    return !zero;
}

// HEX32/DECIMAL, HEX32/DECIMAL;o=1
static bool read_cloud_trace(struct view header, struct log_context *trace) {
    uint64_t span;
    if (header.length < 34 || header.data[32] != '/' || !copy_hex((struct view){header.data, 32}, 32, trace->trace))
        return false;
    struct view rest = {header.data + 33, header.length - 33};
    if (rest.length > 4 && view_starts((struct view){rest.data + rest.length - 4, 4}, ";o=")) {
        char option = rest.data[rest.length - 1];
        if (option != '0' && option != '1')
            return false;
        trace->sampled = option == '1';
        rest.length -= 4;
    }
    if (!text_to_u64(rest, UINT64_MAX, &span))
        return false;
    if (span > 0)
        (void)snprintf(trace->span, sizeof(trace->span), "%016llx", (unsigned long long)span);
    return true;
}

// 00-HEX32-HEX16-FLAGS (W3C Trace Context, section 3.2)
static bool read_traceparent(struct view header, struct log_context *trace) {
    char flags[3];
    if (header.length != 55 || !view_starts(header, "00-") || header.data[35] != '-' || header.data[52] != '-' ||
        !copy_hex((struct view){header.data + 3, 32}, 32, trace->trace) ||
        !copy_hex((struct view){header.data + 36, 16}, 16, trace->span))
        return false;
    bool some = copy_hex((struct view){header.data + 53, 2}, 2, flags);
    if (!some && !view_is((struct view){header.data + 53, 2}, "00"))
        return false;
    trace->sampled = some && (flags[1] <= '9' ? flags[1] - '0' : flags[1] - 'a' + 10) % 2 == 1;
    return true;
}

void log_trace(struct log_context *context, struct view cloud_trace, struct view traceparent) {
    struct log_context first = {0}, second = {0};
    const struct log_context *found = NULL;
    if (read_cloud_trace(cloud_trace, &first))
        found = &first;
    else if (read_traceparent(traceparent, &second))
        found = &second;
    if (!found)
        return;
    (void)snprintf(context->trace, sizeof(context->trace), "%s", found->trace);
    (void)snprintf(context->span, sizeof(context->span), "%s", found->span);
    context->sampled = found->sampled;
}

// ---- a line ---------------------------------------------------------------------------------------------------------

// A line that is being written. A field that would not leave room for the closing is left out whole, and the line says so.
struct line {
    struct text text;
    struct json_writer writer;
    bool cut;
};

static void flush(struct line *line) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // a pipe keeps lines whole up to 4 KiB only
    const char *data = text_string(&line->text);
    size_t left = line->text.length;
    pthread_mutex_lock(&mutex);
    while (left > 0) {
        ssize_t written = write(mode.fd, data, left);
        if (written < 0 && errno == EAGAIN)
            (void)poll(&(struct pollfd){.fd = mode.fd, .events = POLLOUT}, 1, 1000);
        else if (written < 0 && errno != EINTR)
            break; // nobody is left to tell
        if (written > 0) {
            data += written;
            left -= (size_t)written;
        }
    }
    pthread_mutex_unlock(&mutex);
    text_done(&line->text);
}

static struct view limited(const char *string, size_t max, char *buffer) {
    text_copy(buffer, max + 1, view_of(string));
    return view_of(buffer);
}

// Words stand as they are in text mode; anything else is quoted, as JSON quotes it.
static bool is_word(struct view value) {
    for (size_t i = 0; i < value.length; i++) {
        if ((unsigned char)value.data[i] <= ' ' || value.data[i] == '"' || value.data[i] == '\\' ||
            value.data[i] == '=')
            return false;
    }
    return value.length > 0;
}

static void put_text(struct line *line, const char *name, struct view value, bool plain) {
    struct json_writer quoting = JSON_WRITER(&line->text);
    text_printf(&line->text, mode.colour ? "  \033[2m%s=\033[0m" : "  %s=", name);
    if (plain || is_word(value))
        text_append_view(&line->text, value);
    else
        json_put_view(&quoting, NULL, value);
}

static void put_json(struct line *line, const char *name, struct view value, bool plain) {
    if (plain)
        json_put_raw(&line->writer, name, value.data);
    else
        json_put_view(&line->writer, name, value);
}

// `plain`: a number or true, not a string. `value` is NUL-terminated.
static void put(struct line *line, const char *name, struct view value, bool plain) {
    size_t length = line->text.length;
    struct json_writer writer = line->writer;
    if (mode.json)
        put_json(line, name, value, plain);
    else
        put_text(line, name, value, plain);
    if (!line->text.full && line->text.length + CLOSING <= LINE_MAX_BYTES)
        return;
    text_cut(&line->text, length);
    line->writer = writer;
    line->cut = true;
}

static void put_string(struct line *line, const char *name, const char *value, size_t max) {
    char buffer[MESSAGE_MAX + 1];
    if (value && value[0])
        put(line, name, limited(value, max, buffer), false);
}

static void put_number(struct line *line, const char *name, int64_t value) {
    char buffer[32];
    (void)snprintf(buffer, sizeof(buffer), "%lld", (long long)value);
    put(line, name, view_of(buffer), true);
}

static void put_trace(struct line *line, const struct log_context *context) {
    char trace[FIELD_MAX];
    bool known = context->project && context->project[0];
    if (!context->trace[0])
        return;
    (void)snprintf(trace, sizeof(trace), "%s%.200s%s%s", known ? "projects/" : "", known ? context->project : "",
                   known ? "/traces/" : "", context->trace);
    put_string(line, "logging.googleapis.com/trace", trace, FIELD_MAX);
    put_string(line, "logging.googleapis.com/spanId", context->span, FIELD_MAX);
    if (context->sampled)
        put(line, "logging.googleapis.com/trace_sampled", VIEW("true"), true);
}

static void begin(struct line *line, enum log_severity severity, const struct log_context *context,
                  const char *message) {
    char time[32], buffer[MESSAGE_MAX + 1];
    clock_format(clock_unix_ms(), time);
    struct view limited_message = limited(message, MESSAGE_MAX, buffer);
    *line = (struct line){.text = TEXT(LINE_MAX_BYTES)};
    line->writer = JSON_WRITER(&line->text);
    if (mode.json) {
        json_begin_object(&line->writer, NULL);
        json_put_string(&line->writer, "severity", severities[severity].name);
        json_put_view(&line->writer, "message", limited_message);
        json_put_string(&line->writer, "time", time);
        if (context)
            put_trace(line, context);
    } else {
        text_printf(&line->text, "%.12s %s%-8s%s ", time + 11, mode.colour ? severities[severity].colour : "",
                    severities[severity].word, mode.colour ? "\033[0m" : "");
        text_append_view(&line->text, limited_message);
    }
    if (context) {
        put_string(line, "messageId", context->message_id, FIELD_MAX);
        put_string(line, "subscription", context->subscription, FIELD_MAX);
        put_string(line, "target", context->target, FIELD_MAX);
        put_string(line, "run", context->run, FIELD_MAX);
        put_string(line, "release", context->release, FIELD_MAX);
        if (context->delivery_attempt > 0)
            put_number(line, "deliveryAttempt", context->delivery_attempt);
    }
}

static void end(struct line *line) {
    if (mode.json) {
        if (line->cut)
            json_put_boolean(&line->writer, "truncated", true);
        json_end_object(&line->writer);
    } else if (line->cut) {
        text_append(&line->text, " ...");
    }
    text_append_char(&line->text, '\n');
    flush(line);
}

void log_fields(enum log_severity severity, const struct log_context *context, const struct log_field *fields,
                size_t count, const char *format, ...) {
    if (severity < mode.least)
        return;
    char message[MESSAGE_MAX + 8]; // a little more than is kept, so that the cut falls between characters
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(message, sizeof(message), format, arguments) < 0)
        message[0] = '\0';
    va_end(arguments);
    struct line line;
    begin(&line, severity, context, message);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].string)
            put_string(&line, fields[i].name, fields[i].string, FIELD_MAX);
        else
            put_number(&line, fields[i].name, fields[i].number);
    }
    end(&line);
}

// ---- a failure ------------------------------------------------------------------------------------------------------

// Error Reporting groups by the place reported; C has no stack that it could read.
static void put_report(struct line *line, const struct error *err) {
    char file[FIELD_MAX + 1];
    cleanup_text struct text service = TEXT(1024), place = TEXT(2048);
    struct json_writer writer = JSON_WRITER(&service);
    json_begin_object(&writer, NULL);
    json_put_view(&writer, "service", limited(mode.service, FIELD_MAX / 2, file));
    if (mode.revision)
        json_put_view(&writer, "version", limited(mode.revision, FIELD_MAX / 2, file));
    json_end_object(&writer);
    put_string(line, "@type", "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent",
               FIELD_MAX);
    put(line, "serviceContext", (struct view){text_string(&service), service.length}, true);
    if (!err->file[0])
        return;
    writer = JSON_WRITER(&place);
    json_begin_object(&writer, NULL);
    json_begin_object(&writer, "reportLocation");
    json_put_view(&writer, "filePath", limited(err->file, FIELD_MAX, file));
    if (err->line > 0)
        json_put_integer(&writer, "lineNumber", err->line);
    json_put_string(&writer, "functionName", error_name(err->code));
    json_end_object(&writer);
    json_end_object(&writer);
    put(line, "context", (struct view){text_string(&place), place.length}, true);
}

void log_failure(enum log_severity severity, const struct log_context *context, const struct error *err) {
    static const char *const classes[] = {
        [CLASS_DONE] = "done",   [CLASS_USAGE] = "usage",         [CLASS_REFUSED] = "refused",
        [CLASS_RETRY] = "retry", [CLASS_PERMANENT] = "permanent",
    };
    if (severity < mode.least)
        return;
    struct line line;
    begin(&line, severity, context, err->message);
    put_string(&line, "code", error_name(err->code), FIELD_MAX);
    put_string(&line, "class", classes[error_class(err->code)], FIELD_MAX);
    put_string(&line, "file", err->file, FIELD_MAX);
    if (err->line > 0)
        put_number(&line, "line", err->line);
    if (err->statement > 0)
        put_number(&line, "statement", err->statement);
    if (err->statements > 0)
        put_number(&line, "statements", err->statements);
    put_string(&line, "sqlstate", err->sqlstate, FIELD_MAX);
    put_string(&line, "remedy", error_remedy(err->code), FIELD_MAX);
    if (mode.json && severity >= LOG_ERROR)
        put_report(&line, err);
    put_string(&line, "detail", err->detail, MESSAGE_MAX);
    put_string(&line, "hint", err->hint, MESSAGE_MAX);
    end(&line);
}
