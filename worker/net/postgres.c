// PostgreSQL through libpq: a queue of commands in pipeline mode, COPY, cancelling, and errors in our words. How it connects is left to
// postgres_connect.c; what is sent, and what an answer means for a migration, to worker/migrate.
#include "net/postgres.h"

#include "base/clock.h"
#include "net/postgres_connect.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    INSIST_MS = 250,           // how often a cancel is repeated
    CANCEL_PATIENCE_MS = 5000, // how long a server may ignore our cancels
    COPY_CHUNK = 64 * 1024,
    OFTEN_MAX = 8,
};

struct often { // a statement that the server was told to prepare
    const char *sql;
    uint64_t number; // of the command that prepares it; also its name
};

struct postgres {
    PGconn *conn;
    void *owner;
    int wake;                      // eventfd: a cancel ends the wait at once
    atomic_bool cancelled;         // somebody asked to cancel
    atomic_bool abandoned;         // nobody wants an answer any more
    bool dead;                     // it said its last word, or we gave it up
    bool unflushed;                // commands were queued that the server may answer only into its own buffer
    uint64_t round_trips, covered; // waits; commands that were sent when the last of them began
    unsigned position;
    uint64_t touched;        // rows, by the last command
    uint64_t sent, received; // commands and syncs, counted
    struct often often[OFTEN_MAX];
    bool dropped;    // somebody dropped our prepared statements
    bool unprepared; // none are to be made
};
struct postgres_rows; // a PGresult under another name, so that no other file needs to know libpq

// ---- errors ------------------------------------------------------------------------------------------------------------

static void copy_field(char *destination, size_t size, const PGresult *result, int field) {
    text_copy(destination, size, view_of(PQresultErrorField(result, field)));
}

// What a statement itself raises on a session that lives on is no word about our connection: DROP DATABASE of one that is not there,
// CREATE SUBSCRIPTION that does not reach its publisher, a RAISE. Only full disks and the like (class 53) may pass.
static enum error_code code_of(const struct postgres *postgres, const char *sqlstate) {
    enum error_code code = postgres_code_of(sqlstate, atomic_load(&postgres->cancelled));
    bool ours = postgres->dead || !strncmp(sqlstate, "53", 2);
    return (code == ERROR_DATABASE_UNAVAILABLE || code == ERROR_DATABASE_REFUSED) && !ours ? ERROR_MIGRATION_FAILED
                                                                                           : code;
}

// Where an error came about. When that is a statement that a function made, it is quoted, and it may be ALTER ROLE
// ... PASSWORD '...': one that speaks of a password is quoted without its strings.
static void append_context(const char *context, struct text *out) {
    bool secret = strcasestr(context, "password") != NULL;
    const char *at = context, *quote = NULL;
    while (secret && (quote = strchr(at, '\'')) != NULL) {
        const char *end = strchr(quote + 1, '\'');
        text_append_view(out, (struct view){at, (size_t)(quote - at)});
        text_append(out, "'...'");
        at = end ? end + 1 : quote + strlen(quote);
    }
    text_append(out, at);
}

// Returns false. The SQLSTATE is empty when libpq itself reports that the connection is gone; after a FATAL error it is gone too, even
// though libpq notices only later.
static bool server_error(struct postgres *postgres, const PGresult *result, struct error *err) {
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (PQstatus(postgres->conn) == CONNECTION_BAD || !severity || strcmp(severity, "ERROR") != 0)
        postgres->dead = true;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    error_set(err, sqlstate ? code_of(postgres, sqlstate) : ERROR_DATABASE_UNAVAILABLE, "%s",
              message ? message : PQresultErrorMessage(result));
    cleanup_text struct text both = TEXT(sizeof(err->detail) * 4);
    text_append(&both, detail ? detail : "");
    if (context) {
        text_append(&both, detail ? " (" : "");
        append_context(context, &both);
        text_append(&both, detail ? ")" : "");
    }
    text_copy(err->detail, sizeof(err->detail), view_of(text_string(&both)));
    copy_field(err->hint, sizeof(err->hint), result, PG_DIAG_MESSAGE_HINT);
    copy_field(err->sqlstate, sizeof(err->sqlstate), result, PG_DIAG_SQLSTATE);
    uint64_t number = 0;
    postgres->position = position && text_to_u64(view_of(position), UINT32_MAX, &number) ? (unsigned)number : 0;
    return false;
}

static bool broken(struct postgres *postgres, struct error *err) {
    postgres->dead = true;
    struct view message = view_trim(view_of(PQerrorMessage(postgres->conn)));
    return error_set(err, ERROR_DATABASE_UNAVAILABLE, "the connection to the database broke: %.*s", (int)message.length,
                     message.data);
}

// ---- opening and closing -----------------------------------------------------------------------------------------------

bool postgres_open(const struct postgres_options *options, struct postgres **ret_postgres, struct error *err) {
    cleanup_postgres struct postgres *postgres = memory_alloc(sizeof(*postgres));
    postgres->owner = options->owner;
    postgres->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (postgres->wake < 0)
        return error_set(err, ERROR_INTERNAL, "eventfd: %m");
    if (!postgres_connect(options, &postgres->conn, err))
        return false;
    if (PQsetnonblocking(postgres->conn, 1) != 0 || !PQenterPipelineMode(postgres->conn))
        return broken(postgres, err);
    *ret_postgres = postgres;
    postgres = NULL;
    return true;
}

void postgres_close(struct postgres *postgres) {
    if (!postgres)
        return;
    PQfinish(postgres->conn);
    if (postgres->wake >= 0)
        close(postgres->wake);
    memory_cleanup(&postgres);
}

int postgres_backend_pid(const struct postgres *postgres) {
    return PQbackendPID(postgres->conn);
}

int postgres_server_version(const struct postgres *postgres) {
    return PQserverVersion(postgres->conn);
}

// Nobody sends anything to an idle session that did not LISTEN, except the news of its end.
bool postgres_alive(struct postgres *postgres) {
    struct pollfd fd = {.fd = PQsocket(postgres->conn), .events = POLLIN};
    return !postgres->dead && PQstatus(postgres->conn) == CONNECTION_OK && poll(&fd, 1, 0) == 0;
}

uint64_t postgres_round_trips(const struct postgres *postgres) {
    return postgres->round_trips;
}

void postgres_place(const struct postgres *postgres, struct postgres_place *ret_place) {
    text_copy(ret_place->host, sizeof(ret_place->host), view_of(PQhost(postgres->conn)));
    text_copy(ret_place->address, sizeof(ret_place->address), view_of(PQhostaddr(postgres->conn)));
    text_copy(ret_place->port, sizeof(ret_place->port), view_of(PQport(postgres->conn)));
}

void *postgres_owner(const struct postgres *postgres) {
    return postgres->owner;
}

bool postgres_refuses_role(const struct postgres *postgres, const char *role, struct error *err) {
    return postgres_judge_role(postgres->conn, role, err);
}

// ---- waiting and cancelling --------------------------------------------------------------------------------------------

void postgres_cancel(struct postgres *postgres) {
    atomic_store(&postgres->cancelled, true);
    uint64_t one = 1;
    if (write(postgres->wake, &one, sizeof(one)) < 0) // full: it is awake already
        return;
}

void postgres_uncancel(struct postgres *postgres) {
    atomic_store(&postgres->cancelled, false);
    uint64_t any;
    if (read(postgres->wake, &any, sizeof(any)) < 0) // empty: nobody had cancelled
        return;
}

void postgres_abandon(struct postgres *postgres) {
    atomic_store(&postgres->abandoned, true);
    uint64_t one = 1;
    if (write(postgres->wake, &one, sizeof(one)) < 0) // full: it is awake already
        return;
}

// The thread that waits sends the cancel itself: so the handle needs no lock, and a cancel that meets no statement is repeated for
// the next one.
static void send_cancel(struct postgres *postgres) {
    PGcancel *cancel = PQgetCancel(postgres->conn);
    char reason[256];
    if (cancel && !PQcancel(cancel, reason, sizeof(reason)))
        atomic_store(&postgres->cancelled, true); // not delivered: it is sent again, and in the end we leave
    PQfreeCancel(cancel);
}

static bool wait_socket(struct postgres *postgres, short events, struct error *err) {
    uint64_t cancelled_at = 0;
    for (;;) {
        if (atomic_load(&postgres->abandoned)) {
            postgres->dead = true;
            return error_set(err, ERROR_SHUTTING_DOWN, "the answer is not wanted any more");
        }
        if (atomic_load(&postgres->cancelled)) {
            if (!cancelled_at)
                cancelled_at = clock_ms();
            postgres->dead = clock_ms() - cancelled_at > CANCEL_PATIENCE_MS;
            if (postgres->dead)
                return error_set(err, ERROR_SHUTTING_DOWN, "shutting down; the server did not answer to the cancel");
            send_cancel(postgres);
        }
        struct pollfd fds[] = {{.fd = PQsocket(postgres->conn), .events = events},
                               {.fd = cancelled_at ? -1 : postgres->wake, .events = POLLIN}};
        int ready = poll(fds, 2, cancelled_at ? INSIST_MS : -1);
        if (ready < 0 && errno != EINTR)
            return broken(postgres, err);
        if (ready > 0 && fds[0].revents)
            return true;
    }
}

static bool pump(struct postgres *postgres, bool writing, struct error *err) {
    if (!wait_socket(postgres, (short)(POLLIN | (writing ? POLLOUT : 0)), err))
        return false;
    return PQconsumeInput(postgres->conn) || broken(postgres, err);
}

// Until the next result can be taken without blocking. Sends what is queued and drains what comes at the same time, so that two full
// socket buffers never wait for each other.
static bool wait_result(struct postgres *postgres, struct error *err) {
    while (PQisBusy(postgres->conn)) {
        if (postgres->received > postgres->covered) { // what we wait for was not under way during the last wait
            postgres->round_trips++;
            postgres->covered = postgres->sent;
        }
        if (postgres->unflushed && !postgres_flush(postgres, err))
            return false;
        int left = PQflush(postgres->conn);
        if (left < 0)
            return broken(postgres, err);
        if (!pump(postgres, left > 0, err))
            return false;
    }
    return true;
}

// ---- many commands ahead -----------------------------------------------------------------------------------------------

bool postgres_send(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                   struct error *err) {
    if (!PQsendQueryParams(postgres->conn, sql, (int)count, NULL, values, NULL, NULL, 0))
        return broken(postgres, err);
    postgres->unflushed = true;
    postgres->sent++;
    return true;
}

struct often_name {
    char text[32];
};
static const char *name_of(const struct often *often, struct often_name *name) {
    snprintf(name->text, sizeof(name->text), "pawl_%llu", (unsigned long long)often->number);
    return name->text;
}

static bool prepare(struct postgres *postgres, struct often *often, const char *sql, struct error *err) {
    struct often next = {.sql = sql, .number = postgres->sent};
    struct often_name name;
    if (!PQsendPrepare(postgres->conn, name_of(&next, &name), sql, 0, NULL))
        return broken(postgres, err);
    *often = next;
    postgres->sent++;
    return true;
}

bool postgres_send_often(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                         struct error *err) {
    if (postgres->dropped && postgres->sent == postgres->received)
        postgres_forget_prepared(postgres);
    size_t i = 0;
    while (i < OFTEN_MAX && postgres->often[i].sql && postgres->often[i].sql != sql)
        i++;
    if (i == OFTEN_MAX || postgres->dropped || postgres->unprepared)
        return postgres_send(postgres, sql, values, count, err);
    struct often_name name;
    if (!postgres->often[i].sql && !prepare(postgres, &postgres->often[i], sql, err))
        return false;
    if (!PQsendQueryPrepared(postgres->conn, name_of(&postgres->often[i], &name), (int)count, values, NULL, NULL, 0))
        return broken(postgres, err);
    postgres->unflushed = true;
    postgres->sent++;
    return true;
}

void postgres_may_prepare(struct postgres *postgres, bool may) {
    postgres->unprepared = !may;
}

void postgres_forget_prepared(struct postgres *postgres) {
    memset(postgres->often, 0, sizeof(postgres->often));
    postgres->dropped = false;
}

bool postgres_sync(struct postgres *postgres, struct error *err) {
    if (!PQpipelineSync(postgres->conn))
        return broken(postgres, err);
    postgres->unflushed = false;
    postgres->sent++;
    return true;
}

bool postgres_flush(struct postgres *postgres, struct error *err) {
    if (!PQsendFlushRequest(postgres->conn))
        return broken(postgres, err);
    postgres->unflushed = false;
    return true;
}

static enum postgres_answer receive(struct postgres *postgres, struct postgres_rows **ret_rows, struct error *err) {
    enum postgres_answer answer = POSTGRES_DONE;
    postgres->received++;
    PGresult *last = NULL;
    if (!ret_rows)
        PQsetSingleRowMode(postgres->conn); // refused where there is nothing to be single: that is fine
    for (;;) {
        if (!wait_result(postgres, err)) {
            answer = POSTGRES_BROKEN;
            break;
        }
        PGresult *result = PQgetResult(postgres->conn);
        if (!result)
            break;
        ExecStatusType status = PQresultStatus(result);
        PQclear(last);
        last = result;
        if (status == PGRES_PIPELINE_SYNC) {
            answer = POSTGRES_SYNCED;
            break;
        }
        if (status == PGRES_PIPELINE_ABORTED)
            answer = POSTGRES_SKIPPED;
        else if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)
            answer = server_error(postgres, result, err) || postgres->dead ? POSTGRES_BROKEN : POSTGRES_REFUSED;
        else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            postgres->dead = true;
            error_set(err, ERROR_MIGRATION_FAILED, "a COPY through the client was not recognised as one");
            answer = POSTGRES_BROKEN;
        }
        if (answer == POSTGRES_BROKEN)
            break;
    }
    if (answer == POSTGRES_DONE && !last) {
        error_set(err, ERROR_INTERNAL, "waited for an answer to nothing");
        return POSTGRES_BROKEN;
    }
    if (answer == POSTGRES_DONE && !text_to_u64(view_of(PQcmdTuples(last)), UINT64_MAX, &postgres->touched))
        postgres->touched = 0;
    if (answer == POSTGRES_DONE && ret_rows)
        *ret_rows = (struct postgres_rows *)last;
    else
        PQclear(last);
    return answer;
}

// A command that was prepared on the way has two answers: when the first is not good, the second only says that it was skipped.
enum postgres_answer postgres_receive(struct postgres *postgres, struct postgres_rows **ret_rows, struct error *err) {
    struct often *often = NULL;
    for (size_t i = 0; i < OFTEN_MAX; i++)
        if (postgres->often[i].sql && postgres->often[i].number == postgres->received)
            often = &postgres->often[i];
    enum postgres_answer prepared = often ? receive(postgres, NULL, err) : POSTGRES_DONE;
    if (prepared == POSTGRES_BROKEN)
        return prepared;
    struct error second = {0};
    enum postgres_answer answer = receive(postgres, ret_rows, prepared == POSTGRES_DONE ? err : &second);
    if (answer == POSTGRES_REFUSED && !strcmp(err->sqlstate, "26000"))
        postgres->dropped = true; // to be forgotten when nothing is under way any more
    if (prepared == POSTGRES_DONE || answer == POSTGRES_BROKEN)
        return answer;
    *often = (struct often){0};
    return prepared;
}

uint64_t postgres_touched(const struct postgres *postgres) {
    return postgres->touched;
}

unsigned postgres_position(const struct postgres *postgres) {
    return postgres->position;
}

bool postgres_in_transaction(const struct postgres *postgres) {
    PGTransactionStatusType status = PQtransactionStatus(postgres->conn);
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

// ---- one command at a time ---------------------------------------------------------------------------------------------

bool postgres_query(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                    struct postgres_rows **ret_rows, struct error *err) {
    return postgres_send(postgres, sql, values, count, err) && postgres_sync(postgres, err) &&
           postgres_take(postgres, ret_rows, err);
}

bool postgres_take(struct postgres *postgres, struct postgres_rows **ret_rows, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    enum postgres_answer answer = postgres_receive(postgres, &rows, err);
    if (answer == POSTGRES_BROKEN)
        return false;
    struct error late = {0};
    enum postgres_answer end = postgres_receive(postgres, NULL, &late);
    // A deferred constraint speaks up at the implicit commit; and a connection that breaks explains more than a refusal before it.
    if ((answer == POSTGRES_DONE && end != POSTGRES_SYNCED) || end == POSTGRES_BROKEN)
        *err = late;
    if (end == POSTGRES_REFUSED && postgres_receive(postgres, NULL, &late) != POSTGRES_SYNCED)
        *err = late;
    if (answer != POSTGRES_DONE || end != POSTGRES_SYNCED)
        return false;
    *ret_rows = rows;
    rows = NULL;
    return true;
}

bool postgres_take_all(struct postgres *postgres, size_t count, struct postgres_rows **ret_rows, struct error *err) {
    bool done = true;
    for (size_t i = 0; i <= count; i++) {
        struct error later = {0};
        enum postgres_answer answer = postgres_receive(postgres, i == 0 ? ret_rows : NULL, done ? err : &later);
        if (answer == POSTGRES_BROKEN) {
            *err = done ? *err : later;
            return false;
        }
        done = done && answer != POSTGRES_REFUSED;
    }
    return done;
}

bool postgres_execute(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                      struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    return postgres_query(postgres, sql, values, count, &rows, err);
}

void postgres_rows_free(struct postgres_rows *rows) {
    PQclear((PGresult *)rows);
}

size_t postgres_row_count(const struct postgres_rows *rows) {
    return (size_t)PQntuples((const PGresult *)rows);
}

const char *postgres_value(const struct postgres_rows *rows, size_t row, size_t column) {
    const PGresult *result = (const PGresult *)rows;
    return PQgetisnull(result, (int)row, (int)column) ? NULL : PQgetvalue(result, (int)row, (int)column);
}

const char *postgres_tag(const struct postgres_rows *rows) {
    return PQcmdStatus((PGresult *)rows);
}

// ---- COPY --------------------------------------------------------------------------------------------------------------

static bool flush_all(struct postgres *postgres, struct error *err) {
    int left;
    while ((left = PQflush(postgres->conn)) > 0)
        if (!pump(postgres, true, err))
            return false;
    return left == 0 || broken(postgres, err);
}

// An error of the server during the data shows only at its end: until then it reads on and throws the data away.
static bool put_data(struct postgres *postgres, struct view data, struct error *err) {
    while (data.length > 0) {
        size_t chunk = data.length < COPY_CHUNK ? data.length : COPY_CHUNK;
        int put = PQputCopyData(postgres->conn, data.data, (int)chunk);
        if (put < 0)
            return broken(postgres, err);
        if (put > 0) {
            data.data += chunk;
            data.length -= chunk;
        }
        if (!flush_all(postgres, err))
            return false;
    }
    if (PQputCopyEnd(postgres->conn, NULL) < 0)
        return broken(postgres, err);
    postgres->round_trips++;
    return true;
}

static bool drop_data(struct postgres *postgres, struct error *err) {
    for (;;) {
        char *line = NULL;
        int got = PQgetCopyData(postgres->conn, &line, 1);
        PQfreemem(line);
        if (got < 0)
            return true; // the end, or an error that the next result tells
        if (got == 0 && !pump(postgres, false, err))
            return false;
    }
}

static bool copy_results(struct postgres *postgres, struct view data, struct error *err) {
    bool done = true;
    for (;;) {
        if (!wait_result(postgres, err))
            return false;
        PGresult *result = PQgetResult(postgres->conn);
        if (!result)
            return done;
        ExecStatusType status = PQresultStatus(result);
        bool alive = true;
        if (status == PGRES_COPY_IN)
            alive = put_data(postgres, data, err);
        else if (status == PGRES_COPY_OUT)
            alive = drop_data(postgres, err);
        else if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)
            done = server_error(postgres, result, err);
        PQclear(result);
        if (!alive)
            return false;
    }
}

bool postgres_copy(struct postgres *postgres, struct view sql, struct view data, struct error *err) {
    cleanup_text struct text command = TEXT(SIZE_MAX / 2);
    text_append_view(&command, sql);
    if (!PQexitPipelineMode(postgres->conn) || !PQsendQuery(postgres->conn, text_string(&command)))
        return broken(postgres, err);
    postgres->round_trips++;
    bool done = copy_results(postgres, data, err);
    if (PQstatus(postgres->conn) == CONNECTION_OK && !PQenterPipelineMode(postgres->conn) && done)
        return broken(postgres, err);
    return done;
}
