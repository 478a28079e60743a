/* SPDX-License-Identifier: MIT */
/* Order, circles, selection, and the image: written, mapped, damaged. */
#include "core/graph.h"
#include "core/graph_image.h"
#include "core/graph_name.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A draft with steps that wait for each other as told. */
struct fixture {
    struct arena arena;
    struct diags diags;
    struct graph_draft draft;
};

static void begin(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    diags_init(&f->diags, &f->arena);
    graph_draft_init(&f->draft, &f->arena);
    *VEC_PUSH(&f->arena, &f->draft.sources) = graph_draft_text(&f->draft, STR("Pipelinefile"));
}

static void end(struct fixture *f)
{
    graph_draft_free(&f->draft);
    arena_free(&f->arena);
}

static uint32_t add_step(struct fixture *f, const char *name, const char *base, const char *output)
{
    struct graph_draft *g = &f->draft;
    uint32_t number = g->steps.n;
    struct graph_step *s = VEC_PUSH(&f->arena, &g->steps);
    *s = (struct graph_step){.pending = GRAPH_NONE, .pool = GRAPH_NONE, .executor = GRAPH_NONE};
    s->command_kind = GRAPH_COMMAND_SHELL;
    s->name = graph_draft_text(g, str_from(name));
    s->base = graph_draft_text(g, str_from(base));
    s->needs.first = g->edges.n;
    s->outputs = (struct grange){g->outputs.n, output != NULL};
    if (output) {
        struct graph_file *file = VEC_PUSH(&f->arena, &g->files);
        *file = (struct graph_file){.producer = number, .inside = GRAPH_NONE};
        file->path = graph_draft_text(g, str_from(output));
        struct graph_output *o = VEC_PUSH(&f->arena, &g->outputs);
        o->file.i = g->files.n - 1;
    }
    return number;
}

/* Of the step added last. */
static void add_need(struct fixture *f, uint32_t on)
{
    struct graph_edge *e = VEC_PUSH(&f->arena, &f->draft.edges);
    *e = (struct graph_edge){{on}, GRAPH_NEED};
    f->draft.steps.at[f->draft.steps.n - 1].needs.n++;
}

/* prep, train[d=1], train[d=2.0,…], pick; pick waits for all. */
static bool make(struct fixture *f, struct graph *g)
{
    begin(f);
    uint32_t prep = add_step(f, "prep", "prep", "build/prep");
    uint32_t one = add_step(f, "train[d=1,tag=a]", "train", "build/1");
    add_need(f, prep);
    uint32_t two = add_step(f, "train[d=2.0,tag=\"b,]\\\"\"]", "train", "build/2");
    add_need(f, prep);
    add_step(f, "lib.pick", "lib.pick", "out/dir");
    add_need(f, one);
    add_need(f, two);
    uint32_t *n = VEC_PUSH(&f->arena, &f->draft.numbers);
    *n = two;
    struct graph_group *group = VEC_PUSH(&f->arena, &f->draft.groups);
    group->name = graph_draft_text(&f->draft, STR("some"));
    group->steps = (struct grange){0, 1};
    return graph_finish(&f->draft, &f->arena, g, &f->diags);
}

static void order_puts_each_step_behind_its_needs(void **state)
{
    (void)state;
    struct fixture f;
    struct graph g;
    begin(&f);
    add_step(&f, "last", "last", NULL);
    add_need(&f, 2);
    add_step(&f, "first", "first", NULL);
    add_step(&f, "middle", "middle", NULL);
    add_need(&f, 1);
    assert_true(graph_finish(&f.draft, &f.arena, &g, &f.diags));
    assert_int_equal(g.order[0], 1);
    assert_int_equal(g.order[1], 2);
    assert_int_equal(g.order[2], 0);
    assert_int_equal(g.steps[1].dependents.n, 1);
    assert_int_equal(g.back_edges[g.steps[1].dependents.first].step.i, 2);
    end(&f);
}

static void circle_is_named_whole(void **state)
{
    (void)state;
    struct fixture f;
    struct graph g;
    begin(&f);
    add_step(&f, "a", "a", NULL);
    add_need(&f, 1);
    add_step(&f, "b", "b", NULL);
    add_need(&f, 2);
    add_step(&f, "c", "c", NULL);
    add_need(&f, 1);
    assert_false(graph_finish(&f.draft, &f.arena, &g, &f.diags));
    assert_string_equal(f.diags.all.at[0].code, "step-cycle");
    assert_true(str_eq(f.diags.all.at[0].message, STR("step 'b' needs itself: b -> c -> b")));
    end(&f);
}

static void long_chain_needs_no_stack(void **state)
{
    (void)state;
    struct fixture f;
    struct graph g;
    begin(&f);
    enum { LENGTH = 200000 };
    for (uint32_t i = 0; i < LENGTH; i++) {
        const char *name = str_printf(&f.arena, "s%u", i).s;
        add_step(&f, name, name, NULL);
        if (i + 1 < LENGTH) {
            add_need(&f, i + 1);
        }
    }
    assert_true(graph_finish(&f.draft, &f.arena, &g, &f.diags));
    assert_int_equal(g.order[0], LENGTH - 1);
    end(&f);
}

static void steps_and_files_are_found_by_name(void **state)
{
    (void)state;
    struct fixture f;
    struct graph g;
    assert_true(make(&f, &g));
    assert_int_equal(graph_find_step(&g, STR("train[d=1,tag=a]")).i, 1);
    assert_int_equal(graph_find_step(&g, STR("train")).i, GRAPH_NONE);
    assert_int_equal(graph_find_file(&g, STR("build/2")).i, 2);
    assert_int_equal(graph_find_file(&g, STR("build/3")).i, GRAPH_NONE);
    end(&f);
}

static void check_select(const struct graph *g, const char *target, uint32_t count, uint32_t first)
{
    struct arena a = {0};
    struct diags d;
    diags_init(&d, &a);
    struct step_list list = {.arena = &a};
    struct str t = str_from(target);
    bool good = graph_select(g, &t, 1, &list, &d);
    if (good != (count > 0) || list.n != count || (count && list.at[0].i != first)) {
        fail_msg("target %s: %u steps", target, list.n);
    }
    assert_true(good || !strcmp(d.all.at[0].code, "unknown-target"));
    arena_free(&a);
}

static void targets_mean_steps(void **state)
{
    (void)state;
    struct fixture f;
    struct graph g;
    assert_true(make(&f, &g));
    check_select(&g, "prep", 1, 0);
    check_select(&g, "train", 2, 1);
    check_select(&g, "train[*]", 2, 1);
    check_select(&g, "train[d=2]", 1, 2); /* as a number */
    check_select(&g, "train[tag=\"b,]\\\"\"]", 1, 2);
    check_select(&g, "train[ tag=a , d=1 ]", 1, 1);
    check_select(&g, "train[d=1,tag=a]", 1, 1);
    check_select(&g, "some", 1, 2);
    check_select(&g, "lib", 1, 3);
    check_select(&g, "lib.pick", 1, 3);
    check_select(&g, "build//2", 1, 2);
    check_select(&g, "out/dir/", 1, 3);
    check_select(&g, "out/dir/below/it", 1, 3);
    check_select(&g, "train[d=3]", 0, 0);
    check_select(&g, "train[x=1]", 0, 0);
    check_select(&g, "train[d", 0, 0);
    check_select(&g, "trian", 0, 0);
    check_select(&g, "", 0, 0);
    end(&f);
}

static void no_target_is_every_step_once(void **state)
{
    (void)state;
    struct fixture f;
    struct graph g;
    assert_true(make(&f, &g));
    struct step_list list = {.arena = &f.arena};
    assert_true(graph_select(&g, NULL, 0, &list, &f.diags));
    assert_int_equal(list.n, 4);
    struct str again = STR("train");
    assert_true(graph_select(&g, &again, 1, &list, &f.diags));
    assert_int_equal(list.n, 4);
    end(&f);
}

static void nearest_target_is_offered(void **state)
{
    (void)state;
    struct fixture f;
    struct graph g;
    assert_true(make(&f, &g));
    struct step_list list = {.arena = &f.arena};
    struct str t = STR("trian");
    assert_false(graph_select(&g, &t, 1, &list, &f.diags));
    assert_true(str_eq(f.diags.all.at[0].help, STR("did you mean 'train'?")));
    end(&f);
}

static void image_is_written_and_mapped(void **state)
{
    (void)state;
    struct fixture f;
    struct graph g, h;
    assert_true(make(&f, &g));
    char dir[] = "/tmp/graph_test.XXXXXX";
    assert_non_null(mkdtemp(dir));
    int root = open(dir, O_RDONLY | O_DIRECTORY);
    assert_false(graph_open(&h, root, STR("graph")));
    assert_true(graph_write(&g, root, STR("graph")));
    assert_true(graph_open(&h, root, STR("graph")));
    assert_true(h.mapped);
    assert_int_equal(h.step_count, 4);
    assert_int_equal(graph_find_step(&h, STR("lib.pick")).i, 3);
    assert_true(str_eq(graph_path(&h, h.outputs[1].file), STR("build/1")));
    graph_close(&h);
    graph_close(&h);
    assert_int_equal(unlinkat(root, "graph", 0), 0);
    close(root);
    assert_int_equal(rmdir(dir), 0);
    end(&f);
}

/* Whatever the bytes, reading them says yes or no; said yes, all of it can be walked. */
static void walk(const struct graph *g)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < g->step_count; i++) {
        const struct graph_step *s = &g->steps[i];
        sum += graph_text(g, s->name).n;
        for (uint32_t k = 0; k < s->needs.n; k++) {
            sum += g->steps[g->edges[s->needs.first + k].step.i].name.n;
        }
        for (uint32_t k = 0; k < s->outputs.n; k++) {
            sum += graph_path(g, g->outputs[s->outputs.first + k].file).n;
        }
    }
    assert_true(sum < SIZE_MAX);
}

static void damaged_image_is_refused_or_harmless(void **state)
{
    (void)state;
    struct fixture f;
    struct graph g, h;
    assert_true(make(&f, &g));
    size_t n = g.image_bytes;
    char *copy = mem_alloc(n);
    uint32_t random = 1, refused = 0, taken = 0;
    for (uint32_t round = 0; round < 10000; round++) {
        memcpy(copy, g.image, n);
        for (uint32_t k = 0; k < 1 + round % 3; k++) {
            random = random * 1664525 + 1013904223;
            copy[(random >> 8) % n] = (char)(random >> 3);
        }
        graph_image_seal(copy, n); /* as one who knows the checksum would */
        if (graph_image_read(copy, n, &h)) {
            walk(&h);
            taken++;
        } else {
            refused++;
        }
    }
    assert_true(refused > 1000);
    assert_true(taken > 0);
    memcpy(copy, g.image, n);
    graph_image_seal(copy, n);
    for (size_t cut = 0; cut < n; cut += 8) {
        assert_false(graph_image_read(copy, cut, &h));
    }
    assert_true(graph_image_read(copy, n, &h));
    copy[n - 1] = (char)(copy[n - 1] + 1); /* without a new checksum */
    assert_false(graph_image_read(copy, n, &h));
    mem_free(copy);
    end(&f);
}

static void names_are_quoted_and_read_back(void **state)
{
    (void)state;
    static const char *const values[] = {"5",  "a b", "x,y",  "]", "=",  "\"",
                                         "\\", "",    "a\nb", "ü", "a\\"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct arena a = {0};
        struct buf b;
        buf_init(&b, 1000);
        buf_put_str(&b, STR("s[k="));
        graph_name_put_value(&b, str_from(values[i]));
        buf_put_str(&b, STR(",l=1]"));
        struct str base;
        struct graph_keys keys;
        bool has;
        assert_true(graph_name_parse(&a, buf_str(&b), &base, &keys, &has));
        assert_true(has && keys.n == 2 && str_eq(base, STR("s")));
        assert_true(str_eq(keys.at[0].value, str_from(values[i])));
        buf_free(&b);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_puts_each_step_behind_its_needs),
        cmocka_unit_test(circle_is_named_whole),
        cmocka_unit_test(long_chain_needs_no_stack),
        cmocka_unit_test(steps_and_files_are_found_by_name),
        cmocka_unit_test(targets_mean_steps),
        cmocka_unit_test(no_target_is_every_step_once),
        cmocka_unit_test(nearest_target_is_offered),
        cmocka_unit_test(image_is_written_and_mapped),
        cmocka_unit_test(damaged_image_is_refused_or_harmless),
        cmocka_unit_test(names_are_quoted_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
