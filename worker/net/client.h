// HTTP requests through libcurl: https only unless the caller was given a loopback override, no redirects unless asked, peer and
// host verified against the hashed directory /etc/ssl/certs, a total time limit, bounded head and body. Only client.c sees libcurl.
#pragma once
#include "base/error.h"
#include "base/text.h"

struct client; // one easy handle, kept for its connections; not thread-safe

struct client_request {
    const char *method; // NULL = GET
    const char *url;
    const char *const *headers; // "Name: value", NULL-terminated; may be NULL
    struct view body;           // sent when data is not NULL
    size_t body_max;            // of the answer; 0 = 256 KiB
    unsigned timeout_ms;        // total; 0 = 10 s
    bool allow_http;            // plain http, for loopback and the metadata server
};
struct client_answer {
    long status;
    struct text body;
    char cache_control[256]; // "" when absent
    char age[32];
    char content_type[128];
};
bool client_new(struct client **ret_client, struct error *err);
void client_free(struct client *client);
static inline void client_cleanup(struct client **client) {
    client_free(*client);
}
#define cleanup_client __attribute__((cleanup(client_cleanup)))
// True when an HTTP answer of any status arrived whole. Errors: ERROR_KEYS_UNAVAILABLE (callers set their own code) with libcurl's
// reason and the URL's host, never a header.
bool client_fetch(struct client *client, const struct client_request *request, struct client_answer *ret_answer,
                  struct error *err);
void client_answer_done(struct client_answer *answer);
