/* SPDX-License-Identifier: MIT */
/* The index of the held segments: rows by fingerprint, places by root, packs, uses. Adding is cheap; forgetting
 * builds it anew. Rows and places are decoded only when somebody asks for them. What is added comes from strangers:
 * each of it costs a bounded number of steps, whatever it holds. */
#include "cache/view.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_FIRST = 64, ROW_FINGERPRINT = 1 };

bool view_segment_is_timely(const struct view_segment *s)
{
    int64_t late = s->stored_ms - s->named_ms;
    return late <= VIEW_LATE_MS && late >= -VIEW_LATE_MS;
}

static struct str pack_bytes(const struct pack_id *id)
{
    return (struct str){(const char *)id->b, sizeof id->b};
}

/* ---- open addressing ---- */

/* What is looked for: whatever same() takes for it among what has its hash. */
struct probe {
    const struct view *v;
    const struct view_index *index;
    uint32_t hash;
    bool (*same)(const struct probe *p, uint32_t number);
    const void *key;
    uint64_t steps; /* slots that were looked at */
};

static const uint8_t *row_fingerprint(struct str row)
{
    return (const uint8_t *)row.s + ROW_FINGERPRINT;
}

static const struct ref *place_root(const struct view *v, const struct view_place *p)
{
    return &v->segments[p->segment]->segment.places.at[p->place].root;
}

/* The slot that holds it, or the free one where it belongs; NULL: the index is empty. */
static struct view_slot *probe_slot(struct probe *p)
{
    const struct view_index *x = p->index;
    if (x->count == 0) {
        return NULL;
    }
    uint32_t mask = x->count - 1;
    uint32_t i = p->hash & mask;
    p->steps = 1;
    while (x->slots[i].number
           && !(x->slots[i].hash == p->hash && p->same(p, x->slots[i].number - 1))) {
        i = (i + 1) & mask;
        p->steps++;
    }
    return &x->slots[i];
}

static void index_grow(struct view_index *x)
{
    struct view_slot *old = x->slots;
    uint32_t old_count = x->count;
    x->count = old_count ? 2 * old_count : SLOTS_FIRST;
    x->slots = mem_alloc(x->count * sizeof *x->slots);
    for (uint32_t i = 0; i < old_count; i++) {
        uint32_t to = old[i].hash & (x->count - 1);
        while (old[i].number && x->slots[to].number) {
            to = (to + 1) & (x->count - 1);
        }
        if (old[i].number) {
            x->slots[to] = old[i];
        }
    }
    mem_free(old);
}

/* For who adds: there is room for one more. */
static struct view_slot *claim_slot(struct view *v, struct view_index *x, struct probe *p)
{
    if (2 * (uint64_t)x->taken >= x->count) {
        index_grow(x);
    }
    struct view_slot *slot = probe_slot(p);
    v->steps += p->steps;
    return slot;
}

static void fill_slot(struct view_index *x, struct view_slot *slot, uint32_t hash, uint32_t number)
{
    x->taken += slot->number == 0;
    *slot = (struct view_slot){hash, number + 1};
}

/* ---- rows ---- */

static bool has_fingerprint(const struct probe *p, uint32_t number)
{
    return memcmp(row_fingerprint(p->v->rows.at[number].row), p->key, 32) == 0;
}

static struct probe probe_fingerprint(const struct view *v, const uint8_t *fingerprint)
{
    uint64_t hash = table_hash((struct str){(const char *)fingerprint, 32});
    return (struct probe){v, &v->row_heads, (uint32_t)hash, has_fingerprint, fingerprint, 0};
}

struct view_found view_row_number(const struct view *v, uint32_t i)
{
    const struct view_row *r = &v->rows.at[i];
    return (struct view_found){r->row, &v->segments[r->segment]->segment.blocks.at[r->block]};
}

static struct str signature_of(const struct segment_block *b)
{
    return str_tail(b->bytes, b->bytes.n - BLOCK_SIGNATURE);
}

/* One block, or what two have left of it. Unsigned ones that say the same are one. */
static bool same_source(const struct segment_block *x, const struct segment_block *y)
{
    return memcmp(x->key, y->key, BLOCK_KEY) == 0 && str_eq(signature_of(x), signature_of(y))
           && (x->mark && y->mark ? memcmp(x->mark, y->mark, BLOCK_MARK) == 0 : x->mark == y->mark);
}

static bool is_row(const struct probe *p, uint32_t number)
{
    const struct view_found *wanted = p->key;
    struct view_found found = view_row_number(p->v, number);
    return str_eq(found.row, wanted->row) && same_source(found.block, wanted->block);
}

static struct probe probe_row(const struct view *v, const struct view_found *row)
{
    uint64_t hash = table_hash(row->row) + 31 * table_hash(signature_of(row->block));
    if (row->block->mark) {
        hash += 37 * table_hash((struct str){(const char *)row->block->mark, BLOCK_MARK});
    }
    return (struct probe){v, &v->row_set, (uint32_t)(hash ^ hash >> 32), is_row, row, 0};
}

/* The newest of them: number + 1. */
static uint32_t first_row(const struct view *v, const uint8_t *fingerprint)
{
    struct probe p = probe_fingerprint(v, fingerprint);
    const struct view_slot *slot = probe_slot(&p);
    return slot ? slot->number : 0;
}

static void add_row(struct view *v, uint32_t segment, const struct segment_row *row)
{
    struct view_found added = {row->row, &v->segments[segment]->segment.blocks.at[row->block]};
    struct probe same = probe_row(v, &added);
    struct view_slot *slot = claim_slot(v, &v->row_set, &same);
    if (slot->number) {
        return; /* a retry, or a compaction whose inputs are still here */
    }
    uint32_t number = v->rows.n;
    fill_slot(&v->row_set, slot, same.hash, number);
    struct probe head = probe_fingerprint(v, row_fingerprint(row->row));
    slot = claim_slot(v, &v->row_heads, &head);
    *VEC_PUSH(&v->arena, &v->rows) = (struct view_row){row->row, segment, row->block, slot->number};
    fill_slot(&v->row_heads, slot, head.hash, number);
}

/* ---- places ---- */

static bool has_root(const struct probe *p, uint32_t number)
{
    return ref_eq(place_root(p->v, &p->v->places.at[number]), p->key);
}

static uint64_t hash_root(const struct ref *root)
{
    char key[REF_KEY_SIZED];
    return table_hash(ref_key_sized(root, key));
}

static struct probe probe_root(const struct view *v, const struct ref *root)
{
    return (struct probe){v, &v->place_heads, (uint32_t)hash_root(root), has_root, root, 0};
}

static bool same_runs(const struct pack_place *x, const struct pack_place *y)
{
    if (x->run_count != y->run_count) {
        return false;
    }
    for (uint32_t i = 0; i < x->run_count; i++) {
        const struct pack_run *p = &x->runs[i];
        const struct pack_run *q = &y->runs[i];
        if (!pack_id_eq(&p->pack, &q->pack) || p->offset != q->offset || p->length != q->length
            || p->count != q->count) {
            return false;
        }
    }
    return true;
}

static void read_place(const struct view *v, const struct view_place *p, struct arena *a,
                       struct pack_place *out)
{
    const struct segment *s = &v->segments[p->segment]->segment;
    segment_place_read(s, &s->places.at[p->place], a, out);
}

static bool is_place(const struct probe *p, uint32_t number)
{
    const struct pack_place *place = p->key;
    struct arena scratch = {0};
    struct pack_place other;
    read_place(p->v, &p->v->places.at[number], &scratch, &other);
    bool same = ref_eq(&other.root, &place->root) && same_runs(&other, place);
    arena_free(&scratch);
    return same;
}

static struct probe probe_place(const struct view *v, const struct pack_place *place)
{
    uint64_t hash = hash_root(&place->root);
    for (uint32_t i = 0; i < place->run_count; i++) {
        const struct pack_run *run = &place->runs[i];
        uint64_t words[6] = {hash, 0, 0, run->offset, run->length, run->count};
        memcpy(&words[1], run->pack.b, sizeof run->pack.b);
        hash = table_hash((struct str){(const char *)words, sizeof words});
    }
    return (struct probe){v, &v->place_set, (uint32_t)hash, is_place, place, 0};
}

static struct view_pack *add_pack(struct view *v, const struct pack_id *id)
{
    bool is_new;
    uint32_t number = table_add(&v->packs, pack_bytes(id), &is_new);
    if (is_new) {
        VEC_PUSH(&v->arena, &v->pack_info);
    }
    return &v->pack_info.at[number];
}

static void add_place(struct view *v, uint32_t segment, uint32_t number, struct arena *scratch)
{
    struct view_place p = {segment, number, 0};
    struct pack_place decoded;
    read_place(v, &p, scratch, &decoded);
    struct probe same = probe_place(v, &decoded);
    struct view_slot *slot = claim_slot(v, &v->place_set, &same);
    if (slot->number) {
        return;
    }
    fill_slot(&v->place_set, slot, same.hash, v->places.n);
    for (uint32_t i = 0; i < decoded.run_count; i++) {
        add_pack(v, &decoded.runs[i].pack)->places++;
    }
    struct probe head = probe_root(v, &decoded.root);
    slot = claim_slot(v, &v->place_heads, &head);
    p.next = slot->number;
    fill_slot(&v->place_heads, slot, head.hash, v->places.n);
    *VEC_PUSH(&v->arena, &v->places) = p;
}

/* Condemnations of a segment whose name and stored time disagree are void: K could not be kept for them. */
static void add_condemned(struct view *v, const struct view_segment *s)
{
    if (!view_segment_is_timely(s)) {
        return;
    }
    for (uint32_t i = 0; i < s->segment.condemned.n; i++) {
        const struct segment_condemned *c = &s->segment.condemned.at[i];
        int64_t since = c->since_ms ? c->since_ms : s->stored_ms;
        struct view_pack *pack = add_pack(v, &c->pack);
        if (!pack->condemned_ms || since < pack->condemned_ms) {
            pack->condemned_ms = since;
        }
    }
}

static void add_uses(struct view *v, const struct segment *s)
{
    for (uint32_t i = 0; i < s->uses.n; i++) {
        const struct segment_use *u = &s->uses.at[i];
        bool is_new;
        struct str prefix = {(const char *)u->prefix, sizeof u->prefix};
        uint32_t number = table_add(&v->prefixes, prefix, &is_new);
        if (is_new) {
            VEC_PUSH(&v->arena, &v->days);
        }
        if (u->day > v->days.at[number]) {
            v->days.at[number] = u->day;
        }
    }
}

static void index_segment(struct view *v, uint32_t number)
{
    const struct view_segment *s = v->segments[number];
    table_add(&v->names, str_from(s->name), NULL);
    v->raw_bytes += s->segment.payload_bytes;
    v->items += (uint64_t)s->segment.rows.n + s->segment.places.n + s->segment.condemned.n
                + s->segment.uses.n;
    for (uint32_t i = 0; i < s->segment.rows.n; i++) {
        add_row(v, number, &s->segment.rows.at[i]);
    }
    struct arena scratch = {0};
    for (uint32_t i = 0; i < s->segment.places.n; i++) {
        struct arena_mark mark = arena_mark(&scratch);
        add_place(v, number, i, &scratch);
        arena_reset(&scratch, mark);
    }
    arena_free(&scratch);
    add_condemned(v, s);
    add_uses(v, &s->segment);
}

static void index_clear(struct view *v)
{
    mem_free(v->row_heads.slots);
    mem_free(v->row_set.slots);
    mem_free(v->place_heads.slots);
    mem_free(v->place_set.slots);
    arena_free(&v->arena);
    struct view empty = {.segments = v->segments, .count = v->count, .cap = v->cap};
    *v = empty;
    table_init(&v->names, &v->arena);
    table_init(&v->packs, &v->arena);
    table_init(&v->prefixes, &v->arena);
}

void view_init(struct view *v)
{
    memset(v, 0, sizeof *v);
    index_clear(v);
}

static void drop_segment(struct view_segment *s)
{
    segment_free(&s->segment);
    mem_free(s);
}

void view_free(struct view *v)
{
    for (uint32_t i = 0; i < v->count; i++) {
        drop_segment(v->segments[i]);
    }
    mem_free(v->segments);
    v->segments = NULL;
    v->count = v->cap = 0;
    index_clear(v);
}

bool view_holds(const struct view *v, struct str key)
{
    return table_find(&v->names, key) != TABLE_NONE;
}

struct view_segment *view_add(struct view *v, const struct depot_entry *e,
                              enum segment_answer state, struct segment *segment)
{
    struct view_segment *s = mem_alloc(sizeof *s);
    if (!segment_key_parse(e->key, &s->named_ms)) {
        s->named_ms = 0; /* the caller has checked */
    }
    memcpy(s->name, e->key.s, e->key.n < sizeof s->name ? e->key.n : sizeof s->name - 1);
    s->stored_ms = e->stored_ms;
    s->size = e->size;
    s->state = state;
    s->listed = true;
    s->segment = *segment;
    memset(segment, 0, sizeof *segment);
    if (v->count == v->cap) {
        v->cap = v->cap ? 2 * v->cap : 64;
        v->segments = mem_resize(v->segments, v->cap * sizeof(struct view_segment *));
    }
    v->segments[v->count++] = s;
    index_segment(v, v->count - 1);
    return s;
}

uint32_t view_forget_unlisted(struct view *v)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->segments[i]->listed) {
            v->segments[kept++] = v->segments[i];
        } else {
            drop_segment(v->segments[i]);
        }
    }
    uint32_t forgotten = v->count - kept;
    if (forgotten > 0) {
        v->count = kept;
        index_clear(v);
        for (uint32_t i = 0; i < v->count; i++) {
            index_segment(v, i);
        }
    }
    return forgotten;
}

/* ---- asking ---- */

static int64_t row_success(struct str row)
{
    const uint8_t *fingerprint;
    int64_t ms = 0;
    return segment_row_peek(row, &fingerprint, &ms) ? ms : 0;
}

static int compare_rows(const void *x, const void *y)
{
    const struct view_found *a = x;
    const struct view_found *b = y;
    int64_t p = row_success(a->row);
    int64_t q = row_success(b->row);
    int c = p != q ? (p < q ? 1 : -1) : str_cmp(a->row, b->row);
    return c ? c : segment_block_is_signed(b->block) - segment_block_is_signed(a->block);
}

uint32_t view_find_all(const struct view *v, const struct digest *fingerprint, struct arena *a,
                       struct view_found **out)
{
    uint32_t first = first_row(v, fingerprint->b);
    uint32_t count = 0;
    for (uint32_t i = first; i; i = v->rows.at[i - 1].next) {
        count++;
    }
    struct view_found *rows = ARENA_ARRAY(a, struct view_found, count + 1);
    uint32_t n = 0;
    for (uint32_t i = first; i; i = v->rows.at[i - 1].next) {
        rows[n++] = view_row_number(v, i - 1);
    }
    if (count > 1) {
        qsort(rows, count, sizeof *rows, compare_rows);
    }
    *out = rows;
    return count;
}

uint32_t view_find_rows(const struct view *v, const struct digest *fingerprint, struct arena *a,
                        struct str **out)
{
    struct view_found *found;
    uint32_t all = view_find_all(v, fingerprint, a, &found);
    struct str *rows = ARENA_ARRAY(a, struct str, all + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < all; i++) {
        if (i == 0 || !str_eq(found[i - 1].row, found[i].row)) {
            rows[count++] = found[i].row;
        }
    }
    *out = rows;
    return count;
}

uint32_t view_find_row(const struct view *v, struct str row, struct arena *a,
                       struct view_found **out)
{
    const uint8_t *bytes;
    int64_t success;
    struct digest fingerprint;
    if (!segment_row_peek(row, &bytes, &success)) {
        return 0;
    }
    memcpy(fingerprint.b, bytes, sizeof fingerprint.b);
    uint32_t all = view_find_all(v, &fingerprint, a, out);
    uint32_t first = 0;
    while (first < all && !str_eq((*out)[first].row, row)) {
        first++;
    }
    uint32_t behind = first;
    while (behind < all && str_eq((*out)[behind].row, row)) {
        behind++;
    }
    *out += first;
    return behind - first;
}

bool view_place_is_condemned(const struct view *v, const struct pack_place *p)
{
    for (uint32_t i = 0; i < p->run_count; i++) {
        const struct view_pack *pack = view_find_pack(v, &p->runs[i].pack);
        if (pack && pack->condemned_ms) {
            return true;
        }
    }
    return false;
}

/* How many of a root's places are read: all, or a few that are not too long. */
static uint32_t count_places(const struct view *v, uint32_t first, uint32_t most)
{
    uint32_t count = 0;
    uint64_t runs = 0;
    for (uint32_t i = first; i && count < most; i = v->places.at[i - 1].next) {
        const struct view_place *p = &v->places.at[i - 1];
        runs += v->segments[p->segment]->segment.places.at[p->place].run_count;
        if (most != VIEW_PLACES_ALL && runs > VIEW_RUNS_FEW) {
            break;
        }
        count++;
    }
    return count;
}

uint32_t view_find_places(const struct view *v, const struct ref *root, uint32_t most,
                          struct arena *a, struct pack_place **out)
{
    struct probe head = probe_root(v, root);
    const struct view_slot *slot = probe_slot(&head);
    uint32_t first = slot ? slot->number : 0;
    uint32_t count = count_places(v, first, most);
    struct pack_place *places = ARENA_ARRAY(a, struct pack_place, count);
    uint32_t sound = 0;
    uint32_t end = count;
    for (uint32_t i = first; sound < end; i = v->places.at[i - 1].next) {
        struct pack_place p;
        read_place(v, &v->places.at[i - 1], a, &p);
        if (view_place_is_condemned(v, &p)) {
            places[--end] = p;
        } else {
            places[sound++] = p;
        }
    }
    *out = places;
    return count;
}

bool view_find_sound_place(const struct view *v, const struct ref *root, struct arena *a,
                           struct pack_place *out)
{
    struct pack_place *places;
    uint32_t count = view_find_places(v, root, VIEW_PLACES_FEW, a, &places);
    if (count == 0 || view_place_is_condemned(v, &places[0])) {
        return false;
    }
    *out = places[0];
    return true;
}

const struct view_pack *view_find_pack(const struct view *v, const struct pack_id *id)
{
    uint32_t number = table_find(&v->packs, pack_bytes(id));
    return number == TABLE_NONE ? NULL : &v->pack_info.at[number];
}

uint32_t view_used_day(const struct view *v, const uint8_t *fingerprint)
{
    uint32_t number = table_find(&v->prefixes, (struct str){(const char *)fingerprint, 8});
    return number == TABLE_NONE ? 0 : v->days.at[number];
}
