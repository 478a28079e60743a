/* SPDX-License-Identifier: MIT */
/* Namespaces, and the words for names that are not in them. */
#include "core/scope.h"

static const char *const def_names[] = {
    [DEF_PARAM] = "parameter",     [DEF_LET] = "let",           [DEF_PROBE] = "probe",
    [DEF_STEP] = "step",           [DEF_GROUP] = "group",       [DEF_SPACE] = "include",
    [DEF_TREE] = "parameter file", [DEF_TEMPLATE] = "template", [DEF_POOL] = "pool",
    [DEF_EXECUTOR] = "executor",
};

const char *def_kind_name(enum def_kind kind)
{
    return def_names[kind];
}

enum names_kind names_kind_of(enum def_kind kind)
{
    switch (kind) {
    case DEF_PARAM:
    case DEF_LET:
    case DEF_PROBE: return NAMES_VALUES;
    case DEF_STEP:
    case DEF_GROUP:
    case DEF_SPACE:
    case DEF_TREE: return NAMES_THINGS;
    case DEF_TEMPLATE: return NAMES_TEMPLATES;
    case DEF_POOL: return NAMES_POOLS;
    case DEF_EXECUTOR: return NAMES_EXECUTORS;
    }
    return NAMES_VALUES;
}

void names_init(struct space *s, struct arena *a)
{
    for (int i = 0; i < NAMES_COUNT; i++) {
        table_init(&s->names[i].table, a);
    }
}

struct def *names_find(const struct space *s, enum names_kind kind, struct str name)
{
    uint32_t i = table_find(&s->names[kind].table, name);
    return i == TABLE_NONE ? NULL : s->names[kind].defs.at[i];
}

struct def *scope_find(const struct scope *s, enum names_kind kind, struct str name)
{
    for (const struct space *p = s->unit->space; p; p = p->parent) {
        struct def *def = names_find(p, kind, name);
        if (def && def != s->self_def) {
            return def;
        }
    }
    return NULL;
}

/* For a second include: this unit, and those that include it plainly. */
static void export_add(struct eval *e, struct unit *u, const struct export *x)
{
    for (;; u = u->includer) {
        *VEC_PUSH(e->arena, &u->exports) = *x;
        if (!u->includer || u->includer->space != u->space) {
            return;
        }
    }
}

bool names_add(struct eval *e, struct unit *u, enum names_kind kind, struct str name,
               struct def *def)
{
    struct names *names = &u->space->names[kind];
    bool is_new;
    uint32_t i = table_add(&names->table, name, &is_new);
    if (!is_new) {
        struct def *first = names->defs.at[i];
        if (first == def) {
            return true;
        }
        struct diag *x =
            diag_error(e->d, "duplicate-name", def->span, "'%.*s' is defined twice", STR_ARG(name));
        diag_note(e->d, x, first->span, "first as a %s here", def_kind_name(first->kind));
        diag_help(e->d, x, "give one of them another name");
        return false;
    }
    *VEC_PUSH(e->arena, &names->defs) = def;
    struct export export = {kind, names->table.keys[i], def};
    export_add(e, u, &export);
    return true;
}

struct scope scope_of_unit(struct eval *e, struct unit *u)
{
    return (struct scope){.e = e, .arena = e->arena, .unit = u, .self_own = GRAPH_NONE};
}

struct gspan scope_gspan(const struct eval *e, struct span at)
{
    if (at.source >= e->source_map_count || e->source_map[at.source] == GRAPH_NONE) {
        return (struct gspan){GRAPH_NONE, 0, 0};
    }
    return (struct gspan){e->source_map[at.source], at.begin, at.end};
}

void scope_help_nearest(struct eval *e, struct diag *x, const struct table *names, struct str name)
{
    struct str near = table_nearest(names, name);
    if (near.n) {
        diag_help(e->d, x, "did you mean '%.*s'?", STR_ARG(near));
    }
}

/* All values that can be named here. */
static void gather_values(const struct scope *s, struct table *out)
{
    if (s->instance) {
        const struct step_def *step = s->instance->step;
        for (uint32_t i = 0; i < step->own_names.count; i++) {
            table_add(out, step->own_names.keys[i], NULL);
        }
        for (uint32_t i = 0; i < step->variables.n; i++) {
            table_add(out, step->variables.at[i].text, NULL);
        }
    }
    if (s->frame) {
        const struct ast_template *t = &s->frame->template->at->as.template;
        for (uint32_t i = 0; i < t->params.n; i++) {
            table_add(out, t->params.at[i].name.text, NULL);
        }
    }
    for (const struct space *p = s->unit->space; p; p = p->parent) {
        const struct table *t = &p->names[NAMES_VALUES].table;
        for (uint32_t i = 0; i < t->count; i++) {
            table_add(out, t->keys[i], NULL);
        }
    }
}

static void gather_things(const struct scope *s, struct table *out)
{
    for (const struct space *p = s->unit->space; p; p = p->parent) {
        const struct table *t = &p->names[NAMES_THINGS].table;
        for (uint32_t i = 0; i < t->count; i++) {
            table_add(out, t->keys[i], NULL);
        }
    }
}

static bool is_operand(const struct table *values, struct str x)
{
    double number;
    return table_find(values, x) != TABLE_NONE || str_parse_double(x, &number);
}

/* 'depth-1' is one name: what was meant is a difference if both sides make sense. */
static bool help_difference(struct eval *e, struct diag *x, const struct table *values,
                            struct str name)
{
    for (size_t i = 1; i + 1 < name.n; i++) {
        struct str left = str_sub(name, 0, i), right = str_tail(name, i + 1);
        if (name.s[i] == '-' && table_find(values, left) != TABLE_NONE
            && is_operand(values, right)) {
            diag_help(e->d, x,
                      "a '-' within a name belongs to it; for a difference write '%.*s - %.*s'",
                      STR_ARG(left), STR_ARG(right));
            return true;
        }
    }
    return false;
}

static void help_thing(struct eval *e, struct diag *x, const struct def *thing, struct str name)
{
    if (thing->kind == DEF_STEP) {
        diag_help(e->d, x, "'%.*s' is a step; name one of its outputs, as in '%.*s.NAME'",
                  STR_ARG(name), STR_ARG(name));
    } else {
        diag_help(e->d, x, "'%.*s' is a %s, not a value", STR_ARG(name),
                  def_kind_name(thing->kind));
    }
}

void scope_say_unknown(const struct scope *s, struct str name, struct span at)
{
    struct eval *e = s->e;
    struct diag *x =
        diag_error(e->d, "unknown-name", at, "nothing is named '%.*s' here", STR_ARG(name));
    struct table values;
    table_init(&values, e->arena);
    gather_values(s, &values);
    const struct def *thing = scope_find(s, NAMES_THINGS, name);
    if (thing) {
        help_thing(e, x, thing, name);
    } else if (!help_difference(e, x, &values, name)) {
        if (!table_nearest(&values, name).n) {
            gather_things(s, &values);
        }
        if (table_nearest(&values, name).n) {
            scope_help_nearest(e, x, &values, name);
        } else if (str_eq(name, STR("True")) || str_eq(name, STR("False"))) {
            diag_help(e->d, x, "true and false are written small");
        } else {
            diag_help(e->d, x, "define it with 'let' or 'param'; texts and paths stand in quotes");
        }
    }
}
