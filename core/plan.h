/* SPDX-License-Identifier: MIT */
/* One pure decision: what is to be done with a step, and why. Looks at nothing: it is handed facts. */
#pragma once

#include "cache/record.h"
#include "core/fingerprint.h"
#include "core/state.h"

enum plan_verdict {
    PLAN_UP_TO_DATE, /* outputs are in place and match */
    PLAN_LOOKUP,     /* ask the cache before running */
    PLAN_RUN,        /* the cache would not help, or must not */
};

enum plan_outputs { PLAN_OUTPUTS_MATCH, PLAN_OUTPUTS_MISSING, PLAN_OUTPUTS_CHANGED };

struct plan_facts {
    const struct digest *fingerprint;
    const struct state_step *last; /* NULL: this step never succeeded here */
    enum plan_outputs outputs; /* against last; only looked at when its fingerprint is this one */
    bool inputs_match;         /* last's discovered inputs are as they were (true if it had none) */
    struct str odd_path;       /* the output that is missing or changed, or the discovered input */
    int64_t now_ms;            /* the machine's clock */
    int64_t expire_ms;         /* 0: never */
    bool cache_off;            /* `cache off`: never reuses, never stores */
    bool no_cache;             /* neither reads nor writes the cache; what is in place stays */
    bool rerun;                /* --rerun */
    bool distrusted;           /* last's result came from somebody who is not listed as trusted */
};

struct plan {
    enum plan_verdict verdict;
    /* Why, as far as it is known without comparing parts; empty: the fingerprint differs from the last
     * success, whose parts tell. */
    struct str reason;
};
struct plan plan_decide(struct arena *a, const struct plan_facts *f);

/* True if a result of this age is too old (a success over 10 min in the future counts as expired). */
bool plan_is_expired(int64_t success_ms, int64_t now_ms, int64_t expire_ms);
/* The oldest success that may be used: for cache_lookup. */
int64_t plan_not_before_ms(int64_t now_ms, int64_t expire_ms);
