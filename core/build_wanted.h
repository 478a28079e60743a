/* SPDX-License-Identifier: MIT */
/* Which steps a build wants: targets, what they need, what this machine and this version can do for them; the
 * first look at all their files. */
#pragma once

#include "core/graph.h"

#include <stdbool.h>

struct building;

/* Selects, checks, observes, and queues what is ready. false with diagnostics: nothing was run. */
bool wanted_begin(struct building *b, struct diags *d);
/* The same for the graph that a fan-out gave: lives that are under way or ended stay. */
bool wanted_again(struct building *b, struct diags *d);
void wanted_end(struct building *b);
/* Gives a step the next number. */
void wanted_number(struct building *b, step_id s);
/* The longest chain of what has not ended, by past durations; what runs counts with what it has left. */
int64_t wanted_remaining_ns(struct building *b);
bool wanted_probes_running(const struct building *b);
