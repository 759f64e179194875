// measure FILE COMMAND...: runs COMMAND and writes to FILE how long it took from fork to its end, in microseconds, and its peak memory in
// kB, as the kernel accounts for it. Ends with the exit code of COMMAND. Small, because a child's peak begins with that of its parent.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int main(int argc, char *argv[]) {
    if (argc < 3)
        return 2;
    long long start = now_us();
    pid_t pid = fork();
    if (pid == 0) {
        (void)execvp(argv[2], argv + 2);
        _exit(127);
    }
    int status = 0;
    struct rusage usage = {0};
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
        return 126;
    long long took = now_us() - start;
    FILE *out = fopen(argv[1], "w");
    if (!out || fprintf(out, "%lld %ld\n", took, usage.ru_maxrss) < 0 || fclose(out) != 0)
        return 126;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
