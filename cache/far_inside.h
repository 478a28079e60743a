/* SPDX-License-Identifier: MIT */
/* What the rooms of far.h share; nobody else includes it. */
#pragma once

#include "cache/far.h"
#include "cache/far_send.h"
#include "cache/far_view.h"
#include "cache/inside.h"

struct workers;

struct far_fetcher { /* its own lane's */
    struct cache *near;
    struct depot *depot;
    struct workers *pool; /* for ranges side by side */
    bool unusable;
};

struct far_pusher { /* its own lane's */
    struct cache *near;
    struct far_view view;
    struct store store;    /* over the far depot */
    struct far_send *send; /* takes its packs; NULL: they go one by one */
    bool resumed;
    bool open, unusable;
};

struct far {
    struct far_place *place;
    uint32_t lost_before; /* packs that were known to be gone when it was opened */
    struct arena arena;   /* the asking lane's, like the next two */
    struct far_view view;
    struct trust trust;
    struct trust_self self; /* only copied */
    struct far_fetcher fetcher;
    struct far_pusher pusher;
};

/* The local cache once more, as a lane's own. */
struct cache *far_open_near(const struct far *f, bool read_only, struct diags *notes);
void far_fetcher_close(struct far_fetcher *x, struct diags *notes);
void far_pusher_close(struct far_pusher *x, struct diags *notes);
/* A hit of a row, its block borrowed from the view. false: not a result … */
bool far_read_row(struct arena *a, const struct view_found *row, struct far_hit *out);
/* … or a root has no place. */
bool far_read_hit(const struct view *v, struct arena *a, const struct view_found *row,
                  struct far_hit *out);
/* Rows under the blocks that they came in: signed ones reduced, unsigned ones anew. */
struct far_row {
    struct str row, block, writer;
    int64_t made_ms;
    bool own; /* made here by who pushes it, and not signed yet */
};
/* self signs what is own; NULL: nothing is. */
void far_put_rows(struct segment_draft *d, const struct far_row *rows, uint32_t count,
                  struct trust_self *self);
/* A place of the root whose packs are there, as far as is known. */
bool far_find_place(struct far_place *p, const struct view *v, const struct ref *root,
                    struct arena *a, struct pack_place *out);
/* Packs that are gone, as far as this client's builds have met with it. */
void far_lost_read(struct far_place *p);
void far_lost_keep(const struct far_place *p, const struct str *keys, uint32_t count);
/* What was of use and not said yet. [any] */
uint32_t far_used_read(const struct far_place *p, struct arena *a, struct segment_use **out);
bool far_used_drop(const struct far_place *p, const struct segment_use *uses, uint32_t count);
/* Says it in a segment that is published anyway; far_used_drop what was told once that is there. */
uint32_t far_used_say(struct far_pusher *x, struct segment_draft *d, struct arena *a,
                      struct segment_use **told);
/* The roots of a record: outputs, then the log if there is one. */
uint32_t far_root_count(const struct record *r);
const struct ref *far_root(const struct record *r, uint32_t i);
