/* SPDX-License-Identifier: MIT */
/* The commands that walk the graph: build, status, explain, restore. */
#include "core/build.h"
#include "core/cli/cache_text.h"
#include "core/cli/commands.h"
#include "core/cli/session.h"
#include "core/run/jobserver.h"
#include "core/ui/jsonl.h"
#include "core/ui/text.h"
#include "core/ui/tty.h"
#include "core/watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

enum {
    JOBS_UNBOUND = 4096
}; /* where make lends slots and does not say how many: tokens bound them */

/* From one question to the next, where a build that is watched has inputs in S3. */
#define OBJECTS_EVERY_NS INT64_C(60000000000)

/* The one listener that the options and the terminal ask for. */
struct voice {
    struct jsonl jsonl;
    struct text text;
    struct tty *tty;
    struct listener silent;
    struct listener *listener;
};

static void silent_tell(struct listener *self, const struct event *e)
{
    (void)self;
    (void)e;
}

static void choose_voice(struct voice *v, struct session *s, bool asking)
{
    const struct opts *o = s->opts;
    struct text_options t = {.out = STDOUT_FILENO,
                             .err = STDERR_FILENO,
                             .root = s->place.root,
                             .color = session_color(STDOUT_FILENO),
                             .verbose = o->verbose,
                             .quiet = o->quiet,
                             .explain = o->explain || o->command == COMMAND_EXPLAIN};
    bool live = o->progress == PROGRESS_TTY
                || (o->progress == PROGRESS_AUTO && t.color && !asking && !o->quiet);
    if (o->json) {
        jsonl_init(&v->jsonl, STDOUT_FILENO);
        v->listener = &v->jsonl.listener;
    } else if (o->progress == PROGRESS_NONE) {
        v->silent.tell = silent_tell;
        v->listener = &v->silent;
    } else if (live) {
        v->tty = tty_open(&t);
        v->listener = tty_listener(v->tty);
    } else {
        text_init(&v->text, &t);
        v->listener = &v->text.listener;
    }
}

static int exit_of(enum build_result r)
{
    switch (r) {
    case BUILD_DONE: return EXIT_DONE;
    case BUILD_FAILED: return EXIT_FAILED;
    case BUILD_WRONG: return EXIT_WRONG;
    case BUILD_UNUSABLE: return EXIT_UNUSABLE;
    case BUILD_INTERRUPTED: return EXIT_INTERRUPTED;
    }
    return EXIT_UNUSABLE;
}

static enum build_mode mode_of(const struct opts *o)
{
    if (o->command == COMMAND_RESTORE)
        return BUILD_RESTORE;
    return o->command == COMMAND_STATUS || o->command == COMMAND_EXPLAIN || o->dry_run ? BUILD_ASK
                                                                                       : BUILD_RUN;
}

static bool wants_target(struct session *s)
{
    if (s->opts->command != COMMAND_EXPLAIN || s->opts->targets.n > 0)
        return true;
    struct diag *e = diag_error(&s->diags, "usage", SPAN_NONE, "'pawl explain' wants a target");
    diag_help(&s->diags, e, "'pawl list' names them; 'pawl status' says why for all");
    return false;
}

static struct build_options build_options_of(struct session *s, enum build_mode mode)
{
    const struct opts *o = s->opts;
    return (struct build_options){.mode = mode,
                                  .targets = o->targets.at,
                                  .target_count = o->targets.n,
                                  .only = o->only.at,
                                  .only_count = o->only.n,
                                  .rerun = o->rerun.at,
                                  .rerun_count = o->rerun.n,
                                  .jobs = o->jobs,
                                  .max_load = o->max_load,
                                  .keep_going = o->keep_going,
                                  .no_cache = o->no_cache,
                                  .no_remote = o->no_remote,
                                  .explain = o->explain || o->command == COMMAND_EXPLAIN,
                                  .cache_dir = session_cache_dir(s),
                                  .root_path = s->place.root_path,
                                  .environment = environ};
}

/* What is to be watched: seen before the build where it was known before, so that no change is missed. */
static void watch_before(struct watch *w, struct session *s)
{
    watch_init(w, -1);
    if (s->place.root < 0)
        return;
    w->root = fcntl(s->place.root, F_DUPFD_CLOEXEC, 3);
    if (s->has_pipeline)
        watch_add_graph(w, &s->pipeline.graph);
    watch_add(w, s->place.file);
}

static void watch_after(struct watch *w, struct session *s)
{
    if (s->has_pipeline)
        watch_add_graph(w, &s->pipeline.graph);
    if (s->state)
        watch_add_discovered(w, s->state);
}

/* What a round of --watch leaves behind. */
struct round {
    struct watch watch;
    struct build_objects objects;
    int home; /* where the person stood */
};

/* round may be NULL; lent: make's jobserver, or NULL. */
static int build_with(const struct opts *o, struct round *round, struct jobserver *lent,
                      uint32_t jobs)
{
    struct session s;
    enum build_mode mode = mode_of(o);
    int code = session_open(&s, o, mode == BUILD_ASK ? SESSION_ASK : SESSION_CHANGE);
    if (round)
        watch_before(&round->watch, &s);
    if (code == EXIT_DONE && !wants_target(&s))
        code = EXIT_WRONG;
    if (code != EXIT_DONE)
        return session_close(&s, code);
    struct build_options b = build_options_of(&s, mode);
    b.jobserver = lent;
    b.jobs = jobs;
    b.objects = round ? &round->objects : NULL;
    struct voice voice = {0};
    choose_voice(&voice, &s, mode == BUILD_ASK);
    enum build_result result = build_pipeline(&s.pipeline, s.state, &b, voice.listener, &s.diags);
    if (voice.tty)
        tty_close(voice.tty);
    if (round)
        watch_after(&round->watch, &s);
    code = exit_of(result);
    bool asked = mode == BUILD_ASK && code == EXIT_FAILED; /* the question was answered */
    return session_close(&s, asked ? EXIT_DONE : code);
}

/* Without -j, slots are those that a make above us lends. Said as GNU make says it where it can't. */
static struct jobserver *join_make(const struct opts *o, struct jobserver *js, uint32_t *jobs)
{
    *jobs = o->jobs;
    if (o->jobs || mode_of(o) != BUILD_RUN)
        return NULL;
    const char *flags = getenv("MAKEFLAGS"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    switch (jobserver_join(js, flags)) {
    case JOBSERVER_NONE: break;
    case JOBSERVER_OPEN: *jobs = js->slots ? js->slots : JOBS_UNBOUND; return js;
    case JOBSERVER_CLOSED: {
        struct str text = STR(
            "pawl: warning: make's job slots are not open to pawl: one job at a time (a '+' before the "
            "recipe's line opens them)\n");
        (void)!file_write_all(STDERR_FILENO, text.s, text.n);
        *jobs = 1;
        break;
    }
    }
    return NULL;
}

/* round may be NULL. */
static int build_once(const struct opts *o, struct round *round)
{
    struct jobserver jobserver;
    uint32_t jobs;
    struct jobserver *lent = join_make(o, &jobserver, &jobs); /* before any descriptor of ours */
    int code = build_with(o, round, lent, jobs);
    if (lent)
        jobserver_close(lent);
    return code;
}

static void say_watching(const struct opts *o, const struct round *r)
{
    struct buf b;
    buf_init(&b, 256);
    cache_text_count(&b, "pawl: watching ", r->watch.names.count, "file");
    if (r->objects.uris.count) {
        cache_text_count(&b, " and ", r->objects.uris.count, "input");
        buf_put_str(&b, STR(" in S3"));
    }
    buf_put_str(&b, STR("; Ctrl-C ends it\n"));
    if (!o->quiet && !o->json)
        (void)!file_write_all(STDERR_FILENO, b.s, b.n);
    buf_free(&b);
}

static int64_t objects_every_ns(void)
{
    const char *text = getenv("PAWL_WATCH_S3"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    int64_t ns;
    return text && str_parse_duration(str_from(text), &ns) && ns > 0 ? ns : OBJECTS_EVERY_NS;
}

/* Asks S3, and says nothing: what cannot be asked is asked the next time. */
static enum watch_end look_at_objects(const struct opts *o, const struct round *r)
{
    if (r->home < 0 || fchdir(r->home) != 0)
        return WATCH_ENDED; /* no round can begin any more */
    struct session s;
    struct build_objects now;
    struct diags quiet;
    enum build_result result = BUILD_UNUSABLE;
    struct voice voice = {.silent.tell = silent_tell};
    build_objects_init(&now);
    diags_init(&quiet, &now.arena);
    int code = session_open(&s, o, SESSION_ASK);
    if (code == EXIT_DONE) {
        struct build_options b = build_options_of(&s, BUILD_ASK);
        b.no_cache = b.only_objects = true;
        b.objects = &now;
        result = build_pipeline(&s.pipeline, s.state, &b, &voice.silent, &quiet);
    }
    (void)session_close(&s, code);
    bool differ = build_objects_differ(&r->objects, &now);
    build_objects_free(&now);
    return result == BUILD_INTERRUPTED          ? WATCH_ENDED
           : result == BUILD_UNUSABLE || differ ? WATCH_CHANGED
                                                : WATCH_DUE;
}

static bool wait_for_round(const struct opts *o, const struct round *r)
{
    enum watch_end end = WATCH_DUE;
    while (end == WATCH_DUE) {
        bool asks = r->objects.uris.count > 0;
        end = watch_wait(&r->watch, asks ? time_boot_ns() + objects_every_ns() : INT64_MAX);
        if (end == WATCH_DUE)
            end = look_at_objects(o, r);
    }
    return end == WATCH_CHANGED;
}

/* Each round begins where the person stood, for the session goes to the workspace's root. */
static int build_and_watch(const struct opts *o)
{
    int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (;;) {
        struct round r = {.home = home};
        build_objects_init(&r.objects);
        int code = build_once(o, &r);
        bool again = r.watch.root >= 0 && code != EXIT_INTERRUPTED && code != EXIT_UNUSABLE;
        if (again) {
            say_watching(o, &r);
            again = wait_for_round(o, &r);
            code = EXIT_INTERRUPTED;
        }
        if (r.watch.root >= 0)
            close(r.watch.root);
        watch_free(&r.watch);
        build_objects_free(&r.objects);
        if (again && home >= 0 && fchdir(home) == 0)
            continue;
        if (home >= 0)
            close(home);
        return code;
    }
}

int cmd_build(const struct opts *o)
{
    return o->watch ? build_and_watch(o) : build_once(o, NULL);
}
