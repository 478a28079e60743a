/* SPDX-License-Identifier: MIT */
/* A step's items, its templates' laid flat before them, and the values that they name. Later layers win:
 * the file's `use`s, then the step's, then what is written in the step itself. */
#include "core/eval_parts.h"
#include "core/s3_uri.h"

/* ---- laying flat ---- */

struct flattening {
    struct eval *e;
    struct step_def *step;
    uint32_t layer, depth;
    bool failed;
};

static void flatten_items(struct flattening *f, const struct ast_items *items, struct frame *frame);

static struct def *find_template(struct flattening *f, const struct ast_expr *what,
                                 struct unit *unit)
{
    struct eval *e = f->e;
    struct scope s = scope_of_unit(e, unit);
    const struct ast_name *name = what->kind == AST_MEMBER ? &what->as.member.name : &what->as.name;
    struct def *def = NULL;
    const struct names *near = NULL;
    if (what->kind == AST_NAME) {
        def = scope_find(&s, NAMES_TEMPLATES, name->text);
        near = &unit->space->names[NAMES_TEMPLATES];
    } else if (what->kind == AST_MEMBER) {
        struct target t;
        if (!ref_resolve(&s, what->as.member.of, &t)) {
            return NULL;
        }
        if (t.kind == TARGET_SPACE) {
            def = names_find(t.def->space, NAMES_TEMPLATES, name->text);
            near = &t.def->space->names[NAMES_TEMPLATES];
        }
    }
    if (!def) {
        struct diag *x = diag_error(e->d, "unknown-template", what->span,
                                    "there is no template '%.*s'", STR_ARG(name->text));
        if (near) {
            scope_help_nearest(e, x, &near->table, name->text);
        }
    }
    return def;
}

static uint32_t param_of(const struct ast_template *t, struct str name)
{
    for (uint32_t i = 0; i < t->params.n; i++) {
        if (str_eq(t->params.at[i].name.text, name)) {
            return i;
        }
    }
    return GRAPH_NONE;
}

static bool bind_arg(struct eval *e, struct frame *f, const struct ast_binding *arg,
                     uint32_t position)
{
    const struct ast_template *t = &f->template->at->as.template;
    uint32_t i = arg->name.text.n ? param_of(t, arg->name.text) : position;
    if (i >= t->params.n) {
        struct diag *x;
        if (arg->name.text.n) {
            x = diag_error(e->d, "wrong-arguments", arg->name.span,
                           "template '%.*s' has no parameter '%.*s'", STR_ARG(f->template->name),
                           STR_ARG(arg->name.text));
        } else {
            x = diag_error(e->d, "wrong-arguments", arg->span, "template '%.*s' takes %u arguments",
                           STR_ARG(f->template->name), t->params.n);
        }
        diag_note(e->d, x, f->template->span, "it is defined here");
        return false;
    }
    if (f->args[i]) {
        diag_error(e->d, "wrong-arguments", arg->span, "'%.*s' is given twice",
                   STR_ARG(t->params.at[i].name.text));
        return false;
    }
    f->args[i] = arg->value;
    return true;
}

static bool bind_args(struct eval *e, struct frame *f)
{
    const struct ast_template *t = &f->template->at->as.template;
    bool good = true;
    f->args = ARENA_ARRAY(e->arena, const struct ast_expr *, t->params.n);
    for (uint32_t i = 0; i < f->use->args.n; i++) {
        good &= bind_arg(e, f, &f->use->args.at[i], i);
    }
    for (uint32_t i = 0; good && i < t->params.n; i++) {
        if (!f->args[i] && !t->params.at[i].value) {
            struct diag *x =
                diag_error(e->d, "wrong-arguments", f->use->what->span,
                           "template '%.*s' wants a value for '%.*s'", STR_ARG(f->template->name),
                           STR_ARG(t->params.at[i].name.text));
            diag_help(e->d, x, "as in 'use %.*s(%.*s = …)'", STR_ARG(f->template->name),
                      STR_ARG(t->params.at[i].name.text));
            good = false;
        }
    }
    return good;
}

static void flatten_use(struct flattening *f, const struct ast_use *use, struct frame *caller,
                        struct unit *by_file)
{
    struct eval *e = f->e;
    struct unit *unit = by_file ? by_file : caller ? caller->template->unit : f->step->unit;
    struct def *def = find_template(f, use->what, unit);
    if (!def) {
        f->failed = true;
        return;
    }
    if (f->depth == EVAL_USE_DEPTH) {
        diag_error(e->d, "template-cycle", use->what->span, "template '%.*s' uses itself",
                   STR_ARG(def->name));
        f->failed = true;
        return;
    }
    struct frame *frame = ARENA_NEW(e->arena, struct frame);
    *frame = (struct frame){.template = def,
                            .use = use,
                            .caller = caller,
                            .caller_unit = unit,
                            .by_file = by_file != NULL,
                            .first_arg = f->step->arg_count};
    f->step->arg_count += def->at->as.template.params.n;
    if (!bind_args(e, frame)) {
        f->failed = true;
        return;
    }
    f->depth++;
    flatten_items(f, &def->at->as.template.items, frame);
    f->depth--;
}

static void flatten_items(struct flattening *f, const struct ast_items *items, struct frame *frame)
{
    for (uint32_t i = 0; i < items->n && !f->failed; i++) {
        if (items->at[i].kind == AST_ITEM_USE) {
            flatten_use(f, &items->at[i].as.use, frame, NULL);
        }
    }
    uint32_t layer = ++f->layer;
    for (uint32_t i = 0; i < items->n; i++) {
        if (items->at[i].kind != AST_ITEM_USE) {
            struct flat_item *flat = VEC_PUSH(f->e->arena, &f->step->items);
            *flat = (struct flat_item){&items->at[i], frame, layer};
        }
    }
}

/* ---- names of a step ---- */

static const char *own_kind_text(enum own_kind kind)
{
    static const char *const texts[] = {"in", "code", "out", "let", "env", "depfile", "checkpoint"};
    return texts[kind];
}

/* What a second definition of a name does. */
static void own_again(struct flattening *f, struct own *own, struct own *first,
                      uint32_t first_number)
{
    struct eval *e = f->e;
    bool same_layer = own->flat->layer == first->flat->layer;
    if (!same_layer && own->kind == first->kind) {
        if (own->kind == OWN_LET || own->kind == OWN_ENV || own->kind == OWN_DEPFILE
            || own->kind == OWN_CHECKPOINT) {
            first->overruled = true;
        } else {
            own->same = first_number;
        }
        return;
    }
    struct diag *x = diag_error(e->d, "duplicate-name", own->binding->name.span,
                                "'%.*s' is defined twice in this step", STR_ARG(own->name));
    diag_note(e->d, x, first->binding->name.span, "first as '%s' here", own_kind_text(first->kind));
    diag_help(e->d, x, "give one of them another name");
    f->failed = true;
}

static void add_own(struct flattening *f, enum own_kind kind, const struct ast_binding *b,
                    const struct flat_item *flat)
{
    struct eval *e = f->e;
    struct step_def *step = f->step;
    uint32_t number = step->owns.n;
    struct own *own = VEC_PUSH(e->arena, &step->owns);
    *own = (struct own){
        .kind = kind, .name = b->name.text, .binding = b, .flat = flat, .same = GRAPH_NONE};
    if (own->name.n) {
        bool is_new;
        uint32_t i = table_add(&step->own_names, own->name, &is_new);
        if (is_new) {
            *VEC_PUSH(e->arena, &step->own_of_name) = number;
        } else {
            uint32_t first = step->own_of_name.at[i];
            own_again(f, own, &step->owns.at[first], first);
            if (own->same == GRAPH_NONE) {
                step->own_of_name.at[i] = number;
            }
        }
    }
    if (kind == OWN_OUT && own->same == GRAPH_NONE) {
        own->out = step->out_count++;
    }
}

static bool own_kind_of(enum ast_item_kind kind, enum own_kind *out)
{
    static const enum ast_item_kind kinds[] = {
        [OWN_IN] = AST_ITEM_IN,
        [OWN_CODE] = AST_ITEM_CODE,
        [OWN_OUT] = AST_ITEM_OUT,
        [OWN_LET] = AST_ITEM_LET,
        [OWN_ENV] = AST_ITEM_ENV,
        [OWN_DEPFILE] = AST_ITEM_DEPFILE,
        [OWN_CHECKPOINT] = AST_ITEM_CHECKPOINT,
    };
    for (uint32_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i] == kind) {
            *out = (enum own_kind)i;
            return true;
        }
    }
    return false;
}

static void add_owns(struct flattening *f, const struct flat_item *flat)
{
    const struct ast_item *item = flat->item;
    const struct ast_bindings *many = &item->as.bindings;
    enum own_kind kind = OWN_IN;
    if (!own_kind_of(item->kind, &kind)) {
        return;
    }
    if (kind > OWN_OUT) {
        add_own(f, kind, &item->as.binding, flat);
        return;
    }
    for (uint32_t i = 0; i < many->n; i++) {
        add_own(f, kind, &many->at[i], flat);
    }
}

/* run, make and fail are one: how the step is done. */
static enum ast_item_kind once_kind(enum ast_item_kind kind)
{
    return kind == AST_ITEM_MAKE || kind == AST_ITEM_FAIL ? AST_ITEM_RUN : kind;
}

static bool stands_once(enum ast_item_kind kind)
{
    static const bool once[AST_ITEM_USE + 1] = {
        [AST_ITEM_TEXT] = true,       [AST_ITEM_RUN] = true,     [AST_ITEM_CWD] = true,
        [AST_ITEM_TRACE] = true,      [AST_ITEM_CACHE] = true,   [AST_ITEM_RESOURCES] = true,
        [AST_ITEM_POOL] = true,       [AST_ITEM_ON] = true,      [AST_ITEM_WHEN] = true,
        [AST_ITEM_CHECKPOINT] = true, [AST_ITEM_TIMEOUT] = true, [AST_ITEM_RETRY] = true,
    };
    return once[kind];
}

static void check_once(struct flattening *f)
{
    const struct step_def *step = f->step;
    const struct flat_item *seen[AST_ITEM_USE + 1] = {NULL};
    for (uint32_t i = 0; i < step->items.n; i++) {
        const struct flat_item *flat = &step->items.at[i];
        enum ast_item_kind kind = once_kind(flat->item->kind);
        if (!stands_once(kind)) {
            continue;
        }
        const struct flat_item *first = seen[kind];
        if (first && first->layer == flat->layer) {
            struct diag *x =
                diag_error(f->e->d, "duplicate-item", flat->item->keyword,
                           kind == AST_ITEM_RUN ? "a step has one 'run', 'make' or 'fail'"
                                                : "a step has one '%s'",
                           ast_keyword(flat->item->kind));
            diag_note(f->e->d, x, first->item->keyword, "it was given here");
            f->failed = true;
        }
        seen[kind] = flat;
    }
}

bool item_flatten(struct eval *e, struct step_def *step)
{
    if (step->flat_done) {
        return !step->flat_failed;
    }
    step->flat_done = true;
    struct flattening f = {.e = e, .step = step};
    for (uint32_t i = 0; i < step->unit->uses.n && !f.failed; i++) {
        flatten_use(&f, step->unit->uses.at[i], NULL, step->unit);
    }
    flatten_items(&f, &step->ast->items, NULL);
    for (uint32_t i = 0; i < step->items.n; i++) {
        add_owns(&f, &step->items.at[i]);
    }
    check_once(&f);
    step->flat_failed = f.failed;
    step->failed |= f.failed;
    return !f.failed;
}

const struct flat_item *item_single(const struct step_def *step, enum ast_item_kind kind)
{
    for (uint32_t i = step->items.n; i-- > 0;) {
        if (once_kind(step->items.at[i].item->kind) == kind) {
            return &step->items.at[i];
        }
    }
    return NULL;
}

/* ---- values of a step ---- */

struct scope item_scope(struct eval *e, struct instance *i, const struct flat_item *flat)
{
    struct frame *frame = flat ? flat->frame : NULL;
    return (struct scope){.e = e,
                          .arena = e->step_arena,
                          .instance = i,
                          .frame = frame,
                          .unit = frame ? frame->template->unit : i->step->unit,
                          .self_own = GRAPH_NONE};
}

/* Results for a whole instance, in the arena of the step under way. */
static bool begin_lazy(const struct scope *s, uint8_t *state, struct span at, struct str name)
{
    if (*state == LAZY_BUSY) {
        struct diag *x =
            diag_error(s->e->d, "value-cycle", at, "'%.*s' needs its own value", STR_ARG(name));
        diag_help(s->e->d, x, "a definition cannot come round to itself");
    }
    if (*state == LAZY_BUSY || *state == LAZY_FAILED) {
        return false;
    }
    *state = LAZY_BUSY;
    return true;
}

bool arg_value(const struct scope *s, uint32_t arg, struct value *out)
{
    struct frame *f = s->frame;
    struct instance *i = s->instance;
    const struct ast_binding *param = &f->template->at->as.template.params.at[arg];
    uint32_t slot = f->first_arg + arg;
    if (!i->args) {
        i->args = ARENA_ARRAY(s->e->step_arena, struct value, i->step->arg_count);
        i->arg_state = ARENA_ARRAY(s->e->step_arena, uint8_t, i->step->arg_count);
    }
    uint8_t *state = &i->arg_state[slot];
    if (*state == LAZY_DONE) {
        *out = i->args[slot];
        return true;
    }
    if (!begin_lazy(s, state, param->name.span, param->name.text)) {
        return false;
    }
    struct scope in = *s;
    in.arena = s->e->step_arena;
    in.self_own = GRAPH_NONE;
    const struct ast_expr *expr = f->args[arg];
    if (expr) {
        in.frame = f->caller;
        in.unit = f->caller_unit;
        in.instance = f->by_file ? NULL : i;
    } else {
        expr = param->value;
        in.unit = f->template->unit;
        in.instance = NULL;
        in.self_args = true;
    }
    bool good = expr_eval(&in, expr, &i->args[slot]);
    *state = good ? LAZY_DONE : s->e->pending ? LAZY_NEW : LAZY_FAILED;
    *out = i->args[slot];
    return good;
}

/* A relative path that leaves the workspace: each '..' that can be done away with is. */
static struct str path_outside(struct arena *a, struct str text)
{
    struct str part, path = STR("");
    while (text.n) {
        if (!str_cut(&text, '/', &part) || !part.n || str_eq(part, STR("."))) {
            continue;
        }
        struct str last = path.n ? path_basename(path) : STR("..");
        if (!str_eq(part, STR("..")) || str_eq(last, STR(".."))) {
            path = path.n ? path_join(a, path, part) : part;
        } else {
            path = str_has(path, '/') ? path_dirname(path) : STR("");
        }
    }
    return str_copy(a, path);
}

static bool string_path(const struct scope *s, struct str text, struct span at, struct str *out)
{
    struct eval *e = s->e;
    if (!text.n) {
        expr_say(s, "bad-path", at, "a path is empty");
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        if (!text.s[i]) {
            expr_say(s, "bad-path", at, "a path holds a NUL byte");
            return false;
        }
    }
    if (path_normalise(s->arena, text, out)) {
        return true;
    }
    if (text.s[0] != '/') {
        *out = path_outside(s->arena, text);
        return true;
    }
    /* As it is, without doubled and last slashes. */
    char *p = arena_alloc(s->arena, text.n + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.s[i] != '/' || !n || p[n - 1] != '/') {
            p[n++] = text.s[i];
        }
    }
    n -= n > 1 && p[n - 1] == '/';
    *out = (struct str){p, n};
    (void)e;
    return true;
}

/* s3://bucket/key and where its local copy lies. */
static bool s3_value(const struct scope *s, struct str text, struct span at, struct value *out)
{
    struct s3_uri uri;
    const char *wrong = s3_uri_split(text, &uri);
    if (wrong) {
        struct diag *x =
            diag_error(s->e->d, "s3-uri", at, "'%.*s' is no input: %s", STR_ARG(text), wrong);
        diag_help(
            s->e->d, x,
            "as in \"s3://bucket/data/train.csv\", or \"s3://bucket/data/\" for all below it");
        return false;
    }
    out->uri = text;
    out->is_path = true;
    out->is_dir = uri.all;
    out->text = s3_uri_copy_path(s->arena, &uri);
    uint32_t file = file_number(s->e, text, GRAPH_FILE_S3);
    value_add_ref(s->arena, out, (struct value_ref){.kind = VALUE_REF_COPY, .number = file});
    return true;
}

bool path_value(const struct scope *s, const struct value *from, struct span at, struct value *out)
{
    *out = *from;
    if (from->kind == VALUE_LATE) {
        return expr_is_known(s, from, at, "a path");
    }
    if (from->kind != VALUE_STRING) {
        struct diag *x = diag_error(s->e->d, "type-mismatch", at, "a path is wanted here, not %s",
                                    value_kind_name(from->kind));
        diag_help(s->e->d, x, "a path is a text, as in \"data/a.csv\"");
        return false;
    }
    if (from->uri.n) {
        return true;
    }
    if (str_starts(from->text, STR("s3://"))) {
        return s3_value(s, from->text, at, out);
    }
    out->is_path = true;
    out->is_dir = from->is_dir || str_ends(from->text, STR("/"));
    return string_path(s, from->text, at, &out->text);
}

/* Texts become paths, in lists too. */
static bool paths_value(const struct scope *s, const struct value *from, struct span at,
                        struct value *out)
{
    if (from->kind != VALUE_LIST) {
        return path_value(s, from, at, out);
    }
    struct value *items = ARENA_ARRAY(s->arena, struct value, from->count);
    for (uint32_t i = 0; i < from->count; i++) {
        if (!paths_value(s, &from->items[i], at, &items[i])) {
            return false;
        }
    }
    *out = *from;
    out->items = items;
    return true;
}

static bool outputs_of(const struct scope *s, uint32_t number, struct value *list, uint32_t *cap)
{
    struct instance *i = s->e->instances.at[number];
    if (i->waits) {
        return pending_hit(s->e, i);
    }
    if (!item_flatten(s->e, i->step)) {
        return false;
    }
    struct value order = {.refs = list->refs};
    value_add_ref(
        s->arena, &order,
        (struct value_ref){
            .kind = VALUE_REF_OUTPUT, .number = number, .output = GRAPH_NONE, .value_only = true});
    list->refs = order.refs;
    for (uint32_t k = 0; k < i->step->out_count; k++) {
        struct value v;
        if (!out_value(s->e, i, k, &v)) {
            return false;
        }
        if (list->count == *cap) {
            union {
                const struct value *from;
                struct value *to;
            } items = {.from = list->items};
            items.to = arena_grow(s->arena, items.to, cap, sizeof v);
            list->items = items.from;
        }
        union {
            const struct value *from;
            struct value *to;
        } items = {.from = list->items};
        items.to[list->count++] = v;
    }
    return true;
}

/* `in prep`: all of its outputs. *is_step false: it is a value. */
static bool step_as_input(const struct scope *s, const struct ast_expr *e, bool *is_step,
                          struct value *out)
{
    struct target t;
    *is_step = false;
    if (e->kind != AST_NAME && e->kind != AST_MEMBER && e->kind != AST_SELECT) {
        return true;
    }
    if (!ref_resolve(s, e, &t)) {
        return false;
    }
    *is_step = (t.kind == TARGET_STEPS && !t.output.text.n) || t.kind == TARGET_GROUP
               || t.kind == TARGET_SPACE;
    if (!*is_step) {
        return true;
    }
    struct number_list all = {NULL, 0, 0};
    if (!ref_target_instances(s, &t, &all)) {
        return false;
    }
    *out = (struct value){
        .kind = VALUE_LIST, .depth = 1, .refs = t.kind == TARGET_STEPS ? t.folders : NULL};
    uint32_t cap = 0;
    for (uint32_t i = 0; i < all.n; i++) {
        if (!outputs_of(s, all.at[i], out, &cap)) {
            return false;
        }
    }
    return true;
}

static bool input_value(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    if (e->kind == AST_LIST) {
        VEC(struct value) items = {NULL, 0, 0};
        const struct value_refs *refs = NULL;
        for (uint32_t i = 0; i < e->as.list.n; i++) {
            struct value v;
            if (!input_value(s, e->as.list.at[i], &v)) {
                return false;
            }
            struct value whole = {.refs = refs};
            value_add_refs_of(
                s->arena, &whole,
                &(struct value){.kind = v.kind == VALUE_LIST ? VALUE_LIST : VALUE_NONE,
                                .refs = v.kind == VALUE_LIST ? v.refs : NULL});
            refs = whole.refs;
            if (v.kind != VALUE_LIST) {
                *VEC_PUSH(s->arena, &items) = v;
            }
            for (uint32_t k = 0; v.kind == VALUE_LIST && k < v.count; k++) {
                *VEC_PUSH(s->arena, &items) = v.items[k];
            }
        }
        *out = (struct value){
            .kind = VALUE_LIST, .depth = 1, .count = items.n, .items = items.at, .refs = refs};
        return true;
    }
    bool is_step;
    struct value v;
    if (!step_as_input(s, e, &is_step, &v)) {
        return false;
    }
    if (!is_step && !expr_eval(s, e, &v)) {
        return false;
    }
    return paths_value(s, &v, e->span, out);
}

static bool env_value(const struct scope *s, const struct own *own, struct value *out)
{
    if (own->binding->value) {
        return expr_eval(s, own->binding->value, out);
    }
    uint32_t i = table_find(&s->e->environment, own->name);
    bool set = i != TABLE_NONE;
    *out = value_string(set ? s->e->environment_values.at[i] : STR(""));
    origins_add_env(s->e->origins, own->name, set, out->text);
    return true;
}

static bool own_evaluate(const struct scope *s, const struct own *own, struct value *out)
{
    struct value v;
    switch (own->kind) {
    case OWN_IN:
    case OWN_CODE: return input_value(s, own->binding->value, out);
    case OWN_OUT:
    case OWN_DEPFILE:
    case OWN_CHECKPOINT:
        return expr_eval(s, own->binding->value, &v)
               && paths_value(s, &v, own->binding->value->span, out);
    case OWN_LET: return expr_eval(s, own->binding->value, out);
    case OWN_ENV: return env_value(s, own, out);
    }
    return false;
}

static void forget_refs(struct arena *a, struct value *v)
{
    v->refs = NULL;
    if (v->kind != VALUE_LIST) {
        return;
    }
    struct value *items = arena_copy(a, v->items, v->count * sizeof *items, _Alignof(struct value));
    for (uint32_t i = 0; i < v->count; i++) {
        forget_refs(a, &items[i]);
    }
    v->items = items;
}

bool own_value(const struct scope *s, uint32_t own, struct value *out)
{
    struct eval *e = s->e;
    struct instance *i = s->instance;
    const struct own *o = &i->step->owns.at[own];
    if (o->kind == OWN_OUT && o->same == GRAPH_NONE) {
        if (!out_value(e, i, o->out, out)) {
            return false;
        }
        forget_refs(s->arena, out);
        return true;
    }
    if (!i->own) {
        i->own = ARENA_ARRAY(e->step_arena, struct value, i->step->owns.n);
        i->own_state = ARENA_ARRAY(e->step_arena, uint8_t, i->step->owns.n);
    }
    if (i->own_state[own] == LAZY_DONE) {
        *out = i->own[own];
        return true;
    }
    if (!begin_lazy(s, &i->own_state[own], o->binding->name.span, o->name)) {
        return false;
    }
    struct scope in = item_scope(e, i, o->flat);
    in.self_own = own;
    bool good = own_evaluate(&in, o, &i->own[own]);
    i->own_state[own] = good ? LAZY_DONE : e->pending ? LAZY_NEW : LAZY_FAILED;
    *out = i->own[own];
    return good;
}

static void ref_items(struct eval *e, struct value *v, struct value_ref ref)
{
    if (v->kind != VALUE_LIST) {
        v->refs = NULL;
        value_add_ref(e->arena, v, ref);
        return;
    }
    struct value *items =
        arena_copy(e->arena, v->items, v->count * sizeof *items, _Alignof(struct value));
    for (uint32_t i = 0; i < v->count; i++) {
        ref_items(e, &items[i], ref);
    }
    v->items = items;
}

static uint32_t own_of_out(const struct step_def *step, uint32_t out)
{
    uint32_t i = 0;
    while (step->owns.at[i].kind != OWN_OUT || step->owns.at[i].same != GRAPH_NONE
           || step->owns.at[i].out != out) {
        i++;
    }
    return i;
}

bool out_value(struct eval *e, struct instance *i, uint32_t out, struct value *v)
{
    struct step_def *step = i->step;
    if (!i->outs) {
        i->outs = ARENA_ARRAY(e->arena, struct out_value, step->out_count);
    }
    struct out_value *x = &i->outs[out];
    if (x->state == LAZY_DONE) {
        *v = x->value;
        return true;
    }
    uint32_t number = own_of_out(step, out);
    const struct own *own = &step->owns.at[number];
    struct scope in = item_scope(e, i, own->flat);
    in.arena = e->arena;
    in.self_own = number;
    if (!begin_lazy(&in, &x->state, own->binding->value->span,
                    own->name.n ? own->name : STR("an output"))) {
        return false;
    }
    bool good = own_evaluate(&in, own, &x->value);
    if (good) {
        x->made_from = x->value.refs;
        ref_items(e, &x->value,
                  (struct value_ref){.kind = VALUE_REF_OUTPUT, .number = i->number, .output = out});
    }
    x->state = good ? LAZY_DONE : e->pending ? LAZY_NEW : LAZY_FAILED;
    *v = x->value;
    return good;
}
