/* SPDX-License-Identifier: MIT */
/* What arrives becomes packs as it lies, sound ones; beside what is garbled or told wrongly, what is good comes through. */
#include "cache/depot_dir.h"
#include "cache/far_spool.h"
#include "core/base/workers.h"
#include "tests/unit/cache/two.h"

#include <sys/resource.h>

enum { RESULTS = 5, BYTES = 3000 };

static const char *const names[RESULTS] = {"v", "w", "x", "y", "z"};

/* Five results of noise in one far pack. */
static void push_all(struct two *t)
{
    struct digest fps[RESULTS];
    struct far_pushed pushed;
    for (uint32_t i = 0; i < RESULTS; i++) {
        store(t->a, names[i], str_from(names[i]), noise(t->a, BYTES, i + 1));
        fps[i] = fingerprint(names[i]);
    }
    assert_true(cache_flush(t->a->cache, true, &t->a->notes));
    far_push(t->far_a, fps, RESULTS, soon(), &pushed, &t->a->notes);
    assert_true(pushed.whole);
}

/* All of them together; bit i: the i-th is here, and is right. */
static unsigned fetch_wants(struct two *t, struct far_want *wants)
{
    unsigned here = 0;
    far_fetch(t->far_b, wants, RESULTS, soon(), &t->b->arena, &t->b->notes);
    for (uint32_t i = 0; i < RESULTS; i++) {
        if (wants[i].here) {
            assert_true(wants[i].got.verified);
            assert_true(
                cache_restore(far_near(t->far_b), &wants[i].got, t->b->root, NULL, &t->b->notes));
            expect_file(t->b, str_from(names[i]), noise(t->a, BYTES, i + 1));
            assert_true(restore(t->b, names[i])); /* and by who holds it against its digests */
            here |= 1u << i;
        }
    }
    return here;
}

static void look_all(struct two *t, struct far_want *wants)
{
    for (uint32_t i = 0; i < RESULTS; i++) {
        struct far_hit *hits;
        assert_int_equal(look(t, names[i], &hits), 1);
        wants[i] = (struct far_want){.hit = &hits[0]};
    }
}

static unsigned fetch_all(struct two *t)
{
    struct far_want wants[RESULTS];
    look_all(t, wants);
    return fetch_wants(t, wants);
}

static void expect_sound(struct two *t, uint64_t objects)
{
    struct cache_check_report report;
    assert_true(cache_check(t->b->cache, &report, &t->b->notes));
    assert_int_equal(report.bad_packs, 0);
    assert_int_equal(report.bad_objects, 0);
    assert_int_equal(report.objects, objects);
    assert_int_equal(count_files(t->b, "tmp"), 0);
}

/* The pack's byte in the middle of the i-th of those that lie there. */
static off_t in_item(uint32_t i, uint32_t byte)
{
    return PACK_HEAD + (off_t)i * (BYTES + 5) + byte;
}

static void what_arrives_is_a_pack(void **state)
{
    struct two *t = *state;
    push_all(t);
    assert_int_equal(fetch_all(t), 31);
    assert_int_equal(count_files(t->b, "p"), 1);
    struct str mine, theirs; /* whose footers tell of the same */
    assert_true(file_read_quiet(&t->b->arena, FILE_CWD, only_file(t->b, STR("p")), 1 << 20, &mine));
    assert_true(file_read_quiet(&t->b->arena, FILE_CWD, far_file(t, STR("p")), 1 << 20, &theirs));
    assert_true(str_eq(mine, theirs));
    expect_sound(t, RESULTS);
}

static void garbled_item_leaves_the_others(void **state)
{
    struct two *t = *state;
    push_all(t);
    flip_byte(t->a, far_file(t, STR("p")), in_item(2, 1000));
    unsigned here = fetch_all(t);
    assert_int_equal(__builtin_popcount(here), RESULTS - 1);
    assert_int_equal(count_files(t->b, "p"), 1);
    expect_sound(t, RESULTS - 1); /* a fifth of it would be of no use */
}

static void item_whose_end_is_told_wrongly_leaves_the_others(void **state)
{
    struct two *t = *state;
    for (uint32_t byte = 0; byte < 5; byte++) {
        void *again = t;
        if (byte > 0) {
            assert_int_equal(end_two(&again), 0);
            assert_int_equal(begin_two(&again), 0);
            *state = t = again;
        }
        push_all(t);
        flip_byte(t->a, far_file(t, STR("p")), in_item(2, byte));
        unsigned here = fetch_all(t);
        assert_int_equal(__builtin_popcount(here), RESULTS - 1);
        expect_sound(t, RESULTS - 1);
    }
}

static void little_that_is_garbled_stays_in_the_pack(void **state)
{
    struct two *t = *state;
    struct digest fps[] = {fingerprint("big"), fingerprint("v")};
    struct far_pushed pushed;
    struct str big = noise(t->a, 20 * BYTES, 9);
    store(t->a, "big", STR("big"), big);
    store(t->a, "v", STR("v"), noise(t->a, BYTES, 1));
    assert_true(cache_flush(t->a->cache, true, &t->a->notes));
    far_push(t->far_a, fps, 2, soon(), &pushed, &t->a->notes);
    flip_byte(t->a, far_file(t, STR("p")), PACK_HEAD + 20 * BYTES + 500);
    struct far_hit *one, *other;
    assert_int_equal(look(t, "big", &one), 1);
    assert_int_equal(look(t, "v", &other), 1);
    struct far_want wants[] = {{.hit = one}, {.hit = other}};
    far_fetch(t->far_b, wants, 2, soon(), &t->b->arena, &t->b->notes);
    assert_true(wants[0].here);
    assert_false(wants[1].here);
    assert_true(restore(t->b, "big"));
    expect_file(t->b, STR("big"), big);
    expect_sound(t, 2); /* one is a blob of other bytes */
}

static void empty_b(struct two *t)
{
    far_close(t->far_b);
    assert_true(file_remove_tree(FILE_CWD, t->b->options.dir));
    reopen(t->b);
    t->far_b = open_far(t, t->b);
}

/* As somebody may tell who may write there: places are not signed. */
static void place_that_cuts_items_is_a_miss_of_its_own(void **state)
{
    static const struct {
        int offset, length;
        uint32_t count;
    } lies[] = {{1, 0, 1},  {-1, 0, 1}, {1, -1, 1},    {0, -1, 1},        {0, 1, 1},
                {0, 0, 2},  {-1, 1, 1}, {-7, 7, 1},    {0, 3 * BYTES, 1}, {0, 0, UINT32_MAX},
                {0, -5, 1}, {0, 1, 2},  {-3, 7000, 9}, {500, -500, 1}};
    struct two *t = *state;
    push_all(t);
    for (size_t i = 0; i < 2 * sizeof lies / sizeof lies[0]; i++) {
        struct far_want wants[RESULTS];
        size_t liar = i % 2;
        look_all(t, wants);
        struct pack_run *run = &wants[liar].hit->places.at[0].runs[0];
        run->offset += (uint64_t)lies[i / 2].offset;
        run->length += (uint64_t)lies[i / 2].length;
        run->count = lies[i / 2].count;
        assert_int_equal(fetch_wants(t, wants), 31 & ~(1u << liar));
        assert_int_equal(count_files(t->b, "p"), 1);
        empty_b(t);
    }
    assert_int_equal(fetch_all(t), 31);
    expect_sound(t, RESULTS);
}

static void large_file_is_a_pack_with_its_list(void **state)
{
    struct two *t = *state;
    struct str large = noise(t->a, 3 << 20, 1);
    store(t->a, "x", STR("x"), large);
    push(t, "x", 1);
    assert_true(fetch(t, "x"));
    expect_file(t->b, STR("x"), large);
    assert_int_equal(count_files(t->b, "p"), 1);
    struct cache_check_report report;
    assert_true(cache_check(t->b->cache, &report, &t->b->notes));
    assert_true(report.objects > 12);
    assert_true(restore(t->b, "x"));
}

/* Files that stand open are a part of what a process may have. */
static void many_files_leave_descriptors_to_others(void **state)
{
    enum { RUNS = 300, DESCRIPTORS = 200 };
    struct two *t = *state;
    struct pack_run runs[RUNS];
    struct rlimit old, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = (struct rlimit){DESCRIPTORS, old.rlim_max};
    for (uint32_t i = 0; i < RUNS; i++) {
        runs[i] = (struct pack_run){pack_id_random(), PACK_HEAD, FAR_LAYOUT_TARGET + 1, 1};
    }
    struct workers *pool = workers_open(1);
    struct depot *depot = depot_dir_open(t->far_dir, true, &t->a->notes);
    struct far_spool *s = far_spool_open(t->a->root);
    assert_non_null(pool);
    assert_non_null(depot);
    assert_non_null(s);
    const struct far_spool_source from = {depot, pool, soon()};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    far_spool_fill(s, &from, runs, RUNS);
    for (uint32_t i = 0; i < far_spool_file_count(s); i++) {
        const struct far_spool_file *f = far_spool_file(s, i);
        assert_in_range(f->fd, 0, DESCRIPTORS / 2);
        assert_false(f->whole);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    far_spool_close(s);
    depot_close(depot);
    workers_close(pool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_two, end_two)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_arrives_is_a_pack),
        TEST(garbled_item_leaves_the_others),
        TEST(item_whose_end_is_told_wrongly_leaves_the_others),
        TEST(little_that_is_garbled_stays_in_the_pack),
        TEST(place_that_cuts_items_is_a_miss_of_its_own),
        TEST(large_file_is_a_pack_with_its_list),
        TEST(many_files_leave_descriptors_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
