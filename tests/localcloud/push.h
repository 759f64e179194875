// The bytes of one push: body, headers and token as production sends them (https://cloud.google.com/pubsub/docs/push).
#pragma once
#include "config.h"
#include "message.h"
#include "post.h"

struct push_order {
    const struct message *message;
    const struct config *config;
    const char *subscription; // full name
    const char *token;        // NULL: no Authorization
    unsigned attempt;         // 0: not said
};
// As post_start(): `ends` is called once and later, unless the post is cut before (post_cut).
struct post *push_start(struct loop *loop, const struct push_order *order, post_ends *ends, void *context);
