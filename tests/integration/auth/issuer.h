// The world of the key cache's tests: a key server that publishes what the test says, the cache, and a clock that stands still
// until the test lets time pass.
#pragma once
#include "../../unit/auth/forge.h"
#include "../net/origin.h"
#include "auth/keys.h"

#include <stdatomic.h>

#define ISSUER_COOLDOWN_S 30

struct issuer {
    struct forge *forge;
    struct text old_set, new_set, both; // kid "old", kid "new", and both of them
    struct origin *origin;              // answers by hanging up at first
    struct keys *keys;
    _Atomic uint64_t now;      // ms
    _Atomic unsigned answered; // for the tests that ask with many threads
};

// For cmocka: a key pair per group; a server, a cache and a clock per test.
int issuer_set_up_group(void **state);
int issuer_tear_down_group(void **state);
int issuer_set_up(void **state);
int issuer_tear_down(void **state);
#define ISSUER_TEST(name) cmocka_unit_test_setup_teardown(name, issuer_set_up, issuer_tear_down)

void issuer_pass_s(struct issuer *issuer, uint64_t seconds);
void issuer_publish(struct issuer *issuer, const struct text *set, const char *fields);
void issuer_go_away(struct issuer *issuer);
// Looks a kid up and gives the key back; ERROR_NONE when it was found.
enum error_code issuer_ask(struct issuer *issuer, const char *kid);
enum error_code issuer_ask_why(struct issuer *issuer, const char *kid, struct error *ret_err);
// The server's count and the cache's must both be this.
void issuer_expect_fetches(struct issuer *issuer, unsigned fetches);
