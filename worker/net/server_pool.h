// A small pool of threads, started one by one when there is more work than idle hands. Jobs are taken in order. How many may
// wait is the caller's business: each connection brings at most one.
#pragma once
#include "base/error.h"

struct server_pool;
struct server_job { // lives inside the caller's own structure
    struct server_job *next;
    void (*run)(struct server_job *job); // may free the job
};

// At least one thread is there from the start; all of them block every signal. Errors: ERROR_CONFIGURATION.
bool server_pool_new(unsigned threads, struct server_pool **ret_pool, struct error *err);
void server_pool_add(struct server_pool *pool, struct server_job *job);
void server_pool_free(struct server_pool *pool); // finishes all jobs first; NULL is fine
