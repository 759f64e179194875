// Failures that a test asked for: requests whose path begins so are delayed, answered with a status and body, or both.
#pragma once
#include "base/json.h"
#include "refusal.h"

struct arena;
struct fault {
    char *path;
    char *body;               // NULL: one of ours
    int status;               // 0: delayed only
    unsigned delay_ms, times; // times 0: until cleared
    struct fault *next;
};
// {"path": "/oauth2/v3/certs", "status": 500, "delay_ms": 200, "times": 2, "body": "..."}
bool fault_add(struct fault **faults, const struct json *wish, struct refusal *refusal);
// The fault that strikes this request, copied to the arena; NULL = none.
const struct fault *fault_take(struct fault **faults, const char *path, struct arena *arena);
void faults_clear(struct fault **faults);
