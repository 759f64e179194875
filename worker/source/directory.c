// The set of files in a folder: which names count, in which order, and that no two of them are one migration.
#include "source/directory.h"
#include "base/hash.h"
#include "source/file.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct entry {
    const char *file;
    enum migration_kind kind;
    bool down;
    const char *version, *name;
};
struct listing {
    struct entry *items;
    size_t count, capacity;
};

static void close_folder(DIR **folder) {
    if (*folder != NULL)
        closedir(*folder);
}
#define cleanup_folder __attribute__((cleanup(close_folder)))

static bool refuse(struct error *err, const char *file, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool refuse(struct error *err, const char *file, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error_set_va(err, ERROR_SOURCE_INVALID, format, arguments);
    va_end(arguments);
    text_copy(err->file, sizeof err->file, view_of(file));
    return false;
}

// ---- names -----------------------------------------------------------------------------------------------------------

static const char *without_zeros(const char *version) {
    while (*version == '0' && version[1] != '\0')
        version++;
    return version;
}

int version_compare(const char *a, const char *b) {
    a = without_zeros(a);
    b = without_zeros(b);
    size_t length_a = strlen(a), length_b = strlen(b);
    if (length_a != length_b)
        return length_a < length_b ? -1 : 1;
    int order = strcmp(a, b);
    return order < 0 ? -1 : order > 0;
}

static bool cut_end(struct view *view, const char *end) {
    size_t length = strlen(end);
    if (view->length < length || memcmp(view->data + view->length - length, end, length) != 0)
        return false;
    view->length -= length;
    return true;
}

static bool is_printable(struct view name) {
    for (size_t i = 0; i < name.length; i++)
        if ((unsigned char)name.data[i] < ' ' || name.data[i] == 0x7f)
            return false;
    return text_is_utf8(name);
}

bool directory_file_name(const char *file, enum migration_kind *ret_kind, bool *ret_down, struct view *ret_version,
                         struct view *ret_name) {
    struct view name = view_of(file), version = {file, 0};
    if (!cut_end(&name, ".sql") || !is_printable(name))
        return false;
    bool down = cut_end(&name, ".down");
    bool repeatable = view_starts(name, "repeat_");
    if (repeatable)
        version.length = strlen("repeat");
    else
        while (version.length < name.length && name.data[version.length] >= '0' && name.data[version.length] <= '9')
            version.length++;
    if (version.length == 0 || version.length + 1 >= name.length || name.data[version.length] != '_' ||
        (repeatable && down))
        return false;
    name = (struct view){name.data + version.length + 1, name.length - version.length - 1};
    *ret_kind = repeatable ? MIGRATION_REPEATABLE : MIGRATION_VERSIONED;
    *ret_down = down;
    *ret_version = repeatable ? name : version;
    *ret_name = name;
    return true;
}

// Migrations before down files, versioned before repeatable, by number, by name; what is left equal by the file's name.
static int compare_entries(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    if (a->down != b->down)
        return a->down ? 1 : -1;
    if (a->kind != b->kind)
        return a->kind == MIGRATION_REPEATABLE ? 1 : -1;
    int order =
        a->kind == MIGRATION_REPEATABLE ? strcmp(a->version, b->version) : version_compare(a->version, b->version);
    return order != 0 ? order : strcmp(a->file, b->file);
}

// ---- listing ---------------------------------------------------------------------------------------------------------

static bool ends_in_sql(const char *file) {
    size_t length = strlen(file);
    return length >= 4 && strcasecmp(file + length - 4, ".sql") == 0;
}

static bool add_entry(struct listing *listing, const char *file, struct arena *arena, struct error *err) {
    struct entry entry = {.file = arena_string(arena, file)};
    struct view version, name;
    if (!directory_file_name(entry.file, &entry.kind, &entry.down, &version, &name))
        return refuse(
            err, file,
            "%s is no migration's name: VERSION_name.sql (digits first), VERSION_name.down.sql or repeat_name.sql",
            file);
    entry.version = arena_copy(arena, version.data, version.length);
    if (entry.kind == MIGRATION_VERSIONED)
        entry.version = without_zeros(entry.version);
    entry.name = arena_copy(arena, name.data, name.length);
    if (listing->count == DIRECTORY_COUNT_MAX)
        return refuse(err, file, "more than %d migration files in one folder", DIRECTORY_COUNT_MAX);
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? 2 * listing->capacity : 64;
        struct entry *items = arena_array(arena, capacity, sizeof *items);
        if (listing->count > 0)
            memcpy(items, listing->items, listing->count * sizeof *items);
        listing->items = items;
        listing->capacity = capacity;
    }
    listing->items[listing->count++] = entry;
    return true;
}

static bool list(DIR *folder, const char *path, struct arena *arena, struct listing *listing, struct error *err) {
    for (;;) {
        errno = 0;
        const struct dirent *item = readdir(folder);
        if (item == NULL && errno != 0)
            return error_set(err, ERROR_SOURCE_UNREADABLE, "cannot list the folder %s: %s", path, strerror(errno));
        if (item == NULL)
            break;
        if (item->d_name[0] != '.' && ends_in_sql(item->d_name) && !add_entry(listing, item->d_name, arena, err))
            return false;
    }
    if (listing->count > 0)
        qsort(listing->items, listing->count, sizeof *listing->items, compare_entries);
    return true;
}

// ---- the set ---------------------------------------------------------------------------------------------------------

static bool check_duplicates(const struct listing *listing, struct error *err) {
    for (size_t i = 1; i < listing->count; i++) {
        const struct entry *a = &listing->items[i - 1], *b = &listing->items[i];
        if (a->kind == b->kind && a->down == b->down && strcmp(a->version, b->version) == 0)
            return refuse(err, b->file, "%s and %s have the same version %s", a->file, b->file, a->version);
    }
    return true;
}

static struct migration *find_version(struct migration_set *set, const char *version) {
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct migration *migration = &set->items[middle];
        int order = migration->kind == MIGRATION_REPEATABLE ? 1 : version_compare(migration->version, version);
        if (order == 0)
            return migration;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool attach_down(struct migration_set *set, const struct entry *entry, struct error *err) {
    struct migration *migration = find_version(set, entry->version);
    if (migration == NULL || strcmp(migration->name, entry->name) != 0)
        return refuse(err, entry->file, "%s takes back a migration that is not there", entry->file);
    migration->down = entry->file;
    return true;
}

static bool read_entries(int folder, const struct listing *listing, struct arena *arena, struct migration_set *set,
                         struct error *err) {
    struct hash digest;
    uint64_t total = 0;
    hash_begin(&digest);
    set->items = arena_array(arena, listing->count, sizeof *set->items);
    for (size_t i = 0; i < listing->count; i++) {
        const struct entry *entry = &listing->items[i];
        if (entry->down) { // these come last
            if (!attach_down(set, entry, err))
                return false;
            continue;
        }
        struct file_facts facts;
        if (!file_read(folder, entry->file, DIRECTORY_FILE_MAX, NULL, 0, &facts, err))
            return false;
        total += facts.size;
        if (total > DIRECTORY_TOTAL_MAX)
            return refuse(err, entry->file, "the migration files together are larger than %llu MiB",
                          (unsigned long long)(DIRECTORY_TOTAL_MAX >> 20));
        set->items[set->count++] = (struct migration){
            .kind = entry->kind,
            .version = entry->version,
            .name = entry->name,
            .file = entry->file,
            .checksum = arena_string(arena, facts.checksum),
            .size = facts.size,
        };
        hash_add(&digest, view_of(entry->version));
        hash_add(&digest, VIEW(" "));
        hash_add(&digest, view_of(facts.checksum));
        hash_add(&digest, VIEW("\n"));
    }
    hash_end(&digest, set->digest);
    return true;
}

static DIR *open_folder(const char *path, struct error *err) {
    DIR *folder = opendir(path);
    if (folder == NULL)
        error_set(err, ERROR_SOURCE_UNREADABLE, "cannot open the folder %s: %s", path, strerror(errno));
    return folder;
}

bool directory_read(const char *folder, struct arena *arena, struct migration_set *ret_set, struct error *err) {
    struct migration_set set = {.folder = arena_string(arena, folder)};
    struct listing listing = {0};
    cleanup_folder DIR *open = open_folder(folder, err);
    if (open == NULL || !list(open, folder, arena, &listing, err) || !check_duplicates(&listing, err) ||
        !read_entries(dirfd(open), &listing, arena, &set, err))
        return false;
    *ret_set = set;
    return true;
}

// A file that must still be the one that was looked at before.
static bool load(int folder, const char *file, const struct file_facts *known, struct arena *arena,
                 struct script *ret_script, struct error *err) {
    struct file_facts facts;
    size_t size = (size_t)known->size;
    char *text = arena_alloc(arena, size + 1);
    if (!file_read(folder, file, DIRECTORY_FILE_MAX, text, size, &facts, err))
        return false;
    if (facts.size != known->size || strcmp(facts.checksum, known->checksum) != 0) {
        error_set(err, ERROR_SOURCE_UNREADABLE, "%s was changed while it was being applied", file);
        text_copy(err->file, sizeof err->file, view_of(file));
        return false;
    }
    return script_parse(file, (struct view){text, size}, arena, ret_script, err);
}

bool migration_load(const struct migration_set *set, const struct migration *migration, struct arena *arena,
                    struct script *ret_script, struct error *err) {
    cleanup_folder DIR *open = open_folder(set->folder, err);
    struct file_facts known = {.size = migration->size};
    text_copy(known.checksum, sizeof known.checksum, view_of(migration->checksum));
    return open != NULL && load(dirfd(open), migration->file, &known, arena, ret_script, err);
}

bool migration_load_down(const struct migration_set *set, const struct migration *migration, struct arena *arena,
                         struct script *ret_script, struct error *err) {
    cleanup_folder DIR *open = open_folder(set->folder, err);
    struct file_facts known;
    return open != NULL && file_read(dirfd(open), migration->down, DIRECTORY_FILE_MAX, NULL, 0, &known, err) &&
           load(dirfd(open), migration->down, &known, arena, ret_script, err);
}
