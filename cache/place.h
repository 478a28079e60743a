/* SPDX-License-Identifier: MIT */
/* Reads a place: gives object after object as somebody goes from its root depth first, each verified against
 * the reference that names it. What does not fit its reference is bad, whatever the reason. */
#pragma once

#include "cache/pack.h"
#include "core/base/table.h"

enum {
    PLACE_HOLD = 3, /* windows that a batch may keep before the next find */
    PLACE_WINDOWS =
        2 * (PLACE_HOLD + 1), /* a find takes two: of its item's head, and of its item */
    PLACE_FEW = 4,            /* as many as are used where no items are kept */
    PLACE_WINDOW = 1 << 20,
};

/* Bytes of a pack that were read together. */
struct place_window {
    struct pack_id pack;
    uint64_t offset, used; /* used: when last */
    uint64_t batch;        /* that keeps bytes of it */
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
    int folder;                  /* of a local depot, to read from without asking it; or -1 */
    int fd;                      /* a pack of it, that was read last, or -1 */
    struct pack_id open;         /* its id */
    uint64_t batch,
        free; /* windows are kept for this batch (0: for nobody) and those above `free` */
    uint32_t run, taken; /* the next object: in this run, after so many of its entries … */
    uint64_t at;         /* … and bytes */
    uint64_t clock;
    struct place_window windows[PLACE_WINDOWS];
    struct frame_decoder decoder;
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
/* The same, but not decoded: the item stays until its batch is free. Never PLAIN: that is BAD. Of at most PLACE_HOLD
 * windows' items there is room for two batches. */
enum place_answer place_find(struct place_reader *r, const struct ref *ref, struct pack_item *item);
/* Windows that the batch keeps: to be asked before each find. */
uint32_t place_held(const struct place_reader *r);
/* Held against the reference; uses nothing but the decoder. *out is borrowed of it or of the item. [any] */
bool place_decode(struct frame_decoder *d, const struct ref *ref, const struct pack_item *item,
                  bool verified, struct str *out);
/* Every object has been asked for. */
bool place_is_used_up(const struct place_reader *r);
