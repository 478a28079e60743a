/* SPDX-License-Identifier: MIT */
/* Steps that take long are run by one builder at a time, where the remote cache can tell who was first. A step asks
 * when its turn to run has come, gives its slot back, and waits for another's result no longer than it would take
 * itself. Trouble means to run: a lease is a help against doing things twice, and no promise. */
#include "cache/far.h"
#include "cache/far_lease.h"
#include "core/building.h"
#include "core/run/command.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { LANE_LEASE = 4, WAIT_MS = 50 };
#define SECOND_NS INT64_C(1000000000)
#define AFTER_NS (300 * SECOND_NS)      /* what is expected to take less is not worth the asking */
#define TAKE_NS (10 * SECOND_NS)        /* one look, before the step runs without an answer */
#define LOOK_NS (5 * SECOND_NS)         /* from one look to the next, and at random up to … */
#define LOOK_SPREAD_NS (10 * SECOND_NS) /* … so much more: those who wait do not come in step */
#define LOOK_LEAST_NS (SECOND_NS / 2)
#define FINISH_NS (2 * SECOND_NS)
#define PUBLISH_NS (10 * SECOND_NS) /* after a run, until its result can be seen: at most … */
#define PUBLISH_PART 8              /* … and of what the step takes so much */

enum lease_state {
    LEASE_LINE,    /* as many steps as there are slots are ahead of it */
    LEASE_TAKING,  /* the place is asked */
    LEASE_WAITING, /* another runs it */
    LEASE_FREE,    /* nobody runs it any more, and there was no result, or it is not known yet */
    LEASE_HELD,
    LEASE_OVER, /* it runs without */
};

enum lease_order { ORDER_NONE, ORDER_TAKE, ORDER_RENEW, ORDER_DROP };

/* Lives until it is neither a task's, nor a worker's, nor held. */
struct lease {
    struct work work;
    struct leases *all;
    struct task *task; /* NULL: the step has ended, or runs without */
    enum lease_state state;
    enum lease_order out; /* what a worker does with it */
    bool after;           /* of an order to take: it was somebody's */
    bool keep;            /* until the result is published */
    bool told;            /* listeners know that it waits */
    timer_id timer;       /* the next look or renewal, or the end of the asking */
    int64_t until_boot_ns;
    struct far_lease far;
    enum far_lease_answer answer;
};

struct leases {
    struct arena arena;
    struct building *building;
    struct far *remote;
    struct far_leases *far; /* the lane's; opened by its first order */
    bool unusable;          /* the lane's, too */
    bool off;               /* trouble: nobody asks any more */
    int64_t after_ns;
    struct str host;
    VEC(struct lease *) held; /* all there are */
};

/* ---- open and close ---- */

static bool read_bound(struct building *b, int64_t *after_ns)
{
    const char *text = command_env(b->options->environment, "PAWL_REMOTE_LEASE_AFTER");
    *after_ns = AFTER_NS;
    if (!text || !*text) {
        return true;
    }
    if (strcmp(text, "off") == 0) {
        return false;
    }
    if (!str_parse_duration(str_from(text), after_ns)) {
        *after_ns = AFTER_NS;
        build_notice(b, "lease-bound", true,
                     STR("PAWL_REMOTE_LEASE_AFTER is neither a duration, as 10m is, nor 'off': "
                         "5m is used"));
    }
    return true;
}

void lease_open(struct building *b, struct far *remote)
{
    int64_t after_ns;
    char host[256] = "";
    if (b->options->mode != BUILD_RUN || !read_bound(b, &after_ns)) {
        return;
    }
    if (gethostname(host, sizeof host - 1) != 0 || !*host) {
        memcpy(host, "another", sizeof "another");
    }
    struct leases *x = mem_alloc(sizeof *x);
    x->building = b;
    x->remote = remote;
    x->after_ns = after_ns;
    x->host = str_copy(&x->arena, str_from(host));
    b->leases = x;
}

struct leases *lease_part(struct building *b)
{
    struct leases *x = b->leases;
    b->leases = NULL;
    return x;
}

void lease_close(struct leases *x)
{
    if (!x)
        return;
    for (uint32_t i = 0; i < x->held.n; i++)
        mem_free(x->held.at[i]);
    far_leases_close(x->far);
    arena_free(&x->arena);
    mem_free(x);
}

/* ---- orders ---- */

static void order_run(struct work *work)
{
    struct lease *l = (struct lease *)work;
    struct leases *x = l->all;
    if (!x->far && !x->unusable) {
        x->far = far_leases_open(far_place_of(x->remote), x->host);
        x->unusable = !x->far;
    }
    l->answer = FAR_LEASE_NONE;
    if (!x->far)
        return;
    switch (l->out) {
    case ORDER_TAKE: l->answer = far_lease_take(x->far, &l->far, l->after); break;
    case ORDER_RENEW: far_lease_renew(x->far, &l->far); break;
    case ORDER_DROP: far_lease_drop(x->far, &l->far); break;
    case ORDER_NONE: break;
    }
}

static void order_done(struct work *work);

static void order(struct lease *l, enum lease_order what)
{
    l->out = what;
    l->work = (struct work){.run = order_run, .done = order_done, .lane = LANE_LEASE};
    workers_submit(remote_workers(l->all->building), &l->work);
}

static void drop_timer(struct lease *l)
{
    loop_drop_timer(l->all->building->loop, l->timer);
    l->timer = (timer_id){0};
}

/* Nobody wants it any more: it goes there, and then here. */
static void let_go(struct lease *l)
{
    struct leases *x = l->all;
    drop_timer(l);
    if (l->out != ORDER_NONE)
        return; /* order_done comes here */
    if (l->far.number) {
        order(l, ORDER_DROP);
        return;
    }
    for (uint32_t i = 0; i < x->held.n; i++) {
        if (x->held.at[i] == l) {
            x->held.at[i] = x->held.at[--x->held.n];
            break;
        }
    }
    mem_free(l);
}

/* ---- waiting ---- */

static int64_t expected_ns(const struct task *t)
{
    return t->last && t->last->duration_ns > 0 ? t->last->duration_ns : t->far_expected_ns;
}

/* A result is there some moments after its step ended. */
static int64_t patience_ns(const struct task *t)
{
    int64_t expected = expected_ns(t), publish = expected / PUBLISH_PART;
    return expected + (publish < PUBLISH_NS ? publish : PUBLISH_NS);
}

static void tell_wait(struct lease *l, struct str host)
{
    struct task *t = l->task;
    struct building *b = t->building;
    l->told = host.n > 0;
    struct event e = {.kind = EVENT_STEP_WAIT,
                      .at_ns = time_now_ns(),
                      .step = t->number,
                      .name = graph_text(b->graph, graph_step(b->graph, t->step)->name),
                      .expected_ns = l->until_boot_ns - time_boot_ns(),
                      .text = host};
    b->listener->tell(b->listener, &e);
}

static void notice_wait(struct lease *l, struct str host)
{
    struct task *t = l->task;
    struct building *b = t->building;
    struct buf text;
    buf_init(&text, BUF_TEXT_LIMIT);
    buf_printf(&text, "'%.*s' is being run by %.*s: waiting for its result, for at most ",
               STR_ARG(graph_text(b->graph, graph_step(b->graph, t->step)->name)), STR_ARG(host));
    str_put_duration(&text, l->until_boot_ns - time_boot_ns());
    build_notice(b, "lease-wait", false, buf_str(&text));
    buf_free(&text);
}

static void wait_over(struct lease *l)
{
    if (l->told)
        tell_wait(l, STR(""));
}

/* The step may be over when this returns, and with it the lease. */
static void run_without(struct lease *l)
{
    struct task *t = l->task;
    wait_over(l);
    l->state = LEASE_OVER;
    t->stage = LOOK_REMOTE_HITS;
    t->far_next = t->far_count; /* none of them would do */
    t->awaited = 0;
    look_again(t);
}

static void take_late(void *context)
{
    struct lease *l = context; /* it stays: the order is under way */
    l->timer = (timer_id){0};
    l->all->off = true;
    l->task->lease = NULL;
    run_without(l);
    l->task = NULL; /* what comes of it, goes */
    lease_let_in(l->all->building);
}

static void take(struct lease *l, bool after)
{
    l->state = LEASE_TAKING;
    l->after = after;
    int64_t now = time_boot_ns(), late = now + TAKE_NS;
    if (l->until_boot_ns && late > l->until_boot_ns) /* the last look is given a moment, too */
        late = l->until_boot_ns > now + LOOK_LEAST_NS ? l->until_boot_ns : now + LOOK_LEAST_NS;
    l->timer = loop_add_timer(l->all->building->loop, late, take_late, l);
    order(l, ORDER_TAKE);
}

static void look_on(void *context)
{
    struct lease *l = context;
    l->timer = (timer_id){0};
    if (time_boot_ns() < l->until_boot_ns) {
        take(l, true);
    } else {
        run_without(l);
    }
}

/* From one look to the next. Towards the end of the patience there are more of them: a result is due. */
static int64_t pause_ns(int64_t left_ns)
{
    uint32_t r = 0;
    if (getrandom(&r, sizeof r, 0) != sizeof r)
        r = (uint32_t)time_boot_ns();
    int64_t pause = LOOK_NS + LOOK_SPREAD_NS / 1000 * (r % 1001);
    pause = pause < left_ns / 4 ? pause : left_ns / 4;
    return pause > LOOK_LEAST_NS ? pause : LOOK_LEAST_NS;
}

static void wait_for(struct lease *l)
{
    int64_t now = time_boot_ns();
    struct str host = l->far.host[0] ? str_from(l->far.host) : STR("another machine");
    if (l->until_boot_ns == 0) {
        l->until_boot_ns = now + patience_ns(l->task);
        notice_wait(l, host);
    }
    if (now >= l->until_boot_ns) {
        run_without(l);
        return;
    }
    l->state = LEASE_WAITING;
    tell_wait(l, host);
    int64_t at = now + pause_ns(l->until_boot_ns - now), until = l->until_boot_ns;
    struct loop *loop = l->all->building->loop;
    l->timer = loop_add_timer(loop, at < until ? at : until, look_on, l);
}

/* ---- holding ---- */

static void renew(void *context)
{
    struct lease *l = context;
    l->timer = loop_add_timer(l->all->building->loop, time_boot_ns() + FAR_LEASE_RENEW_MS * 1000000,
                              renew, l);
    if (l->out == ORDER_NONE)
        order(l, ORDER_RENEW);
}

/* Whoever held it before may have published since the step was looked for. */
static void look_once_more(struct lease *l)
{
    struct task *t = l->task;
    wait_over(l);
    t->fresh = true;
    t->stage = LOOK_REMOTE;
    t->awaited = 0;
    look_again(t);
}

static void taken(struct lease *l)
{
    struct building *b = l->all->building;
    drop_timer(l);
    switch (l->answer) {
    case FAR_LEASE_NONE:
        l->all->off = true;
        run_without(l);
        break;
    case FAR_LEASE_OURS:
        l->state = LEASE_HELD;
        l->timer = loop_add_timer(b->loop, time_boot_ns() + FAR_LEASE_RENEW_MS * 1000000, renew, l);
        look_once_more(l);
        break;
    case FAR_LEASE_GONE:
        l->state = LEASE_FREE;
        look_once_more(l);
        break;
    case FAR_LEASE_THEIRS: wait_for(l); break;
    }
    lease_let_in(b);
}

static void order_done(struct work *work)
{
    struct lease *l = (struct lease *)work;
    enum lease_order was = l->out;
    l->out = ORDER_NONE;
    if (l->task && was == ORDER_TAKE) {
        taken(l);
    } else if (!l->task && !l->keep) {
        let_go(l);
    }
}

/* ---- a step's turn ---- */

/* Steps that may soon run, and have no slot yet. */
static uint32_t ahead(const struct leases *x)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->held.n; i++) {
        const struct lease *l = x->held.at[i];
        const struct task *t = l->task;
        uint8_t life = t ? x->building->lives[t->step.i].life : LIFE_DONE;
        n += l->state == LEASE_TAKING
             || (l->state == LEASE_HELD && (life == LIFE_LOOKING || life == LIFE_QUEUED));
    }
    return n;
}

/* A lease that is held by who has no slot to run would keep others waiting for nothing. */
static bool has_room(const struct leases *x)
{
    const struct building *b = x->building;
    return sched_running(b->sched) + ahead(x) < remote_jobs(b);
}

bool lease_is_wanted(const struct task *t)
{
    const struct building *b = t->building;
    const struct leases *x = b->leases;
    if (!x || x->off || !t->leasable || b->stopping)
        return false;
    if (t->lease)
        return t->lease->state == LEASE_FREE;
    return expected_ns(t) > 0 && expected_ns(t) >= x->after_ns && remote_may_ask(t)
           && remote_may_give(b, graph_step(b->graph, t->step))
           && !far_place_is_unwritable(far_place_of(x->remote));
}

void lease_begin(struct task *t)
{
    struct building *b = t->building;
    struct leases *x = b->leases;
    life_set(b, t->step, LIFE_LOOKING);
    t->awaited = 1;
    if (!t->lease) {
        t->lease = mem_alloc(sizeof *t->lease);
        t->lease->all = x;
        t->lease->task = t;
        t->lease->far.fingerprint = t->fingerprint;
        *VEC_PUSH(&x->arena, &x->held) = t->lease;
    }
    t->lease->state = LEASE_LINE;
    lease_let_in(b);
}

void lease_let_in(struct building *b)
{
    struct leases *x = b->leases;
    for (uint32_t i = 0; x && i < x->held.n && !b->stopping; i++) {
        if (x->held.at[i]->state == LEASE_LINE && has_room(x))
            take(x->held.at[i], false);
    }
}

void lease_forget(struct task *t)
{
    struct lease *l = t->lease;
    t->lease = NULL;
    if (!l)
        return;
    if (l->told) {
        l->task = t;
        wait_over(l);
    }
    l->task = NULL;
    if (l->state != LEASE_HELD || !l->keep) {
        l->keep = false;
        let_go(l);
    }
    lease_let_in(t->building); /* it may have been ahead of them, and never run */
}

uint32_t lease_waiting(const struct building *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; b->leases && !b->stopping && i < b->leases->held.n; i++) {
        const struct lease *l = b->leases->held.at[i];
        n += l->task
             && (l->state == LEASE_LINE || l->state == LEASE_TAKING || l->state == LEASE_WAITING);
    }
    return n;
}

/* ---- a result ---- */

static struct lease *find(const struct building *b, const struct digest *fingerprint)
{
    for (uint32_t i = 0; b->leases && i < b->leases->held.n; i++) {
        struct lease *l = b->leases->held.at[i];
        if (l->keep && digest_eq(&l->far.fingerprint, fingerprint))
            return l;
    }
    return NULL;
}

void lease_keep(struct task *t)
{
    if (t->lease && t->lease->state == LEASE_HELD)
        t->lease->keep = true;
}

bool lease_is_kept(const struct building *b, const struct digest *fingerprints, uint32_t count)
{
    bool any = false;
    for (uint32_t i = 0; i < count && !any; i++)
        any = find(b, &fingerprints[i]) != NULL;
    return any;
}

void lease_end(struct building *b, const struct digest *fingerprints, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct lease *l = find(b, &fingerprints[i]);
        if (!l)
            continue;
        l->keep = false;
        if (!l->task)
            let_go(l);
    }
}

void lease_finish(struct building *b)
{
    struct leases *x = b->leases;
    int64_t until = time_boot_ns() + FINISH_NS;
    for (uint32_t i = x ? x->held.n : 0; i > 0; i--) {
        struct lease *l = x->held.at[i - 1];
        if (l->task)
            l->task->lease = NULL;
        l->task = NULL;
        l->keep = false;
        let_go(l);
    }
    while (x && x->held.n > 0 && time_boot_ns() < until)
        loop_wait(b->loop, WAIT_MS);
}
