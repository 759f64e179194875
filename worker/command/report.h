// What came out of a run, for people and for programs. The JSON body is the same in an HTTP answer, in `--json` and in a result event.
#pragma once
#include "base/json.h"
#include "command/terminal.h"
#include "migrate/run.h"
#include "options.h"
#include "script/hazard.h"

// `{"status":"applied","run":...,"target":...,"applied":N,"version":...,"migrations":[{"version","name","file","statements","ms"}],...}`;
// what is only planned also has what preview.h says.
// What `out` has no room for is left out from the list and counted as `left_out`. `served_by`: the release of the
// files, when the message asked for an older one; NULL otherwise.
void report_json(const struct run_request *request, const struct run_report *report, const char *served_by,
                 struct text *out);
// `{"status":"failed"|"retry","run":...,"target":...,"error":CODE,"message":...,"file","line","statement","sqlstate","detail","hint","remedy"}`;
// `request` may be NULL. `parked`: the id that the message has in the dead-letter topic; NULL = it was not parked.
void report_error_json(const struct run_request *request, const struct error *err, const char *parked,
                       struct text *out);
// What a run that ended with this state counts: "applied", "pending", ...
const char *report_counted(const char *state);
// One element of a list of migrations with their states.
void report_status_item(struct json_writer *writer, const struct status_item *item);
// The failure for a person: message, place, what PostgreSQL said, what to do.
void report_failure_text(struct terminal *terminal, const struct error *err);
// Prints the failure as the options want it (JSON to stdout, text to stderr) and returns the exit code.
int report_failure(const struct options *options, const struct error *err);
// The failure table of README.md (`pawl help errors`).
void report_error_table(struct text *out);
// One code in words (`pawl help CODE`).
void report_error_help(enum error_code code, struct text *out);
// Whether it is time to tell that a run waits: the first time, then ever more rarely (after 10 s, 20 s, 40 s, ...). `told_ms` begins as 0.
bool report_wait_due(uint64_t waited_ms, uint64_t *told_ms);
// The same of statements that take long, one after the other: each begins anew.
struct report_pace { // begins as zero
    uint64_t last_ms, told_ms;
};
bool report_watch_due(uint64_t ms, struct report_pace *pace);
// "207 ms", "12.4 s", "3 min 20 s".
struct report_time {
    char text[32];
};
struct report_time report_time(uint64_t ms);
enum tone report_hazard_tone(enum hazard_level level);
// The hazards that `pawl lint` knows (`pawl help hazards`).
void report_hazard_table(struct text *out);
// One of them (`pawl help HAZARD`).
void report_hazard_help(enum hazard hazard, struct text *out);
// "applied 3 migrations", "nothing pending", ... one line without a newline.
void report_summary(const struct run_report *report, struct text *out);
