// How postgres.c comes to a connection of libpq. For postgres.c only: nobody else sees libpq.
#pragma once
#include "net/postgres.h"
#include <libpq-fe.h>

// Connects within the deadline. Errors as postgres_open says; libpq's messages come without the password. `*ret_conn`, for PQfinish, may
// be set even on failure.
bool postgres_connect(const struct postgres_options *options, PGconn **ret_conn, struct error *err);

// See postgres_refuses_role.
bool postgres_judge_role(PGconn *conn, const char *role, struct error *err);

// An SQLSTATE in our words (PostgreSQL 15, appendix A). `cancelled`: somebody asked for the statement to be cancelled.
enum error_code postgres_code_of(const char *sqlstate, bool cancelled);
