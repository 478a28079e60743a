/* SPDX-License-Identifier: MIT */
/* The commands that work on files and run nothing: check, fmt, init, clean. */
#include "core/cli/commands.h"
#include "core/cli/session.h"
#include "core/keyring.h"
#include "core/s3_uri.h"
#include "parser/format.h"
#include "parser/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PIPELINEFILE_LIMIT = 16 << 20, READ_BYTES = 64 << 10 };

/* ---- check ---- */

static void put_diag_json(struct buf *b, const struct diags *d, const struct diag *x)
{
    static const char *const severities[] = {
        [DIAG_ERROR] = "error", [DIAG_WARNING] = "warning", [DIAG_NOTE] = "note"};
    buf_printf(b, "{\"event\":\"diagnostic\",\"severity\":\"%s\",\"code\":\"%s\"",
               severities[x->severity], x->code);
    if (x->span.source) {
        struct place p = diags_place(d, x->span);
        buf_put_str(b, STR(",\"file\":"));
        str_put_json(b, diags_source(d, x->span.source)->path);
        buf_printf(b, ",\"line\":%u,\"column\":%u", p.line, p.column);
    }
    buf_put_str(b, STR(",\"message\":"));
    str_put_json(b, x->message);
    if (x->help.n) {
        buf_put_str(b, STR(",\"help\":"));
        str_put_json(b, x->help);
    }
    buf_put_str(b, STR("}\n"));
}

static void print_diags_json(struct session *s)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    for (uint32_t i = 0; i < s->diags.all.n; i++)
        put_diag_json(&b, &s->diags, &s->diags.all.at[i]);
    s->diags.all.n = 0;
    (void)!session_print(&b, &s->diags); /* told at the end */
    buf_free(&b);
}

static bool has_keys(struct session *s)
{
    struct keyring ring;
    struct keyring_source from = {&s->pipeline.graph, s->place.root, environ, false};
    bool ok = keyring_open(&ring, &s->arena, &from, &s->diags, &s->diags);
    keyring_close(&ring);
    return ok;
}

int cmd_check(const struct opts *o)
{
    struct session s;
    int code = session_open(&s, o, SESSION_ASK);
    if (code == EXIT_DONE) {
        bool here = eval_check_sources(&s.pipeline.graph, s.place.root, NULL, &s.diags);
        code = has_keys(&s) && here ? EXIT_DONE : EXIT_WRONG;
    }
    if (o->json) {
        print_diags_json(&s);
    } else if (code == EXIT_DONE && !o->quiet) {
        uint32_t steps = s.pipeline.graph.step_count;
        (void)!printf("%.*s: %u step%s, no errors\n", STR_ARG(s.place.file), steps,
                      steps == 1 ? "" : "s");
    }
    return session_close(&s, code);
}

/* ---- fmt ---- */

struct formatting {
    const struct opts *opts;
    struct arena arena;
    struct diags diags;
    bool differs;
};

static bool format_text(struct formatting *f, struct str path, struct str text, struct buf *out)
{
    uint32_t source = diags_add_source(&f->diags, path, text);
    const struct ast_file *file = parse_file(&f->arena, source, &f->diags);
    if (file)
        format_file(file, text, out);
    if (out->full) {
        diag_error(&f->diags, "too-large", SPAN_NONE, "'%.*s' laid out would be too large",
                   STR_ARG(path));
    }
    return file && !out->full;
}

/* All of standard input; what cannot be read to its end must not pass for the whole. */
static bool read_stream(struct formatting *f, struct buf *in)
{
    ssize_t n = 1;
    while (n != 0) {
        char *room = buf_reserve(in, READ_BYTES);
        n = room ? read(STDIN_FILENO, room, READ_BYTES) : 0;
        if (n < 0 && errno != EINTR) {
            diag_errno(&f->diags, "cannot-read", "cannot read standard input");
            return false;
        }
        in->n += n > 0 ? (size_t)n : 0;
    }
    if (in->full) {
        diag_error(&f->diags, "cannot-read", SPAN_NONE,
                   "standard input is larger than a Pipelinefile may be");
    }
    return !in->full;
}

static bool format_stream(struct formatting *f)
{
    struct buf in, out;
    buf_init(&in, PIPELINEFILE_LIMIT);
    buf_init(&out, BUF_TEXT_LIMIT);
    bool ok = read_stream(f, &in);
    struct str text = str_copy(&f->arena, buf_str(&in)); /* what is said about it comes later */
    ok = ok && format_text(f, STR("<stdin>"), text, &out);
    if (ok && f->opts->check) {
        f->differs = f->differs || !str_eq(text, buf_str(&out));
    } else if (ok) {
        ok = session_print(&out, &f->diags);
    }
    buf_free(&in);
    buf_free(&out);
    return ok;
}

static bool format_path(struct formatting *f, struct str path)
{
    struct str text;
    struct buf out;
    if (!file_read(&f->arena, FILE_CWD, path, PIPELINEFILE_LIMIT, &text, &f->diags))
        return false;
    buf_init(&out, BUF_TEXT_LIMIT);
    bool ok = format_text(f, path, text, &out);
    if (ok && !str_eq(text, buf_str(&out))) {
        f->differs = true;
        struct file_sig sig = file_stat(FILE_CWD, path, true);
        if (f->opts->check) {
            (void)!printf("%.*s would change\n", STR_ARG(path));
        } else if (!file_write(FILE_CWD, path, buf_str(&out), sig.mode & 07777, true)) {
            diag_errno(&f->diags, "cannot-write", "cannot write '%.*s'", STR_ARG(path));
            ok = false;
        }
    }
    buf_free(&out);
    return ok;
}

static bool format_found(struct formatting *f)
{
    struct pipeline_place place;
    if (!pipeline_find(&f->arena, f->opts->file, &place, &f->diags))
        return false;
    bool ok = fchdir(place.root) == 0 && format_path(f, place.file);
    close(place.root);
    return ok;
}

int cmd_fmt(const struct opts *o)
{
    struct formatting f = {.opts = o};
    diags_init(&f.diags, &f.arena);
    bool ok = true;
    if (o->dir.n && chdir(str_c(&f.arena, o->dir)) != 0) {
        diag_errno(&f.diags, "usage", "cannot go to '%.*s'", STR_ARG(o->dir));
        ok = false;
    } else if (o->targets.n == 0) {
        ok = format_found(&f);
    }
    for (uint32_t i = 0; i < o->targets.n && f.diags.errors == 0; i++) {
        ok = (str_eq(o->targets.at[i], STR("-")) ? format_stream(&f)
                                                 : format_path(&f, o->targets.at[i]))
             && ok;
    }
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    diags_render(&f.diags, session_color(STDERR_FILENO), &b);
    (void)!fflush(stdout);
    (void)!file_write_all(STDERR_FILENO, b.s, b.n);
    buf_free(&b);
    arena_free(&f.arena);
    return !ok ? EXIT_WRONG : o->check && f.differs ? EXIT_FAILED : EXIT_DONE;
}

/* ---- init ---- */

static const char init_text[] =
    "# What is built here, from what, and how. 'pawl' brings everything up to date.\n"
    "\n"
    "param greeting = \"hello\"  # pawl build -p greeting=hi\n"
    "\n"
    "step hello {\n"
    "    \"Say hello to a file.\"\n"
    "    out text = \"build/hello.txt\"\n"
    "    run \"echo {{greeting}} > {{text}}\"\n"
    "}\n"
    "\n"
    "step shout {\n"
    "    \"The same, louder.\"\n"
    "    in  text  = hello.text\n"
    "    out shout = \"build/shout.txt\"\n"
    "    run \"tr a-z A-Z < {{text}} > {{shout}}\"\n"
    "}\n"
    "\n"
    "default shout\n";

int cmd_init(const struct opts *o)
{
    struct arena arena = {0};
    struct diags d;
    diags_init(&d, &arena);
    struct str path = o->file.n ? o->file : STR("Pipelinefile");
    int code = EXIT_WRONG;
    struct file_sig sig;
    if (o->dir.n && chdir(str_c(&arena, o->dir)) != 0) {
        diag_errno(&d, "usage", "cannot go to '%.*s'", STR_ARG(o->dir));
    } else if (sig = file_stat(FILE_CWD, path, false), file_sig_exists(&sig)) {
        struct diag *e =
            diag_error(&d, "exists", SPAN_NONE, "there is a '%.*s' already", STR_ARG(path));
        diag_help(&d, e, "'pawl list' shows its steps");
    } else if (!file_write(FILE_CWD, path, str_from(init_text), 0666, false)) {
        diag_errno(&d, "cannot-write", "cannot write '%.*s'", STR_ARG(path));
    } else {
        (void)!printf("wrote %.*s: 'pawl' builds it\n", STR_ARG(path));
        code = EXIT_DONE;
    }
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    diags_render(&d, session_color(STDERR_FILENO), &b);
    (void)!fflush(stdout);
    (void)!file_write_all(STDERR_FILENO, b.s, b.n);
    buf_free(&b);
    arena_free(&arena);
    return code;
}

/* ---- clean ---- */

/* Folders above a removed output, as long as they are empty. */
static void remove_empty_parents(int root, struct str path)
{
    for (struct str dir = path_dirname(path); !str_eq(dir, STR(".")); dir = path_dirname(dir)) {
        struct arena scratch = {0};
        bool removed = unlinkat(root, str_c(&scratch, dir), AT_REMOVEDIR) == 0;
        arena_free(&scratch);
        if (!removed)
            return;
    }
}

static bool clean_path(struct session *s, struct str path)
{
    struct file_sig sig = file_stat(s->place.root, path, false);
    if (!file_sig_exists(&sig))
        return true;
    if (!s->opts->dry_run && !file_remove_tree(s->place.root, path)) {
        diag_errno(&s->diags, "cannot-write", "cannot remove '%.*s'", STR_ARG(path));
        return false;
    }
    if (!s->opts->quiet)
        (void)!printf("%s %.*s\n", s->opts->dry_run ? "would remove" : "removed", STR_ARG(path));
    if (!s->opts->dry_run)
        remove_empty_parents(s->place.root, path);
    return true;
}

static bool clean_steps(struct session *s)
{
    const struct graph *g = &s->pipeline.graph;
    struct step_list steps;
    if (!session_select(s, &steps))
        return false;
    bool ok = true;
    for (uint32_t i = 0; i < steps.n; i++) {
        const struct graph_step *step = graph_step(g, steps.at[i]);
        for (uint32_t k = 0; k < step->outputs.n; k++)
            ok = clean_path(s, graph_path(g, g->outputs[step->outputs.first + k].file)) && ok;
    }
    return ok;
}

/* Copies of the objects that the Pipelinefile names, and where they are made. */
static void note_copies(struct session *s, struct table *named)
{
    const struct graph *g = &s->pipeline.graph;
    for (uint32_t i = 0; i < g->file_count; i++) {
        struct str uri = graph_path(g, (file_id){i});
        struct s3_uri parts;
        if (!(g->files[i].flags & GRAPH_FILE_S3) || s3_uri_split(uri, &parts))
            continue;
        (void)table_add(named, s3_uri_copy_path(&s->arena, &parts), NULL);
        (void)table_add(named, s3_uri_stage_path(&s->arena, uri), NULL);
    }
}

/* Of a folder itself: what a link leads to is not ours to remove. */
static uint32_t list_folder(struct session *s, struct str path, struct file_entry **entries)
{
    struct file_sig sig = file_stat(s->place.root, path, false);
    uint32_t count = 0;
    bool ok = file_sig_is_dir(&sig) && file_list(&s->arena, s->place.root, path, entries, &count);
    return ok ? count : 0;
}

/* What lies so many folders below it, and is not named. */
static bool clean_below(struct session *s, struct str path, int levels, const struct table *named)
{
    struct file_entry *entries;
    bool ok = true;
    if (levels == 0)
        return table_find(named, path) != TABLE_NONE || clean_path(s, path);
    uint32_t count = list_folder(s, path, &entries);
    for (uint32_t i = 0; i < count; i++)
        ok = clean_below(s, path_join(&s->arena, path, entries[i].name), levels - 1, named) && ok;
    return ok;
}

/* A bucket's folder has folders with copies in them, the stage has one folder for each copy. */
static bool clean_copies(struct session *s)
{
    struct table named;
    struct file_entry *buckets;
    bool ok = true;
    table_init(&named, &s->arena);
    note_copies(s, &named);
    uint32_t count = list_folder(s, STR(".pawl/s3"), &buckets);
    for (uint32_t i = 0; i < count; i++) {
        struct str path = path_join(&s->arena, STR(".pawl/s3"), buckets[i].name);
        int levels = str_eq(path, S3_URI_STAGE) ? 1 : 2;
        ok = clean_below(s, path, levels, &named) && ok;
    }
    return ok;
}

int cmd_clean(const struct opts *o)
{
    struct session s;
    int code = session_open(&s, o, o->dry_run ? SESSION_ASK : SESSION_CHANGE);
    bool ok = code == EXIT_DONE && clean_steps(&s) && (o->targets.n > 0 || clean_copies(&s));
    if (code == EXIT_DONE && !ok)
        code = s.diags.errors ? EXIT_WRONG : EXIT_DONE;
    return session_close(&s, code);
}
