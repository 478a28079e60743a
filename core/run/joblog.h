/* SPDX-License-Identifier: MIT */
/* What a job prints, on its way to the log: secrets masked, also across reads, and no longer than its limit.
 * The file is made with the first byte. */
#pragma once

#include "core/base/str.h"

struct joblog {
    const char *path; /* borrowed, as are the secrets */
    const struct str *secrets;
    uint32_t secret_count;
    uint64_t limit, written;
    int fd;    /* -1: not made yet */
    int error; /* errno of the first write that failed; nothing is written behind it */
    bool cut;
    struct buf held;  /* input that may be the beginning of a secret */
    struct buf ready; /* masked, of one joblog_put */
    size_t covered;   /* this many bytes of held belong to a secret that *** already stands for */
    bool begins[256]; /* the first bytes of secrets */
};

void joblog_init(struct joblog *l, const char *path, uint64_t limit);
/* Values to mask; empty ones are passed over. */
void joblog_mask(struct joblog *l, const struct str *secrets, uint32_t count);
/* Takes what was printed; gives what may be shown of it (borrowed until the next call). */
struct str joblog_put(struct joblog *l, const char *bytes, size_t n);
/* The rest, when nothing more comes. */
struct str joblog_end(struct joblog *l);
void joblog_free(struct joblog *l);
