/* SPDX-License-Identifier: MIT */
/* Puts values into shell text: each as the place on top of the scan's stack demands, so that what arrives is
 * its text, and nothing of it is taken for shell. */
#include "core/shell.h"

#include "core/base/path.h"
#include "core/shell_scan.h"

#include <assert.h>
#include <string.h>

/* ---- bytes in quotes ---- */

static void put_escaped(struct shell_scan *s, struct str text, const char *specials)
{
    for (size_t i = 0; i < text.n; i++) {
        if (strchr(specials, text.s[i])) {
            shell_put(s, '\\');
        }
        shell_put_value_char(s, text.s[i]);
    }
}

/* Inside single quotes that are open already. */
static void put_inside_single(struct shell_scan *s, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.s[i];
        if (c == '\'') {
            shell_put(s, '\'');
            shell_put(s, '\\');
            shell_put(s, '\'');
        }
        shell_put_value_char(s, c);
        if (c == '\\' && i + 1 < text.n && text.s[i + 1] == '\n') {
            shell_put(
                s, '\''); /* bash joins lines of a here-document before it looks at a $( ) in it */
            shell_put(s, '\'');
        }
    }
}

static void put_single_quoted(struct shell_scan *s, struct str text)
{
    shell_put(s, '\'');
    put_inside_single(s, text);
    shell_put(s, '\'');
}

/* Puts c before offset at of out, which is in the current line. */
static void insert(struct shell_scan *s, size_t at, char c)
{
    buf_put_char(&s->out, c);
    memmove(s->out.s + at + 1, s->out.s + at, s->out.n - 1 - at);
    s->out.s[at] = c;
}

/* ---- values ---- */

static void fail_place(struct shell_scan *s, const char *where)
{
    if (!s->failed) {
        struct diag *e = diag_error(s->diags, "shell-place", s->blame,
                                    "a value cannot be put safely into %s", where);
        diag_help(s->diags, e,
                  "put it into a shell variable before, or use raw(x) to have it put in as it is");
    }
    s->failed = true;
}

static void fail_list(struct shell_scan *s, const char *where)
{
    shell_fail(s, "shell-list", where,
               "use join(x, \" \") to make one text of it, or raw(x) to have it put in as it is");
}

static struct str value_shown(struct shell_scan *s, const struct value *v)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    value_put_in(&b, v, s->style->cwd);
    struct str text = str_copy(s->work->arena, buf_str(&b));
    buf_free(&b);
    if (memchr(text.s, 0, text.n)) {
        shell_fail_nul(s);
    }
    return text;
}

/* The first byte of the text behind the current value; '\0' at the end; another value counts as glue. */
static char after(const struct shell_scan *s)
{
    if (s->run + 1 == s->runs.n) {
        return '\0';
    }
    const struct shell_run *next = &s->runs.at[s->run + 1];
    return next->value ? 'x' : next->text.s[0];
}

static bool is_reserved(struct str word)
{
    static const char *const words[] = {"case",   "coproc", "do",   "done",     "elif", "else",
                                        "esac",   "fi",     "for",  "function", "if",   "in",
                                        "select", "then",   "time", "until",    "while"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_eq(word, str_from(words[i]))) {
            return true;
        }
    }
    return false;
}

/* Digits before < or > would name a descriptor. */
static bool may_become_descriptor(const struct shell_scan *s)
{
    if (s->run + 1 == s->runs.n) {
        return false;
    }
    const struct shell_run *next = &s->runs.at[s->run + 1];
    size_t i = 0;
    while (!next->value && i < next->text.n && shell_is_digit(next->text.s[i])) {
        i++;
    }
    if (next->value || i == next->text.n) {
        return s->run + 2 < s->runs.n;
    }
    return next->text.s[i] == '<' || next->text.s[i] == '>';
}

static bool is_safe_word(struct shell_scan *s, struct str text)
{
    const struct shell_frame *f = shell_top(s);
    char before = s->out.n > 0 ? s->out.s[s->out.n - 1] : ' ';
    bool digits = true;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.s[i];
        digits = digits && shell_is_digit(c);
        if (!shell_is_name_char(c) && (f->special || !str_has(STR("./:@%+,-"), c))) {
            return false;
        }
    }
    bool glued_name = s->name != 0 && text.n > 0 && shell_is_name_char(text.s[0]);
    bool dash = text.n > 0 && text.s[0] == '-' && s->kind == SHELL_BASH;
    bool tilde = before == '~' || (after(s) == '~' && text.n > 0);
    return text.n > 0 && !glued_name && !dash && !tilde && !is_reserved(text)
           && !(digits && may_become_descriptor(s));
}

static void put_word(struct shell_scan *s, struct str text)
{
    shell_begin_word(s);
    if (is_safe_word(s, text)) {
        put_escaped(s, text, "");
    } else {
        put_single_quoted(s, text);
    }
}

/* A backslash or a $ right before a value is one: it cannot mean the value's first character. */
static void settle_text_before(struct shell_scan *s, bool starts_name)
{
    struct shell_frame *f = shell_top(s);
    if (f->escape) {
        shell_put(s, '\\');
        f->escape = false;
    } else if (s->dollar > 0) {
        insert(s, s->dollar - 1, '\\');
    } else if (s->name > 0 && starts_name) {
        insert(s, s->name, '{');
        buf_put_char(&s->out, '}');
    }
    s->dollar = 0;
    s->name = 0;
}

static void put_list_words(struct shell_scan *s, const struct value *list, bool *first)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const struct value *v = &list->items[i];
        v = v->unquoted ? v->unquoted : v;
        if (v->kind == VALUE_LIST) {
            put_list_words(s, v, first);
            continue;
        }
        if (!*first) {
            shell_end_word(s);
            shell_put(s, ' ');
        }
        *first = false;
        struct str text = value_shown(s, v);
        if (v->raw) {
            shell_begin_word(s);
            put_escaped(s, text, "");
        } else {
            put_word(s, text);
        }
    }
}

static void put_bare(struct shell_scan *s, const struct value *v)
{
    if (v->kind != VALUE_LIST) {
        struct str text = value_shown(s, v);
        settle_text_before(s, text.n > 0 && shell_is_name_char(text.s[0]));
        put_word(s, text);
        return;
    }
    char next = after(s);
    if (shell_top(s)->in_word || shell_top(s)->escape
        || (next != '\0' && !shell_is_separator(next))) {
        fail_list(s, "a list that is glued to other text is no longer one word for each item");
        return;
    }
    bool first = true;
    put_list_words(s, v, &first);
}

static void put_number(struct shell_scan *s, const struct value *v)
{
    struct str text = value_shown(s, v);
    size_t i = text.n > 0 && text.s[0] == '-' ? 1 : 0;
    bool number = i < text.n && shell_is_digit(text.s[i]);
    for (; i < text.n; i++) {
        number = number && (shell_is_name_char(text.s[i]) || text.s[i] == '.');
    }
    if (!number && !s->style->tracked) {
        fail_place(s, "arithmetic unless it is a number");
        return;
    }
    if (text.n > 0 && text.s[0] == '-') {
        shell_put(s, ' '); /* `1-{{x}}` shall not become `1--2` */
    }
    put_escaped(s, text, "");
}

/* bash looks for the end of "${…}" as if these began something. */
static bool is_calm(const struct shell_scan *s, struct str text)
{
    bool quote = str_has(text, '\'') && s->kind == SHELL_BASH;
    return !quote && str_find(text, STR("<(")) < 0 && str_find(text, STR(">(")) < 0;
}

static void put_param(struct shell_scan *s, const struct value *v)
{
    const struct shell_frame *f = shell_top(s);
    if (f->stage == SHELL_PARAM_NAME) {
        fail_place(s, "the name in ${ }");
    } else if (f->stage == SHELL_PARAM_COLON || f->stage == SHELL_PARAM_NUMBER) {
        put_number(s, v);
    } else if (!f->inside_quotes || f->stage == SHELL_PARAM_PATTERN) {
        struct str text = value_shown(s, v);
        settle_text_before(s, false);
        put_single_quoted(s, text);
    } else if (f->stage == SHELL_PARAM_WORD && shell_bodies_begun(s) == 0) {
        struct str text = value_shown(s, v);
        if (!is_calm(s, text)) {
            fail_place(s, "\"${ }\" when it holds a single quote or <(");
            return;
        }
        settle_text_before(s, text.n > 0 && shell_is_name_char(text.s[0]));
        put_escaped(s, text, "$`\"\\}");
    } else {
        fail_place(s, "${ } inside quotes or a here-document");
    }
}

static void put_here(struct shell_scan *s, const struct value *v)
{
    struct str text = value_shown(s, v);
    if (s->heres.at[shell_top(s)->here].quoted) {
        put_escaped(s, text, "");
        return;
    }
    settle_text_before(s, text.n > 0 && shell_is_name_char(text.s[0]));
    put_escaped(s, text, "$`\\");
}

static void put_double(struct shell_scan *s, const struct value *v)
{
    if (shell_top(s)->inside_quotes) {
        fail_place(s, "double quotes inside ${ } inside double quotes");
        return;
    }
    struct str text = value_shown(s, v);
    settle_text_before(s, text.n > 0 && shell_is_name_char(text.s[0]));
    put_escaped(s, text, "$`\"\\");
}

static void put_inside_dollar(struct shell_scan *s, const struct value *v)
{
    struct str text = value_shown(s, v);
    settle_text_before(s, false);
    if (shell_top(s)->escaped) { /* an escape such as \x4 must not go on in the value */
        buf_put_str(&s->out, STR("'$'"));
    }
    put_escaped(s, text, "\\'");
}

static void put_comment(struct shell_scan *s, const struct value *v)
{
    struct str text = value_shown(s, v);
    for (size_t i = 0; i < text.n; i++) {
        shell_put_value_char(s, text.s[i] == '\n' || text.s[i] == '\r' ? ' ' : text.s[i]);
    }
}

static void put_value(struct shell_scan *s, const struct value *v)
{
    enum shell_place place = shell_top(s)->place;
    bool bare = place == SHELL_PLACE_BARE || place == SHELL_PLACE_PAREN || place == SHELL_PLACE_SUB;
    v = v->unquoted ? v->unquoted : v;
    s->line_has_value = true;
    if (s->lost && place != SHELL_PLACE_COMMENT) {
        fail_place(s, s->lost);
        return;
    }
    if (v->kind == VALUE_LIST && !bare && place != SHELL_PLACE_COMMENT) {
        fail_list(s, "a list in quotes, in a here-document or inside ${ } is not clear");
        return;
    }
    switch (place) {
    case SHELL_PLACE_BARE:
    case SHELL_PLACE_PAREN:
    case SHELL_PLACE_SUB: put_bare(s, v); break;
    case SHELL_PLACE_PARAM: put_param(s, v); break;
    case SHELL_PLACE_ARITH: put_number(s, v); break;
    case SHELL_PLACE_SINGLE: put_inside_single(s, value_shown(s, v)); break;
    case SHELL_PLACE_DOUBLE: put_double(s, v); break;
    case SHELL_PLACE_DOLLAR: put_inside_dollar(s, v); break;
    case SHELL_PLACE_BACKTICK: fail_place(s, "backticks"); break;
    case SHELL_PLACE_COMMENT: put_comment(s, v); break;
    case SHELL_PLACE_HERE: put_here(s, v); break;
    }
    s->dollar = 0;
    s->name = 0;
}

/* ---- the whole ---- */

static bool may_be_raw(const struct value *v, int depth)
{
    if (v->kind != VALUE_LATE) {
        return v->raw;
    }
    const struct value_late *late = v->late;
    bool raw = depth > 8 || (late->kind == VALUE_LATE_CALL && str_eq(late->text, STR("raw")));
    for (uint32_t i = 0; late->kind == VALUE_LATE_CHOICE && i < late->parts.count && !raw; i++) {
        raw = may_be_raw(late->parts.at[i].value, depth + 1);
    }
    return raw;
}

/* Texts and raw values become one text where they touch. false: what follows cannot be known yet. */
static void put_runs(struct shell_scan *s, struct value_parts parts)
{
    struct arena *a = s->work->arena;
    struct buf text;
    buf_init(&text, BUF_TEXT_LIMIT);
    for (uint32_t i = 0; i <= parts.count; i++) {
        const struct value_part *part = i < parts.count ? &parts.at[i] : NULL;
        const struct value *v = part ? part->value : NULL;
        if (v && s->style->tracked && v->untracked) {
            struct value seen = value_tracked(a, v);
            v = arena_copy(a, &seen, sizeof seen, _Alignof(struct value));
        }
        if (v && v->raw && v->kind != VALUE_LATE) {
            value_put_in(&text, v, s->style->cwd);
        } else if (part && !v) {
            buf_put_str(&text, part->text);
        } else {
            if (text.n > 0) {
                *VEC_PUSH(a, &s->runs) = (struct shell_run){.text = str_copy(a, buf_str(&text))};
                buf_clear(&text);
            }
            if (v && v->kind == VALUE_LATE && may_be_raw(v, 0)) {
                break;
            }
            if (v) {
                *VEC_PUSH(a, &s->runs) = (struct shell_run){.value = v, .span = part->span};
            }
        }
    }
    buf_free(&text);
}

static void expand(struct shell_scan *s, struct value_parts parts)
{
    const struct value unknown = value_int(0);
    put_runs(s, parts);
    shell_push(s, SHELL_PLACE_BARE);
    for (s->run = 0; s->run < s->runs.n && !s->failed; s->run++) {
        const struct shell_run *run = &s->runs.at[s->run];
        if (run->value) {
            s->blame = run->span;
            put_value(s, run->value->kind == VALUE_LATE ? &unknown : run->value);
        }
        for (s->at = 0; s->at < run->text.n && !s->failed;) {
            shell_step(s);
        }
    }
    shell_check_line(s);
    if (s->out.n > 0 && memchr(s->out.s, 0, s->out.n)) {
        shell_fail_nul(s);
    }
}

bool shell_expand(const struct value_work *w, struct value_parts parts, enum shell_kind kind,
                  const struct value_style *style, struct value *out, struct diags *d)
{
    assert(kind != SHELL_NONE);
    struct shell_scan s = {.work = w, .style = style, .kind = kind, .diags = d};
    buf_init(&s.out, VALUE_LATE_LIMIT);
    expand(&s, parts);
    *out = value_string(str_copy(w->arena, buf_str(&s.out)));
    out->refs = value_refs_of(w->arena, parts);
    out->untracked = !style->tracked && value_any_untracked(parts);
    if (s.out.full) {
        shell_fail(&s, "too-large", "the command is too long", "pass what is long through a file");
    }
    buf_free(&s.out);
    if (s.failed || !value_any_late(parts)) {
        return !s.failed;
    }
    struct value_late late = {.kind = VALUE_LATE_SHELL,
                              .tracked = style->tracked,
                              .number = (uint32_t)kind,
                              .text = style->cwd,
                              .parts = parts};
    for (uint32_t i = 0; i < parts.count && late.span.source == 0; i++) {
        late.span = parts.at[i].span;
    }
    return value_late_make(w->arena, &late, out, d);
}

/* ---- which shell ---- */

static bool is_one_of(struct str name, const char *const *names)
{
    for (; *names; names++) {
        if (str_eq(name, str_from(*names))) {
            return true;
        }
    }
    return false;
}

static struct str next_word(struct str *line)
{
    size_t n = 0;
    *line = str_trim(*line);
    while (n < line->n && line->s[n] != ' ' && line->s[n] != '\t') {
        n++;
    }
    struct str word = str_sub(*line, 0, n);
    *line = str_tail(*line, n);
    return word;
}

enum shell_kind shell_kind_of(struct str text)
{
    static const char *const posix[] = {"sh", "dash", "ash", "busybox", NULL};
    static const char *const bash[] = {"bash", "rbash", "ksh", "ksh93", "mksh", "zsh", NULL};
    if (!str_starts(text, STR("#!"))) {
        return SHELL_POSIX;
    }
    struct str rest = str_tail(text, 2), line = STR_NONE;
    if (!str_cut(&rest, '\n', &line)) {
        return SHELL_NONE;
    }
    bool env = false;
    for (struct str word; (word = next_word(&line)).n > 0;) {
        struct str name = path_basename(word);
        if (!env && str_eq(name, STR("env"))) {
            env = true;
        } else if (!env || (word.s[0] != '-' && !str_has(word, '='))) {
            return is_one_of(name, posix)  ? SHELL_POSIX
                   : is_one_of(name, bash) ? SHELL_BASH
                                           : SHELL_NONE;
        }
    }
    return SHELL_NONE;
}
