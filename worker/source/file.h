// One migration file on disk: opened without following links, bounded, checked to be UTF-8 text, normalised (no BOM, \n for \r\n), hashed;
// in one pass through a small buffer. Which files make a set is directory.h's business.
#pragma once
#include "base/error.h"
#include "base/text.h"

struct file_facts {
    char checksum[65]; // SHA-256 of the normalised text
    uint64_t size;     // its bytes
};
// Reads `name` in the folder open at `folder`. `destination` (room for `room` bytes) gets the text, NULL = only the facts are
// wanted; a text that has grown past `room` is cut there, which its checksum then shows. Errors:
// ERROR_SOURCE_UNREADABLE; ERROR_SOURCE_INVALID (no regular file, larger than `max` bytes on disk, NUL, UTF-16,
// invalid UTF-8, with the line).
bool file_read(int folder, const char *name, uint64_t max, char *destination, size_t room, struct file_facts *ret_facts,
               struct error *err);
