// A fresh database for one test on the private server of tests/with-postgres, and a second, plain way to look into it.
#pragma once
#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/postgres.h"

// cmocka.h needs these three before it.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct database {
    char name[64], url[512];
};

static inline struct postgres *database_connect(const char *url) {
    struct postgres *postgres = NULL;
    struct error err = {0};
    if (!postgres_open(&(struct postgres_options){.url = url, .application_name = "test"}, &postgres, &err))
        fail_msg("%s", err.message);
    return postgres;
}

// One command on the connection given; fails the test when the server refuses it.
static inline void database_run(struct postgres *postgres, const char *sql) {
    struct error err = {0};
    if (!postgres_execute(postgres, sql, NULL, 0, &err))
        fail_msg("%s: %s", sql, err.message);
}

static inline void database_do(const struct database *database, const char *sql) {
    cleanup_postgres struct postgres *postgres = database_connect(database->url);
    database_run(postgres, sql);
}

// The first column of the first row as text in `arena`; "" for no row or NULL.
static inline const char *database_ask(const struct database *database, struct arena *arena, const char *sql) {
    cleanup_postgres struct postgres *postgres = database_connect(database->url);
    cleanup_rows struct postgres_rows *rows = NULL;
    struct error err = {0};
    if (!postgres_query(postgres, sql, NULL, 0, &rows, &err))
        fail_msg("%s: %s", sql, err.message);
    const char *value = postgres_row_count(rows) > 0 ? postgres_value(rows, 0, 0) : NULL;
    return arena_string(arena, value ? value : "");
}

static inline void database_create(struct database *database) {
    const char *host = getenv("PGHOST");
    if (!host || !getenv("DATABASE_URL"))
        fail_msg("run this test through tests/with-postgres");
    snprintf(database->name, sizeof(database->name), "test_%d_%u", (int)getpid(), clock_random(1000000000));
    snprintf(database->url, sizeof(database->url), "postgresql://pawl@/%s?host=%s", database->name, host);
    cleanup_postgres struct postgres *postgres = database_connect(getenv("DATABASE_URL"));
    char sql[128];
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s", database->name);
    database_run(postgres, sql);
}

static inline void database_drop(const struct database *database) {
    cleanup_postgres struct postgres *postgres = database_connect(getenv("DATABASE_URL"));
    char sql[128];
    snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", database->name);
    database_run(postgres, sql);
}
