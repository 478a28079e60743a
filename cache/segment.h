/* SPDX-License-Identifier: MIT */
/* The bytes of one segment: blocks of records, places, condemned packs, uses. Reading believes nothing: a
 * segment is good as a whole or not at all. Format: docs/formats.md, "Segment". */
#pragma once

#include "cache/pack.h"
#include "cache/record.h"
#include "cache/sign.h"

enum {
    SEGMENT_HEADER = 64,
    SEGMENT_STORED_LIMIT = 16 << 20,
    SEGMENT_RAW_LIMIT = 128 << 20,
    SEGMENT_NAME = 32, /* "m/", 12 hex digits, "-", 16 hex digits, and NUL */
    BLOCK_KEY = 16,
    BLOCK_SIGNATURE = 64,
    BLOCK_WRITER_LIMIT = 256,
    BLOCK_MARK = 32,
    BLOCK_MESSAGE = 42, /* what is signed: "pawl sign", NUL, a digest */
};

/* What is known of who stands behind a block; cache/trust.c finds out, once. */
enum block_word { BLOCK_UNASKED, BLOCK_NOBODY, BLOCK_OWN, BLOCK_TRUSTED };

/* Records of one writer under one signature; kept and passed on verbatim. */
struct segment_block {
    struct str bytes; /* whole, with its signature */
    struct str writer;
    int64_t made_ms;
    const uint8_t *key;  /* BLOCK_KEY bytes; zeros: unsigned */
    const uint8_t *mark; /* BLOCK_MARK bytes by which its maker knows it here; NULL: none */
    uint32_t items, records;
    uint8_t word;    /* enum block_word */
    struct str kept; /* its bytes where they outlive the segment; empty: nobody wanted them yet */
};

struct segment_row {
    struct str row;
    uint32_t block;
};

/* A root and where its runs stand in the payload. */
struct segment_place {
    struct ref root;
    struct str runs;
    uint32_t run_count;
};

struct segment_condemned {
    struct pack_id pack;
    int64_t since_ms; /* stored time of the segment that said so first; 0: of this one */
};

struct segment_use {
    uint8_t prefix[8]; /* of the fingerprint */
    uint32_t day;      /* since 1970 */
};

struct segment {
    struct arena arena;
    char *payload; /* what all below points into */
    size_t payload_bytes;
    VEC(struct segment_block) blocks;
    VEC(struct segment_row) rows;
    VEC(struct segment_place) places;
    VEC(struct segment_condemned) condemned;
    VEC(struct segment_use) uses;
    const uint8_t *packs; /* pack_count ids of 16 bytes, which the runs' numbers mean */
    uint32_t pack_count;
};

enum segment_answer {
    SEGMENT_GOOD,
    SEGMENT_BAD,     /* garbled, cut short, beyond a limit */
    SEGMENT_UNKNOWN, /* whole, but of a form that this program does not know */
};
/* BAD and UNKNOWN leave it empty. */
enum segment_answer segment_read(struct str bytes, struct segment *out);
/* By its header and checksum alone: worth being kept as a copy. */
bool segment_is_whole(struct str bytes);
void segment_free(struct segment *s);
/* The same of a payload that is not compressed; the segment owns its bytes (takes, mem_alloc). */
enum segment_answer segment_read_payload(char *payload, size_t n, struct segment *out);
/* Runs of a place of s, in the arena. */
void segment_place_read(const struct segment *s, const struct segment_place *p, struct arena *a,
                        struct pack_place *out);
struct pack_id segment_pack(const struct segment *s, uint32_t i);

/* A row's first fields, without decoding it. False: of another version. */
bool segment_row_peek(struct str row, const uint8_t **fingerprint, int64_t *success_ms);
/* SHA-256 of "pawl record", NUL and the row: what a signature covers. */
struct digest segment_leaf(struct str row);

/* Names. T: ms since 1970. */
struct str segment_key(int64_t ms, uint64_t random, char out[SEGMENT_NAME]);
bool segment_key_parse(struct str key, int64_t *ms);

/* A segment under construction. */
struct segment_draft {
    struct arena arena;
    struct buf blocks, places, condemned, uses, marks;
    uint32_t block_count, place_count, condemned_count, use_count, mark_count;
    struct pack_id *packs; /* each pack that a place names, once */
    uint32_t pack_count, pack_cap;
    void *seen; /* keys of packs and places: each goes in once */
};
void segment_draft_init(struct segment_draft *d);
void segment_draft_free(struct segment_draft *d);
bool segment_draft_is_empty(const struct segment_draft *d);
/* Raw bytes so far. */
size_t segment_draft_size(const struct segment_draft *d);
void segment_draft_add_block(struct segment_draft *d, struct str block);
/* Of the block that was added last. */
void segment_draft_mark(struct segment_draft *d, const uint8_t mark[BLOCK_MARK]);
void segment_draft_add_place(struct segment_draft *d, const struct pack_place *p);
void segment_draft_add_condemned(struct segment_draft *d, const struct segment_condemned *c);
void segment_draft_add_use(struct segment_draft *d, const struct segment_use *u);
/* What a reader of it would know of its places alone. */
enum segment_answer segment_draft_read_places(const struct segment_draft *d, struct segment *out);
/* Header and payload, appended to out. false: beyond a limit. */
bool segment_draft_write(const struct segment_draft *d, struct buf *out);

/* An unsigned block of these rows. */
void segment_block_put(struct buf *out, struct str writer, int64_t made_ms, const struct str *rows,
                       uint32_t count);
/* The block with only those records that keep wants; of the others the leaves stay. Gives how many records
 * are left: a block with none is not worth its bytes. */
uint32_t segment_block_reduce(struct buf *out, struct str block,
                              bool (*keep)(void *context, struct str row), void *context);
/* What its signature and its mark are over: the same for the whole block and for each that it was reduced to.
 * false: not a block. */
bool segment_block_message(struct str block, uint8_t out[BLOCK_MESSAGE]);
/* Puts the key's name and signature into the unsigned block that out holds. false: it stays unsigned. */
bool segment_block_sign(struct buf *block, const struct sign_private *key);
bool segment_block_is_signed(const struct segment_block *b);
/* Whether the key made the block's signature. */
bool segment_block_check(struct str block, const struct sign_public *key);
