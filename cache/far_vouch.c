/* SPDX-License-Identifier: MIT */
/* Vouching: results that are taken here are published once more, under the own key. Their bytes stay where they are: only
 * a segment goes up, under the publish rule. */
#include "cache/far_inside.h"
#include "core/base/file.h"

#include <string.h>

enum { ATTEMPTS = 3, GROUP_ROWS = 4096, PLACES_EACH = 8 };
#define GROUP_BYTES ((size_t)4 << 20)

struct vouching {
    struct far *f;
    struct arena arena;
    VEC(struct str) rows; /* copies: the view may let go of its own */
    uint32_t next;
    struct far_pushed *out;
    struct diags *notes;
};

/* Whether somebody has said it under this name; a garbled signature says nothing. */
static bool is_vouched(const struct view *v, const struct sign_private *key, struct str row,
                       struct arena *a)
{
    struct view_found *rows;
    uint32_t count = view_find_row(v, row, a, &rows);
    for (uint32_t i = 0; i < count; i++) {
        if (segment_block_check(rows[i].block->bytes, &key->public)) {
            return true;
        }
    }
    return false;
}

struct gathering {
    struct vouching *v;
    bool (*wanted)(void *context, const struct far_hit *h);
    void *context;
};

static bool gather(void *context, const struct far_hit *h)
{
    struct gathering *g = context;
    struct vouching *v = g->v;
    struct arena scratch = {0};
    if (h->taken && g->wanted(g->context, h)) {
        if (is_vouched(&v->f->view.manifest.view, &v->f->self.key, h->row, &scratch)) {
            v->out->known++;
        } else {
            *VEC_PUSH(&v->arena, &v->rows) = str_copy(&v->arena, h->row);
        }
    }
    arena_free(&scratch);
    return true;
}

/* Places are hints, and anybody's: one that leads nowhere must not be the only one. */
static bool add_places(const struct view *v, struct segment_draft *d, const struct ref *root,
                       struct arena *a)
{
    struct pack_place *places;
    uint32_t count = view_find_places(v, root, PLACES_EACH, a, &places);
    uint32_t sound = 0;
    while (sound < count && !view_place_is_condemned(v, &places[sound])) {
        segment_draft_add_place(d, &places[sound++]);
    }
    return sound > 0;
}

static bool add_row(const struct view *v, struct segment_draft *d, struct str row, struct arena *a)
{
    struct record r;
    bool whole = record_read(a, row, &r);
    for (uint32_t i = 0; whole && i < far_root_count(&r); i++) {
        whole = add_places(v, d, far_root(&r, i), a);
    }
    return whole;
}

/* As many as one segment holds well; *end: behind the last one. */
static uint32_t fill(struct vouching *v, struct segment_draft *d, uint32_t *end)
{
    struct manifest *m = &v->f->view.manifest;
    struct arena scratch = {0};
    struct str *rows = ARENA_ARRAY(&scratch, struct str, GROUP_ROWS);
    uint32_t count = 0;
    for (*end = v->next; *end < v->rows.n && count < GROUP_ROWS; (*end)++) {
        struct arena_mark mark = arena_mark(&scratch);
        struct str row = v->rows.at[*end];
        if (add_row(&m->view, d, row, &scratch)) {
            rows[count++] = row;
        } else {
            v->out->missing++;
        }
        arena_reset(&scratch, mark);
        if (segment_draft_size(d) > GROUP_BYTES) {
            (*end)++;
            break;
        }
    }
    if (count > 0) {
        struct buf block;
        buf_init(&block, SEGMENT_RAW_LIMIT);
        segment_block_put(&block, STR("vouched"), manifest_now_ms(m), rows, count);
        trust_put_block(&v->f->self, d, &block, false);
        buf_free(&block);
    }
    arena_free(&scratch);
    return count;
}

static bool publish_group(struct vouching *v)
{
    enum manifest_answer answer = MANIFEST_DOOMED;
    struct far_pushed before = *v->out;
    for (int i = 0; i < ATTEMPTS && answer == MANIFEST_DOOMED; i++) {
        struct segment_draft d;
        uint32_t end;
        *v->out = before;
        segment_draft_init(&d);
        uint32_t count = fill(v, &d, &end);
        answer = count > 0 ? manifest_publish(&v->f->view.manifest, &d, v->notes) : MANIFEST_DONE;
        segment_draft_free(&d);
        if (answer == MANIFEST_DONE) {
            v->out->results += count;
            v->next = end;
        }
    }
    return answer == MANIFEST_DONE;
}

void far_vouch(struct far *f, bool (*wanted)(void *context, const struct far_hit *h), void *context,
               struct far_pushed *out, struct diags *notes)
{
    *out = (struct far_pushed){0};
    struct vouching v = {.f = f, .out = out, .notes = notes};
    struct gathering g = {&v, wanted, context};
    bool ok = f->self.signs && f->trust.only && far_each(f, gather, &g, notes)
              && manifest_read_format(&f->view.manifest, true, notes);
    while (ok && v.next < v.rows.n) {
        ok = publish_group(&v);
    }
    out->whole = ok;
    arena_free(&v.arena);
    far_place_tell(f->place, notes);
}
