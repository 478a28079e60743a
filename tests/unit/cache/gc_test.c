/* SPDX-License-Identifier: MIT */
/* Collecting and merging, step by step, on a place in memory with a clock of its own. */
#include "cache/compact.h"
#include "cache/fetch.h"
#include "cache/gc.h"
#include "cache/group.h"
#include "tests/unit/cache/depot_mem.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

struct client {
    struct mem_handle handle;
    struct manifest manifest;
    struct store store;
    struct group group;
};

struct scene {
    struct mem_place place;
    struct client one, two;
    int64_t older_ms; /* results are made as if so long ago */
    struct arena arena;
    struct diags notes;
};

static void client_begin(struct client *c, struct mem_place *place)
{
    struct store_finder none = {NULL, NULL};
    memset(c, 0, sizeof *c);
    mem_handle_init(&c->handle, place);
    c->handle.seed = (uint64_t)(uintptr_t)c;
    manifest_init(&c->manifest, &c->handle.depot, false, mem_world(&c->handle));
    store_init(&c->store, &c->handle.depot, -1, none);
}

static void client_end(struct client *c)
{
    group_free(&c->group);
    store_free(&c->store);
    manifest_free(&c->manifest);
}

static int begin(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    mem_place_init(&s->place, INT64_C(1700000000000));
    diags_init(&s->notes, &s->arena);
    client_begin(&s->one, &s->place);
    client_begin(&s->two, &s->place);
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct scene *s = *state;
    client_end(&s->one);
    client_end(&s->two);
    mem_place_free(&s->place);
    arena_free(&s->arena);
    free(s);
    return 0;
}

static struct str noise(struct scene *s, const char *name, size_t n)
{
    uint64_t seed = str_hash(str_from(name));
    char *bytes = arena_alloc(&s->arena, n, 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)mem_random(&seed);
    }
    return (struct str){bytes, n};
}

static void add_row(struct scene *s, struct client *c, const char *name, const struct ref *ref,
                    struct pack_place *place)
{
    struct record_output output = {STR("out"), 0644, *ref, ref->digest};
    struct record r = {.fingerprint = digest_of(name, strlen(name)),
                       .success_ms = s->place.now_ms - s->older_ms,
                       .duration_ms = 1000,
                       .outputs = &output,
                       .output_count = 1};
    struct buf row;
    buf_init(&row, RECORD_BYTES_LIMIT);
    assert_true(record_put(&row, &r));
    group_add(&c->group, buf_str(&row), place, 1);
    buf_free(&row);
}

/* A result with bytes of its own, in the pack under construction. */
static void add(struct scene *s, struct client *c, const char *name, size_t n)
{
    group_begin(&c->group, &c->manifest);
    struct str bytes = noise(s, name, n);
    struct ref ref = {REF_BLOB, n, digest_of(bytes.s, n)};
    struct pack_place *place = ARENA_NEW(&c->group.arena, struct pack_place);
    place->root = ref;
    place->runs = ARENA_NEW(&c->group.arena, struct pack_run);
    place->run_count = 1;
    assert_true(pack_add(&c->store.writer, &ref, bytes, place->runs, &s->notes));
    add_row(s, c, name, &ref, place);
}

/* A result whose bytes another one has stored, at the first place that the view knows. */
static void add_same(struct scene *s, struct client *c, const char *name, const char *as, size_t n)
{
    group_begin(&c->group, &c->manifest);
    struct str bytes = noise(s, as, n);
    struct ref ref = {REF_BLOB, n, digest_of(bytes.s, n)};
    struct pack_place *places;
    assert_true(view_find_places(&c->manifest.view, &ref, VIEW_PLACES_ALL, &c->group.arena, &places)
                > 0);
    add_row(s, c, name, &ref, places);
}

static bool publish(struct scene *s, struct client *c)
{
    return group_publish(&c->group, &c->manifest, &c->store,
                         &(struct group_author){STR("me"), NULL}, &s->notes);
}

static void put_result(struct scene *s, struct client *c, const char *name, size_t n)
{
    add(s, c, name, n);
    assert_true(publish(s, c));
}

static struct cache_gc_report collect(struct scene *s, struct client *c, struct cache_gc_options o)
{
    struct cache_gc_report report;
    assert_true(gc_run(&c->manifest, &o, &report, &s->notes));
    return report;
}

/* Whether a client that comes fresh can read the bytes by a place. */
static bool readable(struct scene *s, const char *as, size_t n)
{
    struct client c;
    client_begin(&c, &s->place);
    assert_true(manifest_sync(&c.manifest, true, &s->notes));
    struct str bytes = noise(s, as, n);
    struct ref ref = {REF_BLOB, n, digest_of(bytes.s, n)};
    struct cache_places places = {0};
    struct fetch fetch = {&c.handle.depot, -1, NULL};
    places.count = view_find_places(&c.manifest.view, &ref, VIEW_PLACES_ALL, &s->arena, &places.at);
    struct buf b;
    buf_init(&b, 1 << 20);
    bool ok = places.count > 0 && fetch_read(&fetch, &places, &ref, &b, &s->notes)
              && str_eq(buf_str(&b), bytes);
    buf_free(&b);
    client_end(&c);
    return ok;
}

static bool has_record(struct scene *s, const char *name)
{
    struct client c;
    struct str *rows;
    client_begin(&c, &s->place);
    assert_true(manifest_sync(&c.manifest, true, &s->notes));
    struct digest fp = digest_of(name, strlen(name));
    bool found = view_find_rows(&c.manifest.view, &fp, &s->arena, &rows) > 0;
    client_end(&c);
    return found;
}

static const struct cache_gc_options PLAIN = {0};

/* ---- collection ---- */

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

/* ---- compaction ---- */

static bool merge(struct scene *s, struct client *c, bool all)
{
    struct manifest *m = &c->manifest;
    return manifest_sync(m, true, &s->notes)
           && compact_held(m, all ? COMPACT_ALL : COMPACT_SMALL_ONES, &s->notes);
}

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
