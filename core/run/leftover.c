/* SPDX-License-Identifier: MIT */
/* All of them are found before the first is killed: its children would lose the parent they are known by. */
#include "core/run/leftover.h"

#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/run/process.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_NS = 5000000 };

struct hunt {
    struct arena arena;
    struct process *all; /* sorted by pid */
    uint32_t count;
    bool *prey, *spared; /* one for each */
    struct str mark;
};

static bool carries_mark(struct hunt *h, pid_t pid)
{
    struct str value;
    struct arena_mark before = arena_mark(&h->arena);
    bool carries = process_read_env(&h->arena, pid, STR("PAWL_JOB"), &value)
                   && str_starts(value, h->mark) && value.n > h->mark.n
                   && value.s[h->mark.n] == '.';
    arena_reset(&h->arena, before);
    return carries;
}

static const struct process *find(const struct hunt *h, pid_t pid)
{
    return process_find(h->all, h->count, pid);
}

/* This process and those it runs in. */
static void spare_own(struct hunt *h)
{
    const struct process *p = find(h, getpid());
    for (uint32_t i = 0; p && i < h->count; i++) {
        h->spared[p - h->all] = true;
        p = find(h, p->parent);
    }
}

static bool is_with_prey(const struct hunt *h, const struct process *p)
{
    const struct process *parent = find(h, p->parent), *leader = find(h, p->group);
    return (parent && h->prey[parent - h->all]) || (leader && h->prey[leader - h->all]);
}

/* True if there is any. */
static bool find_prey(struct hunt *h)
{
    bool any = false, more = true;
    h->prey = ARENA_ARRAY(&h->arena, bool, h->count);
    h->spared = ARENA_ARRAY(&h->arena, bool, h->count);
    spare_own(h);
    for (uint32_t i = 0; i < h->count; i++) {
        if (!h->spared[i] && !h->all[i].dead && carries_mark(h, h->all[i].pid)) {
            h->prey[i] = any = true;
        }
    }
    while (any && more) {
        more = false;
        for (uint32_t i = 0; i < h->count; i++) {
            if (!h->prey[i] && !h->spared[i] && !h->all[i].dead && is_with_prey(h, &h->all[i])) {
                h->prey[i] = more = true;
            }
        }
    }
    return any;
}

static uint32_t kill_prey(const struct hunt *h)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->prey[i]) {
            (void)process_signal(&h->all[i], SIGKILL); /* the next look tells */
            count++;
        }
    }
    return count;
}

bool leftover_end(struct str mark, int64_t patience_ns, uint32_t *ended)
{
    int64_t until = time_monotonic_ns() + patience_ns;
    *ended = 0;
    for (;;) {
        struct hunt h = {.mark = mark};
        bool any = process_scan(&h.arena, getpid(), &h.all, &h.count) && find_prey(&h);
        uint32_t count = any ? kill_prey(&h) : 0;
        arena_free(&h.arena);
        *ended = count > *ended ? count : *ended;
        if (!any) {
            return true;
        }
        if (time_monotonic_ns() > until) {
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
}
