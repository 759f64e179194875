// Google as the options describe it. See cloud.h.
#include "command/cloud.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Where `gcloud auth application-default login` leaves its file; false when there is none.
static bool find_login(struct text *path) {
    const char *folder = getenv("CLOUDSDK_CONFIG"), *home = getenv("HOME");
    if (folder && *folder)
        text_append(path, folder);
    else
        text_printf(path, "%s/.config/gcloud", home ? home : "");
    text_append(path, "/application_default_credentials.json");
    return !path->full && access(text_string(path), R_OK) == 0;
}

bool cloud_open(const struct options *options, struct cloud *cloud, struct error *err) {
    cleanup_text struct text login = TEXT(4096);
    struct credentials_settings who = {
        .access_token = options->access_token,
        .id_token = options->id_token,
        .file = options->google_credentials,
        .metadata_host = options->metadata_host,
        .stop = cloud->stop,
        .in_cloud = options->metadata_host || getenv("K_SERVICE") || getenv("CLOUD_RUN_JOB"),
    };
    struct pubsub_settings where = {
        .emulator = options->pubsub_emulator, .endpoint = options->pubsub_endpoint, .stop = cloud->stop};
    if (!who.file && !who.in_cloud && find_login(&login))
        who.file = text_string(&login);
    struct cloud open = {.stop = cloud->stop};
    if (!credentials_new(&who, &open.credentials, err) || !pubsub_new(&where, open.credentials, &open.pubsub, err)) {
        cloud_close(&open);
        return false;
    }
    *cloud = open;
    return true;
}

void cloud_close(struct cloud *cloud) {
    pubsub_free(cloud->pubsub);
    credentials_free(cloud->credentials);
    cloud->pubsub = NULL;
    cloud->credentials = NULL;
}

bool cloud_name(const struct cloud *cloud, const struct options *options, const char *option, const char *kind,
                const char *name, struct arena *arena, const char **ret_name, struct error *err) {
    const char *project = options->project;
    struct error unknown = {0};
    if (!strchr(name, '/') && !project && !credentials_project(cloud->credentials, arena, &project, &unknown)) {
        if (unknown.code == ERROR_SHUTTING_DOWN) {
            *err = unknown;
            return error_wrap(err, "%s", option);
        }
        return error_set(err, ERROR_CONFIGURATION,
                         "%s: which project has '%.64s'? Give projects/PROJECT/%s/%.64s or --project", option, name,
                         kind, name);
    }
    return pubsub_name(kind, name, project, arena, ret_name, err) || error_wrap(err, "%s", option);
}
