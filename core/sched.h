/* SPDX-License-Identifier: MIT */
/* Which of the ready steps starts next: job slots, pools, cpus, memory, GPUs, and the longest remaining path
 * first. A state machine that does no I/O and knows no process. */
#pragma once

#include "core/graph.h"

struct sched_limits {
    uint32_t jobs; /* -j; at least 1 */
    double cpus;   /* of this machine */
    uint64_t memory_bytes;
    uint32_t gpu_count;
    double max_load; /* -l; 0: none */
};

enum { SCHED_GPUS_MAX = 64 };

struct sched_grant {
    step_id step;
    uint64_t gpus;     /* bit i: the i-th GPU of the caller's list is this step's */
    bool beyond_means; /* wants more cpus or memory than there are: runs alone */
};

struct sched;

/* Borrowed graph. In the arena given. */
struct sched *sched_make(struct arena *a, const struct graph *g, const struct sched_limits *limits);
/* A changed graph (late fan-out): steps that hold tokens keep them; map[old step] is the new number. */
void sched_move(struct sched *s, struct arena *a, const struct graph *g, const uint32_t *map);

/* priority: remaining ns on the longest path through the step (sched_paths). Equal ones keep graph order. */
void sched_push(struct sched *s, step_id step, int64_t priority);
/* The next step that may start now, taking its tokens; false: none can. load: the machine's present load
 * average (only looked at with max_load; one job may always run). */
bool sched_next(struct sched *s, double load, struct sched_grant *out);
void sched_release(struct sched *s, const struct sched_grant *grant);
uint32_t sched_running(const struct sched *s);
uint32_t sched_waiting(const struct sched *s);
/* Forgets the waiting ones (interrupt, failure); gives each to drop if not NULL. */
void sched_clear(struct sched *s, void (*drop)(void *context, step_id step), void *context);

/* out[i] = duration of step i + the longest chain of its dependents', over wanted steps (wanted[i] not 0).
 * durations in ns; unknown ones as 1 ms. */
void sched_paths(const struct graph *g, const uint8_t *wanted, const int64_t *durations_ns,
                 int64_t *out);
