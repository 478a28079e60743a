/* SPDX-License-Identifier: MIT */
/* A bucket's prefix as a depot; see the header. Listings are believed only in order, each key once. */
#include "cache/depot_s3.h"

#include "core/base/file.h"
#include "core/base/workers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KEY_LIMIT = 512, PREFIX_LIMIT = 400, PAGE_LIMIT = 10000, EMPTY_PAGE_LIMIT = 16 };

/* What may be told, once. */
enum trouble {
    TROUBLE_LATER,
    TROUBLE_READ,  /* 403 for a get: not there, or not for us */
    TROUBLE_WRITE, /* 403 for a put or a drop */
    TROUBLE_LIST,
    TROUBLE_UNKNOWN,
    TROUBLE_BUCKET,
    TROUBLE_REFUSED,
    TROUBLE_ORDER,
    TROUBLE_KINDS,
};

struct depot_s3 {
    struct depot depot;
    struct s3 *s3;
    struct str prefix; /* "" or ends in a slash */
    bool writable;
    struct arena arena;
    struct guard *guard; /* of what follows */
    bool seen[TROUBLE_KINDS], told[TROUBLE_KINDS];
    char words[TROUBLE_KINDS][200];
};

static void note(struct depot_s3 *d, enum trouble kind, const char *words)
{
    guard_enter(d->guard);
    if (!d->seen[kind]) {
        d->seen[kind] = true;
        snprintf(d->words[kind], sizeof d->words[kind], "%s", words);
    }
    guard_leave(d->guard);
}

void depot_s3_tell(struct depot *base, struct diags *notes)
{
    static const struct {
        const char *code, *what, *help;
    } key_kinds[] = {
        [TROUBLE_LATER] = {"remote-later", "the remote cache does not answer as it should", NULL},
        [TROUBLE_READ] = {"remote-denied", "the remote cache may not be read",
                          "allow these keys s3:GetObject and s3:ListBucket, or use others"},
        [TROUBLE_WRITE] =
            {"remote-denied", "the remote cache may not be written",
             "allow s3:PutObject and s3:DeleteObject, or say 'cache { remote = \"read\" }'"},
        [TROUBLE_LIST] = {"remote-denied", "the remote cache may not be listed",
                          "allow s3:ListBucket"},
        [TROUBLE_UNKNOWN] = {"remote-keys", "the remote cache does not accept our keys",
                             "see which keys are used, and whether this machine's clock is right"},
        [TROUBLE_BUCKET] = {"remote-bucket", "the remote cache's bucket does not exist",
                            "make it, or name another one"},
        [TROUBLE_REFUSED] = {"remote-refused", "the remote cache refuses", NULL},
        [TROUBLE_ORDER] = {"remote-order", "the remote cache lists its keys out of order", NULL},
    };
    struct depot_s3 *d = (struct depot_s3 *)base;
    guard_enter(d->guard);
    for (size_t i = 0; i < TROUBLE_KINDS; i++) {
        if (d->seen[i] && !d->told[i]) {
            struct diag *w = diag_warning(notes, key_kinds[i].code, SPAN_NONE, "%s: %s",
                                          key_kinds[i].what, d->words[i]);
            if (key_kinds[i].help) {
                diag_help(notes, w, "%s", key_kinds[i].help);
            }
            d->told[i] = true;
        }
    }
    guard_leave(d->guard);
}

/* A key of ours as the bucket has it. The same keys are refused as in a folder. */
static bool key_name(const struct depot_s3 *d, struct str key, char *room, struct str *out)
{
    if (key.n == 0 || key.n >= KEY_LIMIT || key.s[0] == '/' || memchr(key.s, 0, key.n)
        || str_find(key, STR("..")) >= 0) {
        return false;
    }
    if (d->prefix.n) {
        memcpy(room, d->prefix.s, d->prefix.n);
    }
    memcpy(room + d->prefix.n, key.s, key.n);
    *out = (struct str){room, d->prefix.n + key.n};
    return true;
}

static enum depot_answer fail(struct depot_reply *reply, enum depot_answer answer, int error)
{
    reply->error = error;
    return answer;
}

/* What of S3's answers is the same for all operations; denied is what a 403 means for this one. */
static enum depot_answer answer_of(struct depot_s3 *d, const struct s3_reply *r,
                                   enum trouble denied, struct depot_reply *reply)
{
    reply->now_ms = r->now_ms;
    switch (r->end) {
    case S3_DONE: return DEPOT_DONE;
    case S3_ABSENT: return fail(reply, DEPOT_ABSENT, ENOENT);
    case S3_EXISTS: return fail(reply, DEPOT_EXISTS, EEXIST);
    case S3_STOPPED: return fail(reply, DEPOT_REFUSED, 0);
    case S3_DENIED:
        note(d, denied, r->trouble);
        return denied == TROUBLE_READ ? fail(reply, DEPOT_ABSENT, EACCES)
                                      : fail(reply, DEPOT_REFUSED, EACCES);
    case S3_UNKNOWN: note(d, TROUBLE_UNKNOWN, r->trouble); break;
    case S3_NO_BUCKET: note(d, TROUBLE_BUCKET, r->trouble); break;
    case S3_UNSUPPORTED: return fail(reply, DEPOT_REFUSED, ENOTSUP);
    case S3_REFUSED: note(d, TROUBLE_REFUSED, r->trouble); break;
    case S3_LATER: note(d, TROUBLE_LATER, r->trouble); return fail(reply, DEPOT_LATER, ETIMEDOUT);
    }
    return fail(reply, DEPOT_REFUSED, EACCES);
}

static enum depot_answer s3_depot_get(struct depot *base, struct str key, struct depot_range range,
                                      struct depot_sink sink, struct depot_reply *reply)
{
    struct depot_s3 *d = (struct depot_s3 *)base;
    char room[PREFIX_LIMIT + KEY_LIMIT];
    struct str name;
    struct s3_reply r;
    *reply = (struct depot_reply){0};
    if (!key_name(d, key, room, &name) || range.offset > INT64_MAX) {
        return fail(reply, DEPOT_REFUSED, EINVAL);
    }
    (void)s3_get(d->s3, name, range, sink, &r);
    return answer_of(d, &r, TROUBLE_READ, reply);
}

/* The place of what is to be changed; false: it may not be. */
static bool begin_change(struct depot_s3 *d, struct str key, char room[PREFIX_LIMIT + KEY_LIMIT],
                         struct str *name, struct depot_reply *reply)
{
    *reply = (struct depot_reply){0};
    if (!key_name(d, key, room, name) || !d->writable) {
        (void)fail(reply, DEPOT_REFUSED, d->writable ? EINVAL : EROFS);
        return false;
    }
    return true;
}

static enum depot_answer s3_depot_put(struct depot *base, struct str key,
                                      const struct depot_source *source, bool if_absent,
                                      struct depot_reply *reply)
{
    struct depot_s3 *d = (struct depot_s3 *)base;
    char room[PREFIX_LIMIT + KEY_LIMIT];
    struct str name;
    struct s3_reply r;
    if (!begin_change(d, key, room, &name, reply)) {
        return DEPOT_REFUSED;
    }
    (void)s3_put(d->s3, name, source, if_absent, &r);
    enum depot_answer answer = answer_of(d, &r, TROUBLE_WRITE, reply);
    if (answer == DEPOT_DONE) {
        /* Last-Modified is seldom told here; Date is no earlier, so a put that took long is seen. */
        reply->stored_ms = r.modified_ms ? r.modified_ms : r.now_ms;
    }
    return answer == DEPOT_ABSENT ? DEPOT_REFUSED : answer;
}

static enum depot_answer s3_depot_drop(struct depot *base, struct str key,
                                       struct depot_reply *reply)
{
    struct depot_s3 *d = (struct depot_s3 *)base;
    char room[PREFIX_LIMIT + KEY_LIMIT];
    struct str name;
    struct s3_reply r;
    if (!begin_change(d, key, room, &name, reply)) {
        return DEPOT_REFUSED;
    }
    (void)s3_delete(d->s3, name, &r);
    return answer_of(d, &r, TROUBLE_WRITE, reply);
}

/* ---- list ---- */

struct pages {
    struct depot_s3 *d;
    struct depot_each each;
    struct str prefix; /* as the bucket has it */
    struct buf last;   /* key, as the bucket has it */
    bool enough;
};

/* false: no listing of what was asked for. */
static bool tell_page(struct pages *p, const struct s3_listing *page)
{
    for (uint32_t i = 0; i < page->count && !p->enough; i++) {
        const struct s3_entry *e = &page->entries[i];
        if (!str_starts(e->key, p->prefix) || str_cmp(e->key, buf_str(&p->last)) <= 0) {
            return false;
        }
        buf_clear(&p->last);
        buf_put_str(&p->last, e->key);
        struct str key = str_tail(e->key, p->d->prefix.n);
        if (key.n) { /* the prefix itself may be there, as a folder that some tool made */
            struct depot_entry entry = {key, e->size, e->modified_ms};
            p->enough = !p->each.entry(p->each.context, &entry);
        }
    }
    return true;
}

static enum depot_answer list_pages(struct pages *p, struct arena *a, struct s3_query *query,
                                    struct depot_reply *reply)
{
    uint32_t empty = 0;
    for (uint32_t i = 0; i < PAGE_LIMIT && empty < EMPTY_PAGE_LIMIT; i++) {
        struct s3_reply r;
        struct s3_listing page;
        struct arena_mark mark = arena_mark(a);
        int64_t began_ns = time_boot_ns();
        (void)s3_list(p->d->s3, query, a, &page, &r);
        int64_t now_ms = reply->now_ms;
        enum depot_answer answer = answer_of(p->d, &r, TROUBLE_LIST, reply);
        /* Of when the list began: no later than the first answer less what it took. */
        int64_t took_ms = (time_boot_ns() - began_ns) / 1000000;
        reply->now_ms = i > 0 ? now_ms : r.now_ms ? r.now_ms - took_ms : 0;
        if (answer != DEPOT_DONE) {
            return answer == DEPOT_ABSENT ? DEPOT_REFUSED : answer;
        }
        if (!tell_page(p, &page)) {
            break;
        }
        if (p->enough || !page.truncated) {
            return DEPOT_DONE;
        }
        empty = page.count ? 0 : empty + 1;
        struct buf next;
        buf_init(&next, BUF_TEXT_LIMIT);
        buf_put_str(&next, page.next);
        arena_reset(a, mark);
        query->token = str_copy(a, buf_str(&next));
        query->after = STR_NONE;
        buf_free(&next);
    }
    note(p->d, TROUBLE_ORDER, "such a listing cannot be used");
    return fail(reply, DEPOT_LATER, EPROTO);
}

static enum depot_answer s3_depot_list(struct depot *base, struct str prefix, struct str after,
                                       struct depot_each each, struct depot_reply *reply)
{
    struct depot_s3 *d = (struct depot_s3 *)base;
    struct arena a = {0};
    struct pages p = {.d = d, .each = each};
    *reply = (struct depot_reply){0};
    if (prefix.n >= KEY_LIMIT || after.n >= KEY_LIMIT) {
        return fail(reply, DEPOT_REFUSED, EINVAL);
    }
    buf_init(&p.last, S3_KEY_LIMIT);
    p.prefix = str_join3(&a, d->prefix, prefix, STR(""));
    struct s3_query query = {.prefix = p.prefix};
    if (after.n) {
        query.after = str_join3(&a, d->prefix, after, STR(""));
        buf_put_str(&p.last, query.after);
    }
    enum depot_answer answer = list_pages(&p, &a, &query, reply);
    buf_free(&p.last);
    arena_free(&a);
    return answer;
}

static void s3_depot_close(struct depot *base)
{
    struct depot_s3 *d = (struct depot_s3 *)base;
    guard_close(d->guard);
    arena_free(&d->arena);
    mem_free(d);
}

static const struct depot_functions bucket_functions = {s3_depot_get, s3_depot_put, s3_depot_list,
                                                        s3_depot_drop, s3_depot_close};

struct depot *depot_s3_open(struct s3 *s, struct str prefix, bool writable)
{
    while (prefix.n && prefix.s[prefix.n - 1] == '/') {
        prefix.n--;
    }
    while (prefix.n && prefix.s[0] == '/') {
        prefix = str_tail(prefix, 1);
    }
    if (prefix.n >= PREFIX_LIMIT - 1) {
        return NULL;
    }
    struct depot_s3 *d = mem_alloc(sizeof *d);
    d->depot.f = &bucket_functions;
    d->s3 = s;
    d->prefix = prefix.n ? str_join3(&d->arena, prefix, STR("/"), STR("")) : STR("");
    d->writable = writable;
    d->guard = guard_open();
    return &d->depot;
}
