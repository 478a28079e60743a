/* SPDX-License-Identifier: MIT */
/* Looking after the local cache: ls, gc, check. Needs no Pipelinefile. */
#include "cache/cache.h"
#include "core/cli/cache_text.h"
#include "core/cli/commands.h"
#include "core/cli/session.h"
#include "core/keyring.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct cache_session {
    const struct opts *opts;
    struct arena arena;
    struct diags diags;
    struct cache *cache;
    struct buf out;
};

/* For check alone: a key that cannot be had is no matter here. */
static struct keyring own_keys(struct cache_session *s)
{
    struct diags unheard;
    struct keyring ring;
    struct keyring_source from = {NULL, FILE_CWD, environ, true};
    diags_init(&unheard, &s->arena);
    (void)!keyring_open(&ring, &s->arena, &from, &unheard, &unheard);
    return ring;
}

static bool cache_session_open(struct cache_session *s)
{
    struct cache_options co = {.dir = cache_default_dir(&s->arena)};
    if (co.dir.n == 0) {
        struct diag *e =
            diag_error(&s->diags, "no-cache", SPAN_NONE, "there is no place for a cache");
        diag_help(&s->diags, e, "set HOME, XDG_CACHE_HOME or PAWL_CACHE_DIR to an absolute path");
        return false;
    }
    struct keyring ring = own_keys(s);
    co.self = &ring.self;
    s->cache = cache_open(&co, &s->diags);
    keyring_close(&ring);
    return s->cache != NULL;
}

/* ---- ls ---- */

static void print_entry(void *context, const struct cache_entry *e)
{
    struct cache_session *s = context;
    struct buf *b = &s->out;
    cache_text_entry(b, e, s->opts->json);
    if (b->n > 1 << 16) {
        (void)!session_print(b, &s->diags); /* told at the end */
        buf_clear(b);
    }
}

static int list(struct cache_session *s)
{
    return cache_list(s->cache, print_entry, s, &s->diags) ? EXIT_DONE : EXIT_FAILED;
}

/* ---- gc ---- */

static int collect(struct cache_session *s)
{
    const struct opts *o = s->opts;
    struct cache_gc_options g = {.keep_ms = o->age_ns < 0         ? 0
                                            : o->age_ns < 1000000 ? 1
                                                                  : o->age_ns / 1000000,
                                 .max_bytes = o->max_bytes >= 0 ? (uint64_t)o->max_bytes : 0,
                                 .now = o->now,
                                 .dry_run = o->dry_run};
    struct cache_gc_report r = {0};
    if (!cache_gc(s->cache, &g, &r, &s->diags))
        return EXIT_FAILED;
    cache_text_gc(&s->out, &r, o);
    return EXIT_DONE;
}

/* ---- check ---- */

static int check(struct cache_session *s)
{
    struct cache_check_report r = {0};
    bool sound = cache_check(s->cache, &r, &s->diags);
    cache_text_check(&s->out, &r, sound, s->opts->json);
    return sound ? EXIT_DONE : EXIT_FAILED;
}

static bool known(struct str what)
{
    static const char *const all[] = {"ls", "gc", "check", "push", "pull"};
    bool found = false;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        found |= str_eq(what, str_from(all[i]));
    return found;
}

static int run(struct cache_session *s)
{
    const struct opts *o = s->opts;
    struct str what = o->targets.n == 1 ? o->targets.at[0] : STR("");
    int (*action)(struct cache_session *) = str_eq(what, STR("ls"))      ? list
                                            : str_eq(what, STR("gc"))    ? collect
                                            : str_eq(what, STR("check")) ? check
                                                                         : NULL;
    if (o->targets.n > 1 && known(o->targets.at[0])) {
        struct diag *e = diag_error(&s->diags, "usage", SPAN_NONE,
                                    "'pawl cache %.*s' takes no name, as '%.*s' is",
                                    STR_ARG(o->targets.at[0]), STR_ARG(o->targets.at[1]));
        diag_help(&s->diags, e, "it is about all that the cache holds, or the pipeline has");
        return EXIT_WRONG;
    }
    if (!action) {
        struct diag *e = diag_error(&s->diags, "usage", SPAN_NONE,
                                    "'pawl cache' wants one of ls, gc, check, push, pull, key");
        diag_help(&s->diags, e, "'pawl cache --help' says more");
        return EXIT_WRONG;
    }
    if (o->file.n || o->params.n) {
        struct diag *e =
            diag_error(&s->diags, "usage", SPAN_NONE,
                       "'pawl cache %.*s' wants no Pipelinefile, and so no '--file' or '--param'",
                       STR_ARG(what));
        diag_help(&s->diags, e, "with '--remote' it does: that names the remote cache");
        return EXIT_WRONG;
    }
    return cache_session_open(s) ? action(s) : EXIT_FAILED;
}

static bool is_remote(const struct opts *o)
{
    struct str what = o->targets.n == 1 ? o->targets.at[0] : STR("");
    bool local = str_eq(what, STR("ls")) || str_eq(what, STR("gc")) || str_eq(what, STR("check"));
    return str_eq(what, STR("push")) || str_eq(what, STR("pull")) || (local && o->remote);
}

int cmd_cache(const struct opts *o)
{
    if (o->targets.n > 0 && str_eq(o->targets.at[0], STR("key")))
        return cmd_cache_key(o);
    if (is_remote(o))
        return cmd_cache_remote(o, o->targets.at[0]);
    struct cache_session s = {.opts = o};
    diags_init(&s.diags, &s.arena);
    buf_init(&s.out, BUF_TEXT_LIMIT);
    int code = EXIT_WRONG;
    if (o->dir.n && chdir(str_c(&s.arena, o->dir)) != 0) {
        diag_errno(&s.diags, "usage", "cannot go to '%.*s'", STR_ARG(o->dir));
    } else {
        code = run(&s);
    }
    if (s.cache)
        cache_close(s.cache, &s.diags);
    if (!session_print(&s.out, &s.diags))
        code = EXIT_UNUSABLE;
    buf_clear(&s.out);
    diags_render(&s.diags, session_color(STDERR_FILENO), &s.out);
    (void)!file_write_all(STDERR_FILENO, s.out.s, s.out.n);
    buf_free(&s.out);
    arena_free(&s.arena);
    return code;
}
