/* SPDX-License-Identifier: MIT */
/* The scheduler: who starts first, who blocks whom, and the same choices as a naive one that looks at every
 * waiting step each time. */
#include "core/sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 64, POOLS = 3 };

struct fixture {
    struct arena arena;
    struct graph_step *steps;
    struct graph_pool pools[POOLS];
    struct graph g;
};

static void fixture_init(struct fixture *f, uint32_t steps)
{
    memset(f, 0, sizeof *f);
    f->steps = ARENA_ARRAY(&f->arena, struct graph_step, steps);
    for (uint32_t i = 0; i < steps; i++) {
        f->steps[i].pool = GRAPH_NONE;
    }
    for (uint32_t i = 0; i < POOLS; i++) {
        f->pools[i].limit = i + 1;
    }
    f->g.steps = f->steps;
    f->g.step_count = steps;
    f->g.pools = f->pools;
    f->g.pool_count = POOLS;
}

static struct sched *make(struct fixture *f, uint32_t jobs)
{
    struct sched_limits limits = {.jobs = jobs, .cpus = 4, .memory_bytes = 8000, .gpu_count = 2};
    return sched_make(&f->arena, &f->g, &limits);
}

static void push(struct sched *s, uint32_t step, int64_t priority)
{
    sched_push(s, (step_id){step}, priority);
}

/* The step that starts next, or -1. */
static int64_t next(struct sched *s, struct sched_grant *grant)
{
    return sched_next(s, 0, grant) ? (int64_t)grant->step.i : -1;
}

static void wants_cpus(struct fixture *f, uint32_t step, double cpus)
{
    f->steps[step].cpus = cpus;
    f->steps[step].flags |= GRAPH_STEP_HAS_CPUS;
}

static void wants_memory(struct fixture *f, uint32_t step, uint64_t bytes)
{
    f->steps[step].memory_bytes = bytes;
    f->steps[step].flags |= GRAPH_STEP_HAS_MEMORY;
}

static void sched_longest_path_starts_first_and_ties_keep_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, STEPS);
    struct sched *s = make(&f, STEPS);
    const int64_t priorities[] = {5, 9, 5, 7, 9, 5};
    for (uint32_t i = 6; i-- > 0;) {
        push(s, i, priorities[i]);
    }
    assert_int_equal(sched_waiting(s), 6);
    const uint32_t expected[] = {1, 4, 3, 0, 2, 5};
    struct sched_grant grant;
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(next(s, &grant), expected[i]);
        assert_false(grant.beyond_means);
        assert_int_equal(grant.gpus, 0);
    }
    assert_int_equal(next(s, &grant), -1);
    assert_int_equal(sched_running(s), 6);
    arena_free(&f.arena);
}

static void sched_job_slots_bound_what_runs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, STEPS);
    struct sched *s = make(&f, 2);
    struct sched_grant grants[3];
    for (uint32_t i = 0; i < 3; i++) {
        push(s, i, 1);
    }
    assert_int_equal(next(s, &grants[0]), 0);
    assert_int_equal(next(s, &grants[1]), 1);
    assert_int_equal(next(s, &grants[2]), -1);
    sched_release(s, &grants[0]);
    assert_int_equal(next(s, &grants[2]), 2);
    assert_int_equal(sched_running(s), 2);
    assert_int_equal(sched_waiting(s), 0);
    arena_free(&f.arena);
}

static void sched_full_pool_blocks_only_its_own(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, STEPS);
    f.steps[0].pool = f.steps[1].pool = 0; /* one at once */
    struct sched *s = make(&f, STEPS);
    push(s, 0, 100);
    push(s, 1, 90);
    push(s, 2, 1);
    struct sched_grant first;
    struct sched_grant grant;
    assert_int_equal(next(s, &first), 0);
    assert_int_equal(next(s, &grant), 2);
    assert_int_equal(next(s, &grant), -1);
    push(s, 3, 0);
    assert_int_equal(next(s, &grant), 3);
    sched_release(s, &grant); /* of no pool: does not help */
    assert_int_equal(next(s, &grant), -1);
    sched_release(s, &first);
    assert_int_equal(next(s, &grant), 1);
    arena_free(&f.arena);
}

static void sched_keeps_within_cpus_and_memory(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, STEPS);
    wants_cpus(&f, 0, 3);
    wants_cpus(&f, 1, 1.5);
    wants_cpus(&f, 2, 1);
    wants_memory(&f, 3, 8000);
    wants_memory(&f, 4, 1);
    struct sched *s = make(&f, STEPS);
    struct sched_grant grants[STEPS];
    for (uint32_t i = 0; i < 5; i++) {
        push(s, i, 10 - (int64_t)i);
    }
    assert_int_equal(next(s, &grants[0]), 0);
    assert_int_equal(next(s, &grants[2]), 2); /* 3 + 1.5 would be too many */
    assert_int_equal(next(s, &grants[3]), 3);
    assert_int_equal(next(s, &grants[4]), -1);
    sched_release(s, &grants[3]);
    assert_int_equal(next(s, &grants[4]), 4);
    sched_release(s, &grants[2]);
    assert_int_equal(next(s, &grants[1]), -1);
    sched_release(s, &grants[0]);
    assert_int_equal(next(s, &grants[1]), 1);
    arena_free(&f.arena);
}

static void sched_tenths_of_cpus_add_up_to_the_machine(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, STEPS);
    struct sched *s = make(&f, STEPS);
    struct sched_grant grants[STEPS];
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 41; i++) {
            wants_cpus(&f, i, 0.1);
            push(s, i, 1);
        }
        for (uint32_t i = 0; i < 40; i++) {
            assert_int_equal(next(s, &grants[i]), i);
        }
        assert_int_equal(next(s, &grants[40]), -1);
        for (uint32_t i = 0; i < 40; i++) {
            sched_release(s, &grants[i]);
        }
        assert_int_equal(next(s, &grants[40]), 40);
        sched_release(s, &grants[40]);
    }
    arena_free(&f.arena);
}

static void sched_step_beyond_the_machine_runs_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, STEPS);
    wants_cpus(&f, 0, 64);
    wants_memory(&f, 3, 9000);
    struct sched *s = make(&f, STEPS);
    struct sched_grant small;
    struct sched_grant grant;
    push(s, 1, 1);
    assert_int_equal(next(s, &small), 1);
    push(s, 0, 100);
    push(s, 3, 90);
    assert_int_equal(next(s, &grant), -1);
    sched_release(s, &small);
    assert_int_equal(next(s, &grant), 0);
    assert_true(grant.beyond_means);
    push(s, 2, 200);
    assert_int_equal(next(s, &small), -1);
    sched_release(s, &grant);
    assert_int_equal(next(s, &small), 2);
    assert_int_equal(next(s, &grant), -1);
    sched_release(s, &small);
    assert_int_equal(next(s, &grant), 3);
    assert_true(grant.beyond_means);
    arena_free(&f.arena);
}

static void sched_gives_each_its_own_gpus(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, STEPS);
    f.steps[0].gpus = f.steps[1].gpus = f.steps[2].gpus = 1;
    f.steps[3].gpus = 2;
    struct sched *s = make(&f, STEPS);
    struct sched_grant grants[4];
    for (uint32_t i = 0; i < 4; i++) {
        push(s, i, 10 - (int64_t)i);
    }
    assert_int_equal(next(s, &grants[0]), 0);
    assert_int_equal(next(s, &grants[1]), 1);
    assert_int_equal(grants[0].gpus, 1);
    assert_int_equal(grants[1].gpus, 2);
    assert_int_equal(next(s, &grants[2]), -1);
    sched_release(s, &grants[1]);
    assert_int_equal(next(s, &grants[2]), 2);
    assert_int_equal(grants[2].gpus, 2);
    sched_release(s, &grants[0]);
    assert_int_equal(next(s, &grants[3]), -1);
    sched_release(s, &grants[2]);
    assert_int_equal(next(s, &grants[3]), 3);
    assert_int_equal(grants[3].gpus, 3);
    arena_free(&f.arena);
}

static void sched_high_load_leaves_one_job_running(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, STEPS);
    struct sched_limits limits = {.jobs = 8, .max_load = 2.5};
    struct sched *s = sched_make(&f.arena, &f.g, &limits);
    struct sched_grant grant;
    push(s, 0, 1);
    push(s, 1, 1);
    push(s, 2, 1);
    assert_true(sched_next(s, 9, &grant));
    assert_false(sched_next(s, 9, &grant));
    assert_false(sched_next(s, 2.5, &grant));
    assert_true(sched_next(s, 2.4, &grant));
    arena_free(&f.arena);
}

static void count_drop(void *context, step_id step)
{
    uint32_t *dropped = context;
    dropped[step.i]++;
}

static void sched_clear_gives_back_what_waits(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, STEPS);
    f.steps[1].pool = f.steps[2].pool = 0;
    struct sched *s = make(&f, STEPS);
    struct sched_grant first;
    struct sched_grant grant;
    push(s, 1, 10);
    push(s, 2, 9);
    assert_int_equal(next(s, &first), 1);
    assert_int_equal(next(s, &grant), -1); /* 2 is set aside */
    push(s, 0, 1);
    uint32_t dropped[STEPS] = {0};
    sched_clear(s, count_drop, dropped);
    assert_int_equal(dropped[0], 1);
    assert_int_equal(dropped[1], 0);
    assert_int_equal(dropped[2], 1);
    assert_int_equal(sched_waiting(s), 0);
    assert_int_equal(sched_running(s), 1);
    push(s, 2, 9);
    sched_release(s, &first);
    assert_int_equal(next(s, &grant), 2);
    arena_free(&f.arena);
}

static void sched_move_keeps_tokens_under_new_numbers(void **state)
{
    (void)state;
    struct fixture f;
    struct fixture wider;
    fixture_init(&f, 3);
    fixture_init(&wider, 6);
    f.steps[0].pool = f.steps[1].pool = 0;
    f.steps[0].gpus = 1;
    wider.steps[3].pool = wider.steps[4].pool = 1; /* the same pool by another number */
    wider.pools[1].limit = 1;
    wider.steps[3].gpus = 1;
    wider.steps[5].gpus = 1;
    const uint32_t map[] = {3, 4, GRAPH_NONE};
    struct sched *s = make(&f, 8);
    struct sched_grant first;
    struct sched_grant grant;
    push(s, 0, 9);
    push(s, 1, 8);
    push(s, 2, 7);
    assert_int_equal(next(s, &first), 0);
    sched_move(s, &f.arena, &wider.g, map);
    assert_int_equal(sched_running(s), 1);
    assert_int_equal(sched_waiting(s), 1); /* the old 2 is gone */
    assert_int_equal(next(s, &grant), -1);
    push(s, 5, 1);
    assert_int_equal(next(s, &grant), 5);
    assert_int_equal(grant.gpus, 2);
    first.step.i = map[0];
    sched_release(s, &first);
    assert_int_equal(next(s, &grant), 4);
    arena_free(&f.arena);
    arena_free(&wider.arena);
}

/* ---- against a naive one ---- */

struct naive {
    const struct fixture *f;
    uint32_t jobs;
    bool waits[STEPS], runs[STEPS];
    int64_t priority[STEPS];
};

static bool naive_is_beyond(const struct graph_step *st)
{
    return ((st->flags & GRAPH_STEP_HAS_CPUS) && st->cpus > 4)
           || ((st->flags & GRAPH_STEP_HAS_MEMORY) && st->memory_bytes > 8000);
}

static bool naive_can_start(const struct naive *n, uint32_t step)
{
    const struct graph_step *st = &n->f->steps[step];
    uint32_t running = 0;
    uint32_t in_pool = 0;
    uint32_t gpus = st->gpus;
    double cpus = st->flags & GRAPH_STEP_HAS_CPUS ? st->cpus : 0;
    uint64_t memory = st->flags & GRAPH_STEP_HAS_MEMORY ? st->memory_bytes : 0;
    for (uint32_t i = 0; i < STEPS; i++) {
        const struct graph_step *other = &n->f->steps[i];
        if (!n->runs[i]) {
            continue;
        }
        if (naive_is_beyond(other) || naive_is_beyond(st)) {
            return false;
        }
        running++;
        in_pool += other->pool == st->pool;
        gpus += other->gpus;
        cpus += other->flags & GRAPH_STEP_HAS_CPUS ? other->cpus : 0;
        memory += other->flags & GRAPH_STEP_HAS_MEMORY ? other->memory_bytes : 0;
    }
    bool pool = st->pool == GRAPH_NONE || in_pool < n->f->pools[st->pool].limit;
    bool fits = naive_is_beyond(st) || (cpus <= 4 && memory <= 8000);
    return running < n->jobs && pool && gpus <= 2 && fits;
}

static int64_t naive_next(const struct naive *n)
{
    int64_t best = -1;
    for (uint32_t i = 0; i < STEPS; i++) {
        if (n->waits[i] && (best < 0 || n->priority[i] > n->priority[best])
            && naive_can_start(n, i)) {
            best = i;
        }
    }
    return best;
}

static uint32_t roll(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

static void random_steps(struct fixture *f, uint64_t *seed)
{
    for (uint32_t i = 0; i < STEPS; i++) {
        f->steps[i].pool = roll(seed, 2) ? GRAPH_NONE : roll(seed, POOLS);
        f->steps[i].gpus = roll(seed, 4) ? 0 : roll(seed, 3);
        if (roll(seed, 3) == 0) {
            wants_cpus(f, i, 0.25 * roll(seed, 20)); /* up to 4.75 of 4 */
        }
        if (roll(seed, 3) == 0) {
            wants_memory(f, i, roll(seed, 8500));
        }
    }
}

static void one_random_build(uint64_t seed)
{
    struct fixture f;
    fixture_init(&f, STEPS);
    random_steps(&f, &seed);
    struct naive n = {.f = &f, .jobs = 1 + roll(&seed, 9)};
    struct sched *s = make(&f, n.jobs);
    struct sched_grant grants[STEPS];
    uint32_t pushed = 0;
    for (uint32_t done = 0; done < STEPS;) {
        uint32_t what = roll(&seed, 3);
        if (what == 0 && pushed < STEPS) {
            n.priority[pushed] = roll(&seed, 10);
            n.waits[pushed] = true;
            push(s, pushed, n.priority[pushed]);
            pushed++;
        } else if (what == 1) {
            int64_t expected = naive_next(&n);
            struct sched_grant grant;
            assert_int_equal(next(s, &grant), expected);
            if (expected >= 0) {
                n.waits[expected] = false;
                n.runs[expected] = true;
                grants[expected] = grant;
                assert_int_equal(grant.beyond_means, naive_is_beyond(&f.steps[expected]));
            }
        } else {
            uint32_t from = roll(&seed, STEPS);
            for (uint32_t i = 0; i < STEPS; i++) {
                uint32_t step = (from + i) % STEPS;
                if (n.runs[step]) {
                    n.runs[step] = false;
                    sched_release(s, &grants[step]);
                    done++;
                    break;
                }
            }
        }
    }
    assert_int_equal(sched_running(s), 0);
    assert_int_equal(sched_waiting(s), 0);
    arena_free(&f.arena);
}

static void sched_chooses_as_a_naive_scheduler_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        one_random_build(seed * 7919);
    }
}

/* Quadratic work would take minutes here. */
static void sched_stands_a_hundred_thousand_ready_steps(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct fixture f;
    fixture_init(&f, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        f.steps[i].pool = i % 2 ? 0 : GRAPH_NONE;
        if (i % 5 == 0) {
            wants_memory(&f, i, 1 + i % 1000);
        }
    }
    struct sched *s = make(&f, 4);
    for (uint32_t i = 0; i < MANY; i++) {
        push(s, i, i % 2 ? MANY : i);
    }
    uint32_t done = 0;
    struct sched_grant running[4];
    while (done < MANY) {
        uint32_t n = 0;
        while (n < 4 && sched_next(s, 0, &running[n])) {
            n++;
        }
        assert_true(n > 0);
        for (uint32_t i = 0; i < n; i++) {
            sched_release(s, &running[i]);
        }
        done += n;
    }
    assert_int_equal(sched_waiting(s), 0);
    arena_free(&f.arena);
}

/* ---- paths ---- */

static void sched_paths_are_the_longest_over_wanted_steps(void **state)
{
    (void)state;
    /* 0 -> 1 -> 3, 0 -> 2 -> 3, 3 -> 4 (not wanted) */
    struct graph_step steps[5] = {0};
    struct graph_edge back[] = {
        {{1}, GRAPH_NEED}, {{2}, GRAPH_AFTER}, {{3}, GRAPH_NEED}, {{3}, GRAPH_NEED}, {{4}, 0}};
    const uint32_t order[] = {0, 2, 1, 3, 4};
    steps[0].dependents = (struct grange){0, 2};
    steps[1].dependents = (struct grange){2, 1};
    steps[2].dependents = (struct grange){3, 1};
    steps[3].dependents = (struct grange){4, 1};
    struct graph g = {
        .steps = steps, .step_count = 5, .back_edges = back, .back_edge_count = 5, .order = order};
    const uint8_t wanted[] = {1, 1, 1, 1, 0};
    const int64_t durations[] = {10, 200, 3000, 0, 1000000000};
    int64_t out[5];
    sched_paths(&g, wanted, durations, out);
    assert_int_equal(out[4], 0);
    assert_int_equal(out[3], 1000000); /* unknown: 1 ms */
    assert_int_equal(out[2], 1003000);
    assert_int_equal(out[1], 1000200);
    assert_int_equal(out[0], 1003010);
    const int64_t endless[] = {INT64_MAX, INT64_MAX, 1, INT64_MAX, 1};
    sched_paths(&g, wanted, endless, out);
    assert_true(out[0] == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sched_longest_path_starts_first_and_ties_keep_order),
        cmocka_unit_test(sched_job_slots_bound_what_runs),
        cmocka_unit_test(sched_full_pool_blocks_only_its_own),
        cmocka_unit_test(sched_keeps_within_cpus_and_memory),
        cmocka_unit_test(sched_tenths_of_cpus_add_up_to_the_machine),
        cmocka_unit_test(sched_step_beyond_the_machine_runs_alone),
        cmocka_unit_test(sched_gives_each_its_own_gpus),
        cmocka_unit_test(sched_high_load_leaves_one_job_running),
        cmocka_unit_test(sched_clear_gives_back_what_waits),
        cmocka_unit_test(sched_move_keeps_tokens_under_new_numbers),
        cmocka_unit_test(sched_chooses_as_a_naive_scheduler_does),
        cmocka_unit_test(sched_stands_a_hundred_thousand_ready_steps),
        cmocka_unit_test(sched_paths_are_the_longest_over_wanted_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
