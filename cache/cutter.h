/* SPDX-License-Identifier: MIT */
/* A large file on its way into a list: one cutter, and hashing on several cores behind it. */
#pragma once

#include "cache/depot.h"
#include "cache/list.h"

/* Takes chunks with their digests, in order. false: it wants no more. */
struct cutter_taker {
    bool (*take)(void *context, const struct ref *chunk, struct str bytes);
    void *context;
};

/* Cuts and hashes an open file of LIST_FILE_MIN or more from its present place on, handing the bytes in order
 * to tee, and the chunks to taker (both may be NULL). size: of the file, as far as is known: a small one is not worth
 * threads. false with errno: it cannot be read, or one of them wanted no more (errno is theirs). An empty file gives
 * size 0. */
struct cutter_source {
    int fd;
    uint64_t size;
    const struct depot_sink *tee;
    const struct cutter_taker *taker;
};
bool cutter_run(const struct cutter_source *from, struct object_set *keep, struct ref *out);
