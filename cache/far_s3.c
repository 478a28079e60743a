/* SPDX-License-Identifier: MIT */
/* Keys are asked for by whichever thread signs; the guard keeps them one thread's at a time, across the asking, too:
 * the others could not sign before that anyway. */
#include "cache/far_s3.h"

#include "cache/credentials.h"
#include "cache/depot_s3.h"
#include "core/base/workers.h"

#include <string.h>
#include <unistd.h>

/* A server that is silent for so long will not speak in time to be of use to a build. */
enum { STALL_MS = 5000, ATTEMPTS = 3, DEADLINE_MS = 30000, PUT_DEADLINE_MS = 120000 };

struct far_s3 {
    struct arena arena;
    struct str prefix;
    bool writable;
    struct http *keys_http; /* for whoever gives keys; no certificates of the place's own */
    struct http *http;
    struct credentials *credentials;
    struct guard *guard;
    struct s3 *s3;
};

/* ---- keys ---- */

static bool fetch(void *context, struct arena *a, const struct credentials_request *request,
                  struct credentials_response *response)
{
    struct far_s3 *s = context;
    struct http_header *headers = ARENA_ARRAY(a, struct http_header, request->header_count + 1);
    for (uint32_t i = 0; i < request->header_count; i++) {
        headers[i] = (struct http_header){request->headers[i].name, request->headers[i].value};
    }
    struct str body = request->body;
    struct depot_source source = DEPOT_PARTS(&body, 1);
    struct http_job job = {.request = {.method = request->method,
                                       .url = request->url,
                                       .headers = headers,
                                       .header_count = request->header_count,
                                       .body = body.n ? &source : NULL,
                                       .direct = request->direct},
                           .body_limit = CREDENTIALS_ANSWER_LIMIT,
                           .deadline_ms =
                               request->timeout_ms * (request->attempts ? request->attempts : 1),
                           .attempts = request->attempts};
    bool ok = http_run(s->keys_http, &job, 1);
    if (ok) {
        response->status = job.answer.status;
        response->body = str_copy(a, buf_str(&job.answer.body));
    }
    http_job_free(&job);
    return ok;
}

static bool get_keys(void *context, struct arena *a, int64_t now_s, bool renew,
                     struct aws_keys *out, struct diags *d)
{
    struct far_s3 *s = context;
    struct aws_keys keys;
    guard_enter(s->guard);
    if (renew) {
        credentials_drop(s->credentials);
    }
    enum credentials_result result = credentials_get(s->credentials, now_s, &keys, d);
    bool ok = result == CREDENTIALS_FOUND;
    if (ok) {
        *out = (struct aws_keys){str_copy(a, keys.id), str_copy(a, keys.secret),
                                 str_copy(a, keys.token)};
    }
    guard_leave(s->guard);
    return ok;
}

/* ---- open ---- */

static enum s3_style style_of(const struct far_options *o, const struct credentials_place *place)
{
    if (o->path_style || place->style == CREDENTIALS_STYLE_PATH) {
        return S3_STYLE_PATH;
    }
    return place->style == CREDENTIALS_STYLE_VIRTUAL ? S3_STYLE_HOST : S3_STYLE_AUTO;
}

static bool open_s3(struct far_s3 *s, const struct far_options *o, struct diags *notes)
{
    struct credentials_settings settings = {.environment = (const char *const *)environ,
                                            .profile = o->profile,
                                            .region = o->region,
                                            .endpoint = o->endpoint,
                                            .style = o->path_style ? CREDENTIALS_STYLE_PATH
                                                                   : CREDENTIALS_STYLE_UNSAID,
                                            .fetch = fetch,
                                            .context = s};
    struct http_settings http = http_settings_default();
    s->keys_http = http_open(&http, notes);
    s->credentials = credentials_open(&settings, notes);
    const struct credentials_place *place = credentials_place(s->credentials);
    http.ca_bundle = place->ca_bundle;
    http.stall_ms = STALL_MS;
    http.attempts = ATTEMPTS;
    s->http = s->keys_http ? http_open(&http, notes) : NULL;
    struct str rest = str_tail(o->url, 5), bucket;
    str_cut(&rest, '/', &bucket);
    s->prefix = str_copy(&s->arena, rest);
    struct s3_settings wanted = {.where = {.endpoint = place->endpoint,
                                           .region = place->region,
                                           .bucket = bucket,
                                           .style = style_of(o, place)},
                                 .keys = {get_keys, s},
                                 .deadline_ms = DEADLINE_MS,
                                 .put_deadline_ms = PUT_DEADLINE_MS};
    s->s3 = s->http ? s3_open(s->http, &wanted, notes) : NULL;
    return s->s3 != NULL;
}

struct far_s3 *far_s3_open(const struct far_options *o, struct diags *notes)
{
    struct far_s3 *s = mem_alloc(sizeof *s);
    s->guard = guard_open();
    s->writable = o->write && !o->asking;
    if (!open_s3(s, o, notes)) {
        far_s3_close(s);
        return NULL;
    }
    return s;
}

void far_s3_close(struct far_s3 *s)
{
    if (!s) {
        return;
    }
    s3_close(s->s3);
    if (s->http) {
        http_close(s->http);
    }
    credentials_close(s->credentials);
    if (s->keys_http) {
        http_close(s->keys_http);
    }
    guard_close(s->guard);
    arena_free(&s->arena);
    mem_free(s);
}

int64_t far_s3_quiet_ms(const struct far_s3 *s)
{
    return http_quiet_ms(s->http);
}

struct depot *far_s3_depot(struct far_s3 *s, struct diags *notes)
{
    struct depot *d = depot_s3_open(s->s3, s->prefix, s->writable);
    if (!d) {
        diag_warning(notes, "remote-unusable", SPAN_NONE, "its prefix is too long");
    }
    return d;
}
