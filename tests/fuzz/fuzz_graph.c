/* SPDX-License-Identifier: MIT */
/* Any bytes as a compiled graph: refused, or every index, range and text in it can be used. The checksum is made
 * right first, or the fuzzer would never get past it. */
#include "core/graph_image.h"
#include "core/sched.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IMAGE_LIMIT = 1 << 16, HEADER_BYTES = 64 };

static uint64_t sum_text(const struct graph *g, struct gtext t)
{
    return str_hash(graph_text(g, t));
}

static uint64_t walk_files(const struct graph *g)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct graph_file *f = &g->files[i];
        sum += str_hash(graph_path(g, (file_id){i}));
        sum += f->producer == GRAPH_NONE ? 0 : g->steps[f->producer].flags;
        sum += f->inside == GRAPH_NONE ? 0 : g->files[f->inside].flags;
        file_id found = graph_find_file(g, graph_path(g, (file_id){i}));
        if (found.i != GRAPH_NONE && found.i >= g->file_count) {
            abort();
        }
    }
    return sum;
}

static uint64_t walk_step(const struct graph *g, const struct graph_step *s)
{
    uint64_t sum = sum_text(g, s->name) + sum_text(g, s->command.bytes) + sum_text(g, s->cwd);
    for (uint32_t i = 0; i < s->inputs.n; i++) {
        sum += graph_file(g, g->inputs[s->inputs.first + i].file)->flags;
    }
    for (uint32_t i = 0; i < s->outputs.n; i++) {
        sum += graph_file(g, g->outputs[s->outputs.first + i].file)->flags;
    }
    for (uint32_t i = 0; i < s->dependents.n; i++) {
        sum += graph_step(g, g->back_edges[s->dependents.first + i].step)->flags;
    }
    for (uint32_t i = 0; i < s->env.n; i++) {
        sum += sum_text(g, g->named[s->env.first + i].value.bytes);
    }
    for (uint32_t i = 0; i < s->probes.n; i++) {
        sum += sum_text(g, g->probes[g->numbers[s->probes.first + i]].name);
    }
    return sum;
}

/* Both ask for an order in which each step stands behind what it needs. */
static void walk_orders(const struct graph *g)
{
    size_t n = g->step_count;
    uint8_t *wanted = mem_alloc(n);
    int64_t *durations = mem_alloc(n * sizeof *durations);
    int64_t *paths = mem_alloc(n * sizeof *paths);
    if (n) {
        memset(wanted, 1, n);
    }
    sched_paths(g, wanted, durations, paths);
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (paths[i] <= 0) {
            abort();
        }
    }
    mem_free(wanted);
    mem_free(durations);
    mem_free(paths);
}

static void select_all(const struct graph *g)
{
    struct arena a = {0};
    struct diags d;
    diags_init(&d, &a);
    struct step_list list = {.arena = &a};
    struct str name = g->step_count ? graph_text(g, g->steps[0].base) : STR("x[a=1]");
    if (!graph_select(g, &name, 1, &list, &d) && d.errors == 0) {
        abort();
    }
    for (uint32_t i = 0; i < list.n; i++) {
        if (list.at[i].i >= g->step_count) {
            abort();
        }
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEADER_BYTES || size > IMAGE_LIMIT) {
        return 0;
    }
    char *image = mem_alloc(size);
    memcpy(image, data, size);
    graph_image_seal(image, size);
    struct graph g;
    if (graph_image_read(image, size, &g)) {
        uint64_t sum = walk_files(&g);
        for (uint32_t i = 0; i < g.step_count; i++) {
            sum += walk_step(&g, &g.steps[i]);
        }
        if (sum == 1) { /* so that nothing of it is left out */
            mem_free(image);
            return 0;
        }
        walk_orders(&g);
        select_all(&g);
    }
    mem_free(image);
    return 0;
}
