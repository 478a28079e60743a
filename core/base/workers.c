/* SPDX-License-Identifier: MIT */
/* A pool of threads and a completion queue. The only file with pthread_ in it. One mutex guards all of the
 * pool's own state; a job is touched outside of it by one thread at a time. */
#include "core/base/workers.h"

#include "core/base/arena.h"
#include "core/base/file.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 256 };
#define SECOND_NS INT64_C(1000000000)

struct queue {
    struct work *first, *last;
};

struct lane {
    bool busy; /* one of its jobs is in ready or runs */
    struct queue waiting;
};

/* A workers_for_each under way; lives on its caller's stack. */
struct batch {
    void (*f)(void *context, uint32_t i);
    void *context;
    uint32_t count, chunk;
    atomic_uint next;
    uint32_t helpers; /* threads inside; guarded by the mutex */
};

/* A share_begin under way. */
struct share {
    struct batch batch;
    struct workers *workers;
    struct share *next; /* guarded by the mutex */
};

/* All of it is guarded by the mutex. */
struct ahead {
    struct workers *workers;
    void (*f)(void *context, uint32_t i);
    void *context;
    uint32_t count, next, running;
    bool *done;
};

struct workers {
    pthread_mutex_t mutex;
    pthread_cond_t wake;     /* something to do, or closing */
    pthread_cond_t finished; /* a job is done, or a helper left a batch */
    struct queue ready, done;
    struct work *turns,
        *last_turn; /* jobs in turn that are not delivered, by `behind`; the owner's */
    struct lane lanes[WORKERS_LANES];
    struct batch *batch;
    struct ahead *ahead;
    struct share *shares;
    bool closing;
    atomic_bool cancelled;
    int event_fd;
    uint32_t pending;                                /* the owner's */
    void (*after)(void *context, struct work *left); /* not NULL: nobody owns it any more */
    void *after_context;
    uint32_t thread_count, ended; /* ended: of a pool that was left */
    pthread_t threads[];
};

static void queue_put(struct queue *q, struct work *job)
{
    job->next = NULL;
    if (q->last) {
        q->last->next = job;
    } else {
        q->first = job;
    }
    q->last = job;
}

static struct work *queue_take(struct queue *q)
{
    struct work *job = q->first;
    if (job) {
        q->first = job->next;
        if (!q->first) {
            q->last = NULL;
        }
    }
    return job;
}

static void batch_run(struct batch *b)
{
    for (;;) {
        uint32_t begin = atomic_fetch_add_explicit(&b->next, b->chunk, memory_order_relaxed);
        if (begin >= b->count) {
            return;
        }
        uint32_t end = b->count - begin > b->chunk ? begin + b->chunk : b->count;
        for (uint32_t i = begin; i < end; i++) {
            b->f(b->context, i);
        }
    }
}

static bool batch_has_more(struct batch *b)
{
    return b && atomic_load_explicit(&b->next, memory_order_relaxed) < b->count;
}

/* With the mutex held, as are the next three. */
static void help_with_batch(struct workers *w, struct batch *b)
{
    b->helpers++;
    pthread_mutex_unlock(&w->mutex);
    batch_run(b);
    pthread_mutex_lock(&w->mutex);
    if (--b->helpers == 0) {
        pthread_cond_broadcast(&w->finished);
    }
}

static struct batch *shared_batch(struct workers *w)
{
    struct share *s = w->shares;
    while (s && !batch_has_more(&s->batch)) {
        s = s->next;
    }
    return s ? &s->batch : NULL;
}

static void wake_owner(struct workers *w)
{
    uint64_t one = 1;
    ssize_t ignored = write(w->event_fd, &one, sizeof one);
    (void)ignored; /* can only fail when the counter is full, and then it is readable */
}

static void finish(struct workers *w, struct work *job)
{
    if (job->lane) {
        struct lane *lane = &w->lanes[job->lane];
        struct work *next = queue_take(&lane->waiting);
        lane->busy = next != NULL;
        if (next) {
            queue_put(&w->ready, next);
            pthread_cond_signal(&w->wake);
        }
    }
    bool was_empty = w->done.first == NULL;
    queue_put(&w->done, job);
    pthread_cond_broadcast(&w->finished);
    if (was_empty) {
        wake_owner(w);
    }
}

static void run_job(struct workers *w, struct work *job)
{
    pthread_mutex_unlock(&w->mutex);
    job->run(job);
    pthread_mutex_lock(&w->mutex);
    finish(w, job);
}

static void queue_append(struct queue *q, struct queue more)
{
    if (!more.first) {
        return;
    }
    *(q->last ? &q->last->next : &q->first) = more.first;
    q->last = more.last;
}

static void free_pool(struct workers *w)
{
    pthread_cond_destroy(&w->finished);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
    close(w->event_fd);
    mem_free(w);
}

/* The last thread of a pool that was left. */
static void end_left(struct workers *w)
{
    void (*after)(void *context, struct work *left) = w->after;
    void *context = w->after_context;
    struct queue left = w->done;
    queue_append(&left, w->ready);
    for (uint32_t i = 0; i < WORKERS_LANES; i++) {
        queue_append(&left, w->lanes[i].waiting);
    }
    free_pool(w);
    after(context, left.first);
}

static void run_ahead(struct workers *w)
{
    struct ahead *a = w->ahead;
    uint32_t i = a->next++;
    a->running++;
    pthread_mutex_unlock(&w->mutex);
    a->f(a->context, i);
    pthread_mutex_lock(&w->mutex);
    a->running--;
    a->done[i] = true;
    pthread_cond_broadcast(&w->finished);
}

static void *worker(void *context)
{
    struct workers *w = context;
    pthread_mutex_lock(&w->mutex);
    while (!w->closing) {
        struct work *job;
        struct batch *shared;
        if (batch_has_more(w->batch)) {
            help_with_batch(w, w->batch);
        } else if (w->ahead && w->ahead->next < w->ahead->count) {
            run_ahead(w);
        } else if ((job = queue_take(&w->ready)) != NULL) {
            run_job(w, job);
        } else if ((shared = shared_batch(w)) != NULL) {
            help_with_batch(w, shared);
        } else {
            pthread_cond_wait(&w->wake, &w->mutex);
        }
    }
    bool last = w->after && ++w->ended == w->thread_count;
    pthread_mutex_unlock(&w->mutex);
    if (last) {
        end_left(w);
    }
    return NULL;
}

static uint32_t cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (uint32_t)n : 1;
}

/* Signals belong to the loop's thread: workers are born with all of them blocked. */
static int start_threads(struct workers *w, uint32_t count)
{
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = 0;
    while (w->thread_count < count && error == 0) {
        error = pthread_create(&w->threads[w->thread_count], NULL, worker, w);
        w->thread_count += error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return w->thread_count ? 0 : error; /* fewer threads than wished will do */
}

struct workers *workers_open(uint32_t count)
{
    count = count ? count : cpu_count();
    count = count > WORKERS_MAX ? WORKERS_MAX : count;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return NULL;
    }
    struct workers *w = mem_alloc(sizeof *w + count * sizeof w->threads[0]);
    w->event_fd = fd;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);
    pthread_cond_init(&w->finished, NULL);
    int error = start_threads(w, count);
    if (error) {
        workers_close(w);
        errno = error;
        return NULL;
    }
    return w;
}

void workers_close(struct workers *w)
{
    if (!w) {
        return;
    }
    pthread_mutex_lock(&w->mutex);
    w->closing = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    for (uint32_t i = 0; i < w->thread_count; i++) {
        pthread_join(w->threads[i], NULL);
    }
    free_pool(w);
}

/* Libraries tidy up when a process ends, and what they free a thread that was left may be using. */
static void end_at_once(int status, void *context)
{
    (void)context;
    fflush(NULL);
    _exit(status);
}

void workers_leave(struct workers *w, void (*after)(void *context, struct work *left),
                   void *context)
{
    (void)!on_exit(end_at_once, NULL);
    pthread_mutex_lock(&w->mutex);
    w->closing = true;
    w->after = after;
    w->after_context = context;
    for (uint32_t i = 0; i < w->thread_count; i++) {
        pthread_detach(w->threads[i]);
    }
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->mutex);
}

void workers_submit(struct workers *w, struct work *job)
{
    assert(job->run && job->done && job->lane < WORKERS_LANES);
    w->pending++;
    if (job->in_turn) {
        job->behind = NULL;
        job->finished = job->passed = false;
        *(w->turns ? &w->last_turn->behind : &w->turns) = job;
        w->last_turn = job;
    }
    pthread_mutex_lock(&w->mutex);
    struct lane *lane = job->lane ? &w->lanes[job->lane] : NULL;
    if (lane && lane->busy) {
        queue_put(&lane->waiting, job);
    } else {
        if (lane) {
            lane->busy = true;
        }
        queue_put(&w->ready, job);
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->mutex);
}

int workers_fd(const struct workers *w)
{
    return w->event_fd;
}

void workers_cancel(struct workers *w)
{
    atomic_store_explicit(&w->cancelled, true, memory_order_relaxed);
}

bool workers_is_cancelled(const struct workers *w)
{
    return atomic_load_explicit(&w->cancelled, memory_order_relaxed);
}

uint32_t workers_pending(const struct workers *w)
{
    return w->pending;
}

void workers_let_pass(struct workers *w, struct work *job)
{
    pthread_mutex_lock(&w->mutex);
    job->passed = true;
    pthread_mutex_unlock(&w->mutex);
    wake_owner(w); /* what waited behind it may be done */
}

/* The first job whose turn has come, taken off the list; NULL: none. */
static struct work *take_turn(struct workers *w)
{
    struct work *before = NULL;
    pthread_mutex_lock(&w->mutex);
    struct work *job = w->turns;
    while (job && !job->finished && job->passed) {
        before = job;
        job = job->behind;
    }
    pthread_mutex_unlock(&w->mutex);
    if (!job || !job->finished) {
        return NULL;
    }
    *(before ? &before->behind : &w->turns) = job->behind;
    if (!job->behind) {
        w->last_turn = before;
    }
    return job;
}

static void deliver(struct workers *w, struct work *job)
{
    w->pending--;
    job->done(job); /* may free the job or submit it again */
}

uint32_t workers_collect(struct workers *w)
{
    /* The event is taken before the queue: what is done in between wakes the loop once more. */
    uint64_t events;
    ssize_t ignored = read(w->event_fd, &events, sizeof events);
    (void)ignored;
    pthread_mutex_lock(&w->mutex);
    struct work *job = w->done.first;
    w->done = (struct queue){NULL, NULL};
    pthread_mutex_unlock(&w->mutex);
    uint32_t count = 0;
    while (job) {
        struct work *next = job->next;
        if (job->in_turn) {
            job->finished = true;
        } else {
            deliver(w, job);
            count++;
        }
        job = next;
    }
    while (w->turns && (job = take_turn(w)) != NULL) {
        deliver(w, job);
        count++;
    }
    return count;
}

void workers_wait(struct workers *w)
{
    if (w->pending == 0) {
        return;
    }
    pthread_mutex_lock(&w->mutex);
    while (!w->done.first) {
        pthread_cond_wait(&w->finished, &w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
    workers_collect(w);
}

void workers_for_each(struct workers *w, uint32_t count, void (*f)(void *context, uint32_t i),
                      void *context)
{
    /* Chunks: few enough that the counter is not fought over, small enough that all end together. */
    uint32_t chunk = count / (8 * (w->thread_count + 1));
    chunk = chunk < 1 ? 1 : chunk > 64 ? 64 : chunk;
    struct batch b = {.f = f, .context = context, .count = count, .chunk = chunk};
    if (count <= chunk) {
        batch_run(&b);
        return;
    }
    pthread_mutex_lock(&w->mutex);
    assert(!w->batch);
    w->batch = &b;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    batch_run(&b);
    pthread_mutex_lock(&w->mutex);
    w->batch = NULL;
    while (b.helpers > 0) {
        pthread_cond_wait(&w->finished, &w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
}

struct ahead *ahead_begin(struct workers *w, uint32_t count, void (*f)(void *context, uint32_t i),
                          void *context)
{
    struct ahead *a = mem_alloc(sizeof *a);
    *a = (struct ahead){.workers = w, .f = f, .context = context, .count = count};
    a->done = mem_alloc((count + 1) * sizeof *a->done);
    pthread_mutex_lock(&w->mutex);
    assert(!w->ahead);
    w->ahead = a;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    return a;
}

void ahead_wait(struct ahead *a, uint32_t i)
{
    struct workers *w = a->workers;
    pthread_mutex_lock(&w->mutex);
    while (!a->done[i]) {
        pthread_cond_wait(&w->finished, &w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
}

void ahead_end(struct ahead *a)
{
    if (!a) {
        return;
    }
    struct workers *w = a->workers;
    pthread_mutex_lock(&w->mutex);
    a->next = a->count;
    while (a->running > 0) {
        pthread_cond_wait(&w->finished, &w->mutex);
    }
    w->ahead = NULL;
    pthread_mutex_unlock(&w->mutex);
    mem_free(a->done);
    mem_free(a);
}

struct share *share_begin(struct workers *w, uint32_t count, void (*f)(void *context, uint32_t i),
                          void *context)
{
    struct share *s = mem_alloc(sizeof *s);
    s->batch = (struct batch){.f = f, .context = context, .count = count, .chunk = 1};
    s->workers = count > 1 ? w : NULL;
    if (s->workers) {
        pthread_mutex_lock(&w->mutex);
        s->next = w->shares;
        w->shares = s;
        pthread_cond_broadcast(&w->wake);
        pthread_mutex_unlock(&w->mutex);
    }
    return s;
}

static void take_off(struct share *s)
{
    struct share **at = &s->workers->shares;
    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
}

void share_end(struct share *s)
{
    if (!s) {
        return;
    }
    struct workers *w = s->workers;
    batch_run(&s->batch);
    if (w) {
        pthread_mutex_lock(&w->mutex);
        take_off(s);
        while (s->batch.helpers > 0) {
            pthread_cond_wait(&w->finished, &w->mutex);
        }
        pthread_mutex_unlock(&w->mutex);
    }
    mem_free(s);
}

/* ---- guard ---- */

struct guard {
    pthread_mutex_t mutex;
    pthread_cond_t woken;
};

struct guard *guard_open(void)
{
    struct guard *g = mem_alloc(sizeof *g);
    pthread_condattr_t clock;
    pthread_mutex_init(&g->mutex, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&g->woken, &clock);
    pthread_condattr_destroy(&clock);
    return g;
}

void guard_close(struct guard *g)
{
    if (g) {
        pthread_cond_destroy(&g->woken);
        pthread_mutex_destroy(&g->mutex);
        mem_free(g);
    }
}

void guard_enter(struct guard *g)
{
    pthread_mutex_lock(&g->mutex);
}

void guard_leave(struct guard *g)
{
    pthread_mutex_unlock(&g->mutex);
}

bool guard_wait(struct guard *g, int64_t until_boot_ns)
{
    int64_t left = until_boot_ns - time_boot_ns();
    struct timespec at;
    if (left <= 0 || clock_gettime(CLOCK_MONOTONIC, &at) != 0) {
        return false;
    }
    int64_t ns = at.tv_nsec + left;
    at.tv_sec += (time_t)(ns / SECOND_NS);
    at.tv_nsec = (long)(ns % SECOND_NS);
    return pthread_cond_timedwait(&g->woken, &g->mutex, &at) == 0;
}

void guard_wake(struct guard *g)
{
    pthread_cond_broadcast(&g->woken);
}
