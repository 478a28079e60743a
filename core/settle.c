/* SPDX-License-Identifier: MIT */
/* What happens when a step ends well: its outputs are hashed, its inputs looked at once more, the record made,
 * the state told, the result stored. A step counts as done before it is stored: the cache is a help. */
#include "core/base/table.h"
#include "core/building.h"
#include "core/inputs.h"
#include "parser/depfile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- hashing the outputs ---- */

struct settled_output {
    struct str path;
    struct object_seen seen;
    struct file_sig sig;
    int64_t hashed_ns;
    bool is_dir;
};

struct settling {
    struct work work;
    struct task *task; /* its arena and diags are the worker's while this is out */
    struct workers *workers;
    int root;
    struct settled_output *outputs;
    uint32_t output_count;
    struct str *depfiles;
    uint32_t depfile_count;
    struct depfile *found; /* one for each depfile */
    bool ok;
};

static bool hash_output(struct settling *s, struct settled_output *o)
{
    struct diags *d = &s->task->diags;
    o->hashed_ns = observe_hashing_begins(s->root, o->path);
    if (!object_digest(s->root, o->path, &o->seen, d))
        return false;
    o->sig = file_stat(s->root, o->path, true);
    if (o->seen.ref.kind == REF_NONE) {
        struct diag *e = diag_error(d, "no-output", SPAN_NONE,
                                    "output '%.*s' was declared and is not there after the command",
                                    STR_ARG(o->path));
        diag_help(d, e, "have the command write it, or take it out of 'out'");
        return false;
    }
    if (o->is_dir != (o->seen.ref.kind == REF_TREE)) {
        struct diag *e =
            diag_error(d, "wrong-output-kind", SPAN_NONE, "output '%.*s' is a %s", STR_ARG(o->path),
                       o->is_dir ? "file, and was declared as a folder"
                                 : "folder, and was declared as a file");
        diag_help(d, e, "a path that ends in '/' declares a folder");
        return false;
    }
    if (o->seen.changed) {
        diag_error(d, "output-changing", SPAN_NONE,
                   "output '%.*s' is still being written after the command ended",
                   STR_ARG(o->path));
    }
    return !o->seen.changed;
}

static bool read_depfile(struct settling *s, struct str path, struct depfile *found)
{
    struct str text;
    struct task *t = s->task;
    if (!file_read(&t->arena, s->root, path, DEPFILE_TEXT_LIMIT, &text, &t->diags))
        return false;
    uint32_t source = diags_add_source(&t->diags, path, text);
    return depfile_parse(&t->arena, text, source, found, &t->diags);
}

static void settling_run(struct work *work)
{
    struct settling *s = (struct settling *)work;
    s->ok = true;
    for (uint32_t i = 0; i < s->output_count; i++) {
        struct file_sig sig = file_stat(s->root, s->outputs[i].path, true);
        if (!observe_is_quick(&sig))
            workers_let_pass(s->workers, work);
        s->ok = hash_output(s, &s->outputs[i]) && s->ok;
    }
    for (uint32_t i = 0; i < s->depfile_count && s->ok; i++)
        s->ok = read_depfile(s, s->depfiles[i], &s->found[i]);
}

/* ---- what was read ---- */

/* Where the file system says that an absolute path lies, links and '..' seen through; as it was where it does not. */
static struct str real_place(struct task *t, struct str path)
{
    char *folder = realpath(str_c(&t->arena, path_dirname(path)), NULL);
    if (!folder)
        return path;
    struct str place = path_join(&t->arena, str_from(folder), path_basename(path));
    free(folder);
    return place;
}

/* A path of a depfile as the workspace sees it; false: it lies elsewhere. */
static bool workspace_path(struct task *t, struct str path, struct str *out)
{
    struct building *b = t->building;
    struct str root = b->options->root_path;
    path = path_join(&t->arena, graph_text(b->graph, graph_step(b->graph, t->step)->cwd), path);
    bool plain = path_is_below(path, root) || !str_starts(path, STR("/"));
    if (!plain || str_find(path, STR("..")) >= 0) {
        path = real_place(t, path_join(&t->arena, root, path));
        if (!path_is_below(path, root))
            return false;
    }
    if (path_is_below(path, root))
        path = str_tail(path, root.n + 1);
    return path_normalise(&t->arena, path, out);
}

static bool is_declared(struct task *t, struct str path)
{
    const struct graph *g = t->building->graph;
    const struct graph_step *s = graph_step(g, t->step);
    for (uint32_t i = 0; i < s->inputs.n; i++) {
        struct str in = graph_path(g, g->inputs[s->inputs.first + i].file);
        if (str_eq(in, path) || path_is_below(path, in))
            return true;
    }
    for (uint32_t i = 0; i < s->outputs.n; i++) {
        struct str out = graph_path(g, g->outputs[s->outputs.first + i].file);
        if (str_eq(out, path) || path_is_below(path, out))
            return true;
    }
    return false;
}

static void take_discovered(struct task *t, const struct depfile *found, uint32_t count)
{
    struct table seen;
    table_init(&seen, &t->arena);
    for (uint32_t k = 0; k < count; k++) {
        for (uint32_t i = 0; i < found[k].input_count; i++) {
            struct str path;
            bool is_new;
            if (workspace_path(t, found[k].inputs[i], &path) && !is_declared(t, path))
                (void)table_add(&seen, path, &is_new);
        }
    }
    t->input_numbers = ARENA_ARRAY(&t->arena, uint32_t, seen.count + 1);
    t->record.inputs = ARENA_ARRAY(&t->arena, struct record_input, seen.count + 1);
    t->record.input_count = seen.count;
    for (uint32_t i = 0; i < seen.count; i++) {
        t->record.inputs[i].path = seen.keys[i];
        t->input_numbers[i] = observe_add(t->building->observe, seen.keys[i]);
    }
}

/* Looks at the path anew, unless a worker is at it already. */
static const struct observed *look_once_more(struct task *t, uint32_t number)
{
    struct building *b = t->building;
    if (observe_look(b->observe, number)->status != OBSERVE_HASHING)
        observe_forget(b->observe, number); /* else somebody has just begun to */
    const struct observed *o = observe_want(b->observe, number, t->number);
    t->awaited += o->status == OBSERVE_HASHING;
    return o;
}

static void set_unfit(struct task *t, struct str path)
{
    if (!t->unfit)
        t->unfit_path = path;
    t->unfit = true;
}

static void finish(struct task *t);

/* All inputs are known again. */
void settle_look_again(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    for (uint32_t i = 0; i < s->inputs.n; i++) {
        const struct graph_input *in = &b->graph->inputs[s->inputs.first + i];
        const struct part_file *was = &t->values.inputs[i];
        if (inputs_is_s3(b, in)) {
            if (!inputs_held(t, in, was))
                set_unfit(t, graph_path(b->graph, in->file));
            continue;
        }
        uint32_t number = build_file_number(b, in->file);
        const struct observed *o = observe_look(b->observe, number);
        if (o->status != OBSERVE_KNOWN || o->ref.kind != was->kind
            || !digest_eq(&o->content, &was->digest))
            set_unfit(t, o->path);
    }
    for (uint32_t i = 0; i < t->record.input_count; i++) {
        const struct observed *o = observe_look(b->observe, t->input_numbers[i]);
        struct record_input *in = &t->record.inputs[i];
        in->kind = o->ref.kind;
        in->digest = o->content;
        bool late = o->sig.ctime_ns >= t->began_ns; /* an mtime may say anything */
        if (o->status != OBSERVE_KNOWN || (o->ref.kind != REF_NONE && late))
            set_unfit(t, in->path);
    }
    finish(t);
}

static void check_inputs(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    for (uint32_t i = 0; i < s->inputs.n; i++) {
        const struct graph_input *in = &b->graph->inputs[s->inputs.first + i];
        uint32_t number =
            inputs_is_s3(b, in) ? inputs_check(t, in) : build_file_number(b, in->file);
        if (number != GRAPH_NONE && !observe_is_untouched(b->observe, number))
            (void)look_once_more(t, number);
    }
    for (uint32_t i = 0; i < t->record.input_count; i++)
        (void)look_once_more(t, t->input_numbers[i]);
    if (t->awaited == 0)
        settle_look_again(t);
}

static void settling_done(struct work *work)
{
    struct settling *s = (struct settling *)work;
    struct task *t = s->task;
    struct building *b = t->building;
    bool ok = s->ok;
    t->record.outputs = ARENA_ARRAY(&t->arena, struct record_output, s->output_count + 1);
    for (uint32_t i = 0; i < s->output_count && ok; i++) {
        const struct settled_output *o = &s->outputs[i];
        observe_put(b->observe, observe_add(b->observe, o->path), &o->seen, &o->sig, o->hashed_ns);
        t->record.outputs[t->record.output_count++] =
            (struct record_output){o->path, o->seen.mode, o->seen.ref, o->seen.content};
    }
    struct depfile *found = s->found;
    uint32_t found_count = s->depfile_count;
    mem_free(s);
    if (!ok) {
        execute_outputs_failed(t);
        return;
    }
    take_discovered(t, found, found_count);
    check_inputs(t);
}

void settle_begin(struct task *t)
{
    struct building *b = t->building;
    const struct graph *g = b->graph;
    const struct graph_step *step = graph_step(g, t->step);
    struct settling *s = mem_alloc(sizeof *s);
    s->work = (struct work){.run = settling_run, .done = settling_done, .in_turn = true};
    s->task = t;
    s->workers = b->workers;
    s->root = b->root;
    s->outputs = ARENA_ARRAY(&t->arena, struct settled_output, step->outputs.n + 1);
    s->output_count = step->outputs.n;
    for (uint32_t i = 0; i < step->outputs.n; i++) {
        file_id f = g->outputs[step->outputs.first + i].file;
        s->outputs[i].path = str_copy(&t->arena, graph_path(g, f));
        s->outputs[i].is_dir = graph_file(g, f)->flags & GRAPH_FILE_DIR;
    }
    s->depfiles = ARENA_ARRAY(&t->arena, struct str, step->depfiles.n + 1);
    s->found = ARENA_ARRAY(&t->arena, struct depfile, step->depfiles.n + 1);
    s->depfile_count = step->depfiles.n;
    for (uint32_t i = 0; i < step->depfiles.n; i++) {
        s->depfiles[i] =
            str_copy(&t->arena, graph_path(g, (file_id){g->numbers[step->depfiles.first + i]}));
    }
    workers_submit(b->workers, &s->work);
}

/* ---- metrics ---- */

struct metric_list {
    struct arena *arena;
    VEC(struct record_metric) at;
};

enum { METRICS_LIMIT = 4096, METRICS_DEPTH = 32 };

static void add_numbers(struct metric_list *l, struct str name, const struct json *j,
                        uint32_t depth)
{
    if (l->at.n >= METRICS_LIMIT || depth > METRICS_DEPTH)
        return;
    if (j->kind == JSON_INT || j->kind == JSON_REAL) {
        struct buf b;
        buf_init(&b, 512);
        json_put(&b, j);
        *VEC_PUSH(l->arena, &l->at) = (struct record_metric){name, str_copy(l->arena, buf_str(&b))};
        buf_free(&b);
        return;
    }
    for (uint32_t i = 0; i < j->count; i++) {
        struct str part =
            j->kind == JSON_OBJECT
                ? str_printf(l->arena, "%.*s.%.*s", STR_ARG(name), STR_ARG(j->names[i]))
                : str_printf(l->arena, "%.*s[%u]", STR_ARG(name), i);
        add_numbers(l, part, &j->items[i], depth + 1);
    }
}

static bool add_metric(struct task *t, struct metric_list *l, const struct graph_named *m)
{
    struct str name = graph_text(t->building->graph, m->name), text;
    if (!look_text(t, &m->value, &text))
        return false;
    if (!(m->flags & GRAPH_NAMED_WHOLE_FILE)) {
        *VEC_PUSH(l->arena, &l->at) = (struct record_metric){str_copy(&t->arena, name), text};
        return true;
    }
    const struct json *j = json_parse(&t->arena, text, 0, &t->diags);
    if (j)
        add_numbers(l, str_copy(&t->arena, name), j, 0);
    return j != NULL;
}

/* A metric that cannot be read costs a warning, not the hours that the step took. */
static void take_metrics(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    struct metric_list list = {.arena = &t->arena};
    for (uint32_t i = 0; i < s->metrics.n; i++) {
        const struct graph_named *m = &b->graph->named[s->metrics.first + i];
        uint32_t before = t->diags.all.n;
        if (add_metric(t, &list, m))
            continue;
        struct str why = t->diags.all.n > before ? t->diags.all.at[before].message : STR("");
        build_notice(b, "no-metric", true,
                     str_printf(&t->arena, "'%.*s': metric '%.*s' cannot be had: %.*s",
                                STR_ARG(graph_text(b->graph, s->name)),
                                STR_ARG(graph_text(b->graph, m->name)), STR_ARG(why)));
        t->diags.errors -= t->diags.all.n - before;
        t->diags.all.n = before;
    }
    t->record.metrics = list.at.at;
    t->record.metric_count = list.at.n;
}

/* ---- storing ---- */

struct storing {
    struct work work;
    struct building *building;
    struct cache *cache;
    struct arena arena;
    struct diags notes;
    struct record record;
    struct str name, log_path;
    int root;
    bool push;    /* to the remote cache, once it is committed */
    bool at_once; /* others wait for it */
    bool quiet;   /* a result of an earlier build: not fitting any more is no news */
    bool ok;
    uint64_t sequence, committed;
};

static void storing_run(struct work *work)
{
    struct storing *s = (struct storing *)work;
    s->ok = cache_store(s->cache, &s->record, s->root, s->log_path, &s->sequence, &s->notes);
    (void)!cache_flush(s->cache, s->at_once, &s->notes);
    s->committed = cache_committed(s->cache);
}

static void clear_pending(struct building *b, struct str name)
{
    const struct state_step *known = state_find_step(b->state, name);
    if (!known || known->pending_sequence == 0)
        return;
    struct state_step x = *known;
    x.pending_sequence = 0;
    state_put_step(b->state, name, &x);
}

static void clear_committed(struct building *b, uint64_t committed)
{
    uint32_t kept = 0, given = 0;
    struct arena scratch = {0};
    struct digest *fingerprints = ARENA_ARRAY(&scratch, struct digest, b->awaiting.n + 1);
    for (uint32_t i = 0; i < b->awaiting.n; i++) {
        const struct awaiting *a = &b->awaiting.at[i];
        if (a->sequence > committed) {
            b->awaiting.at[kept++] = *a;
            continue;
        }
        clear_pending(b, a->name);
        if (a->push)
            fingerprints[given++] = a->fingerprint;
    }
    b->awaiting.n = kept;
    remote_give(b, fingerprints, given);
    arena_free(&scratch);
}

static void storing_done(struct work *work)
{
    struct storing *s = (struct storing *)work;
    struct building *b = s->building;
    if (!s->quiet)
        build_tell_notes(b, &s->notes);
    if (s->ok) {
        *VEC_PUSH(b->arena, &b->awaiting) = (struct awaiting){
            str_copy(b->arena, s->name), s->record.fingerprint, s->push, s->sequence};
    } else {
        clear_pending(b, s->name);
        lease_end(b, &s->record.fingerprint, 1);
    }
    if (s->committed != b->committed) {
        b->committed = s->committed;
        clear_committed(b, s->committed);
    }
    arena_free(&s->arena);
    mem_free(s);
}

/* Values of env and probes leave the workspace only as tags. */
static void tag_parts(struct arena *a, struct record *r)
{
    for (uint32_t i = 0; i < r->part_count; i++) {
        struct record_part *p = &r->parts[i];
        if (p->tag || !(str_starts(p->label, STR("env ")) || str_starts(p->label, STR("probe "))))
            continue;
        p->value = record_tag(a, r->salt, p->label, p->value);
        p->tag = true;
    }
}

/* row: the record's bytes, parts in plain. */
static void store(struct building *b, struct str name, struct str row, struct str log_path,
                  bool quiet)
{
    struct storing *s = mem_alloc(sizeof *s);
    s->work = (struct work){.run = storing_run, .done = storing_done, .lane = BUILD_CACHE_LANE};
    s->building = b;
    s->cache = b->cache;
    s->root = b->root;
    s->quiet = quiet;
    diags_init(&s->notes, &s->arena);
    s->name = str_copy(&s->arena, name);
    s->log_path = str_copy(&s->arena, log_path);
    if (!record_read(&s->arena, str_copy(&s->arena, row), &s->record)) {
        arena_free(&s->arena);
        mem_free(s);
        return;
    }
    tag_parts(&s->arena, &s->record);
    step_id step = graph_find_step(b->graph, name);
    s->push = step.i != GRAPH_NONE && remote_may_give(b, graph_step(b->graph, step));
    s->at_once = lease_is_kept(b, &s->record.fingerprint, 1);
    workers_submit(b->workers, &s->work);
}

struct pending_list {
    struct building *building;
    VEC(struct str) names;
};

static void note_pending(void *context, struct str name, const struct state_step *x)
{
    struct pending_list *l = context;
    if (x->pending_sequence && x->record.n)
        *VEC_PUSH(l->building->arena, &l->names) = str_copy(l->building->arena, name);
}

void settle_pending(struct building *b)
{
    struct pending_list list = {.building = b};
    if (!b->cache)
        return;
    state_each_step(b->state, note_pending, &list);
    for (uint32_t i = 0; i < list.names.n; i++) {
        const struct state_step *x = state_find_step(b->state, list.names.at[i]);
        store(b, list.names.at[i], x->record, x->log_path, true);
    }
}

void settle_flush(struct building *b)
{
    if (!b->cache)
        return;
    struct arena scratch = {0};
    struct diags notes;
    diags_init(&notes, &scratch);
    (void)!cache_flush(b->cache, true, &notes);
    clear_committed(b, cache_committed(b->cache));
    if (b->options->mode == BUILD_RUN)
        (void)!cache_compact(b->cache, false, &notes);
    build_tell_notes(b, &notes);
    arena_free(&scratch);
}

/* ---- the record ---- */

static void stamp(struct task *t, struct record *r)
{
    struct building *b = t->building;
    struct str name = graph_text(b->graph, b->graph->name);
    struct digest hint = digest_of(name.s, name.n);
    char host[256] = "";
    r->fingerprint = t->fingerprint;
    r->success_ms = time_now_ns() / 1000000;
    r->duration_ms = t->job.outcome.duration_ns / 1000000;
    memcpy(r->hint, hint.b, sizeof r->hint);
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    r->where = str_copy(&t->arena, str_from(host));
    if (getrandom(r->salt, sizeof r->salt, 0) != sizeof r->salt)
        memcpy(r->salt, t->fingerprint.b, sizeof r->salt);
}

/* The state's entry for a success; row is the encoded record. */
static struct state_step entry_of(struct task *t, const struct record *r, struct str row)
{
    return (struct state_step){.fingerprint = t->fingerprint,
                               .success_ms = r->success_ms,
                               .duration_ns = r->duration_ms * 1000000,
                               .outputs_hash = state_outputs_hash(r->outputs, r->output_count),
                               .outcome = STATE_SUCCEEDED,
                               .has_inputs = r->input_count > 0,
                               .record = row};
}

static struct str log_of(struct task *t, struct str name)
{
    struct str path = execute_log_path(&t->arena, name);
    struct file_sig sig = file_stat(t->building->root, path, false);
    return file_sig_exists(&sig) ? path : STR("");
}

static void end_ran(struct task *t, struct str log)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    struct ending e = {.life = LIFE_DONE,
                       .result = EVENT_RAN,
                       .reason = t->reason,
                       .duration_ns = t->job.outcome.duration_ns,
                       .log_path = log,
                       .exit_status = 0};
    if (t->unfit) {
        build_notice(
            b, "input-changed", true,
            str_printf(&t->arena,
                       "'%.*s': input '%.*s' changed while it ran: the result is not kept, and it "
                       "runs again next time",
                       STR_ARG(graph_text(b->graph, s->name)), STR_ARG(t->unfit_path)));
    }
    build_end_step(b, t->step, t, &e);
}

static void finish(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    struct str name = graph_text(b->graph, s->name), log = log_of(t, name);
    stamp(t, &t->record);
    take_metrics(t);
    fingerprint_to_record(&t->arena, &t->parts, false, &t->record);
    struct buf row;
    buf_init(&row, RECORD_BYTES_LIMIT);
    bool fits = record_put(&row, &t->record);
    if (!fits) {
        build_notice(
            b, "record-too-large", true,
            str_printf(&t->arena,
                       "'%.*s' has more outputs, metrics or discovered inputs than a record holds: "
                       "its result is not kept",
                       STR_ARG(name)));
    }
    struct state_step x = entry_of(t, &t->record, fits ? buf_str(&row) : STR(""));
    if (t->unfit || !fits)
        x = (struct state_step){.outcome = STATE_SUCCEEDED, .duration_ns = x.duration_ns};
    bool kept =
        fits && !t->unfit && b->cache && !(s->flags & (GRAPH_STEP_CACHE_OFF | GRAPH_STEP_NO_LOCAL));
    x.log_path = log;
    x.pending_sequence = kept;
    if (s->flags & GRAPH_STEP_CACHE_OFF)
        x.fingerprint = (struct digest){{0}}; /* no result to go by, also once the line is gone */
    state_put_step(b->state, name, &x);
    (void)!state_flush(b->state, b->diags);
    if (kept) {
        lease_keep(t);
        store(b, name, x.record, log, false);
    }
    buf_free(&row);
    end_ran(t, log);
}

/* ---- a result that was not made now ---- */

void settle_restored(struct task *t, const struct record *r, const struct restored *done)
{
    struct building *b = t->building;
    struct str name = graph_text(b->graph, graph_step(b->graph, t->step)->name);
    struct str log = done ? str_copy(&t->arena, done->log) : log_of(t, name);
    for (uint32_t i = 0; i < r->output_count && done; i++) {
        const struct record_output *o = &r->outputs[i];
        struct object_seen seen = {.ref = o->ref, .content = o->content, .mode = o->mode};
        /* Its signature may yet be shared by a change within the clock's grain: hashed once more next time. */
        observe_put(b->observe, observe_add(b->observe, o->path), &seen, &done->sigs[i],
                    done->began_ns);
    }
    if (t->from_remote)
        remote_note_use(t, r);
    struct record local = *r;
    fingerprint_to_record(&t->arena, &t->parts, false, &local);
    struct buf row;
    buf_init(&row, RECORD_BYTES_LIMIT);
    if (record_put(&row, &local) && b->options->mode != BUILD_ASK) {
        struct state_step x = entry_of(t, &local, buf_str(&row));
        memcpy(x.signer, t->signer.id, sizeof x.signer);
        x.log_path = log;
        state_put_step(b->state, name, &x);
    }
    struct ending e = {.life = LIFE_DONE,
                       .result = done ? EVENT_RESTORED : EVENT_UP_TO_DATE,
                       .reason = done ? t->reason : STR(""),
                       .duration_ns = done ? time_now_ns() - done->began_ns : 0,
                       .saved_ns = r->duration_ms * 1000000,
                       .log_path = log,
                       .from_remote = t->from_remote,
                       .exit_status = -1};
    buf_free(&row);
    build_end_step(b, t->step, t, &e);
}
