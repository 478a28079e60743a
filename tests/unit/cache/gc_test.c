/* SPDX-License-Identifier: MIT */
/* Collecting, step by step, on a place in memory with a clock of its own. */
#include "tests/unit/cache/clients.h"

static const struct cache_gc_options PLAIN = {0};

static void young_pack_is_left_alone(void **state)
{
    struct scene *s = *state;
    add(s, &s->one, "orphan", 5000);
    assert_true(store_seal(&s->one.store, &s->notes)); /* put, and its writer dies */
    mem_pass(&s->place, 23 * HOUR_MS);
    struct cache_gc_report r = collect(s, &s->two, PLAIN);
    assert_int_equal(r.condemned, 0);
    mem_pass(&s->place, 2 * HOUR_MS);
    r = collect(s, &s->two, PLAIN);
    assert_int_equal(r.condemned, 1);
    assert_int_equal(mem_count(&s->place, STR("p/")), 1); /* announced, not gone */
}

static void condemned_pack_goes_a_day_later(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 5000);
    mem_pass(&s->place, 31 * DAY_MS);
    struct cache_gc_report r = collect(s, &s->two, PLAIN);
    assert_int_equal(r.records_before, 1);
    assert_int_equal(r.records_after, 0);
    assert_int_equal(r.condemned, 1);
    mem_pass(&s->place, 23 * HOUR_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).dropped, 0);
    mem_pass(&s->place, 2 * HOUR_MS);
    r = collect(s, &s->one, PLAIN);
    assert_int_equal(r.dropped, 1);
    assert_int_equal(r.bytes_after, 0);
    assert_int_equal(mem_count(&s->place, STR("p/")), 0);
}

static void kept_result_stays_for_ever(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 5000);
    for (int day = 0; day < 29; day++) {
        mem_pass(&s->place, DAY_MS);
        collect(s, day % 2 ? &s->one : &s->two, PLAIN);
        assert_true(readable(s, "a", 5000));
    }
}

static void use_keeps_a_result(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 5000);
    mem_pass(&s->place, 20 * DAY_MS);
    struct digest fp = digest_of("a", 1);
    group_begin(&s->two.group, &s->two.manifest);
    group_add_use(&s->two.group, fp.b, (uint32_t)(s->place.now_ms / DAY_MS));
    assert_true(publish(s, &s->two));
    mem_pass(&s->place, 20 * DAY_MS);
    assert_int_equal(collect(s, &s->one, PLAIN).records_after, 1);
    mem_pass(&s->place, 20 * DAY_MS);
    assert_int_equal(collect(s, &s->one, PLAIN).records_after, 0);
}

static void thin_pack_is_rewritten(void **state)
{
    struct scene *s = *state;
    s->older_ms = 20 * DAY_MS;
    add(s, &s->one, "dies", 60000);
    s->older_ms = 0;
    add(s, &s->one, "lives", 5000);
    assert_true(publish(s, &s->one));
    mem_pass(&s->place, 15 * DAY_MS);
    struct cache_gc_report r = collect(s, &s->two, PLAIN);
    assert_int_equal(r.condemned, 1);
    assert_int_equal(mem_count(&s->place, STR("p/")), 2);
    mem_pass(&s->place, 2 * DAY_MS);
    r = collect(s, &s->two, PLAIN);
    assert_int_equal(r.dropped, 1);
    assert_true(r.bytes_after < 10000);
    assert_true(readable(s, "lives", 5000));
    assert_false(readable(s, "dies", 60000));
}

static void many_small_packs_become_one(void **state)
{
    struct scene *s = *state;
    static const char *const NAMES[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    for (int i = 0; i < 9; i++) {
        put_result(s, &s->one, NAMES[i], 3000);
    }
    mem_pass(&s->place, 2 * DAY_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).condemned, 9);
    mem_pass(&s->place, 2 * DAY_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).dropped, 9);
    assert_int_equal(mem_count(&s->place, STR("p/")), 1);
    for (int i = 0; i < 9; i++) {
        assert_true(readable(s, NAMES[i], 3000));
    }
}

/* The race that the grace is for: a writer counts on a pack that somebody condemns right behind its back. */
static void dedupe_against_the_doomed_is_rescued(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "old", 5000);
    mem_pass(&s->place, 31 * DAY_MS);
    assert_true(manifest_sync(&s->one.manifest, false, &s->notes));
    add_same(s, &s->one, "new", "old", 5000);
    assert_int_equal(collect(s, &s->two, PLAIN).condemned, 1);
    mem_pass(&s->place, 4 * MINUTE_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).dropped, 0);
    mem_pass(&s->place, 5 * MINUTE_MS);
    assert_true(publish(s, &s->one)); /* its view is young enough, and wrong */
    assert_true(readable(s, "old", 5000));
    for (int i = 0; i < 5; i++) {
        mem_pass(&s->place, 13 * HOUR_MS);
        collect(s, &s->two, PLAIN);
        assert_true(readable(s, "old", 5000));
    }
}

static void view_that_is_too_old_signs_nothing(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "old", 5000);
    mem_pass(&s->place, 31 * DAY_MS);
    assert_true(manifest_sync(&s->one.manifest, false, &s->notes));
    add_same(s, &s->one, "new", "old", 5000);
    collect(s, &s->two, PLAIN);
    mem_pass(&s->place, 11 * MINUTE_MS);
    assert_true(publish(s, &s->one)); /* it looks again, and copies out of the condemned pack */
    mem_pass(&s->place, 25 * HOUR_MS);
    assert_int_equal(collect(s, &s->two, PLAIN).dropped, 1);
    assert_true(readable(s, "old", 5000));
}

static void failed_rescue_drops_nothing(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "old", 5000);
    mem_pass(&s->place, 31 * DAY_MS);
    assert_true(manifest_sync(&s->one.manifest, false, &s->notes));
    add_same(s, &s->one, "new", "old", 5000);
    collect(s, &s->two, PLAIN);
    assert_true(publish(s, &s->one));
    mem_pass(&s->place, 25 * HOUR_MS);
    struct cache_gc_report r;
    s->two.handle.fail_put = 1; /* the copy */
    assert_false(gc_run(&s->two.manifest, &PLAIN, &r, &s->notes));
    assert_int_equal(r.dropped, 0);
    s->two.handle.fail_get = 1; /* the pack's footer, or the pack */
    gc_run(&s->two.manifest, &PLAIN, &r, &s->notes);
    assert_true(readable(s, "old", 5000));
    mem_pass(&s->place, 25 * HOUR_MS);
    collect(s, &s->two, PLAIN);
    assert_true(readable(s, "old", 5000));
}

static void now_needs_no_grace(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 5000);
    mem_pass(&s->place, 31 * DAY_MS);
    put_result(s, &s->one, "b", 5000);
    struct cache_gc_options o = {.now = true};
    struct cache_gc_report r = collect(s, &s->two, o);
    assert_int_equal(r.dropped, 1);
    assert_int_equal(mem_count(&s->place, STR("p/")), 1);
    assert_true(readable(s, "b", 5000));
}

static void dry_run_changes_nothing(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 5000);
    mem_pass(&s->place, 31 * DAY_MS);
    uint32_t before = s->place.count;
    struct cache_gc_options o = {.now = true, .dry_run = true};
    struct cache_gc_report r = collect(s, &s->two, o);
    assert_int_equal(s->place.count, before);
    assert_int_equal(r.condemned, 1);
    assert_true(r.bytes_freed > 5000);
}

static void least_worth_goes_first(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "large", 90000); /* a second each: the large one is worth least */
    put_result(s, &s->one, "small", 5000);
    put_result(s, &s->one, "middle", 20000);
    struct cache_gc_options o = {.now = true, .max_bytes = 30000};
    struct cache_gc_report r = collect(s, &s->two, o);
    assert_int_equal(r.records_after, 2);
    assert_false(readable(s, "large", 90000));
    assert_true(readable(s, "small", 5000) && readable(s, "middle", 20000));
    assert_true(r.bytes_after < 40000);
}

static void segment_of_a_newer_program_forbids_collection(void **state)
{
    struct scene *s = *state;
    put_result(s, &s->one, "a", 5000);
    mem_pass(&s->place, 40 * DAY_MS);
    struct frame_encoder e;
    struct buf b;
    struct buf frame;
    static const char SECTION[] = {5, 1, 0}; /* tag 5 is nobody's yet */
    buf_init(&b, 1000);
    buf_init(&frame, 1000);
    frame_encoder_init(&e);
    assert_true(frame_compress(&e, (struct str){SECTION, sizeof SECTION}, &frame));
    frame_encoder_free(&e);
    buf_put(&b, "pawlseg1", 8);
    buf_put_u16(&b, 1);
    buf_put_u16(&b, 0);
    buf_put_u32(&b, 0);
    buf_put_u64(&b, sizeof SECTION);
    buf_put_u64(&b, frame.n);
    struct digest sum = digest_of(frame.s, frame.n);
    buf_put(&b, sum.b, sizeof sum.b);
    buf_put_str(&b, buf_str(&frame));
    char name[SEGMENT_NAME];
    mem_put(&s->place, segment_key(s->place.now_ms, 7, name), buf_str(&b));
    struct cache_gc_report r;
    assert_false(gc_run(&s->two.manifest, &PLAIN, &r, &s->notes));
    assert_int_equal(r.condemned, 0);
    buf_free(&b);
    buf_free(&frame);
}

static void damaged_segment_is_ignored_after_a_week(void **state)
{
    struct scene *s = *state;
    char name[SEGMENT_NAME];
    mem_put(&s->place, segment_key(s->place.now_ms, 7, name), STR("rubbish"));
    struct cache_gc_report r;
    assert_false(gc_run(&s->two.manifest, &PLAIN, &r, &s->notes));
    mem_pass(&s->place, 8 * DAY_MS);
    assert_true(gc_run(&s->two.manifest, &PLAIN, &r, &s->notes));
}

static void short_grace_is_refused(void **state)
{
    struct scene *s = *state;
    mem_put(&s->place, STR("format"), STR("{\"pawl\":1,\"grace_hours\":1}"));
    assert_true(manifest_read_format(&s->two.manifest, true, &s->notes));
    struct cache_gc_report r;
    assert_false(gc_run(&s->two.manifest, &PLAIN, &r, &s->notes));
}

static void stale_leases_go(void **state)
{
    struct scene *s = *state;
    mem_put(&s->place, STR("l/fp/1"), STR("old"));
    mem_pass(&s->place, 25 * HOUR_MS);
    mem_put(&s->place, STR("l/fp/2"), STR("new"));
    collect(s, &s->two, PLAIN);
    assert_int_equal(mem_count(&s->place, STR("l/")), 1);
}

/* ---- copies that fail ---- */

/* A pack that is worth rewriting on the first collection. */
static void put_thin_pack(struct scene *s)
{
    s->older_ms = 20 * DAY_MS;
    add(s, &s->one, "dies", 60000);
    s->older_ms = 0;
    add(s, &s->one, "lives", 5000);
    add(s, &s->one, "lives too", 5000);
    assert_true(publish(s, &s->one));
    mem_pass(&s->place, 15 * DAY_MS);
    assert_true(manifest_sync(&s->two.manifest, true, &s->notes));
}

static struct ref ref_of(struct scene *s, const char *name, size_t n)
{
    struct str bytes = noise(s, name, n);
    return (struct ref){REF_BLOB, n, digest_of(bytes.s, n)};
}

/* Whether some place can be counted on: its packs are there, and nobody has condemned them. */
static bool is_sound(struct scene *s, const char *name, size_t n)
{
    struct client c;
    struct pack_place *places;
    struct ref ref = ref_of(s, name, n);
    client_begin(&c, &s->place);
    assert_true(manifest_sync(&c.manifest, true, &s->notes));
    uint32_t count = view_find_places(&c.manifest.view, &ref, VIEW_PLACES_ALL, &s->arena, &places);
    bool found = false;
    for (uint32_t i = 0; i < count && !found; i++) {
        char key[PACK_KEY];
        found = !view_place_is_condemned(&c.manifest.view, &places[i])
                && mem_find(&s->place, pack_key(&places[i].runs[0].pack, false, key));
    }
    client_end(&c);
    return found;
}

static void expect_sound(struct scene *s)
{
    assert_true(is_sound(s, "lives", 5000) && is_sound(s, "lives too", 5000));
}

static void collect_for_days(struct scene *s)
{
    for (int i = 0; i < 3; i++) {
        mem_pass(&s->place, 25 * HOUR_MS);
        collect(s, &s->one, PLAIN);
    }
    assert_int_equal(mem_count(&s->place, STR("p/")), 1);
    assert_true(readable(s, "lives", 5000) && readable(s, "lives too", 5000));
}

static void copy_that_cannot_be_put_condemns_nothing(void **state)
{
    struct scene *s = *state;
    struct cache_gc_report r;
    put_thin_pack(s);
    s->two.handle.fail_put = 1;
    assert_false(gc_run(&s->two.manifest, &PLAIN, &r, &s->notes));
    assert_int_equal(r.condemned, 0);
    expect_sound(s);
    assert_int_equal(collect(s, &s->one, PLAIN).condemned, 1);
    expect_sound(s);
    collect_for_days(s);
}

static void copy_that_cannot_be_read_condemns_nothing(void **state)
{
    struct scene *s = *state;
    struct cache_gc_report r;
    put_thin_pack(s);
    for (int get = 1; get < 6; get++) { /* the footer, the bytes, the bytes one by one */
        s->two.handle.fail_get = get;
        (void)gc_run(&s->two.manifest, &PLAIN, &r, &s->notes);
        assert_true(get > 1 || r.condemned == 0);
        expect_sound(s);
    }
    s->two.handle.fail_get = 0;
    collect_for_days(s);
}

/* What lies beside it moves, once; the pack itself stays for as long as somebody needs what cannot be copied. */
static void pack_with_something_damaged_is_not_condemned(void **state)
{
    struct scene *s = *state;
    struct pack_place place;
    char key[PACK_KEY];
    put_thin_pack(s);
    struct ref ref = ref_of(s, "lives", 5000);
    assert_true(view_find_sound_place(&s->two.manifest.view, &ref, &s->arena, &place));
    struct mem_entry *e = mem_find(&s->place, pack_key(&place.runs[0].pack, false, key));
    assert_non_null(e);
    e->bytes[place.runs[0].offset + 1000] ^= 1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(collect(s, &s->two, PLAIN).condemned, 0);
        assert_int_equal(mem_count(&s->place, STR("p/")), 2);
        expect_sound(s);
        assert_true(readable(s, "lives too", 5000));
        mem_pass(&s->place, 25 * HOUR_MS);
    }
}

static void die_after(void *context, struct mem_handle *h, enum mem_op op, struct str key)
{
    int *left = context;
    (void)op;
    (void)key;
    h->dead |= (*left)-- == 0;
}

/* Places are there before, or with, the condemnation of what they were copied from. */
static void collector_may_die_at_any_moment(void **state)
{
    struct cache_gc_report r;
    bool died = true;
    for (int n = 0; died; n++) {
        struct scene *s = *state;
        int left = n;
        assert_true(n < 100);
        put_thin_pack(s);
        s->two.handle.before = die_after;
        s->two.handle.context = &left;
        (void)gc_run(&s->two.manifest, &PLAIN, &r, &s->notes);
        died = s->two.handle.dead;
        expect_sound(s);
        collect_for_days(s);
        end(state);
        begin(state);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(young_pack_is_left_alone),
        CASE(condemned_pack_goes_a_day_later),
        CASE(kept_result_stays_for_ever),
        CASE(use_keeps_a_result),
        CASE(thin_pack_is_rewritten),
        CASE(many_small_packs_become_one),
        CASE(dedupe_against_the_doomed_is_rescued),
        CASE(view_that_is_too_old_signs_nothing),
        CASE(failed_rescue_drops_nothing),
        CASE(now_needs_no_grace),
        CASE(dry_run_changes_nothing),
        CASE(least_worth_goes_first),
        CASE(segment_of_a_newer_program_forbids_collection),
        CASE(damaged_segment_is_ignored_after_a_week),
        CASE(short_grace_is_refused),
        CASE(stale_leases_go),
        CASE(copy_that_cannot_be_put_condemns_nothing),
        CASE(copy_that_cannot_be_read_condemns_nothing),
        CASE(pack_with_something_damaged_is_not_condemned),
        CASE(collector_may_die_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
