// A batch: one statement, repeated until it touches no row. Each round is a transaction of its own, in which the ledger's row proves the
// lock and stays as it is; with the round that proves that nothing is left the statement is done. So whoever comes after a crash simply
// goes on: what is committed, the statement itself finds no more.
#pragma once
#include "migrate/sender.h"

// Sends statement `n` (0-based) of the item, round after round; the end of the last one is under way afterwards. Between two rounds it
// pauses, waits for standbys, and ends when the run is to stop. Errors: ERROR_SHUTTING_DOWN; ERROR_DATABASE_REFUSED when the standbys
// cannot be seen; what the server says.
bool batch_apply(struct sender *sender, size_t index, size_t n, struct error *err);
// A COMMIT of the item has succeeded. True: it ended a round, and the statement is not done yet.
bool batch_committed(struct sender *sender, size_t index);
// "1200 rows in 12 rounds".
void batch_words(const struct rounds *rounds, struct text *out);
