/* SPDX-License-Identifier: MIT */
/* What the rooms of a build's remote cache share: remote.c fetches, gives and sees to the bounds, remote_ask.c asks. */
#pragma once

#include "core/building.h"
#include "core/remote.h"

enum { REMOTE_LANE_ASK = 1, REMOTE_LANE_FETCH = 2, REMOTE_LANE_PUSH = 3 };

struct asking;

struct remote {
    struct building *building;
    struct far *far;
    struct workers *workers; /* NULL: nothing was asked yet */
    bool read, write;
    VEC(struct task *) wanting; /* to be fetched next */
    struct remote_fetch *fetch; /* under way */
    uint32_t waiting;           /* tasks that wait for an answer, or for bytes … */
    int64_t waits_since_ns;     /* … of which the first began then */
    int64_t waited_ns;          /* in all, whether one or many waited */
    timer_id fetch_timer;
    int64_t wanting_since_ns; /* 0: nothing is wanted, or a fetch is under way */
    struct asking *asking;    /* gathered, and not asked yet */
    uint32_t asks;            /* whose answer somebody waits for */
    uint32_t asked;
    VEC(struct digest) used; /* not noted yet */
    bool gave;               /* something was pushed, or tried to be */
    uint32_t overdue; /* answers that nobody waits for any more: until they come, nobody asks */
    bool pushing, to_push, ending, closing;
    bool hurry; /* others wait for what is to be pushed */
    timer_id push_timer, pulse;
    struct leases *leases;          /* once the build has ended */
    int64_t lost_ns, lost_until_ns; /* waited in vain; the last time ended then */
};

/* remote.c */
bool remote_start_workers(struct remote *r);
int64_t remote_patience_ns(const struct remote *r);
void remote_count_lost(struct remote *r, int64_t since_ns);
void remote_tell_notes(struct remote *r, const struct diags *notes);
void remote_begin_wait(struct remote *r, struct task *t);
void remote_end_wait(struct remote *r, struct task *t);
void remote_pulse_begin(struct remote *r);

/* remote_ask.c */
int64_t remote_bound_ns(int64_t expected_ns);
void remote_ask_hold(struct remote_ask *a);
void remote_ask_release(struct remote_ask *a); /* NULL is fine */
void remote_ask_give_up(struct task *t);       /* if it waits for an answer: it goes on without */
bool remote_ask_free(struct work *left);       /* if it is one of asking */
