/* SPDX-License-Identifier: MIT */
/* From item to item through a file of them: what lies where, and which digest it has. Nothing of it is believed but that:
 * whether these are the bytes that somebody wants, digests say. */
#pragma once

#include "cache/pack.h"

/* An item of a file that is to become a pack. */
struct far_item {
    uint32_t offset, stored, raw;
    uint8_t kind; /* REF_NONE: nobody has asked for it yet */
    bool read;    /* it decodes, and has this digest */
    struct digest digest;
};
/* From its first byte to the next one's. */
uint64_t far_item_length(const struct far_item *item);

struct far_items {
    struct far_item *at;
    uint32_t n, cap;
    uint32_t limit;  /* that are reserved at most */
    uint64_t budget; /* bytes that may still come out of frames: small ones may be full of zeros */
};
void far_items_init(struct far_items *items, uint32_t limit, uint64_t file_bytes);
void far_items_free(struct far_items *items);
/* The one that begins exactly there; NULL: none does. */
struct far_item *far_items_find(const struct far_items *items, uint64_t offset);

/* What one thread walks with; reused, since fresh memory costs a fault a page. */
struct far_walker {
    struct frame_decoder decoder;
    char *window, *raw;
    uint64_t offset; /* of the window … */
    size_t n;        /* … and what it holds */
};
void far_walker_init(struct far_walker *w);
void far_walker_free(struct far_walker *w);
/* Appends the items that lie whole in [from, to), one behind the other. Gives where the next one would begin: to, if all
 * fits. Larger things than a blob can be are not decoded: who asks for them reads them. */
uint64_t far_walk(struct far_walker *w, int fd, uint64_t from, uint64_t to, struct far_items *out);
