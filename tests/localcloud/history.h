// What became of each push of a subscription, for tests to look at: a ring that forgets the oldest.
#pragma once
#include "base/json.h"

struct history_record {
    char message_id[24];
    const char *outcome; // static: "acknowledged", "refused", "expired", "broken"
    unsigned attempt;
    int status;    // 0: none came
    int64_t at_ms; // Unix, when the push began
    unsigned latency_ms;
    char *answer; // what the endpoint said, cut; "" = nothing
};
struct history {
    struct history_record *records;
    size_t count, oldest;
};
void history_add(struct history *history, const struct history_record *record, struct view answer);
void history_write(const struct history *history, const char *message_id, struct json_writer *writer, const char *name);
void history_done(struct history *history);
