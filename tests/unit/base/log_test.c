// The lines as the other end of a pipe reads them.
#include "base/log.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int lines_fd[2]; // what is logged comes out at [0]
static char line[65536];

static void start(enum log_format format, enum log_severity least) {
    log_start(format, least, lines_fd[1]);
}

// The one line that is in the pipe, without its end.
static const char *read_line(void) {
    ssize_t length = read(lines_fd[0], line, sizeof(line) - 1);
    assert_true(length > 0);
    line[length] = '\0';
    assert_int_equal(line[length - 1], '\n');
    line[length - 1] = '\0';
    assert_null(strchr(line, '\n'));
    return line;
}

static struct json *read_json(void) {
    struct json *json = NULL;
    struct error err = {0};
    if (!json_parse(view_of(read_line()), &json, &err))
        fail_msg("%s: %s", err.message, line);
    return json;
}

static void expect_member(const struct json *json, const char *name, const char *value) {
    struct view got;
    if (!json_string(json_get(json, name), &got) || !view_is(got, value))
        fail_msg("%s is not %s in %s", name, value, line);
}

static void a_line_carries_what_cloud_logging_reads(void **state) {
    (void)state;
    start(LOG_JSON, LOG_INFO);
    struct log_context context = {.project = "shop",
                                  .message_id = "2070443601311540",
                                  .subscription = "projects/shop/subscriptions/deploys",
                                  .target = "main",
                                  .run = "r1"};
    log_trace(&context, VIEW("105445aa7843bc8bf206b12000100000/74;o=1"), VIEW(""));
    const struct log_field fields[] = {LOG_STRING("file", "0001_a.sql"), LOG_NUMBER("ms", -12),
                                       LOG_STRING("none", NULL)};
    log_fields(LOG_NOTICE, &context, fields, 3, "applied %d of %d", 1, 2);
    cleanup_json struct json *json = read_json();
    expect_member(json, "severity", "NOTICE");
    expect_member(json, "message", "applied 1 of 2");
    expect_member(json, "logging.googleapis.com/trace", "projects/shop/traces/105445aa7843bc8bf206b12000100000");
    expect_member(json, "logging.googleapis.com/spanId", "000000000000004a");
    expect_member(json, "messageId", "2070443601311540");
    expect_member(json, "subscription", "projects/shop/subscriptions/deploys");
    expect_member(json, "target", "main");
    expect_member(json, "run", "r1");
    expect_member(json, "file", "0001_a.sql");
    assert_null(json_get(json, "none")); // what is empty says nothing
    bool sampled = false;
    assert_true(json_boolean(json_get(json, "logging.googleapis.com/trace_sampled"), &sampled) && sampled);
    int64_t number = 0, then = 0;
    assert_true(json_integer(json_get(json, "ms"), -12, -12, &number));
    struct view time;
    assert_true(json_string(json_get(json, "time"), &time) && clock_parse(time.data, &then));
    assert_true(llabs(clock_unix_ms() - then) < 60000);
}

static void what_is_unknown_is_left_out(void **state) {
    (void)state;
    start(LOG_JSON, LOG_INFO);
    struct log_context context = {.target = ""};
    log_event(LOG_INFO, &context, "hello");
    cleanup_json struct json *json = read_json();
    size_t count = 0;
    for (const struct json *member = json_first(json); member; member = json_next(member))
        count++;
    assert_int_equal(count, 3); // severity, message, time
    log_event(LOG_INFO, NULL, "no context");
    json_free(read_json());
}

static void lesser_severities_are_silent(void **state) {
    (void)state;
    start(LOG_JSON, LOG_WARNING);
    struct error err = {.code = ERROR_LOCK_HELD};
    log_event(LOG_DEBUG, NULL, "no");
    log_event(LOG_NOTICE, NULL, "no");
    log_failure(LOG_INFO, NULL, &err);
    log_event(LOG_WARNING, NULL, "yes");
    cleanup_json struct json *json = read_json();
    expect_member(json, "message", "yes");
}

static void nothing_that_is_logged_can_forge_a_line(void **state) {
    (void)state;
    start(LOG_JSON, LOG_INFO);
    const struct log_field fields[] = {LOG_STRING("a", "x\"}\n{\"severity\":\"ERROR\"\r\0"),
                                       LOG_STRING("b", "\xff\x1b[2J\xe2\x80\xa8")};
    log_fields(LOG_INFO, NULL, fields, 2, "%s", "one\ntwo\", \"severity\": \"ERROR\" \xc3");
    cleanup_json struct json *json = read_json();
    expect_member(json, "severity", "INFO");
    expect_member(json, "message", "one two\", \"severity\": \"ERROR\" ?");
    expect_member(json, "a", "x\"} {\"severity\":\"ERROR\" ");
    expect_member(json, "b", "? [2J ");
    assert_null(strstr(line, "\xe2\x80\xa8"));
    start(LOG_TEXT, LOG_INFO);
    log_fields(LOG_INFO, NULL, fields, 2, "%s", "one\ntwo\x1b[31m\xc2\x9b");
    assert_null(strchr(read_line(), '\x1b'));
    assert_null(strstr(line, "\xc2\x9b"));
}

enum { FIELDS = 40 };

static void fill(struct log_field fields[static FIELDS], const char *value) {
    static char names[FIELDS][4];
    for (size_t i = 0; i < FIELDS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "f%02u", (unsigned)i % 100);
        fields[i] = LOG_STRING(names[i], value);
    }
}

static void fields_messages_and_lines_are_cut(void **state) {
    (void)state;
    start(LOG_JSON, LOG_INFO);
    char text[5001], quotes[5001];
    memset(text, 'a', 5000);
    memset(quotes, '"', 5000);
    text[5000] = quotes[5000] = '\0';
    struct view got;
    bool truncated = false;

    const struct log_field one[] = {LOG_STRING("field", text)};
    log_fields(LOG_INFO, NULL, one, 1, "%s", text);
    struct json *json = read_json();
    assert_true(json_string(json_get(json, "message"), &got));
    assert_int_equal(got.length, 2048);
    assert_true(json_string(json_get(json, "field"), &got));
    assert_int_equal(got.length, 256);
    assert_null(json_get(json, "truncated"));
    json_free(json);

    struct log_field many[FIELDS];
    fill(many, quotes);
    many[1] = LOG_NUMBER("second", 2);
    log_fields(LOG_INFO, NULL, many, FIELDS, "%s", quotes);
    json = read_json();
    assert_true(json_boolean(json_get(json, "truncated"), &truncated) && truncated);
    assert_true(json_string(json_get(json, "message"), &got));
    assert_int_equal(got.length, 2048);
    assert_non_null(json_get(json, "f00"));
    assert_non_null(json_get(json, "second"));
    json_free(json);
}

// However the last field falls on the limit, the line ends as JSON must.
static void a_full_line_is_closed(void **state) {
    (void)state;
    start(LOG_JSON, LOG_INFO);
    char text[257];
    memset(text, 'a', sizeof(text));
    text[256] = '\0';
    struct log_field fields[FIELDS];
    fill(fields, text);
    for (size_t length = 0; length <= 256; length++) {
        fields[0].string = text + 256 - length;
        log_fields(LOG_INFO, NULL, fields, FIELDS, "full");
        json_free(read_json());
        assert_true(strlen(line) + 1 <= 8192);
        assert_non_null(strstr(line, "\"truncated\":true"));
    }
}

static void a_failure_says_all_that_a_human_needs(void **state) {
    (void)state;
    start(LOG_JSON, LOG_INFO);
    struct error err = {0};
    error_set(&err, ERROR_MIGRATION_FAILED, "relation \"orders\" does not exist");
    err.line = 4, err.statement = 2, err.statements = 7;
    text_copy(err.file, sizeof(err.file), VIEW("0003_index.sql"));
    text_copy(err.sqlstate, sizeof(err.sqlstate), VIEW("42P01"));
    text_copy(err.detail, sizeof(err.detail), VIEW("the detail"));
    text_copy(err.hint, sizeof(err.hint), VIEW("the hint"));
    log_failure(LOG_ERROR, NULL, &err);
    cleanup_json struct json *json = read_json();
    int64_t number;
    expect_member(json, "severity", "ERROR");
    expect_member(json, "message", "relation \"orders\" does not exist");
    expect_member(json, "code", "MIGRATION_FAILED");
    expect_member(json, "class", "permanent");
    expect_member(json, "file", "0003_index.sql");
    assert_true(json_integer(json_get(json, "line"), 4, 4, &number));
    assert_true(json_integer(json_get(json, "statement"), 2, 2, &number));
    assert_true(json_integer(json_get(json, "statements"), 7, 7, &number));
    expect_member(json, "sqlstate", "42P01");
    expect_member(json, "detail", "the detail");
    expect_member(json, "hint", "the hint");
    expect_member(json, "remedy", error_remedy(ERROR_MIGRATION_FAILED));
}

static void an_error_is_reported_with_its_place(void **state) {
    (void)state;
    setenv("K_SERVICE", "migrator", 1);
    setenv("K_REVISION", "migrator-00007", 1);
    start(LOG_JSON, LOG_INFO);
    struct error err = {.code = ERROR_MIGRATION_FAILED, .message = "no", .file = "0003_index.sql", .line = 4};
    log_failure(LOG_ERROR, NULL, &err);
    struct json *json = read_json();
    expect_member(json, "@type", "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent");
    expect_member(json_get(json, "serviceContext"), "service", "migrator");
    expect_member(json_get(json, "serviceContext"), "version", "migrator-00007");
    const struct json *place = json_get(json_get(json, "context"), "reportLocation");
    int64_t number;
    expect_member(place, "filePath", "0003_index.sql");
    assert_true(json_integer(json_get(place, "lineNumber"), 4, 4, &number));
    expect_member(place, "functionName", "MIGRATION_FAILED");
    json_free(json);

    err.file[0] = '\0'; // no place: no report location, but still a report
    log_failure(LOG_CRITICAL, NULL, &err);
    json = read_json();
    assert_non_null(json_get(json, "@type"));
    assert_null(json_get(json, "context"));
    json_free(json);

    log_failure(LOG_WARNING, NULL, &err); // a retry is no error report
    json = read_json();
    assert_null(json_get(json, "@type"));
    json_free(json);
    unsetenv("K_SERVICE");
    unsetenv("K_REVISION");
}

// The worst of everything at once: still one line of JSON, and the parts that matter are in it.
static void a_huge_failure_stays_one_good_line(void **state) {
    (void)state;
    start(LOG_JSON, LOG_INFO);
    struct error err = {.code = ERROR_MIGRATION_FAILED, .line = 4, .sqlstate = "42P01"};
    memset(err.message, '"', sizeof(err.message) - 1);
    memset(err.file, '\\', sizeof(err.file) - 1);
    memset(err.detail, '"', sizeof(err.detail) - 1);
    memset(err.hint, '"', sizeof(err.hint) - 1);
    log_failure(LOG_ERROR, NULL, &err);
    cleanup_json struct json *json = read_json();
    assert_true(strlen(line) < 8192);
    expect_member(json, "message", err.message);
    expect_member(json, "sqlstate", "42P01");
    assert_non_null(json_get(json, "context"));
}

static void a_terminal_reads_words(void **state) {
    (void)state;
    start(LOG_TEXT, LOG_INFO);
    struct log_context context = {.target = "main"};
    const struct log_field fields[] = {LOG_STRING("word", "a/b.sql"), LOG_STRING("words", "a \"b\""),
                                       LOG_NUMBER("n", 7), LOG_STRING("empty", "")};
    log_fields(LOG_WARNING, &context, fields, 4, "slow down");
    read_line();
    assert_int_equal(line[2], ':');
    assert_int_equal(line[8], '.');
    assert_string_equal(line + 12, " warning  slow down  target=main  word=a/b.sql  words=\"a \\\"b\\\"\"  n=7");
    start(LOG_AUTO, LOG_INFO); // a pipe is no terminal
    log_event(LOG_INFO, NULL, "json");
    json_free(read_json());
}

static void only_a_terminal_that_wants_colours_gets_them(void **state) {
    (void)state;
    int mine = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(mine >= 0 && grantpt(mine) == 0 && unlockpt(mine) == 0);
    int theirs = open(ptsname(mine), O_RDWR | O_NOCTTY);
    assert_true(theirs >= 0);
    for (int coloured = 0; coloured < 2; coloured++) {
        if (coloured)
            unsetenv("NO_COLOR");
        else
            setenv("NO_COLOR", "1", 1);
        log_start(LOG_AUTO, LOG_INFO, theirs);
        log_event(LOG_ERROR, NULL, "broken");
        ssize_t length = read(mine, line, sizeof(line) - 1);
        assert_true(length > 0);
        line[length] = '\0';
        assert_true((strstr(line, "\033[1;31merror") != NULL) == coloured);
        assert_non_null(strstr(line, "broken\r\n"));
    }
    close(theirs);
    close(mine);
}

static void a_trace_is_read_from_either_header(void **state) {
    (void)state;
    struct log_context context = {0};
    log_trace(&context, VIEW("105445AA7843bc8bf206b12000100000/18446744073709551615"), VIEW(""));
    assert_string_equal(context.trace, "105445aa7843bc8bf206b12000100000");
    assert_string_equal(context.span, "ffffffffffffffff");
    assert_false(context.sampled);
    log_trace(&context, VIEW("garbage"), VIEW("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert_string_equal(context.trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(context.span, "00f067aa0ba902b7");
    assert_true(context.sampled);
    log_trace(&context, VIEW("105445aa7843bc8bf206b12000100000/0;o=0"), VIEW(""));
    assert_string_equal(context.span, "");
    assert_false(context.sampled);
}

static void a_malformed_trace_is_ignored_whole(void **state) {
    (void)state;
    static const char *const cloud[] = {
        "",
        "/",
        "105445aa7843bc8bf206b12000100000",
        "105445aa7843bc8bf206b12000100000/",
        "105445aa7843bc8bf206b1200010000/1",
        "105445aa7843bc8bf206b120001000000/1",
        "g05445aa7843bc8bf206b12000100000/1",
        "00000000000000000000000000000000/1",
        "105445aa7843bc8bf206b12000100000/x",
        "105445aa7843bc8bf206b12000100000/-1",
        "105445aa7843bc8bf206b12000100000/18446744073709551616",
        "105445aa7843bc8bf206b12000100000/1;o=2",
        "105445aa7843bc8bf206b12000100000/1;o=",
        "105445aa7843bc8bf206b12000100000/;o=1",
        "105445aa7843bc8bf206b12000100000/1;x=1",
        "105445aa7843bc8bf206b12000100000/1;o=1 ",
    };
    static const char *const parent[] = {
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
    };
    struct log_context context = {0};
    for (size_t i = 0; i < sizeof(cloud) / sizeof(cloud[0]); i++)
        log_trace(&context, view_of(cloud[i]), VIEW(""));
    for (size_t i = 0; i < sizeof(parent) / sizeof(parent[0]); i++)
        log_trace(&context, VIEW(""), view_of(parent[i]));
    assert_string_equal(context.trace, "");
    assert_string_equal(context.span, "");
    assert_false(context.sampled);
}

enum { THREADS = 4, LINES = 50 };

static void *chatter(void *of) {
    const struct log_field *fields = of;
    for (int i = 0; i < LINES; i++)
        log_fields(LOG_INFO, NULL, fields, FIELDS, "%.1s", fields->string);
    return NULL;
}

// The lines are longer than what a pipe keeps together by itself.
static void lines_of_many_threads_stay_whole(void **state) {
    (void)state;
    start(LOG_JSON, LOG_INFO);
    static char letters[THREADS][201];
    static struct log_field fields[THREADS][FIELDS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        memset(letters[i], 'a' + i, 200);
        fill(fields[i], letters[i]);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, chatter, fields[i]), 0);
    FILE *lines = fdopen(dup(lines_fd[0]), "r");
    assert_non_null(lines);
    for (int i = 0; i < THREADS * LINES; i++) {
        struct json *json = NULL;
        struct error err = {0};
        struct view message, field;
        assert_non_null(fgets(line, sizeof(line), lines));
        assert_true(strlen(line) > 4096);
        assert_true(json_parse(view_of(line), &json, &err));
        assert_true(json_string(json_get(json, "message"), &message) && message.length == 1);
        for (const struct json *member = json_get(json, "f00"); json_string(member, &field); member = json_next(member))
            assert_true(field.length == 200 && field.data[0] == message.data[0] && field.data[199] == message.data[0]);
        json_free(json);
    }
    fclose(lines);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static int make_pipe(void **state) {
    (void)state;
    return pipe(lines_fd);
}

static int close_pipe(void **state) {
    (void)state;
    return close(lines_fd[0]) | close(lines_fd[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_carries_what_cloud_logging_reads),
        cmocka_unit_test(what_is_unknown_is_left_out),
        cmocka_unit_test(lesser_severities_are_silent),
        cmocka_unit_test(nothing_that_is_logged_can_forge_a_line),
        cmocka_unit_test(fields_messages_and_lines_are_cut),
        cmocka_unit_test(a_full_line_is_closed),
        cmocka_unit_test(a_failure_says_all_that_a_human_needs),
        cmocka_unit_test(an_error_is_reported_with_its_place),
        cmocka_unit_test(a_huge_failure_stays_one_good_line),
        cmocka_unit_test(a_terminal_reads_words),
        cmocka_unit_test(only_a_terminal_that_wants_colours_gets_them),
        cmocka_unit_test(a_trace_is_read_from_either_header),
        cmocka_unit_test(a_malformed_trace_is_ignored_whole),
        cmocka_unit_test(lines_of_many_threads_stay_whole),
    };
    return cmocka_run_group_tests_name("base/log", tests, make_pipe, close_pipe);
}
