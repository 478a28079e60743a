/* SPDX-License-Identifier: MIT */
/* The language's grammar: LALR(1), no conflicts. Words are keywords only where a statement, an
 * item or a clause can begin; `word` takes them back as names everywhere else. Actions are one
 * call each into tree. */
%code requires {
#include "parser/tree.h"
}
%code {
#include "parser/syntax.h"

#define YYLLOC_DEFAULT(current, rhs, n)                                                            \
    ((current).source = YYRHSLOC(rhs, (n) ? 1 : 0).source,                                         \
     (current).begin = (n) ? YYRHSLOC(rhs, 1).begin : YYRHSLOC(rhs, 0).end,                        \
     (current).end = YYRHSLOC(rhs, (n)).end)

static int grammar_lex(union tree_value *value, struct span *at, struct parse *p);
static void grammar_error(const struct span *at, struct parse *p, const char *message);
}

%define api.pure full
%define api.prefix {grammar_}
%define api.token.prefix {T_}
%define api.value.type {union tree_value}
%define api.location.type {struct span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {struct parse *p}
%initial-action { @$ = (struct span){p->source, 0, 0}; }

%token AS_FILE AS_EXPR
%token BROKEN /* told by the lexer already */
%token NAME INT REAL QUANTITY STR TEXT STR_END OPEN "{{" CLOSE "}}"
%token EQ "==" NE "!=" LE "<=" GE ">="
%token TRUE "true" FALSE "false" NOT "not" AND "and" OR "or" IF "if" ELSE "else"
%token AFTER "after" AS "as" BACKOFF "backoff" CACHE "cache" CHECKPOINT "checkpoint" CODE "code"
       CWD "cwd" DEFAULT "default" DEPFILE "depfile" ENV "env" EXECUTOR "executor" FAIL "fail"
       FOR "for" GROUP "group" IN "in" INCLUDE "include" LET "let" MAKE "make" METRIC "metric"
       OFF "off" ON "on" OUT "out" PARAM "param" PARAMS "params" PIPELINE "pipeline" POOL "pool"
       PROBE "probe" REMOTE "remote" RESOURCES "resources" RETRY "retry" RUN "run" SECRET "secret"
       STEP "step" TEMPLATE "template" TIMEOUT "timeout" TOOL "tool" TRACE "trace" USE "use"
       WHEN "when" WHERE "where"

%type <name> word member_name as_opt step_head template_head
%type <names> names
%type <expr> expr or_expr and_expr not_expr comparison sum product unary postfix primary list string
%type <expr> choices_opt where_opt command path ref
%type <exprs> exprs exprs_opt refs refs_opt paths
%type <binding> named file argument parameter key
%type <bindings> files arguments arguments_opt parameters parameters_opt keys selector_keys
%type <block> block block_opt
%type <use> use
%type <fors> fors
%type <op> compare_op
%type <parts> parts

%%

input:
    AS_FILE statements
  | AS_EXPR expr { tree_decode_pending(p); p->expr = $expr; }
  ;

statements:
    %empty
  | statements statement
  | statements error { yyerrok; yyclearin; syntax_resync(p, false); }
  ;

statement:
    "pipeline" word { tree_statement(p, AST_PIPELINE, @1, @$)->as.name = $word; }
  | "param" word '=' expr choices_opt {
        tree_statement(p, AST_PARAM, @1, @$)->as.param =
            (struct ast_param){.name = $word, .value = $expr, .choices = $choices_opt};
    }
  | "param" word[name] ':' word[type] choices_opt {
        tree_statement(p, AST_PARAM, @1, @$)->as.param =
            (struct ast_param){.name = $name, .type = tree_type(p, $type), .type_span = @type,
                               .choices = $choices_opt};
    }
  | "let" named { tree_statement(p, AST_LET, @1, @$)->as.binding = $named; }
  | "params" expr as_opt {
        struct ast_statement *s = tree_statement(p, AST_PARAMS, @1, @$);
        s->as.file.path = $expr;
        s->as.file.as = $as_opt;
    }
  | "include" expr as_opt {
        struct ast_statement *s = tree_statement(p, AST_INCLUDE, @1, @$);
        s->as.file.path = $expr;
        s->as.file.as = $as_opt;
    }
  | "cache" block { tree_statement(p, AST_CACHE, @1, @$)->as.block = $block; }
  | "cache" "off" { tree_statement(p, AST_CACHE, @1, @$)->as.block = tree_block_off(@2); }
  | "remote" expr block_opt {
        struct ast_statement *s = tree_statement(p, AST_REMOTE, @1, @$);
        s->as.remote.url = $expr;
        s->as.remote.block = $block_opt;
    }
  | "pool" named { tree_statement(p, AST_POOL, @1, @$)->as.binding = $named; }
  | "executor" word block {
        struct ast_statement *s = tree_statement(p, AST_EXECUTOR, @1, @$);
        s->as.executor.name = $word;
        s->as.executor.block = $block;
    }
  | "probe" word '=' command {
        struct span at = {@word.source, @word.begin, @command.end};
        tree_statement(p, AST_PROBE, @1, @$)->as.binding = tree_binding($word, $command, at);
    }
  | template_head '{' items '}' {
        struct ast_template *t = &tree_statement(p, AST_TEMPLATE, p->open_span, @$)->as.template;
        *t = (struct ast_template){.name = $1, .items = tree_items(p),
                                   .body = {@2.source, @2.begin, @4.end}};
    }
  | template_head '(' parameters_opt ')' '{' items '}' {
        struct ast_template *t = &tree_statement(p, AST_TEMPLATE, p->open_span, @$)->as.template;
        *t = (struct ast_template){.name = $1, .parens = true, .params = $parameters_opt,
                                   .items = tree_items(p), .body = {@5.source, @5.begin, @7.end}};
    }
  | "use" use { tree_statement(p, AST_USE, @1, @$)->as.use = $use; }
  | step_head fors where_opt '{' items '}' {
        tree_statement(p, AST_STEP, p->open_span, @$)->as.step =
            (struct ast_step){.name = $1, .fors = $fors, .where = $where_opt,
                              .items = tree_items(p), .body = {@4.source, @4.begin, @6.end}};
    }
  | "group" word '=' '[' refs_opt ']' {
        struct ast_statement *s = tree_statement(p, AST_GROUP, @1, @$);
        s->as.group.name = $word;
        s->as.group.refs = $refs_opt;
    }
  | "default" refs { tree_statement(p, AST_DEFAULT, @1, @$)->as.refs = $refs; }
  ;

step_head: "step" word { tree_open(p, $word, @1); $$ = $word; };
template_head: "template" word { tree_open(p, $word, @1); $$ = $word; };

fors:
    %empty { $$ = (struct ast_fors){0}; }
  | fors[list] "for" word "in" expr {
        struct ast_names names = tree_names(p, (struct ast_names){0}, $word);
        struct span at = {@2.source, @2.begin, @expr.end};
        $$ = tree_fors(p, $list, (struct ast_for){.names = names, .list = $expr, .span = at});
    }
  | fors[list] "for" '(' names ')' "in" expr {
        struct span at = {@2.source, @2.begin, @expr.end};
        $$ = tree_fors(p, $list,
                       (struct ast_for){.names = $names, .rows = true, .list = $expr, .span = at});
    }
  ;

where_opt:
    %empty { $$ = NULL; }
  | "where" expr { $$ = $expr; }
  ;

choices_opt:
    %empty { $$ = NULL; }
  | "in" expr { $$ = $expr; }
  ;

as_opt:
    %empty { $$ = (struct ast_name){0}; }
  | "as" word { $$ = $word; }
  ;

items:
    %empty
  | items item
  | items error { yyerrok; yyclearin; syntax_resync(p, true); }
  ;

item:
    string { tree_item(p, AST_ITEM_TEXT, @1, @$)->as.expr = $1; }
  | "in" files { tree_item(p, AST_ITEM_IN, @1, @$)->as.bindings = $files; }
  | "code" files { tree_item(p, AST_ITEM_CODE, @1, @$)->as.bindings = $files; }
  | "out" files { tree_item(p, AST_ITEM_OUT, @1, @$)->as.bindings = $files; }
  | "after" refs { tree_item(p, AST_ITEM_AFTER, @1, @$)->as.refs = $refs; }
  | "param" paths { tree_item(p, AST_ITEM_PARAM, @1, @$)->as.refs = $paths; }
  | "env" named { tree_item(p, AST_ITEM_ENV, @1, @$)->as.binding = $named; }
  | "env" word {
        tree_item(p, AST_ITEM_ENV, @1, @$)->as.binding = tree_binding($word, NULL, @word);
    }
  | "secret" names { tree_item(p, AST_ITEM_SECRET, @1, @$)->as.names = $names; }
  | "let" named { tree_item(p, AST_ITEM_LET, @1, @$)->as.binding = $named; }
  | "tool" expr { tree_item(p, AST_ITEM_TOOL, @1, @$)->as.expr = $expr; }
  | "probe" paths { tree_item(p, AST_ITEM_PROBE, @1, @$)->as.refs = $paths; }
  | "run" command { tree_item(p, AST_ITEM_RUN, @1, @$)->as.expr = $command; }
  | "make" expr block_opt {
        struct ast_item *item = tree_item(p, AST_ITEM_MAKE, @1, @$);
        item->as.make.target = $expr;
        item->as.make.block = $block_opt;
    }
  | "cwd" expr { tree_item(p, AST_ITEM_CWD, @1, @$)->as.expr = $expr; }
  | "depfile" file { tree_item(p, AST_ITEM_DEPFILE, @1, @$)->as.binding = $file; }
  | "trace" expr { tree_item(p, AST_ITEM_TRACE, @1, @$)->as.expr = $expr; }
  | "cache" block { tree_item(p, AST_ITEM_CACHE, @1, @$)->as.block = $block; }
  | "cache" "off" { tree_item(p, AST_ITEM_CACHE, @1, @$)->as.block = tree_block_off(@2); }
  | "resources" block { tree_item(p, AST_ITEM_RESOURCES, @1, @$)->as.block = $block; }
  | "pool" path { tree_item(p, AST_ITEM_POOL, @1, @$)->as.expr = $path; }
  | "on" path { tree_item(p, AST_ITEM_ON, @1, @$)->as.expr = $path; }
  | "checkpoint" file { tree_item(p, AST_ITEM_CHECKPOINT, @1, @$)->as.binding = $file; }
  | "timeout" expr { tree_item(p, AST_ITEM_TIMEOUT, @1, @$)->as.expr = $expr; }
  | "retry" expr { tree_item(p, AST_ITEM_RETRY, @1, @$)->as.retry.count = $expr; }
  | "retry" expr[count] "backoff" expr[pause] {
        struct ast_item *item = tree_item(p, AST_ITEM_RETRY, @1, @$);
        item->as.retry.count = $count;
        item->as.retry.backoff = $pause;
    }
  | "when" expr { tree_item(p, AST_ITEM_WHEN, @1, @$)->as.expr = $expr; }
  | "fail" expr { tree_item(p, AST_ITEM_FAIL, @1, @$)->as.expr = $expr; }
  | "metric" named { tree_item(p, AST_ITEM_METRIC, @1, @$)->as.binding = $named; }
  | "use" use { tree_item(p, AST_ITEM_USE, @1, @$)->as.use = $use; }
  ;

named: word '=' expr { $$ = tree_binding($word, $expr, @$); };

file:
    named
  | expr { $$ = tree_binding((struct ast_name){0}, $expr, @$); }
  ;

files:
    file { $$ = tree_bindings(p, (struct ast_bindings){0}, $file); }
  | files[list] ',' file { $$ = tree_bindings(p, $list, $file); }
  ;

command: expr { $$ = tree_command($expr); };

use:
    path { $$ = (struct ast_use){.what = $path}; }
  | path '(' arguments_opt ')' {
        $$ = (struct ast_use){.what = $path, .parens = true, .args = $arguments_opt};
    }
  ;

block: '{' keys '}' { $$ = tree_block($keys, @$); };
block_opt:
    %empty { $$ = (struct ast_block){0}; }
  | block
  ;
keys:
    %empty { $$ = (struct ast_bindings){0}; }
  | keys[list] key { $$ = tree_bindings(p, $list, $key); }
  ;
key: named;

parameters_opt:
    %empty { $$ = (struct ast_bindings){0}; }
  | parameters
  | parameters ',' { $$ = $1; }
  ;
parameters:
    parameter { $$ = tree_bindings(p, (struct ast_bindings){0}, $1); }
  | parameters[list] ',' parameter { $$ = tree_bindings(p, $list, $parameter); }
  ;
parameter:
    named
  | word { $$ = tree_binding($word, NULL, @$); }
  ;

arguments_opt:
    %empty { $$ = (struct ast_bindings){0}; }
  | arguments
  | arguments ',' { $$ = $1; }
  ;
arguments:
    argument { $$ = tree_bindings(p, (struct ast_bindings){0}, $1); }
  | arguments[list] ',' argument { $$ = tree_bindings(p, $list, $argument); }
  ;
argument: file;

names:
    word { $$ = tree_names(p, (struct ast_names){0}, $word); }
  | names[list] ',' word { $$ = tree_names(p, $list, $word); }
  ;

exprs_opt:
    %empty { $$ = (struct ast_exprs){0}; }
  | exprs
  | exprs ',' { $$ = $1; }
  ;
exprs:
    expr { $$ = tree_exprs(p, (struct ast_exprs){0}, $expr); }
  | exprs[list] ',' expr { $$ = tree_exprs(p, $list, $expr); }
  ;

refs_opt:
    %empty { $$ = (struct ast_exprs){0}; }
  | refs
  | refs ',' { $$ = $1; }
  ;
refs:
    ref { $$ = tree_exprs(p, (struct ast_exprs){0}, $ref); }
  | refs[list] ',' ref { $$ = tree_exprs(p, $list, $ref); }
  ;
ref:
    word { $$ = tree_name(p, $word); }
  | ref[of] '.' member_name { $$ = tree_member(p, $of, $member_name, @$); }
  | ref[of] '[' '*' ']' { $$ = tree_select_all(p, $of, @$); }
  | ref[of] '[' selector_keys ']' { $$ = tree_select_keys(p, $of, $selector_keys, @$); }
  ;
paths:
    path { $$ = tree_exprs(p, (struct ast_exprs){0}, $path); }
  | paths[list] ',' path { $$ = tree_exprs(p, $list, $path); }
  ;
path:
    word { $$ = tree_name(p, $word); }
  | path[of] '.' member_name { $$ = tree_member(p, $of, $member_name, @$); }
  ;

expr:
    or_expr
  | or_expr[then] "if" or_expr[condition] "else" expr[otherwise] {
        $$ = tree_conditional(p, $then, $condition, $otherwise);
    }
  ;
or_expr:
    and_expr
  | or_expr[l] "or" and_expr[r] { $$ = tree_binary(p, AST_OR, @2, $l, $r); }
  ;
and_expr:
    not_expr
  | and_expr[l] "and" not_expr[r] { $$ = tree_binary(p, AST_AND, @2, $l, $r); }
  ;
not_expr:
    comparison
  | "not" not_expr[r] { $$ = tree_unary(p, AST_NOT, @1, $r); }
  ;
comparison:
    sum
  | sum[l] compare_op sum[r] { $$ = tree_binary(p, $compare_op, @compare_op, $l, $r); }
  ;
compare_op:
    "==" { $$ = AST_EQ; }
  | "!=" { $$ = AST_NE; }
  | '<' { $$ = AST_LT; }
  | "<=" { $$ = AST_LE; }
  | '>' { $$ = AST_GT; }
  | ">=" { $$ = AST_GE; }
  ;
sum:
    product
  | sum[l] '+' product[r] { $$ = tree_binary(p, AST_ADD, @2, $l, $r); }
  | sum[l] '-' product[r] { $$ = tree_binary(p, AST_SUB, @2, $l, $r); }
  ;
product:
    unary
  | product[l] '*' unary[r] { $$ = tree_binary(p, AST_MUL, @2, $l, $r); }
  | product[l] '/' unary[r] { $$ = tree_binary(p, AST_DIV, @2, $l, $r); }
  | product[l] '%' unary[r] { $$ = tree_binary(p, AST_MOD, @2, $l, $r); }
  ;
unary:
    postfix
  | '-' unary[r] { $$ = tree_unary(p, AST_NEG, @1, $r); }
  ;
postfix:
    primary
  | postfix[of] '.' member_name { $$ = tree_member(p, $of, $member_name, @$); }
  | postfix[of] '[' '*' ']' { $$ = tree_select_all(p, $of, @$); }
  | postfix[of] '[' selector_keys ']' { $$ = tree_select_keys(p, $of, $selector_keys, @$); }
  | postfix[of] '[' expr ']' { $$ = tree_select_index(p, $of, $expr, @$); }
  | word '(' arguments_opt ')' { $$ = tree_call(p, $word, $arguments_opt, @$); }
  ;
selector_keys:
    named { $$ = tree_bindings(p, (struct ast_bindings){0}, $named); }
  | selector_keys[list] ',' named { $$ = tree_bindings(p, $list, $named); }
  ;
primary:
    word { $$ = tree_name(p, $word); }
  | INT { $$ = tree_number(p, AST_INT, @$); }
  | REAL { $$ = tree_number(p, AST_REAL, @$); }
  | QUANTITY { $$ = tree_quantity(p, @$); }
  | "true" { $$ = tree_bool(p, true, @$); }
  | "false" { $$ = tree_bool(p, false, @$); }
  | string
  | list
  | '(' expr ')' { $$ = tree_parens($expr); }
  ;
list: '[' exprs_opt ']' { $$ = tree_list(p, $exprs_opt, @$); };

string: STR parts STR_END { $$ = tree_string(p, $parts, @STR, @$); };
parts:
    %empty { $$ = (struct ast_parts){0}; }
  | parts[list] TEXT { $$ = tree_part_text(p, $list, @TEXT); }
  | parts[list] "{{" expr "}}" {
        struct span at = {@2.source, @2.begin, @4.end};
        $$ = tree_part_expr(p, $list, $expr, at);
    }
  ;

word:
    NAME { $$ = tree_word(p, @$); }
  | keyword { $$ = tree_word(p, @$); }
  ;
keyword:
    "after" | "as" | "backoff" | "cache" | "checkpoint" | "code" | "cwd" | "default" | "depfile"
  | "env" | "executor" | "fail" | "for" | "group" | "in" | "include" | "let" | "make" | "metric"
  | "off" | "on" | "out" | "param" | "params" | "pipeline" | "pool" | "probe" | "remote"
  | "resources" | "retry" | "run" | "secret" | "step" | "template" | "timeout" | "tool" | "trace"
  | "use" | "when" | "where"
  ;
member_name:
    word
  | reserved { $$ = tree_word(p, @$); }
  ;
reserved: "true" | "false" | "not" | "and" | "or" | "if" | "else";

%%

static int grammar_lex(union tree_value *value, struct span *at, struct parse *p)
{
    (void)value;
    struct lexer_token t = syntax_next(p);
    *at = t.span;
    return t.kind == T_BROKEN ? T_GRAMMAR_error : t.kind;
}

/* Bison's own words: only "memory exhausted" is left. */
static void grammar_error(const struct span *at, struct parse *p, const char *message)
{
    (void)message;
    syntax_too_deep(p, *at);
}

/* What could stand here, in syntax's terms. */
static int yyreport_syntax_error(const yypcontext_t *context, struct parse *p)
{
    yysymbol_kind_t expected[YYNTOKENS];
    int n = yypcontext_expected_tokens(context, expected, YYNTOKENS);
    struct syntax_expected e = {0};
    for (int i = 0; i < n; i++) {
        switch (expected[i]) {
        case YYSYMBOL_YYEOF: e.end = true; break;
        case YYSYMBOL_NAME: e.name = true; break;
        case YYSYMBOL_INT: e.value = true; break;
        case YYSYMBOL_STR: e.string = true; break;
        case YYSYMBOL_CLOSE: e.close_string = true; break;
        case YYSYMBOL_EQ: e.compare = true; break;
        case YYSYMBOL_STEP: e.step = true; break;
        case YYSYMBOL_RUN: e.run = true; break;
        case YYSYMBOL_IN: e.in = true; break;
        case YYSYMBOL_ELSE: e.otherwise = true; break;
        default: syntax_expect(&e, yysymbol_name(expected[i])); break;
        }
    }
    syntax_report(p, &e);
    return 0;
}
