/* SPDX-License-Identifier: MIT */
/* Steps over shell text: quotes, dollars, words, here-documents, as dash and bash read them. What it does not
 * need to tell places apart (redirections, reserved words, globs) it does not look at. */
#include "core/shell_scan.h"

#include <string.h>

enum { SHELL_DEPTH = 200 };

struct shell_frame *shell_top(struct shell_scan *s)
{
    return &s->stack.at[s->stack.n - 1];
}

void shell_push(struct shell_scan *s, enum shell_place place)
{
    struct shell_frame *f = VEC_PUSH(s->work->arena, &s->stack);
    *f = (struct shell_frame){.place = place, .command = true, .word_at = s->out.n};
    s->subs += place == SHELL_PLACE_SUB;
    if (s->stack.n > SHELL_DEPTH) {
        s->lost = "text nested this deeply";
    }
}

static void pop(struct shell_scan *s)
{
    s->subs -= shell_top(s)->place == SHELL_PLACE_SUB;
    if (s->stack.n > 1) {
        s->stack.n--;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool shell_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool shell_is_name_char(char c)
{
    return c == '_' || shell_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What ends a word. */
bool shell_is_separator(char c)
{
    return is_blank(c) || str_has(STR("\n;&|<>()"), c);
}

/* ---- output ---- */

static struct str line_text(const struct shell_scan *s, const struct shell_here *here)
{
    struct str line = {s->out.s + s->line, s->out.n - s->line};
    while (here->strip && line.n > 0 && line.s[0] == '\t') {
        line = str_tail(line, 1);
    }
    return line;
}

void shell_fail(struct shell_scan *s, const char *code, const char *message, const char *help)
{
    if (!s->failed) {
        struct diag *e = diag_error(s->diags, code, s->blame, "%s", message);
        diag_help(s->diags, e, "%s", help);
    }
    s->failed = true;
}

void shell_fail_nul(struct shell_scan *s)
{
    shell_fail(s, "nul-byte", "a command cannot hold a NUL byte", "pass it through a file");
}

/* A line of a here-document is complete: no value may have made it the last one. */
void shell_check_line(struct shell_scan *s)
{
    for (uint32_t i = 0; s->line_has_value && i < s->stack.n; i++) {
        const struct shell_frame *f = &s->stack.at[i];
        if (f->place != SHELL_PLACE_HERE) {
            continue;
        }
        const struct shell_here *here = &s->heres.at[f->here];
        if (str_eq(line_text(s, here), here->delimiter)) {
            shell_fail(s, "here-document", "this value would end the here-document it stands in",
                       "end it with another word, as in <<END_OF_TEXT");
        }
    }
}

void shell_put(struct shell_scan *s, char c)
{
    s->dollar = 0;
    s->name = 0;
    if (c == '\n') {
        shell_check_line(s);
        s->line = s->out.n + 1;
        s->line_has_value = false;
    }
    buf_put_char(&s->out, c);
}

static bool strips_tabs(const struct shell_scan *s)
{
    for (uint32_t i = 0; i < s->stack.n; i++) {
        const struct shell_frame *f = &s->stack.at[i];
        if (f->place == SHELL_PLACE_HERE && s->heres.at[f->here].strip) {
            return true;
        }
    }
    return false;
}

/* One byte of a value. */
void shell_put_value_char(struct shell_scan *s, char c)
{
    if (c == '\t' && strips_tabs(s)) {
        struct str line = {s->out.s + s->line, s->out.n - s->line};
        while (line.n > 0 && line.s[0] == '\t') {
            line = str_tail(line, 1);
        }
        if (line.n == 0) {
            shell_fail(s, "here-document", "<<- would take the tab off this value's line",
                       "use << and no tabs before the text");
        }
    }
    shell_put(s, c);
    s->line_has_value = true; /* also of the line that it begins */
}

/* ---- text: dollars ---- */

static char peek(const struct shell_scan *s, size_t ahead)
{
    struct str text = s->runs.at[s->run].text;
    return s->at + ahead < text.n ? text.s[s->at + ahead] : '\0';
}

static void put_text(struct shell_scan *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        shell_put(s, peek(s, 0));
        s->at++;
    }
}

static bool in_quotes(const struct shell_frame *f)
{
    return f->place == SHELL_PLACE_DOUBLE || f->place == SHELL_PLACE_HERE
           || f->place == SHELL_PLACE_ARITH || (f->place == SHELL_PLACE_PARAM && f->inside_quotes);
}

static void step_name(struct shell_scan *s)
{
    size_t from = s->out.n;
    put_text(s, 2);
    while (shell_is_name_char(peek(s, 0))) {
        put_text(s, 1);
    }
    s->name = from + 1;
}

/* At a $ that is not escaped. */
static void step_dollar(struct shell_scan *s)
{
    bool quotes = in_quotes(shell_top(s));
    char next = peek(s, 1);
    shell_top(s)->in_word = true;
    if (next == '(' && peek(s, 2) == '(') {
        put_text(s, 3);
        shell_push(s, SHELL_PLACE_ARITH);
    } else if (next == '(') {
        put_text(s, 2);
        shell_push(s, SHELL_PLACE_SUB);
    } else if (next == '{') {
        put_text(s, 2);
        shell_push(s, SHELL_PLACE_PARAM);
        shell_top(s)->inside_quotes = quotes;
    } else if (next == '\'' && !quotes && s->kind == SHELL_BASH) {
        put_text(s, 2);
        shell_push(s, SHELL_PLACE_DOLLAR);
    } else if (shell_is_name_char(next) && !shell_is_digit(next)) {
        step_name(s);
    } else if (next != '\0' && (shell_is_digit(next) || strchr("@*#?-$!", next))) {
        put_text(s, 2);
    } else {
        put_text(s, 1);
        s->dollar = s->out.n;
    }
}

/* ---- text: words and here-documents ---- */

static bool begins_command(struct str word)
{
    static const char *const words[] = {"if",    "then", "elif", "else", "while",
                                        "until", "do",   "{",    "!",    "time"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_eq(word, str_from(words[i]))) {
            return true;
        }
    }
    return false;
}

void shell_end_word(struct shell_scan *s)
{
    struct shell_frame *f = shell_top(s);
    if (f->in_word) {
        struct str word = {s->out.s + f->word_at, s->out.n - f->word_at};
        if (f->command && s->subs > 0 && str_eq(word, STR("case"))) {
            s->lost = "'case' inside $( )";
        }
        f->command = f->command && begins_command(word);
    }
    f->in_word = false;
    f->special = false;
}

void shell_begin_word(struct shell_scan *s)
{
    struct shell_frame *f = shell_top(s);
    if (!f->in_word) {
        f->in_word = true;
        f->word_at = s->out.n;
    }
}

/* The delimiter behind <<, copied to out and without its quotes in *here. false: it goes on in a value. */
static bool take_delimiter(struct shell_scan *s, struct shell_here *here)
{
    struct buf word;
    buf_init(&word, BUF_TEXT_LIMIT);
    char quote = '\0';
    while (is_blank(peek(s, 0))) {
        put_text(s, 1);
    }
    struct str text = s->runs.at[s->run].text;
    while (s->at < text.n && (quote != '\0' || !shell_is_separator(peek(s, 0)))) {
        char c = peek(s, 0);
        bool opens = quote == '\0' && (c == '\'' || c == '"');
        if (opens || (quote != '\0' && c == quote)) {
            quote = opens ? c : '\0';
            here->quoted = true;
        } else if (c == '\\' && quote != '\'' && s->at + 1 < text.n) {
            here->quoted = true;
            put_text(s, 1);
            buf_put_char(&word, peek(s, 0));
        } else {
            buf_put_char(&word, c);
        }
        put_text(s, 1);
    }
    here->delimiter = str_copy(s->work->arena, buf_str(&word));
    buf_free(&word);
    return s->at < text.n || s->run + 1 == s->runs.n;
}

static void step_here(struct shell_scan *s)
{
    struct shell_here here = {.subs = s->subs};
    put_text(s, 2);
    if (peek(s, 0) == '-') {
        here.strip = true;
        put_text(s, 1);
    }
    if (!take_delimiter(s, &here)) {
        s->blame = s->runs.at[s->run + 1].span;
        shell_fail(s, "shell-place", "a value cannot be part of a here-document's delimiter",
                   "write the delimiter out, or use raw(x)");
    }
    *VEC_PUSH(s->work->arena, &s->heres) = here;
}

/* True if the place is the body of a here-document that has begun. */
uint32_t shell_bodies_begun(const struct shell_scan *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->stack.n; i++) {
        const struct shell_frame *f = &s->stack.at[i];
        n = f->place == SHELL_PLACE_HERE ? f->here + 1 : n;
    }
    return n;
}

static void step_newline(struct shell_scan *s)
{
    shell_end_word(s);
    shell_top(s)->command = true;
    put_text(s, 1);
    uint32_t waiting = shell_bodies_begun(s);
    if (waiting < s->heres.n) {
        if (s->heres.at[waiting].subs != s->subs) {
            s->lost = "a here-document that begins outside of this $( )";
        }
        shell_push(s, SHELL_PLACE_HERE);
        shell_top(s)->here = waiting;
    }
}

/* The body's last line is there: on with the next one that was declared beside it. */
static void end_here(struct shell_scan *s)
{
    uint32_t next = shell_top(s)->here + 1;
    pop(s);
    if (next < s->heres.n) {
        shell_push(s, SHELL_PLACE_HERE);
        shell_top(s)->here = next;
    } else {
        s->heres.n = shell_bodies_begun(s);
    }
}

/* ---- text: one step in each place ---- */

static bool step_escape(struct shell_scan *s)
{
    struct shell_frame *f = shell_top(s);
    if (!f->escape) {
        return false;
    }
    f->escape = false;
    put_text(s, 1);
    return true;
}

static bool step_quotes(struct shell_scan *s)
{
    char c = peek(s, 0);
    enum shell_place place = c == '\''  ? SHELL_PLACE_SINGLE
                             : c == '"' ? SHELL_PLACE_DOUBLE
                                        : SHELL_PLACE_BACKTICK;
    if (c != '\'' && c != '"' && c != '`') {
        return false;
    }
    shell_begin_word(s);
    put_text(s, 1);
    shell_push(s, place);
    return true;
}

static void step_operator(struct shell_scan *s)
{
    char c = peek(s, 0), next = peek(s, 1);
    bool bash = s->kind == SHELL_BASH;
    bool word = shell_top(s)->in_word;
    shell_end_word(s);
    if (c == '<' && next == '<' && peek(s, 2) == '<' && bash) {
        put_text(s, 3);
    } else if (c == '<' && next == '<') {
        step_here(s);
    } else if ((c == '<' || c == '>') && next == '(' && bash) {
        shell_begin_word(s);
        put_text(s, 2);
        shell_push(s, SHELL_PLACE_SUB);
    } else if (c == '(' && next == '(' && bash && !word) {
        put_text(s, 2);
        shell_push(s, SHELL_PLACE_ARITH);
    } else if (c == '(') {
        put_text(s, 1);
        shell_push(s, SHELL_PLACE_PAREN);
    } else if (c == ')') {
        put_text(s, 1);
        if (shell_top(s)->place != SHELL_PLACE_BARE) {
            pop(s);
        }
    } else {
        shell_top(s)->command = shell_top(s)->command || str_has(STR(";&|"), c);
        put_text(s, 1);
    }
}

static void step_bare(struct shell_scan *s)
{
    char c = peek(s, 0);
    if (step_escape(s)) {
        return;
    }
    if (c == '\\') {
        if (peek(s, 1) == '\n') { /* a line that goes on ends no word */
            put_text(s, 2);
            return;
        }
        shell_begin_word(s);
        put_text(s, 1);
        shell_top(s)->escape = true;
    } else if (c == '#' && !shell_top(s)->in_word) {
        shell_push(s, SHELL_PLACE_COMMENT);
    } else if (c == '\n') {
        step_newline(s);
    } else if (shell_is_separator(c)) {
        step_operator(s);
    } else if (c == '$') {
        shell_begin_word(s);
        step_dollar(s);
    } else if (!step_quotes(s)) {
        shell_begin_word(s);
        shell_top(s)->special = shell_top(s)->special || c == '[' || c == '{';
        put_text(s, 1);
    }
}

static void step_param_name(struct shell_scan *s)
{
    struct shell_frame *f = shell_top(s);
    char c = peek(s, 0);
    if (f->stage == SHELL_PARAM_COLON) {
        f->stage = str_has(STR("-=+?"), c) ? SHELL_PARAM_WORD : SHELL_PARAM_NUMBER;
        if (f->stage == SHELL_PARAM_WORD) {
            put_text(s, 1);
        }
        return;
    }
    bool first = s->out.s[s->out.n - 1] == '{';
    if (shell_is_name_char(c) || (first && str_has(STR("#!@*?-$"), c))) {
        put_text(s, 1);
        return;
    }
    f->stage = c == ':'                  ? SHELL_PARAM_COLON
               : str_has(STR("-=+?"), c) ? SHELL_PARAM_WORD
               : str_has(STR("#%"), c)   ? SHELL_PARAM_PATTERN
               : str_has(STR("/^,@"), c) ? SHELL_PARAM_CHANGE
                                         : SHELL_PARAM_NUMBER;
    if (c != '}') {
        put_text(s, 1);
    }
}

static void step_param(struct shell_scan *s)
{
    struct shell_frame *f = shell_top(s);
    char c = peek(s, 0);
    bool quoting =
        !f->inside_quotes || f->stage == SHELL_PARAM_PATTERN || f->stage == SHELL_PARAM_CHANGE;
    if (step_escape(s)) {
        return;
    }
    if (c == '}') {
        put_text(s, 1);
        pop(s);
    } else if (f->stage <= SHELL_PARAM_COLON) {
        step_param_name(s);
    } else if (c == '\\') {
        put_text(s, 1);
        f->escape = true;
    } else if (c == '$') {
        step_dollar(s);
    } else if (c == '"' || c == '`' || (c == '\'' && quoting)) {
        bool nested = f->inside_quotes;
        step_quotes(s);
        shell_top(s)->inside_quotes = nested;
    } else {
        put_text(s, 1);
    }
}

static void step_arith(struct shell_scan *s)
{
    struct shell_frame *f = shell_top(s);
    char c = peek(s, 0);
    if (c == '$') {
        step_dollar(s);
    } else if (c == '`') {
        step_quotes(s);
    } else if (c == ')' && f->stage == 0) {
        if (peek(s, 1) != ')') { /* it was a subshell in a $( ) after all */
            s->lost = "$(( that is no arithmetic";
        }
        put_text(s, peek(s, 1) == ')' ? 2 : 1);
        pop(s);
    } else {
        f->stage += c == '(';
        f->stage -= c == ')';
        put_text(s, 1);
    }
}

static void step_double(struct shell_scan *s)
{
    char c = peek(s, 0);
    if (step_escape(s)) {
        return;
    }
    if (c == '$') {
        step_dollar(s);
    } else if (c == '`') {
        step_quotes(s);
    } else {
        put_text(s, 1);
        shell_top(s)->escape = c == '\\';
        if (c == '"') {
            pop(s);
        }
    }
}

static void step_here_body(struct shell_scan *s)
{
    const struct shell_here *here = &s->heres.at[shell_top(s)->here];
    char c = peek(s, 0);
    if (c == '\n' && str_eq(line_text(s, here), here->delimiter)) {
        put_text(s, 1);
        end_here(s);
    } else if (here->quoted) {
        put_text(s, 1);
    } else if (step_escape(s)) {
        return;
    } else if (c == '$') {
        step_dollar(s);
    } else if (c == '`') {
        step_quotes(s);
    } else {
        put_text(s, 1);
        shell_top(s)->escape = c == '\\';
    }
}

/* Single quotes, $'…' and backticks end at their sign; the last two know escapes. */
static void step_until(struct shell_scan *s, char end, bool escapes)
{
    char c = peek(s, 0);
    if (escapes && step_escape(s)) {
        return;
    }
    put_text(s, 1);
    if (escapes && c == '\\') {
        shell_top(s)->escape = true;
        shell_top(s)->escaped = true;
    }
    if (c == end) {
        pop(s);
    }
}

void shell_step(struct shell_scan *s)
{
    switch (shell_top(s)->place) {
    case SHELL_PLACE_BARE:
    case SHELL_PLACE_PAREN:
    case SHELL_PLACE_SUB: step_bare(s); break;
    case SHELL_PLACE_PARAM: step_param(s); break;
    case SHELL_PLACE_ARITH: step_arith(s); break;
    case SHELL_PLACE_SINGLE: step_until(s, '\'', false); break;
    case SHELL_PLACE_DOUBLE: step_double(s); break;
    case SHELL_PLACE_DOLLAR: step_until(s, '\'', true); break;
    case SHELL_PLACE_BACKTICK: step_until(s, '`', true); break;
    case SHELL_PLACE_COMMENT:
        if (peek(s, 0) == '\n') {
            pop(s);
        } else {
            put_text(s, 1);
        }
        break;
    case SHELL_PLACE_HERE: step_here_body(s); break;
    }
}
