// From a connection string to a connection: what libpq is told, how long it may take, and what a refusal means. What happens on the
// connection is left to postgres.c.
#include "net/postgres_connect.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
    STOP_CHECK_MS = 100, // how often connecting looks at `stop`
    KEYWORDS_MAX = 64,   // libpq 15 knows about 40
    SOCKET_MAX = 107,    // bytes of a unix socket's path: unix(7)
};

static bool class_is(const char *sqlstate, const char *class) {
    return strncmp(sqlstate, class, 2) == 0;
}

enum error_code postgres_code_of(const char *sqlstate, bool cancelled) {
    if (!strcmp(sqlstate, "57014") && cancelled)
        return ERROR_SHUTTING_DOWN;
    if (class_is(sqlstate, "08") || class_is(sqlstate, "53") || !strncmp(sqlstate, "57P0", 4) ||
        !strcmp(sqlstate, "25P03"))
        return ERROR_DATABASE_UNAVAILABLE;
    if (class_is(sqlstate, "28") || !strcmp(sqlstate, "3D000"))
        return ERROR_DATABASE_REFUSED;
    if (!strcmp(sqlstate, "55P03"))
        return ERROR_LOCK_TIMEOUT;
    if (!strcmp(sqlstate, "40001") || !strcmp(sqlstate, "40P01"))
        return ERROR_LOCK_CONFLICT;
    return ERROR_MIGRATION_FAILED;
}

// What libpq is told: our defaults where the URL says nothing, the URL's own values, and what must be so. Of ours
// only the role goes through the start-up parameter `options`, which poolers refuse.
struct keywords {
    const char *names[KEYWORDS_MAX], *values[KEYWORDS_MAX];
    size_t count;
    struct text options; // the start-up parameter, where it has to say more than the URL's
};

static const PQconninfoOption *option_of(const PQconninfoOption *options, const char *name) {
    for (; options->keyword; options++)
        if (!strcmp(options->keyword, name))
            return options->val && *options->val ? options : NULL;
    return NULL;
}

static const char *value_of(const PQconninfoOption *options, const char *name) {
    const PQconninfoOption *option = option_of(options, name);
    return option ? option->val : NULL;
}

static void add(struct keywords *keywords, const char *name, const char *value) {
    keywords->names[keywords->count] = name;
    keywords->values[keywords->count++] = value;
}

// Weaker modes would send a password in the clear, or to whoever takes the encryption away.
static bool is_weak_mode(const char *sslmode) {
    return strcmp(sslmode, "disable") == 0 || strcmp(sslmode, "allow") == 0 || strcmp(sslmode, "prefer") == 0;
}

static bool is_place(const char *keyword) {
    return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 || strcmp(keyword, "port") == 0;
}

// What the caller sets, not the URL.
static bool is_overruled(const struct postgres_options *options, const PQconninfoOption *option) {
    if (strcmp(option->keyword, "client_encoding") == 0)
        return true;
    if (strcmp(option->keyword, "options") == 0)
        return options->role != NULL;
    if (is_place(option->keyword))
        return options->place != NULL;
    if (strcmp(option->keyword, "password") == 0)
        return options->password != NULL;
    return options->tls && strcmp(option->keyword, "sslmode") == 0 && is_weak_mode(option->val);
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Behind what is asked for anyway. The server cuts it at white space, and takes what follows a backslash as it is (PostgreSQL 34.1.2).
static void add_role(struct keywords *keywords, const char *given, const char *role) {
    text_printf(&keywords->options, "%s%s-c role=", given ? given : "", given ? " " : "");
    for (; *role; role++) {
        if (!is_plain(*role))
            text_append_char(&keywords->options, '\\');
        text_append_char(&keywords->options, *role);
    }
    add(keywords, "options", text_string(&keywords->options));
}

static void merge(struct keywords *keywords, const PQconninfoOption *given, const struct postgres_options *options) {
    const struct {
        const char *name, *value;
    } defaults[] = {
        {"application_name", options->application_name ? options->application_name : "pawl"},
        {"user", options->user},
        {"keepalives", "1"},
        {"keepalives_idle", "30"}, // a silent network is noticed after about a minute
        {"keepalives_interval", "10"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "60000"},
    };
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        if (defaults[i].value && !option_of(given, defaults[i].name))
            add(keywords, defaults[i].name, defaults[i].value);
    for (const PQconninfoOption *option = given; option->keyword; option++)
        if (option->val && *option->val && !is_overruled(options, option) && keywords->count < KEYWORDS_MAX - 8)
            add(keywords, option->keyword, option->val);
    const char *sslmode = value_of(given, "sslmode");
    if (options->tls && (!sslmode || is_weak_mode(sslmode)))
        add(keywords, "sslmode", "require");
    if (options->password)
        add(keywords, "password", options->password);
    if (options->role) // libpq asks the environment only where it is told nothing
        add_role(keywords, value_of(given, "options") ? value_of(given, "options") : getenv("PGOPTIONS"),
                 options->role);
    if (options->place) {
        add(keywords, "host", options->place->host);
        add(keywords, "hostaddr", options->place->address);
        add(keywords, "port", options->place->port);
    }
    add(keywords, "client_encoding", "UTF8");
}

// A password with a bare '@', '/' or '?' in it makes libpq take a part of it for a host or port, and name that in its message.
// What comes after a first '/' or before a last '@' of the authority is looked at for that; RFC 3986 section 3.2 is on our side.
static bool password_spills(const char *url) {
    const char *start = strstr(url, "://");
    if (!start)
        return false;
    start += 3;
    size_t authority = strcspn(start, "/?");
    size_t path = strcspn(start, "?");
    const char *first = memchr(start, '@', path);
    return first && (first >= start + authority || memchr(first + 1, '@', (size_t)(start + path - first - 1)));
}

// libpq's message in one line, without the SQLSTATE that verbosity adds, without the place in the server's source, and without the
// password, should a server ever repeat it.
static void connect_message(const char *raw, const struct postgres_options *options, const PQconninfoOption *given,
                            struct text *message, char sqlstate[6]) {
    const char *password = options->password ? options->password : value_of(given, "password");
    static const char *const public[] = {"user", "dbname", "host"};
    for (size_t i = 0; password && i < sizeof(public) / sizeof(public[0]); i++)
        if (value_of(given, public[i]) && !strcmp(value_of(given, public[i]), password))
            password = NULL; // also a public word: hiding it would hide what is wrong
    size_t hidden = password ? strlen(password) : 0;
    for (const char *p = raw; *p;) {
        if (!strncmp(p, "\nLOCATION:", 10)) {
            p += 1 + strcspn(p + 1, "\n");
        } else if (!strncmp(p, ":  ", 3) && strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && p[8] == ':') {
            text_copy(sqlstate, 6, (struct view){p + 3, 5});
            text_append(message, ":");
            p += 9;
        } else if (hidden && !strncmp(p, password, hidden)) {
            text_append(message, "***");
            p += hidden;
        } else {
            text_append_char(message, *p == '\n' ? ' ' : *p);
            p++;
        }
    }
}

// libpq looks at most values only when it connects; before any server is asked it says so in these words.
static bool is_about_settings(const char *message) {
    static const char *const starts[] = {"invalid ",         "could not match ",        "definition of service ",
                                         "service file ",    "syntax error in service", "sslmode value ",
                                         "gssencmode value "};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (!strncmp(message, starts[i], strlen(starts[i])))
            return true;
    return false;
}

static void name_grant(PGconn *conn, const char *role, struct text *hint) {
    char *to = PQescapeIdentifier(conn, PQuser(conn), strlen(PQuser(conn)));
    char *what = PQescapeIdentifier(conn, role, strlen(role));
    text_printf(hint, "GRANT %s TO %s; or let the target name another role.", what ? what : role,
                to ? to : "the role that logs in");
    PQfreemem(what);
    PQfreemem(to);
}

// Both are set_config's, too. The name in the message is what tells them from refusals of another kind.
bool postgres_judge_role(PGconn *conn, const char *role, struct error *err) {
    bool absent = strcmp(err->sqlstate, "22023") == 0, forbidden = strcmp(err->sqlstate, "42501") == 0;
    cleanup_text struct text name = TEXT(1024), hint = TEXT(sizeof(err->hint) - 1);
    text_printf(&name, "\"%s\"", role);
    if ((!absent && !forbidden) || !strstr(err->message, text_string(&name)))
        return false;
    if (forbidden)
        name_grant(conn, role, &hint);
    else
        text_append(&hint, "Create that role and grant it to the one that logs in; or let the target name another.");
    err->code = ERROR_DATABASE_REFUSED;
    text_copy(err->hint, sizeof(err->hint), view_of(text_string(&hint)));
    error_wrap(err, "the target's role cannot be assumed");
    return true;
}

static bool connect_failed(PGconn *conn, const struct postgres_options *options, const PQconninfoOption *given,
                           struct error *err) {
    char sqlstate[6] = "";
    cleanup_text struct text message = TEXT(4096);
    connect_message(PQerrorMessage(conn), options, given, &message, sqlstate);
    enum error_code code = *sqlstate ? postgres_code_of(sqlstate, false) : ERROR_DATABASE_UNAVAILABLE;
    if (PQconnectionNeedsPassword(conn) || !strcmp(sqlstate, "42501"))
        code = ERROR_DATABASE_REFUSED;
    else if (code == ERROR_MIGRATION_FAILED)
        code = ERROR_DATABASE_UNAVAILABLE;
    struct view line = view_trim(view_of(text_string(&message)));
    if (!*sqlstate && is_about_settings(line.data))
        code = ERROR_CONFIGURATION;
    error_set(err, code, "cannot connect to the database: %.*s", (int)line.length, line.data);
    text_copy(err->sqlstate, sizeof(err->sqlstate), view_of(sqlstate));
    if (options->role)
        (void)postgres_judge_role(conn, options->role, err);
    return false;
}

static bool connect_wait(PGconn *conn, const struct postgres_options *options, uint64_t deadline,
                         const PQconninfoOption *given, struct error *err) {
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED)
            return connect_failed(conn, options, given, err);
        if (options->stop && atomic_load(options->stop))
            return error_set(err, ERROR_SHUTTING_DOWN, "shutting down while connecting to the database");
        uint64_t now = clock_ms();
        if (now >= deadline)
            return error_set(err, ERROR_DATABASE_UNAVAILABLE, "cannot connect to the database: no answer in time");
        uint64_t left = deadline - now;
        struct pollfd fd = {.fd = PQsocket(conn), .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int ready = poll(&fd, 1, left < STOP_CHECK_MS ? (int)left : STOP_CHECK_MS);
        if (ready < 0 && errno != EINTR)
            return error_set(err, ERROR_DATABASE_UNAVAILABLE, "cannot connect to the database: poll: %m");
        if (ready > 0)
            status = PQconnectPoll(conn);
    }
    return true;
}

static void drop_notice(void *context, const PGresult *notice) {
    (void)context, (void)notice;
}

static bool connect_with(const struct postgres_options *options, const PQconninfoOption *given, PGconn **ret_conn,
                         struct error *err) {
    struct keywords keywords = {.options = TEXT(1 << 16)};
    merge(&keywords, given, options);
    uint64_t timeout_s = 0;
    if (!text_to_u64(view_of(value_of(given, "connect_timeout")), 3600, &timeout_s) || timeout_s == 0)
        timeout_s = options->connect_timeout_s ? options->connect_timeout_s : 10;
    uint64_t deadline = clock_ms() + timeout_s * 1000;
    PGconn *conn = PQconnectStartParams(keywords.names, keywords.values, 0);
    text_done(&keywords.options);
    if (!conn)
        return error_set(err, ERROR_INTERNAL, "libpq has no memory");
    *ret_conn = conn;
    PQsetNoticeReceiver(conn, drop_notice, NULL);
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE); // the only way to the SQLSTATE of a refused connection
    if (PQstatus(conn) == CONNECTION_BAD)
        return connect_failed(conn, options, given, err);
    if (!connect_wait(conn, options, deadline, given, err))
        return false;
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    return true;
}

static void free_given(PQconninfoOption *given) {
    for (PQconninfoOption *option = given; option->keyword; option++)
        if (option->val)
            memory_wipe(option->val, strlen(option->val));
    PQconninfoFree(given);
}

// libpq says it too, but as of a server that is away: this one will never be there.
static bool check_socket(const PQconninfoOption *given, struct error *err) {
    const char *host = value_of(given, "host"), *port = value_of(given, "port");
    if (!host || *host != '/' || strchr(host, ','))
        return true;
    size_t length = strlen(host) + strlen("/.s.PGSQL.") + strlen(port ? port : "5432");
    return length <= SOCKET_MAX ||
           error_set(err, ERROR_CONFIGURATION,
                     "the database's socket in %.200s has a path of %zu bytes, and no socket may have more than %d: "
                     "mount it at a shorter path, or give the instance a shorter name",
                     host, length, SOCKET_MAX);
}

bool postgres_names_user(const char *url) {
    PQconninfoOption *given = PQconninfoParse(url, NULL);
    bool named = given && option_of(given, "user");
    if (given)
        free_given(given);
    return named;
}

bool postgres_connect(const struct postgres_options *options, PGconn **ret_conn, struct error *err) {
    if (password_spills(options->url))
        return error_set(err, ERROR_CONFIGURATION,
                         "the database URL has an '@' in an odd place: percent-encode '@', '/' and '?' in the password "
                         "(%%40, %%2F, %%3F)");
    // libpq's own message may quote the string, so it is not passed on.
    PQconninfoOption *given = PQconninfoParse(options->url, NULL);
    if (!given)
        return error_set(
            err, ERROR_CONFIGURATION,
            "the database URL is not understood: it is a URI (postgresql://user@host/name?sslmode=require) or "
            "keywords (host=... dbname=...), and a misspelt parameter counts too");
    bool connected = check_socket(given, err) && connect_with(options, given, ret_conn, err);
    free_given(given);
    return connected;
}
