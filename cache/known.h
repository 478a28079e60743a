/* SPDX-License-Identifier: MIT */
/* Objects and where they lie: what a writer need not store again. A hint within one process; holds only what
 * was stored, or learned from footers, and forgets all when it has grown beyond its limit. */
#pragma once

#include "cache/pack.h"

enum { KNOWN_LIMIT = 1 << 21 }; /* objects: some 150 MiB */

struct known_item {
    struct digest digest;
    uint64_t offset, length;
    uint32_t pack; /* index into packs */
    uint8_t kind;  /* REF_NONE: free */
    bool plain;
};

struct known_pack {
    struct pack_id id;
    bool gone;    /* nothing may count on it */
    bool learned; /* its footer was read */
};

struct known {
    struct known_item *items; /* open addressing */
    uint32_t cap, count;
    struct known_pack *packs;
    uint32_t pack_count, pack_cap;
};
void known_init(struct known *k);
void known_free(struct known *k);
/* Newer replaces older. */
void known_add(struct known *k, const struct ref *ref, const struct pack_run *at);
bool known_find(const struct known *k, const struct ref *ref, struct pack_run *at);
void known_forget_pack(struct known *k, const struct pack_id *pack);
bool known_is_gone(const struct known *k, const struct pack_id *pack);
/* Says that the pack's footer was (or is about to be) read; false: it was before, or the pack is gone. */
bool known_learn(struct known *k, const struct pack_id *pack);
