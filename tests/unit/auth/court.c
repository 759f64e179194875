// The trial itself. What is tried is in token_test.c and claims_test.c.
#include "court.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const audiences[] = {COURT_AUDIENCE, "https://pawl.example/other", NULL};
static const char *const callers[] = {"other@shop.iam.gserviceaccount.com", COURT_CALLER, NULL};
const struct token_policy court_policy = {.audiences = audiences, .callers = callers, .skew_s = 60};

int court_set_up(void **state) {
    struct court *court = memory_alloc(sizeof *court);
    court->issuer = forge_new(2048);
    court->attacker = forge_new(2048);
    court->key = forge_key(court->issuer);
    *state = court;
    return 0;
}

int court_tear_down(void **state) {
    struct court *court = *state;
    forge_free(court->issuer);
    forge_free(court->attacker);
    key_release(court->key);
    free(court);
    return 0;
}

struct view court_view(const struct text *text) {
    return (struct view){text_string(text), text->length};
}

// ---- verdicts --------------------------------------------------------------------------------------------------------

static bool find(void *context, struct view kid, const struct key **ret_key, struct error *err) {
    struct court *court = context;
    if (!view_is(kid, "k1"))
        return error_set(err, ERROR_TOKEN_KEY_UNKNOWN, "no such key");
    court->found++;
    *ret_key = key_keep(court->key);
    return true;
}

static void release(void *context, const struct key *key) {
    struct court *court = context;
    court->released++;
    key_release(key);
}

static void assert_tells_nothing(struct view authorization, const struct error *err) {
    cleanup_free char *copy = memory_alloc(authorization.length + 1);
    if (authorization.length > 0)
        memcpy(copy, authorization.data, authorization.length);
    char *rest = NULL;
    for (char *part = strtok_r(copy, " .", &rest); part != NULL; part = strtok_r(NULL, " .", &rest))
        if (strlen(part) > 8 && strstr(err->message, part) != NULL)
            fail_msg("the message holds a piece of the token: %s", err->message);
    assert_true(err->message[0] != '\0');
}

enum error_code court_judge_by(struct court *court, const struct token_policy *policy, struct view authorization) {
    const struct token_keys keys = {.context = court, .find = find, .release = release};
    struct token_claims claims, untouched;
    memset(&claims, 0x5a, sizeof claims);
    memcpy(&untouched, &claims, sizeof claims);
    court->err = (struct error){0};
    court->found = court->released = 0;
    bool accepted = token_verify(authorization, policy, &keys, COURT_NOW, &claims, &court->err);
    assert_int_equal(court->found, court->released);
    if (accepted) {
        assert_int_equal(court->err.code, ERROR_NONE);
        court->claims = claims;
        return ERROR_NONE;
    }
    assert_memory_equal(&claims, &untouched, sizeof claims);
    assert_int_not_equal(court->err.code, ERROR_NONE);
    assert_tells_nothing(authorization, &court->err);
    return court->err.code;
}

enum error_code court_judge(struct court *court, struct view authorization) {
    return court_judge_by(court, &court_policy, authorization);
}

void court_expect(enum error_code got, enum error_code expected, const char *why) {
    if (got != expected)
        fail_msg("%s: %s, not %s", why, error_name(got), error_name(expected));
}

// ---- drafts ----------------------------------------------------------------------------------------------------------

static void put_claim(struct text *out, const char *name, const char *value, const char *good) {
    const char *chosen = value != NULL ? value : good;
    if (chosen[0] != '\0')
        text_printf(out, "\"%s\":%s,", name, chosen);
}

void draft_write(const struct draft *draft, struct text *out) {
    text_append_char(out, '{');
    put_claim(out, "iss", draft->iss, "\"https://accounts.google.com\"");
    put_claim(out, "aud", draft->aud, "\"" COURT_AUDIENCE "\"");
    put_claim(out, "email", draft->email, "\"" COURT_CALLER "\"");
    put_claim(out, "email_verified", draft->email_verified, "true");
    put_claim(out, "sub", draft->sub, "\"113774264463038321964\"");
    put_claim(out, "exp", draft->exp, "1700003000");
    put_claim(out, "iat", draft->iat, "1699999400");
    if (draft->extra != NULL)
        text_printf(out, "%s,", draft->extra);
    text_append(out, "\"azp\":\"113774264463038321964\"}");
}

void draft_sign(const struct draft *draft, const struct forge *forge, const char *header, struct text *out) {
    cleanup_text struct text claims = TEXT(COURT_ROOM);
    draft_write(draft, &claims);
    text_append(out, "Bearer ");
    forge_token(forge, FORGE_RS256, view_of(header), court_view(&claims), out);
}

enum error_code court_judge_bytes(struct court *court, struct view header, struct view claims) {
    cleanup_text struct text authorization = TEXT(COURT_ROOM);
    text_append(&authorization, "Bearer ");
    forge_token(court->issuer, FORGE_RS256, header, claims, &authorization);
    return court_judge(court, court_view(&authorization));
}

enum error_code court_judge_draft(struct court *court, const struct draft *draft) {
    cleanup_text struct text authorization = TEXT(COURT_ROOM);
    draft_sign(draft, court->issuer, COURT_HEADER, &authorization);
    return court_judge(court, court_view(&authorization));
}

enum error_code court_judge_header(struct court *court, struct view header) {
    cleanup_text struct text claims = TEXT(COURT_ROOM);
    draft_write(&(struct draft){0}, &claims);
    return court_judge_bytes(court, header, court_view(&claims));
}
