/* SPDX-License-Identifier: MIT */
/* Looking after a far place: the same code as for the local folder, over the far view. */
#include "cache/compact.h"
#include "cache/far_inside.h"
#include "cache/gc.h"

#include <stdlib.h>
#include <string.h>

static bool open_whole(struct far *f, struct diags *notes)
{
    if (!far_view_open(&f->view, f->place, notes)) {
        return false;
    }
    manifest_widen(&f->view.manifest);
    return far_view_sync_full(&f->view, notes);
}

bool far_gc(struct far *f, const struct cache_gc_options *o, struct cache_gc_report *out,
            struct diags *notes)
{
    memset(out, 0, sizeof *out);
    bool ok = open_whole(f, notes) && manifest_read_format(&f->view.manifest, true, notes)
              && gc_run(&f->view.manifest, o, out, notes);
    far_place_tell(f->place, notes);
    return ok;
}

bool far_check(struct far *f, struct cache_check_report *out, struct diags *notes)
{
    memset(out, 0, sizeof *out);
    if (!open_whole(f, notes)) {
        return false;
    }
    struct cache c = {.depot = f->view.depot,
                      .folder = -1,
                      .manifest = f->view.manifest,
                      .trust = f->trust,
                      .self = f->self};
    table_init(&c.standing, &c.arena);
    bool ok = cache_check_held(&c, out, notes);
    for (uint32_t i = 0; i < c.standing.count; i++) { /* what results name, and is not there */
        if (!c.stands.at[i]) {
            far_place_lose(f->place, c.standing.keys[i]);
        }
    }
    trust_self_wipe(&c.self);
    arena_free(&c.arena);
    far_place_tell(f->place, notes);
    return ok;
}

/* Cut short anywhere it leaves both the heir and some of what it holds: the next one goes on. */
void far_compact(struct far *f, bool force)
{
    struct far_pusher *x = &f->pusher;
    struct manifest *m = &x->view.manifest;
    if (!x->open || far_place_is_unwritable(f->place) || !(force || compact_is_due(m))) {
        return;
    }
    struct arena scratch = {0};
    struct diags unheard;
    diags_init(&unheard, &scratch);
    (void)(far_view_sync_full(&x->view, &unheard) && compact_held(m, COMPACT_SMALL_ONES, &unheard));
    arena_free(&scratch);
}

/* ---- uses ---- */

static int compare_uses(const void *x, const void *y)
{
    const struct segment_use *a = x;
    const struct segment_use *b = y;
    int c = memcmp(a->prefix, b->prefix, sizeof a->prefix);
    return c ? c : (a->day < b->day) - (a->day > b->day); /* the latest first */
}

uint32_t far_used_say(struct far_pusher *x, struct segment_draft *d, struct arena *a,
                      struct segment_use **told)
{
    struct manifest *m = &x->view.manifest;
    uint32_t today = (uint32_t)(manifest_now_ms(m) / MANIFEST_DAY_MS);
    uint32_t count = far_used_read(x->view.place, a, told);
    struct segment_use *sorted = ARENA_ARRAY(a, struct segment_use, count + 1);
    memcpy(sorted, *told, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_uses);
    for (uint32_t i = 0; i < count; i++) {
        bool again = i > 0 && memcmp(sorted[i].prefix, sorted[i - 1].prefix, 8) == 0;
        struct segment_use use = sorted[i];
        use.day = use.day < today ? use.day : today; /* our clock may be ahead of theirs */
        if (!again && view_used_day(&m->view, use.prefix) < use.day) {
            segment_draft_add_use(d, &use);
        }
    }
    return count;
}
