/* SPDX-License-Identifier: MIT */
/* From a draft to a graph: order, circles, back edges; and the graph as a file. Invariant: a graph that
 * stands has no circle and an order in which each step comes after all that it waits for. */
#include "core/graph.h"

#include "core/graph_image.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(sizeof(struct graph_step) <= 448, "memory a step");
static_assert(sizeof(struct graph_file) <= 24, "memory a file");
static_assert(sizeof(struct graph_edge) <= 8, "memory an edge");

enum { GRAPH_POOL_LIMIT = 1 << 30, CIRCLE_SHOWN = 12 };

void graph_draft_init(struct graph_draft *g, struct arena *a)
{
    *g = (struct graph_draft){.arena = a};
    buf_init(&g->pool, GRAPH_POOL_LIMIT);
}

void graph_draft_free(struct graph_draft *g)
{
    buf_free(&g->pool);
    *g = (struct graph_draft){0};
}

struct gtext graph_draft_text(struct graph_draft *g, struct str text)
{
    if (!text.n) {
        return (struct gtext){0, 0};
    }
    struct gtext t = {(uint32_t)g->pool.n, (uint32_t)text.n};
    buf_put(&g->pool, text.s, text.n);
    return g->pool.full ? (struct gtext){0, 0} : t;
}

static struct str draft_text(const struct graph_draft *g, struct gtext t)
{
    return (struct str){g->pool.s + t.at, t.n};
}

static struct span span_in(struct str path, struct gspan at, const struct diags *d)
{
    for (uint32_t i = 0; i < d->sources.n; i++) {
        if (str_eq(d->sources.at[i].path, path)) {
            return (struct span){i + 1, at.begin, at.end};
        }
    }
    return SPAN_NONE;
}

static struct span draft_span(const struct graph_draft *g, struct gspan at, const struct diags *d)
{
    return at.source < g->sources.n ? span_in(draft_text(g, g->sources.at[at.source]), at, d)
                                    : SPAN_NONE;
}

struct span graph_span(const struct graph *g, struct gspan at, int root, struct diags *d)
{
    if (at.source >= g->source_count) {
        return SPAN_NONE;
    }
    struct str path = graph_text(g, g->sources[at.source]);
    struct span found = span_in(path, at, d);
    if (found.source) {
        return found;
    }
    struct str text;
    if (!file_read_quiet(d->arena, root, path, BUF_TEXT_LIMIT, &text)) {
        text = STR_NONE;
    }
    uint32_t source = diags_add_source(d, str_copy(d->arena, path), text);
    return (struct span){source, at.begin, at.end};
}

/* Depth first over needs with a stack of our own, so that a long chain costs no C stack. */
struct walk {
    const struct graph_draft *draft;
    uint32_t *stack, *cursor; /* cursor: next need to look at, for steps on the stack */
    uint8_t *mark;            /* 0 unseen, 1 on the stack, 2 done */
    uint32_t depth, done;
    uint32_t *order;
};

static void say_circle(const struct walk *w, uint32_t from, struct diags *d)
{
    const struct graph_draft *g = w->draft;
    struct buf text;
    buf_init(&text, 1 << 16);
    uint32_t begin = w->depth;
    while (w->stack[begin - 1] != from) {
        begin--;
    }
    for (uint32_t i = begin - 1; i < w->depth; i++) {
        if (i - begin + 1 == CIRCLE_SHOWN) {
            buf_printf(&text, "… (%u more) -> ", w->depth - i);
            break;
        }
        buf_put_str(&text, draft_text(g, g->steps.at[w->stack[i]].name));
        buf_put_str(&text, STR(" -> "));
    }
    struct str name = draft_text(g, g->steps.at[from].name);
    buf_put_str(&text, name);
    struct diag *x =
        diag_error(d, "step-cycle", draft_span(g, g->steps.at[from].span, d),
                   "step '%.*s' needs itself: %.*s", STR_ARG(name), STR_ARG(buf_str(&text)));
    diag_help(d, x, "take one of these inputs or references away");
    buf_free(&text);
}

static void walk_push(struct walk *w, uint32_t step)
{
    w->mark[step] = 1;
    w->cursor[step] = 0;
    w->stack[w->depth++] = step;
}

/* false: a circle was found and told. */
static bool walk_from(struct walk *w, uint32_t root, struct diags *d)
{
    const struct graph_draft *g = w->draft;
    walk_push(w, root);
    while (w->depth) {
        uint32_t top = w->stack[w->depth - 1];
        struct grange needs = g->steps.at[top].needs;
        if (w->cursor[top] == needs.n) {
            w->mark[top] = 2;
            w->order[w->done++] = top;
            w->depth--;
            continue;
        }
        uint32_t next = g->edges.at[needs.first + w->cursor[top]++].step.i;
        if (w->mark[next] == 1) {
            say_circle(w, next, d);
            return false;
        }
        if (!w->mark[next]) {
            walk_push(w, next);
        }
    }
    return true;
}

static bool find_order(const struct graph_draft *g, uint32_t *order, struct diags *d)
{
    uint32_t n = g->steps.n;
    struct walk w = {.draft = g, .order = order};
    w.stack = mem_alloc((n + 1) * sizeof *w.stack);
    w.cursor = mem_alloc((n + 1) * sizeof *w.cursor);
    w.mark = mem_alloc(n + 1);
    bool good = true;
    for (uint32_t i = 0; good && i < n; i++) {
        good = w.mark[i] || walk_from(&w, i, d);
    }
    mem_free(w.stack);
    mem_free(w.cursor);
    mem_free(w.mark);
    return good;
}

static struct graph_edge *make_back_edges(struct graph_draft *g, struct arena *a)
{
    for (uint32_t i = 0; i < g->steps.n; i++) {
        g->steps.at[i].dependents = (struct grange){0, 0};
    }
    for (uint32_t i = 0; i < g->edges.n; i++) {
        g->steps.at[g->edges.at[i].step.i].dependents.n++;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < g->steps.n; i++) {
        g->steps.at[i].dependents.first = at;
        at += g->steps.at[i].dependents.n;
        g->steps.at[i].dependents.n = 0;
    }
    struct graph_edge *back = ARENA_ARRAY(a, struct graph_edge, g->edges.n + 1);
    for (uint32_t i = 0; i < g->steps.n; i++) {
        struct grange r = g->steps.at[i].needs;
        for (uint32_t k = r.first; k < r.first + r.n; k++) {
            struct grange *to = &g->steps.at[g->edges.at[k].step.i].dependents;
            back[to->first + to->n++] = (struct graph_edge){{i}, g->edges.at[k].kind};
        }
    }
    return back;
}

bool graph_finish(struct graph_draft *draft, struct arena *a, struct graph *out, struct diags *d)
{
    *out = (struct graph){0};
    if (draft->pool.full) {
        diag_error(d, "graph-too-large", SPAN_NONE,
                   "the texts of this pipeline's steps are more than %d MiB",
                   GRAPH_POOL_LIMIT >> 20);
        return false;
    }
    uint32_t *order = ARENA_ARRAY(draft->arena, uint32_t, draft->steps.n + 1);
    bool good = find_order(draft, order, d);
    struct graph_edge *back = make_back_edges(draft, draft->arena);
    graph_image_lay(draft, order, back, a, out);
    return good;
}

bool graph_open(struct graph *g, int root, struct str path)
{
    *g = (struct graph){0};
    struct arena a = {0};
    int fd = openat(root, str_c(&a, path), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    arena_free(&a);
    if (fd < 0) {
        return false;
    }
    struct stat st;
    void *p = MAP_FAILED;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0) {
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    close(fd);
    if (p == MAP_FAILED) {
        return false;
    }
    if (!graph_image_read(p, (size_t)st.st_size, g)) {
        munmap(p, (size_t)st.st_size);
        *g = (struct graph){0};
        return false;
    }
    g->mapped = true;
    return true;
}

void graph_close(struct graph *g)
{
    if (g->mapped) {
        void *p;
        memcpy(&p, &g->image, sizeof p);
        munmap(p, g->image_bytes);
    }
    *g = (struct graph){0};
}

bool graph_write(const struct graph *g, int root, struct str path)
{
    struct str bytes = {g->image, g->image_bytes};
    if (!g->mapped) {
        void *p; /* made by graph_image_lay: ours to seal */
        memcpy(&p, &g->image, sizeof p);
        graph_image_seal(p, g->image_bytes);
    }
    return file_write(root, path, bytes, 0600, false);
}

step_id graph_find_step(const struct graph *g, struct str name)
{
    return (step_id){graph_image_find_step(g, name)};
}

file_id graph_find_file(const struct graph *g, struct str path)
{
    return (file_id){graph_image_find_file(g, path)};
}
