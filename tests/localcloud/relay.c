// The signing relay for the official emulator: it takes the emulator's unsigned pushes at
//   POST /relay[/PATH]?audience=A&email=E[&deadline=SECONDS][&attempts=true]
// and hands them to the worker, at PATH below the --relay URL, with what production has and the emulator lacks: a
// signed token, the delivery attempt (counted here) and a hang-up at the deadline. The worker's status goes back. What
// the emulator keeps to itself, the ordering key, cannot be added.
#include "base/arena.h"
#include "base/log.h"
#include "cloud.h"
#include "post.h"
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (20 * 1024 * 1024)
#define COUNTED 1000

// How often a message has come by. The oldest is forgotten when the table is full.
struct counted {
    char *key;
    unsigned attempts;
};
struct carried {
    struct relayed *relayed;
    struct exchange *exchange;
    struct post *post;
    struct carried *next, **back;
};
struct relayed {
    struct carried *carried;
    struct counted counts[COUNTED];
    size_t oldest;
};

static unsigned count_attempt(struct relayed *relayed, const char *key) {
    for (size_t i = 0; i < COUNTED; i++)
        if (relayed->counts[i].key && strcmp(relayed->counts[i].key, key) == 0)
            return ++relayed->counts[i].attempts;
    struct counted *place = &relayed->counts[relayed->oldest];
    relayed->oldest = (relayed->oldest + 1) % COUNTED;
    free(place->key);
    *place = (struct counted){memory_string(key), 1};
    return 1;
}

static void carried_free(struct carried *carried) {
    *carried->back = carried->next;
    if (carried->next)
        carried->next->back = carried->back;
    free(carried);
}

static void on_answer(void *context, const struct post_result *result) {
    struct carried *carried = context;
    struct exchange *exchange = carried->exchange;
    carried_free(carried);
    if (result->outcome == POST_ANSWERED)
        exchange_answer(exchange, result->status, result->content_type ? result->content_type : "text/plain",
                        result->body);
    else if (result->outcome == POST_EXPIRED)
        exchange_answer(exchange, 504, "text/plain", VIEW("The deadline passed.\n"));
    else
        exchange_answer(exchange, 502, "text/plain", VIEW("The worker cannot be reached.\n"));
}

// The push as it came, with deliveryAttempt in front when asked for. False: it is no push.
static bool write_body(struct cloud *cloud, struct exchange *exchange, struct text *out, struct refusal *refusal) {
    const struct json *push;
    struct view id = VIEW(""), subscription = VIEW("");
    if (!exchange_json(exchange, &push, refusal))
        return false;
    if (!json_string(json_get(json_get(push, "message"), "messageId"), &id) ||
        !json_string(json_get(push, "subscription"), &subscription))
        return refuse(refusal, INVALID_ARGUMENT, "This is not a wrapped push.");
    struct view body = view_trim(exchange->body);
    if (exchange_query(exchange, "attempts") && !json_get(push, "deliveryAttempt")) {
        const char *key = arena_printf(exchange->arena, "%s %s", subscription.data, id.data);
        text_printf(out, "{\"deliveryAttempt\":%u,", count_attempt(cloud->relayed, key));
        body = (struct view){body.data + 1, body.length - 1};
    }
    text_append_view(out, body);
    return !out->full || refuse(refusal, INVALID_ARGUMENT, "The push is too large.");
}

static void carry(struct cloud *cloud, struct exchange *exchange, struct view body, uint64_t deadline_ms) {
    struct post_header headers[] = {
        {"Content-Type", "application/json"},
        {"User-Agent", "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"},
        {"Authorization", arena_printf(exchange->arena, "Bearer %s",
                                       tokens_push(cloud->tokens, exchange_query(exchange, "email"),
                                                   exchange_query(exchange, "audience")))},
    };
    struct carried *carried = memory_alloc(sizeof *carried);
    *carried = (struct carried){.relayed = cloud->relayed, .exchange = exchange, .next = cloud->relayed->carried};
    carried->back = &cloud->relayed->carried;
    if (carried->next)
        carried->next->back = &carried->next;
    cloud->relayed->carried = carried;
    carried->post = post_start(
        cloud->loop, arena_printf(exchange->arena, "%s%s", cloud->relay_url, exchange->path + strlen("/relay")),
        headers, sizeof headers / sizeof *headers, body, deadline_ms, on_answer, carried);
}

static bool relay(struct cloud *cloud, struct exchange *exchange, struct refusal *refusal) {
    struct text body cleanup_text = TEXT(BODY_MAX);
    const char *deadline = exchange_query(exchange, "deadline");
    uint64_t seconds = 10;
    if (!cloud->relay_url)
        return refuse(refusal, FAILED_PRECONDITION, "localcloud was started without --relay.");
    if (!exchange_query(exchange, "audience") || !exchange_query(exchange, "email") ||
        (deadline && (!text_to_u64(view_of(deadline), 600, &seconds) || !seconds)))
        return refuse(refusal, INVALID_ARGUMENT, "The query says audience, email, and a deadline of 1 to 600 seconds.");
    if (!cloud->relayed)
        cloud->relayed = memory_alloc(sizeof *cloud->relayed);
    if (!write_body(cloud, exchange, &body, refusal))
        return false;
    carry(cloud, exchange, (struct view){text_string(&body), body.length}, seconds * 1000);
    return true;
}

bool relay_handle(struct cloud *cloud, struct exchange *exchange) {
    struct refusal refusal;
    if ((strcmp(exchange->path, "/relay") != 0 && strncmp(exchange->path, "/relay/", 7) != 0) ||
        strcmp(exchange->method, "POST") != 0)
        return false;
    if (!relay(cloud, exchange, &refusal))
        exchange_refuse(exchange, &refusal);
    return true;
}

void relay_done(struct cloud *cloud) {
    if (!cloud->relayed)
        return;
    while (cloud->relayed->carried) {
        post_cut(cloud->relayed->carried->post); // http_free() answers the exchange
        carried_free(cloud->relayed->carried);
    }
    for (size_t i = 0; i < COUNTED; i++)
        free(cloud->relayed->counts[i].key);
    free(cloud->relayed);
    cloud->relayed = NULL;
}
