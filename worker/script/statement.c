// The one file that sees libpg_query. It hands each statement to PostgreSQL's parser with the guards that this needs (what each is for was
// measured with 15-4.0.0): no NUL, valid UTF-8 (script.c sees to both), at most 256 kB and few nested comments (its lexer reads them
// in quadratic time), a deep stack (the JSON printer recurses without looking, 128 bytes a level), never pg_query_exit (it leaves
// the thread's state dangling) and never the scanner's split (it drops text silently). Understanding the tree is kind.c's business.
#include "script/action.h"
#include "script/kind.h"
#include "script/words.h"
#include <pg_query.h>
#include <pthread.h>
#include <string.h>

#define ANALYSIS_MAX ((size_t)256 << 10) // bytes: 131,072 levels of "1+", as deep as 64 MiB of stack hold
#define SMALL_MAX ((size_t)2 << 10)      // bytes: 1,024 levels, 128 kB of the caller's stack
#define STACK_SIZE ((size_t)64 << 20)

struct job {
    const char *file;
    struct statement *items;
    size_t count;
    struct arena *arena;
    struct error *err;
    bool done;
};

// True when the parser agrees that the text is exactly one statement.
static bool single(const char *tree, struct node *ret_stmt) {
    struct node first = tree_first(tree_get(tree_of(tree), "stmts"));
    struct node stmt = tree_get(first, "stmt");
    if (stmt.at == NULL || tree_next(first).at != NULL)
        return false;
    *ret_stmt = stmt;
    return true;
}

static bool classify(const struct job *job, struct statement *statement) {
    if (statement->analysed && statement->text.length <= ANALYSIS_MAX) {
        cleanup_free char *copy = memory_alloc(statement->text.length + 1);
        memcpy(copy, statement->text.data, statement->text.length);
        PgQueryParseResult result = pg_query_parse(copy);
        struct node stmt;
        bool read = result.error == NULL && single(result.parse_tree, &stmt);
        bool accepted = !read || kind_of(job->file, stmt, job->arena, statement, job->err);
        if (read)
            actions_of(stmt, job->arena, statement);
        pg_query_free_parse_result(result);
        if (read)
            return accepted;
    }
    statement->analysed = false;
    return words_guess(job->file, statement, job->err);
}

static void *classify_all(void *context) {
    struct job *job = context;
    job->done = true;
    for (size_t i = 0; i < job->count && job->done; i++)
        job->done = classify(job, &job->items[i]);
    return NULL;
}

bool statements_classify(const char *file, struct statement *items, size_t count, struct arena *arena,
                         struct error *err) {
    struct job job = {.file = file, .items = items, .count = count, .arena = arena, .err = err};
    bool small = true;
    for (size_t i = 0; i < count; i++)
        small &= items[i].text.length <= SMALL_MAX;
    if (small) {
        classify_all(&job);
        return job.done;
    }
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    int failure = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (failure == 0)
        failure = pthread_create(&thread, &attributes, classify_all, &job);
    pthread_attr_destroy(&attributes);
    if (failure != 0)
        return error_set(err, ERROR_INTERNAL, "cannot start the thread that reads %s: %s", file, strerror(failure));
    pthread_join(thread, NULL);
    return job.done;
}
