/* SPDX-License-Identifier: MIT */
/* Asking. The view answers from memory once it is synced; a hit is a promise that fetching must keep. */
#include "cache/far.h"

#include "cache/far_inside.h"
#include "cache/older.h"
#include "core/base/file.h"

#include <stdlib.h>
#include <string.h>

enum { HITS_LIMIT = 16 };
#define FUTURE_MS (10 * VIEW_MINUTE_MS)

struct far *far_open(const struct far_options *o, struct diags *notes)
{
    struct far_place *place = far_place_open(o, notes);
    if (!place) {
        return NULL;
    }
    struct far *f = mem_alloc(sizeof *f);
    f->place = place;
    if (o->trust) {
        trust_copy(&f->arena, o->trust, &f->trust);
    }
    if (o->self) {
        f->self = *o->self;
        f->self.own_path = str_copy(&f->arena, o->self->own_path);
    }
    far_lost_read(place);
    struct arena scratch = {0};
    struct str *keys;
    f->lost_before = far_place_lost(place, 0, &scratch, &keys);
    arena_free(&scratch);
    return f;
}

static void keep_lost(struct far *f)
{
    struct arena scratch = {0};
    struct str *keys;
    uint32_t count = far_place_lost(f->place, f->lost_before, &scratch, &keys);
    if (!far_place_options(f->place)->asking) {
        far_lost_keep(f->place, keys, count);
    }
    arena_free(&scratch);
}

void far_close(struct far *f)
{
    if (!f) {
        return;
    }
    struct arena scratch = {0};
    struct diags unheard;
    diags_init(&unheard, &scratch);
    far_fetcher_close(&f->fetcher, &unheard);
    far_pusher_close(&f->pusher, &unheard);
    far_view_close(&f->view);
    keep_lost(f);
    far_place_close(f->place);
    trust_self_wipe(&f->self);
    arena_free(&f->arena);
    arena_free(&scratch);
    mem_free(f);
}

struct far_place *far_place_of(const struct far *f)
{
    return f->place;
}

struct cache *far_open_near(const struct far *f, bool read_only, struct diags *notes)
{
    const struct far_options *o = far_place_options(f->place);
    struct cache_options near = {
        .dir = o->near_dir, .read_only = read_only, .trust = &f->trust, .self = &f->self};
    memcpy(near.hint, o->hint, sizeof near.hint);
    return cache_open(&near, notes);
}

uint32_t far_root_count(const struct record *r)
{
    return r->output_count + (r->log.kind != REF_NONE ? 1 : 0);
}

const struct ref *far_root(const struct record *r, uint32_t i)
{
    return i < r->output_count ? &r->outputs[i].ref : &r->log;
}

/* ---- hits ---- */

/* Plain files are a folder's own: nobody else's place may speak of them. Nor may it of what no pack has room for. */
static bool is_far_place(const struct pack_place *p)
{
    for (uint32_t i = 0; i < p->run_count; i++) {
        const struct pack_run *run = &p->runs[i];
        if (run->count == 0 || run->offset > PACK_LIMIT || run->length > PACK_LIMIT - run->offset) {
            return false;
        }
    }
    return true;
}

static bool add_places(const struct view *v, struct arena *a, const struct ref *root,
                       struct cache_places *to, uint32_t *cap)
{
    struct pack_place *found;
    uint32_t before = to->count;
    uint32_t count = view_find_places(v, root, VIEW_PLACES_FEW, a, &found);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_far_place(&found[i])) {
            continue;
        }
        if (to->count == *cap) {
            to->at = arena_grow(a, to->at, cap, sizeof *to->at);
        }
        to->at[to->count++] = found[i];
    }
    return to->count > before;
}

bool far_read_row(struct arena *a, const struct view_found *row, struct far_hit *out)
{
    const struct segment_block *block = row->block;
    *out = (struct far_hit){.row = str_copy(a, row->row)};
    if (!record_read(a, out->row, &out->record)) {
        return false;
    }
    out->writer = str_copy(a, block->writer);
    out->made_ms = block->made_ms;
    out->signer = trust_signer_of(block);
    if (segment_block_is_signed(block)) {
        out->block = block->bytes;
        out->key = block->key;
    }
    return true;
}

bool far_read_hit(const struct view *v, struct arena *a, const struct view_found *row,
                  struct far_hit *out)
{
    uint32_t cap = 0;
    if (!far_read_row(a, row, out)) {
        return false;
    }
    for (uint32_t i = 0; i < far_root_count(&out->record); i++) {
        if (!add_places(v, a, far_root(&out->record, i), &out->places, &cap)) {
            return false;
        }
    }
    return true;
}

bool far_find_place(struct far_place *p, const struct view *v, const struct ref *root,
                    struct arena *a, struct pack_place *out)
{
    struct pack_place *places;
    uint32_t count = view_find_places(v, root, VIEW_PLACES_FEW, a, &places);
    for (uint32_t i = 0; i < count; i++) {
        if (!view_place_is_condemned(v, &places[i]) && !far_place_has_lost(p, &places[i])) {
            *out = places[i];
            return true;
        }
    }
    return false;
}

/* Leaves out places in packs that are gone. false: of a root there is no other. */
static bool still_stands(struct far_place *p, struct far_hit *hit)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < hit->places.count; i++) {
        if (!far_place_has_lost(p, &hit->places.at[i])) {
            hit->places.at[kept++] = hit->places.at[i];
        }
    }
    bool all_there = kept == hit->places.count;
    hit->places.count = kept;
    for (uint32_t i = 0; i < far_root_count(&hit->record) && !all_there; i++) {
        bool found = false;
        for (uint32_t k = 0; k < kept && !found; k++) {
            found = ref_eq(&hit->places.at[k].root, far_root(&hit->record, i));
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool is_in_time(const struct manifest *m, const struct record *r, int64_t not_before_ms)
{
    return not_before_ms == INT64_MIN
           || (r->success_ms >= not_before_ms
               && r->success_ms <= m->world.now_ms(m->world.context) + FUTURE_MS);
}

/* The view may let go of a segment while a hit is on its way. */
static void keep_block(struct far *f, struct segment_block *b, struct far_hit *hit)
{
    if (hit->block.n && !b->kept.n) {
        b->kept = str_copy(&f->arena, b->bytes);
    }
    hit->block = hit->block.n ? b->kept : hit->block;
    hit->key = NULL;
    hit->taken = true;
}

uint32_t far_lookup(struct far *f, struct arena *a, const struct digest *fingerprint,
                    int64_t not_before_ms, struct far_hit **out, struct diags *notes)
{
    *out = NULL;
    if (far_place_is_down(f->place) || !far_view_open(&f->view, f->place, notes)
        || !far_view_sync(&f->view, MANIFEST_VIEW_MS, notes)) {
        return 0;
    }
    struct view_found *rows;
    const struct manifest *m = &f->view.manifest;
    uint32_t row_count = trust_find(&f->trust, NULL, &m->view, fingerprint, a, &rows);
    row_count = row_count < HITS_LIMIT ? row_count : HITS_LIMIT;
    struct far_hit *hits = ARENA_ARRAY(a, struct far_hit, row_count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < row_count; i++) {
        if (far_read_hit(&m->view, a, &rows[i], &hits[count])
            && still_stands(f->place, &hits[count])
            && is_in_time(m, &hits[count].record, not_before_ms)) {
            keep_block(f, rows[i].block, &hits[count++]);
        }
    }
    *out = hits;
    return count;
}

void far_look(struct far *f, struct diags *notes)
{
    if (!far_place_is_down(f->place) && far_view_open(&f->view, f->place, notes)) {
        (void)!far_view_sync(&f->view, -1, notes);
    }
}

int64_t far_expect_ms(struct far *f, struct str output)
{
    const struct far_options *o = far_place_options(f->place);
    return f->view.open ? older_duration_ms(&f->view.manifest.view, output, o->hint) : 0;
}

/* ---- all of them ---- */

struct dated_row {
    struct view_found found;
    int64_t success_ms;
};

static int compare_dated(const void *x, const void *y)
{
    const struct dated_row *a = x;
    const struct dated_row *b = y;
    if (a->success_ms != b->success_ms) {
        return a->success_ms > b->success_ms ? -1 : 1;
    }
    return str_cmp(a->found.row, b->found.row);
}

/* Of equal rows, all from *i on, the one that counts most; *i is left behind them. */
static const struct view_found *best_of(struct far *f, const struct dated_row *rows, uint32_t count,
                                        uint32_t *i, bool *taken)
{
    int most = -1;
    const struct view_found *best = &rows[*i].found;
    struct str row = best->row;
    for (; *i < count && str_eq(rows[*i].found.row, row); (*i)++) {
        const struct view_found *x = &rows[*i].found;
        int worth = 2 * trust_takes(&f->trust, NULL, x->block) + segment_block_is_signed(x->block);
        if (worth > most) {
            best = x;
            most = worth;
        }
    }
    *taken = most >= 2;
    return best;
}

bool far_each(struct far *f, bool (*each)(void *context, const struct far_hit *h), void *context,
              struct diags *notes)
{
    if (!far_view_open(&f->view, f->place, notes) || !far_view_sync(&f->view, 0, notes)) {
        return false;
    }
    const struct view *v = &f->view.manifest.view;
    struct arena a = {0};
    struct dated_row *rows = ARENA_ARRAY(&a, struct dated_row, v->rows.n + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < v->rows.n; i++) {
        const uint8_t *fingerprint;
        rows[count].found = view_row_number(v, i);
        count += segment_row_peek(rows[count].found.row, &fingerprint, &rows[count].success_ms);
    }
    qsort(rows, count, sizeof *rows, compare_dated);
    bool more = true;
    for (uint32_t i = 0; i < count && more;) {
        struct arena_mark mark = arena_mark(&a);
        struct far_hit hit;
        bool taken;
        const struct view_found *best = best_of(f, rows, count, &i, &taken);
        if (far_read_hit(v, &a, best, &hit)) {
            hit.taken = taken;
            more = each(context, &hit);
        }
        arena_reset(&a, mark);
    }
    arena_free(&a);
    return true;
}

/* ---- rows for a segment ---- */

struct wanted_rows {
    const struct far_row *rows; /* of one block, sorted */
    uint32_t count;
};

static bool is_wanted(void *context, struct str row)
{
    const struct wanted_rows *w = context;
    uint32_t low = 0;
    uint32_t high = w->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int c = str_cmp(w->rows[middle].row, row);
        if (c == 0) {
            return true;
        }
        low = c < 0 ? middle + 1 : low;
        high = c < 0 ? high : middle;
    }
    return false;
}

static int compare_blocks(const struct far_row *a, const struct far_row *b)
{
    bool same = a->block.s == b->block.s && a->block.n == b->block.n;
    int c = same ? 0 : str_cmp(a->block, b->block);
    c = c ? c : str_cmp(a->writer, b->writer);
    c = c ? c : (a->made_ms > b->made_ms) - (a->made_ms < b->made_ms);
    return c ? c : a->own - b->own;
}

/* Rows of one block stand together. */
static int compare_rows(const void *x, const void *y)
{
    const struct far_row *a = x;
    const struct far_row *b = y;
    int c = compare_blocks(a, b);
    return c ? c : str_cmp(a->row, b->row);
}

static void put_unsigned(struct segment_draft *d, const struct far_row *rows, uint32_t count,
                         struct trust_self *self)
{
    struct buf block;
    struct str *texts = mem_alloc(count * sizeof *texts);
    for (uint32_t i = 0; i < count; i++) {
        texts[i] = rows[i].row;
    }
    buf_init(&block, SEGMENT_RAW_LIMIT);
    segment_block_put(&block, rows->writer, rows->made_ms, texts, count);
    if (rows->own && self) {
        trust_put_block(self, d, &block, false);
    } else {
        segment_draft_add_block(d, buf_str(&block));
    }
    buf_free(&block);
    mem_free(texts);
}

static void put_signed(struct segment_draft *d, const struct far_row *rows, uint32_t count)
{
    struct buf block;
    struct wanted_rows wanted = {rows, count};
    buf_init(&block, SEGMENT_RAW_LIMIT);
    if (segment_block_reduce(&block, rows->block, is_wanted, &wanted) > 0) {
        segment_draft_add_block(d, buf_str(&block));
    }
    buf_free(&block);
}

void far_put_rows(struct segment_draft *d, const struct far_row *rows, uint32_t count,
                  struct trust_self *self)
{
    struct far_row *sorted = mem_alloc((count + 1) * sizeof *sorted);
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = rows[i];
    }
    qsort(sorted, count, sizeof *sorted, compare_rows);
    for (uint32_t first = 0; first < count;) {
        uint32_t end = first + 1;
        while (end < count && compare_blocks(&sorted[first], &sorted[end]) == 0) {
            end++;
        }
        if (sorted[first].block.n) {
            put_signed(d, sorted + first, end - first);
        } else {
            put_unsigned(d, sorted + first, end - first, self);
        }
        first = end;
    }
    mem_free(sorted);
}
