/* SPDX-License-Identifier: MIT */
/* Files of a spool as packs of the local cache, as they lie: what its results ask for is noted, then each file gets its
 * footer and its name. One of which too much is of no use gives what is of use to a pack of the writer's instead. */
#pragma once

#include "cache/far_spool.h"
#include "cache/known.h"

struct far_adopt_file;

/* All borrowed but for what follows the files. */
struct far_adopt {
    struct far_spool *spool;
    struct depot *near; /* a folder */
    struct pack_writer *writer;
    struct known *known; /* all that is here: what it finds is not taken twice */
    struct arena *arena;
    struct diags *notes;
    struct far_adopt_file *files; /* by the spool's numbers */
    uint32_t count;
};
/* Of what the spool is being filled with now. */
void far_adopt_begin(struct far_adopt *a);
/* Whether the blob is an item that begins there and was verified; *length: the item's. *at: where it will lie. */
bool far_adopt_blob(struct far_adopt *a, const struct ref *ref, const struct pack_run *from,
                    uint64_t *length, struct pack_run *at);
/* An object that whoever reads the spool has verified, and where that lies. false: it cannot be had, told. */
bool far_adopt_object(struct far_adopt *a, const struct ref *ref, const struct pack_item *item,
                      const struct pack_run *from, struct pack_run *at);
/* Puts the packs. Where things lie counts after it, and what far_adopt_settle made of it. */
void far_adopt_end(struct far_adopt *a);
/* false: some of it could not be put. */
bool far_adopt_settle(const struct far_adopt *a, struct pack_place *here);
