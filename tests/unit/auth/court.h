// Where tokens are tried: one issuer with one key ("k1"), one attacker, a policy, and drafts of claims to vary one at a time.
#pragma once
#include "auth/token.h"
#include "forge.h"

#define COURT_NOW INT64_C(1700000000)
#define COURT_AUDIENCE "https://pawl.example/push"
#define COURT_CALLER "push@shop.iam.gserviceaccount.com"
#define COURT_HEADER "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"
#define COURT_ROOM (64 * 1024)

struct court {
    struct forge *issuer, *attacker;
    struct key *key;
    unsigned found; // how often the last verdict asked for a key
    unsigned released;
    struct error err;           // of the last verdict
    struct token_claims claims; // of the last accepted token
};

// Two audiences (COURT_AUDIENCE and https://pawl.example/other), two callers, the default issuers, 60 s of skew.
extern const struct token_policy court_policy;

int court_set_up(void **state); // for cmocka_run_group_tests: *state is a struct court
int court_tear_down(void **state);

// The verdict on the value of an Authorization field; ERROR_NONE is acceptance. Fails the test when something does not hold that
// holds for every verdict: claims untouched by refusal, keys given back, no piece of the token in the message.
enum error_code court_judge(struct court *court, struct view authorization);
enum error_code court_judge_by(struct court *court, const struct token_policy *policy, struct view authorization);
// Fails the test, saying `why`, when `got` is not `expected`.
void court_expect(enum error_code got, enum error_code expected, const char *why);

// JSON text of each claim. NULL takes a good one, "" leaves the claim out; `extra` is more members.
struct draft {
    const char *iss, *aud, *email, *email_verified, *sub, *exp, *iat, *extra;
};
void draft_write(const struct draft *draft, struct text *out);
// "Bearer " and a token that `forge` signed with RS256.
void draft_sign(const struct draft *draft, const struct forge *forge, const char *header, struct text *out);

// Verdicts on tokens that the issuer signed.
enum error_code court_judge_draft(struct court *court, const struct draft *draft);
enum error_code court_judge_header(struct court *court, struct view header);
enum error_code court_judge_bytes(struct court *court, struct view header, struct view claims);

struct view court_view(const struct text *text);
