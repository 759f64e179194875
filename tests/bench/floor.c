// The floor under every start-up figure: an empty socket server that answers each connection with 200. `floor PORT`.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char *argv[]) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    unsigned port = 0;
    if (argc != 2 || sscanf(argv[1], "%u", &port) != 1)
        return 2;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 16) != 0)
        return 1;
    for (;;) {
        char request[4096];
        int client = accept(fd, NULL, NULL);
        if (client < 0)
            return 1;
        if (read(client, request, sizeof(request)) < 0 || write(client, answer, strlen(answer)) < 0)
            (void)close(client);
        (void)shutdown(client, SHUT_WR);
        (void)close(client);
    }
}
