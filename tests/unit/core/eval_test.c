/* SPDX-License-Identifier: MIT */
/* What evaluation looks at outside of the text, and what becomes of it in a graph; by workspaces on disk. */
#include "core/eval.h"
#include "core/value.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A workspace of its own for each test. */
struct workspace {
    char dir[32];
    struct arena arena;
    struct diags diags;
    struct graph graph;
    struct eval_options options;
    struct eval_param params[4];
    char *environment[4];
    struct eval_listing listing;
};

static int setup(void **state)
{
    struct workspace *w = mem_alloc(sizeof *w);
    strncpy(w->dir, "/tmp/eval_test.XXXXXX", sizeof w->dir - 1);
    assert_non_null(mkdtemp(w->dir));
    diags_init(&w->diags, &w->arena);
    w->options.root = open(w->dir, O_RDONLY | O_DIRECTORY);
    w->options.file = STR("Pipelinefile");
    w->options.root_name = STR("here");
    w->options.params = w->params;
    w->options.environment = w->environment;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct workspace *w = *state;
    struct str name = path_basename(str_from(w->dir));
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);
    bool gone = file_remove_tree(tmp, name);
    close(tmp);
    close(w->options.root);
    arena_free(&w->arena);
    mem_free(w);
    return gone ? 0 : -1;
}

static void put(struct workspace *w, const char *path, const char *text)
{
    assert_true(file_make_parents(w->options.root, str_from(path), 0755));
    assert_true(file_write(w->options.root, str_from(path), str_from(text), 0644, false));
}

static bool evaluate(struct workspace *w)
{
    return eval_pipeline(&w->options, &w->arena, &w->graph, &w->diags);
}

static void must_evaluate(struct workspace *w)
{
    if (!evaluate(w)) {
        struct buf b;
        buf_init(&b, BUF_TEXT_LIMIT);
        diags_render(&w->diags, false, &b);
        fail_msg("%s", b.s);
    }
}

static struct str command(struct workspace *w, const char *step)
{
    step_id s = graph_find_step(&w->graph, str_from(step));
    assert_int_not_equal(s.i, GRAPH_NONE);
    assert_int_equal(graph_step(&w->graph, s)->command.late, 0);
    return graph_text(&w->graph, graph_step(&w->graph, s)->command.bytes);
}

static void check_command(struct workspace *w, const char *step, const char *wanted)
{
    struct str got = command(w, step);
    if (!str_eq(got, str_from(wanted))) {
        fail_msg("%s runs '%.*s', not '%s'", step, STR_ARG(got), wanted);
    }
}

/* ---- still current ---- */

static void current_until_the_pipelinefile_changes(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile", "step a { run \"x\" }\n");
    must_evaluate(w);
    assert_true(eval_is_current(&w->graph, &w->options));
    put(w, "Pipelinefile", "step a { run \"x\" }\n"); /* the same text in a new file */
    assert_true(eval_is_current(&w->graph, &w->options));
    put(w, "Pipelinefile", "step a { run \"y\" }\n");
    assert_false(eval_is_current(&w->graph, &w->options));
}

static void current_until_an_included_file_goes(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile", "include \"b.pipeline\"\nparams \"p.yaml\"\n");
    put(w, "b.pipeline", "step a { run \"{{params.x}}\" }\n");
    put(w, "p.yaml", "x: 1\n");
    must_evaluate(w);
    check_command(w, "a", "1");
    assert_true(eval_is_current(&w->graph, &w->options));
    put(w, "p.yaml", "x: 2\n");
    assert_false(eval_is_current(&w->graph, &w->options));
    put(w, "p.yaml", "x: 1\n");
    assert_true(eval_is_current(&w->graph, &w->options));
    assert_true(file_remove(w->options.root, STR("b.pipeline")));
    assert_false(eval_is_current(&w->graph, &w->options));
}

static void current_until_a_pattern_matches_another_file(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile",
        "step a { in x = glob(\"data/*\") out o = \"data/made\" run \"cat {{x}}\" }\n");
    put(w, "data/1", "");
    must_evaluate(w);
    check_command(w, "a", "cat data/1");
    assert_true(eval_is_current(&w->graph, &w->options));
    put(w, "data/made", ""); /* an output is never seen */
    assert_true(eval_is_current(&w->graph, &w->options));
    put(w, "data/2", "");
    assert_false(eval_is_current(&w->graph, &w->options));
}

static void current_until_the_environment_changes(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile",
        "param n = 1\nlet x = env(\"X\", \"none\")\nstep a { run \"{{n}} {{x}}\" }\n");
    char one[] = "X=1", other[] = "Y=1", n[] = "PAWL_PARAM_n=3";
    must_evaluate(w);
    check_command(w, "a", "1 none");
    w->environment[0] = other;
    assert_true(eval_is_current(&w->graph, &w->options));
    w->environment[0] = one;
    assert_false(eval_is_current(&w->graph, &w->options));
    must_evaluate(w);
    check_command(w, "a", "1 1");
    assert_true(eval_is_current(&w->graph, &w->options));
    w->environment[1] = n;
    assert_false(eval_is_current(&w->graph, &w->options));
    must_evaluate(w);
    check_command(w, "a", "3 1");
}

static void current_until_the_options_change(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile", "param n = 1\nstep a { run \"{{n}}\" }\n");
    must_evaluate(w);
    w->params[0] = (struct eval_param){STR("n"), STR("2")};
    w->options.param_count = 1;
    assert_false(eval_is_current(&w->graph, &w->options));
    must_evaluate(w);
    check_command(w, "a", "2");
    w->params[1] = (struct eval_param){STR("n"), STR("4")}; /* the last one wins */
    w->options.param_count = 2;
    assert_false(eval_is_current(&w->graph, &w->options));
    must_evaluate(w);
    check_command(w, "a", "4");
}

/* ---- folders ---- */

static void folder_is_listed_with_all_that_is_below(void **state)
{
    struct workspace *w = *state;
    put(w, "out/b", "");
    put(w, "out/a/2", "");
    put(w, "out/a/1", "");
    put(w, "out/c d", "");
    struct eval_listing l, again;
    assert_true(eval_list_folder(&w->arena, w->options.root, STR("out"), &l));
    assert_int_equal(l.count, 4);
    assert_true(str_eq(l.files[0], STR("a/1")));
    assert_true(str_eq(l.files[3], STR("c d")));
    struct digest x = eval_listing_digest(&l);
    put(w, "out/a/1", "another content is the same listing");
    assert_true(eval_list_folder(&w->arena, w->options.root, STR("out"), &again));
    struct digest y = eval_listing_digest(&again);
    assert_true(digest_eq(&x, &y));
    assert_false(eval_list_folder(&w->arena, w->options.root, STR("none"), &again));
}

static void fan_out_grows_with_its_listing(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile",
        "step split { out d = \"d/\" run \"split {{d}}\" }\n"
        "step work for f in split.d { run \"work {{f}}\" }\n"
        "step all { after work run \"all\" }\n");
    must_evaluate(w);
    step_id work = graph_find_step(&w->graph, STR("work"));
    assert_int_equal(w->graph.steps[work.i].command_kind, GRAPH_COMMAND_PENDING);
    put(w, "d/x y", "");
    assert_true(eval_list_folder(&w->arena, w->options.root, STR("d"), &w->listing));
    w->options.listings = &w->listing;
    w->options.listing_count = 1;
    must_evaluate(w);
    check_command(w, "work[f=\"x y\"]", "work 'd/x y'");
    assert_int_equal(graph_find_step(&w->graph, STR("work")).i, GRAPH_NONE);
}

/* ---- sources ---- */

static void missing_source_is_told_for_wanted_steps(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile",
        "step a { in x = \"data/a.csv\" run \"x\" }\nstep b { in \"data/b.csv\" run \"y\" }\n");
    put(w, "data/a.cvs", "");
    put(w, "data/b.csv", "");
    must_evaluate(w);
    const uint8_t wanted[] = {0, 1};
    assert_true(eval_check_sources(&w->graph, w->options.root, wanted, &w->diags));
    assert_false(eval_check_sources(&w->graph, w->options.root, NULL, &w->diags));
    assert_int_equal(w->diags.all.n, 1);
    assert_string_equal(w->diags.all.at[0].code, "missing-input");
    assert_true(str_eq(w->diags.all.at[0].help, STR("did you mean 'data/a.cvs'?")));
    struct place p = diags_place(&w->diags, w->diags.all.at[0].span);
    assert_int_equal(p.line, 1);
    assert_int_equal(p.column, 17);
}

/* ---- late values ---- */

static bool read_none(void *context, struct str path, struct str *text, struct diags *d)
{
    (void)d;
    *(struct str *)context = path;
    *text = STR("{\"mse\": 4.5}");
    return true;
}

static void late_condition_reads_the_output(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile",
        "step a { out r = \"r.json\" run \"x {{r}}\" }\n"
        "let mse = json(a.r, \"mse\")\n"
        "step b { when mse <= 5 run \"echo {{mse}}\" }\n");
    must_evaluate(w);
    const struct graph_step *b = &w->graph.steps[graph_find_step(&w->graph, STR("b")).i];
    assert_true(b->when.late && b->command.late);
    assert_int_equal(b->inputs.n, 0);
    assert_int_equal(b->needs.n, 1);
    struct str asked = STR_NONE;
    struct value_reader reader = {.context = &asked, .read = read_none};
    struct value v;
    assert_true(value_late_evaluate(&w->arena, graph_text(&w->graph, b->when.bytes), &reader, &v,
                                    &w->diags));
    assert_true(v.kind == VALUE_BOOL && v.boolean);
    assert_true(str_eq(asked, STR("r.json")));
    assert_true(value_late_evaluate(&w->arena, graph_text(&w->graph, b->command.bytes), &reader, &v,
                                    &w->diags));
    assert_true(str_eq(v.text, STR("echo 4.5")));
}

/* ---- size ---- */

static void many_instances_take_linear_time(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile",
        "step a for i in range(0, 20000) {\n"
        "  in before = a[i=i - 1].o if i > 0 else \"seed\"\n"
        "  out o = \"o/{{i}}\"\n"
        "  run \"x {{before}} {{o}}\"\n}\n"
        "step all { in a[*].o run \"x\" }\n");
    must_evaluate(w);
    assert_int_equal(w->graph.step_count, 20001);
    check_command(w, "a[i=19999]", "x o/19998 o/19999");
    assert_int_equal(w->graph.steps[20000].inputs.n, 20000);
}

static void too_many_instances_are_an_error(void **state)
{
    struct workspace *w = *state;
    put(w, "Pipelinefile",
        "step a for i in range(0, 2000) for j in range(0, 2000) { run \"x\" }\n");
    assert_false(evaluate(w));
    assert_string_equal(w->diags.all.at[0].code, "too-many-steps");
}

static void deep_definitions_are_an_error(void **state)
{
    struct workspace *w = *state;
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    for (int i = 0; i < 20000; i++) {
        buf_printf(&b, "let a%d = a%d + 1\n", i, i + 1);
    }
    buf_put_str(&b, STR("let a20000 = 1\nstep s { run \"{{a0}}\" }\n"));
    put(w, "Pipelinefile", b.s);
    buf_free(&b);
    assert_false(evaluate(w));
    assert_string_equal(w->diags.all.at[0].code, "too-deep");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(current_until_the_pipelinefile_changes),
        TEST(current_until_an_included_file_goes),
        TEST(current_until_a_pattern_matches_another_file),
        TEST(current_until_the_environment_changes),
        TEST(current_until_the_options_change),
        TEST(folder_is_listed_with_all_that_is_below),
        TEST(fan_out_grows_with_its_listing),
        TEST(missing_source_is_told_for_wanted_steps),
        TEST(late_condition_reads_the_output),
        TEST(many_instances_take_linear_time),
        TEST(too_many_instances_are_an_error),
        TEST(deep_definitions_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
