// A tiny HTTP server on loopback inside the test: one request per connection, one connection at a time, and the answer's bytes
// are the test's own, so that they can be as wrong as a test wants.
#pragma once
#include "base/text.h"

struct origin;

struct origin *origin_new(void); // answers by hanging up until origin_answer() is called
void origin_free(struct origin *origin);
const char *origin_url(const struct origin *origin); // "http://127.0.0.1:PORT/keys"

// The bytes of all further answers; empty hangs up without a word.
void origin_answer_raw(struct origin *origin, struct view bytes);
// Status line ("200 OK"), more fields (each ending in \r\n) and Content-Length around a body.
void origin_answer(struct origin *origin, const char *status, const char *fields, struct view body);
// Send so many bytes, then one each `ms`.
void origin_drip(struct origin *origin, size_t after, unsigned ms);
// While held, requests are read and not answered.
void origin_hold(struct origin *origin);
void origin_let_go(struct origin *origin);

unsigned origin_requests(struct origin *origin);
void origin_wait(struct origin *origin, unsigned requests);     // until so many requests have arrived
void origin_last_head(struct origin *origin, struct text *out); // of the last request, as it came
