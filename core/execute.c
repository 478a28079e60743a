/* SPDX-License-Identifier: MIT */
/* Running: a step's place is made ready, its command started, tried again, and its end seen to. Probes too. */
#include "core/building.h"
#include "core/run/command.h"
#include "core/run/joblog.h"
#include "core/run/jobserver.h"
#include "core/run/local.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LOG_NAME_BYTES = 80, PROBE_TEXT_LIMIT = 1 << 20 };

struct str execute_log_path(struct arena *a, struct str step_name)
{
    char name[LOG_NAME_BYTES + 1];
    size_t n = step_name.n < LOG_NAME_BYTES ? step_name.n : LOG_NAME_BYTES;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)step_name.s[i];
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        name[i] = plain ? (char)c : '-';
    }
    name[n] = '\0';
    return str_printf(a, EXECUTE_LOGS "/%s-%08x.log", name,
                      (unsigned)(str_hash(step_name) & 0xffffffffu));
}

/* ---- the environment ---- */

struct environment {
    struct arena *arena;
    char *const *caller;
    VEC(char *) at;
};

static size_t name_bytes(const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    return equals ? (size_t)(equals - assignment) : strlen(assignment);
}

static void put_variable(struct environment *e, struct str name, struct str value, bool unset)
{
    for (uint32_t i = 0; i < e->at.n; i++) {
        if (str_eq((struct str){e->at.at[i], name_bytes(e->at.at[i])}, name)) {
            e->at.at[i] = e->at.at[--e->at.n];
            break;
        }
    }
    if (!unset) {
        *VEC_PUSH(e->arena, &e->at) =
            (char *)str_printf(e->arena, "%.*s=%.*s", STR_ARG(name), STR_ARG(value)).s;
    }
}

static struct str params_json(struct task *t, const struct graph_step *s)
{
    const struct graph *g = t->building->graph;
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    uint32_t count = 0;
    buf_put_char(&b, '{');
    for (uint32_t i = 0; i < s->params.n; i++) {
        const struct graph_named *p = &g->named[s->params.first + i];
        if (p->flags & GRAPH_NAMED_INFO)
            continue;
        if (count++)
            buf_put_str(&b, STR(","));
        str_put_json(&b, graph_text(g, p->name));
        buf_put_char(&b, ':');
        if (p->flags & GRAPH_NAMED_TEXT) {
            str_put_json(&b, graph_text(g, p->value.bytes));
        } else {
            buf_put_str(&b, graph_text(g, p->value.bytes));
        }
    }
    buf_put_char(&b, '}');
    struct str text = count ? str_copy(&t->arena, buf_str(&b)) : STR_NONE;
    buf_free(&b);
    return text;
}

static struct str gpu_list(struct task *t)
{
    struct building *b = t->building;
    struct str list = STR("");
    for (uint32_t i = 0; i < b->gpu_count; i++) {
        if (t->grant.gpus & (UINT64_C(1) << i))
            list = str_join3(&t->arena, list, list.n ? STR(",") : STR(""), b->gpu_names[i]);
    }
    return list;
}

static char **make_environment(struct task *t, const struct graph_step *s)
{
    struct building *b = t->building;
    struct environment e = {.arena = &t->arena};
    for (char *const *v = b->options->environment; v && *v; v++)
        *VEC_PUSH(e.arena, &e.at) = *v;
    for (uint32_t i = 0; i < s->env.n; i++) {
        const struct graph_named *v = &b->graph->named[s->env.first + i];
        struct str value = t->env[i];
        if (v->flags & GRAPH_NAMED_FROM_CALLER)
            continue;
        put_variable(&e, graph_text(b->graph, v->name), value, false);
    }
    struct str params = params_json(t, s);
    if (params.n)
        put_variable(&e, STR("PAWL_PARAMS"), params, false);
    if (s->gpus)
        put_variable(&e, STR("CUDA_VISIBLE_DEVICES"), gpu_list(t), false);
    *VEC_PUSH(e.arena, &e.at) = NULL;
    return e.at.at;
}

/* Values of the declared secrets, for masking. */
static bool find_secrets(struct task *t, const struct graph_step *s)
{
    struct building *b = t->building;
    struct str *values = ARENA_ARRAY(&t->arena, struct str, s->secrets.n + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->secrets.n; i++) {
        struct str name = graph_text(b->graph, b->graph->texts[s->secrets.first + i]);
        const char *value = command_env(b->options->environment, str_c(&t->arena, name));
        if (!value) {
            struct diag *e = diag_error(&t->diags, "no-secret",
                                        graph_span(b->graph, s->span, b->root, &t->diags),
                                        "secret '%.*s' is not in the environment", STR_ARG(name));
            diag_help(&t->diags, e, "set it for this command: %.*s=… pawl build", STR_ARG(name));
            return false;
        }
        if (*value)
            values[n++] = str_from(value);
    }
    t->job.secrets = values;
    t->job.secret_count = n;
    return true;
}

/* ---- its place ---- */

static bool clear_output(struct task *t, file_id f)
{
    struct building *b = t->building;
    struct str path = graph_path(b->graph, f);
    bool is_dir = graph_file(b->graph, f)->flags & GRAPH_FILE_DIR;
    struct str normal;
    if (!path_normalise(&t->arena, path, &normal) || !str_eq(normal, path)
        || str_eq(path, STR("."))) {
        diag_error(&t->diags, "outside-workspace", SPAN_NONE, "'%.*s' is not within the workspace",
                   STR_ARG(path));
        return false;
    }
    if (!file_remove_tree(b->root, path)
        || !(is_dir ? file_make_dirs(b->root, path, 0777)
                    : file_make_parents(b->root, path, 0777))) {
        diag_errno(&t->diags, "cannot-write", "cannot make room for output '%.*s'", STR_ARG(path));
        return false;
    }
    return true;
}

static bool is_input(struct task *t, const struct graph_step *s, file_id f)
{
    const struct graph *g = t->building->graph;
    for (uint32_t i = 0; i < s->inputs.n; i++) {
        if (g->inputs[s->inputs.first + i].file.i == f.i) {
            diag_error(
                &t->diags, "own-output", graph_span(g, s->span, t->building->root, &t->diags),
                "'%.*s' is an input of this step, and its depfile", STR_ARG(graph_path(g, f)));
            return true;
        }
    }
    return false;
}

static bool clear_place(struct task *t, const struct graph_step *s)
{
    struct building *b = t->building;
    bool ok = true;
    for (uint32_t i = 0; i < s->outputs.n && ok; i++) {
        file_id f = b->graph->outputs[s->outputs.first + i].file;
        ok = clear_output(t, f);
        build_forget_output(b, f);
    }
    for (uint32_t i = 0; i < s->depfiles.n && ok; i++) {
        file_id f = {b->graph->numbers[s->depfiles.first + i]};
        ok = !is_input(t, s, f) && clear_output(t, f);
    }
    struct str log = execute_log_path(&t->arena, graph_text(b->graph, s->name));
    if (ok && !(file_make_parents(b->root, log, 0700) && file_remove(b->root, log))) {
        diag_errno(&t->diags, "cannot-write", "cannot make room for the log '%.*s'", STR_ARG(log));
        ok = false;
    }
    t->job.log = str_c(&t->arena, log);
    return ok;
}

/* ---- the command ---- */

static char **split_words(struct arena *a, struct str words)
{
    VEC(char *) argv = {0};
    struct str word;
    while (words.n > 0 && str_cut(&words, '\0', &word))
        *VEC_PUSH(a, &argv) = (char *)str_c(a, word);
    *VEC_PUSH(a, &argv) = NULL;
    return argv.at;
}

/* For people: what is run, in one piece of text. */
static struct str command_text(struct task *t, const struct graph_step *s, struct str command)
{
    if (s->command_kind != GRAPH_COMMAND_ARGV)
        return command;
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    struct str word;
    while (command.n > 0 && str_cut(&command, '\0', &word)) {
        if (b.n)
            buf_put_char(&b, ' ');
        str_put_shell_word(&b, word);
    }
    struct str text = str_copy(&t->arena, buf_str(&b));
    buf_free(&b);
    return text;
}

static bool set_command(struct task *t, const struct graph_step *s, struct str *shown)
{
    struct building *b = t->building;
    struct str command = t->values.command;
    if ((s->flags & GRAPH_STEP_HAS_UNTRACKED) && !look_text(t, &s->command, &command))
        return false;
    *shown = command_text(t, s, command);
    char **argv;
    if (s->command_kind == GRAPH_COMMAND_ARGV) {
        t->job.argv = split_words(&t->arena, command);
    } else if (s->command_kind == GRAPH_COMMAND_SHELL
               && job_split_simple(&t->arena, command, &argv)) {
        t->job.argv = argv;
    } else {
        t->job.script = str_copy(&t->arena, command);
    }
    struct str cwd = graph_text(b->graph, s->cwd);
    t->job.cwd = str_eq(cwd, STR(".")) ? NULL : str_c(&t->arena, cwd);
    t->job.tmp =
        str_printf(&t->arena, "%.*s/.pawl/tmp/%u", STR_ARG(b->options->root_path), t->number).s;
    return true;
}

/* With a note of it, should this process be killed before the job ends. */
static bool start_job(struct building *b, struct job *job)
{
    if (!b->jobs_noted && b->options->mode != BUILD_ASK) {
        b->jobs_noted = true;
        (void)!file_write(b->root, BUILD_JOBS_NOTE, local_mark(b->runner), 0600, false);
    }
    return b->runner->start(b->runner, job);
}

/* ---- ends ---- */

static void give_back(struct task *t)
{
    sched_release(t->building->sched, &t->grant);
    if (t->building->options->jobserver)
        jobserver_release(t->building->options->jobserver);
    lease_let_in(t->building);
}

static struct str log_if_any(struct task *t)
{
    struct file_sig sig = file_stat(t->building->root, str_from(t->job.log), false);
    return file_sig_exists(&sig) ? str_from(t->job.log) : STR("");
}

static void remember_failure(struct task *t, struct str log)
{
    struct building *b = t->building;
    struct str name = graph_text(b->graph, graph_step(b->graph, t->step)->name);
    const struct state_step *last = state_find_step(b->state, name);
    struct state_step x = {.outcome = STATE_FAILED};
    if (last) {
        x = *last;
        x.record = str_copy(&t->arena, last->record);
    }
    x.outcome = t->job.outcome.interrupted ? STATE_INTERRUPTED : STATE_FAILED;
    x.log_path = log;
    bool is_gate = graph_step(b->graph, t->step)->outputs.n == 0;
    if (is_gate && x.outcome == STATE_FAILED && digest_eq(&x.fingerprint, &t->fingerprint)) {
        /* Its recorded success was its result: that is no more. */
        x.record = STR_NONE;
        x.success_ms = time_now_ns() / 1000000;
    }
    state_put_step(b->state, name, &x);
}

static struct str failure_reason(struct task *t)
{
    const struct outcome *o = &t->job.outcome;
    if (o->error[0])
        return str_printf(&t->arena, "its command could not be started: %s", o->error);
    if (o->interrupted)
        return STR("interrupted");
    if (o->timed_out) {
        struct buf b;
        buf_init(&b, 128);
        buf_put_str(&b, STR("timed out after "));
        str_put_duration(&b, t->job.timeout_ns);
        struct str text = str_copy(&t->arena, buf_str(&b));
        buf_free(&b);
        return text;
    }
    if (o->signal) {
        return str_printf(&t->arena, "its command was ended by signal %d (%s)", o->signal,
                          strsignal(o->signal)); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    return str_printf(&t->arena, "its command ended with exit status %d", o->status);
}

static void end_failed(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    struct str log = log_if_any(t), command = STR("");
    remember_failure(t, log);
    (void)look_text(t, &s->command, &command);
    struct ending e = {.life = LIFE_FAILED,
                       .result = EVENT_FAILED,
                       .reason = failure_reason(t),
                       .duration_ns = t->job.outcome.duration_ns,
                       .command = command_text(t, s, command),
                       .log_path = log,
                       .exit_status = t->job.outcome.signal ? 128 + t->job.outcome.signal
                                                            : t->job.outcome.status};
    build_end_step(b, t->step, t, &e);
}

void execute_outputs_failed(struct task *t)
{
    struct str log = log_if_any(t);
    remember_failure(t, log);
    struct ending e = {.life = LIFE_FAILED,
                       .result = EVENT_FAILED,
                       .reason = t->diags.all.n ? t->diags.all.at[0].message : STR(""),
                       .duration_ns = t->job.outcome.duration_ns,
                       .log_path = log,
                       .exit_status = 0};
    build_end_step(t->building, t->step, t, &e);
}

static void pause_over(void *context)
{
    struct task *t = context;
    struct building *b = t->building;
    t->pause = (timer_id){0};
    b->pausing--;
    life_set(b, t->step, LIFE_QUEUED);
    sched_push(b->sched, t->step, b->paths[t->step.i]);
}

static void try_again(struct task *t, const struct graph_step *s)
{
    struct building *b = t->building;
    uint32_t doublings = t->attempt - 1 < 30 ? t->attempt - 1 : 30;
    int64_t pause =
        s->backoff_ns > INT64_MAX >> (doublings + 1) ? INT64_MAX / 4 : s->backoff_ns << doublings;
    struct arena scratch = {0};
    struct str reason = failure_reason(t);
    build_notice(b, "retry", true,
                 str_printf(&scratch, "'%.*s': %.*s; try %u of %u follows",
                            STR_ARG(graph_text(b->graph, s->name)), STR_ARG(reason), t->attempt + 1,
                            s->retries + 1));
    arena_free(&scratch);
    b->pausing++;
    t->pause = loop_add_timer(b->loop, time_boot_ns() + pause, pause_over, t);
}

static void job_done(struct job *job)
{
    struct task *t = job->context;
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    give_back(t);
    if (outcome_is_success(&job->outcome)) {
        life_set(b, t->step, LIFE_STORING);
        settle_begin(t);
    } else if (t->attempt <= s->retries && !b->interrupted && !job->outcome.interrupted) {
        try_again(t, s);
    } else {
        end_failed(t);
    }
}

void execute_end_all(struct building *b)
{
    for (uint32_t i = 0; i < b->graph->step_count; i++) {
        struct task *t = b->lives[i].task;
        if (!t || t->pause.i == 0)
            continue;
        loop_drop_timer(b->loop, t->pause);
        t->pause = (timer_id){0};
        b->pausing--;
        t->job.outcome.interrupted = true;
        end_failed(t);
    }
}

/* ---- begin ---- */

static void fail_step(struct task *t, const struct graph_step *s)
{
    struct str message;
    struct building *b = t->building;
    give_back(t);
    if (!look_text(t, &s->command, &message)) {
        build_fail_step(t, STR(""));
        return;
    }
    diag_error(&t->diags, "fail", graph_span(b->graph, s->command_span, b->root, &t->diags), "%.*s",
               STR_ARG(message));
    b->stopping = true; /* `fail` ends the build */
    build_fail_step(t, message);
}

static bool prepare(struct task *t, const struct graph_step *s, struct str *shown)
{
    t->job =
        (struct job){.context = t, .done = job_done, .timeout_ns = s->timeout_ns, .gpus = s->gpus};
    if (!set_command(t, s, shown) || !find_secrets(t, s) || !clear_place(t, s))
        return false;
    t->job.envp = make_environment(t, s);
    t->job.name = str_c(&t->arena, graph_text(t->building->graph, s->name));
    return true;
}

void execute_start(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    if (t->attempt == 0 && look_is_outdated(t)) {
        give_back(t);
        look_anew(t);
        return;
    }
    if (t->attempt == 0 && lease_is_wanted(t)) {
        give_back(t);
        lease_begin(t);
        return;
    }
    life_set(b, t->step, LIFE_RUNNING);
    t->attempt++;
    if (s->command_kind == GRAPH_COMMAND_FAIL) {
        fail_step(t, s);
        return;
    }
    struct str shown;
    if (!prepare(t, s, &shown)) {
        give_back(t);
        build_fail_step(t, STR(""));
        return;
    }
    if (t->began_ns == 0)
        t->began_ns = time_now_ns();
    struct event e = {.kind = EVENT_STEP_START,
                      .at_ns = time_now_ns(),
                      .step = t->number,
                      .name = graph_text(b->graph, s->name),
                      .about = graph_text(b->graph, s->about),
                      .attempt = t->attempt,
                      .expected_ns = t->last ? t->last->duration_ns : 0,
                      .reason = t->reason,
                      .command = shown};
    b->listener->tell(b->listener, &e);
    if (!start_job(b, &t->job)) {
        give_back(t);
        end_failed(t);
    }
}

/* ---- probes ---- */

/* A probe has no secrets of its own, but sees those that steps declare: what is in its text would be stored. */
static void mask_secrets(struct building *b, struct probe_life *p)
{
    VEC(struct str) values = {0};
    struct table names;
    table_init(&names, &p->arena);
    for (uint32_t s = 0; s < b->graph->step_count; s++) {
        const struct graph_step *step = &b->graph->steps[s];
        for (uint32_t i = 0; i < step->secrets.n; i++) {
            struct str name = graph_text(b->graph, b->graph->texts[step->secrets.first + i]);
            bool is_new;
            table_add(&names, name, &is_new);
            const char *value =
                is_new ? command_env(b->options->environment, str_c(&p->arena, name)) : NULL;
            if (value && *value)
                *VEC_PUSH(&p->arena, &values) = str_from(value);
        }
    }
    p->job.secrets = values.at;
    p->job.secret_count = values.n;
}

/* The end of what it said, for the reader of an error. */
static struct str last_words(struct probe_life *p)
{
    enum { SHOWN = 400, READ = 4096 };
    char *said = ARENA_ARRAY(&p->arena, char, READ);
    off_t size = p->job.errors ? lseek(p->job.errors, 0, SEEK_END) : 0;
    off_t from = size > READ ? size - READ : 0;
    ssize_t n = size > 0 ? pread(p->job.errors, said, READ, from) : 0;
    struct buf all;
    struct joblog mask;
    buf_init(&all, BUF_TEXT_LIMIT);
    joblog_init(&mask, NULL, JOB_LOG_LIMIT);
    joblog_mask(&mask, p->job.secrets, p->job.secret_count);
    buf_put_str(&all, joblog_put(&mask, said, n > 0 ? (size_t)n : 0));
    buf_put_str(&all, joblog_end(&mask));
    joblog_free(&mask);
    struct str words = buf_str(&all);
    words = str_copy(&p->arena, words.n > SHOWN ? str_tail(words, words.n - SHOWN) : words);
    buf_free(&all);
    return str_trim(words);
}

static void probe_output(struct job *job, struct str text)
{
    struct probe_life *p = job->context;
    buf_put_str(&p->text, text);
}

/* Why it failed, in its own words if it had any: their end, in the place of its text. */
static void explain_probe(struct probe_life *p)
{
    struct str words = last_words(p);
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    const struct outcome *o = &p->job.outcome;
    buf_printf(&b, o->signal ? "signal %d" : "exit status %d", o->signal ? o->signal : o->status);
    if (words.n == 0)
        words = str_trim(buf_str(&p->text));
    if (words.n > 0)
        buf_printf(&b, ": %.*s", STR_ARG(words));
    buf_clear(&p->text);
    buf_put_str(&p->text, buf_str(&b));
    buf_free(&b);
}

static void probe_done(struct job *job)
{
    struct probe_life *p = job->context;
    bool ok = outcome_is_success(&job->outcome) && !p->text.full;
    p->state = ok ? PROBE_DONE : PROBE_FAILED;
    if (!ok)
        explain_probe(p);
    if (job->errors)
        close(job->errors);
    job->errors = 0;
    look_probe_done(p);
}

/* Asking writes nothing in the workspace. */
static const char *probe_tmp(struct building *b, struct probe_life *p, uint32_t probe)
{
    if (b->options->mode != BUILD_ASK) {
        return str_printf(&p->arena, "%.*s/.pawl/tmp/probe-%u", STR_ARG(b->options->root_path),
                          probe)
            .s;
    }
    const char *tmp = command_env(b->options->environment, "TMPDIR");
    return str_printf(&p->arena, "%s/pawl-%ld-probe-%u", tmp && *tmp == '/' ? tmp : "/tmp",
                      (long)getpid(), probe)
        .s;
}

void execute_probe(struct building *b, uint32_t probe, uint32_t waiter)
{
    struct probe_life *p = &b->probes[probe];
    if (p->state == PROBE_RUNNING)
        *VEC_PUSH(b->arena, &p->waiters) = waiter;
    if (p->state != PROBE_IDLE)
        return;
    p->building = b;
    buf_init(&p->text, PROBE_TEXT_LIMIT);
    int errors = memfd_create("probe", MFD_CLOEXEC); /* what it says there is no part of its text */
    struct str text = graph_text(b->graph, b->graph->probes[probe].command.bytes);
    p->job = (struct job){.script = str_copy(&p->arena, text),
                          .envp = b->options->environment,
                          .tmp = probe_tmp(b, p, probe),
                          .errors = errors > 0 ? errors : 0,
                          .name = "probe",
                          .output = probe_output,
                          .done = probe_done,
                          .context = p};
    mask_secrets(b, p);
    if (start_job(b, &p->job)) {
        p->state = PROBE_RUNNING;
        *VEC_PUSH(b->arena, &p->waiters) = waiter;
        return;
    }
    p->state = PROBE_FAILED;
    if (p->job.errors)
        close(p->job.errors);
    p->job.errors = 0;
    buf_put_str(&p->text, str_from(p->job.outcome.error));
}
