/* SPDX-License-Identifier: MIT */
/* Ranges of far packs, fetched side by side into files without a name, as far_layout.h deals them out, and walked item by
 * item as soon as they are there: what comes from afar is read once, in as few requests as can be, and each file can
 * become a pack of the local cache as it is. As a depot, by the far packs' keys, it has only get. */
#pragma once

#include "cache/far_layout.h"
#include "cache/far_walk.h"
#include "cache/fetch.h"

struct workers;

struct far_spool; /* begins with a struct depot */

/* dir: a folder to make the files in. NULL with errno. */
struct far_spool *far_spool_open(int dir);
void far_spool_close(struct far_spool *s);
/* Begins to fetch what the runs name, in place of what was there before; stops at until. Who reads waits for what is on
 * its way. What cannot be had is absent. */
struct far_spool_source {
    struct depot *depot;
    struct workers *pool;
    int64_t until_boot_ns;
};
void far_spool_fill(struct far_spool *s, const struct far_spool_source *from,
                    const struct pack_run *runs, uint32_t count);
/* Asks for no more; depot and pool are free again. */
void far_spool_empty(struct far_spool *s);
struct depot *far_spool_depot(struct far_spool *s);

/* A file, as full and as far walked as it will be: whoever asks waits for that, and owns its items from then on. */
struct far_spool_file {
    int fd;
    uint64_t bytes; /* with room for a pack's head; items behind it */
    bool whole;     /* it came whole, and is nothing but these items */
    struct far_items items;
};
uint32_t far_spool_file_count(const struct far_spool *s);
struct far_spool_file *far_spool_file(struct far_spool *s, uint32_t number);
/* The item that begins at the far pack's offset, and its file's number. NULL: none is known to. */
struct far_item *far_spool_find(struct far_spool *s, const struct pack_id *pack, uint64_t offset,
                                uint32_t *file);
