/* SPDX-License-Identifier: MIT */
/* What the rooms of looking share: look.c has the order and what is in place, look_hits.c what the caches have. */
#pragma once

#include "core/building.h"

/* What a part of looking says. */
enum looked {
    LOOKED_ON,   /* go on with the next part */
    LOOKED_WAIT, /* something is awaited */
    LOOKED_OVER, /* the step has ended, or was handed on: the task may be gone */
};

/* look.c. Those that compare give their answer of what is known; with t->awaited: not all is known yet. */
/* Whether each output of the record lies in place with its content and mode; *odd: the first that does not. */
enum plan_outputs look_compare_outputs(struct task *t, const struct record *r, struct str *odd);
/* The same for what it was found to read. */
bool look_inputs_match(struct task *t, const struct record *r, struct str *odd);
struct str look_change_reason(struct task *t);
void look_end_up_to_date(struct task *t, const struct record *r, bool from_cache);
enum looked look_must_run(struct task *t);
int64_t look_not_before_ms(struct task *t); /* older results are of no use */

/* look_hits.c: parts of looking. */
enum looked look_cache(struct task *t);
bool look_reads_values(const struct graph_step *s); /* from what others make */
enum looked look_hits(struct task *t);
enum looked look_remote(struct task *t);
enum looked look_remote_hits(struct task *t);
