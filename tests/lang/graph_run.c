/* SPDX-License-Identifier: MIT */
/* Golden tests of evaluation: graph_run [--bless] CASE.pipeline… compares the graph with CASE.graph or the
 * diagnostics with CASE.err. The workspace is the case's folder. Comments at a case's top give options:
 * "#: -p NAME=VALUE", "#: env NAME=VALUE", "#: listing DIR FILE…", "#: check" (holds inputs against the disk). */
#include "core/base/file.h"
#include "core/eval.h"
#include "core/graph_image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CASE_LIMIT = 4 << 20, OPTIONS_MAX = 32 };

struct test {
    struct arena arena;
    struct str path, stem;
    struct eval_param params[OPTIONS_MAX];
    char *environment[OPTIONS_MAX + 1];
    struct eval_listing listings[OPTIONS_MAX];
    struct eval_options options;
    bool bless, check;
    uint32_t variables;
    int failures;
};

/* ---- the dump ---- */

static void put_text(struct buf *b, const char *label, struct str text)
{
    if (text.n) {
        buf_printf(b, "  %s ", label);
        for (size_t i = 0; i < text.n; i++) {
            unsigned char c = (unsigned char)text.s[i];
            if (c == '\n') {
                buf_put_str(b, STR("\n    "));
            } else if (c < ' ') {
                buf_printf(b, "\\%u", c);
            } else {
                buf_put_char(b, (char)c);
            }
        }
        buf_put_char(b, '\n');
    }
}

static void put_expr(struct buf *b, const char *label, const struct graph *g, struct gexpr e)
{
    if (e.late) {
        buf_printf(b, "  %s (late)\n", label);
    } else {
        put_text(b, label, graph_text(g, e.bytes));
    }
}

static void put_named(struct buf *b, const char *label, const struct graph *g, struct grange r)
{
    for (uint32_t i = r.first; i < r.first + r.n; i++) {
        const struct graph_named *n = &g->named[i];
        buf_printf(b, "  %s %.*s =%s%s%s%s%s", label, STR_ARG(graph_text(g, n->name)),
                   n->flags & GRAPH_NAMED_FROM_CALLER ? " caller" : "",
                   n->flags & GRAPH_NAMED_UNSET ? " unset" : "",
                   n->flags & GRAPH_NAMED_WHOLE_FILE ? " whole" : "",
                   n->flags & GRAPH_NAMED_TEXT ? " text" : "",
                   n->flags & GRAPH_NAMED_INFO ? " info" : "");
        buf_printf(b, n->value.late ? " (late)\n" : " %.*s\n",
                   STR_ARG(n->value.late ? STR("") : graph_text(g, n->value.bytes)));
    }
}

static void put_numbered_texts(struct buf *b, const char *label, const struct graph *g,
                               struct grange r)
{
    for (uint32_t i = r.first; i < r.first + r.n; i++) {
        put_text(b, label, graph_text(g, g->texts[i]));
    }
}

static void put_inputs(struct buf *b, const struct graph *g, const struct graph_step *s)
{
    static const char *const kinds[] = {"in", "code", "mention"};
    for (uint32_t i = s->inputs.first; i < s->inputs.first + s->inputs.n; i++) {
        const struct graph_input *in = &g->inputs[i];
        const struct graph_file *f = graph_file(g, in->file);
        buf_printf(b, "  %s %.*s%s%.*s", kinds[in->kind], STR_ARG(graph_text(g, in->name)),
                   in->name.n ? " = " : "", STR_ARG(graph_path(g, in->file)));
        if (f->producer != GRAPH_NONE) {
            buf_printf(b, " of %.*s", STR_ARG(graph_text(g, g->steps[f->producer].name)));
        }
        if (f->inside != GRAPH_NONE) {
            buf_printf(b, " inside %.*s", STR_ARG(graph_path(g, (file_id){f->inside})));
        }
        buf_put_str(b, f->flags & GRAPH_FILE_S3 ? STR(" s3") : STR(""));
        buf_put_str(b, in->flags & GRAPH_INPUT_COPY ? STR(" copy") : STR(""));
        buf_put_str(b, in->flags & GRAPH_INPUT_URI ? STR(" uri\n") : STR("\n"));
    }
    for (uint32_t i = s->outputs.first; i < s->outputs.first + s->outputs.n; i++) {
        const struct graph_output *out = &g->outputs[i];
        buf_printf(b, "  out %.*s%s%.*s%s\n", STR_ARG(graph_text(g, out->name)),
                   out->name.n ? " = " : "", STR_ARG(graph_path(g, out->file)),
                   graph_file(g, out->file)->flags & GRAPH_FILE_DIR ? "/" : "");
    }
}

static void put_policy(struct buf *b, const struct graph *g, const struct graph_step *s)
{
    static const char *const remotes[] = {"off", "read", "write", "read-write"};
    buf_put_str(b, s->flags & GRAPH_STEP_CACHE_OFF ? STR("  cache off\n") : STR(""));
    buf_put_str(b, s->flags & GRAPH_STEP_NO_LOCAL ? STR("  cache local = false\n") : STR(""));
    buf_put_str(b, s->flags & GRAPH_STEP_ANY_PLATFORM ? STR("  cache platform = any\n") : STR(""));
    buf_put_str(b, s->flags & GRAPH_STEP_TRACE ? STR("  trace\n") : STR(""));
    if (s->remote != GRAPH_REMOTE_READ_WRITE) {
        buf_printf(b, "  cache remote = %s\n", remotes[s->remote]);
    }
    const struct {
        const char *label;
        int64_t ns;
    } times[] = {{"cache expire_after", s->expire_ns},
                 {"timeout", s->timeout_ns},
                 {"backoff", s->backoff_ns}};
    for (size_t i = 0; i < 3; i++) {
        if (times[i].ns) {
            buf_printf(b, "  %s = %lldms\n", times[i].label, (long long)(times[i].ns / 1000000));
        }
    }
    if (s->retries) {
        buf_printf(b, "  retry %u\n", s->retries);
    }
    if (s->cpus > 0 || s->memory_bytes || s->gpus || s->instance_count || s->instance.n
        || s->price > 0) {
        buf_printf(b, "  resources cpus=%g memory=%llu gpus=%u instance=%.*s count=%u price=%g\n",
                   s->cpus, (unsigned long long)s->memory_bytes, s->gpus,
                   STR_ARG(graph_text(g, s->instance)), s->instance_count, s->price);
    }
    if (s->pool != GRAPH_NONE) {
        put_text(b, "pool", graph_text(g, g->pools[s->pool].name));
    }
    if (s->executor != GRAPH_NONE) {
        put_text(b, "on", graph_text(g, g->executors[s->executor].name));
    }
}

static void put_step(struct buf *b, const struct graph *g, const struct graph_step *s)
{
    static const char *const kinds[] = {"pending", "run", "script", "argv", "fail", "make"};
    buf_printf(b, "step %.*s\n", STR_ARG(graph_text(g, s->name)));
    put_text(b, "about", graph_text(g, s->about));
    put_named(b, "for", g, s->variables);
    put_inputs(b, g, s);
    put_named(b, "param", g, s->params);
    put_named(b, "env", g, s->env);
    put_numbered_texts(b, "secret", g, s->secrets);
    put_numbered_texts(b, "tool", g, s->tools);
    for (uint32_t i = s->probes.first; i < s->probes.first + s->probes.n; i++) {
        put_text(b, "probe", graph_text(g, g->probes[g->numbers[i]].name));
    }
    for (uint32_t i = s->depfiles.first; i < s->depfiles.first + s->depfiles.n; i++) {
        put_text(b, "depfile", graph_path(g, (file_id){g->numbers[i]}));
    }
    if (s->command_kind == GRAPH_COMMAND_PENDING) {
        buf_printf(b, "  pending %.*s for %.*s\n", STR_ARG(graph_path(g, (file_id){s->pending})),
                   STR_ARG(graph_text(g, s->pending_variable)));
    } else {
        put_expr(b, kinds[s->command_kind], g, s->command);
    }
    if (s->flags & GRAPH_STEP_HAS_UNTRACKED) {
        put_expr(b, "tracked", g, s->command_tracked);
    }
    if (!str_eq(graph_text(g, s->cwd), STR("."))) {
        put_text(b, "cwd", graph_text(g, s->cwd));
    }
    put_text(b, "checkpoint", graph_text(g, s->checkpoint));
    put_expr(b, "when", g, s->when);
    put_named(b, "metric", g, s->metrics);
    put_policy(b, g, s);
    for (uint32_t i = s->needs.first; i < s->needs.first + s->needs.n; i++) {
        put_text(b, g->edges[i].kind == GRAPH_NEED ? "needs" : "after",
                 graph_text(g, graph_step(g, g->edges[i].step)->name));
    }
}

static void put_steps(struct buf *b, const char *label, const struct graph *g, const uint32_t *at,
                      uint32_t n)
{
    buf_put_str(b, str_from(label));
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(b, " %.*s", STR_ARG(graph_text(g, g->steps[at[i]].name)));
    }
    buf_put_char(b, '\n');
}

static void put_origins(struct buf *b, const struct graph *g)
{
    static const char *const kinds[] = {"file", "absent", "env", "glob", "options", "listing"};
    for (uint32_t i = 0; i < g->origin_count; i++) {
        const struct graph_origin *o = &g->origins[i];
        if (o->kind != GRAPH_ORIGIN_OPTIONS) {
            buf_printf(b, "origin %s %.*s\n", kinds[o->kind], STR_ARG(graph_text(g, o->name)));
        }
    }
}

static void put_graph(struct buf *b, const struct graph *g)
{
    buf_printf(b, "pipeline %.*s\n", STR_ARG(graph_text(g, g->name)));
    for (uint32_t i = 0; i < g->param_count; i++) {
        buf_printf(b, "param %.*s = %.*s\n", STR_ARG(graph_text(g, g->params[i].name)),
                   STR_ARG(graph_text(g, g->params[i].value.bytes)));
    }
    for (uint32_t i = 0; i < g->pool_count; i++) {
        buf_printf(b, "pool %.*s = %u\n", STR_ARG(graph_text(g, g->pools[i].name)),
                   g->pools[i].limit);
    }
    for (uint32_t i = 0; i < g->probe_count; i++) {
        buf_printf(b, "probe %.*s\n", STR_ARG(graph_text(g, g->probes[i].name)));
        put_expr(b, "run", g, g->probes[i].command);
    }
    for (uint32_t i = 0; i < g->executor_count; i++) {
        const struct graph_executor *x = &g->executors[i];
        buf_printf(b, "executor %.*s kind=%.*s image=%.*s\n", STR_ARG(graph_text(g, x->name)),
                   STR_ARG(graph_text(g, x->kind)), STR_ARG(graph_text(g, x->image)));
    }
    if (g->remote) {
        buf_printf(b, "remote %.*s region=%.*s endpoint=%.*s path_style=%u profile=%.*s\n",
                   STR_ARG(graph_text(g, g->remote->url)),
                   STR_ARG(graph_text(g, g->remote->region)),
                   STR_ARG(graph_text(g, g->remote->endpoint)), g->remote->path_style,
                   STR_ARG(graph_text(g, g->remote->profile)));
        put_numbered_texts(b, "trust", g, g->remote->trust);
    }
    for (uint32_t i = 0; i < g->step_count; i++) {
        put_step(b, g, &g->steps[i]);
    }
    for (uint32_t i = 0; i < g->group_count; i++) {
        struct str name = graph_text(g, g->groups[i].name);
        buf_printf(b, "group %.*s =", STR_ARG(name));
        put_steps(b, "", g, g->numbers + g->groups[i].steps.first, g->groups[i].steps.n);
    }
    if (g->default_count) {
        put_steps(b, "default", g, g->defaults, g->default_count);
    }
    put_origins(b, g);
}

/* ---- cases ---- */

static void complain(struct test *t, const char *suffix, struct str wanted, struct str got)
{
    printf("%.*s%s differs\n--- wanted\n%.*s--- got\n%.*s", STR_ARG(t->stem), suffix,
           STR_ARG(wanted), STR_ARG(got));
    t->failures++;
}

static void compare(struct test *t, const char *suffix, const char *other, struct str got)
{
    struct str path = str_join3(&t->arena, t->stem, str_from(suffix), STR(""));
    struct str wanted = STR("");
    if (!t->bless) {
        if (!file_read_quiet(&t->arena, FILE_CWD, path, CASE_LIMIT, &wanted)
            || !str_eq(wanted, got)) {
            complain(t, suffix, wanted, got);
        }
        return;
    }
    struct str stale = str_join3(&t->arena, t->stem, str_from(other), STR(""));
    if (!file_write(FILE_CWD, path, got, 0644, false) || !file_remove(FILE_CWD, stale)) {
        t->failures++;
    }
}

static void take_listing(struct test *t, struct str words)
{
    struct eval_listing *l = &t->listings[t->options.listing_count++];
    struct str word;
    l->files = ARENA_ARRAY(&t->arena, struct str, words.n);
    (void)str_cut(&words, ' ', &l->dir);
    while (str_cut(&words, ' ', &word)) {
        l->files[l->count++] = word;
    }
}

static void take_option(struct test *t, struct str line)
{
    if (str_starts(line, STR("-p "))) {
        struct eval_param *p = &t->params[t->options.param_count++];
        struct str rest = str_tail(line, 3);
        (void)str_cut(&rest, '=', &p->name);
        p->value = rest;
    } else if (str_starts(line, STR("env "))) {
        struct str text = str_copy(&t->arena, str_tail(line, 4));
        t->environment[t->variables++] = arena_copy(&t->arena, text.s, text.n + 1, 1);
    } else if (str_starts(line, STR("listing "))) {
        take_listing(t, str_tail(line, 8));
    } else if (str_eq(line, STR("check"))) {
        t->check = true;
    } else {
        printf("%.*s: unknown option '%.*s'\n", STR_ARG(t->path), STR_ARG(line));
        t->failures++;
    }
}

static void take_options(struct test *t, struct str text)
{
    struct str line;
    while (str_cut(&text, '\n', &line) && str_starts(line, STR("#"))) {
        if (str_starts(line, STR("#: ")) && t->options.param_count < OPTIONS_MAX - 1
            && t->variables < OPTIONS_MAX - 1 && t->options.listing_count < OPTIONS_MAX - 1) {
            take_option(t, str_tail(line, 3));
        }
    }
}

/* The image survives being written and read, and asking again finds it current. */
static void check_image(struct test *t, const struct graph *g)
{
    struct graph again;
    char *copy = arena_copy(&t->arena, g->image, g->image_bytes, 8);
    graph_image_seal(copy, g->image_bytes);
    if (!graph_image_read(copy, g->image_bytes, &again) || again.step_count != g->step_count) {
        printf("%.*s: the graph's image is not sound\n", STR_ARG(t->path));
        t->failures++;
    }
    if (!eval_is_current(g, &t->options)) {
        printf("%.*s: the graph is not current right after it was made\n", STR_ARG(t->path));
        t->failures++;
    }
}

/* A case belongs to this program if it has a .graph, or parses and has an .err. */
static bool is_ours(struct test *t)
{
    struct str graph = str_join3(&t->arena, t->stem, STR(".graph"), STR(""));
    struct str err = str_join3(&t->arena, t->stem, STR(".err"), STR(""));
    struct file_sig x = file_stat(FILE_CWD, graph, true), y = file_stat(FILE_CWD, err, true);
    return t->bless || file_sig_exists(&x) || file_sig_exists(&y);
}

static void check_case(struct test *t)
{
    struct diags d;
    struct graph g;
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    diags_init(&d, &t->arena);
    bool good = eval_pipeline(&t->options, &t->arena, &g, &d);
    good = good && (!t->check || eval_check_sources(&g, t->options.root, NULL, &d));
    if (good && d.errors) {
        printf("%.*s: true with errors\n", STR_ARG(t->path));
        t->failures++;
    }
    if (good) {
        put_graph(&b, &g);
        check_image(t, &g);
    } else {
        diags_render(&d, false, &b);
    }
    compare(t, good ? ".graph" : ".err", good ? ".err" : ".graph", buf_str(&b));
    buf_free(&b);
}

static void run_case(struct test *t)
{
    struct str text;
    const char *dir = str_c(&t->arena, path_dirname(t->path));
    if (!is_ours(t)) {
        return;
    }
    if (!file_read_quiet(&t->arena, FILE_CWD, t->path, CASE_LIMIT, &text)) {
        printf("%.*s: cannot be read\n", STR_ARG(t->path));
        t->failures++;
        return;
    }
    t->options = (struct eval_options){.root = open(dir, O_RDONLY | O_DIRECTORY),
                                       .file = path_basename(t->path),
                                       .root_name = STR("workspace"),
                                       .params = t->params,
                                       .environment = t->environment,
                                       .listings = t->listings};
    take_options(t, text);
    check_case(t);
    close(t->options.root);
}

int main(int argc, char **argv)
{
    bool bless = false;
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bless") == 0) {
            bless = true;
            continue;
        }
        struct test t = {.bless = bless};
        t.path = t.stem = str_from(argv[i]);
        if (str_ends(t.path, STR(".pipeline"))) {
            t.stem.n -= STR(".pipeline").n;
        }
        run_case(&t);
        failures += t.failures;
        arena_free(&t.arena);
    }
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
