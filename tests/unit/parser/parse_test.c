/* SPDX-License-Identifier: MIT */
/* The parser's door: places, limits, single expressions. What trees look like is in tests/lang. */
#include "parser/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct given {
    struct arena arena;
    struct diags diags;
    uint32_t source;
};

static int set_up(void **state)
{
    static struct given given;
    given = (struct given){0};
    diags_init(&given.diags, &given.arena);
    *state = &given;
    return 0;
}

static int tear_down(void **state)
{
    struct given *g = *state;
    arena_free(&g->arena);
    return 0;
}

static const struct ast_file *file(struct given *g, struct str text)
{
    g->source = diags_add_source(&g->diags, STR("p"), text);
    return parse_file(&g->arena, g->source, &g->diags);
}

static const struct ast_expr *expr(struct given *g, struct str text)
{
    g->source = diags_add_source(&g->diags, STR("-p"), text);
    return parse_expr(&g->arena, g->source, &g->diags);
}

static void assert_code(const struct given *g, const char *code)
{
    assert_true(g->diags.errors > 0);
    assert_string_equal(g->diags.all.at[0].code, code);
}

static void assert_span(struct span at, uint32_t begin, uint32_t end)
{
    assert_int_equal(at.begin, begin);
    assert_int_equal(at.end, end);
}

static void parse_names_keep_their_places(void **state)
{
    struct given *g = *state;
    const struct ast_file *f = file(g, STR("param ab = 5\nstep c { in x = d.e[f=1].g }"));
    assert_non_null(f);
    assert_int_equal(f->statements.n, 2);
    const struct ast_statement *p = &f->statements.at[0];
    assert_span(p->span, 0, 12);
    assert_span(p->keyword, 0, 5);
    assert_span(p->as.param.name.span, 6, 8);
    assert_int_equal(p->as.param.value->as.number.integer, 5);
    assert_span(p->as.param.value->span, 11, 12);
    const struct ast_step *s = &f->statements.at[1].as.step;
    assert_span(s->name.span, 18, 19);
    assert_span(f->statements.at[1].keyword, 13, 17);
    assert_span(s->body, 20, 41);
    const struct ast_binding *b = &s->items.at[0].as.bindings.at[0];
    assert_span(b->name.span, 25, 26);
    assert_span(b->span, 25, 39);
    assert_int_equal(b->value->kind, AST_MEMBER);
    assert_span(b->value->as.member.name.span, 38, 39);
    assert_true(ast_is_ref(b->value));
    assert_int_equal(b->value->depth, 4);
}

static void parse_string_parts_point_into_the_text(void **state)
{
    struct given *g = *state;
    const struct ast_expr *e = expr(g, STR("\"a\\tb{{ c }}d\""));
    assert_non_null(e);
    assert_int_equal(e->as.string.count, 3);
    assert_span(e->as.string.parts[0].span, 1, 5);
    assert_span(e->as.string.parts[1].span, 5, 12);
    assert_span(e->as.string.parts[1].expr->span, 8, 9);
    assert_span(e->as.string.parts[2].span, 12, 13);
    assert_true(str_eq(e->as.string.parts[0].text, STR("a\tb")));
}

static void parse_commands_are_marked(void **state)
{
    struct given *g = *state;
    const struct ast_file *f = file(g, STR("step a { run \"{{f(\"x\")}}\" if b else \"y\" }"));
    const struct ast_expr *run = f->statements.at[0].as.step.items.at[0].as.expr;
    const struct ast_expr *then = run->as.conditional.then;
    assert_true(then->as.string.command);
    assert_true(run->as.conditional.otherwise->as.string.command);
    const struct ast_expr *call = then->as.string.parts[0].expr;
    assert_false(call->as.call.args.at[0].value->as.string.command);
}

static void parse_tree_survives_its_text(void **state)
{
    struct given *g = *state;
    char text[] = "let name = 42";
    const struct ast_file *f = file(g, str_from(text));
    memset(text, 'x', sizeof text - 1);
    assert_true(str_eq(f->statements.at[0].as.binding.name.text, STR("name")));
    assert_true(str_eq(f->statements.at[0].as.binding.value->as.number.text, STR("42")));
}

static void parse_empty_file_is_no_error(void **state)
{
    struct given *g = *state;
    const struct ast_file *f = file(g, STR(""));
    assert_non_null(f);
    assert_int_equal(f->statements.n, 0);
    f = file(g, STR("\xef\xbb\xbf# only a comment\r\n"));
    assert_non_null(f);
    assert_int_equal(f->comments.n, 1);
    assert_span(f->comments.at[0].span, 3, 19);
}

static void parse_expr_takes_one_expression(void **state)
{
    struct given *g = *state;
    const struct ast_expr *e = expr(g, STR(" [3, 5] "));
    assert_non_null(e);
    assert_int_equal(e->kind, AST_LIST);
    assert_int_equal(e->as.list.n, 2);
    assert_null(expr(g, STR("3 5")));
    assert_code(g, "syntax");
    assert_null(expr(g, STR("")));
    assert_null(expr(g, STR("let a = 3")));
    assert_int_equal(g->diags.errors, 3);
}

static void parse_errors_are_told_once_each(void **state)
{
    struct given *g = *state;
    assert_null(file(g, STR("let a = = 3\nlet b = )\nlet c = 3\nlet d =")));
    assert_int_equal(g->diags.errors, 3);
    assert_int_equal(diags_place(&g->diags, g->diags.all.at[1].span).line, 2);
    assert_int_equal(diags_place(&g->diags, g->diags.all.at[1].span).column, 9);
}

static void parse_warnings_do_not_refuse(void **state)
{
    struct given *g = *state;
    (void)diag_error(&g->diags, "earlier", SPAN_NONE, "of another file");
    assert_non_null(file(g, STR("let a = 3")));
}

static const struct {
    const char *text, *code;
} BAD[] = {
    {"let a = 3 )", "syntax"},
    {"stpe a {}", "unknown-statement"},
    {"step a { inn \"x\" }", "unknown-item"},
    {"models = 3", "forgotten-keyword"},
    {"step a { models = 3 }", "forgotten-keyword"},
    {"run \"x\"", "misplaced"},
    {"step a {\n group b = [] }", "misplaced"},
    {"step a { in \"x\" \"late\" }", "misplaced-text"},
    {"step a {", "unclosed"},
    {"step a {\nstep b {}", "unclosed"},
    {"}", "stray-brace"},
    {"let a =\n", "line-ends-early"},
    {"step a { in x =\n out y = \"z\" }", "line-ends-early"},
    {"step a { param x = 3 }", "value-in-step"},
    {"let a = 1 < 2 < 3", "chained-comparison"},
    {"let if = 3", "reserved-word"},
    {"param a : integer", "unknown-type"},
    {"let a = 5x", "unknown-unit"},
    {"let a = 20000d", "bad-quantity"},
    {"let a = 9223372036854775808", "bad-number"},
    {"let a = \"\\q\"", "bad-escape"},
    {"let a = \"", "unterminated-string"},
    {"let a = \"{{x\n", "unterminated-braces"},
    {"let a = \"{{ 1 + ", "unterminated-braces"},
    {"let a = ;", "unexpected-character"},
    {"let a = \"\xff\"", "bad-encoding"},
    {"let a = \"\xc3", "bad-encoding"},
    {"let a = \"\x1b\"", "control-byte"},
};

static void parse_every_code_is_reachable(void **state)
{
    struct given *g = *state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        diags_init(&g->diags, &g->arena);
        assert_null(file(g, str_from(BAD[i].text)));
        if (g->diags.errors != 1 || strcmp(g->diags.all.at[0].code, BAD[i].code) != 0) {
            fail_msg("%s: %u errors, the first is %s", BAD[i].text, g->diags.errors,
                     g->diags.all.at[0].code);
        }
    }
}

static struct str repeated(struct arena *a, const char *front, const char *unit, size_t n)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    buf_put_str(&b, str_from(front));
    for (size_t i = 0; i < n; i++) {
        buf_put_str(&b, str_from(unit));
    }
    struct str copy = str_copy(a, buf_str(&b));
    buf_free(&b);
    return copy;
}

static void parse_depth_is_bounded(void **state)
{
    struct given *g = *state;
    const char *const units[] = {"[",  "(",  "-",    "not ",         "1 + ",
                                 "a.", "f(", "\"{{", "1 if 2 else ", "a[b="};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        diags_init(&g->diags, &g->arena);
        assert_null(file(g, repeated(&g->arena, "let a = ", units[i], 30000)));
        assert_true(g->diags.errors > 0);
    }
    diags_init(&g->diags, &g->arena);
    assert_null(file(g, repeated(&g->arena, "let a = 1", " + 1", 300)));
    assert_code(g, "too-deep");
    assert_non_null(file(g, repeated(&g->arena, "let a = 1", " + 1", 250)));
    assert_non_null(file(g, repeated(&g->arena, "", "let a = [1, 2]\n", 20000)));
}

static void parse_is_name_knows_reserved_words(void **state)
{
    (void)state;
    const char *const good[] = {"a", "_", "a-b", "run", "in", "a1-2_c", "A"};
    const char *const bad[] = {"",   "1a",   "a-",  "-a",  "a--b",
                               "if", "true", "a.b", "a b", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(parse_is_name(str_from(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(parse_is_name(str_from(bad[i])));
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(parse_names_keep_their_places),      CASE(parse_string_parts_point_into_the_text),
        CASE(parse_commands_are_marked),          CASE(parse_tree_survives_its_text),
        CASE(parse_empty_file_is_no_error),       CASE(parse_expr_takes_one_expression),
        CASE(parse_errors_are_told_once_each),    CASE(parse_warnings_do_not_refuse),
        CASE(parse_every_code_is_reachable),      CASE(parse_depth_is_bounded),
        CASE(parse_is_name_knows_reserved_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
