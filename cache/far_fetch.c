/* SPDX-License-Identifier: MIT */
/* Fetching: ranges into a spool, whose files become packs of the local cache once each object in them is verified, then
 * one segment for all results that are whole. A root that fails in one place is tried in the next. */
#include "cache/depot_dir.h"
#include "cache/far_adopt.h"
#include "cache/far_inside.h"
#include "cache/place.h"
#include "core/base/file.h"
#include "core/base/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FETCH_THREADS = 10, PLACES_LIMIT = 4 };
enum { NEAR_TARGET = 16 << 20 }; /* of a local pack that must be copied: it stands in memory */
#define BATCH_BYTES (UINT64_C(256) << 20) /* spooled at once, unless one root is larger */

enum root_state { ROOT_WANTED, ROOT_HERE, ROOT_LOST };

struct root {
    struct ref ref;
    const struct cache_places *from; /* of the first hit that names it */
    enum root_state state;
    struct pack_place here;
};

struct fetching {
    struct far *f;
    struct cache *near;
    struct far_spool *spool;
    int64_t until_boot_ns;
    struct arena arena;
    struct table keys; /* of roots */
    VEC(struct root) roots;
    struct known known; /* objects that this fetch has brought */
    struct pack_writer writer;
    struct far_adopt adopt;
    int64_t began_boot_ns;
    struct diags *notes;
};

const struct cache *far_near(const struct far *f)
{
    return f->fetcher.near;
}

void far_fetcher_close(struct far_fetcher *x, struct diags *notes)
{
    cache_close(x->near, notes);
    depot_close(x->depot);
    if (x->pool) {
        workers_close(x->pool);
    }
    *x = (struct far_fetcher){0};
}

static bool open_fetcher(struct far *f, struct diags *notes)
{
    struct far_fetcher *x = &f->fetcher;
    if (x->near || x->unusable) {
        return x->near != NULL;
    }
    x->unusable = true;
    x->depot = far_depot_open(f->place, -1, notes);
    x->pool = x->depot ? workers_open(FETCH_THREADS) : NULL;
    struct cache *near = x->pool ? far_open_near(f, false, notes) : NULL;
    x->near = near;
    if (near) {
        depot_dir_trust_memory(near->depot);
        near->manifest.lean = true;
    }
    return near != NULL;
}

/* ---- roots ---- */

static struct root *root_of(struct fetching *x, const struct ref *ref, bool *is_new)
{
    char key[REF_KEY_SIZED];
    uint32_t number = table_add(&x->keys, ref_key_sized(ref, key), is_new);
    if (*is_new) {
        VEC_PUSH(&x->arena, &x->roots)->ref = *ref;
    }
    return &x->roots.at[number];
}

/* Where it lies here already, whole: what cannot be read here is fetched anew. */
static bool find_near(struct fetching *x, struct root *root)
{
    struct pack_place *places;
    const struct fetch from = {x->near->depot, x->near->folder, x->near->frames, false, NULL};
    uint32_t count = cache_find_places(x->near, &root->ref, &x->arena, &places);
    for (uint32_t i = 0; i < count; i++) {
        if (!view_place_is_condemned(&x->near->manifest.view, &places[i])
            && fetch_check(&from, &places[i]) == FETCH_DONE) {
            root->here = places[i];
            return true;
        }
    }
    return false;
}

static void add_roots(struct fetching *x, const struct far_hit *hit)
{
    for (uint32_t i = 0; i < far_root_count(&hit->record); i++) {
        bool is_new;
        struct root *root = root_of(x, far_root(&hit->record, i), &is_new);
        if (is_new) {
            root->from = &hit->places;
            root->state = find_near(x, root) ? ROOT_HERE : ROOT_WANTED;
        }
    }
}

/* The root's n-th place; NULL: it has no more. */
static const struct pack_place *place_number(const struct root *root, uint32_t n)
{
    for (uint32_t i = 0; i < root->from->count; i++) {
        if (ref_eq(&root->from->at[i].root, &root->ref) && n-- == 0) {
            return &root->from->at[i];
        }
    }
    return NULL;
}

/* ---- taking ---- */

struct taking {
    struct fetching *x;
    struct pack_runs runs;
    bool full; /* the local cache does not take it */
};

static bool vouch(void *context, const struct ref *ref, const struct pack_run *rest,
                  uint64_t *length)
{
    struct taking *t = context;
    struct pack_run at;
    if (!far_adopt_blob(&t->x->adopt, ref, rest, length, &at)) {
        return false;
    }
    pack_runs_add(&t->runs, &at);
    return true;
}

static bool keep_object(void *context, const struct ref *ref, const struct pack_item *item,
                        const struct pack_run *from)
{
    struct taking *t = context;
    struct pack_run at;
    t->full = !far_adopt_object(&t->x->adopt, ref, item, from, &at);
    if (!t->full) {
        pack_runs_add(&t->runs, &at);
    }
    return !t->full;
}

static void take_root(struct fetching *x, struct root *root, const struct pack_place *place)
{
    struct taking t = {.x = x, .runs = {.arena = &x->arena}};
    const struct place_tee tee = {keep_object, vouch, NULL, &t};
    const struct fetch from = {far_spool_depot(x->spool), -1, x->near->frames, false, NULL};
    if (fetch_pass(&from, place, &tee) == FETCH_DONE) {
        root->here = (struct pack_place){root->ref, t.runs.at, t.runs.n};
        root->state = ROOT_HERE;
    } else if (t.full) {
        root->state = ROOT_LOST;
    }
}

static uint64_t place_bytes(const struct pack_place *p)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->run_count; i++) {
        n += p->runs[i].length;
    }
    return n;
}

struct wanted_root {
    struct root *root;
    const struct pack_place *place;
};

struct batch {
    VEC(struct wanted_root) roots;
    uint64_t bytes;
};

/* As they lie there, so that what comes first can be taken while the rest is on its way. */
static int by_position(const void *x, const void *y)
{
    const struct pack_place *a = ((const struct wanted_root *)x)->place;
    const struct pack_place *b = ((const struct wanted_root *)y)->place;
    if (!a->run_count || !b->run_count) {
        return (a->run_count > 0) - (b->run_count > 0);
    }
    int c = memcmp(a->runs[0].pack.b, b->runs[0].pack.b, sizeof a->runs[0].pack.b);
    return c ? c
             : (a->runs[0].offset > b->runs[0].offset) - (a->runs[0].offset < b->runs[0].offset);
}

static void run_batch(struct fetching *x, struct batch *b)
{
    const struct far_fetcher *o = &x->f->fetcher;
    const struct far_spool_source from = {o->depot, o->pool, x->until_boot_ns};
    VEC(struct pack_run) runs = {0};
    qsort(b->roots.at, b->roots.n, sizeof *b->roots.at, by_position);
    for (uint32_t i = 0; i < b->roots.n; i++) {
        const struct pack_place *place = b->roots.at[i].place;
        for (uint32_t k = 0; k < place->run_count; k++) {
            *VEC_PUSH(&x->arena, &runs) = place->runs[k];
        }
    }
    far_spool_fill(x->spool, &from, runs.at, runs.n);
    far_adopt_begin(&x->adopt);
    for (uint32_t i = 0; i < b->roots.n; i++) {
        take_root(x, b->roots.at[i].root, b->roots.at[i].place);
    }
    far_adopt_end(&x->adopt);
    for (uint32_t i = 0; i < b->roots.n; i++) {
        struct root *root = b->roots.at[i].root;
        if (root->state == ROOT_HERE && !far_adopt_settle(&x->adopt, &root->here)) {
            root->state = ROOT_LOST;
        }
    }
    far_spool_empty(x->spool);
    b->roots.n = 0;
    b->bytes = 0;
}

/* Each root that is still wanted, from its place of this number. false: no root has one. */
static bool run_round(struct fetching *x, uint32_t round)
{
    struct batch b = {0};
    bool any = false;
    for (uint32_t i = 0; i < x->roots.n; i++) {
        struct root *root = &x->roots.at[i];
        const struct pack_place *place =
            root->state == ROOT_WANTED ? place_number(root, round) : NULL;
        uint64_t bytes = place ? place_bytes(place) : 0;
        if (!place) {
            continue;
        }
        any = true;
        if (b.roots.n > 0 && b.bytes + bytes > BATCH_BYTES) {
            run_batch(x, &b);
        }
        *VEC_PUSH(&x->arena, &b.roots) = (struct wanted_root){root, place};
        b.bytes += bytes;
    }
    if (b.roots.n > 0) {
        run_batch(x, &b);
    }
    return any && time_boot_ns() < x->until_boot_ns;
}

/* ---- the local segment ---- */

static bool is_whole(struct fetching *x, const struct record *r)
{
    for (uint32_t i = 0; i < far_root_count(r); i++) {
        bool is_new;
        if (root_of(x, far_root(r, i), &is_new)->state != ROOT_HERE) {
            return false;
        }
    }
    return true;
}

static void fill_draft(struct fetching *x, struct segment_draft *draft, struct far_want *wants,
                       uint32_t count)
{
    struct far_row *rows = ARENA_ARRAY(&x->arena, struct far_row, count + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct far_hit *h = wants[i].hit;
        wants[i].here = is_whole(x, &h->record);
        for (uint32_t k = 0; wants[i].here && k < far_root_count(&h->record); k++) {
            bool is_new;
            segment_draft_add_place(draft, &root_of(x, far_root(&h->record, k), &is_new)->here);
        }
        if (wants[i].here) {
            rows[n++] = (struct far_row){h->row, h->block, h->writer, h->made_ms, false};
        }
    }
    far_put_rows(draft, rows, n, NULL);
}

static bool publish(struct fetching *x, struct far_want *wants, uint32_t count)
{
    struct segment_draft draft;
    struct manifest *m = &x->near->manifest;
    bool sealed = pack_seal(&x->writer, x->notes);
    for (uint32_t i = 0; i < x->writer.put_count; i++) {
        manifest_add_own(m, &x->writer.puts[i].id, x->began_boot_ns);
    }
    segment_draft_init(&draft);
    fill_draft(x, &draft, wants, count);
    bool ok = sealed
              && (segment_draft_is_empty(&draft)
                  || manifest_publish(m, &draft, x->notes) == MANIFEST_DONE);
    segment_draft_free(&draft);
    return ok;
}

/* Where its bytes lie here, in the caller's arena. */
static void note_got(struct fetching *x, struct far_want *w, struct arena *a)
{
    const struct record *r = &w->hit->record;
    struct cache_places *places = ARENA_NEW(a, struct cache_places);
    places->at = ARENA_ARRAY(a, struct pack_place, far_root_count(r) + 1);
    for (uint32_t i = 0; i < far_root_count(r); i++) {
        bool is_new;
        const struct pack_place *p = &root_of(x, far_root(r, i), &is_new)->here;
        struct pack_run *runs = ARENA_ARRAY(a, struct pack_run, p->run_count + 1);
        memcpy(runs, p->runs, p->run_count * sizeof *runs);
        places->at[places->count++] = (struct pack_place){p->root, runs, p->run_count};
    }
    /* Each byte was held against its digest in what was written, or lies here already, a moment ago: what puts it in
     * place need not do so once more. A later process does. */
    w->got = (struct cache_hit){*r, w->hit->signer, places, true};
}

static void fetch_all(struct fetching *x, struct far_want *wants, uint32_t count, struct arena *a)
{
    for (uint32_t i = 0; i < count; i++) {
        add_roots(x, wants[i].hit);
    }
    for (uint32_t round = 0; round < PLACES_LIMIT && run_round(x, round); round++) {
    }
    bool ok = publish(x, wants, count);
    for (uint32_t i = 0; i < count; i++) {
        wants[i].here = wants[i].here && ok;
        if (wants[i].here) {
            note_got(x, &wants[i], a);
        }
    }
}

struct str far_fetch(struct far *f, struct far_want *wants, uint32_t count, int64_t until_boot_ns,
                     struct arena *a, struct diags *notes)
{
    for (uint32_t i = 0; i < count; i++) {
        wants[i].here = false;
    }
    if (count == 0 || far_place_is_down(f->place) || !open_fetcher(f, notes)
        || !cache_look(f->fetcher.near, notes)
        || !manifest_read_format(&f->fetcher.near->manifest, true, notes)) {
        return STR_NONE;
    }
    struct fetching x = {.f = f,
                         .near = f->fetcher.near,
                         .until_boot_ns = until_boot_ns,
                         .notes = notes,
                         .began_boot_ns = time_boot_ns()};
    x.spool = far_spool_open(x.near->folder);
    if (!x.spool) {
        diag_warning(notes, "cache-write", SPAN_NONE, "cannot make room in the cache: %s",
                     diag_reason(errno));
        return STR_NONE;
    }
    table_init(&x.keys, &x.arena);
    known_init(&x.known);
    pack_writer_init(&x.writer, x.near->depot);
    x.writer.target = NEAR_TARGET;
    x.adopt =
        (struct far_adopt){x.spool, x.near->depot, &x.writer, &x.known, &x.arena, x.notes, NULL, 0};
    x.near->manifest.published[0] = 0;
    fetch_all(&x, wants, count, a);
    struct str published = str_copy(a, str_from(x.near->manifest.published));
    pack_writer_free(&x.writer);
    known_free(&x.known);
    far_spool_close(x.spool);
    arena_free(&x.arena);
    far_place_tell(f->place, notes);
    return published;
}
