/* SPDX-License-Identifier: MIT */
/* Opens from the ground up, closes in the other direction. */
#include "core/cli/session.h"

#include "cache/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

bool session_color(int fd)
{
    const char *no = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    const char *term = getenv("TERM");   /* NOLINT(concurrency-mt-unsafe): the same */
    return isatty(fd) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static bool say_unprinted(struct diags *d)
{
    if (errno == EPIPE)
        return true;
    diag_errno(d, "cannot-write", "cannot write to the standard output");
    return false;
}

bool session_print(const struct buf *b, struct diags *d)
{
    if (b->full) {
        diag_error(d, "too-large", SPAN_NONE, "the answer is too large, and was cut");
        return false;
    }
    return file_write_all(STDOUT_FILENO, b->s, b->n) || say_unprinted(d);
}

bool session_select(struct session *s, struct step_list *out)
{
    const struct graph *g = &s->pipeline.graph;
    *out = (struct step_list){.arena = &s->arena};
    if (s->opts->targets.n)
        return graph_select(g, s->opts->targets.at, s->opts->targets.n, out, &s->diags);
    out->at = ARENA_ARRAY(&s->arena, step_id, g->step_count + 1);
    for (uint32_t i = 0; i < g->step_count; i++)
        out->at[out->n++].i = i;
    return true;
}

struct str session_cache_dir(struct session *s)
{
    return cache_default_dir(&s->arena);
}

static bool enter(struct session *s)
{
    const struct opts *o = s->opts;
    if (o->dir.n && chdir(str_c(&s->arena, o->dir)) != 0) {
        diag_errno(&s->diags, "usage", "cannot go to '%.*s'", STR_ARG(o->dir));
        return false;
    }
    return true;
}

/* The lock first: what is read before it may be another build's half. */
static int lock(struct session *s)
{
    int holder = 0, root = s->place.root;
    if (!file_make_dirs(root, STR(".pawl"), 0700)) {
        diag_errno(&s->diags, "workspace-unusable", "cannot make '.pawl' in '%.*s'",
                   STR_ARG(s->place.root_path));
        return EXIT_UNUSABLE;
    }
    enum file_lock_result r = file_lock_open(&s->lock, root, STR(".pawl/lock"), false, &holder);
    if (r == FILE_LOCK_BUSY) {
        struct buf b;
        buf_init(&b, 256);
        buf_printf(
            &b, "pawl: another build (process %d) is at work in this workspace: waiting for it\n",
            holder);
        (void)!file_write_all(STDERR_FILENO, b.s, b.n);
        buf_free(&b);
        r = file_lock_open(&s->lock, root, STR(".pawl/lock"), true, &holder);
    }
    if (r == FILE_LOCK_HELD)
        return EXIT_DONE;
    diag_errno(&s->diags, "workspace-unusable", "cannot lock '.pawl/lock' in '%.*s'",
               STR_ARG(s->place.root_path));
    return EXIT_UNUSABLE;
}

static int open_pipeline(struct session *s, bool may_write)
{
    const struct opts *o = s->opts;
    struct eval_options e = {.root = s->place.root,
                             .file = s->place.file,
                             .root_name = path_basename(s->place.root_path),
                             .params = o->params.at,
                             .param_count = o->params.n,
                             .environment = environ};
    if (!pipeline_open(&s->pipeline, &e, may_write, &s->diags))
        return EXIT_WRONG;
    s->has_pipeline = true;
    return EXIT_DONE;
}

int session_open(struct session *s, const struct opts *o, enum session_need need)
{
    *s = (struct session){.opts = o, .place = {.root = -1}, .lock = {-1}};
    diags_init(&s->diags, &s->arena);
    if (!enter(s))
        return EXIT_WRONG;
    if (need == SESSION_NOTHING)
        return EXIT_DONE;
    if (!pipeline_find(&s->arena, o->file, &s->place, &s->diags))
        return EXIT_WRONG;
    if (fchdir(s->place.root) != 0) {
        diag_errno(&s->diags, "workspace-unusable", "cannot go to '%.*s'",
                   STR_ARG(s->place.root_path));
        return EXIT_UNUSABLE;
    }
    if (need == SESSION_PLACE)
        return EXIT_DONE;
    if (need == SESSION_CHANGE) {
        int code = lock(s);
        if (code != EXIT_DONE)
            return code;
    }
    s->state = state_open(s->place.root, need == SESSION_ASK, &s->diags);
    if (!s->state)
        return EXIT_UNUSABLE;
    return open_pipeline(s, need == SESSION_CHANGE);
}

/* A word that is no target was perhaps to be a command. */
static void suggest_command(struct session *s)
{
    struct str near = s->opts->near;
    for (uint32_t i = 0; near.n && i < s->diags.all.n; i++) {
        struct diag *x = &s->diags.all.at[i];
        if (strcmp(x->code, "unknown-target") == 0 || strcmp(x->code, "no-pipelinefile") == 0) {
            struct str too = STR("did you mean "), rest = x->help;
            bool both = str_starts(rest, too);
            if (both)
                rest = str_tail(rest, too.n);
            diag_help(&s->diags, x, "did you mean 'pawl %.*s'%s%.*s", STR_ARG(near),
                      both ? " or " : "? ", STR_ARG(rest));
            return;
        }
    }
}

int session_close(struct session *s, int code)
{
    if (s->state)
        state_close(s->state, &s->diags);
    if (s->has_pipeline)
        pipeline_close(&s->pipeline);
    file_lock_close(&s->lock);
    if (fflush(stdout) != 0 && !say_unprinted(&s->diags))
        code = EXIT_UNUSABLE;
    suggest_command(s);
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    diags_render(&s->diags, session_color(STDERR_FILENO), &b);
    (void)!file_write_all(STDERR_FILENO, b.s, b.n);
    buf_free(&b);
    if (s->place.root >= 0)
        close(s->place.root);
    arena_free(&s->arena);
    return code;
}
