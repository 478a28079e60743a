/* SPDX-License-Identifier: MIT */
/* The only reader of syntax trees: a Pipelinefile, its includes and parameter files, the command line's
 * parameters and the environment become a graph. Reads files below the root; starts nothing, writes nothing. */
#pragma once

#include "core/graph.h"

/* The names of the files in an output folder, known once its step is done (late fan-out). */
struct eval_listing {
    struct str dir;    /* workspace-relative */
    struct str *files; /* relative to dir, sorted; all files below it */
    uint32_t count;
};

struct eval_param {
    struct str name, value;
};

struct eval_options {
    int root;             /* the workspace's folder */
    struct str file;      /* the Pipelinefile, as it is to be shown and relative to the root */
    struct str root_name; /* the folder's own name, for a pipeline without one */
    const struct eval_param *params; /* -p, in order; the last of one name wins */
    uint32_t param_count;
    char *const *environment; /* as environ */
    const struct eval_listing *listings;
    uint32_t listing_count;
};

/* Evaluates; the graph's image lies in a. false with diagnostics (several in one go). */
bool eval_pipeline(const struct eval_options *o, struct arena *a, struct graph *out,
                   struct diags *d);

/* Each source that a wanted step (NULL: any) reads must be there: "missing-input", at its place, with the nearest name. */
bool eval_check_sources(const struct graph *g, int root, const uint8_t *wanted, struct diags *d);

/* Holds the sources (files that no step makes) of the wanted steps (NULL: of all) against the disk: a
 * diagnostic ("missing-input", with the nearest name) for each that is not there. false if there is one. */
bool eval_check_sources(const struct graph *g, int root, const uint8_t *wanted, struct diags *d);

/* True while a compiled graph (graph_open) is what eval_pipeline would give: looks at each origin, files by
 * signature first. LISTING origins are not looked at: the build does once their step is done. */
bool eval_is_current(const struct graph *g, const struct eval_options *o);
/* The listing of an output folder as it lies on disk, and the digest that a LISTING origin holds. */
bool eval_list_folder(struct arena *a, int root, struct str dir, struct eval_listing *out);
struct digest eval_listing_digest(const struct eval_listing *l);
