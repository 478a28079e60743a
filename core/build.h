/* SPDX-License-Identifier: MIT */
/* The loop that ties plan, scheduler, runner, cache and state together, and tells listeners. Owns nothing that
 * outlives it; one thread thinks, workers carry. */
#pragma once

#include "core/event.h"
#include "core/pipeline.h"
#include "core/state.h"

struct jobserver;

enum build_mode {
    BUILD_RUN,
    BUILD_ASK,     /* what would be done: status, explain, -n; runs nothing but probes */
    BUILD_RESTORE, /* put cached outputs in place, run nothing */
};

/* Which versions of objects in S3 a build went by, as it met with them first. */
struct build_objects {
    struct arena arena;
    struct table uris;
    VEC(struct digest) versions; /* zeros: nothing lies there; all 0xff: it could not be asked */
};
void build_objects_init(struct build_objects *x);
void build_objects_free(struct build_objects *x);
/* Whether something that was gone by is known to be another version now. */
bool build_objects_differ(const struct build_objects *was, const struct build_objects *now);

struct build_options {
    enum build_mode mode;
    const struct str *targets;
    uint32_t target_count;
    const struct str *only; /* --only: these steps' inputs are taken as they lie there */
    uint32_t only_count;
    const struct str *rerun; /* --rerun */
    uint32_t rerun_count;
    uint32_t jobs;       /* -j; 0: one for each CPU */
    double max_load;     /* -l; 0: none */
    uint32_t keep_going; /* -k: go on until so many have failed; 0 for ever */
    struct jobserver
        *jobserver; /* GNU make's, whose tokens stand for job slots; NULL: none. Borrowed */
    bool no_cache, no_remote;
    struct build_objects *objects; /* out; NULL: nobody wants to know */
    bool only_objects;             /* they are asked for, and nothing else is done */
    bool explain;         /* events carry all changes of a step's parts, not only a reason */
    struct str cache_dir; /* empty: none to be had */
    struct str root_path; /* absolute, for people and for processes */
    char *const *environment;
};

enum build_result {
    BUILD_DONE,
    BUILD_FAILED,   /* a step failed */
    BUILD_WRONG,    /* the command line or the Pipelinefile; nothing was run */
    BUILD_UNUSABLE, /* the workspace */
    BUILD_INTERRUPTED,
};

/* Brings the targets up to date. Takes the workspace's lock while it runs (not for BUILD_ASK). Errors that belong
 * to no step go to d; warnings are told as notices. */
enum build_result build_pipeline(struct pipeline *p, struct state *state,
                                 const struct build_options *o, struct listener *listener,
                                 struct diags *d);
