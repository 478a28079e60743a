/* SPDX-License-Identifier: MIT */
/* Compaction, as docs/formats.md, "Condemned", argues it: an heir keeps the places that any kept record of the
 * whole view needs, and forgets a condemnation only when nothing can name its pack any more. */
#include "cache/compact.h"

#include <stdlib.h>
#include <string.h>

#define OLD_MS (10 * VIEW_MINUTE_MS)
#define DAY_MS MANIFEST_DAY_MS

enum {
    ROUND_RAW = 48 << 20,   /* raw bytes of the inputs of one heir */
    ROUND_STORED = 8 << 20, /* and stored ones */
    ROUNDS_LIMIT = 64,
    LARGE = 4 << 20, /* is rewritten only for what can be dropped of it */
};

struct round {
    struct manifest *m;
    const struct needed *needed;
    const struct stock *stock;
    struct segment_draft draft;
    struct arena arena;
    struct view_segment **inputs; /* sorted by name */
    uint32_t count;
    bool keep_places; /* somebody's records cannot be read: what they need is not known */
    struct table blocks;
    struct table packs; /* condemned … */
    VEC(int64_t) since; /* … since when, by number; 0: mistimed, begins anew */
    struct table prefixes;
    VEC(uint32_t) days;
};

static bool is_old(const struct manifest *m, const struct view_segment *s, int64_t least_ms)
{
    int64_t now = manifest_now_ms(m);
    return s->state == SEGMENT_GOOD && now - s->stored_ms > least_ms && s->named_ms < now;
}

uint32_t compact_count(const struct manifest *m)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->view.count; i++) {
        const struct view_segment *s = m->view.segments[i];
        count += is_old(m, s, OLD_MS) && s->size < COMPACT_SMALL;
    }
    return count;
}

/* ---- what an heir holds ---- */

static bool keep_row(void *context, struct str row)
{
    const struct round *r = context;
    return needed_keeps_row(r->needed, row);
}

static bool is_new_block(struct round *r, struct str block, const uint8_t *mark)
{
    struct digester d;
    bool is_new;
    digester_begin(&d);
    digester_add(&d, block.s, block.n);
    if (mark) {
        digester_add(&d, mark, BLOCK_MARK);
    }
    struct digest digest = digester_end(&d);
    table_add(&r->blocks, (struct str){(const char *)digest.b, sizeof digest.b}, &is_new);
    return is_new;
}

static void add_blocks(struct round *r, const struct segment *s)
{
    for (uint32_t i = 0; i < s->blocks.n; i++) {
        struct buf block;
        buf_init(&block, SEGMENT_RAW_LIMIT);
        bool is_new = false;
        const uint8_t *mark = s->blocks.at[i].mark;
        if (segment_block_reduce(&block, s->blocks.at[i].bytes, keep_row, r) > 0 && !block.full) {
            is_new = is_new_block(r, buf_str(&block), mark);
        }
        if (is_new) {
            segment_draft_add_block(&r->draft, buf_str(&block));
        }
        if (is_new && mark) {
            segment_draft_mark(&r->draft, mark);
        }
        buf_free(&block);
    }
}

/* Condemned for longer than the grace, and gone. */
static bool is_past(const struct round *r, const struct pack_place *p)
{
    int64_t now = manifest_now_ms(r->m);
    for (uint32_t i = 0; i < p->run_count; i++) {
        const struct pack_run *run = &p->runs[i];
        const struct view_pack *pack = view_find_pack(&r->m->view, &run->pack);
        if (pack && pack->condemned_ms && now - pack->condemned_ms > r->m->grace_ms
            && stock_find(r->stock, &run->pack, run->count == 0) == TABLE_NONE) {
            return true;
        }
    }
    return false;
}

static void add_places(struct round *r, const struct segment *s)
{
    for (uint32_t i = 0; i < s->places.n; i++) {
        const struct segment_place *p = &s->places.at[i];
        if (!r->keep_places && needed_find(r->needed, &p->root) == TABLE_NONE) {
            continue;
        }
        struct arena_mark mark = arena_mark(&r->arena);
        struct pack_place place;
        segment_place_read(s, p, &r->arena, &place);
        if (!is_past(r, &place)) {
            segment_draft_add_place(&r->draft, &place);
        }
        arena_reset(&r->arena, mark);
    }
}

static void gather_condemned(struct round *r, const struct view_segment *s)
{
    bool timely = view_segment_is_timely(s);
    for (uint32_t i = 0; i < s->segment.condemned.n; i++) {
        const struct segment_condemned *c = &s->segment.condemned.at[i];
        int64_t since = !timely ? 0 : c->since_ms ? c->since_ms : s->stored_ms;
        bool is_new;
        struct str key = {(const char *)c->pack.b, sizeof c->pack.b};
        uint32_t number = table_add(&r->packs, key, &is_new);
        if (is_new) {
            *VEC_PUSH(&r->arena, &r->since) = since;
        } else if (since && (!r->since.at[number] || since < r->since.at[number])) {
            r->since.at[number] = since;
        }
    }
}

/* A condemnation may be forgotten when no client can still hold a place in its pack without having it. */
static bool is_forgotten(const struct round *r, const struct pack_id *id, int64_t since)
{
    const struct view_pack *pack = view_find_pack(&r->m->view, id);
    return since && manifest_now_ms(r->m) - since > MANIFEST_MEMORY_MS
           && stock_find(r->stock, id, false) == TABLE_NONE
           && stock_find(r->stock, id, true) == TABLE_NONE && !(pack && pack->places);
}

static void add_condemned(struct round *r)
{
    for (uint32_t i = 0; i < r->packs.count; i++) {
        struct segment_condemned c = {.since_ms = r->since.at[i]};
        memcpy(c.pack.b, r->packs.keys[i].s, sizeof c.pack.b);
        if (!is_forgotten(r, &c.pack, c.since_ms)) {
            segment_draft_add_condemned(&r->draft, &c);
        }
    }
}

static void gather_uses(struct round *r, const struct segment *s)
{
    for (uint32_t i = 0; i < s->uses.n; i++) {
        const struct segment_use *u = &s->uses.at[i];
        bool is_new;
        struct str prefix = {(const char *)u->prefix, sizeof u->prefix};
        uint32_t number = table_add(&r->prefixes, prefix, &is_new);
        if (is_new) {
            *VEC_PUSH(&r->arena, &r->days) = u->day;
        } else if (u->day > r->days.at[number]) {
            r->days.at[number] = u->day;
        }
    }
}

static void add_uses(struct round *r)
{
    int64_t now = manifest_now_ms(r->m);
    for (uint32_t i = 0; i < r->prefixes.count; i++) {
        struct segment_use u = {.day = r->days.at[i]};
        memcpy(u.prefix, r->prefixes.keys[i].s, sizeof u.prefix);
        if (now - u.day * DAY_MS <= r->m->keep_ms) {
            segment_draft_add_use(&r->draft, &u);
        }
    }
}

static void fill(struct round *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        add_blocks(r, &r->inputs[i]->segment);
        gather_condemned(r, r->inputs[i]);
        gather_uses(r, &r->inputs[i]->segment);
    }
    for (uint32_t i = 0; i < r->count; i++) {
        add_places(r, &r->inputs[i]->segment);
    }
    add_condemned(r);
    add_uses(r);
}

/* ---- which inputs ---- */

static size_t raw_size(const struct segment *s)
{
    size_t n = (size_t)s->pack_count * 16 + (size_t)s->condemned.n * 24 + (size_t)s->uses.n * 12;
    for (uint32_t i = 0; i < s->blocks.n; i++) {
        n += s->blocks.at[i].bytes.n;
    }
    for (uint32_t i = 0; i < s->places.n; i++) {
        n += s->places.at[i].runs.n + 48;
    }
    return n;
}

static uint32_t count_dropped(const struct needed *needed, const struct segment *s)
{
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < s->rows.n; i++) {
        dropped += !needed_keeps_row(needed, s->rows.at[i].row);
    }
    return dropped;
}

static bool is_worth_it(const struct round *r, const struct view_segment *s, enum compact_how how)
{
    if (!is_old(r->m, s, how == COMPACT_NOW ? -1 : OLD_MS)) {
        return false;
    }
    if (s->size < COMPACT_SMALL || (how != COMPACT_SMALL_ONES && s->size < LARGE)) {
        return true;
    }
    return how != COMPACT_SMALL_ONES
           && 4 * count_dropped(r->needed, &s->segment) > s->segment.rows.n;
}

static int compare_names(const void *x, const void *y)
{
    const struct view_segment *const *a = x;
    const struct view_segment *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

/* Picks the inputs of one heir, oldest names first. */
static void pick(struct round *r, enum compact_how how)
{
    const struct view *v = &r->m->view;
    r->inputs = ARENA_ARRAY(&r->arena, struct view_segment *, v->count + 1);
    for (uint32_t i = 0; i < v->count; i++) {
        r->keep_places |= v->segments[i]->state != SEGMENT_GOOD;
        if (is_worth_it(r, v->segments[i], how)) {
            r->inputs[r->count++] = v->segments[i];
        }
    }
    if (r->count > 1) {
        qsort(r->inputs, r->count, sizeof(void *), compare_names);
    }
    size_t raw = 0;
    uint64_t stored = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        raw += raw_size(&r->inputs[i]->segment);
        stored += r->inputs[i]->size;
        if (i > 0 && (raw > ROUND_RAW || stored > ROUND_STORED)) {
            r->count = i;
        }
    }
}

/* ---- publishing ---- */

/* Only while the view that the heir was made from is young: later the inputs stay, doubled. heir: all that sorts
 * before it is dropped. */
static void drop_inputs(const struct round *r, const struct table *names, struct str heir,
                        int64_t seen_boot_ns)
{
    const struct manifest_world *w = &r->m->world;
    for (uint32_t i = 0; i < names->count; i++) {
        struct depot_reply reply;
        int64_t age_ms = (w->boot_ns(w->context) - seen_boot_ns) / 1000000;
        if (age_ms >= MANIFEST_VIEW_MS || str_cmp(names->keys[i], heir) >= 0
            || depot_drop(r->m->depot, names->keys[i], &reply) == DEPOT_REFUSED) {
            return;
        }
    }
}

static void forget_inputs(struct view *v, const struct table *names)
{
    for (uint32_t i = 0; i < v->count; i++) {
        struct view_segment *s = v->segments[i];
        s->listed = table_find(names, str_from(s->name)) == TABLE_NONE;
    }
    view_forget_unlisted(v);
}

static bool publish(struct round *r, struct diags *notes)
{
    struct table names;
    table_init(&names, &r->arena);
    for (uint32_t i = 0; i < r->count; i++) {
        table_add(&names, str_from(r->inputs[i]->name), NULL);
    }
    int64_t seen_boot_ns = r->m->list_boot_ns;
    char heir[SEGMENT_NAME];
    segment_key(manifest_now_ms(r->m), 0, heir); /* an empty one need not be written */
    if (!segment_draft_is_empty(&r->draft)) {
        if (!manifest_publish_carried(r->m, &r->draft, notes)) {
            return false;
        }
        memcpy(heir, r->m->published, sizeof heir);
    }
    drop_inputs(r, &names, str_from(heir), seen_boot_ns);
    forget_inputs(&r->m->view, &names);
    return true;
}

/* Whether the heir of a single input holds less than that. */
static bool is_smaller(const struct round *r, const struct segment *s)
{
    return count_dropped(r->needed, s) > 0 || r->draft.place_count < s->places.n
           || r->draft.condemned_count < s->condemned.n || r->draft.use_count < s->uses.n;
}

enum rounded { ROUND_DONE, ROUND_NOTHING, ROUND_FAILED };

static enum rounded run_once(struct manifest *m, const struct needed *needed,
                             const struct stock *stock, enum compact_how how, struct diags *notes)
{
    struct round r = {.m = m, .needed = needed, .stock = stock};
    segment_draft_init(&r.draft);
    table_init(&r.blocks, &r.arena);
    table_init(&r.packs, &r.arena);
    table_init(&r.prefixes, &r.arena);
    pick(&r, how);
    enum rounded result = ROUND_NOTHING;
    fill(&r);
    if (r.count > 1 || (r.count == 1 && is_smaller(&r, &r.inputs[0]->segment))) {
        result = publish(&r, notes) ? ROUND_DONE : ROUND_FAILED;
    }
    segment_draft_free(&r.draft);
    arena_free(&r.arena);
    return result;
}

bool compact_run(struct manifest *m, const struct needed *needed, const struct stock *stock,
                 enum compact_how how, struct diags *notes)
{
    int64_t seen_boot_ns = m->list_boot_ns;
    for (uint32_t i = 0; i < m->view.count; i++) {
        if (m->view.segments[i]->state == SEGMENT_UNKNOWN) {
            return true; /* of a newer program: it knows better what is needed */
        }
    }
    enum rounded result = ROUND_DONE;
    for (int i = 0; i < ROUNDS_LIMIT && result == ROUND_DONE; i++) {
        if (m->list_boot_ns != seen_boot_ns || manifest_view_age_ms(m) >= MANIFEST_VIEW_MS) {
            break; /* the rest is for the next time */
        }
        result = run_once(m, needed, stock, how, notes);
    }
    return result != ROUND_FAILED;
}

bool compact_is_due(const struct manifest *m)
{
    return compact_count(m) > COMPACT_MANY
           && m->world.random(m->world.context) % COMPACT_CHANCE == 0;
}

bool compact_held(struct manifest *m, enum compact_how how, struct diags *notes)
{
    struct needed needed;
    struct stock stock;
    if (!stock_read(&stock, m, notes)) {
        return false;
    }
    needed_init(&needed, &m->view, manifest_now_ms(m), m->keep_ms);
    bool ok = compact_run(m, &needed, &stock, how, notes);
    needed_free(&needed);
    stock_free(&stock);
    return ok;
}
