/* SPDX-License-Identifier: MIT */
/* Looks through rows from the end, where the latest segments are. It is a hint that saves room: a row that is
 * not found costs bytes, never truth. */
#include "cache/older.h"

#include <string.h>

/* The record's output at this path, if it is of this pipeline and made of many objects. */
static const struct record_output *find_output(const struct record *r, struct str path,
                                               const uint8_t hint[8])
{
    for (uint32_t i = 0; i < r->output_count && !memcmp(r->hint, hint, sizeof r->hint); i++) {
        const struct record_output *o = &r->outputs[i];
        if (str_eq(o->path, path)) {
            return o->ref.kind == REF_LIST || o->ref.kind == REF_TREE ? o : NULL;
        }
    }
    return NULL;
}

bool older_place(const struct view *v, const struct record_output *output, const uint8_t hint[8],
                 struct arena *a, struct pack_place *out)
{
    uint32_t end = v->rows.n > OLDER_ROWS ? v->rows.n - OLDER_ROWS : 0;
    for (uint32_t i = v->rows.n; i > end; i--) {
        struct str row = v->rows.at[i - 1].row;
        struct record r;
        if (str_find(row, output->path) < 0) {
            continue; /* cheaper than to decode it */
        }
        struct arena_mark mark = arena_mark(a);
        const struct record_output *o =
            record_read(a, row, &r) ? find_output(&r, output->path, hint) : NULL;
        struct ref root = o ? o->ref : (struct ref){0};
        arena_reset(a, mark);
        if (o && view_find_sound_place(v, &root, a, out)) {
            return true;
        }
    }
    return false;
}

static bool has_output(const struct record *r, struct str path, const uint8_t hint[8])
{
    bool found = false;
    bool ours = memcmp(r->hint, hint, sizeof r->hint) == 0;
    for (uint32_t i = 0; i < r->output_count && ours && !found; i++) {
        found = str_eq(r->outputs[i].path, path);
    }
    return found;
}

int64_t older_duration_ms(const struct view *v, struct str path, const uint8_t hint[8])
{
    uint32_t end = v->rows.n > OLDER_ROWS ? v->rows.n - OLDER_ROWS : 0;
    uint32_t decoded = 0;
    int64_t ms = 0;
    struct arena a = {0};
    for (uint32_t i = v->rows.n; i > end && ms == 0 && decoded < OLDER_DECODED; i--) {
        struct record r;
        struct arena_mark mark = arena_mark(&a);
        if (str_find(v->rows.at[i - 1].row, path) < 0) {
            continue; /* cheaper than to decode it */
        }
        decoded++;
        if (record_read(&a, v->rows.at[i - 1].row, &r) && has_output(&r, path, hint)) {
            ms = r.duration_ms;
        }
        arena_reset(&a, mark);
    }
    arena_free(&a);
    return ms;
}
