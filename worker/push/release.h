// Whether the files of this image are the ones that a message means. Pure.
#pragma once
#include "base/error.h"
#include <stdint.h>

struct release {      // of this image
    const char *name; // NULL = not configured: every message is served
    int64_t built_ms; // Unix; 0 = unknown: every message is served
};
// `wanted`: the message's release, NULL when it names none. `published_ms`: when the message was first published (for a dead letter
// its original time), Unix. True: serve it; `*ret_older` says that the message belongs to an older deploy, which these newer files
// cover. Errors: ERROR_RELEASE_NOT_HERE when the message was published after this image was built: it has outrun the roll-out.
bool release_check(const char *wanted, int64_t published_ms, const struct release *here, bool *ret_older,
                   struct error *err);
