/* SPDX-License-Identifier: MIT */
/* What most commands begin with: the folder, the Pipelinefile, its graph, the state. And how they end: exit
 * codes and rendered diagnostics. */
#pragma once

#include "core/cli/opts.h"
#include "core/pipeline.h"
#include "core/state.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_WRONG = 2,
    EXIT_UNUSABLE = 3,
    EXIT_INTERRUPTED = 130,
};

struct session {
    const struct opts *opts;
    struct arena arena;
    struct diags diags;
    struct pipeline_place place;
    struct pipeline pipeline;
    struct state *state;
    struct file_lock lock;
    bool has_pipeline;
};

enum session_need {
    SESSION_NOTHING, /* go where -C says */
    SESSION_PLACE,   /* find the workspace and go there */
    SESSION_ASK,     /* state (read only) and graph */
    SESSION_CHANGE,  /* the workspace's lock, state and graph, both kept */
};

/* EXIT_DONE, or the code to end with; diagnostics are in s->diags. After it the current folder is the root. */
int session_open(struct session *s, const struct opts *o, enum session_need need);
/* Frees; renders what s->diags holds on stderr first. Gives `code`. */
int session_close(struct session *s, int code);
/* Writes all of it to standard output. false with a diagnostic: it is not there; but a reader that has seen enough
 * is no trouble. */
bool session_print(const struct buf *b, struct diags *d);
/* The targets' steps; without targets every step. */
bool session_select(struct session *s, struct step_list *out);
/* The cache's folder, or STR_NONE. */
struct str session_cache_dir(struct session *s);
bool session_color(int fd);
