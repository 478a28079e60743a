/* SPDX-License-Identifier: MIT */
/* One poll: descriptors, timers, signals as descriptors. Signals come through one signalfd, timers through
 * one timerfd on CLOCK_BOOTTIME, so a machine's sleep counts. While callbacks run, dropped watches are only
 * marked (fd -1), and new ones stand behind those that are looked at. */
#include "core/base/loop.h"

#include "core/base/arena.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LOOP_SIGNALS = 65, NS_PER_S = 1000000000 };
enum { TIMER_BITS = 24 }; /* of an id: which timer; the others: its number */
#define TIMER_DUE UINT32_MAX

struct watch {
    loop_fd_function *f;
    void *context;
};

struct timer {
    int64_t at_ns;
    uint64_t number; /* from 1 on, as they were added; 0: free */
    loop_timer_function *f;
    void *context;
    uint32_t
        at; /* place in the heap; TIMER_DUE: taken from it, to be called now; free: next free one + 1 */
};

struct signal_watch {
    loop_signal_function *f;
    void *context;
};

struct loop {
    struct pollfd *fds; /* fds[i] and watches[i] belong together */
    struct watch *watches;
    uint32_t count, cap;
    uint32_t dead;   /* entries with fd -1 */
    uint32_t *index; /* index[fd]: place in fds + 1, 0 for none */
    uint32_t index_cap;
    struct timer *timers;           /* a timer stays where it is until it fired or was dropped */
    uint32_t timer_cap, free_timer; /* the first free one + 1; 0: none */
    uint32_t *heap;                 /* of timers: the earliest first */
    uint32_t heap_count;
    uint32_t *due; /* timers that fire in this round, in order */
    uint64_t last_timer;
    int64_t armed_ns;        /* what timer_fd is set to, 0: nothing */
    int timer_fd, signal_fd; /* signal_fd is -1 until the first signal */
    bool dispatching;
    sigset_t old_mask, signals;
    struct signal_watch handlers[LOOP_SIGNALS];
};

static void on_timer_fd(void *context, int fd, short revents)
{
    (void)revents;
    struct loop *l = context;
    uint64_t expirations;
    if (read(fd, &expirations, sizeof expirations) > 0) {
        l->armed_ns = 0;
    }
}

struct loop *loop_open(void)
{
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0) {
        return NULL;
    }
    struct loop *l = mem_alloc(sizeof *l);
    l->timer_fd = fd;
    l->signal_fd = -1;
    sigemptyset(&l->signals);
    loop_add_fd(l, fd, POLLIN, on_timer_fd, l);
    return l;
}

static void on_signal_fd(void *context, int fd, short revents)
{
    (void)revents;
    struct loop *l = context;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        const struct signal_watch *w = &l->handlers[info.ssi_signo];
        w->f(w->context, (int)info.ssi_signo);
    }
}

void loop_close(struct loop *l)
{
    if (!l) {
        return;
    }
    assert(!l->dispatching);
    if (l->signal_fd >= 0) {
        /* What came too late to be handled must not strike when the mask falls. */
        struct signalfd_siginfo info;
        while (read(l->signal_fd, &info, sizeof info) > 0) {
        }
        close(l->signal_fd);
        sigprocmask(SIG_SETMASK, &l->old_mask, NULL); /* NOLINT(concurrency-mt-unsafe) */
    }
    close(l->timer_fd);
    mem_free(l->fds);
    mem_free(l->watches);
    mem_free(l->index);
    mem_free(l->timers);
    mem_free(l->heap);
    mem_free(l->due);
    mem_free(l);
}

static void index_grow(struct loop *l, uint32_t fd)
{
    uint32_t cap = l->index_cap ? l->index_cap : 64;
    while (cap <= fd) {
        cap *= 2;
    }
    l->index = mem_resize(l->index, cap * sizeof *l->index);
    memset(l->index + l->index_cap, 0, (cap - l->index_cap) * sizeof *l->index);
    l->index_cap = cap;
}

void loop_add_fd(struct loop *l, int fd, short events, loop_fd_function *f, void *context)
{
    assert(fd >= 0 && f);
    if ((uint32_t)fd >= l->index_cap) {
        index_grow(l, (uint32_t)fd);
    }
    assert(l->index[fd] == 0);
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->fds = mem_resize(l->fds, l->cap * sizeof *l->fds);
        l->watches = mem_resize(l->watches, l->cap * sizeof *l->watches);
    }
    l->fds[l->count] = (struct pollfd){.fd = fd, .events = events};
    l->watches[l->count] = (struct watch){f, context};
    l->index[fd] = ++l->count;
}

void loop_drop_fd(struct loop *l, int fd)
{
    if (fd < 0 || (uint32_t)fd >= l->index_cap || l->index[fd] == 0) {
        return;
    }
    l->fds[l->index[fd] - 1].fd = -1;
    l->index[fd] = 0;
    l->dead++;
}

static void compact(struct loop *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->fds[i].fd >= 0) {
            l->fds[n] = l->fds[i];
            l->watches[n] = l->watches[i];
            l->index[l->fds[n].fd] = n + 1;
            n++;
        }
    }
    l->count = n;
    l->dead = 0;
}

/* ---- timers ---- */

/* Among equal instants the first added fires first. */
static bool is_before(const struct loop *l, uint32_t x, uint32_t y)
{
    const struct timer *a = &l->timers[x];
    const struct timer *b = &l->timers[y];
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

static void heap_put(struct loop *l, uint32_t at, uint32_t timer)
{
    l->heap[at] = timer;
    l->timers[timer].at = at;
}

/* Puts the timer at this free place, or above or below it, where it belongs. */
static void heap_settle(struct loop *l, uint32_t at, uint32_t timer)
{
    while (at > 0 && is_before(l, timer, l->heap[(at - 1) / 2])) {
        heap_put(l, at, l->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t below = 2 * at + 1;
        if (below + 1 < l->heap_count && is_before(l, l->heap[below + 1], l->heap[below])) {
            below++;
        }
        if (below >= l->heap_count || !is_before(l, l->heap[below], timer)) {
            break;
        }
        heap_put(l, at, l->heap[below]);
        at = below;
    }
    heap_put(l, at, timer);
}

static void heap_remove(struct loop *l, uint32_t at)
{
    uint32_t last = l->heap[--l->heap_count];
    if (at < l->heap_count) {
        heap_settle(l, at, last);
    }
}

static void timers_grow(struct loop *l)
{
    uint32_t cap = l->timer_cap ? 2 * l->timer_cap : 16;
    assert(cap <= UINT32_C(1) << TIMER_BITS);
    l->timers = mem_resize(l->timers, cap * sizeof *l->timers);
    l->heap = mem_resize(l->heap, cap * sizeof *l->heap);
    l->due = mem_resize(l->due, cap * sizeof *l->due);
    for (uint32_t i = cap; i-- > l->timer_cap;) {
        l->timers[i] = (struct timer){.at = l->free_timer};
        l->free_timer = i + 1;
    }
    l->timer_cap = cap;
}

static void timer_release(struct loop *l, uint32_t timer)
{
    l->timers[timer] = (struct timer){.at = l->free_timer};
    l->free_timer = timer + 1;
}

timer_id loop_add_timer(struct loop *l, int64_t at_ns, loop_timer_function *f, void *context)
{
    assert(f);
    if (!l->free_timer) {
        timers_grow(l);
    }
    uint32_t timer = l->free_timer - 1;
    l->free_timer = l->timers[timer].at;
    l->timers[timer] = (struct timer){at_ns, ++l->last_timer, f, context, 0};
    heap_settle(l, l->heap_count++, timer);
    return (timer_id){l->last_timer << TIMER_BITS | timer};
}

void loop_drop_timer(struct loop *l, timer_id id)
{
    uint32_t timer = (uint32_t)(id.i & ((UINT32_C(1) << TIMER_BITS) - 1));
    if (id.i == 0 || timer >= l->timer_cap || l->timers[timer].number != id.i >> TIMER_BITS) {
        return;
    }
    if (l->timers[timer].at == TIMER_DUE) {
        l->timers[timer].f = NULL; /* run_timers releases it */
        return;
    }
    heap_remove(l, l->timers[timer].at);
    timer_release(l, timer);
}

bool loop_add_signal(struct loop *l, int signal_number, loop_signal_function *f, void *context)
{
    assert(signal_number > 0 && signal_number < LOOP_SIGNALS && f);
    sigset_t old;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    if (sigprocmask(SIG_BLOCK, &one, &old) != 0) { /* NOLINT(concurrency-mt-unsafe) */
        return false;
    }
    sigset_t signals = l->signals;
    sigaddset(&signals, signal_number);
    int fd = signalfd(l->signal_fd, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        int error = errno;
        sigprocmask(SIG_SETMASK, &old, NULL); /* NOLINT(concurrency-mt-unsafe) */
        errno = error;
        return false;
    }
    if (l->signal_fd < 0) {
        l->old_mask = old;
        l->signal_fd = fd;
        loop_add_fd(l, fd, POLLIN, on_signal_fd, l);
    }
    l->signals = signals;
    l->handlers[signal_number] = (struct signal_watch){f, context};
    return true;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void arm(struct loop *l)
{
    int64_t at = l->heap_count ? l->timers[l->heap[0]].at_ns : 0;
    if (l->heap_count && at < 1) {
        at = 1; /* 0 would disarm; long past is due all the same */
    }
    if (at == l->armed_ns) {
        return;
    }
    struct itimerspec spec = {.it_value = {at / NS_PER_S, at % NS_PER_S}};
    timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    l->armed_ns = at;
}

/* Only what was due and known on entry: a timer that sets itself again cannot hold the loop. */
static void run_timers(struct loop *l)
{
    if (l->heap_count == 0) {
        return;
    }
    int64_t now = now_ns();
    uint32_t count = 0;
    while (l->heap_count > 0 && l->timers[l->heap[0]].at_ns <= now) {
        l->due[count] = l->heap[0];
        heap_remove(l, 0);
        l->timers[l->due[count++]].at = TIMER_DUE;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t due = l->due[i]; /* both arrays may move */
        struct timer t = l->timers[due];
        timer_release(l, due);
        if (t.f) {
            t.f(t.context);
        }
    }
}

void loop_wait(struct loop *l, int max_ms)
{
    assert(!l->dispatching);
    if (l->dead > 0) {
        compact(l);
    }
    arm(l);
    int ready = poll(l->fds, l->count, max_ms);
    l->dispatching = true;
    uint32_t count = l->count;
    for (uint32_t i = 0; ready > 0 && i < count; i++) {
        short revents = l->fds[i].revents;
        if (revents == 0) {
            continue;
        }
        ready--;
        if (l->fds[i].fd >= 0) {
            struct watch w = l->watches[i];
            w.f(w.context, l->fds[i].fd, revents);
        }
    }
    run_timers(l);
    l->dispatching = false;
}
