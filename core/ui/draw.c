/* SPDX-License-Identifier: MIT */
/* Four ways to draw one graph. The SVG is laid out in layers: a step stands below all that it needs, and layers are
 * ordered by the middle of their neighbours above (Sugiyama's method, two of its steps). */
#include "core/ui/draw.h"

#include <stdlib.h>

bool draw_format_parse(struct str name, enum draw_format *out)
{
    static const char *const names[] = {
        [DRAW_DOT] = "dot", [DRAW_MERMAID] = "mermaid", [DRAW_JSON] = "json", [DRAW_SVG] = "svg"};
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (str_eq(name, str_from(names[i]))) {
            *out = (enum draw_format)i;
            return true;
        }
    }
    return false;
}

/* Calls each for every arrow between two shown steps. */
static void each_edge(const struct graph *g, const uint8_t *shown,
                      void (*each)(void *context, uint32_t from, uint32_t to, uint32_t kind),
                      void *context)
{
    for (uint32_t i = 0; i < g->step_count; i++) {
        for (uint32_t k = 0; k < g->steps[i].needs.n && shown[i]; k++) {
            const struct graph_edge *e = &g->edges[g->steps[i].needs.first + k];
            if (shown[e->step.i])
                each(context, e->step.i, i, e->kind);
        }
    }
}

/* ---- dot ---- */

static void put_dot_edge(void *context, uint32_t from, uint32_t to, uint32_t kind)
{
    buf_printf(context, "    s%u -> s%u%s;\n", from, to,
               kind == GRAPH_AFTER ? " [style=dashed]" : "");
}

static void put_dot_text(struct buf *b, struct str x)
{
    for (size_t i = 0; i < x.n; i++) {
        if (x.s[i] == '"' || x.s[i] == '\\')
            buf_put_char(b, '\\');
        buf_put_char(b, x.s[i] == '\n' ? ' ' : x.s[i]);
    }
}

static void draw_dot(struct buf *b, const struct graph *g, const uint8_t *shown)
{
    buf_put_str(b, STR("digraph \""));
    put_dot_text(b, graph_text(g, g->name));
    buf_put_str(b, STR("\" {\n    rankdir=LR;\n    node [shape=box, fontname=\"sans-serif\"];\n"));
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (!shown[i])
            continue;
        buf_printf(b, "    s%u [label=\"", i);
        put_dot_text(b, graph_text(g, g->steps[i].name));
        buf_put_str(b, STR("\", tooltip=\""));
        put_dot_text(b, graph_text(g, g->steps[i].about));
        buf_put_str(b, STR("\"];\n"));
    }
    each_edge(g, shown, put_dot_edge, b);
    buf_put_str(b, STR("}\n"));
}

/* ---- mermaid ---- */

static void put_mermaid_edge(void *context, uint32_t from, uint32_t to, uint32_t kind)
{
    buf_printf(context, "    s%u %s s%u\n", from, kind == GRAPH_AFTER ? "-.->" : "-->", to);
}

/* Mermaid takes HTML's numeric entities, with # for &#. */
static void put_mermaid_text(struct buf *b, struct str x)
{
    for (size_t i = 0; i < x.n; i++) {
        unsigned char c = (unsigned char)x.s[i];
        if (c < 0x20 || c == '"' || c == '#' || c == '<' || c == '>' || c == '&') {
            buf_printf(b, "#%u;", c);
        } else {
            buf_put_char(b, x.s[i]);
        }
    }
}

static void draw_mermaid(struct buf *b, const struct graph *g, const uint8_t *shown)
{
    buf_put_str(b, STR("flowchart LR\n"));
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (!shown[i])
            continue;
        buf_printf(b, "    s%u[\"", i);
        put_mermaid_text(b, graph_text(g, g->steps[i].name));
        buf_put_str(b, STR("\"]\n"));
    }
    each_edge(g, shown, put_mermaid_edge, b);
}

/* ---- json ---- */

static void put_json_files(struct buf *b, const char *name, const struct graph *g,
                           const struct graph_step *s, bool outputs)
{
    uint32_t count = outputs ? s->outputs.n : s->inputs.n;
    buf_printf(b, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        file_id f =
            outputs ? g->outputs[s->outputs.first + i].file : g->inputs[s->inputs.first + i].file;
        buf_put_str(b, i ? STR(",") : STR(""));
        str_put_json(b, graph_path(g, f));
    }
    buf_put_char(b, ']');
}

static void put_json_step(struct buf *b, const struct graph *g, uint32_t i, const uint8_t *shown)
{
    const struct graph_step *s = &g->steps[i];
    buf_put_str(b, STR("{\"step\":"));
    str_put_json(b, graph_text(g, s->name));
    buf_put_str(b, STR(",\"about\":"));
    str_put_json(b, graph_text(g, s->about));
    put_json_files(b, "inputs", g, s, false);
    put_json_files(b, "outputs", g, s, true);
    const char *const names[] = {[GRAPH_NEED] = "needs", [GRAPH_AFTER] = "after"};
    for (uint32_t kind = GRAPH_NEED; kind <= GRAPH_AFTER; kind++) {
        bool any = false;
        buf_printf(b, ",\"%s\":[", names[kind]);
        for (uint32_t k = 0; k < s->needs.n; k++) {
            const struct graph_edge *e = &g->edges[s->needs.first + k];
            if (e->kind != kind || !shown[e->step.i])
                continue;
            buf_put_str(b, any ? STR(",") : STR(""));
            str_put_json(b, graph_text(g, graph_step(g, e->step)->name));
            any = true;
        }
        buf_put_char(b, ']');
    }
    buf_put_char(b, '}');
}

static void draw_json(struct buf *b, const struct graph *g, const uint8_t *shown)
{
    bool any = false;
    buf_put_str(b, STR("{\"pipeline\":"));
    str_put_json(b, graph_text(g, g->name));
    buf_put_str(b, STR(",\"steps\":["));
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (!shown[i])
            continue;
        buf_put_str(b, any ? STR(",\n") : STR("\n"));
        put_json_step(b, g, i, shown);
        any = true;
    }
    buf_put_str(b, STR("\n]}\n"));
}

/* ---- svg ---- */

enum { BOX_HEIGHT = 34, BOX_GAP = 18, LAYER_GAP = 46, LETTER_WIDTH = 8, BOX_PAD = 24, MARGIN = 16 };

struct box {
    uint32_t step, layer;
    double middle; /* of what it needs, in the layer above: sorts it in its own */
    double x, y, width;
};

struct layout {
    const struct graph *g;
    const uint8_t *shown;
    struct box *boxes; /* one for each step; those not shown stay zero */
    uint32_t layers;
    double width, height;
    struct buf *out;
};

static int by_layer(const void *a, const void *b)
{
    const struct box *x = *(const struct box *const *)a, *y = *(const struct box *const *)b;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    if (x->middle < y->middle || x->middle > y->middle)
        return x->middle < y->middle ? -1 : 1;
    return x->step < y->step ? -1 : x->step > y->step;
}

static void find_layers(struct layout *l)
{
    const struct graph *g = l->g;
    for (uint32_t n = 0; n < g->step_count; n++) {
        uint32_t i = g->order[n];
        for (uint32_t k = 0; k < g->steps[i].needs.n && l->shown[i]; k++) {
            uint32_t from = g->edges[g->steps[i].needs.first + k].step.i;
            if (l->shown[from] && l->boxes[from].layer + 1 > l->boxes[i].layer)
                l->boxes[i].layer = l->boxes[from].layer + 1;
        }
        if (l->shown[i] && l->boxes[i].layer + 1 > l->layers)
            l->layers = l->boxes[i].layer + 1;
    }
}

/* Middle of the boxes that it needs, whose places are known when layers are laid from the top. */
static double middle_of_needs(const struct layout *l, uint32_t i)
{
    double sum = 0;
    uint32_t count = 0;
    const struct graph_step *s = &l->g->steps[i];
    for (uint32_t k = 0; k < s->needs.n; k++) {
        uint32_t from = l->g->edges[s->needs.first + k].step.i;
        if (!l->shown[from])
            continue;
        sum += l->boxes[from].x + l->boxes[from].width / 2;
        count++;
    }
    return count ? sum / count : 0;
}

static uint32_t characters(struct str x)
{
    uint32_t n = 0;
    for (size_t i = 0; i < x.n; i++)
        n += ((unsigned char)x.s[i] & 0xc0) != 0x80;
    return n;
}

static void lay_out(struct layout *l, struct arena *a)
{
    const struct graph *g = l->g;
    struct box **order = ARENA_ARRAY(a, struct box *, g->step_count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->step_count; i++) {
        l->boxes[i].step = i;
        l->boxes[i].width =
            BOX_PAD + LETTER_WIDTH * (double)characters(graph_text(g, g->steps[i].name));
        if (l->shown[i])
            order[count++] = &l->boxes[i];
    }
    qsort(order, count, sizeof *order, by_layer);
    for (uint32_t begin = 0, end; begin < count; begin = end) {
        for (end = begin; end < count && order[end]->layer == order[begin]->layer; end++)
            order[end]->middle = middle_of_needs(l, order[end]->step);
        qsort(order + begin, end - begin, sizeof *order, by_layer);
        double x = MARGIN;
        for (uint32_t k = begin; k < end; k++) {
            order[k]->x = x;
            order[k]->y = MARGIN + order[k]->layer * (double)(BOX_HEIGHT + LAYER_GAP);
            x += order[k]->width + BOX_GAP;
        }
        if (x > l->width)
            l->width = x;
    }
    l->width += MARGIN - BOX_GAP;
    l->height =
        2 * MARGIN + l->layers * (double)(BOX_HEIGHT + LAYER_GAP) - (l->layers ? LAYER_GAP : 0);
    /* Each layer in the middle of the page. */
    for (uint32_t begin = 0, end; begin < count; begin = end) {
        for (end = begin; end < count && order[end]->layer == order[begin]->layer; end++)
            ;
        double right = order[end - 1]->x + order[end - 1]->width,
               shift = (l->width - MARGIN - right) / 2;
        for (uint32_t k = begin; k < end; k++)
            order[k]->x += shift;
    }
}

static void put_xml(struct buf *b, struct str x)
{
    struct buf visible;
    buf_init(&visible, BUF_TEXT_LIMIT);
    str_put_visible(&visible, x);
    for (size_t i = 0; i < visible.n; i++) {
        char c = visible.s[i];
        switch (c) {
        case '<': buf_put_str(b, STR("&lt;")); break;
        case '>': buf_put_str(b, STR("&gt;")); break;
        case '&': buf_put_str(b, STR("&amp;")); break;
        case '"': buf_put_str(b, STR("&quot;")); break;
        default: buf_put_char(b, c);
        }
    }
    buf_free(&visible);
}

static void put_svg_edge(void *context, uint32_t from, uint32_t to, uint32_t kind)
{
    struct layout *l = context;
    const struct box *x = &l->boxes[from], *y = &l->boxes[to];
    double x1 = x->x + x->width / 2, y1 = x->y + BOX_HEIGHT, x2 = y->x + y->width / 2,
           y2 = y->y - 4;
    double bend = (y2 - y1) / 2;
    buf_printf(l->out, "<path class=\"edge\"%s d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\"/>\n",
               kind == GRAPH_AFTER ? " stroke-dasharray=\"4 3\"" : "", x1, y1, x1, y1 + bend, x2,
               y2 - bend, x2, y2);
}

static void put_svg_box(struct layout *l, uint32_t i)
{
    const struct box *x = &l->boxes[i];
    const struct graph_step *s = &l->g->steps[i];
    buf_printf(l->out, "<g><title>");
    put_xml(l->out, s->about.n ? graph_text(l->g, s->about) : graph_text(l->g, s->name));
    buf_printf(l->out,
               "</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"6\"/>", x->x,
               x->y, x->width, BOX_HEIGHT);
    buf_printf(l->out, "<text x=\"%.1f\" y=\"%.1f\">", x->x + x->width / 2,
               x->y + BOX_HEIGHT / 2.0 + 5);
    put_xml(l->out, graph_text(l->g, s->name));
    buf_put_str(l->out, STR("</text></g>\n"));
}

static void draw_svg(struct buf *b, const struct graph *g, const uint8_t *shown)
{
    struct arena a = {0};
    struct layout l = {.g = g, .shown = shown, .out = b};
    l.boxes = ARENA_ARRAY(&a, struct box, g->step_count + 1);
    find_layers(&l);
    lay_out(&l, &a);
    buf_printf(
        b,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n"
        "<style>text{font:13px monospace;text-anchor:middle;fill:#222}rect{fill:#eef3fb;stroke:#4a6fa5}"
        ".edge{fill:none;stroke:#888;marker-end:url(#tip)}</style>\n"
        "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"6\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
        "orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#888\"/></marker></defs>\n",
        l.width, l.height, l.width, l.height);
    each_edge(g, shown, put_svg_edge, &l);
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (shown[i])
            put_svg_box(&l, i);
    }
    buf_put_str(b, STR("</svg>\n"));
    arena_free(&a);
}

void draw_graph(struct buf *b, const struct graph *g, const uint8_t *shown, enum draw_format format)
{
    switch (format) {
    case DRAW_DOT: draw_dot(b, g, shown); break;
    case DRAW_MERMAID: draw_mermaid(b, g, shown); break;
    case DRAW_JSON: draw_json(b, g, shown); break;
    case DRAW_SVG: draw_svg(b, g, shown); break;
    }
}
