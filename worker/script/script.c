// A whole file: pieces from the splitter, their kinds from the parser, directives, the file's own transactions, and the steps that result.
#include "base/hash.h"
#include "script/hazard.h"
#include "script/splitter.h"
#include "script/statement.h"
#include "script/words.h"
#include <string.h>
#include <strings.h>

#define COMMENTS_MAX 500 // in one statement: 1,000 nested ones cost PostgreSQL's lexer 40 ms, 20,000 cost 5 s
#define TIME_MAX_MS ((uint64_t)24 * 60 * 60 * 1000)

struct reading {
    const char *file;
    struct arena *arena;
    struct script script;
    size_t capacity;
    struct allowance *allowances; // waiting for their statement
    size_t allowance_count;
    const struct batch *batch; // the same
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

static int shown(struct view view) {
    return (int)(view.length < 64 ? view.length : 64);
}

static bool read_time(struct reading *reading, const struct piece *piece, const char *name, struct view value,
                      uint64_t *ret_ms) {
    uint64_t ms = 0;
    if (!text_to_ms(value, TIME_MAX_MS, &ms) || ms == 0)
        return script_refuse(reading->err, reading->file, piece->line,
                             "%s=%.*s is no time between 1ms and 24h, such as 200ms, 5s or 2min", name, shown(value),
                             value.data);
    *ret_ms = ms;
    return true;
}

static bool set_lock_timeout(struct reading *reading, const struct piece *piece, struct view value) {
    return read_time(reading, piece, "lock_timeout", value, &reading->script.lock_timeout_ms);
}

static bool read_batch_member(struct reading *reading, const struct piece *piece, struct view member,
                              struct batch *batch) {
    const struct {
        const char *name;
        uint64_t *ms;
    } members[] = {{"pause", &batch->pause_ms}, {"max_lag", &batch->max_lag_ms}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        size_t length = strlen(members[i].name);
        if (member.length <= length || member.data[length] != '=' ||
            strncasecmp(member.data, members[i].name, length) != 0)
            continue;
        if (*members[i].ms != 0)
            return script_refuse(reading->err, reading->file, piece->line, "batch: %s is given twice", members[i].name);
        struct view value = {member.data + length + 1, member.length - length - 1};
        return read_time(reading, piece, members[i].name, value, members[i].ms);
    }
    return script_refuse(reading->err, reading->file, piece->line,
                         "batch: \"%.*s\" is not known; known are pause=TIME and max_lag=TIME", shown(member),
                         member.data);
}

// "batch [pause=TIME] [max_lag=TIME]"
static bool begin_batch(struct reading *reading, const struct piece *piece, struct view value) {
    if (reading->batch != NULL)
        return script_refuse(reading->err, reading->file, piece->line,
                             "a second \"-- pawl: batch\" for one statement; the first is in line %u",
                             reading->batch->line);
    struct batch *batch = arena_alloc(reading->arena, sizeof *batch);
    *batch = (struct batch){.line = piece->line};
    while (value.length > 0) {
        size_t length = 0;
        while (length < value.length && value.data[length] != ' ' && value.data[length] != '\t')
            length++;
        if (!read_batch_member(reading, piece, (struct view){value.data, length}, batch))
            return false;
        value = view_trim((struct view){value.data + length, value.length - length});
    }
    reading->batch = batch;
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
                             "allow %.*s: there is no such hazard (see pawl help hazards)",
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

static const struct {
    const char *name;
    bool bare;      // may stand without a value
    char separator; // between name and value; 0 = the directive takes none
    bool (*read)(struct reading *reading, const struct piece *piece, struct view value);
} DIRECTIVES[] = {
    {"no-transaction", true, 0, set_no_transaction},
    {"lock_timeout", false, '=', set_lock_timeout},
    {"batch", true, ' ', begin_batch},
    {"allow", false, ' ', add_allowance},
};

static bool read_directive(struct reading *reading, const struct piece *piece) {
    for (size_t i = 0; i < sizeof DIRECTIVES / sizeof *DIRECTIVES; i++) {
        size_t length = strlen(DIRECTIVES[i].name);
        struct view text = piece->text;
        if (text.length < length || strncasecmp(text.data, DIRECTIVES[i].name, length) != 0)
            continue;
        struct view rest = view_trim((struct view){text.data + length, text.length - length});
        char separator = DIRECTIVES[i].separator;
        if (DIRECTIVES[i].bare && rest.length == 0)
            return DIRECTIVES[i].read(reading, piece, rest);
        if (separator == '=' && view_starts(rest, "="))
            return DIRECTIVES[i].read(reading, piece, view_trim((struct view){rest.data + 1, rest.length - 1}));
        if (separator == ' ' && text.length > length && (text.data[length] == ' ' || text.data[length] == '\t'))
            return DIRECTIVES[i].read(reading, piece, rest);
    }
    return script_refuse(reading->err, reading->file, piece->line,
                         "unknown directive \"-- pawl: %.*s\"; known are no-transaction, lock_timeout=TIME, batch and "
                         "allow HAZARD reason",
                         shown(piece->text), piece->text.data);
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
        .batch = reading->batch,
    };
    reading->allowances = NULL;
    reading->allowance_count = 0;
    reading->batch = NULL;
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
    if (reading->batch != NULL)
        return script_refuse(reading->err, reading->file, reading->batch->line,
                             "this \"-- pawl: batch\" stands before no statement");
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

// `inside`: the file's own transaction.
static bool check_batch(struct reading *reading, const struct statement *statement, bool inside) {
    if (statement->batch == NULL)
        return true;
    if (!statement->analysed)
        return refuse(
            reading, statement,
            "\"-- pawl: batch\" before a statement that the parser of this pawl cannot read: whether it changes "
            "rows is not known");
    if (statement->operation != OPERATION_CHANGE_ROWS)
        return script_refuse(reading->err, reading->file, statement->line,
                             "\"-- pawl: batch\" repeats an INSERT, UPDATE, DELETE or MERGE, and this is %s",
                             statement->tag);
    if (inside)
        return refuse(reading, statement,
                      "a batch is a transaction for each round; move it out of the block BEGIN ... COMMIT");
    return statement->endless == NULL || refuse(reading, statement, statement->endless);
}

static bool number_steps(struct reading *reading) {
    struct script *script = &reading->script;
    const struct statement *begin = NULL; // of the file's own transaction, while inside
    bool open = false;                    // whether the last step goes on
    for (size_t i = 0; i < script->count; i++) {
        struct statement *statement = &script->items[i];
        bool alone = runs_alone(script, statement);
        if (!check_batch(reading, statement, begin != NULL))
            return false;
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
            bool apart = alone || statement->batch != NULL;
            if (apart || !open)
                script->steps++;
            statement->step = script->steps;
            open = !apart && (begin != NULL || !script->no_transaction);
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
    bool apart = false;
    for (size_t i = 0; i < script->count; i++) {
        script->items[i].hash = hash_statement(&script->items[i], arena);
        script->analysed &= script->items[i].analysed;
        apart |= script->items[i].kind == STATEMENT_NON_TRANSACTIONAL || script->items[i].batch != NULL;
    }
    script->transactional = script->steps <= 1 && !apart;
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
