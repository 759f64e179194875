// The pool of threads alone.
#include "base/clock.h"
#include "net/server_pool.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

#include <cmocka.h>

#define WAIT_MS 5000

struct task {
    struct server_job job; // first
    atomic_uint *counter;  // of the tasks that have begun
    atomic_bool *gate;     // waited for; may be NULL
    unsigned turn;         // when it began: 1 is first
    bool signals_blocked;
};

static void run(struct server_job *job) {
    struct task *task = (struct task *)job;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    task->signals_blocked = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGCHLD);
    task->turn = atomic_fetch_add(task->counter, 1) + 1;
    while (task->gate && !atomic_load(task->gate))
        clock_sleep_ms(1);
}

static struct task task_of(atomic_uint *counter, atomic_bool *gate) {
    return (struct task){.job.run = run, .counter = counter, .gate = gate};
}

static struct server_pool *pool_of(unsigned threads) {
    struct server_pool *pool = NULL;
    struct error err = {0};
    assert_true(server_pool_new(threads, &pool, &err));
    return pool;
}

static bool eventually(atomic_uint *counter, unsigned value) {
    for (int i = 0; i < WAIT_MS && atomic_load(counter) != value; i++)
        clock_sleep_ms(1);
    return atomic_load(counter) == value;
}

static void one_thread_takes_jobs_in_order_and_all_of_them_before_it_ends(void **state) {
    (void)state;
    atomic_uint counter = 0;
    struct task tasks[100];
    struct server_pool *pool = pool_of(1);
    for (unsigned i = 0; i < 100; i++) {
        tasks[i] = task_of(&counter, NULL);
        server_pool_add(pool, &tasks[i].job);
    }
    server_pool_free(pool);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(tasks[i].turn, i + 1);
}

static void as_many_jobs_run_at_once_as_there_are_threads_and_not_one_more(void **state) {
    (void)state;
    atomic_uint counter = 0;
    atomic_bool gate = false;
    struct task tasks[5];
    struct server_pool *pool = pool_of(4);
    for (unsigned i = 0; i < 5; i++) {
        tasks[i] = task_of(&counter, &gate);
        server_pool_add(pool, &tasks[i].job);
    }
    assert_true(eventually(&counter, 4));
    clock_sleep_ms(20);
    assert_int_equal(atomic_load(&counter), 4);
    atomic_store(&gate, true);
    server_pool_free(pool);
    assert_int_equal(atomic_load(&counter), 5);
}

static void every_thread_blocks_signals_and_the_caller_keeps_its_own_mask(void **state) {
    (void)state;
    atomic_uint counter = 0;
    atomic_bool gate = false;
    struct task tasks[3];
    struct server_pool *pool = pool_of(3);
    for (unsigned i = 0; i < 3; i++) {
        tasks[i] = task_of(&counter, &gate);
        server_pool_add(pool, &tasks[i].job);
    }
    assert_true(eventually(&counter, 3));
    atomic_store(&gate, true);
    server_pool_free(pool);
    for (unsigned i = 0; i < 3; i++)
        assert_true(tasks[i].signals_blocked);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_false(sigismember(&blocked, SIGTERM));
}

static void a_pool_without_work_ends_at_once(void **state) {
    (void)state;
    server_pool_free(pool_of(16));
    server_pool_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_takes_jobs_in_order_and_all_of_them_before_it_ends),
        cmocka_unit_test(as_many_jobs_run_at_once_as_there_are_threads_and_not_one_more),
        cmocka_unit_test(every_thread_blocks_signals_and_the_caller_keeps_its_own_mask),
        cmocka_unit_test(a_pool_without_work_ends_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
