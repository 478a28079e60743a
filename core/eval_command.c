/* SPDX-License-Identifier: MIT */
/* What a step runs: shell text, a script, a program with arguments, a make target or a message; once as it
 * is run and once as the fingerprint sees it. */
#include "core/eval_parts.h"
#include "core/shell.h"

/* ---- as bytes in the graph ---- */

struct gexpr command_put_encoded(struct eval *e, const struct value *v)
{
    struct buf b;
    buf_init(&b, VALUE_LATE_LIMIT);
    struct value_sources sources = {e->source_map, e->source_map_count};
    (void)value_late_encode(&b, v, sources, e->d);
    struct gexpr out = {graph_draft_text(&e->g, buf_str(&b)), 1};
    buf_free(&b);
    return out;
}

struct gexpr command_put(struct eval *e, const struct value *v)
{
    if (v->kind == VALUE_LATE) {
        return command_put_encoded(e, v);
    }
    struct buf b;
    buf_init(&b, VALUE_LATE_LIMIT);
    struct gexpr out = {.late = 0};
    if (v->kind == VALUE_LIST) {
        for (uint32_t i = 0; i < v->count; i++) {
            value_put(&b, &v->items[i]);
            buf_put_char(&b, '\0');
        }
    } else {
        value_put(&b, v);
    }
    out.bytes = graph_draft_text(&e->g, buf_str(&b));
    buf_free(&b);
    return out;
}

/* ---- texts and words ---- */

static struct str first_text(const struct ast_string *string)
{
    return string->count && !string->parts[0].expr ? string->parts[0].text : STR("");
}

/* The value of a command's string for one style. script: whether its first bytes are `#!`. */
static bool shell_value(const struct scope *s, const struct ast_string *string,
                        const struct value_style *style, struct value *out)
{
    struct value_parts parts;
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    if (!expr_parts(s, string, &parts)) {
        return false;
    }
    enum shell_kind kind = shell_kind_of(first_text(string));
    return kind == SHELL_NONE ? value_text(&w, parts, style, out, s->e->d)
                              : shell_expand(&w, parts, kind, style, out, s->e->d);
}

static bool word_value(const struct scope *s, const struct ast_expr *e,
                       const struct value_style *style, struct value *out)
{
    struct value_parts parts;
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    if (e->kind != AST_STRING) {
        return expr_eval(s, e, out);
    }
    return expr_parts(s, &e->as.string, &parts) && value_text(&w, parts, style, out, s->e->d);
}

static bool argv_value(const struct scope *s, const struct ast_expr *e,
                       const struct value_style *style, struct value *out)
{
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    const struct ast_exprs *list = &e->as.list;
    if (!list->n) {
        expr_say(s, "empty-command", e->span, "there is no program to run in this list");
        return false;
    }
    struct value_part *parts = ARENA_ARRAY(s->arena, struct value_part, list->n);
    struct value *values = ARENA_ARRAY(s->arena, struct value, list->n);
    bool good = true;
    for (uint32_t i = 0; i < list->n; i++) {
        parts[i] = (struct value_part){&values[i], STR_NONE, list->at[i]->span};
        good &= word_value(s, list->at[i], style, &values[i]);
    }
    return good && value_argv(&w, (struct value_parts){parts, list->n}, style, out, s->e->d);
}

/* A command that is neither a string nor a list as written: its value says which. */
static bool other_value(const struct scope *s, const struct ast_expr *e,
                        const struct value_style *style, struct value *out)
{
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    struct value v;
    if (!expr_eval(s, e, &v)) {
        return false;
    }
    struct value_part part = {&v, STR_NONE, e->span};
    if (v.kind == VALUE_LIST) {
        return value_argv(&w, (struct value_parts){&part, 1}, style, out, s->e->d);
    }
    struct value text;
    return value_need(&w, &part, (struct value_want){VALUE_STRING, STR("'run'")}, &text, s->e->d)
           && (part.value = &text,
               value_text(&w, (struct value_parts){&part, 1}, style, out, s->e->d));
}

static bool run_value(const struct scope *s, const struct ast_expr *e,
                      const struct value_style *style, struct value *out)
{
    if (e->kind == AST_STRING) {
        return shell_value(s, &e->as.string, style, out);
    }
    if (e->kind == AST_LIST) {
        return argv_value(s, e, style, out);
    }
    if (e->kind != AST_CONDITIONAL) {
        return other_value(s, e, style, out);
    }
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    struct value v[3];
    const struct ast_expr *at[] = {e->as.conditional.condition, e->as.conditional.then,
                                   e->as.conditional.otherwise};
    struct value_part parts[3];
    if (!expr_eval(s, at[0], &v[0])) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        bool skipped = v[0].kind == VALUE_BOOL && i == (v[0].boolean ? 2 : 1);
        parts[i] = (struct value_part){&v[i], STR_NONE, at[i]->span};
        v[i] = i && skipped ? value_none() : v[i];
        if (i && !skipped && !run_value(s, at[i], style, &v[i])) {
            return false;
        }
    }
    return value_choose(&w, (struct value_parts){parts, 3}, e->span, out, s->e->d);
}

/* ---- one step's ---- */

/* Words or a text; of a choice that is made late both must be the same. */
static bool is_argv(const struct value *v, bool *mixed)
{
    if (v->kind != VALUE_LATE) {
        return v->kind == VALUE_LIST;
    }
    const struct value_parts *parts = &v->late->parts;
    if (v->late->kind != VALUE_LATE_CHOICE || parts->count != 3) {
        return v->late->kind == VALUE_LATE_ARGV;
    }
    bool then = is_argv(parts->at[1].value, mixed), otherwise = is_argv(parts->at[2].value, mixed);
    *mixed |= then != otherwise;
    return then;
}

static bool is_script(const struct value *v)
{
    if (v->kind != VALUE_LATE) {
        return v->kind == VALUE_STRING && str_starts(v->text, STR("#!"));
    }
    const struct value_parts *parts = &v->late->parts;
    if (v->late->kind == VALUE_LATE_CHOICE && parts->count == 3) {
        return is_script(parts->at[1].value) && is_script(parts->at[2].value);
    }
    return parts->count && !parts->at[0].value && str_starts(parts->at[0].text, STR("#!"));
}

static bool kind_of(const struct scope *s, const struct ast_expr *e, const struct value *v,
                    uint32_t *kind)
{
    bool mixed = false;
    *kind = is_argv(v, &mixed) ? GRAPH_COMMAND_ARGV
            : is_script(v)     ? GRAPH_COMMAND_SCRIPT
                               : GRAPH_COMMAND_SHELL;
    if (mixed) {
        expr_say(s, "type-mismatch", e->span,
                 "a choice that is made late is between two texts or two lists");
    }
    return !mixed;
}

static bool emit_run(const struct scope *s, const struct ast_expr *e, struct str cwd,
                     struct graph_step *out, struct value *mentioned)
{
    struct value_style style = {cwd, false};
    struct value v, seen;
    if (!run_value(s, e, &style, &v)) {
        return false;
    }
    value_add_refs_of(s->arena, mentioned, &v);
    if (!kind_of(s, e, &v, &out->command_kind)) {
        return false;
    }
    out->command = command_put(s->e, &v);
    out->command_tracked = out->command;
    if (v.untracked) {
        style.tracked = true;
        if (!run_value(s, e, &style, &seen)) {
            return false;
        }
        out->command_tracked = command_put(s->e, &seen);
        out->flags |= GRAPH_STEP_HAS_UNTRACKED;
    }
    return true;
}

/* A message: values put in plainly. */
static bool emit_fail(const struct scope *s, const struct ast_expr *e, struct graph_step *out,
                      struct value *mentioned)
{
    struct function_host host;
    struct value_work w = expr_work(s, &host);
    struct value v;
    if (!expr_eval(s, e, &v)) {
        return false;
    }
    struct value_part part = {&v, STR_NONE, e->span};
    struct value text;
    if (!value_need(&w, &part, (struct value_want){VALUE_STRING, STR("'fail'")}, &text, s->e->d)) {
        return false;
    }
    value_add_refs_of(s->arena, mentioned, &text);
    out->command_kind = GRAPH_COMMAND_FAIL;
    out->command = out->command_tracked = command_put(s->e, &text);
    return true;
}

static bool emit_make(const struct scope *s, const struct ast_item *item, struct graph_step *out)
{
    static const char *const keys[] = {"dir", "file", "args"};
    struct value v;
    bool good = expr_need(s, item->as.make.target, VALUE_STRING, STR("'make'"), &v);
    const struct ast_bindings *b = &item->as.make.block.keys;
    for (uint32_t i = 0; i < b->n; i++) {
        struct str name = b->at[i].name.text;
        struct value ignored;
        if (str_eq(name, str_from(keys[2]))) {
            good &= expr_need(s, b->at[i].value, VALUE_LIST, STR("'args'"), &ignored);
        } else if (str_eq(name, str_from(keys[0])) || str_eq(name, str_from(keys[1]))) {
            good &= expr_need(s, b->at[i].value, VALUE_STRING, name, &ignored);
        } else {
            struct diag *x = diag_error(s->e->d, "unknown-key", b->at[i].name.span,
                                        "'make' has no key '%.*s'", STR_ARG(name));
            diag_help(s->e->d, x, "it has 'dir', 'file' and 'args'");
            good = false;
        }
    }
    if (good) {
        out->command_kind = GRAPH_COMMAND_MAKE;
        out->command = out->command_tracked = command_put(s->e, &v);
    }
    return good;
}

bool command_emit(struct eval *e, struct instance *i, struct str cwd, struct graph_step *out,
                  struct value *mentioned)
{
    const struct step_def *step = i->step;
    const struct flat_item *flat = item_single(step, AST_ITEM_RUN);
    if (!flat) {
        struct diag *x = diag_error(e->d, "no-command", step->def->span,
                                    "step '%.*s' says neither 'run', 'make' nor 'fail'",
                                    STR_ARG(step->def->name));
        diag_help(e->d, x, "add 'run \"…\"' with the command that makes its outputs");
        return false;
    }
    struct scope s = item_scope(e, i, flat);
    const struct ast_item *item = flat->item;
    out->command_span =
        scope_gspan(e, item->kind == AST_ITEM_MAKE ? item->span : item->as.expr->span);
    if (item->kind == AST_ITEM_MAKE) {
        return emit_make(&s, item, out);
    }
    return item->kind == AST_ITEM_FAIL ? emit_fail(&s, item->as.expr, out, mentioned)
                                       : emit_run(&s, item->as.expr, cwd, out, mentioned);
}

bool command_probe(struct eval *e, struct def *def)
{
    struct scope s = scope_of_unit(e, def->unit);
    s.self_def = def;
    const struct ast_expr *expr = def->at->as.binding.value;
    struct value_style style = {STR("."), false};
    struct value v;
    if (!run_value(&s, expr, &style, &v)
        || !expr_is_known(&s, &v, expr->span, "a probe's command")) {
        return false;
    }
    if (v.kind != VALUE_STRING) {
        expr_say(&s, "type-mismatch", expr->span,
                 "a probe is a shell command: a text is wanted here");
        return false;
    }
    struct graph_probe *p = VEC_PUSH(e->arena, &e->g.probes);
    *p = (struct graph_probe){.span = scope_gspan(e, def->span)};
    p->name = graph_draft_text(&e->g, def->name);
    p->command = command_put(e, &v);
    def->number = e->g.probes.n - 1;
    def->in_graph = true;
    return true;
}
