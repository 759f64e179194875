// `pawl replay`: shows what is parked in a dead-letter subscription, and sends back what was chosen: published first, acknowledged after;
// or drops it: acknowledged only.
#include "base/clock.h"
#include "base/json.h"
#include "command/cloud.h"
#include "command/command.h"
#include "command/lease.h"
#include "command/parked.h"
#include "command/report.h"
#include <stdlib.h>
#include <string.h>

enum { REFUSALS_MAX = 3 };
enum fate { FATE_KEPT, FATE_CHOSEN, FATE_SENT, FATE_SENT_TWICE, FATE_DROPPED };

struct row {
    struct parked parked;
    struct leased *leased;
    enum fate fate;
    const char *sent_as; // the new message's id
};
struct replay {
    const struct options *options;
    struct arena *arena;
    struct cloud cloud;
    const char *subscription, *topic; // full names
    struct lease lease;
    struct row *rows;
    size_t chosen, sent, dropped;
};

// ---- choosing ----------------------------------------------------------------------------------------------------------

static bool selects(const struct options *options) {
    return options->all || options->ids || options->message_target || options->older_than || options->newer_than;
}

static bool is_named(const struct parked *parked, const char *const *ids) {
    for (size_t i = 0; ids[i]; i++)
        if (parked_has_id(parked, ids[i]))
            return true;
    return false;
}

// All that was said must hold.
static bool is_chosen(const struct options *options, const struct parked *parked, int64_t now_ms) {
    int64_t age = now_ms - parked->published_ms;
    return selects(options) && (!options->ids || is_named(parked, options->ids)) &&
           (!options->message_target || strcmp(parked->target, options->message_target) == 0) &&
           (!options->older_than || age > (int64_t)options->older_than) &&
           (!options->newer_than || age < (int64_t)options->newer_than);
}

// What was asked for first goes back first.
static int compare_rows(const void *a, const void *b) {
    const struct parked *left = &((const struct row *)a)->parked, *right = &((const struct row *)b)->parked;
    if (left->published_ms != right->published_ms)
        return left->published_ms < right->published_ms ? -1 : 1;
    return strcmp(left->pulled->id, right->pulled->id);
}

static void choose(struct replay *replay) {
    int64_t now_ms = clock_unix_ms();
    replay->rows = arena_array(replay->arena, replay->lease.count + 1, sizeof(*replay->rows));
    for (size_t i = 0; i < replay->lease.count; i++) {
        struct row *row = &replay->rows[i];
        row->leased = &replay->lease.items[i];
        row->parked = parked_read(&row->leased->pulled, replay->arena);
        row->fate = is_chosen(replay->options, &row->parked, now_ms) ? FATE_CHOSEN : FATE_KEPT;
        replay->chosen += row->fate == FATE_CHOSEN;
    }
    qsort(replay->rows, replay->lease.count, sizeof(replay->rows[0]), compare_rows);
}

// An id that was named and is not there is worth stopping for: somebody means another message.
static bool check_ids(const struct replay *replay, struct error *err) {
    const char *const *ids = replay->options->ids;
    for (size_t i = 0; ids && ids[i]; i++) {
        size_t row = 0;
        while (row < replay->lease.count && !parked_has_id(&replay->rows[row].parked, ids[i]))
            row++;
        if (row == replay->lease.count)
            return error_set(err, ERROR_USAGE, "no message %.64s is parked in %s, or it is being handled elsewhere",
                             ids[i], replay->subscription);
    }
    return true;
}

// ---- sending back ------------------------------------------------------------------------------------------------------

static bool send_one(struct replay *replay, struct row *row, struct error *err) {
    struct pubsub_message message = parked_revive(&row->parked, replay->arena);
    if (!lease_keep(&replay->lease, err))
        return false;
    if (!pubsub_publish(replay->cloud.pubsub, replay->topic, &message, (unsigned)replay->options->publish_timeout,
                        replay->arena, &row->sent_as, err))
        return error_wrap(err, "message %s was not sent back", row->parked.pulled->id);
    row->fate = FATE_SENT_TWICE; // until it is gone from here
    if (!lease_acknowledge(&replay->lease, row->leased, err))
        return error_wrap(err, "message %s was sent back as %s, and is still parked too", row->parked.pulled->id,
                          row->sent_as);
    row->fate = FATE_SENT;
    replay->sent++;
    return true;
}

static bool drop_one(struct replay *replay, struct row *row, struct error *err) {
    if (!lease_keep(&replay->lease, err))
        return false;
    if (!lease_acknowledge(&replay->lease, row->leased, err))
        return error_wrap(err, "message %s was not dropped", row->parked.pulled->id);
    row->fate = FATE_DROPPED;
    replay->dropped++;
    return true;
}

// A message that Pub/Sub does not take (it has too many attributes, say) stays where it is and keeps no other one from going back. When
// several in a row are refused it is not the messages' fault. The first failure is told.
static bool settle_chosen(struct replay *replay, struct error *err) {
    unsigned refused = 0;
    for (size_t i = 0; i < replay->lease.count && refused < REFUSALS_MAX; i++) {
        struct error failure = {0};
        if (replay->rows[i].fate != FATE_CHOSEN)
            continue;
        bool settled = replay->options->drop ? drop_one(replay, &replay->rows[i], &failure)
                                             : send_one(replay, &replay->rows[i], &failure);
        if (!settled && err->code == ERROR_NONE)
            *err = failure;
        if (!settled && failure.code != ERROR_PUBSUB_REFUSED)
            break;
        refused = settled ? 0 : refused + 1;
    }
    return err->code == ERROR_NONE;
}

// ---- showing -----------------------------------------------------------------------------------------------------------

static const char *fate_name(const struct replay *replay, enum fate fate) {
    switch (fate) {
    case FATE_KEPT:
        return "parked";
    case FATE_CHOSEN:
        if (!replay->options->dry_run)
            return "parked";
        return replay->options->drop ? "would be dropped" : "would be sent back";
    case FATE_SENT:
        return "sent back";
    case FATE_SENT_TWICE:
        return "sent back, still parked";
    case FATE_DROPPED:
        return "dropped";
    }
    return "";
}

static void put_row(const struct replay *replay, const struct row *row, struct json_writer *writer) {
    char published[32];
    const struct parked *parked = &row->parked;
    const struct {
        const char *name, *value;
    } members[] = {
        {"original_id", parked->original_id}, {"target", parked->target},
        {"release", parked->release},         {"error", parked->error},
        {"reason", parked->reason},           {"sent_as", row->sent_as},
    };
    clock_format(parked->published_ms, published);
    json_begin_object(writer, NULL);
    json_put_string(writer, "id", parked->pulled->id);
    json_put_string(writer, "published", published);
    json_put_string(writer, "state", fate_name(replay, row->fate));
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (members[i].value && *members[i].value)
            json_put_string(writer, members[i].name, members[i].value);
    json_end_object(writer);
}

static void print_json(const struct replay *replay, const struct error *err) {
    cleanup_text struct text out = TEXT(64 << 20);
    struct json_writer writer = JSON_WRITER(&out);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "subscription", replay->subscription);
    if (replay->topic)
        json_put_string(&writer, "topic", replay->topic);
    json_begin_array(&writer, "messages");
    for (size_t i = 0; i < replay->lease.count; i++)
        put_row(replay, &replay->rows[i], &writer);
    json_end_array(&writer);
    json_put_integer(&writer, "chosen", (int64_t)replay->chosen);
    json_put_integer(&writer, "sent", (int64_t)replay->sent);
    json_put_integer(&writer, "dropped", (int64_t)replay->dropped);
    json_put_boolean(&writer, "more", replay->lease.cut);
    if (err->code) {
        json_put_string(&writer, "error", error_name(err->code));
        json_put_string(&writer, "message", err->message);
    }
    json_end_object(&writer);
    (void)printf("%s\n", text_string(&out)); // a closed stdout must not hide the exit code
}

struct widths {
    int id, target, release;
};

static void widen(int *width, const char *value, int most) {
    int length = (int)strlen(value);
    if (length > *width)
        *width = length < most ? length : most;
}

static struct widths measure(const struct replay *replay) {
    struct widths widths = {2, 6, 7};
    for (size_t i = 0; i < replay->lease.count; i++) {
        widen(&widths.id, replay->rows[i].parked.pulled->id, 24);
        widen(&widths.target, replay->rows[i].parked.target, 24);
        widen(&widths.release, replay->rows[i].parked.release, 12);
    }
    return widths;
}

static void print_row(const struct row *row, struct widths widths, struct terminal *terminal) {
    const struct parked *parked = &row->parked;
    char published[32];
    clock_format(parked->published_ms, published);
    published[19] = 'Z'; // whole seconds are enough for people
    published[20] = '\0';
    terminal_print(terminal, row->fate == FATE_KEPT ? TONE_PLAIN : TONE_WARN, "%-*s  %s  %-*s  %-*.*s  %s%s%s",
                   widths.id, parked->pulled->id, published, widths.target, *parked->target ? parked->target : "-",
                   widths.release, widths.release, *parked->release ? parked->release : "-", parked->error,
                   *parked->error && *parked->reason ? ": " : "", parked->reason);
}

static void print_sum(const struct replay *replay, struct terminal *terminal) {
    const struct options *options = replay->options;
    size_t count = replay->lease.count, left = count - replay->sent - replay->dropped;
    if (count == 0)
        terminal_print(terminal, TONE_GOOD, "nothing is parked in %s", replay->subscription);
    else if (options->list || !selects(options))
        terminal_print(terminal, TONE_BOLD,
                       "%zu parked; send back with --all, --id ID, --target NAME, --older-than or --newer-than TIME",
                       count);
    else if (replay->chosen == 0)
        terminal_print(terminal, TONE_WARN, "none of %zu is chosen, all stay parked", count);
    else if (options->drop && options->dry_run)
        terminal_print(terminal, TONE_BOLD, "%zu of %zu would be dropped", replay->chosen, count);
    else if (options->drop)
        terminal_print(terminal, replay->dropped == replay->chosen ? TONE_GOOD : TONE_WARN,
                       "%zu of %zu dropped, %zu stay parked", replay->dropped, replay->chosen, left);
    else if (options->dry_run)
        terminal_print(terminal, TONE_BOLD, "%zu of %zu would be sent back to %s", replay->chosen, count,
                       replay->topic);
    else
        terminal_print(terminal, replay->sent == replay->chosen ? TONE_GOOD : TONE_WARN,
                       "%zu of %zu sent back to %s, %zu stay parked", replay->sent, replay->chosen, replay->topic,
                       left);
    if (replay->lease.cut)
        terminal_print(terminal, TONE_WARN, "more is parked than is handled at once: run it again");
}

static void print_text(const struct replay *replay) {
    struct terminal terminal = terminal_open(stdout, replay->options->color);
    struct widths widths = measure(replay);
    if (replay->lease.count > 0)
        terminal_print(&terminal, TONE_BOLD, "%-*s  %-20s  %-*s  %-*s  %s", widths.id, "id", "first published",
                       widths.target, "target", widths.release, "release", "why");
    for (size_t i = 0; i < replay->lease.count; i++) {
        const struct row *row = &replay->rows[i];
        print_row(row, widths, &terminal);
        if (row->sent_as)
            terminal_print(&terminal, TONE_GOOD, "%-*s  %s as %s", widths.id, "", fate_name(replay, row->fate),
                           row->sent_as);
        else if (row->fate == FATE_DROPPED || (row->fate == FATE_CHOSEN && replay->options->dry_run))
            terminal_print(&terminal, TONE_GOOD, "%-*s  %s", widths.id, "", fate_name(replay, row->fate));
    }
    print_sum(replay, &terminal);
}

// ---- the command -------------------------------------------------------------------------------------------------------

static bool is_settling(const struct options *options) {
    return selects(options) && !options->list && !options->dry_run;
}

static bool prepare(struct replay *replay, struct error *err) {
    const struct options *options = replay->options;
    if (!options->subscription)
        return error_set(err, ERROR_USAGE, "which subscription? Give --subscription or PAWL_DEAD_LETTER_SUBSCRIPTION");
    if (options->drop && !selects(options))
        return error_set(err, ERROR_USAGE, "--drop what? Give --id, --target, --older-than, --newer-than or --all");
    if (selects(options) && !options->list && !options->drop && !options->topic)
        return error_set(err, ERROR_USAGE, "back to which topic? Give --topic or PAWL_TOPIC");
    return cloud_open(options, &replay->cloud, err) &&
           cloud_name(&replay->cloud, options, "--subscription", "subscriptions", options->subscription, replay->arena,
                      &replay->subscription, err) &&
           (!options->topic || cloud_name(&replay->cloud, options, "--topic", "topics", options->topic, replay->arena,
                                          &replay->topic, err));
}

static bool execute(struct replay *replay, struct error *err) {
    struct error late = {0};
    replay->lease =
        (struct lease){.pubsub = replay->cloud.pubsub, .subscription = replay->subscription, .arena = replay->arena};
    if (!lease_take(&replay->lease, err))
        return false;
    choose(replay);
    bool done = check_ids(replay, err) && (!is_settling(replay->options) || settle_chosen(replay, err));
    bool given_back = lease_give_back(&replay->lease, &late);
    if (done && !given_back) {
        *err = late;
        return error_wrap(err, "what was not chosen comes back by itself within %d s", LEASE_S);
    }
    return done;
}

int command_replay(const struct options *options, struct arena *arena) {
    struct replay replay = {.options = options, .arena = arena};
    struct error err = {0};
    if (prepare(&replay, &err))
        (void)execute(&replay, &err);
    cloud_close(&replay.cloud);
    if (err.code && !replay.rows)
        return report_failure(options, &err);
    if (options->json) {
        print_json(&replay, &err);
        return err.code ? error_exit_code(err.code) : 0;
    }
    print_text(&replay);
    return err.code ? report_failure(options, &err) : 0;
}
