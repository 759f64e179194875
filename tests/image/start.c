// start ROOT PORT PROGRAM [ARGUMENT...]: starts PROGRAM in the root file system ROOT as user 65532 and prints how many
// milliseconds passed from the fork to its first 200 on GET /health at 127.0.0.1:PORT, and the kilobytes of memory that
// it had used at most by then. In C, because a scripting language's own fork costs more than what is to be measured.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000 };

static double now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void become(char *arguments[]) {
    if (chroot(arguments[1]) == 0 && chdir("/") == 0 && setgid(65532) == 0 && setuid(65532) == 0)
        (void)execv(arguments[3], arguments + 3);
    perror(arguments[3]);
    _exit(127);
}

static int answered(struct sockaddr_in address) {
    static const char request[] = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char answer[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int good = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
               write(fd, request, strlen(request)) > 0 && read(fd, answer, sizeof(answer) - 1) > 0 &&
               strncmp(answer, "HTTP/1.1 200", 12) == 0;
    if (fd >= 0)
        (void)close(fd);
    return good;
}

int main(int count, char *arguments[]) {
    unsigned port = 0;
    if (count < 4 || sscanf(arguments[2], "%u", &port) != 1)
        return 2;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    double start = now_ms();
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child == 0)
        become(arguments);
    int good = 0;
    while (!good && now_ms() - start < PATIENCE_MS && waitpid(child, NULL, WNOHANG) == 0) {
        good = answered(address);
        if (!good)
            (void)nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
    double took = now_ms() - start;
    struct rusage usage = {0};
    (void)kill(child, SIGKILL);
    (void)wait4(child, NULL, 0, &usage);
    if (!good)
        return 1;
    printf("%.3f %ld\n", took, usage.ru_maxrss);
    return 0;
}
