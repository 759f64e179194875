// A whole file: pieces from the splitter, their kinds from the parser, directives, the file's own transactions, and the steps that result.
#include "base/hash.h"
#include "script/hazard.h"
#include "script/splitter.h"
#include "script/statement.h"
#include "script/words.h"
#include <string.h>
#include <strings.h>

#define COMMENTS_MAX 500 // in one statement: 1,000 nested ones cost PostgreSQL's lexer 40 ms, 20,000 cost 5 s
#define LOCK_TIMEOUT_MAX_MS ((uint64_t)24 * 60 * 60 * 1000)

struct reading {
    const char *file;
    struct arena *arena;
    struct script script;
    size_t capacity;
    struct allowance *allowances; // waiting for their statement
    size_t allowance_count;
    struct error *err;
};

static bool check_text(const char *file, struct view text, struct error *err) {
    if (view_starts(text, "\xef\xbb\xbf"))
        return script_refuse(err, file, 1, "the text begins with a byte order mark");
    if (text.length > 0 && memchr(text.data, '\0', text.length) != NULL)
        return script_refuse(err, file, 0, "the text holds a NUL byte");
    return text_is_utf8(text) || script_refuse(err, file, 0, "the text is not valid UTF-8");
}

// ---- directives ------------------------------------------------------------------------------------------------------

static bool set_no_transaction(struct reading *reading, const struct piece *piece, struct view value) {
    (void)piece, (void)value;
    reading->script.no_transaction = true;
    return true;
}

static bool set_lock_timeout(struct reading *reading, const struct piece *piece, struct view value) {
    uint64_t ms;
    if (!text_to_ms(value, LOCK_TIMEOUT_MAX_MS, &ms) || ms == 0)
        return script_refuse(reading->err, reading->file, piece->line,
                             "lock_timeout=%.*s is no time between 1ms and 24h, such as 200ms, 5s or 2min",
                             (int)(value.length < 64 ? value.length : 64), value.data);
    reading->script.lock_timeout_ms = ms;
    return true;
}

// "allow HAZARD reason": one line allows one hazard of the next statement, and says why.
static bool add_allowance(struct reading *reading, const struct piece *piece, struct view value) {
    size_t length = 0;
    while (length < value.length && value.data[length] != ' ' && value.data[length] != '\t')
        length++;
    struct view name = {value.data, length};
    struct allowance allowance = {.line = piece->line,
                                  .reason = view_trim((struct view){value.data + length, value.length - length})};
    if (!hazard_find(name, &allowance.hazard))
        return script_refuse(reading->err, reading->file, piece->line,
                             "allow %.*s: there is no such hazard (see pawl lint --help)",
                             (int)(length < 64 ? length : 64), name.data);
    if (allowance.reason.length == 0)
        return script_refuse(reading->err, reading->file, piece->line, "allow %.*s needs a reason behind it",
                             (int)length, name.data);
    struct allowance *grown = arena_array(reading->arena, reading->allowance_count + 1, sizeof *grown);
    if (reading->allowance_count > 0)
        memcpy(grown, reading->allowances, reading->allowance_count * sizeof *grown);
    grown[reading->allowance_count++] = allowance;
    reading->allowances = grown;
    return true;
}

static bool not_yet(struct reading *reading, const struct piece *piece, struct view value) {
    (void)value;
    return script_refuse(reading->err, reading->file, piece->line,
                         "the directive \"-- pawl: %.*s\" is not supported yet",
                         (int)(piece->text.length < 64 ? piece->text.length : 64), piece->text.data);
}

static const struct {
    const char *name;
    char separator; // between name and value; 0 = the directive takes none
    bool (*read)(struct reading *reading, const struct piece *piece, struct view value);
} DIRECTIVES[] = {
    {"no-transaction", 0, set_no_transaction},
    {"lock_timeout", '=', set_lock_timeout},
    {"batch", 0, not_yet},
    {"allow", ' ', add_allowance},
};

static bool read_directive(struct reading *reading, const struct piece *piece) {
    for (size_t i = 0; i < sizeof DIRECTIVES / sizeof *DIRECTIVES; i++) {
        size_t length = strlen(DIRECTIVES[i].name);
        struct view text = piece->text;
        if (text.length < length || strncasecmp(text.data, DIRECTIVES[i].name, length) != 0)
            continue;
        struct view rest = view_trim((struct view){text.data + length, text.length - length});
        char separator = DIRECTIVES[i].separator;
        if (separator == 0 && rest.length == 0)
            return DIRECTIVES[i].read(reading, piece, rest);
        if (separator == '=' && view_starts(rest, "="))
            return DIRECTIVES[i].read(reading, piece, view_trim((struct view){rest.data + 1, rest.length - 1}));
        if (separator == ' ' && text.length > length && (text.data[length] == ' ' || text.data[length] == '\t'))
            return DIRECTIVES[i].read(reading, piece, rest);
    }
    return script_refuse(
        reading->err, reading->file, piece->line,
        "unknown directive \"-- pawl: %.*s\"; known are no-transaction, lock_timeout=TIME and allow HAZARD reason",
        (int)(piece->text.length < 64 ? piece->text.length : 64), piece->text.data);
}

// ---- statements ------------------------------------------------------------------------------------------------------

static void add_statement(struct reading *reading, const struct piece *piece) {
    struct script *script = &reading->script;
    if (script->count == reading->capacity) {
        size_t capacity = reading->capacity ? 2 * reading->capacity : 8;
        struct statement *items = arena_array(reading->arena, capacity, sizeof *items);
        if (script->count > 0)
            memcpy(items, script->items, script->count * sizeof *items);
        script->items = items;
        reading->capacity = capacity;
    }
    script->items[script->count++] = (struct statement){
        .text = piece->text,
        .data = piece->data,
        .line = piece->line,
        .long_name = piece->long_name,
        // The parser knows no standard_conforming_strings = off and would read such a statement differently.
        .analysed = !piece->escapes && piece->comments <= COMMENTS_MAX,
        .allowances = reading->allowances,
        .allowance_count = reading->allowance_count,
    };
    reading->allowances = NULL;
    reading->allowance_count = 0;
}

static bool cut(struct reading *reading, struct view text) {
    struct splitter splitter = splitter_of(reading->file, text);
    struct piece piece;
    do {
        if (!splitter_next(&splitter, &piece, reading->err))
            return false;
        if (piece.kind == PIECE_DIRECTIVE && !read_directive(reading, &piece))
            return false;
        if (piece.kind == PIECE_STATEMENT) {
            add_statement(reading, &piece);
            if (piece.copy_in)
                reading->script.items[reading->script.count - 1].kind = STATEMENT_COPY_IN;
        }
    } while (piece.kind != PIECE_END);
    return reading->allowance_count == 0 || script_refuse(reading->err, reading->file, reading->allowances[0].line,
                                                          "this \"-- pawl: allow\" stands before no statement");
}

static const char *hash_statement(const struct statement *statement, struct arena *arena) {
    struct hash hash;
    char hex[65];
    hash_begin(&hash);
    hash_add(&hash, statement->text);
    hash_add(&hash, statement->data);
    hash_end(&hash, hex);
    return arena_copy(arena, hex, 16);
}

// ---- steps -----------------------------------------------------------------------------------------------------------

// Under "-- pawl: no-transaction" a procedure that commits may be called, and what cannot be read may be anything.
static bool runs_alone(const struct script *script, const struct statement *statement) {
    if (statement->kind == STATEMENT_NON_TRANSACTIONAL)
        return true;
    bool unknown =
        !statement->analysed || statement->operation == OPERATION_CALL || statement->operation == OPERATION_DO;
    return script->no_transaction && unknown && statement->kind == STATEMENT_ORDINARY;
}

static bool refuse(struct reading *reading, const struct statement *statement, const char *why) {
    return script_refuse(reading->err, reading->file, statement->line, "%s", why);
}

static bool number_steps(struct reading *reading) {
    struct script *script = &reading->script;
    const struct statement *begin = NULL; // of the file's own transaction, while inside
    bool open = false;                    // whether the last step goes on
    for (size_t i = 0; i < script->count; i++) {
        struct statement *statement = &script->items[i];
        bool alone = runs_alone(script, statement);
        if (statement->kind == STATEMENT_BEGIN) {
            if (begin != NULL)
                return refuse(reading, statement, "BEGIN inside the file's own transaction");
            begin = statement;
            open = false;
        } else if (statement->kind == STATEMENT_COMMIT) {
            if (begin == NULL)
                return refuse(reading, statement,
                              "COMMIT without a BEGIN in this file would end the migration's own transaction");
            begin = NULL;
            open = false;
        } else if (statement->operation == OPERATION_DISCARD && statement->kind == STATEMENT_NON_TRANSACTIONAL) {
            return refuse(
                reading, statement,
                "DISCARD ALL would also give up the lock of the run; leave it out: the session is reset after "
                "every file");
        } else if (words_foreign_encoding(statement->text)) {
            return refuse(reading, statement,
                          "a client_encoding other than UTF8: the file is read and sent as UTF-8; leave the line out");
        } else if (alone && begin != NULL) {
            return refuse(reading, statement,
                          "PostgreSQL refuses this statement inside BEGIN ... COMMIT; move it out of the block");
        } else {
            if (alone)
                statement->kind = STATEMENT_NON_TRANSACTIONAL;
            if (alone || !open)
                script->steps++;
            statement->step = script->steps;
            open = !alone && (begin != NULL || !script->no_transaction);
        }
    }
    return begin == NULL || refuse(reading, begin, "this BEGIN has no COMMIT");
}

bool script_parse(const char *file, struct view text, struct arena *arena, struct script *ret_script,
                  struct error *err) {
    struct reading reading = {.file = file, .arena = arena, .err = err};
    struct script *script = &reading.script;
    if (!check_text(file, text, err) || !cut(&reading, text) ||
        !statements_classify(file, script->items, script->count, arena, err) || !number_steps(&reading))
        return false;
    script->analysed = true;
    bool alone = false;
    for (size_t i = 0; i < script->count; i++) {
        script->items[i].hash = hash_statement(&script->items[i], arena);
        script->analysed &= script->items[i].analysed;
        alone |= script->items[i].kind == STATEMENT_NON_TRANSACTIONAL;
    }
    script->transactional = script->steps <= 1 && !alone;
    *ret_script = *script;
    return true;
}

unsigned statement_line_at(const struct statement *statement, unsigned position) {
    unsigned line = statement->line, characters = 0;
    for (size_t i = 0; i < statement->text.length; i++) {
        characters += ((unsigned char)statement->text.data[i] & 0xc0) != 0x80;
        if (characters >= position)
            break;
        line += statement->text.data[i] == '\n';
    }
    return line;
}
