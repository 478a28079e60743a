/* SPDX-License-Identifier: MIT */
/* A pool of threads and a completion queue. The only file with pthread_ in it. A job is handed over whole
 * and comes back whole: while it is out, only its worker touches it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct workers;

struct work {
    void (*run)(struct work *self);  /* on a worker; must not touch anything but the job */
    void (*done)(struct work *self); /* on the owner's thread, from workers_collect */
    uint32_t lane; /* 0: runs beside anything; else jobs of one lane run one at a time, in order */
    bool
        in_turn; /* done is not called before that of each job in turn that was submitted before it */
    struct work *next, *behind; /* the pool's, as are … */
    bool finished, passed;      /* … these */
};
enum { WORKERS_LANES = 8 };

/* count threads (0: one for each CPU). NULL with errno. */
struct workers *workers_open(uint32_t count);
/* Waits for what is under way; jobs not begun come back through workers_collect only if collected before. */
void workers_close(struct workers *w);
/* Leaves the pool to itself: what is under way ends when it ends, nothing more begins, and the last thread gives the jobs
 * that never came back, linked by next, to after. Should the process end before that, it does so without tidying up. */
void workers_leave(struct workers *w, void (*after)(void *context, struct work *left),
                   void *context);
void workers_submit(struct workers *w, struct work *job);
int workers_fd(const struct workers *w); /* becomes readable when something is done */
/* From the run of a job in turn that will take long: those behind it wait for it no more. */
void workers_let_pass(struct workers *w, struct work *job);
/* Calls done for each finished job whose turn it is; gives how many. Never blocks. */
uint32_t workers_collect(struct workers *w);
uint32_t
workers_pending(const struct workers *w); /* submitted and not yet collected (owner's thread) */
/* Asks jobs that look for it to end early; the pool goes on. Both from any thread. */
void workers_cancel(struct workers *w);
bool workers_is_cancelled(const struct workers *w);
/* Blocks until at least one job is done, then collects. Nothing pending: returns at once. */
void workers_wait(struct workers *w);
/* f(context, i) for each i in [0, count), on all threads and this one; returns when all are done. */
void workers_for_each(struct workers *w, uint32_t count, void (*f)(void *context, uint32_t i),
                      void *context);

/* The same for who goes on meanwhile: begun in the order of i by the pool's threads, taken in any. One at a time for a
 * pool, and none of the other kinds of work beside it. */
struct ahead;
struct ahead *ahead_begin(struct workers *w, uint32_t count, void (*f)(void *context, uint32_t i),
                          void *context);
/* Until f(context, i) has returned. */
void ahead_wait(struct ahead *a, uint32_t i);
/* What has not begun is left out; waits for what is under way. NULL is fine. */
void ahead_end(struct ahead *a);

/* The same from within a job, any number of them at once: whoever of the pool has no job to do helps the one that
 * began it, which goes on meanwhile and takes what is left at the end. workers NULL: it takes all. */
struct share;
struct share *share_begin(struct workers *w, uint32_t count, void (*f)(void *context, uint32_t i),
                          void *context);
/* When it returns all are done. NULL is fine. */
void share_end(struct share *s);

/* A lock for the few things that several workers share, such as a pool of connections: held for a few lines,
 * never across a wait. */
struct guard;
struct guard *guard_open(void);
void guard_close(struct guard *g); /* NULL is fine */
void guard_enter(struct guard *g);
void guard_leave(struct guard *g);
/* Lets others enter until one of them wakes, or the time (CLOCK_BOOTTIME) has come: then false. */
bool guard_wait(struct guard *g, int64_t until_boot_ns);
void guard_wake(struct guard *g); /* all who wait */
