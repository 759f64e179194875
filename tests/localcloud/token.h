// ID tokens as Google's issuer makes them (platform.md §2.1), and forged ones for tests.
#pragma once
#include "base/json.h"
#include "keys.h"
#include "refusal.h"

struct tokens;
struct tokens *tokens_new(struct keys *keys, const char *project); // borrows both
void tokens_free(struct tokens *tokens);
// A push subscription's token: made when first needed, shared by its pushes for up to an hour. Valid until the next call.
const char *tokens_push(struct tokens *tokens, const char *email, const char *audience);
// A fresh one; appends it.
void tokens_mint(struct tokens *tokens, const char *email, const char *audience, struct text *out);
// Whatever a test asks for; see README of the test controls in control.c.
bool tokens_forge(struct tokens *tokens, const struct json *wish, struct text *out, struct refusal *refusal);
// 21 digits that stand for a service account's unique id, always the same for one e-mail address.
void tokens_subject(const char *email, char ret_subject[static 22]);
