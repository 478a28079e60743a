/* SPDX-License-Identifier: MIT */
/* The words of the tree and its dump: one node a line, children indented, expressions in one
 * line as lists with their kind in front. The dump leaves out places, so that equal dumps mean
 * equal trees. */
#include "parser/ast.h"

bool ast_is_ref(const struct ast_expr *e)
{
    switch (e->kind) {
    case AST_NAME: return true;
    case AST_MEMBER: return ast_is_ref(e->as.member.of);
    case AST_SELECT: return e->as.select.kind != AST_SELECT_INDEX && ast_is_ref(e->as.select.of);
    case AST_STRING:
    case AST_INT:
    case AST_REAL:
    case AST_DURATION:
    case AST_SIZE:
    case AST_BOOL:
    case AST_LIST:
    case AST_CALL:
    case AST_UNARY:
    case AST_BINARY:
    case AST_CONDITIONAL: return false;
    }
    return false;
}

const char *ast_operator_text(enum ast_operator op)
{
    static const char *const texts[] = {
        [AST_NOT] = "not", [AST_NEG] = "-", [AST_OR] = "or", [AST_AND] = "and", [AST_EQ] = "==",
        [AST_NE] = "!=",   [AST_LT] = "<",  [AST_LE] = "<=", [AST_GT] = ">",    [AST_GE] = ">=",
        [AST_ADD] = "+",   [AST_SUB] = "-", [AST_MUL] = "*", [AST_DIV] = "/",   [AST_MOD] = "%",
    };
    return texts[op];
}

const char *ast_keyword(enum ast_item_kind kind)
{
    static const char *const texts[] = {
        [AST_ITEM_TEXT] = "text",
        [AST_ITEM_IN] = "in",
        [AST_ITEM_CODE] = "code",
        [AST_ITEM_OUT] = "out",
        [AST_ITEM_AFTER] = "after",
        [AST_ITEM_PARAM] = "param",
        [AST_ITEM_ENV] = "env",
        [AST_ITEM_SECRET] = "secret",
        [AST_ITEM_LET] = "let",
        [AST_ITEM_TOOL] = "tool",
        [AST_ITEM_PROBE] = "probe",
        [AST_ITEM_RUN] = "run",
        [AST_ITEM_MAKE] = "make",
        [AST_ITEM_CWD] = "cwd",
        [AST_ITEM_DEPFILE] = "depfile",
        [AST_ITEM_TRACE] = "trace",
        [AST_ITEM_CACHE] = "cache",
        [AST_ITEM_RESOURCES] = "resources",
        [AST_ITEM_POOL] = "pool",
        [AST_ITEM_ON] = "on",
        [AST_ITEM_CHECKPOINT] = "checkpoint",
        [AST_ITEM_TIMEOUT] = "timeout",
        [AST_ITEM_RETRY] = "retry",
        [AST_ITEM_WHEN] = "when",
        [AST_ITEM_FAIL] = "fail",
        [AST_ITEM_METRIC] = "metric",
        [AST_ITEM_USE] = "use",
    };
    return texts[kind];
}

const char *ast_type_text(enum ast_type type)
{
    static const char *const texts[] = {
        [AST_TYPE_NONE] = "",
        [AST_TYPE_INT] = "int",
        [AST_TYPE_FLOAT] = "float",
        [AST_TYPE_BOOL] = "bool",
        [AST_TYPE_STRING] = "string",
        [AST_TYPE_LIST] = "list",
        [AST_TYPE_DURATION] = "duration",
        [AST_TYPE_SIZE] = "size",
    };
    return texts[type];
}

/* ---- the dump: expressions ---- */

static void dump_bindings(const struct ast_bindings *list, struct buf *out)
{
    for (uint32_t i = 0; i < list->n; i++) {
        const struct ast_binding *b = &list->at[i];
        buf_put_char(out, ' ');
        if (b->name.text.n > 0) {
            buf_printf(out, "%.*s", STR_ARG(b->name.text));
            buf_put_str(out, b->value ? STR("=") : STR(""));
        }
        if (b->value) {
            ast_dump_expr(b->value, out);
        }
    }
}

static void dump_exprs(const struct ast_exprs *list, struct buf *out)
{
    for (uint32_t i = 0; i < list->n; i++) {
        buf_put_char(out, ' ');
        ast_dump_expr(list->at[i], out);
    }
}

static void dump_string(const struct ast_string *s, struct buf *out)
{
    if (s->count == 1 && !s->parts[0].expr) {
        buf_put_str(out, s->command ? STR("$") : STR(""));
        str_put_json(out, s->parts[0].text);
        return;
    }
    buf_put_str(out, s->command ? STR("$(") : STR("("));
    for (uint32_t i = 0; i < s->count; i++) {
        if (i > 0) {
            buf_put_char(out, ' ');
        }
        if (s->parts[i].expr) {
            ast_dump_expr(s->parts[i].expr, out);
        } else {
            str_put_json(out, s->parts[i].text);
        }
    }
    buf_put_char(out, ')');
}

static void dump_select(const struct ast_expr *e, struct buf *out)
{
    buf_put_str(out, STR("(select "));
    ast_dump_expr(e->as.select.of, out);
    switch (e->as.select.kind) {
    case AST_SELECT_ALL: buf_put_str(out, STR(" *")); break;
    case AST_SELECT_KEYS: dump_bindings(&e->as.select.keys, out); break;
    case AST_SELECT_INDEX:
        buf_put_str(out, STR(" at "));
        ast_dump_expr(e->as.select.index, out);
        break;
    }
    buf_put_char(out, ')');
}

static void dump_operation(const struct ast_expr *e, struct buf *out)
{
    buf_printf(out, "(%s ", ast_operator_text(e->as.binary.op));
    if (e->as.binary.left) {
        ast_dump_expr(e->as.binary.left, out);
        buf_put_char(out, ' ');
    }
    ast_dump_expr(e->as.binary.right, out);
    buf_put_char(out, ')');
}

void ast_dump_expr(const struct ast_expr *e, struct buf *out)
{
    switch (e->kind) {
    case AST_STRING: dump_string(&e->as.string, out); return;
    case AST_INT:
    case AST_REAL: buf_put_str(out, e->as.number.text); return;
    case AST_DURATION: buf_printf(out, "%lldns", (long long)e->as.number.integer); return;
    case AST_SIZE: buf_printf(out, "%lldB", (long long)e->as.number.integer); return;
    case AST_BOOL: buf_put_str(out, e->as.boolean ? STR("true") : STR("false")); return;
    case AST_LIST:
        buf_put_str(out, STR("(list"));
        dump_exprs(&e->as.list, out);
        buf_put_char(out, ')');
        return;
    case AST_NAME: buf_put_str(out, e->as.name.text); return;
    case AST_MEMBER:
        buf_put_str(out, STR("(. "));
        ast_dump_expr(e->as.member.of, out);
        buf_printf(out, " %.*s)", STR_ARG(e->as.member.name.text));
        return;
    case AST_SELECT: dump_select(e, out); return;
    case AST_CALL:
        buf_printf(out, "(call %.*s", STR_ARG(e->as.call.function.text));
        dump_bindings(&e->as.call.args, out);
        buf_put_char(out, ')');
        return;
    case AST_UNARY:
    case AST_BINARY: dump_operation(e, out); return;
    case AST_CONDITIONAL:
        buf_put_str(out, STR("(if "));
        ast_dump_expr(e->as.conditional.condition, out);
        buf_put_char(out, ' ');
        ast_dump_expr(e->as.conditional.then, out);
        buf_put_char(out, ' ');
        ast_dump_expr(e->as.conditional.otherwise, out);
        buf_put_char(out, ')');
        return;
    }
}

/* ---- the dump: items and statements ---- */

static void dump_names(const struct ast_names *list, struct buf *out)
{
    for (uint32_t i = 0; i < list->n; i++) {
        buf_printf(out, " %.*s", STR_ARG(list->at[i].text));
    }
}

static void dump_one(const struct ast_expr *e, struct buf *out)
{
    buf_put_char(out, ' ');
    ast_dump_expr(e, out);
}

static void dump_block(const struct ast_block *b, struct buf *out)
{
    if (b->present) {
        buf_put_str(out, b->off ? STR(" off") : STR(" {"));
        dump_bindings(&b->keys, out);
        buf_put_str(out, b->off ? STR("") : STR(" }"));
    }
}

static void dump_use(const struct ast_use *u, struct buf *out)
{
    dump_one(u->what, out);
    if (u->parens) {
        buf_put_str(out, STR(" ("));
        dump_bindings(&u->args, out);
        buf_put_str(out, STR(" )"));
    }
}

static void dump_item(const struct ast_item *item, struct buf *out)
{
    buf_printf(out, "    %s", ast_keyword(item->kind));
    switch (item->kind) {
    case AST_ITEM_TEXT:
    case AST_ITEM_TOOL:
    case AST_ITEM_RUN:
    case AST_ITEM_CWD:
    case AST_ITEM_TRACE:
    case AST_ITEM_POOL:
    case AST_ITEM_ON:
    case AST_ITEM_TIMEOUT:
    case AST_ITEM_WHEN:
    case AST_ITEM_FAIL: dump_one(item->as.expr, out); break;
    case AST_ITEM_IN:
    case AST_ITEM_CODE:
    case AST_ITEM_OUT: dump_bindings(&item->as.bindings, out); break;
    case AST_ITEM_AFTER:
    case AST_ITEM_PARAM:
    case AST_ITEM_PROBE: dump_exprs(&item->as.refs, out); break;
    case AST_ITEM_SECRET: dump_names(&item->as.names, out); break;
    case AST_ITEM_ENV:
    case AST_ITEM_LET:
    case AST_ITEM_DEPFILE:
    case AST_ITEM_CHECKPOINT:
    case AST_ITEM_METRIC:
        dump_bindings(&(struct ast_bindings){(struct ast_binding *)&item->as.binding, 1, 1}, out);
        break;
    case AST_ITEM_MAKE:
        dump_one(item->as.make.target, out);
        dump_block(&item->as.make.block, out);
        break;
    case AST_ITEM_CACHE:
    case AST_ITEM_RESOURCES: dump_block(&item->as.block, out); break;
    case AST_ITEM_RETRY:
        dump_one(item->as.retry.count, out);
        if (item->as.retry.backoff) {
            buf_put_str(out, STR(" backoff"));
            dump_one(item->as.retry.backoff, out);
        }
        break;
    case AST_ITEM_USE: dump_use(&item->as.use, out); break;
    }
    buf_put_char(out, '\n');
}

static void dump_items(const struct ast_items *items, struct buf *out)
{
    buf_put_char(out, '\n');
    for (uint32_t i = 0; i < items->n; i++) {
        dump_item(&items->at[i], out);
    }
}

static void dump_param(const struct ast_param *p, struct buf *out)
{
    buf_printf(out, "param %.*s", STR_ARG(p->name.text));
    if (p->value) {
        buf_put_str(out, STR(" ="));
        dump_one(p->value, out);
    } else {
        buf_printf(out, " : %s", ast_type_text(p->type));
    }
    if (p->choices) {
        buf_put_str(out, STR(" in"));
        dump_one(p->choices, out);
    }
}

static void dump_step(const struct ast_step *s, struct buf *out)
{
    buf_printf(out, "step %.*s", STR_ARG(s->name.text));
    for (uint32_t i = 0; i < s->fors.n; i++) {
        const struct ast_for *f = &s->fors.at[i];
        buf_put_str(out, f->rows ? STR(" (for (") : STR(" (for"));
        dump_names(&f->names, out);
        buf_put_str(out, f->rows ? STR(" )") : STR(""));
        dump_one(f->list, out);
        buf_put_char(out, ')');
    }
    if (s->where) {
        buf_put_str(out, STR(" where"));
        dump_one(s->where, out);
    }
    dump_items(&s->items, out);
}

static void dump_named(const char *word, const struct ast_binding *b, struct buf *out)
{
    buf_printf(out, "%s %.*s =", word, STR_ARG(b->name.text));
    dump_one(b->value, out);
}

static void dump_file_reference(const char *word, const struct ast_statement *s, struct buf *out)
{
    buf_put_str(out, str_from(word));
    dump_one(s->as.file.path, out);
    if (s->as.file.as.text.n > 0) {
        buf_printf(out, " as %.*s", STR_ARG(s->as.file.as.text));
    }
}

static void dump_template(const struct ast_template *t, struct buf *out)
{
    buf_printf(out, "template %.*s", STR_ARG(t->name.text));
    if (t->parens) {
        buf_put_str(out, STR(" ("));
        dump_bindings(&t->params, out);
        buf_put_str(out, STR(" )"));
    }
    dump_items(&t->items, out);
}

static void dump_statement(const struct ast_statement *s, struct buf *out)
{
    switch (s->kind) {
    case AST_PIPELINE: buf_printf(out, "pipeline %.*s", STR_ARG(s->as.name.text)); break;
    case AST_PARAM: dump_param(&s->as.param, out); break;
    case AST_LET: dump_named("let", &s->as.binding, out); break;
    case AST_POOL: dump_named("pool", &s->as.binding, out); break;
    case AST_PROBE: dump_named("probe", &s->as.binding, out); break;
    case AST_PARAMS: dump_file_reference("params", s, out); break;
    case AST_INCLUDE: dump_file_reference("include", s, out); break;
    case AST_CACHE:
        buf_put_str(out, STR("cache"));
        dump_block(&s->as.block, out);
        break;
    case AST_REMOTE:
        buf_put_str(out, STR("remote"));
        dump_one(s->as.remote.url, out);
        dump_block(&s->as.remote.block, out);
        break;
    case AST_EXECUTOR:
        buf_printf(out, "executor %.*s", STR_ARG(s->as.executor.name.text));
        dump_block(&s->as.executor.block, out);
        break;
    case AST_TEMPLATE: dump_template(&s->as.template, out); return;
    case AST_STEP: dump_step(&s->as.step, out); return;
    case AST_USE:
        buf_put_str(out, STR("use"));
        dump_use(&s->as.use, out);
        break;
    case AST_GROUP:
        buf_printf(out, "group %.*s =", STR_ARG(s->as.group.name.text));
        dump_exprs(&s->as.group.refs, out);
        break;
    case AST_DEFAULT:
        buf_put_str(out, STR("default"));
        dump_exprs(&s->as.refs, out);
        break;
    }
    buf_put_char(out, '\n');
}

void ast_dump(const struct ast_file *f, struct buf *out)
{
    for (uint32_t i = 0; i < f->statements.n; i++) {
        dump_statement(&f->statements.at[i], out);
    }
}
