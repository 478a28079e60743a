/* SPDX-License-Identifier: MIT */
/* Looking after the folder: collect, check, list, merge. Reads all that lies there, so none of it belongs into a
 * build but what its end does by chance. */
#include "cache/compact.h"
#include "cache/fetch.h"
#include "cache/gc.h"
#include "cache/inside.h"

#include <stdlib.h>
#include <string.h>

/* ---- gc ---- */

/* What was looked for before may be gone. */
static void forget_standing(struct cache *c)
{
    table_init(&c->standing, &c->arena);
    c->stands.n = 0;
}

bool cache_gc(struct cache *c, const struct cache_gc_options *o, struct cache_gc_report *out,
              struct diags *notes)
{
    memset(out, 0, sizeof *out);
    if (!c->depot) {
        return true; /* nothing is there */
    }
    bool flushed = cache_flush(c, true, notes);
    manifest_widen(&c->manifest);
    if (!flushed || !cache_look(c, notes)
        || !manifest_read_format(&c->manifest, !c->options.read_only, notes)) {
        return false;
    }
    bool ok = gc_run(&c->manifest, o, out, notes);
    cache_forget_condemned(c);
    forget_standing(c);
    return ok;
}

/* ---- compact ---- */

bool cache_compact(struct cache *c, bool force, struct diags *notes)
{
    if (!c->depot || c->options.read_only || c->stuck || (!force && !c->loaded)) {
        return true;
    }
    struct manifest *m = &c->manifest;
    if (!force && !compact_is_due(m)) {
        return true;
    }
    return cache_look(c, notes) && manifest_read_format(m, true, notes)
           && manifest_sync(m, true, notes)
           && compact_held(m, force ? COMPACT_ALL : COMPACT_SMALL_ONES, notes);
}

/* ---- list ---- */

struct listed {
    struct str row;
    int64_t success_ms;
};

static int compare_listed(const void *x, const void *y)
{
    const struct listed *a = x;
    const struct listed *b = y;
    if (a->success_ms != b->success_ms) {
        return a->success_ms > b->success_ms ? -1 : 1;
    }
    return str_cmp(a->row, b->row);
}

static uint64_t tree_bytes(struct cache *c, const struct ref *root, struct arena *a)
{
    struct pack_place *places;
    uint64_t bytes = 0;
    if (cache_find_places(c, root, a, &places) > 0) {
        for (uint32_t i = 0; i < places[0].run_count; i++) {
            bytes += places[0].runs[i].length;
        }
    }
    return bytes;
}

static void tell_entry(struct cache *c, struct str row, struct arena *a,
                       void (*each)(void *, const struct cache_entry *), void *context)
{
    struct record r;
    if (!record_read(a, row, &r)) {
        return;
    }
    struct cache_entry e = {.record = &r, .complete = cache_is_complete(c, &r)};
    for (uint32_t i = 0; i < r.output_count; i++) {
        const struct ref *ref = &r.outputs[i].ref;
        e.bytes += ref->kind == REF_TREE ? tree_bytes(c, ref, a) : ref->size;
    }
    each(context, &e);
}

bool cache_list(struct cache *c, void (*each)(void *context, const struct cache_entry *e),
                void *context, struct diags *notes)
{
    if (!c->depot) {
        return true;
    }
    if (!cache_look(c, notes)) {
        return false;
    }
    struct arena a = {0};
    struct needed needed;
    struct manifest *m = &c->manifest;
    needed_init(&needed, &m->view, manifest_now_ms(m), m->keep_ms);
    struct listed *rows = ARENA_ARRAY(&a, struct listed, needed.records.n + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < needed.records.n; i++) {
        const uint8_t *fingerprint;
        struct listed *l = &rows[count];
        l->row = needed.records.at[i].row;
        count +=
            needed.records.at[i].kept && segment_row_peek(l->row, &fingerprint, &l->success_ms);
    }
    qsort(rows, count, sizeof *rows, compare_listed);
    for (uint32_t i = 0; i < count; i++) {
        struct arena_mark mark = arena_mark(&a);
        if (i == 0 || !str_eq(rows[i - 1].row, rows[i].row)) { /* some stand under several names */
            tell_entry(c, rows[i].row, &a, each, context);
        }
        arena_reset(&a, mark);
    }
    needed_free(&needed);
    arena_free(&a);
    return true;
}

/* ---- check ---- */

struct check {
    struct cache *c;
    struct cache_check_report *report;
    struct diags *notes;
    struct stock stock;
    struct table bad; /* keys of packs with something damaged in them */
    struct arena arena;
};

static const struct sign_public *known_key(const struct cache *c, const uint8_t *id)
{
    for (uint32_t i = 0; i < c->trust.count; i++) {
        if (memcmp(c->trust.keys[i].id, id, SIGN_ID) == 0) {
            return &c->trust.keys[i];
        }
    }
    const struct sign_public *own = &c->self.key.public;
    return c->self.signs && memcmp(own->id, id, SIGN_ID) == 0 ? own : NULL;
}

static void check_signatures(struct check *k, const struct view_segment *s)
{
    uint64_t bad = k->report->bad_signatures;
    for (uint32_t i = 0; i < s->segment.blocks.n; i++) {
        const struct segment_block *b = &s->segment.blocks.at[i];
        if (!segment_block_is_signed(b)) {
            continue;
        }
        const struct sign_public *key = known_key(k->c, b->key);
        if (!key) {
            k->report->unknown_signatures++;
        } else if (segment_block_check(b->bytes, key)) {
            k->report->signatures++;
        } else {
            k->report->bad_signatures++;
        }
    }
    if (k->report->bad_signatures > bad) {
        diag_warning(k->notes, "cache-damaged", SPAN_NONE,
                     "'%s' holds results that are not signed by whom they name", s->name);
    }
}

static void check_segments(struct check *k)
{
    const struct view *v = &k->c->manifest.view;
    for (uint32_t i = 0; i < v->count; i++) {
        const struct view_segment *s = v->segments[i];
        k->report->segments++;
        check_signatures(k, s);
        if (s->state == SEGMENT_BAD) {
            k->report->bad_segments++;
            diag_warning(k->notes, "cache-damaged", SPAN_NONE, "'%s' is damaged", s->name);
        } else if (s->state == SEGMENT_UNKNOWN) {
            diag_warning(k->notes, "cache-unknown", SPAN_NONE,
                         "'%s' is of a newer program and was not checked", s->name);
        }
    }
}

static void note_bad(struct check *k, struct str key)
{
    bool is_new;
    table_add(&k->bad, key, &is_new);
    if (is_new) {
        k->report->bad_packs++;
        struct diag *note =
            diag_warning(k->notes, "cache-damaged", SPAN_NONE, "'%.*s' is damaged", STR_ARG(key));
        diag_help(k->notes, note, "remove the file: what lay in it will be made again");
    }
}

static void check_packs(struct check *k)
{
    for (uint32_t i = 0; i < k->stock.packs.n; i++) {
        const struct stock_pack *p = &k->stock.packs.at[i];
        struct pack_checked checked = {0};
        k->report->packs++;
        if (p->plain) {
            k->report->objects++;
            continue; /* with the results that need it */
        }
        enum pack_answer answer = pack_check(k->c->depot, &p->id, &checked);
        k->report->objects += checked.objects;
        k->report->bad_objects += checked.bad_objects;
        if (answer == PACK_BAD || checked.bad_objects > 0) {
            note_bad(k, k->stock.keys.keys[i]);
        }
    }
}

/* A place in sound packs needs no second look, except at its plain files. */
static bool is_good_place(struct check *k, const struct pack_place *p)
{
    const struct fetch fetch = {k->c->depot, k->c->folder, k->c->frames, false, NULL};
    char key[PACK_KEY];
    bool look = false;
    for (uint32_t i = 0; i < p->run_count; i++) {
        bool plain = p->runs[i].count == 0;
        look |= plain || table_find(&k->bad, pack_key(&p->runs[i].pack, plain, key)) != TABLE_NONE;
    }
    if (!look) {
        return true;
    }
    enum fetch_answer answer = fetch_check(&fetch, p);
    for (uint32_t i = 0; i < p->run_count && answer == FETCH_BAD; i++) {
        if (p->run_count == 1 && p->runs[i].count == 0) {
            k->report->bad_objects++;
            note_bad(k, pack_key(&p->runs[i].pack, true, key));
        }
    }
    return answer == FETCH_DONE;
}

static bool root_is_here(struct check *k, const struct ref *root, struct arena *a)
{
    struct pack_place *places;
    uint32_t count = cache_find_places(k->c, root, a, &places);
    bool good = false;
    for (uint32_t i = 0; i < count; i++) {
        good = is_good_place(k, &places[i]) || good;
    }
    return good;
}

static void check_records(struct check *k)
{
    const struct view *v = &k->c->manifest.view;
    for (uint32_t i = 0; i < v->rows.n; i++) {
        struct arena a = {0};
        struct record r;
        k->report->records++;
        bool whole = record_read(&a, v->rows.at[i].row, &r);
        for (uint32_t n = 0; whole && n < r.output_count; n++) {
            whole = root_is_here(k, &r.outputs[n].ref, &a);
        }
        whole = whole && (r.log.kind == REF_NONE || root_is_here(k, &r.log, &a));
        k->report->records_without_bytes += !whole;
        arena_free(&a);
    }
}

bool cache_check(struct cache *c, struct cache_check_report *out, struct diags *notes)
{
    memset(out, 0, sizeof *out);
    if (!c->depot) {
        return true;
    }
    c->manifest.told_bad = true; /* each is told here */
    return cache_look(c, notes) && manifest_sync(&c->manifest, true, notes)
           && cache_check_held(c, out, notes);
}

/* What the listing has stands. */
static void note_standing(struct cache *c, const struct stock *stock)
{
    forget_standing(c);
    for (uint32_t i = 0; i < stock->keys.count; i++) {
        table_add(&c->standing, stock->keys.keys[i], NULL);
        *VEC_PUSH(&c->arena, &c->stands) = true;
    }
}

bool cache_check_held(struct cache *c, struct cache_check_report *out, struct diags *notes)
{
    struct check k = {.c = c, .report = out, .notes = notes};
    memset(out, 0, sizeof *out);
    if (!stock_read(&k.stock, &c->manifest, notes)) {
        return false;
    }
    note_standing(c, &k.stock);
    table_init(&k.bad, &k.arena);
    check_segments(&k);
    check_packs(&k);
    check_records(&k);
    stock_free(&k.stock);
    arena_free(&k.arena);
    return out->bad_segments == 0 && out->bad_packs == 0 && out->bad_objects == 0
           && out->bad_signatures == 0;
}
