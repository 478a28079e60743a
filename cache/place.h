/* SPDX-License-Identifier: MIT */
/* Reads a place: gives object after object as somebody goes from its root depth first, each verified against
 * the reference that names it. What does not fit its reference is bad, whatever the reason. */
#pragma once

#include "cache/pack.h"
#include "core/base/table.h"

enum { PLACE_WINDOWS = 4, PLACE_WINDOW = 1 << 20 };

/* Bytes of a pack that were read together. */
struct place_window {
    struct pack_id pack;
    uint64_t offset, used; /* used: when last */
    struct buf bytes;      /* empty: none */
};

/* Where an object that was met lies. */
struct place_spot {
    uint64_t offset, length;
    uint32_t run;
};

/* Is shown each object when it first comes, verified, with the bytes as they lie there, and where. false: enough. */
struct place_tee {
    bool (*object)(void *context, const struct ref *ref, const struct pack_item *item,
                   const struct pack_run *at);
    /* Whether the blob is known to lie there, of *length bytes at most rest: then nobody looks at it. NULL: never. */
    bool (*vouch)(void *context, const struct ref *ref, const struct pack_run *rest,
                  uint64_t *length);
    /* A list that lies as a plain file, not verified. */
    bool (*plain)(void *context, const struct ref *ref, const struct pack_run *run);
    void *context;
};

struct place_reader {
    struct depot *depot;
    const struct pack_place *place;
    const struct place_tee *tee; /* NULL: nobody watches */
    bool verified;               /* digests were held against the bytes before */
    uint32_t run, taken; /* the next object: in this run, after so many of its entries … */
    uint64_t at;         /* … and bytes */
    uint64_t clock;
    struct place_window windows[PLACE_WINDOWS];
    struct frame_decoder decoder;
    struct buf raw;
    struct arena arena;
    struct table seen;
    VEC(struct place_spot) spots; /* for each of seen */
};
/* The place is borrowed. */
void place_reader_init(struct place_reader *r, struct depot *depot, const struct pack_place *place);
void place_reader_free(struct place_reader *r);
/* Whether the object was asked for before. */
bool place_has(const struct place_reader *r, const struct ref *ref);

enum place_answer { PLACE_DONE, PLACE_PLAIN, PLACE_ABSENT, PLACE_BAD };
/* The object's bytes, borrowed until the next call. Each object's first mention must come in the place's order.
 * PLACE_PLAIN: a list that lies as a plain file, with all below it; *plain says where. */
enum place_answer place_get(struct place_reader *r, const struct ref *ref, struct str *out,
                            struct pack_run *plain);
/* Every object has been asked for. */
bool place_is_used_up(const struct place_reader *r);
