// Where a run gets its connection from, and puts it back.
#pragma once
#include "migrate/run.h"

// `ret_warm`: it was open already, so the server may have ended it without our noticing. Errors: those of postgres_open.
bool database_take(struct run_database *database, struct run_control *control, struct postgres **ret_postgres,
                   bool *ret_warm, struct error *err);
// A connection to the very server that `place` says, whatever the spare one is; the caller closes it.
bool database_second(struct run_database *database, const struct postgres_place *place, const atomic_bool *stop,
                     struct postgres **ret_postgres, struct error *err);
// Keeps the connection for the next run, or closes it when there is one already. It must be clean: no lock, no transaction, no settings.
void database_put(struct run_database *database, struct postgres *postgres);
