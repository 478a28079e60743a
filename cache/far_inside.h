/* SPDX-License-Identifier: MIT */
/* What the rooms of far.h share; nobody else includes it. */
#pragma once

#include "cache/far.h"
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
    struct store store; /* over the far depot */
    bool open, unusable;
};

struct far {
    struct far_place *place;
    struct arena arena; /* the asking lane's, like the next two */
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
/* The roots of a record: outputs, then the log if there is one. */
uint32_t far_root_count(const struct record *r);
const struct ref *far_root(const struct record *r, uint32_t i);
