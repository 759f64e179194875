// Brings the proof that a request carries before the rules for it. See publisher.h.
#include "command/publisher.h"
#include "auth/proof.h"
#include "migrate/history.h"

enum { CLAIMS_MAX = 16384 };

static bool remember(void *context, const char *token_sha256, const char *fingerprint, bool *ret_known,
                     struct error *err) {
    struct site *site = context;
    return history_proved(site->database, token_sha256, fingerprint, site->control, ret_known, err);
}

bool publisher_prove(struct service *service, struct site *site, const struct envelope *envelope,
                     const struct request *request, struct arena *arena, struct publisher *ret_publisher,
                     struct error *err) {
    if (!service->proof_keys)
        return true;
    if (!request->proof)
        return error_set(err, ERROR_PROOF_MISSING, "the message carries no proof of who published it");
    struct token_keys keys = keys_as_token_keys(service->proof_keys);
    struct proof_memory memory = {.context = site, .remember = remember};
    struct proof_question question = {.token = view_of(request->proof),
                                      .fingerprint = request->fingerprint,
                                      .published = envelope->published_ms / 1000};
    struct proof_claims claims;
    if (!proof_verify(&question, &service->proof, &keys, &memory, arena, &claims, err))
        return false;
    cleanup_text struct text json = TEXT(CLAIMS_MAX);
    proof_write(&claims, request->fingerprint, &json);
    *ret_publisher =
        (struct publisher){.name = proof_publisher(&claims, arena), .proof = arena_string(arena, text_string(&json))};
    return true;
}
