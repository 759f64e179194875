// Google as the options describe it, for the commands that publish and pull.
#pragma once
#include "google/pubsub.h"
#include "options.h"

struct cloud {
    const atomic_bool *stop; // set before cloud_open, which keeps it; see google/call.h; NULL: nobody stops it
    struct credentials *credentials;
    struct pubsub *pubsub;
};
// Asks nobody yet. Errors: ERROR_CONFIGURATION.
bool cloud_open(const struct options *options, struct cloud *cloud, struct error *err);
void cloud_close(struct cloud *cloud);
#define cleanup_cloud __attribute__((cleanup(cloud_close)))

// The full name of a topic or subscription ("topics", "subscriptions") that `option` names; a short one gets the
// project of the options, else that of the credentials. Errors: ERROR_CONFIGURATION, or what credentials_project()
// says.
bool cloud_name(const struct cloud *cloud, const struct options *options, const char *option, const char *kind,
                const char *name, struct arena *arena, const char **ret_name, struct error *err);
