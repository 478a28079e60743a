/* SPDX-License-Identifier: MIT */
/* What the door's files share among themselves; nobody else includes it. */
#pragma once

#include "cache/cache.h"
#include "cache/group.h"

struct cache {
    struct arena arena;
    struct cache_options options;
    struct depot *depot; /* NULL: there is no folder yet, and it may not be made */
    int folder;          /* borrowed from depot */
    struct frame_pool *frames;
    struct manifest manifest;
    bool loaded;          /* the view was read once */
    bool unusable;        /* of another kind, or unreadable: all answers are no */
    bool stuck;           /* a group was lost: nothing later counts as committed */
    int64_t looked_stamp; /* of m/ when the view was last synced */
    bool store_open;
    struct store store;
    struct group group;
    struct table standing; /* keys of packs that were looked for … */
    VEC(bool) stands;      /* … and whether they were there, by number */
    struct table used;     /* fingerprints whose use was noted */
    uint64_t sequence, committed;
    struct str writer; /* this machine's name */
    struct trust trust;
    struct trust_self self;
};

/* Reads the view at the first call; afterwards takes in what others have added. false: the cache is of no
 * use, told once. */
bool cache_look(struct cache *c, struct diags *notes);
/* Nothing may be stored by reference to what was condemned. */
void cache_forget_condemned(struct cache *c);
/* Looks for the pack in the place, once. */
bool cache_has_pack(struct cache *c, const struct pack_run *run);
/* Whether each of the record's bytes has a place whose packs are there. */
bool cache_is_complete(struct cache *c, const struct record *r);
/* cache_check of a cache whose view was just read. */
bool cache_check_held(struct cache *c, struct cache_check_report *out, struct diags *notes);
/* All standing places of the root, sound ones first, appended to out. */
uint32_t cache_find_places(struct cache *c, const struct ref *root, struct arena *a,
                           struct pack_place **out);
