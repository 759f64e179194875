// The tables of the ledger, how they come about and how they are told from somebody else's.
#include "migrate/ledger.h"

#include "migrate/home.h"
#include "migrate/lock.h"

#include <string.h>

// The trigger does not look at what our own bookkeeping changes (finished_at, ms), and fires for everybody.
static const char *const first_layout[] = {
    "COMMENT ON SCHEMA {ledger} IS 'pawl: which migrations are in effect, and the runs that brought them'",
    "CREATE TABLE {ledger}.state ("
    " one boolean PRIMARY KEY DEFAULT true CHECK (one),"
    " ledger integer NOT NULL,"
    " digest text,"
    " newest text,"
    " applied bigint NOT NULL DEFAULT 0)",
    "CREATE TABLE {ledger}.migrations ("
    " kind text NOT NULL CHECK (kind IN ('versioned', 'repeatable')),"
    " version text COLLATE \"C\" NOT NULL,"
    " name text NOT NULL,"
    " file text NOT NULL,"
    " checksum text NOT NULL,"
    " state text NOT NULL CHECK (state IN ('applied', 'partial')),"
    " statements integer NOT NULL,"
    " done integer NOT NULL,"
    " hashes text[] NOT NULL DEFAULT '{}',"
    " in_flight integer,"
    " in_flight_hash text,"
    " in_flight_text text,"
    " in_flight_before text[],"
    " run text NOT NULL,"
    " transaction bigint,"
    " applied_by text NOT NULL DEFAULT session_user,"
    " started_at timestamptz NOT NULL DEFAULT now(),"
    " finished_at timestamptz,"
    " ms bigint,"
    " PRIMARY KEY (kind, version))",
    "CREATE TABLE {ledger}.runs ("
    " id text COLLATE \"C\" PRIMARY KEY,"
    " state text NOT NULL,"
    " attempts integer NOT NULL DEFAULT 1,"
    " target text, release text, \"to\" text, reason text, publisher text,"
    " delivery_attempt bigint,"
    " worker text,"
    " applied bigint NOT NULL DEFAULT 0,"
    " pending bigint NOT NULL DEFAULT 0,"
    " error text, message text, file text, line integer, statement integer, sqlstate text, detail text, hint text,"
    " ran_by text NOT NULL DEFAULT session_user,"
    " started_at timestamptz NOT NULL DEFAULT now(),"
    " finished_at timestamptz)",
    "CREATE FUNCTION {ledger}.forget_digest() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS"
    " $$BEGIN UPDATE {ledger}.state SET digest = NULL WHERE digest IS NOT NULL; RETURN NULL; END$$",
    "CREATE TRIGGER forget_digest AFTER DELETE OR TRUNCATE OR UPDATE OF kind, version, checksum, state"
    " ON {ledger}.migrations FOR EACH STATEMENT EXECUTE FUNCTION {ledger}.forget_digest()",
    "INSERT INTO {ledger}.state (ledger) VALUES (1)",
};
static const char *const second_layout[] = {
    "ALTER TABLE {ledger}.runs ADD COLUMN proof jsonb",
    "UPDATE {ledger}.state SET ledger = 2",
};
static const char *const third_layout[] = {
    "ALTER TABLE {ledger}.runs ADD COLUMN origin jsonb, ADD COLUMN progress text",
    "UPDATE {ledger}.state SET ledger = 3",
};
#define LAYOUT(commands)                                                                                               \
    { (commands), sizeof(commands) / sizeof((commands)[0]) }
// layouts[n] leads from version n to n + 1.
static const struct {
    const char *const *commands;
    size_t count;
} layouts[LEDGER_VERSION] = {LAYOUT(first_layout), LAYOUT(second_layout), LAYOUT(third_layout)};
#undef LAYOUT

static const char look[] =
    "SELECT n.oid IS NOT NULL,"
    " EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass"
    "  AND d.refobjid = n.oid AND d.deptype = 'n'),"
    " EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
    "  WHERE c.relnamespace = n.oid AND c.relname = 'state' AND a.attname = 'ledger' AND NOT a.attisdropped),"
    " pg_catalog.format('GRANT CREATE ON DATABASE %I TO %I; or, by an administrator: CREATE SCHEMA %I AUTHORIZATION "
    "%I',"
    "  pg_catalog.current_database(), current_user, $1::text, current_user),"
    " pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "
    "%I"
    " TO %I', $1::text, current_user, $1::text, current_user),"
    " pg_catalog.format('let %s, who owns the ledger, run pawl once', pg_catalog.pg_get_userbyid(n.nspowner)),"
    " pg_catalog.format('ALTER SCHEMA %I OWNER TO %I', $1::text, current_user)"
    " FROM (VALUES (1)) one (x) LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1";

static const char state_sql[] = "SELECT ledger FROM {ledger}.state";

enum presence { ABSENT, EMPTY_SCHEMA, PRESENT };
struct sight {
    enum presence presence;
    uint64_t version;
};

static bool is_true(const struct postgres_rows *rows, size_t column) {
    const char *value = postgres_value(rows, 0, column);
    return value && *value == 't';
}

// "permission denied" becomes a refusal that says which GRANT is missing.
static bool name_grant(const struct postgres *postgres, const char *grant, struct error *err) {
    if (strcmp(err->sqlstate, "42501") != 0)
        return false;
    err->code = ERROR_DATABASE_REFUSED;
    text_copy(err->hint, sizeof(err->hint), view_of(grant));
    return error_wrap(err, "the role may not use the ledger (schema %s)", home_schema(postgres));
}

static bool state_lost(const char *schema, struct error *err) {
    error_set(err, ERROR_LEDGER_FOREIGN, "the ledger's tables are there, but the one row of %s.state is lost", schema);
    cleanup_text struct text hint = TEXT(sizeof(err->hint) - 1);
    text_printf(&hint,
                "Keep the schema: it says what is applied. Put the row back: INSERT INTO %s.state (ledger) VALUES"
                " (%d), where %d is the layout of the pawl that wrote there last (this one's is %d).",
                schema, LEDGER_VERSION, LEDGER_VERSION, LEDGER_VERSION);
    text_copy(err->hint, sizeof(err->hint), view_of(text_string(&hint)));
    return false;
}

static bool see(struct postgres *postgres, struct postgres_rows **ret_rows, struct sight *ret_sight,
                struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL, *state = NULL;
    const char *schema = home_schema(postgres);
    if (!home_query(postgres, look, &schema, 1, &rows, err))
        return error_wrap(err, "cannot look for the ledger");
    struct sight sight = {.presence = !is_true(rows, 0) ? ABSENT : !is_true(rows, 1) ? EMPTY_SCHEMA : PRESENT};
    if (sight.presence == PRESENT && !is_true(rows, 2))
        return error_set(err, ERROR_LEDGER_FOREIGN, "there is a schema %s that is not a ledger of this tool", schema);
    if (sight.presence == PRESENT) {
        if (!home_query(postgres, state_sql, NULL, 0, &state, err))
            return name_grant(postgres, postgres_value(rows, 0, 4), err);
        if (postgres_row_count(state) == 0)
            return state_lost(schema, err);
        const char *version = postgres_row_count(state) == 1 ? postgres_value(state, 0, 0) : NULL;
        if (!version || !text_to_u64(view_of(version), UINT32_MAX, &sight.version) || sight.version == 0)
            return error_set(err, ERROR_LEDGER_FOREIGN, "%s.state does not hold one row with the ledger's version",
                             schema);
        if (sight.version > LEDGER_VERSION)
            return error_set(err, ERROR_LEDGER_NEWER, "the ledger has version %s, this pawl knows up to %d", version,
                             LEDGER_VERSION);
    }
    *ret_sight = sight;
    *ret_rows = rows;
    rows = NULL;
    return true;
}

bool ledger_look(struct postgres *postgres, bool *ret_exists, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    struct sight sight = {0};
    if (!see(postgres, &rows, &sight, err))
        return false;
    *ret_exists = sight.presence == PRESENT;
    return true;
}

// ---- another ledger ----------------------------------------------------------------------------------------------------

static const char others_sql[] =
    "SELECT n.nspname FROM pg_catalog.pg_namespace n"
    " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)"
    " AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND n.nspname ~ '^[a-z_][a-z0-9_]*$'"
    " AND 2 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = "
    "c.oid"
    "  WHERE c.relnamespace = n.oid AND c.relkind = 'r' AND NOT a.attisdropped"
    "  AND (c.relname, a.attname) IN (('state', 'ledger'), ('migrations', 'checksum'))"
    "  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) ORDER BY 1";
static const char same_sql[] = "SELECT pg_catalog.count(*) FROM {ledger}.migrations WHERE kind = 'versioned'"
                               " HAVING pg_catalog.bool_and(checksum = ANY ($1::text[]))";

static bool elsewhere(const char *schema, const char *other, const char *count, struct error *err) {
    cleanup_text struct text hint = TEXT(sizeof(err->hint) - 1);
    error_set(err, ERROR_LEDGER_ELSEWHERE,
              "there is no ledger in schema %s, but the one in schema %s has %s of these files applied, and no others: "
              "they would be applied once more",
              schema, other, count);
    text_printf(&hint,
                "Name schema %s, if that is the ledger. If there are to be two: pawl adopt, or CREATE SCHEMA %s (owned"
                " by who migrates) to have everything applied once more.",
                other, schema);
    text_copy(err->hint, sizeof(err->hint), view_of(text_string(&hint)));
    return false;
}

bool ledger_check_others(struct postgres *postgres, const struct migration_set *set, struct error *err) {
    cleanup_rows struct postgres_rows *others = NULL;
    cleanup_text struct text checksums = TEXT(64 << 20);
    const char *schema = home_schema(postgres);
    if (!home_query(postgres, others_sql, &schema, 1, &others, err))
        return error_wrap(err, "cannot look for other ledgers");
    for (size_t i = 0; i < set->count; i++)
        text_printf(&checksums, "%c%s", i ? ',' : '{', set->items[i].checksum);
    text_append(&checksums, set->count ? "}" : "{}");
    const char *values[] = {text_string(&checksums)};
    for (size_t i = 0; i < postgres_row_count(others); i++) {
        cleanup_rows struct postgres_rows *same = NULL;
        const char *other = postgres_value(others, i, 0);
        if (!home_query_other(postgres, other, same_sql, values, 1, &same, err))
            return error_wrap(err, "cannot look at the ledger in schema %s", other);
        if (postgres_row_count(same) == 1)
            return elsewhere(schema, other, postgres_value(same, 0, 0), err);
    }
    return true;
}

// ---- building ----------------------------------------------------------------------------------------------------------

// All in one transaction and one round trip.
static bool build(struct postgres *postgres, const struct sight *sight, bool pooled, struct error *err) {
    static const char create[] = "CREATE SCHEMA {ledger}";
    size_t sent = 0;
    bool queued = postgres_send(postgres, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", NULL, 0, err) && ++sent;
    if (queued && pooled)
        queued = postgres_send(postgres, LOCK_FOR_TRANSACTION, NULL, 0, err) && ++sent;
    queued = queued && home_send_role(postgres, &sent, err);
    if (queued && sight->presence == ABSENT)
        queued = home_send(postgres, create, NULL, 0, err) && ++sent;
    for (uint64_t version = sight->version; version < LEDGER_VERSION; version++)
        for (size_t i = 0; queued && i < layouts[version].count; i++)
            queued = home_send(postgres, layouts[version].commands[i], NULL, 0, err) && ++sent;
    return queued && postgres_send(postgres, "COMMIT", NULL, 0, err) && ++sent && postgres_sync(postgres, err) &&
           postgres_take_all(postgres, sent, NULL, err);
}

// Cheap, and enough nearly always: what it does not understand is for see() to name.
static bool is_current(struct postgres *postgres, bool *ret_current, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    uint64_t version = 0;
    bool done = home_query(postgres, state_sql, NULL, 0, &rows, err);
    *ret_current = done && postgres_row_count(rows) == 1 &&
                   text_to_u64(view_of(postgres_value(rows, 0, 0)), UINT32_MAX, &version) && version == LEDGER_VERSION;
    return done || postgres_alive(postgres);
}

bool ledger_prepare(struct postgres *postgres, bool pooled, bool known, struct error *err) {
    cleanup_rows struct postgres_rows *rows = NULL;
    struct sight sight = {0};
    bool current = false;
    if (known && !is_current(postgres, &current, err))
        return false;
    if (current)
        return true;
    *err = (struct error){0};
    if (!see(postgres, &rows, &sight, err))
        return false;
    if (sight.presence == PRESENT && sight.version == LEDGER_VERSION)
        return true;
    if (build(postgres, &sight, pooled, err))
        return true;
    struct error ignored = {0};
    bool there = sight.presence == PRESENT;
    const char *failed = there ? "cannot upgrade the ledger" : "cannot create the ledger";
    if (postgres_in_transaction(postgres) && !postgres_execute(postgres, "ROLLBACK", NULL, 0, &ignored))
        return error_wrap(err, "%s", failed); // the connection is gone, and the transaction with it
    if (!strcmp(err->sqlstate, "42501"))
        return name_grant(postgres, postgres_value(rows, 0, there ? 5 : sight.presence == EMPTY_SCHEMA ? 6 : 3), err);
    // Without the lock of a session, another run may have built it after we looked.
    if (pooled &&
        (!strcmp(err->sqlstate, "22012") || !strncmp(err->sqlstate, "42P0", 4) || !strcmp(err->sqlstate, "23505")))
        err->code = ERROR_LOCK_HELD;
    return error_wrap(err, "%s", failed);
}
