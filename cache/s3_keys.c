/* SPDX-License-Identifier: MIT */
/* Credentials as the operations of S3 want them; see the header. */
#include "cache/s3_keys.h"

#include "core/base/file.h"
#include "core/base/workers.h"

enum { HELD_LIMIT = 64 << 10 };
#define PATIENCE_NS INT64_C(15000000000)

struct s3_wallet {
    struct http *http;
    struct credentials
        *credentials; /* of the thread that asks; else of the guard, as is the rest */
    struct guard *guard;
    bool asking;
    bool has;          /* what follows */
    struct buf held;   /* id, secret and token, joined */
    size_t id, secret; /* bytes of each */
    int64_t until_s;   /* 0: for ever */
    int64_t patience_ns;
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

static void wipe(struct s3_wallet *w)
{
    if (w->held.s) {
        aws_wipe(w->held.s, w->held.cap);
    }
    buf_clear(&w->held);
    w->id = w->secret = 0;
    w->has = false;
}

/* What there is now, for those who come while it is asked for anew. */
static void hold(struct s3_wallet *w, const struct aws_keys *keys)
{
    wipe(w);
    (void)buf_reserve(&w->held, keys->id.n + keys->secret.n + keys->token.n);
    buf_put_str(&w->held, keys->id);
    buf_put_str(&w->held, keys->secret);
    buf_put_str(&w->held, keys->token);
    w->id = keys->id.n;
    w->secret = keys->secret.n;
    w->has = !w->held.full;
    w->until_s = credentials_until_s(w->credentials);
}

static bool give_held(const struct s3_wallet *w, struct arena *a, int64_t now_s,
                      struct aws_keys *out)
{
    struct str all = buf_str(&w->held);
    if (!w->has || (w->until_s && now_s >= w->until_s)) {
        return false;
    }
    out->id = str_copy(a, str_sub(all, 0, w->id));
    out->secret = str_copy(a, str_sub(all, w->id, w->secret));
    out->token = str_copy(a, str_tail(all, w->id + w->secret));
    return true;
}

/* Alone with the credentials, and without the guard: it may take long. */
static bool ask(struct s3_wallet *w, struct arena *a, int64_t now_s, bool renew,
                struct aws_keys *out, struct diags *d)
{
    struct aws_keys keys = {0};
    w->asking = true;
    if (renew) {
        wipe(w); /* the server has refused them */
    }
    guard_leave(w->guard);
    if (renew) {
        credentials_drop(w->credentials);
    }
    bool found = credentials_get(w->credentials, now_s, &keys, d) == CREDENTIALS_FOUND;
    guard_enter(w->guard);
    if (found) {
        hold(w, &keys);
        found = give_held(w, a, now_s, out);
    }
    w->asking = false;
    guard_wake(w->guard);
    return found;
}

static bool get(void *context, struct arena *a, int64_t now_s, bool renew, struct aws_keys *out,
                struct diags *d)
{
    struct s3_wallet *w = context;
    int64_t until = time_boot_ns() + w->patience_ns;
    bool waiting = true, found = false;
    guard_enter(w->guard);
    while (w->asking && !found && waiting) {
        found = !renew && give_held(w, a, now_s, out); /* not those that were refused */
        waiting = found || guard_wait(w->guard, until);
    }
    if (!found && !w->asking) {
        found = ask(w, a, now_s, renew, out, d);
    } else if (!found) {
        diag_warning(d, "aws-credentials", SPAN_NONE,
                     "there are no AWS credentials yet: whoever gives them has not answered");
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
    w->patience_ns = PATIENCE_NS;
    buf_init(&w->held, HELD_LIMIT);
    w->credentials = credentials_open(&own, notes);
    return w;
}

void s3_wallet_close(struct s3_wallet *w)
{
    if (w) {
        credentials_close(w->credentials);
        wipe(w);
        buf_free(&w->held);
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

void s3_wallet_be_patient(struct s3_wallet *w, int64_t patience_ns)
{
    w->patience_ns = patience_ns;
}
