/* SPDX-License-Identifier: MIT */
/* Files and folders into packs: reads them again, holds every byte against the digest that is recorded, leaves
 * out what is stored already, and says where all of it lies. One thread's: the lane's. */
#pragma once

#include "cache/known.h"
#include "cache/pack.h"
#include "core/base/file.h"

/* What the manifest knows: a sound place of the root, in the arena. false: none. */
struct store_finder {
    bool (*find)(void *context, const struct ref *root, struct arena *a, struct pack_place *out);
    void *context;
};

struct store {
    struct depot *depot;
    int folder;                 /* the depot's folder where plain files may be kept, else -1 */
    struct store_finder finder; /* find may be NULL */
    struct known known;         /* objects and where they lie */
    struct pack_writer writer;
    uint8_t *bytes; /* room for a small file or a chunk, made when first needed */
};

/* folder: depot_dir_fd() of a local depot, else -1. */
void store_init(struct store *s, struct depot *depot, int folder, struct store_finder finder);
void store_free(struct store *s);

enum store_answer {
    STORE_DONE,
    STORE_CHANGED, /* the path is not (any more) what is expected; told */
    STORE_FAILED,  /* unreadable, of a kind that cannot be kept, or the depot refused; told */
};
struct store_source {
    int dir;
    struct str path;          /* what a link there leads to */
    const struct ref *expect; /* NULL: whatever is there */
    const struct pack_place
        *older; /* of what stood there before; NULL: not known. Is learned from */
};
/* Brings it into packs; out->root says what it is. The place names packs that may still be under construction:
 * it is good once store_seal has said so. */
enum store_answer store_path(struct store *s, const struct store_source *from, struct arena *a,
                             struct pack_place *out, struct diags *notes);
/* Puts the pack under construction. false with a warning: every place given since the last seal is void. */
bool store_seal(struct store *s, struct diags *notes);
/* Bytes under construction and since when (CLOCK_BOOTTIME; 0 bytes: since nothing). */
uint64_t store_waiting(const struct store *s, int64_t *since_boot_ns);
/* Whether the place names a pack that was lost (it could not be put) or forgotten: then it is void. */
bool store_is_lost(const struct store *s, const struct pack_place *place);
/* Learns from the footers of the place's packs what lies there, so that a new version of a large file or
 * folder is stored only where it changed. Cheap if learned before. */
void store_learn(struct store *s, const struct pack_place *place);
/* The same of one pack; size: of the whole of it. */
void store_learn_pack(struct store *s, const struct pack_id *pack, uint64_t size);
/* The pack was condemned, dropped or could not be put: nothing may count on it. */
void store_forget(struct store *s, const struct pack_id *pack);
