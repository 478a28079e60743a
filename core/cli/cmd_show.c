/* SPDX-License-Identifier: MIT */
/* The commands that only show: list, graph, log, runs, stats, diff, metrics. */
#include "core/cli/commands.h"
#include "core/cli/session.h"
#include "core/ui/draw.h"
#include "core/ui/report.h"
#include "core/ui/text.h"

#include <string.h>
#include <unistd.h>

enum { LOG_LIMIT = 80 << 20 };

static struct report_options report_options_of(const struct opts *o)
{
    return (struct report_options){.json = o->json, .verbose = o->verbose, .bare = o->quiet};
}

static int print_and_close(struct session *s, struct buf *b, int code)
{
    if (!session_print(b, &s->diags))
        code = EXIT_UNUSABLE;
    buf_free(b);
    return session_close(s, code);
}

/* ---- list, graph ---- */

int cmd_list(const struct opts *o)
{
    struct session s;
    struct buf b;
    struct step_list steps;
    buf_init(&b, BUF_TEXT_LIMIT);
    int code = session_open(&s, o, SESSION_ASK);
    if (code == EXIT_DONE && !session_select(&s, &steps))
        code = EXIT_WRONG;
    if (code == EXIT_DONE) {
        struct report_options r = report_options_of(o);
        report_steps(&b, &s.pipeline.graph, &steps, &r);
    }
    return print_and_close(&s, &b, code);
}

/* Marks the steps and all that they need. */
static uint8_t *mark_with_needs(struct session *s, const struct step_list *steps)
{
    const struct graph *g = &s->pipeline.graph;
    uint8_t *shown = ARENA_ARRAY(&s->arena, uint8_t, g->step_count + 1);
    for (uint32_t i = 0; i < steps->n; i++)
        shown[steps->at[i].i] = 1;
    for (uint32_t n = g->step_count; n-- > 0;) {
        const struct graph_step *step = &g->steps[g->order[n]];
        for (uint32_t k = 0; k < step->needs.n && shown[g->order[n]]; k++)
            shown[g->edges[step->needs.first + k].step.i] = 1;
    }
    return shown;
}

int cmd_graph(const struct opts *o)
{
    struct session s;
    struct buf b;
    struct step_list steps;
    enum draw_format format = o->json ? DRAW_JSON : DRAW_DOT;
    buf_init(&b, BUF_TEXT_LIMIT);
    int code = session_open(&s, o, SESSION_ASK);
    if (code == EXIT_DONE && o->format.n && !draw_format_parse(o->format, &format)) {
        struct diag *e = diag_error(&s.diags, "usage", SPAN_NONE, "there is no format '%.*s'",
                                    STR_ARG(o->format));
        diag_help(&s.diags, e, "dot, mermaid, json and svg are");
        code = EXIT_WRONG;
    }
    if (code == EXIT_DONE && !session_select(&s, &steps))
        code = EXIT_WRONG;
    if (code == EXIT_DONE)
        draw_graph(&b, &s.pipeline.graph, mark_with_needs(&s, &steps), format);
    return print_and_close(&s, &b, code);
}

/* ---- log ---- */

static bool put_step_log(struct session *s, step_id step, bool heading, struct buf *b)
{
    struct str name = graph_text(&s->pipeline.graph, graph_step(&s->pipeline.graph, step)->name);
    const struct state_step *last = state_find_step(s->state, name);
    if (heading)
        buf_printf(b, "== %.*s\n", STR_ARG(name));
    if (!last) {
        struct buf text;
        buf_init(&text, 4096);
        buf_printf(&text, "'%.*s' has not run here yet\n", STR_ARG(name));
        (void)!file_write_all(STDERR_FILENO, text.s, text.n);
        buf_free(&text);
        return true;
    }
    struct str log;
    if (last->log_path.n
        && file_read_quiet(&s->arena, s->place.root, last->log_path, LOG_LIMIT, &log)) {
        if (isatty(STDOUT_FILENO)) {
            str_put_visible(b, log);
        } else {
            buf_put_str(b, log); /* as it was printed, for other programs */
        }
    }
    return true;
}

int cmd_log(const struct opts *o)
{
    struct session s;
    struct buf b;
    struct step_list steps = {0};
    buf_init(&b, 2 * (size_t)LOG_LIMIT);
    int code = session_open(&s, o, SESSION_ASK);
    if (code == EXIT_DONE && o->targets.n == 0) {
        struct diag *e = diag_error(&s.diags, "usage", SPAN_NONE, "'pawl log' wants a step");
        diag_help(&s.diags, e, "'pawl list' names them");
        code = EXIT_WRONG;
    }
    if (code == EXIT_DONE && !session_select(&s, &steps))
        code = EXIT_WRONG;
    for (uint32_t i = 0; code == EXIT_DONE && i < steps.n; i++)
        (void)put_step_log(&s, steps.at[i], steps.n > 1, &b);
    return print_and_close(&s, &b, code);
}

/* ---- runs ---- */

struct history {
    struct state_run *runs;
    uint32_t count;
};

typedef void report_function(struct buf *b, const struct state_run *runs, uint32_t count,
                             const struct report_options *o);

/* History needs the workspace and its state, not a Pipelinefile without errors. */
static int open_history(struct session *s, const struct opts *o, uint32_t limit,
                        struct history *out)
{
    int code = session_open(s, o, SESSION_PLACE);
    if (code != EXIT_DONE)
        return code;
    s->state = state_open(s->place.root, true, &s->diags);
    if (!s->state
        || !state_read_runs(s->state, &s->arena, limit, &out->runs, &out->count, &s->diags))
        return EXIT_UNUSABLE;
    return EXIT_DONE;
}

static int show_history(const struct opts *o, uint32_t limit, report_function *report)
{
    struct session s;
    struct history h = {0};
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    int code = open_history(&s, o, limit, &h);
    struct report_options r = report_options_of(o);
    if (code == EXIT_DONE)
        report(&b, h.runs, h.count, &r);
    return print_and_close(&s, &b, code);
}

int cmd_runs(const struct opts *o)
{
    return show_history(o, o->limit, report_runs);
}

int cmd_stats(const struct opts *o)
{
    return show_history(o, 0, report_stats);
}

int cmd_metrics(const struct opts *o)
{
    struct session s;
    struct history h = {0};
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    int code = open_history(&s, o, o->limit, &h);
    struct report_options r = report_options_of(o);
    if (code == EXIT_DONE)
        report_metrics(&b, h.runs, h.count, o->targets.at, o->targets.n, &r);
    return print_and_close(&s, &b, code);
}

/* "r17", "17", or "-1" for the last but one. */
static const struct state_run *find_run(struct session *s, const struct history *h, struct str name)
{
    int64_t number;
    if (str_parse_i64(name, &number) && number < 0 && number > -(int64_t)h->count)
        return &h->runs[(int64_t)h->count - 1 + number];
    for (uint32_t i = 0; i < h->count; i++) {
        if (str_eq(h->runs[i].id, name)
            || (h->runs[i].id.n && str_eq(str_tail(h->runs[i].id, 1), name)))
            return &h->runs[i];
    }
    struct diag *e =
        diag_error(&s->diags, "unknown-run", SPAN_NONE, "there is no run '%.*s'", STR_ARG(name));
    diag_help(&s->diags, e, "'pawl runs' lists them");
    return NULL;
}

int cmd_diff(const struct opts *o)
{
    struct session s;
    struct history h = {0};
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    int code = open_history(&s, o, 0, &h);
    const struct state_run *two[2] = {NULL, NULL};
    if (code == EXIT_DONE && o->targets.n > 2) {
        diag_error(&s.diags, "usage", SPAN_NONE, "'pawl diff' takes at most two runs");
        code = EXIT_WRONG;
    } else if (code == EXIT_DONE && h.count < 2 && o->targets.n < 2) {
        diag_error(&s.diags, "unknown-run", SPAN_NONE, "there are not two runs to compare yet");
        code = EXIT_WRONG;
    } else if (code == EXIT_DONE) {
        two[0] = o->targets.n ? find_run(&s, &h, o->targets.at[0]) : &h.runs[h.count - 2];
        two[1] = o->targets.n > 1 ? find_run(&s, &h, o->targets.at[1]) : &h.runs[h.count - 1];
        code = two[0] && two[1] ? EXIT_DONE : EXIT_WRONG;
    }
    struct report_options r = report_options_of(o);
    if (code == EXIT_DONE)
        report_diff(&b, two[0], two[1], &r);
    return print_and_close(&s, &b, code);
}
