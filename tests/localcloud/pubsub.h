// Shared by the family pubsub*.c: one call of the REST interface, its parts and its answer.
#pragma once
#include "cloud.h"

// projects/PROJECT/COLLECTION/ID[:VERB], or projects/PROJECT/topics/ID/subscriptions.
struct call {
    struct cloud *cloud;
    struct exchange *exchange;
    const struct json *body;
    const char *project, *collection, *id, *verb, *below; // "" when absent
    const char *name;                                     // projects/P/COLLECTION/ID
    struct text answer;
    struct refusal refusal;
};
// What a collection can do; the tables end with a NULL method. `handle` writes the answer, or refuses and returns
// false.
struct verb {
    const char *method;
    bool id;
    const char *verb, *below;
    bool (*handle)(struct call *call);
};
extern const struct verb topic_verbs[], subscription_verbs[];

bool call_not_found(struct call *call, const char *name);
bool call_check_id(struct call *call);
bool call_of_project(const struct call *call, const char *name);
struct topic *call_topic(struct call *call);               // NULL: refused
struct subscription *call_subscription(struct call *call); // NULL: refused
bool call_answer_empty(struct call *call);
bool name_valid(const char *name, const char *collection);

// A page of a list; its token is the number of its first item.
struct page {
    size_t first, size, seen, put;
    bool more;
};
bool page_begin(struct call *call, struct page *ret_page);
bool page_takes(struct page *page); // whether the next item of the list belongs to the page
void page_end(const struct page *page, struct json_writer *writer);
