/* SPDX-License-Identifier: MIT */
/* From a registered source to a tree: looks at the bytes, copies them (with the NUL that the
 * lexer needs), lets the grammar run, and answers NULL if anything was said on the way. */
#include "parser/parse.h"

#include "parser/grammar.h"
#include "parser/lexer.h"
#include "parser/tree.h"

#include <string.h>

/* The length of the well-formed UTF-8 sequence here, 0 if there is none. */
static size_t utf8_length(struct str x, size_t at)
{
    unsigned char c = (unsigned char)x.s[at];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    struct str one = str_sub(x, at, n);
    return one.n == n && str_is_utf8(one) ? n : 0;
}

static bool is_control(char c)
{
    unsigned char u = (unsigned char)c;
    return (u < 0x20 && u != '\t' && u != '\n' && u != '\r' && u != '\f') || u == 0x7f;
}

/* One complaint is enough: such a file is no Pipelinefile. */
static bool check_bytes(struct str text, uint32_t source, struct diags *d)
{
    size_t at = 0;
    while (at < text.n) {
        if (text.s[at] >= ' ' && text.s[at] < 0x7f) {
            at++;
            continue;
        }
        size_t n = utf8_length(text, at);
        struct span span = {source, (uint32_t)at, (uint32_t)at + 1};
        if (n == 0) {
            struct diag *diag = diag_error(d, "bad-encoding", span, "byte 0x%02x is not UTF-8",
                                           (unsigned char)text.s[at]);
            diag_help(d, diag, "save the file as UTF-8");
            return false;
        }
        if (is_control(text.s[at])) {
            struct diag *diag = diag_error(d, "control-byte", span, "control byte 0x%02x",
                                           (unsigned char)text.s[at]);
            diag_help(d, diag, "take it out; in a string, write \\u{%X}",
                      (unsigned char)text.s[at]);
            return false;
        }
        at += n;
    }
    return true;
}

static bool parse_begin(struct parse *p, struct arena *a, uint32_t source, struct diags *d)
{
    struct str text = diags_source(d, source)->text;
    if (text.n > AST_TEXT_LIMIT) {
        (void)diag_error(d, "too-large", (struct span){source, 0, 0},
                         "the file has more than %d MiB", AST_TEXT_LIMIT >> 20);
        return false;
    }
    if (!check_bytes(text, source, d)) {
        return false;
    }
    *p = (struct parse){.arena = a, .diags = d, .source = source, .text = str_copy(a, text)};
    p->file = ARENA_NEW(a, struct ast_file);
    p->file->span = (struct span){source, 0, (uint32_t)text.n};
    p->word_at = UINT32_MAX;
    lexer_init(&p->lexer, p->text, source, a);
    p->lexer.comments = &p->file->comments;
    p->lexer.diags = d;
    return true;
}

const struct ast_file *parse_file_mended(struct arena *a, uint32_t source, struct diags *d)
{
    struct parse p;
    uint32_t errors = d->errors;
    if (!parse_begin(&p, a, source, d)) {
        return NULL;
    }
    p.start = T_AS_FILE;
    bool done = grammar_parse(&p) == 0;
    return done && d->errors == errors + p.mended ? p.file : NULL;
}

const struct ast_file *parse_file(struct arena *a, uint32_t source, struct diags *d)
{
    uint32_t errors = d->errors;
    const struct ast_file *file = parse_file_mended(a, source, d);
    return d->errors == errors ? file : NULL;
}

const struct ast_expr *parse_expr(struct arena *a, uint32_t source, struct diags *d)
{
    struct parse p;
    uint32_t errors = d->errors;
    if (!parse_begin(&p, a, source, d)) {
        return NULL;
    }
    p.start = T_AS_EXPR;
    bool done = grammar_parse(&p) == 0;
    return done && d->errors == errors ? p.expr : NULL;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool parse_is_name(struct str x)
{
    if (x.n == 0 || (x.s[0] >= '0' && x.s[0] <= '9')) {
        return false;
    }
    for (size_t i = 0; i < x.n; i++) {
        bool dash = x.s[i] == '-' && i > 0 && i + 1 < x.n && is_name_char(x.s[i - 1])
                    && is_name_char(x.s[i + 1]);
        if (!is_name_char(x.s[i]) && !dash) {
            return false;
        }
    }
    const struct lexer_word *w = lexer_find_word(x);
    return !w || !(w->roles & LEXER_RESERVED);
}
