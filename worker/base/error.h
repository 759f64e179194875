// One error type for the whole worker. A function that can fail returns bool, leaves its ret_ outputs untouched on failure,
// and takes `struct error *err` last (never NULL). The class, HTTP status and exit code belong to the code, in error.def, never
// to the place that raised it. Context is put in front on the way out, so that a message reads outside-in:
//   "cannot apply 0003_index.sql: line 4: relation "orders" does not exist".
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum error_code {
#define X(code, class, status, meaning, remedy) ERROR_##code,
#include "base/error.def"
#undef X
    ERROR_COUNT
};

enum error_class {
    CLASS_DONE,      // no error
    CLASS_USAGE,     // the command line or the configuration is wrong: exit 2
    CLASS_REFUSED,   // the HTTP request is not acceptable; nothing was looked at further
    CLASS_RETRY,     // the same request can succeed later: 503, exit 3
    CLASS_PERMANENT, // the same request will fail again until somebody changes something: 500, exit 1
};

// Lives on the caller's stack; owns nothing. Zero-initialise it: `struct error err = {0};`.
struct error {
    enum error_code code;
    char message[1024]; // one line, no secrets, UTF-8
    char file[256];     // the migration file, when there is one
    unsigned line;      // 1-based line in `file`; 0 = unknown
    unsigned statement; // 1-based statement in `file`; 0 = unknown
    unsigned statements;
    char sqlstate[6];  // PostgreSQL appendix A, "" when the server said nothing
    char detail[1024]; // PostgreSQL's DETAIL and HINT fields
    char hint[1024];
};

// Fills `err` and returns false, so that `return error_set(err, ERROR_X, "...")` reads well. Replaces what was there.
bool error_set(struct error *err, enum error_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool error_set_va(struct error *err, enum error_code code, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
// Puts "context: " in front of the message; returns false.
bool error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum error_class error_class(enum error_code code);
int error_http_status(enum error_code code);
int error_exit_code(enum error_code code);       // 0 done, 1 failed, 2 usage, 3 retry later
const char *error_name(enum error_code code);    // "LOCK_HELD"
enum error_code error_by_name(const char *name); // ERROR_COUNT when there is none of that name
const char *error_meaning(enum error_code code); // one sentence
const char *error_remedy(enum error_code code);  // what to do next
