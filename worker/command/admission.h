// Who may come in: the token of whoever pushes or asks, verified before anything else of the request is looked at.
#pragma once
#include "command/service.h"

// Verifies the one Authorization field against `policy`. True: the claims are the exchange's note (struct token_claims). False: the
// answer says which rule refused it and no more, the log says the rest, and the refusal is counted.
bool admission_verify(struct service *service, const struct token_policy *policy, struct server_exchange *exchange,
                      struct server_answer *ret_answer);
// Says in the log, the first time in this process, that a push's token came through the platform whole. What it proves is known only once
// it has happened on the platform: hence one line per revision.
void admission_note_first(struct service *service, const struct server_exchange *exchange);
// The log context of an exchange: its trace, if it has one.
struct log_context admission_trace(const struct service *service, const struct server_exchange *exchange);
