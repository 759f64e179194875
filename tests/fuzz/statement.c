// script_parse and hazard_lint: whatever the text, it is refused with a line or becomes statements that lie in it,
// with kinds, steps, hashes and actions that fit; and the lint finds what it finds inside the file.
#include "script/action.h"
#include "script/hazard.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "broken promise: %s\n", what);
        abort();
    }
}

static void check_statement(struct view text, const struct statement *statement) {
    const char *end = statement->text.data + statement->text.length;
    bool control = statement->kind == STATEMENT_BEGIN || statement->kind == STATEMENT_COMMIT;
    demand(statement->text.data >= text.data && end <= text.data + text.length, "a statement lies in the text");
    demand(control == (statement->step == 0), "all but transaction control has a step");
    demand(!statement->analysed || statement->tag != NULL, "what was analysed has a tag");
    demand(statement->analysed || statement->tag == NULL, "what was not has none");
    demand(statement->data.data == NULL || statement->kind == STATEMENT_COPY_IN, "only COPY has data");
    demand(strlen(statement->hash) == 16, "a hash of 16 digits");
    for (size_t i = 0; i < statement->object_count; i++)
        demand(statement->objects[i] != NULL && text_is_utf8(view_of(statement->objects[i])), "objects have names");
    demand(statement_line_at(statement, (unsigned)statement->text.length) >= statement->line, "positions have lines");
}

static void check_actions(const struct statement *statement) {
    demand(statement->analysed || statement->action_count == 0, "only what was analysed has actions");
    for (size_t i = 0; i < statement->action_count; i++) {
        const struct action *action = &statement->actions[i];
        demand(action->kind < ACTION_COUNT && action->mode <= MODE_ACCESS_EXCLUSIVE, "actions are of the table");
        demand(text_is_utf8(view_of(action->relation)) && text_is_utf8(view_of(action->name)), "names are text");
    }
}

static void check_findings(const struct script *script, struct arena *arena) {
    struct findings findings;
    hazard_lint(script, arena, &findings);
    for (size_t i = 0; i < findings.count; i++) {
        const struct finding *finding = &findings.items[i];
        demand(finding->statement >= script->items && finding->statement < script->items + script->count,
               "a finding is about a statement");
        demand(finding->line > 0 && finding->line <= finding->statement->line, "a finding has a line");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_arena struct arena *arena = arena_new();
    struct view text = {arena_copy(arena, (const char *)data, size), size};
    struct script script = {.count = 4711};
    struct error err = {0};
    if (!script_parse("fuzz.sql", text, arena, &script, &err)) {
        demand(err.code == ERROR_SOURCE_INVALID && script.count == 4711, "a refusal leaves the result alone");
        return 0;
    }
    unsigned steps = 0;
    bool alone = false;
    for (size_t i = 0; i < script.count; i++) {
        const struct statement *statement = &script.items[i];
        check_statement(text, statement);
        check_actions(statement);
        demand(statement->step == 0 || statement->step == steps || statement->step == steps + 1, "steps in order");
        if (statement->step > 0)
            steps = statement->step;
        alone |= statement->kind == STATEMENT_NON_TRANSACTIONAL;
    }
    check_findings(&script, arena);
    demand(steps == script.steps && script.transactional == (steps <= 1 && !alone), "the script sums them up");
    return 0;
}
