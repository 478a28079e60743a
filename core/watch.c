/* SPDX-License-Identifier: MIT */
/* Asks every so often: no limits of a kernel's watch lists, and the same on every file system. */
#include "core/watch.h"

#include "cache/object.h"
#include "cache/record.h"
#include "core/base/file.h"
#include "core/base/glob.h"
#include "core/base/loop.h"

#include <signal.h>

enum { WATCH_EVERY_MS = 200 };

void watch_init(struct watch *w, int root)
{
    *w = (struct watch){.root = root};
    table_init(&w->names, &w->arena);
    table_init(&w->made, &w->arena);
}

void watch_free(struct watch *w)
{
    arena_free(&w->arena);
    *w = (struct watch){.root = -1};
}

static bool is_made(const struct watch *w, struct str path)
{
    for (;;) {
        if (table_find(&w->made, path) != TABLE_NONE)
            return true;
        ptrdiff_t slash = str_rfind_char(path, '/');
        if (slash <= 0)
            return false;
        path = str_sub(path, 0, (size_t)slash);
    }
}

/* ---- signatures ---- */

static struct digest digest_of_glob(const struct watch *w, struct str pattern)
{
    struct arena scratch = {0};
    struct str *paths;
    uint32_t count;
    const char *reason;
    struct digester d;
    digester_begin(&d);
    if (file_glob(&scratch, w->root, pattern, &paths, &count, &reason)) {
        for (uint32_t i = 0; i < count; i++) {
            if (!is_made(w, paths[i])) {
                digester_add(&d, paths[i].s, paths[i].n);
                digester_add(&d, "", 1);
            }
        }
    }
    arena_free(&scratch);
    return digester_end(&d);
}

static struct digest digest_of_folder(const struct watch *w, struct str path)
{
    struct arena scratch = {0};
    struct object_seen seen = {.changed = false};
    struct diags quiet;
    diags_init(&quiet, &scratch);
    if (!object_walk(w->root, path, &seen, &quiet))
        seen.walk = (struct digest){{0}};
    arena_free(&scratch);
    return seen.walk;
}

static struct digest digest_of_path(const struct watch *w, struct str path)
{
    struct file_sig sig = file_stat(w->root, path, true);
    if (file_sig_is_dir(&sig))
        return digest_of_folder(w, path);
    uint64_t all[] = {sig.dev, sig.ino, sig.size, (uint64_t)sig.mtime_ns, (uint64_t)sig.ctime_ns,
                      sig.mode};
    return digest_of((const char *)all, sizeof all);
}

static struct digest look(const struct watch *w, uint32_t i)
{
    return w->globs.at[i] ? digest_of_glob(w, w->names.keys[i])
                          : digest_of_path(w, w->names.keys[i]);
}

/* ---- what is watched ---- */

static void add(struct watch *w, struct str name, bool glob)
{
    bool is_new;
    uint32_t i = table_add(&w->names, name, &is_new);
    if (!is_new)
        return;
    *VEC_PUSH(&w->arena, &w->globs) = glob;
    *VEC_PUSH(&w->arena, &w->seen) = look(w, i);
}

void watch_add(struct watch *w, struct str path)
{
    if (!is_made(w, path))
        add(w, path, false);
}

static void note_made(struct watch *w, const struct graph *g)
{
    for (uint32_t i = 0; i < g->output_count; i++)
        (void)table_add(&w->made, graph_path(g, g->outputs[i].file), NULL);
    for (uint32_t i = 0; i < g->step_count; i++) {
        for (uint32_t k = 0; k < g->steps[i].depfiles.n; k++) {
            file_id f = {g->numbers[g->steps[i].depfiles.first + k]};
            (void)table_add(&w->made, graph_path(g, f), NULL);
        }
    }
}

void watch_add_graph(struct watch *w, const struct graph *g)
{
    note_made(w, g);
    for (uint32_t i = 0; i < g->origin_count; i++) {
        const struct graph_origin *o = &g->origins[i];
        if (o->kind == GRAPH_ORIGIN_GLOB) {
            add(w, graph_text(g, o->name), true);
        } else if (o->kind == GRAPH_ORIGIN_FILE || o->kind == GRAPH_ORIGIN_ABSENT) {
            watch_add(w, graph_text(g, o->name));
        }
    }
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct graph_file *f = &g->files[i];
        if (f->producer == GRAPH_NONE && !(f->flags & GRAPH_FILE_S3))
            watch_add(w, graph_path(g, (file_id){i}));
    }
}

static void add_found(void *context, struct str name, const struct state_step *x)
{
    struct watch *w = context;
    struct arena scratch = {0};
    struct record r;
    (void)name;
    if (x->has_inputs && record_read(&scratch, x->record, &r)) {
        for (uint32_t i = 0; i < r.input_count; i++)
            watch_add(w, r.inputs[i].path);
    }
    arena_free(&scratch);
}

void watch_add_discovered(struct watch *w, const struct state *state)
{
    state_each_step(state, add_found, w);
}

/* ---- waiting ---- */

static struct digest digest_of_all(const struct watch *w)
{
    struct digester d;
    digester_begin(&d);
    for (uint32_t i = 0; i < w->names.count; i++) {
        struct digest one = look(w, i);
        digester_add(&d, one.b, sizeof one.b);
    }
    return digester_end(&d);
}

static struct digest digest_of_seen(const struct watch *w)
{
    struct digester d;
    digester_begin(&d);
    for (uint32_t i = 0; i < w->seen.n; i++)
        digester_add(&d, w->seen.at[i].b, sizeof w->seen.at[i].b);
    return digester_end(&d);
}

static void on_signal(void *context, int signal_number)
{
    (void)signal_number;
    *(bool *)context = true;
}

/* Rest: two looks in a row saw the same, so a file that is being written is waited for. */
static enum watch_end wait_for_change(const struct watch *w, struct loop *loop, const bool *ended,
                                      int64_t until_boot_ns)
{
    struct digest before = digest_of_seen(w), last = before;
    while (!*ended) {
        struct digest now = digest_of_all(w);
        if (!digest_eq(&now, &before) && digest_eq(&now, &last))
            return WATCH_CHANGED;
        if (digest_eq(&now, &before) && time_boot_ns() >= until_boot_ns)
            return WATCH_DUE;
        last = now;
        loop_wait(loop, WATCH_EVERY_MS);
    }
    return WATCH_ENDED;
}

enum watch_end watch_wait(const struct watch *w, int64_t until_boot_ns)
{
    bool ended = false;
    struct loop *loop = loop_open();
    if (!loop)
        return WATCH_ENDED;
    ended = !loop_add_signal(loop, SIGINT, on_signal, &ended)
            || !loop_add_signal(loop, SIGTERM, on_signal, &ended)
            || !loop_add_signal(loop, SIGHUP, on_signal, &ended);
    enum watch_end end = wait_for_change(w, loop, &ended, until_boot_ns);
    loop_close(loop);
    return end;
}
