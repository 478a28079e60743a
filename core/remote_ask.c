/* SPDX-License-Identifier: MIT */
/* Asking the remote cache. Questions that come together are handed over together, and share one arena, which goes when
 * nobody needs an answer out of it any more; each task waits with a timer of its own. */
#include "core/remote_inside.h"

enum { ASKING_MOST = 256 };
#define SECOND_NS INT64_C(1000000000)
#define LEAST_NS (2 * SECOND_NS)    /* so long anything may be waited for */
#define UNKNOWN_NS (10 * SECOND_NS) /* … and for a step that never ran here */

/* A question, and what came of it. */
struct remote_ask {
    struct asking *in;
    struct task *task; /* NULL: waits no more */
    timer_id timer;
    int64_t began_ns;
    struct digest fingerprint;
    int64_t not_before_ms;
    bool fresh;
    struct str output; /* whose older result says how long the step takes; empty: that is known */
    struct far_hit *hits;
    uint32_t count;
    int64_t expected_ns;
};

/* Several of them. Lives as long as a task or a fetch needs one of the answers. */
struct asking {
    struct work work;
    struct remote *remote;
    uint32_t users;
    struct arena arena;
    struct diags notes;
    VEC(struct remote_ask *) all;
};

static void asking_release(struct asking *x)
{
    if (--x->users == 0) {
        arena_free(&x->arena);
        mem_free(x);
    }
}

void remote_ask_hold(struct remote_ask *a)
{
    a->in->users++;
}

void remote_ask_release(struct remote_ask *a)
{
    if (a)
        asking_release(a->in);
}

static void asking_run(struct work *work)
{
    struct asking *x = (struct asking *)work;
    struct far *f = x->remote->far;
    bool fresh = false;
    for (uint32_t i = 0; i < x->all.n; i++)
        fresh |= x->all.at[i]->fresh;
    if (fresh)
        far_look(f, &x->notes);
    for (uint32_t i = 0; i < x->all.n; i++) {
        struct remote_ask *a = x->all.at[i];
        a->count = far_lookup(f, &x->arena, &a->fingerprint, a->not_before_ms, &a->hits, &x->notes);
        if (a->count == 0 && a->output.n)
            a->expected_ns = far_expect_ms(f, a->output) * 1000000;
    }
}

/* Its task waits no more, whatever came of it. */
static struct task *part(struct remote_ask *a)
{
    struct task *t = a->task;
    struct remote *r = a->in->remote;
    a->task = NULL;
    loop_drop_timer(r->building->loop, a->timer);
    r->asks--;
    return t;
}

static void answer(struct remote_ask *a)
{
    struct remote *r = a->in->remote;
    if (!a->task) {
        r->overdue--;
        return;
    }
    struct task *t = part(a);
    t->far_hits = a->hits;
    t->far_count = a->count;
    t->far_expected_ns = a->expected_ns;
    remote_end_wait(r, t);
    look_again(t);
}

static void asking_done(struct work *work)
{
    struct asking *x = (struct asking *)work;
    remote_tell_notes(x->remote, &x->notes);
    for (uint32_t i = 0; i < x->all.n; i++)
        answer(x->all.at[i]);
    asking_release(x);
}

/* The task goes on without an answer. */
static void give_up(void *context)
{
    struct remote_ask *a = context;
    struct task *t = part(a);
    struct remote *r = a->in->remote;
    remote_count_lost(r, a->began_ns);
    r->overdue++;
    t->ask = NULL;
    remote_ask_release(a);
    remote_end_wait(r, t);
    look_again(t);
}

void remote_ask_give_up(struct task *t)
{
    if (t->ask && t->ask->task == t)
        give_up(t->ask);
}

/* It may be asked again, of other inputs or after a while. */
static void forget_answer(struct task *t)
{
    remote_ask_release(t->ask);
    t->ask = NULL;
    t->far_hits = NULL;
    t->far_count = t->far_next = 0;
}

int64_t remote_bound_ns(int64_t expected_ns)
{
    int64_t half = expected_ns / 2;
    return half > LEAST_NS ? half : LEAST_NS;
}

static struct asking *gathered(struct remote *r)
{
    if (!r->asking) {
        struct asking *x = mem_alloc(sizeof *x);
        x->work = (struct work){.run = asking_run, .done = asking_done, .lane = REMOTE_LANE_ASK};
        x->remote = r;
        x->users = 1; /* the work */
        diags_init(&x->notes, &x->arena);
        r->asking = x;
    }
    return r->asking;
}

static struct remote_ask *question(struct remote *r, struct task *t)
{
    const struct graph *g = t->building->graph;
    const struct graph_step *s = graph_step(g, t->step);
    int64_t expire_ms = s->expire_ns == 0 ? 0 : s->expire_ns < 1000000 ? 1 : s->expire_ns / 1000000;
    struct asking *x = gathered(r);
    struct remote_ask *a = ARENA_NEW(&x->arena, struct remote_ask);
    *VEC_PUSH(&x->arena, &x->all) = a;
    x->users++; /* the task */
    a->in = x;
    a->task = t;
    a->fingerprint = t->fingerprint;
    a->not_before_ms = plan_not_before_ms(time_now_ns() / 1000000, expire_ms);
    a->fresh = t->fresh;
    if (!t->last && s->outputs.n)
        a->output = str_copy(&x->arena, graph_path(g, g->outputs[s->outputs.first].file));
    return a;
}

void remote_ask(struct task *t)
{
    struct remote *r = t->building->remote;
    forget_answer(t);
    if (!remote_start_workers(r)) {
        look_again(t);
        return;
    }
    struct remote_ask *a = question(r, t);
    int64_t expected =
        t->last && t->last->duration_ns > 0 ? remote_bound_ns(t->last->duration_ns) : UNKNOWN_NS;
    int64_t patience = remote_patience_ns(r);
    a->began_ns = time_boot_ns();
    a->timer = loop_add_timer(
        t->building->loop, a->began_ns + (expected < patience ? expected : patience), give_up, a);
    remote_pulse_begin(r);
    t->ask = a;
    r->asks++;
    r->asked++;
    remote_begin_wait(r, t);
    if (a->in->all.n == ASKING_MOST)
        remote_flush(t->building);
}

void remote_flush(struct building *b)
{
    struct remote *r = b->remote;
    if (!r || !r->asking)
        return;
    struct asking *x = r->asking;
    r->asking = NULL;
    workers_submit(r->workers, &x->work);
}

bool remote_ask_free(struct work *left)
{
    bool is_asking = left->run == asking_run;
    if (is_asking)
        asking_release((struct asking *)left);
    return is_asking;
}
