/* SPDX-License-Identifier: MIT */
/* Files as blobs or chunk lists, folders as trees: their digests. Format: docs/formats.md, "Objects". All
 * functions may be called by any thread. */
#pragma once

#include "cache/record.h"
#include "core/base/file.h"

struct workers;

/* What a path holds. */
struct object_seen {
    struct ref ref;        /* REF_NONE: nothing there */
    struct digest content; /* as a fingerprint sees it (see record_output) */
    uint32_t mode;         /* permission bits */
    struct digest
        walk; /* of a folder: over names and file signatures of all below it; zeros otherwise */
    int64_t newest_ns; /* newest ctime seen below a folder */
    bool changed;      /* the file changed while it was read: the digest is of no use */
};

/* Hashes a file, a folder (whole, links inside as links), or what a link at path leads to. false with a
 * diagnostic: unreadable, or of a kind that cannot be kept (socket, device, fifo). */
bool object_digest(int dir, struct str path, struct object_seen *out, struct diags *d);
/* The same, but fails soon when that pool is cancelled. */
bool object_digest_until(int dir, struct str path, const struct workers *until,
                         struct object_seen *out, struct diags *d);
/* Only out->walk and newest_ns of a folder: stats, no reading. */
bool object_walk(int dir, struct str path, struct object_seen *out, struct diags *d);
