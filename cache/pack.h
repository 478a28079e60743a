/* SPDX-License-Identifier: MIT */
/* Many objects in one file, "p/<id>": written in one go, read by range. Where something lies is a place: for a
 * root, the runs of entries that hold it and all below it. Places are hints; readers believe digests only.
 * Format: docs/formats.md, "Packs". */
#pragma once

#include "cache/depot.h"
#include "cache/frame.h"
#include "cache/record.h"
#include "core/base/diag.h"

/* At random, never a digest of the content. */
struct pack_id {
    uint8_t b[16];
};
bool pack_id_eq(const struct pack_id *x, const struct pack_id *y);
struct pack_id pack_id_random(void);

enum { PACK_KEY = 35 }; /* with NUL */
/* "p/<id>", or "b/<id>" for a plain file. */
struct str pack_key(const struct pack_id *id, bool plain, char out[PACK_KEY]);
/* The reverse, for listings. false: not such a key. */
bool pack_key_parse(struct str key, struct pack_id *id, bool *plain);

/* count entries that lie one behind the other in p/<pack>, from offset on. count 0: the plain file b/<pack>,
 * offset 0, length its size: stands for one list object (the file's) and all below it. */
struct pack_run {
    struct pack_id pack;
    uint64_t offset, length;
    uint32_t count;
};

/* The runs, joined, hold each object once: in order of its first mention when one goes from the root depth
 * first, parents before what is below them (links, which lie in their tree, are left out). */
struct pack_place {
    struct ref root;
    struct pack_run *runs;
    uint32_t run_count;
};

/* Of a hit: at least one for each root that its record names; several for one root are tried in order. */
struct cache_places {
    struct pack_place *at;
    uint32_t count;
};

enum {
    PACK_TARGET = 32 << 20,
    PACK_LIMIT = 64 << 20, /* whole, with its footer */
    PACK_ENTRIES_LIMIT = 1 << 20,
    PACK_HEAD = 8,
    PACK_TAIL = 24,
    PACK_ITEM_HEAD_MAX = 21,
    OBJECT_LIMIT = 64 << 20, /* a list or tree */
    BLOB_LIMIT = 1 << 20,    /* a blob is smaller than a file of 1 MiB */
};

/* One entry, as a footer tells. */
struct pack_entry {
    uint64_t offset;      /* of the entry's first byte */
    uint64_t stored, raw; /* bytes of the object, as it lies there and as it is */
    struct digest digest;
    uint8_t kind;
};
/* Bytes from its offset to the next entry's. */
uint64_t pack_entry_length(const struct pack_entry *e);

/* One object at the front of bytes. */
struct pack_item {
    uint8_t encoding;
    struct str stored;
    uint64_t raw, length;
};
/* A pack that was put, for the publish rule. */
struct pack_put {
    struct pack_id id;
    uint64_t bytes;
    int64_t put_boot_ns; /* CLOCK_BOOTTIME */
};

/* Gathers objects in memory (one pack at most) and puts the pack when it is full. One thread's. */
struct pack_writer {
    struct depot *depot; /* borrowed */
    struct pack_id id;   /* of the pack under construction: runs may name it before it is put */
    struct buf body;     /* empty: none under construction */
    struct buf footer;
    uint32_t count;
    size_t target;          /* PACK_TARGET, or less where room is dear */
    int64_t oldest_boot_ns; /* when its first object came */
    struct frame_encoder encoder;
    struct pack_put *puts; /* all that were put since init or the last pack_forget_puts */
    uint32_t put_count, put_cap;
};
void pack_writer_init(struct pack_writer *w, struct depot *depot);
void pack_writer_free(struct pack_writer *w); /* what is not sealed is dropped */
/* Appends one object (whose digest the caller vouches for); may put the pack before or after it. *at: where
 * it lies, count 1. false with a warning: the pack could not be put (what it held is lost), or too large. */
bool pack_add(struct pack_writer *w, const struct ref *ref, struct str raw, struct pack_run *at,
              struct diags *notes);
/* The same with bytes as they lie in another pack. */
bool pack_add_stored(struct pack_writer *w, const struct ref *ref, const struct pack_item *item,
                     struct pack_run *at, struct diags *notes);
/* Puts what is under construction; nothing there: true. After it no pack is under construction. */
bool pack_seal(struct pack_writer *w, struct diags *notes);
/* Drops what is under construction. */
void pack_abandon(struct pack_writer *w);
void pack_forget_puts(struct pack_writer *w);
/* Notes that something was put beside the writer (a plain file). */
void pack_note_put(struct pack_writer *w, const struct pack_id *id, uint64_t bytes);

/* For a file of entries that was not made by a writer: what stands before them, each as a footer tells of it, and what
 * stands behind them. false: it passes out's limit. */
struct str pack_head(void);
void pack_entry_put(struct buf *entries, const struct pack_entry *e);
struct pack_end {
    struct str entries;
    uint32_t count;
    uint64_t offset; /* where they end */
};
bool pack_end_put(struct frame_encoder *encoder, const struct pack_end *end, struct buf *out);

/* A growing sequence of runs in an arena. */
struct pack_runs {
    struct arena *arena;
    struct pack_run *at;
    uint32_t n, cap;
};
/* Appends; a run that continues the last one is joined to it. */
void pack_runs_add(struct pack_runs *runs, const struct pack_run *at);
/* Copies the run's entries out of a pack of depot `from` as they lie (each verified by its digest), for
 * collectors, and appends where they lie now, in the same order. Holds the run in memory. Not for a plain
 * run. false with a warning: absent, garbled, or could not be put. The lane's. */
bool pack_copy_run(struct pack_writer *w, struct depot *from, const struct pack_run *run,
                   struct pack_runs *out, struct diags *notes);

enum pack_answer { PACK_DONE, PACK_ABSENT, PACK_BAD };
/* Appends the range to out, at most its limit. PACK_BAD: fewer bytes than asked for (length DEPOT_REST: none). */
enum pack_answer pack_get(struct depot *d, const struct pack_run *range, struct buf *out);
/* The footer's entries, one behind the other from the pack's head to the footer. size: of the whole pack, from
 * a listing, or 0: lists (the lane's, and slow). */
struct pack_footer {
    struct pack_entry *at;
    uint32_t count;
};
/* frame: the footer as it lies there; end: where the entries end. */
bool pack_footer_read(struct arena *a, struct str frame, uint64_t end, struct pack_footer *out);
enum pack_answer pack_read_footer(struct depot *d, const struct pack_id *id, uint64_t size,
                                  struct arena *a, struct pack_footer *out);
/* The same of a pack whose size nobody knows, by one get, if little lies between this offset and its footer. */
enum pack_answer pack_read_footer_behind(struct depot *d, const struct pack_id *id, uint64_t offset,
                                         struct arena *a, struct pack_footer *out);
/* Reads the whole pack and verifies each object by its digest; bad ones are counted (and still PACK_DONE). */
struct pack_checked {
    uint64_t objects, bad_objects, bytes;
};
enum pack_answer pack_check(struct depot *d, const struct pack_id *id, struct pack_checked *out);
/* All but the stored bytes themselves, from the first PACK_ITEM_HEAD_MAX of the object. false: malformed. */
bool pack_item_head_read(struct str head, struct pack_item *out);
bool pack_item_length(struct str head, uint64_t *length);
/* false: malformed or cut short. */
bool pack_item_read(struct str bytes, struct pack_item *out);
