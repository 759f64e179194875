// Secret Manager: what tests put in with POST /localcloud/secrets {"secret": "projects/P/secrets/S", "value": "..."} (each time a new
// version) is handed out by GET /v1/projects/P/secrets/S/versions/V:access, V a number or `latest`, to whoever has a token.
#include "base/base64.h"
#include "base/checksum.h"
#include "cloud.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSIONS_MAX = 1000 };

struct version { // newest first
    char *secret, *value;
    unsigned number;
    struct version *next;
};

void secrets_done(struct cloud *cloud) {
    for (struct version *next; cloud->versions; cloud->versions = next) {
        next = cloud->versions->next;
        free(cloud->versions->secret);
        free(cloud->versions->value);
        free(cloud->versions);
    }
}

bool secrets_add(struct cloud *cloud, const struct json *body, struct refusal *refusal) {
    struct view secret, value;
    if (!json_string(json_get(body, "secret"), &secret) || !json_string(json_get(body, "value"), &value))
        return refuse(refusal, INVALID_ARGUMENT, "secret and value are needed.");
    unsigned versions = 0, all = 0;
    for (const struct version *v = cloud->versions; v; v = v->next) {
        versions += strcmp(v->secret, secret.data) == 0;
        all++;
    }
    if (all == VERSIONS_MAX)
        return refuse(refusal, RESOURCE_EXHAUSTED, "There are %d versions of secrets already.", VERSIONS_MAX);
    struct version *version = memory_alloc(sizeof *version);
    *version = (struct version){memory_string(secret.data), memory_string(value.data), versions + 1, cloud->versions};
    cloud->versions = version;
    return true;
}

// `name`: "projects/P/secrets/S/versions/V".
static const struct version *find(const struct cloud *cloud, const char *name) {
    for (const struct version *v = cloud->versions; v; v = v->next) {
        size_t length = strlen(v->secret);
        static const char middle[] = "/versions/";
        if (strncmp(name, v->secret, length) != 0 || strncmp(name + length, middle, strlen(middle)) != 0)
            continue;
        const char *wanted = name + length + strlen(middle);
        char number[16];
        (void)snprintf(number, sizeof number, "%u", v->number);
        if (strcmp(wanted, "latest") == 0 || strcmp(wanted, number) == 0)
            return v;
    }
    return NULL;
}

static void write_version(const struct version *version, struct text *answer) {
    struct json_writer writer = JSON_WRITER(answer);
    struct view value = view_of(version->value);
    struct text data cleanup_text = TEXT(256 * 1024);
    char name[512], checksum[16];
    (void)snprintf(name, sizeof name, "%.400s/versions/%u", version->secret, version->number);
    (void)snprintf(checksum, sizeof checksum, "%u", (unsigned)checksum_crc32c(value));
    base64_encode(value, &data);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "name", name);
    json_begin_object(&writer, "payload");
    json_put_string(&writer, "data", text_string(&data));
    json_put_string(&writer, "dataCrc32c", checksum);
    json_end_object(&writer);
    json_end_object(&writer);
}

bool secrets_handle(struct cloud *cloud, struct exchange *exchange) {
    static const char root[] = "/v1/", access[] = ":access";
    size_t length = strlen(exchange->path);
    struct refusal refusal;
    if (strcmp(exchange->method, "GET") != 0 || strncmp(exchange->path, root, strlen(root)) != 0 ||
        length < strlen(root) + strlen(access) || strcmp(exchange->path + length - strlen(access), access) != 0)
        return false;
    const char *name =
        arena_copy(exchange->arena, exchange->path + strlen(root), length - strlen(root) - strlen(access));
    const struct version *version = find(cloud, name);
    const char *token = exchange_header(exchange, "Authorization");
    if (!token || strncmp(token, "Bearer ", 7) != 0) {
        refuse(&refusal, UNAUTHENTICATED, "Request is missing required authentication credential.");
        exchange_refuse(exchange, &refusal);
    } else if (!version) {
        refuse(&refusal, NOT_FOUND, "Secret [%.300s] not found or has no versions.", name);
        exchange_refuse(exchange, &refusal);
    } else {
        struct text answer = TEXT(512 * 1024);
        cloud->secret_accesses++;
        write_version(version, &answer);
        exchange_answer_json(exchange, &answer);
    }
    return true;
}
