/* SPDX-License-Identifier: MIT */
/* Syncing and publishing on a place in memory: clocks that are wrong, answers that get lost, segments that vanish
 * while one reads. */
#include "cache/manifest.h"
#include "tests/unit/cache/depot_mem.c"

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

struct scene {
    struct mem_place place;
    struct mem_handle a, b;
    struct manifest one, two;
    struct arena arena;
    struct diags notes;
    struct str victim; /* goes when it is fetched, its heir being there before */
    int64_t stall_ms;  /* of the next put */
};

static int begin(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    mem_place_init(&s->place, INT64_C(1700000000000));
    diags_init(&s->notes, &s->arena);
    mem_handle_init(&s->a, &s->place);
    mem_handle_init(&s->b, &s->place);
    s->b.seed = 99;
    manifest_init(&s->one, &s->a.depot, false, mem_world(&s->a));
    manifest_init(&s->two, &s->b.depot, false, mem_world(&s->b));
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct scene *s = *state;
    manifest_free(&s->one);
    manifest_free(&s->two);
    mem_place_free(&s->place);
    arena_free(&s->arena);
    free(s);
    return 0;
}

static struct digest fingerprint(const char *name)
{
    return digest_of(name, strlen(name));
}

static void draft_with(struct scene *s, struct segment_draft *d, const char *name)
{
    struct record r = {.fingerprint = fingerprint(name), .success_ms = s->place.now_ms};
    struct buf row;
    struct buf block;
    buf_init(&row, RECORD_BYTES_LIMIT);
    buf_init(&block, SEGMENT_RAW_LIMIT);
    assert_true(record_put(&row, &r));
    struct str text = buf_str(&row);
    segment_block_put(&block, STR("me"), 1, &text, 1);
    segment_draft_init(d);
    segment_draft_add_block(d, buf_str(&block));
    buf_free(&block);
    buf_free(&row);
}

static enum manifest_answer publish(struct scene *s, struct manifest *m, const char *name)
{
    struct segment_draft d;
    draft_with(s, &d, name);
    enum manifest_answer answer = manifest_publish(m, &d, &s->notes);
    segment_draft_free(&d);
    return answer;
}

/* As if somebody else had put it under a name of that time. */
static struct str put_named(struct scene *s, int64_t ms, uint64_t random, const char *name)
{
    struct segment_draft d;
    struct buf bytes;
    char *key = arena_alloc(&s->arena, SEGMENT_NAME, 1);
    draft_with(s, &d, name);
    buf_init(&bytes, SEGMENT_STORED_LIMIT);
    assert_true(segment_draft_write(&d, &bytes));
    struct str result = segment_key(ms, random, key);
    mem_put(&s->place, result, buf_str(&bytes));
    buf_free(&bytes);
    segment_draft_free(&d);
    return result;
}

static bool sees(struct scene *s, const struct manifest *m, const char *name)
{
    struct str *rows;
    struct digest fp = fingerprint(name);
    return view_find_rows(&m->view, &fp, &s->arena, &rows) == 1;
}

static bool sync_view(struct scene *s, struct manifest *m)
{
    return manifest_sync(m, false, &s->notes);
}

static void one_publishes_and_the_other_sees(void **state)
{
    struct scene *s = *state;
    assert_true(sync_view(s, &s->two));
    assert_int_equal(publish(s, &s->one, "x"), MANIFEST_DONE);
    assert_true(sees(s, &s->one, "x")); /* its own at once */
    assert_false(sees(s, &s->two, "x"));
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x"));
}

static void nothing_new_costs_one_request(void **state)
{
    struct scene *s = *state;
    publish(s, &s->one, "x");
    assert_true(sync_view(s, &s->two));
    uint64_t before = s->place.ops;
    assert_true(sync_view(s, &s->two));
    assert_int_equal(s->place.ops - before, 1);
}

static struct pack_place place_of(const char *name, struct pack_run *run)
{
    *run = (struct pack_run){.pack = {{7}}, .offset = 8, .length = 9, .count = 1};
    return (struct pack_place){{REF_BLOB, 1, fingerprint(name)}, run, 1};
}

static enum manifest_answer publish_place(struct scene *s, struct manifest *m, const char *name)
{
    struct segment_draft d;
    struct pack_run run;
    struct pack_place place = place_of(name, &run);
    manifest_add_own(m, &run.pack, m->world.boot_ns(m->world.context));
    draft_with(s, &d, name);
    segment_draft_add_place(&d, &place);
    enum manifest_answer answer = manifest_publish(m, &d, &s->notes);
    segment_draft_free(&d);
    return answer;
}

static bool finds(struct scene *s, const struct manifest *m, const char *name)
{
    struct pack_run run;
    struct pack_place place = place_of(name, &run), *found;
    return view_find_places(&m->view, &place.root, VIEW_PLACES_ALL, &s->arena, &found) == 1
           && pack_id_eq(&found->runs[0].pack, &run.pack);
}

/* Rows of its own segments stay out until all is read; where their bytes lie it knows. */
static void lean_view_keeps_the_places_of_what_it_published(void **state)
{
    struct scene *s = *state;
    s->one.lean = true;
    assert_int_equal(publish(s, &s->one, "a"), MANIFEST_DONE);
    assert_true(manifest_sync(&s->one, true, &s->notes));
    assert_true(sees(s, &s->one, "a"));
    assert_int_equal(publish_place(s, &s->one, "b"), MANIFEST_DONE);
    assert_true(manifest_sync(&s->one, false, &s->notes));
    assert_true(sees(s, &s->one, "a"));
    assert_false(sees(s, &s->one, "b"));
    assert_true(finds(s, &s->one, "b"));
    assert_false(finds(s, &s->one, "a"));
    assert_true(manifest_sync(&s->one, true, &s->notes));
    assert_true(sees(s, &s->one, "b"));
    assert_true(finds(s, &s->one, "b"));
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "b"));
}

static void what_is_passed_over_is_read_by_a_full_list(void **state)
{
    struct scene *s = *state;
    assert_true(manifest_sync(&s->two, true, &s->notes));
    assert_int_equal(publish(s, &s->one, "a"), MANIFEST_DONE);
    manifest_pass_over(&s->two, str_from(s->one.published));
    assert_int_equal(publish(s, &s->one, "b"), MANIFEST_DONE);
    assert_true(manifest_sync(&s->two, false, &s->notes));
    assert_false(sees(s, &s->two, "a"));
    assert_true(sees(s, &s->two, "b"));
    manifest_pass_over(&s->two, str_from(s->one.published)); /* too late: it was read */
    manifest_pass_over(&s->two, STR("m/nonsense"));
    assert_true(manifest_sync(&s->two, true, &s->notes));
    assert_true(sees(s, &s->two, "a"));
    assert_true(sees(s, &s->two, "b"));
    assert_int_equal(s->two.view.count, 2);
}

static void late_name_is_found(void **state)
{
    struct scene *s = *state;
    mem_pass(&s->place, HOUR_MS);
    assert_true(sync_view(s, &s->two));
    mem_pass(&s->place, MINUTE_MS);
    put_named(s, s->place.now_ms - 10 * MINUTE_MS, 1, "late"); /* named before that list began */
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "late"));
}

static void writer_from_the_future_hides_nobody(void **state)
{
    struct scene *s = *state;
    put_named(s, s->place.now_ms + 1000 * HOUR_MS, 1, "future");
    assert_true(sync_view(s, &s->two));
    mem_pass(&s->place, HOUR_MS);
    publish(s, &s->one, "x");
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x") && sees(s, &s->two, "future"));
}

static void what_came_too_late_is_found_by_the_full_list(void **state)
{
    struct scene *s = *state;
    mem_pass(&s->place, 10 * HOUR_MS);
    assert_true(sync_view(s, &s->two));
    put_named(s, s->place.now_ms - 2 * HOUR_MS, 1, "mistimed");
    assert_true(sync_view(s, &s->two));
    assert_false(sees(s, &s->two, "mistimed"));
    mem_pass(&s->place, 25 * HOUR_MS);
    assert_true(sync_view(s, &s->two)); /* A has passed: a full one */
    assert_true(sees(s, &s->two, "mistimed"));
}

static void only_a_full_list_forgets(void **state)
{
    struct scene *s = *state;
    struct str key = put_named(s, s->place.now_ms, 1, "x");
    assert_true(sync_view(s, &s->two));
    mem_remove(&s->place, key);
    mem_pass(&s->place, MINUTE_MS);
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x"));
    assert_true(manifest_sync(&s->two, true, &s->notes));
    assert_false(sees(s, &s->two, "x"));
}

static void merge_behind_the_reader(void *context, struct mem_handle *h, enum mem_op op,
                                    struct str key)
{
    struct scene *s = context;
    (void)h;
    if (op == MEM_GET && s->victim.n && str_eq(key, s->victim)) {
        struct mem_entry *e = mem_find(&s->place, key);
        char name[SEGMENT_NAME];
        struct buf b;
        buf_init(&b, SEGMENT_STORED_LIMIT);
        buf_put(&b, e->bytes, e->n);
        mem_put(&s->place, segment_key(s->place.now_ms + 1, 5, name), buf_str(&b));
        mem_remove(&s->place, key);
        buf_free(&b);
        s->victim = STR_NONE;
    }
}

static void segment_that_goes_while_one_reads_is_looked_for_again(void **state)
{
    struct scene *s = *state;
    put_named(s, s->place.now_ms, 1, "x");
    s->victim = put_named(s, s->place.now_ms, 2, "y");
    s->b.before = merge_behind_the_reader;
    s->b.context = s;
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x") && sees(s, &s->two, "y"));
}

/* One that others merge all the time: what it lists is gone when it is asked for. */
static void merge_again_and_again(void *context, struct mem_handle *h, enum mem_op op,
                                  struct str key)
{
    struct scene *s = context;
    if (op == MEM_GET && str_starts(key, STR("m/"))) {
        s->victim = key;
        merge_behind_the_reader(context, h, op, key);
        mem_pass(&s->place, 10);
    }
}

static void full_list_that_meets_a_gap_is_begun_again(void **state)
{
    struct scene *s = *state;
    put_named(s, s->place.now_ms, 1, "x");
    assert_true(sync_view(s, &s->two));
    mem_pass(&s->place, 25 * HOUR_MS);
    s->victim = put_named(s, s->place.now_ms, 2, "y");
    put_named(s, s->place.now_ms, 3, "z");
    s->b.before = merge_behind_the_reader;
    s->b.context = s;
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x") && sees(s, &s->two, "y") && sees(s, &s->two, "z"));
    assert_int_equal(s->two.full_boot_ns, s->place.now_ms * 1000000);
}

/* Nothing is forgotten by a list of which something is missing, nor does the next one begin behind it. */
static void full_list_with_nothing_but_gaps_does_not_count(void **state)
{
    struct scene *s = *state;
    struct str x = put_named(s, s->place.now_ms, 1, "x");
    assert_true(sync_view(s, &s->two));
    int64_t began = s->two.list_began_ms;
    mem_pass(&s->place, 25 * HOUR_MS);
    mem_remove(&s->place, x);
    put_named(s, s->place.now_ms, 2, "y");
    s->b.before = merge_again_and_again;
    s->b.context = s;
    assert_false(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x"));
    assert_int_equal(s->two.list_began_ms, began);
    assert_int_equal(s->two.full_boot_ns, began * 1000000);
    s->b.before = NULL;
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "y"));
    assert_false(sees(s, &s->two, "x"));
}

static void failed_fetch_is_made_up_for(void **state)
{
    struct scene *s = *state;
    assert_true(sync_view(s, &s->two));
    int64_t began = s->two.list_began_ms;
    put_named(s, s->place.now_ms, 1, "x");
    mem_pass(&s->place, HOUR_MS);
    s->b.fail_get = 1;
    assert_false(sync_view(s, &s->two));
    assert_int_equal(s->two.list_began_ms, began); /* else it would be passed over */
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x"));
}

static void garbled_segment_is_absent_and_told_once(void **state)
{
    struct scene *s = *state;
    char name[SEGMENT_NAME];
    mem_put(&s->place, segment_key(s->place.now_ms, 1, name), STR("rubbish"));
    mem_put(&s->place, segment_key(s->place.now_ms, 2, name), STR("more"));
    put_named(s, s->place.now_ms, 3, "x");
    assert_true(sync_view(s, &s->two));
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x"));
    assert_int_equal(s->notes.warnings, 1);
}

static void wrong_clock_is_corrected_by_the_depots(void **state)
{
    struct scene *s = *state;
    s->a.skew_ms = 300 * HOUR_MS;
    assert_int_equal(publish(s, &s->one, "x"), MANIFEST_DONE);
    bool timely = false;
    for (uint32_t i = 0; i < s->one.view.count; i++) {
        timely |= view_segment_is_timely(s->one.view.segments[i]);
    }
    assert_true(timely);
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x"));
}

static void stall_put(void *context, struct mem_handle *h, enum mem_op op, struct str key)
{
    struct scene *s = context;
    (void)h;
    (void)key;
    if (op == MEM_PUT) {
        mem_pass(&s->place, s->stall_ms);
        s->stall_ms = 0;
    }
}

static void put_that_took_too_long_is_repeated(void **state)
{
    struct scene *s = *state;
    assert_true(sync_view(s, &s->one));
    s->a.before = stall_put;
    s->a.context = s;
    s->stall_ms = 11 * MINUTE_MS;
    assert_int_equal(publish(s, &s->one, "x"), MANIFEST_DONE);
    assert_int_equal(mem_count(&s->place, STR("m/")), 2);
    s->stall_ms = 9 * MINUTE_MS;
    assert_int_equal(publish(s, &s->one, "y"), MANIFEST_DONE);
    assert_int_equal(mem_count(&s->place, STR("m/")), 3);
}

static void lost_answer_leaves_the_result_twice_and_seen_once(void **state)
{
    struct scene *s = *state;
    s->a.lose_put = 1;
    assert_int_equal(publish(s, &s->one, "x"), MANIFEST_DONE);
    assert_int_equal(mem_count(&s->place, STR("m/")), 2);
    assert_true(sync_view(s, &s->two));
    assert_true(sees(s, &s->two, "x"));
}

static void place_that_takes_nothing_is_told(void **state)
{
    struct scene *s = *state;
    s->a.dead = true;
    assert_int_equal(publish(s, &s->one, "x"), MANIFEST_FAILED);
    assert_true(s->notes.warnings > 0 && s->notes.errors == 0);
}

static void pack_must_be_own_or_seen(void **state)
{
    struct scene *s = *state;
    struct segment_draft d;
    struct pack_run run = {{{7}}, 8, 100, 1};
    struct pack_place place = {{REF_BLOB, 90, fingerprint("bytes")}, &run, 1};
    draft_with(s, &d, "x");
    segment_draft_add_place(&d, &place);
    assert_int_equal(manifest_publish(&s->one, &d, &s->notes), MANIFEST_DOOMED);
    manifest_add_own(&s->one, &run.pack, s->place.now_ms * 1000000);
    assert_int_equal(manifest_publish(&s->one, &d, &s->notes), MANIFEST_DONE);
    assert_true(sync_view(s, &s->two));
    assert_int_equal(manifest_publish(&s->two, &d, &s->notes), MANIFEST_DONE);
    struct segment_draft c; /* somebody condemns it */
    struct segment_condemned condemned = {run.pack, 0};
    segment_draft_init(&c);
    segment_draft_add_condemned(&c, &condemned);
    assert_int_equal(manifest_publish(&s->one, &c, &s->notes), MANIFEST_DONE);
    mem_pass(&s->place, 11 * MINUTE_MS);
    assert_int_equal(manifest_publish(&s->two, &d, &s->notes), MANIFEST_DOOMED);
    assert_int_equal(manifest_publish(&s->one, &d, &s->notes), MANIFEST_DOOMED); /* own, but … */
    segment_draft_free(&c);
    segment_draft_free(&d);
}

static void own_pack_counts_on_itself_for_twelve_hours(void **state)
{
    struct scene *s = *state;
    struct pack_id id = {{7}};
    manifest_add_own(&s->one, &id, s->place.now_ms * 1000000);
    mem_pass(&s->place, 12 * HOUR_MS - 1);
    assert_true(manifest_may_name(&s->one, &id));
    mem_pass(&s->place, 1);
    assert_false(manifest_may_name(&s->one, &id));
}

static void mistimed_condemnation_is_void(void **state)
{
    struct scene *s = *state;
    struct segment_draft d;
    struct segment_condemned condemned = {{{7}}, 0};
    struct buf bytes;
    char name[SEGMENT_NAME];
    segment_draft_init(&d);
    segment_draft_add_condemned(&d, &condemned);
    buf_init(&bytes, SEGMENT_STORED_LIMIT);
    assert_true(segment_draft_write(&d, &bytes));
    mem_put(&s->place, segment_key(s->place.now_ms - HOUR_MS, 1, name), buf_str(&bytes));
    assert_true(sync_view(s, &s->two));
    const struct view_pack *p = view_find_pack(&s->two.view, &condemned.pack);
    assert_true(!p || !p->condemned_ms);
    mem_put(&s->place, segment_key(s->place.now_ms - MINUTE_MS, 1, name), buf_str(&bytes));
    assert_true(sync_view(s, &s->two));
    p = view_find_pack(&s->two.view, &condemned.pack);
    assert_true(p && p->condemned_ms == s->place.now_ms);
    buf_free(&bytes);
    segment_draft_free(&d);
}

static bool reads_format(struct scene *s, struct str text)
{
    struct manifest m;
    mem_put(&s->place, STR("format"), text);
    manifest_init(&m, &s->a.depot, false, mem_world(&s->a));
    bool ok = manifest_read_format(&m, true, &s->notes);
    if (ok) {
        assert_int_equal(m.keep_ms, 7 * MANIFEST_DAY_MS);
    }
    manifest_free(&m);
    return ok;
}

static void format_is_made_by_the_first_and_understood_or_refused(void **state)
{
    struct scene *s = *state;
    assert_true(manifest_read_format(&s->one, false, &s->notes));
    assert_int_equal(mem_count(&s->place, STR("format")), 0);
    assert_true(manifest_read_format(&s->one, true, &s->notes));
    assert_int_equal(mem_count(&s->place, STR("format")), 1);
    assert_true(reads_format(s, STR("{\"pawl\":1,\"keep_days\":7,\"new\":true}")));
    assert_true(reads_format(s, STR("{\"pawl\":1,\"keep_days\":7,\"needs\":[]}")));
    assert_false(reads_format(s, STR("{\"pawl\":1,\"keep_days\":7,\"needs\":[\"x\"]}")));
    assert_false(reads_format(s, STR("{\"pawl\":2}")));
    assert_false(reads_format(s, STR("rubbish")));
}

/* Beyond the bounds a place is as if it were not there, but for who tidies it up. */
static void too_much_is_not_taken_in(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < 8; i++) {
        struct segment_draft d;
        char name[2] = {(char)('a' + i), 0};
        draft_with(s, &d, name);
        assert_int_equal(manifest_publish(&s->one, &d, &s->notes), MANIFEST_DONE);
        segment_draft_free(&d);
    }
    struct manifest_bounds most = MANIFEST_BOUNDS;
    const struct manifest_bounds tight[] = {{7, most.bytes, most.raw, most.items},
                                            {most.segments, 300, most.raw, most.items},
                                            {most.segments, most.bytes, 300, most.items},
                                            {most.segments, most.bytes, most.raw, 3}};
    for (int i = 0; i < 4; i++) {
        struct manifest m;
        uint32_t notes = s->notes.all.n;
        manifest_init(&m, &s->b.depot, false, mem_world(&s->b));
        m.bounds = tight[i];
        assert_false(manifest_sync(&m, true, &s->notes));
        assert_false(manifest_sync(&m, true, &s->notes));
        assert_int_equal(s->notes.all.n, notes + 1); /* told once */
        assert_string_equal(s->notes.all.at[notes].code, "cache-too-many");
        assert_true(m.view.count < 8);
        manifest_widen(&m);
        assert_true(manifest_sync(&m, true, &s->notes));
        assert_int_equal(m.view.count, 8);
        manifest_free(&m);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(too_much_is_not_taken_in),
        CASE(one_publishes_and_the_other_sees),
        CASE(nothing_new_costs_one_request),
        CASE(lean_view_keeps_the_places_of_what_it_published),
        CASE(what_is_passed_over_is_read_by_a_full_list),
        CASE(late_name_is_found),
        CASE(writer_from_the_future_hides_nobody),
        CASE(what_came_too_late_is_found_by_the_full_list),
        CASE(only_a_full_list_forgets),
        CASE(segment_that_goes_while_one_reads_is_looked_for_again),
        CASE(full_list_that_meets_a_gap_is_begun_again),
        CASE(full_list_with_nothing_but_gaps_does_not_count),
        CASE(failed_fetch_is_made_up_for),
        CASE(garbled_segment_is_absent_and_told_once),
        CASE(wrong_clock_is_corrected_by_the_depots),
        CASE(put_that_took_too_long_is_repeated),
        CASE(lost_answer_leaves_the_result_twice_and_seen_once),
        CASE(place_that_takes_nothing_is_told),
        CASE(pack_must_be_own_or_seen),
        CASE(own_pack_counts_on_itself_for_twelve_hours),
        CASE(mistimed_condemnation_is_void),
        CASE(format_is_made_by_the_first_and_understood_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
