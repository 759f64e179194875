// A folder of migration files, read and checked as a set before any database is touched. Plain names:
// VERSION_name.sql, VERSION_name.down.sql (kept aside), repeat_name.sql. Other files ending in .sql are refused by name; files with
// other endings, folders and dotfiles are ignored.
//
// The set holds names and checksums, not texts: every file is read once through a small buffer that checks its encoding and hashes it,
// so that a no-op over thousands of files costs no more than reading and hashing, and memory grows with names only. What is
// pending is loaded again, one file at a time, by migration_load: the engine loads every pending migration once before it
// applies the first (a file that cannot be cut into statements is refused then), and may drop the text in between.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "script/statement.h"

#define DIRECTORY_FILE_MAX ((uint64_t)128 << 20) // bytes in one file
#define DIRECTORY_TOTAL_MAX ((uint64_t)4 << 30)  // bytes in all files
#define DIRECTORY_COUNT_MAX 100000               // files

enum migration_kind { MIGRATION_VERSIONED, MIGRATION_REPEATABLE };
struct migration {
    enum migration_kind kind;
    const char *version;  // digits without leading zeros ("0" stays), any length; repeatable: the name
    const char *name;     // "create_orders"
    const char *file;     // "0003_create_orders.sql", as on disk
    const char *checksum; // 64 hex: SHA-256 over the text without BOM and with \n line ends
    uint64_t size;        // bytes of that text
    const char *down;     // "0003_create_orders.down.sql", or NULL
};
struct migration_set {
    const char *folder;
    struct migration *items; // versioned by number, then repeatable by name
    size_t count;
    char digest[65]; // SHA-256 over "version checksum\n" of all items, in order
};
// Errors: ERROR_SOURCE_UNREADABLE (also no such folder), ERROR_SOURCE_INVALID (file set, line where there is one): a name that is no
// migration's, two files with one identity (1_a.sql and 0001_b.sql), a down file without its migration, a symbolic link or other
// special file, NUL, invalid UTF-8, UTF-16, too large. Everything lives in the arena.
bool directory_read(const char *folder, struct arena *arena, struct migration_set *ret_set, struct error *err);
// Reads one file of the set again and cuts it into statements; text and script live in `arena` and go with it. The set is not
// changed, so that threads may share it. Errors: as directory_read; ERROR_SOURCE_UNREADABLE when the file is no longer the one that
// was hashed; those of script_parse.
bool migration_load(const struct migration_set *set, const struct migration *migration, struct arena *arena,
                    struct script *ret_script, struct error *err);
// The same for its down file (`migration->down` is set), which is part of no checksum.
bool migration_load_down(const struct migration_set *set, const struct migration *migration, struct arena *arena,
                         struct script *ret_script, struct error *err);
// Compares versions as numbers of any length: <0, 0, >0.
int version_compare(const char *a, const char *b);
// Exposed for tests: name of a file to kind, version, name. False: not a migration's name.
bool directory_file_name(const char *file, enum migration_kind *ret_kind, bool *ret_down, struct view *ret_version,
                         struct view *ret_name);
