/* SPDX-License-Identifier: MIT */
/* What of a step has a name: variables, environment, parameters, metrics; and the lists of names: secrets,
 * tools, probes. */
#include "core/eval_emit.h"

#include <stdlib.h>

static struct arena *scratch(const struct emit *m)
{
    return m->e->step_arena;
}

/* ---- named values ---- */

/* A graph_named whose name is still a text of its own, so that it can be sorted. */
struct pending_named {
    struct str name;
    struct graph_named named;
};

static int by_name(const void *x, const void *y)
{
    const struct pending_named *a = x, *b = y;
    return str_cmp(a->name, b->name);
}

struct pending_list {
    struct pending_named *at;
    uint32_t n, cap;
};

static struct graph_named *add_named(struct emit *m, struct pending_list *list, struct str name)
{
    if (list->n == list->cap) {
        list->at = arena_grow(scratch(m), list->at, &list->cap, sizeof *list->at);
    }
    struct pending_named *p = &list->at[list->n++];
    *p = (struct pending_named){.name = name};
    p->named.span.source = GRAPH_NONE;
    return &p->named;
}

static struct grange put_named(struct emit *m, struct pending_list *list, bool sorted)
{
    struct graph_draft *g = &m->e->g;
    if (sorted && list->n) {
        qsort(list->at, list->n, sizeof *list->at, by_name);
    }
    struct grange r = {g->named.n, list->n};
    for (uint32_t i = 0; i < list->n; i++) {
        struct graph_named *n = VEC_PUSH(g->arena, &g->named);
        *n = list->at[i].named;
        n->name = graph_draft_text(g, list->at[i].name);
    }
    return r;
}

static bool has_named(const struct pending_list *list, struct str name)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (str_eq(list->at[i].name, name)) {
            return true;
        }
    }
    return false;
}

void emit_variables(struct emit *m)
{
    struct eval *e = m->e;
    struct instance *i = m->i;
    struct pending_list list = {NULL, 0, 0};
    for (uint32_t k = 0; k < i->known; k++) {
        struct graph_named *n = add_named(m, &list, i->step->variables.at[k].text);
        struct str text = value_print(scratch(m), &i->variables[k]);
        n->value.bytes = graph_draft_text(&e->g, text);
        emit_refs(m, &i->variables[k], TAKE_METRIC, SPAN_NONE);
    }
    m->out.variables = put_named(m, &list, false);
}

static bool check_secret_name(struct emit *m, const struct own *own)
{
    if (!function_is_secret_name(own->name)) {
        return true;
    }
    struct diag *x = diag_error(m->e->d, "secret-name", own->binding->name.span,
                                "'%.*s' looks like a secret, and 'env' would store its value",
                                STR_ARG(own->name));
    diag_help(m->e->d, x, "say 'secret %.*s': it is given to the command and kept nowhere",
              STR_ARG(own->name));
    m->failed = true;
    return false;
}

static void emit_one_env(struct emit *m, const struct own *own, uint32_t number,
                         struct pending_list *list)
{
    struct eval *e = m->e;
    struct scope s = item_scope(e, m->i, own->flat);
    struct value v, text;
    if (!check_secret_name(m, own) || !own_value(&s, number, &v)) {
        return; /* told by emit_own */
    }
    struct function_host host;
    struct value_work w = expr_work(&s, &host);
    struct span at = own->binding->value ? own->binding->value->span : own->binding->span;
    struct value_part part = {&v, STR_NONE, at};
    struct value_style style = {m->cwd, false};
    bool good = value_text(&w, (struct value_parts){&part, 1}, &style, &text, e->d);
    emit_settle(m, good);
    if (!good) {
        return;
    }
    emit_refs(m, &text, TAKE_MENTION, at);
    struct graph_named *n = add_named(m, list, own->name);
    n->span = scope_gspan(e, own->binding->span);
    if (!own->binding->value) {
        bool set = table_find(&e->environment, own->name) != TABLE_NONE;
        n->flags = GRAPH_NAMED_FROM_CALLER | (set ? 0 : GRAPH_NAMED_UNSET);
    }
    n->value = text.untracked ? command_put_encoded(e, &text) : command_put(e, &text);
}

void emit_env(struct emit *m)
{
    struct pending_list list = {NULL, 0, 0};
    for (uint32_t k = 0; k < m->i->step->owns.n; k++) {
        const struct own *own = &m->i->step->owns.at[k];
        if (own->kind == OWN_ENV && !own->overruled) {
            emit_one_env(m, own, k, &list);
        }
    }
    m->out.env = put_named(m, &list, true);
}

/* ---- param ---- */

static struct str ref_text(struct emit *m, const struct ast_expr *e)
{
    if (e->kind == AST_NAME) {
        return e->as.name.text;
    }
    if (e->kind == AST_MEMBER) {
        return str_join3(scratch(m), ref_text(m, e->as.member.of), STR("."),
                         e->as.member.name.text);
    }
    return STR("?");
}

/* What a program may read as a parameter: param, a key of a parameter file, a `for` variable, a template's
 * parameter. */
static bool is_param(const struct scope *s, const struct ast_expr *e)
{
    if (e->kind != AST_NAME) {
        return true;
    }
    const struct step_def *step = s->instance->step;
    for (uint32_t i = 0; i < step->variables.n; i++) {
        if (str_eq(step->variables.at[i].text, e->as.name.text)) {
            return true;
        }
    }
    const struct def *def = scope_find(s, NAMES_VALUES, e->as.name.text);
    const struct def *tree = scope_find(s, NAMES_THINGS, e->as.name.text);
    return (def && def->kind == DEF_PARAM) || (tree && tree->kind == DEF_TREE) || s->frame;
}

static bool param_item_value(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    struct target t = {.kind = TARGET_NONE};
    const struct def *value =
        e->kind == AST_NAME ? scope_find(s, NAMES_VALUES, e->as.name.text) : NULL;
    if (e->kind == AST_NAME && !value && !ref_resolve(s, e, &t)) {
        return false;
    }
    return t.kind == TARGET_TREE ? ref_eval(s, e, out) : expr_eval(s, e, out);
}

static void put_param_value(struct emit *m, struct graph_named *n, const struct value *v)
{
    if (v->kind == VALUE_STRING) {
        n->flags |= GRAPH_NAMED_TEXT;
        n->value.bytes = graph_draft_text(&m->e->g, v->text);
        return;
    }
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    value_put_json(&b, v);
    n->value.bytes = graph_draft_text(&m->e->g, buf_str(&b));
    buf_free(&b);
}

static void emit_one_param(struct emit *m, const struct flat_item *flat, const struct ast_expr *e,
                           struct pending_list *list)
{
    struct scope s = item_scope(m->e, m->i, flat);
    struct str name = ref_text(m, e);
    s.header = true; /* a step's own names are no parameters */
    if (has_named(list, name)) {
        return;
    }
    if (!is_param(&s, e)
        && (scope_find(&s, NAMES_VALUES, name) || scope_find(&s, NAMES_THINGS, name)
            || table_find(&m->i->step->own_names, name) != TABLE_NONE)) {
        struct diag *x =
            diag_error(m->e->d, "not-a-param", e->span, "'%.*s' is no parameter", STR_ARG(name));
        diag_help(m->e->d, x, "define it with 'param', or give it to the command as '{{%.*s}}'",
                  STR_ARG(name));
        m->failed = true;
        return;
    }
    struct value v;
    bool good = param_item_value(&s, e, &v) && expr_is_known(&s, &v, e->span, "a parameter");
    emit_settle(m, good);
    if (good) {
        struct graph_named *n = add_named(m, list, name);
        n->span = scope_gspan(m->e, e->span);
        put_param_value(m, n, &v);
    }
}

/* After everything else was evaluated: parameters that were used without being declared are added as INFO. */
void emit_params(struct emit *m)
{
    struct eval *e = m->e;
    struct pending_list list = {NULL, 0, 0};
    for (uint32_t k = 0; k < m->i->step->items.n; k++) {
        const struct flat_item *flat = &m->i->step->items.at[k];
        for (uint32_t j = 0; flat->item->kind == AST_ITEM_PARAM && j < flat->item->as.refs.n; j++) {
            emit_one_param(m, flat, flat->item->as.refs.at[j], &list);
        }
    }
    for (uint32_t k = 0; k < m->keys.n; k++) {
        const struct key_value *key = &e->key_values.at[m->keys.at[k]];
        if (!has_named(&list, key->name)) {
            struct graph_named *n = add_named(m, &list, key->name);
            n->flags = GRAPH_NAMED_INFO;
            put_param_value(m, n, &key->value);
        }
    }
    m->out.params = put_named(m, &list, true);
}

/* ---- the other items ---- */

static bool is_whole_file(const struct ast_expr *e)
{
    return e->kind == AST_CALL && str_eq(e->as.call.function.text, STR("json"))
           && e->as.call.args.n == 1;
}

void emit_metrics(struct emit *m)
{
    struct eval *e = m->e;
    const struct step_def *step = m->i->step;
    struct pending_list list = {NULL, 0, 0};
    for (uint32_t k = step->items.n; k-- > 0;) {
        const struct flat_item *flat = &step->items.at[k];
        const struct ast_binding *b = &flat->item->as.binding;
        if (flat->item->kind != AST_ITEM_METRIC || has_named(&list, b->name.text)) {
            continue; /* a later layer's wins */
        }
        struct scope s = item_scope(e, m->i, flat);
        struct value v;
        bool good = expr_eval(&s, b->value, &v);
        emit_settle(m, good);
        if (!good) {
            continue;
        }
        emit_refs(m, &v, TAKE_METRIC, b->value->span);
        struct graph_named *n = add_named(m, &list, b->name.text);
        n->flags = is_whole_file(b->value) ? GRAPH_NAMED_WHOLE_FILE : 0;
        n->span = scope_gspan(e, b->span);
        n->value = command_put(e, &v);
    }
    for (uint32_t i = 0; i < list.n / 2; i++) { /* in the order of the file */
        struct pending_named swap = list.at[i];
        list.at[i] = list.at[list.n - 1 - i];
        list.at[list.n - 1 - i] = swap;
    }
    m->out.metrics = put_named(m, &list, false);
}

void emit_texts(struct emit *m)
{
    struct eval *e = m->e;
    const struct step_def *step = m->i->step;
    struct table seen;
    table_init(&seen, scratch(m));
    m->out.secrets.first = e->g.texts.n;
    for (uint32_t k = 0; k < step->items.n; k++) {
        const struct ast_item *item = step->items.at[k].item;
        for (uint32_t j = 0; item->kind == AST_ITEM_SECRET && j < item->as.names.n; j++) {
            bool is_new;
            table_add(&seen, item->as.names.at[j].text, &is_new);
            if (is_new) {
                *VEC_PUSH(e->g.arena, &e->g.texts) =
                    graph_draft_text(&e->g, item->as.names.at[j].text);
                m->out.secrets.n++;
            }
        }
    }
    m->out.tools.first = e->g.texts.n;
    for (uint32_t k = 0; k < step->items.n; k++) {
        const struct flat_item *flat = &step->items.at[k];
        struct scope s = item_scope(e, m->i, flat);
        struct value v;
        if (flat->item->kind != AST_ITEM_TOOL) {
            continue;
        }
        bool good = expr_need(&s, flat->item->as.expr, VALUE_STRING, STR("'tool'"), &v);
        emit_settle(m, good);
        if (good) {
            *VEC_PUSH(e->g.arena, &e->g.texts) = graph_draft_text(&e->g, v.text);
            m->out.tools.n++;
        }
    }
}

static void emit_probe_item(struct emit *m, const struct flat_item *flat,
                            const struct ast_expr *expr)
{
    struct eval *e = m->e;
    struct scope s = item_scope(e, m->i, flat);
    struct def *def =
        expr->kind == AST_NAME ? scope_find(&s, NAMES_VALUES, expr->as.name.text) : NULL;
    struct target t = {.kind = TARGET_NONE};
    if (expr->kind == AST_MEMBER && ref_resolve(&s, expr, &t) && t.kind == TARGET_VALUE) {
        def = t.def;
    }
    struct value ignored;
    if (def && def->kind == DEF_PROBE) {
        bool good = def_value(e, def, &ignored);
        emit_settle(m, good);
        if (good) {
            emit_probe(m, def->number);
        }
        return;
    }
    struct str name = ref_text(m, expr);
    struct diag *x =
        diag_error(e->d, "unknown-probe", expr->span, "there is no probe '%.*s'", STR_ARG(name));
    struct table names;
    table_init(&names, scratch(m));
    for (uint32_t i = 0; i < e->probes.n; i++) {
        table_add(&names, e->probes.at[i]->name, NULL);
    }
    scope_help_nearest(e, x, &names, name);
    m->failed = true;
}

void emit_numbers(struct emit *m)
{
    struct eval *e = m->e;
    const struct step_def *step = m->i->step;
    for (uint32_t k = 0; k < step->items.n; k++) {
        const struct flat_item *flat = &step->items.at[k];
        for (uint32_t j = 0; flat->item->kind == AST_ITEM_PROBE && j < flat->item->as.refs.n; j++) {
            emit_probe_item(m, flat, flat->item->as.refs.at[j]);
        }
    }
    m->out.probes = (struct grange){e->g.numbers.n, m->probes.n};
    for (uint32_t k = 0; k < m->probes.n; k++) {
        *VEC_PUSH(e->g.arena, &e->g.numbers) = m->probes.at[k];
    }
    m->out.depfiles.first = e->g.numbers.n;
    for (uint32_t k = 0; k < step->owns.n; k++) {
        const struct own *own = &step->owns.at[k];
        struct scope s = item_scope(e, m->i, own->flat);
        struct value v;
        bool wanted = (own->kind == OWN_DEPFILE || own->kind == OWN_CHECKPOINT) && !own->overruled;
        if (!wanted || m->failed || m->waits || !own_value(&s, k, &v) || v.kind != VALUE_STRING) {
            continue;
        }
        const char *what = own->kind == OWN_CHECKPOINT ? "checkpoint" : "depfile";
        if (!output_is_allowed(e, what, &v, own->binding->value->span)) {
            m->failed = true;
            continue;
        }
        if (own->kind == OWN_CHECKPOINT) {
            m->out.checkpoint = graph_draft_text(&e->g, v.text);
            continue;
        }
        *VEC_PUSH(e->g.arena, &e->g.numbers) = file_number(e, v.text, 0);
        m->out.depfiles.n++;
    }
}

void emit_after(struct emit *m)
{
    const struct step_def *step = m->i->step;
    for (uint32_t k = 0; k < step->items.n; k++) {
        const struct flat_item *flat = &step->items.at[k];
        struct scope s = item_scope(m->e, m->i, flat);
        for (uint32_t j = 0; flat->item->kind == AST_ITEM_AFTER && j < flat->item->as.refs.n; j++) {
            struct number_list all = {NULL, 0, 0};
            bool good = ref_instances(&s, flat->item->as.refs.at[j], "'after'", &all);
            emit_settle(m, good);
            for (uint32_t n = 0; good && n < all.n; n++) {
                emit_edge(m, all.at[n], GRAPH_AFTER);
            }
        }
    }
}
