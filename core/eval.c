/* SPDX-License-Identifier: MIT */
/* The order of evaluation: gather what the files define, find the instances of all steps, then who makes
 * which path, then each step. Patterns that were asked for before all outputs were known are held against
 * them, and everything is done again if they do not agree. */
#include "core/eval.h"

#include "core/eval_parts.h"
#include "core/fingerprint.h"

#include <string.h>

static void eval_init(struct eval *e, struct arena *a, const struct eval *like)
{
    *e = (struct eval){.o = like->o,
                       .arena = a,
                       .step_arena = a,
                       .d = like->d,
                       .library = like->library,
                       .origins = like->origins};
    graph_draft_init(&e->g, a);
    table_init(&e->environment, a);
    table_init(&e->unit_paths, a);
    table_init(&e->keys, a);
    table_init(&e->paths, a);
    table_init(&e->excluded, a);
    table_init(&e->excluded_parents, a);
    table_init(&e->parents, a);
    table_init(&e->globs, a);
    for (char *const *p = like->o->environment; p && *p; p++) {
        const char *sign = strchr(*p, '=');
        bool is_new;
        if (!sign) {
            continue;
        }
        table_add(&e->environment, (struct str){*p, (size_t)(sign - *p)}, &is_new);
        if (is_new) {
            *VEC_PUSH(a, &e->environment_values) = str_from(sign + 1);
        }
    }
}

/* Numbers of the graph's sources for those of the diagnostics. */
static void map_sources(struct eval *e)
{
    e->source_map_count = e->d->sources.n + 1;
    e->source_map = ARENA_ARRAY(e->arena, uint32_t, e->source_map_count);
    for (uint32_t i = 0; i < e->source_map_count; i++) {
        e->source_map[i] = GRAPH_NONE;
    }
    for (uint32_t i = 0; i < e->library->files.n; i++) {
        uint32_t source = e->library->files.at[i].source;
        if (source) {
            e->source_map[source] = e->g.sources.n;
            *VEC_PUSH(e->arena, &e->g.sources) = graph_draft_text(&e->g, e->library->paths.keys[i]);
        }
    }
}

/* Values that nobody asked for are evaluated too, so that their mistakes are told. */
static void evaluate_top(struct eval *e)
{
    struct value ignored;
    for (uint32_t i = 0; i < e->params.n; i++) {
        (void)def_value(e, e->params.at[i], &ignored);
    }
    for (uint32_t i = 0; i < e->trees.n; i++) {
        (void)def_tree(e, e->trees.at[i]);
    }
    for (uint32_t i = 0; i < e->probes.n; i++) {
        (void)def_value(e, e->probes.at[i], &ignored);
    }
    for (uint32_t i = 0; i < e->pools.n; i++) {
        (void)block_pool(e, e->pools.at[i]);
    }
    for (uint32_t i = 0; i < e->executors.n; i++) {
        (void)block_executor(e, e->executors.at[i]);
    }
    (void)block_remote(e);
    (void)block_check_cache(e);
}

static void evaluate_lets(struct eval *e)
{
    struct value ignored;
    for (uint32_t i = 0; i < e->lets.n; i++) {
        (void)def_value(e, e->lets.at[i], &ignored);
        e->pending = false;
        e->pending_on.n = 0;
    }
}

static void expand_all(struct eval *e)
{
    for (uint32_t i = 0; i < e->steps.n; i++) {
        (void)step_expand(e, e->steps.at[i]);
        e->pending = false;
        e->pending_on.n = 0;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < e->steps.n; i++) {
        struct step_def *step = e->steps.at[i];
        for (uint32_t k = 0; k < step->count; k++) {
            e->instances.at[step->numbers[k]]->graph = at++;
        }
    }
}

/* Equal names come from equal values. */
static void check_names(struct eval *e, struct step_def *step)
{
    struct table names;
    table_init(&names, e->step_arena);
    for (uint32_t i = 0; i < step->count && step->variables.n; i++) {
        struct str name = instance_name(e, e->instances.at[step->numbers[i]]);
        bool is_new;
        table_add(&names, name, &is_new);
        if (!is_new) {
            struct diag *x = diag_error(e->d, "duplicate-instance", step->def->span,
                                        "two instances would be named '%.*s'", STR_ARG(name));
            diag_help(e->d, x, "a list of a 'for' holds a value twice");
            step->failed = true;
            return;
        }
    }
}

static void emit_all(struct eval *e)
{
    struct arena step_arena = {0};
    e->step_arena = &step_arena;
    for (uint32_t i = 0; i < e->instances.n; i++) {
        VEC_PUSH(e->arena, &e->g.steps);
    }
    for (uint32_t i = 0; i < e->steps.n; i++) {
        struct step_def *step = e->steps.at[i];
        struct arena_mark mark = arena_mark(&step_arena);
        check_names(e, step);
        arena_reset(&step_arena, mark);
        for (uint32_t k = 0; k < step->count && !step->failed; k++) {
            mark = arena_mark(&step_arena);
            step_emit(e, e->instances.at[step->numbers[k]]);
            arena_reset(&step_arena, mark);
        }
    }
    e->step_arena = e->arena;
    arena_free(&step_arena);
}

/* ---- what is about several steps ---- */

static struct grange put_steps(struct eval *e, const struct number_list *all)
{
    struct grange r = {e->g.numbers.n, all->n};
    for (uint32_t i = 0; i < all->n; i++) {
        *VEC_PUSH(e->arena, &e->g.numbers) = e->instances.at[all->at[i]]->graph;
    }
    return r;
}

static void put_group(struct eval *e, struct str name, const struct number_list *all)
{
    struct graph_group *g = VEC_PUSH(e->arena, &e->g.groups);
    g->name = graph_draft_text(&e->g, name);
    g->steps = put_steps(e, all);
}

static void put_groups(struct eval *e)
{
    for (uint32_t i = 0; i < e->groups.n; i++) {
        struct def *def = e->groups.at[i];
        struct scope s = scope_of_unit(e, def->unit);
        struct number_list all = {NULL, 0, 0};
        for (uint32_t k = 0; k < def->at->as.group.refs.n; k++) {
            (void)ref_instances(&s, def->at->as.group.refs.at[k], "a group", &all);
        }
        put_group(e, def->name, &all);
    }
    for (uint32_t i = 0; i < e->aliases.n; i++) {
        const struct step_def *step = e->aliases.at[i].def->step;
        struct number_list all = {step->numbers, step->count, step->count};
        put_group(e, e->aliases.at[i].name, &all);
    }
}

static void put_defaults(struct eval *e)
{
    struct table seen;
    table_init(&seen, e->arena);
    for (uint32_t i = 0; i < e->defaults.n; i++) {
        struct scope s = scope_of_unit(e, e->defaults.at[i].unit);
        const struct ast_exprs *refs = &e->defaults.at[i].at->as.refs;
        struct number_list all = {NULL, 0, 0};
        for (uint32_t k = 0; k < refs->n; k++) {
            (void)ref_instances(&s, refs->at[k], "'default'", &all);
        }
        for (uint32_t k = 0; k < all.n; k++) {
            bool is_new;
            table_add(&seen, (struct str){(const char *)&all.at[k], sizeof all.at[k]}, &is_new);
            if (is_new) {
                *VEC_PUSH(e->arena, &e->g.defaults) = e->instances.at[all.at[k]]->graph;
            }
        }
    }
}

static void put_params(struct eval *e)
{
    for (uint32_t i = 0; i < e->params.n; i++) {
        const struct def *def = e->params.at[i];
        struct graph_named *n = VEC_PUSH(e->arena, &e->g.params);
        n->name = graph_draft_text(&e->g, def->name);
        n->span = scope_gspan(e, def->span);
        struct buf b;
        buf_init(&b, BUF_TEXT_LIMIT);
        if (def->value.kind == VALUE_STRING) {
            n->flags = GRAPH_NAMED_TEXT;
            buf_put_str(&b, def->value.text);
        } else {
            value_put_json(&b, &def->value);
        }
        n->value.bytes = graph_draft_text(&e->g, buf_str(&b));
        buf_free(&b);
    }
}

/* Instances' numbers become the graph's. */
static void number_producers(struct eval *e)
{
    for (uint32_t i = 0; i < e->g.files.n; i++) {
        uint32_t *p = &e->g.files.at[i].producer;
        *p = *p == GRAPH_NONE ? GRAPH_NONE : e->instances.at[*p]->graph;
    }
}

/* ---- rounds ---- */

/* Up to the point where it shows whether patterns and outputs agree. */
static void round_begin(struct eval *e)
{
    if (!load_all(e)) {
        e->broken = true;
    }
    map_sources(e);
    if (e->broken) {
        return;
    }
    if (!param_check_options(e)) {
        e->broken = true;
    }
    evaluate_top(e);
    expand_all(e);
    e->outs_good = outs_evaluate(e);
    evaluate_lets(e);
}

static void round_end(struct eval *e)
{
    globs_check(e);
    emit_all(e);
    put_groups(e);
    put_defaults(e);
    put_params(e);
    globs_put_origins(e);
}

static void exclude_outputs(struct eval *e, const struct eval *before)
{
    for (uint32_t i = 0; i < before->g.outputs.n; i++) {
        struct str path = before->paths.keys[before->g.outputs.at[i].file.i];
        table_add(&e->excluded, path, NULL);
        origins_add_parents(&e->excluded_parents, path);
    }
}

/* Diagnostics so far, to go back to. */
struct diags_mark {
    uint32_t n, errors, warnings, dropped;
};

static struct diags_mark diags_mark(const struct diags *d)
{
    return (struct diags_mark){d->all.n, d->errors, d->warnings, d->dropped};
}

static void diags_reset(struct diags *d, struct diags_mark m)
{
    d->all.n = m.n;
    d->errors = m.errors;
    d->warnings = m.warnings;
    d->dropped = m.dropped;
}

/* The same mistake seen from several instances is one. */
static void diags_unique(struct diags *d, uint32_t from)
{
    uint32_t n = from;
    for (uint32_t i = from; i < d->all.n; i++) {
        const struct diag *x = &d->all.at[i];
        bool seen = false;
        for (uint32_t k = from; k < n && !seen; k++) {
            const struct diag *y = &d->all.at[k];
            seen = x->span.source == y->span.source && x->span.begin == y->span.begin
                   && !strcmp(x->code, y->code) && str_eq(x->message, y->message);
        }
        if (!seen) {
            d->all.at[n++] = *x;
        } else if (x->severity == DIAG_ERROR) {
            d->errors--;
        } else if (x->severity == DIAG_WARNING) {
            d->warnings--;
        }
    }
    d->all.n = n;
}

/* good: no mistake so far. If there is one, those that show in the whole graph are told as well. */
static bool finish(struct eval *e, struct arena *a, struct graph *out, bool good)
{
    if (!e->g.name.n) {
        e->g.name = graph_draft_text(&e->g, e->o->root_name);
    }
    number_producers(e);
    origins_put(e->origins, &e->g);
    if (!graph_finish(&e->g, a, out, e->d) || !good) {
        if (e->outs_good) {
            (void)eval_check_sources(out, e->o->root, NULL, e->d);
        }
        *out = (struct graph){0};
        return false;
    }
    fingerprint_fill_declared(out);
    return true;
}

/* false: the patterns did not hold, and *next says what outputs there are. */
static bool round_holds(struct eval *e, struct eval *next, struct arena *a, uint32_t round)
{
    round_begin(e);
    if (e->broken || e->library->mended || globs_hold(e)) {
        return true;
    }
    if (round + 1 == EVAL_ROUNDS) {
        diag_error(e->d, "glob-cycle", e->glob_results.at[0].span,
                   "which files this pattern gives depends on outputs that depend on the pattern");
        return true;
    }
    eval_init(next, a, e);
    exclude_outputs(next, e);
    return false;
}

bool eval_pipeline(const struct eval_options *o, struct arena *a, struct graph *out,
                   struct diags *d)
{
    struct arena library_arena = {0}, arenas[2] = {{0}, {0}};
    struct library library = {.files = {NULL, 0, 0}};
    struct origins origins;
    table_init(&library.paths, &library_arena);
    table_init(&library.trees, &library_arena);
    origins_init(&origins, &library_arena);
    origins_add_options(&origins, o);
    struct diags_mark mark = diags_mark(d);
    struct eval rounds[2];
    eval_init(&rounds[0], &arenas[0],
              &(struct eval){.o = o, .d = d, .library = &library, .origins = &origins});
    struct eval *e = &rounds[0];
    for (uint32_t i = 0; !round_holds(e, &rounds[(i + 1) % 2], &arenas[(i + 1) % 2], i); i++) {
        graph_draft_free(&e->g);
        arena_free(&arenas[i % 2]);
        e = &rounds[(i + 1) % 2];
        diags_reset(d, mark);
    }
    if (!e->broken) {
        round_end(e);
    }
    diags_unique(d, mark.n);
    bool good = !e->broken && finish(e, a, out, d->errors == mark.errors);
    graph_draft_free(&e->g);
    arena_free(&arenas[0]);
    arena_free(&arenas[1]);
    arena_free(&library_arena);
    return good;
}
