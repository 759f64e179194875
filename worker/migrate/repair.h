// What only a human can decide about the ledger, written under the lock: how a statement that was cut off came out, that a changed
// file is right as it is now, that a file is gone for good.
#pragma once
#include "migrate/run.h"

enum repair_action {
    REPAIR_DONE,   // the statement that was cut off took effect
    REPAIR_AGAIN,  // it did not, and nothing is left of it: the next run sends it again
    REPAIR_ACCEPT, // the file was changed after it was applied, and that is fine
    REPAIR_FORGET, // the file is gone, and the ledger is to forget it
};
struct repair_request {
    enum repair_action action;
    const char *file;              // file name, or version
    const struct run_request *run; // its errand is ours; without a reason, what is done is the reason
};
// Recorded in pawl.runs as "repaired". `ret_file`: the file whose row was mended; in the arena. Errors: ERROR_USAGE
// when there is nothing of the kind to be mended, those of run_execute about connection, lock and ledger;
// ERROR_DATABASE_POOLER.
bool repair_execute(struct run_database *database, const struct migration_set *set,
                    const struct repair_request *request, const struct run_observer *observer,
                    struct run_control *control, struct arena *arena, const char **ret_file, struct error *err);
