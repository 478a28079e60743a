/* SPDX-License-Identifier: MIT */
/* Tables of text; widths are counted in characters, not bytes. */
#include "core/ui/report.h"

#include "core/base/json.h"
#include "core/base/table.h"
#include "core/ui/jsonl.h"
#include "core/ui/text.h"

#include <string.h>
#include <time.h>

/* ---- tables ---- */

/* Rows of cells, all in one arena; printed with columns as wide as their widest cell. */
struct sheet {
    struct arena *arena;
    uint32_t columns;
    VEC(struct str) cells;
    uint32_t right; /* bit i: column i is aligned to the right */
};

static uint32_t width_of(struct str x)
{
    uint32_t n = 0;
    for (size_t i = 0; i < x.n; i++)
        n += ((unsigned char)x.s[i] & 0xc0) != 0x80;
    return n;
}

static void add_cell(struct sheet *s, struct str x)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    str_put_visible(&b, x);
    *VEC_PUSH(s->arena, &s->cells) = str_copy(s->arena, buf_str(&b));
    buf_free(&b);
}

static void put_cell(struct buf *b, struct str x, uint32_t width, bool right, bool last)
{
    uint32_t pad = width > width_of(x) ? width - width_of(x) : 0;
    for (uint32_t i = 0; i < pad && right; i++)
        buf_put_char(b, ' ');
    buf_put_str(b, x);
    for (uint32_t i = 0; i < pad && !right && !last; i++)
        buf_put_char(b, ' ');
    if (!last) {
        buf_put_str(b, STR("  "));
        return;
    }
    while (b->n > 0 && b->s[b->n - 1] == ' ') /* the last cells are empty */
        b->n--;
    buf_put_char(b, '\n');
}

static void put_sheet(struct buf *b, const struct sheet *s)
{
    uint32_t *widths = ARENA_ARRAY(s->arena, uint32_t, s->columns + 1);
    for (uint32_t i = 0; i < s->cells.n; i++) {
        uint32_t w = width_of(s->cells.at[i]);
        if (w > widths[i % s->columns])
            widths[i % s->columns] = w;
    }
    for (uint32_t i = 0; i < s->cells.n; i++) {
        uint32_t column = i % s->columns;
        put_cell(b, s->cells.at[i], widths[column], column < 32 && (s->right >> column & 1),
                 column + 1 == s->columns);
    }
}

static struct str duration_text(struct arena *a, int64_t ns)
{
    struct buf b;
    buf_init(&b, 64);
    str_put_duration(&b, ns);
    struct str text = str_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

static struct str time_text(struct arena *a, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[32] = "";
    if (localtime_r(&seconds, &tm))
        (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    return str_copy(a, str_from(text));
}

static void put_member(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, ",\"%s\":", name);
    str_put_json(b, value);
}

/* A parameter's or metric's value: a number where it is one. */
static void put_figure(struct buf *b, struct str text)
{
    struct arena scratch = {0};
    struct diags quiet;
    diags_init(&quiet, &scratch);
    const struct json *j = json_parse(&scratch, text, 0, &quiet);
    if (j && (j->kind == JSON_INT || j->kind == JSON_REAL))
        buf_put_str(b, text);
    else
        str_put_json(b, text);
    arena_free(&scratch);
}

static void put_figure_member(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, ",\"%s\":", name);
    put_figure(b, value);
}

static void put_seconds(struct buf *b, const char *name, int64_t ns)
{
    buf_printf(b, ",\"%s\":", name);
    int64_t ms = ns / 1000000;
    str_put_double(b, (double)ms / 1000);
}

/* ---- list ---- */

void report_steps(struct buf *b, const struct graph *g, const struct step_list *steps,
                  const struct report_options *o)
{
    struct arena scratch = {0};
    struct sheet s = {.arena = &scratch, .columns = 2};
    for (uint32_t i = 0; i < steps->n; i++) {
        const struct graph_step *step = graph_step(g, steps->at[i]);
        struct str name = graph_text(g, step->name);
        if (o->bare) {
            buf_printf(b, "%.*s\n", STR_ARG(name));
        } else if (o->json) {
            buf_put_str(b, STR("{\"step\":"));
            str_put_json(b, name);
            put_member(b, "about", graph_text(g, step->about));
            buf_put_str(b, STR(",\"outputs\":["));
            for (uint32_t k = 0; k < step->outputs.n; k++) {
                buf_put_str(b, k ? STR(",") : STR(""));
                str_put_json(b, graph_path(g, g->outputs[step->outputs.first + k].file));
            }
            buf_put_str(b, STR("]}\n"));
        } else {
            add_cell(&s, name);
            add_cell(&s, graph_text(g, step->about));
        }
    }
    if (s.cells.n)
        put_sheet(b, &s);
    arena_free(&scratch);
}

/* ---- runs ---- */

static void put_pairs(struct buf *b, const char *name, const struct record_metric *at,
                      uint32_t count)
{
    buf_printf(b, ",\"%s\":{", name);
    for (uint32_t i = 0; i < count; i++) {
        buf_put_str(b, i ? STR(",") : STR(""));
        str_put_json(b, at[i].name);
        buf_put_char(b, ':');
        put_figure(b, at[i].text);
    }
    buf_put_char(b, '}');
}

static void put_run_json(struct buf *b, const struct state_run *r)
{
    buf_put_str(b, STR("{\"run\":"));
    str_put_json(b, r->id);
    put_member(b, "pipeline", r->pipeline);
    put_member(b, "targets", r->targets);
    buf_printf(b, ",\"started_ms\":%lld", (long long)r->started_ms);
    put_seconds(b, "seconds", r->duration_ns);
    put_seconds(b, "saved_seconds", r->saved_ns);
    buf_printf(
        b,
        ",\"ran\":%u,\"restored\":%u,\"up_to_date\":%u,\"skipped\":%u,\"failed\":%u,\"interrupted\":%s",
        r->ran, r->restored, r->up_to_date, r->skipped, r->failed,
        r->interrupted ? "true" : "false");
    jsonl_put_remote(b, &r->remote);
    put_pairs(b, "params", r->params, r->param_count);
    buf_put_str(b, STR(",\"metrics\":{"));
    bool any = false;
    for (uint32_t i = 0; i < r->step_count; i++) {
        for (uint32_t k = 0; k < r->steps[i].metric_count; k++) {
            struct arena scratch = {0};
            buf_put_str(b, any ? STR(",") : STR(""));
            str_put_json(
                b, str_join3(&scratch, r->steps[i].name, STR("."), r->steps[i].metrics[k].name));
            buf_put_char(b, ':');
            put_figure(b, r->steps[i].metrics[k].text);
            any = true;
            arena_free(&scratch);
        }
    }
    buf_put_str(b, STR("}}\n"));
}

static const char *how_it_ended(const struct state_run *r)
{
    return r->interrupted ? "interrupted" : r->failed ? "failed" : "good";
}

/* A column for it only where some run had to do with a remote cache. */
static bool any_remote(const struct state_run *runs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (event_remote_had_part(&runs[i].remote))
            return true;
    }
    return false;
}

static void add_run_cells(struct sheet *s, const struct state_run *r, bool far)
{
    struct arena *a = s->arena;
    add_cell(s, r->id);
    add_cell(s, time_text(a, r->started_ms));
    add_cell(s, duration_text(a, r->duration_ns));
    add_cell(s, str_printf(a, "%u", r->ran));
    add_cell(s, str_printf(a, "%u", r->restored));
    if (far)
        add_cell(s, str_printf(a, "%u", r->remote.restored));
    const uint32_t counts[] = {r->up_to_date, r->skipped, r->failed};
    for (uint32_t k = 0; k < 3; k++)
        add_cell(s, str_printf(a, "%u", counts[k]));
    add_cell(s, str_from(how_it_ended(r)));
    add_cell(s, r->targets);
}

void report_runs(struct buf *b, const struct state_run *runs, uint32_t count,
                 const struct report_options *o)
{
    struct arena scratch = {0};
    static const char *const heads[] = {"run",      "started",     "took",       "ran",
                                        "restored", "from remote", "up to date", "skipped",
                                        "failed",   "end",         "targets"};
    bool far = any_remote(runs, count);
    struct sheet s = {.arena = &scratch, .columns = far ? 11 : 10, .right = far ? 0x1fc : 0xfc};
    for (uint32_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (far || strcmp(heads[i], "from remote") != 0)
            add_cell(&s, str_from(heads[i]));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (o->json)
            put_run_json(b, &runs[i]);
        else
            add_run_cells(&s, &runs[i], far);
    }
    if (!o->json)
        put_sheet(b, &s);
    arena_free(&scratch);
}

/* ---- stats ---- */

struct stats {
    uint64_t ran, restored, up_to_date, failed;
    int64_t saved_ns, spent_ns;
    double money;
    struct event_remote remote;
};

static void add_remote(struct event_remote *to, const struct event_remote *r)
{
    to->asked += r->asked;
    to->restored += r->restored;
    to->lists += r->lists;
    to->gets += r->gets;
    to->puts += r->puts;
    to->drops += r->drops;
    to->received += r->received;
    to->sent += r->sent;
    to->waited_ns += r->waited_ns;
}

static void add_run(struct stats *x, const struct state_run *r)
{
    x->ran += r->ran;
    x->restored += r->restored;
    x->up_to_date += r->up_to_date;
    x->failed += r->failed;
    x->saved_ns += r->saved_ns;
    add_remote(&x->remote, &r->remote);
    for (uint32_t k = 0; k < r->step_count; k++) {
        const struct state_run_step *s = &r->steps[k];
        if (str_eq(s->result, STR("ran")))
            x->spent_ns += s->duration_ns;
        x->money += s->price * (double)s->saved_ns / 3.6e12;
    }
}

static double rate_of(uint64_t hits, uint64_t all)
{
    return all ? (double)hits / (double)all : 0;
}

static void put_stats_json(struct buf *b, const struct stats *x, uint32_t count, double rate)
{
    buf_printf(b, "{\"runs\":%u,\"ran\":%llu,\"restored\":%llu,\"up_to_date\":%llu,\"failed\":%llu",
               count, (unsigned long long)x->ran, (unsigned long long)x->restored,
               (unsigned long long)x->up_to_date, (unsigned long long)x->failed);
    buf_printf(b, ",\"hit_rate\":%.4f", rate);
    put_seconds(b, "spent_seconds", x->spent_ns);
    put_seconds(b, "saved_seconds", x->saved_ns);
    buf_printf(b, ",\"saved_money\":%.2f", x->money);
    jsonl_put_remote(b, &x->remote);
    buf_put_str(b, STR("}\n"));
}

static void put_stats_remote(struct buf *b, const struct stats *x)
{
    const struct event_remote *r = &x->remote;
    if (!event_remote_had_part(r))
        return;
    uint64_t local = x->restored > r->restored ? x->restored - r->restored : 0;
    buf_printf(b, "restored     %llu from the local cache, %u from the remote one\n",
               (unsigned long long)local, r->restored);
    buf_printf(b, "remote       %u of %u found (%.1f %%)\n", r->restored, r->asked,
               100 * rate_of(r->restored, r->asked));
    buf_put_str(b, STR("             "));
    text_put_remote(b, r, true);
    buf_put_char(b, '\n');
}

void report_stats(struct buf *b, const struct state_run *runs, uint32_t count,
                  const struct report_options *o)
{
    struct stats x = {0};
    for (uint32_t i = 0; i < count; i++)
        add_run(&x, &runs[i]);
    double rate = rate_of(x.restored + x.up_to_date, x.ran + x.restored + x.up_to_date);
    if (o->json) {
        put_stats_json(b, &x, count, rate);
        return;
    }
    struct arena scratch = {0};
    buf_printf(b, "runs         %u\n", count);
    buf_printf(b, "steps        %llu ran, %llu restored, %llu up to date, %llu failed\n",
               (unsigned long long)x.ran, (unsigned long long)x.restored,
               (unsigned long long)x.up_to_date, (unsigned long long)x.failed);
    buf_printf(b, "hit rate     %.1f %%\n", 100 * rate);
    buf_printf(b, "time spent   %.*s\n", STR_ARG(duration_text(&scratch, x.spent_ns)));
    buf_printf(b, "time saved   %.*s\n", STR_ARG(duration_text(&scratch, x.saved_ns)));
    if (x.money > 0)
        buf_printf(b, "money saved  %.2f (by the steps' price for an hour)\n", x.money);
    put_stats_remote(b, &x);
    arena_free(&scratch);
}

/* ---- diff and metrics ---- */

/* All figures of a run by name: parameters, and metrics as STEP.NAME. */
struct figures {
    struct table names;
    VEC(struct str) values;
};

static void add_figure(struct figures *f, struct arena *a, struct str name, struct str value)
{
    bool is_new;
    uint32_t n = table_add(&f->names, name, &is_new);
    if (is_new)
        (void)VEC_PUSH(a, &f->values);
    f->values.at[n] = value;
}

static void add_metrics(struct figures *f, struct arena *a, const struct state_run *r)
{
    for (uint32_t i = 0; i < r->step_count; i++) {
        for (uint32_t k = 0; k < r->steps[i].metric_count; k++) {
            add_figure(f, a, str_join3(a, r->steps[i].name, STR("."), r->steps[i].metrics[k].name),
                       r->steps[i].metrics[k].text);
        }
    }
}

static void put_two(struct buf *b, struct arena *a, const char *kind, const struct figures f[2],
                    const struct report_options *o, struct sheet *s)
{
    struct table all;
    table_init(&all, a);
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < f[side].names.count; i++)
            (void)table_add(&all, f[side].names.keys[i], NULL);
    }
    for (uint32_t i = 0; i < all.count; i++) {
        struct str value[2];
        bool has[2];
        for (uint32_t side = 0; side < 2; side++) {
            uint32_t n = table_find(&f[side].names, all.keys[i]);
            has[side] = n != TABLE_NONE;
            value[side] = has[side] ? f[side].values.at[n] : STR("-");
        }
        bool changed = has[0] != has[1] || !str_eq(value[0], value[1]);
        if (!o->json) {
            add_cell(s, changed ? STR("*") : STR(" "));
            add_cell(s, str_from(kind));
            add_cell(s, all.keys[i]);
            add_cell(s, value[0]);
            add_cell(s, value[1]);
            continue;
        }
        buf_printf(b, "{\"kind\":\"%s\",\"name\":", kind);
        str_put_json(b, all.keys[i]);
        if (has[0])
            put_figure_member(b, "before", value[0]);
        if (has[1])
            put_figure_member(b, "after", value[1]);
        buf_printf(b, ",\"changed\":%s}\n", changed ? "true" : "false");
    }
}

void report_diff(struct buf *b, const struct state_run *before, const struct state_run *after,
                 const struct report_options *o)
{
    struct arena a = {0};
    const struct state_run *runs[2] = {before, after};
    struct figures params[2] = {{.names = {0}}}, metrics[2] = {{.names = {0}}};
    struct sheet s = {.arena = &a, .columns = 5};
    for (uint32_t side = 0; side < 2; side++) {
        table_init(&params[side].names, &a);
        table_init(&metrics[side].names, &a);
        for (uint32_t i = 0; i < runs[side]->param_count; i++)
            add_figure(&params[side], &a, runs[side]->params[i].name, runs[side]->params[i].text);
        add_metrics(&metrics[side], &a, runs[side]);
    }
    add_cell(&s, STR(""));
    add_cell(&s, STR(""));
    add_cell(&s, STR(""));
    add_cell(&s, before->id);
    add_cell(&s, after->id);
    put_two(b, &a, "param", params, o, &s);
    put_two(b, &a, "metric", metrics, o, &s);
    if (!o->json)
        put_sheet(b, &s);
    arena_free(&a);
}

static bool is_asked_for(struct str name, const struct str *steps, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (str_eq(name, steps[i])
            || (str_starts(name, steps[i]) && name.n > steps[i].n && name.s[steps[i].n] == '['))
            return true;
    }
    return count == 0;
}

void report_metrics(struct buf *b, const struct state_run *runs, uint32_t count,
                    const struct str *steps, uint32_t step_count, const struct report_options *o)
{
    struct arena a = {0};
    struct sheet s = {.arena = &a, .columns = 5};
    static const char *const heads[] = {"run", "started", "step", "metric", "value"};
    for (uint32_t i = 0; i < s.columns; i++)
        add_cell(&s, str_from(heads[i]));
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < runs[i].step_count; k++) {
            const struct state_run_step *step = &runs[i].steps[k];
            for (uint32_t m = 0;
                 m < step->metric_count && is_asked_for(step->name, steps, step_count); m++) {
                if (o->json) {
                    buf_put_str(b, STR("{\"run\":"));
                    str_put_json(b, runs[i].id);
                    put_member(b, "step", step->name);
                    put_member(b, "metric", step->metrics[m].name);
                    put_figure_member(b, "value", step->metrics[m].text);
                    buf_put_str(b, STR("}\n"));
                    continue;
                }
                add_cell(&s, runs[i].id);
                add_cell(&s, time_text(&a, runs[i].started_ms));
                add_cell(&s, step->name);
                add_cell(&s, step->metrics[m].name);
                add_cell(&s, step->metrics[m].text);
            }
        }
    }
    if (!o->json)
        put_sheet(b, &s);
    arena_free(&a);
}
