/* SPDX-License-Identifier: MIT */
/* The remote cache of a build, on threads of its own. A task that asks has a timer: when that fires first, the task
 * goes on as if nothing were there, and what it asked for is dropped when it comes. Nothing waits without a bound. */
#include "core/remote.h"

#include "core/remote_inside.h"
#include "core/run/command.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, WAIT_MS = 50 };
enum { WAVE = 768 };     /* results fetched together; the next come while these are put in place */
enum { QUIET_MS = 5000 }; /* a remote that is silent for so long is not waited for */
#define SECOND_NS INT64_C(1000000000)
#define GATHER_NS (10 * SECOND_NS)   /* results wait for company before they are pushed */
#define PATIENCE_NS (30 * SECOND_NS) /* for all waits of a build that were in vain */
#define MOMENT_NS (SECOND_NS / 200)
#define COMPANY_NS (SECOND_NS / 20) /* a fetch waits for answers that others wait for */
#define ABANDON_NS (2 * SECOND_NS)
#define PULSE_NS (SECOND_NS / 2)
#define TIDY_NS (10 * SECOND_NS) /* for merging what many builds have left there */
#define DAY_MS INT64_C(86400000)

/* Several results on their way. */
struct remote_fetch {
    struct work work;
    struct remote *remote;
    timer_id timer;
    uint32_t users;
    struct arena arena;
    struct diags notes;
    struct str published; /* the key of its local segment */
    struct far_want *wants;
    struct task **tasks; /* NULL: waits no more */
    struct remote_ask **asks;
    uint32_t count;
    int64_t began_ns, until_boot_ns;
};

struct push {
    struct work work;
    struct remote *remote;
    struct arena arena;
    struct diags notes;
    struct digest *fingerprints;
    uint32_t count;
    struct far_pushed pushed;
    int64_t until_boot_ns;
};

/* ---- open ---- */

static struct str setting(char *const *environment, const char *name)
{
    const char *value = command_env(environment, name);
    return value ? str_from(value) : STR("");
}

static void prefer(struct str *to, struct str text)
{
    *to = text.n ? text : *to;
}

/* As cache/credentials.c reads it. */
static bool is_yes(struct str text)
{
    return str_eq(text, STR("true")) || str_eq(text, STR("1"));
}

/* Silence would end in a bucket's name as a host that nobody knows. */
static void check_path_style(struct building *b)
{
    struct str text = setting(b->options->environment, "PAWL_REMOTE_PATH_STYLE");
    if (text.n && !is_yes(text) && !str_eq(text, STR("false")) && !str_eq(text, STR("0")))
        build_notice(b, "remote-path-style", true,
                     str_printf(b->arena,
                                "PAWL_REMOTE_PATH_STYLE is neither 'true' nor 'false': '%.*s' "
                                "counts as 'false'",
                                STR_ARG(text)));
}

bool remote_options(const struct graph *g, char *const *environment, struct far_options *out)
{
    const struct graph_remote_place *r = g->remote;
    struct str url = setting(environment, "PAWL_REMOTE");
    if (str_eq(url, STR("off")) || (!url.n && !r))
        return false;
    out->url = url;
    if (!url.n) {
        out->url = graph_text(g, r->url);
        out->region = graph_text(g, r->region);
        out->endpoint = graph_text(g, r->endpoint);
        out->profile = graph_text(g, r->profile);
        out->path_style = r->path_style;
    }
    prefer(&out->region, setting(environment, "PAWL_REMOTE_REGION"));
    prefer(&out->endpoint, setting(environment, "PAWL_REMOTE_ENDPOINT"));
    prefer(&out->profile, setting(environment, "PAWL_REMOTE_PROFILE"));
    struct str path_style = setting(environment, "PAWL_REMOTE_PATH_STYLE");
    out->path_style = path_style.n ? is_yes(path_style) : out->path_style;
    struct str name = graph_text(g, g->name);
    struct digest hint = digest_of(name.s, name.n);
    memcpy(out->hint, hint.b, sizeof out->hint);
    return true;
}

static void on_workers(void *context, int fd, short revents)
{
    (void)fd;
    (void)revents;
    struct remote *r = context;
    (void)workers_collect(r->workers);
}

static bool has_queue(struct remote *r)
{
    struct arena scratch = {0};
    const struct far_place *p = far_place_of(r->far);
    struct str path = path_join(&scratch, far_place_options(p)->near_dir, far_place_folder(p));
    struct file_sig sig = file_stat(FILE_CWD, path_join(&scratch, path, STR("wanted")), true);
    arena_free(&scratch);
    return file_sig_exists(&sig) && sig.size > 0;
}

/* Said once, whatever number of steps it holds for. */
static void tell_unheard(struct building *b)
{
    for (uint32_t i = 0; i < b->graph->step_count; i++) {
        const struct graph_step *s = &b->graph->steps[i];
        if (s->flags & GRAPH_STEP_REMOTE_UNHEARD) {
            build_notice(b, "remote-needs-local", true,
                         str_printf(b->arena,
                                    "'%.*s' says 'local = false': it goes without the remote "
                                    "cache, whose results lie in the local one first",
                                    STR_ARG(graph_text(b->graph, s->name))));
            return;
        }
    }
}

void remote_open(struct building *b)
{
    struct far_options o = {.near_dir = b->options->cache_dir,
                            .asking = b->options->mode == BUILD_ASK,
                            .read = true,
                            .write = b->options->mode == BUILD_RUN,
                            .trust = &b->keyring.trust,
                            .self = &b->keyring.self};
    if (b->options->no_remote || !b->cache
        || !remote_options(b->graph, b->options->environment, &o)) {
        return;
    }
    struct arena scratch = {0};
    struct diags notes;
    diags_init(&notes, &scratch);
    struct far *far = far_open(&o, &notes);
    if (!far) {
        build_tell_notes(b, &notes);
        arena_free(&scratch);
        return;
    }
    arena_free(&scratch);
    struct remote *r = mem_alloc(sizeof *r);
    r->building = b;
    r->far = far;
    r->read = o.read;
    r->write = o.write;
    b->remote = r;
    check_path_style(b);
    if (r->read && r->write)
        lease_open(b, far);
    tell_unheard(b);
    r->to_push = r->write && has_queue(r);
}

bool remote_start_workers(struct remote *r)
{
    if (!r->workers) {
        r->workers = workers_open(THREADS);
        if (r->workers)
            loop_add_fd(r->building->loop, workers_fd(r->workers), POLLIN, on_workers, r);
    }
    return r->workers != NULL;
}

int64_t remote_patience_ns(const struct remote *r)
{
    return r->lost_ns < PATIENCE_NS ? PATIENCE_NS - r->lost_ns : 0;
}

/* What several waited for at a time counts once. */
void remote_count_lost(struct remote *r, int64_t since_ns)
{
    int64_t now = time_boot_ns();
    int64_t from = since_ns > r->lost_until_ns ? since_ns : r->lost_until_ns;
    r->lost_ns += now > from ? now - from : 0;
    r->lost_until_ns = now;
}

static bool is_quiet(const struct remote *r)
{
    return far_place_quiet_ms(far_place_of(r->far)) >= QUIET_MS;
}

void remote_tell_notes(struct remote *r, const struct diags *notes)
{
    if (!r->closing)
        build_tell_notes(r->building, notes);
}

bool remote_may_ask(const struct task *t)
{
    const struct remote *r = t->building->remote;
    uint32_t policy = graph_step(t->building->graph, t->step)->remote;
    return r && r->read && r->overdue == 0 && !t->building->stopping && remote_patience_ns(r) > 0
           && (policy == GRAPH_REMOTE_READ || policy == GRAPH_REMOTE_READ_WRITE)
           && !far_place_is_down(far_place_of(r->far));
}

bool remote_may_give(const struct building *b, const struct graph_step *s)
{
    return b->remote && b->remote->write
           && (s->remote == GRAPH_REMOTE_WRITE || s->remote == GRAPH_REMOTE_READ_WRITE);
}

uint32_t remote_waiting(const struct building *b)
{
    return b->remote ? b->remote->waiting + lease_waiting(b) : 0;
}

void remote_begin_wait(struct remote *r, struct task *t)
{
    t->awaited = 1;
    if (r->waiting++ == 0)
        r->waits_since_ns = time_boot_ns();
}

void remote_end_wait(struct remote *r, struct task *t)
{
    t->awaited = 0;
    if (--r->waiting == 0)
        r->waited_ns += time_boot_ns() - r->waits_since_ns;
}

const struct cache *remote_near(const struct building *b)
{
    return far_near(b->remote->far);
}

struct workers *remote_workers(const struct building *b)
{
    return b->remote->workers;
}

/* ---- fetching ---- */

static void fetch_release(struct remote_fetch *f)
{
    if (f && --f->users == 0) {
        for (uint32_t i = 0; i < f->count; i++)
            remote_ask_release(f->asks[i]);
        arena_free(&f->arena);
        mem_free(f);
    }
}

static void fetch_run(struct work *work)
{
    struct remote_fetch *f = (struct remote_fetch *)work;
    f->published =
        far_fetch(f->remote->far, f->wants, f->count, f->until_boot_ns, &f->arena, &f->notes);
}

static void go_on(struct task *t, struct remote_fetch *f, const struct cache_hit *got)
{
    remote_end_wait(t->building->remote, t);
    t->got = got;
    if (got) {
        fetch_release(t->fetch);
        t->fetch = f;
        f->users++;
    } else {
        t->far_next++;
    }
    look_again(t);
}

static void fetch_next(struct remote *r);

static void fetch_done(struct work *work)
{
    struct remote_fetch *f = (struct remote_fetch *)work;
    struct remote *r = f->remote;
    struct building *b = r->building;
    remote_tell_notes(r, &f->notes);
    if (f->timer.i)
        loop_drop_timer(r->building->loop, f->timer);
    else
        r->overdue--;
    r->fetch = NULL;
    if (f->published.n)
        *VEC_PUSH(b->arena, &b->passed) = str_copy(b->arena, f->published);
    for (uint32_t i = 0; i < f->count; i++) {
        struct task *t = f->tasks[i];
        f->tasks[i] = NULL;
        if (t)
            go_on(t, f, f->wants[i].here ? &f->wants[i].got : NULL);
    }
    fetch_release(f);
    fetch_next(r);
}

/* Neither those that wait for it nor those that wait for the next one wait any longer. */
static void fetch_give_up(struct remote *r)
{
    struct remote_fetch *f = r->fetch;
    if (f && f->timer.i) {
        loop_drop_timer(r->building->loop, f->timer);
        remote_count_lost(r, f->began_ns);
        f->timer = (timer_id){0};
        r->overdue++;
        for (uint32_t i = 0; i < f->count; i++) {
            struct task *t = f->tasks[i];
            f->tasks[i] = NULL;
            if (t) {
                t->far_count = t->far_next;
                go_on(t, f, NULL);
            }
        }
    }
    while (r->wanting.n > 0) {
        struct task *t = r->wanting.at[--r->wanting.n];
        t->far_count = t->far_next;
        go_on(t, f, NULL);
    }
}

static void fetch_late(void *context)
{
    struct remote_fetch *f = context;
    fetch_give_up(f->remote);
}

/* What one bound holds for: the longest alone, or all of them side by side. */
static int64_t fetch_bound(const struct remote_fetch *f, uint32_t jobs)
{
    int64_t sum = 0, longest = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        int64_t ns = f->wants[i].hit->record.duration_ms * 1000000;
        sum += ns > 0 ? ns : 0;
        longest = ns > longest ? ns : longest;
    }
    sum /= jobs;
    return remote_bound_ns(sum > longest ? sum : longest);
}

uint32_t remote_jobs(const struct building *b)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return b->options->jobs ? b->options->jobs : cpus > 0 ? (uint32_t)cpus : 1;
}

/* The first of those that wait. */
static struct remote_fetch *fetch_of(struct remote *r)
{
    struct remote_fetch *f = mem_alloc(sizeof *f);
    f->work = (struct work){.run = fetch_run, .done = fetch_done, .lane = REMOTE_LANE_FETCH};
    f->remote = r;
    f->users = 1;
    f->count = r->wanting.n < WAVE ? r->wanting.n : WAVE;
    f->wants = ARENA_ARRAY(&f->arena, struct far_want, f->count);
    f->tasks = ARENA_ARRAY(&f->arena, struct task *, f->count);
    f->asks = ARENA_ARRAY(&f->arena, struct remote_ask *, f->count);
    diags_init(&f->notes, &f->arena);
    for (uint32_t i = 0; i < f->count; i++) {
        struct task *t = r->wanting.at[i];
        f->wants[i].hit = &t->far_hits[t->far_next];
        f->tasks[i] = t;
        f->asks[i] = t->ask;
        remote_ask_hold(t->ask);
    }
    r->wanting.n -= f->count;
    memmove(r->wanting.at, r->wanting.at + f->count, r->wanting.n * sizeof *r->wanting.at);
    return f;
}

static void fetch_start(struct remote *r)
{
    struct remote_fetch *f = fetch_of(r);
    int64_t bound = fetch_bound(f, remote_jobs(r->building));
    f->began_ns = time_boot_ns();
    f->until_boot_ns = f->began_ns + bound;
    f->timer = loop_add_timer(r->building->loop, f->until_boot_ns, fetch_late, f);
    r->fetch = f;
    remote_pulse_begin(r);
    workers_submit(r->workers, &f->work);
}

static void fetch_soon(void *context)
{
    struct remote *r = context;
    r->fetch_timer = (timer_id){0};
    fetch_next(r);
}

/* Waits a moment for others of which it will be known at once that they are wanted, too: each fetch has its costs. */
static void fetch_next(struct remote *r)
{
    if (r->fetch || r->wanting.n == 0 || r->ending || r->fetch_timer.i)
        return;
    int64_t now = time_boot_ns();
    r->wanting_since_ns = r->wanting_since_ns ? r->wanting_since_ns : now;
    int64_t patience = r->asks > 0 ? COMPANY_NS : MOMENT_NS;
    if (r->wanting.n < WAVE && now - r->wanting_since_ns < patience) {
        r->fetch_timer = loop_add_timer(r->building->loop, now + MOMENT_NS, fetch_soon, r);
        return;
    }
    r->wanting_since_ns = 0;
    fetch_start(r);
}

bool remote_may_fetch(const struct task *t)
{
    const struct remote *r = t->building->remote;
    return remote_patience_ns(r) > 0
           && !(r->fetch && !r->fetch->timer.i); /* nobody waits for a late one */
}

void remote_fetch(struct task *t)
{
    struct remote *r = t->building->remote;
    remote_begin_wait(r, t);
    *VEC_PUSH(t->building->arena, &r->wanting) = t;
    fetch_next(r);
}

void remote_forget(struct task *t)
{
    remote_ask_release(t->ask);
    fetch_release(t->fetch);
    t->ask = NULL;
    t->fetch = NULL;
    lease_forget(t);
}

/* ---- silence ---- */

static void stop_waiting(struct remote *r)
{
    struct building *b = r->building;
    fetch_give_up(r);
    for (uint32_t i = 0; i < b->graph->step_count; i++) {
        struct task *t = b->lives[i].task;
        if (t)
            remote_ask_give_up(t);
    }
}

static void pulse_beat(void *context)
{
    struct remote *r = context;
    r->pulse = (timer_id){0};
    if (is_quiet(r))
        stop_waiting(r);
    if (remote_waiting(r->building) > 0)
        remote_pulse_begin(r);
}

void remote_pulse_begin(struct remote *r)
{
    if (!r->pulse.i)
        r->pulse = loop_add_timer(r->building->loop, time_boot_ns() + PULSE_NS, pulse_beat, r);
}

/* ---- giving ---- */

/* What was made today is kept long enough without a word. */
void remote_note_use(struct task *t, const struct record *r)
{
    struct building *b = t->building;
    int64_t age_ms = time_now_ns() / 1000000 - r->success_ms;
    if (remote_may_give(b, graph_step(b->graph, t->step)) && age_ms >= DAY_MS)
        *VEC_PUSH(b->arena, &b->remote->used) = t->fingerprint;
}

static void keep_used(struct remote *r)
{
    struct far_place *place = far_place_of(r->far);
    uint32_t day = (uint32_t)(time_now_ns() / 1000000 / DAY_MS);
    if (r->used.n > 0 && !far_place_is_unwritable(place))
        (void)!far_used_add(place, r->used.at, r->used.n, day);
    r->used.n = 0;
}

static void push_run(struct work *work)
{
    struct push *p = (struct push *)work;
    struct far_place *place = far_place_of(p->remote->far);
    p->count = far_queue_read(place, &p->arena, &p->fingerprints);
    far_push(p->remote->far, p->fingerprints, p->count, p->until_boot_ns, &p->pushed, &p->notes);
    bool refused = far_place_is_unwritable(place) && !far_place_is_down(place);
    if ((p->pushed.whole || refused) && p->count > 0)
        (void)!far_queue_drop(place, p->fingerprints, p->count); /* push by hand finds them all */
}

static void push_start(struct remote *r, int64_t until_boot_ns);

static void push_soon(void *context)
{
    struct remote *r = context;
    r->push_timer = (timer_id){0};
    if (r->to_push && !r->pushing)
        push_start(r, INT64_MAX);
}

static void push_later(struct remote *r)
{
    struct loop *loop = r->building->loop;
    int64_t after_ns = r->hurry ? 0 : GATHER_NS;
    if (r->push_timer.i && r->hurry) {
        loop_drop_timer(loop, r->push_timer);
        r->push_timer = (timer_id){0};
    }
    if (!r->pushing && !r->push_timer.i && !r->ending)
        r->push_timer = loop_add_timer(loop, time_boot_ns() + after_ns, push_soon, r);
}

static void push_done(struct work *work)
{
    struct push *p = (struct push *)work;
    struct remote *r = p->remote;
    remote_tell_notes(r, &p->notes);
    r->pushing = false;
    if (p->pushed.whole)
        lease_end(r->building, p->fingerprints, p->count);
    r->to_push |= !p->pushed.whole && !far_place_is_unwritable(far_place_of(r->far));
    arena_free(&p->arena);
    mem_free(p);
    if (r->to_push)
        push_later(r);
}

static void push_start(struct remote *r, int64_t until_boot_ns)
{
    if (!remote_start_workers(r))
        return;
    struct push *p = mem_alloc(sizeof *p);
    p->work = (struct work){.run = push_run, .done = push_done, .lane = REMOTE_LANE_PUSH};
    p->remote = r;
    p->until_boot_ns = until_boot_ns;
    diags_init(&p->notes, &p->arena);
    r->pushing = true;
    r->to_push = r->hurry = false;
    r->gave = true;
    keep_used(r);
    workers_submit(r->workers, &p->work);
}

void remote_give(struct building *b, const struct digest *fingerprints, uint32_t count)
{
    struct remote *r = b->remote;
    if (!r || count == 0)
        return;
    if (!far_queue_add(far_place_of(r->far), fingerprints, count)) {
        lease_end(b, fingerprints, count);
        return;
    }
    r->to_push = true;
    r->hurry |= lease_is_kept(b, fingerprints, count);
    push_later(r);
}

/* Until pushing is over, or it is time. */
static void wait_for_push(struct remote *r, int64_t until_boot_ns)
{
    int64_t began = time_boot_ns();
    bool waits = r->pushing;
    while (r->pushing && time_boot_ns() < until_boot_ns && !r->building->interrupted
           && !is_quiet(r))
        loop_wait(r->building->loop, WAIT_MS);
    r->waited_ns += waits ? time_boot_ns() - began : 0;
}

/* Merging, by chance; out of time, remote_close has it end at its next request. */
struct tidy {
    struct work work;
    struct remote *remote;
};

static void tidy_run(struct work *work)
{
    far_compact(((struct tidy *)work)->remote->far, false);
}

static void tidy_done(struct work *work)
{
    struct tidy *t = (struct tidy *)work;
    t->remote->pushing = false;
    mem_free(t);
}

static void tidy_start(struct remote *r)
{
    struct tidy *t = mem_alloc(sizeof *t);
    t->work = (struct work){.run = tidy_run, .done = tidy_done, .lane = REMOTE_LANE_PUSH};
    t->remote = r;
    r->pushing = true;
    workers_submit(r->workers, &t->work);
}

static void finish(struct remote *r)
{
    struct building *b = r->building;
    r->ending = true;
    if (r->push_timer.i)
        loop_drop_timer(b->loop, r->push_timer);
    int64_t began = time_boot_ns(), until = began + remote_patience_ns(r);
    wait_for_push(r, until);
    if (r->to_push && !r->pushing && !b->interrupted
        && !far_place_is_unwritable(far_place_of(r->far))) {
        push_start(r, until);
        wait_for_push(r, until);
    }
    if (r->pushing)
        remote_count_lost(r, began);
    if (has_queue(r) && !far_place_is_unwritable(far_place_of(r->far)))
        build_notice(b, "remote-unfinished", false,
                     STR("not all results are in the remote cache yet: the next build here, or "
                         "'pawl cache push', goes on"));
    lease_finish(b);
    if (r->gave && !r->pushing && !b->interrupted) {
        tidy_start(r);
        int64_t bound = time_boot_ns() + TIDY_NS;
        wait_for_push(r, bound < until ? bound : until);
    }
    keep_used(r);
}

void remote_finish(struct building *b)
{
    struct remote *r = b->remote;
    if (!r || !r->write)
        return;
    finish(r);
}

void remote_count(struct building *b)
{
    const struct remote *r = b->remote;
    if (!r)
        return;
    struct far_count count = far_place_count(far_place_of(r->far));
    struct event_remote *to = &b->run.remote;
    to->asked = r->asked;
    to->lists = count.lists;
    to->gets = count.gets;
    to->puts = count.puts;
    to->drops = count.drops;
    to->received = count.received;
    to->sent = count.sent;
    to->waited_ns = r->waited_ns;
}

/* ---- the end ---- */

void remote_stop(struct building *b)
{
    struct remote *r = b->remote;
    if (!r)
        return;
    r->ending = true;
    stop_waiting(r);
}

static void free_remote(struct remote *r)
{
    lease_close(r->leases);
    far_close(r->far);
    mem_free(r);
}

static void free_left(struct work *work)
{
    if (remote_ask_free(work)) {
        return;
    }
    if (work->run == fetch_run) {
        fetch_release((struct remote_fetch *)work);
    } else if (work->run == push_run) {
        arena_free(&((struct push *)work)->arena);
        mem_free(work);
    } else if (work->run == tidy_run) {
        mem_free(work);
    } /* else a lease's: they are freed together */
}

static void end_left(void *context, struct work *left)
{
    struct work *next;
    for (; left; left = next) {
        next = left->next;
        free_left(left);
    }
    free_remote(context);
}

/* A thread that is stuck is left behind: the build's result is known, and waiting for a server that is silent would
 * help nobody. What it holds is freed when it ends. */
void remote_close(struct building *b)
{
    struct remote *r = b->remote;
    b->remote = NULL;
    if (!r)
        return;
    r->closing = true;
    if (r->pulse.i)
        loop_drop_timer(b->loop, r->pulse);
    if (r->workers) {
        if (workers_pending(r->workers) > 0)
            far_place_give_up(far_place_of(r->far), NULL);
        int64_t patience = is_quiet(r) ? 0 : remote_patience_ns(r);
        int64_t until = time_boot_ns() + (patience < ABANDON_NS ? patience : ABANDON_NS);
        while (workers_pending(r->workers) > 0 && time_boot_ns() < until)
            loop_wait(b->loop, WAIT_MS);
        loop_drop_fd(b->loop, workers_fd(r->workers));
    }
    r->leases = lease_part(b);
    if (r->workers && workers_pending(r->workers) > 0) {
        workers_leave(r->workers, end_left, r);
        return;
    }
    workers_close(r->workers);
    free_remote(r);
}
