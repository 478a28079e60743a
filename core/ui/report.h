/* SPDX-License-Identifier: MIT */
/* Answers from what is recorded: steps, past runs, what was saved, metrics side by side. Each appends text for people,
 * or with json set one object a line. */
#pragma once

#include "core/graph.h"
#include "core/state.h"

struct report_options {
    bool json, verbose, bare; /* bare: names alone, one a line */
};

void report_steps(struct buf *b, const struct graph *g, const struct step_list *steps,
                  const struct report_options *o);
void report_runs(struct buf *b, const struct state_run *runs, uint32_t count,
                 const struct report_options *o);
/* Over all the runs given: hit rate, time and money saved. */
void report_stats(struct buf *b, const struct state_run *runs, uint32_t count,
                  const struct report_options *o);
/* Parameters and metrics of two runs side by side. */
void report_diff(struct buf *b, const struct state_run *before, const struct state_run *after,
                 const struct report_options *o);
/* A table: a line for each run that has metrics of the steps named (none: all). */
void report_metrics(struct buf *b, const struct state_run *runs, uint32_t count,
                    const struct str *steps, uint32_t step_count, const struct report_options *o);
