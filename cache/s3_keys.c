/* SPDX-License-Identifier: MIT */
/* Credentials as the operations of S3 want them; see the header. */
#include "cache/s3_keys.h"

#include "core/base/workers.h"

struct s3_wallet {
    struct http *http;
    struct guard *guard; /* of the credentials, which are one thread's at a time */
    struct credentials *credentials;
};

static bool fetch(void *context, struct arena *a, const struct credentials_request *request,
                  struct credentials_response *response)
{
    const struct s3_wallet *w = context;
    struct http_header *headers = ARENA_ARRAY(a, struct http_header, request->header_count + 1);
    struct depot_source body = DEPOT_PARTS(&request->body, 1);
    if (!w->http) {
        return false;
    }
    for (uint32_t i = 0; i < request->header_count; i++) {
        headers[i] = (struct http_header){request->headers[i].name, request->headers[i].value};
    }
    bool sends = str_eq(request->method, STR("POST")) || str_eq(request->method, STR("PUT"));
    int64_t attempts = request->attempts ? request->attempts : 1;
    struct http_job job = {.request = {.method = request->method,
                                       .url = request->url,
                                       .headers = headers,
                                       .header_count = request->header_count,
                                       .body = sends ? &body : NULL,
                                       .direct = request->direct},
                           .body_limit = CREDENTIALS_ANSWER_LIMIT,
                           .deadline_ms = request->timeout_ms * attempts,
                           .attempts = (uint32_t)attempts};
    bool answered = http_run(w->http, &job, 1);
    if (answered) {
        response->status = job.answer.status;
        response->body = str_copy(a, buf_str(&job.answer.body));
        aws_wipe(job.answer.body.s, job.answer.body.n);
    }
    http_job_free(&job);
    return answered;
}

static bool get(void *context, struct arena *a, int64_t now_s, bool renew, struct aws_keys *out,
                struct diags *d)
{
    struct s3_wallet *w = context;
    struct aws_keys keys = {0};
    guard_enter(w->guard);
    if (renew) {
        credentials_drop(w->credentials);
    }
    bool found = credentials_get(w->credentials, now_s, &keys, d) == CREDENTIALS_FOUND;
    if (found) {
        out->id = str_copy(a, keys.id);
        out->secret = str_copy(a, keys.secret);
        out->token = str_copy(a, keys.token);
    }
    guard_leave(w->guard);
    return found;
}

struct s3_wallet *s3_wallet_open(const struct credentials_settings *settings, struct diags *notes)
{
    struct s3_wallet *w = mem_alloc(sizeof *w);
    struct credentials_settings own = *settings;
    own.fetch = fetch;
    own.context = w;
    w->guard = guard_open();
    w->credentials = credentials_open(&own, notes);
    return w;
}

void s3_wallet_close(struct s3_wallet *w)
{
    if (w) {
        credentials_close(w->credentials);
        guard_close(w->guard);
        mem_free(w);
    }
}

const struct credentials_place *s3_wallet_place(const struct s3_wallet *w)
{
    return credentials_place(w->credentials);
}

void s3_wallet_use(struct s3_wallet *w, struct http *http)
{
    w->http = http;
}

struct s3_keys s3_wallet_keys(struct s3_wallet *w)
{
    return (struct s3_keys){get, w};
}
