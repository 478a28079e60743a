/* SPDX-License-Identifier: MIT */
/* The door of the cache: fingerprints to results, digests to bytes, in one folder shared by all of a
 * user's workspaces (and later a bucket). Trouble in the cache is never an error of the build: each function
 * says what is wrong as warnings into notes, and answers "no".
 *
 * Threads: a struct cache is one lane's. Functions marked [any] read only what is immutable and may run on
 * any thread beside the lane. */
#pragma once

#include "cache/object.h"
#include "cache/record.h"
#include "cache/trust.h"
#include "core/base/diag.h"

struct cache;
struct workers;

struct cache_options {
    struct str dir;                /* the cache's folder; made with mode 0700 if absent */
    uint8_t hint[8];               /* of the pipeline's name */
    bool read_only;                /* restore, never store */
    uint64_t max_bytes;            /* 0: no bound; else a build's end collects down to it */
    const struct trust *trust;     /* whose results are taken; NULL: everybody's. Both are copied */
    const struct trust_self *self; /* who commits; NULL: somebody without a name */
};

/* $PAWL_CACHE_DIR, else $XDG_CACHE_HOME/pawl, else $HOME/.cache/pawl; STR_NONE if none is set and absolute. */
struct str cache_default_dir(struct arena *a);

/* NULL with a warning in notes: it cannot be used (the build goes on without). Reads nothing yet. */
struct cache *cache_open(const struct cache_options *options, struct diags *notes);
/* Flushes and frees. */
void cache_close(struct cache *c, struct diags *notes);

/* A record that has a place for all of its bytes, with what is needed to fetch them. In the arena given. */
struct cache_hit {
    struct record record;
    struct trust_signer signer;
    const struct cache_places *places;
    bool verified; /* its bytes, in these places, by this very process a moment ago */
};

/* Records of the fingerprint that may be used, with a success no older than not_before_ms (INT64_MIN: any age) and, if
 * not_before_ms is not INT64_MIN, none more than 10 min in the future; newest first, one for each set of
 * discovered inputs. Loads the manifest at the first call; later calls see what others have added since. */
uint32_t cache_lookup(struct cache *c, struct arena *a, const struct digest *fingerprint,
                      int64_t not_before_ms, struct cache_hit **out, struct diags *notes);

/* What this process has published by another way, and need not look up here: the build's lookups leave it unread. Who
 * looks after the cache reads it all the same. */
void cache_pass_over(struct cache *c, struct str key);

/* [any] Puts all outputs in place below root, or none; verifies each byte before. Existing files at the
 * outputs' paths are replaced. false: some byte is absent or garbled (a miss, told in notes once). help: a pool that may
 * have nothing else to do, in which the caller itself may be a job; or NULL. */
bool cache_restore(const struct cache *c, const struct cache_hit *hit, int root,
                   struct workers *help, struct diags *notes);
/* [any] Reads a blob or list of the hit (its log) whole, at most limit bytes. */
bool cache_read(const struct cache *c, const struct cache_hit *hit, const struct ref *ref,
                size_t limit, struct buf *out, struct diags *notes);

/* Takes the outputs from below root, where they must still be what r says, and the log (path from root, may
 * be empty; sets r->log). The result is durable once cache_committed() has reached *sequence. */
bool cache_store(struct cache *c, struct record *r, int root, struct str log_path,
                 uint64_t *sequence, struct diags *notes);
/* Commits what waits if a group is full or 1 s old; force: in any case. */
bool cache_flush(struct cache *c, bool force, struct diags *notes);
uint64_t cache_committed(const struct cache *c);

/* Looking after it. Ages and bytes in the units named; zeros mean "as `format` says". */
struct cache_gc_options {
    int64_t keep_ms;    /* records that were neither made nor used for so long go */
    uint64_t max_bytes; /* least worth (rebuild time per byte) goes first, until the rest fits */
    bool now;           /* no grace: running builds may miss */
    bool dry_run;
};
struct cache_gc_report {
    uint64_t records_before, records_after, packs, condemned, dropped;
    uint64_t bytes_before, bytes_after, bytes_freed, bytes_condemned;
};
bool cache_gc(struct cache *c, const struct cache_gc_options *o, struct cache_gc_report *out,
              struct diags *notes);

struct cache_check_report {
    uint64_t segments, bad_segments, packs, bad_packs, objects, bad_objects, records,
        records_without_bytes;
    /* of blocks: good ones, ones of keys that are not known here, and ones that do not hold */
    uint64_t signatures, unknown_signatures, bad_signatures;
};
/* Reads and verifies everything. false: something is damaged (each told in notes). */
bool cache_check(struct cache *c, struct cache_check_report *out, struct diags *notes);

struct cache_entry {
    const struct record *record; /* valid during the call */
    uint64_t bytes;              /* raw size of its outputs */
    bool complete;               /* all its bytes are here */
    struct str signer;           /* for people; empty: nothing is to be said of it */
    const uint8_t *key; /* SIGN_ID bytes, as the block says; NULL: unsigned, or not looked at */
    bool trusted;
};
/* Each kept record, newest first. */
bool cache_list(struct cache *c, void (*each)(void *context, const struct cache_entry *e),
                void *context, struct diags *notes);
/* Merges small segments if there are many (by chance 1 in 16, or force). */
bool cache_compact(struct cache *c, bool force, struct diags *notes);
