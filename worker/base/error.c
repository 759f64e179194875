// The one table of errors and the words around a message. Who reports an error, and where to, is left to the commands.
#include "base/error.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

struct row {
    enum error_class class;
    int status;
    const char *name, *meaning, *remedy;
};

static const struct row rows[ERROR_COUNT] = {
#define X(code, class_, status_, meaning_, remedy_)                                                                    \
    [ERROR_##code] = {CLASS_##class_, status_, #code, meaning_, remedy_},
#include "base/error.def"
#undef X
};

// An unknown code can only come from a mistake of ours, and is shown as such.
static const struct row *row_of(enum error_code code) {
    return &rows[(unsigned)code < ERROR_COUNT ? code : ERROR_INTERNAL];
}

// The arguments may point into `err` itself (a message set again under another code), so it is written last.
bool error_set_va(struct error *err, enum error_code code, const char *format, va_list arguments) {
    char message[2 * sizeof(err->message)];
    int length = vsnprintf(message, sizeof(message), format, arguments);
    if (length < 0)
        message[0] = '\0';
    *err = (struct error){.code = code};
    text_copy(err->message, sizeof(err->message), view_of(message));
    return false;
}

bool error_set(struct error *err, enum error_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error_set_va(err, code, format, arguments);
    va_end(arguments);
    return false;
}

bool error_wrap(struct error *err, const char *format, ...) {
    char context[sizeof(err->message)];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(context, sizeof(context), format, arguments);
    va_end(arguments);
    if (length < 0)
        return false;
    cleanup_text struct text message = TEXT(2 * sizeof(err->message));
    text_append(&message, context);
    text_append(&message, ": ");
    text_append(&message, err->message);
    text_copy(err->message, sizeof(err->message), view_of(text_string(&message)));
    return false;
}

enum error_class error_class(enum error_code code) {
    return row_of(code)->class;
}

int error_http_status(enum error_code code) {
    return row_of(code)->status;
}

int error_exit_code(enum error_code code) {
    switch (error_class(code)) {
    case CLASS_DONE:
        return 0;
    case CLASS_USAGE:
        return 2;
    case CLASS_RETRY:
        return 3;
    case CLASS_REFUSED:
    case CLASS_PERMANENT:
        break;
    }
    return 1;
}

const char *error_name(enum error_code code) {
    return row_of(code)->name;
}

enum error_code error_by_name(const char *name) {
    enum error_code code = ERROR_NONE + 1;
    while (code < ERROR_COUNT && strcmp(error_name(code), name) != 0)
        code++;
    return code;
}

const char *error_meaning(enum error_code code) {
    return row_of(code)->meaning;
}

const char *error_remedy(enum error_code code) {
    return row_of(code)->remedy;
}
