/* SPDX-License-Identifier: MIT */
/* Looking at a step whose turn has come: its inputs' content, its condition, its fingerprint, then what is in
 * place, then what the cache has. Each part may have to wait, and is then entered again from its beginning. */
#include "cache/far.h"
#include "core/base/table.h"
#include "core/building.h"
#include "core/inputs.h"
#include "core/look_inside.h"
#include "core/run/command.h"

#include <stdlib.h>
#include <string.h>

#define FRESH_NS INT64_C(100000000) /* younger than this, what was seen is not looked at again */

/* ---- waiting ---- */

void look_again(struct task *t);

static struct task *task_of(struct building *b, uint32_t number)
{
    uint32_t step = b->by_number.at[number];
    return step == GRAPH_NONE ? NULL : b->lives[step].task;
}

void look_held_up_over(struct task *t)
{
    t->building->held_up -= t->held_up;
    t->held_up = false;
}

void look_file_ready(void *context, uint32_t number)
{
    struct building *b = context;
    struct task *t = task_of(b, number);
    if (!t || t->awaited == 0 || --t->awaited > 0)
        return;
    if (b->lives[t->step.i].life == LIFE_STORING) {
        settle_look_again(t);
    } else {
        look_again(t);
    }
}

/* The path's content; NULL: it is being hashed and awaited now. */
static const struct observed *want_file(struct task *t, uint32_t number)
{
    const struct observed *o = observe_want(t->building->observe, number, t->number);
    if (o->status != OBSERVE_HASHING)
        return o;
    t->awaited++;
    return NULL;
}

static enum looked fail(struct task *t, struct str reason)
{
    build_fail_step(t, reason);
    return LOOKED_OVER;
}

/* ---- asked only: a step whose outcome can only be known once another has run ---- */

static enum looked end_unknown(struct building *b, step_id s, struct task *t, struct str cause)
{
    struct arena scratch = {0};
    struct ending e = {.life = LIFE_DONE,
                       .result = EVENT_MAY_RUN,
                       .reason =
                           str_printf(&scratch, "depends on what '%.*s' makes", STR_ARG(cause)),
                       .exit_status = -1,
                       .unknown = true};
    build_end_step(b, s, t, &e);
    arena_free(&scratch);
    return LOOKED_OVER;
}

/* The first step that s needs whose outputs are not known, if any. */
static bool has_unknown_need(struct building *b, step_id s, struct str *cause)
{
    const struct graph_step *step = graph_step(b->graph, s);
    bool reads = look_reads_values(step);
    if (b->lives[s.i].only)
        return false;
    for (uint32_t i = 0; i < step->needs.n; i++) {
        const struct graph_edge *edge = &b->graph->edges[step->needs.first + i];
        const struct life_of *need = &b->lives[edge->step.i];
        /* Of what lies far away the digests are known, and the values are not. */
        bool known = !need->unknown || (need->result == EVENT_WOULD_RESTORE && !reads);
        if (edge->kind != GRAPH_NEED || known)
            continue;
        *cause = graph_text(b->graph, graph_step(b->graph, edge->step)->name);
        return true;
    }
    return false;
}

/* ---- inputs ---- */

/* Asked only: a file within a folder that would be restored is not known yet. */
static bool has_unknown_input(struct building *b, const struct graph_step *s, struct str *cause)
{
    for (uint32_t i = 0; i < s->inputs.n && b->options->mode == BUILD_ASK; i++) {
        const struct graph_file *f =
            graph_file(b->graph, b->graph->inputs[s->inputs.first + i].file);
        if (f->inside == GRAPH_NONE || f->producer == GRAPH_NONE)
            continue;
        const struct life_of *l = &b->lives[f->producer];
        if (l->life != LIFE_DONE || l->result != EVENT_WOULD_RESTORE)
            continue;
        *cause = graph_text(b->graph, b->graph->steps[f->producer].name);
        return true;
    }
    return false;
}

/* LOOKED_WAIT: its content is not known yet. */
static enum looked look_input(struct task *t, const struct graph_input *in, struct part_file *out)
{
    struct building *b = t->building;
    if (inputs_is_s3(b, in)) {
        switch (inputs_look(b, t, in, out)) {
        case INPUTS_FAILED: return LOOKED_OVER;
        case INPUTS_GOOD: return LOOKED_ON;
        case INPUTS_WAIT:
        case INPUTS_ANEW: break;
        }
        return LOOKED_WAIT;
    }
    const struct observed *o = want_file(t, build_file_number(b, in->file));
    if (!o)
        return LOOKED_WAIT;
    if (o->status == OBSERVE_BROKEN)
        return fail(t, str_printf(&t->arena, "input '%.*s' cannot be read", STR_ARG(o->path)));
    if (o->ref.kind == REF_NONE)
        return fail(t, str_printf(&t->arena, "input '%.*s' does not exist", STR_ARG(o->path)));
    *out = (struct part_file){.kind = o->ref.kind, .digest = o->content};
    return LOOKED_ON;
}

/* Thousands may wait for one input: until it is known, they take no room for it. */
static enum looked look_inputs(struct task *t)
{
    const struct graph *g = t->building->graph;
    const struct graph_step *s = graph_step(g, t->step);
    struct part_file *files = s->inputs.n ? NULL : ARENA_NEW(&t->arena, struct part_file);
    for (uint32_t i = 0; i < s->inputs.n; i++) {
        struct part_file file;
        enum looked looked = look_input(t, &g->inputs[s->inputs.first + i], &file);
        if (looked == LOOKED_OVER)
            return LOOKED_OVER;
        if (looked == LOOKED_WAIT)
            continue;
        if (!files)
            files = ARENA_ARRAY(&t->arena, struct part_file, s->inputs.n);
        files[i] = file;
    }
    t->values.inputs = files;
    return t->awaited ? LOOKED_WAIT : LOOKED_ON;
}

/* ---- late values ---- */

static bool read_file(void *context, struct str path, struct str *text, struct diags *d)
{
    struct task *t = context;
    struct building *b = t->building;
    uint32_t supposed = b->supposed.arena ? table_find(&b->supposed, path) : TABLE_NONE;
    if (supposed != TABLE_NONE) {
        *text = b->supposed_texts.at[supposed];
        return true;
    }
    return file_read(&t->arena, t->building->root, path, JSON_TEXT_LIMIT, text, d);
}

static bool read_probe(void *context, uint32_t probe, struct str *text, struct diags *d)
{
    struct task *t = context;
    const struct probe_life *p = &t->building->probes[probe];
    if (p->state != PROBE_DONE) {
        diag_error(d, "probe-failed", SPAN_NONE, "the probe's text is not known");
        return false;
    }
    *text = str_trim(buf_str(&p->text));
    return true;
}

static struct span place_of(void *context, struct span in_graph, struct diags *d)
{
    struct task *t = context;
    struct gspan at = {in_graph.source, in_graph.begin, in_graph.end};
    return graph_span(t->building->graph, at, t->building->root, d);
}

struct value_reader build_reader(struct task *t)
{
    return (struct value_reader){t, read_file, read_probe, place_of};
}

static struct str print(struct task *t, const struct value *v)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    if (v->kind == VALUE_LIST) { /* argv: words, each ended by NUL */
        for (uint32_t i = 0; i < v->count; i++) {
            value_put(&b, &v->items[i]);
            buf_put_char(&b, '\0');
        }
    } else {
        value_put(&b, v);
    }
    struct str text = str_copy(&t->arena, buf_str(&b));
    buf_free(&b);
    return text;
}

/* What an expression of the graph prints now, and (if not NULL) what the fingerprint sees of that. */
static bool text_of(struct task *t, const struct gexpr *e, struct str *out, struct str *tracked)
{
    struct str bytes = graph_text(t->building->graph, e->bytes);
    struct value v;
    *out = bytes;
    if (e->late) {
        struct value_reader reader = build_reader(t);
        if (!value_late_evaluate(&t->arena, bytes, &reader, &v, &t->diags))
            return false;
        *out = print(t, &v);
    }
    if (tracked) {
        *tracked = *out;
        if (e->late && v.untracked) {
            v = value_tracked(&t->arena, &v);
            *tracked = print(t, &v);
        }
    }
    return true;
}

bool look_text(struct task *t, const struct gexpr *e, struct str *out)
{
    return text_of(t, e, out, NULL);
}

static void end_unmet(struct building *b, step_id s, struct task *t)
{
    struct ending e = {.life = LIFE_SKIPPED,
                       .result = EVENT_SKIPPED,
                       .reason = STR("its condition ('when') does not hold"),
                       .exit_status = -1};
    build_end_step(b, s, t, &e);
}

static enum looked look_condition(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    if (s->when.bytes.n == 0)
        return LOOKED_ON;
    struct str holds;
    if (!text_of(t, &s->when, &holds, NULL))
        return fail(t, STR(""));
    if (str_eq(holds, STR("true")))
        return LOOKED_ON;
    end_unmet(b, t->step, t);
    return LOOKED_OVER;
}

static enum looked look_probes(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    struct str *texts = ARENA_ARRAY(&t->arena, struct str, s->probes.n + 1);
    for (uint32_t i = 0; i < s->probes.n; i++) {
        uint32_t number = b->graph->numbers[s->probes.first + i];
        struct probe_life *p = &b->probes[number];
        if (p->state == PROBE_IDLE || p->state == PROBE_RUNNING)
            execute_probe(b, number, t->number);
        if (p->state == PROBE_RUNNING) {
            t->awaited++;
            continue;
        }
        if (p->state == PROBE_FAILED) {
            return fail(t, str_printf(&t->arena, "probe '%.*s' failed: %.*s",
                                      STR_ARG(graph_text(b->graph, b->graph->probes[number].name)),
                                      STR_ARG(str_trim(buf_str(&p->text)))));
        }
        texts[i] = str_trim(buf_str(&p->text));
    }
    t->values.probes = texts;
    return t->awaited ? LOOKED_WAIT : LOOKED_ON;
}

void look_probe_done(struct probe_life *p)
{
    for (uint32_t i = 0; i < p->waiters.n; i++)
        look_file_ready(p->building, p->waiters.at[i]);
    p->waiters.n = 0;
}

/* ---- fingerprint ---- */

static const char *path_variable(struct building *b)
{
    const char *path = command_env(b->options->environment, "PATH");
    return path ? path : "/usr/local/bin:/usr/bin:/bin";
}

/* Programs are hashed like inputs, under their absolute paths. */
static bool find_tools(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    struct part_file *tools = ARENA_ARRAY(&t->arena, struct part_file, s->tools.n + 1);
    for (uint32_t i = 0; i < s->tools.n; i++) {
        struct str name = graph_text(b->graph, b->graph->texts[s->tools.first + i]);
        const char *path = str_has(name, '/') ? str_c(&t->arena, name)
                                              : command_find(&t->arena, path_variable(b), NULL,
                                                             str_c(&t->arena, name));
        const struct observed *o =
            path ? want_file(t, observe_add(b->observe, str_from(path))) : NULL;
        if (path && !o)
            continue;
        if (!o || o->status != OBSERVE_KNOWN || o->ref.kind == REF_NONE) {
            diag_error(&t->diags, "no-tool", graph_span(b->graph, s->span, b->root, &t->diags),
                       "tool '%.*s' was not found in PATH", STR_ARG(name));
            return false;
        }
        tools[i] = (struct part_file){.kind = o->ref.kind, .digest = o->content};
    }
    t->values.tools = tools;
    return true;
}

static bool find_values(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    struct str *env = ARENA_ARRAY(&t->arena, struct str, s->env.n + 1);
    t->env = ARENA_ARRAY(&t->arena, struct str, s->env.n + 1);
    for (uint32_t i = 0; i < s->env.n; i++) {
        if (!text_of(t, &b->graph->named[s->env.first + i].value, &t->env[i], &env[i]))
            return false;
    }
    t->values.env = env;
    t->values.platform = t->building->platform;
    return text_of(t, &s->command_tracked, &t->values.command, NULL);
}

static const struct state_step *copy_last(struct task *t, const struct state_step *last)
{
    if (!last)
        return NULL;
    struct state_step *copy = ARENA_NEW(&t->arena, struct state_step);
    *copy = *last;
    copy->record = str_copy(&t->arena, last->record);
    copy->log_path = str_copy(&t->arena, last->log_path);
    return copy;
}

/* The last success: of this name, or of another name with this fingerprint (a renamed step). */
static void find_last(struct task *t)
{
    struct building *b = t->building;
    const struct state_step *named =
        state_find_step(b->state, graph_text(b->graph, graph_step(b->graph, t->step)->name));
    const struct state_step *last = named;
    if (!named || !digest_eq(&named->fingerprint, &t->fingerprint)) {
        const struct state_step *same = state_find_result(b->state, &t->fingerprint);
        last = same ? same : named;
    }
    static const struct digest none;
    if (last && (digest_eq(&last->fingerprint, &none) || last->record.n == 0))
        last = NULL;
    t->last = copy_last(t, last);
    t->has_last_record = t->last && record_read(&t->arena, t->last->record, &t->last_record);
}

static enum looked look_fingerprint(struct task *t)
{
    struct building *b = t->building;
    if (!find_tools(t))
        return fail(t, STR(""));
    if (t->awaited)
        return LOOKED_WAIT;
    if (!find_values(t))
        return fail(t, STR(""));
    t->fingerprint = fingerprint_digest(b->graph, t->step, &t->values);
    fingerprint_parts(b->graph, t->step, &t->values, &t->arena, &t->parts);
    find_last(t);
    if (t->has_last_record) {
        t->change_count = fingerprint_difference(&t->arena, &t->last_record, &t->parts,
                                                 b->options->explain, &t->changes);
    }
    return LOOKED_ON;
}

/* ---- what is in place ---- */

/* True if each output of the record lies in place with its content and mode; *odd: the first that does not.
 * False with t->awaited: not known yet. */
enum plan_outputs look_compare_outputs(struct task *t, const struct record *r, struct str *odd)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    enum plan_outputs result =
        r->output_count == s->outputs.n ? PLAN_OUTPUTS_MATCH : PLAN_OUTPUTS_MISSING;
    for (uint32_t i = 0; i < r->output_count; i++) {
        const struct record_output *want = &r->outputs[i];
        const struct observed *o = want_file(t, observe_add(b->observe, want->path));
        if (!o)
            continue;
        bool same = o->status == OBSERVE_KNOWN && o->ref.kind == want->ref.kind
                    && digest_eq(&o->content, &want->content) && o->mode == want->mode;
        if (same || result != PLAN_OUTPUTS_MATCH)
            continue;
        result = o->ref.kind == REF_NONE ? PLAN_OUTPUTS_MISSING : PLAN_OUTPUTS_CHANGED;
        *odd = want->path;
    }
    return result;
}

/* The same for what it was found to read. */
bool look_inputs_match(struct task *t, const struct record *r, struct str *odd)
{
    bool match = true;
    for (uint32_t i = 0; i < r->input_count; i++) {
        const struct record_input *want = &r->inputs[i];
        const struct observed *o = want_file(t, observe_add(t->building->observe, want->path));
        if (!o)
            continue;
        bool same = o->status == OBSERVE_KNOWN && o->ref.kind == want->kind
                    && (want->kind == REF_NONE || digest_eq(&o->content, &want->digest));
        if (!same && match)
            *odd = want->path;
        match = match && same;
    }
    return match;
}

struct str look_change_reason(struct task *t)
{
    struct part_change *changes = t->changes;
    uint32_t count = t->change_count;
    if (count && t->building->options->explain) /* the same words, however much is told besides */
        count = fingerprint_difference(&t->arena, &t->last_record, &t->parts, false, &changes);
    if (count)
        return fingerprint_reason(&t->arena, changes, count);
    return t->has_last_record ? STR("") : STR("no earlier result");
}

void look_end_up_to_date(struct task *t, const struct record *r, bool from_cache)
{
    struct building *b = t->building;
    if (from_cache) { /* another name or workspace made it, and it lies here: keep that in mind */
        settle_restored(t, r, NULL);
        return;
    }
    struct ending e = {.life = LIFE_DONE,
                       .result = EVENT_UP_TO_DATE,
                       .saved_ns = t->last->duration_ns,
                       .exit_status = -1};
    const struct state_step *named =
        state_find_step(b->state, graph_text(b->graph, graph_step(b->graph, t->step)->name));
    if ((!named || !digest_eq(&named->fingerprint, &t->fingerprint))
        && b->options->mode != BUILD_ASK)
        state_put_step(b->state, graph_text(b->graph, graph_step(b->graph, t->step)->name),
                       t->last);
    build_end_step(b, t->step, t, &e);
}

static void begin_anew(struct task *t)
{
    t->leasable = false;
    look_seek_over(t);
    lease_forget(t);
    remote_forget(t);
    t->looks_boot_ns = time_boot_ns();
    t->stage = LOOK_INPUTS;
    t->reason = STR("");
    t->change_count = t->hit_count = t->hit_next = t->far_count = t->far_next = 0;
    t->got = NULL;
    t->from_remote = false;
}

static enum looked look_copies(struct task *t)
{
    struct building *b = t->building;
    switch (inputs_copies(t)) {
    case INPUTS_WAIT: return LOOKED_WAIT;
    case INPUTS_FAILED: return fail(t, STR(""));
    case INPUTS_ANEW:
        begin_anew(t);
        look_again(t);
        return LOOKED_OVER;
    case INPUTS_GOOD: break;
    }
    life_set(b, t->step, LIFE_QUEUED);
    sched_push(b->sched, t->step, b->paths[t->step.i]);
    return LOOKED_OVER;
}

enum looked look_must_run(struct task *t)
{
    struct building *b = t->building;
    look_seek_over(t);
    if (t->reason.n == 0)
        t->reason = look_change_reason(t);
    if (b->options->mode == BUILD_RUN) {
        t->stage = LOOK_COPIES;
        return look_copies(t);
    }
    bool asked = b->options->mode == BUILD_ASK;
    b->unrestored |= !asked;
    struct ending e = {.life = asked ? LIFE_DONE : LIFE_SKIPPED,
                       .result = asked ? EVENT_WOULD_RUN : EVENT_SKIPPED,
                       .reason = asked ? t->reason : STR("the cache has no result for it"),
                       .exit_status = -1,
                       .unknown = true};
    build_end_step(b, t->step, t, &e);
    return LOOKED_OVER;
}

static int64_t expire_ms(const struct graph_step *s)
{
    return s->expire_ns == 0 ? 0 : s->expire_ns < 1000000 ? 1 : s->expire_ns / 1000000;
}

/* When a step without outputs failed with what it sees now, after a success with the same; 0: it did not. */
static int64_t failure_ms(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    const struct state_step *named = state_find_step(b->state, graph_text(b->graph, s->name));
    bool failed = s->outputs.n == 0 && named && named->outcome == STATE_FAILED
                  && named->record.n == 0 && digest_eq(&named->fingerprint, &t->fingerprint);
    return failed ? named->success_ms : 0;
}

int64_t look_not_before_ms(struct task *t)
{
    const struct graph_step *s = graph_step(t->building->graph, t->step);
    int64_t not_before_ms = plan_not_before_ms(time_now_ns() / 1000000, expire_ms(s)),
            failed_ms = failure_ms(t);
    return failed_ms > not_before_ms && failed_ms > 0 ? failed_ms : not_before_ms;
}

static enum looked look_outputs(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    bool cache_off = s->flags & GRAPH_STEP_CACHE_OFF;
    struct plan_facts f = {.fingerprint = &t->fingerprint,
                           .last = t->has_last_record ? t->last : NULL,
                           .inputs_match = true,
                           .now_ms = time_now_ns() / 1000000,
                           .expire_ms = expire_ms(s),
                           .cache_off = cache_off,
                           .no_cache = b->options->no_cache || !b->cache
                                       || (s->flags & GRAPH_STEP_NO_LOCAL),
                           .rerun = b->lives[t->step.i].rerun,
                           .distrusted = t->last && !keyring_trusts(&b->keyring, t->last)};
    if (f.last && digest_eq(&t->last->fingerprint, &t->fingerprint) && !cache_off && !f.rerun) {
        f.outputs = look_compare_outputs(t, &t->last_record, &f.odd_path);
        struct str odd = STR("");
        f.inputs_match = look_inputs_match(t, &t->last_record, &odd);
        if (!f.inputs_match)
            f.odd_path = odd;
        if (t->awaited)
            return LOOKED_WAIT;
    }
    struct plan p = plan_decide(&t->arena, &f);
    t->reason =
        p.verdict == PLAN_LOOKUP && failure_ms(t) ? STR("it failed the last time") : p.reason;
    switch (p.verdict) {
    case PLAN_UP_TO_DATE: look_end_up_to_date(t, &t->last_record, false); return LOOKED_OVER;
    case PLAN_LOOKUP: return LOOKED_ON;
    case PLAN_RUN: break;
    }
    return look_must_run(t);
}

/* ---- the order of it ---- */

void look_again(struct task *t)
{
    static enum looked (*const parts[])(struct task *) = {
        [LOOK_INPUTS] = look_inputs,
        [LOOK_CONDITION] = look_condition,
        [LOOK_PROBES] = look_probes,
        [LOOK_FINGERPRINT] = look_fingerprint,
        [LOOK_OUTPUTS] = look_outputs,
        [LOOK_CACHE] = look_cache,
        [LOOK_HITS] = look_hits,
        [LOOK_REMOTE] = look_remote,
        [LOOK_REMOTE_HITS] = look_remote_hits,
        [LOOK_COPIES] = look_copies,
    };
    look_held_up_over(t);
    if (t->building->stopping && t->building->lives[t->step.i].life == LIFE_LOOKING) {
        life_set(t->building, t->step, LIFE_WANTED); /* the end of the build sees to it */
        return;
    }
    while (parts[t->stage](t) == LOOKED_ON)
        t->stage++;
}

/* The usual case without a task: all contents known, nothing late, outputs as the last success left them. */
static bool look_quickly(struct building *b, step_id s)
{
    enum { QUICK_FILES = 64 };
    const struct graph *g = b->graph;
    const struct graph_step *step = graph_step(g, s);
    static const struct digest late;
    if (digest_eq(&step->declared, &late) || step->probes.n || step->tools.n || step->when.bytes.n
        || step->inputs.n > QUICK_FILES || step->outputs.n > QUICK_FILES || b->lives[s.i].rerun
        || (step->flags & GRAPH_STEP_CACHE_OFF) || b->options->explain)
        return false;
    const struct state_step *last = state_find_step(b->state, graph_text(g, step->name));
    if (!last || last->has_inputs || last->record.n == 0 || !keyring_trusts(&b->keyring, last))
        return false;
    struct part_file inputs[QUICK_FILES];
    for (uint32_t i = 0; i < step->inputs.n; i++) {
        const struct graph_input *in = &g->inputs[step->inputs.first + i];
        if (inputs_is_s3(b, in)) {
            if (inputs_look(b, NULL, in, &inputs[i]) != INPUTS_GOOD)
                return false;
            continue;
        }
        const struct observed *o = observe_look(b->observe, build_file_number(b, in->file));
        if (o->status != OBSERVE_KNOWN || o->ref.kind == REF_NONE)
            return false;
        inputs[i] = (struct part_file){.kind = o->ref.kind, .digest = o->content};
    }
    struct fingerprint_values values = {.inputs = inputs, .platform = b->platform};
    struct digest fingerprint = fingerprint_digest(g, s, &values);
    if (!digest_eq(&fingerprint, &last->fingerprint)
        || plan_is_expired(last->success_ms, time_now_ns() / 1000000, expire_ms(step)))
        return false;
    struct record_output outputs[QUICK_FILES];
    for (uint32_t i = 0; i < step->outputs.n; i++) {
        file_id f = g->outputs[step->outputs.first + i].file;
        const struct observed *o = observe_look(b->observe, build_file_number(b, f));
        if (o->status != OBSERVE_KNOWN || o->ref.kind == REF_NONE)
            return false;
        outputs[i] = (struct record_output){graph_path(g, f), o->mode, o->ref, o->content};
    }
    if (state_outputs_hash(outputs, step->outputs.n) != last->outputs_hash)
        return false;
    struct ending e = {.life = LIFE_DONE,
                       .result = EVENT_UP_TO_DATE,
                       .saved_ns = last->duration_ns,
                       .exit_status = -1};
    build_end_step(b, s, NULL, &e);
    return true;
}

/* A fan-out whose folder could not be listed: nobody made it, or it was only asked. */
static void end_pending(struct building *b, step_id s)
{
    struct ending e = {.life = LIFE_FAILED,
                       .result = EVENT_FAILED,
                       .reason = STR("the folder that it fans out over could not be listed"),
                       .exit_status = -1};
    build_end_step(b, s, NULL, &e);
}

/* The step whose folder a fan-out waits for. */
static struct str maker_of_pending(const struct graph *g, const struct graph_step *s)
{
    uint32_t maker = s->pending == GRAPH_NONE ? GRAPH_NONE : g->files[s->pending].producer;
    return graph_text(g, maker == GRAPH_NONE ? s->base : g->steps[maker].name);
}

/* What was seen when the build began may be hours old. True if an input is something else now. */
static bool refresh(struct building *b, const struct graph_step *s)
{
    bool changed = false;
    for (uint32_t i = 0; i < s->inputs.n; i++) {
        const struct graph_input *in = &b->graph->inputs[s->inputs.first + i];
        changed =
            (!inputs_is_s3(b, in) && observe_refresh(b->observe, build_file_number(b, in->file)))
            || changed;
    }
    for (uint32_t i = 0; i < s->outputs.n; i++) {
        uint32_t output = build_file_number(b, b->graph->outputs[s->outputs.first + i].file);
        (void)observe_refresh(b->observe, output);
    }
    return changed;
}

bool look_is_outdated(struct task *t)
{
    struct building *b = t->building;
    bool outdated = !t->looked_twice && refresh(b, graph_step(b->graph, t->step));
    return inputs_are_outdated(t) || outdated;
}

void look_anew(struct task *t)
{
    t->looked_twice = true;
    life_set(t->building, t->step, LIFE_LOOKING);
    begin_anew(t);
    look_again(t);
}

void look_at(struct building *b, step_id s)
{
    struct str cause;
    const struct gexpr *when = &graph_step(b->graph, s)->when;
    if (when->bytes.n && !when->late && !str_eq(graph_text(b->graph, when->bytes), STR("true"))) {
        end_unmet(b, s, NULL);
        return;
    }
    if (has_unknown_need(b, s, &cause) || has_unknown_input(b, graph_step(b->graph, s), &cause)) {
        (void)end_unknown(b, s, NULL, cause);
        return;
    }
    if (graph_step(b->graph, s)->command_kind == GRAPH_COMMAND_PENDING) {
        if (b->options->mode == BUILD_ASK) {
            (void)end_unknown(b, s, NULL, maker_of_pending(b->graph, graph_step(b->graph, s)));
        } else {
            end_pending(b, s);
        }
        return;
    }
    if (b->options->mode == BUILD_RUN && time_now_ns() - b->started_ns > FRESH_NS)
        (void)refresh(b, graph_step(b->graph, s));
    if (look_quickly(b, s))
        return;
    life_set(b, s, LIFE_LOOKING);
    look_again(task_open(b, s));
}
