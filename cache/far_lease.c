/* SPDX-License-Identifier: MIT */
/* Ages are differences of the place's own times. Whether the place tells who was first is asked once and remembered
 * for some days beside the copies: some servers do not know If-None-Match, and some take no notice of it. */
#include "cache/far_lease.h"

#include "core/base/file.h"
#include "core/base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LEASE_KEY = 96, MEMORY_LIMIT = 4096, NUMBER_DIGITS = 18 };
#define NUMBER_LIMIT UINT64_C(999999999999999999)
#define REMEMBERED_MS (7 * MANIFEST_DAY_MS)     /* that it can */
#define REMEMBERED_NOT_MS (1 * MANIFEST_DAY_MS) /* that it cannot: servers are made better */

enum ability { UNKNOWN, ABLE, UNABLE };

struct far_leases {
    struct arena arena;
    struct far_place *place; /* NULL: over a depot that is not ours */
    struct depot *depot;
    struct str host;
    struct manifest_world world;
    enum ability ability;
};

static struct far_leases *open_over(struct depot *d, struct str host, struct manifest_world world)
{
    struct far_leases *x = mem_alloc(sizeof *x);
    x->depot = d;
    x->host = str_copy(&x->arena, str_sub(host, 0, FAR_LEASE_HOST - 1));
    x->world = world;
    return x;
}

struct far_leases *far_leases_over(struct depot *d, struct str host, struct manifest_world world)
{
    return open_over(d, host, world);
}

struct far_leases *far_leases_open(struct far_place *p, struct str host)
{
    struct arena scratch = {0};
    struct diags unheard; /* whoever asks for results tells */
    diags_init(&unheard, &scratch);
    struct depot *d = far_depot_open(p, -1, &unheard);
    arena_free(&scratch);
    if (!d) {
        return NULL;
    }
    far_depot_bear(d);
    struct far_leases *x = open_over(d, host, manifest_world_real());
    x->place = p;
    return x;
}

void far_leases_close(struct far_leases *x)
{
    if (!x) {
        return;
    }
    if (x->place) {
        depot_close(x->depot);
    }
    arena_free(&x->arena);
    mem_free(x);
}

/* ---- keys ---- */

static struct str prefix_of(const struct digest *fingerprint, char out[static LEASE_KEY])
{
    struct buf b;
    buf_init(&b, LEASE_KEY);
    digest_put_hex(&b, fingerprint);
    int n = snprintf(out, LEASE_KEY, "l/%.*s/", STR_ARG(buf_str(&b)));
    buf_free(&b);
    return (struct str){out, (size_t)n};
}

static struct str key_of(const struct digest *fingerprint, uint64_t number,
                         char out[static LEASE_KEY])
{
    size_t n = prefix_of(fingerprint, out).n;
    n += (size_t)snprintf(out + n, LEASE_KEY - n, "%" PRIu64, number);
    return (struct str){out, n};
}

static uint64_t number_of(struct str digits)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.n > NUMBER_DIGITS || digits.s[i] < '0' || digits.s[i] > '9') {
            return 0; /* not ours */
        }
        number = 10 * number + (uint64_t)(digits.s[i] - '0');
    }
    return number;
}

static enum depot_answer put(struct far_leases *x, const struct digest *fingerprint,
                             uint64_t number, bool if_absent, struct depot_reply *reply)
{
    char key[LEASE_KEY];
    struct depot_source source = DEPOT_PARTS(&x->host, 1);
    return depot_put(x->depot, key_of(fingerprint, number, key), &source, if_absent, reply);
}

/* ---- what the place can do ---- */

static bool memory_path(const struct far_leases *x, struct arena *a, struct str *out)
{
    const struct far_options *o = x->place ? far_place_options(x->place) : NULL;
    if (!o || o->near_dir.n == 0) {
        return false;
    }
    struct str folder = path_join(a, o->near_dir, far_place_folder(x->place));
    *out = path_join(a, folder, STR("leases"));
    return true;
}

static void recall(struct far_leases *x)
{
    struct arena a = {0};
    struct diags unheard;
    struct str path, text;
    diags_init(&unheard, &a);
    const struct json *j =
        memory_path(x, &a, &path) && file_read_quiet(&a, FILE_CWD, path, MEMORY_LIMIT, &text)
            ? json_parse(&a, text, 0, &unheard)
            : NULL;
    const struct json *able = j ? json_member(j, STR("able")) : NULL;
    const struct json *asked = j ? json_member(j, STR("asked_ms")) : NULL;
    if (able && able->kind == JSON_BOOL && asked && asked->kind == JSON_INT) {
        int64_t age = x->world.now_ms(x->world.context) - asked->integer;
        if (age >= 0 && age < (able->boolean ? REMEMBERED_MS : REMEMBERED_NOT_MS)) {
            x->ability = able->boolean ? ABLE : UNABLE;
        }
    }
    arena_free(&a);
}

static void remember(const struct far_leases *x)
{
    struct arena a = {0};
    struct str path;
    if (memory_path(x, &a, &path) && file_make_parents(FILE_CWD, path, 0700)) {
        int64_t now_ms = x->world.now_ms(x->world.context);
        struct str text = str_printf(&a, "{\"able\":%s,\"asked_ms\":%" PRId64 "}\n",
                                     x->ability == ABLE ? "true" : "false", now_ms);
        (void)!file_write(FILE_CWD, path, text, 0600, false);
    }
    arena_free(&a);
}

/* Two puts of one key that nobody else has: the first must be done, the second must find it there. */
static enum ability probe(struct far_leases *x, bool *sure)
{
    struct depot_reply reply;
    struct digest nobody;
    char key[LEASE_KEY];
    for (size_t i = 0; i < sizeof nobody.b; i += sizeof(uint64_t)) {
        uint64_t r = x->world.random(x->world.context);
        memcpy(nobody.b + i, &r, sizeof r);
    }
    enum depot_answer first = put(x, &nobody, 1, true, &reply);
    *sure = first == DEPOT_REFUSED && reply.error == ENOTSUP;
    if (first != DEPOT_DONE) {
        return UNABLE;
    }
    enum depot_answer second = put(x, &nobody, 1, true, &reply);
    *sure = second == DEPOT_EXISTS || second == DEPOT_DONE;
    (void)depot_drop(x->depot, key_of(&nobody, 1, key), &reply);
    return second == DEPOT_EXISTS ? ABLE : UNABLE;
}

bool far_leases_can(struct far_leases *x)
{
    if (x->ability == UNKNOWN) {
        recall(x);
    }
    if (x->ability == UNKNOWN) {
        bool sure;
        x->ability = probe(x, &sure);
        if (sure) {
            remember(x);
        }
    }
    return x->ability == ABLE;
}

/* ---- looking ---- */

struct highest {
    size_t prefix;
    uint64_t number;
    int64_t stored_ms;
};

static bool note_highest(void *context, const struct depot_entry *e)
{
    struct highest *h = context;
    uint64_t number = number_of(str_tail(e->key, h->prefix));
    if (number > h->number) {
        h->number = number;
        h->stored_ms = e->stored_ms;
    }
    return true;
}

static bool take_host(void *context, const void *bytes, size_t n)
{
    struct buf *b = context;
    buf_put(b, bytes, n);
    return !b->full;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.'
           || c == '-' || c == '_';
}

/* Whoever may write there chose these bytes. */
static void read_host(struct far_leases *x, struct far_lease *l)
{
    char key[LEASE_KEY];
    struct buf b;
    struct depot_reply reply;
    buf_init(&b, FAR_LEASE_HOST);
    struct depot_sink sink = {take_host, &b};
    (void)depot_get(x->depot, key_of(&l->fingerprint, l->seen, key),
                    (struct depot_range){0, FAR_LEASE_HOST - 1}, sink, &reply);
    size_t n = 0;
    for (size_t i = 0; i < b.n && n < FAR_LEASE_HOST - 1; i++) {
        l->host[n++] = is_host_char(b.s[i]) ? b.s[i] : '?';
    }
    l->host[n] = 0;
    buf_free(&b);
}

static enum far_lease_answer put_next(struct far_leases *x, struct far_lease *l, uint64_t highest)
{
    struct depot_reply reply;
    if (highest >= NUMBER_LIMIT) {
        return FAR_LEASE_NONE;
    }
    switch (put(x, &l->fingerprint, highest + 1, true, &reply)) {
    case DEPOT_DONE: l->number = highest + 1; return FAR_LEASE_OURS;
    case DEPOT_EXISTS: l->seen = highest + 1; return FAR_LEASE_THEIRS;
    case DEPOT_ABSENT:
    case DEPOT_REFUSED:
    case DEPOT_LATER: break;
    }
    return FAR_LEASE_NONE;
}

enum far_lease_answer far_lease_take(struct far_leases *x, struct far_lease *l, bool after)
{
    char prefix[LEASE_KEY];
    struct depot_reply reply;
    if (!far_leases_can(x)) {
        return FAR_LEASE_NONE;
    }
    struct str below = prefix_of(&l->fingerprint, prefix);
    struct highest h = {.prefix = below.n};
    if (depot_list(x->depot, below, STR(""), (struct depot_each){note_highest, &h}, &reply)
            != DEPOT_DONE
        || reply.now_ms == 0) {
        return FAR_LEASE_NONE;
    }
    if (h.number == 0 && after) {
        return FAR_LEASE_GONE;
    }
    uint64_t seen = l->seen;
    bool stale = reply.now_ms - h.stored_ms > FAR_LEASE_STALE_MS;
    l->seen = h.number;
    enum far_lease_answer answer =
        h.number == 0 || stale ? put_next(x, l, h.number) : FAR_LEASE_THEIRS;
    if (answer == FAR_LEASE_THEIRS && l->seen != seen) {
        read_host(x, l);
    }
    return answer;
}

void far_lease_renew(struct far_leases *x, const struct far_lease *l)
{
    struct depot_reply reply;
    (void)put(x, &l->fingerprint, l->number, false, &reply);
}

void far_lease_drop(struct far_leases *x, struct far_lease *l)
{
    char key[LEASE_KEY];
    struct depot_reply reply;
    (void)depot_drop(x->depot, key_of(&l->fingerprint, l->number, key), &reply);
    l->number = 0;
}
