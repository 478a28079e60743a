/* SPDX-License-Identifier: MIT */
/* Publishing what waits: what a segment must hold, and which packs it may name. */
#include "tests/unit/cache/clients.h"
#include "tests/unit/cache/whole.h"

static const struct cache_gc_options PLAIN = {0};

static struct str published_by(struct scene *s, const struct client *c)
{
    const struct mem_entry *e = mem_find(&s->place, str_from(c->manifest.published));
    assert_non_null(e);
    return (struct str){e->bytes, e->n};
}

/* Else it hangs on a segment that may go before it. */
static void segment_has_places_for_what_others_have_stored(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 3000);
    assert_true(manifest_sync(&s->two.manifest, true, &s->notes));
    add_same(s, &s->two, "b", "a", 3000);
    add_same(s, &s->two, "c", "a", 3000);
    add(s, &s->two, "d", 3000);
    assert_true(publish(s, &s->two));
    assert_int_equal(expect_whole_segment(published_by(s, &s->two)), 3);
    mem_remove(&s->place, str_from(s->one.manifest.published));
    assert_true(has_record(s, "b") && readable(s, "a", 3000));
}

/* The same of what it published itself in another segment. */
static void segment_has_places_for_what_stands_in_the_one_before(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 3000);
    mem_pass(&s->place, MINUTE_MS);
    add_same(s, &s->one, "b", "a", 3000);
    assert_true(publish(s, &s->one));
    assert_int_equal(expect_whole_segment(published_by(s, &s->one)), 1);
}

/* A pack is put, and its writer sleeps before the segment comes. */
static void put_pack_and_sleep(struct scene *s, int64_t ms)
{
    assert_true(manifest_sync(&s->one.manifest, true, &s->notes));
    add(s, &s->one, "a", 5000);
    assert_true(store_seal(&s->one.store, &s->notes));
    assert_int_equal(mem_count(&s->place, STR("p/")), 1);
    mem_pass(&s->place, ms);
}

static void young_pack_of_its_own_needs_no_list(void **state)
{
    struct scene *s = *state;
    put_pack_and_sleep(s, 12 * HOUR_MS - MINUTE_MS);
    uint64_t before = s->place.ops;
    assert_true(publish(s, &s->one));
    assert_int_equal(s->place.ops - before, 1); /* the segment's put */
    assert_int_equal(mem_count(&s->place, STR("p/")), 1);
    assert_true(readable(s, "a", 5000));
}

/* Who collects may take it for dead: it is copied, and the old one is not named. */
static void old_pack_of_its_own_is_copied(void **state)
{
    struct scene *s = *state;
    put_pack_and_sleep(s, 12 * HOUR_MS);
    assert_true(publish(s, &s->one));
    assert_int_equal(mem_count(&s->place, STR("p/")), 2);
    assert_true(readable(s, "a", 5000));
    mem_pass(&s->place, 13 * HOUR_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).condemned, 1); /* the old one alone */
    mem_pass(&s->place, 25 * HOUR_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).dropped, 1);
    assert_true(readable(s, "a", 5000));
}

static void condemned_pack_of_its_own_is_copied(void **state)
{
    struct scene *s = *state;
    put_pack_and_sleep(s, 25 * HOUR_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).condemned, 1);
    mem_pass(&s->place, 23 * HOUR_MS);
    assert_true(publish(s, &s->one));
    mem_pass(&s->place, 2 * HOUR_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).dropped, 1);
    assert_true(has_record(s, "a") && readable(s, "a", 5000));
}

static void result_whose_pack_is_gone_is_not_published(void **state)
{
    struct scene *s = *state;
    put_pack_and_sleep(s, 25 * HOUR_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).condemned, 1);
    mem_pass(&s->place, 25 * HOUR_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).dropped, 1);
    assert_false(publish(s, &s->one));
    assert_false(has_record(s, "a"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(segment_has_places_for_what_others_have_stored),
        CASE(segment_has_places_for_what_stands_in_the_one_before),
        CASE(young_pack_of_its_own_needs_no_list),
        CASE(old_pack_of_its_own_is_copied),
        CASE(condemned_pack_of_its_own_is_copied),
        CASE(result_whose_pack_is_gone_is_not_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
