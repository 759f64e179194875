// Judges the proof of who published by the rules that are about GitHub's claims. Form and signature are jws.c's business, what all
// issuers' claims have in common claims.c's; which fingerprint a request has is left to push/request.c, what is remembered to the caller.
#include "auth/proof.h"

#include "auth/claims.h"
#include "base/hash.h"

#include <string.h>

#define CLAIM_MAX 256 // bytes of a claim that is compared or kept, and a NUL

static const char *const issuers[] = {"https://token.actions.githubusercontent.com", NULL};

// What is kept of the claims.
static const struct {
    const char *name;
    size_t place;
} kept[] = {
    {"repository", offsetof(struct proof_claims, repository)},
    {"repository_id", offsetof(struct proof_claims, repository_id)},
    {"repository_owner_id", offsetof(struct proof_claims, repository_owner_id)},
    {"environment", offsetof(struct proof_claims, environment)},
    {"ref", offsetof(struct proof_claims, ref)},
    {"sha", offsetof(struct proof_claims, sha)},
    {"workflow", offsetof(struct proof_claims, workflow)},
    {"run_id", offsetof(struct proof_claims, run_id)},
    {"run_attempt", offsetof(struct proof_claims, run_attempt)},
    {"actor", offsetof(struct proof_claims, actor)},
};
enum { KEPT = sizeof(kept) / sizeof(kept[0]) };

// ---- the rules -----------------------------------------------------------------------------------------------------------

// For this request and no other.
static bool check_audience(const struct json *claims, const char *fingerprint, struct error *err) {
    struct view audience;
    cleanup_text struct text expected = TEXT(128);
    text_printf(&expected, "%s%s", PROOF_AUDIENCE, fingerprint);
    const char *const audiences[] = {text_string(&expected), NULL};
    return claims_string(claims, "aud", CLAIM_MAX, &audience, err) && claims_check_audience(audience, audiences, err);
}

static bool check_listed(const struct json *claims, const char *name, const char *const *list, struct error *err) {
    struct view value;
    if (list == NULL)
        return true;
    if (json_get(claims, name) == NULL)
        return error_set(err, ERROR_PROOF_REFUSED, "the token has no %s", name);
    if (!claims_string(claims, name, CLAIM_MAX, &value, err))
        return false;
    return claims_is_listed(value, list) ||
           error_set(err, ERROR_PROOF_REFUSED, "the token's %s \"%s\" is not on the list", name,
                     claims_show(value).text);
}

static bool check_claims(const struct json *claims, const struct proof_question *question,
                         const struct proof_policy *policy, struct error *err) {
    static const char *const names[] = {
        "iss", "aud", "exp", "iat", "nbf", "repository_id", "repository_owner_id", "environment", "ref", NULL};
    struct view issuer;
    struct claims_times times;
    return claims_no_twins(claims, names, ERROR_TOKEN_CLAIMS, err) &&
           claims_string(claims, "iss", CLAIM_MAX, &issuer, err) && claims_check_issuer(issuer, issuers, err) &&
           check_audience(claims, question->fingerprint, err) && claims_times(claims, &times, err) &&
           claims_check_times(&times, policy->skew_s, question->published, err) &&
           check_listed(claims, "repository_id", policy->repository_ids, err) &&
           check_listed(claims, "repository_owner_id", policy->owner_ids, err) &&
           check_listed(claims, "environment", policy->environments, err) &&
           check_listed(claims, "ref", policy->refs, err);
}

// What the memory knows has been verified once: then it is the same token, byte for byte, and its claims were judged again just now.
static bool check_genuine(const struct jws *jws, const struct proof_question *question, const struct token_keys *keys,
                          const struct proof_memory *memory, const char *token_sha256, struct error *err) {
    bool known = false;
    if (jws_verify(jws, keys, err))
        return true;
    if (err->code != ERROR_TOKEN_KEY_UNKNOWN && err->code != ERROR_KEYS_UNAVAILABLE)
        return false;
    struct error why = *err;
    *err = (struct error){0};
    if (!memory->remember(memory->context, token_sha256, question->fingerprint, &known, err))
        return error_wrap(err, "cannot look for an earlier proof");
    if (!known)
        *err = why;
    return known;
}

// ---- all together --------------------------------------------------------------------------------------------------------

static void keep(const struct json *json, struct arena *arena, struct proof_claims *claims) {
    for (size_t i = 0; i < KEPT; i++) {
        struct view value;
        if (!json_string(json_get(json, kept[i].name), &value) || value.length == 0)
            continue;
        char *copy = arena_alloc(arena, CLAIM_MAX);
        text_copy(copy, CLAIM_MAX, value);
        memcpy((char *)claims + kept[i].place, &copy, sizeof(copy));
    }
}

// The rules that all tokens share have codes of their own, which become the reason here.
static bool refuse(struct error *err) {
    bool shared = err->code != ERROR_PROOF_REFUSED;
    const char *rule = error_name(err->code);
    if (error_class(err->code) != CLASS_REFUSED && shared)
        return error_wrap(err, "the proof cannot be judged");
    err->code = ERROR_PROOF_REFUSED;
    return shared ? error_wrap(err, "the proof does not hold (%s)", rule) : error_wrap(err, "the proof does not hold");
}

bool proof_verify(const struct proof_question *question, const struct proof_policy *policy,
                  const struct token_keys *keys, const struct proof_memory *memory, struct arena *arena,
                  struct proof_claims *ret_claims, struct error *err) {
    struct proof_claims claims = {0};
    cleanup_jws struct jws jws = {0};
    hash_hex(question->token, claims.token_sha256);
    if (!jws_read(question->token, &jws, err) || !check_claims(jws.claims, question, policy, err) ||
        !check_genuine(&jws, question, keys, memory, claims.token_sha256, err))
        return refuse(err);
    keep(jws.claims, arena, &claims);
    *ret_claims = claims;
    return true;
}

char *proof_publisher(const struct proof_claims *claims, struct arena *arena) {
    return arena_printf(arena, "github:%s%s%s%s%s", claims->repository ? claims->repository : "?",
                        claims->ref ? "@" : "", claims->ref ? claims->ref : "", claims->run_id ? " run " : "",
                        claims->run_id ? claims->run_id : "");
}

void proof_write(const struct proof_claims *claims, const char *fingerprint, struct text *out) {
    struct json_writer writer = JSON_WRITER(out);
    json_begin_object(&writer, NULL);
    for (size_t i = 0; i < KEPT; i++) {
        const char *value;
        memcpy(&value, (const char *)claims + kept[i].place, sizeof(value));
        if (value)
            json_put_string(&writer, kept[i].name, value);
    }
    json_put_string(&writer, "request_sha256", fingerprint);
    json_put_string(&writer, "token_sha256", claims->token_sha256);
    json_end_object(&writer);
}
