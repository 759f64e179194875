// Google's published keys, as https://www.googleapis.com/oauth2/v3/certs serves them: with a lifetime and an age.
#include "cloud.h"
#include <string.h>

bool certificates_handle(struct cloud *cloud, struct exchange *exchange) {
    struct text body = TEXT(16384), lifetime cleanup_text = TEXT(128), age cleanup_text = TEXT(32);
    if (strcmp(exchange->path, "/oauth2/v3/certs") != 0 || strcmp(exchange->method, "GET") != 0)
        return false;
    cloud->key_fetches++;
    keys_write_jwks(cloud->keys, &body);
    text_printf(&lifetime, "public, max-age=%u, must-revalidate, no-transform", cloud->max_age_s);
    text_printf(&age, "%u", cloud->age_s);
    exchange_answer_header(exchange, "Cache-Control", text_string(&lifetime));
    exchange_answer_header(exchange, "Age", text_string(&age));
    exchange_answer_json(exchange, &body);
    return true;
}
