// HTTP requests through libcurl: https only unless the caller was given a loopback override, no redirects, peer and host verified
// against a hashed directory (SSL_CERT_DIR, else /etc/ssl/certs: loading the bundle file instead costs 70 ms each time), a total
// time limit, bounded head and body, nothing compressed. Only client.c sees libcurl.
#pragma once
#include "base/error.h"
#include "base/text.h"
#include <stdatomic.h>

struct client; // one transfer at a time, kept for its connections; not thread-safe

struct client_request {
    const char *method; // NULL = GET
    const char *url;
    const char *const *headers; // "Name: value", NULL-terminated; may be NULL
    struct view body;           // sent when data is not NULL
    size_t body_max;            // of the answer; 0 = 256 KiB
    unsigned timeout_ms;        // total; 0 = 10 s
    bool allow_http;            // plain http, for loopback and the metadata server
    bool allow_emulator;        // plain http to any host: for an emulator, and never with a secret
    const char *wanted_field;   // one more field of the answer's head to hand out; may be NULL
    const atomic_bool *stop;    // becomes true: it ends with ERROR_SHUTTING_DOWN; may be NULL
};
struct client_answer {
    long status;
    struct text body;
    char cache_control[256]; // "" when absent
    char age[32];
    char content_type[128];
    char wanted[128]; // the value of `wanted_field`
};
// Errors: ERROR_INTERNAL.
bool client_new(struct client **ret_client, struct error *err);
void client_free(struct client *client);
static inline void client_cleanup(struct client **client) {
    client_free(*client);
}
#define cleanup_client __attribute__((cleanup(client_cleanup)))
// Whether client_fetch() would go there: https to any host, or http (when allowed) to loopback and the metadata server; no user
// name, no password, no fragment. For checking a setting at start. Errors: ERROR_CONFIGURATION, with the reason but not the URL.
bool client_check_url(const char *url, bool allow_http, struct error *err);
// True when an HTTP answer of any status arrived whole; then client_answer_done() frees it. Errors:
// ERROR_KEYS_UNAVAILABLE (callers set their own code) with libcurl's reason and the URL's host, never a header;
// ERROR_SHUTTING_DOWN.
bool client_fetch(struct client *client, const struct client_request *request, struct client_answer *ret_answer,
                  struct error *err);
void client_answer_done(struct client_answer *answer);
