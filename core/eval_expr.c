/* SPDX-License-Identifier: MIT */
/* Expressions: the walk over the tree. Operators, functions and texts are core/value's; names and what they
 * reach are eval_ref's. */
#include "core/base/file.h"
#include "core/eval_parts.h"

#include <assert.h>

static_assert((int)AST_MOD == (int)VALUE_MOD && (int)AST_NOT == (int)VALUE_NOT
                  && (int)AST_ADD == (int)VALUE_ADD && (int)AST_EQ == (int)VALUE_EQ,
              "operators are the same in trees and in values");

/* ---- what functions ask for ---- */

static bool host_glob(void *context, struct str pattern, struct span at, struct value *out,
                      struct diags *d)
{
    (void)d;
    return glob_eval(context, pattern, at, out);
}

static bool host_env(void *context, struct str name, bool *set, struct str *text)
{
    const struct scope *s = context;
    uint32_t i = table_find(&s->e->environment, name);
    *set = i != TABLE_NONE;
    *text = *set ? s->e->environment_values.at[i] : STR_NONE;
    origins_add_env(s->e->origins, name, *set, *text);
    return true;
}

static bool read_source(const struct scope *s, struct str path, struct span at, struct str *text)
{
    struct eval *e = s->e;
    int64_t now = time_now_ns();
    struct file_sig sig = file_stat(e->o->root, path, true);
    if (!file_sig_exists(&sig)) {
        struct diag *x = diag_error(e->d, "missing-input", at,
                                    "'%.*s' is not there, and no step makes it", STR_ARG(path));
        diag_help(e->d, x,
                  "a file that is made by a step is read once it exists: name the step's output");
        origins_add_absent(e->origins, path);
        return false;
    }
    if (!file_read(s->arena, e->o->root, path, JSON_TEXT_LIMIT, text, e->d)) {
        e->d->all.at[e->d->all.n - 1].span = at;
        return false;
    }
    origins_add_file(e->origins, path, &sig, now, *text);
    return true;
}

static bool has_output_ref(const struct value *v)
{
    for (uint32_t i = 0; v->refs && i < v->refs->count; i++) {
        if (v->refs->at[i].kind == VALUE_REF_OUTPUT && !v->refs->at[i].value_only) {
            return true;
        }
    }
    return false;
}

/* Adds the ref to the output that the path is or lies below. */
static bool add_producer(const struct scope *s, struct value *file)
{
    uint32_t inside, i = path_producer(s->e, file->text, &inside);
    if (i == GRAPH_NONE) {
        return false;
    }
    value_add_ref(s->arena, file,
                  (struct value_ref){.kind = VALUE_REF_OUTPUT, .number = i, .output = GRAPH_NONE});
    return true;
}

static bool host_read(void *context, struct value *file, struct span at, struct str *text,
                      bool *late, struct diags *d)
{
    (void)d;
    const struct scope *s = context;
    struct value path;
    if (!path_value(s, file, at, &path)) {
        return false;
    }
    *file = path;
    *late = has_output_ref(file) || add_producer(s, file);
    if (*late) {
        return true;
    }
    if (!s->e->outs_known) {
        struct early_read *r = VEC_PUSH(s->e->arena, &s->e->early_reads);
        *r = (struct early_read){file->text, at};
    }
    return read_source(s, file->text, at, text);
}

struct value_work expr_work(const struct scope *s, struct function_host *host)
{
    union {
        const struct scope *in;
        void *out;
    } context = {.in = s};
    *host = (struct function_host){context.out, host_glob, host_env, host_read};
    return (struct value_work){.arena = s->arena, .reader = NULL, .host = host};
}

/* ---- the walk ---- */

void expr_say(const struct scope *s, const char *code, struct span at, const char *message)
{
    diag_error(s->e->d, code, at, "%s", message);
}

bool expr_parts(const struct scope *s, const struct ast_string *string, struct value_parts *out)
{
    struct value_part *parts = ARENA_ARRAY(s->arena, struct value_part, string->count);
    struct value *values = ARENA_ARRAY(s->arena, struct value, string->count);
    bool good = true;
    for (uint32_t i = 0; i < string->count; i++) {
        const struct ast_part *p = &string->parts[i];
        parts[i] = (struct value_part){NULL, p->text, p->span};
        if (!p->expr) {
            continue;
        }
        parts[i].value = &values[i];
        parts[i].span = p->expr->span;
        good &= expr_eval(s, p->expr, &values[i]);
    }
    *out = (struct value_parts){parts, string->count};
    return good;
}

static bool eval_string(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    const struct ast_string *string = &e->as.string;
    if (!string->count) {
        *out = value_string(STR(""));
        return true;
    }
    if (string->count == 1 && !string->parts[0].expr) {
        *out = value_string(string->parts[0].text);
        return true;
    }
    struct value_parts parts;
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    return expr_parts(s, string, &parts)
           && value_text(&w, parts, &(struct value_style){STR_NONE, false}, out, s->e->d);
}

static bool eval_list(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    const struct ast_exprs *list = &e->as.list;
    struct value_part *parts = ARENA_ARRAY(s->arena, struct value_part, list->n);
    struct value *values = ARENA_ARRAY(s->arena, struct value, list->n);
    bool good = true;
    for (uint32_t i = 0; i < list->n; i++) {
        parts[i] = (struct value_part){&values[i], STR_NONE, list->at[i]->span};
        good &= expr_eval(s, list->at[i], &values[i]);
    }
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    return good && value_list(&w, (struct value_parts){parts, list->n}, e->span, out, s->e->d);
}

static bool eval_call(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    const struct ast_bindings *args = &e->as.call.args;
    struct value_part *parts = ARENA_ARRAY(s->arena, struct value_part, args->n);
    struct value *values = ARENA_ARRAY(s->arena, struct value, args->n);
    bool good = true;
    for (uint32_t i = 0; i < args->n; i++) {
        parts[i] = (struct value_part){&values[i], STR_NONE, args->at[i].value->span};
        if (args->at[i].name.text.n) {
            expr_say(s, "wrong-arguments", args->at[i].name.span,
                     "a function's arguments have no names");
            good = false;
        }
        good &= expr_eval(s, args->at[i].value, &values[i]);
    }
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    struct function_call call = {
        e->as.call.function.text, e->as.call.function.span, e->span, {parts, args->n}};
    return good && function_apply(&w, &call, out, s->e->d);
}

static bool eval_operator(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    struct value left, right;
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    struct value_operation o = {.op = (enum value_op)e->as.binary.op, .at = e->as.binary.op_span};
    if (e->kind == AST_UNARY) {
        o.left = (struct value_part){&left, STR_NONE, e->as.binary.right->span};
        return expr_eval(s, e->as.binary.right, &left) && value_operate(&w, &o, out, s->e->d);
    }
    o.left = (struct value_part){&left, STR_NONE, e->as.binary.left->span};
    if (!expr_eval(s, e->as.binary.left, &left)) {
        struct value ignored; /* its mistakes are told in one go */
        if (!s->e->pending && o.op != VALUE_AND && o.op != VALUE_OR) {
            (void)expr_eval(s, e->as.binary.right, &ignored);
        }
        return false;
    }
    o.right = (struct value_part){NULL, STR_NONE, e->as.binary.right->span};
    if ((o.op != VALUE_AND && o.op != VALUE_OR) || !value_decides(o.op, &left)) {
        o.right.value = &right;
        if (!expr_eval(s, e->as.binary.right, &right)) {
            return false;
        }
    }
    return value_operate(&w, &o, out, s->e->d);
}

static bool eval_conditional(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    const struct ast_expr *at[] = {e->as.conditional.condition, e->as.conditional.then,
                                   e->as.conditional.otherwise};
    struct value v[3];
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    if (!expr_eval(s, at[0], &v[0])) {
        return false;
    }
    struct value_part condition = {&v[0], STR_NONE, at[0]->span};
    struct value known;
    if (!value_need(&w, &condition, (struct value_want){VALUE_BOOL, STR("a condition")}, &known,
                    s->e->d)) {
        return false;
    }
    if (known.kind != VALUE_LATE) {
        if (!expr_eval(s, known.boolean ? at[1] : at[2], out)) {
            return false;
        }
        value_add_refs_of(s->arena, out, &v[0]);
        return true;
    }
    struct value_part parts[3];
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct value_part){i ? &v[i] : &known, STR_NONE, at[i]->span};
        if (i && !expr_eval(s, at[i], &v[i])) {
            return false;
        }
    }
    return value_choose(&w, (struct value_parts){parts, 3}, e->span, out, s->e->d);
}

static bool eval_kind(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    switch (e->kind) {
    case AST_STRING: return eval_string(s, e, out);
    case AST_INT: *out = value_int(e->as.number.integer); break;
    case AST_REAL: *out = value_real(e->as.number.real); break;
    case AST_DURATION: *out = value_duration(e->as.number.integer); break;
    case AST_SIZE: *out = value_size(e->as.number.integer); break;
    case AST_BOOL: *out = value_bool(e->as.boolean); return true;
    case AST_LIST: return eval_list(s, e, out);
    case AST_NAME: return ref_name_eval(s, &e->as.name, out);
    case AST_MEMBER:
    case AST_SELECT: return ref_eval(s, e, out);
    case AST_CALL: return eval_call(s, e, out);
    case AST_UNARY:
    case AST_BINARY: return eval_operator(s, e, out);
    case AST_CONDITIONAL: return eval_conditional(s, e, out);
    }
    out->text = e->as.number.text;
    return true;
}

bool expr_eval(const struct scope *s, const struct ast_expr *e, struct value *out)
{
    if (s->e->depth == EVAL_DEPTH_LIMIT) {
        expr_say(s, "too-deep", e->span, "definitions need each other too many levels deep");
        return false;
    }
    s->e->depth++;
    bool good = eval_kind(s, e, out);
    s->e->depth--;
    return good;
}

bool expr_is_known(const struct scope *s, const struct value *v, struct span at, const char *where)
{
    if (v->kind != VALUE_LATE) {
        return true;
    }
    struct diag *x =
        diag_error(s->e->d, "late-value", at,
                   "%s must be known before anything runs, and this is known only later", where);
    diag_help(s->e->d, x,
              "what steps make and probes print can be used in when, metric, env, fail and run");
    return false;
}

bool expr_need(const struct scope *s, const struct ast_expr *e, enum value_kind kind,
               struct str what, struct value *out)
{
    struct value v;
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    if (!expr_eval(s, e, &v)) {
        return false;
    }
    struct value_part part = {&v, STR_NONE, e->span};
    const char *where = str_c(s->arena, what);
    return value_need(&w, &part, (struct value_want){kind, what}, out, s->e->d)
           && expr_is_known(s, out, e->span, where);
}
