/* SPDX-License-Identifier: MIT */
/* Transport, keys and address, put together. Keys are asked for by whichever thread signs first. */
#include "cache/far_s3.h"

#include "cache/depot_s3.h"
#include "cache/s3_keys.h"

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
    struct s3_wallet *wallet;
    struct s3 *s3;
};

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
                                                                   : CREDENTIALS_STYLE_UNSAID};
    struct http_settings http = http_settings_default();
    s->keys_http = http_open(&http, notes);
    s->wallet = s3_wallet_open(&settings, notes);
    s3_wallet_use(s->wallet, s->keys_http);
    const struct credentials_place *place = s3_wallet_place(s->wallet);
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
                                 .keys = s3_wallet_keys(s->wallet),
                                 .deadline_ms = DEADLINE_MS,
                                 .put_deadline_ms = PUT_DEADLINE_MS};
    s->s3 = s->http ? s3_open(s->http, &wanted, notes) : NULL;
    return s->s3 != NULL;
}

struct far_s3 *far_s3_open(const struct far_options *o, struct diags *notes)
{
    struct far_s3 *s = mem_alloc(sizeof *s);
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
    s3_wallet_close(s->wallet);
    if (s->keys_http) {
        http_close(s->keys_http);
    }
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
