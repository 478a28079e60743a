/* SPDX-License-Identifier: MIT */
/* What a build looked at, as signatures to be compared: the Pipelinefiles and whatever else their evaluation saw,
 * source inputs, and inputs that steps were found to read. Outputs are never watched. */
#pragma once

#include "core/base/arena.h"
#include "core/base/table.h"
#include "core/graph.h"
#include "core/state.h"

struct watch {
    struct arena arena;
    struct table names; /* paths, or patterns where `globs` says so */
    VEC(struct digest) seen;
    VEC(bool) globs;
    struct table made; /* outputs: what lies there or below is no news */
    int root;          /* borrowed */
};

void watch_init(struct watch *w, int root);
void watch_free(struct watch *w);
/* One path, as it lies there now unless it is watched already. */
void watch_add(struct watch *w, struct str path);
/* All that counts for the graph. */
void watch_add_graph(struct watch *w, const struct graph *g);
/* What past runs were found to read. */
void watch_add_discovered(struct watch *w, const struct state *state);
enum watch_end {
    WATCH_ENDED,   /* by the person */
    WATCH_CHANGED, /* something differs from what was seen, and has come to rest */
    WATCH_DUE,     /* the time has come (CLOCK_BOOTTIME) */
};
enum watch_end watch_wait(const struct watch *w, int64_t until_boot_ns);
