// Reads the targets file and chooses a message's target. See targets.h.
#include "command/targets.h"
#include "base/json.h"
#include "google/pubsub.h"
#include "migrate/home.h"
#include <string.h>

enum {
    NAME_MAX_BYTES = 63,
    LIST_MAX = 100,
    CALLER_MAX = 255,
    LOCK_WAIT_MAX_MS = 3600000,
    LOCK_TIMEOUT_MAX_MS = 3600000
};

// ---- one reader per member ---------------------------------------------------------------------------------------------

static bool wrong(struct error *err, const char *shape) {
    return error_set(err, ERROR_CONFIGURATION, "must be %s", shape);
}

static bool read_name(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    struct view name;
    bool fine = json_string(json, &name) && name.length > 0 && name.length <= NAME_MAX_BYTES;
    for (size_t i = 0; fine && i < name.length; i++) {
        char c = name.data[i];
        fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    }
    if (!fine)
        return wrong(err, "1 to 63 of a-z, 0-9, _ and -");
    target->name = arena_copy(arena, name.data, name.length);
    return true;
}

static bool read_database(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    struct view database;
    if (!json_string(json, &database) || database.length == 0)
        return wrong(err, "a connection string, or secret:projects/PROJECT/secrets/NAME/versions/latest");
    target->database = arena_copy(arena, database.data, database.length);
    return true;
}

static bool read_iam(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    (void)arena;
    return json_boolean(json, &target->database_iam) || wrong(err, "true or false");
}

static bool read_migrations(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    struct view folder;
    if (!json_string(json, &folder) || folder.length == 0)
        return wrong(err, "a folder");
    target->migrations = arena_copy(arena, folder.data, folder.length);
    return true;
}

// A text without NUL that `check` lets pass.
static bool read_word(const struct json *json, bool (*check)(const char *name, struct error *err), struct arena *arena,
                      const char **ret_word, struct error *err) {
    struct view view;
    if (!json_string(json, &view))
        return wrong(err, "a text");
    const char *word = arena_copy(arena, view.data, view.length);
    if (!check(word, err))
        return false;
    *ret_word = word;
    return true;
}

static bool read_schema(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    return read_word(json, home_check_schema, arena, &target->schema, err);
}

static bool read_role(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    return read_word(json, home_check_role, arena, &target->role, err);
}

static bool is_listed(const char *const *list, const char *name) {
    while (*list && strcmp(*list, name) != 0)
        list++;
    return *list;
}

// `check` gives a text its place in the arena, or refuses it.
static bool read_list(const struct json *json, const char *shape,
                      bool (*check)(struct view text, struct arena *arena, const char **ret_name, struct error *err),
                      struct arena *arena, const char *const **ret_list, struct error *err) {
    const char **list = arena_array(arena, LIST_MAX + 1, sizeof(*list));
    size_t count = 0;
    if (json_type(json) != JSON_ARRAY)
        return wrong(err, shape);
    for (const struct json *item = json_first(json); item; item = json_next(item)) {
        struct view text;
        const char *name = NULL;
        if (!json_string(item, &text) || count == LIST_MAX)
            return wrong(err, shape);
        if (!check(text, arena, &name, err))
            return false;
        if (is_listed(list, name))
            return error_set(err, ERROR_CONFIGURATION, "has %.128s twice", name);
        list[count++] = name;
    }
    if (count == 0) // nobody, or everybody? Leaving it out says the one; there is no use for the other.
        return wrong(err, "left out, or name one at least");
    *ret_list = list;
    return true;
}

static bool check_subscription(struct view text, struct arena *arena, const char **ret_name, struct error *err) {
    return pubsub_name("subscriptions", text.data, NULL, arena, ret_name, err);
}

static bool read_subscriptions(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    return read_list(json, "a list of subscriptions, projects/PROJECT/subscriptions/NAME", check_subscription, arena,
                     &target->subscriptions, err);
}

static bool check_account(struct view text, struct arena *arena, const char **ret_name, struct error *err) {
    const char *at = memchr(text.data, '@', text.length);
    bool fine = at && at > text.data && at + 1 < text.data + text.length && text.length <= CALLER_MAX;
    for (size_t i = 0; fine && i < text.length; i++)
        fine = text.data[i] > ' ' && text.data[i] < 0x7f && text.data[i] != ',';
    if (!fine)
        return wrong(err, "e-mail addresses of service accounts");
    *ret_name = arena_copy(arena, text.data, text.length);
    return true;
}

static bool read_callers(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    return read_list(json, "a list of e-mail addresses of service accounts", check_account, arena, &target->callers,
                     err);
}

static bool read_readers(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    return read_list(json, "a list of e-mail addresses of service accounts", check_account, arena, &target->readers,
                     err);
}

static bool read_out_of_order(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    (void)arena;
    return json_boolean(json, &target->out_of_order) || wrong(err, "true or false");
}

static bool read_rollback(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    (void)arena;
    return json_boolean(json, &target->rollback) || wrong(err, "true or false");
}

static bool read_time(const struct json *json, uint64_t min, uint64_t max, const char *shape, uint64_t *ret_ms,
                      struct error *err) {
    struct view text;
    uint64_t ms;
    if (!json_string(json, &text) || !text_to_ms(text, max, &ms) || ms < min)
        return wrong(err, shape);
    *ret_ms = ms;
    return true;
}

static bool read_lock_wait(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    (void)arena;
    return read_time(json, 0, LOCK_WAIT_MAX_MS, "a time such as \"570s\", within 0s..3600s", &target->lock_wait_ms,
                     err);
}

static bool read_lock_timeout(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    (void)arena;
    return read_time(json, 1, LOCK_TIMEOUT_MAX_MS, "a time such as \"200ms\", within 1ms..1h", &target->lock_timeout_ms,
                     err);
}

// ---- the file ----------------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    bool (*read)(const struct json *json, struct arena *arena, struct target *target, struct error *err);
    bool needed;
} members[] = {
    {"name", read_name, true},
    {"database", read_database, true},
    {"database_iam", read_iam, false},
    {"migrations", read_migrations, false},
    {"schema", read_schema, false},
    {"role", read_role, false},
    {"subscriptions", read_subscriptions, false},
    {"callers", read_callers, false},
    {"readers", read_readers, false},
    {"out_of_order", read_out_of_order, false},
    {"rollback", read_rollback, false},
    {"lock_wait", read_lock_wait, false},
    {"lock_timeout", read_lock_timeout, false},
};
enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

static bool is_member(const char *name) {
    for (size_t i = 0; i < MEMBERS; i++)
        if (strcmp(members[i].name, name) == 0)
            return true;
    return false;
}

static bool read_target(const struct json *json, struct arena *arena, struct target *target, struct error *err) {
    if (json_type(json) != JSON_OBJECT)
        return wrong(err, "an object");
    for (const struct json *member = json_first(json); member; member = json_next(member))
        if (!is_member(json_name(member)))
            return error_set(err, ERROR_CONFIGURATION, "has a member '%.64s', which is none", json_name(member));
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct json *member = json_get(json, members[i].name);
        if (!member && members[i].needed)
            return error_set(err, ERROR_CONFIGURATION, "has no %s", members[i].name);
        if (member && !members[i].read(member, arena, target, err))
            return error_wrap(err, "%s", members[i].name);
    }
    return true;
}

// Two names for one ledger: which of them does a row belong to?
static bool check_twins(const struct targets *targets, struct error *err) {
    const struct target *last = &targets->items[targets->count - 1];
    for (const struct target *other = targets->items; other < last; other++) {
        if (strcmp(other->name, last->name) == 0)
            return error_set(err, ERROR_CONFIGURATION, "there is another target '%s'", last->name);
        if (strcmp(other->database, last->database) == 0 && strcmp(other->schema, last->schema) == 0)
            return error_set(err, ERROR_CONFIGURATION, "it has the same database and schema as '%s'", other->name);
    }
    return true;
}

static bool read_all(const struct json *list, const struct target *defaults, struct arena *arena,
                     struct targets *targets, struct error *err) {
    for (const struct json *item = json_first(list); item; item = json_next(item)) {
        if (targets->count == TARGETS_MAX)
            return error_set(err, ERROR_CONFIGURATION, "there are more than %d targets", TARGETS_MAX);
        struct target *target = &targets->items[targets->count++];
        *target = *defaults;
        target->name = target->database = NULL;
        if (!read_target(item, arena, target, err) || !check_twins(targets, err))
            return target->name ? error_wrap(err, "target '%s'", target->name)
                                : error_wrap(err, "target number %zu", targets->count);
    }
    return targets->count > 0 || error_set(err, ERROR_CONFIGURATION, "there are no targets");
}

bool targets_read(struct view json, const struct target *defaults, struct arena *arena, struct targets *ret_targets,
                  struct error *err) {
    cleanup_json struct json *file = NULL;
    struct targets targets = {.items = arena_array(arena, TARGETS_MAX, sizeof(*targets.items))};
    if (!json_parse(json, &file, err)) {
        err->code = ERROR_CONFIGURATION;
        return false;
    }
    const struct json *list = json_get(file, "targets");
    if (json_type(file) != JSON_OBJECT || !list || json_type(list) != JSON_ARRAY)
        return error_set(err, ERROR_CONFIGURATION, "it must be an object with a list of targets: {\"targets\":[...]}");
    for (const struct json *member = json_first(file); member; member = json_next(member))
        if (member != list)
            return error_set(err, ERROR_CONFIGURATION, "there is a member '%.64s' beside targets", json_name(member));
    if (!read_all(list, defaults, arena, &targets, err)) {
        targets_forget(&targets);
        return false;
    }
    *ret_targets = targets;
    return true;
}

static bool check_bound(const struct target *target, const char *member, const char *const *bound, const char *variable,
                        const char *const *admitted, struct error *err) {
    for (size_t i = 0; bound && bound[i]; i++)
        if (!admitted || !is_listed(admitted, bound[i]))
            return error_set(err, ERROR_CONFIGURATION, "target '%s': %s: %s is not in %s, and never let in",
                             target->name, member, bound[i], variable);
    return true;
}

bool targets_check_bound(const struct targets *targets, const char *const *callers, const char *const *readers,
                         struct error *err) {
    for (size_t i = 0; i < targets->count; i++) {
        const struct target *target = &targets->items[i];
        if (!check_bound(target, "callers", target->callers, "PAWL_CALLERS", callers, err) ||
            !check_bound(target, "readers", target->readers, "PAWL_READERS", readers, err))
            return false;
    }
    return true;
}

void targets_forget(struct targets *targets) {
    for (size_t i = 0; i < targets->count; i++)
        if (targets->items[i].database)
            memory_wipe(targets->items[i].database, strlen(targets->items[i].database));
}

// ---- choosing ----------------------------------------------------------------------------------------------------------

const struct target *targets_find(const struct targets *targets, const char *name) {
    for (size_t i = 0; i < targets->count; i++)
        if (strcmp(targets->items[i].name, name) == 0)
            return &targets->items[i];
    return NULL;
}

static bool has(const struct target *target, const char *subscription) {
    return target->subscriptions && is_listed(target->subscriptions, subscription);
}

// How many targets have the subscription, and the first of them.
static size_t count_bound(const struct targets *targets, const char *subscription, const struct target **ret_first) {
    size_t count = 0;
    for (size_t i = targets->count; i-- > 0;)
        if (has(&targets->items[i], subscription)) {
            *ret_first = &targets->items[i];
            count++;
        }
    return count;
}

static const char *const *list_of(const struct target *target, size_t member) {
    return *(const char *const *const *)(const void *)((const char *)target + member);
}

// Of a list of accounts: whoever is on that of some target is nobody's but theirs.
static bool is_admitted(const struct targets *targets, const struct target *target, size_t member, const char *name) {
    const char *const *list = list_of(target, member);
    if (list)
        return is_listed(list, name);
    for (size_t i = 0; i < targets->count; i++)
        if (list_of(&targets->items[i], member) && is_listed(list_of(&targets->items[i], member), name))
            return false;
    return true;
}

bool targets_may_read(const struct targets *targets, const struct target *target, const char *reader) {
    return is_admitted(targets, target, offsetof(struct target, readers), reader);
}

static bool choose_named(const struct targets *targets, const char *wanted, const struct target **ret_target,
                         struct error *err) {
    *ret_target = targets_find(targets, wanted);
    if (*ret_target)
        return true;
    if (targets->count == 1)
        return error_set(err, ERROR_TARGET_UNKNOWN, "there is no target '%s' here, only '%s'", wanted,
                         targets->items[0].name);
    return error_set(err, ERROR_TARGET_UNKNOWN, "there is no target '%s' here", wanted);
}

bool targets_choose(const struct targets *targets, const struct target_question *question,
                    const struct target **ret_target, struct error *err) {
    const char *wanted = question->wanted, *subscription = question->subscription;
    const struct target *bound = NULL, *target = NULL;
    size_t count = count_bound(targets, subscription, &bound);
    if (wanted) {
        if (!choose_named(targets, wanted, &target, err))
            return false;
    } else if (count == 1) {
        target = bound;
    } else if (targets->count == 1) {
        target = &targets->items[0];
    } else {
        return error_set(err, ERROR_TARGET_UNKNOWN, "the message names no target, and there are %zu that it may mean",
                         count ? count : targets->count);
    }
    if ((count > 0 || target->subscriptions) && !has(target, subscription))
        return error_set(err, ERROR_TARGET_FORBIDDEN, "%s may not address the target '%s'", subscription, target->name);
    if (!is_admitted(targets, target, offsetof(struct target, callers), question->caller))
        return error_set(err, ERROR_TARGET_FORBIDDEN, "%s may not push to the target '%s'", question->caller,
                         target->name);
    *ret_target = target;
    return true;
}

const struct target *targets_any(const struct targets *targets, const char *subscription, const char *caller) {
    for (size_t i = 0; i < targets->count; i++) {
        const struct target_question question = {targets->items[i].name, subscription, caller};
        const struct target *target = NULL;
        struct error refused = {0};
        if (targets_choose(targets, &question, &target, &refused))
            return target;
    }
    return NULL;
}
