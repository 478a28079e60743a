/* SPDX-License-Identifier: MIT */
/* Which byte of a far pack goes where: each that is wanted once, no file larger than a pack but the last. */
#include "cache/far_layout.h"

#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

#define MIB (UINT64_C(1) << 20)

static struct pack_run run(uint8_t pack, uint64_t offset, uint64_t length, uint32_t count)
{
    return (struct pack_run){{{pack}}, offset, length, count};
}

static void runs_that_touch_are_one(void **state)
{
    (void)state;
    struct arena a = {0};
    struct far_layout l;
    const struct pack_run runs[] = {run(2, 8, 10, 1),  run(1, 50, 10, 2), run(1, 8, 20, 3),
                                    run(1, 28, 12, 1), run(1, 30, 25, 4), run(1, 90, 5, 1)};
    far_layout_make(&a, runs, 6, FAR_LAYOUT_FILES, &l);
    assert_int_equal(l.span_count, 3);
    assert_int_equal(l.spans[0].offset, 8);
    assert_int_equal(l.spans[0].length, 52);
    assert_int_equal(l.spans[0].at, PACK_HEAD);
    assert_int_equal(l.spans[1].offset, 90);
    assert_int_equal(l.spans[1].at, PACK_HEAD + 52);
    assert_int_equal(l.spans[2].at, PACK_HEAD + 57);
    assert_int_equal(l.file_count, 1);
    assert_int_equal(l.files[0].bytes, PACK_HEAD + 67);
    assert_int_equal(l.files[0].entries, 12);
    assert_int_equal(far_layout_find(&l, &runs[2].pack, 8), 0);
    assert_int_equal(far_layout_find(&l, &runs[2].pack, 59), 0);
    assert_int_equal(far_layout_find(&l, &runs[2].pack, 60), 1);
    assert_int_equal(far_layout_find(&l, &runs[0].pack, 0), 2);
    assert_int_equal(far_layout_find(&l, &runs[0].pack, 18), 3);
    arena_free(&a);
}

static void runs_of_no_use_are_left_out(void **state)
{
    (void)state;
    struct arena a = {0};
    struct far_layout l;
    const struct pack_run runs[] = {run(1, 8, 0, 3), run(1, 8, 5, 0), run(1, PACK_LIMIT, 1, 1),
                                    run(1, UINT64_MAX, 2, 1), run(1, 9, UINT64_MAX, 1)};
    far_layout_make(&a, runs, 5, FAR_LAYOUT_FILES, &l);
    assert_int_equal(l.span_count, 0);
    assert_int_equal(l.file_count, 0);
    arena_free(&a);
}

static void what_is_too_much_for_packs_is_loose(void **state)
{
    (void)state;
    enum { RUNS = 2 * FAR_LAYOUT_FILES + 100 };
    struct arena a = {0};
    struct far_layout l;
    struct pack_run *runs = ARENA_ARRAY(&a, struct pack_run, RUNS);
    for (uint32_t i = 0; i < RUNS; i++) {
        runs[i] = run(0, 8, 15 * MIB, UINT32_MAX);
        memcpy(runs[i].pack.b + 1, &i, sizeof i);
    }
    far_layout_make(&a, runs, RUNS, FAR_LAYOUT_FILES, &l);
    assert_int_equal(l.span_count, RUNS);
    assert_int_equal(l.file_count, FAR_LAYOUT_FILES + 1);
    uint64_t entries = 0;
    for (uint32_t i = 0; i < FAR_LAYOUT_FILES; i++) {
        assert_false(l.files[i].loose);
        assert_int_equal(l.files[i].count, 2);
        assert_true(l.files[i].bytes <= PACK_LIMIT);
        entries += l.files[i].entries;
    }
    assert_true(l.files[FAR_LAYOUT_FILES].loose);
    assert_int_equal(l.files[FAR_LAYOUT_FILES].count, 100);
    assert_true(entries <= FAR_LAYOUT_ENTRIES);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_that_touch_are_one),
        cmocka_unit_test(runs_of_no_use_are_left_out),
        cmocka_unit_test(what_is_too_much_for_packs_is_loose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
