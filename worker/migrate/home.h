// Where a connection is at home: the schema that the ledger is in, and the role that everything is done as, the ledger's own commands
// too. Both are the target's own settings, never from a message. The ledger's commands are constant texts that say {ledger} where the
// name of its schema belongs: here, and nowhere else, it gets there.
//
// The role is assumed at three places. As a start-up parameter, so that a RESET ROLE anywhere comes back to it (but for PostgreSQL 12.21,
// 13.17, 14.14, 15.9, 16.5 and 17.1, which ignore it); with the settings of a session or transaction (session.h), because poolers
// refuse the parameter or drop it; and by home_query for a command of its own. So what is asked about tables outside of a transaction
// goes through home_query: the login may not even see them.
#pragma once
#include "net/postgres.h"

#define HOME_SCHEMA "pawl"   // where nothing else is said
enum { HOME_NAME_MAX = 63 }; // bytes that PostgreSQL keeps of a name
// A schema's name is 1 to 63 of a-z, 0-9 and _, does not begin with a digit or pg_, and is not one that PostgreSQL or its clients use.
// A role may have any name that PostgreSQL would keep whole, but "none", which means no role at all. Errors: ERROR_CONFIGURATION.
bool home_check_schema(const char *name, struct error *err);
bool home_check_role(const char *name, struct error *err);

struct home; // thread-safe; outlives the connections that have it as their owner
struct home *home_new(const char *schema, const char *role); // copied; both are checked; NULL: HOME_SCHEMA, no role
void home_free(struct home *home);
// Makes the connection to come one of this home. When a pooler then refuses the start-up parameter, home_goes_bare
// is true, and the next try does without: for good, as the pooler stays where it is.
void home_prepare(struct home *home, struct postgres_options *options);
bool home_goes_bare(struct home *home, const struct postgres_options *options, const struct error *err);

const char *home_schema(const struct postgres *postgres);
const char *home_role(const struct postgres *postgres); // NULL: that of the login

// As postgres_send and postgres_send_often, for a constant text with {ledger}: rendered once for each database. As whom is settled by
// what was sent before.
bool home_send(struct postgres *postgres, const char *sql, const char *const *values, size_t count, struct error *err);
bool home_send_often(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                     struct error *err);
// Makes the transaction the role's, to its end. Queues one command where there is a role, and counts it.
bool home_send_role(struct postgres *postgres, size_t *count, struct error *err);
// As postgres_query, in a transaction of its own, as the role; in one round trip.
bool home_query(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                struct postgres_rows **ret_rows, struct error *err);
// The same to the ledger in another schema.
bool home_query_other(struct postgres *postgres, const char *schema, const char *sql, const char *const *values,
                      size_t count, struct postgres_rows **ret_rows, struct error *err);
// The same as home_query, as the login: a session shows more of itself to its own login than to the role that it has assumed.
bool home_query_login(struct postgres *postgres, const char *sql, const char *const *values, size_t count,
                      struct postgres_rows **ret_rows, struct error *err);
// A refusal to assume the role becomes ERROR_DATABASE_REFUSED with what to do about it; any other error stays as it is (false).
bool home_refused(const struct postgres *postgres, struct error *err);
