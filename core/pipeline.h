/* SPDX-License-Identifier: MIT */
/* A pipeline at hand: where its file and root are, and its graph, mapped from the last time if that still
 * holds, else evaluated anew and kept. */
#pragma once

#include "core/base/table.h"
#include "core/eval.h"

/* Where a Pipelinefile was found. */
struct pipeline_place {
    int root;             /* descriptor of the workspace's folder; -1: none */
    struct str root_path; /* absolute */
    struct str file;      /* relative to the root where it lies below it, else absolute */
};
/* given empty: the file "Pipelinefile" in the current folder or the nearest above it. Else that file, and the
 * root is the current folder. false with a diagnostic ("no-pipelinefile"). */
bool pipeline_find(struct arena *a, struct str given, struct pipeline_place *out, struct diags *d);

struct pipeline {
    struct eval_options options; /* borrowed parts; listings grow as fan-outs become known */
    struct graph graph;
    struct arena arena; /* an evaluated graph's image */
    struct arena listing_arena;
    struct table settled; /* folders whose listing the build goes by to its end */
    bool may_write;       /* keep the compiled graph in .pawl/graph */
};

/* false with diagnostics: the Pipelinefile is wrong. */
bool pipeline_open(struct pipeline *p, const struct eval_options *o, bool may_write,
                   struct diags *d);
void pipeline_close(struct pipeline *p);

/* An output folder that has just been made or found up to date: true if the graph was made with a listing of it
 * that is not what lies there now, or waits for it. Once false for a folder that is listed, later changes in it
 * are for the next build. */
bool pipeline_wants_listing(struct pipeline *p, file_id folder);
/* Evaluates again with the folder's present listing; the old graph is given to *old (close it with
 * pipeline_drop once nothing refers to it). */
struct pipeline_old {
    struct graph graph;
    struct arena arena;
};
bool pipeline_list(struct pipeline *p, file_id folder, struct pipeline_old *old, struct diags *d);
void pipeline_drop(struct pipeline_old *old);
/* The old graph takes its place again. */
void pipeline_undo(struct pipeline *p, struct pipeline_old *old);
