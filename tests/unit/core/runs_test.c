/* SPDX-License-Identifier: MIT */
/* `.pawl/runs`: what was added is read again, bounded, whatever lines a kill or an editor left in it. */
#include "core/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
    char path[64];
    int dir;
    struct arena arena;
    struct diags d;
};

static void folder_make(struct folder *f)
{
    memset(f, 0, sizeof *f);
    snprintf(f->path, sizeof f->path, "/tmp/pawl-runs-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->dir >= 0);
    diags_init(&f->d, &f->arena);
}

static void folder_drop(struct folder *f)
{
    close(f->dir);
    assert_true(file_remove_tree(FILE_CWD, str_from(f->path)));
    arena_free(&f->arena);
}

static struct state_run *read_all(struct folder *f, uint32_t limit, uint32_t *count)
{
    struct state_run *runs;
    assert_true(runs_read(f->dir, &f->arena, limit, &runs, count, &f->d));
    return runs;
}

static void add_plain(struct folder *f, const char *expected)
{
    struct state_run run = {.pipeline = STR("abalone"), .ran = 1};
    assert_true(runs_add(f->dir, &f->arena, &run, &f->d));
    assert_string_equal(str_c(&f->arena, run.id), expected);
}

static void write_runs(struct folder *f, struct str text)
{
    assert_true(file_write(f->dir, STR("runs"), text, 0600, false));
}

static void runs_come_back_as_they_were(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct record_metric metrics[] = {{STR("mse"), STR("4.2e-1")}, {STR("odd \"name\""), STR("1")}};
    struct record_metric params[] = {{STR("depth"), STR("5")}};
    struct state_run_step steps[] = {
        {.name = STR("train[depth=5]"),
         .result = STR("ran"),
         .reason = STR("param depth: 5 -> 6"),
         .duration_ns = INT64_MAX,
         .price = 0.24,
         .metrics = metrics,
         .metric_count = 2},
        {.name = STR("prep"), .result = STR("restored"), .saved_ns = 7},
    };
    struct state_run run = {.started_ms = 1790000000123,
                            .duration_ns = 5,
                            .pipeline = STR("abalone \xc3\xa9\n"),
                            .targets = STR("train publish"),
                            .params = params,
                            .param_count = 1,
                            .steps = steps,
                            .step_count = 2,
                            .ran = 1,
                            .restored = 2,
                            .up_to_date = 3,
                            .skipped = 4,
                            .failed = 5,
                            .interrupted = true,
                            .saved_ns = 99,
                            .remote = {9, 8, 7, 6, 5, 4, 3, 2, 1}};
    assert_true(runs_add(f.dir, &f.arena, &run, &f.d));
    assert_string_equal(str_c(&f.arena, run.id), "r1");
    add_plain(&f, "r2");
    uint32_t count;
    const struct state_run *got = read_all(&f, 0, &count);
    assert_int_equal(count, 2);
    assert_string_equal(str_c(&f.arena, got[0].id), "r1");
    assert_true(got[0].started_ms == run.started_ms && got[0].duration_ns == 5);
    assert_true(str_eq(got[0].pipeline, run.pipeline) && str_eq(got[0].targets, run.targets));
    assert_int_equal(got[0].ran, 1);
    assert_int_equal(got[0].restored, 2);
    assert_int_equal(got[0].up_to_date, 3);
    assert_int_equal(got[0].skipped, 4);
    assert_int_equal(got[0].failed, 5);
    assert_int_equal(got[0].saved_ns, 99);
    assert_true(got[0].interrupted && !got[1].interrupted);
    assert_memory_equal(&got[0].remote, &run.remote, sizeof run.remote);
    assert_false(event_remote_had_part(&got[1].remote));
    assert_int_equal(got[0].param_count, 1);
    assert_true(str_eq(got[0].params[0].name, STR("depth")));
    assert_int_equal(got[0].step_count, 2);
    const struct state_run_step *train = &got[0].steps[0];
    assert_true(str_eq(train->name, steps[0].name) && str_eq(train->result, steps[0].result));
    assert_true(str_eq(train->reason, steps[0].reason) && train->duration_ns == INT64_MAX);
    assert_true(train->price > 0.239 && train->price < 0.241);
    assert_int_equal(train->metric_count, 2);
    assert_true(str_eq(train->metrics[1].name, metrics[1].name));
    assert_true(str_eq(train->metrics[0].text, metrics[0].text));
    assert_int_equal(got[0].steps[1].saved_ns, 7);
    assert_int_equal(f.d.all.n, 0);
    folder_drop(&f);
}

static void runs_without_a_file_are_none(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    uint32_t count;
    read_all(&f, 0, &count);
    assert_int_equal(count, 0);
    write_runs(&f, STR(""));
    read_all(&f, 0, &count);
    assert_int_equal(count, 0);
    add_plain(&f, "r1");
    folder_drop(&f);
}

static void runs_newest_are_given_oldest_first(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    for (int i = 1; i <= 12; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        add_plain(&f, id);
    }
    uint32_t count;
    const struct state_run *got = read_all(&f, 3, &count);
    assert_int_equal(count, 3);
    assert_string_equal(str_c(&f.arena, got[0].id), "r10");
    assert_string_equal(str_c(&f.arena, got[2].id), "r12");
    folder_drop(&f);
}

static void runs_bad_lines_are_passed_over(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    write_runs(
        &f,
        STR("garbage\n"
            "{\"id\":\"r4\",\"ran\":2,\"steps\":[1,{\"name\":\"a\"}],\"params\":[[1,2],[\"x\"]]}\n"
            "\n\n"
            "{\"id\":17}\n[1]\n{\"id\":\"x9\"}\n{\"id\":\"r\"}\n{\"id\":\"r-3\"}\n"
            "{\"id\":\"r5\",\"ran\":-1,\"steps\":{},\"price\":\"x\"}\n"
            "{\"id\":\"r6\",\"steps\":[{\"name\":\"cut"));
    uint32_t count;
    const struct state_run *got = read_all(&f, 0, &count);
    assert_int_equal(count, 2);
    assert_int_equal(got[0].ran, 2);
    assert_int_equal(got[0].step_count, 1);
    assert_int_equal(got[0].param_count, 0);
    assert_int_equal(got[1].ran, 0);
    add_plain(&f, "r7"); /* the cut line had got its number; it does not swallow the new one */
    got = read_all(&f, 0, &count);
    assert_int_equal(count, 3);
    assert_string_equal(str_c(&f.arena, got[2].id), "r7");
    assert_int_equal(f.d.all.n, 0);
    folder_drop(&f);
}

static void runs_cut_anywhere_can_go_on(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    for (int i = 0; i < 3; i++) {
        struct state_run run = {.pipeline = STR("p"), .targets = STR("t")};
        assert_true(runs_add(f.dir, &f.arena, &run, &f.d));
    }
    struct str whole;
    assert_true(file_read_quiet(&f.arena, f.dir, STR("runs"), 1 << 20, &whole));
    for (size_t n = 0; n <= whole.n; n++) {
        write_runs(&f, str_sub(whole, 0, n));
        uint32_t before;
        read_all(&f, 0, &before);
        struct state_run run = {0};
        assert_true(runs_add(f.dir, &f.arena, &run, &f.d));
        uint32_t after;
        const struct state_run *got = read_all(&f, 0, &after);
        /* A last line that lacks its line break alone is whole again. */
        assert_true(after == before + 1);
        assert_true(str_eq(got[after - 1].id, run.id));
        for (uint32_t i = 0; i + 1 < after; i++) {
            assert_false(str_eq(got[i].id, run.id));
        }
    }
    folder_drop(&f);
}

static void runs_keep_the_newest_by_number(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    for (int i = 1; i <= RUNS_COUNT_LIMIT + 1; i++) {
        buf_printf(&b, "{\"id\":\"r%d\",\"ran\":1}\n", i);
    }
    write_runs(&f, buf_str(&b));
    buf_free(&b);
    add_plain(&f, "r2002");
    uint32_t count;
    const struct state_run *got = read_all(&f, 0, &count);
    assert_int_equal(count, RUNS_KEEP + 1);
    assert_string_equal(str_c(&f.arena, got[0].id), "r1002");
    add_plain(&f, "r2003");
    folder_drop(&f);
}

static void runs_keep_the_newest_by_size(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    char *long_text = arena_alloc(&f.arena, 1 << 20, 1);
    memset(long_text, 'x', 1 << 20);
    for (int i = 1; i <= 17; i++) {
        buf_printf(&b, "{\"id\":\"r%d\",\"targets\":\"%.*s\"}\n", i, 1 << 20, long_text);
    }
    write_runs(&f, buf_str(&b));
    buf_free(&b);
    add_plain(&f, "r18");
    uint32_t count;
    const struct state_run *got = read_all(&f, 0, &count);
    assert_in_range(count, 5, 9);
    assert_string_equal(str_c(&f.arena, got[count - 1].id), "r18");
    struct file_sig sig = file_stat(f.dir, STR("runs"), false);
    assert_true(sig.size <= RUNS_BYTES_LIMIT / 2 + 1000);
    folder_drop(&f);
}

/* A run of very many steps is kept without some of them rather than not at all. */
static void runs_line_is_bounded(void **state)
{
    (void)state;
    enum { STEPS = 100000 };
    struct folder f;
    folder_make(&f);
    struct state_run_step *steps = ARENA_ARRAY(&f.arena, struct state_run_step, STEPS);
    for (uint32_t i = 0; i < STEPS; i++) {
        steps[i].name = STR("a step whose name is not short");
        steps[i].result = STR("ran");
    }
    struct state_run run = {.steps = steps, .step_count = STEPS, .ran = STEPS};
    assert_true(runs_add(f.dir, &f.arena, &run, &f.d));
    add_plain(&f, "r2");
    uint32_t count;
    const struct state_run *got = read_all(&f, 0, &count);
    assert_int_equal(count, 2);
    assert_int_equal(got[0].ran, STEPS);
    assert_in_range(got[0].step_count, 10000, STEPS - 1);
    assert_true(file_stat(f.dir, STR("runs"), false).size < 4 << 20);
    folder_drop(&f);
}

static void runs_that_cannot_be_written_are_told(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    assert_int_equal(mkdirat(f.dir, "runs", 0700), 0);
    struct state_run run = {0};
    assert_false(runs_add(f.dir, &f.arena, &run, &f.d));
    assert_int_equal(f.d.all.n, 1);
    folder_drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_come_back_as_they_were),
        cmocka_unit_test(runs_without_a_file_are_none),
        cmocka_unit_test(runs_newest_are_given_oldest_first),
        cmocka_unit_test(runs_bad_lines_are_passed_over),
        cmocka_unit_test(runs_cut_anywhere_can_go_on),
        cmocka_unit_test(runs_keep_the_newest_by_number),
        cmocka_unit_test(runs_keep_the_newest_by_size),
        cmocka_unit_test(runs_line_is_bounded),
        cmocka_unit_test(runs_that_cannot_be_written_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
