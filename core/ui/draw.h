/* SPDX-License-Identifier: MIT */
/* The graph as a drawing: Graphviz dot, Mermaid, JSON, SVG. Steps are boxes, needs are arrows. */
#pragma once

#include "core/graph.h"

enum draw_format { DRAW_DOT, DRAW_MERMAID, DRAW_JSON, DRAW_SVG };

bool draw_format_parse(struct str name, enum draw_format *out);
/* Draws the steps for which shown[i] is not 0. */
void draw_graph(struct buf *b, const struct graph *g, const uint8_t *shown,
                enum draw_format format);
