/* SPDX-License-Identifier: MIT */
/* Syntax errors in words for people, and how reading goes on after one. Private to the parser. */
#pragma once

#include "parser/tree.h"

/* What the grammar would have taken in place of the newest token. */
struct syntax_expected {
    bool end, name, value, string, close_string, compare, step, run, in, otherwise;
    bool assign, comma, colon, open_brace, close_brace, open_bracket, close_bracket, open_paren,
        close_paren;
};
/* Bison's name of a token: "'='". */
void syntax_expect(struct syntax_expected *e, const char *symbol);

/* Tells the error and decides where to go on. */
void syntax_report(struct parse *p, const struct syntax_expected *e);
void syntax_too_deep(struct parse *p, struct span at);
/* After the error was swallowed: forgets what was half read. items: within a step or template. */
void syntax_resync(struct parse *p, bool items);
/* The next token for the grammar. */
struct lexer_token syntax_next(struct parse *p);
