/* SPDX-License-Identifier: MIT */
/* What is under way while one text is parsed, and the constructors that the grammar's actions
 * call: one call each. Private to the parser. */
#pragma once

#include "parser/ast.h"
#include "parser/lexer.h"

enum { PARSE_SEEN = 3 };

struct parse {
    struct arena *arena;
    struct diags *diags;
    struct str text;
    uint32_t source;
    struct lexer lexer;
    int start; /* the token that chooses between file and expression; 0 once it was given */

    struct lexer_token seen[PARSE_SEEN]; /* the newest token first */
    uint32_t tokens;
    uint32_t braces;     /* blocks that are open */
    uint32_t braces_was; /* before the newest token */
    uint32_t word_at;    /* where the last name began */
    uint32_t errors;     /* syntax errors told */
    uint32_t mended;     /* of them: what was meant is in the tree all the same */
    bool stop;           /* a limit was passed: no more */

    struct ast_name open_name;      /* of the step or template whose items are being read */
    struct span open_span;          /* its keyword */
    struct ast_items items;         /* of it */
    VEC(struct ast_expr *) pending; /* strings of what is under way, not decoded yet */

    /* Set by syntax_report, done by syntax_resync and syntax_next. */
    uint32_t closes;          /* '}' to be put in first */
    struct lexer_token again; /* then this one; kind 0: none */
    bool skip;                /* then on to where an item or statement begins */
    bool skip_items;          /* an item: within a block */

    struct ast_file *file;
    struct ast_expr *expr;
};

struct ast_parts {
    struct ast_part *at;
    uint32_t n, cap;
};

union tree_value {
    struct ast_name name;
    struct ast_names names;
    struct ast_expr *expr;
    struct ast_exprs exprs;
    struct ast_binding binding;
    struct ast_bindings bindings;
    struct ast_block block;
    struct ast_use use;
    struct ast_fors fors;
    enum ast_operator op;
    struct ast_parts parts;
};

/* Expressions. at is the span of the whole. */
struct ast_expr *tree_number(struct parse *p, enum ast_expr_kind kind, struct span at);
struct ast_expr *tree_quantity(struct parse *p, struct span at);
struct ast_expr *tree_bool(struct parse *p, bool value, struct span at);
struct ast_expr *tree_name(struct parse *p, struct ast_name name);
struct ast_expr *tree_list(struct parse *p, struct ast_exprs items, struct span at);
struct ast_expr *tree_parens(struct ast_expr *e);
struct ast_expr *tree_member(struct parse *p, struct ast_expr *of, struct ast_name name,
                             struct span at);
struct ast_expr *tree_select_all(struct parse *p, struct ast_expr *of, struct span at);
struct ast_expr *tree_select_keys(struct parse *p, struct ast_expr *of, struct ast_bindings keys,
                                  struct span at);
struct ast_expr *tree_select_index(struct parse *p, struct ast_expr *of, struct ast_expr *index,
                                   struct span at);
struct ast_expr *tree_call(struct parse *p, struct ast_name function, struct ast_bindings args,
                           struct span at);
struct ast_expr *tree_unary(struct parse *p, enum ast_operator op, struct span op_span,
                            struct ast_expr *right);
struct ast_expr *tree_binary(struct parse *p, enum ast_operator op, struct span op_span,
                             struct ast_expr *left, struct ast_expr *right);
struct ast_expr *tree_conditional(struct parse *p, struct ast_expr *then,
                                  struct ast_expr *condition, struct ast_expr *otherwise);

/* Strings: pieces gathered, then the whole; quote is the opening one. Decoded when the statement
 * or item that they belong to is added. */
struct ast_parts tree_part_text(struct parse *p, struct ast_parts parts, struct span at);
struct ast_parts tree_part_expr(struct parse *p, struct ast_parts parts, struct ast_expr *e,
                                struct span at);
struct ast_expr *tree_string(struct parse *p, struct ast_parts parts, struct span quote,
                             struct span at);

/* Lists. */
struct ast_name tree_word(struct parse *p, struct span at);
struct ast_names tree_names(struct parse *p, struct ast_names list, struct ast_name name);
struct ast_exprs tree_exprs(struct parse *p, struct ast_exprs list, struct ast_expr *e);
struct ast_binding tree_binding(struct ast_name name, struct ast_expr *value, struct span at);
struct ast_bindings tree_bindings(struct parse *p, struct ast_bindings list, struct ast_binding b);
struct ast_block tree_block(struct ast_bindings keys, struct span at);
struct ast_block tree_block_off(struct span at);
struct ast_fors tree_fors(struct parse *p, struct ast_fors list, struct ast_for f);

/* Adds a statement or item, to be filled in; the strings that it holds are decoded. */
struct ast_statement *tree_statement(struct parse *p, enum ast_statement_kind kind,
                                     struct span keyword, struct span at);
struct ast_item *tree_item(struct parse *p, enum ast_item_kind kind, struct span keyword,
                           struct span at);
/* The type of `param NAME : TYPE`. */
enum ast_type tree_type(struct parse *p, struct ast_name name);
/* The text of run or probe. */
struct ast_expr *tree_command(struct ast_expr *e);
/* Items of a step or template begin; they are in p->items until the next begin. */
void tree_open(struct parse *p, struct ast_name name, struct span keyword);
struct ast_items tree_items(struct parse *p); /* those read since, to keep */
/* Decodes the strings of what was finished; forgets those of what was not. */
void tree_decode_pending(struct parse *p);
void tree_drop_pending(struct parse *p);
