/* SPDX-License-Identifier: MIT */
/* Mark, sweep, condemn, in that order; the mark needs the segments alone. A root's bytes are copied out of a
 * condemned pack, and the copy published, before the pack is dropped. */
#include "cache/gc.h"

#include "cache/compact.h"
#include "cache/move.h"
#include "cache/needed.h"
#include "cache/stock.h"

#include <stdlib.h>
#include <string.h>

#define BAD_IGNORED_MS (7 * MANIFEST_DAY_MS)
#define STALE_MS MANIFEST_DAY_MS /* leases and unfinished files */
enum {
    SMALL_PACK = 4 << 20,
    SMALL_MANY = 8,         /* so many small packs are worth one */
    MOVE_LIMIT = 1 << 30,   /* bytes rewritten in one run, sweeping aside */
    DRAFT_LIMIT = 12 << 20, /* raw bytes of one segment of places */
};

struct gc_root {
    struct pack_place place; /* run_count 0 and !known: no complete place is left */
    bool known, sound;
};

struct gc_part { /* of a pack that is needed */
    uint32_t pack;
    uint64_t offset, length;
};

struct gc_pack {
    int64_t condemned_ms; /* 0: not */
    uint64_t live;
    bool leave; /* is to be condemned in this run */
    bool stays; /* something needed in it could not be copied: not dropped this time */
};

struct gc {
    struct manifest *m;
    const struct cache_gc_options *o;
    struct cache_gc_report *report;
    struct arena arena, scratch;
    struct stock stock;
    struct needed needed;
    struct gc_root *roots; /* by number in needed */
    struct gc_pack *packs; /* by number in stock */
    int64_t began_ms;      /* t0, the depot's time */
    int64_t seen_boot_ns;  /* when the view was read that the mark is made from */
    int64_t grace_ms, young_ms;
};

/* ---- mark ---- */

/* Nobody may collect who cannot read what others need. */
static bool may_collect(const struct gc *g, struct diags *notes)
{
    if (!g->o->now && g->grace_ms < MANIFEST_GRACE_LEAST_MS) {
        diag_warning(notes, "cache-gc", SPAN_NONE,
                     "the cache's 'format' asks for less than 2 hours of grace; not collected");
        return false;
    }
    for (uint32_t i = 0; i < g->m->view.count; i++) {
        const struct view_segment *s = g->m->view.segments[i];
        if (s->state == SEGMENT_UNKNOWN) {
            diag_warning(notes, "cache-gc", SPAN_NONE,
                         "'%s' in the cache is of a newer program, which must collect it", s->name);
            return false;
        }
        if (s->state == SEGMENT_BAD && g->began_ms - s->stored_ms < BAD_IGNORED_MS && !g->o->now) {
            struct diag *note =
                diag_warning(notes, "cache-gc", SPAN_NONE,
                             "'%s' in the cache is damaged; not collected yet", s->name);
            diag_help(notes, note, "it is ignored after 7 days, or with --now");
            return false;
        }
    }
    return true;
}

static uint64_t place_bytes(const struct pack_place *p)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->run_count; i++) {
        n += p->runs[i].length;
    }
    return n;
}

static void take_place(struct gc *g, uint32_t number, const struct pack_place *p, bool sound)
{
    struct gc_root *chosen = &g->roots[number];
    struct pack_run *runs = ARENA_ARRAY(&g->arena, struct pack_run, p->run_count + 1);
    if (p->run_count > 0) {
        memcpy(runs, p->runs, p->run_count * sizeof *runs);
    }
    chosen->place = (struct pack_place){p->root, runs, p->run_count};
    chosen->known = true;
    chosen->sound = sound;
    g->needed.roots.at[number].bytes = place_bytes(p);
}

/* The place that counts: a sound one, else a complete one. Of sound ones that in the youngest packs: what was copied
 * out of a pack that had to stay is not copied again. Of the others nothing is kept: there may be many. */
static void choose_place(struct gc *g, uint32_t number)
{
    struct pack_place *places;
    const struct pack_place *best = NULL;
    int64_t best_ms = 0;
    bool best_is_sound = false;
    struct arena_mark mark = arena_mark(&g->scratch);
    uint32_t count = view_find_places(&g->m->view, &g->needed.roots.at[number].root,
                                      VIEW_PLACES_ALL, &g->scratch, &places);
    for (uint32_t i = 0; i < count; i++) {
        int64_t ms;
        bool sound = !view_place_is_condemned(&g->m->view, &places[i]);
        if (best && !sound) {
            break; /* sound ones come first */
        }
        if (stock_find_place(&g->stock, &places[i], &ms) && (!best || ms > best_ms)) {
            best = &places[i];
            best_ms = ms;
            best_is_sound = sound;
        }
    }
    if (best) {
        take_place(g, number, best, best_is_sound);
    }
    arena_reset(&g->scratch, mark);
}

static bool is_needed(const struct gc *g, uint32_t root)
{
    return g->needed.roots.at[root].records > 0;
}

static void note_condemned(struct gc *g)
{
    for (uint32_t i = 0; i < g->stock.packs.n; i++) {
        const struct view_pack *p = view_find_pack(&g->m->view, &g->stock.packs.at[i].id);
        g->packs[i].condemned_ms = p ? p->condemned_ms : 0;
    }
}

static bool mark(struct gc *g, struct diags *notes)
{
    if (!manifest_sync(g->m, true, notes)) {
        return false;
    }
    g->began_ms = g->m->list_began_ms;
    g->seen_boot_ns = g->m->list_boot_ns;
    if (!may_collect(g, notes) || !stock_read(&g->stock, g->m, notes)) {
        return false;
    }
    int64_t keep_ms = g->o->keep_ms ? g->o->keep_ms : g->m->keep_ms;
    needed_init(&g->needed, &g->m->view, g->began_ms, keep_ms);
    g->roots = ARENA_ARRAY(&g->arena, struct gc_root, g->needed.roots.n + 1);
    g->packs = ARENA_ARRAY(&g->arena, struct gc_pack, g->stock.packs.n + 1);
    note_condemned(g);
    for (uint32_t i = 0; i < g->needed.roots.n; i++) {
        choose_place(g, i);
    }
    if (g->o->max_bytes) {
        needed_bound(&g->needed, g->o->max_bytes);
    }
    g->report->records_before = g->needed.records.n;
    g->report->records_after = g->needed.kept;
    g->report->packs = g->stock.packs.n;
    g->report->bytes_before = g->report->bytes_after = g->stock.bytes;
    return true;
}

/* ---- sweep ---- */

static bool drop_pack(struct gc *g, uint32_t number, struct diags *notes)
{
    const struct stock_pack *p = &g->stock.packs.at[number];
    enum depot_answer answer = DEPOT_DONE;
    if (!g->o->dry_run) {
        char key[PACK_KEY];
        struct depot_reply reply;
        answer = depot_drop(g->m->depot, pack_key(&p->id, p->plain, key), &reply);
    }
    if (answer != DEPOT_DONE && answer != DEPOT_ABSENT) {
        diag_warning(notes, "cache-gc", SPAN_NONE, "a pack of the cache cannot be removed");
        return false;
    }
    g->report->dropped++;
    g->report->bytes_freed += p->size;
    g->report->bytes_after -= p->size < g->report->bytes_after ? p->size : g->report->bytes_after;
    return true;
}

static bool is_due(const struct gc *g, uint32_t pack)
{
    int64_t condemned_ms = g->packs[pack].condemned_ms;
    return condemned_ms && (g->o->now || condemned_ms < g->began_ms - g->grace_ms);
}

static bool any_is_due(const struct gc *g)
{
    for (uint32_t i = 0; i < g->stock.packs.n; i++) {
        if (is_due(g, i)) {
            return true;
        }
    }
    return false;
}

static bool publish(struct gc *g, const struct segment_draft *draft, struct diags *notes)
{
    if (segment_draft_is_empty(draft)) {
        return true;
    }
    enum manifest_answer answer = manifest_publish(g->m, draft, notes);
    if (answer == MANIFEST_DOOMED) {
        diag_warning(notes, "cache-gc", SPAN_NONE,
                     "somebody else collects the cache at the same time; stopped");
    }
    return answer == MANIFEST_DONE;
}

static bool touches_left(const struct mover *mover, const struct pack_place *p)
{
    for (uint32_t i = 0; i < p->run_count; i++) {
        if (mover_leaves(mover, &p->runs[i])) {
            return true;
        }
    }
    return false;
}

/* New places, after the move, of all needed roots that have something in packs that are left. What is left
 * behind damaged is lost anyway. */
static bool add_moved(struct gc *g, const struct mover *mover, struct segment_draft *draft,
                      struct diags *notes)
{
    for (uint32_t i = 0; i < g->needed.roots.n; i++) {
        struct gc_root *root = &g->roots[i];
        struct pack_place moved;
        if (!is_needed(g, i) || !root->known || !touches_left(mover, &root->place)
            || !mover_place(mover, &root->place, &g->arena, &moved)) {
            continue;
        }
        root->place = moved;
        root->sound = true;
        segment_draft_add_place(draft, &moved);
        if (segment_draft_size(draft) > DRAFT_LIMIT) {
            if (!publish(g, draft, notes)) {
                return false;
            }
            segment_draft_free(draft);
            segment_draft_init(draft);
        }
    }
    return true;
}

static uint64_t written_bytes(const struct mover *mover)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < mover->writer.put_count; i++) {
        n += mover->writer.puts[i].bytes;
    }
    return n;
}

/* Whatever lies in a condemned pack and in no sound place. */
static void leave_condemned(struct gc *g, struct mover *mover)
{
    for (uint32_t i = 0; i < g->needed.roots.n; i++) {
        const struct gc_root *root = &g->roots[i];
        if (!is_needed(g, i) || !root->known || root->sound) {
            continue;
        }
        for (uint32_t k = 0; k < root->place.run_count; k++) {
            const struct pack_run *run = &root->place.runs[k];
            uint32_t pack = stock_find(&g->stock, &run->pack, run->count == 0);
            if (pack != TABLE_NONE && g->packs[pack].condemned_ms) {
                mover_leave(mover, &run->pack, run->count == 0, g->stock.packs.at[pack].size);
                mover_need(mover, run);
            }
        }
    }
}

static bool rescue(struct gc *g, struct diags *notes)
{
    struct mover mover;
    struct segment_draft draft;
    mover_init(&mover, g->m);
    segment_draft_init(&draft);
    leave_condemned(g, &mover);
    bool ok = mover.packs.n == 0 || g->o->dry_run
              || (mover_run(&mover, notes) && add_moved(g, &mover, &draft, notes)
                  && publish(g, &draft, notes));
    g->report->bytes_after += written_bytes(&mover);
    segment_draft_free(&draft);
    mover_free(&mover);
    return ok;
}

/* Damaged, or out of reach for now: dropping it must wait until nobody needs it. */
static void keep_what_could_not_be_copied(struct gc *g)
{
    for (uint32_t i = 0; i < g->needed.roots.n; i++) {
        const struct gc_root *root = &g->roots[i];
        for (uint32_t k = 0; k < root->place.run_count && is_needed(g, i) && !root->sound; k++) {
            const struct pack_run *run = &root->place.runs[k];
            uint32_t pack = stock_find(&g->stock, &run->pack, run->count == 0);
            if (pack != TABLE_NONE) {
                g->packs[pack].stays = true;
            }
        }
    }
}

static bool sweep(struct gc *g, struct diags *notes)
{
    if (!any_is_due(g)) {
        return true;
    }
    if (!rescue(g, notes)) {
        return false;
    }
    if (!g->o->dry_run) {
        keep_what_could_not_be_copied(g);
    }
    for (uint32_t i = 0; i < g->stock.packs.n; i++) {
        if (is_due(g, i) && !g->packs[i].stays && !drop_pack(g, i, notes)) {
            return false;
        }
    }
    return true;
}

/* ---- condemn ---- */

static int compare_parts(const void *x, const void *y)
{
    const struct gc_part *a = x;
    const struct gc_part *b = y;
    if (a->pack != b->pack) {
        return a->pack < b->pack ? -1 : 1;
    }
    return a->offset != b->offset ? (a->offset < b->offset ? -1 : 1) : 0;
}

/* Bytes of each pack that a chosen sound place of a needed root covers, each byte once. */
static void count_live(struct gc *g)
{
    struct arena scratch = {0};
    VEC(struct gc_part) parts = {0};
    for (uint32_t i = 0; i < g->needed.roots.n; i++) {
        const struct gc_root *root = &g->roots[i];
        for (uint32_t k = 0; k < root->place.run_count && is_needed(g, i) && root->sound; k++) {
            const struct pack_run *run = &root->place.runs[k];
            uint32_t pack = stock_find(&g->stock, &run->pack, run->count == 0);
            if (pack != TABLE_NONE) {
                *VEC_PUSH(&scratch, &parts) = (struct gc_part){pack, run->offset, run->length};
            }
        }
    }
    if (parts.n > 1) {
        qsort(parts.at, parts.n, sizeof *parts.at, compare_parts);
    }
    uint64_t end = 0;
    for (uint32_t i = 0; i < parts.n; i++) {
        const struct gc_part *p = &parts.at[i];
        uint64_t from =
            i > 0 && parts.at[i - 1].pack == p->pack && end > p->offset ? end : p->offset;
        uint64_t to = p->offset + p->length;
        g->packs[p->pack].live += to > from ? to - from : 0;
        end = to > from ? to : from;
    }
    arena_free(&scratch);
}

static bool may_condemn(const struct gc *g, uint32_t i)
{
    return !g->packs[i].condemned_ms
           && (g->o->now || g->stock.packs.at[i].stored_ms < g->began_ms - g->young_ms);
}

static bool is_small(const struct gc *g, uint32_t i)
{
    const struct stock_pack *p = &g->stock.packs.at[i];
    return !p->plain && p->size < SMALL_PACK && g->packs[i].live > 0 && may_condemn(g, i);
}

static bool is_thin(const struct gc *g, uint32_t i)
{
    const struct stock_pack *p = &g->stock.packs.at[i];
    return !p->plain && 2 * g->packs[i].live < p->size && may_condemn(g, i);
}

/* Which packs are to go: dead, thin, or many and small. */
static void choose_packs(struct gc *g)
{
    uint32_t small = 0;
    uint64_t moved = 0;
    for (uint32_t i = 0; i < g->stock.packs.n; i++) {
        small += is_small(g, i);
    }
    for (uint32_t i = 0; i < g->stock.packs.n; i++) {
        uint64_t live = g->packs[i].live;
        bool dead = live == 0 && may_condemn(g, i);
        bool worth = is_thin(g, i) || (small >= SMALL_MANY && is_small(g, i));
        if (dead || (worth && moved + live <= MOVE_LIMIT)) {
            g->packs[i].leave = true;
            moved += live;
        }
    }
}

static void leave_chosen(struct gc *g, struct mover *mover)
{
    for (uint32_t i = 0; i < g->stock.packs.n; i++) {
        const struct stock_pack *p = &g->stock.packs.at[i];
        if (g->packs[i].leave && g->packs[i].live > 0) {
            mover_leave(mover, &p->id, p->plain, p->size);
        }
    }
    for (uint32_t i = 0; i < g->needed.roots.n; i++) {
        const struct gc_root *root = &g->roots[i];
        for (uint32_t k = 0; k < root->place.run_count && is_needed(g, i) && root->sound; k++) {
            mover_need(mover, &root->place.runs[k]);
        }
    }
}

/* A pack of which something needed could not be copied stays. */
static void keep_what_stayed(struct gc *g, const struct mover *mover)
{
    for (uint32_t i = 0; i < g->needed.roots.n; i++) {
        const struct gc_root *root = &g->roots[i];
        for (uint32_t k = 0; k < root->place.run_count && is_needed(g, i); k++) {
            const struct pack_run *run = &root->place.runs[k];
            uint32_t pack = stock_find(&g->stock, &run->pack, run->count == 0);
            if (pack != TABLE_NONE && mover_leaves(mover, run)) {
                g->packs[pack].leave = false;
            }
        }
    }
}

static void add_condemned(struct gc *g, struct segment_draft *draft)
{
    for (uint32_t i = 0; i < g->stock.packs.n; i++) {
        if (g->packs[i].leave) {
            struct segment_condemned c = {g->stock.packs.at[i].id, 0};
            segment_draft_add_condemned(draft, &c);
            g->report->condemned++;
            g->report->bytes_condemned += g->stock.packs.at[i].size;
        }
    }
}

static bool move_and_publish(struct gc *g, struct mover *mover, struct diags *notes)
{
    struct segment_draft draft;
    segment_draft_init(&draft);
    bool ok = mover->packs.n == 0 || g->o->dry_run
              || (mover_run(mover, notes) && add_moved(g, mover, &draft, notes));
    if (ok) {
        if (!g->o->dry_run) {
            keep_what_stayed(g, mover);
        }
        add_condemned(g, &draft);
        ok = g->o->dry_run || publish(g, &draft, notes);
    }
    g->report->bytes_after += written_bytes(mover);
    segment_draft_free(&draft);
    return ok;
}

static bool condemn(struct gc *g, struct diags *notes)
{
    count_live(g);
    choose_packs(g);
    struct mover mover;
    mover_init(&mover, g->m);
    leave_chosen(g, &mover);
    bool ok = move_and_publish(g, &mover, notes);
    mover_free(&mover);
    for (uint32_t i = 0; i < g->stock.packs.n && ok && g->o->now; i++) {
        ok = !g->packs[i].leave || drop_pack(g, i, notes);
    }
    return ok;
}

/* ---- the rest ---- */

struct stale {
    struct arena arena;
    VEC(struct str) keys;
    int64_t before_ms;
};

static bool note_stale(void *context, const struct depot_entry *e)
{
    struct stale *s = context;
    if (e->stored_ms < s->before_ms) {
        *VEC_PUSH(&s->arena, &s->keys) = str_copy(&s->arena, e->key);
    }
    return true;
}

static void drop_stale(struct gc *g, struct str prefix)
{
    struct stale s = {.before_ms = g->began_ms - STALE_MS};
    struct depot_each each = {note_stale, &s};
    struct depot_reply reply;
    if (depot_list(g->m->depot, prefix, STR(""), each, &reply) == DEPOT_DONE) {
        for (uint32_t i = 0; i < s.keys.n; i++) {
            depot_drop(g->m->depot, s.keys.at[i], &reply);
        }
    }
    arena_free(&s.arena);
}

bool gc_run(struct manifest *m, const struct cache_gc_options *o, struct cache_gc_report *out,
            struct diags *notes)
{
    memset(out, 0, sizeof *out);
    struct gc g = {.m = m, .o = o, .report = out};
    g.grace_ms = m->grace_ms;
    g.young_ms = MANIFEST_YOUNG_MS;
    bool ok = mark(&g, notes) && sweep(&g, notes) && condemn(&g, notes);
    if (ok && !o->dry_run) {
        drop_stale(&g, STR("l/"));
        if (m->folder) {
            drop_stale(&g, STR("tmp/"));
        }
    }
    if (ok && !o->dry_run && m->list_boot_ns == g.seen_boot_ns) {
        ok = compact_run(m, &g.needed, &g.stock, o->now ? COMPACT_NOW : COMPACT_ALL, notes);
    }
    needed_free(&g.needed);
    stock_free(&g.stock);
    arena_free(&g.scratch);
    arena_free(&g.arena);
    return ok;
}
