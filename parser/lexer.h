/* SPDX-License-Identifier: MIT */
/* Tokens. White space and line breaks only separate; every word is a token of its own kind, and
 * the grammar takes nearly all of them as names again. Strings come in pieces, in the spelling
 * of the file. */
#pragma once

#include "parser/ast.h"

enum { LEXER_NEST_LIMIT = 32 }; /* strings within {{ }} within strings */

/* Where a word stands at the front. */
enum lexer_role {
    LEXER_STATEMENT = 1,
    LEXER_ITEM = 2,
    LEXER_CLAUSE = 4,  /* for, where, as … */
    LEXER_RESERVED = 8 /* never a name */
};

struct lexer_word {
    const char *text;
    int token;
    unsigned roles;
};

struct lexer_token {
    int kind; /* a YYTOKENTYPE of grammar.h; 0 at the end; T_BROKEN: told already */
    struct span span;
    struct str text; /* as it is written */
    bool first;      /* first on its line */
    bool inside;     /* of a string, or of {{ }} in one */
};

struct lexer_level {
    int condition;  /* to go back to */
    uint32_t begin; /* of the string or the braces that began this level */
};

struct lexer {
    struct str text; /* a NUL stands behind it */
    uint32_t source, at;
    int condition;
    bool fresh; /* nothing but blanks since the last line break */
    bool told;  /* a stray character of this line was told */
    uint32_t depth;
    struct lexer_level levels[LEXER_NEST_LIMIT];
    struct arena *arena;
    struct ast_comments *comments; /* NULL: not wanted */
    struct diags *diags;           /* NULL: look ahead without telling */
};

/* text must be followed by a NUL and hold none. */
void lexer_init(struct lexer *l, struct str text, uint32_t source, struct arena *a);
struct lexer_token lexer_next(struct lexer *l);
/* Back to the front of a token that did not lie inside a string. */
void lexer_rewind(struct lexer *l, struct lexer_token t);

/* The word's entry, or NULL if it is an ordinary name. */
const struct lexer_word *lexer_find_word(struct str x);
/* All words; ends with a NULL text. */
const struct lexer_word *lexer_words(void);
