// Reads one small file whole: a credentials file, a token that a platform leaves in a file.
#pragma once
#include "base/error.h"
#include "base/text.h"

// Appends the file's bytes; more than `out` may hold is a failure. Errors: ERROR_CONFIGURATION with the path and the reason.
bool smallfile_read(const char *path, struct text *out, struct error *err);
