/* SPDX-License-Identifier: MIT */
/* Results that wait for their segment: gathered, sealed and published together, so that many cost four syncs.
 * Their packs are put strictly before the segment. One lane's. */
#pragma once

#include "cache/manifest.h"
#include "cache/store.h"
#include "cache/trust.h"

#define GROUP_NS INT64_C(1000000000) /* the oldest result waits no longer */
enum { GROUP_BYTES = 32 << 20, GROUP_ROW_BYTES = 16 << 20 };

struct group_result {
    struct str row;
    struct pack_place *places;
    uint32_t place_count;
    bool lost; /* its bytes are gone again: it cannot be published */
};

struct group {
    struct arena arena;
    VEC(struct group_result) results;
    VEC(struct segment_use) uses;
    size_t row_bytes;
    int64_t begun_boot_ns; /* before the first pack could have been put; 0: nothing begun */
};

void group_free(struct group *g);
/* Before anything of a result is stored. */
void group_begin(struct group *g, const struct manifest *m);
/* Copies the row; places are the group's: made in g->arena. */
void group_add(struct group *g, struct str row, struct pack_place *places, uint32_t count);
void group_add_use(struct group *g, const uint8_t *fingerprint, uint32_t day);
/* Old or large enough to be published. */
bool group_is_due(const struct group *g, const struct manifest *m, const struct store *s);
struct group_author {
    struct str writer;
    struct trust_self *self; /* NULL: nobody signs */
};
/* Seals and publishes; leaves the group empty. false with a warning: not all results are in the place. */
bool group_publish(struct group *g, struct manifest *m, struct store *s,
                   const struct group_author *by, struct diags *notes);
