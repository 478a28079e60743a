/* SPDX-License-Identifier: MIT */
/* One instance becomes a step of the graph: its inputs, edges, command and the rest. Invariant: what one step
 * puts into the graph's arrays lies together, and nothing it made in the step arena is kept. */
#include "core/eval_emit.h"

#include <stdlib.h>

static struct arena *scratch(const struct emit *m)
{
    return m->e->step_arena;
}

/* ---- what a value was made from ---- */

#define STAMP(e, vec, count, index, instance)                                                      \
    stamp_take((e), &(vec).at, &(vec).n, &(vec).cap,                                               \
               (struct stamp){(index), (instance)->number + 1, (count)})

struct stamp {
    uint32_t index, mark, count;
};

/* True the first time that this step takes the index. */
static bool stamp_take(struct eval *e, uint32_t **at, uint32_t *n, uint32_t *cap, struct stamp s)
{
    while (*n < s.count) {
        if (*n == *cap) {
            *at = arena_grow(e->arena, *at, cap, sizeof **at);
        }
        (*at)[(*n)++] = 0;
    }
    bool is_new = (*at)[s.index] != s.mark;
    (*at)[s.index] = s.mark;
    return is_new;
}

void emit_edge(struct emit *m, uint32_t instance, enum graph_edge_kind kind)
{
    struct eval *e = m->e;
    if (STAMP(e, e->edge_stamps, e->instances.n, instance, m->i)) {
        struct graph_edge *edge = VEC_PUSH(scratch(m), &m->edges);
        *edge = (struct graph_edge){{instance}, (uint32_t)kind};
    }
}

static void add_input(struct emit *m, const struct graph_input *input)
{
    struct eval *e = m->e;
    if (STAMP(e, e->file_stamps, e->g.files.n, input->file.i, m->i)) {
        *VEC_PUSH(scratch(m), &m->inputs) = *input;
    }
}

struct taker {
    struct emit *m;
    enum taking how;
    struct span at;
};

static void mention(struct emit *m, const struct value_ref *ref, struct span at)
{
    struct eval *e = m->e;
    const struct instance *from = e->instances.at[ref->number];
    const struct out_value *x = &from->outs[ref->output];
    for (uint32_t i = x->first; i < x->first + x->n; i++) {
        add_input(m, &(struct graph_input){.file = e->g.outputs.at[i].file,
                                           .kind = GRAPH_MENTION,
                                           .span = scope_gspan(e, at)});
    }
}

void emit_probe(struct emit *m, uint32_t number)
{
    for (uint32_t i = 0; i < m->probes.n; i++) {
        if (m->probes.at[i] == number) {
            return;
        }
    }
    *VEC_PUSH(scratch(m), &m->probes) = number;
}

static void take_ref(void *context, const struct value_ref *ref)
{
    const struct taker *t = context;
    struct emit *m = t->m;
    struct eval *e = m->e;
    if (ref->kind == VALUE_REF_PARAM) {
        if (STAMP(e, e->key_stamps, e->key_values.n, ref->number, m->i)) {
            *VEC_PUSH(scratch(m), &m->keys) = ref->number;
        }
        return;
    }
    if (ref->kind == VALUE_REF_COPY) {
        if (t->how == TAKE_MENTION) {
            *VEC_PUSH(scratch(m), &m->copies) = *ref;
        }
        return;
    }
    if (ref->kind == VALUE_REF_PROBE) { /* what it prints must be known before */
        emit_probe(m, ref->number);
        return;
    }
    bool self = ref->number == m->i->number;
    if (self && (t->how == TAKE_METRIC || (t->how == TAKE_MENTION && !ref->value_only))) {
        return;
    }
    if (self && t->how == TAKE_NEED && m->failed) { /* told as an input that is an output */
        return;
    }
    emit_edge(m, ref->number, GRAPH_NEED);
    if (t->how == TAKE_MENTION && !ref->value_only && ref->output != GRAPH_NONE) {
        mention(m, ref, t->at);
    }
}

void emit_refs(struct emit *m, const struct value *v, enum taking how, struct span at)
{
    struct taker t = {m, how, at};
    value_each_ref(v, take_ref, &t);
}

/* Of the refs only those to copies: the value is where the command works. */
static void emit_copies(struct emit *m, const struct value *v)
{
    for (uint32_t i = 0; v->refs && i < v->refs->count; i++) {
        if (v->refs->at[i].kind == VALUE_REF_COPY) {
            *VEC_PUSH(scratch(m), &m->copies) = v->refs->at[i];
        }
    }
}

void emit_settle(struct emit *m, bool good)
{
    struct eval *e = m->e;
    if (good) {
        return;
    }
    if (!e->pending) {
        m->failed = true;
        return;
    }
    e->pending = false;
    for (uint32_t i = 0; i < e->pending_on.n; i++) {
        emit_edge(m, e->pending_on.at[i], GRAPH_NEED);
    }
    e->pending_on.n = 0;
    m->waits = true;
    m->out.pending = file_number(e, e->pending_dir, 0);
}

/* ---- inputs ---- */

static void say_own_output(struct emit *m, struct str path, struct span at)
{
    struct diag *x =
        diag_error(m->e->d, "own-output", at, "'%.*s' is an input and an output of step '%.*s'",
                   STR_ARG(path), STR_ARG(m->i->step->def->name));
    diag_help(m->e->d, x, "a step cannot need what it makes: write to another path");
    m->failed = true;
}

/* A dir output of this step that the path would be removed with. */
static bool is_over(struct emit *m, struct str path)
{
    struct eval *e = m->e;
    for (uint32_t i = 0; i < m->i->output_count; i++) {
        uint32_t f = e->g.outputs.at[m->i->first_output + i].file.i;
        if (path_is_below(path, e->paths.keys[f])) {
            return true;
        }
    }
    return false;
}

static void add_path(struct emit *m, const struct value *v, const struct graph_input *like,
                     struct span at)
{
    struct eval *e = m->e;
    struct graph_input input = *like;
    if (v->uri.n) {
        input.file.i = file_number(e, v->uri, GRAPH_FILE_S3);
        add_input(m, &input);
        return;
    }
    uint32_t inside, maker = path_producer(e, v->text, &inside);
    if (maker == m->i->number || is_over(m, v->text)) {
        say_own_output(m, v->text, at);
        return;
    }
    input.file.i = file_number(e, v->text, 0);
    if (inside != GRAPH_NONE) {
        e->g.files.at[input.file.i].producer = maker;
        e->g.files.at[input.file.i].inside = inside;
    }
    add_input(m, &input);
    if (maker != GRAPH_NONE) {
        emit_edge(m, maker, GRAPH_NEED);
    }
}

static void add_paths(struct emit *m, const struct value *v, const struct graph_input *like,
                      struct span at)
{
    if (v->kind != VALUE_LIST) {
        add_path(m, v, like, at);
        return;
    }
    for (uint32_t i = 0; i < v->count && !m->failed; i++) {
        add_paths(m, &v->items[i], like, at);
    }
}

/* The same name in two templates, or in one and the step, must mean the same. */
static void check_same(struct emit *m, const struct own *own, const struct value *v)
{
    const struct own *first = &m->i->step->owns.at[own->same];
    struct scope s = item_scope(m->e, m->i, first->flat);
    struct value other;
    bool good = own_value(&s, own->same, &other);
    emit_settle(m, good);
    if (!good || value_eq(v, &other)) {
        return;
    }
    struct diag *x = diag_error(m->e->d, "conflicting-item", own->binding->span,
                                "'%.*s' has two different values in step '%.*s'",
                                STR_ARG(own->name), STR_ARG(m->i->step->def->name));
    diag_note(m->e->d, x, first->binding->span, "the other one is here");
    diag_help(m->e->d, x, "give one of them another name");
    m->failed = true;
}

/* A value of the step itself; all are evaluated, so that their mistakes are told. */
static void emit_own(struct emit *m, uint32_t number)
{
    struct eval *e = m->e;
    const struct own *own = &m->i->step->owns.at[number];
    struct scope s = item_scope(e, m->i, own->flat);
    struct value v;
    struct span at = own->binding->value ? own->binding->value->span : own->binding->span;
    if (own->overruled) {
        return;
    }
    bool good = own_value(&s, number, &v);
    emit_settle(m, good);
    if (!good) {
        return;
    }
    if (own->same != GRAPH_NONE) {
        check_same(m, own, &v);
    }
    if (own->kind != OWN_IN && own->kind != OWN_CODE) {
        return;
    }
    struct graph_input like = {.kind = own->kind == OWN_IN ? GRAPH_IN : GRAPH_CODE,
                               .name = graph_draft_text(&e->g, own->name),
                               .span = scope_gspan(e, at)};
    add_paths(m, &v, &like, at);
    emit_refs(m, &v, TAKE_NEED, at);
}

static void emit_owns(struct emit *m)
{
    struct eval *e = m->e;
    struct instance *i = m->i;
    for (uint32_t k = 0; k < i->step->owns.n; k++) {
        emit_own(m, k);
    }
    for (uint32_t k = 0; k < i->step->out_count; k++) {
        struct value made = {.refs = i->outs && i->outs[k].state == LAZY_DONE ? i->outs[k].made_from
                                                                              : NULL};
        emit_refs(m, &made, TAKE_NEED, SPAN_NONE);
    }
    for (uint32_t k = 0; k < i->known; k++) {
        if (i->labels[k].n) {
            const struct ast_name *name = &i->step->variables.at[k];
            struct graph_input like = {.kind = GRAPH_IN,
                                       .name = graph_draft_text(&e->g, name->text),
                                       .span = scope_gspan(e, name->span)};
            add_path(m, &i->variables[k], &like, name->span);
        }
    }
}

/* ---- items that stand once ---- */

/* Evaluates the item's expression to a known value of that kind; false if it is not there or wrong. */
static bool once(struct emit *m, enum ast_item_kind kind, enum value_kind want, struct value *out)
{
    const struct flat_item *flat = item_single(m->i->step, kind);
    if (!flat) {
        return false;
    }
    struct scope s = item_scope(m->e, m->i, flat);
    struct str what = str_join3(scratch(m), STR("'"), str_from(ast_keyword(kind)), STR("'"));
    bool good = expr_need(&s, flat->item->as.expr, want, what, out);
    emit_settle(m, good);
    if (good) {
        emit_refs(m, out, TAKE_NEED, flat->item->span);
    }
    return good;
}

static void emit_cwd(struct emit *m)
{
    struct value v;
    m->cwd = STR(".");
    if (once(m, AST_ITEM_CWD, VALUE_STRING, &v)) {
        const struct flat_item *flat = item_single(m->i->step, AST_ITEM_CWD);
        if (!path_normalise(scratch(m), v.text, &m->cwd)) {
            diag_error(m->e->d, "outside-workspace", flat->item->as.expr->span,
                       "'cwd' is not within the workspace: '%.*s'", STR_ARG(v.text));
            m->failed = true;
        }
        emit_copies(m, &v);
    }
    m->out.cwd = graph_draft_text(&m->e->g, m->cwd);
}

static void say_bad_value(struct emit *m, struct span at, const char *message)
{
    diag_error(m->e->d, "bad-value", at, "%s", message);
    m->failed = true;
}

static void emit_retry(struct emit *m)
{
    const struct flat_item *flat = item_single(m->i->step, AST_ITEM_RETRY);
    if (!flat) {
        return;
    }
    struct scope s = item_scope(m->e, m->i, flat);
    const struct ast_expr *count = flat->item->as.retry.count,
                          *backoff = flat->item->as.retry.backoff;
    struct value v;
    bool good = expr_need(&s, count, VALUE_INT, STR("'retry'"), &v);
    if (good && (v.integer < 0 || v.integer > 1000)) {
        say_bad_value(m, count->span, "'retry' wants a whole number from 0 to 1000");
    }
    m->out.retries = good ? (uint32_t)v.integer : 0;
    emit_settle(m, good);
    if (backoff) {
        good = expr_need(&s, backoff, VALUE_DURATION, STR("'backoff'"), &v);
        emit_settle(m, good);
        m->out.backoff_ns = good && v.integer > 0 ? v.integer : 0;
    }
}

static bool find_ref(struct emit *m, enum ast_item_kind kind, enum names_kind names,
                     struct def **def)
{
    const struct flat_item *flat = item_single(m->i->step, kind);
    if (!flat) {
        return false;
    }
    struct eval *e = m->e;
    struct scope s = item_scope(e, m->i, flat);
    const struct ast_expr *expr = flat->item->as.expr;
    const struct table *near = &s.unit->space->names[names].table;
    *def = NULL;
    struct str name = STR("");
    if (expr->kind == AST_NAME) {
        name = expr->as.name.text;
        *def = scope_find(&s, names, name);
    } else if (expr->kind == AST_MEMBER) {
        struct target t;
        name = expr->as.member.name.text;
        if (ref_resolve(&s, expr->as.member.of, &t) && t.kind == TARGET_SPACE) {
            near = &t.def->space->names[names].table;
            *def = names_find(t.def->space, names, name);
        }
    }
    if (*def) {
        return (*def)->in_graph;
    }
    if (names == NAMES_EXECUTORS && str_eq(name, STR("local"))) {
        return false;
    }
    struct diag *x = diag_error(e->d, names == NAMES_POOLS ? "unknown-pool" : "unknown-executor",
                                expr->span, "there is no %s '%.*s'",
                                names == NAMES_POOLS ? "pool" : "executor", STR_ARG(name));
    if (table_nearest(near, name).n) {
        scope_help_nearest(e, x, near, name);
    } else if (names == NAMES_POOLS) {
        diag_help(e->d, x, "define it, as in 'pool %.*s = 1'", STR_ARG(name));
    } else {
        diag_help(e->d, x, "define it, as in 'executor %.*s { kind = \"slurm\" }'", STR_ARG(name));
    }
    m->failed = true;
    return false;
}

static void emit_when(struct emit *m)
{
    const struct flat_item *flat = item_single(m->i->step, AST_ITEM_WHEN);
    if (!flat) {
        return;
    }
    struct eval *e = m->e;
    struct scope s = item_scope(e, m->i, flat);
    const struct ast_expr *expr = flat->item->as.expr;
    struct function_host host;
    struct value_work w = expr_work(&s, &host);
    struct value v, known;
    bool good = expr_eval(&s, expr, &v);
    struct value_part part = {&v, STR_NONE, expr->span};
    good =
        good && value_need(&w, &part, (struct value_want){VALUE_BOOL, STR("'when'")}, &known, e->d);
    emit_settle(m, good);
    if (!good) {
        return;
    }
    emit_refs(m, &v, TAKE_NEED, expr->span);
    m->out.when_span = scope_gspan(e, expr->span);
    if (known.kind == VALUE_LATE || !known.boolean) {
        m->out.when = command_put(e, &known);
    }
}

static void emit_singles(struct emit *m)
{
    struct value v;
    if (once(m, AST_ITEM_TEXT, VALUE_STRING, &v)) {
        m->out.about = graph_draft_text(&m->e->g, v.text);
    }
    if (once(m, AST_ITEM_TRACE, VALUE_BOOL, &v) && v.boolean) {
        m->out.flags |= GRAPH_STEP_TRACE;
    }
    if (once(m, AST_ITEM_TIMEOUT, VALUE_DURATION, &v)) {
        m->out.timeout_ns = v.integer;
        if (v.integer <= 0) {
            say_bad_value(m, item_single(m->i->step, AST_ITEM_TIMEOUT)->item->as.expr->span,
                          "'timeout' wants a duration above zero");
        }
    }
    emit_retry(m);
    emit_when(m);
    struct def *def;
    if (find_ref(m, AST_ITEM_POOL, NAMES_POOLS, &def)) {
        m->out.pool = def->number;
    }
    if (find_ref(m, AST_ITEM_ON, NAMES_EXECUTORS, &def)) {
        m->out.executor = def->number;
    }
    struct value made = {.refs = NULL};
    emit_settle(m, block_cache(m->e, m->i, &m->out, &made));
    emit_settle(m, block_resources(m->e, m->i, &m->out, &made));
    emit_refs(m, &made, TAKE_NEED, SPAN_NONE);
}

static void emit_command(struct emit *m)
{
    struct value mentioned = {.refs = NULL};
    const struct flat_item *flat = item_single(m->i->step, AST_ITEM_RUN);
    bool good = command_emit(m->e, m->i, m->cwd, &m->out, &mentioned);
    emit_settle(m, good);
    if (good) {
        bool fail = m->out.command_kind == GRAPH_COMMAND_FAIL;
        emit_refs(m, &mentioned, fail ? TAKE_NEED : TAKE_MENTION, flat->item->span);
    }
}

/* ---- together ---- */

static int by_file(const void *x, const void *y)
{
    uint32_t a = ((const struct value_ref *)x)->number, b = ((const struct value_ref *)y)->number;
    return (a > b) - (a < b);
}

/* Which inputs in S3 the command knows by their copies, and which by their URIs. */
static void mark_copies(struct emit *m)
{
    if (m->copies.n == 0) {
        return;
    }
    qsort(m->copies.at, m->copies.n, sizeof *m->copies.at, by_file);
    for (uint32_t i = 0; i < m->inputs.n; i++) {
        struct graph_input *in = &m->inputs.at[i];
        const struct value_ref key = {.number = in->file.i},
                               *found =
                                   bsearch(&key, m->copies.at, m->copies.n, sizeof key, by_file);
        while (found && found > m->copies.at && found[-1].number == in->file.i) {
            found--;
        }
        for (; found && found < m->copies.at + m->copies.n && found->number == in->file.i;
             found++) {
            in->flags |= found->output ? GRAPH_INPUT_URI : GRAPH_INPUT_COPY;
        }
    }
}

static void put_edges(struct emit *m)
{
    mark_copies(m);
    struct graph_draft *g = &m->e->g;
    m->out.needs = (struct grange){g->edges.n, m->edges.n};
    for (uint32_t k = 0; k < m->edges.n; k++) {
        struct graph_edge *edge = VEC_PUSH(g->arena, &g->edges);
        *edge = m->edges.at[k];
        edge->step.i = m->e->instances.at[edge->step.i]->graph;
    }
    m->out.inputs = (struct grange){g->inputs.n, m->inputs.n};
    for (uint32_t k = 0; k < m->inputs.n; k++) {
        *VEC_PUSH(g->arena, &g->inputs) = m->inputs.at[k];
    }
}

static void put_pending(struct emit *m)
{
    struct graph_step *out = &m->out;
    struct eval *e = m->e;
    out->command_kind = GRAPH_COMMAND_PENDING;
    out->command = out->command_tracked = (struct gexpr){{0, 0}, 0};
    if (m->i->waits) {
        out->pending = file_number(e, m->i->waits_for, 0);
        out->pending_variable = graph_draft_text(&e->g, m->i->step->variables.at[m->i->known].text);
        emit_edge(m, m->i->waits_on, GRAPH_NEED);
    }
}

void step_emit(struct eval *e, struct instance *i)
{
    struct emit m = {.e = e, .i = i};
    m.waits = i->waits;
    m.out = (struct graph_step){.pending = GRAPH_NONE,
                                .pool = GRAPH_NONE,
                                .executor = GRAPH_NONE,
                                .remote = GRAPH_REMOTE_READ_WRITE};
    m.out.command_span.source = m.out.when_span.source = GRAPH_NONE;
    i->own = i->args = NULL;
    i->own_state = i->arg_state = NULL;
    struct str name = instance_name(e, i);
    m.out.name = graph_draft_text(&e->g, name);
    m.out.base = i->known ? graph_draft_text(&e->g, i->step->def->name) : m.out.name;
    m.out.span = scope_gspan(e, i->step->def->span);
    m.out.outputs = (struct grange){i->first_output, i->output_count};
    emit_cwd(&m);
    emit_owns(&m);
    emit_variables(&m);
    emit_singles(&m);
    emit_env(&m);
    emit_command(&m);
    emit_metrics(&m);
    emit_texts(&m);
    emit_numbers(&m);
    emit_after(&m);
    emit_params(&m);
    if (m.waits && !m.failed) {
        put_pending(&m);
    }
    put_edges(&m);
    e->g.steps.at[i->graph] = m.out;
    i->step->failed |= m.failed;
    i->own = i->args = NULL;
}
