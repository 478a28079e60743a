/* SPDX-License-Identifier: MIT */
/* An item is taken by whoever names it by its digest first. What nobody took may stay in a pack, as the blob that any
 * bytes are, as long as it is little: a footer tells the truth of each item. */
#include "cache/far_adopt.h"

#include "cache/depot_dir.h"
#include "core/base/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { WASTE_PART = 8 }; /* at most one part in so many of a pack is of no use */

enum file_end { FILE_UNUSED, FILE_STANDS, FILE_COPIED, FILE_LOST };

struct far_adopt_file {
    struct pack_id id;
    uint32_t taken; /* items */
    enum file_end end;
    struct pack_run *moved; /* COPIED: each item's */
};

void far_adopt_begin(struct far_adopt *a)
{
    a->count = far_spool_file_count(a->spool);
    a->files = ARENA_ARRAY(a->arena, struct far_adopt_file, (size_t)a->count + 1);
    for (uint32_t i = 0; i < a->count; i++) {
        a->files[i].id = pack_id_random();
    }
}

/* ---- taking ---- */

/* An item has one kind, though a blob's bytes may be those of a list. */
static bool take_item(struct far_adopt *a, uint32_t file, struct far_item *item,
                      const struct ref *ref, struct pack_run *at)
{
    if (item->kind != REF_NONE && item->kind != ref->kind) {
        return false;
    }
    a->files[file].taken += item->kind == REF_NONE;
    item->kind = ref->kind;
    *at = (struct pack_run){a->files[file].id, item->offset, far_item_length(item), 1};
    known_add(a->known, ref, at);
    return true;
}

bool far_adopt_blob(struct far_adopt *a, const struct ref *ref, const struct pack_run *from,
                    uint64_t *length, struct pack_run *at)
{
    uint32_t file;
    struct far_item *item = far_spool_find(a->spool, &from->pack, from->offset, &file);
    if (!item || !item->read || item->raw != ref->size || !digest_eq(&item->digest, &ref->digest)) {
        return false;
    }
    *length = far_item_length(item);
    return *length <= from->length
           && (known_find(a->known, ref, at) || take_item(a, file, item, ref, at));
}

bool far_adopt_object(struct far_adopt *a, const struct ref *ref, const struct pack_item *item,
                      const struct pack_run *from, struct pack_run *at)
{
    uint32_t file;
    if (known_find(a->known, ref, at)) {
        return true;
    }
    struct far_item *found = far_spool_find(a->spool, &from->pack, from->offset, &file);
    if (found && found->raw == item->raw && far_item_length(found) == item->length
        && (found->kind == REF_NONE || found->kind == ref->kind)) {
        found->read = true;
        found->digest = ref->digest;
        return take_item(a, file, found, ref, at);
    }
    if (!pack_add_stored(a->writer, ref, item, at, a->notes)) {
        return false;
    }
    known_add(a->known, ref, at);
    return true;
}

/* ---- a file as it is ---- */

/* false: something in it is no object, or too much of it is nobody's. */
static bool put_entries(const struct far_spool_file *f, struct buf *entries)
{
    uint64_t offset = PACK_HEAD, waste = 0;
    for (uint32_t i = 0; i < f->items.n; i++) {
        const struct far_item *item = &f->items.at[i];
        struct pack_entry e = {item->offset, item->stored, item->raw, item->digest, item->kind};
        uint64_t length = pack_entry_length(&e);
        waste += e.kind == REF_NONE ? length : 0;
        e.kind = e.kind == REF_NONE ? REF_BLOB : e.kind;
        if (!item->read || e.offset != offset || (e.kind == REF_BLOB && e.raw > BLOB_LIMIT)) {
            return false;
        }
        pack_entry_put(entries, &e);
        offset += length;
    }
    return offset == f->bytes && waste <= f->bytes / WASTE_PART && !entries->full;
}

static bool put_file(struct far_adopt *a, struct far_adopt_file *x, const struct far_spool_file *f,
                     struct str end)
{
    char key[PACK_KEY];
    struct depot_reply reply = {0};
    uint64_t bytes = f->bytes + end.n;
    struct str head = pack_head();
    bool ok =
        file_write_at(f->fd, head.s, head.n, 0) && file_write_at(f->fd, end.s, end.n, f->bytes);
    int error = ok ? 0 : errno;
    if (ok) {
        struct str name = pack_key(&x->id, false, key);
        ok = depot_dir_adopt(a->near, name, f->fd, bytes, &reply) == DEPOT_DONE;
        error = reply.error;
    }
    if (ok) {
        pack_note_put(a->writer, &x->id, bytes);
    } else {
        diag_warning(a->notes, "cache-write", SPAN_NONE, "cannot write to the cache: %s",
                     error ? diag_reason(error) : "it is refused");
    }
    return ok;
}

/* false: it cannot stay as it is. */
static bool adopt_whole(struct far_adopt *a, struct far_adopt_file *x,
                        const struct far_spool_file *f)
{
    struct buf entries, end;
    buf_init(&entries, PACK_LIMIT);
    buf_init(&end, f->bytes < PACK_LIMIT ? PACK_LIMIT - f->bytes : 0);
    bool stands = f->whole && put_entries(f, &entries);
    if (stands) {
        const struct pack_end what = {buf_str(&entries), f->items.n, f->bytes};
        stands = pack_end_put(&a->writer->encoder, &what, &end);
    }
    if (stands) {
        x->end = put_file(a, x, f, buf_str(&end)) ? FILE_STANDS : FILE_LOST;
    }
    buf_free(&entries);
    buf_free(&end);
    return stands;
}

/* ---- what is of use in a file ---- */

static bool read_item(const struct far_spool_file *f, const struct far_item *item,
                      struct buf *bytes, struct pack_item *out)
{
    size_t n = (size_t)far_item_length(item);
    buf_clear(bytes);
    char *room = buf_reserve(bytes, n);
    for (size_t at = 0; room && at < n;) {
        ssize_t got = pread(f->fd, room + at, n - at, (off_t)(item->offset + at));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += (size_t)got;
    }
    return room && pack_item_read((struct str){room, n}, out);
}

static bool copy_items(struct far_adopt *a, struct far_adopt_file *x,
                       const struct far_spool_file *f)
{
    struct buf bytes;
    bool ok = true;
    buf_init(&bytes, PACK_LIMIT);
    x->moved = ARENA_ARRAY(a->arena, struct pack_run, (size_t)f->items.n + 1);
    for (uint32_t i = 0; i < f->items.n && ok; i++) {
        const struct far_item *item = &f->items.at[i];
        const struct ref ref = {item->kind, item->raw, item->digest};
        struct pack_item stored;
        if (item->kind == REF_NONE) {
            continue;
        }
        ok = read_item(f, item, &bytes, &stored)
             && pack_add_stored(a->writer, &ref, &stored, &x->moved[i], a->notes);
        if (ok) {
            known_add(a->known, &ref, &x->moved[i]);
        }
    }
    buf_free(&bytes);
    return ok;
}

void far_adopt_end(struct far_adopt *a)
{
    for (uint32_t i = 0; i < a->count; i++) {
        struct far_adopt_file *x = &a->files[i];
        const struct far_spool_file *f = far_spool_file(a->spool, i);
        if (x->taken > 0 && !adopt_whole(a, x, f)) {
            x->end = copy_items(a, x, f) ? FILE_COPIED : FILE_LOST;
        }
        if (x->end == FILE_LOST) {
            known_forget_pack(a->known, &x->id);
        }
    }
}

static const struct far_adopt_file *file_of(const struct far_adopt *a, const struct pack_id *id)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (pack_id_eq(&a->files[i].id, id)) {
            return &a->files[i];
        }
    }
    return NULL;
}

static void add_moved(const struct far_adopt *a, const struct far_adopt_file *x,
                      const struct pack_run *run, struct pack_runs *out)
{
    const struct far_items *items = &far_spool_file(a->spool, (uint32_t)(x - a->files))->items;
    const struct far_item *first = far_items_find(items, run->offset);
    for (uint32_t i = 0; i < run->count; i++) {
        pack_runs_add(out, &x->moved[(size_t)(first - items->at) + i]);
    }
}

bool far_adopt_settle(const struct far_adopt *a, struct pack_place *here)
{
    struct pack_runs runs = {.arena = a->arena};
    bool moved = false;
    for (uint32_t i = 0; i < here->run_count; i++) {
        const struct far_adopt_file *x = file_of(a, &here->runs[i].pack);
        moved |= x && x->end == FILE_COPIED;
        if (x && x->end == FILE_LOST) {
            return false;
        }
    }
    for (uint32_t i = 0; i < here->run_count && moved; i++) {
        const struct pack_run *run = &here->runs[i];
        const struct far_adopt_file *x = file_of(a, &run->pack);
        if (x && x->end == FILE_COPIED) {
            add_moved(a, x, run, &runs);
        } else {
            pack_runs_add(&runs, run);
        }
    }
    if (moved) {
        here->runs = runs.at;
        here->run_count = runs.n;
    }
    return true;
}
