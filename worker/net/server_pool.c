// See server_pool.h.
#include "net/server_pool.h"
#include "base/arena.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct server_pool {
    pthread_mutex_t mutex;
    pthread_cond_t work; // a job was added, or the pool is closing
    struct server_job *first, **last;
    unsigned waiting; // jobs in the queue
    unsigned idle;    // threads that wait for one
    unsigned started, size;
    bool closing;
    pthread_t threads[];
};

static void *work(void *context) {
    struct server_pool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (!pool->first && !pool->closing) {
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->mutex);
            pool->idle--;
        }
        struct server_job *job = pool->first;
        if (!job)
            break;
        pool->first = job->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->waiting--;
        pthread_mutex_unlock(&pool->mutex);
        job->run(job);
        pthread_mutex_lock(&pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

// Signals are the main thread's business: a new thread inherits that all are blocked.
static int start_thread(struct server_pool *pool) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&pool->threads[pool->started], NULL, work, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0)
        pool->started++;
    return failure;
}

bool server_pool_new(unsigned threads, struct server_pool **ret_pool, struct error *err) {
    struct server_pool *pool = memory_alloc(sizeof *pool + threads * sizeof pool->threads[0]);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->last = &pool->first;
    pool->size = threads;
    int failure = start_thread(pool);
    if (failure != 0) {
        server_pool_free(pool);
        return error_set(err, ERROR_CONFIGURATION, "cannot start a thread: %s", strerror(failure));
    }
    *ret_pool = pool;
    return true;
}

void server_pool_add(struct server_pool *pool, struct server_job *job) {
    pthread_mutex_lock(&pool->mutex);
    job->next = NULL;
    *pool->last = job;
    pool->last = &job->next;
    pool->waiting++;
    // A failure to start one more is no failure: those that run will come to this job too.
    if (pool->waiting > pool->idle && pool->started < pool->size)
        (void)start_thread(pool);
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
}

void server_pool_free(struct server_pool *pool) {
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}
