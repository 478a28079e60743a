/* SPDX-License-Identifier: MIT */
/* The canonical layout. One walk over the tree writes the text; comments are a second list that
 * is merged in by offset. A comment for which the layout has no place moves to a line of its own
 * behind what it stood in. */
#include "parser/format.h"

#include <string.h>

enum { WIDTH = 100, INDENT = 4, SHORT_WORD = 4 };

struct writer {
    struct buf *out;
    struct str text;
    const struct ast_comments *comments;
    uint32_t next;   /* comment */
    uint32_t indent; /* of the line under way */
    bool flat;       /* only measuring: nothing is broken, no comment is written */
};

/* ---- text and places ---- */

static void put(struct writer *w, const char *s)
{
    buf_put_str(w->out, str_from(s));
}

static void put_span(struct writer *w, struct span at)
{
    buf_put_str(w->out, str_sub(w->text, at.begin, at.end - at.begin));
}

static void pad(struct writer *w, size_t n)
{
    while (n-- > 0) {
        buf_put_char(w->out, ' ');
    }
}

static void new_line(struct writer *w, uint32_t indent)
{
    w->indent = indent;
    buf_put_char(w->out, '\n');
    pad(w, indent);
}

static size_t column(const struct writer *w)
{
    size_t n = w->out->n;
    while (n > 0 && w->out->s[n - 1] != '\n') {
        n--;
    }
    return w->out->n - n;
}

/* A blank line lies between these offsets of the source. */
static bool blank_between(const struct writer *w, uint32_t from, uint32_t to)
{
    int breaks = 0;
    for (uint32_t i = from; i < to; i++) {
        char c = w->text.s[i];
        if (c == '\n') {
            breaks++;
        } else if (c != ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v') {
            breaks = 0;
        }
        if (breaks == 2) {
            return true;
        }
    }
    return false;
}

static bool break_follows(const struct writer *w, uint32_t at)
{
    while (at < w->text.n
           && (w->text.s[at] == ' ' || w->text.s[at] == '\t' || w->text.s[at] == '\r')) {
        at++;
    }
    return at < w->text.n && (w->text.s[at] == '\n' || w->text.s[at] == '#');
}

/* ---- comments ---- */

static bool has_comment(const struct writer *w, uint32_t before)
{
    return w->next < w->comments->n && w->comments->at[w->next].span.begin < before;
}

/* Any comment of the file, written already or not. */
static bool comment_within(const struct writer *w, struct span at)
{
    uint32_t low = 0;
    uint32_t high = w->comments->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (w->comments->at[middle].span.begin < at.begin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < w->comments->n && w->comments->at[low].span.begin < at.end;
}

static void put_comment(struct writer *w)
{
    struct span at = w->comments->at[w->next++].span;
    buf_put_str(w->out, str_trim(str_sub(w->text, at.begin, at.end - at.begin)));
}

/* The next comment stands on the line that ends here, with nothing but closing signs between. */
static bool comment_trails(const struct writer *w, uint32_t end)
{
    if (w->next >= w->comments->n || w->comments->at[w->next].span.begin < end) {
        return false;
    }
    for (uint32_t i = end; i < w->comments->at[w->next].span.begin; i++) {
        if (!strchr(" \t,)\f\v", w->text.s[i]) || w->text.s[i] == '\0') {
            return false;
        }
    }
    return true;
}

static void put_trailing(struct writer *w, uint32_t end)
{
    if (!w->flat && comment_trails(w, end)) {
        put(w, "  ");
        put_comment(w);
    }
}

/* Own lines for the comments before an offset, in a list or block: each after a line break. */
static void put_comments_before(struct writer *w, uint32_t before, uint32_t indent)
{
    while (!w->flat && has_comment(w, before)) {
        new_line(w, indent);
        put_comment(w);
    }
}

/* ---- expressions ---- */

static void put_expr(struct writer *w, const struct ast_expr *e);

static void put_binding(struct writer *w, const struct ast_binding *b)
{
    if (b->name.text.n > 0) {
        buf_put_str(w->out, b->name.text);
        put(w, b->value ? " = " : "");
    }
    if (b->value) {
        put_expr(w, b->value);
    }
}

static void put_bindings(struct writer *w, const struct ast_bindings *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        put(w, i ? ", " : "");
        put_binding(w, &list->at[i]);
    }
}

/* Width of [a, b] on one line; 0 if something in it has line breaks of its own. */
static size_t flat_width(const struct writer *w, const struct ast_exprs *list)
{
    struct buf scratch;
    buf_init(&scratch, BUF_TEXT_LIMIT);
    struct writer measure = *w;
    measure.out = &scratch;
    measure.flat = true;
    size_t width = 2;
    for (uint32_t i = 0; i < list->n && width <= WIDTH; i++) {
        buf_clear(&scratch);
        put_expr(&measure, list->at[i]);
        if (str_has(buf_str(&scratch), '\n')) {
            width = 0;
            break;
        }
        width += scratch.n + 2;
    }
    buf_free(&scratch);
    return width;
}

static void put_list(struct writer *w, const struct ast_exprs *list, struct span at)
{
    bool broken = !w->flat && list->n > 0
                  && (break_follows(w, at.begin + 1) || comment_within(w, at)
                      || column(w) + flat_width(w, list) > WIDTH);
    if (!broken) {
        put(w, "[");
        for (uint32_t i = 0; i < list->n; i++) {
            put(w, i ? ", " : "");
            put_expr(w, list->at[i]);
        }
        put(w, "]");
        return;
    }
    uint32_t outer = w->indent;
    put(w, "[");
    put_trailing(w, at.begin + 1);
    for (uint32_t i = 0; i < list->n; i++) {
        put_comments_before(w, list->at[i]->span.begin, outer + INDENT);
        new_line(w, outer + INDENT);
        put_expr(w, list->at[i]);
        put(w, ",");
        put_trailing(w, list->at[i]->span.end);
    }
    put_comments_before(w, at.end, outer + INDENT);
    new_line(w, outer);
    put(w, "]");
}

static void put_select(struct writer *w, const struct ast_expr *e)
{
    put_expr(w, e->as.select.of);
    put(w, "[");
    switch (e->as.select.kind) {
    case AST_SELECT_ALL: put(w, "*"); break;
    case AST_SELECT_KEYS:
        for (uint32_t i = 0; i < e->as.select.keys.n; i++) {
            const struct ast_binding *b = &e->as.select.keys.at[i];
            buf_printf(w->out, "%s%.*s=", i ? ", " : "", STR_ARG(b->name.text));
            put_expr(w, b->value);
        }
        break;
    case AST_SELECT_INDEX: put_expr(w, e->as.select.index); break;
    }
    put(w, "]");
}

static void put_bare(struct writer *w, const struct ast_expr *e)
{
    switch (e->kind) {
    case AST_STRING:
    case AST_INT:
    case AST_REAL:
    case AST_DURATION:
    case AST_SIZE:
    case AST_BOOL:
    case AST_NAME: put_span(w, e->span); break;
    case AST_LIST: put_list(w, &e->as.list, e->span); break;
    case AST_MEMBER:
        put_expr(w, e->as.member.of);
        put(w, ".");
        buf_put_str(w->out, e->as.member.name.text);
        break;
    case AST_SELECT: put_select(w, e); break;
    case AST_CALL:
        buf_put_str(w->out, e->as.call.function.text);
        put(w, "(");
        put_bindings(w, &e->as.call.args);
        put(w, ")");
        break;
    case AST_UNARY:
        put(w, e->as.binary.op == AST_NOT ? "not " : "-");
        put_expr(w, e->as.binary.right);
        break;
    case AST_BINARY:
        put_expr(w, e->as.binary.left);
        buf_printf(w->out, " %s ", ast_operator_text(e->as.binary.op));
        put_expr(w, e->as.binary.right);
        break;
    case AST_CONDITIONAL:
        put_expr(w, e->as.conditional.then);
        put(w, " if ");
        put_expr(w, e->as.conditional.condition);
        put(w, " else ");
        put_expr(w, e->as.conditional.otherwise);
        break;
    }
}

static void put_expr(struct writer *w, const struct ast_expr *e)
{
    put(w, e->parens ? "(" : "");
    put_bare(w, e);
    put(w, e->parens ? ")" : "");
}

static void put_exprs(struct writer *w, const struct ast_exprs *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        put(w, i ? ", " : "");
        put_expr(w, list->at[i]);
    }
}

/* ---- blocks ---- */

static size_t block_width(const struct writer *w, const struct ast_block *b)
{
    struct ast_exprs values = {NULL, 0, 0};
    size_t width = 2;
    for (uint32_t i = 0; i < b->keys.n; i++) {
        values = (struct ast_exprs){&b->keys.at[i].value, 1, 1};
        size_t one = flat_width(w, &values);
        width += one + b->keys.at[i].name.text.n + 3;
        if (one == 0) {
            return WIDTH + 1;
        }
    }
    return width;
}

static size_t longest_key(const struct ast_block *b)
{
    size_t longest = 0;
    for (uint32_t i = 0; i < b->keys.n; i++) {
        size_t n = b->keys.at[i].name.text.n;
        longest = n > longest ? n : longest;
    }
    return longest;
}

static void put_broken_block(struct writer *w, const struct ast_block *b)
{
    uint32_t outer = w->indent;
    size_t longest = longest_key(b);
    put(w, "{");
    put_trailing(w, b->span.begin + 1);
    for (uint32_t i = 0; i < b->keys.n; i++) {
        const struct ast_binding *key = &b->keys.at[i];
        put_comments_before(w, key->span.begin, outer + INDENT);
        new_line(w, outer + INDENT);
        buf_put_str(w->out, key->name.text);
        pad(w, longest - key->name.text.n);
        put(w, " = ");
        put_expr(w, key->value);
        put_trailing(w, key->span.end);
    }
    put_comments_before(w, b->span.end, outer + INDENT);
    new_line(w, outer);
    put(w, "}");
}

/* With the blank before it. */
static void put_block(struct writer *w, const struct ast_block *b)
{
    if (!b->present) {
        return;
    }
    put(w, " ");
    if (b->off) {
        put(w, "off");
    } else if (comment_within(w, b->span)
               || (b->keys.n > 0
                   && (break_follows(w, b->span.begin + 1)
                       || column(w) + block_width(w, b) > WIDTH))) {
        put_broken_block(w, b);
    } else if (b->keys.n == 0) {
        put(w, "{}");
    } else {
        put(w, "{ ");
        for (uint32_t i = 0; i < b->keys.n; i++) {
            put(w, i ? "  " : "");
            put_binding(w, &b->keys.at[i]);
        }
        put(w, " }");
    }
}

/* ---- sequences: statements of a file, items of a step ---- */

static void put_blank(struct writer *w, bool blank)
{
    if (blank && w->out->n > 0) {
        buf_put_char(w->out, '\n');
    }
}

/* The comments between two offsets of the source on lines of their own, with the blank lines
 * before them. Gives the end of the last. *blank: one is wanted first. */
static uint32_t put_comments(struct writer *w, uint32_t from, uint32_t to, bool *blank)
{
    while (has_comment(w, to)) {
        struct span at = w->comments->at[w->next].span;
        put_blank(w, *blank || blank_between(w, from, at.begin));
        pad(w, w->indent);
        put_comment(w);
        buf_put_char(w->out, '\n');
        from = at.end > from ? at.end : from;
        *blank = false;
    }
    return from;
}

/* What lies before an entry: blank lines and comments. */
static void put_gap(struct writer *w, uint32_t from, uint32_t to, bool blank)
{
    from = put_comments(w, from, to, &blank);
    put_blank(w, blank || blank_between(w, from, to));
}

/* What lies behind the last entry: comments. */
static void put_rest(struct writer *w, uint32_t from, uint32_t to)
{
    bool blank = false;
    (void)put_comments(w, from, to, &blank);
}

/* Two entries belong to one group of aligned lines: neither blank line nor comment between them,
 * nor a comment in the first, which might move to there. */
static bool adjoin(const struct writer *w, struct span a, struct span b)
{
    if (comment_within(w, a) || blank_between(w, a.end, b.begin)) {
        return false;
    }
    bool trailing = true;
    for (uint32_t i = a.end; i < b.begin; i++) {
        if (w->text.s[i] == '\n') {
            trailing = false;
        } else if (w->text.s[i] == '#') {
            if (!trailing) {
                return false;
            }
            while (i + 1 < b.begin && w->text.s[i + 1] != '\n') {
                i++;
            }
        }
    }
    return true;
}

/* ---- items ---- */

/* The name before an item's first '=', if it has one. */
static struct str first_name(const struct ast_item *item)
{
    switch (item->kind) {
    case AST_ITEM_IN:
    case AST_ITEM_CODE:
    case AST_ITEM_OUT: return item->as.bindings.at[0].name.text;
    case AST_ITEM_ENV:
    case AST_ITEM_LET:
    case AST_ITEM_DEPFILE:
    case AST_ITEM_CHECKPOINT:
    case AST_ITEM_METRIC: return item->as.binding.value ? item->as.binding.name.text : STR_NONE;
    case AST_ITEM_TEXT:
    case AST_ITEM_AFTER:
    case AST_ITEM_PARAM:
    case AST_ITEM_SECRET:
    case AST_ITEM_TOOL:
    case AST_ITEM_PROBE:
    case AST_ITEM_RUN:
    case AST_ITEM_MAKE:
    case AST_ITEM_CWD:
    case AST_ITEM_TRACE:
    case AST_ITEM_CACHE:
    case AST_ITEM_RESOURCES:
    case AST_ITEM_POOL:
    case AST_ITEM_ON:
    case AST_ITEM_TIMEOUT:
    case AST_ITEM_RETRY:
    case AST_ITEM_WHEN:
    case AST_ITEM_FAIL:
    case AST_ITEM_USE: break;
    }
    return STR_NONE;
}

struct columns {
    size_t word;  /* width of short keywords */
    size_t equal; /* where the '=' of this group stands, behind the indentation */
};

static size_t word_width(const struct ast_item *item, struct columns c)
{
    size_t n = strlen(ast_keyword(item->kind));
    return n <= SHORT_WORD && c.word > n ? c.word : n;
}

static size_t shared_word_width(const struct ast_items *items)
{
    size_t width = 0;
    for (uint32_t i = 0; i < items->n; i++) {
        size_t n = strlen(ast_keyword(items->at[i].kind));
        if (items->at[i].kind != AST_ITEM_TEXT && n <= SHORT_WORD && n > width) {
            width = n;
        }
    }
    return width;
}

/* The '=' of the group that begins at item `from`. */
static size_t shared_equal(const struct writer *w, const struct ast_items *items, uint32_t from,
                           struct columns c)
{
    size_t equal = 0;
    for (uint32_t i = from; i < items->n; i++) {
        if (i > from && !adjoin(w, items->at[i - 1].span, items->at[i].span)) {
            break;
        }
        struct str name = first_name(&items->at[i]);
        size_t width = word_width(&items->at[i], c) + 1 + name.n;
        if (name.n > 0 && width > equal) {
            equal = width;
        }
    }
    return equal;
}

/* Name (if any), '=' in its column, value. */
static void put_aligned(struct writer *w, const struct ast_binding *b, size_t equal)
{
    if (b->name.text.n > 0 && b->value) {
        buf_put_str(w->out, b->name.text);
        size_t at = column(w) - w->indent;
        pad(w, equal > at ? equal - at : 0);
        put(w, " = ");
        put_expr(w, b->value);
    } else {
        put_binding(w, b);
    }
}

/* Several files of one item: on one line if they fit, else below each other. */
static void put_files(struct writer *w, const struct ast_bindings *files, struct span at,
                      size_t equal)
{
    uint32_t outer = w->indent;
    uint32_t inner = (uint32_t)column(w);
    put_aligned(w, &files->at[0], equal);
    if (files->n == 1) {
        return;
    }
    size_t width = column(w);
    for (uint32_t i = 1; i < files->n; i++) {
        struct ast_exprs value = {&files->at[i].value, 1, 1};
        width += flat_width(w, &value) + files->at[i].name.text.n + 3;
    }
    bool broken = width > WIDTH || comment_within(w, at);
    for (uint32_t i = 1; i < files->n; i++) {
        put(w, ",");
        if (broken) {
            put_trailing(w, files->at[i - 1].span.end);
            put_comments_before(w, files->at[i].span.begin, inner);
            new_line(w, inner);
            w->indent = outer;
        } else {
            put(w, " ");
        }
        put_binding(w, &files->at[i]);
    }
}

static void put_use(struct writer *w, const struct ast_use *use)
{
    put_expr(w, use->what);
    if (use->parens) {
        put(w, "(");
        put_bindings(w, &use->args);
        put(w, ")");
    }
}

static void put_names(struct writer *w, const struct ast_names *names)
{
    for (uint32_t i = 0; i < names->n; i++) {
        put(w, i ? ", " : "");
        buf_put_str(w->out, names->at[i].text);
    }
}

static void put_item_value(struct writer *w, const struct ast_item *item, size_t equal)
{
    switch (item->kind) {
    case AST_ITEM_IN:
    case AST_ITEM_CODE:
    case AST_ITEM_OUT: put_files(w, &item->as.bindings, item->span, equal); break;
    case AST_ITEM_AFTER:
    case AST_ITEM_PARAM:
    case AST_ITEM_PROBE: put_exprs(w, &item->as.refs); break;
    case AST_ITEM_SECRET: put_names(w, &item->as.names); break;
    case AST_ITEM_ENV:
    case AST_ITEM_LET:
    case AST_ITEM_DEPFILE:
    case AST_ITEM_CHECKPOINT:
    case AST_ITEM_METRIC: put_aligned(w, &item->as.binding, equal); break;
    case AST_ITEM_MAKE:
        put_expr(w, item->as.make.target);
        put_block(w, &item->as.make.block);
        break;
    case AST_ITEM_RETRY:
        put_expr(w, item->as.retry.count);
        if (item->as.retry.backoff) {
            put(w, " backoff ");
            put_expr(w, item->as.retry.backoff);
        }
        break;
    case AST_ITEM_USE: put_use(w, &item->as.use); break;
    case AST_ITEM_CACHE:
    case AST_ITEM_RESOURCES: put_block(w, &item->as.block); break;
    case AST_ITEM_TEXT:
    case AST_ITEM_TOOL:
    case AST_ITEM_RUN:
    case AST_ITEM_CWD:
    case AST_ITEM_TRACE:
    case AST_ITEM_POOL:
    case AST_ITEM_ON:
    case AST_ITEM_TIMEOUT:
    case AST_ITEM_WHEN:
    case AST_ITEM_FAIL: put_expr(w, item->as.expr); break;
    }
}

static void put_item(struct writer *w, const struct ast_item *item, struct columns c)
{
    pad(w, w->indent);
    if (item->kind != AST_ITEM_TEXT) {
        put(w, ast_keyword(item->kind));
        if (item->kind != AST_ITEM_CACHE && item->kind != AST_ITEM_RESOURCES) {
            pad(w, word_width(item, c) - strlen(ast_keyword(item->kind)) + 1);
        }
    }
    put_item_value(w, item, c.equal);
    put_trailing(w, item->span.end);
    buf_put_char(w->out, '\n');
}

/* { items }, each on its line. */
static void put_body(struct writer *w, const struct ast_items *items, struct span body)
{
    put(w, "{");
    if (items->n == 0 && !comment_within(w, body)) {
        put(w, "}");
        return;
    }
    put_trailing(w, body.begin + 1);
    buf_put_char(w->out, '\n');
    w->indent = INDENT;
    struct columns c = {shared_word_width(items), 0};
    uint32_t end = body.begin + 1;
    for (uint32_t i = 0; i < items->n; i++) {
        const struct ast_item *item = &items->at[i];
        if (i == 0 || !adjoin(w, items->at[i - 1].span, item->span)) {
            c.equal = shared_equal(w, items, i, c);
        }
        put_gap(w, i == 0 ? item->span.begin : end, item->span.begin, false);
        put_item(w, item, c);
        end = item->span.end;
    }
    put_rest(w, end, body.end - 1);
    w->indent = 0;
    put(w, "}");
}

/* ---- statements ---- */

/* The name before a statement's '=', where those of neighbours are aligned. */
static struct str aligned_name(const struct ast_statement *s)
{
    if (s->kind == AST_PARAM && s->as.param.value) {
        return s->as.param.name.text;
    }
    bool named = s->kind == AST_LET || s->kind == AST_POOL || s->kind == AST_PROBE;
    return named ? s->as.binding.name.text : STR_NONE;
}

/* Width of the longest name in the group that begins at statement `from`. */
static size_t shared_name_width(const struct writer *w, const struct ast_statements *list,
                                uint32_t from)
{
    size_t width = 0;
    for (uint32_t i = from; i < list->n; i++) {
        const struct ast_statement *s = &list->at[i];
        if (s->kind != list->at[from].kind
            || (i > from && !adjoin(w, list->at[i - 1].span, s->span))) {
            break;
        }
        size_t n = aligned_name(s).n;
        width = n > width ? n : width;
    }
    return width;
}

static void put_named(struct writer *w, struct str name, const struct ast_expr *value, size_t width)
{
    buf_put_str(w->out, name);
    pad(w, width > name.n ? width - name.n : 0);
    put(w, " = ");
    put_expr(w, value);
}

static void put_param(struct writer *w, const struct ast_param *p, size_t width)
{
    if (p->value) {
        put_named(w, p->name.text, p->value, width);
    } else {
        buf_put_str(w->out, p->name.text);
        put(w, " : ");
        put(w, ast_type_text(p->type));
    }
    if (p->choices) {
        put(w, " in ");
        put_expr(w, p->choices);
    }
}

static void put_step(struct writer *w, const struct ast_step *s)
{
    buf_put_str(w->out, s->name.text);
    for (uint32_t i = 0; i < s->fors.n; i++) {
        const struct ast_for *f = &s->fors.at[i];
        put(w, f->rows ? " for (" : " for ");
        put_names(w, &f->names);
        put(w, f->rows ? ") in " : " in ");
        put_expr(w, f->list);
    }
    if (s->where) {
        put(w, " where ");
        put_expr(w, s->where);
    }
    put(w, " ");
    put_body(w, &s->items, s->body);
}

static void put_template(struct writer *w, const struct ast_template *t)
{
    buf_put_str(w->out, t->name.text);
    if (t->parens) {
        put(w, "(");
        put_bindings(w, &t->params);
        put(w, ")");
    }
    put(w, " ");
    put_body(w, &t->items, t->body);
}

static void put_file(struct writer *w, const struct ast_statement *s)
{
    put_expr(w, s->as.file.path);
    if (s->as.file.as.text.n > 0) {
        put(w, " as ");
        buf_put_str(w->out, s->as.file.as.text);
    }
}

static void put_group(struct writer *w, const struct ast_statement *s)
{
    const struct ast_exprs *refs = &s->as.group.refs;
    buf_put_str(w->out, s->as.group.name.text);
    put(w, " = ");
    uint32_t open =
        s->as.group.name.span.end; /* the list's own place is not kept: look for its bracket */
    while (open < s->span.end && w->text.s[open] != '[') {
        open++;
    }
    put_list(w, refs, (struct span){s->span.source, open, s->span.end});
}

static void put_statement(struct writer *w, const struct ast_statement *s, size_t width)
{
    put_span(w, s->keyword);
    if (s->kind != AST_CACHE) {
        put(w, " ");
    }
    switch (s->kind) {
    case AST_PIPELINE: buf_put_str(w->out, s->as.name.text); break;
    case AST_PARAM: put_param(w, &s->as.param, width); break;
    case AST_LET:
    case AST_POOL:
    case AST_PROBE: put_named(w, s->as.binding.name.text, s->as.binding.value, width); break;
    case AST_PARAMS:
    case AST_INCLUDE: put_file(w, s); break;
    case AST_CACHE: put_block(w, &s->as.block); break;
    case AST_REMOTE:
        put_expr(w, s->as.remote.url);
        put_block(w, &s->as.remote.block);
        break;
    case AST_EXECUTOR:
        buf_put_str(w->out, s->as.executor.name.text);
        put_block(w, &s->as.executor.block);
        break;
    case AST_TEMPLATE: put_template(w, &s->as.template); break;
    case AST_USE: put_use(w, &s->as.use); break;
    case AST_STEP: put_step(w, &s->as.step); break;
    case AST_GROUP: put_group(w, s); break;
    case AST_DEFAULT: put_exprs(w, &s->as.refs); break;
    }
    put_trailing(w, s->span.end);
    buf_put_char(w->out, '\n');
}

static bool has_body(const struct ast_statement *s)
{
    return s->kind == AST_STEP || s->kind == AST_TEMPLATE;
}

void format_file(const struct ast_file *f, struct str text, struct buf *out)
{
    struct writer w = {.out = out, .text = text, .comments = &f->comments};
    const struct ast_statements *list = &f->statements;
    uint32_t end = 0;
    size_t width = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        const struct ast_statement *s = &list->at[i];
        bool first = i == 0;
        if (first || s->kind != list->at[i - 1].kind
            || !adjoin(&w, list->at[i - 1].span, s->span)) {
            width = shared_name_width(&w, list, i);
        }
        bool blank =
            !first
            && (has_body(&list->at[i - 1]) || (has_body(s) && !has_comment(&w, s->span.begin)));
        put_gap(&w, end, s->span.begin, blank);
        put_statement(&w, s, width);
        end = s->span.end;
    }
    put_rest(&w, end, f->span.end);
}
