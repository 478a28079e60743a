/* SPDX-License-Identifier: MIT */
/* A far place in a folder, between two local caches: what one has pushed the other fetches, verified, or not at all. */
#include "cache/far_send.h"
#include "tests/unit/cache/two.h"
#include "tests/unit/cache/whole.h"

static void result_goes_from_one_cache_to_the_other(void **state)
{
    struct two *t = *state;
    struct cache_hit *hits;
    store(t->a, "x", STR("out/x"), STR("hello\n"));
    push(t, "x", 1);
    assert_true(fetch(t, "x"));
    expect_file(t->b, STR("out/x"), STR("hello\n"));
    assert_int_equal(lookup(t->b, "x", &hits), 1); /* and it lies here from now on */
    assert_true(restore(t->b, "x"));
    assert_int_equal(t->a->notes.all.n, 0);
    assert_int_equal(t->b->notes.all.n, 0);
}

static void large_file_and_folder_come_through(void **state)
{
    struct two *t = *state;
    struct str large = noise(t->a, 3 << 20, 1);
    write_file(t->a, STR("d/one"), STR("1"));
    write_file(t->a, STR("d/sub/large"), large);
    write_file(t->a, STR("d/sub/twin"), large);
    write_file(t->a, STR("large"), large);
    struct record r = record_of(t->a, "x", STR("large"));
    struct record_output outputs[] = {r.outputs[0], output_of(t->a, STR("d"))};
    r.outputs = outputs;
    r.output_count = 2;
    uint64_t sequence;
    assert_true(cache_store(t->a->cache, &r, t->a->root, STR(""), &sequence, &t->a->notes));
    push(t, "x", 1);
    assert_true(fetch(t, "x"));
    expect_file(t->b, STR("large"), large);
    expect_file(t->b, STR("d/sub/twin"), large);
    expect_file(t->b, STR("d/one"), STR("1"));
}

/* Its lists come last, in a pack behind those of most chunks; what it says twice goes up once. */
static void plain_file_of_several_packs_comes_through(void **state)
{
    struct two *t = *state;
    struct str once = noise(t->a, 20 << 20, 1);
    struct str all = str_join3(&t->a->arena, once, str_sub(once, 0, 4 << 20), STR("end"));
    store(t->a, "x", STR("x"), all);
    (void)only_file(t->a, STR("b"));
    push(t, "x", 1);
    struct far_count count = far_place_count(far_place_of(t->far_a));
    assert_true(count.sent > once.n && count.sent < once.n + (1 << 20));
    assert_true(fetch(t, "x"));
    expect_file(t->b, STR("x"), all);
}

/* Readers would see it, but nobody is told of it at all. */
static void plain_file_that_was_garbled_is_not_pushed(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("x"), noise(t->a, 9 << 20, 1));
    flip_byte(t->a, only_file(t->a, STR("b")), 5000000);
    push(t, "x", 0);
    store(t->a, "y", STR("y"), STR("hello\n"));
    push(t, "y", 1);
    assert_true(fetch(t, "y"));
    assert_int_equal(look(t, "x", &hits), 0);
}

static void what_is_there_is_not_pushed_again(void **state)
{
    struct two *t = *state;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    struct far_count before = far_place_count(far_place_of(t->far_a));
    push(t, "x", 0);
    struct far_count after = far_place_count(far_place_of(t->far_a));
    assert_int_equal(before.puts, after.puts);
    far_close(t->far_a);
    t->far_a = open_far(t, t->a);
    push(t, "x", 0);
    assert_int_equal(far_place_count(far_place_of(t->far_a)).puts, 0);
}

static void same_bytes_go_up_once(void **state)
{
    struct two *t = *state;
    struct str large = noise(t->a, 2 << 20, 3);
    store(t->a, "x", STR("x"), large);
    push(t, "x", 1);
    uint64_t sent = far_place_count(far_place_of(t->far_a)).sent;
    store(t->a, "y", STR("y"), large);
    push(t, "y", 1);
    assert_true(far_place_count(far_place_of(t->far_a)).sent - sent < 4096);
    assert_true(fetch(t, "y"));
    expect_file(t->b, STR("y"), large);
}

/* Bytes and log came with the first result; each segment of the others says again where they lie, there and here. */
static void each_segment_holds_places_for_all_its_roots(void **state)
{
    struct two *t = *state;
    static const char *const NAMES[] = {"x", "y", "z"};
    write_file(t->a, STR("x"), STR("hello\n"));
    write_file(t->a, STR("log"), STR("it ran\n"));
    for (int i = 0; i < 3; i++) {
        struct record r = record_of(t->a, NAMES[i], STR("x"));
        uint64_t sequence;
        assert_true(cache_store(t->a->cache, &r, t->a->root, STR("log"), &sequence, &t->a->notes));
        push(t, NAMES[i], 1);
        if (i == 1) {
            far_close(t->far_a);
            t->far_a = open_far(t, t->a);
        }
    }
    (void)far_file(t, STR("p")); /* there is one */
    assert_int_equal(expect_whole_segments(t->far_dir), 3);
    for (int i = 0; i < 3; i++) {
        assert_true(fetch(t, NAMES[i]));
    }
    assert_int_equal(expect_whole_segments(t->b->options.dir), 3);
}

static void grown_file_goes_up_in_part(void **state)
{
    struct two *t = *state;
    struct str large = noise(t->a, 4 << 20, 3);
    store(t->a, "x", STR("x"), large);
    push(t, "x", 1);
    far_close(t->far_a);
    t->far_a = open_far(t, t->a);
    store(t->a, "y", STR("x"), str_join3(&t->a->arena, large, STR("and a little more"), STR("")));
    push(t, "y", 1);
    assert_true(far_place_count(far_place_of(t->far_a)).sent < 1 << 20);
    assert_true(fetch(t, "y"));
}

/* Packs that came through are not sent again, though the segment that should have named them never came. */
static void push_goes_on_where_it_was_stopped(void **state)
{
    struct two *t = *state;
    struct digest fp = fingerprint("x");
    struct far_pushed pushed;
    struct str obstacle = path_join(&t->a->arena, t->far_dir, STR("m"));
    store(t->a, "x", STR("x"), noise(t->a, 4 << 20, 3));
    assert_true(cache_flush(t->a->cache, true, &t->a->notes));
    assert_true(file_make_dirs(FILE_CWD, t->far_dir, 0700));
    assert_true(file_write(FILE_CWD, obstacle, STR(""), 0600, false));
    far_push(t->far_a, &fp, 1, soon(), &pushed, &t->a->notes);
    assert_false(pushed.whole);
    assert_true(file_remove(FILE_CWD, obstacle));
    for (int i = 0; i < 2; i++) {
        far_close(t->far_a);
        t->far_a = open_far(t, t->a);
        push(t, "x", i == 0);
        assert_true(far_place_count(far_place_of(t->far_a)).sent < 100000);
    }
    (void)far_file(t, STR("p")); /* there is one */
    assert_true(fetch(t, "x"));
    struct far_sent *sent;
    assert_int_equal(far_sent_read(far_place_of(t->far_a), &t->a->arena, &sent), 0);
}

static void lookup_asks_once_and_then_knows(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_int_equal(look(t, "x", &hits), 1);
    assert_int_equal(look(t, "y", &hits), 0);
    struct far_count count = far_place_count(far_place_of(t->far_b));
    assert_int_equal(count.lists, 1);
    assert_int_equal(count.gets, 2); /* format, one segment */
    far_close(t->far_b);
    t->far_b = open_far(t, t->b);
    assert_int_equal(look(t, "x", &hits), 1);
    count = far_place_count(far_place_of(t->far_b));
    assert_int_equal(count.lists, 1);
    assert_int_equal(count.gets, 0); /* both are kept */
}

static void copy_that_was_garbled_is_fetched_again(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_int_equal(look(t, "x", &hits), 1);
    struct str folder = path_join(&t->b->arena, far_place_folder(far_place_of(t->far_b)), STR("m"));
    flip_byte(t->b, only_file(t->b, folder), 70);
    far_close(t->far_b);
    t->far_b = open_far(t, t->b);
    assert_int_equal(look(t, "x", &hits), 1);
    assert_int_equal(far_place_count(far_place_of(t->far_b)).gets, 2);
}

static void garbled_pack_is_a_miss(void **state)
{
    struct two *t = *state;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    flip_byte(t->a, far_file(t, STR("p")), 13);
    assert_false(fetch(t, "x"));
    assert_false(exists(t->b, STR("x")));
    struct cache_hit *near;
    assert_int_equal(lookup(t->b, "x", &near), 0);
}

/* As after a power cut: packs that came from afar are not waited for. */
static void copy_here_that_was_garbled_is_fetched_anew(void **state)
{
    struct two *t = *state;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_true(fetch(t, "x"));
    flip_byte(t->b, only_file(t->b, STR("p")), 13);
    assert_true(fetch(t, "x"));
    expect_file(t->b, STR("x"), STR("hello\n"));
}

/* What was verified when it came is verified again by who finds it here. */
static void what_was_fetched_is_held_against_its_digests_later(void **state)
{
    struct two *t = *state;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_true(fetch(t, "x"));
    assert_true(restore(t->b, "x"));
    flip_byte(t->b, only_file(t->b, STR("p")), 13);
    assert_false(restore(t->b, "x"));
}

static void cut_and_absent_packs_are_misses(void **state)
{
    struct two *t = *state;
    store(t->a, "x", STR("x"), noise(t->a, 100000, 5));
    push(t, "x", 1);
    struct str pack = far_file(t, STR("p"));
    assert_int_equal(truncate(str_c(&t->a->arena, pack), 5000), 0);
    assert_false(fetch(t, "x"));
    assert_true(file_remove(FILE_CWD, pack));
    assert_false(fetch(t, "x"));
    assert_false(exists(t->b, STR("x")));
}

static void garbled_segment_is_no_result(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    flip_byte(t->a, far_file(t, STR("m")), 70);
    assert_int_equal(look(t, "x", &hits), 0);
}

static void too_late_is_a_miss(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_int_equal(look(t, "x", &hits), 1);
    struct far_want want = {.hit = &hits[0]};
    far_fetch(t->far_b, &want, 1, time_boot_ns() - 1, &t->b->arena, &t->b->notes);
    assert_false(want.here);
    assert_true(fetch(t, "x"));
}

static void unknown_format_is_told_once(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    assert_true(file_make_dirs(FILE_CWD, t->far_dir, 0700));
    assert_true(file_write(FILE_CWD, path_join(&t->a->arena, t->far_dir, STR("format")),
                           STR("{\"pawl\":2}"), 0600, false));
    assert_int_equal(look(t, "x", &hits), 0);
    assert_int_equal(look(t, "y", &hits), 0);
    assert_int_equal(t->b->notes.all.n, 1);
    assert_string_equal(t->b->notes.all.at[0].code, "remote-down");
}

static void reopen_far_b(struct two *t)
{
    far_close(t->far_b);
    t->far_b = open_far(t, t->b);
}

static void segment_that_came_garbled_is_not_kept(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    struct file_entry *entries;
    uint32_t count;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    flip_byte(t->a, far_file(t, STR("m")), 70);
    assert_int_equal(look(t, "x", &hits), 0);
    struct str folder = path_join(&t->b->arena, far_place_folder(far_place_of(t->far_b)), STR("m"));
    struct str copies = path_join(&t->b->arena, t->b->options.dir, folder);
    assert_true(file_list(&t->b->arena, FILE_CWD, copies, &entries, &count));
    assert_int_equal(count, 0);
    struct str synced = path_join(&t->b->arena, str_sub(copies, 0, copies.n - 2), STR("synced"));
    struct str text;
    assert_true(file_read_quiet(&t->b->arena, FILE_CWD, synced, 1000, &text));
    assert_true(str_find(text, STR("\"full_ms\":0}")) > 0); /* the next list is a full one */
    flip_byte(t->a, far_file(t, STR("m")), 70);
    reopen_far_b(t);
    assert_int_equal(look(t, "x", &hits), 1);
}

/* As when its put came hours late: others would not list it for a day. */
static void result_in_a_mistimed_segment_is_pushed_again(void **state)
{
    struct two *t = *state;
    struct cache_gc_options o = {0};
    struct cache_gc_report report;
    char key[SEGMENT_NAME];
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    struct str late = segment_key(time_now_ns() / 1000000 - 3600 * 1000, 7, key);
    assert_int_equal(rename(str_c(&t->a->arena, far_file(t, STR("m"))),
                            str_c(&t->a->arena, path_join(&t->a->arena, t->far_dir, late))),
                     0);
    far_close(t->far_a);
    t->far_a = open_far(t, t->a);
    assert_true(far_gc(t->far_a, &o, &report, &t->a->notes));
    push(t, "x", 1);
    push(t, "x", 0);
}

/* Its new results sort before what was listed while it was ahead. */
static void place_whose_clock_went_back_is_listed_in_full(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    char text[100];
    int64_t now_ms = time_now_ns() / 1000000;
    assert_int_equal(look(t, "x", &hits), 0);
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    struct str folder =
        path_join(&t->b->arena, t->b->options.dir, far_place_folder(far_place_of(t->far_b)));
    int n = snprintf(text, sizeof text, "{\"list_ms\":%lld,\"full_ms\":%lld}\n",
                     (long long)now_ms + 12 * 3600 * 1000, (long long)now_ms);
    assert_true(file_write(FILE_CWD, path_join(&t->b->arena, folder, STR("synced")),
                           (struct str){text, (size_t)n}, 0600, false));
    reopen_far_b(t);
    assert_int_equal(look(t, "x", &hits), 1);
}

/* The header's version is under no checksum. */
static void segment_of_a_wrong_version_is_read_anew_in_full(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    struct cache_gc_options o = {0};
    struct cache_gc_report report;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    flip_byte(t->a, far_file(t, STR("m")), 8);
    assert_int_equal(look(t, "x", &hits), 0);
    flip_byte(t->a, far_file(t, STR("m")), 8);
    reopen_far_b(t);
    assert_true(far_gc(t->far_b, &o, &report, &t->b->notes));
    assert_int_equal(look(t, "x", &hits), 1);
}

static void format_that_came_garbled_once_is_read_anew(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    assert_int_equal(look(t, "x", &hits), 0); /* of an empty place */
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    struct str format = path_join(&t->a->arena, t->far_dir, STR("format"));
    assert_true(file_write(FILE_CWD, format, STR("{\"pawl\":"), 0600, false));
    reopen_far_b(t);
    assert_int_equal(look(t, "x", &hits), 0);
    assert_true(file_write(FILE_CWD, format, STR("{\"pawl\":1}"), 0600, false));
    reopen_far_b(t);
    assert_int_equal(look(t, "x", &hits), 1);
}

static void place_that_takes_nothing_is_read_all_the_same(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    far_place_give_up(far_place_of(t->far_a), "gone");
    struct far_pushed pushed;
    struct digest fp = fingerprint("x");
    far_push(t->far_a, &fp, 1, soon(), &pushed, &t->a->notes);
    assert_false(pushed.whole);
    assert_int_equal(look(t, "x", &hits), 1);
}

static void older_result_says_how_long_it_takes(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("out/x"), STR("hello\n"));
    push(t, "x", 1);
    assert_int_equal(far_expect_ms(t->far_b, STR("out/x")), 0); /* nothing was asked yet */
    assert_int_equal(look(t, "y", &hits), 0);
    assert_int_equal(far_expect_ms(t->far_b, STR("out/x")), 1000);
    assert_int_equal(far_expect_ms(t->far_b, STR("out")), 0);
}

static void look_brings_what_is_new_since(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    assert_int_equal(look(t, "x", &hits), 0);
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_int_equal(look(t, "x", &hits), 0);
    far_look(t->far_b, &t->b->notes);
    assert_int_equal(look(t, "x", &hits), 1);
}

/* Another machine's, whose own place knows nothing of what t->far_b met. */
static bool third_can_fetch(struct two *t, const char *name)
{
    struct scene *c;
    assert_int_equal(begin((void **)&c), 0);
    struct two third = {.a = t->a, .b = c, .far_dir = t->far_dir};
    third.far_b = open_far(t, c);
    bool got = fetch(&third, name);
    far_close(third.far_b);
    void *state = c;
    end(&state);
    return got;
}

static void push_from_b(struct two *t, const char *name, uint32_t results)
{
    struct far_pushed pushed;
    struct digest fp = fingerprint(name);
    assert_true(cache_flush(t->b->cache, true, &t->b->notes));
    far_push(t->far_b, &fp, 1, soon(), &pushed, &t->b->notes);
    assert_true(pushed.whole);
    assert_int_equal(pushed.results, results);
}

static void what_is_gone_is_put_anew_by_who_makes_it_again(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    struct str large = noise(t->a, 3 << 20, 3);
    store(t->a, "x", STR("x"), large);
    push(t, "x", 1);
    assert_true(file_remove(FILE_CWD, far_file(t, STR("p"))));
    assert_false(fetch(t, "x"));
    uint64_t gets = far_place_count(far_place_of(t->far_b)).gets;
    assert_int_equal(look(t, "x", &hits), 0); /* nobody asks for it again … */
    far_close(t->far_b);
    t->far_b = open_far(t, t->b);
    assert_int_equal(look(t, "x", &hits), 0); /* … nor in the next build */
    assert_true(far_place_count(far_place_of(t->far_b)).gets < gets);
    store(t->b, "x", STR("x"), large);
    push_from_b(t, "x", 1);
    assert_true(far_place_count(far_place_of(t->far_b)).sent > 3 << 20);
    assert_true(third_can_fetch(t, "x"));
}

static void what_is_gone_is_put_anew_by_who_has_it(void **state)
{
    struct two *t = *state;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_true(fetch(t, "x"));
    push_from_b(t, "x", 0);
    struct str pack = far_file(t, STR("p"));
    assert_true(file_remove(FILE_CWD, pack));
    far_place_lose(far_place_of(t->far_b), str_tail(pack, t->far_dir.n + 1));
    push_from_b(t, "x", 1);
    push_from_b(t, "x", 0);
    assert_true(third_can_fetch(t, "x"));
}

static uint32_t used_day(struct two *t, const char *name)
{
    struct far_hit *hits;
    struct digest fp = fingerprint(name);
    far_close(t->far_b);
    t->far_b = open_far(t, t->b);
    (void)look(t, name, &hits);
    return view_used_day(&t->far_b->view.manifest.view, fp.b);
}

static void use_is_said_with_the_next_segment(void **state)
{
    struct two *t = *state;
    struct digest used[2] = {fingerprint("x"), fingerprint("x")};
    struct far_place *p = far_place_of(t->far_a);
    uint32_t today = (uint32_t)(time_now_ns() / INT64_C(86400000000000));
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_true(far_used_add(p, used, 2, today - 1));
    assert_true(far_used_add(p, used, 1, today + 7)); /* a clock that is ahead */
    uint64_t puts = far_place_count(p).puts;
    push(t, "x", 0);
    assert_int_equal(far_place_count(p).puts, puts); /* no request of its own */
    assert_int_equal(used_day(t, "x"), 0);
    store(t->a, "y", STR("y"), STR("and more\n"));
    push(t, "y", 1);
    assert_int_equal(far_place_count(p).puts, puts + 2); /* a pack and a segment */
    uint32_t said = used_day(t, "x");
    assert_true(said == today || said == today + 1); /* midnight may pass */
    assert_int_equal(used_day(t, "y"), 0);
    struct segment_use *left;
    assert_int_equal(far_used_read(p, &t->a->arena, &left), 0);
    /* Once a day: it is known by now. */
    assert_true(far_used_add(p, used, 1, said));
    store(t->a, "z", STR("z"), STR("and so on\n"));
    push(t, "z", 1);
    struct view *v = &t->far_a->pusher.view.manifest.view;
    uint32_t uses = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        uses += v->segments[i]->segment.uses.n;
    }
    assert_int_equal(uses, 1);
    assert_int_equal(far_used_read(p, &t->a->arena, &left), 0);
}

static void who_pushes_needs_no_list_of_its_own(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_int_equal(look(t, "x", &hits), 1);
    store(t->b, "y", STR("y"), STR("mine\n"));
    push_from_b(t, "y", 1);
    assert_int_equal(far_place_count(far_place_of(t->far_b)).lists, 1);
    assert_true(third_can_fetch(t, "y"));
}

static void list_counts_only_with_all_that_it_told_of(void **state)
{
    struct two *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("x"), STR("hello\n"));
    push(t, "x", 1);
    assert_int_equal(look(t, "x", &hits), 1);
    struct str folder = path_join(&t->b->arena, far_place_folder(far_place_of(t->far_b)), STR("m"));
    assert_true(file_remove(FILE_CWD, only_file(t->b, folder)));
    store(t->b, "y", STR("y"), STR("mine\n"));
    push_from_b(t, "y", 1);
    assert_int_equal(far_place_count(far_place_of(t->far_b)).lists, 2);
}

static void store_old(struct two *t, const char *name)
{
    write_file(t->a, str_from(name), str_from(name));
    struct record r = record_of(t->a, name, str_from(name));
    uint64_t sequence;
    r.success_ms -= 40 * INT64_C(86400000);
    assert_true(cache_store(t->a->cache, &r, t->a->root, STR(""), &sequence, &t->a->notes));
    push(t, name, 1);
}

static void what_was_of_use_is_kept(void **state)
{
    struct two *t = *state;
    struct digest used = fingerprint("x");
    struct cache_gc_options o = {.dry_run = true};
    struct cache_gc_report r;
    store_old(t, "x");
    store_old(t, "y");
    assert_true(far_gc(t->far_b, &o, &r, &t->b->notes));
    assert_int_equal(r.records_before, 2);
    assert_int_equal(r.records_after, 0);
    uint32_t today = (uint32_t)(time_now_ns() / INT64_C(86400000000000));
    assert_true(far_used_add(far_place_of(t->far_a), &used, 1, today));
    store(t->a, "z", STR("z"), STR("new\n"));
    push(t, "z", 1);
    assert_true(far_gc(t->far_b, &o, &r, &t->b->notes));
    assert_int_equal(r.records_before, 3);
    assert_int_equal(r.records_after, 2);
}

static void merging_leaves_what_is_young(void **state)
{
    struct two *t = *state;
    store(t->a, "x", STR("x"), STR("hello\n"));
    far_compact(t->far_a, true); /* nothing was pushed: not even asked */
    assert_int_equal(far_place_count(far_place_of(t->far_a)).lists, 0);
    push(t, "x", 1);
    struct far_count before = far_place_count(far_place_of(t->far_a));
    far_compact(t->far_a, true);
    struct far_count after = far_place_count(far_place_of(t->far_a));
    assert_int_equal(before.puts, after.puts);
    assert_int_equal(after.drops, 0);
    assert_true(fetch(t, "x"));
    store(t->a, "y", STR("y"), STR("and on it goes\n"));
    push(t, "y", 1);
    far_look(t->far_b, &t->b->notes);
    assert_true(fetch(t, "y"));
}

static void queue_keeps_what_is_not_dropped(void **state)
{
    struct two *t = *state;
    struct digest d[3] = {fingerprint("x"), fingerprint("y"), fingerprint("x")}, *left;
    const struct far_place *p = far_place_of(t->far_a);
    assert_true(far_queue_add(p, d, 3));
    assert_int_equal(far_queue_read(p, &t->a->arena, &left), 2);
    assert_true(far_queue_drop(p, d, 1));
    assert_int_equal(far_queue_read(p, &t->a->arena, &left), 1);
    assert_true(digest_eq(left, &d[1]));
}

/* A power cut or a full disk in the middle of an append. */
static void torn_append_costs_nothing_else(void **state)
{
    struct two *t = *state;
    struct digest d[2] = {fingerprint("x"), fingerprint("y")}, *left;
    const struct far_place *p = far_place_of(t->far_a);
    struct str folder =
        path_join(&t->a->arena, far_place_options(p)->near_dir, far_place_folder(p));
    assert_true(far_queue_add(p, d, 1));
    struct str path = path_join(&t->a->arena, folder, STR("wanted")), text;
    assert_true(file_read_quiet(&t->a->arena, FILE_CWD, path, 1 << 20, &text));
    text = str_join3(&t->a->arena, text, STR("torn"), STR(""));
    assert_true(file_write(FILE_CWD, path, text, 0600, false));
    assert_true(far_queue_add(p, d + 1, 1));
    assert_int_equal(far_queue_read(p, &t->a->arena, &left), 2);
    assert_true(digest_eq(&left[0], &d[0]) && digest_eq(&left[1], &d[1]));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_two, end_two)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(result_goes_from_one_cache_to_the_other),
        TEST(large_file_and_folder_come_through),
        TEST(plain_file_of_several_packs_comes_through),
        TEST(plain_file_that_was_garbled_is_not_pushed),
        TEST(what_is_there_is_not_pushed_again),
        TEST(same_bytes_go_up_once),
        TEST(each_segment_holds_places_for_all_its_roots),
        TEST(grown_file_goes_up_in_part),
        TEST(push_goes_on_where_it_was_stopped),
        TEST(lookup_asks_once_and_then_knows),
        TEST(copy_that_was_garbled_is_fetched_again),
        TEST(garbled_pack_is_a_miss),
        TEST(copy_here_that_was_garbled_is_fetched_anew),
        TEST(what_was_fetched_is_held_against_its_digests_later),
        TEST(cut_and_absent_packs_are_misses),
        TEST(garbled_segment_is_no_result),
        TEST(too_late_is_a_miss),
        TEST(unknown_format_is_told_once),
        TEST(segment_that_came_garbled_is_not_kept),
        TEST(result_in_a_mistimed_segment_is_pushed_again),
        TEST(place_whose_clock_went_back_is_listed_in_full),
        TEST(segment_of_a_wrong_version_is_read_anew_in_full),
        TEST(format_that_came_garbled_once_is_read_anew),
        TEST(place_that_takes_nothing_is_read_all_the_same),
        TEST(older_result_says_how_long_it_takes),
        TEST(look_brings_what_is_new_since),
        TEST(queue_keeps_what_is_not_dropped),
        TEST(torn_append_costs_nothing_else),
        TEST(what_is_gone_is_put_anew_by_who_makes_it_again),
        TEST(what_is_gone_is_put_anew_by_who_has_it),
        TEST(use_is_said_with_the_next_segment),
        TEST(who_pushes_needs_no_list_of_its_own),
        TEST(list_counts_only_with_all_that_it_told_of),
        TEST(what_was_of_use_is_kept),
        TEST(merging_leaves_what_is_young),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
