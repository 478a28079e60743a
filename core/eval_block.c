/* SPDX-License-Identifier: MIT */
/* Blocks of keys: cache, resources, executors, the remote. Each key has a type; what a later block says
 * of a key wins. */
#include "core/eval_parts.h"

#include <math.h>
#include <string.h>

enum { KEYS_MAX = 8 };

/* What a block may hold. */
struct key_type {
    struct str name;
    enum value_kind kind;
};

/* Its values as they are read: present[i] belongs to types[i]. */
struct keys {
    const char *block; /* "cache" */
    const struct key_type *types;
    uint32_t count;
    struct value values[KEYS_MAX];
    struct span spans[KEYS_MAX];
    bool present[KEYS_MAX];
    struct value *made_from; /* may be NULL */
};

static uint32_t find_key(const struct keys *k, struct str name)
{
    uint32_t i = 0;
    while (i < k->count && !str_eq(k->types[i].name, name)) {
        i++;
    }
    return i;
}

static bool say_unknown_key(const struct scope *s, const struct keys *k,
                            const struct ast_name *name)
{
    struct diag *x = diag_error(s->e->d, "unknown-key", name->span, "'%s' has no key '%.*s'",
                                k->block, STR_ARG(name->text));
    struct table names;
    table_init(&names, s->e->arena);
    struct buf b;
    buf_init(&b, 4096);
    for (uint32_t i = 0; i < k->count; i++) {
        table_add(&names, k->types[i].name, NULL);
        buf_printf(&b, "%s%.*s", i ? ", " : "", STR_ARG(k->types[i].name));
    }
    if (table_nearest(&names, name->text).n) {
        scope_help_nearest(s->e, x, &names, name->text);
    } else {
        diag_help(s->e->d, x, "it may hold %.*s", STR_ARG(buf_str(&b)));
    }
    buf_free(&b);
    return false;
}

static bool read_key(const struct scope *s, struct keys *k, const struct ast_binding *b)
{
    uint32_t i = find_key(k, b->name.text);
    if (i == k->count) {
        return say_unknown_key(s, k, &b->name);
    }
    struct str what = str_join3(s->arena, STR("'"), b->name.text, STR("'"));
    struct value v;
    if (!expr_need(s, b->value, k->types[i].kind, what, &v)) {
        return false;
    }
    if (k->made_from) {
        value_add_refs_of(s->arena, k->made_from, &v);
    }
    k->values[i] = v;
    k->spans[i] = b->value->span;
    k->present[i] = true;
    return true;
}

static bool read_block(const struct scope *s, struct keys *k, const struct ast_block *block)
{
    bool good = true;
    for (uint32_t i = 0; i < block->keys.n; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (str_eq(block->keys.at[j].name.text, block->keys.at[i].name.text)) {
                diag_error(s->e->d, "duplicate-key", block->keys.at[i].name.span,
                           "'%.*s' is given twice", STR_ARG(block->keys.at[i].name.text));
                good = false;
            }
        }
        good &= read_key(s, k, &block->keys.at[i]);
    }
    return good;
}

static bool say_choice(struct eval *e, const struct keys *k, uint32_t i, const char *choices)
{
    struct diag *x = diag_error(e->d, "bad-value", k->spans[i], "'%.*s' cannot be '%.*s'",
                                STR_ARG(k->types[i].name), STR_ARG(k->values[i].text));
    diag_help(e->d, x, "it is one of %s", choices);
    return false;
}

static bool say_negative(struct eval *e, const struct keys *k, uint32_t i, const char *wanted)
{
    diag_error(e->d, "bad-value", k->spans[i], "'%.*s' wants %s", STR_ARG(k->types[i].name),
               wanted);
    return false;
}

/* ---- cache ---- */

enum { CACHE_EXPIRE, CACHE_LOCAL, CACHE_REMOTE, CACHE_PLATFORM, CACHE_COUNT };
static const struct key_type known_cache_keys[] = {
    [CACHE_EXPIRE] = {{"expire_after", 12}, VALUE_DURATION},
    [CACHE_LOCAL] = {{"local", 5}, VALUE_BOOL},
    [CACHE_REMOTE] = {{"remote", 6}, VALUE_STRING},
    [CACHE_PLATFORM] = {{"platform", 8}, VALUE_STRING},
};

static bool cache_remote(struct eval *e, const struct keys *k, uint32_t *out)
{
    static const char *const names[] = {"off", "read", "write", "read-write"};
    *out = GRAPH_REMOTE_READ_WRITE;
    if (!k->present[CACHE_REMOTE]) {
        return true;
    }
    for (uint32_t i = 0; i < 4; i++) {
        if (str_eq(k->values[CACHE_REMOTE].text, str_from(names[i]))) {
            *out = i;
            return true;
        }
    }
    return say_choice(e, k, CACHE_REMOTE, "\"off\", \"read\", \"write\", \"read-write\"");
}

static bool cache_put(struct eval *e, const struct keys *k, bool off, struct graph_step *out)
{
    out->flags |= off ? GRAPH_STEP_CACHE_OFF : 0;
    if (k->present[CACHE_EXPIRE]) {
        if (k->values[CACHE_EXPIRE].integer <= 0) {
            return say_negative(e, k, CACHE_EXPIRE,
                                "a duration above zero; 'cache off' never reuses");
        }
        out->expire_ns = k->values[CACHE_EXPIRE].integer;
    }
    if (k->present[CACHE_LOCAL] && !k->values[CACHE_LOCAL].boolean) {
        out->flags |= GRAPH_STEP_NO_LOCAL;
    }
    if (k->present[CACHE_PLATFORM]) {
        if (!str_eq(k->values[CACHE_PLATFORM].text, STR("any"))) {
            return say_choice(e, k, CACHE_PLATFORM, "\"any\"");
        }
        out->flags |= GRAPH_STEP_ANY_PLATFORM;
    }
    if (!cache_remote(e, k, &out->remote)) {
        return false;
    }
    if ((out->flags & GRAPH_STEP_NO_LOCAL) && out->remote != GRAPH_REMOTE_OFF) {
        out->remote = GRAPH_REMOTE_OFF; /* results come and go through the local cache */
        out->flags |= k->present[CACHE_REMOTE] ? GRAPH_STEP_REMOTE_UNHEARD : 0;
    }
    return true;
}

static struct keys cache_keys(void)
{
    return (struct keys){.block = "cache", .types = known_cache_keys, .count = CACHE_COUNT};
}

/* The pipeline's own policy, so that its mistakes are told even without steps. */
static bool read_pipeline_cache(struct eval *e, struct keys *k, bool *off)
{
    if (!e->cache) {
        return true;
    }
    struct scope s = scope_of_unit(e, e->cache_unit);
    s.arena = e->step_arena;
    *off = e->cache->as.block.off;
    return read_block(&s, k, &e->cache->as.block);
}

bool block_check_cache(struct eval *e)
{
    struct keys k = cache_keys();
    struct graph_step ignored = {.flags = 0};
    bool off = false;
    return read_pipeline_cache(e, &k, &off) && cache_put(e, &k, off, &ignored);
}

bool block_cache(struct eval *e, struct instance *i, struct graph_step *out,
                 struct value *made_from)
{
    struct keys k = cache_keys();
    bool off = false, good = read_pipeline_cache(e, &k, &off);
    k.made_from = made_from;
    for (uint32_t n = 0; n < i->step->items.n; n++) {
        const struct flat_item *flat = &i->step->items.at[n];
        if (flat->item->kind == AST_ITEM_CACHE) {
            struct scope s = item_scope(e, i, flat);
            off = flat->item->as.block.off;
            good &= read_block(&s, &k, &flat->item->as.block);
        }
    }
    return good && cache_put(e, &k, off, out);
}

/* ---- resources ---- */

enum { RES_CPUS, RES_MEMORY, RES_GPUS, RES_INSTANCE, RES_COUNT_KEY, RES_PRICE, RES_COUNT };
static const struct key_type resource_keys[] = {
    [RES_CPUS] = {{"cpus", 4}, VALUE_REAL},      [RES_MEMORY] = {{"memory", 6}, VALUE_SIZE},
    [RES_GPUS] = {{"gpus", 4}, VALUE_INT},       [RES_INSTANCE] = {{"instance", 8}, VALUE_STRING},
    [RES_COUNT_KEY] = {{"count", 5}, VALUE_INT}, [RES_PRICE] = {{"price", 5}, VALUE_REAL},
};

static bool real_key(struct eval *e, const struct keys *k, uint32_t i, double *out)
{
    if (!k->present[i]) {
        return true;
    }
    *out = k->values[i].real;
    return *out > 0 && isfinite(*out) ? true : say_negative(e, k, i, "a number above zero");
}

static bool int_key(struct eval *e, const struct keys *k, uint32_t i, uint32_t *out)
{
    if (!k->present[i]) {
        return true;
    }
    int64_t x = k->values[i].integer;
    int64_t least = i == RES_GPUS ? 0 : 1;
    if (x < least || x > UINT16_MAX) {
        return say_negative(e, k, i, least ? "a whole number from 1" : "a whole number from 0");
    }
    *out = (uint32_t)x;
    return true;
}

bool block_resources(struct eval *e, struct instance *i, struct graph_step *out,
                     struct value *made_from)
{
    struct keys k = {
        .block = "resources", .types = resource_keys, .count = RES_COUNT, .made_from = made_from};
    bool good = true;
    for (uint32_t n = 0; n < i->step->items.n; n++) {
        const struct flat_item *flat = &i->step->items.at[n];
        if (flat->item->kind == AST_ITEM_RESOURCES) {
            struct scope s = item_scope(e, i, flat);
            good &= read_block(&s, &k, &flat->item->as.block);
        }
    }
    if (!good || !real_key(e, &k, RES_CPUS, &out->cpus) || !real_key(e, &k, RES_PRICE, &out->price)
        || !int_key(e, &k, RES_GPUS, &out->gpus)
        || !int_key(e, &k, RES_COUNT_KEY, &out->instance_count)) {
        return false;
    }
    out->flags |= k.present[RES_CPUS] ? GRAPH_STEP_HAS_CPUS : 0;
    if (k.present[RES_MEMORY]) {
        if (k.values[RES_MEMORY].integer <= 0) {
            return say_negative(e, &k, RES_MEMORY, "a size above zero");
        }
        out->memory_bytes = (uint64_t)k.values[RES_MEMORY].integer;
        out->flags |= GRAPH_STEP_HAS_MEMORY;
    }
    if (k.present[RES_INSTANCE]) {
        out->instance = graph_draft_text(&e->g, k.values[RES_INSTANCE].text);
    }
    return true;
}

/* ---- executors, pools, the remote ---- */

enum { EXEC_KIND, EXEC_PARTITION, EXEC_ACCOUNT, EXEC_IMAGE, EXEC_ARGS, EXEC_QOS, EXEC_COUNT };
static const struct key_type executor_keys[] = {
    [EXEC_KIND] = {{"kind", 4}, VALUE_STRING},
    [EXEC_PARTITION] = {{"partition", 9}, VALUE_STRING},
    [EXEC_ACCOUNT] = {{"account", 7}, VALUE_STRING},
    [EXEC_IMAGE] = {{"image", 5}, VALUE_STRING},
    [EXEC_ARGS] = {{"args", 4}, VALUE_LIST},
    [EXEC_QOS] = {{"qos", 3}, VALUE_STRING},
};

bool block_executor(struct eval *e, struct def *def)
{
    struct keys k = {.block = "executor", .types = executor_keys, .count = EXEC_COUNT};
    struct scope s = scope_of_unit(e, def->unit);
    const struct ast_block *block = &def->at->as.executor.block;
    if (!read_block(&s, &k, block)) {
        return false;
    }
    if (!k.present[EXEC_KIND]) {
        struct diag *x = diag_error(e->d, "missing-key", def->span,
                                    "executor '%.*s' says no 'kind'", STR_ARG(def->name));
        diag_help(e->d, x, "as in 'kind = \"slurm\"'");
        return false;
    }
    if (!str_eq(k.values[EXEC_KIND].text, STR("slurm"))
        && !str_eq(k.values[EXEC_KIND].text, STR("local"))) {
        return say_choice(e, &k, EXEC_KIND, "\"slurm\", \"local\"");
    }
    struct graph_executor *x = VEC_PUSH(e->arena, &e->g.executors);
    *x = (struct graph_executor){.span = scope_gspan(e, def->span)};
    x->name = graph_draft_text(&e->g, def->name);
    x->kind = graph_draft_text(&e->g, k.values[EXEC_KIND].text);
    if (k.present[EXEC_IMAGE]) {
        x->image = graph_draft_text(&e->g, k.values[EXEC_IMAGE].text);
    }
    def->number = e->g.executors.n - 1;
    def->in_graph = true;
    return true;
}

bool block_pool(struct eval *e, struct def *def)
{
    struct scope s = scope_of_unit(e, def->unit);
    const struct ast_expr *expr = def->at->as.binding.value;
    struct value v;
    if (!expr_need(&s, expr, VALUE_INT, STR("a pool"), &v)) {
        return false;
    }
    if (v.integer < 1 || v.integer > INT32_MAX) {
        expr_say(&s, "bad-value", expr->span, "a pool holds a whole number of steps from 1");
        return false;
    }
    struct graph_pool *p = VEC_PUSH(e->arena, &e->g.pools);
    *p = (struct graph_pool){.limit = (uint32_t)v.integer};
    p->name = graph_draft_text(&e->g, def->name);
    def->number = e->g.pools.n - 1;
    def->in_graph = true;
    return true;
}

enum {
    REMOTE_REGION,
    REMOTE_ENDPOINT,
    REMOTE_PROFILE,
    REMOTE_PATH_STYLE,
    REMOTE_TRUST,
    REMOTE_COUNT
};
static const struct key_type remote_keys[] = {
    [REMOTE_REGION] = {{"region", 6}, VALUE_STRING},
    [REMOTE_ENDPOINT] = {{"endpoint", 8}, VALUE_STRING},
    [REMOTE_PROFILE] = {{"profile", 7}, VALUE_STRING},
    [REMOTE_PATH_STYLE] = {{"path_style", 10}, VALUE_BOOL},
    [REMOTE_TRUST] = {{"trust", 5}, VALUE_LIST},
};

static bool remote_trust(struct eval *e, const struct keys *k, struct graph_remote_place *r)
{
    const struct value *list = &k->values[REMOTE_TRUST];
    r->trust = (struct grange){e->g.texts.n, 0};
    r->only_trusted = k->present[REMOTE_TRUST];
    r->trust_span = r->only_trusted ? scope_gspan(e, k->spans[REMOTE_TRUST]) : r->span;
    for (uint32_t i = 0; k->present[REMOTE_TRUST] && i < list->count; i++) {
        if (list->items[i].kind != VALUE_STRING) {
            return say_negative(e, k, REMOTE_TRUST, "a list of key files");
        }
        *VEC_PUSH(e->arena, &e->g.texts) = graph_draft_text(&e->g, list->items[i].text);
        r->trust.n++;
    }
    return true;
}

bool block_remote(struct eval *e)
{
    if (!e->remote) {
        return true;
    }
    struct keys k = {.block = "remote", .types = remote_keys, .count = REMOTE_COUNT};
    struct scope s = scope_of_unit(e, e->remote_unit);
    const struct ast_expr *url = e->remote->as.remote.url;
    struct value v;
    bool good = expr_need(&s, url, VALUE_STRING, STR("'remote'"), &v);
    good &= read_block(&s, &k, &e->remote->as.remote.block);
    if (!good) {
        return false;
    }
    bool s3 = str_starts(v.text, STR("s3://")) && v.text.n > 5 && v.text.s[5] != '/';
    if (!s3 && !str_starts(v.text, STR("file:///"))) {
        struct diag *x =
            diag_error(e->d, "bad-remote", url->span, "'%.*s' is no remote cache", STR_ARG(v.text));
        diag_help(e->d, x, "as in \"s3://bucket/prefix\", or \"file:///folder\"");
        return false;
    }
    struct graph_remote_place *r = &e->g.remote;
    e->g.has_remote = true;
    r->url = graph_draft_text(&e->g, v.text);
    struct gtext *texts[] = {&r->region, &r->endpoint, &r->profile};
    for (uint32_t i = 0; i < 3; i++) {
        *texts[i] = k.present[i] ? graph_draft_text(&e->g, k.values[i].text) : (struct gtext){0, 0};
    }
    r->path_style = k.present[REMOTE_PATH_STYLE] && k.values[REMOTE_PATH_STYLE].boolean;
    r->span = scope_gspan(e, url->span);
    return remote_trust(e, &k, r);
}
