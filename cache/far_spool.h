/* SPDX-License-Identifier: MIT */
/* Ranges of far packs, fetched side by side into a file without a name: what comes from afar is read once, in as few
 * requests as can be, and then looked at in any order. As a depot it has only get. */
#pragma once

#include "cache/fetch.h"

struct workers;

struct far_spool; /* begins with a struct depot */

/* dir: a folder to make the file in. NULL with errno. */
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
