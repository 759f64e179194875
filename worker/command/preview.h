// A planned migration as it is shown: for each statement the relations, locks, work and sizes that migrate/forecast found, and its hazards.
#pragma once
#include "base/json.h"
#include "command/terminal.h"
#include "migrate/run.h"

// Several lines, at most 80 columns where the names allow it.
void preview_text(const struct run_item *item, struct terminal *terminal);
// Members of the object that is open: `"plan":[{"line","tag","transaction","effects":[{"does","relation","lock","blocks","work","exists",
// "bytes","rows"}],"hazards":[{"hazard","level","line","subject","why","instead"}]}]`, and what was left out of it: `"left_out":
// {"statements","effects","hazards"}`. `blocks` is "reads and writes", "writes" or null; `exists` null when it could not be asked; `bytes`
// and `rows` null when they are not known. The lock on what does not exist yet is of no concern to anybody.
void preview_json(const struct forecast *forecast, struct json_writer *writer);

// "8192 bytes", "12 kB", "1.4 GB"; "8,400,000".
struct preview_number {
    char text[32];
};
struct preview_number preview_bytes(int64_t bytes);
struct preview_number preview_count(int64_t count);
