/* SPDX-License-Identifier: MIT */
/* Looking after a far place: the same code as for the local folder, over the far view. */
#include "cache/far_inside.h"
#include "cache/gc.h"

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
    struct cache c = {.depot = f->view.depot, .folder = -1, .manifest = f->view.manifest};
    table_init(&c.standing, &c.arena);
    bool ok = cache_check_held(&c, out, notes);
    arena_free(&c.arena);
    far_place_tell(f->place, notes);
    return ok;
}
