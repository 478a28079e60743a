/* SPDX-License-Identifier: MIT */
/* Where ranges of far packs go on this side: what is wanted, united, one behind the other in files that are to become
 * packs of the local cache. Pure. */
#pragma once

#include "cache/pack.h"

enum {
    FAR_LAYOUT_FILES = 256,       /* open at once, at most */
    FAR_LAYOUT_ENTRIES = 2 << 20, /* that may be spoken of, of all files together */
    FAR_LAYOUT_TARGET = PACK_TARGET,
};

/* Bytes that are wanted without a gap. It begins and ends where some run does, and lies in one file. */
struct far_span {
    struct pack_id pack;
    uint64_t offset, length; /* there */
    uint64_t at;             /* in the file */
    uint32_t file;
};

struct far_file {
    uint32_t first, count; /* spans */
    uint32_t entries;      /* at most, as the runs say */
    uint64_t bytes;        /* with a pack's head */
    bool loose;            /* larger than a pack may be */
};

struct far_layout {
    struct far_span *spans; /* by pack and offset */
    struct far_file *files;
    uint32_t span_count, file_count;
    uint32_t most; /* files that are not loose */
};
/* Of runs that hold something and end within PACK_LIMIT; others are left out. In the arena. most: files; what is beyond
 * them lies in one more that is loose. */
void far_layout_make(struct arena *a, const struct pack_run *runs, uint32_t count, uint32_t most,
                     struct far_layout *out);
/* The span that holds the pack's byte at the offset, else the one behind it, which may be of another pack; or
 * span_count. */
uint32_t far_layout_find(const struct far_layout *l, const struct pack_id *pack, uint64_t offset);
