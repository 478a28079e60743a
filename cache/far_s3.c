/* SPDX-License-Identifier: MIT */
/* Transport, keys and address, put together. Keys are asked for by whichever thread signs first. */
#include "cache/far_s3.h"

#include "cache/depot_s3.h"
#include "cache/s3_keys.h"
#include "core/base/file.h"

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
    struct s3_settings settings; /* texts are the wallet's and the arena's */
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
    struct str rest = str_tail(o->url, 5), bucket = {0};
    str_cut(&rest, '/', &bucket);
    while (rest.n && rest.s[rest.n - 1] == '/') {
        rest.n--;
    }
    while (rest.n && rest.s[0] == '/') {
        rest = str_tail(rest, 1);
    }
    s->prefix = str_copy(&s->arena, rest);
    s->settings = (struct s3_settings){.where = {.endpoint = place->endpoint,
                                                 .region = place->region,
                                                 .bucket = str_copy(&s->arena, bucket),
                                                 .style = style_of(o, place)},
                                       .keys = s3_wallet_keys(s->wallet),
                                       .deadline_ms = DEADLINE_MS,
                                       .put_deadline_ms = PUT_DEADLINE_MS};
    s->s3 = s->http ? s3_open(s->http, &s->settings, notes) : NULL;
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

/* ---- what it does ---- */

enum { PART_FROM = 1000, PART_BYTES = 100, WHOLE_BYTES = 4000 };
#define OLD_MS (20 * INT64_C(60000)) /* a server is to refuse what is older than 15 minutes */

struct part {
    char bytes[WHOLE_BYTES];
    size_t n;
};

static bool take_part(void *context, const void *bytes, size_t n)
{
    struct part *p = context;
    bool fits = n <= sizeof p->bytes - p->n;
    if (fits) {
        memcpy(p->bytes + p->n, bytes, n);
        p->n += n;
    }
    return fits;
}

static enum far_said ask_for_part(struct far_s3 *s, struct str key,
                                  const struct depot_source *whole)
{
    struct s3_reply reply;
    struct part part = {.n = 0};
    if (s3_put(s->s3, key, whole, false, &reply) != S3_DONE) {
        return FAR_SAID_NOTHING;
    }
    struct depot_range range = {PART_FROM, PART_BYTES};
    enum s3_end end = s3_get(s->s3, key, range, (struct depot_sink){take_part, &part}, &reply);
    bool right =
        part.n == PART_BYTES && memcmp(part.bytes, whole->parts[0].s + PART_FROM, PART_BYTES) == 0;
    return end == S3_DONE && right && reply.status == 206 ? FAR_SAID_YES : FAR_SAID_NO;
}

static enum far_said ask_with_old_date(struct far_s3 *s, struct str key,
                                       const struct depot_source *source)
{
    struct arena scratch = {0};
    struct diags unheard;
    struct s3_reply reply;
    diags_init(&unheard, &scratch);
    struct s3_settings old = s->settings;
    old.ahead_ms = s3_now_ms(s->s3) - time_now_ns() / 1000000 - OLD_MS;
    old.stiff = true;
    struct s3 *s3 = s3_open(s->http, &old, &unheard);
    enum s3_end end = s3 ? s3_put(s3, key, source, false, &reply) : S3_LATER;
    s3_close(s3);
    arena_free(&scratch);
    return end == S3_DONE ? FAR_SAID_NO : end == S3_UNKNOWN ? FAR_SAID_YES : FAR_SAID_NOTHING;
}

static enum far_said said(bool asked, bool yes)
{
    return !asked ? FAR_SAID_NOTHING : yes ? FAR_SAID_YES : FAR_SAID_NO;
}

static void ask_bucket(struct far_s3 *s, struct far_s3_said *out)
{
    struct arena a = {0};
    struct str text;
    struct s3_reply reply;
    bool yes = false;
    bool asked = s3_ask(s->s3, "versioning", &a, &text, &reply) == S3_DONE
                 && s3_xml_read_versioning(&a, text, &yes);
    out->keeps_versions = said(asked, yes);
    struct str ours = s->prefix.n ? str_join3(&a, s->prefix, STR("/"), STR("")) : s->prefix;
    enum s3_end end = s3_ask(s->s3, "lifecycle", &a, &text, &reply);
    yes = false;
    asked = end == S3_ABSENT || (end == S3_DONE && s3_xml_read_lifecycle(&a, text, ours, &yes));
    out->expires = said(asked, yes);
    arena_free(&a);
}

void far_s3_ask(struct far_s3 *s, struct str name, struct far_s3_said *out)
{
    struct arena a = {0};
    struct s3_reply reply;
    char bytes[WHOLE_BYTES];
    struct str part = {bytes, sizeof bytes};
    struct depot_source source = DEPOT_PARTS(&part, 1);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i % 251);
    }
    struct str key = s->prefix.n ? str_join3(&a, s->prefix, STR("/"), name) : name;
    *out = (struct far_s3_said){0};
    if (s->writable) {
        out->sends_parts = ask_for_part(s, key, &source);
        out->refuses_old = out->sends_parts ? ask_with_old_date(s, key, &source) : FAR_SAID_NOTHING;
        (void)s3_delete(s->s3, key, &reply);
    }
    ask_bucket(s, out);
    arena_free(&a);
}
