// A target with a role to assume: what is created belongs to it, files come back to it, and whoever may not assume it is told what to do.
#include "world.h"

// Names like any others, and one that wants to be told from what is around it.
#define OWNER "Shop's \"owner\" \\ x"
#define OWNER_QUOTED "\"Shop's \"\"owner\"\" \\ x\""
#define OWNER_LITERAL "'Shop''s \"owner\" \\ x'"

static void create_role(const struct world *world, const char *role, const char *attributes) {
    database_do(&world->database,
                arena_printf(world->arena,
                             "DO $$BEGIN CREATE ROLE %s %s; EXCEPTION WHEN duplicate_object THEN NULL; END$$", role,
                             attributes));
}

// The database is the owner's; pawl_login may assume that role, and may do nothing else. Roles outlive the test: they are the server's.
static int begin(void **state) {
    world_begin(state);
    struct world *world = *state;
    create_role(world, OWNER_QUOTED, "");
    create_role(world, "pawl_login", "LOGIN NOINHERIT");
    create_role(world, "pawl_stranger", "LOGIN");
    create_role(world, "pawl_other", "");
    database_do(&world->database, "GRANT " OWNER_QUOTED ", pawl_other TO pawl_login");
    database_do(&world->database, "GRANT CREATE, USAGE ON SCHEMA public TO pawl_other");
    database_do(&world->database,
                arena_printf(world->arena, "ALTER DATABASE %s OWNER TO " OWNER_QUOTED, world->database.name));
    world_move(world, NULL, NULL, OWNER); // the login is a superuser
    return 0;
}

static const char *url_of(struct world *world, const char *login) {
    return arena_printf(world->arena, "postgresql://%s@%s", login, strchr(world->database.url, '@') + 1);
}

// "a:ROLE b:ROLE" of the tables in `schema` that somebody else than the target's role has; "" = none.
static const char *of_others(struct world *world, const char *schema) {
    return world_ask(world, arena_printf(world->arena,
                                         "SELECT string_agg(relname || ':' || pg_get_userbyid(relowner), ' ' ORDER BY"
                                         " relname) FROM pg_class WHERE relkind IN ('r', 'v', 'i') AND relnamespace ="
                                         " '%s'::regnamespace AND pg_get_userbyid(relowner) <> " OWNER_LITERAL,
                                         schema));
}

static void what_files_create_belongs_to_the_role_and_so_does_the_ledger(void **state) {
    struct world *world = *state;
    const char *logins[] = {"pawl_login", "pawl"};
    for (size_t i = 0; i < 2; i++) {
        world_move(world, url_of(world, logins[i]), i ? "ledger_two" : "pawl", OWNER);
        database_do(&world->database, "DROP TABLE IF EXISTS a, b CASCADE");
        if (i == 1) // a second ledger of the same files is meant
            database_do(&world->database, "CREATE SCHEMA ledger_two AUTHORIZATION " OWNER_QUOTED);
        world_file(world, "1_a.sql", "CREATE TABLE a (x int);");
        world_file(world, "2_b.sql", "CREATE TABLE b (x int);\nCREATE INDEX CONCURRENTLY bi ON b (x);\nVACUUM b;");
        world_file(world, "repeat_v.sql", "CREATE OR REPLACE VIEW v AS SELECT * FROM a;");
        world_must_run(world, "r1");
        assert_int_equal(world->report.count, 3);
        assert_string_equal(of_others(world, "public"), "");
        assert_string_equal(of_others(world, i ? "ledger_two" : "pawl"), "");
        world_must_run(world, "r2");
        assert_string_equal(world->report.state, "nothing_pending");
        assert_int_equal(world->report.round_trips, 1);
    }
    assert_string_equal(world_ask(world, "SELECT string_agg(DISTINCT applied_by, ' ') FROM pawl.migrations"),
                        "pawl_login");
    world_is_quiet(world);
}

static void a_file_that_goes_back_comes_back_to_the_role(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "RESET ROLE;\nCREATE TABLE a ();");
    world_file(world, "2_b.sql", "RESET ALL;\nCREATE TABLE b ();");
    world_file(world, "3_c.sql", "SET SESSION AUTHORIZATION DEFAULT;\nCREATE TABLE c ();");
    world_file(world, "4_d.sql",
               "SET SESSION AUTHORIZATION pawl_other;\nRESET SESSION AUTHORIZATION;\nCREATE TABLE d ();");
    world_file(world, "5_e.sql", "SET ROLE pawl_other;\nSET ROLE TO DEFAULT;\nCREATE TABLE e ();");
    world_file(world, "6_f.sql", "SET LOCAL ROLE pawl_other;\nRESET ROLE;\nCREATE TABLE f ();");
    world_file(world, "7_g.sql", "DO $$BEGIN EXECUTE 'RESET ROLE'; END$$;\nCREATE TABLE g ();");
    world_file(world, "8_h.sql",
               "CREATE TABLE h ();\nVACUUM h;\nRESET ROLE;\nCREATE TABLE i ();\nVACUUM i;\nCREATE TABLE j ();");
    world_must_run(world, "r1");
    assert_int_equal(world->report.count, 8);
    assert_string_equal(of_others(world, "public"), "");
    assert_string_equal(of_others(world, "pawl"), "");
    world_is_quiet(world);
}

static void a_role_that_a_file_takes_is_its_own_until_its_end(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "SET ROLE pawl_other;\nCREATE TABLE a ();\nRESET ALL;\nCREATE TABLE b ();");
    world_file(world, "2_c.sql", "CREATE TABLE c ();");
    world_file(world, "3_d.sql", "SET ROLE NONE;\nCREATE TABLE d ();");
    world_file(world, "4_e.sql", "CREATE TABLE e ();");
    world_file(world, "5_f.sql",
               "SET SESSION AUTHORIZATION pawl_other;\nCREATE TABLE f ();\nVACUUM f;\nCREATE TABLE g ();");
    world_file(world, "6_h.sql", "CREATE TABLE h ();");
    world_must_run(world, "r1");
    assert_string_equal(of_others(world, "public"), "a:pawl_other b:pawl_other d:pawl f:pawl_other g:pawl_other");
    assert_string_equal(of_others(world, "pawl"), "");
    world_file(world, "7_i.sql", "SET ROLE pawl_other;\nSELECT 1/0;");
    assert_false(world_run(world, "r2"));
    assert_string_equal(world_ask(world, "SELECT state FROM pawl.runs WHERE id = 'r2'"), "failed");
    world_file(world, "7_i.sql", "CREATE TABLE i ();");
    world_must_run(world, "r3");
    assert_string_equal(of_others(world, "public"), "a:pawl_other b:pawl_other d:pawl f:pawl_other g:pawl_other");
    world_is_quiet(world);
}

// ---- refusals ----------------------------------------------------------------------------------------------------------

static void a_role_that_may_not_be_assumed_names_the_grant(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a ();");
    database_do(&world->database, "REVOKE " OWNER_QUOTED " FROM pawl_stranger");
    world_move(world, url_of(world, "pawl_stranger"), NULL, OWNER);
    for (int i = 0; i < 2; i++) {
        world->request.plan_only = i == 1;
        assert_false(world_run(world, "r1"));
        assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
        assert_string_equal(world->err.sqlstate, "42501");
        assert_int_equal(strncmp(world->err.message, "the target's role cannot be assumed: ", 37), 0);
        assert_non_null(strstr(world->err.message, OWNER));
    }
    world->request.plan_only = false;
    const char *grant = "GRANT " OWNER_QUOTED " TO \"pawl_stranger\"";
    assert_int_equal(strncmp(world->err.hint, grant, strlen(grant)), 0);
    world->err.hint[strcspn(world->err.hint, ";")] = '\0'; // as advised
    database_do(&world->database, world->err.hint);
    world_must_run(world, "r2");
    assert_string_equal(of_others(world, "public"), "");
}

static void a_role_that_does_not_exist_is_a_refusal_too(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a ();");
    world_move(world, NULL, NULL, "no such role");
    assert_false(world_run(world, "r1"));
    assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
    assert_non_null(strstr(world->err.message, "\"no such role\""));
    assert_int_equal(strncmp(world->err.hint, "Create that role", 16), 0);
    assert_string_equal(world_ask(world, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pawl'"), "0");
}

static void a_ledger_of_another_role_names_the_grant_for_this_one(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql", "CREATE TABLE a ();");
    world_move(world, NULL, NULL, NULL);
    world_must_run(world, "r1");
    world_move(world, NULL, NULL, OWNER);
    assert_false(world_run(world, "r2"));
    assert_int_equal(world->err.code, ERROR_DATABASE_REFUSED);
    assert_non_null(strstr(world->err.hint, "GRANT USAGE ON SCHEMA pawl TO " OWNER_QUOTED ";"));
    char *second = strchr(world->err.hint, ';'); // as advised: two commands
    *second++ = '\0';
    database_do(&world->database, world->err.hint);
    database_do(&world->database, second);
    world_must_run(world, "r3");
    assert_string_equal(world->report.state, "nothing_pending");
    world_is_quiet(world);
}

// ---- who looks ---------------------------------------------------------------------------------------------------------

struct second {
    struct world world; // the first member makes it a world to the helpers
    bool done;
};

static void *run_second(void *context) {
    struct second *second = context;
    second->done = world_run(&second->world, "second");
    return NULL;
}

static void what_the_login_may_see_of_its_sessions_is_seen(void **state) {
    struct world *world = *state;
    pthread_t thread;
    world_file(world, "1_a.sql", "SELECT pg_sleep(2);");
    world->request.watch_after_ms = 200;
    struct second second = {.world = *world};
    world_move(world, url_of(world, "pawl_login"), NULL, OWNER);
    second.world.arena = arena_new();
    second.world.events = TEXT(1 << 20);
    second.world.connections = NULL;
    world_move(&second.world, url_of(world, "pawl_login"), NULL, OWNER);
    assert_int_equal(pthread_create(&thread, NULL, run_second, &second), 0);
    world_await_sleep(world, "second");
    world_must_run(world, "r1");
    pthread_join(thread, NULL);
    assert_true(second.done);
    const char *waiting =
        strstr(text_string(&world->events), "waiting pawl second"); // with what only its own login sees
    assert_non_null(waiting);
    assert_non_null(strstr(waiting, ", active for "));
    assert_non_null(strstr(text_string(&second.world.events), "watched 1_a.sql"));
    run_database_free(second.world.connections);
    text_done(&second.world.events);
    arena_free(second.world.arena);
    world_is_quiet(world);
}

static void the_watcher_writes_as_the_role(void **state) {
    struct world *world = *state;
    world_file(world, "1_a.sql",
               "CREATE FUNCTION slow() RETURNS text LANGUAGE plpgsql AS $$BEGIN FOR i IN 1..100 LOOP"
               " PERFORM pg_sleep(0.05); PERFORM FROM pawl.runs WHERE progress LIKE 'runs for%';"
               " IF FOUND THEN RETURN 'seen'; END IF; END LOOP; RETURN 'not seen'; END$$;");
    world_file(world, "2_b.sql", "CREATE TABLE b AS SELECT slow();");
    world->request.watch_after_ms = 200;
    world_move(world, url_of(world, "pawl_login"), NULL, OWNER);
    world_must_run(world, "r1");
    assert_string_equal(world_ask(world, "SELECT slow FROM b"), "seen");
    world_is_quiet(world);
}

// ---- the role and the ledger's schema of one name ----------------------------------------------------------------------

static void a_target_whose_role_is_named_like_the_schema_makes_nothing_in_it(void **state) {
    struct world *world = *state;
    create_role(world, "pawl_ledger", "");
    database_do(&world->database, "GRANT pawl_ledger TO pawl_login");
    database_do(&world->database,
                arena_printf(world->arena, "ALTER DATABASE %s OWNER TO pawl_ledger", world->database.name));
    world_move(world, url_of(world, "pawl_login"), "pawl_ledger", "pawl_ledger");
    world_file(world, "1_a.sql", "CREATE TABLE a ();\nRESET search_path;\nCREATE TABLE b ();");
    world_file(world, "2_c.sql",
               "RESET ROLE;\nCREATE TABLE c ();\nRESET ALL;\nCREATE TABLE d ();\nVACUUM d;\nCREATE TABLE e ();");
    world_must_run(world, "r1");
    assert_string_equal(
        world_ask(world, "SELECT string_agg(tablename, ' ' ORDER BY 1) FROM pg_tables WHERE schemaname = 'public'"),
        "a b c d e");
    world_is_quiet(world);
}

static void a_login_named_like_the_schema_leaves_the_roles_own_path_alone(void **state) {
    struct world *world = *state;
    database_do(&world->database, "CREATE SCHEMA " OWNER_QUOTED " AUTHORIZATION " OWNER_QUOTED);
    world_file(world, "1_a.sql", "CREATE TABLE a ();\nSET ROLE NONE;\nCREATE TABLE b ();");
    world_must_run(world, "r1"); // the tests' login is pawl
    assert_string_equal(
        world_ask(world, "SELECT string_agg(tablename || ':' || schemaname, ' ' ORDER BY 1) FROM pg_tables WHERE"
                         " tablename IN ('a', 'b')"),
        "a:" OWNER " b:public");
    world_is_quiet(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, world_end)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_files_create_belongs_to_the_role_and_so_does_the_ledger),
        TEST(a_file_that_goes_back_comes_back_to_the_role),
        TEST(a_role_that_a_file_takes_is_its_own_until_its_end),
        TEST(a_role_that_may_not_be_assumed_names_the_grant),
        TEST(a_role_that_does_not_exist_is_a_refusal_too),
        TEST(a_ledger_of_another_role_names_the_grant_for_this_one),
        TEST(what_the_login_may_see_of_its_sessions_is_seen),
        TEST(the_watcher_writes_as_the_role),
        TEST(a_target_whose_role_is_named_like_the_schema_makes_nothing_in_it),
        TEST(a_login_named_like_the_schema_leaves_the_roles_own_path_alone),
    };
    return cmocka_run_group_tests_name("role", tests, NULL, NULL);
}
