// ID tokens as Google's issuer makes them, and forged ones for tests.
#pragma once
#include "base/json.h"
#include "keys.h"
#include "refusal.h"

struct tokens;
struct tokens *tokens_new(struct keys *keys, const char *project); // borrows both
void tokens_free(struct tokens *tokens);
// A push subscription's token: made when first needed, shared by its pushes for up to an hour. Valid until the next
// call.
const char *tokens_push(struct tokens *tokens, const char *email, const char *audience);
// A fresh one; appends it.
void tokens_mint(struct tokens *tokens, const char *email, const char *audience, struct text *out);
// Whatever a test asks for; control.c has the list.
bool tokens_forge(struct tokens *tokens, const struct json *wish, struct text *out, struct refusal *refusal);
