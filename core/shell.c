/* SPDX-License-Identifier: MIT */
/* A lexical state machine over shell text, kept as a stack of places. It copies the text as it goes; each
 * value is put in as the top of the stack demands. Its state never depends on a value's content, since that
 * is escaped so that it cannot leave its place: so late values can be checked before they are known. */
#include "core/shell.h"

#include "core/base/path.h"

#include <assert.h>
#include <string.h>

enum shell_place {
    PLACE_BARE,  /* the command itself */
    PLACE_PAREN, /* ( … ): as bare */
    PLACE_SUB,   /* $( … ), <( … ): as bare */
    PLACE_PARAM, /* ${ … } */
    PLACE_ARITH, /* $(( … )), (( … )) */
    PLACE_SINGLE,
    PLACE_DOUBLE,
    PLACE_DOLLAR, /* $'…' */
    PLACE_BACKTICK,
    PLACE_COMMENT,
    PLACE_HERE,
};

/* Where in ${…} we are. */
enum { PARAM_NAME, PARAM_COLON, PARAM_WORD, PARAM_PATTERN, PARAM_NUMBER };

struct frame {
    enum shell_place place;
    bool inside_quotes; /* PARAM: in double quotes or a here-document; DOUBLE: in such a PARAM */
    bool escape;        /* a backslash came just before */
    bool escaped;       /* DOLLAR: there was a backslash */
    bool in_word;       /* bare places: something of a word stands already */
    bool special;       /* … a [ or { among it */
    bool command;       /* … the next word is a command's first */
    uint32_t stage;     /* PARAM: PARAM_…; ARITH: open parentheses */
    uint32_t here;      /* HERE: which of s->heres */
    size_t word_at;     /* bare places: the word's offset in out */
};

struct here {
    struct str delimiter;
    bool quoted, strip; /* strip: <<- */
    uint32_t subs;      /* $( ) around it */
};

/* A stretch of text (texts and raw values run together) or one value. */
struct run {
    const struct value *value;
    struct str text;
    struct span span;
};

struct shell {
    const struct value_work *work;
    const struct value_style *style;
    enum shell_kind kind;
    struct diags *diags;
    struct buf out;
    VEC(struct frame) stack;
    VEC(struct here) heres; /* declared, body not begun or not ended */
    VEC(struct run) runs;
    uint32_t run;  /* the current one */
    size_t at;     /* in its text */
    uint32_t subs; /* SUB frames on the stack */
    size_t dollar; /* offset of a $ at the very end of out, + 1; 0: none */
    size_t name;   /* offset of a $name at the very end of out, + 1; 0: none */
    size_t line;   /* offset of the current line in out */
    bool line_has_value;
    struct span blame; /* of the last value */
    const char *lost;  /* why places cannot be told any more; NULL: they can */
    bool failed;
};

enum { SHELL_DEPTH = 200 };

static struct frame *top(struct shell *s)
{
    return &s->stack.at[s->stack.n - 1];
}

static void push(struct shell *s, enum shell_place place)
{
    struct frame *f = VEC_PUSH(s->work->arena, &s->stack);
    *f = (struct frame){.place = place, .command = true, .word_at = s->out.n};
    s->subs += place == PLACE_SUB;
    if (s->stack.n > SHELL_DEPTH) {
        s->lost = "text nested this deeply";
    }
}

static void pop(struct shell *s)
{
    s->subs -= top(s)->place == PLACE_SUB;
    if (s->stack.n > 1) {
        s->stack.n--;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return c == '_' || is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What ends a word. */
static bool is_separator(char c)
{
    return is_blank(c) || str_has(STR("\n;&|<>()"), c);
}

/* ---- output ---- */

static struct str line_text(const struct shell *s, const struct here *here)
{
    struct str line = {s->out.s + s->line, s->out.n - s->line};
    while (here->strip && line.n > 0 && line.s[0] == '\t') {
        line = str_tail(line, 1);
    }
    return line;
}

static void fail(struct shell *s, const char *code, const char *message, const char *help)
{
    if (!s->failed) {
        struct diag *e = diag_error(s->diags, code, s->blame, "%s", message);
        diag_help(s->diags, e, "%s", help);
    }
    s->failed = true;
}

static void fail_nul(struct shell *s)
{
    fail(s, "nul-byte", "a command cannot hold a NUL byte", "pass it through a file");
}

/* A line of a here-document is complete: no value may have made it the last one. */
static void check_line(struct shell *s)
{
    for (uint32_t i = 0; s->line_has_value && i < s->stack.n; i++) {
        const struct frame *f = &s->stack.at[i];
        if (f->place != PLACE_HERE) {
            continue;
        }
        const struct here *here = &s->heres.at[f->here];
        if (str_eq(line_text(s, here), here->delimiter)) {
            fail(s, "here-document", "this value would end the here-document it stands in",
                 "end it with another word, as in <<END_OF_TEXT");
        }
    }
}

static void put(struct shell *s, char c)
{
    s->dollar = 0;
    s->name = 0;
    if (c == '\n') {
        check_line(s);
        s->line = s->out.n + 1;
        s->line_has_value = false;
    }
    buf_put_char(&s->out, c);
}

static bool strips_tabs(const struct shell *s)
{
    for (uint32_t i = 0; i < s->stack.n; i++) {
        const struct frame *f = &s->stack.at[i];
        if (f->place == PLACE_HERE && s->heres.at[f->here].strip) {
            return true;
        }
    }
    return false;
}

/* One byte of a value. */
static void put_value_char(struct shell *s, char c)
{
    if (c == '\t' && strips_tabs(s)) {
        struct str line = {s->out.s + s->line, s->out.n - s->line};
        while (line.n > 0 && line.s[0] == '\t') {
            line = str_tail(line, 1);
        }
        if (line.n == 0) {
            fail(s, "here-document", "<<- would take the tab off this value's line",
                 "use << and no tabs before the text");
        }
    }
    put(s, c);
    s->line_has_value = c != '\n';
}

static void put_escaped(struct shell *s, struct str text, const char *specials)
{
    for (size_t i = 0; i < text.n; i++) {
        if (strchr(specials, text.s[i])) {
            put(s, '\\');
        }
        put_value_char(s, text.s[i]);
    }
}

/* Inside single quotes that are open already. */
static void put_inside_single(struct shell *s, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.s[i];
        if (c == '\'') {
            put(s, '\'');
            put(s, '\\');
            put(s, '\'');
        }
        put_value_char(s, c);
        if (c == '\\' && i + 1 < text.n && text.s[i + 1] == '\n') {
            put(s, '\''); /* bash joins lines of a here-document before it looks at a $( ) in it */
            put(s, '\'');
        }
    }
}

static void put_single_quoted(struct shell *s, struct str text)
{
    put(s, '\'');
    put_inside_single(s, text);
    put(s, '\'');
}

/* Puts c before offset at of out, which is in the current line. */
static void insert(struct shell *s, size_t at, char c)
{
    buf_put_char(&s->out, c);
    memmove(s->out.s + at + 1, s->out.s + at, s->out.n - 1 - at);
    s->out.s[at] = c;
}

/* ---- text: dollars ---- */

static char peek(const struct shell *s, size_t ahead)
{
    struct str text = s->runs.at[s->run].text;
    return s->at + ahead < text.n ? text.s[s->at + ahead] : '\0';
}

static void put_text(struct shell *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put(s, peek(s, 0));
        s->at++;
    }
}

static bool in_quotes(const struct frame *f)
{
    return f->place == PLACE_DOUBLE || f->place == PLACE_HERE || f->place == PLACE_ARITH
           || (f->place == PLACE_PARAM && f->inside_quotes);
}

static void step_name(struct shell *s)
{
    size_t from = s->out.n;
    put_text(s, 2);
    while (is_name_char(peek(s, 0))) {
        put_text(s, 1);
    }
    s->name = from + 1;
}

/* At a $ that is not escaped. */
static void step_dollar(struct shell *s)
{
    bool quotes = in_quotes(top(s));
    char next = peek(s, 1);
    top(s)->in_word = true;
    if (next == '(' && peek(s, 2) == '(') {
        put_text(s, 3);
        push(s, PLACE_ARITH);
    } else if (next == '(') {
        put_text(s, 2);
        push(s, PLACE_SUB);
    } else if (next == '{') {
        put_text(s, 2);
        push(s, PLACE_PARAM);
        top(s)->inside_quotes = quotes;
    } else if (next == '\'' && !quotes && s->kind == SHELL_BASH) {
        put_text(s, 2);
        push(s, PLACE_DOLLAR);
    } else if (is_name_char(next) && !is_digit(next)) {
        step_name(s);
    } else if (next != '\0' && (is_digit(next) || strchr("@*#?-$!", next))) {
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

static void end_word(struct shell *s)
{
    struct frame *f = top(s);
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

static void begin_word(struct shell *s)
{
    struct frame *f = top(s);
    if (!f->in_word) {
        f->in_word = true;
        f->word_at = s->out.n;
    }
}

/* The delimiter behind <<, copied to out and without its quotes in *here. false: it goes on in a value. */
static bool take_delimiter(struct shell *s, struct here *here)
{
    struct buf word;
    buf_init(&word, BUF_TEXT_LIMIT);
    char quote = '\0';
    while (is_blank(peek(s, 0))) {
        put_text(s, 1);
    }
    struct str text = s->runs.at[s->run].text;
    while (s->at < text.n && (quote != '\0' || !is_separator(peek(s, 0)))) {
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

static void step_here(struct shell *s)
{
    struct here here = {.subs = s->subs};
    put_text(s, 2);
    if (peek(s, 0) == '-') {
        here.strip = true;
        put_text(s, 1);
    }
    if (!take_delimiter(s, &here)) {
        s->blame = s->runs.at[s->run + 1].span;
        fail(s, "shell-place", "a value cannot be part of a here-document's delimiter",
             "write the delimiter out, or use raw(x)");
    }
    *VEC_PUSH(s->work->arena, &s->heres) = here;
}

/* True if the place is the body of a here-document that has begun. */
static uint32_t bodies_begun(const struct shell *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->stack.n; i++) {
        const struct frame *f = &s->stack.at[i];
        n = f->place == PLACE_HERE ? f->here + 1 : n;
    }
    return n;
}

static void step_newline(struct shell *s)
{
    end_word(s);
    top(s)->command = true;
    put_text(s, 1);
    uint32_t waiting = bodies_begun(s);
    if (waiting < s->heres.n) {
        if (s->heres.at[waiting].subs != s->subs) {
            s->lost = "a here-document that begins outside of this $( )";
        }
        push(s, PLACE_HERE);
        top(s)->here = waiting;
    }
}

/* The body's last line is there: on with the next one that was declared beside it. */
static void end_here(struct shell *s)
{
    uint32_t next = top(s)->here + 1;
    pop(s);
    if (next < s->heres.n) {
        push(s, PLACE_HERE);
        top(s)->here = next;
    } else {
        s->heres.n = bodies_begun(s);
    }
}

/* ---- text: one step in each place ---- */

static bool step_escape(struct shell *s)
{
    struct frame *f = top(s);
    if (!f->escape) {
        return false;
    }
    f->escape = false;
    put_text(s, 1);
    return true;
}

static bool step_quotes(struct shell *s)
{
    char c = peek(s, 0);
    enum shell_place place = c == '\'' ? PLACE_SINGLE : c == '"' ? PLACE_DOUBLE : PLACE_BACKTICK;
    if (c != '\'' && c != '"' && c != '`') {
        return false;
    }
    begin_word(s);
    put_text(s, 1);
    push(s, place);
    return true;
}

static void step_operator(struct shell *s)
{
    char c = peek(s, 0), next = peek(s, 1);
    bool bash = s->kind == SHELL_BASH;
    bool word = top(s)->in_word;
    end_word(s);
    if (c == '<' && next == '<' && peek(s, 2) == '<' && bash) {
        put_text(s, 3);
    } else if (c == '<' && next == '<') {
        step_here(s);
    } else if ((c == '<' || c == '>') && next == '(' && bash) {
        begin_word(s);
        put_text(s, 2);
        push(s, PLACE_SUB);
    } else if (c == '(' && next == '(' && bash && !word) {
        put_text(s, 2);
        push(s, PLACE_ARITH);
    } else if (c == '(') {
        put_text(s, 1);
        push(s, PLACE_PAREN);
    } else if (c == ')') {
        put_text(s, 1);
        if (top(s)->place != PLACE_BARE) {
            pop(s);
        }
    } else {
        top(s)->command = top(s)->command || str_has(STR(";&|"), c);
        put_text(s, 1);
    }
}

static void step_bare(struct shell *s)
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
        begin_word(s);
        put_text(s, 1);
        top(s)->escape = true;
    } else if (c == '#' && !top(s)->in_word) {
        push(s, PLACE_COMMENT);
    } else if (c == '\n') {
        step_newline(s);
    } else if (is_separator(c)) {
        step_operator(s);
    } else if (c == '$') {
        begin_word(s);
        step_dollar(s);
    } else if (!step_quotes(s)) {
        begin_word(s);
        top(s)->special = top(s)->special || c == '[' || c == '{';
        put_text(s, 1);
    }
}

static void step_param_name(struct shell *s)
{
    struct frame *f = top(s);
    char c = peek(s, 0);
    if (f->stage == PARAM_COLON) {
        f->stage = str_has(STR("-=+?"), c) ? PARAM_WORD : PARAM_NUMBER;
        if (f->stage == PARAM_WORD) {
            put_text(s, 1);
        }
        return;
    }
    bool first = s->out.s[s->out.n - 1] == '{';
    if (is_name_char(c) || (first && str_has(STR("#!@*?-$"), c))) {
        put_text(s, 1);
        return;
    }
    f->stage = c == ':'                    ? PARAM_COLON
               : str_has(STR("-=+?"), c)   ? PARAM_WORD
               : str_has(STR("#%/^,@"), c) ? PARAM_PATTERN
                                           : PARAM_NUMBER;
    if (c != '}') {
        put_text(s, 1);
    }
}

static void step_param(struct shell *s)
{
    struct frame *f = top(s);
    char c = peek(s, 0);
    bool quoting = !f->inside_quotes || f->stage == PARAM_PATTERN;
    if (step_escape(s)) {
        return;
    }
    if (c == '}') {
        put_text(s, 1);
        pop(s);
    } else if (f->stage <= PARAM_COLON) {
        step_param_name(s);
    } else if (c == '\\') {
        put_text(s, 1);
        f->escape = true;
    } else if (c == '$') {
        step_dollar(s);
    } else if (c == '"' || c == '`' || (c == '\'' && quoting)) {
        bool nested = f->inside_quotes;
        step_quotes(s);
        top(s)->inside_quotes = nested;
    } else {
        put_text(s, 1);
    }
}

static void step_arith(struct shell *s)
{
    struct frame *f = top(s);
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

static void step_double(struct shell *s)
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
        top(s)->escape = c == '\\';
        if (c == '"') {
            pop(s);
        }
    }
}

static void step_here_body(struct shell *s)
{
    const struct here *here = &s->heres.at[top(s)->here];
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
        top(s)->escape = c == '\\';
    }
}

/* Single quotes, $'…' and backticks end at their sign; the last two know escapes. */
static void step_until(struct shell *s, char end, bool escapes)
{
    char c = peek(s, 0);
    if (escapes && step_escape(s)) {
        return;
    }
    put_text(s, 1);
    if (escapes && c == '\\') {
        top(s)->escape = true;
        top(s)->escaped = true;
    }
    if (c == end) {
        pop(s);
    }
}

static void step_text(struct shell *s)
{
    switch (top(s)->place) {
    case PLACE_BARE:
    case PLACE_PAREN:
    case PLACE_SUB: step_bare(s); break;
    case PLACE_PARAM: step_param(s); break;
    case PLACE_ARITH: step_arith(s); break;
    case PLACE_SINGLE: step_until(s, '\'', false); break;
    case PLACE_DOUBLE: step_double(s); break;
    case PLACE_DOLLAR: step_until(s, '\'', true); break;
    case PLACE_BACKTICK: step_until(s, '`', true); break;
    case PLACE_COMMENT:
        if (peek(s, 0) == '\n') {
            pop(s);
        } else {
            put_text(s, 1);
        }
        break;
    case PLACE_HERE: step_here_body(s); break;
    }
}

/* ---- values ---- */

static void fail_place(struct shell *s, const char *where)
{
    if (!s->failed) {
        struct diag *e = diag_error(s->diags, "shell-place", s->blame,
                                    "a value cannot be put safely into %s", where);
        diag_help(s->diags, e,
                  "put it into a shell variable before, or use raw(x) to have it put in as it is");
    }
    s->failed = true;
}

static void fail_list(struct shell *s, const char *where)
{
    fail(s, "shell-list", where,
         "use join(x, \" \") to make one text of it, or raw(x) to have it put in as it is");
}

static struct str value_shown(struct shell *s, const struct value *v)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    value_put_in(&b, v, s->style->cwd);
    struct str text = str_copy(s->work->arena, buf_str(&b));
    buf_free(&b);
    if (memchr(text.s, 0, text.n)) {
        fail_nul(s);
    }
    return text;
}

/* The first byte of the text behind the current value; '\0' at the end; another value counts as glue. */
static char after(const struct shell *s)
{
    if (s->run + 1 == s->runs.n) {
        return '\0';
    }
    const struct run *next = &s->runs.at[s->run + 1];
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
static bool may_become_descriptor(const struct shell *s)
{
    if (s->run + 1 == s->runs.n) {
        return false;
    }
    const struct run *next = &s->runs.at[s->run + 1];
    size_t i = 0;
    while (!next->value && i < next->text.n && is_digit(next->text.s[i])) {
        i++;
    }
    if (next->value || i == next->text.n) {
        return s->run + 2 < s->runs.n;
    }
    return next->text.s[i] == '<' || next->text.s[i] == '>';
}

static bool is_safe_word(struct shell *s, struct str text)
{
    const struct frame *f = top(s);
    char before = s->out.n > 0 ? s->out.s[s->out.n - 1] : ' ';
    bool digits = true;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.s[i];
        digits = digits && is_digit(c);
        if (!is_name_char(c) && (f->special || !str_has(STR("./:@%+,-"), c))) {
            return false;
        }
    }
    bool glued_name = s->name != 0 && text.n > 0 && is_name_char(text.s[0]);
    bool dash = text.n > 0 && text.s[0] == '-' && s->kind == SHELL_BASH;
    bool tilde = before == '~' || (after(s) == '~' && text.n > 0);
    return text.n > 0 && !glued_name && !dash && !tilde && !is_reserved(text)
           && !(digits && may_become_descriptor(s));
}

static void put_word(struct shell *s, struct str text)
{
    begin_word(s);
    if (is_safe_word(s, text)) {
        put_escaped(s, text, "");
    } else {
        put_single_quoted(s, text);
    }
}

/* A backslash or a $ right before a value is one: it cannot mean the value's first character. */
static void settle_text_before(struct shell *s, bool starts_name)
{
    struct frame *f = top(s);
    if (f->escape) {
        put(s, '\\');
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

static void put_list_words(struct shell *s, const struct value *list, bool *first)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const struct value *v = &list->items[i];
        v = v->unquoted ? v->unquoted : v;
        if (v->kind == VALUE_LIST) {
            put_list_words(s, v, first);
            continue;
        }
        if (!*first) {
            end_word(s);
            put(s, ' ');
        }
        *first = false;
        struct str text = value_shown(s, v);
        if (v->raw) {
            begin_word(s);
            put_escaped(s, text, "");
        } else {
            put_word(s, text);
        }
    }
}

static void put_bare(struct shell *s, const struct value *v)
{
    if (v->kind != VALUE_LIST) {
        struct str text = value_shown(s, v);
        settle_text_before(s, text.n > 0 && is_name_char(text.s[0]));
        put_word(s, text);
        return;
    }
    char next = after(s);
    if (top(s)->in_word || top(s)->escape || (next != '\0' && !is_separator(next))) {
        fail_list(s, "a list that is glued to other text is no longer one word for each item");
        return;
    }
    bool first = true;
    put_list_words(s, v, &first);
}

static void put_number(struct shell *s, const struct value *v)
{
    struct str text = value_shown(s, v);
    size_t i = text.n > 0 && text.s[0] == '-' ? 1 : 0;
    bool number = i < text.n && is_digit(text.s[i]);
    for (; i < text.n; i++) {
        number = number && (is_name_char(text.s[i]) || text.s[i] == '.');
    }
    if (!number && !s->style->tracked) {
        fail_place(s, "arithmetic unless it is a number");
        return;
    }
    if (text.n > 0 && text.s[0] == '-') {
        put(s, ' '); /* `1-{{x}}` shall not become `1--2` */
    }
    put_escaped(s, text, "");
}

static void put_param(struct shell *s, const struct value *v)
{
    const struct frame *f = top(s);
    if (f->stage == PARAM_NAME) {
        fail_place(s, "the name in ${ }");
    } else if (f->stage == PARAM_COLON || f->stage == PARAM_NUMBER) {
        put_number(s, v);
    } else if (!f->inside_quotes) {
        struct str text = value_shown(s, v);
        settle_text_before(s, false);
        put_single_quoted(s, text);
    } else if (f->stage == PARAM_WORD && bodies_begun(s) == 0) {
        struct str text = value_shown(s, v);
        if (str_has(text, '\'') && s->kind == SHELL_BASH) {
            fail_place(s, "\"${ }\" when it holds a single quote");
            return;
        }
        settle_text_before(s, text.n > 0 && is_name_char(text.s[0]));
        put_escaped(s, text, "$`\"\\}");
    } else {
        fail_place(s, "${ } inside quotes or a here-document");
    }
}

static void put_here(struct shell *s, const struct value *v)
{
    struct str text = value_shown(s, v);
    if (s->heres.at[top(s)->here].quoted) {
        put_escaped(s, text, "");
        return;
    }
    settle_text_before(s, text.n > 0 && is_name_char(text.s[0]));
    put_escaped(s, text, "$`\\");
}

static void put_double(struct shell *s, const struct value *v)
{
    if (top(s)->inside_quotes) {
        fail_place(s, "double quotes inside ${ } inside double quotes");
        return;
    }
    struct str text = value_shown(s, v);
    settle_text_before(s, text.n > 0 && is_name_char(text.s[0]));
    put_escaped(s, text, "$`\"\\");
}

static void put_inside_dollar(struct shell *s, const struct value *v)
{
    struct str text = value_shown(s, v);
    settle_text_before(s, false);
    if (top(s)->escaped) { /* an escape such as \x4 must not go on in the value */
        buf_put_str(&s->out, STR("'$'"));
    }
    put_escaped(s, text, "\\'");
}

static void put_comment(struct shell *s, const struct value *v)
{
    struct str text = value_shown(s, v);
    for (size_t i = 0; i < text.n; i++) {
        put_value_char(s, text.s[i] == '\n' || text.s[i] == '\r' ? ' ' : text.s[i]);
    }
}

static void put_value(struct shell *s, const struct value *v)
{
    enum shell_place place = top(s)->place;
    bool bare = place == PLACE_BARE || place == PLACE_PAREN || place == PLACE_SUB;
    v = v->unquoted ? v->unquoted : v;
    if (s->lost && place != PLACE_COMMENT) {
        fail_place(s, s->lost);
        return;
    }
    if (v->kind == VALUE_LIST && !bare && place != PLACE_COMMENT) {
        fail_list(s, "a list in quotes, in a here-document or inside ${ } is not clear");
        return;
    }
    switch (place) {
    case PLACE_BARE:
    case PLACE_PAREN:
    case PLACE_SUB: put_bare(s, v); break;
    case PLACE_PARAM: put_param(s, v); break;
    case PLACE_ARITH: put_number(s, v); break;
    case PLACE_SINGLE: put_inside_single(s, value_shown(s, v)); break;
    case PLACE_DOUBLE: put_double(s, v); break;
    case PLACE_DOLLAR: put_inside_dollar(s, v); break;
    case PLACE_BACKTICK: fail_place(s, "backticks"); break;
    case PLACE_COMMENT: put_comment(s, v); break;
    case PLACE_HERE: put_here(s, v); break;
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
static void put_runs(struct shell *s, struct value_parts parts)
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
                *VEC_PUSH(a, &s->runs) = (struct run){.text = str_copy(a, buf_str(&text))};
                buf_clear(&text);
            }
            if (v && v->kind == VALUE_LATE && may_be_raw(v, 0)) {
                break;
            }
            if (v) {
                *VEC_PUSH(a, &s->runs) = (struct run){.value = v, .span = part->span};
            }
        }
    }
    buf_free(&text);
}

static void expand(struct shell *s, struct value_parts parts)
{
    const struct value unknown = value_int(0);
    put_runs(s, parts);
    push(s, PLACE_BARE);
    for (s->run = 0; s->run < s->runs.n && !s->failed; s->run++) {
        const struct run *run = &s->runs.at[s->run];
        if (run->value) {
            s->blame = run->span;
            put_value(s, run->value->kind == VALUE_LATE ? &unknown : run->value);
        }
        for (s->at = 0; s->at < run->text.n && !s->failed;) {
            step_text(s);
        }
    }
    check_line(s);
    if (s->out.n > 0 && memchr(s->out.s, 0, s->out.n)) {
        fail_nul(s);
    }
}

static bool any_late(struct value_parts parts)
{
    for (uint32_t i = 0; i < parts.count; i++) {
        if (parts.at[i].value && parts.at[i].value->kind == VALUE_LATE) {
            return true;
        }
    }
    return false;
}

static bool any_untracked(struct value_parts parts)
{
    for (uint32_t i = 0; i < parts.count; i++) {
        if (parts.at[i].value && parts.at[i].value->untracked) {
            return true;
        }
    }
    return false;
}

bool shell_expand(const struct value_work *w, struct value_parts parts, enum shell_kind kind,
                  const struct value_style *style, struct value *out, struct diags *d)
{
    assert(kind != SHELL_NONE);
    struct shell s = {.work = w, .style = style, .kind = kind, .diags = d};
    buf_init(&s.out, BUF_TEXT_LIMIT);
    expand(&s, parts);
    *out = value_string(str_copy(w->arena, buf_str(&s.out)));
    out->refs = value_refs_of(w->arena, parts);
    out->untracked = !style->tracked && any_untracked(parts);
    if (s.out.full) {
        fail(&s, "too-large", "the command is too long", "pass what is long through a file");
    }
    buf_free(&s.out);
    if (s.failed || !any_late(parts)) {
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

enum shell_kind shell_kind_of(struct str text)
{
    static const char *const posix[] = {"sh", "dash", "ash", "busybox", NULL};
    static const char *const bash[] = {"bash", "rbash", "ksh", "ksh93", "mksh", "zsh", NULL};
    if (!str_starts(text, STR("#!"))) {
        return SHELL_POSIX;
    }
    struct str rest = str_tail(text, 2), line, word;
    if (!str_cut(&rest, '\n', &line)) {
        line = STR_NONE;
    }
    bool env = false;
    while (str_cut(&line, ' ', &word)) {
        word = str_trim(word);
        bool skip = word.n == 0 || (env && (word.s[0] == '-' || str_has(word, '=')));
        if (skip) {
            continue;
        }
        struct str name = path_basename(word);
        if (!env && str_eq(name, STR("env"))) {
            env = true;
            continue;
        }
        return is_one_of(name, posix)  ? SHELL_POSIX
               : is_one_of(name, bash) ? SHELL_BASH
                                       : SHELL_NONE;
    }
    return SHELL_NONE;
}
