/* SPDX-License-Identifier: MIT */
/* Which records of a view are kept, and which roots they need. Signatures do not matter here: what others trust
 * is kept too. */
#pragma once

#include "cache/view.h"

struct needed_record {
    struct str row;
    int64_t duration_ms, last_ms;    /* when it was made or last of use */
    uint32_t first_root, root_count; /* in uses */
    bool kept;
};

struct needed_root {
    struct ref root;
    uint64_t bytes;   /* of the place that counts; set by who knows it */
    uint32_t records; /* kept ones that need it; 0: nobody */
};

struct needed {
    struct arena arena;
    VEC(struct needed_record) records;
    VEC(struct needed_root) roots;
    VEC(uint32_t) uses; /* roots by number, record after record */
    struct table keys;  /* of roots */
    uint32_t kept;
};

/* Kept is what was made or used within keep_ms before now_ms. */
void needed_init(struct needed *n, const struct view *v, int64_t now_ms, int64_t keep_ms);
void needed_free(struct needed *n);
/* The root's number if a kept record needs it, else TABLE_NONE. */
uint32_t needed_find(const struct needed *n, const struct ref *root);
bool needed_keeps_row(const struct needed *n, struct str row);
/* Lets records go until what the others need fits: least rebuild time per byte first. */
void needed_bound(struct needed *n, uint64_t max_bytes);
