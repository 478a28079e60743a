/* SPDX-License-Identifier: MIT */
/* A listener that prints one JSON object a line: each wanted step when it ends, notices, the summary. */
#pragma once

#include "core/event.h"

struct jsonl {
    struct listener listener; /* give &x.listener to the build */
    int fd;                   /* borrowed; a line is one write */
    bool broken;              /* nobody reads it any more */
};
void jsonl_init(struct jsonl *j, int fd);
/* `,"remote":{…}`; nothing of a build that had nothing to do with it. */
void jsonl_put_remote(struct buf *b, const struct event_remote *r);
