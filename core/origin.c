/* SPDX-License-Identifier: MIT */
/* Recording what was looked at, and looking again. */
#include "core/origin.h"

#include "core/base/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

void origins_init(struct origins *o, struct arena *a)
{
    *o = (struct origins){.arena = a};
    table_init(&o->seen, a);
}

/* NULL: known already. */
static struct graph_origin *origin_new(struct origins *o, enum graph_origin_kind kind,
                                       struct str name)
{
    struct buf key;
    buf_init(&key, BUF_TEXT_LIMIT);
    buf_put_char(&key, (char)('0' + (int)kind));
    buf_put_str(&key, name);
    bool is_new;
    table_add(&o->seen, buf_str(&key), &is_new);
    buf_free(&key);
    if (!is_new) {
        return NULL;
    }
    *VEC_PUSH(o->arena, &o->names) = str_copy(o->arena, name);
    struct graph_origin *x = VEC_PUSH(o->arena, &o->all);
    *x = (struct graph_origin){.kind = kind};
    return x;
}

void origins_add_file(struct origins *o, struct str path, const struct file_sig *sig,
                      int64_t looked_ns, struct str text)
{
    struct graph_origin *x = origin_new(o, GRAPH_ORIGIN_FILE, path);
    if (x) {
        x->sig = *sig;
        x->looked_ns = looked_ns;
        x->digest = digest_of(text.s, text.n);
    }
}

void origins_add_absent(struct origins *o, struct str path)
{
    origin_new(o, GRAPH_ORIGIN_ABSENT, path);
}

static struct digest env_digest(bool set, struct str value)
{
    return set ? digest_of(value.s, value.n) : (struct digest){{0}};
}

void origins_add_env(struct origins *o, struct str name, bool set, struct str value)
{
    struct graph_origin *x = origin_new(o, GRAPH_ORIGIN_ENV, name);
    if (x) {
        x->digest = env_digest(set, value);
    }
}

static struct digest names_digest(const struct str *names, uint32_t count)
{
    struct digester d;
    digester_begin(&d);
    for (uint32_t i = 0; i < count; i++) {
        digester_add(&d, names[i].s, names[i].n);
        digester_add(&d, "", 1);
    }
    return digester_end(&d);
}

void origins_add_glob(struct origins *o, struct str pattern, const struct str *paths,
                      uint32_t count)
{
    struct graph_origin *x = origin_new(o, GRAPH_ORIGIN_GLOB, pattern);
    if (x) {
        x->digest = names_digest(paths, count);
    }
}

struct digest eval_listing_digest(const struct eval_listing *l)
{
    return names_digest(l->files, l->count);
}

void origins_add_listing(struct origins *o, const struct eval_listing *l)
{
    struct graph_origin *x = origin_new(o, GRAPH_ORIGIN_LISTING, l->dir);
    if (x) {
        x->digest = eval_listing_digest(l);
    }
}

static struct digest options_digest(const struct eval_options *options)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    buf_put_text(&b, options->file);
    buf_put_text(&b, options->root_name);
    for (uint32_t i = 0; i < options->param_count; i++) {
        buf_put_text(&b, options->params[i].name);
        buf_put_text(&b, options->params[i].value);
    }
    struct digest d = digest_of(b.s, b.n);
    buf_free(&b);
    return d;
}

void origins_add_options(struct origins *o, const struct eval_options *options)
{
    struct graph_origin *x = origin_new(o, GRAPH_ORIGIN_OPTIONS, STR("options"));
    if (x) {
        x->digest = options_digest(options);
    }
}

void origins_put(const struct origins *o, struct graph_draft *g)
{
    for (uint32_t i = 0; i < o->all.n; i++) {
        struct graph_origin *x = VEC_PUSH(g->arena, &g->origins);
        *x = o->all.at[i];
        x->name = graph_draft_text(g, o->names.at[i]);
    }
}

/* ---- folders of outputs ---- */

enum { MADE_DEPTH = 100 };

void origins_add_parents(struct table *parents, struct str output)
{
    for (;;) {
        ptrdiff_t slash = str_rfind_char(output, '/');
        bool is_new = false;
        if (slash > 0) {
            output = str_sub(output, 0, (size_t)slash);
            table_add(parents, output, &is_new);
        }
        if (!is_new) {
            return;
        }
    }
}

static bool holds_only_made(struct arena *a, int root, struct str dir, const struct made_by *by,
                            uint32_t depth)
{
    struct file_entry *entries;
    uint32_t count;
    if (depth == MADE_DEPTH || !file_list(a, root, dir, &entries, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct str path = path_join(a, dir, entries[i].name);
        if (!by->is_made(by->context, path)
            && (entries[i].type != DT_DIR || !holds_only_made(a, root, path, by, depth + 1))) {
            return false;
        }
    }
    return true;
}

bool origins_holds_only_made(int root, struct str dir, const struct made_by *by)
{
    struct arena scratch = {0};
    bool only = holds_only_made(&scratch, root, dir, by, 0);
    arena_free(&scratch);
    return only;
}

/* ---- looking again ---- */

static bool file_is_same(const struct graph_origin *x, struct str path,
                         const struct eval_options *o, struct arena *scratch)
{
    struct file_sig now = file_stat(o->root, path, true);
    if (file_sig_eq(&now, &x->sig) && !file_sig_is_racy(&now, x->looked_ns)) {
        return true;
    }
    struct str text;
    if (!file_sig_exists(&now) || now.size != x->sig.size
        || !file_read_quiet(scratch, o->root, path, BUF_TEXT_LIMIT, &text)) {
        return false;
    }
    struct digest d = digest_of(text.s, text.n);
    return digest_eq(&d, &x->digest);
}

static bool find_env(char *const *environment, struct str name, struct str *value)
{
    for (char *const *p = environment; p && *p; p++) {
        if (!strncmp(*p, name.s, name.n) && (*p)[name.n] == '=') {
            *value = str_from(*p + name.n + 1);
            return true;
        }
    }
    return false;
}

static bool env_is_same(const struct graph_origin *x, struct str name, const struct eval_options *o)
{
    struct str value = STR_NONE;
    bool set = find_env(o->environment, name, &value);
    struct digest d = env_digest(set, value);
    return digest_eq(&d, &x->digest);
}

/* Declared outputs and what lies below an output folder. */
static bool is_made(const struct graph *g, struct str path)
{
    for (;;) {
        file_id f = graph_find_file(g, path);
        if (f.i != GRAPH_NONE && graph_file(g, f)->producer != GRAPH_NONE) {
            return true;
        }
        ptrdiff_t slash = str_rfind_char(path, '/');
        if (slash <= 0) {
            return false;
        }
        path = str_sub(path, 0, (size_t)slash);
    }
}

static bool is_made_in(void *context, struct str path)
{
    return is_made(context, path);
}

static void add_all_parents(const struct graph *g, struct table *parents)
{
    for (uint32_t i = 0; i < g->output_count; i++) {
        origins_add_parents(parents, graph_path(g, g->outputs[i].file));
    }
}

static bool glob_is_same(const struct graph *g, const struct graph_origin *x, struct str pattern,
                         const struct eval_options *o, struct arena *scratch)
{
    struct str *paths;
    uint32_t count, kept = 0;
    const char *reason;
    struct table parents;
    union {
        const struct graph *in;
        void *out;
    } context = {.in = g};
    struct made_by by = {is_made_in, context.out};
    if (!file_glob(scratch, o->root, pattern, &paths, &count, &reason)) {
        return false;
    }
    table_init(&parents, scratch);
    if (count && str_ends(pattern, STR("/"))) {
        add_all_parents(g, &parents);
    }
    for (uint32_t i = 0; i < count; i++) {
        bool above = table_find(&parents, paths[i]) != TABLE_NONE;
        if (!is_made(g, paths[i]) && !(above && origins_holds_only_made(o->root, paths[i], &by))) {
            paths[kept++] = paths[i];
        }
    }
    struct digest d = names_digest(paths, kept);
    return digest_eq(&d, &x->digest);
}

static bool origin_is_same(const struct graph *g, const struct graph_origin *x,
                           const struct eval_options *o, struct arena *scratch)
{
    struct str name = graph_text(g, x->name);
    struct digest options;
    struct file_sig sig;
    switch ((enum graph_origin_kind)x->kind) {
    case GRAPH_ORIGIN_FILE: return file_is_same(x, name, o, scratch);
    case GRAPH_ORIGIN_ABSENT: sig = file_stat(o->root, name, true); return !file_sig_exists(&sig);
    case GRAPH_ORIGIN_ENV: return env_is_same(x, name, o);
    case GRAPH_ORIGIN_GLOB: return glob_is_same(g, x, name, o, scratch);
    case GRAPH_ORIGIN_OPTIONS: options = options_digest(o); return digest_eq(&options, &x->digest);
    case GRAPH_ORIGIN_LISTING: return true;
    }
    return false;
}

bool eval_is_current(const struct graph *g, const struct eval_options *o)
{
    struct arena scratch = {0};
    bool same = true, options = false;
    for (uint32_t i = 0; same && i < g->origin_count; i++) {
        options |= g->origins[i].kind == GRAPH_ORIGIN_OPTIONS;
        struct arena_mark mark = arena_mark(&scratch);
        same = origin_is_same(g, &g->origins[i], o, &scratch);
        arena_reset(&scratch, mark);
    }
    arena_free(&scratch);
    return same && options;
}

/* ---- the files of a folder ---- */

struct listing_walk {
    struct arena *arena;
    int root;
    struct str dir;
    VEC(struct str) files;
    uint32_t depth;
};
enum { LISTING_DEPTH = 200, LISTING_LIMIT = 1000000 };

static bool listing_walk(struct listing_walk *w, struct str below)
{
    struct file_entry *entries;
    uint32_t count;
    struct str path = below.n ? path_join(w->arena, w->dir, below) : w->dir;
    if (w->depth == LISTING_DEPTH || !file_list(w->arena, w->root, path, &entries, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct str name = below.n ? path_join(w->arena, below, entries[i].name) : entries[i].name;
        if (entries[i].type != DT_DIR) {
            if (w->files.n == LISTING_LIMIT) {
                return false;
            }
            *VEC_PUSH(w->arena, &w->files) = name;
            continue;
        }
        w->depth++;
        if (!listing_walk(w, name)) {
            return false;
        }
        w->depth--;
    }
    return true;
}

static int by_bytes(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

bool eval_list_folder(struct arena *a, int root, struct str dir, struct eval_listing *out)
{
    struct listing_walk w = {.arena = a, .root = root, .dir = dir};
    if (!listing_walk(&w, STR_NONE)) {
        return false;
    }
    if (w.files.n) {
        qsort(w.files.at, w.files.n, sizeof *w.files.at, by_bytes);
    }
    *out = (struct eval_listing){str_copy(a, dir), w.files.at, w.files.n};
    return true;
}
