/* SPDX-License-Identifier: MIT */
/* Which steps a target means: a step, an instance or some of them, a group, an include, an output's path;
 * asked in this order. */
#include "core/base/table.h"
#include "core/graph.h"
#include "core/graph_name.h"

#include <string.h>

/* What one call shares between its targets. */
struct selection {
    const struct graph *g;
    struct step_list *out;
    uint8_t *taken; /* a step is given once */
    struct arena scratch;
};

static void take(struct selection *s, uint32_t step)
{
    if (s->taken[step]) {
        return;
    }
    s->taken[step] = 1;
    struct step_list *l = s->out;
    if (l->n == l->cap) {
        l->at = arena_grow(l->arena, l->at, &l->cap, sizeof *l->at);
    }
    l->at[l->n++] = (step_id){step};
}

/* Of a placeholder only the variables that are known are held against the keys. */
static bool keys_fit(struct selection *s, const struct graph_step *step,
                     const struct graph_keys *want)
{
    struct str base;
    struct graph_keys have;
    bool has_keys;
    if (!graph_name_parse(&s->scratch, graph_text(s->g, step->name), &base, &have, &has_keys)) {
        return false;
    }
    for (uint32_t i = 0; i < want->n; i++) {
        bool found = step->command_kind == GRAPH_COMMAND_PENDING;
        for (uint32_t k = 0; k < have.n; k++) {
            if (str_eq(have.at[k].name, want->at[i].name)) {
                found = graph_name_value_eq(have.at[k].value, want->at[i].value);
                break;
            }
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool take_instances(struct selection *s, struct str target)
{
    const struct graph *g = s->g;
    struct str base;
    struct graph_keys keys;
    bool has_keys, any = false;
    if (!graph_name_parse(&s->scratch, target, &base, &keys, &has_keys)) {
        return false;
    }
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (str_eq(graph_text(g, g->steps[i].base), base)
            && (!has_keys || keys_fit(s, &g->steps[i], &keys))) {
            take(s, i);
            any = true;
        }
    }
    return any;
}

static bool take_group(struct selection *s, struct str target)
{
    const struct graph *g = s->g;
    for (uint32_t i = 0; i < g->group_count; i++) {
        if (!str_eq(graph_text(g, g->groups[i].name), target)) {
            continue;
        }
        struct grange r = g->groups[i].steps;
        for (uint32_t k = 0; k < r.n; k++) {
            take(s, g->numbers[r.first + k]);
        }
        return true;
    }
    return false;
}

static bool take_include(struct selection *s, struct str target)
{
    const struct graph *g = s->g;
    bool any = false;
    for (uint32_t i = 0; i < g->step_count; i++) {
        struct str base = graph_text(g, g->steps[i].base);
        if (base.n > target.n && base.s[target.n] == '.' && str_starts(base, target)) {
            take(s, i);
            any = true;
        }
    }
    return any;
}

/* An output, or what lies below an output folder. */
static bool take_path(struct selection *s, struct str target)
{
    struct str path;
    if (!path_normalise(&s->scratch, target, &path)) {
        return false;
    }
    for (;;) {
        file_id f = graph_find_file(s->g, path);
        if (f.i != GRAPH_NONE && graph_file(s->g, f)->producer != GRAPH_NONE) {
            take(s, graph_file(s->g, f)->producer);
            return true;
        }
        ptrdiff_t slash = str_rfind_char(path, '/');
        if (slash <= 0) {
            return false;
        }
        path = str_sub(path, 0, (size_t)slash);
    }
}

static struct str nearest(struct selection *s, struct str target)
{
    const struct graph *g = s->g;
    struct table names;
    table_init(&names, &s->scratch);
    for (uint32_t i = 0; i < g->step_count; i++) {
        table_add(&names, graph_text(g, g->steps[i].base), NULL);
        table_add(&names, graph_text(g, g->steps[i].name), NULL);
    }
    for (uint32_t i = 0; i < g->group_count; i++) {
        table_add(&names, graph_text(g, g->groups[i].name), NULL);
    }
    for (uint32_t i = 0; i < g->output_count; i++) {
        table_add(&names, graph_path(g, g->outputs[i].file), NULL);
    }
    return table_nearest(&names, target);
}

static void say_unknown(struct selection *s, struct str target, struct diags *d)
{
    struct str base;
    struct graph_keys keys;
    bool has_keys;
    struct diag *x;
    if (!graph_name_parse(&s->scratch, target, &base, &keys, &has_keys)) {
        x = diag_error(d, "unknown-target", SPAN_NONE,
                       "'%.*s' is no target: its [ ] cannot be read", STR_ARG(target));
        diag_help(d, x, "write 'step[variable=value]', quoted for the shell");
        return;
    }
    if (has_keys && take_instances(s, base)) {
        s->out->n = 0;
        x = diag_error(d, "unknown-target", SPAN_NONE, "no instance of step '%.*s' matches '%.*s'",
                       STR_ARG(base), STR_ARG(target));
        diag_help(d, x, "'pawl list' shows the instances");
        return;
    }
    x = diag_error(d, "unknown-target", SPAN_NONE,
                   "'%.*s' is no step, group, include or output of this pipeline", STR_ARG(target));
    struct str near = nearest(s, target);
    if (near.n) {
        diag_help(d, x, "did you mean '%.*s'?", STR_ARG(near));
    } else {
        diag_help(d, x, "'pawl list' shows the steps");
    }
}

static bool select_one(struct selection *s, struct str target, struct diags *d)
{
    step_id exact = graph_find_step(s->g, target);
    if (exact.i != GRAPH_NONE && s->g->steps[exact.i].command_kind != GRAPH_COMMAND_PENDING) {
        take(s, exact.i);
        return true;
    }
    if (take_instances(s, target) || take_group(s, target) || take_include(s, target)
        || take_path(s, target)) {
        return true;
    }
    say_unknown(s, target, d);
    return false;
}

static void select_default(struct selection *s)
{
    const struct graph *g = s->g;
    for (uint32_t i = 0; i < g->default_count; i++) {
        take(s, g->defaults[i]);
    }
    for (uint32_t i = 0; !g->default_count && i < g->step_count; i++) {
        take(s, i);
    }
}

bool graph_select(const struct graph *g, const struct str *targets, uint32_t count,
                  struct step_list *out, struct diags *d)
{
    struct selection s = {.g = g, .out = out};
    s.taken = mem_alloc(g->step_count + 1);
    for (uint32_t i = 0; i < out->n; i++) {
        s.taken[out->at[i].i] = 1;
    }
    bool good = true;
    if (!count) {
        select_default(&s);
    }
    for (uint32_t i = 0; i < count; i++) {
        good &= select_one(&s, targets[i], d);
    }
    mem_free(s.taken);
    arena_free(&s.scratch);
    return good;
}
