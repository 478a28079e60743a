/* SPDX-License-Identifier: MIT */
/* zstd, kept in one file. A frame always states its content's size and never carries a checksum or a
 * dictionary: the object's digest says more. */
#include "cache/frame.h"

#include "core/base/arena.h"
#include "core/base/workers.h"

#include <assert.h>
#include <string.h>
#include <zstd.h>

enum { KEPT = 16, ROOM_KEPT = 1 << 20 };

void frame_encoder_init(struct frame_encoder *e)
{
    *e = (struct frame_encoder){0};
    buf_init(&e->out, SIZE_MAX);
}

void frame_encoder_free(struct frame_encoder *e)
{
    ZSTD_freeCCtx(e->context);
    buf_free(&e->out);
    *e = (struct frame_encoder){0};
}

static ZSTD_CCtx *encoder_context(struct frame_encoder *e)
{
    if (!e->context) {
        ZSTD_CCtx *c = ZSTD_createCCtx();
        if (!c || ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, FRAME_LEVEL))) {
            mem_exhausted(0);
        }
        e->context = c;
    }
    return e->context;
}

bool frame_compress(struct frame_encoder *e, struct str raw, struct buf *out)
{
    size_t bound = ZSTD_compressBound(raw.n);
    if (ZSTD_isError(bound)) {
        return false;
    }
    /* The bound may pass out's limit where the frame itself does not: then it is made aside. */
    bool aside = out != &e->out && bound > out->limit - out->n;
    struct buf *to = aside ? &e->out : out;
    if (aside) {
        buf_clear(to);
    }
    char *room = buf_reserve(to, bound);
    if (!room) {
        return false;
    }
    size_t n = ZSTD_compress2(encoder_context(e), room, bound, raw.n ? raw.s : "", raw.n);
    if (ZSTD_isError(n)) {
        mem_exhausted(0); /* with this much room there is no other reason */
    }
    if (aside) {
        buf_put(out, room, n);
        return !out->full;
    }
    to->n += n;
    return true;
}

/* Whether the rule tries this one. */
static bool encoder_tries(const struct frame_encoder *e)
{
    return e->raw_run < FRAME_RAW_RUN
           || (e->raw_run - FRAME_RAW_RUN) % FRAME_RETRY == FRAME_RETRY - 1;
}

struct frame frame_encode(struct frame_encoder *e, struct str raw)
{
    struct frame f = {FRAME_RAW, raw};
    if (encoder_tries(e)) {
        buf_clear(&e->out);
        if (frame_compress(e, raw, &e->out) && e->out.n + raw.n / 16 + (raw.n % 16 != 0) <= raw.n) {
            e->raw_run = 0;
            return (struct frame){FRAME_ZSTD, buf_str(&e->out)};
        }
    }
    e->raw_run++;
    return f;
}

void frame_decoder_init(struct frame_decoder *d)
{
    d->context = NULL;
    buf_init(&d->room, SIZE_MAX);
}

void frame_decoder_free(struct frame_decoder *d)
{
    ZSTD_freeDCtx(d->context);
    d->context = NULL;
    buf_free(&d->room);
}

static ZSTD_DCtx *decoder_context(struct frame_decoder *d)
{
    if (!d->context) {
        ZSTD_DCtx *c = ZSTD_createDCtx();
        if (!c
            || ZSTD_isError(
                ZSTD_DCtx_setParameter(c, ZSTD_d_windowLogMax, FRAME_WINDOW_LOG_LIMIT))) {
            mem_exhausted(0);
        }
        d->context = c;
    }
    return d->context;
}

struct frame_pool {
    struct guard *guard;
    struct frame_decoder kept[KEPT];
    uint32_t count;
};

struct frame_pool *frame_pool_open(void)
{
    struct frame_pool *p = mem_alloc(sizeof *p);
    p->guard = guard_open();
    return p;
}

void frame_pool_close(struct frame_pool *p)
{
    if (p) {
        for (uint32_t i = 0; i < p->count; i++) {
            frame_decoder_free(&p->kept[i]);
        }
        guard_close(p->guard);
        mem_free(p);
    }
}

struct frame_decoder frame_pool_take(struct frame_pool *p)
{
    struct frame_decoder d;
    frame_decoder_init(&d);
    if (p) {
        guard_enter(p->guard);
        d = p->count > 0 ? p->kept[--p->count] : d;
        guard_leave(p->guard);
    }
    return d;
}

void frame_pool_give(struct frame_pool *p, struct frame_decoder *d)
{
    if (d->room.cap > ROOM_KEPT) {
        buf_free(&d->room);
    }
    if (p && (d->context || d->room.cap)) {
        guard_enter(p->guard);
        if (p->count < KEPT) {
            p->kept[p->count++] = *d;
            frame_decoder_init(d);
        }
        guard_leave(p->guard);
    }
    frame_decoder_free(d);
}

bool frame_stated_size(struct str stored, uint64_t *raw_size)
{
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd}; /* not one to be skipped */
    if (stored.n < sizeof magic || memcmp(stored.s, magic, sizeof magic) != 0) {
        return false;
    }
    unsigned long long size = ZSTD_getFrameContentSize(stored.s, stored.n);
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR) {
        return false;
    }
    *raw_size = size;
    return true;
}

bool frame_decode(struct frame_decoder *d, uint8_t encoding, struct str stored, void *out,
                  size_t raw_size)
{
    if (encoding == FRAME_RAW) {
        if (stored.n != raw_size) {
            return false;
        }
        if (raw_size) {
            memcpy(out, stored.s, raw_size);
        }
        return true;
    }
    uint64_t stated;
    if (encoding != FRAME_ZSTD || !frame_stated_size(stored, &stated) || stated != raw_size
        || ZSTD_findFrameCompressedSize(stored.s, stored.n) != stored.n) {
        return false;
    }
    char none;
    size_t n = ZSTD_decompressDCtx(decoder_context(d), raw_size ? out : &none, raw_size, stored.s,
                                   stored.n);
    return !ZSTD_isError(n) && n == raw_size;
}
