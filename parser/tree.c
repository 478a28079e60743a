/* SPDX-License-Identifier: MIT */
/* The constructors that the grammar calls. Each gives a whole node; the only things they refuse
 * are a depth that later walks could not bear, and numbers out of range. */
#include "parser/tree.h"

#include "parser/literal.h"

/* Most lists in a file have one entry: the first takes room for one only. */
#define PUSH(a, vec, type)                                                                         \
    (*((vec)->cap == 0 ? ((vec)->at = ARENA_NEW(a, type), (vec)->cap = 1, (vec)->n = 1, (vec)->at) \
                       : VEC_PUSH(a, vec)))

static struct str text_at(const struct parse *p, struct span at)
{
    return str_sub(p->text, at.begin, at.end - at.begin);
}

static struct span join(struct span from, struct span to)
{
    return (struct span){from.source, from.begin, to.end};
}

static struct ast_expr *leaf(struct parse *p, enum ast_expr_kind kind, struct span at)
{
    struct ast_expr *e = ARENA_NEW(p->arena, struct ast_expr);
    e->kind = kind;
    e->span = at;
    e->depth = 1;
    return e;
}

/* e lies one level above what is below it. */
static void deepen(struct parse *p, struct ast_expr *e, const struct ast_expr *below)
{
    if (!below || below->depth < e->depth) {
        return;
    }
    e->depth = below->depth + 1;
    if (e->depth > AST_DEPTH_LIMIT && !p->stop) {
        p->stop = true;
        struct diag *d = diag_error(p->diags, "too-deep", e->span,
                                    "this expression is nested more than %d deep", AST_DEPTH_LIMIT);
        diag_help(p->diags, d, "give parts of it names with let");
    }
}

static void deepen_all(struct parse *p, struct ast_expr *e, struct ast_bindings below)
{
    for (uint32_t i = 0; i < below.n; i++) {
        deepen(p, e, below.at[i].value);
    }
}

struct ast_expr *tree_number(struct parse *p, enum ast_expr_kind kind, struct span at)
{
    struct ast_expr *e = leaf(p, kind, at);
    struct str text = text_at(p, at);
    e->as.number.text = text;
    bool fits = str_parse_double(text, &e->as.number.real);
    if (kind == AST_INT) {
        fits = fits && str_parse_i64(text, &e->as.number.integer);
    }
    if (!fits) {
        struct diag *d =
            diag_error(p->diags, "bad-number", at, "'%.*s' is too large", STR_ARG(text));
        diag_help(p->diags, d,
                  kind == AST_INT ? "whole numbers go up to 9223372036854775807"
                                  : "numbers go up to about 1.8e308");
    }
    return e;
}

struct ast_expr *tree_quantity(struct parse *p, struct span at)
{
    struct ast_expr *e = leaf(p, AST_SIZE, at);
    e->as.number.text = text_at(p, at);
    if (!literal_quantity(e->as.number.text, at, &e->kind, &e->as.number.integer, p->diags)) {
        e->as.number.integer = 0; /* told; go on */
    }
    return e;
}

struct ast_expr *tree_bool(struct parse *p, bool value, struct span at)
{
    struct ast_expr *e = leaf(p, AST_BOOL, at);
    e->as.boolean = value;
    return e;
}

struct ast_expr *tree_name(struct parse *p, struct ast_name name)
{
    struct ast_expr *e = leaf(p, AST_NAME, name.span);
    e->as.name = name;
    return e;
}

struct ast_expr *tree_list(struct parse *p, struct ast_exprs items, struct span at)
{
    struct ast_expr *e = leaf(p, AST_LIST, at);
    e->as.list = items;
    for (uint32_t i = 0; i < items.n; i++) {
        deepen(p, e, items.at[i]);
    }
    return e;
}

struct ast_expr *tree_parens(struct ast_expr *e)
{
    e->parens = true;
    return e;
}

struct ast_expr *tree_member(struct parse *p, struct ast_expr *of, struct ast_name name,
                             struct span at)
{
    struct ast_expr *e = leaf(p, AST_MEMBER, at);
    e->as.member.of = of;
    e->as.member.name = name;
    deepen(p, e, of);
    return e;
}

static struct ast_expr *select_from(struct parse *p, struct ast_expr *of, enum ast_select_kind kind,
                                    struct span at)
{
    struct ast_expr *e = leaf(p, AST_SELECT, at);
    e->as.select.of = of;
    e->as.select.kind = kind;
    deepen(p, e, of);
    return e;
}

struct ast_expr *tree_select_all(struct parse *p, struct ast_expr *of, struct span at)
{
    return select_from(p, of, AST_SELECT_ALL, at);
}

struct ast_expr *tree_select_keys(struct parse *p, struct ast_expr *of, struct ast_bindings keys,
                                  struct span at)
{
    struct ast_expr *e = select_from(p, of, AST_SELECT_KEYS, at);
    e->as.select.keys = keys;
    deepen_all(p, e, keys);
    return e;
}

struct ast_expr *tree_select_index(struct parse *p, struct ast_expr *of, struct ast_expr *index,
                                   struct span at)
{
    struct ast_expr *e = select_from(p, of, AST_SELECT_INDEX, at);
    e->as.select.index = index;
    deepen(p, e, index);
    return e;
}

struct ast_expr *tree_call(struct parse *p, struct ast_name function, struct ast_bindings args,
                           struct span at)
{
    struct ast_expr *e = leaf(p, AST_CALL, at);
    e->as.call.function = function;
    e->as.call.args = args;
    deepen_all(p, e, args);
    return e;
}

struct ast_expr *tree_unary(struct parse *p, enum ast_operator op, struct span op_span,
                            struct ast_expr *right)
{
    struct ast_expr *e = leaf(p, AST_UNARY, join(op_span, right->span));
    e->as.binary.op = op;
    e->as.binary.op_span = op_span;
    e->as.binary.right = right;
    deepen(p, e, right);
    return e;
}

struct ast_expr *tree_binary(struct parse *p, enum ast_operator op, struct span op_span,
                             struct ast_expr *left, struct ast_expr *right)
{
    struct ast_expr *e = leaf(p, AST_BINARY, join(left->span, right->span));
    e->as.binary.op = op;
    e->as.binary.op_span = op_span;
    e->as.binary.left = left;
    e->as.binary.right = right;
    deepen(p, e, left);
    deepen(p, e, right);
    return e;
}

struct ast_expr *tree_conditional(struct parse *p, struct ast_expr *then,
                                  struct ast_expr *condition, struct ast_expr *otherwise)
{
    struct ast_expr *e = leaf(p, AST_CONDITIONAL, join(then->span, otherwise->span));
    e->as.conditional.then = then;
    e->as.conditional.condition = condition;
    e->as.conditional.otherwise = otherwise;
    deepen(p, e, then);
    deepen(p, e, condition);
    deepen(p, e, otherwise);
    return e;
}

/* ---- strings ---- */

struct ast_parts tree_part_text(struct parse *p, struct ast_parts parts, struct span at)
{
    if (parts.n > 0 && !parts.at[parts.n - 1].expr) {
        parts.at[parts.n - 1].span.end = at.end;
    } else {
        PUSH(p->arena, &parts, struct ast_part) = (struct ast_part){.span = at};
    }
    return parts;
}

struct ast_parts tree_part_expr(struct parse *p, struct ast_parts parts, struct ast_expr *e,
                                struct span at)
{
    PUSH(p->arena, &parts, struct ast_part) = (struct ast_part){.expr = e, .span = at};
    return parts;
}

struct ast_expr *tree_string(struct parse *p, struct ast_parts parts, struct span quote,
                             struct span at)
{
    struct ast_expr *e = leaf(p, AST_STRING, at);
    struct str opening = text_at(p, quote);
    e->as.string.parts = parts.at;
    e->as.string.count = parts.n;
    e->as.string.raw = opening.s[0] == '\'';
    e->as.string.triple = opening.n == 3;
    for (uint32_t i = 0; i < parts.n; i++) {
        deepen(p, e, parts.at[i].expr);
    }
    *VEC_PUSH(p->arena, &p->pending) = e; /* NOLINT(bugprone-sizeof-expression): of pointers */
    return e;
}

struct ast_expr *tree_command(struct ast_expr *e)
{
    if (e->kind == AST_STRING) {
        e->as.string.command = true;
    } else if (e->kind == AST_CONDITIONAL) {
        tree_command(e->as.conditional.then);
        tree_command(e->as.conditional.otherwise);
    }
    return e;
}

void tree_decode_pending(struct parse *p)
{
    for (uint32_t i = 0; i < p->pending.n; i++) {
        literal_decode(p->arena, &p->pending.at[i]->as.string, p->text, p->diags);
    }
    p->pending.n = 0;
}

void tree_drop_pending(struct parse *p)
{
    p->pending.n = 0;
}

/* ---- lists ---- */

struct ast_name tree_word(struct parse *p, struct span at)
{
    p->word_at = at.begin;
    return (struct ast_name){text_at(p, at), at};
}

struct ast_names tree_names(struct parse *p, struct ast_names list, struct ast_name name)
{
    PUSH(p->arena, &list, struct ast_name) = name;
    return list;
}

struct ast_exprs tree_exprs(struct parse *p, struct ast_exprs list, struct ast_expr *e)
{
    PUSH(p->arena, &list, struct ast_expr *) = e; /* NOLINT(bugprone-sizeof-expression) */
    return list;
}

struct ast_binding tree_binding(struct ast_name name, struct ast_expr *value, struct span at)
{
    return (struct ast_binding){name, value, at};
}

struct ast_bindings tree_bindings(struct parse *p, struct ast_bindings list, struct ast_binding b)
{
    PUSH(p->arena, &list, struct ast_binding) = b;
    return list;
}

struct ast_block tree_block(struct ast_bindings keys, struct span at)
{
    return (struct ast_block){.keys = keys, .present = true, .span = at};
}

struct ast_block tree_block_off(struct span at)
{
    return (struct ast_block){.off = true, .present = true, .span = at};
}

struct ast_fors tree_fors(struct parse *p, struct ast_fors list, struct ast_for f)
{
    PUSH(p->arena, &list, struct ast_for) = f;
    return list;
}

/* ---- statements and items ---- */

struct ast_statement *tree_statement(struct parse *p, enum ast_statement_kind kind,
                                     struct span keyword, struct span at)
{
    tree_decode_pending(p);
    struct ast_statement *s = VEC_PUSH(p->arena, &p->file->statements);
    s->kind = kind;
    s->span = at;
    s->keyword = keyword;
    return s;
}

struct ast_item *tree_item(struct parse *p, enum ast_item_kind kind, struct span keyword,
                           struct span at)
{
    tree_decode_pending(p);
    if (kind == AST_ITEM_TEXT && p->items.n > 0) {
        struct diag *d = diag_error(p->diags, "misplaced-text", at, "this text belongs to nothing");
        diag_help(p->diags, d,
                  "a step's description stands before its items; "
                  "texts that follow each other are not joined");
    }
    struct ast_item *item = VEC_PUSH(p->arena, &p->items); /* room of an earlier step's, maybe */
    *item = (struct ast_item){.kind = kind, .span = at, .keyword = keyword};
    return item;
}

void tree_open(struct parse *p, struct ast_name name, struct span keyword)
{
    tree_decode_pending(p);
    p->items.n = 0;
    p->open_name = name;
    p->open_span = keyword;
}

struct ast_items tree_items(struct parse *p)
{
    struct ast_items kept = {NULL, p->items.n, p->items.n};
    if (kept.n > 0) {
        kept.at =
            arena_copy(p->arena, p->items.at, kept.n * sizeof *kept.at, _Alignof(struct ast_item));
    }
    return kept;
}

enum ast_type tree_type(struct parse *p, struct ast_name name)
{
    struct str nearest = STR_NONE;
    for (int t = AST_TYPE_INT; t <= AST_TYPE_SIZE; t++) {
        struct str text = str_from(ast_type_text((enum ast_type)t));
        if (str_eq(text, name.text)) {
            return (enum ast_type)t;
        }
        if (str_starts(text, name.text) || str_starts(name.text, text)
            || str_distance(text, name.text, 2) <= 2) {
            nearest = text;
        }
    }
    struct diag *d = diag_error(p->diags, "unknown-type", name.span, "there is no type '%.*s'",
                                STR_ARG(name.text));
    if (nearest.n > 0) {
        diag_help(p->diags, d, "did you mean '%.*s'?", STR_ARG(nearest));
    } else {
        diag_help(p->diags, d, "types are int, float, bool, string, list, duration and size");
    }
    return AST_TYPE_STRING;
}
