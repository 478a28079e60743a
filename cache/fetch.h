/* SPDX-License-Identifier: MIT */
/* From places back to files: every byte is held against its digest before anything is put in place. A garbled,
 * short or absent object makes a miss, never a wrong file. Everything here may run on any thread: it uses only
 * the depot's get. */
#pragma once

#include "cache/pack.h"
#include "core/base/file.h"
#include "core/base/workers.h"

enum {
    FETCH_GAP = 128 << 10,          /* wanted parts that are nearer than this are one range … */
    FETCH_RANGE_LIMIT = 8 << 20,    /* … of at most this (from afar) */
    FETCH_ENTRIES_LIMIT = 10000000, /* files, links and folders of one output */
};

/* Where to read. folder: depot_dir_fd() of a local depot, else -1. frames: NULL, or decoders to use. verified: this very
 * process has held the places' packs against their digests a moment ago: form and sizes are looked at, digests are not
 * taken again. */
struct fetch {
    struct depot *depot;
    int folder;
    struct frame_pool *frames;
    bool verified;
    struct workers *workers; /* who helps with a large file or folder; NULL: nobody */
};

/* Puts the record's outputs in place below root, all or none: each is made as a temporary sibling, verified,
 * then renamed. Files that stood there are replaced. false with a warning: a byte is absent or garbled, or
 * the workspace could not be written. */
bool fetch_outputs(const struct fetch *f, const struct record *r, const struct cache_places *places,
                   int root, struct diags *notes);
/* A blob or list, whole, appended to out; its limit bounds it. */
bool fetch_read(const struct fetch *f, const struct cache_places *places, const struct ref *ref,
                struct buf *out, struct diags *notes);

/* Reads and verifies a place without writing anything (UNWRITTEN: only within fetch). */
enum fetch_answer { FETCH_DONE, FETCH_ABSENT, FETCH_BAD, FETCH_UNWRITTEN };
enum fetch_answer fetch_check(const struct fetch *f, const struct pack_place *place);
/* The same, showing each object to the tee (cache/place.h) in the place's order. */
struct place_tee;
enum fetch_answer fetch_pass(const struct fetch *f, const struct pack_place *place,
                             const struct place_tee *tee);

/* Runs wanted from packs, as few ranges: sorted by pack and offset, neighbours joined over gaps of less than
 * FETCH_GAP, none longer than limit (a single run that is longer is cut). Plain runs stand alone. For a place that
 * is asked by requests; the folder is read through windows (cache/place.h). */
struct fetch_range {
    struct pack_id pack;
    uint64_t offset, length;
    bool plain;
};
uint32_t fetch_ranges(struct arena *a, const struct pack_run *runs, uint32_t count, uint64_t limit,
                      struct fetch_range **out);
