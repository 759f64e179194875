// The window of commands under way.
#include "migrate/stream.h"

static struct flight pop(struct stream *stream) {
    struct flight flight = stream->flights[stream->first];
    stream->first = (stream->first + 1) % FLIGHTS_MAX;
    stream->count--;
    stream->bytes -= flight.bytes;
    return flight;
}

static bool take_one(struct stream *stream, struct error *err) {
    struct flight flight = pop(stream);
    bool wanted = flight.kind == FLIGHT_CLOSE || flight.kind == FLIGHT_COMMIT;
    cleanup_rows struct postgres_rows *rows = NULL;
    enum postgres_answer answer = postgres_receive(stream->postgres, wanted ? &rows : NULL, err);
    if (answer == (flight.kind == FLIGHT_SYNC ? POSTGRES_SYNCED : POSTGRES_DONE))
        return stream->landed(stream->context, &flight, rows, err);
    if (answer != POSTGRES_REFUSED && answer != POSTGRES_BROKEN) {
        error_set(err, ERROR_INTERNAL, "an answer of another kind than expected");
        answer = POSTGRES_BROKEN;
    }
    stream->failed = true;
    stream->broken = answer == POSTGRES_BROKEN;
    stream->failure = flight;
    if (flight.kind == FLIGHT_SYNC) // the commit that it stands for failed; the sync itself is still to come
        stream_sent(stream, flight);
    return false;
}

bool stream_room(struct stream *stream, struct error *err) {
    while (stream->count > FLIGHTS_MAX - FLIGHTS_ROOM || (stream->count > 0 && stream->bytes >= FLIGHT_BYTES_MAX))
        if (!take_one(stream, err))
            return false;
    return true;
}

void stream_sent(struct stream *stream, struct flight flight) {
    stream->flights[(stream->first + stream->count++) % FLIGHTS_MAX] = flight;
    stream->bytes += flight.bytes;
}

bool stream_drain(struct stream *stream, struct error *err) {
    if (!stream_room(stream, err) || !postgres_sync(stream->postgres, err))
        return false;
    stream_sent(stream, (struct flight){.kind = FLIGHT_SYNC});
    while (stream->count > 0)
        if (!take_one(stream, err))
            return false;
    return true;
}

bool stream_settle(struct stream *stream) {
    struct error ignored = {0};
    bool synced = false;
    for (size_t i = 0; i < stream->count; i++)
        synced = synced || stream->flights[(stream->first + i) % FLIGHTS_MAX].kind == FLIGHT_SYNC;
    postgres_uncancel(stream->postgres);
    if (!stream->broken && !synced)
        stream->broken = !postgres_sync(stream->postgres, &ignored);
    size_t left = stream->count + !synced;
    for (size_t i = 0; i < left && !stream->broken; i++)
        stream->broken = postgres_receive(stream->postgres, NULL, &ignored) == POSTGRES_BROKEN;
    stream->first = stream->count = stream->bytes = 0;
    stream->failed = false;
    return !stream->broken && postgres_execute(stream->postgres, "ROLLBACK", NULL, 0, &ignored);
}
