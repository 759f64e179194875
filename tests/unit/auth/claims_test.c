// The push token's claims: issuer, audience, caller and times, each varied alone in a token that the issuer signed.
#include "base/arena.h"
#include "court.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct claim_case {
    struct draft draft;
    enum error_code code;
};

// `before_key`: the refusal must not have cost a look at the keys.
static void expect_all(struct court *court, const struct claim_case *cases, size_t count, bool before_key) {
    for (size_t i = 0; i < count; i++) {
        cleanup_text struct text claims = TEXT(COURT_ROOM);
        draft_write(&cases[i].draft, &claims);
        court_expect(court_judge_draft(court, &cases[i].draft), cases[i].code, claims.data);
        if (before_key)
            assert_int_equal(court->found, 0);
    }
}

static void harmless_variety_is_accepted(void **state) {
    static const struct claim_case cases[] = {
        {{.iss = "\"accounts.google.com\""}, ERROR_NONE},
        {{.aud = "\"https:\\/\\/pawl.example\\/push\""}, ERROR_NONE},
        {{.aud = "\"https://pawl.example/other\""}, ERROR_NONE},
        {{.email = "\"other@shop.iam.gserviceaccount.com\""}, ERROR_NONE},
        {{.exp = "1700003000.75", .iat = "1699999400.5"}, ERROR_NONE},
        {{.exp = "1.700003e9", .iat = "1.6999994e9"}, ERROR_NONE},
        {{.extra = "\"nbf\":1699999400"}, ERROR_NONE},
        {{.extra = "\"google\":{\"compute_engine\":{\"zone\":\"a\"}},\"at_hash\":\"x\",\"hd\":[1,null]"}, ERROR_NONE},
    };
    expect_all(*state, cases, COUNT(cases), false);
}

static void fractions_of_dates_are_dropped(void **state) {
    struct court *court = *state;
    court_expect(court_judge_draft(court, &(struct draft){.exp = "1700003000.75", .iat = "1699999400.5"}), ERROR_NONE,
                 "");
    assert_int_equal(court->claims.expires_at, 1700003000);
    assert_int_equal(court->claims.issued_at, 1699999400);
}

// ---- who is meant ----------------------------------------------------------------------------------------------------

static void any_audience_but_a_listed_one_is_refused(void **state) {
    static const struct claim_case cases[] = {
        {{.aud = "\"https://pawl.example/push/\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\"https://pawl.example/pus\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\"https://pawl.example/pushed\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\"https://pawl.example\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\"https://PAWL.example/push\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\"https://pawl.example:443/push\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\"http://pawl.example/push\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\" https://pawl.example/push\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\"https://pawl.example/push https://pawl.example/other\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\"*\""}, ERROR_TOKEN_AUDIENCE},
        {{.aud = "\"\""}, ERROR_TOKEN_CLAIMS},
        {{.aud = ""}, ERROR_TOKEN_CLAIMS},
        {{.aud = "null"}, ERROR_TOKEN_CLAIMS},
        {{.aud = "true"}, ERROR_TOKEN_CLAIMS},
        {{.aud = "[\"https://pawl.example/push\"]"}, ERROR_TOKEN_CLAIMS},
        {{.aud = "[\"x\",\"https://pawl.example/push\"]"}, ERROR_TOKEN_CLAIMS},
        {{.aud = "{\"https://pawl.example/push\":1}"}, ERROR_TOKEN_CLAIMS},
        {{.aud = "\"https://pawl.example/push\\u0000evil\""}, ERROR_TOKEN_MALFORMED},
    };
    expect_all(*state, cases, COUNT(cases), true);
}

static void any_issuer_but_the_two_google_forms_is_refused(void **state) {
    static const struct claim_case cases[] = {
        {{.iss = "\"https://accounts.google.com/\""}, ERROR_TOKEN_ISSUER},
        {{.iss = "\"http://accounts.google.com\""}, ERROR_TOKEN_ISSUER},
        {{.iss = "\"https://ACCOUNTS.google.com\""}, ERROR_TOKEN_ISSUER},
        {{.iss = "\"accounts.google.com.attacker.example\""}, ERROR_TOKEN_ISSUER},
        {{.iss = "\"https://accounts.google.co\""}, ERROR_TOKEN_ISSUER},
        {{.iss = "\"google.com\""}, ERROR_TOKEN_ISSUER},
        {{.iss = "\" accounts.google.com\""}, ERROR_TOKEN_ISSUER},
        {{.iss = "\"https://token.actions.githubusercontent.com\""}, ERROR_TOKEN_ISSUER},
        {{.iss = "\"\""}, ERROR_TOKEN_CLAIMS},
        {{.iss = ""}, ERROR_TOKEN_CLAIMS},
        {{.iss = "null"}, ERROR_TOKEN_CLAIMS},
        {{.iss = "[\"https://accounts.google.com\"]"}, ERROR_TOKEN_CLAIMS},
        {{.iss = "\"accounts.google.com\\u0000\""}, ERROR_TOKEN_MALFORMED},
    };
    expect_all(*state, cases, COUNT(cases), true);
}

static void a_configured_issuer_replaces_the_google_ones(void **state) {
    static const char *const issuers[] = {"http://127.0.0.1:8085", NULL};
    struct court *court = *state;
    struct token_policy policy = court_policy;
    policy.issuers = issuers;
    static const struct claim_case cases[] = {
        {{.iss = "\"http://127.0.0.1:8085\""}, ERROR_NONE},
        {{.iss = "\"https://accounts.google.com\""}, ERROR_TOKEN_ISSUER},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cleanup_text struct text authorization = TEXT(COURT_ROOM);
        draft_sign(&cases[i].draft, court->issuer, COURT_HEADER, &authorization);
        court_expect(court_judge_by(court, &policy, court_view(&authorization)), cases[i].code, cases[i].draft.iss);
    }
}

// ---- who calls -------------------------------------------------------------------------------------------------------

static void any_caller_but_a_listed_one_is_refused(void **state) {
    static const struct claim_case cases[] = {
        {{.email = "\"evil@shop.iam.gserviceaccount.com\""}, ERROR_CALLER_NOT_ALLOWED},
        {{.email = "\"PUSH@shop.iam.gserviceaccount.com\""}, ERROR_CALLER_NOT_ALLOWED},
        {{.email = "\"push@shop.iam.gserviceaccount.com \""}, ERROR_CALLER_NOT_ALLOWED},
        {{.email = "\"push@shop.iam.gserviceaccount.com.attacker.example\""}, ERROR_CALLER_NOT_ALLOWED},
        {{.email = "\"push@shop.iam.gserviceaccount.co\""}, ERROR_CALLER_NOT_ALLOWED},
        {{.email = "\"xpush@shop.iam.gserviceaccount.com\""}, ERROR_CALLER_NOT_ALLOWED},
        {{.email = "\"push+x@shop.iam.gserviceaccount.com\""}, ERROR_CALLER_NOT_ALLOWED},
        {{.email = "\"p\\u00fcsh@shop.iam.gserviceaccount.com\""}, ERROR_CALLER_NOT_ALLOWED},
        {{.email = "\"\""}, ERROR_TOKEN_CLAIMS},
        {{.email = ""}, ERROR_TOKEN_CLAIMS},
        {{.email = "null"}, ERROR_TOKEN_CLAIMS},
        {{.email = "[\"push@shop.iam.gserviceaccount.com\"]"}, ERROR_TOKEN_CLAIMS},
        {{.email = "\"push@shop.iam.gserviceaccount.com\\u0000x\""}, ERROR_TOKEN_MALFORMED},
    };
    expect_all(*state, cases, COUNT(cases), false);
}

static void an_address_that_is_not_verified_is_refused(void **state) {
    static const struct claim_case cases[] = {
        {{.email_verified = "false"}, ERROR_CALLER_UNVERIFIED},
        {{.email_verified = "\"true\""}, ERROR_CALLER_UNVERIFIED},
        {{.email_verified = "1"}, ERROR_CALLER_UNVERIFIED},
        {{.email_verified = "\"false\""}, ERROR_CALLER_UNVERIFIED},
        {{.email_verified = "0"}, ERROR_CALLER_UNVERIFIED},
        {{.email_verified = "null"}, ERROR_CALLER_UNVERIFIED},
        {{.email_verified = "{}"}, ERROR_CALLER_UNVERIFIED},
        {{.email_verified = "[true]"}, ERROR_CALLER_UNVERIFIED},
        {{.email_verified = ""}, ERROR_CALLER_UNVERIFIED},
        {{.email_verified = "True"}, ERROR_TOKEN_MALFORMED},
    };
    expect_all(*state, cases, COUNT(cases), false);
}

static void a_subject_is_required(void **state) {
    static const struct claim_case cases[] = {
        {{.sub = ""}, ERROR_TOKEN_CLAIMS},
        {{.sub = "\"\""}, ERROR_TOKEN_CLAIMS},
        {{.sub = "113"}, ERROR_TOKEN_CLAIMS},
        {{.sub = "null"}, ERROR_TOKEN_CLAIMS},
    };
    expect_all(*state, cases, COUNT(cases), true);
}

static void strings_that_do_not_fit_are_refused_and_never_cut(void **state) {
    static const struct {
        const char *name;
        size_t max;
    } claims[] = {{"iss", 127}, {"aud", 511}, {"email", 255}, {"sub", 255}};
    for (size_t i = 0; i < COUNT(claims); i++) {
        cleanup_text struct text value = TEXT(COURT_ROOM);
        text_append_char(&value, '"');
        while (value.length < claims[i].max + 2)
            text_append_char(&value, 'a');
        text_append_char(&value, '"');
        struct draft draft = {0};
        *(i == 0 ? &draft.iss : i == 1 ? &draft.aud : i == 2 ? &draft.email : &draft.sub) = value.data;
        court_expect(court_judge_draft(*state, &draft), ERROR_TOKEN_CLAIMS, claims[i].name);
        memmove(value.data + 1, value.data + 2, value.length - 1);
        enum error_code code = court_judge_draft(*state, &draft);
        assert_int_not_equal(code, ERROR_TOKEN_CLAIMS); // one byte shorter fits, whatever the lists say about it
    }
}

// ---- doubles ---------------------------------------------------------------------------------------------------------

static void duplicate_claims_are_refused(void **state) {
    static const struct claim_case cases[] = {
        {{.extra = "\"aud\":\"" COURT_AUDIENCE "\""}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"iss\":\"https://accounts.google.com\""}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"email\":\"" COURT_CALLER "\""}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"email_verified\":true"}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"sub\":\"113774264463038321964\""}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"exp\":1700003000"}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"iat\":1699999400"}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"nbf\":1,\"nbf\":1"}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"\\u0061ud\":\"x\""}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"aud\\u0000x\":1"}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"x\":1,\"x\":1"}, ERROR_TOKEN_MALFORMED},
        {{.extra = "\"x\":{\"y\":1,\"y\":1}"}, ERROR_TOKEN_MALFORMED},
    };
    expect_all(*state, cases, COUNT(cases), true);
}

static void claims_that_differ_only_in_case_are_refused(void **state) {
    static const struct claim_case cases[] = {
        {{.extra = "\"AUD\":\"x\""}, ERROR_TOKEN_CLAIMS},
        {{.extra = "\"Iss\":1"}, ERROR_TOKEN_CLAIMS},
        {{.extra = "\"EMAIL\":\"x\""}, ERROR_TOKEN_CLAIMS},
        {{.extra = "\"Email_Verified\":true"}, ERROR_TOKEN_CLAIMS},
        {{.extra = "\"EXP\":1"}, ERROR_TOKEN_CLAIMS},
        {{.extra = "\"Iat\":1"}, ERROR_TOKEN_CLAIMS},
        {{.extra = "\"SUB\":\"x\""}, ERROR_TOKEN_CLAIMS},
        {{.extra = "\"NBF\":1"}, ERROR_TOKEN_CLAIMS},
        {{.aud = "", .extra = "\"AUD\":\"" COURT_AUDIENCE "\""}, ERROR_TOKEN_CLAIMS},
    };
    expect_all(*state, cases, COUNT(cases), true);
}

static void deep_nesting_is_refused(void **state) {
    cleanup_text struct text extra = TEXT(COURT_ROOM);
    text_append(&extra, "\"x\":");
    for (size_t i = 0; i < 1000; i++)
        text_append_char(&extra, '[');
    for (size_t i = 0; i < 1000; i++)
        text_append_char(&extra, ']');
    court_expect(court_judge_draft(*state, &(struct draft){.extra = extra.data}), ERROR_TOKEN_MALFORMED, "1000 levels");
}

// ---- when ------------------------------------------------------------------------------------------------------------

static void dates_that_are_no_sound_numbers_are_refused(void **state) {
    static const char *const dates[] = {
        "\"1700003000\"", "null",   "true", "[1700003000]",     "{}",
        "1e300",          "-1e300", "-1",   "9007199254740992", "99999999999999999999999999",
        "1e400",          "-0.5",   ""};
    for (size_t i = 0; i < COUNT(dates); i++) {
        court_expect(court_judge_draft(*state, &(struct draft){.exp = dates[i]}), ERROR_TOKEN_CLAIMS, dates[i]);
        court_expect(court_judge_draft(*state, &(struct draft){.iat = dates[i]}), ERROR_TOKEN_CLAIMS, dates[i]);
        if (dates[i][0] == '\0')
            continue; // nbf may be absent
        cleanup_text struct text nbf = TEXT(COURT_ROOM);
        text_printf(&nbf, "\"nbf\":%s", dates[i]);
        court_expect(court_judge_draft(*state, &(struct draft){.extra = nbf.data}), ERROR_TOKEN_CLAIMS, nbf.data);
    }
}

static void a_token_outside_its_time_is_refused(void **state) {
    static const struct claim_case cases[] = {
        {{.iat = "1699990000", .exp = "1699993600"}, ERROR_TOKEN_EXPIRED},
        {{.iat = "0", .exp = "1"}, ERROR_TOKEN_EXPIRED},
        {{.iat = "1700003000", .exp = "1700006000"}, ERROR_TOKEN_NOT_YET_VALID},
        {{.exp = "9007199254740991"}, ERROR_TOKEN_NOT_YET_VALID},
        {{.iat = "1700003000", .exp = "1700003000"}, ERROR_TOKEN_CLAIMS},
        {{.iat = "1700003001", .exp = "1700003000"}, ERROR_TOKEN_CLAIMS},
        {{.extra = "\"nbf\":1700002000"}, ERROR_TOKEN_NOT_YET_VALID},
    };
    expect_all(*state, cases, COUNT(cases), true);
}

static void a_token_an_hour_old_is_accepted(void **state) {
    court_expect(court_judge_draft(*state, &(struct draft){.iat = "1699996401", .exp = "1700000001"}), ERROR_NONE, "");
}

static void the_skew_is_honoured_to_the_second(void **state) {
    static const struct claim_case cases[] = {
        {{.iat = "1699996341", .exp = "1699999941"}, ERROR_NONE},
        {{.iat = "1699996340", .exp = "1699999940.5"}, ERROR_NONE},
        {{.iat = "1699996340", .exp = "1699999940"}, ERROR_TOKEN_EXPIRED},
        {{.iat = "1699996339", .exp = "1699999939"}, ERROR_TOKEN_EXPIRED},
        {{.iat = "1700000060", .exp = "1700003660"}, ERROR_NONE},
        {{.iat = "1700000060.5", .exp = "1700003660"}, ERROR_TOKEN_NOT_YET_VALID},
        {{.iat = "1700000061", .exp = "1700003661"}, ERROR_TOKEN_NOT_YET_VALID},
        {{.extra = "\"nbf\":1700000060"}, ERROR_NONE},
        {{.extra = "\"nbf\":1700000061"}, ERROR_TOKEN_NOT_YET_VALID},
        {{.iat = "1700000000", .exp = "1700003660"}, ERROR_NONE},
        {{.iat = "1700000000", .exp = "1700003661"}, ERROR_TOKEN_NOT_YET_VALID},
        {{.iat = "1699999999", .exp = "1700086399"}, ERROR_TOKEN_NOT_YET_VALID},
    };
    expect_all(*state, cases, COUNT(cases), false);
}

static void a_skew_above_five_minutes_is_cut_to_five_minutes(void **state) {
    static const struct claim_case cases[] = {
        {{.iat = "1699996101", .exp = "1699999701"}, ERROR_NONE},
        {{.iat = "1699996100", .exp = "1699999700"}, ERROR_TOKEN_EXPIRED},
    };
    struct court *court = *state;
    struct token_policy lax = court_policy;
    lax.skew_s = 86400;
    for (size_t i = 0; i < COUNT(cases); i++) {
        cleanup_text struct text authorization = TEXT(COURT_ROOM);
        draft_sign(&cases[i].draft, court->issuer, COURT_HEADER, &authorization);
        court_expect(court_judge_by(court, &lax, court_view(&authorization)), cases[i].code, cases[i].draft.exp);
    }
}

// ---- policy and words ------------------------------------------------------------------------------------------------

static void an_empty_policy_lets_nobody_in(void **state) {
    static const char *const none[] = {NULL};
    cleanup_text struct text authorization = TEXT(COURT_ROOM);
    struct court *court = *state;
    draft_sign(&(struct draft){0}, court->issuer, COURT_HEADER, &authorization);
    const struct {
        struct token_policy policy;
        enum error_code code;
    } cases[] = {
        {{.callers = court_policy.callers}, ERROR_TOKEN_AUDIENCE},
        {{.callers = court_policy.callers, .audiences = none}, ERROR_TOKEN_AUDIENCE},
        {{.audiences = court_policy.audiences}, ERROR_CALLER_NOT_ALLOWED},
        {{.audiences = court_policy.audiences, .callers = none}, ERROR_CALLER_NOT_ALLOWED},
        {{.audiences = court_policy.audiences, .callers = court_policy.callers, .issuers = none}, ERROR_TOKEN_ISSUER},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        court_expect(court_judge_by(court, &cases[i].policy, court_view(&authorization)), cases[i].code, "empty list");
}

static void the_message_names_both_audiences(void **state) {
    struct court *court = *state;
    (void)court_judge_draft(court, &(struct draft){.aud = "\"https://pawl.example/push/\""});
    assert_string_equal(court->err.message,
                        "the token is for audience \"https://pawl.example/push/\" and this worker expects "
                        "\"https://pawl.example/push\" (or another on its list)");
}

static void the_message_names_the_caller(void **state) {
    struct court *court = *state;
    (void)court_judge_draft(court, &(struct draft){.email = "\"evil@shop.example\""});
    assert_string_equal(court->err.message, "\"evil@shop.example\" is not on the list of callers");
}

static void values_in_messages_are_cut_and_harmless(void **state) {
    struct court *court = *state;
    cleanup_text struct text aud = TEXT(COURT_ROOM);
    text_append(&aud, "\"\\u001b[31m\\n\\\"\\u202e\x7f%s");
    for (size_t i = 0; i < 400; i++)
        text_append_char(&aud, 'a');
    text_append_char(&aud, '"');
    court_expect(court_judge_draft(court, &(struct draft){.aud = aud.data}), ERROR_TOKEN_AUDIENCE, "a nasty audience");
    assert_non_null(strstr(court->err.message, "\"?[31m??????%saaa"));
    assert_non_null(strstr(court->err.message, "aaa...\""));
    assert_true(strlen(court->err.message) < 300);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(harmless_variety_is_accepted),
        cmocka_unit_test(fractions_of_dates_are_dropped),
        cmocka_unit_test(any_audience_but_a_listed_one_is_refused),
        cmocka_unit_test(any_issuer_but_the_two_google_forms_is_refused),
        cmocka_unit_test(a_configured_issuer_replaces_the_google_ones),
        cmocka_unit_test(any_caller_but_a_listed_one_is_refused),
        cmocka_unit_test(an_address_that_is_not_verified_is_refused),
        cmocka_unit_test(a_subject_is_required),
        cmocka_unit_test(strings_that_do_not_fit_are_refused_and_never_cut),
        cmocka_unit_test(duplicate_claims_are_refused),
        cmocka_unit_test(claims_that_differ_only_in_case_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(dates_that_are_no_sound_numbers_are_refused),
        cmocka_unit_test(a_token_outside_its_time_is_refused),
        cmocka_unit_test(a_token_an_hour_old_is_accepted),
        cmocka_unit_test(the_skew_is_honoured_to_the_second),
        cmocka_unit_test(a_skew_above_five_minutes_is_cut_to_five_minutes),
        cmocka_unit_test(an_empty_policy_lets_nobody_in),
        cmocka_unit_test(the_message_names_both_audiences),
        cmocka_unit_test(the_message_names_the_caller),
        cmocka_unit_test(values_in_messages_are_cut_and_harmless),
    };
    return cmocka_run_group_tests_name("claims", tests, court_set_up, court_tear_down);
}
