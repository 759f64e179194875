// The ring and its JSON.
#include "history.h"
#include "base/arena.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

#define RECORDS 10000
#define ANSWER_MAX 4096

void history_add(struct history *history, const struct history_record *record, struct view answer) {
    if (!history->records)
        history->records = memory_alloc(RECORDS * sizeof *history->records);
    size_t at = (history->oldest + history->count) % RECORDS;
    if (history->count == RECORDS) {
        free(history->records[at].answer);
        history->oldest = (history->oldest + 1) % RECORDS;
    } else {
        history->count++;
    }
    struct history_record *place = &history->records[at];
    *place = *record;
    size_t length = answer.length < ANSWER_MAX ? answer.length : ANSWER_MAX;
    place->answer = memory_alloc(length + 1);
    if (length)
        memcpy(place->answer, answer.data, length);
}

void history_write(const struct history *history, const char *message_id, struct json_writer *writer,
                   const char *name) {
    json_begin_array(writer, name);
    for (size_t i = 0; i < history->count; i++) {
        const struct history_record *record = &history->records[(history->oldest + i) % RECORDS];
        char time[32];
        if (message_id && strcmp(message_id, record->message_id) != 0)
            continue;
        clock_format(record->at_ms, time);
        json_begin_object(writer, NULL);
        json_put_string(writer, "messageId", record->message_id);
        json_put_integer(writer, "attempt", record->attempt);
        json_put_string(writer, "outcome", record->outcome);
        json_put_integer(writer, "status", record->status);
        json_put_integer(writer, "latencyMs", record->latency_ms);
        json_put_string(writer, "time", time);
        json_put_string(writer, "answer", record->answer);
        json_end_object(writer);
    }
    json_end_array(writer);
}

void history_done(struct history *history) {
    for (size_t i = 0; i < history->count; i++)
        free(history->records[(history->oldest + i) % RECORDS].answer);
    free(history->records);
    *history = (struct history){0};
}
