/* SPDX-License-Identifier: MIT */
/* Looking after the cache: ls, gc, check. Needs no Pipelinefile. */
#include "cache/cache.h"
#include "core/cli/commands.h"
#include "core/cli/session.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct cache_session {
    const struct opts *opts;
    struct arena arena;
    struct diags diags;
    struct cache *cache;
    struct buf out;
};

static bool cache_session_open(struct cache_session *s)
{
    struct cache_options co = {.dir = cache_default_dir(&s->arena)};
    if (co.dir.n == 0) {
        struct diag *e =
            diag_error(&s->diags, "no-cache", SPAN_NONE, "there is no place for a cache");
        diag_help(&s->diags, e, "set HOME, XDG_CACHE_HOME or PAWL_CACHE_DIR to an absolute path");
        return false;
    }
    s->cache = cache_open(&co, &s->diags);
    return s->cache != NULL;
}

/* ---- ls ---- */

static void put_output_names(struct buf *b, const struct record *r)
{
    for (uint32_t i = 0; i < r->output_count; i++) {
        buf_put_str(b, i ? STR(" ") : STR(""));
        str_put_visible(b, r->outputs[i].path);
    }
}

static void put_entry_json(struct buf *b, const struct cache_entry *e)
{
    const struct record *r = e->record;
    buf_put_str(b, STR("{\"fingerprint\":\""));
    digest_put_hex(b, &r->fingerprint);
    buf_printf(
        b, "\",\"made_ms\":%lld,\"duration_ms\":%lld,\"bytes\":%llu,\"complete\":%s,\"outputs\":[",
        (long long)r->success_ms, (long long)r->duration_ms, (unsigned long long)e->bytes,
        e->complete ? "true" : "false");
    for (uint32_t i = 0; i < r->output_count; i++) {
        buf_put_str(b, i ? STR(",") : STR(""));
        str_put_json(b, r->outputs[i].path);
    }
    buf_put_str(b, STR("]}\n"));
}

static void print_entry(void *context, const struct cache_entry *e)
{
    struct cache_session *s = context;
    const struct record *r = e->record;
    struct buf *b = &s->out;
    if (s->opts->json) {
        put_entry_json(b, e);
    } else {
        time_t seconds = (time_t)(r->success_ms / 1000);
        struct tm tm;
        char when[32] = "";
        if (localtime_r(&seconds, &tm))
            (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
        struct buf hex;
        buf_init(&hex, 128);
        digest_put_hex(&hex, &r->fingerprint);
        buf_printf(b, "%.12s  %s  ", hex.s, when);
        str_put_duration(b, r->duration_ms * 1000000);
        buf_put_str(b, STR("  "));
        str_put_size(b, e->bytes);
        buf_put_str(b, e->complete ? STR("  ") : STR("  (incomplete)  "));
        put_output_names(b, r);
        buf_put_char(b, '\n');
        buf_free(&hex);
    }
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
    struct buf *b = &s->out;
    if (o->json) {
        buf_printf(
            b,
            "{\"records_before\":%llu,\"records_after\":%llu,\"bytes_before\":%llu,\"bytes_after\":%llu,"
            "\"bytes_freed\":%llu,\"bytes_condemned\":%llu}\n",
            (unsigned long long)r.records_before, (unsigned long long)r.records_after,
            (unsigned long long)r.bytes_before, (unsigned long long)r.bytes_after,
            (unsigned long long)r.bytes_freed, (unsigned long long)r.bytes_condemned);
        return EXIT_DONE;
    }
    buf_printf(b, "%sresults: %llu of %llu kept\n", o->dry_run ? "would be: " : "",
               (unsigned long long)r.records_after, (unsigned long long)r.records_before);
    buf_put_str(b, STR("freed: "));
    str_put_size(b, r.bytes_freed);
    buf_put_str(b, STR(" now, "));
    str_put_size(b, r.bytes_condemned);
    buf_put_str(b, STR(" announced, to be deleted a day later (--now: at once)\n"));
    return EXIT_DONE;
}

/* ---- check ---- */

static int check(struct cache_session *s)
{
    struct cache_check_report r = {0};
    bool sound = cache_check(s->cache, &r, &s->diags);
    struct buf *b = &s->out;
    if (s->opts->json) {
        buf_printf(
            b,
            "{\"sound\":%s,\"segments\":%llu,\"bad_segments\":%llu,\"packs\":%llu,\"bad_packs\":%llu,"
            "\"objects\":%llu,\"bad_objects\":%llu,\"records\":%llu,\"records_without_bytes\":%llu}\n",
            sound ? "true" : "false", (unsigned long long)r.segments,
            (unsigned long long)r.bad_segments, (unsigned long long)r.packs,
            (unsigned long long)r.bad_packs, (unsigned long long)r.objects,
            (unsigned long long)r.bad_objects, (unsigned long long)r.records,
            (unsigned long long)r.records_without_bytes);
    } else {
        buf_printf(
            b,
            "%s: %llu results, %llu objects in %llu packs, %llu segments; damaged: %llu objects, %llu packs, %llu segments\n",
            sound ? "sound" : "damaged", (unsigned long long)r.records,
            (unsigned long long)r.objects, (unsigned long long)r.packs,
            (unsigned long long)r.segments, (unsigned long long)r.bad_objects,
            (unsigned long long)r.bad_packs, (unsigned long long)r.bad_segments);
    }
    return sound ? EXIT_DONE : EXIT_FAILED;
}

static int run(struct cache_session *s)
{
    const struct opts *o = s->opts;
    struct str what = o->targets.n == 1 ? o->targets.at[0] : STR("");
    int (*action)(struct cache_session *) = str_eq(what, STR("ls"))      ? list
                                            : str_eq(what, STR("gc"))    ? collect
                                            : str_eq(what, STR("check")) ? check
                                                                         : NULL;
    if (str_eq(what, STR("push")) || str_eq(what, STR("pull"))) {
        diag_error(&s->diags, "not-supported", SPAN_NONE,
                   "'pawl cache %.*s' needs a remote cache, which is not supported yet",
                   STR_ARG(what));
        return EXIT_WRONG;
    }
    if (!action) {
        struct diag *e =
            diag_error(&s->diags, "usage", SPAN_NONE, "'pawl cache' wants one of ls, gc, check");
        diag_help(&s->diags, e, "'pawl cache --help' says more");
        return EXIT_WRONG;
    }
    return cache_session_open(s) ? action(s) : EXIT_FAILED;
}

int cmd_cache(const struct opts *o)
{
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
