// proxy: stands between a PostgreSQL client and its server, understands where messages begin and end, and makes the network fail where
// a test wants it to: at the Nth message of either side, in the middle of a long statement, or just slowly.
//   proxy --server FOLDER --listen FOLDER|tcp [--delay MS] [--log] [--alone]
//         [--fault cut|ghost|hole|kill --at before|after:client|server:N|quiet:MS [--linger MS]]
// FOLDER is that of a unix socket named .s.PGSQL.5432; `tcp` takes a free port of 127.0.0.1. It says "ready PORT" (0 for a unix
// socket), "struck" when the fault strikes, and on SIGTERM, its end, for each side how many messages there were (with --log: their
// types too), and how long connections lasted. --alone: nobody gets through any more once the fault has struck. What
// each fault does is told in link.h.
#include "base/arena.h"
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINKS_MAX = 256, LOG_MAX = 64 << 20 };

struct proxy {
    const char *server, *listen;
    bool alone;
    struct plan plan;
    int listener, signals;
    unsigned port;
    struct link *links;
    size_t count;
};

static const char usage[] =
    "usage: proxy --server FOLDER --listen FOLDER|tcp [--delay MS] [--log] [--alone]\n"
    "             [--fault cut|ghost|hole|kill --at before|after:client|server:N|quiet:MS [--linger MS]]\n";

// ---- options -----------------------------------------------------------------------------------------------------------

static bool read_fault(const char *value, enum fault *ret_fault) {
    static const char *const names[] = {
        [FAULT_CUT] = "cut", [FAULT_GHOST] = "ghost", [FAULT_HOLE] = "hole", [FAULT_KILL] = "kill"};
    for (int fault = FAULT_CUT; fault <= FAULT_KILL; fault++)
        if (!strcmp(value, names[fault])) {
            *ret_fault = (enum fault)fault;
            return true;
        }
    return false;
}

static bool read_place(const char *value, struct strike *strike) {
    static const char *const places[] = {"before:client:", "before:server:", "after:client:", "after:server:"};
    uint64_t ms = 0;
    if (!strncmp(value, "quiet:", 6)) {
        bool read = text_to_u64(view_of(value + 6), 60000, &ms) && ms > 0;
        strike->quiet_us = ms * 1000;
        return read;
    }
    for (int i = 0; i < 4; i++)
        if (!strncmp(value, places[i], strlen(places[i]))) {
            strike->side = i % 2 ? SERVER : CLIENT;
            strike->after = i >= 2;
            return text_to_u64(view_of(value + strlen(places[i])), UINT32_MAX, &strike->number) && strike->number > 0;
        }
    return false;
}

static bool read_option(struct proxy *proxy, int option, const char *value) {
    uint64_t ms = 0;
    switch (option) {
    case 's':
        proxy->server = value;
        return true;
    case 'l':
        proxy->listen = value;
        return true;
    case 'd':
        proxy->plan.delay_us = text_to_u64(view_of(value), 60000, &ms) ? ms * 1000 : 0;
        return text_to_u64(view_of(value), 60000, &ms);
    case 'i':
        return text_to_u64(view_of(value), 3600000, &proxy->plan.strike.linger_ms);
    case 'f':
        return read_fault(value, &proxy->plan.strike.fault);
    case 'a':
        return read_place(value, &proxy->plan.strike);
    case 'L':
        proxy->plan.log = true;
        return true;
    case 'A':
        proxy->alone = true;
        return true;
    default:
        return false;
    }
}

static bool read_options(int count, char **arguments, struct proxy *proxy) {
    static const struct option options[] = {
        {"server", required_argument, NULL, 's'},
        {"listen", required_argument, NULL, 'l'},
        {"delay", required_argument, NULL, 'd'},
        {"linger", required_argument, NULL, 'i'},
        {"fault", required_argument, NULL, 'f'},
        {"at", required_argument, NULL, 'a'},
        {"log", no_argument, NULL, 'L'},
        {"alone", no_argument, NULL, 'A'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;)
        if (!read_option(proxy, option, optarg))
            return false;
    return optind == count && proxy->server && proxy->listen;
}

// ---- sockets -----------------------------------------------------------------------------------------------------------

static bool unix_address(const char *folder, struct sockaddr_un *ret_address) {
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%s/.s.PGSQL.5432", folder);
    return length > 0 && (size_t)length < sizeof(ret_address->sun_path);
}

static bool listen_unix(struct proxy *proxy) {
    struct sockaddr_un address;
    proxy->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return proxy->listener >= 0 && unix_address(proxy->listen, &address) &&
           bind(proxy->listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(proxy->listener, 64) == 0;
}

static bool listen_tcp(struct proxy *proxy) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (proxy->listener < 0 || bind(proxy->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(proxy->listener, 64) != 0 || getsockname(proxy->listener, (struct sockaddr *)&address, &size) != 0)
        return false;
    proxy->port = ntohs(address.sin_port);
    return true;
}

static int connect_server(const char *folder) {
    struct sockaddr_un address;
    if (!unix_address(folder, &address))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

// ---- the loop ----------------------------------------------------------------------------------------------------------

static void welcome(struct proxy *proxy) {
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC), one = 1;
    if (client < 0)
        return;
    if (proxy->port)
        (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    int server = proxy->count < LINKS_MAX ? connect_server(proxy->server) : -1;
    if (server < 0) { // as a server that is away: the connection ends without a word
        close(client);
        return;
    }
    struct link *link = link_new(&proxy->plan, client, server);
    link->next = proxy->links;
    proxy->links = link;
    proxy->count++;
}

// Closing the listener refuses whoever comes next, as a server that is gone.
static void stop_listening(struct proxy *proxy) {
    if (proxy->listener < 0)
        return;
    close(proxy->listener);
    proxy->listener = -1;
}

static void work(struct proxy *proxy, const struct pollfd *fds) {
    struct link **place = &proxy->links;
    for (size_t i = 0; *place; i++) {
        struct link *link = *place;
        if (link_work(link, fds + 2 * i)) {
            place = &link->next;
            continue;
        }
        *place = link->next;
        proxy->count--;
        link_free(link);
    }
}

static bool turn(struct proxy *proxy) { // false: told to end
    struct pollfd fds[2 + 2 * LINKS_MAX];
    uint64_t until = UINT64_MAX;
    size_t n = 0;
    fds[n++] = (struct pollfd){.fd = proxy->signals, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    for (struct link *link = proxy->links; link; link = link->next, n += 2)
        link_wants(link, fds + n, &until);
    uint64_t now = queue_now_us(), left = until > now ? until - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000), .tv_nsec = (long)(left % 1000000) * 1000};
    if (ppoll(fds, n, until == UINT64_MAX ? NULL : &timeout, NULL) < 0 && errno != EINTR)
        return false;
    work(proxy, fds + 2);
    if (proxy->plan.struck && proxy->alone)
        stop_listening(proxy);
    if (proxy->listener >= 0 && fds[1].revents)
        welcome(proxy);
    return !fds[0].revents;
}

static bool prepare(struct proxy *proxy) {
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    if (sigprocmask(SIG_BLOCK, &ends, NULL) != 0)
        return false;
    proxy->signals = signalfd(-1, &ends, SFD_CLOEXEC);
    proxy->plan.types[CLIENT] = proxy->plan.types[SERVER] = TEXT(LOG_MAX);
    return proxy->signals >= 0 && (!strcmp(proxy->listen, "tcp") ? listen_tcp(proxy) : listen_unix(proxy));
}

static void report(const struct plan *plan) {
    static const char *const names[] = {[CLIENT] = "client", [SERVER] = "server"};
    for (int side = CLIENT; side <= SERVER; side++)
        printf("%s %llu %s\n", names[side], (unsigned long long)plan->messages[side], text_string(&plan->types[side]));
    printf("lived %llu us\n", (unsigned long long)plan->lived_us);
}

int main(int count, char **arguments) {
    struct proxy proxy = {.listener = -1, .signals = -1};
    if (!read_options(count, arguments, &proxy)) {
        fputs(usage, stderr);
        return 2;
    }
    if (!prepare(&proxy)) {
        fprintf(stderr, "proxy: cannot listen at %s: %m\n", proxy.listen);
        return 1;
    }
    printf("ready %u\n", proxy.port);
    (void)fflush(stdout);
    while (turn(&proxy))
        continue;
    for (struct link *link; (link = proxy.links); link_free(link))
        proxy.links = link->next;
    report(&proxy.plan);
    text_done(&proxy.plan.types[CLIENT]);
    text_done(&proxy.plan.types[SERVER]);
    return 0;
}
