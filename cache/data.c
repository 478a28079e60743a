/* SPDX-License-Identifier: MIT */
/* Asking which versions lie in a bucket. A LIST only saves requests: a key that it does not bring is asked for by
 * itself, so nothing hangs on its order, or on being allowed to list. */
#include "cache/data.h"

#include "cache/data_inside.h"
#include "cache/s3_keys.h"
#include "core/base/workers.h"

#include <stdlib.h>
#include <string.h>

enum {
    ASK_STALL_MS = 5000,
    ASK_ATTEMPTS = 3,
    ASK_DEADLINE_MS = 20000,
    FETCH_STALL_MS = 15000,
    FETCH_DEADLINE_MS = 600000,
    HEADS_AT_ONCE = 32,
    LIST_LEAST = 3,   /* fewer keys are asked for one by one */
    WASTED_LIMIT = 8, /* pages that brought next to nothing */
    EMPTY_LIMIT = 8,
};

/* ---- the bucket ---- */

/* The environment without what holds for the remote cache alone. */
static const char *const *own_environment(struct arena *a, const struct data_options *o)
{
    size_t n = 0;
    while (o->environment && o->environment[n]) {
        n++;
    }
    const char **kept = ARENA_ARRAY(a, const char *, n + 1);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (o->remote || strncmp(o->environment[i], "PAWL_REMOTE", 11) != 0) {
            kept[count++] = o->environment[i];
        }
    }
    return kept;
}

static enum s3_style style_of(const struct credentials_place *place)
{
    switch (place->style) {
    case CREDENTIALS_STYLE_PATH: return S3_STYLE_PATH;
    case CREDENTIALS_STYLE_VIRTUAL: return S3_STYLE_HOST;
    case CREDENTIALS_STYLE_UNSAID: break;
    }
    return S3_STYLE_AUTO;
}

static bool is_stopped(struct data_bucket *b)
{
    guard_enter(b->guard);
    bool stopped = b->stopped;
    guard_leave(b->guard);
    return stopped;
}

void data_stop(struct data_bucket *b)
{
    if (b) {
        guard_enter(b->guard);
        b->stopped = true;
        guard_leave(b->guard);
    }
}

/* Before each attempt; without keys it is none. */
static bool get_keys(void *context, struct arena *a, int64_t now_s, bool renew,
                     struct aws_keys *out, struct diags *d)
{
    struct data_bucket *b = context;
    return !is_stopped(b) && b->keys.get(b->keys.context, a, now_s, renew, out, d);
}

static bool open_both(struct data_bucket *b, struct diags *notes)
{
    const struct credentials_place *place = s3_wallet_place(b->wallet);
    struct http_settings http = http_settings_default();
    b->keys_http = http_open(&http, notes);
    http.ca_bundle = place->ca_bundle;
    http.stall_ms = FETCH_STALL_MS;
    b->fetch_http = b->keys_http ? http_open(&http, notes) : NULL;
    http.stall_ms = ASK_STALL_MS;
    http.attempts = ASK_ATTEMPTS;
    b->ask_http = b->fetch_http ? http_open(&http, notes) : NULL;
    if (!b->ask_http) {
        return false;
    }
    s3_wallet_use(b->wallet, b->keys_http);
    struct s3_settings s = {.where = {.endpoint = place->endpoint,
                                      .region = place->region,
                                      .bucket = b->bucket,
                                      .style = style_of(place)},
                            .keys = {get_keys, b},
                            .deadline_ms = ASK_DEADLINE_MS};
    b->ask = s3_open(b->ask_http, &s, notes);
    s.deadline_ms = FETCH_DEADLINE_MS;
    b->fetch = b->ask ? s3_open(b->fetch_http, &s, notes) : NULL;
    return b->fetch != NULL;
}

struct data_bucket *data_open(const struct data_options *o, struct diags *notes)
{
    struct data_bucket *b = mem_alloc(sizeof *b);
    b->bucket = str_copy(&b->arena, o->bucket);
    struct credentials_settings settings = {.environment = own_environment(&b->arena, o),
                                            .profile = str_copy(&b->arena, o->profile),
                                            .region = str_copy(&b->arena, o->region),
                                            .endpoint = str_copy(&b->arena, o->endpoint),
                                            .style = o->path_style ? CREDENTIALS_STYLE_PATH
                                                                   : CREDENTIALS_STYLE_UNSAID};
    b->guard = guard_open();
    b->wallet = s3_wallet_open(&settings, notes);
    b->keys = s3_wallet_keys(b->wallet);
    if (!open_both(b, notes)) {
        data_close(b);
        return NULL;
    }
    return b;
}

void data_close(struct data_bucket *b)
{
    if (b) {
        s3_close(b->ask);
        s3_close(b->fetch);
        http_close(b->ask_http);
        http_close(b->fetch_http);
        s3_wallet_close(b->wallet);
        http_close(b->keys_http);
        guard_close(b->guard);
        arena_free(&b->arena);
        mem_free(b);
    }
}

/* ---- answers ---- */

struct asking {
    struct data_bucket *bucket;
    struct arena *arena;
    uint32_t wasted; /* pages */
    bool down;       /* nobody answers: trouble and help say why */
    struct str trouble, help;
};

static struct str unquoted(struct str etag)
{
    if (str_starts(etag, STR("W/"))) {
        etag = str_tail(etag, 2);
    }
    if (etag.n >= 2 && etag.s[0] == '"' && etag.s[etag.n - 1] == '"') {
        etag = str_sub(etag, 1, etag.n - 2);
    }
    return etag;
}

struct str data_etag(struct arena *a, struct str etag)
{
    return str_copy(a, unquoted(etag));
}

const char *data_help(enum s3_end end)
{
    switch (end) {
    case S3_DENIED:
        return "see which keys are used, and whether they may s3:GetObject and s3:ListBucket";
    case S3_UNKNOWN:
        return "see which keys are used (environment, ~/.aws), and whether the clock is right";
    case S3_LATER: return "see whether the server can be reached, and try again";
    case S3_DONE:
    case S3_ABSENT:
    case S3_NO_BUCKET:
    case S3_EXISTS:
    case S3_UNSUPPORTED:
    case S3_REFUSED:
    case S3_STOPPED: break;
    }
    return "see whether endpoint and region are the right ones";
}

static void set_words(struct data_want *w, const char *trouble, const char *help)
{
    w->state = DATA_TROUBLE;
    w->trouble = str_from(trouble);
    w->help = str_from(help);
}

static void set_trouble(struct asking *q, struct data_want *w, const struct s3_reply *reply)
{
    w->state = DATA_TROUBLE;
    w->trouble = str_copy(q->arena, str_from(reply->trouble));
    w->help = str_from(data_help(reply->end));
    if (reply->end == S3_LATER || reply->end == S3_UNKNOWN) {
        q->down = true;
        q->trouble = w->trouble;
        q->help = w->help;
    }
}

/* The same for all others: nobody waits for a silent server once for each input. */
static bool is_down(const struct asking *q, struct data_want *w)
{
    if (q->down) {
        w->state = DATA_TROUBLE;
        w->trouble = q->trouble;
        w->help = q->help;
    }
    return q->down;
}

static void set_here(struct asking *q, struct data_want *w, struct str etag, uint64_t size)
{
    etag = data_etag(q->arena, etag);
    if (etag.n == 0) {
        set_words(w, "the server tells no ETag", "such an object has no version to go by");
        return;
    }
    w->objects = ARENA_NEW(q->arena, struct data_object);
    w->objects[0] = (struct data_object){w->key, etag, size};
    w->count = 1;
    w->state = DATA_HERE;
}

static bool is_prefix(struct str key)
{
    return key.n == 0 || str_ends(key, STR("/"));
}

/* ---- a prefix ---- */

struct below {
    VEC(struct data_object) objects;
};

/* false with the trouble set: no listing of what was asked for. */
static bool add_page(struct asking *q, struct data_want *w, const struct s3_listing *page,
                     struct str *last, struct below *found)
{
    for (uint32_t i = 0; i < page->count; i++) {
        const struct s3_entry *e = &page->entries[i];
        if (!str_starts(e->key, w->key) || (last->s && str_cmp(e->key, *last) <= 0)) {
            set_words(w, "the server lists its keys out of order", "name the objects one by one");
            return false;
        }
        *last = str_copy(q->arena, e->key);
        if (e->size == 0 && str_ends(e->key, STR("/"))) {
            continue; /* a folder that some tool made */
        }
        if (unquoted(e->etag).n == 0) {
            set_words(w, "the server tells no ETag", "such objects have no version to go by");
            return false;
        }
        if (found->objects.n >= DATA_OBJECTS_LIMIT) {
            set_words(w, "more than 100000 objects lie below it", "name a longer prefix");
            return false;
        }
        *VEC_PUSH(q->arena, &found->objects) =
            (struct data_object){*last, data_etag(q->arena, e->etag), e->size};
    }
    return true;
}

static void ask_prefix(struct asking *q, struct data_want *w)
{
    struct below found = {0};
    struct str token = STR(""), last = STR_NONE;
    uint32_t empty = 0;
    bool more = true;
    w->state = DATA_TROUBLE;
    while (more) {
        struct arena scratch = {0};
        struct s3_listing page;
        struct s3_reply reply;
        struct s3_query query = {.prefix = w->key, .token = token};
        bool ok = s3_list(q->bucket->ask, &query, &scratch, &page, &reply) == S3_DONE;
        if (!ok && reply.end != S3_NO_BUCKET && reply.end != S3_ABSENT) {
            set_trouble(q, w, &reply);
        } else if (!ok) {
            w->state = DATA_ABSENT;
            w->no_bucket = reply.end == S3_NO_BUCKET;
        }
        ok = ok && add_page(q, w, &page, &last, &found);
        empty += ok && page.count == 0;
        if (empty > EMPTY_LIMIT) {
            set_words(w, "the server lists without an end", "name the objects one by one");
            ok = false;
        }
        more = ok && page.truncated;
        token = more ? str_copy(q->arena, page.next) : STR("");
        arena_free(&scratch);
        if (!ok) {
            return;
        }
    }
    w->state = found.objects.n ? DATA_HERE : DATA_ABSENT;
    w->objects = found.objects.at;
    w->count = found.objects.n;
}

/* The first object whose key is not before this one. */
static uint32_t lower_bound(const struct data_want *all, struct str key)
{
    uint32_t from = 0, to = all->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (str_cmp(all->objects[middle].key, key) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

/* w lies below what was listed. false: the listing does not say (an object that looks like a folder). */
static bool answer_from(const struct data_want *listed, struct data_want *w)
{
    uint32_t first = lower_bound(listed, w->key), end = first;
    bool all = is_prefix(w->key);
    while (end < listed->count
           && (all ? str_starts(listed->objects[end].key, w->key)
                   : str_eq(listed->objects[end].key, w->key))) {
        end++;
    }
    w->objects = listed->objects + first;
    w->count = end - first;
    w->state = w->count ? DATA_HERE : DATA_ABSENT;
    return w->count > 0 && w->objects[0].etag.n > 0;
}

/* ---- single keys ---- */

/* What a HEAD is answered with has no words, and says nothing of the bucket. */
static void ask_bucket(struct asking *q, struct data_want *const *wants, uint32_t count)
{
    struct arena scratch = {0};
    struct s3_listing page;
    struct s3_reply reply;
    struct s3_query query = {.limit = 1};
    bool any = false;
    for (uint32_t i = 0; i < count && !any; i++) {
        query.prefix = wants[i]->key;
        any = wants[i]->state == DATA_ABSENT;
    }
    if (any && s3_list(q->bucket->ask, &query, &scratch, &page, &reply) == S3_NO_BUCKET) {
        for (uint32_t i = 0; i < count; i++) {
            wants[i]->no_bucket = wants[i]->state == DATA_ABSENT;
        }
    }
    arena_free(&scratch);
}

static void ask_heads(struct asking *q, struct data_want *const *wants, uint32_t count)
{
    struct s3_want heads[HEADS_AT_ONCE];
    for (uint32_t i = 0; i < count; i += HEADS_AT_ONCE) {
        uint32_t n = count - i < HEADS_AT_ONCE ? count - i : HEADS_AT_ONCE;
        memset(heads, 0, sizeof heads);
        for (uint32_t k = 0; k < n; k++) {
            heads[k].key = wants[i + k]->key;
        }
        if (!q->down) {
            (void)s3_head_all(q->bucket->ask, heads, n);
        }
        bool was_down = q->down;
        for (uint32_t k = 0; k < n; k++) {
            struct data_want *w = wants[i + k];
            const struct s3_reply *reply = &heads[k].reply;
            if (was_down) {
                (void)is_down(q, w);
            } else if (reply->end == S3_DONE) {
                set_here(q, w, str_from(reply->etag), reply->size);
            } else if (reply->end == S3_ABSENT || reply->end == S3_NO_BUCKET) {
                w->state = DATA_ABSENT;
            } else {
                set_trouble(q, w, reply);
            }
        }
    }
    ask_bucket(q, wants, count);
}

/* Keys in order, of which some are still to be asked for. */
struct singles {
    struct asking *q;
    struct data_want **wants;
    struct data_want **left; /* to be asked for one by one */
    uint32_t left_count;
};

static struct str common_prefix(struct str x, struct str y)
{
    size_t n = 0;
    while (n < x.n && n < y.n && x.s[n] == y.s[n]) {
        n++;
    }
    while (n > 0 && n < x.n && ((unsigned char)x.s[n] & 0xc0u) == 0x80) {
        n--; /* not within a character */
    }
    return str_sub(x, 0, n);
}

/* Answers those of [from, to) that the page is about; the first that it is not about. *found: how many it has. */
static uint32_t take_page(struct singles *x, const struct s3_listing *page, uint32_t from,
                          uint32_t to, uint32_t *found)
{
    uint32_t at = 0;
    *found = 0;
    for (; from < to; from++) {
        struct data_want *w = x->wants[from];
        while (at < page->count && str_cmp(page->entries[at].key, w->key) < 0) {
            at++;
        }
        if (at == page->count && page->truncated) {
            return from;
        }
        if (at < page->count && str_eq(page->entries[at].key, w->key)) {
            set_here(x->q, w, page->entries[at].etag, page->entries[at].size);
            ++*found;
        } else {
            x->left[x->left_count++] = w;
        }
    }
    return to;
}

/* Those of [from, to) that share the first one's next folder behind a prefix of n bytes. */
static uint32_t end_of_folder(const struct singles *x, uint32_t from, uint32_t to, size_t n)
{
    struct str key = x->wants[from]->key;
    while (n < key.n && key.s[n] != '/') {
        n++;
    }
    if (n == key.n) {
        return from + 1;
    }
    struct str folder = str_sub(key, 0, n + 1);
    while (from < to && str_starts(x->wants[from]->key, folder)) {
        from++;
    }
    return from;
}

static void leave(struct singles *x, uint32_t from, uint32_t to)
{
    for (; from < to; from++) {
        x->left[x->left_count++] = x->wants[from];
    }
}

/* One page of [from, to) from the key `last` on; the first key that it does not answer. */
static uint32_t ask_page(struct singles *x, uint32_t from, uint32_t to, struct str *last,
                         bool *wasted)
{
    struct asking *q = x->q;
    struct arena scratch = {0};
    struct s3_listing page;
    struct s3_reply reply;
    uint32_t found = 0;
    struct s3_query query = {.prefix = common_prefix(x->wants[from]->key, x->wants[to - 1]->key),
                             .after = *last};
    if (s3_list(q->bucket->ask, &query, &scratch, &page, &reply) == S3_DONE && page.count) {
        from = take_page(x, &page, from, to, &found);
        *last = str_copy(q->arena, page.entries[page.count - 1].key);
    } else {
        q->wasted = WASTED_LIMIT; /* it may not be listed, or is not there */
    }
    *wasted = found < 2;
    q->wasted += *wasted;
    arena_free(&scratch);
    return from;
}

static void ask_range(struct singles *x, uint32_t from, uint32_t to)
{
    struct str last = STR("");
    while (to - from >= LIST_LEAST && x->q->wasted < WASTED_LIMIT) {
        bool wasted;
        from = ask_page(x, from, to, &last, &wasted);
        if (wasted && from < to) {
            size_t n = common_prefix(x->wants[from]->key, x->wants[to - 1]->key).n;
            uint32_t end = end_of_folder(x, from, to, n);
            if (end < to) {
                ask_range(x, from, end);
                from = end;
                last = STR("");
            }
        }
    }
    leave(x, from, to);
}

static void ask_singles(struct asking *q, struct data_want **wants, uint32_t count)
{
    struct singles x = {.q = q, .wants = wants};
    x.left = ARENA_ARRAY(q->arena, struct data_want *, count + 1);
    ask_range(&x, 0, count);
    ask_heads(q, x.left, x.left_count);
}

/* ---- all of them ---- */

static int by_key(const void *x, const void *y)
{
    return str_cmp(((const struct data_want *)x)->key, ((const struct data_want *)y)->key);
}

void data_ask(struct data_bucket *b, struct data_want *wants, uint32_t count, struct arena *a)
{
    struct asking q = {.bucket = b, .arena = a};
    struct data_want **singles = ARENA_ARRAY(a, struct data_want *, count + 1);
    const struct data_want *listed = NULL;
    uint32_t n = 0;
    qsort(wants, count, sizeof *wants, by_key);
    for (uint32_t i = 0; i < count; i++) {
        struct data_want *w = &wants[i];
        bool below = listed && str_starts(w->key, listed->key);
        if (below && answer_from(listed, w)) {
            continue;
        }
        if (!is_prefix(w->key)) {
            singles[n++] = w;
        } else if (!below && !is_down(&q, w)) {
            ask_prefix(&q, w);
            listed = w->state == DATA_HERE ? w : NULL;
        }
    }
    ask_singles(&q, singles, n);
}
