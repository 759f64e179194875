// Fuzzes envelope_read and request_read: the input is a body, and once more the data of a message (a fuzzer does not get far through
// base64). Beyond "no crash": acceptance implies every promise of the two headers,
// checked here again by other means; refusal names a reason and touches nothing.
#include "push/envelope.h"
#include "base/json.h"
#include "push/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition) {
    if (!condition)
        abort();
}

static bool only(const char *string, const char *allowed) {
    return strspn(string, allowed) == strlen(string);
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define RESOURCE LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_.~+%:"

static void check_subscription(const char *subscription) {
    char project[256] = "", name[256] = "", again[600];
    int end = 0;
    expect(sscanf(subscription, "projects/%255[^/]/subscriptions/%255[^/]%n", project, name, &end) == 2);
    expect(subscription[end] == '\0' && only(project, RESOURCE) && only(name, RESOURCE));
    (void)snprintf(again, sizeof(again), "projects/%s/subscriptions/%s", project, name);
    expect(strcmp(again, subscription) == 0);
}

static void check_envelope(const struct envelope *envelope, const struct json *root) {
    const struct json *message = json_get(root, "message"), *attributes = json_get(message, "attributes");
    struct view value = {0};
    expect(envelope->message_id[0] && strlen(envelope->message_id) <= 255);
    for (const char *c = envelope->message_id; *c; c++)
        expect(*c > ' ' && *c <= '~');
    expect(json_string(json_get(root, "subscription"), &value) && view_is(value, envelope->subscription));
    check_subscription(envelope->subscription);
    if (envelope->source_subscription)
        check_subscription(envelope->source_subscription);
    expect(envelope->delivery_attempt >= 0 && envelope->source_deliveries >= 0);
    size_t count = 0;
    for (const struct json *member = json_first(attributes); member; member = json_next(member), count++) {
        expect(count < envelope->attribute_count && json_string(member, &value));
        expect(strcmp(envelope->attributes[count].name, json_name(member)) == 0);
        expect(view_is(value, envelope_attribute(envelope, json_name(member))));
    }
    expect(count == envelope->attribute_count);
}

static void check_text(const char *string, size_t max) {
    if (!string)
        return;
    expect(string[0] && strlen(string) <= max && text_is_utf8(view_of(string)));
    for (const char *c = string; *c; c++)
        expect((unsigned char)*c >= ' ' && *c != 0x7f);
}

static void check_request(const struct request *request) {
    check_text(request->target, 63);
    check_text(request->release, 200);
    check_text(request->to, 64);
    check_text(request->reason, 500);
    expect(!request->target || only(request->target, LOWER DIGITS "_-"));
    expect(!request->to || (only(request->to, DIGITS) && (request->to[0] != '0' || !request->to[1])));
    expect(request->action == REQUEST_MIGRATE || request->action == REQUEST_PLAN);
}

static void check_error(const struct error *err) {
    expect(err->message[0] && text_is_utf8(view_of(err->message)));
    for (const char *c = err->message; *c; c++)
        expect((unsigned char)*c >= ' ');
}

static void try_request(const struct envelope *envelope, struct arena *arena) {
    struct request request = {.reason = "untouched"};
    struct error err = {0};
    if (request_read(envelope, arena, &request, &err)) {
        check_request(&request);
        return;
    }
    expect(err.code == ERROR_REQUEST_MALFORMED || err.code == ERROR_REQUEST_UNSUPPORTED);
    expect(strcmp(request.reason, "untouched") == 0);
    check_error(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_arena struct arena *arena = arena_new();
    cleanup_json struct json *root = NULL;
    struct view body = {(const char *)data, size};
    struct envelope envelope = {.delivery_attempt = 77};
    struct error err = {0};
    try_request(&(struct envelope){.data = body}, arena);
    if (!envelope_read(body, arena, &envelope, &err)) {
        expect(err.code == ERROR_ENVELOPE_MALFORMED && envelope.delivery_attempt == 77);
        check_error(&err);
        return 0;
    }
    expect(json_parse(body, &root, &err));
    check_envelope(&envelope, root);
    try_request(&envelope, arena);
    return 0;
}
