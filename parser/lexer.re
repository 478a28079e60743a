/* SPDX-License-Identifier: MIT */
/* Bytes to tokens, over a whole text with a NUL behind it. A start condition for code and one
 * for each form of string; a small stack remembers what {{ and }} lead back to. Invariant: each
 * call moves on or is at the end. */
#include "parser/lexer.h"

#include <string.h>

#include "parser/grammar.h"
#include "parser/tree.h"

/*!types:re2c*/

static const struct lexer_word words[] = {
    {"after", T_AFTER, LEXER_ITEM},
    {"and", T_AND, LEXER_RESERVED},
    {"as", T_AS, LEXER_CLAUSE},
    {"backoff", T_BACKOFF, LEXER_CLAUSE},
    {"cache", T_CACHE, LEXER_STATEMENT | LEXER_ITEM},
    {"checkpoint", T_CHECKPOINT, LEXER_ITEM},
    {"code", T_CODE, LEXER_ITEM},
    {"cwd", T_CWD, LEXER_ITEM},
    {"default", T_DEFAULT, LEXER_STATEMENT},
    {"depfile", T_DEPFILE, LEXER_ITEM},
    {"else", T_ELSE, LEXER_RESERVED},
    {"env", T_ENV, LEXER_ITEM},
    {"executor", T_EXECUTOR, LEXER_STATEMENT},
    {"fail", T_FAIL, LEXER_ITEM},
    {"false", T_FALSE, LEXER_RESERVED},
    {"for", T_FOR, LEXER_CLAUSE},
    {"group", T_GROUP, LEXER_STATEMENT},
    {"if", T_IF, LEXER_RESERVED},
    {"in", T_IN, LEXER_ITEM},
    {"include", T_INCLUDE, LEXER_STATEMENT},
    {"let", T_LET, LEXER_STATEMENT | LEXER_ITEM},
    {"make", T_MAKE, LEXER_ITEM},
    {"metric", T_METRIC, LEXER_ITEM},
    {"not", T_NOT, LEXER_RESERVED},
    {"off", T_OFF, LEXER_CLAUSE},
    {"on", T_ON, LEXER_ITEM},
    {"or", T_OR, LEXER_RESERVED},
    {"out", T_OUT, LEXER_ITEM},
    {"param", T_PARAM, LEXER_STATEMENT | LEXER_ITEM},
    {"params", T_PARAMS, LEXER_STATEMENT},
    {"pipeline", T_PIPELINE, LEXER_STATEMENT},
    {"pool", T_POOL, LEXER_STATEMENT | LEXER_ITEM},
    {"probe", T_PROBE, LEXER_STATEMENT | LEXER_ITEM},
    {"remote", T_REMOTE, LEXER_STATEMENT},
    {"resources", T_RESOURCES, LEXER_ITEM},
    {"retry", T_RETRY, LEXER_ITEM},
    {"run", T_RUN, LEXER_ITEM},
    {"secret", T_SECRET, LEXER_ITEM},
    {"step", T_STEP, LEXER_STATEMENT},
    {"template", T_TEMPLATE, LEXER_STATEMENT},
    {"timeout", T_TIMEOUT, LEXER_ITEM},
    {"tool", T_TOOL, LEXER_ITEM},
    {"trace", T_TRACE, LEXER_ITEM},
    {"true", T_TRUE, LEXER_RESERVED},
    {"use", T_USE, LEXER_STATEMENT | LEXER_ITEM},
    {"when", T_WHEN, LEXER_ITEM},
    {"where", T_WHERE, LEXER_CLAUSE},
    {NULL, 0, 0},
};
enum { WORD_COUNT = sizeof words / sizeof words[0] - 1 };

const struct lexer_word *lexer_words(void)
{
    return words;
}

const struct lexer_word *lexer_find_word(struct str x)
{
    size_t low = 0;
    size_t high = WORD_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = str_cmp(x, str_from(words[middle].text));
        if (order == 0) {
            return &words[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

void lexer_init(struct lexer *l, struct str text, uint32_t source, struct arena *a)
{
    *l = (struct lexer){.text = text, .source = source, .arena = a, .fresh = true};
    l->condition = yyccode;
    if (str_starts(text, STR("\xef\xbb\xbf"))) {
        l->at = 3; /* a byte order mark means nothing */
    }
}

static struct span span_of(const struct lexer *l, uint32_t begin, uint32_t end)
{
    return (struct span){l->source, begin, end};
}

static bool enter(struct lexer *l, int condition, uint32_t begin)
{
    if (l->depth == LEXER_NEST_LIMIT) {
        return false;
    }
    l->levels[l->depth++] = (struct lexer_level){l->condition, begin};
    l->condition = condition;
    return true;
}

static void leave(struct lexer *l)
{
    l->condition = l->levels[--l->depth].condition;
}

/* The string does not end: everything up to the line's end (or the text's) is given up. Where a
 * {{ is open that is the likelier slip, unless a short string lies within a long one. */
static int unterminated(struct lexer *l, uint32_t end)
{
    uint32_t begin = l->levels[0].begin;
    bool inner = l->condition == yycshrt || l->condition == yycrshrt;
    bool braces = false;
    for (uint32_t i = 0; i < l->depth; i++) {
        if (l->levels[i].condition == yycshrt || (l->levels[i].condition == yyctrip && !inner)) {
            braces = true;
            begin = l->levels[i].begin;
        }
    }
    if (!braces && inner) {
        begin = l->levels[l->depth - 1].begin;
    }
    bool triple = !braces && end - begin >= 3 && l->text.s[begin + 1] == l->text.s[begin]
                  && l->text.s[begin + 2] == l->text.s[begin];
    l->depth = 0;
    l->condition = yyccode;
    l->at = end;
    if (!l->diags) {
        return T_BROKEN;
    }
    struct diag *d;
    if (braces) {
        d = diag_error(l->diags, "unterminated-braces", span_of(l, begin, begin + 2),
                       "'{{' is not closed");
        diag_help(l->diags, d, "close it with }}, or write \\{{ for two plain braces");
    } else if (triple) {
        char q = l->text.s[begin];
        d = diag_error(l->diags, "unterminated-string", span_of(l, begin, begin + 3),
                       "this text has no end");
        diag_help(l->diags, d, "close it with %c%c%c", q, q, q);
    } else {
        char q = l->text.s[begin];
        d = diag_error(l->diags, "unterminated-string", span_of(l, begin, end),
                       "this string is not closed on its line");
        diag_help(l->diags, d,
                  "close it with %c, or begin and end it with %c%c%c to go over several lines", q, q,
                  q, q);
    }
    return T_BROKEN;
}

static int too_deep(struct lexer *l, uint32_t begin)
{
    l->depth = 0;
    l->condition = yyccode;
    if (l->diags) {
        (void)diag_error(l->diags, "too-deep", span_of(l, begin, begin + 1),
                         "strings are nested more than %d deep", LEXER_NEST_LIMIT / 2);
    }
    l->at = (uint32_t)l->text.n;
    return T_BROKEN;
}

/* True in the braces of a string that ends with its line. */
static bool line_ends_string(const struct lexer *l)
{
    for (uint32_t i = 0; i < l->depth; i++) {
        if (l->levels[i].condition == yycshrt) {
            return true;
        }
    }
    return false;
}

static const char *stray_help(struct str c, bool inside)
{
    if (str_eq(c, STR("\xe2\x80\x9c")) || str_eq(c, STR("\xe2\x80\x9d"))
        || str_eq(c, STR("\xe2\x80\x98")) || str_eq(c, STR("\xe2\x80\x99"))) {
        return "strings stand in straight quotes: \"…\" or '…'";
    }
    switch (c.s[0]) {
    case ';': return "a line break or a blank separates; nothing needs a ';'";
    case '&':
    case '|': return "the words are 'and' and 'or'";
    case '!': return "the word is 'not'";
    case '$': return "a value is named as it is: NAME, or {{NAME}} within a string";
    case '\\':
        return inside ? "quotes within {{ }} stand as they are, without \\"
                      : "line breaks separate nothing; no \\ is needed to go on";
    default: break;
    }
    return c.n > 1 ? "names are made of a-z, A-Z, 0-9, _ and -; anything may stand in a string"
                   : "only strings and comments may hold any character";
}

/* A character that no token begins with. Within a string, that string is given up. */
static int stray(struct lexer *l, uint32_t begin)
{
    uint32_t end = begin + 1;
    while (end < l->text.n && ((unsigned char)l->text.s[end] & 0xc0) == 0x80) {
        end++;
    }
    bool inside = l->depth > 0;
    l->at = end;
    if (line_ends_string(l)) {
        while (l->at < l->text.n && l->text.s[l->at] != '\n') {
            l->at++;
        }
        l->depth = 0;
        l->condition = yyccode;
    }
    if (l->diags && !l->told) {
        struct str c = str_sub(l->text, begin, end - begin);
        struct diag *d = diag_error(l->diags, "unexpected-character", span_of(l, begin, end),
                                    "unexpected character '%.*s'", STR_ARG(c));
        diag_help(l->diags, d, "%s", stray_help(c, inside));
        l->told = true;
    }
    return T_BROKEN;
}

static int word(struct str x)
{
    const struct lexer_word *w = lexer_find_word(x);
    return w ? w->token : T_NAME;
}

static void comment(struct lexer *l, uint32_t begin, uint32_t end)
{
    if (end > begin && l->text.s[end - 1] == '\r') {
        end--;
    }
    if (l->comments && l->depth == 0) { /* those within a string are part of its spelling */
        VEC_PUSH(l->arena, l->comments)->span = span_of(l, begin, end);
    }
}

static int scan(struct lexer *l, uint32_t *begin)
{
    const char *base = l->text.s;
    const char *limit = base + l->text.n;
    const char *YYCURSOR = base + l->at;
    const char *YYMARKER = YYCURSOR;
    const char *start = YYCURSOR;
    (void)YYMARKER;
#define AT(p) ((uint32_t)((p) - base))
#define TOKEN(k) (l->at = AT(YYCURSOR), (k))
next:
    start = YYCURSOR;
    *begin = AT(start);
    /*!re2c
        re2c:define:YYCTYPE = "unsigned char";
        re2c:define:YYGETCONDITION = "l->condition";
        re2c:define:YYGETCONDITION:naked = 1;
        re2c:define:YYSETCONDITION = "l->condition = @@;";
        re2c:define:YYSETCONDITION:naked = 1;
        re2c:yyfill:enable = 0;
        re2c:flags:case-ranges = 0;

        digit  = [0-9];
        letter = [A-Za-z_];
        tail   = letter | digit;
        int    = digit+;
        real   = digit+ "." digit+ ([eE] [-+]? digit+)? | digit+ [eE] [-+]? digit+;
        eol    = "\n";
        any    = [^\x00];

        <code> [ \t\r\f\v]+     { goto next; }
        <code> eol              {
            if (l->depth && line_ends_string(l)) {
                return unterminated(l, AT(start));
            }
            l->fresh = true;
            l->told = false;
            goto next;
        }
        <code> "#" [^\n\x00]*   {
            if (l->depth && line_ends_string(l)) {
                return unterminated(l, AT(YYCURSOR));
            }
            comment(l, AT(start), AT(YYCURSOR));
            goto next;
        }
        <code> letter tail* ("-" tail+)* {
            l->at = AT(YYCURSOR);
            return word(str_sub(l->text, AT(start), (size_t)(YYCURSOR - start)));
        }
        <code> int              { return TOKEN(T_INT); }
        <code> real             { return TOKEN(T_REAL); }
        <code> (int | real) letter tail* { return TOKEN(T_QUANTITY); }
        <code> "=="             { return TOKEN(T_EQ); }
        <code> "!="             { return TOKEN(T_NE); }
        <code> "<="             { return TOKEN(T_LE); }
        <code> ">="             { return TOKEN(T_GE); }
        <code> [-=<>+*/%.,:()[\]{] { return TOKEN(*start); }
        <code> "}}"             {
            if (l->depth) {
                leave(l);
                return TOKEN(T_CLOSE);
            }
            YYCURSOR--; /* two blocks that end side by side */
            return TOKEN('}');
        }
        <code> "}"              { return TOKEN('}'); }

        <code> "\""             {
            return enter(l, yycshrt, AT(start)) ? TOKEN(T_STR) : too_deep(l, AT(start));
        }
        <code> "\"\"\""         {
            return enter(l, yyctrip, AT(start)) ? TOKEN(T_STR) : too_deep(l, AT(start));
        }
        <code> "'"              {
            return enter(l, yycrshrt, AT(start)) ? TOKEN(T_STR) : too_deep(l, AT(start));
        }
        <code> "'''"            {
            return enter(l, yycrtrip, AT(start)) ? TOKEN(T_STR) : too_deep(l, AT(start));
        }
        <code> "\x00"           {
            l->at = AT(limit);
            return l->depth ? unterminated(l, AT(limit)) : 0;
        }
        <code> any              { return stray(l, AT(start)); }

        <shrt> "\""             { leave(l); return TOKEN(T_STR_END); }
        <shrt> "\\{{"           { return TOKEN(T_TEXT); }
        <shrt> ([^"\\\n\x00{] | "\\" [^\n\x00{])+ { return TOKEN(T_TEXT); }
        <shrt> [\\{]            { return TOKEN(T_TEXT); }

        <trip> "\"\"\"" "\""{0,2} {
            /* the last three quotes of a run close it */
            if (YYCURSOR - start > 3) {
                YYCURSOR -= 3;
                return TOKEN(T_TEXT);
            }
            leave(l);
            return TOKEN(T_STR_END);
        }
        <trip> "\\{{"           { return TOKEN(T_TEXT); }
        <trip> ([^"\\\x00{] | "\\" [^\x00{])+ { return TOKEN(T_TEXT); }
        <trip> [\\{"]           { return TOKEN(T_TEXT); }

        <shrt, trip> "{{"       {
            return enter(l, yyccode, AT(start)) ? TOKEN(T_OPEN) : too_deep(l, AT(start));
        }

        <rshrt> "'"             { leave(l); return TOKEN(T_STR_END); }
        <rshrt> [^'\n\x00]+     { return TOKEN(T_TEXT); }
        <rtrip> "'''" "'"{0,2}  {
            if (YYCURSOR - start > 3) {
                YYCURSOR -= 3;
                return TOKEN(T_TEXT);
            }
            leave(l);
            return TOKEN(T_STR_END);
        }
        <rtrip> [^'\x00]+       { return TOKEN(T_TEXT); }
        <rtrip> "'"             { return TOKEN(T_TEXT); }

        <shrt, rshrt> eol       { return unterminated(l, AT(start)); }
        <shrt, trip, rshrt, rtrip> "\x00" { return unterminated(l, AT(limit)); }
        <*> *                   { return stray(l, AT(start)); }
    */
#undef AT
#undef TOKEN
}

struct lexer_token lexer_next(struct lexer *l)
{
    struct lexer_token t = {0};
    bool outside = l->depth == 0;
    uint32_t begin = l->at;
    t.kind = scan(l, &begin);
    t.span = span_of(l, begin, l->at);
    t.text = str_sub(l->text, begin, l->at - begin);
    t.inside = !outside;
    t.first = outside && l->fresh;
    if (t.kind != 0) {
        l->fresh = false;
    }
    return t;
}

void lexer_rewind(struct lexer *l, struct lexer_token t)
{
    l->at = t.span.begin;
    l->fresh = t.first;
    l->depth = 0;
    l->condition = yyccode;
}
