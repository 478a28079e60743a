/* SPDX-License-Identifier: MIT */
/* Values at the top of a file: parameters with what replaces them, lets, parameter files. Each is evaluated
 * when it is first asked for, and once. */
#include "core/eval_parts.h"
#include "parser/parse.h"
#include "parser/yaml.h"

/* ---- what replaces a default ---- */

struct replacement {
    struct str text;
    struct str from; /* "-p depth" or "PAWL_PARAM_depth" */
    bool given;
};

static bool env_find(struct eval *e, struct str name, struct str *value)
{
    uint32_t i = table_find(&e->environment, name);
    bool set = i != TABLE_NONE;
    *value = set ? e->environment_values.at[i] : STR_NONE;
    origins_add_env(e->origins, name, set, *value);
    return set;
}

/* PAWL_PARAM_x_name for x.name too, since a shell cannot set the other. */
static struct str env_spelling(struct eval *e, struct str name)
{
    char *p = arena_copy(e->arena, name.s, name.n, 1);
    for (size_t i = 0; i < name.n; i++) {
        p[i] = p[i] == '.' || p[i] == '-' ? '_' : p[i];
    }
    return (struct str){p, name.n};
}

static struct replacement find_replacement(struct eval *e, struct str name)
{
    struct replacement r = {.given = false};
    for (uint32_t i = 0; i < e->o->param_count; i++) {
        if (str_eq(e->o->params[i].name, name)) {
            r = (struct replacement){e->o->params[i].value, STR_NONE, true};
        }
    }
    if (r.given) {
        r.from = str_join3(e->arena, STR("-p "), name, STR(""));
        return r;
    }
    struct str variable = str_join3(e->arena, STR("PAWL_PARAM_"), name, STR(""));
    struct str plain = str_join3(e->arena, STR("PAWL_PARAM_"), env_spelling(e, name), STR(""));
    r.given = env_find(e, variable, &r.text);
    r.from = variable;
    if (!r.given && !str_eq(variable, plain)) {
        r.given = env_find(e, plain, &r.text);
        r.from = plain;
    }
    return r;
}

static enum value_kind type_kind(enum ast_type type)
{
    switch (type) {
    case AST_TYPE_INT: return VALUE_INT;
    case AST_TYPE_FLOAT: return VALUE_REAL;
    case AST_TYPE_BOOL: return VALUE_BOOL;
    case AST_TYPE_STRING: return VALUE_STRING;
    case AST_TYPE_LIST: return VALUE_LIST;
    case AST_TYPE_DURATION: return VALUE_DURATION;
    case AST_TYPE_SIZE: return VALUE_SIZE;
    case AST_TYPE_NONE: break;
    }
    return VALUE_NONE;
}

/* A list is an expression; its names are those of the file. */
static bool read_list(struct eval *e, struct def *def, const struct replacement *r,
                      struct value *out)
{
    uint32_t source =
        diags_add_source(e->d, str_copy(e->d->arena, r->from), str_copy(e->d->arena, r->text));
    const struct ast_expr *expr = parse_expr(e->arena, source, e->d);
    struct scope s = scope_of_unit(e, def->unit);
    s.self_def = def;
    return expr && expr_need(&s, expr, VALUE_LIST, r->from, out);
}

static bool read_replacement(struct eval *e, struct def *def, const struct replacement *r,
                             enum value_kind kind, struct value *out)
{
    if (kind == VALUE_LIST) {
        return read_list(e, def, r, out);
    }
    if (value_from_text(e->arena, kind, r->text, out)) {
        return true;
    }
    struct diag *x = diag_error(e->d, "bad-param", def->span, "'%.*s' of %.*s is not %s",
                                STR_ARG(r->text), STR_ARG(r->from), value_kind_example(kind));
    diag_help(e->d, x, "a replacement is read as the type of the parameter, %s",
              value_kind_name(kind));
    return false;
}

static void put_for_message(struct buf *b, const struct value *v)
{
    if (v->kind == VALUE_STRING) {
        buf_printf(b, "\"%.*s\"", STR_ARG(v->text));
    } else {
        value_put(b, v);
    }
}

static bool check_choices(struct eval *e, struct def *def, const struct value *v,
                          const struct replacement *r)
{
    const struct ast_expr *choices = def->at->as.param.choices;
    if (!choices) {
        return true;
    }
    struct scope s = scope_of_unit(e, def->unit);
    struct value list;
    if (!expr_need(&s, choices, VALUE_LIST, STR("'in'"), &list)) {
        return false;
    }
    struct buf b;
    buf_init(&b, 1 << 16);
    for (uint32_t i = 0; i < list.count; i++) {
        if (value_eq(&list.items[i], v)) {
            buf_free(&b);
            return true;
        }
        buf_put_str(&b, i ? STR(", ") : STR(""));
        put_for_message(&b, &list.items[i]);
    }
    struct str printed = value_print(e->arena, v);
    struct str from = r->given ? r->from : STR("the default");
    struct diag *x =
        diag_error(e->d, "bad-param", def->span, "'%.*s' (%.*s) is none of the values of '%.*s'",
                   STR_ARG(printed), STR_ARG(from), STR_ARG(def->name));
    diag_help(e->d, x, "it may be %.*s", STR_ARG(buf_str(&b)));
    buf_free(&b);
    return false;
}

static bool param_default(struct eval *e, struct def *def, struct value *out)
{
    const struct ast_param *p = &def->at->as.param;
    struct scope s = scope_of_unit(e, def->unit);
    s.self_def = def;
    if (!expr_eval(&s, p->value, out)
        || !expr_is_known(&s, out, p->value->span, "a parameter's default")) {
        return false;
    }
    if (out->kind == VALUE_TREE || out->kind == VALUE_NONE) {
        struct diag *x =
            diag_error(e->d, "type-mismatch", p->value->span, "a parameter's default cannot be %s",
                       out->kind == VALUE_TREE ? "a tree" : "null");
        diag_help(e->d, x, "name one key of it, as in 'param lr = params.train.lr'");
        return false;
    }
    out->is_path = out->is_dir = false;
    return true;
}

static bool param_value(struct eval *e, struct def *def, struct value *out)
{
    const struct ast_param *p = &def->at->as.param;
    struct replacement r = find_replacement(e, def->name);
    enum value_kind kind = type_kind(p->type);
    if (p->value) {
        if (!param_default(e, def, out)) {
            return false;
        }
        kind = out->kind;
    } else if (!r.given) {
        struct diag *x =
            diag_error(e->d, "missing-param", def->span,
                       "parameter '%.*s' has no default and was not given", STR_ARG(def->name));
        diag_help(e->d, x, "give it with -p %.*s=VALUE", STR_ARG(def->name));
        return false;
    }
    if (r.given && !read_replacement(e, def, &r, kind, out)) {
        return false;
    }
    if (!check_choices(e, def, out, &r)) {
        return false;
    }
    out->refs = NULL;
    def->number = key_number(e, def->name, out, def->span);
    value_add_ref(e->arena, out,
                  (struct value_ref){.kind = VALUE_REF_PARAM, .number = def->number});
    return true;
}

uint32_t key_number(struct eval *e, struct str name, const struct value *v, struct span at)
{
    bool is_new;
    uint32_t i = table_add(&e->keys, name, &is_new);
    if (is_new) {
        struct key_value *k = VEC_PUSH(e->arena, &e->key_values);
        *k = (struct key_value){e->keys.keys[i], *v, at};
    }
    return i;
}

/* ---- definitions ---- */

static bool let_value(struct eval *e, struct def *def, struct value *out)
{
    struct scope s = scope_of_unit(e, def->unit);
    s.self_def = def;
    return expr_eval(&s, def->at->as.binding.value, out);
}

static bool probe_value(struct eval *e, struct def *def, struct value *out)
{
    if (!command_probe(e, def)) {
        return false;
    }
    *out = value_probe(e->arena, def->number, def->name);
    return true;
}

static bool def_evaluate(struct eval *e, struct def *def, struct value *out)
{
    return def->kind == DEF_PARAM ? param_value(e, def, out)
           : def->kind == DEF_LET ? let_value(e, def, out)
                                  : probe_value(e, def, out);
}

static void say_def_cycle(struct eval *e, const struct def *def)
{
    struct diag *x = diag_error(e->d, "value-cycle", def->span, "'%.*s' needs its own value",
                                STR_ARG(def->name));
    diag_help(e->d, x, "a definition cannot come round to itself");
}

bool def_value(struct eval *e, struct def *def, struct value *out)
{
    switch ((enum lazy)def->state) {
    case LAZY_DONE: *out = def->value; return true;
    case LAZY_FAILED: return false;
    case LAZY_BUSY: say_def_cycle(e, def); return false;
    case LAZY_NEW:
    case LAZY_PENDING: break;
    }
    def->state = LAZY_BUSY;
    if (def_evaluate(e, def, &def->value)) {
        def->state = LAZY_DONE;
        *out = def->value;
        return true;
    }
    def->state = e->pending ? LAZY_PENDING : LAZY_FAILED;
    return false;
}

/* ---- parameter files ---- */

static const struct json *library_tree(struct eval *e, struct str path, struct span at)
{
    struct library *l = e->library;
    bool is_new;
    uint32_t i = table_add(&l->trees, path, &is_new);
    if (!is_new) {
        return l->tree_values.at[i];
    }
    *VEC_PUSH(l->trees.arena, &l->tree_values) = NULL;
    struct str text;
    uint32_t source;
    if (!library_read(e, &(struct library_want){path, at, JSON_TEXT_LIMIT}, &text, &source)) {
        return NULL;
    }
    struct arena *a = l->trees.arena;
    const struct json *tree = str_ends(path, STR(".json")) ? json_parse(a, text, source, e->d)
                                                           : yaml_parse(a, text, source, e->d);
    if (tree && tree->kind != JSON_OBJECT) {
        diag_error(e->d, "bad-params", at, "'%.*s' holds no mapping of names to values",
                   STR_ARG(path));
        return NULL;
    }
    l->tree_values.at[i] = tree;
    return tree;
}

bool def_tree(struct eval *e, struct def *def)
{
    if (def->state == LAZY_BUSY) {
        say_def_cycle(e, def);
    }
    if (def->state != LAZY_NEW) {
        return def->state == LAZY_DONE;
    }
    def->state = LAZY_BUSY;
    struct scope s = scope_of_unit(e, def->unit);
    const struct ast_expr *path = def->at->as.file.path;
    struct value v;
    struct str normal;
    if (expr_need(&s, path, VALUE_STRING, STR("the file's name"), &v)) {
        if (!path_normalise(e->arena, v.text, &normal)) {
            normal = v.text;
        }
        def->tree = library_tree(e, normal, path->span);
    }
    def->state = def->tree ? LAZY_DONE : LAZY_FAILED;
    return def->tree != NULL;
}

/* ---- -p ---- */

/* The namespace that a dotted name lies in, and its last part. */
static const struct space *walk_prefix(const struct space *s, struct str *name, struct def **tree)
{
    for (;;) {
        struct str rest = *name, first;
        bool more = str_cut(&rest, '.', &first) && rest.s && first.n < name->n;
        struct def *thing = names_find(s, NAMES_THINGS, first);
        if (thing && thing->kind == DEF_TREE) {
            *tree = thing;
            return NULL;
        }
        if (!more) {
            return s;
        }
        if (!thing || thing->kind != DEF_SPACE) {
            return NULL;
        }
        s = thing->space;
        *name = rest;
    }
}

static void say_into_tree(struct eval *e, struct str name, const struct def *tree)
{
    struct diag *x = diag_error(e->d, "unknown-param", SPAN_NONE,
                                "-p does not reach into a parameter file: '%.*s'", STR_ARG(name));
    ptrdiff_t dot = str_rfind_char(name, '.');
    struct str last = dot < 0 ? STR("NAME") : str_tail(name, (size_t)dot + 1);
    struct str path = dot < 0 ? str_join3(e->arena, name, STR("."), STR("KEY")) : name;
    diag_note(e->d, x, tree->span, "'%.*s' is a parameter file", STR_ARG(tree->name));
    diag_help(e->d, x, "say 'param %.*s = %.*s' in the Pipelinefile and give -p %.*s=…",
              STR_ARG(last), STR_ARG(path), STR_ARG(last));
}

static bool check_option(struct eval *e, struct str given)
{
    struct str name = given;
    struct def *tree = NULL;
    const struct space *s = walk_prefix(e->units.at[0]->space, &name, &tree);
    struct def *def = s ? names_find(s, NAMES_VALUES, name) : NULL;
    if (def && def->kind == DEF_PARAM) {
        if (str_eq(def->name, given)) {
            return true;
        }
        struct diag *x =
            diag_error(e->d, "unknown-param", SPAN_NONE, "-p %.*s: the parameter's name is '%.*s'",
                       STR_ARG(given), STR_ARG(def->name));
        diag_help(e->d, x, "give -p %.*s=VALUE", STR_ARG(def->name));
        return false;
    }
    if (tree) {
        say_into_tree(e, given, tree);
        return false;
    }
    struct diag *x = diag_error(e->d, "unknown-param", SPAN_NONE,
                                "there is no parameter '%.*s' for -p", STR_ARG(given));
    struct table names;
    table_init(&names, e->arena);
    for (uint32_t i = 0; i < e->params.n; i++) {
        table_add(&names, e->params.at[i]->name, NULL);
    }
    if (def) {
        diag_help(e->d, x, "'%.*s' is a %s; only a 'param' can be replaced", STR_ARG(given),
                  def_kind_name(def->kind));
    } else {
        scope_help_nearest(e, x, &names, given);
    }
    return false;
}

bool param_check_options(struct eval *e)
{
    bool good = true;
    for (uint32_t i = 0; i < e->o->param_count; i++) {
        good &= check_option(e, e->o->params[i].name);
    }
    return good;
}
