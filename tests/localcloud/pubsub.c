// The Pub/Sub REST interface, v1 (https://cloud.google.com/pubsub/docs/reference/rest): paths, names and lists. What
// can be done is in pubsub-topics.c and pubsub-subscriptions.c.
#include "pubsub.h"
#include "base/arena.h"
#include <ctype.h>
#include <string.h>

#define PAGE_MAX 1000
#define ANSWER_MAX (64 * 1024 * 1024)

bool call_not_found(struct call *call, const char *name) {
    return refuse(&call->refusal, NOT_FOUND, "Resource not found (resource=%.255s).",
                  strrchr(name, '/') ? strrchr(name, '/') + 1 : name);
}

// 3 to 255 of letters, digits and -_.~+%, beginning with a letter and not with "goog".
static bool id_valid(const char *id) {
    size_t length = strlen(id);
    if (length < 3 || length > 255 || !isalpha((unsigned char)*id) || strncmp(id, "goog", 4) == 0)
        return false;
    for (const char *c = id; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.~+%", *c))
            return false;
    return true;
}

bool name_valid(const char *name, const char *collection) {
    const char *slash = strncmp(name, "projects/", 9) == 0 ? strchr(name + 9, '/') : NULL;
    size_t length = strlen(collection);
    return slash && slash > name + 9 && strncmp(slash + 1, collection, length) == 0 && slash[1 + length] == '/' &&
           id_valid(slash + 2 + length);
}

bool call_of_project(const struct call *call, const char *name) {
    size_t length = strlen(call->project);
    return strncmp(name, "projects/", 9) == 0 && strncmp(name + 9, call->project, length) == 0 &&
           name[9 + length] == '/';
}

bool call_check_id(struct call *call) {
    return id_valid(call->id) ||
           refuse(&call->refusal, INVALID_ARGUMENT, "Invalid [%s] name: (name=%.300s)", call->collection, call->name);
}

struct topic *call_topic(struct call *call) {
    struct topic *topic = cloud_find_topic(call->cloud, call->name);
    if (!topic)
        call_not_found(call, call->name);
    return topic;
}

struct subscription *call_subscription(struct call *call) {
    struct subscription *subscription = cloud_find_subscription(call->cloud, call->name);
    if (!subscription)
        call_not_found(call, call->name);
    return subscription;
}

bool call_answer_empty(struct call *call) {
    text_append(&call->answer, "{}");
    return true;
}

// ---- lists --------------------------------------------------------------------------------------------------

bool page_begin(struct call *call, struct page *ret_page) {
    const char *size = exchange_query(call->exchange, "pageSize"), *token = exchange_query(call->exchange, "pageToken");
    uint64_t number = 0, first = 0;
    if ((size && *size && !text_to_u64(view_of(size), INT32_MAX, &number)) ||
        (token && *token && !text_to_u64(view_of(token), SIZE_MAX / 2, &first)))
        return refuse(&call->refusal, INVALID_ARGUMENT, "Invalid page size or page token.");
    *ret_page = (struct page){.first = first, .size = number && number < PAGE_MAX ? number : PAGE_MAX};
    return true;
}

bool page_takes(struct page *page) {
    if (page->seen++ < page->first)
        return false;
    page->more = page->put == page->size;
    return !page->more && page->put++ < page->size;
}

void page_end(const struct page *page, struct json_writer *writer) {
    struct text token cleanup_text = TEXT(32);
    if (!page->more)
        return;
    text_printf(&token, "%zu", page->first + page->put);
    json_put_string(writer, "nextPageToken", text_string(&token));
}

// ---- the table ----------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    const struct verb *verbs;
} collections[] = {{"topics", topic_verbs}, {"subscriptions", subscription_verbs}};

// Cuts "projects/P/topics/T:publish" into its parts.
static void read_path(struct call *call, const char *path) {
    struct arena *arena = call->exchange->arena;
    const char **const parts[] = {&call->project, &call->collection, &call->id, &call->below};
    struct view pieces[5];
    size_t count = 0;
    for (const char *at = path; at && count < 5; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
        pieces[count++] = (struct view){at, strcspn(at, "/")};
    call->project = call->collection = call->id = call->below = call->verb = call->name = "";
    if (count < 3 || !view_is(pieces[0], "projects"))
        return;
    for (size_t i = 1; i < count; i++)
        *parts[i - 1] = arena_copy(arena, pieces[i].data, pieces[i].length);
    char *colon = (char *)strrchr(call->id, ':');
    if (colon) {
        *colon = '\0';
        call->verb = colon + 1;
    }
    call->name = arena_printf(arena, "projects/%s/%s/%s", call->project, call->collection, call->id);
}

static const struct verb *find_verb(const struct call *call) {
    for (size_t i = 0; i < sizeof collections / sizeof *collections; i++)
        for (const struct verb *verb = collections[i].verbs;
             strcmp(collections[i].name, call->collection) == 0 && verb->method; verb++)
            if (strcmp(verb->method, call->exchange->method) == 0 && verb->id == (*call->id != '\0') &&
                strcmp(verb->verb, call->verb) == 0 && strcmp(verb->below, call->below) == 0)
                return verb;
    return NULL;
}

static bool perform(struct call *call) {
    const struct verb *verb = find_verb(call);
    if (!verb)
        return refuse(&call->refusal, NOT_FOUND, "localcloud has no %s %.300s.", call->exchange->method,
                      call->exchange->path);
    return exchange_json(call->exchange, &call->body, &call->refusal) && verb->handle(call);
}

bool pubsub_handle(struct cloud *cloud, struct exchange *exchange) {
    struct call call = {.cloud = cloud, .exchange = exchange, .answer = TEXT(ANSWER_MAX)};
    if (strncmp(exchange->path, "/v1/", 4) != 0)
        return false;
    read_path(&call, exchange->path + 4);
    if (perform(&call)) {
        exchange_answer_json(exchange, &call.answer);
    } else {
        text_done(&call.answer);
        exchange_refuse(exchange, &call.refusal);
    }
    return true;
}
