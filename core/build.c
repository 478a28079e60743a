/* SPDX-License-Identifier: MIT */
/* The loop: which steps are wanted, what is ready, who is told, and when it is over. */
#include "core/build.h"

#include "core/build_wanted.h"
#include "core/building.h"
#include "core/inputs.h"
#include "core/run/jobserver.h"
#include "core/run/leftover.h"
#include "core/run/local.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAITING_AT_ONCE =
        512, /* steps that begin to wait for inputs, from one look around to the next … */
    HELD_UP_MOST = 2048 /* … and that wait for them in all */
};
enum { LOAD_CHECK_MS = 500, TICK_MS = 100, ESTIMATE_NS = 1000 * 1000 * 1000, MARK_LIMIT = 4096 };
#define LEFTOVER_PATIENCE_NS INT64_C(10000000000)

/* From one life to which others; only asserted. */
__attribute__((unused)) static const uint16_t life_moves[] = {
    [LIFE_IDLE] = 1 << LIFE_WANTED,
    [LIFE_WANTED] = 1 << LIFE_READY | 1 << LIFE_SKIPPED,
    [LIFE_READY] = 1 << LIFE_LOOKING | 1 << LIFE_DONE | 1 << LIFE_SKIPPED | 1 << LIFE_FAILED
                   | 1 << LIFE_WANTED,
    [LIFE_LOOKING] =
        1 << LIFE_QUEUED | 1 << LIFE_DONE | 1 << LIFE_SKIPPED | 1 << LIFE_FAILED | 1 << LIFE_WANTED,
    [LIFE_QUEUED] = 1 << LIFE_RUNNING | 1 << LIFE_LOOKING | 1 << LIFE_SKIPPED | 1 << LIFE_FAILED,
    [LIFE_RUNNING] = 1 << LIFE_STORING | 1 << LIFE_QUEUED | 1 << LIFE_FAILED,
    [LIFE_STORING] = 1 << LIFE_DONE | 1 << LIFE_FAILED,
    [LIFE_DONE] = 0,
    [LIFE_SKIPPED] = 0,
    [LIFE_FAILED] = 0,
};

void life_set(struct building *b, step_id s, enum life to)
{
    struct life_of *l = &b->lives[s.i];
    assert(life_moves[l->life] & (1 << to));
    l->life = (uint8_t)to;
}

const char *event_result_name(enum event_result r)
{
    static const char *const names[] = {"up_to_date", "restored",  "ran",           "skipped",
                                        "failed",     "would_run", "would_restore", "may_run"};
    return names[r];
}

static void tell(struct building *b, struct event *e)
{
    e->at_ns = time_now_ns();
    e->asking = b->options->mode == BUILD_ASK;
    b->listener->tell(b->listener, e);
}

void build_notice(struct building *b, const char *code, bool warning, struct str text)
{
    tell(b, &(struct event){.kind = EVENT_NOTICE, .code = code, .warning = warning, .text = text});
}

void build_tell_notes(struct building *b, const struct diags *notes)
{
    for (uint32_t i = 0; i < notes->all.n; i++)
        build_notice(b, notes->all.at[i].code, true, notes->all.at[i].message);
}

uint32_t build_file_number(struct building *b, file_id f)
{
    if (b->file_numbers[f.i] == GRAPH_NONE)
        b->file_numbers[f.i] = observe_add(b->observe, graph_path(b->graph, f));
    return b->file_numbers[f.i];
}

void build_forget_output(struct building *b, file_id output)
{
    uint32_t number = build_file_number(b, output);
    if (graph_file(b->graph, output)->flags & GRAPH_FILE_DIR) {
        observe_forget_tree(b->observe, number);
    } else {
        observe_forget(b->observe, number);
    }
}

struct task *task_open(struct building *b, step_id s)
{
    struct task *t = mem_alloc(sizeof *t);
    t->building = b;
    t->step = s;
    t->number = b->lives[s.i].number;
    t->looks_boot_ns = time_boot_ns();
    diags_init(&t->diags, &t->arena);
    b->lives[s.i].task = t;
    return t;
}

static void task_close(struct task *t)
{
    look_seek_over(t);
    look_held_up_over(t);
    remote_forget(t);
    arena_free(&t->arena);
    mem_free(t);
}

/* ---- ends ---- */

static void count_result(struct event_counts *c, enum event_result r)
{
    switch (r) {
    case EVENT_UP_TO_DATE: c->up_to_date++; break;
    case EVENT_RESTORED: c->restored++; break;
    case EVENT_RAN: c->ran++; break;
    case EVENT_SKIPPED: c->skipped++; break;
    case EVENT_FAILED: c->failed++; break;
    case EVENT_WOULD_RUN: c->would_run++; break;
    case EVENT_WOULD_RESTORE: c->would_restore++; break;
    case EVENT_MAY_RUN: c->may_run++; break;
    }
}

static void remember_run_step(struct building *b, const struct graph_step *step, uint32_t number,
                              const struct ending *e)
{
    if (e->result == EVENT_UP_TO_DATE && step->metrics.n == 0 && step->price <= 0)
        return;
    struct record record;
    const struct record *r = NULL;
    const struct state_step *last =
        step->metrics.n ? state_find_step(b->state, graph_text(b->graph, step->name)) : NULL;
    if (last && e->life == LIFE_DONE && record_read(b->arena, last->record, &record))
        r = &record;
    struct run_step *entry = VEC_PUSH(b->arena, &b->run_steps);
    struct state_run_step *x = &entry->told;
    entry->number = number;
    x->name = str_copy(b->arena, graph_text(b->graph, step->name));
    x->result = str_from(event_result_name(e->result));
    x->reason = str_copy(b->arena, e->reason);
    x->duration_ns = e->duration_ns;
    x->saved_ns = e->saved_ns;
    x->price = step->price;
    if (!r)
        return;
    x->metrics = ARENA_ARRAY(b->arena, struct record_metric, r->metric_count);
    x->metric_count = r->metric_count;
    for (uint32_t i = 0; i < r->metric_count; i++) {
        x->metrics[i] = (struct record_metric){str_copy(b->arena, r->metrics[i].name),
                                               str_copy(b->arena, r->metrics[i].text)};
    }
}

static void skip_later(struct building *b, step_id s, step_id cause, bool failed)
{
    *VEC_PUSH(b->arena, &b->skips) = (struct skip){s, cause, failed};
}

/* A chain of skipped steps is walked here, in a loop: it may be as long as the graph. */
static void drain_skips(struct building *b)
{
    if (b->draining)
        return;
    b->draining = true;
    for (uint32_t i = 0; i < b->skips.n; i++) { /* it may grow */
        struct skip x = b->skips.at[i];
        if (b->lives[x.step.i].life != LIFE_WANTED)
            continue;
        struct arena scratch = {0};
        struct str cause = graph_text(b->graph, graph_step(b->graph, x.cause)->name);
        struct ending e = {.life = LIFE_SKIPPED,
                           .result = EVENT_SKIPPED,
                           .reason = str_printf(&scratch, "'%.*s' %s", STR_ARG(cause),
                                                x.failed ? "failed" : "was skipped"),
                           .exit_status = -1};
        build_end_step(b, x.step, NULL, &e);
        arena_free(&scratch);
    }
    b->skips.n = 0;
    b->draining = false;
}

/* One of those that step s waits for has ended well. */
static void step_arrived(struct building *b, step_id s)
{
    struct life_of *l = &b->lives[s.i];
    assert(l->waiting > 0);
    if (--l->waiting == 0 && l->life == LIFE_WANTED)
        *VEC_PUSH(b->arena, &b->ready) = s;
}

static void release_dependents(struct building *b, step_id s, const struct ending *e)
{
    const struct graph_step *step = graph_step(b->graph, s);
    for (uint32_t i = 0; i < step->dependents.n; i++) {
        const struct graph_edge *edge = &b->graph->back_edges[step->dependents.first + i];
        struct life_of *l = &b->lives[edge->step.i];
        if (l->life != LIFE_WANTED || l->only)
            continue;
        if (e->life == LIFE_FAILED) {
            skip_later(b, edge->step, s, true);
        } else if (e->life == LIFE_SKIPPED && edge->kind == GRAPH_NEED) {
            skip_later(b, edge->step, s, false);
        } else {
            step_arrived(b, edge->step);
        }
    }
}

static const char *from_where(const struct ending *e)
{
    if (e->result != EVENT_RESTORED && e->result != EVENT_WOULD_RESTORE)
        return NULL;
    return e->from_remote ? "remote" : "local";
}

void build_end_step(struct building *b, step_id s, struct task *t, const struct ending *e)
{
    struct life_of *l = &b->lives[s.i];
    const struct graph_step *step = graph_step(b->graph, s);
    life_set(b, s, e->life);
    l->result = (uint8_t)e->result;
    l->unknown = e->unknown;
    l->task = NULL;
    b->ended++;
    b->run.saved_ns += e->saved_ns;
    b->run.remote.restored += e->result == EVENT_RESTORED && e->from_remote;
    count_result(&b->counts, e->result);
    struct event told = {.kind = EVENT_STEP_END,
                         .step = l->number,
                         .name = graph_text(b->graph, step->name),
                         .about = graph_text(b->graph, step->about),
                         .result = e->result,
                         .duration_ns = e->duration_ns,
                         .saved_ns = e->saved_ns,
                         .from = from_where(e),
                         .reason = e->reason,
                         .command = e->command,
                         .log_path = e->log_path,
                         .exit_status = e->exit_status,
                         .changes = t ? t->changes : NULL,
                         .change_count = t ? t->change_count : 0};
    tell(b, &told);
    if (b->options->mode != BUILD_ASK)
        remember_run_step(b, step, l->number, e);
    if (e->life == LIFE_FAILED) {
        uint32_t k = b->options->keep_going;
        if (k != 0 && b->counts.failed >= k)
            b->stopping = true;
    }
    if (t) {
        diags_merge(b->diags, &t->diags);
        task_close(t);
    }
    release_dependents(b, s, e);
    drain_skips(b);
}

void build_fail_step(struct task *t, struct str reason)
{
    struct ending e = {
        .life = LIFE_FAILED, .result = EVENT_FAILED, .reason = reason, .exit_status = -1};
    if (reason.n == 0 && t->diags.all.n > 0)
        e.reason = t->diags.all.at[0].message;
    build_end_step(t->building, t->step, t, &e);
}

/* ---- late fan-out: a new graph takes the old one's place ---- */

/* Carries what is known of each step over to the new graph, by name. */
static void move_lives(struct building *b, const struct graph *old, struct arena *scratch)
{
    const struct graph *g = &b->pipeline->graph;
    struct life_of *old_lives = b->lives;
    uint32_t *map = ARENA_ARRAY(scratch, uint32_t, old->step_count + 1);
    b->lives = ARENA_ARRAY(b->arena, struct life_of, g->step_count + 1);
    b->file_numbers = ARENA_ARRAY(b->arena, uint32_t, g->file_count + 1);
    memset(b->file_numbers, 0xff, sizeof *b->file_numbers * (g->file_count + 1));
    for (uint32_t i = 0; i < old->step_count; i++) {
        step_id to = graph_find_step(g, graph_text(old, old->steps[i].name));
        map[i] = to.i;
        if (to.i == GRAPH_NONE) {
            if (old_lives[i].life == LIFE_WANTED || old_lives[i].life == LIFE_READY)
                b->wanted--;
            continue;
        }
        b->lives[to.i] = old_lives[i];
        b->by_number.at[old_lives[i].number] = to.i;
        if (old_lives[i].task)
            old_lives[i].task->step = old_lives[i].task->grant.step = to;
    }
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (b->lives[i].number == 0)
            wanted_number(b, (step_id){i});
    }
    b->graph = g;
    sched_move(b->sched, b->arena, g, map);
}

/* Turns begun under an older graph hold texts of it until they end. */
static void drop_old_graphs(struct building *b, bool over)
{
    for (uint32_t i = 0; i < b->graph->step_count && !over; i++) {
        if (b->lives[i].task)
            return;
    }
    while (b->old_graphs.n > 0)
        pipeline_drop(&b->old_graphs.at[--b->old_graphs.n]);
}

/* Steps under way, with --only perhaps, are in the new graph what they are in the old one. */
static bool tasks_live_on(const struct building *b, const struct graph *old)
{
    const struct graph *g = &b->pipeline->graph;
    for (uint32_t i = 0; i < old->step_count; i++) {
        const struct graph_step *was = &old->steps[i];
        if (!b->lives[i].task)
            continue;
        step_id to = graph_find_step(g, graph_text(old, was->name));
        const struct graph_step *is = to.i == GRAPH_NONE ? NULL : graph_step(g, to);
        if (!is || is->inputs.n != was->inputs.n || is->outputs.n != was->outputs.n
            || is->depfiles.n != was->depfiles.n || is->probes.n != was->probes.n
            || is->env.n != was->env.n || is->tools.n != was->tools.n) {
            diag_error(b->diags, "listing-changed", SPAN_NONE,
                       "a folder that '%.*s' fans out over changed while it ran",
                       STR_ARG(graph_text(old, was->name)));
            return false;
        }
    }
    return true;
}

/* The folder's listing is known, and the graph was made without it: evaluate again. */
static void fan_out(struct building *b, file_id folder)
{
    struct pipeline_old old;
    if (!pipeline_list(b->pipeline, folder, &old, b->diags)) {
        b->stopping = b->wrong = true;
        return;
    }
    if (!tasks_live_on(b, &old.graph)) {
        pipeline_undo(b->pipeline, &old);
        b->stopping = b->wrong = true;
        return;
    }
    struct arena scratch = {0};
    move_lives(b, &old.graph, &scratch);
    if (!wanted_again(b, b->diags))
        b->stopping = b->wrong = true;
    arena_free(&scratch);
    *VEC_PUSH(b->arena, &b->old_graphs) = old;
    drop_old_graphs(b, false);
}

/* True if the graph changed: the caller's view of it is gone. */
static bool fan_out_after(struct building *b, step_id s)
{
    const struct graph_step *step = graph_step(b->graph, s);
    for (uint32_t i = 0; i < step->outputs.n; i++) {
        file_id f = b->graph->outputs[step->outputs.first + i].file;
        if (!(graph_file(b->graph, f)->flags & GRAPH_FILE_DIR)
            || !pipeline_wants_listing(b->pipeline, f))
            continue;
        fan_out(b, f);
        return true;
    }
    return false;
}

/* Before a step that waited for folders is looked at: their listings may have changed the graph. */
static bool fans_first(struct building *b, step_id s)
{
    if (!b->fans_out)
        return false;
    const struct graph_step *step = graph_step(b->graph, s);
    for (uint32_t i = 0; i < step->needs.n; i++) {
        const struct graph_edge *edge = &b->graph->edges[step->needs.first + i];
        const struct life_of *l = &b->lives[edge->step.i];
        bool in_place = l->life == LIFE_DONE && !l->unknown && l->result != EVENT_WOULD_RESTORE;
        if (in_place && fan_out_after(b, edge->step))
            return true;
    }
    return false;
}

/* ---- the loop ---- */

static void drop_waiting(void *context, step_id s)
{
    struct building *b = context;
    struct ending e = {.life = LIFE_SKIPPED,
                       .result = EVENT_SKIPPED,
                       .reason = STR("not started: the build stopped"),
                       .exit_status = -1};
    build_end_step(b, s, b->lives[s.i].task, &e);
}

static double load_now(const struct building *b)
{
    double load = 0;
    if (b->options->max_load > 0 && getloadavg(&load, 1) != 1)
        load = 0;
    return load;
}

/* Those that wait for inputs which are being hashed cost memory: a shared one is mostly known a moment later. */
static bool waits_for_inputs(const struct task *t)
{
    return t && t->stage == LOOK_INPUTS && t->awaited > 0;
}

static bool may_look_at_more(struct building *b)
{
    return b->ready_from < b->ready.n && !b->stopping && b->held_up < HELD_UP_MOST
           && !look_is_full(b);
}

static void look_at_ready(struct building *b)
{
    uint32_t waiting = 0;
    while (may_look_at_more(b) && waiting < WAITING_AT_ONCE) {
        step_id s = b->ready.at[b->ready_from++];
        if (b->lives[s.i].life != LIFE_WANTED)
            continue;
        life_set(b, s, LIFE_READY);
        if (fans_first(b, s))
            continue; /* wanted_again queued what is ready in the new graph */
        look_at(b, s);
        struct task *t = b->lives[s.i].task;
        if (waits_for_inputs(t)) {
            waiting++;
            t->held_up = true;
            b->held_up++;
        }
    }
}

/* start_queued tries again. A make that is gone hangs up for ever, and lends nothing more. */
static void on_token(void *context, int fd, short revents)
{
    struct building *b = context;
    if (!(revents & POLLIN))
        loop_drop_fd(b->loop, fd);
}

/* Where make lends the slots: one token for each job. */
static bool take_token(struct building *b)
{
    struct jobserver *js = b->options->jobserver;
    if (!js)
        return true;
    bool got = jobserver_acquire(js);
    if (got == b->token_awaited && jobserver_fd(js) >= 0) {
        if (got) {
            loop_drop_fd(b->loop, jobserver_fd(js));
        } else {
            loop_add_fd(b->loop, jobserver_fd(js), POLLIN, on_token, b);
        }
        b->token_awaited = !got;
    }
    return got;
}

static bool next_to_start(struct building *b, struct sched_grant *grant)
{
    if (b->stopping || sched_waiting(b->sched) == 0 || !take_token(b))
        return false;
    if (sched_next(b->sched, load_now(b), grant))
        return true;
    if (b->options->jobserver)
        jobserver_release(b->options->jobserver);
    return false;
}

static void start_queued(struct building *b)
{
    struct sched_grant grant;
    while (next_to_start(b, &grant)) {
        struct task *t = b->lives[grant.step.i].task;
        t->grant = grant;
        if (grant.beyond_means && t->attempt == 0) {
            build_notice(
                b, "beyond-means", true,
                str_printf(&t->arena,
                           "'%.*s' wants more cpus or memory than there are: it runs alone",
                           STR_ARG(graph_text(b->graph, graph_step(b->graph, t->step)->name))));
        }
        execute_start(t);
    }
}

static bool is_busy(const struct building *b)
{
    return workers_pending(b->workers) > 0 || remote_waiting(b) > 0 || inputs_waiting(b) > 0
           || sched_running(b->sched) > 0 || b->pausing > 0
           || (!b->stopping && (b->ready_from < b->ready.n || sched_waiting(b->sched) > 0))
           || wanted_probes_running(b);
}

static void on_workers(void *context, int fd, short revents)
{
    (void)fd;
    (void)revents;
    struct building *b = context;
    (void)workers_collect(b->workers);
}

static void on_signal(void *context, int signal_number)
{
    (void)signal_number;
    struct building *b = context;
    b->interrupted = b->stopping = true;
    b->interrupts++;
    b->runner->stop_all(b->runner, b->interrupts > 1 ? JOB_STOP_AT_ONCE : JOB_STOP_GENTLY);
    execute_end_all(b);
    remote_stop(b);
}

static void tell_begin(struct building *b)
{
    int64_t left = b->listener->tick ? wanted_remaining_ns(b) : 0;
    b->estimated_ns = time_monotonic_ns();
    tell(b, &(struct event){.kind = EVENT_BUILD_BEGIN, .wanted = b->wanted, .remaining_ns = left});
}

/* For a live screen: also what is left, which changes as steps turn out to be up to date. */
static void tick(struct building *b)
{
    if (!b->listener->tick)
        return;
    if (time_monotonic_ns() - b->estimated_ns > ESTIMATE_NS)
        tell_begin(b);
    b->listener->tick(b->listener);
}

/* Interrupted: once no finished step is waiting for its hashes, the rest of them is of no use. */
static void cut_hashing_short(struct building *b)
{
    for (uint32_t i = 0; i < b->graph->step_count; i++) {
        if (b->lives[i].life == LIFE_RUNNING || b->lives[i].life == LIFE_STORING)
            return;
    }
    workers_cancel(b->workers);
}

static void run_loop(struct building *b)
{
    for (;;) {
        look_at_ready(b);
        start_queued(b);
        if (b->stopping && sched_waiting(b->sched) > 0)
            sched_clear(b->sched, drop_waiting, b);
        if (b->stopping)
            inputs_stop(b);
        if (b->interrupted)
            cut_hashing_short(b);
        look_flush(b);
        if (workers_collect(b->workers) > 0 || may_look_at_more(b))
            continue; /* what came back may have queued something */
        if (!is_busy(b))
            return;
        bool starved = sched_waiting(b->sched) > 0 && b->options->max_load > 0;
        loop_wait(b->loop, b->listener->tick ? TICK_MS : starved ? LOAD_CHECK_MS : -1);
        tick(b);
    }
}

/* ---- begin and end ---- */

/* What a build that was killed left running would write into this one's outputs. */
static void end_leftovers(struct building *b)
{
    struct arena scratch = {0};
    struct str mark;
    uint32_t ended;
    if (b->options->mode == BUILD_ASK
        || !file_read_quiet(&scratch, b->root, BUILD_JOBS_NOTE, MARK_LIMIT, &mark))
        return;
    bool all = mark.n == 0 || leftover_end(mark, LEFTOVER_PATIENCE_NS, &ended);
    if (all)
        (void)file_remove(b->root, BUILD_JOBS_NOTE);
    if (mark.n && (ended || !all)) {
        build_notice(
            b, "leftover", true,
            str_printf(&scratch,
                       "the last build here was killed: %u of its processes still ran, and %s",
                       ended, all ? "were ended" : "some cannot be ended"));
    }
    arena_free(&scratch);
}

/* By the caller: nohup. Blocked, it would reach us all the same. */
static bool is_ignored(int signal_number)
{
    struct sigaction now;
    return sigaction(signal_number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static bool hear_signals(struct building *b)
{
    return loop_add_signal(b->loop, SIGINT, on_signal, b)
           && loop_add_signal(b->loop, SIGTERM, on_signal, b)
           && (is_ignored(SIGHUP) || loop_add_signal(b->loop, SIGHUP, on_signal, b));
}

static void open_cache(struct building *b)
{
    const struct build_options *o = b->options;
    if (o->no_cache || o->cache_dir.n == 0)
        return;
    struct cache_options co = {.dir = o->cache_dir,
                               .read_only = o->mode == BUILD_ASK,
                               .trust = &b->keyring.trust,
                               .self = &b->keyring.self};
    struct digest hint = digest_of(graph_text(b->graph, b->graph->name).s, b->graph->name.n);
    memcpy(co.hint, hint.b, sizeof co.hint);
    struct arena scratch = {0};
    struct diags notes;
    diags_init(&notes, &scratch);
    b->cache = cache_open(&co, &notes);
    build_tell_notes(b, &notes);
    arena_free(&scratch);
    remote_open(b);
}

/* Whom this workspace trusts, and under which name it commits. */
static bool open_keys(struct building *b)
{
    struct arena scratch = {0};
    struct diags notes;
    diags_init(&notes, &scratch);
    struct keyring_source from = {b->graph, b->root, b->options->environment,
                                  b->options->mode == BUILD_RUN};
    bool ok = keyring_open(&b->keyring, b->arena, &from, b->diags, &notes);
    build_tell_notes(b, &notes);
    arena_free(&scratch);
    return ok;
}

static bool open_machinery(struct building *b)
{
    end_leftovers(b);
    b->loop = loop_open();
    b->workers = b->loop ? workers_open(0) : NULL;
    b->runner = b->workers ? local_open(b->loop) : NULL;
    if (!b->runner || !hear_signals(b)) {
        diag_errno(b->diags, "workspace-unusable", "cannot set up workers and processes");
        return false;
    }
    b->platform = fingerprint_platform(b->arena);
    loop_add_fd(b->loop, workers_fd(b->workers), POLLIN, on_workers, b);
    struct observe_with with = {.root = b->root,
                                .state = b->state,
                                .workers = b->workers,
                                .ready = look_file_ready,
                                .context = b,
                                .diags = b->diags};
    b->observe = observe_make(b->arena, &with);
    open_cache(b);
    return true;
}

static void close_machinery(struct building *b)
{
    if (b->runner)
        b->runner->close(b->runner);
    if (b->jobs_noted)
        (void)file_remove(b->root, BUILD_JOBS_NOTE);
    remote_close(b);
    inputs_close(b);
    if (b->workers)
        workers_close(b->workers);
    if (b->cache) {
        struct arena scratch = {0};
        struct diags notes;
        diags_init(&notes, &scratch);
        cache_close(b->cache, &notes);
        build_tell_notes(b, &notes);
        arena_free(&scratch);
    }
    if (b->loop)
        loop_close(b->loop);
}

/* Wanted steps that never got their turn: the build was stopped, or interrupted. */
static void end_the_rest(struct building *b)
{
    for (uint32_t i = 0; i < b->graph->step_count; i++) {
        struct life_of *l = &b->lives[i];
        if (l->life == LIFE_READY)
            life_set(b, (step_id){i}, LIFE_WANTED);
        if (l->life == LIFE_LOOKING || l->life == LIFE_WANTED)
            drop_waiting(b, (step_id){i});
    }
}

static int by_number(const void *x, const void *y)
{
    uint32_t m = ((const struct run_step *)x)->number, n = ((const struct run_step *)y)->number;
    return (m > n) - (m < n);
}

static struct state_run_step *ordered_run_steps(struct building *b, struct arena *a)
{
    struct state_run_step *steps = ARENA_ARRAY(a, struct state_run_step, b->run_steps.n + 1);
    if (b->run_steps.n)
        qsort(b->run_steps.at, b->run_steps.n, sizeof *b->run_steps.at, by_number);
    for (uint32_t i = 0; i < b->run_steps.n; i++)
        steps[i] = b->run_steps.at[i].told;
    return steps;
}

static void add_run(struct building *b, struct arena *a)
{
    struct state_run *r = &b->run;
    const struct graph *g = b->graph;
    r->started_ms = b->started_ns / 1000000;
    r->duration_ns = time_now_ns() - b->started_ns;
    r->pipeline = graph_text(g, g->name);
    struct buf targets;
    buf_init(&targets, BUF_TEXT_LIMIT);
    for (uint32_t i = 0; i < b->options->target_count; i++)
        buf_printf(&targets, "%s%.*s", i ? " " : "", STR_ARG(b->options->targets[i]));
    r->targets = buf_str(&targets);
    r->params = ARENA_ARRAY(a, struct record_metric, g->param_count + 1);
    r->param_count = g->param_count;
    for (uint32_t i = 0; i < g->param_count; i++) {
        r->params[i] = (struct record_metric){graph_text(g, g->params[i].name),
                                              graph_text(g, g->params[i].value.bytes)};
    }
    r->steps = ordered_run_steps(b, a);
    r->step_count = b->run_steps.n;
    r->ran = b->counts.ran;
    r->restored = b->counts.restored;
    r->up_to_date = b->counts.up_to_date;
    r->skipped = b->counts.skipped;
    r->failed = b->counts.failed;
    r->interrupted = b->interrupted;
    (void)!state_add_run(b->state, r, b->diags);
    buf_free(&targets);
}

static enum build_result run_build(struct building *b)
{
    bool wanted = wanted_begin(b, b->diags);
    if (b->options->only_objects)
        return b->interrupted ? BUILD_INTERRUPTED : BUILD_DONE;
    if (!wanted)
        return BUILD_WRONG;
    tell_begin(b);
    if (b->options->mode == BUILD_RUN)
        settle_pending(b);
    run_loop(b);
    settle_flush(b);
    remote_finish(b);
    remote_count(b);
    end_the_rest(b);
    (void)!state_flush(b->state, b->diags);
    tell(b, &(struct event){.kind = EVENT_SUMMARY,
                            .duration_ns = time_now_ns() - b->started_ns,
                            .saved_ns = b->run.saved_ns,
                            .counts = b->counts,
                            .remote = b->run.remote});
    if (b->options->mode == BUILD_RUN)
        add_run(b, b->arena);
    if (b->interrupted)
        return BUILD_INTERRUPTED;
    if (b->wrong)
        return BUILD_WRONG;
    return b->counts.failed || b->unrestored ? BUILD_FAILED : BUILD_DONE;
}

enum build_result build_pipeline(struct pipeline *p, struct state *state,
                                 const struct build_options *o, struct listener *listener,
                                 struct diags *d)
{
    struct arena arena = {0};
    struct building b = {.pipeline = p,
                         .graph = &p->graph,
                         .state = state,
                         .options = o,
                         .listener = listener,
                         .diags = d,
                         .arena = &arena,
                         .root = p->options.root,
                         .started_ns = time_now_ns()};
    enum build_result result = !open_keys(&b)       ? BUILD_WRONG
                               : open_machinery(&b) ? run_build(&b)
                                                    : BUILD_UNUSABLE;
    close_machinery(&b);
    keyring_close(&b.keyring);
    drop_old_graphs(&b, true);
    wanted_end(&b);
    arena_free(&arena);
    return result;
}
