// Reads, counts, waits, writes; and the faults. See link.h.
#include "link.h"

#include "base/arena.h"

#include <errno.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, QUEUE_MAX = 16 << 20 };

struct link *link_new(struct plan *plan, int client, int server) {
    struct link *link = memory_alloc(sizeof(*link));
    link->plan = plan;
    link->sockets[CLIENT] = client;
    link->sockets[SERVER] = server;
    link->ways[CLIENT] = (struct way){.from = client, .to = server, .reading = true};
    link->ways[SERVER] = (struct way){.from = server, .to = client, .reading = true, .frame.typed = true};
    link->born_us = link->heard_us = queue_now_us();
    link->dies_us = UINT64_MAX;
    return link;
}

void link_free(struct link *link) {
    link->plan->lived_us += queue_now_us() - link->born_us;
    for (int side = CLIENT; side <= SERVER; side++) {
        queue_clear(&link->ways[side].queue);
        if (link->sockets[side] >= 0)
            close(link->sockets[side]);
    }
    free(link);
}

// ---- faults ------------------------------------------------------------------------------------------------------------

static void end_with(struct link *link, enum fault fate) {
    link->ending = true;
    link->fate = fate;
    link->ways[CLIENT].reading = link->ways[SERVER].reading = false;
}

static void kill_client(const struct link *link) {
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    if (getsockopt(link->sockets[CLIENT], SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 1)
        (void)kill(peer.pid, SIGKILL);
}

static void strike(struct link *link) {
    link->plan->struck = true;
    printf("struck\n");
    (void)fflush(stdout);
    if (link->plan->strike.fault == FAULT_KILL)
        kill_client(link);
    end_with(link, link->plan->strike.fault);
}

// A filter that drops every segment before the kernel sees it: no acknowledgement, no answer to a keepalive. Unix sockets have no
// such thing; there, silence is all.
static void fall_silent(int fd) {
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &drop};
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static void drop_client(struct link *link) {
    queue_clear(&link->ways[SERVER].queue);
    close(link->sockets[CLIENT]);
    link->sockets[CLIENT] = link->ways[CLIENT].from = link->ways[SERVER].to = -1;
}

// All that was let through has been written. False: the link is over.
static bool come_about(struct link *link) {
    link->ending = false;
    link->dies_us = queue_now_us() + link->plan->strike.linger_ms * 1000;
    switch (link->fate) {
    case FAULT_GHOST:
        drop_client(link);
        link->ways[SERVER].reading = true; // and thrown away, so that the server never waits for room
        return true;
    case FAULT_HOLE:
        link->silent = true;
        fall_silent(link->sockets[CLIENT]);
        return true;
    case FAULT_NONE:
    case FAULT_CUT:
    case FAULT_KILL:
        break;
    }
    return false;
}

// ---- the way of the bytes ----------------------------------------------------------------------------------------------

static void count(struct plan *plan, enum side side, char type) {
    plan->messages[side]++;
    if (plan->log)
        text_append_char(&plan->types[side], type);
}

static bool strikes(const struct plan *plan, enum side side, bool after) {
    const struct strike *strike = &plan->strike;
    return strike->fault != FAULT_NONE && !strike->quiet_us && !plan->struck && strike->side == side &&
           strike->after == after && strike->number == plan->messages[side];
}

// Returns how many of the bytes get through.
static size_t carry(struct link *link, enum side side, const unsigned char *data, size_t length) {
    struct way *way = &link->ways[side];
    size_t done = 0;
    while (done < length) {
        size_t taken = 0;
        enum frame_event event = frame_step(&way->frame, data + done, length - done, &taken);
        done += taken;
        if (event == FRAME_BEGINS)
            count(link->plan, side, way->frame.type);
        else if (event == FRAME_ENDS && side == CLIENT && frame_asks_encryption(&way->frame))
            link->ways[SERVER].frame.bare = true;
        if (event != FRAME_MORE && strikes(link->plan, side, event == FRAME_ENDS)) {
            strike(link);
            break;
        }
    }
    return done;
}

// One side is gone: what it said last is still delivered, what was meant for it is not.
static void gone(struct link *link, enum side side) {
    queue_clear(&link->ways[!side].queue);
    if (!link->ending)
        end_with(link, FAULT_CUT);
}

static void receive(struct link *link, enum side side) {
    static unsigned char buffer[READ_SIZE];
    ssize_t got = recv(link->sockets[side], buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        gone(link, side);
        return;
    }
    if (link->ways[side].to < 0)
        return;
    link->heard_us = queue_now_us();
    size_t through = carry(link, side, buffer, (size_t)got);
    queue_add(&link->ways[side].queue, buffer, through, link->heard_us + link->plan->delay_us);
}

static uint64_t strikes_us(const struct link *link) { // UINT64_MAX, or when silence strikes
    const struct strike *strike = &link->plan->strike;
    bool can = strike->fault != FAULT_NONE && strike->quiet_us && !link->plan->struck && !link->ending;
    return can ? link->heard_us + strike->quiet_us : UINT64_MAX;
}

void link_wants(const struct link *link, struct pollfd fds[static 2], uint64_t *until_us) {
    uint64_t now = queue_now_us();
    for (int side = CLIENT; side <= SERVER; side++) {
        const struct way *in = &link->ways[side], *out = &link->ways[!side];
        uint64_t due = queue_due_us(&out->queue);
        short events = in->reading && in->queue.bytes < QUEUE_MAX ? POLLIN : 0;
        if (due <= now)
            events |= POLLOUT;
        else if (due < *until_us)
            *until_us = due;
        bool watched = events && !link->silent;
        fds[side] = (struct pollfd){.fd = watched ? link->sockets[side] : -1, .events = events};
    }
    uint64_t strikes = strikes_us(link), first = strikes < link->dies_us ? strikes : link->dies_us;
    if (first < *until_us)
        *until_us = first;
}

// A client in a black hole does not hear the end either: its socket stays as it is.
static bool live_on(struct link *link) {
    if (!link->silent)
        return false;
    close(link->sockets[SERVER]);
    link->sockets[SERVER] = -1;
    link->dies_us = UINT64_MAX;
    return true;
}

bool link_work(struct link *link, const struct pollfd fds[static 2]) {
    if (queue_now_us() >= link->dies_us)
        return live_on(link);
    if (link->silent)
        return true;
    for (int side = CLIENT; side <= SERVER; side++)
        if (fds[side].fd >= 0 && fds[side].revents && link->ways[side].reading)
            receive(link, (enum side)side);
    if (queue_now_us() >= strikes_us(link))
        strike(link);
    for (int side = CLIENT; side <= SERVER; side++) {
        struct way *way = &link->ways[side];
        if (way->to >= 0 && !queue_write(&way->queue, way->to, queue_now_us()))
            queue_clear(&way->queue); // its reader is gone; what that one said last may still be read
    }
    if (link->ending && queue_empty(&link->ways[CLIENT].queue) && queue_empty(&link->ways[SERVER].queue))
        return come_about(link);
    return true;
}
