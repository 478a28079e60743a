/* SPDX-License-Identifier: MIT */
/* remote/<id>/ holds m/…, each a verbatim copy with the far place's stored time as mtime, `format`, and `synced`:
 * when the last lists began. Invariant: `synced` is written after all that its list told of is kept. */
#include "cache/far_view.h"

#include "core/base/file.h"
#include "core/base/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SYNCED_LIMIT = 4096, MS_NS = 1000000 };

static int open_folder(struct far_place *p)
{
    const struct far_options *o = far_place_options(p);
    struct arena scratch = {0};
    struct str folder = path_join(&scratch, o->near_dir, far_place_folder(p));
    struct str segments = path_join(&scratch, folder, STR("m"));
    int fd = -1;
    if (o->near_dir.n && (o->asking || file_make_dirs(FILE_CWD, segments, 0700))) {
        fd = open(str_c(&scratch, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    arena_free(&scratch);
    return fd;
}

/* ---- the copies ---- */

/* false: it is not whole, and must be fetched again. */
static bool take_copy(struct far_view *v, struct str name, struct arena *scratch)
{
    struct str key = str_join3(scratch, STR("m/"), name, STR(""));
    struct str bytes;
    struct stat st;
    struct segment segment = {0};
    int64_t named_ms;
    if (!segment_key_parse(key, &named_ms)) {
        return true; /* not ours */
    }
    if (!file_read_quiet(scratch, v->folder, key, SEGMENT_STORED_LIMIT + SEGMENT_HEADER, &bytes)
        || fstatat(v->folder, str_c(scratch, key), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return false;
    }
    enum segment_answer state = segment_read(bytes, &segment);
    struct depot_entry e = {key, bytes.n, st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / MS_NS};
    if (state == SEGMENT_BAD) {
        far_depot_forget_copy(v->depot, key);
        return false;
    }
    view_add(&v->manifest.view, &e, state, &segment);
    return true;
}

static bool take_copies(struct far_view *v)
{
    struct arena a = {0};
    struct file_entry *entries;
    uint32_t count;
    bool whole = file_list(&a, v->folder, STR("m"), &entries, &count);
    for (uint32_t i = 0; whole && i < count; i++) {
        struct arena_mark mark = arena_mark(&a);
        whole = take_copy(v, entries[i].name, &a);
        arena_reset(&a, mark);
    }
    arena_free(&a);
    return whole;
}

static int64_t member_ms(const struct json *j, struct str name)
{
    const struct json *x = json_member(j, name);
    return x && x->kind == JSON_INT && x->integer > 0 ? x->integer : 0;
}

static void read_synced(struct far_view *v)
{
    struct arena a = {0};
    struct diags unheard;
    struct str text;
    diags_init(&unheard, &a);
    const struct json *j = file_read_quiet(&a, v->folder, STR("synced"), SYNCED_LIMIT, &text)
                               ? json_parse(&a, text, 0, &unheard)
                               : NULL;
    if (j && j->kind == JSON_OBJECT) {
        v->manifest.list_began_ms = member_ms(j, STR("list_ms"));
        v->full_ms = member_ms(j, STR("full_ms"));
    }
    arena_free(&a);
}

static bool has_bad(const struct view *v)
{
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->segments[i]->state == SEGMENT_BAD) {
            return true;
        }
    }
    return false;
}

/* Of what came garbled there is no copy: only a full list finds it again. Another client may have written a later one: then a list starts earlier than it must. */
static void write_synced(struct far_view *v)
{
    char text[100];
    const struct far_options *o = far_place_options(v->place);
    if (v->folder < 0 || o->asking) {
        return;
    }
    int n = snprintf(text, sizeof text, "{\"list_ms\":%lld,\"full_ms\":%lld}\n",
                     (long long)v->manifest.list_began_ms,
                     has_bad(&v->manifest.view) ? 0LL : (long long)v->full_ms);
    (void)(file_sync_dir(v->folder, STR("m"))
           && file_write(v->folder, STR("synced"), (struct str){text, (size_t)n}, 0600, true));
}

/* ---- open and close ---- */

/* Another lane's list is as good as an own one where all that it told of lies in the copies. */
static void take_listed(struct far_view *v, const struct far_listed *l)
{
    struct manifest *m = &v->manifest;
    if (l->list_boot_ns && v->full_ms && m->view.count >= l->segments) {
        m->list_began_ms = l->list_ms;
        m->list_boot_ns = l->list_boot_ns;
        m->depot_ms = l->depot_ms;
        m->depot_boot_ns = l->depot_boot_ns;
    }
}

static void note_listed(const struct far_view *v)
{
    const struct manifest *m = &v->manifest;
    const struct far_listed l = {m->list_began_ms, m->list_boot_ns, m->depot_ms, m->depot_boot_ns,
                                 m->view.count};
    if (v->folder >= 0 && !far_place_options(v->place)->asking) {
        far_place_note_listed(v->place, &l);
    }
}

bool far_view_open(struct far_view *v, struct far_place *p, struct diags *notes)
{
    if (v->open || v->unusable) {
        return v->open;
    }
    *v = (struct far_view){.place = p, .folder = open_folder(p)};
    bool keeps = !far_place_options(p)->asking;
    v->depot = far_depot_open(p, keeps ? v->folder : -1, notes);
    if (!v->depot) {
        v->unusable = true;
        if (v->folder >= 0) {
            close(v->folder);
        }
        return false;
    }
    v->open = true;
    bool is_folder = str_starts(far_place_options(p)->url, STR("file://"));
    manifest_init(&v->manifest, v->depot, is_folder, manifest_world_real());
    const struct far_listed listed = far_place_listed(p); /* before the copies are read */
    if (v->folder >= 0) {
        read_synced(v);
        if (!take_copies(v)) {
            v->full_ms = 0;
        }
        take_listed(v, &listed);
    }
    if (v->full_ms) { /* how long ago the far clock will say */
        v->manifest.full_boot_ns = time_boot_ns();
    }
    return true;
}

void far_view_close(struct far_view *v)
{
    if (v->open) {
        manifest_free(&v->manifest);
        depot_close(v->depot);
        if (v->folder >= 0) {
            close(v->folder);
        }
    }
    *v = (struct far_view){.folder = -1};
}

/* ---- syncing ---- */

/* Who was full-listed away goes from the copies, too; what others have fetched meanwhile stays. */
static void drop_copies(struct far_view *v, const struct table *before)
{
    for (uint32_t i = 0; i < before->count; i++) {
        if (!view_holds(&v->manifest.view, before->keys[i])) {
            far_depot_forget_copy(v->depot, before->keys[i]);
        }
    }
}

/* What could not be read may have come garbled, where no checksum covers it: it is asked for once more. */
static void forget_unread(struct far_view *v)
{
    struct view *view = &v->manifest.view;
    for (uint32_t i = 0; i < view->count; i++) {
        struct view_segment *s = view->segments[i];
        s->listed = s->state == SEGMENT_GOOD;
        if (!s->listed) {
            far_depot_forget_copy(v->depot, str_from(s->name));
        }
    }
    view_forget_unlisted(view);
}

static bool sync_full(struct far_view *v, struct diags *unheard)
{
    struct arena scratch = {0};
    forget_unread(v);
    struct table before;
    table_init(&before, &scratch);
    for (uint32_t i = 0; i < v->manifest.view.count; i++) {
        table_add(&before, str_from(v->manifest.view.segments[i]->name), NULL);
    }
    bool ok = manifest_sync(&v->manifest, true, unheard);
    if (ok) {
        drop_copies(v, &before);
        v->full_ms = v->manifest.list_began_ms;
    }
    arena_free(&scratch);
    return ok;
}

/* Trouble is told once, by the place; so is what is damaged or too much, whichever view saw it first. */
static void pass_on(struct far_place *p, const struct diags *from, struct diags *to)
{
    for (uint32_t i = 0; i < from->all.n; i++) {
        const char *code = from->all.at[i].code;
        bool damaged = strcmp(code, "cache-damaged") == 0;
        if ((damaged || strcmp(code, "cache-too-many") == 0) && far_place_may_tell(p)) {
            diag_warning(to, code, SPAN_NONE, "remote: %.*s", STR_ARG(from->all.at[i].message));
        }
    }
}

static bool read_format(struct far_view *v, struct diags *own)
{
    if (v->manifest.has_format) {
        return true;
    }
    bool ok = manifest_read_format(&v->manifest, false, own);
    if (!ok) { /* a copy that does not read well must not stand in for what is there */
        far_depot_forget_copy(v->depot, STR("format"));
        ok = !far_place_is_down(v->place) && manifest_read_format(&v->manifest, false, own);
    }
    if (!ok) {
        far_depot_forget_copy(v->depot, STR("format"));
        v->unusable = true;
        far_place_give_up(v->place, "its 'format' is not one that this program knows");
    }
    return !v->unusable;
}

/* Where the place's clock was ahead the last time, what was put since may sort before what this list began behind. */
static bool sync_view(struct far_view *v, bool full, struct diags *notes)
{
    struct arena scratch = {0};
    struct diags own;
    diags_init(&own, &scratch);
    if (full) {
        far_depot_forget_copy(v->depot, STR("format"));
    }
    int64_t before = v->manifest.list_began_ms;
    bool ok = read_format(v, &own);
    ok = ok && (full ? sync_full(v, &own) : manifest_sync(&v->manifest, false, &own));
    if (ok && !full) {
        int64_t age = manifest_now_ms(&v->manifest) - v->full_ms;
        bool went_back = before - v->manifest.list_began_ms > VIEW_LATE_MS;
        ok = (age >= 0 && age <= MANIFEST_FULL_MS && !went_back) || sync_full(v, &own);
    }
    if (ok) {
        write_synced(v);
        note_listed(v);
    }
    pass_on(v->place, &own, notes);
    if (v->manifest.told_many) { /* as if it were not there */
        v->unusable = true;
        far_place_give_up(v->place, NULL);
    }
    far_place_tell(v->place, notes);
    arena_free(&scratch);
    return ok;
}

bool far_view_sync(struct far_view *v, int64_t max_age_ms, struct diags *notes)
{
    if (!v->open || v->unusable || far_place_is_down(v->place)) {
        return false;
    }
    if (manifest_view_age_ms(&v->manifest) <= max_age_ms) {
        return true;
    }
    return sync_view(v, v->full_ms == 0, notes);
}

bool far_view_sync_full(struct far_view *v, struct diags *notes)
{
    return v->open && !v->unusable && !far_place_is_down(v->place) && sync_view(v, true, notes);
}
