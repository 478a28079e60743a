/* SPDX-License-Identifier: MIT */
/* Any bytes as a list, a tree, a frame, a pack's footer and a whole pack: nothing is believed, nothing beyond
 * the bytes is read, and what is read can be written and read again. */
#include "cache/fetch.h"
#include "cache/list.h"
#include "cache/tree.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DECODE_LIMIT = 4 << 20 };

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void try_list(struct arena *a, struct str bytes)
{
    struct list list;
    uint64_t sum = 0;
    if (!list_read(a, bytes, &list)) {
        return;
    }
    must(list.count > 0 && list.count <= LIST_ENTRIES_LIMIT && list.level < LIST_LEVELS);
    for (uint32_t i = 0; i < list.count; i++) {
        sum += list.entries[i].size;
    }
    must(sum == list.total);
}

static void try_tree(struct arena *a, struct str bytes)
{
    struct tree tree, again;
    struct buf b;
    if (!tree_read(a, bytes, &tree)) {
        return;
    }
    buf_init(&b, 1 << 28);
    tree_put(&b, tree.entries, tree.count);
    must(tree_read(a, buf_str(&b), &again) && again.count == tree.count);
    for (uint32_t i = 0; i < tree.count; i++) {
        struct str name = tree.entries[i].name;
        must(str_eq(name, again.entries[i].name) && !str_has(name, '/') && !str_has(name, '\0'));
        must(!str_eq(name, STR("..")) && ref_eq(&tree.entries[i].ref, &again.entries[i].ref));
    }
    buf_free(&b);
}

static void try_frame(struct str bytes)
{
    struct frame_decoder d;
    uint64_t size = 0;
    frame_decoder_init(&d);
    if (frame_stated_size(bytes, &size) && size <= DECODE_LIMIT) {
        uint8_t *out = malloc((size_t)size + 1); /* exactly as much as ASan is to guard */
        out[size] = 0x5a;
        (void)frame_decode(&d, FRAME_ZSTD, bytes, out, (size_t)size);
        must(out[size] == 0x5a);
        free(out);
    }
    frame_decoder_free(&d);
}

/* The bytes as the only pack of a depot. */
struct bytes_depot {
    struct depot depot;
    struct str bytes;
};

static enum depot_answer bytes_get(struct depot *base, struct str key, struct depot_range range,
                                   struct depot_sink sink, struct depot_reply *reply)
{
    const struct bytes_depot *d = (const struct bytes_depot *)base;
    (void)key;
    *reply = (struct depot_reply){0};
    size_t from = range.offset < d->bytes.n ? (size_t)range.offset : d->bytes.n;
    size_t rest = d->bytes.n - from;
    size_t n = range.length < rest ? (size_t)range.length : rest;
    return !n || sink.take(sink.context, d->bytes.s + from, n) ? DEPOT_DONE : DEPOT_REFUSED;
}

static const struct depot_functions FUNCTIONS = {.get = bytes_get};

/* The first entry as a root whose digest is right, with all that follows it. */
static void try_place(struct depot *d, struct str bytes, const struct pack_footer *footer)
{
    const struct pack_entry *first = &footer->at[0], *last = &footer->at[footer->count - 1];
    struct fetch from = {d, -1, NULL, false, NULL};
    struct pack_run run = {{{0}}, first->offset, 0, footer->count};
    struct pack_place place = {{first->kind, first->raw, first->digest}, &run, 1};
    run.length = last->offset + pack_entry_length(last) - first->offset;
    (void)fetch_check(&from, &place);
    struct rd rd = rd_from(bytes.s + bytes.n / 2, bytes.n - bytes.n / 2); /* runs at random */
    struct pack_run wild[3] = {run, run, run};
    for (int i = 0; i < 3; i++) {
        wild[i].offset = i ? rd_varint(&rd) : first->offset;
        wild[i].length = rd_varint(&rd);
        wild[i].count = rd_u8(&rd);
    }
    struct pack_place strange = {place.root, wild, 3};
    (void)fetch_check(&from, &strange);
    struct pack_item item;
    if (!pack_item_read(str_tail(bytes, (size_t)first->offset), &item)
        || item.encoding != FRAME_RAW) {
        return;
    }
    for (uint8_t kind = REF_BLOB; kind <= REF_TREE; kind++) {
        struct arena a = {0};
        struct list list;
        place.root = (struct ref){kind, item.raw, digest_of(item.stored.s, item.stored.n)};
        if (kind == REF_LIST && list_read(&a, item.stored, &list)) {
            place.root.size = list.total;
        }
        (void)fetch_check(&from, &place);
        arena_free(&a);
    }
}

static void try_pack(struct arena *a, struct str bytes)
{
    struct bytes_depot d = {{&FUNCTIONS}, bytes};
    struct pack_id id = {{0}};
    struct pack_checked checked;
    struct pack_footer footer;
    struct pack_item item;
    uint64_t length = 0;
    (void)pack_check(&d.depot, &id, &checked);
    if (bytes.n && pack_read_footer(&d.depot, &id, bytes.n, a, &footer) == PACK_DONE
        && footer.count) {
        try_place(&d.depot, bytes, &footer);
    }
    (void)pack_footer_read(a, bytes, 1 << 20, &footer);
    if (pack_item_read(bytes, &item)) {
        must(pack_item_length(bytes, &length) && length == item.length && length <= bytes.n);
    }
}

/* A pack of these bytes as its entries, with a footer that is true: so that mutations get past it. */
static void try_sealed(struct arena *a, struct str bytes)
{
    struct buf pack, footer;
    struct frame_encoder e;
    uint32_t count = 0;
    buf_init(&pack, 1 << 26);
    buf_init(&footer, 1 << 26);
    buf_put_str(&pack, STR("pawlpak1"));
    for (struct pack_item item; pack_item_read(bytes, &item) && count < 1000; count++) {
        struct digest digest = digest_of(item.stored.s, item.stored.n);
        uint8_t kind = str_starts(item.stored, STR("pawl tree"))   ? REF_TREE
                       : str_starts(item.stored, STR("pawl list")) ? REF_LIST
                                                                   : REF_BLOB;
        buf_put_varint(&footer, pack.n);
        buf_put_varint(&footer, item.stored.n);
        buf_put_varint(&footer, item.raw);
        buf_put_u8(&footer, kind);
        buf_put(&footer, digest.b, sizeof digest.b);
        buf_put(&pack, bytes.s, (size_t)item.length);
        bytes = str_tail(bytes, (size_t)item.length);
    }
    struct buf raw;
    buf_init(&raw, 1 << 26);
    buf_put_varint(&raw, count);
    buf_put_str(&raw, buf_str(&footer));
    size_t end = pack.n;
    frame_encoder_init(&e);
    must(frame_compress(&e, buf_str(&raw), &pack));
    struct digest digest = digest_of(pack.s + end, pack.n - end);
    size_t frame = pack.n - end;
    buf_put_u64(&pack, end);
    buf_put_u64(&pack, frame);
    buf_put(&pack, digest.b, 8);
    try_pack(a, buf_str(&pack));
    frame_encoder_free(&e);
    buf_free(&raw);
    buf_free(&footer);
    buf_free(&pack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct str bytes = {(const char *)data, size};
    try_list(&a, bytes);
    try_tree(&a, bytes);
    try_frame(bytes);
    try_pack(&a, bytes);
    try_sealed(&a, bytes);
    arena_free(&a);
    return 0;
}
