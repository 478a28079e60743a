/* SPDX-License-Identifier: MIT */
/* Copies what is still needed out of packs that are to go, object by object, each once. */
#pragma once

#include "cache/manifest.h"

struct move_entry {
    uint64_t offset, length;
    struct pack_run now; /* where it lies now */
    bool needed, moved;
};

struct move_pack {
    struct pack_id id;
    bool plain, known; /* known: its entries could be read */
    struct move_entry *entries;
    uint32_t count;
};

struct mover {
    struct manifest *m; /* borrowed */
    struct arena arena;
    struct pack_writer writer;
    struct table keys; /* numbers in packs */
    VEC(struct move_pack) packs;
};

void mover_init(struct mover *v, struct manifest *m);
void mover_free(struct mover *v);
/* Says that the pack is to be left. size: of the whole file. */
void mover_leave(struct mover *v, const struct pack_id *id, bool plain, uint64_t size);
bool mover_leaves(const struct mover *v, const struct pack_run *run);
/* The run's objects are needed, if its pack is left. */
void mover_need(struct mover *v, const struct pack_run *run);
/* Copies all that is needed and puts the packs. false with a warning: the place does not take them, nothing
 * that was moved counts. What is damaged is left behind. */
bool mover_run(struct mover *v, struct diags *notes);
/* The place as it is after the move, in the arena. false: a part of it was left behind. */
bool mover_place(const struct mover *v, const struct pack_place *from, struct arena *a,
                 struct pack_place *out);
