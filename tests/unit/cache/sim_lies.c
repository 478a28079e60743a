/* SPDX-License-Identifier: MIT */
/* A place that lies: bytes garbled, cut, swapped and too many, lists of what is not there, dates of any century, and
 * segments that are well formed and say nonsense. Clients may miss; they must not crash, hang, or take a wrong byte. */
#include "tests/unit/cache/sim_place.h"

#include <stdio.h>
#include <string.h>

enum { ENDLESS = 20 << 20, FLOOD = 300 };

static void put_noise(struct sim *s, struct buf *b, size_t n)
{
    char piece[1024];
    for (size_t i = 0; i < sizeof piece; i++) {
        piece[i] = (char)mem_random(&s->seed);
    }
    for (size_t left = n; left > 0;) {
        size_t part = left < sizeof piece ? left : sizeof piece;
        buf_put(b, piece, part);
        left -= part;
    }
}

static void lie_with_other(struct sim *s, struct buf *b)
{
    b->n = 0;
    if (s->place.count) {
        const struct mem_entry *e = &s->place.entries[sim_roll(s, s->place.count)];
        buf_put(b, e->bytes, e->n);
    }
}

static void lie_with_format(struct sim *s, struct buf *b)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"pawl\":1,\"keep_days\":-1,\"grace_hours\":99999999999999999999}",
        "{\"pawl\":1,\"keep_days\":0,\"grace_hours\":0}",
        "{\"pawl\":1e400}",
        "{\"pawl\":1,\"needs\":[\"x\"]}",
    };
    b->n = 0;
    buf_put_str(b, str_from(texts[sim_roll(s, sizeof texts / sizeof texts[0])]));
}

void sim_lie_get(struct sim *s, struct sim_client *c)
{
    struct buf *b = &c->reply;
    if (sim_roll(s, s->lie_in)) {
        return;
    }
    if (strcmp(c->key, "format") == 0 && sim_roll(s, 2)) {
        lie_with_format(s, b);
    }
    switch (sim_roll(s, 14)) {
    case 0: b->n = sim_roll(s, b->n + 1); break;
    case 1:
        for (uint64_t i = 1 + sim_roll(s, 8); i > 0 && b->n; i--) {
            b->s[sim_roll(s, b->n)] = (char)mem_random(&s->seed);
        }
        break;
    case 2: put_noise(s, b, sim_roll(s, 5000)); break;
    case 3: put_noise(s, b, sim_roll(s, 20) ? 300 << 10 : ENDLESS); break;
    case 4: lie_with_other(s, b); break;
    case 5: memset(b->s, 0, b->n); break;
    default: break;
    }
    c->answer.n = b->n;
}

static void put_listed(struct sim *s, struct sim_client *c, struct str key)
{
    static const int64_t times[] = {0, 1000, INT64_C(253402300799000), 1, INT64_C(1700000000000)};
    static const uint64_t sizes[] = {0, 1, 100, UINT64_MAX, 1 << 20, UINT64_C(1) << 40};
    struct sim_listed e = {sizes[sim_roll(s, 6)], times[sim_roll(s, 5)], key.n};
    buf_put(&c->reply, &e, sizeof e);
    buf_put_str(&c->reply, key);
    c->answer.n++;
}

void sim_lie_page(struct sim *s, struct sim_client *c)
{
    static const char *const keys[] = {
        "m/",  "m/../../x", "p/",  "m/018bd0328e96-",
        "",    "/",         "m/x", "p/../m/018bd0328e96-6f6644d008ce3cdd",
        "b/b", "l/",        "\n"};
    if (sim_roll(s, 3 * s->lie_in)) {
        return;
    }
    for (uint64_t i = sim_roll(s, sim_roll(s, 8) ? 4 : FLOOD); i > 0; i--) {
        char name[SEGMENT_NAME + PACK_KEY];
        struct pack_id id;
        uint64_t bits[2] = {mem_random(&s->seed), mem_random(&s->seed)};
        memcpy(id.b, bits, sizeof id.b);
        switch (sim_roll(s, 4)) {
        case 0:
            put_listed(s, c,
                       segment_key(s->place.now_ms - (int64_t)sim_roll(s, SIM_DAY), bits[0], name));
            break;
        case 1: put_listed(s, c, pack_key(&id, sim_roll(s, 2), name)); break;
        default: put_listed(s, c, str_from(keys[sim_roll(s, sizeof keys / sizeof keys[0])])); break;
        }
    }
    c->answer.more &= sim_roll(s, 10) != 0;
}

void sim_lie_answer(struct sim *s, struct sim_client *c)
{
    static const int64_t times[] = {
        0, 1, 1000, INT64_C(253402300799000), INT64_C(1500000000000), INT64_C(4000000000000)};
    if (sim_roll(s, 30) == 0) {
        c->answer.now_ms = times[sim_roll(s, 6)];
    }
    if (sim_roll(s, 30) == 0) {
        c->answer.stored_ms = times[sim_roll(s, 6)];
    }
    if (sim_roll(s, 60) == 0) {
        c->answer.answer = (uint32_t)sim_roll(s, 5);
    }
}

/* ---- nonsense that is well formed ---- */

static void flip_some(struct sim *s, struct buf *b)
{
    for (uint64_t i = sim_roll(s, 4); i > 0 && b->n; i--) {
        b->s[sim_roll(s, b->n)] ^= (char)(1 << sim_roll(s, 8));
    }
}

static uint64_t any_number(struct sim *s)
{
    return mem_random(&s->seed) >> sim_roll(s, 64);
}

static void add_nonsense_places(struct sim *s, const struct segment *from, struct segment_draft *d)
{
    for (uint32_t i = 0; i < from->places.n; i++) {
        struct arena a = {0};
        struct pack_place place;
        segment_place_read(from, &from->places.at[i], &a, &place);
        for (uint32_t k = 0; k < place.run_count; k++) {
            struct pack_run *r = &place.runs[k];
            uint64_t *const fields[] = {&r->offset, &r->length};
            if (sim_roll(s, 2)) {
                *fields[sim_roll(s, 2)] = any_number(s);
            }
            if (sim_roll(s, 3) == 0) {
                r->count = (uint32_t)any_number(s);
            }
            r->pack.b[0] ^= sim_roll(s, 5) == 0;
        }
        segment_draft_add_place(d, &place);
        arena_free(&a);
    }
}

static void add_nonsense(struct sim *s, const struct segment *from, struct segment_draft *d)
{
    for (uint32_t i = 0; i < from->blocks.n && sim_roll(s, 4); i++) {
        segment_draft_add_block(d, from->blocks.at[i].bytes);
    }
    add_nonsense_places(s, from, d);
    for (uint32_t i = 0; i < from->pack_count; i++) {
        struct segment_condemned c = {segment_pack(from, i), (int64_t)any_number(s)};
        if (sim_roll(s, 3) == 0) {
            segment_draft_add_condemned(d, &c);
        }
    }
    struct segment_use use = {.day = (uint32_t)any_number(s)};
    segment_draft_add_use(d, &use);
    flip_some(s, &d->places);
    flip_some(s, &d->condemned);
    flip_some(s, &d->uses);
    if (sim_roll(s, 3) == 0) {
        flip_some(s, &d->blocks);
    }
    if (sim_roll(s, 6) == 0) {
        d->place_count = (uint32_t)any_number(s);
    }
    if (sim_roll(s, 6) == 0) {
        d->block_count = (uint32_t)any_number(s);
    }
}

void sim_plant_nonsense(struct sim *s)
{
    struct segment segment;
    const struct mem_entry *e =
        s->place.count ? &s->place.entries[sim_roll(s, s->place.count)] : NULL;
    if (!e || e->key[0] != 'm'
        || segment_read((struct str){e->bytes, e->n}, &segment) != SEGMENT_GOOD) {
        return;
    }
    struct segment_draft draft;
    struct buf bytes;
    char name[SEGMENT_NAME];
    segment_draft_init(&draft);
    buf_init(&bytes, SEGMENT_STORED_LIMIT);
    add_nonsense(s, &segment, &draft);
    if (segment_draft_write(&draft, &bytes)) {
        mem_put(&s->place, segment_key(s->place.now_ms, mem_random(&s->seed), name),
                buf_str(&bytes));
        s->count.crafted++;
    }
    buf_free(&bytes);
    segment_draft_free(&draft);
    segment_free(&segment);
}
