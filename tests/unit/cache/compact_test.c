/* SPDX-License-Identifier: MIT */
/* Merging segments, step by step, on a place in memory with a clock of its own. */
#include "tests/unit/cache/clients.h"

static const struct cache_gc_options PLAIN = {0};

static void segments_become_one_and_nothing_is_lost(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 3000);
    put_result(s, &s->one, "b", 3000);
    put_result(s, &s->one, "c", 3000);
    assert_true(merge(s, &s->two, true));
    assert_int_equal(mem_count(&s->place, STR("m/")), 3); /* too young */
    mem_pass(&s->place, 11 * MINUTE_MS);
    put_result(s, &s->one, "d", 3000);
    assert_true(merge(s, &s->two, true));
    assert_int_equal(mem_count(&s->place, STR("m/")), 2);
    assert_true(has_record(s, "a") && has_record(s, "c") && has_record(s, "d"));
    assert_true(readable(s, "a", 3000) && readable(s, "b", 3000));
    struct str *rows; /* and the one who merged still sees them */
    struct digest fp = digest_of("b", 1);
    assert_int_equal(view_find_rows(&s->two.manifest.view, &fp, &s->arena, &rows), 1);
}

static void old_records_leave_their_leaf(void **state)
{
    struct scene *s = *state;
    s->older_ms = 20 * DAY_MS;
    add(s, &s->one, "old", 3000);
    s->older_ms = 0;
    add(s, &s->one, "new", 3000);
    assert_true(publish(s, &s->one));
    mem_pass(&s->place, 11 * DAY_MS);
    put_result(s, &s->one, "newer", 3000);
    mem_pass(&s->place, HOUR_MS);
    assert_true(merge(s, &s->two, true));
    assert_int_equal(mem_count(&s->place, STR("m/")), 1);
    assert_true(has_record(s, "new") && has_record(s, "newer"));
    assert_false(has_record(s, "old"));
    struct client c;
    client_begin(&c, &s->place);
    assert_true(manifest_sync(&c.manifest, true, &s->notes));
    uint32_t items = 0;
    const struct segment *heir = &c.manifest.view.segments[0]->segment;
    for (uint32_t i = 0; i < heir->blocks.n; i++) {
        items += heir->blocks.at[i].items;
    }
    assert_int_equal(items, 3); /* the signature still covers it */
    assert_int_equal(heir->rows.n, 2);
    client_end(&c);
}

static void condemnation_is_inherited_with_its_time(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 3000);
    mem_pass(&s->place, 31 * DAY_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).condemned, 1);
    int64_t since = s->place.now_ms;
    mem_pass(&s->place, HOUR_MS);
    put_result(s, &s->one, "b", 3000);
    mem_pass(&s->place, HOUR_MS);
    assert_true(merge(s, &s->one, true));
    assert_int_equal(mem_count(&s->place, STR("m/")), 1);
    struct client c;
    client_begin(&c, &s->place);
    assert_true(manifest_sync(&c.manifest, true, &s->notes));
    const struct segment *heir = &c.manifest.view.segments[0]->segment;
    assert_int_equal(heir->condemned.n, 1);
    assert_int_equal(heir->condemned.at[0].since_ms, since);
    client_end(&c);
    mem_pass(&s->place, 23 * HOUR_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).dropped, 1);
}

static void condemnation_is_forgotten_when_nothing_can_name_its_pack(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 3000);
    mem_pass(&s->place, 31 * DAY_MS);
    for (int day = 0; day < 12; day++) {
        mem_pass(&s->place, DAY_MS);
        collect(s, &s->two, PLAIN);
    }
    assert_int_equal(mem_count(&s->place, STR("p/")), 0);
    assert_int_equal(mem_count(&s->place, STR("m/")), 0);
}

static void put_many(struct scene *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "many-%u", i);
        put_result(s, &s->one, name, 100);
    }
}

static void one_end_of_sixteen_merges_many(void **state)
{
    struct scene *s = *state;
    struct manifest *m = &s->two.manifest;
    put_many(s, COMPACT_MANY);
    mem_pass(&s->place, 11 * MINUTE_MS);
    assert_true(manifest_sync(m, true, &s->notes));
    for (int i = 0; i < 1000; i++) {
        assert_false(compact_is_due(m)); /* not enough of them */
    }
    put_result(s, &s->one, "one more", 100);
    assert_true(manifest_sync(m, true, &s->notes));
    for (int i = 0; i < 1000; i++) {
        assert_false(compact_is_due(m)); /* it is too young */
    }
    mem_pass(&s->place, 11 * MINUTE_MS);
    assert_true(manifest_sync(m, true, &s->notes));
    uint32_t due = 0;
    for (int i = 0; i < 1600; i++) {
        due += compact_is_due(m);
    }
    assert_true(due > 50 && due < 200);
    assert_true(compact_held(m, COMPACT_SMALL_ONES, &s->notes));
    assert_int_equal(mem_count(&s->place, STR("m/")), 1);
    assert_false(compact_is_due(m));
    assert_true(readable(s, "many-0", 100) && readable(s, "one more", 100));
}

/* Its time is up in the middle of the drops. */
static void die_at_the_fortieth_drop(void *context, struct mem_handle *h, enum mem_op op,
                                     struct str key)
{
    int *left = context;
    (void)key;
    h->dead |= op == MEM_DROP && --*left < 0;
}

static void merging_that_was_cut_short_is_gone_on_with(void **state)
{
    struct scene *s = *state;
    int left = 40;
    put_many(s, 100);
    mem_pass(&s->place, 11 * MINUTE_MS);
    assert_true(manifest_sync(&s->two.manifest, true, &s->notes));
    s->two.handle.before = die_at_the_fortieth_drop;
    s->two.handle.context = &left;
    (void)compact_held(&s->two.manifest, COMPACT_SMALL_ONES, &s->notes);
    assert_int_equal(mem_count(&s->place, STR("m/")), 61);
    assert_true(readable(s, "many-0", 100) && readable(s, "many-99", 100));
    mem_pass(&s->place, 11 * MINUTE_MS);
    assert_true(manifest_sync(&s->one.manifest, true, &s->notes));
    assert_true(compact_held(&s->one.manifest, COMPACT_SMALL_ONES, &s->notes));
    assert_int_equal(mem_count(&s->place, STR("m/")), 1);
    assert_true(readable(s, "many-0", 100) && readable(s, "many-99", 100));
}

static void compactor_that_slept_drops_nothing(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 3000);
    put_result(s, &s->one, "b", 3000);
    mem_pass(&s->place, HOUR_MS);
    struct manifest *m = &s->two.manifest;
    struct needed needed;
    struct stock stock;
    assert_true(manifest_sync(m, true, &s->notes) && stock_read(&stock, m, &s->notes));
    needed_init(&needed, &m->view, manifest_now_ms(m), m->keep_ms);
    mem_pass(&s->place, 11 * MINUTE_MS);
    compact_run(m, &needed, &stock, COMPACT_ALL, &s->notes);
    needed_free(&needed);
    stock_free(&stock);
    assert_int_equal(mem_count(&s->place, STR("m/")), 2);
}

static void stall_put(void *context, struct mem_handle *h, enum mem_op op, struct str key)
{
    (void)h;
    (void)key;
    if (op == MEM_PUT) {
        mem_pass(context, 9 * MINUTE_MS);
    }
}

static void heir_that_took_too_long_leaves_its_inputs(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 3000);
    put_result(s, &s->one, "b", 3000);
    mem_pass(&s->place, HOUR_MS);
    struct manifest *m = &s->two.manifest;
    struct needed needed;
    struct stock stock;
    assert_true(manifest_sync(m, true, &s->notes) && stock_read(&stock, m, &s->notes));
    needed_init(&needed, &m->view, manifest_now_ms(m), m->keep_ms);
    mem_pass(&s->place, 2 * MINUTE_MS);
    s->two.handle.before = stall_put; /* well timed, but the view is 11 min old then */
    s->two.handle.context = &s->place;
    assert_true(compact_run(m, &needed, &stock, COMPACT_ALL, &s->notes));
    needed_free(&needed);
    stock_free(&stock);
    assert_int_equal(mem_count(&s->place, STR("m/")), 3);
}

static void death_between_heir_and_drops_leaves_all_twice(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 3000);
    put_result(s, &s->one, "b", 3000);
    mem_pass(&s->place, HOUR_MS);
    s->two.handle.fail_drop = 1;
    assert_true(merge(s, &s->two, true));
    assert_int_equal(mem_count(&s->place, STR("m/")), 2); /* one drop failed, one was done */
    assert_true(readable(s, "a", 3000) && readable(s, "b", 3000));
    mem_pass(&s->place, HOUR_MS);
    assert_true(merge(s, &s->one, true));
    assert_int_equal(mem_count(&s->place, STR("m/")), 1);
    assert_true(has_record(s, "a") && has_record(s, "b"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(segments_become_one_and_nothing_is_lost),
        CASE(old_records_leave_their_leaf),
        CASE(condemnation_is_inherited_with_its_time),
        CASE(condemnation_is_forgotten_when_nothing_can_name_its_pack),
        CASE(one_end_of_sixteen_merges_many),
        CASE(merging_that_was_cut_short_is_gone_on_with),
        CASE(compactor_that_slept_drops_nothing),
        CASE(heir_that_took_too_long_leaves_its_inputs),
        CASE(death_between_heir_and_drops_leaves_all_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
