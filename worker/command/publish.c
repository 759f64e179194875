// `pawl publish`: builds a request from its flags, publishes it, prints the message id; with --wait follows the run to its end.
#include "command/attest.h"
#include "command/cloud.h"
#include "command/command.h"
#include "command/follow.h"
#include "command/report.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DATA_MAX = 65536, BODY_MAX = 8 << 20, ATTRIBUTES_MAX = 100, KEY_MAX = 256 };

struct publication {
    const struct options *options;
    struct arena *arena;
    struct cloud cloud;
    struct terminal terminal; // stderr: what goes on
    struct follow follow;
    const char *topic, *message_id;
    struct outcome outcome;
    struct text body; // what the worker said last
};

// ---- the message -------------------------------------------------------------------------------------------------------

// Only what was asked for: an empty object means "bring the default target to the newest migration". `proof` may be NULL.
static void write_request(const struct options *options, const char *proof, struct text *data) {
    const struct {
        const char *name, *value;
    } members[] = {
        {"target", options->message_target}, {"release", options->release}, {"to", options->to},
        {"action", options->action},         {"reason", options->reason},   {"proof", proof},
    };
    struct json_writer writer = JSON_WRITER(data);
    json_begin_object(&writer, NULL);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (members[i].value)
            json_put_string(&writer, members[i].name, members[i].value);
    if (options->steps > 0)
        json_put_integer(&writer, "steps", (int64_t)options->steps);
    if (options->out_of_order)
        json_put_boolean(&writer, "out_of_order", true);
    json_end_object(&writer);
}

static bool read_attributes(const struct publication *publication, struct pubsub_message *message, struct error *err) {
    const char *const *given = publication->options->attributes;
    struct pubsub_attribute *attributes = arena_array(publication->arena, ATTRIBUTES_MAX, sizeof(*attributes));
    for (size_t i = 0; given && given[i]; i++) {
        size_t length = strcspn(given[i], "=");
        const char *value = given[i] + length + 1;
        if (i == ATTRIBUTES_MAX)
            return error_set(err, ERROR_USAGE, "Pub/Sub takes %d attributes at most", ATTRIBUTES_MAX);
        if (given[i][length] != '=' || length == 0 || length > KEY_MAX || strlen(value) > PUBSUB_VALUE_MAX)
            return error_set(err, ERROR_USAGE, "--attribute must be KEY=VALUE, at most %d and %d bytes", KEY_MAX,
                             PUBSUB_VALUE_MAX);
        attributes[i] = (struct pubsub_attribute){arena_copy(publication->arena, given[i], length), value};
        message->attribute_count = i + 1;
    }
    message->attributes = attributes;
    return true;
}

static bool publish(struct publication *publication, struct error *err) {
    const struct options *options = publication->options;
    cleanup_text struct text data = TEXT(DATA_MAX), proved = TEXT(DATA_MAX);
    struct pubsub_message message = {.ordering_key = options->ordering_key};
    const char *proof = NULL;
    write_request(options, NULL, &data);
    message.data = (struct view){text_string(&data), data.length};
    if (data.full || !text_is_utf8(message.data))
        return error_set(err, ERROR_USAGE, "the request is larger than %d bytes", DATA_MAX);
    if (!read_attributes(publication, &message, err) ||
        !attest(options, &publication->cloud, &message, publication->arena, &proof, err))
        return false;
    write_request(options, proof, &proved);
    message.data = (struct view){text_string(&proved), proved.length};
    if (proved.full)
        return error_set(err, ERROR_USAGE, "the request with its proof is larger than %d bytes", DATA_MAX);
    return pubsub_publish(publication->cloud.pubsub, publication->topic, &message, (unsigned)options->publish_timeout,
                          publication->arena, &publication->message_id, err);
}

// ---- following it ------------------------------------------------------------------------------------------------------

// What the worker would refuse, and park.
static bool check_rollback(const struct options *options, struct error *err) {
    bool back = options->action && strcmp(options->action, "rollback") == 0;
    if (options->steps > 0 && (!back || options->to))
        return error_set(err, ERROR_USAGE, "--steps goes with --action rollback, and without --to");
    return !back || options->steps > 0 || options->to ||
           error_set(err, ERROR_USAGE, "--action rollback needs --steps or --to");
}

// Before anything is published: a deploy that cannot be followed is not to be found out about afterwards.
static bool prepare(struct publication *publication, struct error *err) {
    const struct options *options = publication->options;
    if (!options->topic)
        return error_set(err, ERROR_USAGE, "which topic? Give --topic or PAWL_TOPIC");
    if (!check_rollback(options, err))
        return false;
    if (options->wait > 0 && !options->url)
        return error_set(err, ERROR_USAGE, "--wait needs the worker's URL: give --url or PAWL_URL");
    if (!cloud_open(options, &publication->cloud, err) ||
        !cloud_name(&publication->cloud, options, "--topic", "topics", options->topic, publication->arena,
                    &publication->topic, err))
        return false;
    publication->follow = (struct follow){
        .url = options->url,
        .audience = options->worker_audience ? options->worker_audience[0] : options->url,
        .credentials = publication->cloud.credentials,
        .wait_ms = options->wait,
        .terminal = options->json ? NULL : &publication->terminal,
    };
    return options->wait == 0 || follow_check(&publication->follow, err);
}

// GitHub shows what a step appends to this file. That it cannot be written is worth a word, and no reason to fail a deploy.
static void append_summary(struct publication *publication, const struct error *err) {
    const char *path = getenv("GITHUB_STEP_SUMMARY");
    if (!path || !*path)
        return;
    cleanup_text struct text markdown = TEXT(1 << 20); // GitHub's own limit
    outcome_markdown(&publication->outcome, publication->message_id, err->message, &markdown);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    bool written = fd >= 0 && write(fd, text_string(&markdown), markdown.length) == (ssize_t)markdown.length;
    if (!written)
        terminal_print(&publication->terminal, TONE_WARN, "pawl: cannot write GITHUB_STEP_SUMMARY: %s",
                       strerror(errno));
    if (fd >= 0)
        (void)close(fd);
}

static void print_json(const struct publication *publication, const struct error *err) {
    cleanup_text struct text out = TEXT(BODY_MAX + 65536);
    struct json_writer writer = JSON_WRITER(&out);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "message_id", publication->message_id);
    json_put_string(&writer, "topic", publication->topic);
    if (publication->body.length > 0)
        json_put_raw(&writer, "run", text_string(&publication->body));
    if (err->code) {
        json_put_string(&writer, "error", error_name(err->code));
        json_put_string(&writer, "message", err->message);
    }
    json_end_object(&writer);
    (void)printf("%s\n", text_string(&out)); // a closed stdout must not hide the exit code
}

static int wait_for_run(struct publication *publication) {
    struct error err = {0};
    publication->follow.message_id = publication->message_id;
    bool ended = follow_run(&publication->follow, publication->arena, &publication->outcome, &publication->body, &err);
    append_summary(publication, &err);
    if (publication->options->json) {
        print_json(publication, &err);
    } else if (ended) {
        struct terminal terminal = terminal_open(stdout, publication->options->color);
        outcome_print(&publication->outcome, &terminal);
    } else {
        report_failure_text(&publication->terminal, &err);
    }
    if (!ended)
        return error_exit_code(err.code);
    return outcome_is_failure(&publication->outcome) ? 1 : 0;
}

static int run(struct publication *publication) {
    struct error err = {0};
    if (!prepare(publication, &err) || !publish(publication, &err))
        return report_failure(publication->options, &err);
    if (!publication->options->json) {
        (void)printf("%s\n", publication->message_id);
        (void)fflush(stdout); // before the waiting
    }
    if (publication->options->wait > 0)
        return wait_for_run(publication);
    if (publication->options->json)
        print_json(publication, &err);
    return 0;
}

int command_publish(const struct options *options, struct arena *arena) {
    struct publication publication = {
        .options = options,
        .arena = arena,
        .terminal = terminal_open(stderr, options->color),
        .outcome = outcome_unknown,
        .body = TEXT(BODY_MAX),
    };
    int code = run(&publication);
    cloud_close(&publication.cloud);
    text_done(&publication.body);
    return code;
}
