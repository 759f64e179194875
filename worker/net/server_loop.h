// The event loop: descriptors with what is awaited from them, and one deadline each. Only server_loop.c sees libevent. All of it
// belongs to one thread; other threads knock at a descriptor (server.c has one for that).
#pragma once
#include <stdbool.h>

struct server_loop;
struct server_watch;

enum {
    SERVER_READ = 1,
    SERVER_WRITE = 2,
    SERVER_HANGUP =
        4, // the peer has closed, half-closed or reset; unread data do not matter. Not together with the others
    SERVER_LATE = 8, // the deadline has passed (it is off then)
};
// Exactly one of the four in `what`. May free the watch.
typedef void server_watch_callback(void *context, unsigned what);

struct server_loop *server_loop_new(void); // NULL when the system has no epoll descriptor left
void server_loop_free(struct server_loop *loop);
bool server_loop_run(struct server_loop *loop); // until server_loop_stop
void server_loop_stop(struct server_loop *loop);

// Awaits nothing at first. The descriptor stays the caller's, and must outlive the watch.
struct server_watch *server_watch_new(struct server_loop *loop, int fd, server_watch_callback *callback, void *context);
void server_watch_free(struct server_watch *watch); // NULL is fine
bool server_watch_for(struct server_watch *watch, unsigned interest);
bool server_watch_deadline(struct server_watch *watch, unsigned ms); // from now; 0 = none
