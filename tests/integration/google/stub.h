// A tiny HTTP server on loopback inside the test that stands for Google's endpoints: answers are queued beforehand, requests are kept
// for looking at afterwards. One connection at a time, one request each.
#pragma once
#include "base/text.h"

struct stub;
struct stub_request {
    char line[2048];  // "GET /path HTTP/1.1"
    struct text head; // with the line
    struct text body;
};

struct stub *stub_new(void);
void stub_free(struct stub *stub);
const char *stub_host(const struct stub *stub); // "127.0.0.1:PORT"
const char *stub_url(const struct stub *stub);  // "http://127.0.0.1:PORT"

// Queues one answer; when the queue is empty, the last one is given again and again. Status 0 hangs up without a word. `fields`:
// more fields of the head, each ending in \r\n.
void stub_answer(struct stub *stub, int status, const char *fields, const char *body);
void stub_forget(struct stub *stub);  // what is queued, and the requests
size_t stub_count(struct stub *stub); // requests so far
// The request of that number, from 0; lives until stub_forget() or stub_free(). Fails the test when there is none.
const struct stub_request *stub_seen(struct stub *stub, size_t number);
