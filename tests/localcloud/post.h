// HTTP out: one POST to a plain-http loopback endpoint with a deadline. At the deadline the connection is hung up, as
// Pub/Sub does. Redirects are not followed. A final 1xx other than 100 counts as the answer's status, as it does for
// Pub/Sub (102 acknowledges).
#pragma once
#include "base/text.h"
#include "loop.h"

enum post_outcome { POST_ANSWERED, POST_BROKEN, POST_EXPIRED };
struct post_result {
    enum post_outcome outcome;
    int status;               // 0 unless answered
    struct view body;         // valid during the call
    const char *content_type; // NULL when absent
};
struct post_header {
    const char *name, *value;
};
struct post;
typedef void post_ends(void *context, const struct post_result *result);

bool post_endpoint_valid(const char *url); // http on 127.0.0.0/8, [::1] or localhost
// Copies what it is given. `ends` is called exactly once, never from inside post_start, unless the post is cut before.
struct post *post_start(struct loop *loop, const char *url, const struct post_header *headers, size_t count,
                        struct view body, uint64_t deadline_ms, post_ends *ends, void *context);
void post_cut(struct post *post); // hangs up; `ends` is not called
