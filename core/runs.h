/* SPDX-License-Identifier: MIT */
/* Past runs, `.pawl/runs`: one JSON object a line, oldest first. Bounded; a line that cannot be read is
 * passed over. Format: docs/formats.md, "State". */
#pragma once

#include "core/state.h"

enum {
    RUNS_KEEP = 1000,           /* so many are left when there are too many … */
    RUNS_COUNT_LIMIT = 2000,    /* … by number */
    RUNS_BYTES_LIMIT = 16 << 20 /* … or by size; then at most half of it is left */
};

/* dir: of `.pawl`. Sets run->id to one more than the newest's. */
bool runs_add(int dir, struct arena *a, struct state_run *run, struct diags *d);
/* The newest limit runs (0: all), oldest first. Without a file there are none. */
bool runs_read(int dir, struct arena *a, uint32_t limit, struct state_run **out, uint32_t *count,
               struct diags *d);
