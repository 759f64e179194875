// One connection through the proxy: two sockets, a way in each direction, and the fault that may strike it.
#pragma once
#include "base/text.h"
#include "frame.h"
#include "queue.h"

#include <poll.h>

enum side { CLIENT, SERVER }; // whose messages
enum fault {
    FAULT_NONE,
    FAULT_CUT,   // both sides see the connection end
    FAULT_GHOST, // the client sees it end; the server sees nothing until `linger_ms` are over
    FAULT_HOLE, // silence: neither side hears anything, not even from the other's kernel (over TCP); the server until `linger_ms`
    FAULT_KILL, // SIGKILL for the client's process (over a unix socket), then as FAULT_CUT
};
// What strikes, once, and when: at a message, counted over all connections, or when a connection was quiet for some time, because the
// server is busy with what it was asked. What came before it still gets through.
struct strike {
    enum fault fault;
    uint64_t quiet_us; // 0: at a message
    enum side side;
    uint64_t number; // of that side's message, from 1
    bool after;      // it still gets through
    uint64_t linger_ms;
};
struct plan {
    struct strike strike;
    uint64_t delay_us;    // in each direction
    bool log;             // remember the types of messages
    bool struck;          // the strike is used up
    uint64_t messages[2]; // so far, by side
    uint64_t lived_us;    // all connections that are over, in sum
    struct text types[2]; // with `log`: a character for each
};

struct way {
    int from, to; // sockets; they belong to the link
    struct queue queue;
    struct frame frame;
    bool reading;
};
struct link {
    struct link *next;
    struct plan *plan;
    int sockets[2];
    struct way ways[2]; // by whose messages they carry
    bool ending;        // once all is written, `fate` comes about
    enum fault fate;
    uint64_t born_us;
    uint64_t heard_us; // when the last bytes came
    uint64_t dies_us;  // UINT64_MAX, or when the server's side is closed
    bool silent;       // a black hole
};
// Takes both sockets.
struct link *link_new(struct plan *plan, int client, int server);
// Which events it waits for, and until when at the latest; `fds` in the order of enum side.
void link_wants(const struct link *link, struct pollfd fds[static 2], uint64_t *until_us);
// Does what can be done. False: it is over, free it.
bool link_work(struct link *link, const struct pollfd fds[static 2]);
void link_free(struct link *link);
