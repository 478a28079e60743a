/* SPDX-License-Identifier: MIT */
/* Looks at the last three tokens and at what was expected, and says what a person most likely
 * did. Going on always makes progress: what is skipped to is a token that the grammar takes
 * there. */
#include "parser/syntax.h"

#include "parser/grammar.h"

#include <string.h>

/* ---- tokens for the grammar ---- */

static bool at_line_start(const struct parse *p, uint32_t at)
{
    return at == 0 || p->text.s[at - 1] == '\n';
}

static unsigned roles(struct lexer_token t)
{
    const struct lexer_word *w = t.inside ? NULL : lexer_find_word(t.text);
    return w && w->token == t.kind ? w->roles : 0;
}

/* A statement's word at the very margin: nobody writes an item there. */
static bool begins_statement(const struct parse *p, struct lexer_token t)
{
    return t.first && (roles(t) & LEXER_STATEMENT) && at_line_start(p, t.span.begin);
}

static struct lexer_token made(struct parse *p, int kind)
{
    struct span at = {p->source, p->lexer.at, p->lexer.at};
    return (struct lexer_token){.kind = kind, .span = at};
}

static struct lexer_token close_then(struct parse *p, struct lexer_token t)
{
    p->again = t;
    p->braces = 1;
    return made(p, '}');
}

/* The next token at which an item (or statement) can begin or the step ends. */
static struct lexer_token skip(struct parse *p)
{
    uint32_t base = p->skip_items ? 1 : 0;
    unsigned wanted = p->skip_items ? LEXER_ITEM : LEXER_STATEMENT;
    p->skip = false;
    for (;;) {
        struct lexer_token t = lexer_next(&p->lexer);
        if (t.kind == 0) {
            return base ? close_then(p, made(p, 0)) : made(p, 0);
        }
        if (t.inside || t.kind == T_BROKEN) {
            continue;
        }
        if (p->braces <= base && t.first && (roles(t) & wanted)) {
            return t;
        }
        if (begins_statement(p, t)) {
            if (base) {
                return close_then(p, t);
            }
            p->braces = 0;
            return t;
        }
        if (t.kind == '{') {
            p->braces++;
        } else if (t.kind == '}' && p->braces == base && base) {
            return t;
        } else if (t.kind == '}' && p->braces > 0) {
            p->braces--;
        }
    }
}

static struct lexer_token fetch(struct parse *p)
{
    if (p->stop) {
        return made(p, p->braces > 0 ? '}' : 0);
    }
    if (p->closes > 0) {
        p->closes--;
        return made(p, '}');
    }
    if (p->skip) {
        return skip(p);
    }
    struct lexer_token t = p->again;
    if (t.span.source != 0) {
        p->again = (struct lexer_token){0};
        return t;
    }
    return lexer_next(&p->lexer);
}

struct lexer_token syntax_next(struct parse *p)
{
    if (p->start) {
        int start = p->start;
        p->start = 0;
        return made(p, start);
    }
    struct lexer_token t = fetch(p);
    p->braces_was = p->braces;
    if (!t.inside && t.kind == '{') {
        p->braces++;
    } else if (!t.inside && t.kind == '}' && p->braces > 0) {
        p->braces--;
    }
    if (++p->tokens > AST_TOKEN_LIMIT && !p->stop) {
        p->stop = true;
        (void)diag_error(p->diags, "too-large", t.span, "more than %d tokens in one file",
                         AST_TOKEN_LIMIT);
    }
    memmove(&p->seen[1], &p->seen[0], sizeof p->seen - sizeof p->seen[0]);
    p->seen[0] = t;
    return t;
}

void syntax_resync(struct parse *p, bool items)
{
    tree_drop_pending(p);
    p->skip_items = items;
    if (p->again.span.source == 0 && p->closes == 0) {
        p->skip = true;
    }
}

/* ---- going on ---- */

/* The lexer goes back to the front of this token, which is to be looked at again. */
static void rewind_to(struct parse *p, struct lexer_token t)
{
    if (t.inside) {
        return;
    }
    lexer_rewind(&p->lexer, t);
    p->braces = p->braces_was;
}

/* Goes on as if t had been written here. */
static void replace_by(struct parse *p, struct lexer_token t)
{
    p->again = t;
}

static struct lexer_token peek(const struct parse *p)
{
    struct lexer ahead = p->lexer;
    ahead.diags = NULL;
    ahead.comments = NULL;
    return lexer_next(&ahead);
}

/* ---- words ---- */

static struct str describe(struct parse *p, struct lexer_token t)
{
    switch (t.kind) {
    case 0: return STR("end of the file");
    case T_STR: return STR("string");
    case T_STR_END: return STR("end of the string");
    case T_TEXT: return STR("text");
    case T_INT:
    case T_REAL:
    case T_QUANTITY: return str_printf(p->arena, "number '%.*s'", STR_ARG(t.text));
    default: return t.text.n ? str_printf(p->arena, "'%.*s'", STR_ARG(t.text)) : STR("'}'");
    }
}

void syntax_expect(struct syntax_expected *e, const char *symbol)
{
    if (symbol[0] != '\'') {
        return;
    }
    switch (symbol[1]) {
    case '=': e->assign = true; break;
    case ',': e->comma = true; break;
    case ':': e->colon = true; break;
    case '{': e->open_brace = true; break;
    case '}': e->close_brace = true; break;
    case '[': e->open_bracket = true; break;
    case ']': e->close_bracket = true; break;
    case '(': e->open_paren = true; break;
    case ')': e->close_paren = true; break;
    default: break;
    }
}

struct listing {
    struct str items[12];
    uint32_t n;
};

static void list_if(struct listing *l, bool wanted, const char *text)
{
    if (wanted && l->n < sizeof l->items / sizeof l->items[0]) {
        l->items[l->n++] = str_from(text);
    }
}

/* "a value, ',' or ']'". Operators that could have gone on are not worth a word. */
static struct str wanted_text(struct parse *p, const struct syntax_expected *e)
{
    struct listing l = {.n = 0};
    bool items = e->run && !e->name;
    bool statements = e->step && !e->name;
    list_if(&l, e->value, "a value");
    list_if(&l, e->name && !e->value, "a name");
    list_if(&l, e->string && !e->value && !items, "a string");
    list_if(&l, e->otherwise && !e->name, "'else'");
    list_if(&l, e->in && !e->name && !items && !statements && !e->compare, "'in'");
    list_if(&l, e->assign, "'='");
    list_if(&l, e->colon, "':'");
    list_if(&l, e->comma, "','");
    list_if(&l, e->open_bracket && !e->compare && !e->value && !items, "'['");
    list_if(&l, e->close_bracket, "']'");
    list_if(&l, e->close_paren, "')'");
    list_if(&l, e->open_brace, "'{'");
    list_if(&l, e->close_string, "'}}'");
    list_if(&l, items, "the next item");
    list_if(&l, e->close_brace, "'}'");
    list_if(&l, statements, "the next statement");
    list_if(&l, e->end && !statements, "the end");
    struct str text = STR_NONE;
    for (uint32_t i = 0; i < l.n; i++) {
        struct str link = i == 0 ? STR("") : i + 1 == l.n ? STR(" or ") : STR(", ");
        text = str_join3(p->arena, text, link, l.items[i]);
    }
    return text.n ? text : STR("something else");
}

/* What other tools call it. */
static struct str own_word(struct str x)
{
    static const char *const others[][2] = {
        {"input", "in"},    {"inputs", "in"},   {"dep", "in"},        {"deps", "in"},
        {"output", "out"},  {"outputs", "out"}, {"outs", "out"},      {"cmd", "run"},
        {"command", "run"}, {"shell", "run"},   {"script", "run"},    {"rule", "step"},
        {"stage", "step"},  {"stages", "step"}, {"task", "step"},     {"job", "step"},
        {"const", "let"},   {"var", "let"},     {"import", "include"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (str_eq(x, str_from(others[i][0]))) {
            return str_from(others[i][1]);
        }
    }
    return x;
}

/* The keyword most like x among those that can stand here; NULL if none is near. */
static const struct lexer_word *nearest_word(struct str x, unsigned wanted)
{
    x = own_word(x);
    const struct lexer_word *best = NULL;
    size_t limit = x.n <= 3 ? 1 : 2;
    for (const struct lexer_word *w = lexer_words(); w->text; w++) {
        size_t distance = str_distance(x, str_from(w->text), limit);
        if ((w->roles & wanted) && distance <= limit) {
            best = w;
            limit = distance > 0 ? distance - 1 : 0;
        }
    }
    return best;
}

/* ---- the errors ---- */

static const char *open_kind(const struct parse *p)
{
    return p->text.s[p->open_span.begin] == 't' ? "template" : "step";
}

static void tell_unclosed(struct parse *p, struct lexer_token bad)
{
    struct diag *d;
    if (bad.kind == 0) {
        d = diag_error(p->diags, "unclosed", bad.span, "'}' is missing at the end of the file");
    } else {
        d = diag_error(p->diags, "unclosed", bad.span, "'}' is missing before '%.*s'",
                       STR_ARG(bad.text));
    }
    diag_note(p->diags, d, p->open_span, "%s '%.*s' begins here", open_kind(p),
              STR_ARG(p->open_name.text));
    diag_help(p->diags, d, "close it with }");
    p->closes = p->braces_was;
    p->braces = p->braces_was;
    if (bad.kind != 0) {
        replace_by(p, bad);
    }
}

/* Goes on as if `let` stood before name, so that no other mistake follows from this one. */
static void take_for_let(struct parse *p, struct lexer_token name)
{
    lexer_rewind(&p->lexer, name);
    p->braces = p->braces_was;
    p->again = made(p, T_LET);
    p->mended++;
}

static void tell_forgotten(struct parse *p, struct lexer_token bad, bool items)
{
    struct diag *d = diag_error(p->diags, "forgotten-keyword", bad.span,
                                "a keyword is missing before '%.*s ='", STR_ARG(bad.text));
    int n = (int)bad.text.n;
    const char *s = bad.text.s;
    if (items) {
        diag_help(p->diags, d,
                  "write 'in %.*s = …' for an input, 'out %.*s = …' for an output, "
                  "'let %.*s = …' for a value",
                  n, s, n, s, n, s);
    } else {
        diag_help(p->diags, d,
                  "write 'let %.*s = …' for a value, 'param %.*s = …' for one that the "
                  "command line can replace",
                  n, s, n, s);
    }
    take_for_let(p, bad);
}

/* A name where an item or a statement should begin. True if it was told. */
static bool tell_unknown_word(struct parse *p, struct lexer_token bad, bool items, bool comma)
{
    if ((bad.kind != T_NAME && !(roles(bad) & LEXER_CLAUSE)) || (comma && !bad.first)) {
        return false;
    }
    if (peek(p).kind == '=') {
        tell_forgotten(p, bad, items);
        return true;
    }
    const struct lexer_word *w = nearest_word(bad.text, items ? LEXER_ITEM : LEXER_STATEMENT);
    if (!w && !bad.first && p->seen[1].kind != '{') {
        return false;
    }
    struct diag *d =
        diag_error(p->diags, items ? "unknown-item" : "unknown-statement", bad.span,
                   "there is no %s '%.*s'", items ? "step item" : "statement", STR_ARG(bad.text));
    if (w) {
        diag_help(p->diags, d, "did you mean '%s'?", w->text);
        bad.kind = w->token;
        replace_by(p, bad);
    } else if (items) {
        diag_help(p->diags, d,
                  "a step has in, code, out, run, make, after, param, env, secret, let, tool, "
                  "probe, when, metric, cache, resources and others");
    } else {
        diag_help(p->diags, d,
                  "a file has pipeline, param, let, params, include, cache, remote, pool, "
                  "executor, probe, template, use, step, group and default");
    }
    return true;
}

/* Where an item or a statement could have begun. */
static bool tell_at_front(struct parse *p, struct lexer_token bad, bool items,
                          const struct syntax_expected *e)
{
    if (items && bad.kind == 0) {
        tell_unclosed(p, bad);
        return true;
    }
    if (items && (roles(bad) & (LEXER_STATEMENT | LEXER_ITEM)) == LEXER_STATEMENT) {
        if (begins_statement(p, bad)) {
            tell_unclosed(p, bad);
            return true;
        }
        struct diag *d = diag_error(p->diags, "misplaced", bad.span, "'%.*s' cannot stand in a %s",
                                    STR_ARG(bad.text), open_kind(p));
        diag_help(p->diags, d,
                  "it belongs at the top of a file; if the %s above ends here, close it with }",
                  open_kind(p));
        return true;
    }
    bool python = bad.kind == T_IN && !bad.first && e->compare; /* as in Python */
    if (!items && !python && (roles(bad) & (LEXER_STATEMENT | LEXER_ITEM)) == LEXER_ITEM) {
        struct diag *d = diag_error(p->diags, "misplaced", bad.span, "'%.*s' belongs in a step",
                                    STR_ARG(bad.text));
        diag_help(p->diags, d, "write it between the braces of 'step NAME { … }'");
        return true;
    }
    if (!items && bad.kind == '}') {
        struct diag *d = diag_error(p->diags, "stray-brace", bad.span, "this '}' closes nothing");
        diag_help(p->diags, d, "take it away, or look for one too many above");
        return true;
    }
    return tell_unknown_word(p, bad, items, e->comma);
}

/* `param x = 3` in a step, where only names stand. */
static bool tell_value_in_step(struct parse *p, struct lexer_token bad, struct lexer_token name,
                               struct lexer_token word)
{
    int k = word.kind;
    bool takes_names = k == T_PARAM || k == T_PROBE || k == T_POOL;
    if (!takes_names || word.span.begin == p->word_at || p->braces == 0) {
        return false;
    }
    struct diag *d = diag_error(p->diags, "value-in-step", bad.span,
                                "'%.*s' takes no value in a %s", STR_ARG(word.text), open_kind(p));
    diag_help(p->diags, d, "define '%.*s' at the top of the file and name it here%s",
              STR_ARG(name.text), k == T_PARAM ? "; a value of the step's own is a 'let'" : "");
    take_for_let(p, name);
    return true;
}

/* An '=' where there should be none. */
static bool tell_assign(struct parse *p, struct lexer_token bad, const struct syntax_expected *e)
{
    struct lexer_token prev = p->seen[1];
    if (bad.kind != '=') {
        return false;
    }
    if (tell_value_in_step(p, bad, prev, p->seen[2])) {
        return true;
    }
    bool word = roles(prev) & (LEXER_STATEMENT | LEXER_ITEM);
    if (!word || prev.span.begin == p->word_at || (e->name && !e->value)) {
        return false;
    }
    struct diag *d =
        diag_error(p->diags, "syntax", bad.span, "'%.*s' takes no '='", STR_ARG(prev.text));
    if (e->name && e->value && (prev.kind == T_IN || prev.kind == T_OUT || prev.kind == T_CODE)) {
        diag_help(p->diags, d, "write '%.*s \"…\"', or '%.*s NAME = \"…\"'", STR_ARG(prev.text),
                  STR_ARG(prev.text));
    } else {
        diag_help(p->diags, d, "write what follows without it");
    }
    return true;
}

static bool ends_operand(int kind)
{
    return kind == T_NAME || kind == T_INT || kind == T_REAL || kind == T_QUANTITY
           || kind == T_STR_END || kind == ')' || kind == ']' || kind == T_TRUE || kind == T_FALSE;
}

static bool compares(int kind)
{
    return kind == T_EQ || kind == T_NE || kind == T_LE || kind == T_GE || kind == '<'
           || kind == '>';
}

static bool tell_chain(struct parse *p, struct lexer_token bad, struct lexer_token prev,
                       const struct syntax_expected *e)
{
    bool operand = ends_operand(prev.kind) || prev.span.begin == p->word_at;
    if (!compares(bad.kind) || e->compare || e->assign || !operand) {
        return false;
    }
    struct diag *d =
        diag_error(p->diags, "chained-comparison", bad.span, "comparisons do not chain");
    diag_help(p->diags, d, "join two of them: a < b and b < c");
    return true;
}

/* The word that begins the next item was taken for a name, since the line above wanted more. */
static bool tell_swallowed(struct parse *p, const struct syntax_expected *e)
{
    struct lexer_token prev = p->seen[1];
    struct lexer_token before = p->seen[2];
    bool word = (roles(prev) & (LEXER_STATEMENT | LEXER_ITEM)) && prev.first;
    if (!word || prev.span.begin != p->word_at || p->seen[0].kind == '.') {
        return false;
    }
    if (e->assign && !e->comma && !e->value && p->braces > 0) {
        struct diag *d = diag_error(p->diags, "unclosed", prev.span, "'}' is missing before '%.*s'",
                                    STR_ARG(prev.text));
        diag_help(p->diags, d, "close the block above with }");
    } else {
        struct str found = describe(p, before);
        struct diag *d =
            diag_error(p->diags, "line-ends-early", before.span,
                       "this line ends too early: something must follow %.*s", STR_ARG(found));
        diag_help(p->diags, d, "'%.*s' in the next line was taken for a name", STR_ARG(prev.text));
    }
    rewind_to(p, prev);
    return true;
}

static void help_generic(struct parse *p, struct diag *d, const struct syntax_expected *e)
{
    int bad = p->seen[0].kind;
    if (bad == T_STR && p->seen[1].kind == T_STR_END) {
        diag_help(p->diags, d, "strings do not join by themselves: put values in with {{…}}");
    } else if (bad == T_IN && e->compare) {
        diag_help(p->diags, d, "whether a list holds x is contains(list, x)");
    } else if (bad == '=' && e->compare) {
        diag_help(p->diags, d, "to compare, write ==");
    } else if (bad == T_STR && e->name && !e->value) {
        diag_help(p->diags, d, "names stand without quotes");
    } else if (bad == '.' && e->value) {
        diag_help(p->diags, d, "a number has a digit before its point: 0.5");
    } else if (bad == '/') {
        diag_help(p->diags, d, "paths stand in quotes; a comment begins with #");
    } else if (bad == ',' && e->close_brace && e->name) {
        diag_help(p->diags, d, "keys in { } are separated by blanks: { a = 1  b = 2 }");
    } else if (bad == ':' && e->assign) {
        diag_help(p->diags, d, "write NAME = VALUE");
    } else if (bad == ':' && (e->value || e->name || e->open_brace)) {
        diag_help(p->diags, d, "nothing has a ':' behind it here; blocks stand in { }");
    } else if (bad == '=' && e->step && p->seen[2].kind == ':') {
        diag_help(p->diags, d, "a parameter has a type or a default, whose type it takes");
    } else if (bad == '{' && e->name && !e->value && p->seen[1].kind == T_STEP) {
        diag_help(p->diags, d, "a step has a name: step NAME { … }");
    } else if (bad == '{' && e->value) {
        diag_help(p->diags, d,
                  peek(p).kind == '{'
                      ? "{{…}} stands in strings only; outside of them a name is enough"
                      : "a value has no { }; a tree of values comes from a file: params");
    } else if (bad == '}' && e->close_string) {
        diag_help(p->diags, d, "{{ is closed by }}");
    }
}

static void tell_generic(struct parse *p, struct lexer_token bad, const struct syntax_expected *e)
{
    struct str wanted = wanted_text(p, e);
    struct str found = describe(p, bad);
    struct lexer_token prev = p->seen[1];
    struct diag *d;
    if (e->name && !e->value && (roles(bad) & LEXER_RESERVED)) {
        d = diag_error(p->diags, "reserved-word", bad.span, "%.*s is reserved and cannot be a name",
                       STR_ARG(found));
        diag_help(p->diags, d, "reserved are true, false, not, and, or, if and else");
        return;
    }
    bool front = (e->run || e->step) && !e->name;
    if ((bad.first || bad.kind == 0) && !front && prev.span.source && prev.text.n) {
        d = diag_error(p->diags, "line-ends-early", prev.span,
                       "this line ends too early: expected %.*s", STR_ARG(wanted));
        diag_help(p->diags, d, "%.*s follows instead", STR_ARG(found));
        return;
    }
    d = diag_error(p->diags, "syntax", bad.span, "unexpected %.*s, expected %.*s", STR_ARG(found),
                   STR_ARG(wanted));
    help_generic(p, d, e);
}

/* Within {{ }}: the string does not end, which the lexer will say, and which says enough. */
static bool string_is_broken(const struct parse *p)
{
    struct lexer ahead = p->lexer;
    ahead.diags = NULL;
    ahead.comments = NULL;
    struct lexer_token t = p->seen[0];
    while (t.kind != T_BROKEN && t.kind != 0 && ahead.depth > 0) {
        t = lexer_next(&ahead);
    }
    return t.kind == T_BROKEN;
}

/* `run python3 train.py`: the shell's words without quotes. */
static bool tell_bare_command(struct parse *p, struct lexer_token bad)
{
    bool after_run = p->seen[1].kind == T_RUN && p->seen[1].span.begin != p->word_at;
    bool after_word = p->seen[2].kind == T_RUN && p->seen[1].kind == T_NAME
                      && !(roles(bad) & (LEXER_STATEMENT | LEXER_ITEM));
    bool opens = after_run && (bad.kind == '.' || bad.kind == '/' || bad.kind == '{');
    if (bad.first || bad.kind == '}' || bad.kind == 0 || !(opens || after_word)) {
        return false;
    }
    struct diag *d = diag_error(p->diags, "syntax", after_word ? p->seen[1].span : bad.span,
                                "a command stands in quotes");
    diag_help(p->diags, d, "write run \"…\", with {{…}} for values");
    rewind_to(p, bad);
    return true;
}

void syntax_report(struct parse *p, const struct syntax_expected *e)
{
    if (p->stop) {
        return;
    }
    p->stop = ++p->errors >= AST_ERROR_LIMIT;
    struct lexer_token bad = p->seen[0];
    if (bad.inside && string_is_broken(p)) {
        return;
    }
    if (tell_swallowed(p, e)) {
        return;
    }
    bool items = e->run && !e->name;
    bool statements = e->step && !e->name;
    if (tell_bare_command(p, bad)) {
        return;
    }
    if ((items || statements) && tell_at_front(p, bad, items, e)) {
        return;
    }
    if (tell_assign(p, bad, e) || tell_chain(p, bad, p->seen[1], e)) {
        return;
    }
    tell_generic(p, bad, e);
    rewind_to(p, bad);
}

void syntax_too_deep(struct parse *p, struct span at)
{
    if (!p->stop) {
        p->stop = true;
        (void)diag_error(p->diags, "too-deep", at, "too much is nested here");
    }
}
