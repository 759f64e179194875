// See issuer.h. What is asked of the cache is in keys_test.c and crowd_test.c.
#include "issuer.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROOM (1024 * 1024)

static uint64_t now_ms(void *context) {
    struct issuer *issuer = context;
    return atomic_load(&issuer->now);
}

void issuer_pass_s(struct issuer *issuer, uint64_t seconds) {
    (void)atomic_fetch_add(&issuer->now, seconds * 1000);
}

int issuer_set_up_group(void **state) {
    struct issuer *issuer = memory_alloc(sizeof *issuer);
    cleanup_text struct text old = TEXT(ROOM), new = TEXT(ROOM);
    issuer->forge = forge_new(2048);
    issuer->old_set = issuer->new_set = issuer->both = TEXT(ROOM);
    forge_jwk(issuer->forge, "old", &old);
    forge_jwk(issuer->forge, "new", &new);
    text_printf(&issuer->old_set, "{\"keys\":[%s]}", old.data);
    text_printf(&issuer->new_set, "{\"keys\":[%s]}", new.data);
    text_printf(&issuer->both, "{\"keys\":[%s,%s]}", old.data, new.data);
    *state = issuer;
    return 0;
}

int issuer_tear_down_group(void **state) {
    struct issuer *issuer = *state;
    forge_free(issuer->forge);
    text_done(&issuer->old_set);
    text_done(&issuer->new_set);
    text_done(&issuer->both);
    free(issuer);
    return 0;
}

int issuer_set_up(void **state) {
    struct issuer *issuer = *state;
    struct error err = {0};
    issuer->origin = origin_new();
    atomic_store(&issuer->now, 1000000);
    atomic_store(&issuer->answered, 0);
    if (!keys_new(origin_url(issuer->origin), ISSUER_COOLDOWN_S * 1000, &issuer->keys, &err))
        fail_msg("%s", err.message);
    keys_set_clock(issuer->keys, (struct keys_clock){.now_ms = now_ms, .context = issuer});
    return 0;
}

int issuer_tear_down(void **state) {
    struct issuer *issuer = *state;
    keys_free(issuer->keys);
    origin_free(issuer->origin);
    return 0;
}

// ---- words for the tests ---------------------------------------------------------------------------------------------

void issuer_publish(struct issuer *issuer, const struct text *set, const char *fields) {
    origin_answer(issuer->origin, "200 OK", fields, (struct view){set->data, set->length});
}

void issuer_go_away(struct issuer *issuer) {
    origin_answer_raw(issuer->origin, VIEW(""));
}

enum error_code issuer_ask_why(struct issuer *issuer, const char *kid, struct error *ret_err) {
    struct token_keys keys = keys_as_token_keys(issuer->keys);
    const struct key *key = NULL;
    struct error err = {0};
    if (keys.find(keys.context, view_of(kid), &key, &err)) {
        keys.release(keys.context, key);
        return ERROR_NONE;
    }
    if (ret_err != NULL)
        *ret_err = err;
    return err.code;
}

enum error_code issuer_ask(struct issuer *issuer, const char *kid) {
    return issuer_ask_why(issuer, kid, NULL);
}

void issuer_expect_fetches(struct issuer *issuer, unsigned fetches) {
    assert_int_equal(origin_requests(issuer->origin), fetches);
    assert_int_equal(keys_fetches(issuer->keys), fetches);
}
