// Has GitHub Actions make the proof of who publishes, for a job that may ask for one (permission id-token: write): a token for exactly one
// request. What the worker makes of it is publisher.c's business.
#pragma once
#include "command/cloud.h"

// `ret_token` becomes NULL where no proof is wanted, or none can be had and it need not be (--proof). `message` is whole but for the proof.
// Errors: ERROR_USAGE when the request is not one that the worker takes, or when this is no such job; ERROR_CREDENTIALS_UNAVAILABLE,
// ERROR_CREDENTIALS_REFUSED.
bool attest(const struct options *options, const struct cloud *cloud, const struct pubsub_message *message,
            struct arena *arena, const char **ret_token, struct error *err);
