/* SPDX-License-Identifier: MIT */
/* Copies. What the local cache has of an object's version is put in place from there; the rest is fetched, hashed,
 * stored there under its version, and all of it takes its place at once. Works share nothing with a task, which may be
 * gone when they come back, and on threads that may be left behind they use nothing of the build's. */
#include "core/inputs.h"
#include "core/inputs_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FETCHERS = 3,
    BRINGS = 3 * FETCHERS, /* at once: so many are asked of the cache, fetched or stored */
    CHASES = 3,            /* after a version that changes while it is fetched */
    CHUNK_FILES = 2000,    /* fetched before they are stored … */
    MODE = 0444,
};
#define CHUNK_BYTES (UINT64_C(512) << 20) /* … or so many bytes */
#define SOON_BYTES (UINT64_C(16) << 20)   /* more is committed at once: a kill shall not cost it */
#define TOLD_BYTES (UINT64_C(64) << 20)   /* more is worth a line */
#define STORED_PATH ".pawl/data"          /* in a record; no step's output has such a path */

/* One object on its way. */
struct item {
    struct data_object object;
    struct str path;   /* from the stage's folder */
    struct digest key; /* under which the cache has it */
    const struct cache_hit *hit;
    bool done;  /* lies at path */
    bool fresh; /* fetched now */
    struct object_seen seen;
};

struct bring {
    struct work work;
    struct building *building;
    struct input *input;
    struct arena arena;
    struct diags notes;
    struct data_bucket *data;
    struct cache *cache; /* NULL: none */
    struct workers *fetchers;
    struct str uri, path, stage; /* workspace-relative; stage: the URI's folder, for parts … */
    struct str room;             /* … and below it one of this work's own */
    bool all;
    int root;
    struct digest version, key;
    struct item *items;
    uint32_t count, from, to; /* from .. to: the chunk under way … */
    struct arena chunk;       /* … and what is only of it */
    uint64_t missing;         /* bytes that the cache did not have, so far */
    bool told;
    int64_t began_ns;
    enum data_end end;
    struct str trouble;
    struct object_seen seen; /* of all of it */
};

/* ---- names ---- */

static struct digest key_of(struct str uri, const void *version, size_t n)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    buf_put(&b, "pawl s3 copy", sizeof "pawl s3 copy");
    buf_put_u8(&b, 1);
    buf_put_text(&b, uri);
    buf_put(&b, version, n);
    struct digest key = digest_of(b.s, b.n);
    buf_free(&b);
    return key;
}

static struct digest object_key(struct arena *a, struct str bucket, const struct data_object *o)
{
    struct buf version;
    buf_init(&version, BUF_TEXT_LIMIT);
    buf_put_varint(&version, o->size);
    buf_put_text(&version, o->etag);
    struct str uri = str_printf(a, "s3://%.*s/%.*s", STR_ARG(bucket), STR_ARG(o->key));
    struct digest key = key_of(uri, version.s, version.n);
    buf_free(&version);
    return key;
}

/* Whether objects below a prefix can be files in folders. */
static bool names_are_good(struct bring *g)
{
    struct arena scratch = {0};
    struct table files;
    bool good = true;
    table_init(&files, &scratch);
    for (uint32_t i = 0; i < g->count && g->all; i++)
        (void)table_add(&files, g->items[i].path, NULL);
    for (uint32_t i = 0; i < g->count && g->all && good; i++) {
        struct str path = g->items[i].path, rest = path, name;
        good = rest.n > 0 && !str_ends(rest, STR("/"));
        while (good && rest.n > 0 && str_cut(&rest, '/', &name)) {
            struct str above = str_sub(path, 0, (size_t)(name.s - path.s) + name.n);
            good = s3_uri_is_name(name)
                   && (above.n == path.n || table_find(&files, above) == TABLE_NONE);
        }
        if (!good) {
            struct buf words;
            buf_init(&words, BUF_TEXT_LIMIT);
            str_put_visible(&words, g->items[i].object.key);
            g->trouble = str_printf(&g->arena, "'%.*s' cannot be a file's name in a folder",
                                    STR_ARG(buf_str(&words)));
            buf_free(&words);
        }
    }
    arena_free(&scratch);
    return good;
}

/* ---- asking the cache: on its lane ---- */

static void lookup_run(struct work *work)
{
    struct bring *g = (struct bring *)work;
    for (uint32_t i = g->from; i < g->to; i++) {
        struct item *item = &g->items[i];
        struct cache_hit *hits;
        if (g->cache
            && cache_lookup(g->cache, &g->chunk, &item->key, INT64_MIN, &hits, &g->notes) > 0
            && hits[0].record.output_count == 1
            && str_eq(hits[0].record.outputs[0].path, STR(STORED_PATH)))
            item->hit = &hits[0];
        g->missing += item->hit ? 0 : item->object.size;
    }
}

/* ---- fetching: on a thread that may wait ---- */

static struct str in_stage(struct bring *g, struct arena *a, struct str path)
{
    return path_join(a, path_join(a, g->room, STR("new")), path);
}

static bool fail(struct bring *g, enum data_end end, struct str trouble)
{
    g->end = end;
    g->trouble = trouble;
    return false;
}

static bool fail_disk(struct bring *g)
{
    return fail(g, DATA_DISK, str_from(diag_reason(errno)));
}

static bool move(struct bring *g, struct str from, struct str to)
{
    struct arena scratch = {0};
    bool ok = file_make_parents(g->root, to, 0777)
              && renameat(g->root, str_c(&scratch, from), g->root, str_c(&scratch, to)) == 0;
    int error = errno;
    arena_free(&scratch);
    errno = error;
    return ok;
}

static int open_folder(struct bring *g, struct str path)
{
    struct arena scratch = {0};
    int fd = openat(g->root, str_c(&scratch, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    arena_free(&scratch);
    return fd;
}

/* From the cache to its path; not there any more: it is fetched. */
static void restore_item(struct bring *g, struct item *item)
{
    struct arena scratch = {0};
    struct str aside = path_join(&scratch, g->room, STR("from-cache"));
    int fd = file_make_dirs(g->root, aside, 0777) ? open_folder(g, aside) : -1;
    item->done =
        fd >= 0 && cache_restore(g->cache, item->hit, fd, NULL, &g->notes)
        && move(g, path_join(&scratch, aside, STR(STORED_PATH)), in_stage(g, &scratch, item->path));
    if (fd >= 0)
        close(fd);
    arena_free(&scratch);
}

/* From the copy that lies there, of which most may be as it was: each byte is looked at, as of what the cache has. */
static bool reuse_item(struct bring *g, struct item *item)
{
    struct arena scratch = {0};
    struct diags quiet;
    struct object_seen seen = {.changed = true};
    const struct record_output *want = &item->hit->record.outputs[0];
    struct str old = path_join(&scratch, g->path, item->path);
    struct str new = in_stage(g, &scratch, item->path);
    struct file_sig sig = file_stat(g->root, old, false);
    diags_init(&quiet, &scratch);
    item->done = S_ISREG(sig.mode) && (sig.mode & 07777) == MODE && sig.size == item->object.size
                 && object_digest_until(g->root, old, g->fetchers, &seen, &quiet) && !seen.changed
                 && ref_eq(&seen.ref, &want->ref) && file_make_parents(g->root, new, 0777)
                 && linkat(g->root, str_c(&scratch, old), g->root, str_c(&scratch, new), 0) == 0;
    arena_free(&scratch);
    return item->done;
}

/* Of an object of several windows what an earlier build got of it is still there. */
static struct str part_path(struct bring *g, const struct item *item)
{
    struct buf hex;
    buf_init(&hex, DIGEST_HEX);
    digest_put_hex(&hex, &item->key);
    struct str path = str_printf(&g->chunk, "%.*s/part-%.32s", STR_ARG(g->stage), hex.s);
    buf_free(&hex);
    return path;
}

/* All before the window that was last written to is whole. */
static uint64_t had_before(struct bring *g, const struct item *item, struct str path)
{
    struct file_sig sig = file_stat(g->root, path, false);
    if (!S_ISREG(sig.mode) || sig.size == 0 || sig.size > item->object.size)
        return 0;
    return (sig.size - 1) / DATA_WINDOW * DATA_WINDOW;
}

static bool hash_item(struct bring *g, struct item *item)
{
    struct diags quiet;
    struct arena scratch = {0};
    diags_init(&quiet, &scratch);
    struct str path = in_stage(g, &scratch, item->path);
    bool ok = fchmodat(g->root, str_c(&scratch, path), MODE, 0) == 0
              && object_digest_until(g->root, path, g->fetchers, &item->seen, &quiet)
              && !item->seen.changed && item->seen.ref.kind != REF_NONE;
    arena_free(&scratch);
    return ok
           || fail(g, workers_is_cancelled(g->fetchers) ? DATA_STOPPED : DATA_DISK,
                   STR("what was fetched cannot be read"));
}

/* The chunk's items that the cache did not have. */
static bool fetch_items(struct bring *g)
{
    uint32_t n = 0;
    struct data_file *files = mem_alloc((g->to - g->from + 1) * sizeof *files);
    for (uint32_t i = g->from; i < g->to; i++) {
        struct item *item = &g->items[i];
        if (item->done)
            continue;
        struct str path = part_path(g, item);
        files[n++] = (struct data_file){
            .object = &item->object, .path = path, .have = had_before(g, item, path)};
    }
    g->end = data_fetch(g->data, g->root, files, n, g->fetchers, &g->arena, &g->trouble);
    mem_free(files);
    bool ok = g->end == DATA_WHOLE;
    for (uint32_t i = g->from; i < g->to && ok; i++) {
        struct item *item = &g->items[i];
        if (item->done)
            continue;
        ok = move(g, part_path(g, item), in_stage(g, &g->chunk, item->path)) || fail_disk(g);
        ok = ok && hash_item(g, item);
        item->done = item->fresh = ok;
    }
    return ok;
}

static void choose_chunk(struct bring *g)
{
    uint64_t bytes = 0;
    g->to = g->from;
    while (g->to < g->count && g->to - g->from < CHUNK_FILES && bytes < CHUNK_BYTES)
        bytes += g->items[g->to++].object.size;
}

/* What an earlier try left, but for parts of this version. */
static bool prepare_stage(struct bring *g)
{
    struct arena scratch = {0};
    struct file_entry *entries;
    uint32_t count = 0;
    bool ok = file_make_dirs(g->root, g->stage, 0777)
              && file_list(&scratch, g->root, g->stage, &entries, &count);
    for (uint32_t i = 0; i < count && ok; i++) {
        struct str path = path_join(&scratch, g->stage, entries[i].name);
        bool wanted = false;
        for (uint32_t k = 0; k < g->count && !wanted && str_starts(entries[i].name, STR("part-"));
             k++)
            wanted =
                g->items[k].object.size > DATA_WINDOW && str_eq(part_path(g, &g->items[k]), path);
        if (!wanted) /* an earlier work may be at it, too */
            (void)file_remove_tree(g->root, path);
    }
    ok = ok && file_remove_tree(g->root, g->room);
    ok = ok && file_make_dirs(g->root, path_join(&scratch, g->room, STR("new")), 0777);
    arena_free(&scratch);
    return ok || fail_disk(g);
}

/* All is there: what it is as a whole. */
static bool hash_all(struct bring *g)
{
    struct arena scratch = {0};
    struct diags quiet;
    diags_init(&quiet, &scratch);
    struct str path = path_join(&scratch, g->room, STR("new"));
    if (!g->all)
        path = path_join(&scratch, path, g->items[0].path);
    bool ok = object_digest_until(g->root, path, g->fetchers, &g->seen, &quiet) && !g->seen.changed
              && g->seen.ref.kind == (g->all ? REF_TREE : g->seen.ref.kind);
    arena_free(&scratch);
    return ok
           || fail(g, workers_is_cancelled(g->fetchers) ? DATA_STOPPED : DATA_DISK,
                   STR("what was fetched cannot be read"));
}

static void fetch_run(struct work *work)
{
    struct bring *g = (struct bring *)work;
    g->end = DATA_WHOLE;
    if (g->from == 0) {
        if (!names_are_good(g)) {
            g->end = DATA_FAILED;
            return;
        }
        if (!prepare_stage(g))
            return;
    }
    for (uint32_t i = g->from; i < g->to && !workers_is_cancelled(g->fetchers); i++) {
        if (g->items[i].hit && !(g->all && reuse_item(g, &g->items[i])))
            restore_item(g, &g->items[i]);
    }
    if (fetch_items(g) && g->to == g->count)
        (void)hash_all(g);
}

/* ---- storing: on the cache's lane ---- */

static void store_item(struct bring *g, struct item *item, int64_t ms)
{
    struct arena scratch = {0};
    struct str aside = path_join(&scratch, g->room, STR("to-cache"));
    struct str there = path_join(&scratch, aside, STR(STORED_PATH));
    struct str here = in_stage(g, &scratch, item->path);
    struct record_output output = {STR(STORED_PATH), MODE, item->seen.ref, item->seen.content};
    struct buf words;
    buf_init(&words, BUF_TEXT_LIMIT);
    buf_printf(&words, "%.*s, etag %.*s", STR_ARG(g->uri), STR_ARG(item->object.etag));
    struct record_part part = {STR("s3"), buf_str(&words), false};
    struct record r = {.fingerprint = item->key,
                       .success_ms = time_now_ns() / 1000000,
                       .duration_ms = ms,
                       .outputs = &output,
                       .output_count = 1,
                       .parts = &part,
                       .part_count = 1,
                       .where = STR("s3")};
    if (move(g, here, there)) {
        uint64_t sequence;
        int fd = open_folder(g, aside);
        if (fd >= 0) {
            (void)cache_store(g->cache, &r, fd, STR(""), &sequence, &g->notes);
            close(fd);
        }
        if (!move(g, there, here))
            (void)fail_disk(g);
    }
    buf_free(&words);
    arena_free(&scratch);
}

/* What it took is what having it saves: spread over bytes, about. */
static void store_run(struct work *work)
{
    struct bring *g = (struct bring *)work;
    int64_t ms = (time_now_ns() - g->began_ns) / 1000000;
    uint64_t bytes = 1;
    for (uint32_t i = g->from; i < g->to; i++)
        bytes += g->items[i].fresh ? g->items[i].object.size : 0;
    for (uint32_t i = g->from; i < g->to && g->end == DATA_WHOLE; i++) {
        struct item *item = &g->items[i];
        if (item->fresh)
            store_item(g, item,
                       (int64_t)((double)ms * ((double)item->object.size / (double)bytes)));
    }
    if (bytes > SOON_BYTES)
        (void)!cache_flush(g->cache, true, &g->notes);
}

/* ---- from one work to the next ---- */

static void bring_end(struct bring *g);
static void bring_next(struct building *b);

static void on_workers(void *context, int fd, short revents)
{
    (void)fd;
    (void)revents;
    (void)workers_collect(context);
}

static bool open_fetchers(struct inputs *x)
{
    if (!x->fetchers) {
        x->fetchers = workers_open(FETCHERS);
        if (x->fetchers)
            loop_add_fd(x->building->loop, workers_fd(x->fetchers), POLLIN, on_workers,
                        x->fetchers);
    }
    return x->fetchers != NULL;
}

static void begin_chunk(struct bring *g);

static void store_done(struct work *work)
{
    struct bring *g = (struct bring *)work;
    for (; g->from < g->to; g->from++)
        g->items[g->from].hit = NULL;
    arena_free(&g->chunk);
    if (g->end == DATA_WHOLE && g->from < g->count) {
        begin_chunk(g);
    } else {
        bring_end(g);
    }
}

static void fetch_done(struct work *work)
{
    struct bring *g = (struct bring *)work;
    if (g->building->inputs->no_fetching)
        g->end = DATA_STOPPED;
    if (g->end != DATA_WHOLE || !g->cache) {
        store_done(work);
        return;
    }
    g->work = (struct work){.run = store_run, .done = store_done, .lane = BUILD_CACHE_LANE};
    workers_submit(g->building->workers, &g->work);
}

static void fetch_chunk(struct bring *g)
{
    struct inputs *x = g->building->inputs;
    if (x->no_fetching) {
        (void)fail(g, DATA_STOPPED, STR("it was stopped"));
    } else if (!open_fetchers(x)) {
        (void)fail(g, DATA_FAILED, STR("no thread can be started to fetch it"));
    }
    if (x->no_fetching || !x->fetchers) {
        bring_end(g);
        return;
    }
    g->fetchers = x->fetchers;
    g->began_ns = time_now_ns();
    g->work = (struct work){.run = fetch_run, .done = fetch_done};
    workers_submit(x->fetchers, &g->work);
}

static void tell_if_large(struct bring *g)
{
    if (g->told || g->missing < TOLD_BYTES)
        return;
    struct buf size;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < g->count; i++)
        bytes += g->items[i].object.size;
    buf_init(&size, 64);
    str_put_size(&size, bytes);
    build_notice(g->building, "s3-fetching", false,
                 str_printf(&g->arena, "'%.*s' is being fetched, up to %.*s", STR_ARG(g->uri),
                            STR_ARG(buf_str(&size))));
    buf_free(&size);
    g->told = true;
}

static void lookup_done(struct work *work)
{
    struct bring *g = (struct bring *)work;
    tell_if_large(g);
    fetch_chunk(g);
}

static void begin_chunk(struct bring *g)
{
    choose_chunk(g);
    g->work = (struct work){.run = lookup_run, .done = lookup_done, .lane = BUILD_CACHE_LANE};
    workers_submit(g->building->workers, &g->work);
}

/* ---- the place ---- */

/* Takes its name; what was there goes with the stage. */
static bool put_in_place(struct bring *g)
{
    struct arena scratch = {0};
    struct str from = path_join(&scratch, g->room, STR("new"));
    struct str aside = path_join(&scratch, g->room, STR("old"));
    if (!g->all)
        from = path_join(&scratch, from, g->items[0].path);
    struct file_sig sig = file_stat(g->root, g->path, false);
    bool ok = file_make_parents(g->root, g->path, 0777);
    if (ok && file_sig_exists(&sig) && (g->all || file_sig_is_dir(&sig)))
        ok = move(g, g->path, aside);
    ok = ok && move(g, from, g->path);
    arena_free(&scratch);
    return ok || fail_disk(g);
}

/* So that the next build knows what lies there. */
static void remember(struct bring *g)
{
    struct building *b = g->building;
    struct record_output output = {g->path, g->seen.mode, g->seen.ref, g->seen.content};
    struct record r = {.fingerprint = g->key,
                       .success_ms = time_now_ns() / 1000000,
                       .outputs = &output,
                       .output_count = 1,
                       .where = STR("s3")};
    struct buf row;
    buf_init(&row, RECORD_BYTES_LIMIT);
    if (record_put(&row, &r)) {
        struct state_step x = {.fingerprint = g->key,
                               .success_ms = r.success_ms,
                               .outputs_hash = state_outputs_hash(&output, 1),
                               .outcome = STATE_SUCCEEDED,
                               .record = buf_str(&row)};
        state_put_step(b->state, g->uri, &x);
        (void)!state_flush(b->state, b->diags);
    }
    buf_free(&row);
}

static void arrive(struct bring *g)
{
    struct building *b = g->building;
    struct input *in = g->input;
    observe_forget_tree(b->observe, in->copy_number);
    int64_t now = observe_hashing_begins(b->root, g->path);
    struct file_sig sig = file_stat(b->root, g->path, true);
    observe_put(b->observe, in->copy_number, &g->seen, &sig, now);
    in->copy_kind = g->seen.ref.kind;
    in->copy_content = g->seen.content;
    remember(g);
}

static void cleaned(struct work *work)
{
    struct bring *g = (struct bring *)work;
    arena_free(&g->chunk);
    arena_free(&g->arena);
    mem_free(g);
}

/* Parts of large objects stay for the next time, where this one came to nothing. The next work may have begun. */
static void clean_run(struct work *work)
{
    struct bring *g = (struct bring *)work;
    (void)file_remove_tree(g->root, g->room);
    (void)file_remove(g->root, g->stage); /* if it is empty */
}

static void ask_again(struct building *b, struct input *in)
{
    for (uint32_t i = 0; i < in->copy_waiters.n; i++)
        inputs_queue(b->inputs, in, in->copy_waiters.at[i]);
    in->copy_waiters.n = 0;
}

/* What an earlier build had begun to fetch, and the cache had meanwhile. */
static void drop_parts(struct bring *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        if (g->items[i].object.size > DATA_WINDOW)
            (void)file_remove(g->root, part_path(g, &g->items[i]));
    }
}

static void bring_end(struct bring *g)
{
    struct building *b = g->building;
    struct input *in = g->input;
    b->inputs->brings--;
    b->inputs->bringing--;
    if (g->end == DATA_CHANGED && ++in->chased > CHASES)
        g->end = DATA_FAILED;
    build_tell_notes(b, &g->notes);
    bool placed = g->end == DATA_WHOLE && put_in_place(g);
    if (placed) {
        drop_parts(g);
        arrive(g);
        in->copy = COPY_HERE;
    } else {
        bool again = g->end == DATA_CHANGED || g->end == DATA_STOPPED;
        in->copy = again ? COPY_NONE : COPY_FAILED;
        in->copy_trouble = str_copy(b->arena, g->trouble);
    }
    bool changed = g->end == DATA_CHANGED && !b->inputs->no_asking;
    g->work = (struct work){.run = clean_run, .done = cleaned};
    workers_submit(b->workers, &g->work);
    bring_next(b);
    if (changed) {
        ask_again(b, in);
    } else {
        inputs_wake_copies(b, in);
    }
}

/* ---- begin ---- */

static void fill_items(struct bring *g, const struct input *in)
{
    g->items = ARENA_ARRAY(&g->arena, struct item, in->count + 1);
    g->count = in->count;
    for (uint32_t i = 0; i < in->count; i++) {
        const struct data_object *o = &in->objects[i];
        struct item *item = &g->items[i];
        item->object = (struct data_object){str_copy(&g->arena, o->key),
                                            str_copy(&g->arena, o->etag), o->size};
        item->path = g->all ? str_tail(item->object.key, in->parts.key.n)
                            : str_copy(&g->arena, path_basename(in->copy_path));
        item->key = object_key(&g->arena, in->parts.bucket, o);
    }
}

static void bring_start(struct building *b, struct input *in)
{
    struct bring *g = mem_alloc(sizeof *g);
    g->building = b;
    g->input = in;
    diags_init(&g->notes, &g->arena);
    g->data = in->place->data;
    g->cache = b->cache;
    g->uri = str_copy(&g->arena, in->uri);
    g->path = str_copy(&g->arena, in->copy_path);
    g->stage = s3_uri_stage_path(&g->arena, in->uri);
    g->room = str_printf(&g->arena, "%.*s/%u", STR_ARG(g->stage), b->inputs->begun++);
    g->all = in->parts.all;
    g->root = b->root;
    g->version = in->version;
    g->key = key_of(in->uri, in->version.b, sizeof in->version.b);
    fill_items(g, in);
    in->copy_version = in->version; /* another one may have been learned while it stood in line */
    b->inputs->bringing++;
    begin_chunk(g);
}

static void bring_next(struct building *b)
{
    struct inputs *x = b->inputs;
    while (x->bringing < BRINGS && x->line_from < x->line.n && !x->no_fetching)
        bring_start(b, x->line.at[x->line_from++]);
}

static void bring(struct building *b, struct input *in)
{
    in->copy = COPY_BUSY;
    b->inputs->brings++;
    *VEC_PUSH(b->arena, &b->inputs->line) = in;
    bring_next(b);
}

/* ---- for a step ---- */

/* What an earlier build put there, if it is of this version. */
static void recall(struct building *b, struct input *in)
{
    struct arena scratch = {0};
    struct record r;
    const struct state_step *last = state_find_step(b->state, in->uri);
    struct digest key = key_of(in->uri, in->version.b, sizeof in->version.b);
    in->recalled = true;
    if (last && digest_eq(&last->fingerprint, &key) && record_read(&scratch, last->record, &r)
        && r.output_count == 1 && str_eq(r.outputs[0].path, in->copy_path)) {
        in->copy_kind = r.outputs[0].ref.kind;
        in->copy_content = r.outputs[0].content;
        in->copy = COPY_HERE;
    }
    arena_free(&scratch);
}

static bool is_good(const struct observed *o, const struct input *in)
{
    return o->status == OBSERVE_KNOWN && o->ref.kind == in->copy_kind
           && digest_eq(&o->content, &in->copy_content);
}

bool inputs_copy_is_good(struct building *b, const struct input *in)
{
    return is_good(observe_look(b->observe, in->copy_number), in);
}

static enum inputs_answer say_failed(struct task *t, const struct input *in)
{
    struct diag *e = diag_error(&t->diags, "s3-fetch", SPAN_NONE, "'%.*s' cannot be fetched: %.*s",
                                STR_ARG(in->uri), STR_ARG(in->copy_trouble));
    diag_help(&t->diags, e, "what was put in the cache of it is not fetched again");
    return INPUTS_FAILED;
}

enum inputs_answer inputs_copy(struct task *t, struct input *in)
{
    struct building *b = t->building;
    if (in->copy != COPY_BUSY && !digest_eq(&in->copy_version, &in->version)) {
        in->copy = COPY_NONE;
        in->recalled = false;
        in->copy_version = in->version;
    }
    if (in->copy == COPY_NONE && !in->recalled)
        recall(b, in);
    if (in->copy == COPY_HERE) {
        const struct observed *o = observe_want(b->observe, in->copy_number, t->number);
        if (o->status == OBSERVE_HASHING) {
            t->awaited++;
            return INPUTS_WAIT;
        }
        if (is_good(o, in))
            return INPUTS_GOOD;
        in->copy = COPY_NONE;
    }
    if (in->copy == COPY_FAILED)
        return say_failed(t, in);
    if (in->copy == COPY_NONE)
        bring(b, in);
    *VEC_PUSH(b->arena, &in->copy_waiters) = t->number;
    t->awaited++;
    return INPUTS_WAIT;
}

enum inputs_answer inputs_copies(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    enum inputs_answer answer = INPUTS_GOOD;
    for (uint32_t i = 0; i < s->inputs.n && answer != INPUTS_FAILED; i++) {
        const struct graph_input *at = &b->graph->inputs[s->inputs.first + i];
        if (!inputs_is_s3(b, at))
            continue;
        struct input *in = inputs_of(b, at->file);
        if (in->state != INPUT_HERE || !digest_eq(&in->version, &t->values.inputs[i].digest)) {
            answer = INPUTS_ANEW;
            break;
        }
        if (at->flags & GRAPH_INPUT_COPY) {
            enum inputs_answer one = inputs_copy(t, in);
            answer = one == INPUTS_GOOD ? answer : one;
        }
    }
    return answer == INPUTS_ANEW && t->awaited ? INPUTS_WAIT : answer;
}
