/* SPDX-License-Identifier: MIT */
/* A file of 1 MiB or more as a list of its chunks, or a list of lists. Format: docs/formats.md, "Objects". */
#pragma once

#include "cache/record.h"
#include "core/base/table.h"

enum {
    LIST_FILE_MIN = 1 << 20, /* smaller files are blobs */
    LIST_ENTRIES_LIMIT = 16384,
    LIST_LEVELS = 8,
};

/* List and tree objects kept while a file or folder is on its way into packs. All in the arena. */
struct object_set {
    struct arena *arena;
    struct table names; /* kind and digest */
    VEC(struct str) bytes;
};
void object_set_init(struct object_set *set, struct arena *a);
void object_set_add(struct object_set *set, uint8_t kind, const struct digest *digest,
                    struct str bytes);
/* false: not there */
bool object_set_find(const struct object_set *set, uint8_t kind, const struct digest *digest,
                     struct str *bytes);

struct list_level {
    struct buf entries;
    uint64_t total;
    uint32_t count;
    bool one, several; /* lists of this level that were made */
    struct ref last;   /* of them */
};

/* Takes a file's chunks in order, gives the file's reference. */
struct list_builder {
    struct list_level levels[LIST_LEVELS];
    struct object_set *keep; /* NULL: the objects are not wanted */
    bool bad;                /* more levels than can be */
};
void list_builder_init(struct list_builder *b, struct object_set *keep);
void list_builder_free(struct list_builder *b);
void list_add(struct list_builder *b, uint64_t size, const struct digest *digest);
/* false: no chunk was added, or too many levels. */
bool list_end(struct list_builder *b, struct ref *out);

/* An object that was read. */
struct list {
    uint64_t total;
    struct ref *entries; /* blobs at level 0, else lists; sizes are of the file's bytes */
    uint32_t count;
    uint8_t level;
};
/* false: malformed, or its sizes do not add up. */
bool list_read(struct arena *a, struct str bytes, struct list *out);
