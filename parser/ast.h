/* SPDX-License-Identifier: MIT */
/* The syntax tree: plain structs in one arena, pointing at nothing outside it. Every node has
 * the span of what was written; names keep a span of their own. It says what stands in a file,
 * not what it means. */
#pragma once

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/base/str.h"

enum {
    AST_DEPTH_LIMIT = 256,      /* levels of nested expressions; a chain of + is one level a sign */
    AST_TOKEN_LIMIT = 16 << 20, /* tokens of one file */
    AST_TEXT_LIMIT = 64 << 20,  /* bytes of one file */
    AST_ERROR_LIMIT = 25        /* syntax errors after which parsing stops */
};

struct ast_expr;

/* A name as it was written; text.n == 0 where an optional one was left out. */
struct ast_name {
    struct str text;
    struct span span;
};

/* Growing arrays, for VEC_PUSH; read them as at[0 .. n). */
struct ast_names {
    struct ast_name *at;
    uint32_t n, cap;
};
struct ast_exprs {
    struct ast_expr **at;
    uint32_t n, cap;
};

/* [NAME =] VALUE: an item's file, an argument, a selector, a block's key, a template's
 * parameter. */
struct ast_binding {
    struct ast_name name;   /* may be empty where a name is optional */
    struct ast_expr *value; /* NULL only where a value is optional: env NAME, template NAME(a) */
    struct span span;
};
struct ast_bindings {
    struct ast_binding *at;
    uint32_t n, cap;
};

/* ---- expressions ---- */

enum ast_expr_kind {
    AST_STRING,
    AST_INT,
    AST_REAL,
    AST_DURATION,
    AST_SIZE,
    AST_BOOL,
    AST_LIST,
    AST_NAME,
    AST_MEMBER, /* of.name */
    AST_SELECT, /* of[*], of[a = 1, b = "x"], of[expr] */
    AST_CALL,   /* function(args): args may be named only where eval allows it */
    AST_UNARY,
    AST_BINARY,
    AST_CONDITIONAL, /* then if condition else otherwise */
};

/* A string is a sequence of parts: text (escapes and indentation already dealt with) or an
 * expression from {{…}}. An empty string has no parts; two text parts never follow each other. */
struct ast_part {
    struct ast_expr *expr; /* NULL: text */
    struct str text;
    struct span span; /* text: as it was written; expr: with its braces */
};
struct ast_string {
    struct ast_part *parts;
    uint32_t count;
    bool raw;     /* '…' */
    bool triple;  /* three quotes on each side */
    bool command; /* the text of run or probe: decoded by the rules for commands */
};

enum ast_operator {
    AST_NOT, /* unary */
    AST_NEG, /* unary */
    AST_OR,
    AST_AND,
    AST_EQ,
    AST_NE,
    AST_LT,
    AST_LE,
    AST_GT,
    AST_GE,
    AST_ADD,
    AST_SUB,
    AST_MUL,
    AST_DIV,
    AST_MOD,
};

enum ast_select_kind { AST_SELECT_ALL, AST_SELECT_KEYS, AST_SELECT_INDEX };

struct ast_expr {
    enum ast_expr_kind kind;
    uint32_t depth;   /* 1 for a leaf; never above AST_DEPTH_LIMIT */
    bool parens;      /* stood in ( ) of its own; the span does not hold them */
    struct span span; /* from the first to the last byte of the expression */
    union {
        struct ast_string string;
        struct {
            struct str text; /* as it was written */
            int64_t integer; /* AST_INT; AST_DURATION: nanoseconds; AST_SIZE: bytes */
            double real;     /* AST_INT and AST_REAL */
        } number;
        bool boolean;
        struct ast_exprs list;
        struct ast_name name;
        struct {
            struct ast_expr *of;
            struct ast_name name;
        } member;
        struct {
            struct ast_expr *of;
            enum ast_select_kind kind;
            struct ast_bindings keys; /* AST_SELECT_KEYS: all named */
            struct ast_expr *index;   /* AST_SELECT_INDEX */
        } select;
        struct {
            struct ast_name function;
            struct ast_bindings args; /* unnamed, mostly */
        } call;
        struct {
            enum ast_operator op;
            struct span op_span;
            struct ast_expr *left;  /* NULL for AST_UNARY */
            struct ast_expr *right; /* a unary operator's operand too */
        } binary;                   /* AST_UNARY and AST_BINARY */
        struct {
            struct ast_expr *then, *condition, *otherwise;
        } conditional;
    } as;
};

/* ---- what files and steps are made of ---- */

/* { NAME = EXPR … }, or `cache off`. */
struct ast_block {
    struct ast_bindings keys;
    bool off;         /* cache off */
    bool present;     /* false: an optional block was left out */
    struct span span; /* with its braces */
};

enum ast_type {
    AST_TYPE_NONE,
    AST_TYPE_INT,
    AST_TYPE_FLOAT,
    AST_TYPE_BOOL,
    AST_TYPE_STRING,
    AST_TYPE_LIST,
    AST_TYPE_DURATION,
    AST_TYPE_SIZE,
};

struct ast_param { /* param NAME = VALUE [in CHOICES], param NAME : TYPE [in CHOICES] */
    struct ast_name name;
    struct ast_expr *value; /* NULL: type is given */
    enum ast_type type;     /* AST_TYPE_NONE: value is given */
    struct span type_span;
    struct ast_expr *choices; /* NULL: any */
};

struct ast_use {           /* use TEMPLATE[(args)] */
    struct ast_expr *what; /* a name, or a chain of members */
    bool parens;           /* ( ) were written */
    struct ast_bindings args;
};

struct ast_for { /* for a in LIST, for (a, b) in LIST */
    struct ast_names names;
    bool rows; /* with parentheses */
    struct ast_expr *list;
    struct span span;
};
struct ast_fors {
    struct ast_for *at;
    uint32_t n, cap;
};

enum ast_item_kind {
    AST_ITEM_TEXT, /* expr: a string; the first item, if any */
    AST_ITEM_IN,   /* bindings, names optional; likewise CODE and OUT */
    AST_ITEM_CODE,
    AST_ITEM_OUT,
    AST_ITEM_AFTER,      /* refs */
    AST_ITEM_PARAM,      /* refs */
    AST_ITEM_ENV,        /* binding, value optional */
    AST_ITEM_SECRET,     /* names */
    AST_ITEM_LET,        /* binding */
    AST_ITEM_TOOL,       /* expr */
    AST_ITEM_PROBE,      /* refs */
    AST_ITEM_RUN,        /* expr */
    AST_ITEM_MAKE,       /* make */
    AST_ITEM_CWD,        /* expr */
    AST_ITEM_DEPFILE,    /* binding, name optional */
    AST_ITEM_TRACE,      /* expr */
    AST_ITEM_CACHE,      /* block */
    AST_ITEM_RESOURCES,  /* block */
    AST_ITEM_POOL,       /* expr: a reference */
    AST_ITEM_ON,         /* expr: a reference */
    AST_ITEM_CHECKPOINT, /* binding, name optional */
    AST_ITEM_TIMEOUT,    /* expr */
    AST_ITEM_RETRY,      /* retry */
    AST_ITEM_WHEN,       /* expr */
    AST_ITEM_FAIL,       /* expr */
    AST_ITEM_METRIC,     /* binding */
    AST_ITEM_USE,        /* use */
};

struct ast_item {
    enum ast_item_kind kind;
    struct span span;
    struct span keyword; /* of AST_ITEM_TEXT: the string */
    union {
        struct ast_expr *expr;
        struct ast_binding binding;
        struct ast_bindings bindings;
        struct ast_exprs refs; /* names, members and selections only */
        struct ast_names names;
        struct ast_block block;
        struct ast_use use;
        struct {
            struct ast_expr *target;
            struct ast_block block;
        } make;
        struct {
            struct ast_expr *count;
            struct ast_expr *backoff; /* may be NULL */
        } retry;
    } as;
};
struct ast_items {
    struct ast_item *at;
    uint32_t n, cap;
};

struct ast_step {
    struct ast_name name;
    struct ast_fors fors;
    struct ast_expr *where; /* may be NULL */
    struct ast_items items;
    struct span body; /* the braces and what is between them */
};

struct ast_template {
    struct ast_name name;
    bool parens;                /* false: no parameter list was written */
    struct ast_bindings params; /* value: the default, may be NULL */
    struct ast_items items;
    struct span body;
};

enum ast_statement_kind {
    AST_PIPELINE, /* name */
    AST_PARAM,    /* param */
    AST_LET,      /* binding */
    AST_PARAMS,   /* file */
    AST_INCLUDE,  /* file */
    AST_CACHE,    /* block */
    AST_REMOTE,   /* remote */
    AST_POOL,     /* binding */
    AST_EXECUTOR, /* executor */
    AST_PROBE,    /* binding */
    AST_TEMPLATE, /* template */
    AST_USE,      /* use */
    AST_STEP,     /* step */
    AST_GROUP,    /* group */
    AST_DEFAULT,  /* refs */
};

struct ast_statement {
    enum ast_statement_kind kind;
    struct span span;
    struct span keyword;
    union {
        struct ast_name name;
        struct ast_param param;
        struct ast_binding binding;
        struct {
            struct ast_expr *path;
            struct ast_name as; /* may be empty */
        } file;
        struct ast_block block;
        struct {
            struct ast_expr *url;
            struct ast_block block; /* optional */
        } remote;
        struct {
            struct ast_name name;
            struct ast_block block;
        } executor;
        struct ast_template template;
        struct ast_use use;
        struct ast_step step;
        struct {
            struct ast_name name;
            struct ast_exprs refs;
        } group;
        struct ast_exprs refs;
    } as;
};
struct ast_statements {
    struct ast_statement *at;
    uint32_t n, cap;
};

struct ast_comment { /* from # to the end of its line, without the break */
    struct span span;
};
struct ast_comments {
    struct ast_comment *at;
    uint32_t n, cap;
};

struct ast_file {
    struct ast_statements statements;
    struct ast_comments comments; /* in order; for format */
    struct span span;             /* the whole text */
};

/* True for names, members and selections: what may stand after `after`, `default` and in a
 * group. */
bool ast_is_ref(const struct ast_expr *e);
const char *ast_operator_text(enum ast_operator op); /* "not", "-", "==" … */
const char *ast_keyword(enum ast_item_kind kind);    /* "in", "out" …; "text" for AST_ITEM_TEXT */
const char *ast_type_text(enum ast_type type);       /* "int" … */

/* One node a line, indented, with its texts and no places: what golden tests and the fuzzer
 * compare. */
void ast_dump(const struct ast_file *f, struct buf *out);
void ast_dump_expr(const struct ast_expr *e, struct buf *out);
