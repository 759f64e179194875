// Rendering the ledger's commands, and assuming the role for one of them. See home.h.
#include "migrate/home.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MARK "{ledger}"

struct rendered {
    const char *sql; // as it stands in our source: constants are told apart by their address
    char *text;
    struct rendered *next;
};
struct home {
    char schema[HOME_NAME_MAX + 1], role[HOME_NAME_MAX + 1]; // role "": none
    atomic_bool bare;                                        // a pooler refuses the start-up parameter
    pthread_mutex_t lock;                                    // for the list; what is in it stays as it is
    struct rendered *first;
};

// ---- names -------------------------------------------------------------------------------------------------------------

bool home_check_schema(const char *name, struct error *err) {
    static const char *const taken[] = {"public", "information_schema"};
    size_t length = strlen(name), fine = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (length == 0 || length > HOME_NAME_MAX || fine != length || (*name >= '0' && *name <= '9'))
        return error_set(err, ERROR_CONFIGURATION, "must be 1 to 63 of a-z, 0-9 and _, and not begin with a digit");
    if (strncmp(name, "pg_", 3) == 0)
        return error_set(err, ERROR_CONFIGURATION, "must not begin with pg_: those are PostgreSQL's own schemas");
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcmp(name, taken[i]) == 0)
            return error_set(err, ERROR_CONFIGURATION, "must not be %s: the ledger has its schema for itself", name);
    return true;
}

bool home_check_role(const char *name, struct error *err) {
    size_t length = strlen(name);
    bool fine = length > 0 && length <= HOME_NAME_MAX;
    for (size_t i = 0; fine && i < length; i++)
        fine = (unsigned char)name[i] >= ' ' && name[i] != 0x7f;
    if (!fine)
        return error_set(err, ERROR_CONFIGURATION,
                         "must be the name of a role: 1 to 63 bytes without control characters");
    if (strcmp(name, "none") == 0)
        return error_set(err, ERROR_CONFIGURATION, "must not be none: no role has that name");
    return true;
}

struct home *home_new(const char *schema, const char *role) {
    struct home *home = memory_alloc(sizeof(*home));
    text_copy(home->schema, sizeof(home->schema), view_of(schema ? schema : HOME_SCHEMA));
    text_copy(home->role, sizeof(home->role), view_of(role));
    pthread_mutex_init(&home->lock, NULL);
    return home;
}

void home_free(struct home *home) {
    if (!home)
        return;
    while (home->first) {
        struct rendered *rendered = home->first;
        home->first = rendered->next;
        free(rendered->text);
        free(rendered);
    }
    pthread_mutex_destroy(&home->lock);
    memory_cleanup(&home);
}

void home_prepare(struct home *home, struct postgres_options *options) {
    options->owner = home;
    options->role = *home->role && !atomic_load(&home->bare) ? home->role : NULL;
}

bool home_goes_bare(struct home *home, const struct postgres_options *options, const struct error *err) {
    if (!options->role || strcmp(err->sqlstate, "08P01") != 0)
        return false;
    atomic_store(&home->bare, true);
    return true;
}

static struct home *home_of(const struct postgres *postgres) {
    return postgres_owner(postgres);
}

const char *home_schema(const struct postgres *postgres) {
    return home_of(postgres)->schema;
}

const char *home_role(const struct postgres *postgres) {
    const char *role = home_of(postgres)->role;
    return *role ? role : NULL;
}

// ---- text --------------------------------------------------------------------------------------------------------------

static char *render(const char *sql, const char *schema) {
    cleanup_text struct text text = TEXT(1 << 20);
    for (const char *mark; (mark = strstr(sql, MARK)); sql = mark + strlen(MARK)) {
        text_append_view(&text, (struct view){sql, (size_t)(mark - sql)});
        text_printf(&text, "\"%s\"", schema);
    }
    text_append(&text, sql);
    char *copy = memory_alloc(text.length + 1);
    memcpy(copy, text_string(&text), text.length);
    return copy;
}

// There are a few dozen of them.
static const char *sql_of(const struct postgres *postgres, const char *sql) {
    struct home *home = home_of(postgres);
    (void)pthread_mutex_lock(&home->lock);
    struct rendered *rendered = home->first;
    while (rendered && rendered->sql != sql)
        rendered = rendered->next;
    if (!rendered) {
        rendered = memory_alloc(sizeof(*rendered));
        *rendered = (struct rendered){.sql = sql, .text = render(sql, home->schema), .next = home->first};
        home->first = rendered;
    }
    (void)pthread_mutex_unlock(&home->lock);
    return rendered->text;
}

// ---- commands ----------------------------------------------------------------------------------------------------------

bool home_send(struct postgres *postgres, const char *sql, const char *const *values, size_t count, struct error *err) {
    return postgres_send(postgres, sql_of(postgres, sql), values, count, err);
}

bool home_send_often(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                     struct error *err) {
    return postgres_send_often(postgres, sql_of(postgres, sql), values, count, err);
}

static bool send_role(struct postgres *postgres, const char *role, struct error *err) {
    return postgres_send(postgres, "SELECT pg_catalog.set_config('role', $1, true)", &role, 1, err);
}

bool home_send_role(struct postgres *postgres, size_t *count, struct error *err) {
    const char *role = home_role(postgres);
    if (role && !send_role(postgres, role, err))
        return false;
    *count += role != NULL;
    return true;
}

// `text`: rendered.
static bool query_as(struct postgres *postgres, const char *role, const char *text, const char *const *values,
                     size_t count, struct postgres_rows **ret_rows, struct error *err) {
    if (!role)
        return postgres_query(postgres, text, values, count, ret_rows, err);
    if (!send_role(postgres, role, err) || !postgres_send(postgres, text, values, count, err) ||
        !postgres_sync(postgres, err))
        return false;
    struct error late = {0};
    enum postgres_answer assumed = postgres_receive(postgres, NULL, err);
    if (assumed == POSTGRES_DONE)
        return postgres_take(postgres, ret_rows, err);
    if (assumed != POSTGRES_BROKEN) {
        (void)postgres_take(postgres, ret_rows, &late); // skipped
        (void)home_refused(postgres, err);
    }
    return false;
}

bool home_query(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                struct postgres_rows **ret_rows, struct error *err) {
    return query_as(postgres, home_role(postgres), sql_of(postgres, sql), values, count, ret_rows, err);
}

bool home_query_other(struct postgres *postgres, const char *schema, const char *sql, const char *const *values,
                      size_t count, struct postgres_rows **ret_rows, struct error *err) {
    if (!home_check_schema(schema, err))
        return false;
    char *text = render(sql, schema);
    bool done = query_as(postgres, home_role(postgres), text, values, count, ret_rows, err);
    free(text);
    return done;
}

bool home_query_login(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                      struct postgres_rows **ret_rows, struct error *err) {
    const char *role = home_role(postgres) ? "none" : NULL;
    return query_as(postgres, role, sql_of(postgres, sql), values, count, ret_rows, err);
}

bool home_refused(const struct postgres *postgres, struct error *err) {
    return home_role(postgres) && postgres_refuses_role(postgres, home_role(postgres), err);
}
