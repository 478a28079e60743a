/* SPDX-License-Identifier: MIT */
/* What the caches have for a step: asking, choosing among results, putting one in place. What was made elsewhere is
 * held against what the step declares before a byte of it is put anywhere. */
#include "cache/far.h"
#include "core/base/table.h"
#include "core/look_inside.h"

#include <assert.h>
#include <string.h>

enum { LOOKUPS_MOST = 256 };
enum {
    SEEK_MOST = 1536,
    SEEK_AGAIN = SEEK_MOST / 4 * 3
}; /* steps that look for a result at once */

struct lookup {
    struct task *task; /* its arena is the worker's while this is out */
    struct digest fingerprint;
    int64_t not_before_ms;
};

/* Several that came together. */
struct lookups {
    struct work work;
    struct building *building;
    struct cache *cache;
    struct arena arena;
    struct diags notes;
    struct str *passed;
    uint32_t passed_count;
    struct lookup *all;
    uint32_t count;
};

static void lookups_run(struct work *work)
{
    struct lookups *x = (struct lookups *)work;
    for (uint32_t i = 0; i < x->passed_count; i++)
        cache_pass_over(x->cache, x->passed[i]);
    for (uint32_t i = 0; i < x->count; i++) {
        const struct lookup *l = &x->all[i];
        struct task *t = l->task;
        t->hit_count = cache_lookup(x->cache, &t->arena, &l->fingerprint, l->not_before_ms,
                                    &t->hits, &x->notes);
    }
}

static void lookups_done(struct work *work)
{
    struct lookups *x = (struct lookups *)work;
    build_tell_notes(x->building, &x->notes);
    for (uint32_t i = 0; i < x->count; i++) {
        struct task *t = x->all[i].task;
        t->awaited = 0;
        t->stage = LOOK_HITS;
        look_again(t);
    }
    arena_free(&x->arena);
    mem_free(x);
}

static void lookups_begin(struct building *b, struct task *const *tasks, uint32_t count)
{
    struct lookups *x = mem_alloc(sizeof *x);
    x->work = (struct work){.run = lookups_run, .done = lookups_done, .lane = BUILD_CACHE_LANE};
    x->building = b;
    x->cache = b->cache;
    x->all = ARENA_ARRAY(&x->arena, struct lookup, count);
    x->count = count;
    x->passed = ARENA_ARRAY(&x->arena, struct str, b->passed.n + 1);
    for (uint32_t i = 0; i < b->passed.n; i++)
        x->passed[x->passed_count++] = str_copy(&x->arena, b->passed.at[i]);
    b->passed.n = 0;
    diags_init(&x->notes, &x->arena);
    for (uint32_t i = 0; i < count; i++) {
        struct task *t = tasks[i];
        x->all[i] = (struct lookup){t, t->fingerprint, look_not_before_ms(t)};
        t->seeking = true;
        b->seeking++;
    }
    assert(b->seeking <= SEEK_MOST);
    workers_submit(b->workers, &x->work);
}

enum looked look_cache(struct task *t)
{
    struct building *b = t->building;
    t->awaited = 1;
    *VEC_PUSH(b->arena, &b->lookups) = t;
    return LOOKED_WAIT;
}

void look_seek_over(struct task *t)
{
    t->building->seeking -= t->seeking;
    t->seeking = false;
}

bool look_is_full(struct building *b)
{
    uint32_t count = b->seeking + b->lookups.n;
    b->full = count >= SEEK_MOST || (b->full && count > SEEK_AGAIN);
    return b->full;
}

void look_flush(struct building *b)
{
    uint32_t begun = 0;
    while (begun < b->lookups.n && (b->stopping || b->seeking < SEEK_MOST)) {
        struct task **tasks = b->lookups.at + begun;
        uint32_t count = b->lookups.n - begun;
        count = count < LOOKUPS_MOST ? count : LOOKUPS_MOST;
        if (b->stopping) {
            look_again(*tasks); /* which leaves it to the end of the build */
            begun++;
            continue;
        }
        count = count < SEEK_MOST - b->seeking ? count : SEEK_MOST - b->seeking;
        lookups_begin(b, tasks, count);
        begun += count;
    }
    b->lookups.n -= begun;
    if (begun > 0 && b->lookups.n > 0)
        memmove(b->lookups.at, b->lookups.at + begun, b->lookups.n * sizeof *b->lookups.at);
    remote_flush(b);
}

struct restoring {
    struct work work;
    struct task *task;
    struct building *building;
    const struct cache *cache;
    const struct cache_hit *hit;
    int root;
    bool ok;
    struct restored done;
    struct str log_path;
    bool may_have_log; /* an older one, that is */
    struct arena arena;
    struct diags notes;
};

static void restore_log(struct restoring *r)
{
    struct buf log;
    buf_init(&log, JOB_LOG_LIMIT + JOB_LOG_TAIL);
    const struct ref *ref = &r->hit->record.log;
    if (ref->kind != REF_NONE
        && cache_read(r->cache, r->hit, ref, JOB_LOG_LIMIT + JOB_LOG_TAIL, &log, &r->notes)
        && file_make_parents(r->root, r->log_path, 0700)) {
        if (file_write(r->root, r->log_path, buf_str(&log), 0600, false))
            r->done.log = r->log_path;
    } else if (r->may_have_log) {
        (void)!file_remove(r->root, r->log_path);
    }
    buf_free(&log);
}

static void restoring_run(struct work *work)
{
    struct restoring *r = (struct restoring *)work;
    const struct record *record = &r->hit->record;
    r->done.began_ns = time_now_ns();
    r->ok = cache_restore(r->cache, r->hit, r->root, r->building->workers, &r->notes);
    if (!r->ok)
        return;
    restore_log(r);
    struct file_sig *sigs = ARENA_ARRAY(&r->arena, struct file_sig, record->output_count);
    for (uint32_t i = 0; i < record->output_count; i++)
        sigs[i] = file_stat(r->root, record->outputs[i].path, true);
    r->done.sigs = sigs;
}

static void restoring_done(struct work *work)
{
    struct restoring *r = (struct restoring *)work;
    struct task *t = r->task;
    bool ok = r->ok;
    build_tell_notes(r->building, &r->notes);
    t->awaited = 0;
    if (ok)
        settle_restored(t, &r->hit->record, &r->done);
    arena_free(&r->arena);
    mem_free(r);
    if (ok)
        return;
    if (t->from_remote)
        t->far_next++;
    else
        t->hit_next++;
    t->from_remote = false;
    t->got = NULL;
    look_again(t);
}

/* Put in place in no time: steps may keep the order of the graph. */
static bool is_quick(const struct record *r)
{
    enum { QUICK_BYTES = 1 << 20 };
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < r->output_count; i++) {
        if (r->outputs[i].ref.kind == REF_TREE)
            return false;
        bytes += r->outputs[i].ref.size;
    }
    return bytes < QUICK_BYTES;
}

/* Whether there may be logs of earlier builds: each step writes and removes only its own. */
static bool may_have_logs(struct building *b)
{
    if (!b->logs_asked) {
        struct file_sig sig = file_stat(b->root, STR(EXECUTE_LOGS), true);
        b->no_logs = !file_sig_exists(&sig) && !sig.error;
        b->logs_asked = true;
    }
    return !b->no_logs;
}

static enum looked restore(struct task *t, const struct cache *cache, const struct cache_hit *hit)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    struct restoring *r = mem_alloc(sizeof *r);
    r->work = (struct work){
        .run = restoring_run, .done = restoring_done, .in_turn = is_quick(&hit->record)};
    r->task = t;
    r->building = b;
    r->cache = cache;
    r->hit = hit;
    r->root = b->root;
    r->log_path = execute_log_path(&r->arena, graph_text(b->graph, s->name));
    r->may_have_log = may_have_logs(b);
    diags_init(&r->notes, &r->arena);
    for (uint32_t i = 0; i < s->outputs.n; i++)
        build_forget_output(b, b->graph->outputs[s->outputs.first + i].file);
    t->awaited = 1;
    if (t->reason.n == 0)
        t->reason = look_change_reason(t);
    workers_submit(b->workers, &r->work);
    return LOOKED_WAIT;
}

static bool output_fits(const struct record_output *o, const struct graph_file *f, struct str path)
{
    bool is_file = o->ref.kind == REF_BLOB || o->ref.kind == REF_LIST;
    return str_eq(o->path, path) && (f->flags & GRAPH_FILE_DIR ? o->ref.kind == REF_TREE : is_file);
}

/* The record's outputs are exactly those that the step declares: files and folders, never a link. */
static bool outputs_fit(struct task *t, const struct record *r)
{
    const struct graph *g = t->building->graph;
    const struct graph_step *s = graph_step(g, t->step);
    bool fit = r->output_count == s->outputs.n;
    for (uint32_t i = 0; fit && i < s->outputs.n; i++) {
        file_id f = g->outputs[s->outputs.first + i].file;
        bool found = false;
        for (uint32_t k = 0; k < r->output_count && !found; k++)
            found = output_fits(&r->outputs[k], graph_file(g, f), graph_path(g, f));
        fit = found;
    }
    return fit;
}

bool look_reads_values(const struct graph_step *s)
{
    static const struct digest late;
    return s->when.late || digest_eq(&s->declared, &late);
}

/* Some step may work with values that it reads from what s makes. */
static bool is_read(const struct graph *g, const struct graph_step *s)
{
    bool read = false;
    for (uint32_t i = 0; i < s->dependents.n && !read; i++) {
        read = look_reads_values(graph_step(g, g->back_edges[s->dependents.first + i].step));
    }
    return read;
}

/* Asked only: what a restore would put in place is read from the cache by those who need its values. */
static void suppose_text(struct task *t, const struct cache_hit *hit, const struct record_output *o)
{
    struct building *b = t->building;
    struct arena scratch = {0};
    struct diags quiet;
    struct buf text;
    diags_init(&quiet, &scratch);
    buf_init(&text, JSON_TEXT_LIMIT);
    bool is_new = false;
    if (!b->supposed.arena)
        table_init(&b->supposed, b->arena);
    if ((o->ref.kind == REF_BLOB || o->ref.kind == REF_LIST) && o->ref.size <= JSON_TEXT_LIMIT
        && cache_read(b->cache, hit, &o->ref, JSON_TEXT_LIMIT, &text, &quiet))
        (void)table_add(&b->supposed, o->path, &is_new);
    if (is_new)
        *VEC_PUSH(b->arena, &b->supposed_texts) = str_copy(b->arena, buf_str(&text));
    buf_free(&text);
    arena_free(&scratch);
}

/* here: where its bytes lie in the local cache; NULL: they are far away. */
static enum looked end_would_restore(struct task *t, const struct record *r,
                                     const struct cache_hit *here)
{
    struct building *b = t->building;
    bool read = is_read(b->graph, graph_step(b->graph, t->step));
    for (uint32_t i = 0; i < r->output_count && read && here; i++)
        suppose_text(t, here, &r->outputs[i]);
    for (uint32_t i = 0; i < r->output_count; i++) {
        observe_suppose(b->observe, observe_add(b->observe, r->outputs[i].path), &r->outputs[i].ref,
                        &r->outputs[i].content, r->outputs[i].mode);
    }
    struct ending e = {.life = LIFE_DONE,
                       .result = EVENT_WOULD_RESTORE,
                       .reason = t->reason.n ? t->reason : look_change_reason(t),
                       .saved_ns = r->duration_ms * 1000000,
                       .exit_status = -1,
                       .unknown = read && !here,
                       .from_remote = !here};
    build_end_step(b, t->step, t, &e);
    return LOOKED_OVER;
}

/* LOOKED_ON: *fits tells whether the record's result can be put in place. LOOKED_OVER: it lies there already, and the
 * step has ended. */
static enum looked try_hit(struct task *t, const struct record *r, bool *fits)
{
    struct str odd;
    *fits = false;
    if (!outputs_fit(t, r))
        return LOOKED_ON;
    bool same_inputs = look_inputs_match(t, r, &odd);
    if (t->awaited)
        return LOOKED_WAIT;
    if (!same_inputs)
        return LOOKED_ON;
    enum plan_outputs outputs = look_compare_outputs(t, r, &odd);
    if (t->awaited)
        return LOOKED_WAIT;
    *fits = outputs != PLAN_OUTPUTS_MATCH;
    if (*fits)
        return LOOKED_ON;
    look_end_up_to_date(t, r, true);
    return LOOKED_OVER;
}

enum looked look_hits(struct task *t)
{
    struct building *b = t->building;
    for (; t->hit_next < t->hit_count; t->hit_next++) {
        const struct cache_hit *hit = &t->hits[t->hit_next];
        bool fits;
        t->signer = hit->signer;
        enum looked tried = try_hit(t, &hit->record, &fits);
        if (tried != LOOKED_ON)
            return tried;
        if (fits)
            return b->options->mode == BUILD_ASK ? end_would_restore(t, &hit->record, hit)
                                                 : restore(t, b->cache, hit);
    }
    return LOOKED_ON;
}

/* ---- what the remote cache has ---- */

enum looked look_remote(struct task *t)
{
    if (!remote_may_ask(t))
        return look_must_run(t);
    t->stage = LOOK_REMOTE_HITS;
    remote_ask(t);
    return LOOKED_WAIT;
}

enum looked look_remote_hits(struct task *t)
{
    struct building *b = t->building;
    if (t->got) {
        t->from_remote = true;
        t->signer = t->got->signer;
        return restore(t, remote_near(b), t->got);
    }
    for (; t->far_next < t->far_count; t->far_next++) {
        const struct record *r = &t->far_hits[t->far_next].record;
        bool fits;
        t->signer = t->far_hits[t->far_next].signer;
        enum looked tried = try_hit(t, r, &fits);
        if (tried != LOOKED_ON)
            return tried;
        if (!fits)
            continue;
        if (b->options->mode == BUILD_ASK)
            return end_would_restore(t, r, NULL);
        if (!remote_may_fetch(t))
            break;
        remote_fetch(t);
        return LOOKED_WAIT;
    }
    t->leasable = true;
    return look_must_run(t);
}
