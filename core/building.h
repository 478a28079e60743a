/* SPDX-License-Identifier: MIT */
/* What the rooms of a build share: the build under way, a step's life in it, and what one step's turn needs.
 * build.c owns the loop and the ends; look.c decides; execute.c runs; settle.c keeps. Nobody else includes it. */
#pragma once

#include "cache/cache.h"
#include "core/base/loop.h"
#include "core/base/table.h"
#include "core/base/workers.h"
#include "core/build.h"
#include "core/fingerprint.h"
#include "core/keyring.h"
#include "core/observe.h"
#include "core/plan.h"
#include "core/run/runner.h"
#include "core/sched.h"
#include "core/value.h"

/* Holds the mark of the build that runs jobs; found by the next one if that was killed. */
#define BUILD_JOBS_NOTE STR(".pawl/jobs")

struct inputs;
struct remote;
struct remote_ask;
struct remote_fetch;
struct far;
struct far_hit;
struct lease;
struct leases;

enum { BUILD_CACHE_LANE = 1 }; /* of the workers: the struct cache is one lane's */

/* A step's life. Each state's precondition stands beside it; life_set asserts the allowed moves. */
enum life {
    LIFE_IDLE,    /* not wanted */
    LIFE_WANTED,  /* wanted; waits for `waiting` others to end */
    LIFE_READY,   /* all that it waits for has ended well: to be looked at */
    LIFE_LOOKING, /* inputs are hashed, probes run, the cache is asked, or outputs restored */
    LIFE_QUEUED,  /* must run; the scheduler has it */
    LIFE_RUNNING, /* its command runs, or it pauses before another try */
    LIFE_STORING, /* its command ended well: outputs are hashed, the record made */
    LIFE_DONE,    /* up to date, restored or ran: dependents may go on */
    LIFE_SKIPPED, /* its condition does not hold, or something it needs did not end well */
    LIFE_FAILED,
};

struct life_of {
    uint8_t life;      /* enum life */
    uint8_t result;    /* enum event_result, once ended */
    bool rerun, only;  /* --rerun, --only */
    bool unknown;      /* asked only: what its outputs would hold is not known */
    uint32_t waiting;  /* wanted steps in its needs that have not ended */
    uint32_t number;   /* for listeners and for observe: stays when the graph changes */
    struct task *task; /* from LOOKING to STORING */
};

/* The parts of looking at a step, in this order; each may have to wait and is then entered again. */
enum look_stage {
    LOOK_INPUTS,
    LOOK_PROBES, /* before the condition, which may ask for them */
    LOOK_CONDITION,
    LOOK_FINGERPRINT,
    LOOK_OUTPUTS,
    LOOK_CACHE,
    LOOK_HITS,
    LOOK_REMOTE,
    LOOK_REMOTE_HITS,
    LOOK_COPIES, /* it must run: what it reads of S3 is put in place */
};

/* One step's turn: all memory of it goes with it. */
struct task {
    struct building *building;
    step_id step;
    uint32_t number;
    struct arena arena;
    struct diags diags; /* what is wrong with this step; merged into the build's when it ends */
    enum look_stage stage;
    bool looked_twice;
    int64_t looks_boot_ns; /* since when it looks at its inputs */
    uint32_t awaited;      /* hashes, probes and jobs that it waits for */

    struct fingerprint_values values;
    struct str *env; /* as the command gets it; values.env as the fingerprint sees it */
    struct digest fingerprint;
    struct part_list parts;
    struct part_change *changes;
    uint32_t change_count;
    struct str reason;
    const struct state_step *last; /* a copy; NULL: none */
    struct record last_record;     /* decoded where last has one */
    bool has_last_record;
    bool seeking; /* counted in building.seeking */
    bool held_up; /* counted in building.held_up */
    struct cache_hit *hits;
    uint32_t hit_count, hit_next;

    struct remote_ask *ask; /* what the remote cache answered */
    const struct far_hit *far_hits;
    uint32_t far_count, far_next;
    struct remote_fetch *fetch;  /* that is under way, or brought … */
    const struct cache_hit *got; /* … this, which lies in the local cache now */
    struct trust_signer signer;  /* of the hit that is tried or restored */
    bool from_remote;
    int64_t far_expected_ns; /* what an older result there took; 0: not known */
    bool fresh;              /* ask for what is there now, not lately */
    bool leasable;           /* the remote cache was asked, and has no result */
    struct lease *lease;     /* NULL: none */

    struct job job;
    struct sched_grant grant;
    uint32_t attempt;
    timer_id pause;
    int64_t began_ns; /* realtime: when the command was first started */
    struct record record;
    uint32_t *input_numbers; /* of discovered inputs, in observe's terms */
    bool unfit;              /* an input changed while it ran */
    struct str unfit_path;
};

/* A step that can't be brought up to date any more, and because of which. */
struct skip {
    step_id step, cause;
    bool failed;
};

struct probe_life {
    enum { PROBE_IDLE, PROBE_RUNNING, PROBE_DONE, PROBE_FAILED } state;
    struct job job;
    struct buf text;
    VEC(uint32_t) waiters; /* numbers of steps */
    struct building *building;
    struct arena arena;
};

/* A result that is stored and not yet known to be committed. */
struct awaiting {
    struct str name;
    struct digest fingerprint;
    bool push; /* to the remote cache, then */
    uint64_t sequence;
};

/* What the run's entry in the history says of a step. */
struct run_step {
    uint32_t number; /* entries are ordered by it, whatever ended first */
    struct state_run_step told;
};

struct building {
    struct pipeline *pipeline;
    const struct graph *graph;
    struct state *state;
    const struct build_options *options;
    struct listener *listener;
    struct diags *diags;
    struct arena *arena; /* of the whole build */
    struct loop *loop;
    struct workers *workers;
    struct runner *runner;
    struct sched *sched;
    struct observe *observe;
    struct keyring keyring;
    struct cache *cache;   /* NULL: none */
    struct remote *remote; /* NULL: none */
    struct leases *leases; /* NULL: none */
    struct inputs *inputs; /* objects in S3; NULL: none is wanted */
    int root;

    struct life_of *lives;   /* one for each step */
    VEC(uint32_t) by_number; /* step of each number */
    uint32_t *file_numbers; /* observe's number of each graph file; GRAPH_NONE: not asked for yet */
    VEC(step_id) ready;     /* a queue: ready_from .. n */
    uint32_t ready_from;
    VEC(struct skip) skips;
    VEC(struct task *) lookups; /* to be looked for in the local cache … */
    VEC(struct str) passed;     /* … where these segments need not be read */
    uint32_t held_up;           /* tasks that wait for inputs which are being hashed */
    uint32_t seeking;           /* tasks that look for a result, from there on … */
    bool full;                  /* … and there are enough of them */
    bool draining;              /* skips is being worked off further up the stack */
    int64_t *paths;             /* sched_paths */
    struct probe_life *probes;
    struct str platform; /* asked of the system once */
    struct str *gpu_names;
    uint32_t gpu_count;
    bool fans_out; /* the graph has listings or awaits some */
    VEC(struct pipeline_old) old_graphs;

    struct event_counts counts;
    uint32_t wanted, ended;
    bool token_awaited; /* a queued step lacks nothing but a token of make's jobserver */
    uint32_t pausing;   /* steps that wait before another try */
    bool stopping;      /* start nothing more */
    bool interrupted;
    struct table supposed; /* asked only: paths that would be restored, and their texts */
    VEC(struct str) supposed_texts;
    bool unrestored;     /* a restore found no result for a step */
    bool wrong;          /* a fan-out's graph has errors */
    uint32_t interrupts; /* how often the person asked */
    bool no_logs;        /* of earlier builds … */
    bool logs_asked;     /* … as was found when a step was first restored */
    bool jobs_noted;     /* BUILD_JOBS_NOTE says that jobs of this build may be running */
    int64_t started_ns;
    int64_t estimated_ns; /* monotonic: when listeners were last told what is left */
    struct state_run run;
    VEC(struct run_step) run_steps;
    uint64_t committed; /* cache_committed, as last told by the lane */
    VEC(struct awaiting) awaiting;
};

/* build.c */
void life_set(struct building *b, step_id s, enum life to);
struct task *task_open(struct building *b, step_id s);
/* Ends a step: tells, counts, releases or skips its dependents, frees the task (may be NULL). */
struct ending {
    enum life life; /* DONE, SKIPPED or FAILED */
    enum event_result result;
    struct str reason;
    int64_t duration_ns, saved_ns;
    struct str command, log_path;
    int exit_status; /* -1: none */
    bool unknown;    /* asked only: dependents can't be decided */
    bool from_remote;
};
void build_end_step(struct building *b, step_id s, struct task *t, const struct ending *e);
void build_fail_step(struct task *t,
                     struct str reason); /* reason empty: the task's first diagnostic */
void build_notice(struct building *b, const char *code, bool warning, struct str text);
/* Tells what the cache noted since the last call. */
void build_tell_notes(struct building *b, const struct diags *notes);
/* An output is about to be made anew: it, and what lies in it, must be looked at again. */
void build_forget_output(struct building *b, file_id output);
uint32_t build_file_number(struct building *b, file_id f);
struct value_reader build_reader(struct task *t);

/* look.c */
void look_at(struct building *b, step_id s); /* READY → … */
/* QUEUED: true if an input is not what was looked at, once in a step's life; and back to LOOKING. */
bool look_is_outdated(struct task *t);
void look_anew(struct task *t);
void look_again(struct task *t); /* something that it waited for is there */
bool look_text(struct task *t, const struct gexpr *e,
               struct str *out); /* as it prints; argv: words ended by NUL */
void look_probe_done(struct probe_life *p);
void look_file_ready(void *context, uint32_t number); /* an observe_function */

/* look_hits.c: so many steps look for a result at once, and no more; the others take no room yet */
bool look_is_full(struct building *b);
void look_held_up_over(struct task *t);
void look_flush(struct building *b); /* asks what was gathered: before each wait */
void look_seek_over(
    struct task *t); /* it does not look for a result any more; fine if it did not */

/* execute.c */
void execute_start(struct task *t); /* QUEUED → RUNNING, with task.grant taken */
/* It ended well, but its outputs are not what was declared. */
void execute_outputs_failed(struct task *t);
void execute_end_all(struct building *b); /* interrupt: pauses end too */
#define EXECUTE_LOGS ".pawl/logs"
struct str execute_log_path(struct arena *a, struct str step_name); /* workspace-relative */
void execute_probe(struct building *b, uint32_t probe, uint32_t waiter);

/* remote.c: what another machine may have, and what it may be given. Never longer than the step could take. */
void remote_open(struct building *b);
void remote_close(struct building *b);
bool remote_may_ask(const struct task *t);
bool remote_may_give(const struct building *b, const struct graph_step *s);
void remote_ask(struct task *t);       /* then look_again */
void remote_flush(struct building *b); /* asks what was gathered */
bool remote_may_fetch(const struct task *t);
void remote_fetch(struct task *t); /* the hit far_next; then t->got, or the next hit; look_again */
const struct cache *remote_near(const struct building *b);
struct workers *remote_workers(const struct building *b);     /* once something was asked */
uint32_t remote_jobs(const struct building *b);               /* so many steps at a time */
void remote_note_use(struct task *t, const struct record *r); /* it was restored from there */
void remote_forget(struct task *t);                           /* the task ends */
void remote_stop(struct building *b); /* interrupted: nobody waits any more */
uint32_t remote_waiting(const struct building *b);
/* Results that are in the local cache now. */
void remote_give(struct building *b, const struct digest *fingerprints, uint32_t count);
void remote_finish(struct building *b); /* at the end: gives what is left, within a bound */
void remote_count(struct building *b);  /* what it cost, into b->run */

/* lease.c: steps that take long are run by one builder at a time */
void lease_open(struct building *b, struct far *remote);
struct leases *lease_part(struct building *b); /* from the building, which ends before them */
void lease_close(struct leases *x);            /* NULL is fine; nothing may be under way */
bool lease_is_wanted(const struct task *t);
void lease_begin(struct task *t);  /* QUEUED, without its tokens → LOOKING; later queued again */
void lease_forget(struct task *t); /* the task ends, or is looked at anew */
void lease_let_in(struct building *b);
uint32_t lease_waiting(const struct building *b);
void lease_keep(struct task *t); /* until its result is published, or will not be */
bool lease_is_kept(const struct building *b, const struct digest *fingerprints, uint32_t count);
void lease_end(struct building *b, const struct digest *fingerprints, uint32_t count);
void lease_finish(struct building *b); /* lets go of all, within a bound */

/* settle.c */
void settle_begin(struct task *t); /* the command ended well */
/* What became of putting a result in place. */
struct restored {
    int64_t began_ns;
    const struct file_sig *sigs; /* of its outputs, in their order */
    struct str log;              /* none was kept: empty */
};
/* done NULL: it lay there already. */
void settle_restored(struct task *t, const struct record *r, const struct restored *done);
void settle_pending(struct building *b); /* what earlier builds did not get into the cache */
void settle_look_again(struct task *t);
void settle_flush(struct building *b); /* at the end: commit all */
