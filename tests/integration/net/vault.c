// One thread, one connection at a time. A handshake that the client ends is no error here: it is what most tests are about.
#include "vault.h"

#include "base/arena.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct vault {
    int listener;
    uint16_t port;
    SSL_CTX *tls;
    X509 *certificate;
    pthread_t thread;
};

static void must(bool done, const char *what) {
    if (done)
        return;
    fprintf(stderr, "vault: %s failed\n", what);
    abort();
}

// ---- the certificate -------------------------------------------------------------------------------------------------

static void add_extension(X509 *certificate, int which, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, which, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, "X509V3_EXT_conf_nid");
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *pair, const char *name, long valid_s) {
    struct in_addr ignored;
    char alternative[128];
    X509 *certificate = X509_new();
    must(certificate != NULL, "X509_new");
    int length = snprintf(alternative, sizeof alternative, "%s:%s",
                          inet_pton(AF_INET, name, &ignored) == 1 ? "IP" : "DNS", name);
    must(length > 0 && (size_t)length < sizeof alternative, "snprintf");
    X509_NAME *subject = X509_get_subject_name(certificate);
    must(X509_set_version(certificate, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
             X509_gmtime_adj(X509_getm_notBefore(certificate), -86400) != NULL &&
             X509_gmtime_adj(X509_getm_notAfter(certificate), valid_s) != NULL &&
             X509_set_pubkey(certificate, pair) == 1 &&
             X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1 &&
             X509_set_issuer_name(certificate, subject) == 1,
         "X509");
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_subject_alt_name, alternative);
    must(X509_sign(certificate, pair, EVP_sha256()) > 0, "X509_sign");
    return certificate;
}

void vault_trust(const struct vault *vault, const char *folder) {
    char path[512];
    int length = snprintf(path, sizeof path, "%s/%08lx.0", folder, X509_subject_name_hash(vault->certificate));
    must(length > 0 && (size_t)length < sizeof path, "snprintf");
    FILE *file = fopen(path, "w");
    must(file != NULL && PEM_write_X509(file, vault->certificate) == 1 && fclose(file) == 0, "PEM_write_X509");
}

// ---- the server ------------------------------------------------------------------------------------------------------

static void converse(SSL *tls) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ninside";
    char head[4096] = "";
    int length = 0, count = 0;
    if (SSL_accept(tls) != 1)
        return;
    while (strstr(head, "\r\n\r\n") == NULL &&
           (count = SSL_read(tls, head + length, (int)sizeof head - 1 - length)) > 0) {
        length += count;
        head[length] = '\0';
    }
    if (count > 0 && SSL_write(tls, answer, sizeof answer - 1) > 0)
        (void)SSL_shutdown(tls);
}

static void *serve(void *context) {
    const struct vault *vault = context;
    for (;;) {
        int peer = accept(vault->listener, NULL, NULL);
        if (peer < 0)
            return NULL; // shut down
        SSL *tls = SSL_new(vault->tls);
        must(tls != NULL && SSL_set_fd(tls, peer) == 1, "SSL_new");
        converse(tls);
        SSL_free(tls);
        (void)close(peer);
    }
}

struct vault *vault_new(const char *name, long valid_s) {
    struct vault *vault = memory_alloc(sizeof *vault);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    EVP_PKEY *pair = EVP_RSA_gen(2048);
    must(pair != NULL, "EVP_RSA_gen");
    vault->certificate = make_certificate(pair, name, valid_s);
    vault->tls = SSL_CTX_new(TLS_server_method());
    must(vault->tls != NULL && SSL_CTX_use_certificate(vault->tls, vault->certificate) == 1 &&
             SSL_CTX_use_PrivateKey(vault->tls, pair) == 1,
         "SSL_CTX_new");
    EVP_PKEY_free(pair);
    vault->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(vault->listener >= 0 && bind(vault->listener, (struct sockaddr *)&address, size) == 0 &&
             listen(vault->listener, 16) == 0 && getsockname(vault->listener, (struct sockaddr *)&address, &size) == 0,
         "listen");
    vault->port = ntohs(address.sin_port);
    must(pthread_create(&vault->thread, NULL, serve, vault) == 0, "pthread_create");
    return vault;
}

void vault_free(struct vault *vault) {
    (void)shutdown(vault->listener, SHUT_RDWR); // wakes accept()
    must(pthread_join(vault->thread, NULL) == 0, "pthread_join");
    (void)close(vault->listener);
    SSL_CTX_free(vault->tls);
    X509_free(vault->certificate);
    free(vault);
}

uint16_t vault_port(const struct vault *vault) {
    return vault->port;
}
