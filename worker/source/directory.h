// A folder of migration files, read and checked as a set before any database is touched. Plain names (design §4):
// VERSION_name.sql, VERSION_name.down.sql (kept aside), repeat_name.sql. Other files ending in .sql are refused by name; files with
// other endings and dotfiles are ignored.
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "script/statement.h"

enum migration_kind { MIGRATION_VERSIONED, MIGRATION_REPEATABLE };
struct migration {
    enum migration_kind kind;
    const char *version;  // digits without leading zeros ("0" stays), any length; repeatable: the name
    const char *name;     // "create_orders"
    const char *file;     // "0003_create_orders.sql", as on disk
    const char *checksum; // 64 hex: SHA-256 over the text without BOM and with \n line ends
    struct view text;     // normalised text
    struct script script;
};
struct migration_set {
    struct migration *items; // versioned by number, then repeatable by name
    size_t count;
    char digest[65]; // SHA-256 over "version checksum\n" of all items, in order
};
// Errors: ERROR_SOURCE_UNREADABLE, ERROR_SOURCE_INVALID (file and line set). Everything lives in the arena.
bool directory_read(const char *folder, struct arena *arena, struct migration_set *ret_set, struct error *err);
// Compares versions as numbers of any length: <0, 0, >0.
int version_compare(const char *a, const char *b);
// Exposed for tests: name of a file to kind, version, name. False: not a migration's name.
bool directory_file_name(const char *file, enum migration_kind *ret_kind, bool *ret_down, struct view *ret_version,
                         struct view *ret_name);
