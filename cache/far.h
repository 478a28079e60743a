/* SPDX-License-Identifier: MIT */
/* The door of a remote cache. Three rooms, each one lane's, so that none waits for another: asking, fetching into
 * the local cache, and pushing from there. Nothing from afar is used before it lies verified in the local cache.
 * Trouble is told as one warning, and ends all asking. */
#pragma once

#include "cache/cache.h"
#include "cache/far_depot.h"
#include "cache/pack.h"

struct far;

/* NULL with a warning. Asks nobody yet. */
struct far *far_open(const struct far_options *o, struct diags *notes);
void far_close(struct far *f); /* nothing may be under way */
struct far_place *far_place_of(const struct far *f);

/* A result that is there, by what its segments say: nothing of its bytes is here yet. In the arena given. */
struct far_hit {
    struct record record;
    struct cache_places places; /* there */
    struct str row;
    struct str block; /* whole, where it is signed; else empty. Far's own, until it is closed */
    struct str writer;
    int64_t made_ms;
    struct trust_signer signer; /* who counts for it here … */
    const uint8_t *key;         /* … and whose name it bears, BLOCK_KEY bytes; NULL: nobody's */
    bool taken;                 /* it may be used here */
};

/* Asking. As cache_lookup. */
uint32_t far_lookup(struct far *f, struct arena *a, const struct digest *fingerprint,
                    int64_t not_before_ms, struct far_hit **out, struct diags *notes);
/* Looks there for what is new, now: for a lookup that follows. */
void far_look(struct far *f, struct diags *notes);
/* What the newest of the pipeline's results with this output took; 0: not known. */
int64_t far_expect_ms(struct far *f, struct str output);
/* What is new there, now: for `pawl cache pull` and ls. Each result, newest first, also those that are not taken. A hit
 * is valid during the call. */
bool far_each(struct far *f, bool (*each)(void *context, const struct far_hit *h), void *context,
              struct diags *notes);

/* Looking after the place, on the asking lane: as cache_gc and cache_check. */
bool far_gc(struct far *f, const struct cache_gc_options *o, struct cache_gc_report *out,
            struct diags *notes);
bool far_check(struct far *f, struct cache_check_report *out, struct diags *notes);

/* Fetching: all that are wanted together, in as few ranges as can be. */
struct far_want {
    const struct far_hit *hit;
    bool here;            /* all its bytes are in the local cache */
    struct cache_hit got; /* then: for far_restore and far_read */
};
/* Results are put in the arena. until: CLOCK_BOOTTIME; what is not here by then is a miss. Gives the key of the local
 * segment that names them, for cache_pass_over; empty: there is none. */
struct str far_fetch(struct far *f, struct far_want *wants, uint32_t count, int64_t until_boot_ns,
                     struct arena *a, struct diags *notes);
/* The local cache as the fetching lane sees it: for cache_restore and cache_read [any] of what it got. */
const struct cache *far_near(const struct far *f);

/* Pushing. */
struct far_pushed {
    uint32_t results, known,
        missing; /* put there; were there; are not in the local cache (any more) */
    bool whole;  /* nothing is left to do */
};
/* Each fingerprint's newest result, as far as it is not there. */
void far_push(struct far *f, const struct digest *fingerprints, uint32_t count,
              int64_t until_boot_ns, struct far_pushed *out, struct diags *notes);

/* Merges small segments there, if there are many, by chance or force; only where this handle has pushed. On the
 * pushing lane. Whatever goes wrong, nothing is lost, and nobody is told. */
void far_compact(struct far *f, bool force);

/* Results that were restored from there, on that day: said with the next segment that this client publishes, so that
 * they are kept. [any] */
bool far_used_add(const struct far_place *p, const struct digest *fingerprints, uint32_t count,
                  uint32_t day);

/* What is still to be pushed, across builds: kept beside the copies, shared by all who use the cache. [any] */
bool far_queue_add(const struct far_place *p, const struct digest *fingerprints, uint32_t count);
bool far_queue_drop(const struct far_place *p, const struct digest *fingerprints, uint32_t count);
uint32_t far_queue_read(const struct far_place *p, struct arena *a, struct digest **out);

/* Publishes what is taken here and wanted once more, under the own key. Wants a key and a list. Asking lane. */
void far_vouch(struct far *f, bool (*wanted)(void *context, const struct far_hit *h), void *context,
               struct far_pushed *out, struct diags *notes);
