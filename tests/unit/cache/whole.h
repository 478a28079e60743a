/* SPDX-License-Identifier: MIT */
/* A segment never leans on another's places: each root of its records has one in itself. */
#pragma once

#include "cache/segment.h"
#include "core/base/file.h"

static inline bool has_place(const struct segment *s, const struct ref *root)
{
    bool found = false;
    for (uint32_t i = 0; i < s->places.n && !found; i++) {
        found = ref_eq(&s->places.at[i].root, root);
    }
    return found;
}

/* Gives how many records it holds. */
static inline uint32_t expect_whole_segment(struct str bytes)
{
    struct arena a = {0};
    struct segment s;
    assert_int_equal(segment_read(bytes, &s), SEGMENT_GOOD);
    for (uint32_t i = 0; i < s.rows.n; i++) {
        struct record r;
        assert_true(record_read(&a, s.rows.at[i].row, &r));
        for (uint32_t k = 0; k < r.output_count; k++) {
            assert_true(has_place(&s, &r.outputs[k].ref));
        }
        assert_true(r.log.kind == REF_NONE || has_place(&s, &r.log));
    }
    uint32_t count = s.rows.n;
    segment_free(&s);
    arena_free(&a);
    return count;
}

/* The same of all that lie in a place that is a folder. */
static inline uint32_t expect_whole_segments(struct str place)
{
    struct arena a = {0};
    struct file_entry *entries;
    uint32_t count;
    uint32_t records = 0;
    struct str dir = path_join(&a, place, STR("m"));
    assert_true(file_list(&a, FILE_CWD, dir, &entries, &count));
    for (uint32_t i = 0; i < count; i++) {
        struct str bytes;
        struct str path = path_join(&a, dir, entries[i].name);
        assert_true(file_read_quiet(&a, FILE_CWD, path, 1 << 20, &bytes));
        records += expect_whole_segment(bytes);
    }
    arena_free(&a);
    return records;
}
