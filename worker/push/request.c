// One table of keys reads both forms of a request. To add a key: a member of `struct request` and a row in `keys` (and a check, where
// none serves yet). The fingerprint covers it by itself.
#include "push/request.h"

#include "base/hash.h"
#include "base/json.h"

#include <string.h>

enum { STEPS_MAX = 1000 };

// What is read, before it is handed out: all is still words.
struct draft {
    struct request request;
    const char *action, *steps, *out_of_order;
};

struct key {
    const char *name;
    // Whether the value fits; may narrow it to its canonical spelling. NULL: a later version brings this key.
    bool (*fits)(const struct key *key, struct view *value);
    size_t place;         // of a string in struct draft
    size_t max;           // bytes
    const char *shape;    // what would have been right
    enum json_type other; // the JSON type that it may have besides a string
};

// ---- what fits -----------------------------------------------------------------------------------------------------

static bool is_name(const struct key *key, struct view *value) {
    for (size_t i = 0; i < value->length; i++) {
        char c = value->data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return value->length > 0 && value->length <= key->max;
}

static bool is_version(const struct key *key, struct view *value) {
    for (size_t i = 0; i < value->length; i++) {
        if (value->data[i] < '0' || value->data[i] > '9')
            return false;
    }
    if (value->length == 0 || value->length > key->max)
        return false;
    while (value->length > 1 && value->data[0] == '0')
        *value = (struct view){value->data + 1, value->length - 1};
    return true;
}

// An empty remark is what a pipeline sends whose form was left blank.
static bool is_remark(const struct key *key, struct view *value) {
    uint32_t character;
    for (size_t at = 0, step; at < value->length; at += step) {
        step = text_utf8((struct view){value->data + at, value->length - at}, &character);
        if (step == 0 || text_is_control(character))
            return false;
    }
    return value->length <= key->max;
}

static bool is_text(const struct key *key, struct view *value) {
    return value->length > 0 && is_remark(key, value);
}

static bool is_digest(const struct key *key, struct view *value) {
    for (size_t i = 0; i < value->length; i++) {
        char c = value->data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return value->length == key->max;
}

// A signed token in compact serialisation, by its letters only.
static bool is_token(const struct key *key, struct view *value) {
    for (size_t i = 0; i < value->length; i++) {
        char c = value->data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '_' && c != '.')
            return false;
    }
    return value->length > 0 && value->length <= key->max;
}

static bool is_action(const struct key *key, struct view *value) {
    (void)key;
    return view_is(*value, "migrate") || view_is(*value, "plan") || view_is(*value, "rollback");
}

static bool is_count(const struct key *key, struct view *value) {
    uint64_t number;
    return is_version(key, value) && text_to_u64(*value, STEPS_MAX, &number) && number > 0;
}

static bool is_flag(const struct key *key, struct view *value) {
    (void)key;
    return view_is(*value, "true") || view_is(*value, "false");
}

// ---- the table -----------------------------------------------------------------------------------------------------

#define PLACE(member) offsetof(struct draft, member)
static const struct key keys[] = {
    {"target", is_name, PLACE(request.target), 63, "1 to 63 of a-z, 0-9, _ and -", JSON_STRING},
    {"release", is_text, PLACE(request.release), 200, "1 to 200 bytes without control characters", JSON_STRING},
    {"to", is_version, PLACE(request.to), 64, "a version: 1 to 64 digits", JSON_NUMBER},
    {"digest", is_digest, PLACE(request.digest), 64, "64 hexadecimal digits", JSON_STRING},
    {"action", is_action, PLACE(action), 0, "migrate, plan or rollback", JSON_STRING},
    {"steps", is_count, PLACE(steps), 4, "a number from 1 to 1000", JSON_NUMBER},
    {"out_of_order", is_flag, PLACE(out_of_order), 0, "true or false", JSON_BOOLEAN},
    {"reason", is_remark, PLACE(request.reason), 500, "at most 500 bytes without control characters", JSON_STRING},
    {"proof", is_token, PLACE(request.proof), REQUEST_PROOF_MAX, "a signed token of at most 8192 bytes", JSON_STRING},
    // brought by later versions
    {.name = "source"},
};
#undef PLACE
enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

// A proof is too long for an attribute, and no part of the fingerprint that it carries.
static bool is_proof(const struct key *key) {
    return key->fits == is_token;
}

// What the platform and this worker add to a message by themselves.
static const char *const ignored_prefixes[] = {"googclient_", "CloudPubSub", "pawl_"};

static const struct key *find(const char *name) {
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

// ---- the two forms -------------------------------------------------------------------------------------------------

// The raw values of both forms before they are read, and what is read of them. `data` NULL: not said.
struct values {
    struct view data[KEY_COUNT], attributes[KEY_COUNT], said[KEY_COUNT];
};

// Fails naming the key; the name may come from outside.
static bool refuse(struct error *err, enum error_code code, const char *where, const char *name, const char *problem) {
    char shown[65];
    text_copy(shown, sizeof(shown), view_of(name));
    return error_set(err, code, "%s \"%s\" %s", where, shown, problem);
}

// The key of that name, if a request may have it.
static const struct key *admit(const char *where, const char *name, struct error *err) {
    const struct key *key = find(name);
    if (!key)
        refuse(err, ERROR_REQUEST_MALFORMED, where, name, "is not known");
    else if (!key->fits)
        refuse(err, ERROR_REQUEST_UNSUPPORTED, where, name, "is not supported yet");
    else
        return key;
    return NULL;
}

static bool is_ignored(const char *attribute) {
    for (size_t i = 0; i < sizeof(ignored_prefixes) / sizeof(ignored_prefixes[0]); i++) {
        if (view_starts(view_of(attribute), ignored_prefixes[i]))
            return true;
    }
    return false;
}

static bool collect_attributes(const struct envelope *envelope, struct values *values, struct error *err) {
    for (size_t i = 0; i < envelope->attribute_count; i++) {
        const struct envelope_attribute *attribute = &envelope->attributes[i];
        if (is_ignored(attribute->name))
            continue;
        const struct key *key = admit("the attribute", attribute->name, err);
        if (!key)
            return false;
        if (is_proof(key))
            return refuse(err, ERROR_REQUEST_MALFORMED, "the attribute", key->name, "may only be said in data");
        values->attributes[key - keys] = view_of(attribute->value);
    }
    return true;
}

// Texts live in the arena afterwards, for the tree goes away.
static bool collect_member(const struct json *member, struct arena *arena, struct values *values, struct error *err) {
    const struct key *key = admit("the key", json_name(member), err);
    struct view text;
    int64_t number;
    bool flag;
    if (!key)
        return false;
    if (json_string(member, &text))
        text.data = arena_copy(arena, text.data, text.length);
    else if (key->other == JSON_NUMBER && json_integer(member, 0, INT64_MAX, &number))
        text = view_of(arena_printf(arena, "%lld", (long long)number));
    else if (key->other == JSON_BOOLEAN && json_boolean(member, &flag))
        text = flag ? VIEW("true") : VIEW("false");
    else
        return refuse(err, ERROR_REQUEST_MALFORMED, "the key", key->name,
                      key->other == JSON_NUMBER    ? "is neither a text nor a whole number below 2^53"
                      : key->other == JSON_BOOLEAN ? "is neither true nor false"
                                                   : "is not a text");
    values->data[key - keys] = text;
    return true;
}

static bool collect_data(struct view data, struct arena *arena, struct values *values, struct error *err) {
    cleanup_json struct json *root = NULL;
    if (data.length == 0)
        return true;
    if (!json_parse(data, &root, err)) {
        err->code = ERROR_REQUEST_MALFORMED;
        return error_wrap(err, "the message's data is not a JSON object");
    }
    if (json_type(root) != JSON_OBJECT)
        return error_set(err, ERROR_REQUEST_MALFORMED, "the message's data is JSON, but not an object");
    for (const struct json *member = json_first(root); member; member = json_next(member)) {
        if (!collect_member(member, arena, values, err))
            return false;
    }
    return true;
}

// ---- reading -------------------------------------------------------------------------------------------------------

// Narrows a value to its canonical spelling, or says what is wrong with it.
static bool check(const struct key *key, const char *where, struct view *value, struct error *err) {
    return key->fits(key, value) ||
           error_set(err, ERROR_REQUEST_MALFORMED, "%s \"%s\" must be %s", where, key->name, key->shape);
}

static bool read_key(const struct key *key, struct values *values, struct arena *arena, struct draft *draft,
                     struct error *err) {
    struct view *data = &values->data[key - keys], *attribute = &values->attributes[key - keys];
    if ((data->data && !check(key, "the key", data, err)) ||
        (attribute->data && !check(key, "the attribute", attribute, err)))
        return false;
    if (data->data && attribute->data && !view_equal(*data, *attribute))
        return refuse(err, ERROR_REQUEST_MALFORMED, "the key", key->name,
                      "says one thing in data and another in the attributes");
    struct view value = data->data ? *data : *attribute;
    values->said[key - keys] = value;
    if (value.length > 0) {
        const char *copy = arena_copy(arena, value.data, value.length);
        memcpy((char *)draft + key->place, &copy, sizeof(copy));
    }
    return true;
}

// ---- the fingerprint -----------------------------------------------------------------------------------------------

// The key whose name comes next in the order of bytes; NULL when `before` is the last. `before` NULL: the first.
static const struct key *key_after(const struct key *before) {
    const struct key *next = NULL;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if ((!before || strcmp(keys[i].name, before->name) > 0) && (!next || strcmp(keys[i].name, next->name) < 0))
            next = &keys[i];
    }
    return next;
}

// Values hold no control character, so that this is all that JSON demands.
static void add_quoted(struct hash *hash, struct view value) {
    hash_add(hash, VIEW("\""));
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] == '"' || value.data[i] == '\\')
            hash_add(hash, VIEW("\\"));
        hash_add(hash, (struct view){&value.data[i], 1});
    }
    hash_add(hash, VIEW("\""));
}

static void take_fingerprint(const struct values *values, char ret_hex[static 65]) {
    struct hash hash;
    const char *between = "{";
    hash_begin(&hash);
    for (const struct key *key = key_after(NULL); key; key = key_after(key)) {
        const struct view *value = &values->said[key - keys];
        if (is_proof(key) || !value->data)
            continue;
        hash_add(&hash, view_of(between));
        add_quoted(&hash, view_of(key->name));
        hash_add(&hash, VIEW(":"));
        add_quoted(&hash, *value);
        between = ",";
    }
    hash_add(&hash, *between == '{' ? VIEW("{}") : VIEW("}"));
    hash_end(&hash, ret_hex);
}

// ---- all together --------------------------------------------------------------------------------------------------

// The action, and what may be said with it only.
static bool settle_action(struct draft *draft, struct error *err) {
    struct request *request = &draft->request;
    uint64_t steps = 0;
    if (draft->action)
        request->action = strcmp(draft->action, "plan") == 0       ? REQUEST_PLAN
                          : strcmp(draft->action, "rollback") == 0 ? REQUEST_ROLLBACK
                                                                   : REQUEST_MIGRATE;
    request->out_of_order = draft->out_of_order && strcmp(draft->out_of_order, "true") == 0;
    bool back = request->action == REQUEST_ROLLBACK;
    if (draft->steps && (!back || request->to))
        return error_set(err, ERROR_REQUEST_MALFORMED, "the key \"steps\" goes with a rollback, and without \"to\"");
    if (back && !draft->steps && !request->to)
        return error_set(err, ERROR_REQUEST_MALFORMED, "a rollback needs \"steps\" or \"to\"");
    if (back && request->out_of_order)
        return error_set(err, ERROR_REQUEST_MALFORMED, "the key \"out_of_order\" does not go with a rollback");
    if (draft->steps && !text_to_u64(view_of(draft->steps), STEPS_MAX, &steps))
        return error_set(err, ERROR_INTERNAL, "the key \"steps\" was not checked");
    request->steps = (unsigned)steps;
    return true;
}

bool request_read(const struct envelope *envelope, struct arena *arena, struct request *ret_request,
                  struct error *err) {
    struct values values = {0};
    struct draft draft = {0};
    if (!collect_data(envelope->data, arena, &values, err) || !collect_attributes(envelope, &values, err))
        return false;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (!read_key(&keys[i], &values, arena, &draft, err))
            return false;
    }
    if (!settle_action(&draft, err))
        return false;
    take_fingerprint(&values, draft.request.fingerprint);
    *ret_request = draft.request;
    return true;
}
