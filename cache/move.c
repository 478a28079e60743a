/* SPDX-License-Identifier: MIT */
/* The collector's hands. Entries are copied as they lie, verified by their digests; runs are cut along entries, so
 * that two places that share objects still share them afterwards. */
#include "cache/move.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void mover_init(struct mover *v, struct manifest *m)
{
    memset(v, 0, sizeof *v);
    v->m = m;
    table_init(&v->keys, &v->arena);
    pack_writer_init(&v->writer, m->depot);
}

void mover_free(struct mover *v)
{
    pack_writer_free(&v->writer);
    arena_free(&v->arena);
    memset(v, 0, sizeof *v);
}

static struct move_pack *find_pack(const struct mover *v, const struct pack_run *run)
{
    char key[PACK_KEY];
    uint32_t number = table_find(&v->keys, pack_key(&run->pack, run->count == 0, key));
    return number == TABLE_NONE ? NULL : &v->packs.at[number];
}

bool mover_leaves(const struct mover *v, const struct pack_run *run)
{
    return find_pack(v, run) != NULL;
}

static void read_entries(struct mover *v, struct move_pack *p, uint64_t size)
{
    struct pack_footer footer;
    struct arena scratch = {0};
    if (pack_read_footer(v->m->depot, &p->id, size, &scratch, &footer) == PACK_DONE) {
        p->known = true;
        p->count = footer.count;
        p->entries = ARENA_ARRAY(&v->arena, struct move_entry, p->count);
        for (uint32_t i = 0; i < p->count; i++) {
            p->entries[i].offset = footer.at[i].offset;
            p->entries[i].length = pack_entry_length(&footer.at[i]);
        }
    }
    arena_free(&scratch);
}

void mover_leave(struct mover *v, const struct pack_id *id, bool plain, uint64_t size)
{
    char key[PACK_KEY];
    bool is_new;
    table_add(&v->keys, pack_key(id, plain, key), &is_new);
    if (!is_new) {
        return;
    }
    struct move_pack *p = VEC_PUSH(&v->arena, &v->packs);
    p->id = *id;
    p->plain = plain;
    if (plain) {
        p->known = true;
        p->count = 1;
        p->entries = ARENA_NEW(&v->arena, struct move_entry);
        p->entries[0].length = size;
    } else {
        read_entries(v, p, size);
    }
}

/* The first entry at or behind the offset, or the count. */
static uint32_t entry_at(const struct move_pack *p, uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = p->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->entries[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_within(const struct move_entry *e, const struct pack_run *run)
{
    return e->offset >= run->offset && e->offset - run->offset < run->length
           && e->length <= run->length - (e->offset - run->offset);
}

void mover_need(struct mover *v, const struct pack_run *run)
{
    struct move_pack *p = find_pack(v, run);
    if (!p) {
        return;
    }
    for (uint32_t i = entry_at(p, run->offset); i < p->count && is_within(&p->entries[i], run);
         i++) {
        p->entries[i].needed = true;
    }
}

/* ---- copying ---- */

static bool copy_plain(struct mover *v, struct move_pack *p)
{
    char key[PACK_KEY];
    struct stat st;
    struct depot_reply reply;
    struct move_entry *e = &p->entries[0];
    pack_key(&p->id, true, key);
    int fd = openat(v->m->dir, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR || errno == ESTALE;
    }
    bool ok = fstat(fd, &st) == 0;
    struct pack_id id = pack_id_random();
    struct depot_source source = {.fd = fd, .fd_bytes = ok ? (uint64_t)st.st_size : 0};
    int64_t began = v->m->world.boot_ns(v->m->world.context);
    ok = ok
         && depot_put(v->m->depot, pack_key(&id, true, key), &source, false, &reply) == DEPOT_DONE;
    close(fd);
    if (ok) {
        manifest_add_own(v->m, &id, began);
        e->now = (struct pack_run){id, 0, (uint64_t)st.st_size, 0};
        e->moved = true;
    }
    return ok;
}

/* Entries from first on, count of them, lie now where the runs say. */
static void note_moved(struct move_pack *p, uint32_t first, uint32_t count,
                       const struct pack_runs *runs)
{
    uint32_t run = 0;
    uint32_t taken = 0;
    uint64_t at = runs->n ? runs->at[0].offset : 0;
    for (uint32_t i = first; i < first + count && run < runs->n; i++) {
        struct move_entry *e = &p->entries[i];
        e->now = (struct pack_run){runs->at[run].pack, at, e->length, 1};
        e->moved = true;
        at += e->length;
        if (++taken == runs->at[run].count && ++run < runs->n) {
            taken = 0;
            at = runs->at[run].offset;
        }
    }
}

static bool copy_entries(struct mover *v, struct move_pack *p, uint32_t first, uint32_t count,
                         struct diags *quiet)
{
    const struct move_entry *last = &p->entries[first + count - 1];
    struct pack_runs runs = {.arena = &v->arena};
    struct pack_run from = {p->id, p->entries[first].offset,
                            last->offset + last->length - p->entries[first].offset, count};
    if (!pack_copy_run(&v->writer, v->m->depot, &from, &runs, quiet)) {
        return false;
    }
    note_moved(p, first, count, &runs);
    return true;
}

/* Ranges of needed entries; where one is damaged, each for itself. */
static void copy_pack(struct mover *v, struct move_pack *p, struct diags *quiet)
{
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t end = i;
        while (end < p->count && p->entries[end].needed) {
            end++;
        }
        if (end > i && !copy_entries(v, p, i, end - i, quiet)) {
            for (uint32_t k = i; k < end; k++) {
                bool moved = copy_entries(v, p, k, 1, quiet);
                p->entries[k].moved = moved;
            }
        }
        i = end;
    }
}

static bool was_put(const struct mover *v, const struct pack_id *id)
{
    for (uint32_t i = 0; i < v->writer.put_count; i++) {
        if (pack_id_eq(&v->writer.puts[i].id, id)) {
            return true;
        }
    }
    return false;
}

static bool all_were_put(const struct mover *v)
{
    for (uint32_t i = 0; i < v->packs.n; i++) {
        const struct move_pack *p = &v->packs.at[i];
        for (uint32_t k = 0; k < p->count && !p->plain; k++) {
            if (p->entries[k].moved && !was_put(v, &p->entries[k].now.pack)) {
                return false;
            }
        }
    }
    return true;
}

bool mover_run(struct mover *v, struct diags *notes)
{
    struct arena scratch = {0};
    struct diags quiet;
    diags_init(&quiet, &scratch);
    int64_t began = v->m->world.boot_ns(v->m->world.context);
    bool ok = true;
    for (uint32_t i = 0; i < v->packs.n && ok; i++) {
        struct move_pack *p = &v->packs.at[i];
        if (p->plain && p->entries[0].needed) {
            ok = copy_plain(v, p);
        } else if (!p->plain) {
            copy_pack(v, p, &quiet);
        }
    }
    ok = pack_seal(&v->writer, &quiet) && ok && all_were_put(v);
    for (uint32_t i = 0; i < v->writer.put_count; i++) {
        manifest_add_own(v->m, &v->writer.puts[i].id, began);
    }
    arena_free(&scratch);
    if (!ok) {
        diag_warning(notes, "cache-write", SPAN_NONE, "the cache does not take new packs");
    }
    return ok;
}

static bool move_run(const struct mover *v, const struct pack_run *run, struct pack_runs *out)
{
    const struct move_pack *p = find_pack(v, run);
    if (!p) {
        pack_runs_add(out, run);
        return true;
    }
    uint32_t i = entry_at(p, run->offset);
    uint32_t count = 0;
    for (; i < p->count && is_within(&p->entries[i], run); i++) {
        if (!p->entries[i].moved) {
            return false;
        }
        pack_runs_add(out, &p->entries[i].now);
        count++;
    }
    return p->plain ? count == 1 : count == run->count;
}

bool mover_place(const struct mover *v, const struct pack_place *from, struct arena *a,
                 struct pack_place *out)
{
    struct pack_runs runs = {.arena = a};
    for (uint32_t i = 0; i < from->run_count; i++) {
        if (!move_run(v, &from->runs[i], &runs)) {
            return false;
        }
    }
    *out = (struct pack_place){from->root, runs.at, runs.n};
    return true;
}
