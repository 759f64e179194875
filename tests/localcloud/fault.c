// A list of faults, newest first.
#include "fault.h"
#include "base/arena.h"
#include <stdlib.h>
#include <string.h>

static void fault_free(struct fault *fault) {
    free(fault->path);
    free(fault->body);
    free(fault);
}

bool fault_add(struct fault **faults, const struct json *wish, struct refusal *refusal) {
    int64_t status = 0, delay = 0, times = 0;
    struct view path, body;
    const struct json *status_json = json_get(wish, "status"), *delay_json = json_get(wish, "delay_ms");
    const struct json *times_json = json_get(wish, "times"), *body_json = json_get(wish, "body");
    if (!json_string(json_get(wish, "path"), &path) || !path.length)
        return refuse(refusal, INVALID_ARGUMENT, "path says which requests are to fail.");
    if ((status_json && !json_integer(status_json, 200, 599, &status)) ||
        (delay_json && !json_integer(delay_json, 0, 600000, &delay)) ||
        (times_json && !json_integer(times_json, 0, 1000000, &times)) || (body_json && !json_string(body_json, &body)))
        return refuse(refusal, INVALID_ARGUMENT,
                      "status is 200..599, delay_ms 0..600000, times a number, body a string.");
    struct fault *fault = memory_alloc(sizeof *fault);
    fault->path = memory_string(path.data);
    fault->body = body_json ? memory_string(body.data) : NULL;
    fault->status = (int)status;
    fault->delay_ms = (unsigned)delay;
    fault->times = (unsigned)times;
    fault->next = *faults;
    *faults = fault;
    return true;
}

const struct fault *fault_take(struct fault **faults, const char *path, struct arena *arena) {
    struct fault **place = faults;
    while (*place && strncmp(path, (*place)->path, strlen((*place)->path)) != 0)
        place = &(*place)->next;
    struct fault *fault = *place;
    if (!fault)
        return NULL;
    struct fault *copy = arena_alloc(arena, sizeof *copy);
    *copy =
        (struct fault){.body = arena_string(arena, fault->body), .status = fault->status, .delay_ms = fault->delay_ms};
    if (fault->times && --fault->times == 0) {
        *place = fault->next;
        fault_free(fault);
    }
    return copy;
}

void faults_clear(struct fault **faults) {
    for (struct fault *next; *faults; *faults = next) {
        next = (*faults)->next;
        fault_free(*faults);
    }
}
