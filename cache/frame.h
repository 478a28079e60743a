/* SPDX-License-Identifier: MIT */
/* Bytes as they lie in a pack: as they are, or as one zstd frame, whichever the rule of docs/formats.md,
 * "Frames", says. Decoding fills exactly the room that the reference speaks of and never more. */
#pragma once

#include "core/base/str.h"

enum frame_encoding { FRAME_RAW = 0, FRAME_ZSTD = 1 };

enum {
    FRAME_LEVEL = 3,
    FRAME_WINDOW_LOG_LIMIT = 23, /* 8 MiB */
    FRAME_RAW_RUN = 8,           /* after so many raw ones in a row … */
    FRAME_RETRY = 8,             /* … only each 8th is tried, until one gains */
};

struct frame {
    uint8_t encoding; /* enum frame_encoding */
    struct str
        stored; /* borrowed: of the encoder until its next use, or the raw bytes themselves */
};

/* One thread's at a time. */
struct frame_encoder {
    void *context;
    struct buf out;
    uint32_t raw_run; /* objects in a row that did not gain */
};
void frame_encoder_init(struct frame_encoder *e);
void frame_encoder_free(struct frame_encoder *e);
/* The rule: raw, or a frame that is smaller by 1/16 or more. */
struct frame frame_encode(struct frame_encoder *e, struct str raw);
/* Appends one zstd frame, whatever it gains (segments, footers). false: it passes out's limit. */
bool frame_compress(struct frame_encoder *e, struct str raw, struct buf *out);

struct frame_decoder {
    void *context;
    struct buf room; /* for who decodes with it; is kept with it, unless it became large */
};
void frame_decoder_init(struct frame_decoder *d);
void frame_decoder_free(struct frame_decoder *d);
/* false: not exactly one frame of exactly raw_size bytes. out may hold rubbish then, never beyond raw_size. */
bool frame_decode(struct frame_decoder *d, uint8_t encoding, struct str stored, void *out,
                  size_t raw_size);
/* Decoders that are kept for the next one, since making one costs more than a small frame. [any] */
struct frame_pool;
struct frame_pool *frame_pool_open(void);
void frame_pool_close(struct frame_pool *p); /* NULL is fine */
/* One that nobody else has, and back. pool NULL: a new one. */
struct frame_decoder frame_pool_take(struct frame_pool *p);
void frame_pool_give(struct frame_pool *p, struct frame_decoder *d);
/* The size that one zstd frame states: to be held against a cap before anything is reserved. false: it is
 * no frame or states none. */
bool frame_stated_size(struct str stored, uint64_t *raw_size);
