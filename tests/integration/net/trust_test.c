// Whom the HTTP client believes over TLS: a certificate from the folder of trusted ones, in time, for the host that was asked for.
#include "net/client.h"

#include "base/arena.h"
#include "vault.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// An empty folder is all that is trusted.
static int set_up(void **state) {
    char *folder = memory_string("/tmp/pawl-trust-XXXXXX");
    *state = folder;
    (void)signal(SIGPIPE, SIG_IGN); // OpenSSL writes to a peer that hung up
    return mkdtemp(folder) != NULL && setenv("SSL_CERT_DIR", folder, 1) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    char *folder = *state;
    DIR *listing = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(listing), entry->d_name, 0), 0);
    assert_int_equal(closedir(listing), 0);
    assert_int_equal(rmdir(folder), 0);
    free(folder);
    return unsetenv("SSL_CERT_DIR");
}

static bool fetch(const char *host, const struct vault *vault, struct error *err) {
    cleanup_client struct client *client = NULL;
    cleanup_text struct text url = TEXT(256);
    struct client_answer answer;
    text_printf(&url, "https://%s:%u/", host, (unsigned)vault_port(vault));
    assert_true(client_new(&client, err));
    if (!client_fetch(client, &(struct client_request){.url = url.data, .timeout_ms = 3000}, &answer, err))
        return false;
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body.data, "inside");
    client_answer_done(&answer);
    return true;
}

static void expect_refusal(const char *host, const struct vault *vault, const char *words) {
    struct error err = {0};
    assert_false(fetch(host, vault, &err));
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void a_trusted_certificate_is_believed(void **state) {
    struct vault *by_name = vault_new("localhost", 3600), *by_address = vault_new("127.0.0.1", 3600);
    struct error err = {0};
    vault_trust(by_name, *state);
    vault_trust(by_address, *state);
    if (!fetch("localhost", by_name, &err) || !fetch("127.0.0.1", by_address, &err))
        fail_msg("%s", err.message);
    vault_free(by_name);
    vault_free(by_address);
}

static void an_unknown_certificate_is_refused(void **state) {
    (void)state;
    struct vault *vault = vault_new("localhost", 3600);
    expect_refusal("localhost", vault, "localhost: SSL certificate problem: self-signed certificate");
    vault_free(vault);
}

static void a_certificate_for_another_host_is_refused(void **state) {
    struct vault *vault = vault_new("example.com", 3600);
    vault_trust(vault, *state);
    expect_refusal("localhost", vault, "no alternative certificate subject name matches");
    expect_refusal("127.0.0.1", vault, "no alternative certificate subject name matches");
    vault_free(vault);
}

static void an_expired_certificate_is_refused(void **state) {
    struct vault *vault = vault_new("localhost", -3600);
    vault_trust(vault, *state);
    expect_refusal("localhost", vault, "certificate has expired");
    vault_free(vault);
}

static void a_bundle_file_in_the_environment_is_not_loaded(void **state) {
    (void)state;
    struct vault *vault = vault_new("localhost", 3600);
    assert_int_equal(setenv("SSL_CERT_FILE", "/nonexistent/bundle.pem", 1), 0);
    assert_int_equal(setenv("CURL_CA_BUNDLE", "/nonexistent/bundle.pem", 1), 0);
    expect_refusal("localhost", vault, "self-signed certificate"); // and not an error about the file
    vault_free(vault);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_trusted_certificate_is_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_certificate_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_certificate_for_another_host_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_expired_certificate_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bundle_file_in_the_environment_is_not_loaded, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
