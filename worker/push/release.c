// Compares a message's release with this image's. See release.h.
#include "push/release.h"
#include "base/clock.h"
#include "base/text.h"
#include <string.h>

bool release_check(const char *wanted, int64_t published_ms, const struct release *here, bool *ret_older,
                   struct error *err) {
    bool other = wanted && here->name && strcmp(wanted, here->name) != 0;
    if (other && here->built_ms != 0 && published_ms > here->built_ms) {
        char shown[65], built[32];
        text_copy(shown, sizeof(shown), view_of(wanted));
        clock_format(here->built_ms, built);
        return error_set(err, ERROR_RELEASE_NOT_HERE,
                         "the message is for release '%s' and was published after release '%s' was built here (%s)",
                         shown, here->name, built);
    }
    *ret_older = other;
    return true;
}
