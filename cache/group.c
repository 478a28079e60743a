/* SPDX-License-Identifier: MIT */
/* Publishing what waits. A place that counts on a pack which was condemned meanwhile is copied out of it; a result
 * whose bytes cannot be had any more is left out, and the group says so. */
#include "cache/group.h"

#include "cache/move.h"

#include <string.h>

enum { REPAIR_ATTEMPTS = 3 };

void group_free(struct group *g)
{
    arena_free(&g->arena);
    memset(g, 0, sizeof *g);
}

void group_begin(struct group *g, const struct manifest *m)
{
    if (!g->begun_boot_ns) {
        g->begun_boot_ns = m->world.boot_ns(m->world.context);
    }
}

void group_add(struct group *g, struct str row, struct pack_place *places, uint32_t count)
{
    g->row_bytes += row.n;
    *VEC_PUSH(&g->arena, &g->results) =
        (struct group_result){str_copy(&g->arena, row), places, count, false};
}

void group_add_use(struct group *g, const uint8_t *fingerprint, uint32_t day)
{
    struct segment_use *u = VEC_PUSH(&g->arena, &g->uses);
    memcpy(u->prefix, fingerprint, sizeof u->prefix);
    u->day = day;
}

bool group_is_due(const struct group *g, const struct manifest *m, const struct store *s)
{
    if (g->results.n == 0) {
        return false;
    }
    int64_t since;
    int64_t age = m->world.boot_ns(m->world.context) - g->begun_boot_ns;
    return age >= GROUP_NS || g->row_bytes >= GROUP_ROW_BYTES
           || store_waiting(s, &since) >= GROUP_BYTES;
}

/* Packs that the store has put are this client's own from before the group began. false with a warning: what it
 * lost, the publish rule finds, since nobody has seen that pack. */
static bool seal(struct group *g, struct manifest *m, struct store *s, struct diags *notes)
{
    bool ok = store_seal(s, notes);
    for (uint32_t i = 0; i < s->writer.put_count; i++) {
        manifest_add_own(m, &s->writer.puts[i].id, g->begun_boot_ns);
    }
    pack_forget_puts(&s->writer);
    return ok;
}

static bool may_name_place(const struct manifest *m, const struct pack_place *p)
{
    for (uint32_t i = 0; i < p->run_count; i++) {
        if (!manifest_may_name(m, &p->runs[i].pack)) {
            return false;
        }
    }
    return true;
}

static void leave_doomed(struct mover *mover, const struct manifest *m, struct store *s,
                         const struct pack_place *p)
{
    for (uint32_t i = 0; i < p->run_count; i++) {
        const struct pack_run *run = &p->runs[i];
        if (!manifest_may_name(m, &run->pack)) {
            store_forget(s, &run->pack);
            mover_leave(mover, &run->pack, run->count == 0, run->count == 0 ? run->length : 0);
            mover_need(mover, run);
        }
    }
}

/* Copies what lies in packs that must not be named; a result of which something is gone is lost. */
static void repair(struct group *g, struct manifest *m, struct store *s, struct diags *notes)
{
    struct mover mover;
    mover_init(&mover, m);
    for (uint32_t i = 0; i < g->results.n; i++) {
        for (uint32_t k = 0; k < g->results.at[i].place_count; k++) {
            leave_doomed(&mover, m, s, &g->results.at[i].places[k]);
        }
    }
    bool moved = mover_run(&mover, notes);
    for (uint32_t i = 0; i < g->results.n; i++) {
        struct group_result *r = &g->results.at[i];
        for (uint32_t k = 0; k < r->place_count && !r->lost; k++) {
            struct pack_place *p = &r->places[k];
            r->lost = !may_name_place(m, p) && !(moved && mover_place(&mover, p, &g->arena, p));
        }
    }
    mover_free(&mover);
}

static uint32_t fill_draft(const struct group *g, struct segment_draft *d,
                           const struct group_author *by, int64_t now_ms)
{
    struct str *rows = mem_alloc((g->results.n + 1) * sizeof *rows);
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->results.n; i++) {
        const struct group_result *r = &g->results.at[i];
        if (r->lost) {
            continue;
        }
        rows[count++] = r->row;
        for (uint32_t k = 0; k < r->place_count; k++) {
            segment_draft_add_place(d, &r->places[k]);
        }
    }
    if (count > 0) {
        struct buf block;
        buf_init(&block, SEGMENT_RAW_LIMIT);
        segment_block_put(&block, by->writer, now_ms, rows, count);
        if (by->self) {
            trust_put_block(by->self, d, &block, true);
        } else {
            segment_draft_add_block(d, buf_str(&block));
        }
        buf_free(&block);
    }
    for (uint32_t i = 0; i < g->uses.n; i++) {
        segment_draft_add_use(d, &g->uses.at[i]);
    }
    mem_free(rows);
    return count;
}

static enum manifest_answer publish_once(const struct group *g, struct manifest *m,
                                         const struct group_author *by, uint32_t *published,
                                         struct diags *notes)
{
    struct segment_draft draft;
    segment_draft_init(&draft);
    *published = fill_draft(g, &draft, by, manifest_now_ms(m));
    enum manifest_answer answer = MANIFEST_DONE;
    if (!segment_draft_is_empty(&draft)) {
        answer = manifest_publish(m, &draft, notes);
    }
    segment_draft_free(&draft);
    return answer;
}

bool group_publish(struct group *g, struct manifest *m, struct store *s,
                   const struct group_author *by, struct diags *notes)
{
    enum manifest_answer answer = MANIFEST_DONE;
    uint32_t published = 0;
    bool sealed = seal(g, m, s, notes);
    for (int i = 0; i < REPAIR_ATTEMPTS; i++) {
        answer = publish_once(g, m, by, &published, notes);
        if (answer != MANIFEST_DOOMED) {
            break;
        }
        repair(g, m, s, notes);
    }
    bool ok = answer == MANIFEST_DONE && published == g->results.n;
    if (!ok && sealed && answer != MANIFEST_FAILED) {
        diag_warning(notes, "cache-write", SPAN_NONE,
                     "some results could not be kept in the cache");
    }
    group_free(g);
    return ok;
}
