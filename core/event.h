/* SPDX-License-Identifier: MIT */
/* What happens during a build, as values; a listener is one function. Listeners look, they change nothing. */
#pragma once

#include "core/base/str.h"

struct part_change;

enum event_result { /* of a step; names by event_result_name */
                    EVENT_UP_TO_DATE,
                    EVENT_RESTORED,
                    EVENT_RAN,
                    EVENT_SKIPPED,
                    EVENT_FAILED,
                    EVENT_WOULD_RUN, /* status and -n */
                    EVENT_WOULD_RESTORE,
                    EVENT_MAY_RUN,
};

enum event_kind {
    EVENT_BUILD_BEGIN, /* totals, once the wanted steps are known; again if a fan-out adds some */
    EVENT_STEP_START,  /* its command was started (again with try > 1) */
    EVENT_STEP_WAIT, /* another machine runs it (text), and its result is awaited; text empty: not any more */
    EVENT_STEP_END,
    EVENT_NOTICE,  /* one line about the cache, a retry, a changed input */
    EVENT_SUMMARY, /* last */
};

struct event_counts {
    uint32_t ran, restored, up_to_date, skipped, failed, would_run, would_restore, may_run;
};

/* What the remote cache was asked and gave in a build, and what that cost. */
struct event_remote {
    uint32_t asked, restored;          /* steps that were looked for there; restored from there */
    uint64_t lists, gets, puts, drops; /* requests, by kind */
    uint64_t received, sent;           /* bytes of what was fetched and put */
    int64_t waited_ns; /* while a step waited for it, or the build's end for its results to go */
};
/* Requests of all kinds. */
static inline uint64_t event_remote_requests(const struct event_remote *r)
{
    return r->lists + r->gets + r->puts + r->drops;
}
static inline bool event_remote_had_part(const struct event_remote *r)
{
    return r->asked > 0 || event_remote_requests(r) > 0;
}

struct event {
    enum event_kind kind;
    int64_t at_ns; /* realtime */
    /* steps */
    uint32_t
        step; /* the step's number in this build: one step keeps it, whatever the graph becomes */
    struct str name;
    struct str about;
    enum event_result result; /* STEP_END */
    uint32_t attempt;         /* STEP_START: 1, 2, … */
    int64_t duration_ns;      /* STEP_END: of the command, the restore, or 0 */
    int64_t expected_ns;      /* from the last run; 0 unknown. STEP_WAIT: how long at most */
    int64_t saved_ns;         /* STEP_END: what a skip or restore saved, by the recorded duration */
    const char
        *from; /* STEP_END: of what is or would be restored, "local" or "remote"; else NULL */
    struct str reason;   /* "param max_depth: 5 -> 6"; why it ran, was skipped, failed */
    struct str command;  /* STEP_START and a failed STEP_END: as it is run, secrets never in it */
    struct str log_path; /* STEP_END: workspace-relative; empty: printed nothing */
    int exit_status;     /* failed STEP_END: of the command; -1: none */
    const struct part_change
        *changes; /* STEP_END: what differs from the last success (core/fingerprint.h) */
    uint32_t change_count;
    bool has_metrics;
    /* notice */
    const char *code;
    struct str text; /* STEP_WAIT, too: for whom */
    bool warning;
    /* totals and summary */
    uint32_t wanted; /* BUILD_BEGIN: wanted steps */
    int64_t
        remaining_ns; /* BUILD_BEGIN: estimate from past durations on the longest path; 0 unknown */
    struct event_counts counts;
    struct event_remote remote; /* SUMMARY */
    bool asking;                /* status or -n: nothing is run */
};

/* Told of each event in order, on the build's thread. */
struct listener {
    void (*tell)(struct listener *self, const struct event *e);
    /* About ten times a second while something runs; may be NULL. */
    void (*tick)(struct listener *self);
};

const char *event_result_name(enum event_result r); /* "up_to_date", … */
