/* SPDX-License-Identifier: MIT */
/* From targets to wanted steps, with everything checked that would make starting a mistake. */
#include "core/build_wanted.h"

#include "core/building.h"
#include "core/inputs.h"
#include "core/run/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void wanted_number(struct building *b, step_id s)
{
    if (b->by_number.n == 0)
        *VEC_PUSH(b->arena, &b->by_number) = GRAPH_NONE; /* numbers begin at 1 */
    b->lives[s.i].number = b->by_number.n;
    *VEC_PUSH(b->arena, &b->by_number) = s.i;
}

bool wanted_probes_running(const struct building *b)
{
    for (uint32_t i = 0; i < b->graph->probe_count; i++) {
        if (b->probes[i].state == PROBE_RUNNING)
            return true;
    }
    return false;
}

/* ---- which ---- */

static bool mark(struct building *b, const struct str *names, uint32_t count, struct diags *d,
                 void (*each)(struct life_of *l))
{
    if (count == 0)
        return true;
    struct arena scratch = {0};
    struct step_list list = {.arena = &scratch};
    bool ok = graph_select(b->graph, names, count, &list, d);
    for (uint32_t i = 0; ok && i < list.n; i++)
        each(&b->lives[list.at[i].i]);
    arena_free(&scratch);
    return ok;
}

static void mark_rerun(struct life_of *l)
{
    l->rerun = true;
}

static void mark_only(struct life_of *l)
{
    l->only = true;
}

static void want(struct building *b, step_id s)
{
    if (b->lives[s.i].life != LIFE_IDLE)
        return;
    life_set(b, s, LIFE_WANTED);
    b->wanted++;
}

static bool select_targets(struct building *b, struct diags *d)
{
    const struct build_options *o = b->options;
    struct arena scratch = {0};
    struct step_list list = {.arena = &scratch};
    bool ok = true;
    if (o->only_count == 0 || o->target_count > 0)
        ok = graph_select(b->graph, o->targets, o->target_count, &list, d);
    for (uint32_t i = 0; ok && i < list.n; i++)
        want(b, list.at[i]);
    arena_free(&scratch);
    for (uint32_t i = 0; ok && i < b->graph->step_count; i++) {
        if (b->lives[i].only || (b->lives[i].rerun && o->only_count == 0))
            want(b, (step_id){i});
    }
    return ok;
}

/* What wanted steps need is wanted; from the back of the order, each edge once. */
static void want_needs(struct building *b)
{
    const struct graph *g = b->graph;
    for (uint32_t k = g->step_count; k-- > 0;) {
        uint32_t i = g->order[k];
        if (b->lives[i].life == LIFE_IDLE || b->lives[i].only)
            continue;
        const struct grange needs = g->steps[i].needs;
        for (uint32_t n = 0; n < needs.n; n++) {
            if (g->edges[needs.first + n].kind == GRAPH_NEED)
                want(b, g->edges[needs.first + n].step);
        }
    }
}

static bool is_over(const struct life_of *l)
{
    return l->life == LIFE_DONE || l->life == LIFE_SKIPPED || l->life == LIFE_FAILED;
}

/* Counts what each waiting step waits for, and queues those that wait for nothing. */
static void count_waiting(struct building *b)
{
    const struct graph *g = b->graph;
    b->ready.n = b->ready_from = 0;
    for (uint32_t k = 0; k < g->step_count; k++) {
        step_id s = {g->order[k]};
        struct life_of *l = &b->lives[s.i];
        if (l->life == LIFE_READY)
            life_set(b, s, LIFE_WANTED);
        if (l->life != LIFE_WANTED)
            continue;
        l->waiting = 0;
        const struct grange needs = g->steps[s.i].needs;
        for (uint32_t n = 0; n < needs.n && !l->only; n++) {
            const struct life_of *other = &b->lives[g->edges[needs.first + n].step.i];
            l->waiting += other->life != LIFE_IDLE && !is_over(other);
        }
        if (l->waiting == 0)
            *VEC_PUSH(b->arena, &b->ready) = s;
    }
}

/* ---- what can be done here ---- */

static bool not_supported(struct building *b, struct gspan at, struct diags *d, const char *what,
                          const char *help)
{
    struct diag *e = diag_error(d, "not-supported", graph_span(b->graph, at, b->root, d),
                                "%s is not supported yet", what);
    diag_help(d, e, "%s", help);
    return false;
}

static bool check_step(struct building *b, const struct graph_step *s, struct diags *d)
{
    if (s->command_kind == GRAPH_COMMAND_MAKE)
        return not_supported(b, s->command_span, d, "'make'", "call make in a 'run' for now");
    if (s->flags & GRAPH_STEP_TRACE) {
        return not_supported(b, s->span, d, "'trace true'",
                             "declare what is read as 'in', or write a 'depfile'");
    }
    if (s->checkpoint.n > 0)
        return not_supported(b, s->span, d, "'checkpoint'", "leave it out for now");
    if (s->executor != GRAPH_NONE
        && !str_eq(graph_text(b->graph, b->graph->executors[s->executor].kind), STR("local"))) {
        return not_supported(b, s->span, d, "an executor other than 'local'",
                             "leave 'on' out to run it here");
    }
    return true;
}

static bool count_gpus(struct building *b, struct diags *d);

static bool check_means(struct building *b, struct diags *d)
{
    uint32_t most = 0, who = 0;
    for (uint32_t i = 0; i < b->graph->step_count; i++) {
        if (b->lives[i].life == LIFE_WANTED && b->graph->steps[i].gpus > most) {
            most = b->graph->steps[i].gpus;
            who = i;
        }
    }
    if (most == 0 || b->options->mode != BUILD_RUN)
        return true;
    if (!b->gpu_names && !count_gpus(b, d))
        return false;
    if (most <= b->gpu_count)
        return true;
    const struct graph_step *s = &b->graph->steps[who];
    struct diag *e = diag_error(d, "not-enough-gpus", graph_span(b->graph, s->span, b->root, d),
                                "'%.*s' wants %u GPUs and there are %u here",
                                STR_ARG(graph_text(b->graph, s->name)), most, b->gpu_count);
    diag_help(d, e,
              "GPUs are those in CUDA_VISIBLE_DEVICES, else those that 'nvidia-smi -L' lists");
    return false;
}

static void add_gpu(struct building *b, struct str name)
{
    if (b->gpu_count < SCHED_GPUS_MAX && name.n > 0)
        b->gpu_names[b->gpu_count++] = str_copy(b->arena, name);
}

/* Before any job is started, so that this child is nobody else's. */
static void ask_nvidia_smi(struct building *b)
{
    FILE *list = popen("nvidia-smi -L 2>/dev/null", "re");
    char line[512];
    while (list && fgets(line, sizeof line, list)) {
        char number[16];
        if (strncmp(line, "GPU ", 4) != 0)
            continue;
        (void)snprintf(number, sizeof number, "%u", b->gpu_count);
        add_gpu(b, str_from(number));
    }
    if (list)
        (void)pclose(list);
}

static bool count_gpus(struct building *b, struct diags *d)
{
    (void)d;
    b->gpu_names = ARENA_ARRAY(b->arena, struct str, SCHED_GPUS_MAX);
    const char *visible = command_env(b->options->environment, "CUDA_VISIBLE_DEVICES");
    if (!visible) {
        ask_nvidia_smi(b);
        return true;
    }
    struct str rest = str_from(visible), part;
    while (str_cut(&rest, ',', &part))
        add_gpu(b, str_trim(part));
    return true;
}

static bool check_wanted(struct building *b, struct diags *d)
{
    bool ok = true;
    for (uint32_t i = 0; i < b->graph->step_count; i++) {
        if (b->lives[i].life == LIFE_WANTED)
            ok = check_step(b, &b->graph->steps[i], d) && ok;
    }
    return ok && check_means(b, d);
}

/* ---- the first look at files ---- */

static void add_file(struct building *b, file_id f, uint32_t *numbers, uint32_t *n)
{
    if (b->file_numbers[f.i] == GRAPH_NONE)
        numbers[(*n)++] = build_file_number(b, f);
}

static bool observe_files(struct building *b, struct diags *d)
{
    const struct graph *g = b->graph;
    struct arena scratch = {0};
    uint32_t *numbers = ARENA_ARRAY(&scratch, uint32_t, g->file_count + 1), n = 0;
    observe_expect(b->observe, g->file_count);
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (b->lives[i].life != LIFE_WANTED)
            continue;
        const struct graph_step *s = &g->steps[i];
        for (uint32_t k = 0; k < s->inputs.n; k++) {
            const struct graph_input *in = &g->inputs[s->inputs.first + k];
            if (!inputs_is_s3(b, in))
                add_file(b, in->file, numbers, &n);
        }
        for (uint32_t k = 0; k < s->outputs.n; k++)
            add_file(b, g->outputs[s->outputs.first + k].file, numbers, &n);
    }
    observe_many(b->observe, numbers, n);
    bool absent = false;
    for (uint32_t f = 0; f < g->file_count && !absent; f++) {
        absent = b->file_numbers[f] != GRAPH_NONE && g->files[f].producer == GRAPH_NONE
                 && observe_look(b->observe, b->file_numbers[f])->sig.mode == 0;
    }
    bool ok = true;
    if (absent) {
        uint8_t *wanted = ARENA_ARRAY(&scratch, uint8_t, g->step_count + 1);
        for (uint32_t i = 0; i < g->step_count; i++)
            wanted[i] = b->lives[i].life == LIFE_WANTED;
        ok = eval_check_sources(g, b->root, wanted, d);
    }
    arena_free(&scratch);
    return ok;
}

/* ---- order ---- */

/* How long step i will still take, by its last success. */
static int64_t time_left(struct building *b, uint32_t i)
{
    const struct life_of *l = &b->lives[i];
    const struct state_step *last =
        state_find_step(b->state, graph_text(b->graph, b->graph->steps[i].name));
    int64_t left = last ? last->duration_ns : 0;
    if (l->life == LIFE_RUNNING && l->task)
        left -= time_now_ns() - l->task->began_ns;
    return left > 0 ? left : 0;
}

static void find_paths(struct building *b, int64_t *paths)
{
    const struct graph *g = b->graph;
    struct arena scratch = {0};
    uint8_t *wanted = ARENA_ARRAY(&scratch, uint8_t, g->step_count + 1);
    int64_t *durations = ARENA_ARRAY(&scratch, int64_t, g->step_count + 1);
    for (uint32_t i = 0; i < g->step_count; i++) {
        wanted[i] = b->lives[i].life != LIFE_IDLE && !is_over(&b->lives[i]);
        durations[i] = wanted[i] ? time_left(b, i) : 0;
    }
    sched_paths(g, wanted, durations, paths);
    arena_free(&scratch);
}

int64_t wanted_remaining_ns(struct building *b)
{
    struct arena scratch = {0};
    int64_t *paths = ARENA_ARRAY(&scratch, int64_t, b->graph->step_count + 1);
    int64_t longest = 0;
    find_paths(b, paths);
    for (uint32_t i = 0; i < b->graph->step_count; i++) {
        if (paths[i] > longest)
            longest = paths[i];
    }
    arena_free(&scratch);
    return longest;
}

static void keep_paths(struct building *b)
{
    b->paths = ARENA_ARRAY(b->arena, int64_t, b->graph->step_count + 1);
    if (b->options->mode == BUILD_RUN)
        find_paths(b, b->paths);
}

static void note_fans(struct building *b)
{
    const struct graph *g = b->graph;
    b->fans_out = false;
    for (uint32_t i = 0; i < g->origin_count && !b->fans_out; i++)
        b->fans_out = g->origins[i].kind == GRAPH_ORIGIN_LISTING;
    for (uint32_t i = 0; i < g->step_count && !b->fans_out; i++)
        b->fans_out = g->steps[i].command_kind == GRAPH_COMMAND_PENDING;
}

static bool make_sched(struct building *b)
{
    uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES), page = (uint64_t)sysconf(_SC_PAGESIZE);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct sched_limits limits = {.jobs = b->options->jobs ? b->options->jobs
                                                           : (uint32_t)(cpus > 0 ? cpus : 1),
                                  .cpus = cpus > 0 ? (double)cpus : 1,
                                  .memory_bytes = pages * page,
                                  .gpu_count = b->gpu_count,
                                  .max_load = b->options->max_load};
    b->sched = sched_make(b->arena, b->graph, &limits);
    return true;
}

static bool want_all(struct building *b, struct diags *d)
{
    const struct build_options *o = b->options;
    if (!mark(b, o->only, o->only_count, d, mark_only)
        || !mark(b, o->rerun, o->rerun_count, d, mark_rerun) || !select_targets(b, d))
        return false;
    want_needs(b);
    return check_wanted(b, d) && observe_files(b, d);
}

bool wanted_begin(struct building *b, struct diags *d)
{
    const struct graph *g = b->graph;
    b->lives = ARENA_ARRAY(b->arena, struct life_of, g->step_count + 1);
    b->file_numbers = ARENA_ARRAY(b->arena, uint32_t, g->file_count + 1);
    memset(b->file_numbers, 0xff, sizeof *b->file_numbers * (g->file_count + 1));
    b->probes = ARENA_ARRAY(b->arena, struct probe_life, g->probe_count + 1);
    for (uint32_t i = 0; i < g->step_count; i++)
        wanted_number(b, (step_id){i});
    if (!want_all(b, d) || !make_sched(b))
        return false;
    note_fans(b);
    keep_paths(b);
    count_waiting(b);
    b->run_steps.at = ARENA_ARRAY(b->arena, struct run_step, b->wanted + 1);
    b->run_steps.cap = b->wanted + 1;
    return inputs_begin(b, true, d);
}

bool wanted_again(struct building *b, struct diags *d)
{
    if (!want_all(b, d))
        return false;
    note_fans(b);
    keep_paths(b);
    count_waiting(b);
    return inputs_begin(b, false, d);
}

void wanted_end(struct building *b)
{
    for (uint32_t i = 0; b->probes && i < b->graph->probe_count; i++) {
        buf_free(&b->probes[i].text);
        arena_free(&b->probes[i].arena);
    }
}
