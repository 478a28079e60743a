/* SPDX-License-Identifier: MIT */
/* The operators of the language over known values, and access to members and items. An operand that is late
 * makes a late result; everything else is decided here, or is a diagnostic at the operator. */
#include "core/value.h"

#include <assert.h>
#include <float.h>
#include <math.h>

static const char *const op_texts[] = {
    [VALUE_NOT] = "not", [VALUE_NEG] = "-", [VALUE_OR] = "or", [VALUE_AND] = "and",
    [VALUE_EQ] = "==",   [VALUE_NE] = "!=", [VALUE_LT] = "<",  [VALUE_LE] = "<=",
    [VALUE_GT] = ">",    [VALUE_GE] = ">=", [VALUE_ADD] = "+", [VALUE_SUB] = "-",
    [VALUE_MUL] = "*",   [VALUE_DIV] = "/", [VALUE_MOD] = "%",
};

const char *value_op_text(enum value_op op)
{
    return op_texts[op];
}

static bool is_number(const struct value *v)
{
    return v->kind == VALUE_INT || v->kind == VALUE_REAL;
}

static bool is_quantity(const struct value *v)
{
    return v->kind == VALUE_DURATION || v->kind == VALUE_SIZE;
}

static double as_real(const struct value *v)
{
    return v->kind == VALUE_REAL ? v->real : (double)v->integer;
}

static const char *name_of(const struct value *v)
{
    return value_kind_name((enum value_kind)v->kind);
}

/* ---- messages ---- */

static bool misfit(const struct value_operation *o, struct diags *d)
{
    const struct value *x = o->left.value, *y = o->right.value;
    const char *op = value_op_text(o->op);
    struct diag *e = diag_error(d, "type-mismatch", o->at, "'%s' does not fit %s and %s", op,
                                name_of(x), name_of(y));
    bool text = x->kind == VALUE_STRING || y->kind == VALUE_STRING;
    bool order = o->op == VALUE_LT || o->op == VALUE_LE || o->op == VALUE_GT || o->op == VALUE_GE;
    if (o->op == VALUE_ADD && text) {
        diag_help(d, e, "texts are put together by interpolation: \"{{a}}{{b}}\"");
    } else if (o->op == VALUE_ADD && (x->kind == VALUE_LIST || y->kind == VALUE_LIST)) {
        diag_help(d, e, "a list is joined with a list: write the other side in brackets, [x]");
    } else if (order && x->kind == y->kind) {
        diag_help(d, e, "only numbers, quantities of one kind and strings have an order");
    } else if (x->kind != y->kind) {
        diag_help(d, e, "bring both sides to one type");
    }
    return false;
}

static bool needs(const struct value_operation *o, const struct value_part *side,
                  enum value_kind kind, struct diags *d)
{
    diag_error(d, "type-mismatch", side->span, "'%s' wants %s, not %s", value_op_text(o->op),
               value_kind_name(kind), name_of(side->value));
    return false;
}

static bool overflow(const struct value_operation *o, struct diags *d)
{
    struct diag *e =
        diag_error(d, "overflow", o->at, "the result of '%s' is too large", value_op_text(o->op));
    diag_help(d, e, "whole numbers and quantities have 64 bits");
    return false;
}

static bool by_zero(const struct value_operation *o, struct diags *d)
{
    diag_error(d, "division-by-zero", o->at, "'%s' by zero", value_op_text(o->op));
    return false;
}

/* ---- arithmetic ---- */

static bool int_arithmetic(const struct value_operation *o, struct value *out, struct diags *d)
{
    int64_t x = o->left.value->integer, y = o->right.value->integer, r = 0;
    bool over = false;
    if (o->op == VALUE_ADD) {
        over = __builtin_add_overflow(x, y, &r);
    } else if (o->op == VALUE_SUB) {
        over = __builtin_sub_overflow(x, y, &r);
    } else if (o->op == VALUE_MUL) {
        over = __builtin_mul_overflow(x, y, &r);
    } else if (y == 0) {
        return by_zero(o, d);
    } else if (y != -1) { /* of INT64_MIN by -1 the machine makes a fault */
        r = x % y;
        r += r != 0 && (r < 0) != (y < 0) ? y : 0;
    }
    out->kind = o->left.value->kind;
    out->integer = r;
    return over ? overflow(o, d) : true;
}

static double real_modulo(double x, double y)
{
    double r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static bool is_zero(double x)
{
    return fpclassify(x) == FP_ZERO;
}

static bool real_arithmetic(const struct value_operation *o, struct value *out, struct diags *d)
{
    double x = as_real(o->left.value), y = as_real(o->right.value), r = 0;
    if ((o->op == VALUE_DIV || o->op == VALUE_MOD) && is_zero(y)) {
        return by_zero(o, d);
    }
    switch ((int)o->op) {
    case VALUE_ADD: r = x + y; break;
    case VALUE_SUB: r = x - y; break;
    case VALUE_MUL: r = x * y; break;
    case VALUE_DIV: r = x / y; break;
    default: r = real_modulo(x, y); break;
    }
    *out = value_real(is_zero(r) ? 0.0 : r);
    return isfinite(r) ? true : overflow(o, d);
}

/* A quantity times or by a number. */
static bool scale(const struct value_operation *o, const struct value *q, const struct value *n,
                  struct value *out, struct diags *d)
{
    out->kind = q->kind;
    if (n->kind == VALUE_INT && o->op == VALUE_MUL) {
        return __builtin_mul_overflow(q->integer, n->integer, &out->integer) ? overflow(o, d)
                                                                             : true;
    }
    long double by = n->kind == VALUE_INT ? (long double)n->integer : (long double)n->real;
    if (o->op == VALUE_DIV && !(by < 0 || by > 0)) {
        return by_zero(o, d);
    }
    long double x = (long double)q->integer;
    long double r = roundl(o->op == VALUE_MUL ? x * by : x / by);
    if (!(r >= -9223372036854775807.0L && r <= 9223372036854775807.0L)) {
        return overflow(o, d);
    }
    out->integer = (int64_t)r;
    return true;
}

static bool quantity_arithmetic(const struct value_operation *o, struct value *out, struct diags *d)
{
    const struct value *x = o->left.value, *y = o->right.value;
    if (x->kind == y->kind && o->op == VALUE_DIV) {
        return y->integer == 0 ? by_zero(o, d) : real_arithmetic(o, out, d);
    }
    if (x->kind == y->kind && o->op != VALUE_MUL) {
        return int_arithmetic(o, out, d);
    }
    if (is_number(y) && (o->op == VALUE_MUL || o->op == VALUE_DIV)) {
        return scale(o, x, y, out, d);
    }
    if (is_number(x) && o->op == VALUE_MUL) {
        return scale(o, y, x, out, d);
    }
    return misfit(o, d);
}

static bool join_lists(const struct value_work *w, const struct value_operation *o,
                       struct value *out, struct diags *d)
{
    const struct value *x = o->left.value, *y = o->right.value;
    if ((uint64_t)x->count + y->count > VALUE_ITEM_LIMIT) {
        diag_error(d, "too-large", o->at, "the list would have more than %d items",
                   VALUE_ITEM_LIMIT);
        return false;
    }
    struct value *items = ARENA_ARRAY(w->arena, struct value, (size_t)x->count + y->count);
    for (uint32_t i = 0; i < x->count; i++) {
        items[i] = x->items[i];
    }
    for (uint32_t i = 0; i < y->count; i++) {
        items[x->count + i] = y->items[i];
    }
    *out = (struct value){.kind = VALUE_LIST,
                          .count = x->count + y->count,
                          .items = items,
                          .untracked = x->untracked || y->untracked,
                          .depth = x->depth > y->depth ? x->depth : y->depth};
    const struct value own[2] = {{.refs = x->refs}, {.refs = y->refs}};
    const struct value_part parts[2] = {{.value = &own[0]}, {.value = &own[1]}};
    out->refs = value_refs_of(w->arena, (struct value_parts){parts, 2});
    return true;
}

static bool arithmetic(const struct value_operation *o, struct value *out, struct diags *d)
{
    const struct value *x = o->left.value, *y = o->right.value;
    if (x->kind == VALUE_INT && y->kind == VALUE_INT && o->op != VALUE_DIV) {
        return int_arithmetic(o, out, d);
    }
    if (is_number(x) && is_number(y)) {
        return real_arithmetic(o, out, d);
    }
    return is_quantity(x) || is_quantity(y) ? quantity_arithmetic(o, out, d) : misfit(o, d);
}

/* ---- comparisons ---- */

/* A duration may be compared with one that is written as ISO 8601 text. */
static struct value beside(const struct value *v, const struct value *other)
{
    struct value as = *v;
    if (v->kind == VALUE_STRING && other->kind == VALUE_DURATION
        && str_parse_iso_duration(v->text, &as.integer)) {
        as.kind = VALUE_DURATION;
    }
    return as;
}

static int number_order(const struct value *x, const struct value *y)
{
    if (x->kind != VALUE_REAL && y->kind != VALUE_REAL) {
        return x->integer < y->integer ? -1 : x->integer > y->integer;
    }
    long double left = x->kind == VALUE_REAL ? (long double)x->real : (long double)x->integer;
    long double right = y->kind == VALUE_REAL ? (long double)y->real : (long double)y->integer;
    return left < right ? -1 : left > right;
}

static bool compare(const struct value_operation *o, struct value *out, struct diags *d)
{
    struct value x = beside(o->left.value, o->right.value);
    struct value y = beside(o->right.value, o->left.value);
    bool numbers = is_number(&x) && is_number(&y);
    bool null = x.kind == VALUE_NONE || y.kind == VALUE_NONE;
    if (o->op == VALUE_EQ || o->op == VALUE_NE) {
        if (!numbers && x.kind != y.kind && !null) {
            return misfit(o, d);
        }
        *out = value_bool(value_eq(&x, &y) == (o->op == VALUE_EQ));
        return true;
    }
    bool ordered = x.kind == VALUE_STRING || is_quantity(&x);
    if (!numbers && (x.kind != y.kind || !ordered)) {
        return misfit(o, d);
    }
    int order = x.kind == VALUE_STRING ? str_cmp(x.text, y.text) : number_order(&x, &y);
    bool holds = o->op == VALUE_LT   ? order < 0
                 : o->op == VALUE_LE ? order <= 0
                 : o->op == VALUE_GT ? order > 0
                                     : order >= 0;
    *out = value_bool(holds);
    return true;
}

/* ---- logic and signs ---- */

bool value_decides(enum value_op op, const struct value *left)
{
    return left->kind == VALUE_BOOL && left->boolean == (op == VALUE_OR);
}

static bool logic(const struct value_operation *o, struct value *out, struct diags *d)
{
    if (o->left.value->kind != VALUE_BOOL) {
        return needs(o, &o->left, VALUE_BOOL, d);
    }
    if (value_decides(o->op, o->left.value)) {
        *out = value_bool(o->left.value->boolean);
        return true;
    }
    assert(o->right.value);
    if (o->right.value->kind != VALUE_BOOL) {
        return needs(o, &o->right, VALUE_BOOL, d);
    }
    *out = value_bool(o->right.value->boolean);
    return true;
}

/* `-0.50` is one literal to a reader, so it keeps how it was written. */
static struct str negated_text(struct arena *a, struct str text)
{
    if (text.n == 0) {
        return STR_NONE;
    }
    return text.s[0] == '-' ? str_tail(text, 1) : str_join3(a, STR("-"), text, STR_NONE);
}

static bool negate(const struct value_work *w, const struct value_operation *o, struct value *out,
                   struct diags *d)
{
    const struct value *x = o->left.value;
    if (!is_number(x) && !is_quantity(x)) {
        diag_error(d, "type-mismatch", o->at, "'-' wants a number or a quantity, not %s",
                   name_of(x));
        return false;
    }
    *out = (struct value){.kind = x->kind, .real = -x->real};
    out->text = negated_text(w->arena, x->text);
    return __builtin_sub_overflow((int64_t)0, x->integer, &out->integer) ? overflow(o, d) : true;
}

static bool operate(const struct value_work *w, const struct value_operation *o, struct value *out,
                    struct diags *d)
{
    switch (o->op) {
    case VALUE_NOT:
        if (o->left.value->kind != VALUE_BOOL) {
            return needs(o, &o->left, VALUE_BOOL, d);
        }
        *out = value_bool(!o->left.value->boolean);
        return true;
    case VALUE_NEG: return negate(w, o, out, d);
    case VALUE_OR:
    case VALUE_AND: return logic(o, out, d);
    case VALUE_EQ:
    case VALUE_NE:
    case VALUE_LT:
    case VALUE_LE:
    case VALUE_GT:
    case VALUE_GE: return compare(o, out, d);
    case VALUE_ADD:
    case VALUE_SUB:
    case VALUE_MUL:
    case VALUE_DIV:
    case VALUE_MOD: break;
    }
    return arithmetic(o, out, d);
}

/* What the fingerprint sees of a result is how it came about: so all but the untracked part counts. */
static const struct value *operation_tracked(struct arena *a, const struct value_operation *o)
{
    struct buf b;
    buf_init(&b, VALUE_TEXT_LIMIT);
    struct value side = value_tracked(a, o->left.value);
    buf_put_char(&b, '(');
    value_put(&b, &side);
    buf_printf(&b, " %s ", value_op_text(o->op));
    if (o->right.value) {
        side = value_tracked(a, o->right.value);
        value_put(&b, &side);
    }
    buf_put_char(&b, ')');
    struct value *v = ARENA_NEW(a, struct value);
    *v = value_string(str_copy(a, buf_str(&b)));
    buf_free(&b);
    return v;
}

static bool operate_late(const struct value_work *w, const struct value_operation *o,
                         struct value *out, struct diags *d)
{
    struct value_part parts[2] = {o->left, o->right};
    bool logical = o->op == VALUE_AND || o->op == VALUE_OR || o->op == VALUE_NOT;
    for (int i = 0; logical && i < 2; i++) {
        const struct value *v = parts[i].value;
        if (v && v->kind != VALUE_BOOL && v->kind != VALUE_LATE) {
            return needs(o, &parts[i], VALUE_BOOL, d);
        }
    }
    struct value_late late = {.kind = VALUE_LATE_OPERATOR,
                              .op = (uint8_t)o->op,
                              .parts = {parts, o->right.value ? 2 : 1},
                              .span = o->at};
    return value_late_make(w->arena, &late, out, d);
}

bool value_operate(const struct value_work *w, const struct value_operation *o, struct value *out,
                   struct diags *d)
{
    *out = value_none();
    const struct value *x = o->left.value, *y = o->right.value;
    bool decided = (o->op == VALUE_AND || o->op == VALUE_OR) && value_decides(o->op, x);
    assert(y || decided || o->op == VALUE_NOT || o->op == VALUE_NEG);
    bool late = x->kind == VALUE_LATE || (y && !decided && y->kind == VALUE_LATE);
    if (late) {
        return operate_late(w, o, out, d);
    }
    if (o->op == VALUE_ADD && x->kind == VALUE_LIST && y->kind == VALUE_LIST) {
        return join_lists(w, o, out, d);
    }
    if (!operate(w, o, out, d)) {
        return false;
    }
    const struct value_part parts[2] = {o->left, o->right};
    out->refs = value_refs_of(w->arena, (struct value_parts){parts, y ? 2 : 1});
    out->untracked = x->untracked || (y && y->untracked);
    out->tracked = out->untracked ? operation_tracked(w->arena, o) : NULL;
    return true;
}

/* ---- members, items, wanted kinds ---- */

static bool absent_member(const struct json *tree, struct str name, struct span at, struct diags *d)
{
    struct diag *e =
        diag_error(d, "unknown-name", at, "there is no '%.*s' in this mapping", STR_ARG(name));
    struct str near = STR_NONE;
    size_t best = 3;
    for (uint32_t i = 0; i < tree->count; i++) {
        size_t far = str_distance(tree->names[i], name, best);
        if (far < best) {
            best = far;
            near = tree->names[i];
        }
    }
    if (near.n > 0) {
        diag_help(d, e, "did you mean '%.*s'?", STR_ARG(near));
    }
    return false;
}

bool value_member(const struct value_work *w, const struct value_part *of, struct str name,
                  struct value *out, struct diags *d)
{
    const struct value *v = of->value;
    if (v->kind == VALUE_LATE) {
        struct value_late late = {
            .kind = VALUE_LATE_MEMBER, .text = name, .parts = {of, 1}, .span = of->span};
        return value_late_make(w->arena, &late, out, d);
    }
    if (v->kind != VALUE_TREE) {
        diag_error(d, "type-mismatch", of->span, "%s has no members, so no '%.*s'", name_of(v),
                   STR_ARG(name));
        return false;
    }
    const struct json *found = json_member(v->tree, name);
    if (!found) {
        return absent_member(v->tree, name, of->span, d);
    }
    *out = value_from_json(w->arena, found);
    out->refs = v->refs;
    out->untracked = v->untracked;
    out->tracked = v->tracked;
    return true;
}

bool value_index(const struct value_work *w, const struct value_part *of,
                 const struct value_part *position, struct value *out, struct diags *d)
{
    const struct value *v = of->value, *i = position->value;
    if (v->kind == VALUE_LATE || i->kind == VALUE_LATE) {
        const struct value_part parts[2] = {*of, *position};
        struct value_late late = {
            .kind = VALUE_LATE_INDEX, .parts = {parts, 2}, .span = position->span};
        return value_late_make(w->arena, &late, out, d);
    }
    if (v->kind == VALUE_TREE && i->kind == VALUE_STRING) {
        return value_member(w, of, i->text, out, d);
    }
    if (v->kind != VALUE_LIST || i->kind != VALUE_INT) {
        diag_error(d, "type-mismatch", position->span, "%s cannot be indexed by %s", name_of(v),
                   name_of(i));
        return false;
    }
    int64_t at = i->integer < 0 ? i->integer + (int64_t)v->count : i->integer;
    if (at < 0 || at >= (int64_t)v->count) {
        struct diag *e =
            diag_error(d, "out-of-range", position->span, "there is no item %lld in a list of %u",
                       (long long)i->integer, v->count);
        diag_help(d, e, "items are counted from 0, negative from the end");
        return false;
    }
    *out = v->items[at];
    value_add_refs_of(w->arena, out, &(struct value){.kind = VALUE_NONE, .refs = v->refs});
    value_add_refs_of(w->arena, out, i);
    return true;
}

bool value_need(const struct value_work *w, const struct value_part *part, struct value_want want,
                struct value *out, struct diags *d)
{
    const struct value *v = part->value;
    *out = *v;
    if (v->kind == want.kind) {
        return true;
    }
    if (v->kind == VALUE_LATE) {
        struct value_late late = {.kind = VALUE_LATE_NEED,
                                  .number = (uint32_t)want.kind,
                                  .text = want.what,
                                  .parts = {part, 1},
                                  .span = part->span};
        return value_late_make(w->arena, &late, out, d);
    }
    if (v->kind == VALUE_INT && want.kind == VALUE_REAL) {
        out->kind = VALUE_REAL;
        out->real = (double)v->integer;
        return true;
    }
    if (v->kind == VALUE_STRING && want.kind == VALUE_DURATION
        && str_parse_iso_duration(v->text, &out->integer)) {
        out->kind = VALUE_DURATION;
        out->text = STR_NONE;
        return true;
    }
    struct diag *e = diag_error(d, "type-mismatch", part->span, "%.*s wants %s, not %s",
                                STR_ARG(want.what), value_kind_name(want.kind), name_of(v));
    diag_help(d, e, "give %s", value_kind_example(want.kind));
    return false;
}
