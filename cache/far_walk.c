/* SPDX-License-Identifier: MIT */
/* One window over the file, moved on by whole items. Each length is held against the range before it is used. */
#include "cache/far_walk.h"

#include "core/base/arena.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    WINDOW = 512 << 10,
    WINDOW_MOST =
        BLOB_LIMIT + PACK_ITEM_HEAD_MAX, /* an object that is larger is none of a blob's */
    ITEMS_FIRST = 64,
};
#define BUDGET_LEAST (UINT64_C(256) << 20)
#define BUDGET_RATIO 16

uint64_t far_item_length(const struct far_item *item)
{
    const struct pack_entry e = {.stored = item->stored, .raw = item->raw};
    return pack_entry_length(&e);
}

void far_items_init(struct far_items *items, uint32_t limit, uint64_t file_bytes)
{
    *items = (struct far_items){.limit = limit, .budget = BUDGET_LEAST + BUDGET_RATIO * file_bytes};
}

void far_items_free(struct far_items *items)
{
    mem_free(items->at);
    *items = (struct far_items){0};
}

struct far_item *far_items_find(const struct far_items *items, uint64_t offset)
{
    uint32_t low = 0, high = items->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (items->at[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < items->n && items->at[low].offset == offset ? &items->at[low] : NULL;
}

static struct far_item *items_push(struct far_items *items)
{
    if (items->n == items->limit) {
        return NULL;
    }
    if (items->n == items->cap) {
        uint32_t cap = items->cap ? items->cap * 2 : ITEMS_FIRST;
        items->cap = cap < items->limit ? cap : items->limit;
        items->at = mem_resize(items->at, items->cap * sizeof *items->at);
    }
    return &items->at[items->n++];
}

void far_walker_init(struct far_walker *w)
{
    *w = (struct far_walker){0};
    frame_decoder_init(&w->decoder);
    w->window = mem_alloc(WINDOW_MOST);
    w->raw = mem_alloc(BLOB_LIMIT);
}

void far_walker_free(struct far_walker *w)
{
    frame_decoder_free(&w->decoder);
    mem_free(w->window);
    mem_free(w->raw);
    *w = (struct far_walker){0};
}

/* The file's bytes from at on: n of them, and what else of the range is near. */
static bool look_at(struct far_walker *w, int fd, uint64_t at, uint64_t n, uint64_t to,
                    struct str *out)
{
    if (at < w->offset || at + n > w->offset + w->n) {
        uint64_t wanted = n > WINDOW ? n : WINDOW;
        wanted = wanted < to - at ? wanted : to - at;
        w->offset = at;
        w->n = 0;
        while (w->n < wanted) {
            ssize_t got = pread(fd, w->window + w->n, (size_t)wanted - w->n, (off_t)(at + w->n));
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got <= 0) {
                return false;
            }
            w->n += (size_t)got;
        }
    }
    *out = (struct str){w->window + (at - w->offset), (size_t)n};
    return true;
}

static bool digest_item(struct far_walker *w, const struct pack_item *item, uint64_t *budget,
                        struct digest *out)
{
    if (item->encoding == FRAME_RAW) {
        *out = digest_of(item->stored.s, item->stored.n);
        return true;
    }
    if (item->raw > *budget) {
        return false;
    }
    *budget -= item->raw;
    if (!frame_decode(&w->decoder, item->encoding, item->stored, w->raw, (size_t)item->raw)) {
        return false;
    }
    *out = digest_of(w->raw, (size_t)item->raw);
    return true;
}

/* The next item; false: none lies there whole. */
static bool walk_item(struct far_walker *w, int fd, uint64_t at, uint64_t to, struct far_items *out,
                      uint64_t *length)
{
    struct pack_item item;
    struct str bytes;
    uint64_t head = to - at < PACK_ITEM_HEAD_MAX ? to - at : PACK_ITEM_HEAD_MAX;
    if (!look_at(w, fd, at, head, to, &bytes) || !pack_item_length(bytes, length)
        || *length > to - at) {
        return false;
    }
    bool small = *length <= WINDOW_MOST;
    if (small && (!look_at(w, fd, at, *length, to, &bytes) || !pack_item_read(bytes, &item))) {
        return false;
    }
    if (!small && !pack_item_head_read(bytes, &item)) {
        return false;
    }
    struct far_item *found = items_push(out);
    if (!found) {
        return false;
    }
    *found = (struct far_item){
        .offset = (uint32_t)at, .stored = (uint32_t)item.stored.n, .raw = (uint32_t)item.raw};
    found->read =
        small && item.raw <= BLOB_LIMIT && digest_item(w, &item, &out->budget, &found->digest);
    return true;
}

uint64_t far_walk(struct far_walker *w, int fd, uint64_t from, uint64_t to, struct far_items *out)
{
    uint64_t at = from, length;
    w->n = 0; /* of another file, or of this one when less of it was there */
    while (at < to && walk_item(w, fd, at, to, out, &length)) {
        at += length;
    }
    return at;
}
