// The proof of who published: a token that GitHub Actions made for one job (an OIDC token with a chosen audience), carried by the message.
// The push token (token.h) only proves that Pub/Sub delivered. Pure but for the function pointers. The claims' names and meaning:
// GitHub, "OpenID Connect reference". `sub` is never looked at: its form is a setting of the repository.
#pragma once
#include "auth/jws.h"
#include "base/arena.h"

#define PROOF_AUDIENCE "pawl:" // and the fingerprint of the request that the proof is for

// NULL-terminated lists, compared exactly; NULL: any value, and none, will do.
struct proof_policy {
    const char *const *repository_ids, *const *owner_ids; // digits; they outlive a change of name
    const char *const *environments, *const *refs;
    unsigned skew_s; // 0..300
};

// Whether this very token, known by its SHA-256, was verified earlier for the same request: asked when its key cannot be had. Keys
// rotate long before an old message is replayed.
typedef bool proof_remember(void *context, const char *token_sha256, const char *fingerprint, bool *ret_known,
                            struct error *err);
struct proof_memory {
    void *context;
    proof_remember *remember;
};

struct proof_question {
    struct view token;
    const char *fingerprint; // of the request that it came with
    int64_t published;       // Unix seconds: the token lives minutes, so it is judged at that time, never now
};

struct
    proof_claims { // in the arena; NULL = not claimed; whatever the repository wrote, but cut and without control characters
    const char *repository, *repository_id, *repository_owner_id, *environment, *ref, *sha, *workflow, *run_id,
        *run_attempt, *actor;
    char token_sha256[65]; // hexadecimal
};

// Errors: ERROR_PROOF_REFUSED, saying which rule; ERROR_KEYS_UNAVAILABLE; those of the memory. No message holds a part of the token
// but cut, harmless values of the claims that are compared.
bool proof_verify(const struct proof_question *question, const struct proof_policy *policy,
                  const struct token_keys *keys, const struct proof_memory *memory, struct arena *arena,
                  struct proof_claims *ret_claims, struct error *err);

// "github:OWNER/REPOSITORY@REF run RUN_ID"
char *proof_publisher(const struct proof_claims *claims, struct arena *arena);
// The claims and both hashes as a JSON object, for the ledger.
void proof_write(const struct proof_claims *claims, const char *fingerprint, struct text *out);
