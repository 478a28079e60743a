/* SPDX-License-Identifier: MIT */
/* Any bytes as a segment, and as what would lie in its frame: what is read can be indexed, asked for, reduced and
 * written again. */
#include "cache/view.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool keep_some(void *context, struct str row)
{
    (void)context;
    return row.n % 2 == 0;
}

static void ask_rows(const struct view *v, struct arena *a)
{
    for (uint32_t i = 0; i < v->rows.n; i++) {
        struct digest fingerprint;
        struct str *rows;
        struct record r;
        memcpy(fingerprint.b, v->rows.at[i].row.s + 1, sizeof fingerprint.b);
        must(view_find_rows(v, &fingerprint, a, &rows) > 0);
        if (record_read(a, rows[0], &r)) {
            must(digest_eq(&r.fingerprint, &fingerprint));
        }
    }
}

static void ask_places(const struct view *v, struct arena *a)
{
    for (uint32_t i = 0; i < v->places.n; i++) {
        const struct view_place *p = &v->places.at[i];
        const struct ref *root = &v->segments[p->segment]->segment.places.at[p->place].root;
        struct pack_place *places;
        must(view_find_places(v, root, VIEW_PLACES_ALL, a, &places) > 0);
    }
}

/* What is passed on reads as what it was. */
static void pass_on(const struct segment *s, struct arena *a)
{
    struct segment_draft d;
    segment_draft_init(&d);
    for (uint32_t i = 0; i < s->blocks.n; i++) {
        struct buf b;
        buf_init(&b, SEGMENT_RAW_LIMIT);
        must(segment_block_reduce(&b, s->blocks.at[i].bytes, keep_some, NULL)
             <= s->blocks.at[i].records);
        segment_draft_add_block(&d, buf_str(&b));
        buf_free(&b);
    }
    for (uint32_t i = 0; i < s->places.n; i++) {
        struct pack_place p;
        segment_place_read(s, &s->places.at[i], a, &p);
        segment_draft_add_place(&d, &p);
    }
    struct buf out;
    struct segment again;
    buf_init(&out, SEGMENT_STORED_LIMIT);
    if (segment_draft_write(&d, &out)) {
        must(segment_read(buf_str(&out), &again) == SEGMENT_GOOD);
        must(again.blocks.n == s->blocks.n && again.places.n <= s->places.n);
        segment_free(&again);
    }
    buf_free(&out);
    segment_draft_free(&d);
}

static void use(struct segment *s)
{
    struct arena a = {0};
    struct view v;
    pass_on(s, &a);
    view_init(&v);
    struct depot_entry e = {STR("m/018bcfe56800-0123456789abcdef"), 10, INT64_C(0x18bcfe56800)};
    view_add(&v, &e, SEGMENT_GOOD, s);
    ask_rows(&v, &a);
    ask_places(&v, &a);
    view_free(&v);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct segment s;
    struct str bytes = {(const char *)data, size};
    if (segment_read(bytes, &s) == SEGMENT_GOOD) {
        use(&s);
    }
    char *payload = mem_alloc(size + 1);
    if (size) {
        memcpy(payload, data, size);
    }
    if (segment_read_payload(payload, size, &s) == SEGMENT_GOOD) {
        use(&s);
    }
    int64_t ms;
    if (segment_key_parse(bytes, &ms)) {
        must(ms >= 0);
    }
    return 0;
}
