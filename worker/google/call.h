// One call of a Google REST method, tried again where Google says that this is right: after 408, 429, 500, 502, 503, 504 and after
// a broken connection, with growing, jittered pauses, within a time that the caller gives. What is asked and what the
// answer means is left to the other rooms.
#pragma once
#include "base/json.h"
#include "net/client.h"

struct caller; // a few connections that are lent out: thread-safe
// `stop` becomes true: every call ends with ERROR_SHUTTING_DOWN; outlives the caller; may be NULL.
bool caller_new(const atomic_bool *stop, struct caller **ret_caller, struct error *err);
void caller_free(struct caller *caller); // NULL is fine; nothing may be in flight

struct call {
    const char *what; // stands in front of every message: "cannot publish to projects/p/topics/t"
    const char *url;
    const char *token;          // bearer; NULL = none
    const char *content_type;   // of the body; NULL = application/json
    struct view body;           // POST when data is not NULL, else GET
    const char *const *headers; // more of them, "Name: value", NULL-terminated, at most CALL_HEADERS_MAX; may be NULL
    const char *wanted_field;   // see net/client.h; may be NULL
    size_t answer_max;          // 0 = 256 KiB
    unsigned timeout_ms;        // of one try; 0 = 10 s
    unsigned budget_ms;         // of all tries with their pauses: no try begins later. 0 = one try
    unsigned tries;             // at most; 0 = as many as the budget has room for
    bool emulator;              // plain http to any host: never together with a token
    enum error_code unavailable, refused; // what a failure is called
};
#define CALL_HEADERS_MAX 16

// True when a 2xx answer arrived whole; then client_answer_done() frees it. Errors: `unavailable` when it stays a matter for later,
// `refused` with Google's status and message when it is not; ERROR_SHUTTING_DOWN.
bool call_send(struct caller *caller, const struct call *call, struct client_answer *ret_answer, struct error *err);
// The same, for an answer that is a JSON object. One that is not is an `unavailable`.
bool call_json(struct caller *caller, const struct call *call, struct json **ret_json, struct error *err);
