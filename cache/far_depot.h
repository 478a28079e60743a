/* SPDX-License-Identifier: MIT */
/* A far depot behind three habits: what was read of its segments is kept as verbatim copies here; each request is
 * counted; and the first sign of trouble ends all asking, so that a place that is gone costs a build one wait. */
#pragma once

#include "cache/depot.h"
#include "cache/pack.h"
#include "core/base/diag.h"
#include "core/base/table.h"

struct trust;
struct trust_self;

struct far_options {
    struct str url;                       /* "s3://bucket/prefix", or "file:///folder" */
    struct str region, endpoint, profile; /* of S3; empty: as the environment says */
    bool path_style;
    bool read, write;
    bool asking;                   /* changes nothing, here or there */
    struct str near_dir;           /* the local cache, where copies are kept in remote/<id>/ */
    uint8_t hint[8];               /* of the pipeline's name */
    const struct trust *trust;     /* whose results are taken; NULL: everybody's. Both are copied */
    const struct trust_self *self; /* who pushes; NULL: somebody without a name */
};

struct far_count {
    uint64_t gets, puts, lists, drops, received, sent;
};

/* What all handles of one far place share. [any] */
struct far_place;
struct far_s3;
/* NULL with a warning: not a place that this program knows. Asks nobody. */
struct far_place *far_place_open(const struct far_options *o, struct diags *notes);
void far_place_close(struct far_place *p);
const struct far_options *far_place_options(const struct far_place *p);
/* remote/<id> in the local cache, relative to it. */
struct str far_place_folder(const struct far_place *p);
/* NULL: not a bucket, or no handle was opened yet. */
struct far_s3 *far_place_s3(struct far_place *p);
struct far_count far_place_count(struct far_place *p);
/* Nobody is asked any more. why: for people; NULL: they need not know. The first reason stays. */
void far_place_give_up(struct far_place *p, const char *why);
bool far_place_is_down(struct far_place *p);
/* Something could not be written: reading goes on. */
bool far_place_is_unwritable(struct far_place *p);
/* Whether no warning has been told of it yet. From now on it has. */
bool far_place_may_tell(struct far_place *p);
/* For how long it has been silent while somebody waited for it; 0: nobody waits. */
int64_t far_place_quiet_ms(struct far_place *p);
/* One warning for all that went wrong, once. */
void far_place_tell(struct far_place *p, struct diags *notes);

/* Packs ("p/…") that were not there when they were asked for: what lies in one of them must be put anew. [any] */
void far_place_lose(struct far_place *p, struct str key);
bool far_place_has_lost(struct far_place *p, const struct pack_place *place);
/* Those from number from on, in the arena; gives how many. */
uint32_t far_place_lost(struct far_place *p, uint32_t from, struct arena *a, struct str **keys);

/* What the last lane that listed the place has kept as copies, so that another need not list it again. [any] */
struct far_listed {
    int64_t list_ms, list_boot_ns; /* as in a manifest; 0: nobody has yet */
    int64_t depot_ms, depot_boot_ns;
    uint32_t segments; /* that it held then */
};
void far_place_note_listed(struct far_place *p, const struct far_listed *l);
struct far_listed far_place_listed(struct far_place *p);

/* One lane's handle; its get may be called on any thread. copies: descriptor of the place's folder here, borrowed;
 * -1: none are kept. NULL with a warning. */
struct depot *far_depot_open(struct far_place *p, int copies, struct diags *notes);
/* This handle's trouble says nothing of the place: it is for what can be done without. */
void far_depot_bear(struct depot *d);
/* Reads the segment from afar even where there is a copy. */
void far_depot_forget_copy(struct depot *d, struct str key);
