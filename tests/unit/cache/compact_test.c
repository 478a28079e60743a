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

/* The second client has seen what a compaction of two results of the first one's needs. */
static void look_at_two_results(struct scene *s, struct needed *needed, struct stock *stock)
{
    struct manifest *m = &s->two.manifest;
    put_result(s, &s->one, "a", 3000);
    put_result(s, &s->one, "b", 3000);
    mem_pass(&s->place, HOUR_MS);
    assert_true(manifest_sync(m, true, &s->notes) && stock_read(stock, m, &s->notes));
    needed_init(needed, &m->view, manifest_now_ms(m), m->keep_ms);
}

static void compactor_that_slept_drops_nothing(void **state)
{
    struct scene *s = *state;
    struct manifest *m = &s->two.manifest;
    struct needed needed;
    struct stock stock;
    look_at_two_results(s, &needed, &stock);
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
    struct manifest *m = &s->two.manifest;
    struct needed needed;
    struct stock stock;
    look_at_two_results(s, &needed, &stock);
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

/* ---- what others wrote ---- */

/* As if somebody had put it just now, under a name of that time. */
static void put_segment(struct scene *s, struct segment_draft *d, int64_t named_ms)
{
    struct buf bytes;
    char name[SEGMENT_NAME];
    buf_init(&bytes, SEGMENT_STORED_LIMIT + SEGMENT_HEADER);
    assert_true(segment_draft_write(d, &bytes));
    mem_put(&s->place, segment_key(named_ms, mem_random(&s->one.handle.seed), name),
            buf_str(&bytes));
    buf_free(&bytes);
    segment_draft_free(d);
}

static void put_condemnation(struct scene *s, const struct pack_id *id, int64_t since_ms)
{
    struct segment_draft d;
    segment_draft_init(&d);
    segment_draft_add_condemned(&d, &(struct segment_condemned){*id, since_ms});
    put_segment(s, &d, s->place.now_ms);
}

/* Of a root that nobody needs any more. */
static void put_place(struct scene *s, const struct pack_id *id)
{
    struct segment_draft d;
    struct pack_run run = {*id, 8, 100, 1};
    segment_draft_init(&d);
    segment_draft_add_place(&d,
                            &(struct pack_place){{REF_BLOB, 90, digest_of("root", 4)}, &run, 1});
    put_segment(s, &d, s->place.now_ms);
}

/* What a client that comes fresh knows of the pack. */
static struct view_pack known_of(struct scene *s, const struct pack_id *id)
{
    struct client c;
    client_begin(&c, &s->place);
    assert_true(manifest_sync(&c.manifest, true, &s->notes));
    const struct view_pack *p = view_find_pack(&c.manifest.view, id);
    struct view_pack known = p ? *p : (struct view_pack){0};
    client_end(&c);
    return known;
}

/* ---- an heir that is mistimed ---- */

/* A place of several machines that do not agree on the time: at each put of a segment it is 20 min later there,
 * though nobody slept. */
struct leaping {
    struct scene *s;
    int64_t leapt_ms;
    int left;
};

static int64_t leaping_boot(void *context)
{
    const struct leaping *l = context;
    return world_boot(&l->s->two.handle) - l->leapt_ms * 1000000;
}

static int64_t leaping_now(void *context)
{
    const struct leaping *l = context;
    return world_now(&l->s->two.handle);
}

static uint64_t leaping_random(void *context)
{
    const struct leaping *l = context;
    return world_random(&l->s->two.handle);
}

static void leap_at_put(void *context, struct mem_handle *h, enum mem_op op, struct str key)
{
    struct leaping *l = context;
    if (op == MEM_PUT && str_starts(key, STR("m/")) && l->left > 0) {
        l->left--;
        l->leapt_ms += 20 * MINUTE_MS;
        mem_pass(h->place, 20 * MINUTE_MS);
    }
}

static bool merge_leaping(struct scene *s, int times)
{
    struct leaping l = {s, 0, times};
    s->two.handle.before = leap_at_put;
    s->two.handle.context = &l;
    s->two.manifest.world = (struct manifest_world){leaping_boot, leaping_now, leaping_random, &l};
    bool ok = merge(s, &s->two, true);
    s->two.handle.before = NULL;
    s->two.manifest.world = mem_world(&s->two.handle);
    return ok;
}

static const struct pack_id PACK = {{7}};

/* Others may not list it for a day, and its condemnations are void. */
static void inputs_stay_while_their_heir_is_mistimed(void **state)
{
    struct scene *s = *state;
    int64_t since = s->place.now_ms;
    put_result(s, &s->one, "a", 3000);
    put_condemnation(s, &PACK, 0);
    struct arena a = {0};
    struct table inputs;
    table_init(&inputs, &a);
    for (uint32_t i = 0; i < s->place.count; i++) {
        table_add(&inputs, str_copy(&a, str_from(s->place.entries[i].key)), NULL);
    }
    mem_pass(&s->place, HOUR_MS);
    assert_false(merge_leaping(s, 1000));
    for (uint32_t i = 0; i < inputs.count; i++) {
        assert_non_null(mem_find(&s->place, inputs.keys[i]));
    }
    arena_free(&a);
    assert_int_equal(known_of(s, &PACK).condemned_ms, since);
    assert_true(has_record(s, "a") && readable(s, "a", 3000));
}

static void inputs_go_when_the_second_heir_is_well_timed(void **state)
{
    struct scene *s = *state;
    int64_t since = s->place.now_ms;
    put_result(s, &s->one, "a", 3000);
    put_condemnation(s, &PACK, 0);
    mem_pass(&s->place, HOUR_MS);
    assert_true(merge_leaping(s, 1));
    assert_int_equal(mem_count(&s->place, STR("m/")), 2); /* the mistimed heir, and the good one */
    assert_int_equal(known_of(s, &PACK).condemned_ms, since);
    assert_true(has_record(s, "a") && readable(s, "a", 3000));
}

static void condemnation_of_a_mistimed_segment_begins_anew(void **state)
{
    struct scene *s = *state;
    struct segment_draft d;
    segment_draft_init(&d);
    segment_draft_add_condemned(&d,
                                &(struct segment_condemned){PACK, s->place.now_ms - 30 * DAY_MS});
    put_segment(s, &d, s->place.now_ms - HOUR_MS);
    mem_pass(&s->place, HOUR_MS);
    assert_int_equal(known_of(s, &PACK).condemned_ms, 0); /* void */
    put_result(s, &s->one, "a", 3000);
    mem_pass(&s->place, HOUR_MS);
    assert_true(merge(s, &s->two, true));
    assert_int_equal(mem_count(&s->place, STR("m/")), 1);
    assert_int_equal(known_of(s, &PACK).condemned_ms, s->place.now_ms);
}

/* ---- what a condemnation is remembered for ---- */

static void expect_kept_while_its_file_is_there(struct scene *s, bool plain)
{
    char key[PACK_KEY];
    int64_t since = s->place.now_ms;
    s->two.manifest.folder = true;
    mem_put(&s->place, pack_key(&PACK, plain, key), STR("its drop is still to come"));
    put_condemnation(s, &PACK, 0);
    put_result(s, &s->one, "a", 3000);
    mem_pass(&s->place, 8 * DAY_MS);
    for (int i = 0; i < 2; i++) {
        assert_true(merge(s, &s->two, true));
        assert_int_equal(mem_count(&s->place, STR("m/")), 1);
        assert_int_equal(known_of(s, &PACK).condemned_ms, since);
        mem_pass(&s->place, DAY_MS);
    }
    mem_remove(&s->place, pack_key(&PACK, plain, key));
    assert_true(merge(s, &s->two, true));
    assert_int_equal(known_of(s, &PACK).condemned_ms, 0);
}

static void condemnation_is_kept_while_its_pack_is_listed(void **state)
{
    expect_kept_while_its_file_is_there(*state, false);
}

static void condemnation_is_kept_while_its_plain_file_is_listed(void **state)
{
    expect_kept_while_its_file_is_there(*state, true);
}

static void condemnation_is_kept_while_a_young_segment_names_its_pack(void **state)
{
    struct scene *s = *state;
    int64_t since = s->place.now_ms;
    put_condemnation(s, &PACK, 0);
    put_result(s, &s->one, "a", 3000);
    mem_pass(&s->place, 8 * DAY_MS);
    put_place(s, &PACK);
    assert_true(merge(s, &s->two, true));
    assert_int_equal(mem_count(&s->place, STR("m/")),
                     2); /* the heir, and what is too young for it */
    assert_int_equal(known_of(s, &PACK).places, 1);
    assert_int_equal(known_of(s, &PACK).condemned_ms, since);
}

/* The drops may stop half-way: then the place must not be left without its condemnation. */
static void condemnation_is_kept_while_an_input_names_its_pack(void **state)
{
    struct scene *s = *state;
    int64_t since = s->place.now_ms;
    put_condemnation(s, &PACK, 0);
    mem_pass(&s->place, MINUTE_MS);
    put_place(s, &PACK);
    mem_pass(&s->place, 8 * DAY_MS);
    s->two.handle.fail_drop = 2; /* the place's, whose name is the later one */
    assert_true(merge(s, &s->two, true));
    assert_int_equal(mem_count(&s->place, STR("m/")), 2);
    assert_int_equal(known_of(s, &PACK).places, 1);
    assert_int_equal(known_of(s, &PACK).condemned_ms, since);
    assert_true(manifest_sync(&s->one.manifest, true, &s->notes));
    assert_false(manifest_may_name(&s->one.manifest, &PACK));
    for (int i = 0; i < 2; i++) { /* the place goes first, then the condemnation */
        mem_pass(&s->place, HOUR_MS);
        assert_true(merge(s, &s->two, true));
        assert_int_equal(known_of(s, &PACK).places, 0);
        assert_int_equal(known_of(s, &PACK).condemned_ms, i == 0 ? since : 0);
    }
}

static void condemnation_is_kept_for_a_week(void **state)
{
    struct scene *s = *state;
    int64_t since = s->place.now_ms;
    static const char *const NAMES[] = {"a", "b", "c", "d"};
    static const int64_t AGES_MS[] = {2 * HOUR_MS, 25 * HOUR_MS, 7 * DAY_MS - HOUR_MS, 7 * DAY_MS};
    put_condemnation(s, &PACK, 0);
    for (int i = 0; i < 4; i++) {
        put_result(s, &s->one, NAMES[i], 3000); /* so that there is something to merge */
        mem_pass(&s->place, since + AGES_MS[i] - s->place.now_ms);
        assert_true(merge(s, &s->two, true));
        assert_int_equal(mem_count(&s->place, STR("m/")), 1);
        assert_int_equal(known_of(s, &PACK).condemned_ms, since);
    }
    mem_pass(&s->place, HOUR_MS);
    assert_true(merge(s, &s->two, true));
    assert_int_equal(known_of(s, &PACK).condemned_ms, 0);
}

/* ---- which places an heir keeps ---- */

/* A result in a segment that is too large for a merging of small ones. */
static void put_in_large_segment(struct scene *s, const char *name, size_t n)
{
    enum { USES = 40000 };
    add(s, &s->one, name, n);
    for (int i = 0; i < USES; i++) {
        uint64_t prefix = mem_random(&s->one.handle.seed);
        group_add_use(&s->one.group, (const uint8_t *)&prefix, 1);
    }
    assert_true(publish(s, &s->one));
    const struct view *v = &s->one.manifest.view;
    assert_true(v->segments[v->count - 1]->size >= COMPACT_SMALL);
}

/* A segment of moved places holds no records: whose they are stands in segments that are no inputs. */
static void places_that_records_elsewhere_need_are_kept(void **state)
{
    struct scene *s = *state;
    put_in_large_segment(s, "a", 5000);
    struct str bytes = noise(s, "a", 5000);
    struct ref ref = {REF_BLOB, bytes.n, digest_of(bytes.s, bytes.n)};
    struct pack_place place;
    assert_true(view_find_sound_place(&s->one.manifest.view, &ref, &s->arena, &place));
    struct pack_run moved = place.runs[0];
    moved.pack = PACK;
    char from[PACK_KEY];
    char to[PACK_KEY];
    struct mem_entry *e = mem_find(&s->place, pack_key(&place.runs[0].pack, false, from));
    assert_non_null(e);
    mem_put(&s->place, pack_key(&PACK, false, to), (struct str){e->bytes, e->n});
    struct segment_draft d;
    segment_draft_init(&d);
    segment_draft_add_place(&d, &(struct pack_place){ref, &moved, 1});
    segment_draft_add_condemned(&d, &(struct segment_condemned){place.runs[0].pack, 0});
    put_segment(s, &d, s->place.now_ms);
    mem_pass(&s->place, 25 * HOUR_MS);
    mem_remove(&s->place, str_from(from)); /* the sweep */
    put_result(s, &s->one, "b", 3000);
    mem_pass(&s->place, HOUR_MS);
    assert_true(merge(s, &s->two, false));
    assert_int_equal(mem_count(&s->place, STR("m/")), 2); /* the large one, and the heir */
    assert_true(has_record(s, "a") && readable(s, "a", 5000));
    assert_true(readable(s, "b", 3000));
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
        CASE(inputs_stay_while_their_heir_is_mistimed),
        CASE(inputs_go_when_the_second_heir_is_well_timed),
        CASE(condemnation_of_a_mistimed_segment_begins_anew),
        CASE(condemnation_is_kept_while_its_pack_is_listed),
        CASE(condemnation_is_kept_while_its_plain_file_is_listed),
        CASE(condemnation_is_kept_while_a_young_segment_names_its_pack),
        CASE(condemnation_is_kept_while_an_input_names_its_pack),
        CASE(condemnation_is_kept_for_a_week),
        CASE(places_that_records_elsewhere_need_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
