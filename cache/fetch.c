/* SPDX-License-Identifier: MIT */
/* From a place's objects to files. Invariant: below a folder that is being made, everything is created by
 * name within the descriptor of its own folder, never through a link. */
#include "cache/fetch.h"

#include "cache/pieces.h"
#include "cache/place.h"
#include "cache/scan.h"
#include "cache/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* One root on its way out of its place. */
struct fetching {
    const struct fetch *f;
    struct place_reader reader;
    struct arena arena; /* of the folders and lists one is in */
    struct arena counts;
    struct table trees;         /* that were checked … */
    VEC(uint64_t) tree_entries; /* … and what lies below each, by number */
    struct pieces pieces;       /* of a large file or a folder that is being made; else unused */
    uint64_t entries;
    uint32_t depth;
    int error; /* errno of a target that could not be written, else 0 */
    enum fetch_answer answer;
};

/* Where a file's bytes go. */
struct target {
    const struct depot_sink *sink; /* NULL: nowhere */
    int fd;                        /* the file behind the sink, for reflinks; or -1 */
    uint64_t *at; /* in pieces instead, the next of them at this offset of the file; or NULL */
};

static bool fail(struct fetching *x, enum fetch_answer answer)
{
    x->answer = answer;
    return false;
}

static bool unwritten(struct fetching *x)
{
    x->error = errno ? errno : EIO;
    return fail(x, FETCH_UNWRITTEN);
}

static enum place_answer find(struct fetching *x, const struct ref *ref, struct str *bytes,
                              struct pack_run *plain)
{
    if (x->pieces.reader) {
        pieces_make_room(&x->pieces);
    }
    return place_get(&x->reader, ref, bytes, plain);
}

static bool get(struct fetching *x, const struct ref *ref, struct str *bytes)
{
    struct pack_run plain;
    enum place_answer answer = find(x, ref, bytes, &plain);
    return answer == PLACE_DONE || fail(x, answer == PLACE_ABSENT ? FETCH_ABSENT : FETCH_BAD);
}

/* In time: a failure among the pieces comes first in order, and is told by them. */
static bool add_piece(struct fetching *x, const struct piece *piece)
{
    enum place_answer answer = pieces_add(&x->pieces, piece);
    if (answer != PLACE_DONE) {
        return fail(x, answer == PLACE_ABSENT ? FETCH_ABSENT : FETCH_BAD);
    }
    return x->pieces.answer == PIECES_DONE || fail(x, FETCH_BAD);
}

/* ---- files ---- */

static bool deliver(struct fetching *x, const struct target *to, const void *bytes, size_t n)
{
    return !to->sink || to->sink->take(to->sink->context, bytes, n) || unwritten(x);
}

static bool fetch_blob(struct fetching *x, const struct ref *ref, const struct target *to)
{
    struct str bytes;
    if (to->at) {
        const struct piece piece = {.ref = *ref, .fd = to->fd, .offset = *to->at};
        *to->at += ref->size;
        return add_piece(x, &piece);
    }
    return get(x, ref, &bytes) && deliver(x, to, bytes.s, bytes.n);
}

/* Hashes what was cloned, or hands it on while it is hashed. */
static bool plain_matches(struct fetching *x, int from, const struct ref *ref,
                          const struct target *to)
{
    struct ref found = {0};
    bool cloned = to->fd >= 0 && ioctl(to->fd, FICLONE, from) == 0;
    int read_from = cloned ? to->fd : from;
    if (lseek(read_from, 0, SEEK_SET) < 0) {
        return unwritten(x);
    }
    errno = 0;
    if (!object_hash_fd(read_from, cloned ? NULL : to->sink, &found)) {
        return errno && errno != EIO ? unwritten(x) : fail(x, FETCH_BAD);
    }
    return ref_eq(&found, ref) || fail(x, FETCH_BAD);
}

static bool fetch_plain(struct fetching *x, const struct pack_run *run, const struct ref *ref,
                        const struct target *to)
{
    char key[PACK_KEY];
    struct stat st;
    const struct place_tee *tee = x->reader.tee;
    if (tee) {
        return (tee->plain && tee->plain(tee->context, ref, run)) || fail(x, FETCH_BAD);
    }
    pack_key(&run->pack, true, key);
    int fd = x->f->folder < 0
                 ? -1
                 : openat(x->f->folder, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return fail(x, FETCH_ABSENT);
    }
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == ref->size;
    ok = ok ? plain_matches(x, fd, ref, to) : fail(x, FETCH_BAD);
    close(fd);
    return ok;
}

static bool fetch_below_list(struct fetching *x, const struct list *list, const struct target *to);

/* A list in a list: one level lower, and never plain. */
static bool fetch_list(struct fetching *x, const struct ref *ref, uint8_t level,
                       const struct target *to)
{
    struct str bytes;
    struct list list;
    struct arena_mark mark = arena_mark(&x->arena);
    bool ok =
        get(x, ref, &bytes)
        && ((list_read(&x->arena, bytes, &list) && list.level == level && list.total == ref->size)
            || fail(x, FETCH_BAD));
    ok = ok && fetch_below_list(x, &list, to);
    arena_reset(&x->arena, mark);
    return ok;
}

static bool fetch_below_list(struct fetching *x, const struct list *list, const struct target *to)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const struct ref *e = &list->entries[i];
        bool skip = !to->sink && place_has(&x->reader, e); /* verified before */
        bool ok = skip           ? true
                  : !list->level ? fetch_blob(x, e, to)
                                 : fetch_list(x, e, (uint8_t)(list->level - 1), to);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* A file of 1 MiB or more. */
static bool fetch_large(struct fetching *x, const struct ref *ref, const struct target *to)
{
    struct str bytes;
    struct list list;
    struct pack_run plain;
    enum place_answer answer = find(x, ref, &bytes, &plain);
    if (answer == PLACE_PLAIN) {
        return fetch_plain(x, &plain, ref, to);
    }
    if (answer != PLACE_DONE) {
        return fail(x, answer == PLACE_ABSENT ? FETCH_ABSENT : FETCH_BAD);
    }
    struct arena_mark mark = arena_mark(&x->arena);
    bool ok = (list_read(&x->arena, bytes, &list) && list.total == ref->size) || fail(x, FETCH_BAD);
    ok = ok && fetch_below_list(x, &list, to);
    arena_reset(&x->arena, mark);
    return ok;
}

static bool fetch_content(struct fetching *x, const struct ref *ref, const struct target *to)
{
    switch (ref->kind) {
    case REF_BLOB: return fetch_blob(x, ref, to);
    case REF_LIST: return fetch_large(x, ref, to);
    default: return fail(x, FETCH_BAD);
    }
}

static bool write_bytes(void *context, const void *bytes, size_t n)
{
    return file_write_all(*(int *)context, bytes, n);
}

/* A large file that was just made gets its content in pieces, and then its permissions; closes it. */
static bool fill_large(struct fetching *x, const struct piece_end *file, const struct ref *ref)
{
    int fd = file->fd;
    uint64_t at = 0;
    struct depot_sink sink = {write_bytes, &fd};
    struct target to = {&sink, fd, &at};
    bool ok = fetch_large(x, ref, &to);
    pieces_close(&x->pieces, file);
    return ok;
}

static bool fill_small(struct fetching *x, const struct piece_end *file, const struct ref *ref)
{
    int fd = file->fd;
    struct depot_sink sink = {write_bytes, &fd};
    struct target to = {&sink, fd, NULL};
    bool ok =
        fetch_blob(x, ref, &to) && (file->sure || piece_set_mode(fd, file->mode) || unwritten(x));
    if (close(fd) != 0 && ok) {
        ok = unwritten(x);
    }
    return ok;
}

/* ---- folders ---- */

/* A folder that is being filled. */
struct folder {
    int fd;
    uint32_t
        made; /* permissions that it was made with: what they hold, files in it are made with, too */
};

/* *content: as a fingerprint sees it. */
static bool make_folder(struct fetching *x, const struct folder *in, const char *name,
                        const struct tree_entry *e, struct ref *content);

static bool make_file(struct fetching *x, const struct folder *in, const char *name,
                      const struct tree_entry *e)
{
    const uint32_t mode = e->mode & 0777;
    const bool sure = (mode & ~in->made) == 0;
    if (e->ref.kind == REF_BLOB) {
        const struct piece piece = {e->ref, in->fd, e->name, 0, mode, sure};
        return add_piece(x, &piece);
    }
    int fd = openat(in->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    return fd < 0 ? unwritten(x) : fill_large(x, &(struct piece_end){fd, mode, sure}, &e->ref);
}

static bool make_entry(struct fetching *x, const struct folder *in, const struct tree_entry *e,
                       struct ref *content)
{
    char name[TREE_NAME_LIMIT + 1], target[TREE_TARGET_LIMIT + 1];
    if (++x->entries > FETCH_ENTRIES_LIMIT) {
        return fail(x, FETCH_BAD);
    }
    memcpy(name, e->name.s, e->name.n);
    name[e->name.n] = 0;
    switch (e->ref.kind) {
    case REF_TREE: return make_folder(x, in, name, e, content);
    case REF_LINK:
        memcpy(target, e->target.s, e->target.n);
        target[e->target.n] = 0;
        return symlinkat(target, in->fd, name) == 0 || unwritten(x);
    default: return make_file(x, in, name, e);
    }
}

/* The folder's entries; its bytes are copied, since each get takes their place. */
static bool get_tree(struct fetching *x, const struct ref *ref, struct tree *out)
{
    struct str bytes;
    if (x->depth > TREE_DEPTH_LIMIT) {
        return fail(x, FETCH_BAD);
    }
    return get(x, ref, &bytes)
           && (tree_read(&x->arena, str_copy(&x->arena, bytes), out) || fail(x, FETCH_BAD));
}

static bool digest_content(struct fetching *x, const struct tree_entry *entries, uint32_t count,
                           struct ref *out)
{
    struct buf object;
    buf_init(&object, OBJECT_LIMIT);
    tree_put(&object, entries, count);
    bool fits = !object.full;
    *out = (struct ref){REF_TREE, object.n, digest_of(object.s, object.n)};
    buf_free(&object);
    return fits || fail(x, FETCH_BAD);
}

static bool fill_folder(struct fetching *x, const struct folder *folder, const struct ref *ref,
                        struct ref *content)
{
    struct tree tree;
    struct arena_mark mark = arena_mark(&x->arena);
    x->depth++;
    bool ok = get_tree(x, ref, &tree);
    for (uint32_t i = 0; ok && i < tree.count; i++) {
        struct ref below;
        ok = make_entry(x, folder, &tree.entries[i], &below);
        tree.entries[i] = ok ? tree_content(&tree.entries[i], &below) : tree.entries[i];
    }
    ok = ok && digest_content(x, tree.entries, tree.count, content);
    x->depth--;
    arena_reset(&x->arena, mark);
    return ok;
}

/* Fills a folder just made with folder_mode(); closes it. */
static bool fill_and_close(struct fetching *x, int fd, const struct tree_entry *e,
                           struct ref *content)
{
    struct stat st = {0};
    const uint32_t mode = e->mode & 0777;
    bool ok = fstat(fd, &st) == 0 || unwritten(x);
    const struct folder folder = {fd, st.st_mode & 07777};
    bool closed = (folder.made & S_IRWXU) != S_IRWXU; /* to its maker: an odd umask */
    ok = ok && (!closed || fchmod(fd, S_IRWXU) == 0 || unwritten(x))
         && fill_folder(x, &folder, &e->ref, content);
    pieces_close(&x->pieces, &(struct piece_end){fd, mode, !closed && folder.made == mode});
    return ok;
}

static uint32_t folder_mode(const struct tree_entry *e)
{
    return (e->mode & 0777) | S_IRWXU;
}

static bool make_folder(struct fetching *x, const struct folder *in, const char *name,
                        const struct tree_entry *e, struct ref *content)
{
    int fd = -1;
    if (mkdirat(in->fd, name, folder_mode(e)) == 0) {
        fd = openat(in->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    return fd < 0 ? unwritten(x) : fill_and_close(x, fd, e, content);
}

/* What one and the same tree may hold many times over, without being any larger for it. */
static bool count_entry(struct fetching *x, uint64_t *sum, const struct ref *e)
{
    uint32_t number = TABLE_NONE;
    if (e->kind == REF_TREE) {
        number = table_find(&x->trees, (struct str){(const char *)e->digest.b, sizeof e->digest.b});
    }
    *sum += 1 + (number == TABLE_NONE ? 0 : x->tree_entries.at[number]);
    return *sum <= FETCH_ENTRIES_LIMIT || fail(x, FETCH_BAD);
}

/* The same without a trace. What was met before is verified already. */
static bool check_tree(struct fetching *x, const struct ref *ref)
{
    static const struct target nowhere = {NULL, -1, NULL};
    struct tree tree;
    struct arena_mark mark = arena_mark(&x->arena);
    uint64_t sum = 0;
    x->depth++;
    bool ok = get_tree(x, ref, &tree);
    for (uint32_t i = 0; ok && i < tree.count; i++) {
        const struct ref *e = &tree.entries[i].ref;
        if (e->kind != REF_LINK && !place_has(&x->reader, e)) {
            ok = e->kind == REF_TREE ? check_tree(x, e) : fetch_content(x, e, &nowhere);
        }
        ok = ok && count_entry(x, &sum, e);
    }
    x->depth--;
    arena_reset(&x->arena, mark);
    bool is_new;
    table_add(&x->trees, (struct str){(const char *)ref->digest.b, sizeof ref->digest.b}, &is_new);
    if (is_new) {
        *VEC_PUSH(&x->counts, &x->tree_entries) = sum;
    }
    return ok;
}

/* ---- one root ---- */

static void fetching_init(struct fetching *x, const struct fetch *f, const struct pack_place *place)
{
    *x = (struct fetching){.f = f, .answer = FETCH_DONE};
    place_reader_init(&x->reader, f->depot, place);
    x->reader.decoder = frame_pool_take(f->frames);
    x->reader.verified = f->verified;
    x->reader.folder = f->folder;
    table_init(&x->trees, &x->counts);
}

static enum fetch_answer fetching_end(struct fetching *x)
{
    frame_pool_give(x->f->frames, &x->reader.decoder);
    place_reader_free(&x->reader);
    arena_free(&x->arena);
    arena_free(&x->counts);
    return x->answer;
}

enum fetch_answer fetch_check(const struct fetch *f, const struct pack_place *place)
{
    return fetch_pass(f, place, NULL);
}

enum fetch_answer fetch_pass(const struct fetch *f, const struct pack_place *place,
                             const struct place_tee *tee)
{
    static const struct target nowhere = {NULL, -1, NULL};
    struct fetching x;
    fetching_init(&x, f, place);
    x.reader.tee = tee;
    bool ok = place->root.kind == REF_TREE ? check_tree(&x, &place->root)
                                           : fetch_content(&x, &place->root, &nowhere);
    if (ok && !place_is_used_up(&x.reader)) {
        fail(&x, FETCH_BAD);
    }
    return fetching_end(&x);
}

static bool append_bytes(void *context, const void *bytes, size_t n)
{
    struct buf *out = context;
    buf_put(out, bytes, n);
    return !out->full;
}

static void say_miss(struct diags *notes, enum fetch_answer answer, struct str what, int error)
{
    const char *why = answer == FETCH_UNWRITTEN ? diag_reason(error)
                      : answer == FETCH_ABSENT  ? "it is not in the cache any more"
                                                : "its copy in the cache is damaged";
    const char *code = answer == FETCH_UNWRITTEN ? "cannot-restore"
                       : answer == FETCH_ABSENT  ? "cache-absent"
                                                 : "cache-damaged";
    diag_warning(notes, code, SPAN_NONE, "cannot restore '%.*s': %s", STR_ARG(what), why);
}

bool fetch_read(const struct fetch *f, const struct cache_places *places, const struct ref *ref,
                struct buf *out, struct diags *notes)
{
    enum fetch_answer answer = FETCH_ABSENT;
    size_t before = out->n;
    int error = 0;
    struct depot_sink sink = {append_bytes, out};
    struct target to = {&sink, -1, NULL};
    for (uint32_t i = 0; i < places->count && answer != FETCH_DONE; i++) {
        if (!ref_eq(&places->at[i].root, ref)) {
            continue;
        }
        struct fetching x;
        fetching_init(&x, f, &places->at[i]);
        fetch_content(&x, ref, &to);
        error = out->full ? EFBIG : x.error;
        answer = fetching_end(&x);
        out->n = answer == FETCH_DONE ? out->n : before;
        out->full = false;
    }
    if (answer != FETCH_DONE) {
        say_miss(notes, answer, STR("log"), error);
    }
    return answer == FETCH_DONE;
}

/* ---- outputs ---- */

/* A place, and how many come before it. */
struct ranked_place {
    const struct pack_place *place;
    uint32_t rank;
};

/* Outputs on their way into the workspace. */
struct outputs {
    const struct fetch *f;
    struct ranked_place *places; /* sorted by root */
    uint32_t place_count;
    struct arena arena;
    struct stage stage;
    struct diags *notes;
};

static int by_path(const void *x, const void *y)
{
    const struct record_output *a = x, *b = y;
    return str_cmp(a->path, b->path);
}

static int root_cmp(const struct ref *x, const struct ref *y)
{
    int c = digest_cmp(&x->digest, &y->digest);
    c = c ? c : (x->kind > y->kind) - (x->kind < y->kind);
    return c ? c : (x->size > y->size) - (x->size < y->size);
}

static int by_root(const void *x, const void *y)
{
    const struct ranked_place *a = x, *b = y;
    int c = root_cmp(&a->place->root, &b->place->root);
    return c ? c : (a->rank > b->rank) - (a->rank < b->rank);
}

static void sort_places(struct outputs *x, const struct cache_places *places)
{
    x->places = ARENA_ARRAY(&x->arena, struct ranked_place, places->count);
    x->place_count = places->count;
    for (uint32_t i = 0; i < places->count; i++) {
        x->places[i] = (struct ranked_place){&places->at[i], i};
    }
    if (places->count > 1) {
        qsort(x->places, places->count, sizeof *x->places, by_root);
    }
}

/* The first of the root's places, or where it would be. */
static uint32_t first_place(const struct outputs *x, const struct ref *root)
{
    uint32_t low = 0, high = x->place_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (root_cmp(&x->places[middle].place->root, root) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* What a record says that a fingerprint sees of a folder must be so: else what others make of these bytes would pass for
 * what they make of others. */
static bool make_root_folder(struct fetching *x, struct stage *stage, struct str temp,
                             const struct record_output *o)
{
    const struct tree_entry e = {.ref = o->ref, .mode = o->mode};
    struct ref content;
    int fd = stage_make_folder(stage, temp, folder_mode(&e));
    return fd < 0 ? unwritten(x)
                  : fill_and_close(x, fd, &e, &content)
                        && (digest_eq(&content.digest, &o->content) || fail(x, FETCH_BAD));
}

static bool make_root_file(struct fetching *x, struct stage *stage, struct str temp,
                           const struct record_output *o)
{
    const uint32_t mode = o->mode & 0777;
    const struct piece_end file = {stage_make_file(stage, temp, mode), mode, false};
    if (file.fd < 0) {
        return unwritten(x);
    }
    return o->ref.kind == REF_LIST ? fill_large(x, &file, &o->ref) : fill_small(x, &file, &o->ref);
}

static bool make_root(struct fetching *x, struct stage *stage, struct str temp,
                      const struct record_output *o)
{
    if (o->ref.kind == REF_BLOB) {
        return make_root_file(x, stage, temp, o);
    }
    if (o->ref.kind != REF_LIST && o->ref.kind != REF_TREE) {
        return fail(x, FETCH_BAD);
    }
    pieces_init(&x->pieces, &x->reader, x->f->frames, x->f->workers);
    bool ok = o->ref.kind == REF_TREE ? make_root_folder(x, stage, temp, o)
                                      : make_root_file(x, stage, temp, o);
    if (!pieces_end(&x->pieces)) {
        x->error = x->pieces.error;
        return fail(x, x->pieces.answer == PIECES_BAD ? FETCH_BAD : FETCH_UNWRITTEN);
    }
    return ok;
}

/* One output under its temporary name, from the first place that is good. */
static enum fetch_answer make_output(struct outputs *x, const struct record_output *o,
                                     struct str temp, int *error)
{
    enum fetch_answer answer = FETCH_ABSENT;
    for (uint32_t i = first_place(x, &o->ref);
         i < x->place_count && ref_eq(&x->places[i].place->root, &o->ref); i++) {
        struct fetching fetching;
        fetching_init(&fetching, x->f, x->places[i].place);
        bool ok = make_root(&fetching, &x->stage, temp, o);
        *error = fetching.error;
        answer = fetching_end(&fetching);
        if (ok || answer == FETCH_UNWRITTEN) {
            return answer;
        }
        stage_drop_temp(&x->stage, temp);
    }
    return answer;
}

/* An output within a folder that is an output too lies in that folder's tree: there it must be the same. */
static bool is_as_staged(struct outputs *x, const struct record_output *o, struct str staged)
{
    struct object_seen seen;
    struct diags unheard;
    diags_init(&unheard, &x->arena);
    return stage_is_straight(&x->stage, staged)
           && object_digest(x->stage.root, staged, &seen, &unheard) && ref_eq(&seen.ref, &o->ref);
}

static bool stage_output(struct outputs *x, const struct record_output *o)
{
    struct str temp = stage_inside(&x->stage, o->path);
    int error = 0;
    if (temp.n) {
        if (is_as_staged(x, o, temp)) {
            return true;
        }
        say_miss(x->notes, FETCH_BAD, o->path, 0);
        return false;
    }
    enum fetch_answer answer = FETCH_UNWRITTEN;
    if (stage_add(&x->stage, o->path, o->ref.kind == REF_TREE, &temp)) {
        answer = make_output(x, o, temp, &error);
    } else {
        error = errno;
    }
    if (answer != FETCH_DONE) {
        say_miss(x->notes, answer, o->path, error);
    }
    return answer == FETCH_DONE;
}

bool fetch_outputs(const struct fetch *f, const struct record *r, const struct cache_places *places,
                   int root, struct diags *notes)
{
    struct outputs x = {.f = f, .notes = notes};
    sort_places(&x, places);
    stage_init(&x.stage, root, &x.arena);
    struct record_output *sorted = ARENA_ARRAY(&x.arena, struct record_output, r->output_count);
    for (uint32_t i = 0; i < r->output_count; i++) {
        sorted[i] = r->outputs[i];
    }
    if (r->output_count > 1) {
        qsort(sorted, r->output_count, sizeof *sorted, by_path);
    }
    bool ok = true;
    for (uint32_t i = 0; i < r->output_count && ok; i++) {
        ok = stage_output(&x, &sorted[i]);
    }
    if (ok && !stage_commit(&x.stage)) {
        say_miss(notes, FETCH_UNWRITTEN, x.stage.failed, errno);
        ok = false;
    }
    stage_end(&x.stage);
    arena_free(&x.arena);
    return ok;
}

/* ---- ranges ---- */

static int by_offset(const void *x, const void *y)
{
    const struct pack_run *a = x, *b = y;
    int c = memcmp(a->pack.b, b->pack.b, sizeof a->pack.b);
    return c ? c : (a->offset > b->offset) - (a->offset < b->offset);
}

/* Grows the last range by the run, if it is near enough and the whole short enough. */
static bool range_joins(struct fetch_range *last, const struct pack_run *run, uint64_t limit)
{
    uint64_t end = last->offset + last->length, run_end = run->offset + run->length;
    if (last->plain || !run->count || !pack_id_eq(&last->pack, &run->pack)
        || (run->offset > end && run->offset - end >= FETCH_GAP)) {
        return false;
    }
    uint64_t length = (run_end > end ? run_end : end) - last->offset;
    if (length > limit) {
        return false;
    }
    last->length = length;
    return true;
}

uint32_t fetch_ranges(struct arena *a, const struct pack_run *runs, uint32_t count, uint64_t limit,
                      struct fetch_range **out)
{
    VEC(struct fetch_range) ranges = {0};
    struct pack_run *sorted = ARENA_ARRAY(a, struct pack_run, count);
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = runs[i];
    }
    if (count > 1) {
        qsort(sorted, count, sizeof *sorted, by_offset);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct pack_run *run = &sorted[i];
        if (ranges.n && range_joins(&ranges.at[ranges.n - 1], run, limit)) {
            continue;
        }
        uint64_t at = 0;
        do { /* a run that is longer than a range is cut */
            uint64_t rest = run->length - at;
            uint64_t length = run->count && rest > limit ? limit : rest;
            *VEC_PUSH(a, &ranges) =
                (struct fetch_range){run->pack, run->offset + at, length, !run->count};
            at += length;
        } while (at < run->length);
    }
    *out = ranges.at;
    return ranges.n;
}
