// Who published a message. Without PAWL_PROOF_... that is taken to be whoever may push; with it, only what the message proves counts.
#pragma once
#include "command/service.h"
#include "push/envelope.h"
#include "push/request.h"

struct publisher {
    const char *name;  // "github:OWNER/REPOSITORY@REF run RUN_ID"; or, not proved, who pushed
    const char *proof; // the verified claims, a JSON object for the ledger; NULL = not proved
};
// `site`: whose ledger remembers proofs. `ret_publisher` stays as it is when no proof is demanded. Errors:
// ERROR_PROOF_MISSING, ERROR_PROOF_REFUSED, ERROR_KEYS_UNAVAILABLE and, when the ledger has to be asked for an
// earlier proof, those of migrate/history.h.
bool publisher_prove(struct service *service, struct site *site, const struct envelope *envelope,
                     const struct request *request, struct arena *arena, struct publisher *ret_publisher,
                     struct error *err);
