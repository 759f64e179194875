// One thread, blocking sockets. What is asked for is never looked at.
#include "origin.h"

#include "base/arena.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX (8 * 1024 * 1024)
#define HEAD_MAX (64 * 1024)

struct origin {
    int listener;
    char url[64];
    pthread_t thread;

    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t changed;
    struct text answer, head;
    size_t drip_after;
    unsigned drip_ms, requests;
    bool held, closing;
};

static void must(bool done, const char *what) {
    if (done)
        return;
    perror(what);
    abort();
}

// ---- the server's thread ---------------------------------------------------------------------------------------------

// Up to the blank line; the tests send no bodies that matter.
static bool read_head(int peer, struct text *head) {
    char byte;
    while (recv(peer, &byte, 1, 0) == 1) {
        text_append_char(head, byte);
        if (head->length >= 4 && memcmp(head->data + head->length - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

static bool send_bytes(int peer, const char *data, size_t length) {
    while (length > 0) {
        ssize_t sent = send(peer, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        length -= (size_t)sent;
    }
    return true;
}

static void send_answer(int peer, struct view bytes, size_t drip_after, unsigned drip_ms) {
    size_t at_once = drip_ms == 0 || drip_after > bytes.length ? bytes.length : drip_after;
    if (!send_bytes(peer, bytes.data, at_once))
        return;
    for (size_t i = at_once; i < bytes.length && send_bytes(peer, bytes.data + i, 1); i++)
        clock_sleep_ms(drip_ms);
}

static void converse(struct origin *origin, int peer) {
    cleanup_text struct text head = TEXT(HEAD_MAX), answer = TEXT(ANSWER_MAX);
    if (!read_head(peer, &head))
        return;
    (void)pthread_mutex_lock(&origin->mutex);
    origin->requests++;
    text_clear(&origin->head);
    text_append_view(&origin->head, (struct view){text_string(&head), head.length});
    (void)pthread_cond_broadcast(&origin->changed);
    while (origin->held && !origin->closing)
        (void)pthread_cond_wait(&origin->changed, &origin->mutex);
    text_append_view(&answer, (struct view){text_string(&origin->answer), origin->answer.length});
    size_t drip_after = origin->drip_after;
    unsigned drip_ms = origin->drip_ms;
    (void)pthread_mutex_unlock(&origin->mutex);
    send_answer(peer, (struct view){text_string(&answer), answer.length}, drip_after, drip_ms);
}

static void *serve(void *context) {
    struct origin *origin = context;
    for (;;) {
        int peer = accept(origin->listener, NULL, NULL);
        if (peer < 0)
            return NULL; // shut down
        converse(origin, peer);
        (void)shutdown(peer, SHUT_WR);
        (void)close(peer);
    }
}

// ---- the test's side -------------------------------------------------------------------------------------------------

struct origin *origin_new(void) {
    struct origin *origin = memory_alloc(sizeof *origin);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    origin->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(origin->listener >= 0, "socket");
    must(bind(origin->listener, (struct sockaddr *)&address, size) == 0, "bind");
    must(listen(origin->listener, 64) == 0, "listen");
    must(getsockname(origin->listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    int length =
        snprintf(origin->url, sizeof origin->url, "http://127.0.0.1:%u/keys", (unsigned)ntohs(address.sin_port));
    must(length > 0 && (size_t)length < sizeof origin->url, "snprintf");
    origin->answer = TEXT(ANSWER_MAX);
    origin->head = TEXT(HEAD_MAX);
    must(pthread_mutex_init(&origin->mutex, NULL) == 0 && pthread_cond_init(&origin->changed, NULL) == 0, "pthread");
    must(pthread_create(&origin->thread, NULL, serve, origin) == 0, "pthread_create");
    return origin;
}

void origin_free(struct origin *origin) {
    (void)pthread_mutex_lock(&origin->mutex);
    origin->closing = true;
    (void)pthread_cond_broadcast(&origin->changed);
    (void)pthread_mutex_unlock(&origin->mutex);
    (void)shutdown(origin->listener, SHUT_RDWR); // wakes accept()
    must(pthread_join(origin->thread, NULL) == 0, "pthread_join");
    (void)close(origin->listener);
    (void)pthread_cond_destroy(&origin->changed);
    (void)pthread_mutex_destroy(&origin->mutex);
    text_done(&origin->answer);
    text_done(&origin->head);
    free(origin);
}

const char *origin_url(const struct origin *origin) {
    return origin->url;
}

void origin_answer_raw(struct origin *origin, struct view bytes) {
    (void)pthread_mutex_lock(&origin->mutex);
    text_clear(&origin->answer);
    text_append_view(&origin->answer, bytes);
    must(!origin->answer.full, "answer");
    (void)pthread_mutex_unlock(&origin->mutex);
}

void origin_answer(struct origin *origin, const char *status, const char *fields, struct view body) {
    cleanup_text struct text bytes = TEXT(ANSWER_MAX);
    text_printf(&bytes, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n", status, fields,
                body.length);
    text_append_view(&bytes, body);
    origin_answer_raw(origin, (struct view){bytes.data, bytes.length});
}

void origin_drip(struct origin *origin, size_t after, unsigned ms) {
    (void)pthread_mutex_lock(&origin->mutex);
    origin->drip_after = after;
    origin->drip_ms = ms;
    (void)pthread_mutex_unlock(&origin->mutex);
}

static void set_held(struct origin *origin, bool held) {
    (void)pthread_mutex_lock(&origin->mutex);
    origin->held = held;
    (void)pthread_cond_broadcast(&origin->changed);
    (void)pthread_mutex_unlock(&origin->mutex);
}

void origin_hold(struct origin *origin) {
    set_held(origin, true);
}

void origin_let_go(struct origin *origin) {
    set_held(origin, false);
}

unsigned origin_requests(struct origin *origin) {
    (void)pthread_mutex_lock(&origin->mutex);
    unsigned requests = origin->requests;
    (void)pthread_mutex_unlock(&origin->mutex);
    return requests;
}

void origin_wait(struct origin *origin, unsigned requests) {
    (void)pthread_mutex_lock(&origin->mutex);
    while (origin->requests < requests)
        (void)pthread_cond_wait(&origin->changed, &origin->mutex);
    (void)pthread_mutex_unlock(&origin->mutex);
}

void origin_last_head(struct origin *origin, struct text *out) {
    (void)pthread_mutex_lock(&origin->mutex);
    text_append_view(out, (struct view){text_string(&origin->head), origin->head.length});
    (void)pthread_mutex_unlock(&origin->mutex);
}
