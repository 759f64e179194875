// localcloud: one process on loopback that stands for Google in tests and demos: Pub/Sub's REST interface with signed pushes,
// the published keys, the metadata server. Where production and the official emulator differ, it does as production.
// Everything is in memory and bounded.
//   localcloud [--port N] [--port-file FILE] [--project P] [--log text|json] [--relay URL]
// Prints one line when it is ready, ends on SIGTERM or SIGINT. The controls for tests are listed in control.c.
#include "base/arena.h"
#include "base/log.h"
#include "cloud.h"
#include "post.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    uint16_t port;
    const char *port_file, *project, *relay_url;
    enum log_format format;
};

static const char usage[] =
    "usage: localcloud [--port N] [--port-file FILE] [--project P] [--log text|json] [--relay URL]\n";

static bool read_option(struct settings *settings, int option, const char *value) {
    uint64_t port;
    switch (option) {
    case 'p':
        if (!text_to_u64(view_of(value), UINT16_MAX, &port))
            return false;
        settings->port = (uint16_t)port;
        return true;
    case 'f':
        settings->port_file = value;
        return true;
    case 'P':
        settings->project = value;
        return *value && !strchr(value, '/');
    case 'l':
        settings->format = strcmp(value, "json") == 0 ? LOG_JSON : LOG_TEXT;
        return strcmp(value, "json") == 0 || strcmp(value, "text") == 0;
    case 'r':
        settings->relay_url = value;
        return post_endpoint_valid(value);
    default:
        return false;
    }
}

static bool read_options(int count, char **arguments, struct settings *settings) {
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},    {"port-file", required_argument, NULL, 'f'},
        {"project", required_argument, NULL, 'P'}, {"log", required_argument, NULL, 'l'},
        {"relay", required_argument, NULL, 'r'},   {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;)
        if (!read_option(settings, option, optarg))
            return false;
    return optind == count;
}

// Under another name first: who waits for the file never reads half of it.
static bool write_port(const char *file, uint16_t port) {
    struct text draft cleanup_text = TEXT(4096);
    text_printf(&draft, "%s.%ld", file, (long)getpid());
    FILE *out = fopen(text_string(&draft), "w");
    if (!out)
        return false;
    bool written = fprintf(out, "%u\n", port) > 0;
    written = fclose(out) == 0 && written;
    return written && rename(text_string(&draft), file) == 0;
}

static bool serve(struct cloud *cloud, const struct settings *settings) {
    struct http *http = http_new(cloud->loop, settings->port, cloud_handle, cloud);
    if (!http) {
        log_event(LOG_ERROR, NULL, "cannot listen on 127.0.0.1:%u", settings->port);
        return false;
    }
    bool ready = !settings->port_file || write_port(settings->port_file, http_port(http));
    if (ready) {
        printf("localcloud is ready: http://127.0.0.1:%u project %s\n", http_port(http), cloud->project);
        ready = fflush(stdout) == 0;
    } else {
        log_event(LOG_ERROR, NULL, "cannot write %s", settings->port_file);
    }
    if (ready)
        loop_run(cloud->loop);
    cloud_done(cloud);
    http_free(http);
    return ready;
}

int main(int count, char **arguments) {
    struct settings settings = {.project = "pawl-local", .format = LOG_AUTO};
    if (!read_options(count, arguments, &settings)) {
        fputs(usage, stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    log_start(settings.format, LOG_INFO, STDERR_FILENO);
    struct cloud cloud = {.project = settings.project, .relay_url = settings.relay_url};
    cloud.loop = loop_new();
    cloud.keys = keys_new();
    bool served = false;
    if (cloud.loop && cloud.keys) {
        cloud.tokens = tokens_new(cloud.keys, cloud.project);
        cloud_init(&cloud);
        served = serve(&cloud, &settings);
    } else {
        log_event(LOG_ERROR, NULL, "cannot make an event loop and keys");
    }
    tokens_free(cloud.tokens);
    keys_free(cloud.keys);
    loop_free(cloud.loop);
    return served ? 0 : 1;
}
