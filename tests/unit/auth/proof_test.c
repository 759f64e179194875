// The proof of who published: GitHub's claims, each varied alone in a token that the issuer signed; its time, and the memory that
// stands in for a key that is gone.
#include "auth/proof.h"
#include "base/hash.h"
#include "court.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FINGERPRINT "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define OTHER "54136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define PUBLISHED INT64_C(1700000000)

struct trial {
    struct forge *issuer, *attacker;
    struct key *key;
    const char
        *known_token; // what the memory has: the SHA-256 of a token and the request that it was for; NULL = nothing
    const char *known_request;
    enum error_code keys_fail, memory_fails;
    unsigned asked, remembered;
    struct arena *arena;
    struct proof_policy policy;
    struct proof_claims claims;
    struct error err;
};

// JSON text of each claim. NULL takes a good one, "" leaves the claim out; `extra` is more members.
struct draft_proof {
    const char *iss, *aud, *exp, *iat, *nbf, *repository_id, *owner_id, *environment, *ref, *extra;
};

static const char *const repositories[] = {"11", "4242", NULL}, *const owners[] = {"99", NULL};
static const char *const environments[] = {"production", "staging", NULL}, *const refs[] = {"refs/heads/main", NULL};

static int set_up(void **state) {
    struct trial *trial = memory_alloc(sizeof *trial);
    trial->issuer = forge_new(2048);
    trial->attacker = forge_new(2048);
    trial->key = forge_key(trial->issuer);
    trial->arena = arena_new();
    *state = trial;
    return 0;
}

static int tear_down(void **state) {
    struct trial *trial = *state;
    forge_free(trial->issuer);
    forge_free(trial->attacker);
    key_release(trial->key);
    arena_free(trial->arena);
    free(trial);
    return 0;
}

static int start(void **state) {
    struct trial *trial = *state;
    trial->known_token = trial->known_request = NULL;
    trial->keys_fail = trial->memory_fails = ERROR_NONE;
    trial->policy = (struct proof_policy){
        .repository_ids = repositories, .owner_ids = owners, .environments = environments, .refs = refs, .skew_s = 60};
    return 0;
}

// ---- verdicts ----------------------------------------------------------------------------------------------------------

static bool find(void *context, struct view kid, const struct key **ret_key, struct error *err) {
    struct trial *trial = context;
    trial->asked++;
    if (trial->keys_fail)
        return error_set(err, trial->keys_fail, "no keys today");
    if (!view_is(kid, "k1"))
        return error_set(err, ERROR_TOKEN_KEY_UNKNOWN, "no such key");
    *ret_key = key_keep(trial->key);
    return true;
}

static void release(void *context, const struct key *key) {
    (void)context;
    key_release(key);
}

static bool remember(void *context, const char *token_sha256, const char *fingerprint, bool *ret_known,
                     struct error *err) {
    struct trial *trial = context;
    trial->remembered++;
    if (trial->memory_fails)
        return error_set(err, trial->memory_fails, "no memory today");
    *ret_known = trial->known_token && strcmp(trial->known_token, token_sha256) == 0 &&
                 strcmp(trial->known_request, fingerprint) == 0;
    return true;
}

static enum error_code judge_at(struct trial *trial, struct view token, const char *fingerprint, int64_t published) {
    const struct token_keys keys = {.context = trial, .find = find, .release = release};
    const struct proof_memory memory = {.context = trial, .remember = remember};
    const struct proof_question question = {.token = token, .fingerprint = fingerprint, .published = published};
    struct proof_claims claims, untouched;
    memset(&claims, 0x5a, sizeof claims);
    memcpy(&untouched, &claims, sizeof claims);
    trial->asked = trial->remembered = 0;
    trial->err = (struct error){0};
    if (proof_verify(&question, &trial->policy, &keys, &memory, trial->arena, &claims, &trial->err)) {
        assert_int_equal(trial->err.code, ERROR_NONE);
        trial->claims = claims;
        return ERROR_NONE;
    }
    assert_memory_equal(&claims, &untouched, sizeof claims);
    assert_int_not_equal(trial->err.code, ERROR_NONE);
    const char *dot = memchr(token.data, '.', token.length);
    if (dot) { // no segment of the token is told
        char head[16];
        text_copy(head, sizeof head, (struct view){dot + 1, token.length - (size_t)(dot + 1 - token.data)});
        assert_true(strlen(head) < 8 || strstr(trial->err.message, head) == NULL);
    }
    return trial->err.code;
}

static enum error_code judge(struct trial *trial, const struct text *token) {
    return judge_at(trial, court_view(token), FINGERPRINT, PUBLISHED);
}

static void put(struct text *out, const char *name, const char *value, const char *good) {
    const char *chosen = value != NULL ? value : good;
    if (chosen[0] != '\0')
        text_printf(out, "\"%s\":%s,", name, chosen);
}

static void write_draft(const struct draft_proof *draft, struct text *out) {
    text_append_char(out, '{');
    put(out, "iss", draft->iss, "\"https://token.actions.githubusercontent.com\"");
    put(out, "aud", draft->aud, "\"pawl:" FINGERPRINT "\"");
    put(out, "exp", draft->exp, "1700000200");
    put(out, "iat", draft->iat, "1699999900");
    put(out, "nbf", draft->nbf, "1699999300");
    put(out, "repository_id", draft->repository_id, "\"4242\"");
    put(out, "repository_owner_id", draft->owner_id, "\"99\"");
    put(out, "environment", draft->environment, "\"production\"");
    put(out, "ref", draft->ref, "\"refs/heads/main\"");
    if (draft->extra != NULL)
        text_printf(out, "%s,", draft->extra);
    text_append(out, "\"repository\":\"octo/shop\",\"sha\":\"4f2c1a9\",\"workflow\":\"deploy\",\"run_id\":\"777\","
                     "\"run_attempt\":\"2\",\"actor\":\"mona\",\"sub\":\"anything\"}");
}

static void sign(const struct draft_proof *draft, const struct forge *forge, const char *header, struct text *token) {
    cleanup_text struct text claims = TEXT(COURT_ROOM);
    write_draft(draft, &claims);
    forge_token(forge, FORGE_RS256, view_of(header), court_view(&claims), token);
}

static enum error_code judge_draft(struct trial *trial, const struct draft_proof *draft) {
    cleanup_text struct text token = TEXT(COURT_ROOM);
    sign(draft, trial->issuer, COURT_HEADER, &token);
    return judge(trial, &token);
}

struct refusal {
    struct draft_proof draft;
    const char *message; // a part of it
};

// Each is refused as no proof, before it costs a look at the keys.
static void expect_refusals(struct trial *trial, const struct refusal *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        cleanup_text struct text claims = TEXT(COURT_ROOM);
        write_draft(&cases[i].draft, &claims);
        court_expect(judge_draft(trial, &cases[i].draft), ERROR_PROOF_REFUSED, claims.data);
        if (strstr(trial->err.message, cases[i].message) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", claims.data, trial->err.message, cases[i].message);
        assert_int_equal(trial->asked, 0);
        assert_int_equal(trial->remembered, 0);
    }
}

// ---- what is accepted --------------------------------------------------------------------------------------------------

static void a_good_proof_yields_its_claims(void **state) {
    struct trial *trial = *state;
    court_expect(judge_draft(trial, &(struct draft_proof){0}), ERROR_NONE, trial->err.message);
    assert_string_equal(trial->claims.repository, "octo/shop");
    assert_string_equal(trial->claims.repository_id, "4242");
    assert_string_equal(trial->claims.repository_owner_id, "99");
    assert_string_equal(trial->claims.environment, "production");
    assert_string_equal(trial->claims.ref, "refs/heads/main");
    assert_string_equal(trial->claims.sha, "4f2c1a9");
    assert_string_equal(trial->claims.workflow, "deploy");
    assert_string_equal(trial->claims.run_id, "777");
    assert_string_equal(trial->claims.run_attempt, "2");
    assert_string_equal(trial->claims.actor, "mona");
    assert_string_equal(proof_publisher(&trial->claims, trial->arena), "github:octo/shop@refs/heads/main run 777");
    assert_int_equal(trial->remembered, 0);
}

static void the_ledger_gets_the_claims_and_no_token(void **state) {
    struct trial *trial = *state;
    cleanup_text struct text token = TEXT(COURT_ROOM), json = TEXT(COURT_ROOM), expected = TEXT(COURT_ROOM);
    char hex[65];
    sign(&(struct draft_proof){.environment = ""}, trial->issuer, COURT_HEADER, &token);
    trial->policy.environments = NULL;
    court_expect(judge(trial, &token), ERROR_NONE, trial->err.message);
    proof_write(&trial->claims, FINGERPRINT, &json);
    hash_hex(court_view(&token), hex);
    text_printf(&expected,
                "{\"repository\":\"octo/shop\",\"repository_id\":\"4242\",\"repository_owner_id\":\"99\","
                "\"ref\":\"refs/heads/main\",\"sha\":\"4f2c1a9\",\"workflow\":\"deploy\",\"run_id\":\"777\","
                "\"run_attempt\":\"2\",\"actor\":\"mona\",\"request_sha256\":\"%s\",\"token_sha256\":\"%s\"}",
                FINGERPRINT, hex);
    assert_string_equal(text_string(&json), text_string(&expected));
}

static void only_what_is_configured_is_asked_for(void **state) {
    struct trial *trial = *state;
    trial->policy = (struct proof_policy){.owner_ids = owners};
    court_expect(judge_draft(trial, &(struct draft_proof){.repository_id = "\"1\"", .environment = "", .ref = "\"x\""}),
                 ERROR_NONE, trial->err.message);
    court_expect(judge_draft(trial, &(struct draft_proof){.owner_id = "\"1\""}), ERROR_PROOF_REFUSED, "owner");
    trial->policy = (struct proof_policy){.repository_ids = repositories};
    court_expect(judge_draft(trial, &(struct draft_proof){.owner_id = "\"1\"", .environment = "", .ref = ""}),
                 ERROR_NONE, trial->err.message);
    court_expect(judge_draft(trial, &(struct draft_proof){.repository_id = "\"1\""}), ERROR_PROOF_REFUSED,
                 "repository");
}

static void a_token_needs_no_address_and_no_subject(void **state) {
    struct trial *trial = *state;
    static const char *const extras[] = {"\"email\":1", "\"email_verified\":false", "\"job_workflow_ref\":[]",
                                         "\"jti\":null"};
    for (size_t i = 0; i < COUNT(extras); i++)
        court_expect(judge_draft(trial, &(struct draft_proof){.extra = extras[i]}), ERROR_NONE, extras[i]);
}

static void what_the_repository_wrote_is_kept_cut_and_harmless(void **state) {
    struct trial *trial = *state;
    trial->policy.refs = NULL;
    cleanup_text struct text ref = TEXT(COURT_ROOM);
    text_append(&ref, "\"refs/\\u001b[2J\\n");
    for (size_t i = 0; i < 400; i++)
        text_append_char(&ref, 'a');
    text_append_char(&ref, '"');
    court_expect(judge_draft(trial, &(struct draft_proof){.ref = ref.data}), ERROR_NONE, trial->err.message);
    assert_int_equal(strncmp(trial->claims.ref, "refs/ [2J aaa", 13), 0);
    assert_int_equal(strlen(trial->claims.ref), 255);
}

// ---- claims ------------------------------------------------------------------------------------------------------------

static void any_issuer_but_github_is_refused(void **state) {
    static const struct refusal cases[] = {
        {{.iss = "\"https://accounts.google.com\""}, "(TOKEN_ISSUER): the token was issued by \"https://accounts."},
        {{.iss = "\"https://token.actions.githubusercontent.com/\""}, "TOKEN_ISSUER"},
        {{.iss = "\"http://token.actions.githubusercontent.com\""}, "TOKEN_ISSUER"},
        {{.iss = "\"https://token.actions.githubusercontent.com/octo\""}, "TOKEN_ISSUER"},
        {{.iss = "\"https://TOKEN.actions.githubusercontent.com\""}, "TOKEN_ISSUER"},
        {{.iss = "\"\""}, "TOKEN_CLAIMS"},
        {{.iss = ""}, "TOKEN_CLAIMS"},
        {{.iss = "[\"https://token.actions.githubusercontent.com\"]"}, "TOKEN_CLAIMS"},
    };
    expect_refusals(*state, cases, COUNT(cases));
}

static void a_proof_for_another_request_is_refused(void **state) {
    static const struct refusal cases[] = {
        {{.aud = "\"pawl:" OTHER "\""}, "this worker expects \"pawl:" FINGERPRINT "\""},
        {{.aud = "\"" FINGERPRINT "\""}, "TOKEN_AUDIENCE"},
        {{.aud = "\"pawl:\""}, "TOKEN_AUDIENCE"},
        {{.aud = "\"pawl\""}, "TOKEN_AUDIENCE"},
        {{.aud = "\"PAWL:" FINGERPRINT "\""}, "TOKEN_AUDIENCE"},
        {{.aud = "\"pawl:" FINGERPRINT " \""}, "TOKEN_AUDIENCE"},
        {{.aud = "\"pawl:" FINGERPRINT "pawl:" OTHER "\""}, "TOKEN_AUDIENCE"},
        {{.aud = "\"https://github.com/octo\""}, "TOKEN_AUDIENCE"},
        {{.aud = "[\"pawl:" FINGERPRINT "\"]"}, "TOKEN_CLAIMS"},
        {{.aud = ""}, "TOKEN_CLAIMS"},
        {{.extra = "\"aud\":\"pawl:" FINGERPRINT "\""}, "TOKEN_MALFORMED"},
        {{.extra = "\"AUD\":\"pawl:" OTHER "\""}, "TOKEN_CLAIMS"},
    };
    expect_refusals(*state, cases, COUNT(cases));
    struct trial *trial = *state;
    cleanup_text struct text token = TEXT(COURT_ROOM);
    sign(&(struct draft_proof){0}, trial->issuer, COURT_HEADER, &token);
    court_expect(judge_at(trial, court_view(&token), OTHER, PUBLISHED), ERROR_PROOF_REFUSED, "moved");
}

static void any_publisher_but_a_listed_one_is_refused(void **state) {
    static const struct refusal cases[] = {
        {{.repository_id = "\"4243\""}, "the token's repository_id \"4243\" is not on the list"},
        {{.repository_id = "\"424\""}, "repository_id"},
        {{.repository_id = "\"42421\""}, "repository_id"},
        {{.repository_id = "\"04242\""}, "repository_id"},
        {{.repository_id = "\"11,4242\""}, "repository_id"},
        {{.repository_id = "4242"}, "the token's repository_id is not a string"},
        {{.repository_id = "[\"4242\"]"}, "repository_id"},
        {{.repository_id = "\"\""}, "repository_id"},
        {{.repository_id = ""}, "the token has no repository_id"},
        {{.repository_id = "", .extra = "\"Repository_ID\":\"4242\""}, "TOKEN_CLAIMS"},
        {{.extra = "\"REPOSITORY_ID\":\"1\""}, "TOKEN_CLAIMS"},
        {{.extra = "\"repository_id\":\"4242\""}, "TOKEN_MALFORMED"},
        {{.owner_id = "\"4242\""}, "the token's repository_owner_id \"4242\" is not on the list"},
        {{.owner_id = "99"}, "repository_owner_id"},
        {{.owner_id = ""}, "the token has no repository_owner_id"},
        {{.environment = "\"development\""}, "the token's environment \"development\" is not on the list"},
        {{.environment = "\"Production\""}, "environment"},
        {{.environment = "\"\""}, "environment"},
        {{.environment = "null"}, "environment"},
        {{.environment = ""}, "the token has no environment"},
        {{.ref = "\"refs/heads/mainly\""}, "the token's ref \"refs/heads/mainly\" is not on the list"},
        {{.ref = "\"refs/heads/evil\\u001b[31m\""}, "\"refs/heads/evil?[31m\""},
        {{.ref = "\"refs/tags/main\""}, "ref"},
        {{.ref = "\"main\""}, "ref"},
        {{.ref = ""}, "the token has no ref"},
    };
    expect_refusals(*state, cases, COUNT(cases));
}

static void an_empty_list_lets_nobody_publish(void **state) {
    static const char *const nobody[] = {NULL};
    struct trial *trial = *state;
    trial->policy.repository_ids = nobody;
    court_expect(judge_draft(trial, &(struct draft_proof){0}), ERROR_PROOF_REFUSED, "empty list");
}

// ---- time --------------------------------------------------------------------------------------------------------------

static void a_proof_is_judged_at_the_time_of_publication(void **state) {
    struct trial *trial = *state;
    static const struct {
        int64_t published;
        bool good;
    } cases[] = {
        {1699999839, false}, // iat - skew - 1
        {1699999840, true},  {1699999900, true}, {1700000000, true},
        {1700000200, true},  {1700000259, true}, {1700000260, false}, // exp + skew
        {1800000000, false}, {0, false},
    };
    cleanup_text struct text token = TEXT(COURT_ROOM);
    sign(&(struct draft_proof){0}, trial->issuer, COURT_HEADER, &token);
    for (size_t i = 0; i < COUNT(cases); i++)
        court_expect(judge_at(trial, court_view(&token), FINGERPRINT, cases[i].published),
                     cases[i].good ? ERROR_NONE : ERROR_PROOF_REFUSED, "published");
}

static void a_proof_outside_its_time_is_refused(void **state) {
    static const struct refusal cases[] = {
        {{.iat = "1699990000", .exp = "1699990300"}, "(TOKEN_EXPIRED): the token expired 9700 s ago"},
        {{.iat = "1700000100", .exp = "1700000400"}, "TOKEN_NOT_YET_VALID"},
        {{.nbf = "1700000061"}, "TOKEN_NOT_YET_VALID"},
        {{.exp = "1800000000"}, "TOKEN_NOT_YET_VALID"}, // lives too long
        {{.exp = "1699999900"}, "TOKEN_CLAIMS"},
        {{.exp = "\"1700000200\""}, "TOKEN_CLAIMS"},
        {{.iat = ""}, "TOKEN_CLAIMS"},
        {{.exp = ""}, "TOKEN_CLAIMS"},
    };
    expect_refusals(*state, cases, COUNT(cases));
}

// ---- form and signature --------------------------------------------------------------------------------------------------

static void what_is_no_signed_token_is_refused(void **state) {
    struct trial *trial = *state;
    static const char *const tokens[] = {"", "x", "a.b", "a.b.c", "..", "a.b.c.d"};
    for (size_t i = 0; i < COUNT(tokens); i++)
        court_expect(judge_at(trial, view_of(tokens[i]), FINGERPRINT, PUBLISHED), ERROR_PROOF_REFUSED, tokens[i]);
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"kid\":\"k1\"}",
        "{\"alg\":\"HS256\",\"kid\":\"k1\"}",
        "{\"alg\":\"RS512\",\"kid\":\"k1\"}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"RS256\"}",
    };
    for (size_t i = 0; i < COUNT(headers); i++) {
        cleanup_text struct text token = TEXT(COURT_ROOM);
        sign(&(struct draft_proof){0}, trial->issuer, headers[i], &token);
        court_expect(judge(trial, &token), ERROR_PROOF_REFUSED, headers[i]);
    }
}

static void a_forged_signature_is_refused_and_no_memory_helps(void **state) {
    struct trial *trial = *state;
    cleanup_text struct text token = TEXT(COURT_ROOM);
    char hex[65];
    sign(&(struct draft_proof){0}, trial->attacker, COURT_HEADER, &token);
    hash_hex(court_view(&token), hex);
    trial->known_token = hex;
    trial->known_request = FINGERPRINT;
    court_expect(judge(trial, &token), ERROR_PROOF_REFUSED, "an attacker's key");
    assert_non_null(strstr(trial->err.message, "TOKEN_SIGNATURE"));
    assert_int_equal(trial->remembered, 0);
}

// ---- when the key cannot be had ------------------------------------------------------------------------------------------

#define ROTATED "{\"alg\":\"RS256\",\"kid\":\"last-year\",\"typ\":\"JWT\"}"

static void a_key_that_is_gone_needs_a_memory_of_this_token(void **state) {
    struct trial *trial = *state;
    cleanup_text struct text token = TEXT(COURT_ROOM);
    char hex[65];
    sign(&(struct draft_proof){0}, trial->issuer, ROTATED, &token);
    hash_hex(court_view(&token), hex);
    court_expect(judge(trial, &token), ERROR_PROOF_REFUSED, "nothing known");
    assert_non_null(strstr(trial->err.message, "(TOKEN_KEY_UNKNOWN): no such key"));
    assert_int_equal(trial->remembered, 1);
    trial->known_token = hex;
    trial->known_request = OTHER;
    court_expect(judge(trial, &token), ERROR_PROOF_REFUSED, "known for another request");
    trial->known_request = FINGERPRINT;
    court_expect(judge(trial, &token), ERROR_NONE, trial->err.message);
    assert_string_equal(trial->claims.repository, "octo/shop");
    cleanup_text struct text other = TEXT(COURT_ROOM);
    sign(&(struct draft_proof){.extra = "\"x\":1"}, trial->attacker, ROTATED, &other);
    court_expect(judge(trial, &other), ERROR_PROOF_REFUSED, "another token for the same request");
}

static void what_is_remembered_is_judged_by_todays_rules(void **state) {
    struct trial *trial = *state;
    static const char *const others[] = {"12", NULL};
    cleanup_text struct text token = TEXT(COURT_ROOM);
    char hex[65];
    sign(&(struct draft_proof){0}, trial->issuer, ROTATED, &token);
    hash_hex(court_view(&token), hex);
    trial->known_token = hex;
    trial->known_request = FINGERPRINT;
    court_expect(judge_at(trial, court_view(&token), FINGERPRINT, PUBLISHED + 3600), ERROR_PROOF_REFUSED, "expired");
    trial->policy.repository_ids = others;
    court_expect(judge(trial, &token), ERROR_PROOF_REFUSED, "no longer allowed");
}

static void keys_that_are_away_are_waited_for_unless_the_token_is_known(void **state) {
    struct trial *trial = *state;
    cleanup_text struct text token = TEXT(COURT_ROOM);
    char hex[65];
    sign(&(struct draft_proof){0}, trial->issuer, COURT_HEADER, &token);
    hash_hex(court_view(&token), hex);
    trial->keys_fail = ERROR_KEYS_UNAVAILABLE;
    court_expect(judge(trial, &token), ERROR_KEYS_UNAVAILABLE, "keys away");
    assert_string_equal(trial->err.message, "the proof cannot be judged: no keys today");
    trial->memory_fails = ERROR_DATABASE_UNAVAILABLE;
    court_expect(judge(trial, &token), ERROR_DATABASE_UNAVAILABLE, "memory away");
    trial->memory_fails = ERROR_NONE;
    trial->known_token = hex;
    trial->known_request = FINGERPRINT;
    court_expect(judge(trial, &token), ERROR_NONE, trial->err.message);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, start)
    const struct CMUnitTest tests[] = {
        TEST(a_good_proof_yields_its_claims),
        TEST(the_ledger_gets_the_claims_and_no_token),
        TEST(only_what_is_configured_is_asked_for),
        TEST(a_token_needs_no_address_and_no_subject),
        TEST(what_the_repository_wrote_is_kept_cut_and_harmless),
        TEST(any_issuer_but_github_is_refused),
        TEST(a_proof_for_another_request_is_refused),
        TEST(any_publisher_but_a_listed_one_is_refused),
        TEST(an_empty_list_lets_nobody_publish),
        TEST(a_proof_is_judged_at_the_time_of_publication),
        TEST(a_proof_outside_its_time_is_refused),
        TEST(what_is_no_signed_token_is_refused),
        TEST(a_forged_signature_is_refused_and_no_memory_helps),
        TEST(a_key_that_is_gone_needs_a_memory_of_this_token),
        TEST(what_is_remembered_is_judged_by_todays_rules),
        TEST(keys_that_are_away_are_waited_for_unless_the_token_is_known),
    };
    return cmocka_run_group_tests_name("auth/proof", tests, set_up, tear_down);
}
