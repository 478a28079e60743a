/* SPDX-License-Identifier: MIT */
/* The neck of the cache: bytes by key, in a folder or a bucket, five functions and no more. Whatever lies
 * behind a key never changes: a key is put once, whole or not at all, and at last dropped. Keys are
 * relative paths like "m/0192f0c1d2e3-8f3a…"; docs/formats.md, "Segment", lists them. */
#pragma once

#include "core/base/str.h"

enum depot_answer {
    DEPOT_DONE,
    DEPOT_ABSENT,  /* no such key, or it went while it was read (ESTALE) */
    DEPOT_REFUSED, /* not allowed, not possible, disk full: asking again is no use */
    DEPOT_LATER,   /* no answer, or a doubtful one: it may or may not have been done */
    DEPOT_EXISTS,  /* only for a put with if_absent */
};

/* What comes with each answer, whatever it is. Times in ms since 1970 on the depot's own clock. */
struct depot_reply {
    int64_t now_ms;    /* 0: not told */
    int64_t stored_ms; /* put and DONE: when the depot says it was stored (0: not told) */
    int error;         /* errno or 0; for the words only */
};

/* The part of a value that is wanted. length DEPOT_REST: up to its end. A value that is shorter gives
 * what it has, and DONE: whoever reads counts. */
struct depot_range {
    uint64_t offset, length;
};
#define DEPOT_REST UINT64_MAX
#define DEPOT_ALL ((struct depot_range){0, DEPOT_REST})

/* Takes the bytes in order, in pieces. false: enough, or too many; the get ends with REFUSED. */
struct depot_sink {
    bool (*take)(void *context, const void *bytes, size_t n);
    void *context;
};

/* Writes what is to be put, from the descriptor's place on. false with errno: nothing is put. */
struct depot_filler {
    bool (*fill)(void *context, int to);
    void *context;
};

/* What is to be put: parts joined, or (fd >= 0) the first fd_bytes bytes of an open regular file, which a
 * folder may share by reflink. Must stay unchanged until the put has answered; it may be read twice. Or, where the
 * depot is a folder, what its filler writes. */
struct depot_source {
    const struct str *parts;
    uint32_t part_count;
    int fd; /* -1: parts */
    uint64_t fd_bytes;
    const struct depot_filler *filler; /* NULL: one of the others */
};
#define DEPOT_PARTS(array, count) ((struct depot_source){(array), (count), -1, 0, NULL})

struct depot_entry {
    struct str key; /* borrowed for the call */
    uint64_t size;
    int64_t stored_ms; /* S3: Last-Modified; folder: ctime, since a rename keeps mtime */
};

/* Is called for each entry of a list. false: enough. */
struct depot_each {
    bool (*entry)(void *context, const struct depot_entry *e);
    void *context;
};

struct depot; /* the implementation's; begins with its functions */

struct depot_functions {
    /* [any]: beside the lane, on any thread */
    enum depot_answer (*get)(struct depot *d, struct str key, struct depot_range range,
                             struct depot_sink sink, struct depot_reply *reply);
    /* The others: the lane's. */
    enum depot_answer (*put)(struct depot *d, struct str key, const struct depot_source *source,
                             bool if_absent, struct depot_reply *reply);
    /* Each key that begins with prefix and sorts after `after` (empty: all), in ascending order of
     * bytes. reply->now_ms is from when the list began. Cut short by the callback: DONE. */
    enum depot_answer (*list)(struct depot *d, struct str prefix, struct str after,
                              struct depot_each each, struct depot_reply *reply);
    enum depot_answer (*drop)(struct depot *d, struct str key,
                              struct depot_reply *reply); /* ABSENT too is fine */
    void (*close)(struct depot *d);
};

/* Each implementation's struct has this as its first member. */
struct depot {
    const struct depot_functions *f;
};

static inline enum depot_answer depot_get(struct depot *d, struct str key, struct depot_range range,
                                          struct depot_sink sink, struct depot_reply *reply)
{
    return d->f->get(d, key, range, sink, reply);
}

static inline enum depot_answer depot_put(struct depot *d, struct str key,
                                          const struct depot_source *source, bool if_absent,
                                          struct depot_reply *reply)
{
    return d->f->put(d, key, source, if_absent, reply);
}

static inline enum depot_answer depot_list(struct depot *d, struct str prefix, struct str after,
                                           struct depot_each each, struct depot_reply *reply)
{
    return d->f->list(d, prefix, after, each, reply);
}

static inline enum depot_answer depot_drop(struct depot *d, struct str key,
                                           struct depot_reply *reply)
{
    return d->f->drop(d, key, reply);
}

static inline void depot_close(struct depot *d)
{
    if (d) {
        d->f->close(d);
    }
}
