// One thread, blocking sockets. See stub.h.
#include "stub.h"

#include "base/arena.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QUEUE = 64, SEEN = 64, BODY_MAX = 1 << 20, ANSWER_MAX = 48 << 20 };

struct answer {
    int status;
    struct text fields, body;
};
struct stub {
    int listener;
    char host[32], url[64];
    pthread_t thread;

    pthread_mutex_t mutex; // guards what follows
    struct answer answers[QUEUE];
    size_t first, count; // queued answers; the last one stays
    struct stub_request seen[SEEN];
    size_t seen_count;
};

static void must(bool done, const char *what) {
    if (done)
        return;
    perror(what);
    abort();
}

// ---- the server's thread ---------------------------------------------------------------------------------------------

static size_t length_of(const struct text *head) {
    const char *field = strcasestr(text_string(head), "\r\nContent-Length: ");
    uint64_t length = 0;
    if (field) {
        field += strlen("\r\nContent-Length: ");
        must(text_to_u64((struct view){field, strspn(field, "0123456789")}, BODY_MAX, &length), "length");
    }
    return (size_t)length;
}

static bool read_request(int peer, struct stub_request *request) {
    char byte;
    while (!strstr(text_string(&request->head), "\r\n\r\n")) {
        if (recv(peer, &byte, 1, 0) != 1)
            return false;
        text_append_char(&request->head, byte);
    }
    text_copy(request->line, sizeof(request->line),
              (struct view){request->head.data, strcspn(request->head.data, "\r")});
    for (size_t left = length_of(&request->head); left > 0; left--) {
        if (recv(peer, &byte, 1, 0) != 1)
            return false;
        text_append_char(&request->body, byte);
    }
    return true;
}

static void send_all(int peer, const struct text *bytes) {
    for (size_t at = 0; at < bytes->length;) {
        ssize_t sent = send(peer, bytes->data + at, bytes->length - at, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at += (size_t)sent;
    }
}

static void take_answer(struct stub *stub, struct text *out) {
    must(stub->count > 0, "an answer for this request");
    const struct answer *answer = &stub->answers[stub->first];
    if (stub->count > 1) {
        stub->first++;
        stub->count--;
    }
    if (answer->status == 0)
        return;
    text_printf(out, "HTTP/1.1 %d Status\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n", answer->status,
                text_string(&answer->fields), answer->body.length);
    text_append(out, text_string(&answer->body));
}

static void converse(struct stub *stub, int peer) {
    cleanup_text struct text bytes = TEXT(ANSWER_MAX);
    struct stub_request request = {.head = TEXT(65536), .body = TEXT(BODY_MAX)};
    if (!read_request(peer, &request)) {
        text_done(&request.head);
        text_done(&request.body);
        return;
    }
    pthread_mutex_lock(&stub->mutex);
    must(stub->seen_count < SEEN, "room for the request");
    stub->seen[stub->seen_count++] = request;
    take_answer(stub, &bytes);
    pthread_mutex_unlock(&stub->mutex);
    send_all(peer, &bytes);
}

static void *serve(void *context) {
    struct stub *stub = context;
    for (int peer; (peer = accept(stub->listener, NULL, NULL)) >= 0;) {
        converse(stub, peer);
        (void)shutdown(peer, SHUT_WR);
        (void)close(peer);
    }
    return NULL;
}

// ---- the test's side -------------------------------------------------------------------------------------------------

struct stub *stub_new(void) {
    struct stub *stub = memory_alloc(sizeof(*stub));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    stub->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(stub->listener >= 0, "socket");
    must(bind(stub->listener, (struct sockaddr *)&address, size) == 0 && listen(stub->listener, 64) == 0, "listen");
    must(getsockname(stub->listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    int length = snprintf(stub->host, sizeof(stub->host), "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    must(length > 0 && (size_t)length < sizeof(stub->host), "host");
    length = snprintf(stub->url, sizeof(stub->url), "http://%s", stub->host);
    must(length > 0 && (size_t)length < sizeof(stub->url), "url");
    must(pthread_mutex_init(&stub->mutex, NULL) == 0, "mutex");
    must(pthread_create(&stub->thread, NULL, serve, stub) == 0, "thread");
    return stub;
}

void stub_forget(struct stub *stub) {
    pthread_mutex_lock(&stub->mutex);
    for (size_t i = 0; i < QUEUE; i++) {
        text_done(&stub->answers[i].fields);
        text_done(&stub->answers[i].body);
    }
    for (size_t i = 0; i < stub->seen_count; i++) {
        text_done(&stub->seen[i].head);
        text_done(&stub->seen[i].body);
    }
    stub->first = stub->count = stub->seen_count = 0;
    pthread_mutex_unlock(&stub->mutex);
}

void stub_free(struct stub *stub) {
    (void)shutdown(stub->listener, SHUT_RDWR); // wakes accept()
    must(pthread_join(stub->thread, NULL) == 0, "join");
    (void)close(stub->listener);
    stub_forget(stub);
    (void)pthread_mutex_destroy(&stub->mutex);
    free(stub);
}

const char *stub_host(const struct stub *stub) {
    return stub->host;
}

const char *stub_url(const struct stub *stub) {
    return stub->url;
}

void stub_answer(struct stub *stub, int status, const char *fields, const char *body) {
    pthread_mutex_lock(&stub->mutex);
    size_t place = stub->first + stub->count;
    must(place < QUEUE, "room for the answer");
    struct answer *answer = &stub->answers[place];
    *answer = (struct answer){.status = status, .fields = TEXT(4096), .body = TEXT(ANSWER_MAX - 8192)};
    text_append(&answer->fields, fields);
    text_append(&answer->body, body);
    stub->count++;
    pthread_mutex_unlock(&stub->mutex);
}

size_t stub_count(struct stub *stub) {
    pthread_mutex_lock(&stub->mutex);
    size_t count = stub->seen_count;
    pthread_mutex_unlock(&stub->mutex);
    return count;
}

const struct stub_request *stub_seen(struct stub *stub, size_t number) {
    must(number < stub_count(stub), "that request");
    return &stub->seen[number];
}
