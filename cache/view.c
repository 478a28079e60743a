/* SPDX-License-Identifier: MIT */
/* The index of the held segments: rows by fingerprint, places by root, packs, uses. Adding is cheap; forgetting
 * builds it anew. Rows and places are decoded only when somebody asks for them. */
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

static uint32_t hash_digest(const uint8_t digest[32])
{
    uint64_t h = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t word;
        memcpy(&word, digest + (size_t)8 * (size_t)i, sizeof word);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return (uint32_t)h;
}

static const uint8_t *row_fingerprint(const struct view_row *r)
{
    return (const uint8_t *)r->row.s + ROW_FINGERPRINT;
}

static const struct ref *place_root(const struct view *v, const struct view_place *p)
{
    return &v->segments[p->segment]->segment.places.at[p->place].root;
}

static uint32_t *row_slot(const struct view *v, const uint8_t *fingerprint)
{
    uint32_t mask = v->row_slot_count - 1;
    uint32_t i = hash_digest(fingerprint) & mask;
    while (v->row_slots[i]
           && memcmp(row_fingerprint(&v->rows.at[v->row_slots[i] - 1]), fingerprint, 32) != 0) {
        i = (i + 1) & mask;
    }
    return &v->row_slots[i];
}

static uint32_t *place_slot(const struct view *v, const struct ref *root)
{
    uint32_t mask = v->place_slot_count - 1;
    uint32_t i = hash_digest(root->digest.b) & mask;
    while (v->place_slots[i]
           && !ref_eq(place_root(v, &v->places.at[v->place_slots[i] - 1]), root)) {
        i = (i + 1) & mask;
    }
    return &v->place_slots[i];
}

static void grow_row_slots(struct view *v)
{
    uint32_t *old = v->row_slots;
    uint32_t old_count = v->row_slot_count;
    v->row_slot_count = old_count ? 2 * old_count : SLOTS_FIRST;
    v->row_slots = mem_alloc(v->row_slot_count * sizeof *v->row_slots);
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i]) {
            *row_slot(v, row_fingerprint(&v->rows.at[old[i] - 1])) = old[i];
        }
    }
    mem_free(old);
}

static void grow_place_slots(struct view *v)
{
    uint32_t *old = v->place_slots;
    uint32_t old_count = v->place_slot_count;
    v->place_slot_count = old_count ? 2 * old_count : SLOTS_FIRST;
    v->place_slots = mem_alloc(v->place_slot_count * sizeof *v->place_slots);
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i]) {
            *place_slot(v, place_root(v, &v->places.at[old[i] - 1])) = old[i];
        }
    }
    mem_free(old);
}

/* ---- adding ---- */

static bool has_row(const struct view *v, uint32_t first, struct str row)
{
    for (uint32_t i = first; i; i = v->rows.at[i - 1].next) {
        if (str_eq(v->rows.at[i - 1].row, row)) {
            return true;
        }
    }
    return false;
}

static void add_row(struct view *v, uint32_t segment, struct str row)
{
    if (2 * v->row_heads >= v->row_slot_count) {
        grow_row_slots(v);
    }
    uint32_t *slot = row_slot(v, (const uint8_t *)row.s + ROW_FINGERPRINT);
    if (has_row(v, *slot, row)) {
        return; /* a retry, or a compaction whose inputs are still here */
    }
    v->row_heads += *slot == 0;
    *VEC_PUSH(&v->arena, &v->rows) = (struct view_row){row, segment, *slot};
    *slot = v->rows.n;
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

static bool has_place(const struct view *v, uint32_t first, const struct pack_place *place,
                      struct arena *a)
{
    for (uint32_t i = first; i; i = v->places.at[i - 1].next) {
        struct pack_place other;
        read_place(v, &v->places.at[i - 1], a, &other);
        if (same_runs(&other, place)) {
            return true;
        }
    }
    return false;
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
    if (2 * v->place_heads >= v->place_slot_count) {
        grow_place_slots(v);
    }
    struct view_place p = {segment, number, 0};
    struct pack_place decoded;
    read_place(v, &p, scratch, &decoded);
    uint32_t *slot = place_slot(v, &decoded.root);
    if (*slot && has_place(v, *slot, &decoded, scratch)) {
        return;
    }
    for (uint32_t i = 0; i < decoded.run_count; i++) {
        add_pack(v, &decoded.runs[i].pack)->places++;
    }
    v->place_heads += *slot == 0;
    p.next = *slot;
    *VEC_PUSH(&v->arena, &v->places) = p;
    *slot = v->places.n;
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
    for (uint32_t i = 0; i < s->segment.rows.n; i++) {
        add_row(v, number, s->segment.rows.at[i].row);
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
    mem_free(v->row_slots);
    mem_free(v->place_slots);
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
    struct str a = *(const struct str *)x;
    struct str b = *(const struct str *)y;
    int64_t p = row_success(a);
    int64_t q = row_success(b);
    return p != q ? (p < q ? 1 : -1) : str_cmp(a, b);
}

uint32_t view_find_rows(const struct view *v, const struct digest *fingerprint, struct arena *a,
                        struct str **out)
{
    *out = NULL;
    if (v->row_slot_count == 0) {
        return 0;
    }
    uint32_t first = *row_slot(v, fingerprint->b);
    uint32_t count = 0;
    for (uint32_t i = first; i; i = v->rows.at[i - 1].next) {
        count++;
    }
    struct str *rows = ARENA_ARRAY(a, struct str, count);
    uint32_t n = 0;
    for (uint32_t i = first; i; i = v->rows.at[i - 1].next) {
        rows[n++] = v->rows.at[i - 1].row;
    }
    if (count > 1) {
        qsort(rows, count, sizeof *rows, compare_rows);
    }
    *out = rows;
    return count;
}

const struct segment_block *view_block_of(const struct view *v, struct str row)
{
    for (uint32_t i = *row_slot(v, (const uint8_t *)row.s + ROW_FINGERPRINT); i;
         i = v->rows.at[i - 1].next) {
        if (v->rows.at[i - 1].row.s != row.s) {
            continue;
        }
        const struct segment *s = &v->segments[v->rows.at[i - 1].segment]->segment;
        for (uint32_t k = 0; k < s->rows.n; k++) {
            if (s->rows.at[k].row.s == row.s) {
                return &s->blocks.at[s->rows.at[k].block];
            }
        }
    }
    return NULL;
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

uint32_t view_find_places(const struct view *v, const struct ref *root, struct arena *a,
                          struct pack_place **out)
{
    *out = NULL;
    if (v->place_slot_count == 0) {
        return 0;
    }
    uint32_t first = *place_slot(v, root);
    uint32_t count = 0;
    for (uint32_t i = first; i; i = v->places.at[i - 1].next) {
        count++;
    }
    struct pack_place *places = ARENA_ARRAY(a, struct pack_place, count);
    uint32_t sound = 0;
    uint32_t end = count;
    for (uint32_t i = first; i; i = v->places.at[i - 1].next) {
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
