/* SPDX-License-Identifier: MIT */
/* Whatever a far server says of where things lie, and whatever bytes it has there: what is taken is right, and makes sound
 * packs. */
#include "tests/unit/cache/two.h"

enum { RESULTS = 7, ROUNDS = 40, RUNS_MOST = 12 };

static const char *const names[RESULTS] = {"t", "u", "v", "w", "x", "y", "z"};

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static uint64_t below(uint64_t *seed, uint64_t n)
{
    return next(seed) % n;
}

static struct str content(struct two *t, uint32_t i)
{
    static const uint32_t sizes[RESULTS] = {1, 300, 3000, 3000, 40000, 2 << 20, (2 << 20) + 70000};
    struct str text = noise(t->a, sizes[i], i == 6 ? 6 : i + 1);
    if (i == 4) { /* that is compressed */
        memset((char *)(uintptr_t)text.s + 100, 'x', text.n - 100);
    }
    return text;
}

static void lie(struct two *t, const struct far_hit *hit, const struct far_want *wants,
                uint64_t *seed)
{
    struct pack_place *p = &hit->places.at[0];
    struct pack_run *runs = ARENA_ARRAY(&t->b->arena, struct pack_run, RUNS_MOST);
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->run_count && n < RUNS_MOST; i++) {
        runs[n++] = p->runs[i];
    }
    for (uint64_t k = below(seed, 3); k-- > 0;) {
        const struct pack_place *other = &wants[below(seed, RESULTS)].hit->places.at[0];
        struct pack_run *run = &runs[below(seed, n)];
        switch (below(seed, 7)) {
        case 0: run->offset += below(seed, 9) - 4; break;
        case 1: run->length += below(seed, 9) - 4; break;
        case 2: run->count = (uint32_t)below(seed, 4); break;
        case 3: run->length = next(seed) >> below(seed, 64); break;
        case 4: run->offset = next(seed) >> below(seed, 64); break;
        case 5: *run = other->runs[below(seed, other->run_count)]; break;
        default:
            if (n < RUNS_MOST) {
                runs[n++] = runs[below(seed, n)];
            }
        }
    }
    p->runs = runs;
    p->run_count = n;
}

static void garble(struct two *t, uint64_t size, uint64_t *seed)
{
    static const uint32_t few[] = {0, 0, 1, 1, 2, 40};
    for (uint64_t k = few[below(seed, 6)]; k-- > 0;) {
        uint64_t at = below(seed, 3) ? below(seed, 60) * below(seed, 60) : below(seed, size);
        flip_byte(t->a, far_file(t, STR("p")), (off_t)(at < size ? at : 0));
    }
}

static void expect_right(struct two *t, struct far_want *wants)
{
    for (uint32_t i = 0; i < RESULTS; i++) {
        if (wants[i].here) {
            assert_true(
                cache_restore(far_near(t->far_b), &wants[i].got, t->b->root, NULL, &t->b->notes));
            expect_file(t->b, str_from(names[i]), content(t, i));
            assert_true(restore(t->b, names[i]));
        }
    }
    struct cache_check_report report;
    assert_true(cache_check(t->b->cache, &report, &t->b->notes));
    assert_int_equal(report.bad_packs, 0);
    assert_int_equal(report.bad_objects, 0);
    assert_int_equal(count_files(t->b, "tmp"), 0);
}

static void empty_b(struct two *t)
{
    far_close(t->far_b);
    assert_true(file_remove_tree(FILE_CWD, t->b->options.dir));
    reopen(t->b);
    t->far_b = open_far(t, t->b);
}

static void what_is_taken_is_right(void **state)
{
    struct two *t = *state;
    struct digest fps[RESULTS];
    struct far_pushed pushed;
    struct str pristine;
    uint64_t seed = UINT64_C(88172645463325252);
    for (uint32_t i = 0; i < RESULTS; i++) {
        store(t->a, names[i], str_from(names[i]), content(t, i));
        fps[i] = fingerprint(names[i]);
    }
    assert_true(cache_flush(t->a->cache, true, &t->a->notes));
    far_push(t->far_a, fps, RESULTS, soon(), &pushed, &t->a->notes);
    assert_true(pushed.whole);
    struct str path = far_file(t, STR("p"));
    assert_true(file_read_quiet(&t->a->arena, FILE_CWD, path, 64 << 20, &pristine));
    uint32_t here = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct far_want wants[RESULTS];
        for (uint32_t i = 0; i < RESULTS; i++) {
            struct far_hit *hits;
            assert_int_equal(look(t, names[i], &hits), 1);
            wants[i] = (struct far_want){.hit = &hits[0]};
        }
        for (uint32_t i = 0; i < RESULTS; i++) {
            if (below(&seed, 2)) {
                lie(t, wants[i].hit, wants, &seed);
            }
        }
        garble(t, pristine.n, &seed);
        far_fetch(t->far_b, wants, RESULTS, soon(), &t->b->arena, &t->b->notes);
        for (uint32_t i = 0; i < RESULTS; i++) {
            here += wants[i].here;
        }
        expect_right(t, wants);
        empty_b(t);
        assert_true(file_write(FILE_CWD, path, pristine, 0600, false));
    }
    assert_true(here > ROUNDS); /* about a half of them are not told wrongly */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_taken_is_right, begin_two, end_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
