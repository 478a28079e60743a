/* SPDX-License-Identifier: MIT */
/* The loop: descriptors, timers, signals, and changes to them from within callbacks. */
#include "core/base/file.h"
#include "core/base/loop.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t MS = 1000000;

struct seen {
    struct loop *l;
    int calls, fd, other_fd, signal_number;
    int order[8];
    int64_t at;
};

static void read_one(void *context, int fd, short revents)
{
    struct seen *s = context;
    char c;
    s->calls++;
    s->fd = fd;
    assert_true(revents & (POLLIN | POLLHUP));
    assert_true(read(fd, &c, 1) >= 0);
}

static void loop_readable_descriptor_calls_back(void **state)
{
    (void)state;
    struct seen s = {.l = loop_open()};
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    loop_add_fd(s.l, pipes[0], POLLIN, read_one, &s);
    loop_wait(s.l, 0);
    assert_int_equal(s.calls, 0);
    assert_int_equal(write(pipes[1], "ab", 2), 2);
    loop_wait(s.l, 1000);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.fd, pipes[0]);
    loop_wait(s.l, 1000);
    assert_int_equal(s.calls, 2);
    loop_drop_fd(s.l, pipes[0]);
    loop_drop_fd(s.l, pipes[0]);
    assert_int_equal(write(pipes[1], "c", 1), 1);
    loop_wait(s.l, 0);
    assert_int_equal(s.calls, 2);
    close(pipes[0]);
    close(pipes[1]);
    loop_close(s.l);
}

static void drop_both(void *context, int fd, short revents)
{
    (void)revents;
    (void)fd;
    struct seen *s = context;
    s->calls++;
    loop_drop_fd(s->l, s->fd);
    loop_drop_fd(s->l, s->other_fd);
    loop_add_fd(s->l, s->other_fd, POLLIN, drop_both, s);
}

static void loop_watch_dropped_by_a_neighbour_is_silent(void **state)
{
    (void)state;
    struct seen s = {.l = loop_open()};
    int a[2];
    int b[2];
    assert_int_equal(pipe(a) + pipe(b), 0);
    s.fd = a[0];
    s.other_fd = b[0];
    loop_add_fd(s.l, a[0], POLLIN, drop_both, &s);
    loop_add_fd(s.l, b[0], POLLIN, drop_both, &s);
    assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
    loop_wait(s.l, 1000);
    assert_int_equal(s.calls, 1); /* the new watch is looked at in the next round only */
    loop_wait(s.l, 1000);
    assert_int_equal(s.calls, 2);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
    loop_close(s.l);
}

struct numbered {
    struct seen *seen;
    int number;
};

static void note_number(void *context)
{
    struct numbered *n = context;
    n->seen->order[n->seen->calls++] = n->number;
}

static void loop_timers_fire_in_order_once(void **state)
{
    (void)state;
    struct seen s = {.l = loop_open()};
    struct numbered n[4] = {{&s, 0}, {&s, 1}, {&s, 2}, {&s, 3}};
    int64_t now = time_boot_ns();
    loop_add_timer(s.l, now + 20 * MS, note_number, &n[2]);
    timer_id dropped = loop_add_timer(s.l, now + 5 * MS, note_number, &n[3]);
    loop_add_timer(s.l, now + 10 * MS, note_number, &n[0]);
    loop_add_timer(s.l, now + 10 * MS, note_number, &n[1]);
    loop_drop_timer(s.l, dropped);
    loop_drop_timer(s.l, dropped);
    loop_drop_timer(s.l, (timer_id){0});
    while (s.calls < 3 && time_boot_ns() < now + 5000 * MS) {
        loop_wait(s.l, 1000);
    }
    assert_int_equal(s.calls, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s.order[i], i);
    }
    assert_true(time_boot_ns() >= now + 20 * MS);
    assert_true(time_boot_ns() < now + 900 * MS);
    loop_close(s.l);
}

static void set_again(void *context)
{
    struct seen *s = context;
    s->calls++;
    loop_add_timer(s->l, 1, set_again, s); /* long past */
}

static void loop_timer_set_from_its_callback_waits_a_round(void **state)
{
    (void)state;
    struct seen s = {.l = loop_open()};
    loop_add_timer(s.l, 0, set_again, &s);
    loop_wait(s.l, 1000);
    assert_int_equal(s.calls, 1);
    loop_wait(s.l, 1000);
    assert_int_equal(s.calls, 2);
    loop_close(s.l);
}

enum { MANY = 3000 };

struct many {
    struct loop *l;
    timer_id ids[MANY];
    int64_t at_ns[MANY];
    bool dropped[MANY], fired[MANY];
    int64_t last_ns;
    int count;
};

struct one_of {
    struct many *all;
    int i;
};

/* Each drops one that may be due in the same round, and one that is not. */
static void fire_one(void *context)
{
    struct one_of *x = context;
    struct many *m = x->all;
    assert_false(m->dropped[x->i] || m->fired[x->i]);
    assert_true(m->at_ns[x->i] >= m->last_ns);
    m->last_ns = m->at_ns[x->i];
    m->fired[x->i] = true;
    m->count++;
    for (int k = 1; k < 3; k++) {
        int other = (x->i + k * 997) % MANY;
        if (x->i % 5 == 0 && !m->fired[other]) {
            m->dropped[other] = true;
            loop_drop_timer(m->l, m->ids[other]);
        }
    }
    loop_drop_timer(m->l, m->ids[x->i]);
}

static void loop_many_timers_fire_in_order_but_for_the_dropped(void **state)
{
    (void)state;
    static struct many m;
    static struct one_of each[MANY];
    m.l = loop_open();
    int64_t now = time_boot_ns();
    for (int i = 0; i < MANY; i++) {
        each[i] = (struct one_of){&m, i};
        m.at_ns[i] = now + (int64_t)i * 7919 % MANY / 100 * MS;
        m.ids[i] = loop_add_timer(m.l, m.at_ns[i], fire_one, &each[i]);
        for (int k = 0; k < i && i % 3 == 0; k += MANY / 4) {
            if (!m.dropped[i / 2 + k / 2]) {
                m.dropped[i / 2 + k / 2] = true;
                loop_drop_timer(m.l, m.ids[i / 2 + k / 2]);
            }
        }
    }
    int left = 1;
    while (left > 0 && time_boot_ns() < now + 10000 * MS) {
        loop_wait(m.l, 10);
        left = 0;
        for (int i = 0; i < MANY; i++) {
            left += !m.fired[i] && !m.dropped[i];
        }
    }
    assert_int_equal(left, 0);
    assert_true(m.count > MANY / 10);
    loop_close(m.l);
}

static void loop_wait_is_bounded(void **state)
{
    (void)state;
    struct loop *l = loop_open();
    int64_t begin = time_monotonic_ns();
    loop_wait(l, 20);
    int64_t took = time_monotonic_ns() - begin;
    assert_true(took >= 19 * MS && took < 1000 * MS);
    loop_close(l);
}

static void note_signal(void *context, int signal_number)
{
    struct seen *s = context;
    s->calls++;
    s->signal_number = signal_number;
}

static void loop_signals_come_as_callbacks(void **state)
{
    (void)state;
    struct seen s = {.l = loop_open()};
    assert_true(loop_add_signal(s.l, SIGUSR1, note_signal, &s));
    assert_true(loop_add_signal(s.l, SIGUSR2, note_signal, &s));
    raise(SIGUSR2);
    loop_wait(s.l, 1000);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.signal_number, SIGUSR2);
    raise(SIGUSR1); /* pending, and not handled in time: must not end us */
    loop_close(s.l);
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    assert_false(sigismember(&mask, SIGUSR1));
    assert_false(sigismember(&mask, SIGUSR2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loop_readable_descriptor_calls_back),
        cmocka_unit_test(loop_watch_dropped_by_a_neighbour_is_silent),
        cmocka_unit_test(loop_timers_fire_in_order_once),
        cmocka_unit_test(loop_many_timers_fire_in_order_but_for_the_dropped),
        cmocka_unit_test(loop_timer_set_from_its_callback_waits_a_round),
        cmocka_unit_test(loop_wait_is_bounded),
        cmocka_unit_test(loop_signals_come_as_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
