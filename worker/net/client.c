// The one way out over HTTP. It moves bytes within limits; what an answer means, and whether to ask again, is left to the callers.
#include "net/client.h"

#include "base/arena.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#define BODY_MAX_DEFAULT (256 * 1024)
#define HEAD_MAX (16 * 1024)
#define TIMEOUT_MS_DEFAULT 10000
#define CONNECT_MS_MAX 5000
#define CERTIFICATES "/etc/ssl/certs"
#define STOP_CHECK_MS 50 // how often a transfer looks at `stop`

struct client {
    CURL *easy;
    CURLM *multi; // keeps the connections
    char reason[CURL_ERROR_SIZE];
};

// libcurl wants one call per process before everything else: the only state here, written once.
static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode ready = CURLE_FAILED_INIT;

static void start_libcurl(void) {
    ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

bool client_new(struct client **ret_client, struct error *err) {
    if (pthread_once(&once, start_libcurl) != 0 || ready != CURLE_OK)
        return error_set(err, ERROR_INTERNAL, "libcurl does not start: %s", curl_easy_strerror(ready));
    struct client *client = memory_alloc(sizeof *client);
    client->easy = curl_easy_init();
    client->multi = curl_multi_init();
    if (client->easy == NULL || client->multi == NULL) {
        client_free(client);
        return error_set(err, ERROR_INTERNAL, "libcurl has no memory for a handle");
    }
    *ret_client = client;
    return true;
}

void client_free(struct client *client) {
    if (client == NULL)
        return;
    curl_easy_cleanup(client->easy);
    (void)curl_multi_cleanup(client->multi);
    free(client);
}

// ---- where a request may go ------------------------------------------------------------------------------------------

struct place {
    char host[256]; // as libcurl writes it: IPv6 in brackets
    bool secure;    // https
    bool local;     // loopback or the metadata server: plain http is fine, and a proxy is not
};

static bool is_local(const char *host) {
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) == 1)
        return ntohl(address.s_addr) >> 24 == 127 || view_is(view_of(host), "169.254.169.254");
    // libcurl itself resolves localhost to loopback and asks nobody.
    return strcasecmp(host, "localhost") == 0 || strcasecmp(host, "[::1]") == 0 ||
           strcasecmp(host, "metadata.google.internal") == 0;
}

static void free_part(char **part) {
    curl_free(*part);
}
#define cleanup_part __attribute__((cleanup(free_part)))

static bool has_part(CURLU *parts, CURLUPart which) {
    cleanup_part char *part = NULL;
    return curl_url_get(parts, which, &part, 0) == CURLUE_OK;
}

// Which hosts plain http may go to.
enum plain { PLAIN_NOWHERE, PLAIN_LOCAL, PLAIN_ANYWHERE };

static bool read_place(CURLU *parts, enum plain allowed, struct place *ret_place, struct error *err) {
    cleanup_part char *scheme = NULL, *host = NULL;
    if (curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK || host[0] == '\0')
        return error_set(err, ERROR_CONFIGURATION, "the URL has no scheme or no host");
    if (view_of(host).length >= sizeof ret_place->host)
        return error_set(err, ERROR_CONFIGURATION, "the URL's host is longer than 255 bytes");
    if (has_part(parts, CURLUPART_USER) || has_part(parts, CURLUPART_PASSWORD) || has_part(parts, CURLUPART_FRAGMENT))
        return error_set(err, ERROR_CONFIGURATION, "the URL has a user name, a password or a fragment");
    struct place place = {.secure = strcasecmp(scheme, "https") == 0, .local = is_local(host)};
    bool plain = strcasecmp(scheme, "http") == 0;
    if (!place.secure && !(plain && (allowed == PLAIN_ANYWHERE || (allowed == PLAIN_LOCAL && place.local))))
        return error_set(err, ERROR_CONFIGURATION, "the URL's scheme is not https%s",
                         plain ? " (http is for loopback and the metadata server only)" : "");
    text_copy(place.host, sizeof place.host, view_of(host));
    *ret_place = place;
    return true;
}

static bool find_place(const char *url, enum plain allowed, struct place *ret_place, struct error *err) {
    CURLU *parts = curl_url();
    if (parts == NULL)
        return error_set(err, ERROR_INTERNAL, "libcurl has no memory for a URL");
    CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    bool found = code == CURLUE_OK
                     ? read_place(parts, allowed, ret_place, err)
                     : error_set(err, ERROR_CONFIGURATION, "the URL is malformed: %s", curl_url_strerror(code));
    curl_url_cleanup(parts);
    return found;
}

bool client_check_url(const char *url, bool allow_http, struct error *err) {
    struct place place;
    return find_place(url, allow_http ? PLAIN_LOCAL : PLAIN_NOWHERE, &place, err);
}

// ---- what comes back -------------------------------------------------------------------------------------------------

// One request on its way. The limits are kept here and not only in libcurl, whose own look at Content-Length alone.
struct transfer {
    struct client_answer answer;
    const char *wanted_field; // NULL: none
    size_t head_left;
    bool head_too_large;
};

static size_t receive_body(char *data, size_t size, size_t count, void *context) {
    struct transfer *transfer = context;
    text_append_view(&transfer->answer.body, (struct view){data, size * count});
    return transfer->answer.body.full ? 0 : size * count; // 0 ends the transfer
}

static bool take_field(struct view line, const char *name, struct view *ret_value) {
    struct view wanted = view_of(name);
    if (line.length <= wanted.length || line.data[wanted.length] != ':' ||
        strncasecmp(line.data, name, wanted.length) != 0)
        return false;
    *ret_value = view_trim((struct view){line.data + wanted.length + 1, line.length - wanted.length - 1});
    return true;
}

// Several fields of one name are one list (RFC 9110 §5.3). What does not fit is left out as a whole, never cut.
static void collect(char *destination, size_t size, struct view value) {
    cleanup_text struct text joined = TEXT(size - 1);
    text_append(&joined, destination);
    if (joined.length > 0)
        text_append(&joined, ", ");
    text_append_view(&joined, value);
    text_copy(destination, size, joined.full ? VIEW("") : view_of(text_string(&joined)));
}

static size_t receive_field(char *data, size_t size, size_t count, void *context) {
    struct transfer *transfer = context;
    struct client_answer *answer = &transfer->answer;
    struct view line = {data, size * count}, value;
    if (line.length > transfer->head_left) {
        transfer->head_too_large = true;
        return 0;
    }
    transfer->head_left -= line.length;
    if (view_starts(line, "HTTP/")) // a new head: what an interim answer (1xx) said is not about the final one
        answer->cache_control[0] = answer->age[0] = answer->content_type[0] = answer->wanted[0] = '\0';
    else if (take_field(line, "Cache-Control", &value))
        collect(answer->cache_control, sizeof answer->cache_control, value);
    else if (take_field(line, "Age", &value))
        collect(answer->age, sizeof answer->age, value);
    else if (take_field(line, "Content-Type", &value))
        collect(answer->content_type, sizeof answer->content_type, value);
    else if (transfer->wanted_field != NULL && take_field(line, transfer->wanted_field, &value))
        collect(answer->wanted, sizeof answer->wanted, value);
    return line.length;
}

// ---- one request -----------------------------------------------------------------------------------------------------

static bool set_limits(CURL *easy, const struct client_request *request, const struct place *place) {
    long timeout = request->timeout_ms ? (long)request->timeout_ms : TIMEOUT_MS_DEFAULT;
    const char *certificates = getenv("SSL_CERT_DIR");
    unsigned failed = 0;
    failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); // threads: no SIGALRM, no SIGPIPE tricks
    failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, place->secure ? "https" : "http");
    failed |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    failed |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout);
    failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout < CONNECT_MS_MAX ? timeout : CONNECT_MS_MAX);
    failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    failed |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    failed |= curl_easy_setopt(easy, CURLOPT_CAPATH, certificates ? certificates : CERTIFICATES);
    if (place->local)
        failed |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    return failed == CURLE_OK;
}

static bool set_receivers(struct client *client, struct transfer *transfer) {
    CURL *easy = client->easy;
    unsigned failed = 0;
    client->reason[0] = '\0';
    failed |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, client->reason);
    failed |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body);
    failed |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, receive_field);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    failed |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)transfer->answer.body.max);
    // No Accept-Encoding is sent, and what comes encoded all the same stays as it is.
    failed |= curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    return failed == CURLE_OK;
}

static bool set_message(CURL *easy, const struct client_request *request, const struct curl_slist *headers) {
    unsigned failed = 0;
    failed |= curl_easy_setopt(easy, CURLOPT_URL, request->url);
    failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "pawl");
    failed |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    if (request->body.data != NULL) {
        failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.length);
        failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.data);
    }
    if (request->method != NULL)
        failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return failed == CURLE_OK;
}

static bool list_headers(const char *const *headers, struct curl_slist **list) {
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i++) {
        struct curl_slist *longer = curl_slist_append(*list, headers[i]);
        if (longer == NULL)
            return false;
        *list = longer;
    }
    return true;
}

static void free_headers(struct curl_slist **list) {
    curl_slist_free_all(*list);
}

// The reason in our words where a limit of ours ended it, in libcurl's words otherwise.
static bool explain(const struct client *client, const struct transfer *transfer, const char *host, CURLcode code,
                    struct error *err) {
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return error_set(err, ERROR_SHUTTING_DOWN, "%s: shutting down before it answered", host);
    if (transfer->head_too_large)
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "%s: the answer's head is larger than %d bytes", host, HEAD_MAX);
    if (transfer->answer.body.full || code == CURLE_FILESIZE_EXCEEDED)
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "%s: the answer is larger than %zu bytes", host,
                         transfer->answer.body.max);
    return error_set(err, ERROR_KEYS_UNAVAILABLE, "%s: %s", host,
                     client->reason[0] != '\0' ? client->reason : curl_easy_strerror(code));
}

static bool is_stopped(const struct client_request *request) {
    return request->stop && atomic_load(request->stop);
}

// CURLE_ABORTED_BY_CALLBACK when it was stopped: the one code that nothing else here brings about.
static CURLcode transfer_to_end(struct client *client, const struct client_request *request) {
    int running = 1, queued;
    while (running > 0) {
        if (is_stopped(request)) {
            (void)curl_easy_setopt(client->easy, CURLOPT_QUICK_EXIT, 1L); // a look-up of the host is not waited for
            return CURLE_ABORTED_BY_CALLBACK;
        }
        if (curl_multi_perform(client->multi, &running) != CURLM_OK ||
            (running > 0 && curl_multi_poll(client->multi, NULL, 0, STOP_CHECK_MS, NULL) != CURLM_OK))
            return CURLE_FAILED_INIT;
    }
    const CURLMsg *message = curl_multi_info_read(client->multi, &queued);
    return message != NULL ? message->data.result : CURLE_FAILED_INIT;
}

static CURLcode transfer_once(struct client *client, const struct client_request *request) {
    if (curl_multi_add_handle(client->multi, client->easy) != CURLM_OK)
        return CURLE_FAILED_INIT;
    CURLcode code = transfer_to_end(client, request);
    (void)curl_multi_remove_handle(client->multi, client->easy); // closes what is not finished
    return code;
}

static bool perform(struct client *client, const struct client_request *request, const struct place *place,
                    struct transfer *transfer, struct error *err) {
    __attribute__((cleanup(free_headers))) struct curl_slist *headers = NULL;
    curl_easy_reset(client->easy); // forgets the options and keeps the connections
    if (!list_headers(request->headers, &headers) || !set_limits(client->easy, request, place) ||
        !set_receivers(client, transfer) || !set_message(client->easy, request, headers))
        return error_set(err, ERROR_KEYS_UNAVAILABLE, "%s: libcurl refuses an option", place->host);
    CURLcode code = transfer_once(client, request);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &transfer->answer.status);
    bool done = code == CURLE_OK || explain(client, transfer, place->host, code, err);
    curl_easy_reset(client->easy); // nothing in the handle points into this call any more
    return done;
}

bool client_fetch(struct client *client, const struct client_request *request, struct client_answer *ret_answer,
                  struct error *err) {
    struct place place;
    enum plain allowed = request->allow_emulator ? PLAIN_ANYWHERE : request->allow_http ? PLAIN_LOCAL : PLAIN_NOWHERE;
    if (!find_place(request->url, allowed, &place, err)) {
        err->code = ERROR_KEYS_UNAVAILABLE;
        return false;
    }
    struct transfer transfer = {
        .answer.body = TEXT(request->body_max ? request->body_max : BODY_MAX_DEFAULT),
        .wanted_field = request->wanted_field,
        .head_left = HEAD_MAX,
    };
    if (!perform(client, request, &place, &transfer, err)) {
        client_answer_done(&transfer.answer);
        return false;
    }
    *ret_answer = transfer.answer;
    return true;
}

void client_answer_done(struct client_answer *answer) {
    text_done(&answer->body);
}
