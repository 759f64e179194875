// From options to targets, and from a target to what its runs need. See site.h.
#include "command/site.h"
#include "google/secret.h"
#include "google/smallfile.h"
#include "migrate/home.h"

static bool need_cloud(const struct options *options, struct cloud *cloud, struct error *err) {
    return cloud->credentials || cloud_open(options, cloud, err);
}

static bool read_text(const struct options *options, struct cloud *cloud, struct text *text, struct error *err) {
    cleanup_secret struct secret secret = {0};
    if (!secret_is_reference(options->targets))
        return smallfile_read(options->targets, text, err);
    if (!need_cloud(options, cloud, err) ||
        !secret_fetch(options->targets, options->secret_endpoint, cloud->credentials, &secret, err))
        return false;
    text_append(text, secret.value);
    return true;
}

static bool read_file(const struct options *options, const struct target *defaults, struct cloud *cloud,
                      struct arena *arena, struct targets *ret_targets, struct error *err) {
    cleanup_text struct text text = TEXT(SECRET_VALUE_MAX);
    bool done = read_text(options, cloud, &text, err) &&
                (targets_read((struct view){text_string(&text), text.length}, defaults, arena, ret_targets, err) ||
                 error_wrap(err, "%s", options->targets));
    memory_wipe(text.data, text.length);
    return done || error_wrap(err, "PAWL_TARGETS");
}

bool site_targets(const struct options *options, uint64_t lock_wait_ms, struct cloud *cloud, struct arena *arena,
                  struct targets *ret_targets, struct error *err) {
    struct target target = {
        .name = options->target,
        .database = arena_string(arena, options->database_url),
        .database_iam = options->database_iam,
        .migrations = options->migrations,
        .schema = options->schema,
        .role = options->role,
        .lock_wait_ms = lock_wait_ms,
        .lock_timeout_ms = options->lock_timeout,
        .out_of_order = options->allow_out_of_order,
        .rollback = options->allow_rollback,
    };
    if (!home_check_schema(target.schema, err))
        return error_wrap(err, "PAWL_SCHEMA");
    if (target.role && !home_check_role(target.role, err))
        return error_wrap(err, "PAWL_ROLE");
    if (options->targets && options->database_url)
        return error_set(err, ERROR_CONFIGURATION, "PAWL_TARGETS and DATABASE_URL are both set: which is meant?");
    if (options->targets)
        return read_file(options, &target, cloud, arena, ret_targets, err);
    *ret_targets = (struct targets){.items = arena_alloc(arena, sizeof(target)), .count = 1};
    ret_targets->items[0] = target;
    return true;
}

bool site_open(const struct options *options, const struct target *target, unsigned crowd, struct cloud *cloud,
               struct site *ret_site, struct error *err) {
    struct site site = {.target = target};
    if (login_needs_credentials(target->database, target->database_iam) && !need_cloud(options, cloud, err))
        return false;
    struct login_settings who = {
        .url = target->database,
        .iam = target->database_iam,
        .schema = target->schema,
        .role = target->role,
        .secret_endpoint = options->secret_endpoint,
        .credentials = cloud->credentials,
    };
    if (!login_new(&who, &site.login, err))
        return options->targets ? error_wrap(err, "PAWL_TARGETS: target '%s': database", target->name)
                                : error_wrap(err, "DATABASE_URL");
    site.database = login_database(site.login);
    site.control = run_control_new();
    site.gate = gate_new(crowd, options->dead_letter_topic != NULL);
    *ret_site = site;
    return true;
}

void site_close(struct site *site) {
    if (!site->login)
        return;
    gate_free(site->gate);
    run_database_free(site->database);
    login_free(site->login);
    run_control_free(site->control);
}
