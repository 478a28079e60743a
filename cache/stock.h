/* SPDX-License-Identifier: MIT */
/* Which packs and plain files lie in a place at one moment. */
#pragma once

#include "cache/manifest.h"

struct stock_pack {
    struct pack_id id;
    bool plain;
    uint64_t size;
    int64_t stored_ms;
};

struct stock {
    struct arena arena;
    VEC(struct stock_pack) packs;
    struct table keys; /* numbers in packs */
    uint64_t bytes;
};

/* false with a warning: the depot did not say. */
bool stock_read(struct stock *s, struct manifest *m, struct diags *notes);
void stock_free(struct stock *s);
uint32_t stock_find(const struct stock *s, const struct pack_id *id,
                    bool plain); /* or TABLE_NONE */
/* Whether all its packs are there; *stored_ms: when the oldest of them was stored. */
bool stock_find_place(const struct stock *s, const struct pack_place *p, int64_t *stored_ms);
