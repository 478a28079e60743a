/* SPDX-License-Identifier: MIT */
/* What names, members and selections reach: values of this step or file, steps' outputs, keys of parameter
 * files. A name that is followed by . or [ is asked among steps, groups, includes and trees first. */
#include "core/eval_parts.h"

#include <string.h>

bool pending_hit(struct eval *e, const struct instance *i)
{
    e->pending = true;
    e->pending_dir = i->waits_for;
    *VEC_PUSH(e->arena, &e->pending_on) = i->number;
    return false;
}

/* ---- values by name ---- */

static bool variable_value(const struct scope *s, struct str name, struct value *out, bool *found)
{
    const struct instance *i = s->instance;
    const struct step_def *step = i->step;
    *found = false;
    for (uint32_t k = step->variables.n; k-- > 0;) {
        if (!str_eq(step->variables.at[k].text, name)) {
            continue;
        }
        if (k < i->known) {
            *found = true;
            *out = i->variables[k];
            return true;
        }
        if (i->waits) {
            *found = true;
            s->e->pending = true;
            s->e->pending_dir = i->waits_for;
            *VEC_PUSH(s->e->arena, &s->e->pending_on) = i->waits_on;
            return false;
        }
    }
    return true;
}

static uint32_t frame_param(const struct frame *f, struct str name)
{
    const struct ast_template *t = &f->template->at->as.template;
    for (uint32_t i = 0; i < t->params.n; i++) {
        if (str_eq(t->params.at[i].name.text, name)) {
            return i;
        }
    }
    return GRAPH_NONE;
}

bool ref_name_eval(const struct scope *s, const struct ast_name *name, struct value *out)
{
    if (s->instance) {
        const struct step_def *step = s->instance->step;
        uint32_t i = s->header ? TABLE_NONE : table_find(&step->own_names, name->text);
        uint32_t own = i == TABLE_NONE ? GRAPH_NONE : step->own_of_name.at[i];
        bool self = s->self_own != GRAPH_NONE && own != GRAPH_NONE
                    && str_eq(step->owns.at[s->self_own].name, name->text);
        if (own != GRAPH_NONE && !self) {
            return own_value(s, own, out);
        }
        bool found;
        bool good = variable_value(s, name->text, out, &found);
        if (found) {
            return good;
        }
    }
    if (s->frame && !s->self_args) {
        uint32_t i = frame_param(s->frame, name->text);
        if (i != GRAPH_NONE) {
            return arg_value(s, i, out);
        }
    }
    struct def *def = scope_find(s, NAMES_VALUES, name->text);
    if (def) {
        return def_value(s->e, def, out);
    }
    scope_say_unknown(s, name->text, name->span);
    return false;
}

/* ---- things ---- */

static bool target_of_def(const struct scope *s, struct def *def, struct span at,
                          struct target *out)
{
    *out = (struct target){.kind = TARGET_NONE, .span = at, .def = def};
    switch (def->kind) {
    case DEF_STEP: {
        if (!step_expand(s->e, def->step)) {
            return false;
        }
        out->kind = TARGET_STEPS;
        out->step = def->step;
        out->instances = def->step->numbers;
        out->count = def->step->count;
        out->folders = step_folders(s, def->step, NULL);
        out->single = !def->step->ast->fors.n;
        return true;
    }
    case DEF_SPACE: out->kind = TARGET_SPACE; return true;
    case DEF_GROUP: out->kind = TARGET_GROUP; return true;
    case DEF_TREE:
        out->kind = TARGET_TREE;
        out->key = def->name;
        if (!def_tree(s->e, def)) {
            return false;
        }
        out->tree = def->tree;
        return true;
    case DEF_PARAM:
    case DEF_LET:
    case DEF_PROBE: out->kind = TARGET_VALUE; return true;
    case DEF_TEMPLATE:
    case DEF_POOL:
    case DEF_EXECUTOR: break;
    }
    return true;
}

static bool say_no_member(const struct scope *s, const struct target *of,
                          const struct ast_name *name)
{
    struct eval *e = s->e;
    struct diag *x = diag_error(e->d, "unknown-name", name->span, "'%.*s' has nothing named '%.*s'",
                                STR_ARG(of->def->name), STR_ARG(name->text));
    struct table names;
    table_init(&names, e->arena);
    for (int kind = NAMES_VALUES; kind <= NAMES_THINGS; kind++) {
        const struct table *t = &of->def->space->names[kind].table;
        for (uint32_t i = 0; i < t->count; i++) {
            table_add(&names, t->keys[i], NULL);
        }
    }
    scope_help_nearest(e, x, &names, name->text);
    return false;
}

static bool member_of_space(const struct scope *s, const struct target *of,
                            const struct ast_name *name, struct target *out)
{
    struct def *def = names_find(of->def->space, NAMES_THINGS, name->text);
    if (!def) {
        def = names_find(of->def->space, NAMES_VALUES, name->text);
    }
    return def ? target_of_def(s, def, name->span, out) : say_no_member(s, of, name);
}

static bool member_of_tree(const struct scope *s, const struct target *of,
                           const struct ast_name *name, struct target *out)
{
    struct eval *e = s->e;
    const struct json *found =
        of->tree->kind == JSON_OBJECT ? json_member(of->tree, name->text) : NULL;
    if (!found) {
        struct diag *x = diag_error(e->d, "unknown-key", name->span, "'%.*s' has no key '%.*s'",
                                    STR_ARG(of->key), STR_ARG(name->text));
        struct table names;
        table_init(&names, e->arena);
        for (uint32_t i = 0; of->tree->kind == JSON_OBJECT && i < of->tree->count; i++) {
            table_add(&names, of->tree->names[i], NULL);
        }
        scope_help_nearest(e, x, &names, name->text);
        return false;
    }
    *out = *of;
    out->tree = found;
    out->key = str_join3(e->arena, of->key, STR("."), name->text);
    return true;
}

static bool resolve_member(const struct scope *s, const struct ast_expr *e, struct target *out)
{
    struct target of;
    if (!ref_resolve(s, e->as.member.of, &of)) {
        return false;
    }
    const struct ast_name *name = &e->as.member.name;
    switch (of.kind) {
    case TARGET_SPACE: return member_of_space(s, &of, name, out);
    case TARGET_TREE: return member_of_tree(s, &of, name, out);
    case TARGET_STEPS:
        *out = of;
        if (of.output.text.n) {
            out->kind = TARGET_NONE; /* a value's member */
            return true;
        }
        out->output = *name;
        out->span = e->span;
        return true;
    case TARGET_GROUP: {
        struct diag *x =
            diag_error(s->e->d, "unknown-name", name->span,
                       "'%.*s' is a group: it has no outputs of its own", STR_ARG(of.def->name));
        diag_help(s->e->d, x, "name a step of it, as in 'step.%.*s'", STR_ARG(name->text));
        return false;
    }
    case TARGET_NONE:
    case TARGET_VALUE: break;
    }
    *out = (struct target){.kind = TARGET_NONE, .span = e->span};
    return true;
}

/* ---- selections ---- */

static bool say_no_variable(const struct scope *s, const struct step_def *step,
                            const struct ast_name *name)
{
    struct eval *e = s->e;
    struct diag *x =
        diag_error(e->d, "unknown-variable", name->span, "step '%.*s' has no variable '%.*s'",
                   STR_ARG(step->def->name), STR_ARG(name->text));
    struct table names;
    table_init(&names, e->arena);
    for (uint32_t i = 0; i < step->variables.n; i++) {
        table_add(&names, step->variables.at[i].text, NULL);
    }
    scope_help_nearest(e, x, &names, name->text);
    return false;
}

static bool say_no_instance(const struct scope *s, const struct step_def *step,
                            const struct ast_expr *e)
{
    struct diag *x =
        diag_error(s->e->d, "no-instance", e->span,
                   "no instance of step '%.*s' matches this selection", STR_ARG(step->def->name));
    if (step->count) {
        struct str first = instance_name(s->e, s->e->instances.at[step->first]);
        diag_help(s->e->d, x, "its instances are named like '%.*s'", STR_ARG(first));
    }
    return false;
}

static bool select_keys(const struct scope *s, const struct ast_expr *e, struct target *out)
{
    const struct ast_bindings *keys = &e->as.select.keys;
    struct step_def *step = out->step;
    uint32_t n = step->variables.n;
    const struct value **wanted = ARENA_ARRAY(s->arena, const struct value *, n);
    struct value *values = ARENA_ARRAY(s->arena, struct value, keys->n);
    uint32_t given = 0;
    for (uint32_t i = 0; i < keys->n; i++) {
        uint32_t k = 0;
        while (k < n && !str_eq(step->variables.at[k].text, keys->at[i].name.text)) {
            k++;
        }
        if (k == n) {
            return say_no_variable(s, step, &keys->at[i].name);
        }
        if (!expr_eval(s, keys->at[i].value, &values[i])
            || !expr_is_known(s, &values[i], keys->at[i].value->span, "a selection")) {
            return false;
        }
        given += wanted[k] == NULL;
        wanted[k] = &values[i];
    }
    if (!step_select(s->e, step, wanted, &out->instances, &out->count)) {
        return false;
    }
    out->folders = step_folders(s, step, wanted);
    out->selected = true;
    out->single = given == n;
    return out->count || step->failed ? true : say_no_instance(s, step, e);
}

static bool select_steps(const struct scope *s, const struct ast_expr *e, struct target *out)
{
    out->span = e->span;
    switch (e->as.select.kind) {
    case AST_SELECT_ALL:
        out->selected = true;
        out->single = false;
        return true;
    case AST_SELECT_KEYS: return select_keys(s, e, out);
    case AST_SELECT_INDEX: break;
    }
    struct diag *x =
        diag_error(s->e->d, "bad-selection", e->span,
                   "instances of a step are selected by their variables, not by a number");
    const struct step_def *step = out->step;
    if (step->variables.n) {
        struct str name = step->variables.at[0].text;
        diag_help(s->e->d, x, "write '%.*s[%.*s=…]' or '%.*s[*]'", STR_ARG(step->def->name),
                  STR_ARG(name), STR_ARG(step->def->name));
    } else {
        diag_help(s->e->d, x, "'%.*s' has no 'for': name it without [ ]", STR_ARG(step->def->name));
    }
    return false;
}

static bool select_tree(const struct scope *s, const struct ast_expr *e, struct target *out)
{
    struct value v;
    out->span = e->span;
    if (e->as.select.kind != AST_SELECT_INDEX || out->tree->kind != JSON_LIST) {
        expr_say(s, "bad-selection", e->span,
                 "a parameter file's list takes one position in [ ], counted from 0");
        return false;
    }
    if (!expr_need(s, e->as.select.index, VALUE_INT, STR("a position"), &v)) {
        return false;
    }
    int64_t i = v.integer < 0 ? v.integer + out->tree->count : v.integer;
    if (i < 0 || i >= out->tree->count) {
        diag_error(s->e->d, "out-of-range", e->as.select.index->span,
                   "'%.*s' has %u items, none at %lld", STR_ARG(out->key), out->tree->count,
                   (long long)v.integer);
        return false;
    }
    out->key = str_printf(s->e->arena, "%.*s[%lld]", STR_ARG(out->key), (long long)i);
    out->tree = &out->tree->items[i];
    return true;
}

static bool resolve_select(const struct scope *s, const struct ast_expr *e, struct target *out)
{
    if (!ref_resolve(s, e->as.select.of, out)) {
        return false;
    }
    if (out->kind == TARGET_STEPS && !out->output.text.n) {
        return select_steps(s, e, out);
    }
    if (out->kind == TARGET_TREE) {
        return select_tree(s, e, out);
    }
    if (out->kind == TARGET_SPACE || out->kind == TARGET_GROUP) {
        diag_error(s->e->d, "bad-selection", e->span,
                   "'%.*s' is a %s: [ ] selects instances of a step", STR_ARG(out->def->name),
                   out->kind == TARGET_GROUP ? "group" : "include");
        return false;
    }
    *out = (struct target){.kind = TARGET_NONE, .span = e->span};
    return true;
}

bool ref_resolve(const struct scope *s, const struct ast_expr *e, struct target *out)
{
    *out = (struct target){.kind = TARGET_NONE, .span = e->span};
    if (e->kind == AST_NAME) {
        struct def *def = scope_find(s, NAMES_THINGS, e->as.name.text);
        return !def || target_of_def(s, def, e->span, out);
    }
    if (e->kind == AST_MEMBER) {
        return resolve_member(s, e, out);
    }
    return e->kind != AST_SELECT || resolve_select(s, e, out);
}

/* ---- their values ---- */

static bool say_no_output(const struct scope *s, const struct step_def *step,
                          const struct ast_name *name)
{
    struct eval *e = s->e;
    struct diag *x =
        diag_error(e->d, "unknown-output", name->span, "step '%.*s' has no output '%.*s'",
                   STR_ARG(step->def->name), STR_ARG(name->text));
    struct table names;
    table_init(&names, e->arena);
    struct buf b;
    buf_init(&b, 4096);
    for (uint32_t i = 0; i < step->owns.n; i++) {
        const struct own *o = &step->owns.at[i];
        if (o->kind == OWN_OUT && o->name.n) {
            table_add(&names, o->name, NULL);
            buf_printf(&b, "%s'%.*s'", b.n ? ", " : "", STR_ARG(o->name));
        }
    }
    if (table_nearest(&names, name->text).n) {
        scope_help_nearest(e, x, &names, name->text);
    } else if (b.n) {
        diag_help(e->d, x, "it has %.*s", STR_ARG(buf_str(&b)));
    } else {
        diag_help(e->d, x, "give the output a name: 'out %.*s = \"…\"'", STR_ARG(name->text));
    }
    buf_free(&b);
    return false;
}

static uint32_t find_output(const struct step_def *step, struct str name)
{
    uint32_t i = table_find(&step->own_names, name);
    if (i == TABLE_NONE) {
        return GRAPH_NONE;
    }
    const struct own *o = &step->owns.at[step->own_of_name.at[i]];
    return o->kind == OWN_OUT ? o->out : GRAPH_NONE;
}

static bool one_output(const struct scope *s, uint32_t instance, uint32_t output, struct value *out)
{
    struct instance *i = s->e->instances.at[instance];
    if (i->waits) {
        return pending_hit(s->e, i);
    }
    return out_value(s->e, i, output, out);
}

static bool needs_selection(const struct scope *s, const struct target *t)
{
    struct diag *x = diag_error(s->e->d, "needs-selection", t->span,
                                "step '%.*s' has several instances: which one's '%.*s'?",
                                STR_ARG(t->step->def->name), STR_ARG(t->output.text));
    struct str step = t->step->def->name, variable = t->step->variables.at[0].text;
    diag_help(s->e->d, x, "'%.*s[*].%.*s' is all of them, '%.*s[%.*s=…].%.*s' some", STR_ARG(step),
              STR_ARG(t->output.text), STR_ARG(step), STR_ARG(variable), STR_ARG(t->output.text));
    return false;
}

/* The outputs of several instances as one list; an output that is a list gives its items. */
static bool many_outputs(const struct scope *s, const struct target *t, uint32_t output,
                         struct value *out)
{
    VEC(struct value) items = {NULL, 0, 0};
    for (uint32_t i = 0; i < t->count; i++) {
        struct value v;
        if (!one_output(s, t->instances[i], output, &v)) {
            return false;
        }
        if (v.kind != VALUE_LIST) {
            *VEC_PUSH(s->arena, &items) = v;
        }
        for (uint32_t k = 0; v.kind == VALUE_LIST && k < v.count; k++) {
            *VEC_PUSH(s->arena, &items) = v.items[k];
        }
    }
    *out = (struct value){.kind = VALUE_LIST, .count = items.n, .items = items.at, .depth = 1};
    out->refs = t->folders;
    return true;
}

static bool steps_value(const struct scope *s, const struct target *t, struct value *out)
{
    if (!t->output.text.n) {
        struct diag *x = diag_error(s->e->d, "not-a-value", t->span,
                                    "'%.*s' is a step, not a value", STR_ARG(t->step->def->name));
        diag_help(s->e->d, x, "name one of its outputs, as in '%.*s.NAME'",
                  STR_ARG(t->step->def->name));
        return false;
    }
    if (!item_flatten(s->e, t->step)) {
        return false;
    }
    uint32_t output = find_output(t->step, t->output.text);
    if (output == GRAPH_NONE) {
        return say_no_output(s, t->step, &t->output);
    }
    if (t->single) {
        return t->count && one_output(s, t->instances[0], output, out);
    }
    return t->selected ? many_outputs(s, t, output, out) : needs_selection(s, t);
}

static bool tree_value(const struct scope *s, const struct target *t, struct value *out)
{
    struct eval *e = s->e;
    *out = value_from_json(s->arena, t->tree);
    uint32_t i = table_find(&e->keys, t->key);
    if (i == TABLE_NONE) {
        struct value kept = value_from_json(e->arena, t->tree);
        i = key_number(e, t->key, &kept, t->span);
    }
    value_add_ref(s->arena, out, (struct value_ref){.kind = VALUE_REF_PARAM, .number = i});
    return true;
}

/* . and [ ] on a value. */
static bool part_value(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    struct value of, position;
    const struct ast_expr *base = e->kind == AST_MEMBER ? e->as.member.of : e->as.select.of;
    if (!expr_eval(s, base, &of)) {
        return false;
    }
    struct value_part part = {&of, STR_NONE, base->span};
    if (e->kind == AST_MEMBER) {
        return value_member(&w, &part, e->as.member.name.text, out, s->e->d);
    }
    if (e->as.select.kind != AST_SELECT_INDEX) {
        expr_say(s, "bad-selection", e->span,
                 "[variable=…] and [*] select instances of a step, and this is a value");
        return false;
    }
    struct value_part at = {&position, STR_NONE, e->as.select.index->span};
    return expr_eval(s, e->as.select.index, &position) && value_index(&w, &part, &at, out, s->e->d);
}

bool ref_eval(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    struct target t;
    if (!ref_resolve(s, e, &t)) {
        return false;
    }
    switch (t.kind) {
    case TARGET_NONE: return part_value(s, e, out);
    case TARGET_STEPS: return steps_value(s, &t, out);
    case TARGET_TREE: return tree_value(s, &t, out);
    case TARGET_VALUE: return def_value(s->e, t.def, out);
    case TARGET_SPACE:
    case TARGET_GROUP: break;
    }
    diag_error(s->e->d, "not-a-value", e->span, "'%.*s' is a %s, not a value", STR_ARG(t.def->name),
               def_kind_name(t.def->kind));
    return false;
}

/* ---- lists of steps ---- */

static void push_number(const struct scope *s, struct number_list *out, uint32_t number)
{
    if (out->n == out->cap) {
        out->at = arena_grow(s->arena, out->at, &out->cap, sizeof *out->at);
    }
    out->at[out->n++] = number;
}

static bool space_instances(const struct scope *s, struct space *space, struct number_list *out)
{
    const struct names *things = &space->names[NAMES_THINGS];
    for (uint32_t i = 0; i < things->defs.n; i++) {
        struct def *def = things->defs.at[i];
        if (def->kind == DEF_SPACE && def->space != space && !space_instances(s, def->space, out)) {
            return false;
        }
        if (def->kind != DEF_STEP) {
            continue;
        }
        struct target t;
        if (!target_of_def(s, def, def->span, &t) || !ref_target_instances(s, &t, out)) {
            return false;
        }
    }
    return true;
}

static bool group_instances(const struct scope *s, struct def *group, struct number_list *out)
{
    if (group->state == LAZY_BUSY) {
        diag_error(s->e->d, "value-cycle", group->span, "group '%.*s' holds itself",
                   STR_ARG(group->name));
        return false;
    }
    uint8_t before = group->state;
    group->state = LAZY_BUSY;
    struct scope in = scope_of_unit(s->e, group->unit);
    in.arena = s->arena;
    const struct ast_exprs *refs = &group->at->as.group.refs;
    bool good = true;
    for (uint32_t i = 0; i < refs->n; i++) {
        good &= ref_instances(&in, refs->at[i], "a group", out);
    }
    group->state = before;
    return good;
}

bool ref_target_instances(const struct scope *s, const struct target *t, struct number_list *out)
{
    if (t->kind == TARGET_SPACE) {
        return space_instances(s, t->def->space, out);
    }
    if (t->kind == TARGET_GROUP) {
        return group_instances(s, t->def, out);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        push_number(s, out, t->instances[i]);
    }
    return true;
}

static bool say_no_step(const struct scope *s, const struct ast_expr *e, const char *what)
{
    struct eval *v = s->e;
    if (e->kind != AST_NAME) {
        diag_error(v->d, "not-a-step", e->span, "%s names steps, and this is none", what);
        return false;
    }
    struct str name = e->as.name.text;
    struct diag *x = diag_error(v->d, "unknown-step", e->span,
                                "%s names steps, and none is named '%.*s'", what, STR_ARG(name));
    struct table names;
    table_init(&names, v->arena);
    for (const struct space *p = s->unit->space; p; p = p->parent) {
        const struct names *things = &p->names[NAMES_THINGS];
        for (uint32_t i = 0; i < things->defs.n; i++) {
            if (things->defs.at[i]->kind != DEF_TREE) {
                table_add(&names, things->table.keys[i], NULL);
            }
        }
    }
    scope_help_nearest(v, x, &names, name);
    return false;
}

bool ref_instances(const struct scope *s, const struct ast_expr *e, const char *what,
                   struct number_list *out)
{
    struct target t;
    if (!ref_resolve(s, e, &t)) {
        return false;
    }
    if (t.kind == TARGET_NONE || t.kind == TARGET_VALUE || t.kind == TARGET_TREE) {
        return say_no_step(s, e, what);
    }
    if (t.kind == TARGET_STEPS && t.output.text.n) {
        if (!item_flatten(s->e, t.step)) {
            return false;
        }
        if (find_output(t.step, t.output.text) == GRAPH_NONE) {
            return say_no_output(s, t.step, &t.output);
        }
    }
    return ref_target_instances(s, &t, out);
}
