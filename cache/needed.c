/* SPDX-License-Identifier: MIT */
/* The mark, without places. A row that cannot be decoded is of use to nobody and not kept. */
#include "cache/needed.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)

static void add_root(struct needed *n, const struct ref *root)
{
    char key[REF_KEY_SIZED];
    bool is_new;
    uint32_t number = table_add(&n->keys, ref_key_sized(root, key), &is_new);
    if (is_new) {
        VEC_PUSH(&n->arena, &n->roots)->root = *root;
    }
    *VEC_PUSH(&n->arena, &n->uses) = number;
}

static void add_record(struct needed *n, const struct view *v, struct str row,
                       struct arena *scratch)
{
    struct record r;
    if (!record_read(scratch, row, &r)) {
        return;
    }
    int64_t used = view_used_day(v, r.fingerprint.b) * DAY_MS;
    struct needed_record *record = VEC_PUSH(&n->arena, &n->records);
    record->row = str_copy(&n->arena, row); /* the view may forget its own */
    record->duration_ms = r.duration_ms;
    record->last_ms = r.success_ms > used ? r.success_ms : used;
    record->first_root = n->uses.n;
    for (uint32_t i = 0; i < r.output_count; i++) {
        add_root(n, &r.outputs[i].ref);
    }
    if (r.log.kind != REF_NONE) {
        add_root(n, &r.log);
    }
    record->root_count = n->uses.n - record->first_root;
}

static struct needed_root *root_of(const struct needed *n, const struct needed_record *r,
                                   uint32_t i)
{
    return &n->roots.at[n->uses.at[r->first_root + i]];
}

static int compare_records(const void *x, const void *y)
{
    const struct needed_record *a = x;
    const struct needed_record *b = y;
    return str_cmp(a->row, b->row);
}

static void sort_records(struct needed *n)
{
    if (n->records.n > 1) {
        qsort(n->records.at, n->records.n, sizeof *n->records.at, compare_records);
    }
}

void needed_init(struct needed *n, const struct view *v, int64_t now_ms, int64_t keep_ms)
{
    memset(n, 0, sizeof *n);
    table_init(&n->keys, &n->arena);
    struct arena scratch = {0};
    for (uint32_t i = 0; i < v->rows.n; i++) {
        struct arena_mark mark = arena_mark(&scratch);
        add_record(n, v, v->rows.at[i].row, &scratch);
        arena_reset(&scratch, mark);
    }
    arena_free(&scratch);
    sort_records(n);
    for (uint32_t i = 0; i < n->records.n; i++) {
        struct needed_record *r = &n->records.at[i];
        r->kept = now_ms - r->last_ms <= keep_ms;
        n->kept += r->kept;
        for (uint32_t k = 0; k < r->root_count && r->kept; k++) {
            root_of(n, r, k)->records++;
        }
    }
}

void needed_free(struct needed *n)
{
    arena_free(&n->arena);
    memset(n, 0, sizeof *n);
}

uint32_t needed_find(const struct needed *n, const struct ref *root)
{
    char key[REF_KEY_SIZED];
    uint32_t number = table_find(&n->keys, ref_key_sized(root, key));
    return number != TABLE_NONE && n->roots.at[number].records > 0 ? number : TABLE_NONE;
}

bool needed_keeps_row(const struct needed *n, struct str row)
{
    struct needed_record key = {.row = row};
    const struct needed_record *found =
        n->records.n == 0 ? NULL
                          : bsearch(&key, n->records.at, n->records.n, sizeof key, compare_records);
    return !found || found->kept; /* what was not seen is not judged */
}

/* ---- by size ---- */

struct worth {
    double ms_per_byte;
    int64_t last_ms;
    uint32_t record;
};

static int compare_worth(const void *x, const void *y)
{
    const struct worth *a = x;
    const struct worth *b = y;
    if (a->ms_per_byte != b->ms_per_byte) {
        return a->ms_per_byte < b->ms_per_byte ? -1 : 1;
    }
    if (a->last_ms != b->last_ms) {
        return a->last_ms < b->last_ms ? -1 : 1;
    }
    return a->record < b->record ? -1 : 1;
}

/* Rebuild time per byte that would be freed; a root that several need is each one's in part. */
static struct worth worth_of(const struct needed *n, uint32_t number)
{
    const struct needed_record *r = &n->records.at[number];
    double bytes = 1;
    for (uint32_t i = 0; i < r->root_count; i++) {
        const struct needed_root *root = root_of(n, r, i);
        bytes += (double)root->bytes / (root->records ? root->records : 1);
    }
    return (struct worth){(double)r->duration_ms / bytes, r->last_ms, number};
}

static uint64_t let_go(struct needed *n, struct needed_record *r)
{
    uint64_t freed = 0;
    r->kept = false;
    n->kept--;
    for (uint32_t i = 0; i < r->root_count; i++) {
        struct needed_root *root = root_of(n, r, i);
        root->records--;
        freed += root->records == 0 ? root->bytes : 0;
    }
    return freed;
}

static uint64_t needed_bytes(const struct needed *n)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < n->roots.n; i++) {
        total += n->roots.at[i].records ? n->roots.at[i].bytes : 0;
    }
    return total;
}

void needed_bound(struct needed *n, uint64_t max_bytes)
{
    uint64_t total = needed_bytes(n);
    if (total <= max_bytes) {
        return;
    }
    struct worth *order = mem_alloc((n->records.n + 1) * sizeof *order);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->records.n; i++) {
        if (n->records.at[i].kept) {
            order[count++] = worth_of(n, i);
        }
    }
    qsort(order, count, sizeof *order, compare_worth);
    for (uint32_t i = 0; i < count && total > max_bytes; i++) {
        total -= let_go(n, &n->records.at[order[i].record]);
    }
    mem_free(order);
}
