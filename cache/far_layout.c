/* SPDX-License-Identifier: MIT */
/* Runs, sorted and united, are dealt out to files in their order: each file's spans, and each far range's, stand
 * together. */
#include "cache/far_layout.h"

#include <stdlib.h>
#include <string.h>

static int by_offset(const void *x, const void *y)
{
    const struct pack_run *a = x, *b = y;
    int c = memcmp(a->pack.b, b->pack.b, sizeof a->pack.b);
    return c ? c : (a->offset > b->offset) - (a->offset < b->offset);
}

static bool is_of_use(const struct pack_run *run)
{
    return run->count > 0 && run->length > 0 && run->offset <= PACK_LIMIT
           && run->length <= PACK_LIMIT - run->offset;
}

static struct pack_run *sorted_runs(struct arena *a, const struct pack_run *runs, uint32_t *count)
{
    struct pack_run *sorted = ARENA_ARRAY(a, struct pack_run, (size_t)*count + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < *count; i++) {
        if (is_of_use(&runs[i])) {
            sorted[n++] = runs[i];
        }
    }
    if (n > 1) {
        qsort(sorted, n, sizeof *sorted, by_offset);
    }
    *count = n;
    return sorted;
}

/* One behind the other, or one over the other: then the counts are too large, and do no harm. */
static bool unites(struct pack_run *last, const struct pack_run *run)
{
    uint64_t end = last->offset + last->length, run_end = run->offset + run->length;
    if (!pack_id_eq(&last->pack, &run->pack) || run->offset > end) {
        return false;
    }
    last->length = (run_end > end ? run_end : end) - last->offset;
    last->count = last->count > UINT32_MAX - run->count ? UINT32_MAX : last->count + run->count;
    return true;
}

static void begin_file(struct far_layout *l)
{
    bool loose = l->file_count == l->most;
    l->files[l->file_count++] =
        (struct far_file){.first = l->span_count, .bytes = PACK_HEAD, .loose = loose};
}

/* Counts come from outside, and are what memory is reserved for. */
static void add_span(struct far_layout *l, const struct pack_run *run, uint32_t *entries_left)
{
    struct far_file *f = l->file_count ? &l->files[l->file_count - 1] : NULL;
    if (!f || (!f->loose && f->bytes + run->length > FAR_LAYOUT_TARGET)) {
        begin_file(l);
        f = &l->files[l->file_count - 1];
    }
    uint32_t entries = run->count < *entries_left ? run->count : *entries_left;
    entries = entries < PACK_ENTRIES_LIMIT - f->entries ? entries : PACK_ENTRIES_LIMIT - f->entries;
    l->spans[l->span_count++] =
        (struct far_span){run->pack, run->offset, run->length, f->bytes, l->file_count - 1};
    f->count++;
    f->bytes += run->length;
    f->entries += entries;
    *entries_left -= entries;
}

void far_layout_make(struct arena *a, const struct pack_run *runs, uint32_t count, uint32_t most,
                     struct far_layout *out)
{
    struct pack_run *sorted = sorted_runs(a, runs, &count);
    uint32_t n = 0, entries_left = FAR_LAYOUT_ENTRIES;
    for (uint32_t i = 0; i < count; i++) {
        if (n == 0 || !unites(&sorted[n - 1], &sorted[i])) {
            sorted[n++] = sorted[i];
        }
    }
    *out = (struct far_layout){.spans = ARENA_ARRAY(a, struct far_span, (size_t)n + 1),
                               .files = ARENA_ARRAY(a, struct far_file, (size_t)most + 1),
                               .most = most};
    for (uint32_t i = 0; i < n; i++) {
        add_span(out, &sorted[i], &entries_left);
    }
}

uint32_t far_layout_find(const struct far_layout *l, const struct pack_id *pack, uint64_t offset)
{
    uint32_t low = 0, high = l->span_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct far_span *s = &l->spans[middle];
        int c = memcmp(s->pack.b, pack->b, sizeof pack->b);
        if (c < 0 || (c == 0 && s->offset + s->length <= offset)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
