/* SPDX-License-Identifier: MIT */
/* The index of segments that strangers wrote: whatever they hold, each thing in them costs a few steps. */
#include "cache/view.h"
#include "core/base/file.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

enum { MANY = 100000, STEPS_EACH = 8 };

struct scene {
    struct arena arena;
    struct view view;
    uint32_t segments;
};

static int begin(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    view_init(&s->view);
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct scene *s = *state;
    view_free(&s->view);
    arena_free(&s->arena);
    free(s);
    return 0;
}

static void take(struct scene *s, struct segment_draft *d)
{
    struct buf bytes;
    struct segment segment;
    char name[SEGMENT_NAME];
    buf_init(&bytes, SEGMENT_STORED_LIMIT + SEGMENT_HEADER);
    assert_true(segment_draft_write(d, &bytes));
    assert_int_equal(segment_read(buf_str(&bytes), &segment), SEGMENT_GOOD);
    struct depot_entry e = {segment_key(1, s->segments++, name), bytes.n, 1};
    view_add(&s->view, &e, SEGMENT_GOOD, &segment);
    buf_free(&bytes);
    segment_draft_free(d);
}

static struct digest fingerprint(uint32_t i)
{
    return digest_of(&i, sizeof i);
}

static struct str row_of(struct scene *s, const struct digest *fingerprint, int64_t ms)
{
    struct record r = {.fingerprint = *fingerprint, .success_ms = ms};
    struct buf row;
    buf_init(&row, RECORD_BYTES_LIMIT);
    assert_true(record_put(&row, &r));
    struct str text = str_copy(&s->arena, buf_str(&row));
    buf_free(&row);
    return text;
}

static void take_rows(struct scene *s, const struct str *rows, uint32_t count)
{
    struct segment_draft d;
    struct buf block;
    segment_draft_init(&d);
    buf_init(&block, SEGMENT_RAW_LIMIT);
    segment_block_put(&block, STR("me"), 1, rows, count);
    segment_draft_add_block(&d, buf_str(&block));
    buf_free(&block);
    take(s, &d);
}

static struct pack_id pack(uint32_t i)
{
    struct pack_id id = {{0}};
    memcpy(id.b, &i, sizeof i);
    return id;
}

static struct ref root_of(uint32_t i)
{
    return (struct ref){REF_BLOB, 7, fingerprint(i)};
}

static void expect_few_steps(const struct scene *s, uint64_t items)
{
    assert_true(s->view.steps <= STEPS_EACH * items);
}

/* ---- rows ---- */

static void rows_of_one_fingerprint_cost_a_few_steps_each(void **state)
{
    struct scene *s = *state;
    struct digest fp = fingerprint(1);
    struct str *rows = ARENA_ARRAY(&s->arena, struct str, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        rows[i] = row_of(s, &fp, i + 1);
    }
    take_rows(s, rows, MANY);
    take_rows(s, rows, MANY); /* doubled: a retry */
    assert_int_equal(s->view.rows.n, MANY);
    expect_few_steps(s, 2 * MANY);
    struct view_found *found;
    assert_int_equal(view_find_all(&s->view, &fp, &s->arena, &found), MANY);
    for (uint32_t i = 0; i < MANY; i++) { /* newest first */
        assert_true(str_eq(found[i].row, rows[MANY - 1 - i]));
        assert_ptr_equal(found[i].block, &s->view.segments[0]->segment.blocks.at[0]);
    }
}

static void rows_of_many_fingerprints_cost_a_few_steps_each(void **state)
{
    struct scene *s = *state;
    struct str *rows = ARENA_ARRAY(&s->arena, struct str, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        struct digest fp = fingerprint(i);
        rows[i] = row_of(s, &fp, 1);
    }
    take_rows(s, rows, MANY);
    expect_few_steps(s, MANY);
    for (uint32_t i = 0; i < MANY; i += 997) {
        struct str *found;
        struct digest fp = fingerprint(i);
        assert_int_equal(view_find_rows(&s->view, &fp, &s->arena, &found), 1);
        assert_true(str_eq(found[0], rows[i]));
    }
    struct digest none = fingerprint(MANY);
    struct str *found;
    assert_int_equal(view_find_rows(&s->view, &none, &s->arena, &found), 0);
}

static void a_row_knows_its_block(void **state)
{
    struct scene *s = *state;
    struct digest fp = fingerprint(1);
    struct segment_draft d;
    segment_draft_init(&d);
    for (int64_t i = 1; i <= 3; i++) {
        struct str row = row_of(s, &fp, i);
        struct buf block;
        buf_init(&block, SEGMENT_RAW_LIMIT);
        segment_block_put(&block, STR("me"), 100 + i, &row, 1);
        segment_draft_add_block(&d, buf_str(&block));
        buf_free(&block);
    }
    take(s, &d);
    struct view_found *found;
    assert_int_equal(view_find_all(&s->view, &fp, &s->arena, &found), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(found[i].block->made_ms, 103 - i);
    }
}

/* One row under as many names as there are blocks: none of them may hide another, nor be dear. */
static void row_under_many_names_costs_a_few_steps_each(void **state)
{
    enum { NAMES = 20000 };
    struct scene *s = *state;
    struct digest fp = fingerprint(1);
    struct str row = row_of(s, &fp, 1);
    struct segment_draft d;
    segment_draft_init(&d);
    for (uint32_t i = 0; i <= NAMES; i++) {
        struct buf block;
        buf_init(&block, SEGMENT_RAW_LIMIT);
        segment_block_put(&block, STR("me"), 1, &row, 1);
        if (i > 0) {
            memcpy(block.s + 12, "somebody's", 10);
            memcpy(block.s + block.n - sizeof i, &i, sizeof i);
        }
        segment_draft_add_block(&d, buf_str(&block));
        buf_free(&block);
    }
    take(s, &d);
    expect_few_steps(s, NAMES);
    struct view_found *found;
    struct str *rows;
    assert_int_equal(view_find_all(&s->view, &fp, &s->arena, &found), NAMES + 1);
    assert_true(segment_block_is_signed(found[0].block));
    assert_false(segment_block_is_signed(found[NAMES].block));
    assert_int_equal(view_find_rows(&s->view, &fp, &s->arena, &rows), 1);
}

/* ---- places ---- */

static void take_places(struct scene *s, uint32_t count, bool same_pack)
{
    struct segment_draft d;
    segment_draft_init(&d);
    for (uint32_t i = 0; i < count; i++) {
        struct pack_run run = {pack(same_pack ? 0 : i), 8 + i, 100, 1};
        segment_draft_add_place(&d, &(struct pack_place){root_of(1), &run, 1});
    }
    take(s, &d);
}

static void places_of_one_root_cost_a_few_steps_each(void **state)
{
    struct scene *s = *state;
    take_places(s, MANY, true);
    take_places(s, MANY, true);
    take_places(s, MANY, false);
    assert_int_equal(s->view.places.n,
                     2 * MANY - 1); /* the first of the last is one of the others */
    expect_few_steps(s, 3 * MANY);
    struct ref root = root_of(1);
    struct pack_place *found;
    assert_int_equal(view_find_places(&s->view, &root, VIEW_PLACES_ALL, &s->arena, &found),
                     2 * MANY - 1);
    assert_int_equal(view_find_places(&s->view, &root, VIEW_PLACES_FEW, &s->arena, &found),
                     VIEW_PLACES_FEW);
    assert_int_equal(found[0].runs[0].offset, 8 + MANY - 1); /* the newest */
}

static void who_reads_a_few_places_is_given_no_endless_one(void **state)
{
    struct scene *s = *state;
    struct segment_draft d;
    struct pack_run *runs = ARENA_ARRAY(&s->arena, struct pack_run, VIEW_RUNS_FEW);
    segment_draft_init(&d);
    for (uint32_t i = 0; i < VIEW_RUNS_FEW; i++) {
        runs[i] = (struct pack_run){pack(1), 8 + UINT64_C(9) * i, 5, 1};
    }
    segment_draft_add_place(&d, &(struct pack_place){root_of(1), runs, VIEW_RUNS_FEW});
    segment_draft_add_place(&d, &(struct pack_place){root_of(1), runs, 1});
    take(s, &d);
    struct ref root = root_of(1);
    struct pack_place *found;
    assert_int_equal(view_find_places(&s->view, &root, VIEW_PLACES_FEW, &s->arena, &found), 1);
    assert_int_equal(found[0].run_count, 1);
    assert_int_equal(view_find_places(&s->view, &root, VIEW_PLACES_ALL, &s->arena, &found), 2);
}

static void condemned_places_stand_behind_sound_ones(void **state)
{
    struct scene *s = *state;
    struct segment_draft d;
    take_places(s, 3, false);
    struct ref root = root_of(1);
    struct pack_place place;
    assert_true(view_find_sound_place(&s->view, &root, &s->arena, &place));
    segment_draft_init(&d);
    segment_draft_add_condemned(&d, &(struct segment_condemned){pack(1), 0});
    segment_draft_add_condemned(&d, &(struct segment_condemned){pack(2), 0});
    take(s, &d);
    struct pack_place *found;
    assert_int_equal(view_find_places(&s->view, &root, VIEW_PLACES_ALL, &s->arena, &found), 3);
    struct pack_id sound = pack(0);
    assert_true(pack_id_eq(&found[0].runs[0].pack, &sound));
    assert_true(view_place_is_condemned(&s->view, &found[1]));
    assert_true(view_find_sound_place(&s->view, &root, &s->arena, &place));
    segment_draft_init(&d);
    segment_draft_add_condemned(&d, &(struct segment_condemned){pack(0), 0});
    take(s, &d);
    assert_false(view_find_sound_place(&s->view, &root, &s->arena, &place));
}

static void forgotten_segments_leave_no_trace(void **state)
{
    struct scene *s = *state;
    struct digest fp = fingerprint(1);
    struct str rows[2] = {row_of(s, &fp, 1), row_of(s, &fp, 2)};
    take_rows(s, rows, 1);
    take_rows(s, rows + 1, 1);
    take_places(s, 2, false);
    uint64_t items = s->view.items;
    assert_int_equal(items, 4);
    s->view.segments[0]->listed = false;
    s->view.segments[2]->listed = false;
    assert_int_equal(view_forget_unlisted(&s->view), 2);
    struct str *found;
    struct pack_place *places;
    struct ref root = root_of(1);
    assert_int_equal(view_find_rows(&s->view, &fp, &s->arena, &found), 1);
    assert_true(str_eq(found[0], rows[1]));
    assert_int_equal(view_find_places(&s->view, &root, VIEW_PLACES_ALL, &s->arena, &places), 0);
    assert_int_equal(s->view.items, 1);
    assert_int_equal(s->view.raw_bytes, s->view.segments[0]->segment.payload_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(rows_of_one_fingerprint_cost_a_few_steps_each),
        TEST(rows_of_many_fingerprints_cost_a_few_steps_each),
        TEST(a_row_knows_its_block),
        TEST(row_under_many_names_costs_a_few_steps_each),
        TEST(places_of_one_root_cost_a_few_steps_each),
        TEST(who_reads_a_few_places_is_given_no_endless_one),
        TEST(condemned_places_stand_behind_sound_ones),
        TEST(forgotten_segments_leave_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
