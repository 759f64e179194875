// `pawl new NAME`: makes the next migration file. It numbers as the folder does: fourteen digits of UTC time where the newest version is
// such a time, else the next number in the same width.
#include "base/clock.h"
#include "base/json.h"
#include "command/command.h"
#include "command/report.h"
#include "source/directory.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_LENGTH = 120, WIDTH_LEAST = 4, STAMP_DIGITS = 14 };

// "Add orders!" becomes "add_orders".
static bool make_name(const char *wanted, struct text *out, struct error *err) {
    for (const char *c = wanted; *c; c++) {
        char lower = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        bool fine = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
        if (fine)
            text_append_char(out, lower);
        else if (out->length && out->data[out->length - 1] != '_')
            text_append_char(out, '_');
    }
    while (out->length && out->data[out->length - 1] == '_')
        out->data[--out->length] = '\0';
    if (out->length == 0 || out->full)
        return error_set(err, ERROR_USAGE, "a name needs letters or digits, at most %d of them: add_orders, say",
                         NAME_MAX_LENGTH);
    return true;
}

// Version text as it stands in the file's name, padding included.
static struct view written_version(const struct migration *migration) {
    size_t digits = strspn(migration->file, "0123456789");
    return (struct view){migration->file, digits};
}

static const struct migration *newest(const struct migration_set *set) {
    const struct migration *last = NULL;
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].kind == MIGRATION_VERSIONED)
            last = &set->items[i];
    return last;
}

static void stamp(struct text *out) {
    char now[32];
    clock_format(clock_unix_ms(), now); // 2026-02-26T19:13:55.749Z
    for (const char *c = now; *c && *c != '.'; c++)
        if (*c >= '0' && *c <= '9')
            text_append_char(out, *c);
}

// Adds one to a decimal number of any length, keeping its width.
static void successor(struct view version, struct text *out) {
    size_t nines = 0;
    while (nines < version.length && version.data[version.length - 1 - nines] == '9')
        nines++;
    if (nines == version.length)
        text_append_char(out, '1');
    else {
        text_append_view(out, (struct view){version.data, version.length - nines - 1});
        text_append_char(out, (char)(version.data[version.length - nines - 1] + 1));
    }
    for (size_t i = 0; i < nines; i++)
        text_append_char(out, '0');
}

static void next_version(const struct migration_set *set, struct text *out) {
    const struct migration *last = newest(set);
    struct view version = last ? written_version(last) : VIEW("0000");
    if (version.length == STAMP_DIGITS && version.data[0] == '2')
        stamp(out);
    else
        successor(version, out);
}

static bool create_file(const char *path, const char *name, struct error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return error_set(err, ERROR_SOURCE_UNREADABLE, "cannot create %s: %s", path, strerror(errno));
    char line[256]; // whatever was typed stays one comment line
    text_copy(line, sizeof(line), view_of(name));
    cleanup_text struct text body = TEXT(512);
    text_printf(&body, "-- %s\n\n", line);
    bool written = write(fd, text_string(&body), body.length) == (ssize_t)body.length;
    if (close(fd) != 0 || !written)
        return error_set(err, ERROR_SOURCE_UNREADABLE, "cannot write %s: %s", path, strerror(errno));
    return true;
}

static bool make_migration(const struct options *options, struct arena *arena, struct text *path, struct error *err) {
    cleanup_text struct text name = TEXT(NAME_MAX_LENGTH), version = TEXT(64);
    if (!make_name(options->operands[0], &name, err))
        return false;
    if (mkdir(options->migrations, 0755) != 0 && errno != EEXIST)
        return error_set(err, ERROR_SOURCE_UNREADABLE, "cannot create the folder %s: %s", options->migrations,
                         strerror(errno));
    struct migration_set set;
    if (!directory_read(options->migrations, arena, &set, err))
        return false;
    next_version(&set, &version);
    text_printf(path, "%s/%s_%s.sql", options->migrations, text_string(&version), text_string(&name));
    return create_file(text_string(path), options->operands[0], err);
}

int command_new(const struct options *options, struct arena *arena) {
    cleanup_text struct text path = TEXT(4096);
    struct error err = {0};
    if (!make_migration(options, arena, &path, &err))
        return report_failure(options, &err);
    if (options->json) {
        cleanup_text struct text out = TEXT(8192);
        struct json_writer writer = JSON_WRITER(&out);
        json_begin_object(&writer, NULL);
        json_put_string(&writer, "file", text_string(&path));
        json_end_object(&writer);
        return printf("%s\n", text_string(&out)) < 0;
    }
    return printf("%s\n", text_string(&path)) < 0;
}
