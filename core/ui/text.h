/* SPDX-License-Identifier: MIT */
/* A listener that prints plain lines: one for each step that did something, a failed step's log as one block,
 * notices, a last line that sums up. What a pipe, a log file and `status` get. */
#pragma once

#include "core/event.h"

struct text_options {
    int out, err; /* borrowed descriptors */
    int root;     /* the workspace: for logs */
    bool color;
    bool verbose; /* also steps that were up to date, commands, logs of steps that ran well */
    bool quiet;   /* failures alone */
    bool explain; /* each change of a step that is not up to date */
};

struct text {
    struct listener listener;
    struct text_options options;
    uint32_t wanted, ended;
};
void text_init(struct text *t, const struct text_options *o);

/* For other listeners and reports: the same lines. */
void text_put_step(struct buf *b, const struct event *e, const struct text_options *o);
void text_put_summary(struct buf *b, const struct event *e, const struct text_options *o);
/* "5 requests, 1.2MiB down, 0.8s waited"; by_kind: "5 requests (1 list, 4 get), …". */
void text_put_remote(struct buf *b, const struct event_remote *r, bool by_kind);
/* The step's log, made fit for a terminal, at most its last part, each line as it is. */
void text_put_log(struct buf *b, int root, struct str path, uint64_t limit);
