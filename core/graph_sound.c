/* SPDX-License-Identifier: MIT */
/* Verifies a graph whose bytes come from a file: each text within the pool, each index and range within its
 * array, the order a topological one, back edges the mirror of edges. Linear in the graph. */
#include "core/graph_image.h"

#include <math.h>
#include <string.h>

/* A walk over the graph that remembers whether anything was wrong. */
struct sound {
    const struct graph *g;
    size_t pool_bytes;
    bool bad;
};

static void need(struct sound *s, bool good)
{
    s->bad |= !good;
}

static void need_text(struct sound *s, struct gtext t)
{
    need(s, (uint64_t)t.at + t.n <= s->pool_bytes);
}

static void need_range(struct sound *s, struct grange r, uint32_t count)
{
    need(s, (uint64_t)r.first + r.n <= count);
}

static void need_index(struct sound *s, uint32_t i, uint32_t count)
{
    need(s, i < count || i == GRAPH_NONE);
}

static void need_span(struct sound *s, struct gspan x)
{
    need_index(s, x.source, s->g->source_count);
    need(s, x.begin <= x.end);
}

static void need_expr(struct sound *s, struct gexpr e)
{
    need_text(s, e.bytes);
    need(s, e.late <= 1);
}

static void need_texts(struct sound *s, const struct gtext *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        need_text(s, t[i]);
    }
}

static void need_named(struct sound *s, const struct graph_named *n, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        need_text(s, n[i].name);
        need_expr(s, n[i].value);
        need_span(s, n[i].span);
    }
}

/* Numbers of one range are indices below limit. */
static void need_numbers(struct sound *s, struct grange r, uint32_t limit)
{
    need_range(s, r, s->g->number_count);
    for (uint32_t i = 0; !s->bad && i < r.n; i++) {
        need(s, s->g->numbers[r.first + i] < limit);
    }
}

static void need_step_ranges(struct sound *s, const struct graph_step *x)
{
    const struct graph *g = s->g;
    need_range(s, x->inputs, g->input_count);
    need_range(s, x->outputs, g->output_count);
    need_range(s, x->needs, g->edge_count);
    need_range(s, x->dependents, g->back_edge_count);
    need_range(s, x->variables, g->named_count);
    need_range(s, x->params, g->named_count);
    need_range(s, x->env, g->named_count);
    need_range(s, x->metrics, g->named_count);
    need_range(s, x->secrets, g->text_count);
    need_range(s, x->tools, g->text_count);
    need_numbers(s, x->probes, g->probe_count);
    need_numbers(s, x->depfiles, g->file_count);
}

static void need_step(struct sound *s, const struct graph_step *x)
{
    const struct graph *g = s->g;
    const struct gtext texts[] = {
        x->name, x->base, x->about, x->cwd, x->instance, x->pending_variable, x->checkpoint};
    need_texts(s, texts, sizeof texts / sizeof *texts);
    need_span(s, x->span);
    need_span(s, x->command_span);
    need_span(s, x->when_span);
    need_expr(s, x->command);
    need_expr(s, x->command_tracked);
    need_expr(s, x->when);
    need_step_ranges(s, x);
    need(s, x->command_kind <= GRAPH_COMMAND_MAKE);
    need(s, x->remote <= GRAPH_REMOTE_READ_WRITE);
    need_index(s, x->pending, g->file_count);
    need_index(s, x->pool, g->pool_count);
    need_index(s, x->executor, g->executor_count);
    need(s, isfinite(x->cpus) && x->cpus >= 0 && isfinite(x->price) && x->price >= 0);
    need(s, x->expire_ns >= 0 && x->timeout_ns >= 0 && x->backoff_ns >= 0);
}

static void need_files(struct sound *s)
{
    const struct graph *g = s->g;
    for (uint32_t i = 0; i < g->file_count; i++) {
        need_text(s, g->files[i].path);
        need_index(s, g->files[i].producer, g->step_count);
        need_index(s, g->files[i].inside, g->file_count);
    }
    for (uint32_t i = 0; i < g->input_count; i++) {
        need(s, g->inputs[i].file.i < g->file_count && g->inputs[i].kind <= GRAPH_MENTION);
        need_text(s, g->inputs[i].name);
        need_span(s, g->inputs[i].span);
    }
    for (uint32_t i = 0; i < g->output_count; i++) {
        need(s, g->outputs[i].file.i < g->file_count);
        need_text(s, g->outputs[i].name);
        need_span(s, g->outputs[i].span);
    }
}

static void need_tables(struct sound *s)
{
    const struct graph *g = s->g;
    need_texts(s, g->sources, g->source_count);
    need_texts(s, g->texts, g->text_count);
    need_named(s, g->named, g->named_count);
    need_named(s, g->params, g->param_count);
    for (uint32_t i = 0; i < g->pool_count; i++) {
        need_text(s, g->pools[i].name);
    }
    for (uint32_t i = 0; i < g->probe_count; i++) {
        need_text(s, g->probes[i].name);
        need_expr(s, g->probes[i].command);
        need_span(s, g->probes[i].span);
    }
    for (uint32_t i = 0; i < g->executor_count; i++) {
        const struct graph_executor *e = &g->executors[i];
        need_texts(s, (const struct gtext[]){e->name, e->kind, e->image}, 3);
        need_span(s, e->span);
    }
    for (uint32_t i = 0; i < g->group_count; i++) {
        need_text(s, g->groups[i].name);
        need_numbers(s, g->groups[i].steps, g->step_count);
    }
    for (uint32_t i = 0; i < g->default_count; i++) {
        need(s, g->defaults[i] < g->step_count);
    }
    for (uint32_t i = 0; i < g->origin_count; i++) {
        need(s, g->origins[i].kind <= GRAPH_ORIGIN_LISTING);
        need_text(s, g->origins[i].name);
    }
    if (g->remote) {
        const struct graph_remote_place *r = g->remote;
        need_texts(s, (const struct gtext[]){r->url, r->region, r->endpoint, r->profile}, 4);
        need_range(s, r->trust, g->text_count);
        need_span(s, r->span);
        need_span(s, r->trust_span);
    }
}

/* Each step stands once in the order, behind all that it waits for. place: one zero for each step. */
static void need_order(struct sound *s, uint32_t *place)
{
    const struct graph *g = s->g;
    for (uint32_t i = 0; !s->bad && i < g->step_count; i++) {
        need(s, g->order[i] < g->step_count && !place[g->order[i]]);
        if (!s->bad) {
            place[g->order[i]] = i + 1;
        }
    }
    for (uint32_t i = 0; !s->bad && i < g->step_count; i++) {
        struct grange r = g->steps[i].needs;
        for (uint32_t k = r.first; !s->bad && k < r.first + r.n; k++) {
            need(s, g->edges[k].step.i < g->step_count && g->edges[k].kind <= GRAPH_AFTER);
            need(s, !s->bad && place[g->edges[k].step.i] < place[i]);
        }
    }
}

/* Back edges are what graph_finish makes of the edges. cursor: one zero for each step. */
static void need_mirror(struct sound *s, uint32_t *cursor)
{
    const struct graph *g = s->g;
    uint64_t edges = 0, back = 0;
    for (uint32_t i = 0; i < g->step_count; i++) {
        edges += g->steps[i].needs.n;
        back += g->steps[i].dependents.n;
    }
    need(s, edges == back);
    for (uint32_t i = 0; !s->bad && i < g->step_count; i++) {
        struct grange r = g->steps[i].needs;
        for (uint32_t k = r.first; !s->bad && k < r.first + r.n; k++) {
            uint32_t to = g->edges[k].step.i;
            struct grange b = g->steps[to].dependents;
            need(s, cursor[to] < b.n);
            if (!s->bad) {
                const struct graph_edge *e = &g->back_edges[b.first + cursor[to]++];
                need(s, e->step.i == i && e->kind == g->edges[k].kind);
            }
        }
    }
}

bool graph_is_sound(const struct graph *g, size_t pool_bytes)
{
    struct sound s = {g, pool_bytes, false};
    need_text(&s, g->name);
    need_tables(&s);
    need_files(&s);
    for (uint32_t i = 0; i < g->step_count; i++) {
        need_step(&s, &g->steps[i]);
    }
    if (s.bad || !g->step_count) {
        return !s.bad;
    }
    uint32_t *scratch = mem_alloc(g->step_count * sizeof *scratch);
    need_order(&s, scratch);
    memset(scratch, 0, g->step_count * sizeof *scratch);
    need_mirror(&s, scratch);
    mem_free(scratch);
    return !s.bad;
}
