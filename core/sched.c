/* SPDX-License-Identifier: MIT */
/* Steps that wait for the same tokens form a class, each a heap by priority: what blocks one of them blocks
 * all, so that a start looks at the fronts of classes alone. A class that met a full pool or machine is set
 * aside until a step gives back what it lacked. */
#include "core/sched.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { SLOTS_MIN = 16 };

/* What a step takes while it runs. Equal tokens, equal class. */
struct tokens {
    uint32_t pool; /* or GRAPH_NONE */
    uint32_t gpus;
    uint64_t micro_cpus; /* whole numbers: what is given back is exactly what was taken */
    uint64_t memory;
    bool alone; /* wants more than there is */
};

struct waiting {
    int64_t priority;
    uint32_t step;
};

enum class_place { CLASS_EMPTY, CLASS_READY, CLASS_ASIDE };

struct class
{
    struct tokens tokens;
    VEC(struct waiting) heap;
    enum class_place place;
    uint32_t position; /* in sched.ready */
    uint32_t next;     /* of those set aside for the same want */
};

struct held {
    struct tokens tokens;
    uint64_t gpus;
    uint32_t step;
};

struct sched {
    struct arena *arena;
    const struct graph *g;
    struct sched_limits limits;
    uint64_t micro_cpus; /* of the machine; 0: no bound */
    VEC(struct class) classes;
    uint32_t *slots; /* hash of classes by tokens: number + 1 */
    uint32_t slot_count;
    VEC(uint32_t) ready; /* heap of classes by their front */
    uint32_t *pool_used, *pool_aside;
    uint32_t machine_aside, alone_aside;
    VEC(struct held) held;
    uint32_t *held_at; /* for each step: place in held + 1 */
    uint32_t waiting;
    uint64_t used_cpus, used_memory, used_gpus;
    uint64_t gpu_mask;
    bool alone; /* what runs, runs alone */
};

/* ---- tokens ---- */

static uint64_t micro_cpus(double cpus)
{
    const double most = 1e12;
    return cpus > 0 ? (uint64_t)llround((cpus < most ? cpus : most) * 1e6) : 0;
}

static struct tokens tokens_of(const struct sched *s, uint32_t step)
{
    const struct graph_step *st = &s->g->steps[step];
    struct tokens t = {.pool = st->pool, .gpus = st->gpus};
    if (st->flags & GRAPH_STEP_HAS_CPUS) {
        t.micro_cpus = micro_cpus(st->cpus);
        t.alone = s->micro_cpus && t.micro_cpus > s->micro_cpus;
    }
    if (st->flags & GRAPH_STEP_HAS_MEMORY) {
        t.memory = st->memory_bytes;
        t.alone |= s->limits.memory_bytes && t.memory > s->limits.memory_bytes;
    }
    if (t.alone) { /* nothing beside it to share with */
        t.micro_cpus = 0;
        t.memory = 0;
    }
    return t;
}

static bool tokens_eq(const struct tokens *x, const struct tokens *y)
{
    return x->pool == y->pool && x->gpus == y->gpus && x->micro_cpus == y->micro_cpus
           && x->memory == y->memory && x->alone == y->alone;
}

static uint64_t tokens_hash(const struct tokens *t)
{
    const uint64_t odd = 0x9e3779b97f4a7c15u;
    uint64_t h = ((uint64_t)t->pool << 32 | t->gpus) * odd;
    h = (h ^ h >> 32 ^ t->micro_cpus) * odd;
    h = (h ^ h >> 32 ^ t->memory) * odd;
    h = (h ^ h >> 32 ^ t->alone) * odd;
    return h ^ h >> 32;
}

/* ---- the heap of one class ---- */

/* Whether x starts before y. */
static bool is_before(const struct waiting *x, const struct waiting *y)
{
    return x->priority != y->priority ? x->priority > y->priority : x->step < y->step;
}

static void heap_put(struct class *c, struct arena *a, struct waiting w)
{
    (void)VEC_PUSH(a, &c->heap);
    struct waiting *at = c->heap.at;
    uint32_t i = c->heap.n - 1;
    for (; i > 0 && is_before(&w, &at[(i - 1) / 2]); i = (i - 1) / 2) {
        at[i] = at[(i - 1) / 2];
    }
    at[i] = w;
}

static struct waiting heap_take(struct class *c)
{
    struct waiting *at = c->heap.at;
    struct waiting first = at[0];
    uint32_t n = --c->heap.n;
    struct waiting w = at[n];
    uint32_t i = 0;
    for (uint32_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && is_before(&at[child + 1], &at[child])) {
            child++;
        }
        if (!is_before(&at[child], &w)) {
            break;
        }
        at[i] = at[child];
        i = child;
    }
    at[i] = w;
    return first;
}

/* ---- the heap of classes that may start something ---- */

static bool class_is_before(const struct sched *s, uint32_t x, uint32_t y)
{
    return is_before(&s->classes.at[x].heap.at[0], &s->classes.at[y].heap.at[0]);
}

static void set_ready(struct sched *s, uint32_t i, uint32_t class_number)
{
    s->ready.at[i] = class_number;
    s->classes.at[class_number].position = i;
}

static void ready_up(struct sched *s, uint32_t i)
{
    uint32_t c = s->ready.at[i];
    for (; i > 0 && class_is_before(s, c, s->ready.at[(i - 1) / 2]); i = (i - 1) / 2) {
        set_ready(s, i, s->ready.at[(i - 1) / 2]);
    }
    set_ready(s, i, c);
}

static void ready_down(struct sched *s, uint32_t i)
{
    uint32_t c = s->ready.at[i];
    for (uint32_t child = 2 * i + 1; child < s->ready.n; child = 2 * i + 1) {
        if (child + 1 < s->ready.n
            && class_is_before(s, s->ready.at[child + 1], s->ready.at[child])) {
            child++;
        }
        if (!class_is_before(s, s->ready.at[child], c)) {
            break;
        }
        set_ready(s, i, s->ready.at[child]);
        i = child;
    }
    set_ready(s, i, c);
}

static void ready_put(struct sched *s, uint32_t class_number)
{
    s->classes.at[class_number].place = CLASS_READY;
    *VEC_PUSH(s->arena, &s->ready) = class_number;
    ready_up(s, s->ready.n - 1);
}

/* The front class goes: aside, or because nothing of it waits. */
static void ready_drop_front(struct sched *s, enum class_place place)
{
    s->classes.at[s->ready.at[0]].place = place;
    uint32_t last = s->ready.at[--s->ready.n];
    if (s->ready.n > 0) {
        set_ready(s, 0, last);
        ready_down(s, 0);
    }
}

/* ---- classes ---- */

static void classes_grow(struct sched *s)
{
    uint32_t count = s->slot_count ? s->slot_count * 2 : SLOTS_MIN;
    s->slots = ARENA_ARRAY(s->arena, uint32_t, count);
    s->slot_count = count;
    for (uint32_t i = 0; i < s->classes.n; i++) {
        uint32_t at = (uint32_t)tokens_hash(&s->classes.at[i].tokens) & (count - 1);
        while (s->slots[at]) {
            at = (at + 1) & (count - 1);
        }
        s->slots[at] = i + 1;
    }
}

static uint32_t class_of(struct sched *s, const struct tokens *t)
{
    if (s->classes.n >= s->slot_count / 2) {
        classes_grow(s);
    }
    uint32_t at = (uint32_t)tokens_hash(t) & (s->slot_count - 1);
    while (s->slots[at]) {
        if (tokens_eq(&s->classes.at[s->slots[at] - 1].tokens, t)) {
            return s->slots[at] - 1;
        }
        at = (at + 1) & (s->slot_count - 1);
    }
    struct class *c = VEC_PUSH(s->arena, &s->classes);
    c->tokens = *t;
    s->slots[at] = s->classes.n;
    return s->classes.n - 1;
}

/* Puts those that were set aside for one want back among the ready. */
static void take_back(struct sched *s, uint32_t *aside)
{
    uint32_t next = *aside;
    *aside = GRAPH_NONE;
    while (next != GRAPH_NONE) {
        uint32_t c = next;
        next = s->classes.at[c].next;
        ready_put(s, c);
    }
}

/* ---- what there is ---- */

static uint32_t pool_limit(const struct sched *s, uint32_t pool)
{
    uint32_t limit = s->g->pools[pool].limit;
    return limit ? limit : 1;
}

static uint32_t count_bits(uint64_t x)
{
    uint32_t n = 0;
    for (; x; x &= x - 1) {
        n++;
    }
    return n;
}

static bool fits_machine(const struct sched *s, const struct tokens *t)
{
    if (t->micro_cpus && s->micro_cpus && s->used_cpus + t->micro_cpus > s->micro_cpus) {
        return false;
    }
    uint64_t memory = s->limits.memory_bytes;
    if (t->memory && memory && (s->used_memory > memory || t->memory > memory - s->used_memory)) {
        return false;
    }
    return t->gpus <= count_bits(s->gpu_mask & ~s->used_gpus);
}

/* Where a class with these tokens has to wait; NULL: it can start. */
static uint32_t *missing(struct sched *s, const struct tokens *t)
{
    if (t->alone && s->held.n > 0) {
        return &s->alone_aside;
    }
    if (t->pool != GRAPH_NONE && s->pool_used[t->pool] >= pool_limit(s, t->pool)) {
        return &s->pool_aside[t->pool];
    }
    return fits_machine(s, t) ? NULL : &s->machine_aside;
}

/* The others go on waiting: until the next release there will only be less. */
static void take_back_fitting(struct sched *s)
{
    uint32_t *link = &s->machine_aside;
    while (*link != GRAPH_NONE) {
        uint32_t number = *link;
        struct class *c = &s->classes.at[number];
        if (fits_machine(s, &c->tokens)) {
            *link = c->next;
            ready_put(s, number);
        } else {
            link = &c->next;
        }
    }
}

static uint64_t take_gpus(struct sched *s, uint32_t count)
{
    uint64_t taken = 0;
    for (uint64_t bit = 1; count > 0; bit <<= 1) {
        if (s->gpu_mask & ~s->used_gpus & bit) {
            s->used_gpus |= bit;
            taken |= bit;
            count--;
        }
    }
    return taken;
}

static void take_tokens(struct sched *s, const struct tokens *t)
{
    if (t->pool != GRAPH_NONE) {
        s->pool_used[t->pool]++;
    }
    s->used_cpus += t->micro_cpus;
    s->used_memory += t->memory;
    s->alone |= t->alone;
}

/* ---- the door ---- */

static void set_graph(struct sched *s, const struct graph *g)
{
    s->g = g;
    s->held_at = ARENA_ARRAY(s->arena, uint32_t, g->step_count);
    s->pool_used = ARENA_ARRAY(s->arena, uint32_t, g->pool_count);
    s->pool_aside = ARENA_ARRAY(s->arena, uint32_t, g->pool_count);
    for (uint32_t i = 0; i < g->pool_count; i++) {
        s->pool_aside[i] = GRAPH_NONE;
    }
    s->machine_aside = GRAPH_NONE;
    s->alone_aside = GRAPH_NONE;
}

struct sched *sched_make(struct arena *a, const struct graph *g, const struct sched_limits *limits)
{
    struct sched *s = ARENA_NEW(a, struct sched);
    s->arena = a;
    s->limits = *limits;
    s->limits.jobs = limits->jobs ? limits->jobs : 1;
    s->micro_cpus = micro_cpus(limits->cpus);
    uint32_t gpus = limits->gpu_count;
    s->gpu_mask = gpus >= SCHED_GPUS_MAX ? UINT64_MAX : (UINT64_C(1) << gpus) - 1;
    set_graph(s, g);
    return s;
}

void sched_push(struct sched *s, step_id step, int64_t priority)
{
    assert(step.i < s->g->step_count && !s->held_at[step.i]);
    struct tokens t = tokens_of(s, step.i);
    assert(t.gpus
           <= count_bits(s->gpu_mask)); /* else it would wait for ever: the build refuses it */
    uint32_t number = class_of(s, &t);
    struct class *c = &s->classes.at[number];
    heap_put(c, s->arena, (struct waiting){priority, step.i});
    s->waiting++;
    if (c->place == CLASS_EMPTY) {
        ready_put(s, number);
    } else if (c->place == CLASS_READY) {
        ready_up(s, c->position);
    }
}

static void start(struct sched *s, struct sched_grant *out)
{
    uint32_t number = s->ready.at[0];
    struct class *c = &s->classes.at[number];
    struct waiting w = heap_take(c);
    s->waiting--;
    if (c->heap.n > 0) {
        ready_down(s, 0);
    } else {
        ready_drop_front(s, CLASS_EMPTY);
    }
    take_tokens(s, &c->tokens);
    struct held *held = VEC_PUSH(s->arena, &s->held);
    *held = (struct held){c->tokens, take_gpus(s, c->tokens.gpus), w.step};
    s->held_at[w.step] = s->held.n;
    *out = (struct sched_grant){{w.step}, held->gpus, c->tokens.alone};
}

bool sched_next(struct sched *s, double load, struct sched_grant *out)
{
    if (s->held.n >= s->limits.jobs || s->alone) {
        return false;
    }
    if (s->limits.max_load > 0 && load >= s->limits.max_load && s->held.n > 0) {
        return false;
    }
    while (s->ready.n > 0) {
        uint32_t number = s->ready.at[0];
        uint32_t *aside = missing(s, &s->classes.at[number].tokens);
        if (!aside) {
            start(s, out);
            return true;
        }
        ready_drop_front(s, CLASS_ASIDE);
        s->classes.at[number].next = *aside;
        *aside = number;
    }
    return false;
}

void sched_release(struct sched *s, const struct sched_grant *grant)
{
    uint32_t at = s->held_at[grant->step.i];
    assert(at > 0);
    struct held held = s->held.at[at - 1];
    s->held_at[grant->step.i] = 0;
    s->held.n--;
    if (at - 1 < s->held.n) {
        s->held.at[at - 1] = s->held.at[s->held.n];
        s->held_at[s->held.at[at - 1].step] = at;
    }
    const struct tokens *t = &held.tokens;
    s->used_cpus -= t->micro_cpus;
    s->used_memory -= t->memory;
    s->used_gpus &= ~held.gpus;
    s->alone &= !t->alone;
    if (t->pool != GRAPH_NONE) {
        s->pool_used[t->pool]--;
        take_back(s, &s->pool_aside[t->pool]);
    }
    if (t->micro_cpus || t->memory || t->gpus) {
        take_back_fitting(s);
    }
    if (s->held.n == 0) {
        take_back(s, &s->alone_aside);
    }
}

uint32_t sched_running(const struct sched *s)
{
    return s->held.n;
}

uint32_t sched_waiting(const struct sched *s)
{
    return s->waiting;
}

static void forget_waiting(struct sched *s)
{
    for (uint32_t i = 0; i < s->classes.n; i++) {
        s->classes.at[i].heap.n = 0;
        s->classes.at[i].place = CLASS_EMPTY;
    }
    for (uint32_t i = 0; i < s->g->pool_count; i++) {
        s->pool_aside[i] = GRAPH_NONE;
    }
    s->machine_aside = GRAPH_NONE;
    s->alone_aside = GRAPH_NONE;
    s->ready.n = 0;
    s->waiting = 0;
}

void sched_clear(struct sched *s, void (*drop)(void *context, step_id step), void *context)
{
    for (uint32_t i = 0; i < s->classes.n; i++) {
        const struct class *c = &s->classes.at[i];
        for (uint32_t k = 0; drop && k < c->heap.n; k++) {
            drop(context, (step_id){c->heap.at[k].step});
        }
    }
    forget_waiting(s);
}

/* Pools may have other numbers now: of what is held, the pool is looked up again and the rest stays. */
void sched_move(struct sched *s, struct arena *a, const struct graph *g, const uint32_t *map)
{
    struct sched old = *s;
    s->arena = a;
    memset(&s->classes, 0, sizeof s->classes);
    memset(&s->ready, 0, sizeof s->ready);
    memset(&s->held, 0, sizeof s->held);
    s->slots = NULL;
    s->slot_count = 0;
    s->waiting = 0;
    set_graph(s, g);
    for (uint32_t i = 0; i < old.held.n; i++) {
        struct held *held = VEC_PUSH(a, &s->held);
        *held = old.held.at[i];
        held->step = map[held->step];
        held->tokens.pool = GRAPH_NONE;
        if (held->step != GRAPH_NONE) {
            s->held_at[held->step] = s->held.n;
            held->tokens.pool = g->steps[held->step].pool;
        }
        if (held->tokens.pool != GRAPH_NONE) {
            s->pool_used[held->tokens.pool]++;
        }
    }
    for (uint32_t i = 0; i < old.classes.n; i++) {
        const struct class *c = &old.classes.at[i];
        for (uint32_t k = 0; k < c->heap.n; k++) {
            uint32_t step = map[c->heap.at[k].step];
            if (step != GRAPH_NONE) {
                sched_push(s, (step_id){step}, c->heap.at[k].priority);
            }
        }
    }
}

void sched_paths(const struct graph *g, const uint8_t *wanted, const int64_t *durations_ns,
                 int64_t *out)
{
    const int64_t unknown_ns = 1000000;
    for (uint32_t i = g->step_count; i-- > 0;) {
        uint32_t step = g->order[i];
        out[step] = 0;
        if (!wanted[step]) {
            continue;
        }
        int64_t longest = 0;
        struct grange behind = g->steps[step].dependents;
        for (uint32_t k = 0; k < behind.n; k++) {
            uint32_t other = g->back_edges[behind.first + k].step.i;
            longest = wanted[other] && out[other] > longest ? out[other] : longest;
        }
        int64_t own = durations_ns[step] > 0 ? durations_ns[step] : unknown_ns;
        out[step] = own > INT64_MAX - longest ? INT64_MAX : own + longest;
    }
}
