/* SPDX-License-Identifier: MIT */
/* The pool: jobs go out whole and come back whole, lanes keep their order. Run under TSan as well. */
#include "core/base/file.h"
#include "core/base/workers.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

enum { JOBS = 500 };

struct tally {
    uint32_t done;
    uint32_t order[JOBS];
    struct workers *again; /* submit once more from done */
};

struct task {
    struct work work; /* first */
    struct tally *tally;
    uint32_t number, result, runs;
    uint32_t *shared; /* written by one lane's jobs, without any lock */
};

static void run_task(struct work *self)
{
    struct task *t = (struct task *)self;
    t->result = t->number * 2;
    t->runs++;
    if (t->shared) {
        *t->shared = *t->shared * 31 + t->number;
    }
}

static void task_done(struct work *self)
{
    struct task *t = (struct task *)self;
    t->tally->order[t->tally->done++ % JOBS] = t->number;
    if (t->tally->again && t->runs < 3) {
        workers_submit(t->tally->again, self);
    }
}

static struct task make_task(struct tally *tally, uint32_t number)
{
    return (struct task){
        .work = {.run = run_task, .done = task_done}, .tally = tally, .number = number};
}

static void workers_each_job_comes_back_once(void **state)
{
    (void)state;
    struct workers *w = workers_open(3);
    struct tally tally = {0};
    static struct task tasks[JOBS];
    for (uint32_t i = 0; i < JOBS; i++) {
        tasks[i] = make_task(&tally, i);
        workers_submit(w, &tasks[i].work);
    }
    while (workers_pending(w) > 0) {
        struct pollfd p = {.fd = workers_fd(w), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 10000), 1);
        workers_collect(w);
    }
    assert_int_equal(tally.done, JOBS);
    for (uint32_t i = 0; i < JOBS; i++) {
        assert_int_equal(tasks[i].result, 2 * i);
        assert_int_equal(tasks[i].runs, 1);
    }
    assert_int_equal(workers_collect(w), 0);
    struct pollfd p = {.fd = workers_fd(w), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    workers_wait(w); /* nothing pending: at once */
    workers_close(w);
}

static void workers_job_may_be_submitted_from_done(void **state)
{
    (void)state;
    struct workers *w = workers_open(2);
    struct tally tally = {.again = w};
    struct task tasks[8];
    for (uint32_t i = 0; i < 8; i++) {
        tasks[i] = make_task(&tally, i);
        workers_submit(w, &tasks[i].work);
    }
    while (workers_pending(w) > 0) {
        workers_wait(w);
    }
    assert_int_equal(tally.done, 24);
    workers_close(w);
}

static void workers_lane_keeps_order_and_is_alone(void **state)
{
    (void)state;
    struct workers *w = workers_open(4);
    struct tally tally = {0};
    static struct task tasks[JOBS];
    uint32_t shared[WORKERS_LANES] = {0};
    uint32_t want[WORKERS_LANES] = {0};
    for (uint32_t i = 0; i < JOBS; i++) {
        uint32_t lane = i % WORKERS_LANES;
        tasks[i] = make_task(&tally, i);
        tasks[i].work.lane = lane;
        tasks[i].shared = lane ? &shared[lane] : NULL;
        want[lane] = lane ? want[lane] * 31 + i : 0;
        workers_submit(w, &tasks[i].work);
    }
    while (workers_pending(w) > 0) {
        workers_wait(w);
    }
    assert_int_equal(tally.done, JOBS);
    assert_memory_equal(shared, want, sizeof want);
    workers_close(w);
}

static void count_up(void *context, uint32_t i)
{
    ((uint32_t *)context)[i]++;
}

static void workers_for_each_visits_each_index_once(void **state)
{
    (void)state;
    struct workers *w = workers_open(0);
    static uint32_t seen[100000];
    const uint32_t counts[] = {0, 1, 2, 17, 1000, 100000};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        for (uint32_t i = 0; i < counts[k]; i++) {
            seen[i] = 0;
        }
        workers_for_each(w, counts[k], count_up, seen);
        for (uint32_t i = 0; i < counts[k]; i++) {
            assert_int_equal(seen[i], 1);
        }
    }
    workers_close(w);
}

/* Odd ones take longer than those behind them. */
static void run_unevenly(struct work *self)
{
    struct task *t = (struct task *)self;
    if (t->number % 2) {
        usleep(2000);
    }
    run_task(self);
}

static void workers_jobs_in_turn_come_back_in_order(void **state)
{
    (void)state;
    struct workers *w = workers_open(4);
    struct tally tally = {0};
    static struct task tasks[40];
    for (uint32_t i = 0; i < 40; i++) {
        tasks[i] = make_task(&tally, i);
        tasks[i].work.run = run_unevenly;
        tasks[i].work.in_turn = true;
        workers_submit(w, &tasks[i].work);
    }
    while (workers_pending(w) > 0) {
        workers_wait(w);
    }
    for (uint32_t i = 0; i < 40; i++) {
        assert_int_equal(tally.order[i], i);
    }
    workers_close(w);
}

struct gate {
    struct task task; /* first */
    struct workers *workers;
    int go; /* a pipe's end */
};

/* Lets those behind it pass, and ends only when it is told to. */
static void run_at_gate(struct work *self)
{
    struct gate *g = (struct gate *)self;
    char byte = 0;
    workers_let_pass(g->workers, self);
    assert_int_equal(read(g->go, &byte, 1), 1);
    run_task(self);
}

static void workers_a_long_job_lets_others_pass(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct workers *w = workers_open(2);
    struct tally tally = {0};
    struct gate gate = {.task = make_task(&tally, 0), .workers = w, .go = ends[0]};
    gate.task.work.run = run_at_gate;
    gate.task.work.in_turn = true;
    struct task behind = make_task(&tally, 1);
    behind.work.in_turn = true;
    workers_submit(w, &gate.task.work);
    workers_submit(w, &behind.work);
    while (workers_pending(w) > 1) {
        (void)poll(&(struct pollfd){.fd = workers_fd(w), .events = POLLIN}, 1, -1);
        (void)workers_collect(w);
    }
    assert_int_equal(tally.order[0], 1);
    assert_int_equal(write(ends[1], "x", 1), 1);
    while (workers_pending(w) > 0) {
        workers_wait(w);
    }
    assert_int_equal(tally.order[1], 0);
    workers_close(w);
    close(ends[0]);
    close(ends[1]);
}

static void sleep_a_while(struct work *self)
{
    usleep(200000);
    ((struct task *)self)->runs++;
}

static void workers_for_each_does_not_wait_for_busy_threads(void **state)
{
    (void)state;
    struct workers *w = workers_open(1);
    struct tally tally = {0};
    struct task slow = make_task(&tally, 0);
    slow.work.run = sleep_a_while;
    workers_submit(w, &slow.work);
    usleep(20000);
    uint32_t seen[64] = {0};
    workers_for_each(w, 64, count_up, seen);
    assert_int_equal(workers_collect(w), 0); /* the slow one is still at it */
    assert_int_equal(seen[63], 1);
    workers_wait(w);
    assert_int_equal(slow.runs, 1);
    workers_close(w);
}

struct begun {
    struct work work;
    int told[2]; /* a pipe */
    uint32_t runs;
    struct tally *tally;
};

static void tell_and_sleep(struct work *self)
{
    struct begun *b = (struct begun *)self;
    assert_int_equal(write(b->told[1], "x", 1), 1);
    usleep(50000);
    b->runs++;
}

static void begun_done(struct work *self)
{
    ((struct begun *)self)->tally->done++;
}

static void workers_close_waits_for_what_is_under_way(void **state)
{
    (void)state;
    struct workers *w = workers_open(1);
    struct tally tally = {0};
    struct begun job = {.work = {.run = tell_and_sleep, .done = begun_done}, .tally = &tally};
    char byte;
    assert_int_equal(pipe(job.told), 0);
    workers_submit(w, &job.work);
    assert_int_equal(read(job.told[0], &byte, 1), 1);
    workers_close(w);
    assert_int_equal(job.runs, 1);
    assert_int_equal(tally.done, 0);
    close(job.told[0]);
    close(job.told[1]);
    workers_close(NULL);
}

struct departure {
    uint32_t left;
    int begun[2], gate[2], told[2]; /* pipes */
};

struct held {
    struct work work;
    struct departure *departure;
};

static void hold(struct work *self)
{
    char byte;
    struct departure *d = ((struct held *)self)->departure;
    assert_int_equal(write(d->begun[1], "x", 1), 1);
    assert_int_equal(read(d->gate[0], &byte, 1), 1);
}

static void never_done(struct work *self)
{
    (void)self;
    fail();
}

static void departed(void *context, struct work *left)
{
    struct departure *d = context;
    for (; left; left = left->next) {
        d->left++;
    }
    assert_int_equal(write(d->told[1], "x", 1), 1);
}

static void workers_that_are_left_end_by_themselves(void **state)
{
    (void)state;
    struct workers *w = workers_open(2);
    struct departure d = {0};
    struct held jobs[4];
    char byte;
    assert_int_equal(pipe(d.begun) + pipe(d.gate) + pipe(d.told), 0);
    for (uint32_t i = 0; i < 4; i++) {
        jobs[i] = (struct held){{.run = hold, .done = never_done, .lane = 1 + i / 2}, &d};
        workers_submit(w, &jobs[i].work);
    }
    assert_int_equal(read(d.begun[0], &byte, 1), 1);
    assert_int_equal(read(d.begun[0], &byte, 1), 1);
    workers_leave(w, departed, &d);
    assert_int_equal(write(d.gate[1], "xx", 2), 2); /* no more of them begin */
    assert_int_equal(read(d.told[0], &byte, 1), 1);
    assert_int_equal(d.left, 4);
    for (int i = 0; i < 2; i++) {
        close(d.begun[i]);
        close(d.gate[i]);
        close(d.told[i]);
    }
}

struct waiting {
    struct work work;
    struct guard *guard;
    bool ready, heard;
};

static void await_ready(struct work *work)
{
    struct waiting *x = (struct waiting *)work;
    guard_enter(x->guard);
    while (!x->ready && guard_wait(x->guard, time_boot_ns() + INT64_C(60000000000))) {
    }
    x->heard = x->ready;
    guard_leave(x->guard);
}

static void awaited(struct work *work)
{
    (void)work;
}

static void guard_wakes_who_waits_and_lets_others_in_meanwhile(void **state)
{
    (void)state;
    struct workers *w = workers_open(1);
    struct waiting x = {.work = {.run = await_ready, .done = awaited}, .guard = guard_open()};
    workers_submit(w, &x.work);
    guard_enter(x.guard);
    int64_t began = time_boot_ns();
    while (guard_wait(x.guard, began + 20000000)) { /* nobody wakes: until it is time */
    }
    assert_true(time_boot_ns() - began >= 20000000);
    x.ready = true;
    guard_wake(x.guard);
    guard_leave(x.guard);
    workers_wait(w);
    assert_true(x.heard);
    workers_close(w);
    guard_close(x.guard);
}

struct row {
    uint32_t made[JOBS];
};

static void make_one(void *context, uint32_t i)
{
    ((struct row *)context)->made[i] = i + 1;
}

static void workers_make_ahead_what_is_taken_in_any_order(void **state)
{
    (void)state;
    struct workers *w = workers_open(4);
    static struct row row;
    for (int round = 0; round < 20; round++) {
        row = (struct row){0};
        struct ahead *a = ahead_begin(w, JOBS, make_one, &row);
        for (uint32_t i = 0; i < JOBS; i++) {
            uint32_t n = (i * 7 + 400) % JOBS;
            ahead_wait(a, n);
            assert_int_equal(row.made[n], n + 1);
        }
        ahead_end(a);
    }
    ahead_end(NULL);
    workers_close(w);
}

static void workers_leave_out_what_nobody_waits_for(void **state)
{
    (void)state;
    struct workers *w = workers_open(2);
    static struct row row;
    struct ahead *a = ahead_begin(w, JOBS, make_one, &row);
    ahead_wait(a, 0);
    ahead_end(a);
    uint32_t made = 0;
    while (made < JOBS && row.made[made]) {
        made++;
    }
    for (uint32_t i = made; i < JOBS; i++) {
        assert_int_equal(row.made[i], 0); /* no gaps: begun in order, ended all */
    }
    ahead_end(ahead_begin(w, 0, make_one, &row));
    workers_close(w);
}

/* What one job shares out with whoever has nothing to do. */
struct sharing {
    struct work work; /* first */
    struct workers *workers;
    struct row row;
    uint32_t count, ended;
};

static void run_sharing(struct work *self)
{
    struct sharing *s = (struct sharing *)self;
    struct share *first = share_begin(s->workers, s->count, make_one, &s->row);
    static struct row none;
    share_end(share_begin(s->workers, 0, make_one, &none)); /* one within another */
    share_end(first);
    while (s->ended < s->count && s->row.made[s->ended] == s->ended + 1) {
        s->ended++;
    }
}

static void sharing_done(struct work *self)
{
    struct sharing *s = (struct sharing *)self;
    assert_int_equal(s->ended, s->count);
}

/* All threads share out at once, so that none is there to help: each must get to its end by itself. */
static void share_needs_nobody_else(void **state)
{
    (void)state;
    static struct sharing jobs[40];
    for (uint32_t threads = 1; threads <= 4; threads++) {
        struct workers *w = workers_open(threads);
        for (uint32_t i = 0; i < 40; i++) {
            jobs[i] = (struct sharing){.work = {.run = run_sharing, .done = sharing_done},
                                       .workers = w,
                                       .count = i % 4 ? i * 10 : i % 3};
            workers_submit(w, &jobs[i].work);
        }
        while (workers_pending(w) > 0) {
            workers_wait(w);
        }
        workers_close(w);
    }
}

static void share_without_a_pool_is_done_by_its_caller(void **state)
{
    (void)state;
    static struct row row;
    struct share *s = share_begin(NULL, JOBS, make_one, &row);
    assert_int_equal(row.made[0], 0);
    share_end(s);
    for (uint32_t i = 0; i < JOBS; i++) {
        assert_int_equal(row.made[i], i + 1);
    }
    share_end(NULL);
}

/* The first of two parts waits for the second to begin: on one thread it would wait forever. */
struct meeting {
    struct guard *guard;
    uint32_t here;
    bool alone;
};

static void meet(void *context, uint32_t i)
{
    (void)i;
    struct meeting *m = context;
    guard_enter(m->guard);
    m->here++;
    guard_wake(m->guard);
    while (m->here < 2 && guard_wait(m->guard, time_boot_ns() + INT64_C(60000000000))) {
    }
    m->alone = m->alone || m->here < 2;
    guard_leave(m->guard);
}

static void share_is_helped_with_by_who_has_nothing_to_do(void **state)
{
    (void)state;
    struct workers *w = workers_open(1);
    struct meeting m = {.guard = guard_open()};
    share_end(share_begin(w, 2, meet, &m));
    assert_int_equal(m.here, 2);
    assert_false(m.alone);
    workers_close(w);
    guard_close(m.guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_make_ahead_what_is_taken_in_any_order),
        cmocka_unit_test(workers_leave_out_what_nobody_waits_for),
        cmocka_unit_test(share_needs_nobody_else),
        cmocka_unit_test(share_without_a_pool_is_done_by_its_caller),
        cmocka_unit_test(share_is_helped_with_by_who_has_nothing_to_do),
        cmocka_unit_test(workers_each_job_comes_back_once),
        cmocka_unit_test(workers_jobs_in_turn_come_back_in_order),
        cmocka_unit_test(workers_a_long_job_lets_others_pass),
        cmocka_unit_test(workers_job_may_be_submitted_from_done),
        cmocka_unit_test(workers_lane_keeps_order_and_is_alone),
        cmocka_unit_test(workers_for_each_visits_each_index_once),
        cmocka_unit_test(workers_for_each_does_not_wait_for_busy_threads),
        cmocka_unit_test(workers_close_waits_for_what_is_under_way),
        cmocka_unit_test(workers_that_are_left_end_by_themselves),
        cmocka_unit_test(guard_wakes_who_waits_and_lets_others_in_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
