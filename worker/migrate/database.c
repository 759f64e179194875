// A database and its one spare connection. What a session looks like is left to session.c.
#include "migrate/database.h"

#include "base/clock.h"
#include "migrate/control.h"
#include "migrate/home.h"

#include <pthread.h>
#include <string.h>

enum { SPARE_MS = 60 * 1000 };

struct run_database {
    struct run_login_source source;
    struct home *home;
    struct secret url;    // of a database that has no other source
    pthread_mutex_t lock; // for what follows
    pthread_cond_t warmed;
    bool warming; // a connection for us is under way on another thread
    struct postgres *spare;
    uint64_t spare_since;
};

void run_login_done(struct run_login *login) {
    secret_done(&login->url);
    secret_done(&login->password);
}

static bool give_url(void *context, bool refused, struct run_login *ret_login, struct error *err) {
    const struct run_database *database = context;
    (void)refused, (void)err;
    *ret_login = (struct run_login){0};
    secret_set(&ret_login->url, database->url.value);
    return true;
}

struct run_database *run_database_new(const char *url) {
    struct run_login_source source = {.fetch = give_url};
    struct run_database *database = run_database_new_login(&source);
    secret_set(&database->url, url);
    database->source.context = database;
    return database;
}

struct run_database *run_database_new_login(const struct run_login_source *source) {
    struct run_database *database = memory_alloc(sizeof(*database));
    database->source = *source;
    database->source.schema = database->source.role = NULL; // copied
    database->home = home_new(source->schema, source->role);
    pthread_mutex_init(&database->lock, NULL);
    pthread_cond_init(&database->warmed, NULL);
    return database;
}

void run_database_free(struct run_database *database) {
    if (!database)
        return;
    postgres_close(database->spare);
    home_free(database->home);
    secret_done(&database->url);
    pthread_cond_destroy(&database->warmed);
    pthread_mutex_destroy(&database->lock);
    memory_cleanup(&database);
}

static bool log_in(const struct run_database *database, const struct postgres_options *wanted, bool refused,
                   struct postgres **ret_postgres, struct error *err) {
    struct run_login login;
    if (!database->source.fetch(database->source.context, refused, &login, err))
        return false;
    struct postgres_options options = *wanted;
    options.url = login.url.value;
    options.user = login.user[0] ? login.user : NULL;
    options.password = login.password.value;
    options.tls = login.tls;
    options.application_name = "pawl";
    home_prepare(database->home, &options);
    bool open = postgres_open(&options, ret_postgres, err);
    if (!open && home_goes_bare(database->home, &options, err)) {
        *err = (struct error){0};
        home_prepare(database->home, &options);
        open = postgres_open(&options, ret_postgres, err);
    }
    run_login_done(&login);
    return open;
}

// A password that was changed meanwhile shows as a refusal (class 28 of SQLSTATE).
static bool connect(const struct run_database *database, const struct run_control *control,
                    struct postgres **ret_postgres, struct error *err) {
    struct postgres_options options = {.stop = control_flag(control)};
    if (log_in(database, &options, false, ret_postgres, err))
        return true;
    bool refused = err->code == ERROR_DATABASE_REFUSED && strncmp(err->sqlstate, "28", 2) == 0;
    return refused && database->source.renewable && log_in(database, &options, true, ret_postgres, err);
}

bool database_second(struct run_database *database, const struct postgres_place *place, const atomic_bool *stop,
                     struct postgres **ret_postgres, struct error *err) {
    struct postgres_options options = {.place = place, .stop = stop};
    return log_in(database, &options, false, ret_postgres, err);
}

bool run_database_warm(struct run_database *database, struct run_control *control, struct error *err) {
    pthread_mutex_lock(&database->lock);
    database->warming = true;
    pthread_mutex_unlock(&database->lock);
    struct postgres *postgres = NULL;
    bool connected = connect(database, control, &postgres, err);
    if (connected)
        database_put(database, postgres);
    pthread_mutex_lock(&database->lock);
    database->warming = false;
    pthread_cond_broadcast(&database->warmed);
    pthread_mutex_unlock(&database->lock);
    return connected;
}

// Takes the spare out, when it is younger than a minute or (`old`) when it is not; closing it needs no lock.
static struct postgres *spare_of(struct run_database *database, bool wait, bool old) {
    pthread_mutex_lock(&database->lock);
    while (wait && database->warming && !database->spare)
        pthread_cond_wait(&database->warmed, &database->lock);
    struct postgres *spare = NULL;
    if (database->spare && (clock_ms() - database->spare_since > SPARE_MS) == old) {
        spare = database->spare;
        database->spare = NULL;
    }
    pthread_mutex_unlock(&database->lock);
    return spare;
}

void run_database_tidy(struct run_database *database) {
    postgres_close(spare_of(database, false, true));
}

bool database_take(struct run_database *database, struct run_control *control, struct postgres **ret_postgres,
                   bool *ret_warm, struct error *err) {
    run_database_tidy(database);
    cleanup_postgres struct postgres *spare = spare_of(database, true, false);
    if (spare && postgres_alive(spare)) {
        *ret_postgres = spare;
        spare = NULL;
        *ret_warm = true;
        return true;
    }
    *ret_warm = false;
    return connect(database, control, ret_postgres, err);
}

void database_put(struct run_database *database, struct postgres *postgres) {
    pthread_mutex_lock(&database->lock);
    if (!database->spare) {
        database->spare = postgres;
        database->spare_since = clock_ms();
        postgres = NULL;
    }
    pthread_mutex_unlock(&database->lock);
    postgres_close(postgres);
}
