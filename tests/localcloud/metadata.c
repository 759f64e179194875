// The metadata server of a Cloud Run instance; clients find it through GCE_METADATA_HOST.
#include "cloud.h"
#include <string.h>

#define ROOT "/computeMetadata/v1/"
#define ACCOUNT "instance/service-accounts/default/"
#define NUMBER "123456789012"

struct question {
    struct cloud *cloud;
    struct exchange *exchange;
    struct text answer;
    const char *email;
};

static bool put_token(struct question *question) {
    struct json_writer writer = JSON_WRITER(&question->answer);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "access_token", "ya29.localcloud");
    json_put_integer(&writer, "expires_in", 3599);
    json_put_string(&writer, "token_type", "Bearer");
    json_end_object(&writer);
    return true;
}

static bool put_identity(struct question *question) {
    const char *audience = exchange_query(question->exchange, "audience");
    if (!audience || !*audience)
        return false;
    tokens_mint(question->cloud->tokens, question->email, audience, &question->answer);
    return true;
}

static bool put_email(struct question *question) {
    text_append(&question->answer, question->email);
    return true;
}

static bool put_project(struct question *question) {
    text_append(&question->answer, question->cloud->project);
    return true;
}

static bool put_number(struct question *question) {
    text_append(&question->answer, NUMBER);
    return true;
}

static bool put_region(struct question *question) {
    text_append(&question->answer, "projects/" NUMBER "/regions/europe-west1");
    return true;
}

static bool put_instance(struct question *question) {
    text_append(&question->answer, "00localcloud");
    return true;
}

static const struct {
    const char *path, *content_type;
    bool (*put)(struct question *question); // false: the question is not complete
} answers[] = {
    {ROOT ACCOUNT "token", "application/json", put_token},
    {ROOT ACCOUNT "identity", "text/html", put_identity},
    {ROOT ACCOUNT "email", "application/text", put_email},
    {ROOT "project/project-id", "application/text", put_project},
    {ROOT "project/numeric-project-id", "application/text", put_number},
    {ROOT "instance/region", "application/text", put_region},
    {ROOT "instance/id", "application/text", put_instance},
};

static void answer_question(struct question *question, size_t index) {
    const char *flavor = exchange_header(question->exchange, "Metadata-Flavor");
    if (!flavor || strcmp(flavor, "Google") != 0)
        exchange_answer(question->exchange, 403, "text/html", VIEW("Missing Metadata-Flavor:Google header.\n"));
    else if (!answers[index].put(question))
        exchange_answer(question->exchange, 400, "text/html", VIEW("non-empty audience parameter required\n"));
    else
        exchange_answer(question->exchange, 200, answers[index].content_type,
                        (struct view){text_string(&question->answer), question->answer.length});
}

bool metadata_handle(struct cloud *cloud, struct exchange *exchange) {
    size_t index = 0;
    while (index < sizeof answers / sizeof *answers && strcmp(exchange->path, answers[index].path) != 0)
        index++;
    if (index == sizeof answers / sizeof *answers || strcmp(exchange->method, "GET") != 0)
        return false;
    struct question question = {cloud, exchange, TEXT(16384), NULL};
    question.email = arena_printf(exchange->arena, "pawl@%s.iam.gserviceaccount.com", cloud->project);
    exchange_answer_header(exchange, "Metadata-Flavor", "Google");
    answer_question(&question, index);
    text_done(&question.answer);
    return true;
}
