/* SPDX-License-Identifier: MIT */
/* One folder as an object: its names, sorted, with what each holds. Format: docs/formats.md, "Objects". */
#pragma once

#include "cache/record.h"

enum {
    TREE_NAME_LIMIT = 255,
    TREE_TARGET_LIMIT = 4095,
    TREE_DEPTH_LIMIT = 128,        /* folders within folders */
    TREE_ENTRIES_LIMIT = 10000000, /* names below one root, all folders together */
};

struct tree_entry {
    struct str name;
    uint32_t mode;     /* permission bits; of a link 0 */
    struct ref ref;    /* of a link: of its target's text */
    struct str target; /* of a link */
};

/* The entry as a fingerprint sees it; below: of a folder, what it sees of that. */
struct tree_entry tree_content(const struct tree_entry *e, const struct ref *below);
/* Appends the object of entries, which are sorted by name. */
void tree_put(struct buf *b, const struct tree_entry *entries, uint32_t count);

struct tree {
    struct tree_entry *entries;
    uint32_t count;
};
/* Names and targets are borrowed from bytes. false: malformed, or a name or order that cannot be. */
bool tree_read(struct arena *a, struct str bytes, struct tree *out);
